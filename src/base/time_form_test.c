#include "base/time_form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/time.h"

/* What the text is in that form, as time_format() writes it; "-" when it is none. */
static void assert_reads(const char *form_text, const char *zone_text, const char *text,
                         const char *expected)
{
    struct time_form form;
    struct zone zone;
    assert_null(time_form_compile(form_text, &form));
    assert_true(zone_parse_offset(zone_text, &zone));
    int64_t us = 0;
    char found[TIME_TEXT_BYTES] = "-";
    if (time_form_read(&form, &zone, bytes_of_string(text), &us)) {
        time_format(us, found);
    }
    if (strcmp(found, expected) != 0) {
        print_message("'%s' as %s\n", text, form_text);
    }
    assert_string_equal(found, expected);
}

static void test_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *form, *zone, *text, *expected;
    } cases[] = {
        {"%Y-%m-%d %H:%M:%S", "UTC", "2013-12-02 21:15:00", "2013-12-02T21:15:00Z"},
        {"%F %T", "+01:00", "2013-12-02 00:15:00", "2013-12-01T23:15:00Z"},
        {"%F %T", "UTC", "2013-12-02 00:15:00 ", "-"},
        {"%F %T", "UTC", "2013-12-02  00:15:00", "-"},
        {"%F %T", "UTC", "2013-02-29 00:15:00", "-"},
        {"%F %T", "UTC", "2013-12-02 24:00:00", "-"},
        {"%F %T", "UTC", "2013-12-31 23:59:60", "2014-01-01T00:00:00Z"},
        {"%F %T", "UTC", "", "-"},
        {"%Y %m %d %H", "+08:00", "2010 1 1 0", "2009-12-31T16:00:00Z"},
        {"%Y %m %d %H", "+0800", "2010 12 31 23", "2010-12-31T15:00:00Z"},
        {"%d.%m.%Y %H:%M:%S", "-05", "1.2.2020 3:04:05", "2020-02-01T08:04:05Z"},
        {"%d.%m.%Y %H:%M:%S.%f", "UTC", "01.02.2020 03:04:05.5", "2020-02-01T03:04:05.5Z"},
        {"%T.%f %F", "UTC", "03:04:05.123456789 2020-02-01", "2020-02-01T03:04:05.123456Z"},
        {"%m/%d/%y %I:%M %p", "UTC", "02/01/20 12:30 am", "2020-02-01T00:30:00Z"},
        {"%D %I:%M%p", "UTC", "02/01/69 12:30PM", "1969-02-01T12:30:00Z"},
        {"%D %I:%M%p", "UTC", "02/01/68 01:30PM", "2068-02-01T13:30:00Z"},
        {"%D %I:%M%p", "UTC", "02/01/68 13:30PM", "-"},
        {"%a, %d %b %Y %T %z", "UTC", "Sat, 01 Feb 2020 03:04:05 +0130", "2020-02-01T01:34:05Z"},
        {"%a, %d %b %Y %T %z", "UTC", "Sun, 01 Feb 2020 03:04:05 +0130", "-"},
        {"%A %e %B %Y", "UTC", "Saturday  1 february 2020", "2020-02-01T00:00:00Z"},
        {"%d/%b/%Y:%T %z", "UTC", "10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36Z"},
        {"%Y%m%d%H%M%S", "UTC", "20200201030405", "2020-02-01T03:04:05Z"},
        {"%Y-%j", "UTC", "2020-366", "2020-12-31T00:00:00Z"},
        {"%Y-%j", "UTC", "2021-366", "-"},
        {"%FT%T%z", "UTC", "2020-02-01T03:04:05Z", "2020-02-01T03:04:05Z"},
        {"%FT%T%z", "UTC", "2020-02-01T03:04:05+01:00", "2020-02-01T02:04:05Z"},
        {"%FT%T%z", "UTC", "2020-02-01T03:04:05", "-"},
        {"%FT%T%z", "UTC", "0000-01-01T00:00:00+01:00", "-"},
        {"%FT%T%z", "UTC", "9999-12-31T23:59:59-00:01", "-"},
        {"100%% %F", "UTC", "100% 2020-02-01", "2020-02-01T00:00:00Z"},
        {"rfc3339", "UTC", "2020-02-01T03:04:05+01:00", "2020-02-01T02:04:05Z"},
        {"rfc3339", "UTC", "2020-02-01 03:04:05", "-"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_reads(cases[i].form, cases[i].zone, cases[i].text, cases[i].expected);
    }
}

