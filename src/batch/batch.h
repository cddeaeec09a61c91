/*
 * Batch: what flows. Up to BATCH_ROWS_MAX records of ONE source partition, in offset order: the raw
 * records, typed columns, and what the stages found out row by row.
 *
 * Life of a batch: batch_reset → a source appends records (batch_append_record) → codec/ fills the
 * columns → the stages of stage/ give verdicts, repairs, event times, set values → sinks read the
 * rows → batch_reset. What the records bring along is in the batch's arena and goes with the reset,
 * the arrays stay; a batch is used by one thread at a time; passing it on moves it.
 *
 * Columns: four questions are asked of a cell (absent? null? misfit? value?), so each row has a
 * byte that says which, rather than Arrow's one validity bit; the values stand densely in one plain
 * array per column, as in Arrow. Text cells are slices of the record's own bytes where it has no
 * escapes, so decoding copies nothing.
 *
 * The law (stages are a function of log and plan): nothing in a batch depends on where the batch
 * was cut.
 */
#ifndef WEIR_BATCH_BATCH_H
#define WEIR_BATCH_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "batch/layout.h"
#include "batch/reason.h"
#include "batch/value.h"

#define BATCH_ROWS_MAX 4096u

/* Who set a record's timestamp. */
enum timestamp_kind { TIMESTAMP_NONE, TIMESTAMP_PRODUCER, TIMESTAMP_BROKER };

struct record_header {
    struct bytes name;
    struct bytes value; /* none: null */
};

/* A record as it came; never changed. All slices live at least as long as the batch. */
struct record {
    int64_t offset;
    int64_t next_offset;  /* behind this record: offset + 1, or the next line's byte in a file */
    int64_t timestamp_us; /* TIME_NEVER where there is none */
    enum timestamp_kind timestamp_kind;
    struct bytes key;   /* none: null */
    struct bytes value; /* none: null (a tombstone) */
    const struct record_header *headers;
    uint32_t header_count;
};

enum cell {
    CELL_ABSENT = 0, /* no such member */
    CELL_NULL,       /* the member is null, and the field's type lists null */
    CELL_VALUE,      /* values[row] holds it */
    CELL_INVALID,    /* values[row] holds it, and it breaks a constraint of its field */
    CELL_MISFIT,     /* present, but not of the column's type; the raw JSON is among the misfits */
};

enum misfit_kind {
    MISFIT_TYPE,  /* another JSON type, or a fraction for an integer; a null is never a misfit */
    MISFIT_RANGE, /* a number that int64 (COLUMN_INT64) or double (COLUMN_DOUBLE) cannot hold */
    /* A number that is not 0, though the nearest double is: a value all the same (CELL_VALUE); its
     * constraints are asked of what was written. */
    MISFIT_UNDERFLOW,
};

/* Rare, so kept beside the column, in row order. */
struct misfit {
    uint32_t row;
    enum misfit_kind kind;
    struct bytes raw; /* the JSON value as in the record */
};

struct column {
    enum column_type type;
    uint8_t *cells; /* enum cell per row */
    union {
        uint8_t *booleans;
        int64_t *integers;
        double *reals;
        struct bytes *texts; /* COLUMN_TEXT, COLUMN_JSON, COLUMN_OBJECT */
    };
    struct misfit *misfits;
    uint32_t misfit_count;
    uint32_t misfit_capacity;
};

enum verdict {
    VERDICT_NONE = 0, /* not decided yet */
    VERDICT_VALID,
    VERDICT_INVALID,
    VERDICT_DUPLICATE,
    VERDICT_LATE,
    VERDICT_FILTERED,
};
#define VERDICT_COUNT 6

/* One complaint about one row. `order` sorts the violations of a row: 0 the decoder and event time,
 * 1 + field index for fields, then the record as a whole, unknown fields, checks, transform, dedup, lateness, route. At
 * most VIOLATIONS_PER_ROW are kept. */
struct violation {
    uint32_t row;
    uint32_t order;
    reason_id reason;
    uint32_t field;      /* index in the layout, FIELD_NONE where it has none */
    struct bytes detail; /* short text for people, UTF-8, in the arena; may be none */
};
#define VIOLATIONS_PER_ROW 8u
#define ORDER_EVENT_TIME 0u
#define ORDER_FIELD(index) (1u + (index))
#define ORDER_RECORD 0x30000000u
#define ORDER_UNKNOWN_FIELD 0x40000000u
#define ORDER_CHECK 0x50000000u
#define ORDER_LATER 0x60000000u

