/*
 * Plans that change on the way: what the engine says, restarted at random places (from snapshots,
 * and by replay from the anchor under the history of plans), is what the model says that never
 * restarts; and every rebuilt state equals the one it replaces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "comparison.h"
#include "trial.h"

#define ROWS 180

/* --- what changes --- */

static int longer(struct prng *prng, int duration_s)
{
    return duration_s == FOREVER ? FOREVER : duration_s + PICK(prng, 20, 100);
}

static int shorter(struct prng *prng, int duration_s)
{
    return duration_s == FOREVER ? FOREVER : duration_s / PICK(prng, 2, 10);
}

static void longer_window(struct rule *rule, struct prng *prng)
{
    rule->window_s = longer(prng, rule->window_s);
}

static void shorter_window(struct rule *rule, struct prng *prng)
{
    rule->window_s = shorter(prng, rule->window_s);
}

static void longer_lateness(struct rule *rule, struct prng *prng)
{
    rule->lateness_s = longer(prng, rule->lateness_s);
}

static void shorter_lateness(struct rule *rule, struct prng *prng)
{
    rule->lateness_s = shorter(prng, rule->lateness_s);
}

static void longer_max_age(struct rule *rule, struct prng *prng)
{
    rule->max_age_s = longer(prng, rule->max_age_s);
}

static void shorter_max_age(struct rule *rule, struct prng *prng)
{
    rule->max_age_s = shorter(prng, rule->max_age_s);
}

static void other_check(struct rule *rule, struct prng *prng)
{
    rule->least_plus = PICK(prng, 10, 40);
}

static void other_schema(struct rule *rule, struct prng *prng)
{
    rule->maximum = PICK(prng, 30, 60);
}

static void other_filter(struct rule *rule, struct prng *prng)
{
    (void)prng;
    rule->filters = !rule->filters;
}

static void other_tombstones(struct rule *rule, struct prng *prng)
{
    (void)prng;
    rule->takes_tombstones = !rule->takes_tombstones;
}

static void other_dedup_key(struct rule *rule, struct prng *prng)
{
    rule->dedup = (enum dedup_by)PICK(prng, DEDUP_OTHER, DEDUP_BOTH);
}

static void no_dedup(struct rule *rule, struct prng *prng)
{
    (void)prng;
    rule->dedup = rule->dedup == DEDUP_NOT ? DEDUP_KEY : DEDUP_NOT;
}

static void unlimited_window(struct rule *rule, struct prng *prng)
{
    (void)prng;
    rule->window_s = rule->window_s == FOREVER ? 40 : FOREVER;
}

static void other_fill_key(struct rule *rule, struct prng *prng)
{
    rule->fill = (enum fill_by)PICK(prng, FILL_BY_OTHER, FILL_NOT);
}

static void another_fill(struct rule *rule, struct prng *prng)
{
    rule->mode_age_s = rule->mode_age_s == NONE ? PICK(prng, 5, 100) : NONE;
}

/* A key that the new window still remembers may be there because of a value as old as the old
 * max_age. */
static void reach_in_max_age(struct rule *rule, struct prng *prng)
{
    rule->lateness_s = PICK(prng, 0, 20);
    rule->window_s = 5;
    rule->max_age_s = 150;
}

static void reach_in_window(struct rule *rule, struct prng *prng)
{
    (void)prng;
    rule->window_s = 150;
    rule->max_age_s = 5;
}

/* A row far behind, valid by an old value, refreshes a key that lives on by another's time. */
static void reach_in_lateness(struct rule *rule, struct prng *prng)
{
    rule->lateness_s = PICK(prng, 60, 100);
    rule->window_s = 5;
    rule->max_age_s = 20;
}

typedef void (*rule_change)(struct rule *rule, struct prng *prng);

