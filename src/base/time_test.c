#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/prng.h"

#define FIRST_US (INT64_C(-62167219200) * 1000000)
#define END_US (INT64_C(253402300800) * 1000000)

static bool parse(const char *text, int64_t *out_us)
{
    /* A block of exactly this size: a sanitizer sees a read beyond the end. */
    size_t size = strlen(text);
    uint8_t *copy = memory_alloc(size);
    memcpy(copy, text, size);
    bool good = time_parse_rfc3339(bytes_of(copy, size), out_us);
    memory_free(copy);
    return good;
}

static void parse_known(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t time_us;
    } wanted[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.000001Z", 1},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2026-01-31T12:34:56Z", INT64_C(1769862896000000)},
        {"2026-01-31t12:34:56z", INT64_C(1769862896000000)},
        {"2026-01-31 12:34:56Z", INT64_C(1769862896000000)},
        {"2026-01-31T12:34:56+00:00", INT64_C(1769862896000000)},
        {"2026-01-31T12:34:56-00:00", INT64_C(1769862896000000)},
        {"2026-01-31T14:04:56+01:30", INT64_C(1769862896000000)},
        {"2026-01-30T12:35:56-23:59", INT64_C(1769862896000000)},
        {"2026-02-01T12:33:56+23:59", INT64_C(1769862896000000)},
        {"2026-01-31T12:34:56.5Z", INT64_C(1769862896500000)},
        {"2026-01-31T12:34:56.123456999999999999999999Z", INT64_C(1769862896123456)},
        {"2026-01-31T12:34:56.05+00:00", INT64_C(1769862896050000)},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
        {"2000-02-29T00:00:00Z", INT64_C(951782400000000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
        {"2016-12-31T23:59:60.75Z", INT64_C(1483228800000000)},
        {"2016-12-31T15:59:60-08:00", INT64_C(1483228800000000)},
        {"0000-01-01T00:00:00Z", FIRST_US},
        {"9999-12-31T23:59:59.999999Z", END_US - 1},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        int64_t time_us = 0;
        if (!parse(wanted[i].text, &time_us) || time_us != wanted[i].time_us) {
            fail_msg("%s gives %lld", wanted[i].text, (long long)time_us);
        }
    }
}

static void parse_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "Z",
        "2026-01-31",
        "2026-01-31T12:34:56",
        "2026-01-31T12:34:56 ",
        "2026-01-31T12:34:56Z ",
        " 2026-01-31T12:34:56Z",
        "2026-01-31T12:34:56ZZ",
        "2026-01-31T12:34:56.Z",
        "2026-01-31T12:34:56,5Z",
        "2026-01-31T12:34:56.5",
        "2026-01-31T12:34:56.5.5Z",
        "2026-01-31T12:34:56+0100",
        "2026-01-31T12:34:56+01",
        "2026-01-31T12:34:56+01:0",
        "2026-01-31T12:34:56+01:000",
        "2026-01-31T12:34:56+24:00",
        "2026-01-31T12:34:56+01:60",
        "2026-01-31T12:34:56*01:00",
        "2026-01-31T12:34:56+01-00",
        "2026-01-31T12:34Z",
        "2026-01-31T12:34:5Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:34:61Z",
        "2026-00-31T12:34:56Z",
        "2026-13-01T12:34:56Z",
        "2026-01-00T12:34:56Z",
        "2026-01-32T12:34:56Z",
        "2026-04-31T12:34:56Z",
        "2026-02-29T12:34:56Z",
        "1900-02-29T12:34:56Z",
        "2100-02-29T12:34:56Z",
        "2024-02-30T12:34:56Z",
        "-026-01-31T12:34:56Z",
        "+2026-01-31T12:34:56Z",
        "12026-01-31T12:34:56Z",
        "2026/01/31T12:34:56Z",
        "2026-01-31_12:34:56Z",
        "2026-01-31T12.34.56Z",
        "0000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:60Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t time_us = 77;
        if (parse(bad[i], &time_us) || time_us != 77) {
            fail_msg("'%s' is taken", bad[i]);
        }
    }
    int64_t time_us;
    assert_false(time_parse_rfc3339(BYTES_NONE, &time_us));
    assert_false(time_parse_rfc3339(bytes_of("2026-01-31T12:34:56\0", 20), &time_us));
    assert_false(time_parse_rfc3339(bytes_of("2026-01-31T12:3\0:56Z", 20), &time_us));
}

