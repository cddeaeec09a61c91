#include "codec/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "codec/comma_locale.h"

static const char *double_text(struct buffer *buffer, double real)
{
    buffer_clear(buffer);
    json_write_double(buffer, real);
    return buffer_string(buffer);
}

static void test_notable_doubles(void **state)
{
    (void)state;
    static const struct {
        double real;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-1.0, "-1.0"},
        {10.0, "10.0"},
        {1200.0, "1200.0"},
        {74.2208, "74.2208"},
        {-12.5, "-12.5"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {0.001, "0.001"},
        {0.0001, "0.0001"},
        {0.00012, "0.00012"},
        {0.00001, "1e-5"},
        {0.000012, "1.2e-5"},
        {123456789012345.6, "123456789012345.6"},
        {9007199254740993.0, "9007199254740992.0"},
        {1e15, "1000000000000000.0"},
        {9999999999999998.0, "9999999999999998.0"},
        {1e16, "1e16"},
        {1.5e300, "1.5e300"},
        {1e22, "1e22"},
        {1e23, "1e23"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e308"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {9007199254740992.0, "9007199254740992.0"},
        {4.35, "4.35"},
        {2e-11, "2e-11"},
        {(double)INFINITY, "null"},
        {-(double)INFINITY, "null"},
        {(double)NAN, "null"},
    };
    struct buffer buffer = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(double_text(&buffer, cases[i].real), cases[i].text);
    }
    buffer_fini(&buffer);
}

/* Significant digits: no zeros before or behind. */
static int digit_count(const char *text)
{
    int count = 0;
    int zeros = 0;
    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text < '0' || *text > '9') {
            continue;
        }
        zeros = *text == '0' ? zeros + 1 : 0;
        count += count > 0 || *text != '0';
    }
    return count - zeros;
}

/* Their significant digits, without zeros before and behind. */
static void assert_same_digits(const char *a, const char *b)
{
    char digits[2][64];
    const char *texts[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        size_t size = 0;
        for (const char *p = texts[i]; *p != '\0' && *p != 'e'; p++) {
            if (*p >= '0' && *p <= '9' && (size > 0 || *p != '0')) {
                digits[i][size++] = *p;
            }
        }
        while (size > 0 && digits[i][size - 1] == '0') {
            size--;
        }
        digits[i][size] = '\0';
    }
    assert_string_equal(digits[0], digits[1]);
}

static void expect_shortest(struct buffer *buffer, double real)
{
    const char *text = double_text(buffer, real);
    if (strtod(text, NULL) != real || !json_is_valid(bytes_of_string(text), 0)) {
        fail_msg("%a is written as %s", real, text);
    }
    assert_true(strchr(text, '.') != NULL || strchr(text, 'e') != NULL);
    /* A shorter one that reads back would be the closest of its length, or its neighbour away from
     * zero where a power of two has more room on that side. */
    int digits = digit_count(text);
    for (int fewer = 1; fewer < digits; fewer++) {
        char closest[64];
        snprintf(closest, sizeof closest, "%.*e", fewer - 1, real);
        if (strtod(closest, NULL) == real) {
            fail_msg("%a is written as %s, and %s would do", real, text, closest);
        }
    }
    char closest[64];
    snprintf(closest, sizeof closest, "%.*e", digits - 1, real);
    if (strtod(closest, NULL) == real) {
        assert_same_digits(text, closest);
    }
}

static void test_random_doubles(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 21);
    struct buffer buffer = {0};
    for (int i = 0; i < 36000; i++) {
        uint64_t bits = prng_next(&prng);
        double real;
        switch (i % 6) {
        case 0:
            memcpy(&real, &bits, sizeof real);
            break;
        case 1:
            real = round(prng_unit(&prng) * 1e6) / 1e4;
            break;
        case 2:
            real = prng_unit(&prng) * 200 - 100;
            break;
        case 3:
            real = ldexp((double)(bits >> 11), (int)prng_below(&prng, 160) - 100);
            break;
        case 4: /* few places, or next to a number that has them */
            real = (double)(bits >> prng_below(&prng, 64)) / pow(10, (double)prng_below(&prng, 9));
            real = i % 12 < 6 ? real : nextafter(real, i % 24 < 12 ? 0.0 : 1e300);
            break;
        default:
            real = (double)(int64_t)bits / (double)(1 + prng_below(&prng, 1000));
            break;
        }
        if (isfinite(real) && real != 0) {
            expect_shortest(&buffer, real);
        }
    }
    buffer_fini(&buffer);
}

static void test_powers(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    for (int exponent = -1074; exponent < 1024; exponent++) {
        double power = ldexp(1.0, exponent);
        expect_shortest(&buffer, power);
        expect_shortest(&buffer, nextafter(power, (double)INFINITY));
        if (exponent > -1074) {
            expect_shortest(&buffer, nextafter(power, 0.0));
        }
    }
    for (int exponent = -323; exponent < 309; exponent++) {
        char text[16];
        snprintf(text, sizeof text, "1e%d", exponent);
        double power = strtod(text, NULL);
        expect_shortest(&buffer, power);
        assert_int_equal(digit_count(double_text(&buffer, power)), 1);
    }
    /* Twice the room above a power of two: 16 digits where the closest of 16 does not read back. */
    assert_string_equal(double_text(&buffer, ldexp(1.0, -44)), "5.684341886080802e-14");
    assert_string_equal(double_text(&buffer, ldexp(1.0, -1017)), "7.120236347223045e-307");
    buffer_fini(&buffer);
}

