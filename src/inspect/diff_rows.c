/* Rows that two files have judged, compared. */
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"
#include "inspect/diff_private.h"

#define KINDS_MAX 4096u
#define TEXT_BYTES 300u

/* --- what is told --- */

static struct diff_kind *find_kind(struct diff *diff, const char *from, const char *to,
                                   const char *what)
{
    struct diff_result *result = diff->result;
    for (uint32_t i = 0; i < result->kind_count; i++) {
        struct diff_kind *kind = &result->kinds[i];
        if (strcmp(kind->from, from) == 0 && strcmp(kind->to, to) == 0 &&
            strcmp(kind->what, what) == 0) {
            return kind;
        }
    }
    if (result->kind_count == KINDS_MAX) {
        return &result->kinds[KINDS_MAX - 1];
    }
    if (result->kind_count == diff->kind_capacity) {
        struct diff_kind *old = result->kinds;
        diff->kind_capacity = 2 * diff->kind_capacity + 16;
        result->kinds =
            arena_alloc_zero(result->arena, diff->kind_capacity, sizeof *result->kinds);
        if (result->kind_count > 0) {
            memcpy(result->kinds, old, result->kind_count * sizeof *old);
        }
    }
    struct diff_kind *kind = &result->kinds[result->kind_count++];
    *kind = (struct diff_kind){
        .from = arena_copy_string(result->arena, from),
        .to = arena_copy_string(result->arena, to),
        .what = arena_copy_string(result->arena, what),
    };
    if (diff->query->most > 0) {
        kind->examples = arena_alloc_zero(result->arena, diff->query->most,
                                          sizeof *kind->examples);
    }
    return kind;
}

/* By count, then as they were found. */
static int compare_kinds(const void *left, const void *right)
{
    const struct diff_kind *a = left;
    const struct diff_kind *b = right;
    if (a->count != b->count) {
        return a->count > b->count ? -1 : 1;
    }
    int order = strcmp(a->what, b->what);
    order = order != 0 ? order : strcmp(a->from, b->from);
    return order != 0 ? order : strcmp(a->to, b->to);
}

void diff_sort_kinds(struct diff_result *result)
{
    if (result->kind_count > 0) {
        qsort(result->kinds, result->kind_count, sizeof *result->kinds, compare_kinds);
    }
}

/* "VALID", "INVALID schema.range temperature"; with `detail` " (909 is above …)" behind it. */
static const char *decision(const struct side *side, uint32_t row, bool with_detail,
                            struct buffer *out)
{
    const struct batch *batch = side->batch;
    uint32_t count = 0;
    const struct violation *first = batch_violations(batch, row, &count);
    buffer_clear(out);
    buffer_append_string(out, verdict_name((enum verdict)batch->verdicts[row]));
    if (count > 0 && batch->verdicts[row] != VERDICT_VALID) {
        const char *reason = reason_name(&side->plan->reasons, first->reason);
        const char *field =
            first->field == FIELD_NONE ? "" : batch->layout->fields[first->field].path;
        buffer_printf(out, " %s%s%s", reason, field[0] == '\0' ? "" : " ", field);
        if (with_detail && first->detail.size > 0) {
            buffer_printf(out, " (%.*s)", (int)first->detail.size,
                          (const char *)first->detail.data);
        }
    }
    return buffer_string(out);
}

/* Cut, no character in two; what is no text is left out. */
static void append_text(struct buffer *out, struct bytes text)
{
    if (bytes_is_none(text) || !bytes_is_utf8(text)) {
        return;
    }
    size_t size = text.size < TEXT_BYTES ? text.size : TEXT_BYTES;
    while (size > 0 && size < text.size && (text.data[size] & 0xC0) == 0x80) {
        size--;
    }
    buffer_append(out, text.data, size);
    if (size < text.size) {
        buffer_append_string(out, "…");
    }
}

static const char *keep(struct diff *diff, const struct buffer *text)
{
    return arena_copy(diff->result->arena, text->data == NULL ? (const void *)"" : text->data,
                      text->size);
}

/* What the old file deduplicates by, else the record's key. */
static const char *key_text(struct diff *diff, uint32_t row)
{
    const struct side *side = &diff->old;
    const struct batch *batch = side->batch;
    const struct stage_plan *stage = &side->plan->stage;
    struct buffer text = {0};
    bool is_whole = stage->dedup_field_count > 0;
    for (uint32_t i = 0; i < stage->dedup_field_count && is_whole; i++) {
        uint32_t field = stage->dedup_fields[i];
        struct value value = {.type = VALUE_NULL};
        if (batch->columns[field].cells[row] != CELL_MISFIT) {
            value = batch_value(batch, field, row);
        }
        is_whole = value.type != VALUE_NULL;
        buffer_append_string(&text, i == 0 ? "" : ",");
        if (value.type == VALUE_TEXT) {
            append_text(&text, value.text);
        } else {
            json_write_value(&text, &value);
        }
    }
    if (!is_whole) {
        buffer_clear(&text);
        append_text(&text, batch->records[row].key);
    }
    const char *kept = keep(diff, &text);
    buffer_fini(&text);
    return kept;
}

