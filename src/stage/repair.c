/*
 * Repairs that look at one cell alone: words that stand for null, and numbers that came as text. Both work column by column, before event time and
 * constraints; every changed cell is counted.
 */
#include <math.h>

#include "stage/stage_private.h"

/* --- null_values --- */

static bool is_null_value(const struct stage_plan *plan, const struct value *value)
{
    for (uint32_t i = 0; i < plan->null_value_count; i++) {
        if (value_equal(value, &plan->null_values[i])) {
            return true;
        }
    }
    return false;
}

/* A null in a field whose type does not list null counts as absent. */
static void make_null(struct batch *batch, uint32_t field, uint32_t row)
{
    bool nullable = batch->layout->fields[field].nullable;
    batch->columns[field].cells[row] = nullable ? CELL_NULL : CELL_ABSENT;
    batch_add_repair(batch, row, field, REPAIR_NULL_VALUE);
}

static void null_misfits(const struct stage_plan *plan, struct batch *batch, uint32_t field)
{
    struct column *column = &batch->columns[field];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < column->misfit_count; i++) {
        struct misfit misfit = column->misfits[i];
        struct value value = json_value(batch->arena, misfit.raw);
        if (is_null_value(plan, &value)) {
            make_null(batch, field, misfit.row);
        } else {
            column->misfits[kept++] = misfit;
        }
    }
    column->misfit_count = kept;
}

static void null_texts(const struct stage_plan *plan, struct batch *batch, uint32_t field)
{
    const struct column *column = &batch->columns[field];
    for (uint32_t i = 0; i < plan->null_value_count; i++) {
        if (plan->null_values[i].type != VALUE_TEXT) {
            continue;
        }
        struct bytes word = plan->null_values[i].text;
        for (uint32_t row = 0; row < batch->row_count; row++) {
            if (column->cells[row] == CELL_VALUE && column->texts[row].size == word.size &&
                memcmp(column->texts[row].data, word.data, word.size) == 0) {
                make_null(batch, field, row);
            }
        }
    }
}

static void null_reals(const struct stage_plan *plan, struct batch *batch, uint32_t field)
{
    const struct column *column = &batch->columns[field];
    for (uint32_t i = 0; i < plan->null_value_count; i++) {
        const struct value *word = &plan->null_values[i];
        if (word->type != VALUE_INT64 && word->type != VALUE_DOUBLE) {
            continue;
        }
        double real = word->type == VALUE_DOUBLE ? word->real : (double)word->integer;
        for (uint32_t row = 0; row < batch->row_count; row++) {
            if (column->reals[row] == real && column->cells[row] == CELL_VALUE) {
                make_null(batch, field, row);
            }
        }
    }
}

/* Any other column: cell by cell. */
static void null_others(const struct stage_plan *plan, struct batch *batch, uint32_t field)
{
    const struct column *column = &batch->columns[field];
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (column->cells[row] != CELL_VALUE) {
            continue;
        }
        struct value value = batch_value(batch, field, row);
        if (value.type == VALUE_JSON) {
            value = json_value(batch->arena, value.text);
        }
        if (is_null_value(plan, &value)) {
            make_null(batch, field, row);
        }
    }
}

void stage_null_values(struct stage_runner *runner, struct batch *batch)
{
    const struct stage_plan *plan = runner->plan;
    if (plan->null_value_count == 0) {
        return;
    }
    for (uint32_t field = 0; field < plan->layout->schema_field_count; field++) {
        switch (plan->layout->fields[field].type) {
        case COLUMN_TEXT:
            null_texts(plan, batch, field);
            break;
        case COLUMN_DOUBLE:
            null_reals(plan, batch, field);
            break;
        case COLUMN_OBJECT:
            break;
        case COLUMN_BOOL:
        case COLUMN_INT64:
        case COLUMN_JSON:
            null_others(plan, batch, field);
            break;
        }
        null_misfits(plan, batch, field);
    }
}

/* --- coerce --- */

/* `raw` is a JSON string; its text must be exactly what a JSON number, true or false would be. */
static bool text_of_scalar(struct arena *arena, struct bytes raw, struct value *out)
{
    if (raw.size < 2 || raw.data[0] != '"') {
        return false;
    }
    struct bytes text = json_value(arena, raw).text;
    if (text.size == 0) {
        return false;
    }
    uint8_t first = text.data[0];
    uint8_t last = text.data[text.size - 1];
    bool is_number = (first == '-' || (first >= '0' && first <= '9')) && last >= '0' && last <= '9';
    bool is_boolean = bytes_equal_string(text, "true") || bytes_equal_string(text, "false");
    if ((!is_number && !is_boolean) || !json_is_valid(text, 1)) {
        return false;
    }
    *out = json_value(arena, text);
    return true;
}

enum coercion { COERCED, NOT_COERCED, OUT_OF_RANGE };

static enum coercion set_integer(struct column *column, uint32_t row, const struct value *value)
{
    if (value->type == VALUE_INT64) {
        column->integers[row] = value->integer;
        return COERCED;
    }
    if (value->type == VALUE_DOUBLE && value->real == trunc(value->real)) {
        if (value->real >= -0x1p63 && value->real < 0x1p63) {
            column->integers[row] = (int64_t)value->real;
            return COERCED;
        }
        return OUT_OF_RANGE;
    }
    return value->type == VALUE_JSON ? OUT_OF_RANGE : NOT_COERCED;
}

static enum coercion set_real(struct column *column, uint32_t row, const struct value *value)
{
    if (value->type == VALUE_DOUBLE || value->type == VALUE_INT64) {
        column->reals[row] =
            value->type == VALUE_DOUBLE ? value->real : (double)value->integer;
        return COERCED;
    }
    return value->type == VALUE_JSON ? OUT_OF_RANGE : NOT_COERCED;
}

static enum coercion set_cell(struct column *column, uint32_t row, const struct value *value)
{
    switch (column->type) {
    case COLUMN_INT64:
        return set_integer(column, row, value);
    case COLUMN_DOUBLE:
        return set_real(column, row, value);
    case COLUMN_BOOL:
        if (value->type == VALUE_BOOL) {
            column->booleans[row] = value->boolean;
            return COERCED;
        }
        return NOT_COERCED;
    case COLUMN_TEXT:
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        break;
    }
    return NOT_COERCED;
}

static void coerce_field(struct batch *batch, uint32_t field)
{
    struct column *column = &batch->columns[field];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < column->misfit_count; i++) {
        struct misfit misfit = column->misfits[i];
        struct value value;
        enum coercion result = NOT_COERCED;
        if (misfit.kind == MISFIT_TYPE && text_of_scalar(batch->arena, misfit.raw, &value)) {
            result = set_cell(column, misfit.row, &value);
        }
        if (result == COERCED) {
            column->cells[misfit.row] = CELL_VALUE;
            batch_add_repair(batch, misfit.row, field, REPAIR_COERCE);
            continue;
        }
        if (result == OUT_OF_RANGE) {
            misfit.kind = MISFIT_RANGE;
        }
        column->misfits[kept++] = misfit;
    }
    column->misfit_count = kept;
}

void stage_coerce(struct stage_runner *runner, struct batch *batch)
{
    for (uint32_t i = 0; i < runner->plan->coerce_count; i++) {
        coerce_field(batch, runner->plan->coerce_fields[i]);
    }
}
