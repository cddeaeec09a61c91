/*
 * JSON numbers: the grammar, and exact conversion to int64 and double. Nothing here depends on the
 * locale of the process.
 *
 * A scanned number is mantissa × 10^exponent. The mantissa holds the first 19 significant digits;
 * when a digit that is not zero stands behind them, `truncated` says so and the conversions look at
 * the text or know enough without it.
 */
#ifndef WEIR_CODEC_JSON_NUMBER_H
#define WEIR_CODEC_JSON_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct json_number {
    const uint8_t *text; /* its first byte */
    const uint8_t *end;  /* behind its last; where it breaks the grammar when the scan fails */
    uint64_t mantissa;
    int64_t exponent;
    int64_t lowest; /* the power of ten of the last digit that is not zero; 0 for zero */
    bool negative;
    bool plain; /* neither a fraction nor an exponent is written */
    bool truncated;
};

enum json_integer { JSON_INTEGER_OK, JSON_INTEGER_FRACTION, JSON_INTEGER_RANGE };

/* Scans the number at `p`, as far as it goes; false when there is none by the grammar. */
bool json_number_scan(const uint8_t *p, const uint8_t *end, struct json_number *out);
/* OK writes the value; FRACTION: not an integer; RANGE: an integer beyond int64. */
enum json_integer json_number_int64(const struct json_number *number, int64_t *out);
/* Correctly rounded, ties to even; false when it is beyond the largest double. */
bool json_number_double(const struct json_number *number, double *out);
/* mantissa / 10^places, correctly rounded, for places ≤ 27. */
double json_quotient_double(uint64_t mantissa, unsigned places);

extern const double json_powers_of_ten[23];
extern const uint64_t json_integer_powers_of_ten[20];

/* Little-endian, whatever the machine. */
static inline uint64_t json_load64(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The 8 bytes at `p`, zeros for those at `end` and behind it; the 8 bytes before `end` must be
 * readable. */
static inline uint64_t json_load64_bounded(const uint8_t *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p);
    if (left >= 8) {
        return json_load64(p);
    }
    return left == 0 ? 0 : json_load64(end - 8) >> (8 * (8 - left));
}

/* How many digits stand at the start of a word, at most 8. */
static inline unsigned json_digit_count(uint64_t word)
{
    uint64_t digits = word ^ UINT64_C(0x3030303030303030);
    /* The high bit of every byte that is above 9; carries only spoil bytes behind the first. */
    uint64_t others =
        ((digits + UINT64_C(0x7676767676767676)) | digits) & UINT64_C(0x8080808080808080);
    return others == 0 ? 8 : (unsigned)__builtin_ctzll(others) >> 3;
}

/* The value of the first `count` bytes of a word, all of them digits; at most 8. */
static inline uint32_t json_digits_value(uint64_t word, unsigned count)
{
    /* Shifted up, so that leading zeros stand before the digits. */
    uint64_t digits = count == 0 ? 0 : (word ^ UINT64_C(0x3030303030303030)) << (64 - 8 * count);
    /* Pairs, then fours, then all eight. */
    digits = digits * 10 + (digits >> 8);
    uint64_t even = (digits & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x000F424000000064);
    uint64_t odd = ((digits >> 16) & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x0000271000000001);
    return (uint32_t)((even + odd) >> 32);
}

/* The value of the digits at the start of a word, at most 8; *out_count says how many. */
static inline uint32_t json_digits(uint64_t word, unsigned *out_count)
{
    *out_count = json_digit_count(word);
    return json_digits_value(word, *out_count);
}

struct json_simple_number {
    uint64_t mantissa; /* below 10^19 */
    unsigned places;   /* digits behind the point, at most 16 */
    bool negative;
};

/* At most 16 digits at `p`; false when there is none or perhaps more. */
static inline bool json_digit_run(const uint8_t **p, const uint8_t *end, uint64_t *out,
                                  unsigned *out_count)
{
    unsigned count;
    uint64_t value = json_digits(json_load64_bounded(*p, end), &count);
    if (count == 8) {
        unsigned more;
        uint64_t low = json_digits(json_load64_bounded(*p + 8, end), &more);
        value = value * json_integer_powers_of_ten[more] + low;
        count += more;
    }
    *out = value;
    *out_count = count;
    *p += count;
    return count != 0 && count != 16;
}

/* A number of at most seven characters, no exponent, the most frequent there are: its digits are
 * brought together over the point. NULL for every other text. */
static __attribute__((always_inline)) inline const uint8_t *json_number_short(
    const uint8_t *p, const uint8_t *end, struct json_simple_number *out)
{
    uint64_t word = json_load64_bounded(p, end);
    const unsigned whole = json_digit_count(word);
    unsigned count = whole;
    unsigned size = whole;
    if (whole <= 6 && (uint8_t)(word >> (8 * whole)) == '.') {
        const uint64_t before = (UINT64_C(1) << (8 * whole)) - 1;
        word = (word & before) | ((word >> 8) & ~before);
        count = json_digit_count(word);
        size = count + 1;
        if (count == whole) {
            return NULL;
        }
    }
    /* What is behind it must have been seen. */
    if (whole == 0 || whole > 6 || size > 7 || (*p == '0' && whole > 1)) {
        return NULL;
    }
    p += size;
    if (p < end && (*p | 0x20) == 'e') {
        return NULL;
    }
    out->mantissa = json_digits_value(word, count);
    out->places = count - whole;
    return p;
}

/* The same of up to 15 digits, a point, up to 15 digits. */
static __attribute__((noinline, unused)) const uint8_t *json_number_medium(
    const uint8_t *p, const uint8_t *end, struct json_simple_number *out)
{
    const uint8_t *first = p;
    unsigned count;
    unsigned places = 0;
    uint64_t mantissa;
    if (!json_digit_run(&p, end, &mantissa, &count) || (*first == '0' && count > 1)) {
        return NULL;
    }
    if (p < end && *p == '.') {
        uint64_t fraction;
        p++;
        if (!json_digit_run(&p, end, &fraction, &places) || count + places > 19) {
            return NULL;
        }
        mantissa = mantissa * json_integer_powers_of_ten[places] + fraction;
    }
    if (p < end && (*p | 0x20) == 'e') {
        return NULL;
    }
    out->mantissa = mantissa;
    out->places = places;
    return p;
}

/* The shapes that sensors write: digits, perhaps a point and digits, no exponent. Returns the place
 * behind it, NULL for every other text: then json_number_scan() decides. The 8 bytes before `end`
 * must be readable. */
static __attribute__((always_inline)) inline const uint8_t *json_number_simple(
    const uint8_t *p, const uint8_t *end, struct json_simple_number *out)
{
    out->negative = *p == '-';
    p += out->negative;
    const uint8_t *after = json_number_short(p, end, out);
    return __builtin_expect(after != NULL, 1) ? after : json_number_medium(p, end, out);
}

#endif
