/*
 * A table of a SQLite file as a sink: append, or upsert with newest_by; and as a dead-letter
 * place.
 *
 * Columns are those of output_shape, and `_weir_topic, _weir_partition, _weir_offset`, which say
 * where a row comes from; weir makes the table (STRICT) when it is not there. A table that is
 * there must have the columns; without the _weir_ ones it can be appended to, and audit compares
 * by content. Times are stored as ISO 8601 in UTC with six digits of fraction, so that the order of
 * texts is the order of times. Booleans are 0 and 1, nested values JSON text.
 *
 * Upsert: of two rows with one key the one with the greater (newest_by, topic, partition,
 * offset) stays, whatever the order of arrival; NULL is the least newest_by.
 *
 * The hash of a row, for sums and audit, is value_hash() over its values in the order of the
 * columns, as SQLite gives them back.
 *
 * A row that the table refuses for the row's own fault (constraint, type, size) is rejected:
 * marked, booked, written to weir_rejects. If a trigger's RAISE(ROLLBACK) took the whole
 * transaction, the epoch is redone with that row rejected from the start.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/sqlite/sqlite.h"
#include "connector/sqlite/table.h"
#include "connector/sqlite/table_columns.h"
#include "connector/table/order.h"
#include "connector/table/letter.h"
#include "connector/table/value.h"

static const struct grammar_field table_sink_fields[] = {
    {.key = "path", .type = GRAMMAR_STRING, .required = true, .help = "the SQLite file"},
    {.key = "table", .type = GRAMMAR_STRING, .required = true,
     .help = "the table; made when it is not there"},
    {.key = "mode", .type = GRAMMAR_CHOICE, .choices = table_keys_modes, .help = "append unless set"},
    {.key = "key", .type = GRAMMAR_STRINGS, .help = "upsert: the columns that name a row"},
    {.key = "newest_by", .type = GRAMMAR_STRING,
     .help = "upsert: the column whose greater value wins"},
    {0},
};

/* --- for system.c --- */

static void finish(struct sink *sink, struct outbox *outbox)
{
    struct table_sink *s = table_sink(sink);
    if (s->is_unordered) {
        table_order_by_key(table_outbox(outbox));
    } else {
        table_order_of_arrival(table_outbox(outbox));
    }
}

static void unmark(struct outbox *outbox)
{
    table_rows_unmark(table_outbox(outbox));
}

static void free_sink(struct sink *sink)
{
    struct table_sink *s = table_sink(sink);
    table_base_fini(&s->base);
    memory_free(s);
}

static const struct sqlite_sink_work table_sink_work = {
    .prepare = table_prepare,
    .finish = finish,
    .write = table_write,
    .unmark = unmark,
    .close_session = table_close_session,
    .free = free_sink,
};

/* --- first start and audit --- */

static enum status is_there(struct sink *sink, bool *out_there, struct error *err)
{
    static const char doing[] = "look for a table in";
    struct locallog *log = sqlite_system_log(sink->system);
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        log, "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1"
             " COLLATE NOCASE",
        doing, &statement, err);
    if (status == STATUS_OK) {
        sqlite3_bind_text(statement, 1, table_sink(sink)->table, -1, SQLITE_STATIC);
        int code = sqlite3_step(statement);
        *out_there = code == SQLITE_ROW;
        if (code != SQLITE_ROW && code != SQLITE_DONE) {
            status = locallog_error(log, code, doing, err);
        }
        sqlite3_finalize(statement);
    }
    return status;
}

static enum status is_empty(struct sink *sink, bool *out_empty, struct error *err)
{
    struct table_sink *s = table_sink(sink);
    struct locallog *log = sqlite_system_log(sink->system);
    sqlite3_stmt *statement = NULL;
    bool exists = false;
    *out_empty = true;
    enum status status = is_there(sink, &exists, err);
    if (status != STATUS_OK || !exists) {
        return status;
    }
    struct buffer sql = {0};
    buffer_printf(&sql, "SELECT 1 FROM %s LIMIT 1", s->quoted);
    int code =
        sqlite3_prepare_v2(locallog_database(log), buffer_string(&sql), -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        *out_empty = code == SQLITE_DONE;
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        status = table_cannot_write(s, log, code, "look into a table of", err);
    }
    sqlite3_finalize(statement);
    buffer_fini(&sql);
    return status;
}

