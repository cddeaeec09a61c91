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

struct seen_entry *seen_store_find(struct seen_store *store, struct hash128 key,
                                   int64_t watermark_us)
{
    struct keyed_head *head = keyed_find(&store->table, SLOT_BYTES, key);
    if (head == NULL ||
        !keyed_is_remembered(head->event_time_us, store->table.horizon_us, watermark_us)) {
        return NULL;
    }
    return &seen_slot_of(head)->entry;
}

enum status seen_store_insert(struct seen_store *store, struct hash128 key, struct seen_entry entry,
                              int64_t watermark_us, struct error *err)
{
    struct keyed_table *table = &store->table;
    struct keyed_head *head = keyed_find(table, SLOT_BYTES, key);
    if (head == NULL) {
        enum status status = keyed_make_room(table, SLOT_BYTES, watermark_us, err);
        if (status != STATUS_OK) {
            return status;
        }
        head = keyed_add(table, SLOT_BYTES, key);
    } else {
        check(!keyed_is_remembered(head->event_time_us, table->horizon_us, watermark_us));
    }
    seen_slot_of(head)->entry = entry;
    return STATUS_OK;
}

void seen_store_purge(struct seen_store *store, int64_t watermark_us)
{
    keyed_purge(&store->table, SLOT_BYTES, watermark_us);
}

void seen_store_set_horizon(struct seen_store *store, int64_t horizon_us)
{
    check(horizon_us >= 0);
    store->table.horizon_us = horizon_us;
}

uint64_t seen_store_count(const struct seen_store *store)
{
    return store->table.count;
}

static void seen_slot_write(const struct seen_slot *slot, struct buffer *out)
{
    form_write_hash(slot->key, out);
    buffer_append_u64(out, (uint64_t)slot->entry.event_time_us);
    buffer_append_u64(out, (uint64_t)slot->entry.offset);
}

void seen_store_write(const struct seen_store *store, int64_t watermark_us, struct buffer *out)
{
    const struct keyed_table *table = &store->table;
    uint64_t count = keyed_count_remembered(table, SLOT_BYTES, watermark_us);
    buffer_append_u64(out, count);
    buffer_reserve(out, size_mul((size_t)count, SLOT_BYTES));
    struct keyed_head *head;
    for (size_t i = 0; (head = keyed_next(table, SLOT_BYTES, &i)) != NULL;) {
        if (keyed_is_remembered(head->event_time_us, table->horizon_us, watermark_us)) {
            seen_slot_write(seen_slot_of(head), out);
        }
    }
}

enum status seen_store_read(struct seen_store *store, struct reader *in, struct error *err)
{
    struct keyed_table *table = &store->table;
    check(table->count == 0);
    uint64_t count = reader_u64(in);
    if (in->failed || count > (size_t)(in->end - in->at) / SLOT_BYTES) {
        return error_set(err, STATUS_FATAL, "snapshot.corrupt",
                         "the remembered keys of dedup are cut off");
    }
    enum status status = keyed_reserve(table, SLOT_BYTES, count, err);
    for (uint64_t i = 0; i < count && status == STATUS_OK; i++) {
        struct hash128 key = form_read_hash(in);
        struct seen_entry entry;
        entry.event_time_us = (int64_t)reader_u64(in);
        entry.offset = (int64_t)reader_u64(in);
        struct keyed_head *head = keyed_add_new(table, SLOT_BYTES, key);
        if (head == NULL) {
            status = error_set(err, STATUS_FATAL, "snapshot.corrupt",
                               "a key of dedup is remembered twice");
        } else {
            seen_slot_of(head)->entry = entry;
        }
    }
    return status;
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
