#include "batch/batch.h"

#include <string.h>

#include "base/time.h"

enum {
    ARENA_CHUNK_BYTES = 256 * 1024,
    ARENA_KEEP_BYTES = 4 * 1024 * 1024,
    DETAIL_BYTES_MAX = 200,
};

/* The arrays that every batch of the layout has are made once and stay over resets; only what rows
 * bring along is in batch->arena. */
struct batch_storage {
    struct batch batch; /* first: a batch is freed by its own pointer */
    struct arena *arrays;
};

static void column_init(struct column *column, enum column_type type, struct arena *arrays)
{
    *column = (struct column){.type = type};
    column->cells = memset(arena_alloc_wide(arrays, BATCH_ROWS_MAX), CELL_ABSENT, BATCH_ROWS_MAX);
    size_t value_bytes = sizeof(struct bytes);
    switch (type) {
    case COLUMN_BOOL:
        value_bytes = sizeof *column->booleans;
        break;
    case COLUMN_INT64:
        value_bytes = sizeof *column->integers;
        break;
    case COLUMN_DOUBLE:
        value_bytes = sizeof *column->reals;
        break;
    case COLUMN_TEXT:
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        break;
    }
    /* Zeroed, so that a loop over a whole column may read cells that hold nothing. */
    size_t size = BATCH_ROWS_MAX * value_bytes;
    column->booleans = memset(arena_alloc_wide(arrays, size), 0, size);
}

struct batch *batch_new(const struct layout *layout)
{
    struct batch_storage *storage = memory_alloc_zero(1, sizeof *storage);
    struct arena *arrays = arena_new(ARENA_CHUNK_BYTES);
    struct batch *batch = &storage->batch;
    storage->arrays = arrays;
    batch->arena = arena_new(ARENA_CHUNK_BYTES);
    batch->layout = layout;
    batch->violations_sorted = true;
    batch->records = arena_alloc(arrays, BATCH_ROWS_MAX * sizeof *batch->records);
    batch->columns = arena_alloc_zero(arrays, layout->field_count, sizeof *batch->columns);
    for (uint32_t i = 0; i < layout->field_count; i++) {
        column_init(&batch->columns[i], layout->fields[i].type, arrays);
    }
    batch->hides_members = arena_alloc_zero(arrays, BATCH_ROWS_MAX, sizeof(bool));
    batch->verdicts = memset(arena_alloc_wide(arrays, BATCH_ROWS_MAX), 0, BATCH_ROWS_MAX);
    batch->routes = arena_alloc_zero(arrays, BATCH_ROWS_MAX, sizeof *batch->routes);
    batch->outputs = arena_alloc_zero(arrays, BATCH_ROWS_MAX, sizeof *batch->outputs);
    batch->key_hashes = arena_alloc_zero(arrays, BATCH_ROWS_MAX, sizeof *batch->key_hashes);
    batch->value_hashes = arena_alloc_zero(arrays, BATCH_ROWS_MAX, sizeof *batch->value_hashes);
    size_t time_bytes = BATCH_ROWS_MAX * sizeof *batch->event_times_us;
    batch->event_times_us = memset(arena_alloc_wide(arrays, time_bytes), 0, time_bytes);
    batch->watermarks_us = memset(arena_alloc_wide(arrays, time_bytes), 0, time_bytes);
    return batch;
}

void batch_free(struct batch *batch)
{
    if (batch == NULL) {
        return;
    }
    for (uint32_t i = 0; i < batch->layout->field_count; i++) {
        memory_free(batch->columns[i].misfits);
    }
    memory_free(batch->violations);
    memory_free(batch->repairs);
    memory_free(batch->warnings);
    memory_free(batch->replays);
    arena_free(batch->arena);
    struct batch_storage *storage = (struct batch_storage *)batch;
    arena_free(storage->arrays);
    memory_free(storage);
}

void batch_reset(struct batch *batch, uint32_t partition, uint64_t assignment)
{
    arena_reset(batch->arena, ARENA_KEEP_BYTES);
    batch->partition = partition;
    batch->assignment = assignment;
    batch->header = BYTES_NONE;
    for (uint32_t i = 0; i < batch->layout->field_count; i++) {
        memset(batch->columns[i].cells, CELL_ABSENT, batch->row_count);
        batch->columns[i].misfit_count = 0;
    }
    memset(batch->hides_members, false, batch->row_count);
    memset(batch->verdicts, VERDICT_NONE, batch->row_count);
    batch->row_count = 0;
    batch->partition_number = 0;
    batch->partition_count = 0;
    batch->set_values = NULL;
    batch->set_count = 0;
    batch->violation_count = 0;
    batch->violations_sorted = true;
    batch->repair_count = 0;
    batch->warning_count = 0;
    batch->replay_count = 0;
    batch->has_hashes = false;
    batch->cell_hashes_count = 0;
    batch->is_prepared = false;
    batch->rfc3339_field = FIELD_NONE;
}

