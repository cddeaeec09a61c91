#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "stage/stage_fixture.h"

#define PROPERTIES \
    "{at: {type: string, format: date-time}, sensor: {type: [integer, 'null']}, n: {type: integer}}"

static void open_plan(struct plan_fixture *plan, int lateness_s)
{
    plan_fixture_init(plan, PROPERTIES, NULL);
    plan_event_time(plan, "at", lateness_s);
}

static int64_t watermark(const struct run_fixture *run, uint32_t row)
{
    return run_second(run->batch->watermarks_us[row]);
}

static int64_t event_time(const struct run_fixture *run, uint32_t row)
{
    return run_second(run->batch->event_times_us[row]);
}

static void test_watermark_follows_the_greatest(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_plan(&plan, 10);
    run_open(&run, &plan);
    run_add(&run, "{\"at\": \"@100@\"}");
    run_add(&run, "{\"at\": \"@90@\"}");
    run_add(&run, "{\"at\": \"@89@\"}");
    run_add(&run, "{\"at\": \"@101@\"}");
    run_add(&run, "{\"at\": \"@90@\"}");
    run_judge(&run);
    /* The watermark itself is in time; what lies below it is late. */
    assert_string_equal(run_says(&run, 0), "VALID");
    assert_string_equal(run_says(&run, 1), "VALID");
    assert_string_equal(run_says(&run, 2), "LATE late");
    assert_string_equal(run_says(&run, 3), "VALID");
    assert_string_equal(run_says(&run, 4), "LATE late");
    assert_string_equal(run_detail(&run, 4), "watermark 2026-01-01T00:01:31Z");
    int64_t expected[] = {90, 90, 90, 91, 91};
    for (uint32_t row = 0; row < 5; row++) {
        assert_int_equal(watermark(&run, row), expected[row]);
    }
    assert_int_equal(run_second(stage_state_watermark(run.state, &plan.plan)), 91);
    run_close(&run);
    plan_fixture_fini(&plan);
}

/* A row is late by the watermark before it: one that moves it far is not late itself. */
static void test_a_row_is_not_late_by_itself(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_plan(&plan, 0);
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"at\": \"@5@\"}"), "VALID");
    assert_string_equal(run_one(&run, "{\"at\": \"@5@\"}"), "VALID");
    assert_string_equal(run_one(&run, "{\"at\": \"@5000@\"}"), "VALID");
    assert_string_equal(run_one(&run, "{\"at\": \"@4999@\"}"), "LATE late");
    run_close(&run);
    plan_fixture_fini(&plan);
}

/* The time is vetted and not read again for the schema, which asks for more. */
static void test_a_time_that_is_not_of_the_format(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_plan(&plan, 10);
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"at\": \"2026-01-01 00:00:01Z\"}"),
                        "INVALID schema.format(at)");
    assert_string_equal(run_one(&run, "{\"at\": \"2026-01-01T00:00:60Z\"}"),
                        "INVALID schema.format(at)");
    assert_string_equal(run_one(&run, "{\"at\": \"2026-01-01T23:59:60Z\"}"), "VALID");
    run_close(&run);
    plan_fixture_fini(&plan);
}

static void test_missing_and_unparsable(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_plan(&plan, 10);
    plan_null_value(&plan, value_of_text("n/a"));
    run_open(&run, &plan);
    static const struct {
        const char *json, *says, *detail;
    } cases[] = {
        {"{}", "INVALID time.missing(at)", ""},
        {"{\"at\": null}", "INVALID time.missing(at)", ""},
        {"{\"at\": \"n/a\"}", "INVALID time.missing(at)", ""},
        /* The schema asks the same of the field in its own words. */
        {"{\"at\": \"soon\"}", "INVALID time.unparsable(at) schema.format(at)", "soon"},
        {"{\"at\": \"\"}", "INVALID time.unparsable(at) schema.format(at)", ""},
        {"{\"at\": 1767225600}", "INVALID time.unparsable(at) schema.type(at)", "1767225600"},
        {"{\"at\": [1]}", "INVALID time.unparsable(at) schema.type(at)", "[1]"},
        {"{\"at\": \"2026-02-30T00:00:00Z\"}", "INVALID time.unparsable(at) schema.format(at)",
         "2026-02-30T00:00:00Z"},
        /* A date-time of the format, but no timestamp. */
        {"{\"at\": \"9999-12-31T23:59:59-23:59\"}", "INVALID time.unparsable(at)",
         "beyond the years 0000 to 9999 in UTC: 9999-12-31T23:59:59-23:59"},
        {"{\"at\": \"0000-01-01T00:00:00+23:59\"}", "INVALID time.unparsable(at)",
         "beyond the years 0000 to 9999 in UTC: 0000-01-01T00:00:00+23:59"},
        {"{\"at\": \"@1@\", \"n\": \"x\"}", "INVALID schema.type(n)",
         "\"x\" is not an integer"},
    };
    size_t count = sizeof cases / sizeof cases[0];
    for (size_t i = 0; i < count; i++) {
        run_add(&run, cases[i].json);
    }
    run_judge(&run);
    for (uint32_t row = 0; row < count; row++) {
        assert_string_equal(run_says(&run, row), cases[row].says);
        assert_string_equal(run_detail(&run, row), cases[row].detail);
        bool vetted = row == count - 1;
        assert_int_equal(event_time(&run, row), vetted ? 1 : INT64_MIN);
        /* Before the first vetted row there is no watermark to speak of. */
        assert_true(vetted || run.batch->watermarks_us[row] < 0);
    }
    run_close(&run);
    plan_fixture_fini(&plan);
}

