#include "schema/plain_pattern.h"

#include <endian.h>
#include <string.h>

/* Where the expression is being read. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_word(uint8_t byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           byte == '_';
}

/* ASCII that stands for itself wherever it is, but for what `special` lists. */
static bool is_literal(uint8_t byte, const char *special)
{
    return byte >= ' ' && byte < 0x7F && strchr(special, byte) == NULL;
}

static void take(struct plain_pattern *pattern, uint8_t first, uint8_t last, uint32_t set)
{
    for (unsigned byte = first; byte <= last; byte++) {
        pattern->sets[byte] |= set;
    }
}

/* Behind a backslash. */
static bool take_escaped(struct plain_pattern *pattern, struct cursor *cursor, uint32_t set)
{
    if (cursor->at == cursor->end) {
        return false;
    }
    const uint8_t byte = *cursor->at++;
    if (byte == 'd') {
        take(pattern, '0', '9', set);
        return true;
    }
    if (byte == 'w') {
        for (unsigned each = 0; each < 0x80; each++) {
            pattern->sets[each] |= is_word((uint8_t)each) ? set : 0;
        }
        return true;
    }
    if (is_word(byte) || !is_literal(byte, "")) {
        return false;
    }
    take(pattern, byte, byte, set);
    return true;
}

/* A character of a class, or a range; a hyphen stands for itself only at an end of the class. */
static bool take_member(struct plain_pattern *pattern, struct cursor *cursor, bool first,
                        uint32_t set)
{
    const uint8_t byte = *cursor->at++;
    if (byte == '\\') {
        /* Behind it a hyphen may or may not make a range. */
        return take_escaped(pattern, cursor, set) && cursor->at < cursor->end &&
               (*cursor->at != '-' || (cursor->end - cursor->at > 1 && cursor->at[1] == ']'));
    }
    if (!is_literal(byte, "[]^") || (byte == '-' && !first && *cursor->at != ']')) {
        return false;
    }
    if (cursor->end - cursor->at < 2 || cursor->at[0] != '-' || cursor->at[1] == ']') {
        take(pattern, byte, byte, set);
        return true;
    }
    const uint8_t last = cursor->at[1];
    if (!is_word(byte) || !is_word(last) || last < byte) {
        return false;
    }
    cursor->at += 2;
    take(pattern, byte, last, set);
    return true;
}

/* Behind the opening bracket. */
static bool take_class(struct plain_pattern *pattern, struct cursor *cursor, uint32_t set)
{
    bool first = true;
    while (cursor->at < cursor->end && *cursor->at != ']') {
        if (cursor->end - cursor->at < 2 || !take_member(pattern, cursor, first, set)) {
            return false;
        }
        first = false;
    }
    if (first || cursor->at == cursor->end) {
        return false;
    }
    cursor->at++;
    return true;
}

static bool take_characters(struct plain_pattern *pattern, struct cursor *cursor, uint32_t set)
{
    const uint8_t byte = *cursor->at++;
    if (byte == '[') {
        return take_class(pattern, cursor, set);
    }
    if (byte == '\\') {
        return take_escaped(pattern, cursor, set);
    }
    if (!is_literal(byte, "^$.|?*+()]{}")) {
        return false;
    }
    take(pattern, byte, byte, set);
    return true;
}

static bool is_repetition(uint8_t byte)
{
    return byte == '{' || byte == '+' || byte == '*' || byte == '?';
}

static bool read_count(struct cursor *cursor, uint32_t *out)
{
    const uint8_t *first = cursor->at;
    *out = 0;
    while (cursor->at < cursor->end && is_digit(*cursor->at) && *out <= UINT16_MAX) {
        *out = *out * 10 + (uint32_t)(*cursor->at++ - '0');
    }
    return cursor->at > first && *out <= UINT16_MAX;
}

