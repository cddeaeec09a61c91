/*
 * The official JSON-Schema-Test-Suite (draft 7, whose keywords mean here what they mean in
 * 2020-12): every group whose schema this folder compiles is run, every other is counted by the
 * reason why not. The suite lies in $WEIR_SHARED/data; without it the test is skipped.
 *
 * A record is an object: an instance that is none, or whose schema is not one for a record, becomes
 * the member v of one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/fixture.h"

static const char *const files[] = {
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "boolean_schema",
    "const",
    "contains",
    "default",
    "definitions",
    "dependencies",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if-then-else",
    "infinite-loop-detection",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "properties",
    "propertyNames",
    "ref",
    "refRemote",
    "required",
    "type",
    "uniqueItems",
    "optional/bignum",
    "optional/content",
    "optional/cross-draft",
    "optional/ecmascript-regex",
    "optional/float-overflow",
    "optional/id",
    "optional/non-bmp-regex",
    "optional/unknownKeyword",
    "optional/format/date",
    "optional/format/date-time",
    "optional/format/ecmascript-regex",
    "optional/format/email",
    "optional/format/hostname",
    "optional/format/idn-email",
    "optional/format/idn-hostname",
    "optional/format/ipv4",
    "optional/format/ipv6",
    "optional/format/iri",
    "optional/format/iri-reference",
    "optional/format/json-pointer",
    "optional/format/regex",
    "optional/format/relative-json-pointer",
    "optional/format/time",
    "optional/format/unknown",
    "optional/format/uri",
    "optional/format/uri-reference",
    "optional/format/uri-template",
};

/* Groups in which weir differs on purpose, in some cases. */
static const struct {
    const char *group;
    const char *why;
} deviations[] = {
    {"ECMA 262 \\s matches whitespace", "\\s is ASCII white space in PCRE2"},
    {"ECMA 262 \\S matches everything but whitespace", "\\s is ASCII white space in PCRE2"},
    {"all integers are multiples of 0.5, if overflow is handled",
     "an integer beyond int64 is schema.range"},
    {"validation of A-label (punycode) host names",
     "the characters of internationalized labels are not looked at"},
};
enum { DEVIATION_COUNT = sizeof deviations / sizeof deviations[0] };

struct tally {
    unsigned passed;
    unsigned failed;
    unsigned deviated[DEVIATION_COUNT];
    struct {
        char why[64];
        unsigned count;
    } skipped[64];
    size_t skipped_count;
};

static void skip_cases(struct tally *tally, const char *why, size_t count)
{
    size_t i = 0;
    while (i < tally->skipped_count && strcmp(tally->skipped[i].why, why) != 0) {
        i++;
    }
    assert_true(i < sizeof tally->skipped / sizeof tally->skipped[0]);
    if (i == tally->skipped_count) {
        (void)snprintf(tally->skipped[i].why, sizeof tally->skipped[i].why, "%s", why);
        tally->skipped_count++;
    }
    tally->skipped[i].count += (unsigned)count;
}

/* The reason for people: the code, with the keyword that the message begins with where that says
 * more. */
static void skip_for_error(struct tally *tally, const struct error *err)
{
    char why[64];
    size_t keyword = err->message[0] == '`' ? strcspn(err->message + 1, "`") + 2 : 0;
    (void)snprintf(why, sizeof why, "%s%s%.*s", err->code, keyword > 0 ? " " : "", (int)keyword,
                   err->message);
    skip_cases(tally, why, 1);
}

static void count_difference(struct tally *tally, const char *file, const char *group,
                             const char *test, bool found_valid)
{
    for (size_t i = 0; i < DEVIATION_COUNT; i++) {
        if (strcmp(deviations[i].group, group) == 0) {
            tally->deviated[i]++;
            return;
        }
    }
    tally->failed++;
    print_error("%s: %s: %s: found %s\n", file, group, test, found_valid ? "valid" : "invalid");
}

static struct doc *map_of_one(struct arena *arena, const char *key, const struct doc *value)
{
    struct doc *name = arena_alloc_zero(arena, 1, sizeof *name);
    *name = (struct doc){.kind = DOC_STRING, .file = "", .text = key, .text_size = strlen(key)};
    struct doc *map = arena_alloc_zero(arena, 1, sizeof *map);
    *map = (struct doc){.kind = DOC_MAP, .file = "", .text = "", .count = 1};
    map->keys = arena_alloc(arena, sizeof(struct doc *));
    map->items = arena_alloc(arena, sizeof(struct doc *));
    map->keys[0] = name;
    map->items[0] = (struct doc *)value;
    return map;
}

