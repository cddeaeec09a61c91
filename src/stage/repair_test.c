#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stage/stage_fixture.h"

struct repair_case {
    const char *json;
    const char *says;
    const char *repairs;
    const char *output;
};

static void expect_cases(struct plan_fixture *plan, const struct repair_case *cases, size_t count)
{
    struct run_fixture run;
    run_open(&run, plan);
    for (size_t i = 0; i < count; i++) {
        run_add(&run, cases[i].json);
    }
    run_judge(&run);
    for (uint32_t row = 0; row < count; row++) {
        print_message("%s\n", cases[row].json);
        assert_string_equal(run_says(&run, row), cases[row].says);
        assert_string_equal(run_repairs(&run, row), cases[row].repairs);
        assert_string_equal(run_output(&run, row), cases[row].output);
    }
    run_close(&run);
}

#define EXPECT(plan, cases) expect_cases((plan), (cases), sizeof(cases) / sizeof *(cases))

/* --- null_values --- */

static void test_null_values_of_each_type(void **state)
{
    (void)state;
    struct plan_fixture plan;
    plan_fixture_init(&plan,
                      "{text: {type: string}, real: {type: number}, whole: {type: integer},"
                      " flag: {type: boolean}, any: {}, list: {type: array}}",
                      NULL);
    plan_null_value(&plan, value_of_text("N/A"));
    plan_null_value(&plan, value_of_text(""));
    plan_null_value(&plan, value_of_integer(-999));
    plan_null_value(&plan, value_of_real(0.5));
    plan_null_value(&plan, value_of_real(7));
    plan_null_value(&plan, value_of_real(0x1p63));
    plan_null_value(&plan, (struct value){.type = VALUE_BOOL, .boolean = false});
    static const struct repair_case cases[] = {
        {"{\"text\": \"N/A\"}", "VALID", "null_value(text)", "{}"},
        {"{\"text\": \"\", \"real\": 1}", "VALID", "null_value(text)", "{\"real\": 1}"},
        /* The words of JSON, not those of the record. */
        {"{\"text\": \"N\\u002fA\"}", "VALID", "null_value(text)", "{}"},
        {"{\"text\": \"-999\"}", "VALID", "", "{\"text\": \"-999\"}"},
        {"{\"text\": \"n/a\"}", "VALID", "", "{\"text\": \"n/a\"}"},
        {"{\"text\": \"N/A \"}", "VALID", "", "{\"text\": \"N/A \"}"},
        {"{\"real\": -999}", "VALID", "null_value(real)", "{}"},
        {"{\"real\": -9.99e2}", "VALID", "null_value(real)", "{}"},
        {"{\"real\": 0.5}", "VALID", "null_value(real)", "{}"},
        {"{\"real\": -999.0000001}", "VALID", "", "{\"real\": -999.0000001}"},
        {"{\"whole\": -999}", "VALID", "null_value(whole)", "{}"},
        {"{\"whole\": -999.0}", "VALID", "null_value(whole)", "{}"},
        {"{\"whole\": 7}", "VALID", "null_value(whole)", "{}"},
        {"{\"whole\": 8}", "VALID", "", "{\"whole\": 8}"},
        {"{\"whole\": 9223372036854775807}", "VALID", "", "{\"whole\": 9223372036854775807}"},
        {"{\"flag\": false}", "VALID", "null_value(flag)", "{}"},
        {"{\"flag\": true}", "VALID", "", "{\"flag\": true}"},
        /* Misfits: words where a number should be. */
        {"{\"real\": \"N/A\"}", "VALID", "null_value(real)", "{}"},
        {"{\"whole\": \"\"}", "VALID", "null_value(whole)", "{}"},
        {"{\"whole\": 0.5}", "VALID", "null_value(whole)", "{}"},
        {"{\"text\": -999}", "VALID", "null_value(text)", "{}"},
        {"{\"text\": false}", "VALID", "null_value(text)", "{}"},
        {"{\"list\": \"N/A\"}", "VALID", "null_value(list)", "{}"},
        {"{\"flag\": \"none\"}", "INVALID schema.type(flag)", "", "none"},
        {"{\"real\": \"-999\"}", "INVALID schema.type(real)", "", "none"},
        /* A field without a type may be null, and so it is. */
        {"{\"any\": \"N/A\"}", "VALID", "null_value(any)", "{\"any\": null}"},
        {"{\"any\": \"\\u004e/A\"}", "VALID", "null_value(any)", "{\"any\": null}"},
        {"{\"any\": -999.0}", "VALID", "null_value(any)", "{\"any\": null}"},
        {"{\"any\": false}", "VALID", "null_value(any)", "{\"any\": null}"},
        {"{\"any\": [\"N/A\"]}", "VALID", "", "{\"any\": [\"N/A\"]}"},
        /* Members that the schema does not know are nobody's. */
        {"{\"other\": \"N/A\"}", "VALID", "", "{\"other\": \"N/A\"}"},
        {"{\"real\": -999, \"text\": \"N/A\", \"any\": \"\"}", "VALID",
         "null_value(text) null_value(real) null_value(any)", "{\"any\": null}"},
    };
    EXPECT(&plan, cases);
    plan_fixture_fini(&plan);
}

