/*
 * Anchors: places from which state can be rebuilt by replay (design: state is a function of the log).
 *
 * An anchor is (offset of a row, greatest vetted event time and future candidates BEFORE that row). Replay may start at an anchor whose
 * greatest event time lies more than `lateness + sum of all horizons` behind the current one: rows before it can no
 * longer be seen by any rule. The newest such anchor is `state_start`. Anchors are taken when the greatest event time has grown by a
 * sixteenth of the horizon, so that batch cuts do not matter and few are kept.
 *
 * When the plan changes, a longer horizon counts for every anchor that lies before the change (`horizon_us` of an anchor is the
 * greatest horizon of all plans active at or after it).
 */
#ifndef WEIR_STATE_ANCHOR_H
#define WEIR_STATE_ANCHOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/status.h"

/* Up to two distinct keys whose rows claimed an event time too far ahead (`max_jump`); the third decides (see stage/event_time.h). */
#define CANDIDATES_MAX 2
struct candidate {
    struct hash128 key;
    int64_t offset;
    int64_t event_time_us;
};
struct candidates {
    uint32_t count;
    struct candidate items[CANDIDATES_MAX];
};

struct anchor {
    int64_t offset;
    int64_t greatest_us; /* TIME_NEVER before the first vetted row */
    struct candidates candidates;
    struct hash128 record_hash; /* of the record AT this offset, keyed; zero = cannot verify */
};

struct anchors {
    struct anchor *items; /* oldest first; items[0] is state_start */
    uint32_t count, capacity;
    int64_t horizon_us;       /* of the active plan: lateness + sum of horizons; TIME_UNLIMITED: the first anchor stays for ever */
    int64_t changed_offset;   /* anchors before this offset … */
    int64_t changed_horizon_us; /* … need at least this horizon */
};

/* Horizon 0 with no state still keeps one anchor: the latest offered. */
void anchors_init(struct anchors *anchors, int64_t horizon_us);
void anchors_fini(struct anchors *anchors);
/* Offers the row at `anchor.offset` as an anchor, before the row is applied; taken or not by the rule above. Cheap: call for every row, or use
 * anchors_wants() first. The very first offer is always taken. */
static inline bool anchors_wants(const struct anchors *anchors, int64_t greatest_us);
void anchors_offer(struct anchors *anchors, const struct anchor *anchor);
/* Drops anchors that are older than the newest one that qualifies at `greatest_us`. */
void anchors_advance(struct anchors *anchors, int64_t greatest_us);
/* The place where replay would start; check()s that there is one. */
const struct anchor *anchors_start(const struct anchors *anchors);
/* A new plan with another horizon takes over at `offset`. */
void anchors_change_horizon(struct anchors *anchors, int64_t offset, int64_t horizon_us);

void anchors_write(const struct anchors *anchors, struct buffer *out);
enum status anchors_read(struct anchors *anchors, struct reader *in, struct error *err)
    WEIR_MUST_USE;
void candidates_write(const struct candidates *candidates, struct buffer *out);
void candidates_read(struct candidates *candidates, struct reader *in);

static inline bool anchors_wants(const struct anchors *anchors, int64_t greatest_us)
{
    if (anchors->count == 0) {
        return true;
    }
    int64_t last = anchors->items[anchors->count - 1].greatest_us;
    return greatest_us > last && greatest_us - last > anchors->horizon_us / 16;
}

#endif
