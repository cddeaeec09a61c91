/*
 * JSON strings, piece by piece: UTF-8 sequences and escapes.
 */
#ifndef WEIR_CODEC_JSON_STRING_H
#define WEIR_CODEC_JSON_STRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum json_escape {
    JSON_ESCAPE_OK,
    JSON_ESCAPE_BAD,       /* not an escape of JSON */
    JSON_ESCAPE_SURROGATE, /* half of a surrogate pair */
};

/* Bytes of the sequence at `p`, which is above 0x7F; 0 when it is not UTF-8 (RFC 3629). */
static inline size_t json_utf8_size(const uint8_t *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p);
    if (p[0] < 0xE0) {
        return p[0] >= 0xC2 && left >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
    }
    if (left < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80) {
        return 0;
    }
    if (p[0] < 0xF0) {
        bool overlong = p[0] == 0xE0 && p[1] < 0xA0;
        bool surrogate = p[0] == 0xED && p[1] >= 0xA0;
        return overlong || surrogate ? 0 : 3;
    }
    if (left < 4 || (p[3] & 0xC0) != 0x80) {
        return 0;
    }
    bool overlong = p[0] == 0xF0 && p[1] < 0x90;
    bool beyond = p[0] > 0xF4 || (p[0] == 0xF4 && p[1] >= 0x90);
    return overlong || beyond ? 0 : 4;
}

/* How many bytes at the start are whole UTF-8 sequences. */
size_t json_utf8_prefix(struct bytes text);

/* Reads the escape at `p` (the backslash); a surrogate pair counts as one. *out_size is its size in
 * the text, *out_code its code point; both are written on OK only. */
enum json_escape json_escape_read(const uint8_t *p, const uint8_t *end, size_t *out_size,
                                  uint32_t *out_code);

/* Resolves the escapes of a string's inside (checked before). `to` has room for `text.size` bytes;
 * returns how many it took. */
size_t json_unescape(struct bytes text, uint8_t *to);

#endif
