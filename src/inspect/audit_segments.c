#include "inspect/audit_segments.h"

static enum status take_segment(void *context, struct bytes form, struct error *err)
{
    struct audit_segments *segments = context;
    segments->items =
        memory_realloc(segments->items, size_mul(segments->count + 1, sizeof *segments->items));
    struct audit_segment *segment = &segments->items[segments->count++];
    *segment = (struct audit_segment){0};
    return segment_read(form, &segment->first_offset, &segment->next_offset, &segment->plan_hash,
                        &segment->ledger, err);
}

enum status audit_segments_load(const struct pipeline *pipeline, uint32_t system,
                                uint32_t partition, struct audit_segments *out, struct error *err)
{
    struct system *of = pipeline->plan->systems[system];
    return of->ops->load_segments(of, pipeline->plan->name, pipeline->partitions[partition].source,
                                  take_segment, out, err);
}

void audit_segments_fini(struct audit_segments *segments)
{
    for (uint32_t i = 0; i < segments->count; i++) {
        ledger_fini(&segments->items[i].ledger);
    }
    memory_free(segments->items);
    *segments = (struct audit_segments){0};
}

void audit_segments_prepend(struct audit_segments *segments, struct audit_segments *more)
{
    uint32_t count = 0;
    while (count < more->count &&
           (segments->count == 0 ||
            more->items[count].first_offset < segments->items[0].first_offset)) {
        count++;
    }
    if (count == 0) {
        return;
    }
    segments->items = memory_realloc(segments->items,
                                     size_mul(segments->count + count, sizeof *segments->items));
    memmove(segments->items + count, segments->items, segments->count * sizeof *segments->items);
    memcpy(segments->items, more->items, count * sizeof *segments->items);
    segments->count += count;
    memmove(more->items, more->items + count, (more->count - count) * sizeof *more->items);
    more->count -= count;
}
