/*
 * Render: the value of each VALID row as it goes out. A row in which nothing changed goes out as
 * the bytes that came in; otherwise the changed members are edited in place and all else stays
 * as it was (codec/json.h).
 */
#include <stdlib.h>

#include "stage/stage_private.h"

static int compare_repairs(const void *a, const void *b)
{
    const struct repair *x = a;
    const struct repair *y = b;
    if (x->row != y->row) {
        return x->row < y->row ? -1 : 1;
    }
    return x->field < y->field ? -1 : x->field > y->field;
}

static void sort_repairs(struct stage_runner *runner, const struct batch *batch)
{
    if (runner->repairs_by_row_capacity < batch->repair_count) {
        runner->repairs_by_row_capacity = batch->repair_capacity;
        runner->repairs_by_row =
            memory_realloc(runner->repairs_by_row, size_mul(runner->repairs_by_row_capacity,
                                                            sizeof *runner->repairs_by_row));
    }
    if (batch->repair_count > 0) {
        memcpy(runner->repairs_by_row, batch->repairs,
               batch->repair_count * sizeof *batch->repairs);
        qsort(runner->repairs_by_row, batch->repair_count, sizeof *batch->repairs,
              compare_repairs);
    }
}

static struct bytes value_text(struct batch *batch, const struct value *value)
{
    struct buffer text = {0};
    json_write_value(&text, value);
    struct bytes copy = bytes_of(arena_copy(batch->arena, text.data, text.size), text.size);
    buffer_fini(&text);
    return copy;
}

static bool is_overwritten(const struct stage_plan *plan, uint32_t field)
{
    for (uint32_t s = 0; s < plan->set_count; s++) {
        if (plan->sets[s].field == field) {
            return true;
        }
    }
    for (uint32_t d = 0; d < plan->drop_count; d++) {
        if (plan->drop_fields[d] == field) {
            return true;
        }
    }
    return false;
}

struct edits {
    struct json_edit *items;
    uint32_t count;
};

static void edit_repairs(const struct stage_plan *plan, struct batch *batch, uint32_t row,
                         const struct repair *repairs, uint32_t count, struct edits *edits)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t field = repairs[i].field;
        bool seen = i > 0 && repairs[i - 1].field == field;
        if (seen || is_overwritten(plan, field)) {
            continue;
        }
        struct json_edit edit = {.field = field, .replacement = BYTES_NONE};
        if (batch->columns[field].cells[row] != CELL_ABSENT) {
            struct value value = batch_value(batch, field, row);
            edit.replacement = value_text(batch, &value);
        }
        edits->items[edits->count++] = edit;
    }
}

static void edit_sets(const struct stage_plan *plan, struct batch *batch, uint32_t row,
                      struct edits *edits)
{
    for (uint32_t s = 0; s < plan->set_count; s++) {
        uint32_t field = plan->sets[s].field;
        edits->items[edits->count++] = (struct json_edit){
            .field = field,
            .replacement = value_text(batch, &batch->set_values[s][row]),
            /* Extra fields keep null and absent apart, so absent means that there is no such
             * member. */
            .absent = field >= plan->layout->schema_field_count &&
                      batch->columns[field].cells[row] == CELL_ABSENT,
        };
    }
}

static void edit_drops(const struct stage_plan *plan, const struct batch *batch, uint32_t row,
                       struct edits *edits)
{
    for (uint32_t d = 0; d < plan->drop_count; d++) {
        uint32_t field = plan->drop_fields[d];
        bool is_extra = field >= plan->layout->schema_field_count;
        bool nullable = batch->layout->fields[field].nullable;
        /* A null in a field that is not nullable counts as absent, yet stands in the record. */
        if (batch->columns[field].cells[row] != CELL_ABSENT || (!is_extra && !nullable)) {
            edits->items[edits->count++] =
                (struct json_edit){.field = field, .replacement = BYTES_NONE};
        }
    }
}

static void render_row(struct stage_runner *runner, struct batch *batch, uint32_t row,
                       const struct repair *repairs, uint32_t repair_count)
{
    const struct stage_plan *plan = runner->plan;
    struct edits edits = {
        .items = arena_alloc(batch->arena,
                             (repair_count + plan->set_count + plan->drop_count + 1) *
                                 sizeof(struct json_edit)),
    };
    edit_repairs(plan, batch, row, repairs, repair_count, &edits);
    edit_sets(plan, batch, row, &edits);
    edit_drops(plan, batch, row, &edits);
    if (edits.count > 0) {
        json_apply_edits(plan->layout, batch->records[row].value, edits.items, edits.count,
                         &runner->rendered);
        runner->rendered_ends[row] = runner->rendered.size;
    }
}

void stage_render(struct stage_runner *runner, struct batch *batch)
{
    sort_repairs(runner, batch);
    buffer_clear(&runner->rendered);
    uint32_t at = 0;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        uint32_t first = at;
        while (at < batch->repair_count && runner->repairs_by_row[at].row == row) {
            at++;
        }
        runner->rendered_ends[row] = 0;
        if (batch->verdicts[row] == VERDICT_VALID) {
            render_row(runner, batch, row, runner->repairs_by_row + first, at - first);
        }
    }
    /* The buffer has stopped moving: now its slices hold. */
    size_t begin = 0;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        size_t end = runner->rendered_ends[row];
        batch->outputs[row] = batch->verdicts[row] != VERDICT_VALID ? BYTES_NONE
                              : end == 0 ? batch->records[row].value
                                         : bytes_of(runner->rendered.data + begin, end - begin);
        begin = end == 0 ? begin : end;
    }
}
