/* Tombstones: many deletions as one statement, whose parameters are arrays in their text form
 * (https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO). */
#include "connector/postgres/table.h"

static void write_element(struct bytes text, struct buffer *out)
{
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\') {
            buffer_append_byte(out, '\\');
        }
        buffer_append_byte(out, text.data[i]);
    }
    buffer_append_byte(out, '"');
}

static void write_key(const struct table_row *row, const struct table_cell *cell,
                      struct buffer *out)
{
    if (cell->type == VALUE_TEXT) {
        write_element(table_row_text(row, cell), out);
    } else {
        database_write_number(cell, out);
    }
}

/* Behind those of the keys. */
enum { TOPICS = TABLE_KEYS_MAX, PARTITIONS, OFFSETS, ARRAYS };

PGresult *postgres_table_delete(const struct postgres_table *t, PGconn *connection,
                                struct table_row *const *rows, size_t count)
{
    const struct table_keys *keys = &t->table.base.keys;
    struct buffer arrays[ARRAYS] = {0};
    const char *values[ARRAYS];
    int used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct table_row *row = rows[i];
        for (int k = 0; k < ARRAYS; k++) {
            buffer_append_byte(&arrays[k], i == 0 ? '{' : ',');
        }
        for (uint32_t k = 0; k < keys->count; k++) {
            write_key(row, &row->cells[keys->columns[k]], &arrays[k]);
        }
        write_element(bytes_of_string(row->origin->topic), &arrays[TOPICS]);
        buffer_printf(&arrays[PARTITIONS], "%d", row->origin->number);
        buffer_printf(&arrays[OFFSETS], "%lld", (long long)row->offset);
    }
    for (int k = 0; k < ARRAYS; k++) {
        if (k < (int)keys->count || k >= TOPICS) {
            buffer_append_byte(&arrays[k], '}');
            values[used++] = buffer_string(&arrays[k]);
        }
    }
    PGresult *result = PQexecParams(connection, t->delete, used, NULL, values, NULL, NULL, 0);
    for (int k = 0; k < ARRAYS; k++) {
        buffer_fini(&arrays[k]);
    }
    return result;
}
