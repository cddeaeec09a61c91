#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "stage/stage_fixture.h"

#define PROPERTIES "{a: {type: integer}, t: {type: string}}"

static void close_both(struct plan_fixture *plan, struct run_fixture *run)
{
    run_close(run);
    plan_fixture_fini(plan);
}

static void test_conditions(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_sink(&plan, "small", "a < 10");
    plan_sink(&plan, "named", "t IS NOT NULL");
    plan_sink(&plan, "odd", "a % 2");
    run_open(&run, &plan);
    static const struct {
        const char *json, *says, *routes;
    } cases[] = {
        {"{\"a\":3,\"t\":\"x\"}", "VALID", "012"},
        {"{\"a\":2}", "VALID", "0"},
        {"{\"t\":\"\"}", "VALID", "1"},
        {"{\"a\":11}", "VALID", "2"},
        {"{\"a\":12}", "FILTERED route.unmatched", ""},
        /* NULL is not true. */
        {"{}", "FILTERED route.unmatched", ""},
        {"{\"a\":\"\"}", "INVALID schema.type(a)", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(run_one(&run, cases[i].json), cases[i].says);
        assert_string_equal(run_routes(&run, 0), cases[i].routes);
        assert_string_equal(run_output(&run, 0),
                            cases[i].routes[0] == '\0' ? "none" : cases[i].json);
    }
    close_both(&plan, &run);
}

static void test_without_conditions(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_sink(&plan, "all", NULL);
    plan_sink(&plan, "some", "a > 1");
    plan_sink(&plan, "all too", NULL);
    run_open(&run, &plan);
    assert_string_equal(run_one(&run, "{\"a\":1}"), "VALID");
    assert_string_equal(run_routes(&run, 0), "02");
    assert_string_equal(run_one(&run, "{\"a\":2}"), "VALID");
    assert_string_equal(run_routes(&run, 0), "012");
    /* What is left over from another batch does not count. */
    assert_string_equal(run_one(&run, "{\"a\":1}"), "VALID");
    assert_string_equal(run_routes(&run, 0), "02");
    assert_string_equal(run_one(&run, "{\"a\":true}"), "INVALID schema.type(a)");
    assert_string_equal(run_routes(&run, 0), "");
    close_both(&plan, &run);
}

static void test_failing_condition(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_where(&plan, "t IS NULL");
    plan_sink(&plan, "all", NULL);
    plan_sink(&plan, "some", "abs(a + -9223372036854775808) > 0");
    run_open(&run, &plan);
    run_add(&run, "{\"a\":0}");
    run_add(&run, "{\"a\":1}");
    run_add(&run, "{\"a\":0,\"t\":\"x\"}");
    run_judge(&run);
    assert_string_equal(run_says(&run, 0), "INVALID transform.route");
    assert_string_equal(run_routes(&run, 0), "");
    assert_string_equal(run_says(&run, 1), "VALID");
    assert_string_equal(run_routes(&run, 1), "01");
    assert_string_equal(run_says(&run, 2), "FILTERED filter.where");
    close_both(&plan, &run);
}

/* What a sink had refused goes to that sink and to no other, whatever conditions say now. */
static void test_refused_rows(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_sink(&plan, "small", "abs(a + -9223372036854775808) > 0 AND a < 10");
    plan_sink(&plan, "large", "a >= 10");
    run_open(&run, &plan);
    run_add_replay(&run, "{\"a\":3}", "topic 0 17 1 large");
    run_add_replay(&run, "{\"a\":0}", "topic 0 18 1 large");
    run_add_replay(&run, "{\"a\":\"x\"}", "topic 0 19 1 large");
    run_add_replay(&run, "{\"a\":12}", "topic 0 20 1");
    run_judge(&run);
    assert_string_equal(run_says(&run, 0), "VALID");
    assert_string_equal(run_routes(&run, 0), "1");
    assert_string_equal(run_says(&run, 1), "VALID");
    assert_string_equal(run_routes(&run, 1), "1");
    assert_string_equal(run_says(&run, 2), "INVALID schema.type(a)");
    assert_string_equal(run_routes(&run, 2), "");
    /* Without a sink's name it is routed like any other. */
    assert_string_equal(run_routes(&run, 3), "1");
    close_both(&plan, &run);
}

/* --- the header of re-injected dead letters --- */

static const struct replay_origin *read_header(struct run_fixture *run, const char *header)
{
    run_add_replay(run, "{\"a\":1}", header);
    run_judge(run);
    return batch_replay(run->batch, 0);
}

static void test_header(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_sink(&plan, "all", NULL);
    run_open(&run, &plan);
    const struct replay_origin *origin = read_header(&run, "raw.iot 3 123456789012345678 2 all");
    assert_non_null(origin);
    assert_true(bytes_equal_string(origin->topic, "raw.iot"));
    assert_int_equal(origin->partition, 3);
    assert_int_equal(origin->offset, INT64_C(123456789012345678));
    assert_int_equal(origin->attempt, 2);
    assert_true(bytes_equal_string(origin->sink, "all"));
    origin = read_header(&run, "t 2147483647 0 0");
    assert_non_null(origin);
    assert_int_equal(origin->partition, 2147483647);
    assert_true(bytes_is_none(origin->sink));
    static const char *const ordinary[] = {
        "",           "t",          "t 0",         "t 0 1",      "t 0 1 x",    "t 0 -1 1",
        "t 0  1 1",   " t 0 1 1",   "t 2147483648 1 1", "t 0 1 2147483648", "t 0 1 1 all more",
        "t 0 0x1 1",  "t 0 1234567890123456789 1", "t 0 1.0 1",
    };
    for (size_t i = 0; i < sizeof ordinary / sizeof ordinary[0]; i++) {
        print_message("'%s'\n", ordinary[i]);
        assert_null(read_header(&run, ordinary[i]));
        assert_string_equal(run_says(&run, 0), "VALID");
    }
    close_both(&plan, &run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_without_conditions),
        cmocka_unit_test(test_failing_condition),
        cmocka_unit_test(test_refused_rows),
        cmocka_unit_test(test_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
