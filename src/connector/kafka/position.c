/*
 * Positions: the offsets of the consumer group as the index of R.
 *
 * Where source and system are one cluster, a transaction that writes R also commits the group's
 * offset, with metadata that says where R's record is:
 *
 *   base64 of: u8 version (1) | 16 bytes incarnation | u64 epoch | u64 checksum of R's record |
 *   u32 partition of the progress topic | u64 offset of R's record, integers little-endian
 *
 * A visible offset proves that its transaction was committed, so R's record is read at just that
 * offset, whatever other transactions are open: neither they nor a backlog matter.
 */
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "connector/kafka/private.h"
#include "os/clock.h"

#define POSITION_VERSION 1u
#define POSITION_BYTES 45u
#define POSITION_TEXT_BYTES 60u
/* Twice as long as a transaction lives. */
#define PATIENCE_US (20 * TIME_US_PER_SECOND)
#define STEP_US 100000
#define STAND_MS 1000

void kafka_positions_clear(struct kafka_system *s)
{
    for (uint32_t i = 0; i < s->position_count; i++) {
        memory_free(s->positions[i]);
    }
    s->position_count = 0;
}

static uint64_t checksum_of(struct bytes value)
{
    return hash_plain(value.data, value.size).low;
}

struct kafka_position *kafka_position_add(struct kafka_system *s, const struct progress *progress,
                                          struct bytes value)
{
    if (s->source == NULL) {
        return NULL;
    }
    if (s->position_count == s->position_capacity) {
        s->position_capacity = s->position_capacity * 2 + 16;
        s->positions =
            memory_realloc(s->positions, size_mul(s->position_capacity, sizeof *s->positions));
    }
    struct kafka_position *position = memory_alloc_zero(1, sizeof *position);
    position->partition = (int32_t)strtol(progress->partition, NULL, 10);
    position->next_offset = progress->next_offset;
    memcpy(position->incarnation, progress->incarnation, sizeof position->incarnation);
    position->epoch = progress->epoch;
    position->checksum = checksum_of(value);
    position->landing.first = position->landing.last = -1;
    s->positions[s->position_count++] = position;
    return position;
}

static void write_metadata(const struct kafka_position *position,
                           rd_kafka_topic_partition_t *entry)
{
    struct buffer form = {0};
    buffer_append_u8(&form, POSITION_VERSION);
    buffer_append(&form, position->incarnation, sizeof position->incarnation);
    buffer_append_u64(&form, position->epoch);
    buffer_append_u64(&form, position->checksum);
    buffer_append_u32(&form, 0);
    buffer_append_u64(&form, (uint64_t)position->landing.first);
    check(form.size == POSITION_BYTES);
    /* librdkafka frees it with free(). */
    entry->metadata = malloc(POSITION_TEXT_BYTES);
    if (entry->metadata == NULL) {
        memory_exhausted(POSITION_TEXT_BYTES);
    }
    entry->metadata_size = base64_encode(bytes_of(form.data, form.size), entry->metadata);
    buffer_fini(&form);
}

static rd_kafka_topic_partition_list_t *list_positions(const struct kafka_system *s)
{
    rd_kafka_topic_partition_list_t *offsets =
        rd_kafka_topic_partition_list_new((int)s->position_count);
    for (uint32_t i = 0; i < s->position_count; i++) {
        rd_kafka_topic_partition_t *entry = rd_kafka_topic_partition_list_add(
            offsets, s->source->topic_name, s->positions[i]->partition);
        entry->offset = s->positions[i]->next_offset;
        write_metadata(s->positions[i], entry);
    }
    return offsets;
}

