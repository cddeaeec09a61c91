#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stage/stage_fixture.h"

#define PROPERTIES \
    "{at: {type: string, format: date-time}, s: {type: string}, id: {type: string}," \
    " v: {type: integer, maximum: %d}, w: {type: string}, k: {type: integer}}"

struct settings {
    int lateness_s, window_s, max_age_s, maximum;
    const char *dedup_key; /* NULL: no dedup */
    bool fills_w;          /* a second store, before that of v */
    bool fills_v;
};

static const struct settings usual = {10, 30, 20, 99, "id", false, true};

static void open_plan(struct plan_fixture *plan, struct settings s)
{
    char properties[400];
    (void)snprintf(properties, sizeof properties, PROPERTIES, s.maximum);
    plan_fixture_init(plan, properties, NULL);
    plan_event_time(plan, "at", s.lateness_s);
    if (s.fills_w) {
        plan_fill_last_by(plan, "w", "s", s.max_age_s);
    }
    if (s.fills_v) {
        plan_fill_last_by(plan, "v", "s", s.max_age_s);
    }
    if (s.dedup_key != NULL) {
        plan_dedup(plan, s.dedup_key, s.window_s);
    }
}

static const char *row(struct run_fixture *run, int second, const char *members)
{
    char text[160];
    (void)snprintf(text, sizeof text, "{\"at\": \"@%d@\", \"s\": \"a\"%s%s}", second,
                   members[0] == '\0' ? "" : ", ", members);
    return run_one(run, text);
}

static int64_t value_of(const struct run_fixture *run)
{
    uint32_t field = layout_find(run->batch->layout, "v");
    return run->batch->columns[field].cells[0] == CELL_ABSENT
               ? -1
               : run->batch->columns[field].integers[0];
}

#define DUPLICATE "DUPLICATE duplicate(id)"

/* --- written and read --- */

static void remember_things(struct run_fixture *run)
{
    row(run, 0, "\"id\": \"a\", \"v\": 1, \"w\": \"one\"");
    row(run, 5, "\"id\": \"b\", \"v\": 2, \"w\": \"\"");
    row(run, 9, "\"id\": \"c\"");
}

/* The state, read back into a new one; what comes afterwards is judged alike. */
static void test_written_and_read(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    struct error err = {0};
    struct settings s = usual;
    s.fills_w = true;
    open_plan(&plan, s);
    plan.plan.max_jump_us = SECONDS_US(50);
    run_open(&run, &plan);
    run.timestamp_kind = TIMESTAMP_PRODUCER;
    run.key = "sender";
    remember_things(&run);
    assert_string_equal(row(&run, 100, ""), "INVALID time.future(at)");
    struct buffer form = {0};
    stage_state_write(run.state, &plan.plan, &form);
    struct stage_state *copy = stage_state_new(&plan.plan, &run.budget, 0);
    assert_int_equal(stage_state_read(copy, bytes_of(form.data, form.size), &err), STATUS_OK);
    assert_true(hash_equal(stage_state_digest(copy, &plan.plan),
                           stage_state_digest(run.state, &plan.plan)));
    assert_int_equal(copy->next_offset, 4);
    assert_true(hash_equal(copy->last_record_hash, run.state->last_record_hash));
    assert_int_equal(copy->candidates.count, 1);
    assert_int_equal(anchors_start(&copy->anchors)->offset,
                     anchors_start(&run.state->anchors)->offset);
    stage_state_free(run.state);
    run.state = copy;
    assert_string_equal(row(&run, 10, "\"id\": \"a\""), DUPLICATE);
    row(&run, 10, "");
    assert_int_equal(value_of(&run), 2);
    assert_string_equal(run_repairs(&run, 0), "fill_last_by(w) fill_last_by(v)");
    buffer_fini(&form);
    run_close(&run);
    plan_fixture_fini(&plan);
}

/* Every cut and every other plan is an error, never a crash. */
static void test_broken_forms(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct plan_fixture other;
    struct run_fixture run;
    struct settings s = usual;
    s.fills_w = true;
    open_plan(&plan, s);
    run_open(&run, &plan);
    remember_things(&run);
    struct buffer form = {0};
    stage_state_write(run.state, &plan.plan, &form);
    for (size_t size = 0; size <= form.size + 1; size++) {
        uint8_t *exact = memory_alloc(size);
        memcpy(exact, form.data, size < form.size ? size : form.size);
        if (size > form.size) {
            exact[form.size] = 0;
        }
        struct error err = {0};
        struct stage_state *copy = stage_state_new(&plan.plan, &run.budget, 0);
        enum status status = stage_state_read(copy, bytes_of(exact, size), &err);
        assert_int_equal(status, size == form.size ? STATUS_OK : STATUS_FATAL);
        assert_string_equal(err.code, size == form.size ? "" : "snapshot.corrupt");
        stage_state_free(copy);
        memory_free(exact);
    }
    const struct settings others[] = {
        {10, 30, 20, 99, NULL, true, true},
        {10, 30, 20, 99, "id", false, true},
    };
    for (size_t i = 0; i < 2; i++) {
        struct error err = {0};
        open_plan(&other, others[i]);
        struct stage_state *copy = stage_state_new(&other.plan, &run.budget, 0);
        assert_int_equal(stage_state_read(copy, bytes_of(form.data, form.size), &err),
                         STATUS_FATAL);
        assert_string_equal(err.code, "snapshot.corrupt");
        stage_state_free(copy);
        plan_fixture_fini(&other);
    }
    buffer_fini(&form);
    run_close(&run);
    plan_fixture_fini(&plan);
}

