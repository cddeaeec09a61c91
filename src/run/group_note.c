#include "run/group_note.h"

#include <string.h>

#include "os/clock.h"
#include "run/committer.h"

#define INTERVAL_US (INT64_C(2) * 1000 * 1000)

static int64_t answered_everywhere(const struct pipeline *pipeline, uint32_t p)
{
    int64_t slowest = INT64_MAX;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        int64_t offset = committer_answered(pipeline->committers[s], p);
        slowest = offset < slowest ? offset : slowest;
    }
    return slowest;
}

void group_note_follow(const struct pipeline *pipeline, struct group_note *note)
{
    const struct source_ops *ops = pipeline->source->ops;
    int64_t now_us = clock_monotonic_us();
    if (ops->follow_group == NULL || pipeline->is_shared || now_us < note->due_us) {
        return;
    }
    note->due_us = now_us + INTERVAL_US;
    if (note->offsets == NULL) {
        note->offsets = memory_alloc_zero(pipeline->partition_count, sizeof *note->offsets);
    }
    bool differs = false;
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        int64_t offset = answered_everywhere(pipeline, p);
        differs |= note->offsets[p] != offset;
        note->offsets[p] = offset;
    }
    if (differs) {
        ops->follow_group(pipeline->source, pipeline->plan->name, note->offsets);
    }
}

void group_note_fini(struct group_note *note)
{
    memory_free(note->offsets);
    *note = (struct group_note){0};
}
