#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "codec/json.h"
#include "codec/json_engine.h"
#include "codec/json_scan.h"
#include "codec/json_string.h"

enum {
    ARENA_CHUNK_BYTES = 16 * 1024,
    DETAIL_BYTES = 320,
    DETAIL_KEY_BYTES = 200,
};

struct json_decoder *json_decoder_new(const struct layout *layout,
                                      const struct json_options *options)
{
    struct json_decoder *decoder = memory_alloc_zero(1, sizeof *decoder);
    decoder->walk.max_depth = options->max_depth == 0 ? JSON_MAX_DEPTH_DEFAULT : options->max_depth;
    decoder->max_record_bytes =
        options->max_record_bytes == 0 ? JSON_MAX_RECORD_BYTES_DEFAULT : options->max_record_bytes;
    decoder->last_wins = options->repeated_key == JSON_REPEATED_KEY_LAST;
    decoder->walk.check_keys = !decoder->last_wins;
    decoder->walk.scratch = arena_new(ARENA_CHUNK_BYTES);
    decoder->engine = json_engine_best();
    decoder->layout = layout;
    decoder->arena = arena_new(ARENA_CHUNK_BYTES);
    decoder->shapes = json_shapes_new(decoder->arena, layout, &decoder->shape_count);
    json_templates_init(&decoder->templates, decoder->arena, layout);
    return decoder;
}

void json_decoder_free(struct json_decoder *decoder)
{
    if (decoder == NULL) {
        return;
    }
    arena_free(decoder->walk.scratch);
    json_walk_fini(&decoder->walk);
    arena_free(decoder->arena);
    memory_free(decoder->strangers);
    memory_free(decoder);
}

void json_decoder_set_engine(struct json_decoder *decoder, const struct json_engine *engine)
{
    decoder->engine = engine;
}

struct bytes json_decoder_unescape(struct json_decoder *decoder, struct bytes raw)
{
    uint8_t *room = arena_alloc(decoder->batch->arena, raw.size);
    return bytes_of(room, json_unescape(raw, room));
}

/* --- Members that a closed object does not declare. --- */

void json_decoder_note_stranger(struct json_decoder *decoder, const struct json_shape *shape,
                                struct bytes name, uint32_t field)
{
    /* Where keys may repeat, a later one can take these away again: then all are kept until the
     * record is through. */
    if (!decoder->last_wins && decoder->stranger_count == VIOLATIONS_PER_ROW) {
        return;
    }
    if (decoder->stranger_count == decoder->stranger_capacity) {
        check(decoder->stranger_capacity <= UINT32_MAX / 2);
        decoder->stranger_capacity =
            decoder->stranger_capacity == 0 ? VIOLATIONS_PER_ROW : decoder->stranger_capacity * 2;
        decoder->strangers = memory_realloc(
            decoder->strangers, size_mul(decoder->stranger_capacity, sizeof *decoder->strangers));
    }
    decoder->strangers[decoder->stranger_count++] =
        (struct json_stranger){.shape = shape, .name = name, .field = field};
}

static void stranger_report(const struct json_decoder *decoder, uint32_t row,
                            const struct json_stranger *stranger)
{
    struct buffer detail = {0};
    if (stranger->shape->field != FIELD_NONE) {
        buffer_append_string(&detail, decoder->layout->fields[stranger->shape->field].path);
        buffer_append_byte(&detail, '.');
    }
    /* The batch keeps the beginning only. */
    size_t size = stranger->name.size;
    buffer_append(&detail, stranger->name.data,
                  size < DETAIL_KEY_BYTES + 4 ? size : DETAIL_KEY_BYTES + 4);
    batch_add_violation(decoder->batch, row, ORDER_UNKNOWN_FIELD, REASON_SCHEMA_UNKNOWN_FIELD,
                        stranger->field, bytes_of(buffer_string(&detail), detail.size));
    buffer_fini(&detail);
}

static bool stranger_equal(const struct json_stranger *a, const struct json_stranger *b)
{
    return a->shape == b->shape && bytes_equal(a->name, b->name);
}

