/*
 * Kafka's RecordBatch v2 (magic 2): the bytes of a row of the local log, and of Kafka's own
 * files and wire. Source of the format: https://kafka.apache.org/documentation/#recordbatch
 *
 *    0  i64  base offset            27  i64  base timestamp (ms)
 *    8  i32  length (from byte 12)  35  i64  max timestamp (ms)
 *   12  i32  leader epoch (-1)      43  i64  producer id
 *   16  i8   magic (2)              51  i16  producer epoch
 *   17  u32  CRC-32C of byte 21 on  53  i32  base sequence
 *   21  i16  attributes             57  i32  record count
 *   23  i32  last offset delta      61  the records, compressed when the codec says so
 *
 * Attributes: bits 0-2 are the codec (0 none, 3 lz4, 4 zstd), bit 3 the kind of the timestamp
 * (1: log append time). Bit 14 is weir's own, without bit 3: rows were merged, and every record has
 * the time of its own append, base timestamp + its delta. Kafka has no way to say that; its readers
 * see the right times, and take them for the producer's.
 *
 * Big-endian; a record is varint length, i8 attributes, varint timestamp delta, varint offset
 * delta, varint-sized key and value (-1 null), varint count of headers, each varint-sized name
 * and value. lz4 is the frame format.
 *
 * Here every batch is whole: offset deltas are 0, 1, 2, … and the last one is count − 1; there
 * is at least one record. Transactional and control batches (attributes bits 4 and 5) are
 * refused. The leader epoch is -1, for no broker has seen the batch. The base offset stands
 * outside the CRC, as Kafka has it, so that it can be set late: whoever knows where the batch
 * belongs compares it.
 *
 * The BUILDER collects records uncompressed (record bytes as they will stand), so that closing
 * it is compress + checksum. The READER checks magic, lengths, CRC and counts, and bounds
 * decompression by `max_bytes`.
 */
#ifndef WEIR_CODEC_RECORD_BATCH_H
#define WEIR_CODEC_RECORD_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "batch/batch.h"

enum compression { COMPRESSION_NONE = 0, COMPRESSION_LZ4 = 3, COMPRESSION_ZSTD = 4 };

#define RECORD_BATCH_HEADER_BYTES 61u
#define RECORD_BATCH_RECORDS_MAX_BYTES ((size_t)1 << 30)

struct record_batch_builder {
    struct buffer records;
    uint32_t count;
};

/* Zero-initialise a builder. Appends one record with offset delta = count and timestamp delta 0.
 * Header names must not be none. All records of a batch together stay below
 * RECORD_BATCH_RECORDS_MAX_BYTES; the owner of the builder closes it long before. */
void record_batch_append(struct record_batch_builder *builder, struct bytes key, struct bytes value,
                         const struct record_header *headers, uint32_t header_count);
/* The same with another timestamp delta (ms), for record_batch_finish_merged(). */
void record_batch_append_at(struct record_batch_builder *builder, int64_t timestamp_delta_ms,
                            struct bytes key, struct bytes value,
                            const struct record_header *headers, uint32_t header_count);
void record_batch_clear(struct record_batch_builder *builder);
void record_batch_fini(struct record_batch_builder *builder);

struct record_batch_stamp {
    int64_t base_offset;
    int64_t timestamp_ms; /* of all records */
    bool log_append_time;
    int64_t producer_id;    /* -1 none */
    int16_t producer_epoch; /* -1 none */
    int32_t base_sequence;  /* -1 none */
};

/* Appends the finished batch to `out`. A batch that compression does not shrink is stored
 * uncompressed. The builder holds at least one record and stays as it is. */
void record_batch_finish(const struct record_batch_builder *builder,
                         const struct record_batch_stamp *stamp, enum compression compression,
                         struct buffer *out);

/* The same where every record has the time of its own append: the stamp's + its delta, the last one
 * `last_timestamp_ms`. Not for record_batch_restamp(). */
void record_batch_finish_merged(const struct record_batch_builder *builder,
                                const struct record_batch_stamp *stamp, int64_t last_timestamp_ms,
                                enum compression compression, struct buffer *out);

/* Writes another stamp into a finished batch, in place, and its checksum anew. The batch is one
 * that record_batch_finish() made. */
void record_batch_restamp(uint8_t *batch, size_t size, const struct record_batch_stamp *stamp);
/* How many records a finished batch holds, from its header alone. */
uint32_t record_batch_count(const uint8_t *batch, size_t size);

struct record_batch_info {
    struct record_batch_stamp stamp;
    uint32_t record_count;
    enum compression compression;
    int64_t max_timestamp_ms;
    bool append_times; /* every record has the time of its own append */
};

/* What the head of a batch says, without its records and unchecked: for people who look at sizes.
 * `head` is the first RECORD_BATCH_PEEK_BYTES of a batch of `size` bytes, or all of a smaller one;
 * *out_records_bytes is what the records have uncompressed. False when it is not the head of a
 * batch. */
#define RECORD_BATCH_PEEK_BYTES (RECORD_BATCH_HEADER_BYTES + 32u)
bool record_batch_peek(struct bytes head, size_t size, struct record_batch_info *out,
                       uint64_t *out_records_bytes);

/* An iterator over one batch; the uncompressed records live in `arena`. */
struct record_batch_reader {
    struct record_batch_info info;
    struct arena *arena;
    const uint8_t *at;
    const uint8_t *end;
    uint32_t next_index;
};

/* FATAL "log.corrupt" with what is wrong (the caller adds topic, partition and offset). Exactly one
 * batch must fill `bytes`. The records may have `max_bytes` once they are uncompressed. */
enum status record_batch_open(struct record_batch_reader *reader, struct arena *arena,
                              struct bytes bytes, size_t max_bytes,
                              struct error *err) WEIR_MUST_USE;
/* The next record (offset, next_offset = offset + 1, timestamp in µs, kind, key, value, headers;
 * slices of arena or of `bytes`); *out_end at the end. */
enum status record_batch_next(struct record_batch_reader *reader, struct record *out, bool *out_end,
                              struct error *err) WEIR_MUST_USE;

#endif
