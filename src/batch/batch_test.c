#include "batch/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "base/time.h"

static struct field test_fields[] = {
    {.name = "flag", .name_size = 4, .path = "flag", .type = COLUMN_BOOL, .parent = FIELD_NONE},
    {.name = "count", .name_size = 5, .path = "count", .type = COLUMN_INT64, .parent = FIELD_NONE},
    {.name = "level", .name_size = 5, .path = "level", .type = COLUMN_DOUBLE, .parent = FIELD_NONE},
    {.name = "id", .name_size = 2, .path = "id", .type = COLUMN_TEXT, .parent = FIELD_NONE},
    {.name = "tags", .name_size = 4, .path = "tags", .type = COLUMN_JSON, .parent = FIELD_NONE},
    {.name = "place", .name_size = 5, .path = "place", .type = COLUMN_OBJECT, .parent = FIELD_NONE},
};
static const struct layout test_layout = {
    .fields = test_fields, .field_count = 6, .schema_field_count = 6};

static struct batch *batch_of_rows(uint32_t row_count)
{
    struct batch *batch = batch_new(&test_layout);
    for (uint32_t i = 0; i < row_count; i++) {
        batch_append_record(batch)->offset = i;
    }
    return batch;
}

static void test_append_until_full(void **state)
{
    (void)state;
    struct batch *batch = batch_of_rows(BATCH_ROWS_MAX);
    assert_int_equal(batch->row_count, BATCH_ROWS_MAX);
    assert_null(batch_append_record(batch));
    assert_int_equal(batch->row_count, BATCH_ROWS_MAX);
    assert_int_equal(batch->records[4095].offset, 4095);
    batch_free(batch);
    batch_free(NULL);
}

static void test_reset_forgets_everything(void **state)
{
    (void)state;
    struct batch *batch = batch_of_rows(2);
    batch->records[0].key = bytes_of("k", 1);
    batch->event_times_us[1] = 5;
    batch->watermarks_us[1] = 5;
    batch->columns[0].cells[1] = CELL_VALUE;
    batch_add_misfit(batch, 1, 0, MISFIT_TYPE, bytes_of("\"x\"", 3));
    batch_decide(batch, 0, VERDICT_INVALID, 0, REASON_DECODE_SYNTAX, FIELD_NONE, BYTES_NONE);
    batch_add_repair(batch, 0, 1, REPAIR_COERCE);
    batch_add_warning(batch, 1, 3);
    batch_add_replay(batch, &(struct replay_origin){.row = 1});
    batch->set_count = 1;
    batch_reset(batch, 7, 9);
    assert_int_equal(batch->partition, 7);
    assert_int_equal(batch->assignment, 9);
    assert_int_equal(batch->row_count, 0);
    assert_int_equal(batch->set_count, 0);
    assert_int_equal(batch->repair_count, 0);
    assert_int_equal(batch->warning_count, 0);
    struct record *first = batch_append_record(batch);
    batch_append_record(batch);
    assert_true(bytes_is_none(first->key));
    assert_true(bytes_is_none(first->value));
    assert_int_equal(first->timestamp_us, TIME_NEVER);
    assert_int_equal(first->timestamp_kind, TIMESTAMP_NONE);
    assert_int_equal(batch->verdicts[0], VERDICT_NONE);
    assert_int_equal(batch->event_times_us[1], TIME_NEVER);
    assert_int_equal(batch->watermarks_us[1], TIME_NEVER);
    assert_int_equal(batch->columns[0].cells[1], CELL_ABSENT);
    assert_int_equal(batch->columns[1].cells[0], CELL_ABSENT);
    assert_null(batch_find_misfit(batch, 1, 0));
    assert_null(batch_replay(batch, 1));
    uint32_t count = 99;
    assert_null(batch_violations(batch, 0, &count));
    assert_int_equal(count, 0);
    batch_free(batch);
}

