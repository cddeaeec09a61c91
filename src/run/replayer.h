/*
 * Replayer: judges rows of a partition again, each under the plan that judged it first. Recovery
 * rebuilds state with it (silently), audit recomputes what should have gone out (with outputs).
 *
 * Plans other than the running one are made from their stored texts; all live as long as the
 * replayer.
 *
 * Threads: one.
 */
#ifndef WEIR_RUN_REPLAYER_H
#define WEIR_RUN_REPLAYER_H

#include "connector/sink.h"
#include "connector/source.h"
#include "plan/plan.h"

struct replayer;

/* Where the stored text of a plan is looked for: these systems, with open sessions. */
struct replayer *replayer_new(struct plan *running, struct system **systems,
                              uint32_t system_count, const uint8_t hash_key[HASH_KEY_BYTES]);
void replayer_free(struct replayer *replayer);

/* The plan of that hash with its runner and a batch. FATAL "plan.missing" when no system has its
 * text. */
struct judge {
    struct plan *plan;
    struct stage_runner *runner;
    struct batch *batch;
};
enum status replayer_judge(struct replayer *replayer, struct hash128 plan_hash,
                           const struct judge **out, struct error *err) WEIR_MUST_USE;

/* The stored text of a plan, out of the first system that has it. FATAL "plan.missing" as above. */
enum status replayer_load_text(struct system **systems, uint32_t system_count,
                               struct hash128 plan_hash, struct buffer *out,
                               struct error *err) WEIR_MUST_USE;

/* Which entry of the history judges `offset`. */
uint32_t replayer_plan_at(const struct plan_change *plans, uint32_t plan_count, int64_t offset);

/* Brings the state from the plan that it was left under, plans[*current], to the one that judges
 * its next row. */
enum status replayer_carry_over(struct replayer *replayer, const struct plan_change *plans,
                                uint32_t plan_count, uint32_t *current, struct stage_state *state,
                                struct error *err) WEIR_MUST_USE;

/* Reads and judges the next batch at state->next_offset, cut at `limit_offset`, at plan changes
 * (where the state is carried over) and at segment ends. *out_judge is the plan that judged; its
 * batch holds the rows until the next call; row_count 0: nothing more to read below the limit. The
 * source must stand (seek) at state->next_offset. `*current` is the index in `plans` of the plan
 * that `state` was left under. */
enum status replayer_next(struct replayer *replayer, struct source *source, uint32_t partition,
                          const struct plan_change *plans, uint32_t plan_count, uint32_t *current,
                          struct stage_state *state, int64_t limit_offset, enum stage_mode mode,
                          const struct judge **out_judge, struct error *err) WEIR_MUST_USE;

#endif
