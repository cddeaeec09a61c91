#include "doc/substitute.h"

#include <string.h>

enum {
    SUBSTITUTE_MAX_BYTES = 4 << 20, /* of one string; as much as a whole file may have */
};

#define NAME_FIRST "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define NAME_REST NAME_FIRST "0123456789"

static bool in_set(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* Appends the value of the name that starts at `at`, behind "${", and writes the offset behind its
 * "}". */
static enum status variable_append(struct arena *arena, doc_environment environment,
                                   const struct doc *node, size_t at, struct buffer *out,
                                   size_t *out_end, struct error *err)
{
    size_t end = at;
    while (end < node->text_size && in_set(node->text[end], end == at ? NAME_FIRST : NAME_REST)) {
        end++;
    }
    if (end == at || end == node->text_size || node->text[end] != '}') {
        return doc_error(node, err, "doc.environment",
                         "'${' must be followed by a name of letters, digits and '_', and '}'; "
                         "write '$${' where the text '${' is meant");
    }
    const char *name = arena_copy(arena, node->text + at, end - at);
    const char *value = environment(name);
    if (value == NULL) {
        return doc_error(node, err, "doc.environment",
                         "the environment variable '%s' is not set; set it, or write '$${%s}' "
                         "where the text '${%s}' is meant",
                         name, name, name);
    }
    if (!bytes_is_utf8(bytes_of_string(value))) {
        return doc_error(node, err, "doc.environment",
                         "the value of the environment variable '%s' is not UTF-8", name);
    }
    buffer_append_string(out, value);
    if (out->size > SUBSTITUTE_MAX_BYTES) {
        return doc_error(node, err, "doc.too_large",
                         "with '${%s}' replaced this string is longer than %d bytes", name,
                         SUBSTITUTE_MAX_BYTES);
    }
    *out_end = end + 1;
    return STATUS_OK;
}

enum status substitute(struct arena *arena, doc_environment environment, struct doc *node,
                       struct error *err)
{
    struct bytes rest = bytes_of(node->text, node->text_size);
    if (memmem(rest.data, rest.size, "${", 2) == NULL) {
        return STATUS_OK;
    }
    struct buffer text = {0};
    enum status status = STATUS_OK;
    size_t at = 0;
    while (status == STATUS_OK && at < node->text_size) {
        rest = bytes_of(node->text + at, node->text_size - at);
        if (bytes_starts_with(rest, "$${")) {
            buffer_append_string(&text, "${");
            at += 3;
        } else if (bytes_starts_with(rest, "${")) {
            status = variable_append(arena, environment, node, at + 2, &text, &at, err);
        } else {
            buffer_append_byte(&text, rest.data[0]);
            at++;
        }
    }
    if (status == STATUS_OK) {
        node->text_size = text.size;
        node->text = arena_copy(arena, buffer_string(&text), text.size);
    }
    buffer_fini(&text);
    return status;
}
