/*
 * For the tests: a second JSON decoder, slow and simple, that shares nothing with the codec. It
 * renders what a row should be, in the form of json_test_row.h, with the reason but without the
 * detail of decode violations.
 */
#ifndef WEIR_CODEC_JSON_REFERENCE_H
#define WEIR_CODEC_JSON_REFERENCE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json_test_row.h"

enum node_kind { NODE_NULL, NODE_BOOL, NODE_NUMBER, NODE_STRING, NODE_ARRAY, NODE_OBJECT };

struct node {
    enum node_kind kind;
    struct bytes raw;
    struct bytes text;    /* NODE_STRING, unescaped */
    struct member *first; /* of objects and, without names, arrays */
    struct member *last;
};

struct member {
    struct bytes name;
    struct node *value;
    struct member *next;
};

struct reference {
    struct arena *arena;
    const uint8_t *at;
    const uint8_t *end;
    uint32_t max_depth;
    enum json_repeated_key repeated_key;
    reason_id failed;
    bool repeated;
};

static struct node *reference_value(struct reference *ref, uint32_t depth);

static inline void *reference_fail(struct reference *ref, reason_id reason)
{
    ref->failed = ref->failed == REASON_NONE ? reason : ref->failed;
    return NULL;
}

static inline int reference_peek(const struct reference *ref)
{
    return ref->at < ref->end ? *ref->at : -1;
}

static inline void reference_space(struct reference *ref)
{
    while (reference_peek(ref) > 0 && strchr(" \t\r\n", reference_peek(ref)) != NULL) {
        ref->at++;
    }
}

static inline int reference_hex(struct reference *ref)
{
    int code = 0;
    for (int i = 0; i < 4; i++, ref->at++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        int byte = reference_peek(ref);
        const char *digit = byte > 0 ? strchr(digits, byte) : NULL;
        if (digit == NULL) {
            return -1;
        }
        code = code * 16 + (int)(digit - digits) % 16;
    }
    return code;
}

static inline void reference_append_code(struct buffer *out, int code)
{
    if (code < 0x80) {
        buffer_append_byte(out, (uint8_t)code);
        return;
    }
    int bytes = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const int heads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (int i = bytes - 1; i >= 0; i--) {
        int bits = code >> (6 * i);
        buffer_append_byte(out,
                           (uint8_t)(i == bytes - 1 ? heads[bytes] | bits : 0x80 | (bits & 0x3F)));
    }
}

static inline bool reference_escape(struct reference *ref, struct buffer *out)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    ref->at++;
    int byte = reference_peek(ref);
    ref->at += byte >= 0;
    const char *plain = byte > 0 ? strchr(from, byte) : NULL;
    if (plain != NULL) {
        buffer_append_byte(out, (uint8_t)to[plain - from]);
        return true;
    }
    int code = byte == 'u' ? reference_hex(ref) : -1;
    if (code < 0) {
        return reference_fail(ref, REASON_DECODE_SYNTAX) != NULL;
    }
    if (code >= 0xD800 && code <= 0xDFFF) {
        int low = -1;
        if (code < 0xDC00 && reference_peek(ref) == '\\') {
            ref->at++;
            if (reference_peek(ref) == 'u') {
                ref->at++;
                low = reference_hex(ref);
            }
        }
        if (low < 0xDC00 || low > 0xDFFF) {
            return reference_fail(ref, REASON_DECODE_ENCODING) != NULL;
        }
        code = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00);
    }
    reference_append_code(out, code);
    return true;
}

static inline bool reference_string(struct reference *ref, struct bytes *out)
{
    struct buffer text = {0};
    bool whole = reference_peek(ref) == '"';
    ref->at += whole;
    while (whole && reference_peek(ref) != '"') {
        int byte = reference_peek(ref);
        if (byte < 0x20) {
            whole = false;
        } else if (byte == '\\') {
            whole = reference_escape(ref, &text);
        } else {
            buffer_append_byte(&text, (uint8_t)byte);
            ref->at++;
        }
    }
    if (whole) {
        ref->at++;
        *out =
            bytes_of(arena_copy(ref->arena, text.size > 0 ? text.data : (uint8_t *)"", text.size),
                     text.size);
    }
    buffer_fini(&text);
    return whole || reference_fail(ref, REASON_DECODE_SYNTAX) != NULL;
}

