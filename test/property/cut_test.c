/*
 * Cut invariance: a log in batches of any size, by a process that stops and starts anew at any
 * place (from a snapshot of its state, or by replay from the anchor), comes to the same as the log
 * in one piece: verdicts, violations, repairs, warnings, routes, the bytes that go out, the ledger
 * with its sums, and the state. With one rich plan for each way of telling the time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "outcome.h"
#include "trial.h"

#define ROWS 160

/* --- plans --- */

enum clock { CLOCK_BROKER, CLOCK_PRODUCER, CLOCK_NOT };

struct setting {
    const char *name;
    const char *source;
    const char *event_time; /* "" for none */
    const char *fill;
    const char *window;
    enum clock clock;
    bool changes; /* the second half of a log is judged by another plan */
};

#define LOCAL "\"local\":{\"path\":\"in.db\",\"topic\":\"in\"}"
#define FILES "\"file\":{\"path\":\"in.ndjson\"}"
#define LAST_BY \
    "\"value\":{\"last_by\":\"sensor\",\"max_age\":\"40s\"}," \
    "\"mode\":{\"last_by\":\"key\",\"max_age\":\"15s\"},"

static const struct setting settings[] = {
    {"broker's time", LOCAL,
     "\"event_time\":{\"field\":\"at\",\"lateness\":\"20s\",\"max_future\":\"30s\"},", LAST_BY,
     "60s", CLOCK_BROKER, false},
    {"files with max_jump", FILES,
     "\"event_time\":{\"field\":\"at\",\"lateness\":\"20s\",\"max_jump\":\"50s\","
     "\"jump_by\":\"sensor\"},",
     LAST_BY, "60s", CLOCK_NOT, false},
    {"producers' time, no event time", LOCAL, "", LAST_BY, "60s", CLOCK_PRODUCER, false},
    {"files without time", FILES, "", "", "unlimited", CLOCK_NOT, false},
    {"a plan that changes", LOCAL,
     "\"event_time\":{\"field\":\"at\",\"lateness\":\"20s\",\"max_future\":\"30s\"},", LAST_BY,
     "60s", CLOCK_BROKER, true},
};

static const char schema[] =
    "{\"type\":\"object\",\"required\":[\"value\"],\"properties\":{"
    "\"at\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"key\":{\"type\":\"string\"},\"other\":{\"type\":\"integer\"},"
    "\"sensor\":{\"type\":\"integer\"},\"value\":{\"type\":\"integer\",\"maximum\":95},"
    "\"mode\":{\"type\":\"string\",\"pattern\":\"^m[0-8]\"},\"least\":{\"type\":\"integer\"},"
    "\"site\":{\"type\":\"string\"},\"flag\":{\"type\":\"boolean\"},"
    "\"level\":{\"type\":[\"integer\",\"null\"]},\"any\":{},"
    "\"place\":{\"type\":\"object\",\"required\":[\"lat\"],\"additionalProperties\":false,"
    "\"properties\":{\"lat\":{\"type\":\"number\"},\"lon\":{\"type\":\"number\"}}}}}";

