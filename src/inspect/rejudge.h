/*
 * Rejudge: what a pipeline has judged of a partition, and the same judged again from the log, each
 * row under the plan that judged it first. Audit compares it with the ledger and the places; trace
 * looks for one record.
 *
 *   history_load      which plans judged which offsets, and from which anchor on (R, ledger segments)
 *   rejudge_begin     state as it was there, the source set to it
 *   rejudge_next      the next batch, judged
 *   rejudge_end
 *
 * Changes nothing: it needs systems that can be read (open_session, or open_reader), no ownership.
 *
 * Threads: one; the pipeline's source is used.
 */
#ifndef WEIR_INSPECT_REJUDGE_H
#define WEIR_INSPECT_REJUDGE_H

#include "inspect/audit_segments.h"
#include "run/pipeline.h"
#include "run/replayer.h"

struct history {
    uint32_t furthest;              /* the system that has come furthest */
    struct audit_segments segments; /* its own, and what others have of the time before; no items:
                                       nothing was judged yet */
    struct plan_change *plans;
    uint32_t plan_count;
    /* Where judging begins: where the first of the systems began, or further back where that one
     * joined others that are not there any more, and took over what they remembered. */
    struct anchor anchor;
    int64_t next_offset;            /* behind the last row that any system has */
};

/* After recovery_load(). `out` is zero-initialised, and freed with history_fini() also after a
 * failure. */
enum status history_load(const struct pipeline *pipeline, uint32_t p, struct history *out,
                         struct error *err) WEIR_MUST_USE;
void history_fini(struct history *history);
/* Whether the source still has what judging begins with. */
bool history_is_there(const struct history *history, const struct pipeline *pipeline, uint32_t p);

struct rejudging {
    struct pipeline *pipeline;
    struct replayer *replayer;
    const struct history *history;
    struct stage_state *state;
    uint32_t partition;
    uint32_t current; /* index of the plan that `state` was left under */
};

/* At history->anchor. rejudge_end() also after a failure. */
enum status rejudge_begin(struct rejudging *rejudging, struct pipeline *pipeline,
                          struct replayer *replayer, uint32_t p, const struct history *history,
                          struct error *err) WEIR_MUST_USE;
/* As replayer_next(), with outputs. */
enum status rejudge_next(struct rejudging *rejudging, int64_t limit_offset,
                         const struct judge **out_judge, struct error *err) WEIR_MUST_USE;
void rejudge_end(struct rejudging *rejudging);

#endif
