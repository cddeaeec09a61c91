/*
 * Worker: the loop of a run. Takes a batch of one partition after the other, lets the stages
 * judge it, hands its rows to every system that does not have them yet, closes epochs by size
 * and time, and has snapshots written.
 *
 * Batches are cut at ledger segments and at the cursors of the systems, so that a batch is
 * wholly in a system or not at all.
 */
#include "base/time.h"
#include "os/clock.h"
#include "os/thread.h"
#include "run/accounting.h"
#include "run/committer.h"
#include "run/group_note.h"
#include "run/intake.h"
#include "run/patience.h"
#include "run/pipeline.h"
#include "run/snapshots.h"
#include "run/telemetry.h"

#define PROGRESS_INTERVAL_US (100 * INT64_C(1000))
#define WAIT_US (250 * INT64_C(1000))

struct worker {
    struct pipeline *pipeline;
    struct stage_runner *runner;
    struct intake *intake;
    struct batch *batch;        /* the intake's */
    struct ledger counted;      /* of the batch */
    uint64_t records;
    int64_t expected;           /* records to come, −1 unknown */
    int64_t progress_us;        /* when it was told last */
    struct snapshots *snapshots;
    struct group_note group_note;
    uint32_t dlq_system;        /* of the plan; 0 without a dlq */
    struct error left;          /* why the loop was left: the source is not what it was */
};

/* --- one batch --- */

/* Nothing new is begun; systems that are behind others are still brought to the same place. */
static bool is_ending(const struct pipeline *pipeline)
{
    return stop_requested() || pipeline->options->align_only;
}

/* Where a batch that begins at `at` ends at the latest. */
static int64_t cut_offset(const struct pipeline *pipeline, uint32_t p, int64_t at)
{
    int64_t cut = accounting_segment_end(at);
    if (pipeline->options->until_end && pipeline->partitions[p].end_offset < cut) {
        cut = pipeline->partitions[p].end_offset;
    }
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        int64_t cursor = committer_cursor(pipeline->committers[s], p);
        if (cursor > at && cursor < cut) {
            cut = cursor;
        }
    }
    return cut;
}

/* The plan history that is still needed: back to state_start. */
static void copy_plans(const struct partition *partition, int64_t state_start,
                       struct progress_step *step)
{
    uint32_t first = 0;
    while (first + 1 < partition->plan_count &&
           partition->plans[first + 1].offset <= state_start) {
        first++;
    }
    uint32_t count = partition->plan_count - first;
    step->plans = memory_realloc(step->plans, count * sizeof *step->plans);
    memcpy(step->plans, partition->plans + first, count * sizeof *step->plans);
    step->plan_count = count;
}

static void extend_step(const struct partition *partition, struct progress_step *step)
{
    const struct stage_state *state = partition->state;
    step->state_start = *anchors_start(&state->anchors);
    step->greatest_us = state->greatest_us;
    step->candidates = state->candidates;
    step->last_record_hash = state->last_record_hash;
    copy_plans(partition, step->state_start.offset, step);
}

static void hand_over(struct worker *worker, uint32_t s)
{
    struct pipeline *pipeline = worker->pipeline;
    const struct plan *plan = pipeline->plan;
    const struct batch *batch = worker->batch;
    uint32_t p = batch->partition;
    struct partition *partition = &pipeline->partitions[p];
    struct committer *committer = pipeline->committers[s];
    const struct hash_secret *secret = stage_runner_secret(worker->runner);
    int64_t offset = batch->records[0].offset;
    struct progress_step *step = committer_step(committer, p);
    struct ledger *delta = accounting_delta(
        step, accounting_segment(partition->plans, partition->plan_count, offset), plan->hash);
    ledger_add(delta, &worker->counted);
    for (uint32_t i = 0; i < plan->stage.sink_count; i++) {
        struct sink *sink = plan->sinks[i];
        if (sink->system == plan->systems[s]) {
            accounting_append_rows(sink, i, committer_outbox(committer, sink), partition->source,
                                   batch, secret, ledger_sink(delta, sink->name));
        }
    }
    if (plan->dlq != NULL && plan->dlq->system == plan->systems[s]) {
        accounting_append_dead_letters(plan, committer_outbox(committer, plan->dlq),
                                       partition->source, batch, secret,
                                       ledger_sink(delta, "dlq"));
    }
    extend_step(partition, step);
    committer_extend(committer, p, partition->state->next_offset);
}