enum status kafka_positions_send(struct kafka_system *s, int64_t most_us, bool *out_lost,
                                 rd_kafka_error_t **out_error, struct error *err)
{
    struct kafka_member *member = s->source->member;
    *out_error = NULL;
    *out_lost = member == NULL || kafka_member_is_lost(member);
    if (*out_lost || s->position_count == 0) {
        return STATUS_OK;
    }
    struct kafka_offsets_call *call = kafka_offsets_send(
        s->producer, list_positions(s), kafka_member_metadata(member), most_us);
    if (kafka_offsets_are_answered(call)) {
        *out_error = kafka_offsets_end(call);
        return STATUS_OK;
    }
    struct error found = {0};
    (void)kafka_error(s->producer, RD_KAFKA_RESP_ERR__TIMED_OUT, "commit the offsets of the group",
                      &found);
    s->producer = NULL; /* the call's */
    s->in_doubt = true;
    kafka_drop_producer(s);
    kafka_offsets_leave(call);
    return error_set(err, STATUS_RETRY, found.code, "%s", found.message);
}

/* --- reading --- */

/* False when the text is not of weir's making. */
static bool read_metadata(struct bytes text, struct kafka_position *out)
{
    uint8_t form[POSITION_BYTES + 3];
    size_t size = 0;
    if (text.size != POSITION_TEXT_BYTES || !base64_decode(text, form, &size) ||
        size != POSITION_BYTES) {
        return false;
    }
    struct reader reader = reader_of(bytes_of(form, size));
    uint8_t version = reader_u8(&reader);
    const uint8_t *incarnation = reader_take(&reader, sizeof out->incarnation);
    memcpy(out->incarnation, incarnation, sizeof out->incarnation);
    out->epoch = reader_u64(&reader);
    out->checksum = reader_u64(&reader);
    uint32_t partition = reader_u32(&reader);
    out->landing.first = (int64_t)reader_u64(&reader);
    return !reader.failed && version == POSITION_VERSION && partition == 0;
}

static enum status open_exact(struct kafka_system *s, struct error *err)
{
    static const char *const settings[] = {"isolation.level", "read_uncommitted",
                                           KAFKA_ASK_QUICKLY, NULL};
    if (s->exact != NULL) {
        return STATUS_OK;
    }
    enum status status = kafka_client_open(s->config, s->folder, KAFKA_FETCH, NULL, settings,
                                           &s->exact_client, err);
    if (status == STATUS_OK) {
        s->exact = kafka_reader_new(s->exact_client, s->progress_topic, 0, NULL);
    }
    return status;
}

/* Just the record at that offset. */
static enum status read_record(struct kafka_system *s, const struct kafka_position *position,
                               const char *key, struct buffer *out, bool *out_is_it,
                               struct error *err)
{
    rd_kafka_message_t *message = NULL;
    uint32_t count = 0;
    int64_t offset = position->landing.first;
    enum status status = open_exact(s, err);
    if (status == STATUS_OK) {
        status = kafka_reader_seek(s->exact, offset, err);
    }
    if (status == STATUS_OK) {
        status = kafka_reader_take(s->exact, offset + 1, &message, 1, &count, NULL, NULL, err);
    }
    if (s->exact != NULL) {
        kafka_reader_rest(s->exact);
    }
    *out_is_it = false;
    if (count == 0) {
        return status;
    }
    struct bytes value = bytes_of(message->payload, message->len);
    *out_is_it = status == STATUS_OK && message->payload != NULL && message->key != NULL &&
                 bytes_equal_string(bytes_of(message->key, message->key_len), key) &&
                 checksum_of(value) == position->checksum;
    if (*out_is_it) {
        buffer_append(out, value.data, value.size);
    }
    rd_kafka_message_destroy(message);
    return status;
}

