/* duration, json-pointer, relative-json-pointer, uri-template, regex. */
#include <string.h>

#include "schema/ascii.h"
#include "schema/format.h"
#include "schema/pattern.h"

/* --- duration --- */

/* Digits, then one of `units`: its index, or -1. */
static int read_part(struct bytes text, size_t *inout_at, const char *units)
{
    size_t at = *inout_at;
    while (at < text.size && ascii_is_digit(text.data[at])) {
        at++;
    }
    const char *unit = at > *inout_at && at < text.size && text.data[at] != '\0'
                           ? strchr(units, text.data[at])
                           : NULL;
    *inout_at = at + 1;
    return unit == NULL ? -1 : (int)(unit - units);
}

/* Parts with units that follow one another: 1Y2M, 2M3D, but not 1Y3D. */
static bool read_parts(struct bytes text, size_t *inout_at, const char *units)
{
    int last = -1;
    while (*inout_at < text.size && text.data[*inout_at] != 'T') {
        int unit = read_part(text, inout_at, units);
        if (unit < 0 || (last >= 0 && unit != last + 1)) {
            return false;
        }
        last = unit;
    }
    return last >= 0;
}

/* RFC 3339, appendix A. */
bool format_is_duration(struct bytes text)
{
    size_t at = 1;
    if (text.size < 3 || text.data[0] != 'P') {
        return false;
    }
    if (text.data[text.size - 1] == 'W') {
        return read_part(text, &at, "W") == 0 && at == text.size;
    }
    if (text.data[at] != 'T' && !read_parts(text, &at, "YMD")) {
        return false;
    }
    if (at == text.size) {
        return true;
    }
    at++;
    return read_parts(text, &at, "HMS") && at == text.size;
}

/* --- JSON pointers --- */

/* RFC 6901, section 3. */
bool format_is_json_pointer(struct bytes text)
{
    if (text.size > 0 && text.data[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '~' &&
            (i + 1 == text.size || (text.data[i + 1] != '0' && text.data[i + 1] != '1'))) {
            return false;
        }
    }
    return true;
}

/* draft-bhutton-relative-json-pointer-00: levels up, an index to move by, a pointer or "#". */
bool format_is_relative_json_pointer(struct bytes text)
{
    size_t at = 0;
    for (int part = 0; part < 2; part++) {
        if (part == 1) {
            if (at == text.size || (text.data[at] != '+' && text.data[at] != '-')) {
                break;
            }
            at++;
        }
        size_t first = at;
        while (at < text.size && ascii_is_digit(text.data[at])) {
            at++;
        }
        bool leading_zero = at - first > 1 && text.data[first] == '0';
        if (at == first || leading_zero || (part == 1 && text.data[first] == '0')) {
            return false;
        }
    }
    struct bytes rest = bytes_of(text.data + at, text.size - at);
    return (rest.size == 1 && rest.data[0] == '#') || format_is_json_pointer(rest);
}

/* --- uri-template --- */

static bool is_encoded(struct bytes text, size_t at)
{
    return text.size - at >= 3 && text.data[at] == '%' && ascii_is_hex(text.data[at + 1]) &&
           ascii_is_hex(text.data[at + 2]);
}

/* varname, with dots only between its characters. */
static bool read_variable(struct bytes text, size_t *inout_at)
{
    size_t at = *inout_at;
    size_t first = at;
    while (at < text.size) {
        if (is_encoded(text, at)) {
            at += 3;
        } else if (ascii_is_alnum(text.data[at]) || text.data[at] == '_' ||
                   (text.data[at] == '.' && at > first && text.data[at - 1] != '.')) {
            at++;
        } else {
            break;
        }
    }
    *inout_at = at;
    return at > first && text.data[at - 1] != '.';
}

/* ":" and a number below 10000, or "*". */
static bool read_modifier(struct bytes text, size_t *inout_at)
{
    size_t at = *inout_at;
    if (at < text.size && text.data[at] == '*') {
        *inout_at = at + 1;
        return true;
    }
    if (at == text.size || text.data[at] != ':') {
        return true;
    }
    size_t first = ++at;
    while (at < text.size && ascii_is_digit(text.data[at])) {
        at++;
    }
    *inout_at = at;
    return at > first && at - first <= 4 && text.data[first] != '0';
}

/* Behind "{", up to and with "}". */
static bool read_expression(struct bytes text, size_t *inout_at)
{
    static const char operators[] = "+#./;?&=,!@|";
    size_t at = *inout_at;
    if (at < text.size && memchr(operators, text.data[at], sizeof operators - 1) != NULL) {
        at++;
    }
    for (;; at++) {
        if (!read_variable(text, &at) || !read_modifier(text, &at) || at == text.size) {
            return false;
        }
        if (text.data[at] == '}') {
            *inout_at = at + 1;
            return true;
        }
        if (text.data[at] != ',') {
            return false;
        }
    }
}

/* RFC 6570, section 2. */
bool format_is_uri_template(struct bytes text)
{
    /* The apostrophe is allowed by erratum 6937. */
    static const char excluded[] = "\"<>\\^`{|}";
    size_t at = 0;
    while (at < text.size) {
        uint8_t byte = text.data[at];
        if (byte == '{') {
            at++;
            if (!read_expression(text, &at)) {
                return false;
            }
        } else if (byte == '%') {
            if (!is_encoded(text, at)) {
                return false;
            }
            at += 3;
        } else if (byte <= 0x20 || byte == 0x7F ||
                   memchr(excluded, byte, sizeof excluded - 1) != NULL) {
            return false;
        } else {
            at++;
        }
    }
    return true;
}

bool format_is_regex(struct bytes text)
{
    return pattern_is_valid(text);
}
