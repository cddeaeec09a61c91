#include "codec/lz4_follow.h"

#include <stdbool.h>
#include <string.h>

#include "base/status.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum {
    MATCH_MIN_BYTES = 4,
    DISTANCE_MAX = 65535,
    /* Lengths from here on have further bytes, of which each adds up to 255. */
    LENGTH_IN_TOKEN = 15,
    LENGTH_IN_BYTE = 255,
    /* So many bytes that are not equal, and the distance is lost. */
    REACH = 32,
    WINDOW = 64,
    /* Nothing is begun behind it, so that no load reaches over the end; LZ4 itself asks for 12. */
    TAIL_BYTES = 2 * WINDOW,
    TABLE_BITS = 12,
    /* Of the searches, how many there may be whatever the rest is like. */
    SEARCHES_FREE = 64,
};

/* Bits of bytes that are equal, bits of bytes that are a quote or a comma. */
struct scanner {
    uint64_t (*equal_64)(const uint8_t *a, const uint8_t *b);
    uint32_t (*ends_32)(const uint8_t *at);
};

struct packer {
    const uint8_t *source;
    const uint8_t *limit;
    const uint8_t *at;     /* how far it is decided */
    const uint8_t *anchor; /* the first byte that is not written yet */
    uint8_t *out;
    size_t distance;   /* of the last match */
    uint32_t followed; /* matches without a search */
    uint32_t searched;
};

#define INLINE static inline __attribute__((always_inline))

static uint64_t load_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static bool is_equal_4(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, MATCH_MIN_BYTES) == 0;
}

/* --- scanning --- */

static uint64_t equal_64_portable(const uint8_t *a, const uint8_t *b)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < WINDOW; i++) {
        bits |= (uint64_t)(a[i] == b[i]) << i;
    }
    return bits;
}

static uint32_t ends_32_portable(const uint8_t *at)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < REACH; i++) {
        bits |= (uint32_t)(at[i] == '"' || at[i] == ',') << i;
    }
    return bits;
}

static const struct scanner scanner_portable = {equal_64_portable, ends_32_portable};

#if defined(__SSE2__)

static inline __m128i load_16(const uint8_t *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static inline uint64_t equal_16(const uint8_t *a, const uint8_t *b)
{
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(load_16(a), load_16(b)));
}

INLINE uint64_t equal_64_sse2(const uint8_t *a, const uint8_t *b)
{
    return equal_16(a, b) | equal_16(a + 16, b + 16) << 16 | equal_16(a + 32, b + 32) << 32 |
           equal_16(a + 48, b + 48) << 48;
}

static inline uint32_t ends_16(const uint8_t *at)
{
    __m128i block = load_16(at);
    __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
    __m128i comma = _mm_cmpeq_epi8(block, _mm_set1_epi8(','));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(quote, comma));
}

INLINE uint32_t ends_32_sse2(const uint8_t *at)
{
    return ends_16(at) | ends_16(at + 16) << 16;
}

static const struct scanner scanner_fast = {equal_64_sse2, ends_32_sse2};

#else
#define scanner_fast scanner_portable
#endif

/* --- writing --- */

static uint8_t *write_length(uint8_t *out, size_t rest)
{
    for (; rest >= LENGTH_IN_BYTE; rest -= LENGTH_IN_BYTE) {
        *out++ = LENGTH_IN_BYTE;
    }
    *out++ = (uint8_t)rest;
    return out;
}

/* The token and the bytes themselves; the match that follows adds its length to the token. */
static uint8_t *write_literals(uint8_t *out, const uint8_t *literals, size_t count)
{
    bool is_long = count >= LENGTH_IN_TOKEN;
    *out++ = (uint8_t)((is_long ? LENGTH_IN_TOKEN : count) << 4);
    if (is_long) {
        out = write_length(out, count - LENGTH_IN_TOKEN);
    }
    if (count > 0) {
        memcpy(out, literals, count);
    }
    return out + count;
}

static __attribute__((noinline)) uint8_t *write_long_match(uint8_t *out, const uint8_t *literals,
                                                           size_t count, size_t distance,
                                                           size_t match)
{
    uint8_t *token = out;
    out = write_literals(out, literals, count);
    *out++ = (uint8_t)distance;
    *out++ = (uint8_t)(distance >> 8);
    bool is_long = match >= LENGTH_IN_TOKEN;
    *token |= (uint8_t)(is_long ? LENGTH_IN_TOKEN : match);
    return is_long ? write_length(out, match - LENGTH_IN_TOKEN) : out;
}

/* The bytes since the anchor, and a match from `start` to `end`. What is usual is written without a
 * branch: bytes that turn out not to belong there are written over. */
INLINE void write_match(struct packer *packer, const uint8_t *start, const uint8_t *end)
{
    const uint8_t *literals = packer->anchor;
    size_t count = (size_t)(start - literals);
    size_t match = (size_t)(end - start) - MATCH_MIN_BYTES;
    size_t distance = packer->distance;
    uint8_t *out = packer->out;
    packer->anchor = end;
    if (__builtin_expect(count > REACH || match >= LENGTH_IN_TOKEN + LENGTH_IN_BYTE, 0)) {
        packer->out = write_long_match(out, literals, count, distance, match);
        return;
    }
    size_t more_count = count >= LENGTH_IN_TOKEN;
    size_t more_match = match >= LENGTH_IN_TOKEN;
    out[0] = (uint8_t)((more_count ? LENGTH_IN_TOKEN : count) << 4 |
                       (more_match ? LENGTH_IN_TOKEN : match));
    out[1] = (uint8_t)(count - LENGTH_IN_TOKEN);
    out += 1 + more_count;
    memcpy(out, literals, REACH);
    out += count;
    out[0] = (uint8_t)distance;
    out[1] = (uint8_t)(distance >> 8);
    out[2] = (uint8_t)(match - LENGTH_IN_TOKEN);
    packer->out = out + 2 + more_match;
}

