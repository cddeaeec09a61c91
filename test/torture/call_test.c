/*
 * The n-th call to the operating system fails, once or from then on for ever: writes, fsyncs,
 * names, sizes and reads of SQLite's files, parts and snapshots. The run goes on or ends with an
 * error that says why; it never hangs and leaks nothing. Afterwards all that was acknowledged is
 * there, and a run without faults brings every output to what it would be without them.
 *
 * After a failed fsync the disk has lost what it could not write, and says nothing of it any more:
 * there the power fails as well, when the run has ended.
 *
 *     WEIR_LONG=1 build/release/test/torture/torture-call       every n
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/prng.h"
#include "disk.h"
#include "stand.h"
#include "trials.h"

enum { LIMIT_S = 20, EXIT_NO_FAULT = 93, EXIT_SILENT = 94 };

static struct kind {
    const char *name;
    unsigned calls;
    int reason;
    bool for_ever;
} kinds[] = {
    {"a write, disk full", DISK_WRITE, ENOSPC, false},
    {"every write, disk full", DISK_WRITE, ENOSPC, true},
    {"a write, I/O error", DISK_WRITE, EIO, false},
    {"every write, I/O error", DISK_WRITE, EIO, true},
    {"an fsync", DISK_SYNC, EIO, false},
    {"every fsync", DISK_SYNC, EIO, true},
    {"a name, disk full", DISK_NAME, ENOSPC, false},
    {"every name, I/O error", DISK_NAME, EIO, true},
    {"a size, disk full", DISK_SIZE, ENOSPC, false},
    {"every size, I/O error", DISK_SIZE, EIO, true},
    {"a read", DISK_READ, EIO, false},
    {"every read", DISK_READ, EIO, true},
};

static struct {
    const struct kind *kind;
    struct stand_run run;
    uint64_t at, seed;
    struct hash128 digest;
} context;

static void describe(const struct error *err)
{
    (void)fprintf(stderr, "refused: %s (%s)\n", err->message, err->code);
}

static void run_with_fault(void *unused)
{
    (void)unused;
    /* What a user would read, thousands of times. */
    if (freopen("/dev/null", "w", stderr) == NULL) {
        _exit(STAND_EXIT_WRONG);
    }
    struct error err = {0};
    disk_install(stand_work);
    disk_set_fault(&(struct disk_fault){context.kind->calls, context.at, context.kind->for_ever,
                                        context.kind->reason});
    enum status status = stand_run(stand_work, &context.run, &err);
    if (status != STATUS_OK && (strlen(err.message) < 20 || err.code[0] == '\0')) {
        _exit(EXIT_SILENT);
    }
    bool failed = disk_has_failed();
    if (failed && context.kind->calls == DISK_SYNC) {
        disk_cut_now(context.seed, stand_image);
    }
    if (!failed) {
        _exit(status == STATUS_OK ? EXIT_NO_FAULT : STAND_EXIT_WRONG);
    }
}

static void run_to_end(void *unused)
{
    (void)unused;
    struct error err = {0};
    disk_install(stand_work);
    if (stand_run(stand_work, &context.run, &err) != STATUS_OK) {
        describe(&err);
        _exit(STAND_EXIT_REFUSED);
    }
    if (!stand_is_right(stand_work, context.digest)) {
        _exit(STAND_EXIT_WRONG);
    }
}

static void find_reference(void *shared)
{
    struct error err = {0};
    disk_install(stand_work);
    if (stand_run(stand_work, &context.run, &err) != STATUS_OK) {
        describe(&err);
        _exit(STAND_EXIT_WRONG);
    }
    *(struct hash128 *)shared = stand_digest(stand_work);
    if (!stand_is_right(stand_work, *(struct hash128 *)shared)) {
        _exit(STAND_EXIT_WRONG);
    }
}

/* False when there is no such call. */
static bool one_fault(void)
{
    stand_remove(stand_work);
    stand_copy(stand_base, stand_work);
    stand_acknowledged_clear(context.run.acknowledged);
    int result = stand_fork(run_with_fault, NULL, LIMIT_S);
    if (result == EXIT_NO_FAULT) {
        return false;
    }
    if (result == DISK_EXIT_CUT) {
        stand_remove(stand_work);
        assert_int_equal(rename(stand_image, stand_work), 0);
    } else if (result != 0) {
        fail_msg("%s, at call %llu: the run ended with %d", context.kind->name,
                 (unsigned long long)context.at, result);
    }
    result = stand_fork(run_to_end, NULL, LIMIT_S);
    if (result != 0) {
        fail_msg("%s, at call %llu (seed %llu): the run after it ended with %d", context.kind->name,
                 (unsigned long long)context.at, (unsigned long long)context.seed, result);
    }
    return true;
}

static void test_calls_that_fail(void **state)
{
    (void)state;
    struct torture_trials trials = torture_trials_of(WEIR_TORTURE_STEP, 1);
    print_message("WEIR_SEED=%llu, every %llu. call\n", (unsigned long long)trials.seed,
                  (unsigned long long)trials.count);
    struct prng prng;
    prng_init(&prng, trials.seed);
    context.run = (struct stand_run){.acknowledged = stand_acknowledged_new(),
                                     .batch_rows = 30,
                                     .snapshot_interval_us = 1,
                                     .stops_at_warning = true};
    stand_copy(stand_base, stand_work);
    struct stand_acknowledged *shared = stand_acknowledged_new();
    assert_int_equal(stand_fork(find_reference, shared, LIMIT_S), 0);
    memcpy(&context.digest, shared, sizeof context.digest);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        context.kind = &kinds[k];
        context.at = trials.count == 1 ? 1 : 1 + prng_below(&prng, trials.count);
        unsigned faults = 0;
        for (context.seed = trials.seed; one_fault(); context.seed++) {
            context.at += trials.count;
            faults++;
        }
        print_message("%s: %u faults, up to call %llu\n", context.kind->name, faults,
                      (unsigned long long)context.at);
        assert_true(faults > 0 || trials.count > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_calls_that_fail, stand_setup, stand_teardown),
    };
    return cmocka_run_group_tests_name("torture/call", tests, NULL, NULL);
}
