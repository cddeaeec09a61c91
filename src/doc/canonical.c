#include "doc/doc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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

static void canonical_real(double real, struct buffer *out)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, real);
        if (strtod(text, NULL) == real) {
            break;
        }
    }
    buffer_append_string(out, text);
}

struct map_entry {
    const struct doc *key;
    const struct doc *value;
};

static int map_entry_compare(const void *a, const void *b)
{
    const struct doc *x = ((const struct map_entry *)a)->key;
    const struct doc *y = ((const struct map_entry *)b)->key;
    return bytes_compare(bytes_of(x->text, x->text_size), bytes_of(y->text, y->text_size));
}

static void canonical_map(const struct doc *map, struct buffer *out)
{
    struct map_entry *entries = memory_alloc(size_mul(map->count, sizeof *entries));
    for (size_t i = 0; i < map->count; i++) {
        entries[i] = (struct map_entry){map->keys[i], map->items[i]};
    }
    if (map->count > 1) {
        qsort(entries, map->count, sizeof *entries, map_entry_compare);
    }
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < map->count; i++) {
        if (i > 0) {
            buffer_append_byte(out, ',');
        }
        canonical_string(entries[i].key->text, entries[i].key->text_size, out);
        buffer_append_byte(out, ':');
        doc_write_canonical(entries[i].value, out);
    }
    buffer_append_byte(out, '}');
    memory_free(entries);
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
        canonical_real(node->real, out);
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
