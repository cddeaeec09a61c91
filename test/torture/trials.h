/*
 * How many trials a torture test makes, and from which seed: WEIR_SEED and WEIR_TRIALS, else its
 * own count and a new seed, which it prints. WEIR_LONG=1 makes it the long count.
 */
#ifndef WEIR_TEST_TORTURE_TRIALS_H
#define WEIR_TEST_TORTURE_TRIALS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/random.h"

struct torture_trials {
    uint64_t seed;
    uint64_t count;
};

static inline struct torture_trials torture_trials_of(uint64_t count, uint64_t long_count)
{
    const char *seed = getenv("WEIR_SEED");
    const char *trials = getenv("WEIR_TRIALS");
    const char *is_long = getenv("WEIR_LONG");
    struct torture_trials result = {
        .seed = seed != NULL ? strtoull(seed, NULL, 10) : random_u64() >> 32,
        .count = trials != NULL ? strtoull(trials, NULL, 10)
                 : is_long != NULL && strcmp(is_long, "1") == 0 ? long_count
                                                                : count,
    };
    return result;
}

#endif