/* One try. OK without *out_found and without *out_broken: the group has no offset. */
static enum status try_read(struct kafka_system *s, const char *topic, const char *label,
                            struct kafka_position *position, struct buffer *out, bool *out_found,
                            bool *out_broken, struct error *err)
{
    struct buffer metadata = {0};
    struct buffer key = {0};
    int64_t offset = 0;
    bool found = false;
    *out_found = *out_broken = false;
    enum status status =
        kafka_group_offset(s->client, s->pipeline, topic, (uint32_t)strtoul(label, NULL, 10),
                           &offset, &metadata, &found, err);
    if (status == STATUS_OK && found) {
        bool is_ours = read_metadata(bytes_of(metadata.data, metadata.size), position);
        position->next_offset = offset;
        if (is_ours) {
            status = read_record(s, position, kafka_key_progress(&key, label, topic), out,
                                 out_found, err);
        }
        *out_broken = !*out_found;
    }
    buffer_fini(&metadata);
    buffer_fini(&key);
    return status;
}

struct left_offset {
    char topic[250];
    int32_t partition;
    bool is_found;
};

static enum status note_left(void *context, const rd_kafka_topic_partition_t *offset,
                             struct error *err)
{
    struct left_offset *left = context;
    struct kafka_position ignored = {0};
    (void)err;
    if (!left->is_found && offset->metadata != NULL &&
        read_metadata(bytes_of(offset->metadata, offset->metadata_size), &ignored)) {
        left->is_found = true;
        left->partition = offset->partition;
        (void)snprintf(left->topic, sizeof left->topic, "%s", offset->topic);
    }
    return STATUS_OK;
}

enum status kafka_refuse_left_offsets(struct kafka_client *client, const char *group,
                                      const char *progress_topic, struct error *err)
{
    struct left_offset left = {0};
    enum status status = kafka_group_offsets(client, group, NULL, note_left, &left, err);
    return status == STATUS_OK && left.is_found
               ? error_set(err, STATUS_CONFIG, "progress.reset",
                           "group '%s' has an offset in '%s' [%d] that weir committed, but '%s', which "
                           "holds the progress record of it, was deleted. weir does not guess where it "
                           "was: to read everything again, give the pipeline another name and its sinks "
                           "new topics",
                           group, left.topic, left.partition, progress_topic)
               : status;
}

/* Offsets go with their topic: where R is left of another one of that name, it was made anew. */
static enum status check_recreated(struct kafka_system *s, const char *topic, const char *label,
                                   bool *out_was_there, struct error *err)
{
    struct buffer key = {0};
    struct progress progress = {0};
    struct bytes value = kafka_store_find(&s->store, kafka_key_progress(&key, label, topic));
    buffer_fini(&key);
    *out_was_there = !bytes_is_none(value);
    enum status status =
        *out_was_there ? kafka_value_read(value, &progress, NULL, err) : STATUS_OK;
    if (status == STATUS_OK && *out_was_there &&
        strcmp(progress.topic_id, s->source->topic.id) != 0) {
        status = error_set(err, STATUS_CONFIG, "source.recreated",
                           "'%s' is not what pipeline '%s' read before: it was deleted and made "
                           "anew (its id was %s and is %s); to read the new one from its start, "
                           "give the pipeline another name",
                           topic, s->pipeline, progress.topic_id, s->source->topic.id);
    }
    progress_fini(&progress);
    return status;
}