static void test_null_values_become_null_where_null_is_a_value(void **state)
{
    (void)state;
    struct plan_fixture plan;
    plan_fixture_init_schema(&plan,
                             "{type: object, required: [strict, either], properties: {"
                             "strict: {type: number}, either: {type: ['null', number]}}}",
                             NULL);
    plan_null_value(&plan, value_of_integer(-1));
    static const struct repair_case cases[] = {
        {"{\"strict\":1,\"either\":-1}", "VALID", "null_value(either)",
         "{\"strict\":1,\"either\":null}"},
        {"{\"strict\":1,\"either\":null}", "VALID", "", "{\"strict\":1,\"either\":null}"},
        {"{\"strict\":-1,\"either\":1}", "INVALID schema.required(strict)", "null_value(strict)",
         "none"},
        {"{\"strict\":null,\"either\":1}", "INVALID schema.required(strict)", "", "none"},
        {"{\"strict\":1}", "INVALID schema.required(either)", "", "none"},
    };
    EXPECT(&plan, cases);
    plan_fixture_fini(&plan);
}

static void test_null_values_in_nested_objects(void **state)
{
    (void)state;
    struct plan_fixture plan;
    plan_fixture_init(&plan,
                      "{place: {type: object, required: [lat],"
                      " properties: {lat: {type: number}, lon: {type: number}}}}",
                      NULL);
    plan_null_value(&plan, value_of_text(""));
    static const struct repair_case cases[] = {
        {"{\"place\": {\"lat\": 1, \"lon\": \"\"}}", "VALID", "null_value(place.lon)",
         "{\"place\": {\"lat\": 1}}"},
        {"{\"place\": {\"lat\": \"\", \"lon\": 1}}", "INVALID schema.required(place.lat)",
         "null_value(place.lat)", "none"},
        {"{\"place\": \"\"}", "VALID", "null_value(place)", "{}"},
    };
    EXPECT(&plan, cases);
    plan_fixture_fini(&plan);
}

/* --- coerce --- */

static void open_coerce(struct plan_fixture *plan)
{
    plan_fixture_init(plan,
                      "{real: {type: number, maximum: 1e300}, whole: {type: integer},"
                      " flag: {type: boolean}, left: {type: number}}",
                      NULL);
    plan_coerce(plan, "real");
    plan_coerce(plan, "whole");
    plan_coerce(plan, "flag");
}

