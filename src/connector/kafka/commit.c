/*
 * One epoch in one transaction:
 *
 *   begin → rows, dead letters of refused rows → all delivered → R (and what goes with it) → all
 *   delivered → commit
 *
 * R comes last, because it says where the rows landed. Rows of the epoch that is open may have been
 * sent before it is closed (kafka_send_ahead): then its commit goes on with that transaction. What an
 * error means, in this order:
 *
 *   fatal            the producer is gone; what it had sent may yet be committed → IN DOUBT: the
 *                    next attempt takes a new producer (which ends the old one's transaction, one
 *                    way or the other), reads R and sees: epoch e is done; e − 1 with this owner is
 *                    sent again; anything else is FENCED
 *   requires abort   abort → ABORT: the same epoch again
 *   retriable        the same call again
 *
 * An abort that fails is treated as fatal. docs/kafka.md has the table of codes.
 */
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "connector/attempt.h"
#include "connector/kafka/private.h"
#include "connector/kafka/topics.h"
#include "os/clock.h"

#define FLUSH_STEP_MS 200
/* A call that is over is resumed by the next one. */
#define COMMIT_STEP_MS 1000
/* Longer than a transaction lives: then the brokers have ended it. */
#define PATIENCE_US (30 * TIME_US_PER_SECOND)

/* Rows that are sent ahead wait so long for the answer to those before them, and no longer than that in
 * all: their epoch may have been closed meanwhile. */
#define AHEAD_STEP_MS 5
#define AHEAD_US (50 * INT64_C(1000))

/* --- transactions --- */

static void doubt(struct kafka_system *s)
{
    kafka_drop_producer(s);
    s->in_doubt = true;
}

void kafka_transaction_abandon(struct kafka_system *s)
{
    if (s->producer == NULL) {
        return;
    }
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    for (;;) {
        rd_kafka_error_t *error = rd_kafka_abort_transaction(s->producer->rk, COMMIT_STEP_MS);
        if (error == NULL) {
            return;
        }
        bool again = rd_kafka_error_is_retriable(error) && !rd_kafka_error_is_fatal(error) &&
                     clock_monotonic_us() < end_us && !stop_requested() &&
                     !kafka_are_all_down(s->producer);
        /* No transaction was begun: there is nothing to abort. */
        bool is_none = rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__STATE &&
                       !rd_kafka_error_is_fatal(error);
        rd_kafka_error_destroy(error);
        if (is_none) {
            return;
        }
        if (!again) {
            doubt(s);
            return;
        }
    }
}

/* After a failure within a transaction; `error` is destroyed. */
static enum status fail(struct kafka_system *s, rd_kafka_error_t *error, const char *doing,
                        struct error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    bool is_fatal = rd_kafka_error_is_fatal(error);
    rd_kafka_error_destroy(error);
    char reason[128];
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        code = rd_kafka_fatal_error(s->producer->rk, reason, sizeof reason);
    }
    struct error found = {0};
    enum status status = kafka_error(s->producer, code, doing, &found);
    if (is_fatal || status == STATUS_IN_DOUBT) {
        doubt(s);
    } else {
        kafka_transaction_abandon(s);
    }
    /* What the operator must mend stops the run; all else is sent again. */
    if (status != STATUS_CONFIG) {
        status = status == STATUS_RETRY ? STATUS_RETRY : STATUS_ABORT;
    }
    return error_set(err, status, found.code, "%s", found.message);
}

