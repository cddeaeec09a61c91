#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stage/stage_fixture.h"

#define PROPERTIES \
    "{at: {type: string, format: date-time}, a: {type: integer}, b: {type: integer}," \
    " t: {type: string}, o: {type: object, properties: {x: {type: number}}}}"

/* abs() of the least integer is the one arithmetic that fails at run time. */
#define FAILS_AT_ZERO "abs(a + -9223372036854775808) > 0"

static void close_both(struct plan_fixture *plan, struct run_fixture *run)
{
    run_close(run);
    plan_fixture_fini(plan);
}

/* --- checks --- */

static void test_checks(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_check(&plan, "order", "a <= b", false);
    plan_check(&plan, "small", "a < 10", false);
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"a\":1,\"b\":2}"), "VALID");
    assert_string_equal(run_one(&run, "{\"a\":3,\"b\":2}"), "INVALID check.order");
    /* All that fail are named, in their order. */
    assert_string_equal(run_one(&run, "{\"a\":30,\"b\":2}"), "INVALID check.order check.small");
    /* NULL passes, as in SQL CHECK. */
    assert_string_equal(run_one(&run, "{\"a\":3}"), "VALID");
    assert_string_equal(run_one(&run, "{\"a\":3,\"b\":null}"), "VALID");
    /* Only rows that the contract let pass are asked. */
    assert_string_equal(run_one(&run, "{\"a\":30,\"b\":\"x\"}"), "INVALID schema.type(b)");
    close_both(&plan, &run);
}

static void test_warnings(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_check(&plan, "hard", "b < 10", false);
    plan_check(&plan, "soft", FAILS_AT_ZERO " AND a > 5", true);
    run_open(&run, &plan);
    run_add(&run, "{\"a\":6}");
    run_add(&run, "{\"a\":5}");
    run_add(&run, "{\"a\":5,\"b\":10}");
    run_add(&run, "{\"a\":0}");
    run_add(&run, "{}");
    run_judge(&run);
    static const char *const says[] = {"VALID", "VALID", "INVALID check.hard", "VALID", "VALID"};
    for (uint32_t row = 0; row < 5; row++) {
        assert_string_equal(run_says(&run, row), says[row]);
    }
    /* A warning is told for each row that did not pass, failing ones too; whether it counts is
     * decided by the row's verdict. */
    assert_int_equal(run.batch->warning_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(run.batch->warnings[i].row, i + 1);
        assert_int_equal(run.batch->warnings[i].check, 1);
    }
    close_both(&plan, &run);
}

static void test_failing_check(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_check(&plan, "odd", FAILS_AT_ZERO, false);
    run_open(&run, &plan);
    run_add(&run, "{\"a\":1}");
    run_add(&run, "{\"a\":0}");
    run_add(&run, "{\"a\":2}");
    run_judge(&run);
    assert_string_equal(run_says(&run, 0), "VALID");
    assert_string_equal(run_says(&run, 1), "INVALID check.odd");
    assert_string_equal(run_detail(&run, 1), "integer overflow");
    assert_string_equal(run_says(&run, 2), "VALID");
    close_both(&plan, &run);
}

/* Checks see what repair made of the row. */
static void test_checks_after_repair(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_coerce(&plan, "a");
    plan_null_value(&plan, value_of_integer(-1));
    plan_fill_value(&plan, "b", value_of_integer(7));
    plan_check(&plan, "sum", "a + b = 12", false);
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"a\":\"5\"}"), "VALID");
    assert_string_equal(run_one(&run, "{\"a\":\"5\",\"b\":-1}"), "VALID");
    assert_string_equal(run_one(&run, "{\"a\":\"5\",\"b\":8}"), "INVALID check.sum");
    assert_string_equal(run_one(&run, "{\"a\":-1,\"b\":8}"), "VALID");
    close_both(&plan, &run);
}

static void test_times_compare_as_times(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_check(&plan, "new", "at >= '2026-01-01T00:00:00Z'", false);
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"at\":\"2026-01-01T02:00:00+02:00\"}"), "VALID");
    assert_string_equal(run_one(&run, "{\"at\":\"2026-01-01T01:59:59+02:00\"}"),
                        "INVALID check.new");
    close_both(&plan, &run);
}

/* --- where --- */

static void test_where(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_check(&plan, "small", "a < 10", false);
    plan_where(&plan, FAILS_AT_ZERO " AND t <> 'test'");
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"a\":1,\"t\":\"x\"}"), "VALID");
    assert_string_equal(run_one(&run, "{\"a\":1,\"t\":\"test\"}"), "FILTERED filter.where");
    /* NULL is not true. */
    assert_string_equal(run_one(&run, "{\"a\":1}"), "FILTERED filter.where");
    assert_string_equal(run_one(&run, "{\"a\":0,\"t\":\"x\"}"), "INVALID transform.where");
    assert_string_equal(run_detail(&run, 0), "integer overflow");
    /* The first stage that decides gives the verdict. */
    assert_string_equal(run_one(&run, "{\"a\":10,\"t\":\"test\"}"), "INVALID check.small");
    close_both(&plan, &run);
}