/* What is no longer remembered is no part of the state, purged or not. */
static void test_digest(void **state)
{
    (void)state;
    struct plan_fixture plan;
    struct run_fixture run;
    struct run_fixture other;
    open_plan(&plan, usual);
    run_open(&run, &plan);
    run_open(&other, &plan);
    struct hash128 empty = stage_state_digest(run.state, &plan.plan);
    row(&run, 0, "\"id\": \"a\", \"v\": 1");
    row(&other, 0, "\"id\": \"b\", \"v\": 2");
    assert_false(hash_equal(stage_state_digest(run.state, &plan.plan), empty));
    assert_false(hash_equal(stage_state_digest(run.state, &plan.plan),
                            stage_state_digest(other.state, &plan.plan)));
    row(&run, 41, "");
    row(&other, 41, "");
    assert_true(hash_equal(stage_state_digest(run.state, &plan.plan),
                           stage_state_digest(other.state, &plan.plan)));
    run_close(&run);
    run_close(&other);
    plan_fixture_fini(&plan);
}

/* --- another plan --- */

struct change {
    struct plan_fixture from, to;
    struct run_fixture run;
};

static void open_change(struct change *change, struct settings from, struct settings to)
{
    open_plan(&change->from, from);
    open_plan(&change->to, to);
    run_open(&change->run, &change->from);
}

static void close_change(struct change *change)
{
    run_close(&change->run);
    plan_fixture_fini(&change->from);
    plan_fixture_fini(&change->to);
}

static void test_longer_window(void **state)
{
    (void)state;
    struct change change;
    struct settings to = usual;
    to.window_s = 300;
    open_change(&change, usual, to);
    row(&change.run, 0, "\"id\": \"forgotten\"");
    row(&change.run, 1, "\"id\": \"remembered\"");
    row(&change.run, 41, "\"id\": \"last\"");
    run_change_plan(&change.run, &change.to);
    /* What the old rule had forgotten stays forgotten, what it remembered is remembered longer. */
    assert_string_equal(row(&change.run, 41, "\"id\": \"forgotten\""), "VALID");
    assert_string_equal(row(&change.run, 311, "\"id\": \"remembered\""), DUPLICATE);
    assert_string_equal(row(&change.run, 311, "\"id\": \"last\""), DUPLICATE);
    close_change(&change);
}

static void test_shorter_window(void **state)
{
    (void)state;
    struct change change;
    struct settings to = usual;
    to.window_s = 5;
    open_change(&change, usual, to);
    row(&change.run, 0, "\"id\": \"a\"");
    row(&change.run, 5, "\"id\": \"b\"");
    row(&change.run, 20, "\"id\": \"c\"");
    run_change_plan(&change.run, &change.to);
    assert_string_equal(row(&change.run, 20, "\"id\": \"b\""), DUPLICATE);
    assert_string_equal(row(&change.run, 20, "\"id\": \"a\""), "VALID");
    close_change(&change);
}

/* A longer lateness takes the watermark back; what had been forgotten does not come back with it.
 * */
static void test_longer_lateness(void **state)
{
    (void)state;
    struct change change;
    struct settings to = usual;
    to.lateness_s = 100;
    open_change(&change, usual, to);
    row(&change.run, 0, "\"id\": \"a\", \"v\": 1");
    row(&change.run, 41, "\"id\": \"b\"");
    assert_string_equal(row(&change.run, 30, ""), "LATE late");
    run_change_plan(&change.run, &change.to);
    assert_string_equal(row(&change.run, 0, "\"id\": \"a\""), "VALID");
    assert_int_equal(value_of(&change.run), -1);
    assert_string_equal(row(&change.run, 141, "\"id\": \"b\""), DUPLICATE);
    close_change(&change);
}

static void test_other_max_age(void **state)
{
    (void)state;
    struct change change;
    struct settings longer = usual;
    longer.max_age_s = 200;
    open_change(&change, usual, longer);
    row(&change.run, 0, "\"v\": 1");
    row(&change.run, 30, "");
    assert_int_equal(value_of(&change.run), -1);
    run_change_plan(&change.run, &change.to);
    /* At watermark 20 the value of second 0 was remembered, though too old for rows. */
    row(&change.run, 200, "");
    assert_int_equal(value_of(&change.run), 1);
    close_change(&change);
    open_change(&change, longer, usual);
    row(&change.run, 0, "\"v\": 1");
    row(&change.run, 100, "");
    assert_int_equal(value_of(&change.run), 1);
    run_change_plan(&change.run, &change.to);
    row(&change.run, 100, "");
    assert_int_equal(value_of(&change.run), -1);
    close_change(&change);
}

