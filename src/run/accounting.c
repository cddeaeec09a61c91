#include "run/accounting.h"

#include "base/time.h"
#include "codec/json.h"
#include "connector/reject.h"

static void count_reasons(const struct plan *plan, const struct batch *batch,
                          struct ledger *ledger)
{
    uint64_t *counts = memory_alloc_zero(plan->reasons.count, sizeof *counts);
    uint32_t last_row = UINT32_MAX;
    /* Sorted: the first violation of a row is its reason. */
    for (uint32_t i = 0; i < batch->violation_count; i++) {
        if (batch->violations[i].row != last_row) {
            last_row = batch->violations[i].row;
            counts[batch->violations[i].reason]++;
        }
    }
    for (uint32_t i = 0; i < plan->reasons.count; i++) {
        if (counts[i] > 0) {
            ledger_add_reason(ledger, plan->reasons.names[i], counts[i]);
        }
    }
    memory_free(counts);
}

/* A warning counts when the row is delivered. */
static void count_warnings(const struct plan *plan, const struct batch *batch,
                           struct ledger *ledger)
{
    for (uint32_t c = 0; c < plan->stage.check_count; c++) {
        uint64_t count = 0;
        for (uint32_t i = 0; i < batch->warning_count; i++) {
            count += batch->warnings[i].check == c &&
                     batch->verdicts[batch->warnings[i].row] == VERDICT_VALID;
        }
        if (count > 0) {
            ledger_add_warning(ledger, plan->stage.checks[c].name, count);
        }
    }
}

/* No complaint: how many of the VALID rows delete. */
static void count_tombstones(const struct plan *plan, const struct batch *batch,
                             struct ledger *ledger)
{
    uint64_t count = 0;
    for (uint32_t row = 0; plan->stage.takes_tombstones && row < batch->row_count; row++) {
        count += batch_is_tombstone(batch, row);
    }
    if (count > 0) {
        ledger_add_reason(ledger, plan->reasons.names[REASON_TOMBSTONE], count);
    }
}

void accounting_count(const struct plan *plan, const struct stage_runner *runner,
                      struct batch *batch, struct ledger *ledger)
{
    uint64_t bytes = 0;
    batch_hash_records(batch, stage_runner_secret(runner));
    for (uint32_t row = 0; row < batch->row_count; row++) {
        bytes += batch->records[row].key.size + batch->records[row].value.size;
        ledger->verdicts[batch->verdicts[row]]++;
    }
    ledger->in += batch->row_count;
    ledger->in_bytes += bytes;
    ledger->in_sum = hash_add(ledger->in_sum, batch->records_sum);
    ledger->replayed += batch->replay_count;
    for (uint32_t i = 0; i < batch->repair_count; i++) {
        ledger->repairs[batch->repairs[i].kind]++;
    }
    count_reasons(plan, batch, ledger);
    count_warnings(plan, batch, ledger);
    count_tombstones(plan, batch, ledger);
}

int64_t accounting_segment(const struct plan_change *plans, uint32_t plan_count, int64_t offset)
{
    int64_t first_offset = offset - offset % SEGMENT_OFFSETS;
    for (uint32_t i = 0; i < plan_count; i++) {
        if (plans[i].offset <= offset && plans[i].offset > first_offset) {
            first_offset = plans[i].offset;
        }
    }
    return first_offset;
}

int64_t accounting_segment_end(int64_t offset)
{
    return offset - offset % SEGMENT_OFFSETS + SEGMENT_OFFSETS;
}

void accounting_append_rows(struct sink *sink, uint32_t sink_number, struct outbox *outbox,
                            const struct source_partition *origin, const struct batch *batch,
                            const struct hash_secret *secret, struct ledger_sink *delta)
{
    struct output_row out = {.batch = batch, .origin = origin};
    const uint64_t bit = UINT64_C(1) << sink_number;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if ((batch->routes[row] & bit) != 0) {
            out.row = row;
            out.value = batch->outputs[row];
            sink->ops->append_row(sink, outbox, &out, secret, delta);
            delta->routed++;
        }
    }
}

static const char *field_path(const struct batch *batch, const struct violation *violation)
{
    return violation->field == FIELD_NONE ? "" : batch->layout->fields[violation->field].path;
}

