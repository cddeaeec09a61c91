#include "state/anchor.h"

#include "base/time.h"
#include "state/form.h"

/* A written anchor without candidates: offset, greatest event time, count of candidates, hash. */
enum { ANCHOR_FORM_MIN_BYTES = 8 + 8 + 4 + 16 };

/* Both are 0 … TIME_UNLIMITED, so the sum does not overflow. */
static int64_t horizon_add(int64_t a_us, int64_t b_us)
{
    return a_us + b_us < TIME_UNLIMITED ? a_us + b_us : TIME_UNLIMITED;
}

static int64_t horizon_cut(int64_t horizon_us)
{
    check(horizon_us >= 0);
    return horizon_us < TIME_UNLIMITED ? horizon_us : TIME_UNLIMITED;
}

void anchors_init(struct anchors *anchors, int64_t horizon_us)
{
    *anchors = (struct anchors){
        .horizon_us = horizon_cut(horizon_us),
        .changed_offset = INT64_MIN,
    };
}

void anchors_fini(struct anchors *anchors)
{
    memory_free(anchors->items);
    *anchors = (struct anchors){0};
}

/* The first anchor stays as long as none qualifies, so that of the log's start need not. */
static bool qualifies(const struct anchors *anchors, const struct anchor *anchor,
                      int64_t greatest_us)
{
    int64_t horizon_us = anchors->horizon_us;
    if (anchor->offset < anchors->changed_offset && anchors->changed_horizon_us > horizon_us) {
        horizon_us = anchors->changed_horizon_us;
    }
    int64_t expires_us;
    if (horizon_us >= TIME_UNLIMITED ||
        __builtin_add_overflow(anchor->greatest_us, horizon_us, &expires_us)) {
        return false;
    }
    return greatest_us > expires_us;
}

void anchors_advance(struct anchors *anchors, int64_t greatest_us)
{
    uint32_t start = anchors->count;
    while (start > 0 && !qualifies(anchors, &anchors->items[start - 1], greatest_us)) {
        start--;
    }
    if (start <= 1) {
        return;
    }
    start--;
    anchors->count -= start;
    memmove(anchors->items, anchors->items + start, anchors->count * sizeof *anchors->items);
}

static void anchors_append(struct anchors *anchors, const struct anchor *anchor)
{
    if (anchors->count == anchors->capacity) {
        anchors->capacity = anchors->capacity == 0 ? 32 : anchors->capacity * 2;
        anchors->items =
            memory_realloc(anchors->items, size_mul(anchors->capacity, sizeof *anchors->items));
    }
    anchors->items[anchors->count++] = *anchor;
}

void anchors_offer(struct anchors *anchors, const struct anchor *anchor)
{
    if (!anchors_wants(anchors, anchor->greatest_us)) {
        return;
    }
    check(anchors->count == 0 || anchor->offset > anchors->items[anchors->count - 1].offset);
    /* A short horizon takes an anchor at almost every row: drop here what has become too old. */
    anchors_advance(anchors, anchor->greatest_us);
    anchors_append(anchors, anchor);
}

const struct anchor *anchors_start(const struct anchors *anchors)
{
    check(anchors->count > 0);
    return &anchors->items[0];
}

void anchors_change_horizon(struct anchors *anchors, int64_t offset, int64_t horizon_us)
{
    check(offset >= anchors->changed_offset);
    horizon_us = horizon_cut(horizon_us);
    int64_t before_us = anchors->horizon_us;
    if (anchors->count > 0 && anchors->items[0].offset < anchors->changed_offset &&
        anchors->changed_horizon_us > before_us) {
        before_us = anchors->changed_horizon_us;
    }
    anchors->changed_offset = offset;
    anchors->changed_horizon_us = horizon_add(before_us, horizon_us);
    anchors->horizon_us = horizon_us;
}

void candidates_write(const struct candidates *candidates, struct buffer *out)
{
    check(candidates->count <= CANDIDATES_MAX);
    buffer_append_u32(out, candidates->count);
    for (uint32_t i = 0; i < candidates->count; i++) {
        const struct candidate *candidate = &candidates->items[i];
        form_write_hash(candidate->key, out);
        buffer_append_u64(out, (uint64_t)candidate->offset);
        buffer_append_u64(out, (uint64_t)candidate->event_time_us);
    }
}

void candidates_read(struct candidates *candidates, struct reader *in)
{
    *candidates = (struct candidates){0};
    uint32_t count = reader_u32(in);
    if (count > CANDIDATES_MAX) {
        in->failed = true;
        return;
    }
    candidates->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct candidate *candidate = &candidates->items[i];
        candidate->key = form_read_hash(in);
        candidate->offset = (int64_t)reader_u64(in);
        candidate->event_time_us = form_read_time(in);
    }
}

void anchor_write(const struct anchor *anchor, struct buffer *out)
{
    buffer_append_u64(out, (uint64_t)anchor->offset);
    buffer_append_u64(out, (uint64_t)anchor->greatest_us);
    candidates_write(&anchor->candidates, out);
    form_write_hash(anchor->record_hash, out);
}

void anchor_read(struct anchor *anchor, struct reader *in)
{
    anchor->offset = (int64_t)reader_u64(in);
    anchor->greatest_us = form_read_time(in);
    candidates_read(&anchor->candidates, in);
    anchor->record_hash = form_read_hash(in);
}

void anchors_write(const struct anchors *anchors, struct buffer *out)
{
    buffer_append_u64(out, (uint64_t)anchors->horizon_us);
    buffer_append_u64(out, (uint64_t)anchors->changed_offset);
    buffer_append_u64(out, (uint64_t)anchors->changed_horizon_us);
    buffer_append_u32(out, anchors->count);
    for (uint32_t i = 0; i < anchors->count; i++) {
        anchor_write(&anchors->items[i], out);
    }
}

/* Anchors ascend in offset and greatest event time. */
static bool follows(const struct anchors *anchors, const struct anchor *anchor)
{
    if (anchors->count == 0) {
        return true;
    }
    const struct anchor *last = &anchors->items[anchors->count - 1];
    return anchor->offset > last->offset && anchor->greatest_us > last->greatest_us;
}

static bool is_horizon(int64_t horizon_us)
{
    return horizon_us >= 0 && horizon_us <= TIME_UNLIMITED;
}

enum status anchors_read(struct anchors *anchors, struct reader *in, struct error *err)
{
    struct anchors found = {0};
    found.horizon_us = (int64_t)reader_u64(in);
    found.changed_offset = (int64_t)reader_u64(in);
    found.changed_horizon_us = (int64_t)reader_u64(in);
    uint32_t count = reader_u32(in);
    bool broken = in->failed || count > (size_t)(in->end - in->at) / ANCHOR_FORM_MIN_BYTES ||
                  !is_horizon(found.horizon_us) || !is_horizon(found.changed_horizon_us);
    for (uint32_t i = 0; i < count && !broken; i++) {
        struct anchor anchor;
        anchor_read(&anchor, in);
        broken = in->failed || !follows(&found, &anchor);
        if (!broken) {
            anchors_append(&found, &anchor);
        }
    }
    if (broken) {
        anchors_fini(&found);
        return error_set(err, STATUS_FATAL, "snapshot.corrupt",
                         "the anchors are cut off or out of order");
    }
    anchors_fini(anchors);
    *anchors = found;
    return STATUS_OK;
}
