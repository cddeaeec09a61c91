/* A SQLite file as a system: its session and its operations. */
#include "connector/sqlite/system.h"

#include <sqlite3.h>
#include <string.h>

#include "base/broken.h"
#include "os/file.h"
#include "os/place.h"

struct locallog *sqlite_system_log(const struct system *system)
{
    return sqlite_system(system)->log;
}

/* --- making and closing --- */

enum status sqlite_system_place(struct arena *arena, const struct doc *config, const char *folder,
                                char **out_place, struct error *err)
{
    const char *path = grammar_string(config, "path", "");
    const struct doc *node = doc_get(config, "path");
    const char *joined = arena_printf(arena, "%s%s", path[0] == '/' ? "" : folder, path);
    char *place = place_real(arena, joined);
    if (path[0] == '\0') {
        return doc_error(node, err, "config.value", "the path of the SQLite file is empty");
    }
    if (folder_exists(joined)) {
        return doc_error(node, err, "config.value",
                         "%s is a folder; topics and tables need a file: name one", joined);
    }
    if (place == NULL) {
        return doc_error(node, err, "config.missing_folder",
                         "the folder of %s is not there; make it, or name another place", joined);
    }
    *out_place = place;
    return STATUS_OK;
}

static const char *place_of(const struct system *system)
{
    return sqlite_system(system)->place;
}

void sqlite_system_add(struct system *system, struct sink *sink,
                       const struct sqlite_sink_work *work)
{
    struct sqlite_system *s = sqlite_system(system);
    s->works = memory_realloc(s->works, size_mul(system->sink_count + 1, sizeof *s->works));
    s->works[system->sink_count] = work;
    system->sinks = memory_realloc(system->sinks,
                                   size_mul(system->sink_count + 1, sizeof *system->sinks));
    sink->system = system;
    sink->index = system->sink_count;
    system->sinks[system->sink_count++] = sink;
}

static void close_session(struct system *system)
{
    struct sqlite_system *s = sqlite_system(system);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        sqlite_sink_work(system->sinks[i])->close_session(system->sinks[i]);
    }
    sqlite3_finalize(s->update_progress);
    sqlite3_finalize(s->read_segment);
    sqlite3_finalize(s->write_segment);
    sqlite3_finalize(s->write_reject);
    s->update_progress = s->read_segment = s->write_segment = s->write_reject = NULL;
    locallog_checkpointer_stop(s->checkpointer);
    s->checkpointer = NULL;
    if (s->log != NULL) {
        locallog_close(s->log);
        s->log = NULL;
    }
    if (s->group_lock != NULL) {
        locallog_group_release(s->group_lock);
        s->group_lock = NULL;
    }
    memory_free(s->pipeline);
    s->pipeline = NULL;
}

static void close_system(struct system *system)
{
    struct sqlite_system *s = sqlite_system(system);
    if (s->pipeline != NULL) {
        close_session(system);
    }
    for (uint32_t i = 0; i < system->sink_count; i++) {
        sqlite_sink_work(system->sinks[i])->free(system->sinks[i]);
    }
    memory_free(system->sinks);
    memory_free(s->works);
    memory_free(s->place);
    memory_free(s->name);
    memory_free(s);
}

/* --- session --- */

