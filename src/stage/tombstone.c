/*
 * Tombstones: records without a value, where the pipeline says that they delete.
 *
 * A tombstone is VALID and has its verdict before anything is decoded, so no other stage looks at it:
 * it has no event time, moves no watermark, feeds no fill, is no sighting for dedup. It goes to every
 * sink, whatever its `when`, for any of them may hold what it deletes.
 *
 * That what stands in a table is a function of the log, in whatever order the partitions are read,
 * rests on two things that are asked of every record, for a row that came in another way would
 * escape its tombstone: the key of the record is the value of the table's key columns, and it stands
 * in the partition that the key belongs to. So all that is said of a key is said in one partition, in
 * order. (A key of JSON belongs where its bytes lead, so where there are partitions it counts in one
 * spelling only.)
 */
#include <stdio.h>

#include "stage/stage_private.h"

enum { DETAIL_BYTES = 160 };

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

/* Whether the key is to be spelled as its values are, and is not; then how goes into `detail`. */
static bool is_misspelled(const struct stage_runner *runner, const struct batch *batch,
                          struct bytes key, const struct value *values, char *detail, size_t size)
{
    const struct stage_plan *plan = runner->plan;
    if (plan->key.format != KEY_JSON || !plan->keys_have_partitions || batch->partition_count <= 1) {
        return false;
    }
    struct buffer spelled = {0};
    record_key_write(&plan->key, values, &spelled);
    bool is_other = !bytes_equal(bytes_of(spelled.data, spelled.size), key);
    if (is_other) {
        (void)snprintf(detail, size, "is not spelled %s", buffer_string(&spelled));
    }
    buffer_fini(&spelled);
    return is_other;
}

static void decide_tombstone(const struct stage_runner *runner, struct batch *batch, uint32_t row)
{
    const struct stage_plan *plan = runner->plan;
    struct bytes key = batch->records[row].key;
    struct value values[RECORD_KEY_MEMBERS_MAX];
    char detail[DETAIL_BYTES] = "a tombstone without a key deletes nothing";
    enum reason reason = REASON_NONE;
    if (bytes_is_none(key)) {
        reason = REASON_KEY_MISSING;
    } else if (plan->key.count > 0 && !record_key_read(&plan->key, key, batch->arena, values)) {
        reason = REASON_KEY_MISMATCH;
        (void)snprintf(detail, sizeof detail, "the key of a tombstone is no value of the key column%s",
                       plan->key.count > 1 ? "s" : "");
    } else if (plan->key.count > 0 &&
               is_misspelled(runner, batch, key, values, detail, sizeof detail)) {
        reason = REASON_KEY_MISMATCH;
    } else if (is_elsewhere(runner, batch, key)) {
        reason = REASON_KEY_PARTITION;
        describe_partition(batch, key, detail, sizeof detail);
    } else {
        batch->verdicts[row] = VERDICT_VALID;
        return;
    }
    batch_decide(batch, row, VERDICT_INVALID, ORDER_EVENT_TIME, (reason_id)reason,
                 reason == REASON_KEY_MISMATCH ? plan->key_fields[0] : FIELD_NONE,
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

static bool has_cell(const struct batch *batch, uint32_t field, uint32_t row)
{
    enum cell cell = batch->columns[field].cells[row];
    return cell == CELL_VALUE || cell == CELL_INVALID;
}

static bool is_cell(const struct batch *batch, uint32_t field, uint32_t row,
                    const struct value *value)
{
    const struct column *column = &batch->columns[field];
    return column->type == COLUMN_INT64 ? value->integer == column->integers[row]
                                        : bytes_equal(value->text, column->texts[row]);
}

/* The first key column of which the key of the record does not have the row's value, FIELD_NONE: it has
 * all; a cell that is no value has its violation already. */
static uint32_t find_mismatch(const struct stage_plan *plan, const struct batch *batch,
                              uint32_t row, bool is_key, const struct value *values)
{
    uint32_t i = 0;
    while (i < plan->key.count &&
           (!has_cell(batch, plan->key_fields[i], row) ||
            (is_key && is_cell(batch, plan->key_fields[i], row, &values[i])))) {
        i++;
    }
    return i < plan->key.count ? plan->key_fields[i] : FIELD_NONE;
}

static void check_key(const struct stage_runner *runner, struct batch *batch, uint32_t row)
{
    const struct stage_plan *plan = runner->plan;
    struct bytes key = batch->records[row].key;
    struct value values[RECORD_KEY_MEMBERS_MAX];
    char detail[DETAIL_BYTES];
    if (bytes_is_none(key)) {
        batch_add_violation(batch, row, ORDER_RECORD, REASON_KEY_MISSING, FIELD_NONE, BYTES_NONE);
        return;
    }
    bool is_key = record_key_read(&plan->key, key, batch->arena, values);
    uint32_t mismatch = find_mismatch(plan, batch, row, is_key, values);
    if (mismatch != FIELD_NONE) {
        batch_add_violation(batch, row, ORDER_RECORD, REASON_KEY_MISMATCH, mismatch, key);
    } else if (is_key && is_misspelled(runner, batch, key, values, detail, sizeof detail)) {
        batch_add_violation(batch, row, ORDER_RECORD, REASON_KEY_MISMATCH, plan->key_fields[0],
                            bytes_of_string(detail));
    } else if (is_elsewhere(runner, batch, key)) {
        describe_partition(batch, key, detail, sizeof detail);
        batch_add_violation(batch, row, ORDER_RECORD, REASON_KEY_PARTITION, FIELD_NONE,
                            bytes_of_string(detail));
    }
}

void stage_check_keys(struct stage_runner *runner, struct batch *batch)
{
    const struct stage_plan *plan = runner->plan;
    if (!plan->takes_tombstones || plan->key.count == 0) {
        return;
    }
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (batch->verdicts[row] == VERDICT_NONE) {
            check_key(runner, batch, row);
        }
    }
}
