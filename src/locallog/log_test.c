/* Appending and reading: against a model, at the edges, and over damaged rows. */
#include "locallog/testing.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/file.h"

/* --- A log against a model in memory. --- */

enum { PARTITIONS = 3 };

/* The numbers of the records of each partition. */
struct model {
    struct buffer numbers[PARTITIONS];
    size_t committed[PARTITIONS]; /* sizes at the last commit */
};

static uint64_t model_count(const struct model *model, uint32_t partition)
{
    return model->numbers[partition].size / sizeof(uint64_t);
}

static uint64_t model_number(const struct model *model, uint32_t partition, int64_t offset)
{
    uint64_t number;
    memcpy(&number, model->numbers[partition].data + (size_t)offset * sizeof number, sizeof number);
    return number;
}

static void model_append(struct locallog *log, const struct locallog_topic *topic,
                         struct model *model, uint32_t partition, uint32_t count,
                         uint64_t *next_number)
{
    struct record_batch_builder builder = {0};
    int64_t expected = (int64_t)model_count(model, partition);
    for (uint32_t i = 0; i < count; i++) {
        builder_add_number(&builder, *next_number, 16 + (size_t)(*next_number * 7919 % 90));
        buffer_append(&model->numbers[partition], next_number, sizeof *next_number);
        (*next_number)++;
    }
    int64_t base = -1;
    if (count % 2 == 0) {
        must(locallog_append(log, topic, partition, &builder, &base, &err));
    } else {
        struct buffer packed = {0};
        locallog_compress(&builder, &packed);
        must(locallog_append_finished(log, topic, partition, &packed, &base, &err));
        buffer_fini(&packed);
    }
    assert_int_equal(base, expected);
    record_batch_fini(&builder);
}

static uint32_t random_count(struct prng *prng)
{
    switch (prng_below(prng, 8)) {
    case 0:
        return 1;
    case 1:
        return 4000 + (uint32_t)prng_below(prng, 6000);
    case 2:
        return BATCH_ROWS_MAX;
    default:
        return 1 + (uint32_t)prng_below(prng, 700);
    }
}

static void model_transaction(struct locallog *log, const struct locallog_topic *topic,
                              struct model *model, struct prng *prng, uint64_t *next_number)
{
    must(locallog_begin(log, &err));
    uint64_t rows = prng_below(prng, 6);
    for (uint64_t i = 0; i < rows; i++) {
        uint32_t partition = (uint32_t)prng_below(prng, PARTITIONS);
        model_append(log, topic, model, partition, random_count(prng), next_number);
    }
    bool commit = prng_below(prng, 4) != 0;
    if (commit) {
        must(locallog_commit(log, &err));
    } else {
        locallog_rollback(log);
    }
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        if (commit) {
            model->committed[i] = model->numbers[i].size;
        } else {
            model->numbers[i].size = model->committed[i];
        }
    }
}

/* One read at the reader's position compared with the model. Returns how many records came. */
static uint32_t model_read(struct locallog_reader *reader, const struct model *model,
                           uint32_t partition, struct batch *batch, int64_t limit)
{
    int64_t position = locallog_reader_position(reader);
    uint32_t before = batch->row_count;
    must(locallog_reader_read(reader, batch, limit, &err));
    int64_t last_us = 0;
    for (uint32_t row = before; row < batch->row_count; row++, position++) {
        const struct record *record = &batch->records[row];
        assert_int_equal(record->offset, position);
        assert_int_equal(record->next_offset, position + 1);
        assert_int_equal(record->timestamp_kind, TIMESTAMP_BROKER);
        assert_true(record->timestamp_us >= last_us);
        last_us = record->timestamp_us;
        assert_true(position < limit);
        assert_int_equal(value_number(record->value), model_number(model, partition, position));
    }
    assert_int_equal(locallog_reader_position(reader), position);
    return batch->row_count - before;
}

