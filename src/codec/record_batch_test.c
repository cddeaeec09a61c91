#include "codec/record_batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <lz4frame.h>
#include <zstd.h>

#include "base/hash.h"
#include "base/prng.h"
#include "base/time.h"

enum { MAX_BYTES = 64 * 1024 * 1024 };

static const struct record_batch_stamp plain_stamp = {
    .base_offset = 1000,
    .timestamp_ms = INT64_C(1700000000123),
    .log_append_time = true,
    .producer_id = 7,
    .producer_epoch = 1,
    .base_sequence = 42,
};

static struct bytes text(const char *string)
{
    return bytes_of_string(string);
}

/* Opens and reads all records. Returns the status that ended it. */
static enum status read_all(struct arena *arena, struct bytes bytes, size_t max_bytes,
                            struct record *out, uint32_t capacity, uint32_t *out_count,
                            struct record_batch_info *out_info, struct error *err)
{
    struct record_batch_reader reader;
    *out_count = 0;
    enum status status = record_batch_open(&reader, arena, bytes, max_bytes, err);
    bool end = false;
    if (status == STATUS_OK && out_info != NULL) {
        *out_info = reader.info;
    }
    while (status == STATUS_OK) {
        struct record record;
        status = record_batch_next(&reader, &record, &end, err);
        if (status != STATUS_OK || end) {
            break;
        }
        assert_true(*out_count < capacity);
        out[(*out_count)++] = record;
    }
    return status;
}

static void assert_corrupt(struct bytes bytes, size_t max_bytes)
{
    static struct record records[4096];
    struct arena *arena = arena_new(4096);
    struct error err = {0};
    uint32_t count;
    /* In memory of its own size, so that a sanitizer sees every byte read beyond it. */
    uint8_t *copy = memory_alloc(bytes.size);
    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    enum status status =
        read_all(arena, bytes_of(copy, bytes.size), max_bytes, records, 4096, &count, NULL, &err);
    assert_int_equal(status, STATUS_FATAL);
    assert_string_equal(err.code, "log.corrupt");
    assert_true(err.message[0] != '\0');
    memory_free(copy);
    arena_free(arena);
}

/* Sets length and checksum of a batch whose other bytes were written by hand. */
static void seal(struct buffer *batch)
{
    uint32_t length = __builtin_bswap32((uint32_t)batch->size - 12);
    memcpy(batch->data + 8, &length, 4);
    uint32_t crc = __builtin_bswap32(hash_crc32c(0, batch->data + 21, batch->size - 21));
    memcpy(batch->data + 17, &crc, 4);
}

static void build_golden(struct record_batch_builder *builder)
{
    const struct record_header headers[] = {{text("weir.replay"), text("a:1")},
                                            {text("n"), BYTES_NONE}};
    record_batch_append(builder, text("sensor-1"), text("{\"t\":1}"), NULL, 0);
    record_batch_append(builder, BYTES_NONE, text(""), headers, 2);
    record_batch_append(builder, text(""), BYTES_NONE, NULL, 0);
}

static const char golden_hex[] =
    "00000000000003e800000068ffffffff02f0b42c0e0008000000020000018bcfe5687b0000018bcfe5687b00000000"
    "0000000700010000002a000000032a0000001073656e736f722d310e7b2274223a317d003200000201000416776569"
    "722e7265706c617906613a31026e010c000004000100";

static void test_golden_bytes(void **state)
{
    (void)state;
    struct record_batch_builder builder = {0};
    struct buffer out = {0};
    build_golden(&builder);
    record_batch_finish(&builder, &plain_stamp, COMPRESSION_NONE, &out);
    char hex[sizeof golden_hex + 16];
    assert_true(2 * out.size < sizeof hex);
    hex_encode(bytes_of(out.data, out.size), hex);
    assert_string_equal(hex, golden_hex);
    assert_int_equal(record_batch_count(out.data, out.size), 3);
    buffer_fini(&out);
    record_batch_fini(&builder);
}

