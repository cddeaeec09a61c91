/*
 * State of every partition, rebuilt at the position of its slowest system.
 *
 *   newest snapshot (snapshots.c), else state_start ──▶ silent replay, each row under the plan that
 *   judged it first (replayer.c) ──▶ the log is verified ──▶ the running plan judges from here on
 *
 * What is refused here, each with the one way on: an R behind a snapshot (it went back); a log that
 * no longer reaches back to state_start; a log whose records are not those that were consumed. State
 * that is here already is kept where R of every system still stands at its position.
 */
#include <string.h>

#include "base/broken.h"
#include "os/clock.h"
#include "os/thread.h"
#include "run/pipeline.h"
#include "run/replayer.h"
#include "run/snapshots.h"

/* R of the system that has come least far, and of the one that has come furthest. */
static void find_slowest(const struct pipeline *pipeline, uint32_t p,
                         const struct progress **out_slowest,
                         const struct progress **out_furthest)
{
    *out_slowest = *out_furthest = pipeline_progress(pipeline, 0, p);
    for (uint32_t s = 1; s < pipeline->plan->system_count; s++) {
        const struct progress *progress = pipeline_progress(pipeline, s, p);
        if (progress->next_offset < (*out_slowest)->next_offset) {
            *out_slowest = progress;
        }
        if (progress->next_offset > (*out_furthest)->next_offset) {
            *out_furthest = progress;
        }
    }
}

/* A source that cannot be read again: what was remembered is gone, and the guarantee is
 * at_least_once. */
static void start_afresh(struct pipeline *pipeline, uint32_t p, const struct progress *slowest)
{
    struct partition *partition = &pipeline->partitions[p];
    partition->plan_count = 1;
    partition->state = stage_state_new(&pipeline->plan->stage, &pipeline->budget,
                                       slowest->next_offset);
    partition->state->greatest_us = slowest->greatest_us;
    partition->plans[0] = (struct plan_change){.offset = slowest->next_offset,
                                               .plan_hash = pipeline->plan->hash,
                                               .horizon_us = pipeline->plan->stage.horizon_us};
}

/* No snapshot, and what state is rebuilt from is gone. OK: it shall begin with nothing. */
static enum status state_expired(const struct pipeline *pipeline, uint32_t p,
                                 const struct progress *slowest, struct error *err)
{
    const struct source_partition *source = pipeline->partitions[p].source;
    if (!pipeline->options->accept_incomplete_state) {
        return error_set(err, STATUS_CONFIG, "source.offset_expired",
                         "the state of '%s' [%s] must be rebuilt from offset %lld, but the source "
                         "begins at %lld now, and there is no snapshot: restore the snapshots of "
                         "%s; or start with --accept-incomplete-state, which goes on at %lld with "
                         "nothing remembered: duplicates of earlier records are not found, and "
                         "nothing is filled from them",
                         source->topic, source->label, (long long)slowest->state_start.offset,
                         (long long)source->first_offset, pipeline->state_folder,
                         (long long)slowest->next_offset);
    }
    pipeline_warn(pipeline,
                  "'%s' [%s]: nothing is remembered of what stood before offset %lld; duplicates "
                  "of it are not found, and nothing is filled from it, until the horizon has "
                  "passed from there on",
                  source->topic, source->label, (long long)slowest->next_offset);
    return STATUS_OK;
}

static enum status start_from_anchor(struct pipeline *pipeline, struct replayer *replayer,
                                     uint32_t p, const struct progress *slowest,
                                     uint32_t *current, struct error *err)
{
    struct partition *partition = &pipeline->partitions[p];
    struct anchor begin = slowest->state_start;
    const struct anchor *anchor = &begin;
    if (begin.offset < partition->source->first_offset) {
        enum status expired = state_expired(pipeline, p, slowest, err);
        if (expired != STATUS_OK) {
            return expired;
        }
        /* A state that depended on what is gone could not be rebuilt a second time. */
        begin = (struct anchor){.offset = slowest->next_offset,
                                .greatest_us = slowest->greatest_us,
                                .candidates = slowest->candidates};
    }
    *current = replayer_plan_at(partition->plans, partition->plan_count, anchor->offset);
    const struct judge *judge = NULL;
    enum status status =
        replayer_judge(replayer, partition->plans[*current].plan_hash, &judge, err);
    if (status == STATUS_OK) {
        partition->state = stage_state_new(&judge->plan->stage, &pipeline->budget,
                                           anchor->offset);
        stage_state_start_at(partition->state, anchor);
    }
    return status;
}

