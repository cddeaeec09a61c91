#include "connector/postgres/jsonb.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>


/* Of numeric, see make_result() in PostgreSQL's numeric.c: a power of 10,000, and digits shown behind
 * the point. */
#define WEIGHT_MOST 32767
#define SCALE_MOST 16383

struct text_reader {
    const uint8_t *at, *end;
    uint32_t depth;
    size_t written; /* bytes of numbers and strings */
    struct buffer string; /* the last one, without escapes */
};

struct member {
    size_t key_at, key_size;     /* in the buffer of all members, without escapes */
    size_t value_at, value_size;
    const uint8_t *texts;        /* that buffer, once it moves no more */
};

static bool write_value(struct text_reader *in, struct buffer *out);

static void skip_spaces(struct text_reader *in)
{
    while (in->at < in->end &&
           (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r')) {
        in->at++;
    }
}

static bool take(struct text_reader *in, uint8_t byte)
{
    if (in->at < in->end && *in->at == byte) {
        in->at++;
        return true;
    }
    return false;
}

/* Behind spaces. */
static bool take_sign(struct text_reader *in, uint8_t byte)
{
    skip_spaces(in);
    return take(in, byte);
}

static bool count_bytes(struct text_reader *in, size_t size)
{
    in->written += size;
    return in->written <= JSONB_BYTES_MOST;
}

/* --- strings --- */

/* -1: there are no four hexadecimal digits. */
static int32_t take_unit(struct text_reader *in)
{
    int32_t unit = 0;
    for (int i = 0; i < 4; i++, in->at++) {
        if (in->at == in->end) {
            return -1;
        }
        uint8_t byte = *in->at;
        uint8_t small = byte | 0x20;
        if (byte >= '0' && byte <= '9') {
            unit = unit * 16 + byte - '0';
        } else if (small >= 'a' && small <= 'f') {
            unit = unit * 16 + small - 'a' + 10;
        } else {
            return -1;
        }
    }
    return unit;
}

/* Behind "\u". 0: it cannot be stored. */
static uint32_t take_code_point(struct text_reader *in)
{
    int32_t high = take_unit(in);
    if (high < 0xD800 || high > 0xDFFF) {
        return high < 0 ? 0 : (uint32_t)high;
    }
    if (high > 0xDBFF || !take(in, '\\') || !take(in, 'u')) {
        return 0;
    }
    int32_t low = take_unit(in);
    return low < 0xDC00 || low > 0xDFFF
               ? 0
               : 0x10000 + ((uint32_t)high - 0xD800) * 1024 + ((uint32_t)low - 0xDC00);
}

static void append_utf8(uint32_t code_point, struct buffer *out)
{
    if (code_point < 0x80) {
        buffer_append_byte(out, (uint8_t)code_point);
    } else if (code_point < 0x800) {
        buffer_append_byte(out, (uint8_t)(0xC0 | code_point >> 6));
        buffer_append_byte(out, (uint8_t)(0x80 | (code_point & 63)));
    } else if (code_point < 0x10000) {
        buffer_append_byte(out, (uint8_t)(0xE0 | code_point >> 12));
        buffer_append_byte(out, (uint8_t)(0x80 | (code_point >> 6 & 63)));
        buffer_append_byte(out, (uint8_t)(0x80 | (code_point & 63)));
    } else {
        buffer_append_byte(out, (uint8_t)(0xF0 | code_point >> 18));
        buffer_append_byte(out, (uint8_t)(0x80 | (code_point >> 12 & 63)));
        buffer_append_byte(out, (uint8_t)(0x80 | (code_point >> 6 & 63)));
        buffer_append_byte(out, (uint8_t)(0x80 | (code_point & 63)));
    }
}

/* Letters behind a backslash, and what they stand for. */
static const char escapes[] = "bfnrt\"\\/";
static const char escaped[] = "\b\f\n\r\t\"\\/";

static bool take_escape(struct text_reader *in, struct buffer *out)
{
    if (take(in, 'u')) {
        uint32_t code_point = take_code_point(in);
        append_utf8(code_point, out);
        return code_point != 0;
    }
    const char *escape =
        in->at == in->end || *in->at == '\0' ? NULL : strchr(escapes, (char)*in->at);
    if (escape == NULL) {
        return false;
    }
    in->at++;
    buffer_append_byte(out, (uint8_t)escaped[escape - escapes]);
    return true;
}

/* Into in->string. */
static bool take_string(struct text_reader *in)
{
    buffer_clear(&in->string);
    if (!take(in, '"')) {
        return false;
    }
    while (in->at < in->end && *in->at != '"') {
        const uint8_t *start = in->at;
        while (in->at < in->end && *in->at != '"' && *in->at != '\\') {
            in->at++;
        }
        buffer_append(&in->string, start, (size_t)(in->at - start));
        if (take(in, '\\') && !take_escape(in, &in->string)) {
            return false;
        }
    }
    return take(in, '"') && count_bytes(in, in->string.size);
}

/* As the server's escape_json(). */
static void append_escaped(struct bytes text, struct buffer *out)
{
    buffer_append_byte(out, '"');
    size_t start = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte >= ' ' && byte != '"' && byte != '\\') {
            continue;
        }
        buffer_append(out, text.data + start, i - start);
        start = i + 1;
        const char *letter = strchr(escaped, (char)byte);
        if (letter != NULL) {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, (uint8_t)escapes[letter - escaped]);
        } else {
            buffer_printf(out, "\\u%04x", byte);
        }
    }
    buffer_append(out, text.data + start, text.size - start);
    buffer_append_byte(out, '"');
}

