#include "batch/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_find_by_path(void **state)
{
    (void)state;
    struct field fields[] = {
        {.name = "id", .name_size = 2, .path = "id", .type = COLUMN_TEXT, .parent = FIELD_NONE},
        {.name = "location",
         .name_size = 8,
         .path = "location",
         .type = COLUMN_OBJECT,
         .parent = FIELD_NONE},
        {.name = "lat", .name_size = 3, .path = "location.lat", .type = COLUMN_DOUBLE, .parent = 1},
    };
    struct layout layout = {.fields = fields, .field_count = 3, .schema_field_count = 3};
    assert_int_equal(layout_find(&layout, "id"), 0);
    assert_int_equal(layout_find(&layout, "location"), 1);
    assert_int_equal(layout_find(&layout, "location.lat"), 2);
    assert_int_equal(layout_find(&layout, "lat"), FIELD_NONE);
    assert_int_equal(layout_find(&layout, ""), FIELD_NONE);
}

static void test_type_names(void **state)
{
    (void)state;
    assert_string_equal(column_type_name(COLUMN_BOOL), "a boolean");
    assert_string_equal(column_type_name(COLUMN_INT64), "an integer");
    assert_string_equal(column_type_name(COLUMN_DOUBLE), "a number");
    assert_string_equal(column_type_name(COLUMN_TEXT), "a string");
    assert_string_equal(column_type_name(COLUMN_JSON), "a JSON value");
    assert_string_equal(column_type_name(COLUMN_OBJECT), "an object");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_by_path),
        cmocka_unit_test(test_type_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