struct record *batch_append_record(struct batch *batch)
{
    if (batch->row_count == BATCH_ROWS_MAX) {
        return NULL;
    }
    uint32_t row = batch->row_count++;
    batch->event_times_us[row] = TIME_NEVER;
    batch->watermarks_us[row] = TIME_NEVER;
    batch->routes[row] = 0;
    batch->outputs[row] = BYTES_NONE;
    struct record *record = &batch->records[row];
    *record = (struct record){.timestamp_us = TIME_NEVER, .timestamp_kind = TIMESTAMP_NONE};
    return record;
}

/* Room for one more entry. */
static void *list_grow(void *list, uint32_t count, uint32_t *capacity, size_t entry_bytes)
{
    if (count < *capacity) {
        return list;
    }
    check(*capacity <= UINT32_MAX / 2);
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    return memory_realloc(list, size_mul(*capacity, entry_bytes));
}

/* The first misfit of `row` or a later one. */
static uint32_t misfit_position(const struct column *column, uint32_t row)
{
    uint32_t low = 0;
    uint32_t high = column->misfit_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (column->misfits[middle].row < row) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void put_misfit(struct column *column, uint32_t row, enum misfit_kind kind,
                       struct bytes raw)
{
    uint32_t position = misfit_position(column, row);
    bool known = position < column->misfit_count && column->misfits[position].row == row;
    if (!known) {
        column->misfits = list_grow(column->misfits, column->misfit_count, &column->misfit_capacity,
                                    sizeof *column->misfits);
        memmove(&column->misfits[position + 1], &column->misfits[position],
                (column->misfit_count - position) * sizeof *column->misfits);
        column->misfit_count++;
    }
    column->misfits[position] = (struct misfit){.row = row, .kind = kind, .raw = raw};
}

void batch_add_misfit(struct batch *batch, uint32_t field, uint32_t row, enum misfit_kind kind,
                      struct bytes raw)
{
    check(field < batch->layout->field_count && row < batch->row_count);
    struct column *column = &batch->columns[field];
    column->cells[row] = CELL_MISFIT;
    put_misfit(column, row, kind, raw);
}

void batch_add_underflow(struct batch *batch, uint32_t field, uint32_t row, struct bytes raw)
{
    check(field < batch->layout->field_count && row < batch->row_count);
    put_misfit(&batch->columns[field], row, MISFIT_UNDERFLOW, raw);
}

const struct misfit *batch_find_underflow(const struct batch *batch, uint32_t field, uint32_t row)
{
    check(field < batch->layout->field_count && row < batch->row_count);
    const struct column *column = &batch->columns[field];
    if (column->misfit_count == 0 || column->type != COLUMN_DOUBLE ||
        column->cells[row] != CELL_VALUE || column->reals[row] != 0) {
        return NULL;
    }
    uint32_t position = misfit_position(column, row);
    bool found = position < column->misfit_count && column->misfits[position].row == row &&
                 column->misfits[position].kind == MISFIT_UNDERFLOW;
    return found ? &column->misfits[position] : NULL;
}

const struct misfit *batch_find_misfit(const struct batch *batch, uint32_t field, uint32_t row)
{
    check(field < batch->layout->field_count && row < batch->row_count);
    const struct column *column = &batch->columns[field];
    if (column->cells[row] != CELL_MISFIT) {
        return NULL;
    }
    uint32_t position = misfit_position(column, row);
    check(position < column->misfit_count && column->misfits[position].row == row);
    return &column->misfits[position];
}

/* At most 200 bytes, and no character cut in two. */
static struct bytes detail_copy(struct arena *arena, struct bytes detail)
{
    if (bytes_is_none(detail)) {
        return BYTES_NONE;
    }
    size_t size = detail.size;
    if (size > DETAIL_BYTES_MAX) {
        size = DETAIL_BYTES_MAX;
        while (size > 0 && (detail.data[size] & 0xC0) == 0x80) {
            size--;
        }
    }
    return bytes_of(arena_copy(arena, detail.data, size), size);
}

void batch_add_violation(struct batch *batch, uint32_t row, uint32_t order, reason_id reason,
                         uint32_t field, struct bytes detail)
{
    check(row < batch->row_count);
    check(field == FIELD_NONE || field < batch->layout->field_count);
    batch->violations = list_grow(batch->violations, batch->violation_count,
                                  &batch->violation_capacity, sizeof *batch->violations);
    batch->violations[batch->violation_count++] = (struct violation){
        .row = row,
        .order = order,
        .reason = reason,
        .field = field,
        .detail = detail_copy(batch->arena, detail),
    };
    batch->violations_sorted = false;
}

void batch_decide(struct batch *batch, uint32_t row, enum verdict verdict, uint32_t order,
                  reason_id reason, uint32_t field, struct bytes detail)
{
    check(row < batch->row_count);
    check(batch->verdicts[row] == VERDICT_NONE);
    batch->verdicts[row] = (uint8_t)verdict;
    batch_add_violation(batch, row, order, reason, field, detail);
}

void batch_add_repair(struct batch *batch, uint32_t row, uint32_t field, enum repair_kind kind)
{
    check(row < batch->row_count && field < batch->layout->field_count);
    batch->repairs = list_grow(batch->repairs, batch->repair_count, &batch->repair_capacity,
                               sizeof *batch->repairs);
    batch->repairs[batch->repair_count++] =
        (struct repair){.row = row, .field = field, .kind = kind};
}

void batch_add_warning(struct batch *batch, uint32_t row, uint32_t check_index)
{
    check(row < batch->row_count);
    batch->warnings = list_grow(batch->warnings, batch->warning_count, &batch->warning_capacity,
                                sizeof *batch->warnings);
    batch->warnings[batch->warning_count++] = (struct warning){.row = row, .check = check_index};
}

void batch_add_replay(struct batch *batch, const struct replay_origin *origin)
{
    check(origin->row < batch->row_count);
    check(batch->replay_count == 0 || batch->replays[batch->replay_count - 1].row < origin->row);
    batch->replays = list_grow(batch->replays, batch->replay_count, &batch->replay_capacity,
                               sizeof *batch->replays);
    batch->replays[batch->replay_count++] = *origin;
}

static bool violation_before(const struct violation *a, const struct violation *b)
{
    return a->row < b->row || (a->row == b->row && a->order < b->order);
}

/* Takes from the right run only what stands strictly before the left: that is what keeps it
 * stable. */
static void violations_merge(const struct violation *from, struct violation *to, size_t low,
                             size_t middle, size_t high)
{
    size_t left = low;
    size_t right = middle;
    for (size_t i = low; i < high; i++) {
        if (left == middle || (right < high && violation_before(&from[right], &from[left]))) {
            to[i] = from[right++];
        } else {
            to[i] = from[left++];
        }
    }
}

/* Bottom-up merge sort: stable and never quadratic, whatever the rows hold. */
static void violations_sort(struct violation *violations, size_t count)
{
    struct violation *scratch = memory_alloc(size_mul(count, sizeof *scratch));
    struct violation *from = violations;
    struct violation *to = scratch;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            size_t middle = low + width < count ? low + width : count;
            size_t high = middle + width < count ? middle + width : count;
            violations_merge(from, to, low, middle, high);
        }
        struct violation *swap = from;
        from = to;
        to = swap;
    }
    if (from != violations) {
        memcpy(violations, from, count * sizeof *violations);
    }
    memory_free(scratch);
}