enum repair_kind { REPAIR_NULL_VALUE, REPAIR_COERCE, REPAIR_FILL_VALUE, REPAIR_FILL_LAST_BY };
#define REPAIR_COUNT 4

/* One changed cell; in the order of the stages, rows ascending within one stage and field. */
struct repair {
    uint32_t row;
    uint32_t field;
    enum repair_kind kind;
};

/* A check of severity warn that failed on a row that goes on. */
struct warning {
    uint32_t row;
    uint32_t check; /* index in the plan's list of checks */
};

/* What the header `weir.replay` of a re-injected dead letter says. */
struct replay_origin {
    uint32_t row;
    struct bytes topic;
    int32_t partition;
    int64_t offset;
    uint32_t attempt;  /* of the dead letter that was injected; its next failure has attempt + 1 */
    struct bytes sink; /* none unless a sink had refused it */
};

/* Hashes of a column's cells as keys, once they were asked for ahead of their turn. */
struct cell_hashes {
    uint32_t field;
    uint8_t *known;         /* the cell was a value when it was hashed */
    struct hash128 *hashes; /* where it is known */
};
#define CELL_HASHES_MAX 2u

struct batch {
    struct arena *arena;
    const struct layout *layout;

    uint32_t partition;  /* index in the source's list of partitions */
    uint64_t assignment; /* the assignment sequence of the partition */
    /* What stands before the records of the partition and names their columns (a CSV header); none
     * where nothing does. Lives as long as the batch. */
    struct bytes header;
    /* The partition's number, and how many its topic has; 0: keys do not say which partition a record
     * stands in, or nobody knows. Set by the source with the records. */
    uint32_t partition_number;
    uint32_t partition_count;

    uint32_t row_count;
    struct record *records; /* [BATCH_ROWS_MAX] */
    struct column *columns; /* [layout->field_count], arrays of BATCH_ROWS_MAX */

    /* Per row: some cell is absent although the record has the member: a null of a field that is
     * not nullable (it came as one, or a repair made it one), or a repeated key. Elsewhere absent
     * means that there is no such member. */
    bool *hides_members;

    uint8_t *verdicts;         /* enum verdict per row */
    int64_t *event_times_us;   /* vetted event time, TIME_NEVER where there is none; until then as claimed */
    /* The field whose texts these were, as RFC 3339; FIELD_NONE where they came otherwise. */
    uint32_t rfc3339_field;
    int64_t *watermarks_us;    /* after the row */
    struct value **set_values; /* [set expression][row], VALID rows only */
    uint32_t set_count;
    uint64_t *routes;      /* VALID rows: a bit per sink of the plan; 0 for all others */
    struct bytes *outputs; /* VALID rows: what goes out; the record's own where unchanged */
    /* Of the record's key and value per row, once batch_hash_records() was called: most go out as
     * they came, and their hashes are asked for again. */
    struct hash128 *key_hashes;
    struct hash128 *value_hashes;
    struct hash128 records_sum; /* of record_hash() over the rows */
    bool has_hashes;
    /* In the arena. */
    struct cell_hashes cell_hashes[CELL_HASHES_MAX];
    uint32_t cell_hashes_count;
    bool is_prepared; /* the columns are filled, and the stages that ask no state are done */

    struct violation *violations;
    uint32_t violation_count, violation_capacity;
    bool violations_sorted;
    struct repair *repairs;
    uint32_t repair_count, repair_capacity;
    struct warning *warnings;
    uint32_t warning_count, warning_capacity;
    struct replay_origin *replays; /* in row order */
    uint32_t replay_count, replay_capacity;
};

/* A batch for records of that layout. The layout must outlive it. */
struct batch *batch_new(const struct layout *layout);
void batch_free(struct batch *batch);
/* Empties it for the next records; every slice taken from it dangles afterwards. */
void batch_reset(struct batch *batch, uint32_t partition, uint64_t assignment);

/* The keyed hash of an input: over offset, key and value, each of the two by its own hash (none:
 * zeros). */
struct hash128 record_hash(const struct hash_secret *secret, const struct record *record);
/* The same in two steps, for who needs the hashes of key and value too. */
struct hash128 slice_hash(const struct hash_secret *secret, struct bytes slice);
struct hash128 record_hash_of(const struct hash_secret *secret, int64_t offset,
                              struct hash128 key_hash, struct hash128 value_hash);

