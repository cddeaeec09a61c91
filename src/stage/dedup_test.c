#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "stage/stage_fixture.h"

#define PROPERTIES \
    "{at: {type: string, format: date-time}, id: {type: string}, part: {type: integer}," \
    " v: {type: integer, minimum: 0}}"

/* lateness 10 s, window 30 s */
static void open_dedup(struct plan_fixture *plan, struct run_fixture *run)
{
    plan_fixture_init(plan, PROPERTIES, NULL);
    plan_event_time(plan, "at", 10);
    plan_dedup(plan, "id", 30);
    run_open(run, plan);
}

static void close_both(struct plan_fixture *plan, struct run_fixture *run)
{
    run_close(run);
    plan_fixture_fini(plan);
}

static const char *row(struct run_fixture *run, const char *id, int second)
{
    char text[120];
    (void)snprintf(text, sizeof text, "{\"id\": \"%s\", \"at\": \"@%d@\"}", id, second);
    return run_one(run, text);
}

#define DUPLICATE "DUPLICATE duplicate(id)"
#define LATE "LATE late"

static void test_window(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_dedup(&plan, &run);
    assert_string_equal(row(&run, "a", 0), "VALID");
    assert_string_equal(row(&run, "b", 40), "VALID");
    /* Watermark 30 = 0 + window: remembered still, and refreshed by a row that is not late. */
    assert_string_equal(row(&run, "a", 31), DUPLICATE);
    assert_string_equal(run_detail(&run, 0), "of offset 0");
    assert_string_equal(row(&run, "c", 71), "VALID");
    /* 31 + 30 = 61 is the watermark now. */
    assert_string_equal(row(&run, "a", 61), DUPLICATE);
    assert_string_equal(run_detail(&run, 0), "of offset 2");
    assert_string_equal(row(&run, "d", 102), "VALID");
    assert_string_equal(row(&run, "a", 102), "VALID");
    close_both(&plan, &run);
}

/* The row's own event time may end what it would have been a duplicate of. */
static void test_watermark_after_the_row(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_dedup(&plan, &run);
    assert_string_equal(row(&run, "a", 0), "VALID");
    assert_string_equal(row(&run, "a", 41), "VALID");
    assert_string_equal(row(&run, "a", 81), DUPLICATE);
    close_both(&plan, &run);
}

static void test_late_rows_only_look(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_dedup(&plan, &run);
    assert_string_equal(row(&run, "a", 100), "VALID");
    /* Late and unknown: LATE, however often. */
    assert_string_equal(row(&run, "b", 89), LATE);
    assert_string_equal(row(&run, "b", 89), LATE);
    assert_string_equal(row(&run, "b", 100), "VALID");
    /* Late and known: DUPLICATE, and the witness stays the one that counted. */
    assert_string_equal(row(&run, "b", 89), DUPLICATE);
    assert_string_equal(run_detail(&run, 0), "of offset 3");
    assert_string_equal(row(&run, "b", 95), DUPLICATE);
    assert_string_equal(run_detail(&run, 0), "of offset 3");
    assert_string_equal(row(&run, "b", 95), DUPLICATE);
    assert_string_equal(run_detail(&run, 0), "of offset 5");
    close_both(&plan, &run);
}

/* What counts is the greatest event time of the sightings, not the last. */
static void test_refresh_keeps_the_greatest(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_dedup(&plan, &run);
    assert_string_equal(row(&run, "a", 10), "VALID");
    assert_string_equal(row(&run, "a", 0), DUPLICATE);
    assert_string_equal(row(&run, "b", 50), "VALID");
    /* Watermark 40 = 10 + window. */
    assert_string_equal(row(&run, "a", 45), DUPLICATE);
    assert_string_equal(run_detail(&run, 0), "of offset 1");
    close_both(&plan, &run);
}

