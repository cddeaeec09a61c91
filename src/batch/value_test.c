#include "batch/value.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static struct value null_of(void)
{
    return (struct value){.type = VALUE_NULL};
}
static struct value boolean_of(bool boolean)
{
    return (struct value){.type = VALUE_BOOL, .boolean = boolean};
}
static struct value integer_of(int64_t integer)
{
    return (struct value){.type = VALUE_INT64, .integer = integer};
}
static struct value real_of(double real)
{
    return (struct value){.type = VALUE_DOUBLE, .real = real};
}
static struct value text_of(const char *text)
{
    return (struct value){.type = VALUE_TEXT, .text = bytes_of_string(text)};
}
static struct value json_of(const char *text)
{
    return (struct value){.type = VALUE_JSON, .text = bytes_of_string(text)};
}

/* Strictly ascending, so every pair has one right answer. */
static size_t ladder(struct value *out)
{
    const struct value values[] = {
        null_of(),
        boolean_of(false),
        boolean_of(true),
        real_of((double)NAN),
        real_of(-(double)INFINITY),
        real_of(-9223372036854777856.0),
        integer_of(INT64_MIN),
        integer_of(INT64_MIN + 1),
        integer_of(-2),
        real_of(-1.5),
        integer_of(-1),
        real_of(-0.5),
        real_of(0.0),
        real_of(0x1p-1074),
        real_of(0.5),
        integer_of(1),
        real_of(1.5),
        real_of(9007199254740992.0),
        integer_of(9007199254740993),
        integer_of(INT64_MAX),
        real_of(9223372036854775808.0),
        real_of((double)INFINITY),
        text_of(""),
        text_of("1"),
        text_of("10"),
        text_of("2"),
        text_of("\xC3\xA4"),
        json_of(""),
        json_of("1"),
        json_of("[1]"),
    };
    memcpy(out, values, sizeof values);
    return sizeof values / sizeof values[0];
}

static struct hash_secret test_secret(void)
{
    struct hash_secret secret;
    uint8_t key[HASH_KEY_BYTES] = {1, 2, 3};
    hash_secret_init(&secret, key);
    return secret;
}

static void test_total_order(void **state)
{
    (void)state;
    struct hash_secret secret = test_secret();
    struct value values[64];
    size_t count = ladder(values);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            int expected = (i > j) - (i < j);
            assert_int_equal(value_compare(&values[i], &values[j]), expected);
            assert_int_equal(value_equal(&values[i], &values[j]), i == j);
            bool same_hash =
                hash_equal(value_hash(&secret, &values[i], 1), value_hash(&secret, &values[j], 1));
            assert_int_equal(same_hash, i == j);
        }
    }
}

static void test_integral_double_equals_integer(void **state)
{
    (void)state;
    struct hash_secret secret = test_secret();
    const struct {
        struct value a;
        struct value b;
    } cases[] = {
        {integer_of(1), real_of(1.0)},
        {integer_of(0), real_of(-0.0)},
        {real_of(0.0), real_of(-0.0)},
        {integer_of(INT64_MIN), real_of(-9223372036854775808.0)},
        {integer_of(-1000), real_of(-1e3)},
        {real_of((double)NAN), real_of(-(double)NAN)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(value_equal(&cases[i].a, &cases[i].b));
        assert_int_equal(value_compare(&cases[i].a, &cases[i].b), 0);
        assert_true(
            hash_equal(value_hash(&secret, &cases[i].a, 1), value_hash(&secret, &cases[i].b, 1)));
    }
}

static void test_hash_of_several_keeps_the_borders(void **state)
{
    (void)state;
    struct hash_secret secret = test_secret();
    struct value a[] = {text_of("ab"), text_of("c")};
    struct value b[] = {text_of("a"), text_of("bc")};
    struct value c[] = {text_of("ab"), text_of("c"), null_of()};
    assert_false(hash_equal(value_hash(&secret, a, 2), value_hash(&secret, b, 2)));
    assert_false(hash_equal(value_hash(&secret, a, 2), value_hash(&secret, c, 3)));
    assert_true(hash_equal(value_hash(&secret, a, 2), value_hash(&secret, c, 2)));
    assert_false(hash_equal(value_hash(&secret, a, 0), value_hash(&secret, c + 2, 1)));

    /* Around the room on the stack, and far above it. */
    static char long_text[100001];
    memset(long_text, 'x', sizeof long_text);
    for (size_t size = 400; size <= 600; size++) {
        struct value shorter = {.type = VALUE_TEXT, .text = bytes_of(long_text, size)};
        struct value longer = {.type = VALUE_TEXT, .text = bytes_of(long_text, size + 1)};
        assert_false(hash_equal(value_hash(&secret, &shorter, 1), value_hash(&secret, &longer, 1)));
    }
    struct value large = {.type = VALUE_TEXT, .text = bytes_of(long_text, 100000)};
    struct hash128 before = value_hash(&secret, &large, 1);
    long_text[99999] = 'y';
    assert_false(hash_equal(before, value_hash(&secret, &large, 1)));
}

static void test_hash_of_a_text_alone(void **state)
{
    (void)state;
    struct hash_secret secret;
    hash_secret_init(&secret, (const uint8_t[HASH_KEY_BYTES]){1, 2, 3});
    uint8_t letters[200];
    memset(letters, 'x', sizeof letters);
    for (size_t size = 0; size <= sizeof letters; size++) {
        const struct value value = {.type = VALUE_TEXT, .text = bytes_of(letters, size)};
        assert_true(hash_equal(value_hash_text(&secret, value.text), value_hash(&secret, &value, 1)));
    }
}

static void test_write_and_read_back(void **state)
{
    (void)state;
    struct value values[64];
    size_t count = ladder(values);
    values[count++] = real_of(-0.0);
    values[count++] = (struct value){.type = VALUE_TEXT, .text = bytes_of("a\0b", 3)};
    struct buffer buffer = {0};
    for (size_t i = 0; i < count; i++) {
        value_write(&values[i], &buffer);
    }
    struct reader reader = reader_of(bytes_of(buffer.data, buffer.size));
    for (size_t i = 0; i < count; i++) {
        struct value back = value_read(&reader);
        assert_false(reader.failed);
        assert_int_equal(back.type, values[i].type);
        assert_true(value_equal(&back, &values[i]));
        if (back.type == VALUE_DOUBLE) {
            assert_memory_equal(&back.real, &values[i].real, sizeof(double));
        }
    }
    assert_ptr_equal(reader.at, reader.end);
    buffer_fini(&buffer);
}

static void test_broken_forms_fail(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"", 0},
        {"\x06", 1},
        {"\xff", 1},
        {"\x01", 1},
        {"\x01\x02", 2},
        {"\x02\x01\x02\x03\x04\x05\x06\x07", 8},
        {"\x03\x01\x02\x03\x04\x05\x06\x07", 8},
        {"\x04\x01\x00\x00", 4},
        {"\x04\x02\x00\x00\x00x", 6},
        {"\x05\xff\xff\xff\xffx", 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reader reader = reader_of(bytes_of(cases[i].bytes, cases[i].size));
        struct value value = value_read(&reader);
        assert_true(reader.failed);
        assert_int_equal(value.type, VALUE_NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_total_order),
        cmocka_unit_test(test_integral_double_equals_integer),
        cmocka_unit_test(test_hash_of_several_keeps_the_borders),
        cmocka_unit_test(test_hash_of_a_text_alone),
        cmocka_unit_test(test_write_and_read_back),
        cmocka_unit_test(test_broken_forms_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
