#include "connector/sqlite/system.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "connector/reject.h"
#include "os/file.h"
#include "os/place.h"

struct sqlite_system {
    struct system system; /* first */
    char *place;
    char *name;
    char *pipeline;       /* while a session is open */
    struct locallog *log;
    struct locallog_group_lock *group_lock;
    struct locallog_checkpointer *checkpointer;
    uint64_t owner;
    sqlite3_stmt *update_progress;
    sqlite3_stmt *read_segment;
    sqlite3_stmt *write_segment;
    sqlite3_stmt *write_reject;
};

static struct sqlite_system *self(const struct system *system)
{
    return (struct sqlite_system *)system;
}

static struct sqlite_sink *sqlite_sink(struct sink *sink)
{
    return (struct sqlite_sink *)sink;
}

struct locallog *sqlite_system_log(const struct system *system)
{
    return self(system)->log;
}

/* --- small helpers for statements --- */

enum status sqlite_run(struct locallog *log, const char *sql, const char *doing,
                       struct error *err)
{
    int code = sqlite3_exec(locallog_database(log), sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? STATUS_OK : locallog_error(log, code, doing, err);
}

enum status sqlite_prepare(struct locallog *log, const char *sql, const char *doing,
                           sqlite3_stmt **out, struct error *err)
{
    int code = sqlite3_prepare_v3(locallog_database(log), sql, -1, SQLITE_PREPARE_PERSISTENT, out,
                                  NULL);
    return code == SQLITE_OK ? STATUS_OK : locallog_error(log, code, doing, err);
}

const char *sqlite_quote(struct arena *arena, const char *name)
{
    struct buffer quoted = {0};
    buffer_append_byte(&quoted, '"');
    for (; *name != '\0'; name++) {
        if (*name == '"') {
            buffer_append_byte(&quoted, '"');
        }
        buffer_append_byte(&quoted, (uint8_t)*name);
    }
    buffer_append_byte(&quoted, '"');
    const char *copy = arena_copy(arena, quoted.data, quoted.size);
    buffer_fini(&quoted);
    return copy;
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

static void bind_bytes(sqlite3_stmt *statement, int index, struct bytes bytes)
{
    if (bytes_is_none(bytes)) {
        sqlite3_bind_null(statement, index);
    } else {
        sqlite3_bind_blob64(statement, index, bytes.size == 0 ? (const uint8_t *)"" : bytes.data,
                            bytes.size, SQLITE_STATIC);
    }
}

/* Runs a statement to its end and makes it ready again. */
static enum status step_done(struct locallog *log, sqlite3_stmt *statement, const char *doing,
                             struct error *err)
{
    int code = sqlite3_step(statement);
    enum status status = code == SQLITE_DONE ? STATUS_OK : locallog_error(log, code, doing, err);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return status;
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
    return self(system)->place;
}

void sqlite_system_add(struct system *system, struct sqlite_sink *sink)
{
    system->sinks = memory_realloc(system->sinks,
                                   size_mul(system->sink_count + 1, sizeof *system->sinks));
    sink->sink.system = system;
    sink->sink.index = system->sink_count;
    system->sinks[system->sink_count++] = &sink->sink;
}

static void close_session(struct system *system)
{
    struct sqlite_system *s = self(system);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        sqlite_sink(system->sinks[i])->work->close_session(system->sinks[i]);
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
    struct sqlite_system *s = self(system);
    if (s->pipeline != NULL) {
        close_session(system);
    }
    for (uint32_t i = 0; i < system->sink_count; i++) {
        sqlite_sink(system->sinks[i])->work->free(system->sinks[i]);
    }
    memory_free(system->sinks);
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
    " value BLOB, PRIMARY KEY (pipeline, number)) STRICT;";

static enum status prepare_statements(struct sqlite_system *s, struct error *err)
{
    static const char doing[] = "prepare a commit to";
    enum status status = sqlite_prepare(
        s->log,
        "UPDATE weir_progress SET epoch = ?1, next_offset = ?2, records = ?3, valid = ?4,"
        " invalid = ?5, duplicate = ?6, late = ?7, filtered = ?8, record = ?9"
        " WHERE pipeline = ?10 AND topic = ?11 AND partition = ?12"
#ifndef WEIR_BREAK_NO_CAS
        " AND owner = ?13 AND epoch = ?1 - 1"
#else
        " AND ?13 IS NOT NULL"
#endif
        ,
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
            " weir_rejects WHERE pipeline = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            doing, &s->write_reject, err);
    }
    return status;
}

static enum status make_tables(struct sqlite_system *s, struct error *err)
{
    enum status status = locallog_begin(s->log, err);
    if (status == STATUS_OK) {
        status = sqlite_run(s->log, schema_sql, "make weir's tables in", err);
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
    struct sqlite_system *s = self(system);
    s->pipeline = memory_copy_string(pipeline);
    enum status status = locallog_open(s->place, LOCALLOG_CREATE, &s->log, err);
    if (status == STATUS_OK) {
        /* SQLite checks what FOREIGN KEY says only when it is told to. What a statement of many
         * rows keeps in case it fails is small and stays in memory. */
        status = sqlite_run(s->log, "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY",
                            "open", err);
    }
    if (status == STATUS_OK) {
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

/* --- R --- */

static enum status read_record(const struct sqlite_system *s,
                               const struct source_partition *partition, sqlite3_stmt *row,
                               struct progress *progress, struct error *err)
{
    struct bytes form = bytes_of(sqlite3_column_blob(row, 0),
                                 (size_t)sqlite3_column_bytes(row, 0));
    struct error detail = {0};
    enum status status = progress_read(progress, form, &detail);
    return status == STATUS_OK
               ? STATUS_OK
               : error_set(err, status, detail.code, "%s, '%s' [%s]: %s", s->place,
                           partition->topic, partition->label, detail.message);
}

static enum status load(struct system *system, const struct source_partition *partition,
                        struct progress *progress, bool *out_found, struct error *err)
{
    struct sqlite_system *s = self(system);
    static const char doing[] = "read progress from";
    sqlite3_stmt *statement = NULL;
    enum status status =
        sqlite_prepare(s->log,
                       "SELECT record, owner, epoch, next_offset FROM weir_progress WHERE"
                       " pipeline = ?1 AND topic = ?2 AND partition = ?3",
                       doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    bind_text(statement, 1, s->pipeline);
    bind_text(statement, 2, partition->topic);
    bind_text(statement, 3, partition->label);
    int code = sqlite3_step(statement);
    *out_found = code == SQLITE_ROW;
    if (code == SQLITE_ROW) {
        status = read_record(s, partition, statement, progress, err);
        /* The owner stands in its column only: taking over does not rewrite R. */
        progress->owner = (uint64_t)sqlite3_column_int64(statement, 1);
        if (status == STATUS_OK &&
            ((uint64_t)sqlite3_column_int64(statement, 2) != progress->epoch ||
             sqlite3_column_int64(statement, 3) != progress->next_offset)) {
            status = error_set(err, STATUS_FATAL, "progress.corrupt",
                               "%s: epoch or offset of the progress record of '%s' [%s] were "
                               "edited; restore the file from a backup",
                               s->place, partition->topic, partition->label);
        }
    } else if (code != SQLITE_DONE) {
        status = locallog_error(s->log, code, doing, err);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status load_first(struct system *system, const struct source_partition *partition,
                              struct progress *progress, bool *out_found, struct error *err)
{
    struct sqlite_system *s = self(system);
    static const char doing[] = "read the first progress from";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        s->log,
        "SELECT record FROM weir_start WHERE pipeline = ?1 AND topic = ?2 AND partition = ?3",
        doing,
        &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    bind_text(statement, 1, s->pipeline);
    bind_text(statement, 2, partition->topic);
    bind_text(statement, 3, partition->label);
    int code = sqlite3_step(statement);
    *out_found = code == SQLITE_ROW;
    if (code == SQLITE_ROW) {
        status = read_record(s, partition, statement, progress, err);
    } else if (code != SQLITE_DONE) {
        status = locallog_error(s->log, code, doing, err);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status count_partitions(struct system *system, uint32_t *out_count, struct error *err)
{
    struct sqlite_system *s = self(system);
    static const char doing[] = "count progress records in";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        s->log, "SELECT count(*) FROM weir_progress WHERE pipeline = ?1", doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    bind_text(statement, 1, s->pipeline);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *out_count = (uint32_t)sqlite3_column_int64(statement, 0);
    } else {
        status = locallog_error(s->log, code, doing, err);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status prepare_sinks(struct system *system, struct error *err)
{
    for (uint32_t i = 0; i < system->sink_count; i++) {
        enum status status = sqlite_sink(system->sinks[i])
                                 ->work->prepare(system->sinks[i], self(system)->log, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static enum status store_plan(struct sqlite_system *s, struct bytes text, struct error *err)
{
    static const char doing[] = "store the plan in";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        s->log, "INSERT OR IGNORE INTO weir_plan VALUES (?1, ?2)", doing, &statement, err);
    if (status == STATUS_OK) {
        char hash[33];
        hash_format(hash_plain(text.data, text.size), hash);
        bind_text(statement, 1, hash);
        sqlite3_bind_text64(statement, 2, (const char *)text.data, text.size, SQLITE_STATIC,
                            SQLITE_UTF8);
        status = step_done(s->log, statement, doing, err);
        sqlite3_finalize(statement);
    }
    return status;
}

static void bind_counts(sqlite3_stmt *statement, int first, const struct ledger *ledger)
{
    static const enum verdict order[] = {VERDICT_VALID, VERDICT_INVALID, VERDICT_DUPLICATE,
                                         VERDICT_LATE, VERDICT_FILTERED};
    sqlite3_bind_int64(statement, first, (sqlite3_int64)ledger->in);
    for (int i = 0; i < 5; i++) {
        sqlite3_bind_int64(statement, first + 1 + i, (sqlite3_int64)ledger->verdicts[order[i]]);
    }
}

static enum status insert_progress(struct sqlite_system *s, const struct progress *progress,
                                   struct error *err)
{
    static const char doing[] = "store the first progress in";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        s->log, "INSERT INTO weir_progress VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)",
        doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct buffer form = {0};
    progress_write(progress, &form);
    bind_text(statement, 1, s->pipeline);
    bind_text(statement, 2, progress->topic);
    bind_text(statement, 3, progress->partition);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)progress->owner);
    sqlite3_bind_int64(statement, 5, (sqlite3_int64)progress->epoch);
    sqlite3_bind_int64(statement, 6, progress->next_offset);
    bind_counts(statement, 7, &progress->ledger);
    bind_bytes(statement, 13, bytes_of(form.data, form.size));
    int code = sqlite3_step(statement);
    if ((code & 0xff) == SQLITE_CONSTRAINT) {
        status = error_set(err, STATUS_FENCED, "progress.exists",
                           "%s has a progress record of '%s' [%s] already: another process "
                           "started this pipeline at the same moment",
                           s->place, progress->topic, progress->partition);
    } else if (code != SQLITE_DONE) {
        status = locallog_error(s->log, code, doing, err);
    }
    sqlite3_finalize(statement);
    buffer_fini(&form);
    return status;
}

/* The same R, which stays. */
static enum status keep_first(struct sqlite_system *s, const struct progress *progress,
                              struct error *err)
{
    static const char doing[] = "keep the first progress in";
    sqlite3_stmt *statement = NULL;
    enum status status =
        sqlite_prepare(s->log, "INSERT OR REPLACE INTO weir_start VALUES (?1, ?2, ?3, ?4)", doing,
                       &statement, err);
    if (status == STATUS_OK) {
        struct buffer form = {0};
        progress_write(progress, &form);
        bind_text(statement, 1, s->pipeline);
        bind_text(statement, 2, progress->topic);
        bind_text(statement, 3, progress->partition);
        bind_bytes(statement, 4, bytes_of(form.data, form.size));
        status = step_done(s->log, statement, doing, err);
        sqlite3_finalize(statement);
        buffer_fini(&form);
    }
    return status;
}

static enum status begin(struct system *system, const struct progress *progresses, uint32_t count,
                         const struct bytes *plan_texts, uint32_t plan_count, struct error *err)
{
    struct sqlite_system *s = self(system);
    enum status status = prepare_sinks(system, err);
    if (status == STATUS_OK) {
        status = locallog_begin(s->log, err);
    }
    for (uint32_t i = 0; i < plan_count && status == STATUS_OK; i++) {
        status = store_plan(s, plan_texts[i], err);
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = insert_progress(s, &progresses[i], err);
        if (status == STATUS_OK) {
            status = keep_first(s, &progresses[i], err);
        }
        s->owner = progresses[i].owner;
    }
    if (status == STATUS_OK) {
        status = locallog_commit(s->log, err);
    }
    if (status != STATUS_OK) {
        locallog_rollback(s->log);
    }
    return status;
}

static enum status fenced(const struct sqlite_system *s, const struct progress *progress,
                          struct error *err)
{
    return error_set(err, STATUS_FENCED, "progress.fenced",
                     "%s: the progress record of '%s' [%s] is not at epoch %llu with this owner "
                     "any more: another process has taken over this pipeline",
                     s->place, progress->topic, progress->partition,
                     (unsigned long long)progress->epoch);
}

static enum status swap_owner(struct sqlite_system *s, const struct progress *progress,
                              uint64_t owner, struct error *err)
{
    static const char doing[] = "take over";
    sqlite3_stmt *statement = NULL;
    enum status status =
        sqlite_prepare(s->log,
                       "UPDATE weir_progress SET owner = ?1 WHERE pipeline = ?2 AND topic = ?3"
                       " AND partition = ?4 AND owner = ?5 AND epoch = ?6",
                       doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)owner);
    bind_text(statement, 2, s->pipeline);
    bind_text(statement, 3, progress->topic);
    bind_text(statement, 4, progress->partition);
    sqlite3_bind_int64(statement, 5, (sqlite3_int64)progress->owner);
    sqlite3_bind_int64(statement, 6, (sqlite3_int64)progress->epoch);
    status = step_done(s->log, statement, doing, err);
    sqlite3_finalize(statement);
    if (status == STATUS_OK && sqlite3_changes(locallog_database(s->log)) != 1) {
        status = fenced(s, progress, err);
    }
    return status;
}

static enum status take_over(struct system *system, const struct progress *progresses,
                             uint32_t count, uint64_t owner, struct bytes plan_text,
                             struct error *err)
{
    struct sqlite_system *s = self(system);
    enum status status = prepare_sinks(system, err);
    if (status == STATUS_OK) {
        status = locallog_begin(s->log, err);
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = swap_owner(s, &progresses[i], owner, err);
    }
    if (status == STATUS_OK) {
        status = store_plan(s, plan_text, err);
    }
    if (status == STATUS_OK) {
        status = locallog_commit(s->log, err);
    }
    if (status != STATUS_OK) {
        locallog_rollback(s->log);
    }
    s->owner = owner;
    return status;
}

static enum status load_plan(struct system *system, struct hash128 plan_hash, struct buffer *out,
                             bool *out_found, struct error *err)
{
    struct sqlite_system *s = self(system);
    static const char doing[] = "read a plan from";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(s->log, "SELECT text FROM weir_plan WHERE hash = ?1",
                                        doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    char hash[33];
    hash_format(plan_hash, hash);
    bind_text(statement, 1, hash);
    int code = sqlite3_step(statement);
    *out_found = code == SQLITE_ROW;
    if (code == SQLITE_ROW) {
        const void *text = sqlite3_column_text(statement, 0);
        buffer_append(out, text, (size_t)sqlite3_column_bytes(statement, 0));
    } else if (code != SQLITE_DONE) {
        status = locallog_error(s->log, code, doing, err);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status load_segments(struct system *system, const char *pipeline,
                                 const struct source_partition *partition,
                                 enum status (*segment)(void *context, struct bytes form,
                                                        struct error *err),
                                 void *context, struct error *err)
{
    struct sqlite_system *s = self(system);
    static const char doing[] = "read ledger segments from";
    sqlite3_stmt *statement = NULL;
    enum status status =
        sqlite_prepare(s->log,
                       "SELECT segment FROM weir_ledger WHERE pipeline = ?1 AND topic = ?2 AND"
                       " partition = ?3 ORDER BY first_offset",
                       doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    bind_text(statement, 1, pipeline);
    bind_text(statement, 2, partition->topic);
    bind_text(statement, 3, partition->label);
    int code = SQLITE_DONE;
    while (status == STATUS_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct bytes form = bytes_of(sqlite3_column_blob(statement, 0),
                                     (size_t)sqlite3_column_bytes(statement, 0));
        status = segment(context, form, err);
    }
    if (status == STATUS_OK && code != SQLITE_DONE) {
        status = locallog_error(s->log, code, doing, err);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status scan_rejects(struct system *system, const char *pipeline,
                                enum status (*reject)(void *context, const char *sink,
                                                      const char *topic, const char *partition,
                                                      int64_t offset, const char *code,
                                                      const char *message, struct error *err),
                                void *context, struct error *err)
{
    struct sqlite_system *s = self(system);
    static const char doing[] = "read refused rows from";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(s->log,
                                        "SELECT sink, topic, partition, \"offset\", code, message"
                                        " FROM weir_rejects WHERE pipeline = ?1",
                                        doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    bind_text(statement, 1, pipeline);
    int code = SQLITE_DONE;
    while (status == STATUS_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        status = reject(context, (const char *)sqlite3_column_text(statement, 0),
                        (const char *)sqlite3_column_text(statement, 1),
                        (const char *)sqlite3_column_text(statement, 2),
                        sqlite3_column_int64(statement, 3),
                        (const char *)sqlite3_column_text(statement, 4),
                        (const char *)sqlite3_column_text(statement, 5), err);
    }
    if (status == STATUS_OK && code != SQLITE_DONE) {
        status = locallog_error(s->log, code, doing, err);
    }
    sqlite3_finalize(statement);
    return status;
}

/* --- one attempt at an epoch --- */

static void attempt_fini(struct attempt *attempt)
{
    for (uint32_t i = 0; i < attempt->epoch->part_count; i++) {
        progress_fini(&attempt->next[i]);
        for (uint32_t k = 0; k < attempt->epoch->parts[i].step.segment_count; k++) {
            ledger_fini(&attempt->segments[i][k]);
        }
        memory_free(attempt->segments[i]);
    }
    for (uint32_t i = 0; i < attempt->reject_count; i++) {
        memory_free((void *)(uintptr_t)attempt->rejects[i].record.headers);
    }
    memory_free(attempt->segments);
    memory_free(attempt->next);
    memory_free(attempt->rejects);
}

/* R and segment deltas as they are if no row is refused. */
static void attempt_init(struct attempt *attempt, const struct epoch *epoch,
                         const struct progress *progresses)
{
    *attempt = (struct attempt){.epoch = epoch};
    attempt->next = memory_alloc_zero(epoch->part_count, sizeof *attempt->next);
    attempt->segments = memory_alloc_zero(epoch->part_count, sizeof *attempt->segments);
    for (uint32_t i = 0; i < epoch->part_count; i++) {
        const struct epoch_part *part = &epoch->parts[i];
        progress_copy(&attempt->next[i], &progresses[part->partition]);
        progress_apply(&attempt->next[i], &part->step);
        attempt->segments[i] =
            memory_alloc_zero(part->step.segment_count + 1, sizeof **attempt->segments);
        for (uint32_t k = 0; k < part->step.segment_count; k++) {
            ledger_copy(&attempt->segments[i][k], &part->step.segments[k].delta);
        }
    }
}

static uint32_t part_of(const struct attempt *attempt, uint32_t source_partition)
{
    for (uint32_t i = 0; i < attempt->epoch->part_count; i++) {
        if (attempt->epoch->parts[i].partition == source_partition) {
            return i;
        }
    }
    check(!"a row of a partition that the epoch does not have");
    return 0;
}

/* Which segment of the part an offset belongs to. */
static uint32_t segment_of(const struct progress_step *step, int64_t offset)
{
    uint32_t segment = 0;
    while (segment + 1 < step->segment_count &&
           step->segments[segment + 1].first_offset <= offset) {
        segment++;
    }
    return segment;
}

void attempt_extend_range(struct attempt *attempt, const char *sink_name,
                          uint32_t source_partition, uint32_t output_partition,
                          int64_t first_offset, int64_t last_offset)
{
    uint32_t part = part_of(attempt, source_partition);
    const struct progress_step *step = &attempt->epoch->parts[part].step;
    ledger_sink_extend_range(ledger_sink(&attempt->next[part].ledger, sink_name),
                             output_partition, first_offset, last_offset);
    for (uint32_t k = 0; k < step->segment_count; k++) {
        if (ledger_find_sink(&attempt->segments[part][k], sink_name) != NULL) {
            ledger_sink_extend_range(ledger_sink(&attempt->segments[part][k], sink_name),
                                     output_partition, first_offset, last_offset);
        }
    }
}

void attempt_add_reject(struct attempt *attempt, const struct reject *reject)
{
    if (attempt->reject_count == attempt->reject_capacity) {
        attempt->reject_capacity = attempt->reject_capacity * 2 + 16;
        attempt->rejects = memory_realloc(
            attempt->rejects, size_mul(attempt->reject_capacity, sizeof *attempt->rejects));
    }
    attempt->rejects[attempt->reject_count++] = *reject;
}

static void book_reject(struct ledger *ledger, const struct reject *reject)
{
    struct ledger_sink *sink = ledger_sink(ledger, reject->sink->name);
    sink->written--;
    sink->rejected++;
    sink->sum = hash_sub(sink->sum, reject->hash);
}

static enum status store_reject(struct sqlite_system *s, const struct reject *reject,
                                struct error *err)
{
    bind_text(s->write_reject, 1, s->pipeline);
    bind_text(s->write_reject, 2, reject->sink->name);
    bind_text(s->write_reject, 3, reject->origin->topic);
    bind_text(s->write_reject, 4, reject->origin->label);
    sqlite3_bind_int64(s->write_reject, 5, reject->record.offset);
    bind_text(s->write_reject, 6, reject->code);
    bind_text(s->write_reject, 7, reject->message);
    bind_bytes(s->write_reject, 8, reject->record.key);
    bind_bytes(s->write_reject, 9, reject->record.value);
    return step_done(s->log, s->write_reject, "store a refused row in", err);
}

static struct sink *dlq_for_rejects(const struct system *system)
{
    for (uint32_t i = 0; i < system->sink_count; i++) {
        if (system->sinks[i]->is_dlq && system->sinks[i]->takes_rejects) {
            return system->sinks[i];
        }
    }
    return NULL;
}

static void append_reject_letter(struct sqlite_system *s, struct sink *dlq, struct outbox *outbox,
                                 struct attempt *attempt, const struct reject *reject,
                                 const struct hash_secret *secret)
{
    struct buffer violations = {0};
    struct dead_letter letter;
    struct refused_row row = {
        .record = &reject->record,
        .origin = reject->origin,
        .attempt = reject->attempt,
        .sink = reject->sink->name,
        .code = reject->code,
        .message = reject->message,
        .pipeline = s->pipeline,
        .plan_hash = dlq->shape->plan_hash,
    };
    reject_letter(&row, &violations, &letter);
    struct ledger_sink delta = {0};
    dlq->ops->append_dead_letter(dlq, outbox, reject->source_partition, &letter, secret, &delta);
    uint32_t part = part_of(attempt, reject->source_partition);
    uint32_t segment = segment_of(&attempt->epoch->parts[part].step, reject->record.offset);
    struct ledger *ledgers[] = {&attempt->next[part].ledger, &attempt->segments[part][segment]};
    for (uint32_t i = 0; i < 2; i++) {
        struct ledger_sink *sink = ledger_sink(ledgers[i], dlq->name);
        sink->routed++;
        sink->written += delta.written;
        sink->sum = hash_add(sink->sum, delta.sum);
    }
    buffer_fini(&violations);
}

/* Refused rows: booked, stored, and sent to the dead letters. */
static enum status write_rejects(struct system *system, struct attempt *attempt,
                                 struct error *err)
{
    struct sqlite_system *s = self(system);
    if (attempt->reject_count == 0) {
        return STATUS_OK;
    }
    struct sink *dlq = dlq_for_rejects(system);
    struct outbox *outbox = dlq == NULL ? NULL : dlq->ops->outbox_new(dlq);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < attempt->reject_count && status == STATUS_OK; i++) {
        const struct reject *reject = &attempt->rejects[i];
        uint32_t part = part_of(attempt, reject->source_partition);
        uint32_t segment = segment_of(&attempt->epoch->parts[part].step, reject->record.offset);
        book_reject(&attempt->next[part].ledger, reject);
        book_reject(&attempt->segments[part][segment], reject);
        status = store_reject(s, reject, err);
        if (dlq != NULL && status == STATUS_OK) {
            struct hash_secret secret;
            hash_secret_init(&secret, attempt->next[part].hash_key);
            append_reject_letter(s, dlq, outbox, attempt, reject, &secret);
        }
    }
    if (dlq != NULL) {
        bool redo = false;
        if (status == STATUS_OK) {
            sqlite_sink(dlq)->work->finish(dlq, outbox);
            status = sqlite_sink(dlq)->work->write(dlq, outbox, s->log, attempt, &redo, err);
        }
        check(!redo);
        dlq->ops->outbox_free(outbox);
    }
    return status;
}

static enum status write_segment(struct sqlite_system *s, const struct progress *progress,
                                 const struct progress_step *step, uint32_t index,
                                 struct ledger *ledger, struct error *err)
{
    static const char doing[] = "write a ledger segment to";
    const struct segment_delta *segment = &step->segments[index];
    int64_t next_offset = index + 1 < step->segment_count ? step->segments[index + 1].first_offset
                                                          : step->next_offset;
    bind_text(s->read_segment, 1, s->pipeline);
    bind_text(s->read_segment, 2, progress->topic);
    bind_text(s->read_segment, 3, progress->partition);
    sqlite3_bind_int64(s->read_segment, 4, segment->first_offset);
    int code = sqlite3_step(s->read_segment);
    enum status status = STATUS_OK;
    if (code == SQLITE_ROW) {
        int64_t first = 0;
        int64_t next = 0;
        struct hash128 plan_hash;
        struct ledger stored = {0};
        status = segment_read(bytes_of(sqlite3_column_blob(s->read_segment, 0),
                                       (size_t)sqlite3_column_bytes(s->read_segment, 0)),
                              &first, &next, &plan_hash, &stored, err);
        ledger_add(ledger, &stored);
        ledger_fini(&stored);
    } else if (code != SQLITE_DONE) {
        status = locallog_error(s->log, code, doing, err);
    }
    sqlite3_reset(s->read_segment);
    sqlite3_clear_bindings(s->read_segment);
    if (status != STATUS_OK) {
        return status;
    }
    struct buffer form = {0};
    segment_write(segment->first_offset, next_offset, segment->plan_hash, ledger, &form);
    bind_text(s->write_segment, 1, s->pipeline);
    bind_text(s->write_segment, 2, progress->topic);
    bind_text(s->write_segment, 3, progress->partition);
    sqlite3_bind_int64(s->write_segment, 4, segment->first_offset);
    sqlite3_bind_int64(s->write_segment, 5, next_offset);
    bind_bytes(s->write_segment, 6, bytes_of(form.data, form.size));
    status = step_done(s->log, s->write_segment, doing, err);
    buffer_fini(&form);
    return status;
}

/* Advice for lag tools: only where the source's topic is in this very file. */
static enum status mirror_group(struct sqlite_system *s, const struct progress *progress,
                                struct error *err)
{
    struct locallog_topic topic;
    bool found = false;
    enum status status = locallog_topic_find(s->log, progress->topic, &topic, &found, err);
    if (status != STATUS_OK || !found || strcmp(topic.id, progress->topic_id) != 0) {
        return status;
    }
    return locallog_group_write(s->log, s->pipeline, &topic,
                                (uint32_t)strtoul(progress->partition, NULL, 10),
                                progress->next_offset, "", err);
}

/* R, by compare-and-swap: the last statement before COMMIT. */
static enum status write_progress(struct sqlite_system *s, const struct progress *progress,
                                  struct error *err)
{
    struct buffer form = {0};
    progress_write(progress, &form);
    sqlite3_stmt *update = s->update_progress;
    sqlite3_bind_int64(update, 1, (sqlite3_int64)progress->epoch);
    sqlite3_bind_int64(update, 2, progress->next_offset);
    bind_counts(update, 3, &progress->ledger);
    bind_bytes(update, 9, bytes_of(form.data, form.size));
    bind_text(update, 10, s->pipeline);
    bind_text(update, 11, progress->topic);
    bind_text(update, 12, progress->partition);
    sqlite3_bind_int64(update, 13, (sqlite3_int64)progress->owner);
    enum status status = step_done(s->log, update, "commit progress to", err);
    buffer_fini(&form);
    if (status == STATUS_OK && sqlite3_changes(locallog_database(s->log)) != 1) {
        status = fenced(s, progress, err);
    }
    return status;
}

static enum status write_rows(struct system *system, const struct epoch *epoch,
                              struct attempt *attempt, bool *out_redo, struct error *err)
{
    for (uint32_t i = 0; i < system->sink_count; i++) {
        struct sink *sink = system->sinks[i];
        enum status status = sqlite_sink(sink)->work->write(
            sink, epoch->outboxes[i], self(system)->log, attempt, out_redo, err);
        if (status != STATUS_OK || *out_redo) {
            return status;
        }
    }
    return write_rejects(system, attempt, err);
}

static enum status write_ledgers(struct system *system, struct attempt *attempt,
                                 struct error *err)
{
    struct sqlite_system *s = self(system);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < attempt->epoch->part_count; i++) {
        const struct progress_step *step = &attempt->epoch->parts[i].step;
        for (uint32_t k = 0; k < step->segment_count && status == STATUS_OK; k++) {
            status = write_segment(s, &attempt->next[i], step, k, &attempt->segments[i][k], err);
        }
        if (status == STATUS_OK) {
            status = mirror_group(s, &attempt->next[i], err);
        }
    }
    for (uint32_t i = 0; i < attempt->epoch->part_count && status == STATUS_OK; i++) {
        status = write_progress(s, &attempt->next[i], err);
    }
    return status;
}

#if defined(WEIR_BREAK_OFFSETS_FIRST) || defined(WEIR_BREAK_ROWS_FIRST)
/* Broken on purpose: the transaction is cut in two. */
static enum status cut_transaction(struct sqlite_system *s, struct error *err)
{
    enum status status = locallog_commit(s->log, err);
    return status == STATUS_OK ? locallog_begin(s->log, err) : status;
}
#endif

static enum status write_epoch(struct system *system, struct attempt *attempt, bool *out_redo,
                               struct error *err)
{
    enum status status = locallog_begin(self(system)->log, err);
#ifdef WEIR_BREAK_OFFSETS_FIRST
    if (status == STATUS_OK) {
        status = write_ledgers(system, attempt, err);
    }
    if (status == STATUS_OK) {
        status = cut_transaction(self(system), err);
    }
#endif
    if (status == STATUS_OK) {
        status = write_rows(system, attempt->epoch, attempt, out_redo, err);
    }
#ifdef WEIR_BREAK_ROWS_FIRST
    if (status == STATUS_OK) {
        status = cut_transaction(self(system), err);
    }
#endif
#ifndef WEIR_BREAK_OFFSETS_FIRST
    if (status == STATUS_OK && !*out_redo) {
        status = write_ledgers(system, attempt, err);
    }
#endif
    if (status == STATUS_OK && !*out_redo) {
        status = locallog_commit(self(system)->log, err);
    }
    if (status != STATUS_OK || *out_redo) {
        locallog_rollback(self(system)->log);
    }
    return status;
}

static void take_attempt(struct attempt *attempt, struct progress *progresses)
{
    for (uint32_t i = 0; i < attempt->epoch->part_count; i++) {
        struct progress *old = &progresses[attempt->epoch->parts[i].partition];
        progress_fini(old);
        *old = attempt->next[i];
        attempt->next[i] = (struct progress){0};
    }
}

static enum status commit(struct system *system, const struct epoch *epoch,
                          struct progress *progresses, struct error *err)
{
    for (uint32_t i = 0; i < system->sink_count; i++) {
        const struct sqlite_sink_work *work = sqlite_sink(system->sinks[i])->work;
        work->finish(system->sinks[i], epoch->outboxes[i]);
        if (work->unmark != NULL) {
            work->unmark(epoch->outboxes[i]);
        }
    }
    for (;;) {
        struct attempt attempt;
        bool redo = false;
        attempt_init(&attempt, epoch, progresses);
        enum status status = write_epoch(system, &attempt, &redo, err);
        if (status == STATUS_OK && !redo) {
            take_attempt(&attempt, progresses);
        }
        attempt_fini(&attempt);
        if (status != STATUS_OK || !redo) {
            return status;
        }
    }
}

const struct system_ops sqlite_system_ops = {
    .kind = "sqlite",
    .place = place_of,
    .open_session = open_session,
    .close_session = close_session,
    .load = load,
    .load_first = load_first,
    .count_partitions = count_partitions,
    .begin = begin,
    .take_over = take_over,
    .commit = commit,
    .load_plan = load_plan,
    .load_segments = load_segments,
    .scan_rejects = scan_rejects,
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
