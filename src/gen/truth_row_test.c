#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gen/truth_row.h"

static enum truth_answer answer_of(const char *text, size_t size)
{
    struct truth_row row = {0};
    enum truth_answer answer = truth_row_read(&row, bytes_of(text, size));
    truth_row_fini(&row);
    return answer;
}

static void reads_cells(void **state)
{
    (void)state;
    struct truth_row row = {0};
    const char *text =
        " {\"site\" : \"no\\u0072th\\n\\ud83d\\ude00\",\t\"battery\":87.0, \"humidity\": null,"
        "\"x\":{\"temperature\":1,\"site\":[{}]},\"\\u0074emperature\":true,"
        "\"pressure\":[1,{\"battery\":2}],\"message_id\":\"\"}\r\n";
    assert_int_equal(truth_row_read(&row, bytes_of_string(text)), TRUTH_OBJECT);
    assert_int_equal(row.cells[TRUTH_SITE].kind, TRUTH_STRING);
    assert_true(bytes_equal_string(row.cells[TRUTH_SITE].text, "north\n\xf0\x9f\x98\x80"));
    assert_int_equal(row.cells[TRUTH_BATTERY].kind, TRUTH_NUMBER);
    assert_true(bytes_equal_string(row.cells[TRUTH_BATTERY].text, "87.0"));
    assert_int_equal(row.cells[TRUTH_HUMIDITY].kind, TRUTH_NULL);
    assert_int_equal(row.cells[TRUTH_TEMPERATURE].kind, TRUTH_BOOL);
    assert_int_equal(row.cells[TRUTH_PRESSURE].kind, TRUTH_NESTED);
    assert_int_equal(row.cells[TRUTH_MESSAGE_ID].kind, TRUTH_STRING);
    assert_int_equal(row.cells[TRUTH_MESSAGE_ID].text.size, 0);
    assert_int_equal(row.cells[TRUTH_SENSOR_ID].kind, TRUTH_ABSENT);
    assert_int_equal(truth_row_read(&row, bytes_of_string("{}")), TRUTH_OBJECT);
    assert_int_equal(row.cells[TRUTH_SITE].kind, TRUTH_ABSENT);
    truth_row_fini(&row);
}

static void refuses_what_is_not_json(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "}",
        "{]",
        "[}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{,}",
        "{\"a\":1}}",
        "{\"a\":1}x",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":'b'}",
        "{\"a\":tru}",
        "{\"a\":True}",
        "{\"a\":nul}",
        "{\"a\":NaN}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":-}",
        "{\"a\":0x1}",
        "{\"a\":--1}",
        "{\"a\":\"b}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\u123\"}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\x1f\"}",
        "{\"a\":[1,]}",
        "{\"a\":[,1]}",
        "{\"a\":[1 2]}",
        "{\"a\":/**/1}",
        "nulll",
        "[1",
        "\xef\xbb\xbf{}",
        "\xc3\xa9",
        "{\"a\":\"b\\",
        "{\"a\":\"\\\"}",
        "{} {}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (answer_of(texts[i], strlen(texts[i])) != TRUTH_SYNTAX) {
            fail_msg("%s", texts[i]);
        }
    }
    assert_int_equal(answer_of("{}\0", 3), TRUTH_SYNTAX);
    assert_int_equal(answer_of("{\"a\":\"\0\"}", 9), TRUTH_SYNTAX);
    assert_int_equal(answer_of("{\"a\":\"\\\0\"}", 10), TRUTH_SYNTAX);
}

static void refuses_repeated_keys(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"site\":1,\"site\":1}", "{\"a\":1,\"\\u0061\":2}", "{\"x\":{\"b\":1,\"c\":{},\"b\":1}}",
        "{\"\":1,\"\":1}",         "[{\"a\":1,\"a\":1}]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(answer_of(texts[i], strlen(texts[i])), TRUTH_SYNTAX);
    }
    const char *apart = "{\"a\":{\"a\":{\"a\":1},\"b\":2},\"b\":[{\"a\":1},{\"a\":1}],\"c\":1}";
    assert_int_equal(answer_of(apart, strlen(apart)), TRUTH_OBJECT);
}

static void refuses_what_is_not_utf8(void **state)
{
    (void)state;
    static const char *const strings[] = {
        "\xc3",
        "\x80",
        "\xbf",
        "\xc0\xaf",
        "\xc1\xbf",
        "\xe0\x80\xaf",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xe2\x82",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
        "\xc3\x28",
        "\xf0\x9f\x98",
        "\\ud800",
        "\\udc00",
        "\\ud800x",
        "\\ud800\\n",
        "\\ud800\\u0041",
        "\\ud800\\ud800",
    };
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        char text[64] = "{\"a\":\"";
        strcat(strcat(text, strings[i]), "\"}");
        assert_int_equal(answer_of(text, strlen(text)), TRUTH_ENCODING);
    }
    static const char *const right[] = {"\xc2\x80",      "\xe0\xa0\x80",     "\xed\x9f\xbf",
                                        "\xee\x80\x80",  "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
                                        "\\ud800\\udc00"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        char text[64] = "{\"a\":\"";
        strcat(strcat(text, right[i]), "\"}");
        assert_int_equal(answer_of(text, strlen(text)), TRUTH_OBJECT);
    }
    /* The first thing wrong decides. */
    assert_int_equal(answer_of("{\"\xff\":1,}", 8), TRUTH_ENCODING);
    assert_int_equal(answer_of("{\"a\":1,,\"\xff\"}", 12), TRUTH_SYNTAX);
}