struct setting {
    const char *name;
    rule_change change;  /* NULL: two of the others */
    rule_change prepare; /* of the first rule; may be NULL */
};
static const struct setting settings[] = {
    {"window longer", longer_window},
    {"window shorter", shorter_window},
    {"lateness longer", longer_lateness},
    {"lateness shorter", shorter_lateness},
    {"max_age longer", longer_max_age},
    {"max_age shorter", shorter_max_age},
    {"check changed", other_check},
    {"schema changed", other_schema},
    {"filter changed", other_filter},
    {"tombstones changed", other_tombstones},
    {"dedup key changed", other_dedup_key},
    {"dedup comes and goes", no_dedup},
    {"window unlimited and back", unlimited_window},
    {"fill key changed", other_fill_key},
    {"another fill", another_fill},
    {"reach moves from max_age to window", reach_in_window, reach_in_max_age},
    {"reach in lateness", other_filter, reach_in_lateness},
    {"several at once", NULL},
};
#define SETTING_COUNT (sizeof settings / sizeof settings[0])

static void change_rule(const struct setting *setting, struct rule *rule, struct prng *prng)
{
    if (setting->change != NULL) {
        setting->change(rule, prng);
        return;
    }
    for (int i = 0; i < 2; i++) {
        settings[prng_below(prng, SETTING_COUNT - 1)].change(rule, prng);
    }
}

/* --- one log --- */

struct history {
    struct rule_span rules[SPANS_MAX];
    struct plan_span plans[SPANS_MAX];
    int count;
};

/* One change, or there and back, or a second one. Few rules, because making a plan takes longer
 * than judging a log. */
static void choose_history(struct history *history, const struct setting *setting,
                           enum reach reach, struct prng *prng)
{
    struct rule first = rule_random(prng);
    first.lateness_s = PICK(prng, 0, 20, 60);
    first.window_s = PICK(prng, 5, 60);
    first.max_age_s = PICK(prng, 5, 40, 100);
    first.reach = reach;
    if (setting->prepare != NULL) {
        setting->prepare(&first, prng);
    }
    history->rules[0] = (struct rule_span){0, first};
    history->count = chance(prng, 50) ? 2 : 3;
    int at = 0;
    for (int i = 1; i < history->count; i++) {
        at += 1 + below(prng, ROWS / history->count);
        history->rules[i] = (struct rule_span){at, first};
        if (i == 1 || chance(prng, 50)) {
            change_rule(setting, &history->rules[i].rule, prng);
        }
    }
}

/* Wrong rules of the engine's side. */
struct engine_faults {
    enum reach reach;
    bool longer_of_horizons; /* at a change; see judge.h */
};

struct trial {
    struct judges *judges;
    struct log log;
    struct history history;
    struct expected expected[LOG_ROWS_MAX];
};

static void begin_trial(struct trial *trial, const struct setting *setting, struct prng *prng,
                        struct model_faults faults, enum reach reach)
{
    struct history *history = &trial->history;
    choose_history(history, setting, reach, prng);
    for (int i = 0; i < history->count; i++) {
        history->plans[i] = (struct plan_span){
            .first = history->rules[i].first,
            .judge = judges_get(trial->judges, &history->rules[i].rule),
        };
    }
    log_random(&trial->log, prng, &history->rules[below(prng, history->count)].rule, ROWS);
    expect_log(&trial->log, history->rules, history->count, faults, trial->expected);
}

