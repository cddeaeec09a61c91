#include "judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"

#define JUDGES_KEPT 96

static const uint8_t hash_key[HASH_KEY_BYTES] = "a property test";

static void expect_ok(enum status status, const struct error *err, const char *what)
{
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "%s\n%s: %s\n", what, err->code, err->message);
        abort();
    }
}

/* --- plans --- */

struct judge judge_new(const char *pipeline, const char *schema)
{
    struct judge judge = {0};
    struct error err = {0};
    struct buffer text = {0};
    buffer_printf(&text, "{\"pipeline\":%s,\"schema\":%s}", pipeline, schema);
    expect_ok(plan_from_text(bytes_of(text.data, text.size), NULL, &judge.plan, &err), &err,
              buffer_string(&text));
    buffer_fini(&text);
    expect_ok(stage_runner_new(&judge.plan->stage, hash_key, &judge.runner, &err), &err, pipeline);
    judge.batch = stage_runner_batch(judge.runner);
    return judge;
}

void judge_free(struct judge *judge)
{
    batch_free(judge->batch);
    stage_runner_free(judge->runner);
    plan_free(judge->plan);
}

static void write_repair(struct buffer *out, const struct rule *rule)
{
    buffer_append_string(out, "\"repair\":{\"null_values\":[-999,\"none\",\"\"],"
                              "\"coerce\":[\"value\"],\"fill\":{");
    if (rule->fill != FILL_NOT) {
        buffer_printf(out, "\"value\":{\"last_by\":\"%s\",\"max_age\":\"%ds\"}",
                      rule->fill == FILL_BY_SENSOR ? "sensor" : "other", rule->max_age_s);
    }
    if (rule->mode_age_s != NONE) {
        buffer_printf(out, "%s\"mode\":{\"last_by\":\"key\",\"max_age\":\"%ds\"}",
                      rule->fill != FILL_NOT ? "," : "", rule->mode_age_s);
    }
    buffer_append_string(out, "}},");
}

static void write_time_and_dedup(struct buffer *out, const struct rule *rule)
{
    static const char *const keys[] = {"\"key\"", "\"other\"", "[\"key\",\"other\"]"};
    buffer_printf(out, "\"event_time\":{\"field\":\"at\",\"lateness\":\"%ds\"", rule->lateness_s);
    if (rule->max_future_s != NONE) {
        buffer_printf(out, ",\"max_future\":\"%ds\"", rule->max_future_s);
    }
    if (rule->max_jump_s != NONE) {
        buffer_printf(out, ",\"max_jump\":\"%ds\",\"jump_by\":\"sensor\"", rule->max_jump_s);
    }
    buffer_append_string(out, "},");
    if (rule->dedup != DEDUP_NOT && rule->window_s == FOREVER) {
        buffer_printf(out, "\"dedup\":{\"key\":%s,\"window\":\"unlimited\"},", keys[rule->dedup]);
    } else if (rule->dedup != DEDUP_NOT) {
        buffer_printf(out, "\"dedup\":{\"key\":%s,\"window\":\"%ds\"},", keys[rule->dedup],
                      rule->window_s);
    }
}

static struct judge judge_of_rule(const struct rule *rule)
{
    struct buffer pipeline = {0};
    struct buffer schema = {0};
    buffer_printf(&pipeline, "{\"version\":1,\"name\":\"property\",\"source\":{%s},",
                  rule->max_jump_s != NONE ? "\"file\":{\"path\":\"in.ndjson\"}"
                  : rule->takes_tombstones
                      ? "\"local\":{\"path\":\"in.db\",\"topic\":\"in\"},\"tombstones\":\"delete\""
                      : "\"local\":{\"path\":\"in.db\",\"topic\":\"in\"}");
    write_repair(&pipeline, rule);
    write_time_and_dedup(&pipeline, rule);
    buffer_printf(&pipeline, "\"checks\":[{\"name\":\"least\",\"expect\":\"value >= least + "
                             "%d\"}],",
                  rule->least_plus);
    if (rule->filters) {
        buffer_append_string(&pipeline,
                             "\"transform\":{\"where\":\"site IS NULL OR site <> 'test'\"},");
    }
    buffer_append_string(
        &pipeline, "\"sinks\":{\"out\":{\"local\":{\"path\":\"out.db\",\"topic\":\"out\"}}}}");
    buffer_printf(&schema,
                  "{\"type\":\"object\",\"required\":[\"value\"],\"properties\":{"
                  "\"at\":{\"type\":\"string\",\"format\":\"date-time\"},"
                  "\"key\":{\"type\":\"string\"},\"other\":{\"type\":\"integer\"},"
                  "\"sensor\":{\"type\":\"integer\"},"
                  "\"value\":{\"type\":\"integer\",\"maximum\":%d},"
                  "\"mode\":{\"type\":\"string\"},\"least\":{\"type\":\"integer\"},"
                  "\"site\":{\"type\":\"string\"}}}",
                  rule->maximum);
    struct judge judge = judge_new(buffer_string(&pipeline), buffer_string(&schema));
    if (rule->max_jump_s != NONE && rule->jump_span != JUMP_SPAN_FILE) {
        judge.plan->stage.jump_span = rule->jump_span;
    }
    if (rule->reach != REACH_RIGHT) {
        int longest_s = rule->window_s > rule->max_age_s ? rule->window_s : rule->max_age_s;
        int both_s = rule->window_s + rule->max_age_s;
        int reach_s = rule->reach == REACH_LONGEST_HORIZON ? longest_s : both_s;
        judge.plan->stage.horizon_us = (rule->lateness_s + reach_s) * TIME_US_PER_SECOND;
    }
    buffer_fini(&pipeline);
    buffer_fini(&schema);
    return judge;
}