/* `outputs`: what goes out is told, rather than why it does not. */
static void add_example(struct diff *diff, struct diff_kind *kind, uint32_t row, bool outputs)
{
    if (kind->example_count == diff->query->most) {
        return;
    }
    const struct side *sides[] = {&diff->old, &diff->new};
    const char *texts[2];
    struct buffer text = {0};
    for (uint32_t i = 0; i < 2; i++) {
        if (outputs) {
            buffer_clear(&text);
            append_text(&text, sides[i]->batch->outputs[row]);
        } else {
            decision(sides[i], row, true, &text);
        }
        texts[i] = keep(diff, &text);
    }
    buffer_fini(&text);
    const struct batch *batch = diff->old.batch;
    const struct source_partition *source = &diff->partitions[batch->partition];
    kind->examples[kind->example_count++] = (struct diff_example){
        .topic = arena_copy_string(diff->result->arena, source->topic),
        .partition = arena_copy_string(diff->result->arena, source->label),
        .offset = batch->records[row].offset,
        .key = key_text(diff, row),
        .old_text = texts[0],
        .new_text = texts[1],
    };
}

static void differ(struct diff *diff, uint32_t row, const char *what, bool outputs)
{
    struct buffer from = {0};
    struct buffer to = {0};
    struct diff_kind *kind = find_kind(diff, decision(&diff->old, row, false, &from),
                                       decision(&diff->new, row, false, &to), what);
    kind->count++;
    add_example(diff, kind, row, outputs);
    buffer_fini(&from);
    buffer_fini(&to);
}

/* --- comparing --- */

static bool is_same_violation(const struct diff *diff, const struct violation *a,
                              const struct violation *b)
{
    const struct layout *old = diff->old.batch->layout;
    const struct layout *new = diff->new.batch->layout;
    return strcmp(reason_name(&diff->old.plan->reasons, a->reason),
                  reason_name(&diff->new.plan->reasons, b->reason)) == 0 &&
           strcmp(a->field == FIELD_NONE ? "" : old->fields[a->field].path,
                  b->field == FIELD_NONE ? "" : new->fields[b->field].path) == 0;
}

/* The reason, or all of them. */
static bool are_same_violations(const struct diff *diff, uint32_t row, bool reason_only)
{
    uint32_t a = 0;
    uint32_t b = 0;
    const struct violation *old = batch_violations(diff->old.batch, row, &a);
    const struct violation *new = batch_violations(diff->new.batch, row, &b);
    if (reason_only) {
        a = a > 0;
        b = b > 0;
    }
    bool same = a == b;
    for (uint32_t i = 0; i < a && same; i++) {
        same = is_same_violation(diff, &old[i], &new[i]);
    }
    return same;
}

static struct hash128 row_hash(const struct diff *diff, const struct side *side, uint32_t number,
                               uint32_t row)
{
    struct sink *sink = side->plan->sinks[number];
    struct ledger_sink one = {0};
    struct output_row out = {
        .batch = side->batch,
        .row = row,
        .value = side->batch->outputs[row],
        .origin = &diff->partitions[side->batch->partition],
    };
    sink->ops->append_row(sink, side->outboxes[number], &out, &diff->secret, &one);
    sink->ops->outbox_clear(side->outboxes[number]);
    return one.sum;
}

static bool differ_in_sink(struct diff *diff, uint32_t row, const char *what, const char *sink,
                           bool outputs)
{
    struct buffer text = {0};
    buffer_printf(&text, "%s %s", what, sink);
    differ(diff, row, buffer_string(&text), outputs);
    buffer_fini(&text);
    return true;
}

/* Of two VALID rows: which sinks they go to, and what stands there. */
static bool compare_outputs(struct diff *diff, uint32_t row)
{
    const struct plan *old = diff->old.plan;
    const struct plan *new = diff->new.plan;
    uint64_t old_routes = diff->old.batch->routes[row];
    uint64_t new_routes = diff->new.batch->routes[row];
    uint64_t known = 0;
    bool differs = false;
    for (uint32_t i = 0; i < old->stage.sink_count; i++) {
        uint32_t k = diff->counterparts[i];
        bool was = (old_routes >> i & 1) != 0;
        bool is = k != SINK_NONE && (new_routes >> k & 1) != 0;
        known |= k == SINK_NONE ? 0 : UINT64_C(1) << k;
        if (was != is) {
            differs = differ_in_sink(diff, row, was ? "no longer to" : "new to",
                                     old->sinks[i]->name, false);
        } else if (was && !hash_equal(row_hash(diff, &diff->old, i, row),
                                      row_hash(diff, &diff->new, k, row))) {
            differs = differ_in_sink(diff, row, "other row for", old->sinks[i]->name, true);
        }
    }
    for (uint32_t k = 0; k < new->stage.sink_count; k++) {
        if ((known >> k & 1) == 0 && (new_routes >> k & 1) != 0) {
            differs = differ_in_sink(diff, row, "new to", new->sinks[k]->name, false);
        }
    }
    return differs;
}

static bool compare_row(struct diff *diff, uint32_t row)
{
    enum verdict old = (enum verdict)diff->old.batch->verdicts[row];
    enum verdict new = (enum verdict)diff->new.batch->verdicts[row];
    if (old != new || (old != VERDICT_VALID && !are_same_violations(diff, row, true))) {
        differ(diff, row, old != new ? "verdict" : "reason", false);
        return true;
    }
    if (old == VERDICT_VALID) {
        return compare_outputs(diff, row);
    }
    if (!are_same_violations(diff, row, false)) {
        differ(diff, row, "violations behind the first", false);
        return true;
    }
    return false;
}

void diff_compare(struct diff *diff)
{
    const struct batch *old = diff->old.batch;
    const struct batch *new = diff->new.batch;
    check(old->row_count == new->row_count);
    for (uint32_t row = 0; row < old->row_count; row++) {
        diff->result->old_verdicts[old->verdicts[row]]++;
        diff->result->new_verdicts[new->verdicts[row]]++;
        diff->result->differing += compare_row(diff, row);
    }
    diff->result->records += old->row_count;
}
