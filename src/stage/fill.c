/*
 * Fill: absent cells get a constant, or the last value of the same key.
 *
 * A value feeds if it is present in its record, satisfies its own field's constraints and was
 * not itself filled; whatever becomes of its row. It fills row r of the same key only if 0 ≤
 * et(r) − et(value) ≤ max_age and the watermark after r ≤ et(value) + max_age: the second
 * condition makes forgetting invisible. Rows without a vetted event time neither feed nor are
 * filled. A value remembered under an earlier plan must satisfy the constraints of this one as
 * well, or a VALID row would break its schema.
 */
#include "base/broken.h"
#include "base/time.h"
#include "stage/stage_private.h"

static void fill_cell(struct batch *batch, uint32_t field, uint32_t row, const struct value *value,
                      enum repair_kind kind)
{
    struct column *column = &batch->columns[field];
    switch (column->type) {
    case COLUMN_BOOL:
        column->booleans[row] = value->boolean;
        break;
    case COLUMN_INT64:
        column->integers[row] = value->integer;
        break;
    case COLUMN_DOUBLE:
        column->reals[row] = value->real;
        break;
    case COLUMN_TEXT:
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        /* The store may replace its value before the batch is done. */
        column->texts[row] = bytes_of(arena_copy(batch->arena, value->text.data, value->text.size),
                                      value->text.size);
        break;
    }
    column->cells[row] = CELL_VALUE;
    batch_add_repair(batch, row, field, kind);
}

/* A member of an object that is not there is not filled: there is nothing to put it in. */
static bool can_be_filled(const struct batch *batch, uint32_t field, uint32_t row)
{
    if (batch->verdicts[row] != VERDICT_NONE ||
        batch->columns[field].cells[row] != CELL_ABSENT) {
        return false;
    }
    uint32_t parent = batch->layout->fields[field].parent;
    return parent == FIELD_NONE || batch->columns[parent].cells[row] == CELL_VALUE;
}

static void fill_value(const struct stage_fill *fill, struct batch *batch)
{
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (can_be_filled(batch, fill->field, row)) {
            fill_cell(batch, fill->field, row, &fill->value, REPAIR_FILL_VALUE);
        }
    }
}

static enum status fill_last_by(struct stage_runner *runner, const struct stage_fill *fill,
                                struct last_store *store, struct batch *batch, struct error *err)
{
    for (uint32_t row = 0; row < batch->row_count; row++) {
        int64_t event_time_us = batch->event_times_us[row];
        uint8_t key_cell = batch->columns[fill->key_field].cells[row];
        if (event_time_us == TIME_NEVER || (key_cell != CELL_VALUE && key_cell != CELL_INVALID)) {
            continue;
        }
        int64_t watermark_us = batch->watermarks_us[row];
        struct hash128 hash = stage_key_hash(runner, batch, fill->key_field, row);
        bool feeds = batch->columns[fill->field].cells[row] == CELL_VALUE;
        if (!feeds && BROKEN("fill-feeds") && can_be_filled(batch, fill->field, row)) {
            const struct last_entry *known = last_store_find(store, hash, watermark_us);
            feeds = known != NULL && event_time_us >= known->event_time_us;
            if (feeds) {
                fill_cell(batch, fill->field, row, &known->value, REPAIR_FILL_LAST_BY);
            }
        }
        if (feeds) {
            struct last_entry entry = {
                .event_time_us = event_time_us,
                .offset = batch->records[row].offset,
                .value = batch_value(batch, fill->field, row),
            };
            enum status status = last_store_put(store, hash, entry, watermark_us, err);
            if (status != STATUS_OK) {
                return status;
            }
        } else if (can_be_filled(batch, fill->field, row)) {
            const struct last_entry *known = last_store_find(store, hash, watermark_us);
            if (known != NULL && event_time_us >= known->event_time_us &&
                event_time_us - known->event_time_us <= fill->max_age_us &&
                schema_value_fits(runner->own.checker, fill->field, &known->value, NULL)) {
                fill_cell(batch, fill->field, row, &known->value, REPAIR_FILL_LAST_BY);
            }
        }
    }
    return STATUS_OK;
}

enum status stage_fill(struct stage_runner *runner, struct stage_state *state, struct batch *batch,
                       struct error *err)
{
    for (uint32_t i = 0; i < runner->plan->fill_count; i++) {
        const struct stage_fill *fill = &runner->plan->fills[i];
        if (fill->kind == FILL_VALUE) {
            fill_value(fill, batch);
            continue;
        }
        enum status status =
            fill_last_by(runner, fill, state->last[fill->store], batch, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}
