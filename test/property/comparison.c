#include "comparison.h"

#include <stdlib.h>
#include <string.h>

#define EPOCH_S INT64_C(1767225600)

static int cell_value(const struct batch *batch, const char *name, uint32_t row)
{
    uint32_t field = layout_find(batch->layout, name);
    const struct column *column = &batch->columns[field];
    switch ((enum cell)column->cells[row]) {
    case CELL_VALUE:
    case CELL_INVALID:
        break;
    case CELL_ABSENT:
    case CELL_NULL:
        return NONE;
    case CELL_MISFIT:
        return -1000;
    }
    if (column->type == COLUMN_INT64) {
        return (int)column->integers[row];
    }
    /* A letter and digits. */
    char text[16] = "";
    struct bytes bytes = column->texts[row];
    memcpy(text, bytes.data, bytes.size < sizeof text ? bytes.size : sizeof text - 1);
    return atoi(text + 1);
}

static int64_t witness_of(const struct violation *violation)
{
    static const char before[] = "of offset ";
    char text[48] = "";
    struct bytes detail = violation->detail;
    memcpy(text, detail.data, detail.size < sizeof text ? detail.size : sizeof text - 1);
    return strncmp(text, before, sizeof before - 1) == 0
               ? strtoll(text + sizeof before - 1, NULL, 10)
               : -1;
}

struct found {
    enum verdict verdict;
    const char *reason;
    int64_t witness;
    int value, mode;
    int64_t watermark_s;
};

static struct found find_row(const struct judge *judge, uint32_t row)
{
    const struct batch *batch = judge->batch;
    uint32_t count = 0;
    const struct violation *violation = batch_violations(batch, row, &count);
    struct found found = {
        .verdict = (enum verdict)batch->verdicts[row],
        .value = cell_value(batch, "value", row),
        .mode = cell_value(batch, "mode", row),
        .watermark_s = batch->watermarks_us[row] / 1000000 - EPOCH_S,
    };
    if (violation != NULL) {
        found.reason = reason_name(&judge->plan->reasons, violation->reason);
        found.witness = found.verdict == VERDICT_DUPLICATE ? witness_of(violation) : 0;
    }
    return found;
}

static bool is_as_expected(const struct found *found, const struct expected *expected,
                           const struct row *row)
{
    bool same_reason = found->reason == NULL || expected->reason == NULL
                           ? found->reason == expected->reason
                           : strcmp(found->reason, expected->reason) == 0;
    return found->verdict == expected->verdict && same_reason &&
           (expected->verdict != VERDICT_DUPLICATE || found->witness == expected->witness) &&
           (row->damage != DAMAGE_NOT ||
            (found->value == expected->value && found->mode == expected->mode)) &&
           (!expected->has_watermark || found->watermark_s == expected->watermark_s);
}

static void compare_row(struct comparison *comparison, const struct judge *judge, uint32_t row,
                        int index)
{
    const struct expected *expected = &comparison->expected[index];
    struct found found = find_row(judge, row);
    if (is_as_expected(&found, expected, &comparison->log->rows[index])) {
        return;
    }
    struct bytes value = judge->batch->records[row].value;
    buffer_printf(&comparison->why,
                  "row %d at offset %lld: %.*s\n"
                  "    the engine: %s %s, witness %lld, value %d, mode %d, watermark %lld\n"
                  "    the model:  %s %s, witness %lld, value %d, mode %d, watermark %d",
                  index, (long long)judge->batch->records[row].offset, (int)value.size,
                  value.data == NULL ? "" : (const char *)value.data, verdict_name(found.verdict),
                  found.reason == NULL ? "" : found.reason, (long long)found.witness, found.value,
                  found.mode, (long long)found.watermark_s, verdict_name(expected->verdict),
                  expected->reason == NULL ? "" : expected->reason, (long long)expected->witness,
                  expected->value, expected->mode, expected->watermark_s);
}

void comparison_observe(void *context, const struct judge *judge, int first)
{
    struct comparison *comparison = context;
    for (uint32_t row = 0; row < judge->batch->row_count && comparison->why.size == 0; row++) {
        compare_row(comparison, judge, row, first + (int)row);
    }
}

void expect_log(const struct log *log, const struct rule_span *spans, int span_count,
                struct model_faults faults, struct expected *expected)
{
    struct model model;
    model_init(&model, faults);
    int span = 0;
    for (int i = 0; i < log->count; i++) {
        while (span + 1 < span_count && spans[span + 1].first <= i) {
            model_change_rule(&model, &spans[span].rule, &spans[span + 1].rule);
            span++;
        }
        expected[i] =
            model_step(&model, &spans[span].rule, log->records[i].offset, &log->rows[i]);
    }
}