static void test_misfits_in_any_order(void **state)
{
    (void)state;
    struct batch *batch = batch_of_rows(100);
    for (uint32_t i = 0; i < 100; i += 2) {
        uint32_t row = (i * 37) % 100; /* every even row once, mixed up */
        char raw[16];
        int size = snprintf(raw, sizeof raw, "%u", row);
        batch_add_misfit(batch, 2, row, MISFIT_RANGE,
                         bytes_of(arena_copy(batch->arena, raw, (size_t)size), (size_t)size));
    }
    batch_add_misfit(batch, 2, 98, MISFIT_TYPE, bytes_of("again", 5));
    assert_int_equal(batch->columns[2].misfit_count, 50);
    for (uint32_t row = 0; row < 100; row++) {
        const struct misfit *misfit = batch_find_misfit(batch, 2, row);
        if (row % 2 == 1) {
            assert_null(misfit);
            continue;
        }
        assert_int_equal(misfit->row, row);
        assert_int_equal(batch->columns[2].cells[row], CELL_MISFIT);
        assert_int_equal(misfit->kind, row == 98 ? MISFIT_TYPE : MISFIT_RANGE);
    }
    assert_true(bytes_equal_string(batch_find_misfit(batch, 2, 96)->raw, "96"));
    assert_true(bytes_equal_string(batch_find_misfit(batch, 2, 98)->raw, "again"));
    /* A stage that mends the cell leaves the entry behind. */
    batch->columns[2].cells[96] = CELL_VALUE;
    assert_null(batch_find_misfit(batch, 2, 96));
    batch_free(batch);
}

static void test_values(void **state)
{
    (void)state;
    struct batch *batch = batch_of_rows(3);
    for (uint32_t field = 0; field < 6; field++) {
        batch->columns[field].cells[1] = field % 2 == 0 ? CELL_VALUE : CELL_INVALID;
        batch->columns[field].cells[2] = CELL_NULL;
        assert_int_equal(batch->columns[field].type, test_fields[field].type);
    }
    batch->columns[0].booleans[1] = 1;
    batch->columns[1].integers[1] = INT64_MIN;
    batch->columns[2].reals[1] = 1.5;
    batch->columns[3].texts[1] = bytes_of_string("a");
    batch->columns[4].texts[1] = bytes_of_string("[]");
    batch->columns[5].texts[1] = bytes_of_string("{}");
    for (uint32_t field = 0; field < 6; field++) {
        assert_int_equal(batch_value(batch, field, 0).type, VALUE_NULL);
        assert_int_equal(batch_value(batch, field, 2).type, VALUE_NULL);
    }
    struct value expected[] = {
        {.type = VALUE_BOOL, .boolean = true},
        {.type = VALUE_INT64, .integer = INT64_MIN},
        {.type = VALUE_DOUBLE, .real = 1.5},
        {.type = VALUE_TEXT, .text = bytes_of_string("a")},
        {.type = VALUE_JSON, .text = bytes_of_string("[]")},
        {.type = VALUE_JSON, .text = bytes_of_string("{}")},
    };
    for (uint32_t field = 0; field < 6; field++) {
        struct value value = batch_value(batch, field, 1);
        assert_int_equal(value.type, expected[field].type);
        assert_true(value_equal(&value, &expected[field]));
    }
    batch_free(batch);
}

