/*
 * For the tests: random JSON objects for the layout of json_test_row.h, with everything that JSON
 * allows and, on demand, damage.
 */
#ifndef WEIR_CODEC_JSON_GENERATE_H
#define WEIR_CODEC_JSON_GENERATE_H

#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/prng.h"

struct generator {
    struct prng shape; /* names and white space: what a stream repeats */
    struct prng values;
    bool repeats; /* a key may stand twice */
    struct buffer out;
};

static inline bool chance(struct prng *prng, unsigned percent)
{
    return prng_below(prng, 100) < percent;
}

static inline void generate_space(struct generator *g)
{
    static const char *const spaces[] = {" ", "\n  ", "\t", "\r\n", "   "};
    if (chance(&g->shape, 10)) {
        buffer_append_string(&g->out, spaces[prng_below(&g->shape, 5)]);
    }
}

/* A string of up to ~70 characters; special ones stand anywhere in it. */
static inline void generate_string(struct generator *g)
{
    static const char *const specials[] = {
        "\\n",     "\\\"",           "\\\\",     "\\/",          "\\u0041",          "\\u20aC",
        "\\u0000", "\\uD83D\\uDE00", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\x7F",
        "'",       "{}[],:",         "\\t",
    };
    buffer_append_byte(&g->out, '"');
    size_t length = (size_t)prng_below(&g->values, chance(&g->values, 30) ? 70 : 12);
    unsigned rate = chance(&g->values, 50) ? 0 : 20;
    for (size_t i = 0; i < length; i++) {
        if (chance(&g->values, rate)) {
            buffer_append_string(&g->out, specials[prng_below(&g->values, 15)]);
        } else {
            buffer_append_byte(&g->out, (uint8_t)('a' + prng_below(&g->values, 26)));
        }
    }
    buffer_append_byte(&g->out, '"');
}

static inline void generate_digits(struct generator *g, size_t most)
{
    for (size_t i = prng_below(&g->values, most) + 1; i > 0; i--) {
        bool zero = chance(&g->values, 20);
        buffer_append_byte(&g->out, (uint8_t)('0' + (zero ? 0 : prng_below(&g->values, 10))));
    }
}

static inline void generate_number(struct generator *g)
{
    static const char *const notable[] = {
        "0",
        "-0",
        "-0.0",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "1e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "4.9e-324",
        "2e-324",
        "9007199254740993",
        "9007199254740993.0",
        "0.1",
        "123456789012345678",
        "1e22",
        "1e23",
        "8.5e-27",
        "100000000000000016777215",
        "72057594037927945",
        "1e0000000000000000000003",
    };
    if (chance(&g->values, 15)) {
        buffer_append_string(&g->out, notable[prng_below(&g->values, 21)]);
        return;
    }
    if (chance(&g->values, 30)) {
        buffer_append_byte(&g->out, '-');
    }
    size_t most = chance(&g->values, 10) ? 40 : 9;
    if (chance(&g->values, 20)) {
        buffer_append_byte(&g->out, '0');
    } else {
        buffer_append_byte(&g->out, (uint8_t)('1' + prng_below(&g->values, 9)));
        if (chance(&g->values, 70)) {
            generate_digits(g, most);
        }
    }
    if (chance(&g->values, 50)) {
        buffer_append_byte(&g->out, '.');
        generate_digits(g, chance(&g->values, 30) ? 19 : most);
    }
    if (chance(&g->values, 15)) {
        static const char *const signs[] = {"e", "E", "e-", "E+"};
        buffer_append_string(&g->out, signs[prng_below(&g->values, 4)]);
        generate_digits(g, chance(&g->values, 10) ? 4 : 2);
    }
}

static inline void generate_key(struct generator *g, const char *key)
{
    buffer_append_byte(&g->out, '"');
    for (const char *p = key; *p != '\0'; p++) {
        if ((uint8_t)*p < 0x80 && chance(&g->shape, 3)) {
            buffer_printf(&g->out, "\\u%04x", (unsigned)*p);
        } else {
            buffer_append_byte(&g->out, (uint8_t)*p);
        }
    }
    buffer_append_byte(&g->out, '"');
}

static inline void generate_value(struct generator *g, const char *key, unsigned depth);

