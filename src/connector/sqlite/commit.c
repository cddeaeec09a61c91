/* One epoch in one transaction; the order is in system.h. */
#include "connector/sqlite/system.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "connector/reject.h"

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
    sqlite_bind_string(s->write_reject, 1, s->pipeline);
    sqlite_bind_string(s->write_reject, 2, reject->sink->name);
    sqlite_bind_string(s->write_reject, 3, reject->origin->topic);
    sqlite_bind_string(s->write_reject, 4, reject->origin->label);
    sqlite3_bind_int64(s->write_reject, 5, reject->record.offset);
    sqlite_bind_string(s->write_reject, 6, reject->code);
    sqlite_bind_string(s->write_reject, 7, reject->message);
    sqlite_bind_bytes(s->write_reject, 8, reject->record.key);
    sqlite_bind_bytes(s->write_reject, 9, reject->record.value);
    return sqlite_step_done(s->log, s->write_reject, "store a refused row in", err);
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
    struct sqlite_system *s = sqlite_system(system);
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
        enum status status = sqlite_sink(sink)->work->write(
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
    enum status status = locallog_begin(sqlite_system(system)->log, err);
#ifdef WEIR_BREAK_OFFSETS_FIRST
    if (status == STATUS_OK) {
        status = write_ledgers(system, attempt, err);
    }
    if (status == STATUS_OK) {
        status = cut_transaction(sqlite_system(system), err);
    }
#endif
    if (status == STATUS_OK) {
        status = write_rows(system, attempt->epoch, attempt, out_redo, err);
    }
#ifdef WEIR_BREAK_ROWS_FIRST
    if (status == STATUS_OK) {
        status = cut_transaction(sqlite_system(system), err);
    }
#endif
#ifndef WEIR_BREAK_OFFSETS_FIRST
    if (status == STATUS_OK && !*out_redo) {
        status = write_ledgers(system, attempt, err);
    }
#endif
    if (status == STATUS_OK && !*out_redo) {
        status = locallog_commit(sqlite_system(system)->log, err);
    }
    if (status != STATUS_OK || *out_redo) {
        locallog_rollback(sqlite_system(system)->log);
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

enum status sqlite_commit(struct system *system, const struct epoch *epoch,
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
