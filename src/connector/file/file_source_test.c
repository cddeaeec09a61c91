#include "connector/file/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/prng.h"
#include "base/time.h"
#include "os/clock.h"
#include "progress/progress.h"

static char folder[64];
static struct arena *arena;
static struct batch *batch;
static struct field fields[1] = {{.name = "a", .name_size = 1, .path = "a", .parent = FIELD_NONE}};
static struct layout layout = {.fields = fields, .field_count = 1, .schema_field_count = 1};

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/weir-lines-test-XXXXXX");
    arena = arena_new(4096);
    batch = batch_new(&layout);
    return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    batch_free(batch);
    arena_free(arena);
    return chdir("/") != 0 || system(command) != 0 ? -1 : 0;
}

/* --- files and sources --- */

static void put(const char *path, const char *mode, const void *data, size_t size)
{
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void put_text(const char *path, const char *text)
{
    put(path, "wb", text, strlen(text));
}

static void add_text(const char *path, const char *text)
{
    put(path, "ab", text, strlen(text));
}

static const struct doc *config_of(const char *yaml)
{
    struct doc *config = NULL;
    struct error err = {0};
    assert_int_equal(doc_parse(arena, "p.yaml", bytes_of_string(yaml), NULL, &config, &err),
                     STATUS_OK);
    assert_int_equal(grammar_check(file_source_ops.grammar, config, "file", &err), STATUS_OK);
    return config;
}

static struct source *open_yaml(const char *yaml)
{
    struct source *source = NULL;
    struct error err = {0};
    assert_int_equal(file_source_ops.open(config_of(yaml), "", NULL, &source, &err), STATUS_OK);
    return source;
}

static const char *id_of(struct source *source)
{
    uint32_t count = 0;
    return file_source_ops.partitions(source, &count)[0].topic_id;
}

static void assert_seeks(struct source *source, int64_t offset, enum status wanted,
                         const char *code)
{
    struct error err = {0};
    assert_int_equal(file_source_ops.seek(source, 0, offset, &err), wanted);
    assert_string_equal(err.code, code);
}

static int64_t end_of(struct source *source)
{
    int64_t offset = -1;
    struct error err = {0};
    assert_int_equal(file_source_ops.end_offset(source, 0, &offset, &err), STATUS_OK);
    return offset;
}

/* One batch. */
static void take(struct source *source, int64_t limit_offset)
{
    struct error err = {0};
    batch_reset(batch, 0, 0);
    assert_int_equal(file_source_ops.read(source, 0, batch, limit_offset, &err), STATUS_OK);
}

static void assert_refused(struct source *source, const char *code)
{
    struct error err = {0};
    batch_reset(batch, 0, 0);
    assert_int_equal(file_source_ops.read(source, 0, batch, INT64_MAX, &err), STATUS_CONFIG);
    assert_string_equal(err.code, code);
    assert_non_null(strstr(err.message, "a.txt"));
}

static void assert_record(uint32_t row, int64_t offset, int64_t next_offset, const char *value)
{
    assert_true(row < batch->row_count);
    const struct record *record = &batch->records[row];
    assert_int_equal(record->offset, offset);
    assert_int_equal(record->next_offset, next_offset);
    assert_true(bytes_equal_string(record->value, value));
}

/* --- the naive splitter --- */

struct line {
    int64_t offset;
    int64_t next_offset;
    const uint8_t *value;
    size_t size;
};

static size_t split(struct bytes text, struct line *lines)
{
    size_t count = 0;
    size_t begin = 0;
    for (size_t i = 0; i <= text.size; i++) {
        if (i == text.size ? begin < i : text.data[i] == '\n') {
            size_t size = i - begin;
            if (size > 0 && text.data[i - 1] == '\r') {
                size--;
            }
            lines[count++] = (struct line){(int64_t)begin, (int64_t)i + 1, text.data + begin, size};
            begin = i + 1;
        }
    }
    return count;
}

static void assert_rows(const struct line *lines, size_t first, size_t count)
{
    for (uint32_t row = 0; row < batch->row_count; row++) {
        assert_true(first + row < count);
        const struct line *line = &lines[first + row];
        const struct record *record = &batch->records[row];
        assert_int_equal(record->offset, line->offset);
        assert_int_equal(record->next_offset, line->next_offset);
        assert_non_null(record->value.data);
        assert_int_equal(record->value.size, line->size);
        assert_int_equal(memcmp(record->value.data, line->value, line->size), 0);
        assert_true(bytes_is_none(record->key));
        assert_int_equal(record->timestamp_us, TIME_NEVER);
        assert_int_equal(record->header_count, 0);
    }
}

/* Lines of many kinds of length, with NUL bytes, carriage returns and invalid UTF-8. */
static size_t draw_text(struct prng *prng, uint8_t *text, size_t size)
{
    static const uint8_t alphabet[] = {'a', 'b', '"', '\0', 0xff, '\r', '{', ' '};
    size_t at = 0;
    while (at < size) {
        static const size_t usual[] = {1, 4, 100, 1000, 70000};
        size_t length = prng_below(prng, usual[prng_below(prng, 5)]);
        if (prng_below(prng, 200) == 0) {
            length = (size_t)1 << (18 + prng_below(prng, 4));
        }
        for (size_t i = 0; i < length && at < size; i++) {
            text[at++] = alphabet[prng_below(prng, sizeof alphabet)];
        }
        if (at < size && prng_below(prng, 3) == 0) {
            text[at++] = '\r';
        }
        if (at < size) {
            text[at++] = '\n';
        }
    }
    return at;
}

static void reads_what_a_naive_splitter_finds(void **state)
{
    (void)state;
    enum { TEXT_BYTES = 6 << 20 };
    uint8_t *text = memory_alloc(TEXT_BYTES);
    struct line *lines = memory_alloc_zero(TEXT_BYTES, sizeof *lines);
    struct prng prng;
    prng_init(&prng, 7);
    for (unsigned round = 0; round < 60; round++) {
        size_t most = (size_t)1 << prng_below(&prng, 23);
        size_t size = draw_text(&prng, text, prng_below(&prng, most < TEXT_BYTES ? most + 1 : 1));
        size_t count = split(bytes_of(text, size), lines);
        put("a.txt", "wb", text, size);
        struct source *source = open_yaml("path: a.txt");
        assert_int_equal(end_of(source), count == 0 ? 0 : lines[count - 1].next_offset);
        file_source_ops.settle(source, 0, end_of(source));
        size_t at = 0;
        while (at < count) {
            if (prng_below(&prng, 4) == 0) {
                at = prng_below(&prng, count);
                assert_seeks(source, lines[at].offset, STATUS_OK, "");
            }
            int64_t limit = INT64_MAX;
            if (prng_below(&prng, 2) == 0) {
                limit = lines[at].offset + (int64_t)prng_below(&prng, 1 + 2 * size / count);
                limit = limit > lines[at].offset ? limit : lines[at].offset + 1;
            }
            take(source, limit);
            assert_true(batch->row_count > 0);
            assert_rows(lines, at, count);
            at += batch->row_count;
            assert_true(lines[at - 1].offset < limit);
            take(source, at < count ? lines[at].offset : INT64_MAX);
            assert_int_equal(batch->row_count, 0);
        }
        file_source_ops.close(source);
    }
    memory_free(lines);
    memory_free(text);
}

/* The same lines whatever the batches: only a limit, the rows or some MiB end one. */
static void batches_are_as_large_as_they_may(void **state)
{
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i < 10000; i++) {
        buffer_printf(&text, "line %d\n", i);
    }
    put("a.txt", "wb", text.data, text.size);
    struct source *source = open_yaml("path: [a.txt]");
    static const uint32_t wanted[] = {4096, 4096, 1808, 0};
    for (size_t i = 0; i < 4; i++) {
        take(source, INT64_MAX);
        assert_int_equal(batch->row_count, wanted[i]);
    }
    file_source_ops.close(source);

    buffer_clear(&text);
    for (int i = 0; i < 9 * 1024; i++) {
        memset(buffer_reserve(&text, 1024), 'x', 1023);
        text.size += 1023;
        buffer_append_byte(&text, '\n');
    }
    put("a.txt", "wb", text.data, text.size);
    source = open_yaml("path: [a.txt]");
    take(source, 3 * 1024 + 1);
    assert_int_equal(batch->row_count, 4);
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 4096);
    batch_reset(batch, 0, 0);
    file_source_ops.close(source);
    buffer_fini(&text);
}