/* Longer than what the decoder keeps of keys. */
#define LONG_KEY \
    "a key that is so long that the decoder cannot keep it with what it learns of a stream, and " \
    "must look at it every time"

static inline void generate_object(struct generator *g, unsigned depth)
{
    static const char *const keys[] = {
        "b",        "i",      "d",  "s",  "j",  "o",
        "x",        "y",      "p",  "q",  "e",  "z",
        "w",        "",       "k1", "k2", "k3", "a key that is rather long but still fits",
        "\xC3\xA4", LONG_KEY,
    };
    enum { KEY_COUNT = sizeof keys / sizeof keys[0] };
    bool used[KEY_COUNT] = {false};
    size_t members = (size_t)prng_below(&g->shape, depth == 0 ? 14 : 6);
    bool first = true;
    buffer_append_byte(&g->out, '{');
    for (size_t i = 0; i < members; i++) {
        size_t key = (size_t)prng_below(&g->shape, KEY_COUNT);
        bool missing = chance(&g->values, 5); /* an optional member */
        if ((used[key] && !(g->repeats && chance(&g->values, 30))) || missing) {
            continue;
        }
        used[key] = true;
        if (!first) {
            buffer_append_byte(&g->out, ',');
        }
        first = false;
        generate_space(g);
        generate_key(g, keys[key]);
        generate_space(g);
        buffer_append_byte(&g->out, ':');
        generate_space(g);
        generate_value(g, keys[key], depth + 1);
        generate_space(g);
    }
    if (first) {
        generate_space(g);
    }
    buffer_append_byte(&g->out, '}');
}

static inline void generate_array(struct generator *g, unsigned depth)
{
    size_t count = (size_t)prng_below(&g->values, 4);
    buffer_append_byte(&g->out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buffer_append_byte(&g->out, ',');
        }
        generate_space(g);
        generate_value(g, "", depth + 1);
    }
    buffer_append_byte(&g->out, ']');
}

static inline void generate_value(struct generator *g, const char *key, unsigned depth)
{
    /* b i d s j o: the fitting kind, most of the time. */
    static const char fitting[] = "bidsjoxypq";
    static const int kinds[] = {1, 2, 2, 3, 6, 5, 2, 3, 5, 2};
    const char *known = key[0] != '\0' && key[1] == '\0' ? strchr(fitting, key[0]) : NULL;
    int kind = (int)prng_below(&g->values, depth > 5 ? 4 : 6);
    if (known != NULL && chance(&g->values, 85) && kinds[known - fitting] < 6) {
        kind = kinds[known - fitting];
    }
    switch (kind) {
    case 0:
        buffer_append_string(&g->out, "null");
        break;
    case 1:
        buffer_append_string(&g->out, chance(&g->values, 50) ? "true" : "false");
        break;
    case 2:
        generate_number(g);
        break;
    case 3:
        generate_string(g);
        break;
    case 4:
        generate_array(g, depth);
        break;
    default:
        generate_object(g, depth);
        break;
    }
}

/* The next record; `damage` times a byte is changed, put in or taken out. */
static inline struct bytes generate_record(struct generator *g, unsigned damage)
{
    static const char bytes[] = "{}[]\",:\\0123456789.-+eEtfnu \n\t\x01\x7F\x80\xC3\xE2\xF0\xFF";
    buffer_clear(&g->out);
    generate_space(g);
    generate_object(g, 0);
    generate_space(g);
    for (unsigned i = 0; i < damage && g->out.size > 0; i++) {
        size_t at = (size_t)prng_below(&g->values, g->out.size);
        uint8_t byte = (uint8_t)bytes[prng_below(&g->values, sizeof bytes)];
        switch (prng_below(&g->values, 4)) {
        case 0:
            g->out.data[at] = byte;
            break;
        case 1:
            g->out.data[at] ^= (uint8_t)(1u << prng_below(&g->values, 8));
            break;
        case 2:
            buffer_append_byte(&g->out, 0);
            memmove(g->out.data + at + 1, g->out.data + at, g->out.size - at - 1);
            g->out.data[at] = byte;
            break;
        default:
            memmove(g->out.data + at, g->out.data + at + 1, g->out.size - at - 1);
            g->out.size--;
            break;
        }
    }
    return bytes_of(g->out.data, g->out.size);
}

#endif
