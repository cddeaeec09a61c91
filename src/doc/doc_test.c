#include "doc/doc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/prng.h"

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(64 << 10);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    arena = NULL;
    return 0;
}

static const char *test_environment(const char *name)
{
    static const char *const values[][2] = {
        {"HOST", "db1"},           {"PORT", "5432"}, {"EMPTY", ""},      {"FLAG", "true"},
        {"QUOTE", "a: \"b\" # c"}, {"_x9", "under"}, {"BROKEN", "\xff"},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (strcmp(values[i][0], name) == 0) {
            return values[i][1];
        }
    }
    return NULL;
}

/* The content goes through memory of exactly its size, so that a read beyond it is found. */
static enum status parse_bytes(const char *file, const void *data, size_t size, struct doc **out,
                               struct error *err)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    assert_non_null(exact);
    memcpy(exact, data, size);
    enum status status = doc_parse(arena, file, bytes_of(exact, size), test_environment, out, err);
    memset(exact, 0xAA, size);
    free(exact);
    return status;
}

static struct doc *parse_file(const char *file, const char *text)
{
    struct doc *doc = NULL;
    struct error err = {0};
    if (parse_bytes(file, text, strlen(text), &doc, &err) != STATUS_OK) {
        fail_msg("%s:%u:%u: %s", err.file, err.line, err.column, err.message);
    }
    return doc;
}

static struct doc *parse(const char *text)
{
    return parse_file("test.yaml", text);
}

static void assert_place(const struct doc *node, unsigned line, unsigned column)
{
    assert_int_equal(node->line, line);
    assert_int_equal(node->column, column);
}

static void assert_text(const struct doc *node, enum doc_kind kind, const char *text)
{
    assert_int_equal(node->kind, kind);
    assert_int_equal(node->text_size, strlen(text));
    assert_string_equal(node->text, text);
}

static void assert_canonical(const struct doc *node, const char *expected)
{
    struct buffer out = {0};
    doc_write_canonical(node, &out);
    assert_string_equal(buffer_string(&out), expected);
    buffer_fini(&out);
}

static void every_node_knows_its_place(void **state)
{
    (void)state;
    struct doc *root = parse("# a comment | with - indicators\n"
                             "name: iot\n"
                             "list:\n"
                             "  - 1\n"
                             "  -\n"
                             "  - 'q'   # - > no item\n"
                             "  - {a: 1, \"b\": [x]}\n"
                             "empty:\n"
                             "? asked\n"
                             ": answer\n"
                             "text: |  # why | not\n"
                             "  line\n"
                             "é ü: \"ö\"\n");
    assert_int_equal(root->kind, DOC_MAP);
    assert_string_equal(root->file, "test.yaml");
    assert_place(root, 2, 1);
    assert_place(root->keys[0], 2, 1);
    assert_place(root->items[0], 2, 7);
    const struct doc *list = doc_get(root, "list");
    assert_place(list, 4, 3);
    assert_place(list->items[0], 4, 5);
    assert_int_equal(list->items[1]->kind, DOC_NULL);
    assert_place(list->items[1], 5, 3);
    assert_place(list->items[2], 6, 5);
    assert_place(list->items[3], 7, 5);
    assert_place(list->items[3]->keys[1], 7, 12);
    assert_place(doc_get(list->items[3], "b"), 7, 17);
    assert_place(doc_get(list->items[3], "b")->items[0], 7, 18);
    assert_place(doc_get(root, "empty"), 8, 1);
    assert_place(root->keys[3], 9, 3);
    assert_place(doc_get(root, "asked"), 10, 3);
    assert_place(doc_get(root, "text"), 11, 7);
    assert_place(doc_get(root, "é ü"), 13, 6);
    assert_null(doc_get(root, "nothing"));
}

static void line_breaks_of_every_kind_count(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a: 1\nb:\n  - x\n",
        "a: 1\r\nb:\r\n  - x\r\n",
        "a: 1\rb:\r  - x\r",
        "\xEF\xBB\xBF"
        "a: 1\nb:\n  - x",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct doc *root = parse(texts[i]);
        assert_place(root, 1, 1);
        assert_place(doc_get(root, "b"), 3, 3);
        assert_text(doc_get(root, "b")->items[0], DOC_STRING, "x");
    }
    assert_text(doc_get(parse("a: |\r\n  x\r\n  y\r\n"), "a"), DOC_STRING, "x\ny\n");
}

