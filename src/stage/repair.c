/*
 * Repairs that look at one cell alone: words that stand for null, and numbers that came as text.
 * Both work column by column, before event time and constraints; every changed cell is counted.
 */
#include <math.h>

#include "codec/json_number.h"
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
    if (!nullable) {
        batch->hides_members[row] = true;
    }
    batch_add_repair(batch, row, field, REPAIR_NULL_VALUE);
}

static void null_misfits(const struct stage_plan *plan, struct batch *batch, uint32_t field)
{
    struct column *column = &batch->columns[field];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < column->misfit_count; i++) {
        struct misfit misfit = column->misfits[i];
        /* Of a number that is next to nothing the value was compared. */
        if (misfit.kind == MISFIT_UNDERFLOW) {
            column->misfits[kept++] = misfit;
            continue;
        }
        struct value value = json_value(batch->arena, misfit.raw);
        if (is_null_value(plan, &value)) {
            make_null(batch, field, misfit.row);
        } else {
            column->misfits[kept++] = misfit;
        }
    }
    column->misfit_count = kept;
}

static bool is_null_text(const struct stage_plan *plan, struct bytes text)
{
    const struct value value = {.type = VALUE_TEXT, .text = text};
    return is_null_value(plan, &value);
}

/* Most texts are longer than every word, which is all that is asked of them. */
static void null_texts(const struct stage_plan *plan, struct batch *batch, uint32_t field)
{
    const struct column *column = &batch->columns[field];
    bool any = false;
    size_t longest_bytes = 0;
    for (uint32_t i = 0; i < plan->null_value_count; i++) {
        const struct value *word = &plan->null_values[i];
        if (word->type == VALUE_TEXT) {
            any = true;
            longest_bytes = word->text.size > longest_bytes ? word->text.size : longest_bytes;
        }
    }
    for (uint32_t row = 0; any && row < batch->row_count; row++) {
        if (column->texts[row].size <= longest_bytes && column->cells[row] == CELL_VALUE &&
            is_null_text(plan, column->texts[row])) {
            make_null(batch, field, row);
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

/* False where no integer equals the word. */
static bool integer_of_word(const struct value *word, int64_t *out)
{
    if (word->type == VALUE_DOUBLE && word->real >= -0x1p63 && word->real < 0x1p63 &&
        word->real == trunc(word->real)) {
        *out = (int64_t)word->real;
        return true;
    }
    *out = word->type == VALUE_INT64 ? word->integer : 0;
    return word->type == VALUE_INT64;
}

static void null_integers(const struct stage_plan *plan, struct batch *batch, uint32_t field)
{
    const struct column *column = &batch->columns[field];
    for (uint32_t i = 0; i < plan->null_value_count; i++) {
        int64_t integer;
        if (!integer_of_word(&plan->null_values[i], &integer)) {
            continue;
        }
        for (uint32_t row = 0; row < batch->row_count; row++) {
            if (column->integers[row] == integer && column->cells[row] == CELL_VALUE) {
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

void stage_null_values(const struct stage_plan *plan, struct batch *batch)
{
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
        case COLUMN_INT64:
            null_integers(plan, batch, field);
            break;
        case COLUMN_OBJECT:
            break;
        case COLUMN_BOOL:
        case COLUMN_JSON:
            null_others(plan, batch, field);
            break;
        }
        null_misfits(plan, batch, field);
    }
}

/* --- coerce --- */

/* The text of a JSON string; none for all other values. */
static struct bytes text_of(struct arena *arena, struct bytes raw)
{
    return raw.size < 2 || raw.data[0] != '"' ? BYTES_NONE : json_value(arena, raw).text;
}

enum coercion { COERCED, NOT_COERCED, OUT_OF_RANGE };

/* Exactly as the decoder would take the number: an integer is never rounded into being one. */
static enum coercion set_number(struct column *column, uint32_t row, struct bytes text)
{
    struct json_number number;
    if (!json_number_scan(text.data, text.data + text.size, &number) ||
        number.end != text.data + text.size) {
        return NOT_COERCED;
    }
    if (column->type == COLUMN_DOUBLE) {
        return json_number_double(&number, &column->reals[row]) ? COERCED : OUT_OF_RANGE;
    }
    switch (json_number_int64(&number, &column->integers[row])) {
    case JSON_INTEGER_OK:
        return COERCED;
    case JSON_INTEGER_RANGE:
        return OUT_OF_RANGE;
    case JSON_INTEGER_FRACTION:
        break;
    }
    return NOT_COERCED;
}

static enum coercion set_boolean(struct column *column, uint32_t row, struct bytes text)
{
    bool is_true = bytes_equal_string(text, "true");
    if (!is_true && !bytes_equal_string(text, "false")) {
        return NOT_COERCED;
    }
    column->booleans[row] = is_true;
    return COERCED;
}

static enum coercion set_cell(struct column *column, uint32_t row, struct bytes text)
{
    switch (column->type) {
    case COLUMN_INT64:
    case COLUMN_DOUBLE:
        return set_number(column, row, text);
    case COLUMN_BOOL:
        return set_boolean(column, row, text);
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
        struct bytes text = text_of(batch->arena, misfit.raw);
        enum coercion result =
            bytes_is_none(text) ? NOT_COERCED : set_cell(column, misfit.row, text);
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

void stage_coerce(const struct stage_plan *plan, struct batch *batch)
{
    for (uint32_t i = 0; i < plan->coerce_count; i++) {
        coerce_field(batch, plan->coerce_fields[i]);
    }
}