/* Right in every digit, but timestamps do not reach there. */
static void parse_any_goes_further(void **state)
{
    (void)state;
    int64_t time_us = 0;
    assert_true(time_parse_any_rfc3339(bytes_of_string("9999-12-31T23:59:59-23:59"), &time_us));
    assert_int_equal(time_us, END_US + INT64_C(86339) * 1000000);
    assert_true(time_parse_any_rfc3339(bytes_of_string("0000-01-01T00:00:00+23:59"), &time_us));
    assert_int_equal(time_us, FIRST_US - INT64_C(86340) * 1000000);
    assert_true(time_parse_any_rfc3339(bytes_of_string("2026-01-31T12:34:56Z"), &time_us));
    assert_int_equal(time_us, INT64_C(1769862896000000));
    assert_false(time_parse_any_rfc3339(bytes_of_string("9999-12-32T00:00:00Z"), &time_us));
    assert_false(time_parse_any_rfc3339(bytes_of_string("10000-01-01T00:00:00Z"), &time_us));
}

/* Any one byte changed: what is still taken has digits where digits must be. */
static void parse_checks_every_byte(void **state)
{
    (void)state;
    static const char good[] = "2026-01-11T12:34:56Z";
    for (size_t at = 0; at < 20; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            char text[20];
            memcpy(text, good, 20);
            text[at] = (char)byte;
            int64_t time_us;
            if (!time_parse_rfc3339(bytes_of(text, 20), &time_us)) {
                assert_true(byte != (uint8_t)good[at]);
                continue;
            }
            if (good[at] >= '0' && good[at] <= '9') {
                assert_true(byte >= '0' && byte <= '9');
                char back[TIME_TEXT_BYTES];
                time_format(time_us, back);
                assert_memory_equal(back, text, 20);
            } else {
                assert_true(byte == (uint8_t)good[at] || (at == 19 && byte == 'z') ||
                            (at == 10 && (byte == 't' || byte == ' ')));
            }
        }
    }
}

/* Six digits and a Z are read at once, with a z one by one: any byte changed, both say the same. */
static void parse_of_microseconds_has_one_answer(void **state)
{
    (void)state;
    static const char good[] = "2026-01-11T12:34:56.104729Z";
    enum { SIZE = sizeof good - 1 };
    for (size_t at = 0; at < SIZE - 1; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            char text[SIZE];
            memcpy(text, good, SIZE);
            text[at] = (char)byte;
            int64_t at_once_us = 0;
            int64_t one_by_one_us = 0;
            bool at_once = time_parse_any_rfc3339(bytes_of(text, SIZE), &at_once_us);
            text[SIZE - 1] = 'z';
            bool one_by_one = time_parse_any_rfc3339(bytes_of(text, SIZE), &one_by_one_us);
            assert_int_equal(at_once, one_by_one);
            assert_int_equal(at_once_us, one_by_one_us);
            assert_true(!at_once || at != 20 || at_once_us % 1000000 / 100000 == (int)byte - '0');
        }
    }
}

/* Whatever was read before, a reader says what the parser says. */
static void a_reader_has_the_same_answers(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "2026-01-11T12:34:56.104729Z", "2026-01-11T12:34:07Z",          "2026-01-11T12:34:56.1Z",
        "2026-01-11 12:34:59.123Z",    "2026-01-11T12:34:60Z",          "2016-12-31T23:59:60Z",
        "1969-12-31T23:59:59.999999Z", "2026-01-11T12:34:56+01:00",     "2026-01-11t12:34:56.5z",
        "0000-01-01T00:00:00Z",        "2026-01-11T12:34:56.1234567Z",  "2026-01-11T12:34:56.",
        "2026-01-11T12:34:00-00:30",   "9999-12-31T23:59:59.999999999Z",
    };
    enum { COUNT = sizeof texts / sizeof texts[0] };
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < COUNT; k++) {
            char text[40];
            const size_t size = strlen(texts[k]);
            for (size_t at = 0; at < size; at++) {
                static const char bytes[] = "0159:-TtZz .6+";
                for (size_t b = 0; b < sizeof bytes; b++) {
                    struct time_reader reader = {0};
                    int64_t read_us = 1;
                    int64_t parsed_us = 1;
                    (void)time_read_any_rfc3339(&reader, bytes_of_string(texts[i]), &read_us);
                    (void)time_read_any_rfc3339(&reader, bytes_of_string(texts[k]), &read_us);
                    memcpy(text, texts[k], size);
                    text[at] = bytes[b];
                    read_us = 1;
                    bool read = time_read_any_rfc3339(&reader, bytes_of(text, size), &read_us);
                    assert_int_equal(time_parse_any_rfc3339(bytes_of(text, size), &parsed_us), read);
                    assert_true(read_us == parsed_us);
                }
            }
        }
    }
}