/* Judges the log with a restart at least every `stride` rows; the first difference is in `why`. */
static void walk(struct trial *trial, struct engine_faults faults, int stride, struct prng *prng,
                 struct buffer *why)
{
    struct comparison comparison = {.log = &trial->log, .expected = trial->expected};
    struct partition partition;
    partition_open(&partition, trial->log.records, trial->log.count, trial->history.plans,
                   trial->history.count);
    partition.longer_of_horizons = faults.longer_of_horizons;
    while (partition.next < trial->log.count && comparison.why.size == 0) {
        int end = partition.next + 1 + below(prng, stride);
        partition_advance(&partition, end < trial->log.count ? end : trial->log.count, prng,
                          STAGE_FULL, comparison_observe, &comparison);
        if (comparison.why.size == 0 && chance(prng, 30)) {
            partition_take_over(&partition);
        }
        if (comparison.why.size == 0 && chance(prng, 70)) {
            partition_restart_by_replay(&partition, prng, &comparison.why);
        } else if (comparison.why.size == 0) {
            partition_restart_from_snapshot(&partition, &comparison.why);
        }
    }
    partition_close(&partition);
    *why = comparison.why;
}

static void run_setting(const struct trials *trials, const struct setting *setting)
{
    struct trial *trial = memory_alloc_zero(1, sizeof *trial);
    trial->judges = judges_new();
    for (int i = 0; i < trials->count; i++) {
        uint64_t seed = trials->first_seed + (uint64_t)i;
        struct prng prng;
        struct buffer why = {0};
        prng_init(&prng, seed);
        begin_trial(trial, setting, &prng, (struct model_faults){0}, REACH_RIGHT);
        walk(trial, (struct engine_faults){0}, chance(&prng, 10) ? ROWS / 18 : ROWS / 3, &prng,
             &why);
        trial_expect(trials, setting->name, seed, &why);
        log_fini(&trial->log);
    }
    judges_free(trial->judges);
    memory_free(trial);
}

static void test_changes(void **state)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        print_message("%s\n", settings[i].name);
        run_setting(*state, &settings[i]);
    }
}

/* --- tests of the test --- */

static void expect_told_apart(const struct trials *trials, const char *name,
                              const struct setting *setting, struct model_faults model_faults,
                              struct engine_faults engine_faults)
{
    struct trial *trial = memory_alloc_zero(1, sizeof *trial);
    trial->judges = judges_new();
    int limit = trials->count < 1500 ? 1500 : trials->count; /* the rarest is in one of a hundred */
    bool found = false;
    int logs = 0;
    for (; logs < limit && !found; logs++) {
        struct prng prng;
        struct buffer why = {0};
        prng_init(&prng, trials->first_seed + (uint64_t)logs);
        begin_trial(trial, setting, &prng, model_faults, engine_faults.reach);
        walk(trial, engine_faults, ROWS / 18, &prng, &why);
        found = why.size > 0;
        buffer_fini(&why);
        log_fini(&trial->log);
    }
    judges_free(trial->judges);
    memory_free(trial);
    print_message("%s: told apart by log %d\n", name, logs);
    assert_true(found);
}

static void test_neighbours_are_told_apart(void **state)
{
    static const struct setting filter = {"filter", other_filter, NULL};
    static const struct setting lateness = {"lateness", other_filter, reach_in_lateness};
    static const struct setting moves = {"moves", reach_in_window, reach_in_max_age};
    static const struct setting window = {"window", longer_window, NULL};
    const struct engine_faults engine_right = {0};
    const struct model_faults model_right = {0};
    expect_told_apart(*state, "longest horizon instead of the sum", &filter, model_right,
                      (struct engine_faults){.reach = REACH_LONGEST_HORIZON});
    expect_told_apart(*state, "lateness once", &lateness, model_right,
                      (struct engine_faults){.reach = REACH_LATENESS_ONCE});
    expect_told_apart(*state, "longer of both horizons at a change", &moves, model_right,
                      (struct engine_faults){.longer_of_horizons = true});
    expect_told_apart(*state, "a change forgets nothing", &window,
                      (struct model_faults){.change_forgets_nothing = true}, engine_right);
}

int main(int argc, char **argv)
{
    struct trials trials = trials_of(argc, argv);
    const struct CMUnitTest all[] = {
        cmocka_unit_test_prestate(test_changes, &trials),
        cmocka_unit_test_prestate(test_neighbours_are_told_apart, &trials),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