static void test_coerce_takes_what_json_would(void **state)
{
    (void)state;
    struct plan_fixture plan;
    open_coerce(&plan);
    static const struct repair_case cases[] = {
        {"{\"real\": \"23.5\"}", "VALID", "coerce(real)", "{\"real\": 23.5}"},
        {"{\"real\": \"-0\"}", "VALID", "coerce(real)", "{\"real\": -0.0}"},
        {"{\"real\": \"1e2\"}", "VALID", "coerce(real)", "{\"real\": 100.0}"},
        {"{\"real\": \"7\"}", "VALID", "coerce(real)", "{\"real\": 7.0}"},
        {"{\"real\": \"12345678901234567890\"}", "VALID", "coerce(real)",
         "{\"real\": 1.2345678901234567e19}"},
        {"{\"real\": \"\\u0037\"}", "VALID", "coerce(real)", "{\"real\": 7.0}"},
        {"{\"whole\": \"12\"}", "VALID", "coerce(whole)", "{\"whole\": 12}"},
        {"{\"whole\": \"-12.0\"}", "VALID", "coerce(whole)", "{\"whole\": -12}"},
        {"{\"whole\": \"1.2e1\"}", "VALID", "coerce(whole)", "{\"whole\": 12}"},
        {"{\"whole\": \"-9223372036854775808\"}", "VALID", "coerce(whole)",
         "{\"whole\": -9223372036854775808}"},
        {"{\"flag\": \"true\"}", "VALID", "coerce(flag)", "{\"flag\": true}"},
        {"{\"flag\": \"false\"}", "VALID", "coerce(flag)", "{\"flag\": false}"},
    };
    EXPECT(&plan, cases);
    plan_fixture_fini(&plan);
}

/* Integers are exact: what no int64 holds is not rounded to one that does. */
static void test_coerce_is_exact(void **state)
{
    (void)state;
    struct plan_fixture plan;
    open_coerce(&plan);
    static const struct repair_case cases[] = {
        {"{\"whole\": \"9007199254740993.0\"}", "VALID", "coerce(whole)",
         "{\"whole\": 9007199254740993}"},
        {"{\"whole\": \"9223372036854775807.0\"}", "VALID", "coerce(whole)",
         "{\"whole\": 9223372036854775807}"},
        {"{\"whole\": \"922337203685477580.7e1\"}", "VALID", "coerce(whole)",
         "{\"whole\": 9223372036854775807}"},
        {"{\"whole\": \"0.99999999999999999999\"}", "INVALID schema.type(whole)", "", "none"},
        {"{\"whole\": \"1e-400\"}", "INVALID schema.type(whole)", "", "none"},
        {"{\"whole\": \"4503599627370497.25\"}", "INVALID schema.type(whole)", "", "none"},
        {"{\"whole\": \"9007199254740993.5\"}", "INVALID schema.type(whole)", "", "none"},
        {"{\"whole\": \"9223372036854775808\"}", "INVALID schema.range(whole)", "", "none"},
        {"{\"whole\": \"1e400\"}", "INVALID schema.range(whole)", "", "none"},
        {"{\"real\": \"1e400\"}", "INVALID schema.range(real)", "", "none"},
        {"{\"real\": \"1e301\"}", "INVALID schema.range(real)", "coerce(real)", "none"},
        {"{\"real\": \"1e-400\"}", "VALID", "coerce(real)", "{\"real\": 0.0}"},
    };
    EXPECT(&plan, cases);
    plan_fixture_fini(&plan);
}

