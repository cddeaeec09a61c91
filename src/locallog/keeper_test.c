/* Housekeeping: what is deleted and what is not, merged rows that say the same, readers and other
 * processes beside it. */
#include "locallog/testing.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#include "os/clock.h"
#include "os/file.h"
#include "os/thread.h"

enum { ROW_RECORDS = 40, MIB = 1024 * 1024 };

/* Rows of ROW_RECORDS records, a transaction each. */
static void write_rows(struct locallog *log, const struct locallog_topic *topic,
                       uint32_t partition, uint64_t *number, int rows)
{
    for (int i = 0; i < rows; i++) {
        must(locallog_begin(log, &err));
        append_numbers(log, topic, partition, *number, ROW_RECORDS);
        must(locallog_commit(log, &err));
        *number += ROW_RECORDS;
    }
}

static struct locallog_trimmed trim(struct locallog *log)
{
    struct locallog_trimmed trimmed;
    must(locallog_trim(log, &trimmed, &err));
    return trimmed;
}

static void keep(struct locallog *log, const struct locallog_topic *topic, int64_t age_us,
                 int64_t bytes)
{
    struct locallog_retention retention = {age_us, bytes};
    must(locallog_retention_write(log, topic, &retention, &err));
}

static int64_t first_offset(struct locallog *log, const struct locallog_topic *topic, uint32_t p)
{
    int64_t first;
    int64_t next;
    must(locallog_bounds(log, topic, p, &first, &next, &err));
    return first;
}

/* Everything from the first offset that is there; value n stands at offset n. Returns the end. */
static int64_t read_all(struct locallog *log, const struct locallog_topic *topic, uint32_t p)
{
    struct locallog_reader *reader;
    struct batch *batch = batch_new(&empty_layout);
    must(locallog_reader_open(log, topic, p, &reader, &err));
    int64_t offset = locallog_reader_position(reader);
    do {
        batch_reset(batch, p, 0);
        must(locallog_reader_read(reader, batch, INT64_MAX, &err));
        for (uint32_t i = 0; i < batch->row_count; i++, offset++) {
            assert_int_equal(batch->records[i].offset, offset);
            assert_int_equal(value_number(batch->records[i].value), offset);
        }
    } while (batch->row_count > 0);
    locallog_reader_close(reader);
    batch_free(batch);
    return offset;
}

static void count_problem(void *context, const char *topic, uint32_t partition, int64_t offset,
                          const char *what)
{
    (void)context;
    print_message("%s [%u] %lld: %s\n", topic, partition, (long long)offset, what);
}

static void must_be_sound(struct locallog *log)
{
    struct locallog_verified verified;
    must(locallog_verify(log, count_problem, NULL, &verified, &err));
    assert_int_equal(verified.problems, 0);
}

/* --- retention --- */

static void test_limits_are_kept(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 2);
    struct locallog_retention retention = {1, 1};
    must(locallog_retention_read(log, &topic, &retention, &err));
    assert_true(retention.age_us == 0 && retention.bytes == 0);
    keep(log, &topic, 7, 0);
    keep(log, &topic, 5, 9);
    must(locallog_retention_read(log, &topic, &retention, &err));
    assert_true(retention.age_us == 5 && retention.bytes == 9);
    must(locallog_topic_delete(log, "t", &err));
    assert_int_equal(log_sql_integer(log, "SELECT count(*) FROM weir_retention"), 0);
    locallog_close(log);
}

static void test_by_age(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 2);
    uint64_t number = 0;
    write_rows(log, &topic, 0, &number, 10);
    /* Half of them were written two hours ago. */
    log_sql(log, "UPDATE weir_batch SET max_timestamp_ms = max_timestamp_ms - 7200000"
                 " WHERE base_offset < 200");
    keep(log, &topic, INT64_C(3600) * 1000000, 0);
    struct locallog_trimmed trimmed = trim(log);
    assert_int_equal(trimmed.rows, 5);
    assert_int_equal(trimmed.records, 200);
    assert_int_equal(first_offset(log, &topic, 0), 200);
    assert_int_equal(read_all(log, &topic, 0), 400);
    must_be_sound(log);
    /* All may go; offsets go on where they were. */
    log_sql(log, "UPDATE weir_batch SET max_timestamp_ms = 0");
    trim(log);
    assert_int_equal(first_offset(log, &topic, 0), 400);
    write_rows(log, &topic, 0, &number, 1);
    assert_int_equal(read_all(log, &topic, 0), 440);
    locallog_close(log);
}