static void model_compare(struct locallog *log, const struct locallog_topic *topic,
                          const struct model *model, struct prng *prng)
{
    struct batch *batch = batch_new(&empty_layout);
    for (uint32_t partition = 0; partition < PARTITIONS; partition++) {
        int64_t end = (int64_t)model_count(model, partition);
        int64_t first;
        int64_t next;
        must(locallog_bounds(log, topic, partition, &first, &next, &err));
        assert_int_equal(first, 0);
        assert_int_equal(next, end);
        struct locallog_reader *reader;
        must(locallog_reader_open(log, topic, partition, &reader, &err));
        int64_t position = (int64_t)prng_below(prng, (uint64_t)end + 1);
        position = prng_below(prng, 2) == 0 ? 0 : position;
        locallog_reader_seek(reader, position);
        for (;;) {
            batch_reset(batch, partition, 1);
            /* Some rows that are there already; some limits in the middle of a row. */
            uint32_t filled = prng_below(prng, 3) == 0 ? (uint32_t)prng_below(prng, 4097) : 0;
            for (uint32_t i = 0; i < filled; i++) {
                batch_append_record(batch);
            }
            position = locallog_reader_position(reader);
            int64_t limit = prng_below(prng, 3) == 0
                                ? position + 1 + (int64_t)prng_below(prng, 5000)
                                : INT64_MAX;
            uint32_t count = model_read(reader, model, partition, batch, limit);
            if (position == end) {
                assert_int_equal(count, 0);
                break;
            }
            assert_true(count > 0 || filled > 0);
        }
        locallog_reader_close(reader);
    }
    batch_free(batch);
}

static void test_against_a_model(void **state)
{
    struct place *place = *state;
    struct prng prng;
    prng_init(&prng, 20260131);
    struct model model = {0};
    uint64_t next_number = 0;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", PARTITIONS);
    topic_make(log, "neighbour", 2);
    for (int round = 0; round < 40; round++) {
        model_transaction(log, &topic, &model, &prng, &next_number);
        if (round % 8 == 7) {
            if (prng_below(&prng, 2) == 0) {
                locallog_close(log);
                log = log_open(place->log);
            }
            model_compare(log, &topic, &model, &prng);
        }
    }
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        assert_true(model_count(&model, i) > 4096);
        buffer_fini(&model.numbers[i]);
    }
    locallog_close(log);
}

/* --- Edges of reading. --- */

static struct locallog_reader *reader_at(struct locallog *log, const struct locallog_topic *topic,
                                         int64_t offset)
{
    struct locallog_reader *reader;
    must(locallog_reader_open(log, topic, 0, &reader, &err));
    locallog_reader_seek(reader, offset);
    return reader;
}

/* Rows of 100 records each. */
static struct locallog_topic hundreds(struct locallog *log, uint32_t rows)
{
    struct locallog_topic topic = topic_make(log, "t", 1);
    must(locallog_begin(log, &err));
    for (uint32_t i = 0; i < rows; i++) {
        append_numbers(log, &topic, 0, i * 100, 100);
    }
    must(locallog_commit(log, &err));
    return topic;
}

static void test_whole_rows_only_behind_others(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = hundreds(log, 60);
    struct batch *batch = batch_new(&empty_layout);
    struct locallog_reader *reader = reader_at(log, &topic, 0);
    must(locallog_reader_read(reader, batch, INT64_MAX, &err));
    assert_int_equal(batch->row_count, 4000); /* not 4096: the next row does not fit */
    must(locallog_reader_read(reader, batch, INT64_MAX, &err));
    assert_int_equal(batch->row_count, 4000);
    must(locallog_reader_read(reader, batch, 4050, &err)); /* but half of it does */
    assert_int_equal(batch->row_count, 4050);
    batch_reset(batch, 0, 0);
    must(locallog_reader_read(reader, batch, INT64_MAX, &err));
    assert_int_equal(batch->row_count, 1950); /* from the middle of a row */
    assert_int_equal(batch->records[0].offset, 4050);
    batch_reset(batch, 0, 0);
    must(locallog_reader_read(reader, batch, INT64_MAX, &err));
    assert_int_equal(batch->row_count, 0);
    locallog_reader_seek(reader, 5999);
    must(locallog_reader_read(reader, batch, 5999, &err)); /* the limit is here already */
    assert_int_equal(batch->row_count, 0);
    must(locallog_reader_read(reader, batch, INT64_MAX, &err));
    assert_int_equal(batch->row_count, 1);
    locallog_reader_seek(reader, 7000); /* beyond the end */
    must(locallog_reader_read(reader, batch, INT64_MAX, &err));
    assert_int_equal(batch->row_count, 1);
    locallog_reader_close(reader);
    batch_free(batch);
    locallog_close(log);
}

