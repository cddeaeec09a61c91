/*
 * Transactions on one topic with a memory (connector/writer.h): a system with one sink and no plan,
 * whose compacted topic holds the memory in place of R. Producers, transactions and what their errors
 * mean are those of system.c and commit.c.
 *
 * Under "owner/ID" the memory holds a random number of whoever opened the writer last. A writer whose
 * producer failed takes a new one, which ends what the old one had open, reads the memory, and goes on
 * only if that number is still its own.
 */
#include <stdio.h>
#include <string.h>

#include "connector/kafka/private.h"
#include "connector/writer.h"
#include "os/random.h"

#define OWN_TRIES 3

struct remembered {
    char *key;
    struct buffer value;
};

struct kafka_writer {
    struct writer writer; /* first */
    struct kafka_system system;
    struct kafka_sink sink;
    struct sink *sinks[1];
    struct kafka_topic topic;
    struct outbox *outbox;
    char *owner_key;
    char owner[17];
    bool is_dry;
    bool has_memory;
    bool was_sent;           /* what is pending was sent, and its answer was lost */
    uint32_t free_partition; /* of records without a key, in this transaction */
    struct remembered *pending;
    uint32_t pending_count, pending_capacity;
};

static struct kafka_writer *self(struct writer *writer)
{
    return (struct kafka_writer *)writer;
}

/* --- what is pending --- */

static void forget(struct kafka_writer *w)
{
    for (uint32_t i = 0; i < w->pending_count; i++) {
        memory_free(w->pending[i].key);
        buffer_fini(&w->pending[i].value);
    }
    w->pending_count = 0;
    w->was_sent = false;
    kafka_outbox_clear(w->outbox);
}

static void remember(struct writer *writer, const char *key, struct bytes value)
{
    struct kafka_writer *w = self(writer);
    if (w->pending_count == w->pending_capacity) {
        w->pending_capacity = w->pending_capacity * 2 + 16;
        w->pending = memory_realloc(w->pending, size_mul(w->pending_capacity, sizeof *w->pending));
    }
    struct remembered *item = &w->pending[w->pending_count++];
    *item = (struct remembered){.key = memory_copy_string(key)};
    buffer_append(&item->value, value.data, value.size);
}

static struct bytes recall(struct writer *writer, const char *key)
{
    const struct kafka_writer *w = self(writer);
    for (uint32_t i = w->pending_count; i > 0; i--) {
        const struct remembered *item = &w->pending[i - 1];
        if (strcmp(item->key, key) == 0) {
            return bytes_of(item->value.data, item->value.size);
        }
    }
    return kafka_store_find(&w->system.store, key);
}

static struct kafka_message message_of(const struct writer_record *record)
{
    return (struct kafka_message){.key = record->key,
                                  .value = record->value,
                                  .headers = record->headers,
                                  .header_count = record->header_count,
                                  .timestamp_us = record->timestamp_us};
}

static enum status judge(struct writer *writer, const struct writer_record *record,
                         struct error *err)
{
    static const struct {
        const char *of_a_sink, *of_a_topic;
    } codes[] = {{"sink.too_large", "topic.too_large"},
                 {"sink.no_key", "topic.no_key"},
                 {"sink.timestamp", "topic.timestamp"}};
    const struct kafka_message message = message_of(record);
    char why[KAFKA_REFUSAL_BYTES];
    const char *code = kafka_sink_refusal(&self(writer)->sink, &message, &why);
    for (size_t i = 0; code != NULL && i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(code, codes[i].of_a_sink) == 0) {
            return error_set(err, STATUS_CONFIG, codes[i].of_a_topic,
                             "topic '%s' does not take a record: %s", writer->topic, why);
        }
    }
    return STATUS_OK;
}

static enum status append(struct writer *writer, const struct writer_record *record,
                          struct error *err)
{
    struct kafka_writer *w = self(writer);
    const struct kafka_message message = message_of(record);
    enum status status = judge(writer, record, err);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t partition = record->partition >= 0 ? (uint32_t)record->partition
                         : bytes_is_none(record->key)
                             ? w->free_partition
                             : hash_partition(record->key, writer->partitions);
    kafka_outbox_add(kafka_outbox(w->outbox), 0, partition, &message);
    return STATUS_OK;
}

/* --- transactions --- */

static enum status refuse_rival(const struct kafka_writer *w, struct error *err)
{
    return error_set(err, STATUS_FENCED, "writer.two_at_once",
                     "another process has begun to do the same with topic '%s': what this one "
                     "committed is in once. Let one of them run to its end",
                     w->writer.topic);
}

static bool remembers(const struct kafka_writer *w, const char *key, struct bytes value)
{
    return bytes_equal(kafka_store_find(&w->system.store, key), value);
}

