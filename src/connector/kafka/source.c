/*
 * A topic of a Kafka cluster as a source.
 *
 * Records are read by a client that belongs to no group (reader.h). Their bytes are librdkafka's: a
 * batch's arena holds on to the messages until it is reset, so nothing is copied.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "connector/kafka/kafka.h"
#include "connector/kafka/private.h"
#include "connector/kafka/topics.h"
#include "os/clock.h"

/* So long the offsets hold at which partitions began when the source was opened. */
#define BEGINNINGS_HOLD_US (2 * TIME_US_PER_SECOND)

static const char *const assignments[] = {"cooperative-sticky", "range", NULL};

static const struct grammar_field source_fields[] = {
    {.key = "topic", .type = GRAMMAR_NAME, .required = true, .help = "its topic"},
    {.key = "start", .type = GRAMMAR_STRING,
     .help = "where the first start begins: earliest (unless set), latest, or a time such as "
             "2026-01-31T12:00:00Z: with the first record whose timestamp is not before it"},
    KAFKA_TOPIC_FIELDS("'weir topic create' makes"),
    {.key = "assignment", .type = GRAMMAR_CHOICE, .choices = assignments,
     .help = "how processes share partitions: cooperative-sticky (unless set), range"},
    {.key = "instance_id", .type = GRAMMAR_NAME,
     .help = "another one for every process: one that starts again goes on at once"},
    {0},
};

static struct kafka_source *self(struct source *source)
{
    return (struct kafka_source *)source;
}

static void close_source(struct source *source)
{
    if (source == NULL) {
        return;
    }
    struct kafka_source *s = self(source);
    kafka_member_close(s->member);
    for (uint32_t p = 0; s->readers != NULL && p < s->topic.partition_count; p++) {
        kafka_reader_free(s->readers[p]);
    }
    kafka_reader_free(s->single);
    kafka_topic_watch_free(s->watch);
    kafka_ends_free(s->ends);
    kafka_client_close(s->group);
    kafka_client_close(s->client);
    kafka_client_close(s->asker);
    kafka_signal_fini(&s->signal);
    memory_free(s->cluster_id);
    memory_free(s->readers);
    arena_free(s->arena);
    memory_free(s);
}

static enum status check_config(const struct doc *config, const char *folder, struct error *err)
{
    (void)folder;
    const struct doc *start = doc_get(config, "start");
    enum status status = kafka_check_connection(config, err);
    int64_t time_us = 0;
    if (status == STATUS_OK && start != NULL && strcmp(start->text, "earliest") != 0 &&
        strcmp(start->text, "latest") != 0 &&
        !time_parse_rfc3339(bytes_of_string(start->text), &time_us)) {
        return doc_error(start, err, "config.value",
                         "'start' is earliest, latest, or a time such as 2026-01-31T12:00:00Z, "
                         "not '%s'",
                         start->text);
    }
    return status;
}

static enum status find_topic(struct kafka_source *s, const struct doc *config, struct error *err)
{
    const struct doc *name = doc_get(config, "topic");
    bool found = false;
    enum status status = kafka_cluster_id(s->asker, &s->cluster_id, err);
    if (status == STATUS_OK) {
        status = kafka_topic_find(s->asker, name->text, &s->topic, &found, err);
    }
    if (status == STATUS_OK && !found) {
        status = doc_error(name, err, "source.no_topic",
                           "the Kafka cluster has no topic '%s': make it, or name another",
                           name->text);
    }
    return status;
}

