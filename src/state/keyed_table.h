/*
 * The hash table below LAST. Not for other folders.
 *
 * Slots are of one size, given at each call as a constant, so that the compiler makes a table of
 * each kind out of these functions. A slot begins with its key and the event time of its entry:
 * that is all the table looks at. Open addressing with linear probing; the key is a good hash
 * already, so its low bits are the slot's home.
 *
 * Invariants:
 *   - A slot is empty when its key is zero. The entry whose key IS zero has a place of its own
 *     behind the last slot.
 *   - No deleted marks: between a key's home and its slot no slot is empty. A purge restores that
 *     by placing the survivors of every run anew.
 *   - Never more than three quarters full. At that mark the table is purged; only if more than
 *     eleven sixteenths are left it grows to twice the size, in place: there are never two tables.
 *     The distance between the two marks is what pays for the purge.
 *   - The budget holds the bytes of the slots.
 *
 * A copy of the table as it is at one moment is written bit by bit, while the table changes: a group
 * of slots is written before the first of them changes (keyed_touch()), if its turn has not come
 * yet. Entries come in any order, so that is all. While a copy is taken, the table may fill to seven
 * eighths before it is purged or grows, which moves all entries: what is left of the copy must be
 * written first.
 */
#ifndef WEIR_STATE_KEYED_TABLE_H
#define WEIR_STATE_KEYED_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/status.h"
#include "os/pages.h"
#include "state/store_private.h"

#define KEYED_TABLE_MIN_SLOTS 64u

struct keyed_head {
    struct hash128 key;
    int64_t event_time_us;
};

#define KEYED_GROUP_SLOTS 128u

/* A copy that is being taken. */
struct keyed_copy {
    struct state_pieces *pieces;
    uint32_t store;       /* its number in the pieces */
    int64_t watermark_us; /* what is remembered at it is copied */
    void (*write)(const void *slot, struct buffer *out);
    uint64_t *written;    /* a bit for each group */
    size_t next;          /* the groups below are written */
    size_t group_count;
};

struct keyed_table {
    uint8_t *slots;  /* capacity + 1 of them; NULL before the first insertion */
    size_t capacity; /* a power of two, or 0 */
    size_t count;    /* entries, with that of the zero key */
    bool has_zero_key;
    int64_t horizon_us;
    struct state_budget *budget;
    /* Called for an entry that is forgotten; may be NULL. */
    void (*drop)(struct keyed_table *table, void *slot);
    const char *what;   /* "dedup", for messages */
    const char *remedy; /* "shorten dedup.window" */
    struct keyed_copy *copy; /* NULL: none is being taken */
};

static inline bool keyed_is_zero(struct hash128 key)
{
    return (key.low | key.high) == 0;
}

static inline struct keyed_head *keyed_at(const struct keyed_table *table, size_t slot_bytes,
                                          size_t index)
{
    return (struct keyed_head *)(void *)(table->slots + index * slot_bytes);
}

/* Its slot, or the empty one where it would stand; the capacity is not 0. */
static inline struct keyed_head *keyed_probe(const struct keyed_table *table, size_t slot_bytes,
                                             struct hash128 key)
{
    if (keyed_is_zero(key)) {
        return keyed_at(table, slot_bytes, table->capacity);
    }
    size_t mask = table->capacity - 1;
    for (size_t i = (size_t)key.low & mask;; i = (i + 1) & mask) {
        struct keyed_head *slot = keyed_at(table, slot_bytes, i);
        if (keyed_is_zero(slot->key) || hash_equal(slot->key, key)) {
            return slot;
        }
    }
}

/* Whether the slot that keyed_probe() gave is the key's own. */
static inline bool keyed_is_taken(const struct keyed_table *table, const struct keyed_head *slot,
                                  struct hash128 key)
{
    return keyed_is_zero(key) ? table->has_zero_key : !keyed_is_zero(slot->key);
}

/* The entry of the key, remembered or not; NULL when there is none. */
static inline struct keyed_head *keyed_find(const struct keyed_table *table, size_t slot_bytes,
                                            struct hash128 key)
{
    if (table->count == 0) {
        return NULL;
    }
    struct keyed_head *slot = keyed_probe(table, slot_bytes, key);
    return keyed_is_taken(table, slot, key) ? slot : NULL;
}

/* Walks over all entries: `for (size_t i = 0; (slot = keyed_next(table, size, &i)) != NULL;)`. */
static inline struct keyed_head *keyed_next(const struct keyed_table *table, size_t slot_bytes,
                                            size_t *index)
{
    while (*index < table->capacity) {
        struct keyed_head *slot = keyed_at(table, slot_bytes, (*index)++);
        if (!keyed_is_zero(slot->key)) {
            return slot;
        }
    }
    if (*index == table->capacity && table->has_zero_key) {
        return keyed_at(table, slot_bytes, (*index)++);
    }
    return NULL;
}

