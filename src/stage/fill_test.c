#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stage/stage_fixture.h"

#define SCHEMA \
    "{type: object, required: [v], properties: {at: {type: string, format: date-time}," \
    " s: {type: string}, v: {type: integer, maximum: 99}, n: {type: integer}}}"

/* lateness 10 s, max_age 20 s */
static void open_last_by(struct plan_fixture *plan, struct run_fixture *run)
{
    plan_fixture_init_schema(plan, SCHEMA, NULL);
    plan_event_time(plan, "at", 10);
    plan_fill_last_by(plan, "v", "s", 20);
    run_open(run, plan);
}

static void close_both(struct plan_fixture *plan, struct run_fixture *run)
{
    run_close(run);
    plan_fixture_fini(plan);
}

/* A row of sensor `s` at that second with that value; −1: without one. What goes out, or what is
 * wrong. */
static const char *row(struct run_fixture *run, const char *s, int second, int v)
{
    char text[120];
    char value[20] = "";
    if (v >= 0) {
        (void)snprintf(value, sizeof value, ", \"v\": %d", v);
    }
    (void)snprintf(text, sizeof text, "{\"s\": \"%s\", \"at\": \"@%d@\"%s}", s, second, value);
    return run_one(run, text);
}

static int64_t value_of(const struct run_fixture *run)
{
    uint32_t field = layout_find(run->batch->layout, "v");
    return run->batch->columns[field].cells[0] == CELL_ABSENT
               ? -1
               : run->batch->columns[field].integers[0];
}

#define NO_VALUE "INVALID repair.no_value(v)"

static void test_age(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_last_by(&plan, &run);
    assert_string_equal(row(&run, "a", 0, 7), "VALID");
    assert_string_equal(run_repairs(&run, 0), "");
    assert_string_equal(row(&run, "a", 20, -1), "VALID");
    assert_string_equal(run_repairs(&run, 0), "fill_last_by(v)");
    assert_int_equal(value_of(&run), 7);
    /* What was filled does not feed. */
    assert_string_equal(row(&run, "a", 21, -1), NO_VALUE);
    assert_string_equal(run_repairs(&run, 0), "");
    assert_int_equal(value_of(&run), -1);
    close_both(&plan, &run);
}

static void test_no_value_from_later(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_last_by(&plan, &run);
    assert_string_equal(row(&run, "a", 5, 7), "VALID");
    assert_string_equal(row(&run, "a", 4, -1), NO_VALUE);
    assert_string_equal(row(&run, "a", 5, -1), "VALID");
    close_both(&plan, &run);
}

static void test_watermark_ends_a_value(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_last_by(&plan, &run);
    assert_string_equal(row(&run, "a", 0, 7), "VALID");
    assert_string_equal(row(&run, "b", 30, 1), "VALID");
    /* Watermark 20 = 0 + max_age: still remembered. */
    assert_string_equal(row(&run, "a", 20, -1), "VALID");
    assert_string_equal(row(&run, "b", 31, 1), "VALID");
    /* The distance is the same, the watermark has passed. */
    assert_string_equal(row(&run, "a", 20, -1), NO_VALUE);
    close_both(&plan, &run);
}

/* The row's own event time moves the watermark that counts. */
static void test_watermark_after_the_row(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init_schema(&plan, SCHEMA, NULL);
    plan_event_time(&plan, "at", 0);
    plan_fill_last_by(&plan, "v", "s", 20);
    run_open(&run, &plan);
    assert_string_equal(row(&run, "a", 0, 7), "VALID");
    assert_string_equal(row(&run, "a", 20, -1), "VALID");
    assert_string_equal(row(&run, "a", 5, 8), "LATE late");
    /* A late value feeds as well: 5 + 20 is not below the watermark 20. */
    assert_string_equal(row(&run, "a", 21, -1), "VALID");
    assert_int_equal(value_of(&run), 8);
    assert_string_equal(row(&run, "a", 26, -1), NO_VALUE);
    close_both(&plan, &run);
}

