#include "os/thread.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/status.h"
#include "os/clock.h"
#include "os/file.h"

struct look {
    char name[32];
    sigset_t blocked;
    bool ran;
};

static void look_around(void *context)
{
    struct look *look = context;
    pthread_getname_np(pthread_self(), look->name, sizeof look->name);
    pthread_sigmask(SIG_SETMASK, NULL, &look->blocked);
    look->ran = true;
}

static void threads_have_names_and_no_signals(void **state)
{
    (void)state;
    struct look look = {0};
    struct thread thread;
    thread_start(&thread, "fifteen-letters", look_around, &look);
    thread_join(&thread);
    assert_true(look.ran);
    assert_string_equal(look.name, "fifteen-letters");
    assert_true(sigismember(&look.blocked, SIGTERM) && sigismember(&look.blocked, SIGINT) &&
                sigismember(&look.blocked, SIGHUP) && sigismember(&look.blocked, SIGUSR1));
    assert_false(sigismember(&look.blocked, SIGSEGV));
    sigset_t own;
    pthread_sigmask(SIG_SETMASK, NULL, &own);
    assert_false(sigismember(&own, SIGTERM));
}

struct shared {
    struct mutex mutex;
    struct condition changed;
    unsigned turn;
    unsigned count;
    bool go;
};

enum { PLAYERS = 3, TURNS = 300 };

struct player {
    struct shared *shared;
    unsigned number;
};

static void take_turns(void *context)
{
    const struct player *player = context;
    struct shared *shared = player->shared;
    mutex_lock(&shared->mutex);
    for (unsigned i = 0; i < TURNS; i++) {
        while (shared->turn != player->number) {
            condition_wait(&shared->changed, &shared->mutex);
        }
        shared->count++;
        shared->turn = (shared->turn + 1) % PLAYERS;
        condition_broadcast(&shared->changed);
    }
    mutex_unlock(&shared->mutex);
}

static void conditions_wake(void **state)
{
    (void)state;
    struct shared shared = {0};
    mutex_init(&shared.mutex);
    condition_init(&shared.changed);
    struct thread threads[PLAYERS];
    struct player players[PLAYERS];
    for (unsigned i = 0; i < PLAYERS; i++) {
        players[i] = (struct player){&shared, i};
        thread_start(&threads[i], "player", take_turns, &players[i]);
    }
    for (unsigned i = 0; i < PLAYERS; i++) {
        thread_join(&threads[i]);
    }
    assert_int_equal(shared.count, PLAYERS * TURNS);
    condition_fini(&shared.changed);
    mutex_fini(&shared.mutex);
}

static void go_after_a_while(void *context)
{
    struct shared *shared = context;
    clock_sleep_us(5000);
    mutex_lock(&shared->mutex);
    shared->go = true;
    condition_signal(&shared->changed);
    mutex_unlock(&shared->mutex);
}

static void waits_end_in_time(void **state)
{
    (void)state;
    struct shared shared = {0};
    mutex_init(&shared.mutex);
    condition_init(&shared.changed);
    static const int64_t short_us[] = {30000, 0, -1, INT64_MIN};
    for (size_t i = 0; i < 4; i++) {
        mutex_lock(&shared.mutex);
        int64_t start_us = clock_monotonic_us();
        while (condition_wait_us(&shared.changed, &shared.mutex, short_us[i])) {
        }
        assert_true(clock_monotonic_us() - start_us >= short_us[i]);
        mutex_unlock(&shared.mutex);
    }
    static const int64_t long_us[] = {INT64_C(60000000), INT64_MAX};
    for (size_t i = 0; i < 2; i++) {
        struct thread thread;
        shared.go = false;
        thread_start(&thread, "goer", go_after_a_while, &shared);
        mutex_lock(&shared.mutex);
        while (!shared.go) {
            assert_true(condition_wait_us(&shared.changed, &shared.mutex, long_us[i]));
        }
        mutex_unlock(&shared.mutex);
        thread_join(&thread);
    }
    condition_fini(&shared.changed);
    mutex_fini(&shared.mutex);
}

/* --- Stop signals, each test in a child: they change the whole process. --- */

static void child_must(int line, bool good)
{
    if (!good) {
        _exit(line);
    }
}
/* Exit statuses have eight bits: the line of the failure, as far as they tell it. */
#define CHILD_MUST(expression) child_must(__LINE__ % 255 + 1, (expression))

