#include "connector/file/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/prng.h"
#include "base/time.h"
#include "os/clock.h"

static struct batch *batch;
static struct field fields[1] = {{.name = "a", .name_size = 1, .path = "a", .parent = FIELD_NONE}};
static struct layout layout = {.fields = fields, .field_count = 1, .schema_field_count = 1};
static int stdin_before;
static int writing_end;

/* Standard input becomes a pipe. */
static int setup(void **state)
{
    (void)state;
    int ends[2];
    batch = batch_new(&layout);
    stdin_before = dup(STDIN_FILENO);
    if (pipe(ends) != 0 || dup2(ends[0], STDIN_FILENO) < 0) {
        return -1;
    }
    close(ends[0]);
    writing_end = ends[1];
    return 0;
}

static void end_input(void)
{
    if (writing_end >= 0) {
        close(writing_end);
        writing_end = -1;
    }
}

static int teardown(void **state)
{
    (void)state;
    end_input();
    batch_free(batch);
    if (stdin_before >= 0) {
        dup2(stdin_before, STDIN_FILENO);
        close(stdin_before);
    }
    return 0;
}

static struct source *open_stdin(void)
{
    struct source *source = NULL;
    struct error err = {0};
    assert_int_equal(stdin_source_ops.open(NULL, "", NULL, &source, &err), STATUS_OK);
    return source;
}

static void feed(const void *data, size_t size)
{
    assert_int_equal(write(writing_end, data, size), (ssize_t)size);
}

static void take(struct source *source, int64_t limit_offset)
{
    struct error err = {0};
    batch_reset(batch, 0, 0);
    assert_int_equal(stdin_source_ops.read(source, 0, batch, limit_offset, &err), STATUS_OK);
}

static void assert_record(uint32_t row, int64_t offset, int64_t next_offset, const char *value)
{
    assert_true(row < batch->row_count);
    assert_int_equal(batch->records[row].offset, offset);
    assert_int_equal(batch->records[row].next_offset, next_offset);
    assert_true(bytes_equal_string(batch->records[row].value, value));
}

static void gives_lines_as_they_come(void **state)
{
    (void)state;
    struct source *source = open_stdin();
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    feed("one\r\n\ntw", 8);
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 2);
    assert_record(0, 0, 5, "one");
    assert_record(1, 5, 6, "");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    assert_false(stdin_source_ops.is_finished(source));
    feed("o\nthree", 7);
    end_input();
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 2);
    assert_record(0, 6, 10, "two");
    assert_record(1, 10, 16, "three");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    assert_true(stdin_source_ops.is_finished(source));
    stdin_source_ops.close(source);
}

/* An end without a byte before it. */
static void ends_at_once(void **state)
{
    (void)state;
    struct source *source = open_stdin();
    end_input();
    assert_false(stdin_source_ops.is_finished(source));
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    assert_true(stdin_source_ops.is_finished(source));
    stdin_source_ops.close(source);
}

static void goes_on_where_another_ended(void **state)
{
    (void)state;
    struct source *source = open_stdin();
    struct error err = {0};
    int64_t end = 0;
    assert_int_equal(stdin_source_ops.seek(source, 0, 1000, &err), STATUS_OK);
    assert_int_equal(stdin_source_ops.end_offset(source, 0, &end, &err), STATUS_OK);
    assert_true(end > 1000);
    feed("one\ntwo\n", 8);
    take(source, 1004);
    assert_int_equal(batch->row_count, 1);
    assert_record(0, 1000, 1004, "one");
    assert_int_equal(stdin_source_ops.seek(source, 0, 1004, &err), STATUS_OK);
    assert_int_equal(stdin_source_ops.seek(source, 0, 1000, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "source.no_replay");
    take(source, 1004);
    assert_int_equal(batch->row_count, 0);
    take(source, INT64_MAX);
    assert_record(0, 1004, 1008, "two");
    uint32_t count = 0;
    const struct source_partition *partition = stdin_source_ops.partitions(source, &count);
    assert_int_equal(count, 1);
    assert_string_equal(partition->topic, "-");
    assert_string_equal(partition->topic_id, "stdin");
    assert_string_equal(partition->label, "0");
    assert_false(stdin_source_ops.can_replay);
    stdin_source_ops.close(source);
}

static void waits_for_input(void **state)
{
    (void)state;
    struct source *source = open_stdin();
    int64_t begin_us = clock_monotonic_us();
    stdin_source_ops.wait(source, 20000);
    assert_true(clock_monotonic_us() - begin_us >= 20000);
    feed("x\n", 2);
    stdin_source_ops.wait(source, 60 * TIME_US_PER_SECOND);
    assert_true(clock_monotonic_us() - begin_us < 30 * TIME_US_PER_SECOND);
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 1);
    stdin_source_ops.close(source);
}

/* Whatever the pipe cuts and the limits are, the lines are those of the text. */
static void any_cut_gives_the_same_lines(void **state)
{
    (void)state;
    enum { TEXT_BYTES = 3 << 20 };
    struct prng prng;
    prng_init(&prng, 11);
    uint8_t *text = memory_alloc(TEXT_BYTES);
    for (size_t at = 0; at < TEXT_BYTES; at++) {
        uint64_t of = at < TEXT_BYTES / 2 ? 20 : at < TEXT_BYTES - 1000 ? 10000000 : 3;
        text[at] = prng_below(&prng, of) == 0 ? '\n' : (uint8_t)('a' + at % 26);
    }
    struct source *source = open_stdin();
    size_t fed = 0;
    int64_t at = 0;
    while (!stdin_source_ops.is_finished(source)) {
        size_t chunk = 1 + prng_below(&prng, 60000);
        chunk = chunk < TEXT_BYTES - fed ? chunk : TEXT_BYTES - fed;
        if (fed < TEXT_BYTES) {
            feed(text + fed, chunk);
            fed += chunk;
        } else {
            end_input();
        }
        do {
            take(source,
                 prng_below(&prng, 2) == 0 ? INT64_MAX : at + 1 + (int64_t)prng_below(&prng, 5000));
            for (uint32_t row = 0; row < batch->row_count; row++) {
                const struct record *record = &batch->records[row];
                size_t size = record->value.size;
                assert_int_equal(record->offset, at);
                assert_int_equal(record->next_offset, at + (int64_t)size + 1);
                assert_memory_equal(record->value.data, text + at, size);
                assert_null(memchr(record->value.data, '\n', size));
                at += (int64_t)size + 1;
                assert_true(at == TEXT_BYTES + 1 || text[at - 1] == '\n');
            }
        } while (batch->row_count > 0);
    }
    assert_int_equal(fed, TEXT_BYTES);
    assert_true(at == TEXT_BYTES || at == TEXT_BYTES + 1);
    stdin_source_ops.close(source);
    memory_free(text);
}

#define WITH_PIPE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PIPE(gives_lines_as_they_come),     WITH_PIPE(ends_at_once),
        WITH_PIPE(goes_on_where_another_ended),  WITH_PIPE(waits_for_input),
        WITH_PIPE(any_cut_gives_the_same_lines),
    };
    return cmocka_run_group_tests_name("connector/file/stdin_source", tests, NULL, NULL);
}