static struct intake_span span_at(const struct pipeline *pipeline, uint32_t p, int64_t offset)
{
    return (struct intake_span){
        .partition = p, .offset = offset, .limit_offset = cut_offset(pipeline, p, offset)};
}

/* --- the batch after it --- */

static bool is_at_end(const struct pipeline *pipeline, uint32_t p, int64_t offset)
{
    return pipeline->options->until_end && offset >= pipeline->partitions[p].end_offset;
}

/* Begins to read what take_round() will come to next, where so much comes that it pays. */
static void read_ahead(const struct worker *worker)
{
    const struct pipeline *pipeline = worker->pipeline;
    const struct batch *batch = worker->batch;
    const uint32_t ahead_rows = pipeline->source->ops->ahead_rows;
    if (batch->row_count < ahead_rows || ahead_rows == 0 || is_ending(pipeline)) {
        return;
    }
    for (uint32_t i = 1; i <= pipeline->partition_count; i++) {
        uint32_t p = (batch->partition + i) % pipeline->partition_count;
        if (!pipeline->partitions[p].is_mine) {
            continue; /* and has no state */
        }
        int64_t offset = p == batch->partition ? batch->records[batch->row_count - 1].next_offset
                                               : pipeline->partitions[p].state->next_offset;
        if (!is_at_end(pipeline, p, offset)) {
            const struct intake_span span = span_at(pipeline, p, offset);
            intake_begin(worker->intake, &span);
            return;
        }
    }
}

/* --- a batch as a whole --- */

/* Judges the batch, and hands it over to all systems that do not have it yet. */
static enum status judge(struct worker *worker, struct error *err)
{
    struct pipeline *pipeline = worker->pipeline;
    struct batch *batch = worker->batch;
    uint32_t p = batch->partition;
    enum status status = stage_run(worker->runner, pipeline->partitions[p].state, batch,
                                   STAGE_FULL, err);
    if (status != STATUS_OK) {
        return status;
    }
    ledger_clear(&worker->counted);
    accounting_count(pipeline->plan, worker->runner, batch, &worker->counted);
    int64_t offset = batch->records[0].offset;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        if (committer_cursor(pipeline->committers[s], p) <= offset) {
            hand_over(worker, s);
        }
    }
    return STATUS_OK;
}

/* Takes, judges and hands over one batch. *out_rows 0: nothing there now. */
static enum status take_batch(struct worker *worker, uint32_t p, uint32_t *out_rows,
                              struct error *err)
{
    struct pipeline *pipeline = worker->pipeline;
    const struct intake_span span =
        span_at(pipeline, p, pipeline->partitions[p].state->next_offset);
    *out_rows = 0;
    enum status status = intake_take(worker->intake, &span, &worker->batch, err);
    if (status != STATUS_OK || worker->batch->row_count == 0) {
        return status;
    }
    read_ahead(worker);
    status = judge(worker, err);
    intake_end(worker->intake);
    if (status != STATUS_OK) {
        return status;
    }
    *out_rows = worker->batch->row_count;
    worker->records += *out_rows;
    telemetry_read(pipeline->telemetry, p, *out_rows);
    return STATUS_OK;
}

/* --- dead letters of rows that other systems refused --- */

static void forward(void *context, uint32_t p, const char *sink, const struct kept_reject *reject)
{
    const struct worker *worker = context;
    struct pipeline *pipeline = worker->pipeline;
    struct committer *committer = pipeline->committers[worker->dlq_system];
    accounting_forward(pipeline->plan, committer_outbox(committer, pipeline->plan->dlq),
                       pipeline->partitions[p].source, p, sink, reject,
                       stage_runner_secret(worker->runner),
                       &committer_step(committer, p)->forwarded);
    committer_extend(committer, p, committer_cursor(committer, p));
}

