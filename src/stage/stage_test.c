#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stage/stage_fixture.h"

static void close_both(struct plan_fixture *plan, struct run_fixture *run)
{
    run_close(run);
    plan_fixture_fini(plan);
}

#define SCHEMA \
    "{type: object, additionalProperties: false, required: [id, v], properties: {" \
    " id: {type: string, maxLength: 3}, at: {type: string, format: date-time}," \
    " v: {type: integer, maximum: 100}, s: {type: string}}}"

static void open_all(struct plan_fixture *plan, struct run_fixture *run)
{
    plan_fixture_init_schema(plan, SCHEMA, NULL);
    plan_event_time(plan, "at", 10);
    plan->plan.max_future_us = SECONDS_US(60);
    plan_fill_last_by(plan, "v", "s", 20);
    plan_check(plan, "even", "v % 2 = 0", false);
    plan_where(plan, "s IS NULL OR s <> 'test'");
    plan_dedup(plan, "id", 30);
    plan_sink(plan, "small", "v < 50");
    run_open(run, plan);
    run->timestamp_s = 1000;
}

/* One row for each stage, each of which everything behind would have something to say about. */
static void test_the_first_stage_decides(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_all(&plan, &run);
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{\"id\":\"a\",\"at\":\"@1000@\",\"v\":2}", "VALID"},
        {"{\"id\":\"a\",\"at\":\"@5000@\",\"v\":3,\"s\":\"test\"", "INVALID decode.syntax"},
        {"{\"id\":\"a\",\"at\":\"@5000@\",\"v\":3,\"s\":\"test\"}", "INVALID time.future(at)"},
        {"{\"id\":\"a\",\"at\":\"@5@\",\"v\":103,\"s\":\"test\"}", "INVALID schema.range(v)"},
        {"{\"id\":\"a\",\"at\":\"@5@\",\"v\":3,\"s\":\"test\"}", "INVALID check.even"},
        {"{\"id\":\"a\",\"at\":\"@5@\",\"v\":60,\"s\":\"test\"}", "FILTERED filter.where"},
        {"{\"id\":\"a\",\"at\":\"@5@\",\"v\":60}", "DUPLICATE duplicate(id)"},
        {"{\"id\":\"b\",\"at\":\"@5@\",\"v\":60}", "LATE late"},
        {"{\"id\":\"b\",\"at\":\"@1000@\",\"v\":60}", "FILTERED route.unmatched"},
        {"{\"id\":\"b\",\"at\":\"@1000@\",\"v\":40}", "VALID"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run_add(&run, cases[i].json);
    }
    run_judge(&run);
    for (uint32_t row = 0; row < run.batch->row_count; row++) {
        assert_string_equal(run_says(&run, row), cases[row].says);
    }
    close_both(&plan, &run);
}

/* Event time first, then fields in the schema's order, then unknown ones. */
static void test_violations_are_collected(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_all(&plan, &run);
    assert_string_equal(
        run_one(&run, "{\"zz\":1,\"s\":5,\"v\":\"x\",\"at\":\"soon\",\"id\":\"long\"}"),
        "INVALID time.unparsable(at) schema.length(id) schema.format(at) schema.type(v) "
        "schema.type(s) schema.unknown_field");
    assert_string_equal(
        run_one(&run, "{\"s\":\"a\"}"),
        "INVALID time.missing(at) schema.required(id) repair.no_value(v)");
    close_both(&plan, &run);
}

static void test_eight_violations_are_kept(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan,
                      "{a: {type: string}, b: {type: string}, c: {type: string}, d: {type: string},"
                      " e: {type: string}, f: {type: string}, g: {type: string}, h: {type: string},"
                      " i: {type: string}}",
                      NULL);
    run_open(&run, &plan);
    assert_string_equal(
        run_one(&run, "{\"i\":1,\"h\":1,\"g\":1,\"f\":1,\"e\":1,\"d\":1,\"c\":1,\"b\":1,\"a\":1}"),
        "INVALID schema.type(a) schema.type(b) schema.type(c) schema.type(d) schema.type(e) "
        "schema.type(f) schema.type(g) schema.type(h)");
    close_both(&plan, &run);
}

static void test_records_that_cannot_be_read(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_all(&plan, &run);
    plan.plan.decoder.json.max_record_bytes = 0;
    run_add_bytes(&run, BYTES_NONE);
    run_add_bytes(&run, bytes_of("", 0));
    run_add_bytes(&run, bytes_of("{\"id\":\"\xff\"}", 10));
    run_add_bytes(&run, bytes_of("{\"id\":\"\0\"}", 10));
    run_add_bytes(&run, bytes_of_string("[]"));
    run_add_bytes(&run, bytes_of_string("{\"id\":1,\"id\":1}"));
    run_judge(&run);
    static const char *const says[] = {
        "INVALID decode.null_value", "INVALID decode.syntax", "INVALID decode.encoding",
        "INVALID decode.syntax",     "INVALID schema.type",   "INVALID decode.syntax",
    };
    for (uint32_t row = 0; row < 6; row++) {
        assert_string_equal(run_says(&run, row), says[row]);
        assert_string_equal(run_output(&run, row), "none");
    }
    close_both(&plan, &run);
}

static void test_position(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    struct error err = {0};
    open_all(&plan, &run);
    /* An empty batch changes nothing. */
    assert_int_equal(run_try(&run, &err), STATUS_OK);
    assert_int_equal(run.state->next_offset, 0);
    run.next_offset = 500;
    run_add(&run, "{\"id\":\"a\"}");
    run_add(&run, "{\"id\":\"b\"}");
    run.batch->records[1].next_offset = 777;
    run_judge(&run);
    assert_int_equal(run.state->next_offset, 777);
    struct hash128 last = record_hash(stage_runner_secret(run.runner), &run.batch->records[1]);
    assert_true(hash_equal(run.state->last_record_hash, last));
    close_both(&plan, &run);
}

/* An expression that cannot be compiled is an error of the plan. */
static void test_runner_without_a_program(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct stage_runner *runner = NULL;
    struct error err = {0};
    static const uint8_t key[HASH_KEY_BYTES] = {0};
    plan_fixture_init(&plan, "{a: {type: integer}}", NULL);
    plan_check(&plan, "broken", "a >", false);
    assert_int_equal(stage_runner_new(&plan.plan, key, &runner, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "sql.syntax");
    assert_null(runner);
    stage_runner_free(NULL);
    stage_state_free(NULL);
    plan_fixture_fini(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_stage_decides),
        cmocka_unit_test(test_violations_are_collected),
        cmocka_unit_test(test_eight_violations_are_kept),
        cmocka_unit_test(test_records_that_cannot_be_read),
        cmocka_unit_test(test_position),
        cmocka_unit_test(test_runner_without_a_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
