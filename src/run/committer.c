#include "run/committer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/time.h"
#include "os/clock.h"
#include "os/thread.h"
#include "run/repetition.h"
#include "run/two_phase.h"

/* How soon a stop is noticed in a pause. */
#define SLICE_US (250 * INT64_C(1000))
/* While one epoch is filled, one is committed and one waits: memory that was touched once serves
 * again. What a longer line needed is given back. */
#define SPARES_KEPT 2u
/* A system that works and fails in turns is spoken of so often. */
#define QUIET_US (10 * TIME_US_PER_SECOND)

/* Who falls behind is spoken of when the intake has waited so long. */
#define WAIT_SAID_US (2 * TIME_US_PER_SECOND)
#define WAIT_QUIET_US (60 * TIME_US_PER_SECOND)
#define MIB (1024.0 * 1024.0)

/* Rows of an open epoch are sent ahead in lots of at least so many bytes, so that little traffic costs
 * nothing and waits for nothing. */
#define AHEAD_BYTES (256u * 1024u)
/* Where epochs last longer rows are not sent before the close: what is begun would be open for so
 * long, and brokers end what takes too long. */
#define AHEAD_LONGEST_US (2 * TIME_US_PER_SECOND)

/* An epoch, open or closed. */
struct slot {
    struct slot *next; /* closed behind it */
    size_t size_bytes; /* of its rows, when it was closed */
    struct epoch epoch;
    /* [partition_count]; the epoch names those in use, compacted at the close */
    struct epoch_part *parts;
    bool *in_use; /* [partition_count] */
    bool has_rows;
    bool is_joint;
    int64_t first_row_us; /* when the first row came */
};

struct committer {
    struct system *system;
    struct two_phase *pair; /* NULL: it commits by itself */
    struct progress *progresses;
    uint32_t partition_count;
    const struct retry_policy *policy;
    const struct run_observer *observer;
    struct telemetry *telemetry;
    uint32_t system_number; /* in the plan; for the telemetry */
    void (*waiting)(void *context);
    void *waiting_context;
    bool is_waited_for; /* the worker's: while it is called */
    int64_t *cursors;
    uint64_t max_behind_bytes;
    int64_t interval_us;
    bool sends_ahead;
    size_t told_bytes; /* of the open epoch, when the commit thread was last told of its rows */
    struct slot *open;  /* which the worker fills */
    struct slot *spares; /* empty, with memory for the next ones; under the mutex */
    uint32_t spare_count;
    uint64_t epochs_closed;
    int64_t wait_quiet_until_us;

    struct thread thread;
    struct mutex mutex;
    struct condition changed;
    struct slot *closed; /* handed over, not answered yet, the oldest first */
    size_t closed_bytes; /* of all of them */
    int64_t *answered;   /* [partition_count]: what is committed ends there; under the mutex */
    struct forwarding *forwarding; /* NULL: nothing is forwarded */
    bool has_ahead;      /* the open epoch has rows to send; under the mutex */
    bool has_rejects;    /* it holds some for the worker to take; under the mutex */
    bool wants_rejects;  /* more of them are due; under the mutex */
    bool stopping;
    struct error error; /* of a commit that will not be repeated */
    bool is_in_trouble; /* the commit thread's: it has told of some that is not over */
    int64_t quiet_until_us;
};

static struct slot *slot_new(struct system *system, uint32_t partition_count)
{
    struct slot *slot = memory_alloc_zero(1, sizeof *slot);
    slot->parts = memory_alloc_zero(partition_count, sizeof *slot->parts);
    slot->in_use = memory_alloc_zero(partition_count, sizeof *slot->in_use);
    slot->epoch.parts = memory_alloc_zero(partition_count, sizeof *slot->epoch.parts);
    slot->epoch.outboxes = memory_alloc_zero(system->sink_count + 1, sizeof *slot->epoch.outboxes);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        slot->epoch.outboxes[i] = system->sinks[i]->ops->outbox_new(system->sinks[i]);
    }
    return slot;
}