/* The oldest of all partitions go, until the topic is as large as it may be, and no other topic's. */
static void test_by_size(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 2);
    struct locallog_topic other = topic_make(log, "other", 1);
    uint64_t numbers[3] = {0};
    for (int i = 0; i < 30; i++) {
        write_rows(log, &topic, (uint32_t)i % 2, &numbers[i % 2], 1);
        write_rows(log, &other, 0, &numbers[2], 1);
        char sql[160];
        snprintf(sql, sizeof sql,
                 "UPDATE weir_batch SET max_timestamp_ms = %d WHERE topic = 1 AND partition = %d"
                 " AND base_offset = %d", i, i % 2, i / 2 * ROW_RECORDS);
        log_sql(log, sql);
    }
    static const char size[] = "SELECT sum(length(bytes)) FROM weir_batch WHERE topic = 1";
    int64_t limit = log_sql_integer(log, size) / 3;
    keep(log, &topic, 0, limit);
    trim(log);
    int64_t left = log_sql_integer(log, size);
    assert_true(left <= limit && left > limit * 3 / 4);
    int64_t apart = first_offset(log, &topic, 0) - first_offset(log, &topic, 1);
    assert_true(apart == 0 || apart == ROW_RECORDS);
    assert_int_equal(first_offset(log, &other, 0), 0);
    read_all(log, &topic, 0);
    read_all(log, &topic, 1);
    must_be_sound(log);
    locallog_close(log);
}

/* Whole rows, up to the offset and no further; the partitions beside it are left alone. */
static void test_delete_before(void **state)
{
    const struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "spool", 2);
    uint64_t number = 0;
    write_rows(log, &topic, 0, &number, 3);
    write_rows(log, &topic, 1, &number, 1);
    const struct {
        int64_t before;
        int64_t first;
    } cases[] = {{0, 0},
                 {ROW_RECORDS - 1, 0},
                 {ROW_RECORDS, ROW_RECORDS},
                 {3 * ROW_RECORDS - 1, 2 * ROW_RECORDS},
                 {INT64_MAX, 3 * ROW_RECORDS}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        must(locallog_begin(log, &err));
        must(locallog_delete_before(log, &topic, 0, cases[i].before, &err));
        must(locallog_commit(log, &err));
        assert_int_equal(first_offset(log, &topic, 0), cases[i].first);
    }
    assert_int_equal(first_offset(log, &topic, 1), 0);
    assert_int_equal(log_sql_integer(log, "SELECT sum(count) FROM weir_batch"), ROW_RECORDS);
    write_rows(log, &topic, 0, &number, 1);
    struct locallog_verified verified;
    must(locallog_verify(log, NULL, NULL, &verified, &err));
    assert_int_equal(verified.records, 2 * ROW_RECORDS);
    must(locallog_begin(log, &err));
    topic.topic++;
    must_fail(locallog_delete_before(log, &topic, 0, 1, &err), STATUS_CONFIG, "topic.missing", "");
    locallog_rollback(log);
    locallog_close(log);
}

static void test_reader_behind_retention(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 1);
    uint64_t number = 0;
    write_rows(log, &topic, 0, &number, 4);
    struct locallog_reader *reader;
    struct batch *batch = batch_new(&empty_layout);
    must(locallog_reader_open(log, &topic, 0, &reader, &err));
    keep(log, &topic, 0, 1);
    trim(log);
    batch_reset(batch, 0, 0);
    must_fail(locallog_reader_read(reader, batch, INT64_MAX, &err), STATUS_CONFIG,
              "log.offset_expired", "begins at offset 120");
    locallog_reader_close(reader);
    batch_free(batch);
    locallog_close(log);
}

