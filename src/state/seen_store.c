#include "state/form.h"
#include "state/seen_table.h"
#include "state/store_private.h"

struct seen_store {
    struct seen_table table;
    uint64_t reserved; /* so many may be read back */
};

struct seen_store *seen_store_new(struct state_budget *budget, int64_t horizon_us)
{
    check(horizon_us >= 0);
    struct seen_store *store = memory_alloc_zero(1, sizeof *store);
    store->table.budget = budget;
    store->table.horizon_us = horizon_us;
    return store;
}

void seen_store_free(struct seen_store *store)
{
    if (store != NULL) {
        seen_table_fini(&store->table);
        memory_free(store);
    }
}

/* Below that many chunks, 1 MiB, a table is in a cache near the core: to fetch anything would cost more than
 * it saves. */
#define FAR_CHUNKS 342u

void seen_store_prefetch(const struct seen_store *store, struct hash128 hash)
{
    const struct seen_table *table = &store->table;
    if (table->chunk_count >= FAR_CHUNKS) {
        const struct seen_segment *segment = seen_table_segment(table, hash);
        uint32_t first = seen_table_first(segment, hash.low);
        uint32_t second = seen_table_second(segment, hash.low);
        __builtin_prefetch(seen_table_bucket(table, segment, first), 1);
        __builtin_prefetch(seen_table_bucket(table, segment, second), 1);
    }
}

void seen_store_prefetch_slot(const struct seen_store *store, struct hash128 hash)
{
    const struct seen_table *table = &store->table;
    if (table->chunk_count >= FAR_CHUNKS) {
        const struct seen_segment *segment = seen_table_segment(table, hash);
        uint32_t high = (uint32_t)seen_key(hash).high;
        const struct seen_bucket *first = seen_table_bucket(
            table, segment, seen_table_first(segment, hash.low));
        const struct seen_bucket *second =
            seen_table_bucket(table, segment, seen_table_second(segment, hash.low));
        bool is_first = seen_bucket_match(first, high) != 0;
        bool is_second = seen_bucket_match(second, high) != 0;
        if (!is_first && !is_second) {
            is_first = seen_bucket_taken(first) < seen_bucket_taken(second);
        }
        const struct seen_bucket *bucket = is_first ? first : second;
        __builtin_prefetch(&bucket->low[SEEN_BUCKET_SLOTS - 1], 1);
        __builtin_prefetch(&bucket->time[0], 1);
    }
}

bool seen_store_find(const struct seen_store *store, struct hash128 hash, int64_t watermark_us,
                     struct seen_entry *out)
{
    const struct seen_table *table = &store->table;
    struct hash128 key = seen_key(hash);
    struct seen_place place;
    if (table->directory == NULL ||
        !seen_table_probe(table, key, &place)) {
        return false;
    }
    *out = seen_table_entry(table, place.segment, place.bucket, place.at);
    return state_is_remembered(out->event_time_us, table->horizon_us, watermark_us);
}

/* The slot of a key that has none yet: one look, but where room must be made. */
static enum status add(struct seen_table *table, struct hash128 key, struct seen_entry entry,
                       int64_t watermark_us, struct seen_place *place, struct error *err)
{
    if (place->segment == NULL || !seen_segment_has_room(place->segment)) {
        enum status status = seen_table_make_room(table, key, watermark_us, err);
        if (status != STATUS_OK) {
            return status;
        }
        check(!seen_table_probe(table, key, place));
    }
    return seen_table_set(table, place, key, entry, err);
}

enum status seen_store_see(struct seen_store *store, struct hash128 hash,
                           struct seen_entry sighting, int64_t watermark_us, bool *out_known,
                           struct seen_entry *out_entry, struct error *err)
{
    struct seen_table *table = &store->table;
    struct hash128 key = seen_key(hash);
    struct seen_place place = {0};
    *out_known = false;
    if (table->directory == NULL ||
        !seen_table_probe(table, key, &place)) {
        return add(table, key, sighting, watermark_us, &place, err);
    }
    struct seen_entry before = seen_table_entry(table, place.segment, place.bucket, place.at);
    if (state_is_remembered(before.event_time_us, table->horizon_us, watermark_us)) {
        *out_known = true;
        *out_entry = before;
        if (sighting.event_time_us < before.event_time_us) {
            sighting.event_time_us = before.event_time_us;
        }
    }
    return seen_table_set(table, &place, key, sighting, err);
}

void seen_store_purge(struct seen_store *store, int64_t watermark_us)
{
    seen_table_purge(&store->table, watermark_us);
}

void seen_store_set_horizon(struct seen_store *store, int64_t horizon_us)
{
    check(horizon_us >= 0 && store->table.copy == NULL);
    store->table.horizon_us = horizon_us;
}

uint64_t seen_store_count(const struct seen_store *store)
{
    return store->table.count;
}

/* --- copies --- */

void seen_store_copy_begin(struct seen_store *store, struct state_pieces *pieces, uint32_t number,
                           int64_t watermark_us)
{
    seen_copy_begin(&store->table, pieces, number, watermark_us);
}

bool seen_store_copy_continue(struct seen_store *store, size_t slot_count)
{
    return seen_copy_continue(&store->table, slot_count);
}

void seen_store_copy_end(struct seen_store *store)
{
    seen_copy_end(&store->table);
}

enum status seen_store_reserve(struct seen_store *store, uint64_t count, struct error *err)
{
    store->reserved = count;
    return seen_table_reserve(&store->table, count, err);
}

enum status seen_store_read(struct seen_store *store, struct reader *in, struct error *err)
{
    struct seen_table *table = &store->table;
    enum status status = STATUS_OK;
    while (in->at < in->end && status == STATUS_OK) {
        /* Early versions wrote all of the hash. */
        struct hash128 key = seen_key(form_read_hash(in));
        struct seen_entry entry;
        entry.event_time_us = form_read_time(in);
        entry.offset = (int64_t)reader_u64(in);
        struct seen_place place = {0};
        if (in->failed || table->count == store->reserved ||
            seen_table_probe(table, key, &place)) {
            return error_set(err, STATUS_FATAL, "snapshot.corrupt",
                             "a remembered key of dedup is cut off, stands there twice, or is one "
                             "too many");
        }
        status = add(table, key, entry, TIME_NEVER, &place, err);
    }
    return status;
}

struct hash128 seen_store_digest(const struct seen_store *store, int64_t watermark_us)
{
    const struct seen_table *table = &store->table;
    struct hash128 digest = {0, 0};
    struct buffer form = {0};
    struct hash128 key;
    struct seen_entry entry;
    for (struct seen_cursor at = {0}; seen_table_next(table, &at, &key, &entry);) {
        if (state_is_remembered(entry.event_time_us, table->horizon_us, watermark_us)) {
            buffer_clear(&form);
            seen_entry_write(key, entry, &form);
            digest = hash_add(digest, hash_plain(form.data, form.size));
        }
    }
    buffer_fini(&form);
    return digest;
}
