#include "state/keyed_table.h"

enum { WORD_BITS = 64 };

static bool is_written(const struct keyed_copy *copy, size_t group)
{
    return (copy->written[group / WORD_BITS] >> (group % WORD_BITS) & 1) != 0;
}

/* The last group holds the slot of the zero key, too. */
static bool is_entry(const struct keyed_table *table, const struct keyed_head *slot, size_t index)
{
    return index < table->capacity ? !keyed_is_zero(slot->key) : table->has_zero_key;
}

/* As a piece of its own; a group without entries is none. */
static void write_group(const struct keyed_table *table, size_t slot_bytes, size_t group)
{
    struct keyed_copy *copy = table->copy;
    struct state_pieces *pieces = copy->pieces;
    copy->written[group / WORD_BITS] |= UINT64_C(1) << (group % WORD_BITS);
    size_t begin = pieces_begin(pieces);
    buffer_append_u32(&pieces->out, copy->store);
    size_t empty = pieces->out.size;
    size_t end = (group + 1) * KEYED_GROUP_SLOTS;
    end = end < table->capacity + 1 ? end : table->capacity + 1;
    for (size_t i = group * KEYED_GROUP_SLOTS; i < end; i++) {
        const struct keyed_head *slot = keyed_at(table, slot_bytes, i);
        if (is_entry(table, slot, i) &&
            state_is_remembered(slot->event_time_us, table->horizon_us, copy->watermark_us)) {
            copy->write(slot, &pieces->out);
        }
    }
    if (pieces->out.size > empty) {
        pieces_end(pieces, begin);
    } else {
        pieces->out.size = begin;
    }
}

void keyed_copy_begin(struct keyed_table *table, struct state_pieces *pieces, uint32_t store,
                      int64_t watermark_us, void (*write)(const void *slot, struct buffer *out))
{
    check(table->copy == NULL);
    if (table->capacity == 0) {
        return; /* Nothing to write: it is done. */
    }
    struct keyed_copy *copy = memory_alloc(sizeof *copy);
    *copy = (struct keyed_copy){
        .pieces = pieces,
        .store = store,
        .watermark_us = watermark_us,
        .write = write,
        .group_count = table->capacity / KEYED_GROUP_SLOTS + 1,
    };
    copy->written = memory_alloc_zero(copy->group_count / WORD_BITS + 1, sizeof *copy->written);
    table->copy = copy;
}

bool keyed_copy_continue(struct keyed_table *table, size_t slot_bytes, size_t slot_count)
{
    struct keyed_copy *copy = table->copy;
    size_t left = slot_count / KEYED_GROUP_SLOTS + 1;
    while (copy != NULL && copy->next < copy->group_count) {
        if (left-- == 0) {
            return false;
        }
        size_t group = copy->next++;
        if (!is_written(copy, group)) {
            write_group(table, slot_bytes, group);
        }
    }
    return true;
}

void keyed_copy_slot(struct keyed_table *table, size_t slot_bytes, const void *slot)
{
    size_t index = (size_t)((const uint8_t *)slot - table->slots) / slot_bytes;
    size_t group = index / KEYED_GROUP_SLOTS;
    if (!is_written(table->copy, group)) {
        write_group(table, slot_bytes, group);
    }
}

void keyed_copy_end(struct keyed_table *table)
{
    if (table->copy != NULL) {
        memory_free(table->copy->written);
        memory_free(table->copy);
        table->copy = NULL;
    }
}
