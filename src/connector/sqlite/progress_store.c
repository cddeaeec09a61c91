/* R, plans, segments and refused rows in the tables of a SQLite file: reading them, and what stands
 * there before the first commit. */
#include "connector/sqlite/system.h"

#include <sqlite3.h>

#include "base/broken.h"
#include "connector/reject.h"

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

/* Prepares what a pipeline has stored of one partition: parameters 1 to 3. */
static enum status prepare_of_partition(struct sqlite_system *s, const char *sql,
                                        const char *pipeline,
                                        const struct source_partition *partition,
                                        const char *doing, sqlite3_stmt **out, struct error *err)
{
    enum status status = sqlite_prepare(s->log, sql, doing, out, err);
    if (status == STATUS_OK) {
        sqlite_bind_string(*out, 1, pipeline);
        sqlite_bind_string(*out, 2, partition->topic);
        sqlite_bind_string(*out, 3, partition->label);
    }
    return status;
}

enum status sqlite_load(struct system *system, const struct source_partition *partition,
                        struct progress *progress, bool *out_found, struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
    static const char doing[] = "read progress from";
    sqlite3_stmt *statement = NULL;
    enum status status =
        prepare_of_partition(s,
                             "SELECT record, owner, epoch, next_offset FROM weir_progress WHERE"
                             " pipeline = ?1 AND topic = ?2 AND partition = ?3",
                             s->pipeline, partition, doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
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

enum status sqlite_load_first(struct system *system, const struct source_partition *partition,
                              struct progress *progress, bool *out_found, struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
    static const char doing[] = "read the first progress from";
    sqlite3_stmt *statement = NULL;
    enum status status = prepare_of_partition(
        s, "SELECT record FROM weir_start WHERE pipeline = ?1 AND topic = ?2 AND partition = ?3",
        s->pipeline, partition, doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
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

enum status sqlite_count_partitions(struct system *system, uint32_t *out_count, struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
    static const char doing[] = "count progress records in";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        s->log, "SELECT count(*) FROM weir_progress WHERE pipeline = ?1", doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite_bind_string(statement, 1, s->pipeline);
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
        struct sink *sink = system->sinks[i];
        enum status status =
            sqlite_sink_work(sink)->prepare(sink, sqlite_system(system)->log, err);
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
        sqlite_bind_string(statement, 1, hash);
        sqlite3_bind_text64(statement, 2, (const char *)text.data, text.size, SQLITE_STATIC,
                            SQLITE_UTF8);
        status = sqlite_step_done(s->log, statement, doing, err);
        sqlite3_finalize(statement);
    }
    return status;
}

void sqlite_bind_counts(sqlite3_stmt *statement, int first, const struct ledger *ledger)
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
    sqlite_bind_string(statement, 1, s->pipeline);
    sqlite_bind_string(statement, 2, progress->topic);
    sqlite_bind_string(statement, 3, progress->partition);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)progress->owner);
    sqlite3_bind_int64(statement, 5, (sqlite3_int64)progress->epoch);
    sqlite3_bind_int64(statement, 6, progress->next_offset);
    sqlite_bind_counts(statement, 7, &progress->ledger);
    sqlite_bind_bytes(statement, 13, bytes_of(form.data, form.size));
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
        sqlite_bind_string(statement, 1, s->pipeline);
        sqlite_bind_string(statement, 2, progress->topic);
        sqlite_bind_string(statement, 3, progress->partition);
        sqlite_bind_bytes(statement, 4, bytes_of(form.data, form.size));
        status = sqlite_step_done(s->log, statement, doing, err);
        sqlite3_finalize(statement);
        buffer_fini(&form);
    }
    return status;
}

enum status sqlite_begin(struct system *system, const struct progress *progresses, uint32_t count,
                         const struct bytes *plan_texts, uint32_t plan_count, struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
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

enum status sqlite_fenced(const struct sqlite_system *s, const struct progress *progress,
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
                       BROKEN("no-owner")
                           ? "UPDATE weir_progress SET owner = ?1 WHERE pipeline = ?2 AND topic ="
                             " ?3 AND partition = ?4 AND ?5 + ?6 IS NOT NULL"
                           : "UPDATE weir_progress SET owner = ?1 WHERE pipeline = ?2 AND topic ="
                             " ?3 AND partition = ?4 AND owner = ?5 AND epoch = ?6",
                       doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)owner);
    sqlite_bind_string(statement, 2, s->pipeline);
    sqlite_bind_string(statement, 3, progress->topic);
    sqlite_bind_string(statement, 4, progress->partition);
    sqlite3_bind_int64(statement, 5, (sqlite3_int64)progress->owner);
    sqlite3_bind_int64(statement, 6, (sqlite3_int64)progress->epoch);
    status = sqlite_step_done(s->log, statement, doing, err);
    sqlite3_finalize(statement);
    if (status == STATUS_OK && sqlite3_changes(locallog_database(s->log)) != 1) {
        status = sqlite_fenced(s, progress, err);
    }
    return status;
}

