#include "doc/scalar.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_of(const char *text, size_t size, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strlen(*words) == size && memcmp(text, *words, size) == 0) {
            return true;
        }
    }
    return false;
}

static size_t span(const char *text, size_t size, size_t at, const char *set)
{
    size_t start = at;
    while (at < size && text[at] != '\0' && strchr(set, text[at]) != NULL) {
        at++;
    }
    return at - start;
}

#define DIGITS "0123456789"

/* [-+]?[0-9]+ with base 10, 0o[0-7]+ with base 8, 0x[0-9a-fA-F]+ with base 16; else 0. */
static int integer_base(const char *text, size_t size)
{
    if (size > 2 && text[0] == '0' && text[1] == 'o') {
        return span(text, size, 2, "01234567") == size - 2 ? 8 : 0;
    }
    if (size > 2 && text[0] == '0' && text[1] == 'x') {
        return span(text, size, 2, DIGITS "abcdefABCDEF") == size - 2 ? 16 : 0;
    }
    size_t sign = size > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    return size > sign && span(text, size, sign, DIGITS) == size - sign ? 10 : 0;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_real(const char *text, size_t size)
{
    size_t at = size > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    size_t whole = span(text, size, at, DIGITS);
    at += whole;
    if (at < size && text[at] == '.') {
        size_t fraction = span(text, size, at + 1, DIGITS);
        if (whole + fraction == 0) {
            return false;
        }
        at += 1 + fraction;
    } else if (whole == 0) {
        return false;
    }
    if (at < size && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        at += at < size && (text[at] == '-' || text[at] == '+') ? 1 : 0;
        size_t exponent = span(text, size, at, DIGITS);
        if (exponent == 0) {
            return false;
        }
        at += exponent;
    }
    return at == size;
}

static bool is_not_finite(const char *text, size_t size)
{
    static const char *const infinite[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const not_a_number[] = {".nan", ".NaN", ".NAN", NULL};
    size_t sign = size > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    return is_one_of(text + sign, size - sign, infinite) || is_one_of(text, size, not_a_number);
}

static enum scalar_outcome number_resolve(const char *text, size_t size, struct scalar *out)
{
    int base = integer_base(text, size);
    if (base != 0) {
        errno = 0;
        long long value = strtoll(base == 10 ? text : text + 2, NULL, base);
        if (errno == ERANGE) {
            return SCALAR_INTEGER_TOO_LARGE;
        }
        *out = (struct scalar){.kind = DOC_INT, .integer = value};
    } else if (is_real(text, size)) {
        double value = strtod(text, NULL);
        if (!isfinite(value)) {
            return SCALAR_NUMBER_TOO_LARGE;
        }
        *out = (struct scalar){.kind = DOC_DOUBLE, .real = value};
    } else if (is_not_finite(text, size)) {
        return SCALAR_NOT_FINITE;
    } else {
        *out = (struct scalar){.kind = DOC_STRING};
    }
    return SCALAR_FITS;
}

enum scalar_outcome scalar_resolve(const char *text, size_t size, struct scalar *out)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    if (is_one_of(text, size, nulls)) {
        *out = (struct scalar){.kind = DOC_NULL};
    } else if (is_one_of(text, size, trues)) {
        *out = (struct scalar){.kind = DOC_BOOL, .boolean = true};
    } else if (is_one_of(text, size, falses)) {
        *out = (struct scalar){.kind = DOC_BOOL, .boolean = false};
    } else {
        return number_resolve(text, size, out);
    }
    return SCALAR_FITS;
}
