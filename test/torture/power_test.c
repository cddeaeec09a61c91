/*
 * The power fails at a random moment, and what the disk then holds is what a disk may hold: see
 * disk.h. A run on that image, which may end in the same way, and then one without faults: nothing
 * that was acknowledged is gone, and all outputs are what they would be without faults. No image may
 * be refused either: what was synced is enough to go on.
 *
 *     WEIR_SEED=7 WEIR_TRIALS=1000 build/release/test/torture/torture-power
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/prng.h"
#include "disk.h"
#include "stand.h"
#include "trials.h"

enum { LIMIT_S = 60, CHAIN_MAX = 3 };

static struct context {
    struct stand_run run;
    uint64_t cut_at, seed;
    struct hash128 digest;
} context;

/* Of a run without faults; shared with the child that makes it. */
struct reference {
    struct hash128 digest;
    uint64_t calls; /* that it can fail at */
};

_Static_assert(sizeof(struct reference) <= sizeof(struct stand_acknowledged), "fits in its page");

static void finish(enum status status, const struct error *err)
{
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "refused: %s (%s)\n", err->message, err->code);
        _exit(STAND_EXIT_REFUSED);
    }
}

/* Runs until the power fails, or to the end. */
static void run_until_cut(void *unused)
{
    (void)unused;
    struct error err = {0};
    disk_install(stand_work);
    disk_set_cut(context.cut_at, context.seed, stand_image);
    finish(stand_run(stand_work, &context.run, &err), &err);
}

static void run_to_end(void *unused)
{
    (void)unused;
    struct error err = {0};
    disk_install(stand_work);
    finish(stand_run(stand_work, &context.run, &err), &err);
    if (!stand_is_right(stand_work, context.digest)) {
        _exit(STAND_EXIT_WRONG);
    }
}

/* What is right: the digest, and how many calls there are to fail at. */
static void find_reference(void *shared)
{
    struct error err = {0};
    disk_install(stand_work);
    disk_set_cut(UINT64_MAX, 0, stand_image);
    finish(stand_run(stand_work, &context.run, &err), &err);
    struct reference *out = shared;
    out->calls = disk_count();
    out->digest = stand_digest(stand_work);
    if (!stand_is_right(stand_work, out->digest)) {
        _exit(STAND_EXIT_WRONG);
    }
}

static void take_image(void)
{
    stand_remove(stand_work);
    assert_int_equal(rename(stand_image, stand_work), 0);
}

struct tally {
    unsigned cuts;
};

static void one_trial(uint64_t seed, uint64_t calls, struct tally *tally)
{
    struct prng prng;
    prng_init(&prng, seed);
    stand_remove(stand_work);
    stand_copy(stand_base, stand_work);
    stand_acknowledged_clear(context.run.acknowledged);
    for (int i = 0; i < CHAIN_MAX; i++) {
        context.run.batch_rows = 5 + (uint32_t)prng_below(&prng, 60);
        context.run.snapshot_interval_us = (int64_t[]){0, 1, 2000}[prng_below(&prng, 3)];
        context.seed = seed * 10 + (uint64_t)i;
        context.cut_at = 1 + prng_below(&prng, calls + calls / 8);
        int result = stand_fork(run_until_cut, NULL, LIMIT_S);
        if (result != DISK_EXIT_CUT && result != 0) {
            fail_msg("a run ended with %d; WEIR_SEED=%llu WEIR_TRIALS=1 shows it", result,
                     (unsigned long long)seed);
        }
        tally->cuts += result == DISK_EXIT_CUT;
        if (result == 0) {
            break;
        }
        take_image();
        if (prng_below(&prng, 3) > 0) {
            break;
        }
    }
    int result = stand_fork(run_to_end, NULL, LIMIT_S);
    if (result != 0) {
        fail_msg("a start after a power failure ended with %d; WEIR_SEED=%llu WEIR_TRIALS=1 shows it",
                 result, (unsigned long long)seed);
    }
}

static void test_power_failures(void **state)
{
    (void)state;
    struct torture_trials trials = torture_trials_of(WEIR_TORTURE_IMAGES, 1000);
    print_message("WEIR_SEED=%llu, %llu trials\n", (unsigned long long)trials.seed,
                  (unsigned long long)trials.count);
    context.run.acknowledged = stand_acknowledged_new();
    context.run.batch_rows = 30;
    context.run.snapshot_interval_us = 1;
    struct reference *reference = (void *)stand_acknowledged_new();
    stand_copy(stand_base, stand_work);
    assert_int_equal(stand_fork(find_reference, reference, LIMIT_S), 0);
    context.digest = reference->digest;
    assert_true(reference->calls > 100);
    struct tally tally = {0};
    for (uint64_t i = 0; i < trials.count; i++) {
        one_trial(trials.seed + i, reference->calls, &tally);
    }
    print_message("%u power failures, each at one of about %llu calls of a run\n", tally.cuts,
                  (unsigned long long)reference->calls);
    if (trials.count >= 50) {
        assert_true(tally.cuts > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_power_failures, stand_setup, stand_teardown),
    };
    return cmocka_run_group_tests_name("torture/power", tests, NULL, NULL);
}