/* --- copies: keyed_copy.c --- */

/* Begins a copy of the table as it is now. */
void keyed_copy_begin(struct keyed_table *table, struct state_pieces *pieces, uint32_t store,
                      int64_t watermark_us, void (*write)(const void *slot, struct buffer *out));
/* Writes about `slot_count` slots; true when all are written, also where no copy is being taken. */
bool keyed_copy_continue(struct keyed_table *table, size_t slot_bytes, size_t slot_count);
/* Also before all is written. Fine when there is none. */
void keyed_copy_end(struct keyed_table *table);
/* Writes the slot's group, unless it is written. */
void keyed_copy_slot(struct keyed_table *table, size_t slot_bytes, const void *slot);

/* To be called before a slot changes. */
static inline void keyed_touch(struct keyed_table *table, size_t slot_bytes, const void *slot)
{
    if (table->copy != NULL) {
        keyed_copy_slot(table, slot_bytes, slot);
    }
}

/* To be called before all change. */
static inline void keyed_touch_all(struct keyed_table *table, size_t slot_bytes)
{
    if (table->copy != NULL) {
        (void)keyed_copy_continue(table, slot_bytes, SIZE_MAX);
    }
}

static inline void keyed_forget(struct keyed_table *table, struct keyed_head *slot)
{
    if (table->drop != NULL) {
        table->drop(table, slot);
    }
    table->count--;
}

/* Takes the entry out of its slot and puts it where it belongs. */
static inline void keyed_replace(struct keyed_table *table, size_t slot_bytes,
                                 struct keyed_head *slot)
{
    struct hash128 key = slot->key;
    slot->key = (struct hash128){0, 0};
    struct keyed_head *place = keyed_probe(table, slot_bytes, key);
    if (place != slot) {
        memcpy(place, slot, slot_bytes);
    }
    place->key = key;
}

/* Forgets what is not remembered at the watermark. In place: needs no memory. */
static inline void keyed_purge(struct keyed_table *table, size_t slot_bytes, int64_t watermark_us)
{
    if (table->count == 0 || table->horizon_us >= TIME_UNLIMITED) {
        return;
    }
    keyed_touch_all(table, slot_bytes);
    if (table->has_zero_key) {
        struct keyed_head *slot = keyed_at(table, slot_bytes, table->capacity);
        if (!state_is_remembered(slot->event_time_us, table->horizon_us, watermark_us)) {
            keyed_forget(table, slot);
            table->has_zero_key = false;
        }
    }
    /* From behind an empty slot no run is cut in two by the end of the table. */
    size_t mask = table->capacity - 1;
    size_t start = 0;
    while (!keyed_is_zero(keyed_at(table, slot_bytes, start)->key)) {
        start++;
    }
    for (size_t i = 1; i <= table->capacity; i++) {
        struct keyed_head *slot = keyed_at(table, slot_bytes, (start + i) & mask);
        if (keyed_is_zero(slot->key)) {
            continue;
        }
        if (state_is_remembered(slot->event_time_us, table->horizon_us, watermark_us)) {
            /* All before it in its run stand already: its new place is this or an earlier slot. */
            keyed_replace(table, slot_bytes, slot);
        } else {
            slot->key = (struct hash128){0, 0};
            keyed_forget(table, slot);
        }
    }
}

static inline size_t keyed_bytes(size_t slot_bytes, size_t capacity)
{
    return size_mul(size_add(capacity, 1), slot_bytes);
}

/*
 * Every entry finds its place in the table that has just become twice as large, the upper half of
 * it empty. Its home is the old one, or the same in the upper half.
 *
 * The run at the beginning of the table may be the end of one that began at the end of the old
 * half: it is set aside first. Each other run begins at a home, and what stands before an entry in
 * its run has found its place already: so an entry that keeps its home goes there or to an earlier
 * slot, never behind one that still has to move. The upper half fills as the lower one had, with
 * some entries missing, so it does not run over before those set aside come.
 */
static inline void keyed_spread(struct keyed_table *table, size_t slot_bytes, size_t old_capacity)
{
    size_t first_count = 0;
    while (!keyed_is_zero(keyed_at(table, slot_bytes, first_count)->key)) {
        first_count++;
    }
    size_t first_bytes = size_mul(first_count, slot_bytes);
    uint8_t *first = memory_alloc(first_bytes);
    memcpy(first, table->slots, first_bytes);
    memset(table->slots, 0, first_bytes);
    for (size_t i = first_count; i < old_capacity; i++) {
        struct keyed_head *slot = keyed_at(table, slot_bytes, i);
        if (!keyed_is_zero(slot->key)) {
            keyed_replace(table, slot_bytes, slot);
        }
    }
    for (size_t i = 0; i < first_count; i++) {
        const uint8_t *entry = first + i * slot_bytes;
        struct hash128 key;
        memcpy(&key, entry, sizeof key);
        memcpy(keyed_probe(table, slot_bytes, key), entry, slot_bytes);
    }
    memory_free(first);
}

