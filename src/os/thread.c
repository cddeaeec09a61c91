#include "os/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/status.h"

enum { THREAD_NAME_BYTES = 16 }; /* what Linux keeps, with the NUL */

struct thread_entry {
    void (*run)(void *context);
    void *context;
    char name[THREAD_NAME_BYTES];
};

/* A mistake of the programmer, or a machine without threads and memory to give: it ends here. */
static void pthread_must(int result, const char *what)
{
    if (result != 0) {
        fprintf(stderr, "weir: %s failed: %s\n", what, strerror(result));
        if (result == EAGAIN || result == ENOMEM) {
            _exit(3);
        }
        abort();
    }
}

static void *thread_enter(void *argument)
{
    struct thread_entry entry = *(struct thread_entry *)argument;
    memory_free(argument);
    pthread_must(pthread_setname_np(pthread_self(), entry.name), "pthread_setname_np");
    entry.run(entry.context);
    return NULL;
}

void thread_start(struct thread *thread, const char *name, void (*run)(void *context),
                  void *context)
{
    check(strlen(name) < THREAD_NAME_BYTES);
    struct thread_entry *entry = memory_alloc(sizeof *entry);
    entry->run = run;
    entry->context = context;
    memcpy(entry->name, name, strlen(name) + 1);
    /* Signals that report a fault of the thread itself stay open: the kernel ends the process for
     * them in any case, and a sanitizer wants to say why. */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t blocked;
    sigset_t before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        sigdelset(&blocked, faults[i]);
    }
    /* The new thread inherits the mask, so no signal finds it unmasked. */
    pthread_must(pthread_sigmask(SIG_SETMASK, &blocked, &before), "pthread_sigmask");
    pthread_must(pthread_create(&thread->handle, NULL, thread_enter, entry), "pthread_create");
    pthread_must(pthread_sigmask(SIG_SETMASK, &before, NULL), "pthread_sigmask");
}

void thread_join(struct thread *thread)
{
    pthread_must(pthread_join(thread->handle, NULL), "pthread_join");
}

static atomic_bool any_left;

void thread_leave(struct thread *thread)
{
    atomic_store(&any_left, true);
    pthread_must(pthread_detach(thread->handle), "pthread_detach");
}

bool thread_is_any_left(void)
{
    return atomic_load(&any_left);
}

void mutex_init(struct mutex *mutex)
{
    pthread_must(pthread_mutex_init(&mutex->handle, NULL), "pthread_mutex_init");
}

void mutex_fini(struct mutex *mutex)
{
    pthread_must(pthread_mutex_destroy(&mutex->handle), "pthread_mutex_destroy");
}

void mutex_lock(struct mutex *mutex)
{
    pthread_must(pthread_mutex_lock(&mutex->handle), "pthread_mutex_lock");
}

void mutex_unlock(struct mutex *mutex)
{
    pthread_must(pthread_mutex_unlock(&mutex->handle), "pthread_mutex_unlock");
}

void condition_init(struct condition *condition)
{
    pthread_condattr_t attributes;
    pthread_must(pthread_condattr_init(&attributes), "pthread_condattr_init");
    pthread_must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC),
                 "pthread_condattr_setclock");
    pthread_must(pthread_cond_init(&condition->handle, &attributes), "pthread_cond_init");
    pthread_must(pthread_condattr_destroy(&attributes), "pthread_condattr_destroy");
}

void condition_fini(struct condition *condition)
{
    pthread_must(pthread_cond_destroy(&condition->handle), "pthread_cond_destroy");
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
    pthread_must(pthread_cond_wait(&condition->handle, &mutex->handle), "pthread_cond_wait");
}

bool condition_wait_us(struct condition *condition, struct mutex *mutex, int64_t timeout_us)
{
    /* More than a century is as good as for ever, and keeps the sum below from overflowing. */
    const int64_t longest_us = INT64_C(100) * 366 * 86400 * 1000000;
    if (timeout_us < 0) {
        timeout_us = 0;
    } else if (timeout_us > longest_us) {
        timeout_us = longest_us;
    }
    struct timespec end;
    check(clock_gettime(CLOCK_MONOTONIC, &end) == 0);
    int64_t end_ns = end.tv_nsec + timeout_us % 1000000 * 1000;
    end.tv_sec += timeout_us / 1000000 + end_ns / 1000000000;
    end.tv_nsec = end_ns % 1000000000;
    int result = pthread_cond_timedwait(&condition->handle, &mutex->handle, &end);
    if (result == ETIMEDOUT) {
        return false;
    }
    pthread_must(result, "pthread_cond_timedwait");
    return true;
}

void condition_signal(struct condition *condition)
{
    pthread_must(pthread_cond_signal(&condition->handle), "pthread_cond_signal");
}

void condition_broadcast(struct condition *condition)
{
    pthread_must(pthread_cond_broadcast(&condition->handle), "pthread_cond_broadcast");
}
