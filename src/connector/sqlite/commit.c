/* One epoch in one transaction; the order is in system.h. */
#include "connector/sqlite/system.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/broken.h"
#include "connector/reject.h"

static enum status store_reject(struct sqlite_system *s, const struct reject *reject,
                                struct error *err)
{
    sqlite_bind_string(s->write_reject, 1, s->pipeline);
    sqlite_bind_string(s->write_reject, 2, reject->sink->name);
    sqlite_bind_string(s->write_reject, 3, reject->origin->topic);
    sqlite_bind_string(s->write_reject, 4, reject->origin->label);
    sqlite3_bind_int64(s->write_reject, 5, reject->record.offset);
    sqlite_bind_string(s->write_reject, 6, reject->code);
    sqlite_bind_string(s->write_reject, 7, reject->message);
    sqlite_bind_bytes(s->write_reject, 8, reject->record.key);
    sqlite_bind_bytes(s->write_reject, 9, reject->record.value);
    struct buffer headers = {0};
    reject_write_headers(&reject->record, &headers);
    sqlite3_bind_int64(s->write_reject, 10, reject->record.timestamp_us);
    sqlite3_bind_int64(s->write_reject, 11, reject->attempt);
    sqlite_bind_bytes(s->write_reject, 12, bytes_of(headers.data, headers.size));
    sqlite_bind_string(s->write_reject, 13, reject->sink->shape->plan_hash);
    sqlite3_bind_int(s->write_reject, 14, s->system.forwards_rejects);
    enum status status =
        sqlite_step_done(s->log, s->write_reject, "store a refused row in", err);
    buffer_fini(&headers);
    return status;
}

/* Refused rows: booked, stored, and sent to the dead letters. */
static enum status write_rejects(struct system *system, struct attempt *attempt,
                                 struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
    if (attempt->reject_count == 0) {
        return STATUS_OK;
    }
    attempt_book_rejects(attempt);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < attempt->reject_count && status == STATUS_OK; i++) {
        status = store_reject(s, &attempt->rejects[i], err);
    }
    struct sink *dlq = attempt_dlq(system);
    if (dlq == NULL || status != STATUS_OK || BROKEN("reject-dropped")) {
        return status;
    }
    struct outbox *outbox = dlq->ops->outbox_new(dlq);
    attempt_append_letters(attempt, dlq, outbox, s->pipeline);
    bool redo = false;
    sqlite_sink_work(dlq)->finish(dlq, outbox);
    status = sqlite_sink_work(dlq)->write(dlq, outbox, s->log, attempt, &redo, err);
    check(!redo);
    dlq->ops->outbox_free(outbox);
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
    sqlite_bind_string(s->read_segment, 1, s->pipeline);
    sqlite_bind_string(s->read_segment, 2, progress->topic);
    sqlite_bind_string(s->read_segment, 3, progress->partition);
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
    sqlite_bind_string(s->write_segment, 1, s->pipeline);
    sqlite_bind_string(s->write_segment, 2, progress->topic);
    sqlite_bind_string(s->write_segment, 3, progress->partition);
    sqlite3_bind_int64(s->write_segment, 4, segment->first_offset);
    sqlite3_bind_int64(s->write_segment, 5, next_offset);
    sqlite_bind_bytes(s->write_segment, 6, bytes_of(form.data, form.size));
    status = sqlite_step_done(s->log, s->write_segment, doing, err);
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
    sqlite_bind_counts(update, 3, &progress->ledger);
    sqlite_bind_bytes(update, 9, bytes_of(form.data, form.size));
    sqlite_bind_string(update, 10, s->pipeline);
    sqlite_bind_string(update, 11, progress->topic);
    sqlite_bind_string(update, 12, progress->partition);
    sqlite3_bind_int64(update, 13, (sqlite3_int64)progress->owner);
    enum status status = sqlite_step_done(s->log, update, "commit progress to", err);
    buffer_fini(&form);
    if (status == STATUS_OK && sqlite3_changes(locallog_database(s->log)) != 1) {
        status = sqlite_fenced(s, progress, err);
    }
    return status;
}

static enum status write_rows(struct system *system, const struct epoch *epoch,
                              struct attempt *attempt, bool *out_redo, struct error *err)
{
    for (uint32_t i = 0; i < system->sink_count; i++) {
        struct sink *sink = system->sinks[i];
        enum status status = sqlite_sink_work(sink)->write(
            sink, epoch->outboxes[i], sqlite_system(system)->log, attempt, out_redo, err);
        if (status != STATUS_OK || *out_redo) {
            return status;
        }
    }
    return write_rejects(system, attempt, err);
}

static enum status write_ledgers(struct system *system, struct attempt *attempt,
                                 struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
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

/* Broken on purpose: the transaction is cut in two. */
static enum status cut_transaction(struct sqlite_system *s, struct error *err)
{
    enum status status = locallog_commit(s->log, err);
    return status == STATUS_OK ? locallog_begin(s->log, err) : status;
}

static enum status write_epoch(struct system *system, struct attempt *attempt, bool *out_redo,
                               struct error *err)
{
    struct sqlite_system *s = sqlite_system(system);
    const bool offsets_first = BROKEN("offsets-first");
    enum status status = locallog_begin(s->log, err);
    if (status == STATUS_OK && offsets_first) {
        status = write_ledgers(system, attempt, err);
        status = status == STATUS_OK ? cut_transaction(s, err) : status;
    }
    if (status == STATUS_OK) {
        status = write_rows(system, attempt->epoch, attempt, out_redo, err);
    }
    if (status == STATUS_OK && BROKEN("rows-first")) {
        status = cut_transaction(s, err);
    }
    if (status == STATUS_OK && !*out_redo && !offsets_first) {
        status = write_ledgers(system, attempt, err);
    }
    if (status == STATUS_OK && !*out_redo) {
        status = locallog_commit(s->log, err);
    }
    if (status != STATUS_OK || *out_redo) {
        locallog_rollback(s->log);
    }
    return status;
}

enum status sqlite_commit(struct system *system, const struct epoch *epoch,
                          struct progress *progresses, struct error *err)
{
    for (uint32_t i = 0; i < system->sink_count; i++) {
        const struct sqlite_sink_work *work = sqlite_sink_work(system->sinks[i]);
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
            attempt_take(&attempt, progresses);
        }
        attempt_fini(&attempt);
        if (status != STATUS_OK || !redo) {
            return status;
        }
    }
}
