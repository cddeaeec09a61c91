/*
 * Anchors: places from which state can be rebuilt by replay: state is a function of the log.
 *
 * An anchor is the offset of a row with the greatest vetted event time and the future candidates
 * BEFORE that row. Replay may start at an anchor whose greatest event time lies more than `lateness
 * + sum of all horizons` behind the current one: rows before it can no longer be seen by any rule.
 * It may also start where nothing had been vetted yet (greatest event time TIME_NEVER). The newest
 * anchor that qualifies so is `state_start`. Anchors are taken when the greatest event time has
 * grown by more than a sixteenth of the horizon, so that batch cuts do not matter and few are kept.
 *
 * When the plan changes, anchors before the change need the SUM of the new horizon and the longest
 * one before. The longer of the two would not do: a key that the new window still remembers may
 * have been registered by a row of the old plan that was valid only because of a value as old as
 * the old max_age; so the reaches of both plans follow one another. An unlimited horizon never
 * ends: the first anchor then stays until one behind the change qualifies.
 */
#ifndef WEIR_STATE_ANCHOR_H
#define WEIR_STATE_ANCHOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/status.h"

/* Up to two distinct keys whose rows claimed an event time too far ahead (`max_jump`); the third
 * decides (see stage/event_time.c). */
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
    uint32_t count;
    uint32_t capacity;
    int64_t horizon_us;         /* of the active plan; TIME_UNLIMITED: the first anchor stays */
    int64_t changed_offset;     /* anchors before this offset … */
    int64_t changed_horizon_us; /* … need at least this horizon */
};

/* `horizon_us`: lateness + the sum of all horizons of the plan, at most TIME_UNLIMITED. With
 * horizon 0 the newest anchor whose greatest event time has been exceeded is kept. */
void anchors_init(struct anchors *anchors, int64_t horizon_us);
void anchors_fini(struct anchors *anchors);
/* Offers the row at `anchor.offset` as an anchor, before the row is applied; taken or not by the
 * rule above. Cheap: call for every row, or use anchors_wants() first. The very first offer is
 * always taken. Offsets ascend; greatest event times never go back. */
static inline bool anchors_wants(const struct anchors *anchors, int64_t greatest_us);
void anchors_offer(struct anchors *anchors, const struct anchor *anchor);
/* Drops anchors that are older than the newest one that qualifies at `greatest_us`. When and how
 * often it is called changes nothing but the memory. */
void anchors_advance(struct anchors *anchors, int64_t greatest_us);
/* The place where replay would start; check()s that there is one. */
const struct anchor *anchors_start(const struct anchors *anchors);
/* A new plan, with this horizon, takes over at `offset`. */
void anchors_change_horizon(struct anchors *anchors, int64_t offset, int64_t horizon_us);

/* i64 horizon | i64 changed offset | i64 changed horizon | u32 count | the anchors, oldest first.
 * An anchor: i64 offset | i64 greatest event time | candidates | u64 low, u64 high of the hash.
 * Candidates: u32 count | per candidate u64 low, u64 high of the key, i64 offset, i64 event time.
 * */
void anchors_write(const struct anchors *anchors, struct buffer *out);
/* Replaces what `anchors` held. FATAL "snapshot.corrupt". */
enum status anchors_read(struct anchors *anchors, struct reader *in, struct error *err)
    WEIR_MUST_USE;
void anchor_write(const struct anchor *anchor, struct buffer *out);
/* A broken form sets in->failed. */
void anchor_read(struct anchor *anchor, struct reader *in);
void candidates_write(const struct candidates *candidates, struct buffer *out);
void candidates_read(struct candidates *candidates, struct reader *in);

static inline bool anchors_wants(const struct anchors *anchors, int64_t greatest_us)
{
    if (anchors->count == 0) {
        return true;
    }
    int64_t last = anchors->items[anchors->count - 1].greatest_us;
    return greatest_us > last && greatest_us - anchors->horizon_us / 16 > last;
}

#endif