static void test_latest_event_time_wins(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_last_by(&plan, &run);
    row(&run, "a", 10, 1);
    row(&run, "a", 8, 2);
    row(&run, "a", 12, -1);
    assert_int_equal(value_of(&run), 1);
    /* Of two with the same event time the later offset. */
    row(&run, "a", 10, 3);
    row(&run, "a", 12, -1);
    assert_int_equal(value_of(&run), 3);
    /* A row between the two: the one before it is gone. */
    assert_string_equal(row(&run, "a", 9, -1), NO_VALUE);
    close_both(&plan, &run);
}

static void test_keys_are_apart(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_last_by(&plan, &run);
    row(&run, "a", 0, 1);
    row(&run, "", 0, 2);
    assert_string_equal(row(&run, "b", 1, -1), NO_VALUE);
    row(&run, "", 1, -1);
    assert_int_equal(value_of(&run), 2);
    row(&run, "a", 1, -1);
    assert_int_equal(value_of(&run), 1);
    /* Without a key a row neither feeds nor is filled. */
    assert_string_equal(run_one(&run, "{\"at\": \"@1@\", \"v\": 9}"), "VALID");
    assert_string_equal(run_one(&run, "{\"at\": \"@1@\"}"), NO_VALUE);
    assert_string_equal(run_one(&run, "{\"at\": \"@1@\", \"s\": null}"), NO_VALUE);
    assert_string_equal(run_one(&run, "{\"at\": \"@1@\", \"s\": 5}"),
                        "INVALID schema.type(s) repair.no_value(v)");
    close_both(&plan, &run);
}

static void test_which_values_feed(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_last_by(&plan, &run);
    row(&run, "a", 0, 5);
    /* Not what breaks its own constraint, */
    assert_string_equal(row(&run, "a", 1, 100), "INVALID schema.range(v)");
    row(&run, "a", 2, -1);
    assert_int_equal(value_of(&run), 5);
    assert_string_equal(run_one(&run, "{\"s\": \"a\", \"at\": \"@3@\", \"v\": \"6\"}"),
                        "INVALID schema.type(v)");
    row(&run, "a", 4, -1);
    assert_int_equal(value_of(&run), 5);
    /* but what stands in a row that is INVALID for another reason, */
    assert_string_equal(run_one(&run, "{\"s\": \"a\", \"at\": \"@5@\", \"v\": 6, \"n\": \"x\"}"),
                        "INVALID schema.type(n)");
    row(&run, "a", 6, -1);
    assert_int_equal(value_of(&run), 6);
    /* and nothing out of a row without event time. */
    assert_string_equal(run_one(&run, "{\"s\": \"a\", \"v\": 7}"), "INVALID time.missing(at)");
    row(&run, "a", 7, -1);
    assert_int_equal(value_of(&run), 6);
    assert_string_equal(run_one(&run, "{\"s\": \"a\"}"),
                        "INVALID time.missing(at) repair.no_value(v)");
    close_both(&plan, &run);
}

/* A key that breaks its own constraint is a key all the same. */
static void test_invalid_key(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan,
                      "{at: {type: string, format: date-time}, s: {type: string, maxLength: 1},"
                      " v: {type: integer}}",
                      NULL);
    plan_event_time(&plan, "at", 10);
    plan_fill_last_by(&plan, "v", "s", 20);
    run_open(&run, &plan);
    assert_string_equal(row(&run, "long", 0, 5), "INVALID schema.length(s)");
    assert_string_equal(row(&run, "long", 1, -1), "INVALID schema.length(s)");
    assert_int_equal(value_of(&run), 5);
    close_both(&plan, &run);
}

static void test_repaired_values(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init_schema(&plan, SCHEMA, NULL);
    plan_event_time(&plan, "at", 10);
    plan_fill_last_by(&plan, "v", "s", 20);
    plan_coerce(&plan, "v");
    plan_null_value(&plan, value_of_integer(-1));
    run_open(&run, &plan);
    /* What coerce made feeds; what stands for null is filled. */
    assert_string_equal(run_one(&run, "{\"s\": \"a\", \"at\": \"@0@\", \"v\": \"42\"}"), "VALID");
    assert_string_equal(run_one(&run, "{\"s\": \"a\", \"at\": \"@1@\", \"v\": -1}"), "VALID");
    assert_string_equal(run_repairs(&run, 0), "null_value(v) fill_last_by(v)");
    assert_string_equal(run_output(&run, 0),
                        "{\"s\": \"a\", \"at\": \"2026-01-01T00:00:01Z\", \"v\": 42}");
    assert_string_equal(run_one(&run, "{\"s\": \"a\", \"at\": \"@2@\", \"v\": null}"), "VALID");
    assert_string_equal(run_repairs(&run, 0), "fill_last_by(v)");
    close_both(&plan, &run);
}

