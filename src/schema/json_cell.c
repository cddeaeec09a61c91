#include "schema/json_cell.h"

#include <string.h>

static const uint32_t REPLACEMENT_CHARACTER = 0xFFFD;

enum json_kind json_cell_kind(struct bytes raw)
{
    switch (raw.size == 0 ? 0 : raw.data[0]) {
    case '"':
        return JSON_KIND_STRING;
    case '{':
        return JSON_KIND_OBJECT;
    case '[':
        return JSON_KIND_ARRAY;
    case 't':
    case 'f':
        return JSON_KIND_BOOL;
    case 'n':
        return JSON_KIND_NULL;
    default:
        return JSON_KIND_NUMBER;
    }
}

static uint32_t hex_unit(const uint8_t *at)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t digit = at[i] <= '9' ? (uint32_t)at[i] - '0' : ((uint32_t)at[i] | 0x20) - 'a' + 10;
        unit = unit << 4 | (digit & 0xF);
    }
    return unit;
}

static void append_code_point(struct buffer *out, uint32_t point)
{
    uint8_t utf8[4];
    size_t size;
    if (point < 0x80) {
        utf8[0] = (uint8_t)point;
        size = 1;
    } else if (point < 0x800) {
        utf8[0] = (uint8_t)(0xC0 | point >> 6);
        utf8[1] = (uint8_t)(0x80 | (point & 0x3F));
        size = 2;
    } else if (point < 0x10000) {
        utf8[0] = (uint8_t)(0xE0 | point >> 12);
        utf8[1] = (uint8_t)(0x80 | (point >> 6 & 0x3F));
        utf8[2] = (uint8_t)(0x80 | (point & 0x3F));
        size = 3;
    } else {
        utf8[0] = (uint8_t)(0xF0 | point >> 18);
        utf8[1] = (uint8_t)(0x80 | (point >> 12 & 0x3F));
        utf8[2] = (uint8_t)(0x80 | (point >> 6 & 0x3F));
        utf8[3] = (uint8_t)(0x80 | (point & 0x3F));
        size = 4;
    }
    buffer_append(out, utf8, size);
}

/* At the 'u' of \uXXXX; returns what is behind the escape, or behind the pair of a surrogate
 * pair. */
static const uint8_t *append_unicode_escape(struct buffer *out, const uint8_t *at,
                                            const uint8_t *end)
{
    if (end - at < 5) {
        return end;
    }
    uint32_t point = hex_unit(at + 1);
    at += 5;
    if (point >= 0xD800 && point <= 0xDBFF && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
        uint32_t low = hex_unit(at + 2);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
            at += 6;
        }
    }
    append_code_point(out, point >= 0xD800 && point <= 0xDFFF ? REPLACEMENT_CHARACTER : point);
    return at;
}

struct bytes json_cell_text(struct bytes raw, struct buffer *scratch)
{
    if (raw.size < 2) {
        return bytes_of("", 0);
    }
    struct bytes inner = {raw.data + 1, raw.size - 2};
    const uint8_t *at = inner.data;
    const uint8_t *end = at + inner.size;
    const uint8_t *escape = memchr(at, '\\', inner.size);
    if (escape == NULL) {
        return inner;
    }
    buffer_clear(scratch);
    while (escape != NULL && end - escape >= 2) {
        buffer_append(scratch, at, (size_t)(escape - at));
        static const char names[] = "bfnrt";
        const char *name = memchr(names, escape[1], sizeof names - 1);
        at = escape + 2;
        if (name != NULL) {
            buffer_append_byte(scratch, (uint8_t) "\b\f\n\r\t"[name - names]);
        } else if (escape[1] == 'u') {
            at = append_unicode_escape(scratch, escape + 1, end);
        } else {
            buffer_append_byte(scratch, escape[1]);
        }
        escape = memchr(at, '\\', (size_t)(end - at));
    }
    buffer_append(scratch, at, (size_t)(end - at));
    return bytes_of(scratch->data, scratch->size);
}

/* At most size_max bytes of `text`, whole characters. */
static struct bytes cut_text(struct bytes text, size_t size_max)
{
    if (text.size <= size_max) {
        return text;
    }
    size_t size = size_max;
    while (size > 0 && (text.data[size] & 0xC0) == 0x80) {
        size--;
    }
    return bytes_of(text.data, size);
}

void json_cell_quote(struct buffer *out, struct bytes text, size_t size_max)
{
    struct bytes cut = cut_text(text, size_max);
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < cut.size; i++) {
        uint8_t byte = cut.data[i];
        if (byte == '"' || byte == '\\') {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, byte);
        } else if (byte < 0x20 || byte == 0x7F) {
            buffer_printf(out, "\\u%04x", byte);
        } else {
            buffer_append_byte(out, byte);
        }
    }
    buffer_append_string(out, cut.size < text.size ? "…\"" : "\"");
}

void json_cell_show(struct buffer *out, struct bytes raw, size_t size_max)
{
    struct bytes cut = cut_text(raw, size_max);
    for (size_t i = 0; i < cut.size; i++) {
        /* Control characters stand in raw JSON only as white space between its tokens. */
        buffer_append_byte(out, cut.data[i] < 0x20 ? ' ' : cut.data[i]);
    }
    if (cut.size < raw.size) {
        buffer_append_string(out, "…");
    }
}
