/* A table of a database as a sink and as a dead-letter place: configuration, and what stands in the
 * table, for audit. */
#include <stdlib.h>
#include <string.h>

#include "connector/postgres/jsonb.h"
#include "connector/postgres/table.h"
#include "connector/table/value.h"

/* --- audit --- */

/* Columns in the form that a row's hash is over: times as table_value() makes them. */
static void write_selection(const struct postgres_table *t, struct buffer *sql)
{
    for (uint32_t i = 0; i < t->table.base.column_count; i++) {
        const struct database_column *column = &t->table.columns[i];
        buffer_append_string(sql, i == 0 ? "" : ", ");
        if (column->storage == STORAGE_TIME) {
            buffer_printf(sql, "to_char(%s, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')", column->quoted);
        } else if (column->storage == STORAGE_BOOL) {
            buffer_printf(sql, "%s::integer", column->quoted);
        } else {
            buffer_append_string(sql, column->quoted);
        }
    }
}

/* A column that was json when it was written, and is to be jsonb, has the same form already. */
static struct bytes stored_text(struct arena *arena, const struct database_column *column,
                                struct bytes text)
{
    struct buffer canonical = {0};
    if (column->is_canonical && jsonb_write(text, &canonical)) {
        text = bytes_of(arena_copy(arena, canonical.data, canonical.size), canonical.size);
    }
    buffer_fini(&canonical);
    return text;
}

static struct value stored_value(struct arena *arena, const struct database_column *column,
                                 const PGresult *result, int index)
{
    struct bytes text = postgres_bytes(result, 0, index);
    if (bytes_is_none(text)) {
        return (struct value){.type = VALUE_NULL};
    }
    switch (column->storage) {
    case STORAGE_BOOL:
    case STORAGE_INTEGER:
    case STORAGE_DOUBLE:
    case STORAGE_NUMERIC:
        return database_stored_number(column, PQgetvalue(result, 0, index));
    default:
        return (struct value){.type = VALUE_TEXT, .text = stored_text(arena, column, text)};
    }
}

struct scan {
    struct postgres_table *t;
    const struct hash_secret *secret;
    stored_row_visitor *visit;
    void *context;
    struct value *values;
    struct arena *arena; /* of a row */
    struct buffer text;
};

static enum status visit_row(struct scan *scan, const PGresult *result, struct error *err)
{
    struct postgres_table *t = scan->t;
    uint32_t count = t->table.base.column_count;
    arena_reset(scan->arena, 65536);
    for (uint32_t i = 0; i < count; i++) {
        scan->values[i] = stored_value(scan->arena, &t->table.columns[i], result, (int)i);
    }
    int first = t->table.base.sink.is_dlq ? LETTER_TOPIC : (int)count;
    bool known = (t->table.base.sink.is_dlq || t->table.has_origin) && !PQgetisnull(result, 0, first);
    table_value_text(scan->values, count, &scan->text);
    struct stored_row stored = {
        .hash = value_hash(scan->secret, scan->values, count),
        .origin_topic = known ? PQgetvalue(result, 0, first) : NULL,
        .origin_partition = known ? PQgetvalue(result, 0, first + 1) : NULL,
        .origin_offset = known ? postgres_integer(result, 0, first + 2) : -1,
        .text = bytes_of(scan->text.data, scan->text.size),
        .part = "",
    };
    return scan->visit(scan->context, &stored, err);
}

/* One row at a time: a table may be larger than the memory. */
static enum status scan_all(struct scan *scan, const char *sql, struct error *err)
{
    struct postgres_system *s = postgres_system(scan->t->table.base.sink.system);
    if (PQsendQuery(s->connection, sql) != 1 || PQsetSingleRowMode(s->connection) != 1) {
        return postgres_error(s, NULL, "read a table of", err);
    }
    enum status status = STATUS_OK;
    PGresult *result = NULL;
    while ((result = PQgetResult(s->connection)) != NULL) {
        ExecStatusType code = PQresultStatus(result);
        if (status == STATUS_OK && code == PGRES_SINGLE_TUPLE) {
            status = visit_row(scan, result, err);
        } else if (status == STATUS_OK && code != PGRES_TUPLES_OK) {
            status = postgres_error(s, result, "read a table of", err);
        }
        PQclear(result);
    }
    return status;
}