/* A new producer, and the memory as it is behind whatever the old one had sent. */
static enum status revive(struct kafka_writer *w, struct error *err)
{
    struct kafka_system *s = &w->system;
    enum status status = kafka_make_producer(s, err);
    if (status == STATUS_OK) {
        status = kafka_reload(s, err);
    }
    if (status != STATUS_OK) {
        kafka_drop_producer(s);
        return status;
    }
    s->in_doubt = false;
    return remembers(w, w->owner_key, bytes_of_string(w->owner)) ? STATUS_OK : refuse_rival(w, err);
}

static enum status send_pending(struct kafka_writer *w, struct error *err)
{
    struct kafka_system *s = &w->system;
    kafka_outbox_rewind(kafka_outbox(w->outbox));
    enum status status = kafka_transaction_begin(s, err);
    if (status == STATUS_OK) {
        status = kafka_produce(s, &w->sink.sink, w->outbox, err);
    }
    for (uint32_t i = 0; i < w->pending_count && status == STATUS_OK; i++) {
        const struct remembered *item = &w->pending[i];
        status = kafka_transaction_put(s, item->key, bytes_of(item->value.data, item->value.size),
                                       NULL, err);
    }
    return status == STATUS_OK ? kafka_transaction_end(s, err) : status;
}

static void take(struct kafka_writer *w)
{
    for (uint32_t i = 0; i < w->pending_count; i++) {
        const struct remembered *item = &w->pending[i];
        kafka_store_put(&w->system.store, bytes_of_string(item->key),
                        bytes_of(item->value.data, item->value.size));
    }
    forget(w);
}

static enum status commit(struct writer *writer, struct error *err)
{
    struct kafka_writer *w = self(writer);
    struct error found = {0};
    if (w->system.producer == NULL || w->system.in_doubt) {
        if (!w->has_memory && w->was_sent) {
            return error_set(
                err, STATUS_IN_DOUBT, "writer.in_doubt",
                "the answer to the last transaction on topic '%s' was lost: its records "
                "are in, all of them, or none is",
                writer->topic);
        }
        enum status status = w->has_memory ? revive(w, err) : kafka_make_producer(&w->system, err);
        if (status != STATUS_OK) {
            return status;
        }
        const struct remembered *first = w->pending_count == 0 ? NULL : &w->pending[0];
        if (w->was_sent && first != NULL &&
            remembers(w, first->key, bytes_of(first->value.data, first->value.size))) {
            forget(w); /* it is in; the store has it */
            return STATUS_OK;
        }
    }
    w->was_sent = true;
    enum status status = send_pending(w, &found);
    if (status == STATUS_OK) {
        take(w);
        return STATUS_OK;
    }
    /* Gone as a whole, or in doubt: the next call asks. */
    status = status == STATUS_CONFIG || status == STATUS_FATAL ? status : STATUS_RETRY;
    return error_set(err, status, found.code, "%s", found.message);
}

static enum status begin(struct writer *writer, struct error *err)
{
    struct kafka_writer *w = self(writer);
    (void)err;
    forget(w);
    w->free_partition = (uint32_t)(random_u64() % writer->partitions);
    return STATUS_OK;
}

static void rollback(struct writer *writer)
{
    forget(self(writer));
}

/* --- opening and closing --- */

static void close_writer(struct writer *writer)
{
    if (writer == NULL) {
        return;
    }
    struct kafka_writer *w = self(writer);
    struct kafka_system *s = &w->system;
    forget(w);
    kafka_outbox_free(w->outbox);
    if (s->pipeline != NULL) {
        s->system.ops->close_session(&s->system);
    }
    memory_free(w->pending);
    memory_free(w->owner_key);
    kafka_pool_free(w->sink.pool);
    memory_free(w->sink.topic_name);
    memory_free(s->place);
    memory_free(w);
}

static enum status find_topic(struct kafka_writer *w, const struct topic_wish *wish,
                              struct error *err)
{
    const char *name = w->sink.topic_name;
    bool found = false;
    enum status status = kafka_topic_find(w->system.client, name, &w->topic, &found, err);
    if (status == STATUS_OK && !found && wish != NULL) {
        status = kafka_make_wished(w->system.client, wish, &w->topic, err);
        found = status == STATUS_OK;
    }
    if (status == STATUS_OK && !found) {
        status =
            error_set(err, STATUS_CONFIG, "topic.missing", "the brokers have no topic '%s'", name);
    }
    if (status == STATUS_OK) {
        status = kafka_topic_rules(w->system.client, name, &w->sink.rules, err);
    }
    if (status == STATUS_OK) {
        w->sink.partitions = w->topic.partition_count;
    }
    w->writer.topic = name;
    w->writer.topic_id = w->topic.id;
    w->writer.partitions = w->topic.partition_count;
    w->writer.most_bytes = w->sink.rules.record_limit;
    return status;
}

