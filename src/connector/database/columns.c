#include "connector/database/columns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "codec/json.h"
#include "connector/reject.h"

static const char *const create_words[] = {"if_missing", "never", NULL};
static const char *const evolve_words[] = {"refuse", "add_columns", NULL};

const struct grammar_field database_table_fields[] = {
    {.key = "table", .type = GRAMMAR_STRING, .required = true,
     .help = "the table, or schema.table; made when it is not there"},
    {.key = "mode", .type = GRAMMAR_CHOICE, .choices = table_keys_modes,
     .help = "append unless set"},
    {.key = "key", .type = GRAMMAR_STRINGS, .help = "upsert: the columns that name a row"},
    {.key = "newest_by", .type = GRAMMAR_STRING,
     .help = "upsert: the column whose greater value wins"},
    {.key = "create", .type = GRAMMAR_CHOICE, .choices = create_words,
     .help = "if_missing unless set: whether the table is made when it is not there"},
    {.key = "evolve", .type = GRAMMAR_CHOICE, .choices = evolve_words,
     .help = "refuse unless set: what is done about a column that the table does not have"},
    {.key = "types", .type = GRAMMAR_ANY,
     .help = "column: type, for columns that weir makes; the schema decides unless set"},
    {0},
};

/* --- names --- */

static void quote_part(struct buffer *out, char quote, const char *name, size_t size)
{
    buffer_append_byte(out, (uint8_t)quote);
    for (size_t i = 0; i < size; i++) {
        if (name[i] == quote) {
            buffer_append_byte(out, (uint8_t)quote);
        }
        buffer_append_byte(out, (uint8_t)name[i]);
    }
    buffer_append_byte(out, (uint8_t)quote);
}

const char *database_quote(struct arena *arena, char quote, const char *name)
{
    struct buffer out = {0};
    quote_part(&out, quote, name, strlen(name));
    const char *quoted = arena_copy_string(arena, buffer_string(&out));
    buffer_fini(&out);
    return quoted;
}

const char *database_quote_table(struct arena *arena, char quote, const char *name)
{
    struct buffer out = {0};
    const char *dot = strchr(name, '.');
    if (dot != NULL) {
        quote_part(&out, quote, name, (size_t)(dot - name));
        buffer_append_byte(&out, '.');
        name = dot + 1;
    }
    quote_part(&out, quote, name, strlen(name));
    const char *quoted = arena_copy_string(arena, buffer_string(&out));
    buffer_fini(&out);
    return quoted;
}

/* --- columns --- */

static enum content content_of(const struct output_column *column)
{
    switch (column->type) {
    case COLUMN_BOOL:
        return CONTENT_BOOL;
    case COLUMN_INT64:
        return CONTENT_INTEGER;
    case COLUMN_DOUBLE:
        return CONTENT_NUMBER;
    case COLUMN_TEXT:
        return column->is_time ? CONTENT_TIME : CONTENT_TEXT;
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        break;
    }
    /* What an expression gives is a text unless it is known to be a number. */
    return column->is_number ? CONTENT_NUMBER
                             : (column->field == FIELD_NONE ? CONTENT_TEXT : CONTENT_JSON);
}

/* The timestamp of a dead letter stays a text: it says what stood there. */
static enum content content_of_letter(uint32_t column)
{
    return table_letter_columns[column].type == LETTER_INTEGER ? CONTENT_INTEGER : CONTENT_TEXT;
}

/* A type goes into CREATE TABLE as it is written: letters, digits, brackets, commas and spaces make
 * no second statement. */
static bool is_type(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "_ (),.";
    return text[0] != '\0' && text[strspn(text, letters)] == '\0';
}

