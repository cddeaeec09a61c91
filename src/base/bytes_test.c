#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/prng.h"

static struct bytes of(const char *string)
{
    return bytes_of_string(string);
}

static void none_and_empty_differ(void **state)
{
    (void)state;
    struct bytes empty = of("");
    assert_true(bytes_is_none(BYTES_NONE));
    assert_false(bytes_is_none(empty));
    assert_false(bytes_equal(BYTES_NONE, empty));
    assert_true(bytes_equal(BYTES_NONE, BYTES_NONE));
    assert_true(bytes_equal(empty, of("")));
    assert_false(bytes_equal_string(BYTES_NONE, ""));
    assert_true(bytes_compare(BYTES_NONE, empty) < 0);
    assert_true(bytes_compare(empty, BYTES_NONE) > 0);
    assert_int_equal(bytes_compare(BYTES_NONE, BYTES_NONE), 0);
    assert_false(bytes_starts_with(BYTES_NONE, ""));
    assert_true(bytes_starts_with(empty, ""));
}

static void order_is_by_bytes(void **state)
{
    (void)state;
    const struct bytes sorted[] = {BYTES_NONE, of(""),    bytes_of("\0", 1), bytes_of("\0a", 2),
                                   of("a"),    of("ab"),  of("b"),           of("\x7F"),
                                   of("\x80"), of("\xFF")};
    size_t count = sizeof sorted / sizeof *sorted;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            int order = bytes_compare(sorted[i], sorted[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(bytes_equal(sorted[i], sorted[j]), i == j);
        }
    }
    assert_true(bytes_starts_with(of("abc"), "ab"));
    assert_false(bytes_starts_with(of("a"), "ab"));
    assert_false(bytes_starts_with(of("xbc"), "ab"));
}

/* The slow way: decode, then look at the code point. */
static bool naive_is_utf8(const uint8_t *at, size_t size, size_t *out_length)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = 0;
    for (size_t i = 0; i < size; length++) {
        uint8_t lead = at[i];
        size_t count = lead < 0x80             ? 1
                       : (lead & 0xE0) == 0xC0 ? 2
                       : (lead & 0xF0) == 0xE0 ? 3
                       : (lead & 0xF8) == 0xF0 ? 4
                                               : 0;
        if (count == 0 || count > size - i) {
            return false;
        }
        uint32_t point = count == 1 ? lead : lead & (0x7Fu >> count);
        for (size_t k = 1; k < count; k++) {
            if ((at[i + k] & 0xC0) != 0x80) {
                return false;
            }
            point = point << 6 | (at[i + k] & 0x3Fu);
        }
        if (point < smallest[count] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
            return false;
        }
        i += count;
    }
    *out_length = length;
    return true;
}

static void utf8_check_one(const uint8_t *text, size_t size)
{
    size_t length = 0;
    bool wanted = naive_is_utf8(text, size, &length);
    struct bytes b = bytes_of(text, size);
    if (bytes_is_utf8(b) != wanted) {
        char hex[300];
        hex_encode(bytes_of(text, size < 140 ? size : 140), hex);
        fail_msg("UTF-8 of %s is %d", hex, !wanted);
    }
    if (wanted) {
        assert_int_equal(bytes_utf8_length(b), length);
    }
}

/* Every sequence of up to three bytes whose classes matter, and all ends of four-byte ones. */
static void utf8_short_texts(void **state)
{
    (void)state;
    assert_true(bytes_is_utf8(BYTES_NONE));
    assert_int_equal(bytes_utf8_length(BYTES_NONE), 0);
    uint8_t text[4];
    for (unsigned a = 0; a < 256; a++) {
        text[0] = (uint8_t)a;
        utf8_check_one(text, 1);
        for (unsigned b = 0; b < 256; b++) {
            text[1] = (uint8_t)b;
            utf8_check_one(text, 2);
            static const uint8_t edges[] = {0,    0x7F, 0x80, 0x8F, 0x90,
                                            0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
            for (size_t c = 0; c < sizeof edges; c++) {
                text[2] = edges[c];
                utf8_check_one(text, 3);
                for (size_t d = 0; d < sizeof edges; d++) {
                    text[3] = edges[d];
                    utf8_check_one(text, 4);
                }
            }
        }
    }
}

static void utf8_long_texts(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 5);
    static const char *const parts[] = {
        "a", "abcdefgh", "the quick brown fox jumps over the lazy", "é", "€", "😀", "\0", "\x7F"};
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t text[200];
        size_t size = 0;
        while (size < 130) {
            const char *part = parts[prng_below(&prng, 8)];
            size_t part_size = part[0] == '\0' ? 1 : strlen(part);
            memcpy(text + size, part, part_size);
            size += part_size;
        }
        if (prng_below(&prng, 2) == 0) {
            text[prng_below(&prng, size)] = (uint8_t)prng_next(&prng);
        }
        /* A block of its own, so that a sanitizer sees a read beyond either end. */
        size_t used = prng_below(&prng, size) + 1;
        uint8_t *copy = memory_alloc(used);
        memcpy(copy, text, used);
        utf8_check_one(copy, used);
        memory_free(copy);
    }
}

static unsigned naive_distance(const char *a, const char *b)
{
    if (*a == '\0' || *b == '\0') {
        return (unsigned)(strlen(a) + strlen(b));
    }
    unsigned best = naive_distance(a + 1, b + 1) + (*a != *b);
    unsigned other = naive_distance(a + 1, b) + 1;
    best = other < best ? other : best;
    other = naive_distance(a, b + 1) + 1;
    return other < best ? other : best;
}