static void takes_lines_of_any_length(void **state)
{
    (void)state;
    size_t size = (size_t)33 << 20;
    uint8_t *text = memory_alloc(size);
    memset(text, 'x', size);
    text[size - 3] = '\n';
    text[size - 2] = 'y';
    text[size - 1] = '\n';
    put("a.txt", "wb", text, size);
    struct source *source = open_yaml("path: a.txt");
    take(source, 1);
    assert_int_equal(batch->row_count, 1);
    assert_int_equal(batch->records[0].value.size, size - 3);
    assert_memory_equal(batch->records[0].value.data, text, size - 3);
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 1);
    assert_record(0, (int64_t)size - 2, (int64_t)size, "y");
    batch_reset(batch, 0, 0);
    file_source_ops.close(source);
    memory_free(text);
}

/* --- growth --- */

static void follows_a_file_that_grows(void **state)
{
    (void)state;
    put_text("a.txt", "one\n\r\n");
    struct source *source = open_yaml("path: a.txt");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 2);
    assert_record(0, 0, 4, "one");
    assert_record(1, 4, 6, "");
    assert_false(bytes_is_none(batch->records[1].value));
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    assert_false(file_source_ops.is_finished(source));

    file_source_ops.wait(source, 60 * TIME_US_PER_SECOND); /* only now does it begin to watch */
    add_text("a.txt", "two\n");
    int64_t begin_us = clock_monotonic_us();
    file_source_ops.wait(source, 60 * TIME_US_PER_SECOND);
    assert_true(clock_monotonic_us() - begin_us < 30 * TIME_US_PER_SECOND);
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 1);
    assert_record(0, 6, 10, "two");
    assert_int_equal(end_of(source), 10);
    file_source_ops.close(source);
}

