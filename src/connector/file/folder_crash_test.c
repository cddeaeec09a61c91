/*
 * Faults at every place: a session writes epochs into a folder, and its n-th call to the operating
 * system fails, or its process ends there. Whatever n is, afterwards R, segments and parts agree,
 * and a session without faults brings the folder to its end, with no row lost or doubled.
 */
#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "connector/file/folder_fixture.h"
#include "os/host.h"

enum { RECORDS = 34, EXIT_CRASH = 90, EXIT_WRONG = 91 };

static char folder[64];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/weir-folder-test-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *position)
{
    (void)info;
    (void)type;
    (void)position;
    return remove(path);
}

static void remove_tree(const char *path)
{
    assert_int_equal(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(chdir("/"), 0);
    remove_tree(folder);
    return 0;
}

/* --- a host that fails at one call --- */

enum fault { FAULT_NONE, FAULT_ERROR, FAULT_EXIT };

static struct {
    enum fault fault;
    int reason;
    unsigned calls; /* until the fault, this one included */
} plan;

/* True when this call fails; ends the process if it shall end here. */
static bool fails(void)
{
    if (plan.fault == FAULT_NONE || plan.calls == 0 || --plan.calls > 0) {
        return false;
    }
    if (plan.fault == FAULT_EXIT) {
        _exit(EXIT_CRASH);
    }
    errno = plan.reason;
    return true;
}

static int fault_open(const char *path, int flags, mode_t mode)
{
    return fails() ? -1 : os_host_real.open(path, flags, mode);
}

/* Half of the bytes are written before the fault comes. */
static ssize_t fault_write(int fd, const void *data, size_t size)
{
    if (plan.calls == 1 && size > 1) {
        return os_host_real.write(fd, data, size / 2);
    }
    return fails() ? -1 : os_host_real.write(fd, data, size);
}

/* Not down to the disk: the test is about what processes see. */
static int fault_fsync(int fd)
{
    (void)fd;
    return fails() ? -1 : 0;
}

static int fault_rename(const char *from, const char *to)
{
    return fails() ? -1 : os_host_real.rename(from, to);
}

static int fault_unlink(const char *path)
{
    return fails() ? -1 : os_host_real.unlink(path);
}

static int fault_close(int fd)
{
    int result = os_host_real.close(fd);
    return fails() ? -1 : result;
}

static struct os_host fault_host;

/* --- sessions --- */

/* A session without faults, which must succeed. */
static void run_well(int64_t records, uint64_t owner, uint64_t seed)
{
    struct fixture fixture;
    struct error err = {0};
    unsigned retries = 0;
    fixture_init(&fixture, "out");
    enum status status = fixture_start(&fixture, owner, &err);
    if (status == STATUS_OK) {
        status = fixture_run(&fixture, records, seed, &retries, &err);
    }
    if (status != STATUS_OK) {
        fail_msg("%s: %s", err.code, err.message);
    }
    assert_int_equal(retries, 0);
    fixture_fini(&fixture);
}

struct outcome {
    enum status status;
    bool was_reached; /* the fault came */
    unsigned retries;
};

/* A session whose n-th call is the fault. */
static struct outcome run_badly(enum fault fault, int reason, unsigned n)
{
    struct fixture fixture;
    struct error err = {0};
    struct outcome outcome = {.status = STATUS_OK};
    fixture_init(&fixture, "out");
    plan.fault = fault;
    plan.reason = reason;
    plan.calls = n;
    outcome.status = fixture_start(&fixture, 2, &err);
    if (outcome.status == STATUS_OK) {
        outcome.status = fixture_run(&fixture, RECORDS, n, &outcome.retries, &err);
    }
    outcome.was_reached = plan.calls == 0;
    plan.fault = FAULT_NONE;
    fixture_fini(&fixture);
    return outcome;
}

/* The same in a process of its own, which the fault ends. */
static struct outcome run_child(unsigned n)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct outcome outcome = run_badly(FAULT_EXIT, 0, n);
        _exit(outcome.status == STATUS_OK && !outcome.was_reached ? 0 : EXIT_WRONG);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == EXIT_CRASH || WEXITSTATUS(status) == 0);
    return (struct outcome){.status = STATUS_OK, .was_reached = WEXITSTATUS(status) != 0};
}