static void slot_clear(struct slot *slot, const struct system *system, uint32_t partition_count)
{
    for (uint32_t p = 0; p < partition_count; p++) {
        if (slot->in_use[p]) {
            progress_step_fini(&slot->parts[p].step);
            slot->parts[p] = (struct epoch_part){0};
            slot->in_use[p] = false;
        }
    }
    for (uint32_t i = 0; i < system->sink_count; i++) {
        system->sinks[i]->ops->outbox_clear(slot->epoch.outboxes[i]);
    }
    slot->epoch.part_count = 0;
    slot->has_rows = false;
    slot->is_joint = false;
}

static void slot_free(struct slot *slot, const struct system *system, uint32_t partition_count)
{
    if (slot == NULL) {
        return;
    }
    slot_clear(slot, system, partition_count);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        system->sinks[i]->ops->outbox_free(slot->epoch.outboxes[i]);
    }
    memory_free(slot->epoch.outboxes);
    memory_free(slot->epoch.parts);
    memory_free(slot->parts);
    memory_free(slot->in_use);
    memory_free(slot);
}

/* --- the commit thread --- */

static bool may_repeat(enum status status)
{
    return status == STATUS_RETRY || status == STATUS_ABORT;
}

static void say(const struct committer *committer,
                void (*line_out)(void *context, const char *line), const char *format, ...)
    WEIR_PRINTF(3, 4);
static void say(const struct committer *committer,
                void (*line_out)(void *context, const char *line), const char *format, ...)
{
    if (line_out == NULL) {
        return;
    }
    char line[1024];
    int size = snprintf(line, sizeof line, "%s: ", committer->system->name);
    va_list arguments;
    va_start(arguments, format);
    if (size > 0 && (size_t)size < sizeof line) {
        vsnprintf(line + size, sizeof line - (size_t)size, format, arguments);
    }
    va_end(arguments);
    line_out(committer->observer->context, line);
}

/* Once for each time that a system is away. */
static void say_trouble(struct committer *committer, struct repetition *repetition,
                        const struct error *error)
{
    /* A transaction that must be made again, once or twice, is no trouble: a group that has members
     * come or go does that. */
    bool is_usual = error->status == STATUS_ABORT && repetition->failures < 4;
    if (repetition->is_said || is_usual || clock_monotonic_us() < committer->quiet_until_us) {
        return;
    }
    repetition->is_said = committer->is_in_trouble = true;
    char text[960];
    repetition_describe(committer->policy, error, text, sizeof text);
    say(committer, committer->observer->warning, "%s", text);
}

static void say_it_works(struct committer *committer, const struct repetition *repetition)
{
    if (repetition->is_said) {
        int64_t now_us = clock_monotonic_us();
        say(committer, committer->observer->notice, "works again after %.1f s",
            (double)(now_us - repetition->first_us) / 1e6);
        committer->quiet_until_us = now_us + QUIET_US;
        committer->is_in_trouble = false;
    }
}

/* Holds the mutex. False as soon as the run is to end. */
static bool wait_unless_stopped(struct committer *committer, int64_t duration_us)
{
    int64_t end_us = clock_monotonic_us() + duration_us;
    for (;;) {
        int64_t left_us = end_us - clock_monotonic_us();
        if (committer->stopping || stop_requested()) {
            return false;
        }
        if (left_us <= 0) {
            return true;
        }
        condition_wait_us(&committer->changed, &committer->mutex,
                          left_us < SLICE_US ? left_us : SLICE_US);
    }
}

/* All attempts were in vain: waits until an operator says go on, or the run is to end, which is
 * false. Holds the mutex. */
static bool pause_until_resumed(struct committer *committer, const struct error *error)
{
    mutex_unlock(&committer->mutex);
    uint64_t resumes = telemetry_resumes(committer->telemetry);
    telemetry_failed(committer->telemetry, committer->system_number, HEALTH_SYSTEM_PAUSED,
                     committer->policy->attempts, error);
    char text[960];
    repetition_describe_end(committer->policy, error, committer->telemetry != NULL, text,
                            sizeof text);
    say(committer, committer->observer->warning, "%s", text);
    mutex_lock(&committer->mutex);
    while (telemetry_resumes(committer->telemetry) == resumes) {
        if (!wait_unless_stopped(committer, SLICE_US)) {
            return false;
        }
    }
    return true;
}