/* The first ones of the record, each once. */
static void strangers_report(struct json_decoder *decoder, uint32_t row)
{
    const struct json_stranger *reported[VIOLATIONS_PER_ROW];
    uint32_t count = 0;
    for (uint32_t i = 0; i < decoder->stranger_count && count < VIOLATIONS_PER_ROW; i++) {
        const struct json_stranger *stranger = &decoder->strangers[i];
        bool known = false;
        for (uint32_t j = 0; j < count && !known; j++) {
            known = stranger_equal(stranger, reported[j]);
        }
        if (!known) {
            stranger_report(decoder, row, stranger);
            reported[count++] = stranger;
        }
    }
}

/* --- Taking cells back. --- */

static void cell_clear(struct batch *batch, uint32_t field, uint32_t row)
{
    struct column *column = &batch->columns[field];
    column->cells[row] = CELL_ABSENT;
    /* This row is the last one that can have a misfit. */
    if (column->misfit_count > 0 && column->misfits[column->misfit_count - 1].row == row) {
        column->misfit_count--;
    }
}

static void row_clear(struct batch *batch, uint32_t row)
{
    for (uint32_t i = 0; i < batch->layout->field_count; i++) {
        cell_clear(batch, i, row);
    }
}

static bool is_within(const struct layout *layout, uint32_t field, uint32_t object)
{
    while (field != FIELD_NONE && field != object) {
        field = layout->fields[field].parent;
    }
    return field == object;
}

