/*
 * The rules of fill last_by, dedup, lateness, purge, anchors, plan changes and replay on random
 * logs with heavily reused keys: a small model of the stages stands on the stores, and beside it a
 * naive one on plain arrays that never purges. They must agree row by row however often the stores
 * are purged, and replay from an anchor must come to the same state and the same later verdicts.
 *
 * Rules that are almost right must fail, else the logs would not show anything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "base/time.h"
#include "state/anchor.h"
#include "state/store.h"

enum {
    TRIALS = 1500,
    ROWS = 400,
    KEYS_MAX = 20,
    SENSORS_MAX = 3,
    PLANS_MAX = 4,
    NONE = -1,
};

struct rule {
    int64_t lateness;
    int64_t window;
    int64_t max_age;
};

struct plan {
    int64_t offset; /* from here on */
    struct rule rule;
};

struct row {
    int64_t event_time; /* TIME_NEVER: none */
    int key;            /* NONE: null */
    int sensor;
    int value; /* NONE: absent */
    int least; /* a check wants at least this value */
};

struct scenario {
    struct row rows[ROWS];
    struct plan plans[PLANS_MAX];
    uint32_t plan_count;
};

struct outcome {
    enum { INVALID, DUPLICATE, LATE, VALID } verdict;
    int64_t detail;
};

/* What is changed to see whether the trials notice. */
enum neighbour {
    THE_RULE,
    LONGEST_OF_HORIZONS, /* lateness + the longest horizon, instead of the sum */
    LONGER_OF_PLANS,     /* across a plan change the longer horizon, instead of the sum */
    OLD_PLAN_FORGOTTEN,  /* across a plan change the new horizon alone */
};

/* --- Scenarios. --- */