/* After a failure that may be repeated: pauses as the policy says. False when there is to be no
 * other try. `is_last`: a stop was asked for, so what is tried now is tried once more only. Holds
 * the mutex. */
static bool try_again(struct committer *committer, struct repetition *repetition, bool *is_last,
                      const struct error *error)
{
    const struct retry_policy *policy = committer->policy;
    if (*is_last || committer->stopping) {
        return false;
    }
    if (repetition_is_over(repetition, policy)) {
        if (policy->end == RETRY_STOP) {
            return false;
        }
        *is_last = !pause_until_resumed(committer, error);
        repetition_resume(repetition, policy);
        return !committer->stopping;
    }
    *is_last = !wait_unless_stopped(committer, repetition_next_us(repetition, policy));
    return !committer->stopping;
}

/* One try of the oldest epoch's commit. */
static enum status commit_epoch(struct committer *committer, struct error *err)
{
    const struct epoch *epoch = &committer->closed->epoch;
    int64_t begin_us = clock_monotonic_us();
    enum status status =
        committer->pair != NULL
            ? two_phase_commit(committer->pair, committer->system, epoch,
                               committer->closed->is_joint, committer->progresses, err)
            : committer->system->ops->commit(committer->system, epoch, committer->progresses, err);
    if (status == STATUS_OK) {
        telemetry_committed(committer->telemetry, committer->system_number, epoch,
                            committer->progresses, clock_monotonic_us() - begin_us);
    }
    return status;
}

/* One try of refused rows read back. */
static enum status load_rejects(struct committer *committer, struct error *err)
{
    return forwarding_load(committer->forwarding, err);
}

typedef enum status committer_work(struct committer *committer, struct error *err);

/* One try. */
static enum status work_once(struct committer *committer, committer_work *work,
                             struct repetition *repetition, struct error *err)
{
    enum status status = work(committer, err);
    if (status == STATUS_OK) {
        say_it_works(committer, repetition);
    } else if (may_repeat(status)) {
        repetition_count(repetition);
        telemetry_failed(committer->telemetry, committer->system_number, HEALTH_SYSTEM_AWAY,
                         repetition->attempts, err);
        say_trouble(committer, repetition, err);
    }
    return status;
}

/* Again and again until it is answered for good. Called and left with the mutex held. */
static void work_until_answered(struct committer *committer, committer_work *work)
{
    struct repetition repetition = {0};
    bool is_last = false;
    repetition_resume(&repetition, committer->policy);
    for (;;) {
        struct error err = {0};
        mutex_unlock(&committer->mutex);
        enum status status = work_once(committer, work, &repetition, &err);
        mutex_lock(&committer->mutex);
        if (!may_repeat(status) || !try_again(committer, &repetition, &is_last, &err)) {
            if (status != STATUS_OK) {
                committer->error = err;
                if (committer->pair != NULL) {
                    two_phase_leave(committer->pair, committer->system, &err);
                }
            }
            return;
        }
    }
}

/* Holds the mutex; on the commit thread, whose R is. */
static void look_for_rejects(struct committer *committer)
{
    committer->wants_rejects =
        committer->forwarding != NULL && forwarding_wants(committer->forwarding);
}

static bool may_load(const struct committer *committer)
{
    return committer->wants_rejects && !committer->has_rejects;
}

static void note_answer(struct committer *committer, const struct slot *done)
{
    for (uint32_t i = 0; i < done->epoch.part_count; i++) {
        const struct epoch_part *part = &done->epoch.parts[i];
        committer->answered[part->partition] = part->step.next_offset;
    }
}

/* The oldest epoch is committed: its memory is for another one. Holds the mutex, but not while it
 * empties the epoch. */
static void forget_answered(struct committer *committer)
{
    struct slot *done = committer->closed;
    note_answer(committer, done);
    look_for_rejects(committer);
    mutex_unlock(&committer->mutex);
    slot_clear(done, committer->system, committer->partition_count);
    mutex_lock(&committer->mutex);
    committer->closed = done->next;
    committer->closed_bytes -= done->size_bytes;
    done->next = NULL;
    if (committer->spare_count < SPARES_KEPT) {
        done->next = committer->spares;
        committer->spares = done;
        committer->spare_count++;
    } else {
        slot_free(done, committer->system, committer->partition_count);
    }
}