static bool is_of_no_use(const struct kafka_client *producer)
{
    char reason[128];
    return rd_kafka_fatal_error(producer->rk, reason, sizeof reason) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static enum status fail_code(struct kafka_system *s, rd_kafka_resp_err_t code, const char *doing,
                             struct error *err)
{
    struct error found = {0};
    enum status status = kafka_error(s->producer, code, doing, &found);
    /* Nobody would hear an abort; who stops does not wait for it either. */
    if (is_of_no_use(s->producer) || kafka_are_all_down(s->producer) || stop_requested()) {
        doubt(s);
    } else {
        kafka_transaction_abandon(s);
    }
    if (status != STATUS_CONFIG) {
        status = status == STATUS_RETRY ? STATUS_RETRY : STATUS_ABORT;
    }
    return error_set(err, status, found.code, "%s", found.message);
}

enum status kafka_transaction_begin(struct kafka_system *s, struct error *err)
{
    rd_kafka_error_t *error = rd_kafka_begin_transaction(s->producer->rk);
    s->is_producer_fresh = false;
    s->producer->delivered = s->producer->failed = 0;
    s->produced = 0;
    kafka_positions_clear(s);
    return error == NULL ? STATUS_OK : fail(s, error, "begin a transaction", err);
}

enum status kafka_transaction_put(struct kafka_system *s, const char *key, struct bytes value,
                                  struct kafka_landing *landing, struct error *err)
{
    rd_kafka_vu_t units[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = s->progress_handle},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = 0},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {.ptr = (void *)(uintptr_t)key, .size = strlen(key)}},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {.ptr = (void *)(uintptr_t)value.data, .size = value.size}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = landing},
    };
    rd_kafka_error_t *error =
        rd_kafka_produceva(s->producer->rk, units, sizeof units / sizeof units[0]);
    if (error != NULL) {
        return fail(s, error, "write progress", err);
    }
    s->produced++;
    return STATUS_OK;
}

enum status kafka_transaction_put_progress(struct kafka_system *s,
                                           const struct progress *progress,
                                           const struct kafka_segment *segment,
                                           struct error *err)
{
    struct buffer key = {0};
    struct buffer form = {0};
    kafka_value_write(progress, segment, &form);
    struct bytes value = bytes_of(form.data, form.size);
    struct kafka_position *position = kafka_position_add(s, progress, value);
    enum status status = kafka_transaction_put(
        s, kafka_key_progress(&key, progress->partition, progress->topic), value,
        position == NULL ? NULL : &position->landing, err);
    buffer_fini(&key);
    buffer_fini(&form);
    return status;
}

/* Why rows were not delivered. Where the brokers refused the transaction, reports only say that rows
 * were thrown away; the client says why when it is asked to commit, which it never does after a
 * failed delivery. */
static rd_kafka_resp_err_t cause_of_failure(struct kafka_client *producer)
{
    rd_kafka_resp_err_t code = producer->failure;
    if (kafka_status(code) != STATUS_RETRY || stop_requested()) {
        return code;
    }
    rd_kafka_error_t *error = rd_kafka_commit_transaction(producer->rk, COMMIT_STEP_MS);
    rd_kafka_resp_err_t cause = rd_kafka_error_code(error);
    if (error != NULL) {
        rd_kafka_error_destroy(error);
    }
    return kafka_status(cause) == STATUS_CONFIG ? cause : code;
}

/* What the settings of a topic forbid, which no repetition changes. */
static const struct {
    rd_kafka_resp_err_t code;
    const char *name;
    const char *words;
} refusals[] = {
    /* Sizes were looked at before: so the limit is another one now, which the next start asks for. */
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "kafka.too_large",
     "the brokers refused rows as too large: max.message.bytes of a topic was lowered after this run "
     "began. Start it again: it then knows the limit, and rows above it are set aside "
     "(sink.too_large)"},
    /* So were timestamps and keys. */
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, "kafka.timestamp_refused",
     "the brokers refused rows for their timestamp, which is that of the record: the limits of a topic "
     "(message.timestamp.after.max.ms, .before.max.ms) were changed after this run began, rows have "
     "waited until they were too old, or the clocks of this machine and of the brokers differ. Start it "
     "again: rows beyond the limits are then set aside (sink.timestamp). Where clocks differ, set them "
     "right, or message.timestamp.type=LogAppendTime ('timestamps: broker') on the topic"},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, "kafka.record_refused",
     "the brokers refused rows as invalid: a topic with cleanup.policy=compact takes no row without a "
     "key, and one has that policy since after this run began. Start it again: rows without a key are "
     "then set aside (sink.no_key). 'key' at the sink gives them one"},
};

