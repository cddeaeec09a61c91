/*
 * The official JSON-Schema-Test-Suite of draft 7. Where 2020-12 writes the same thing in another
 * way, the schema is rewritten first: a list in `items` becomes `prefixItems`, `additionalItems`
 * beside it `items`, `dependencies` becomes dependentRequired and dependentSchemas, an `$id` that is
 * only a fragment `$anchor`. What then still means something else, or is refused on purpose, stands
 * in the table below, with its why; everything else must come out right, in two ways: by the
 * validator, and as the schema of a record's field (and of the record, where it is one for objects),
 * through columns.
 *
 * The suite lies in $WEIR_SHARED/data; without it the test is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/fixture.h"
#include "schema/keyword.h"
#include "schema/validator.h"

#define REMOTES "http://localhost:1234/"

static const char *const test_files[] = {
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

/* Cases that are left out. A row that concerns no case is an error. */
static struct {
    const char *file;
    const char *group; /* NULL: all of the file */
    const char *why;
    unsigned cases;
    const char *test; /* NULL: all of the group */
} left_out[] = {
    {"definitions", NULL, "refers to the meta-schema of draft 7", 0, NULL},
    {"ref", "remote ref, containing refs itself", "refers to the meta-schema of draft 7", 0, NULL},
    {"ref", "ref overrides any sibling keywords", "2020-12 heeds what stands beside $ref", 0, NULL},
    {"ref", "$ref prevents a sibling $id from changing the base uri",
     "2020-12 heeds what stands beside $ref", 0, NULL},
    {"optional/ecmascript-regex", "ECMA 262 \\s matches whitespace",
     "\\s is ASCII white space in PCRE2", 0, NULL},
    {"optional/ecmascript-regex", "ECMA 262 \\S matches everything but whitespace",
     "\\s is ASCII white space in PCRE2", 0, NULL},
    {"optional/ecmascript-regex", "patterns always use unicode semantics with pattern",
     "PCRE2 knows \\p{L}, not \\p{Letter}", 0, NULL},
    {"optional/ecmascript-regex", "pattern with non-ASCII digits",
     "PCRE2 knows \\p{Nd}, not \\p{digit}", 0, NULL},
    {"optional/ecmascript-regex", "patterns always use unicode semantics with patternProperties",
     "PCRE2 knows \\p{L}, not \\p{Letter}", 0, NULL},
    {"optional/ecmascript-regex", "patternProperties with non-ASCII digits",
     "PCRE2 knows \\p{Nd}, not \\p{digit}", 0, NULL},
    {"optional/float-overflow", NULL, "a column holds integers of 64 bits", 0, NULL},
    {"optional/format/ecmascript-regex", "\\a is not an ECMA 262 control escape",
     "PCRE2 knows \\a", 0, "when used as a pattern"},
    {"optional/format/ecmascript-regex", "Python-specific regular expression syntax is not valid ECMA 262",
     "PCRE2 takes it", 0, "Python named group (?P<name>...) is not ECMA 262"},
    {"optional/format/ecmascript-regex", "Python-specific regular expression syntax is not valid ECMA 262",
     "PCRE2 takes it", 0, "Python named backreference (?P=name) is not ECMA 262"},
    {"optional/format/ecmascript-regex", "Python-specific regular expression syntax is not valid ECMA 262",
     "PCRE2 takes it", 0, "inline comment group (?#...) is not ECMA 262"},
    {"optional/format/ecmascript-regex", "global inline flag groups are not valid ECMA 262",
     "PCRE2 takes it", 0, NULL},
    {"optional/format/ecmascript-regex", "ECMA 262 lookbehind is valid, including variable width",
     "PCRE2 looks behind at a fixed width only", 0, "a variable-width lookbehind (ES2018)"},
    {"optional/format/idn-hostname", "validation of internationalized host names",
     "libidn2 takes it: the rule is about the whole name", 0, "Bidi domain name with a digit-first label is invalid"},
    {"optional/format/idn-hostname", "validation of internationalized host names",
     "libidn2 takes it", 0, "right-to-left label mixing both digit types is invalid"},
    {"optional/bignum", NULL, "integers of schema files fit into 64 bits", 0, NULL},
    {"optional/content", NULL, "contentEncoding and contentMediaType are annotations in 2020-12", 0, NULL},
    {"optional/unknownKeyword", NULL, "an unknown keyword is an error", 0, NULL},
    {"optional/format/unknown", NULL, "an unknown format is an error", 0, NULL},
};
enum { LEFT_OUT_COUNT = sizeof left_out / sizeof left_out[0] };