static enum status open_partitions(struct kafka_source *s, struct error *err)
{
    uint32_t count = s->topic.partition_count;
    s->partitions = arena_alloc_zero(s->arena, count, sizeof *s->partitions);
    s->readers = memory_alloc_zero(count, sizeof *s->readers);
    for (uint32_t p = 0; p < count; p++) {
        int64_t first = 0;
        int64_t end = 0;
        /* By the client that will read: then it is connected. */
        enum status status = kafka_bounds(s->client, s->topic_name, p, &first, &end, err);
        if (status != STATUS_OK) {
            return status;
        }
        s->readers[p] = kafka_reader_new(s->client, s->topic_name, p, &s->signal);
        kafka_reader_ask_by(s->readers[p], s->asker);
        s->partitions[p] = (struct source_partition){
            .topic = s->topic_name,
            .topic_id = s->topic.id,
            .label = arena_printf(s->arena, "%u", p),
            .number = (int32_t)p,
            .partition_count = count,
            .first_offset = first,
        };
    }
    return STATUS_OK;
}

static enum status open_source(const struct source_ops *ops, const struct doc *config,
                               const char *folder, struct source **out, struct error *err)
{
    struct kafka_source *s = memory_alloc_zero(1, sizeof *s);
    s->source.ops = ops;
    s->opened_us = clock_monotonic_us();
    s->arena = arena_new(16 * 1024);
    s->config = config;
    s->folder = folder;
    s->topic_name = arena_copy_string(s->arena, grammar_string(config, "topic", ""));
    kafka_signal_init(&s->signal);
    static const char *const quick[] = {KAFKA_ASK_QUICKLY, NULL};
    enum status status =
        kafka_client_open(config, folder, KAFKA_FETCH, NULL, NULL, &s->client, err);
    if (status == STATUS_OK) {
        status = kafka_client_open(config, folder, KAFKA_FETCH, NULL, quick, &s->asker, err);
    }
    if (status == STATUS_OK) {
        status = find_topic(s, config, err);
    }
    if (status == STATUS_OK) {
        s->watch = kafka_topic_watch_new(s->asker, s->topic_name);
        status = open_partitions(s, err);
    }
    if (status != STATUS_OK) {
        close_source(&s->source);
        return status;
    }
    *out = &s->source;
    return STATUS_OK;
}

static const struct source_partition *partitions(struct source *source, uint32_t *out_count)
{
    *out_count = self(source)->topic.partition_count;
    return self(source)->partitions;
}

static enum status end_offset(struct source *source, uint32_t partition, int64_t *out_offset,
                              struct error *err)
{
    struct kafka_source *s = self(source);
    int64_t first = 0;
    return kafka_bounds(s->asker, s->topic_name, partition, &first, out_offset, err);
}

static enum status open_end_offset(struct source *source, uint32_t partition, int64_t *out_offset,
                                   struct error *err)
{
    struct kafka_source *s = self(source);
    return kafka_high_watermark(s->asker, s->topic_name, partition, out_offset, err);
}

static struct kafka_ends *ends_of(struct kafka_source *s)
{
    if (s->ends == NULL) {
        s->ends = kafka_ends_new(s->asker, s->topic_name, s->topic.partition_count);
    }
    return s->ends;
}

static void watch_ends(struct source *source, int64_t *out_offsets)
{
    kafka_ends_look(ends_of(self(source)), out_offsets);
}

static bool is_away(struct source *source, struct error *err)
{
    return kafka_ends_are_away(ends_of(self(source)), err);
}

struct limits {
    struct source_retention *out;
    uint32_t count;
};

static void take_limit(void *context, const char *setting, const char *text)
{
    struct limits *limits = context;
    /* −1, as Kafka writes none, and 0 are none. */
    int64_t limit = strtoll(text, NULL, 10);
    limit = limit > 0 ? limit : 0;
    if (strcmp(setting, "retention.ms") == 0) {
        limits->out->age_us = limit > INT64_MAX / 1000 ? 0 : limit * 1000;
        limits->count++;
    } else if (strcmp(setting, "retention.bytes") == 0) {
        limits->out->bytes = limit;
        limits->count++;
    } else if (strcmp(setting, "cleanup.policy") == 0) {
        limits->out->is_compacted = strstr(text, "compact") != NULL;
    }
}

