#include "codec/json_number.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/prng.h"
#include "codec/comma_locale.h"

/* Both ways to a double must give what the library gives; with 8 bytes before the text that may be
 * read. */
static void expect_like_library(const char *text)
{
    size_t size = strlen(text);
    uint8_t *memory = memory_alloc(size + 8);
    memset(memory, '7', 8);
    uint8_t *start = memory + 8;
    memcpy(start, text, size);
    const uint8_t *end = start + size;
    struct json_number number;
    double real = 0;
    double expected = strtod(text, NULL);
    assert_true(json_number_scan(start, end, &number));
    assert_ptr_equal(number.end, end);
    bool fits = json_number_double(&number, &real);
    assert_int_equal(fits, isfinite(expected));
    if (fits && memcmp(&real, &expected, sizeof real) != 0) {
        fail_msg("%s: %a, not %a", text, real, expected);
    }
    struct json_simple_number simple;
    const uint8_t *after = json_number_simple(start, end, &simple);
    if (after != NULL) {
        assert_ptr_equal(after, end);
        real = json_quotient_double(simple.mantissa, simple.places);
        real = simple.negative ? -real : real;
        if (memcmp(&real, &expected, sizeof real) != 0) {
            fail_msg("%s, simple: %a, not %a", text, real, expected);
        }
    }
    memory_free(memory);
}

static void test_notable_doubles(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0",
        "0.0",
        "-0.0e5",
        "0e999999999999999999999999",
        "1",
        "0.1",
        "74.2208",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "9007199254740995",
        "9007199254740993.0",
        "9007199254740993e0",
        "9007199254740992.5",
        "900719925474099.25",
        "18014398509481985",
        "72057594037927945",
        "1e22",
        "1e23",
        "8.5e22",
        "123456789e22",
        "9999999999999999999",
        "9999999999999999999e27",
        "9999999999999999999e-27",
        "9999999999999999999e28",
        "9999999999999999999e-28",
        "1e27",
        "1e-27",
        "1e28",
        "1e-28",
        "3e-27",
        "7e-27",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e308",
        "1e309",
        "-1e309",
        "1e400",
        "1e999999999999999999999",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "2.225073858507201e-308",
        "5e-324",
        "4.9e-324",
        "2.5e-324",
        "2.4703282292062328e-324",
        "2.4703282292062327e-324",
        "1e-400",
        "1e-999999999999999999999",
        "0.000000000000000000000000000000000000000000000001",
        "100000000000000016777215",
        "100000000000000016777216",
        "12345678901234567890123",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "6929495644600919.5",
        "3.518437208883201171875e13",
        "12345678.87654321",
        "123456789012345.12345",
        "999999999999999.9999",
        "0.123456789012345",
        "1.0000000000000000",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        expect_like_library(texts[i]);
    }
}

/* Tens of millions in a long run of the tests (WEIR_LONG=1). */
static int random_count(void)
{
    const char *is_long = getenv("WEIR_LONG");
    return is_long != NULL && strcmp(is_long, "1") == 0 ? 40000000 : 30000;
}

static void test_random_doubles(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 5);
    for (int i = 0, count = random_count(); i < count; i++) {
        char text[128];
        uint64_t bits = prng_next(&prng);
        int exponent = (int)prng_below(&prng, 60) - 30;
        double real;
        switch (i % 5) {
        case 0: /* any double, written with as many digits as it takes, or more, or fewer */
            memcpy(&real, &bits, sizeof real);
            if (!isfinite(real)) {
                continue;
            }
            snprintf(text, sizeof text, "%.*e", (int)prng_below(&prng, 25), real);
            break;
        case 1: /* about as many digits as fit */
            snprintf(text, sizeof text, "%llue%d",
                     (unsigned long long)(bits >> prng_below(&prng, 60)), exponent);
            break;
        case 2: /* what sensors write */
            snprintf(text, sizeof text, "%.*f", (int)prng_below(&prng, 18),
                     prng_unit(&prng) * 2000 - 1000);
            break;
        case 3: /* halfway between two doubles, and a little beside */
            snprintf(text, sizeof text, "%llu%s",
                     (unsigned long long)((bits >> 10 | UINT64_C(1) << 53) | 1),
                     i % 2 == 0 ? "" : ".0000000000000000000000000000001");
            break;
        default:
            snprintf(text, sizeof text, "-%u.%u", (unsigned)prng_below(&prng, 100000000),
                     (unsigned)prng_below(&prng, 100000000));
            break;
        }
        expect_like_library(text);
    }
}