static void test_expired_offsets(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = hundreds(log, 3);
    log_sql(log, "DELETE FROM weir_batch WHERE base_offset < 200;"
                 "UPDATE weir_partition SET first_offset = 200");
    struct batch *batch = batch_new(&empty_layout);
    struct locallog_reader *reader;
    must(locallog_reader_open(log, &topic, 0, &reader, &err));
    assert_int_equal(locallog_reader_position(reader), 200);
    must(locallog_reader_read(reader, batch, INT64_MAX, &err));
    assert_int_equal(batch->row_count, 100);
    locallog_reader_seek(reader, 199);
    must_fail(locallog_reader_read(reader, batch, INT64_MAX, &err), STATUS_CONFIG,
              "log.offset_expired", "begins at offset 200");
    locallog_reader_close(reader);
    batch_free(batch);
    locallog_close(log);
}

static void test_large_and_empty_values(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 1);
    const size_t size = 10 * 1024 * 1024;
    uint8_t *value = memory_alloc(size);
    struct prng prng;
    prng_init(&prng, 3);
    for (size_t i = 0; i < size; i++) {
        value[i] = (uint8_t)prng_below(&prng, 256);
    }
    const struct record_header header = {bytes_of_string("name"), bytes_of("\0\xff", 2)};
    struct record_batch_builder builder = {0};
    must(locallog_begin(log, &err));
    for (int i = 0; i < 3; i++) {
        record_batch_append(&builder, bytes_of("\0", 1), bytes_of(value, size), &header, 1);
        must(locallog_append(log, &topic, 0, &builder, NULL, &err));
        record_batch_clear(&builder);
    }
    record_batch_append(&builder, BYTES_NONE, BYTES_NONE, NULL, 0);
    record_batch_append(&builder, bytes_of("", 0), bytes_of("", 0), NULL, 0);
    must(locallog_append(log, &topic, 0, &builder, NULL, &err));
    must(locallog_commit(log, &err));
    struct batch *batch = batch_new(&empty_layout);
    struct locallog_reader *reader = reader_at(log, &topic, 0);
    for (int i = 0; i < 3; i++) {
        batch_reset(batch, 0, 0);
        must(locallog_reader_read(reader, batch, INT64_MAX, &err));
        assert_int_equal(batch->row_count, 1); /* one is enough for a batch */
        assert_true(bytes_equal(batch->records[0].value, bytes_of(value, size)));
        assert_true(bytes_equal(batch->records[0].key, bytes_of("\0", 1)));
        assert_int_equal(batch->records[0].header_count, 1);
        assert_true(bytes_equal(batch->records[0].headers[0].value, header.value));
    }
    batch_reset(batch, 0, 0);
    must(locallog_reader_read(reader, batch, INT64_MAX, &err));
    assert_int_equal(batch->row_count, 2);
    assert_true(bytes_is_none(batch->records[0].value));
    assert_false(bytes_is_none(batch->records[1].value));
    locallog_reader_close(reader);
    batch_free(batch);
    record_batch_fini(&builder);
    memory_free(value);
    locallog_close(log);
}

static void test_time_does_not_go_back(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = hundreds(log, 1);
    int64_t now_ms = clock_realtime_us() / 1000;
    /* As if the clock had been an hour ahead at the last append. */
    log_sql(log, "UPDATE weir_partition SET max_timestamp_ms = max_timestamp_ms + 3600000");
    must(locallog_begin(log, &err));
    append_numbers(log, &topic, 0, 100, 1);
    must(locallog_commit(log, &err));
    struct batch *batch = batch_new(&empty_layout);
    struct locallog_reader *reader = reader_at(log, &topic, 0);
    must(locallog_reader_read(reader, batch, INT64_MAX, &err));
    assert_int_equal(batch->row_count, 101);
    assert_true(batch->records[99].timestamp_us / 1000 <= now_ms);
    assert_true(batch->records[99].timestamp_us / 1000 > now_ms - 60000);
    assert_int_equal(batch->records[100].timestamp_us,
                     batch->records[99].timestamp_us + INT64_C(3600000000));
    locallog_reader_close(reader);
    batch_free(batch);
    locallog_close(log);
}