static enum status read_retention(struct source *source, struct source_retention *out,
                                  struct error *err)
{
    struct kafka_source *s = self(source);
    struct limits limits = {.out = out};
    (void)err; /* Who may not ask, or asks a service that does not tell, gets no answer. */
    struct error ignored = {0};
    (void)!kafka_topic_settings(s->asker, s->topic_name, take_limit, &limits, &ignored);
    out->is_known = limits.count == 2;
    return STATUS_OK;
}

/* An id of zeros is none: older brokers, and services, have no ids. */
static enum status check_place(struct source *source, struct error *err)
{
    struct kafka_source *s = self(source);
    struct kafka_topic now;
    if (!kafka_topic_watch_look(s->watch, &now)) {
        return STATUS_OK;
    }
    if (strcmp(now.id, s->topic.id) != 0) {
        return error_set(err, STATUS_CONFIG, "source.recreated",
                         "'%s' was deleted and made anew while it was read (its id was %s and is "
                         "%s); to read the new one from its start, give the pipeline another name",
                         s->topic_name, s->topic.id, now.id);
    }
    if (now.partition_count > s->topic.partition_count) {
        return error_set(err, STATUS_CONFIG, "source.partitions",
                         "'%s' had %u partitions and has %u now: keys have moved between "
                         "partitions, so duplicates could pass; what was read is committed, and "
                         "nothing of the new ones; give the pipeline another name to start afresh",
                         s->topic_name, s->topic.partition_count, now.partition_count);
    }
    return STATUS_OK;
}

static enum status offset_at(struct source *source, uint32_t partition, int64_t time_us,
                             int64_t *out_offset, struct error *err)
{
    struct kafka_source *s = self(source);
    /* Kafka's times are milliseconds: a part of one is the next. */
    int64_t time_ms = time_us / 1000 + (time_us % 1000 > 0 ? 1 : 0);
    bool found = false;
    enum status status = kafka_offset_at(s->asker, s->topic_name, partition,
                                         time_ms < 0 ? 0 : time_ms, out_offset, &found, err);
    return status == STATUS_OK && !found ? end_offset(source, partition, out_offset, err) : status;
}

static enum status seek(struct source *source, uint32_t partition, int64_t offset,
                        struct error *err)
{
    return kafka_reader_seek(self(source)->readers[partition], offset, err);
}

/* --- reading --- */

/* Messages that a batch holds on to. */
struct held {
    uint32_t count;
    rd_kafka_message_t *messages[];
};

static void release_messages(void *context)
{
    struct held *held = context;
    for (uint32_t i = 0; i < held->count; i++) {
        rd_kafka_message_destroy(held->messages[i]);
    }
}

static struct bytes slice(const void *data, size_t size)
{
    return data == NULL ? BYTES_NONE : bytes_of(data, size);
}

static void take_headers(const rd_kafka_message_t *message, struct arena *arena,
                         struct record *record)
{
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    size_t count = rd_kafka_header_cnt(headers);
    struct record_header *items = arena_alloc(arena, size_mul(count, sizeof *items));
    for (size_t i = 0; i < count; i++) {
        const char *name = NULL;
        const void *value = NULL;
        size_t size = 0;
        (void)rd_kafka_header_get_all(headers, i, &name, &value, &size);
        items[i] = (struct record_header){.name = bytes_of_string(name),
                                          .value = slice(value, size)};
    }
    record->headers = items;
    record->header_count = (uint32_t)count;
}

void kafka_record(const rd_kafka_message_t *message, struct arena *arena, struct record *out)
{
    rd_kafka_timestamp_type_t type;
    int64_t timestamp_ms = rd_kafka_message_timestamp(message, &type);
    *out = (struct record){
        .offset = message->offset,
        .next_offset = message->offset + 1,
        .timestamp_us = TIME_NEVER,
        .timestamp_kind = TIMESTAMP_NONE,
        .key = slice(message->key, message->key_len),
        .value = slice(message->payload, message->len),
    };
    if (type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && timestamp_ms >= 0) {
        out->timestamp_us = timestamp_ms * 1000;
        out->timestamp_kind = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? TIMESTAMP_BROKER
                                                                         : TIMESTAMP_PRODUCER;
    }
    take_headers(message, arena, out);
}

