#include "schema/uri.h"

#include <string.h>

#include "schema/ascii.h"

/* The parts of RFC 3986, appendix B; none where the part is not there. */
struct parts {
    struct bytes scheme;
    struct bytes authority;
    struct bytes path;
    struct bytes query;
};

static struct bytes span(const char *first, const char *end)
{
    return bytes_of(first, (size_t)(end - first));
}

bool uri_is_scheme(struct bytes text)
{
    if (text.size == 0 || !ascii_is_alpha(text.data[0])) {
        return false;
    }
    for (size_t i = 1; i < text.size; i++) {
        if (!ascii_is_alnum(text.data[i]) && memchr("+-.", text.data[i], 3) == NULL) {
            return false;
        }
    }
    return true;
}

static struct parts split(const char *text, size_t size)
{
    struct parts parts = {BYTES_NONE, BYTES_NONE, BYTES_NONE, BYTES_NONE};
    const char *at = text;
    const char *end = text + size;
    const char *colon = size == 0 ? NULL : memchr(text, ':', size);
    if (colon != NULL && uri_is_scheme(span(text, colon))) {
        parts.scheme = span(text, colon);
        at = colon + 1;
    }
    if (end - at >= 2 && at[0] == '/' && at[1] == '/') {
        at += 2;
        const char *first = at;
        while (at < end && *at != '/' && *at != '?') {
            at++;
        }
        parts.authority = span(first, at);
    }
    const char *query = at == end ? NULL : memchr(at, '?', (size_t)(end - at));
    parts.path = span(at, query != NULL ? query : end);
    parts.query = query != NULL ? span(query + 1, end) : BYTES_NONE;
    return parts;
}

/* Drops the last segment of what stands in `path` from `start` on; false when there is none. */
static bool drop_segment(struct buffer *path, size_t start)
{
    if (path->size == start) {
        return false;
    }
    while (path->size > start && path->data[path->size - 1] != '/') {
        path->size--;
    }
    path->size -= path->size > start;
    return true;
}

/* Section 5.2.4, but that ".." above the root is an error: which file is meant would be a guess. */
static bool append_path(struct buffer *out, struct bytes path)
{
    size_t start = out->size;
    size_t at = 0;
    while (at < path.size) {
        bool slash = path.data[at] == '/';
        size_t first = at + slash;
        size_t end = first;
        while (end < path.size && path.data[end] != '/') {
            end++;
        }
        struct bytes segment = bytes_of(path.data + first, end - first);
        bool up = bytes_equal_string(segment, "..");
        if (up && !drop_segment(out, start)) {
            return false;
        }
        if (!up && !bytes_equal_string(segment, ".")) {
            if (slash) {
                buffer_append_byte(out, '/');
            }
            buffer_append(out, segment.data, segment.size);
        } else if (end == path.size) {
            buffer_append_byte(out, '/');
        }
        at = end;
    }
    return true;
}

/* Section 5.2.3. */
static void merge(struct buffer *out, const struct parts *base, struct bytes path)
{
    if (!bytes_is_none(base->authority) && base->path.size == 0) {
        buffer_append_byte(out, '/');
    } else {
        size_t size = base->path.size;
        while (size > 0 && base->path.data[size - 1] != '/') {
            size--;
        }
        buffer_append(out, base->path.data, size);
    }
    buffer_append(out, path.data, path.size);
}

static void append_head(struct buffer *out, const struct parts *parts)
{
    if (!bytes_is_none(parts->scheme)) {
        buffer_append(out, parts->scheme.data, parts->scheme.size);
        buffer_append_byte(out, ':');
    }
    if (!bytes_is_none(parts->authority)) {
        buffer_append_string(out, "//");
        buffer_append(out, parts->authority.data, parts->authority.size);
    }
}

/* Section 5.2.2, without the fragment. */
static bool append_target(struct buffer *out, const struct parts *base,
                          const struct parts *reference)
{
    struct buffer path = {0};
    struct parts head = *base;
    struct bytes query = reference->query;
    bool whole = !bytes_is_none(reference->scheme) || !bytes_is_none(reference->authority);
    if (whole) {
        head.scheme = bytes_is_none(reference->scheme) ? base->scheme : reference->scheme;
        head.authority = reference->authority;
        buffer_append(&path, reference->path.data, reference->path.size);
    } else if (reference->path.size == 0) {
        buffer_append(&path, base->path.data, base->path.size);
        query = bytes_is_none(query) ? base->query : query;
    } else if (reference->path.data[0] == '/') {
        buffer_append(&path, reference->path.data, reference->path.size);
    } else {
        merge(&path, base, reference->path);
    }
    append_head(out, &head);
    bool found = append_path(out, bytes_of(path.data, path.size));
    if (!bytes_is_none(query)) {
        buffer_append_byte(out, '?');
        buffer_append(out, query.data, query.size);
    }
    buffer_fini(&path);
    return found;
}

static uint8_t hex_digit(uint8_t digit)
{
    return (uint8_t)(ascii_is_digit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10);
}

const char *uri_decode(struct arena *arena, struct bytes text)
{
    char *decoded = arena_alloc(arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '%') {
            if (text.size - i < 3 || !ascii_is_hex(text.data[i + 1]) ||
                !ascii_is_hex(text.data[i + 2])) {
                return NULL;
            }
            byte = (uint8_t)(hex_digit(text.data[i + 1]) << 4 | hex_digit(text.data[i + 2]));
            i += 2;
        }
        if (byte == '\0') {
            return NULL;
        }
        decoded[size++] = (char)byte;
    }
    decoded[size] = '\0';
    return decoded;
}

bool uri_resolve(struct arena *arena, const char *base, const char *reference,
                 const char **out_uri, const char **out_fragment)
{
    size_t size = strcspn(reference, "#");
    const char *fragment = reference[size] == '#' ? reference + size + 1 : "";
    const char *decoded = uri_decode(arena, bytes_of_string(fragment));
    struct parts base_parts = split(base, strcspn(base, "#"));
    struct parts parts = split(reference, size);
    struct buffer target = {0};
    bool found = decoded != NULL;
    if (size == 0) {
        /* Only a fragment: also of a base whose path no reference can be merged with (urn:). */
        buffer_append(&target, base, strcspn(base, "#"));
    } else {
        found = append_target(&target, &base_parts, &parts) && found;
    }
    if (found) {
        *out_uri = arena_copy(arena, buffer_string(&target), target.size);
        *out_fragment = decoded;
    }
    buffer_fini(&target);
    return found;
}
