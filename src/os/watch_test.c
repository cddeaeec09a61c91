#include "os/watch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/thread.h"

#define LONG_US INT64_C(10000000)
#define QUIET_US 50000

static char folder[64];

static int folder_setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/weir-watch-test-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

static int folder_teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return chdir("/") != 0 || system(command) != 0 ? -1 : 0;
}

static void append(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static struct watch *watch_paths(const char *const *paths, uint32_t count)
{
    struct watch *watch = NULL;
    struct error err = {0};
    assert_int_equal(watch_open(paths, count, &watch, &err), STATUS_OK);
    return watch;
}

/* True when watch_wait() came back well before its time. */
static bool woke(struct watch *watch)
{
    int64_t start_us = clock_monotonic_us();
    watch_wait(watch, LONG_US);
    return clock_monotonic_us() - start_us < LONG_US / 2;
}

/* Wake-ups without a cause are allowed, but they come to an end. */
static bool becomes_quiet(struct watch *watch)
{
    for (unsigned i = 0; i < 50; i++) {
        int64_t start_us = clock_monotonic_us();
        watch_wait(watch, QUIET_US);
        if (clock_monotonic_us() - start_us >= QUIET_US) {
            return true;
        }
    }
    return false;
}

static void change_before_the_call_counts(void **state)
{
    (void)state;
    append("f");
    const char *paths[] = {"f"};
    struct watch *watch = watch_paths(paths, 1);
    assert_true(becomes_quiet(watch));
    append("f");
    assert_true(woke(watch));
    assert_true(becomes_quiet(watch));
    assert_int_equal(truncate("f", 0), 0);
    assert_true(woke(watch));
    assert_true(becomes_quiet(watch));
    watch_close(watch);
}

struct later {
    const char *from;
    const char *to; /* NULL: append to `from` */
};

static void do_later(void *context)
{
    const struct later *later = context;
    clock_sleep_us(10000);
    if (later->to == NULL) {
        append(later->from);
    } else if (rename(later->from, later->to) != 0) {
        abort();
    }
}

static bool woke_by(struct watch *watch, const char *from, const char *to)
{
    struct later later = {from, to};
    struct thread thread;
    thread_start(&thread, "later", do_later, &later);
    bool result = woke(watch);
    thread_join(&thread);
    return result;
}

/* One file through its whole life; `watch` may be on inotify or polling. */
static void life_of_a_file(struct watch *watch, const char *path, const char *other)
{
    assert_true(woke_by(watch, path, NULL)); /* made */
    assert_true(becomes_quiet(watch));
    assert_true(woke_by(watch, path, NULL)); /* grew */
    assert_true(becomes_quiet(watch));
    append(other);
    assert_true(woke_by(watch, other, path)); /* another file took its name */
    assert_true(becomes_quiet(watch));
    assert_true(woke_by(watch, path, NULL)); /* and that one grew */
    assert_true(becomes_quiet(watch));
    assert_int_equal(unlink(path), 0);
    assert_true(woke(watch));
    assert_true(becomes_quiet(watch));
    assert_true(woke_by(watch, path, NULL)); /* made again */
    assert_true(becomes_quiet(watch));
    assert_true(woke_by(watch, path, other)); /* renamed away */
    assert_true(becomes_quiet(watch));
    assert_true(woke_by(watch, path, NULL));
    assert_true(becomes_quiet(watch));
    assert_true(woke_by(watch, path, NULL));
}

static void follows_a_name(void **state)
{
    (void)state;
    const char *paths[] = {"f"};
    struct watch *watch = watch_paths(paths, 1);
    assert_true(becomes_quiet(watch));
    life_of_a_file(watch, "f", "other");
    watch_close(watch);
}

static void follows_full_paths_and_many(void **state)
{
    (void)state;
    char full[128];
    char other[128];
    snprintf(full, sizeof full, "%s/g", folder);
    snprintf(other, sizeof other, "%s/h", folder);
    append("f");
    const char *paths[] = {"f", full, "f", "./never"};
    struct watch *watch = watch_paths(paths, 4);
    assert_true(becomes_quiet(watch));
    life_of_a_file(watch, full, other);
    assert_true(becomes_quiet(watch));
    assert_true(woke_by(watch, "f", NULL));
    watch_close(watch);
}

/* Only the folder tells that a link now leads elsewhere: neither file has changed. */
static void follows_a_link(void **state)
{
    (void)state;
    append("old");
    append("new");
    assert_int_equal(symlink("old", "f"), 0);
    assert_int_equal(symlink("new", "next"), 0);
    const char *paths[] = {"f"};
    struct watch *watch = watch_paths(paths, 1);
    assert_true(becomes_quiet(watch));
    assert_true(woke_by(watch, "old", NULL));
    assert_true(becomes_quiet(watch));
    assert_true(woke_by(watch, "next", "f"));
    assert_true(becomes_quiet(watch));
    assert_true(woke_by(watch, "new", NULL));
    watch_close(watch);
}

static void strangers_do_not_wake(void **state)
{
    (void)state;
    append("f");
    const char *paths[] = {"f", "missing"};
    struct watch *watch = watch_paths(paths, 2);
    assert_true(becomes_quiet(watch));
    append("stranger");
    append("missing.tmp");
    int64_t start_us = clock_monotonic_us();
    watch_wait(watch, QUIET_US);
    assert_true(clock_monotonic_us() - start_us >= QUIET_US);
    watch_close(watch);
}

static void folder_comes_later(void **state)
{
    (void)state;
    const char *paths[] = {"sub/f"};
    struct watch *watch = watch_paths(paths, 1);
    assert_true(becomes_quiet(watch));
    assert_int_equal(mkdir("sub", 0700), 0);
    assert_true(woke_by(watch, "sub/f", NULL));
    assert_true(becomes_quiet(watch));
    assert_true(woke_by(watch, "sub/f", NULL));
    /* And goes, and comes again. */
    assert_int_equal(unlink("sub/f"), 0);
    assert_int_equal(rmdir("sub"), 0);
    assert_true(woke(watch));
    assert_true(becomes_quiet(watch));
    assert_int_equal(mkdir("sub", 0700), 0);
    assert_true(becomes_quiet(watch));
    life_of_a_file(watch, "sub/f", "sub/other");
    watch_close(watch);
}

static void polls_without_inotify(void **state)
{
    (void)state;
    /* No descriptor is left for inotify. */
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {0, before.rlim_max};
    const char *paths[] = {"f", "g"};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct watch *watch = NULL;
    struct error err = {0};
    enum status status = watch_open(paths, 2, &watch, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, STATUS_OK);
    assert_true(becomes_quiet(watch));
    life_of_a_file(watch, "f", "other");
    assert_true(becomes_quiet(watch));
    append("g");
    assert_true(woke(watch));
    watch_close(watch);
}

static void time_limits(void **state)
{
    (void)state;
    append("f");
    const char *paths[] = {"f"};
    struct watch *watch = watch_paths(paths, 1);
    assert_true(becomes_quiet(watch));
    int64_t start_us = clock_monotonic_us();
    watch_wait(watch, 0);
    watch_wait(watch, -1);
    assert_true(clock_monotonic_us() - start_us < LONG_US / 2);
    /* An endless wait is no overflow. */
    struct later later = {"f", NULL};
    struct thread thread;
    thread_start(&thread, "later", do_later, &later);
    watch_wait(watch, INT64_MAX);
    thread_join(&thread);
    watch_close(watch);
    watch_close(NULL);

    watch = watch_paths(NULL, 0);
    start_us = clock_monotonic_us();
    watch_wait(watch, 30000);
    assert_true(clock_monotonic_us() - start_us >= 30000);
    watch_close(watch);
}

static void send_term(void *context)
{
    (void)context;
    clock_sleep_us(10000);
    kill(getpid(), SIGTERM);
}

static void stop_wakes(void **state)
{
    (void)state;
    append("f");
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        stop_signals_install();
        const char *paths[] = {"f", "nowhere/f"};
        struct error err = {0};
        for (uint32_t count = 1; count <= 2; count++) {
            struct watch *watch;
            if (watch_open(paths, count, &watch, &err) != STATUS_OK) {
                _exit(1);
            }
            struct thread thread;
            thread_start(&thread, "sender", send_term, NULL);
            watch_wait(watch, INT64_C(3600000000));
            thread_join(&thread);
            watch_close(watch);
        }
        _exit(stop_requested() ? 0 : 2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(change_before_the_call_counts),
        IN_FOLDER(follows_a_name),
        IN_FOLDER(follows_full_paths_and_many),
        IN_FOLDER(follows_a_link),
        IN_FOLDER(strangers_do_not_wake),
        IN_FOLDER(folder_comes_later),
        IN_FOLDER(polls_without_inotify),
        IN_FOLDER(time_limits),
        IN_FOLDER(stop_wakes),
    };
    return cmocka_run_group_tests_name("os/watch", tests, NULL, NULL);
}