static enum status scan_rows(struct sink *sink, const struct hash_secret *secret,
                             stored_row_visitor *row, void *context, struct error *err)
{
    struct postgres_table *t = postgres_table(sink);
    bool exists = false;
    enum status status = database_table_is_there(sink, &exists, err);
    if (status == STATUS_OK && exists && !t->table.is_prepared) {
        status = postgres_table_prepare(t, true, err);
    }
    if (status != STATUS_OK || !exists) {
        return status;
    }
    struct buffer sql = {0};
    buffer_append_string(&sql, "SELECT ");
    write_selection(t, &sql);
    buffer_printf(&sql, "%s FROM %s", t->table.has_origin
                                          ? ", _weir_topic, _weir_partition, _weir_offset"
                                          : "", t->table.quoted);
    struct scan scan = {.t = t, .secret = secret, .visit = row, .context = context};
    scan.values = memory_alloc_zero(t->table.base.column_count + 1, sizeof *scan.values);
    scan.arena = arena_new(4096);
    status = scan_all(&scan, buffer_string(&sql), err);
    arena_free(scan.arena);
    memory_free(scan.values);
    buffer_fini(&scan.text);
    buffer_fini(&sql);
    return status;
}

const struct sink_ops postgres_table_ops = {
    .kind = "postgres",
    .grammar = database_table_fields,
    .can_reject = true,
    .outbox_new = table_outbox_new,
    .outbox_clear = table_outbox_clear,
    .outbox_free = table_outbox_free,
    .append_row = table_append_row,
    .append_dead_letter = table_append_dead_letter,
    .is_empty = database_table_is_empty,
    .is_there = database_table_is_there,
    .scan = scan_rows,
    .key_row = table_key_row,
    .is_keyed = table_is_keyed,
    .address = table_address,
    .rule = table_rule,
    .look_through = table_look_through,
    .take_tombstones = table_take_tombstones,
    .guarantee = table_guarantee,
};

/* --- making a sink --- */

const struct database_dialect postgres_dialect = {
    .server = "PostgreSQL",
    .quote = '"',
    .name_bytes = 63,
    .long_names = "cuts names at 63 bytes",
    .declared = {[CONTENT_BOOL] = "boolean",
                 [CONTENT_INTEGER] = "bigint",
                 [CONTENT_NUMBER] = "double precision",
                 [CONTENT_TEXT] = "text",
                 [CONTENT_TIME] = "timestamp with time zone",
                 [CONTENT_JSON] = "json"},
    .canonical_json = "jsonb",
    .make_canonical = jsonb_write,
    .null = "",
    .origin_columns = ", _weir_topic text, _weir_partition integer, _weir_offset bigint",
    .table_options = "",
    .one_by_one = POSTGRES_ONE_BY_ONE,
    .add_column = "ADD COLUMN IF NOT EXISTS",
};

enum status postgres_sink_add(struct system *system, const char *name, bool is_dlq,
                              const struct doc *config, const struct output_shape *shape,
                              struct sink **out, struct error *err)
{
    struct database_table *table = NULL;
    enum status status =
        database_table_new(sizeof(struct postgres_table), &postgres_dialect, &postgres_table_ops,
                           system, name, is_dlq, config, shape, &table, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct postgres_table *t = postgres_table(&table->base.sink);
    t->forms = arena_alloc_zero(table->base.arena, table->base.column_count + 1, sizeof *t->forms);
    *out = &table->base.sink;
    return STATUS_OK;
}
