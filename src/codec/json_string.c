#include "codec/json_string.h"

#include <string.h>

#include "base/status.h"

size_t json_utf8_prefix(struct bytes text)
{
    const uint8_t *p = text.data;
    const uint8_t *end = p + text.size;
    while (p < end) {
        size_t size = *p < 0x80 ? 1 : json_utf8_size(p, end);
        if (size == 0) {
            break;
        }
        p += size;
    }
    return (size_t)(p - text.data);
}

/* The four hexadecimal digits at `p`; above 0xFFFF when they are not. */
static uint32_t hex_read(const uint8_t *p, const uint8_t *end)
{
    if (end - p < 4) {
        return UINT32_MAX;
    }
    uint32_t code = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t digit;
        if (p[i] >= '0' && p[i] <= '9') {
            digit = (uint32_t)(p[i] - '0');
        } else if ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f') {
            digit = (uint32_t)((p[i] | 0x20) - 'a' + 10);
        } else {
            return UINT32_MAX;
        }
        code = code << 4 | digit;
    }
    return code;
}

/* The escape \uXXXX at `p`, with its second half when it is the first of a pair. */
static enum json_escape unicode_read(const uint8_t *p, const uint8_t *end, size_t *out_size,
                                     uint32_t *out_code)
{
    uint32_t code = hex_read(p + 2, end);
    if (code > 0xFFFF) {
        return JSON_ESCAPE_BAD;
    }
    size_t size = 6;
    if (code >= 0xD800 && code < 0xE000) {
        bool paired = code < 0xDC00 && end - p >= 8 && p[6] == '\\' && p[7] == 'u';
        uint32_t low = paired ? hex_read(p + 8, end) : 0;
        if (low < 0xDC00 || low > 0xDFFF) {
            return JSON_ESCAPE_SURROGATE;
        }
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        size = 12;
    }
    *out_size = size;
    *out_code = code;
    return JSON_ESCAPE_OK;
}

enum json_escape json_escape_read(const uint8_t *p, const uint8_t *end, size_t *out_size,
                                  uint32_t *out_code)
{
    if (end - p < 2) {
        return JSON_ESCAPE_BAD;
    }
    uint32_t code;
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
        code = p[1];
        break;
    case 'b':
        code = '\b';
        break;
    case 'f':
        code = '\f';
        break;
    case 'n':
        code = '\n';
        break;
    case 'r':
        code = '\r';
        break;
    case 't':
        code = '\t';
        break;
    case 'u':
        return unicode_read(p, end, out_size, out_code);
    default:
        return JSON_ESCAPE_BAD;
    }
    *out_size = 2;
    *out_code = code;
    return JSON_ESCAPE_OK;
}

static size_t utf8_write(uint32_t code, uint8_t *to)
{
    if (code < 0x80) {
        to[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (uint8_t)(0xC0 | code >> 6);
        to[1] = (uint8_t)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (uint8_t)(0xE0 | code >> 12);
        to[1] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        to[2] = (uint8_t)(0x80 | (code & 0x3F));
        return 3;
    }
    to[0] = (uint8_t)(0xF0 | code >> 18);
    to[1] = (uint8_t)(0x80 | (code >> 12 & 0x3F));
    to[2] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
    to[3] = (uint8_t)(0x80 | (code & 0x3F));
    return 4;
}

size_t json_unescape(struct bytes text, uint8_t *to)
{
    const uint8_t *p = text.data;
    const uint8_t *end = p + text.size;
    uint8_t *start = to;
    while (p < end) {
        const uint8_t *backslash = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((backslash != NULL ? backslash : end) - p);
        memcpy(to, p, run);
        to += run;
        p += run;
        if (backslash != NULL) {
            size_t size;
            uint32_t code;
            check(json_escape_read(p, end, &size, &code) == JSON_ESCAPE_OK);
            to += utf8_write(code, to);
            p += size;
        }
    }
    return (size_t)(to - start);
}
