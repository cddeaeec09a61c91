#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/time.h"
#include "stage/stage_fixture.h"

#define PROPERTIES "{id: {type: string}, n: {type: integer}, at: {type: string, format: date-time}}"

static void add_key(struct plan_fixture *plan, const char *name)
{
    uint32_t field = plan_field(plan, name);
    plan->plan.key_fields[plan->plan.key.count] = field;
    record_key_add(&plan->plan.key, &plan->plan.layout->fields[field]);
}

static void open_both(struct plan_fixture *plan, struct run_fixture *run, const char *key)
{
    plan->plan.takes_tombstones = true;
    if (key != NULL) {
        add_key(plan, key);
    }
    run_open(run, plan);
}

static void close_both(struct plan_fixture *plan, struct run_fixture *run)
{
    run_close(run);
    plan_fixture_fini(plan);
}

/* A tombstone of that key, or a row, as a batch of its own. */
static const char *says(struct run_fixture *run, const char *key, const char *json)
{
    run->key = key;
    uint32_t row = json == NULL ? run_add_bytes(run, BYTES_NONE) : run_add(run, json);
    run_judge(run);
    return run_says(run, row);
}

static void test_no_stage_asks_them(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_event_time(&plan, "at", 0);
    plan_fill_value(&plan, "n", value_of_integer(1));
    plan_check(&plan, "never", "1 = 0", false);
    plan_where(&plan, "1 = 0");
    plan_set(&plan, "id", "'x'");
    plan_dedup(&plan, "id", 100);
    plan_sink(&plan, "some", "n = 7");
    plan_sink(&plan, "all", NULL);
    open_both(&plan, &run, NULL);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(says(&run, "a", NULL), "VALID");
        assert_string_equal(run_routes(&run, 0), "01");
        assert_string_equal(run_output(&run, 0), "none");
        assert_string_equal(run_repairs(&run, 0), "");
        assert_true(run.batch->event_times_us[0] == TIME_NEVER);
        assert_true(batch_is_tombstone(run.batch, 0));
    }
    assert_true(run.state->greatest_us == TIME_NEVER);
    assert_string_equal(says(&run, NULL, NULL), "INVALID key.missing");
    assert_string_equal(run_routes(&run, 0), "");
    /* No value is not the same as one of no bytes. */
    assert_string_equal(says(&run, "a", ""), "INVALID decode.syntax");
    close_both(&plan, &run);
}

