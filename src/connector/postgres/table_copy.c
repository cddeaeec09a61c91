/* Rows in the text form of COPY (https://www.postgresql.org/docs/current/sql-copy.html, "Text
 * Format"), and whether a table would keep their values. */
#include <stdio.h>
#include <string.h>

#include "codec/json.h"
#include "connector/postgres/table.h"

/* Integers that a double holds exactly. */
#define EXACT_MOST (INT64_C(1) << 53)

static void copy_text(struct bytes text, struct buffer *out)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        const char *escaped = NULL;
        switch (byte) {
        case '\\':
            escaped = "\\\\";
            break;
        case '\n':
            escaped = "\\n";
            break;
        case '\r':
            escaped = "\\r";
            break;
        case '\t':
            escaped = "\\t";
            break;
        default:
            buffer_append_byte(out, byte);
            continue;
        }
        buffer_append_string(out, escaped);
    }
}

static void write_number(const struct table_cell *cell, struct buffer *out)
{
    struct value value = {.type = (enum value_type)cell->type};
    if (cell->type == VALUE_INT64) {
        value.integer = cell->integer;
    } else {
        value.real = cell->real;
    }
    json_write_value(out, &value);
}

static void copy_cell(const struct table_row *row, const struct table_cell *cell,
                      struct buffer *out)
{
    switch (cell->type) {
    case VALUE_INT64:
    case VALUE_DOUBLE:
        write_number(cell, out);
        break;
    case VALUE_TEXT:
        copy_text(table_row_text(row, cell), out);
        break;
    default:
        buffer_append_string(out, "\\N");
        break;
    }
}

void postgres_copy_row(const struct postgres_table *t, const struct table_row *row,
                       struct buffer *out)
{
    for (uint32_t i = 0; i < row->cell_count; i++) {
        if (i > 0) {
            buffer_append_byte(out, '\t');
        }
        copy_cell(row, &row->cells[i], out);
    }
    if (t->has_origin) {
        buffer_append_byte(out, '\t');
        copy_text(bytes_of_string(row->origin->topic), out);
        buffer_printf(out, "\t%d\t%lld", row->origin->number, (long long)row->offset);
    }
    buffer_append_byte(out, '\n');
}

/* --- what would change --- */

/* Digits behind the point of a decimal number, "1.5e-3" included; zeros at the end do not count. */
static int fraction_digits(const char *text)
{
    const char *exponent = strpbrk(text, "eE");
    const char *end = exponent == NULL ? text + strlen(text) : exponent;
    const char *point = memchr(text, '.', (size_t)(end - text));
    const char *last = end;
    while (point != NULL && last > point + 1 && last[-1] == '0') {
        last--;
    }
    int digits = point == NULL ? 0 : (int)(last - point - 1);
    int shift = 0;
    if (exponent != NULL) {
        (void)sscanf(exponent + 1, "%d", &shift);
    }
    digits -= shift;
    return digits < 0 ? 0 : digits;
}

static const char *numeric_change(const struct postgres_column *column,
                                  const struct table_cell *cell)
{
    if (cell->type != VALUE_DOUBLE || column->scale < 0) {
        return NULL;
    }
    struct buffer text = {0};
    write_number(cell, &text);
    bool is_rounded = fraction_digits(buffer_string(&text)) > column->scale;
    buffer_fini(&text);
    return is_rounded ? "its type would round the number" : NULL;
}

static bool is_hex(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
}

/* As the server writes one. */
static bool is_plain_uuid(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? text.data[i] != '-' : !is_hex(text.data[i])) {
            return false;
        }
    }
    return text.size == 36;
}

static bool is_plain_date(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        bool is_dash = i == 4 || i == 7;
        if (is_dash ? text.data[i] != '-' : text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return text.size == 10;
}

/* "2026-01-31T12:34:56.000000Z", as table_value() makes them. */
static bool is_fixed_time(struct bytes text)
{
    return text.size == 27 && text.data[10] == 'T' && text.data[26] == 'Z';
}

static const char *text_change(enum storage storage, struct bytes text)
{
    if (memchr(text.data, '\0', text.size) != NULL) {
        return "PostgreSQL cannot store a NUL in a text";
    }
    switch (storage) {
    case STORAGE_UUID:
        return is_plain_uuid(text) ? NULL : "its type would write the UUID another way";
    case STORAGE_DATE:
        return is_plain_date(text) ? NULL : "its type would write the date another way";
    case STORAGE_TIME:
        return is_fixed_time(text) ? NULL : "the text is no date-time";
    case STORAGE_TEXT:
    case STORAGE_JSON:
        return NULL;
    default:
        return "its type takes no text";
    }
}

static const char *cell_change(const struct postgres_column *column, const struct table_row *row,
                               const struct table_cell *cell)
{
    bool is_numeric = cell->type == VALUE_INT64 || cell->type == VALUE_DOUBLE;
    if (cell->type == VALUE_TEXT) {
        return text_change(column->storage, table_row_text(row, cell));
    }
    switch (column->storage) {
    case STORAGE_DOUBLE:
        return cell->type == VALUE_INT64 &&
                       (cell->integer > EXACT_MOST || cell->integer < -EXACT_MOST)
                   ? "its type would round the integer"
                   : NULL;
    case STORAGE_NUMERIC:
        return numeric_change(column, cell);
    case STORAGE_BOOL:
    case STORAGE_INTEGER:
        return cell->type == VALUE_DOUBLE ? "its type takes no fractions" : NULL;
    default:
        return is_numeric ? "its type takes no numbers" : NULL;
    }
}

const char *postgres_find_change(const struct postgres_table *t, const struct table_row *row,
                                 uint32_t *out_column)
{
    for (uint32_t i = 0; i < row->cell_count; i++) {
        const char *why = cell_change(&t->columns[i], row, &row->cells[i]);
        if (why != NULL) {
            *out_column = i;
            return why;
        }
    }
    return NULL;
}