static enum status log_is_another(const struct partition *partition, int64_t offset,
                                  struct error *err)
{
    return error_set(err, STATUS_CONFIG, "source.changed",
                     "the record of '%s' [%s] before offset %lld is not the one that was consumed: "
                     "the source was replaced or edited; restore it, or give the pipeline another "
                     "name to start afresh",
                     partition->source->topic, partition->source->label, (long long)offset);
}

/* Reads up to `target` without output. */
static enum status replay_to(struct pipeline *pipeline, struct replayer *replayer, uint32_t p,
                             int64_t target, uint32_t *current, uint64_t *out_rows,
                             struct error *err)
{
    struct partition *partition = &pipeline->partitions[p];
    struct source *source = pipeline->source;
    enum status status = source->ops->seek(source, p, partition->state->next_offset, err);
    while (status == STATUS_OK && partition->state->next_offset < target) {
        const struct judge *judge = NULL;
        status = replayer_next(replayer, source, p, partition->plans, partition->plan_count,
                               current, partition->state, target, STAGE_SILENT, &judge, err);
        if (status == STATUS_OK && judge->batch->row_count == 0) {
            return pipeline->is_compacted ? STATUS_OK : log_is_another(partition, target, err);
        }
        *out_rows += status == STATUS_OK ? judge->batch->row_count : 0;
        if (status == STATUS_OK && (stop_requested() || assignment_has_changed(pipeline))) {
            return STATUS_OK;
        }
    }
    return status;
}

static bool is_zero(struct hash128 hash)
{
    return hash.low == 0 && hash.high == 0;
}

/* The record at `offset`, read again, must be the one that was consumed. What has expired, or was
 * never known, cannot be verified. */
