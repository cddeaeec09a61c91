/* Rows of an epoch on their way to one topic: plain copies, until delivery reports have come. */
#include <stdio.h>

#include "base/time.h"
#include "connector/kafka/private.h"

#define NONE SIZE_MAX
#define NO_BYTES UINT32_MAX
/* Above what an empty record batch and a record's own lengths take. */
#define BATCH_OVERHEAD 128
#define HEADER_OVERHEAD 10
/* Of rows; a larger row has one of its own. Small enough that the first rows of an epoch soon go, and
 * large enough that little memory is left at its end. */
#define CHUNK_BYTES (256u * 1024u)
/* Kept for later: what two epochs hold while one of them is committed. What a longer line took is given
 * back. */
#define POOL_CHUNKS 44u
#define ROW_ALIGNMENT 8u
/* A lane hands over so much at once: with what a record takes besides, that is one batch of the producer
 * (kafka_make_producer()) where the topics allow one of its full size. */
#define BATCH_BYTES (990u * 1000u)
#define RECORD_OVERHEAD 36u

struct kafka_chunk {
    struct kafka_chunk *next;
    uint32_t used, capacity;
    uint64_t bytes[]; /* rows, one after the other */
};

/* A row on its way out; key, value and headers stand behind it. */
struct kafka_row {
    struct kafka_range *range;
    struct kafka_row *next; /* in its lane; of the committer */
    int64_t timestamp_ms; /* 0: when it is sent */
    uint32_t key_size, value_size; /* NO_BYTES: none */
    uint32_t header_count;
    uint32_t size; /* up to the next row */
};

struct kafka_pool {
    struct mutex mutex;
    struct kafka_chunk *first; /* each of CHUNK_BYTES; under the mutex, as is the count */
    uint32_t count;
};

struct kafka_pool *kafka_pool_new(void)
{
    struct kafka_pool *pool = memory_alloc_zero(1, sizeof *pool);
    mutex_init(&pool->mutex);
    return pool;
}

void kafka_pool_free(struct kafka_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    while (pool->first != NULL) {
        struct kafka_chunk *chunk = pool->first;
        pool->first = chunk->next;
        memory_free(chunk);
    }
    mutex_fini(&pool->mutex);
    memory_free(pool);
}

/* NULL: it has none. */
static struct kafka_chunk *pool_take(struct kafka_pool *pool)
{
    mutex_lock(&pool->mutex);
    struct kafka_chunk *chunk = pool->first;
    if (chunk != NULL) {
        pool->first = chunk->next;
        pool->count--;
    }
    mutex_unlock(&pool->mutex);
    return chunk;
}

static void pool_give(struct kafka_pool *pool, struct kafka_chunk *chunk)
{
    mutex_lock(&pool->mutex);
    const bool has_room = pool->count < POOL_CHUNKS;
    if (has_room) {
        chunk->next = pool->first;
        pool->first = chunk;
        pool->count++;
    }
    mutex_unlock(&pool->mutex);
    if (!has_room) {
        memory_free(chunk);
    }
}

struct outbox *kafka_outbox_new(struct sink *sink)
{
    struct kafka_outbox *o = memory_alloc_zero(1, sizeof *o);
    o->pool = kafka_sink(sink)->pool;
    check(o->pool != NULL);
    mutex_init(&o->mutex);
    return &o->outbox;
}

void kafka_outbox_clear(struct outbox *outbox)
{
    struct kafka_outbox *o = kafka_outbox(outbox);
    while (o->first != NULL) {
        struct kafka_chunk *chunk = o->first;
        o->first = chunk->next;
        if (chunk->capacity == CHUNK_BYTES) {
            pool_give(o->pool, chunk);
        } else {
            memory_free(chunk);
        }
    }
    while (o->lanes != NULL) {
        struct kafka_lane *lane = o->lanes;
        o->lanes = lane->next;
        memory_free(lane);
    }
    while (o->ranges != NULL) {
        struct kafka_range *range = o->ranges;
        o->ranges = range->next;
        memory_free(range);
    }
    o->last = o->full = o->sorted = NULL;
    o->sorted_bytes = 0;
    buffer_clear(&o->bytes);
    o->reject_count = 0;
    o->outbox = (struct outbox){0};
}

