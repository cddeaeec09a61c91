/* Several processes on one log: kill -9, whole commits only, fairness, owners, waiting. */
#include "locallog/testing.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/thread.h"

/* What two processes tell each other. */
struct shared {
    struct place *place;
    _Atomic uint64_t acknowledged; /* records per partition whose commit was answered */
    _Atomic uint64_t commits[3];
    atomic_bool go;
    atomic_bool stop;
};

static struct shared *shared_make(struct place *place)
{
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    shared->place = place;
    return shared;
}

static void shared_free(struct shared *shared)
{
    assert_int_equal(munmap(shared, sizeof *shared), 0);
}

/* In a child: these end the process when they fail. */
static struct locallog *child_open(const struct shared *shared, struct locallog_topic *out_topic)
{
    struct error err = {0};
    struct locallog *log;
    bool found;
    process_check(locallog_open(shared->place->log, LOCALLOG_WRITE, &log, &err) == STATUS_OK,
                  "open", &err);
    process_check(locallog_topic_find(log, "t", out_topic, &found, &err) == STATUS_OK && found,
                  "find", &err);
    return log;
}

static void child_begin(struct locallog *log)
{
    struct error err = {0};
    process_check(locallog_begin(log, &err) == STATUS_OK, "begin", &err);
}

static void child_commit(struct locallog *log)
{
    struct error err = {0};
    process_check(locallog_commit(log, &err) == STATUS_OK, "commit", &err);
}

static void child_append(struct locallog *log, const struct locallog_topic *topic,
                         uint32_t partition, uint64_t first, uint32_t count)
{
    struct error err = {0};
    struct record_batch_builder builder = {0};
    for (uint32_t i = 0; i < count; i++) {
        builder_add_number(&builder, first + i, 16 + (first + i) % 50);
    }
    process_check(locallog_append(log, topic, partition, &builder, NULL, &err) == STATUS_OK,
                  "append", &err);
    record_batch_fini(&builder);
}

static void topic_prepare(const struct place *place)
{
    struct locallog *log = log_open(place->log);
    topic_make(log, "t", 2);
    locallog_close(log);
}

/* Reads the partition to its end; the record at offset n has the number n. Returns the end. */
static uint64_t numbers_verify(struct locallog *log, uint32_t partition)
{
    struct locallog_topic topic = topic_make(log, "t", 2);
    struct locallog_reader *reader;
    must(locallog_reader_open(log, &topic, partition, &reader, &err));
    struct batch *batch = batch_new(&empty_layout);
    uint64_t number = 0;
    do {
        batch_reset(batch, partition, 0);
        must(locallog_reader_read(reader, batch, INT64_MAX, &err));
        for (uint32_t i = 0; i < batch->row_count; i++, number++) {
            assert_int_equal(batch->records[i].offset, number);
            assert_int_equal(value_number(batch->records[i].value), number);
        }
    } while (batch->row_count > 0);
    batch_free(batch);
    locallog_reader_close(reader);
    return number;
}

/* --- kill -9. --- */

enum { KILL_ROW_RECORDS = 70, KILL_ROWS = 3, KILL_ROUNDS = 20 };

/* Both partitions get the same numbers in one transaction. */
static void write_until_killed(void *context)
{
    struct shared *shared = context;
    struct locallog_topic topic;
    struct locallog *log = child_open(shared, &topic);
    struct error err = {0};
    int64_t first;
    int64_t next;
    process_check(locallog_bounds(log, &topic, 0, &first, &next, &err) == STATUS_OK, "bounds",
                  &err);
    uint64_t number = (uint64_t)next;
    atomic_store(&shared->go, true);
    for (;;) {
        child_begin(log);
        for (int i = 0; i < KILL_ROWS; i++) {
            child_append(log, &topic, 0, number, KILL_ROW_RECORDS);
            child_append(log, &topic, 1, number, KILL_ROW_RECORDS);
            number += KILL_ROW_RECORDS;
        }
        child_commit(log);
        atomic_store(&shared->acknowledged, number);
    }
}

