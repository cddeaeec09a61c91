/*
 * For the tests of the JSON codec: a layout with a column of every kind, and decoded rows as one
 * line of text.
 *
 *   i=12 s="x" d!range:1e999 o.x=null | schema.unknown_field@1073741824 o.w
 *
 * Absent cells are left out; the violations stand behind the bars with their order and detail.
 */
#ifndef WEIR_CODEC_JSON_TEST_ROW_H
#define WEIR_CODEC_JSON_TEST_ROW_H

#include <inttypes.h>
#include <stdio.h>

#include "batch/batch.h"
#include "codec/json.h"
#include "codec/json_engine.h"

enum { ROW_B, ROW_I, ROW_D, ROW_S, ROW_J, ROW_O, ROW_OX, ROW_OY, ROW_OP, ROW_OPQ, ROW_E, ROW_OZ };

static struct field row_fields[] = {
    {.name = "b", .name_size = 1, .path = "b", .type = COLUMN_BOOL, .parent = FIELD_NONE},
    {.name = "i", .name_size = 1, .path = "i", .type = COLUMN_INT64, .parent = FIELD_NONE},
    {.name = "d", .name_size = 1, .path = "d", .type = COLUMN_DOUBLE, .parent = FIELD_NONE},
    {.name = "s",
     .name_size = 1,
     .path = "s",
     .type = COLUMN_TEXT,
     .nullable = true,
     .parent = FIELD_NONE},
    {.name = "j",
     .name_size = 1,
     .path = "j",
     .type = COLUMN_JSON,
     .nullable = true,
     .parent = FIELD_NONE},
    {.name = "o",
     .name_size = 1,
     .path = "o",
     .type = COLUMN_OBJECT,
     .closed = true,
     .parent = FIELD_NONE},
    {.name = "x",
     .name_size = 1,
     .path = "o.x",
     .type = COLUMN_INT64,
     .nullable = true,
     .parent = ROW_O},
    {.name = "y", .name_size = 1, .path = "o.y", .type = COLUMN_TEXT, .parent = ROW_O},
    {.name = "p",
     .name_size = 1,
     .path = "o.p",
     .type = COLUMN_OBJECT,
     .nullable = true,
     .parent = ROW_O},
    {.name = "q", .name_size = 1, .path = "o.p.q", .type = COLUMN_DOUBLE, .parent = ROW_OP},
    {.name = "e", .name_size = 1, .path = "e", .type = COLUMN_JSON, .parent = FIELD_NONE},
    {.name = "z", .name_size = 1, .path = "o.z", .type = COLUMN_JSON, .parent = ROW_O},
};
/* The last two are extra fields: not of the schema. */
static const struct layout row_layout_open = {
    .fields = row_fields, .field_count = 12, .schema_field_count = 10, .closed = false};
static const struct layout row_layout_closed = {
    .fields = row_fields, .field_count = 12, .schema_field_count = 10, .closed = true};

static inline void row_render_value(struct buffer *out, const struct value *value)
{
    switch (value->type) {
    case VALUE_NULL:
        buffer_append_string(out, "null");
        break;
    case VALUE_BOOL:
        buffer_append_string(out, value->boolean ? "true" : "false");
        break;
    case VALUE_INT64:
        buffer_printf(out, "%" PRId64, value->integer);
        break;
    case VALUE_DOUBLE:
        buffer_printf(out, "%.17g", value->real);
        break;
    case VALUE_TEXT:
        buffer_append_byte(out, '"');
        buffer_append(out, value->text.data, value->text.size);
        buffer_append_byte(out, '"');
        break;
    case VALUE_JSON:
        buffer_append(out, value->text.data, value->text.size);
        break;
    }
}

/* One cell with a blank behind it; nothing for an absent one. */
static inline void row_render_cell(struct buffer *out, const char *path, enum cell cell,
                                   const struct value *value, enum misfit_kind kind,
                                   struct bytes raw)
{
    if (cell == CELL_ABSENT) {
        return;
    }
    buffer_append_string(out, path);
    if (cell == CELL_MISFIT) {
        buffer_append_string(out, kind == MISFIT_TYPE ? "!type:" : "!range:");
        buffer_append(out, raw.data, raw.size);
    } else {
        buffer_append_byte(out, '=');
        row_render_value(out, value);
    }
    buffer_append_byte(out, ' ');
}

static inline const char *row_reason_name(reason_id reason)
{
    switch (reason) {
    case REASON_DECODE_SYNTAX:
        return "decode.syntax";
    case REASON_DECODE_ENCODING:
        return "decode.encoding";
    case REASON_DECODE_TOO_LARGE:
        return "decode.too_large";
    case REASON_DECODE_NULL_VALUE:
        return "decode.null_value";
    case REASON_SCHEMA_TYPE:
        return "schema.type";
    case REASON_SCHEMA_UNKNOWN_FIELD:
        return "schema.unknown_field";
    default:
        return "?";
    }
}

/* The row of a batch whose violations are sorted. */
static inline void row_render(struct buffer *out, const struct batch *batch, uint32_t row)
{
    for (uint32_t i = 0; i < batch->layout->field_count; i++) {
        enum cell cell = (enum cell)batch->columns[i].cells[row];
        const struct misfit *misfit = batch_find_misfit(batch, i, row);
        struct value value = {.type = VALUE_NULL};
        if (misfit == NULL) {
            value = batch_value(batch, i, row);
        }
        row_render_cell(out, batch->layout->fields[i].path, cell, &value,
                        misfit != NULL ? misfit->kind : MISFIT_TYPE,
                        misfit != NULL ? misfit->raw : BYTES_NONE);
    }
    uint32_t count;
    const struct violation *violations = batch_violations(batch, row, &count);
    for (uint32_t i = 0; i < count; i++) {
        buffer_printf(out, "| %s", row_reason_name(violations[i].reason));
        if (violations[i].field != FIELD_NONE) {
            buffer_printf(out, " [%u]", violations[i].field);
        }
        buffer_append_byte(out, ' ');
        buffer_append(out, violations[i].detail.data, violations[i].detail.size);
        buffer_append_byte(out, ' ');
    }
    if (batch->verdicts[row] != VERDICT_NONE) {
        buffer_append_string(out, verdict_name((enum verdict)batch->verdicts[row]));
    }
    if (out->size > 0 && out->data[out->size - 1] == ' ') {
        out->size--;
    }
}

static const struct json_engine *const row_engines[] = {
    &json_engine_portable,
#ifdef __x86_64__
    &json_engine_avx2,
    &json_engine_avx512,
#endif
};

/* How many of them this processor runs: the best one and those before it. */
static inline size_t row_engine_count(void)
{
    size_t count = 1;
    while (row_engines[count - 1] != json_engine_best()) {
        count++;
    }
    return count;
}

#endif