static void test_violations_sorted_and_cut(void **state)
{
    (void)state;
    struct batch *batch = batch_of_rows(4);
    struct bytes none = BYTES_NONE;
    batch_add_violation(batch, 2, ORDER_FIELD(3), REASON_SCHEMA_RANGE, 3, none);
    batch_decide(batch, 2, VERDICT_INVALID, ORDER_EVENT_TIME, REASON_TIME_MISSING, FIELD_NONE,
                 bytes_of_string("no ts"));
    for (uint32_t i = 0; i < 20; i++) {
        char name[8];
        int size = snprintf(name, sizeof name, "u%u", i);
        batch_add_violation(batch, 0, ORDER_UNKNOWN_FIELD, REASON_SCHEMA_UNKNOWN_FIELD, FIELD_NONE,
                            bytes_of(name, (size_t)size));
    }
    batch_add_violation(batch, 0, ORDER_FIELD(0), REASON_SCHEMA_TYPE, 0, none);
    batch_sort_violations(batch);
    batch_sort_violations(batch); /* Once more changes nothing. */
    uint32_t count = 0;
    const struct violation *of_row = batch_violations(batch, 0, &count);
    assert_int_equal(count, VIOLATIONS_PER_ROW);
    assert_int_equal(of_row[0].reason, REASON_SCHEMA_TYPE);
    assert_true(bytes_is_none(of_row[0].detail));
    assert_true(bytes_equal_string(of_row[1].detail, "u0"));
    assert_true(bytes_equal_string(of_row[7].detail, "u6"));
    of_row = batch_violations(batch, 2, &count);
    assert_int_equal(count, 2);
    assert_int_equal(of_row[0].reason, REASON_TIME_MISSING);
    assert_true(bytes_equal_string(of_row[0].detail, "no ts"));
    assert_int_equal(of_row[1].field, 3);
    assert_null(batch_violations(batch, 1, &count));
    assert_int_equal(count, 0);
    assert_null(batch_violations(batch, 3, &count));
    assert_int_equal(batch->verdicts[2], VERDICT_INVALID);
    assert_int_equal(batch->verdicts[0], VERDICT_NONE);
    batch_free(batch);
}

static void test_violation_sort_is_stable(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 11);
    struct batch *batch = batch_of_rows(64);
    for (unsigned round = 0; round < 50; round++) {
        batch_reset(batch, 0, 0);
        for (uint32_t i = 0; i < 64; i++) {
            batch_append_record(batch);
        }
        uint32_t total = (uint32_t)prng_below(&prng, 200);
        for (uint32_t i = 0; i < total; i++) {
            char number[12];
            int size = snprintf(number, sizeof number, "%08u", i);
            batch_add_violation(batch, (uint32_t)prng_below(&prng, 64),
                                (uint32_t)prng_below(&prng, 3), REASON_SCHEMA_TYPE, FIELD_NONE,
                                bytes_of(number, (size_t)size));
        }
        batch_sort_violations(batch);
        for (uint32_t i = 1; i < batch->violation_count; i++) {
            const struct violation *a = &batch->violations[i - 1];
            const struct violation *b = &batch->violations[i];
            assert_true(a->row <= b->row);
            if (a->row == b->row) {
                assert_true(a->order <= b->order);
                if (a->order == b->order) {
                    assert_true(bytes_compare(a->detail, b->detail) < 0);
                }
            }
        }
    }
    batch_free(batch);
}

static void test_detail_is_cut_between_characters(void **state)
{
    (void)state;
    struct batch *batch = batch_of_rows(1);
    char text[300];
    memset(text, 'a', sizeof text);
    batch_add_violation(batch, 0, 0, REASON_LATE, FIELD_NONE, bytes_of(text, 200));
    batch_add_violation(batch, 0, 1, REASON_LATE, FIELD_NONE, bytes_of(text, 201));
    memcpy(text + 198, "\xE2\x82\xAC", 3);
    batch_add_violation(batch, 0, 2, REASON_LATE, FIELD_NONE, bytes_of(text, 300));
    memcpy(text + 198, "a\xE2\x82\xAC", 4);
    batch_add_violation(batch, 0, 3, REASON_LATE, FIELD_NONE, bytes_of(text, 300));
    memset(text, 'a', sizeof text);
    memcpy(text + 197, "\xE2\x82\xAC", 3);
    batch_add_violation(batch, 0, 4, REASON_LATE, FIELD_NONE, bytes_of(text, 300));
    batch_add_violation(batch, 0, 5, REASON_LATE, FIELD_NONE, bytes_of("", 0));
    memset(text, 'z', sizeof text); /* The batch has its own copies. */
    batch_sort_violations(batch);
    uint32_t count = 0;
    const struct violation *v = batch_violations(batch, 0, &count);
    assert_int_equal(count, 6);
    const size_t sizes[] = {200, 200, 198, 199, 200, 0};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(v[i].detail.size, sizes[i]);
        assert_non_null(v[i].detail.data);
        assert_true(bytes_is_utf8(v[i].detail));
    }
    assert_int_equal(v[0].detail.data[0], 'a');
    batch_free(batch);
}

