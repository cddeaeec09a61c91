/*
 * A seeded random generator (xoshiro256++ by Blackman and Vigna, seeded through splitmix64): the
 * same seed gives the same numbers on every machine. For workloads, tests and simulation, never for
 * keys: os/random.h has entropy.
 */
#ifndef WEIR_BASE_PRNG_H
#define WEIR_BASE_PRNG_H

#include <stdint.h>

struct prng {
    uint64_t state[4];
};

void prng_init(struct prng *prng, uint64_t seed);
uint64_t prng_next(struct prng *prng);
/* 0 ≤ result < bound, without bias; bound > 0. */
uint64_t prng_below(struct prng *prng, uint64_t bound);
/* 0 ≤ result < 1, 53 random bits. */
double prng_unit(struct prng *prng);

#endif
