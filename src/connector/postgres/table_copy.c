/* Rows in the text form of COPY (https://www.postgresql.org/docs/current/sql-copy.html, "Text
 * Format"). */
#include "connector/postgres/table.h"

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

static void copy_cell(const struct table_row *row, const struct table_cell *cell,
                      struct buffer *out)
{
    switch (cell->type) {
    case VALUE_INT64:
    case VALUE_DOUBLE:
        database_write_number(cell, out);
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
    if (t->table.has_origin) {
        buffer_append_byte(out, '\t');
        copy_text(bytes_of_string(row->origin->topic), out);
        buffer_printf(out, "\t%d\t%lld", row->origin->number, (long long)row->offset);
    }
    buffer_append_byte(out, '\n');
}
