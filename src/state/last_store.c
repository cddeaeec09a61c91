#include "state/form.h"
#include "state/keyed_table.h"

struct last_slot {
    struct hash128 key;
    struct last_entry entry;
};

_Static_assert(offsetof(struct last_slot, entry) + offsetof(struct last_entry, event_time_us) ==
                   offsetof(struct keyed_head, event_time_us),
               "the table finds the event time");

enum {
    SLOT_BYTES = sizeof(struct last_slot),
    /* What the allocator adds to a text. */
    TEXT_OVERHEAD_BYTES = 16,
};

struct last_store {
    struct keyed_table table;
};

static struct last_slot *last_slot_of(struct keyed_head *head)
{
    return (struct last_slot *)(void *)head;
}

static bool has_text(const struct value *value)
{
    return value->type == VALUE_TEXT || value->type == VALUE_JSON;
}

static void value_drop(struct keyed_table *table, const struct value *value)
{
    if (has_text(value)) {
        state_budget_give(table->budget, value->text.size + TEXT_OVERHEAD_BYTES);
        memory_free((void *)(uintptr_t)value->text.data);
    }
}

static void last_drop(struct keyed_table *table, void *slot)
{
    value_drop(table, &((struct last_slot *)slot)->entry.value);
}

/* A copy that the store owns. */
static enum status value_take(struct keyed_table *table, struct value value, struct value *out,
                              struct error *err)
{
    if (has_text(&value)) {
        uint64_t bytes = (uint64_t)value.text.size + TEXT_OVERHEAD_BYTES;
        if (!state_budget_take(table->budget, bytes)) {
            return state_budget_refuse(table->budget, bytes, table->what, table->remedy, err);
        }
        uint8_t *copy = memory_alloc(value.text.size);
        if (value.text.size > 0) {
            memcpy(copy, value.text.data, value.text.size);
        }
        value.text.data = copy;
    }
    *out = value;
    return STATUS_OK;
}

struct last_store *last_store_new(struct state_budget *budget, int64_t horizon_us)
{
    check(horizon_us >= 0);
    struct last_store *store = memory_alloc_zero(1, sizeof *store);
    store->table.budget = budget;
    store->table.horizon_us = horizon_us;
    store->table.drop = last_drop;
    store->table.what = "fill last_by";
    store->table.remedy = "shorten max_age";
    return store;
}

void last_store_free(struct last_store *store)
{
    if (store != NULL) {
        keyed_fini(&store->table, SLOT_BYTES);
        memory_free(store);
    }
}

const struct last_entry *last_store_find(const struct last_store *store, struct hash128 key,
                                         int64_t watermark_us)
{
    struct keyed_head *head = keyed_find(&store->table, SLOT_BYTES, key);
    if (head == NULL ||
        !state_is_remembered(head->event_time_us, store->table.horizon_us, watermark_us)) {
        return NULL;
    }
    return &last_slot_of(head)->entry;
}

enum status last_store_put(struct last_store *store, struct hash128 key, struct last_entry entry,
                           int64_t watermark_us, struct error *err)
{
    struct keyed_table *table = &store->table;
    struct keyed_head *head = keyed_find(table, SLOT_BYTES, key);
    /* An expired value, too, gives way to a later one only: an earlier one has expired as well. */
    if (!state_is_remembered(entry.event_time_us, table->horizon_us, watermark_us) ||
        (head != NULL && entry.event_time_us < head->event_time_us)) {
        return STATUS_OK;
    }
    enum status status = value_take(table, entry.value, &entry.value, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (head != NULL) {
        keyed_touch(table, SLOT_BYTES, head);
        value_drop(table, &last_slot_of(head)->entry.value);
    } else {
        status = keyed_make_room(table, SLOT_BYTES, watermark_us, err);
        if (status != STATUS_OK) {
            value_drop(table, &entry.value);
            return status;
        }
        head = keyed_add(table, SLOT_BYTES, key);
    }
    last_slot_of(head)->entry = entry;
    return STATUS_OK;
}

void last_store_purge(struct last_store *store, int64_t watermark_us)
{
    keyed_purge(&store->table, SLOT_BYTES, watermark_us);
}

void last_store_set_horizon(struct last_store *store, int64_t horizon_us)
{
    check(horizon_us >= 0 && store->table.copy == NULL);
    store->table.horizon_us = horizon_us;
}

uint64_t last_store_count(const struct last_store *store)
{
    return store->table.count;
}

/* --- copies --- */

static void last_slot_write(const void *at, struct buffer *out)
{
    const struct last_slot *slot = at;
    form_write_hash(slot->key, out);
    buffer_append_u64(out, (uint64_t)slot->entry.event_time_us);
    buffer_append_u64(out, (uint64_t)slot->entry.offset);
    value_write(&slot->entry.value, out);
}

void last_store_copy_begin(struct last_store *store, struct state_pieces *pieces, uint32_t number,
                           int64_t watermark_us)
{
    keyed_copy_begin(&store->table, pieces, number, watermark_us, last_slot_write);
}

bool last_store_copy_continue(struct last_store *store, size_t slot_count)
{
    return keyed_copy_continue(&store->table, SLOT_BYTES, slot_count);
}

void last_store_copy_end(struct last_store *store)
{
    keyed_copy_end(&store->table);
}

enum status last_store_reserve(struct last_store *store, uint64_t count, struct error *err)
{
    return keyed_reserve(&store->table, SLOT_BYTES, count, err);
}

static enum status last_slot_read(struct keyed_table *table, struct reader *in, struct error *err)
{
    struct hash128 key = form_read_hash(in);
    struct last_entry entry;
    entry.event_time_us = form_read_time(in);
    entry.offset = (int64_t)reader_u64(in);
    entry.value = value_read(in);
    if (in->failed || !keyed_has_room(table) || keyed_find(table, SLOT_BYTES, key) != NULL) {
        return error_set(err, STATUS_FATAL, "snapshot.corrupt",
                         "a remembered value of fill last_by is cut off, stands there twice, or is "
                         "one too many");
    }
    enum status status = value_take(table, entry.value, &entry.value, err);
    if (status == STATUS_OK) {
        last_slot_of(keyed_add(table, SLOT_BYTES, key))->entry = entry;
    }
    return status;
}

enum status last_store_read(struct last_store *store, struct reader *in, struct error *err)
{
    enum status status = STATUS_OK;
    while (in->at < in->end && status == STATUS_OK) {
        status = last_slot_read(&store->table, in, err);
    }
    return status;
}

struct hash128 last_store_digest(const struct last_store *store, int64_t watermark_us)
{
    const struct keyed_table *table = &store->table;
    struct hash128 digest = {0, 0};
    struct buffer form = {0};
    struct keyed_head *head;
    for (size_t i = 0; (head = keyed_next(table, SLOT_BYTES, &i)) != NULL;) {
        if (state_is_remembered(head->event_time_us, table->horizon_us, watermark_us)) {
            buffer_clear(&form);
            last_slot_write(last_slot_of(head), &form);
            digest = hash_add(digest, hash_plain(form.data, form.size));
        }
    }
    buffer_fini(&form);
    return digest;
}