/* [{"reason":…,"field":…,"detail":…},…] */
static void write_violations(const struct plan *plan, const struct batch *batch,
                             const struct violation *violations, uint32_t count,
                             struct buffer *out)
{
    buffer_append_byte(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_string(out, i == 0 ? "{\"reason\":" : ",{\"reason\":");
        json_write_string(out,
                          bytes_of_string(reason_name(&plan->reasons, violations[i].reason)));
        buffer_append_string(out, ",\"field\":");
        json_write_string(out, bytes_of_string(field_path(batch, &violations[i])));
        buffer_append_string(out, ",\"detail\":");
        json_write_string(out, violations[i].detail);
        buffer_append_byte(out, '}');
    }
    buffer_append_byte(out, ']');
}

static void fill_dead_letter(const struct plan *plan, const struct source_partition *origin,
                             const struct batch *batch, uint32_t row, struct buffer *violations,
                             struct dead_letter *letter)
{
    const struct record *record = &batch->records[row];
    const struct replay_origin *replay = batch_replay(batch, row);
    uint32_t count = 0;
    const struct violation *first = batch_violations(batch, row, &count);
    check(count > 0);
    buffer_clear(violations);
    write_violations(plan, batch, first, count, violations);
    *letter = (struct dead_letter){
        .key = record->key,
        .value = record->value,
        .headers = record->headers,
        .header_count = record->header_count,
        .reason = reason_name(&plan->reasons, first->reason),
        .field = field_path(batch, first),
        .detail = first->detail,
        .violations = bytes_of(violations->data, violations->size),
        .topic = origin->topic,
        .partition = origin->label,
        .offset = record->offset,
        .timestamp_us = record->timestamp_us,
        .pipeline = plan->name,
        .plan = plan->hash_text,
        .attempt = replay == NULL ? 1 : replay->attempt + 1,
        .sink = "",
    };
}

void accounting_append_dead_letters(const struct plan *plan, struct outbox *outbox,
                                    const struct source_partition *origin,
                                    const struct batch *batch, const struct hash_secret *secret,
                                    struct ledger_sink *delta)
{
    struct sink *dlq = plan->dlq;
    struct buffer violations = {0};
    struct dead_letter letter;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (plan->dlq_includes[batch->verdicts[row]]) {
            fill_dead_letter(plan, origin, batch, row, &violations, &letter);
            dlq->ops->append_dead_letter(dlq, outbox, batch->partition, &letter, secret, delta);
            delta->routed++;
        }
    }
    buffer_fini(&violations);
}

void accounting_each_dead_letter(const struct plan *plan, struct outbox *outbox,
                                 const struct source_partition *origin, const struct batch *batch,
                                 const struct hash_secret *secret,
                                 void (*letter)(void *context, const struct batch *batch,
                                                uint32_t row, struct hash128 hash),
                                 void *context)
{
    struct buffer violations = {0};
    struct dead_letter one;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (plan->dlq_includes[batch->verdicts[row]]) {
            struct ledger_sink sum = {0};
            fill_dead_letter(plan, origin, batch, row, &violations, &one);
            plan->dlq->ops->append_dead_letter(plan->dlq, outbox, batch->partition, &one, secret,
                                               &sum);
            letter(context, batch, row, sum.sum);
        }
    }
    buffer_fini(&violations);
}

struct ledger *accounting_delta(struct progress_step *step, int64_t segment_first,
                                struct hash128 plan_hash)
{
    for (uint32_t i = 0; i < step->segment_count; i++) {
        if (step->segments[i].first_offset == segment_first) {
            return &step->segments[i].delta;
        }
    }
    step->segments = memory_realloc(
        step->segments, size_mul(step->segment_count + 1, sizeof *step->segments));
    struct segment_delta *segment = &step->segments[step->segment_count++];
    *segment = (struct segment_delta){.first_offset = segment_first, .plan_hash = plan_hash};
    return &segment->delta;
}

void accounting_forward(const struct plan *plan, struct outbox *outbox,
                        const struct source_partition *origin, uint32_t partition,
                        const char *sink, const struct kept_reject *reject,
                        const struct hash_secret *secret, struct refused_list *forwarded)
{
    struct buffer violations = {0};
    struct dead_letter letter;
    struct ledger_sink one = {0};
    struct refused_row row = {
        .record = &reject->record,
        .origin = origin,
        .attempt = reject->attempt,
        .sink = sink,
        .code = reject->code,
        .message = reject->message,
        .pipeline = plan->name,
        .plan_hash = reject->plan_hash,
    };
    reject_letter(&row, &violations, &letter);
    plan->dlq->ops->append_dead_letter(plan->dlq, outbox, partition, &letter, secret, &one);
    refused_add(forwarded, sink, reject->record.offset, one.sum);
    buffer_fini(&violations);
}