struct judges {
    struct rule rules[JUDGES_KEPT];
    struct judge *judges[JUDGES_KEPT];
    uint64_t used[JUDGES_KEPT]; /* when last */
    uint64_t clock;
};

struct judges *judges_new(void)
{
    return memory_alloc_zero(1, sizeof(struct judges));
}

static void forget(struct judges *judges, int i)
{
    if (judges->judges[i] != NULL) {
        judge_free(judges->judges[i]);
        memory_free(judges->judges[i]);
        judges->judges[i] = NULL;
    }
}

void judges_free(struct judges *judges)
{
    for (int i = 0; i < JUDGES_KEPT; i++) {
        forget(judges, i);
    }
    memory_free(judges);
}

const struct judge *judges_get(struct judges *judges, const struct rule *rule)
{
    int oldest = 0;
    for (int i = 0; i < JUDGES_KEPT; i++) {
        if (judges->judges[i] != NULL &&
            memcmp(&judges->rules[i], rule, sizeof *rule) == 0) {
            judges->used[i] = ++judges->clock;
            return judges->judges[i];
        }
        oldest = judges->used[i] < judges->used[oldest] ? i : oldest;
    }
    forget(judges, oldest);
    judges->rules[oldest] = *rule;
    judges->judges[oldest] = memory_alloc(sizeof(struct judge));
    *judges->judges[oldest] = judge_of_rule(rule);
    judges->used[oldest] = ++judges->clock;
    return judges->judges[oldest];
}

/* --- partitions --- */

static const struct judge *judge_now(const struct partition *partition)
{
    return partition->spans[partition->span].judge;
}

static int64_t offset_at(const struct partition *partition, int index)
{
    return index < partition->count ? partition->records[index].offset
           : partition->count == 0  ? 0
                                    : partition->records[partition->count - 1].next_offset;
}

void partition_open(struct partition *partition, const struct record *records, int count,
                    const struct plan_span *spans, int span_count)
{
    *partition = (struct partition){
        .records = records,
        .count = count,
        .spans = spans,
        .span_count = span_count,
        .budget = {.limit_bytes = 256 * 1024 * 1024},
    };
    partition->state = stage_state_new(&spans[0].judge->plan->stage, &partition->budget,
                                       offset_at(partition, 0));
}

void partition_close(struct partition *partition)
{
    stage_state_free(partition->state);
    check(partition->budget.used_bytes == 0);
}