static inline bool reference_digits(struct reference *ref)
{
    const uint8_t *first = ref->at;
    while (reference_peek(ref) >= '0' && reference_peek(ref) <= '9') {
        ref->at++;
    }
    return ref->at > first;
}

static inline bool reference_number(struct reference *ref)
{
    ref->at += reference_peek(ref) == '-';
    const uint8_t *whole = ref->at;
    bool good = reference_digits(ref) && (*whole != '0' || ref->at == whole + 1);
    if (good && reference_peek(ref) == '.') {
        ref->at++;
        good = reference_digits(ref);
    }
    if (good && (reference_peek(ref) == 'e' || reference_peek(ref) == 'E')) {
        ref->at++;
        ref->at += reference_peek(ref) == '+' || reference_peek(ref) == '-';
        good = reference_digits(ref);
    }
    return good || reference_fail(ref, REASON_DECODE_SYNTAX) != NULL;
}

static inline void reference_add(struct reference *ref, struct node *node, struct bytes name,
                                 struct node *value)
{
    for (struct member *m = node->first; m != NULL && node->kind == NODE_OBJECT; m = m->next) {
        ref->repeated = ref->repeated || bytes_equal(m->name, name);
    }
    struct member *member = arena_alloc_zero(ref->arena, 1, sizeof *member);
    member->name = name;
    member->value = value;
    if (node->first == NULL) {
        node->first = member;
    } else {
        node->last->next = member;
    }
    node->last = member;
}

static inline bool reference_members(struct reference *ref, struct node *node, uint32_t depth)
{
    int close = node->kind == NODE_OBJECT ? '}' : ']';
    if (depth >= ref->max_depth) {
        return reference_fail(ref, REASON_DECODE_SYNTAX) != NULL;
    }
    ref->at++;
    reference_space(ref);
    if (reference_peek(ref) == close) {
        ref->at++;
        return true;
    }
    for (;;) {
        struct bytes name = BYTES_NONE;
        if (node->kind == NODE_OBJECT) {
            reference_space(ref);
            if (!reference_string(ref, &name)) {
                return false;
            }
            reference_space(ref);
            if (reference_peek(ref) != ':') {
                return reference_fail(ref, REASON_DECODE_SYNTAX) != NULL;
            }
            ref->at++;
        }
        struct node *value = reference_value(ref, depth + 1);
        if (value == NULL) {
            return false;
        }
        reference_add(ref, node, name, value);
        reference_space(ref);
        int byte = reference_peek(ref);
        if (byte != ',' && byte != close) {
            return reference_fail(ref, REASON_DECODE_SYNTAX) != NULL;
        }
        ref->at++;
        if (byte == close) {
            return true;
        }
    }
}

static inline bool reference_literal(struct reference *ref, const char *literal)
{
    size_t size = strlen(literal);
    if ((size_t)(ref->end - ref->at) < size || memcmp(ref->at, literal, size) != 0) {
        return reference_fail(ref, REASON_DECODE_SYNTAX) != NULL;
    }
    ref->at += size;
    return true;
}

static struct node *reference_value(struct reference *ref, uint32_t depth)
{
    struct node *node = arena_alloc_zero(ref->arena, 1, sizeof *node);
    reference_space(ref);
    const uint8_t *start = ref->at;
    bool good;
    switch (reference_peek(ref)) {
    case '{':
        node->kind = NODE_OBJECT;
        good = reference_members(ref, node, depth);
        break;
    case '[':
        node->kind = NODE_ARRAY;
        good = reference_members(ref, node, depth);
        break;
    case '"':
        node->kind = NODE_STRING;
        good = reference_string(ref, &node->text);
        break;
    case 't':
    case 'f':
        node->kind = NODE_BOOL;
        good = reference_literal(ref, *start == 't' ? "true" : "false");
        break;
    case 'n':
        node->kind = NODE_NULL;
        good = reference_literal(ref, "null");
        break;
    default:
        node->kind = NODE_NUMBER;
        good = reference_number(ref);
        break;
    }
    node->raw = bytes_of(start, (size_t)(ref->at - start));
    return good ? node : NULL;
}

