/* The write-ahead log stays bounded: by the thread, by writers alone, past readers in the way. */
#include "locallog/testing.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "locallog/private.h"
#include "os/clock.h"
#include "os/file.h"

enum {
    MIB = 1024 * 1024,
    ROW_BYTES = 1 * MIB,
    CAP_MIB = 64,
    /* What a writer can add while a checkpoint is on its way, or waits for a processor. */
    SLACK_MIB = 64,
    ALONE_MAX_MIB = 16,
};

struct scene {
    struct place *place;
    struct locallog *log;
    struct locallog_topic topic;
    struct record_batch_builder row; /* bytes that do not compress */
    uint64_t rows;
    int64_t greatest_mib; /* of the write-ahead log, so far */
};

static struct scene scene_make(struct place *place)
{
    struct scene scene = {.place = place, .log = log_open(place->log)};
    scene.topic = topic_make(scene.log, "t", 1);
    struct prng prng;
    prng_init(&prng, 11);
    uint8_t *value = memory_alloc(ROW_BYTES);
    for (size_t i = 0; i < ROW_BYTES; i++) {
        value[i] = (uint8_t)prng_next(&prng);
    }
    record_batch_append(&scene.row, BYTES_NONE, bytes_of(value, ROW_BYTES), NULL, 0);
    memory_free(value);
    return scene;
}

static int64_t wal_mib(const struct scene *scene)
{
    char path[320];
    snprintf(path, sizeof path, "%s-wal", scene->place->log);
    return file_size(path) / MIB;
}

static void scene_write(struct scene *scene, uint64_t rows)
{
    for (uint64_t i = 0; i < rows; i++) {
        must(locallog_begin(scene->log, &err));
        must(locallog_append(scene->log, &scene->topic, 0, &scene->row, NULL, &err));
        must(locallog_commit(scene->log, &err));
        scene->rows++;
        int64_t mib = wal_mib(scene);
        scene->greatest_mib = mib > scene->greatest_mib ? mib : scene->greatest_mib;
    }
}

static void scene_end(struct scene *scene)
{
    struct batch *batch = batch_new(&empty_layout);
    struct locallog_reader *reader;
    must(locallog_reader_open(scene->log, &scene->topic, 0, &reader, &err));
    uint64_t rows = 0;
    do {
        batch_reset(batch, 0, 0);
        must(locallog_reader_read(reader, batch, INT64_MAX, &err));
        rows += batch->row_count;
    } while (batch->row_count > 0);
    assert_int_equal(rows, scene->rows);
    locallog_reader_close(reader);
    batch_free(batch);
    record_batch_fini(&scene->row);
    locallog_close(scene->log);
}

static void test_writers_alone(void **state)
{
    struct scene scene = scene_make(*state);
    scene_write(&scene, 60);
    assert_true(scene.greatest_mib <= ALONE_MAX_MIB);
    scene_end(&scene);
}

static void test_with_the_thread(void **state)
{
    struct scene scene = scene_make(*state);
    struct locallog_checkpointer *first;
    struct locallog_checkpointer *second;
    must(locallog_checkpointer_start(scene.place->log, &first, &err));
    must(locallog_checkpointer_start(scene.place->log, &second, &err));
    scene_write(&scene, 120);
    assert_true(scene.greatest_mib <= CAP_MIB + SLACK_MIB);
    must(locallog_checkpointer_status(first, &err));
    int64_t start_us = clock_monotonic_us();
    locallog_checkpointer_stop(first);
    assert_true(clock_monotonic_us() - start_us < 5000000);
    /* The other one takes over. */
    scene_write(&scene, 60);
    assert_true(scene.greatest_mib <= CAP_MIB + SLACK_MIB);
    must(locallog_checkpointer_status(second, &err));
    locallog_checkpointer_stop(second);
    locallog_checkpointer_stop(NULL);
    scene_end(&scene);
}

/* Who is the checkpointer commits too: that does not make it step down. */
static void test_its_own_commits(void **state)
{
    struct scene scene = scene_make(*state);
    char locks[320];
    snprintf(locks, sizeof locks, "%s-lock", scene.place->log);
    must(locallog_open_locks(scene.log, &err));
    must(lock_try(scene.log->locks, LOCK_CHECKPOINTER, &scene.log->is_checkpointer, &err));
    assert_true(scene.log->is_checkpointer);
    scene_write(&scene, 30);
    assert_true(scene.greatest_mib <= ALONE_MAX_MIB);
    assert_true(lock_is_held(locks, LOCK_CHECKPOINTER));
    scene_end(&scene);
    assert_false(lock_is_held(locks, LOCK_CHECKPOINTER));
}