static void test_other_definitions_start_anew(void **state)
{
    (void)state;
    struct change change;
    struct settings to = usual;
    to.dedup_key = "k";
    to.fills_v = false;
    open_change(&change, usual, to);
    row(&change.run, 0, "\"id\": \"a\", \"k\": 1, \"v\": 5");
    run_change_plan(&change.run, &change.to);
    assert_string_equal(row(&change.run, 0, "\"id\": \"a\", \"k\": 1"), "VALID");
    assert_int_equal(value_of(&change.run), -1);
    assert_string_equal(row(&change.run, 0, "\"k\": 1"), "DUPLICATE duplicate(k)");
    /* And back: nothing is left of before. */
    run_change_plan(&change.run, &change.from);
    assert_string_equal(row(&change.run, 0, "\"id\": \"a\""), "VALID");
    assert_int_equal(value_of(&change.run), -1);
    close_change(&change);
}

static void test_dedup_comes_and_goes(void **state)
{
    (void)state;
    struct change change;
    struct settings without = usual;
    without.dedup_key = NULL;
    open_change(&change, without, usual);
    row(&change.run, 0, "\"id\": \"a\"");
    run_change_plan(&change.run, &change.to);
    assert_string_equal(row(&change.run, 0, "\"id\": \"a\""), "VALID");
    assert_string_equal(row(&change.run, 0, "\"id\": \"a\""), DUPLICATE);
    run_change_plan(&change.run, &change.from);
    assert_string_equal(row(&change.run, 0, "\"id\": \"a\""), "VALID");
    assert_null(change.run.state->seen);
    close_change(&change);
}

/* Stores are found by what they hold, not by where they stand. */
static void test_stores_keep_their_meaning(void **state)
{
    (void)state;
    struct change change;
    struct settings to = usual;
    to.fills_w = true;
    open_change(&change, usual, to);
    row(&change.run, 0, "\"v\": 5, \"w\": \"x\"");
    run_change_plan(&change.run, &change.to);
    row(&change.run, 1, "");
    assert_int_equal(value_of(&change.run), 5);
    assert_string_equal(run_repairs(&change.run, 0), "fill_last_by(v)");
    row(&change.run, 2, "\"w\": \"y\"");
    run_change_plan(&change.run, &change.from);
    row(&change.run, 3, "");
    assert_int_equal(value_of(&change.run), 5);
    close_change(&change);
}

/* A value that was right under the plan it came with, and is wrong under the one that would use it.
 * */
static void test_stricter_schema(void **state)
{
    (void)state;
    struct change change;
    struct settings to = usual;
    to.maximum = 50;
    open_change(&change, usual, to);
    row(&change.run, 0, "\"v\": 80");
    run_change_plan(&change.run, &change.to);
    assert_string_equal(row(&change.run, 1, ""), "VALID");
    assert_int_equal(value_of(&change.run), -1);
    assert_string_equal(row(&change.run, 1, "\"v\": 50"), "VALID");
    row(&change.run, 2, "");
    assert_int_equal(value_of(&change.run), 50);
    close_change(&change);
}

/* Rows before the change need the reaches of both plans one after the other. */
static void test_anchors_over_a_change(void **state)
{
    (void)state;
    struct change change;
    struct settings to = usual;
    to.window_s = 300;
    open_change(&change, usual, to);
    for (int second = 0; second <= 400; second += 4) {
        row(&change.run, second, "");
    }
    assert_int_equal(run_second(anchors_start(&change.run.state->anchors)->greatest_us), 336);
    run_change_plan(&change.run, &change.to);
    int64_t changed_offset = change.run.next_offset;
    /* 10 + 30 + 20 before, 10 + 300 + 20 behind. */
    for (int second = 404; second <= 780; second += 4) {
        row(&change.run, second, "");
        int64_t start_us = anchors_start(&change.run.state->anchors)->greatest_us;
        assert_true(anchors_start(&change.run.state->anchors)->offset >= changed_offset ||
                    run_second(start_us) == 336 || second - run_second(start_us) > 60 + 330);
        assert_true(anchors_start(&change.run.state->anchors)->offset < changed_offset ||
                    second - run_second(start_us) > 330);
    }
    assert_true(anchors_start(&change.run.state->anchors)->offset >= changed_offset);
    close_change(&change);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_and_read),
        cmocka_unit_test(test_broken_forms),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_longer_window),
        cmocka_unit_test(test_shorter_window),
        cmocka_unit_test(test_longer_lateness),
        cmocka_unit_test(test_other_max_age),
        cmocka_unit_test(test_other_definitions_start_anew),
        cmocka_unit_test(test_dedup_comes_and_goes),
        cmocka_unit_test(test_stores_keep_their_meaning),
        cmocka_unit_test(test_stricter_schema),
        cmocka_unit_test(test_anchors_over_a_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
