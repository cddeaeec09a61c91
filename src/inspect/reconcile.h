/*
 * Reconcile: two places that should hold the same rows, compared by key; nobody's pipeline need
 * have written them.
 *
 * Both are read once and reduced to a pair of hashes a row (of its key, of its columns), which are
 * sorted with spilling and merged. Rows that differ are named, up to a limit; for that both are
 * read a second time.
 *
 * Memory: about 64 MiB for the sorting, however many rows, and the rows that are named. The
 * temporary files take 32 bytes a row.
 *
 * What is equal: columns are compared by name; a member of an object is a column of its own, named
 * OBJECT_MEMBER; one that is null is as one that is not there. Numbers are compared as values
 * (64-bit integers, doubles), true and false as 1 and 0, texts that are RFC 3339 date-times as
 * instants, texts that are JSON objects or arrays as these; other texts byte by byte.
 */
#ifndef WEIR_INSPECT_RECONCILE_H
#define WEIR_INSPECT_RECONCILE_H

#include "connector/rows.h"
#include "run/run.h"

/* Stands for the key of a record, as a text. */
#define RECONCILE_RECORD_KEY "$key"
/* Stands in what has a key and no value, where that is compared. */
#define RECONCILE_DELETED "$deleted"

struct reconcile_place {
    /* Every row of it, as connector/rows.h says. */
    enum status (*each)(const void *place, place_row_visitor *visit, void *context,
                        struct error *err);
    const void *place;
};

struct reconcile_query {
    struct reconcile_place places[2];
    const char *const *keys[2]; /* names of columns in either place */
    uint32_t key_count;
    const char *const *columns; /* those that are compared; none: all */
    uint32_t column_count;
    const char *const *ignored;
    uint32_t ignored_count;
    uint32_t most; /* rows that are named */
    const char *temporary;
};

enum reconcile_kind { RECONCILE_MISSING, RECONCILE_EXTRA, RECONCILE_DOUBLED, RECONCILE_ALTERED };
#define RECONCILE_KINDS 4
/* "missing", … */
const char *reconcile_kind_name(enum reconcile_kind kind);

struct reconcile_column {
    const char *name;
    const char *texts[2]; /* JSON; NULL: not there */
};

struct reconcile_difference {
    enum reconcile_kind kind;
    const char *key;    /* JSON object of the key's columns; NULL: the rows are not there any more */
    uint64_t counts[2]; /* rows of that key in either place */
    struct reconcile_column *columns; /* ALTERED: those that differ */
    uint32_t column_count;
};

struct reconcile_result {
    struct arena *arena;
    uint64_t rows[2];
    uint64_t unreadable[2]; /* no JSON objects: they cannot be compared */
    uint64_t deletions[2];  /* a key without a value: compared only by RECONCILE_RECORD_KEY alone, and
                               counted among `rows` then */
    uint64_t same;
    uint64_t counts[RECONCILE_KINDS]; /* rows, not keys */
    struct reconcile_difference *differences;
    uint32_t difference_count;
};
void reconcile_result_fini(struct reconcile_result *result);
bool reconcile_is_same(const struct reconcile_result *result);

/* OK also when they differ. Statuses of the places' readers and of os/spill.h. */
enum status reconcile_places(const struct reconcile_query *query,
                             const struct run_observer *observer,
                             struct reconcile_result *result, struct error *err) WEIR_MUST_USE;

#endif
