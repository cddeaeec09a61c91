/* Rows of an epoch on their way to one topic: plain copies, until delivery reports have come. */
#include <stdio.h>

#include "base/time.h"
#include "connector/kafka/private.h"

#define NONE SIZE_MAX
/* Above what an empty record batch and a record's own lengths take. */
#define BATCH_OVERHEAD 128
#define HEADER_OVERHEAD 10

struct outbox *kafka_outbox_new(struct sink *sink)
{
    (void)sink;
    struct kafka_outbox *o = memory_alloc_zero(1, sizeof *o);
    return &o->outbox;
}

void kafka_outbox_clear(struct outbox *outbox)
{
    struct kafka_outbox *o = kafka_outbox(outbox);
    buffer_clear(&o->bytes);
    o->row_count = o->range_count = o->reject_count = 0;
    o->outbox = (struct outbox){0};
}

void kafka_outbox_free(struct outbox *outbox)
{
    struct kafka_outbox *o = kafka_outbox(outbox);
    buffer_fini(&o->bytes);
    buffer_fini(&o->scratch);
    memory_free(o->rows);
    memory_free(o->ranges);
    memory_free(o->rejects);
    memory_free(o);
}

/* --- copying --- */

static size_t keep(struct kafka_outbox *o, struct bytes b, size_t *out_size)
{
    size_t at = o->bytes.size;
    *out_size = bytes_is_none(b) ? NONE : b.size;
    if (b.size > 0) {
        buffer_append(&o->bytes, b.data, b.size);
    }
    return at;
}

/* Names end with a NUL: librdkafka takes them as strings. */
static size_t keep_headers(struct kafka_outbox *o, const struct record_header *headers,
                           uint32_t count)
{
    size_t at = o->bytes.size;
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_u32(&o->bytes, (uint32_t)headers[i].name.size);
        buffer_append(&o->bytes, headers[i].name.data, headers[i].name.size);
        buffer_append_byte(&o->bytes, 0);
        buffer_append_u8(&o->bytes, bytes_is_none(headers[i].value));
        buffer_append_sized(&o->bytes, headers[i].value.data, headers[i].value.size);
    }
    return at;
}

struct bytes kafka_outbox_slice(const struct kafka_outbox *o, size_t at, size_t size)
{
    /* An empty slice is not none. */
    return size == NONE ? BYTES_NONE
                        : bytes_of(size == 0 ? (const uint8_t *)"" : o->bytes.data + at, size);
}

void kafka_outbox_headers(const struct kafka_outbox *o, size_t at, uint32_t count,
                          struct record_header *out)
{
    struct reader reader = reader_of(bytes_of(o->bytes.data + at, o->bytes.size - at));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = reader_u32(&reader);
        out[i].name = bytes_of(reader_take(&reader, size), size);
        (void)reader_take(&reader, 1);
        bool is_none = reader_u8(&reader) != 0;
        struct bytes value = reader_sized(&reader);
        out[i].value = is_none ? BYTES_NONE : value;
    }
    check(!reader.failed);
}

static uint32_t range_of(struct kafka_outbox *o, uint32_t source_partition, uint32_t partition)
{
    for (uint32_t i = o->range_count; i > 0; i--) {
        const struct kafka_range *range = &o->ranges[i - 1];
        if (range->source_partition == source_partition && range->partition == partition) {
            return i - 1;
        }
    }
    if (o->range_count == o->range_capacity) {
        o->range_capacity = o->range_capacity * 2 + 16;
        o->ranges = memory_realloc(o->ranges, size_mul(o->range_capacity, sizeof *o->ranges));
    }
    o->ranges[o->range_count] = (struct kafka_range){
        .source_partition = source_partition, .partition = partition, .offsets = {-1, -1}};
    return o->range_count++;
}

int64_t kafka_message_size(const struct kafka_message *message)
{
    size_t size = BATCH_OVERHEAD + message->key.size + message->value.size;
    for (uint32_t i = 0; i < message->header_count; i++) {
        size += HEADER_OVERHEAD + message->headers[i].name.size + message->headers[i].value.size;
    }
    return (int64_t)size;
}

void kafka_outbox_add(struct kafka_outbox *o, uint32_t source_partition, uint32_t partition,
                      const struct kafka_message *message)
{
    if (o->row_count == o->row_capacity) {
        o->row_capacity = o->row_capacity * 2 + 256;
        o->rows = memory_realloc(o->rows, size_mul(o->row_capacity, sizeof *o->rows));
    }
    size_t before = o->bytes.size;
    struct kafka_row *row = &o->rows[o->row_count++];
    row->range = range_of(o, source_partition, partition);
    row->timestamp_ms =
        message->timestamp_us == TIME_NEVER ? 0 : message->timestamp_us / 1000;
    row->key_at = keep(o, message->key, &row->key_size);
    row->value_at = keep(o, message->value, &row->value_size);
    row->header_count = message->header_count;
    row->headers_at = keep_headers(o, message->headers, message->header_count);
    o->outbox.size_bytes += o->bytes.size - before + sizeof *row;
    o->outbox.row_count++;
}

