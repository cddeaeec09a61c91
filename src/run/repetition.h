/*
 * Repetition: how something that failed for a while is tried again, as `retry` in the pipeline file
 * says: pauses that grow, a number of tries, and what comes behind them. Used for commits
 * (committer.c) and for what a run does before and between them (patience.c). It only counts and
 * finds words; whoever uses it does the waiting.
 *
 * Threads: one at a time.
 */
#ifndef WEIR_RUN_REPETITION_H
#define WEIR_RUN_REPETITION_H

#include "base/status.h"
#include "plan/plan.h"

/* Zero-initialised, and repetition_resume() before the first pause. */
struct repetition {
    uint32_t failures;
    uint32_t attempts; /* of these, since it was last resumed */
    int64_t first_us;  /* when the first failure was */
    int64_t pause_us;
    bool is_said;
};

/* From the first pause on. */
void repetition_resume(struct repetition *repetition, const struct retry_policy *policy);
/* Another try was in vain. */
void repetition_count(struct repetition *repetition);
/* Whether all tries that the policy gives were in vain. */
bool repetition_is_over(const struct repetition *repetition, const struct retry_policy *policy);
/* How long to wait now; the next one is longer. */
int64_t repetition_next_us(struct repetition *repetition, const struct retry_policy *policy);

/* What went wrong and what weir does about it: for the first failure, and for the last. */
void repetition_describe(const struct retry_policy *policy, const struct error *error, char *out,
                         size_t size);
void repetition_describe_end(const struct retry_policy *policy, const struct error *error,
                             bool can_resume, char *out, size_t size);

#endif