/* It may be one that is still being written, in pieces, however often it is looked at. */
static void leaves_a_last_line_without_newline(void **state)
{
    (void)state;
    put_text("a.txt", "one\ntw");
    struct source *source = open_yaml("path: a.txt");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 1);
    assert_record(0, 0, 4, "one");
    static const char *const pieces[] = {"", "o", "", "fo", "ld"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        add_text("a.txt", pieces[i]);
        take(source, INT64_MAX);
        assert_int_equal(batch->row_count, 0);
    }
    add_text("a.txt", "er\nthree\nfo");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 2);
    assert_record(0, 4, 14, "twofolder");
    assert_record(1, 14, 20, "three");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    /* A line that was taken back and written anew is no longer what was looked at. */
    assert_int_equal(truncate("a.txt", 20), 0);
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    add_text("a.txt", "\n");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 1);
    assert_record(0, 20, 21, "");
    file_source_ops.close(source);
}

/* A line is settled by where it begins, and wherever a batch is cut. */
static void takes_a_settled_last_line(void **state)
{
    (void)state;
    put_text("a.txt", "one\ntwo");
    struct source *source = open_yaml("path: a.txt");
    file_source_ops.settle(source, 0, 4);
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 1);
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    file_source_ops.settle(source, 0, 5);
    file_source_ops.settle(source, 0, 1);
    take(source, 6);
    assert_int_equal(batch->row_count, 1);
    assert_record(0, 4, 8, "two");
    add_text("a.txt", "\nthree");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    assert_seeks(source, 0, STATUS_OK, "");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 2);
    file_source_ops.close(source);
}

/* A last line without a newline has the offsets that it has with one. */
static void takes_a_last_line_without_newline(void **state)
{
    (void)state;
    put_text("a.txt", "one\ntwo");
    struct source *source = open_yaml("path: a.txt");
    file_source_ops.settle(source, 0, INT64_MAX);
    assert_int_equal(end_of(source), 8);
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 2);
    assert_record(1, 4, 8, "two");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    assert_seeks(source, 8, STATUS_OK, "");

    add_text("a.txt", "\n");
    assert_int_equal(end_of(source), 8);
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    add_text("a.txt", "three\n");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 1);
    assert_record(0, 8, 14, "three");
    assert_seeks(source, 4, STATUS_OK, "");
    take(source, INT64_MAX);
    assert_record(0, 4, 8, "two");
    file_source_ops.close(source);
}

