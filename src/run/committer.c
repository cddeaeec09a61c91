#include "run/committer.h"

#include <stdio.h>

#include "base/time.h"
#include "os/clock.h"
#include "os/thread.h"

#define PAUSE_FIRST_US (50 * INT64_C(1000))
#define PAUSE_MOST_US (2 * TIME_US_PER_SECOND)

/* One of the two epochs. */
struct slot {
    struct epoch epoch;
    /* [partition_count]; the epoch names those in use, compacted at the close */
    struct epoch_part *parts;
    bool *in_use;             /* [partition_count] */
    bool has_rows;
    int64_t first_row_us;     /* when the first row came */
};

struct committer {
    struct system *system;
    struct progress *progresses;
    uint32_t partition_count;
    const struct run_observer *observer;
    int64_t *cursors;
    struct slot slots[2];
    uint32_t open; /* which slot the worker fills */
    uint64_t epochs_closed;

    struct thread thread;
    struct mutex mutex;
    struct condition changed;
    struct slot *closed; /* handed over, not answered yet */
    bool stopping;
    struct error error;  /* of a commit that will not be repeated */
};

static void slot_init(struct slot *slot, struct system *system, uint32_t partition_count)
{
    slot->parts = memory_alloc_zero(partition_count, sizeof *slot->parts);
    slot->in_use = memory_alloc_zero(partition_count, sizeof *slot->in_use);
    slot->epoch.parts = memory_alloc_zero(partition_count, sizeof *slot->epoch.parts);
    slot->epoch.outboxes =
        memory_alloc_zero(system->sink_count + 1, sizeof *slot->epoch.outboxes);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        slot->epoch.outboxes[i] = system->sinks[i]->ops->outbox_new(system->sinks[i]);
    }
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
}

static void slot_fini(struct slot *slot, const struct system *system, uint32_t partition_count)
{
    slot_clear(slot, system, partition_count);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        system->sinks[i]->ops->outbox_free(slot->epoch.outboxes[i]);
    }
    memory_free(slot->epoch.outboxes);
    memory_free(slot->epoch.parts);
    memory_free(slot->parts);
    memory_free(slot->in_use);
}

/* --- the commit thread --- */

static void warn(const struct committer *committer, const struct error *error)
{
    char line[1024];
    snprintf(line, sizeof line, "%s: %s (%s); repeating until it works", committer->system->name,
             error->message, error->code);
    if (committer->observer->warning != NULL) {
        committer->observer->warning(committer->observer->context, line);
    }
}

/* Holds the mutex. False when the run is being stopped. */
static bool pause_before_retry(struct committer *committer, int64_t *pause_us)
{
    condition_wait_us(&committer->changed, &committer->mutex, *pause_us);
    *pause_us = *pause_us * 2 > PAUSE_MOST_US ? PAUSE_MOST_US : *pause_us * 2;
    return !committer->stopping && !stop_requested();
}

/* Sends one epoch until it is answered for good. Called and left with the mutex held. */
static void commit_closed(struct committer *committer)
{
    int64_t pause_us = PAUSE_FIRST_US;
    bool warned = false;
    for (;;) {
        struct error err = {0};
        const struct epoch *epoch = &committer->closed->epoch;
        mutex_unlock(&committer->mutex);
        enum status status = committer->system->ops->commit(committer->system, epoch,
                                                            committer->progresses, &err);
        if (status == STATUS_RETRY && !warned) {
            warn(committer, &err);
            warned = true;
        }
        mutex_lock(&committer->mutex);
        bool again = status == STATUS_RETRY || status == STATUS_ABORT;
        if (!again || !pause_before_retry(committer, &pause_us)) {
            if (status != STATUS_OK) {
                committer->error = err;
            }
            return;
        }
    }
}

static void committer_thread(void *context)
{
    struct committer *committer = context;
    mutex_lock(&committer->mutex);
    for (;;) {
        while (committer->closed == NULL && !committer->stopping) {
            condition_wait(&committer->changed, &committer->mutex);
        }
        if (committer->closed == NULL) {
            break;
        }
        commit_closed(committer);
        struct slot *done = committer->closed;
        bool failed = committer->error.status != STATUS_OK;
        if (!failed) {
            mutex_unlock(&committer->mutex);
            slot_clear(done, committer->system, committer->partition_count);
            mutex_lock(&committer->mutex);
        }
        committer->closed = NULL;
        condition_broadcast(&committer->changed);
        if (failed) {
            break;
        }
    }
    mutex_unlock(&committer->mutex);
}

/* --- the worker's side --- */