static void test_replays(void **state)
{
    (void)state;
    struct batch *batch = batch_of_rows(50);
    for (uint32_t row = 1; row < 50; row += 3) {
        struct replay_origin origin = {.row = row, .offset = 1000 + row, .attempt = 2};
        batch_add_replay(batch, &origin);
    }
    for (uint32_t row = 0; row < 50; row++) {
        const struct replay_origin *origin = batch_replay(batch, row);
        if (row % 3 == 1) {
            assert_int_equal(origin->offset, 1000 + row);
        } else {
            assert_null(origin);
        }
    }
    batch_free(batch);
}

static void test_lists_grow(void **state)
{
    (void)state;
    struct batch *batch = batch_of_rows(200);
    for (uint32_t row = 0; row < 200; row++) {
        batch_add_repair(batch, row, row % 6, REPAIR_FILL_VALUE);
        batch_add_warning(batch, row, row % 5);
    }
    assert_int_equal(batch->repair_count, 200);
    assert_int_equal(batch->warning_count, 200);
    assert_int_equal(batch->repairs[199].row, 199);
    assert_int_equal(batch->repairs[199].field, 1);
    assert_int_equal(batch->repairs[199].kind, REPAIR_FILL_VALUE);
    assert_int_equal(batch->warnings[199].check, 4);
    batch_free(batch);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const verdicts[] = {"NONE",      "VALID", "INVALID",
                                           "DUPLICATE", "LATE",  "FILTERED"};
    for (int i = 0; i < VERDICT_COUNT; i++) {
        assert_string_equal(verdict_name((enum verdict)i), verdicts[i]);
    }
    static const char *const repairs[] = {"null_value", "coerce", "fill_value", "fill_last_by"};
    for (int i = 0; i < REPAIR_COUNT; i++) {
        assert_string_equal(repair_name((enum repair_kind)i), repairs[i]);
    }
}

static void test_keys_as_values(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int64_t integer;
        bool is_integer;
    } cases[] = {
        {"0", 0, true},
        {"7", 7, true},
        {"-7", -7, true},
        {"9223372036854775807", INT64_MAX, true},
        {"-9223372036854775808", INT64_MIN, true},
        {"9223372036854775808", 0, false},
        {"-9223372036854775809", 0, false},
        {"", 0, false},
        {"-", 0, false},
        {"-0", 0, false},
        {"+7", 0, false},
        {"07", 0, false},
        {" 7", 0, false},
        {"7 ", 0, false},
        {"7.0", 0, false},
        {"7e0", 0, false},
        {"0x7", 0, false},
        {"1111111111111111111111111", 0, false},
    };
    struct value value;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes key = bytes_of_string(cases[i].key);
        assert_int_equal(record_key_value(key, COLUMN_INT64, &value), cases[i].is_integer);
        assert_true(!cases[i].is_integer || (value.type == VALUE_INT64 &&
                                             value.integer == cases[i].integer));
        assert_true(record_key_value(key, COLUMN_TEXT, &value));
        assert_true(value.type == VALUE_TEXT && bytes_equal(value.text, key));
        assert_false(record_key_value(key, COLUMN_DOUBLE, &value));
        assert_false(record_key_value(key, COLUMN_JSON, &value));
    }
    assert_false(record_key_value(BYTES_NONE, COLUMN_TEXT, &value));
    assert_false(record_key_value(BYTES_NONE, COLUMN_INT64, &value));
    assert_false(record_key_value(bytes_of("\xff", 1), COLUMN_TEXT, &value));
    assert_false(record_key_value(bytes_of("7\0", 2), COLUMN_INT64, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_until_full),
        cmocka_unit_test(test_reset_forgets_everything),
        cmocka_unit_test(test_misfits_in_any_order),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_violations_sorted_and_cut),
        cmocka_unit_test(test_violation_sort_is_stable),
        cmocka_unit_test(test_detail_is_cut_between_characters),
        cmocka_unit_test(test_replays),
        cmocka_unit_test(test_lists_grow),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_keys_as_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