static bool has_room_for_letters(const struct worker *worker)
{
    return !committer_is_full(worker->pipeline->committers[worker->dlq_system]);
}

/* Those that are there now, into the open epoch of the dead letters' system. */
static void forward_rejects(struct worker *worker)
{
    const struct pipeline *pipeline = worker->pipeline;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        if (pipeline->plan->systems[s]->forwards_rejects && has_room_for_letters(worker)) {
            (void)committer_take_rejects(pipeline->committers[s], forward, worker);
        }
    }
}

/* All that are due; every closed epoch of the tables' systems is answered. */
static enum status forward_the_rest(struct worker *worker, uint32_t s, struct error *err)
{
    struct pipeline *pipeline = worker->pipeline;
    bool any = true;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && any) {
        status = committer_wait_rejects(pipeline->committers[s], &any, err);
        if (status == STATUS_OK && any) {
            (void)committer_take_rejects(pipeline->committers[s], forward, worker);
            status = has_room_for_letters(worker)
                         ? STATUS_OK
                         : committer_close(pipeline->committers[worker->dlq_system], err);
        }
    }
    return status;
}

static uint32_t dlq_system(const struct plan *plan)
{
    uint32_t s = 0;
    while (plan->dlq != NULL && plan->systems[s] != plan->dlq->system) {
        s++;
    }
    return s;
}

/* --- epochs --- */

/* So many rows or bytes wait that the commit does not wait for its time. */
static bool is_full(struct committer *committer, const struct system *system)
{
    for (uint32_t i = 0; i < system->sink_count; i++) {
        const struct sink *sink = system->sinks[i];
        if (sink->batch_max_records > 0 &&
            committer_outbox(committer, sink)->row_count >= sink->batch_max_records) {
            return true;
        }
    }
    return committer_is_full(committer);
}

/* Whether the open epoch of a system is to be closed now, if that needs no waiting. */
static bool is_ripe(const struct pipeline *pipeline, uint32_t s, int64_t now_us)
{
    const struct system *system = pipeline->plan->systems[s];
    struct committer *committer = pipeline->committers[s];
    bool is_due = committer_age_us(committer, now_us) >= committer_interval_us(committer);
    /* With an empty epoch it only says how the last one went: a run that nothing comes to must
     * learn of a commit that failed. */
    bool is_empty = !committer_has_rows(committer);
    return (is_full(committer, system) && committer_can_close(committer)) ||
           ((is_due || is_empty) && committer_is_idle(committer));
}

/* The other one of a pair that commits together; NULL for systems that commit by themselves. */
static struct committer *partner_of(const struct pipeline *pipeline, uint32_t s)
{
    const struct plan *plan = pipeline->plan;
    if (plan->participant == NULL ||
        (plan->systems[s] != plan->participant && plan->systems[s] != plan->decision)) {
        return NULL;
    }
    const struct system *other =
        plan->systems[s] == plan->participant ? plan->decision : plan->participant;
    uint32_t o = 0;
    while (plan->systems[o] != other) {
        o++;
    }
    return pipeline->committers[o];
}

/* A pair's epochs are closed at the same batch. */
static enum status close_epoch(const struct pipeline *pipeline, uint32_t s, struct error *err)
{
    struct committer *committer = pipeline->committers[s];
    struct committer *partner = partner_of(pipeline, s);
    if (partner == NULL) {
        return committer_close(committer, err);
    }
    bool is_joint = committer_is_joint(committer, partner);
    committer_set_joint(committer, is_joint);
    committer_set_joint(partner, is_joint);
    enum status status = committer_close(committer, err);
    return status == STATUS_OK ? committer_close(partner, err) : status;
}

/* What needs no waiting first: a slow system does not hold up what others could commit. */
static enum status close_ripe(struct worker *worker, struct error *err)
{
    struct pipeline *pipeline = worker->pipeline;
    enum status status = STATUS_OK;
    int64_t now_us = clock_monotonic_us();
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        if (is_ripe(pipeline, s, now_us)) {
            status = close_epoch(pipeline, s, err);
        }
    }
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        status = is_full(pipeline->committers[s], pipeline->plan->systems[s])
                     ? close_epoch(pipeline, s, err)
                     : committer_hold_back(pipeline->committers[s], err);
    }
    return status;
}

