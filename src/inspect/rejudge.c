#include "inspect/rejudge.h"

#include "base/time.h"

/* Where the first of the systems began; `out_first` stays empty when that is not known. */
static enum status find_beginning(const struct pipeline *pipeline, uint32_t p, int64_t guide_offset,
                                  struct progress *out_first, struct anchor *out_anchor,
                                  struct error *err)
{
    enum status status = STATUS_OK;
    *out_anchor = (struct anchor){.offset = guide_offset, .greatest_us = TIME_NEVER};
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        struct system *system = pipeline->plan->systems[s];
        struct progress first = {0};
        bool found = false;
        status =
            system->ops->load_first(system, pipeline->partitions[p].source, &first, &found, err);
        if (status == STATUS_OK && found && first.next_offset <= guide_offset &&
            (!pipeline_is_found(out_first) || first.next_offset < out_first->next_offset)) {
            progress_copy(out_first, &first);
            *out_anchor = first.state_start;
        }
        progress_fini(&first);
    }
    return status;
}

/* The plans of the time before the segments, then theirs. */
static void take_plans(const struct progress *first, struct history *history)
{
    const struct audit_segments *segments = &history->segments;
    struct plan_change *plans =
        memory_alloc_zero(size_add(first->plan_count, segments->count) + 1, sizeof *plans);
    uint32_t count = 0;
    while (count < first->plan_count &&
           first->plans[count].offset < segments->items[0].first_offset) {
        plans[count] = first->plans[count];
        count++;
    }
    for (uint32_t i = 0; i < segments->count; i++) {
        if (count == 0 || !hash_equal(plans[count - 1].plan_hash, segments->items[i].plan_hash)) {
            plans[count++] = (struct plan_change){.offset = segments->items[i].first_offset,
                                                  .plan_hash = segments->items[i].plan_hash};
        }
    }
    history->plans = plans;
    history->plan_count = count;
}

static uint32_t furthest_system(const struct pipeline *pipeline, uint32_t p)
{
    uint32_t furthest = 0;
    for (uint32_t s = 1; s < pipeline->plan->system_count; s++) {
        if (pipeline->progresses[s][p].next_offset >
            pipeline->progresses[furthest][p].next_offset) {
            furthest = s;
        }
    }
    return furthest;
}

/* The segments of the system that has come furthest, and what others have of the time before that
 * one was added. */
static enum status load_segments(const struct pipeline *pipeline, uint32_t p,
                                 struct history *history, struct error *err)
{
    struct audit_segments *segments = &history->segments;
    enum status status = audit_segments_load(pipeline, history->furthest, p, segments, err);
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        struct audit_segments more = {0};
        if (s != history->furthest) {
            status = audit_segments_load(pipeline, s, p, &more, err);
        }
        if (status == STATUS_OK) {
            audit_segments_prepend(segments, &more);
        }
        audit_segments_fini(&more);
    }
    return status;
}

enum status history_load(const struct pipeline *pipeline, uint32_t p, struct history *out,
                         struct error *err)
{
    out->furthest = furthest_system(pipeline, p);
    out->next_offset = pipeline->progresses[out->furthest][p].next_offset;
    enum status status = load_segments(pipeline, p, out, err);
    if (status == STATUS_OK && out->segments.count > 0) {
        struct progress first = {0};
        status = find_beginning(pipeline, p, out->segments.items[0].first_offset, &first,
                                &out->anchor, err);
        if (status == STATUS_OK) {
            take_plans(&first, out);
        }
        progress_fini(&first);
    }
    return status;
}

void history_fini(struct history *history)
{
    audit_segments_fini(&history->segments);
    memory_free(history->plans);
}

bool history_is_there(const struct history *history, const struct pipeline *pipeline, uint32_t p)
{
    return pipeline->partitions[p].source->first_offset <= history->anchor.offset;
}

enum status rejudge_begin(struct rejudging *rejudging, struct pipeline *pipeline,
                          struct replayer *replayer, uint32_t p, const struct history *history,
                          struct error *err)
{
    const struct anchor *anchor = &history->anchor;
    const struct judge *judge = NULL;
    *rejudging = (struct rejudging){
        .pipeline = pipeline,
        .replayer = replayer,
        .history = history,
        .partition = p,
        .current = replayer_plan_at(history->plans, history->plan_count, anchor->offset),
    };
    enum status status =
        replayer_judge(replayer, history->plans[rejudging->current].plan_hash, &judge, err);
    if (status == STATUS_OK) {
        rejudging->state = stage_state_new(&judge->plan->stage, &pipeline->budget, anchor->offset);
        stage_state_start_at(rejudging->state, anchor);
        status = pipeline->source->ops->seek(pipeline->source, p, anchor->offset, err);
    }
    return status;
}

enum status rejudge_next(struct rejudging *rejudging, int64_t limit_offset,
                         const struct judge **out_judge, struct error *err)
{
    const struct history *history = rejudging->history;
    return replayer_next(rejudging->replayer, rejudging->pipeline->source, rejudging->partition,
                         history->plans, history->plan_count, &rejudging->current, rejudging->state,
                         limit_offset, STAGE_FULL, out_judge, err);
}

void rejudge_end(struct rejudging *rejudging)
{
    stage_state_free(rejudging->state);
}