/* --- set --- */

static void test_set_values(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, (const char *[2]){"sum", "note"});
    plan_set(&plan, "sum", "a + b");
    plan_set(&plan, "note", "upper(t)");
    run_open(&run, &plan);
    run_add(&run, "{\"a\":1,\"b\":\"x\"}");
    run_add(&run, "{\"a\":1,\"b\":2,\"t\":\"x\"}");
    run_add(&run, "{\"a\":1}");
    run_judge(&run);
    assert_int_equal(run.batch->set_count, 2);
    assert_int_equal(run.batch->set_values[0][1].type, VALUE_INT64);
    assert_int_equal(run.batch->set_values[0][1].integer, 3);
    assert_true(bytes_equal_string(run.batch->set_values[1][1].text, "X"));
    assert_int_equal(run.batch->set_values[0][2].type, VALUE_NULL);
    assert_int_equal(run.batch->set_values[1][2].type, VALUE_NULL);
    assert_string_equal(run_output(&run, 0), "none");
    assert_string_equal(run_output(&run, 1),
                        "{\"a\":1,\"b\":2,\"t\":\"x\",\"sum\":3,\"note\":\"X\"}");
    assert_string_equal(run_output(&run, 2), "{\"a\":1,\"sum\":null,\"note\":null}");
    close_both(&plan, &run);
}

#define TYPED \
    "{b: {type: boolean}, i: {type: integer}, x: {type: number}, t: {type: string}," \
    " o: {type: object, properties: {k: {type: integer}}}, l: {type: array}," \
    " m: {type: [integer, string]}, e: {type: string, format: date-time}}"

static void expect_set(const char *target, const char *expression, const char *json,
                       const char *output)
{
    struct plan_fixture plan;
    struct run_fixture run;
    bool is_extra = strcmp(target, "new") == 0;
    plan_fixture_init(&plan, TYPED, is_extra ? (const char *[2]){"new", NULL} : NULL);
    plan_set(&plan, target, expression);
    run_open(&run, &plan);
    print_message("%s: %s\n", target, expression);
    assert_string_equal(run_one(&run, json), "VALID");
    assert_string_equal(run_output(&run, 0), output);
    close_both(&plan, &run);
}

/* A column is copied with its type, and a truth is a boolean. */
static void test_typed_sets(void **state)
{
    (void)state;
    expect_set("new", "b", "{\"b\":true}", "{\"b\":true,\"new\":true}");
    expect_set("new", "((b))", "{\"b\":false}", "{\"b\":false,\"new\":false}");
    expect_set("new", "b", "{}", "{\"new\":null}");
    expect_set("b", "b", "{\"b\":true}", "{\"b\":true}");
    expect_set("b", "not b", "{\"b\":true}", "{\"b\":false}");
    expect_set("new", "o", "{\"o\":{\"k\": 1, \"z\":[]}}",
               "{\"o\":{\"k\": 1, \"z\":[]},\"new\":{\"k\": 1, \"z\":[]}}");
    expect_set("new", "o.k", "{\"o\":{\"k\":1}}", "{\"o\":{\"k\":1},\"new\":1}");
    expect_set("new", "l", "{\"l\":[1,\"a\"]}", "{\"l\":[1,\"a\"],\"new\":[1,\"a\"]}");
    expect_set("new", "m", "{\"m\":\"5\"}", "{\"m\":\"5\",\"new\":\"5\"}");
    expect_set("new", "m", "{\"m\":5}", "{\"m\":5,\"new\":5}");
    expect_set("new", "t", "{\"t\":\"1\"}", "{\"t\":\"1\",\"new\":\"1\"}");
    expect_set("new", "e", "{\"e\":\"2026-01-01T01:00:00+01:00\"}",
               "{\"e\":\"2026-01-01T01:00:00+01:00\",\"new\":\"2026-01-01T00:00:00Z\"}");
    expect_set("new", "i > 5 AND NOT b", "{\"i\":6,\"b\":false}",
               "{\"i\":6,\"b\":false,\"new\":true}");
    expect_set("new", "t LIKE 'a%'", "{\"t\":\"b\"}", "{\"t\":\"b\",\"new\":false}");
    expect_set("new", "i + 0", "{\"i\":1}", "{\"i\":1,\"new\":1}");
    expect_set("b", "i", "{\"i\":1}", "{\"i\":1,\"b\":true}");
    expect_set("b", "x", "{\"x\":0.0}", "{\"x\":0.0,\"b\":false}");
    expect_set("b", "i", "{\"i\":2}", "{\"i\":2,\"b\":2}");
    /* A field that is declared a number stays one. */
    expect_set("i", "x > 5", "{\"x\":6}", "{\"x\":6,\"i\":1}");
    expect_set("i", "b", "{\"b\":true}", "{\"b\":true,\"i\":1}");
}

