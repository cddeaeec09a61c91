#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stage/stage_fixture.h"

#define PROPERTIES \
    "{a: {type: integer}, r: {type: number}, t: {type: string}, n: {type: [integer, 'null']}," \
    " o: {type: object, properties: {x: {type: integer}, y: {type: integer}}}}"

static void close_both(struct plan_fixture *plan, struct run_fixture *run)
{
    run_close(run);
    plan_fixture_fini(plan);
}

struct render_case {
    const char *json, *output;
};

static void expect_cases(struct plan_fixture *plan, const struct render_case *cases, size_t count)
{
    struct run_fixture run;
    run_open(&run, plan);
    for (size_t i = 0; i < count; i++) {
        run_add(&run, cases[i].json);
    }
    run_judge(&run);
    for (uint32_t row = 0; row < count; row++) {
        print_message("%s\n", cases[row].json);
        assert_string_equal(run_output(&run, row), cases[row].output);
    }
    run_close(&run);
}

#define EXPECT(plan, cases) expect_cases((plan), (cases), sizeof(cases) / sizeof *(cases))

/* The record's own bytes, not a copy of them. */
static void test_unchanged(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_coerce(&plan, "a");
    plan_fill_value(&plan, "r", value_of_real(1));
    run_open(&run, &plan);
    run_add(&run, " { \"a\" : 1e0 , \"r\":1E+2,\"zz\" : [ 1 , {} ] } \n");
    run_add(&run, "{\"a\":\"2\",\"r\":1}");
    run_add(&run, "{\"a\":3,\"r\":1}");
    run_add(&run, "{\"a\":[],\"r\":1}");
    run_judge(&run);
    assert_ptr_equal(run.batch->outputs[0].data, run.batch->records[0].value.data);
    assert_int_equal(run.batch->outputs[0].size, run.batch->records[0].value.size);
    assert_string_equal(run_output(&run, 1), "{\"a\":2,\"r\":1}");
    assert_ptr_equal(run.batch->outputs[2].data, run.batch->records[2].value.data);
    assert_true(bytes_is_none(run.batch->outputs[3]));
    close_both(&plan, &run);
}

static void test_repaired(void **state)
{
    (void)state;
    struct plan_fixture plan;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_coerce(&plan, "a");
    plan_coerce(&plan, "o.x");
    plan_null_value(&plan, value_of_text(""));
    plan_fill_value(&plan, "r", value_of_real(0.5));
    plan_fill_value(&plan, "o.y", value_of_integer(9));
    static const struct render_case cases[] = {
        {"{\"a\": \"1\" , \"r\" : 2, \"t\":\"x\"}", "{\"a\": 1 , \"r\" : 2, \"t\":\"x\"}"},
        {"{\"t\":\"\",\"a\":1,\"r\":2}", "{\"a\":1,\"r\":2}"},
        {"{\"r\":2,\"t\":\"\"}", "{\"r\":2}"},
        {"{\"r\":2,\"n\":\"\"}", "{\"r\":2,\"n\":null}"},
        {"{\"r\":2,\"o\":{\"x\":\"7\",\"z\":\"\"}}",
         "{\"r\":2,\"o\":{\"x\":7,\"z\":\"\",\"y\":9}}"},
        {"{\"o\":{}}", "{\"o\":{\"y\":9},\"r\":0.5}"},
        {"{\"o\":\"\"}", "{\"r\":0.5}"},
        /* Emptied, then filled: one cell, changed twice. */
        {"{\"r\":\"\"}", "{\"r\":0.5}"},
        {"{\"r\":null}", "{\"r\":0.5}"},
        {"{\"o\":{\"y\":\"\"},\"r\":1}", "{\"o\":{\"y\":9},\"r\":1}"},
    };
    EXPECT(&plan, cases);
    plan_fixture_fini(&plan);
}

static void test_set(void **state)
{
    (void)state;
    struct plan_fixture plan;
    plan_fixture_init(&plan, PROPERTIES, (const char *[2]){"new", "o.z"});
    plan_set(&plan, "a", "a + 1");
    plan_set(&plan, "new", "r * 2");
    plan_set(&plan, "o.z", "t");
    plan_coerce(&plan, "a");
    static const struct render_case cases[] = {
        {"{\"a\":1}", "{\"a\":2,\"new\":null}"},
        {"{\"a\":\"1\"}", "{\"a\":2,\"new\":null}"},
        /* In the place where it stood. */
        {"{\"new\": [1], \"a\":1,\"r\":1}", "{\"new\": 2.0, \"a\":2,\"r\":1}"},
        {"{\"new\": null, \"a\":1}", "{\"new\": null, \"a\":2}"},
        {"{}", "{\"a\":null,\"new\":null}"},
        {"{\"t\":\"\\u00e9\\n\",\"o\":{\"z\":1}}",
         "{\"t\":\"\\u00e9\\n\",\"o\":{\"z\":\"\xc3\xa9\\n\"},\"a\":null,\"new\":null}"},
        {"{\"o\":{}}", "{\"o\":{\"z\":null},\"a\":null,\"new\":null}"},
    };
    EXPECT(&plan, cases);
    plan_fixture_fini(&plan);
}