static enum status verify_record(struct pipeline *pipeline, const struct judge *judge, uint32_t p,
                                 int64_t offset, struct hash128 hash, struct error *err)
{
    struct partition *partition = &pipeline->partitions[p];
    const struct source_ops *ops = pipeline->source->ops;
    if (is_zero(hash) || offset < partition->source->first_offset) {
        return STATUS_OK;
    }
    batch_reset(judge->batch, p, 0);
    enum status status = ops->seek(pipeline->source, p, offset, err);
    if (status == STATUS_OK) {
        status = ops->read(pipeline->source, p, judge->batch, offset + 1, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (judge->batch->row_count == 0 && stop_requested()) {
        /* A source that waits for its records waits no longer: nothing was seen. */
        return error_set(err, STATUS_RETRY, "stop.requested", "a stop was asked for");
    }
    bool is_there = judge->batch->row_count > 0 && judge->batch->records[0].offset == offset;
    if (!is_there && pipeline->is_compacted) {
        return STATUS_OK; /* a missing one cannot be verified */
    }
    bool is_same = is_there &&
                   hash_equal(record_hash(stage_runner_secret(judge->runner),
                                          &judge->batch->records[0]),
                              hash);
    return is_same ? STATUS_OK : log_is_another(partition, offset + 1, err);
}

/* Whether the log is still the one that was consumed: its last record and that of the anchor, also
 * where a snapshot spared reading them. */
static enum status verify_log(struct pipeline *pipeline, struct replayer *replayer, uint32_t p,
                              const struct progress *slowest, struct error *err)
{
    const struct partition *partition = &pipeline->partitions[p];
    const struct stage_state *state = partition->state;
    if (!is_zero(state->last_record_hash) && !is_zero(slowest->last_record_hash) &&
        !hash_equal(state->last_record_hash, slowest->last_record_hash)) {
        return log_is_another(partition, slowest->next_offset, err);
    }
    const struct judge *judge = NULL;
    enum status status = replayer_judge(replayer, pipeline->plan->hash, &judge, err);
    if (status == STATUS_OK) {
        status = verify_record(pipeline, judge, p, slowest->state_start.offset,
                               slowest->state_start.record_hash, err);
    }
    if (status == STATUS_OK) {
        status = verify_record(pipeline, judge, p, state->last_record_offset,
                               state->last_record_hash, err);
    }
    return status;
}

/* The history from the slowest system's state_start on: its own, which reaches back far enough, and
 * what came behind. */
static void take_plans(struct partition *partition, const struct progress *slowest,
                       const struct progress *furthest)
{
    size_t most = (size_t)slowest->plan_count + furthest->plan_count + 1;
    partition->plans = memory_alloc(size_mul(most, sizeof *partition->plans));
    memcpy(partition->plans, slowest->plans, slowest->plan_count * sizeof *partition->plans);
    partition->plan_count = slowest->plan_count;
    for (uint32_t i = 0; i < furthest->plan_count; i++) {
        const struct plan_change *last = &partition->plans[partition->plan_count - 1];
        const struct plan_change *next = &furthest->plans[i];
        if (next->offset > last->offset ||
            (next->offset == last->offset && !hash_equal(next->plan_hash, last->plan_hash))) {
            partition->plans[partition->plan_count++] = *next;
        }
    }
}

/* Whether the plan remembers something that the one before did not, or by another key. */
static bool remembers_anew(const struct stage_plan *from, const struct stage_plan *to)
{
    if (to->dedup_field_count > 0 &&
        (from->dedup_field_count == 0 || !hash_equal(from->dedup_identity, to->dedup_identity))) {
        return true;
    }
    for (uint32_t i = 0; i < to->fill_count; i++) {
        bool is_known = to->fills[i].kind != FILL_LAST_BY;
        for (uint32_t k = 0; k < from->fill_count && !is_known; k++) {
            is_known = from->fills[k].kind == FILL_LAST_BY &&
                       hash_equal(from->fills[k].identity, to->fills[i].identity);
        }
        if (!is_known) {
            return true;
        }
    }
    return false;
}

static void tell_of_memory(const struct pipeline *pipeline, const struct partition *partition,
                           const struct stage_plan *from, const struct stage_plan *to)
{
    const char *how = remembers_anew(from, to)
                          ? "remembers by other fields, of which nothing is known yet"
                      : to->horizon_us > from->horizon_us ? "remembers longer"
                                                          : NULL;
    if (how != NULL) {
        pipeline_talk(pipeline, "'%s' [%s]: the changed plan %s; that is complete only after its "
                                "horizon has passed from offset %lld on",
                      partition->source->topic, partition->source->label, how,
                      (long long)partition->state->next_offset);
    }
}

/* From here on the running plan judges. */
static enum status switch_plan(struct pipeline *pipeline, struct replayer *replayer, uint32_t p,
                               uint32_t current, struct error *err)
{
    struct partition *partition = &pipeline->partitions[p];
    const struct plan *plan = pipeline->plan;
    const struct judge *judge = NULL;
    if (hash_equal(partition->plans[partition->plan_count - 1].plan_hash, plan->hash)) {
        return STATUS_OK;
    }
    enum status status =
        replayer_judge(replayer, partition->plans[current].plan_hash, &judge, err);
    if (status != STATUS_OK) {
        return status;
    }
    int64_t offset = partition->state->next_offset;
    stage_state_change_plan(partition->state, &judge->plan->stage, &plan->stage);
    tell_of_memory(pipeline, partition, &judge->plan->stage, &plan->stage);
    partition->plans[partition->plan_count++] = (struct plan_change){
        .offset = offset, .plan_hash = plan->hash, .horizon_us = plan->stage.horizon_us};
    return STATUS_OK;
}

/* False when a stop signal cut its replay short. */
static bool is_partition_rebuilt(const struct pipeline *pipeline, uint32_t p)
{
    const struct progress *slowest = NULL;
    const struct progress *furthest = NULL;
    find_slowest(pipeline, p, &slowest, &furthest);
    return pipeline->partitions[p].state->next_offset >= slowest->next_offset;
}

static enum status rebuild_partition(struct pipeline *pipeline, struct replayer *replayer,
                                     uint32_t p, uint64_t *out_rows, struct error *err)
{
    struct partition *partition = &pipeline->partitions[p];
    const struct progress *slowest = NULL;
    const struct progress *furthest = NULL;
    find_slowest(pipeline, p, &slowest, &furthest);
    take_plans(partition, slowest, furthest);
    uint32_t current = 0;
    bool found = false;
    enum status status = snapshots_restore(pipeline, replayer, p, slowest,
                                          furthest->next_offset, &current, &found, err);
    if (status == STATUS_OK && !pipeline->plan->source_ops->can_replay) {
        start_afresh(pipeline, p, slowest);
        return STATUS_OK;
    }
    if (status == STATUS_OK && !found) {
        status = start_from_anchor(pipeline, replayer, p, slowest, &current, err);
    }
    if (status == STATUS_OK && BROKEN("no-replay")) {
        stage_state_free(partition->state);
        partition->state = stage_state_new(&pipeline->plan->stage, &pipeline->budget,
                                           slowest->next_offset);
        return pipeline->source->ops->seek(pipeline->source, p, slowest->next_offset, err);
    }
    if (status != STATUS_OK ||
        (status = replay_to(pipeline, replayer, p, slowest->next_offset, &current, out_rows,
                            err)) != STATUS_OK ||
        !is_partition_rebuilt(pipeline, p) ||
        (status = replayer_carry_over(replayer, partition->plans, partition->plan_count, &current,
                                      partition->state, err)) != STATUS_OK ||
        (status = verify_log(pipeline, replayer, p, slowest, err)) != STATUS_OK) {
        return status;
    }
    /* Under unequal cursors the running plan is the last one already (run.c aligns first). */
    return slowest->next_offset == furthest->next_offset
               ? switch_plan(pipeline, replayer, p, current, err)
               : STATUS_OK;
}

static bool is_first_start(const struct pipeline *pipeline)
{
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        const struct progress *slowest = NULL;
        const struct progress *furthest = NULL;
        find_slowest(pipeline, p, &slowest, &furthest);
        if (furthest->epoch > 0 || pipeline->is_shared) {
            return false;
        }
    }
    return true;
}

static void drop_state(struct partition *partition)
{
    stage_state_free(partition->state);
    memory_free(partition->plans);
    partition->state = NULL;
    partition->plans = NULL;
    partition->plan_count = 0;
}

/* State that stands where R of every system does: the partition never left, or came back before anybody
 * went on with it. What stands elsewhere is dropped. */
static bool is_partition_kept(struct pipeline *pipeline, uint32_t p)
{
    struct partition *partition = &pipeline->partitions[p];
    if (partition->state == NULL) {
        return false;
    }
    bool is_there = true;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        is_there = is_there && pipeline_progress(pipeline, s, p)->next_offset ==
                                   partition->state->next_offset;
    }
    if (!is_there && !BROKEN("lost-kept")) {
        drop_state(partition);
    }
    return is_there || BROKEN("lost-kept");
}

