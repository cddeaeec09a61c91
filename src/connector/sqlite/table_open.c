#include "connector/sqlite/table_sink.h"

#include <stdio.h>
#include <string.h>

#include "connector/sqlite/deferred.h"

void table_write_columns(const struct table_sink *s, bool with_origin, struct buffer *out)
{
    for (uint32_t i = 0; i < s->column_count; i++) {
        buffer_printf(out, "%s%s", i == 0 ? "" : ", ", s->columns[i].quoted);
    }
    if (with_origin) {
        buffer_append_string(out, ", _weir_topic, _weir_partition, _weir_offset");
    }
}

static enum status create_table(struct table_sink *s, struct locallog *log, struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "CREATE TABLE IF NOT EXISTS %s (", s->quoted);
    for (uint32_t i = 0; i < s->column_count; i++) {
        buffer_printf(&sql, "%s%s %s", i == 0 ? "" : ", ", s->columns[i].quoted,
                      s->columns[i].declared);
    }
    if (!s->base.sink.is_dlq) {
        buffer_append_string(&sql, ", _weir_topic TEXT, _weir_partition INTEGER,"
                                   " _weir_offset INTEGER");
    }
    for (uint32_t i = 0; i < s->key_count; i++) {
        buffer_printf(&sql, "%s%s%s", i == 0 ? ", PRIMARY KEY (" : ", ",
                      s->columns[s->keys[i]].quoted, i + 1 == s->key_count ? ")" : "");
    }
    buffer_append_string(&sql, ") STRICT");
    enum status status = locallog_begin(log, err);
    if (status == STATUS_OK) {
        status = sqlite_run(log, buffer_string(&sql), "making a table", err);
    }
    if (status == STATUS_OK) {
        status = locallog_commit(log, err);
    }
    if (status != STATUS_OK) {
        locallog_rollback(log);
    }
    buffer_fini(&sql);
    return status;
}

/* Whether the table has a column of that name. */
static enum status has_column(struct locallog *log, const char *table, const char *column,
                              bool *out, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        log, "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2 COLLATE NOCASE",
        "looking at a table", &statement, err);
    if (status == STATUS_OK) {
        sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 2, column, -1, SQLITE_STATIC);
        int code = sqlite3_step(statement);
        *out = code == SQLITE_ROW;
        if (code != SQLITE_ROW && code != SQLITE_DONE) {
            status = locallog_error(log, code, "looking at a table", err);
        }
        sqlite3_finalize(statement);
    }
    return status;
}

/* All three or none: a table that somebody else made may have its own. */
static enum status find_origin(struct table_sink *s, struct locallog *log, struct error *err)
{
    static const char *const names[] = {"_weir_topic", "_weir_partition", "_weir_offset"};
    enum status status = STATUS_OK;
    s->has_origin = true;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && status == STATUS_OK; i++) {
        bool found = false;
        status = has_column(log, s->table, names[i], &found, err);
        s->has_origin = s->has_origin && found;
    }
    return status;
}

