/*
 * Memory of keys: what the truth remembers of a key until a point in event time.
 *
 * An open-addressing table from a key's 128-bit hash to an event time and one more number. Entries
 * are forgotten by whoever looks: the caller compares the entry's event time with its own rule.
 * When the table is full, entries older than `oldest_us` are thrown away, and only what is left
 * lets it grow: memory follows what can still matter, not the length of the log.
 *
 * The hash is not that of base/hash.h, so that a fault there cannot make pipeline and truth wrong
 * in the same way.
 */
#ifndef WEIR_GEN_TRUTH_MEMORY_H
#define WEIR_GEN_TRUTH_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct truth_key {
    uint64_t low; /* both 0: none */
    uint64_t high;
};

struct truth_entry {
    struct truth_key key; /* none: a free place */
    int64_t event_time_us;
    union {
        double value;
        uint64_t offset;
    };
};

/* Zero-initialise. */
struct truth_memory {
    struct truth_entry *entries;
    size_t capacity; /* a power of two, or 0 */
    unsigned shift;  /* from the first half of a hash to its place */
    size_t used;
};

void truth_memory_fini(struct truth_memory *memory);
struct truth_key truth_key_of(struct bytes text);
/* A hint that the key will be looked for soon. */
void truth_memory_prefetch(const struct truth_memory *memory, struct truth_key key);
/* NULL when there is none. Valid until the next put. */
struct truth_entry *truth_memory_find(const struct truth_memory *memory, struct truth_key key);
/* The key's entry, a new one where there was none: the caller fills in the rest. Entries whose
 * event time is below oldest_us may go. */
struct truth_entry *truth_memory_put(struct truth_memory *memory, struct truth_key key,
                                     int64_t oldest_us);

#endif