static void plain_scalars_follow_the_core_schema(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum doc_kind kind;
        double value;
    } rows[] = {
        {"~", DOC_NULL, 0},
        {"null", DOC_NULL, 0},
        {"NULL", DOC_NULL, 0},
        {"nULL", DOC_STRING, 0},
        {"true", DOC_BOOL, 1},
        {"False", DOC_BOOL, 0},
        {"yes", DOC_STRING, 0},
        {"off", DOC_STRING, 0},
        {"0", DOC_INT, 0},
        {"-0", DOC_INT, 0},
        {"+12", DOC_INT, 12},
        {"-7", DOC_INT, -7},
        {"007", DOC_INT, 7},
        {"0x1F", DOC_INT, 31},
        {"0o17", DOC_INT, 15},
        {"-0x1F", DOC_STRING, 0},
        {"0x", DOC_STRING, 0},
        {"0o8", DOC_STRING, 0},
        {"1_000", DOC_STRING, 0},
        {".5", DOC_DOUBLE, 0.5},
        {"-.5", DOC_DOUBLE, -0.5},
        {"1.", DOC_DOUBLE, 1},
        {"1e3", DOC_DOUBLE, 1000},
        {"1E-2", DOC_DOUBLE, 0.01},
        {"1.5e+3", DOC_DOUBLE, 1500},
        {"1e", DOC_STRING, 0},
        {"1.e", DOC_STRING, 0},
        {".", DOC_STRING, 0},
        {".e1", DOC_STRING, 0},
        {"inf", DOC_STRING, 0},
        {"NaN", DOC_STRING, 0},
        {"1e-400", DOC_DOUBLE, 0},
        {"12:30", DOC_STRING, 0},
        {"2026-01-31", DOC_STRING, 0},
        {"10m", DOC_STRING, 0},
        {"5%", DOC_STRING, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct doc *root = parse(arena_printf(arena, "k: %s\n", rows[i].text));
        const struct doc *value = doc_get(root, "k");
        assert_text(value, rows[i].kind, rows[i].text);
        assert_false(value->quoted);
        if (value->kind == DOC_INT) {
            assert_int_equal(value->integer, (int64_t)rows[i].value);
        } else if (value->kind == DOC_DOUBLE) {
            assert_true(value->real == rows[i].value);
        } else if (value->kind == DOC_BOOL) {
            assert_int_equal(value->boolean, rows[i].value != 0);
        }
        /* In quotes it is a string, always. */
        root = parse(arena_printf(arena, "k: '%s'\n", rows[i].text));
        assert_text(doc_get(root, "k"), DOC_STRING, rows[i].text);
        assert_true(doc_get(root, "k")->quoted);
    }
    struct doc *edges = parse("[9223372036854775807, -9223372036854775808, 0x7fffffffffffffff]");
    assert_true(edges->items[0]->integer == INT64_MAX);
    assert_true(edges->items[1]->integer == INT64_MIN);
    assert_true(edges->items[2]->integer == INT64_MAX);
}

static void strings_of_every_style(void **state)
{
    (void)state;
    struct doc *root = parse("plain: two\n  lines\n"
                             "single: 'it''s'\n"
                             "double: \"\\u0041\\x42\\n\\ud83d\\ude00\\0z\"\n"
                             "literal: |-\n  a\n   b\n"
                             "folded: >\n  a\n  b\n\n  c\n"
                             "empty: ''\n"
                             "number: |-\n  5\n");
    assert_text(doc_get(root, "plain"), DOC_STRING, "two lines");
    assert_text(doc_get(root, "single"), DOC_STRING, "it's");
    const struct doc *escaped = doc_get(root, "double");
    assert_int_equal(escaped->text_size, 9);
    assert_memory_equal(escaped->text, "AB\n\xF0\x9F\x98\x80\0z", 10);
    assert_text(doc_get(root, "literal"), DOC_STRING, "a\n b");
    assert_text(doc_get(root, "folded"), DOC_STRING, "a b\nc\n");
    assert_text(doc_get(root, "empty"), DOC_STRING, "");
    assert_text(doc_get(root, "number"), DOC_STRING, "5");
    assert_true(doc_get(root, "number")->quoted);
    int64_t integer;
    assert_false(doc_to_integer(doc_get(root, "number"), &integer));
}

/* The size that libfyaml guesses for such a text is too small. */
static void block_scalar_keeps_its_end(void **state)
{
    (void)state;
    struct doc *root = parse("n:\n  - |\n   x\n     deep\n   y\nk: 1\n");
    assert_text(doc_get(root, "n")->items[0], DOC_STRING, "x\n  deep\ny\n");
    assert_text(parse("- |+\n  x\n\n- y")->items[0], DOC_STRING, "x\n\n");
    assert_text(parse("- |+\n  x\n")->items[0], DOC_STRING, "x\n");
    assert_text(parse("- |\n  x")->items[0], DOC_STRING, "x\n");
    assert_text(parse("n:\n  - |\n  ")->items[0]->items[0], DOC_STRING, "");
    assert_text(parse("a: |\n# comment\nb: 1\n")->items[0], DOC_STRING, "");
}

