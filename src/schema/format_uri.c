/* uri: RFC 3986, section 3 and appendix A. */
#include <string.h>

#include "schema/ascii.h"
#include "schema/format.h"

/* unreserved, sub-delims, percent-encoded, and the characters of `also`. */
static bool is_made_of(struct bytes text, const char *also)
{
    static const char marks[] = "-._~!$&'()*+,;=";
    size_t also_count = strlen(also);
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '%') {
            if (text.size - i < 3 || !ascii_is_hex(text.data[i + 1]) ||
                !ascii_is_hex(text.data[i + 2])) {
                return false;
            }
            i += 2;
        } else if (!ascii_is_alnum(byte) && memchr(marks, byte, sizeof marks - 1) == NULL &&
                   memchr(also, byte, also_count) == NULL) {
            return false;
        }
    }
    return true;
}

/* Cuts `text` at the first `delimiter`: returns what is behind it, none when it is not there. */
static struct bytes split_behind(struct bytes *text, char delimiter)
{
    const uint8_t *at = text->size == 0 ? NULL : memchr(text->data, delimiter, text->size);
    if (at == NULL) {
        return BYTES_NONE;
    }
    size_t before = (size_t)(at - text->data);
    struct bytes behind = bytes_of(at + 1, text->size - before - 1);
    text->size = before;
    return behind;
}

static bool is_scheme(struct bytes text)
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

/* "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) */
static bool is_future_address(struct bytes text)
{
    struct bytes version = text;
    struct bytes address = split_behind(&version, '.');
    if (version.size < 2 || (version.data[0] | 0x20) != 'v' || address.size == 0 ||
        memchr(address.data, '%', address.size) != NULL) {
        return false;
    }
    for (size_t i = 1; i < version.size; i++) {
        if (!ascii_is_hex(version.data[i])) {
            return false;
        }
    }
    return is_made_of(address, ":");
}

static bool is_port(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!ascii_is_digit(text.data[i])) {
            return false;
        }
    }
    return true;
}

static bool is_authority(struct bytes text)
{
    struct bytes host = text;
    struct bytes behind_user = split_behind(&host, '@');
    if (!bytes_is_none(behind_user)) {
        if (!is_made_of(host, ":")) {
            return false;
        }
        host = behind_user;
    }
    if (host.size > 0 && host.data[0] == '[') {
        struct bytes literal = bytes_of(host.data + 1, host.size - 1);
        struct bytes rest = split_behind(&literal, ']');
        if (bytes_is_none(rest) || (!format_is_ipv6(literal) && !is_future_address(literal))) {
            return false;
        }
        return rest.size == 0 ||
               (rest.data[0] == ':' && is_port(bytes_of(rest.data + 1, rest.size - 1)));
    }
    struct bytes port = split_behind(&host, ':');
    return is_made_of(host, "") && is_port(port);
}

bool format_is_uri(struct bytes text)
{
    struct bytes scheme = text;
    struct bytes rest = split_behind(&scheme, ':');
    if (bytes_is_none(rest) || !is_scheme(scheme)) {
        return false;
    }
    struct bytes fragment = split_behind(&rest, '#');
    struct bytes query = split_behind(&rest, '?');
    if (!is_made_of(fragment, ":@/?") || !is_made_of(query, ":@/?")) {
        return false;
    }
    if (rest.size >= 2 && memcmp(rest.data, "//", 2) == 0) {
        struct bytes authority = bytes_of(rest.data + 2, rest.size - 2);
        struct bytes path = split_behind(&authority, '/');
        return is_authority(authority) && is_made_of(path, ":@/");
    }
    return is_made_of(rest, ":@/");
}
