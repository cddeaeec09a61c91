#include "doc/place.h"

#include <stdbool.h>
#include <string.h>

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n';
}

/* Whether the byte at `offset` is blank; what lies outside the content counts as blank. */
static bool is_blank_at(struct bytes content, size_t offset)
{
    return offset >= content.size || is_blank(content.data[offset]);
}

static bool starts_word(struct bytes content, size_t offset)
{
    return offset == 0 || is_blank(content.data[offset - 1]);
}

/* Steps over one byte. The bytes inside a character do not move the column. */
static void place_step(struct bytes content, struct place *place)
{
    uint8_t byte = content.data[place->offset];
    place->offset++;
    if (byte == '\n') {
        place->line++;
        place->column = 1;
    } else if (place->offset == content.size || (content.data[place->offset] & 0xC0) != 0x80) {
        place->column++;
    }
}

struct place place_at(struct bytes content, struct place from, size_t offset)
{
    while (from.offset < offset && from.offset < content.size) {
        place_step(content, &from);
    }
    return from;
}

/* Behind the comment that starts at `place`: at the end of its line. */
static void comment_skip(struct bytes content, struct place *place)
{
    while (place->offset < content.size && content.data[place->offset] != '\n') {
        place_step(content, place);
    }
}

static bool is_comment(struct bytes content, size_t offset)
{
    return content.data[offset] == '#' && starts_word(content, offset);
}

struct place place_of_indicator(struct bytes content, struct place from, size_t end,
                                const char *indicators, struct place otherwise)
{
    while (from.offset < content.size && from.offset < end) {
        if (is_comment(content, from.offset)) {
            comment_skip(content, &from);
            continue;
        }
        uint8_t byte = content.data[from.offset];
        if (byte != '\0' && strchr(indicators, byte) != NULL && starts_word(content, from.offset) &&
            (byte != '-' || is_blank_at(content, from.offset + 1))) {
            return from;
        }
        place_step(content, &from);
    }
    return otherwise;
}

struct place place_behind_blanks(struct bytes content, struct place from)
{
    while (from.offset < content.size && is_blank(content.data[from.offset])) {
        place_step(content, &from);
    }
    return from;
}

struct place place_of_next_word(struct bytes content, struct place from)
{
    from = place_behind_blanks(content, from);
    while (from.offset < content.size && is_comment(content, from.offset)) {
        comment_skip(content, &from);
        from = place_behind_blanks(content, from);
    }
    return from;
}
