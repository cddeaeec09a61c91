/* Rows of CSV in files, plain and packed, that grow and are cut at every byte. */
#include "connector/file/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "progress/progress.h"

static char folder[64];
static struct arena *arena;
static struct batch *batch;
static struct field fields[1] = {{.name = "a", .name_size = 1, .path = "a", .parent = FIELD_NONE}};
static struct layout layout = {.fields = fields, .field_count = 1, .schema_field_count = 1};
static const struct csv_options with_header = {.quote = '"', .has_header = true};
static const struct csv_options without_header = {.quote = '"'};

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/weir-csv-test-XXXXXX");
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

static void put(const char *path, const char *mode, struct bytes data)
{
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    assert_int_equal(fwrite(data.data, 1, data.size, file), data.size);
    assert_int_equal(fclose(file), 0);
}

static struct source *open_csv(const char *yaml, const struct csv_options *csv)
{
    struct doc *config = NULL;
    struct error err = {0};
    struct source *source = NULL;
    assert_int_equal(doc_parse(arena, "p.yaml", bytes_of_string(yaml), NULL, &config, &err),
                     STATUS_OK);
    assert_int_equal(file_source_ops.open(config, "", csv, &source, &err), STATUS_OK);
    return source;
}

/* --- what must come --- */

static const char text[] = "\xEF\xBB\xBFname,note\r\n"
                           "a,1\n"
                           "\"b\nB\",\"x\"\"\n\n\"\r\n"
                           "\n"
                           "c,\"\"\n"
                           "d\"d,\"e\"f\n"
                           "\"last\n\",9\n";
static const char *const rows[] = {"a,1", "\"b\nB\",\"x\"\"\n\n\"", "", "c,\"\"", "d\"d,\"e\"f",
                                   "\"last\n\",9"};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

/* Reads what is there; rows are those that follow `count` earlier ones. Returns how many there are
 * then. */
static size_t read_on(struct source *source, size_t count)
{
    for (bool more = true; more;) {
        struct error err = {0};
        batch_reset(batch, 0, 0);
        assert_int_equal(file_source_ops.read(source, 0, batch, INT64_MAX / 2, &err), STATUS_OK);
        more = batch->row_count > 0;
        for (uint32_t i = 0; i < batch->row_count; i++, count++) {
            const struct record *record = &batch->records[i];
            assert_true(count < ROW_COUNT);
            assert_true(bytes_equal_string(record->value, rows[count]));
            assert_memory_equal(text + record->offset, rows[count], record->value.size);
            assert_int_equal(text[record->next_offset - 1], '\n');
            assert_true(bytes_equal_string(batch->header, "name,note"));
        }
    }
    return count;
}

static struct bytes pack_gzip(struct bytes raw, uint8_t *out, size_t room)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)raw.data;
    stream.avail_in = (uInt)raw.size;
    stream.next_out = out;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t size = room - stream.avail_out;
    assert_int_equal(deflateEnd(&stream), Z_OK);
    return bytes_of(out, size);
}

static struct bytes pack_zstd(struct bytes raw, uint8_t *out, size_t room)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    size_t size = ZSTD_compress2(context, out, room, raw.data, raw.size);
    assert_false(ZSTD_isError(size));
    ZSTD_freeCCtx(context);
    return bytes_of(out, size);
}

typedef struct bytes (*packer)(struct bytes raw, uint8_t *out, size_t room);

/* Three frames or members, one behind the other. */
static struct bytes pack_in_three(packer pack, uint8_t *out, size_t room)
{
    size_t size = 0;
    size_t cuts[] = {0, 20, 37, sizeof text - 1};
    for (size_t i = 0; i < 3; i++) {
        size += pack(bytes_of(text + cuts[i], cuts[i + 1] - cuts[i]), out + size, room - size).size;
    }
    return bytes_of(out, size);
}

/* --- tests --- */

static void assert_grows_at_any_byte(struct bytes file)
{
    for (size_t cut = 0; cut <= file.size; cut++) {
        put("a", "wb", bytes_of(file.data, cut));
        struct source *source = open_csv("path: a", &with_header);
        size_t count = read_on(source, 0);
        assert_int_equal(read_on(source, count), count);
        put("a", "ab", bytes_of(file.data + cut, file.size - cut));
        assert_int_equal(read_on(source, count), ROW_COUNT);
        /* From each place that was behind a record it goes on. */
        struct error err = {0};
        assert_int_equal(file_source_ops.seek(source, 0, 18, &err), STATUS_OK);
        assert_int_equal(read_on(source, 1), ROW_COUNT);
        file_source_ops.close(source);
    }
}

static void grows_at_any_byte(void **state)
{
    (void)state;
    assert_grows_at_any_byte(bytes_of(text, sizeof text - 1));
}

