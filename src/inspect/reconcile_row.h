/*
 * A row as reconcile compares it: its columns with names and values in a form in which equal values
 * have equal bytes. Used by reconcile.c only.
 */
#ifndef WEIR_INSPECT_RECONCILE_ROW_H
#define WEIR_INSPECT_RECONCILE_ROW_H

#include "base/hash.h"
#include "inspect/reconcile.h"

/* `raw` is the value as it stands in the row. */
struct flat_column {
    const char *name;
    struct bytes raw;
    struct bytes form;
};

struct flat_row {
    struct flat_column *columns;
    uint32_t count, capacity;
    struct arena *arena; /* of names and forms; reset with every row */
};

/* Zero-initialise `row` but for its arena. False when the value is no JSON object. */
bool flat_row_read(struct flat_row *row, struct bytes value);
/* No columns. */
void flat_row_clear(struct flat_row *row);
/* A column that is no member: the record's key. */
void flat_row_add_text(struct flat_row *row, const char *name, struct bytes text);
void flat_row_fini(struct flat_row *row);
/* NULL when there is no such column, or it is null. */
const struct flat_column *flat_row_find(const struct flat_row *row, const char *name);
/* Over the columns of that list; the order counts. */
struct hash128 flat_row_hash_key(const struct flat_row *row, const char *const *names,
                                 uint32_t count, const struct hash_secret *secret);
/* Over those that are compared; their order does not count. */
struct hash128 flat_row_hash_content(const struct flat_row *row,
                                     const struct reconcile_query *query,
                                     const struct hash_secret *secret);
/* Whether a column is among those that are compared. */
bool flat_row_is_compared(const struct flat_column *column, const struct reconcile_query *query);

#endif
