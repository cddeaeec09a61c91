#include "model.h"

#include <string.h>

void model_init(struct model *model, struct model_faults faults)
{
    memset(model, 0, sizeof *model);
    model->faults = faults;
    model->greatest_s = MODEL_NEVER;
}

static int watermark_s(const struct model *model, const struct rule *rule)
{
    return model->greatest_s - rule->lateness_s;
}

/* --- event time --- */

/* Three senders within the span: the world has moved on. */
static void vote(struct model *model, const struct rule *rule, int64_t offset,
                 const struct row *row)
{
    struct model_vote kept[MODEL_VOTES_MAX];
    int count = 0;
    for (int i = 0; i < model->vote_count; i++) {
        if (offset - model->votes[i].offset <= rule->jump_span &&
            model->votes[i].sensor != row->sensor) {
            kept[count++] = model->votes[i];
        }
    }
    kept[count++] = (struct model_vote){row->sensor, offset, row->event_s};
    if (count == 3) {
        int lowest_s = row->event_s;
        for (int i = 0; i < count; i++) {
            lowest_s = kept[i].event_s < lowest_s ? kept[i].event_s : lowest_s;
        }
        model->greatest_s = lowest_s > model->greatest_s ? lowest_s : model->greatest_s;
        count = 0;
    }
    memcpy(model->votes, kept, sizeof kept);
    model->vote_count = count;
}

/* NULL: the row's event time stands. */
static const char *judge_time(struct model *model, const struct rule *rule, int64_t offset,
                              const struct row *row)
{
    if (row->time != TIME_GIVEN) {
        return row->time == TIME_MISSING ? "time.missing" : "time.unparsable";
    }
    if (rule->max_jump_s != NONE) {
        if (model->greatest_s == MODEL_NEVER ||
            row->event_s <= model->greatest_s + rule->max_jump_s) {
            return NULL;
        }
        if (row->sensor != NONE) {
            vote(model, rule, offset, row);
        }
        return "time.future";
    }
    bool future =
        rule->max_future_s != NONE && row->event_s > row->arrival_s + rule->max_future_s;
    return future ? "time.future" : NULL;
}

/* --- fill --- */

/* The cell of a row whose event time is vetted, after it has fed or has been filled. */
static int fill(const struct model *model, const struct rule *rule, struct model_last *last,
                int max_age_s, int event_s, int cell, int maximum)
{
    if (cell != NONE) {
        if (cell <= maximum && (!last->known || event_s >= last->event_s)) {
            *last = (struct model_last){true, event_s, cell};
        }
        return cell;
    }
    if (!last->known || last->value > maximum || event_s < last->event_s ||
        event_s - last->event_s > max_age_s) {
        return NONE;
    }
    if (!model->faults.fill_by_distance_only &&
        watermark_s(model, rule) > last->event_s + max_age_s) {
        return NONE;
    }
    if (model->faults.fills_feed) {
        last->event_s = event_s;
    }
    return last->value;
}

static void fill_row(struct model *model, const struct rule *rule, const struct row *row,
                     struct expected *expected)
{
    if (rule->fill == FILL_BY_SENSOR && row->sensor != NONE) {
        expected->value = fill(model, rule, &model->value_by_sensor[row->sensor],
                               rule->max_age_s, row->event_s, row->value, rule->maximum);
    } else if (rule->fill == FILL_BY_OTHER && row->other != NONE) {
        expected->value = fill(model, rule, &model->value_by_other[row->other], rule->max_age_s,
                               row->event_s, row->value, rule->maximum);
    }
    if (rule->mode_age_s != NONE && row->key != NONE) {
        expected->mode = fill(model, rule, &model->mode_by_key[row->key], rule->mode_age_s,
                              row->event_s, row->mode, 1000);
    }
}

/* --- dedup and lateness --- */

/* Where the row's key is remembered; NULL: it has none, or nobody asks. */
static struct model_seen *seen_of(struct model *model, const struct rule *rule,
                                  const struct row *row)
{
    switch (rule->dedup) {
    case DEDUP_KEY:
        return row->key == NONE ? NULL : &model->seen[row->key][OTHERS_MAX];
    case DEDUP_OTHER:
        return row->other == NONE ? NULL : &model->seen[KEYS_MAX][row->other];
    case DEDUP_BOTH:
        return row->key == NONE || row->other == NONE ? NULL : &model->seen[row->key][row->other];
    case DEDUP_NOT:
        break;
    }
    return NULL;
}

static bool is_remembered(const struct model *model, const struct rule *rule,
                          const struct model_seen *seen, int now_s)
{
    int clock_s = model->faults.duplicate_by_age ? now_s : watermark_s(model, rule);
    return seen->known && (rule->window_s == FOREVER || clock_s <= seen->event_s + rule->window_s);
}

