#include "connector/kafka/store.h"

#include <string.h>

#include "base/time.h"
#include "connector/kafka/reader.h"
#include "connector/kafka/topics.h"
#include "os/clock.h"

/* Longer than a transaction of weir's lives. */
#define SETTLE_US (20 * TIME_US_PER_SECOND)
#define SETTLE_STEP_US 50000

/* --- the table --- */

static uint32_t slot_of(const struct kafka_store *store, struct bytes key)
{
    uint32_t slot = (uint32_t)hash_plain(key.data, key.size).low & (store->capacity - 1);
    while (!bytes_is_none(store->items[slot].key) &&
           !bytes_equal(store->items[slot].key, key)) {
        slot = (slot + 1) & (store->capacity - 1);
    }
    return slot;
}

static void grow(struct kafka_store *store)
{
    struct kafka_store_item *old = store->items;
    uint32_t old_capacity = store->capacity;
    store->capacity = old_capacity == 0 ? 256 : old_capacity * 2;
    store->items = memory_alloc_zero(store->capacity, sizeof *store->items);
    for (uint32_t i = 0; i < old_capacity; i++) {
        if (!bytes_is_none(old[i].key)) {
            store->items[slot_of(store, old[i].key)] = old[i];
        }
    }
    memory_free(old);
}

void kafka_store_put(struct kafka_store *store, struct bytes key, struct bytes value)
{
    if (store->count * 2 >= store->capacity) {
        grow(store);
    }
    struct kafka_store_item *item = &store->items[slot_of(store, key)];
    if (bytes_is_none(item->key)) {
        item->key = bytes_of(arena_copy(store->arena, key.data, key.size), key.size);
        store->count++;
    }
    item->value = BYTES_NONE;
    if (!bytes_is_none(value)) {
        item->value = bytes_of(arena_copy(store->arena, value.data, value.size), value.size);
    }
}

/* --- loading --- */

/* R is written ten times a second and only its last one counts: values that were replaced are let
 * go when they are much more than what is kept. */
struct loading {
    struct kafka_store *store;
    size_t kept_bytes;
};

static void compact(struct loading *loading)
{
    struct kafka_store *store = loading->store;
    struct kafka_store fresh = {.arena = arena_new(64 * 1024), .end = store->end};
    memcpy(fresh.topic_id, store->topic_id, sizeof fresh.topic_id);
    loading->kept_bytes = 0;
    for (uint32_t i = 0; i < store->capacity; i++) {
        if (!bytes_is_none(store->items[i].key)) {
            kafka_store_put(&fresh, store->items[i].key, store->items[i].value);
            loading->kept_bytes += store->items[i].key.size + store->items[i].value.size;
        }
    }
    kafka_store_fini(store);
    *store = fresh;
}

static enum status take_message(void *context, const rd_kafka_message_t *message,
                                struct error *err)
{
    struct loading *loading = context;
    (void)err;
    if (message->key == NULL) {
        return STATUS_OK; /* not ours */
    }
    kafka_store_put(loading->store, bytes_of(message->key, message->key_len),
        message->payload == NULL ? BYTES_NONE : bytes_of(message->payload, message->len));
    if (arena_size(loading->store->arena) > 4 * loading->kept_bytes + (4u << 20)) {
        compact(loading);
    }
    return STATUS_OK;
}

char *kafka_progress_topic(struct arena *arena, const char *pipeline)
{
    return arena_printf(arena, "weir.progress.%s", pipeline);
}

enum status kafka_store_load(struct kafka_store *store, struct kafka_client *client,
                             const char *topic, struct error *err)
{
    struct kafka_topic found_topic;
    bool found = false;
    struct loading loading = {.store = store};
    kafka_store_fini(store);
    store->arena = arena_new(64 * 1024);
    grow(store);
    enum status status = kafka_topic_find(client, topic, &found_topic, &found, err);
    if (status != STATUS_OK || !found) {
        return status;
    }
    int64_t first = 0;
    int64_t end = 0;
    status = kafka_bounds(client, topic, 0, &first, &end, err);
    if (status == STATUS_OK) {
        store->end = end;
        status = kafka_scan(client, topic, 0, take_message, &loading, err);
    }
    if (status == STATUS_OK) {
        memcpy(store->topic_id, found_topic.id, sizeof store->topic_id);
    }
    return status;
}

enum status kafka_store_refresh(struct kafka_store *store, struct kafka_client *client,
                                const char *topic, struct error *err)
{
    struct kafka_topic now;
    bool found = false;
    int64_t first = 0;
    int64_t end = 0;
    if (store->topic_id[0] == '\0') {
        return kafka_store_load(store, client, topic, err);
    }
    enum status status = kafka_topic_find(client, topic, &now, &found, err);
    if (status == STATUS_OK && found && strcmp(now.id, store->topic_id) == 0) {
        status = kafka_bounds(client, topic, 0, &first, &end, err);
        if (status == STATUS_OK && end == store->end) {
            return STATUS_OK;
        }
    }
    return status == STATUS_OK ? kafka_store_load(store, client, topic, err) : status;
}

enum status kafka_store_settle(struct kafka_client *client, struct kafka_client *exact,
                               const char *topic, struct error *err)
{
    int64_t end_us = clock_monotonic_us() + SETTLE_US;
    int64_t first = 0;
    int64_t end = 0;
    int64_t committed_end = 0;
    enum status status = kafka_bounds(exact, topic, 0, &first, &end, err);
    while (status == STATUS_OK) {
        status = kafka_bounds(client, topic, 0, &first, &committed_end, err);
        if (status != STATUS_OK || committed_end >= end) {
            break;
        }
        if (stop_requested()) {
            return error_set(err, STATUS_RETRY, "stop.requested", "a stop was asked for");
        }
        if (clock_monotonic_us() >= end_us) {
            return error_set(err, STATUS_RETRY, "progress.open_transaction",
                             "a transaction of another program is open in topic '%s': what the "
                             "pipeline committed behind offset %lld cannot be read before it has "
                             "ended; wait for its timeout, or end it (kafka-transactions.sh abort)",
                             topic, (long long)committed_end);
        }
        clock_sleep_us(SETTLE_STEP_US);
    }
    return status;
}

