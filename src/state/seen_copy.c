#include <endian.h>

#include "state/form.h"
#include "state/seen_table.h"
#include "state/store_private.h"

enum { WORD_BITS = 64 };

/* A chunk that came later holds nothing that was there when the copy began. */
static bool take_turn(struct seen_copy *copy, uint32_t chunk)
{
    if (chunk >= copy->chunk_count) {
        return false;
    }
    uint64_t *word = &copy->written[chunk / WORD_BITS];
    uint64_t bit = UINT64_C(1) << (chunk % WORD_BITS);
    bool was_written = (*word & bit) != 0;
    *word |= bit;
    return !was_written;
}

void seen_entry_write(struct hash128 key, struct seen_entry entry, struct buffer *out)
{
    /* As form_write_hash() and two u64, at once: a snapshot has many. */
    const uint64_t form[4] = {htole64(key.low), htole64(key.high),
                              htole64((uint64_t)entry.event_time_us),
                              htole64((uint64_t)entry.offset)};
    buffer_append(out, form, sizeof form);
}

static void write_bucket(const struct seen_table *table, const struct seen_segment *segment,
                         const struct seen_bucket *bucket, struct buffer *out)
{
    for (uint32_t at = 0; at < seen_bucket_taken(bucket); at++) {
        struct seen_entry entry = seen_table_entry(table, segment, bucket, at);
        if (state_is_remembered(entry.event_time_us, table->horizon_us,
                                table->copy->watermark_us)) {
            seen_entry_write(seen_slot_key(bucket, at), entry, out);
        }
    }
}

/* As a piece of its own; a chunk without entries is none. */
void seen_copy_chunk(struct seen_table *table, const struct seen_segment *segment, uint32_t chunk)
{
    struct seen_copy *copy = table->copy;
    if (!take_turn(copy, segment->chunks[chunk])) {
        return;
    }
    struct state_pieces *pieces = copy->pieces;
    size_t begin = pieces_begin(pieces);
    buffer_append_u32(&pieces->out, copy->store);
    size_t empty = pieces->out.size;
    const struct seen_chunk *from = seen_table_chunk(table, segment->chunks[chunk]);
    for (uint32_t i = 0; i < SEEN_CHUNK_BUCKETS; i++) {
        write_bucket(table, segment, &from->buckets[i], &pieces->out);
    }
    if (pieces->out.size > empty) {
        pieces_end(pieces, begin);
    } else {
        pieces->out.size = begin;
    }
}

void seen_copy_segment(struct seen_table *table, const struct seen_segment *segment)
{
    for (uint32_t i = 0; table->copy != NULL && i < segment->chunk_count; i++) {
        seen_copy_chunk(table, segment, i);
    }
}

void seen_copy_begin(struct seen_table *table, struct state_pieces *pieces, uint32_t store,
                     int64_t watermark_us)
{
    check(table->copy == NULL);
    struct seen_copy *copy = memory_alloc(sizeof *copy);
    *copy = (struct seen_copy){
        .pieces = pieces,
        .store = store,
        .watermark_us = watermark_us,
        .written = memory_alloc_zero(table->chunk_count / WORD_BITS + 1, sizeof *copy->written),
        .chunk_count = table->chunk_count,
        .segment_count = table->segment_count,
    };
    table->copy = copy;
}

bool seen_copy_continue(struct seen_table *table, size_t slot_count)
{
    struct seen_copy *copy = table->copy;
    size_t left = slot_count / SEEN_CHUNK_SLOTS + 1;
    while (copy != NULL && copy->next < copy->segment_count) {
        if (left == 0) {
            return false;
        }
        const struct seen_segment *segment = &table->segments[copy->next++];
        seen_copy_segment(table, segment);
        left -= left < segment->chunk_count ? left : segment->chunk_count;
    }
    return true;
}

void seen_copy_end(struct seen_table *table)
{
    if (table->copy != NULL) {
        memory_free(table->copy->written);
        memory_free(table->copy);
        table->copy = NULL;
    }
}