/* The file becomes smaller, and what is in it stays. */
static void test_space_is_given_back(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 1);
    struct record_batch_builder builder = {0};
    struct prng prng;
    prng_init(&prng, 3);
    uint8_t *value = memory_alloc(MIB);
    for (size_t i = 0; i < MIB; i++) {
        value[i] = (uint8_t)prng_next(&prng);
    }
    record_batch_append(&builder, BYTES_NONE, bytes_of(value, MIB), NULL, 0);
    for (int i = 0; i < 24; i++) {
        must(locallog_begin(log, &err));
        must(locallog_append(log, &topic, 0, &builder, NULL, &err));
        must(locallog_commit(log, &err));
    }
    trim(log);
    assert_true(file_size(place->log) > 20 * MIB);
    keep(log, &topic, 0, 4 * MIB);
    struct locallog_trimmed trimmed = trim(log);
    assert_true(trimmed.freed_bytes > 15 * MIB);
    assert_true(file_size(place->log) < 8 * MIB);
    assert_int_equal(log_sql_integer(log, "PRAGMA freelist_count"), 0);
    must_be_sound(log);
    memory_free(value);
    record_batch_fini(&builder);
    locallog_close(log);
}

/* --- merging --- */

/* Time and kind of every record, to be the same afterwards. */
static struct hash128 digest(struct locallog *log, const struct locallog_topic *topic)
{
    struct locallog_reader *reader;
    struct batch *batch = batch_new(&empty_layout);
    struct buffer all = {0};
    must(locallog_reader_open(log, topic, 0, &reader, &err));
    do {
        batch_reset(batch, 0, 0);
        must(locallog_reader_read(reader, batch, INT64_MAX, &err));
        for (uint32_t i = 0; i < batch->row_count; i++) {
            const struct record *record = &batch->records[i];
            assert_int_equal(record->timestamp_kind, TIMESTAMP_BROKER);
            buffer_append_u64(&all, (uint64_t)record->offset);
            buffer_append_u64(&all, (uint64_t)record->timestamp_us);
            buffer_append_sized(&all, record->key.data, record->key.size);
            buffer_append_sized(&all, record->value.data, record->value.size);
            buffer_append_u8(&all, bytes_is_none(record->key));
            for (uint32_t h = 0; h < record->header_count; h++) {
                buffer_append_sized(&all, record->headers[h].name.data,
                                    record->headers[h].name.size);
                buffer_append_sized(&all, record->headers[h].value.data,
                                    record->headers[h].value.size);
                buffer_append_u8(&all, bytes_is_none(record->headers[h].value));
            }
        }
    } while (batch->row_count > 0);
    struct hash128 hash = hash_plain(all.data, all.size);
    buffer_fini(&all);
    locallog_reader_close(reader);
    batch_free(batch);
    return hash;
}

static void test_merged_rows_say_the_same(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 1);
    struct prng prng;
    prng_init(&prng, 21);
    struct record_batch_builder builder = {0};
    for (int row = 0; row < 700; row++) {
        record_batch_clear(&builder);
        for (uint64_t i = 0, count = 1 + prng_below(&prng, 30); i < count; i++) {
            struct record_header headers[2] = {
                {bytes_of_string("a"), BYTES_NONE},
                {bytes_of_string("weir.x"), bytes_of_string("\xff\x01")},
            };
            char value[64];
            snprintf(value, sizeof value, "%d/%d %llu", row, (int)i,
                     (unsigned long long)prng_next(&prng));
            record_batch_append(&builder, prng_below(&prng, 3) == 0 ? BYTES_NONE
                                                                     : bytes_of_string(value),
                                prng_below(&prng, 9) == 0 ? BYTES_NONE : bytes_of_string(value),
                                headers, (uint32_t)prng_below(&prng, 3));
        }
        must(locallog_begin(log, &err));
        must(locallog_append(log, &topic, 0, &builder, NULL, &err));
        must(locallog_commit(log, &err));
        if (row % 100 == 0) {
            clock_sleep_us(2000); /* another millisecond */
        }
    }
    record_batch_fini(&builder);
    struct hash128 before = digest(log, &topic);
    struct locallog_trimmed trimmed = trim(log);
    assert_int_equal(trimmed.merged_rows, 700);
    assert_true(trimmed.written_rows >= 2 && trimmed.written_rows <= 8);
    assert_int_equal(log_sql_integer(log, "SELECT count(*) FROM weir_batch"),
                     trimmed.written_rows);
    assert_true(log_sql_integer(log, "SELECT max(count) FROM weir_batch") <= LOCALLOG_ROW_RECORDS);
    assert_true(hash_equal(before, digest(log, &topic)));
    must_be_sound(log);
    assert_int_equal(trim(log).merged_rows, 0);
    locallog_close(log);
}