/* Holds the mutex, but not while it sends. */
static void send_ahead(struct committer *committer)
{
    struct outbox **outboxes = committer->open->epoch.outboxes;
    committer->has_ahead = false;
    mutex_unlock(&committer->mutex);
    committer->system->ops->send_ahead(committer->system, outboxes);
    mutex_lock(&committer->mutex);
}

/* Nothing that was sent is to be read from the open epoch when it is freed. Holds the mutex. */
static void take_back(struct committer *committer)
{
    if (committer->sends_ahead) {
        mutex_unlock(&committer->mutex);
        committer->system->ops->take_back(committer->system);
        mutex_lock(&committer->mutex);
    }
}

static bool has_work(const struct committer *committer)
{
    return committer->closed != NULL || may_load(committer) || committer->has_ahead;
}

static void committer_thread(void *context)
{
    struct committer *committer = context;
    mutex_lock(&committer->mutex);
    for (;;) {
        while (!has_work(committer) && !committer->stopping) {
            condition_wait(&committer->changed, &committer->mutex);
        }
        if (committer->stopping) {
            break;
        }
        if (committer->closed == NULL && committer->has_ahead) {
            send_ahead(committer);
            continue;
        }
        bool loads = may_load(committer);
        work_until_answered(committer, loads ? load_rejects : commit_epoch);
        if (committer->error.status != STATUS_OK) {
            break;
        }
        if (loads) {
            committer->has_rejects = true;
            look_for_rejects(committer);
        } else {
            forget_answered(committer);
        }
        condition_broadcast(&committer->changed);
    }
    take_back(committer);
    condition_broadcast(&committer->changed);
    mutex_unlock(&committer->mutex);
}

/* --- the worker's side --- */

static size_t epoch_bytes(const struct system *system)
{
    return system->ops->epoch_bytes == 0 ? COMMITTER_EPOCH_BYTES : system->ops->epoch_bytes;
}

/* Two epochs, which are closed when they have become a little larger than they should; one where epochs
 * are large, for then nothing is gained by a line. */
static uint64_t behind_unless_set(const struct system *system)
{
    bool is_one = system->ops->epoch_bytes > 0;
    return (is_one ? 1 : 2) * epoch_bytes(system) + COMMITTER_EPOCH_BYTES / 2;
}

/* The pace of the sinks of a system: they commit together, so the quickest sets it. */
static int64_t least_interval_us(const struct plan *plan, const struct system *system)
{
    int64_t least_us = INT64_MAX;
    for (uint32_t i = 0; i < system->sink_count; i++) {
        int64_t own_us = system->sinks[i]->batch_interval_us;
        own_us = own_us > 0 ? own_us : plan->commit_interval_us;
        least_us = own_us < least_us ? own_us : least_us;
    }
    return least_us;
}

struct committer *committer_start(struct system *system, struct progress *progresses,
                                  uint32_t partition_count, const struct plan *plan,
                                  const struct progress *taken,
                                  const struct run_observer *observer,
                                  struct telemetry *telemetry, uint32_t system_number)
{
    struct committer *committer = memory_alloc_zero(1, sizeof *committer);
    committer->system = system;
    committer->progresses = progresses;
    committer->partition_count = partition_count;
    committer->policy = &plan->retry;
    committer->max_behind_bytes =
        plan->max_behind_bytes == 0 ? behind_unless_set(system) : plan->max_behind_bytes;
    committer->interval_us = least_interval_us(plan, system);
    committer->sends_ahead =
        system->ops->send_ahead != NULL && committer->interval_us <= AHEAD_LONGEST_US;
    committer->observer = observer;
    committer->telemetry = telemetry;
    committer->system_number = system_number;
    committer->cursors = memory_alloc_zero(partition_count, sizeof *committer->cursors);
    committer->answered = memory_alloc_zero(partition_count, sizeof *committer->answered);
    for (uint32_t p = 0; p < partition_count; p++) {
        committer->cursors[p] = progresses[p].next_offset;
        committer->answered[p] = progresses[p].next_offset;
    }
    committer->open = slot_new(system, partition_count);
    if (taken != NULL) {
        committer->forwarding =
            forwarding_new(system, progresses, taken, partition_count, plan->hash);
        look_for_rejects(committer);
    }
    mutex_init(&committer->mutex);
    condition_init(&committer->changed);
    thread_start(&committer->thread, "commit", committer_thread, committer);
    return committer;
}

