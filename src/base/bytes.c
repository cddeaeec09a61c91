#include "base/bytes.h"

#include "base/status.h"

enum {
    STRING_DISTANCE_MAX_BYTES = 64,
};

bool bytes_equal(struct bytes a, struct bytes b)
{
    if (a.data == NULL || b.data == NULL) {
        return a.data == b.data;
    }
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

bool bytes_equal_string(struct bytes a, const char *string)
{
    return bytes_equal(a, bytes_of_string(string));
}

int bytes_compare(struct bytes a, struct bytes b)
{
    if (a.data == NULL || b.data == NULL) {
        return (a.data != NULL) - (b.data != NULL);
    }
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

bool bytes_starts_with(struct bytes b, const char *prefix)
{
    size_t size = strlen(prefix);
    return b.data != NULL && b.size >= size && memcmp(b.data, prefix, size) == 0;
}

#define HIGH_BITS UINT64_C(0x8080808080808080)

static uint64_t load_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The first byte that is not ASCII, or `end`. */
static const uint8_t *ascii_skip(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 32) {
        uint64_t any = load_u64(at) | load_u64(at + 8) | load_u64(at + 16) | load_u64(at + 24);
        if ((any & HIGH_BITS) != 0) {
            break;
        }
        at += 32;
    }
    while (end - at >= 8 && (load_u64(at) & HIGH_BITS) == 0) {
        at += 8;
    }
    while (at < end && *at < 0x80) {
        at++;
    }
    return at;
}

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

/* Size of the well-formed sequence at `at` (the lead byte is not ASCII), or 0. The narrower ranges
 * of the second byte keep out overlong forms, surrogates and what lies above U+10FFFF. */
static size_t utf8_sequence_size(const uint8_t *at, size_t room)
{
    uint8_t lead = at[0];
    if (lead < 0xC2 || lead > 0xF4) {
        return 0;
    }
    if (lead < 0xE0) {
        return room >= 2 && is_continuation(at[1]) ? 2 : 0;
    }
    if (lead < 0xF0) {
        uint8_t low = lead == 0xE0 ? 0xA0 : 0x80;
        uint8_t high = lead == 0xED ? 0x9F : 0xBF;
        return room >= 3 && at[1] >= low && at[1] <= high && is_continuation(at[2]) ? 3 : 0;
    }
    uint8_t low = lead == 0xF0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xF4 ? 0x8F : 0xBF;
    return room >= 4 && at[1] >= low && at[1] <= high && is_continuation(at[2]) &&
                   is_continuation(at[3])
               ? 4
               : 0;
}

bool bytes_is_utf8(struct bytes b)
{
    if (b.size == 0) {
        return true;
    }
    const uint8_t *at = b.data;
    const uint8_t *end = b.data + b.size;
    for (;;) {
        at = ascii_skip(at, end);
        /* Text that is not ASCII comes in runs. */
        while (at < end && *at >= 0x80) {
            size_t size = utf8_sequence_size(at, (size_t)(end - at));
            if (size == 0) {
                return false;
            }
            at += size;
        }
        if (at == end) {
            return true;
        }
    }
}

size_t bytes_utf8_length(struct bytes b)
{
    size_t continuation_count = 0;
    size_t at = 0;
    for (; b.size - at >= 8; at += 8) {
        uint64_t word = load_u64(b.data + at);
        /* A bit per byte that has bit 7 and lacks bit 6; the product adds them in the top byte. */
        uint64_t ones = (word >> 7) & (~word >> 6) & UINT64_C(0x0101010101010101);
        continuation_count += (ones * UINT64_C(0x0101010101010101)) >> 56;
    }
    for (; at < b.size; at++) {
        continuation_count += is_continuation(b.data[at]);
    }
    return b.size - continuation_count;
}

static unsigned min_unsigned(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned string_distance(const char *a, const char *b)
{
    size_t a_size = strnlen(a, STRING_DISTANCE_MAX_BYTES);
    size_t b_size = strnlen(b, STRING_DISTANCE_MAX_BYTES);
    /* One row of the usual table; `diagonal` is the value up and to the left. */
    unsigned row[STRING_DISTANCE_MAX_BYTES + 1];
    for (unsigned j = 0; j <= b_size; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_size; j++) {
            unsigned replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = min_unsigned(replaced, min_unsigned(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_size];
}

const char *string_nearest(const char *name, const char *const *names, size_t count)
{
    unsigned limit = (unsigned)(strnlen(name, STRING_DISTANCE_MAX_BYTES) / 3);
    if (limit < 2) {
        limit = 2;
    }
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        unsigned distance = string_distance(name, names[i]);
        if (distance < limit || (distance == limit && nearest == NULL)) {
            nearest = names[i];
            limit = distance;
        }
    }
    return nearest;
}

struct bytes reader_bytes(struct reader *reader, size_t size)
{
    const uint8_t *at = reader_take(reader, size);
    if (reader->failed) {
        return BYTES_NONE;
    }
    /* A reader over nothing reads "empty", never "none": none says that the read failed. */
    return at == NULL ? bytes_of("", 0) : bytes_of(at, size);
}

struct bytes reader_sized(struct reader *reader)
{
    uint32_t size = reader_u32(reader);
    return reader_bytes(reader, size);
}

size_t base64_encode(struct bytes b, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = out;
    size_t at = 0;
    for (; b.size - at >= 3; at += 3) {
        uint32_t group =
            (uint32_t)b.data[at] << 16 | (uint32_t)b.data[at + 1] << 8 | b.data[at + 2];
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = digits[group >> 6 & 63];
        *to++ = digits[group & 63];
    }
    size_t rest = b.size - at;
    if (rest > 0) {
        uint32_t group = (uint32_t)b.data[at] << 16;
        if (rest == 2) {
            group |= (uint32_t)b.data[at + 1] << 8;
        }
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = rest == 2 ? digits[group >> 6 & 63] : '=';
        *to++ = '=';
    }
    return (size_t)(to - out);
}

/* The value of a Base64 digit; 64 and above when it is none. */
static uint32_t base64_value(uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z') {
        return (uint32_t)(digit - 'A');
    }
    if (digit >= 'a' && digit <= 'z') {
        return (uint32_t)(digit - 'a') + 26;
    }
    if (digit >= '0' && digit <= '9') {
        return (uint32_t)(digit - '0') + 52;
    }
    return digit == '+' ? 62 : digit == '/' ? 63 : 64;
}

bool base64_decode(struct bytes text, uint8_t *out, size_t *out_size)
{
    if (text.data == NULL || text.size % 4 != 0) {
        return false;
    }
    uint8_t *to = out;
    for (size_t at = 0; at < text.size; at += 4) {
        const uint8_t *four = text.data + at;
        size_t padding = 0;
        if (at + 4 == text.size && four[3] == '=') {
            padding = four[2] == '=' ? 2 : 1;
        }
        uint32_t group = 0;
        for (size_t i = 0; i < 4; i++) {
            uint32_t value = i < 4 - padding ? base64_value(four[i]) : 0;
            if (value > 63) {
                return false;
            }
            group = group << 6 | value;
        }
        /* Bits behind the last byte must be 0, so that each value has one text only. */
        if ((padding == 1 && (group & 0xFF) != 0) || (padding == 2 && (group & 0xFFFF) != 0)) {
            return false;
        }
        for (size_t i = 0; i < 3 - padding; i++) {
            *to++ = (uint8_t)(group >> (16 - 8 * i));
        }
    }
    *out_size = (size_t)(to - out);
    return true;
}

void hex_encode(struct bytes b, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < b.size; i++) {
        out[2 * i] = digits[b.data[i] >> 4];
        out[2 * i + 1] = digits[b.data[i] & 15];
    }
    out[2 * b.size] = '\0';
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

bool hex_decode(const char *text, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        /* The first digit is looked at before the second: the text may end here. */
        int high = hex_value(text[2 * i]);
        int low = high < 0 ? -1 : hex_value(text[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * size] == '\0';
}
