#include "schema/punycode.h"

#include <string.h>
#include <strings.h>

#include "schema/ascii.h"

/* RFC 3492, section 5. */
enum {
    BASE = 36,
    T_MIN = 1,
    T_MAX = 26,
    SKEW = 38,
    DAMP = 700,
    INITIAL_BIAS = 72,
    INITIAL_N = 128
};
enum { LABEL_POINTS_MAX = 63 };

struct label {
    uint32_t points[LABEL_POINTS_MAX];
    uint32_t count;
};

static uint32_t adapt(uint32_t delta, uint32_t count, bool first)
{
    delta = first ? delta / DAMP : delta / 2;
    delta += delta / count;
    uint32_t k = 0;
    for (; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE) {
        delta /= BASE - T_MIN;
    }
    return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

/* One generalized variable-length integer at *at, added to *i. */
static bool read_delta(struct bytes text, size_t *at, uint32_t bias, uint32_t *i)
{
    uint32_t weight = 1;
    for (uint32_t k = BASE;; k += BASE) {
        if (*at == text.size) {
            return false;
        }
        uint8_t byte = text.data[(*at)++];
        if (byte == '-') {
            return false;
        }
        uint32_t digit =
            ascii_is_digit(byte) ? (uint32_t)byte - '0' + 26 : ((uint32_t)byte | 0x20) - 'a';
        uint32_t step;
        if (__builtin_mul_overflow(digit, weight, &step) || __builtin_add_overflow(*i, step, i)) {
            return false;
        }
        uint32_t threshold = k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;
        if (digit < threshold) {
            return true;
        }
        if (__builtin_mul_overflow(weight, BASE - threshold, &weight)) {
            return false;
        }
    }
}

/* `text` is what stands behind "xn--": ASCII characters up to the last hyphen, then the others
 * as deltas. */
static bool decode(struct bytes text, struct label *out)
{
    const uint8_t *hyphen = text.size == 0 ? NULL : memrchr(text.data, '-', text.size);
    size_t at = 0;
    if (hyphen != NULL) {
        for (; text.data + at < hyphen; at++) {
            out->points[out->count++] = text.data[at];
        }
        at++;
    }
    uint32_t n = INITIAL_N;
    uint32_t i = 0;
    uint32_t bias = INITIAL_BIAS;
    while (at < text.size) {
        uint32_t before = i;
        if (!read_delta(text, &at, bias, &i)) {
            return false;
        }
        uint32_t count = out->count + 1;
        bias = adapt(i - before, count, before == 0);
        if (__builtin_add_overflow(n, i / count, &n) || n > 0x10FFFF ||
            (n >= 0xD800 && n <= 0xDFFF)) {
            return false;
        }
        i %= count;
        memmove(&out->points[i + 1], &out->points[i], (out->count - i) * sizeof out->points[0]);
        out->points[i++] = n;
        out->count = count;
    }
    return true;
}

bool punycode_label_matches(struct bytes label)
{
    static const char prefix[] = "xn--";
    enum { PREFIX_BYTES = sizeof prefix - 1 };
    if (label.size < PREFIX_BYTES ||
        strncasecmp((const char *)label.data, prefix, PREFIX_BYTES) != 0) {
        return true;
    }
    struct label decoded = {.count = 0};
    if (!decode(bytes_of(label.data + PREFIX_BYTES, label.size - PREFIX_BYTES), &decoded)) {
        return false;
    }
    bool ascii = true;
    for (uint32_t i = 0; i < decoded.count; i++) {
        ascii &= decoded.points[i] < 0x80;
    }
    const uint32_t *points = decoded.points;
    /* RFC 5891, section 4.2.3.1: no hyphen at either end, none in both the third and the fourth
     * place. */
    return !ascii && points[0] != '-' && points[decoded.count - 1] != '-' &&
           !(decoded.count >= 4 && points[2] == '-' && points[3] == '-');
}