static void json_files_are_json(void **state)
{
    (void)state;
    struct doc *root =
        parse_file("schema.JSON", "{\t\"a\":\t[1,\r\n\t2.5e1, null, true, {}, []],\n"
                                  "\t\"b\"\n:\"\\u0041\\ud83d\\ude00\\/\\\"\\u0000\" }");
    assert_canonical(root,
                     "{\"a\":[1,2.5e1,null,true,{},[]],\"b\":\"A\xF0\x9F\x98\x80/\\\"\\u0000\"}");
    assert_place(doc_get(root, "a")->items[1], 2, 2);
    assert_place(doc_get(root, "b"), 4, 2);
    /* JSON in a file of another name, tabs and all. */
    assert_canonical(parse("{\"a\":\t1,\n\t\"b\":[\t]\n}\n"), "{\"a\":1,\"b\":[]}");
    /* A key of more than the 1,024 characters that YAML allows on a line. */
    char *key = arena_alloc(arena, 3001);
    memset(key, 'k', 3000);
    key[3000] = '\0';
    assert_non_null(doc_get(parse_file("a.json", arena_printf(arena, "{\"%s\": 1}", key)), key));
}

static void empty_files_are_null(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n \n", "\xEF\xBB\xBF", "# only a comment\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct doc *root = parse(texts[i]);
        assert_int_equal(root->kind, DOC_NULL);
        assert_place(root, 1, 1);
    }
    assert_int_equal(parse_file("a.json", "")->kind, DOC_NULL);
    assert_int_equal(parse("---\n")->kind, DOC_NULL);
    struct doc *none = NULL;
    assert_int_equal(doc_parse(arena, "f", BYTES_NONE, NULL, &none, NULL), STATUS_OK);
    assert_int_equal(none->kind, DOC_NULL);
}

#define CASE(text, line, column, code, says) \
    { \
        text, sizeof(text) - 1, line, column, code, says \
    }

struct broken {
    const char *text;
    size_t size;
    unsigned line;
    unsigned column;
    const char *code;
    const char *says;
};

static void assert_broken(const char *file, const struct broken *row)
{
    struct doc *doc = NULL;
    struct error err = {0};
    enum status status = parse_bytes(file, row->text, row->size, &doc, &err);
    bool good = status == STATUS_CONFIG && err.line == row->line && err.column == row->column &&
                strcmp(err.code, row->code) == 0 && strcmp(err.file, file) == 0 &&
                strstr(err.message, row->says) != NULL && doc == NULL;
    if (!good) {
        fail_msg("%.60s gave %s, %s:%u:%u [%s] %s", row->text, status_name(status), err.file,
                 err.line, err.column, err.code, err.message);
    }
}

