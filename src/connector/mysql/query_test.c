#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "connector/mysql/system.h"

static void check_sql(const char *sql, const struct parameters *parameters, const char *expected)
{
    struct buffer out = {0};
    mysqldb_write_sql(sql, parameters, &out);
    assert_string_equal(buffer_string(&out), expected);
    buffer_fini(&out);
}

static void test_parameters_stand_in_any_order_and_twice(void **state)
{
    (void)state;
    struct parameters parameters = {0};
    parameters_integer(&parameters, -7);
    parameters_text(&parameters, "a'b\\");
    parameters_bytes(&parameters, bytes_of("\0\xff", 2));
    check_sql("UPDATE t SET a = $2, b = $3 WHERE c = $1 AND d = $2", &parameters,
              "UPDATE t SET a = _utf8mb4 X'6127625c', b = X'00ff' WHERE c = -7 AND d = "
              "_utf8mb4 X'6127625c'");
}

static void test_null_empty_and_two_digits(void **state)
{
    (void)state;
    struct parameters parameters = {0};
    parameters_bytes(&parameters, BYTES_NONE);
    parameters_text(&parameters, "");
    for (int64_t i = 3; i <= 12; i++) {
        parameters_integer(&parameters, i);
    }
    check_sql("($1, $2, $12)", &parameters, "(NULL, _utf8mb4 X'', 12)");
}

static void test_what_is_quoted_stays(void **state)
{
    (void)state;
    struct parameters parameters = {0};
    parameters_integer(&parameters, 1);
    check_sql("SELECT '$1', \"$1\", `$1`, $1", &parameters, "SELECT '$1', \"$1\", `$1`, 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters_stand_in_any_order_and_twice),
        cmocka_unit_test(test_null_empty_and_two_digits),
        cmocka_unit_test(test_what_is_quoted_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
