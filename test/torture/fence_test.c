/*
 * Somebody else takes a pipeline over: before a start has claimed it, or while it is at work. The
 * one that was is FENCED, and writes nothing any more. And two cannot be at work at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "locallog/locallog.h"
#include "stand.h"

enum { LIMIT_S = 60 };

static struct stand_run run = {.batch_rows = 15};
static int64_t epochs_at_take_over;

static int setup(void **state)
{
    stand_setup(state);
    stand_copy(stand_base, stand_work);
    run = (struct stand_run){.batch_rows = 15, .snapshot_interval_us = 1};
    return 0;
}

static bool is_log(const char *place)
{
    return strstr(place, "in.db") != NULL;
}

static int64_t query(const char *place, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    check(sqlite3_open(place, &db) == SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    check(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
    check(sqlite3_step(statement) == SQLITE_ROW);
    int64_t result = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return result;
}

/* As another process does that owns the pipeline from now on. */
static void take_over(const char *place)
{
    sqlite3 *db;
    check(sqlite3_open(place, &db) == SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    check(sqlite3_exec(db, "UPDATE weir_progress SET owner = owner + 1", NULL, NULL, NULL) ==
          SQLITE_OK);
    sqlite3_close(db);
    epochs_at_take_over = query(place, "SELECT sum(epoch) FROM weir_progress");
}

static void before_commit(const char *place, uint64_t epoch)
{
    if (is_log(place) && epoch == 1) {
        take_over(place);
    }
}

static void before_take_over(const char *place)
{
    if (is_log(place)) {
        take_over(place);
    }
}

static void must_be_fenced(void)
{
    struct error err = {0};
    if (stand_run(stand_work, &run, &err) != STATUS_FENCED) {
        (void)fprintf(stderr, "the run was not fenced: %s\n", err.message);
        _exit(STAND_EXIT_WRONG);
    }
    char place[200];
    (void)snprintf(place, sizeof place, "%s/in.db", stand_work);
    if (query(place, "SELECT sum(epoch) FROM weir_progress") != epochs_at_take_over) {
        (void)fprintf(stderr, "something was committed after somebody else took over\n");
        _exit(STAND_EXIT_WRONG);
    }
}

static void fenced_at_work(void *unused)
{
    (void)unused;
    run.before_commit = before_commit;
    must_be_fenced();
}

static void stop_early(void *unused)
{
    (void)unused;
    struct error err = {0};
    run.stops_at_epoch = 2;
    if (stand_run(stand_work, &run, &err) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", err.message);
        _exit(STAND_EXIT_WRONG);
    }
}

static void fenced_at_start(void *unused)
{
    (void)unused;
    run.before_take_over = before_take_over;
    must_be_fenced();
}

static void try_to_own(const char *place, uint64_t epoch)
{
    if (!is_log(place) || epoch != 1) {
        return;
    }
    struct locallog_group_lock *lock;
    struct error err = {0};
    if (locallog_group_acquire(place, "stand", &lock, &err) != STATUS_CONFIG) {
        (void)fprintf(stderr, "two own one pipeline\n");
        _exit(STAND_EXIT_WRONG);
    }
    epochs_at_take_over = 1;
}

static void owned_at_work(void *unused)
{
    (void)unused;
    struct error err = {0};
    run.before_commit = try_to_own;
    epochs_at_take_over = 0;
    if (stand_run(stand_work, &run, &err) != STATUS_OK || epochs_at_take_over == 0) {
        (void)fprintf(stderr, "%s\n", err.message);
        _exit(STAND_EXIT_WRONG);
    }
}

static void test_taken_over_at_work(void **state)
{
    (void)state;
    assert_int_equal(stand_fork(fenced_at_work, NULL, LIMIT_S), 0);
}

static void test_taken_over_at_the_start(void **state)
{
    (void)state;
    assert_int_equal(stand_fork(stop_early, NULL, LIMIT_S), 0);
    assert_int_equal(stand_fork(fenced_at_start, NULL, LIMIT_S), 0);
}

static void test_one_owner(void **state)
{
    (void)state;
    assert_int_equal(stand_fork(owned_at_work, NULL, LIMIT_S), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_taken_over_at_work, setup, stand_teardown),
        cmocka_unit_test_setup_teardown(test_taken_over_at_the_start, setup, stand_teardown),
        cmocka_unit_test_setup_teardown(test_one_owner, setup, stand_teardown),
    };
    return cmocka_run_group_tests_name("torture/fence", tests, NULL, NULL);
}
