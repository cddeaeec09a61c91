/*
 * Scanning: the small loops over a record's bytes that decoding spends its time in. Included by the
 * two engines (see json_engine.h); the one that defines JSON_ENGINE_AVX2 gets vector loops, the
 * other 8 bytes at a time. Both give the same answers.
 *
 * Nothing is read behind `end`. Instead the last loads reach back: 32 bytes before `end` must be
 * readable (JSON_LEAD_BYTES), which the callers see to for short texts.
 */
#ifndef WEIR_CODEC_JSON_SCAN_H
#define WEIR_CODEC_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef JSON_ENGINE_AVX2
#include <immintrin.h>
#endif

#include "codec/json_number.h"

#define JSON_LEAD_BYTES 32u

static inline bool json_is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static inline const uint8_t *json_skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p <= ' ' && json_is_space(*p)) {
        p++;
    }
    return p;
}

#ifdef JSON_ENGINE_AVX2

/* One bit per byte that a string cannot simply run over: signed bytes below the space are the
 * control characters and all that is not ASCII. */
static inline uint32_t json_special_bits_16(const uint8_t *p)
{
    __m128i block = _mm_loadu_si128((const __m128i *)p);
    __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
    __m128i other = _mm_cmpgt_epi8(_mm_set1_epi8(' '), block);
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), other));
}

static inline uint32_t json_special_bits_32(const uint8_t *p)
{
    __m256i block = _mm256_loadu_si256((const __m256i *)p);
    __m256i quote = _mm256_cmpeq_epi8(block, _mm256_set1_epi8('"'));
    __m256i backslash = _mm256_cmpeq_epi8(block, _mm256_set1_epi8('\\'));
    __m256i other = _mm256_cmpgt_epi8(_mm256_set1_epi8(' '), block);
    return (uint32_t)_mm256_movemask_epi8(
        _mm256_or_si256(_mm256_or_si256(quote, backslash), other));
}

/* The same as json_scan_string(), for what is left of longer strings. */
static __attribute__((noinline)) const uint8_t *json_scan_long_string(const uint8_t *p,
                                                                      const uint8_t *end)
{
    const uint8_t *found = end;
    while (end - p >= 32) {
        uint32_t bits = json_special_bits_32(p);
        if (bits != 0) {
            found = p + __builtin_ctz(bits);
            break;
        }
        p += 32;
    }
    if (found == end && p < end && end - p < 32) {
        uint32_t bits = json_special_bits_32(end - 32) >> (32 - (end - p));
        found = bits != 0 ? p + __builtin_ctz(bits) : end;
    }
    _mm256_zeroupper(); /* The compiler forgets it on some ways into code without AVX. */
    return found;
}

/* The first quote, backslash, control character or byte above 0x7F; `end` when there is none. */
static inline const uint8_t *json_scan_string(const uint8_t *p, const uint8_t *end)
{
    /* Most strings end within two short blocks. */
    for (int i = 0; i < 2 && end - p >= 16; i++) {
        uint32_t bits = json_special_bits_16(p);
        if (bits != 0) {
            return p + __builtin_ctz(bits);
        }
        p += 16;
    }
    return json_scan_long_string(p, end);
}

#else

static inline uint64_t json_special_bits(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t highs = UINT64_C(0x8080808080808080);
    uint64_t quote = word ^ (ones * '"');
    uint64_t backslash = word ^ (ones * '\\');
    /* A borrow can only reach bytes above one that is marked already: the lowest mark is right. */
    return ((quote - ones) & ~quote & highs) | ((backslash - ones) & ~backslash & highs) |
           ((word - ones * ' ') & ~word & highs) | (word & highs);
}

static inline const uint8_t *json_scan_string(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 8) {
        uint64_t bits = json_special_bits(json_load64(p));
        if (bits != 0) {
            return p + (__builtin_ctzll(bits) >> 3);
        }
        p += 8;
    }
    if (p < end) {
        /* The shift brings in zeros, which count as control characters, behind the end only. */
        uint64_t bits = json_special_bits(json_load64_bounded(p, end));
        const uint8_t *found = p + (__builtin_ctzll(bits) >> 3);
        return found < end ? found : end;
    }
    return end;
}

#endif

/* Whether `size` bytes at `a` and `b` are equal; small sizes without a call. */
static inline bool json_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    if (size >= 8) {
        size_t at = 0;
        for (; at + 8 < size; at += 8) {
            if (json_load64(a + at) != json_load64(b + at)) {
                return false;
            }
        }
        return json_load64(a + size - 8) == json_load64(b + size - 8);
    }
    for (size_t at = 0; at < size; at++) {
        if (a[at] != b[at]) {
            return false;
        }
    }
    return true;
}

#endif
