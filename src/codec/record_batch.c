#include "codec/record_batch.h"

#include <string.h>

#include "base/broken.h"
#include "base/hash.h"
#include "base/time.h"
#include "codec/compression.h"

enum {
    AT_BASE_OFFSET = 0,
    AT_LENGTH = 8,
    AT_LEADER_EPOCH = 12,
    AT_MAGIC = 16,
    AT_CRC = 17,
    AT_ATTRIBUTES = 21,
    AT_LAST_OFFSET_DELTA = 23,
    AT_BASE_TIMESTAMP = 27,
    AT_MAX_TIMESTAMP = 35,
    AT_PRODUCER_ID = 43,
    AT_PRODUCER_EPOCH = 51,
    AT_BASE_SEQUENCE = 53,
    AT_RECORD_COUNT = 57,

    MAGIC = 2,
    ATTRIBUTES_CODEC = 0x07,
    ATTRIBUTES_LOG_APPEND_TIME = 0x08,
    ATTRIBUTES_APPEND_TIMES = 0x4000,

    /* Length, attributes, two deltas, key size, value size, header count: a byte each. */
    RECORD_MIN_BYTES = 7,
    VARINT_MAX_BYTES = 10,
};

#define LEADER_EPOCH_NONE UINT32_MAX /* −1 */

/* --- Integers. --- */

static void store_u32(uint8_t *at, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(at, &value, sizeof value);
}

static void store_u64(uint8_t *at, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(at, &value, sizeof value);
}

static void store_u16(uint8_t *at, uint16_t value)
{
    value = __builtin_bswap16(value);
    memcpy(at, &value, sizeof value);
}

static uint32_t load_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}

static uint64_t load_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap64(value);
}

static uint16_t load_u16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap16(value);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "integers are swapped to big-endian");

/* Small numbers of either sign become small numbers. */
static inline uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static inline size_t varint_size(int64_t value)
{
    uint64_t bits = zigzag(value) | 1;
    return (size_t)(70 - __builtin_clzll(bits)) / 7;
}

static inline uint8_t *varint_write(uint8_t *at, int64_t value)
{
    uint64_t bits = zigzag(value);
    while (bits >= 0x80) {
        *at++ = (uint8_t)(bits | 0x80);
        bits >>= 7;
    }
    *at++ = (uint8_t)bits;
    return at;
}

/* Every varint but the shortest: rare enough to be a call. NULL when it is cut or has too many
 * bytes. */
static const uint8_t *varint_read_long(const uint8_t *at, const uint8_t *end, int64_t *out)
{
    uint64_t bits = 0;
    for (unsigned shift = 0; at < end && shift < 64; shift += 7) {
        uint8_t byte = *at++;
        uint64_t part = byte & 0x7Fu;
        if (shift == 63 && part > 1) {
            return NULL;
        }
        bits |= part << shift;
        if (byte < 0x80) {
            *out = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
            return at;
        }
    }
    return NULL;
}

static inline const uint8_t *varint_read(const uint8_t *at, const uint8_t *end, int64_t *out)
{
    if (at < end && at[0] < 0x80) {
        *out = (int64_t)(at[0] >> 1) ^ -(int64_t)(at[0] & 1);
        return at + 1;
    }
    if (end - at >= 2 && at[1] < 0x80) {
        unsigned bits = (at[0] & 0x7Fu) | (unsigned)at[1] << 7;
        *out = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
        return at + 2;
    }
    return varint_read_long(at, end, out);
}

/* --- Building. --- */

static inline size_t slice_size(struct bytes slice)
{
    return bytes_is_none(slice) ? varint_size(-1) : varint_size((int64_t)slice.size) + slice.size;
}

static inline uint8_t *slice_write(uint8_t *at, struct bytes slice)
{
    if (bytes_is_none(slice)) {
        return varint_write(at, -1);
    }
    at = varint_write(at, (int64_t)slice.size);
    memcpy(at, slice.data, slice.size);
    return at + slice.size;
}