/* True when it says why; the status is the caller's. */
static bool refuse_for_settings(rd_kafka_resp_err_t code, enum status status, struct error *err)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (refusals[i].code == code) {
            (void)error_set(err, status, refusals[i].name, "%s", refusals[i].words);
            return true;
        }
    }
    return false;
}

/* Rows to a topic that was deleted are not refused: they wait for it until their time is over. Brokers
 * that are away are not asked, for that would take long. */
static enum status find_missing_topic(struct kafka_system *s, struct error *err)
{
    for (uint32_t i = 0; i <= s->system.sink_count; i++) {
        const char *name = i == 0 ? s->progress_topic
                                  : kafka_sink(s->system.sinks[i - 1])->topic_name;
        struct kafka_topic topic;
        struct error ignored = {0};
        bool found = true;
        if (kafka_topic_find(s->client, name, &topic, &found, &ignored) != STATUS_OK) {
            return STATUS_OK; /* The brokers are away, which is why. */
        }
        if (!found) {
            return error_set(err, STATUS_CONFIG, "kafka.no_topic",
                             "topic '%s' was deleted while pipeline '%s' wrote to it; what was not "
                             "written yet is not counted as written. The next start says what can "
                             "be done",
                             name, s->pipeline);
        }
    }
    return STATUS_OK;
}

/* Until so many messages of the transaction are delivered. */
static enum status await(struct kafka_system *s, uint64_t count, struct error *err)
{
    struct kafka_client *producer = s->producer;
    struct kafka_patience patience = kafka_patience_begin(PATIENCE_US);
    while (producer->delivered < count && producer->failed == 0 &&
           !kafka_patience_is_over(&patience, producer)) {
        const uint64_t before = producer->delivered;
        if (count == s->produced) {
            (void)rd_kafka_flush(producer->rk, FLUSH_STEP_MS);
        } else {
            rd_kafka_poll(producer->rk, FLUSH_STEP_MS);
        }
        if (producer->delivered > before) {
            kafka_take_answer(producer);
        }
    }
    if (producer->failed == 0 && producer->delivered >= count) {
        return STATUS_OK;
    }
    rd_kafka_resp_err_t code =
        producer->failed > 0 ? cause_of_failure(producer) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    const bool may_be_gone = kafka_status(code) == STATUS_RETRY && !is_of_no_use(producer) &&
                             !kafka_has_complained(producer) && !stop_requested();
    enum status status = may_be_gone ? find_missing_topic(s, err) : STATUS_OK;
    if (status != STATUS_OK) {
        kafka_transaction_abandon(s);
        return status;
    }
    struct error found = {0};
    status = fail_code(s, code, "deliver rows", &found);
    s->takes_less = refuse_for_settings(code, status, err);
    return s->takes_less ? status : error_set(err, status, found.code, "%s", found.message);
}

/* Until everything that was produced is delivered. */
static enum status deliver(struct kafka_system *s, struct error *err)
{
    return await(s, s->produced, err);
}

/* The offsets of the group, behind R whose place they name. */
static enum status send_positions(struct kafka_system *s, struct error *err)
{
    for (uint32_t tries = 0;; tries++) {
        bool is_lost = false;
        rd_kafka_error_t *error = NULL;
        enum status status = kafka_positions_send(s, PATIENCE_US, &is_lost, &error, err);
        if (status != STATUS_OK) {
            return status;
        }
        if (is_lost) {
            kafka_transaction_abandon(s);
            return error_set(err, STATUS_FENCED, "assignment.lost",
                             "the group has given this process's partitions to others");
        }
        if (error == NULL) {
            return STATUS_OK;
        }
        if (!rd_kafka_error_is_retriable(error) || rd_kafka_error_is_fatal(error) ||
            rd_kafka_error_txn_requires_abort(error) || tries == 3) {
            return fail(s, error, "commit the offsets of the group", err);
        }
        rd_kafka_error_destroy(error);
    }
}