static void test_killed_writer(void **state)
{
    struct place *place = *state;
    struct shared *shared = shared_make(place);
    struct prng prng;
    prng_init(&prng, 9);
    topic_prepare(place);
    for (int round = 0; round < KILL_ROUNDS; round++) {
        atomic_store(&shared->go, false);
        pid_t writer = process_start(write_until_killed, shared);
        while (!atomic_load(&shared->go)) {
            clock_sleep_us(100);
        }
        clock_sleep_us((int64_t)prng_below(&prng, 30000));
        assert_int_equal(kill(writer, SIGKILL), 0);
        assert_int_equal(process_wait(writer), 128 + SIGKILL);
        uint64_t acknowledged = atomic_load(&shared->acknowledged);
        struct locallog *log = log_open(place->log);
        uint64_t there = numbers_verify(log, 0);
        assert_int_equal(numbers_verify(log, 1), there);
        assert_true(there >= acknowledged);
        assert_true(there <= acknowledged + KILL_ROWS * KILL_ROW_RECORDS);
        assert_int_equal(there % (KILL_ROWS * KILL_ROW_RECORDS), 0);
        atomic_store(&shared->acknowledged, there);
        /* The locks went with the writer. */
        struct locallog_topic topic = topic_make(log, "t", 2);
        must(locallog_begin(log, &err));
        append_numbers(log, &topic, 0, 0, 1);
        locallog_rollback(log);
        locallog_close(log);
    }
    assert_true(atomic_load(&shared->acknowledged) > 0);
    shared_free(shared);
}

/* --- Readers see whole commits. --- */

static void write_until_stopped(void *context)
{
    struct shared *shared = context;
    struct locallog_topic topic;
    struct locallog *log = child_open(shared, &topic);
    uint64_t number = 0;
    while (!atomic_load(&shared->stop)) {
        child_begin(log);
        for (int i = 0; i < KILL_ROWS; i++) {
            child_append(log, &topic, 0, number, KILL_ROW_RECORDS);
            number += KILL_ROW_RECORDS;
        }
        child_commit(log);
        atomic_fetch_add(&shared->commits[0], 1);
    }
    locallog_close(log);
}

static void test_readers_see_whole_commits(void **state)
{
    struct place *place = *state;
    struct shared *shared = shared_make(place);
    topic_prepare(place);
    pid_t writer = process_start(write_until_stopped, shared);
    struct locallog *log;
    must(locallog_open(place->log, LOCALLOG_READ, &log, &err));
    struct locallog_topic topic;
    bool found;
    must(locallog_topic_find(log, "t", &topic, &found, &err));
    struct locallog_reader *reader;
    must(locallog_reader_open(log, &topic, 0, &reader, &err));
    struct batch *batch = batch_new(&empty_layout);
    uint64_t number = 0;
    uint32_t ends = 0;
    uint32_t growths = 0;
    while (growths < 60) {
        uint64_t committed = atomic_load(&shared->commits[0]);
        batch_reset(batch, 0, 0);
        must(locallog_reader_read(reader, batch, INT64_MAX, &err));
        for (uint32_t i = 0; i < batch->row_count; i++) {
            assert_int_equal(value_number(batch->records[i].value), number++);
        }
        growths += batch->row_count > 0;
        if (batch->row_count == 0) {
            /* At an end: no part of a commit, and all that was answered before the look. */
            assert_int_equal(number % (KILL_ROWS * KILL_ROW_RECORDS), 0);
            assert_true(number >= committed * KILL_ROWS * KILL_ROW_RECORDS);
            ends++;
        }
    }
    assert_true(ends > 0);
    atomic_store(&shared->stop, true);
    assert_int_equal(process_wait(writer), 0);
    batch_free(batch);
    locallog_reader_close(reader);
    locallog_close(log);
    shared_free(shared);
}

/* --- The ticket. --- */

struct hammer {
    struct shared *shared;
    int index;
    int processor;
};

static void hammer_run(void *context)
{
    struct hammer *hammer = context;
    struct shared *shared = hammer->shared;
    struct locallog_topic topic;
    struct locallog *log = child_open(shared, &topic);
    /* All on one processor: whoever gives the ticket back runs, and those who wait for it sleep. */
    cpu_set_t processors;
    CPU_ZERO(&processors);
    CPU_SET((size_t)hammer->processor, &processors);
    process_check(sched_setaffinity(0, sizeof processors, &processors) == 0, "pin", NULL);
    while (!atomic_load(&shared->go)) {
        clock_sleep_us(100);
    }
    while (!atomic_load(&shared->stop)) {
        child_begin(log);
        child_append(log, &topic, 0, 0, 1);
        child_commit(log);
        atomic_fetch_add(&shared->commits[hammer->index], 1);
    }
    locallog_close(log);
}

static void test_nobody_starves(void **state)
{
    struct place *place = *state;
    struct shared *shared = shared_make(place);
    topic_prepare(place);
    struct hammer hammers[3];
    pid_t processes[3];
    const int processor = sched_getcpu();
    for (int i = 0; i < 3; i++) {
        hammers[i] = (struct hammer){shared, i, processor};
        processes[i] = process_start(hammer_run, &hammers[i]);
    }
    atomic_store(&shared->go, true);
    clock_sleep_us(2000000);
    atomic_store(&shared->stop, true);
    uint64_t total = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(process_wait(processes[i]), 0);
        total += atomic_load(&shared->commits[i]);
    }
    for (int i = 0; i < 3; i++) {
        uint64_t own = atomic_load(&shared->commits[i]);
        print_message("process %d: %llu of %llu commits\n", i, (unsigned long long)own,
                      (unsigned long long)total);
        assert_true(own * 100 >= total * 15);
    }
    struct locallog *log = log_open(place->log);
    assert_int_equal(log_sql_integer(log, "SELECT next_offset FROM weir_partition"), total);
    locallog_close(log);
    shared_free(shared);
}