static void judge_identity(struct model *model, const struct rule *rule, int64_t offset,
                           const struct row *row, bool late, struct expected *expected)
{
    struct model_seen *seen = seen_of(model, rule, row);
    expected->verdict = late ? VERDICT_LATE : VERDICT_VALID;
    expected->reason = late ? "late" : NULL;
    if (seen == NULL) {
        return;
    }
    if (is_remembered(model, rule, seen, row->event_s)) {
        expected->verdict = VERDICT_DUPLICATE;
        expected->reason = "duplicate";
        expected->witness = seen->offset;
        if (!late && !model->faults.no_refresh) {
            seen->event_s = row->event_s > seen->event_s ? row->event_s : seen->event_s;
            seen->offset = offset;
        }
    } else if (!late || model->faults.late_registers) {
        *seen = (struct model_seen){true, row->event_s, offset};
    }
}

/* --- all together --- */

static struct expected invalid(struct expected expected, const char *reason)
{
    expected.verdict = VERDICT_INVALID;
    expected.reason = reason;
    return expected;
}

static struct expected judge_row(struct model *model, const struct rule *rule, int64_t offset,
                                 const struct row *row)
{
    struct expected expected = {.value = row->value, .mode = row->mode};
    if (row->damage == DAMAGE_TOMBSTONE && rule->takes_tombstones && row->has_record_key) {
        expected.verdict = VERDICT_VALID;
        return expected;
    }
    if (row->damage != DAMAGE_NOT) {
        return invalid(expected, row->damage == DAMAGE_CUT   ? "decode.syntax"
                                 : rule->takes_tombstones ? "key.missing"
                                                          : "decode.null_value");
    }
    const char *reason = judge_time(model, rule, offset, row);
    bool late = false;
    if (reason == NULL) {
        late = row->event_s < watermark_s(model, rule);
        model->greatest_s = row->event_s > model->greatest_s ? row->event_s : model->greatest_s;
        fill_row(model, rule, row, &expected);
    }
    if (reason == NULL && expected.value > rule->maximum) {
        reason = "schema.range";
    }
    if (reason == NULL && expected.value == NONE) {
        reason = rule->fill == FILL_NOT ? "schema.required" : "repair.no_value";
    }
    if (reason == NULL && expected.value < row->least + rule->least_plus) {
        reason = "check.least";
    }
    if (reason != NULL) {
        return invalid(expected, reason);
    }
    if (rule->filters && row->is_test) {
        expected.verdict = VERDICT_FILTERED;
        expected.reason = "filter.where";
        return expected;
    }
    judge_identity(model, rule, offset, row, late, &expected);
    return expected;
}

struct expected model_step(struct model *model, const struct rule *rule, int64_t offset,
                           const struct row *row)
{
    int votes = model->vote_count;
    struct expected expected = judge_row(model, rule, offset, row);
    expected.jumped = votes > 0 && model->vote_count == 0;
    expected.filled = expected.value != row->value || expected.mode != row->mode;
    expected.has_watermark = model->greatest_s != MODEL_NEVER;
    expected.watermark_s = watermark_s(model, rule);
    return expected;
}

/* --- another rule --- */

static void purge_last(struct model_last *last, int count, int watermark, int max_age_s)
{
    for (int i = 0; i < count; i++) {
        last[i].known &= watermark <= last[i].event_s + max_age_s;
    }
}

static void purge(struct model *model, const struct rule *rule)
{
    int watermark = watermark_s(model, rule);
    purge_last(model->value_by_sensor, SENSORS_MAX, watermark, rule->max_age_s);
    purge_last(model->value_by_other, OTHERS_MAX, watermark, rule->max_age_s);
    purge_last(model->mode_by_key, KEYS_MAX, watermark, rule->mode_age_s);
    for (int key = 0; key <= KEYS_MAX; key++) {
        for (int other = 0; other <= OTHERS_MAX; other++) {
            struct model_seen *seen = &model->seen[key][other];
            seen->known &= is_remembered(model, rule, seen, watermark);
        }
    }
}

void model_change_rule(struct model *model, const struct rule *from, const struct rule *to)
{
    if (!model->faults.change_forgets_nothing) {
        purge(model, from);
    }
    /* What is defined otherwise begins anew. */
    if (from->dedup != to->dedup) {
        memset(model->seen, 0, sizeof model->seen);
    }
    if (from->fill != to->fill) {
        memset(model->value_by_sensor, 0, sizeof model->value_by_sensor);
        memset(model->value_by_other, 0, sizeof model->value_by_other);
    }
    if (from->mode_age_s == NONE || to->mode_age_s == NONE) {
        memset(model->mode_by_key, 0, sizeof model->mode_by_key);
    }
}