enum status rebuild_state(struct pipeline *pipeline, struct error *err)
{
    bool quiet = is_first_start(pipeline);
    int64_t begin_us = clock_monotonic_us();
    if (!quiet) {
        pipeline_talk(pipeline, "recovering");
    }
    struct replayer *replayer =
        replayer_new(pipeline->plan, pipeline->plan->systems, pipeline->plan->system_count,
                     pipeline->hash_key);
    uint64_t rows = 0;
    enum status status = STATUS_OK;
    bool is_cut = false;
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK && !is_cut; p++) {
        if (!pipeline->partitions[p].is_mine || is_partition_kept(pipeline, p)) {
            continue;
        }
        status = rebuild_partition(pipeline, replayer, p, &rows, err);
        if (status != STATUS_OK) {
            drop_state(&pipeline->partitions[p]); /* not whole, wherever it stands */
        }
        is_cut = status == STATUS_OK && !is_partition_rebuilt(pipeline, p);
    }
    replayer_free(replayer);
    pipeline->is_rebuilt = status == STATUS_OK && !is_cut;
    if (pipeline->is_rebuilt && !quiet) {
        pipeline_talk(pipeline, "recovered: %llu records replayed without output in %lld ms",
                      (unsigned long long)rows,
                      (long long)((clock_monotonic_us() - begin_us) / 1000));
    }
    return status;
}