static void broken_yaml_has_its_place(void **state)
{
    (void)state;
    static const struct broken rows[] = {
        CASE("a: \"abc\nb: 1\n", 1, 4, "doc.syntax", "closing quote"),
        CASE("a: 'abc\nb: 1\n", 1, 4, "doc.syntax", "closing quote"),
        CASE("x: 1\na: \"abc", 2, 4, "doc.syntax", "closing quote"),
        CASE("a: \"x\" y\n", 1, 8, "doc.syntax", "trailing content"),
        CASE("a:\n\tb: 1\n", 2, 1, "doc.syntax", "indent with spaces"),
        CASE("a:\n  b: 1\n c: 2\n", 3, 2, "doc.syntax", "line it up"),
        CASE("a:\n  - b: 1\n   c: 2\n", 3, 4, "doc.syntax", "line it up"),
        CASE("? complexb complexb:\t: value\n", 1, 21, "doc.syntax", "indent with spaces"),
        CASE("a: 1\n b: 2\n", 1, 4, "doc.syntax", "indented too far"),
        CASE("a: 1\nb\n", 2, 1, "doc.syntax", "key: value"),
        CASE("a: b: c\n", 1, 5, "doc.syntax", "quotes"),
        CASE("\"a\": 1\n\"c\":3\n", 2, 1, "doc.syntax", "a space behind ':'"),
        CASE("a: [1, 2\n", 2, 1, "doc.syntax", "(in a list that begins at line 1, column 4)"),
        CASE("a: [1, 2", 1, 9, "doc.syntax", "(in a list that begins at line 1, column 4)"),
        CASE("a: [1, 2}\n", 1, 9, "doc.syntax", "mismatched"),
        CASE("a: 1\nb: {c: ${HOST}, d: 1}\n", 2, 9, "doc.syntax", "quotes around a value with ${NAME}"),
        CASE("a: [x, ${HOST}:1]\n", 1, 9, "doc.syntax", "quotes around a value with ${NAME}"),
        CASE("a: {b: 1\n\n", 3, 1, "doc.syntax", "(in a map that begins at line 1, column 4)"),
        CASE("a: 1\n]\n", 2, 1, "doc.syntax", "closing bracket"),
        CASE("[a,,b]\n", 1, 4, "doc.syntax", "comma"),
        CASE("a: @b\n", 1, 4, "doc.syntax", "quotes"),
        CASE("a: \"\\q\"\n", 1, 5, "doc.syntax", "backslash"),
        CASE("a: \"\\ud800\"\n", 1, 5, "doc.syntax", "UTF8"),
        CASE("- a\nb: c\n", 2, 1, "doc.syntax", "- item"),
        CASE("a: 1\n---\nb: 2\n", 2, 1, "doc.syntax", "second document"),
        CASE("a: 1\n---\n", 2, 1, "doc.syntax", "second document"),
        CASE("a: 1\n...\n\nb: 2\n", 4, 1, "doc.syntax", "second document"),
        CASE("b: 1\na: x\0y\n", 2, 5, "doc.syntax", "0x00"),
        CASE("a: \"\x01\"\n", 1, 5, "doc.syntax", "0x01"),
        CASE("b: 1\r\na: \xC3\xA9\xFF\n", 2, 5, "doc.syntax", "0xff is not UTF-8"),
        CASE("a: \xED\xA0\x80\n", 1, 4, "doc.syntax", "not UTF-8"),
        CASE("a: \xC3", 1, 4, "doc.syntax", "not UTF-8"),
        CASE("\xFF\xFE"
             "a\0",
             1, 1, "doc.syntax", "not UTF-8"),
        CASE("a: 1\nb: 2\na: 3\nb: 4\n", 3, 1, "doc.duplicate_key", "line 1, column 1"),
        CASE("\xC3\xA9: {\xC3\xBC: 1, '\xC3\xBC': 2}", 1, 11, "doc.duplicate_key",
             "line 1, column 5"),
        CASE("1: x\n", 1, 1, "doc.syntax", "put quotes around it"),
        CASE("a: {true: x}\n", 1, 5, "doc.syntax", "put quotes around it"),
        CASE("? [a]\n: 1\n", 1, 3, "doc.syntax", "a key must be a string, not a list"),
        CASE("a: 1\n: x\n", 2, 1, "doc.syntax", "the key is missing"),
        CASE("a: {~: x}\n", 1, 5, "doc.syntax", "the key is missing"),
        CASE("a: &x {b: 1}\nc:\n  <<: *x\n", 3, 3, "doc.syntax", "merge keys"),
        CASE("a: !!str 5\n", 1, 4, "doc.syntax", "tags"),
        CASE("a: *b\n", 1, 4, "doc.syntax", "no anchor '&b'"),
        CASE("a: &b [1, *b]\n", 1, 11, "doc.syntax", "inside of what it names"),
        CASE("k: &x [1]\n*x : 1\n", 2, 1, "doc.syntax", "not a list"),
        CASE("a: .inf\n", 1, 4, "doc.syntax", "not a number"),
        CASE("a: -.INF\n", 1, 4, "doc.syntax", "not a number"),
        CASE("a: [.NaN]\n", 1, 5, "doc.syntax", "not a number"),
        CASE("a: 1e999\n", 1, 4, "doc.syntax", "too large"),
        CASE("a: 9223372036854775808\n", 1, 4, "doc.syntax", "64 bits"),
        CASE("a: -9223372036854775809\n", 1, 4, "doc.syntax", "64 bits"),
        CASE("a: 0xffffffffffffffff\n", 1, 4, "doc.syntax", "64 bits"),
        CASE("m:\n  a: |\n\n\n  b: 1\n", 5, 3, "doc.syntax", "indented deeper than column 3"),
        CASE("m:\n  - |\n  text\n", 3, 3, "doc.syntax", "indented deeper than column 3"),
        CASE("%YAML 2.3\n---\na: 1\n", 1, 1, "doc.syntax", "YAML 1.2"),
        CASE("a: ${NOPE}\n", 1, 4, "doc.environment", "'NOPE' is not set"),
        CASE("a: [\"x\", \"${HOST\"]\n", 1, 10, "doc.environment", "must be followed by a name"),
        CASE("a: ${}\n", 1, 4, "doc.environment", "must be followed by a name"),
        CASE("a: ${9A}\n", 1, 4, "doc.environment", "must be followed by a name"),
        CASE("a: ${BROKEN}\n", 1, 4, "doc.environment", "not UTF-8"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_broken("dir/p.yaml", &rows[i]);
    }
}

static void broken_json_has_its_place(void **state)
{
    (void)state;
    static const struct broken rows[] = {
        CASE("{\"a\": nul}", 1, 7, "doc.syntax", "double quotes"),
        CASE("{\"a\":1,}", 1, 7, "doc.syntax", "trailing comma"),
        CASE("{\"a\" 1}", 1, 2, "doc.syntax", "expected \"key\": value"),
        CASE("{a: 1}", 1, 2, "doc.syntax", "double quotes"),
        CASE("{'a': 1}", 1, 2, "doc.syntax", "single quoted"),
        CASE("# c\n{}", 1, 1, "doc.syntax", "no comments"),
        CASE("{\n\"a\": 01}", 2, 6, "doc.syntax", "JSON"),
        CASE("{\"a\": \"\\x41\"}", 1, 8, "doc.syntax", "escape"),
        CASE("{\"a\": \"\\ud83d\"}", 1, 8, "doc.syntax", "UTF8"),
        CASE("{\"a\": \"x\ny\"}", 1, 8, "doc.syntax", "JSON"),
        CASE("[1", 1, 3, "doc.syntax", "(in a list that begins at line 1, column 1)"),
        CASE("{\"a\": &x 1}", 1, 7, "doc.syntax", "anchor"),
        CASE("{\"a\": 1,\n \"a\": 2}", 2, 2, "doc.duplicate_key", "line 1, column 2"),
        CASE("{} {}", 1, 4, "doc.syntax", ""),
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_broken("schema.json", &rows[i]);
    }
}

static void environment_replaces_in_values(void **state)
{
    (void)state;
    struct doc *root = parse("plain: ${HOST}\n"
                             "port: ${PORT}\n"
                             "quoted: \"${PORT}\"\n"
                             "flag: ${FLAG}\n"
                             "mixed: 'host=${HOST} port=${PORT}${EMPTY}'\n"
                             "empty: ${EMPTY}\n"
                             "list: [\"${_x9}\", \"${QUOTE}\"]\n"
                             "literal: $${HOST} $$${HOST} $HOST $ {HOST} $\n"
                             "block: |\n  ${HOST}\n"
                             "\"${HOST}\": 1\n"
                             "shared: &a ${HOST}\n"
                             "again: *a\n");
    assert_text(doc_get(root, "plain"), DOC_STRING, "db1");
    assert_text(doc_get(root, "port"), DOC_STRING, "5432");
    assert_text(doc_get(root, "mixed"), DOC_STRING, "host=db1 port=5432");
    assert_text(doc_get(root, "empty"), DOC_STRING, "");
    assert_text(doc_get(root, "list")->items[0], DOC_STRING, "under");
    assert_text(doc_get(root, "list")->items[1], DOC_STRING, "a: \"b\" # c");
    assert_text(doc_get(root, "literal"), DOC_STRING, "${HOST} $${HOST} $HOST $ {HOST} $");
    assert_text(doc_get(root, "block"), DOC_STRING, "db1\n");
    assert_non_null(doc_get(root, "${HOST}"));
    assert_text(doc_get(root, "again"), DOC_STRING, "db1");

    int64_t integer = 0;
    double number = 0;
    bool boolean = false;
    assert_true(doc_to_integer(doc_get(root, "port"), &integer));
    assert_int_equal(integer, 5432);
    assert_true(doc_to_number(doc_get(root, "port"), &number));
    assert_true(number == 5432);
    assert_true(doc_to_bool(doc_get(root, "flag"), &boolean));
    assert_true(boolean);
    assert_false(doc_to_integer(doc_get(root, "quoted"), &integer));
    assert_false(doc_to_integer(doc_get(root, "plain"), &integer));
    assert_false(doc_to_bool(doc_get(root, "port"), &boolean));
    assert_false(doc_to_number(doc_get(root, "list"), &number));

    struct doc *untouched = NULL;
    struct bytes text = bytes_of_string("a: ${NOPE} $${X}");
    assert_int_equal(doc_parse(arena, "f", text, NULL, &untouched, NULL), STATUS_OK);
    assert_text(doc_get(untouched, "a"), DOC_STRING, "${NOPE} $${X}");
}

static void aliases_stand_for_their_anchor(void **state)
{
    (void)state;
    struct doc *root = parse("a: &x {k: [1, 2]}\nb: *x\nc: &x 5\nd: *x\n&n name: 1\ne: [*n]\n");
    assert_canonical(root, "{\"a\":{\"k\":[1,2]},\"b\":{\"k\":[1,2]},\"c\":5,\"d\":5,"
                           "\"name\":1,\"e\":[\"name\"]}");
    assert_place(doc_get(root, "b"), 1, 7);
    assert_non_null(doc_get(parse("a: &k key\n*k : 1\n"), "key"));
}

static void assert_too_large(const char *text, unsigned line, unsigned column)
{
    const struct broken row = {text, strlen(text), line, column, "doc.too_large", ""};
    assert_broken("large.yaml", &row);
}

/* Ten anchors, each with ten aliases of the one before: 10^10 values when expanded. */
static void aliases_are_bounded(void **state)
{
    (void)state;
    struct buffer text = {0};
    buffer_append_string(&text, "l0: &l0 [1,1,1,1,1,1,1,1,1,1]\n");
    for (int i = 1; i < 10; i++) {
        buffer_printf(&text, "l%d: &l%d [", i, i);
        for (int k = 0; k < 10; k++) {
            buffer_printf(&text, "%s*l%d", k > 0 ? "," : "", i - 1);
        }
        buffer_append_string(&text, "]\n");
    }
    /* l4 has ten aliases of l3, which weighs 11,111: the eighth passes the limit. */
    assert_too_large(buffer_string(&text), 5, 38);

    buffer_clear(&text);
    buffer_append_string(&text, "- &a x\n");
    for (int i = 0; i < 100000; i++) {
        buffer_append_string(&text, "- *a\n");
    }
    assert_int_equal(parse(buffer_string(&text))->count, 100001);
    buffer_append_string(&text, "- *a\n");
    assert_too_large(buffer_string(&text), 100002, 3);

    buffer_clear(&text);
    for (int i = 0; i < 1001; i++) {
        buffer_printf(&text, "- &a%d x\n", i);
    }
    assert_too_large(buffer_string(&text), 1001, 4);
    buffer_fini(&text);
}

static char *nested(unsigned depth, const char *prefix)
{
    struct buffer text = {0};
    buffer_append_string(&text, prefix);
    for (unsigned i = 0; i < depth; i++) {
        buffer_append_byte(&text, '[');
    }
    for (unsigned i = 0; i < depth; i++) {
        buffer_append_byte(&text, ']');
    }
    char *copy = arena_copy(arena, buffer_string(&text), text.size);
    buffer_fini(&text);
    return copy;
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(parse(nested(64, ""))->kind, DOC_LIST);
    assert_too_large(nested(65, ""), 1, 65);
    assert_too_large(nested(20000, ""), 1, 65);
    assert_int_equal(parse(nested(63, "a: "))->kind, DOC_MAP);
    assert_too_large(nested(64, "a: "), 1, 67);
    /* An alias brings the depth of its anchor. */
    const char *half = nested(40, "");
    (void)parse(arena_printf(arena, "a: &x %s\nb: [[[*x]]]\n", half));
    const char *deep = nested(30, "");
    char *text = arena_printf(arena, "a: &x %s\nb: %.30s*x%s\n", half, deep, deep + 30);
    assert_too_large(text, 2, 34);
}

static void content_is_bounded(void **state)
{
    (void)state;
    size_t limit = 4 << 20;
    char *text = arena_alloc(arena, limit + 2);
    memset(text, 'x', limit + 1);
    text[limit] = '\0';
    assert_int_equal(parse(text)->text_size, limit);
    text[limit] = 'x';
    text[limit + 1] = '\0';
    assert_too_large(text, 1, 1);
}

static void large_maps_are_quick(void **state)
{
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i < 100000; i++) {
        buffer_printf(&text, "key%d: %d\n", i, i);
    }
    struct doc *root = parse(buffer_string(&text));
    assert_int_equal(root->count, 100000);
    assert_string_equal(root->keys[99999]->text, "key99999");
    buffer_append_string(&text, "key50000: again\n");
    const struct broken row = {buffer_string(&text),  text.size, 100001, 1, "doc.duplicate_key",
                               "line 50001, column 1"};
    assert_broken("large.yaml", &row);
    buffer_fini(&text);
}