static bool violations_in_order(const struct violation *violations, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        if (violation_before(&violations[i], &violations[i - 1])) {
            return false;
        }
    }
    return true;
}

void batch_sort_violations(struct batch *batch)
{
    if (batch->violations_sorted) {
        return;
    }
    struct violation *violations = batch->violations;
    if (!violations_in_order(violations, batch->violation_count)) {
        violations_sort(violations, batch->violation_count);
    }
    uint32_t kept = 0;
    uint32_t of_row = 0;
    for (uint32_t i = 0; i < batch->violation_count; i++) {
        of_row = kept > 0 && violations[kept - 1].row == violations[i].row ? of_row + 1 : 1;
        if (of_row <= VIOLATIONS_PER_ROW) {
            violations[kept++] = violations[i];
        }
    }
    batch->violation_count = kept;
    batch->violations_sorted = true;
}

const struct violation *batch_violations(const struct batch *batch, uint32_t row,
                                         uint32_t *out_count)
{
    check(batch->violations_sorted);
    uint32_t low = 0;
    uint32_t high = batch->violation_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (batch->violations[middle].row < row) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    uint32_t end = low;
    while (end < batch->violation_count && batch->violations[end].row == row) {
        end++;
    }
    *out_count = end - low;
    return end > low ? &batch->violations[low] : NULL;
}

const struct replay_origin *batch_replay(const struct batch *batch, uint32_t row)
{
    uint32_t low = 0;
    uint32_t high = batch->replay_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (batch->replays[middle].row < row) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < batch->replay_count && batch->replays[low].row == row;
    return found ? &batch->replays[low] : NULL;
}

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[VERDICT_COUNT] = {
        [VERDICT_NONE] = "NONE",       [VERDICT_VALID] = "VALID",
        [VERDICT_INVALID] = "INVALID", [VERDICT_DUPLICATE] = "DUPLICATE",
        [VERDICT_LATE] = "LATE",       [VERDICT_FILTERED] = "FILTERED",
    };
    check((unsigned)verdict < VERDICT_COUNT);
    return names[verdict];
}

const char *repair_name(enum repair_kind kind)
{
    static const char *const names[REPAIR_COUNT] = {
        [REPAIR_NULL_VALUE] = "null_value",
        [REPAIR_COERCE] = "coerce",
        [REPAIR_FILL_VALUE] = "fill_value",
        [REPAIR_FILL_LAST_BY] = "fill_last_by",
    };
    check((unsigned)kind < REPAIR_COUNT);
    return names[kind];
}
