/* The state of one source partition: made, replayed into, carried over a plan change. */
#include "base/time.h"
#include "stage/stage.h"

static void make_stores(struct stage_state *state, const struct stage_plan *plan)
{
    state->seen_identity = plan->dedup_identity;
    state->seen = plan->dedup_field_count == 0
                      ? NULL
                      : seen_store_new(state->budget, plan->dedup_window_us);
    state->last_count = plan->last_store_count;
    state->last = memory_alloc_zero(state->last_count + 1, sizeof *state->last);
    state->last_identities =
        memory_alloc_zero(state->last_count + 1, sizeof *state->last_identities);
    for (uint32_t i = 0; i < plan->fill_count; i++) {
        const struct stage_fill *fill = &plan->fills[i];
        if (fill->kind == FILL_LAST_BY) {
            state->last[fill->store] = last_store_new(state->budget, fill->max_age_us);
            state->last_identities[fill->store] = fill->identity;
        }
    }
}

static void free_stores(struct stage_state *state)
{
    seen_store_free(state->seen);
    for (uint32_t i = 0; i < state->last_count; i++) {
        last_store_free(state->last[i]);
    }
    memory_free(state->last);
    memory_free(state->last_identities);
}

struct stage_state *stage_state_new(const struct stage_plan *plan, struct state_budget *budget,
                                    int64_t start_offset)
{
    struct stage_state *state = memory_alloc_zero(1, sizeof *state);
    state->greatest_us = TIME_NEVER;
    state->budget = budget;
    state->next_offset = start_offset;
    anchors_init(&state->anchors, plan->horizon_us);
    make_stores(state, plan);
    return state;
}

void stage_state_free(struct stage_state *state)
{
    if (state == NULL) {
        return;
    }
    free_stores(state);
    anchors_fini(&state->anchors);
    memory_free(state);
}

void stage_state_start_at(struct stage_state *state, const struct anchor *anchor)
{
    state->greatest_us = anchor->greatest_us;
    state->candidates = anchor->candidates;
    state->next_offset = anchor->offset;
    anchors_offer(&state->anchors, anchor);
}

int64_t stage_state_watermark(const struct stage_state *state, const struct stage_plan *plan)
{
    return state->greatest_us - plan->lateness_us;
}

static void purge(struct stage_state *state, const struct stage_plan *plan)
{
    int64_t watermark_us = stage_state_watermark(state, plan);
    if (state->seen != NULL) {
        seen_store_purge(state->seen, watermark_us);
    }
    for (uint32_t i = 0; i < state->last_count; i++) {
        last_store_purge(state->last[i], watermark_us);
    }
}

void stage_state_change_plan(struct stage_state *state, const struct stage_plan *from,
                             const struct stage_plan *to)
{
    /* Exactly now, so that what the old rule had forgotten stays forgotten, in the first run and in
     * every replay. */
    purge(state, from);
    struct stage_state before = *state;
    make_stores(state, to);
    if (before.seen != NULL && state->seen != NULL &&
        hash_equal(before.seen_identity, state->seen_identity)) {
        seen_store_free(state->seen);
        state->seen = before.seen;
        before.seen = NULL;
        seen_store_set_horizon(state->seen, to->dedup_window_us);
    }
    for (uint32_t i = 0; i < to->fill_count; i++) {
        const struct stage_fill *fill = &to->fills[i];
        if (fill->kind != FILL_LAST_BY) {
            continue;
        }
        for (uint32_t k = 0; k < before.last_count; k++) {
            if (before.last[k] != NULL &&
                hash_equal(before.last_identities[k], fill->identity)) {
                last_store_free(state->last[fill->store]);
                state->last[fill->store] = before.last[k];
                before.last[k] = NULL;
                last_store_set_horizon(state->last[fill->store], fill->max_age_us);
            }
        }
    }
    free_stores(&before);
    anchors_change_horizon(&state->anchors, state->next_offset, to->horizon_us);
}

struct hash128 stage_state_digest(const struct stage_state *state, const struct stage_plan *plan)
{
    int64_t watermark_us = stage_state_watermark(state, plan);
    struct buffer form = {0};
    buffer_append_u64(&form, (uint64_t)state->greatest_us);
    candidates_write(&state->candidates, &form);
    buffer_append_u64(&form, (uint64_t)state->next_offset);
    struct hash128 digest = hash_plain(form.data, form.size);
    buffer_fini(&form);
    if (state->seen != NULL) {
        digest = hash_add(digest, seen_store_digest(state->seen, watermark_us));
    }
    for (uint32_t i = 0; i < state->last_count; i++) {
        digest = hash_add(digest, last_store_digest(state->last[i], watermark_us));
    }
    return digest;
}
