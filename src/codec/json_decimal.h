/*
 * Decimals: the shortest digits that read back to the same double.
 */
#ifndef WEIR_CODEC_JSON_DECIMAL_H
#define WEIR_CODEC_JSON_DECIMAL_H

#include <stdint.h>

/* digits × 10^exponent; the last digit is not zero. */
struct json_decimal {
    uint64_t digits;
    int exponent;
};

/* The shortest one; among those the closest to `real`, which must be finite and above zero. */
struct json_decimal json_decimal_shortest(double real);

#endif
