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
#include "schema/number.h"

static struct number number_of(const char *text)
{
    struct number number;
    if (!number_parse(bytes_of_string(text), &number)) {
        fail_msg("%s is not read", text);
    }
    return number;
}

static void test_grammar(void **state)
{
    (void)state;
    static const char *const refused[] = {"",    "-",    "+",   ".",    "e5",   "1e",   "1e+",
                                          "1x",  "0x10", "1..", "1.2.", "--1",  " 1",   "1 ",
                                          "nan", "inf",  ".e1", "1,5",  "1e5.", "1e5e5"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct number number;
        if (number_parse(bytes_of_string(refused[i]), &number)) {
            fail_msg("%s is read", refused[i]);
        }
    }
    assert_false(number_parse(bytes_of("1\0", 2), &(struct number){0}));
    assert_true(number_of(".5").real == 0.5);
    assert_true(number_of("1.").real == 1);
    assert_true(number_of("+1.5E+2").real == 150);
}

static void test_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t floor;
        bool integral;
        bool in_int64;
    } cases[] = {
        {"0", 0, true, true},
        {"-0", 0, true, true},
        {"0.000", 0, true, true},
        {"0e999999999999999999999", 0, true, true},
        {"1.0", 1, true, true},
        {"100e-2", 1, true, true},
        {"1e3", 1000, true, true},
        {"1.5", 1, false, true},
        {"-1.5", -2, false, true},
        {"0.5", 0, false, true},
        {"-0.5", -1, false, true},
        {"-1e-400", -1, false, true},
        {"9223372036854775807", INT64_MAX, true, true},
        {"9223372036854775807.5", INT64_MAX, false, true},
        {"9223372036854775808", 0, true, false},
        {"9223372036854775808.5", 0, false, false},
        {"-9223372036854775808", INT64_MIN, true, true},
        {"-9223372036854775807.5", INT64_MIN, false, true},
        {"-9223372036854775808.5", 0, false, false},
        {"-9223372036854775809", 0, true, false},
        {"9007199254740993", INT64_C(9007199254740993), true, true},
        {"0.9007199254740993e16", INT64_C(9007199254740993), true, true},
        {"1e18", INT64_C(1000000000000000000), true, true},
        {"1e19", 0, true, false},
        {"18446744073709551616", 0, true, false},
        {"1e1000000000000", 0, true, false},
        {"1e-1000000000000", 0, false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct number number = number_of(cases[i].text);
        if (number.floor != cases[i].floor || number.integral != cases[i].integral ||
            number.in_int64 != cases[i].in_int64) {
            fail_msg("%s: floor %lld, integral %d, in_int64 %d", cases[i].text,
                     (long long)number.floor, number.integral, number.in_int64);
        }
    }
}

/* Against strtod(), which the C library rounds correctly. */
static void test_doubles(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 7);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = prng_next(&prng);
        double value;
        char text[64];
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) {
            continue;
        }
        (void)snprintf(text, sizeof text, i % 2 == 0 ? "%.17g" : "%.25e", value);
        struct number number = number_of(text);
        assert_true(number.real == value);
        size_t size = number_write_double(value, text);
        assert_int_equal(size, strlen(text));
        assert_true(strtod(text, NULL) == value);
    }
    assert_true(isinf(number_of("1e400").real) && isinf(number_of("-1e400").real));
    assert_true(number_of("-1e400").real < 0);
    assert_true(number_of("1e-400").real == 0);
    char text[NUMBER_TEXT_BYTES];
    assert_int_equal(number_write_double(101.5, text), 5);
    assert_string_equal(text, "101.5");
}

/* The digit that breaks a tie may stand a million digits behind. */
static void test_many_digits(void **state)
{
    (void)state;
    size_t size = 1000000;
    char *text = memory_alloc(size + 32);
    memset(text, '0', size);
    memcpy(text, "9007199254740993.", 17);
    text[size] = '\0';
    assert_true(number_of(text).real == 9007199254740992.0);
    memcpy(text + size, "1", 2);
    struct number number = number_of(text);
    assert_true(number.real == 9007199254740994.0);
    assert_false(number.integral);
    assert_int_equal(number.floor, INT64_C(9007199254740993));
    memset(text, '7', size);
    assert_true(isinf(number_of(text).real));
    memory_free(text);
}