enum status kafka_transaction_end(struct kafka_system *s, struct error *err)
{
    enum status status = deliver(s, err);
    if (status == STATUS_OK && s->source != NULL) {
        status = send_positions(s, err);
    }
    struct kafka_patience patience = kafka_patience_begin(PATIENCE_US);
    while (status == STATUS_OK) {
        rd_kafka_error_t *error =
            rd_kafka_commit_transaction(s->producer->rk, COMMIT_STEP_MS);
        if (error == NULL) {
            kafka_take_answer(s->producer);
            return STATUS_OK;
        }
        if (rd_kafka_error_is_retriable(error) && !rd_kafka_error_is_fatal(error) &&
            !rd_kafka_error_txn_requires_abort(error) &&
            !kafka_patience_is_over(&patience, s->producer)) {
            rd_kafka_error_destroy(error);
            rd_kafka_poll(s->producer->rk, 0); /* complaints */
            continue;
        }
        /* Whether the brokers took it is not known unless they say that it must be aborted. */
        bool must_abort = rd_kafka_error_txn_requires_abort(error);
        status = must_abort ? fail(s, error, "commit", err) : STATUS_RETRY;
        if (!must_abort) {
            rd_kafka_resp_err_t code = rd_kafka_error_code(error);
            rd_kafka_error_destroy(error);
            struct error found = {0};
            status = kafka_error(s->producer, code, "commit", &found);
            doubt(s);
            status = error_set(err, status == STATUS_CONFIG ? status : STATUS_RETRY, found.code,
                               "%s", found.message);
        }
    }
    return status;
}

/* --- refused rows --- */

static void take_reject(struct attempt *attempt, const struct sink *sink,
                        const struct kafka_outbox *o, const struct kafka_reject *refused)
{
    struct record_header *headers =
        memory_alloc_zero(refused->header_count + 1, sizeof *headers);
    struct reject reject = {
        .sink = sink,
        .origin = refused->origin,
        .source_partition = refused->source_partition,
        .record = {
            .offset = refused->offset,
            .timestamp_us = refused->timestamp_us,
            .key = kafka_outbox_slice(o, refused->key_at, refused->key_size),
            .value = kafka_outbox_slice(o, refused->value_at, refused->value_size),
            .headers = headers,
            .header_count = refused->header_count,
        },
        .attempt = refused->attempt,
        .hash = refused->hash,
        .code = refused->code,
    };
    kafka_outbox_headers(o, refused->headers_at, refused->header_count, headers);
    memcpy(reject.message, refused->message, sizeof refused->message);
    attempt_add_reject(attempt, &reject);
}

/* "x/…": code, NUL, message, NUL */
static enum status store_reject(struct kafka_system *s, const struct reject *reject,
                                struct error *err)
{
    struct buffer key = {0};
    struct buffer value = {0};
    (void)kafka_key_reject(&key, reject->sink->name, reject->origin->label,
                           reject->record.offset, reject->origin->topic);
    buffer_append(&value, reject->code, strlen(reject->code) + 1);
    buffer_append(&value, reject->message, strlen(reject->message) + 1);
    enum status status = kafka_transaction_put(s, buffer_string(&key),
                                               bytes_of(value.data, value.size), NULL, err);
    buffer_fini(&key);
    buffer_fini(&value);
    return status;
}

static enum status put_rejects(struct kafka_system *s, struct attempt *attempt,
                               struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < s->system.sink_count; i++) {
        const struct kafka_outbox *o = kafka_outbox(attempt->epoch->outboxes[i]);
        for (uint32_t k = 0; k < o->reject_count; k++) {
            take_reject(attempt, s->system.sinks[i], o, &o->rejects[k]);
        }
    }
    attempt_book_rejects(attempt);
    for (uint32_t i = 0; i < attempt->reject_count && status == STATUS_OK; i++) {
        status = store_reject(s, &attempt->rejects[i], err);
    }
    return status;
}