/* Checked before sizes are added up, so that no sum can wrap around. */
static void slice_check(struct bytes slice)
{
    check(slice.size < RECORD_BATCH_RECORDS_MAX_BYTES);
}

static size_t headers_size(const struct record_header *headers, uint32_t count)
{
    size_t size = varint_size(count);
    for (uint32_t i = 0; i < count; i++) {
        check(!bytes_is_none(headers[i].name));
        slice_check(headers[i].name);
        slice_check(headers[i].value);
        size = size_add(size, slice_size(headers[i].name) + slice_size(headers[i].value));
    }
    return size;
}

static inline void append(struct record_batch_builder *builder, int64_t timestamp_delta_ms,
                          struct bytes key, struct bytes value,
                          const struct record_header *headers, uint32_t header_count)
{
    slice_check(key);
    slice_check(value);
    const int64_t offset_delta = builder->count;
    size_t body = 1 + varint_size(timestamp_delta_ms) + varint_size(offset_delta) +
                  slice_size(key) + slice_size(value) + headers_size(headers, header_count);
    struct buffer *records = &builder->records;
    check(body < RECORD_BATCH_RECORDS_MAX_BYTES - VARINT_MAX_BYTES &&
          records->size < RECORD_BATCH_RECORDS_MAX_BYTES - VARINT_MAX_BYTES - body);
    uint8_t *at = buffer_reserve(records, VARINT_MAX_BYTES + body);
    at = varint_write(at, (int64_t)body);
    *at++ = 0; /* attributes: none are defined */
    at = varint_write(at, timestamp_delta_ms);
    at = varint_write(at, offset_delta);
    at = slice_write(at, key);
    at = slice_write(at, value);
    at = varint_write(at, header_count);
    for (uint32_t i = 0; i < header_count; i++) {
        at = slice_write(at, headers[i].name);
        at = slice_write(at, headers[i].value);
    }
    records->size = (size_t)(at - records->data);
    builder->count++;
}

void record_batch_append(struct record_batch_builder *builder, struct bytes key, struct bytes value,
                         const struct record_header *headers, uint32_t header_count)
{
    append(builder, 0, key, value, headers, header_count);
}

void record_batch_append_at(struct record_batch_builder *builder, int64_t timestamp_delta_ms,
                            struct bytes key, struct bytes value,
                            const struct record_header *headers, uint32_t header_count)
{
    append(builder, timestamp_delta_ms, key, value, headers, header_count);
}

void record_batch_clear(struct record_batch_builder *builder)
{
    buffer_clear(&builder->records);
    builder->count = 0;
}

void record_batch_fini(struct record_batch_builder *builder)
{
    buffer_fini(&builder->records);
    builder->count = 0;
}

void record_batch_restamp(uint8_t *batch, size_t size, const struct record_batch_stamp *stamp)
{
    check(size > RECORD_BATCH_HEADER_BYTES && stamp->base_offset >= 0);
    uint16_t codec = load_u16(batch + AT_ATTRIBUTES) & ATTRIBUTES_CODEC;
    uint16_t time_kind = stamp->log_append_time ? ATTRIBUTES_LOG_APPEND_TIME : 0;
    store_u64(batch + AT_BASE_OFFSET, (uint64_t)stamp->base_offset);
    store_u16(batch + AT_ATTRIBUTES, codec | time_kind);
    store_u64(batch + AT_BASE_TIMESTAMP, (uint64_t)stamp->timestamp_ms);
    store_u64(batch + AT_MAX_TIMESTAMP, (uint64_t)stamp->timestamp_ms);
    store_u64(batch + AT_PRODUCER_ID, (uint64_t)stamp->producer_id);
    store_u16(batch + AT_PRODUCER_EPOCH, (uint16_t)stamp->producer_epoch);
    store_u32(batch + AT_BASE_SEQUENCE, (uint32_t)stamp->base_sequence);
    store_u32(batch + AT_CRC, hash_crc32c(0, batch + AT_ATTRIBUTES, size - AT_ATTRIBUTES));
}

