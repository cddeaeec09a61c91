/*
 * A topic of a Kafka cluster as a sink, or as the dead-letter place.
 *
 * What a row looks like, and its hash, is in connector/topic_row.h. A row goes to the partition
 * that murmur2 gives for its key, like Java's clients; without a key to its origin's partition
 * modulo the count. It keeps its record's timestamp.
 *
 * Brokers refuse records above max.message.bytes, without a key where a topic is compacted, and with a
 * timestamp too far from their clock, and would refuse the whole transaction for one, so all this is
 * looked at first: such a row is refused here (`sink.too_large`, `sink.no_key`, `sink.timestamp`). What
 * this machine's clock says is asked once for each row, when it comes; what was said of it is committed
 * with R, like all that a sink refuses. A dead letter that is too large goes without its value, which the
 * header `weir.value` says ("reference": the record itself stands where weir.topic, weir.partition and
 * weir.offset say); one whose timestamp its topic does not take gets that of its writing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "connector/kafka/private.h"
#include "connector/topic_row.h"
#include "os/clock.h"

static const struct grammar_field sink_fields[] = {
    {.key = "topic", .type = GRAMMAR_NAME, .required = true,
     .help = "the topic; made when it is not there"},
    {.key = "key", .type = GRAMMAR_STRING,
     .help = "the field whose value becomes the key; the record's own key unless set"},
    KAFKA_TOPIC_FIELDS("is made"),
    {0},
};

#define PARTITIONS_OTHERWISE 3
/* So far the clocks of brokers may be apart from this machine's. */
#define CLOCKS_APART_MS 5000
#define REFRESH_MS 2000

static struct hash128 count_row(struct kafka_outbox *o, const struct kafka_message *message,
                                const struct hash_secret *secret, struct ledger_sink *delta)
{
    struct hash128 hash = topic_row_hash(secret, message->key, message->value, message->headers,
                                         message->header_count, &o->scratch);
    delta->written++;
    delta->sum = hash_add(delta->sum, hash);
    return hash;
}

static void add(struct kafka_sink *s, struct kafka_outbox *o, uint32_t source_partition,
                int32_t origin_number, const struct kafka_message *message)
{
    const uint32_t count = s->partitions;
    uint32_t partition = bytes_is_none(message->key) ? (uint32_t)origin_number % count
                                                     : hash_partition(message->key, count);
    kafka_outbox_add(o, source_partition, partition, message);
}

/* So far a timestamp may be away, to be taken whatever the clocks say. */
static int64_t surely_taken_ms(int64_t limit_ms)
{
    return limit_ms - (limit_ms / 2 < CLOCKS_APART_MS ? limit_ms / 2 : CLOCKS_APART_MS);
}

/* Whether the topic takes that timestamp now. The clock is asked where it matters. */
static bool takes_timestamp(struct kafka_sink *s, int64_t timestamp_us)
{
    const struct kafka_topic_rules *rules = &s->rules;
    const int64_t at_ms = timestamp_us / 1000;
    const bool has_limit = rules->after_ms != INT64_MAX || rules->before_ms != INT64_MAX;
    const int64_t after_ms = surely_taken_ms(rules->after_ms);
    if (timestamp_us == TIME_NEVER || rules->record_limit == 0 || !has_limit) {
        return true;
    }
    /* What was not too far ahead of an earlier moment is not now. */
    if (rules->before_ms != INT64_MAX || at_ms - s->now_ms > after_ms) {
        s->now_ms = clock_realtime_us() / 1000;
    }
    return at_ms - s->now_ms <= after_ms && s->now_ms - at_ms <= surely_taken_ms(rules->before_ms);
}

const char *kafka_sink_refusal(struct kafka_sink *s, const struct kafka_message *message,
                               char (*out)[KAFKA_REFUSAL_BYTES])
{
    const int64_t size = kafka_message_size(message);
    if (s->rules.record_limit > 0 && size > s->rules.record_limit) {
        (void)snprintf(*out, sizeof *out, "about %lld bytes, and the topic takes %lld",
                       (long long)size, (long long)s->rules.record_limit);
        return "sink.too_large";
    }
    if (s->rules.is_compacted && bytes_is_none(message->key)) {
        (void)snprintf(*out, sizeof *out, "the topic is compacted, and the row has no key");
        return "sink.no_key";
    }
    if (!takes_timestamp(s, message->timestamp_us)) {
        char at[TIME_TEXT_BYTES];
        (void)time_format(message->timestamp_us, at);
        (void)snprintf(*out, sizeof *out, "%s is too far from the time when it was written", at);
        return "sink.timestamp";
    }
    return NULL;
}

