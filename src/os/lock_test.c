#include "os/lock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/thread.h"

static char folder[64];
static char path[96];

static int folder_setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/weir-lock-test-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/lock", folder);
    return 0;
}

static int folder_teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static struct lock_file *open_lock(void)
{
    struct lock_file *lock = NULL;
    struct error err = {0};
    assert_int_equal(lock_file_open(path, &lock, &err), STATUS_OK);
    return lock;
}

static bool try_lock(struct lock_file *lock, uint64_t byte)
{
    struct error err = {0};
    bool taken;
    assert_int_equal(lock_try(lock, byte, &taken, &err), STATUS_OK);
    return taken;
}

static void handles_exclude_each_other(void **state)
{
    (void)state;
    struct error err = {0};
    umask(022);
    struct lock_file *a = open_lock();
    struct lock_file *b = open_lock();
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(lock_take(a, 5, &err), STATUS_OK);
    assert_false(try_lock(b, 5));
    assert_true(try_lock(b, 4));
    assert_true(try_lock(b, 6));
    assert_false(try_lock(a, 6));
    /* The holder may take it again; one release lets go. */
    assert_true(try_lock(a, 5));
    lock_release(a, 5);
    assert_true(try_lock(b, 5));
    assert_true(try_lock(a, UINT64_C(1) << 62));
    assert_false(try_lock(b, UINT64_C(1) << 62));
    lock_file_close(b);
    assert_true(try_lock(a, 4) && try_lock(a, 5) && try_lock(a, 6));
    lock_file_close(a);
    lock_file_close(NULL);
    assert_int_equal(access(path, F_OK), 0);
}

static void closing_another_handle_keeps_the_lock(void **state)
{
    (void)state;
    struct lock_file *a = open_lock();
    assert_true(try_lock(a, 1));
    /* POSIX locks would be lost here. */
    lock_file_close(open_lock());
    struct lock_file *b = open_lock();
    assert_false(try_lock(b, 1));
    lock_file_close(a);
    assert_true(try_lock(b, 1));
    lock_file_close(b);
}

/* The child takes byte 9, says so, and waits to be killed. */
static pid_t child_with_lock(void)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(20); /* It must not outlive a test that fails. */
        struct error err = {0};
        struct lock_file *lock;
        if (lock_file_open(path, &lock, &err) != STATUS_OK ||
            lock_take(lock, 9, &err) != STATUS_OK || write(fds[1], "x", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    char ready;
    close(fds[1]);
    assert_int_equal(read(fds[0], &ready, 1), 1);
    close(fds[0]);
    return child;
}

static void killed_holder_frees_the_lock(void **state)
{
    (void)state;
    struct lock_file *lock = open_lock();
    pid_t child = child_with_lock();
    assert_false(try_lock(lock, 9));
    assert_true(try_lock(lock, 10));
    assert_int_equal(kill(child, SIGKILL), 0);
    /* Without looking at the child first: the kernel has to wake us. */
    struct error err = {0};
    assert_int_equal(lock_take(lock, 9, &err), STATUS_OK);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    lock_file_close(lock);
}

static void nothing(int signal_number)
{
    (void)signal_number;
}

struct killer {
    pthread_t target;
    pid_t child;
};

static void signal_then_kill(void *context)
{
    const struct killer *killer = context;
    for (unsigned i = 0; i < 20; i++) {
        pthread_kill(killer->target, SIGUSR1);
        clock_sleep_us(1000);
    }
    kill(killer->child, SIGKILL);
}

static void signals_do_not_end_the_waiting(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = nothing}; /* without SA_RESTART: fcntl gives EINTR */
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    struct killer killer = {pthread_self(), child_with_lock()};
    struct lock_file *lock = open_lock();
    struct thread thread;
    thread_start(&thread, "killer", signal_then_kill, &killer);
    struct error err = {0};
    assert_int_equal(lock_take(lock, 9, &err), STATUS_OK);
    /* It is held for good: a third handle does not get it. */
    struct lock_file *other = open_lock();
    assert_false(try_lock(other, 9));
    lock_file_close(other);
    thread_join(&thread);
    lock_file_close(lock);
    assert_int_equal(waitpid(killer.child, NULL, 0), killer.child);
}

enum { ROUNDS = 500, THREADS = 4 };
static int counter; /* guarded by byte 3 of the lock file */

static void count_up(void *context)
{
    (void)context;
    struct error err = {0};
    struct lock_file *lock;
    if (lock_file_open(path, &lock, &err) != STATUS_OK) {
        abort();
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (lock_take(lock, 3, &err) != STATUS_OK) {
            abort();
        }
        int seen = __atomic_load_n(&counter, __ATOMIC_RELAXED);
        if (i % 50 == 0) {
            clock_sleep_us(100);
        }
        __atomic_store_n(&counter, seen + 1, __ATOMIC_RELAXED);
        lock_release(lock, 3);
    }
    lock_file_close(lock);
}

static void threads_exclude_each_other(void **state)
{
    (void)state;
    struct thread threads[THREADS];
    counter = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        thread_start(&threads[i], "counter", count_up, NULL);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
    }
    assert_int_equal(counter, THREADS * ROUNDS);
}

static void looking_takes_nothing(void **state)
{
    (void)state;
    assert_false(lock_is_held(path, 5));
    assert_int_not_equal(access(path, F_OK), 0);
    struct lock_file *a = open_lock();
    assert_false(lock_is_held(path, 5));
    assert_true(try_lock(a, 5));
    assert_true(lock_is_held(path, 5));
    assert_false(lock_is_held(path, 6));
    struct lock_file *b = open_lock();
    assert_false(try_lock(b, 5));
    lock_release(a, 5);
    assert_false(lock_is_held(path, 5));
    assert_true(try_lock(b, 5));
    lock_file_close(b);
    assert_false(lock_is_held(path, 5));
    lock_file_close(a);
}

static void unopenable_says_why(void **state)
{
    (void)state;
    struct lock_file *lock = NULL;
    struct error err = {0};
    assert_int_equal(lock_file_open("/nowhere/at/all", &lock, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "lock.unopenable");
    assert_non_null(strstr(err.message, "/nowhere/at/all"));
    error_clear(&err);
    assert_int_equal(lock_file_open(folder, &lock, &err), STATUS_CONFIG);
    assert_null(lock);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(handles_exclude_each_other),   IN_FOLDER(closing_another_handle_keeps_the_lock),
        IN_FOLDER(killed_holder_frees_the_lock), IN_FOLDER(signals_do_not_end_the_waiting),
        IN_FOLDER(threads_exclude_each_other),   IN_FOLDER(looking_takes_nothing),
        IN_FOLDER(unopenable_says_why),
    };
    return cmocka_run_group_tests_name("os/lock", tests, NULL, NULL);
}