/* --- rows --- */

/* Hands over what the producer may have now. */
static enum status produce_some(struct kafka_system *s, struct sink *sink, struct outbox *outbox,
                                bool all, bool *out_rest, struct error *err)
{
    rd_kafka_resp_err_t code =
        kafka_outbox_produce(kafka_outbox(outbox), s->producer, kafka_sink(sink)->handle, all,
                             &s->produced, out_rest);
    char doing[300];
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return STATUS_OK;
    }
    (void)snprintf(doing, sizeof doing, "write rows to topic '%s'", kafka_sink(sink)->topic_name);
    return fail_code(s, code, doing, err);
}

enum status kafka_produce(struct kafka_system *s, struct sink *sink, struct outbox *outbox,
                          struct error *err)
{
    bool is_rest = false;
    enum status status = produce_some(s, sink, outbox, true, &is_rest, err);
    while (status == STATUS_OK && is_rest) {
        status = await(s, s->producer->delivered + 1, err);
        if (status == STATUS_OK) {
            status = produce_some(s, sink, outbox, true, &is_rest, err);
        }
    }
    return status;
}

static void extend_ranges(struct attempt *attempt, const char *sink_name, struct outbox *outbox)
{
    const struct kafka_outbox *o = kafka_outbox(outbox);
    for (const struct kafka_range *range = o->ranges; range != NULL; range = range->next) {
        if (range->landing.first >= 0) {
            attempt_extend_range(attempt, sink_name, range->source_partition, range->partition,
                                 range->landing.first, range->landing.last);
        }
    }
}

/* `letters` are those of refused rows; NULL when there are none. */
static enum status write_rows(struct kafka_system *s, struct attempt *attempt,
                              struct outbox *letters, struct error *err)
{
    const struct system *system = &s->system;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < system->sink_count && status == STATUS_OK; i++) {
        status = kafka_produce(s, system->sinks[i], attempt->epoch->outboxes[i], err);
    }
    if (status == STATUS_OK && letters != NULL) {
        attempt_append_letters(attempt, attempt_dlq(system), letters, s->pipeline);
        status = kafka_produce(s, attempt_dlq(system), letters, err);
    }
    status = status == STATUS_OK ? deliver(s, err) : status;
    for (uint32_t i = 0; i < system->sink_count && status == STATUS_OK; i++) {
        extend_ranges(attempt, system->sinks[i]->name, attempt->epoch->outboxes[i]);
    }
    if (status == STATUS_OK && letters != NULL) {
        extend_ranges(attempt, attempt_dlq(system)->name, letters);
    }
    return status;
}

/* --- R --- */

static enum status put_segment(struct kafka_system *s, const struct progress *progress,
                               const struct kafka_segment *segment, struct error *err)
{
    struct buffer key = {0};
    struct buffer form = {0};
    (void)kafka_key_segment(&key, progress->partition, segment->first_offset, progress->topic);
    segment_write(segment->first_offset, segment->next_offset, segment->plan_hash,
                  &segment->ledger, &form);
    enum status status = kafka_transaction_put(s, buffer_string(&key),
                                               bytes_of(form.data, form.size), NULL, err);
    buffer_fini(&key);
    buffer_fini(&form);
    return status;
}

static void copy_segment(struct kafka_segment *to, const struct kafka_segment *from)
{
    ledger_copy(&to->ledger, &from->ledger);
    to->is_there = from->is_there;
    to->first_offset = from->first_offset;
    to->next_offset = from->next_offset;
    to->plan_hash = from->plan_hash;
}

/* The segments of a step, each joined to what is stored of it. Those that are complete stand by
 * themselves, the last one beside R. */