/* Behind the opening brace. */
static bool read_braces(struct cursor *cursor, struct plain_item *item)
{
    if (!read_count(cursor, &item->min) || cursor->at == cursor->end) {
        return false;
    }
    item->max = item->min;
    if (*cursor->at == ',') {
        cursor->at++;
        item->max = UINT32_MAX;
        if (cursor->at < cursor->end && *cursor->at != '}' &&
            (!read_count(cursor, &item->max) || item->max < item->min)) {
            return false;
        }
    }
    return cursor->at < cursor->end && *cursor->at++ == '}';
}

/* How often the item stands, once if nothing says it. Neither lazy nor possessive. */
static bool read_repetition(struct cursor *cursor, struct plain_item *item)
{
    item->min = 1;
    item->max = 1;
    if (cursor->at == cursor->end || !is_repetition(*cursor->at)) {
        return true;
    }
    const uint8_t byte = *cursor->at++;
    if (byte == '{') {
        if (!read_braces(cursor, item)) {
            return false;
        }
    } else {
        item->min = byte == '+' ? 1 : 0;
        item->max = byte == '?' ? 1 : UINT32_MAX;
    }
    return cursor->at == cursor->end || !is_repetition(*cursor->at);
}

/* Whether every item of varying length ends where those behind it begin. */
static bool has_one_way(const struct plain_pattern *pattern)
{
    uint32_t behind = 0;
    for (uint32_t i = pattern->item_count; i > 0; i--) {
        const struct plain_item *item = &pattern->items[i - 1];
        for (unsigned byte = 0; item->min != item->max && byte < 256; byte++) {
            if ((pattern->sets[byte] & item->characters) != 0 &&
                (pattern->sets[byte] & behind) != 0) {
                return false;
            }
        }
        behind |= item->characters;
    }
    return true;
}

static void lay_out_places(struct plain_pattern *pattern)
{
    pattern->size = 0;
    for (uint32_t i = 0; i < pattern->item_count; i++) {
        const struct plain_item *item = &pattern->items[i];
        if (item->min != item->max || item->min > PLAIN_PATTERN_PLACES_MAX - pattern->size) {
            pattern->size = PLAIN_PATTERN_VARIES;
            return;
        }
        for (uint32_t each = 0; each < item->min; each++) {
            pattern->places[pattern->size++] = item->characters;
        }
    }
}

/* --- Places as words. --- */

#define EACH_BYTE UINT64_C(0x0101010101010101)
#define EACH_TOP (0x80 * EACH_BYTE)

/* Puts the ranges of a place into a byte of a word; false when there are too many. */
static bool set_ranges(struct plain_pattern *pattern, struct plain_word *word, uint32_t byte,
                       uint32_t place)
{
    const uint32_t set = pattern->places[place];
    uint32_t count = 0;
    for (unsigned first = 0; first < 0x80; first++) {
        if ((pattern->sets[first] & set) == 0) {
            continue;
        }
        unsigned last = first;
        while (last < 0x7F && (pattern->sets[last + 1] & set) != 0) {
            last++;
        }
        if (count == PLAIN_PATTERN_RANGES_MAX) {
            return false;
        }
        word->low[count] |= (uint64_t)first << (8 * byte);
        word->beyond[count] |= (uint64_t)(0x7F - last) << (8 * byte);
        count++;
        first = last;
    }
    for (uint32_t i = count; i < PLAIN_PATTERN_RANGES_MAX; i++) {
        /* From the last byte on to the first: none. */
        word->low[i] |= UINT64_C(0x7F) << (8 * byte);
        word->beyond[i] |= UINT64_C(0x7F) << (8 * byte);
    }
    pattern->range_count = count > pattern->range_count ? count : pattern->range_count;
    return true;
}

/* The place that byte `byte` of a word asks: four to seven places are two halves that overlap. */
static uint32_t place_of(const struct plain_pattern *pattern, const struct plain_word *word,
                         uint32_t byte)
{
    if (pattern->size >= 8) {
        return word->first + byte;
    }
    return byte < 4 ? byte : pattern->size - 8 + byte;
}