void committer_set_waiting(struct committer *committer, void (*waiting)(void *context),
                           void *context)
{
    committer->waiting = waiting;
    committer->waiting_context = context;
}

static void slots_free(const struct committer *committer, struct slot *slot)
{
    while (slot != NULL) {
        struct slot *next = slot->next;
        slot_free(slot, committer->system, committer->partition_count);
        slot = next;
    }
}

bool committer_stop(struct committer *committer)
{
    if (committer == NULL) {
        return false;
    }
    mutex_lock(&committer->mutex);
    committer->stopping = true;
    condition_broadcast(&committer->changed);
    mutex_unlock(&committer->mutex);
    thread_join(&committer->thread);
    const bool is_in_trouble = committer->is_in_trouble;
    slots_free(committer, committer->closed);
    slots_free(committer, committer->spares);
    slots_free(committer, committer->open);
    forwarding_free(committer->forwarding);
    condition_fini(&committer->changed);
    mutex_fini(&committer->mutex);
    memory_free(committer->cursors);
    memory_free(committer->answered);
    memory_free(committer);
    return is_in_trouble;
}

int64_t committer_cursor(const struct committer *committer, uint32_t partition)
{
    return committer->cursors[partition];
}

int64_t committer_answered(struct committer *committer, uint32_t partition)
{
    mutex_lock(&committer->mutex);
    int64_t answered = committer->answered[partition];
    mutex_unlock(&committer->mutex);
    return answered;
}

struct progress_step *committer_step(struct committer *committer, uint32_t partition)
{
    struct slot *slot = committer->open;
    struct epoch_part *part = &slot->parts[partition];
    if (!slot->in_use[partition]) {
        slot->in_use[partition] = true;
        part->partition = partition;
        part->step.first_offset = committer->cursors[partition];
        part->step.next_offset = committer->cursors[partition];
    }
    return &part->step;
}

int64_t committer_interval_us(const struct committer *committer)
{
    return committer->interval_us;
}

struct outbox *committer_outbox(struct committer *committer, const struct sink *sink)
{
    return committer->open->epoch.outboxes[sink->index];
}

/* Tells the commit thread that there are rows that could go. */
static void offer_ahead(struct committer *committer)
{
    size_t size_bytes = committer->sends_ahead ? committer_size_bytes(committer) : 0;
    if (size_bytes >= committer->told_bytes + AHEAD_BYTES) {
        committer->told_bytes = size_bytes;
        mutex_lock(&committer->mutex);
        committer->has_ahead = true;
        condition_broadcast(&committer->changed);
        mutex_unlock(&committer->mutex);
    }
}

void committer_extend(struct committer *committer, uint32_t partition, int64_t next_offset)
{
    struct slot *slot = committer->open;
    if (!slot->has_rows) {
        slot->has_rows = true;
        slot->first_row_us = clock_monotonic_us();
    }
    slot->parts[partition].step.next_offset = next_offset;
    committer->cursors[partition] = next_offset;
    offer_ahead(committer);
}

void committer_set_pair(struct committer *committer, struct two_phase *pair)
{
    committer->pair = pair;
}

bool committer_is_joint(const struct committer *one, const struct committer *other)
{
    const struct slot *slots[2] = {one->open, other->open};
    bool any = false;
    for (uint32_t p = 0; p < one->partition_count; p++) {
        int64_t first[2] = {0, 0};
        int64_t next[2] = {0, 0};
        for (uint32_t i = 0; i < 2; i++) {
            const struct progress_step *step = &slots[i]->parts[p].step;
            /* A step over no offsets brings forwarded dead letters only. */
            if (slots[i]->in_use[p] && step->next_offset > step->first_offset) {
                first[i] = step->first_offset;
                next[i] = step->next_offset;
            }
        }
        if (first[0] != first[1] || next[0] != next[1]) {
            return false;
        }
        any |= next[0] > first[0];
    }
    return any;
}

