#include "state/seen_table.h"

#include <string.h>

#include "state/seen_memory.h"
#include "state/store_private.h"

enum {
    SEGMENT_ENTRIES = SEEN_SEGMENT_CHUNKS * SEEN_CHUNK_ENTRIES,
    SEGMENT_BUCKETS = SEEN_SEGMENT_CHUNKS * SEEN_CHUNK_BUCKETS,
};

static bool fits(const struct seen_segment *segment, struct seen_entry entry)
{
    return entry.offset >= 0 && (uint64_t)entry.offset < SEEN_FIELD_END &&
           seen_segment_time(segment, entry.event_time_us) != SEEN_TIME_SPILLED;
}

/* Nine years around the time. */
static int32_t base_around(int64_t event_time_us)
{
    int64_t base = (event_time_us >> 32) - (1 << 15);
    return base < INT32_MIN ? INT32_MIN : (int32_t)base;
}

static void give_place_of(struct seen_table *table, const struct seen_bucket *bucket, uint32_t at)
{
    if (seen_slot_time(bucket, at) == SEEN_TIME_SPILLED) {
        seen_give_spilled(table, seen_slot_offset(bucket, at));
    }
}

/* Into a slot that has no place elsewhere; there is room for one. */
static void store(struct seen_table *table, const struct seen_segment *segment,
                  struct seen_bucket *bucket, uint32_t at, struct seen_entry entry)
{
    if (fits(segment, entry)) {
        seen_slot_set(bucket, at, seen_segment_time(segment, entry.event_time_us),
                      (uint64_t)entry.offset);
    } else {
        size_t spilled = seen_take_spilled(table);
        table->spill.entries[spilled] = entry;
        seen_slot_set(bucket, at, SEEN_TIME_SPILLED, spilled);
    }
}

/* There is room for it, also where it does not fit into the slot. */
static void put(struct seen_table *table, const struct seen_place *place, struct hash128 key,
                struct seen_entry entry)
{
    struct seen_segment *segment = place->segment;
    struct seen_bucket *bucket = place->bucket;
    uint32_t at = place->at;
    if (bucket->high[at] == 0) {
        bucket->low[at] = key.low;
        bucket->high[at] = (uint32_t)key.high;
        segment->count++;
        table->count++;
    } else {
        give_place_of(table, bucket, at);
    }
    if (entry.event_time_us < segment->oldest_us) {
        segment->oldest_us = entry.event_time_us;
    }
    store(table, segment, bucket, at, entry);
}