struct tally {
    unsigned passed;
    unsigned failed;
    unsigned nulls; /* of columns: a null that counts as absent */
};

static struct {
    const char *file;
    const char *group;
    const char *test;
} now; /* for messages */

/* --- rewriting --- */

static struct doc *new_map(struct arena *arena, size_t capacity)
{
    struct doc *map = arena_alloc_zero(arena, 1, sizeof *map);
    *map = (struct doc){.kind = DOC_MAP, .file = "s.json", .text = ""};
    map->keys = arena_alloc_zero(arena, capacity + 1, sizeof *map->keys);
    map->items = arena_alloc_zero(arena, capacity + 1, sizeof *map->items);
    return map;
}

static struct doc *new_string(struct arena *arena, const char *text)
{
    struct doc *string = arena_alloc_zero(arena, 1, sizeof *string);
    *string = (struct doc){
        .kind = DOC_STRING, .file = "s.json", .text = text, .text_size = strlen(text)};
    return string;
}

static void put(struct arena *arena, struct doc *map, const char *key, const struct doc *value)
{
    map->keys[map->count] = new_string(arena, key);
    map->items[map->count++] = (struct doc *)value;
}

static struct doc *rewrite(struct arena *arena, const struct doc *schema);

/* All schemas in a list or map. */
static struct doc *rewrite_each(struct arena *arena, const struct doc *holder)
{
    struct doc *copy = arena_alloc_zero(arena, 1, sizeof *copy);
    *copy = *holder;
    copy->items = arena_alloc_zero(arena, holder->count + 1, sizeof *copy->items);
    for (size_t i = 0; i < holder->count; i++) {
        copy->items[i] = rewrite(arena, holder->items[i]);
    }
    return copy;
}

static void rewrite_dependencies(struct arena *arena, const struct doc *value, struct doc *out)
{
    struct doc *names = new_map(arena, value->count);
    struct doc *schemas = new_map(arena, value->count);
    for (size_t i = 0; i < value->count; i++) {
        bool is_names = value->items[i]->kind == DOC_LIST;
        struct doc *map = is_names ? names : schemas;
        map->keys[map->count] = value->keys[i];
        map->items[map->count++] = is_names ? value->items[i] : rewrite(arena, value->items[i]);
    }
    put(arena, out, "dependentRequired", names);
    put(arena, out, "dependentSchemas", schemas);
}

static void rewrite_key(struct arena *arena, const struct doc *schema, const struct doc *key,
                        const struct doc *value, struct doc *out)
{
    const struct doc *items = doc_get(schema, "items");
    bool positions = items != NULL && items->kind == DOC_LIST;
    enum keyword_holds holds = keyword_holds(key);
    if (strcmp(key->text, "items") == 0 && positions) {
        if (value->count > 0) {
            put(arena, out, "prefixItems", rewrite_each(arena, value));
        }
    } else if (strcmp(key->text, "additionalItems") == 0) {
        if (positions) {
            put(arena, out, "items", rewrite(arena, value));
        }
    } else if (strcmp(key->text, "dependencies") == 0) {
        rewrite_dependencies(arena, value, out);
    } else if (strcmp(key->text, "$id") == 0 && value->text[0] == '#') {
        put(arena, out, "$anchor", new_string(arena, value->text + 1));
    } else if (strcmp(key->text, "$ref") == 0 && strncmp(value->text, "#/items/", 8) == 0) {
        put(arena, out, "$ref",
            new_string(arena, arena_printf(arena, "#/prefixItems/%s", value->text + 8)));
    } else if (strcmp(key->text, "$schema") != 0) {
        put(arena, out, key->text,
            holds == HOLDS_SCHEMA ? rewrite(arena, value)
            : holds == HOLDS_NOTHING || value->kind == DOC_BOOL ? value
                                                                 : rewrite_each(arena, value));
    }
}

static struct doc *rewrite(struct arena *arena, const struct doc *schema)
{
    if (schema->kind != DOC_MAP) {
        return (struct doc *)schema;
    }
    struct doc *out = new_map(arena, schema->count * 2);
    for (size_t i = 0; i < schema->count; i++) {
        rewrite_key(arena, schema, schema->keys[i], schema->items[i], out);
    }
    return out;
}

