#include "schema/json_equal.h"

#include <stdlib.h>
#include <string.h>

#include "schema/json_cell.h"
#include "schema/keyword.h"
#include "schema/number.h"

/* A member of an object in the form: its name and its value stand one behind the other. */
struct member {
    size_t start;
    size_t name_bytes;
    size_t bytes;
    const uint8_t *data; /* while the members are sorted and nothing moves */
};

static void append_number(struct buffer *out, const struct number *number)
{
    bool is_integer = number->integral && number->in_int64;
    buffer_append_byte(out, is_integer ? 'i' : 'r');
    if (is_integer) {
        buffer_append(out, &number->floor, sizeof number->floor);
    } else {
        buffer_append(out, &number->real, sizeof number->real);
    }
}

static void append_text(struct buffer *out, struct bytes text)
{
    buffer_append_byte(out, 's');
    buffer_append(out, &text.size, sizeof text.size);
    buffer_append(out, text.data, text.size);
}

/* By name, and of one name in the order of the object. */
static int compare_members(const void *a, const void *b)
{
    const struct member *x = a;
    const struct member *y = b;
    if (x->name_bytes != y->name_bytes) {
        return x->name_bytes < y->name_bytes ? -1 : 1;
    }
    int order = memcmp(x->data, y->data, x->name_bytes);
    return order != 0 ? order : (x->start > y->start) - (x->start < y->start);
}

static bool same_name(const struct member *a, const struct member *b)
{
    return a->name_bytes == b->name_bytes && memcmp(a->data, b->data, a->name_bytes) == 0;
}

/* Sorts the members, which are what stands in `out` from `start` on. */
static void close_object(struct buffer *out, size_t start, struct buffer *members)
{
    struct member *items = (struct member *)(void *)members->data;
    size_t count = members->size / sizeof *items;
    struct buffer sorted = {0};
    for (size_t i = 0; i < count; i++) {
        items[i].data = out->data + items[i].start;
    }
    if (count > 0) {
        qsort(items, count, sizeof *items, compare_members);
    }
    for (size_t i = 0; i < count; i++) {
        if (i + 1 == count || !same_name(&items[i], &items[i + 1])) {
            buffer_append(&sorted, items[i].data, items[i].bytes);
        }
    }
    out->size = start;
    buffer_append(out, sorted.data, sorted.size);
    buffer_append_byte(out, '}');
    buffer_fini(&sorted);
    buffer_fini(members);
}

/* --- raw JSON --- */

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    struct buffer scratch; /* unescaped text */
};

static void append_value(struct cursor *cursor, struct buffer *out);

/* White space and the signs between values say nothing that their order does not. */
static void skip_separators(struct cursor *cursor)
{
    while (cursor->at < cursor->end && *cursor->at != '\0' &&
           memchr(" \t\n\r,:", *cursor->at, 6) != NULL) {
        cursor->at++;
    }
}

static bool is_at(const struct cursor *cursor, char sign)
{
    return cursor->at < cursor->end && *cursor->at == (uint8_t)sign;
}

static void append_string(struct cursor *cursor, struct buffer *out)
{
    const uint8_t *first = cursor->at++;
    while (cursor->at < cursor->end && *cursor->at != '"') {
        cursor->at += *cursor->at == '\\' && cursor->end - cursor->at > 1 ? 2 : 1;
    }
    cursor->at += cursor->at < cursor->end;
    append_text(out, json_cell_text(bytes_of(first, (size_t)(cursor->at - first)),
                                    &cursor->scratch));
}

/* A number, true, false or null. */
static void append_word(struct cursor *cursor, struct buffer *out)
{
    const uint8_t *first = cursor->at;
    while (cursor->at < cursor->end && memchr(" \t\n\r,:]}", *cursor->at, 8) == NULL) {
        cursor->at++;
    }
    struct number number;
    if (*first == 't' || *first == 'f' || *first == 'n') {
        buffer_append_byte(out, *first);
    } else {
        check(number_parse(bytes_of(first, (size_t)(cursor->at - first)), &number));
        append_number(out, &number);
    }
}

static void append_list(struct cursor *cursor, struct buffer *out)
{
    cursor->at++;
    buffer_append_byte(out, '[');
    skip_separators(cursor);
    while (cursor->at < cursor->end && !is_at(cursor, ']')) {
        append_value(cursor, out);
        skip_separators(cursor);
    }
    cursor->at += cursor->at < cursor->end;
    buffer_append_byte(out, ']');
}

static void append_object(struct cursor *cursor, struct buffer *out)
{
    struct buffer members = {0};
    cursor->at++;
    buffer_append_byte(out, '{');
    size_t start = out->size;
    skip_separators(cursor);
    while (cursor->at < cursor->end && !is_at(cursor, '}')) {
        struct member member = {.start = out->size};
        append_string(cursor, out);
        member.name_bytes = out->size - member.start;
        skip_separators(cursor);
        append_value(cursor, out);
        member.bytes = out->size - member.start;
        buffer_append(&members, &member, sizeof member);
        skip_separators(cursor);
    }
    cursor->at += cursor->at < cursor->end;
    close_object(out, start, &members);
}

static void append_value(struct cursor *cursor, struct buffer *out)
{
    skip_separators(cursor);
    check(cursor->at < cursor->end);
    switch (*cursor->at) {
    case '"':
        append_string(cursor, out);
        break;
    case '[':
        append_list(cursor, out);
        break;
    case '{':
        append_object(cursor, out);
        break;
    default:
        append_word(cursor, out);
        break;
    }
}

void json_equal_form(struct bytes raw, struct buffer *out)
{
    struct cursor cursor = {.at = raw.data, .end = raw.data + raw.size};
    append_value(&cursor, out);
    buffer_fini(&cursor.scratch);
}

/* --- documents --- */

static enum status append_doc_list(const struct doc *node, struct buffer *out, struct error *err)
{
    enum status status = STATUS_OK;
    buffer_append_byte(out, '[');
    for (size_t i = 0; i < node->count && status == STATUS_OK; i++) {
        status = json_equal_form_of_doc(node->items[i], out, err);
    }
    buffer_append_byte(out, ']');
    return status;
}

static enum status append_doc_map(const struct doc *node, struct buffer *out, struct error *err)
{
    enum status status = STATUS_OK;
    struct buffer members = {0};
    buffer_append_byte(out, '{');
    size_t start = out->size;
    for (size_t i = 0; i < node->count && status == STATUS_OK; i++) {
        struct member member = {.start = out->size};
        append_text(out, bytes_of(node->keys[i]->text, node->keys[i]->text_size));
        member.name_bytes = out->size - member.start;
        status = json_equal_form_of_doc(node->items[i], out, err);
        member.bytes = out->size - member.start;
        buffer_append(&members, &member, sizeof member);
    }
    close_object(out, start, &members);
    return status;
}

enum status json_equal_form_of_doc(const struct doc *node, struct buffer *out, struct error *err)
{
    struct number number;
    enum status status = STATUS_OK;
    switch (node->kind) {
    case DOC_NULL:
        buffer_append_byte(out, 'n');
        break;
    case DOC_BOOL:
        buffer_append_byte(out, node->boolean ? 't' : 'f');
        break;
    case DOC_INT:
    case DOC_DOUBLE:
        status = keyword_number(node, &number, err);
        if (status == STATUS_OK) {
            append_number(out, &number);
        }
        break;
    case DOC_STRING:
        append_text(out, bytes_of(node->text, node->text_size));
        break;
    case DOC_LIST:
        return append_doc_list(node, out, err);
    case DOC_MAP:
        return append_doc_map(node, out, err);
    }
    return status;
}