/* A point that the locale calls a comma must not matter. */
static void test_no_locale(void **state)
{
    (void)state;
    if (!comma_locale_set()) {
        skip();
    }
    static const char text[] = "1.2345678901234567890123456789";
    struct json_number number;
    double real = 0;
    assert_true(
        json_number_scan((const uint8_t *)text, (const uint8_t *)text + sizeof text - 1, &number));
    assert_true(json_number_double(&number, &real));
    setlocale(LC_ALL, "C");
    assert_true(real == 1.2345678901234567890123456789);
}

static void test_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum json_integer outcome;
        int64_t value;
    } cases[] = {
        {"0", JSON_INTEGER_OK, 0},
        {"-0", JSON_INTEGER_OK, 0},
        {"7", JSON_INTEGER_OK, 7},
        {"9223372036854775807", JSON_INTEGER_OK, INT64_MAX},
        {"9223372036854775808", JSON_INTEGER_RANGE, 0},
        {"-9223372036854775808", JSON_INTEGER_OK, INT64_MIN},
        {"-9223372036854775809", JSON_INTEGER_RANGE, 0},
        {"18446744073709551616", JSON_INTEGER_RANGE, 0},
        {"1e18", JSON_INTEGER_OK, INT64_C(1000000000000000000)},
        {"10e18", JSON_INTEGER_RANGE, 0},
        {"0.5", JSON_INTEGER_FRACTION, 0},
        {"0.50e1", JSON_INTEGER_OK, 5},
        {"1000000000000000000000e-21", JSON_INTEGER_OK, 1},
        {"1000000000000000000001e-21", JSON_INTEGER_FRACTION, 0},
        {"10000000000000000000.5", JSON_INTEGER_FRACTION, 0},
        {"1e99999999999999999999", JSON_INTEGER_RANGE, 0},
        {"1e-99999999999999999999", JSON_INTEGER_FRACTION, 0},
        {"0.000e-99999999999999999999", JSON_INTEGER_OK, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_number number;
        int64_t value = 0;
        const uint8_t *text = (const uint8_t *)cases[i].text;
        assert_true(json_number_scan(text, text + strlen(cases[i].text), &number));
        assert_int_equal(json_number_int64(&number, &value), cases[i].outcome);
        assert_int_equal(value, cases[i].value);
    }
}

static void test_grammar(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        size_t end;
    } cases[] = {
        {"", false, 0},     {"-", false, 1},    {"x", false, 0},     {"+1", false, 0},
        {".5", false, 0},   {"01", false, 0},   {"-01", false, 1},   {"00", false, 0},
        {"1.", false, 2},   {"1.e5", false, 2}, {"1e", false, 2},    {"1e+", false, 3},
        {"1E-x", false, 3}, {"0", true, 1},     {"0x1", true, 1},    {"12a", true, 2},
        {"1.5.5", true, 3}, {"1e5e5", true, 3}, {"1E+05 ", true, 5}, {"-0.0", true, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_number number;
        const uint8_t *text = (const uint8_t *)cases[i].text;
        assert_int_equal(json_number_scan(text, text + strlen(cases[i].text), &number),
                         cases[i].good);
        assert_int_equal(number.end - text, cases[i].end);
    }
}

/* The quick way takes a number only when the other takes the same and means the same by it. */
static void test_simple_agrees(void **state)
{
    (void)state;
    static const char bytes[] = "0123456789012345678900000.-eE, }";
    struct prng prng;
    prng_init(&prng, 8);
    unsigned taken = 0;
    for (int i = 0; i < 200000; i++) {
        uint8_t memory[8 + 40];
        memset(memory, '5', sizeof memory);
        size_t size = 1 + (size_t)prng_below(&prng, 36);
        const uint8_t *start = memory + 8;
        size_t dot = (size_t)prng_below(&prng, 40);
        for (size_t k = 0; k < size; k++) {
            memory[8 + k] = k == dot ? '.' : (uint8_t)('0' + prng_below(&prng, 10));
            if (prng_below(&prng, 15) == 0) {
                memory[8 + k] = (uint8_t)bytes[prng_below(&prng, sizeof bytes - 1)];
            }
        }
        struct json_simple_number simple;
        const uint8_t *after = json_number_simple(start, start + size, &simple);
        if (after == NULL) {
            continue;
        }
        taken++;
        struct json_number number;
        assert_true(json_number_scan(start, start + size, &number));
        assert_ptr_equal(after, number.end);
        assert_false(number.truncated);
        assert_int_equal(simple.negative, number.negative);
        assert_int_equal(simple.mantissa, number.mantissa);
        if (number.mantissa != 0) {
            assert_int_equal(-(int64_t)simple.places, number.exponent);
        }
    }
    assert_true(taken > 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notable_doubles), cmocka_unit_test(test_random_doubles),
        cmocka_unit_test(test_no_locale),       cmocka_unit_test(test_integers),
        cmocka_unit_test(test_grammar),         cmocka_unit_test(test_simple_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