/* abs() of the least integer fails at run time. */
#define PIPELINE \
    "{\"version\":1,\"name\":\"cut\",\"source\":{%s}," \
    "\"repair\":{\"null_values\":[-999,\"none\",\"\"],\"coerce\":[\"value\",\"flag\"," \
    "\"place.lon\"]," \
    "\"fill\":{%s\"flag\":{\"value\":true},\"place.lon\":{\"value\":0}}},%s" \
    "\"checks\":[{\"name\":\"least\",\"expect\":\"value >= least\"}," \
    "{\"name\":\"soft\",\"expect\":\"place.lat < %d\",\"severity\":\"warn\"}]," \
    "\"dedup\":{\"key\":%s,\"window\":\"%s\"}," \
    "\"transform\":{\"where\":\"site IS NULL OR site <> 'test'\"," \
    "\"set\":{\"sum\":\"value + other\",\"mode\":\"upper(mode)\",\"place.alt\":\"place.lat * 2\"," \
    "\"odd\":\"abs(value - 20 + -9223372036854775808) > 0\"},\"drop\":[\"note\",\"site\"," \
    "\"flag\"]}," \
    "\"sinks\":{\"cold\":{\"local\":{\"path\":\"out.db\",\"topic\":\"cold\"},\"when\":\"value < " \
    "40\"}," \
    "\"warm\":{\"local\":{\"path\":\"out.db\",\"topic\":\"warm\",\"key\":\"key\"}," \
    "\"when\":\"abs(value - 30 + -9223372036854775808) > 0 AND value > 10\"}," \
    "\"rows\":{\"sqlite\":{\"path\":\"out.db\",\"table\":\"rows\"},\"when\":\"value %% 3 <> " \
    "0\"}}," \
    "\"dlq\":{\"local\":{\"path\":\"out.db\",\"topic\":\"dlq\"}," \
    "\"include\":[\"invalid\",\"late\",\"duplicate\",\"filtered\"]}}"

static struct judge judge_of(const struct setting *setting, bool is_second)
{
    char text[4096];
    (void)snprintf(text, sizeof text, PIPELINE, setting->source, setting->fill,
                   setting->event_time, is_second ? 30 : 50,
                   is_second ? "\"any\"" : "[\"key\",\"other\"]",
                   is_second ? "20s" : setting->window);
    return judge_new(text, schema);
}

/* --- records --- */

static const char *const more_members[] = {
    "\"place\":{\"lat\":12.5,\"lon\":\"2.5\"},",
    "\"place\": { \"lon\" : null, \"lat\" : 40 } ,",
    "\"place\":{\"lat\":60},",
    "\"place\":{\"lon\":1,\"alt\":2,\"lat\":3},",
    "\"place\":{\"lat\":1,\"place\":{}},",
    "\"place\":{},",
    "\"place\":[1],",
    "\"place\":\"\",",
    "\"flag\":\"true\",",
    "\"flag\":\"maybe\",",
    "\"flag\":false,",
    "\"level\":null,",
    "\"level\":-999,",
    "\"level\":7e0,",
    "\"any\":1,",
    "\"any\":1.0,",
    "\"any\":\"\\u0031\",",
    "\"any\":\"1\",",
    "\"any\":[1, {\"a\":\"}\"}],",
    "\"note\":\"\\ud83d\\ude00 secret\",",
    "\"note\":null,",
    "\"sum\":\"already here\",",
    "\"n\xc3\xa4me\":0.1e1,",
};

static void append_more(struct buffer *text, struct prng *prng)
{
    size_t count = sizeof more_members / sizeof more_members[0];
    size_t at = prng_below(prng, count);
    for (int i = PICK(prng, 0, 1, 1, 3); i > 0; i--) {
        buffer_append_string(text, more_members[at]);
        /* Far enough that no member stands twice, most of the time. */
        at = (at + 5 + prng_below(prng, 6)) % count;
    }
}

/* A record with more in it, or worse: a byte changed, nothing at all. */
static void roughen(struct record *record, struct prng *prng)
{
    if (bytes_is_none(record->value)) {
        return;
    }
    struct buffer text = {0};
    buffer_append_byte(&text, '{');
    append_more(&text, prng);
    buffer_append(&text, record->value.data + 1, record->value.size - 1);
    if (chance(prng, 3)) {
        text.data[prng_below(prng, text.size)] ^= (uint8_t)(1u << prng_below(prng, 8));
    }
    text.size = chance(prng, 1) ? 0 : text.size;
    memory_free((void *)(uintptr_t)record->value.data);
    uint8_t *exact = memory_alloc(text.size);
    memcpy(exact, text.data, text.size);
    record->value = bytes_of(exact, text.size);
    buffer_fini(&text);
}