void record_batch_finish(const struct record_batch_builder *builder,
                         const struct record_batch_stamp *stamp, enum compression compression,
                         struct buffer *out)
{
    check(builder->count > 0);
    size_t start = out->size;
    memset(buffer_reserve(out, RECORD_BATCH_HEADER_BYTES), 0, RECORD_BATCH_HEADER_BYTES);
    out->size += RECORD_BATCH_HEADER_BYTES;
    const struct bytes raw = bytes_of(builder->records.data, builder->records.size);
    if (!compression_pack(compression, raw, out)) {
        compression = COMPRESSION_NONE;
        buffer_append(out, raw.data, raw.size);
    }
    uint8_t *batch = out->data + start;
    size_t size = out->size - start;
    store_u32(batch + AT_LENGTH, (uint32_t)(size - AT_LEADER_EPOCH));
    store_u32(batch + AT_LEADER_EPOCH, LEADER_EPOCH_NONE);
    batch[AT_MAGIC] = MAGIC;
    store_u16(batch + AT_ATTRIBUTES, (uint16_t)compression);
    store_u32(batch + AT_LAST_OFFSET_DELTA, builder->count - 1);
    store_u32(batch + AT_RECORD_COUNT, builder->count);
    record_batch_restamp(batch, size, stamp);
}

void record_batch_finish_merged(const struct record_batch_builder *builder,
                                const struct record_batch_stamp *stamp, int64_t last_timestamp_ms,
                                enum compression compression, struct buffer *out)
{
    check(!stamp->log_append_time);
    size_t start = out->size;
    record_batch_finish(builder, stamp, compression, out);
    uint8_t *batch = out->data + start;
    size_t size = out->size - start;
    store_u16(batch + AT_ATTRIBUTES, load_u16(batch + AT_ATTRIBUTES) | ATTRIBUTES_APPEND_TIMES);
    store_u64(batch + AT_MAX_TIMESTAMP, (uint64_t)last_timestamp_ms);
    store_u32(batch + AT_CRC, hash_crc32c(0, batch + AT_ATTRIBUTES, size - AT_ATTRIBUTES));
}

uint32_t record_batch_count(const uint8_t *batch, size_t size)
{
    check(size > RECORD_BATCH_HEADER_BYTES);
    return load_u32(batch + AT_RECORD_COUNT);
}

/* --- Reading. --- */

static enum status corrupt(struct error *err, const char *problem)
{
    return error_set(err, STATUS_FATAL, "log.corrupt", "the record batch is broken: %s.", problem);
}

/* What the fixed part must say; NULL when it does. */
static const char *header_problem(struct bytes bytes)
{
    const uint8_t *head = bytes.data;
    if (bytes.size <= RECORD_BATCH_HEADER_BYTES) {
        return "it is shorter than its header";
    }
    if (head[AT_MAGIC] != MAGIC) {
        return "its format (magic) is not 2";
    }
    /* The only field that neither the checksum nor the caller covers. */
    if (load_u32(head + AT_LEADER_EPOCH) != LEADER_EPOCH_NONE) {
        return "its leader epoch is not -1";
    }
    if (load_u32(head + AT_LENGTH) != bytes.size - AT_LEADER_EPOCH) {
        return "its length is not what it says";
    }
    if (!BROKEN("crc-ignored") &&
        load_u32(head + AT_CRC) !=
            hash_crc32c(0, head + AT_ATTRIBUTES, bytes.size - AT_ATTRIBUTES)) {
        return "its checksum (CRC-32C) is wrong";
    }
    const uint16_t both = ATTRIBUTES_LOG_APPEND_TIME | ATTRIBUTES_APPEND_TIMES;
    uint16_t kind = load_u16(head + AT_ATTRIBUTES) & (uint16_t)~ATTRIBUTES_CODEC;
    if ((kind & ~both) != 0 || kind == both) {
        return "it is transactional, a control batch or of an unknown kind";
    }
    uint32_t count = load_u32(head + AT_RECORD_COUNT);
    if (count == 0 || count > INT32_MAX || load_u32(head + AT_LAST_OFFSET_DELTA) != count - 1) {
        return "its count of records cannot be";
    }
    if (load_u64(head + AT_BASE_OFFSET) > (uint64_t)INT64_MAX - count) {
        return "its base offset cannot be";
    }
    return NULL;
}