/* All that was read is committed in every system when this returns. */
static enum status flush(struct worker *worker, struct error *err)
{
    struct pipeline *pipeline = worker->pipeline;
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        status = close_epoch(pipeline, s, err);
    }
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        status = committer_drain(pipeline->committers[s], err);
    }
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        if (pipeline->plan->systems[s]->forwards_rejects) {
            status = forward_the_rest(worker, s, err);
        }
    }
    struct committer *letters = pipeline->committers[worker->dlq_system];
    if (status == STATUS_OK) {
        status = committer_close(letters, err);
    }
    return status == STATUS_OK ? committer_drain(letters, err) : status;
}

/* --- the loop --- */

static void tell_progress(struct worker *worker, bool always)
{
    const struct run_observer *observer = worker->pipeline->observer;
    int64_t now_us = clock_monotonic_us();
    if (observer->progress != NULL &&
        (always || now_us - worker->progress_us >= PROGRESS_INTERVAL_US)) {
        worker->progress_us = now_us;
        observer->progress(observer->context, worker->records, worker->expected);
    }
}

/* Offsets that are still to come, where they count records. */
static int64_t count_expected(const struct pipeline *pipeline)
{
    if (!pipeline->options->until_end ||
        pipeline->plan->source_ops->timestamp_kind == TIMESTAMP_NONE) {
        return -1;
    }
    int64_t expected = 0;
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        expected += !pipeline->partitions[p].is_mine ? 0 :
            pipeline->partitions[p].end_offset - pipeline->partitions[p].state->next_offset;
    }
    return expected;
}

/* Whether all systems have come to the same place in a partition. */
static bool is_partition_aligned(const struct pipeline *pipeline, uint32_t p)
{
    for (uint32_t s = 1; s < pipeline->plan->system_count; s++) {
        if (committer_cursor(pipeline->committers[s], p) !=
            committer_cursor(pipeline->committers[0], p)) {
            return false;
        }
    }
    return true;
}

static bool is_aligned(const struct pipeline *pipeline)
{
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        if (pipeline->partitions[p].is_mine && !is_partition_aligned(pipeline, p)) {
            return false;
        }
    }
    return true;
}

/* One batch of every partition. *out_rows: how many rows that were. */
static enum status take_round(struct worker *worker, uint64_t *out_rows, struct error *err)
{
    struct pipeline *pipeline = worker->pipeline;
    *out_rows = 0;
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        if (!pipeline->partitions[p].is_mine ||
            (is_ending(pipeline) && is_partition_aligned(pipeline, p)) ||
            is_at_end(pipeline, p, pipeline->partitions[p].state->next_offset)) {
            continue;
        }
        uint32_t rows = 0;
        enum status status = take_batch(worker, p, &rows, err);
        if (status == STATUS_OK) {
            status = close_ripe(worker, err);
        }
        if (status != STATUS_OK) {
            return status;
        }
        *out_rows += rows;
        snapshots_step(worker->snapshots);
        tell_progress(worker, false);
    }
    return STATUS_OK;
}

static int64_t wait_time_us(const struct worker *worker)
{
    const struct pipeline *pipeline = worker->pipeline;
    int64_t patience_us = snapshots_patience_us(worker->snapshots);
    int64_t wait_us = patience_us < WAIT_US ? patience_us : WAIT_US;
    int64_t now_us = clock_monotonic_us();
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        const struct committer *committer = pipeline->committers[s];
        if (committer_has_rows(committer)) {
            int64_t left_us =
                committer_interval_us(committer) - committer_age_us(committer, now_us);
            wait_us = left_us < wait_us ? left_us : wait_us;
        }
    }
    return wait_us < 1000 ? 1000 : wait_us;
}

/* Whether what is open of a system, or of a pair, can go while the worker waits for another one: that
 * one's epoch is being closed already. */
