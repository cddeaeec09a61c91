#include "locallog/testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "os/file.h"

/* --- Opening. --- */

static void write_file(const char *path, const char *content)
{
    must(file_write_durably(path, bytes_of_string(content), 0600, &err));
}

static void test_missing_log(void **state)
{
    struct place *place = *state;
    struct locallog *log;
    must_fail(locallog_open(place->log, LOCALLOG_READ, &log, &err), STATUS_CONFIG, "log.missing",
              place->log + 2);
    must_fail(locallog_open(place->log, LOCALLOG_WRITE, &log, &err), STATUS_CONFIG, "log.missing",
              "is made when");
    must_fail(locallog_open("", LOCALLOG_CREATE, &log, &err), STATUS_CONFIG, "log.unopenable",
              "empty");
    must_fail(locallog_open(place->folder, LOCALLOG_CREATE, &log, &err), STATUS_CONFIG,
              "log.unopenable", "");
    char path[400];
    snprintf(path, sizeof path, "%s/no/folder.db", place->folder);
    must_fail(locallog_open(path, LOCALLOG_CREATE, &log, &err), STATUS_CONFIG, "lock.unopenable",
              "no/folder.db-lock");
    assert_false(file_exists(place->log));
    snprintf(path, sizeof path, "%s-lock", place->folder);
    unlink(path); /* Made for the folder that is no file. */
}