static const struct record_header headers[] = {
    {{(const uint8_t *)"weir.replay", 11}, {(const uint8_t *)"in 0 17 1", 9}},
    {{(const uint8_t *)"weir.replay", 11}, {(const uint8_t *)"in 0 17 2 warm", 14}},
    {{(const uint8_t *)"weir.replay", 11}, {(const uint8_t *)"in 0 17 2 gone", 14}},
    {{(const uint8_t *)"weir.replay", 11}, {(const uint8_t *)"of somebody else", 16}},
    {{(const uint8_t *)"trace", 5}, {NULL, 0}},
};

static void make_log(struct log *log, struct prng *prng, const struct setting *setting)
{
    struct rule rule = rule_random(prng);
    rule.lateness_s = 20;
    rule.window_s = 60;
    rule.max_age_s = 40;
    rule.max_jump_s = setting->clock == CLOCK_NOT ? 50 : NONE;
    log_random(log, prng, &rule, ROWS);
    int64_t offset = log->records[0].offset;
    for (int i = 0; i < log->count; i++) {
        struct record *record = &log->records[i];
        roughen(record, prng);
        record->offset = offset;
        record->next_offset = offset + 1;
        if (setting->clock == CLOCK_NOT) {
            record->next_offset = offset + (int64_t)record->value.size + 1;
        } else if (chance(prng, 5)) {
            record->headers = &headers[prng_below(prng, sizeof headers / sizeof headers[0])];
            record->header_count = 1;
        }
        if (setting->clock == CLOCK_PRODUCER) {
            record->timestamp_kind = TIMESTAMP_PRODUCER;
            record->timestamp_us +=
                (log->rows[i].event_s - log->rows[i].arrival_s) * TIME_US_PER_SECOND;
        }
        record->key = chance(prng, 50) ? BYTES_NONE : bytes_of("key", prng_below(prng, 4));
        offset = record->next_offset;
    }
}

/* --- one log --- */

struct trial {
    struct log log;
    struct judge judges[2];
    struct outcome whole, cut;
};

static bool same_anchor(const struct anchor *a, const struct anchor *b)
{
    struct buffer forms[2] = {{0}, {0}};
    anchor_write(a, &forms[0]);
    anchor_write(b, &forms[1]);
    bool same = bytes_equal(bytes_of(forms[0].data, forms[0].size),
                            bytes_of(forms[1].data, forms[1].size));
    buffer_fini(&forms[0]);
    buffer_fini(&forms[1]);
    return same;
}

static void judge_in_pieces(struct partition *partition, struct outcome *outcome,
                            struct prng *prng, struct buffer *why)
{
    bool restarts = chance(prng, 70);
    while (partition->next < partition->count && why->size == 0) {
        int end = partition->next + 1 + below(prng, ROWS / 4);
        partition_advance(partition, end < partition->count ? end : partition->count, prng,
                          STAGE_FULL, outcome_observe, outcome);
        if (restarts && chance(prng, 50)) {
            partition_restart_by_replay(partition, prng, why);
        } else if (restarts) {
            partition_restart_from_snapshot(partition, why);
        }
    }
}

static void compare_states(const struct partition *whole, const struct partition *cut,
                           struct buffer *why)
{
    if (why->size > 0) {
        return;
    }
    if (!hash_equal(partition_digest(whole), partition_digest(cut))) {
        buffer_append_string(why, "another state at the end");
    } else if (whole->span_count == 1 && !same_anchor(anchors_start(&whole->state->anchors),
                                                      anchors_start(&cut->state->anchors))) {
        buffer_append_string(why, "another state_start at the end");
    }
}

