#include "doc/doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "doc/scalar.h"

const struct doc *doc_get(const struct doc *map, const char *key)
{
    check(map->kind == DOC_MAP);
    for (size_t i = 0; i < map->count; i++) {
        const struct doc *candidate = map->keys[i];
        if (bytes_equal_string(bytes_of(candidate->text, candidate->text_size), key)) {
            return map->items[i];
        }
    }
    return NULL;
}

const char *doc_kind_name(enum doc_kind kind)
{
    switch (kind) {
    case DOC_NULL:
        return "null";
    case DOC_BOOL:
        return "true or false";
    case DOC_INT:
        return "an integer";
    case DOC_DOUBLE:
        return "a number";
    case DOC_STRING:
        return "a string";
    case DOC_LIST:
        return "a list";
    case DOC_MAP:
        return "a map";
    }
    check(!"a kind of node");
    return NULL;
}

const char *doc_excerpt(const struct doc *scalar, char out[DOC_EXCERPT_BYTES])
{
    static const char ellipsis[] = "…";
    size_t room = DOC_EXCERPT_BYTES - sizeof ellipsis;
    size_t size = scalar->text_size;
    bool cut = size > room;
    if (cut) {
        size = room;
        while (size > 0 && ((unsigned char)scalar->text[size] & 0xC0) == 0x80) {
            size--;
        }
    }
    for (size_t i = 0; i < size; i++) {
        out[i] = (unsigned char)scalar->text[i] < 0x20 ? ' ' : scalar->text[i];
    }
    memcpy(out + size, cut ? ellipsis : "", cut ? sizeof ellipsis : 1);
    return out;
}

enum status doc_error(const struct doc *node, struct error *err, const char *code,
                      const char *format, ...)
{
    /* One byte more than the message holds, so that the cut in error_set_at() sees that it cuts. */
    char message[sizeof err->message + 1];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return error_set_at(err, STATUS_CONFIG, code, node->file, node->line, node->column, "%s",
                        length < 0 ? format : message);
}

enum status doc_locate_error(const struct doc *node, struct error *err)
{
    if (err->status != STATUS_CONFIG || err->file[0] != '\0') {
        return err->status;
    }
    struct error plain = *err;
    error_clear(err);
    return doc_error(node, err, plain.code, "%s", plain.message);
}

/* What the node means when it is an unquoted scalar. An unquoted string that means a number or a
 * boolean got its text from the environment: any other would have that kind already. */
static bool doc_to_scalar(const struct doc *node, struct scalar *out)
{
    if (node->kind == DOC_STRING && !node->quoted) {
        return scalar_resolve(node->text, node->text_size, out) == SCALAR_FITS;
    }
    out->kind = node->kind;
    if (node->kind == DOC_BOOL) {
        out->boolean = node->boolean;
    } else if (node->kind == DOC_INT) {
        out->integer = node->integer;
    } else if (node->kind == DOC_DOUBLE) {
        out->real = node->real;
    }
    return true;
}

bool doc_to_bool(const struct doc *node, bool *out)
{
    struct scalar scalar;
    if (!doc_to_scalar(node, &scalar) || scalar.kind != DOC_BOOL) {
        return false;
    }
    *out = scalar.boolean;
    return true;
}

bool doc_to_integer(const struct doc *node, int64_t *out)
{
    struct scalar scalar;
    if (!doc_to_scalar(node, &scalar) || scalar.kind != DOC_INT) {
        return false;
    }
    *out = scalar.integer;
    return true;
}

bool doc_to_number(const struct doc *node, double *out)
{
    struct scalar scalar;
    if (!doc_to_scalar(node, &scalar) || (scalar.kind != DOC_INT && scalar.kind != DOC_DOUBLE)) {
        return false;
    }
    *out = scalar.kind == DOC_INT ? (double)scalar.integer : scalar.real;
    return true;
}