static void canonical_keeps_order_and_digits(void **state)
{
    (void)state;
    assert_canonical(
        parse("b: [1, 2.0, 0.1, 1e21, -0.0, 1e-7, 100000.5]\n"
              "a: {z: ~, \"\\n\": true, é: \"\\\"\\\\/\\b\\t\\n\\f\\r\\v\\x1f\\x7f\"}\n"
              "ab: []\nB: {}\n"),
        "{\"b\":[1,2.0,0.1,1e21,-0.0,1e-7,100000.5],"
        "\"a\":{\"z\":null,\"\\n\":true,\"\xC3\xA9\":"
        "\"\\\"\\\\/\\b\\t\\n\\f\\r\\u000b\\u001f\x7f\"},"
        "\"ab\":[],\"B\":{}}");
    assert_canonical(parse("0.1234567890123456789"), "0.1234567890123456789");
    assert_canonical(parse("[+1.5, .5, 0x10, 1.7976931348623157e308]"),
                     "[1.5,0.5,16,1.7976931348623157e308]");
    assert_canonical(parse("5e-324"), "5e-324");
    assert_canonical(parse("-9223372036854775808"), "-9223372036854775808");
}

static void excerpts_are_cut_at_characters(void **state)
{
    (void)state;
    char out[DOC_EXCERPT_BYTES];
    assert_string_equal(doc_excerpt(parse("\"a\\nb\\0c\""), out), "a b c");
    struct buffer text = {0};
    for (int i = 0; i < 50; i++) {
        buffer_append_string(&text, "\xC3\xA9");
    }
    const char *excerpt = doc_excerpt(parse(buffer_string(&text)), out);
    assert_true(strlen(excerpt) < DOC_EXCERPT_BYTES);
    assert_true(bytes_is_utf8(bytes_of_string(excerpt)));
    assert_non_null(strstr(excerpt, "é…"));
    buffer_fini(&text);
}