static void test_files_that_are_no_log(void **state)
{
    struct place *place = *state;
    struct locallog *log;
    write_file(place->log, "temperature,humidity\n20.5,40\n");
    must_fail(locallog_open(place->log, LOCALLOG_READ, &log, &err), STATUS_CONFIG, "log.not_weir",
              "no SQLite database");
    must_fail(locallog_open(place->log, LOCALLOG_CREATE, &log, &err), STATUS_CONFIG, "log.not_weir",
              "no SQLite database");
    must(file_remove(place->log, &err));
    sqlite3 *db;
    assert_int_equal(sqlite3_open(place->log, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE other (a)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    must_fail(locallog_open(place->log, LOCALLOG_READ, &log, &err), STATUS_CONFIG, "log.not_weir",
              "without a log");
    must_fail(locallog_open(place->log, LOCALLOG_WRITE, &log, &err), STATUS_CONFIG, "log.not_weir",
              "without a log");
}

static void test_new_file(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    assert_int_equal(log_sql_integer(log, "PRAGMA application_id"), 0x57454952);
    assert_int_equal(log_sql_integer(log, "PRAGMA user_version"), 1);
    assert_int_equal(log_sql_integer(log, "PRAGMA page_size"), 16384);
    assert_int_equal(log_sql_integer(log, "PRAGMA auto_vacuum"), 2);
    assert_int_equal(log_sql_integer(log, "PRAGMA synchronous"), 2);
    assert_int_equal(log_sql_integer(log, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"),
                     1);
    locallog_close(log);
    must(locallog_open(place->log, LOCALLOG_READ, &log, &err));
    assert_int_equal(sqlite3_exec(locallog_database(log), "CREATE TABLE x (a)", NULL, NULL, NULL),
                     SQLITE_READONLY);
    locallog_close(log);
    locallog_close(NULL);
}

static void test_database_of_others_is_kept(void **state)
{
    struct place *place = *state;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(place->log, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA page_size = 4096; CREATE TABLE other (a);"
                                  "INSERT INTO other VALUES (42);"
                                  "PRAGMA application_id = 7; PRAGMA user_version = 99",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        struct locallog *log = log_open(place->log);
        topic_make(log, "t", 1);
        assert_int_equal(log_sql_integer(log, "SELECT a FROM other"), 42);
        assert_int_equal(log_sql_integer(log, "PRAGMA application_id"), 7);
        assert_int_equal(log_sql_integer(log, "PRAGMA user_version"), 99);
        locallog_close(log);
    }
}

static void test_newer_format(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    log_sql(log, "UPDATE weir_format SET format = 2");
    locallog_close(log);
    must_fail(locallog_open(place->log, LOCALLOG_READ, &log, &err), STATUS_CONFIG,
              "log.newer_format", "format 2");
}

static void test_all_names_of_a_file_are_one(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    char link_path[400];
    snprintf(link_path, sizeof link_path, "%s/link.db", place->folder);
    assert_int_equal(symlink("test.db", link_path), 0);
    struct locallog *other = log_open(link_path);
    assert_string_equal(locallog_path(log), locallog_path(other));
    assert_int_equal(locallog_path(log)[0], '/');
    struct locallog_group_lock *lock;
    struct locallog_group_lock *second;
    must(locallog_group_acquire(place->log, "g", &lock, &err));
    must_fail(locallog_group_acquire(link_path, "g", &second, &err), STATUS_CONFIG, "group.owned",
              "g of");
    locallog_group_release(lock);
    locallog_group_release(NULL);
    locallog_close(other);
    locallog_close(log);
}

/* --- Topics. --- */

static void test_names(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic;
    char longest[251];
    memset(longest, 'a', sizeof longest);
    longest[249] = '\0';
    const char *const good[] = {"a", "A-b_c.9", "...", longest};
    for (size_t i = 0; i < 4; i++) {
        must(locallog_topic_create(log, good[i], 1, &topic, &err));
        assert_string_equal(topic.name, good[i]);
    }
    longest[249] = 'a';
    longest[250] = '\0';
    const char *const bad[] = {"", ".", "..", "a b", "ä", "a/b", "a\n", longest};
    for (size_t i = 0; i < 8; i++) {
        must_fail(locallog_topic_create(log, bad[i], 1, &topic, &err), STATUS_CONFIG, "topic.name",
                  "249");
    }
    must_fail(locallog_topic_create(log, "b", 0, &topic, &err), STATUS_CONFIG, "topic.partitions",
              "1 to 1024");
    must_fail(locallog_topic_create(log, "b", 1025, &topic, &err), STATUS_CONFIG,
              "topic.partitions", "1 to 1024");
    locallog_close(log);
}

static void test_create_find_list(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic found;
    bool is_found = true;
    must(locallog_topic_find(log, "iot", &found, &is_found, &err));
    assert_false(is_found);
    struct locallog_topic topic = topic_make(log, "iot", 3);
    assert_int_equal(topic.partitions, 3);
    assert_int_equal(strlen(topic.id), 36);
    struct locallog_topic again = topic_make(log, "iot", 3);
    assert_string_equal(again.id, topic.id);
    assert_int_equal(again.topic, topic.topic);
    must_fail(locallog_topic_create(log, "iot", 4, &again, &err), STATUS_CONFIG, "topic.exists",
              "has 3 partitions");
    must(locallog_topic_find(log, "iot", &found, &is_found, &err));
    assert_true(is_found);
    assert_string_equal(found.id, topic.id);
    int64_t first = -1;
    int64_t next = -1;
    must(locallog_bounds(log, &topic, 2, &first, &next, &err));
    assert_int_equal(first, 0);
    assert_int_equal(next, 0);
    must_fail(locallog_bounds(log, &topic, 3, &first, &next, &err), STATUS_CONFIG, "topic.missing",
              "0 to 2");
    topic_make(log, "dlq", 1);
    struct arena *arena = arena_new(4096);
    struct locallog_topic *topics;
    uint32_t count;
    must(locallog_topic_list(log, arena, &topics, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(topics[0].name, "dlq");
    assert_string_equal(topics[1].name, "iot");
    assert_int_equal(log_sql_integer(log, "SELECT count(*) FROM weir_topics"), 4);
    arena_free(arena);
    locallog_close(log);
}

/* In the caller's transaction a topic comes and goes with it. */
static void test_topic_in_a_transaction(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    bool found;
    struct locallog_topic topic;
    must(locallog_begin(log, &err));
    topic = topic_make(log, "t", 2);
    append_numbers(log, &topic, 1, 0, 5);
    assert_true(locallog_in_transaction(log));
    locallog_rollback(log);
    must(locallog_topic_find(log, "t", &topic, &found, &err));
    assert_false(found);
    must(locallog_begin(log, &err));
    topic = topic_make(log, "t", 2);
    append_numbers(log, &topic, 1, 0, 5);
    must(locallog_commit(log, &err));
    must(locallog_topic_find(log, "t", &topic, &found, &err));
    assert_true(found);
    assert_int_equal(
        log_sql_integer(log, "SELECT records FROM weir_topics WHERE name = 't' AND partition = 1"),
        5);
    assert_true(log_sql_integer(
                    log, "SELECT bytes FROM weir_topics WHERE name = 't' AND partition = 1") > 61);
    locallog_close(log);
}

static void test_deleted_and_made_anew(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic other = topic_make(log, "other", 1);
    struct locallog_topic old = topic_make(log, "t", 2);
    must(locallog_begin(log, &err));
    append_numbers(log, &old, 1, 0, 10);
    append_numbers(log, &other, 0, 100, 10);
    must(locallog_group_write(log, "g", &old, 1, 7, NULL, &err));
    must(locallog_producer_write(log, "p", &old, 10, (struct hash128){1, 2}, &err));
    must(locallog_commit(log, &err));
    struct locallog_reader *reader;
    must(locallog_reader_open(log, &old, 1, &reader, &err));

    must(locallog_topic_delete(log, "t", &err));
    must_fail(locallog_topic_delete(log, "t", &err), STATUS_CONFIG, "topic.missing", "no topic t");
    assert_false(locallog_in_transaction(log));
    struct locallog_topic topic = topic_make(log, "t", 2);
    assert_string_not_equal(topic.id, old.id);
    assert_true(topic.topic != old.topic);

    /* Nothing of the old one is left, and who still holds it finds nothing. */
    int64_t first;
    int64_t next;
    int64_t sequence;
    struct hash128 digest;
    bool found;
    must(locallog_bounds(log, &topic, 1, &first, &next, &err));
    assert_int_equal(next, 0);
    must(locallog_group_read(log, "g", &topic, 1, &next, &found, &err));
    assert_false(found);
    must(locallog_producer_read(log, "p", &topic, &sequence, &digest, &err));
    assert_int_equal(sequence, 0);
    assert_int_equal(log_sql_integer(log, "SELECT count(*) FROM weir_batch"), 1);
    assert_int_equal(log_sql_integer(log, "SELECT count(*) FROM weir_group"), 0);
    assert_int_equal(log_sql_integer(log, "SELECT count(*) FROM weir_producer"), 0);
    struct batch *batch = batch_new(&empty_layout);
    must_fail(locallog_reader_read(reader, batch, INT64_MAX, &err), STATUS_CONFIG, "topic.missing",
              "deleted");
    must_fail(locallog_bounds(log, &old, 1, &first, &next, &err), STATUS_CONFIG, "topic.missing",
              "deleted");
    struct record_batch_builder builder = {0};
    builder_add_number(&builder, 1, 20);
    must(locallog_begin(log, &err));
    must_fail(locallog_append(log, &old, 1, &builder, NULL, &err), STATUS_CONFIG, "topic.missing",
              "deleted");
    assert_false(locallog_in_transaction(log));
    record_batch_fini(&builder);
    batch_free(batch);
    locallog_reader_close(reader);
    locallog_close(log);
}

/* --- Groups and producers. --- */

static void test_groups(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 2);
    int64_t next = -1;
    bool found = true;
    must(locallog_group_read(log, "g", &topic, 0, &next, &found, &err));
    assert_false(found);
    for (int64_t offset = 5; offset < 8; offset++) {
        must(locallog_begin(log, &err));
        must(locallog_group_write(log, "g", &topic, 0, offset, "{}", &err));
        must(locallog_group_write(log, "h", &topic, 0, offset * 10, NULL, &err));
        must(locallog_group_write(log, "g", &topic, 1, offset * 100, NULL, &err));
        must(locallog_commit(log, &err));
    }
    must(locallog_begin(log, &err));
    must(locallog_group_write(log, "g", &topic, 0, 1, NULL, &err));
    locallog_rollback(log);
    must(locallog_group_read(log, "g", &topic, 0, &next, &found, &err));
    assert_true(found);
    assert_int_equal(next, 7);
    must(locallog_group_read(log, "h", &topic, 0, &next, &found, &err));
    assert_int_equal(next, 70);
    must(locallog_group_read(log, "g", &topic, 1, &next, &found, &err));
    assert_int_equal(next, 700);
    locallog_close(log);
}

static void test_producers(void **state)
{
    struct place *place = *state;
    struct locallog *log = log_open(place->log);
    struct locallog_topic topic = topic_make(log, "t", 1);
    int64_t sequence = -1;
    struct hash128 digest = {9, 9};
    must(locallog_producer_read(log, "p", &topic, &sequence, &digest, &err));
    assert_int_equal(sequence, 0);
    assert_true(hash_equal(digest, (struct hash128){0, 0}));
    for (int64_t i = 1; i < 4; i++) {
        must(locallog_begin(log, &err));
        must(locallog_producer_write(log, "p", &topic, i * 1000,
                                     (struct hash128){(uint64_t)i, UINT64_MAX}, &err));
        must(locallog_commit(log, &err));
    }
    must(locallog_producer_read(log, "p", &topic, &sequence, &digest, &err));
    assert_int_equal(sequence, 3000);
    assert_true(hash_equal(digest, (struct hash128){3, UINT64_MAX}));
    log_sql(log, "UPDATE weir_producer SET digest = x'00'");
    must_fail(locallog_producer_read(log, "p", &topic, &sequence, &digest, &err), STATUS_FATAL,
              "log.corrupt", "producer p");
    locallog_close(log);
}

/* --- Several processes make the same. --- */

static void create_at_once(void *context)
{
    struct place *place = context;
    struct error err = {0};
    struct locallog *log;
    process_check(locallog_open(place->log, LOCALLOG_CREATE, &log, &err) == STATUS_OK, "open",
                  &err);
    struct locallog_topic topic;
    process_check(locallog_topic_create(log, "t", 3, &topic, &err) == STATUS_OK, "create", &err);
    process_check(locallog_begin(log, &err) == STATUS_OK, "begin", &err);
    struct record_batch_builder builder = {0};
    builder_add_number(&builder, 7, 20);
    process_check(locallog_append(log, &topic, 2, &builder, NULL, &err) == STATUS_OK, "append",
                  &err);
    process_check(locallog_commit(log, &err) == STATUS_OK, "commit", &err);
    record_batch_fini(&builder);
    locallog_close(log);
}

static void test_creators_at_once(void **state)
{
    struct place *place = *state;
    for (int round = 0; round < 12; round++) {
        pid_t processes[4];
        for (int i = 0; i < 4; i++) {
            processes[i] = process_start(create_at_once, place);
        }
        for (int i = 0; i < 4; i++) {
            assert_int_equal(process_wait(processes[i]), 0);
        }
        struct locallog *log;
        must(locallog_open(place->log, LOCALLOG_READ, &log, &err));
        assert_int_equal(log_sql_integer(log, "SELECT count(*) FROM weir_topic"), 1);
        assert_int_equal(log_sql_integer(log, "SELECT count(*) FROM weir_partition"), 3);
        assert_int_equal(log_sql_integer(log, "SELECT sum(next_offset) FROM weir_partition"), 4);
        assert_int_equal(log_sql_integer(log, "PRAGMA page_size"), 16384);
        locallog_close(log);
        must(file_remove(place->log, &err));
    }
}

int main(void)
{
#define in_a_place(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        in_a_place(test_missing_log),
        in_a_place(test_files_that_are_no_log),
        in_a_place(test_new_file),
        in_a_place(test_database_of_others_is_kept),
        in_a_place(test_newer_format),
        in_a_place(test_all_names_of_a_file_are_one),
        in_a_place(test_names),
        in_a_place(test_create_find_list),
        in_a_place(test_topic_in_a_transaction),
        in_a_place(test_deleted_and_made_anew),
        in_a_place(test_groups),
        in_a_place(test_producers),
        in_a_place(test_creators_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
