#include "schema/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* More digits never decide how a decimal rounds to a double, except by not being zero. */
enum { DIGITS_MAX = 800, EXPONENT_MAX = 1000000000 };

/* The digits of a number as 0.d1d2d3… × 10^point, d1 and the last one not 0; no digits for zero. */
struct digits {
    char text[DIGITS_MAX + 1];
    size_t stored;      /* in text */
    size_t significant; /* up to the last one that is not 0; may be more than stored */
    size_t seen;        /* from the first one that is not 0 */
    int64_t point;
};

static void digits_push(struct digits *digits, char digit)
{
    if (digits->seen < DIGITS_MAX) {
        digits->text[digits->seen] = digit;
    }
    digits->seen++;
    if (digit != '0') {
        digits->significant = digits->seen;
    }
}

/* [sign] digits [. digits] [e [sign] digits] */
static bool digits_scan(struct bytes text, struct digits *digits, bool *out_negative)
{
    const uint8_t *at = text.data;
    const uint8_t *end = at + text.size;
    bool dot = false;
    size_t count = 0;
    *out_negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) {
        at++;
    }
    for (; at < end; at++) {
        if (*at == '.' && !dot) {
            dot = true;
        } else if (*at >= '0' && *at <= '9') {
            count++;
            bool leading_zero = *at == '0' && digits->seen == 0;
            if (!leading_zero) {
                digits_push(digits, (char)*at);
            }
            digits->point += leading_zero ? -(int64_t)dot : (int64_t)!dot;
        } else {
            break;
        }
    }
    if (count == 0) {
        return false;
    }
    if (at < end && (*at | 0x20) == 'e') {
        at++;
        bool negative = at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+')) {
            at++;
        }
        const uint8_t *first = at;
        int64_t exponent = 0;
        for (; at < end && *at >= '0' && *at <= '9'; at++) {
            exponent = exponent * 10 + (*at - '0');
            exponent = exponent > EXPONENT_MAX ? EXPONENT_MAX : exponent;
        }
        if (at == first) {
            return false;
        }
        digits->point += negative ? -exponent : exponent;
    }
    digits->stored = digits->significant < DIGITS_MAX ? digits->significant : DIGITS_MAX;
    return at == end;
}

/* The first `count` digits as an integer, with zeros where there are no more; count ≤ 19. */
static uint64_t digits_head(const struct digits *digits, int64_t count)
{
    uint64_t value = 0;
    for (int64_t i = 0; i < count; i++) {
        value *= 10;
        if ((uint64_t)i < digits->stored) {
            value += (uint64_t)(digits->text[i] - '0');
        }
    }
    return value;
}

/* Written without a decimal point, because strtod() would look for the one of the locale. */
static double digits_real(struct digits *digits, const struct number *number)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double real;
    /* Both operands are exact, so that the one operation rounds correctly. */
    if (number->decimal && number->mantissa <= (UINT64_C(1) << 53) && number->exponent >= -22 &&
        number->exponent <= 22) {
        real = (double)number->mantissa;
        real = number->exponent < 0 ? real / powers[-number->exponent]
                                    : real * powers[number->exponent];
    } else {
        char text[DIGITS_MAX + 32];
        size_t size = digits->stored;
        memcpy(text, digits->text, size);
        if (digits->significant > digits->stored) {
            /* Stands for all digits that were cut: it breaks a tie as they would. */
            text[size++] = '1';
        }
        (void)snprintf(text + size, sizeof text - size, "e%lld",
                       (long long)(digits->point - (int64_t)size));
        real = strtod(text, NULL);
    }
    return number->negative ? -real : real;
}

static void number_set_floor(struct number *number, const struct digits *digits)
{
    if (digits->point > 19) {
        return;
    }
    uint64_t magnitude = digits_head(digits, digits->point);
    if (number->negative) {
        magnitude += !number->integral;
        number->in_int64 = magnitude <= (uint64_t)INT64_MAX + 1;
        number->floor = number->in_int64 ? (int64_t)(0 - magnitude) : 0;
    } else {
        number->in_int64 = magnitude <= (uint64_t)INT64_MAX;
        number->floor = number->in_int64 ? (int64_t)magnitude : 0;
    }
}

bool number_parse(struct bytes text, struct number *out)
{
    struct digits digits;
    digits.stored = digits.significant = digits.seen = 0;
    digits.point = 0;
    bool negative;
    if (!digits_scan(text, &digits, &negative)) {
        return false;
    }
    if (digits.significant == 0) {
        *out = number_of_int64(0);
        return true;
    }
    *out = (struct number){.negative = negative};
    int64_t behind_last = digits.point - (int64_t)digits.significant;
    out->integral = behind_last >= 0;
    if (digits.significant <= 19) {
        out->decimal = true;
        out->mantissa = digits_head(&digits, (int64_t)digits.significant);
        out->exponent = (int32_t)behind_last;
    }
    number_set_floor(out, &digits);
    out->real = digits_real(&digits, out);
    return true;
}

