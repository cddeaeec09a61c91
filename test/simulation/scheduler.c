#include "scheduler.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/status.h"
#include "os/host.h"
#include "os/thread.h"

enum { TASKS_MAX = 512, STEPS_MAX = 2000000 };

#define NEVER INT64_MAX

struct process {
    bool is_dead, is_frozen, is_stopping;
    struct task *first;
};

struct task {
    pthread_t handle;
    pthread_cond_t chosen;
    struct process *process; /* NULL: the first thread */
    void (*run)(void *context);
    void *context;
    bool is_over;
    bool is_joined; /* its place is free for another */
    const void *waits_for;   /* a condition, mutex or task; NULL: nothing but the time */
    int64_t wakes_us;        /* NEVER: no time wakes it */
};

/* What stands in the memory of a struct mutex. */
struct virtual_mutex {
    struct task *owner;
};
_Static_assert(sizeof(struct virtual_mutex) <= sizeof(struct mutex), "fits");

static struct {
    pthread_mutex_t baton;
    struct task tasks[TASKS_MAX];
    int task_count;
    struct task *current;
    struct prng prng;
    int64_t now_us;
    uint64_t steps;
} world = {.baton = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct task *self;

/* --- who runs --- */

static bool can_run(const struct task *task)
{
    const struct process *process = task->process;
    return !task->is_over && (process == NULL || (!process->is_dead && !process->is_frozen)) &&
           task->wakes_us <= world.now_us;
}

/* One of those that can run; when none can, the time goes on to the first that wakes. */
static struct task *choose(void)
{
    for (;;) {
        struct task *ready[TASKS_MAX];
        int count = 0;
        int64_t next_us = NEVER;
        for (int i = 0; i < world.task_count; i++) {
            struct task *task = &world.tasks[i];
            const struct process *process = task->process;
            if (can_run(task)) {
                ready[count++] = task;
            } else if (!task->is_over && task->wakes_us < next_us &&
                       (process == NULL || (!process->is_dead && !process->is_frozen))) {
                next_us = task->wakes_us;
            }
        }
        if (count > 0) {
            return ready[prng_below(&world.prng, (uint64_t)count)];
        }
        if (next_us == NEVER) {
            (void)fprintf(stderr, "WRONG: everybody waits for ever\n");
            abort();
        }
        world.now_us = next_us;
    }
}

/* Gives the baton to whoever is chosen and waits for it to come back. */
static void hand_over(void)
{
    if (++world.steps > STEPS_MAX) {
        (void)fprintf(stderr, "WRONG: no end in %d steps\n", STEPS_MAX);
        abort();
    }
    struct task *next = choose();
    if (next == self) {
        return;
    }
    world.current = next;
    pthread_cond_signal(&next->chosen);
    while (world.current != self) {
        pthread_cond_wait(&self->chosen, &world.baton);
    }
}

static bool wait_for(const void *what, int64_t wakes_us)
{
    self->waits_for = what;
    self->wakes_us = wakes_us;
    hand_over();
    bool was_woken = self->waits_for == NULL;
    self->waits_for = NULL;
    self->wakes_us = 0;
    return was_woken;
}

static void wake(const void *what, bool all)
{
    struct task *waiting[TASKS_MAX];
    int count = 0;
    for (int i = 0; i < world.task_count; i++) {
        if (!world.tasks[i].is_over && world.tasks[i].waits_for == what) {
            waiting[count++] = &world.tasks[i];
        }
    }
    for (int i = 0; i < count; i++) {
        if (all || i == 0) {
            waiting[i]->waits_for = NULL;
            waiting[i]->wakes_us = 0;
        }
    }
}

static void *enter(void *argument)
{
    self = argument;
    pthread_mutex_lock(&world.baton);
    while (world.current != self) {
        pthread_cond_wait(&self->chosen, &world.baton);
    }
    self->run(self->context);
    self->is_over = true;
    wake(self, true);
    world.current = choose();
    pthread_cond_signal(&world.current->chosen);
    pthread_mutex_unlock(&world.baton);
    return NULL;
}

static struct task *start(struct process *process, void (*run)(void *context), void *context)
{
    struct task *task = &world.tasks[0];
    while (task < &world.tasks[world.task_count] && !task->is_joined) {
        task++;
    }
    if (task == &world.tasks[world.task_count]) {
        check(world.task_count < TASKS_MAX);
        world.task_count++;
    }
    *task = (struct task){.process = process, .run = run, .context = context};
    check(pthread_cond_init(&task->chosen, NULL) == 0);
    check(pthread_create(&task->handle, NULL, enter, task) == 0);
    check(pthread_detach(task->handle) == 0);
    return task;
}

/* --- what the controller does --- */

static int64_t virtual_now_us(void)
{
    return world.now_us;
}

static void virtual_random(void *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)out)[i] = (uint8_t)prng_below(&world.prng, 256);
    }
}

static int without_sync(int fd)
{
    (void)fd;
    return 0;
}

/* Somebody may be killed between two calls. */
static int paused_rename(const char *from, const char *to)
{
    scheduler_pause();
    int result = os_host_real.rename(from, to);
    scheduler_pause();
    return result;
}

