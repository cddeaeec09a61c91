#include "schema/idn.h"

#include <idn2.h>
#include <string.h>
#include <strings.h>

#include "schema/ascii.h"

enum { LABEL_BYTES_MAX = 63, HOST_BYTES_MAX = 253, PREFIX_BYTES = 4, U_LABEL_BYTES_MAX = 252 };

/* The four dots of RFC 3490, section 3.1, as UTF-8: "." and U+3002, U+FF0E, U+FF61. */
static size_t dot_size(struct bytes text, size_t at)
{
    static const char *const wide[] = {"\xE3\x80\x82", "\xEF\xBC\x8E", "\xEF\xBD\xA1"};
    if (text.data[at] == '.') {
        return 1;
    }
    for (size_t i = 0; i < 3; i++) {
        if (text.size - at >= 3 && memcmp(text.data + at, wide[i], 3) == 0) {
            return 3;
        }
    }
    return 0;
}

static bool is_ascii(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

static bool has_prefix(struct bytes label)
{
    return label.size >= PREFIX_BYTES &&
           strncasecmp((const char *)label.data, "xn--", PREFIX_BYTES) == 0;
}

/* What IDNA calls a U-label: its A-label's size, or 0. */
static size_t u_label_size(struct bytes label, bool normalizes)
{
    uint8_t *encoded = NULL;
    char text[U_LABEL_BYTES_MAX + 1];
    if (label.size > U_LABEL_BYTES_MAX || memchr(label.data, '\0', label.size) != NULL) {
        return 0;
    }
    memcpy(text, label.data, label.size);
    text[label.size] = '\0';
    /* Registration checks more than looking a name up does: the rules of context for one. */
    int flags = IDN2_NO_TR46 | (normalizes ? IDN2_NFC_INPUT : 0);
    int code = idn2_register_u8((const uint8_t *)text, NULL, &encoded, flags);
    size_t size = code == IDN2_OK ? strlen((const char *)encoded) : 0;
    idn2_free(encoded);
    return size <= LABEL_BYTES_MAX ? size : 0;
}

bool idn_label_matches(struct bytes label)
{
    if (!has_prefix(label)) {
        return true;
    }
    char text[LABEL_BYTES_MAX + 1];
    char *decoded = NULL;
    if (label.size > LABEL_BYTES_MAX) {
        return false;
    }
    memcpy(text, label.data, label.size);
    text[label.size] = '\0';
    bool matches = false;
    if (idn2_to_unicode_8z8z(text, &decoded, IDN2_NO_TR46 | IDN2_NO_ALABEL_ROUNDTRIP) == IDN2_OK) {
        struct bytes unicode = bytes_of_string(decoded);
        matches = !is_ascii(unicode) && u_label_size(unicode, false) > 0;
    }
    idn2_free(decoded);
    return matches;
}

/* Letters, digits and inner hyphens. */
static size_t ascii_label_size(struct bytes label)
{
    for (size_t i = 0; i < label.size; i++) {
        bool inner = i > 0 && i + 1 < label.size;
        if (!ascii_is_alnum(label.data[i]) && !(label.data[i] == '-' && inner)) {
            return 0;
        }
    }
    return label.size <= LABEL_BYTES_MAX && idn_label_matches(label) ? label.size : 0;
}

bool idn_host_matches(struct bytes text, bool normalizes)
{
    size_t total = 0;
    size_t at = 0;
    for (;;) {
        size_t first = at;
        size_t dot = 0;
        while (at < text.size && (dot = dot_size(text, at)) == 0) {
            at++;
        }
        struct bytes label = bytes_of(text.data + first, at - first);
        size_t size = is_ascii(label) ? ascii_label_size(label) : u_label_size(label, normalizes);
        total += size + (first > 0);
        if (size == 0 || total > HOST_BYTES_MAX) {
            return false;
        }
        if (at == text.size) {
            return true;
        }
        at += dot;
    }
}