static void test_invalid_and_filtered_do_not_register(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_event_time(&plan, "at", 10);
    plan_dedup(&plan, "id", 30);
    plan_check(&plan, "odd", "v <> 13", false);
    plan_where(&plan, "v IS NULL OR v <> 12");
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@0@\",\"v\":-1}"),
                        "INVALID schema.range(v)");
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@0@\",\"v\":13}"),
                        "INVALID check.odd");
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@0@\",\"v\":12}"),
                        "FILTERED filter.where");
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@0@\",\"v\":1}"), "VALID");
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@0@\",\"v\":1}"), DUPLICATE);
    /* Nor are they duplicates. */
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@0@\",\"v\":12}"),
                        "FILTERED filter.where");
    close_both(&plan, &run);
}

/* A row that no sink takes is FILTERED as well, so its resend counts; but where a row stands in the
 * order of the stages stays: it is a duplicate, or late, first. */
static void test_unmatched_rows_do_not_register(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_event_time(&plan, "at", 10);
    plan_dedup(&plan, "id", 30);
    plan_sink(&plan, "some", "v > 5");
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@20@\",\"v\":1}"),
                        "FILTERED route.unmatched");
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@20@\",\"v\":6}"), "VALID");
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@20@\",\"v\":1}"), DUPLICATE);
    assert_string_equal(run_one(&run, "{\"id\":\"b\",\"at\":\"@9@\",\"v\":1}"), LATE);
    assert_string_equal(run_one(&run, "{\"id\":\"b\",\"at\":\"@10@\",\"v\":1}"),
                        "FILTERED route.unmatched");
    close_both(&plan, &run);
}

/* Only rows that register refresh: a row that does not would otherwise carry the key on, and replay
 * from behind the row that registered it would come to another verdict. */
static void test_unmatched_rows_do_not_refresh(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_event_time(&plan, "at", 10);
    plan_dedup(&plan, "id", 30);
    plan_sink(&plan, "some", "v > 5");
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@0@\",\"v\":6}"), "VALID");
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@40@\",\"v\":1}"), DUPLICATE);
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@41@\",\"v\":6}"), "VALID");
    close_both(&plan, &run);
}

static void test_failed_routes_do_not_register(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_event_time(&plan, "at", 10);
    plan_dedup(&plan, "id", 30);
    plan_sink(&plan, "all", NULL);
    plan_sink(&plan, "some", "abs(v + -9223372036854775808) > 0");
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@20@\",\"v\":0}"),
                        "INVALID transform.route");
    assert_string_equal(run_detail(&run, 0), "integer overflow");
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@20@\",\"v\":6}"), "VALID");
    assert_string_equal(run_one(&run, "{\"id\":\"a\",\"at\":\"@20@\",\"v\":0}"), DUPLICATE);
    assert_string_equal(run_one(&run, "{\"id\":\"b\",\"at\":\"@9@\",\"v\":0}"), LATE);
    close_both(&plan, &run);
}

static void test_null_keys(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_event_time(&plan, "at", 10);
    plan_dedup(&plan, "id", 30);
    plan_dedup(&plan, "part", 0);
    run_open(&run, &plan);
    static const char *const rows[] = {
        "{\"at\":\"@20@\"}",
        "{\"at\":\"@20@\",\"id\":\"a\"}",
        "{\"at\":\"@20@\",\"part\":1}",
        "{\"at\":\"@20@\",\"id\":\"a\",\"part\":null}",
    };
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(run_one(&run, rows[i]), "VALID");
        assert_string_equal(run_one(&run, rows[i]), "VALID");
    }
    assert_string_equal(run_one(&run, "{\"at\":\"@20@\",\"id\":\"a\",\"part\":1}"), "VALID");
    assert_string_equal(run_one(&run, "{\"at\":\"@20@\",\"id\":\"a\",\"part\":2}"), "VALID");
    assert_string_equal(run_one(&run, "{\"at\":\"@20@\",\"id\":\"\",\"part\":1}"), "VALID");
    assert_string_equal(run_one(&run, "{\"at\":\"@20@\",\"id\":\"a\",\"part\":1.0}"), DUPLICATE);
    /* Without a key a row may be late all the same. */
    assert_string_equal(run_one(&run, "{\"at\":\"@9@\"}"), LATE);
    close_both(&plan, &run);
}