static void test_rows_of_one_batch(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_last_by(&plan, &run);
    run_add(&run, "{\"s\": \"a\", \"at\": \"@0@\"}");
    run_add(&run, "{\"s\": \"a\", \"at\": \"@1@\", \"v\": 1}");
    run_add(&run, "{\"s\": \"a\", \"at\": \"@2@\"}");
    run_add(&run, "{\"s\": \"a\", \"at\": \"@3@\", \"v\": 2}");
    run_add(&run, "{\"s\": \"a\", \"at\": \"@4@\"}");
    run_judge(&run);
    assert_string_equal(run_says(&run, 0), NO_VALUE);
    assert_string_equal(run_output(&run, 2),
                        "{\"s\": \"a\", \"at\": \"2026-01-01T00:00:02Z\",\"v\":1}");
    assert_string_equal(run_output(&run, 4),
                        "{\"s\": \"a\", \"at\": \"2026-01-01T00:00:04Z\",\"v\":2}");
    close_both(&plan, &run);
}

/* Texts outlive the batch they came with, and the filled cell outlives what replaces them in the
 * store. */
static void test_texts(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan,
                      "{at: {type: string, format: date-time}, s: {type: integer},"
                      " v: {type: string}, w: {type: boolean}, x: {type: number}}",
                      NULL);
    plan_event_time(&plan, "at", 10);
    plan_fill_last_by(&plan, "v", "s", 20);
    plan_fill_last_by(&plan, "w", "s", 20);
    plan_fill_last_by(&plan, "x", "s", 20);
    run_open(&run, &plan);
    run_one(&run, "{\"s\":1,\"at\":\"@0@\",\"v\":\"a\\u0000\\\"b\",\"w\":true,\"x\":0.1}");
    run_add(&run, "{\"s\":1,\"at\":\"@1@\"}");
    run_add(&run, "{\"s\":1,\"at\":\"@1@\",\"v\":\"\",\"w\":false,\"x\":2}");
    run_add(&run, "{\"s\":1,\"at\":\"@2@\"}");
    run_judge(&run);
    assert_string_equal(run_output(&run, 0),
                        "{\"s\":1,\"at\":\"2026-01-01T00:00:01Z\",\"v\":\"a\\u0000\\\"b\","
                        "\"w\":true,\"x\":0.1}");
    assert_string_equal(run_output(&run, 2),
                        "{\"s\":1,\"at\":\"2026-01-01T00:00:02Z\",\"v\":\"\",\"w\":false,"
                        "\"x\":2.0}");
    close_both(&plan, &run);
}

static void test_null_that_is_a_value(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan,
                      "{at: {type: string, format: date-time}, s: {type: integer},"
                      " v: {type: [integer, 'null']}}",
                      NULL);
    plan_event_time(&plan, "at", 10);
    plan_fill_last_by(&plan, "v", "s", 20);
    run_open(&run, &plan);
    run_one(&run, "{\"s\":1,\"at\":\"@0@\",\"v\":3}");
    /* A null that the schema knows is not a gap, and is no value to give on. */
    assert_string_equal(run_one(&run, "{\"s\":1,\"at\":\"@1@\",\"v\":null}"), "VALID");
    assert_string_equal(run_repairs(&run, 0), "");
    run_one(&run, "{\"s\":1,\"at\":\"@2@\"}");
    assert_int_equal(value_of(&run), 3);
    close_both(&plan, &run);
}