static void days_agree_with_the_calendar(void **state)
{
    (void)state;
    /* Every day from 0000 to 9999 in order, each with the next number. */
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t wanted = -719528;
    for (int year = 0; year <= 9999; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (unsigned month = 1; month <= 12; month++) {
            unsigned length = lengths[month - 1] + (leap && month == 2);
            int64_t days = 0;
            for (unsigned day = 1; day <= length; day++, wanted++) {
                assert_true(time_days_from_civil(year, month, day, &days));
                assert_true(days == wanted);
            }
            assert_false(time_days_from_civil(year, month, length + 1, &days));
            assert_false(time_days_from_civil(year, month, 0, &days));
        }
    }
    int64_t days;
    assert_false(time_days_from_civil(2026, 0, 1, &days));
    assert_false(time_days_from_civil(2026, 13, 1, &days));
    assert_false(time_days_from_civil(2026, UINT32_MAX, UINT32_MAX, &days));
    assert_true(time_days_from_civil(-1, 12, 31, &days));
    assert_true(days == -719529);
}

static void format_agrees_with_the_c_library(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 1);
    for (unsigned round = 0; round < 200000; round++) {
        int64_t time_us = FIRST_US + (int64_t)prng_below(&prng, END_US - FIRST_US);
        if (round % 3 != 0) {
            time_us -= time_us % (round % 3 == 1 ? 1000000 : 1000);
        }
        char text[TIME_TEXT_BYTES];
        size_t size = time_format(time_us, text);
        assert_int_equal(strlen(text), size);
        int64_t back_us;
        assert_true(time_parse_rfc3339(bytes_of(text, size), &back_us));
        assert_true(back_us == time_us);

        int64_t fraction_us = (time_us % 1000000 + 1000000) % 1000000;
        time_t seconds = (time_us - fraction_us) / 1000000;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        char wanted[96];
        int length =
            snprintf(wanted, sizeof wanted, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
                     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        if (fraction_us != 0) {
            length += snprintf(wanted + length, 16, ".%06d", (int)fraction_us);
            while (wanted[length - 1] == '0') {
                length--;
            }
        }
        wanted[length] = 'Z';
        wanted[length + 1] = '\0';
        assert_string_equal(text, wanted);
    }
}

static void format_has_room_for_everything(void **state)
{
    (void)state;
    static const int64_t times[] = {INT64_MIN, INT64_MAX,    TIME_NEVER, TIME_UNLIMITED,
                                    END_US,    FIRST_US - 1, 0};
    static const char *const texts[] = {"-290308-12-21T19:59:05.224192Z",
                                        "294247-01-10T04:00:54.775807Z",
                                        "-71100-09-29T04:59:46.306048Z",
                                        "75039-04-04T19:00:13.693951Z",
                                        "10000-01-01T00:00:00Z",
                                        "-0001-12-31T23:59:59.999999Z",
                                        "1970-01-01T00:00:00Z"};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char *text = memory_alloc(TIME_TEXT_BYTES);
        time_format(times[i], text);
        assert_string_equal(text, texts[i]);
        memory_free(text);
    }
}

static void duration_known(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
        const char *canonical;
    } wanted[] = {
        {"0", 0, "0"},
        {"0s", 0, "0"},
        {"250us", 250, "250us"},
        {"1ms", 1000, "1ms"},
        {"1500us", 1500, "1.5ms"},
        {"100ms", 100000, "100ms"},
        {"1.5s", 1500000, "1.5s"},
        {"1.000001s", 1000001, "1.000001s"},
        {"90s", 90000000, "1m30s"},
        {"10m", 600000000, "10m"},
        {"1h30m", INT64_C(5400000000), "1h30m"},
        {"1.5h", INT64_C(5400000000), "1h30m"},
        {"2h", INT64_C(7200000000), "2h"},
        {"7d", INT64_C(604800000000), "7d"},
        {"1d2h3m4s5ms6us", INT64_C(93784005006), "1d2h3m4.005006s"},
        {"1d1us", INT64_C(86400000001), "1d1us"},
        {"26687997d", INT64_C(26687997) * 86400 * 1000000, "26687997d"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        int64_t us = -1;
        char text[64];
        assert_true(duration_parse(wanted[i].text, &us));
        assert_true(us == wanted[i].us);
        duration_format(us, text, sizeof text);
        assert_string_equal(text, wanted[i].canonical);
    }
}