void json_decoder_forget(struct json_decoder *decoder, const struct json_entry *entry, uint32_t row)
{
    if (entry->field == FIELD_NONE) {
        return;
    }
    cell_clear(decoder->batch, entry->field, row);
    if (entry->kind != COLUMN_OBJECT) {
        return;
    }
    decoder->batch->hides_members[row] = true;
    const struct layout *layout = decoder->layout;
    for (uint32_t i = 0; i < layout->field_count; i++) {
        if (is_within(layout, i, entry->field)) {
            cell_clear(decoder->batch, i, row);
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < decoder->stranger_count; i++) {
        if (!is_within(layout, decoder->strangers[i].shape->field, entry->field)) {
            decoder->strangers[kept++] = decoder->strangers[i];
        }
    }
    decoder->stranger_count = kept;
}

/* --- Saying what is wrong. --- */

static void row_refuse(struct json_decoder *decoder, uint32_t row, enum reason reason,
                       struct bytes detail)
{
    row_clear(decoder->batch, row);
    batch_decide(decoder->batch, row, VERDICT_INVALID, ORDER_EVENT_TIME, (reason_id)reason,
                 FIELD_NONE, detail);
}

static void row_refuse_type(struct json_decoder *decoder, uint32_t row)
{
    struct bytes value = decoder->batch->records[row].value;
    const uint8_t *p = json_skip_space(value.data, value.data + value.size);
    const char *type = "a number";
    switch (*p) {
    case '{':
        check(false); /* A valid object is always decoded. */
        break;
    case '[':
        type = "an array";
        break;
    case '"':
        type = "a string";
        break;
    case 't':
    case 'f':
        type = "a boolean";
        break;
    case 'n':
        type = "null";
        break;
    default:
        break;
    }
    char detail[DETAIL_BYTES];
    snprintf(detail, sizeof detail, "byte %zu: expected an object, the record is %s",
             (size_t)(p - value.data), type);
    row_refuse(decoder, row, REASON_SCHEMA_TYPE, bytes_of_string(detail));
}

/* Why the row was not decoded: it is no JSON, or else no object. */
static void row_diagnose(struct json_decoder *decoder, uint32_t row)
{
    struct bytes value = decoder->batch->records[row].value;
    struct buffer detail = {0};
    enum reason reason = json_walk_diagnose(&decoder->walk, decoder->engine, value, &detail);
    if (reason != REASON_NONE) {
        row_refuse(decoder, row, reason, bytes_of(buffer_string(&detail), detail.size));
    } else {
        row_refuse_type(decoder, row);
    }
    buffer_fini(&detail);
}

/* --- Decoding. --- */

/* The text of the record; a short one is copied to where bytes before its end can be read. */
static struct bytes record_text(struct batch *batch, struct bytes value)
{
    if (value.size >= JSON_LEAD_BYTES) {
        return value;
    }
    uint8_t *room = arena_alloc(batch->arena, 2 * JSON_LEAD_BYTES);
    memset(room, 0, 2 * JSON_LEAD_BYTES);
    if (value.size > 0) {
        memcpy(room + JSON_LEAD_BYTES, value.data, value.size);
    }
    return bytes_of(room + JSON_LEAD_BYTES, value.size);
}

static bool row_decode(struct json_decoder *decoder, uint32_t row, struct bytes value)
{
    struct bytes text = record_text(decoder->batch, value);
    const uint8_t *end = text.data + text.size;
    const uint8_t *p = json_skip_space(text.data, end);
    if (p == end || *p != '{') {
        return false;
    }
    p = decoder->engine->decode_record(decoder, row, p, end);
    return p != NULL && json_skip_space(p, end) == end;
}

static void decode_row(struct json_decoder *decoder, uint32_t row)
{
    struct bytes value = decoder->batch->records[row].value;
    if (bytes_is_none(value)) {
        if (decoder->batch->verdicts[row] != VERDICT_NONE) {
            return;
        }
        row_refuse(decoder, row, REASON_DECODE_NULL_VALUE,
                   bytes_of_string("the record has no value"));
        return;
    }
    if (value.size > decoder->max_record_bytes) {
        struct buffer detail = {0};
        json_describe_size(value.size, decoder->max_record_bytes, &detail);
        row_refuse(decoder, row, REASON_DECODE_TOO_LARGE,
                   bytes_of(buffer_string(&detail), detail.size));
        buffer_fini(&detail);
        return;
    }
    bool decoded = row_decode(decoder, row, value);
    if (!decoded) {
        row_diagnose(decoder, row);
    } else if (decoder->stranger_count > 0) {
        strangers_report(decoder, row);
    } else if (decoder->engine->decode_alike != NULL) {
        json_templates_learn(&decoder->templates, &decoder->shapes[0], decoder->batch, value);
    }
    decoder->stranger_count = 0;
    decoder->walk.keys.count = 0;
    if (decoder->walk.scratch_used) {
        arena_reset(decoder->walk.scratch, JSON_SCRATCH_KEEP_BYTES);
        decoder->walk.scratch_used = false;
    }
}

static void decode_block(struct json_decoder *decoder, uint32_t first, uint32_t row_count)
{
    struct batch *batch = decoder->batch;
    struct json_templates *templates = &decoder->templates;
    const uint8_t *of_rows = &templates->of_rows[first];
    if (decoder->engine->decode_alike != NULL && json_templates_try(templates, row_count)) {
        decoder->engine->decode_alike(decoder, first, row_count);
    } else {
        memset(&templates->of_rows[first], 0, row_count);
        for (uint32_t i = 0; i < batch->layout->field_count; i++) {
            memset(&batch->columns[i].cells[first], CELL_ABSENT, row_count);
        }
    }
    for (uint32_t i = 0; i < row_count; i++) {
        if (of_rows[i] == 0) {
            decode_row(decoder, first + i);
        }
    }
}

void json_decode(struct json_decoder *decoder, struct batch *batch)
{
    check(batch->layout == decoder->layout);
    decoder->batch = batch;
    for (uint32_t i = 0; i < decoder->shape_count; i++) {
        json_shape_begin(&decoder->shapes[i], batch);
    }
    json_templates_begin(&decoder->templates, batch);
    for (uint32_t i = 0; i < batch->layout->field_count; i++) {
        batch->columns[i].misfit_count = 0;
    }
    memset(batch->hides_members, false, batch->row_count);
    for (uint32_t first = 0; first < batch->row_count; first += JSON_BLOCK_ROWS) {
        const uint32_t left = batch->row_count - first;
        decode_block(decoder, first, left < JSON_BLOCK_ROWS ? left : JSON_BLOCK_ROWS);
    }
    json_templates_weigh(&decoder->templates);
    decoder->batch = NULL;
}