void kafka_outbox_free(struct outbox *outbox)
{
    struct kafka_outbox *o = kafka_outbox(outbox);
    kafka_outbox_clear(outbox);
    buffer_fini(&o->bytes);
    buffer_fini(&o->scratch);
    buffer_fini(&o->headers);
    memory_free(o->rejects);
    mutex_fini(&o->mutex);
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
static void keep_headers(struct buffer *out, const struct record_header *headers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_u32(out, (uint32_t)headers[i].name.size);
        buffer_append(out, headers[i].name.data, headers[i].name.size);
        buffer_append_byte(out, 0);
        buffer_append_u8(out, bytes_is_none(headers[i].value));
        buffer_append_sized(out, headers[i].value.data, headers[i].value.size);
    }
}

struct bytes kafka_outbox_slice(const struct kafka_outbox *o, size_t at, size_t size)
{
    /* An empty slice is not none. */
    return size == NONE ? BYTES_NONE
                        : bytes_of(size == 0 ? (const uint8_t *)"" : o->bytes.data + at, size);
}

static void read_headers(struct bytes form, uint32_t count, struct record_header *out)
{
    struct reader reader = reader_of(form);
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

void kafka_outbox_headers(const struct kafka_outbox *o, size_t at, uint32_t count,
                          struct record_header *out)
{
    read_headers(bytes_of(o->bytes.data + at, o->bytes.size - at), count, out);
}

static struct kafka_range *range_of(struct kafka_outbox *o, uint32_t source_partition,
                                    uint32_t partition)
{
    for (struct kafka_range *range = o->ranges; range != NULL; range = range->next) {
        if (range->source_partition == source_partition && range->partition == partition) {
            return range;
        }
    }
    struct kafka_range *range = memory_alloc_zero(1, sizeof *range);
    *range = (struct kafka_range){.next = o->ranges,
                                  .source_partition = source_partition,
                                  .partition = partition,
                                  .landing = {.first = -1, .last = -1}};
    o->ranges = range;
    return range;
}

int64_t kafka_message_size(const struct kafka_message *message)
{
    size_t size = BATCH_OVERHEAD + message->key.size + message->value.size;
    for (uint32_t i = 0; i < message->header_count; i++) {
        size += HEADER_OVERHEAD + message->headers[i].name.size + message->headers[i].value.size;
    }
    return (int64_t)size;
}

static struct kafka_chunk *next_chunk(struct kafka_outbox *o, size_t size)
{
    struct kafka_chunk *chunk = size <= CHUNK_BYTES ? pool_take(o->pool) : NULL;
    if (chunk == NULL) {
        size_t capacity = size <= CHUNK_BYTES ? CHUNK_BYTES : size;
        check(capacity <= UINT32_MAX);
        chunk = memory_alloc(size_add(sizeof *chunk, capacity));
        chunk->capacity = (uint32_t)capacity;
    }
    chunk->next = NULL;
    chunk->used = 0;
    return chunk;
}

/* Room for a row, in a new chunk when this one is full. */
static struct kafka_row *add_row(struct kafka_outbox *o, size_t size)
{
    struct kafka_chunk *chunk = o->last;
    if (chunk == NULL || size > chunk->capacity - chunk->used) {
        struct kafka_chunk *next = next_chunk(o, size);
        if (chunk == NULL) {
            o->first = next;
        } else {
            chunk->next = next;
            mutex_lock(&o->mutex);
            o->full = chunk;
            mutex_unlock(&o->mutex);
        }
        o->last = chunk = next;
    }
    struct kafka_row *row = (struct kafka_row *)(void *)((uint8_t *)chunk->bytes + chunk->used);
    chunk->used += (uint32_t)size;
    return row;
}

static uint8_t *put_bytes(uint8_t *at, struct bytes b)
{
    if (b.size > 0) {
        memcpy(at, b.data, b.size);
    }
    return at + b.size;
}

static uint32_t size_of(struct bytes b)
{
    return bytes_is_none(b) ? NO_BYTES : (uint32_t)b.size;
}

void kafka_outbox_add(struct kafka_outbox *o, uint32_t source_partition, uint32_t partition,
                      const struct kafka_message *message)
{
    buffer_clear(&o->scratch);
    keep_headers(&o->scratch, message->headers, message->header_count);
    size_t used =
        sizeof(struct kafka_row) + message->key.size + message->value.size + o->scratch.size;
    size_t size = (used + ROW_ALIGNMENT - 1) / ROW_ALIGNMENT * ROW_ALIGNMENT;
    struct kafka_row *row = add_row(o, size);
    *row = (struct kafka_row){
        .range = range_of(o, source_partition, partition),
        .timestamp_ms = message->timestamp_us == TIME_NEVER ? 0 : message->timestamp_us / 1000,
        .key_size = size_of(message->key),
        .value_size = size_of(message->value),
        .header_count = message->header_count,
        .size = (uint32_t)size,
    };
    uint8_t *at = put_bytes((uint8_t *)(row + 1), message->key);
    at = put_bytes(at, message->value);
    (void)put_bytes(at, bytes_of(o->scratch.data, o->scratch.size));
    o->outbox.size_bytes += size;
    o->outbox.row_count++;
}

void kafka_outbox_refuse(struct kafka_outbox *o, const struct output_row *row,
                         struct hash128 hash, const char *code, const char *message)
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
    reject->headers_at = o->bytes.size;
    keep_headers(&o->bytes, record->headers, record->header_count);
    reject->hash = hash;
    reject->code = code;
    (void)snprintf(reject->message, sizeof reject->message, "%s", message);
    o->outbox.size_bytes += o->bytes.size - before + sizeof *reject;
    o->outbox.row_count++;
}

