/*
 * Bytes: slices of memory that somebody else owns, and a reader for binary formats.
 *
 * A `struct bytes` is a pointer and a size; it owns nothing and is passed by value. {NULL, 0} is
 * "none" (a null key, a tombstone), {non-NULL, 0} is "empty": the two are different on purpose.
 */
#ifndef WEIR_BASE_BYTES_H
#define WEIR_BASE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data;
    size_t size;
};

#define BYTES_NONE ((struct bytes){NULL, 0})

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){(const uint8_t *)data, size};
}
static inline struct bytes bytes_of_string(const char *string)
{
    return (struct bytes){(const uint8_t *)string, strlen(string)};
}
static inline bool bytes_is_none(struct bytes b)
{
    return b.data == NULL;
}
/* none equals none only. */
bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_string(struct bytes a, const char *string);
/* memcmp order, then the shorter first; none before all. */
int bytes_compare(struct bytes a, struct bytes b);
bool bytes_starts_with(struct bytes b, const char *prefix);
/* RFC 3629: no surrogates, no overlong forms, at most U+10FFFF. */
bool bytes_is_utf8(struct bytes b);
/* Number of code points; `b` must be valid UTF-8. */
size_t bytes_utf8_length(struct bytes b);

/* Edit distance (Levenshtein) for "did you mean": at most 64 bytes of each are looked at. */
unsigned string_distance(const char *a, const char *b);
/* The nearest of `count` names within distance max(2, length/3), or NULL. */
const char *string_nearest(const char *name, const char *const *names, size_t count);

/* A reader over a binary format: after a read beyond the end `failed` is true and every read gives
 * 0 / none; check once at the end. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct reader reader_of(struct bytes b)
{
    return (struct reader){b.data, b.data + b.size, false};
}
/* The next `size` bytes, or NULL with `failed` set. */
static inline const uint8_t *reader_take(struct reader *reader, size_t size)
{
    if (reader->failed || (size_t)(reader->end - reader->at) < size) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->at;
    if (size > 0) {
        reader->at += size;
    }
    return at;
}
static inline uint8_t reader_u8(struct reader *reader)
{
    const uint8_t *at = reader_take(reader, 1);
    return at == NULL ? 0 : *at;
}
static inline uint16_t reader_u16(struct reader *reader)
{
    uint16_t value = 0;
    const uint8_t *at = reader_take(reader, sizeof value);
    if (at != NULL) {
        memcpy(&value, at, sizeof value);
    }
    return le16toh(value);
}
static inline uint32_t reader_u32(struct reader *reader)
{
    uint32_t value = 0;
    const uint8_t *at = reader_take(reader, sizeof value);
    if (at != NULL) {
        memcpy(&value, at, sizeof value);
    }
    return le32toh(value);
}
static inline uint64_t reader_u64(struct reader *reader)
{
    uint64_t value = 0;
    const uint8_t *at = reader_take(reader, sizeof value);
    if (at != NULL) {
        memcpy(&value, at, sizeof value);
    }
    return le64toh(value);
}
struct bytes reader_bytes(struct reader *reader, size_t size);
/* u32 size, then the bytes; an impossible size fails. */
struct bytes reader_sized(struct reader *reader);

/* Base64 (RFC 4648, with padding). Encoded size of n bytes is 4 * ((n + 2) / 3). */
size_t base64_encode(struct bytes b, char *out);
/* False when it is not base64; `out` needs 3 * (size / 4) bytes. */
bool base64_decode(struct bytes text, uint8_t *out, size_t *out_size);
/* `out` gets 2 * size characters and a NUL, lower case. */
void hex_encode(struct bytes b, char *out);
bool hex_decode(const char *text, uint8_t *out, size_t size);

#endif
