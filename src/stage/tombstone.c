/*
 * Tombstones: records without a value, where the pipeline says that they delete.
 *
 * A tombstone is VALID and has its verdict before anything is decoded, so no other stage looks at it:
 * it has no event time, moves no watermark, feeds no fill, is no sighting for dedup. It goes to every
 * sink, whatever its `when`, for any of them may hold what it deletes.
 *
 * That what stands in a table is a function of the log, in whatever order the partitions are read,
 * rests on two things that are asked of every record, for a row that came in another way would
 * escape its tombstone: the key of the record is the value of the table's key column, and it stands
 * in the partition that the key belongs to. So all that is said of a key is said in one partition, in
 * order.
 */
#include <stdio.h>

#include "stage/stage_private.h"

/* Where the key says which partition a record stands in. */
static bool is_elsewhere(const struct stage_runner *runner, const struct batch *batch,
                         struct bytes key)
{
    return runner->plan->keys_have_partitions && batch->partition_count > 1 &&
           hash_partition(key, batch->partition_count) != batch->partition_number;
}

static void describe_partition(const struct batch *batch, struct bytes key, char *out, size_t size)
{
    (void)snprintf(out, size, "stands in partition %u, belongs into %u", batch->partition_number,
                   hash_partition(key, batch->partition_count));
}

static void decide_tombstone(const struct stage_runner *runner, struct batch *batch, uint32_t row)
{
    const struct stage_plan *plan = runner->plan;
    struct bytes key = batch->records[row].key;
    struct value value;
    char detail[80] = "a tombstone without a key deletes nothing";
    enum reason reason = REASON_NONE;
    if (bytes_is_none(key)) {
        reason = REASON_KEY_MISSING;
    } else if (plan->key_field != FIELD_NONE &&
               !record_key_value(key, plan->layout->fields[plan->key_field].type, &value)) {
        reason = REASON_KEY_MISMATCH;
        (void)snprintf(detail, sizeof detail, "the key of a tombstone is no value of the key column");
    } else if (is_elsewhere(runner, batch, key)) {
        reason = REASON_KEY_PARTITION;
        describe_partition(batch, key, detail, sizeof detail);
    } else {
        batch->verdicts[row] = VERDICT_VALID;
        return;
    }
    batch_decide(batch, row, VERDICT_INVALID, ORDER_EVENT_TIME, (reason_id)reason,
                 reason == REASON_KEY_MISMATCH ? plan->key_field : FIELD_NONE,
                 bytes_of_string(detail));
}

void stage_tombstones(const struct stage_runner *runner, struct batch *batch)
{
    for (uint32_t row = 0; runner->plan->takes_tombstones && row < batch->row_count; row++) {
        if (bytes_is_none(batch->records[row].value)) {
            decide_tombstone(runner, batch, row);
        }
    }
}

/* Whether the key of the record is the value of the row's key column; a cell that is no value has its
 * violation already. */
static bool is_key_of_row(const struct batch *batch, uint32_t field, uint32_t row)
{
    const struct column *column = &batch->columns[field];
    struct value key;
    if (column->cells[row] != CELL_VALUE && column->cells[row] != CELL_INVALID) {
        return true;
    }
    if (!record_key_value(batch->records[row].key, column->type, &key)) {
        return false;
    }
    return column->type == COLUMN_INT64 ? key.integer == column->integers[row]
                                        : bytes_equal(key.text, column->texts[row]);
}

static void check_key(const struct stage_runner *runner, struct batch *batch, uint32_t row)
{
    const struct stage_plan *plan = runner->plan;
    struct bytes key = batch->records[row].key;
    char detail[80];
    if (bytes_is_none(key)) {
        batch_add_violation(batch, row, ORDER_RECORD, REASON_KEY_MISSING, FIELD_NONE, BYTES_NONE);
    } else if (!is_key_of_row(batch, plan->key_field, row)) {
        batch_add_violation(batch, row, ORDER_RECORD, REASON_KEY_MISMATCH, plan->key_field, key);
    } else if (is_elsewhere(runner, batch, key)) {
        describe_partition(batch, key, detail, sizeof detail);
        batch_add_violation(batch, row, ORDER_RECORD, REASON_KEY_PARTITION, FIELD_NONE,
                            bytes_of_string(detail));
    }
}

void stage_check_keys(struct stage_runner *runner, struct batch *batch)
{
    const struct stage_plan *plan = runner->plan;
    if (!plan->takes_tombstones || plan->key_field == FIELD_NONE) {
        return;
    }
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (batch->verdicts[row] == VERDICT_NONE) {
            check_key(runner, batch, row);
        }
    }
}