static void errors_of_nodes_have_their_place(void **state)
{
    (void)state;
    struct doc *root = parse("a:\n  b: x\n");
    struct error err = {0};
    const struct doc *node = doc_get(doc_get(root, "a"), "b");
    assert_int_equal(doc_error(node, &err, "config.value", "no %s, %d", "good", 7), STATUS_CONFIG);
    assert_string_equal(err.file, "test.yaml");
    assert_int_equal(err.line, 2);
    assert_int_equal(err.column, 6);
    assert_string_equal(err.code, "config.value");
    assert_string_equal(err.message, "no good, 7");
    assert_string_equal(doc_kind_name(DOC_NULL), "null");
    assert_string_equal(doc_kind_name(DOC_MAP), "a map");
}

static void errors_without_a_place_get_one(void **state)
{
    (void)state;
    const struct doc *node = doc_get(parse("a: x\n"), "a");
    struct error err = {0};
    error_set(&err, STATUS_CONFIG, "file.unreadable", "cannot read 100%% of it");
    assert_int_equal(doc_locate_error(node, &err), STATUS_CONFIG);
    assert_string_equal(err.file, "test.yaml");
    assert_int_equal(err.line, 1);
    assert_int_equal(err.column, 4);
    assert_string_equal(err.code, "file.unreadable");
    assert_string_equal(err.message, "cannot read 100% of it");

    struct error placed = {0};
    error_set_at(&placed, STATUS_CONFIG, "doc.syntax", "other.json", 7, 8, "no");
    assert_int_equal(doc_locate_error(node, &placed), STATUS_CONFIG);
    assert_string_equal(placed.file, "other.json");
    assert_int_equal(placed.line, 7);

    struct error away = {0};
    error_set(&away, STATUS_RETRY, "log.busy", "later");
    assert_int_equal(doc_locate_error(node, &away), STATUS_RETRY);
    assert_string_equal(away.file, "");
}