/* How many names in out/.weir match. */
static size_t count_names(const char *pattern)
{
    char path[128];
    glob_t found;
    snprintf(path, sizeof path, "out/.weir/%s", pattern);
    size_t count = glob(path, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

/* Brings the folder to its end, and looks at everything in it. */
static void finish_and_verify(uint64_t seed)
{
    int64_t numbers[FIXTURE_PARTITIONS];
    fixture_verify("out", numbers);
    run_well(RECORDS, 3, seed);
    fixture_verify("out", numbers);
    for (uint32_t p = 0; p < FIXTURE_PARTITIONS; p++) {
        assert_int_equal(numbers[p], RECORDS);
    }
    assert_int_equal(count_names("*.ready"), 0);
    assert_int_equal(count_names("*.writing"), 0);
    assert_int_equal(count_names("*.tmp-*"), 0);
    assert_in_range(count_names("*.progress"), FIXTURE_PARTITIONS, 2 * FIXTURE_PARTITIONS);
}

/* One fault for every n: in the first session, and in a second one that takes over. */
static void faults_everywhere(enum fault fault, int reason)
{
    unsigned faults = 0;
    unsigned waits = 0;
    for (int64_t before = 0; before <= 21; before += 21) {
        bool reached = true;
        for (unsigned n = 1; reached; n++) {
            if (before > 0) {
                run_well(before, 1, n);
            }
            struct outcome outcome =
                fault == FAULT_EXIT ? run_child(n) : run_badly(fault, reason, n);
            reached = outcome.was_reached;
            faults += reached;
            if (outcome.retries > 0) {
                waits++;
                assert_int_equal(outcome.status, STATUS_OK);
            }
            finish_and_verify(n + 1000);
            remove_tree("out");
        }
    }
    assert_true(faults > 150);
    assert_true((reason == ENOSPC) == (waits > 50)); /* a full disk is waited for */
}

static void process_ends_at_any_call(void **state)
{
    (void)state;
    faults_everywhere(FAULT_EXIT, 0);
}

/* A commit is interrupted before its last step; then whoever takes over ends at its first call, the
 * next one at its second, and so on, through all that it removes. */
static void process_ends_while_it_takes_over(void **state)
{
    (void)state;
    unsigned tried = 0;
    for (unsigned n = 1; tried < 2; n++) {
        run_well(6, 1, n);
        assert_true(run_child(n).was_reached);
        if (count_names("*.ready") > 0 && count_names("*.progress") > FIXTURE_PARTITIONS + 1) {
            tried++;
            for (unsigned m = 1; m <= 40; m++) {
                int64_t numbers[FIXTURE_PARTITIONS];
                assert_true(run_child(m).was_reached);
                fixture_verify("out", numbers);
            }
        }
        finish_and_verify(n);
        remove_tree("out");
    }
}

static void any_call_fails(void **state)
{
    (void)state;
    faults_everywhere(FAULT_ERROR, EIO);
}

static void disk_is_full_at_any_call(void **state)
{
    (void)state;
    faults_everywhere(FAULT_ERROR, ENOSPC);
}

int main(void)
{
    fault_host = os_host_real;
    fault_host.open = fault_open;
    fault_host.write = fault_write;
    fault_host.fsync = fault_fsync;
    fault_host.rename = fault_rename;
    fault_host.unlink = fault_unlink;
    fault_host.close = fault_close;
    os_host = &fault_host;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(process_ends_at_any_call, setup, teardown),
        cmocka_unit_test_setup_teardown(process_ends_while_it_takes_over, setup, teardown),
        cmocka_unit_test_setup_teardown(any_call_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(disk_is_full_at_any_call, setup, teardown),
    };
    return cmocka_run_group_tests_name("connector/file/folder_crash", tests, NULL, NULL);
}