static struct record_batch_info info_read(const uint8_t *head)
{
    uint16_t attributes = load_u16(head + AT_ATTRIBUTES);
    return (struct record_batch_info){
        .stamp = {.base_offset = (int64_t)load_u64(head + AT_BASE_OFFSET),
                  .timestamp_ms = (int64_t)load_u64(head + AT_BASE_TIMESTAMP),
                  .log_append_time = (attributes & ATTRIBUTES_LOG_APPEND_TIME) != 0,
                  .producer_id = (int64_t)load_u64(head + AT_PRODUCER_ID),
                  .producer_epoch = (int16_t)load_u16(head + AT_PRODUCER_EPOCH),
                  .base_sequence = (int32_t)load_u32(head + AT_BASE_SEQUENCE)},
        .record_count = load_u32(head + AT_RECORD_COUNT),
        .compression = (enum compression)(attributes & ATTRIBUTES_CODEC),
        .max_timestamp_ms = (int64_t)load_u64(head + AT_MAX_TIMESTAMP),
        .append_times = (attributes & ATTRIBUTES_APPEND_TIMES) != 0,
    };
}

bool record_batch_peek(struct bytes head, size_t size, struct record_batch_info *out,
                       uint64_t *out_records_bytes)
{
    if (head.size <= RECORD_BATCH_HEADER_BYTES || head.data[AT_MAGIC] != MAGIC) {
        return false;
    }
    *out = info_read(head.data);
    *out_records_bytes = size - RECORD_BATCH_HEADER_BYTES;
    return out->compression == COMPRESSION_NONE ||
           compression_content_size(out->compression,
                                    bytes_of(head.data + RECORD_BATCH_HEADER_BYTES,
                                             head.size - RECORD_BATCH_HEADER_BYTES),
                                    out_records_bytes);
}

static const char *records_unpack(enum compression compression, struct bytes packed,
                                  size_t max_bytes, struct arena *arena, struct bytes *out)
{
    switch (compression) {
    case COMPRESSION_NONE:
        *out = packed;
        return packed.size <= max_bytes ? NULL : "it has more bytes than a batch may have";
    case COMPRESSION_LZ4:
    case COMPRESSION_ZSTD:
        return compression_unpack(compression, packed, max_bytes, arena, out);
    }
    return "its compression is neither none nor lz4 nor zstd";
}

enum status record_batch_open(struct record_batch_reader *reader, struct arena *arena,
                              struct bytes bytes, size_t max_bytes, struct error *err)
{
    const char *problem = header_problem(bytes);
    if (problem != NULL) {
        return corrupt(err, problem);
    }
    struct record_batch_info info = info_read(bytes.data);
    struct bytes packed =
        bytes_of(bytes.data + RECORD_BATCH_HEADER_BYTES, bytes.size - RECORD_BATCH_HEADER_BYTES);
    struct bytes records = BYTES_NONE;
    problem = records_unpack(info.compression, packed, max_bytes, arena, &records);
    if (problem == NULL && records.size / RECORD_MIN_BYTES < info.record_count) {
        problem = "it has fewer bytes than its records need";
    }
    if (problem != NULL) {
        return corrupt(err, problem);
    }
    *reader = (struct record_batch_reader){
        .info = info, .arena = arena, .at = records.data, .end = records.data + records.size};
    return STATUS_OK;
}

static inline const uint8_t *slice_read(const uint8_t *at, const uint8_t *end, struct bytes *out)
{
    int64_t size;
    at = varint_read(at, end, &size);
    if (at == NULL || size < -1 || size > end - at) {
        return NULL;
    }
    if (size == -1) {
        *out = BYTES_NONE;
        return at;
    }
    *out = bytes_of(at, (size_t)size);
    return at + size;
}