struct plan_search {
    const char *key;
    struct hash128 plan_hash;
    struct buffer *out;
    bool is_found;
};

static enum status match_plan(void *context, const rd_kafka_message_t *message,
                              struct error *err)
{
    struct plan_search *search = context;
    (void)err;
    if (!search->is_found && message->key != NULL && message->payload != NULL &&
        bytes_equal_string(bytes_of(message->key, message->key_len), search->key)) {
        struct hash128 hash = hash_plain(message->payload, message->len);
        search->is_found =
            hash.low == search->plan_hash.low && hash.high == search->plan_hash.high;
        if (search->is_found) {
            buffer_append(search->out, message->payload, message->len);
        }
    }
    return STATUS_OK;
}

enum status kafka_store_find_plan(struct kafka_client *exact, const char *topic,
                                  struct hash128 plan_hash, struct buffer *out, bool *out_found,
                                  struct error *err)
{
    struct buffer key = {0};
    struct plan_search search = {
        .key = kafka_key_plan(&key, plan_hash), .plan_hash = plan_hash, .out = out};
    enum status status = kafka_scan(exact, topic, 0, match_plan, &search, err);
    buffer_fini(&key);
    *out_found = status == STATUS_OK && search.is_found;
    return status;
}

void kafka_store_fini(struct kafka_store *store)
{
    arena_free(store->arena);
    memory_free(store->items);
    *store = (struct kafka_store){0};
}

struct bytes kafka_store_find(const struct kafka_store *store, const char *key)
{
    return store->capacity == 0 ? BYTES_NONE
                                : store->items[slot_of(store, bytes_of_string(key))].value;
}

enum status kafka_store_each(const struct kafka_store *store, const char *prefix,
                             enum status (*item)(void *context, struct bytes key,
                                                 struct bytes value, struct error *err),
                             void *context, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < store->capacity && status == STATUS_OK; i++) {
        const struct kafka_store_item *entry = &store->items[i];
        if (!bytes_is_none(entry->key) && !bytes_is_none(entry->value) &&
            bytes_starts_with(entry->key, prefix)) {
            status = item(context, entry->key, entry->value, err);
        }
    }
    return status;
}

/* --- keys --- */

const char *kafka_key_progress(struct buffer *out, const char *label, const char *topic)
{
    buffer_clear(out);
    buffer_printf(out, "r/%s/%s", label, topic);
    return buffer_string(out);
}

const char *kafka_key_first(struct buffer *out, const char *label, const char *topic)
{
    buffer_clear(out);
    buffer_printf(out, "0/%s/%s", label, topic);
    return buffer_string(out);
}

const char *kafka_key_segment(struct buffer *out, const char *label, int64_t first_offset,
                              const char *topic)
{
    buffer_clear(out);
    buffer_printf(out, "s/%s/%lld/%s", label, (long long)first_offset, topic);
    return buffer_string(out);
}

const char *kafka_key_plan(struct buffer *out, struct hash128 plan_hash)
{
    char text[33];
    hash_format(plan_hash, text);
    buffer_clear(out);
    buffer_printf(out, "p/%s", text);
    return buffer_string(out);
}

const char *kafka_key_reject(struct buffer *out, const char *sink, const char *label,
                             int64_t offset, const char *topic)
{
    buffer_clear(out);
    buffer_printf(out, "x/%s/%s/%lld/%s", sink, label, (long long)offset, topic);
    return buffer_string(out);
}

/* --- values --- */

void kafka_segment_fini(struct kafka_segment *segment)
{
    ledger_fini(&segment->ledger);
    *segment = (struct kafka_segment){0};
}

void kafka_value_write(const struct progress *progress, const struct kafka_segment *segment,
                       struct buffer *out)
{
    struct buffer form = {0};
    progress_write(progress, &form);
    buffer_append_u32(out, KAFKA_STORE_VERSION);
    buffer_append_sized(out, form.data, form.size);
    buffer_clear(&form);
    if (segment != NULL && segment->is_there) {
        segment_write(segment->first_offset, segment->next_offset, segment->plan_hash,
                      &segment->ledger, &form);
    }
    buffer_append_sized(out, form.data, form.size);
    buffer_fini(&form);
}

enum status kafka_value_read(struct bytes value, struct progress *progress,
                             struct kafka_segment *segment, struct error *err)
{
    struct reader reader = reader_of(value);
    uint32_t version = reader_u32(&reader);
    struct bytes form = reader_sized(&reader);
    struct bytes segment_form = reader_sized(&reader);
    if (!reader.failed && version > KAFKA_STORE_VERSION) {
        return error_set(err, STATUS_CONFIG, "progress.version",
                         "the progress record was written by a newer weir: use that one");
    }
    if (reader.failed || reader.at != reader.end) {
        return error_set(err, STATUS_FATAL, "progress.corrupt",
                         "a progress record in Kafka is broken: its length is wrong");
    }
    enum status status = progress_read(progress, form, err);
    if (status == STATUS_OK && segment != NULL && segment_form.size > 0) {
        status = segment_read(segment_form, &segment->first_offset, &segment->next_offset,
                              &segment->plan_hash, &segment->ledger, err);
        segment->is_there = status == STATUS_OK;
        if (status != STATUS_OK) {
            progress_fini(progress);
            *progress = (struct progress){0};
        }
    }
    return status;
}
