#include "codec/json_decimal.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "codec/json_number.h"

__extension__ typedef unsigned __int128 uint128;

/*
 * A double is f × 2^e, and every number between its neighbours' halfway points reads back to it
 * (the points themselves too when f is even, as reading rounds to even). Scaled by 10^k with a k
 * that gives the double 17 or 18 digits, that interval is wider than 1 and holds integers; then
 * digits are taken off its ends as long as there is an integer between them.
 *
 * For usual magnitudes all of that is exact in 128 bits: 4f has 55 bits, and 5^27 has 63. The
 * others, below about 1e-10 and above about 1e37, are tried with 1 to 17 digits.
 */
enum { SCALE_MAX = 27, UP_SHIFT_MAX = 120, DOWN_SHIFT_MAX = 72 };

/* Six places, and 15 digits in all. */
enum { FEW_PLACES = 6 };
#define FEW_SCALE 1e6
#define FEW_END 999999999999999.0

struct interval {
    uint64_t low;    /* the smallest integer that reads back */
    uint64_t middle; /* the double itself, rounded down */
    unsigned tenth;  /* its first digit behind `middle` */
    bool rest;       /* there is more behind that digit */
    uint64_t high;   /* the largest integer that reads back */
};

static uint64_t power_of_five(int exponent)
{
    uint64_t power = 1;
    while (exponent-- > 0) {
        power *= 5;
    }
    return power;
}

/* From quarters (4f and the halfway points around it) times 10^scale × 2^exponent, scale ≥ 0; false
 * when the bits do not suffice. */
static bool interval_up(const uint64_t quarters[3], bool inclusive, int exponent, int scale,
                        struct interval *out)
{
    int shift = -(exponent + scale);
    if (scale > SCALE_MAX || shift < 0 || shift > UP_SHIFT_MAX) {
        return false;
    }
    uint64_t five = power_of_five(scale);
    uint128 fraction = ((uint128)1 << shift) - 1;
    uint128 low = (uint128)quarters[0] * five;
    uint128 middle = (uint128)quarters[1] * five;
    uint128 high = (uint128)quarters[2] * five;
    out->low = (uint64_t)(low >> shift) + ((low & fraction) != 0 || !inclusive);
    out->middle = (uint64_t)(middle >> shift);
    out->high = (uint64_t)(high >> shift) - ((high & fraction) == 0 && !inclusive);
    uint128 tenths = (middle & fraction) * 10;
    out->tenth = (unsigned)(tenths >> shift);
    out->rest = (tenths & fraction) != 0;
    return true;
}

/* The same, divided by 10^-scale, scale < 0. */
static bool interval_down(const uint64_t quarters[3], bool inclusive, int exponent, int scale,
                          struct interval *out)
{
    int shift = exponent + scale;
    if (-scale > SCALE_MAX || shift < 0 || shift > DOWN_SHIFT_MAX) {
        return false;
    }
    uint64_t five = power_of_five(-scale);
    uint128 low = (uint128)quarters[0] << shift;
    uint128 middle = (uint128)quarters[1] << shift;
    uint128 high = (uint128)quarters[2] << shift;
    out->low = (uint64_t)(low / five) + (low % five != 0 || !inclusive);
    out->middle = (uint64_t)(middle / five);
    uint128 tenths = middle % five * 10;
    out->tenth = (unsigned)(tenths / five);
    out->rest = tenths % five != 0;
    out->high = (uint64_t)(high / five) - (high % five == 0 && !inclusive);
    return true;
}

/* Takes digits off as long as an integer stays between the ends, then rounds the middle to it. */
static struct json_decimal interval_shortest(struct interval interval, int exponent)
{
    unsigned taken = interval.tenth;
    bool rest = interval.rest;
    while (interval.high / 10 >= interval.low / 10 + (interval.low % 10 != 0)) {
        rest = rest || taken != 0;
        taken = (unsigned)(interval.middle % 10);
        interval.low = interval.low / 10 + (interval.low % 10 != 0);
        interval.middle /= 10;
        interval.high /= 10;
        exponent++;
    }
    uint64_t digits = interval.middle;
    if (taken > 5 || (taken == 5 && (rest || (digits & 1) != 0))) {
        digits++;
    }
    digits = digits < interval.low ? interval.low : digits;
    digits = digits > interval.high ? interval.high : digits;
    while (digits % 10 == 0) {
        digits /= 10;
        exponent++;
    }
    return (struct json_decimal){.digits = digits, .exponent = exponent};
}