void kafka_outbox_refuse(struct kafka_outbox *o, const struct output_row *row,
                         struct hash128 hash, int64_t size, int64_t limit)
{
    const struct record *record = &row->batch->records[row->row];
    const struct replay_origin *replay = batch_replay(row->batch, row->row);
    if (o->reject_count == o->reject_capacity) {
        o->reject_capacity = o->reject_capacity * 2 + 16;
        o->rejects = memory_realloc(o->rejects, size_mul(o->reject_capacity, sizeof *o->rejects));
    }
    size_t before = o->bytes.size;
    struct kafka_reject *reject = &o->rejects[o->reject_count++];
    reject->source_partition = row->batch->partition;
    reject->origin = row->origin;
    reject->attempt = replay == NULL ? 1 : replay->attempt + 1;
    reject->offset = record->offset;
    reject->timestamp_us = record->timestamp_us;
    reject->key_at = keep(o, record->key, &reject->key_size);
    reject->value_at = keep(o, record->value, &reject->value_size);
    reject->header_count = record->header_count;
    reject->headers_at = keep_headers(o, record->headers, record->header_count);
    reject->hash = hash;
    (void)snprintf(reject->message, sizeof reject->message,
                   "about %lld bytes, and the topic takes %lld", (long long)size,
                   (long long)limit);
    o->outbox.size_bytes += o->bytes.size - before + sizeof *reject;
    o->outbox.row_count++;
}

/* --- producing --- */

static rd_kafka_headers_t *make_headers(const struct kafka_outbox *o, const struct kafka_row *row,
                                        struct buffer *scratch)
{
    if (row->header_count == 0) {
        return NULL;
    }
    buffer_clear(scratch);
    struct record_header *items =
        (void *)buffer_reserve(scratch, size_mul(row->header_count, sizeof *items));
    kafka_outbox_headers(o, row->headers_at, row->header_count, items);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(row->header_count);
    for (uint32_t i = 0; i < row->header_count; i++) {
        (void)rd_kafka_header_add(headers, (const char *)items[i].name.data,
                                  (ssize_t)items[i].name.size, items[i].value.data,
                                  (ssize_t)items[i].value.size);
    }
    return headers;
}

static rd_kafka_resp_err_t produce_row(struct kafka_outbox *o, const struct kafka_row *row,
                                       struct kafka_client *client, rd_kafka_topic_t *topic)
{
    struct bytes key = kafka_outbox_slice(o, row->key_at, row->key_size);
    struct bytes value = kafka_outbox_slice(o, row->value_at, row->value_size);
    struct kafka_range *range = &o->ranges[row->range];
    rd_kafka_headers_t *headers = make_headers(o, row, &o->scratch);
    rd_kafka_vu_t units[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = (int32_t)range->partition},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {.ptr = (void *)(uintptr_t)key.data, .size = key.size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {.ptr = (void *)(uintptr_t)value.data, .size = value.size}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = row->timestamp_ms},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = range->offsets},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };
    size_t count = sizeof units / sizeof units[0] - (headers == NULL ? 1 : 0);
    rd_kafka_error_t *error = rd_kafka_produceva(client->rk, units, count);
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    if (error != NULL) {
        rd_kafka_error_destroy(error);
        if (headers != NULL) {
            rd_kafka_headers_destroy(headers);
        }
    }
    return code;
}

rd_kafka_resp_err_t kafka_outbox_produce(struct kafka_outbox *o, struct kafka_client *client,
                                         rd_kafka_topic_t *topic, uint64_t *produced)
{
    for (uint32_t i = 0; i < o->range_count; i++) {
        o->ranges[i].offsets[0] = o->ranges[i].offsets[1] = -1;
    }
    for (uint32_t i = 0; i < o->row_count; i++) {
        rd_kafka_resp_err_t code = produce_row(o, &o->rows[i], client, topic);
        while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && client->failed == 0) {
            rd_kafka_poll(client->rk, 50);
            code = produce_row(o, &o->rows[i], client, topic);
        }
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return code;
        }
        ++*produced;
        if (i % 4096 == 0) {
            rd_kafka_poll(client->rk, 0);
        }
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}
