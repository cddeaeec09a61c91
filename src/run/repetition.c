#include "run/repetition.h"

#include <stdio.h>

#include "os/clock.h"
#include "os/random.h"

void repetition_resume(struct repetition *repetition, const struct retry_policy *policy)
{
    repetition->attempts = 0;
    repetition->pause_us = policy->initial_us;
}

void repetition_count(struct repetition *repetition)
{
    if (repetition->failures++ == 0) {
        repetition->first_us = clock_monotonic_us();
    }
    repetition->attempts++;
}

bool repetition_is_over(const struct repetition *repetition, const struct retry_policy *policy)
{
    return policy->attempts != RETRY_FOR_EVER && repetition->attempts >= policy->attempts;
}

/* Longer or shorter by up to the policy's share, so that many who lost one system do not come back
 * to it together. */
static int64_t jittered(const struct retry_policy *policy, int64_t pause_us)
{
    double unit = (double)(random_u64() >> 11) / (double)(UINT64_C(1) << 53);
    return (int64_t)((double)pause_us * (1 + policy->jitter * (2 * unit - 1)));
}

int64_t repetition_next_us(struct repetition *repetition, const struct retry_policy *policy)
{
    int64_t pause_us = jittered(policy, repetition->pause_us);
    double next_us = (double)repetition->pause_us * policy->factor;
    repetition->pause_us =
        next_us > (double)policy->longest_us ? policy->longest_us : (int64_t)next_us;
    return pause_us;
}

void repetition_describe(const struct retry_policy *policy, const struct error *error, char *out,
                         size_t size)
{
    if (policy->attempts == RETRY_FOR_EVER) {
        (void)snprintf(out, size, "%s (%s); repeating until it works", error->message,
                       error->code);
    } else {
        (void)snprintf(out, size, "%s (%s); trying %u times in all, then weir %s", error->message,
                       error->code, policy->attempts,
                       policy->end == RETRY_PAUSE ? "pauses" : "stops");
    }
}

void repetition_describe_end(const struct retry_policy *policy, const struct error *error,
                             bool can_resume, char *out, size_t size)
{
    (void)snprintf(out, size,
                   "%s (%s); paused after %u tries. Nothing is lost: mend it, then start weir "
                   "again%s",
                   error->message, error->code, policy->attempts,
                   can_resume ? ", or POST /resume to its http address" : "");
}