static void test_reads_what_was_appended(void **state)
{
    (void)state;
    uint8_t bytes[sizeof golden_hex / 2];
    assert_true(hex_decode(golden_hex, bytes, sizeof bytes));
    struct arena *arena = arena_new(4096);
    struct record records[3];
    struct record_batch_info info;
    struct error err = {0};
    uint32_t count;
    assert_int_equal(
        read_all(arena, bytes_of(bytes, sizeof bytes), MAX_BYTES, records, 3, &count, &info, &err),
        STATUS_OK);
    assert_int_equal(count, 3);
    assert_int_equal(info.record_count, 3);
    assert_int_equal(info.compression, COMPRESSION_NONE);
    assert_int_equal(info.max_timestamp_ms, plain_stamp.timestamp_ms);
    assert_int_equal(info.stamp.base_offset, 1000);
    assert_int_equal(info.stamp.timestamp_ms, plain_stamp.timestamp_ms);
    assert_true(info.stamp.log_append_time);
    assert_int_equal(info.stamp.producer_id, 7);
    assert_int_equal(info.stamp.producer_epoch, 1);
    assert_int_equal(info.stamp.base_sequence, 42);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(records[i].offset, 1000 + i);
        assert_int_equal(records[i].next_offset, 1001 + i);
        assert_int_equal(records[i].timestamp_us, INT64_C(1700000000123000));
        assert_int_equal(records[i].timestamp_kind, TIMESTAMP_BROKER);
    }
    assert_true(bytes_equal_string(records[0].key, "sensor-1"));
    assert_true(bytes_equal_string(records[0].value, "{\"t\":1}"));
    assert_int_equal(records[0].header_count, 0);
    assert_true(bytes_is_none(records[1].key));
    assert_false(bytes_is_none(records[1].value));
    assert_int_equal(records[1].value.size, 0);
    assert_int_equal(records[1].header_count, 2);
    assert_true(bytes_equal_string(records[1].headers[0].name, "weir.replay"));
    assert_true(bytes_equal_string(records[1].headers[0].value, "a:1"));
    assert_true(bytes_is_none(records[1].headers[1].value));
    assert_false(bytes_is_none(records[2].key));
    assert_true(bytes_is_none(records[2].value));
    arena_free(arena);
}

/* Written by another program, with the command lines of lz4 and zstd: producers' times, a content
 * checksum, no content size. */
static void test_reads_frames_of_other_writers(void **state)
{
    (void)state;
    static const char *const hex[] = {
        "000000000000000500000076ffffffff022715c33700030000000300000000000003e800000000000003"
        "f2ffffffffffffffffffffffffffff0000000404224d186440a732000000ed3e000900046b302e76616c"
        "75652006008f003e000002046b312000085f0a04046b322000082f140660000450616c75650000000000"
        "e75211f4",
        "000000000000000500000069ffffffff02c3d2a1b600040000000300000000000003e800000000000003"
        "f2ffffffffffffffffffffffffffff0000000428b52ffd04585d0100e83e000900046b302e76616c7565"
        "20003e000002046b310a04046b321406040063603008f5502197b92801ab2f70e4"};
    for (size_t i = 0; i < 2; i++) {
        uint8_t bytes[130];
        size_t size = strlen(hex[i]) / 2;
        assert_true(size <= sizeof bytes && hex_decode(hex[i], bytes, size));
        struct arena *arena = arena_new(4096);
        struct record records[4];
        struct error err = {0};
        uint32_t count;
        assert_int_equal(
            read_all(arena, bytes_of(bytes, size), MAX_BYTES, records, 4, &count, NULL, &err),
            STATUS_OK);
        assert_int_equal(count, 4);
        for (int64_t k = 0; k < 4; k++) {
            assert_int_equal(records[k].offset, 5 + k);
            assert_int_equal(records[k].timestamp_us, (1000 + 5 * k - 5) * 1000);
            assert_int_equal(records[k].timestamp_kind, TIMESTAMP_PRODUCER);
            assert_true(bytes_equal_string(records[k].value, "value value value value"));
        }
        arena_free(arena);
    }
}

/* --- Round trips of random records. --- */

struct sample {
    struct bytes key;
    struct bytes value;
    struct record_header headers[3];
    uint32_t header_count;
};

static struct bytes sample_bytes(struct prng *prng, struct arena *arena, uint64_t size_bound)
{
    size_t size = (size_t)prng_below(prng, size_bound);
    uint8_t *data = arena_alloc(arena, size + 1);
    uint64_t letters = prng_below(prng, 2) == 0 ? 256 : 3;
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)prng_below(prng, letters);
    }
    return bytes_of(data, size);
}

