/*
 * Patience: what is away when a run begins, or when partitions have come or gone, is waited for like
 * a system that is away while it works (committer.h): as `retry` says, with one warning, and one
 * notice when it works. So a run that is started before its brokers are up, or while they move
 * leaders, goes on by itself.
 *
 * Only where something is on another machine: what is wrong with a file, whoever starts the run sees
 * at once and can mend.
 *
 * Threads: the worker's.
 */
#ifndef WEIR_RUN_PATIENCE_H
#define WEIR_RUN_PATIENCE_H

#include "run/pipeline.h"
#include "run/repetition.h"

struct patience {
    const struct retry_policy *policy;
    const struct run_observer *observer;
    struct telemetry *telemetry;
    struct repetition repetition; /* of what fails now; zero: nothing does */
    int64_t quiet_until_us;
    int64_t watched_us;
    bool is_source_away; /* while a run waits for nothing */
    bool is_spoken_of;   /* by a committer that was stopped before it worked again */
    int64_t renewed_at;  /* where all stood when rows were last judged anew; see patience_renews() */
};

/* Whether what failed is to be tried again. */
bool patience_has_sense(const struct pipeline *pipeline, enum status status);
/* Waits, and polls the group if the pipeline is its member (NULL: there is no pipeline). False: there
 * is to be no other try, as all of the policy were in vain or a stop was asked for. */
bool patience_wait(struct patience *patience, struct pipeline *pipeline,
                   const struct error *failure);
/* Of a run that works: a source that does not answer is spoken of, once, and once that it does again.
 * What is away while rows wait for it, their committer speaks of. Nothing is held up. */
void patience_watch(struct patience *patience, struct pipeline *pipeline);
/* Whether a commit failed because a system takes less than when it was taken over, so that beginning anew
 * helps: what is open is then judged by what it takes now. Not twice at the same place, for it has not helped
 * then. Says so. */
bool patience_renews(struct patience *patience, const struct pipeline *pipeline,
                     const struct error *failure);
/* What failed works. */
void patience_end(struct patience *patience);

#endif