static enum status poll_while_waiting(void *context, struct error *err)
{
    struct kafka_source *s = context;
    (void)err;
    if (s->member != NULL) {
        kafka_member_poll(s->member);
    }
    return STATUS_OK;
}

/* One record of a partition that nothing is fetched of: a start looks at some before it reads on
 * elsewhere, and what the main client once asked for it would wait for. */
static enum status take_single(struct kafka_source *s, uint32_t partition, struct held *held,
                               int64_t limit_offset, struct error *err)
{
    if (s->single != NULL && s->single_partition != partition) {
        kafka_reader_free(s->single);
        s->single = NULL;
    }
    if (s->single == NULL) {
        s->single = kafka_reader_new(s->asker, s->topic_name, partition, NULL);
        s->single_partition = partition;
    }
    kafka_reader_go_where(s->single, s->readers[partition]);
    enum status status = kafka_reader_take(s->single, limit_offset, held->messages, 1,
                                           &held->count, poll_while_waiting, s, err);
    kafka_reader_rest(s->single);
    kafka_reader_go_where(s->readers[partition], s->single);
    return status;
}

static enum status take(struct kafka_source *s, uint32_t partition, int64_t limit_offset,
                        struct held *held, uint32_t most, struct error *err)
{
    struct kafka_reader *reader = s->readers[partition];
    return kafka_reader_rests_at(reader, limit_offset - 1) && most > 0
               ? take_single(s, partition, held, limit_offset, err)
               : kafka_reader_take(reader, limit_offset, held->messages, most, &held->count,
                                   poll_while_waiting, s, err);
}

static enum status read_batch(struct source *source, uint32_t partition, struct batch *batch,
                              int64_t limit_offset, struct error *err)
{
    struct kafka_source *s = self(source);
    uint32_t most = BATCH_ROWS_MAX - batch->row_count;
    batch->partition_number = partition;
    batch->partition_count = s->topic.partition_count;
    if (s->member != NULL) {
        kafka_member_poll(s->member); /* also while state is being rebuilt */
    }
    struct held *held =
        arena_alloc(batch->arena, sizeof *held + most * sizeof *held->messages);
    held->count = 0;
    enum status status = take(s, partition, limit_offset, held, most, err);
    if (held->count > 0) {
        arena_on_release(batch->arena, release_messages, held);
    }
    for (uint32_t i = 0; i < held->count && status == STATUS_OK; i++) {
        kafka_record(held->messages[i], batch->arena, batch_append_record(batch));
    }
    return status;
}

/* A client of the group that is no member of it. */
static enum status open_group(struct kafka_source *s, const char *group, struct error *err)
{
    return s->group != NULL ? STATUS_OK
                            : kafka_client_open(s->config, s->folder, KAFKA_FETCH, group, NULL,
                                                &s->group, err);
}

static enum status read_group(struct source *source, const char *group, uint32_t partition,
                              int64_t *out_offset, bool *out_found, struct error *err)
{
    struct kafka_source *s = self(source);
    enum status status = open_group(s, group, err);
    return status == STATUS_OK ? kafka_group_offset(s->group, group, s->topic_name, partition,
                                                    out_offset, NULL, out_found, err)
                               : status;
}

/* Where rows go to the same cluster their transactions carry the offsets. */
static enum status write_group(struct source *source, const char *group, const int64_t *offsets,
                               struct error *err)
{
    struct kafka_source *s = self(source);
    enum status status = s->commits_offsets ? STATUS_OK : open_group(s, group, err);
    return status != STATUS_OK || s->commits_offsets
               ? status
               : kafka_group_note(s->group, group, s->topic_name, offsets,
                                  s->topic.partition_count, err);
}

static void follow_group(struct source *source, const char *group, const int64_t *offsets)
{
    struct kafka_source *s = self(source);
    (void)group;
    if (!s->commits_offsets && s->group != NULL) {
        kafka_group_follow(s->group, s->topic_name, offsets, s->topic.partition_count);
    }
}

