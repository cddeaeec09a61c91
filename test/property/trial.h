/*
 * Trials: many random logs, each from a seed of its own.
 *
 *   PROGRAM          as many logs a setting as WEIR_TRIALS says (1,500 unless set, and with
 *                    WEIR_LONG=1), from the seed in WEIR_SEED on, or a new one
 *   PROGRAM SEED     the one log of that seed in every setting: what a failure names
 */
#ifndef WEIR_TEST_PROPERTY_TRIAL_H
#define WEIR_TEST_PROPERTY_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"

struct trials {
    const char *program;
    uint64_t first_seed;
    int count;
    bool single; /* a seed was named */
};

/* Says on standard output which seeds it takes. Ends the process when the arguments are wrong. */
struct trials trials_of(int argc, char **argv);
/* Fails the test when `why` is not empty. */
void trial_expect(const struct trials *trials, const char *setting, uint64_t seed,
                  struct buffer *why);

#endif