static const char schema_sql[] =
    "CREATE TABLE IF NOT EXISTS weir_progress (pipeline TEXT NOT NULL, topic TEXT NOT NULL,"
    " partition TEXT NOT NULL, owner INTEGER NOT NULL, epoch INTEGER NOT NULL,"
    " next_offset INTEGER NOT NULL, records INTEGER NOT NULL, valid INTEGER NOT NULL,"
    " invalid INTEGER NOT NULL, duplicate INTEGER NOT NULL, late INTEGER NOT NULL,"
    " filtered INTEGER NOT NULL, record BLOB NOT NULL,"
    " PRIMARY KEY (pipeline, topic, partition)) STRICT;"
    "CREATE TABLE IF NOT EXISTS weir_start (pipeline TEXT NOT NULL, topic TEXT NOT NULL,"
    " partition TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (pipeline, topic, partition))"
    " STRICT;"
    "CREATE TABLE IF NOT EXISTS weir_ledger (pipeline TEXT NOT NULL, topic TEXT NOT NULL,"
    " partition TEXT NOT NULL, first_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL,"
    " segment BLOB NOT NULL, PRIMARY KEY (pipeline, topic, partition, first_offset)) STRICT;"
    "CREATE TABLE IF NOT EXISTS weir_plan (hash TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS weir_rejects (pipeline TEXT NOT NULL, number INTEGER NOT NULL,"
    " sink TEXT NOT NULL, topic TEXT NOT NULL, partition TEXT NOT NULL,"
    " \"offset\" INTEGER NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL, key BLOB,"
    " value BLOB, timestamp_us INTEGER, attempt INTEGER NOT NULL DEFAULT 1, headers BLOB,"
    " plan TEXT, forward INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (pipeline, number)) STRICT;";

/* What a table that an older weir made lacks. */
static const char widen_sql[] =
    "ALTER TABLE weir_rejects ADD COLUMN timestamp_us INTEGER;"
    "ALTER TABLE weir_rejects ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE weir_rejects ADD COLUMN headers BLOB;"
    "ALTER TABLE weir_rejects ADD COLUMN plan TEXT;"
    "ALTER TABLE weir_rejects ADD COLUMN forward INTEGER NOT NULL DEFAULT 0;";
static const char index_sql[] =
    "CREATE INDEX IF NOT EXISTS weir_rejects_forward ON weir_rejects"
    " (pipeline, topic, partition, sink, \"offset\") WHERE forward = 1;";

#define UPDATE_PROGRESS \
    "UPDATE weir_progress SET epoch = ?1, next_offset = ?2, records = ?3, valid = ?4," \
    " invalid = ?5, duplicate = ?6, late = ?7, filtered = ?8, record = ?9" \
    " WHERE pipeline = ?10 AND topic = ?11 AND partition = ?12"

static enum status prepare_statements(struct sqlite_system *s, struct error *err)
{
    static const char doing[] = "prepare a commit to";
    enum status status =
        sqlite_prepare(s->log,
                       BROKEN("no-cas") ? UPDATE_PROGRESS " AND ?13 IS NOT NULL"
                                        : UPDATE_PROGRESS " AND owner = ?13 AND epoch = ?1 - 1",
                       doing, &s->update_progress, err);
    if (status == STATUS_OK) {
        status = sqlite_prepare(s->log,
                                "SELECT segment FROM weir_ledger WHERE pipeline = ?1 AND"
                                " topic = ?2 AND partition = ?3 AND first_offset = ?4",
                                doing, &s->read_segment, err);
    }
    if (status == STATUS_OK) {
        status = sqlite_prepare(s->log,
                                "INSERT OR REPLACE INTO weir_ledger VALUES (?1,?2,?3,?4,?5,?6)",
                                doing, &s->write_segment, err);
    }
    if (status == STATUS_OK) {
        status = sqlite_prepare(
            s->log,
            "INSERT INTO weir_rejects VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM"
            " weir_rejects WHERE pipeline = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
            " ?13, ?14)",
            doing, &s->write_reject, err);
    }
    return status;
}

static enum status widen_rejects(struct sqlite_system *s, struct error *err)
{
    static const char doing[] = "make weir's tables in";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        s->log, "SELECT 1 FROM pragma_table_info('weir_rejects') WHERE name = 'forward'", doing,
        &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    int code = sqlite3_step(statement);
    sqlite3_finalize(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        return locallog_error(s->log, code, doing, err);
    }
    if (code == SQLITE_DONE) {
        status = sqlite_run(s->log, widen_sql, doing, err);
    }
    return status == STATUS_OK ? sqlite_run(s->log, index_sql, doing, err) : status;
}