struct committer *committer_start(struct system *system, struct progress *progresses,
                                  uint32_t partition_count, const struct run_observer *observer)
{
    struct committer *committer = memory_alloc_zero(1, sizeof *committer);
    committer->system = system;
    committer->progresses = progresses;
    committer->partition_count = partition_count;
    committer->observer = observer;
    committer->cursors = memory_alloc_zero(partition_count, sizeof *committer->cursors);
    for (uint32_t p = 0; p < partition_count; p++) {
        committer->cursors[p] = progresses[p].next_offset;
    }
    slot_init(&committer->slots[0], system, partition_count);
    slot_init(&committer->slots[1], system, partition_count);
    mutex_init(&committer->mutex);
    condition_init(&committer->changed);
    thread_start(&committer->thread, "commit", committer_thread, committer);
    return committer;
}

void committer_stop(struct committer *committer)
{
    if (committer == NULL) {
        return;
    }
    mutex_lock(&committer->mutex);
    committer->stopping = true;
    condition_broadcast(&committer->changed);
    mutex_unlock(&committer->mutex);
    thread_join(&committer->thread);
    slot_fini(&committer->slots[0], committer->system, committer->partition_count);
    slot_fini(&committer->slots[1], committer->system, committer->partition_count);
    condition_fini(&committer->changed);
    mutex_fini(&committer->mutex);
    memory_free(committer->cursors);
    memory_free(committer);
}

static struct slot *open_slot(const struct committer *committer)
{
    return (struct slot *)&committer->slots[committer->open];
}

int64_t committer_cursor(const struct committer *committer, uint32_t partition)
{
    return committer->cursors[partition];
}

struct progress_step *committer_step(struct committer *committer, uint32_t partition)
{
    struct slot *slot = open_slot(committer);
    struct epoch_part *part = &slot->parts[partition];
    if (!slot->in_use[partition]) {
        slot->in_use[partition] = true;
        part->partition = partition;
        part->step.first_offset = committer->cursors[partition];
        part->step.next_offset = committer->cursors[partition];
    }
    return &part->step;
}

struct outbox *committer_outbox(struct committer *committer, const struct sink *sink)
{
    return open_slot(committer)->epoch.outboxes[sink->index];
}

void committer_extend(struct committer *committer, uint32_t partition, int64_t next_offset)
{
    struct slot *slot = open_slot(committer);
    if (!slot->has_rows) {
        slot->has_rows = true;
        slot->first_row_us = clock_monotonic_us();
    }
    slot->parts[partition].step.next_offset = next_offset;
    committer->cursors[partition] = next_offset;
}

bool committer_has_rows(const struct committer *committer)
{
    return open_slot(committer)->has_rows;
}

size_t committer_size_bytes(const struct committer *committer)
{
    const struct slot *slot = open_slot(committer);
    size_t size_bytes = 0;
    for (uint32_t i = 0; i < committer->system->sink_count; i++) {
        size_bytes += slot->epoch.outboxes[i]->size_bytes;
    }
    return size_bytes;
}

int64_t committer_age_us(const struct committer *committer, int64_t now_us)
{
    const struct slot *slot = open_slot(committer);
    return slot->has_rows ? now_us - slot->first_row_us : 0;
}

bool committer_is_idle(struct committer *committer)
{
    mutex_lock(&committer->mutex);
    bool idle = committer->closed == NULL;
    mutex_unlock(&committer->mutex);
    return idle;
}

/* Waits for the answer to the closed epoch. Holds the mutex. */
static enum status wait_for_answer(struct committer *committer, struct error *err)
{
    while (committer->closed != NULL && committer->error.status == STATUS_OK) {
        condition_wait(&committer->changed, &committer->mutex);
    }
    if (committer->error.status == STATUS_OK) {
        return STATUS_OK;
    }
    if (err != NULL && err->status == STATUS_OK) {
        *err = committer->error;
    }
    return committer->error.status;
}

enum status committer_close(struct committer *committer, struct error *err)
{
    struct slot *slot = open_slot(committer);
    if (slot->has_rows) {
        slot->epoch.number = ++committer->epochs_closed;
        slot->epoch.part_count = 0;
        for (uint32_t p = 0; p < committer->partition_count; p++) {
            if (slot->in_use[p]) {
                slot->epoch.parts[slot->epoch.part_count++] = slot->parts[p];
            }
        }
    }
    mutex_lock(&committer->mutex);
    enum status status = slot->has_rows ? wait_for_answer(committer, err) : committer->error.status;
    if (status != STATUS_OK && err != NULL && err->status == STATUS_OK) {
        *err = committer->error;
    }
    if (status == STATUS_OK && slot->has_rows) {
        committer->closed = slot;
        committer->open ^= 1;
        condition_broadcast(&committer->changed);
    }
    mutex_unlock(&committer->mutex);
    return status;
}

enum status committer_drain(struct committer *committer, struct error *err)
{
    mutex_lock(&committer->mutex);
    enum status status = wait_for_answer(committer, err);
    mutex_unlock(&committer->mutex);
    return status;
}