static void test_coerce_takes_nothing_more(void **state)
{
    (void)state;
    struct plan_fixture plan;
    open_coerce(&plan);
    static const char *const numbers[] = {
        "\"\"",     "\" 1\"",   "\"1 \"",  "\"+1\"",   "\"01\"",   "\".5\"",     "\"5.\"",
        "\"1e\"",   "\"0x10\"", "\"NaN\"", "\"1,5\"",  "\"--1\"",  "\"1\\n\"",   "\"-\"",
        "\"true\"", "\"null\"", "true",    "\"1 2\"",  "\"[1]\"",  "\"\\\"1\\\"\"",
        "[\"1\"]",  "{\"a\":1}", "\"1\\u0000\"", "\"\\u0661\"",
    };
    struct run_fixture run;
    run_open(&run, &plan);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char json[80];
        (void)snprintf(json, sizeof json, "{\"real\": %s}", numbers[i]);
        print_message("%s\n", json);
        assert_string_equal(run_one(&run, json), "INVALID schema.type(real)");
        (void)snprintf(json, sizeof json, "{\"whole\": %s}", numbers[i]);
        assert_string_equal(run_one(&run, json), "INVALID schema.type(whole)");
        assert_string_equal(run_repairs(&run, 0), "");
    }
    static const char *const flags[] = {"\"True\"", "\"1\"", "1", "\"true \"", "\"\"", "\"null\""};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        char json[80];
        (void)snprintf(json, sizeof json, "{\"flag\": %s}", flags[i]);
        assert_string_equal(run_one(&run, json), "INVALID schema.type(flag)");
    }
    /* A field that is not on the list. */
    assert_string_equal(run_one(&run, "{\"left\": \"1\"}"), "INVALID schema.type(left)");
    /* A fraction is not an integer, as a number or as text. */
    assert_string_equal(run_one(&run, "{\"whole\": 1.5}"), "INVALID schema.type(whole)");
    assert_string_equal(run_one(&run, "{\"whole\": \"1.5\"}"), "INVALID schema.type(whole)");
    run_close(&run);
    plan_fixture_fini(&plan);
}

/* Some cells of a column are coerced, some stay misfits: those keep their own text. */
static void test_misfits_that_stay_are_found(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    open_coerce(&plan);
    plan_null_value(&plan, value_of_text("none"));
    run_open(&run, &plan);
    static const char *const values[] = {"\"1\"", "\"x\"", "\"none\"", "[2]", "\"3\"", "\"y\""};
    for (size_t i = 0; i < 6; i++) {
        char json[40];
        (void)snprintf(json, sizeof json, "{\"whole\": %s}", values[i]);
        run_add(&run, json);
    }
    run_judge(&run);
    assert_string_equal(run_output(&run, 0), "{\"whole\": 1}");
    assert_string_equal(run_detail(&run, 1), "\"x\" is not an integer");
    assert_string_equal(run_output(&run, 2), "{}");
    assert_string_equal(run_detail(&run, 3), "[2] is not an integer");
    assert_string_equal(run_output(&run, 4), "{\"whole\": 3}");
    assert_string_equal(run_detail(&run, 5), "\"y\" is not an integer");
    run_close(&run);
    plan_fixture_fini(&plan);
}

/* null_values come first: "0" may stand for nothing, and is then no number. */
static void test_null_values_before_coerce(void **state)
{
    (void)state;
    struct plan_fixture plan;
    open_coerce(&plan);
    plan_null_value(&plan, value_of_text("0"));
    static const struct repair_case cases[] = {
        {"{\"whole\": \"0\"}", "VALID", "null_value(whole)", "{}"},
        {"{\"whole\": 0}", "VALID", "", "{\"whole\": 0}"},
        /* What coerce makes is not looked at again. */
        {"{\"whole\": \"0.0\"}", "VALID", "coerce(whole)", "{\"whole\": 0}"},
    };
    EXPECT(&plan, cases);
    plan_fixture_fini(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null_values_of_each_type),
        cmocka_unit_test(test_null_values_become_null_where_null_is_a_value),
        cmocka_unit_test(test_null_values_in_nested_objects),
        cmocka_unit_test(test_coerce_takes_what_json_would),
        cmocka_unit_test(test_coerce_is_exact),
        cmocka_unit_test(test_coerce_takes_nothing_more),
        cmocka_unit_test(test_misfits_that_stay_are_found),
        cmocka_unit_test(test_null_values_before_coerce),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