static enum status take_types(const struct database_dialect *dialect,
                              const struct table_base *base, struct database_column *columns,
                              const struct doc *types, struct error *err)
{
    if (types == NULL) {
        return STATUS_OK;
    }
    if (types->kind != DOC_MAP) {
        return doc_error(types, err, "config.type", "types is a map of column: type");
    }
    for (size_t i = 0; i < types->count; i++) {
        const char *nearest =
            string_nearest(types->keys[i]->text, (const char **)(uintptr_t)base->names,
                           base->column_count);
        uint32_t column = 0;
        while (column < base->column_count &&
               strcmp(base->names[column], types->keys[i]->text) != 0) {
            column++;
        }
        if (column == base->column_count) {
            return doc_error(types->keys[i], err, "config.unknown_field",
                             "the rows of this table have no column '%s'%s%s%s",
                             types->keys[i]->text, nearest == NULL ? "" : "; did you mean '",
                             nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
        }
        if (types->items[i]->kind != DOC_STRING || !is_type(types->items[i]->text)) {
            return doc_error(types->items[i], err, "config.value",
                             "a type is written like numeric(10,2) or varchar(40)");
        }
        columns[column].declared =
            arena_copy_string(base->arena, types->items[i]->text);
        columns[column].is_canonical =
            columns[column].content == CONTENT_JSON && dialect->canonical_json != NULL &&
            strcasecmp(columns[column].declared, dialect->canonical_json) == 0;
    }
    return STATUS_OK;
}

enum status database_take_columns(const struct database_dialect *dialect,
                                  const struct table_base *base, const struct doc *config,
                                  struct database_column **out, struct error *err)
{
    bool is_dlq = base->sink.is_dlq;
    const struct output_column *shape = base->sink.shape->columns;
    struct database_column *columns =
        arena_alloc_zero(base->arena, base->column_count + 1, sizeof *columns);
    for (uint32_t i = 0; i < base->column_count; i++) {
        enum content content = is_dlq ? content_of_letter(i) : content_of(&shape[i]);
        columns[i] = (struct database_column){
            .quoted = database_quote(base->arena, dialect->quote, base->names[i]),
            .declared = dialect->declared[content],
            .required = is_dlq ? table_letter_columns[i].required : shape[i].required,
            .content = content,
        };
    }
    *out = columns;
    return take_types(dialect, base, columns, doc_get(config, "types"), err);
}

/* --- a table that can be --- */

/* "readings" and "public.readings" may be one table or two: only the server knows, so one pipeline
 * names a table in one way. */
static enum status check_table_name(const struct doc *config, const struct system *system,
                                    struct error *err)
{
    const struct doc *table = doc_get(config, "table");
    const char *dot = strrchr(table->text, '.');
    const char *name = dot == NULL ? table->text : dot + 1;
    if (name[0] == '\0' || table->text[0] == '.' || strncmp(name, "weir_", 5) == 0) {
        return doc_error(table, err, "config.value",
                         "names of tables must not be empty or begin with weir_");
    }
    for (uint32_t i = 0; i < system->sink_count; i++) {
        const struct sink *other = system->sinks[i];
        if (strcmp(table_address(other), table->text) == 0) {
            return doc_error(table, err, "config.value",
                             "table '%s' is the place of '%s' already; every sink has a place of "
                             "its own",
                             table->text, other->name);
        }
    }
    return STATUS_OK;
}

static enum status check_columns(const struct database_dialect *dialect, const struct doc *config,
                                 const struct output_shape *shape, struct error *err)
{
    const struct doc *table = doc_get(config, "table");
    if (shape->column_count == 0) {
        return doc_error(table, err, "config.no_columns",
                         "table '%s' would have no columns, for the schema names no fields that "
                         "are left; name them in its properties, or write to a topic or a folder",
                         table->text);
    }
    for (uint32_t i = 0; i < shape->column_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(shape->columns[i].name, shape->columns[k].name) == 0) {
                return doc_error(table, err, "config.column_twice",
                                 "the fields '%s' and '%s' would be one column of table '%s' "
                                 "(nested names take '_' for '.'); drop one of them",
                                 shape->columns[k].path, shape->columns[i].path, table->text);
            }
        }
        if (strlen(shape->columns[i].name) > dialect->name_bytes) {
            return doc_error(table, err, "config.value",
                             "%s %s, and the field '%s' would be a "
                             "column of table '%s'; drop it, or set it under a shorter name",
                             dialect->server, dialect->long_names, shape->columns[i].path,
                             table->text);
        }
    }
    return STATUS_OK;
}

