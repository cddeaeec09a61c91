#include "sql/sql_collation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* In the collation's order; texts with the same rank are equal. */
static const struct {
    int rank;
    const char *text;
} ordered[] = {
    {-1, "0000-01-01T00:00:00+23:59"},
    {0, "1969-12-31"},
    {1, "2026-01-01"},
    {1, "2026-01-01T00:00:00Z"},
    {1, "2026-01-01 00:00:00"},
    {1, "2026-01-01T02:00:00+02:00"},
    {1, "2025-12-31t22:30:00.000-01:30"},
    {2, "2026-01-01T00:00:00.000001Z"},
    {2, "2026-01-01 00:00:00.000001"},
    {3, "2026-01-01T01:00:00+00:30"},
    {4, "2026-01-02"},
    {4, "2026-01-02T00:00:00.0Z"},
    {5, ""},
    {6, "0"},
    {7, "2026-01-01 12:00"},
    {8, "2026-02-30"},
    {9, "20260101"},
    {10, "9999"},
    {11, "yesterday"},
    {12, "\xc3\xa4"},
};

#define ORDERED_COUNT (sizeof ordered / sizeof ordered[0])

static int sign_of(int value)
{
    return (value > 0) - (value < 0);
}

static void test_total_order(void **state)
{
    (void)state;
    for (size_t a = 0; a < ORDERED_COUNT; a++) {
        for (size_t b = 0; b < ORDERED_COUNT; b++) {
            int found = sql_collation_compare(bytes_of_string(ordered[a].text),
                                              bytes_of_string(ordered[b].text));
            int expected = sign_of(ordered[a].rank - ordered[b].rank);
            if (sign_of(found) != expected) {
                print_error("'%s' and '%s'\n", ordered[a].text, ordered[b].text);
            }
            assert_int_equal(sign_of(found), expected);
        }
    }
}

static void test_literals(void **state)
{
    (void)state;
    static const char *const right[] = {"2026-01-31", "2026-01-31T12:00:00Z",
                                        "2026-01-31 12:00:00.5+02:00"};
    static const char *const wrong[] = {
        "",         "yesterday",   "2026-02-30", "2026-1-1", "2026-01-31T12:00:00",
        "12:00:00", "2026-01-31x", "31.01.2026"};
    int64_t time_us = 0;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        assert_true(sql_collation_parse_literal(bytes_of_string(right[i]), &time_us));
    }
    assert_int_equal(time_us, INT64_C(1769853600500000));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(sql_collation_parse_literal(bytes_of_string(wrong[i]), &time_us));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_total_order),
        cmocka_unit_test(test_literals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