static void test_compare(void **state)
{
    (void)state;
    /* Ascending; every one is below all behind it. */
    static const char *const ascending[] = {
        "-1e400",
        "-1e300",
        "-9223372036854775809",
        "-9223372036854775808",
        "-9223372036854775807.5",
        "-9007199254740993",
        "-9007199254740992",
        "-1.5",
        "-1",
        "-0.5",
        "0",
        "5e-324",
        "0.1",
        "0.5",
        "1",
        "9007199254740992",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775807.5",
        "9223372036854775808",
        "1e300",
        "1e400",
    };
    size_t count = sizeof ascending / sizeof ascending[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            struct number a = number_of(ascending[i]);
            struct number b = number_of(ascending[k]);
            int expected = (i > k) - (i < k);
            if (number_compare(&a, &b) != expected) {
                fail_msg("%s and %s: %d", ascending[i], ascending[k], number_compare(&a, &b));
            }
        }
    }
    struct number one = number_of_int64(1);
    struct number real = number_of_double(1.0);
    struct number text = number_of("10e-1");
    assert_int_equal(number_compare(&one, &real), 0);
    assert_int_equal(number_compare(&one, &text), 0);
    struct number least = number_of_double(-0x1p63);
    assert_true(least.in_int64 && least.floor == INT64_MIN);
    assert_false(number_of_double(0x1p63).in_int64);
}

static void test_multiples(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *divisor;
        bool multiple;
    } cases[] = {
        {"10", "5", true},
        {"-10", "5", true},
        {"0", "5", true},
        {"0.0", "0.00000000000000000000000001", true},
        {"7", "2", false},
        {"7", "2.0", false},
        {"7", "0.5", true},
        {"7", "0.01", true},
        {"7", "0.03", false},
        {"9223372036854775807", "7", true},
        {"9223372036854775806", "7", false},
        {"-9223372036854775808", "2", true},
        {"-9223372036854775808", "3", false},
        {"9223372036854775807", "1e-8", true},
        {"12391239123", "1e-8", true},
        {"1", "1e300", false},
        {"0.0075", "0.0001", true},
        {"0.00751", "0.0001", false},
        {"4.5", "1.5", true},
        {"35.1", "1.5", false},
        {"19.99", "0.01", true},
        {"1.1", "0.1", true},
        {"0.3", "0.1", true},
        {"0.35", "0.1", false},
        {"1.0000000001", "1", false},
        {"1234567890.1", "0.1", true},
        {"1234567890.15", "0.1", false},
        {"1e22", "3", false},
        {"3e22", "3", true},
        {"1e20", "0.1", true},
        {"1e308", "0.123456789", false},
        {"1e308", "0.5", true},
        {"1e-300", "1e300", false},
        {"1e-320", "1e10", false},
        {"1e400", "0.5", true},
        {"1e400", "7", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct number divisor = number_of(cases[i].divisor);
        struct number value = number_of(cases[i].value);
        if (number_is_multiple(&value, &divisor) != cases[i].multiple) {
            fail_msg("%s of %s", cases[i].value, cases[i].divisor);
        }
        /* A column of doubles knows the value only as a double. */
        if (isfinite(value.real) && fabs(value.real) < 0x1p53) {
            value = number_of_double(value.real);
            if (number_is_multiple(&value, &divisor) != cases[i].multiple) {
                fail_msg("%s of %s as a double", cases[i].value, cases[i].divisor);
            }
        }
    }
    struct number large = number_of_double(1e308);
    struct number half = number_of("0.5");
    struct number odd = number_of("0.123456789");
    assert_true(number_is_multiple(&large, &half));
    assert_false(number_is_multiple(&large, &odd));
    /* Every n × 0.01 below a million, as the sensor's library would print it. */
    struct number cent = number_of("0.01");
    for (int i = 0; i < 1000000; i += 7) {
        struct number value = number_of_double((double)i / 100);
        struct number beside = number_of_double(((double)i + 0.5) / 100);
        assert_true(number_is_multiple(&value, &cent));
        assert_false(number_is_multiple(&beside, &cent));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar), cmocka_unit_test(test_integers),
        cmocka_unit_test(test_doubles), cmocka_unit_test(test_many_digits),
        cmocka_unit_test(test_compare), cmocka_unit_test(test_multiples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