/* --- Damage. --- */

/* Reading all of partition 0 fails, and the message names the place. */
static void assert_damage_at(struct locallog *log, const struct locallog_topic *topic,
                             int64_t start, int64_t offset)
{
    struct batch *batch = batch_new(&empty_layout);
    struct locallog_reader *reader = reader_at(log, topic, start);
    char place[100];
    snprintf(place, sizeof place, "topic t, partition 0, offset %lld of ", (long long)offset);
    struct error err = {0};
    enum status status;
    do {
        batch_reset(batch, 0, 0);
        status = locallog_reader_read(reader, batch, INT64_MAX, &err);
    } while (status == STATUS_OK && batch->row_count > 0);
    assert_int_equal(status, STATUS_FATAL);
    assert_string_equal(err.code, "log.corrupt");
    if (strstr(err.message, place) == NULL) {
        fail_msg("\"%s\" is not in: %s", place, err.message);
    }
    assert_true(locallog_reader_position(reader) <= offset);
    locallog_reader_close(reader);
    batch_free(batch);
}

static void test_damaged_rows_name_their_place(void **state)
{
    static const struct {
        const char *sql;
        int64_t start;
        int64_t offset;
    } cases[] = {
        {"DELETE FROM weir_batch WHERE base_offset = 0", 0, 0},
        {"DELETE FROM weir_batch WHERE base_offset = 300", 0, 300},
        {"DELETE FROM weir_batch WHERE base_offset = 300", 350, 350},
        {"DELETE FROM weir_batch WHERE base_offset = 900", 0, 900}, /* the last one */
        {"DELETE FROM weir_batch", 0, 0},
        {"UPDATE weir_batch SET count = 99 WHERE base_offset = 300", 0, 300},
        {"UPDATE weir_batch SET count = 101 WHERE base_offset = 300", 0, 300},
        {"UPDATE weir_batch SET count = 0 WHERE base_offset = 300", 0, 300},
        {"UPDATE weir_batch SET count = 101 WHERE base_offset = 900", 0, 900},
        {"UPDATE weir_batch SET base_offset = 301 WHERE base_offset = 300", 0, 300},
        {"UPDATE weir_batch SET position = position + 1 WHERE base_offset = 300", 0, 300},
        {"UPDATE weir_batch SET partition = 1 WHERE base_offset = 300", 0, 300},
        {"UPDATE weir_batch SET topic = 9 WHERE base_offset = 300", 0, 300},
        {"UPDATE weir_batch SET bytes = x'' WHERE base_offset = 300", 0, 300},
        {"UPDATE weir_batch SET bytes = substr(bytes, 1, length(bytes) - 1)"
         " WHERE base_offset = 300",
         0, 300},
        /* A sound batch in the place of another one. */
        {"UPDATE weir_batch SET bytes = (SELECT b.bytes FROM weir_batch b WHERE b.base_offset = "
         "400) WHERE base_offset = 300",
         0, 300},
        /* The same row once more, at offsets that others have. */
        {"INSERT INTO weir_batch SELECT position + 50, topic, partition, base_offset + 50, count,"
         " max_timestamp_ms, bytes FROM weir_batch WHERE base_offset = 300",
         0, 400},
        {"UPDATE weir_partition SET next_offset = 1001", 0, 1000},
        {"UPDATE weir_partition SET next_offset = 950", 0, 900},
        {"UPDATE weir_partition SET next_offset = 1 << 41", 0, 0},
    };
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = hundreds(log, 10);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        must(locallog_begin(log, &err));
        log_sql(log, cases[i].sql);
        assert_damage_at(log, &topic, cases[i].start, cases[i].offset);
        locallog_rollback(log);
    }
    locallog_close(log);
}

