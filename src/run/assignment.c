/*
 * Assignment: several processes share one pipeline where its source is a topic of a consumer group
 * and a system of the same place guards commits by that group (system_ops.meet_source). Partitions
 * then come and go while the pipeline runs:
 *
 *   settle: answer the group → R of all partitions → take over ours → state rebuilt → worker's loop
 *      ▲                                                                                   │
 *      └── epochs finished (gained, revoked) or abandoned (lost) ◀── assignment_has_changed ┘
 *
 * So a revoked partition is given away only when every system has what was read of it, and a gained
 * one is read only behind what its former owner committed. State of a partition that comes back, or
 * never left, is kept where R still stands at its position (rebuild.c).
 */
#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "os/thread.h"
#include "run/pipeline.h"
#include "run/telemetry.h"

#define STEP_US (100 * INT64_C(1000))
/* Who joins gets nothing at first, until others have finished what is open. */
#define IDLE_US (5000 * INT64_C(1000))

enum status assignment_join(struct pipeline *pipeline, struct error *err)
{
    pipeline->is_shared = pipeline->is_shared && pipeline->source->ops->join != NULL;
    if (!pipeline->is_shared) {
        return STATUS_OK;
    }
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        pipeline->partitions[p].is_mine = false;
    }
    return pipeline->source->ops->join(pipeline->source, pipeline->plan->name, err);
}

static void say(const struct pipeline *pipeline, const struct source_assignment *assignment)
{
    static const char *const words[] = {
        [ASSIGNMENT_GAINED] = "taken over",
        [ASSIGNMENT_REVOKED] = "given to others",
        [ASSIGNMENT_LOST] = "lost to others",
    };
    char list[256] = "";
    size_t size = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < assignment->count; i++) {
        const struct partition *partition = &pipeline->partitions[assignment->partitions[i]];
        if (partition->is_mine == (assignment->event == ASSIGNMENT_GAINED)) {
            continue;
        }
        count++;
        if (size + 24 < sizeof list) {
            size += (size_t)snprintf(list + size, sizeof list - size, " [%s]",
                                     partition->source->label);
        }
    }
    if (count > 0) {
        pipeline_talk(pipeline, "'%s': %u of %u partitions %s:%s",
                      pipeline->partitions[0].source->topic, count, pipeline->partition_count,
                      words[assignment->event], list);
    }
}

static enum status answer(struct pipeline *pipeline, const struct source_assignment *assignment,
                          struct error *err)
{
    say(pipeline, assignment);
    for (uint32_t i = 0; i < assignment->count; i++) {
        pipeline->partitions[assignment->partitions[i]].is_mine =
            assignment->event == ASSIGNMENT_GAINED;
    }
    return pipeline->source->ops->answer_assignment(pipeline->source, err);
}

static bool has_partitions(const struct pipeline *pipeline)
{
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        if (pipeline->partitions[p].is_mine) {
            return true;
        }
    }
    return false;
}

enum status assignment_settle(struct pipeline *pipeline, bool *out_ready, struct error *err)
{
    enum status status = STATUS_OK;
    int64_t begin_us = clock_monotonic_us();
    bool has_joined = false;
    *out_ready = true;
    pipeline->reassigned = ASSIGNMENT_SAME;
    while (pipeline->is_shared && status == STATUS_OK) {
        struct source_assignment assignment;
        pipeline->source->ops->poll_assignment(pipeline->source, &assignment);
        if (assignment.event != ASSIGNMENT_SAME) {
            status = answer(pipeline, &assignment, err);
            begin_us = clock_monotonic_us();
            has_joined = true;
            continue;
        }
        /* Others have them all: there is nothing here to bring to an end. */
        bool is_idle = pipeline->options->until_end && has_joined &&
                       clock_monotonic_us() - begin_us > IDLE_US;
        if (has_partitions(pipeline) || stop_requested() || is_idle) {
            *out_ready = has_partitions(pipeline) && !stop_requested();
            break;
        }
        telemetry_tick(pipeline->telemetry, pipeline);
        /* Until the group speaks. */
        pipeline->source->ops->wait(pipeline->source, STEP_US);
    }
    return status;
}

bool assignment_must_wait(struct pipeline *pipeline)
{
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        if (!pipeline->is_shared || pipeline_furthest(pipeline, p) != NULL) {
            return false;
        }
    }
    clock_sleep_us(STEP_US);
    pipeline->reassigned = ASSIGNMENT_GAINED;
    return true;
}

enum status assignment_forgive(struct pipeline *pipeline, struct error *failure)
{
    if (failure->status == STATUS_RETRY && stop_requested() &&
        strcmp(failure->code, "stop.requested") == 0) {
        error_clear(failure); /* nothing was begun */
        pipeline->reassigned = ASSIGNMENT_SAME;
        return STATUS_OK;
    }
    if (pipeline->is_shared && stop_requested() &&
        strcmp(failure->code, "assignment.changed") == 0) {
        /* The group is being shared out anew: whom the partition goes to does again what was open. */
        error_clear(failure);
        pipeline->reassigned = ASSIGNMENT_SAME;
        return STATUS_OK;
    }
    if (!pipeline->is_shared || failure->status != STATUS_FENCED) {
        return failure->status;
    }
    if (strcmp(failure->code, "progress.exists") == 0) {
        /* Another member began at the same moment: its R is there to be loaded now. */
        error_clear(failure);
        clock_sleep_us(STEP_US);
        pipeline->reassigned = ASSIGNMENT_GAINED;
        return STATUS_OK;
    }
    if (strcmp(failure->code, "assignment.lost") != 0) {
        return failure->status;
    }
    error_clear(failure);
    /* The group says so itself in a moment. */
    clock_sleep_us(STEP_US);
    pipeline->reassigned = ASSIGNMENT_LOST;
    return STATUS_OK;
}

bool assignment_has_changed(struct pipeline *pipeline)
{
    struct source_assignment assignment;
    if (!pipeline->is_shared) {
        return false;
    }
    pipeline->source->ops->poll_assignment(pipeline->source, &assignment);
    pipeline->reassigned = assignment.event;
    return assignment.event != ASSIGNMENT_SAME;
}