static enum status put_segments(struct kafka_system *s, struct attempt *attempt, uint32_t part,
                                struct kafka_segment *last, struct error *err)
{
    const struct progress_step *step = &attempt->epoch->parts[part].step;
    const struct progress *progress = &attempt->next[part];
    copy_segment(last, &kafka_held(s, progress->topic, progress->partition)->segment);
    for (uint32_t k = 0; k < step->segment_count; k++) {
        const struct segment_delta *delta = &step->segments[k];
        if (!last->is_there || last->first_offset != delta->first_offset) {
            enum status status =
                last->is_there ? put_segment(s, progress, last, err) : STATUS_OK;
            if (status != STATUS_OK) {
                return status;
            }
            kafka_segment_fini(last);
            last->is_there = true;
            last->first_offset = delta->first_offset;
            last->plan_hash = delta->plan_hash;
        }
        ledger_add(&last->ledger, &attempt->segments[part][k]);
        last->next_offset = k + 1 < step->segment_count ? step->segments[k + 1].first_offset
                                                        : step->next_offset;
    }
    return STATUS_OK;
}

/* Goes on with the transaction that has rows of the epoch already, or sends all in a new one. */
static enum status begin_epoch(struct kafka_system *s, const struct epoch *epoch,
                               struct error *err)
{
    bool goes_on = s->ahead == AHEAD_BEGUN;
    s->ahead = AHEAD_NONE;
    if (goes_on) {
        return STATUS_OK;
    }
    for (uint32_t i = 0; i < s->system.sink_count; i++) {
        kafka_outbox_rewind(kafka_outbox(epoch->outboxes[i]));
    }
    return kafka_transaction_begin(s, err);
}

/* `last` gets the segment beside R of each part. */
static enum status send_epoch(struct kafka_system *s, struct attempt *attempt,
                              struct kafka_segment *last, struct error *err)
{
    struct outbox *letters = NULL;
    struct sink *dlq = attempt_dlq(&s->system);
    enum status status = begin_epoch(s, attempt->epoch, err);
    if (status == STATUS_OK) {
        status = put_rejects(s, attempt, err);
    }
    if (status == STATUS_OK) {
        letters = attempt->reject_count > 0 && dlq != NULL ? kafka_outbox_new(dlq) : NULL;
        status = write_rows(s, attempt, letters, err);
    }
    for (uint32_t i = 0; i < attempt->epoch->part_count && status == STATUS_OK; i++) {
        status = put_segments(s, attempt, i, &last[i], err);
        if (status == STATUS_OK) {
            status = kafka_transaction_put_progress(s, &attempt->next[i], &last[i], err);
        }
    }
    status = status == STATUS_OK ? kafka_transaction_end(s, err) : status;
    if (letters != NULL) {
        kafka_outbox_free(letters);
    }
    return status;
}

static void take_segments(struct kafka_system *s, const struct attempt *attempt,
                          struct kafka_segment *last)
{
    for (uint32_t i = 0; i < attempt->epoch->part_count; i++) {
        struct kafka_held *held =
            kafka_held(s, attempt->next[i].topic, attempt->next[i].partition);
        kafka_segment_fini(&held->segment);
        held->segment = last[i];
        last[i] = (struct kafka_segment){0};
    }
}

/* --- rows of an open epoch --- */

/* Of one sink. What goes wrong is no matter yet: the commit begins anew, and tells. */
static void send_sink_ahead(struct kafka_system *s, struct sink *sink, struct outbox *outbox,
                            bool *out_rest)
{
    struct error ignored = {0};
    enum status status = STATUS_OK;
    if (s->ahead == AHEAD_NONE) {
        status = kafka_transaction_begin(s, &ignored);
    }
    if (status == STATUS_OK) {
        s->ahead = AHEAD_BEGUN;
        status = produce_some(s, sink, outbox, false, out_rest, &ignored);
    }
    if (status != STATUS_OK) {
        s->ahead = AHEAD_FAILED;
    }
}

/* What may go now. *out_rest: some rows wait for the answer to those before them. */
static void send_some_ahead(struct kafka_system *s, struct outbox **outboxes, bool *out_rest)
{
    *out_rest = false;
    for (uint32_t i = 0; i < s->system.sink_count; i++) {
        const bool may_send = !s->in_doubt && s->producer != NULL && s->ahead != AHEAD_FAILED;
        bool is_rest = false;
        if (may_send &&
            (s->ahead == AHEAD_BEGUN || kafka_outbox_has_full(kafka_outbox(outboxes[i])))) {
            send_sink_ahead(s, s->system.sinks[i], outboxes[i], &is_rest);
        }
        *out_rest |= is_rest;
    }
}

