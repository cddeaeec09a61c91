#include "codec/json_number.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/status.h"

__extension__ typedef unsigned __int128 uint128;

enum {
    MANTISSA_DIGITS = 19,   /* as many as always fit into 64 bits */
    EXACT_POWER_MAX = 27,   /* 5^27 is the last power of five below 2^63 */
    CLINGER_POWER_MAX = 22, /* 10^22 is the last power of ten that a double holds */
    TEXT_STACK_BYTES = 512,
};

/* Far beyond every exponent that a text in memory can outweigh with digits. */
#define EXPONENT_LIMIT INT64_C(1000000000000000)

const double json_powers_of_ten[CLINGER_POWER_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

const uint64_t json_integer_powers_of_ten[20] = {
    UINT64_C(1),
    UINT64_C(10),
    UINT64_C(100),
    UINT64_C(1000),
    UINT64_C(10000),
    UINT64_C(100000),
    UINT64_C(1000000),
    UINT64_C(10000000),
    UINT64_C(100000000),
    UINT64_C(1000000000),
    UINT64_C(10000000000),
    UINT64_C(100000000000),
    UINT64_C(1000000000000),
    UINT64_C(10000000000000),
    UINT64_C(100000000000000),
    UINT64_C(1000000000000000),
    UINT64_C(10000000000000000),
    UINT64_C(100000000000000000),
    UINT64_C(1000000000000000000),
    UINT64_C(10000000000000000000),
};

static bool is_digit(const uint8_t *p, const uint8_t *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

/* What the digits have shown so far. */
struct digit_state {
    uint64_t mantissa;
    unsigned significant; /* digits in the mantissa, leading zeros not counted */
    int64_t dropped;      /* digits that no longer fitted */
    bool truncated;       /* one of those was not zero */
};

static void digit_add(struct digit_state *state, unsigned digit)
{
    if (state->significant == MANTISSA_DIGITS) {
        state->dropped++;
        state->truncated = state->truncated || digit != 0;
        return;
    }
    state->mantissa = state->mantissa * 10 + digit;
    state->significant += state->mantissa != 0;
}

/* The digits before the point. */
static const uint8_t *scan_whole(const uint8_t *p, const uint8_t *end, struct digit_state *state,
                                 struct json_number *out)
{
    int64_t zeros = 0;
    for (; is_digit(p, end); p++) {
        zeros = *p == '0' ? zeros + 1 : 0;
        digit_add(state, (unsigned)(*p - '0'));
    }
    out->lowest = zeros;
    out->exponent = state->dropped;
    return p;
}

/* The digits behind the point. */
static const uint8_t *scan_fraction(const uint8_t *p, const uint8_t *end, struct digit_state *state,
                                    struct json_number *out)
{
    int64_t dropped_before = state->dropped;
    const uint8_t *first = p;
    for (; is_digit(p, end); p++) {
        if (*p != '0') {
            out->lowest = first - p - 1;
        }
        digit_add(state, (unsigned)(*p - '0'));
    }
    out->exponent -= (p - first) - (state->dropped - dropped_before);
    return p;
}

/* Behind the `e`; NULL when no digit follows. */
static const uint8_t *scan_exponent(const uint8_t *p, const uint8_t *end, struct json_number *out)
{
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) {
        p++;
    }
    if (!is_digit(p, end)) {
        out->end = p;
        return NULL;
    }
    int64_t exponent = 0;
    for (; is_digit(p, end); p++) {
        if (exponent < EXPONENT_LIMIT) {
            exponent = exponent * 10 + (*p - '0');
        }
    }
    exponent = negative ? -exponent : exponent;
    out->exponent += exponent;
    out->lowest += exponent;
    return p;
}

bool json_number_scan(const uint8_t *p, const uint8_t *end, struct json_number *out)
{
    *out = (struct json_number){.text = p, .plain = true};
    struct digit_state state = {0};
    if (p < end && *p == '-') {
        out->negative = true;
        p++;
    }
    if (!is_digit(p, end) || (*p == '0' && is_digit(p + 1, end))) {
        out->end = p;
        return false;
    }
    p = scan_whole(p, end, &state, out);
    if (p < end && *p == '.') {
        out->plain = false;
        if (!is_digit(p + 1, end)) {
            out->end = p + 1;
            return false;
        }
        p = scan_fraction(p + 1, end, &state, out);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        out->plain = false;
        p = scan_exponent(p + 1, end, out);
        if (p == NULL) {
            return false;
        }
    }
    out->mantissa = state.mantissa;
    out->truncated = state.truncated;
    if (out->mantissa == 0) {
        out->lowest = 0;
        out->exponent = 0;
    }
    out->end = p;
    return true;
}

enum json_integer json_number_int64(const struct json_number *number, int64_t *out)
{
    uint64_t magnitude = number->mantissa;
    if (magnitude == 0) {
        *out = 0;
        return JSON_INTEGER_OK;
    }
    if (number->lowest < 0) {
        return JSON_INTEGER_FRACTION;
    }
    if (number->truncated || number->exponent >= MANTISSA_DIGITS) {
        return JSON_INTEGER_RANGE;
    }
    if (number->exponent < 0) {
        /* All digits that this takes away are zeros. */
        magnitude /= json_integer_powers_of_ten[-number->exponent];
    } else if (__builtin_mul_overflow(magnitude, json_integer_powers_of_ten[number->exponent],
                                      &magnitude)) {
        return JSON_INTEGER_RANGE;
    }
    if (magnitude > (uint64_t)INT64_MAX + number->negative) {
        return JSON_INTEGER_RANGE;
    }
    *out = number->negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return JSON_INTEGER_OK;
}

static const uint64_t powers_of_five[EXACT_POWER_MAX + 1] = {
    UINT64_C(1),
    UINT64_C(5),
    UINT64_C(25),
    UINT64_C(125),
    UINT64_C(625),
    UINT64_C(3125),
    UINT64_C(15625),
    UINT64_C(78125),
    UINT64_C(390625),
    UINT64_C(1953125),
    UINT64_C(9765625),
    UINT64_C(48828125),
    UINT64_C(244140625),
    UINT64_C(1220703125),
    UINT64_C(6103515625),
    UINT64_C(30517578125),
    UINT64_C(152587890625),
    UINT64_C(762939453125),
    UINT64_C(3814697265625),
    UINT64_C(19073486328125),
    UINT64_C(95367431640625),
    UINT64_C(476837158203125),
    UINT64_C(2384185791015625),
    UINT64_C(11920928955078125),
    UINT64_C(59604644775390625),
    UINT64_C(298023223876953125),
    UINT64_C(1490116119384765625),
    UINT64_C(7450580596923828125),
};

/* 2^exponent, for normal doubles. */
static double power_of_two(int exponent)
{
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* bits × 2^exponent, rounded to even; `sticky` stands for bits below. `bits` has its highest bit at
 * 61 or above; no result is subnormal or infinite here. */
static double round_bits(uint64_t bits, bool sticky, int exponent)
{
    int shift = 11 - __builtin_clzll(bits);
    check(shift > 0);
    uint64_t kept = bits >> shift;
    uint64_t rest = bits & ((UINT64_C(1) << shift) - 1);
    uint64_t half = UINT64_C(1) << (shift - 1);
    if (rest > half || (rest == half && (sticky || (kept & 1) != 0))) {
        kept++;
    }
    return (double)(int64_t)kept * power_of_two(exponent + shift);
}

double json_quotient_double(uint64_t mantissa, unsigned places)
{
    if (mantissa == 0) {
        return 0.0;
    }
    /* With both highest bits set, dividend << 62 over divisor is a quotient of 62 or 63 bits. */
    uint64_t divisor = powers_of_five[places];
    int lead = __builtin_clzll(mantissa);
    int divisor_lead = __builtin_clzll(divisor);
    divisor <<= divisor_lead;
    uint128 dividend = (uint128)(mantissa << lead) << 62;
    uint64_t quotient = (uint64_t)(dividend / divisor);
    bool sticky = (uint64_t)(dividend % divisor) != 0;
    return round_bits(quotient, sticky, divisor_lead - lead - 62 - (int)places);
}

/* mantissa × 10^exponent for 0 ≤ exponent ≤ 27. */
static double product_double(uint64_t mantissa, unsigned exponent)
{
    uint128 product = (uint128)mantissa * powers_of_five[exponent];
    uint64_t high = (uint64_t)(product >> 64);
    if (high == 0) {
        int lead = __builtin_clzll((uint64_t)product);
        return round_bits((uint64_t)product << lead, false, (int)exponent - lead);
    }
    int lead = __builtin_clzll(high);
    product <<= lead;
    return round_bits((uint64_t)(product >> 64), (uint64_t)product != 0, 64 - lead + (int)exponent);
}

/* For the rest: the library knows, and asked with its own locale it knows only the point. */
static double text_double(const struct json_number *number)
{
    size_t size = (size_t)(number->end - number->text);
    char stack[TEXT_STACK_BYTES];
    char *text = size < sizeof stack ? stack : memory_alloc(size_add(size, 1));
    memcpy(text, number->text, size);
    text[size] = '\0';
    locale_t locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    check(locale != (locale_t)0);
    double real = strtod_l(text, NULL, locale);
    freelocale(locale);
    if (text != stack) {
        memory_free(text);
    }
    return real;
}

bool json_number_double(const struct json_number *number, double *out)
{
    uint64_t mantissa = number->mantissa;
    int64_t exponent = number->exponent;
    double real;
    if (mantissa == 0) {
        real = 0.0;
    } else if (number->truncated || exponent < -EXACT_POWER_MAX || exponent > EXACT_POWER_MAX) {
        real = fabs(text_double(number));
        if (isinf(real)) {
            return false;
        }
    } else if (exponent < 0) {
        real = json_quotient_double(mantissa, (unsigned)-exponent);
    } else {
        real = product_double(mantissa, (unsigned)exponent);
    }
    *out = number->negative ? -real : real;
    return true;
}