static void test_every_bit_of_a_row_counts(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 1);
    must(locallog_begin(log, &err));
    append_numbers(log, &topic, 0, 0, 3);
    append_numbers(log, &topic, 0, 3, 3);
    must(locallog_commit(log, &err));
    must(locallog_begin(log, &err));
    sqlite3_blob *blob;
    int64_t position = log_sql_integer(log, "SELECT max(position) FROM weir_batch");
    assert_int_equal(sqlite3_blob_open(locallog_database(log), "main", "weir_batch", "bytes",
                                       position, 1, &blob),
                     SQLITE_OK);
    int size = sqlite3_blob_bytes(blob);
    assert_true(size > 61 && size < 300);
    for (int bit = 0; bit < size * 8; bit++) {
        uint8_t byte;
        assert_int_equal(sqlite3_blob_read(blob, &byte, 1, bit / 8), SQLITE_OK);
        uint8_t flipped = byte ^ (uint8_t)(1u << bit % 8);
        assert_int_equal(sqlite3_blob_write(blob, &flipped, 1, bit / 8), SQLITE_OK);
        assert_damage_at(log, &topic, 0, 3);
        assert_int_equal(sqlite3_blob_write(blob, &byte, 1, bit / 8), SQLITE_OK);
    }
    sqlite3_blob_close(blob);
    locallog_rollback(log);
    locallog_close(log);
}

/* Zeros over pages of the file itself: either nobody needs them, or it is said; never other
 * records. */
static void test_damaged_pages(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 1);
    must(locallog_begin(log, &err));
    for (uint64_t i = 0; i < 40; i++) {
        append_numbers(log, &topic, 0, i * 1000, 1000);
    }
    must(locallog_commit(log, &err));
    locallog_close(log);
    int64_t pages = file_size(place->log) / 16384;
    assert_true(pages > 20);
    uint32_t found = 0;
    struct batch *batch = batch_new(&empty_layout);
    for (int64_t page = 1; page < pages; page++) {
        uint8_t kept[16384];
        uint8_t zeros[16384] = {0};
        int fd = open(place->log, O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, kept, sizeof kept, page * 16384), sizeof kept);
        assert_int_equal(pwrite(fd, zeros, sizeof zeros, page * 16384), sizeof zeros);
        close(fd);
        struct error err = {0};
        struct locallog_reader *reader = NULL;
        enum status status = locallog_open(place->log, LOCALLOG_READ, &log, &err);
        bool opened = status == STATUS_OK;
        status = opened ? locallog_reader_open(log, &topic, 0, &reader, &err) : status;
        uint64_t number = 0;
        do {
            batch_reset(batch, 0, 0);
            status = reader == NULL ? status : locallog_reader_read(reader, batch, INT64_MAX, &err);
            for (uint32_t i = 0; i < batch->row_count; i++) {
                assert_int_equal(value_number(batch->records[i].value), number++);
            }
        } while (status == STATUS_OK && batch->row_count > 0);
        assert_true(status != STATUS_OK || number == 40000);
        found += status == STATUS_FATAL && strcmp(err.code, "log.corrupt") == 0;
        locallog_reader_close(reader);
        if (opened) {
            locallog_close(log);
        }
        fd = open(place->log, O_RDWR);
        assert_int_equal(pwrite(fd, kept, sizeof kept, page * 16384), sizeof kept);
        close(fd);
    }
    batch_free(batch);
    assert_true(found > (uint32_t)pages / 2);
}

/* --- The disk and other programs in the way. --- */

static void test_full_disk(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = hundreds(log, 1);
    char sql[80];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld",
             (long long)log_sql_integer(log, "PRAGMA page_count"));
    log_sql(log, sql);
    struct record_batch_builder builder = {0};
    struct prng prng;
    prng_init(&prng, 1);
    for (int i = 0; i < 40000; i++) {
        uint64_t noise = prng_next(&prng);
        record_batch_append(&builder, BYTES_NONE, bytes_of(&noise, sizeof noise), NULL, 0);
    }
    for (int i = 0; i < 2; i++) {
        must(locallog_begin(log, &err));
        must_fail(locallog_append(log, &topic, 0, &builder, NULL, &err), STATUS_RETRY, "log.full",
                  "Free space");
        assert_false(locallog_in_transaction(log));
        locallog_rollback(log);
    }
    log_sql(log, "PRAGMA max_page_count = 100000");
    int64_t base = -1;
    must(locallog_begin(log, &err));
    must(locallog_append(log, &topic, 0, &builder, &base, &err));
    must(locallog_commit(log, &err));
    assert_int_equal(base, 100);
    record_batch_fini(&builder);
    locallog_close(log);
}