static void test_no_locale(void **state)
{
    (void)state;
    if (!comma_locale_set()) {
        skip();
    }
    struct buffer buffer = {0};
    char usual[32];
    char far[32];
    snprintf(usual, sizeof usual, "%s", double_text(&buffer, 1.5));
    snprintf(far, sizeof far, "%s", double_text(&buffer, 1.5e-200));
    setlocale(LC_ALL, "C");
    assert_string_equal(usual, "1.5");
    assert_string_equal(far, "1.5e-200");
    buffer_fini(&buffer);
}

static void test_integers(void **state)
{
    (void)state;
    static const int64_t values[] = {0, 1, -1, 9, 10, 99, 100, -1234567890, INT64_MAX, INT64_MIN};
    struct buffer buffer = {0};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "%lld", (long long)values[i]);
        buffer_clear(&buffer);
        json_write_int64(&buffer, values[i]);
        assert_string_equal(buffer_string(&buffer), expected);
    }
    buffer_fini(&buffer);
}

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *json;
    } cases[] = {
        {"", 0, "\"\""},
        {"plain", 5, "\"plain\""},
        {"\"\\/", 3, "\"\\\"\\\\/\""},
        {"\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\x01\x1F\x7F", 3, "\"\\u0001\\u001f\x7F\""},
        {"\xC3\xA4\xF0\x9F\x98\x80", 6, "\"\xC3\xA4\xF0\x9F\x98\x80\""},
        {"end\"", 4, "\"end\\\"\""},
    };
    struct buffer buffer = {0};
    struct arena *arena = arena_new(1024);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_clear(&buffer);
        json_write_string(&buffer, bytes_of(cases[i].text, cases[i].size));
        assert_string_equal(buffer_string(&buffer), cases[i].json);
        struct value back = json_value(arena, bytes_of(buffer.data, buffer.size));
        assert_int_equal(back.type, VALUE_TEXT);
        assert_true(bytes_equal(back.text, bytes_of(cases[i].text, cases[i].size)));
    }
    for (unsigned byte = 0; byte < 128; byte++) {
        uint8_t text[3] = {'x', (uint8_t)byte, 'y'};
        buffer_clear(&buffer);
        json_write_string(&buffer, bytes_of(text, 3));
        assert_true(json_is_valid(bytes_of(buffer.data, buffer.size), 0));
        struct value back = json_value(arena, bytes_of(buffer.data, buffer.size));
        assert_true(bytes_equal(back.text, bytes_of(text, 3)));
    }
    arena_free(arena);
    buffer_fini(&buffer);
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        struct value value;
        const char *json;
    } cases[] = {
        {{.type = VALUE_NULL}, "null"},
        {{.type = VALUE_BOOL, .boolean = true}, "true"},
        {{.type = VALUE_BOOL, .boolean = false}, "false"},
        {{.type = VALUE_INT64, .integer = -5}, "-5"},
        {{.type = VALUE_DOUBLE, .real = 2.5}, "2.5"},
        {{.type = VALUE_TEXT, .text = {(const uint8_t *)"a\"", 2}}, "\"a\\\"\""},
        {{.type = VALUE_JSON, .text = {(const uint8_t *)"[1, 2]", 6}}, "[1, 2]"},
    };
    struct buffer buffer = {0};
    struct arena *arena = arena_new(1024);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_clear(&buffer);
        json_write_value(&buffer, &cases[i].value);
        assert_string_equal(buffer_string(&buffer), cases[i].json);
        struct value back = json_value(arena, bytes_of(buffer.data, buffer.size));
        assert_int_equal(back.type, cases[i].value.type);
        assert_true(value_equal(&back, &cases[i].value));
    }
    arena_free(arena);
    buffer_fini(&buffer);
}

static void test_reading_values(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        struct value value;
    } cases[] = {
        {"12", {.type = VALUE_INT64, .integer = 12}},
        {"-0", {.type = VALUE_INT64, .integer = 0}},
        {"1.0", {.type = VALUE_DOUBLE, .real = 1.0}},
        {"1e3", {.type = VALUE_DOUBLE, .real = 1000.0}},
        {"9223372036854775807", {.type = VALUE_INT64, .integer = INT64_MAX}},
        {"9223372036854775808", {.type = VALUE_DOUBLE, .real = 9223372036854775808.0}},
        {"1e999", {.type = VALUE_JSON, .text = {(const uint8_t *)"1e999", 5}}},
        {"{\"a\":1}", {.type = VALUE_JSON, .text = {(const uint8_t *)"{\"a\":1}", 7}}},
        {"[]", {.type = VALUE_JSON, .text = {(const uint8_t *)"[]", 2}}},
        {"\"\\u00e4\\n\"", {.type = VALUE_TEXT, .text = {(const uint8_t *)"\xC3\xA4\n", 3}}},
        {"\"\"", {.type = VALUE_TEXT, .text = {(const uint8_t *)"", 0}}},
        {"null", {.type = VALUE_NULL}},
        {"true", {.type = VALUE_BOOL, .boolean = true}},
    };
    struct arena *arena = arena_new(1024);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct value value = json_value(arena, bytes_of_string(cases[i].json));
        assert_int_equal(value.type, cases[i].value.type);
        assert_true(value_equal(&value, &cases[i].value));
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notable_doubles), cmocka_unit_test(test_random_doubles),
        cmocka_unit_test(test_powers),          cmocka_unit_test(test_no_locale),
        cmocka_unit_test(test_integers),        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_values),          cmocka_unit_test(test_reading_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