static bool run_case(struct fixture *fixture, const struct doc *record, bool *out_null)
{
    uint32_t row = fixture_add_document(fixture, record);
    fixture_check(fixture);
    *out_null = fixture->dropped_null;
    return fixture_complaints(fixture, row)[0] == '\0' && !fixture->unknown_field;
}

static void judge_case(struct tally *tally, const char *file, const struct doc *group,
                       const struct doc *test)
{
    struct arena *arena = arena_new(4096);
    const struct doc *schema = doc_get(group, "schema");
    const struct doc *instance = doc_get(test, "data");
    struct fixture fixture;
    struct error err = {0};
    bool whole =
        instance->kind == DOC_MAP && fixture_open_document(&fixture, schema, &err) == STATUS_OK;
    if (!whole) {
        struct doc *wrapped = map_of_one(arena, "properties", map_of_one(arena, "v", schema));
        instance = map_of_one(arena, "v", instance);
        error_clear(&err);
        if (fixture_open_document(&fixture, wrapped, &err) != STATUS_OK) {
            skip_for_error(tally, &err);
            arena_free(arena);
            return;
        }
    }
    bool null_dropped;
    bool valid = run_case(&fixture, instance, &null_dropped);
    if (null_dropped) {
        skip_cases(tally, "a null counts as absent", 1);
    } else if (valid == doc_get(test, "valid")->boolean) {
        tally->passed++;
    } else {
        count_difference(tally, file, doc_get(group, "description")->text,
                         doc_get(test, "description")->text, valid);
    }
    fixture_close(&fixture);
    arena_free(arena);
}

static struct bytes read_whole(struct arena *arena, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s cannot be read", path);
    }
    size_t capacity = 1 << 20;
    char *content = arena_alloc(arena, capacity);
    size_t size = fread(content, 1, capacity, file);
    assert_true(size < capacity && fclose(file) == 0);
    return bytes_of(content, size);
}

static void run_file(struct tally *tally, const char *folder, const char *name)
{
    char path[4096];
    struct arena *arena = arena_new(64 * 1024);
    struct error err = {0};
    struct doc *groups = NULL;
    (void)snprintf(path, sizeof path, "%s/%s.json", folder, name);
    struct bytes content = read_whole(arena, path);
    if (doc_parse(arena, name, content, NULL, &groups, &err) != STATUS_OK) {
        char why[64];
        (void)snprintf(why, sizeof why, "whole file, %s: %s", err.code, name);
        skip_cases(tally, why, 1);
        arena_free(arena);
        return;
    }
    for (size_t i = 0; i < groups->count; i++) {
        const struct doc *tests = doc_get(groups->items[i], "tests");
        for (size_t k = 0; k < tests->count; k++) {
            judge_case(tally, name, groups->items[i], tests->items[k]);
        }
    }
    arena_free(arena);
}

static void test_suite(void **state)
{
    (void)state;
    const char *shared = getenv("WEIR_SHARED");
    char folder[2048];
    (void)snprintf(folder, sizeof folder, "%s/data/JSON-Schema-Test-Suite/tests/draft7",
                   shared != NULL ? shared : "");
    FILE *probe = shared != NULL ? fopen(folder, "rb") : NULL;
    if (probe == NULL) {
        print_message("skipped: no JSON-Schema-Test-Suite, set WEIR_SHARED\n");
        skip();
    }
    (void)fclose(probe);
    struct tally tally = {0};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        run_file(&tally, folder, files[i]);
    }
    print_message("%u cases right, %u wrong\n", tally.passed, tally.failed);
    for (size_t i = 0; i < DEVIATION_COUNT; i++) {
        print_message("%5u differ on purpose: %s\n", tally.deviated[i], deviations[i].why);
    }
    for (size_t i = 0; i < tally.skipped_count; i++) {
        print_message("%5u skipped: %s\n", tally.skipped[i].count, tally.skipped[i].why);
    }
    assert_int_equal(tally.failed, 0);
    assert_true(tally.passed >= 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_suite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
