/*
 * The stages against the executable model, on random logs under one plan each; and the neighbours
 * of the rule, each told apart from the engine, so that the trials can see the difference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "comparison.h"
#include "trial.h"

#define ROWS 400

/* What the logs of a setting have shown: trials that never meet a case prove nothing about it. */
struct coverage {
    int verdicts[VERDICT_COUNT];
    int future, filled, unfilled, out_of_range, unchecked, jumped;
};

static void cover(struct coverage *coverage, const struct expected *expected)
{
    const char *reason = expected->reason == NULL ? "" : expected->reason;
    coverage->verdicts[expected->verdict]++;
    coverage->future += strcmp(reason, "time.future") == 0;
    coverage->unfilled += strcmp(reason, "repair.no_value") == 0;
    coverage->out_of_range += strcmp(reason, "schema.range") == 0;
    coverage->unchecked += strcmp(reason, "check.least") == 0;
    coverage->filled += expected->filled;
    coverage->jumped += expected->jumped;
}

static void expect_coverage(const struct coverage *coverage, bool jumps)
{
    for (int verdict = VERDICT_VALID; verdict < VERDICT_COUNT; verdict++) {
        assert_true(coverage->verdicts[verdict] > 0);
    }
    assert_true(coverage->future > 0 && coverage->filled > 0 && coverage->unfilled > 0);
    assert_true(coverage->out_of_range > 0 && coverage->unchecked > 0);
    assert_true(coverage->jumped > 0 || !jumps);
    print_message("VALID %d INVALID %d DUPLICATE %d LATE %d FILTERED %d, filled %d, jumps %d\n",
                  coverage->verdicts[VERDICT_VALID], coverage->verdicts[VERDICT_INVALID],
                  coverage->verdicts[VERDICT_DUPLICATE], coverage->verdicts[VERDICT_LATE],
                  coverage->verdicts[VERDICT_FILTERED], coverage->filled, coverage->jumped);
}

/* One log, judged in random batches. The difference is in `why`. */
static void compare_log(struct judges *judges, const struct log *log, const struct rule *rule,
                        struct model_faults faults, struct prng *prng, struct coverage *coverage,
                        struct buffer *why)
{
    struct expected expected[LOG_ROWS_MAX];
    struct rule_span rules = {0, *rule};
    expect_log(log, &rules, 1, faults, expected);
    for (int i = 0; i < log->count; i++) {
        cover(coverage, &expected[i]);
    }
    struct comparison comparison = {.log = log, .expected = expected};
    struct plan_span plans = {0, judges_get(judges, rule)};
    struct partition partition;
    partition_open(&partition, log->records, log->count, &plans, 1);
    partition_advance(&partition, log->count, prng, STAGE_FULL, comparison_observe, &comparison);
    partition_close(&partition);
    *why = comparison.why;
}

static struct rule any_rule(struct prng *prng)
{
    struct rule rule = rule_random(prng);
    rule.mode_age_s = chance(prng, 50) ? rule.max_age_s / 2 : NONE;
    rule.max_future_s = chance(prng, 30) ? 50 : NONE;
    rule.window_s = chance(prng, 5) ? FOREVER : rule.window_s;
    rule.maximum = chance(prng, 30) ? 60 : rule.maximum;
    if (chance(prng, 50)) {
        rule.dedup = (enum dedup_by)below(prng, DEDUP_NOT + 1);
        rule.fill = (enum fill_by)below(prng, FILL_NOT + 1);
        rule.filters = true;
    }
    rule.takes_tombstones = chance(prng, 50);
    return rule;
}

static struct rule jumping_rule(struct prng *prng)
{
    struct rule rule = any_rule(prng);
    rule.takes_tombstones = false;
    rule.max_future_s = NONE;
    rule.max_jump_s = PICK(prng, 10, 50, 200);
    rule.jump_span = PICK(prng, 1000, JUMP_SPAN_FILE);
    return rule;
}

static void run_setting(const struct trials *trials, const char *setting,
                        struct rule (*choose)(struct prng *prng))
{
    struct judges *judges = judges_new();
    struct log *log = memory_alloc_zero(1, sizeof *log);
    struct coverage coverage = {0};
    for (int i = 0; i < trials->count; i++) {
        uint64_t seed = trials->first_seed + (uint64_t)i;
        struct prng prng;
        prng_init(&prng, seed);
        struct rule rule = choose(&prng);
        log_random(log, &prng, &rule, ROWS);
        struct buffer why = {0};
        compare_log(judges, log, &rule, (struct model_faults){0}, &prng, &coverage, &why);
        trial_expect(trials, setting, seed, &why);
        log_fini(log);
    }
    memory_free(log);
    judges_free(judges);
    if (trials->count >= 50) {
        expect_coverage(&coverage, choose == jumping_rule);
    }
}

static void test_stages(void **state)
{
    run_setting(*state, "stages", any_rule);
}

static void test_jumps(void **state)
{
    run_setting(*state, "max_jump", jumping_rule);
}

/* --- tests of the test --- */

static void expect_told_apart(const struct trials *trials, const char *name,
                              struct model_faults faults)
{
    struct judges *judges = judges_new();
    struct log *log = memory_alloc_zero(1, sizeof *log);
    struct coverage coverage = {0};
    int found = 0;
    int logs = 0;
    int limit = trials->count < 300 ? 300 : trials->count;
    for (; logs < limit && found == 0; logs++) {
        struct prng prng;
        prng_init(&prng, trials->first_seed + (uint64_t)logs);
        struct rule rule = rule_random(&prng);
        log_random(log, &prng, &rule, ROWS);
        struct buffer why = {0};
        compare_log(judges, log, &rule, faults, &prng, &coverage, &why);
        found += why.size > 0;
        buffer_fini(&why);
        log_fini(log);
    }
    memory_free(log);
    judges_free(judges);
    print_message("%s: told apart by log %d\n", name, logs);
    assert_int_equal(found, 1);
}

static void test_neighbours_are_told_apart(void **state)
{
    static const struct {
        const char *name;
        struct model_faults faults;
    } neighbours[] = {
        {"no refresh", {.no_refresh = true}},
        {"late rows register", {.late_registers = true}},
        {"fill by distance only", {.fill_by_distance_only = true}},
        {"filled values feed", {.fills_feed = true}},
        {"remembered by age", {.duplicate_by_age = true}},
    };
    for (size_t i = 0; i < sizeof neighbours / sizeof neighbours[0]; i++) {
        expect_told_apart(*state, neighbours[i].name, neighbours[i].faults);
    }
}

int main(int argc, char **argv)
{
    struct trials trials = trials_of(argc, argv);
    const struct CMUnitTest all[] = {
        cmocka_unit_test_prestate(test_stages, &trials),
        cmocka_unit_test_prestate(test_jumps, &trials),
        cmocka_unit_test_prestate(test_neighbours_are_told_apart, &trials),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
