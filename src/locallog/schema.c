/*
 * The tables of a log, and how they come into a file.
 *
 * The format is the number in weir_format. A file that weir makes says it in its header too
 * (application_id and user_version, for file(1) and for people). A database that somebody else made
 * keeps what its header says, for its own programs read that.
 *
 * Several processes may make the same file at once: the making is done under the ticket, by whoever
 * gets it first; the others look again and find it done.
 */
#include "locallog/private.h"

#include <stdio.h>
#include <string.h>

#include "os/file.h"

#define APPLICATION_ID INT64_C(0x57454952) /* "WEIR" */
#define FORMAT INT64_C(1)
#define PAGE_BYTES 16384

static const char tables[] =
    "CREATE TABLE weir_format (format INTEGER NOT NULL) STRICT;"
    /* AUTOINCREMENT: a number that was in use is not used again, so that whoever still holds one of
     * a deleted topic finds nothing, and not another topic. */
    "CREATE TABLE weir_topic ("
    " topic INTEGER PRIMARY KEY AUTOINCREMENT,"
    " name TEXT NOT NULL UNIQUE,"
    " id TEXT NOT NULL,"
    " partitions INTEGER NOT NULL,"
    " created_us INTEGER NOT NULL) STRICT;"
    "CREATE TABLE weir_partition ("
    " number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " topic INTEGER NOT NULL,"
    " partition INTEGER NOT NULL,"
    " first_offset INTEGER NOT NULL DEFAULT 0,"
    " next_offset INTEGER NOT NULL DEFAULT 0,"
    " max_timestamp_ms INTEGER NOT NULL DEFAULT 0,"
    " UNIQUE (topic, partition)) STRICT;"
    "CREATE TABLE weir_batch ("
    " position INTEGER PRIMARY KEY,"
    " topic INTEGER NOT NULL,"
    " partition INTEGER NOT NULL,"
    " base_offset INTEGER NOT NULL,"
    " count INTEGER NOT NULL,"
    " max_timestamp_ms INTEGER NOT NULL,"
    " bytes BLOB NOT NULL) STRICT;"
    "CREATE TABLE weir_group ("
    " \"group\" TEXT NOT NULL,"
    " topic INTEGER NOT NULL,"
    " partition INTEGER NOT NULL,"
    " next_offset INTEGER NOT NULL,"
    " metadata TEXT NOT NULL,"
    " PRIMARY KEY (\"group\", topic, partition)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE weir_producer ("
    " producer TEXT NOT NULL,"
    " topic INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL,"
    " digest BLOB NOT NULL,"
    " PRIMARY KEY (producer, topic)) STRICT, WITHOUT ROWID;"
    "CREATE VIEW weir_topics AS"
    " SELECT t.name, p.partition, p.first_offset, p.next_offset,"
    " p.next_offset - p.first_offset AS records,"
    " (SELECT coalesce(sum(length(b.bytes)), 0) FROM weir_batch b"
    " WHERE b.position BETWEEN p.number << 40 AND p.number << 40 | 0xFFFFFFFFFF) AS bytes"
    " FROM weir_topic t JOIN weir_partition p USING (topic) ORDER BY t.name, p.partition;";

static enum status format_read(struct locallog *log, bool *out_found, int64_t *out_format,
                               struct error *err)
{
    int64_t count = 0;
    enum status status = sql_integer(
        log, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'weir_format'", 0,
        &count, err);
    *out_found = count > 0;
    if (status == STATUS_OK && *out_found) {
        status = sql_integer(log, "SELECT format FROM weir_format", 0, out_format, err);
    }
    return status;
}