enum status sqlite_take_over(struct system *system, const struct progress *progresses,
                             uint32_t count, uint64_t owner, struct bytes plan_text,
                             struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
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

enum status sqlite_load_plan(struct system *system, struct hash128 plan_hash, struct buffer *out,
                             bool *out_found, struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
    static const char doing[] = "read a plan from";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(s->log, "SELECT text FROM weir_plan WHERE hash = ?1",
                                        doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    char hash[33];
    hash_format(plan_hash, hash);
    sqlite_bind_string(statement, 1, hash);
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

enum status sqlite_load_segments(struct system *system, const char *pipeline,
                                 const struct source_partition *partition,
                                 enum status (*segment)(void *context, struct bytes form,
                                                        struct error *err),
                                 void *context, struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
    static const char doing[] = "read ledger segments from";
    sqlite3_stmt *statement = NULL;
    enum status status =
        prepare_of_partition(s,
                             "SELECT segment FROM weir_ledger WHERE pipeline = ?1 AND topic = ?2"
                             " AND partition = ?3 ORDER BY first_offset",
                             pipeline, partition, doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
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

enum status sqlite_scan_rejects(struct system *system, const char *pipeline,
                                enum status (*reject)(void *context, const char *sink,
                                                      const char *topic, const char *partition,
                                                      int64_t offset, const char *code,
                                                      const char *message, struct error *err),
                                void *context, struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
    static const char doing[] = "read refused rows from";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(s->log,
                                        "SELECT sink, topic, partition, \"offset\", code, message"
                                        " FROM weir_rejects WHERE pipeline = ?1",
                                        doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite_bind_string(statement, 1, pipeline);
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

static struct bytes blob(sqlite3_stmt *row, int column)
{
    if (sqlite3_column_type(row, column) == SQLITE_NULL) {
        return BYTES_NONE;
    }
    const void *data = sqlite3_column_blob(row, column); /* NULL when there is no byte in it */
    return data == NULL ? bytes_of_string("")
                        : bytes_of(data, (size_t)sqlite3_column_bytes(row, column));
}

static enum status hand_out(const struct sqlite_system *s, sqlite3_stmt *row,
                            kept_reject_visitor *reject, void *context, size_t *out_bytes,
                            struct error *err)
{
    struct kept_reject kept = {
        .record = {.offset = sqlite3_column_int64(row, 0),
                   .timestamp_us = sqlite3_column_int64(row, 1),
                   .key = blob(row, 5),
                   .value = blob(row, 6)},
        .attempt = (uint32_t)sqlite3_column_int64(row, 2),
        .code = (const char *)sqlite3_column_text(row, 3),
        .message = (const char *)sqlite3_column_text(row, 4),
        .plan_hash = (const char *)sqlite3_column_text(row, 8),
    };
    if (kept.plan_hash == NULL || !reject_read_headers(blob(row, 7), &kept.record)) {
        return error_set(err, STATUS_FATAL, "progress.corrupt",
                         "%s: a refused row in weir_rejects was edited, and no dead letter can be "
                         "made of it; restore the file from a backup",
                         s->place);
    }
    *out_bytes += kept.record.key.size + kept.record.value.size;
    reject(context, &kept);
    memory_free((void *)(uintptr_t)kept.record.headers);
    return STATUS_OK;
}

enum status sqlite_load_rejects(struct system *system, const struct source_partition *partition,
                                const char *sink, int64_t from_offset, int64_t before_offset,
                                kept_reject_visitor *reject, void *context, struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
    static const char doing[] = "read refused rows of";
    sqlite3_stmt *statement = NULL;
    enum status status = prepare_of_partition(
        s,
        "SELECT \"offset\", timestamp_us, attempt, code, message, key, value, headers, plan"
        " FROM weir_rejects WHERE pipeline = ?1 AND topic = ?2 AND partition = ?3 AND sink = ?4"
        " AND forward = 1 AND \"offset\" >= ?5 AND \"offset\" < ?6 ORDER BY \"offset\" LIMIT ?7",
        s->pipeline, partition, doing, &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite_bind_string(statement, 4, sink);
    sqlite3_bind_int64(statement, 5, from_offset);
    sqlite3_bind_int64(statement, 6, before_offset);
    sqlite3_bind_int64(statement, 7, KEPT_REJECT_ROWS);
    size_t size_bytes = 0;
    int code = SQLITE_DONE;
    while (status == STATUS_OK && size_bytes <= KEPT_REJECT_BYTES &&
           (code = sqlite3_step(statement)) == SQLITE_ROW) {
        status = hand_out(s, statement, reject, context, &size_bytes, err);
    }
    if (status == STATUS_OK && code != SQLITE_DONE && code != SQLITE_ROW) {
        status = locallog_error(s->log, code, doing, err);
    }
    sqlite3_finalize(statement);
    return status;
}
