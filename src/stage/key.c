/*
 * Cells as keys. In a column of one type a cell is its value; a column of any type holds JSON
 * text, in which one value can be written in many ways, so there the text is read. A number is
 * never rounded into another key: what neither int64 nor double holds apart from its neighbours
 * stays text, and so do objects and arrays.
 */
#include <math.h>

#include "codec/json_number.h"
#include "stage/stage_private.h"

static struct value key_of_number(struct bytes raw)
{
    struct value key = {.type = VALUE_JSON, .text = raw};
    struct json_number number;
    check(json_number_scan(raw.data, raw.data + raw.size, &number));
    int64_t integer;
    double real;
    switch (json_number_int64(&number, &integer)) {
    case JSON_INTEGER_OK:
        key = (struct value){.type = VALUE_INT64, .integer = integer};
        break;
    case JSON_INTEGER_FRACTION:
        if (json_number_double(&number, &real) && real != trunc(real)) {
            key = (struct value){.type = VALUE_DOUBLE, .real = real};
        }
        break;
    case JSON_INTEGER_RANGE:
        break;
    }
    return key;
}

struct value stage_key(struct batch *batch, uint32_t field, uint32_t row)
{
    struct value value = batch_value(batch, field, row);
    if (value.type != VALUE_JSON) {
        return value;
    }
    uint8_t first = value.text.data[0];
    return first == '-' || (first >= '0' && first <= '9') ? key_of_number(value.text)
                                                          : json_value(batch->arena, value.text);
}

/* Text that stands in a cell. */
static bool is_text(const struct column *column, uint32_t row)
{
    return column->type == COLUMN_TEXT &&
           (column->cells[row] == CELL_VALUE || column->cells[row] == CELL_INVALID);
}

static const struct cell_hashes *hashes_of(const struct batch *batch, uint32_t field)
{
    for (uint32_t i = 0; i < batch->cell_hashes_count; i++) {
        if (batch->cell_hashes[i].field == field) {
            return &batch->cell_hashes[i];
        }
    }
    return NULL;
}

static void hash_cells(const struct stage_runner *runner, struct batch *batch, uint32_t field)
{
    const struct column *column = &batch->columns[field];
    if (column->type != COLUMN_TEXT || hashes_of(batch, field) != NULL ||
        batch->cell_hashes_count == CELL_HASHES_MAX) {
        return;
    }
    struct cell_hashes *out = &batch->cell_hashes[batch->cell_hashes_count++];
    out->field = field;
    out->known = arena_alloc(batch->arena, batch->row_count);
    out->hashes = arena_alloc(batch->arena, batch->row_count * sizeof *out->hashes);
    for (uint32_t row = 0; row < batch->row_count; row++) {
        out->known[row] = is_text(column, row) && batch->verdicts[row] == VERDICT_NONE;
        if (out->known[row]) {
            out->hashes[row] = value_hash_text(&runner->secret, column->texts[row]);
        }
    }
}

void stage_hash_keys(const struct stage_runner *runner, struct batch *batch)
{
    const struct stage_plan *plan = runner->plan;
    if (plan->dedup_field_count == 1) {
        hash_cells(runner, batch, plan->dedup_fields[0]);
    }
    for (uint32_t i = 0; i < plan->fill_count; i++) {
        if (plan->fills[i].kind == FILL_LAST_BY) {
            hash_cells(runner, batch, plan->fills[i].key_field);
        }
    }
}

struct hash128 stage_key_hash(const struct stage_runner *runner, struct batch *batch,
                              uint32_t field, uint32_t row)
{
    const struct cell_hashes *ahead = hashes_of(batch, field);
    if (ahead != NULL && ahead->known[row]) {
        return ahead->hashes[row];
    }
    const struct column *column = &batch->columns[field];
    if (is_text(column, row)) {
        return value_hash_text(&runner->secret, column->texts[row]);
    }
    struct value key = stage_key(batch, field, row);
    return value_hash(&runner->secret, &key, 1);
}