/* "1" and 1 are two keys in a column of any type; how a value is written makes no key of its own.
 * */
static void test_keys_by_type(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, "{k: {type: [string, number, boolean, object]}}", NULL);
    plan_dedup(&plan, "k", 30);
    run_open(&run, &plan);
    static const char *const different[] = {
        "1",
        "\"1\"",
        "true",
        "\"true\"",
        "1.5",
        "\"1.5\"",
        "{}",
        "9007199254740992",
        "9007199254740993",
        "12345678901234567890",
        "12345678901234567891",
        "1e400",
    };
    static const struct {
        const char *json;
        int of;
    } same[] = {
        {"1", 0},
        {"1.0", 0},
        {"10e-1", 0},
        {"\"\\u0031\"", 1},
        {"1.50", 4},
        {"9007199254740993.0", 8},
        {"12345678901234567890", 9},
        {" {}", 6},
    };
    char text[80];
    for (int i = 0; i < (int)(sizeof different / sizeof different[0]); i++) {
        (void)snprintf(text, sizeof text, "{\"k\":%s}", different[i]);
        assert_string_equal(run_one(&run, text), "VALID");
    }
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        (void)snprintf(text, sizeof text, "{\"k\":%s}", same[i].json);
        assert_string_equal(run_one(&run, text), "DUPLICATE duplicate(k)");
        (void)snprintf(text, sizeof text, "of offset %d", same[i].of);
        if (i == 0 || same[i].of != same[i - 1].of) {
            assert_string_equal(run_detail(&run, 0), text);
        }
    }
    close_both(&plan, &run);
}

/* The key as it came in, before `set`. */
static void test_key_before_set(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_event_time(&plan, "at", 10);
    plan_dedup(&plan, "id", 30);
    plan_set(&plan, "id", "'same'");
    plan_drop(&plan, "part");
    run_open(&run, &plan);
    assert_string_equal(row(&run, "a", 0), "VALID");
    assert_string_equal(run_output(&run, 0),
                        "{\"id\": \"same\", \"at\": \"2026-01-01T00:00:00Z\"}");
    assert_string_equal(row(&run, "b", 0), "VALID");
    assert_string_equal(row(&run, "a", 0), DUPLICATE);
    assert_string_equal(run_output(&run, 0), "none");
    close_both(&plan, &run);
}

static void test_unlimited_without_time(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_dedup(&plan, "id", 0);
    plan.plan.dedup_window_us = TIME_UNLIMITED;
    plan.plan.horizon_us = TIME_UNLIMITED;
    run_open(&run, &plan);
    run.timestamp_kind = TIMESTAMP_NONE;
    assert_string_equal(row(&run, "a", 0), "VALID");
    assert_string_equal(row(&run, "a", 9000), DUPLICATE);
    assert_string_equal(row(&run, "b", 0), "VALID");
    assert_string_equal(run_says(&run, 0), "VALID");
    close_both(&plan, &run);
}

static void test_by_record_time(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_dedup(&plan, "id", 30);
    run_open(&run, &plan);
    assert_string_equal(row(&run, "a", 9000), "VALID");
    run.timestamp_s = 30;
    assert_string_equal(row(&run, "a", 0), DUPLICATE);
    run.timestamp_s = 61;
    assert_string_equal(row(&run, "a", 0), "VALID");
    close_both(&plan, &run);
}

/* --- re-injected dead letters --- */

