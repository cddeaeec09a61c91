/*
 * The table of SEEN: compact slots, and growth by small steps. Not for other folders.
 *
 * Keys are dealt to SEGMENTS by the upper bits of their hash, through a directory (extendible
 * hashing). A segment is a table of its own of up to eleven CHUNKS of 128 slots. Within it other bits
 * name two buckets of eight slots, and a key goes to the one that has more room: so nearly all
 * buckets can be filled before one runs over; what finds both full goes to the next bucket that is
 * not. A segment that is nine tenths full is rebuilt: what is no longer remembered is left out, and
 * unless that made room it gets one chunk more, or is split in two. So memory follows the keys
 * closely (27 to 32 bytes a key, from some thousands of them on), and no growth and no purge takes longer
 * than it takes to place a thousand keys.
 *
 * Invariants:
 *   - A key stands in one of its two buckets, or both are full, and all from the second to its own.
 *     There are no deleted marks: who forgets, rebuilds.
 *   - Chunks are never given back before the end, and segments never joined.
 *   - The budget holds the bytes of chunks, segments, directory and spilled entries.
 *
 * A copy of the table as it is at one moment is written bit by bit, while the table changes: a chunk
 * is written before the first of its slots changes (seen_table_touch()), if its turn has not come yet,
 * and all chunks of a segment before it is rebuilt. Entries come in any order, so that is all.
 */
#ifndef WEIR_STATE_SEEN_TABLE_H
#define WEIR_STATE_SEEN_TABLE_H

#include <stddef.h>

#include "state/seen_slots.h"
#include "state/store.h"

#define SEEN_CHUNK_BUCKETS 16u
#define SEEN_CHUNK_SLOTS (SEEN_CHUNK_BUCKETS * SEEN_BUCKET_SLOTS)
#define SEEN_SEGMENT_CHUNKS 11u
/* A segment with so many entries to a chunk is full. */
#define SEEN_CHUNK_ENTRIES (SEEN_CHUNK_SLOTS / 32 * 29)
/* 6 MiB: three large pages. */
#define SEEN_BLOCK_CHUNKS 2048u

struct seen_chunk {
    struct seen_bucket buckets[SEEN_CHUNK_BUCKETS];
};

struct seen_segment {
    _Alignas(64) uint32_t chunks[SEEN_SEGMENT_CHUNKS]; /* their numbers */
    int32_t time_base;                    /* of stored times, in 2^32 µs */
    int64_t oldest_us;                    /* no entry has an earlier event time */
    uint16_t count;                       /* entries */
    uint8_t chunk_count;
    uint8_t depth; /* so many upper bits of the hash are the same */
};

/* Entries that do not fit into slots. */
struct seen_spill {
    struct seen_entry *entries;
    size_t size; /* of the array */
    size_t used; /* places that are or were taken */
    size_t free_count;
    size_t free; /* the first of the chain, each with the next in its offset */
};

/* A copy that is being taken. */
struct seen_copy {
    struct state_pieces *pieces;
    uint32_t store;       /* its number in the pieces */
    int64_t watermark_us; /* what is remembered at it is copied */
    uint64_t *written;    /* a bit for each chunk that there was when it began */
    uint32_t chunk_count;
    uint32_t segment_count; /* likewise */
    uint32_t next;          /* the segments below are written */
};

struct seen_table {
    uint32_t *directory; /* 2^depth numbers of segments; NULL before the first key */
    struct seen_segment *segments;
    struct seen_chunk **blocks; /* of SEEN_BLOCK_CHUNKS each, but the last */
    uint32_t depth;
    uint32_t segment_count;
    uint32_t segment_size; /* for so many there is room */
    uint32_t chunk_count;  /* taken */
    uint32_t chunk_size;   /* there */
    uint32_t block_size;   /* of the array of blocks */
    struct seen_spill spill;
    uint64_t count; /* entries */
    int64_t horizon_us;
    struct state_budget *budget;
    struct seen_copy *copy; /* NULL: none is being taken */
};

/* A slot. */
struct seen_place {
    struct seen_segment *segment;
    struct seen_bucket *bucket;
    uint32_t at;    /* in the bucket */
    uint32_t chunk; /* of the segment: its number in `chunks` */
};