static struct value column_value(sqlite3_stmt *statement, int index)
{
    switch (sqlite3_column_type(statement, index)) {
    case SQLITE_INTEGER:
        return (struct value){.type = VALUE_INT64,
                              .integer = sqlite3_column_int64(statement, index)};
    case SQLITE_FLOAT:
        return (struct value){.type = VALUE_DOUBLE,
                              .real = sqlite3_column_double(statement, index)};
    case SQLITE_NULL:
        return (struct value){.type = VALUE_NULL};
    default:
        break;
    }
    const void *text = sqlite3_column_blob(statement, index);
    return (struct value){
        .type = VALUE_TEXT,
        .text = bytes_of(text == NULL ? "" : text,
                         (size_t)sqlite3_column_bytes(statement, index)),
    };
}

/* The rowid stands last, where rows have one: those of views and of tables without rowid do not. */
static enum status prepare_scan(struct table_sink *s, struct locallog *log,
                                sqlite3_stmt **out, bool *out_has_rowid, struct error *err)
{
    struct buffer sql = {0};
    buffer_append_string(&sql, "SELECT ");
    table_write_columns(s, s->has_origin, &sql);
    size_t size = sql.size;
    buffer_printf(&sql, ", _rowid_ FROM %s", s->quoted);
    *out_has_rowid = sqlite3_prepare_v2(locallog_database(log), buffer_string(&sql), -1, out,
                                        NULL) == SQLITE_OK;
    enum status status = STATUS_OK;
    if (!*out_has_rowid) {
        sql.size = size;
        buffer_printf(&sql, " FROM %s", s->quoted);
        status = sqlite_prepare(log, buffer_string(&sql), "read a table of", out, err);
    }
    buffer_fini(&sql);
    return status;
}

static const char *column_text(sqlite3_stmt *statement, int index)
{
    const char *text = (const char *)sqlite3_column_text(statement, index);
    return text == NULL ? "?" : text;
}

/* Rows of before the columns were added have none of the three. */
static bool has_origin(sqlite3_stmt *statement, int first)
{
    bool has = false;
    for (int i = first; i < first + 3; i++) {
        has = has || sqlite3_column_type(statement, i) != SQLITE_NULL;
    }
    return has;
}

static enum status scan_rows(struct sink *sink, const struct hash_secret *secret,
                             stored_row_visitor *row, void *context, struct error *err)
{
    struct table_sink *s = table_sink(sink);
    struct locallog *log = sqlite_system_log(sink->system);
    sqlite3_stmt *statement = NULL;
    bool exists = false;
    bool has_rowid = false;
    enum status status = is_there(sink, &exists, err);
    if (status == STATUS_OK && exists) {
        status = table_check_columns(s, log, err);
    }
    if (status == STATUS_OK && exists) {
        status = prepare_scan(s, log, &statement, &has_rowid, err);
    }
    if (status != STATUS_OK || !exists) {
        return status;
    }
    struct buffer text = {0};
    struct value *values = memory_alloc_zero(s->base.column_count + 1, sizeof *values);
    int code = SQLITE_DONE;
    while (status == STATUS_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        for (uint32_t i = 0; i < s->base.column_count; i++) {
            values[i] = column_value(statement, (int)i);
        }
        int first = sink->is_dlq ? LETTER_TOPIC : (int)s->base.column_count;
        bool known = (sink->is_dlq || s->has_origin) && has_origin(statement, first);
        table_value_text(values, s->base.column_count, &text);
        struct stored_row stored = {
            .hash = value_hash(secret, values, s->base.column_count),
            .origin_topic = known ? column_text(statement, first) : NULL,
            .origin_partition = known ? column_text(statement, first + 1) : NULL,
            .origin_offset = known ? sqlite3_column_int64(statement, first + 2) : -1,
            .text = bytes_of(text.data, text.size),
            .part = "",
            .position = has_rowid ? sqlite3_column_int64(statement,
                                                         sqlite3_column_count(statement) - 1)
                                  : 0,
        };
        status = row(context, &stored, err);
    }
    if (status == STATUS_OK && code != SQLITE_DONE) {
        status = locallog_error(log, code, "read a table of", err);
    }
    memory_free(values);
    buffer_fini(&text);
    sqlite3_finalize(statement);
    return status;
}