/* --- One owner for a group. --- */

static void own_until_killed(void *context)
{
    struct shared *shared = context;
    struct error err = {0};
    struct locallog_group_lock *lock;
    process_check(locallog_group_acquire(shared->place->log, "g", &lock, &err) == STATUS_OK,
                  "acquire", &err);
    atomic_store(&shared->go, true);
    pause();
}

static void test_owner(void **state)
{
    struct place *place = *state;
    struct shared *shared = shared_make(place);
    pid_t owner = process_start(own_until_killed, shared);
    while (!atomic_load(&shared->go)) {
        clock_sleep_us(100);
    }
    struct locallog_group_lock *lock;
    struct locallog_group_lock *other;
    int64_t start_us = clock_monotonic_us();
    must_fail(locallog_group_acquire(place->log, "g", &lock, &err), STATUS_CONFIG, "group.owned",
              "group g of");
    assert_true(clock_monotonic_us() - start_us < 1000000);
    must(locallog_group_acquire(place->log, "h", &other, &err));
    assert_int_equal(kill(owner, SIGKILL), 0);
    assert_int_equal(process_wait(owner), 128 + SIGKILL);
    must(locallog_group_acquire(place->log, "g", &lock, &err));
    locallog_group_release(lock);
    must(locallog_group_acquire(place->log, "g", &lock, &err));
    locallog_group_release(lock);
    locallog_group_release(other);
    shared_free(shared);
}

/* --- Waiting. --- */

static void commit_when_asked(void *context)
{
    struct shared *shared = context;
    struct locallog_topic topic;
    struct locallog *log = child_open(shared, &topic);
    for (uint64_t number = 0; !atomic_load(&shared->stop);) {
        if (atomic_load(&shared->acknowledged) <= number) {
            clock_sleep_us(50);
            continue;
        }
        clock_sleep_us((int64_t)(number * 7919 % 4000));
        child_begin(log);
        child_append(log, &topic, 0, number++, 1);
        child_commit(log);
        atomic_store(&shared->commits[0], number);
    }
    locallog_close(log);
}

static void test_waiting_sees_every_commit(void **state)
{
    struct place *place = *state;
    struct shared *shared = shared_make(place);
    topic_prepare(place);
    pid_t writer = process_start(commit_when_asked, shared);
    struct locallog *log;
    must(locallog_open(place->log, LOCALLOG_READ, &log, &err));
    struct locallog_topic topic;
    bool found;
    must(locallog_topic_find(log, "t", &topic, &found, &err));
    struct locallog_reader *reader;
    must(locallog_reader_open(log, &topic, 0, &reader, &err));
    struct batch *batch = batch_new(&empty_layout);
    for (uint64_t number = 0; number < 100; number++) {
        atomic_store(&shared->acknowledged, number + 1);
        int64_t start_us = clock_monotonic_us();
        batch_reset(batch, 0, 0);
        for (;;) {
            must(locallog_reader_read(reader, batch, INT64_MAX, &err));
            if (batch->row_count > 0) {
                break;
            }
            /* However long the disk takes: a commit without an event costs one idle look. */
            locallog_wait(log, 20000000);
        }
        assert_int_equal(batch->row_count, 1);
        assert_int_equal(value_number(batch->records[0].value), number);
        assert_true(clock_monotonic_us() - start_us < 15000000);
    }
    /* And without one it waits as long as it should. */
    locallog_wait(log, 0);
    int64_t start_us = clock_monotonic_us();
    for (int i = 0; i < 20 && clock_monotonic_us() - start_us < 100000; i++) {
        locallog_wait(log, start_us + 100000 - clock_monotonic_us());
    }
    assert_true(clock_monotonic_us() - start_us >= 100000);
    atomic_store(&shared->stop, true);
    assert_int_equal(process_wait(writer), 0);
    batch_free(batch);
    locallog_reader_close(reader);
    locallog_close(log);
    shared_free(shared);
}

int main(void)
{
#define in_a_place(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        in_a_place(test_killed_writer),
        in_a_place(test_readers_see_whole_commits),
        in_a_place(test_nobody_starves),
        in_a_place(test_owner),
        in_a_place(test_waiting_sees_every_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
