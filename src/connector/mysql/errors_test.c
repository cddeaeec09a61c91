#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "connector/mysql/errors.h"

static void test_only_these_are_the_rows_fault(void **state)
{
    (void)state;
    static const unsigned row[] = {1048, 1062, 1264, 1406, 1452, 1644, 3819, 4025};
    static const unsigned passing[] = {1040, 1114, 1205, 1213, 1317, 1927, 2002, 2006, 2013};
    static const unsigned stop[] = {1045, 1054, 1064, 1142, 1146, 1290, 1364, 1836, 2026, 9999};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        assert_int_equal(mysqldb_class(row[i]), MYSQLDB_ROW);
    }
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        assert_int_equal(mysqldb_class(passing[i]), MYSQLDB_PASSING);
    }
    for (size_t i = 0; i < sizeof stop / sizeof stop[0]; i++) {
        assert_int_equal(mysqldb_class(stop[i]), MYSQLDB_STOP);
    }
    assert_int_equal(mysqldb_class(1050), MYSQLDB_HARMLESS);
}

static void test_reasons_and_advice(void **state)
{
    (void)state;
    assert_string_equal(mysqldb_reason(4025), "sink.constraint_check");
    assert_string_equal(mysqldb_reason(1406), "sink.too_long");
    assert_string_equal(mysqldb_reason(1213), "sink.datatype");
    assert_non_null(strstr(mysqldb_advice(1290), "primary"));
    assert_string_equal(mysqldb_advice(1213), "mend it, then start again; nothing is lost");
}

static void check_description(const char *message, const char *expected)
{
    char out[200];
    mysqldb_describe("23000", message, out, sizeof out);
    assert_string_equal(out, expected);
}

/* Which row of its statement it was is nothing that a dead letter may say: it depends on the batch. */
static void test_messages_name_constraint_and_column(void **state)
{
    (void)state;
    check_description("CONSTRAINT `sane` failed for `weir`.`t`",
                      "SQLSTATE 23000, constraint sane: CONSTRAINT `sane` failed for `weir`.`t`");
    check_description("constraint fails (\"weir\".\"t\", CONSTRAINT \"known\" FOREIGN KEY",
                      "SQLSTATE 23000, constraint known: constraint fails (\"weir\".\"t\", "
                      "CONSTRAINT \"known\" FOREIGN KEY");
    check_description("Check constraint 'sane' is violated.",
                      "SQLSTATE 23000, constraint sane: Check constraint 'sane' is violated.");
    check_description("Duplicate entry '1' for key 'PRIMARY'",
                      "SQLSTATE 23000, constraint PRIMARY: Duplicate entry '1' for key 'PRIMARY'");
    check_description("Data too long for column 'v' at row 2",
                      "SQLSTATE 23000, column v: Data too long for column 'v'");
    check_description("Column 'n' cannot be null", "SQLSTATE 23000, column n: Column 'n' cannot be null");
    check_description("Incorrect integer value: 'xy' for column `weir`.`t`.`n` at row 17",
                      "SQLSTATE 23000, column n: Incorrect integer value: 'xy' for column `weir`.`t`.`n`");
    check_description("unlucky", "SQLSTATE 23000: unlucky");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_these_are_the_rows_fault),
        cmocka_unit_test(test_reasons_and_advice),
        cmocka_unit_test(test_messages_name_constraint_and_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
