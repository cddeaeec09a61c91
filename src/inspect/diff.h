/*
 * Diff: what a changed pipeline file would have decided differently on the recent log.
 *
 * The log is read once and judged twice, under the old file and under the new one, each with state
 * of its own. Before the window that is compared both are warmed up by silent replay: from so far
 * back that event time has moved on by more than the longer of the two horizons, or from the
 * beginning of the log. Where that cannot be, a note says so.
 *
 * Opens nothing but the source, and only reads. Neither progress records nor sinks are looked at:
 * it also works for files that never ran.
 */
#ifndef WEIR_INSPECT_DIFF_H
#define WEIR_INSPECT_DIFF_H

#include "run/run.h"

struct diff_query {
    int64_t last;     /* records at the end of each partition; 0: by time */
    int64_t since_us; /* of the records' timestamps */
    uint32_t most;    /* examples of a kind, may be 0 */
};

/* Texts live as long as the result. */
struct diff_example {
    const char *topic;
    const char *partition;
    int64_t offset;
    const char *key;      /* of the record, or what it is deduplicated by; "" without one */
    const char *old_text; /* reason with field and detail; the value that goes out, at VALID */
    const char *new_text;
};

/* Rows that differ in one way. */
struct diff_kind {
    const char *from; /* "VALID", "INVALID schema.range temperature" */
    const char *to;
    /* "verdict", "reason", "violations behind the first", "other row for SINK", "new to SINK",
     * "no longer to SINK" */
    const char *what;
    uint64_t count;
    struct diff_example *examples;
    uint32_t example_count;
};

struct diff_result {
    struct arena *arena;
    uint64_t records;   /* compared */
    uint64_t warm_up;   /* read before them */
    uint64_t differing; /* records that differ in anything */
    uint64_t old_verdicts[VERDICT_COUNT];
    uint64_t new_verdicts[VERDICT_COUNT];
    struct diff_kind *kinds; /* the most frequent first */
    uint32_t kind_count;
    const char **notes;
    uint32_t note_count;
};
void diff_result_fini(struct diff_result *result);

/* OK also when they differ. CONFIG "diff.source" when the two do not read the same log, or it cannot
 * be read again. */
enum status diff_plans(struct plan *old_plan, struct plan *new_plan,
                       const struct diff_query *query, const struct run_observer *observer,
                       struct diff_result *result, struct error *err) WEIR_MUST_USE;

#endif