static void packed_grows_at_any_byte(void **state)
{
    (void)state;
    uint8_t room[1024];
    assert_grows_at_any_byte(pack_in_three(pack_zstd, room, sizeof room));
    assert_grows_at_any_byte(pack_in_three(pack_gzip, room, sizeof room));
}

/* Where what is there is to be all, a stream that was cut anywhere is refused, and no row is taken
 * that is not whole. */
static void assert_cut_is_refused(packer pack)
{
    uint8_t room[1024];
    struct bytes file = pack_in_three(pack, room, sizeof room);
    size_t whole = 0;
    for (size_t cut = 4; cut <= file.size; cut++) {
        put("a", "wb", bytes_of(file.data, cut));
        struct source *source = open_csv("path: a", &with_header);
        struct error err = {0};
        int64_t end = 0;
        enum status status = file_source_ops.end_offset(source, 0, &end, &err);
        assert_int_equal(status, STATUS_OK);
        file_source_ops.settle(source, 0, end);
        for (bool more = true; more && status == STATUS_OK;) {
            batch_reset(batch, 0, 0);
            status = file_source_ops.read(source, 0, batch, end, &err);
            more = batch->row_count > 0;
        }
        if (status == STATUS_OK) {
            whole++;
        } else {
            assert_int_equal(status, STATUS_CONFIG);
            assert_string_equal(err.code, "source.cut_stream");
        }
        file_source_ops.close(source);
    }
    assert_int_equal(whole, 3); /* At the end of each frame. */
}

static void a_cut_stream_is_refused(void **state)
{
    (void)state;
    assert_cut_is_refused(pack_zstd);
    assert_cut_is_refused(pack_gzip);
}

/* A flipped bit is never taken for rows: it is found, or it changes nothing. */
static void assert_damage_is_found(packer pack)
{
    uint8_t room[1024];
    struct bytes file = pack_in_three(pack, room, sizeof room);
    size_t found = 0;
    for (size_t i = 4; i < file.size; i++) {
        room[i] ^= 0x10;
        put("a", "wb", file);
        room[i] ^= 0x10;
        struct doc *config = NULL;
        struct source *source = NULL;
        struct error err = {0};
        assert_int_equal(doc_parse(arena, "p", bytes_of_string("path: a"), NULL, &config, &err),
                         STATUS_OK);
        int64_t end = 0;
        enum status status = file_source_ops.open(config, "", &with_header, &source, &err);
        if (status == STATUS_OK) {
            status = file_source_ops.end_offset(source, 0, &end, &err);
        }
        if (status == STATUS_OK) {
            file_source_ops.settle(source, 0, end);
            batch_reset(batch, 0, 0);
            status = file_source_ops.read(source, 0, batch, end, &err);
        }
        if (status == STATUS_OK) {
            assert_int_equal(batch->row_count, ROW_COUNT);
        } else {
            assert_true(strcmp(err.code, "source.corrupt") == 0 ||
                        strcmp(err.code, "source.cut_stream") == 0);
            assert_non_null(strstr(err.message, "a"));
            found++;
        }
        file_source_ops.close(source);
    }
    assert_true(found > file.size / 2);
}

static void damage_is_found(void **state)
{
    (void)state;
    assert_damage_is_found(pack_zstd);
    assert_damage_is_found(pack_gzip);
}

static void the_last_row_needs_no_newline(void **state)
{
    (void)state;
    static const char *const files[] = {"h\nx", "h\n\"x", "h\r\nx"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        put("a", "wb", bytes_of_string(files[i]));
        struct source *source = open_csv("path: a", &with_header);
        struct error err = {0};
        int64_t end = 0;
        assert_int_equal(file_source_ops.end_offset(source, 0, &end, &err), STATUS_OK);
        assert_int_equal(end, (int64_t)strlen(files[i]) + 1);
        batch_reset(batch, 0, 0);
        assert_int_equal(file_source_ops.read(source, 0, batch, end, &err), STATUS_OK);
        assert_int_equal(batch->row_count, 0);
        file_source_ops.settle(source, 0, end);
        assert_int_equal(file_source_ops.read(source, 0, batch, end, &err), STATUS_OK);
        assert_int_equal(batch->row_count, 1);
        assert_int_equal(batch->records[0].next_offset, end);
        file_source_ops.close(source);
    }
    /* A header alone has no rows, and is one without its newline too. */
    put("a", "wb", bytes_of_string("h,i"));
    struct source *source = open_csv("path: a", &with_header);
    struct error err = {0};
    file_source_ops.settle(source, 0, 4);
    batch_reset(batch, 0, 0);
    assert_int_equal(file_source_ops.read(source, 0, batch, 4, &err), STATUS_OK);
    assert_int_equal(batch->row_count, 0);
    file_source_ops.close(source);
}