/* Runs `body` and gives what it wrote to stderr. */
static size_t stderr_size_of(void (*body)(void **state))
{
    fflush(stderr);
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    assert_true(file != NULL && saved >= 0);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    body(NULL);
    fflush(stderr);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    off_t size = lseek(fileno(file), 0, SEEK_END);
    fclose(file);
    return (size_t)size;
}

static void nothing_is_printed(void **state)
{
    (void)state;
    assert_int_equal(stderr_size_of(broken_yaml_has_its_place), 0);
    assert_int_equal(stderr_size_of(broken_json_has_its_place), 0);
    struct error err = {0};
    struct doc *doc;
    /* A directive that nobody knows is only a warning. */
    assert_int_equal(parse_bytes("f", "%FOO 1\n---\na\n", 13, &doc, &err), STATUS_OK);
}

static void mutate(struct prng *prng, struct buffer *text)
{
    static const char *const pieces[] = {
        "\n",      "  ",  "- ",   "\t",  "\"", "'",  "[", "]",     "{",     "}",   ",",
        ": ",      "# ",  "&a ",  "*a",  "|",  "> ", "!", "---\n", "...\n", "\\u", "? ",
        "${HOST}", "$${", "<<: ", "1e5", "0x", "\r", "é", "\xff",  "~",     "%",
    };
    struct buffer out = {0};
    size_t at = prng_below(prng, text->size + 1);
    size_t rest = text->size - at;
    buffer_append(&out, text->data, at);
    size_t skip = prng_below(prng, 6);
    switch (prng_below(prng, 4)) {
    case 0:
        buffer_append_string(&out, pieces[prng_below(prng, sizeof pieces / sizeof pieces[0])]);
        buffer_append(&out, text->data + at, rest);
        break;
    case 1:
        skip = skip < rest ? skip : rest;
        buffer_append(&out, text->data + at + skip, rest - skip);
        break;
    case 2:
        buffer_append(&out, text->data, prng_below(prng, at + 1));
        buffer_append(&out, text->data + at, rest);
        break;
    default:
        buffer_append_byte(&out, (uint8_t)prng_below(prng, 256));
        buffer_append(&out, text->data + at, rest);
        break;
    }
    buffer_fini(text);
    *text = out;
}

