/*
 * Keyed stores: what the stages remember, per source partition.
 *
 * SEEN (dedup): key hash, of which 96 bits are kept (seen_slots.h) → greatest event time of its
 * sightings, offset of the latest; up to 32 bytes a key. LAST (fill last_by): key hash → event time and
 * offset of the latest value, and the value (numbers inline, texts copied).
 *
 * An entry is remembered while watermark ≤ event time + horizon (TIME_UNLIMITED: for ever). Lookups
 * apply that rule themselves, so purging is invisible at any time, provided that the watermarks of
 * successive calls never go back.
 *
 * Nothing is ever evicted. Memory is accounted in a shared budget; when a store would grow beyond
 * the budget after a purge, the insertion fails with FATAL "state.memory" and a message that says
 * what to do. SEEN grows by small steps, LAST in place, to twice its size.
 *
 * Threads: a store belongs to one worker. A budget may be shared (atomic).
 */
#ifndef WEIR_STATE_STORE_H
#define WEIR_STATE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/status.h"
#include "batch/value.h"

/* The form of state in snapshots: pieces, each a u32 size and that many bytes, and a size of 0
 * behind the last. They are collected in `out`. */
struct state_pieces {
    struct buffer out;
    /* Called when `out` has so many bytes or more: may take them, or leave them for later. NULL: it
     * grows. */
    void (*full)(void *context, struct buffer *out);
    void *context;
    size_t full_bytes;
};

/* A piece is what is appended to `out` between the two; it is not empty. */
size_t pieces_begin(struct state_pieces *pieces);
void pieces_end(struct state_pieces *pieces, size_t begin);
/* Behind the last one. */
void pieces_end_all(struct state_pieces *pieces);
/* The next piece; false at the end, and where the form is cut: then the reader has failed. */
bool pieces_next(struct reader *in, struct bytes *out);

struct state_budget {
    uint64_t limit_bytes;
    _Atomic uint64_t used_bytes;
};

struct seen_entry {
    int64_t event_time_us; /* greatest of its sightings */
    int64_t offset;        /* of the latest sighting */
};

struct seen_store;
struct seen_store *seen_store_new(struct state_budget *budget, int64_t horizon_us);
void seen_store_free(struct seen_store *store);
/* Hints for a key that will be looked up soon: fetch where it may stand, and later, when that has come,
 * what else belongs to its slot. */
void seen_store_prefetch(const struct seen_store *store, struct hash128 key);
void seen_store_prefetch_slot(const struct seen_store *store, struct hash128 key);
/* False when the key is not remembered at this watermark. */
bool seen_store_find(const struct seen_store *store, struct hash128 key, int64_t watermark_us,
                     struct seen_entry *out);
/* A sighting of a key. Where the key is remembered at this watermark (*out_known), *out_entry is the
 * entry before; the entry gets the sighting's offset and the later event time. Else the key is
 * remembered from now on; an entry that has expired is replaced. */
enum status seen_store_see(struct seen_store *store, struct hash128 key,
                           struct seen_entry sighting, int64_t watermark_us, bool *out_known,
                           struct seen_entry *out_entry, struct error *err) WEIR_MUST_USE;
void seen_store_purge(struct seen_store *store, int64_t watermark_us);
/* Another horizon from now on: after a purge by the old one (a plan change). */
void seen_store_set_horizon(struct seen_store *store, int64_t horizon_us);
uint64_t seen_store_count(const struct seen_store *store);

struct last_entry {
    int64_t event_time_us;
    int64_t offset;
    struct value value; /* texts are owned by the store */
};

struct last_store;
struct last_store *last_store_new(struct state_budget *budget, int64_t horizon_us);
void last_store_free(struct last_store *store);
/* NULL when there is none that is remembered at this watermark. */
const struct last_entry *last_store_find(const struct last_store *store, struct hash128 key,
                                         int64_t watermark_us);
/* Takes the value if its event time is not below the remembered one (at equal ones the later call
 * wins). Copies texts. */
enum status last_store_put(struct last_store *store, struct hash128 key, struct last_entry entry,
                           int64_t watermark_us, struct error *err) WEIR_MUST_USE;
void last_store_purge(struct last_store *store, int64_t watermark_us);
void last_store_set_horizon(struct last_store *store, int64_t horizon_us);
uint64_t last_store_count(const struct last_store *store);

/* For snapshots. A copy of what is remembered at `watermark_us`, the watermark now, as pieces: the
 * number of the store, u32, and some entries, in no particular order. An entry is u64 low and u64
 * high of the key (in SEEN of its 96 bits), i64 event time, i64 offset, and in LAST the value
 * (value_write()).
 *
 * It is the store as it is at the begin, however it changes before all is written: see
 * keyed_table.h and seen_table.h. `continue` writes what about `slot_count` slots hold, and says whether that was
 * all; `end` is due in any case. */
void seen_store_copy_begin(struct seen_store *store, struct state_pieces *pieces, uint32_t number,
                           int64_t watermark_us);
bool seen_store_copy_continue(struct seen_store *store, size_t slot_count);
void seen_store_copy_end(struct seen_store *store);
void last_store_copy_begin(struct last_store *store, struct state_pieces *pieces, uint32_t number,
                           int64_t watermark_us);
bool last_store_copy_continue(struct last_store *store, size_t slot_count);
void last_store_copy_end(struct last_store *store);
/* Reading back, with the same horizon: room for at most `count` entries in a store that never had
 * any, then the entries of piece after piece, to the reader's end. FATAL "snapshot.corrupt",
 * "state.memory". */
enum status seen_store_reserve(struct seen_store *store, uint64_t count,
                               struct error *err) WEIR_MUST_USE;
enum status seen_store_read(struct seen_store *store, struct reader *in,
                            struct error *err) WEIR_MUST_USE;
enum status last_store_reserve(struct last_store *store, uint64_t count,
                               struct error *err) WEIR_MUST_USE;
enum status last_store_read(struct last_store *store, struct reader *in,
                            struct error *err) WEIR_MUST_USE;
/* Order-free digest of the remembered entries: equal states have equal digests. */
struct hash128 seen_store_digest(const struct seen_store *store, int64_t watermark_us);
struct hash128 last_store_digest(const struct last_store *store, int64_t watermark_us);

#endif