/* Fills key_hashes, value_hashes and records_sum, unless they are there. */
void batch_hash_records(struct batch *batch, const struct hash_secret *secret);

/* The next record, to be filled by the source; NULL when the batch is full. Slices that do not
 * outlive the batch are copied into batch->arena by the source. */
struct record *batch_append_record(struct batch *batch);

void batch_add_misfit(struct batch *batch, uint32_t field, uint32_t row, enum misfit_kind kind,
                      struct bytes raw);
/* NULL when the cell is not a misfit. */
const struct misfit *batch_find_misfit(const struct batch *batch, uint32_t field, uint32_t row);
/* The value of a COLUMN_DOUBLE in the row is 0, and was written as another number. Leaves the cell
 * alone; what it finds is NULL when the cell is anything else. */
void batch_add_underflow(struct batch *batch, uint32_t field, uint32_t row, struct bytes raw);
const struct misfit *batch_find_underflow(const struct batch *batch, uint32_t field, uint32_t row);

/* Adds a violation; `detail` is copied (cut at 200 bytes on a character boundary). Does not change
 * the verdict. */
void batch_add_violation(struct batch *batch, uint32_t row, uint32_t order, reason_id reason,
                         uint32_t field, struct bytes detail);
/* Violation and verdict at once, for a stage that decides. check()s that the row had no verdict. */
void batch_decide(struct batch *batch, uint32_t row, enum verdict verdict, uint32_t order,
                  reason_id reason, uint32_t field, struct bytes detail);
void batch_add_repair(struct batch *batch, uint32_t row, uint32_t field, enum repair_kind kind);
void batch_add_warning(struct batch *batch, uint32_t row, uint32_t check_index);
/* Rows ascending; texts are slices that live as long as the batch. */
void batch_add_replay(struct batch *batch, const struct replay_origin *origin);

/* Sorts violations by (row, order), stable, and cuts each row to VIOLATIONS_PER_ROW. */
void batch_sort_violations(struct batch *batch);
/* The violations of a row in a sorted batch; the first is the reason. */
const struct violation *batch_violations(const struct batch *batch, uint32_t row,
                                         uint32_t *out_count);
/* NULL when the row was not re-injected. */
const struct replay_origin *batch_replay(const struct batch *batch, uint32_t row);

/* The cell as a value: absent and null give VALUE_NULL; a misfit check()s. Texts are slices. */
static inline struct value batch_value(const struct batch *batch, uint32_t field, uint32_t row)
{
    check(field < batch->layout->field_count && row < batch->row_count);
    const struct column *column = &batch->columns[field];
    enum cell cell = (enum cell)column->cells[row];
    if (cell == CELL_ABSENT || cell == CELL_NULL) {
        return (struct value){.type = VALUE_NULL};
    }
    check(cell != CELL_MISFIT);
    switch (column->type) {
    case COLUMN_BOOL:
        return (struct value){.type = VALUE_BOOL, .boolean = column->booleans[row] != 0};
    case COLUMN_INT64:
        return (struct value){.type = VALUE_INT64, .integer = column->integers[row]};
    case COLUMN_DOUBLE:
        return (struct value){.type = VALUE_DOUBLE, .real = column->reals[row]};
    case COLUMN_TEXT:
        return (struct value){.type = VALUE_TEXT, .text = column->texts[row]};
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        return (struct value){.type = VALUE_JSON, .text = column->texts[row]};
    }
    check(false);
}

/* A record without a value that goes out: it deletes what its key names. It has no cells, no event
 * time and no set values. */
static inline bool batch_is_tombstone(const struct batch *batch, uint32_t row)
{
    return batch->verdicts[row] == VERDICT_VALID && bytes_is_none(batch->records[row].value);
}

/* The key of a record as a value of a column: of COLUMN_TEXT its bytes, if they are UTF-8; of
 * COLUMN_INT64 a whole number in its one spelling ("7", "-7"; not "07", "+7", "7.0"). Different keys
 * give different values. False for keys and columns that are neither. A slice of the key. */
bool record_key_value(struct bytes key, enum column_type type, struct value *out);

/* "VALID", "INVALID", … */
const char *verdict_name(enum verdict verdict);
/* "null_value", "coerce", "fill_value", "fill_last_by" */
const char *repair_name(enum repair_kind kind);

#endif