void kafka_send_ahead(struct system *system, struct outbox **outboxes)
{
    struct kafka_system *s = kafka_system(system);
    const int64_t end_us = clock_monotonic_us() + AHEAD_US;
    bool is_rest = false;
    send_some_ahead(s, outboxes, &is_rest);
    while (is_rest && s->ahead == AHEAD_BEGUN && clock_monotonic_us() < end_us) {
        rd_kafka_poll(s->producer->rk, AHEAD_STEP_MS);
        send_some_ahead(s, outboxes, &is_rest);
    }
}

void kafka_take_back(struct system *system)
{
    struct kafka_system *s = kafka_system(system);
    if (s->ahead == AHEAD_BEGUN) {
        kafka_transaction_abandon(s);
    }
    s->ahead = AHEAD_NONE;
}

/* --- doubt --- */

/* What R says of one part: the epoch is in it, or not yet, or somebody else's. */
static enum status ask_part(struct kafka_system *s, const struct progress *known, bool *out_done,
                            struct progress *stored, struct kafka_segment *segment,
                            struct error *err)
{
    bool found = false;
    enum status status = kafka_read_progress(s, known->topic, known->partition, stored, segment,
                                             &found, err);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_mine = found && stored->owner == known->owner;
    *out_done = is_mine && stored->epoch == known->epoch + 1;
    return *out_done || (is_mine && stored->epoch == known->epoch) ? STATUS_OK
                                                                   : kafka_fenced(s, known, err);
}

/* A new producer ends what the old one had open; then R is asked. */
static enum status resolve(struct kafka_system *s, const struct epoch *epoch,
                           struct progress *progresses, bool *out_done, struct error *err)
{
    s->ahead = AHEAD_NONE; /* nothing of it is left */
    enum status status = kafka_make_producer(s, err);
    if (status == STATUS_OK) {
        status = kafka_reload(s, err);
    }
    *out_done = false;
    for (uint32_t i = 0; i < epoch->part_count && status == STATUS_OK; i++) {
        struct progress *known = &progresses[epoch->parts[i].partition];
        struct progress stored = {0};
        struct kafka_segment segment = {0};
        bool done = false;
        status = ask_part(s, known, &done, &stored, &segment, err);
        if (status == STATUS_OK && done) {
            struct kafka_held *held = kafka_held(s, known->topic, known->partition);
            kafka_segment_fini(&held->segment);
            held->segment = segment;
            progress_fini(known);
            *known = stored;
            *out_done = true;
        } else {
            kafka_segment_fini(&segment);
            progress_fini(&stored);
        }
    }
    s->in_doubt = status != STATUS_OK;
    return status;
}

enum status kafka_commit(struct system *system, const struct epoch *epoch,
                         struct progress *progresses, struct error *err)
{
    struct kafka_system *s = kafka_system(system);
    kafka_sinks_refresh(s);
    if (s->in_doubt || s->producer == NULL) {
        bool done = false;
        enum status status = resolve(s, epoch, progresses, &done, err);
        if (status != STATUS_OK || done) {
            return status;
        }
    }
    struct attempt attempt;
    struct kafka_segment *last = memory_alloc_zero(epoch->part_count + 1, sizeof *last);
    attempt_init(&attempt, epoch, progresses);
    enum status status = send_epoch(s, &attempt, last, err);
    if (status == STATUS_OK) {
        take_segments(s, &attempt, last);
        attempt_take(&attempt, progresses);
    }
    for (uint32_t i = 0; i < epoch->part_count; i++) {
        kafka_segment_fini(&last[i]);
    }
    memory_free(last);
    attempt_fini(&attempt);
    return status;
}