static void test_counts(void **state)
{
    (void)state;
    static const struct {
        const char *form, *text, *expected;
    } cases[] = {
        {"epoch_s", "0", "1970-01-01T00:00:00Z"},
        {"epoch_s", "1700000000", "2023-11-14T22:13:20Z"},
        {"epoch_s", "1700000000.25", "2023-11-14T22:13:20.25Z"},
        {"epoch_s", "1700000000.1234567", "2023-11-14T22:13:20.123456Z"},
        {"epoch_s", "-1.5", "1969-12-31T23:59:58.5Z"},
        {"epoch_s", "-0.0000001", "1969-12-31T23:59:59.999999Z"},
        {"epoch_s", "253402300800", "-"},
        {"epoch_s", "99999999999999999999", "-"},
        {"epoch_s", "+5", "-"},
        {"epoch_s", "5.", "-"},
        {"epoch_s", "5e3", "-"},
        {"epoch_s", "", "-"},
        {"epoch_s", "-", "-"},
        {"epoch_ms", "1700000000123", "2023-11-14T22:13:20.123Z"},
        {"epoch_ms", "1700000000123.5", "2023-11-14T22:13:20.1235Z"},
        {"epoch_us", "-1", "1969-12-31T23:59:59.999999Z"},
        {"epoch_us", "-1.5", "1969-12-31T23:59:59.999998Z"},
        {"epoch_ns", "1700000000123456789", "2023-11-14T22:13:20.123456Z"},
        {"epoch_ns", "-1", "1969-12-31T23:59:59.999999Z"},
        {"epoch_ns", "-1000", "1969-12-31T23:59:59.999999Z"},
        {"epoch_ns", "-1000.5", "1969-12-31T23:59:59.999998Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_reads(cases[i].form, "UTC", cases[i].text, cases[i].expected);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    struct time_form seconds;
    struct time_form nanoseconds;
    struct time_form pattern;
    assert_null(time_form_compile("epoch_s", &seconds));
    assert_null(time_form_compile("epoch_ns", &nanoseconds));
    assert_null(time_form_compile("%Y%j", &pattern));
    int64_t us = 0;
    assert_true(time_form_read_int64(&seconds, -5, &us));
    assert_int_equal(us, -5000000);
    assert_false(time_form_read_int64(&seconds, INT64_MAX, &us));
    assert_true(time_form_read_int64(&nanoseconds, -1, &us));
    assert_int_equal(us, -1);
    assert_true(time_form_read_double(&seconds, 1700000000.123, &us));
    assert_int_equal(us, 1700000000123000);
    assert_false(time_form_read_double(&seconds, 1e300, &us));
    assert_false(time_form_read_double(&seconds, __builtin_nan(""), &us));
    assert_false(time_form_read_int64(&pattern, 2020001, &us));
    assert_true(time_form_needs_zone(&pattern));
    assert_false(time_form_needs_zone(&seconds));
}

static void test_what_is_no_form(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "iso", "%Y", "%Y-%m", "%H:%M", "%Q", "%Y-%m-%d %",
                                        "%F %I:%M", "%F %p", "%m-%d"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct time_form form;
        assert_non_null(time_form_compile(texts[i], &form));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_what_is_no_form),
    };
    return cmocka_run_group_tests_name("base/time_form", tests, NULL, NULL);
}
