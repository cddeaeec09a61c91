/* uri, uri-reference: RFC 3986, section 3 and appendix A. iri, iri-reference: the same with the
 * characters that RFC 3987, section 2.2 adds. */
#include <string.h>

#include "schema/ascii.h"
#include "schema/format.h"
#include "schema/uri.h"

/* `ucschar`, and with `is_private` `iprivate` too. */
static bool is_international(uint32_t point, bool is_private)
{
    bool basic = (point >= 0xA0 && point <= 0xD7FF) || (point >= 0xF900 && point <= 0xFDCF) ||
                 (point >= 0xFDF0 && point <= 0xFFEF);
    /* Each plane ends with two that are no characters; the tags of plane 14 are left out. */
    bool plane = point >= 0x10000 && point <= 0xEFFFF && (point & 0xFFFF) <= 0xFFFD &&
                 (point < 0xE0000 || point >= 0xE1000);
    bool private_use = (point >= 0xE000 && point <= 0xF8FF) ||
                       (point >= 0xF0000 && (point & 0xFFFF) <= 0xFFFD);
    return basic || plane || (is_private && private_use);
}

/* What a part is made of, beside unreserved, sub-delims and percent-encoded. */
struct alphabet {
    const char *also;
    bool international;
    bool is_private;
};

static bool is_made_of(struct bytes text, struct alphabet alphabet)
{
    static const char marks[] = "-._~!$&'()*+,;=";
    size_t also_count = strlen(alphabet.also);
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte >= 0x80 && alphabet.international) {
            size_t size;
            uint32_t point = ascii_read_point(text, i, &size);
            if (!is_international(point, alphabet.is_private)) {
                return false;
            }
            i += size - 1;
        } else if (byte == '%') {
            if (text.size - i < 3 || !ascii_is_hex(text.data[i + 1]) ||
                !ascii_is_hex(text.data[i + 2])) {
                return false;
            }
            i += 2;
        } else if (!ascii_is_alnum(byte) && memchr(marks, byte, sizeof marks - 1) == NULL &&
                   memchr(alphabet.also, byte, also_count) == NULL) {
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
    return is_made_of(address, (struct alphabet){.also = ":"});
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

static bool is_authority(struct bytes text, bool international)
{
    struct alphabet alphabet = {"", international, false};
    struct bytes host = text;
    struct bytes behind_user = split_behind(&host, '@');
    if (!bytes_is_none(behind_user)) {
        if (!is_made_of(host, (struct alphabet){":", international, false})) {
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
    return is_made_of(host, alphabet) && is_port(port);
}

/* What stands behind the scheme, if there is one. */
static bool is_rest(struct bytes rest, bool international)
{
    const struct alphabet path_alphabet = {":@/", international, false};
    struct bytes fragment = split_behind(&rest, '#');
    struct bytes query = split_behind(&rest, '?');
    if (!is_made_of(fragment, (struct alphabet){":@/?", international, false}) ||
        !is_made_of(query, (struct alphabet){":@/?", international, true})) {
        return false;
    }
    if (rest.size >= 2 && memcmp(rest.data, "//", 2) == 0) {
        struct bytes authority = bytes_of(rest.data + 2, rest.size - 2);
        struct bytes path = split_behind(&authority, '/');
        return is_authority(authority, international) && is_made_of(path, path_alphabet);
    }
    return is_made_of(rest, path_alphabet);
}

static bool is_absolute(struct bytes text, bool international)
{
    struct bytes scheme = text;
    struct bytes rest = split_behind(&scheme, ':');
    return !bytes_is_none(rest) && uri_is_scheme(scheme) && is_rest(rest, international);
}

/* A path without a scheme has no ":" in its first segment. */
static bool is_relative(struct bytes text, bool international)
{
    size_t at = 0;
    while (at < text.size && memchr("/?#", text.data[at], 3) == NULL) {
        if (text.data[at++] == ':') {
            return false;
        }
    }
    return is_rest(text, international);
}

bool format_is_uri(struct bytes text)
{
    return is_absolute(text, false);
}

bool format_is_uri_reference(struct bytes text)
{
    return is_absolute(text, false) || is_relative(text, false);
}

bool format_is_iri(struct bytes text)
{
    return is_absolute(text, true);
}

bool format_is_iri_reference(struct bytes text)
{
    return is_absolute(text, true) || is_relative(text, true);
}