enum status kafka_position_read(struct kafka_system *s, const char *topic, const char *label,
                                struct buffer *out, bool *out_found, struct error *err)
{
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    struct kafka_held *held = kafka_held(s, topic, label);
    buffer_clear(&held->record);
    for (;;) {
        struct error failure = {0};
        bool broken = false;
        enum status status = try_read(s, topic, label, &held->read, &held->record, out_found,
                                      &broken, &failure);
        if (status == STATUS_OK && !broken) {
            break;
        }
        bool is_over = clock_monotonic_us() >= end_us;
        if (stop_requested()) {
            return error_set(err, STATUS_RETRY, "stop.requested", "a stop was asked for");
        }
        /* What the brokers refuse or do not answer says nothing of where R is; that its topic is gone
         * says all. */
        bool is_of_brokers = strncmp(failure.code, "kafka.", 6) == 0 &&
                             strcmp(failure.code, "kafka.no_topic") != 0;
        if ((status == STATUS_RETRY && is_over) || (status == STATUS_CONFIG && is_of_brokers)) {
            return error_set(err, status, failure.code, "%s", failure.message);
        }
        if (is_over || (status != STATUS_RETRY && status != STATUS_OK)) {
            return error_set(err, STATUS_CONFIG, "progress.reset",
                             "the offset of group '%s' in '%s' [%s] is not one that weir "
                             "committed: it was reset, or '%s' was deleted or has lost records. "
                             "weir does not guess where it was: to read everything again, give "
                             "the pipeline another name and its sinks new topics",
                             s->pipeline, topic, label, s->progress_topic);
        }
        clock_sleep_us(STEP_US);
    }
    buffer_append(out, held->record.data, held->record.size);
    if (!*out_found) {
        bool was_there = false;
        enum status status = check_recreated(s, topic, label, &was_there, err);
        if (status != STATUS_OK) {
            return status;
        }
        if (was_there) {
            return error_set(err, STATUS_CONFIG, "progress.reset",
                             "the offset of group '%s' in '%s' [%s] was deleted, or has expired "
                             "(the brokers' offsets.retention.minutes), yet '%s' has a progress "
                             "record of it: to read everything again, give the pipeline another "
                             "name and its sinks new topics",
                             s->pipeline, topic, label, s->progress_topic);
        }
    }
    return STATUS_OK;
}

static bool is_same(const rd_kafka_topic_partition_t *entry, const struct kafka_position *read)
{
    struct kafka_position now = {0};
    return entry->err == RD_KAFKA_RESP_ERR_NO_ERROR && entry->metadata != NULL &&
           read_metadata(bytes_of(entry->metadata, entry->metadata_size), &now) &&
           entry->offset == read->next_offset && now.landing.first == read->landing.first &&
           now.epoch == read->epoch && now.checksum == read->checksum &&
           memcmp(now.incarnation, read->incarnation, sizeof now.incarnation) == 0;
}

bool kafka_positions_stand(struct kafka_system *s, const struct progress *progresses,
                           uint32_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (uint32_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_list_add(list, progresses[i].topic,
                                          (int32_t)strtol(progresses[i].partition, NULL, 10));
    }
    bool stand = rd_kafka_committed(s->client->rk, list, STAND_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;
    for (uint32_t i = 0; i < count && stand; i++) {
        const struct kafka_held *held =
            kafka_held(s, progresses[i].topic, progresses[i].partition);
        stand = held->record.size > 0 && is_same(&list->elems[i], &held->read);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return stand;
}

enum status kafka_position_warm_up(struct kafka_system *s, struct error *err)
{
    int64_t first = 0;
    int64_t end = 0;
    enum status status = open_exact(s, err);
    return status == STATUS_OK
               ? kafka_bounds(s->exact_client, s->progress_topic, 0, &first, &end, err)
               : status;
}

/* --- what open transactions hide --- */

/* Opens what sees the whole progress topic, if there is that topic. */
static enum status find_exact(struct kafka_system *s, bool *out_found, struct error *err)
{
    struct kafka_topic topic;
    enum status status = kafka_topic_find(s->client, s->progress_topic, &topic, out_found, err);
    return status == STATUS_OK && *out_found ? open_exact(s, err) : status;
}

enum status kafka_settle(struct kafka_system *s, struct error *err)
{
    bool found = false;
    enum status status = find_exact(s, &found, err);
    return status == STATUS_OK && found
               ? kafka_store_settle(s->client, s->exact_client, s->progress_topic, err)
               : status;
}

enum status kafka_find_plan(struct kafka_system *s, struct hash128 plan_hash, struct buffer *out,
                            bool *out_found, struct error *err)
{
    bool found = false;
    enum status status = find_exact(s, &found, err);
    return status == STATUS_OK && found ? kafka_store_find_plan(s->exact_client, s->progress_topic,
                                                                plan_hash, out, out_found, err)
                                        : status;
}
