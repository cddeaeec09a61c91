#include "state/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/file.h"
#include "state/form.h"
#include "state/store.h"

struct place {
    char folder[64];
    struct arena *arena;
    uint32_t warnings;
    char last_warning[600];
};

static int make_place(void **state)
{
    struct place *place = memory_alloc_zero(1, sizeof *place);
    strcpy(place->folder, "/tmp/weir-snapshot-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    place->arena = arena_new(4096);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    const char **names = NULL;
    size_t count = 0;
    struct error err = {0};
    assert_int_equal(folder_list(place->arena, place->folder, &names, &count, &err), STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(remove(arena_printf(place->arena, "%s/%s", place->folder, names[i])), 0);
    }
    assert_int_equal(rmdir(place->folder), 0);
    arena_free(place->arena);
    memory_free(place);
    return 0;
}

static void warn(void *context, const char *message)
{
    struct place *place = context;
    place->warnings++;
    snprintf(place->last_warning, sizeof place->last_warning, "%s", message);
}

static const struct snapshot_identity identity = {
    .pipeline = "iot",
    .incarnation = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    .topic_id = "8f1c",
    .partition = "0",
};

static void write_to(const char *folder, const struct snapshot_identity *of, int64_t offset,
                     const char *body)
{
    struct snapshot_head head = {
        .next_offset = offset, .plan_hash = {1, 2}, .last_record_hash = {3, 4}};
    struct snapshot_writer *writer = NULL;
    struct error err = {0};
    assert_int_equal(snapshot_writer_open(folder, of, &head, &writer, &err), STATUS_OK);
    struct state_pieces pieces = {0};
    if (body[0] != '\0') {
        size_t begin = pieces_begin(&pieces);
        buffer_append_string(&pieces.out, body);
        pieces_end(&pieces, begin);
    }
    pieces_end_all(&pieces);
    snapshot_writer_append(writer, &pieces.out);
    assert_int_equal(pieces.out.size, 0);
    buffer_fini(&pieces.out);
    snapshot_writer_publish(writer);
    assert_int_equal(snapshot_writer_wait(writer, &err), STATUS_OK);
    assert_int_equal(snapshot_writer_outcome(writer, &err), SNAPSHOT_PUBLISHED);
    snapshot_writer_close(writer);
}

static void save(struct place *place, const struct snapshot_identity *of, int64_t offset,
                 const char *body)
{
    write_to(place->folder, of, offset, body);
}

struct found {
    struct snapshot_head head;
    char body[200]; /* all pieces */
};

/* The offset of what is found, −1 when nothing is. */
static int64_t load_from(struct place *place, const char *folder,
                         const struct snapshot_identity *of, int64_t max_offset,
                         struct found *out)
{
    struct snapshot_reader *reader = NULL;
    bool is_found = false;
    struct error err = {0};
    place->warnings = 0;
    assert_int_equal(
        snapshot_load(folder, of, max_offset, warn, place, &reader, &is_found, &err), STATUS_OK);
    if (!is_found) {
        assert_null(reader);
        return -1;
    }
    struct found found = {.head = *snapshot_reader_head(reader)};
    bool is_end = false;
    for (size_t size = 0; !is_end;) {
        struct bytes piece;
        assert_int_equal(snapshot_reader_next(reader, &piece, &is_end, &err), STATUS_OK);
        assert_true(size + piece.size < sizeof found.body);
        memcpy(found.body + size, piece.data, piece.size);
        size += piece.size;
    }
    snapshot_reader_close(reader);
    if (out != NULL) {
        *out = found;
    }
    return found.head.next_offset;
}

static int64_t load(struct place *place, const struct snapshot_identity *of, int64_t max_offset,
                    struct found *out)
{
    return load_from(place, place->folder, of, max_offset, out);
}

static char *path_of(struct place *place, const char *name)
{
    return arena_printf(place->arena, "%s/%s", place->folder, name);
}

static void write_raw(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static size_t file_count(struct place *place)
{
    const char **names = NULL;
    size_t count = 0;
    struct error err = {0};
    assert_int_equal(folder_list(place->arena, place->folder, &names, &count, &err), STATUS_OK);
    return count;
}

static void test_newest_at_or_below(void **state)
{
    struct place *place = *state;
    assert_int_equal(load(place, &identity, INT64_MAX, NULL), -1);
    save(place, &identity, 7, "seven");
    save(place, &identity, 1000, "thousand");
    struct found found;
    assert_int_equal(load(place, &identity, INT64_MAX, &found), 1000);
    assert_string_equal(found.body, "thousand");
    assert_true(hash_equal(found.head.plan_hash, (struct hash128){1, 2}));
    assert_true(hash_equal(found.head.last_record_hash, (struct hash128){3, 4}));
    assert_int_equal(load(place, &identity, 1000, NULL), 1000);
    assert_int_equal(load(place, &identity, 999, &found), 7);
    assert_string_equal(found.body, "seven");
    assert_int_equal(load(place, &identity, 6, NULL), -1);
    assert_int_equal(place->warnings, 0);
    assert_true(file_exists(path_of(place, "iot-0-0000000000000001000.snapshot")));
}

static void test_absent_folder(void **state)
{
    struct place *place = *state;
    assert_int_equal(load_from(place, path_of(place, "not/there"), &identity, 5, NULL), -1);
    const char *folder = path_of(place, "made");
    write_to(folder, &identity, 3, "");
    struct found found;
    assert_int_equal(load_from(place, folder, &identity, 5, &found), 3);
    assert_string_equal(found.body, "");
    assert_int_equal(remove(path_of(place, "made/iot-0-0000000000000000003.snapshot")), 0);
}

/* What was not published is not there, whole or not. */
static void test_unpublished(void **state)
{
    struct place *place = *state;
    struct snapshot_head head = {.next_offset = 3};
    struct error err = {0};
    for (int appends = 0; appends < 3; appends++) {
        struct snapshot_writer *writer = NULL;
        assert_int_equal(snapshot_writer_open(place->folder, &identity, &head, &writer, &err),
                         STATUS_OK);
        for (int i = 0; i < appends; i++) {
            struct buffer bytes = {0};
            buffer_append_u32(&bytes, 0);
            snapshot_writer_append(writer, &bytes);
            buffer_fini(&bytes);
        }
        assert_int_equal(snapshot_writer_outcome(writer, &err), SNAPSHOT_UNDER_WAY);
        snapshot_writer_close(writer);
        assert_int_equal(file_count(place), 0);
    }
}

/* Pieces larger than the window, and many of them, in appends of every size. */
static void test_long_ones(void **state)
{
    struct place *place = *state;
    struct snapshot_head head = {.next_offset = 3};
    struct snapshot_writer *writer = NULL;
    struct error err = {0};
    assert_int_equal(snapshot_writer_open(place->folder, &identity, &head, &writer, &err),
                     STATUS_OK);
    struct state_pieces pieces = {0};
    const size_t count = 300;
    for (size_t i = 1; i <= count; i++) {
        size_t size = i % 100 == 0 ? i * 10000 : i * 37;
        size_t begin = pieces_begin(&pieces);
        memset(buffer_reserve(&pieces.out, size), (int)(i % 251), size);
        pieces.out.size += size;
        pieces_end(&pieces, begin);
        if (i % 7 == 0) {
            snapshot_writer_append(writer, &pieces.out);
        }
    }
    pieces_end_all(&pieces);
    snapshot_writer_append(writer, &pieces.out);
    buffer_fini(&pieces.out);
    snapshot_writer_publish(writer);
    assert_int_equal(snapshot_writer_wait(writer, &err), STATUS_OK);
    snapshot_writer_close(writer);

    struct snapshot_reader *reader = NULL;
    bool is_found = false;
    assert_int_equal(
        snapshot_load(place->folder, &identity, 3, NULL, NULL, &reader, &is_found, &err),
        STATUS_OK);
    assert_true(is_found);
    for (size_t i = 1; i <= count + 1; i++) {
        struct bytes piece;
        bool is_end = false;
        assert_int_equal(snapshot_reader_next(reader, &piece, &is_end, &err), STATUS_OK);
        assert_int_equal(is_end, i > count);
        assert_int_equal(piece.size, i > count ? 0 : i % 100 == 0 ? i * 10000 : i * 37);
        for (size_t at = 0; at < piece.size; at++) {
            assert_int_equal(piece.data[at], i % 251);
        }
    }
    snapshot_reader_close(reader);
}

/* A good checksum over pieces that do not end where the file does. */
static void test_pieces_must_fit(void **state)
{
    struct place *place = *state;
    const uint32_t sizes[] = {5, 3, 0, UINT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct snapshot_head head = {.next_offset = 3};
        struct snapshot_writer *writer = NULL;
        struct error err = {0};
        assert_int_equal(snapshot_writer_open(place->folder, &identity, &head, &writer, &err),
                         STATUS_OK);
        struct buffer bytes = {0};
        buffer_append_u32(&bytes, sizes[i]);
        buffer_append_string(&bytes, "four");
        snapshot_writer_append(writer, &bytes);
        buffer_fini(&bytes);
        snapshot_writer_publish(writer);
        assert_int_equal(snapshot_writer_wait(writer, &err), STATUS_OK);
        snapshot_writer_close(writer);
        struct snapshot_reader *reader = NULL;
        bool is_found = false;
        assert_int_equal(
            snapshot_load(place->folder, &identity, 3, NULL, NULL, &reader, &is_found, &err),
            STATUS_OK);
        struct bytes piece;
        bool is_end = false;
        enum status status = STATUS_OK;
        while (status == STATUS_OK && !is_end) {
            status = snapshot_reader_next(reader, &piece, &is_end, &err);
        }
        assert_int_equal(status, STATUS_FATAL);
        assert_string_equal(err.code, "snapshot.corrupt");
        snapshot_reader_close(reader);
    }
}

static void test_newest_two_are_kept(void **state)
{
    struct place *place = *state;
    for (int64_t offset = 1; offset <= 5; offset++) {
        save(place, &identity, offset * 100, "body");
        assert_int_equal(file_count(place), offset == 1 ? 1 : 2);
    }
    assert_int_equal(load(place, &identity, 499, NULL), 400);
    /* The same again replaces itself. */
    save(place, &identity, 500, "other");
    assert_int_equal(file_count(place), 2);
    assert_int_equal(load(place, &identity, 499, NULL), 400);
}

/* Names that look alike: neither loads the other's, nor removes it. */
static void test_identities_do_not_mix(void **state)
{
    struct place *place = *state;
    struct snapshot_identity others[8];
    for (int i = 0; i < 8; i++) {
        others[i] = identity;
    }
    others[0].pipeline = "iot-0";
    others[1].partition = "0-0000000000000000001.snapshot";
    others[2].partition = "../0";
    others[3].partition = "00";
    others[4].pipeline = "iot%2D0";
    char longest[4000];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    others[5].partition = longest;
    others[6].pipeline = "iot-0";
    others[6].partition = "1";
    others[7].partition = "0-1";
    save(place, &identity, 50, "mine");
    for (int i = 0; i < 8; i++) {
        for (int64_t offset = 101; offset < 104; offset++) {
            save(place, &others[i], offset, "other");
        }
    }
    assert_int_equal(file_count(place), 1 + 8 * 2);
    assert_int_equal(load(place, &identity, INT64_MAX, NULL), 50);
    assert_int_equal(place->warnings, 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(load(place, &others[i], INT64_MAX, NULL), 103);
        assert_int_equal(load(place, &others[i], 102, NULL), 102);
        assert_int_equal(place->warnings, 0);
    }
}

/* The same names, but made anew: passed over with a warning and left alone. */
static void test_other_incarnation(void **state)
{
    struct place *place = *state;
    struct snapshot_identity older = identity;
    older.incarnation[15]++;
    save(place, &older, 10, "older");
    save(place, &older, 900, "older");
    save(place, &identity, 20, "mine");
    save(place, &identity, 30, "mine");
    save(place, &identity, 40, "mine");
    assert_int_equal(load(place, &identity, INT64_MAX, NULL), 40);
    assert_int_equal(place->warnings, 1);
    assert_non_null(strstr(place->last_warning, "another"));
    assert_non_null(strstr(place->last_warning, "0900.snapshot"));
    assert_int_equal(load(place, &older, 899, NULL), 10);
    struct snapshot_identity other_topic = identity;
    other_topic.topic_id = "8f1d";
    assert_int_equal(load(place, &other_topic, INT64_MAX, NULL), -1);
    assert_int_equal(place->warnings, 4);
}

static void test_leftovers_are_removed(void **state)
{
    struct place *place = *state;
    const char *left = path_of(place, "iot-0-0000000000000000008.snapshot.tmp-0123456789abcdef");
    const char *others = path_of(place, "iot-1-0000000000000000008.snapshot.tmp-0123456789abcdef");
    const char *stranger = path_of(place, "iot-0-0000000000000000008.snapshot.txt");
    write_raw(left, "half", 4);
    write_raw(others, "half", 4);
    write_raw(stranger, "note", 4);
    assert_int_equal(load(place, &identity, INT64_MAX, NULL), -1);
    assert_int_equal(place->warnings, 0);
    save(place, &identity, 9, "body");
    assert_false(file_exists(left));
    assert_true(file_exists(others));
    assert_true(file_exists(stranger));
}

static struct buffer form_of(struct place *place, int64_t offset)
{
    struct buffer form = {0};
    struct error err = {0};
    char *path =
        arena_printf(place->arena, "%s/iot-0-%019lld.snapshot", place->folder, (long long)offset);
    assert_int_equal(file_read(path, 1 << 20, &form, &err), STATUS_OK);
    return form;
}

static void test_every_flip_and_cut_is_refused(void **state)
{
    struct place *place = *state;
    save(place, &identity, 5, "old");
    save(place, &identity, 6, "body");
    struct buffer form = form_of(place, 6);
    const char *path = path_of(place, "iot-0-0000000000000000006.snapshot");
    for (size_t bit = 0; bit < form.size * 8; bit++) {
        form.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        write_raw(path, form.data, form.size);
        form.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(load(place, &identity, INT64_MAX, NULL), 5);
        assert_int_equal(place->warnings, 1);
        assert_non_null(strstr(place->last_warning, path));
    }
    for (size_t size = 0; size < form.size; size++) {
        write_raw(path, form.data, size);
        assert_int_equal(load(place, &identity, INT64_MAX, NULL), 5);
        assert_int_equal(place->warnings, 1);
    }
    buffer_append_byte(&form, 0);
    write_raw(path, form.data, form.size);
    assert_int_equal(load(place, &identity, INT64_MAX, NULL), 5);
    form.size--;
    write_raw(path, form.data, form.size);
    assert_int_equal(load(place, &identity, INT64_MAX, NULL), 6);
    buffer_fini(&form);
}

/* Nobody asked for warnings. */
static void test_without_warn(void **state)
{
    struct place *place = *state;
    write_raw(path_of(place, "iot-0-0000000000000000006.snapshot"), "junk", 4);
    struct snapshot_reader *reader = NULL;
    bool is_found = true;
    struct error err = {0};
    assert_int_equal(
        snapshot_load(place->folder, &identity, 9, NULL, NULL, &reader, &is_found, &err),
        STATUS_OK);
    assert_false(is_found);
}

static void test_renamed_unreadable_and_newer(void **state)
{
    struct place *place = *state;
    save(place, &identity, 6, "body");
    struct buffer form = form_of(place, 6);
    const char *path = path_of(place, "iot-0-0000000000000000007.snapshot");
    write_raw(path, form.data, form.size);
    assert_int_equal(load(place, &identity, INT64_MAX, NULL), 6);
    assert_int_equal(place->warnings, 1);
    assert_int_equal(remove(path), 0);

    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(load(place, &identity, INT64_MAX, NULL), 6);
    assert_int_equal(place->warnings, 1);
    assert_int_equal(rmdir(path), 0);

    struct buffer newer = {0};
    for (uint32_t version = 1; version <= 4; version += 3) {
        buffer_clear(&newer);
        size_t begin = form_begin("WEIRSNAP", version, &newer);
        buffer_append_string(&newer, "who knows");
        form_seal(begin, &newer);
        write_raw(path, newer.data, newer.size);
        assert_int_equal(load(place, &identity, INT64_MAX, NULL), 6);
        assert_non_null(
            strstr(place->last_warning, version == 1 ? "earlier version" : "later version"));
    }
    buffer_fini(&newer);
    buffer_fini(&form);
}

/* Version 2 differs in the keys of its body only. */
static void test_reads_the_version_before(void **state)
{
    struct place *place = *state;
    save(place, &identity, 6, "body");
    struct buffer form = form_of(place, 6);
    form.size -= FORM_SEAL_BYTES;
    form.data[FORM_MAGIC_BYTES] = 2;
    form_seal(0, &form);
    write_raw(path_of(place, "iot-0-0000000000000000006.snapshot"), form.data, form.size);
    assert_int_equal(load(place, &identity, INT64_MAX, NULL), 6);
    assert_int_equal(place->warnings, 0);
    buffer_fini(&form);
}

/* The form byte by byte, as docs/formats.md has it. */
static void test_golden_form(void **state)
{
    struct place *place = *state;
    save(place, &identity, 258, "body");
    struct buffer form = form_of(place, 258);
    static const char golden[] = "5745495253"
                                 "4e4150"
                                 "03000000"
                                 "03000000"
                                 "696f74"
                                 "0102030405060708090a0b0c0d0e0f10"
                                 "04000000"
                                 "38663163"
                                 "01000000"
                                 "30"
                                 "0201000000000000"
                                 "01000000000000000200000000000000"
                                 "03000000000000000400000000000000"
                                 "04000000"
                                 "626f6479"
                                 "00000000";
    char hex[600];
    assert_true(form.size * 2 < sizeof hex);
    hex_encode(bytes_of(form.data, form.size), hex);
    assert_int_equal(strlen(hex), sizeof golden - 1 + 16);
    assert_memory_equal(hex, golden, sizeof golden - 1);
    buffer_fini(&form);
}

int main(void)
{
#define TEST_IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)
    const struct CMUnitTest tests[] = {
        TEST_IN_PLACE(test_newest_at_or_below),
        TEST_IN_PLACE(test_absent_folder),
        TEST_IN_PLACE(test_unpublished),
        TEST_IN_PLACE(test_long_ones),
        TEST_IN_PLACE(test_pieces_must_fit),
        TEST_IN_PLACE(test_newest_two_are_kept),
        TEST_IN_PLACE(test_identities_do_not_mix),
        TEST_IN_PLACE(test_other_incarnation),
        TEST_IN_PLACE(test_leftovers_are_removed),
        TEST_IN_PLACE(test_every_flip_and_cut_is_refused),
        TEST_IN_PLACE(test_without_warn),
        TEST_IN_PLACE(test_renamed_unreadable_and_newer),
        TEST_IN_PLACE(test_reads_the_version_before),
        TEST_IN_PLACE(test_golden_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