/* With an `$id`, so that references within it hold wherever it stands. */
static const struct doc *name_schema(struct arena *arena, const struct doc *schema,
                                     const char *uri)
{
    if (schema->kind != DOC_MAP || doc_get(schema, "$id") != NULL) {
        return schema;
    }
    struct doc *named = new_map(arena, schema->count + 1);
    put(arena, named, "$id", new_string(arena, uri));
    for (size_t i = 0; i < schema->count; i++) {
        put(arena, named, schema->keys[i]->text, schema->items[i]);
    }
    return named;
}

/* {"$id": …, "properties": {"v": schema}} */
static const struct doc *wrap_schema(struct arena *arena, const struct doc *schema)
{
    struct doc *properties = new_map(arena, 1);
    put(arena, properties, "v", name_schema(arena, schema, REMOTES "inner.json"));
    struct doc *wrapped = new_map(arena, 2);
    put(arena, wrapped, "$id", new_string(arena, REMOTES "outer.json"));
    put(arena, wrapped, "properties", properties);
    return wrapped;
}

/* --- files --- */

struct suite {
    struct arena *arena; /* of one group */
    const char *folder;
};

static struct doc *read_json(struct arena *arena, const char *path, struct error *err)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s cannot be read", path);
    }
    size_t capacity = 1 << 20;
    char *content = memory_alloc(capacity);
    size_t size = fread(content, 1, capacity, file);
    assert_true(size < capacity && fclose(file) == 0);
    struct doc *document = NULL;
    (void)!doc_parse(arena, "s.json", bytes_of(content, size), NULL, &document, err);
    memory_free(content);
    return document;
}

static enum status read_remote(void *context, const char *path, const struct doc *text,
                               const struct doc **out, struct error *err)
{
    const struct suite *suite = context;
    char full[4096];
    (void)text;
    (void)snprintf(full, sizeof full, "%s/remotes/%s", suite->folder, path);
    struct doc *document = read_json(suite->arena, full, err);
    if (document == NULL) {
        return err->status;
    }
    *out = rewrite(suite->arena, document);
    return STATUS_OK;
}

/* --- cases --- */

static void count_case(struct tally *tally, const char *way, bool found, bool expected)
{
    if (found == expected) {
        tally->passed++;
        return;
    }
    tally->failed++;
    print_error("%s: %s: %s: found %s by %s\n", now.file, now.group, now.test,
                found ? "valid" : "invalid", way);
}

static void judge_purely(struct tally *tally, const struct validator *validator,
                         struct judge *judge, const struct doc *test)
{
    struct buffer text = {0};
    struct complaints complaints;
    doc_write_canonical(doc_get(test, "data"), &text);
    bool fits = validator_fits(validator, judge, bytes_of(buffer_string(&text), text.size),
                               &complaints);
    assert_int_equal(fits, complaints.count == 0);
    assert_int_equal(fits, validator_fits(validator, judge,
                                          bytes_of(buffer_string(&text), text.size), NULL));
    count_case(tally, "the validator", fits, doc_get(test, "valid")->boolean);
    buffer_fini(&text);
}

static void judge_record(struct tally *tally, const struct suite *suite, const struct doc *schema,
                         const struct doc *record, bool expected)
{
    struct fixture fixture;
    struct error err = {0};
    struct schema_files files = {.count = 0};
    if (schema_gather(suite->arena, schema, read_remote, (void *)suite, &files, &err) !=
            STATUS_OK ||
        fixture_open_document(&fixture, schema, &files, &err) != STATUS_OK) {
        /* Refused as the schema of a column, because nothing could fit, or of a record. */
        assert_true(strcmp(err.code, "schema.contradiction") == 0 ||
                    strcmp(err.code, "schema.root_type") == 0);
        return;
    }
    uint32_t row = fixture_add_document(&fixture, record);
    fixture_check(&fixture);
    bool fits = fixture_complaints(&fixture, row)[0] == '\0' && !fixture.unknown_field;
    if (fixture.dropped_null) {
        tally->nulls++;
    } else {
        count_case(tally, "columns", fits, expected);
    }
    fixture_close(&fixture);
}

static void judge_by_columns(struct tally *tally, const struct suite *suite,
                             const struct doc *schema, const struct doc *test)
{
    const struct doc *instance = doc_get(test, "data");
    bool expected = doc_get(test, "valid")->boolean;
    struct doc *record = new_map(suite->arena, 1);
    put(suite->arena, record, "v", instance);
    judge_record(tally, suite, wrap_schema(suite->arena, schema), record, expected);
    if (instance->kind == DOC_MAP) {
        judge_record(tally, suite, name_schema(suite->arena, schema, REMOTES "root.json"), instance,
                     expected);
    }
}