/* The headers of one record, which end where the record ends. */
static const char *headers_read(struct arena *arena, const uint8_t *at, const uint8_t *end,
                                uint32_t count, struct record *out)
{
    struct record_header *headers = arena_alloc(arena, count * sizeof *headers);
    for (uint32_t i = 0; i < count; i++) {
        at = slice_read(at, end, &headers[i].name);
        if (at == NULL || bytes_is_none(headers[i].name)) {
            return "the name of a header is cut or null";
        }
        at = slice_read(at, end, &headers[i].value);
        if (at == NULL) {
            return "the value of a header is cut";
        }
    }
    if (at != end) {
        return "there are bytes behind its last header";
    }
    out->headers = headers;
    out->header_count = count;
    return NULL;
}

/* The record's time from the batch's; false when no clock can say it. */
static inline bool timestamp_set(const struct record_batch_info *info, int64_t delta,
                                 struct record *out)
{
    const int64_t no_timestamp_ms = -1;
    int64_t time_ms = info->max_timestamp_ms;
    if (!info->stamp.log_append_time &&
        __builtin_add_overflow(info->stamp.timestamp_ms, delta, &time_ms)) {
        return false;
    }
    if (time_ms == no_timestamp_ms) {
        out->timestamp_us = TIME_NEVER;
        out->timestamp_kind = TIMESTAMP_NONE;
        return true;
    }
    out->timestamp_kind = info->stamp.log_append_time || info->append_times ? TIMESTAMP_BROKER
                                                                            : TIMESTAMP_PRODUCER;
    return !__builtin_mul_overflow(time_ms, 1000, &out->timestamp_us);
}

/* Reads one record that ends exactly at `end`; NULL when it is sound. */
static inline const char *record_read(const struct record_batch_reader *reader, const uint8_t *at,
                                      const uint8_t *end, struct record *out)
{
    int64_t time_delta;
    int64_t offset_delta;
    int64_t header_count;
    if (at == end) {
        return "it is empty";
    }
    at++; /* the attributes: none are defined */
    at = varint_read(at, end, &time_delta);
    at = at == NULL ? NULL : varint_read(at, end, &offset_delta);
    if (at == NULL || offset_delta != reader->next_index) {
        return "its offset does not follow the one before";
    }
    if (!timestamp_set(&reader->info, time_delta, out)) {
        return "its timestamp cannot be";
    }
    at = slice_read(at, end, &out->key);
    at = at == NULL ? NULL : slice_read(at, end, &out->value);
    at = at == NULL ? NULL : varint_read(at, end, &header_count);
    if (at == NULL) {
        return "its key, value or count of headers is cut";
    }
    if (header_count == 0) {
        out->headers = NULL;
        out->header_count = 0;
        return at == end ? NULL : "there are bytes behind its value";
    }
    /* A header has at least the two sizes of its slices. */
    if (header_count < 0 || header_count > (end - at) / 2) {
        return "its count of headers cannot be";
    }
    return headers_read(reader->arena, at, end, (uint32_t)header_count, out);
}

enum status record_batch_next(struct record_batch_reader *reader, struct record *out, bool *out_end,
                              struct error *err)
{
    const uint8_t *at = reader->at;
    if (reader->next_index == reader->info.record_count) {
        if (at != reader->end) {
            return corrupt(err, "there are bytes behind its last record");
        }
        *out_end = true;
        return STATUS_OK;
    }
    int64_t size;
    const char *problem = "its length is cut or reaches beyond the batch";
    struct record record;
    at = varint_read(at, reader->end, &size);
    if (at != NULL && size >= 0 && size <= reader->end - at) {
        problem = record_read(reader, at, at + size, &record);
    }
    if (problem != NULL) {
        return error_set(err, STATUS_FATAL, "log.corrupt",
                         "the record batch is broken at record %u of %u: %s.",
                         reader->next_index + 1, reader->info.record_count, problem);
    }
    record.offset = reader->info.stamp.base_offset + reader->next_index;
    record.next_offset = record.offset + 1;
    *out = record;
    *out_end = false;
    reader->at = at + size;
    reader->next_index++;
    return STATUS_OK;
}