/* What a record had that was appended in a later millisecond than its neighbour. */
static void test_times_stay_apart(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 1);
    uint64_t number = 0;
    for (int i = 0; i < 5; i++) {
        write_rows(log, &topic, 0, &number, 1);
        clock_sleep_us(3000);
    }
    struct locallog_sizes before;
    must(locallog_sizes(log, &topic, 0, &before, &err));
    assert_true(before.newest_ms >= before.oldest_ms + 12);
    assert_int_equal(trim(log).written_rows, 1);
    struct locallog_sizes after;
    must(locallog_sizes(log, &topic, 0, &after, &err));
    assert_true(after.rows == 1 && after.oldest_ms == before.oldest_ms &&
                after.newest_ms == before.newest_ms);
    struct locallog_reader *reader;
    struct batch *batch = batch_new(&empty_layout);
    must(locallog_reader_open(log, &topic, 0, &reader, &err));
    batch_reset(batch, 0, 0);
    must(locallog_reader_read(reader, batch, INT64_MAX, &err));
    assert_int_equal(batch->row_count, 5 * ROW_RECORDS);
    for (uint32_t i = ROW_RECORDS; i < batch->row_count; i += ROW_RECORDS) {
        assert_true(batch->records[i].timestamp_us >= batch->records[i - 1].timestamp_us + 3000);
    }
    locallog_reader_close(reader);
    batch_free(batch);
    locallog_close(log);
}

/* Nothing damaged is written anew: its reader is to name it. */
static void test_damage_is_left_alone(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 1);
    uint64_t number = 0;
    write_rows(log, &topic, 0, &number, 8);
    log_sql(log, "UPDATE weir_batch SET bytes = (SELECT bytes FROM weir_batch"
                 " WHERE base_offset = 0) WHERE base_offset = 120");
    trim(log);
    struct locallog_verified verified;
    must(locallog_verify(log, count_problem, NULL, &verified, &err));
    assert_int_equal(verified.problems, 1);
    assert_int_equal(
        log_sql_integer(log, "SELECT count FROM weir_batch WHERE base_offset = 120"), ROW_RECORDS);
    locallog_close(log);
}

/* --- beside others --- */

struct shared {
    struct place *place;
    _Atomic uint64_t written; /* records acknowledged */
    atomic_bool stop;
};

static void write_small_rows(void *context)
{
    struct shared *shared = context;
    struct error err = {0};
    struct locallog *log;
    struct locallog_topic topic;
    struct locallog_checkpointer *checkpointer;
    bool found;
    process_check(locallog_open(shared->place->log, LOCALLOG_WRITE, &log, &err) == STATUS_OK,
                  "open", &err);
    process_check(locallog_topic_find(log, "t", &topic, &found, &err) == STATUS_OK && found,
                  "find", &err);
    process_check(locallog_checkpointer_start(shared->place->log, &checkpointer, &err) ==
                      STATUS_OK, "checkpointer", &err);
    int64_t first;
    int64_t next;
    process_check(locallog_bounds(log, &topic, 0, &first, &next, &err) == STATUS_OK, "bounds",
                  &err);
    while (!atomic_load(&shared->stop)) {
        struct record_batch_builder builder = {0};
        for (int i = 0; i < 150; i++) {
            builder_add_number(&builder, (uint64_t)next++, 64);
        }
        process_check(locallog_begin(log, &err) == STATUS_OK &&
                          locallog_append(log, &topic, 0, &builder, NULL, &err) == STATUS_OK &&
                          locallog_commit(log, &err) == STATUS_OK,
                      "append", &err);
        record_batch_fini(&builder);
        atomic_store(&shared->written, (uint64_t)next);
    }
    locallog_checkpointer_stop(checkpointer);
    locallog_close(log);
}