static void duration_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "5",
        "s",
        "-5s",
        "+5s",
        " 5s",
        "5s ",
        "5 s",
        "5S",
        "5sec",
        "5w",
        "1m5",
        "5m5m",
        "30m1h",
        "1..5s",
        "1.s",
        ".5s",
        "1.5.5s",
        "0.5us",
        "1.0000001s",
        "1e3s",
        "0x10s",
        "00",
        "26687998d",
        "9223372036854775807us",
        "99999999999999999999d",
        "unlimited",
        "1,5s",
        "5µs",
        "1h30",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t us = 77;
        if (duration_parse(bad[i], &us) || us != 77) {
            fail_msg("'%s' is taken as %lld", bad[i], (long long)us);
        }
    }
}

static void duration_round_trips(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 2);
    for (unsigned round = 0; round < 200000; round++) {
        int64_t us = (int64_t)(prng_next(&prng) >> (2 + prng_below(&prng, 62)));
        if (us >= TIME_UNLIMITED) {
            us = TIME_UNLIMITED - 1;
        }
        char text[64];
        duration_format(us, text, sizeof text);
        int64_t back_us = -1;
        if (!duration_parse(text, &back_us) || back_us != us) {
            fail_msg("%lld is formatted as %s", (long long)us, text);
        }
    }
    char text[64];
    duration_format(TIME_UNLIMITED, text, sizeof text);
    assert_string_equal(text, "unlimited");
    duration_format(-1500000, text, sizeof text);
    assert_string_equal(text, "-1.5s");
    duration_format(INT64_MIN, text, sizeof text);
    assert_string_equal(text, "-106751991d4h54.775808s");
    duration_format(INT64_C(5400000000), text, 4);
    assert_string_equal(text, "1h3");
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } wanted[] = {
        {"0B", 0},
        {"512B", 512},
        {"64KiB", 65536},
        {"4MiB", 4194304},
        {"1GiB", 1073741824},
        {"10KB", 10000},
        {"1MB", 1000000},
        {"1GB", 1000000000},
        {"1.5KiB", 1536},
        {"0.5GB", 500000000},
        {"18446744073709551615B", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        uint64_t bytes = 77;
        assert_true(size_parse(wanted[i].text, &bytes));
        assert_true(bytes == wanted[i].bytes);
    }
    static const char *const bad[] = {"",
                                      "5",
                                      "B",
                                      "-1B",
                                      "1.5B",
                                      "1kb",
                                      "1 KB",
                                      "1KBs",
                                      "1KiBB",
                                      "1K",
                                      "18446744073709551616B",
                                      "99999999999GiB",
                                      "0.0001KiB"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t bytes = 77;
        if (size_parse(bad[i], &bytes) || bytes != 77) {
            fail_msg("'%s' is taken", bad[i]);
        }
    }
}

static void percents(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double share;
    } wanted[] = {{"0%", 0},        {"5%", 0.05},       {"100%", 1},    {"0.1%", 0.001},
                  {"33.3%", 0.333}, {"99.99%", 0.9999}, {"100.000%", 1}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        double share = 77;
        assert_true(percent_parse(wanted[i].text, &share));
        assert_true(share == wanted[i].share);
    }
    static const char *const bad[] = {"",
                                      "5",
                                      "%",
                                      "-1%",
                                      "101%",
                                      "100.1%",
                                      "5 %",
                                      "5%%",
                                      ".5%",
                                      "1e1%",
                                      "nan%",
                                      "99999999999999999999%",
                                      "0.00000000000000000001%"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double share = 77;
        if (percent_parse(bad[i], &share) || share != 77) {
            fail_msg("'%s' is taken", bad[i]);
        }
    }
    /* The share that the compiler gives for the same digits. */
    for (unsigned hundredths = 0; hundredths <= 10000; hundredths++) {
        char text[32];
        char digits[32];
        snprintf(text, sizeof text, "%u.%02u%%", hundredths / 100, hundredths % 100);
        snprintf(digits, sizeof digits, "%u.%04u", hundredths / 10000, hundredths % 10000);
        double share;
        assert_true(percent_parse(text, &share));
        assert_true(share == strtod(digits, NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_known),
        cmocka_unit_test(parse_refuses),
        cmocka_unit_test(parse_any_goes_further),
        cmocka_unit_test(parse_checks_every_byte),
        cmocka_unit_test(parse_of_microseconds_has_one_answer),
        cmocka_unit_test(a_reader_has_the_same_answers),
        cmocka_unit_test(days_agree_with_the_calendar),
        cmocka_unit_test(format_agrees_with_the_c_library),
        cmocka_unit_test(format_has_room_for_everything),
        cmocka_unit_test(duration_known),
        cmocka_unit_test(duration_refuses),
        cmocka_unit_test(duration_round_trips),
        cmocka_unit_test(sizes),
        cmocka_unit_test(percents),
    };
    return cmocka_run_group_tests_name("base/time", tests, NULL, NULL);
}
