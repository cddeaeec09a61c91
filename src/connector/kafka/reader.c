#include "connector/kafka/reader.h"

#include <stdio.h>
#include <string.h>

#include "connector/kafka/topics.h"

#define STASH_MESSAGES 4096u
#define WAIT_STEP_MS 100

struct kafka_reader {
    struct kafka_client *client;
    struct kafka_client *asker;
    struct kafka_signal *signal;
    char *topic;
    uint32_t partition;
    rd_kafka_topic_t *handle;
    rd_kafka_queue_t *queue; /* NULL until something is fetched */
    rd_kafka_message_t **stash;
    uint32_t stash_count, stash_at;
    int64_t position;    /* of the next message: behind all that were taken, or are not there */
    int64_t pending_end; /* news of an end that stands behind what is in the stash */
    int64_t known_end;
};

/* --- signals --- */

void kafka_signal_init(struct kafka_signal *signal)
{
    mutex_init(&signal->mutex);
    condition_init(&signal->changed);
    signal->raised = false;
}

void kafka_signal_fini(struct kafka_signal *signal)
{
    condition_fini(&signal->changed);
    mutex_fini(&signal->mutex);
}

void kafka_signal_wait(struct kafka_signal *signal, int64_t timeout_us)
{
    mutex_lock(&signal->mutex);
    if (!signal->raised) {
        (void)condition_wait_us(&signal->changed, &signal->mutex, timeout_us);
    }
    signal->raised = false;
    mutex_unlock(&signal->mutex);
}

void kafka_signal_raise(rd_kafka_t *rk, void *context)
{
    struct kafka_signal *signal = context;
    (void)rk;
    mutex_lock(&signal->mutex);
    signal->raised = true;
    condition_signal(&signal->changed);
    mutex_unlock(&signal->mutex);
}

/* --- life --- */

struct kafka_reader *kafka_reader_new(struct kafka_client *client, const char *topic,
                                      uint32_t partition, struct kafka_signal *signal)
{
    struct kafka_reader *reader = memory_alloc_zero(1, sizeof *reader);
    reader->client = client;
    reader->asker = client;
    reader->signal = signal;
    reader->topic = memory_copy_string(topic);
    reader->partition = partition;
    reader->handle = rd_kafka_topic_new(client->rk, topic, NULL);
    check(reader->handle != NULL);
    reader->stash = memory_alloc_zero(STASH_MESSAGES, sizeof *reader->stash);
    return reader;
}

void kafka_reader_ask_by(struct kafka_reader *reader, struct kafka_client *asker)
{
    reader->asker = asker;
}

static void stop_fetching(struct kafka_reader *reader)
{
    for (; reader->stash_at < reader->stash_count; reader->stash_at++) {
        rd_kafka_message_destroy(reader->stash[reader->stash_at]);
    }
    reader->stash_at = reader->stash_count = 0;
    if (reader->queue != NULL) {
        (void)rd_kafka_consume_stop(reader->handle, (int32_t)reader->partition);
        rd_kafka_queue_cb_event_enable(reader->queue, NULL, NULL);
        rd_kafka_queue_destroy(reader->queue);
        reader->queue = NULL;
    }
}

void kafka_reader_rest(struct kafka_reader *reader)
{
    stop_fetching(reader);
}

bool kafka_reader_rests_at(const struct kafka_reader *reader, int64_t offset)
{
    return reader->queue == NULL && reader->position == offset;
}

void kafka_reader_go_where(struct kafka_reader *reader, const struct kafka_reader *other)
{
    check(reader->queue == NULL);
    reader->position = other->position;
    reader->pending_end = 0;
    reader->known_end = other->known_end;
}

void kafka_reader_free(struct kafka_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    stop_fetching(reader);
    rd_kafka_topic_destroy(reader->handle);
    memory_free(reader->stash);
    memory_free(reader->topic);
    memory_free(reader);
}