/* A row that is refused is counted as written first and taken back by the commit, like a row that a
 * table refuses. */
static void append_row(struct sink *sink, struct outbox *outbox, const struct output_row *row,
                       const struct hash_secret *secret, struct ledger_sink *delta)
{
    struct kafka_sink *s = kafka_sink(sink);
    struct kafka_outbox *o = kafka_outbox(outbox);
    const struct record *record = &row->batch->records[row->row];
    char why[KAFKA_REFUSAL_BYTES];
    struct kafka_message message = {
        .key = topic_row_key(row->batch, row->row, s->key_field),
        .value = row->value,
        .timestamp_us = record->timestamp_us,
    };
    message.headers = topic_row_headers(row->batch, row->row, &message.header_count);
    struct hash128 hash = count_row(o, &message, secret, delta);
    const char *code = kafka_sink_refusal(s, &message, &why);
    if (code != NULL) {
        kafka_outbox_refuse(o, row, hash, code, why);
    } else {
        add(s, o, row->batch->partition, row->origin->number, &message);
    }
}

static void append_dead_letter(struct sink *sink, struct outbox *outbox,
                               uint32_t source_partition, const struct dead_letter *letter,
                               const struct hash_secret *secret, struct ledger_sink *delta)
{
    struct kafka_sink *s = kafka_sink(sink);
    struct topic_letter form;
    topic_letter_init(&form, letter);
    struct kafka_message message = {
        .key = letter->key,
        .value = letter->value,
        .headers = form.headers,
        .header_count = form.header_count,
        .timestamp_us =
            takes_timestamp(s, letter->timestamp_us) ? letter->timestamp_us : TIME_NEVER,
    };
    struct record_header *with_note = NULL;
    if (s->rules.record_limit > 0 && kafka_message_size(&message) > s->rules.record_limit) {
        /* The original key and headers may be what is large: weir's own always fit. */
        uint32_t own = form.header_count - form.original_count;
        with_note = memory_alloc(size_mul((size_t)own + 1, sizeof *with_note));
        memcpy(with_note, form.headers + form.original_count, own * sizeof *with_note);
        with_note[own] = (struct record_header){.name = bytes_of_string("weir.value"),
                                                .value = bytes_of_string("reference")};
        message.headers = with_note;
        message.header_count = own + 1;
        message.value = BYTES_NONE;
        message.key = kafka_message_size(&message) > s->rules.record_limit ? BYTES_NONE : message.key;
    }
    (void)count_row(kafka_outbox(outbox), &message, secret, delta);
    add(s, kafka_outbox(outbox), source_partition, (int32_t)source_partition, &message);
    memory_free(with_note);
    topic_letter_fini(&form);
}

/* --- the topic --- */