static ssize_t paused_write(int fd, const void *data, size_t size)
{
    scheduler_pause();
    return os_host_real.write(fd, data, size);
}

void scheduler_begin(uint64_t seed)
{
    static struct os_host host;
    host = os_host_real;
    host.clock_monotonic_us = virtual_now_us;
    host.clock_realtime_us = virtual_now_us;
    host.sleep_us = scheduler_sleep_us;
    host.random_bytes = virtual_random;
    host.fsync = without_sync;
    host.rename = paused_rename;
    host.write = paused_write;
    os_host = &host;
    prng_init(&world.prng, seed);
    world.now_us = INT64_C(1700000000) * 1000000;
    world.task_count = 1;
    self = world.current = &world.tasks[0];
    check(pthread_cond_init(&self->chosen, NULL) == 0);
    pthread_mutex_lock(&world.baton);
}

struct prng *scheduler_prng(void)
{
    return &world.prng;
}

int64_t scheduler_now_us(void)
{
    return world.now_us;
}

uint64_t scheduler_steps(void)
{
    return world.steps;
}

struct process *process_start(void (*run)(void *context), void *context)
{
    struct process *process = memory_alloc_zero(1, sizeof *process);
    process->first = start(process, run, context);
    return process;
}

bool process_is_over(const struct process *process)
{
    return process->is_dead || process->first->is_over;
}

void process_kill(struct process *process)
{
    process->is_dead = true;
}

void process_freeze(struct process *process, bool is_frozen)
{
    process->is_frozen = is_frozen;
}

void process_ask_to_stop(struct process *process)
{
    process->is_stopping = true;
}

void scheduler_pause(void)
{
    hand_over();
}

void scheduler_sleep_us(int64_t duration_us)
{
    wait_for(&world, world.now_us + duration_us);
}

/* --- os/thread.h --- */

void __wrap_thread_start(struct thread *thread, const char *name, void (*run)(void *context),
                         void *context);
void __wrap_thread_join(struct thread *thread);
void __wrap_mutex_init(struct mutex *mutex);
void __wrap_mutex_fini(struct mutex *mutex);
void __wrap_mutex_lock(struct mutex *mutex);
void __wrap_mutex_unlock(struct mutex *mutex);
void __wrap_condition_init(struct condition *condition);
void __wrap_condition_fini(struct condition *condition);
void __wrap_condition_wait(struct condition *condition, struct mutex *mutex);
bool __wrap_condition_wait_us(struct condition *condition, struct mutex *mutex,
                              int64_t timeout_us);
void __wrap_condition_signal(struct condition *condition);
void __wrap_condition_broadcast(struct condition *condition);
bool __wrap_stop_requested(void);

/* A struct thread holds the number of its task. */
void __wrap_thread_start(struct thread *thread, const char *name, void (*run)(void *context),
                         void *context)
{
    (void)name;
    struct task *task = start(self->process, run, context);
    thread->handle = (pthread_t)(task - world.tasks);
    scheduler_pause();
}

void __wrap_thread_join(struct thread *thread)
{
    struct task *task = &world.tasks[thread->handle];
    while (!task->is_over) {
        wait_for(task, NEVER);
    }
    task->is_joined = true;
}

void __wrap_mutex_init(struct mutex *mutex)
{
    ((struct virtual_mutex *)mutex)->owner = NULL;
}
void __wrap_mutex_fini(struct mutex *mutex)
{
    check(((struct virtual_mutex *)mutex)->owner == NULL);
}
void __wrap_mutex_lock(struct mutex *mutex)
{
    struct virtual_mutex *lock = (struct virtual_mutex *)mutex;
    if (prng_below(&world.prng, 8) == 0) {
        scheduler_pause();
    }
    while (lock->owner != NULL) {
        wait_for(mutex, NEVER);
    }
    lock->owner = self;
}
void __wrap_mutex_unlock(struct mutex *mutex)
{
    struct virtual_mutex *lock = (struct virtual_mutex *)mutex;
    check(lock->owner == self);
    lock->owner = NULL;
    wake(mutex, false);
}

void __wrap_condition_init(struct condition *condition)
{
    (void)condition;
}
void __wrap_condition_fini(struct condition *condition)
{
    (void)condition;
}
void __wrap_condition_wait(struct condition *condition, struct mutex *mutex)
{
    __wrap_mutex_unlock(mutex);
    wait_for(condition, NEVER);
    __wrap_mutex_lock(mutex);
}
bool __wrap_condition_wait_us(struct condition *condition, struct mutex *mutex,
                              int64_t timeout_us)
{
    __wrap_mutex_unlock(mutex);
    bool woken = wait_for(condition, world.now_us + (timeout_us < 0 ? 0 : timeout_us));
    __wrap_mutex_lock(mutex);
    return woken;
}
void __wrap_condition_signal(struct condition *condition)
{
    wake(condition, false);
}
void __wrap_condition_broadcast(struct condition *condition)
{
    wake(condition, true);
}

bool __wrap_stop_requested(void)
{
    return self->process != NULL && self->process->is_stopping;
}