/* Whatever becomes of a vetted row, it moves the watermark; a row that cannot be read has no time.
 * */
static void test_invalid_rows_move_the_watermark(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_plan(&plan, 10);
    run_open(&run, &plan);
    run_add(&run, "{\"at\": \"@50@\", \"n\": 1.5}");
    run_add(&run, "{\"at\": \"@39@\"}");
    run_add(&run, "{\"at\": \"@90@\", ");
    run_add(&run, "{\"at\": \"@40@\"}");
    run_judge(&run);
    assert_string_equal(run_says(&run, 0), "INVALID schema.type(n)");
    assert_string_equal(run_says(&run, 1), "LATE late");
    assert_string_equal(run_says(&run, 2), "INVALID decode.syntax");
    assert_string_equal(run_says(&run, 3), "VALID");
    run_close(&run);
    plan_fixture_fini(&plan);
}

static void test_offsets_and_fractions_of_time(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_plan(&plan, 0);
    run_open(&run, &plan);
    run_add(&run, "{\"at\": \"2026-01-01T02:00:00+02:00\"}");
    run_add(&run, "{\"at\": \"2025-12-31T23:59:59.999999Z\"}");
    run_add(&run, "{\"at\": \"2026-01-01T00:00:00.0000019Z\"}");
    run_add(&run, "{\"at\": \"2026-01-01T00:00:00.000001Z\"}");
    run_judge(&run);
    assert_string_equal(run_says(&run, 0), "VALID");
    assert_string_equal(run_says(&run, 1), "LATE late");
    assert_string_equal(run_says(&run, 2), "VALID");
    /* Digits behind the microseconds are cut, so both are the same time. */
    assert_string_equal(run_says(&run, 3), "VALID");
    run_close(&run);
    plan_fixture_fini(&plan);
}

static void test_max_future(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_plan(&plan, 10);
    plan.plan.max_future_us = SECONDS_US(5);
    run_open(&run, &plan);
    run.timestamp_s = 100;
    run_add(&run, "{\"at\": \"@105@\"}");
    run_add(&run, "{\"at\": \"2026-01-01T00:01:45.000001Z\"}");
    run_add(&run, "{\"at\": \"@9000@\", \"n\": \"x\"}");
    run_judge(&run);
    assert_string_equal(run_says(&run, 0), "VALID");
    assert_string_equal(run_says(&run, 1), "INVALID time.future(at)");
    assert_string_equal(run_detail(&run, 1), "2026-01-01T00:01:45.000001Z");
    assert_string_equal(run_says(&run, 2), "INVALID time.future(at) schema.type(n)");
    /* They are not vetted: no event time, and the watermark stands. */
    assert_int_equal(event_time(&run, 1), INT64_MIN);
    assert_int_equal(watermark(&run, 2), 95);
    run_close(&run);
    plan_fixture_fini(&plan);
}

/* A producer's clock cannot judge itself. */
static void test_max_future_asks_the_broker_only(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_plan(&plan, 10);
    plan.plan.max_future_us = SECONDS_US(5);
    run_open(&run, &plan);
    run.timestamp_kind = TIMESTAMP_PRODUCER;
    assert_string_equal(run_one(&run, "{\"at\": \"@9000@\"}"), "VALID");
    run.timestamp_kind = TIMESTAMP_NONE;
    assert_string_equal(run_one(&run, "{\"at\": \"@19000@\"}"), "VALID");
    run_close(&run);
    plan_fixture_fini(&plan);
}

