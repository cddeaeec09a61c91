#include "sql/sql.h"

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Decimal exponents beyond this are all the same: the number is 0 or it is not. */
#define EXPONENT_MAX 100000

/* Reads an optional exponent; 0 when there is none. */
static int read_exponent(struct bytes text, size_t at)
{
    if (at >= text.size || (text.data[at] | 0x20) != 'e') {
        return 0;
    }
    at++;
    bool negative = at < text.size && text.data[at] == '-';
    if (at < text.size && (text.data[at] == '-' || text.data[at] == '+')) {
        at++;
    }
    int exponent = 0;
    for (; at < text.size && is_digit(text.data[at]) && exponent < EXPONENT_MAX; at++) {
        exponent = exponent * 10 + (text.data[at] - '0');
    }
    return negative ? -exponent : exponent;
}

/* The smallest power of ten whose multiples by 1…9 a double can tell from 0. */
#define LEAST_POWER (-323)

/* Whether the number that the text begins with is other than 0, as SQLite's cast to REAL would
 * find. */
static bool prefix_is_nonzero(struct bytes text)
{
    size_t at = 0;
    while (at < text.size && is_space(text.data[at])) {
        at++;
    }
    if (at < text.size && (text.data[at] == '-' || text.data[at] == '+')) {
        at++;
    }
    /* Power of ten of the first digit that is not 0, counted from the point. */
    long power = 0;
    bool nonzero = false;
    for (; at < text.size && is_digit(text.data[at]); at++) {
        power += nonzero ? 1 : 0;
        nonzero = nonzero || text.data[at] != '0';
    }
    if (at < text.size && text.data[at] == '.') {
        for (at++; at < text.size && is_digit(text.data[at]); at++) {
            power -= nonzero ? 0 : 1;
            nonzero = nonzero || text.data[at] != '0';
        }
    }
    return nonzero && power + read_exponent(text, at) >= LEAST_POWER;
}

bool sql_is_true(const struct value *value, bool *out_null)
{
    *out_null = value->type == VALUE_NULL;
    switch (value->type) {
    case VALUE_NULL:
        return false;
    case VALUE_BOOL:
        return value->boolean;
    case VALUE_INT64:
        return value->integer != 0;
    case VALUE_DOUBLE:
        return value->real < 0 || value->real > 0;
    case VALUE_TEXT:
    case VALUE_JSON:
        return prefix_is_nonzero(value->text);
    }
    return false;
}