static struct sample sample_make(struct prng *prng, struct arena *arena)
{
    struct sample sample = {0};
    uint64_t size_bound = prng_below(prng, 20) == 0 ? 70000 : 200;
    sample.key = prng_below(prng, 3) == 0 ? BYTES_NONE : sample_bytes(prng, arena, 40);
    sample.value = prng_below(prng, 5) == 0 ? BYTES_NONE : sample_bytes(prng, arena, size_bound);
    sample.header_count = prng_below(prng, 4) == 0 ? (uint32_t)prng_below(prng, 4) : 0;
    for (uint32_t i = 0; i < sample.header_count; i++) {
        sample.headers[i].name = sample_bytes(prng, arena, 20);
        sample.headers[i].value =
            prng_below(prng, 4) == 0 ? BYTES_NONE : sample_bytes(prng, arena, 300);
    }
    return sample;
}

static void assert_slices_equal(struct bytes a, struct bytes b)
{
    assert_int_equal(bytes_is_none(a), bytes_is_none(b));
    assert_true(bytes_equal(a, b));
}

static void round_trip(uint64_t seed, enum compression compression, uint32_t count)
{
    struct prng prng;
    prng_init(&prng, seed);
    struct arena *arena = arena_new(65536);
    struct sample *samples = arena_alloc(arena, count * sizeof *samples);
    struct record *records = arena_alloc(arena, count * sizeof *records);
    struct record_batch_builder builder = {0};
    struct buffer out = {0};
    buffer_append_string(&out, "before");
    for (uint32_t i = 0; i < count; i++) {
        samples[i] = sample_make(&prng, arena);
        record_batch_append(&builder, samples[i].key, samples[i].value, samples[i].headers,
                            samples[i].header_count);
    }
    record_batch_finish(&builder, &plain_stamp, compression, &out);
    assert_memory_equal(out.data, "before", 6);
    struct error err = {0};
    uint32_t read_count;
    assert_int_equal(read_all(arena, bytes_of(out.data + 6, out.size - 6), MAX_BYTES, records,
                              count, &read_count, NULL, &err),
                     STATUS_OK);
    assert_int_equal(read_count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_slices_equal(records[i].key, samples[i].key);
        assert_slices_equal(records[i].value, samples[i].value);
        assert_int_equal(records[i].header_count, samples[i].header_count);
        for (uint32_t k = 0; k < samples[i].header_count; k++) {
            assert_slices_equal(records[i].headers[k].name, samples[i].headers[k].name);
            assert_slices_equal(records[i].headers[k].value, samples[i].headers[k].value);
        }
    }
    buffer_fini(&out);
    record_batch_fini(&builder);
    arena_free(arena);
}

static const enum compression compressions[] = {COMPRESSION_NONE, COMPRESSION_LZ4,
                                                COMPRESSION_ZSTD};

static void test_round_trips(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        round_trip(seed, compressions[seed % 3], 1 + (uint32_t)(seed * seed) % 700);
    }
}

static void test_large_value(void **state)
{
    (void)state;
    const size_t size = 10 * 1024 * 1024 + 17;
    uint8_t *value = memory_alloc(size);
    struct prng prng;
    prng_init(&prng, 5);
    for (size_t kind = 0; kind < 2; kind++) {
        /* First bytes that compress, then bytes that do not: the batch is then stored plain. */
        for (size_t i = 0; i < size; i++) {
            value[i] = (uint8_t)(kind == 0 ? i / 100 : prng_below(&prng, 256));
        }
        for (size_t i = 0; i < 3; i++) {
            struct record_batch_builder builder = {0};
            struct buffer out = {0};
            record_batch_append(&builder, BYTES_NONE, bytes_of(value, size), NULL, 0);
            record_batch_finish(&builder, &plain_stamp, compressions[i], &out);
            struct arena *arena = arena_new(65536);
            struct record record;
            struct record_batch_info info;
            struct error err = {0};
            uint32_t count;
            struct bytes bytes = bytes_of(out.data, out.size);
            assert_int_equal(read_all(arena, bytes, MAX_BYTES, &record, 1, &count, &info, &err),
                             STATUS_OK);
            assert_int_equal(count, 1);
            assert_int_equal(info.compression, kind == 0 ? compressions[i] : COMPRESSION_NONE);
            assert_true(bytes_equal(record.value, bytes_of(value, size)));
            /* One byte less than it needs is too little, packed or not. */
            assert_corrupt(bytes, builder.records.size - 1);
            arena_free(arena);
            buffer_fini(&out);
            record_batch_fini(&builder);
        }
    }
    memory_free(value);
}