static void refuses_a_torn_line(void **state)
{
    (void)state;
    put_text("a.txt", "one\ntwo");
    struct source *source = open_yaml("path: a.txt");
    file_source_ops.settle(source, 0, INT64_MAX);
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 2);
    add_text("a.txt", "fold\n");
    assert_refused(source, "source.torn_line");
    struct error err = {0};
    assert_int_equal(file_source_ops.seek(source, 0, 8, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "source.torn_line");
    assert_non_null(strstr(err.message, "a.txt"));
    assert_non_null(strstr(err.message, "byte 7"));
    file_source_ops.close(source);
}

static void refuses_a_file_that_got_shorter(void **state)
{
    (void)state;
    put_text("a.txt", "one\ntwo\nthree\n");
    struct source *source = open_yaml("path: a.txt");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 3);
    assert_int_equal(truncate("a.txt", 4), 0);
    assert_refused(source, "source.truncated");
    assert_seeks(source, 14, STATUS_CONFIG, "source.truncated");
    assert_seeks(source, 5, STATUS_CONFIG, "source.truncated"); /* "one" does have a newline */
    assert_seeks(source, 4, STATUS_OK, "");
    assert_int_equal(truncate("a.txt", 0), 0);
    assert_refused(source, "source.truncated");
    assert_seeks(source, 1, STATUS_CONFIG, "source.truncated");
    assert_seeks(source, 0, STATUS_OK, "");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    file_source_ops.close(source);
}

/* Segments begin at round offsets, wherever lines do. */
static void seeks_into_a_line_at_segments_only(void **state)
{
    (void)state;
    struct buffer text = {0};
    memset(buffer_reserve(&text, SEGMENT_OFFSETS + 100000), 'x', SEGMENT_OFFSETS + 100000);
    text.size = SEGMENT_OFFSETS + 100000;
    buffer_append_string(&text, "\nnext\n");
    put("a.txt", "wb", text.data, text.size);
    struct source *source = open_yaml("path: a.txt");
    assert_seeks(source, SEGMENT_OFFSETS - 1, STATUS_CONFIG, "source.torn_line");
    assert_seeks(source, SEGMENT_OFFSETS, STATUS_OK, "");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 1);
    assert_record(0, SEGMENT_OFFSETS + 100001, SEGMENT_OFFSETS + 100006, "next");
    assert_int_equal(truncate("a.txt", SEGMENT_OFFSETS + 10), 0);
    assert_seeks(source, SEGMENT_OFFSETS, STATUS_OK, "");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    file_source_ops.close(source);
    buffer_fini(&text);
}

/* --- identity --- */

static void tells_files_by_their_first_line(void **state)
{
    (void)state;
    char wanted[64] = "line1-";
    hash_format(hash_plain("one", 3), wanted + 6);
    static const char *const texts[] = {"one\n", "one\r\nmore\n", "one\nother"};
    for (size_t i = 0; i < 3; i++) {
        put_text("a.txt", texts[i]);
        struct source *source = open_yaml("path: a.txt");
        assert_string_equal(id_of(source), wanted);
        file_source_ops.close(source);
    }
    put_text("a.txt", "two\n");
    struct source *source = open_yaml("path: a.txt");
    assert_string_not_equal(id_of(source), wanted);
    file_source_ops.close(source);
}

/* As long as the first line is not whole, the id is only the beginning of every id. */
static void leaves_the_id_of_an_empty_file_open(void **state)
{
    (void)state;
    char wanted[64] = "line1-";
    hash_format(hash_plain("one", 3), wanted + 6);
    put_text("a.txt", "");
    struct source *source = open_yaml("path: a.txt");
    assert_string_equal(id_of(source), "line1-");
    file_source_ops.settle(source, 0, INT64_MAX);
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    add_text("a.txt", "one");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 1);
    assert_string_equal(id_of(source), "line1-");
    add_text("a.txt", "\ntwo\n");
    take(source, INT64_MAX);
    assert_record(0, 4, 8, "two");
    assert_string_equal(id_of(source), wanted);
    file_source_ops.close(source);
}

/* --- opening --- */

