#include "doc/doc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"

static void canonical_string(const char *text, size_t size, struct buffer *out)
{
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, c);
        } else if (c < 0x20) {
            static const char names[] = "btn\0fr"; /* \b is 8, \r is 13; \v has no name in JSON */
            if (c >= '\b' && c <= '\r' && c != '\v') {
                buffer_append_byte(out, '\\');
                buffer_append_byte(out, (uint8_t)names[c - '\b']);
            } else {
                buffer_printf(out, "\\u%04x", c);
            }
        } else {
            buffer_append_byte(out, c);
        }
    }
    buffer_append_byte(out, '"');
}

/* [-]digits[.digits][e[+-]digits], without needless zeros before. */
static bool is_json_number(const char *text)
{
    text += *text == '-';
    size_t whole = strspn(text, DIGITS);
    if (whole == 0 || (whole > 1 && text[0] == '0')) {
        return false;
    }
    text += whole;
    if (*text == '.') {
        size_t fraction = strspn(text + 1, DIGITS);
        if (fraction == 0) {
            return false;
        }
        text += 1 + fraction;
    }
    if (*text == 'e' || *text == 'E') {
        text += 1 + (text[1] == '+' || text[1] == '-');
        size_t exponent = strspn(text, DIGITS);
        if (exponent == 0) {
            return false;
        }
        text += exponent;
    }
    return *text == '\0';
}

/* As it is written where JSON can: limits compare with all digits, of which a double keeps some. */
static void canonical_real(const struct doc *node, struct buffer *out)
{
    if (node->text != NULL && is_json_number(node->text)) {
        buffer_append_string(out, node->text);
        return;
    }
    const double real = node->real;
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, real);
        if (strtod(text, NULL) == real) {
            break;
        }
    }
    buffer_append_string(out, text);
}

static void canonical_map(const struct doc *map, struct buffer *out)
{
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < map->count; i++) {
        if (i > 0) {
            buffer_append_byte(out, ',');
        }
        canonical_string(map->keys[i]->text, map->keys[i]->text_size, out);
        buffer_append_byte(out, ':');
        doc_write_canonical(map->items[i], out);
    }
    buffer_append_byte(out, '}');
}

static void canonical_list(const struct doc *list, struct buffer *out)
{
    buffer_append_byte(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0) {
            buffer_append_byte(out, ',');
        }
        doc_write_canonical(list->items[i], out);
    }
    buffer_append_byte(out, ']');
}

/* The depth of the recursion is bounded by doc_parse(). */
void doc_write_canonical(const struct doc *node, struct buffer *out)
{
    switch (node->kind) {
    case DOC_NULL:
        buffer_append_string(out, "null");
        break;
    case DOC_BOOL:
        buffer_append_string(out, node->boolean ? "true" : "false");
        break;
    case DOC_INT:
        buffer_printf(out, "%" PRId64, node->integer);
        break;
    case DOC_DOUBLE:
        canonical_real(node, out);
        break;
    case DOC_STRING:
        canonical_string(node->text, node->text_size, out);
        break;
    case DOC_LIST:
        canonical_list(node, out);
        break;
    case DOC_MAP:
        canonical_map(node, out);
        break;
    }
}