static bool is_left_out(const char *file, const char *group, const char *test, size_t count)
{
    for (size_t i = 0; i < LEFT_OUT_COUNT; i++) {
        bool same_test = test == NULL ? left_out[i].test == NULL
                                      : left_out[i].test != NULL &&
                                            strcmp(left_out[i].test, test) == 0;
        if (same_test && strcmp(left_out[i].file, file) == 0 &&
            (left_out[i].group == NULL || strcmp(left_out[i].group, group) == 0)) {
            left_out[i].cases += (unsigned)count;
            return true;
        }
    }
    return false;
}

static void run_group(struct tally *tally, struct suite *suite, struct judge *judge,
                      const struct doc *group)
{
    const struct doc *tests = doc_get(group, "tests");
    const struct doc *schema = rewrite(suite->arena, doc_get(group, "schema"));
    const struct doc *named = name_schema(suite->arena, schema, REMOTES "root.json");
    struct validator *validator = NULL;
    struct schema_files files = {.count = 0};
    struct error err = {0};
    if (schema_gather(suite->arena, named, read_remote, suite, &files, &err) != STATUS_OK ||
        validator_compile(suite->arena, named, &files, &validator, &err) != STATUS_OK) {
        tally->failed += (unsigned)tests->count;
        print_error("%s: %s: %s: %s\n", now.file, now.group, err.code, err.message);
        return;
    }
    for (size_t i = 0; i < tests->count; i++) {
        now.test = doc_get(tests->items[i], "description")->text;
        if (!is_left_out(now.file, now.group, now.test, 1)) {
            judge_purely(tally, validator, judge, tests->items[i]);
            judge_by_columns(tally, suite, schema, tests->items[i]);
        }
    }
}

static void run_file(struct tally *tally, const char *folder, const char *name)
{
    char path[4096];
    struct arena *arena = arena_new(64 * 1024);
    struct error err = {0};
    struct judge *judge = schema_judge_new();
    (void)snprintf(path, sizeof path, "%s/tests/draft7/%s.json", folder, name);
    now.file = name;
    struct doc *groups = read_json(arena, path, &err);
    if (groups == NULL && !is_left_out(name, "", NULL, 1)) {
        fail_msg("%s: %s", name, err.message);
    }
    for (size_t i = 0; groups != NULL && i < groups->count; i++) {
        now.group = doc_get(groups->items[i], "description")->text;
        if (!is_left_out(name, now.group, NULL, doc_get(groups->items[i], "tests")->count)) {
            struct suite suite = {arena_new(64 * 1024), folder};
            run_group(tally, &suite, judge, groups->items[i]);
            arena_free(suite.arena);
        }
    }
    schema_judge_free(judge);
    arena_free(arena);
}

static void test_suite(void **state)
{
    (void)state;
    const char *shared = getenv("WEIR_SHARED");
    char folder[2048];
    (void)snprintf(folder, sizeof folder, "%s/data/JSON-Schema-Test-Suite",
                   shared != NULL ? shared : "");
    FILE *probe = shared != NULL ? fopen(folder, "rb") : NULL;
    if (probe == NULL) {
        print_message("skipped: no JSON-Schema-Test-Suite, set WEIR_SHARED\n");
        skip();
    }
    (void)fclose(probe);
    struct tally tally = {0};
    for (size_t i = 0; i < sizeof test_files / sizeof test_files[0]; i++) {
        run_file(&tally, folder, test_files[i]);
    }
    print_message("%u answers right, %u wrong; %u not asked of columns: a null counts as absent\n",
                  tally.passed, tally.failed, tally.nulls);
    for (size_t i = 0; i < LEFT_OUT_COUNT; i++) {
        print_message("%5u left out: %s%s%s%s%s: %s\n", left_out[i].cases, left_out[i].file,
                      left_out[i].group != NULL ? ": " : "",
                      left_out[i].group != NULL ? left_out[i].group : "",
                      left_out[i].test != NULL ? ": " : "",
                      left_out[i].test != NULL ? left_out[i].test : "", left_out[i].why);
        assert_true(left_out[i].cases > 0);
    }
    assert_int_equal(tally.failed, 0);
    assert_true(tally.passed >= 3500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_suite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