enum status kafka_reader_seek(struct kafka_reader *reader, int64_t offset, struct error *err)
{
    int64_t first = 0;
    int64_t end = 0;
    enum status status = kafka_bounds(reader->asker, reader->topic, reader->partition, &first, &end,
                                      err);
    if (status != STATUS_OK) {
        return status;
    }
    if (offset < first) {
        return error_set(err, STATUS_CONFIG, "source.offset_expired",
                         "'%s' [%u] begins at offset %lld now: offsets %lld to %lld have been "
                         "deleted by retention before they were read",
                         reader->topic, reader->partition, (long long)first, (long long)offset,
                         (long long)first - 1);
    }
    if (offset > end) {
        return error_set(err, STATUS_CONFIG, "source.truncated",
                         "'%s' [%u] ends at offset %lld, before offset %lld: records were lost by "
                         "the cluster, or the topic is another one",
                         reader->topic, reader->partition, (long long)end, (long long)offset);
    }
    reader->known_end = end;
    if (reader->position != offset || reader->queue == NULL) {
        stop_fetching(reader);
        reader->position = offset;
        reader->pending_end = 0;
    }
    return STATUS_OK;
}

static enum status start_fetching(struct kafka_reader *reader, struct error *err)
{
    if (reader->queue != NULL) {
        return STATUS_OK;
    }
    reader->queue = rd_kafka_queue_new(reader->client->rk);
    if (reader->signal != NULL) {
        rd_kafka_queue_cb_event_enable(reader->queue, kafka_signal_raise, reader->signal);
    }
    if (rd_kafka_consume_start_queue(reader->handle, (int32_t)reader->partition,
                                     reader->position, reader->queue) != 0) {
        rd_kafka_resp_err_t code = rd_kafka_last_error();
        rd_kafka_queue_destroy(reader->queue);
        reader->queue = NULL;
        return kafka_error(reader->client, code, "begin to read a partition", err);
    }
    return STATUS_OK;
}

/* --- messages --- */

/* The range that is gone, as far as the brokers tell it. */
static enum status expired(const struct kafka_reader *reader, struct error *err)
{
    int64_t first = 0;
    int64_t end = 0;
    struct error ignored = {0};
    char range[96] = "";
    if (kafka_bounds(reader->asker, reader->topic, reader->partition, &first, &end, &ignored) ==
            STATUS_OK &&
        first > reader->position) {
        (void)snprintf(range, sizeof range, ", and so is all up to %lld", (long long)first - 1);
    }
    return error_set(err, STATUS_CONFIG, "source.offset_expired",
                     "'%s' [%u]: offset %lld is not there any more%s: the topic's retention "
                     "deleted it before it was read. Restore the topic from a backup; or start "
                     "again with --accept-loss, which books what is gone as lost and goes on",
                     reader->topic, reader->partition, (long long)reader->position, range);
}

/* What is no record: news of the partition. */
static enum status take_news(struct kafka_reader *reader, const rd_kafka_message_t *message,
                             struct error *err)
{
    char doing[320];
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        reader->pending_end = message->offset;
        return STATUS_OK;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return expired(reader, err);
    default:
        /* librdkafka goes on by itself when brokers come back. */
        if (kafka_status(message->err) == STATUS_RETRY) {
            return STATUS_OK;
        }
        (void)snprintf(doing, sizeof doing, "read '%s' [%u] at offset %lld", reader->topic,
                       reader->partition, (long long)reader->position);
        return kafka_error(reader->client, message->err, doing, err);
    }
}

/* Keeps records, takes news. */
static enum status sift(struct kafka_reader *reader, uint32_t count, struct error *err)
{
    enum status status = STATUS_OK;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        rd_kafka_message_t *message = reader->stash[i];
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && status == STATUS_OK) {
            reader->stash[kept++] = message;
            continue;
        }
        if (status == STATUS_OK) {
            status = take_news(reader, message, err);
        }
        rd_kafka_message_destroy(message);
    }
    reader->stash_at = 0;
    reader->stash_count = kept;
    return status;
}