static void distance_is_levenshtein(void **state)
{
    (void)state;
    assert_int_equal(string_distance("kitten", "sitting"), 3);
    struct prng prng;
    prng_init(&prng, 6);
    for (unsigned round = 0; round < 500; round++) {
        char texts[2][7];
        for (unsigned i = 0; i < 2; i++) {
            size_t size = prng_below(&prng, 7);
            for (size_t at = 0; at < size; at++) {
                texts[i][at] = (char)('a' + prng_below(&prng, 3));
            }
            texts[i][size] = '\0';
        }
        assert_int_equal(string_distance(texts[0], texts[1]), naive_distance(texts[0], texts[1]));
    }
    char longest[200];
    memset(longest, 'a', sizeof longest);
    longest[199] = '\0';
    assert_int_equal(string_distance(longest, ""), 64);
}

static void nearest_name(void **state)
{
    (void)state;
    const char *const names[] = {"key", "keys", "allowed_lateness", "window"};
    assert_string_equal(string_nearest("kee", names, 4), "key");
    assert_string_equal(string_nearest("keyz", names, 4), "key");
    assert_string_equal(string_nearest("keys", names, 4), "keys");
    assert_string_equal(string_nearest("alowed_latenes", names, 4), "allowed_lateness");
    assert_string_equal(string_nearest("widnow", names, 4), "window");
    assert_null(string_nearest("temperature", names, 4));
    assert_null(string_nearest("key", names, 0));
}

static void reader_fails_for_good(void **state)
{
    (void)state;
    struct reader reader = reader_of(bytes_of("\1\2\3", 3));
    assert_int_equal(reader_u16(&reader), 0x0201);
    assert_int_equal(reader_u32(&reader), 0);
    assert_true(reader.failed);
    assert_int_equal(reader_u8(&reader), 0);
    assert_true(bytes_is_none(reader_bytes(&reader, 0)));

    reader = reader_of(bytes_of("\xFF\xFF\xFF\xFFx", 5));
    assert_true(bytes_is_none(reader_sized(&reader)));
    assert_true(reader.failed);

    reader = reader_of(bytes_of("\0\0\0\0", 4));
    struct bytes empty = reader_sized(&reader);
    assert_false(reader.failed);
    assert_true(empty.size == 0 && !bytes_is_none(empty));

    reader = reader_of(BYTES_NONE);
    assert_false(bytes_is_none(reader_bytes(&reader, 0)));
    assert_false(reader.failed);
    reader_u8(&reader);
    assert_true(reader.failed);

    reader = reader_of(bytes_of("abc", 3));
    assert_true(bytes_is_none(reader_bytes(&reader, SIZE_MAX)));
    assert_true(reader.failed);
}

static void base64_known(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"},
                                           {"\xFB\xFF\xBF", "+/+/"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[32];
        size_t size = base64_encode(of(pairs[i][0]), text);
        assert_true(bytes_equal_string(bytes_of(text, size), pairs[i][1]));
    }
    static const char *const bad[] = {
        "Z",    "Zg",   "Zg=",  "Zm8",  "====",    "Z===", "Zh==", "Zm9=", "Zm9v=", "Zg==Zg==",
        "Zm 9", "Zm-_", "=m9v", "Zm=v", "Zm9\xC3", "Zm+=", "Zi==", "Zk==", "Zo=="};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t out[16];
        size_t out_size = 77;
        assert_false(base64_decode(of(bad[i]), out, &out_size));
        assert_int_equal(out_size, 77);
    }
    uint8_t out[3];
    size_t out_size;
    assert_false(base64_decode(BYTES_NONE, out, &out_size));
    assert_false(base64_decode(bytes_of("AA\0A", 4), out, &out_size));
}

static void encodings_round_trip(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 8);
    for (size_t size = 0; size < 200; size++) {
        uint8_t data[200];
        for (size_t i = 0; i < size; i++) {
            data[i] = (uint8_t)prng_next(&prng);
        }
        char *text = memory_alloc(4 * ((size + 2) / 3));
        size_t text_size = base64_encode(bytes_of(data, size), text);
        assert_int_equal(text_size, 4 * ((size + 2) / 3));
        uint8_t *back = memory_alloc(3 * (text_size / 4));
        size_t back_size;
        assert_true(base64_decode(bytes_of(text, text_size), back, &back_size));
        assert_true(bytes_equal(bytes_of(back, back_size), bytes_of(data, size)));
        memory_free(text);

        char *hex = memory_alloc(2 * size + 1);
        hex_encode(bytes_of(data, size), hex);
        assert_int_equal(strlen(hex), 2 * size);
        memset(back, 0, back_size);
        assert_true(hex_decode(hex, back, size));
        assert_memory_equal(back, data, size);
        assert_true(size == 0 || !hex_decode(hex, back, size - 1));
        assert_false(hex_decode(hex, data, size + 1));
        memory_free(hex);
        memory_free(back);
    }
}

static void hex_is_strict(void **state)
{
    (void)state;
    uint8_t out[4];
    assert_true(hex_decode("aBcD", out, 2));
    assert_memory_equal(out, "\xAB\xCD", 2);
    assert_false(hex_decode("abc", out, 2));
    assert_false(hex_decode("abcg", out, 2));
    assert_false(hex_decode(" abc", out, 2));
    assert_false(hex_decode("+1ab", out, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_and_empty_differ),   cmocka_unit_test(order_is_by_bytes),
        cmocka_unit_test(utf8_short_texts),        cmocka_unit_test(utf8_long_texts),
        cmocka_unit_test(distance_is_levenshtein), cmocka_unit_test(nearest_name),
        cmocka_unit_test(reader_fails_for_good),   cmocka_unit_test(base64_known),
        cmocka_unit_test(encodings_round_trip),    cmocka_unit_test(hex_is_strict),
    };
    return cmocka_run_group_tests_name("base/bytes", tests, NULL, NULL);
}