static bool decimal_exact(double real, struct json_decimal *out)
{
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    int biased = (int)(bits >> 52 & 0x7FF);
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    if (biased == 0) {
        return false; /* subnormal: far outside */
    }
    uint64_t f = fraction | UINT64_C(1) << 52;
    int exponent = biased - 1075 - 2;
    /* The neighbour below a power of two is only half as far away. */
    uint64_t quarters[3] = {4 * f - (fraction == 0 ? 1 : 2), 4 * f, 4 * f + 2};
    bool inclusive = (f & 1) == 0;
    /* 1233 / 4096 is log10(2) closely enough: `middle` has 17 or 18 digits, or 19 beginning with
     * 1. */
    int magnitude = (biased - 1023) * 1233 / 4096;
    int scale = 17 - magnitude;
    struct interval interval;
    bool exact = scale >= 0 ? interval_up(quarters, inclusive, exponent, scale, &interval)
                            : interval_down(quarters, inclusive, exponent, scale, &interval);
    if (exact) {
        *out = interval_shortest(interval, -scale);
    }
    return exact;
}

/* Reads "d.ddde±xx" without asking which point the locale has. */
static struct json_decimal decimal_read(const char *text)
{
    struct json_decimal decimal = {0};
    const char *e = strchr(text, 'e');
    check(e != NULL);
    int places = -1;
    for (const char *p = text; p < e; p++) {
        if (*p >= '0' && *p <= '9') {
            decimal.digits = decimal.digits * 10 + (uint64_t)(*p - '0');
            places++;
        }
    }
    decimal.exponent = (int)strtol(e + 1, NULL, 10) - places;
    return decimal;
}

static bool decimal_reads_back(const struct json_decimal *decimal, double real)
{
    char text[64];
    int size = snprintf(text, sizeof text, "%" PRIu64 "e%d", decimal->digits, decimal->exponent);
    struct json_number number;
    double back;
    check(json_number_scan((const uint8_t *)text, (const uint8_t *)text + size, &number));
    return json_number_double(&number, &back) && back == real;
}

static struct json_decimal decimal_trimmed(struct json_decimal decimal)
{
    while (decimal.digits % 10 == 0) {
        decimal.digits /= 10;
        decimal.exponent++;
    }
    return decimal;
}

static struct json_decimal decimal_tried(double real)
{
    for (int precision = 0;; precision++) {
        char text[64];
        snprintf(text, sizeof text, "%.*e", precision, real);
        struct json_decimal decimal = decimal_read(text);
        if (decimal_reads_back(&decimal, real)) {
            return decimal_trimmed(decimal);
        }
        check(precision < 16); /* 17 digits always suffice. */
        /* Above a power of two there is twice as much room as below: the next one may fit where the
         * closest does not. */
        decimal.digits++;
        if (decimal_reads_back(&decimal, real)) {
            return decimal_trimmed(decimal);
        }
    }
}

/* Most numbers have few digits. Where one of at most 15 reads back, it is the only one: any other
 * of as many lies further away than a double can tell. The division is of two integers that doubles
 * hold exactly, so it gives what reading the decimal would. */
static bool decimal_of_few_digits(double real, struct json_decimal *out)
{
    double scaled = real * FEW_SCALE;
    if (!(scaled < FEW_END)) {
        return false;
    }
    uint64_t digits = (uint64_t)(scaled + 0.5);
    if (digits == 0 || (double)digits / FEW_SCALE != real) {
        return false;
    }
    *out = decimal_trimmed((struct json_decimal){.digits = digits, .exponent = -FEW_PLACES});
    return true;
}

struct json_decimal json_decimal_shortest(double real)
{
    check(isfinite(real) && real > 0);
    struct json_decimal decimal;
    if (decimal_of_few_digits(real, &decimal)) {
        return decimal;
    }
    return decimal_exact(real, &decimal) ? decimal : decimal_tried(real);
}