void partition_take_over(struct partition *partition)
{
    while (partition->span + 1 < partition->span_count &&
           partition->spans[partition->span + 1].first <= partition->next) {
        const struct stage_plan *from = &judge_now(partition)->plan->stage;
        partition->span++;
        const struct stage_plan *to = &judge_now(partition)->plan->stage;
        int64_t before_us = partition->state->anchors.horizon_us;
        stage_state_change_plan(partition->state, from, to);
        if (partition->longer_of_horizons) {
            partition->state->anchors.changed_horizon_us =
                before_us > to->horizon_us ? before_us : to->horizon_us;
        }
    }
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static void judge_batch(struct partition *partition, int end, enum stage_mode mode,
                        batch_observer observer, void *context)
{
    const struct judge *judge = judge_now(partition);
    struct batch *batch = judge->batch;
    struct error err = {0};
    batch_reset(batch, 0, 1);
    for (int i = partition->next; i < end; i++) {
        *batch_append_record(batch) = partition->records[i];
    }
    /* As a run does it, where it reads ahead; for the outcome it is the same. */
    if (batch->row_count > 0 && batch->records[0].offset % 2 != 0) {
        stage_prepare(judge->runner, batch);
    }
    expect_ok(stage_run(judge->runner, partition->state, batch, mode, &err), &err, "stage_run");
    if (observer != NULL) {
        observer(context, judge, partition->next);
    }
    partition->next = end;
}

void partition_advance(struct partition *partition, int end, struct prng *prng,
                       enum stage_mode mode, batch_observer observer, void *context)
{
    while (partition->next < end) {
        partition_take_over(partition);
        int cut = end;
        if (partition->span + 1 < partition->span_count) {
            cut = least(cut, partition->spans[partition->span + 1].first);
        }
        if (prng != NULL) {
            int rows = chance(prng, 30) ? 1 : 1 + below(prng, chance(prng, 50) ? 8 : 100);
            cut = least(cut, partition->next + rows);
        }
        judge_batch(partition, cut, mode, observer, context);
    }
}

struct hash128 partition_digest(const struct partition *partition)
{
    return stage_state_digest(partition->state, &judge_now(partition)->plan->stage);
}

/* --- restarts --- */

static int span_at(const struct partition *partition, int index)
{
    int span = 0;
    while (span + 1 < partition->span_count && partition->spans[span + 1].first <= index) {
        span++;
    }
    return span;
}

/* Takes over what the rebuilt partition has come to. */
static bool replace_state(struct partition *partition, struct partition *rebuilt,
                          struct buffer *why)
{
    const struct stage_state *old = partition->state;
    const struct stage_state *new = rebuilt->state;
    if (rebuilt->next != partition->next || new->next_offset != old->next_offset) {
        buffer_printf(why, "row %d, offset %lld after the restart, %d and %lld before",
                      rebuilt->next, (long long)new->next_offset, partition->next,
                      (long long)old->next_offset);
    } else if (!hash_equal(new->last_record_hash, old->last_record_hash)) {
        buffer_append_string(why, "another hash of the last record");
    } else if (new->greatest_us != old->greatest_us) {
        buffer_printf(why, "greatest event time %lld after the restart, %lld before",
                      (long long)new->greatest_us, (long long)old->greatest_us);
    } else if (!hash_equal(partition_digest(rebuilt), partition_digest(partition))) {
        buffer_printf(why, "another state at row %d", partition->next);
    }
    struct stage_state *swap = partition->state;
    partition->state = rebuilt->state;
    rebuilt->state = swap;
    return why->size == 0;
}

bool partition_restart_from_snapshot(struct partition *partition, struct buffer *why)
{
    const struct stage_plan *plan = &judge_now(partition)->plan->stage;
    struct error err = {0};
    struct buffer form = {0};
    stage_state_write(partition->state, plan, &form);
    struct stage_state *state = stage_state_new(plan, &partition->budget, 0);
    expect_ok(stage_state_read(state, bytes_of(form.data, form.size), &err), &err, "snapshot");
    buffer_fini(&form);
    struct partition rebuilt = *partition;
    rebuilt.state = state;
    bool equal = replace_state(partition, &rebuilt, why);
    stage_state_free(rebuilt.state);
    return equal;
}

bool partition_restart_by_replay(struct partition *partition, struct prng *prng,
                                 struct buffer *why)
{
    struct anchor anchor = {.offset = offset_at(partition, 0), .greatest_us = TIME_NEVER};
    if (partition->state->anchors.count > 0) {
        anchor = *anchors_start(&partition->state->anchors);
    }
    if (partition->replays_nothing) {
        anchor.offset = partition->state->next_offset;
        anchor.greatest_us = partition->state->greatest_us;
    }
    struct partition rebuilt = *partition;
    rebuilt.next = 0;
    while (rebuilt.next < rebuilt.count && rebuilt.records[rebuilt.next].offset < anchor.offset) {
        rebuilt.next++;
    }
    rebuilt.span = span_at(&rebuilt, rebuilt.next);
    rebuilt.state = stage_state_new(&judge_now(&rebuilt)->plan->stage, &partition->budget,
                                    anchor.offset);
    stage_state_start_at(rebuilt.state, &anchor);
    partition_advance(&rebuilt, partition->next, prng, STAGE_SILENT, NULL, NULL);
    if (rebuilt.span < partition->span) {
        partition_take_over(&rebuilt);
    }
    bool equal = replace_state(partition, &rebuilt, why);
    stage_state_free(rebuilt.state);
    return equal;
}