enum status database_check_table(const struct database_dialect *dialect, const struct doc *config,
                                 const struct system *system, bool is_dlq,
                                 const struct output_shape *shape, struct error *err)
{
    enum status status = check_table_name(config, system, err);
    return status == STATUS_OK && !is_dlq ? check_columns(dialect, config, shape, err) : status;
}

bool database_fits(const struct database_column *column, enum storage storage)
{
    switch (column->content) {
    case CONTENT_BOOL:
        return storage == STORAGE_BOOL || storage == STORAGE_INTEGER;
    case CONTENT_INTEGER:
        return storage == STORAGE_INTEGER || storage == STORAGE_NUMERIC ||
               storage == STORAGE_DOUBLE;
    case CONTENT_NUMBER:
        return storage == STORAGE_DOUBLE || storage == STORAGE_NUMERIC;
    case CONTENT_TEXT:
        return storage == STORAGE_TEXT || storage == STORAGE_UUID || storage == STORAGE_DATE;
    case CONTENT_TIME:
        return storage == STORAGE_TIME || storage == STORAGE_TEXT;
    case CONTENT_JSON:
        return storage == STORAGE_JSON || storage == STORAGE_TEXT ||
               (storage == STORAGE_CANONICAL_JSON && column->is_canonical);
    case CONTENT_COUNT:
        break;
    }
    check(false);
}

/* --- numbers --- */

void database_write_number(const struct table_cell *cell, struct buffer *out)
{
    struct value value = {.type = (enum value_type)cell->type};
    if (cell->type == VALUE_INT64) {
        value.integer = cell->integer;
    } else {
        value.real = cell->real;
    }
    json_write_value(out, &value);
}

/* An integer unless there is a point or an exponent. */
static struct value number_of(const char *text)
{
    char *end = NULL;
    if (strpbrk(text, ".eEIN") == NULL) {
        errno = 0;
        int64_t integer = strtoll(text, &end, 10);
        if (errno != ERANGE) {
            return (struct value){.type = VALUE_INT64, .integer = integer};
        }
    }
    return (struct value){.type = VALUE_DOUBLE, .real = strtod(text, &end)};
}

/* Integers that a double holds exactly. */
#define EXACT_MOST (INT64_C(1) << 53)

static bool is_beyond_doubles(int64_t integer)
{
    return integer > EXACT_MOST || integer < -EXACT_MOST;
}