/* A frame of blocks that refer to each other, as some clients write. */
static void test_linked_blocks(void **state)
{
    (void)state;
    const bool with_size[] = {false, true};
    for (size_t kind = 0; kind < 2; kind++) {
        struct record_batch_builder builder = {0};
        for (uint32_t i = 0; i < 3000; i++) {
            char value[128];
            int length = snprintf(value, sizeof value,
                                  "{\"id\":%u,\"text\":\"as in the last block, %u\"}", i, i * 7919);
            record_batch_append(&builder, BYTES_NONE, bytes_of(value, (size_t)length), NULL, 0);
        }
        struct buffer out = {0};
        record_batch_finish(&builder, &plain_stamp, COMPRESSION_LZ4, &out);
        LZ4F_preferences_t preferences = {
            .frameInfo = {.blockSizeID = LZ4F_max64KB,
                          .blockMode = LZ4F_blockLinked,
                          .blockChecksumFlag = LZ4F_blockChecksumEnabled,
                          .contentChecksumFlag = LZ4F_contentChecksumEnabled,
                          .contentSize = with_size[kind] ? builder.records.size : 0}};
        out.size = RECORD_BATCH_HEADER_BYTES;
        size_t bound = LZ4F_compressFrameBound(builder.records.size, &preferences);
        size_t size = LZ4F_compressFrame(buffer_reserve(&out, bound), bound, builder.records.data,
                                         builder.records.size, &preferences);
        assert_false(LZ4F_isError(size));
        out.size += size;
        seal(&out);
        struct arena *arena = arena_new(65536);
        struct record *records = arena_alloc(arena, 3000 * sizeof *records);
        struct error err = {0};
        uint32_t count;
        struct bytes bytes = bytes_of(out.data, out.size);
        assert_int_equal(read_all(arena, bytes, MAX_BYTES, records, 3000, &count, NULL, &err),
                         STATUS_OK);
        assert_int_equal(count, 3000);
        static const char last[] = "{\"id\":2999,\"text\":\"as in the last block, 23749081\"}";
        assert_true(bytes_equal_string(records[2999].value, last));
        assert_corrupt(bytes, builder.records.size - 1);
        arena_free(arena);
        buffer_fini(&out);
        record_batch_fini(&builder);
    }
}

static void test_restamp(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct record_batch_builder builder = {0};
        struct buffer early = {0};
        struct buffer late = {0};
        for (uint32_t k = 0; k < 50; k++) {
            build_golden(&builder);
        }
        const struct record_batch_stamp stamp = {.base_offset = INT64_C(1) << 39,
                                                 .timestamp_ms = 5,
                                                 .log_append_time = false,
                                                 .producer_id = -1,
                                                 .producer_epoch = -1,
                                                 .base_sequence = -1};
        record_batch_finish(&builder, &plain_stamp, compressions[i], &early);
        record_batch_finish(&builder, &stamp, compressions[i], &late);
        record_batch_restamp(early.data, early.size, &stamp);
        assert_true(bytes_equal(bytes_of(early.data, early.size), bytes_of(late.data, late.size)));
        buffer_fini(&early);
        buffer_fini(&late);
        record_batch_fini(&builder);
    }
}

static void test_records_without_time(void **state)
{
    (void)state;
    struct record_batch_builder builder = {0};
    struct buffer out = {0};
    struct record_batch_stamp stamp = plain_stamp;
    stamp.timestamp_ms = -1;
    stamp.log_append_time = false;
    build_golden(&builder);
    record_batch_finish(&builder, &stamp, COMPRESSION_NONE, &out);
    struct arena *arena = arena_new(4096);
    struct record records[3];
    struct error err = {0};
    uint32_t count;
    assert_int_equal(
        read_all(arena, bytes_of(out.data, out.size), MAX_BYTES, records, 3, &count, NULL, &err),
        STATUS_OK);
    assert_int_equal(records[2].timestamp_kind, TIMESTAMP_NONE);
    assert_int_equal(records[2].timestamp_us, TIME_NEVER);
    arena_free(arena);
    buffer_fini(&out);
    record_batch_fini(&builder);
}

/* --- What is broken is found. --- */

/* A batch of a few records that lz4 and zstd do shrink. */
static void build_small(struct record_batch_builder *builder)
{
    build_golden(builder);
    build_golden(builder);
    build_golden(builder);
}