static const struct sink_ops table_sink_ops = {
    .kind = "sqlite",
    .grammar = table_sink_fields,
    .can_reject = true,
    .outbox_new = table_outbox_new,
    .outbox_clear = table_outbox_clear,
    .outbox_free = table_outbox_free,
    .append_row = table_append_row,
    .append_dead_letter = table_append_dead_letter,
    .is_empty = is_empty,
    .is_there = is_there,
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

static const char *declared_type(const struct output_column *column)
{
    switch (column->type) {
    case COLUMN_BOOL:
    case COLUMN_INT64:
        return column->required ? "INTEGER NOT NULL" : "INTEGER";
    case COLUMN_DOUBLE:
        return column->required ? "REAL NOT NULL" : "REAL";
    case COLUMN_TEXT:
        return column->required ? "TEXT NOT NULL" : "TEXT";
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        break;
    }
    return column->required ? "ANY NOT NULL" : "ANY";
}

static enum cells cells_of(const struct output_column *column)
{
    if (column->field == FIELD_NONE) {
        return CELLS_ANY;
    }
    switch (column->type) {
    case COLUMN_BOOL:
        return CELLS_BOOL;
    case COLUMN_INT64:
        return CELLS_INTEGER;
    case COLUMN_DOUBLE:
        return CELLS_DOUBLE;
    case COLUMN_TEXT:
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        break;
    }
    return column->is_time ? CELLS_TIME : CELLS_TEXT;
}

static const char *declared_type_of_letter(uint32_t column)
{
    bool required = table_letter_columns[column].required;
    if (table_letter_columns[column].type == LETTER_INTEGER) {
        return required ? "INTEGER NOT NULL" : "INTEGER";
    }
    return required ? "TEXT NOT NULL" : "TEXT";
}

static enum cells cells_of_letter(uint32_t column)
{
    switch (column) {
    case LETTER_OFFSET:
    case LETTER_ATTEMPT:
        return CELLS_INTEGER;
    case LETTER_TIMESTAMP:
        return CELLS_TIME;
    default:
        return CELLS_TEXT;
    }
}

static void take_columns(struct table_sink *s, const struct output_shape *shape)
{
    bool is_dlq = s->base.sink.is_dlq;
    s->columns = arena_alloc_zero(s->base.arena, s->base.column_count + 1, sizeof *s->columns);
    for (uint32_t i = 0; i < s->base.column_count; i++) {
        const char *name = s->base.names[i];
        s->columns[i] = (struct column_out){
            .name = name,
            .quoted = sqlite_quote(s->base.arena, name),
            .declared = is_dlq ? declared_type_of_letter(i) : declared_type(&shape->columns[i]),
            .cells = is_dlq ? cells_of_letter(i) : cells_of(&shape->columns[i]),
        };
    }
}

static enum status check_table_name(const struct doc *config, const struct system *system,
                                    struct error *err)
{
    const struct doc *table = doc_get(config, "table");
    if (sqlite3_strnicmp(table->text, "weir_", 5) == 0 ||
        sqlite3_strnicmp(table->text, "sqlite_", 7) == 0 || table->text_size == 0) {
        return doc_error(table, err, "config.value",
                         "names of tables must not be empty or begin with weir_ or sqlite_");
    }
    for (uint32_t i = 0; i < system->sink_count; i++) {
        const struct sink *other = system->sinks[i];
        if (other->ops == &table_sink_ops &&
            sqlite3_stricmp(table_sink(other)->table, table->text) == 0) {
            return doc_error(table, err, "config.value",
                             "table '%s' is the place of '%s' already; every sink has a place of "
                             "its own",
                             table->text, other->name);
        }
    }
    return STATUS_OK;
}

/* For sinks of other plans to be compared with. */
static void name_place(struct table_sink *s)
{
    char *address = arena_copy_string(s->base.arena, s->table);
    for (char *at = address; *at != '\0'; at++) {
        *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
    }
    s->base.address = address;
}

static enum status sink_add(struct system *system, const char *name, bool is_dlq,
                            const struct doc *config, const struct output_shape *shape,
                            struct sink **out, struct error *err)
{
    enum status status = check_table_name(config, system, err);
    if (status == STATUS_OK && !is_dlq) {
        status = table_columns_check(doc_get(config, "table"), shape, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct table_sink *s = memory_alloc_zero(1, sizeof *s);
    status = table_base_init(&s->base, name, is_dlq, config, shape, err);
    if (status != STATUS_OK) {
        free_sink(&s->base.sink);
        return status;
    }
    s->base.sink.ops = &table_sink_ops;
    s->table = arena_copy_string(s->base.arena, grammar_string(config, "table", ""));
    s->quoted = sqlite_quote(s->base.arena, s->table);
    take_columns(s, shape);
    name_place(s);
    sqlite_system_add(system, &s->base.sink, &table_sink_work);
    *out = &s->base.sink;
    return STATUS_OK;
}

const struct sink_kind sqlite_sink_kind = {
    .ops = &table_sink_ops,
    .system_ops = &sqlite_system_ops,
    .system_place = sqlite_system_place,
    .system_new = sqlite_system_new,
    .sink_add = sink_add,
};