/* A writer whose checkpointer merges is killed again and again; a reader in this process goes on
 * through the rows that are merged beneath it, with retention behind it. */
static void test_merge_killed_and_read(void **state)
{
    struct place *place = *state;
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    shared->place = place;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 1);
    locallog_close(log);
    struct prng prng;
    prng_init(&prng, 77);
    int64_t merged = 0;
    /* On a slow machine a writer may be killed before it comes to merging. */
    for (int round = 0; round < 12 || (merged <= 2 && round < 100); round++) {
        pid_t writer = process_start(write_small_rows, shared);
        must(locallog_open(place->log, LOCALLOG_READ, &log, &err));
        struct locallog_reader *reader;
        struct batch *batch = batch_new(&empty_layout);
        must(locallog_reader_open(log, &topic, 0, &reader, &err));
        int64_t offset = 0;
        int64_t end_us = clock_monotonic_us() + 100000 + (int64_t)prng_below(&prng, 100000);
        while (clock_monotonic_us() < end_us) {
            batch_reset(batch, 0, 0);
            must(locallog_reader_read(reader, batch, INT64_MAX, &err));
            for (uint32_t i = 0; i < batch->row_count; i++, offset++) {
                assert_int_equal(value_number(batch->records[i].value), offset);
            }
        }
        assert_int_equal(kill(writer, SIGKILL), 0);
        assert_int_equal(process_wait(writer), 128 + SIGKILL);
        batch_free(batch);
        locallog_reader_close(reader);
        locallog_close(log);
        log = log_open(place->log);
        assert_true(read_all(log, &topic, 0) >= (int64_t)atomic_load(&shared->written));
        must_be_sound(log);
        merged = log_sql_integer(log, "SELECT count(*) FROM weir_batch WHERE count > 150");
        locallog_close(log);
    }
    assert_true(merged > 2);
    assert_int_equal(munmap(shared, sizeof *shared), 0);
}

/* The background does all of it: old rows go, small ones are merged, while a writer writes. */
static void test_in_the_background(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 1);
    struct locallog_checkpointer *checkpointer;
    keep(log, &topic, 0, 200000);
    must(locallog_checkpointer_start(place->log, &checkpointer, &err));
    static const char size[] = "SELECT coalesce(sum(length(bytes)), 0) FROM weir_batch";
    uint64_t number = 0;
    int64_t end_us = clock_monotonic_us() + 20000000;
    while (number < 600 * ROW_RECORDS) {
        write_rows(log, &topic, 0, &number, 1);
    }
    while ((log_sql_integer(log, size) > 200000 ||
            log_sql_integer(log, "SELECT max(count) FROM weir_batch") <= ROW_RECORDS) &&
           clock_monotonic_us() < end_us) {
        clock_sleep_us(10000);
    }
    assert_true(log_sql_integer(log, size) <= 200000);
    assert_true(first_offset(log, &topic, 0) > 0);
    assert_true(log_sql_integer(log, "SELECT max(count) FROM weir_batch") > ROW_RECORDS);
    must(locallog_checkpointer_status(checkpointer, &err));
    locallog_checkpointer_stop(checkpointer);
    assert_int_equal(read_all(log, &topic, 0), 600 * ROW_RECORDS);
    must_be_sound(log);
    locallog_close(log);
}

int main(void)
{
#define in_a_place(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        in_a_place(test_limits_are_kept),
        in_a_place(test_by_age),
        in_a_place(test_by_size),
        in_a_place(test_delete_before),
        in_a_place(test_reader_behind_retention),
        in_a_place(test_space_is_given_back),
        in_a_place(test_merged_rows_say_the_same),
        in_a_place(test_times_stay_apart),
        in_a_place(test_damage_is_left_alone),
        in_a_place(test_merge_killed_and_read),
        in_a_place(test_in_the_background),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