void committer_set_joint(struct committer *committer, bool is_joint)
{
    committer->open->is_joint = is_joint;
}

bool committer_has_rows(const struct committer *committer)
{
    return committer->open->has_rows;
}

size_t committer_size_bytes(const struct committer *committer)
{
    const struct slot *slot = committer->open;
    size_t size_bytes = 0;
    for (uint32_t i = 0; i < committer->system->sink_count; i++) {
        size_bytes += slot->epoch.outboxes[i]->size_bytes;
    }
    return size_bytes;
}

bool committer_is_full(const struct committer *committer)
{
    size_t most = epoch_bytes(committer->system);
    if (committer->max_behind_bytes < most) {
        most = (size_t)committer->max_behind_bytes;
    }
    return committer_size_bytes(committer) >= most;
}

int64_t committer_age_us(const struct committer *committer, int64_t now_us)
{
    const struct slot *slot = committer->open;
    return slot->has_rows ? now_us - slot->first_row_us : 0;
}

/* Whether another epoch of that size may be closed. What waits alone may be of any size, or nothing
 * would ever go. Holds the mutex. */
static bool has_room(const struct committer *committer, size_t size_bytes)
{
    return committer->closed == NULL ||
           (size_bytes != SIZE_MAX && committer->closed_bytes <= committer->max_behind_bytes &&
            size_bytes <= committer->max_behind_bytes - committer->closed_bytes);
}

/* Where rows are sent ahead the open epoch and those in line share what is allowed. Holds the mutex. */
static bool is_crowded(const struct committer *committer, size_t open_bytes)
{
    return committer->system->ops->send_ahead != NULL && committer->closed != NULL &&
           (committer->closed_bytes > committer->max_behind_bytes ||
            open_bytes > committer->max_behind_bytes - committer->closed_bytes);
}

bool committer_can_close(struct committer *committer)
{
    size_t size_bytes = committer_size_bytes(committer);
    mutex_lock(&committer->mutex);
    bool can = has_room(committer, size_bytes) || committer->error.status != STATUS_OK;
    mutex_unlock(&committer->mutex);
    return can;
}

bool committer_has_given_up(struct committer *committer)
{
    mutex_lock(&committer->mutex);
    bool has = may_repeat(committer->error.status);
    mutex_unlock(&committer->mutex);
    return has;
}

bool committer_is_idle(struct committer *committer)
{
    mutex_lock(&committer->mutex);
    bool idle = committer->closed == NULL || committer->error.status != STATUS_OK;
    mutex_unlock(&committer->mutex);
    return idle;
}

/* How the last commit went. Holds the mutex. */
static enum status tell_error(const struct committer *committer, struct error *err)
{
    if (committer->error.status != STATUS_OK && err != NULL && err->status == STATUS_OK) {
        *err = committer->error;
    }
    return committer->error.status;
}

/* What the worker does while it waits for this system. Holds the mutex, but not meanwhile. */
static void call_waiting(struct committer *committer)
{
    if (committer->waiting == NULL) {
        return;
    }
    mutex_unlock(&committer->mutex);
    committer->is_waited_for = true;
    committer->waiting(committer->waiting_context);
    committer->is_waited_for = false;
    mutex_lock(&committer->mutex);
}

bool committer_is_waited_for(const struct committer *committer)
{
    return committer->is_waited_for;
}

/* The intake has waited for a while because this system is as far behind as it may be. */
static void say_wait(struct committer *committer, int64_t since_us, bool *is_said)
{
    int64_t now_us = clock_monotonic_us();
    if (*is_said || now_us - since_us < WAIT_SAID_US || now_us < committer->wait_quiet_until_us) {
        return;
    }
    *is_said = true;
    say(committer, committer->observer->notice,
        "is %.1f MiB behind, and delivery.max_behind is %.1f MiB: the intake waits for it",
        (double)committer->closed_bytes / MIB, (double)committer->max_behind_bytes / MIB);
}

/* One step of a wait for answers that began at `since_us`. Holds the mutex. */
static void wait_step(struct committer *committer, int64_t since_us, bool *is_said)
{
    condition_wait_us(&committer->changed, &committer->mutex, SLICE_US);
    if (is_said != NULL) {
        say_wait(committer, since_us, is_said);
    }
    call_waiting(committer);
}