struct number number_of_int64(int64_t value)
{
    return (struct number){
        .real = (double)value,
        .integral = true,
        .in_int64 = true,
        .floor = value,
        .decimal = true,
        .negative = value < 0,
        .mantissa = value < 0 ? 0 - (uint64_t)value : (uint64_t)value,
    };
}

struct number number_of_double(double value)
{
    double below = floor(value);
    if (below >= -0x1p63 && below < 0x1p63) {
        struct number number = number_of_int64((int64_t)below);
        if (below != value) {
            number.integral = number.decimal = false;
            number.negative = value < 0;
        }
        number.real = value;
        return number;
    }
    return (struct number){.real = value, .integral = true, .negative = value < 0};
}

static int compare_doubles(double a, double b)
{
    return (a > b) - (a < b);
}

int number_compare(const struct number *a, const struct number *b)
{
    if (a->in_int64 && b->in_int64) {
        if (a->floor != b->floor) {
            return a->floor < b->floor ? -1 : 1;
        }
        if (a->integral || b->integral) {
            return (int)b->integral - (int)a->integral;
        }
        return compare_doubles(a->real, b->real);
    }
    if (a->in_int64) {
        return b->negative ? 1 : -1;
    }
    if (b->in_int64) {
        return a->negative ? -1 : 1;
    }
    return compare_doubles(a->real, b->real);
}

static uint64_t multiply_modulo(uint64_t a, uint64_t b, uint64_t modulus)
{
    return (uint64_t)((unsigned __int128)a * b % modulus);
}

static uint64_t power_of_ten_modulo(uint32_t exponent, uint64_t modulus)
{
    uint64_t result = 1 % modulus;
    for (uint64_t base = 10 % modulus; exponent > 0; exponent >>= 1) {
        if (exponent & 1) {
            result = multiply_modulo(result, base, modulus);
        }
        base = multiply_modulo(base, base, modulus);
    }
    return result;
}

/* In integers, without rounding: V × 10^v is a multiple of M × 10^m. */
static bool decimal_is_multiple(const struct number *value, const struct number *divisor)
{
    int64_t exponent = (int64_t)value->exponent - divisor->exponent;
    uint64_t modulus = divisor->mantissa;
    if (value->mantissa == 0) {
        return true;
    }
    if (exponent >= 0) {
        uint64_t power = power_of_ten_modulo((uint32_t)exponent, modulus);
        return multiply_modulo(value->mantissa % modulus, power, modulus) == 0;
    }
    for (; exponent < 0; exponent++) {
        if (__builtin_mul_overflow(modulus, 10, &modulus)) {
            return false;
        }
    }
    return value->mantissa % modulus == 0;
}

/*
 * An integer is divided exactly, also by a decimal such as 0.01.
 *
 * A double is only near the decimal that was written (0.0075 is not 75 × 0.0001 in binary), so that
 * a remainder of zero would refuse what every reader calls a multiple. Three roundings, of the
 * value, of the divisor and of the quotient, each by at most 2^-53, move the quotient n of a true
 * multiple by less than n × 2^-51: within that it counts as integral. From 2^50 on the tolerance
 * would reach a half and everything would pass; there the doubles are taken as the shortest
 * decimals that read back to them, which is what was written unless it had more than 15 digits, and
 * divided exactly.
 */
bool number_is_multiple(const struct number *value, const struct number *divisor)
{
    if (value->in_int64 && value->integral && divisor->decimal) {
        return decimal_is_multiple(value, divisor);
    }
    double quotient = fabs(value->real / divisor->real);
    if (quotient < 0x1p50) {
        /* A quotient that underflowed to 0 belongs to a value that is not 0, and so may a value: it
         * is below every divisor then. */
        return (value->real == 0 && value->integral) ||
               (quotient > 0 && fabs(quotient - rint(quotient)) <= quotient * 0x1p-51);
    }
    struct number written = *value;
    if (!written.decimal && isfinite(value->real)) {
        char text[NUMBER_TEXT_BYTES];
        size_t size = number_write_double(value->real, text);
        (void)number_parse(bytes_of(text, size), &written);
    }
    if (written.decimal && divisor->decimal) {
        return decimal_is_multiple(&written, divisor);
    }
    return fmod(value->real, divisor->real) == 0;
}

size_t number_write_double(double value, char out[NUMBER_TEXT_BYTES])
{
    int size = 0;
    for (int digits = 15; digits <= 17; digits++) {
        size = snprintf(out, NUMBER_TEXT_BYTES, "%.*g", digits, value);
        if (strtod(out, NULL) == value) {
            break;
        }
    }
    return (size_t)size;
}
