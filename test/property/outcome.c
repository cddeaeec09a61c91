#include "outcome.h"

#include <string.h>

#include "run/accounting.h"

static const struct source_partition origin = {
    .topic = "in",
    .topic_id = "1",
    .label = "0",
    .partition_count = 1,
};

void outcome_clear(struct outcome *outcome)
{
    buffer_clear(&outcome->text);
    outcome->count = 0;
    ledger_clear(&outcome->ledger);
}

void outcome_fini(struct outcome *outcome)
{
    for (int i = 0; i < outcome->desk_count; i++) {
        struct desk *desk = &outcome->desks[i];
        const struct plan *plan = desk->judge->plan;
        for (uint32_t s = 0; s < plan->stage.sink_count; s++) {
            plan->sinks[s]->ops->outbox_free(desk->sinks[s]);
        }
        plan->dlq->ops->outbox_free(desk->dlq);
    }
    buffer_fini(&outcome->text);
    ledger_fini(&outcome->ledger);
}

/* --- rows --- */

static void write_text(struct buffer *out, const char *label, struct bytes text)
{
    buffer_append_string(out, label);
    if (bytes_is_none(text)) {
        buffer_append_string(out, "none");
    } else {
        buffer_append(out, text.data, text.size);
    }
}

static void write_int(struct buffer *out, const char *label, int64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    buffer_append_string(out, label);
    buffer_append_string(out, number < 0 ? "-" : "");
    buffer_append(out, digits + at, sizeof digits - at);
}

static void write_violations(struct buffer *out, const struct judge *judge, uint32_t row)
{
    uint32_t count = 0;
    const struct violation *violations = batch_violations(judge->batch, row, &count);
    for (uint32_t i = 0; i < count; i++) {
        write_int(out, " | ", violations[i].order);
        write_int(out, ":", violations[i].field);
        write_text(out, " ",
                   bytes_of_string(reason_name(&judge->plan->reasons, violations[i].reason)));
        write_text(out, " ", violations[i].detail);
    }
}

static void write_set_values(struct buffer *out, const struct batch *batch, uint32_t row)
{
    for (uint32_t s = 0; s < batch->set_count; s++) {
        write_int(out, " | set ", batch->set_values[s][row].type);
        value_write(&batch->set_values[s][row], out);
    }
}

static void write_row(struct buffer *out, const struct judge *judge, uint32_t row)
{
    const struct batch *batch = judge->batch;
    const struct replay_origin *replay = batch_replay(batch, row);
    buffer_append_string(out, verdict_name((enum verdict)batch->verdicts[row]));
    write_violations(out, judge, row);
    write_int(out, " | time ", batch->event_times_us[row]);
    write_int(out, " watermark ", batch->watermarks_us[row]);
    write_int(out, " routes ", (int64_t)batch->routes[row]);
    write_text(out, " output ", batch->outputs[row]);
    if (replay != NULL) {
        write_int(out, " | replay ", replay->attempt);
        write_text(out, " ", replay->sink);
    }
    if (batch->verdicts[row] == VERDICT_VALID) {
        write_set_values(out, batch, row);
    }
}

/* Repairs and warnings stand in lists of the batch, so they are sorted out by row. */
static void write_lists(struct buffer rows[], const struct judge *judge)
{
    const struct batch *batch = judge->batch;
    for (uint32_t i = 0; i < batch->repair_count; i++) {
        const struct repair *repair = &batch->repairs[i];
        write_text(&rows[repair->row], " | ", bytes_of_string(repair_name(repair->kind)));
        write_int(&rows[repair->row], " ", repair->field);
    }
    for (uint32_t i = 0; i < batch->warning_count; i++) {
        write_int(&rows[batch->warnings[i].row], " | warning ", batch->warnings[i].check);
    }
}

/* --- the ledger --- */

static struct desk *desk_of(struct outcome *outcome, const struct judge *judge)
{
    for (int i = 0; i < outcome->desk_count; i++) {
        if (outcome->desks[i].judge == judge) {
            return &outcome->desks[i];
        }
    }
    check(outcome->desk_count < DESKS_MAX);
    struct desk *desk = &outcome->desks[outcome->desk_count++];
    const struct plan *plan = judge->plan;
    check(plan->stage.sink_count <= OUTCOME_SINKS_MAX);
    desk->judge = judge;
    for (uint32_t s = 0; s < plan->stage.sink_count; s++) {
        desk->sinks[s] = plan->sinks[s]->ops->outbox_new(plan->sinks[s]);
    }
    desk->dlq = plan->dlq->ops->outbox_new(plan->dlq);
    return desk;
}

static void account(struct outcome *outcome, const struct judge *judge)
{
    struct desk *desk = desk_of(outcome, judge);
    const struct plan *plan = judge->plan;
    const struct hash_secret *secret = stage_runner_secret(judge->runner);
    accounting_count(plan, judge->runner, judge->batch, &outcome->ledger);
    for (uint32_t s = 0; s < plan->stage.sink_count; s++) {
        struct sink *sink = plan->sinks[s];
        accounting_append_rows(sink, s, desk->sinks[s], &origin, judge->batch, secret,
                               ledger_sink(&outcome->ledger, sink->name));
        sink->ops->outbox_clear(desk->sinks[s]);
    }
    accounting_append_dead_letters(plan, desk->dlq, &origin, judge->batch, secret,
                                   ledger_sink(&outcome->ledger, "dlq"));
    plan->dlq->ops->outbox_clear(desk->dlq);
}

void outcome_observe(void *context, const struct judge *judge, int first)
{
    struct outcome *outcome = context;
    static struct buffer lists[LOG_ROWS_MAX];
    check(first == outcome->count);
    write_lists(lists, judge);
    for (uint32_t row = 0; row < judge->batch->row_count; row++) {
        write_row(&outcome->text, judge, row);
        buffer_append(&outcome->text, lists[row].data, lists[row].size);
        buffer_clear(&lists[row]);
        outcome->ends[outcome->count++] = outcome->text.size;
    }
    account(outcome, judge);
}

/* --- two of them --- */

static struct bytes text_of(const struct outcome *outcome, int row)
{
    size_t begin = row == 0 ? 0 : outcome->ends[row - 1];
    return bytes_of(outcome->text.data + begin, outcome->ends[row] - begin);
}

void outcome_compare(const struct outcome *a, const struct outcome *b, struct buffer *why)
{
    check(a->count == b->count);
    for (int row = 0; row < a->count; row++) {
        struct bytes one = text_of(a, row);
        struct bytes other = text_of(b, row);
        if (!bytes_equal(one, other)) {
            buffer_printf(why, "row %d\n    at once: %.*s\n    cut:     %.*s", row, (int)one.size,
                          (const char *)one.data, (int)other.size, (const char *)other.data);
            return;
        }
    }
    struct buffer difference = {0};
    if (!ledger_equal(&a->ledger, &b->ledger, true, &difference) ||
        !ledger_is_balanced(&a->ledger, &difference)) {
        buffer_printf(why, "the ledgers: %s", buffer_string(&difference));
    }
    buffer_fini(&difference);
}
