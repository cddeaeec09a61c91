/*
 * Rows that should be in a place and rows that are there, as hashes: sums first, then one by
 * one. Used by audit.c; knows nothing of plans and systems.
 */
#ifndef WEIR_INSPECT_AUDIT_ROWS_H
#define WEIR_INSPECT_AUDIT_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/memory.h"
#include "batch/value.h"

/* A row by hash and origin; offset −1: the origin is not known. */
struct audit_row {
    struct hash128 hash;
    int64_t offset;
    uint32_t partition; /* index in the source's list; UINT32_MAX: not known */
    uint32_t rank;      /* of the partition by (topic, number), as keyed places order; for folds */
    bool deletes;       /* for folds: where it is the last of its key, no row is expected */
};

/* A growing list. Zero-initialise. */
struct audit_rows {
    struct audit_row *items;
    uint64_t count, capacity;
};
void audit_rows_add(struct audit_rows *rows, struct audit_row row);
void audit_rows_fini(struct audit_rows *rows);

enum audit_kind { AUDIT_MISSING, AUDIT_DOUBLED, AUDIT_ALTERED, AUDIT_FOREIGN };
#define AUDIT_KINDS 4

/* Sorts both and tells every difference. A foreign row whose origin is that of a missing one is one
 * altered row; so is one that has the bytes of a missing one and another origin, which is told with
 * the origin that it should have. A row of unknown origin may be of any unless `knows_origins`. */
void audit_rows_compare(struct audit_rows *expected, struct audit_rows *actual, bool knows_origins,
                        void (*difference)(void *context, enum audit_kind kind,
                                           const struct audit_row *row),
                        void *context);

/* The last row per key of a keyed place. */
struct audit_fold;
struct audit_fold *audit_fold_new(void);
void audit_fold_free(struct audit_fold *fold);
/* Keeps the row with the greater (order, rank, offset). Texts in `order` are copied. */
void audit_fold_put(struct audit_fold *fold, struct hash128 key, const struct value *order,
                    struct audit_row row);
/* All rows that were kept, appended to `out`. */
void audit_fold_rows(const struct audit_fold *fold, struct audit_rows *out);

#endif