/* --- max_jump --- */

static void open_jump(struct plan_fixture *plan, struct run_fixture *run, int max_jump_s,
                      const char *jump_by)
{
    open_plan(plan, 10);
    plan->plan.max_jump_us = SECONDS_US(max_jump_s);
    plan->plan.jump_field = jump_by == NULL ? FIELD_NONE : plan_field(plan, jump_by);
    run_open(run, plan);
    run->timestamp_kind = TIMESTAMP_NONE;
}

static const char *jump(struct run_fixture *run, int second, int sensor)
{
    char text[80];
    (void)snprintf(text, sizeof text, "{\"at\": \"@%d@\", \"sensor\": %d}", second, sensor);
    return run_one(run, text);
}

static void test_three_keys_carry_a_jump(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_jump(&plan, &run, 100, "sensor");
    /* The first row has nothing to jump from. */
    assert_string_equal(jump(&run, 5000, 1), "VALID");
    assert_string_equal(jump(&run, 5100, 1), "VALID");
    assert_string_equal(jump(&run, 5201, 1), "INVALID time.future(at)");
    assert_string_equal(jump(&run, 8000, 2), "INVALID time.future(at)");
    assert_string_equal(jump(&run, 5100, 3), "VALID");
    /* The third: future itself, and the lowest of the three is the greatest event time from now on.
     * */
    assert_string_equal(jump(&run, 7000, 3), "INVALID time.future(at)");
    assert_int_equal(run_second(run.state->greatest_us), 5201);
    assert_int_equal(run.state->candidates.count, 0);
    assert_int_equal(watermark(&run, 0), 5191);
    assert_string_equal(jump(&run, 5190, 4), "LATE late");
    assert_string_equal(jump(&run, 5301, 4), "VALID");
    run_close(&run);
    plan_fixture_fini(&plan);
}

static void test_one_key_alone_carries_nothing(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_jump(&plan, &run, 100, "sensor");
    assert_string_equal(jump(&run, 0, 1), "VALID");
    for (int i = 0; i < 10; i++) {
        assert_string_equal(jump(&run, 1000 + i, i % 2), "INVALID time.future(at)");
    }
    assert_int_equal(run.state->candidates.count, 2);
    /* What counts of a key is its last word: 1008 and 1009. */
    assert_string_equal(jump(&run, 3000, 7), "INVALID time.future(at)");
    assert_int_equal(run_second(run.state->greatest_us), 1008);
    run_close(&run);
    plan_fixture_fini(&plan);
}

static void test_candidates_grow_old(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_jump(&plan, &run, 100, "sensor");
    assert_string_equal(jump(&run, 0, 1), "VALID");
    run.next_offset = 100;
    assert_string_equal(jump(&run, 1000, 1), "INVALID time.future(at)");
    run.next_offset = 600;
    assert_string_equal(jump(&run, 2000, 2), "INVALID time.future(at)");
    run.next_offset = 1101;
    /* The one at 100 is 1,001 offsets away. */
    assert_string_equal(jump(&run, 3000, 3), "INVALID time.future(at)");
    assert_int_equal(run_second(run.state->greatest_us), 0);
    assert_int_equal(run.state->candidates.count, 2);
    run.next_offset = 1600;
    /* The one at 600 is 1,000 away: still within. */
    assert_string_equal(jump(&run, 4000, 4), "INVALID time.future(at)");
    assert_int_equal(run_second(run.state->greatest_us), 2000);
    run_close(&run);
    plan_fixture_fini(&plan);
}

static void test_candidates_by_record_key(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_jump(&plan, &run, 100, NULL);
    run.timestamp_kind = TIMESTAMP_PRODUCER;
    assert_string_equal(jump(&run, 0, 1), "VALID");
    static const char *const keys[] = {"a", NULL, "a", NULL, "b", NULL};
    for (size_t i = 0; i < 6; i++) {
        run.key = keys[i];
        assert_string_equal(jump(&run, 1000, 1), "INVALID time.future(at)");
    }
    assert_int_equal(run_second(run.state->greatest_us), 0);
    run.key = "";
    /* An empty key is a key. */
    assert_string_equal(jump(&run, 1000, 1), "INVALID time.future(at)");
    assert_int_equal(run_second(run.state->greatest_us), 1000);
    run_close(&run);
    plan_fixture_fini(&plan);
}

