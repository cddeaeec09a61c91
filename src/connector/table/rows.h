/*
 * Rows on their way to a table: the outbox of a table sink.
 *
 * They stand one after the other in one buffer, each at a multiple of 8 bytes: head and cells
 * (struct table_row), then the texts of the cells. Key, value and headers of their records stand in
 * a buffer of their own, for the dead letter if the table refuses the row: mostly nobody reads
 * them. A marked row was refused in an attempt that it took with it; the next attempt writes the
 * others only. A row that deletes is the key of what it deletes.
 */
#ifndef WEIR_CONNECTOR_TABLE_ROWS_H
#define WEIR_CONNECTOR_TABLE_ROWS_H

#include "batch/value.h"
#include "connector/sink.h"
#include "connector/source.h"

#define TABLE_ROW_UNMARKED UINT32_MAX
#define TABLE_ROW_NO_RECORD UINT64_MAX
#define TABLE_MARK_MESSAGE_BYTES 200u

/* One value as it is stored. */
struct table_cell {
    uint32_t type;       /* enum value_type: NULL, INT64, DOUBLE, TEXT */
    uint32_t size_bytes; /* of a text */
    union {
        int64_t integer;
        double real;
        uint64_t text_at; /* from the start of the row */
    };
};

struct table_row {
    const struct source_partition *origin; /* NULL: a dead letter, which says it in its columns */
    int64_t offset;
    int64_t timestamp_us;
    struct hash128 hash;       /* as it stands in the sink's sum */
    uint32_t source_partition;
    uint32_t attempt;          /* of its dead letter */
    uint32_t size_bytes;       /* of all of it: the next row stands there */
    uint32_t mark;             /* TABLE_ROW_UNMARKED, or index in the outbox's marks */
    uint64_t record_at;        /* in the outbox's records, or TABLE_ROW_NO_RECORD */
    uint32_t cell_count;
    bool deletes;              /* the row of its key; all other cells are null */
    bool is_undone;            /* see table_rows_undo() */
    struct table_cell cells[];
};

struct table_mark {
    const char *code; /* static: "sink.constraint_check", … */
    char message[TABLE_MARK_MESSAGE_BYTES];
};

/* Where a row stands, in the order of writing. */
struct table_place {
    uint64_t prefix[2]; /* of the key; 0 without one */
    size_t at;          /* for table_rows_at() */
};

struct table_outbox {
    struct outbox outbox; /* first */
    const uint32_t *keys; /* cells that tell rows apart; by the first rows may be ordered */
    uint32_t key_count;
    struct buffer rows;
    struct buffer records;
    struct table_place *places; /* [outbox.row_count]: as they came, until table_order_by_key() */
    struct table_place *scratch;
    size_t place_capacity;      /* of both */
    bool is_sorted;             /* the places */
    struct table_mark *marks;
    uint32_t mark_count;
    uint64_t deletion_count; /* rows that delete */
};

/* `keys`: the cells that tell rows apart, none where nothing does; they must live as long. */
struct table_outbox *table_rows_new(const uint32_t *keys, uint32_t key_count);
void table_rows_clear(struct table_outbox *outbox);
void table_rows_free(struct table_outbox *outbox);

/* Appends a copy of all of it. Of `head` sizes, mark and cells are filled in here. Values are NULL,
 * INT64, DOUBLE or TEXT; `record` may be NULL. */
void table_rows_append(struct table_outbox *outbox, const struct table_row *head,
                       const struct value *values, uint32_t count, const struct record *record);

/* The row at `at`, which is 0 for the first and then goes on by size_bytes to rows.size. */
static inline struct table_row *table_rows_at(const struct table_outbox *outbox, size_t at)
{
    return (struct table_row *)(void *)(outbox->rows.data + at);
}

static inline struct bytes table_row_text(const struct table_row *row,
                                          const struct table_cell *cell)
{
    return bytes_of((const uint8_t *)row + cell->text_at, cell->size_bytes);
}

/* Of a row that has one: slices of the outbox; `headers` is new and the caller's. */
void table_row_record(const struct table_outbox *outbox, const struct table_row *row,
                      struct record *out);

/* Cuts the message at the end of a character. */
void table_rows_mark(struct table_outbox *outbox, struct table_row *row, const char *code,
                     const char *message);
void table_rows_unmark(struct table_outbox *outbox);

/* Of the unmarked rows at the places first … end − 1: those are undone that a later one of these
 * deletes (deletions never are). To delete, and then to write what is not undone, comes to what all of them in their order
 * come to. Gives how many delete. */
size_t table_rows_undo(struct table_outbox *outbox, size_t first, size_t end);

#endif