static void lay_out_words(struct plain_pattern *pattern)
{
    if (pattern->size == PLAIN_PATTERN_VARIES || pattern->size < 4) {
        return;
    }
    const uint32_t count = (pattern->size + 7) / 8;
    for (uint32_t i = 0; i < count; i++) {
        struct plain_word *word = &pattern->words[i];
        word->first = pattern->size < 8 || i + 1 < count ? 8 * i : pattern->size - 8;
        for (uint32_t byte = 0; byte < 8; byte++) {
            if (!set_ranges(pattern, word, byte, place_of(pattern, word, byte))) {
                return;
            }
        }
    }
    pattern->word_count = count;
}

bool plain_pattern_compile(struct bytes text, struct plain_pattern *out)
{
    *out = (struct plain_pattern){0};
    if (text.size < 2 || text.data[0] != '^' || text.data[text.size - 1] != '$') {
        return false;
    }
    struct cursor cursor = {text.data + 1, text.data + text.size - 1};
    while (cursor.at < cursor.end) {
        if (out->item_count == PLAIN_PATTERN_ITEMS_MAX) {
            return false;
        }
        struct plain_item *item = &out->items[out->item_count];
        item->characters = UINT32_C(1) << out->item_count;
        out->item_count++;
        if (!take_characters(out, &cursor, item->characters) || !read_repetition(&cursor, item)) {
            return false;
        }
    }
    lay_out_places(out);
    lay_out_words(out);
    return has_one_way(out);
}

static bool matches_places(const struct plain_pattern *pattern, const uint8_t *text)
{
    bool all = true;
    for (uint32_t i = 0; i < pattern->size; i++) {
        all &= (pattern->sets[text[i]] & pattern->places[i]) != 0;
    }
    return all;
}

/* Eight bytes, or two halves of four. */
static inline uint64_t load_places(const struct plain_pattern *pattern, const uint8_t *text,
                                   const struct plain_word *word)
{
    uint64_t bytes;
    if (pattern->size >= 8) {
        memcpy(&bytes, text + word->first, sizeof bytes);
        return le64toh(bytes);
    }
    uint32_t first;
    uint32_t last;
    memcpy(&first, text, sizeof first);
    memcpy(&last, text + pattern->size - sizeof last, sizeof last);
    return le32toh(first) | (uint64_t)le32toh(last) << 32;
}

static bool matches_words(const struct plain_pattern *pattern, const uint8_t *text)
{
    uint64_t fits = EACH_TOP;
    for (uint32_t i = 0; i < pattern->word_count; i++) {
        const struct plain_word *word = &pattern->words[i];
        const uint64_t bytes = load_places(pattern, text, word);
        const uint64_t ascii = bytes & ~EACH_TOP;
        uint64_t inside = 0;
        for (uint32_t k = 0; k < pattern->range_count; k++) {
            /* The top bits: not below, and not above; nothing is borrowed or carried. */
            inside |= ((ascii | EACH_TOP) - word->low[k]) & ~(ascii + word->beyond[k]);
        }
        fits &= inside & ~bytes;
    }
    return fits == EACH_TOP;
}

bool plain_pattern_matches(const struct plain_pattern *pattern, struct bytes text)
{
    if (pattern->size != PLAIN_PATTERN_VARIES) {
        return text.size == pattern->size && (pattern->word_count != 0
                                                  ? matches_words(pattern, text.data)
                                                  : matches_places(pattern, text.data));
    }
    const uint8_t *at = text.data;
    const uint8_t *end = at + text.size;
    for (uint32_t i = 0; i < pattern->item_count; i++) {
        const struct plain_item *item = &pattern->items[i];
        const uint8_t *stop = (size_t)(end - at) > item->max ? at + item->max : end;
        const uint8_t *first = at;
        while (at < stop && (pattern->sets[*at] & item->characters) != 0) {
            at++;
        }
        if ((size_t)(at - first) < item->min) {
            return false;
        }
    }
    return at == end;
}
