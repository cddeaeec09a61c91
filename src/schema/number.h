/*
 * Number: a JSON number as a value, exact where exactness can be seen: as an integer when int64
 * holds it, as a decimal of up to 19 digits, and always as the nearest double. For bounds, members
 * of enum and multipleOf, which compare by value: 1, 1.0 and 10e-1 are one number, and
 * 9007199254740993 is not 9007199254740992.
 */
#ifndef WEIR_SCHEMA_NUMBER_H
#define WEIR_SCHEMA_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct number {
    double real;   /* the nearest double; an infinity beyond its range */
    bool integral; /* no fraction, whatever the size */
    bool in_int64; /* `floor` holds the greatest integer that is not above the number */
    int64_t floor;
    bool decimal; /* the number is exactly ±mantissa × 10^exponent */
    bool negative;
    uint64_t mantissa;
    int32_t exponent;
};

#define NUMBER_TEXT_BYTES 32

/* JSON's grammar, and what YAML's core schema allows beyond it ("+1", ".5", "1."). False when it
 * is anything else. Takes time and memory independent of the locale; memory is bounded whatever
 * the number of digits. */
bool number_parse(struct bytes text, struct number *out);
struct number number_of_int64(int64_t value);
/* `value` must not be NaN. */
struct number number_of_double(double value);

/* Below, equal, above: -1, 0, 1. Exact where both lie in int64 and one is integral, else as
 * doubles. */
int number_compare(const struct number *a, const struct number *b);

/* Whether `value` is a multiple of `divisor`, which is above 0. See number.c for what that means
 * for doubles. */
bool number_is_multiple(const struct number *value, const struct number *divisor);

/* The shortest text that reads back to the same double, with its NUL; returns the length. */
size_t number_write_double(double value, char out[NUMBER_TEXT_BYTES]);

#endif
