#include "run/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "os/clock.h"
#include "stage/stage_fixture.h"

enum { PARTITIONS = 2, BATCH_ROWS = 3 };

/* Records {"a":offset} without an end of their own. */
struct fake_source {
    struct source source; /* first */
    int64_t position[PARTITIONS];
    int64_t end[PARTITIONS];
    uint32_t seeks, failures;
    _Atomic uint32_t reads; /* begun */
};

static struct fake_source *fake(struct source *source)
{
    return (struct fake_source *)source;
}

static enum status fake_seek(struct source *source, uint32_t partition, int64_t offset,
                             struct error *err)
{
    (void)err;
    fake(source)->position[partition] = offset;
    fake(source)->seeks++;
    return STATUS_OK;
}

static enum status fake_read(struct source *source, uint32_t partition, struct batch *batch,
                             int64_t limit_offset, struct error *err)
{
    struct fake_source *f = fake(source);
    atomic_fetch_add(&f->reads, 1);
    if (f->failures > 0) {
        f->failures--;
        return error_set(err, STATUS_RETRY, "fake.read", "%u more", f->failures);
    }
    int64_t end = f->end[partition] < limit_offset ? f->end[partition] : limit_offset;
    for (uint32_t i = 0; i < BATCH_ROWS && f->position[partition] < end; i++) {
        struct record *record = batch_append_record(batch);
        record->offset = f->position[partition]++;
        record->next_offset = record->offset + 1;
        const char *text = arena_printf(batch->arena, "{\"a\":%lld}", (long long)record->offset);
        record->value = bytes_of_string(text);
    }
    return STATUS_OK;
}

static const struct source_ops fake_ops = {.ahead_rows = 1, .seek = fake_seek, .read = fake_read};

struct fixture {
    struct plan_fixture plan;
    struct run_fixture run;
    struct fake_source source;
    struct intake *intake;
};

static int open_fixture(void **state)
{
    struct fixture *f = memory_alloc_zero(1, sizeof *f);
    plan_fixture_init(&f->plan, "{a: {type: integer}}", NULL);
    run_open(&f->run, &f->plan);
    f->source = (struct fake_source){.source = {.ops = &fake_ops}, .end = {20, 10}};
    f->intake = intake_new(&f->source.source, f->run.runner);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    intake_free(f->intake);
    run_close(&f->run);
    plan_fixture_fini(&f->plan);
    memory_free(f);
    return 0;
}

static void begin(struct fixture *f, uint32_t p, int64_t offset, int64_t limit)
{
    const struct intake_span span = {.partition = p, .offset = offset, .limit_offset = limit};
    intake_begin(f->intake, &span);
}

/* Begins, and comes back when the thread has it. */
static void begin_for_sure(struct fixture *f, uint32_t p, int64_t offset, int64_t limit)
{
    uint32_t reads = atomic_load(&f->source.reads);
    begin(f, p, offset, limit);
    while (atomic_load(&f->source.reads) == reads) {
        clock_sleep_us(100);
    }
}

static const struct batch *take(struct fixture *f, uint32_t p, int64_t offset, int64_t limit)
{
    const struct intake_span span = {.partition = p, .offset = offset, .limit_offset = limit};
    struct batch *batch = NULL;
    struct error err = {0};
    assert_int_equal(intake_take(f->intake, &span, &batch, &err), STATUS_OK);
    assert_int_equal(batch->partition, p);
    for (uint32_t row = 0; row < batch->row_count; row++) {
        assert_int_equal(batch->records[row].offset, offset + row);
    }
    return batch;
}

static void test_batches_are_the_same_and_prepared(void **state)
{
    struct fixture *f = *state;
    const struct hash_secret *secret = stage_runner_secret(f->run.runner);
    int64_t next[PARTITIONS] = {0, 0};
    uint32_t prepared = 0;
    for (uint32_t i = 0; next[0] < 20 || next[1] < 10; i++) {
        uint32_t p = i % PARTITIONS;
        const struct batch *batch = take(f, p, next[p], 20);
        next[p] += batch->row_count;
        /* The next one is read while this one is looked at. */
        begin_for_sure(f, 1 - p, next[1 - p], 20);
        struct hash128 sum = {0, 0};
        for (uint32_t row = 0; row < batch->row_count; row++) {
            sum = hash_add(sum, record_hash(secret, &batch->records[row]));
        }
        if (batch->is_prepared) {
            prepared++;
            assert_true(hash_equal(batch->records_sum, sum));
            assert_int_equal(batch->columns[0].integers[0], batch->records[0].offset);
        }
        intake_end(f->intake);
    }
    assert_int_equal(next[0], 20);
    assert_int_equal(next[1], 10);
    assert_int_equal(prepared, 10); /* all but the first */
    assert_int_equal(f->source.seeks, 0);
}

static void test_another_limit_reads_again(void **state)
{
    struct fixture *f = *state;
    begin_for_sure(f, 0, 0, 20);
    intake_end(f->intake);
    assert_int_equal(take(f, 0, 0, 2)->row_count, 2);
    assert_int_equal(f->source.seeks, 1);
    assert_int_equal(take(f, 0, 2, 20)->row_count, BATCH_ROWS);
}

static void test_another_partition_leaves_it(void **state)
{
    struct fixture *f = *state;
    begin_for_sure(f, 0, 0, 20);
    intake_end(f->intake);
    assert_int_equal(take(f, 1, 0, 20)->row_count, BATCH_ROWS);
    begin(f, 1, BATCH_ROWS, 20); /* does nothing: partition 0 has not been taken */
    intake_end(f->intake);
    assert_true(take(f, 0, 0, 20)->is_prepared);
    assert_false(take(f, 1, BATCH_ROWS, 20)->is_prepared);
    assert_int_equal(f->source.seeks, 0);
}

static void test_what_came_since_is_there(void **state)
{
    struct fixture *f = *state;
    f->source.end[0] = 0;
    begin_for_sure(f, 0, 0, 20);
    intake_end(f->intake);
    f->source.end[0] = 1;
    assert_int_equal(take(f, 0, 0, 20)->row_count, 1);
    assert_int_equal(f->source.seeks, 0);
}

static void test_a_failure_is_asked_again(void **state)
{
    struct fixture *f = *state;
    const struct intake_span span = {.partition = 0, .offset = 0, .limit_offset = 20};
    struct batch *batch = NULL;
    struct error err = {0};
    f->source.failures = 2;
    begin_for_sure(f, 0, 0, 20);
    intake_end(f->intake);
    assert_int_equal(intake_take(f->intake, &span, &batch, &err), STATUS_RETRY);
    assert_string_equal(err.code, "fake.read");
    assert_string_equal(err.message, "0 more");
    assert_int_equal(take(f, 0, 0, 20)->row_count, BATCH_ROWS);
}

/* Whether the thread came to it or not: the batch is the same. */
static void test_an_end_at_once(void **state)
{
    struct fixture *f = *state;
    for (int64_t next = 0; next < 20;) {
        begin(f, 0, next, 20);
        intake_end(f->intake);
        next += take(f, 0, next, 20)->row_count;
    }
    assert_int_equal(f->source.seeks, 0);
}

static void test_free_in_the_midst(void **state)
{
    struct fixture *f = *state;
    begin(f, 0, 0, 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_batches_are_the_same_and_prepared),
        TEST(test_another_limit_reads_again),
        TEST(test_another_partition_leaves_it),
        TEST(test_what_came_since_is_there),
        TEST(test_a_failure_is_asked_again),
        TEST(test_an_end_at_once),
        TEST(test_free_in_the_midst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
