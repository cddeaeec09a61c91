/*
 * A rule: what the plans of the property tests differ in. The model (model.h) follows it directly;
 * the engine follows the pipeline text that is made from it (judge.h).
 */
#ifndef WEIR_TEST_PROPERTY_RULE_H
#define WEIR_TEST_PROPERTY_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"

#define NONE (-1)
#define FOREVER (-2) /* window_s: unlimited */
#define JUMP_SPAN_FILE (1 << 20)

enum dedup_by { DEDUP_KEY, DEDUP_OTHER, DEDUP_BOTH, DEDUP_NOT };
enum fill_by { FILL_BY_SENSOR, FILL_BY_OTHER, FILL_NOT };

/* Where state_start lies; all but the first are wrong, for tests of the tests. */
enum reach { REACH_RIGHT, REACH_LONGEST_HORIZON, REACH_LATENESS_ONCE };

/* Compared as bytes: made by rule_random() or copied from one that was. Times are seconds. */
struct rule {
    int lateness_s;
    int window_s;
    int max_age_s;
    int mode_age_s;     /* NONE: `mode` is not filled */
    int max_future_s;   /* NONE: off */
    int max_jump_s;     /* NONE: off; else the records come from a file */
    int jump_span;      /* offsets; what the plan has for files is JUMP_SPAN_FILE */
    int maximum;        /* of `value`, in the schema */
    int least_plus;     /* the check: value >= least + least_plus */
    enum dedup_by dedup;
    enum fill_by fill;
    bool filters;       /* where: site is not 'test' */
    bool takes_tombstones; /* not of files */
    enum reach reach;   /* how far back state_start is taken to lie */
};

/* One of few combinations, so that plans can be kept. */
struct rule rule_random(struct prng *prng);
/* lateness + the sum of all horizons; what an unlimited one adds is nothing. */
int rule_reach_s(const struct rule *rule);

/* One of the numbers. */
#define PICK(prng, ...) \
    ((const int[]){__VA_ARGS__}[prng_below((prng), sizeof((const int[]){__VA_ARGS__}) / \
                                                       sizeof(int))])
/* True in `percent` of 100 cases. */
static inline bool chance(struct prng *prng, unsigned percent)
{
    return prng_below(prng, 100) < percent;
}
/* 0 … bound − 1; 0 when the bound is not positive. */
static inline int below(struct prng *prng, int bound)
{
    return bound <= 0 ? 0 : (int)prng_below(prng, (uint64_t)bound);
}

#endif
