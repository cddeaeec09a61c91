/*
 * One bit flips, anywhere in what a pipeline leaves behind: the log, R, ledgers, outputs, parts,
 * snapshots. Then it runs to its end and is audited. Either that refuses, naming what is damaged;
 * or audit finds the row that is not what it was; or the flip was in bytes that nobody uses, or in
 * a snapshot, which is a cache: then all outputs are what they would be without it. Never is a
 * wrong output taken for a right one.
 *
 *     WEIR_SEED=7 WEIR_TRIALS=1000 build/release/test/torture/torture-flip
 */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/prng.h"
#include "disk.h"
#include "stand.h"
#include "trials.h"

enum {
    LIMIT_S = 60,
    FILES_MAX = 64,
    EXIT_BY_AUDIT = 95,
    EXIT_SNAPSHOT = 96,
};

static struct stand_run run = {.batch_rows = 20};
static struct hash128 digest;

static char files[FILES_MAX][512]; /* below the base */
static int64_t sizes[FILES_MAX];
static int file_count;

static int list_one(const char *path, const struct stat *info, int type, struct FTW *position)
{
    (void)position;
    bool counts = type == FTW_F && info->st_size > 0 && strstr(path, ".yaml") == NULL &&
                  strstr(path, "lock") == NULL;
    if (counts) {
        check(file_count < FILES_MAX);
        (void)snprintf(files[file_count], sizeof files[0], "%s", path + strlen(stand_base));
        sizes[file_count++] = info->st_size;
    }
    return 0;
}

/* Some epochs and a clean stop: state, snapshots, and more to come. */
static void run_half(void *unused)
{
    (void)unused;
    struct error err = {0};
    run.stops_at_epoch = 4;
    run.snapshot_interval_us = 1;
    disk_install(stand_base);
    if (stand_run(stand_base, &run, &err) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", err.message);
        _exit(STAND_EXIT_WRONG);
    }
}

static void run_and_audit(void *shared)
{
    struct error err = {0};
    disk_install(stand_work);
    if (stand_run(stand_work, &run, &err) != STATUS_OK) {
        (void)fprintf(stderr, "refused: %s (%s)\n", err.message, err.code);
        _exit(strlen(err.message) > 20 ? STAND_EXIT_REFUSED : STAND_EXIT_WRONG);
    }
    bool clean = false;
    if (stand_audit(stand_work, &clean, &err) != STATUS_OK || !clean) {
        (void)fprintf(stderr, "audit: %s\n", err.message);
        _exit(EXIT_BY_AUDIT);
    }
    struct hash128 found = stand_digest(stand_work);
    if (shared != NULL) {
        *(struct hash128 *)shared = found;
    } else if (!hash_equal(found, digest)) {
        (void)fprintf(stderr, "WRONG: the outputs differ and audit says nothing\n");
        _exit(STAND_EXIT_WRONG);
    }
    if (strstr(run.last_warning, "it is ignored") != NULL) {
        _exit(EXIT_SNAPSHOT);
    }
}

/* Files of R and snapshots are small: each file gets the same share, but for the databases, which
 * get half of the flips. */
static void flip(struct prng *prng, char *where, size_t where_size)
{
    int file = (int)prng_below(prng, (uint64_t)file_count);
    for (bool wants_db = prng_below(prng, 2) == 0; wants_db;) {
        file = (int)prng_below(prng, (uint64_t)file_count);
        wants_db = strstr(files[file], ".db") == NULL || strstr(files[file], ".state") != NULL;
    }
    int64_t at = (int64_t)prng_below(prng, (uint64_t)sizes[file]);
    int bit = (int)prng_below(prng, 8);
    (void)snprintf(where, where_size, "bit %d of byte %lld of %s", bit, (long long)at, files[file]);
    char path[1024];
    (void)snprintf(path, sizeof path, "%s%s", stand_work, files[file]);
    FILE *stream = fopen(path, "r+b");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, (long)at, SEEK_SET), 0);
    int byte = fgetc(stream);
    assert_int_equal(fseek(stream, (long)at, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ (1 << bit), stream), byte ^ (1 << bit));
    assert_int_equal(fclose(stream), 0);
}

static void test_flips(void **state)
{
    (void)state;
    struct torture_trials trials = torture_trials_of(WEIR_TORTURE_IMAGES, 1000);
    print_message("WEIR_SEED=%llu, %llu flips\n", (unsigned long long)trials.seed,
                  (unsigned long long)trials.count);
    assert_int_equal(stand_fork(run_half, NULL, LIMIT_S), 0);
    (void)nftw(stand_base, list_one, 16, FTW_PHYS);
    stand_copy(stand_base, stand_work);
    struct stand_acknowledged *shared = stand_acknowledged_new();
    assert_int_equal(stand_fork(run_and_audit, shared, LIMIT_S), 0);
    memcpy(&digest, shared, sizeof digest);
    unsigned refused = 0, audited = 0, ignored = 0, harmless = 0;
    for (uint64_t i = 0; i < trials.count; i++) {
        struct prng prng;
        prng_init(&prng, trials.seed + i);
        char where[700];
        stand_remove(stand_work);
        stand_copy(stand_base, stand_work);
        flip(&prng, where, sizeof where);
        int result = stand_fork(run_and_audit, NULL, LIMIT_S);
        refused += result == STAND_EXIT_REFUSED;
        audited += result == EXIT_BY_AUDIT;
        ignored += result == EXIT_SNAPSHOT;
        harmless += result == 0;
        if (result != STAND_EXIT_REFUSED && result != EXIT_BY_AUDIT && result != EXIT_SNAPSHOT &&
            result != 0) {
            fail_msg("%s: ended with %d; WEIR_SEED=%llu WEIR_TRIALS=1 shows it", where, result,
                     (unsigned long long)(trials.seed + i));
        }
    }
    print_message("%u refused, %u found by audit, %u snapshots ignored, %u in unused bytes\n",
                  refused, audited, ignored, harmless);
    if (trials.count >= 100) {
        assert_true(refused > 0 && audited > 0 && ignored > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_flips, stand_setup, stand_teardown),
    };
    return cmocka_run_group_tests_name("torture/flip", tests, NULL, NULL);
}