enum status seen_table_set(struct seen_table *table, const struct seen_place *place,
                           struct hash128 key, struct seen_entry entry, struct error *err)
{
    if (place->segment->count == 0) {
        place->segment->time_base = base_around(entry.event_time_us);
        place->segment->oldest_us = entry.event_time_us;
    }
    if (!fits(place->segment, entry)) {
        enum status status = seen_room_for_spilled(table, 1, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    seen_table_touch(table, place);
    put(table, place, key, entry);
    return STATUS_OK;
}

static uint32_t bucket_count(const struct seen_segment *segment)
{
    return segment->chunk_count * SEEN_CHUNK_BUCKETS;
}

/* --- forgetting --- */

/* Entries that stand in neither of their two buckets, on their way to other places. */
struct strays {
    uint32_t count;
    struct seen_slot slots[SEGMENT_ENTRIES];
};

static bool is_remembered(const struct seen_table *table, int64_t event_time_us,
                          int64_t watermark_us)
{
    return state_is_remembered(event_time_us, table->horizon_us, watermark_us);
}

static int64_t time_of(const struct seen_table *table, const struct seen_segment *segment,
                       const struct seen_bucket *bucket, uint32_t at)
{
    return seen_table_entry(table, segment, bucket, at).event_time_us;
}

/* Entries are looked at only where the oldest may be forgotten. */
static bool has_forgotten(const struct seen_table *table, struct seen_segment *segment,
                          int64_t watermark_us)
{
    if (is_remembered(table, segment->oldest_us, watermark_us)) {
        return false;
    }
    int64_t oldest_us = INT64_MAX;
    for (uint32_t number = 0; number < bucket_count(segment); number++) {
        const struct seen_bucket *bucket = seen_table_bucket(table, segment, number);
        uint32_t taken = seen_bucket_taken(bucket);
        for (uint32_t at = 0; at < taken; at++) {
            int64_t time_us = time_of(table, segment, bucket, at);
            if (!is_remembered(table, time_us, watermark_us)) {
                return true;
            }
            oldest_us = time_us < oldest_us ? time_us : oldest_us;
        }
    }
    segment->oldest_us = oldest_us;
    return false;
}

/* Leaves in the bucket what is remembered and at home. */
static void purge_bucket(struct seen_table *table, struct seen_segment *segment, uint32_t number,
                         int64_t watermark_us, struct strays *strays)
{
    struct seen_bucket *bucket = seen_table_bucket(table, segment, number);
    uint32_t taken = seen_bucket_taken(bucket);
    uint32_t kept = 0;
    for (uint32_t at = 0; at < taken; at++) {
        struct seen_slot slot = seen_slot_take(bucket, at);
        int64_t time_us = time_of(table, segment, bucket, at);
        if (!is_remembered(table, time_us, watermark_us)) {
            give_place_of(table, bucket, at);
            continue;
        }
        segment->oldest_us = time_us < segment->oldest_us ? time_us : segment->oldest_us;
        if (seen_table_first(segment, slot.low) != number &&
            seen_table_second(segment, slot.low) != number) {
            strays->slots[strays->count++] = slot;
        } else {
            if (at != kept) {
                seen_slot_put(bucket, kept, slot);
            }
            kept++;
        }
    }
    for (uint32_t at = kept; at < taken; at++) {
        bucket->high[at] = 0;
    }
    segment->count = (uint16_t)(segment->count - (taken - kept));
    table->count -= taken - kept;
}

/* In place. Where a bucket that was full no longer is, strays behind it would not be found: all of them
 * are placed anew. */
static void purge_segment(struct seen_table *table, struct seen_segment *segment,
                          int64_t watermark_us, struct strays *strays)
{
    if (!has_forgotten(table, segment, watermark_us)) {
        return;
    }
    seen_copy_segment(table, segment);
    segment->oldest_us = INT64_MAX;
    strays->count = 0;
    for (uint32_t number = 0; number < bucket_count(segment); number++) {
        purge_bucket(table, segment, number, watermark_us, strays);
    }
    for (uint32_t i = 0; i < strays->count; i++) {
        struct seen_slot slot = strays->slots[i];
        struct seen_place place;
        check(!seen_table_probe(table, (struct hash128){slot.low, slot.high}, &place));
        seen_slot_put(place.bucket, place.at, slot);
    }
    segment->count = (uint16_t)(segment->count + strays->count);
    table->count += strays->count;
}

void seen_table_purge(struct seen_table *table, int64_t watermark_us)
{
    if (table->count == 0 || table->horizon_us >= TIME_UNLIMITED) {
        return;
    }
    struct strays *strays = memory_alloc(sizeof *strays);
    for (uint32_t i = 0; i < table->segment_count; i++) {
        purge_segment(table, &table->segments[i], watermark_us, strays);
    }
    memory_free(strays);
}

/* --- growing --- */

/* Where most entries of the segment fit: any of many, most are near each other. */
static int32_t better_base(const struct seen_entry *entries, uint32_t count)
{
    return base_around(entries[count / 2].event_time_us);
}

/* All entries, in the order of their slots; returns how many are spilled. */
static uint32_t read_entries(const struct seen_table *table, const struct seen_segment *segment,
                             struct seen_entry *out)
{
    uint32_t count = 0;
    uint32_t spilled = 0;
    for (uint32_t number = 0; number < bucket_count(segment); number++) {
        const struct seen_bucket *bucket = seen_table_bucket(table, segment, number);
        for (uint32_t at = 0; at < seen_bucket_taken(bucket); at++) {
            spilled += seen_slot_time(bucket, at) == SEEN_TIME_SPILLED;
            out[count++] = seen_table_entry(table, segment, bucket, at);
        }
    }
    return spilled;
}

/* Into the slots, in that order; none of them has a place elsewhere. */
static void write_entries(struct seen_table *table, const struct seen_segment *segment,
                          const struct seen_entry *entries)
{
    for (uint32_t number = 0; number < bucket_count(segment); number++) {
        struct seen_bucket *bucket = seen_table_bucket(table, segment, number);
        for (uint32_t at = 0; at < seen_bucket_taken(bucket); at++) {
            store(table, segment, bucket, at, *entries++);
        }
    }
}

static void give_places(struct seen_table *table, const struct seen_segment *segment)
{
    for (uint32_t number = 0; number < bucket_count(segment); number++) {
        const struct seen_bucket *bucket = seen_table_bucket(table, segment, number);
        for (uint32_t at = 0; at < seen_bucket_taken(bucket); at++) {
            give_place_of(table, bucket, at);
        }
    }
}

/* Another base for the times of a segment, where that lets more of them fit: so it needs no memory. */
static void rebase(struct seen_table *table, struct seen_segment *segment)
{
    if (table->spill.used == table->spill.free_count || segment->count == 0) {
        return;
    }
    struct seen_entry *entries = memory_alloc(size_mul(segment->count, sizeof *entries));
    uint32_t spilled = read_entries(table, segment, entries);
    struct seen_segment based = {.time_base = better_base(entries, segment->count)};
    uint32_t would_spill = 0;
    for (uint32_t i = 0; i < segment->count; i++) {
        would_spill += !fits(&based, entries[i]);
    }
    if (would_spill < spilled) {
        give_places(table, segment);
        segment->time_base = based.time_base;
        write_entries(table, segment, entries);
    }
    memory_free(entries);
}

/* As many as hold the entries, and a sixteenth more. */
static uint32_t chunks_for(uint64_t entries)
{
    uint64_t chunks = (entries + entries / 16) / SEEN_CHUNK_ENTRIES + 1;
    return chunks < SEEN_SEGMENT_CHUNKS ? (uint32_t)chunks : SEEN_SEGMENT_CHUNKS;
}

static void add_chunks(struct seen_table *table, struct seen_segment *segment, uint32_t until)
{
    while (segment->chunk_count < until) {
        segment->chunks[segment->chunk_count++] = seen_take_chunk(table);
    }
}

/* A segment that is filled anew. */
struct filling {
    struct seen_segment *segment;
    struct seen_bucket *buckets[SEGMENT_BUCKETS];
    uint8_t taken[SEGMENT_BUCKETS]; /* of their slots */
};

/* All its chunks get empty. */
static void filling_begin(struct filling *filling, const struct seen_table *table,
                          struct seen_segment *segment)
{
    filling->segment = segment;
    for (uint32_t number = 0; number < bucket_count(segment); number++) {
        struct seen_bucket *bucket = seen_table_bucket(table, segment, number);
        memset(bucket->high, 0, sizeof bucket->high);
        filling->buckets[number] = bucket;
        filling->taken[number] = 0;
    }
}

static inline void filling_put(struct filling *filling, struct seen_slot slot)
{
    uint32_t first = seen_table_first(filling->segment, slot.low);
    uint32_t number = seen_table_second(filling->segment, slot.low);
    number = filling->taken[first] < filling->taken[number] ? first : number;
    while (filling->taken[number] == SEEN_BUCKET_SLOTS) {
        number = seen_table_after(filling->segment, number);
    }
    seen_slot_put(filling->buckets[number], filling->taken[number]++, slot);
}

static void filling_end(const struct filling *filling)
{
    uint32_t count = 0;
    for (uint32_t number = 0; number < bucket_count(filling->segment); number++) {
        count += filling->taken[number];
    }
    filling->segment->count = (uint16_t)count;
}

/* The chunks of a segment as they were. */
struct old_chunks {
    uint32_t count;
    struct seen_chunk chunks[SEEN_SEGMENT_CHUNKS];
};

static void keep_old(const struct seen_table *table, const struct seen_segment *segment,
                     struct old_chunks *out)
{
    out->count = segment->chunk_count;
    for (uint32_t i = 0; i < segment->chunk_count; i++) {
        out->chunks[i] = *seen_table_chunk(table, segment->chunks[i]);
    }
}

/* Those with the bit set go to the upper one, the others to the lower one. */
static void fill(const struct old_chunks *old, uint64_t bit, struct filling *lower,
                 struct filling *upper)
{
    for (uint32_t i = 0; i < old->count * SEEN_CHUNK_BUCKETS; i++) {
        const struct seen_bucket *bucket =
            &old->chunks[i / SEEN_CHUNK_BUCKETS].buckets[i % SEEN_CHUNK_BUCKETS];
        uint32_t taken = seen_bucket_taken(bucket);
        for (uint32_t at = 0; at < taken; at++) {
            struct seen_slot slot = seen_slot_take(bucket, at);
            filling_put((slot.low & bit) == 0 ? lower : upper, slot);
        }
    }
}

/* The segment gets a chunk more. */
static enum status widen(struct seen_table *table, struct seen_segment *segment,
                         struct old_chunks *old, struct error *err)
{
    enum status status = seen_room_for_chunks(table, 1, err);
    if (status == STATUS_OK) {
        seen_copy_segment(table, segment);
        rebase(table, segment);
        keep_old(table, segment, old);
        add_chunks(table, segment, segment->chunk_count + 1);
        struct filling filling;
        filling_begin(&filling, table, segment);
        fill(old, 0, &filling, NULL);
        filling_end(&filling);
    }
    return status;
}

/* How many of the entries have the bit. */
static uint32_t count_upper(const struct seen_table *table, const struct seen_segment *segment,
                            uint64_t bit)
{
    uint32_t count = 0;
    for (uint32_t number = 0; number < bucket_count(segment); number++) {
        const struct seen_bucket *bucket = seen_table_bucket(table, segment, number);
        uint32_t taken = seen_bucket_taken(bucket);
        for (uint32_t at = 0; at < taken; at++) {
            count += (bucket->low[at] & bit) != 0;
        }
    }
    return count;
}

/* The upper half of the segment of the key, which is empty, becomes one of its own: the lower one
 * keeps `kept` chunks. There is room for it. */
static struct seen_segment *halve(struct seen_table *table, struct hash128 key, uint32_t kept,
                                  uint32_t other_chunks)
{
    struct seen_segment *lower = seen_table_segment(table, key);
    uint32_t number = table->segment_count;
    struct seen_segment *upper = seen_take_segment(table);
    *upper = (struct seen_segment){.time_base = lower->time_base,
                                    .oldest_us = lower->oldest_us,
                                    .depth = lower->depth + 1};
    while (lower->chunk_count > kept) {
        upper->chunks[upper->chunk_count++] = lower->chunks[--lower->chunk_count];
    }
    add_chunks(table, lower, kept);
    add_chunks(table, upper, other_chunks);
    /* Of the directory's run of this segment the second half. */
    size_t run = (size_t)1 << (table->depth - lower->depth);
    size_t first = (size_t)(key.low >> 1 >> (63 - lower->depth)) * run;
    for (size_t i = first + run / 2; i < first + run; i++) {
        table->directory[i] = number;
    }
    lower->depth++;
    return upper;
}

/* The segment of the key, which has all the chunks that one may have. */
static enum status split(struct seen_table *table, struct hash128 key, struct old_chunks *old,
                         struct error *err)
{
    const struct seen_segment *whole = seen_table_segment(table, key);
    uint32_t depth = whole->depth;
    uint64_t bit = UINT64_C(1) << (63 - depth);
    uint32_t upper_count = count_upper(table, whole, bit);
    uint32_t upper_chunks = chunks_for(upper_count);
    uint32_t lower_chunks = chunks_for(whole->count - upper_count);
    if (lower_chunks + upper_chunks < SEEN_SEGMENT_CHUNKS) {
        lower_chunks = SEEN_SEGMENT_CHUNKS - upper_chunks;
    }
    enum status status =
        seen_room_for_chunks(table, lower_chunks + upper_chunks - SEEN_SEGMENT_CHUNKS, err);
    if (status == STATUS_OK) {
        status = seen_room_for_segments(table, 1, err);
    }
    if (status == STATUS_OK && depth == table->depth) {
        status = seen_directory_deepen(table, depth + 1, err);
    }
    if (status == STATUS_OK) {
        struct seen_segment *segment = seen_table_segment(table, key);
        seen_copy_segment(table, segment);
        rebase(table, segment);
        keep_old(table, segment, old);
        struct filling lower;
        struct filling upper;
        filling_begin(&upper, table, halve(table, key, lower_chunks, upper_chunks));
        filling_begin(&lower, table, segment);
        fill(old, bit, &lower, &upper);
        filling_end(&lower);
        filling_end(&upper);
    }
    return status;
}

/* Without keys: 2^depth segments. */
static enum status begin(struct seen_table *table, uint32_t depth, uint32_t chunk_count,
                         struct error *err)
{
    uint64_t segments = UINT64_C(1) << depth;
    enum status status = seen_room_for_chunks(table, segments * chunk_count, err);
    if (status == STATUS_OK) {
        status = seen_room_for_segments(table, segments, err);
    }
    if (status == STATUS_OK) {
        status = seen_directory_deepen(table, depth, err);
    }
    for (uint32_t i = 0; i < segments && status == STATUS_OK; i++) {
        struct seen_segment *segment = seen_take_segment(table);
        *segment = (struct seen_segment){.depth = (uint8_t)depth};
        add_chunks(table, segment, chunk_count);
        table->directory[i] = i;
    }
    return status;
}

/* What a segment has on its way from one form to another. */
union moving {
    struct strays strays;
    struct old_chunks old;
};

/* Room for one more in the segment of the key, or less in it than before. */
static enum status relieve(struct seen_table *table, struct hash128 key, int64_t watermark_us,
                           union moving *moving, struct error *err)
{
    struct seen_segment *segment = seen_table_segment(table, key);
    if (table->horizon_us < TIME_UNLIMITED) {
        purge_segment(table, segment, watermark_us, &moving->strays);
    }
    /* A sixteenth of the slots pays for having looked at all. */
    uint32_t most = segment->chunk_count * (SEEN_CHUNK_ENTRIES - SEEN_CHUNK_SLOTS / 16);
    if (segment->count <= most) {
        return STATUS_OK;
    }
    return segment->chunk_count < SEEN_SEGMENT_CHUNKS
               ? widen(table, segment, &moving->old, err)
               : split(table, key, &moving->old, err);
}

enum status seen_table_make_room(struct seen_table *table, struct hash128 key,
                                 int64_t watermark_us, struct error *err)
{
    enum status status = STATUS_OK;
    if (table->directory == NULL) {
        status = begin(table, 0, 1, err);
    }
    union moving *moving = memory_alloc(sizeof *moving);
    while (status == STATUS_OK && !seen_segment_has_room(seen_table_segment(table, key))) {
        status = relieve(table, key, watermark_us, moving, err);
    }
    memory_free(moving);
    return status;
}

/* As a table that has grown to so many keys: what filled its memory fits again. Segments that get more
 * than their share are widened or split as they fill. */
enum status seen_table_reserve(struct seen_table *table, uint64_t count, struct error *err)
{
    check(table->directory == NULL);
    uint32_t depth = 0;
    while (count >> depth > SEGMENT_ENTRIES) {
        depth++;
    }
    uint64_t of_each = count >> depth;
    uint32_t chunks = (uint32_t)((of_each + SEEN_CHUNK_ENTRIES - 1) / SEEN_CHUNK_ENTRIES);
    enum status status = begin(table, depth, chunks == 0 ? 1 : chunks, err);
    /* Some of it was not split yet. */
    return status == STATUS_OK || depth == 0 ? status
                                             : begin(table, depth - 1, SEEN_SEGMENT_CHUNKS, err);
}

void seen_table_fini(struct seen_table *table)
{
    seen_copy_end(table);
    seen_memory_fini(table);
}
