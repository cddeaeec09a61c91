/*
 * The slots of SEEN, 24 bytes each, eight to a bucket of three cache lines. Not for other folders.
 *
 * A key is known by 96 bits of its hash: `low`, and the lower half of `high`, in which 1 stands for 0
 * too. A new key is taken for one of n remembered ones with a probability of n / 2^96: with a hundred
 * million of them and a million new keys a second that happens once in 25 million years.
 *
 * Offset and event time have 48 bits each, the time reckoned from a base that the caller knows: nine
 * years. What does not fit stands whole elsewhere; the slot then has SEEN_TIME_SPILLED and the place.
 *
 * A slot is empty when its `high` is 0. Slots of a bucket are taken in order.
 */
#ifndef WEIR_STATE_SEEN_SLOTS_H
#define WEIR_STATE_SEEN_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/hash.h"

#define SEEN_BUCKET_SLOTS 8u
#define SEEN_FIELD_BITS 48u
#define SEEN_FIELD_END (UINT64_C(1) << SEEN_FIELD_BITS)

#define SEEN_TIME_SPILLED (SEEN_FIELD_END - 1)

struct seen_bucket {
    _Alignas(16) uint32_t high[SEEN_BUCKET_SLOTS]; /* for vector loads */
    uint64_t low[SEEN_BUCKET_SLOTS];
    uint64_t offset[SEEN_BUCKET_SLOTS]; /* above it the lower 16 bits of the stored time */
    uint32_t time[SEEN_BUCKET_SLOTS];   /* the upper 32 bits of the stored time */
};

_Static_assert(sizeof(struct seen_bucket) == 24 * SEEN_BUCKET_SLOTS, "24 bytes a slot");

/* What the table knows of a key. */
static inline struct hash128 seen_key(struct hash128 hash)
{
    uint32_t high = (uint32_t)hash.high;
    return (struct hash128){hash.low, high == 0 ? 1 : high};
}

/* A slot outside of its bucket. */
struct seen_slot {
    uint64_t low;
    uint64_t offset;
    uint32_t high;
    uint32_t time;
};

static inline struct seen_slot seen_slot_take(const struct seen_bucket *bucket, uint32_t at)
{
    return (struct seen_slot){bucket->low[at], bucket->offset[at], bucket->high[at],
                              bucket->time[at]};
}

static inline void seen_slot_put(struct seen_bucket *bucket, uint32_t at, struct seen_slot slot)
{
    bucket->low[at] = slot.low;
    bucket->offset[at] = slot.offset;
    bucket->high[at] = slot.high;
    bucket->time[at] = slot.time;
}

static inline struct hash128 seen_slot_key(const struct seen_bucket *bucket, uint32_t at)
{
    return (struct hash128){bucket->low[at], bucket->high[at]};
}

static inline uint64_t seen_slot_time(const struct seen_bucket *bucket, uint32_t at)
{
    return (uint64_t)bucket->time[at] << 16 | bucket->offset[at] >> SEEN_FIELD_BITS;
}

static inline uint64_t seen_slot_offset(const struct seen_bucket *bucket, uint32_t at)
{
    return bucket->offset[at] & (SEEN_FIELD_END - 1);
}

static inline void seen_slot_set(struct seen_bucket *bucket, uint32_t at, uint64_t time,
                                 uint64_t offset)
{
    bucket->offset[at] = offset | time << SEEN_FIELD_BITS;
    bucket->time[at] = (uint32_t)(time >> 16);
}

/* A bit for each slot whose upper half of the key is this. */
static inline uint32_t seen_bucket_match(const struct seen_bucket *bucket, uint32_t high)
{
#ifdef __SSE2__
    const __m128i *halves = (const __m128i *)(const void *)bucket->high;
    __m128i wanted = _mm_set1_epi32((int)high);
    __m128i first = _mm_cmpeq_epi32(_mm_load_si128(halves), wanted);
    __m128i second = _mm_cmpeq_epi32(_mm_load_si128(halves + 1), wanted);
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(first, second),
                                                       _mm_setzero_si128()));
#else
    uint32_t bits = 0;
    for (uint32_t at = 0; at < SEEN_BUCKET_SLOTS; at++) {
        bits |= (uint32_t)(bucket->high[at] == high) << at;
    }
    return bits;
#endif
}

/* How many slots are taken: the first ones. */
static inline uint32_t seen_bucket_taken(const struct seen_bucket *bucket)
{
    /* A bit behind the last slot. */
    return (uint32_t)__builtin_ctz(seen_bucket_match(bucket, 0) | 1u << SEEN_BUCKET_SLOTS);
}

/* The slot of the key; SEEN_BUCKET_SLOTS when there is none. */
static inline uint32_t seen_bucket_find(const struct seen_bucket *bucket, struct hash128 key)
{
    for (uint32_t bits = seen_bucket_match(bucket, (uint32_t)key.high); bits != 0;
         bits &= bits - 1) {
        uint32_t at = (uint32_t)__builtin_ctz(bits);
        if (bucket->low[at] == key.low) {
            return at;
        }
    }
    return SEEN_BUCKET_SLOTS;
}

#endif
