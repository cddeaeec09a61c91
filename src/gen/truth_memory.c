#include "gen/truth_memory.h"

#include <stdbool.h>
#include <string.h>

#include "base/memory.h"

enum { CAPACITY_MIN_BITS = 10, CAPACITY_MIN = 1 << CAPACITY_MIN_BITS };

__extension__ typedef unsigned __int128 wide;

/* The two halves of a 128-bit product, folded: every bit of both factors reaches every bit of the
 * answer. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

struct truth_key truth_key_of(struct bytes text)
{
    uint64_t low = UINT64_C(0x243F6A8885A308D3) ^ text.size;
    uint64_t high = UINT64_C(0x13198A2E03707344) + text.size;
    for (size_t at = 0; at < text.size; at += 8) {
        uint64_t part = 0;
        size_t left = text.size - at;
        memcpy(&part, text.data + at, left < 8 ? left : 8);
        low = fold(low ^ part, UINT64_C(0xA4093822299F31D1));
        high = fold(high ^ part, UINT64_C(0x082EFA98EC4E6C89)) + low;
    }
    low = fold(low ^ UINT64_C(0x452821E638D01377), high | 1);
    return (struct truth_key){low, high | 1};
}

void truth_memory_fini(struct truth_memory *memory)
{
    memory_free(memory->entries);
    *memory = (struct truth_memory){0};
}

static bool is_free(const struct truth_entry *entry)
{
    return entry->key.low == 0 && entry->key.high == 0;
}

/* The key's entry, or the free place where it would stand. Entries stand in about the order of
 * their hashes, so that a table is copied into a larger one front to back. */
static struct truth_entry *place_of(const struct truth_memory *memory, struct truth_key key)
{
    size_t mask = memory->capacity - 1;
    size_t at = (size_t)(key.low >> memory->shift);
    while (!is_free(&memory->entries[at]) &&
           (memory->entries[at].key.low != key.low || memory->entries[at].key.high != key.high)) {
        at = (at + 1) & mask;
    }
    return &memory->entries[at];
}

void truth_memory_prefetch(const struct truth_memory *memory, struct truth_key key)
{
    if (memory->capacity > 0) {
        __builtin_prefetch(&memory->entries[key.low >> memory->shift], 1);
    }
}

struct truth_entry *truth_memory_find(const struct truth_memory *memory, struct truth_key key)
{
    if (memory->capacity == 0) {
        return NULL;
    }
    struct truth_entry *place = place_of(memory, key);
    return is_free(place) ? NULL : place;
}

/* Drops what is too old, and makes room so that at most a third is used. */
static void make_room(struct truth_memory *memory, int64_t oldest_us)
{
    struct truth_memory old = *memory;
    size_t kept = 0;
    for (size_t i = 0; i < old.capacity; i++) {
        kept += !is_free(&old.entries[i]) && old.entries[i].event_time_us >= oldest_us;
    }
    memory->capacity = CAPACITY_MIN;
    memory->shift = 64 - CAPACITY_MIN_BITS;
    while (memory->capacity / 3 < kept) {
        memory->capacity = size_mul(memory->capacity, 2);
        memory->shift--;
    }
    memory->entries = memory_alloc_zero(memory->capacity, sizeof *memory->entries);
    memory->used = kept;
    for (size_t i = 0; i < old.capacity; i++) {
        if (!is_free(&old.entries[i]) && old.entries[i].event_time_us >= oldest_us) {
            *place_of(memory, old.entries[i].key) = old.entries[i];
        }
    }
    memory_free(old.entries);
}

struct truth_entry *truth_memory_put(struct truth_memory *memory, struct truth_key key,
                                     int64_t oldest_us)
{
    if (memory->used >= memory->capacity / 3 * 2) {
        make_room(memory, oldest_us);
    }
    struct truth_entry *place = place_of(memory, key);
    if (is_free(place)) {
        *place = (struct truth_entry){.key = key};
        memory->used++;
    }
    return place;
}