static int64_t pick(struct prng *prng, const int64_t *from, size_t count)
{
    return from[prng_below(prng, count)];
}
#define PICK(prng, ...) \
    pick(prng, (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static struct rule random_rule(struct prng *prng)
{
    return (struct rule){
        .lateness = PICK(prng, 0, 5, 20, 60),
        .window = PICK(prng, 5, 40, 100),
        .max_age = PICK(prng, 5, 20, 100, 200),
    };
}

static int64_t horizon_of(const struct rule *rule, enum neighbour neighbour)
{
    if (neighbour == LONGEST_OF_HORIZONS) {
        return rule->lateness + (rule->window > rule->max_age ? rule->window : rule->max_age);
    }
    return rule->lateness + rule->window + rule->max_age;
}

static void make_rows(struct prng *prng, const struct rule *rule, struct row *rows)
{
    int64_t now = 1000;
    uint64_t key_count = (uint64_t)PICK(prng, 3, 8, KEYS_MAX);
    uint64_t sensor_count = (uint64_t)PICK(prng, 1, SENSORS_MAX);
    double future = prng_below(prng, 3) == 0 ? .03 : 0;
    for (int i = 0; i < ROWS; i++) {
        now += PICK(prng, 0, 1, 3, 8);
        uint64_t near = 2 * (uint64_t)rule->lateness + 1;
        uint64_t far = (uint64_t)horizon_of(rule, THE_RULE) + 1;
        uint64_t kind = prng_below(prng, 5);
        uint64_t behind = kind < 3 ? 0 : 1 + prng_below(prng, kind == 3 ? near : far);
        uint64_t reach = (uint64_t)(rule->window + rule->max_age) + 1;
        uint64_t ahead = prng_unit(prng) < future ? prng_below(prng, reach) : 0;
        rows[i] = (struct row){
            .event_time =
                prng_unit(prng) < .02 ? TIME_NEVER : now - (int64_t)behind + (int64_t)ahead,
            .key = prng_unit(prng) < .05 ? NONE : (int)prng_below(prng, key_count),
            .sensor = (int)prng_below(prng, sensor_count),
            .value = prng_below(prng, 2) == 0 ? NONE : (int)prng_below(prng, 100),
            .least = prng_below(prng, 3) < 2 ? 0 : (int)prng_below(prng, 80),
        };
    }
}

static void make_scenario(struct prng *prng, bool change_plans, struct scenario *out)
{
    out->plan_count = 1;
    out->plans[0] = (struct plan){.offset = 0, .rule = random_rule(prng)};
    int64_t offset = 0;
    while (change_plans && out->plan_count < PLANS_MAX) {
        offset += 1 + (int64_t)prng_below(prng, 100);
        out->plans[out->plan_count++] = (struct plan){.offset = offset, .rule = random_rule(prng)};
    }
    make_rows(prng, &out->plans[prng_below(prng, out->plan_count)].rule, out->rows);
}

static uint32_t plan_at(const struct scenario *scenario, int64_t offset)
{
    uint32_t plan = 0;
    while (plan + 1 < scenario->plan_count && scenario->plans[plan + 1].offset <= offset) {
        plan++;
    }
    return plan;
}

/* --- The naive world. --- */

struct naive_entry {
    bool known;
    int64_t event_time;
    int64_t detail; /* the value, or the offset of the latest sighting */
};

struct naive {
    int64_t greatest;
    struct naive_entry last[SENSORS_MAX];
    struct naive_entry seen[KEYS_MAX];
};

static void naive_change(struct naive *naive, const struct rule *old)
{
    int64_t watermark = naive->greatest - old->lateness;
    for (int i = 0; i < SENSORS_MAX; i++) {
        naive->last[i].known &= watermark <= naive->last[i].event_time + old->max_age;
    }
    for (int i = 0; i < KEYS_MAX; i++) {
        naive->seen[i].known &= watermark <= naive->seen[i].event_time + old->window;
    }
}

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct outcome naive_step(struct naive *naive, int64_t offset, const struct row *row,
                                 const struct rule *rule)
{
    if (row->event_time == TIME_NEVER) {
        return (struct outcome){INVALID, -1};
    }
    bool late = row->event_time < naive->greatest - rule->lateness;
    naive->greatest = greater(naive->greatest, row->event_time);
    int64_t watermark = naive->greatest - rule->lateness;
    int64_t value = row->value;
    struct naive_entry *last = &naive->last[row->sensor];
    if (value != NONE) {
        if (!last->known || row->event_time >= last->event_time) {
            *last = (struct naive_entry){true, row->event_time, value};
        }
    } else if (last->known && row->event_time >= last->event_time &&
               row->event_time - last->event_time <= rule->max_age &&
               watermark <= last->event_time + rule->max_age) {
        value = last->detail;
    }
    if (value == NONE) {
        return (struct outcome){INVALID, -2};
    }
    if (value < row->least) {
        return (struct outcome){INVALID, value};
    }
    if (row->key != NONE) {
        struct naive_entry *seen = &naive->seen[row->key];
        if (seen->known && watermark <= seen->event_time + rule->window) {
            struct outcome outcome = {DUPLICATE, seen->detail};
            if (!late) {
                seen->event_time = greater(seen->event_time, row->event_time);
                seen->detail = offset;
            }
            return outcome;
        }
        if (!late) {
            *seen = (struct naive_entry){true, row->event_time, offset};
        }
    }
    return (struct outcome){late ? LATE : VALID, value};
}

/* --- The world on the stores. --- */

struct world {
    struct state_budget budget;
    int64_t greatest;
    struct seen_store *seen;
    struct last_store *last;
    struct anchors anchors;
    uint32_t plan;
    enum neighbour neighbour;
};

/* Key 0 hashes to zeros: it must work as any other. */
static struct hash128 hash_of(int key)
{
    return (struct hash128){(uint64_t)key * 3, 0};
}

static void world_init(struct world *world, const struct scenario *scenario, int64_t offset,
                       enum neighbour neighbour)
{
    *world = (struct world){
        .budget = {.limit_bytes = 1 << 20},
        .greatest = TIME_NEVER,
        .plan = plan_at(scenario, offset),
        .neighbour = neighbour,
    };
    const struct rule *rule = &scenario->plans[world->plan].rule;
    world->seen = seen_store_new(&world->budget, rule->window);
    world->last = last_store_new(&world->budget, rule->max_age);
    anchors_init(&world->anchors, horizon_of(rule, neighbour));
}

static void world_fini(struct world *world)
{
    seen_store_free(world->seen);
    last_store_free(world->last);
    anchors_fini(&world->anchors);
    assert_int_equal(world->budget.used_bytes, 0);
}

static void world_purge(struct world *world, const struct rule *rule)
{
    seen_store_purge(world->seen, world->greatest - rule->lateness);
    last_store_purge(world->last, world->greatest - rule->lateness);
}

static void world_change(struct world *world, const struct rule *old, const struct plan *plan)
{
    world_purge(world, old);
    seen_store_set_horizon(world->seen, plan->rule.window);
    last_store_set_horizon(world->last, plan->rule.max_age);
    int64_t before = world->anchors.horizon_us;
    int64_t horizon = horizon_of(&plan->rule, world->neighbour);
    anchors_change_horizon(&world->anchors, plan->offset, horizon);
    if (world->neighbour == LONGER_OF_PLANS) {
        world->anchors.changed_horizon_us = greater(before, horizon);
    } else if (world->neighbour == OLD_PLAN_FORGOTTEN) {
        world->anchors.changed_horizon_us = horizon;
    }
}

static struct outcome world_judge(struct world *world, int64_t offset, const struct row *row,
                                  const struct rule *rule)
{
    if (row->event_time == TIME_NEVER) {
        return (struct outcome){INVALID, -1};
    }
    struct error err = {0};
    bool late = row->event_time < world->greatest - rule->lateness;
    world->greatest = greater(world->greatest, row->event_time);
    int64_t watermark = world->greatest - rule->lateness;
    int64_t value = row->value;
    struct hash128 sensor = hash_of(row->sensor);
    if (value != NONE) {
        struct last_entry entry = {row->event_time, offset, {VALUE_INT64, {.integer = value}}};
        assert_int_equal(last_store_put(world->last, sensor, entry, watermark, &err), STATUS_OK);
    } else {
        const struct last_entry *last = last_store_find(world->last, sensor, watermark);
        if (last != NULL && row->event_time >= last->event_time_us &&
            row->event_time - last->event_time_us <= rule->max_age) {
            value = last->value.integer;
        }
    }
    if (value == NONE) {
        return (struct outcome){INVALID, -2};
    }
    if (value < row->least) {
        return (struct outcome){INVALID, value};
    }
    if (row->key != NONE) {
        struct hash128 key = hash_of(row->key);
        seen_store_prefetch(world->seen, key);
        const struct seen_entry sighting = {row->event_time, offset};
        struct seen_entry seen;
        bool is_known = false;
        if (late) {
            is_known = seen_store_find(world->seen, key, watermark, &seen);
        } else {
            assert_int_equal(
                seen_store_see(world->seen, key, sighting, watermark, &is_known, &seen, &err),
                STATUS_OK);
        }
        if (is_known) {
            return (struct outcome){DUPLICATE, seen.offset};
        }
    }
    return (struct outcome){late ? LATE : VALID, value};
}

static struct outcome world_step(struct world *world, const struct scenario *scenario,
                                 int64_t offset)
{
    while (world->plan < plan_at(scenario, offset)) {
        world_change(world, &scenario->plans[world->plan].rule, &scenario->plans[world->plan + 1]);
        world->plan++;
    }
    struct anchor anchor = {.offset = offset, .greatest_us = world->greatest};
    anchors_offer(&world->anchors, &anchor);
    return world_judge(world, offset, &scenario->rows[offset], &scenario->plans[world->plan].rule);
}

static bool worlds_equal(const struct world *a, const struct world *b, const struct rule *rule)
{
    int64_t watermark = a->greatest - rule->lateness;
    return a->greatest == b->greatest &&
           hash_equal(seen_store_digest(a->seen, watermark),
                      seen_store_digest(b->seen, watermark)) &&
           hash_equal(last_store_digest(a->last, watermark), last_store_digest(b->last, watermark));
}

static bool outcomes_equal(struct outcome a, struct outcome b)
{
    return a.verdict == b.verdict && a.detail == b.detail;
}

/* --- Trials. --- */

struct counts {
    unsigned purge_visible;
    unsigned state_differs;
    unsigned later_differs;
    unsigned late_starts; /* the anchor was not the start of the log */
    unsigned starts_before_change;
};

static void trial_purge(const struct scenario *scenario, struct prng *prng, struct counts *counts)
{
    struct naive naive = {.greatest = TIME_NEVER};
    struct world world;
    world_init(&world, scenario, 0, THE_RULE);
    bool visible = false;
    for (int64_t i = 0; i < ROWS; i++) {
        uint32_t plan = plan_at(scenario, i);
        if (plan != world.plan) {
            naive_change(&naive, &scenario->plans[world.plan].rule);
        }
        struct outcome expected =
            naive_step(&naive, i, &scenario->rows[i], &scenario->plans[plan].rule);
        visible |= !outcomes_equal(expected, world_step(&world, scenario, i));
        if (prng_below(prng, 10) < 3) {
            world_purge(&world, &scenario->plans[plan].rule);
        }
    }
    counts->purge_visible += visible;
    world_fini(&world);
}

/* Stops before the row `stop`, replays up to there, and lets both worlds go on. */
static void trial_replay(const struct scenario *scenario, struct prng *prng, int64_t stop,
                         enum neighbour neighbour, struct counts *counts)
{
    struct world first;
    world_init(&first, scenario, 0, neighbour);
    for (int64_t i = 0; i < stop; i++) {
        world_step(&first, scenario, i);
        if (prng_below(prng, 8) == 0) {
            anchors_advance(&first.anchors, first.greatest);
        }
    }
    anchors_advance(&first.anchors, first.greatest);
    struct anchor start = *anchors_start(&first.anchors);
    counts->late_starts += start.offset > 0;
    counts->starts_before_change += plan_at(scenario, start.offset) != first.plan;

    struct world again;
    world_init(&again, scenario, start.offset, neighbour);
    again.greatest = start.greatest_us;
    anchors_offer(&again.anchors, &start);
    for (int64_t i = start.offset; i < stop; i++) {
        world_step(&again, scenario, i);
        anchors_advance(&again.anchors, again.greatest);
        if (prng_below(prng, 4) == 0) {
            world_purge(&again, &scenario->plans[again.plan].rule);
        }
    }
    counts->state_differs += !worlds_equal(&first, &again, &scenario->plans[first.plan].rule);
    bool later = false;
    for (int64_t i = stop; i < ROWS; i++) {
        struct outcome expected = world_step(&first, scenario, i);
        later |= !outcomes_equal(expected, world_step(&again, scenario, i));
    }
    counts->later_differs += later;
    world_fini(&first);
    world_fini(&again);
}

static struct counts run_trials(bool change_plans, enum neighbour neighbour)
{
    struct counts counts = {0};
    struct scenario scenario;
    for (uint64_t seed = 0; seed < TRIALS; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        make_scenario(&prng, change_plans, &scenario);
        if (neighbour == THE_RULE) {
            trial_purge(&scenario, &prng, &counts);
        }
        /* Soon after a plan change, when the state still comes from both plans. */
        int64_t stop =
            change_plans ? scenario.plans[PLANS_MAX - 1].offset + 1 + (int64_t)prng_below(&prng, 60)
                         : ROWS / 2 + (int64_t)prng_below(&prng, ROWS / 2 - 20);
        trial_replay(&scenario, &prng, stop, neighbour, &counts);
    }
    print_message("purge visible %u, state differs %u, later verdicts differ %u, late starts %u, "
                  "starts under an older plan %u of %d\n",
                  counts.purge_visible, counts.state_differs, counts.later_differs,
                  counts.late_starts, counts.starts_before_change, TRIALS);
    return counts;
}

static void assert_rule_holds(const struct counts *counts)
{
    assert_int_equal(counts->purge_visible, 0);
    assert_int_equal(counts->state_differs, 0);
    assert_int_equal(counts->later_differs, 0);
    /* Replay from the start of the log would always be right. */
    assert_true(counts->late_starts > TRIALS / 2);
}

static void test_one_plan(void **state)
{
    (void)state;
    struct counts counts = run_trials(false, THE_RULE);
    assert_rule_holds(&counts);
}

static void test_plan_changes(void **state)
{
    (void)state;
    struct counts counts = run_trials(true, THE_RULE);
    assert_rule_holds(&counts);
    assert_true(counts.starts_before_change > TRIALS / 10);
}

static void test_neighbours_are_caught(void **state)
{
    (void)state;
    struct counts counts = run_trials(false, LONGEST_OF_HORIZONS);
    assert_true(counts.state_differs > 0 && counts.later_differs > 0);
    counts = run_trials(true, OLD_PLAN_FORGOTTEN);
    assert_true(counts.state_differs > 0);
}

/*
 * A row of the old plan is valid only because of a value from 95 before, and the new plan's window
 * still remembers its key 145 later: 240 in all, when neither plan alone reaches further than 155.
 */
static void make_long_reach(struct scenario *scenario)
{
    scenario->plan_count = 2;
    scenario->plans[0] = (struct plan){0, {.lateness = 0, .window = 50, .max_age = 100}};
    scenario->plans[1] = (struct plan){110, {.lateness = 0, .window = 150, .max_age = 5}};
    for (int i = 0; i < ROWS; i++) {
        scenario->rows[i] =
            (struct row){.event_time = 1000 + i, .key = NONE, .sensor = 1, .value = 1, .least = 0};
    }
    scenario->rows[10].sensor = 0;
    scenario->rows[10].value = 90;
    scenario->rows[105].sensor = 0;
    scenario->rows[105].value = NONE;
    scenario->rows[105].key = 1;
    scenario->rows[252].key = 1;
}

static void test_reaches_of_plans_add_up(void **state)
{
    (void)state;
    struct scenario scenario;
    make_long_reach(&scenario);
    struct prng prng;
    prng_init(&prng, 1);
    struct counts counts = {0};
    trial_replay(&scenario, &prng, 250, THE_RULE, &counts);
    assert_int_equal(counts.state_differs + counts.later_differs, 0);
    trial_replay(&scenario, &prng, 250, LONGER_OF_PLANS, &counts);
    assert_int_equal(counts.state_differs, 1);
    assert_int_equal(counts.later_differs, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_plan),
        cmocka_unit_test(test_plan_changes),
        cmocka_unit_test(test_reaches_of_plans_add_up),
        cmocka_unit_test(test_neighbours_are_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