/* --- matches --- */

/* Where what begins at `at` stops to be equal to what stands at the distance. */
INLINE const uint8_t *match_end(const struct packer *packer, const struct scanner *scanner,
                                const uint8_t *at)
{
    while (at < packer->limit) {
        uint64_t other = ~scanner->equal_64(at, at - packer->distance);
        if (other != 0) {
            return at + __builtin_ctzll(other);
        }
        at += WINDOW;
    }
    return at;
}

/* Writes all matches at the distance, from where the last one ended. False when it is lost. */
INLINE bool follow(struct packer *packer, const struct scanner *scanner)
{
    const uint8_t *base = packer->at;
    uint64_t equal = scanner->equal_64(base, base - packer->distance);
    uint64_t runs = equal & equal >> 1;
    runs &= runs >> 2; /* four in a row begin here */
    unsigned at = 0;
    for (;;) {
        uint64_t left = runs & UINT64_MAX << at;
        unsigned start = left == 0 ? WINDOW : (unsigned)__builtin_ctzll(left);
        if (start - at > REACH || left == 0) {
            packer->at = base + at;
            return left == 0 && at > WINDOW - REACH; /* more may come in the next window */
        }
        packer->followed++;
        uint64_t other = ~equal & UINT64_MAX << start;
        if (__builtin_expect(other == 0, 0)) {
            packer->at = match_end(packer, scanner, base + WINDOW);
            write_match(packer, base + start, packer->at);
            return true;
        }
        at = (unsigned)__builtin_ctzll(other);
        write_match(packer, base + start, base + at);
    }
}

/* The distance after a value of another length: what follows the next quote or comma on either
 * side. */
INLINE bool meet_again(struct packer *packer, const struct scanner *scanner,
                       const uint8_t **out_match)
{
    const uint8_t *past = packer->at - packer->distance;
    uint32_t here = scanner->ends_32(packer->at);
    uint32_t there = scanner->ends_32(past);
    if (here == 0 || there == 0) {
        return false;
    }
    const uint8_t *at = packer->at + __builtin_ctz(here);
    const uint8_t *match = past + __builtin_ctz(there);
    if (match >= at || at - match > DISTANCE_MAX || !is_equal_4(at, match)) {
        return false;
    }
    packer->followed++;
    packer->at = at;
    *out_match = match;
    return true;
}

static uint32_t *table_slot(uint32_t *table, const uint8_t *at)
{
    uint64_t five_bytes = load_u64(at) << 24;
    return &table[(five_bytes * UINT64_C(889523592379)) >> (64 - TABLE_BITS)];
}

/* False at the limit. Steps grow where nothing is found. */
static inline bool search(struct packer *packer, uint32_t *table, const uint8_t **out_match)
{
    enum { STEP_BITS = 6 };
    const uint8_t *at = packer->at;
    for (uint32_t step = 1u << STEP_BITS; at < packer->limit; at += step++ >> STEP_BITS) {
        uint32_t *slot = table_slot(table, at);
        const uint8_t *match = packer->source + *slot;
        *slot = (uint32_t)(at - packer->source);
        if (match < at && at - match <= DISTANCE_MAX && is_equal_4(at, match)) {
            packer->searched++;
            packer->at = at;
            *out_match = match;
            return true;
        }
    }
    return false;
}

INLINE void take_match(struct packer *packer, const struct scanner *scanner, uint32_t *table,
                       const uint8_t *match)
{
    const uint8_t *start = packer->at;
    packer->distance = (size_t)(start - match);
    while (start > packer->anchor && match > packer->source && start[-1] == match[-1]) {
        start--;
        match--;
    }
    packer->at = match_end(packer, scanner, packer->at);
    write_match(packer, start, packer->at);
    *table_slot(table, start) = (uint32_t)(start - packer->source);
    *table_slot(table, packer->at - 2) = (uint32_t)(packer->at - 2 - packer->source);
}

INLINE size_t pack(struct bytes raw, const struct scanner *scanner, uint8_t *out)
{
    check(raw.size <= LZ4_FOLLOW_MAX_BYTES);
    uint32_t table[1u << TABLE_BITS] = {0};
    const uint8_t *end = raw.data + raw.size;
    struct packer packer = {
        .source = raw.data,
        .limit = raw.size > TAIL_BYTES ? end - TAIL_BYTES : raw.data,
        .at = raw.data,
        .anchor = raw.data,
        .out = out,
    };
    while (packer.at < packer.limit) {
        const uint8_t *match;
        if (packer.distance != 0 && follow(&packer, scanner)) {
            continue;
        }
        bool found = packer.distance != 0 && meet_again(&packer, scanner, &match);
        if ((!found && !search(&packer, table, &match)) || packer.at >= packer.limit) {
            break;
        }
        take_match(&packer, scanner, table, match);
        if (packer.searched > SEARCHES_FREE && packer.searched > packer.followed / 2) {
            return 0;
        }
    }
    uint8_t *behind = write_literals(packer.out, packer.anchor, (size_t)(end - packer.anchor));
    return (size_t)(behind - out);
}

size_t lz4_follow_pack(struct bytes raw, uint8_t *out)
{
    return pack(raw, &scanner_fast, out);
}

size_t lz4_follow_pack_portable(struct bytes raw, uint8_t *out)
{
    return pack(raw, &scanner_portable, out);
}
