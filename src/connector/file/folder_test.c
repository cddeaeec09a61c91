#include <ftw.h>
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
#include "codec/json.h"
#include "connector/file/file.h"
#include "connector/file/folder_fixture.h"
#include "connector/file/letter.h"
#include "connector/file/part_name.h"
#include "os/file.h"

#define LABEL "in.ndjson-bed8e780" /* of the fixture's file, whose path is data/in.ndjson */

static char folder[64];

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *position)
{
    (void)info;
    (void)type;
    (void)position;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/weir-folder-test-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

static int teardown(void **state)
{
    (void)state;
    return chdir("/") == 0 ? nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) : -1;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

/* Brings the folder to so many records. */
static void run_to(int64_t records, uint64_t seed)
{
    struct fixture fixture;
    struct error err = {0};
    unsigned retries = 0;
    fixture_init(&fixture, "out");
    enum status status = fixture_start(&fixture, seed, &err);
    if (status == STATUS_OK) {
        status = fixture_run(&fixture, records, seed, &retries, &err);
    }
    if (status != STATUS_OK) {
        fail_msg("%s: %s", err.code, err.message);
    }
    fixture_fini(&fixture);
}

static void assert_start_refused(enum status status, const char *code)
{
    struct fixture fixture;
    struct error err = {0};
    fixture_init(&fixture, "out");
    assert_int_equal(fixture_start(&fixture, 77, &err), status);
    assert_string_equal(err.code, code);
    fixture_fini(&fixture);
}

static void assert_holds(int64_t records)
{
    int64_t numbers[FIXTURE_PARTITIONS];
    fixture_verify("out", numbers);
    for (uint32_t p = 0; p < FIXTURE_PARTITIONS; p++) {
        assert_int_equal(numbers[p], records);
    }
}

/* The last name of out/ or out/.weir that begins and ends so. */
static const char *find_last(struct arena *arena, const char *path, const char *prefix,
                             const char *suffix)
{
    const char **names = NULL;
    const char *found = NULL;
    size_t count = 0;
    struct error err = {0};
    assert_int_equal(folder_list(arena, path, &names, &count, &err), STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(names[i]);
        if (strncmp(names[i], prefix, strlen(prefix)) == 0 && size >= strlen(suffix) &&
            strcmp(names[i] + size - strlen(suffix), suffix) == 0) {
            found = arena_printf(arena, "%s/%s", path, names[i]);
        }
    }
    return found;
}

/* --- commits --- */

static void sessions_follow_one_another(void **state)
{
    (void)state;
    for (int64_t records = 0; records <= 120; records += 12) {
        run_to(records, (uint64_t)records + 1);
        assert_holds(records);
    }
    struct arena *arena = arena_new(4096);
    assert_non_null(find_last(arena, "out/.weir", "part-3-", ".segments"));
    assert_null(find_last(arena, "out/.weir", "", ".ready"));
    assert_null(find_last(arena, "out/.weir", "", ".writing"));
    /* Two sidecars a partition, and nothing that grows but closed segments. */
    const char **names = NULL;
    size_t count = 0;
    unsigned sidecars = 0;
    struct error err = {0};
    assert_int_equal(folder_list(arena, "out/.weir", &names, &count, &err), STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        sidecars += strstr(names[i], ".progress") != NULL;
    }
    assert_int_equal(sidecars, 2 * FIXTURE_PARTITIONS);
    arena_free(arena);
}

static void parts_are_named_after_their_offsets(void **state)
{
    (void)state;
    run_to(0, 1);
    struct fixture fixture;
    struct fixture_epoch epoch;
    struct error err = {0};
    fixture_init(&fixture, "out");
    assert_int_equal(fixture_start(&fixture, 2, &err), STATUS_OK);
    fixture_epoch_init(&fixture, (const int64_t[]){4, 3}, &epoch);
    assert_int_equal(
        fixture.system->ops->commit(fixture.system, &epoch.epoch, fixture.progresses, &err),
        STATUS_OK);
    assert_int_equal(fixture.progresses[0].epoch, 1);
    assert_int_equal(fixture.progresses[1].epoch, 1);
    assert_true(file_exists("out/" LABEL "-0000000000000000000-0000000000002800000.ndjson"));
    assert_true(file_exists("out/3-0000000000000000000-0000000000002100000.ndjson"));

    /* The same epoch again changes nothing. */
    assert_int_equal(
        fixture.system->ops->commit(fixture.system, &epoch.epoch, fixture.progresses, &err),
        STATUS_OK);
    assert_int_equal(fixture.progresses[0].epoch, 1);
    fixture_epoch_fini(&fixture, &epoch);
    fixture_fini(&fixture);
    int64_t numbers[FIXTURE_PARTITIONS];
    fixture_verify("out", numbers);
    assert_int_equal(numbers[0], 4);
    assert_int_equal(numbers[1], 3);
}

/* Records 11 and 12 have no rows. */
static void an_epoch_without_rows_has_no_part(void **state)
{
    (void)state;
    struct fixture fixture;
    struct fixture_epoch epoch;
    struct error err = {0};
    fixture_init(&fixture, "out");
    assert_int_equal(fixture_start(&fixture, 1, &err), STATUS_OK);
    static const int64_t counts[][FIXTURE_PARTITIONS] = {{11, 11}, {2, 0}, {0, 2}, {3, 3}};
    for (size_t i = 0; i < 4; i++) {
        fixture_epoch_init(&fixture, counts[i], &epoch);
        assert_int_equal(
            fixture.system->ops->commit(fixture.system, &epoch.epoch, fixture.progresses, &err),
            STATUS_OK);
        fixture_epoch_fini(&fixture, &epoch);
    }
    assert_int_equal(fixture.progresses[0].epoch, 3);
    fixture_fini(&fixture);
    assert_false(file_exists("out/3-0000000000007700000-0000000000009100000.ndjson"));
    assert_true(file_exists("out/3-0000000000009100000-0000000000011200000.ndjson"));
    assert_holds(16);
}

/* --- owners --- */

static void a_second_owner_is_refused_at_once(void **state)
{
    (void)state;
    struct fixture first;
    struct fixture second;
    struct error err = {0};
    fixture_init(&first, "out");
    fixture_init(&second, "out");
    assert_int_equal(fixture_start(&first, 1, &err), STATUS_OK);
    assert_int_equal(fixture_start(&second, 2, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "group.owned");
    first.system->ops->close_session(first.system);
    error_clear(&err);
    assert_int_equal(fixture_start(&second, 2, &err), STATUS_OK);
    fixture_fini(&first);
    fixture_fini(&second);
}

/* On a file system whose locks do not hold. */
static void who_was_taken_over_is_fenced(void **state)
{
    (void)state;
    struct fixture old;
    struct fixture new;
    struct fixture_epoch epoch;
    struct error err = {0};
    unsigned retries = 0;
    run_to(5, 1);
    fixture_init(&old, "out");
    fixture_init(&new, "out");
    assert_int_equal(fixture_start(&old, 2, &err), STATUS_OK);
    fixture_epoch_init(&old, (const int64_t[]){2, 2}, &epoch);
    assert_int_equal(unlink("out/.weir/lock"), 0);
    assert_int_equal(fixture_start(&new, 3, &err), STATUS_OK);

    assert_int_equal(old.system->ops->commit(old.system, &epoch.epoch, old.progresses, &err),
                     STATUS_FENCED);
    assert_int_equal(old.progresses[0].next_offset, 5 * FIXTURE_STRIDE);
    fixture_epoch_fini(&old, &epoch);
    error_clear(&err);
    assert_int_equal(old.system->ops->take_over(old.system, old.progresses, FIXTURE_PARTITIONS, 2,
                                                bytes_of_string(FIXTURE_PLAN_TEXT), &err),
                     STATUS_FENCED);
    error_clear(&err);
    assert_int_equal(fixture_run(&new, 9, 1, &retries, &err), STATUS_OK);
    assert_int_equal(old.system->ops->take_over(old.system, new.progresses, FIXTURE_PARTITIONS, 2,
                                                bytes_of_string(FIXTURE_PLAN_TEXT), &err),
                     STATUS_OK);
    fixture_fini(&old);
    fixture_fini(&new);
    assert_holds(9);
}

static void a_first_start_happens_once(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = {0};
    const struct bytes plan = bytes_of_string(FIXTURE_PLAN_TEXT);
    fixture_init(&fixture, "out");
    assert_int_equal(fixture_start(&fixture, 1, &err), STATUS_OK);
    const struct system_ops *ops = fixture.system->ops;
    /* The same again is an interrupted one that is repeated; another one is another process. */
    assert_int_equal(ops->begin(fixture.system, fixture.progresses, 2, &plan, 1, &err), STATUS_OK);
    fixture.progresses[1].owner = 2;
    assert_int_equal(ops->begin(fixture.system, fixture.progresses, 2, &plan, 1, &err),
                     STATUS_FENCED);
    fixture_fini(&fixture);
    assert_holds(0);
}

static void plans_are_kept_by_hash(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = {0};
    struct buffer text = {0};
    bool found = false;
    fixture_init(&fixture, "out");
    assert_int_equal(fixture_start(&fixture, 1, &err), STATUS_OK);
    const struct system_ops *ops = fixture.system->ops;
    struct hash128 hash = hash_plain(FIXTURE_PLAN_TEXT, strlen(FIXTURE_PLAN_TEXT));
    assert_int_equal(ops->load_plan(fixture.system, hash, &text, &found, &err), STATUS_OK);
    assert_true(found);
    assert_string_equal(buffer_string(&text), FIXTURE_PLAN_TEXT);
    hash.low++;
    assert_int_equal(ops->load_plan(fixture.system, hash, &text, &found, &err), STATUS_OK);
    assert_false(found);
    buffer_fini(&text);
    fixture_fini(&fixture);
}

/* --- what is refused --- */

static void a_missing_newest_part_is_refused(void **state)
{
    (void)state;
    run_to(30, 1);
    struct arena *arena = arena_new(4096);
    const char *part = find_last(arena, "out", "3-", ".ndjson");
    assert_int_equal(rename(part, "elsewhere"), 0);
    assert_start_refused(STATUS_FATAL, "progress.part_missing");
    /* An older one may go, and the newest come back. */
    assert_int_equal(unlink(find_last(arena, "out", "3-", ".ndjson")), 0);
    assert_int_equal(rename("elsewhere", part), 0);
    run_to(40, 2);
    arena_free(arena);
}

static void a_record_that_went_back_is_refused(void **state)
{
    (void)state;
    run_to(20, 1);
    assert_int_equal(system("cp -r out/.weir backup"), 0);
    run_to(30, 2);
    assert_int_equal(system("rm -r out/.weir && cp -r backup out/.weir"), 0);
    assert_start_refused(STATUS_FATAL, "progress.behind");
    assert_int_equal(system("rm -r out/.weir"), 0);
    assert_start_refused(STATUS_FATAL, "progress.lost");
}

static void a_damaged_record_is_refused(void **state)
{
    (void)state;
    run_to(20, 1);
    struct arena *arena = arena_new(4096);
    const char *path = find_last(arena, "out/.weir", "part-3-", ".progress");
    struct buffer form = {0};
    struct error err = {0};
    assert_int_equal(file_read(path, 1 << 20, &form, &err), STATUS_OK);
    struct prng prng;
    prng_init(&prng, 3);
    for (int i = 0; i < 200; i++) {
        size_t at = prng_below(&prng, form.size);
        uint8_t bit = (uint8_t)(1u << prng_below(&prng, 8));
        bool is_cut = i % 4 == 0;
        form.data[at] ^= bit;
        struct bytes broken = bytes_of(form.data, is_cut ? at : form.size);
        assert_int_equal(file_write_durably(path, broken, 0, &err), STATUS_OK);
        form.data[at] ^= bit;
        struct fixture fixture;
        struct error refused = {0};
        fixture_init(&fixture, "out");
        assert_int_equal(fixture_start(&fixture, 2, &refused), STATUS_FATAL);
        assert_string_equal(refused.code, "progress.corrupt");
        assert_non_null(strstr(refused.message, path + strlen("out/")));
        fixture_fini(&fixture);
    }
    buffer_fini(&form);
    arena_free(arena);
}

static void a_folder_has_one_pipeline_and_one_source(void **state)
{
    (void)state;
    run_to(3, 1);
    struct fixture fixture;
    struct error err = {0};
    struct progress progress = {0};
    bool found = false;
    fixture_init(&fixture, "out");
    const struct system_ops *ops = fixture.system->ops;
    assert_int_equal(ops->open_session(fixture.system, "another", &err), STATUS_CONFIG);
    assert_string_equal(err.code, "folder.other_pipeline");
    assert_non_null(strstr(err.message, "'" FIXTURE_PIPELINE "'"));
    error_clear(&err);
    assert_int_equal(ops->open_session(fixture.system, FIXTURE_PIPELINE, &err), STATUS_OK);
    struct source_partition partition = fixture_partitions[1];
    partition.topic = "other";
    assert_int_equal(ops->load(fixture.system, &partition, &progress, &found, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "folder.other_source");
    fixture_fini(&fixture);
}

static void a_folder_that_vanishes_stops_the_pipeline(void **state)
{
    (void)state;
    struct fixture fixture;
    struct fixture_epoch epoch;
    struct error err = {0};
    fixture_init(&fixture, "out");
    assert_int_equal(fixture_start(&fixture, 1, &err), STATUS_OK);
    fixture_epoch_init(&fixture, (const int64_t[]){2, 2}, &epoch);
    assert_int_equal(system("rm -r out"), 0);
    assert_int_equal(
        fixture.system->ops->commit(fixture.system, &epoch.epoch, fixture.progresses, &err),
        STATUS_FATAL);
    assert_string_equal(err.code, "folder.gone");
    fixture_epoch_fini(&fixture, &epoch);
    fixture_fini(&fixture);
}

/* --- places --- */

static enum status place_of(struct arena *arena, const char *path, const char *base, char **out)
{
    struct doc *config = NULL;
    struct error err = {0};
    const char *yaml = arena_printf(arena, "path: '%s'", path);
    assert_int_equal(doc_parse(arena, "p.yaml", bytes_of_string(yaml), NULL, &config, &err),
                     STATUS_OK);
    return file_sink_kind.system_place(arena, config, base, out, &err);
}

static void one_folder_is_one_place(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    char *here = realpath(".", NULL);
    assert_int_equal(mkdir("real", 0700), 0);
    assert_int_equal(symlink("real", "link"), 0);
    static const struct {
        const char *path;
        const char *base;
        const char *wanted; /* in the current folder */
    } cases[] = {
        {"real", "", "/real"},
        {"link", "", "/real"},
        {"./link//x/", "", "/real/x"},
        {"link/../x", "", ""}, /* what the link leads to has a parent, which is this folder */
        {"absent/a/../b/./c", "", "/absent/b/c"},
        {"x", "link/", "/real/x"},
        {"x", "real", "/real/x"},
        {"../x", "absent/", "/x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *place = NULL;
        const char *wanted = i == 3 ? "/x" : cases[i].wanted;
        assert_int_equal(place_of(arena, cases[i].path, cases[i].base, &place), STATUS_OK);
        assert_string_equal(place, arena_printf(arena, "%s%s", here, wanted));
    }
    char *place = NULL;
    assert_int_equal(place_of(arena, arena_printf(arena, "%s/link", here), "x/", &place),
                     STATUS_OK);
    assert_string_equal(place, arena_printf(arena, "%s/real", here));
    assert_int_equal(place_of(arena, "", "", &place), STATUS_CONFIG);
    assert_int_equal(place_of(arena, "/", "", &place), STATUS_CONFIG);
    free(here);
    arena_free(arena);
}

static void a_folder_has_one_sink(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = {0};
    struct doc *config = NULL;
    struct sink *second = NULL;
    fixture_init(&fixture, "out");
    assert_int_equal(
        doc_parse(fixture.arena, "p.yaml", bytes_of_string("path: out"), NULL, &config, &err),
        STATUS_OK);
    assert_int_equal(file_sink_kind.sink_add(fixture.system, "again", false, config,
                                             fixture.sink->shape, &second, &err),
                     STATUS_CONFIG);
    assert_string_equal(err.file, "p.yaml");
    assert_int_equal(err.line, 1);
    assert_non_null(strstr(err.message, "'out'"));
    assert_int_equal(fixture.system->sink_count, 1);
    fixture_fini(&fixture);
}

static void assert_empty(bool wanted)
{
    struct fixture fixture;
    struct error err = {0};
    bool empty = !wanted;
    fixture_init(&fixture, "out");
    assert_int_equal(fixture.sink->ops->is_empty(fixture.sink, &empty, &err), STATUS_OK);
    assert_int_equal(empty, wanted);
    fixture_fini(&fixture);
}

static void hidden_names_do_not_fill_a_folder(void **state)
{
    (void)state;
    assert_empty(true);
    assert_int_equal(mkdir("out", 0700), 0);
    assert_empty(true);
    assert_int_equal(mkdir("out/.weir", 0700), 0);
    put("out/.hidden", "");
    assert_empty(true);
    put("out/a", "");
    assert_empty(false);
}

static void labels_are_names_of_files(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    assert_string_equal(part_label(arena, "raw", "uuid", "17"), "17");
    assert_string_equal(part_label(arena, "-", "stdin", "0"), "stdin");
    assert_string_equal(part_label(arena, "data/in.ndjson", "line1-", "0"), LABEL);
    const char *other = part_label(arena, "more/in.ndjson", "line1-00", "0");
    assert_string_not_equal(other, LABEL);
    assert_memory_equal(other, LABEL, strlen("in.ndjson-"));
    const char *odd = part_label(arena, "/a/.\xc3\xa9 \n*'b", "line1-00", "0");
    assert_memory_equal(odd, "_______b-", strlen("_______b-"));

    struct part_name part;
    const char *name = part_name_format(arena, LABEL, 7, INT64_MAX, PART_SUFFIX);
    assert_true(part_name_parse(name, &part));
    assert_true(bytes_equal_string(part.label, LABEL));
    assert_int_equal(part.first_offset, 7);
    assert_int_equal(part.next_offset, INT64_MAX);
    static const char *const others[] = {
        "",
        ".ndjson",
        "a.ndjson",
        "-0000000000000000000-0000000000000000001.ndjson",
        "a-0000000000000000000-0000000000000000001.json",
        "a-000000000000000000-0000000000000000001.ndjson",
        "a-000000000000000000x-0000000000000000001.ndjson",
        "a-9999999999999999999-9999999999999999999.ndjson",
        ".a-0000000000000000000-0000000000000000001.ndjson",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(part_name_parse(others[i], &part));
    }
    arena_free(arena);
}

/* --- scan --- */

struct found {
    struct hash128 sum;
    uint64_t count;
    int64_t offset_sum;
    size_t text_bytes;
    char part[256];
    int64_t line;
};

static enum status take_row(void *context, const struct stored_row *row, struct error *err)
{
    (void)err;
    struct found *found = context;
    int64_t offset = row->origin_offset;
    found->sum = hash_add(found->sum, row->hash);
    found->count++;
    found->offset_sum += offset;
    found->text_bytes += row->text.size;
    assert_true(bytes_is_utf8(row->text));
    assert_string_equal(row->origin_topic, offset < 0 ? "" : "raw \xf0\x9f\x9a\xb0");
    assert_string_equal(row->origin_partition, offset < 0 ? "" : "12");
    /* Lines of one part after the other. */
    found->line = strcmp(found->part, row->part) == 0 ? found->line + 1 : 1;
    snprintf(found->part, sizeof found->part, "%s", row->part);
    assert_int_equal(row->position, found->line);
    return STATUS_OK;
}

static struct found scan_all(struct fixture *fixture)
{
    struct found found = {0};
    struct error err = {0};
    assert_int_equal(
        fixture->sink->ops->scan(fixture->sink, &fixture->secret, take_row, &found, &err),
        STATUS_OK);
    return found;
}

/* Commits an outbox as the first epoch of partition 1. */
static void commit_outbox(struct fixture *fixture, struct fixture_epoch *epoch,
                          const struct ledger_sink *delta)
{
    struct error err = {0};
    struct ledger_sink *sink =
        ledger_sink(&epoch->parts[0].step.segments[0].delta, fixture->sink->name);
    sink->written = delta->written;
    sink->sum = delta->sum;
    assert_int_equal(
        fixture->system->ops->commit(fixture->system, &epoch->epoch, fixture->progresses, &err),
        STATUS_OK);
}

static void a_scan_finds_the_hashes_of_the_rows(void **state)
{
    (void)state;
    struct fixture fixture;
    struct fixture_epoch epoch;
    struct error err = {0};
    struct prng prng;
    prng_init(&prng, 5);
    fixture_init(&fixture, "out");
    assert_int_equal(fixture_start(&fixture, 1, &err), STATUS_OK);
    fixture_epoch_init(&fixture, (const int64_t[]){0, 1}, &epoch);
    fixture.sink->ops->outbox_clear(epoch.outboxes[0]);
    assert_int_equal(epoch.outboxes[0]->row_count, 0);
    assert_int_equal(epoch.outboxes[0]->size_bytes, 0);

    struct ledger_sink delta = {0};
    struct buffer value = {0};
    fixture.batch.partition = 1;
    for (int i = 0; i < 3000; i++) {
        static const char *const pieces[] = {"{",  "}",     "\n", "\r\n",
                                             "\r", "\"a\"", " ",  "\xc3\xa9"};
        buffer_clear(&value);
        size_t count = 1 + prng_below(&prng, i == 0 ? 1 : i % 1000 == 999 ? 3000000 : 300);
        for (size_t k = 0; k < count; k++) {
            buffer_append_string(&value, pieces[prng_below(&prng, 8)]);
        }
        struct output_row row = {.batch = &fixture.batch,
                                 .value = bytes_of(value.data, value.size),
                                 .origin = &fixture_partitions[1]};
        fixture.sink->ops->append_row(fixture.sink, epoch.outboxes[0], &row, &fixture.secret,
                                      &delta);
    }
    assert_int_equal(delta.written, 3000);
    assert_int_equal(epoch.outboxes[0]->row_count, 3000);
    commit_outbox(&fixture, &epoch, &delta);
    struct found found = scan_all(&fixture);
    assert_int_equal(found.count, 3000);
    assert_int_equal(found.offset_sum, -3000);
    assert_true(hash_equal(found.sum, delta.sum));

    /* What others put there is found as well; what is cut off is missed. */
    put("out/foreign.ndjson", "{}\n[]");
    put("out/.hidden.ndjson", "{}\n");
    put("out/notes.txt", "{}\n");
    found = scan_all(&fixture);
    assert_int_equal(found.count, 3002);
    assert_false(hash_equal(found.sum, delta.sum));
    assert_int_equal(unlink("out/foreign.ndjson"), 0);
    assert_true(hash_equal(scan_all(&fixture).sum, delta.sum));
    buffer_fini(&value);
    fixture_epoch_fini(&fixture, &epoch);
    fixture_fini(&fixture);
}

static struct bytes draw_bytes(struct prng *prng, struct buffer *out)
{
    static const char alphabet[] = "ab\"\\\n\r\x01\xc3\xa9\xff";
    if (prng_below(prng, 8) == 0) {
        return BYTES_NONE;
    }
    buffer_clear(out);
    size_t size = prng_below(prng, prng_below(prng, 2) == 0 ? 3 : 100);
    uint64_t letters = prng_below(prng, 2) == 0 ? 7 : sizeof alphabet - 1;
    buffer_reserve(out, size + 1);
    for (size_t i = 0; i < size; i++) {
        buffer_append_byte(out, (uint8_t)alphabet[prng_below(prng, letters)]);
    }
    return bytes_of(out->data, out->size);
}

static void a_scan_finds_dead_letters_and_their_origin(void **state)
{
    (void)state;
    struct fixture fixture;
    struct fixture_epoch epoch;
    struct error err = {0};
    struct prng prng;
    prng_init(&prng, 9);
    fixture_init(&fixture, "out");
    fixture.sink->is_dlq = true;
    assert_int_equal(fixture_start(&fixture, 1, &err), STATUS_OK);
    fixture_epoch_init(&fixture, (const int64_t[]){0, 1}, &epoch);
    fixture.sink->ops->outbox_clear(epoch.outboxes[0]);

    struct ledger_sink delta = {0};
    struct buffer bytes[5] = {0};
    int64_t offset_sum = 0;
    for (int i = 0; i < 2000; i++) {
        int64_t offset = (int64_t)(prng_next(&prng) >> 12);
        struct record_header headers[1] = {{bytes_of_string("h"), draw_bytes(&prng, &bytes[0])}};
        struct dead_letter letter = {
            .key = draw_bytes(&prng, &bytes[1]),
            .value = draw_bytes(&prng, &bytes[2]),
            .headers = headers,
            .header_count = (uint32_t)prng_below(&prng, 2),
            .reason = "schema.type",
            .field = "a.b",
            .detail = draw_bytes(&prng, &bytes[3]),
            .violations = bytes_of_string("[{\"reason\":\"schema.type\"}]"),
            .topic = "raw \xf0\x9f\x9a\xb0",
            .partition = "12",
            .offset = offset,
            .timestamp_us = prng_below(&prng, 2) == 0 ? TIME_NEVER : 1000001,
            .pipeline = "p",
            .plan = "00",
            .attempt = 1,
            .sink = "",
        };
        offset_sum += offset;
        fixture.sink->ops->append_dead_letter(fixture.sink, epoch.outboxes[0], 1, &letter,
                                              &fixture.secret, &delta);
    }
    commit_outbox(&fixture, &epoch, &delta);
    struct found found = scan_all(&fixture);
    assert_int_equal(found.count, 2000);
    assert_int_equal(found.offset_sum, offset_sum);
    assert_true(hash_equal(found.sum, delta.sum));

    put("out/foreign.ndjson", "\n{}\nno letter\n{\"topic\":1,\"partition\":\"12\",\"offset\":1}");
    found = scan_all(&fixture);
    assert_int_equal(found.count, 2004);
    assert_int_equal(found.offset_sum, offset_sum - 4);
    for (size_t i = 0; i < 5; i++) {
        buffer_fini(&bytes[i]);
    }
    fixture_epoch_fini(&fixture, &epoch);
    fixture_fini(&fixture);
}

static void a_dead_letter_is_one_object(void **state)
{
    (void)state;
    const struct record_header headers[] = {
        {bytes_of_string("a"), bytes_of_string("1")},
        {bytes_of_string("\xff"), BYTES_NONE},
    };
    struct dead_letter letter = {
        .key = BYTES_NONE,
        .value = bytes_of("\x00\xff\"", 3),
        .headers = headers,
        .header_count = 2,
        .reason = "decode.syntax",
        .field = "",
        .detail = bytes_of_string("at 3"),
        .violations = bytes_of_string("[]"),
        .topic = "raw",
        .partition = "0",
        .offset = 17,
        .timestamp_us = INT64_C(1767225600000000),
        .pipeline = "iot",
        .plan = "0011",
        .attempt = 2,
        .sink = "readings",
    };
    struct buffer line = {0};
    letter_write(&letter, &line);
    assert_string_equal(
        buffer_string(&line),
        "{\"reason\":\"decode.syntax\",\"field\":\"\",\"detail\":\"at 3\",\"violations\":[],"
        "\"topic\":\"raw\",\"partition\":\"0\",\"offset\":17,"
        "\"timestamp\":\"2026-01-01T00:00:00Z\",\"pipeline\":\"iot\",\"plan\":\"0011\","
        "\"attempt\":2,\"sink\":\"readings\",\"headers\":[{\"name\":\"a\",\"value\":\"1\"},"
        "{\"name_base64\":\"/w==\",\"value\":null}],\"key\":null,\"value_base64\":\"AP8i\"}");

    buffer_clear(&line);
    letter.key = bytes_of_string("k");
    letter.value = bytes_of_string("{\n}");
    letter.header_count = 0;
    letter.timestamp_us = TIME_NEVER;
    letter_write(&letter, &line);
    assert_non_null(strstr(buffer_string(&line), "\"timestamp\":null,"));
    assert_non_null(
        strstr(buffer_string(&line), "\"headers\":[],\"key\":\"k\",\"value\":\"{\\n}\"}"));
    assert_true(json_is_valid(bytes_of(line.data, line.size), 0));
    buffer_fini(&line);
}

/* Audit computes hashes with sinks whose system has no session. */
static void rows_are_hashed_without_a_session(void **state)
{
    (void)state;
    struct fixture fixture;
    struct ledger_sink delta = {0};
    fixture_init(&fixture, "out");
    struct outbox *outbox = fixture.sink->ops->outbox_new(fixture.sink);
    struct output_row row = {.batch = &fixture.batch,
                             .value = bytes_of_string("{\n}"),
                             .origin = &fixture_partitions[0]};
    fixture.batch.partition = 5;
    fixture.sink->ops->append_row(fixture.sink, outbox, &row, &fixture.secret, &delta);
    assert_true(hash_equal(delta.sum, hash_bytes(&fixture.secret, "{ }", 3)));
    assert_int_equal(outbox->size_bytes, 4);
    fixture.sink->ops->outbox_free(outbox);
    fixture_fini(&fixture);
    assert_false(file_exists("out"));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(sessions_follow_one_another),
        IN_FOLDER(parts_are_named_after_their_offsets),
        IN_FOLDER(an_epoch_without_rows_has_no_part),
        IN_FOLDER(a_second_owner_is_refused_at_once),
        IN_FOLDER(who_was_taken_over_is_fenced),
        IN_FOLDER(a_first_start_happens_once),
        IN_FOLDER(plans_are_kept_by_hash),
        IN_FOLDER(a_missing_newest_part_is_refused),
        IN_FOLDER(a_record_that_went_back_is_refused),
        IN_FOLDER(a_damaged_record_is_refused),
        IN_FOLDER(a_folder_has_one_pipeline_and_one_source),
        IN_FOLDER(a_folder_that_vanishes_stops_the_pipeline),
        IN_FOLDER(one_folder_is_one_place),
        IN_FOLDER(a_folder_has_one_sink),
        IN_FOLDER(hidden_names_do_not_fill_a_folder),
        IN_FOLDER(labels_are_names_of_files),
        IN_FOLDER(a_scan_finds_the_hashes_of_the_rows),
        IN_FOLDER(a_scan_finds_dead_letters_and_their_origin),
        IN_FOLDER(a_dead_letter_is_one_object),
        IN_FOLDER(rows_are_hashed_without_a_session),
    };
    return cmocka_run_group_tests_name("connector/file/folder", tests, NULL, NULL);
}