/* No record can hold what SQLite goes on with. */
static void test_odd_numbers(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, "{i: {type: integer}, x: {type: number}}",
                      (const char *[2]){"big", "inf"});
    plan_check(&plan, "finite", "x * 10", false);
    plan_where(&plan, "i * 2 <> 4");
    plan_set(&plan, "big", "i + 1");
    plan_set(&plan, "inf", "x * 1e308");
    plan_sink(&plan, "s", "x + i");
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"i\":9223372036854775806,\"x\":1}"), "VALID");
    assert_string_equal(
        run_output(&run, 0),
        "{\"i\":9223372036854775806,\"x\":1,\"big\":9223372036854775807,\"inf\":1e308}");
    assert_string_equal(run_one(&run, "{\"i\":9223372036854775807,\"x\":1}"),
                        "INVALID transform.big(big)");
    assert_string_equal(run_detail(&run, 0), "integer overflow");
    assert_string_equal(run_one(&run, "{\"i\":1,\"x\":2}"), "INVALID transform.inf(inf)");
    assert_string_equal(run_detail(&run, 0), "the result is not a finite number");
    assert_string_equal(run_one(&run, "{\"i\":1,\"x\":1e308}"), "INVALID check.finite");
    assert_string_equal(run_detail(&run, 0), "the result is not a finite number");
    close_both(&plan, &run);
}

static void test_failing_set(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, (const char *[2]){"c", NULL});
    plan_where(&plan, "a > -5");
    plan_set(&plan, "b", "a + 1");
    plan_set(&plan, "c", "abs(a + -9223372036854775808)");
    plan_set(&plan, "t", "abs(a + -9223372036854775808) || ''");
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"a\":1}"), "VALID");
    /* The first that fails is the reason. */
    assert_string_equal(run_one(&run, "{\"a\":0}"), "INVALID transform.c(c)");
    assert_string_equal(run_detail(&run, 0), "integer overflow");
    assert_string_equal(run_one(&run, "{\"a\":-5}"), "FILTERED filter.where");
    close_both(&plan, &run);
}

/* All expressions see the row before `set`. */
static void test_sets_do_not_see_each_other(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_set(&plan, "a", "b");
    plan_set(&plan, "b", "a");
    plan_sink(&plan, "first", "a = 1");
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"a\":1,\"b\":2}"), "VALID");
    assert_string_equal(run_output(&run, 0), "{\"a\":2,\"b\":1}");
    close_both(&plan, &run);
}

/* Rows keep their own results, whichever rows of the batch are evaluated. */
static void test_results_meet_their_rows(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, (const char *[2]){"c", NULL});
    plan_check(&plan, "odd", "a % 3 <> 1", false);
    plan_where(&plan, "a % 5 <> 0");
    plan_set(&plan, "c", "a * 2");
    plan_sink(&plan, "even", "a % 2 = 0");
    plan_sink(&plan, "odd", "a % 2 = 1");
    run_open(&run, &plan);
    for (int i = 0; i < 500; i++) {
        char text[40];
        (void)snprintf(text, sizeof text, i % 7 == 0 ? "{\"a\":\"%d\"}" : "{\"a\":%d}", i);
        run_add(&run, text);
    }
    run_judge(&run);
    for (int i = 0; i < 500; i++) {
        uint32_t row = (uint32_t)i;
        const char *expected = i % 7 == 0   ? "INVALID schema.type(a)"
                               : i % 3 == 1 ? "INVALID check.odd"
                               : i % 5 == 0 ? "FILTERED filter.where"
                                            : "VALID";
        assert_string_equal(run_says(&run, row), expected);
        if (strcmp(expected, "VALID") == 0) {
            char text[40];
            (void)snprintf(text, sizeof text, "{\"a\":%d,\"c\":%d}", i, 2 * i);
            assert_string_equal(run_output(&run, row), text);
            assert_string_equal(run_routes(&run, row), i % 2 == 0 ? "0" : "1");
        } else {
            assert_string_equal(run_routes(&run, row), "");
        }
    }
    close_both(&plan, &run);
}

/* A plan without expressions, and a batch in which no row is left to evaluate. */
static void test_nothing_to_evaluate(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{}"), "VALID");
    assert_int_equal(run.batch->set_count, 0);
    close_both(&plan, &run);
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_check(&plan, "c", "a > 0", false);
    plan_where(&plan, "a > 0");
    plan_set(&plan, "b", "a");
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "["), "INVALID decode.syntax");
    assert_string_equal(run_one(&run, "{\"a\":\"\"}"), "INVALID schema.type(a)");
    assert_string_equal(run_one(&run, "{\"a\":1}"), "VALID");
    close_both(&plan, &run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_failing_check),
        cmocka_unit_test(test_checks_after_repair),
        cmocka_unit_test(test_times_compare_as_times),
        cmocka_unit_test(test_where),
        cmocka_unit_test(test_set_values),
        cmocka_unit_test(test_typed_sets),
        cmocka_unit_test(test_odd_numbers),
        cmocka_unit_test(test_failing_set),
        cmocka_unit_test(test_sets_do_not_see_each_other),
        cmocka_unit_test(test_results_meet_their_rows),
        cmocka_unit_test(test_nothing_to_evaluate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
