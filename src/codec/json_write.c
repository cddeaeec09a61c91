#include <math.h>
#include <string.h>

#include "codec/json.h"
#include "codec/json_decimal.h"

enum {
    DIGITS_MAX = 20,
    NUMBER_MAX = 48,
    PLAIN_POINT_MIN = -4, /* 0.000ddd is the smallest plain number, */
    PLAIN_POINT_MAX = 16, /* the largest has 16 digits before the point */
};

/* 0: stands as it is; 'u': as \u00XX; else the letter behind the backslash. */
static char escape_of(uint8_t byte)
{
    switch (byte) {
    case '"':
    case '\\':
        return (char)byte;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return byte < 0x20 ? 'u' : 0;
    }
}

/* How many bytes from `at` on stand for themselves, in whole words. */
static size_t plain_words(struct bytes utf8, size_t at)
{
    const uint64_t ones = UINT64_MAX / 0xFF;
    const uint64_t highs = ones * 0x80;
    size_t start = at;
    for (; utf8.size - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, utf8.data + at, sizeof word);
        uint64_t quotes = word ^ (ones * '"');
        uint64_t slashes = word ^ (ones * '\\');
        /* The high bit of a byte that was below what is taken off; a borrow from it may reach the
         * bytes above it, but there is none without it. */
        uint64_t special = ((word - ones * 0x20) & ~word) | ((quotes - ones) & ~quotes) |
                           ((slashes - ones) & ~slashes);
        if ((special & highs) != 0) {
            break;
        }
    }
    return at - start;
}

static void write_escaped(struct buffer *out, uint8_t byte, char escape)
{
    static const char hex[] = "0123456789abcdef";
    buffer_append_byte(out, '\\');
    buffer_append_byte(out, (uint8_t)escape);
    if (escape == 'u') {
        uint8_t digits[4] = {'0', '0', (uint8_t)hex[byte >> 4], (uint8_t)hex[byte & 15]};
        buffer_append(out, digits, sizeof digits);
    }
}

void json_write_string(struct buffer *out, struct bytes utf8)
{
    buffer_append_byte(out, '"');
    size_t start = 0;
    size_t at = plain_words(utf8, 0);
    while (at < utf8.size) {
        uint8_t byte = utf8.data[at++];
        char escape = byte >= 0x20 && byte != '"' && byte != '\\' ? 0 : escape_of(byte);
        if (escape != 0) {
            buffer_append(out, utf8.data + start, at - 1 - start);
            write_escaped(out, byte, escape);
            start = at;
            at += plain_words(utf8, at);
        }
    }
    if (utf8.size > start) {
        buffer_append(out, utf8.data + start, utf8.size - start);
    }
    buffer_append_byte(out, '"');
}

/* Returns how many digits it wrote. */
static unsigned digits_write(uint64_t value, char *to)
{
    char reversed[DIGITS_MAX];
    unsigned count = 0;
    do {
        reversed[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (unsigned i = 0; i < count; i++) {
        to[i] = reversed[count - 1 - i];
    }
    return count;
}

void json_write_int64(struct buffer *out, int64_t value)
{
    char text[DIGITS_MAX + 1];
    unsigned size = 0;
    uint64_t magnitude = (uint64_t)value;
    if (value < 0) {
        text[size++] = '-';
        magnitude = 0 - magnitude;
    }
    size += digits_write(magnitude, text + size);
    buffer_append(out, text, size);
}

/* 12.5, 0.00125, 1200.0: the point stands behind `point` digits. */
static unsigned plain_write(const char *digits, int count, int point, char *to)
{
    unsigned size = 0;
    if (point <= 0) {
        to[size++] = '0';
    }
    for (int i = 0; i < point; i++) {
        to[size++] = i < count ? digits[i] : '0';
    }
    to[size++] = '.';
    for (int i = point; i < 0; i++) {
        to[size++] = '0';
    }
    for (int i = point < 0 ? 0 : point; i < count; i++) {
        to[size++] = digits[i];
    }
    if (point >= count) {
        to[size++] = '0';
    }
    return size;
}

/* 1.25e-7, 1e22. */
static unsigned exponent_write(const char *digits, int count, int point, char *to)
{
    unsigned size = 0;
    to[size++] = digits[0];
    if (count > 1) {
        to[size++] = '.';
        memcpy(to + size, digits + 1, (size_t)count - 1);
        size += (unsigned)count - 1;
    }
    to[size++] = 'e';
    int exponent = point - 1;
    if (exponent < 0) {
        to[size++] = '-';
        exponent = -exponent;
    }
    return size + digits_write((uint64_t)exponent, to + size);
}

void json_write_double(struct buffer *out, double value)
{
    if (!isfinite(value)) {
        buffer_append_string(out, "null");
        return;
    }
    char text[NUMBER_MAX];
    char digits[DIGITS_MAX];
    unsigned size = 0;
    int count = 1;
    int point = 1;
    digits[0] = '0';
    if (value != 0) {
        struct json_decimal decimal = json_decimal_shortest(fabs(value));
        count = (int)digits_write(decimal.digits, digits);
        point = count + decimal.exponent;
    }
    if (signbit(value)) {
        text[size++] = '-';
    }
    if (point > PLAIN_POINT_MIN && point <= PLAIN_POINT_MAX) {
        size += plain_write(digits, count, point, text + size);
    } else {
        size += exponent_write(digits, count, point, text + size);
    }
    buffer_append(out, text, size);
}

void json_write_value(struct buffer *out, const struct value *value)
{
    switch (value->type) {
    case VALUE_NULL:
        buffer_append_string(out, "null");
        return;
    case VALUE_BOOL:
        buffer_append_string(out, value->boolean ? "true" : "false");
        return;
    case VALUE_INT64:
        json_write_int64(out, value->integer);
        return;
    case VALUE_DOUBLE:
        json_write_double(out, value->real);
        return;
    case VALUE_TEXT:
        json_write_string(out, value->text);
        return;
    case VALUE_JSON:
        buffer_append(out, value->text.data, value->text.size);
        return;
    }
    check(false);
}