/* Whatever is read must come back from its canonical form; whatever is refused has a place. */
static void mutated_documents_are_read_or_refused(void **state)
{
    (void)state;
    static const char *const seeds[] = {
        "a: 1\nb: [x, \"y\", 'z']\n? z\n: ~\nq:\nw: &a 0x1F\ne: *a\nn:\n  - \n  - \"x\\u00e9\"\n"
        "  -   # c - d\n  - |\n    lit\n\n  - >\n\n    x\nk: |+ # c | d\n  z\n",
        "{\"a\":\t1,\n\t\"b\": [\"\\u0041\\ud83d\\ude00\\n\", true, null, -1.5e3, {}, []]}\n",
        "---\nkey: &x {a: \"${HOST}\", b: [1, 2]}\nother: *x\nlist:\n- a: 1\n  b: 2\n-\n- - - c\n"
        "  - .5\n...\n",
    };
    struct prng prng;
    prng_init(&prng, 42);
    unsigned read_count = 0;
    for (int round = 0; round < 4000; round++) {
        struct buffer text = {0};
        buffer_append_string(&text, seeds[prng_below(&prng, 3)]);
        for (uint64_t count = prng_below(&prng, 4); count > 0; count--) {
            mutate(&prng, &text);
        }
        const char *file = prng_below(&prng, 3) == 0 ? "m.json" : "m.yaml";
        struct doc *doc = NULL;
        struct error err = {0};
        if (parse_bytes(file, text.data, text.size, &doc, &err) == STATUS_OK) {
            struct buffer canonical = {0};
            doc_write_canonical(doc, &canonical);
            struct doc *again = NULL;
            assert_int_equal(doc_parse(arena, "again.json",
                                       bytes_of(canonical.data, canonical.size), NULL, &again,
                                       &err),
                             STATUS_OK);
            assert_canonical(again, buffer_string(&canonical));
            buffer_fini(&canonical);
            read_count++;
        } else {
            assert_int_equal(err.status, STATUS_CONFIG);
            assert_true(err.line >= 1 && err.line <= text.size + 1 && err.column >= 1);
            assert_true(strncmp(err.code, "doc.", 4) == 0 && err.message[0] != '\0');
            assert_null(doc);
        }
        buffer_fini(&text);
    }
    assert_true(read_count > 500);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_node_knows_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(line_breaks_of_every_kind_count, setup, teardown),
        cmocka_unit_test_setup_teardown(plain_scalars_follow_the_core_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(strings_of_every_style, setup, teardown),
        cmocka_unit_test_setup_teardown(block_scalar_keeps_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(json_files_are_json, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_files_are_null, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_yaml_has_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_json_has_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(environment_replaces_in_values, setup, teardown),
        cmocka_unit_test_setup_teardown(aliases_stand_for_their_anchor, setup, teardown),
        cmocka_unit_test_setup_teardown(aliases_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(nesting_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(content_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(large_maps_are_quick, setup, teardown),
        cmocka_unit_test_setup_teardown(canonical_keeps_order_and_digits, setup, teardown),
        cmocka_unit_test_setup_teardown(excerpts_are_cut_at_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_of_nodes_have_their_place, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_without_a_place_get_one, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_printed, setup, teardown),
        cmocka_unit_test_setup_teardown(mutated_documents_are_read_or_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