static void skips_a_mark_without_header(void **state)
{
    (void)state;
    put("a", "wb", bytes_of_string("\xEF\xBB\xBF" "1\n2\n"));
    struct source *source = open_csv("path: a", &without_header);
    struct error err = {0};
    batch_reset(batch, 0, 0);
    assert_int_equal(file_source_ops.read(source, 0, batch, INT64_MAX, &err), STATUS_OK);
    assert_int_equal(batch->row_count, 2);
    assert_int_equal(batch->records[0].offset, 3);
    assert_true(bytes_equal_string(batch->records[0].value, "1"));
    assert_true(bytes_is_none(batch->header));
    file_source_ops.close(source);
}

/* At a round offset nobody knows whether a row begins there: it may be within quotes. */
static void finds_rows_at_segments(void **state)
{
    (void)state;
    struct buffer long_text = {0};
    buffer_append_string(&long_text, "h\n");
    size_t beyond = 0;
    for (size_t i = 0; beyond == 0; i++) {
        size_t begin = long_text.size;
        beyond = begin > 3 * SEGMENT_OFFSETS ? begin : 0;
        buffer_append_byte(&long_text, '"');
        for (size_t k = 0; k < 1000 + i % 7; k++) {
            buffer_append_byte(&long_text, '\n');
        }
        buffer_append_string(&long_text, "\"\n");
    }
    put("a", "wb", bytes_of(long_text.data, long_text.size));
    for (int64_t segment = 1; segment < 4; segment++) {
        struct source *source = open_csv("path: a", &with_header);
        struct error err = {0};
        int64_t offset = segment * SEGMENT_OFFSETS;
        assert_int_equal(file_source_ops.seek(source, 0, offset, &err), STATUS_OK);
        batch_reset(batch, 0, 0);
        assert_int_equal(file_source_ops.read(source, 0, batch, offset + 100000, &err), STATUS_OK);
        assert_true(batch->row_count > 0);
        int64_t found = batch->records[0].offset;
        assert_true(found >= offset && found < offset + 1100);
        assert_memory_equal(long_text.data + found - 2, "\"\n\"\n", 4);
        assert_int_equal(batch->records[0].value.data[0], '"');
        file_source_ops.close(source);
    }
    buffer_fini(&long_text);
}

/* Files with one header are told apart by what stands behind it. */
static void tells_files_with_one_header_apart(void **state)
{
    (void)state;
    char ids[2][64];
    static const char *const contents[] = {"h\n1\n", "h\n2\n"};
    for (size_t i = 0; i < 2; i++) {
        put("a", "wb", bytes_of_string(contents[i]));
        struct source *source = open_csv("path: a", &with_header);
        uint32_t count = 0;
        snprintf(ids[i], sizeof ids[i], "%s",
                 file_source_ops.partitions(source, &count)[0].topic_id);
        file_source_ops.close(source);
    }
    assert_int_equal(strlen(ids[0]), strlen(ids[1]));
    assert_string_not_equal(ids[0], ids[1]);
}

static void assert_paths(const char *yaml, const char *const *paths, uint32_t expected)
{
    struct source *source = open_csv(yaml, &with_header);
    uint32_t count = 0;
    const struct source_partition *partitions = file_source_ops.partitions(source, &count);
    assert_int_equal(count, expected);
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(partitions[i].topic, paths[i]);
    }
    file_source_ops.close(source);
}

static void takes_folders_and_patterns_in_order(void **state)
{
    (void)state;
    assert_int_equal(system("mkdir -p in/2025 in/2026 in/.hidden && touch in/b.csv in/a.csv "
                            "in/B.csv in/.c.csv in/2026/x.csv in/2025/y.csv 'in/[z].csv'"),
                     0);
    assert_paths("path: in", (const char *const[]){"in/B.csv", "in/[z].csv", "in/a.csv", "in/b.csv"}, 4);
    assert_paths("path: ['in/?.csv', in/2026/x.csv]",
                 (const char *const[]){"in/B.csv", "in/a.csv", "in/b.csv", "in/2026/x.csv"}, 4);
    assert_paths("path: 'in/*/*.csv'", (const char *const[]){"in/2025/y.csv", "in/2026/x.csv"}, 2);
    assert_paths("path: 'in/[z].csv'", (const char *const[]){"in/[z].csv"}, 1);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(grows_at_any_byte),
        IN_FOLDER(packed_grows_at_any_byte),
        IN_FOLDER(a_cut_stream_is_refused),
        IN_FOLDER(damage_is_found),
        IN_FOLDER(the_last_row_needs_no_newline),
        IN_FOLDER(skips_a_mark_without_header),
        IN_FOLDER(finds_rows_at_segments),
        IN_FOLDER(tells_files_with_one_header_apart),
        IN_FOLDER(takes_folders_and_patterns_in_order),
    };
    return cmocka_run_group_tests_name("connector/file/csv_source", tests, NULL, NULL);
}