static bool can_go_meanwhile(const struct pipeline *pipeline, uint32_t s, int64_t now_us)
{
    struct committer *committer = pipeline->committers[s];
    struct committer *partner = partner_of(pipeline, s);
    return committer_has_rows(committer) && !committer_is_waited_for(committer) &&
           is_ripe(pipeline, s, now_us) &&
           (partner == NULL ||
            (!committer_is_waited_for(partner) && committer_can_close(partner)));
}

/* While the worker waits for a system the lag grows, and somebody may be looking; what has come for
 * others goes on. How their commits went is asked when the wait is over. */
static void tick(void *context)
{
    struct pipeline *pipeline = context;
    int64_t now_us = clock_monotonic_us();
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        if (can_go_meanwhile(pipeline, s, now_us) &&
            close_epoch(pipeline, s, NULL) != STATUS_OK) {
            continue;
        }
    }
    /* The group takes who is silent for dead; what it says is looked at when the wait is over. */
    (void)assignment_has_changed(pipeline);
    telemetry_tick(pipeline->telemetry, pipeline);
}

static void tick_while_waiting(struct pipeline *pipeline)
{
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        committer_set_waiting(pipeline->committers[s], tick, pipeline);
    }
}

static enum status loop(struct worker *worker, struct error *err)
{
    struct pipeline *pipeline = worker->pipeline;
    struct source *source = pipeline->source;
    while (!is_ending(pipeline) || !is_aligned(pipeline)) {
        uint64_t rows = 0;
        telemetry_tick(pipeline->telemetry, pipeline);
        group_note_follow(pipeline, &worker->group_note);
        patience_watch(pipeline->patience, pipeline);
        if (assignment_has_changed(pipeline)) {
            break;
        }
        if (source->ops->check_place != NULL &&
            source->ops->check_place(source, &worker->left) != STATUS_OK) {
            break;
        }
        forward_rejects(worker);
        enum status status = take_round(worker, &rows, err);
        if (status == STATUS_OK) {
            status = close_ripe(worker, err);
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (rows == 0) {
            bool at_end = pipeline->options->until_end && source->ops->can_replay;
            /* Where records do not come again, systems that are apart stay so. */
            if (at_end || is_ending(pipeline) || source->ops->is_finished(source)) {
                break;
            }
            source->ops->wait(source, wait_time_us(worker));
        }
    }
    return STATUS_OK;
}

enum status worker_run(struct pipeline *pipeline, uint64_t *out_records, struct error *err)
{
    struct worker worker = {.pipeline = pipeline};
    enum status status =
        stage_runner_new(&pipeline->plan->stage, pipeline->hash_key, &worker.runner, err);
    if (status != STATUS_OK) {
        return status;
    }
    worker.intake = intake_new(pipeline->source, worker.runner);
    worker.dlq_system = dlq_system(pipeline->plan);
    worker.expected = count_expected(pipeline);
    worker.snapshots = snapshots_new(pipeline);
    tick_while_waiting(pipeline);
    status = loop(&worker, err);
    if (pipeline->reassigned == ASSIGNMENT_SAME) {
        telemetry_set_phase(pipeline->telemetry, HEALTH_STOPPING);
    }
    /* What others have already is not ours to finish. */
    if (status == STATUS_OK && pipeline->reassigned != ASSIGNMENT_LOST) {
        status = flush(&worker, err);
    }
    if (status == STATUS_OK && pipeline->reassigned == ASSIGNMENT_SAME) {
        snapshots_take_all(worker.snapshots);
    }
    if (status == STATUS_OK && worker.left.status != STATUS_OK) {
        /* All that was read is committed. */
        status = error_set(err, worker.left.status, worker.left.code, "%s", worker.left.message);
    }
    snapshots_free(worker.snapshots);
    group_note_fini(&worker.group_note);
    tell_progress(&worker, true);
    *out_records += worker.records;
    ledger_fini(&worker.counted);
    intake_free(worker.intake);
    stage_runner_free(worker.runner);
    return status;
}