enum status table_check_columns(struct table_sink *s, struct locallog *log, struct error *err)
{
    for (uint32_t i = 0; i < s->column_count; i++) {
        bool found = false;
        enum status status = has_column(log, s->table, s->columns[i].name, &found, err);
        if (status == STATUS_OK && !found) {
            status = error_set(err, STATUS_CONFIG, "sink.missing_column",
                               "table %s has no column %s, which sink '%s' writes; add it: ALTER "
                               "TABLE %s ADD COLUMN %s; or drop the field in transform.drop",
                               s->quoted, s->columns[i].quoted, s->base.sink.name, s->quoted,
                               s->columns[i].quoted);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return s->base.sink.is_dlq ? STATUS_OK : find_origin(s, log, err);
}

/* Keys that a collation calls equal are two to everybody else, audit included. */
static enum status refuse_collations(const struct table_sink *s, struct locallog *log,
                                     struct error *err)
{
    for (uint32_t i = 0; s->is_upsert && i <= s->key_count; i++) {
        uint32_t column = i < s->key_count ? s->keys[i] : s->newest_by;
        const char *collation = NULL;
        if (column == FIELD_NONE ||
            sqlite3_table_column_metadata(locallog_database(log), NULL, s->table,
                                          s->columns[column].name, NULL, &collation, NULL, NULL,
                                          NULL) != SQLITE_OK ||
            collation == NULL || sqlite3_stricmp(collation, "BINARY") == 0) {
            continue;
        }
        return error_set(err, STATUS_CONFIG, "sink.collation",
                         "column %s of table %s, by which sink '%s' upserts, compares by %s: texts "
                         "that differ would be one row; make it COLLATE BINARY",
                         s->columns[column].quoted, s->quoted, s->base.sink.name, collation);
    }
    return STATUS_OK;
}

/* The order of arrival is another one in every run: with several partitions, chance would say which
 * of two rows of one key stays. */
static enum status refuse_no_origin(const struct table_sink *s, struct error *err)
{
    if (!s->is_upsert || s->has_origin) {
        return STATUS_OK;
    }
    return error_set(err, STATUS_CONFIG, "sink.no_origin",
                     "table %s, which sink '%s' upserts into, cannot tell which of two equally new "
                     "rows stays, for it does not say where they come from; add what is not there "
                     "of these: ALTER TABLE %s ADD COLUMN _weir_topic TEXT; ALTER TABLE %s ADD "
                     "COLUMN _weir_partition INTEGER; ALTER TABLE %s ADD COLUMN _weir_offset "
                     "INTEGER",
                     s->quoted, s->base.sink.name, s->quoted, s->quoted, s->quoted);
}

/* How rows may be written: see is_view, is_plain and is_unordered. */
static enum status look_at_table(struct table_sink *s, struct locallog *log, struct error *err)
{
    static const char doing[] = "looking at a table";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        log,
        "SELECT type = 'view',"
        " type = 'table' AND sql NOT LIKE '%conflict%'"
        " AND NOT EXISTS (SELECT 1 FROM sqlite_schema AS i WHERE i.tbl_name = ?1 COLLATE NOCASE"
        "                 AND i.type = 'trigger')"
        " AND NOT EXISTS (SELECT 1 FROM pragma_foreign_key_list(?1)),"
        /* Unique keys: indexes, and a primary key that is the row's number and has none. */
        " (SELECT count(*) FROM pragma_index_list(?1) WHERE \"unique\")"
        " + EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE pk > 0)"
        " - EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk')"
        " FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE",
        doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_text(statement, 1, s->table, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        s->is_view = sqlite3_column_int(statement, 0) != 0;
        s->is_plain = sqlite3_column_int(statement, 1) != 0;
        s->is_unordered =
            s->is_plain && s->is_upsert && sqlite3_column_int(statement, 2) == 1;
    } else if (code == SQLITE_DONE) {
        status = error_set(err, STATUS_FATAL, "sink.missing_table",
                           "table %s is not there any more: bring it back as it was, or audit "
                           "would miss its rows",
                           s->quoted);
    } else {
        status = locallog_error(log, code, doing, err);
    }
    sqlite3_finalize(statement);
    return status;
}

/* Which row breaks such a constraint is not known before COMMIT, when it may be mended by a later
 * one. */
static enum status refuse_deferred_keys(struct table_sink *s, struct locallog *log,
                                        struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        log, "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
        "looking at a table", &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_text(statement, 1, s->table, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    const char *sql = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (sql != NULL && deferred_in_sql(sql)) {
        status = error_set(err, STATUS_CONFIG, "sink.deferred",
                           "table %s has a constraint that is checked at COMMIT only, so the row "
                           "that breaks it could not be told; make it IMMEDIATE",
                           s->quoted);
    } else if (code != SQLITE_ROW && code != SQLITE_DONE) {
        status = locallog_error(log, code, "looking at a table", err);
    }
    sqlite3_finalize(statement);
    return status;
}

/* (newest_by, topic, partition, offset), where numbers are numbers whatever the column was declared
 * as, and a row that was there before weir came is the least of its newest_by. */
static void write_wins(const struct table_sink *s, struct buffer *sql)
{
    if (s->newest_by != FIELD_NONE) {
        const char *n = s->columns[s->newest_by].quoted;
        buffer_printf(sql,
                      " WHERE (excluded.%s IS NOT NULL AND t.%s IS NULL) OR excluded.%s > t.%s"
                      " OR (excluded.%s IS t.%s AND ",
                      n, n, n, n, n, n);
    } else {
        buffer_append_string(sql, " WHERE (");
    }
    buffer_append_string(sql, "(t._weir_offset IS NULL OR (excluded._weir_topic COLLATE BINARY,"
                              " CAST(excluded._weir_partition AS INTEGER),"
                              " CAST(excluded._weir_offset AS INTEGER)) > (t._weir_topic,"
                              " CAST(t._weir_partition AS INTEGER),"
                              " CAST(t._weir_offset AS INTEGER))))");
}

static void write_upsert(const struct table_sink *s, struct buffer *sql)
{
    for (uint32_t i = 0; i < s->key_count; i++) {
        buffer_printf(sql, "%s%s", i == 0 ? " ON CONFLICT (" : ", ",
                      s->columns[s->keys[i]].quoted);
    }
    buffer_append_string(sql, ") DO UPDATE SET ");
    for (uint32_t i = 0; i < s->column_count; i++) {
        buffer_printf(sql, "%s%s = excluded.%s", i == 0 ? "" : ", ", s->columns[i].quoted,
                      s->columns[i].quoted);
    }
    buffer_append_string(sql, ", _weir_topic = excluded._weir_topic, _weir_partition ="
                              " excluded._weir_partition, _weir_offset = excluded._weir_offset");
    write_wins(s, sql);
}

/* The name of the sink's feed; no table of a sink may have a name that begins like this. */
static void write_feed_name(const struct table_sink *s, char *out, size_t out_size)
{
    const struct system *system = s->base.sink.system;
    uint32_t number = 0;
    while (system->sinks[number] != &s->base.sink) {
        number++;
    }
    snprintf(out, out_size, "weir_feed_%u", number);
}

static int prepare_statement(const struct table_sink *s, struct locallog *log, const char *rows,
                             sqlite3_stmt **out)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "INSERT INTO %s AS t (", s->quoted);
    table_write_columns(s, s->has_origin, &sql);
    buffer_printf(&sql, ") %s", rows);
    if (s->is_upsert) {
        write_upsert(s, &sql);
    }
    int code = sqlite3_prepare_v3(locallog_database(log), buffer_string(&sql), -1,
                                  SQLITE_PREPARE_PERSISTENT, out, NULL);
    buffer_fini(&sql);
    return code;
}

static int prepare_insert(struct table_sink *s, struct locallog *log)
{
    struct buffer rows = {0};
    uint32_t count = s->column_count + (s->has_origin ? 3 : 0);
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_string(&rows, i == 0 ? "VALUES (?" : ",?");
    }
    buffer_append_byte(&rows, ')');
    int code = prepare_statement(s, log, buffer_string(&rows), &s->insert);
    buffer_fini(&rows);
    return code;
}