static void test_busy_file(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = hundreds(log, 1);
    sqlite3 *stranger;
    assert_int_equal(sqlite3_open(place->log, &stranger), SQLITE_OK);
    assert_int_equal(sqlite3_exec(stranger, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_busy_timeout(locallog_database(log), 20);
    must_fail(locallog_begin(log, &err), STATUS_RETRY, "log.busy", "another program");
    assert_false(locallog_in_transaction(log));
    assert_int_equal(sqlite3_exec(stranger, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    must(locallog_begin(log, &err));
    append_numbers(log, &topic, 0, 100, 1);
    must(locallog_commit(log, &err));
    assert_int_equal(sqlite3_close(stranger), SQLITE_OK);
    locallog_close(log);
}

static void test_last_offset(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 1);
    log_sql(log, "UPDATE weir_partition SET first_offset = (1 << 40) - 100,"
                 " next_offset = (1 << 40) - 100");
    must(locallog_begin(log, &err));
    append_numbers(log, &topic, 0, 0, 99);
    must(locallog_commit(log, &err));
    struct record_batch_builder builder = {0};
    builder_add_number(&builder, 99, 16);
    builder_add_number(&builder, 100, 16);
    must(locallog_begin(log, &err));
    must_fail(locallog_append(log, &topic, 0, &builder, NULL, &err), STATUS_FATAL,
              "log.partition_full", "2^40");
    must(locallog_begin(log, &err));
    append_numbers(log, &topic, 0, 99, 1);
    must(locallog_commit(log, &err));
    struct batch *batch = batch_new(&empty_layout);
    struct locallog_reader *reader;
    must(locallog_reader_open(log, &topic, 0, &reader, &err));
    must(locallog_reader_read(reader, batch, INT64_MAX, &err));
    assert_int_equal(batch->row_count, 100);
    assert_int_equal(value_number(batch->records[99].value), 99);
    assert_int_equal(batch->records[99].offset, (INT64_C(1) << 40) - 1);
    locallog_reader_close(reader);
    batch_free(batch);
    record_batch_fini(&builder);
    locallog_close(log);
}

/* Tables of others in the same file, in the same transaction. */
static void test_one_transaction_for_all_tables(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = hundreds(log, 1);
    log_sql(log, "CREATE TABLE rows (a UNIQUE)");
    for (int i = 0; i < 4; i++) {
        must(locallog_begin(log, &err));
        append_numbers(log, &topic, 0, 100, 1);
        log_sql(log, "INSERT INTO rows SELECT count(*) FROM rows");
        if (i % 2 == 0) {
            must(locallog_commit(log, &err));
        } else {
            locallog_rollback(log);
        }
    }
    assert_int_equal(log_sql_integer(log, "SELECT count(*) FROM rows"), 2);
    assert_int_equal(log_sql_integer(log, "SELECT next_offset FROM weir_partition"), 102);
    /* A statement of theirs that ends the transaction ends the handle's too. */
    log_sql(log, "CREATE TRIGGER t BEFORE INSERT ON rows BEGIN SELECT RAISE(ROLLBACK, 'no'); END");
    must(locallog_begin(log, &err));
    append_numbers(log, &topic, 0, 100, 1);
    int result =
        sqlite3_exec(locallog_database(log), "INSERT INTO rows VALUES (9)", NULL, NULL, NULL);
    must_fail(locallog_error(log, result, "insert into rows of", &err), STATUS_FATAL, "log.sql",
              "no");
    assert_false(locallog_in_transaction(log));
    must(locallog_begin(log, &err));
    must(locallog_commit(log, &err));
    assert_int_equal(log_sql_integer(log, "SELECT next_offset FROM weir_partition"), 102);
    locallog_close(log);
}

int main(void)
{
#define in_a_place(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        in_a_place(test_against_a_model),
        in_a_place(test_whole_rows_only_behind_others),
        in_a_place(test_expired_offsets),
        in_a_place(test_large_and_empty_values),
        in_a_place(test_time_does_not_go_back),
        in_a_place(test_damaged_rows_name_their_place),
        in_a_place(test_every_bit_of_a_row_counts),
        in_a_place(test_damaged_pages),
        in_a_place(test_full_disk),
        in_a_place(test_busy_file),
        in_a_place(test_last_offset),
        in_a_place(test_one_transaction_for_all_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