static void test_rows_have_the_key_of_their_records(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init_schema(&plan, "{type: object, required: [n], properties: " PROPERTIES "}", NULL);
    plan_coerce(&plan, "n");
    open_both(&plan, &run, "n");
    static const struct {
        const char *key, *json, *says;
    } cases[] = {
        {"7", "{\"n\":7}", "VALID"},
        {"7", "{\"n\":7.0}", "VALID"},
        {"7", "{\"n\":\"7\"}", "VALID"},
        {"8", "{\"n\":7}", "INVALID key.mismatch(n)"},
        {"07", "{\"n\":7}", "INVALID key.mismatch(n)"},
        {NULL, "{\"n\":7}", "INVALID key.missing"},
        {"7", "{\"n\":true}", "INVALID schema.type(n)"},
        {"7", "{}", "INVALID schema.required(n)"},
        {"7", "{", "INVALID decode.syntax"},
        {"7", NULL, "VALID"},
        {"07", NULL, "INVALID key.mismatch(n)"},
        {"x", NULL, "INVALID key.mismatch(n)"},
        {NULL, NULL, "INVALID key.missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(says(&run, cases[i].key, cases[i].json), cases[i].says);
    }
    close_both(&plan, &run);
}

static void test_keys_stand_in_their_partition(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan.plan.keys_have_partitions = true;
    open_both(&plan, &run, "id");
    uint32_t home = hash_partition(bytes_of_string("a"), 5);
    static const char *const rows[] = {NULL, "{\"id\":\"a\"}"};
    for (size_t i = 0; i < 2; i++) {
        for (uint32_t number = 0; number < 5; number++) {
            run.key = "a";
            uint32_t row = rows[i] == NULL ? run_add_bytes(&run, BYTES_NONE) : run_add(&run, rows[i]);
            run.batch->partition_number = number;
            run.batch->partition_count = 5;
            run_judge(&run);
            assert_string_equal(run_says(&run, row),
                                number == home ? "VALID" : "INVALID key.partition");
        }
        /* Nobody knows, or there is one. */
        assert_string_equal(says(&run, "a", rows[i]), "VALID");
    }
    close_both(&plan, &run);
}

static void test_keys_of_several_members(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan.plan.keys_have_partitions = true;
    plan.plan.key.format = KEY_JSON;
    add_key(&plan, "n");
    open_both(&plan, &run, "id");
    static const struct {
        const char *key, *json, *says;
    } cases[] = {
        {"{\"n\":7,\"id\":\"x\"}", "{\"id\":\"x\",\"n\":7}", "VALID"},
        {"{\"id\": \"x\", \"n\": 7}", "{\"id\":\"x\",\"n\":7}", "VALID"},
        {"{\"n\":7,\"id\":\"x\"}", "{\"id\":\"x\",\"n\":8}", "INVALID key.mismatch(n)"},
        {"{\"n\":7,\"id\":\"x\"}", "{\"id\":\"y\",\"n\":7}", "INVALID key.mismatch(id)"},
        {"{\"n\":7}", "{\"id\":\"x\",\"n\":7}", "INVALID key.mismatch(n)"},
        {NULL, "{\"id\":\"x\",\"n\":7}", "INVALID key.missing"},
        {"{\"n\":7,\"id\":\"x\"}", NULL, "VALID"},
        {"{\"id\":\"x\",\"n\":7}", NULL, "VALID"},
        {"{\"n\":7,\"id\":7}", NULL, "INVALID key.mismatch(n)"},
        {"x", NULL, "INVALID key.mismatch(n)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(says(&run, cases[i].key, cases[i].json), cases[i].says);
    }
    close_both(&plan, &run);
}

/* The same values in other bytes would lie in another partition. */
static void test_where_there_are_partitions_a_key_has_one_spelling(void **state)
{
    (void)state;
    static const char *const keys[] = {"{\"id\":\"x\"}", "{\"id\": \"x\"}"};
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan.plan.keys_have_partitions = true;
    plan.plan.key.format = KEY_JSON;
    open_both(&plan, &run, "id");
    for (int i = 0; i < 4; i++) {
        const char *key = keys[i / 2];
        run.key = key;
        uint32_t row = i % 2 == 0 ? run_add_bytes(&run, BYTES_NONE) : run_add(&run, "{\"id\":\"x\"}");
        run.batch->partition_count = 5;
        run.batch->partition_number = hash_partition(bytes_of_string(key), 5);
        run_judge(&run);
        assert_string_equal(run_says(&run, row), i < 2 ? "VALID" : "INVALID key.mismatch(id)");
    }
    close_both(&plan, &run);
}

static void test_replays_go_to_their_sink(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    plan_sink(&plan, "one", NULL);
    plan_sink(&plan, "two", NULL);
    open_both(&plan, &run, "id");
    run.key = "a";
    uint32_t row = run_add_replay(&run, "{}", "in 0 5 1 two");
    run.batch->records[row].value = BYTES_NONE;
    run_judge(&run);
    assert_string_equal(run_says(&run, row), "VALID");
    assert_string_equal(run_routes(&run, row), "1");
    row = run_add_replay(&run, "{}", "in 0 5 1 gone");
    run.batch->records[row].value = BYTES_NONE;
    run_judge(&run);
    assert_string_equal(run_says(&run, row), "FILTERED route.unmatched");
    close_both(&plan, &run);
}

static void test_without_them_no_value_is_invalid(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    plan_fixture_init(&plan, PROPERTIES, NULL);
    run_open(&run, &plan);
    assert_string_equal(says(&run, "a", NULL), "INVALID decode.null_value");
    assert_false(batch_is_tombstone(run.batch, 0));
    close_both(&plan, &run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_stage_asks_them),
        cmocka_unit_test(test_rows_have_the_key_of_their_records),
        cmocka_unit_test(test_keys_stand_in_their_partition),
        cmocka_unit_test(test_keys_of_several_members),
        cmocka_unit_test(test_where_there_are_partitions_a_key_has_one_spelling),
        cmocka_unit_test(test_replays_go_to_their_sink),
        cmocka_unit_test(test_without_them_no_value_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
