#include "batch/value.h"

#include <endian.h>
#include <math.h>
#include <string.h>

/* 2^63: the first double above int64. */
#define INT64_END 9223372036854775808.0

enum {
    HASH_STACK_BYTES = 512,
    FORM_HEAD_BYTES = 9,
};

/* An integral double of int64's range, so that it may stand for the integer. */
static bool real_is_int64(double real, int64_t *out_integer)
{
    if (!(real >= -INT64_END && real < INT64_END)) {
        return false;
    }
    *out_integer = (int64_t)real;
    return (double)*out_integer == real;
}

/* The one form of all numbers that are equal: the type, and the bits of the number. */
static enum value_type canonical_number(double real, uint64_t *out_bits)
{
    int64_t integer;
    if (real_is_int64(real, &integer)) {
        *out_bits = (uint64_t)integer;
        return VALUE_INT64;
    }
    if (isnan(real)) {
        real = (double)NAN;
    }
    memcpy(out_bits, &real, sizeof *out_bits);
    return VALUE_DOUBLE;
}

static inline bool is_text(const struct value *value)
{
    return value->type == VALUE_TEXT || value->type == VALUE_JSON;
}

/* What is hashed of one value, the same for all values that are equal: type, word, text. Behind
 * it. */
static inline uint8_t *write_form(uint8_t *at, const struct value *value)
{
    enum value_type type = value->type;
    uint64_t word = 0;
    size_t text_bytes = 0;
    switch (type) {
    case VALUE_NULL:
        break;
    case VALUE_BOOL:
        word = value->boolean;
        break;
    case VALUE_INT64:
        word = (uint64_t)value->integer;
        break;
    case VALUE_DOUBLE:
        type = canonical_number(value->real, &word);
        break;
    case VALUE_TEXT:
    case VALUE_JSON:
        word = text_bytes = value->text.size;
        break;
    }
    *at++ = (uint8_t)type;
    /* The byte order of the machine would change hashes that a state store keeps. */
    word = htole64(word);
    memcpy(at, &word, sizeof word);
    at += sizeof word;
    if (text_bytes > 0) {
        memcpy(at, value->text.data, text_bytes);
    }
    return at + text_bytes;
}

struct hash128 value_hash(const struct hash_secret *secret, const struct value *values,
                          uint32_t count)
{
    uint8_t stack[HASH_STACK_BYTES];
    stack[0] = 0; /* No values at all are hashed from here, too. */
    size_t size = size_mul(count, FORM_HEAD_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        size = size_add(size, is_text(&values[i]) ? values[i].text.size : 0);
    }
    uint8_t *form = size <= sizeof stack ? stack : memory_alloc(size);
    uint8_t *at = form;
    for (uint32_t i = 0; i < count; i++) {
        at = write_form(at, &values[i]);
    }
    struct hash128 hash = hash_bytes(secret, form, (size_t)(at - form));
    if (form != stack) {
        memory_free(form);
    }
    return hash;
}

struct hash128 value_hash_text(const struct hash_secret *secret, struct bytes text)
{
    enum { USUAL_BYTES = 64 };
    if (text.size == 0 || text.size > USUAL_BYTES) {
        const struct value value = {.type = VALUE_TEXT, .text = text};
        return value_hash(secret, &value, 1);
    }
    uint8_t form[FORM_HEAD_BYTES + USUAL_BYTES];
    uint64_t word = htole64(text.size);
    form[0] = VALUE_TEXT;
    memcpy(form + 1, &word, sizeof word);
    memcpy(form + FORM_HEAD_BYTES, text.data, text.size);
    return hash_bytes(secret, form, FORM_HEAD_BYTES + text.size);
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

/* The type and eight bytes. */
static void write_word(struct buffer *out, enum value_type type, uint64_t word)
{
    uint8_t *at = buffer_reserve(out, 9);
    word = htole64(word);
    at[0] = (uint8_t)type;
    memcpy(at + 1, &word, sizeof word);
    out->size += 9;
}

/* The type, the size and the text. */
static void write_text(struct buffer *out, enum value_type type, struct bytes text)
{
    /* The form cannot say more; the limits of the callers are far below. */
    check(text.size <= UINT32_MAX);
    uint8_t *at = buffer_reserve(out, text.size + 5);
    uint32_t size = htole32((uint32_t)text.size);
    at[0] = (uint8_t)type;
    memcpy(at + 1, &size, sizeof size);
    if (text.size > 0) {
        memcpy(at + 5, text.data, text.size);
    }
    out->size += text.size + 5;
}

void value_write(const struct value *value, struct buffer *out)
{
    uint64_t bits;
    switch (value->type) {
    case VALUE_NULL:
        buffer_append_u8(out, VALUE_NULL);
        return;
    case VALUE_BOOL:
        buffer_append_u8(out, VALUE_BOOL);
        buffer_append_u8(out, value->boolean ? 1 : 0);
        return;
    case VALUE_INT64:
        write_word(out, VALUE_INT64, (uint64_t)value->integer);
        return;
    case VALUE_DOUBLE:
        memcpy(&bits, &value->real, sizeof bits);
        write_word(out, VALUE_DOUBLE, bits);
        return;
    case VALUE_TEXT:
    case VALUE_JSON:
        write_text(out, value->type, value->text);
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