/* By hand on the decimal digits: '0' none, 't' a fraction, 'r' beyond int64. */
static inline char reference_integer(struct bytes raw, int64_t *out)
{
    char digits[9000];
    int count = 0;
    int point = 0;
    bool in_fraction = false;
    size_t at = raw.data[0] == '-';
    for (; at < raw.size && (raw.data[at] | 0x20) != 'e'; at++) {
        if (raw.data[at] == '.') {
            in_fraction = true;
            continue;
        }
        digits[count++] = (char)raw.data[at];
        point += !in_fraction;
    }
    if (at < raw.size) {
        char text[64];
        snprintf(text, sizeof text, "%.*s", (int)(raw.size - at - 1),
                 (const char *)raw.data + at + 1);
        long exponent = strtol(text, NULL, 10);
        point += (int)(exponent > 4000 ? 4000 : exponent < -4000 ? -4000 : exponent);
    }
    int last = count;
    while (last > 0 && digits[last - 1] == '0') {
        last--;
    }
    *out = 0;
    if (last == 0) {
        return '0';
    }
    if (last > point) {
        return 't';
    }
    /* point ≥ last, so all digits stand before the point, perhaps with zeros behind. */
    int first = 0;
    while (digits[first] == '0') {
        first++;
    }
    if (point - first > 19) {
        return 'r';
    }
    uint64_t magnitude = 0;
    for (int i = first; i < point; i++) {
        uint64_t digit = i < count ? (uint64_t)(digits[i] - '0') : 0;
        if (magnitude > (UINT64_MAX - digit) / 10) {
            return 'r';
        }
        magnitude = magnitude * 10 + digit;
    }
    bool negative = raw.data[0] == '-';
    if (magnitude > (uint64_t)INT64_MAX + negative) {
        return 'r';
    }
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return '0';
}

static inline void reference_cell(struct reference *ref, const struct field *field,
                                  const struct node *node, struct buffer *out)
{
    struct value value = {.type = VALUE_JSON, .text = node->raw};
    enum cell cell = CELL_VALUE;
    enum misfit_kind kind = MISFIT_TYPE;
    bool fits = false;
    if (node->kind == NODE_NULL) {
        value.type = VALUE_NULL;
        row_render_cell(out, field->path, field->nullable ? CELL_NULL : CELL_ABSENT, &value, kind,
                        node->raw);
        return;
    }
    switch (field->type) {
    case COLUMN_BOOL:
        fits = node->kind == NODE_BOOL;
        value = (struct value){.type = VALUE_BOOL, .boolean = node->raw.data[0] == 't'};
        break;
    case COLUMN_INT64:
        value.type = VALUE_INT64;
        if (node->kind == NODE_NUMBER) {
            char outcome = reference_integer(node->raw, &value.integer);
            fits = outcome == '0';
            kind = outcome == 'r' ? MISFIT_RANGE : MISFIT_TYPE;
        }
        break;
    case COLUMN_DOUBLE:
        value.type = VALUE_DOUBLE;
        if (node->kind == NODE_NUMBER) {
            value.real = strtod(arena_copy(ref->arena, node->raw.data, node->raw.size), NULL);
            fits = isfinite(value.real);
            kind = MISFIT_RANGE;
        }
        break;
    case COLUMN_TEXT:
        fits = node->kind == NODE_STRING;
        value = (struct value){.type = VALUE_TEXT, .text = node->text};
        break;
    case COLUMN_JSON:
        fits = true;
        break;
    case COLUMN_OBJECT:
        fits = node->kind == NODE_OBJECT;
        break;
    }
    row_render_cell(out, field->path, fits ? cell : CELL_MISFIT, &value, kind, node->raw);
}

