#include "trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/random.h"

#define TRIALS_FULL 1500

static bool read_number(const char *text, uint64_t *out)
{
    char *end = NULL;
    *out = strtoull(text, &end, 10);
    return end != text && *end == '\0';
}

struct trials trials_of(int argc, char **argv)
{
    struct trials trials = {.program = argv[0], .count = TRIALS_FULL};
    const char *seed = argc > 1 ? argv[1] : getenv("WEIR_SEED");
    const char *count = getenv("WEIR_TRIALS");
    const char *is_long = getenv("WEIR_LONG");
    uint64_t number = 0;
    trials.single = argc > 1;
    trials.first_seed = random_u64() >> 33;
    if (argc > 2 || (seed != NULL && !read_number(seed, &trials.first_seed)) ||
        (count != NULL && !read_number(count, &number))) {
        (void)fprintf(stderr, "usage: %s [SEED]; WEIR_SEED and WEIR_TRIALS are numbers\n", argv[0]);
        exit(2);
    }
    if (trials.single) {
        trials.count = 1;
    } else if (count != NULL && (is_long == NULL || strcmp(is_long, "1") != 0)) {
        trials.count = (int)number;
    }
    print_message("seeds from %llu on, %d logs a setting\n",
                  (unsigned long long)trials.first_seed, trials.count);
    return trials;
}

void trial_expect(const struct trials *trials, const char *setting, uint64_t seed,
                  struct buffer *why)
{
    if (why->size > 0) {
        fail_msg("%s: %s\n    this log alone: %s %llu\n    all of this run: WEIR_SEED=%llu %s",
                 setting, buffer_string(why), trials->program, (unsigned long long)seed,
                 (unsigned long long)trials->first_seed, trials->program);
    }
}
