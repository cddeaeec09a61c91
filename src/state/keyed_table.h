/*
 * The hash table below both keyed stores. Not for other folders.
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
 *     eleven sixteenths are left it grows to twice the size. The distance between the two marks
 *     is what pays for the purge.
 *   - The budget holds the bytes of the slots, while it grows those of both tables.
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
#include "base/time.h"
#include "os/pages.h"
#include "state/store.h"

#define KEYED_TABLE_MIN_SLOTS 64u

struct keyed_head {
    struct hash128 key;
    int64_t event_time_us;
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
};

/* Takes `bytes` out of the budget; false (and nothing taken) when they are not there. */
bool state_budget_take(struct state_budget *budget, uint64_t bytes);
void state_budget_give(struct state_budget *budget, uint64_t bytes);
/* FATAL "state.memory". */
enum status state_budget_refuse(const struct state_budget *budget, uint64_t bytes, const char *what,
                                const char *remedy, struct error *err);

/* watermark ≤ event time + horizon, without overflow at the ends of time. */
static inline bool keyed_is_remembered(int64_t event_time_us, int64_t horizon_us,
                                       int64_t watermark_us)
{
    int64_t until_us;
    if (horizon_us >= TIME_UNLIMITED ||
        __builtin_add_overflow(event_time_us, horizon_us, &until_us)) {
        return true;
    }
    return watermark_us <= until_us;
}

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

/* The entry of the key, remembered or not; NULL when there is none. */
static inline struct keyed_head *keyed_find(const struct keyed_table *table, size_t slot_bytes,
                                            struct hash128 key)
{
    if (table->count == 0) {
        return NULL;
    }
    struct keyed_head *slot = keyed_probe(table, slot_bytes, key);
    bool found = keyed_is_zero(key) ? table->has_zero_key : !keyed_is_zero(slot->key);
    return found ? slot : NULL;
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

static inline void keyed_forget(struct keyed_table *table, struct keyed_head *slot)
{
    if (table->drop != NULL) {
        table->drop(table, slot);
    }
    table->count--;
}

/* Forgets what is not remembered at the watermark. In place: needs no memory. */
static inline void keyed_purge(struct keyed_table *table, size_t slot_bytes, int64_t watermark_us)
{
    if (table->count == 0 || table->horizon_us >= TIME_UNLIMITED) {
        return;
    }
    if (table->has_zero_key) {
        struct keyed_head *slot = keyed_at(table, slot_bytes, table->capacity);
        if (!keyed_is_remembered(slot->event_time_us, table->horizon_us, watermark_us)) {
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
        struct hash128 key = slot->key;
        if (keyed_is_zero(key)) {
            continue;
        }
        slot->key = (struct hash128){0, 0};
        if (!keyed_is_remembered(slot->event_time_us, table->horizon_us, watermark_us)) {
            keyed_forget(table, slot);
            continue;
        }
        /* All before it in its run stand already, so its new place is this or an earlier slot. */
        struct keyed_head *place = keyed_probe(table, slot_bytes, key);
        if (place != slot) {
            memcpy(place, slot, slot_bytes);
        }
        place->key = key;
    }
}

/* Moves all entries into a table of `capacity` slots. */
static inline enum status keyed_resize(struct keyed_table *table, size_t slot_bytes,
                                       size_t capacity, struct error *err)
{
    size_t bytes = size_mul(size_add(capacity, 1), slot_bytes);
    if (!state_budget_take(table->budget, bytes)) {
        return state_budget_refuse(table->budget, bytes, table->what, table->remedy, err);
    }
    struct keyed_table old = *table;
    table->slots = memory_alloc(bytes);
    pages_populate(table->slots, bytes);
    /* Not memory_alloc_zero(): a page of fresh memory that is read before it is written, as probing
     * does, costs two faults, and the second one stops all threads. */
    memset(table->slots, 0, bytes);
    table->capacity = capacity;
    struct keyed_head *slot;
    for (size_t i = 0; (slot = keyed_next(&old, slot_bytes, &i)) != NULL;) {
        memcpy(keyed_probe(table, slot_bytes, slot->key), slot, slot_bytes);
    }
    if (old.slots != NULL) {
        memory_free(old.slots);
        state_budget_give(table->budget, (old.capacity + 1) * slot_bytes);
    }
    return STATUS_OK;
}

/* Room for one more entry. */
static inline enum status keyed_make_room(struct keyed_table *table, size_t slot_bytes,
                                          int64_t watermark_us, struct error *err)
{
    if (table->count < table->capacity / 4 * 3) {
        return STATUS_OK;
    }
    if (table->capacity == 0) {
        return keyed_resize(table, slot_bytes, KEYED_TABLE_MIN_SLOTS, err);
    }
    keyed_purge(table, slot_bytes, watermark_us);
    if (table->count <= table->capacity / 16 * 11) {
        return STATUS_OK;
    }
    return keyed_resize(table, slot_bytes, size_mul(table->capacity, 2), err);
}

/* Room for `count` entries in an empty table, so that reading them back never moves them. */
static inline enum status keyed_reserve(struct keyed_table *table, size_t slot_bytes,
                                        uint64_t count, struct error *err)
{
    size_t capacity = KEYED_TABLE_MIN_SLOTS;
    while (capacity / 4 * 3 <= count) {
        capacity = size_mul(capacity, 2);
    }
    return keyed_resize(table, slot_bytes, capacity, err);
}

/* The slot of a key that has none yet, NULL where it has; there must be room. The caller fills what
 * is behind the key. */
static inline struct keyed_head *keyed_add_new(struct keyed_table *table, size_t slot_bytes,
                                               struct hash128 key)
{
    struct keyed_head *slot = keyed_probe(table, slot_bytes, key);
    if (keyed_is_zero(key) ? table->has_zero_key : !keyed_is_zero(slot->key)) {
        return NULL;
    }
    slot->key = key;
    table->has_zero_key = table->has_zero_key || keyed_is_zero(key);
    table->count++;
    return slot;
}

/* The same for a key that is known to have none. */
static inline struct keyed_head *keyed_add(struct keyed_table *table, size_t slot_bytes,
                                           struct hash128 key)
{
    struct keyed_head *slot = keyed_add_new(table, slot_bytes, key);
    check(slot != NULL);
    return slot;
}

static inline void keyed_fini(struct keyed_table *table, size_t slot_bytes)
{
    struct keyed_head *slot;
    for (size_t i = 0; table->drop != NULL && (slot = keyed_next(table, slot_bytes, &i)) != NULL;) {
        table->drop(table, slot);
    }
    if (table->slots != NULL) {
        memory_free(table->slots);
        state_budget_give(table->budget, (table->capacity + 1) * slot_bytes);
    }
}

static inline uint64_t keyed_count_remembered(const struct keyed_table *table, size_t slot_bytes,
                                              int64_t watermark_us)
{
    uint64_t count = 0;
    struct keyed_head *slot;
    for (size_t i = 0; (slot = keyed_next(table, slot_bytes, &i)) != NULL;) {
        count += keyed_is_remembered(slot->event_time_us, table->horizon_us, watermark_us);
    }
    return count;
}

#endif
