/*
 * What retention took before it was read.
 *
 *     R at 100          the source begins at 300              the run stops: source.offset_expired
 *     with accept_loss  100 to 299 are booked as lost,        the run goes on at 300
 *
 * The booking is an epoch of its own without rows, committed like any other: R's next offset moves,
 * the range stands in its list of lost ranges and is counted in the ledger. Where another system
 * stands behind the gap, those in it go on where that one is, with what it remembers: rows between
 * are judged once, and not again from less. Else state begins anew behind the gap, with nothing
 * remembered but the greatest event time: a state that depended on what is gone could not be
 * rebuilt, nor verified.
 */
#include <stdio.h>

#include "run/accounting.h"
#include "run/pipeline.h"

static int64_t source_begin(const struct pipeline *pipeline, uint32_t p)
{
    return pipeline->partitions[p].source->first_offset;
}

static bool is_expired(const struct pipeline *pipeline, uint32_t s, uint32_t p)
{
    return pipeline->source->ops->can_replay && !pipeline->source->ops->offsets_are_bytes &&
           pipeline_progress(pipeline, s, p)->next_offset < source_begin(pipeline, p);
}

/* The system that has come least far of those that are not behind the source's beginning; NULL when
 * all are. */
static const struct progress *find_leader(const struct pipeline *pipeline, uint32_t p)
{
    const struct progress *leader = NULL;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        const struct progress *progress = pipeline_progress(pipeline, s, p);
        if (!is_expired(pipeline, s, p) &&
            (leader == NULL || progress->next_offset < leader->next_offset)) {
            leader = progress;
        }
    }
    return leader;
}

static int64_t target_of(const struct pipeline *pipeline, uint32_t p)
{
    const struct progress *leader = find_leader(pipeline, p);
    return leader == NULL ? source_begin(pipeline, p) : leader->next_offset;
}

static enum status refuse(const struct pipeline *pipeline, uint32_t s, uint32_t p,
                          struct error *err)
{
    const struct progress *progress = pipeline_progress(pipeline, s, p);
    int64_t target = target_of(pipeline, p);
    return error_set(err, STATUS_CONFIG, "source.offset_expired",
                     "'%s' [%s] begins at offset %lld now, and %s has come only to %lld: what "
                     "stood between was deleted by the topic's retention before it was read. "
                     "Restore the source from a backup; or start with --accept-loss, which books "
                     "offsets %lld to %lld as lost and goes on at %lld",
                     progress->topic, progress->partition,
                     (long long)source_begin(pipeline, p), pipeline->plan->systems[s]->name,
                     (long long)progress->next_offset, (long long)progress->next_offset,
                     (long long)target - 1, (long long)target);
}

/* --- booking --- */

static void count_lost(const struct progress *progress, int64_t target, struct progress_step *step)
{
    struct hash128 plan_hash = progress->plans[progress->plan_count - 1].plan_hash;
    for (int64_t at = progress->next_offset; at < target;) {
        int64_t end = accounting_segment_end(at);
        end = end < target ? end : target;
        struct ledger *delta = accounting_delta(
            step, accounting_segment(progress->plans, progress->plan_count, at), plan_hash);
        delta->lost += (uint64_t)(end - at);
        at = end;
    }
}

static void make_step(const struct pipeline *pipeline, uint32_t p, const struct progress *progress,
                      struct progress_step *step)
{
    const struct progress *leader = find_leader(pipeline, p);
    const struct progress *known = leader == NULL ? progress : leader;
    int64_t target = target_of(pipeline, p);
    *step = (struct progress_step){
        .first_offset = progress->next_offset,
        .next_offset = target,
        .is_lost = true,
        .greatest_us = known->greatest_us,
        .candidates = known->candidates,
        .plan_count = known->plan_count,
    };
    step->plans = memory_alloc(size_mul(known->plan_count, sizeof *step->plans));
    memcpy(step->plans, known->plans, known->plan_count * sizeof *step->plans);
    if (leader != NULL) {
        step->state_start = leader->state_start;
        step->last_record_hash = leader->last_record_hash;
    } else {
        step->state_start = (struct anchor){.offset = target,
                                            .greatest_us = progress->greatest_us,
                                            .candidates = progress->candidates};
    }
    count_lost(progress, target, step);
}

static enum status commit(struct system *system, struct epoch *epoch, struct progress *progresses,
                          struct error *err)
{
    epoch->outboxes = memory_alloc_zero(system->sink_count + 1, sizeof *epoch->outboxes);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        epoch->outboxes[i] = system->sinks[i]->ops->outbox_new(system->sinks[i]);
    }
    enum status status = system->ops->commit(system, epoch, progresses, err);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        system->sinks[i]->ops->outbox_free(epoch->outboxes[i]);
    }
    memory_free(epoch->outboxes);
    return status;
}

static void tell(const struct pipeline *pipeline, uint32_t s, uint32_t p,
                 const struct progress_step *step)
{
    const struct source_partition *source = pipeline->partitions[p].source;
    pipeline_warn(pipeline,
                  "%s: offsets %lld to %lld of '%s' [%s] are booked as lost: they were deleted "
                  "before they were read%s",
                  pipeline->plan->systems[s]->name, (long long)step->first_offset,
                  (long long)step->next_offset - 1, source->topic, source->label,
                  find_leader(pipeline, p) != NULL || pipeline->plan->stage.horizon_us == 0
                      ? ""
                      : ", and what was remembered of the time before is given up with them");
}

static enum status book_system(struct pipeline *pipeline, uint32_t s, struct error *err)
{
    struct epoch epoch = {
        .parts = memory_alloc_zero(pipeline->partition_count, sizeof *epoch.parts)};
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        if (pipeline->partitions[p].is_mine && is_expired(pipeline, s, p)) {
            struct epoch_part *part = &epoch.parts[epoch.part_count++];
            part->partition = p;
            make_step(pipeline, p, pipeline_progress(pipeline, s, p), &part->step);
        }
    }
    enum status status = STATUS_OK;
    if (epoch.part_count > 0) {
        for (uint32_t i = 0; i < epoch.part_count; i++) {
            tell(pipeline, s, epoch.parts[i].partition, &epoch.parts[i].step);
        }
        status = commit(pipeline->plan->systems[s], &epoch, pipeline->progresses[s], err);
    }
    for (uint32_t i = 0; i < epoch.part_count; i++) {
        progress_step_fini(&epoch.parts[i].step);
    }
    memory_free(epoch.parts);
    return status;
}

/* Systems one after the other: what was booked of the first is where the next one looks, and comes
 * to the same offset. */
enum status loss_settle(struct pipeline *pipeline, struct error *err)
{
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        for (uint32_t p = 0; p < pipeline->partition_count; p++) {
            if (pipeline->partitions[p].is_mine && is_expired(pipeline, s, p) && !pipeline->options->accept_loss) {
                return refuse(pipeline, s, p, err);
            }
        }
    }
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        status = book_system(pipeline, s, err);
    }
    return status;
}