/* Fills the empty stash with what is there, or comes within `timeout_ms`. */
static enum status fill(struct kafka_reader *reader, int timeout_ms, struct error *err)
{
    uint32_t count = 0;
    if (timeout_ms > 0) {
        rd_kafka_message_t *first = rd_kafka_consume_queue(reader->queue, timeout_ms);
        if (first == NULL) {
            rd_kafka_poll(reader->client->rk, 0);
            return STATUS_OK;
        }
        reader->stash[count++] = first;
    }
    ssize_t more = rd_kafka_consume_batch_queue(reader->queue, 0, reader->stash + count,
                                                STASH_MESSAGES - count);
    count += more > 0 ? (uint32_t)more : 0;
    return sift(reader, count, err);
}

static uint32_t take_stash(struct kafka_reader *reader, int64_t limit_offset,
                           rd_kafka_message_t **out, uint32_t most)
{
    uint32_t count = 0;
    while (count < most && reader->stash_at < reader->stash_count &&
           reader->stash[reader->stash_at]->offset < limit_offset) {
        out[count++] = reader->stash[reader->stash_at++];
    }
    if (count > 0) {
        reader->position = out[count - 1]->offset + 1;
    }
    return count;
}

enum status kafka_reader_take(struct kafka_reader *reader, int64_t limit_offset,
                              rd_kafka_message_t **out, uint32_t most, uint32_t *out_count,
                              enum status (*while_waiting)(void *context, struct error *err),
                              void *context, struct error *err)
{
    *out_count = 0;
    if (reader->position >= limit_offset) {
        return STATUS_OK;
    }
    enum status status = start_fetching(reader, err);
    for (int timeout_ms = 0; status == STATUS_OK;) {
        if (reader->stash_at == reader->stash_count) {
            status = fill(reader, timeout_ms, err);
        }
        if (status != STATUS_OK || reader->stash_at < reader->stash_count) {
            break;
        }
        if (reader->pending_end > reader->position) {
            reader->position = reader->pending_end;
        }
        int64_t aim = reader->known_end < limit_offset ? reader->known_end : limit_offset;
        if (reader->position >= aim || stop_requested()) {
            break;
        }
        if (timeout_ms > 0 && while_waiting != NULL) {
            status = while_waiting(context, err);
        }
        timeout_ms = WAIT_STEP_MS;
    }
    if (status == STATUS_OK) {
        *out_count = take_stash(reader, limit_offset, out, most);
    }
    return status;
}

/* --- whole partitions --- */

enum status kafka_scan(struct kafka_client *client, const char *topic, uint32_t partition,
                       enum status (*message)(void *context, const rd_kafka_message_t *message,
                                              struct error *err),
                       void *context, struct error *err)
{
    rd_kafka_message_t *messages[256];
    int64_t first = 0;
    int64_t end = 0;
    enum status status = kafka_bounds(client, topic, partition, &first, &end, err);
    if (status != STATUS_OK || first == end) {
        return status;
    }
    struct kafka_reader *reader = kafka_reader_new(client, topic, partition, NULL);
    status = kafka_reader_seek(reader, first, err);
    uint32_t count = 1;
    while (status == STATUS_OK && count > 0) {
        status = kafka_reader_take(reader, end, messages, 256, &count, NULL, NULL, err);
        for (uint32_t i = 0; i < count; i++) {
            if (status == STATUS_OK) {
                status = message(context, messages[i], err);
            }
            rd_kafka_message_destroy(messages[i]);
        }
    }
    kafka_reader_free(reader);
    if (status == STATUS_OK && stop_requested()) {
        return error_set(err, STATUS_RETRY, "stop.requested", "a stop was asked for");
    }
    return status;
}