static void each_file_is_a_partition(void **state)
{
    (void)state;
    assert_int_equal(mkdir("sub", 0700), 0);
    put_text("sub/a.txt", "a\n");
    put_text("b.txt", "b1\nb2\n");
    struct source *source = NULL;
    struct error err = {0};
    const struct doc *config = config_of(arena_printf(arena, "path: [a.txt, %s/b.txt]", folder));
    assert_int_equal(file_source_ops.open(config, "sub/", NULL, &source, &err), STATUS_OK);
    uint32_t count = 0;
    const struct source_partition *partitions = file_source_ops.partitions(source, &count);
    assert_int_equal(count, 2);
    assert_string_equal(partitions[0].topic, "a.txt");
    assert_string_equal(partitions[1].topic, arena_printf(arena, "%s/b.txt", folder));
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(partitions[i].label, "0");
        assert_int_equal(partitions[i].number, 0);
        assert_int_equal(partitions[i].partition_count, 1);
        assert_int_equal(partitions[i].first_offset, 0);
    }
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 1);
    assert_record(0, 0, 2, "a");
    batch_reset(batch, 1, 0);
    assert_int_equal(file_source_ops.read(source, 1, batch, INT64_MAX, &err), STATUS_OK);
    assert_int_equal(batch->row_count, 2);
    assert_record(1, 3, 6, "b2");
    file_source_ops.close(source);
}

static void refuses_what_is_no_file(void **state)
{
    (void)state;
    put_text("a.txt", "a\n");
    assert_int_equal(mkdir("sub", 0700), 0);
    assert_int_equal(mkfifo("pipe", 0600), 0);
    static const struct {
        const char *yaml;
        const char *code;
        uint32_t line;
        uint32_t column;
    } cases[] = {
        {"path: absent.txt", "source.missing", 1, 7},
        {"path:\n  - a.txt\n  - absent.txt", "source.missing", 3, 5},
        {"path: sub", "source.missing", 1, 7}, /* An empty folder. */
        {"path: '*.csv'", "source.missing", 1, 7},
        {"path: [a.txt, '?.txt']", "config.value", 1, 15},
        {"path: pipe", "source.not_a_file", 1, 7},
        {"path: [a.txt, a.txt]", "config.value", 1, 15},
        {"path: []", "config.value", 1, 7},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct source *source = NULL;
        struct error err = {0};
        assert_int_equal(file_source_ops.open(config_of(cases[i].yaml), "", NULL, &source, &err),
                         STATUS_CONFIG);
        assert_string_equal(err.code, cases[i].code);
        assert_string_equal(err.file, "p.yaml");
        assert_int_equal(err.line, cases[i].line);
        assert_int_equal(err.column, cases[i].column);
        assert_null(source);
    }
    file_source_ops.close(NULL);
}

static void assert_place(struct source *source, const char *code)
{
    struct error err = {0};
    (void)file_source_ops.check_place(source, &err);
    assert_string_equal(err.code, code);
}

/* What came before it got another name is still read. */
static void tells_when_another_file_has_its_name(void **state)
{
    (void)state;
    put_text("a.txt", "one\n");
    struct source *source = open_yaml("path: a.txt");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 1);
    add_text("a.txt", "two\n");
    put_text("new.txt", "three\n");
    assert_int_equal(rename("a.txt", "old.txt"), 0);
    assert_place(source, ""); /* Nothing has its name: it goes on. */
    assert_int_equal(rename("new.txt", "a.txt"), 0);
    assert_place(source, "");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 1);
    assert_place(source, "");
    take(source, INT64_MAX);
    assert_int_equal(batch->row_count, 0);
    assert_place(source, "source.replaced");
    file_source_ops.close(source);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(reads_what_a_naive_splitter_finds),
        IN_FOLDER(batches_are_as_large_as_they_may),
        IN_FOLDER(takes_lines_of_any_length),
        IN_FOLDER(follows_a_file_that_grows),
        IN_FOLDER(leaves_a_last_line_without_newline),
        IN_FOLDER(takes_a_settled_last_line),
        IN_FOLDER(takes_a_last_line_without_newline),
        IN_FOLDER(refuses_a_torn_line),
        IN_FOLDER(refuses_a_file_that_got_shorter),
        IN_FOLDER(seeks_into_a_line_at_segments_only),
        IN_FOLDER(tells_files_by_their_first_line),
        IN_FOLDER(leaves_the_id_of_an_empty_file_open),
        IN_FOLDER(each_file_is_a_partition),
        IN_FOLDER(refuses_what_is_no_file),
        IN_FOLDER(tells_when_another_file_has_its_name),
    };
    return cmocka_run_group_tests_name("connector/file/file_source", tests, NULL, NULL);
}