static void run_trial(struct trial *trial, const struct setting *setting, bool replays_nothing,
                      struct prng *prng, struct buffer *why)
{
    struct partition whole;
    struct partition cut;
    const struct plan_span spans[] = {
        {0, &trial->judges[0]},
        {1 + below(prng, ROWS), &trial->judges[1]},
    };
    int span_count = setting->changes ? 2 : 1;
    const struct log *log = &trial->log;
    outcome_clear(&trial->whole);
    outcome_clear(&trial->cut);
    partition_open(&whole, log->records, log->count, spans, span_count);
    partition_open(&cut, log->records, log->count, spans, span_count);
    cut.replays_nothing = replays_nothing;
    partition_advance(&whole, log->count, NULL, STAGE_FULL, outcome_observe, &trial->whole);
    judge_in_pieces(&cut, &trial->cut, prng, why);
    if (why->size == 0) {
        outcome_compare(&trial->whole, &trial->cut, why);
    }
    compare_states(&whole, &cut, why);
    partition_close(&whole);
    partition_close(&cut);
}

static void expect_all_verdicts(const struct ledger *ledger, const struct setting *setting)
{
    for (int verdict = VERDICT_VALID; verdict < VERDICT_COUNT; verdict++) {
        bool can_be = verdict != VERDICT_LATE || setting->event_time[0] != '\0';
        assert_int_equal(ledger->verdicts[verdict] > 0, can_be);
    }
    for (int repair = 0; repair < REPAIR_COUNT; repair++) {
        bool can_be = repair != REPAIR_FILL_LAST_BY || setting->fill[0] != '\0';
        assert_int_equal(ledger->repairs[repair] > 0, can_be);
    }
    assert_true(ledger->warning_count == 1);
    assert_int_equal(ledger->replayed > 0, setting->clock != CLOCK_NOT);
    static const char *const sinks[] = {"cold", "warm", "rows", "dlq"};
    for (size_t i = 0; i < 4; i++) {
        const struct ledger_sink *sink = ledger_find_sink(ledger, sinks[i]);
        assert_true(sink != NULL && sink->written > 0);
    }
}

static void run_setting(const struct trials *trials, const struct setting *setting)
{
    struct trial *trial = memory_alloc_zero(1, sizeof *trial);
    struct ledger total = {0};
    trial->judges[0] = judge_of(setting, false);
    trial->judges[1] = judge_of(setting, setting->changes);
    for (int i = 0; i < trials->count; i++) {
        uint64_t seed = trials->first_seed + (uint64_t)i;
        struct prng prng;
        struct buffer why = {0};
        prng_init(&prng, seed);
        make_log(&trial->log, &prng, setting);
        run_trial(trial, setting, false, &prng, &why);
        trial_expect(trials, setting->name, seed, &why);
        ledger_add(&total, &trial->whole.ledger);
        log_fini(&trial->log);
    }
    if (trials->count >= 50) {
        expect_all_verdicts(&total, setting);
    }
    ledger_fini(&total);
    outcome_fini(&trial->whole);
    outcome_fini(&trial->cut);
    judge_free(&trial->judges[0]);
    judge_free(&trial->judges[1]);
    memory_free(trial);
}

static void test_cuts(void **state)
{
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        print_message("%s\n", settings[i].name);
        run_setting(*state, &settings[i]);
    }
}

/* --- a test of the test --- */

static void test_forgetting_is_noticed(void **state)
{
    const struct trials *trials = *state;
    struct trial *trial = memory_alloc_zero(1, sizeof *trial);
    trial->judges[0] = judge_of(&settings[0], false);
    bool found = false;
    for (int i = 0; i < 100 && !found; i++) {
        struct prng prng;
        struct buffer why = {0};
        prng_init(&prng, trials->first_seed + (uint64_t)i);
        make_log(&trial->log, &prng, &settings[0]);
        run_trial(trial, &settings[0], true, &prng, &why);
        found = why.size > 0;
        buffer_fini(&why);
        log_fini(&trial->log);
    }
    outcome_fini(&trial->whole);
    outcome_fini(&trial->cut);
    judge_free(&trial->judges[0]);
    memory_free(trial);
    assert_true(found);
}

int main(int argc, char **argv)
{
    struct trials trials = trials_of(argc, argv);
    const struct CMUnitTest all[] = {
        cmocka_unit_test_prestate(test_cuts, &trials),
        cmocka_unit_test_prestate(test_forgetting_is_noticed, &trials),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