static void test_who_does_not_say_is_no_candidate(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_jump(&plan, &run, 100, "sensor");
    assert_string_equal(jump(&run, 0, 1), "VALID");
    static const char *const rows[] = {
        "{\"at\": \"@1000@\"}",
        "{\"at\": \"@1000@\", \"sensor\": null}",
        "{\"at\": \"@1000@\", \"sensor\": \"x\"}",
        "{\"at\": \"@1000@\", \"sensor\": 1}",
        "{\"at\": \"@1000@\", \"sensor\": 1.0}",
        "{\"at\": \"@1000@\", \"sensor\": 2}",
    };
    for (size_t i = 0; i < 6; i++) {
        run_one(&run, rows[i]);
        assert_int_equal(run_second(run.batch->event_times_us[0]), INT64_MIN);
    }
    assert_int_equal(run_second(run.state->greatest_us), 0);
    assert_int_equal(run.state->candidates.count, 2);
    run_close(&run);
    plan_fixture_fini(&plan);
}

static void test_no_jump_where_the_broker_sets_time(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_jump(&plan, &run, 100, "sensor");
    run.timestamp_kind = TIMESTAMP_BROKER;
    assert_string_equal(jump(&run, 0, 1), "VALID");
    assert_string_equal(jump(&run, 100000, 1), "VALID");
    run_close(&run);
    plan_fixture_fini(&plan);
}

/* --- without an event_time block --- */

static void test_without_block(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    run_open(&run, &plan);
    run.timestamp_s = 100;
    assert_string_equal(run_one(&run, "{\"at\": \"@5@\"}"), "VALID");
    assert_int_equal(event_time(&run, 0), 100);
    run.timestamp_s = 20;
    run.timestamp_kind = TIMESTAMP_PRODUCER;
    /* Behind, yet nothing is LATE. */
    assert_string_equal(run_one(&run, "{}"), "VALID");
    assert_int_equal(event_time(&run, 0), 20);
    assert_int_equal(watermark(&run, 0), 100);
    run.timestamp_kind = TIMESTAMP_NONE;
    assert_string_equal(run_one(&run, "{}"), "VALID");
    assert_int_equal(event_time(&run, 0), INT64_MIN);
    assert_int_equal(watermark(&run, 0), 100);
    run_close(&run);
    plan_fixture_fini(&plan);
}

/* --- anchors --- */

static void test_anchor_stands_before_its_row(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_plan(&plan, 10);
    run_open(&run, &plan);
    run_add(&run, "{\"at\": \"@0@\"}");
    run_add(&run, "{\"at\": \"@5@\"}");
    run_add(&run, "{\"at\": \"@40@\"}");
    run_add(&run, "{\"at\": \"@41@\"}");
    run_judge(&run);
    const struct anchor *start = anchors_start(&run.state->anchors);
    /* At 41 whatever a row at 5 or before it had said is forgotten; the anchor at offset 2 has seen
     * up to 5. */
    assert_int_equal(start->offset, 2);
    assert_int_equal(run_second(start->greatest_us), 5);
    struct hash128 hash =
        record_hash(stage_runner_secret(run.runner), &run.batch->records[2]);
    assert_true(hash_equal(start->record_hash, hash));
    run_close(&run);
    plan_fixture_fini(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watermark_follows_the_greatest),
        cmocka_unit_test(test_a_row_is_not_late_by_itself),
        cmocka_unit_test(test_a_time_that_is_not_of_the_format),
        cmocka_unit_test(test_missing_and_unparsable),
        cmocka_unit_test(test_invalid_rows_move_the_watermark),
        cmocka_unit_test(test_offsets_and_fractions_of_time),
        cmocka_unit_test(test_max_future),
        cmocka_unit_test(test_max_future_asks_the_broker_only),
        cmocka_unit_test(test_three_keys_carry_a_jump),
        cmocka_unit_test(test_one_key_alone_carries_nothing),
        cmocka_unit_test(test_candidates_grow_old),
        cmocka_unit_test(test_candidates_by_record_key),
        cmocka_unit_test(test_who_does_not_say_is_no_candidate),
        cmocka_unit_test(test_no_jump_where_the_broker_sets_time),
        cmocka_unit_test(test_without_block),
        cmocka_unit_test(test_anchor_stands_before_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
