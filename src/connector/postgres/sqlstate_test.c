#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "connector/postgres/sqlstate.h"

static void test_only_these_are_the_rows_fault(void **state)
{
    (void)state;
    static const char *const row[] = {"22001", "22P02", "23505", "23514", "44000", "P0001",
                                      "54000"};
    static const char *const passing[] = {"", "08006", "40001", "40P01", "53100", "53300", "55P03",
                                          "57P01", "57014"};
    static const char *const stop[] = {"42P01", "55000", "42501", "25006", "28P01", "XX000", "54001",
                                       "P0002", "0A000", "25P02", "58030"};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        assert_int_equal(sqlstate_class(row[i]), SQLSTATE_ROW);
    }
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        assert_int_equal(sqlstate_class(passing[i]), SQLSTATE_PASSING);
    }
    for (size_t i = 0; i < sizeof stop / sizeof stop[0]; i++) {
        assert_int_equal(sqlstate_class(stop[i]), SQLSTATE_STOP);
    }
    assert_int_equal(sqlstate_class(NULL), SQLSTATE_PASSING);
}

static void test_reasons_tell_the_constraint(void **state)
{
    (void)state;
    assert_string_equal(sqlstate_reason("23514"), "sink.constraint_check");
    assert_string_equal(sqlstate_reason("22001"), "sink.too_long");
    assert_string_equal(sqlstate_reason("23P01"), "sink.constraint_exclusion");
    assert_string_equal(sqlstate_reason("23000"), "sink.constraint");
    assert_string_equal(sqlstate_reason("22P02"), "sink.datatype");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_these_are_the_rows_fault),
        cmocka_unit_test(test_reasons_tell_the_constraint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