static void test_drop(void **state)
{
    (void)state;
    struct plan_fixture plan;
    plan_fixture_init(&plan, PROPERTIES, (const char *[2]){"note", NULL});
    plan_drop(&plan, "t");
    plan_drop(&plan, "n");
    plan_drop(&plan, "note");
    plan_drop(&plan, "o.x");
    plan_null_value(&plan, value_of_text("-"));
    plan_fill_value(&plan, "t", value_of_text("filled"));
    static const struct render_case cases[] = {
        {"{\"a\":1,\"t\":\"x\"}", "{\"a\":1}"},
        {"{\"t\":null,\"a\":1}", "{\"a\":1}"},
        {"{\"t\":\"-\",\"n\":null,\"note\":null}", "{}"},
        {"{\"note\":{\"t\":1},\"n\":2,\"zz\":3}", "{\"zz\":3}"},
        {"{\"o\":{\"x\":1,\"y\":2}}", "{\"o\":{\"y\":2}}"},
        {"{\"o\":{\"x\":null}}", "{\"o\":{}}"},
        {"{\"a\":1}", "{\"a\":1}"},
    };
    EXPECT(&plan, cases);
    plan_fixture_fini(&plan);
}

/* An object that goes takes its members along, whatever was to be done to them. */
static void test_objects(void **state)
{
    (void)state;
    struct plan_fixture plan;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_drop(&plan, "o");
    plan_coerce(&plan, "o.x");
    plan_set(&plan, "o.y", "a");
    static const struct render_case cases[] = {
        {"{\"a\":1,\"o\":{\"x\":\"1\",\"y\":2}}", "{\"a\":1}"},
        {"{\"a\":1}", "{\"a\":1}"},
    };
    EXPECT(&plan, cases);
    plan_fixture_fini(&plan);
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_set(&plan, "o", "a");
    plan_coerce(&plan, "o.x");
    static const struct render_case replaced[] = {
        {"{\"a\":1,\"o\":{\"x\":\"1\"}}", "{\"a\":1,\"o\":1}"},
        {"{\"a\":1}", "{\"a\":1,\"o\":1}"},
    };
    EXPECT(&plan, replaced);
    plan_fixture_fini(&plan);
}

/* Where a repeated key is allowed, none of its values may slip through. */
static void test_repeated_keys(void **state)
{
    (void)state;
    struct plan_fixture plan;
    plan_fixture_init(&plan, PROPERTIES, (const char *[2]){"note", NULL});
    plan.plan.decoder.json.repeated_key = JSON_REPEATED_KEY_LAST;
    plan_drop(&plan, "note");
    plan_drop(&plan, "t");
    plan_drop(&plan, "o.x");
    plan_set(&plan, "a", "a + 1");
    plan_coerce(&plan, "r");
    static const struct render_case cases[] = {
        {"{\"note\":1,\"a\":1,\"note\":2}", "{\"a\":2}"},
        {"{\"t\":\"secret\",\"a\":1,\"t\":null}", "{\"a\":2}"},
        {"{\"t\":null,\"a\":1,\"t\":\"secret\"}", "{\"a\":2}"},
        {"{\"a\":1,\"a\":2}", "{\"a\":3,\"a\":3}"},
        {"{\"r\":\"1\",\"a\":1,\"r\":\"2\"}", "{\"r\":2.0,\"a\":2,\"r\":2.0}"},
        {"{\"o\":{\"x\":1,\"y\":2},\"a\":1,\"o\":{\"y\":3}}",
         "{\"o\":{\"y\":2},\"a\":2,\"o\":{\"y\":3}}"},
        {"{\"o\":{\"x\":1},\"a\":1,\"o\":null}", "{\"o\":{},\"a\":2,\"o\":null}"},
    };
    EXPECT(&plan, cases);
    plan_fixture_fini(&plan);
}

/* Outputs of many rows stand behind each other in memory that grows. */
static void test_many_rows(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, (const char *[2]){"c", NULL});
    plan_coerce(&plan, "a");
    plan_where(&plan, "a % 10 <> 9");
    run_open(&run, &plan);
    for (int i = 0; i < 4096; i++) {
        char text[60];
        (void)snprintf(text, sizeof text,
                       i % 3 == 0 ? "{\"a\":\"%d\",\"t\":\"%d\"}" : "{\"a\":%d,\"t\":\"%d\"}", i,
                       i * 31);
        run_add(&run, text);
    }
    run_judge(&run);
    for (int i = 0; i < 4096; i++) {
        char text[60];
        (void)snprintf(text, sizeof text, "{\"a\":%d,\"t\":\"%d\"}", i, i * 31);
        assert_string_equal(run_output(&run, (uint32_t)i), i % 10 == 9 ? "none" : text);
    }
    close_both(&plan, &run);
}

/* A silent run decides the same and renders nothing. */
static void test_silent(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    struct error err = {0};
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_coerce(&plan, "a");
    run_open(&run, &plan);
    run_add(&run, "{\"a\":\"1\"}");
    run_add(&run, "{\"a\":\"x\"}");
    assert_int_equal(stage_run(run.runner, run.state, run.batch, STAGE_SILENT, &err), STATUS_OK);
    run.judged = true;
    assert_string_equal(run_says(&run, 0), "VALID");
    assert_string_equal(run_repairs(&run, 0), "coerce(a)");
    assert_string_equal(run_says(&run, 1), "INVALID schema.type(a)");
    assert_int_equal(run.state->next_offset, 2);
    close_both(&plan, &run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unchanged),
        cmocka_unit_test(test_repaired),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_repeated_keys),
        cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