static void test_replayed_rows_skip_lateness(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_dedup(&plan, &run);
    row(&run, "a", 100);
    run_add_replay(&run, "{\"id\":\"b\",\"at\":\"@5@\"}", "topic 0 17 1");
    run_add_replay(&run, "{\"id\":\"a\",\"at\":\"@5@\"}", "topic 0 18 1");
    run_add_replay(&run, "{\"id\":\"c\",\"at\":\"@95@\"}", "topic 0 19 1");
    run_add_replay(&run, "{\"id\":\"c\",\"at\":\"@95@\"}", "topic 0 20 1");
    run_judge(&run);
    assert_string_equal(run_says(&run, 0), "VALID");
    assert_string_equal(run_says(&run, 1), DUPLICATE);
    /* One that is in time registers like any other. */
    assert_string_equal(run_says(&run, 2), "VALID");
    assert_string_equal(run_says(&run, 3), DUPLICATE);
    /* The late one did not register. */
    assert_string_equal(row(&run, "b", 95), "VALID");
    close_both(&plan, &run);
}

static void test_refused_rows_skip_dedup(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_event_time(&plan, "at", 10);
    plan_dedup(&plan, "id", 30);
    plan_sink(&plan, "left", NULL);
    plan_sink(&plan, "right", NULL);
    run_open(&run, &plan);
    row(&run, "a", 100);
    assert_string_equal(run_routes(&run, 0), "01");
    run_add_replay(&run, "{\"id\":\"a\",\"at\":\"@5@\"}", "topic 0 17 1 right");
    run_add_replay(&run, "{\"id\":\"z\",\"at\":\"@100@\"}", "topic 0 18 2 gone");
    run_judge(&run);
    assert_string_equal(run_says(&run, 0), "VALID");
    assert_string_equal(run_routes(&run, 0), "1");
    /* Its sink is no longer there. */
    assert_string_equal(run_says(&run, 1), "FILTERED route.unmatched");
    close_both(&plan, &run);
}

/* --- failures --- */

static void test_witness_must_lie_before(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    struct error err = {0};
    open_dedup(&plan, &run);
    run.next_offset = 500;
    row(&run, "a", 0);
    /* A state that does not belong to this log. */
    struct value key = value_of_text("a");
    struct hash128 hash = value_hash(stage_runner_secret(run.runner), &key, 1);
    struct seen_entry seen;
    bool is_known = false;
    assert_int_equal(seen_store_see(run.state->seen, hash,
                                    (struct seen_entry){FIXTURE_EPOCH_US, 501}, FIXTURE_EPOCH_US,
                                    &is_known, &seen, &err),
                     STATUS_OK);
    assert_true(is_known);
    run_add(&run, "{\"id\":\"a\",\"at\":\"@0@\"}");
    assert_int_equal(run_try(&run, &err), STATUS_FATAL);
    assert_string_equal(err.code, "state.witness");
    close_both(&plan, &run);
}

static void test_memory_limit(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    struct error err = {0};
    open_dedup(&plan, &run);
    run.budget.limit_bytes = 5000;
    enum status status = STATUS_OK;
    int rows = 0;
    for (; rows < 200 && status == STATUS_OK; rows++) {
        char text[80];
        (void)snprintf(text, sizeof text, "{\"id\":\"k%d\",\"at\":\"@0@\"}", rows);
        run_add(&run, text);
        status = run_try(&run, &err);
    }
    assert_true(rows > 40 && rows < 200);
    assert_int_equal(status, STATUS_FATAL);
    assert_string_equal(err.code, "state.memory");
    close_both(&plan, &run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_watermark_after_the_row),
        cmocka_unit_test(test_late_rows_only_look),
        cmocka_unit_test(test_refresh_keeps_the_greatest),
        cmocka_unit_test(test_invalid_and_filtered_do_not_register),
        cmocka_unit_test(test_unmatched_rows_do_not_register),
        cmocka_unit_test(test_unmatched_rows_do_not_refresh),
        cmocka_unit_test(test_failed_routes_do_not_register),
        cmocka_unit_test(test_null_keys),
        cmocka_unit_test(test_keys_by_type),
        cmocka_unit_test(test_key_before_set),
        cmocka_unit_test(test_unlimited_without_time),
        cmocka_unit_test(test_by_record_time),
        cmocka_unit_test(test_replayed_rows_skip_lateness),
        cmocka_unit_test(test_refused_rows_skip_dedup),
        cmocka_unit_test(test_witness_must_lie_before),
        cmocka_unit_test(test_memory_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