/* A table without entries gets `capacity` slots. */
static inline enum status keyed_begin(struct keyed_table *table, size_t slot_bytes,
                                      size_t capacity, struct error *err)
{
    size_t bytes = keyed_bytes(slot_bytes, capacity);
    if (!state_budget_take(table->budget, bytes)) {
        return state_budget_refuse(table->budget, bytes, table->what, table->remedy, err);
    }
    table->slots = pages_alloc(bytes);
    table->capacity = capacity;
    return STATUS_OK;
}

/* Twice as many slots. */
static inline enum status keyed_grow(struct keyed_table *table, size_t slot_bytes,
                                     struct error *err)
{
    size_t old_capacity = table->capacity;
    size_t old_bytes = keyed_bytes(slot_bytes, old_capacity);
    size_t bytes = keyed_bytes(slot_bytes, size_mul(old_capacity, 2));
    if (!state_budget_take(table->budget, bytes - old_bytes)) {
        return state_budget_refuse(table->budget, bytes - old_bytes, table->what, table->remedy,
                                   err);
    }
    keyed_touch_all(table, slot_bytes);
    keyed_copy_end(table);
    table->slots = pages_grow(table->slots, old_bytes, bytes);
    table->capacity = old_capacity * 2;
    /* The entry of the zero key stays behind the last slot. */
    struct keyed_head *zero = keyed_at(table, slot_bytes, old_capacity);
    memcpy(keyed_at(table, slot_bytes, table->capacity), zero, slot_bytes);
    memset(zero, 0, slot_bytes);
    keyed_spread(table, slot_bytes, old_capacity);
    return STATUS_OK;
}

static inline bool keyed_is_full(const struct keyed_table *table)
{
    size_t most = table->copy == NULL ? table->capacity / 4 * 3 : table->capacity / 8 * 7;
    return table->count >= most;
}

/* Room for one more entry. Where the table was full, entries move. */
static inline enum status keyed_make_room(struct keyed_table *table, size_t slot_bytes,
                                          int64_t watermark_us, struct error *err)
{
    if (!keyed_is_full(table)) {
        return STATUS_OK;
    }
    if (table->capacity == 0) {
        return keyed_begin(table, slot_bytes, KEYED_TABLE_MIN_SLOTS, err);
    }
    keyed_purge(table, slot_bytes, watermark_us);
    if (table->count <= table->capacity / 16 * 11) {
        return STATUS_OK;
    }
    return keyed_grow(table, slot_bytes, err);
}

/* Room for `count` entries in a table that never had any, so that reading them back never moves
 * them. */
static inline enum status keyed_reserve(struct keyed_table *table, size_t slot_bytes,
                                        uint64_t count, struct error *err)
{
    size_t capacity = KEYED_TABLE_MIN_SLOTS;
    while (capacity / 4 * 3 < count) {
        capacity = size_mul(capacity, 2);
    }
    return keyed_begin(table, slot_bytes, capacity, err);
}

/* Whether what was reserved is not used up. */
static inline bool keyed_has_room(const struct keyed_table *table)
{
    return table->count < table->capacity / 4 * 3;
}

/* The slot of a key that is known to have none yet; there must be room. The caller fills what is behind
 * the key. */
static inline struct keyed_head *keyed_add(struct keyed_table *table, size_t slot_bytes,
                                           struct hash128 key)
{
    struct keyed_head *slot = keyed_probe(table, slot_bytes, key);
    check(!keyed_is_taken(table, slot, key));
    keyed_touch(table, slot_bytes, slot);
    slot->key = key;
    table->has_zero_key = table->has_zero_key || keyed_is_zero(key);
    table->count++;
    return slot;
}

static inline void keyed_fini(struct keyed_table *table, size_t slot_bytes)
{
    keyed_copy_end(table);
    struct keyed_head *slot;
    for (size_t i = 0; table->drop != NULL && (slot = keyed_next(table, slot_bytes, &i)) != NULL;) {
        table->drop(table, slot);
    }
    if (table->slots != NULL) {
        size_t bytes = keyed_bytes(slot_bytes, table->capacity);
        pages_free(table->slots, bytes);
        state_budget_give(table->budget, bytes);
    }
}

#endif