/* --- producing --- */

static rd_kafka_headers_t *make_headers(struct bytes form, uint32_t count, struct buffer *scratch)
{
    if (count == 0) {
        return NULL;
    }
    buffer_clear(scratch);
    struct record_header *items =
        (void *)buffer_reserve(scratch, size_mul(count, sizeof *items));
    read_headers(form, count, items);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(count);
    for (uint32_t i = 0; i < count; i++) {
        (void)rd_kafka_header_add(headers, (const char *)items[i].name.data,
                                  (ssize_t)items[i].name.size, items[i].value.data,
                                  (ssize_t)items[i].value.size);
    }
    return headers;
}

/* The next `size` bytes of a row; NULL for none, and only then. */
static void *take_bytes(uint8_t **at, uint32_t size, size_t *out_size)
{
    void *taken = size == NO_BYTES ? NULL : *at;
    *out_size = size == NO_BYTES ? 0 : size;
    *at += *out_size;
    return taken;
}

static rd_kafka_resp_err_t produce_row(struct kafka_outbox *o, struct kafka_row *row,
                                       struct kafka_client *client, rd_kafka_topic_t *topic)
{
    uint8_t *at = (uint8_t *)(row + 1);
    rd_kafka_vu_t units[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = (int32_t)row->range->partition},
        {.vtype = RD_KAFKA_VTYPE_KEY},
        {.vtype = RD_KAFKA_VTYPE_VALUE},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = row->timestamp_ms},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = &row->range->landing},
        {.vtype = RD_KAFKA_VTYPE_HEADERS},
    };
    units[2].u.mem.ptr = take_bytes(&at, row->key_size, &units[2].u.mem.size);
    units[3].u.mem.ptr = take_bytes(&at, row->value_size, &units[3].u.mem.size);
    struct bytes form = bytes_of(at, (size_t)((uint8_t *)row + row->size - at));
    rd_kafka_headers_t *headers = make_headers(form, row->header_count, &o->headers);
    units[6].u.headers = headers;
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

