#include "base/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"

/* Central European Time, with a change in the past that the rule would not make. */
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3;3208;-2422054408=3600,323830800=7200,338950800=3600"

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(4096);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct zone zone_of(const char *text)
{
    struct zone zone;
    assert_true(zone_parse_text(arena, bytes_of_string(text), &zone));
    return zone;
}

static int64_t seconds_of(const char *text)
{
    int64_t us = 0;
    assert_true(time_parse_rfc3339(bytes_of_string(text), &us));
    return us / TIME_US_PER_SECOND;
}

/* Local time (written as if it were UTC) and what it is. */
static void assert_local(const struct zone *zone, const char *local, const char *expected)
{
    char found[TIME_TEXT_BYTES];
    time_format(zone_to_utc_s(zone, seconds_of(local)) * TIME_US_PER_SECOND, found);
    assert_string_equal(found, expected);
}

static void test_local_times(void **state)
{
    (void)state;
    struct zone berlin = zone_of(BERLIN);
    assert_local(&berlin, "2024-01-15T12:00:00Z", "2024-01-15T11:00:00Z");
    assert_local(&berlin, "2024-07-15T12:00:00Z", "2024-07-15T10:00:00Z");
    assert_local(&berlin, "1979-07-15T12:00:00Z", "1979-07-15T11:00:00Z");
    assert_local(&berlin, "1980-07-15T12:00:00Z", "1980-07-15T10:00:00Z");
    assert_local(&berlin, "1800-01-01T00:53:28Z", "1800-01-01T00:00:00Z");
    /* There was no half past two: as if the clocks had not gone forward. */
    assert_local(&berlin, "2024-03-31T01:59:59Z", "2024-03-31T00:59:59Z");
    assert_local(&berlin, "2024-03-31T02:30:00Z", "2024-03-31T01:30:00Z");
    assert_local(&berlin, "2024-03-31T03:00:00Z", "2024-03-31T01:00:00Z");
    /* It was half past two twice: the first time. */
    assert_local(&berlin, "2024-10-27T01:59:59Z", "2024-10-26T23:59:59Z");
    assert_local(&berlin, "2024-10-27T02:30:00Z", "2024-10-27T00:30:00Z");
    assert_local(&berlin, "2024-10-27T03:00:00Z", "2024-10-27T02:00:00Z");
    /* South of the equator summer spans the new year. */
    struct zone sydney = zone_of("AEST-10AEDT,M10.1.0,M4.1.0/3;36000;");
    assert_local(&sydney, "2024-01-01T11:00:00Z", "2024-01-01T00:00:00Z");
    assert_local(&sydney, "2024-07-01T10:00:00Z", "2024-07-01T00:00:00Z");
    assert_local(&sydney, "2024-12-31T11:00:00Z", "2024-12-31T00:00:00Z");
    /* Whatever the offset, a time and its local time belong together away from changes. */
    for (int64_t utc_s = -4000000000; utc_s < 8000000000; utc_s += 86400 * 3 + 12345) {
        int64_t local_s = utc_s + zone_offset_s(&berlin, utc_s);
        if (zone_offset_s(&berlin, utc_s - 7200) == zone_offset_s(&berlin, utc_s + 7200)) {
            assert_int_equal(zone_to_utc_s(&berlin, local_s), utc_s);
        }
    }
}

static void test_offsets(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t offset_s;
    } good[] = {{"UTC", 0},          {"Z", 0},          {"+01:00", 3600}, {"-0530", -19800},
                {"+14", 50400}, {"-23:59", -86340}, {"+00:00", 0}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct zone zone;
        assert_true(zone_parse_offset(good[i].text, &zone));
        assert_int_equal(zone_offset_s(&zone, 0), good[i].offset_s);
        assert_int_equal(zone_to_utc_s(&zone, 86400), 86400 - good[i].offset_s);
    }
    static const char *const bad[] = {"",       "utc",   "01:00",  "+1",     "+24:00", "+01:60",
                                      "+01:0",  "+1:00", "+01-00", "+01:00:00", "CET",    "+",
                                      "+01:000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct zone zone;
        assert_false(zone_parse_offset(bad[i], &zone));
    }
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "CET-1",
                                      "CET-1;",
                                      "CET-1;0",
                                      "CET-1;x;",
                                      ";0;5=1,4=1",
                                      ";0;5=",
                                      ";0;5",
                                      ";0;5=999999999",
                                      "CE;0;",
                                      "CET-1CEST;0;",
                                      "CET-1CEST,M13.5.0,M10.5.0;0;",
                                      "CET-1CEST,M3.5.0;0;",
                                      "CET-1CEST,M3.5.0,M10.5.0/3x;0;"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct zone zone;
        assert_false(zone_parse_text(arena, bytes_of_string(bad[i]), &zone));
    }
    struct zone julian = zone_of("EST5EDT,J60,300/1:30;-18000;");
    assert_int_equal(zone_offset_s(&julian, seconds_of("2024-03-01T06:59:59Z")), -18000);
    assert_int_equal(zone_offset_s(&julian, seconds_of("2024-03-01T07:00:00Z")), -14400);
    assert_int_equal(zone_offset_s(&julian, seconds_of("2023-03-01T07:00:00Z")), -14400);
    struct zone fixed = zone_of("<+0330>-3:30;12600;");
    assert_int_equal(zone_offset_s(&fixed, 0), 12600);
}