static inline struct seen_segment *seen_table_segment(const struct seen_table *table,
                                                      struct hash128 key)
{
    /* Two shifts: the depth may be 0. */
    return &table->segments[table->directory[key.low >> 1 >> (63 - table->depth)]];
}

static inline struct seen_chunk *seen_table_chunk(const struct seen_table *table, uint32_t number)
{
    return &table->blocks[number / SEEN_BLOCK_CHUNKS][number % SEEN_BLOCK_CHUNKS];
}

static inline struct seen_bucket *seen_table_bucket(const struct seen_table *table,
                                                    const struct seen_segment *segment,
                                                    uint32_t number)
{
    struct seen_chunk *chunk = seen_table_chunk(table, segment->chunks[number / SEEN_CHUNK_BUCKETS]);
    return &chunk->buckets[number % SEEN_CHUNK_BUCKETS];
}

/* The numbers in the segment of the two buckets where a key belongs, by bits 31 to 16 and 15 to 0 of its
 * `low`. */
static inline uint32_t seen_table_first(const struct seen_segment *segment, uint64_t low)
{
    return (uint16_t)(low >> 16) * (segment->chunk_count * SEEN_CHUNK_BUCKETS) >> 16;
}

static inline uint32_t seen_table_second(const struct seen_segment *segment, uint64_t low)
{
    return (uint16_t)low * (segment->chunk_count * SEEN_CHUNK_BUCKETS) >> 16;
}

/* The bucket behind this one. */
static inline uint32_t seen_table_after(const struct seen_segment *segment, uint32_t number)
{
    return number + 1 < segment->chunk_count * SEEN_CHUNK_BUCKETS ? number + 1 : 0;
}

static inline void seen_place_set(struct seen_place *place, struct seen_bucket *bucket,
                                  uint32_t number, uint32_t at)
{
    place->bucket = bucket;
    place->at = at;
    place->chunk = number / SEEN_CHUNK_BUCKETS;
}

/* The same behind the two homes, both of which are full. */
static inline bool seen_table_probe_on(const struct seen_table *table, struct hash128 key,
                                       uint32_t number, struct seen_place *out)
{
    for (;;) {
        number = seen_table_after(out->segment, number);
        struct seen_bucket *bucket = seen_table_bucket(table, out->segment, number);
        uint32_t found = seen_bucket_find(bucket, key);
        uint32_t taken = seen_bucket_taken(bucket);
        if (found < SEEN_BUCKET_SLOTS || taken < SEEN_BUCKET_SLOTS) {
            seen_place_set(out, bucket, number, found < SEEN_BUCKET_SLOTS ? found : taken);
            return found < SEEN_BUCKET_SLOTS;
        }
    }
}

/* The slot of the key, or the empty one where it would stand (false). */
static inline bool seen_table_probe(const struct seen_table *table, struct hash128 key,
                                    struct seen_place *out)
{
    struct seen_segment *segment = seen_table_segment(table, key);
    uint32_t first = seen_table_first(segment, key.low);
    uint32_t second = seen_table_second(segment, key.low);
    struct seen_bucket *first_bucket = seen_table_bucket(table, segment, first);
    struct seen_bucket *second_bucket = seen_table_bucket(table, segment, second);
    out->segment = segment;
    uint32_t at = seen_bucket_find(first_bucket, key);
    if (at < SEEN_BUCKET_SLOTS) {
        seen_place_set(out, first_bucket, first, at);
        return true;
    }
    at = seen_bucket_find(second_bucket, key);
    if (at < SEEN_BUCKET_SLOTS) {
        seen_place_set(out, second_bucket, second, at);
        return true;
    }
    uint32_t first_taken = seen_bucket_taken(first_bucket);
    uint32_t second_taken = seen_bucket_taken(second_bucket);
    if (first_taken < second_taken) {
        seen_place_set(out, first_bucket, first, first_taken);
        return false;
    }
    seen_place_set(out, second_bucket, second, second_taken);
    return second_taken == SEEN_BUCKET_SLOTS && seen_table_probe_on(table, key, second, out);
}

static inline int64_t seen_segment_base_us(const struct seen_segment *segment)
{
    return (int64_t)((uint64_t)(int64_t)segment->time_base << 32);
}