static void test_without_event_time_block(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, "{s: {type: integer}, v: {type: integer}}", NULL);
    plan_fill_last_by(&plan, "v", "s", 20);
    run_open(&run, &plan);
    run_one(&run, "{\"s\":1,\"v\":3}");
    run.timestamp_s = 20;
    run_one(&run, "{\"s\":1}");
    assert_int_equal(value_of(&run), 3);
    run.timestamp_s = 21;
    run_one(&run, "{\"s\":1}");
    assert_int_equal(value_of(&run), -1);
    close_both(&plan, &run);
}

/* --- constants --- */

static void test_constants(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init_schema(&plan,
                             "{type: object, required: [i], properties: {i: {type: integer},"
                             " r: {type: number}, t: {type: string}, b: {type: boolean}}}",
                             NULL);
    plan_fill_value(&plan, "i", value_of_integer(7));
    plan_fill_value(&plan, "r", value_of_real(1.5));
    plan_fill_value(&plan, "t", value_of_text("\xc3\xa9\n"));
    plan_fill_value(&plan, "b", (struct value){.type = VALUE_BOOL, .boolean = true});
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{ }"), "VALID");
    assert_string_equal(run_output(&run, 0),
                        "{ \"i\":7,\"r\":1.5,\"t\":\"\xc3\xa9\\n\",\"b\":true}");
    assert_string_equal(run_repairs(&run, 0),
                        "fill_value(i) fill_value(r) fill_value(t) fill_value(b)");
    assert_string_equal(run_one(&run, "{\"i\":null,\"t\":\"x\"}"), "VALID");
    assert_string_equal(run_output(&run, 0), "{\"i\":7,\"t\":\"x\",\"r\":1.5,\"b\":true}");
    /* What is wrong is not absent. */
    assert_string_equal(run_one(&run, "{\"i\":\"x\"}"), "INVALID schema.type(i)");
    /* A record that cannot be read is not filled. */
    assert_string_equal(run_one(&run, "{"), "INVALID decode.syntax");
    assert_string_equal(run_repairs(&run, 0), "");
    close_both(&plan, &run);
}

static void test_members_of_objects(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan,
                      "{place: {type: object, required: [x], properties: {x: {type: integer}}}}",
                      NULL);
    plan_fill_value(&plan, "place.x", value_of_integer(7));
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"place\": {\"y\": 1}}"), "VALID");
    assert_string_equal(run_output(&run, 0), "{\"place\": {\"y\": 1,\"x\":7}}");
    /* There is nothing to put it in. */
    assert_string_equal(run_one(&run, "{}"), "VALID");
    assert_string_equal(run_repairs(&run, 0), "");
    assert_string_equal(run_output(&run, 0), "{}");
    assert_string_equal(run_one(&run, "{\"place\": 5}"), "INVALID schema.type(place)");
    assert_string_equal(run_repairs(&run, 0), "");
    close_both(&plan, &run);
}

/* In the order of the pipeline file: a key that was filled before is a key. */
static void test_fills_follow_their_order(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init_schema(&plan, SCHEMA, NULL);
    plan_event_time(&plan, "at", 10);
    plan_fill_value(&plan, "s", value_of_text("nobody"));
    plan_fill_last_by(&plan, "v", "s", 20);
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"at\": \"@0@\", \"v\": 3}"), "VALID");
    assert_string_equal(run_one(&run, "{\"at\": \"@1@\"}"), "VALID");
    assert_string_equal(run_repairs(&run, 0), "fill_value(s) fill_last_by(v)");
    assert_int_equal(value_of(&run), 3);
    close_both(&plan, &run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_no_value_from_later),
        cmocka_unit_test(test_watermark_ends_a_value),
        cmocka_unit_test(test_watermark_after_the_row),
        cmocka_unit_test(test_latest_event_time_wins),
        cmocka_unit_test(test_keys_are_apart),
        cmocka_unit_test(test_which_values_feed),
        cmocka_unit_test(test_invalid_key),
        cmocka_unit_test(test_repaired_values),
        cmocka_unit_test(test_rows_of_one_batch),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_null_that_is_a_value),
        cmocka_unit_test(test_without_event_time_block),
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_members_of_objects),
        cmocka_unit_test(test_fills_follow_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
