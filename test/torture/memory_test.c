/*
 * The n-th allocation fails: one of weir's own, which ends the process by design (exit status 3);
 * or one of SQLite's, once or from then on for ever, which is an answer of SQLite's that must be
 * handled. Whatever becomes of the run, all that was acknowledged is there, and a run with memory
 * comes to the same outputs as one that always had it.
 *
 *     WEIR_TRIALS=1 build/release/test/torture/torture-memory      every n
 *
 * malloc(), calloc() and realloc() of everything that is linked in are wrapped by the linker;
 * libraries that are loaded keep their own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/prng.h"
#include "disk.h"
#include "stand.h"
#include "trials.h"

enum { LIMIT_S = 60, EXIT_NO_FAULT = 93, EXIT_EXHAUSTED = 3 };

static struct kind {
    const char *name;
    bool is_sqlite;
    bool for_ever;
} kinds[] = {
    {"an allocation of weir's", false, false},
    {"an allocation of SQLite's", true, false},
    {"all allocations of SQLite's", true, true},
};

static struct {
    const struct kind *kind;
    struct stand_run run;
    uint64_t at;
    struct hash128 digest;
    bool armed;
    atomic_ullong count;
    atomic_bool failed;
} context;

static bool fails(bool is_sqlite)
{
    if (!context.armed || context.kind->is_sqlite != is_sqlite) {
        return false;
    }
    uint64_t number = atomic_fetch_add(&context.count, 1) + 1;
    bool result = context.kind->for_ever ? number >= context.at : number == context.at;
    if (result) {
        atomic_store(&context.failed, true);
    }
    return result;
}

/* --- weir's --- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return fails(false) ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return fails(false) ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *old, size_t size)
{
    return fails(false) ? NULL : __real_realloc(old, size);
}

/* --- SQLite's: each allocation knows its size --- */

enum { HEAD_BYTES = 16 };

static void *lite_malloc(int size)
{
    uint8_t *memory = fails(true) ? NULL : __real_malloc((size_t)size + HEAD_BYTES);
    if (memory == NULL) {
        return NULL;
    }
    memcpy(memory, &size, sizeof size);
    return memory + HEAD_BYTES;
}
static void lite_free(void *memory)
{
    if (memory != NULL) {
        free((uint8_t *)memory - HEAD_BYTES);
    }
}
static int lite_size(void *memory)
{
    int size = 0;
    if (memory != NULL) {
        memcpy(&size, (uint8_t *)memory - HEAD_BYTES, sizeof size);
    }
    return size;
}
static void *lite_realloc(void *memory, int size)
{
    void *larger = lite_malloc(size);
    if (larger != NULL && memory != NULL) {
        int old = lite_size(memory);
        memcpy(larger, memory, (size_t)(old < size ? old : size));
        lite_free(memory);
    }
    return larger;
}
static int lite_roundup(int size)
{
    return (size + 7) & ~7;
}
static int lite_init(void *unused)
{
    (void)unused;
    return SQLITE_OK;
}
static void lite_shutdown(void *unused)
{
    (void)unused;
}

static void configure_sqlite(void)
{
    static const sqlite3_mem_methods methods = {
        .xMalloc = lite_malloc,
        .xFree = lite_free,
        .xRealloc = lite_realloc,
        .xSize = lite_size,
        .xRoundup = lite_roundup,
        .xInit = lite_init,
        .xShutdown = lite_shutdown,
    };
    check(sqlite3_shutdown() == SQLITE_OK);
    check(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
    /* Small ones too must be asked for. */
    check(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) == SQLITE_OK);
}

/* --- trials --- */

static void run_with_fault(void *unused)
{
    (void)unused;
    if (freopen("/dev/null", "w", stderr) == NULL) {
        _exit(STAND_EXIT_WRONG);
    }
    struct error err = {0};
    configure_sqlite();
    disk_install(stand_work);
    context.armed = true;
    enum status status = stand_run(stand_work, &context.run, &err);
    context.armed = false;
    if (!atomic_load(&context.failed)) {
        _exit(status == STATUS_OK ? EXIT_NO_FAULT : STAND_EXIT_WRONG);
    }
    if (status != STATUS_OK) {
        _exit(EXIT_EXHAUSTED);
    }
}

static void run_to_end(void *unused)
{
    (void)unused;
    struct error err = {0};
    disk_install(stand_work);
    if (stand_run(stand_work, &context.run, &err) != STATUS_OK) {
        (void)fprintf(stderr, "refused: %s (%s)\n", err.message, err.code);
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
        (void)fprintf(stderr, "%s\n", err.message);
        _exit(STAND_EXIT_WRONG);
    }
    *(struct hash128 *)shared = stand_digest(stand_work);
}

/* False when there is no such allocation. */
static bool one_fault(unsigned *out_survived)
{
    stand_remove(stand_work);
    stand_copy(stand_base, stand_work);
    stand_acknowledged_clear(context.run.acknowledged);
    int result = stand_fork(run_with_fault, NULL, LIMIT_S);
    if (result == EXIT_NO_FAULT) {
        return false;
    }
    *out_survived += result == 0;
    if (result != 0 && result != EXIT_EXHAUSTED) {
        fail_msg("%s, number %llu: the run ended with %d", context.kind->name,
                 (unsigned long long)context.at, result);
    }
    result = stand_fork(run_to_end, NULL, LIMIT_S);
    if (result != 0) {
        fail_msg("%s, number %llu: the run after it ended with %d", context.kind->name,
                 (unsigned long long)context.at, result);
    }
    return true;
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    struct torture_trials trials = torture_trials_of(WEIR_TORTURE_STEP * 14, 17);
    print_message("WEIR_SEED=%llu, every %llu. allocation\n", (unsigned long long)trials.seed,
                  (unsigned long long)trials.count);
    struct prng prng;
    prng_init(&prng, trials.seed);
    context.run =
        (struct stand_run){.acknowledged = stand_acknowledged_new(), .batch_rows = 60};
    stand_copy(stand_base, stand_work);
    struct stand_acknowledged *shared = stand_acknowledged_new();
    assert_int_equal(stand_fork(find_reference, shared, LIMIT_S), 0);
    memcpy(&context.digest, shared, sizeof context.digest);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        context.kind = &kinds[k];
        context.at = trials.count == 1 ? 1 : 1 + prng_below(&prng, trials.count);
        unsigned faults = 0;
        unsigned survived = 0;
        for (; one_fault(&survived); faults++) {
            context.at += trials.count;
        }
        print_message("%s: %u faults, up to number %llu; %u runs did without\n", kinds[k].name,
                      faults, (unsigned long long)context.at, survived);
        assert_true(faults > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory_runs_out, stand_setup, stand_teardown),
    };
    return cmocka_run_group_tests_name("torture/memory", tests, NULL, NULL);
}