/* --- numbers --- */

static size_t take_digits(struct text_reader *in)
{
    const uint8_t *start = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
        in->at++;
    }
    return (size_t)(in->at - start);
}

/* Behind "e". False where the server finds it too great. */
static bool take_exponent(struct text_reader *in, int64_t *out)
{
    bool is_negative = in->at < in->end && *in->at == '-';
    in->at += in->at < in->end && (*in->at == '-' || *in->at == '+');
    const uint8_t *at = in->at;
    size_t count = take_digits(in);
    int64_t exponent = 0;
    for (size_t i = 0; i < count && exponent < INT_MAX; i++) {
        exponent = exponent * 10 + at[i] - '0';
    }
    *out = is_negative ? -exponent : exponent;
    return count > 0 && exponent < INT_MAX / 2;
}

/* The digit of that index, which may be before or behind them all. */
static uint8_t digit_at(const struct buffer *digits, int64_t index)
{
    return index < 0 || index >= (int64_t)digits->size ? '0' : digits->data[index];
}

/* What numeric shows: `point` digits stand before the point, `scale` are shown behind it. */
static bool write_digits(struct text_reader *in, const struct buffer *digits, bool is_negative,
                         int64_t point, int64_t scale, struct buffer *out)
{
    int64_t first = 0;
    while (first < (int64_t)digits->size && digits->data[first] == '0') {
        first++;
    }
    bool is_zero = first == (int64_t)digits->size;
    int64_t whole = is_zero || point <= first ? 0 : point - first; /* digits before the point */
    if (scale > SCALE_MOST || whole > ((int64_t)WEIGHT_MOST + 1) * 4 ||
        !count_bytes(in, (size_t)(whole + scale) + 3)) {
        return false;
    }
    if (is_negative && !is_zero) {
        buffer_append_byte(out, '-');
    }
    if (whole == 0) {
        buffer_append_byte(out, '0');
    }
    for (int64_t i = point - whole; i < point; i++) {
        buffer_append_byte(out, digit_at(digits, i));
    }
    if (scale > 0) {
        buffer_append_byte(out, '.');
    }
    for (int64_t i = 0; i < scale; i++) {
        buffer_append_byte(out, is_zero ? '0' : digit_at(digits, point + i));
    }
    return true;
}

static bool write_number(struct text_reader *in, struct buffer *out)
{
    bool is_negative = take(in, '-');
    struct buffer *digits = &in->string;
    buffer_clear(digits);
    const uint8_t *start = in->at;
    size_t whole = take_digits(in);
    buffer_append(digits, start, whole);
    size_t fraction = 0;
    if (take(in, '.')) {
        start = in->at;
        fraction = take_digits(in);
        buffer_append(digits, start, fraction);
    }
    int64_t exponent = 0;
    if ((take(in, 'e') || take(in, 'E')) && !take_exponent(in, &exponent)) {
        return false;
    }
    int64_t scale = (int64_t)fraction - exponent;
    return whole > 0 && write_digits(in, digits, is_negative, (int64_t)whole + exponent,
                                     scale < 0 ? 0 : scale, out);
}

/* --- containers --- */

