/*
 * Scanning: the small loops over a record's bytes that decoding spends its time in. Included by the two engines (see json_engine.h); the
 * one that defines JSON_ENGINE_AVX2 gets vector loops, the other 8 bytes at a time. Both give the same answers.
 *
 * Nothing is read behind `end`. Instead the last loads reach back: 32 bytes before `end` must be readable (JSON_LEAD_BYTES), which
 * the callers see to for short texts.
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

/* One bit per byte that a string cannot simply run over: signed bytes below the space are the control characters and all
 * that is not ASCII. */
static inline uint32_t json_special_bits(const uint8_t *p)
{
    __m256i block = _mm256_loadu_si256((const __m256i *)p);
    __m256i quote = _mm256_cmpeq_epi8(block, _mm256_set1_epi8('"'));
    __m256i backslash = _mm256_cmpeq_epi8(block, _mm256_set1_epi8('\\'));
    __m256i other = _mm256_cmpgt_epi8(_mm256_set1_epi8(' '), block);
    uint32_t bits = (uint32_t)_mm256_movemask_epi8(
        _mm256_or_si256(_mm256_or_si256(quote, backslash), other));
    _mm256_zeroupper(); /* The compiler forgets it on some ways into code without AVX. */
    return bits;
}

/* The first quote, backslash, control character or byte above 0x7F; `end` when there is none. */
static inline const uint8_t *json_scan_string(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 32) {
        uint32_t bits = json_special_bits(p);
        if (bits != 0) {
            return p + __builtin_ctz(bits);
        }
        p += 32;
    }
    if (p < end) {
        uint32_t bits = json_special_bits(end - 32) >> (32 - (end - p));
        return bits != 0 ? p + __builtin_ctz(bits) : end;
    }
    return end;
}

#else

static inline uint64_t json_special_bits(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t highs = UINT64_C(0x8080808080808080);
    uint64_t quote = word ^ (ones * '"');
    uint64_t backslash = word ^ (ones * '\\');
    /* A borrow can only reach bytes above one that is marked already: the lowest mark is right. */
    return ((quote - ones) & ~quote & highs) | ((backslash - ones) & ~backslash & highs)
           | ((word - ones * ' ') & ~word & highs) | (word & highs);
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