static void test_every_bit_flip_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct record_batch_builder builder = {0};
        struct buffer out = {0};
        build_small(&builder);
        record_batch_finish(&builder, &plain_stamp, compressions[i], &out);
        for (size_t bit = 0; bit < out.size * 8; bit++) {
            out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            struct bytes bytes = bytes_of(out.data, out.size);
            if (bit < 64 && bit != 7) {
                /* The base offset is the caller's to compare; it must come out as another one. */
                struct arena *arena = arena_new(4096);
                struct record_batch_reader reader;
                struct error err = {0};
                assert_int_equal(record_batch_open(&reader, arena, bytes, MAX_BYTES, &err),
                                 STATUS_OK);
                assert_true(reader.info.stamp.base_offset != plain_stamp.base_offset);
                arena_free(arena);
            } else {
                assert_corrupt(bytes, MAX_BYTES);
            }
            out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        buffer_fini(&out);
        record_batch_fini(&builder);
    }
}

static void test_every_length_but_its_own_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct record_batch_builder builder = {0};
        struct buffer out = {0};
        build_small(&builder);
        record_batch_finish(&builder, &plain_stamp, compressions[i], &out);
        for (size_t size = 0; size < out.size; size++) {
            assert_corrupt(bytes_of(out.data, size), MAX_BYTES);
        }
        buffer_append_byte(&out, 0);
        assert_corrupt(bytes_of(out.data, out.size), MAX_BYTES);
        /* Also when length and checksum have been made to fit. */
        for (size_t size = RECORD_BATCH_HEADER_BYTES; size < out.size - 1; size++) {
            struct buffer cut = {0};
            buffer_append(&cut, out.data, size);
            seal(&cut);
            assert_corrupt(bytes_of(cut.data, cut.size), MAX_BYTES);
            buffer_fini(&cut);
        }
        seal(&out);
        assert_corrupt(bytes_of(out.data, out.size), MAX_BYTES);
        buffer_fini(&out);
        record_batch_fini(&builder);
    }
}

/* Random damage under a right checksum: whatever comes out, nothing is read or written out of
 * bounds. */
static void test_damage_under_a_right_checksum(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 77);
    static struct record records[4096];
    for (uint32_t round = 0; round < 20000; round++) {
        struct record_batch_builder builder = {0};
        struct buffer out = {0};
        build_small(&builder);
        record_batch_finish(&builder, &plain_stamp, compressions[round % 3], &out);
        uint64_t changes = 1 + prng_below(&prng, 3);
        for (uint64_t i = 0; i < changes; i++) {
            size_t at = 21 + (size_t)prng_below(&prng, out.size - 21);
            out.data[at] = (uint8_t)prng_below(&prng, 256);
        }
        seal(&out);
        struct arena *arena = arena_new(4096);
        struct error err = {0};
        uint32_t count;
        uint8_t *copy = memory_alloc(out.size);
        memcpy(copy, out.data, out.size);
        enum status status =
            read_all(arena, bytes_of(copy, out.size), 4096, records, 4096, &count, NULL, &err);
        assert_true(status == STATUS_OK || status == STATUS_FATAL);
        memory_free(copy);
        arena_free(arena);
        buffer_fini(&out);
        record_batch_fini(&builder);
    }
}

/* A batch whose compressed part is `packed`. */
static void forge(struct buffer *out, enum compression compression, const void *packed, size_t size)
{
    struct record_batch_builder builder = {0};
    build_golden(&builder);
    record_batch_finish(&builder, &plain_stamp, COMPRESSION_NONE, out);
    record_batch_fini(&builder);
    out->size = RECORD_BATCH_HEADER_BYTES;
    out->data[22] = (uint8_t)((out->data[22] & ~7u) | (unsigned)compression);
    buffer_append(out, packed, size);
    seal(out);
}