static bool write_array(struct text_reader *in, struct buffer *out)
{
    buffer_append_byte(out, '[');
    if (take_sign(in, ']')) {
        buffer_append_byte(out, ']');
        return true;
    }
    do {
        if (!write_value(in, out)) {
            return false;
        }
        skip_spaces(in);
        bool goes_on = in->at < in->end && *in->at == ',';
        buffer_append_string(out, goes_on ? ", " : "]");
    } while (take(in, ','));
    return take(in, ']');
}

/* By length, then by bytes; of equal keys the later one first. */
static int compare_members(const void *left, const void *right)
{
    const struct member *a = left;
    const struct member *b = right;
    if (a->key_size != b->key_size) {
        return a->key_size < b->key_size ? -1 : 1;
    }
    int order = memcmp(a->texts + a->key_at, b->texts + b->key_at, a->key_size);
    return order != 0 ? order : (a->value_at > b->value_at ? -1 : 1);
}

static bool same_key(const struct member *a, const struct member *b)
{
    return a->key_size == b->key_size &&
           memcmp(a->texts + a->key_at, b->texts + b->key_at, a->key_size) == 0;
}

static void write_members(struct member *members, size_t count, const struct buffer *texts,
                          struct buffer *out)
{
    for (size_t i = 0; i < count; i++) {
        members[i].texts = texts->data;
    }
    if (count > 1) {
        qsort(members, count, sizeof *members, compare_members);
    }
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < count; i++) {
        const struct member *member = &members[i];
        if (i > 0 && same_key(member, member - 1)) {
            continue;
        }
        buffer_append_string(out, i == 0 ? "" : ", ");
        append_escaped(bytes_of(texts->data + member->key_at, member->key_size), out);
        buffer_append_string(out, ": ");
        buffer_append(out, texts->data + member->value_at, member->value_size);
    }
    buffer_append_byte(out, '}');
}

static bool take_member(struct text_reader *in, struct buffer *texts, struct member *member)
{
    skip_spaces(in);
    if (!take_string(in)) {
        return false;
    }
    member->key_at = texts->size;
    member->key_size = in->string.size;
    buffer_append(texts, in->string.data, in->string.size);
    member->value_at = texts->size;
    bool is_taken = take_sign(in, ':') && write_value(in, texts);
    member->value_size = texts->size - member->value_at;
    return is_taken;
}

static bool write_object(struct text_reader *in, struct buffer *out)
{
    struct buffer texts = {0};
    struct member *members = NULL;
    size_t count = 0;
    size_t capacity = 0;
    bool is_good = true;
    bool is_end = take_sign(in, '}');
    while (is_good && !is_end) {
        if (count == capacity) {
            capacity = capacity == 0 ? 8 : size_mul(capacity, 2);
            members = memory_realloc(members, size_mul(capacity, sizeof *members));
        }
        is_good = take_member(in, &texts, &members[count++]);
        is_end = is_good && take_sign(in, '}');
        is_good = is_good && (is_end || take(in, ','));
    }
    if (is_good) {
        write_members(members, count, &texts, out);
    }
    memory_free(members);
    buffer_fini(&texts);
    return is_good;
}

static bool write_container(struct text_reader *in, struct buffer *out)
{
    if (++in->depth > JSONB_DEPTH_MOST) {
        return false;
    }
    bool is_good = take(in, '{') ? write_object(in, out) : (in->at++, write_array(in, out));
    in->depth--;
    return is_good;
}

/* --- values --- */

static bool write_word(struct text_reader *in, struct buffer *out)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t size = strlen(words[i]);
        if ((size_t)(in->end - in->at) >= size && memcmp(in->at, words[i], size) == 0) {
            in->at += size;
            buffer_append(out, words[i], size);
            return true;
        }
    }
    return false;
}

static bool write_value(struct text_reader *in, struct buffer *out)
{
    skip_spaces(in);
    if (in->at == in->end) {
        return false;
    }
    switch (*in->at) {
    case '{':
    case '[':
        return write_container(in, out);
    case '"':
        if (!take_string(in)) {
            return false;
        }
        append_escaped(bytes_of(in->string.data, in->string.size), out);
        return true;
    case 't':
    case 'f':
    case 'n':
        return write_word(in, out);
    default:
        return write_number(in, out);
    }
}

bool jsonb_write(struct bytes json, struct buffer *out)
{
    struct text_reader in = {.at = json.data, .end = json.data + json.size};
    size_t size = out->size;
    bool is_good = json.size > 0 && write_value(&in, out);
    skip_spaces(&in);
    is_good = is_good && in.at == in.end;
    if (!is_good) {
        out->size = size;
    }
    buffer_fini(&in.string);
    return is_good;
}