static int prepare_insert_all(struct table_sink *s, struct locallog *log)
{
    char name[32];
    char rows[80];
    write_feed_name(s, name, sizeof name);
    s->feed.cell_count = s->column_count;
    s->feed.has_origin = s->has_origin;
    int code = table_feed_register(locallog_database(log), name, &s->feed);
    /* Without a WHERE the parser takes ON CONFLICT for the ON of a join. */
    snprintf(rows, sizeof rows, "SELECT * FROM %s WHERE true", name);
    return code == SQLITE_OK ? prepare_statement(s, log, rows, &s->insert_all) : code;
}

static enum status prepare_statements(struct table_sink *s, struct locallog *log,
                                      struct error *err)
{
    int code = prepare_insert(s, log);
    if (code == SQLITE_OK && s->is_plain) {
        code = prepare_insert_all(s, log);
    }
    if (code == SQLITE_OK) {
        return STATUS_OK;
    }
    if (s->is_upsert && code == SQLITE_ERROR) {
        return error_set(err, STATUS_CONFIG, "sink.no_unique_key",
                         "table %s cannot be upserted into: %s; its key columns need a PRIMARY KEY "
                         "or a UNIQUE index",
                         s->quoted, sqlite3_errmsg(locallog_database(log)));
    }
    return locallog_error(log, code, "preparing the rows' statement", err);
}

static enum status read_schema_version(struct locallog *log, int *out, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status =
        sqlite_prepare(log, "PRAGMA schema_version", "looking at a table", &statement, err);
    if (status == STATUS_OK) {
        int code = sqlite3_step(statement);
        *out = sqlite3_column_int(statement, 0);
        if (code != SQLITE_ROW) {
            status = locallog_error(log, code, "looking at a table", err);
        }
        sqlite3_finalize(statement);
    }
    return status;
}

void table_close_session(struct sink *sink)
{
    struct table_sink *s = table_sink(sink);
    sqlite3_finalize(s->insert);
    sqlite3_finalize(s->insert_all);
    s->insert = NULL;
    s->insert_all = NULL;
    s->is_unordered = false;
}

/* Takes the table as it is. */
static enum status look_and_prepare(struct table_sink *s, struct locallog *log, struct error *err)
{
    table_close_session(&s->base.sink);
    enum status status = look_at_table(s, log, err);
    if (status == STATUS_OK) {
        status = table_check_columns(s, log, err);
    }
    if (status == STATUS_OK) {
        status = refuse_no_origin(s, err);
    }
    if (status == STATUS_OK) {
        status = refuse_collations(s, log, err);
    }
    if (status == STATUS_OK) {
        status = refuse_deferred_keys(s, log, err);
    }
    return status == STATUS_OK ? prepare_statements(s, log, err) : status;
}

enum status table_prepare(struct sink *sink, struct locallog *log, struct error *err)
{
    struct table_sink *s = table_sink(sink);
    enum status status = create_table(s, log, err);
    if (status == STATUS_OK) {
        status = read_schema_version(log, &s->schema_version, err);
    }
    return status == STATUS_OK ? look_and_prepare(s, log, err) : status;
}

enum status table_look_again(struct table_sink *s, struct locallog *log, struct error *err)
{
    int version = 0;
    enum status status = read_schema_version(log, &version, err);
    if (status == STATUS_OK && version != s->schema_version) {
        s->schema_version = version;
        status = look_and_prepare(s, log, err);
    }
    return status;
}