static void test_start_and_stop(void **state)
{
    struct scene scene = scene_make(*state);
    for (int i = 0; i < 20; i++) {
        struct locallog_checkpointer *checkpointer;
        must(locallog_checkpointer_start(scene.place->log, &checkpointer, &err));
        scene_write(&scene, (uint64_t)i % 3);
        locallog_checkpointer_stop(checkpointer);
    }
    scene_end(&scene);
    struct locallog_checkpointer *checkpointer;
    must_fail(locallog_checkpointer_start("no/such.db", &checkpointer, &err), STATUS_CONFIG,
              "log.missing", "no/such.db");
}

/* A reader of old rows keeps the log from beginning anew; writers go on, and when it is gone so is
 * the log's length. */
static void test_reader_in_the_way(void **state)
{
    struct scene scene = scene_make(*state);
    scene_write(&scene, 1);
    struct locallog_checkpointer *checkpointer;
    must(locallog_checkpointer_start(scene.place->log, &checkpointer, &err));
    sqlite3 *reader;
    assert_int_equal(sqlite3_open(scene.place->log, &reader), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM weir_batch", NULL, NULL, NULL),
        SQLITE_OK);
    scene_write(&scene, 80);
    assert_true(wal_mib(&scene) >= 80);
    must(locallog_checkpointer_status(checkpointer, &err));
    assert_int_equal(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    int64_t end_us = clock_monotonic_us() + 20000000;
    do {
        scene_write(&scene, 1);
        clock_sleep_us(10000);
    } while (wal_mib(&scene) > CAP_MIB && clock_monotonic_us() < end_us);
    assert_true(wal_mib(&scene) <= CAP_MIB);
    locallog_checkpointer_stop(checkpointer);
    scene_end(&scene);
}

struct endless {
    const struct place *place;
    int ready;
};

static void read_for_ever(void *context)
{
    const struct endless *endless = context;
    sqlite3 *db;
    process_check(sqlite3_open(endless->place->log, &db) == SQLITE_OK &&
                      sqlite3_exec(db, "BEGIN; SELECT count(*) FROM weir_batch", NULL, NULL,
                                   NULL) == SQLITE_OK &&
                      write(endless->ready, "x", 1) == 1,
                  "read", NULL);
    for (;;) {
        pause();
    }
}

/* A reader that never ends does not fill the disk: at the most that the log may have, writers wait
 * and say for whom, and go on when it is gone. */
static void test_endless_reader(void **state)
{
    struct scene scene = scene_make(*state);
    struct place *place = *state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    scene_write(&scene, 1);
    locallog_close(scene.log); /* no process may fork while it has a handle */
    struct endless endless = {place, ready[1]};
    pid_t reader = process_start(read_for_ever, &endless);
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    scene.log = log_open(place->log);
    scene.log->wal_most_bytes = 20 * MIB;
    scene_write(&scene, 19);
    while (scene.log->wal_pages * scene.log->page_bytes <= scene.log->wal_most_bytes) {
        scene_write(&scene, 1);
    }
    char name[32];
    snprintf(name, sizeof name, "process %d (", (int)reader);
    for (int i = 0; i < 3; i++) {
        must_fail(locallog_begin(scene.log, &err), STATUS_RETRY, "log.wal_full", name);
    }
    assert_true(wal_mib(&scene) <= 24);
    assert_int_equal(kill(reader, SIGKILL), 0);
    assert_int_equal(process_wait(reader), 128 + SIGKILL);
    scene_write(&scene, 40);
    assert_true(scene.greatest_mib <= 24);
    close(ready[0]);
    close(ready[1]);
    scene_end(&scene);
}

int main(void)
{
#define in_a_place(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        in_a_place(test_writers_alone),
        in_a_place(test_with_the_thread),
        in_a_place(test_its_own_commits),
        in_a_place(test_start_and_stop),
        in_a_place(test_reader_in_the_way),
        in_a_place(test_endless_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
