#include "connector/sqlite/table.h"

#include <stdio.h>
#include <string.h>

#include "connector/sqlite/clauses.h"

void table_write_columns(const struct table_sink *s, bool with_origin, struct buffer *out)
{
    for (uint32_t i = 0; i < s->base.column_count; i++) {
        buffer_printf(out, "%s%s", i == 0 ? "" : ", ", s->columns[i].quoted);
    }
    if (with_origin) {
        buffer_append_string(out, ", _weir_topic, _weir_partition, _weir_offset");
    }
}

enum status table_cannot_write(const struct table_sink *s, struct locallog *log, int code,
                               const char *doing, struct error *err)
{
    if (code != SQLITE_ERROR) {
        return locallog_error(log, code, doing, err);
    }
    return error_set(err, STATUS_CONFIG, "sink.not_writable",
                     "sink '%s' cannot write to %s in %s: %s; mend it, or name another table",
                     s->base.sink.name, s->quoted, s->base.sink.system->name,
                     sqlite3_errmsg(locallog_database(log)));
}

static enum status create_table(struct table_sink *s, struct locallog *log, struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "CREATE TABLE IF NOT EXISTS %s (", s->quoted);
    for (uint32_t i = 0; i < s->base.column_count; i++) {
        buffer_printf(&sql, "%s%s %s", i == 0 ? "" : ", ", s->columns[i].quoted,
                      s->columns[i].declared);
    }
    if (!s->base.sink.is_dlq) {
        buffer_append_string(&sql, ", _weir_topic TEXT, _weir_partition INTEGER,"
                                   " _weir_offset INTEGER");
    }
    for (uint32_t i = 0; i < s->base.keys.count; i++) {
        buffer_printf(&sql, "%s%s%s", i == 0 ? ", PRIMARY KEY (" : ", ",
                      s->columns[s->base.keys.columns[i]].quoted, i + 1 == s->base.keys.count ? ")" : "");
    }
    buffer_append_string(&sql, ") STRICT");
    enum status status = locallog_begin(log, err);
    if (status == STATUS_OK) {
        int code = sqlite3_exec(locallog_database(log), buffer_string(&sql), NULL, NULL, NULL);
        status = code == SQLITE_OK
                     ? STATUS_OK
                     : table_cannot_write(s, log, code, "make the table of a sink in", err);
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

/* A column as it is in the table that is there. */
struct column_in {
    bool found;
    bool is_key; /* of the primary one */
    bool is_strict;
    char declared[64]; /* its beginning, for people */
    enum affinity affinity;
};

static enum status look_at_column(const struct table_sink *s, struct locallog *log,
                                  const char *column, struct column_in *out, struct error *err)
{
    static const char doing[] = "look at a table of";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        log,
        "SELECT type, pk > 0, coalesce((SELECT max(strict) FROM pragma_table_list(?1)"
        " WHERE schema = 'main'), 0) FROM pragma_table_info(?1) WHERE name = ?2 COLLATE NOCASE",
        doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_text(statement, 1, s->table, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, column, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    *out = (struct column_in){.found = code == SQLITE_ROW};
    if (code == SQLITE_ROW) {
        const char *declared = (const char *)sqlite3_column_text(statement, 0);
        declared = declared == NULL ? "" : declared;
        snprintf(out->declared, sizeof out->declared, "%s", declared);
        out->is_key = sqlite3_column_int(statement, 1) != 0;
        out->is_strict = sqlite3_column_int(statement, 2) != 0;
        out->affinity = table_types_affinity(declared, out->is_strict);
    } else if (code != SQLITE_DONE) {
        status = table_cannot_write(s, log, code, doing, err);
    }
    sqlite3_finalize(statement);
    return status;
}

/* All three or none: a table that somebody else made may have its own. */
static enum status find_origin(struct table_sink *s, struct locallog *log, struct error *err)
{
    static const char *const names[] = {"_weir_topic", "_weir_partition", "_weir_offset"};
    enum status status = STATUS_OK;
    s->has_origin = true;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && status == STATUS_OK; i++) {
        struct column_in column;
        status = look_at_column(s, log, names[i], &column, err);
        s->has_origin = s->has_origin && status == STATUS_OK && column.found;
    }
    return status;
}

static enum status refuse_missing(const struct table_sink *s, struct locallog *log,
                                  const struct column_out *column, struct error *err)
{
    struct column_in any;
    /* Of the table, not of the column: what is asked is whether it is STRICT. */
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        log, "SELECT name FROM pragma_table_info(?1) LIMIT 1", "look at a table of", &statement,
        err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_text(statement, 1, s->table, -1, SQLITE_STATIC);
    const char *first =
        sqlite3_step(statement) == SQLITE_ROW
            ? (const char *)sqlite3_column_text(statement, 0)
            : "";
    status = look_at_column(s, log, first, &any, err);
    sqlite3_finalize(statement);
    return status != STATUS_OK
               ? status
               : error_set(err, STATUS_CONFIG, "sink.missing_column",
                           "table %s has no column %s, which sink '%s' writes; add it: ALTER TABLE "
                           "%s ADD COLUMN %s %s; or drop the field in transform.drop",
                           s->quoted, column->quoted, s->base.sink.name, s->quoted,
                           column->quoted, table_types_needed(column->cells, any.is_strict));
}

enum status table_check_columns(struct table_sink *s, struct locallog *log, struct error *err)
{
    for (uint32_t i = 0; i < s->base.column_count; i++) {
        struct column_in column;
        enum status status = look_at_column(s, log, s->columns[i].name, &column, err);
        if (status == STATUS_OK && !column.found) {
            status = refuse_missing(s, log, &s->columns[i], err);
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
    for (uint32_t i = 0; s->base.keys.is_upsert && i <= s->base.keys.count; i++) {
        uint32_t column = i < s->base.keys.count ? s->base.keys.columns[i] : s->base.keys.newest_by;
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

/* SQLite has no statement that changes a type. */
static enum status refuse_type(const struct table_sink *s, const struct column_out *column,
                               const struct column_in *in, struct error *err)
{
    const char *name = column->quoted;
    const char *needed = table_types_needed(column->cells, in->is_strict);
    const char *old = sqlite_quote(s->base.arena, arena_printf(s->base.arena, "%s_old", column->name));
    const char *mend =
        in->is_key
            ? "make the table anew with that type, for the column is of its primary key"
            : arena_printf(s->base.arena,
                           "ALTER TABLE %s RENAME COLUMN %s TO %s; ALTER TABLE %s ADD COLUMN %s "
                           "%s; UPDATE %s SET %s = %s; ALTER TABLE %s DROP COLUMN %s",
                           s->quoted, name, old, s->quoted, name, needed, s->quoted, name, old,
                           s->quoted, old);
    return error_set(err, STATUS_CONFIG, "sink.column_type",
                     "column %s of table %s is %s, which would change the %s that sink '%s' "
                     "writes, and audit would call them altered; it must be %s: %s",
                     name, s->quoted, in->declared, table_types_word(column->cells),
                     s->base.sink.name, needed, mend);
}

/* What triggers make of the rows of a view is theirs. */
static enum status check_types(struct table_sink *s, struct locallog *log, struct error *err)
{
    enum status status = STATUS_OK;
    s->may_change = false;
    for (uint32_t i = 0; i < s->base.column_count && status == STATUS_OK && !s->is_view; i++) {
        struct column_out *column = &s->columns[i];
        struct column_in in;
        status = look_at_column(s, log, column->name, &in, err);
        if (status == STATUS_OK && !table_types_fit(column->cells, in.affinity)) {
            status = refuse_type(s, column, &in, err);
        }
        if (status == STATUS_OK) {
            column->affinity = in.affinity;
            column->may_change = table_types_may_change(column->cells, in.affinity);
            s->may_change = s->may_change || column->may_change;
        }
    }
    return status;
}

/* The order of arrival is another one in every run: with several partitions, chance would say which
 * of two rows of one key stays. */
static enum status refuse_no_origin(const struct table_sink *s, struct error *err)
{
    if (!s->base.keys.is_upsert || s->has_origin) {
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

/* How rows may be written: see is_view, has_trigger, is_plain and is_unordered. */
static enum status look_at_table(struct table_sink *s, struct locallog *log, struct error *err)
{
    static const char doing[] = "look at a table of";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        log,
        "SELECT type = 'view',"
        " EXISTS (SELECT 1 FROM sqlite_schema AS i WHERE i.tbl_name = ?1 COLLATE NOCASE"
        "         AND i.type = 'trigger'),"
        " type = 'table' AND NOT EXISTS (SELECT 1 FROM pragma_foreign_key_list(?1)),"
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
        s->has_trigger = sqlite3_column_int(statement, 1) != 0;
        s->is_plain = !s->has_trigger && sqlite3_column_int(statement, 2) != 0;
        s->is_unordered =
            s->is_plain && s->base.keys.is_upsert && sqlite3_column_int(statement, 3) == 1;
    } else if (code == SQLITE_DONE) {
        status = error_set(err, STATUS_FATAL, "sink.missing_table",
                           "table %s is not there any more: bring it back as it was, or audit "
                           "would miss its rows",
                           s->quoted);
    } else {
        status = table_cannot_write(s, log, code, doing, err);
    }
    sqlite3_finalize(statement);
    return status;
}

/* Which row breaks a deferred constraint is not known before COMMIT, when it may be mended by a
 * later one. ON CONFLICT REPLACE deletes rows that were delivered; statements say OR ABORT against
 * it, but not where that would reach into triggers. */
static enum status refuse_clauses(struct table_sink *s, struct locallog *log, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        log, "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
        "look at a table of", &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_text(statement, 1, s->table, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    const char *sql = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (sql != NULL && clauses_defer(sql)) {
        status = error_set(err, STATUS_CONFIG, "sink.deferred",
                           "table %s has a constraint that is checked at COMMIT only, so the row "
                           "that breaks it could not be told; make it IMMEDIATE",
                           s->quoted);
    } else if (sql != NULL && s->has_trigger && clauses_replace(sql)) {
        status = error_set(err, STATUS_CONFIG, "sink.replace",
                           "table %s has triggers and a constraint with ON CONFLICT REPLACE, which "
                           "would delete rows that sink '%s' has delivered; make the table anew "
                           "without that clause",
                           s->quoted, s->base.sink.name);
    } else if (code != SQLITE_ROW && code != SQLITE_DONE) {
        status = locallog_error(log, code, "look at a table of", err);
    }
    sqlite3_finalize(statement);
    return status;
}

/* (newest_by, topic, partition, offset), where numbers are numbers whatever the column was declared
 * as, and a row that was there before weir came is the least of its newest_by. */
static void write_wins(const struct table_sink *s, struct buffer *sql)
{
    if (s->base.keys.newest_by != FIELD_NONE) {
        const char *n = s->columns[s->base.keys.newest_by].quoted;
        buffer_printf(sql,
                      "(excluded.%s IS NOT NULL AND t.%s IS NULL) OR excluded.%s > t.%s"
                      " OR (excluded.%s IS t.%s AND ",
                      n, n, n, n, n, n);
    } else {
        buffer_append_byte(sql, '(');
    }
    buffer_append_string(sql, "(t._weir_offset IS NULL OR (excluded._weir_topic COLLATE BINARY,"
                              " CAST(excluded._weir_partition AS INTEGER),"
                              " CAST(excluded._weir_offset AS INTEGER)) > (t._weir_topic,"
                              " CAST(t._weir_partition AS INTEGER),"
                              " CAST(t._weir_offset AS INTEGER))))");
}

static void write_upsert(const struct table_sink *s, struct buffer *sql)
{
    for (uint32_t i = 0; i < s->base.keys.count; i++) {
        buffer_printf(sql, "%s%s", i == 0 ? " ON CONFLICT (" : ", ",
                      s->columns[s->base.keys.columns[i]].quoted);
    }
    buffer_append_string(sql, ") DO UPDATE SET ");
    for (uint32_t i = 0; i < s->base.column_count; i++) {
        buffer_printf(sql, "%s%s = excluded.%s", i == 0 ? "" : ", ", s->columns[i].quoted,
                      s->columns[i].quoted);
    }
    buffer_append_string(sql, ", _weir_topic = excluded._weir_topic, _weir_partition ="
                              " excluded._weir_partition, _weir_offset = excluded._weir_offset");
    buffer_append_string(sql, " WHERE ");
    write_wins(s, sql);
}

static int prepare_lookup(struct table_sink *s, struct locallog *log)
{
    static const char *const origin[] = {"_weir_topic", "_weir_partition", "_weir_offset"};
    struct buffer sql = {0};
    buffer_append_string(&sql, "SELECT EXISTS (SELECT 1 FROM (SELECT ");
    for (uint32_t i = 0; i < s->base.column_count; i++) {
        buffer_printf(&sql, "?%u AS %s, ", i + 1, s->columns[i].quoted);
    }
    for (uint32_t i = 0; i < 3; i++) {
        buffer_printf(&sql, "?%u AS %s%s", s->base.column_count + i + 1, origin[i], i < 2 ? ", " : "");
    }
    buffer_printf(&sql, ") AS excluded JOIN %s AS t ON ", s->quoted);
    for (uint32_t i = 0; i < s->base.keys.count; i++) {
        const char *key = s->columns[s->base.keys.columns[i]].quoted;
        buffer_printf(&sql, "%st.%s = excluded.%s", i == 0 ? "" : " AND ", key, key);
    }
    buffer_append_string(&sql, " WHERE NOT coalesce(");
    write_wins(s, &sql);
    buffer_append_string(&sql, ", 0))");
    int code = sqlite3_prepare_v3(locallog_database(log), buffer_string(&sql), -1,
                                  SQLITE_PREPARE_PERSISTENT, &s->lookup, NULL);
    buffer_fini(&sql);
    return code;
}

/* ?1 … ?3 where the tombstone comes from, and behind that the key. */
static int prepare_deletion(struct table_sink *s, struct locallog *log)
{
    struct sqlite3 *database = locallog_database(log);
    const struct table_keys *keys = &s->base.keys;
    struct buffer condition = {0};
    struct buffer sql = {0};
    buffer_append_string(&condition,
                         "WHERE (_weir_offset IS NULL OR (?1, ?2, ?3) >"
                         " (_weir_topic COLLATE BINARY, CAST(_weir_partition AS INTEGER),"
                         " CAST(_weir_offset AS INTEGER)))");
    for (uint32_t i = 0; i < keys->count; i++) {
        buffer_printf(&condition, " AND %s = ?%u", s->columns[keys->columns[i]].quoted, i + 4);
    }
    buffer_printf(&sql, "DELETE FROM %s %s", s->quoted, buffer_string(&condition));
    int code = sqlite3_prepare_v3(database, buffer_string(&sql), -1, SQLITE_PREPARE_PERSISTENT,
                                  &s->delete, NULL);
    buffer_clear(&sql);
    buffer_printf(&sql, "SELECT EXISTS (SELECT 1 FROM %s %s)", s->quoted,
                  buffer_string(&condition));
    if (code == SQLITE_OK) {
        code = sqlite3_prepare_v3(database, buffer_string(&sql), -1, SQLITE_PREPARE_PERSISTENT,
                                  &s->survivor, NULL);
    }
    buffer_fini(&condition);
    buffer_fini(&sql);
    return code;
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
    /* Against ON CONFLICT clauses of the table. It would count for what triggers say, too: a table
     * that has some keeps its own. */
    buffer_printf(&sql, "INSERT %sINTO %s AS t (", s->has_trigger ? "" : "OR ABORT ", s->quoted);
    table_write_columns(s, s->has_origin, &sql);
    buffer_printf(&sql, ") %s", rows);
    if (s->base.keys.is_upsert) {
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
    uint32_t count = s->base.column_count + (s->has_origin ? 3 : 0);
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
    s->feed.cell_count = s->base.column_count;
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
    if (code == SQLITE_OK && s->base.keys.is_upsert && s->has_trigger) {
        code = prepare_lookup(s, log);
    }
    if (code == SQLITE_OK && s->base.keys.takes_tombstones) {
        code = prepare_deletion(s, log);
    }
    if (code == SQLITE_OK) {
        return STATUS_OK;
    }
    if (s->base.keys.is_upsert && !s->is_view && code == SQLITE_ERROR &&
        strstr(sqlite3_errmsg(locallog_database(log)), "ON CONFLICT clause") != NULL) {
        return error_set(err, STATUS_CONFIG, "sink.no_unique_key",
                         "table %s cannot be upserted into: %s; its key columns need a PRIMARY KEY "
                         "or a UNIQUE index",
                         s->quoted, sqlite3_errmsg(locallog_database(log)));
    }
    return table_cannot_write(s, log, code, "prepare to write to a table of", err);
}

static enum status read_schema_version(struct locallog *log, int *out, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status =
        sqlite_prepare(log, "PRAGMA schema_version", "look at a table of", &statement, err);
    if (status == STATUS_OK) {
        int code = sqlite3_step(statement);
        *out = sqlite3_column_int(statement, 0);
        if (code != SQLITE_ROW) {
            status = locallog_error(log, code, "look at a table of", err);
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
    sqlite3_finalize(s->lookup);
    sqlite3_finalize(s->delete);
    sqlite3_finalize(s->survivor);
    s->lookup = NULL;
    s->delete = NULL;
    s->survivor = NULL;
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
        status = refuse_clauses(s, log, err);
    }
    if (status == STATUS_OK) {
        status = check_types(s, log, err);
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
