/* Classes of ASCII characters, and characters beyond them, for the grammars of format_*.c; unlike ctype.h not bent by a
 * locale. */
#ifndef WEIR_SCHEMA_ASCII_H
#define WEIR_SCHEMA_ASCII_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

static inline bool ascii_is_digit(uint8_t byte)
{
    return (unsigned)byte - '0' <= 9;
}
static inline bool ascii_is_alpha(uint8_t byte)
{
    return ((unsigned)byte | 0x20) - 'a' <= 25;
}
static inline bool ascii_is_alnum(uint8_t byte)
{
    return ascii_is_digit(byte) || ascii_is_alpha(byte);
}
static inline bool ascii_is_hex(uint8_t byte)
{
    return ascii_is_digit(byte) || ((unsigned)byte | 0x20) - 'a' <= 5;
}

/* The code point at `at` of UTF-8 text, and the size of its bytes. */
static inline uint32_t ascii_read_point(struct bytes text, size_t at, size_t *out_size)
{
    uint8_t lead = text.data[at];
    size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint32_t point = size == 1 ? lead : lead & (0x7Fu >> size);
    *out_size = size <= text.size - at ? size : 1;
    for (size_t i = 1; i < *out_size; i++) {
        point = point << 6 | (text.data[at + i] & 0x3Fu);
    }
    return point;
}

#endif