enum status kafka_sink_prepare(struct kafka_system *s, struct kafka_sink *sink, bool may_make,
                               struct error *err)
{
    struct kafka_topic topic;
    bool found = false;
    enum status status = kafka_topic_find(s->client, sink->topic_name, &topic, &found, err);
    if (status == STATUS_OK && !found && may_make) {
        status = kafka_make_wished(s->client, &sink->wish, &topic, err);
        found = status == STATUS_OK;
    }
    if (status != STATUS_OK || !found) {
        return status;
    }
    if (sink->wish.partitions != 0 && sink->wish.partitions != topic.partition_count) {
        return error_set(err, STATUS_CONFIG, "sink.partitions",
                         "sink '%s' asks for %u partitions, but topic '%s' has %u: write that "
                         "number, leave it out, or name another topic",
                         sink->sink.name, sink->wish.partitions, sink->topic_name, topic.partition_count);
    }
    struct kafka_topic_rules rules;
    status = kafka_topic_rules(s->client, sink->topic_name, &rules, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (sink->sink.is_dlq && may_make && rules.is_compacted) {
        return error_set(err, STATUS_CONFIG, "sink.compacted",
                         "topic '%s' is compacted (cleanup.policy): of dead letters with one key "
                         "only the last would stay. Set cleanup.policy=delete, or name another "
                         "topic for the dlq",
                         sink->topic_name);
    }
    (void)snprintf(sink->topic_id, sizeof sink->topic_id, "%s", topic.id);
    sink->partitions = topic.partition_count;
    sink->rules = rules;
    return STATUS_OK;
}

/* How many partitions the producer knows of a topic when it asks again; 0: no answer. */
static uint32_t ask_partitions(struct kafka_client *producer, const struct kafka_sink *sink)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (sink->handle == NULL || rd_kafka_metadata(producer->rk, 0, sink->handle, &metadata,
                                                  REFRESH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    const bool is_known = metadata->topic_cnt == 1 &&
                          metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR;
    const uint32_t count = is_known ? (uint32_t)metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    return count;
}

/* Partitions that were added get rows from then on, as with Java's producers, unless the pipeline file
 * says how many there are. */
void kafka_sinks_refresh(struct kafka_system *s)
{
    const int64_t now_us = clock_monotonic_us();
    char text[32] = "";
    size_t size = sizeof text;
    if (s->producer == NULL || s->in_doubt ||
        rd_kafka_conf_get(rd_kafka_conf(s->producer->rk), "topic.metadata.refresh.interval.ms", text,
                          &size) != RD_KAFKA_CONF_OK) {
        return;
    }
    const int64_t interval_us = strtoll(text, NULL, 10) * 1000;
    if (interval_us <= 0 || now_us - s->refreshed_us < interval_us) {
        return;
    }
    for (uint32_t i = 0; i < s->system.sink_count && s->refreshed_us != 0; i++) {
        struct kafka_sink *sink = kafka_sink(s->system.sinks[i]);
        const uint32_t count = sink->wish.partitions == 0 ? ask_partitions(s->producer, sink) : 0;
        if (count > sink->partitions) {
            sink->partitions = count;
        }
    }
    s->refreshed_us = now_us;
}

static const char *key_topic(struct buffer *key, const struct kafka_sink *sink)
{
    buffer_printf(key, "t/%s", sink->topic_name);
    return buffer_string(key);
}

/* What was written to a topic that was deleted is gone with it, and one of the same name looks as if
 * it were there. */
enum status kafka_sink_check_topic(struct kafka_system *s, const struct kafka_sink *sink,
                                   struct error *err)
{
    struct buffer key = {0};
    struct bytes known = kafka_store_find(&s->store, key_topic(&key, sink));
    buffer_fini(&key);
    if (bytes_is_none(known) || bytes_equal_string(known, sink->topic_id)) {
        return STATUS_OK;
    }
    return error_set(err, STATUS_FATAL, "sink.recreated",
                     "topic '%s' of sink '%s' is not the one that pipeline '%s' wrote to: that one "
                     "was deleted, with its rows, and this one made anew (its id was %.*s and is "
                     "%s). Name another topic, which gets the rows that come from now on",
                     sink->topic_name, sink->sink.name, s->pipeline, (int)known.size,
                     (const char *)known.data, sink->topic_id);
}

enum status kafka_sinks_put_topics(struct kafka_system *s, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < s->system.sink_count && status == STATUS_OK; i++) {
        const struct kafka_sink *sink = kafka_sink(s->system.sinks[i]);
        struct buffer key = {0};
        if (sink->topic_id[0] != '\0' &&
            bytes_is_none(kafka_store_find(&s->store, key_topic(&key, sink)))) {
            status = kafka_transaction_put(s, buffer_string(&key),
                                           bytes_of_string(sink->topic_id), NULL, err);
        }
        buffer_fini(&key);
    }
    return status;
}

static enum status find(const struct sink *sink, struct kafka_topic *out, bool *out_found,
                        struct error *err)
{
    return kafka_topic_find(kafka_system(sink->system)->client, kafka_sink(sink)->topic_name, out,
                            out_found, err);
}

static enum status is_there(struct sink *sink, bool *out_there, struct error *err)
{
    struct kafka_topic topic;
    return find(sink, &topic, out_there, err);
}

/* Ends the scan at the first record. */
static enum status note_record(void *context, const rd_kafka_message_t *message,
                               struct error *err)
{
    (void)message;
    (void)err;
    *(bool *)context = false;
    return STATUS_DATA;
}

/* Offsets without records are those of transactions that were aborted. */
static enum status is_empty(struct sink *sink, bool *out_empty, struct error *err)
{
    struct kafka_topic topic;
    bool found = false;
    bool empty = true;
    enum status status = find(sink, &topic, &found, err);
    for (uint32_t p = 0; status == STATUS_OK && found && empty && p < topic.partition_count;
         p++) {
        status = kafka_scan(kafka_system(sink->system)->client, kafka_sink(sink)->topic_name, p,
                            note_record, &empty, err);
        status = empty ? status : STATUS_OK;
    }
    *out_empty = empty;
    return status;
}

/* --- audit --- */

struct scan {
    const struct sink *sink;
    const struct hash_secret *secret;
    stored_row_visitor *row;
    void *context;
    struct arena *arena;
    char label[16]; /* of the partition that is being read */
    struct buffer scratch;
};

static enum status scan_message(void *context, const rd_kafka_message_t *message,
                                struct error *err)
{
    struct scan *scan = context;
    struct record record;
    arena_reset(scan->arena, 64 * 1024);
    kafka_record(message, scan->arena, &record);
    struct stored_row row = {
        .hash = topic_row_hash(scan->secret, record.key, record.value, record.headers,
                               record.header_count, &scan->scratch),
        .origin_offset = -1,
        .text = record.value,
        .part = scan->label,
        .position = record.offset,
    };
    if (scan->sink->is_dlq) {
        row.origin_offset = topic_letter_origin(&record, scan->arena, &row.origin_topic,
                                                &row.origin_partition);
    }
    return scan->row(scan->context, &row, err);
}

static enum status scan_rows(struct sink *sink, const struct hash_secret *secret,
                             stored_row_visitor *row, void *context, struct error *err)
{
    struct kafka_topic topic;
    bool found = false;
    enum status status = find(sink, &topic, &found, err);
    struct scan scan = {.sink = sink, .secret = secret, .row = row, .context = context,
                        .arena = arena_new(16 * 1024)};
    for (uint32_t p = 0; status == STATUS_OK && found && p < topic.partition_count; p++) {
        struct kafka_client *client = kafka_system(sink->system)->client;
        (void)snprintf(scan.label, sizeof scan.label, "%u", p);
        status = kafka_await_committed(client, kafka_sink(sink)->topic_name, p, err);
        if (status == STATUS_OK) {
            status = kafka_scan(client, kafka_sink(sink)->topic_name, p, scan_message, &scan, err);
        }
    }
    buffer_fini(&scan.scratch);
    arena_free(scan.arena);
    return status;
}

static bool is_keyed(const struct sink *sink)
{
    (void)sink;
    return false;
}

static const char *address(const struct sink *sink)
{
    return kafka_sink(sink)->topic_name;
}

static const char *rule(const struct sink *sink)
{
    return sink->is_dlq ? "dead letters" : "rows";
}

/* They pass on, as a key without a value. */
static enum status take_tombstones(const struct sink *sink, const struct doc *config,
                                   struct key_fields *out, struct error *err)
{
    uint32_t field = kafka_sink(sink)->key_field;
    (void)config;
    (void)err;
    *out = (struct key_fields){.fields = {field}, .count = field != FIELD_NONE};
    return STATUS_OK;
}

static const char *guarantee(const struct sink *sink)
{
    (void)sink;
    return "exactly once";
}

#define KAFKA_SINK_OPS                                                                            \
    .grammar = sink_fields, .can_reject = true, .outbox_new = kafka_outbox_new,                   \
    .outbox_clear = kafka_outbox_clear, .outbox_free = kafka_outbox_free,                         \
    .append_row = append_row, .append_dead_letter = append_dead_letter, .is_empty = is_empty,     \
    .is_there = is_there, .scan = scan_rows, .is_keyed = is_keyed, .address = address,            \
    .take_tombstones = take_tombstones,                                                           \
    .rule = rule, .guarantee = guarantee

const struct sink_ops kafka_sink_ops = {.kind = "kafka", KAFKA_SINK_OPS};
const struct sink_ops event_hubs_sink_ops = {.kind = "event_hubs", KAFKA_SINK_OPS};

/* --- making --- */

static enum status system_place(struct arena *arena, const struct doc *config,
                                const char *folder, char **out_place, struct error *err)
{
    (void)folder;
    (void)err;
    *out_place = kafka_place(arena, config);
    return STATUS_OK;
}

static struct system *system_new(const char *place)
{
    struct kafka_system *s = memory_alloc_zero(1, sizeof *s);
    s->place = memory_copy_string(place);
    s->system.ops = &kafka_system_ops;
    s->system.name = s->place;
    return &s->system;
}

static enum status system_connect(struct system *system, const struct doc *config,
                                  const char *folder, struct error *err)
{
    bool is_reached = doc_get(config, "brokers") != NULL || doc_get(config, "namespace") != NULL;
    kafka_system(system)->config = is_reached ? config : NULL;
    kafka_system(system)->folder = folder;
    return kafka_check_connection(config, err);
}

static enum status add_sink(const struct sink_ops *ops, struct system *system, const char *name,
                            bool is_dlq, const struct doc *config,
                            const struct output_shape *shape, struct sink **out,
                            struct error *err)
{
    const char *topic = grammar_string(config, "topic", "");
    for (uint32_t i = 0; i < system->sink_count; i++) {
        if (strcmp(kafka_sink(system->sinks[i])->topic_name, topic) == 0) {
            return doc_error(doc_get(config, "topic"), err, "config.value",
                             "topic '%s' is the place of '%s' already; every sink has a place of "
                             "its own",
                             topic, system->sinks[i]->name);
        }
    }
    uint32_t key_field = FIELD_NONE;
    enum status status = topic_row_find_key(config, shape, &key_field, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct kafka_sink *s = memory_alloc_zero(1, sizeof *s);
    s->sink = (struct sink){.ops = ops,
                            .name = name,
                            .system = system,
                            .is_dlq = is_dlq,
                            .shape = shape,
                            .index = system->sink_count};
    s->topic_name = memory_copy_string(topic);
    s->pool = kafka_pool_new();
    s->key_field = is_dlq ? FIELD_NONE : key_field;
    s->wish = topic_wish_read(config);
    s->wish.name = s->topic_name;
    s->partitions = s->wish.partitions != 0 ? s->wish.partitions : PARTITIONS_OTHERWISE;
    system->sinks = memory_realloc(system->sinks,
                                   size_mul(system->sink_count + 1, sizeof *system->sinks));
    system->sinks[system->sink_count++] = &s->sink;
    *out = &s->sink;
    return STATUS_OK;
}

static enum status kafka_sink_add(struct system *system, const char *name, bool is_dlq,
                                  const struct doc *config, const struct output_shape *shape,
                                  struct sink **out, struct error *err)
{
    return add_sink(&kafka_sink_ops, system, name, is_dlq, config, shape, out, err);
}

static enum status event_hubs_sink_add(struct system *system, const char *name, bool is_dlq,
                                       const struct doc *config,
                                       const struct output_shape *shape, struct sink **out,
                                       struct error *err)
{
    return add_sink(&event_hubs_sink_ops, system, name, is_dlq, config, shape, out, err);
}

const struct sink_kind kafka_sink_kind = {
    .ops = &kafka_sink_ops,
    .system_ops = &kafka_system_ops,
    .system_place = system_place,
    .system_new = system_new,
    .system_connect = system_connect,
    .sink_add = kafka_sink_add,
};

const struct sink_kind event_hubs_sink_kind = {
    .ops = &event_hubs_sink_ops,
    .system_ops = &kafka_system_ops,
    .system_place = system_place,
    .system_new = system_new,
    .system_connect = system_connect,
    .sink_add = event_hubs_sink_add,
};
