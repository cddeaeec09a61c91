/*
 * Sorting of more pairs of hashes than memory holds: sorted runs go to a temporary file, and are
 * merged when they are read. With `memory_bytes` for the pairs and as much again for the merge at
 * most; a run costs 4 KiB of that at least. What fits into memory is never written.
 *
 * Life: new → add… → begin → next… → free. Threads: one.
 */
#ifndef WEIR_INSPECT_SPILL_SORT_H
#define WEIR_INSPECT_SPILL_SORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/status.h"

/* Ordered by key, then content; as they stand in the file. */
struct hash_pair {
    struct hash128 key;
    struct hash128 content;
};

struct spill_sort;

/* `folder`: of the temporary file; kept. */
struct spill_sort *spill_sort_new(size_t memory_bytes, const char *folder);
/* Takes NULL. */
void spill_sort_free(struct spill_sort *sort);
/* Statuses of os/spill.h. */
enum status spill_sort_add(struct spill_sort *sort, const struct hash_pair *pair,
                           struct error *err) WEIR_MUST_USE;
/* Nothing is added any more. */
enum status spill_sort_begin(struct spill_sort *sort, struct error *err) WEIR_MUST_USE;
/* *out_found is false behind the last. */
enum status spill_sort_next(struct spill_sort *sort, struct hash_pair *out, bool *out_found,
                            struct error *err) WEIR_MUST_USE;

int hash_pair_compare(const struct hash_pair *a, const struct hash_pair *b);

#endif