/* --- TZif --- */

static void put_u32(struct buffer *out, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                        (uint8_t)value};
    buffer_append(out, bytes, sizeof bytes);
}

static void put_head(struct buffer *out, char version, uint32_t changes, uint32_t types)
{
    uint8_t unused[15] = {0};
    buffer_append_string(out, "TZif");
    buffer_append_byte(out, (uint8_t)version);
    buffer_append(out, unused, sizeof unused);
    put_u32(out, 0);
    put_u32(out, 0);
    put_u32(out, 0);
    put_u32(out, changes);
    put_u32(out, types);
    put_u32(out, 4);
}

static void put_types(struct buffer *out)
{
    static const uint8_t types[] = {0, 0, 0x0C, 0x88, 0, 0, 0, 0, 0x0E, 0x10, 0, 0,
                                    0, 0, 0x1C, 0x20, 1, 0};
    buffer_append(out, types, sizeof types);
    buffer_append(out, "LMT", 4);
}

/* Version 2: an empty first body, then one with those changes. */
static void put_zone(struct buffer *out, const int64_t *times, const char *types, uint32_t count,
                     const char *footer)
{
    put_head(out, '2', 0, 1);
    buffer_append(out, "\0\0\0\0\0\0", 6);
    buffer_append(out, "LMT", 4);
    put_head(out, '2', count, 3);
    for (uint32_t i = 0; i < count; i++) {
        put_u32(out, (uint32_t)((uint64_t)times[i] >> 32));
        put_u32(out, (uint32_t)times[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_byte(out, (uint8_t)(types[i] - '0'));
    }
    put_types(out);
    buffer_append_string(out, footer);
}

static void test_files(void **state)
{
    (void)state;
    const int64_t times[] = {-2422054408, 323830800, 338950800, 354675600, 372819600, 386125200};
    struct buffer file = {0};
    struct buffer text = {0};
    put_zone(&file, times, "121212", 3, "\nCET-1CEST,M3.5.0,M10.5.0/3\n");
    assert_true(zone_of_tzif(bytes_of(file.data, file.size), &text));
    assert_string_equal(buffer_string(&text), BERLIN);
    /* From 1981 on the changes are those of the rule: they need not stand there. */
    struct buffer more = {0};
    buffer_clear(&text);
    put_zone(&more, times, "121212", 6, "\nCET-1CEST,M3.5.0,M10.5.0/3\n");
    assert_true(zone_of_tzif(bytes_of(more.data, more.size), &text));
    assert_string_equal(buffer_string(&text), BERLIN ",354675600=7200");
    buffer_fini(&more);
    /* Cut anywhere it is no zone, and nothing is read beyond its end. */
    for (size_t size = 0; size + 1 < file.size; size++) {
        uint8_t *cut = memory_alloc(size + 1);
        memcpy(cut, file.data, size);
        assert_false(zone_of_tzif(bytes_of(cut, size), &text));
        memory_free(cut);
    }
    buffer_clear(&file);
    buffer_clear(&text);
    put_zone(&file, times, "121", 2, "\n\n");
    assert_true(zone_of_tzif(bytes_of(file.data, file.size), &text));
    assert_string_equal(buffer_string(&text), ";3208;-2422054408=3600,323830800=7200");
    buffer_fini(&file);
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_local_times, setup, teardown),
        cmocka_unit_test_setup_teardown(test_offsets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
    };
    return cmocka_run_group_tests_name("base/zone", tests, NULL, NULL);
}