static enum status own_once(struct kafka_writer *w, struct error *err)
{
    struct kafka_system *s = &w->system;
    enum status status = kafka_make_producer(s, err);
    s->is_claimed = status == STATUS_OK;
    if (status == STATUS_OK) {
        status = kafka_reload(s, err);
    }
    if (status == STATUS_OK) {
        s->in_doubt = false;
        status = send_pending(w, err);
    }
    return status;
}

/* The memory is this writer's from now on. One that begins at the same moment may get between. */
static enum status own(struct kafka_writer *w, struct error *err)
{
    struct kafka_system *s = &w->system;
    struct kafka_topic topic;
    struct error found = {0};
    bool is_there = false;
    enum status status = kafka_topic_find(s->client, s->progress_topic, &topic, &is_there, err);
    if (status == STATUS_OK && !is_there) {
        status = kafka_make_compacted(s->client, s->progress_topic, w->topic.replicas,
                                      &topic, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    remember(&w->writer, w->owner_key, bytes_of_string(w->owner));
    for (uint32_t tries = 0; tries < OWN_TRIES; tries++) {
        error_clear(&found);
        status = own_once(w, &found);
        if (status == STATUS_OK) {
            take(w);
            return STATUS_OK;
        }
        if (status == STATUS_CONFIG || status == STATUS_FATAL || stop_requested()) {
            break;
        }
    }
    status = status == STATUS_CONFIG || status == STATUS_FATAL ? status : STATUS_RETRY;
    return error_set(err, status, found.code, "%s", found.message);
}

static void init(struct kafka_writer *w, const struct doc *config, const char *folder,
                 const struct writer_identity *identity)
{
    struct kafka_system *s = &w->system;
    w->writer.ops = &kafka_writer_ops;
    w->is_dry = identity->is_dry;
    (void)snprintf(w->owner, sizeof w->owner, "%016llx", (unsigned long long)random_u64());
    s->system.ops = &kafka_system_ops;
    s->config = config;
    s->folder = folder;
    s->arena = arena_new(1024);
    s->place = memory_copy_string(kafka_place(s->arena, config));
    s->pipeline = memory_copy_string(identity->id);
    w->has_memory = identity->memory != NULL;
    /* Without a memory nothing goes there. */
    s->progress_topic = arena_copy_string(
        s->arena, w->has_memory ? identity->memory : grammar_string(config, "topic", ""));
    s->system.name = s->place;
    s->system.sinks = w->sinks;
    s->system.sink_count = 1;
    w->sinks[0] = &w->sink.sink;
    w->sink.sink = (struct sink){.ops = &kafka_sink_ops, .name = "", .system = &s->system};
    w->sink.topic_name = memory_copy_string(grammar_string(config, "topic", ""));
    w->sink.pool = kafka_pool_new();
    w->outbox = kafka_outbox_new(&w->sink.sink);
    char *key = arena_printf(s->arena, "owner/%s", identity->id);
    w->owner_key = memory_copy_string(key);
}

static enum status open_writer(const struct doc *config, const char *folder,
                               const struct writer_identity *identity, struct writer **out,
                               struct error *err)
{
    static const char *const quick[] = {KAFKA_ASK_QUICKLY, NULL};
    struct kafka_writer *w = memory_alloc_zero(1, sizeof *w);
    struct kafka_system *s = &w->system;
    char *cluster = NULL;
    init(w, config, folder, identity);
    enum status status = kafka_check_connection(config, err);
    if (status == STATUS_OK) {
        status = kafka_client_open(config, folder, KAFKA_FETCH, NULL, quick, &s->client, err);
    }
    if (status == STATUS_OK) {
        status = kafka_cluster_id(s->client, &cluster, err);
    }
    memory_free(cluster);
    if (status == STATUS_OK) {
        status = find_topic(w, identity->wish, err);
    }
    if (status == STATUS_OK && !w->has_memory) {
        status = kafka_make_producer(s, err);
    } else if (status == STATUS_OK) {
        status = w->is_dry ? kafka_store_load(&s->store, s->client, s->progress_topic, err)
                           : own(w, err);
    }
    if (status != STATUS_OK) {
        close_writer(&w->writer);
        return status;
    }
    *out = &w->writer;
    return STATUS_OK;
}

const struct writer_ops kafka_writer_ops = {
    .open = open_writer,
    .close = close_writer,
    .begin = begin,
    .recall = recall,
    .remember = remember,
    .judge = judge,
    .append = append,
    .commit = commit,
    .rollback = rollback,
};