static void test_bombs_are_bounded(void **state)
{
    (void)state;
    const size_t size = 200 * 1024 * 1024;
    const size_t max_bytes = 1024 * 1024;
    uint8_t *zeros = memory_alloc_zero(1, size);
    size_t bound = ZSTD_compressBound(size);
    uint8_t *packed = memory_alloc(bound);
    LZ4F_preferences_t sized = {.frameInfo = {.contentSize = size}};
    for (int kind = 0; kind < 3; kind++) {
        size_t packed_size =
            kind < 2 ? LZ4F_compressFrame(packed, bound, zeros, size, kind == 0 ? NULL : &sized)
                     : ZSTD_compress(packed, bound, zeros, size, 1);
        assert_true(packed_size < size / 100);
        struct buffer out = {0};
        forge(&out, kind < 2 ? COMPRESSION_LZ4 : COMPRESSION_ZSTD, packed, packed_size);
        struct arena *arena = arena_new(4096);
        struct record_batch_reader reader;
        struct error err = {0};
        assert_int_equal(
            record_batch_open(&reader, arena, bytes_of(out.data, out.size), max_bytes, &err),
            STATUS_FATAL);
        assert_non_null(strstr(err.message, "more bytes than a batch may have"));
        assert_true(arena_size(arena) <= 4 * max_bytes);
        arena_free(arena);
        buffer_fini(&out);
    }
    memory_free(packed);
    memory_free(zeros);
}

/* A few bytes that claim a large content get no memory for it. */
static void test_claims_are_not_believed(void **state)
{
    (void)state;
    static const uint8_t frame[] = {0x04, 0x22, 0x4D, 0x18, 0x68, 0x40, 0x00, 0x00, 0x00, 0x02,
                                    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
    struct buffer out = {0};
    forge(&out, COMPRESSION_LZ4, frame, sizeof frame);
    struct arena *arena = arena_new(4096);
    struct record_batch_reader reader;
    struct error err = {0};
    assert_int_equal(
        record_batch_open(&reader, arena, bytes_of(out.data, out.size), MAX_BYTES, &err),
        STATUS_FATAL);
    assert_true(arena_size(arena) < 65536);
    arena_free(arena);
    buffer_fini(&out);
}

/* The byte at `at` becomes `value`, under a right checksum. */
static void assert_field_is_checked(size_t at, uint8_t value)
{
    struct record_batch_builder builder = {0};
    struct buffer out = {0};
    build_golden(&builder);
    record_batch_finish(&builder, &plain_stamp, COMPRESSION_NONE, &out);
    assert_true(out.data[at] != value);
    out.data[at] = value;
    seal(&out);
    assert_corrupt(bytes_of(out.data, out.size), MAX_BYTES);
    buffer_fini(&out);
    record_batch_fini(&builder);
}

static void test_fields_are_checked(void **state)
{
    (void)state;
    assert_field_is_checked(0, 0x80);  /* base offset below 0 */
    assert_field_is_checked(22, 0x09); /* gzip */
    assert_field_is_checked(22, 0x0A); /* snappy */
    assert_field_is_checked(22, 0x18); /* transactional */
    assert_field_is_checked(22, 0x28); /* control */
    assert_field_is_checked(26, 3);    /* last offset delta */
    assert_field_is_checked(60, 2);    /* fewer records than there are */
    assert_field_is_checked(60, 4);    /* more */
    assert_field_is_checked(57, 0x80); /* a count below 0 */
    assert_field_is_checked(35, 0x7F); /* a timestamp that µs cannot say */
    assert_field_is_checked(61, 0x2C); /* the first record's length */
    assert_field_is_checked(64, 0x02); /* its offset delta */
    assert_field_is_checked(65, 0x80); /* its key's size */
    assert_field_is_checked(65, 0x03); /* a key size of -2 */
    assert_field_is_checked(82, 0x02); /* a header that is not there */
}

static void test_no_records_is_corrupt(void **state)
{
    (void)state;
    struct buffer out = {0};
    forge(&out, COMPRESSION_NONE, "", 0);
    memset(out.data + 57, 0, 4);
    memset(out.data + 23, 0xFF, 4);
    seal(&out);
    assert_corrupt(bytes_of(out.data, out.size), MAX_BYTES);
    buffer_append_byte(&out, 0);
    seal(&out);
    assert_corrupt(bytes_of(out.data, out.size), MAX_BYTES);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_reads_what_was_appended),
        cmocka_unit_test(test_reads_frames_of_other_writers),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_large_value),
        cmocka_unit_test(test_linked_blocks),
        cmocka_unit_test(test_restamp),
        cmocka_unit_test(test_records_without_time),
        cmocka_unit_test(test_every_bit_flip_is_found),
        cmocka_unit_test(test_every_length_but_its_own_is_refused),
        cmocka_unit_test(test_damage_under_a_right_checksum),
        cmocka_unit_test(test_bombs_are_bounded),
        cmocka_unit_test(test_claims_are_not_believed),
        cmocka_unit_test(test_fields_are_checked),
        cmocka_unit_test(test_no_records_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
