/* Classes of ASCII characters, for the grammars of format_*.c; unlike ctype.h not bent by a
 * locale. */
#ifndef WEIR_SCHEMA_ASCII_H
#define WEIR_SCHEMA_ASCII_H

#include <stdbool.h>
#include <stdint.h>

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

#endif