/* The last member of that name, or NULL. */
static inline const struct node *reference_member(const struct node *object, const char *name,
                                                  size_t size)
{
    const struct node *found = NULL;
    for (struct member *m = object == NULL ? NULL : object->first; m != NULL; m = m->next) {
        if (bytes_equal(m->name, bytes_of(name, size))) {
            found = m->value;
        }
    }
    return found;
}

static inline const struct node *reference_node(const struct layout *layout,
                                                const struct node *root, uint32_t field)
{
    const struct field *f = &layout->fields[field];
    const struct node *object =
        f->parent == FIELD_NONE ? root : reference_node(layout, root, f->parent);
    if (object == NULL || object->kind != NODE_OBJECT) {
        return NULL;
    }
    return reference_member(object, f->name, f->name_size);
}

static inline void reference_strangers(const struct layout *layout, const struct node *object,
                                       uint32_t field, uint32_t *count, struct buffer *out)
{
    bool closed = field == FIELD_NONE ? layout->closed : layout->fields[field].closed;
    for (struct member *m = object->first; m != NULL; m = m->next) {
        uint32_t child = 0;
        while (child < layout->field_count &&
               (layout->fields[child].parent != field ||
                !bytes_equal(m->name, bytes_of(layout->fields[child].name,
                                               layout->fields[child].name_size)))) {
            child++;
        }
        bool first = true;
        for (struct member *n = object->first; n != m; n = n->next) {
            first = first && !bytes_equal(n->name, m->name);
        }
        if (closed && first && child >= layout->schema_field_count &&
            ++*count <= VIOLATIONS_PER_ROW) {
            buffer_append_string(out, "| schema.unknown_field");
            if (child < layout->field_count) {
                buffer_printf(out, " [%u]", child);
            }
            buffer_append_byte(out, ' ');
            if (field != FIELD_NONE) {
                buffer_printf(out, "%s.", layout->fields[field].path);
            }
            buffer_append(out, m->name.data, m->name.size);
            buffer_append_byte(out, ' ');
        }
        if (child < layout->field_count && layout->fields[child].type == COLUMN_OBJECT &&
            m->value->kind == NODE_OBJECT &&
            m->value == reference_member(object, (const char *)m->name.data, m->name.size)) {
            reference_strangers(layout, m->value, child, count, out);
        }
    }
}

/* Appends the line to `out`, *out_reason says whether it was refused by the decoder; then the line
 * is empty. */
static inline void reference_render(const struct layout *layout, const struct json_options *options,
                                    struct bytes text, struct buffer *out, reason_id *out_reason)
{
    struct reference ref = {
        .arena = arena_new(4096),
        .at = text.data,
        .end = text.data + text.size,
        .max_depth = options->max_depth == 0 ? 128 : options->max_depth,
        .repeated_key = options->repeated_key,
    };
    struct node *root = NULL;
    if (!bytes_is_utf8(text)) {
        reference_fail(&ref, REASON_DECODE_ENCODING);
    } else {
        root = reference_value(&ref, 0);
        reference_space(&ref);
        if (root != NULL && ref.at != ref.end) {
            reference_fail(&ref, REASON_DECODE_SYNTAX);
        }
        if (ref.repeated && ref.repeated_key == JSON_REPEATED_KEY_ERROR) {
            reference_fail(&ref, REASON_DECODE_SYNTAX);
        }
        if (root != NULL && root->kind != NODE_OBJECT) {
            reference_fail(&ref, REASON_SCHEMA_TYPE);
        }
    }
    *out_reason = ref.failed;
    for (uint32_t i = 0; i < layout->field_count && ref.failed == REASON_NONE; i++) {
        const struct node *node = reference_node(layout, root, i);
        if (node != NULL) {
            reference_cell(&ref, &layout->fields[i], node, out);
        }
    }
    if (ref.failed == REASON_NONE) {
        uint32_t count = 0;
        reference_strangers(layout, root, FIELD_NONE, &count, out);
    }
    if (out->size > 0 && out->data[out->size - 1] == ' ') {
        out->size--;
    }
    arena_free(ref.arena);
}

#endif
