#include "batch/value.h"

#include <endian.h>
#include <math.h>
#include <string.h>

/* 2^63: the first double above int64. */
#define INT64_END 9223372036854775808.0

enum { HASH_STACK_BYTES = 512 };

/* An integral double of int64's range, so that it may stand for the integer. */
static bool real_is_int64(double real, int64_t *out_integer)
{
    if (!(real >= -INT64_END && real < INT64_END) || real != trunc(real)) {
        return false;
    }
    *out_integer = (int64_t)real;
    return true;
}

/* The one form of all values that are equal; what value_equal() and value_hash() look at. */
static struct value value_canonical(const struct value *value)
{
    struct value canonical = *value;
    if (value->type == VALUE_DOUBLE) {
        int64_t integer;
        if (real_is_int64(value->real, &integer)) {
            canonical = (struct value){.type = VALUE_INT64, .integer = integer};
        } else if (isnan(value->real)) {
            canonical.real = (double)NAN;
        }
    }
    return canonical;
}

struct hash128 value_hash(const struct hash_secret *secret, const struct value *values,
                          uint32_t count)
{
    uint8_t stack[HASH_STACK_BYTES];
    stack[0] = 0; /* No values at all are hashed from here, too. */
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool sized = values[i].type == VALUE_TEXT || values[i].type == VALUE_JSON;
        size = size_add(size, size_add(sized ? values[i].text.size : 0, 9));
    }
    uint8_t *form = size <= sizeof stack ? stack : memory_alloc(size);
    uint8_t *at = form;
    for (uint32_t i = 0; i < count; i++) {
        struct value value = value_canonical(&values[i]);
        *at++ = (uint8_t)value.type;
        uint64_t word = 0;
        switch (value.type) {
        case VALUE_NULL:
            break;
        case VALUE_BOOL:
            word = value.boolean;
            break;
        case VALUE_INT64:
            word = (uint64_t)value.integer;
            break;
        case VALUE_DOUBLE:
            memcpy(&word, &value.real, sizeof word);
            break;
        case VALUE_TEXT:
        case VALUE_JSON:
            word = value.text.size;
            break;
        }
        /* The byte order of the machine would change hashes that a state store keeps. */
        word = htole64(word);
        memcpy(at, &word, sizeof word);
        at += sizeof word;
        if ((value.type == VALUE_TEXT || value.type == VALUE_JSON) && value.text.size > 0) {
            memcpy(at, value.text.data, value.text.size);
            at += value.text.size;
        }
    }
    struct hash128 hash = hash_bytes(secret, form, (size_t)(at - form));
    if (form != stack) {
        memory_free(form);
    }
    return hash;
}

static int text_compare(struct bytes a, struct bytes b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    if (order == 0) {
        return (a.size > b.size) - (a.size < b.size);
    }
    return order < 0 ? -1 : 1;
}

bool value_equal(const struct value *a, const struct value *b)
{
    return value_compare(a, b) == 0;
}

/* NaN before all numbers, so that the order is total. */
static int real_compare(double a, double b)
{
    if (isnan(a) || isnan(b)) {
        return (isnan(b) != 0) - (isnan(a) != 0);
    }
    return (a > b) - (a < b);
}

/* Exact: converting the integer to double would make neighbours equal. */
static int integer_compare_real(int64_t integer, double real)
{
    if (isnan(real) || real < -INT64_END) {
        return 1;
    }
    if (real >= INT64_END) {
        return -1;
    }
    int64_t whole = (int64_t)real;
    if (integer != whole) {
        return integer < whole ? -1 : 1;
    }
    double fraction = real - (double)whole;
    return (fraction < 0) - (fraction > 0);
}

static int number_compare(const struct value *a, const struct value *b)
{
    if (a->type == VALUE_INT64) {
        if (b->type == VALUE_INT64) {
            return (a->integer > b->integer) - (a->integer < b->integer);
        }
        return integer_compare_real(a->integer, b->real);
    }
    if (b->type == VALUE_INT64) {
        return -integer_compare_real(b->integer, a->real);
    }
    return real_compare(a->real, b->real);
}

int value_compare(const struct value *a, const struct value *b)
{
    static const uint8_t ranks[] = {
        [VALUE_NULL] = 0,   [VALUE_BOOL] = 1, [VALUE_INT64] = 2,
        [VALUE_DOUBLE] = 2, [VALUE_TEXT] = 3, [VALUE_JSON] = 4,
    };
    if (ranks[a->type] != ranks[b->type]) {
        return ranks[a->type] < ranks[b->type] ? -1 : 1;
    }
    switch (a->type) {
    case VALUE_NULL:
        return 0;
    case VALUE_BOOL:
        return (int)a->boolean - (int)b->boolean;
    case VALUE_INT64:
    case VALUE_DOUBLE:
        return number_compare(a, b);
    case VALUE_TEXT:
    case VALUE_JSON:
        return text_compare(a->text, b->text);
    }
    check(false);
}

void value_write(const struct value *value, struct buffer *out)
{
    buffer_append_u8(out, (uint8_t)value->type);
    uint64_t bits;
    switch (value->type) {
    case VALUE_NULL:
        return;
    case VALUE_BOOL:
        buffer_append_u8(out, value->boolean ? 1 : 0);
        return;
    case VALUE_INT64:
        buffer_append_u64(out, (uint64_t)value->integer);
        return;
    case VALUE_DOUBLE:
        memcpy(&bits, &value->real, sizeof bits);
        buffer_append_u64(out, bits);
        return;
    case VALUE_TEXT:
    case VALUE_JSON:
        buffer_append_sized(out, value->text.data, value->text.size);
        return;
    }
    check(false);
}

struct value value_read(struct reader *reader)
{
    struct value value = {.type = VALUE_NULL};
    uint8_t type = reader_u8(reader);
    uint8_t boolean;
    uint64_t bits;
    switch (type) {
    case VALUE_NULL:
        break;
    case VALUE_BOOL:
        boolean = reader_u8(reader);
        reader->failed = reader->failed || boolean > 1;
        value = (struct value){.type = VALUE_BOOL, .boolean = boolean == 1};
        break;
    case VALUE_INT64:
        value = (struct value){.type = VALUE_INT64, .integer = (int64_t)reader_u64(reader)};
        break;
    case VALUE_DOUBLE:
        bits = reader_u64(reader);
        value.type = VALUE_DOUBLE;
        memcpy(&value.real, &bits, sizeof bits);
        break;
    case VALUE_TEXT:
    case VALUE_JSON:
        value.type = (enum value_type)type;
        value.text = reader_sized(reader);
        break;
    default:
        reader->failed = true;
        break;
    }
    return reader->failed ? (struct value){.type = VALUE_NULL} : value;
}
