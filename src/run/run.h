/*
 * Run: a plan at work. Source → stages → systems, exactly once, through any crash.
 *
 * One run is one process's ownership of one pipeline. Files of this folder:
 *   run.c           the only place that knows the whole way
 *   pipeline.c      opens everything in order and closes it; what a run says
 *   assignment.c    partitions that come and go, where several processes share the source
 *   patience.c      what is away when a run begins, or between assignments, is waited for
 *   repetition.c    how something is tried again, as `retry` says
 * A start:
 *   recovery.c      what the systems say (R), refusals, taking over
 *   first_start.c   the beginning of a pipeline, or of a system that joins it
 *   left_systems.c  systems that the last plan wrote to and this one does not
 *   prepared.c      what was left prepared by a process that was killed
 *   loss.c          what the source deleted before it was read
 *   rebuild.c       state of every partition, out of a snapshot and the log
 *   replayer.c      judging rows again under the plans that judged them first; audit uses it too
 * The loop:
 *   worker.c        read, judge, hand rows to the committers, close epochs
 *   intake.c        the next batch is read while this one is judged
 *   accounting.c    a batch's ledger, rows and dead letters into an epoch
 *   committer.c     one thread per system: commits closed epochs
 *   two_phase.c     epochs of two systems that are committed together
 *   forwarding.c    dead letters of rows that a table refused, for a place in another system
 *   group_note.c    how far the slowest system has come, for the source's own tools
 *   snapshots.c     copies of the state, written meanwhile and read back at a start
 *   telemetry.c     what a run shows of itself while it works: metrics and health
 * What looks at a pipeline (audit, trace, diff, …) is in inspect/.
 */
#ifndef WEIR_RUN_RUN_H
#define WEIR_RUN_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "plan/plan.h"
#include "progress/progress.h"

/* What a run tells while it goes on. All callbacks come from the thread that called run_pipeline(),
 * but `warning` and `notice` may come from a committer's. NULL slots are skipped. */
struct run_observer {
    void *context;
    /* A line for people: "recovering …", "recovered …", "first start …". */
    void (*talk)(void *context, const char *line);
    void (*warning)(void *context, const char *line);
    /* What was warned of is over. */
    void (*notice)(void *context, const char *line);
    /* About ten times a second: records judged, and how many are known to be there (−1 where
     * unknown). */
    void (*progress)(void *context, uint64_t records, int64_t expected);
};

struct run_options {
    bool init;       /* a first start although output places are not empty */
    bool until_end;  /* stop at the end of what is there now */
    /* what was deleted before it was read is booked as lost, instead of refusing to start */
    bool accept_loss;
    /* state that cannot be rebuilt any more begins with nothing remembered */
    bool accept_incomplete_state;
    /* only bring all systems to the furthest one's position (used before a plan change) */
    bool align_only;
    const char *version; /* of the program, for its metrics */
};

/* What a run did; caller frees with run_result_fini(). */
struct run_result {
    uint64_t records;        /* judged in this run, without replay */
    int64_t duration_us;
    uint64_t state_bytes;    /* what was remembered took in memory in the end */
    /* cumulative over all partitions, of the system that has come furthest; sinks of all systems */
    struct ledger ledger;
    /* how many dead letters of rows that sinks of other systems refused, by sink */
    struct refused_list forwarded;
};
void run_result_fini(struct run_result *result);

/* Runs until the end, a stop signal, or an error. A clean stop leaves all systems at one position,
 * and snapshots; one that comes while state is being rebuilt leaves everything as it was. */
enum status run_pipeline(struct plan *plan, const struct run_options *options,
                         const struct run_observer *observer, struct run_result *result,
                         struct error *err) WEIR_MUST_USE;

#endif