struct value database_stored_number(const struct database_column *column, const char *text)
{
    struct value value = number_of(text);
    if (column->content == CONTENT_NUMBER && value.type == VALUE_INT64 &&
        is_beyond_doubles(value.integer)) {
        return (struct value){.type = VALUE_DOUBLE, .real = strtod(text, NULL)};
    }
    return value;
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

static const char *numeric_change(const struct database_column *column,
                                  const struct table_cell *cell)
{
    if (cell->type == VALUE_INT64) {
        return column->content == CONTENT_NUMBER && is_beyond_doubles(cell->integer)
                   ? "its numbers are doubles, which would round the integer"
                   : NULL;
    }
    if (cell->type != VALUE_DOUBLE || column->scale < 0) {
        return NULL;
    }
    struct buffer text = {0};
    database_write_number(cell, &text);
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

static size_t count_characters(const uint8_t *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        count += (text[i] & 0xC0) != 0x80;
    }
    return count;
}

/* varchar(n) takes a longer text if all that is too much is spaces, and cuts those. What is too long
 * besides is the server's to refuse. */
static bool would_cut_spaces(struct bytes text, size_t length)
{
    size_t size = text.size;
    while (size > 0 && text.data[size - 1] == ' ') {
        size--;
    }
    return length > 0 && size < text.size && count_characters(text.data, text.size) > length &&
           count_characters(text.data, size) <= length;
}

static bool is_canonical(const struct database_dialect *dialect, struct bytes text)
{
    struct buffer canonical = {0};
    bool is_same = dialect->make_canonical(text, &canonical) &&
                   bytes_equal(bytes_of(canonical.data, canonical.size), text);
    buffer_fini(&canonical);
    return is_same;
}

static const char *text_change(const struct database_dialect *dialect,
                               const struct database_column *column, struct bytes text)
{
    if (!dialect->takes_nul && memchr(text.data, '\0', text.size) != NULL) {
        return "this database cannot store a NUL in a text";
    }
    switch (column->storage) {
    case STORAGE_UUID:
        return is_plain_uuid(text) ? NULL : "its type would write the UUID another way";
    case STORAGE_DATE:
        return is_plain_date(text) ? NULL : "its type would write the date another way";
    case STORAGE_TIME:
        return is_fixed_time(text) ? NULL : "the text is no date-time";
    case STORAGE_TEXT:
        return would_cut_spaces(text, column->length) ? "its type would cut spaces at the end"
                                                      : NULL;
    case STORAGE_JSON:
        return NULL;
    case STORAGE_CANONICAL_JSON:
        return is_canonical(dialect, text) ? NULL
                                           : "its type cannot store the JSON: \\u0000, half of a "
                                             "surrogate pair, a number out of its range, or too large";
    default:
        return "its type takes no text";
    }
}

static const char *cell_change(const struct database_dialect *dialect,
                               const struct database_column *column, const struct table_row *row,
                               const struct table_cell *cell)
{
    bool is_numeric = cell->type == VALUE_INT64 || cell->type == VALUE_DOUBLE;
    if (cell->type == VALUE_TEXT) {
        return text_change(dialect, column, table_row_text(row, cell));
    }
    switch (column->storage) {
    case STORAGE_DOUBLE:
        return cell->type == VALUE_INT64 && is_beyond_doubles(cell->integer)
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

/* NULL when the table keeps the row's values as they are; else why not, a static text, and in
 * *out_column which column. */
static const char *find_change(const struct database_dialect *dialect,
                               const struct database_column *columns, const struct table_row *row,
                               uint32_t *out_column)
{
    for (uint32_t i = 0; i < row->cell_count; i++) {
        const char *why = cell_change(dialect, &columns[i], row, &row->cells[i]);
        if (why != NULL) {
            *out_column = i;
            return why;
        }
    }
    return NULL;
}

void database_mark_changes(const struct database_dialect *dialect,
                           const struct database_column *columns, struct table_outbox *outbox)
{
    for (size_t i = 0; i < outbox->outbox.row_count; i++) {
        struct table_row *row = table_rows_at(outbox, outbox->places[i].at);
        uint32_t column = 0;
        const char *why = find_change(dialect, columns, row, &column);
        if (why != NULL) {
            char message[TABLE_MARK_MESSAGE_BYTES];
            snprintf(message, sizeof message, "column %s: %s", columns[column].quoted, why);
            table_rows_mark(outbox, row, "sink.datatype", message);
        }
    }
}

/* --- rows that the table does not take --- */

enum status database_refuse_marked(const struct sink *sink, const char *quoted,
                                   struct table_outbox *outbox, struct attempt *attempt,
                                   struct error *err)
{
    for (size_t i = 0; i < outbox->outbox.row_count && outbox->mark_count > 0; i++) {
        const struct table_row *row = table_rows_at(outbox, outbox->places[i].at);
        if (row->mark == TABLE_ROW_UNMARKED) {
            continue;
        }
        const struct table_mark *marked = &outbox->marks[row->mark];
        if (sink->is_dlq) {
            return error_set(err, STATUS_FATAL, marked->code,
                             "table %s does not take a dead letter (%s): mend its triggers and "
                             "constraints, or dead letters would be lost",
                             quoted, marked->message);
        }
        table_refuse_row(sink, outbox, row, attempt);
    }
    return STATUS_OK;
}