static struct kafka_chunk *last_full(struct kafka_outbox *o)
{
    mutex_lock(&o->mutex);
    struct kafka_chunk *full = o->full;
    mutex_unlock(&o->mutex);
    return full;
}

bool kafka_outbox_has_full(struct kafka_outbox *o)
{
    return last_full(o) != o->sorted;
}

static struct kafka_lane *find_lane(struct kafka_outbox *o, uint32_t partition)
{
    for (struct kafka_lane *lane = o->lanes; lane != NULL; lane = lane->next) {
        if (lane->partition == partition) {
            return lane;
        }
    }
    struct kafka_lane *lane = memory_alloc_zero(1, sizeof *lane);
    lane->partition = partition;
    lane->next = o->lanes;
    o->lanes = lane;
    return lane;
}

static struct kafka_lane *lane_of(struct kafka_outbox *o, struct kafka_range *range)
{
    if (range->lane == NULL) {
        range->lane = find_lane(o, range->partition);
        range->landing.waiting = &range->lane->waiting;
    }
    return range->lane;
}

/* What is new in a chunk, into lanes. */
static void sort_chunk(struct kafka_outbox *o, struct kafka_chunk *chunk)
{
    while (o->sorted_bytes < chunk->used) {
        struct kafka_row *row =
            (struct kafka_row *)(void *)((uint8_t *)chunk->bytes + o->sorted_bytes);
        struct kafka_lane *lane = lane_of(o, row->range);
        row->next = NULL;
        *(lane->first == NULL ? &lane->first : &lane->last->next) = row;
        lane->last = row;
        o->sorted_bytes += row->size;
    }
}

/* Up to the end of chunk `end`. */
static void sort_rows(struct kafka_outbox *o, const struct kafka_chunk *end)
{
    if (end != NULL && o->sorted == NULL) {
        o->sorted = o->first;
    }
    while (end != NULL) {
        sort_chunk(o, o->sorted);
        if (o->sorted == end) {
            return;
        }
        o->sorted = o->sorted->next;
        o->sorted_bytes = 0;
    }
}

/* One batch's rows at most: what waits in librdkafka behind a batch without an answer makes its thread
 * ask again and again, without a pause, whether it may go now. */
static rd_kafka_resp_err_t produce_lane(struct kafka_outbox *o, struct kafka_lane *lane,
                                        struct kafka_client *client, rd_kafka_topic_t *topic,
                                        uint64_t *produced)
{
    size_t bytes = 0;
    while (lane->first != NULL) {
        struct kafka_row *row = lane->first;
        bytes += row->size - sizeof *row + RECORD_OVERHEAD;
        if (bytes > BATCH_BYTES && lane->waiting > 0) {
            break;
        }
        rd_kafka_resp_err_t code = produce_row(o, row, client, topic);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return code;
        }
        lane->first = row->next;
        lane->waiting++;
        ++*produced;
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t kafka_outbox_produce(struct kafka_outbox *o, struct kafka_client *client,
                                         rd_kafka_topic_t *topic, bool all, uint64_t *produced,
                                         bool *out_rest)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    *out_rest = false;
    rd_kafka_poll(client->rk, 0);
    sort_rows(o, all ? o->last : last_full(o));
    for (struct kafka_lane *lane = o->lanes; lane != NULL; lane = lane->next) {
        if (lane->waiting == 0 && code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = produce_lane(o, lane, client, topic, produced);
        }
        *out_rest |= lane->first != NULL;
    }
    /* What the producer has no room for waits like the rest. */
    return code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? RD_KAFKA_RESP_ERR_NO_ERROR : code;
}

void kafka_outbox_rewind(struct kafka_outbox *o)
{
    o->sorted = NULL;
    o->sorted_bytes = 0;
    for (struct kafka_lane *lane = o->lanes; lane != NULL; lane = lane->next) {
        lane->first = lane->last = NULL;
        lane->waiting = 0;
    }
    for (struct kafka_range *range = o->ranges; range != NULL; range = range->next) {
        range->landing.first = range->landing.last = -1;
    }
}