static enum status end_wait(struct committer *committer, bool is_said, struct error *err)
{
    if (is_said) {
        committer->wait_quiet_until_us = clock_monotonic_us() + WAIT_QUIET_US;
    }
    return tell_error(committer, err);
}

/* Waits until another epoch of that size may be closed; SIZE_MAX: until none is closed. Holds the
 * mutex. */
static enum status wait_for_room(struct committer *committer, size_t size_bytes, struct error *err)
{
    const int64_t since_us = clock_monotonic_us();
    bool is_said = false;
    while (!has_room(committer, size_bytes) && committer->error.status == STATUS_OK) {
        wait_step(committer, since_us, size_bytes == SIZE_MAX ? NULL : &is_said);
    }
    return end_wait(committer, is_said, err);
}

enum status committer_hold_back(struct committer *committer, struct error *err)
{
    const size_t open_bytes = committer_size_bytes(committer);
    const int64_t since_us = clock_monotonic_us();
    bool is_said = false;
    mutex_lock(&committer->mutex);
    while (is_crowded(committer, open_bytes) && committer->error.status == STATUS_OK) {
        wait_step(committer, since_us, &is_said);
    }
    enum status status = end_wait(committer, is_said, err);
    mutex_unlock(&committer->mutex);
    return status;
}

/* Behind the other closed epochs. Holds the mutex. */
static void enqueue_open(struct committer *committer)
{
    struct slot *slot = committer->open;
    struct slot **end = &committer->closed;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = slot;
    committer->closed_bytes += slot->size_bytes;
    committer->told_bytes = 0;
    committer->has_ahead = false;
    committer->open = committer->spares;
    if (committer->open == NULL) {
        committer->open = slot_new(committer->system, committer->partition_count);
    } else {
        committer->spares = committer->open->next;
        committer->open->next = NULL;
        committer->spare_count--;
    }
    condition_broadcast(&committer->changed);
}

enum status committer_close(struct committer *committer, struct error *err)
{
    struct slot *slot = committer->open;
    if (slot->has_rows) {
        slot->size_bytes = committer_size_bytes(committer);
        slot->epoch.number = ++committer->epochs_closed;
        slot->epoch.part_count = 0;
        for (uint32_t p = 0; p < committer->partition_count; p++) {
            if (slot->in_use[p]) {
                slot->epoch.parts[slot->epoch.part_count++] = slot->parts[p];
            }
        }
    }
    mutex_lock(&committer->mutex);
    enum status status = slot->has_rows ? wait_for_room(committer, slot->size_bytes, err)
                                        : tell_error(committer, err);
    if (status == STATUS_OK && slot->has_rows) {
        enqueue_open(committer);
    }
    mutex_unlock(&committer->mutex);
    return status;
}

enum status committer_drain(struct committer *committer, struct error *err)
{
    mutex_lock(&committer->mutex);
    enum status status = wait_for_room(committer, SIZE_MAX, err);
    mutex_unlock(&committer->mutex);
    return status;
}

bool committer_take_rejects(struct committer *committer,
                            void (*reject)(void *context, uint32_t partition, const char *sink,
                                           const struct kept_reject *reject),
                            void *context)
{
    mutex_lock(&committer->mutex);
    bool any = committer->has_rejects;
    mutex_unlock(&committer->mutex);
    if (any) {
        forwarding_take(committer->forwarding, reject, context);
        mutex_lock(&committer->mutex);
        committer->has_rejects = false;
        condition_broadcast(&committer->changed);
        mutex_unlock(&committer->mutex);
    }
    return any;
}

enum status committer_wait_rejects(struct committer *committer, bool *out_any, struct error *err)
{
    mutex_lock(&committer->mutex);
    while (!committer->has_rejects && committer->wants_rejects &&
           committer->error.status == STATUS_OK) {
        condition_wait_us(&committer->changed, &committer->mutex, SLICE_US);
        call_waiting(committer);
    }
    *out_any = committer->has_rejects;
    enum status status = tell_error(committer, err);
    mutex_unlock(&committer->mutex);
    return status;
}
