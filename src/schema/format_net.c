/* ipv4, ipv6, hostname, idn-hostname, email, idn-email, uuid: names and addresses. */
#include <string.h>

#include "schema/ascii.h"
#include "schema/format.h"
#include "schema/idn.h"

enum { LABEL_BYTES_MAX = 63, HOSTNAME_BYTES_MAX = 253 };

enum { UUID_BYTES = 36, UUID_BLOCK_BYTES = 16 };

/* Without a branch and of a constant size, so that the compiler makes vector instructions of it: an
 * id stands in every record. */
static uint8_t uuid_block_is_wrong(const uint8_t *text, const uint8_t *dashes)
{
    uint8_t wrong = 0;
    for (size_t i = 0; i < UUID_BLOCK_BYTES; i++) {
        uint8_t digit = (uint8_t)(text[i] - '0');
        uint8_t letter = (uint8_t)((text[i] | 0x20) - 'a');
        uint8_t is_hex = (uint8_t)((digit <= 9) | (letter <= 5));
        uint8_t is_dash = text[i] == '-';
        wrong |= (uint8_t)((is_dash ^ dashes[i]) | (is_hex ^ dashes[i] ^ 1));
    }
    return wrong;
}

bool format_is_uuid(struct bytes text)
{
    static const uint8_t dashes[UUID_BYTES] = {[8] = 1, [13] = 1, [18] = 1, [23] = 1};
    enum { LAST = UUID_BYTES - UUID_BLOCK_BYTES };
    const uint8_t *data = text.data;
    /* The last block overlaps the one before. */
    return text.size == UUID_BYTES &&
           (uuid_block_is_wrong(data, dashes) |
            uuid_block_is_wrong(data + UUID_BLOCK_BYTES, dashes + UUID_BLOCK_BYTES) |
            uuid_block_is_wrong(data + LAST, dashes + LAST)) == 0;
}

bool format_is_ipv4(struct bytes text)
{
    unsigned octets = 0;
    for (size_t at = 0;; at++) {
        size_t first = at;
        unsigned value = 0;
        for (; at < text.size && at - first < 3 && ascii_is_digit(text.data[at]); at++) {
            value = value * 10 + (text.data[at] - '0');
        }
        bool leading_zero = at - first > 1 && text.data[first] == '0';
        if (at == first || value > 255 || leading_zero) {
            return false;
        }
        octets++;
        if (at == text.size) {
            return octets == 4;
        }
        if (text.data[at] != '.' || octets == 4) {
            return false;
        }
    }
}

bool format_is_ipv6(struct bytes text)
{
    const uint8_t *data = text.data;
    unsigned groups = 0;
    bool compressed = false;
    size_t at = 0;
    if (text.size >= 2 && data[0] == ':' && data[1] == ':') {
        compressed = true;
        at = 2;
    }
    /* Each turn reads one group; an empty rest is right only behind "::". */
    while (at < text.size || !compressed) {
        size_t first = at;
        while (at < text.size && at - first < 4 && ascii_is_hex(data[at])) {
            at++;
        }
        if (at < text.size && data[at] == '.') {
            groups += 2;
            if (!format_is_ipv4(bytes_of(data + first, text.size - first))) {
                return false;
            }
            break;
        }
        if (at == first || ++groups > 8) {
            return false;
        }
        if (at == text.size) {
            break;
        }
        if (data[at++] != ':' || at == text.size) {
            return false;
        }
        if (data[at] == ':') {
            if (compressed) {
                return false;
            }
            compressed = true;
            at++;
        }
    }
    return compressed ? groups <= 7 : groups == 8;
}

/* Labels of letters, digits and inner hyphens, with dots between them. `label_matches` may
 * refuse a label (NULL: none). */
static bool is_domain(struct bytes text, bool (*label_matches)(struct bytes label))
{
    if (text.size > HOSTNAME_BYTES_MAX) {
        return false;
    }
    for (size_t at = 0;; at++) {
        size_t first = at;
        while (at < text.size && (ascii_is_alnum(text.data[at]) || text.data[at] == '-')) {
            at++;
        }
        struct bytes label = bytes_of(text.data + first, at - first);
        if (label.size == 0 || label.size > LABEL_BYTES_MAX || label.data[0] == '-' ||
            label.data[label.size - 1] == '-' || (label_matches != NULL && !label_matches(label))) {
            return false;
        }
        if (at == text.size) {
            return true;
        }
        if (text.data[at] != '.') {
            return false;
        }
    }
}

bool format_is_hostname(struct bytes text)
{
    return is_domain(text, idn_label_matches);
}

bool format_is_idn_hostname(struct bytes text)
{
    return idn_host_matches(text, false);
}

static bool is_atext(uint8_t byte)
{
    static const char specials[] = "!#$%&'*+-/=?^_`{|}~";
    return ascii_is_alnum(byte) || memchr(specials, byte, sizeof specials - 1) != NULL;
}

/* The Local-part at the start of `text`: its size, or 0 when there is none. `international`: with
 * the characters that RFC 6531, section 3.3 adds. */
static size_t local_part_size(struct bytes text, bool international)
{
    const uint8_t *data = text.data;
    size_t at = 0;
    if (text.size > 0 && data[0] == '"') {
        for (at = 1; at < text.size && data[at] != '"'; at++) {
            if (data[at] == '\\') {
                at++;
            }
            if (at == text.size || data[at] < 0x20 ||
                (data[at] > 0x7E && (data[at] == 0x7F || !international))) {
                return 0;
            }
        }
        return at < text.size ? at + 1 : 0;
    }
    for (;; at++) {
        size_t first = at;
        while (at < text.size && (is_atext(data[at]) || (international && data[at] >= 0x80))) {
            at++;
        }
        if (at == first) {
            return 0;
        }
        if (at == text.size || data[at] != '.') {
            return at;
        }
    }
}

/* "[127.0.0.1]" or "[IPv6:::1]": the only tag that is registered. */
static bool is_address_literal(struct bytes text)
{
    if (text.size < 2 || text.data[0] != '[' || text.data[text.size - 1] != ']') {
        return false;
    }
    static const char tag[] = "IPv6:";
    enum { TAG_BYTES = sizeof tag - 1 };
    struct bytes inner = bytes_of(text.data + 1, text.size - 2);
    /* Literal strings of the grammar are compared without regard to case (RFC 5234, section
     * 2.3). */
    if (inner.size > TAG_BYTES && strncasecmp((const char *)inner.data, tag, TAG_BYTES) == 0) {
        return format_is_ipv6(bytes_of(inner.data + TAG_BYTES, inner.size - TAG_BYTES));
    }
    return format_is_ipv4(inner);
}

static bool is_mailbox(struct bytes text, bool international)
{
    size_t local = local_part_size(text, international);
    if (local == 0 || local == text.size || text.data[local] != '@') {
        return false;
    }
    struct bytes domain = bytes_of(text.data + local + 1, text.size - local - 1);
    return is_domain(domain, NULL) || is_address_literal(domain) ||
           (international && idn_host_matches(domain, true));
}

bool format_is_email(struct bytes text)
{
    return is_mailbox(text, false);
}

bool format_is_idn_email(struct bytes text)
{
    return is_mailbox(text, true);
}