static void knows_what_is_no_object(void **state)
{
    (void)state;
    static const char *const texts[] = {"1", "-0.5e3 ", "\"a\"", "null", "true", " []", "[{}]"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(answer_of(texts[i], strlen(texts[i])), TRUTH_NOT_OBJECT);
    }
}

static void limits_depth(void **state)
{
    (void)state;
    char text[1024];
    for (size_t arrays = 127; arrays <= 128; arrays++) {
        memcpy(text, "{\"a\":", 5);
        memset(text + 5, '[', arrays);
        memset(text + 5 + arrays, ']', arrays);
        text[5 + 2 * arrays] = '}';
        assert_int_equal(answer_of(text, 6 + 2 * arrays),
                         arrays == 127 ? TRUTH_OBJECT : TRUTH_SYNTAX);
    }
    static char deep[200000];
    memset(deep, '[', sizeof deep);
    assert_int_equal(answer_of(deep, sizeof deep), TRUTH_SYNTAX);
}

static void assert_number(const char *text, double expected, bool expected_integral)
{
    double value = 0;
    bool integral = false;
    assert_true(truth_number(bytes_of_string(text), &value, &integral));
    assert_memory_equal(&value, &expected, sizeof value);
    assert_int_equal(integral, expected_integral);
}

static void reads_numbers(void **state)
{
    (void)state;
    assert_number("0", 0, true);
    assert_number("-0", -0.0, true);
    assert_number("0.0", 0, true);
    assert_number("0e400", 0, true);
    assert_number("23.45", 23.45, false);
    assert_number("-23.450", -23.45, false);
    assert_number("2345e-2", 23.45, false);
    assert_number("0.05", 0.05, false);
    assert_number("100.00", 100, true);
    assert_number("8.7E+1", 87, true);
    assert_number("870e-1", 87, true);
    assert_number("87.5", 87.5, false);
    assert_number("0.00087e5", 87, true);
    assert_number("-999.0", -999, true);
    assert_number("-99900e-2", -999, true);
    assert_number("1.10", 1.1, false);
    assert_number("10020.0300e2", 1002003, true);
    assert_number("9223372036854775808", 9223372036854775808.0, true);
    assert_number("23.4500000000000000000000000001", 23.45, false);
    assert_number("1e400", INFINITY, true);
    assert_number("-1e400", -INFINITY, true);
    assert_number("1e-400", 0, false);
    assert_number("1e99999999999999999999999", INFINITY, true);
    assert_number("123456789012345.678", 123456789012345.678, false);
    assert_number("9007199254740993", 9007199254740992.0, true);
    static const char *const wrong[] = {"",    " 1",  "1 ",       "+1", "01",  "1.",  ".5", "1e",
                                        "0x1", "NaN", "Infinity", "-",  "1_0", "1,5", "hot"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        double value;
        bool integral;
        assert_false(truth_number(bytes_of_string(wrong[i]), &value, &integral));
    }
}

static void assert_time(const char *text, int64_t expected_us)
{
    int64_t time_us = 0;
    assert_true(truth_time(bytes_of_string(text), &time_us));
    assert_int_equal(time_us, expected_us);
}

static void reads_times(void **state)
{
    (void)state;
    assert_time("1970-01-01T00:00:00Z", 0);
    assert_time("1970-01-01T00:00:00.000001Z", 1);
    assert_time("1969-12-31T23:59:59.5z", -500000);
    assert_time("2026-01-31T12:34:56Z", INT64_C(1769862896000000));
    assert_time("2026-01-31t14:34:56.123456789+02:00", INT64_C(1769862896123456));
    assert_time("2026-01-31 07:04:56-05:30", INT64_C(1769862896000000));
    assert_time("2024-02-29T00:00:00Z", INT64_C(1709164800000000));
    assert_time("2000-03-01T00:00:00-00:00", INT64_C(951868800000000));
    assert_time("2016-12-31T23:59:60.9Z", INT64_C(1483228800000000));
    assert_time("0000-01-01T00:00:00Z", INT64_C(-62167219200000000));
    assert_time("9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999));
    static const char *const wrong[] = {
        "",
        "2026-01-31",
        "2026-01-31T12:34:56",
        "2026-01-31T12:34Z",
        "2026-1-31T12:34:56Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:34:61Z",
        "2026-01-31T12:34:56.Z",
        "2026-01-31T12:34:56+02",
        "2026-01-31T12:34:56+0200",
        "2026-01-31T12:34:56+24:00",
        "2026-01-31T12:34:56+02:60",
        "2026-01-31T12:34:56ZZ",
        " 2026-01-31T12:34:56Z",
        "0000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-01-31_12:34:56Z",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int64_t time_us;
        if (truth_time(bytes_of_string(wrong[i]), &time_us)) {
            fail_msg("%s", wrong[i]);
        }
    }
    assert_false(truth_time(bytes_of("2026-01-31T12:34:56\0", 20), &(int64_t){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_cells),
        cmocka_unit_test(refuses_what_is_not_json),
        cmocka_unit_test(refuses_repeated_keys),
        cmocka_unit_test(refuses_what_is_not_utf8),
        cmocka_unit_test(knows_what_is_no_object),
        cmocka_unit_test(limits_depth),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(reads_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
