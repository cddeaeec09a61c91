/*
 * Render: the value of each VALID row as it goes out, a JSON object; and before that, for a schema
 * that speaks of whole records, the value of a row as the repairs left it. A JSON record in which
 * nothing changed goes out as the bytes that came in; otherwise the changed members are edited in
 * place and all else stays as it was (codec/json.h). A record of another format is always written
 * anew (codec/decoder.h), and then edited the same way.
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

/* `value` NULL removes the member. The texts stand one behind the other in runner->texts, which may
 * still move: until place_texts() a replacement has a size and no place. */
static void add_edit(struct stage_runner *runner, uint32_t field, const struct value *value,
                     bool absent)
{
    struct json_edit edit = {.field = field, .absent = absent, .replacement = BYTES_NONE};
    if (value != NULL) {
        size_t begin = runner->edit_texts.size;
        json_write_value(&runner->edit_texts, value);
        edit.replacement.size = runner->edit_texts.size - begin;
    }
    runner->edits[runner->edit_count++] = edit;
}

static void place_texts(struct stage_runner *runner)
{
    const uint8_t *at = runner->edit_texts.data;
    for (uint32_t i = 0; i < runner->edit_count; i++) {
        struct bytes *replacement = &runner->edits[i].replacement;
        if (replacement->size > 0) {
            replacement->data = at;
            at += replacement->size;
        }
    }
}

/* Whether the record has no such member, so that it need not be looked for. */
static bool is_absent(const struct batch *batch, uint32_t field, uint32_t row)
{
    return batch->columns[field].cells[row] == CELL_ABSENT && !batch->hides_members[row];
}

/* `to_go_out`: what a set or a drop overwrites need not be edited. */
static void edit_repairs(struct stage_runner *runner, const struct batch *batch, uint32_t row,
                         const struct repair *repairs, uint32_t count, bool to_go_out)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t field = repairs[i].field;
        bool seen = i > 0 && repairs[i - 1].field == field;
        if (seen || (to_go_out && is_overwritten(runner->plan, field))) {
            continue;
        }
        struct value value = batch_value(batch, field, row);
        bool removed = batch->columns[field].cells[row] == CELL_ABSENT;
        add_edit(runner, field, removed ? NULL : &value, false);
    }
}

static void edit_sets(struct stage_runner *runner, const struct batch *batch, uint32_t row)
{
    for (uint32_t s = 0; s < runner->plan->set_count; s++) {
        uint32_t field = runner->plan->sets[s].field;
        add_edit(runner, field, &batch->set_values[s][row], is_absent(batch, field, row));
    }
}

static void edit_drops(struct stage_runner *runner, const struct batch *batch, uint32_t row)
{
    for (uint32_t d = 0; d < runner->plan->drop_count; d++) {
        uint32_t field = runner->plan->drop_fields[d];
        if (!is_absent(batch, field, row)) {
            add_edit(runner, field, NULL, false);
        }
    }
}

/* Room for `most` edits of a row. */
static void begin_edits(struct stage_runner *runner, uint32_t most)
{
    if (most > runner->edit_capacity) {
        runner->edits = memory_realloc(runner->edits, size_mul(most, sizeof *runner->edits));
        runner->edit_capacity = most;
    }
    runner->edit_count = 0;
    buffer_clear(&runner->edit_texts);
}

/* A record of another format as a JSON object. */
static struct bytes object_of(struct stage_runner *runner, const struct batch *batch, uint32_t row)
{
    buffer_clear(&runner->object);
    runner->own.decoder->ops->write_object(runner->own.decoder, batch, row, &runner->object);
    return bytes_of(runner->object.data, runner->object.size);
}

static void render_row(struct stage_runner *runner, const struct batch *batch, uint32_t row,
                       const struct repair *repairs, uint32_t repair_count)
{
    begin_edits(runner, repair_count + runner->plan->set_count + runner->plan->drop_count);
    edit_repairs(runner, batch, row, repairs, repair_count, true);
    edit_sets(runner, batch, row);
    edit_drops(runner, batch, row);
    bool is_object = runner->own.decoder->ops->write_object == NULL;
    if (runner->edit_count == 0 && is_object) {
        return;
    }
    struct bytes record = is_object ? batch->records[row].value : object_of(runner, batch, row);
    place_texts(runner);
    json_apply_edits(runner->plan->layout, record, runner->edits, runner->edit_count,
                     &runner->rendered);
    runner->rendered_ends[row] = runner->rendered.size;
}

/* --- what a schema for whole records sees --- */

static bool is_repaired(const struct repair *repairs, uint32_t count, uint32_t field)
{
    for (uint32_t i = 0; i < count; i++) {
        if (repairs[i].field == field) {
            return true;
        }
    }
    return false;
}

/* Members that are there and count as absent: nulls where the type does not list null. */
static void edit_hidden(struct stage_runner *runner, const struct batch *batch, uint32_t row,
                        const struct repair *repairs, uint32_t count)
{
    const struct layout *layout = runner->plan->layout;
    for (uint32_t field = 0; field < layout->schema_field_count; field++) {
        uint32_t parent = layout->fields[field].parent;
        bool stands =
            parent == FIELD_NONE || batch->columns[parent].cells[row] == CELL_VALUE ||
            batch->columns[parent].cells[row] == CELL_INVALID;
        if (stands && batch->columns[field].cells[row] == CELL_ABSENT &&
            !is_repaired(repairs, count, field)) {
            add_edit(runner, field, NULL, false);
        }
    }
}

static struct bytes repaired_record(struct stage_runner *runner, const struct batch *batch,
                                    uint32_t row, const struct repair *repairs, uint32_t count)
{
    bool is_object = runner->own.decoder->ops->write_object == NULL;
    struct bytes record = is_object ? batch->records[row].value : object_of(runner, batch, row);
    bool hides = batch->hides_members[row];
    if (count == 0 && !hides) {
        return record;
    }
    begin_edits(runner, count + (hides ? runner->plan->layout->schema_field_count : 0));
    edit_repairs(runner, batch, row, repairs, count, false);
    if (hides) {
        edit_hidden(runner, batch, row, repairs, count);
    }
    place_texts(runner);
    buffer_clear(&runner->rendered);
    json_apply_edits(runner->plan->layout, record, runner->edits, runner->edit_count,
                     &runner->rendered);
    return bytes_of(runner->rendered.data, runner->rendered.size);
}

void stage_check_records(struct stage_runner *runner, struct batch *batch)
{
    if (!schema_judges_records(runner->plan->schema)) {
        return;
    }
    sort_repairs(runner, batch);
    uint32_t at = 0;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        uint32_t first = at;
        while (at < batch->repair_count && runner->repairs_by_row[at].row == row) {
            at++;
        }
        if (batch->verdicts[row] == VERDICT_NONE) {
            struct bytes text = repaired_record(runner, batch, row,
                                                runner->repairs_by_row + first, at - first);
            schema_check_record(runner->own.checker, batch, row, text);
        }
    }
}

/* --- what goes out --- */

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
        if (batch->verdicts[row] == VERDICT_VALID && !batch_is_tombstone(batch, row)) {
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