/* The time as it is stored in a slot of the segment, SEEN_TIME_SPILLED where it does not fit. */
static inline uint64_t seen_segment_time(const struct seen_segment *segment, int64_t event_time_us)
{
    int64_t base_us = seen_segment_base_us(segment);
    uint64_t since = (uint64_t)event_time_us - (uint64_t)base_us;
    return event_time_us >= base_us && since < SEEN_TIME_SPILLED ? since : SEEN_TIME_SPILLED;
}

static inline struct seen_entry seen_table_entry(const struct seen_table *table,
                                                 const struct seen_segment *segment,
                                                 const struct seen_bucket *bucket, uint32_t at)
{
    uint64_t time = seen_slot_time(bucket, at);
    uint64_t offset = seen_slot_offset(bucket, at);
    if (time == SEEN_TIME_SPILLED) {
        return table->spill.entries[offset];
    }
    uint64_t event_time_us = (uint64_t)seen_segment_base_us(segment) + time;
    return (struct seen_entry){(int64_t)event_time_us, (int64_t)offset};
}

/* Where a walk over all entries stands; it begins with zeros. */
struct seen_cursor {
    uint32_t segment;
    uint32_t bucket; /* of the segment */
    uint32_t at;
};

/* The next entry; false behind the last. */
static inline bool seen_table_next(const struct seen_table *table, struct seen_cursor *cursor,
                                   struct hash128 *out_key, struct seen_entry *out)
{
    while (cursor->segment < table->segment_count) {
        const struct seen_segment *segment = &table->segments[cursor->segment];
        if (cursor->bucket == segment->chunk_count * SEEN_CHUNK_BUCKETS) {
            cursor->segment++;
            cursor->bucket = 0;
            continue;
        }
        const struct seen_bucket *bucket = seen_table_bucket(table, segment, cursor->bucket);
        if (cursor->at < seen_bucket_taken(bucket)) {
            *out_key = seen_slot_key(bucket, cursor->at);
            *out = seen_table_entry(table, segment, bucket, cursor->at++);
            return true;
        }
        cursor->bucket++;
        cursor->at = 0;
    }
    return false;
}

/* Whether the segment takes one more. */
static inline bool seen_segment_has_room(const struct seen_segment *segment)
{
    return segment->count < segment->chunk_count * SEEN_CHUNK_ENTRIES;
}

/* Room for one more key: a rebuilt segment, in which all have moved. FATAL "state.memory". */
enum status seen_table_make_room(struct seen_table *table, struct hash128 key,
                                 int64_t watermark_us, struct error *err) WEIR_MUST_USE;
/* Puts the entry into a slot that is the key's own already, or takes an empty one for it. FATAL
 * "state.memory": nothing has changed. */
enum status seen_table_set(struct seen_table *table, const struct seen_place *place,
                           struct hash128 key, struct seen_entry entry,
                           struct error *err) WEIR_MUST_USE;
/* Forgets what is not remembered at the watermark; needs no memory. */
void seen_table_purge(struct seen_table *table, int64_t watermark_us);
/* Room for about `count` keys in a table that never had any. FATAL "state.memory". */
enum status seen_table_reserve(struct seen_table *table, uint64_t count,
                               struct error *err) WEIR_MUST_USE;
void seen_table_fini(struct seen_table *table);

/* --- copies: seen_copy.c --- */

/* Begins a copy of the table as it is now. */
void seen_copy_begin(struct seen_table *table, struct state_pieces *pieces, uint32_t store,
                     int64_t watermark_us);
/* Writes about `slot_count` slots; true when all are written, also where no copy is being taken. */
bool seen_copy_continue(struct seen_table *table, size_t slot_count);
/* Also before all is written. Fine when there is none. */
void seen_copy_end(struct seen_table *table);
/* Writes a chunk of the segment, unless it is written. */
void seen_copy_chunk(struct seen_table *table, const struct seen_segment *segment, uint32_t chunk);
/* All its chunks. */
void seen_copy_segment(struct seen_table *table, const struct seen_segment *segment);
/* An entry as it stands in snapshots. */
void seen_entry_write(struct hash128 key, struct seen_entry entry, struct buffer *out);

/* To be called before a slot changes. */
static inline void seen_table_touch(struct seen_table *table, const struct seen_place *place)
{
    if (table->copy != NULL) {
        seen_copy_chunk(table, place->segment, place->chunk);
    }
}

#endif