/* Empty files only: page size and vacuum are fixed with the first page. */
static enum status layout_choose(struct locallog *log, bool *out_is_new, struct error *err)
{
    int64_t things;
    int64_t application;
    int64_t version;
    enum status status = sql_integer(log, "SELECT count(*) FROM sqlite_schema", 0, &things, err);
    if (status == STATUS_OK) {
        status = sql_integer(log, "PRAGMA application_id", 0, &application, err);
    }
    if (status == STATUS_OK) {
        status = sql_integer(log, "PRAGMA user_version", 0, &version, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    *out_is_new = things == 0 && application == 0 && version == 0;
    if (things > 0) {
        return STATUS_OK;
    }
    char sql[80];
    snprintf(sql, sizeof sql, "PRAGMA page_size = %d; PRAGMA auto_vacuum = INCREMENTAL",
             PAGE_BYTES);
    return sql_run(log, sql, "make", err);
}

static enum status wal_choose(struct locallog *log, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(log->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    if (result == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    enum status status = STATUS_OK;
    if (result != SQLITE_ROW) {
        status = locallog_error(log, result == SQLITE_DONE ? SQLITE_ERROR : result,
                                "make a write-ahead log for", err);
    } else if (strcmp((const char *)sqlite3_column_text(statement, 0), "wal") != 0) {
        status = error_set(err, STATUS_CONFIG, "log.unopenable",
                           "%s cannot have a write-ahead log where it is. Put it into a folder on "
                           "a local disk.",
                           log->path);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status tables_make(struct locallog *log, bool is_new, struct error *err)
{
    char head[160];
    snprintf(head, sizeof head,
             "INSERT INTO weir_format VALUES (%lld); PRAGMA application_id = %lld;"
             "PRAGMA user_version = %lld",
             (long long)FORMAT, (long long)APPLICATION_ID, (long long)FORMAT);
    if (!is_new) {
        char *end = strchr(head, ';');
        *end = '\0';
    }
    enum status status = sql_run(log, "BEGIN IMMEDIATE", "make the tables of", err);
    if (status == STATUS_OK) {
        status = sql_run(log, tables, "make the tables of", err);
    }
    if (status == STATUS_OK) {
        status = sql_run(log, head, "make the tables of", err);
    }
    if (status == STATUS_OK) {
        status = sql_run(log, "COMMIT", "make the tables of", err);
    }
    if (status != STATUS_OK) {
        sqlite3_exec(log->db, "ROLLBACK", NULL, NULL, NULL); /* The first error counts. */
    }
    return status;
}

/* Under the ticket. */
static enum status schema_make(struct locallog *log, struct error *err)
{
    bool is_new;
    enum status status = layout_choose(log, &is_new, err);
    if (status == STATUS_OK) {
        status = wal_choose(log, err);
    }
    if (status == STATUS_OK) {
        status = tables_make(log, is_new, err);
    }
    return status;
}

/* Once more under the ticket, which waits for whoever may be making the tables. */
static enum status schema_look_again(struct locallog *log, bool *out_found, int64_t *out_format,
                                     struct error *err)
{
    enum status status = locallog_open_locks(log, err);
    if (status == STATUS_OK) {
        status = ticket_take(log->locks, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = format_read(log, out_found, out_format, err);
    if (status == STATUS_OK && !*out_found && log->mode == LOCALLOG_CREATE) {
        status = schema_make(log, err);
        *out_found = status == STATUS_OK;
        *out_format = FORMAT;
    }
    ticket_give_back(log->locks);
    return status;
}

/* True when somebody has written to this file as a log, or is about to. */
static bool has_lock_file(const struct locallog *log)
{
    struct buffer name = {0};
    buffer_printf(&name, "%s-lock", log->path);
    bool exists = file_exists(buffer_string(&name));
    buffer_fini(&name);
    return exists;
}

enum status schema_open(struct locallog *log, struct error *err)
{
    bool found;
    int64_t format = 0;
    enum status status = format_read(log, &found, &format, err);
    if (status == STATUS_OK && !found && log->mode != LOCALLOG_PEEK && has_lock_file(log)) {
        status = schema_look_again(log, &found, &format, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (!found && log->mode == LOCALLOG_PEEK) {
        return STATUS_OK;
    }
    if (!found) {
        return error_set(err, STATUS_CONFIG, "log.not_weir",
                         "%s is an SQLite database without a log in it. A log is made in it when "
                         "records are first written there.",
                         log->path);
    }
    if (format > FORMAT) {
        return error_set(err, STATUS_CONFIG, "log.newer_format",
                         "%s has format %lld; this program knows %lld. Use a newer weir.",
                         log->path, (long long)format, (long long)FORMAT);
    }
    if (format < FORMAT) {
        return error_set(err, STATUS_FATAL, "log.corrupt", "%s says that its format is %lld.",
                         log->path, (long long)format);
    }
    /* Somebody may have switched it off with another program. */
    return mode_writes(log->mode) ? wal_choose(log, err) : STATUS_OK;
}
