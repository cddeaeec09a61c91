/* Which records belong to a trace. */
#include <string.h>

#include "codec/json.h"
#include "inspect/trace_private.h"

#define FIELDS_MAX 16u

void trace_want(struct trace *trace, uint32_t partition, int64_t offset)
{
    if (trace_is_wanted(trace, partition, offset)) {
        return;
    }
    if (trace->wanted_count == trace->wanted_capacity) {
        trace->wanted_capacity = 2 * trace->wanted_capacity + 8;
        trace->wanted = memory_realloc(trace->wanted, size_mul(trace->wanted_capacity,
                                                               sizeof *trace->wanted));
    }
    trace->wanted[trace->wanted_count++] =
        (struct wanted){.partition = partition, .offset = offset};
}

bool trace_is_wanted(const struct trace *trace, uint32_t partition, int64_t offset)
{
    for (uint32_t i = 0; i < trace->wanted_count; i++) {
        if (trace->wanted[i].partition == partition && trace->wanted[i].offset == offset) {
            return true;
        }
    }
    return false;
}

enum status trace_check_fields(const struct trace *trace, struct error *err)
{
    const struct layout *layout = trace->pipeline.plan->stage.layout;
    for (uint32_t i = 0; i < trace->query->by_count; i++) {
        if (layout_find(layout, trace->query->by[i]) == FIELD_NONE) {
            return error_set(err, STATUS_CONFIG, "trace.field",
                             "the schema has no field '%s' to look for", trace->query->by[i]);
        }
    }
    const struct plan *plan = trace->pipeline.plan;
    if (trace->query->key != NULL && trace->query->by == NULL && !plan->source_ops->has_keys &&
        plan->stage.dedup_field_count == 0) {
        return error_set(err, STATUS_CONFIG, "trace.field",
                         "records of this source have no keys, and the pipeline has no dedup: say "
                         "with --by which field the key is");
    }
    return STATUS_OK;
}

/* --- keys as texts --- */

/* A text is its bytes; a number is its value, however it is written. */
static bool is_value(struct arena *arena, const struct value *value, struct bytes text)
{
    if (value->type == VALUE_TEXT) {
        return bytes_equal(value->text, text);
    }
    if (value->type == VALUE_JSON && bytes_equal(value->text, text)) {
        return true;
    }
    if (value->type == VALUE_NULL || !json_is_valid(text, 8)) {
        return false;
    }
    struct value given = json_value(arena, text);
    return value_compare(value, &given) == 0;
}

static bool is_cell(const struct batch *batch, uint32_t field, uint32_t row, struct bytes text)
{
    struct value value;
    if (batch->columns[field].cells[row] == CELL_MISFIT) {
        value = json_value(batch->arena, batch_find_misfit(batch, field, row)->raw);
    } else {
        value = batch_value(batch, field, row);
    }
    return is_value(batch->arena, &value, text);
}

/* The text is the value of the one field, or values with commas between. */
static bool are_cells(const struct batch *batch, const uint32_t *fields, uint32_t count,
                      uint32_t row, const char *key)
{
    for (uint32_t i = 0; i < count; i++) {
        const char *comma = i + 1 < count ? strchr(key, ',') : NULL;
        if (i + 1 < count && comma == NULL) {
            return false;
        }
        size_t size = comma == NULL ? strlen(key) : (size_t)(comma - key);
        if (!is_cell(batch, fields[i], row, bytes_of(key, size))) {
            return false;
        }
        key += size + (comma != NULL);
    }
    return count > 0;
}

/* A record that nobody could decode has no fields: then its bytes speak. */
static bool is_undecoded(const struct batch *batch, uint32_t row)
{
    uint32_t count = 0;
    const struct violation *first = batch_violations(batch, row, &count);
    return count > 0 && first->reason >= REASON_DECODE_SYNTAX &&
           first->reason <= REASON_DECODE_TOO_LARGE;
}

static bool is_by_key(const struct trace *trace, const struct plan *plan,
                      const struct batch *batch, uint32_t row)
{
    const char *key = trace->query->key;
    const struct record *record = &batch->records[row];
    if (trace->query->by == NULL && bytes_equal_string(record->key, key)) {
        return true;
    }
    if (is_undecoded(batch, row)) {
        return !bytes_is_none(record->value) &&
               memmem(record->value.data, record->value.size, key, strlen(key)) != NULL;
    }
    uint32_t fields[FIELDS_MAX];
    uint32_t count = 0;
    for (; trace->query->by != NULL && count < trace->query->by_count && count < FIELDS_MAX;
         count++) {
        fields[count] = layout_find(batch->layout, trace->query->by[count]);
        if (fields[count] == FIELD_NONE) {
            return false;
        }
    }
    if (count > 0) {
        return are_cells(batch, fields, count, row, key);
    }
    return are_cells(batch, plan->stage.dedup_fields, plan->stage.dedup_field_count, row, key);
}

/* --- keys as they are remembered --- */

bool trace_dedup_key(const struct trace *trace, const struct plan *plan,
                     const struct batch *batch, uint32_t row, struct hash128 *out)
{
    struct value values[FIELDS_MAX];
    uint32_t count = plan->stage.dedup_field_count;
    if (count == 0 || count > FIELDS_MAX || is_undecoded(batch, row)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t field = plan->stage.dedup_fields[i];
        if (batch->columns[field].cells[row] == CELL_MISFIT) {
            return false;
        }
        values[i] = batch_value(batch, field, row);
        if (values[i].type == VALUE_NULL) {
            return false;
        }
    }
    *out = value_hash(&trace->secret, values, count);
    return true;
}

static bool is_dedup_key(const struct trace *trace, struct hash128 key)
{
    for (uint32_t i = 0; i < trace->dedup_key_count; i++) {
        if (hash_equal(trace->dedup_keys[i], key)) {
            return true;
        }
    }
    return false;
}

bool trace_add_dedup_key(struct trace *trace, struct hash128 key)
{
    if (is_dedup_key(trace, key)) {
        return false;
    }
    trace->dedup_keys = memory_realloc(
        trace->dedup_keys, size_mul(trace->dedup_key_count + 1, sizeof *trace->dedup_keys));
    trace->dedup_keys[trace->dedup_key_count++] = key;
    return true;
}

/* --- all of it --- */

/* A replay of a dead letter of a record of the trace; they come behind it in its partition. */
static bool is_replay(const struct trace *trace, const struct batch *batch, uint32_t row)
{
    const struct replay_origin *replay =
        batch->replay_count == 0 ? NULL : batch_replay(batch, row);
    for (uint32_t i = 0; replay != NULL && i < trace->result->arrival_count; i++) {
        const struct trace_arrival *arrival = &trace->result->arrivals[i];
        if (trace->records[i].partition == batch->partition &&
            arrival->offset == replay->offset) {
            return true;
        }
    }
    return false;
}

bool trace_is_match(struct trace *trace, const struct plan *plan, const struct batch *batch,
                    uint32_t row)
{
    struct hash128 key;
    if (trace_is_wanted(trace, batch->partition, batch->records[row].offset) ||
        is_replay(trace, batch, row) ||
        (trace->query->key != NULL && is_by_key(trace, plan, batch, row))) {
        return true;
    }
    return trace->dedup_key_count > 0 && trace_dedup_key(trace, plan, batch, row, &key) &&
           is_dedup_key(trace, key);
}