/* --- the group --- */

static enum status count_members(struct source *source, const char *group, uint32_t *out,
                                 struct error *err)
{
    return kafka_group_members(self(source)->asker, group, out, err);
}

static enum status join(struct source *source, const char *group, struct error *err)
{
    struct kafka_source *s = self(source);
    return kafka_member_open(s->config, s->folder, group, s->topic_name,
                             s->topic.partition_count, kafka_signal_raise, &s->signal,
                             &s->member, err);
}

static void poll_assignment(struct source *source, struct source_assignment *out)
{
    kafka_member_poll(self(source)->member);
    kafka_member_event(self(source)->member, out);
}

/* Retention has gone on since the source was opened. Brokers that do not tell now will be told of by
 * whoever reads. */
static void look_where_they_begin(struct kafka_source *s, const uint32_t *gained, uint32_t count)
{
    const int64_t now_us = clock_monotonic_us();
    if (now_us - s->opened_us < BEGINNINGS_HOLD_US) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        int64_t first = 0;
        int64_t end = 0;
        struct error ignored = {0};
        if (kafka_bounds(s->asker, s->topic_name, gained[i], &first, &end, &ignored) == STATUS_OK) {
            s->partitions[gained[i]].first_offset = first;
        }
    }
}

static enum status answer_assignment(struct source *source, struct error *err)
{
    struct kafka_source *s = self(source);
    struct source_assignment assignment;
    kafka_member_event(s->member, &assignment);
    enum status status = kafka_member_answer(s->member, err);
    if (status == STATUS_OK && assignment.event == ASSIGNMENT_GAINED) {
        look_where_they_begin(s, assignment.partitions, assignment.count);
    }
    return status;
}

static bool is_finished(struct source *source)
{
    (void)source; /* a topic can always grow */
    return false;
}

static void wait_for_more(struct source *source, int64_t timeout_us)
{
    kafka_signal_wait(&self(source)->signal, timeout_us);
    rd_kafka_poll(self(source)->client->rk, 0);
    rd_kafka_poll(self(source)->asker->rk, 0);
}

/* Each record is a row, whatever its format. */
static enum status open_kafka(const struct doc *config, const char *folder,
                              const struct csv_options *csv, struct source **out,
                              struct error *err)
{
    (void)csv;
    return open_source(&kafka_source_ops, config, folder, out, err);
}

static enum status open_event_hubs(const struct doc *config, const char *folder,
                                   const struct csv_options *csv, struct source **out,
                                   struct error *err)
{
    (void)csv;
    return open_source(&event_hubs_source_ops, config, folder, out, err);
}

#define KAFKA_SOURCE_OPS                                                                          \
    .grammar = source_fields, .can_replay = true, .is_remote = true, .has_keys = true,            \
    .can_inject = true, .injector = &kafka_injector_ops, .writer = &kafka_writer_ops,             \
    .timestamp_kind = TIMESTAMP_PRODUCER, .check_config = check_config, .close = close_source,    \
    .partitions = partitions, .end_offset = end_offset, .watch_ends = watch_ends,                 \
    .is_away = is_away,                                                                           \
    .open_end_offset = open_end_offset, .check_place = check_place, .retention = read_retention,  \
    .offset_at = offset_at, .seek = seek, .read = read_batch, .read_group = read_group,           \
    .write_group = write_group, .follow_group = follow_group, .join = join, .count_members = count_members,                     \
    .poll_assignment = poll_assignment, .answer_assignment = answer_assignment,                   \
    .is_finished = is_finished, .wait = wait_for_more

const struct source_ops kafka_source_ops = {
    .kind = "kafka", .open = open_kafka, .topics = &kafka_topics_ops, KAFKA_SOURCE_OPS};

/* The service stamps records itself, and says so in every one of them. */
const struct source_ops event_hubs_source_ops = {
    .kind = "event_hubs", .open = open_event_hubs, KAFKA_SOURCE_OPS};
