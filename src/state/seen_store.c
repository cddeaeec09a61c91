#include "state/form.h"
#include "state/keyed_table.h"

struct seen_slot {
    struct hash128 key;
    struct seen_entry entry;
};

_Static_assert(sizeof(struct seen_slot) == 32, "two slots a cache line");
_Static_assert(offsetof(struct seen_slot, entry) + offsetof(struct seen_entry, event_time_us) ==
                   offsetof(struct keyed_head, event_time_us),
               "the table finds the event time");

enum { SLOT_BYTES = sizeof(struct seen_slot) };

struct seen_store {
    struct keyed_table table;
};

static struct seen_slot *seen_slot_of(struct keyed_head *head)
{
    return (struct seen_slot *)(void *)head;
}

struct seen_store *seen_store_new(struct state_budget *budget, int64_t horizon_us)
{
    check(horizon_us >= 0);
    struct seen_store *store = memory_alloc_zero(1, sizeof *store);
    store->table.budget = budget;
    store->table.horizon_us = horizon_us;
    store->table.what = "dedup";
    store->table.remedy = "shorten the dedup window";
    return store;
}

void seen_store_free(struct seen_store *store)
{
    if (store != NULL) {
        keyed_fini(&store->table, SLOT_BYTES);
        memory_free(store);
    }
}

void seen_store_prefetch(const struct seen_store *store, struct hash128 key)
{
    const struct keyed_table *table = &store->table;
    if (table->capacity > 0) {
        __builtin_prefetch(keyed_at(table, SLOT_BYTES, (size_t)key.low & (table->capacity - 1)), 1);
    }
}

const struct seen_entry *seen_store_find(const struct seen_store *store, struct hash128 key,
                                         int64_t watermark_us)
{
    struct keyed_head *head = keyed_find(&store->table, SLOT_BYTES, key);
    if (head == NULL ||
        !keyed_is_remembered(head->event_time_us, store->table.horizon_us, watermark_us)) {
        return NULL;
    }
    return &seen_slot_of(head)->entry;
}

/* The slot of a key, which has an entry or gets an empty one: *out_is_new. One look, but where the
 * table must make room. */
static inline enum status take_slot(struct keyed_table *table, struct hash128 key,
                                    int64_t watermark_us, struct seen_slot **out, bool *out_is_new,
                                    struct error *err)
{
    struct keyed_head *head = table->capacity == 0 ? NULL : keyed_probe(table, SLOT_BYTES, key);
    *out_is_new = head == NULL || !keyed_is_taken(table, head, key);
    if (*out_is_new && keyed_is_full(table)) {
        enum status status = keyed_make_room(table, SLOT_BYTES, watermark_us, err);
        if (status != STATUS_OK) {
            return status;
        }
        head = keyed_probe(table, SLOT_BYTES, key);
    }
    if (*out_is_new) {
        keyed_claim(table, SLOT_BYTES, head, key);
    } else {
        keyed_touch(table, SLOT_BYTES, head);
    }
    *out = seen_slot_of(head);
    return STATUS_OK;
}

enum status seen_store_see(struct seen_store *store, struct hash128 key, struct seen_entry sighting,
                           int64_t watermark_us, bool *out_known, struct seen_entry *out_entry,
                           struct error *err)
{
    struct keyed_table *table = &store->table;
    struct seen_slot *slot;
    bool is_new;
    enum status status = take_slot(table, key, watermark_us, &slot, &is_new, err);
    if (status != STATUS_OK) {
        return status;
    }
    *out_known =
        !is_new && keyed_is_remembered(slot->entry.event_time_us, table->horizon_us, watermark_us);
    if (!*out_known) {
        slot->entry = sighting;
        return STATUS_OK;
    }
    *out_entry = slot->entry;
    if (sighting.event_time_us > slot->entry.event_time_us) {
        slot->entry.event_time_us = sighting.event_time_us;
    }
    slot->entry.offset = sighting.offset;
    return STATUS_OK;
}

void seen_store_purge(struct seen_store *store, int64_t watermark_us)
{
    keyed_purge(&store->table, SLOT_BYTES, watermark_us);
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

static void seen_slot_write(const void *at, struct buffer *out)
{
    const struct seen_slot *slot = at;
    form_write_hash(slot->key, out);
    buffer_append_u64(out, (uint64_t)slot->entry.event_time_us);
    buffer_append_u64(out, (uint64_t)slot->entry.offset);
}

void seen_store_copy_begin(struct seen_store *store, struct state_pieces *pieces, uint32_t number,
                           int64_t watermark_us)
{
    keyed_copy_begin(&store->table, pieces, number, watermark_us, seen_slot_write);
}

bool seen_store_copy_continue(struct seen_store *store, size_t slot_count)
{
    return keyed_copy_continue(&store->table, SLOT_BYTES, slot_count);
}

void seen_store_copy_end(struct seen_store *store)
{
    keyed_copy_end(&store->table);
}

enum status seen_store_reserve(struct seen_store *store, uint64_t count, struct error *err)
{
    return keyed_reserve(&store->table, SLOT_BYTES, count, err);
}

enum status seen_store_read(struct seen_store *store, struct reader *in, struct error *err)
{
    struct keyed_table *table = &store->table;
    while (in->at < in->end) {
        struct hash128 key = form_read_hash(in);
        struct seen_entry entry;
        entry.event_time_us = form_read_time(in);
        entry.offset = (int64_t)reader_u64(in);
        struct keyed_head *head = NULL;
        if (!in->failed && keyed_has_room(table)) {
            head = keyed_add_new(table, SLOT_BYTES, key);
        }
        if (head == NULL) {
            return error_set(err, STATUS_FATAL, "snapshot.corrupt",
                             "a remembered key of dedup is cut off, stands there twice, or is one "
                             "too many");
        }
        seen_slot_of(head)->entry = entry;
    }
    return STATUS_OK;
}

struct hash128 seen_store_digest(const struct seen_store *store, int64_t watermark_us)
{
    const struct keyed_table *table = &store->table;
    struct hash128 digest = {0, 0};
    struct buffer form = {0};
    struct keyed_head *head;
    for (size_t i = 0; (head = keyed_next(table, SLOT_BYTES, &i)) != NULL;) {
        if (keyed_is_remembered(head->event_time_us, table->horizon_us, watermark_us)) {
            buffer_clear(&form);
            seen_slot_write(seen_slot_of(head), &form);
            digest = hash_add(digest, hash_plain(form.data, form.size));
        }
    }
    buffer_fini(&form);
    return digest;
}
