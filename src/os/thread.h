/*
 * Threads, mutexes and condition variables: thin names over pthreads that cannot fail (a failing
 * pthread call is an error of the programmer or an exhausted machine; both end the process).
 */
#ifndef WEIR_OS_THREAD_H
#define WEIR_OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct thread {
    pthread_t handle;
};
struct mutex {
    pthread_mutex_t handle;
};
/* Waits on the monotonic clock. */
struct condition {
    pthread_cond_t handle;
};

/* `name` at most 15 characters: shown by ps and top. All signals are blocked in the new thread. */
void thread_start(struct thread *thread, const char *name, void (*run)(void *context),
                  void *context);
void thread_join(struct thread *thread);
/* Of a thread that nobody will join: it ends by itself, or with the process, for which process_end()
 * then does not wait. */
void thread_leave(struct thread *thread);
bool thread_is_any_left(void);

void mutex_init(struct mutex *mutex);
void mutex_fini(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

void condition_init(struct condition *condition);
void condition_fini(struct condition *condition);
void condition_wait(struct condition *condition, struct mutex *mutex);
/* False when the time ran out. */
bool condition_wait_us(struct condition *condition, struct mutex *mutex, int64_t timeout_us);
void condition_signal(struct condition *condition);
void condition_broadcast(struct condition *condition);

/* SIGINT, SIGTERM and SIGHUP (a terminal that was closed; not under nohup, which has it ignored) ask for a
 * clean stop: the first sets a flag and wakes watch_wait() and clock_sleep_us() early, and those after it
 * change nothing. A thread's sleeps are cut short once:
 * after it was woken, or saw that stop_requested(), its sleeps are whole again, so that what it
 * repeats while it finishes stays paced. SIGPIPE and SIGXFSZ are ignored: what they tell of is an
 * error of the call. Those that stop are unblocked: a parent that blocks them before exec loses none that comes before this call. */
void stop_signals_install(void);
bool stop_requested(void);

#endif