static enum status make_tables(struct sqlite_system *s, struct error *err)
{
    enum status status = locallog_begin(s->log, err);
    if (status == STATUS_OK) {
        status = sqlite_run(s->log, schema_sql, "make weir's tables in", err);
    }
    if (status == STATUS_OK) {
        status = widen_rejects(s, err);
    }
    if (status == STATUS_OK) {
        status = locallog_commit(s->log, err);
    }
    if (status != STATUS_OK) {
        locallog_rollback(s->log);
    }
    return status;
}

static enum status open_session(struct system *system, const char *pipeline, struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
    s->pipeline = memory_copy_string(pipeline);
    enum status status = locallog_open(s->place, LOCALLOG_CREATE, &s->log, err);
    if (status == STATUS_OK) {
        /* SQLite checks what FOREIGN KEY says only when it is told to. What a statement of many
         * rows keeps in case it fails is small and stays in memory. */
        status = sqlite_run(s->log, "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY",
                            "open", err);
    }
    if (status == STATUS_OK && !BROKEN("no-lock")) {
        status = locallog_group_acquire(s->place, pipeline, &s->group_lock, err);
    }
    if (status == STATUS_OK) {
        status = make_tables(s, err);
    }
    if (status == STATUS_OK) {
        status = prepare_statements(s, err);
    }
    if (status == STATUS_OK) {
        status = locallog_checkpointer_start(s->place, &s->checkpointer, err);
    }
    if (status != STATUS_OK) {
        close_session(system);
    }
    return status;
}

/* The tables of schema_sql, for who may not make them. */
static enum status check_tables(struct sqlite_system *s, struct error *err)
{
    static const char doing[] = "look for progress in";
    sqlite3_stmt *statement = NULL;
    enum status status =
        sqlite_prepare(s->log,
                       "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN"
                       " ('weir_progress', 'weir_start', 'weir_ledger', 'weir_plan',"
                       " 'weir_rejects')",
                       doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW) {
        status = locallog_error(s->log, code, doing, err);
    } else if (sqlite3_column_int(statement, 0) < 5) {
        status = error_set(err, STATUS_CONFIG, "progress.none",
                           "pipeline '%s' has not run with %s yet; run it first: weir run",
                           s->pipeline, s->place);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status open_reader(struct system *system, const char *pipeline, struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
    s->pipeline = memory_copy_string(pipeline);
    enum status status = locallog_open(s->place, LOCALLOG_READ, &s->log, err);
    if (status == STATUS_OK) {
        status = check_tables(s, err);
    }
    if (status != STATUS_OK) {
        close_session(system);
    }
    return status;
}

static enum status copy_system(struct system *system, const char *to,
                               const struct copy_observer *observer, struct error *err)
{
    return locallog_copy(sqlite_system(system)->place, to, observer, err);
}

static bool is_owned(struct system *system, const char *pipeline)
{
    return locallog_group_is_owned(sqlite_system(system)->place, pipeline);
}

const struct system_ops sqlite_system_ops = {
    .kind = "sqlite",
    .can_decide = true,
    .takes_forwarded = true,
    .plans_place = "table weir_plan",
    .place = place_of,
    .open_session = open_session,
    .open_reader = open_reader,
    .close_session = close_session,
    .is_owned = is_owned,
    .load = sqlite_load,
    .load_first = sqlite_load_first,
    .count_partitions = sqlite_count_partitions,
    .begin = sqlite_begin,
    .take_over = sqlite_take_over,
    .commit = sqlite_commit,
    .load_plan = sqlite_load_plan,
    .load_segments = sqlite_load_segments,
    .scan_rejects = sqlite_scan_rejects,
    .load_rejects = sqlite_load_rejects,
    .copy = copy_system,
    .close = close_system,
};

struct system *sqlite_system_new(const char *place)
{
    struct sqlite_system *s = memory_alloc_zero(1, sizeof *s);
    const char *slash = strrchr(place, '/');
    s->place = memory_copy_string(place);
    s->name = memory_copy_string(slash == NULL ? place : slash + 1);
    s->system.ops = &sqlite_system_ops;
    s->system.name = s->name;
    return &s->system;
}
