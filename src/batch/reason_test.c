#include "batch/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static void test_fixed_names(void **state)
{
    (void)state;
    static const struct {
        enum reason reason;
        const char *name;
    } cases[] = {
        {REASON_NONE, "none"},
        {REASON_DECODE_SYNTAX, "decode.syntax"},
        {REASON_DECODE_ENCODING, "decode.encoding"},
        {REASON_DECODE_TOO_LARGE, "decode.too_large"},
        {REASON_DECODE_NULL_VALUE, "decode.null_value"},
        {REASON_KEY_MISSING, "key.missing"},
        {REASON_KEY_MISMATCH, "key.mismatch"},
        {REASON_KEY_PARTITION, "key.partition"},
        {REASON_SCHEMA_REQUIRED, "schema.required"},
        {REASON_SCHEMA_TYPE, "schema.type"},
        {REASON_SCHEMA_RANGE, "schema.range"},
        {REASON_SCHEMA_LENGTH, "schema.length"},
        {REASON_SCHEMA_PATTERN, "schema.pattern"},
        {REASON_SCHEMA_ENUM, "schema.enum"},
        {REASON_SCHEMA_FORMAT, "schema.format"},
        {REASON_SCHEMA_UNKNOWN_FIELD, "schema.unknown_field"},
        {REASON_SCHEMA_ITEMS, "schema.items"},
        {REASON_SCHEMA_COMBINATION, "schema.combination"},
        {REASON_SCHEMA_TOO_COMPLEX, "schema.too_complex"},
        {REASON_TIME_MISSING, "time.missing"},
        {REASON_TIME_UNPARSABLE, "time.unparsable"},
        {REASON_TIME_FUTURE, "time.future"},
        {REASON_TIME_STALE, "time.stale"},
        {REASON_REPAIR_NO_VALUE, "repair.no_value"},
        {REASON_DUPLICATE, "duplicate"},
        {REASON_LATE, "late"},
        {REASON_FILTER_WHERE, "filter.where"},
        {REASON_ROUTE_UNMATCHED, "route.unmatched"},
        {REASON_TOMBSTONE, "tombstone"},
    };
    struct reason_table table;
    reason_table_init(&table);
    assert_int_equal(sizeof cases / sizeof cases[0], REASON_FIXED_COUNT);
    assert_int_equal(table.count, REASON_FIXED_COUNT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(reason_name(&table, (reason_id)cases[i].reason), cases[i].name);
    }
    reason_table_fini(&table);
}

static void test_add_is_idempotent(void **state)
{
    (void)state;
    struct reason_table table;
    reason_table_init(&table);
    char name[32] = "check.plausible";
    reason_id id = reason_table_add(&table, name);
    assert_int_equal(id, REASON_FIXED_COUNT);
    name[0] = 'X'; /* The table has its own copy. */
    assert_string_equal(reason_name(&table, id), "check.plausible");
    assert_int_equal(reason_table_add(&table, "check.plausible"), id);
    assert_int_equal(reason_table_add(&table, "late"), REASON_LATE);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "check.c%u", i);
        assert_int_equal(reason_table_add(&table, name), id + 1u + i);
    }
    assert_string_equal(reason_name(&table, (reason_id)(id + 300u)), "check.c299");
    reason_table_fini(&table);
    assert_int_equal(table.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed_names),
        cmocka_unit_test(test_add_is_idempotent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