static void in_child(void (*run)(void))
{
    pid_t child = fork();
    if (child == 0) {
        alarm(20); /* A wait that nobody ends fails the test, not the whole run. */
        run();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void flag_and_pipe(void)
{
    stop_signals_install();
    stop_signals_install();
    CHILD_MUST(!stop_requested());
    int fds[2];
    CHILD_MUST(pipe(fds) == 0);
    close(fds[0]);
    CHILD_MUST(write(fds[1], "x", 1) == -1); /* and no SIGPIPE */
    FILE *file = tmpfile();
    CHILD_MUST(file != NULL);
    CHILD_MUST(setrlimit(RLIMIT_FSIZE, &(struct rlimit){1, RLIM_INFINITY}) == 0);
    CHILD_MUST(write(fileno(file), "xy", 2) == 1); /* and no SIGXFSZ */
    CHILD_MUST(write(fileno(file), "y", 1) == -1);
    CHILD_MUST(fclose(file) == 0);
    raise(SIGTERM);
    CHILD_MUST(stop_requested());
    raise(SIGINT);
    raise(SIGTERM);
    CHILD_MUST(stop_requested());
}

static void stop_sets_a_flag(void **state)
{
    (void)state;
    in_child(flag_and_pipe);
}

static void hang_up(void)
{
    signal(SIGHUP, SIG_DFL); /* the test may run under nohup */
    stop_signals_install();
    raise(SIGHUP);
    CHILD_MUST(stop_requested());
}

static void hang_up_under_nohup(void)
{
    signal(SIGHUP, SIG_IGN);
    stop_signals_install();
    raise(SIGHUP);
    CHILD_MUST(!stop_requested());
}

static void a_closed_terminal_stops(void **state)
{
    (void)state;
    in_child(hang_up);
    in_child(hang_up_under_nohup);
}

static void signal_self(void *context)
{
    clock_sleep_us(10000);
    kill(getpid(), *(const int *)context);
}

static void sleep_long(void *context)
{
    (void)context;
    clock_sleep_us(INT64_C(3600000000));
}

static void sleepers_wake(void)
{
    stop_signals_install();
    struct thread sleeper;
    struct thread sender;
    int signal_number = SIGINT;
    thread_start(&sleeper, "sleeper", sleep_long, NULL);
    thread_start(&sender, "sender", signal_self, &signal_number);
    clock_sleep_us(INT64_MAX);
    CHILD_MUST(stop_requested());
    thread_join(&sleeper);
    thread_join(&sender);
    /* A thread that knows of the stop paces itself as before. */
    int64_t start_us = clock_monotonic_us();
    clock_sleep_us(30000);
    CHILD_MUST(clock_monotonic_us() - start_us >= 30000);
    /* One that does not know yet is not held up. */
    thread_start(&sleeper, "sleeper", sleep_long, NULL);
    thread_join(&sleeper);
}

static void stop_wakes_sleepers(void **state)
{
    (void)state;
    in_child(sleepers_wake);
}

static void nothing(int signal_number)
{
    (void)signal_number;
}

static void other_signals(void)
{
    stop_signals_install();
    struct sigaction action = {.sa_handler = nothing};
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    struct thread sender;
    int signal_number = SIGUSR1;
    thread_start(&sender, "sender", signal_self, &signal_number);
    int64_t start_us = clock_monotonic_us();
    clock_sleep_us(60000);
    CHILD_MUST(clock_monotonic_us() - start_us >= 60000);
    CHILD_MUST(!stop_requested());
    thread_join(&sender);
}

static void other_signals_do_not_wake(void **state)
{
    (void)state;
    in_child(other_signals);
}

static void stdin_reader(void)
{
    int fds[2];
    CHILD_MUST(pipe(fds) == 0 && dup2(fds[0], STDIN_FILENO) == 0);
    CHILD_MUST(write(fds[1], "abc", 3) == 3);
    stop_signals_install();
    struct error err = {0};
    char text[8];
    size_t size = 0;
    struct thread sender;
    int signal_number = SIGTERM;
    CHILD_MUST(file_read_stdin(text, 2, &size, &err) == STATUS_OK && size == 2);
    thread_start(&sender, "sender", signal_self, &signal_number);
    thread_join(&sender);
    while (!stop_requested()) {
    }
    /* What is there is read first. */
    CHILD_MUST(file_read_stdin(text, 8, &size, &err) == STATUS_OK && size == 1);
    CHILD_MUST(file_read_stdin(text, 8, &size, &err) == STATUS_RETRY);
    CHILD_MUST(strcmp(err.code, "stop.requested") == 0);
}

static void stop_ends_waiting_for_input(void **state)
{
    (void)state;
    in_child(stdin_reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_have_names_and_no_signals),
        cmocka_unit_test(conditions_wake),
        cmocka_unit_test(waits_end_in_time),
        cmocka_unit_test(stop_sets_a_flag),
        cmocka_unit_test(a_closed_terminal_stops),
        cmocka_unit_test(stop_wakes_sleepers),
        cmocka_unit_test(other_signals_do_not_wake),
        cmocka_unit_test(stop_ends_waiting_for_input),
    };
    return cmocka_run_group_tests_name("os/thread", tests, NULL, NULL);
}
