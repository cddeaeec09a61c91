#include "codec/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/prng.h"
#include "codec/json.h"
#include "codec/json_test_row.h"

struct row_case {
    const char *row;
    const char *says;
    const char *object; /* NULL: the row is not decoded */
};

static void check_rows(const struct layout *layout, const struct csv_options *options,
                       const char *header, const struct row_case *cases, size_t count)
{
    struct batch *batch = batch_new(layout);
    struct csv_decoder *decoder = csv_decoder_new(layout, options);
    batch_reset(batch, 0, 0);
    batch->header = header == NULL ? BYTES_NONE : bytes_of_string(header);
    for (size_t i = 0; i < count; i++) {
        struct record *record = batch_append_record(batch);
        record->value = cases[i].row == NULL ? BYTES_NONE : bytes_of_string(cases[i].row);
    }
    csv_decode(decoder, batch);
    batch_sort_violations(batch);
    for (uint32_t i = 0; i < count; i++) {
        struct buffer text = {0};
        row_render(&text, batch, i);
        assert_string_equal(buffer_string(&text), cases[i].says);
        buffer_clear(&text);
        if (cases[i].object != NULL) {
            csv_write_object(decoder, batch, i, &text);
            assert_string_equal(buffer_string(&text), cases[i].object);
            assert_true(json_is_valid(bytes_of(text.data, text.size), 0));
        } else {
            assert_int_equal(batch->verdicts[i], VERDICT_INVALID);
        }
        buffer_fini(&text);
    }
    csv_decoder_free(decoder);
    batch_free(batch);
}

#define CHECK_ROWS(layout, options, header, cases) \
    check_rows(layout, options, header, cases, sizeof(cases) / sizeof(cases)[0])

static const struct csv_options plain = {.quote = '"', .has_header = true};

static void test_cells_by_type(void **state)
{
    (void)state;
    static const struct row_case cases[] = {
        {"true,12,1.5,text,7", "b=true i=12 d=1.5 s=\"text\" j=7",
         "{\"b\":true,\"i\":12,\"d\":1.5,\"s\":\"text\",\"j\":7}"},
        {",,,,", "", "{}"},
        {"\"true\",\"12\",\"1.5\",\"\",\"\"", "b=true i=12 d=1.5 s=\"\" j=\"\"",
         "{\"b\":true,\"i\":12,\"d\":1.5,\"s\":\"\",\"j\":\"\"}"},
        {"\"\",\"\",\"\",x,", "s=\"x\"", "{\"s\":\"x\"}"},
        {"TRUE,+5,.5,,", "b!type:\"TRUE\" i!type:\"+5\" d!type:\".5\"",
         "{\"b\":\"TRUE\",\"i\":\"+5\",\"d\":\".5\"}"},
        {"1,007,1.,,", "b!type:\"1\" i!type:\"007\" d!type:\"1.\"",
         "{\"b\":\"1\",\"i\":\"007\",\"d\":\"1.\"}"},
        {", 5,5 ,,", "i!type:\" 5\" d!type:\"5 \"", "{\"i\":\" 5\",\"d\":\"5 \"}"},
        {",1e3,-0.0,,", "i=1000 d=-0", "{\"i\":1e3,\"d\":-0.0}"},
        {",1.5,1e999,,", "i!type:1.5 d!range:1e999", "{\"i\":1.5,\"d\":1e999}"},
        {",9223372036854775808,12345678901234567890123,,",
         "i!range:9223372036854775808 d=1.2345678901234568e+22",
         "{\"i\":9223372036854775808,\"d\":12345678901234567890123}"},
        {",-9223372036854775808,0.1,,", "i=-9223372036854775808 d=0.10000000000000001",
         "{\"i\":-9223372036854775808,\"d\":0.1}"},
        {",,,\"a \"\"b\"\", c\nd\",true", "s=\"a \"b\", c\nd\" j=true",
         "{\"s\":\"a \\\"b\\\", c\\nd\",\"j\":true}"},
        {",,,\xC3\xA4,\"[1,\"\"x\"\"]\"", "s=\"\xC3\xA4\" j=[1,\"x\"]",
         "{\"s\":\"\xC3\xA4\",\"j\":[1,\"x\"]}"},
        {",,,,[1", "j=\"[1\"", "{\"j\":\"[1\"}"},
        {",,,,\"7\"", "j=\"7\"", "{\"j\":\"7\"}"},
    };
    CHECK_ROWS(&row_layout_open, &plain, "b,i,d,s,j", cases);
}

static void test_rows_that_are_none(void **state)
{
    (void)state;
    static const struct row_case cases[] = {
        {"1,2", "| decode.syntax 2 cells, but the header has 3 INVALID", NULL},
        {"1,2,3,4", "| decode.syntax 4 cells, but the header has 3 INVALID", NULL},
        {"", "| decode.syntax an empty line: 1 cell, but the header has 3 INVALID", NULL},
        {"1,\"2,3", "| decode.syntax byte 2: the quoted cell that begins here has no end INVALID",
         NULL},
        {"1,\"2\"x,3",
         "| decode.syntax byte 5: expected a delimiter behind the quoted cell INVALID", NULL},
        {"1,2\"x\",3",
         "| decode.syntax byte 3: a quote in a cell that does not begin with one INVALID", NULL},
        {"1,\xFF,3", "| decode.encoding byte 2: expected UTF-8 INVALID", NULL},
        {NULL, "| decode.null_value the record has no value INVALID", NULL},
        {"1,2,x", "i=1 d=2 s=\"x\"", "{\"i\":1,\"d\":2,\"s\":\"x\"}"},
    };
    CHECK_ROWS(&row_layout_open, &plain, "i,d,s", cases);
    static const struct csv_options small = {.quote = '"', .max_record_bytes = 4};
    static const struct row_case large[] = {
        {"1,2,3", "| decode.too_large 5 bytes, at most 4 are allowed INVALID", NULL}};
    CHECK_ROWS(&row_layout_open, &small, "i,d,s", large);
}

static void test_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        const char *says;
    } cases[] = {
        {"i,s,i", "| decode.syntax the header names the column 'i' twice INVALID"},
        {"i,\"s,d", "| decode.syntax the header, byte 2: the quoted cell that begins here has no "
                    "end INVALID"},
        {"i,o,s", "| decode.syntax the column 'o' is an object in the schema: its members are "
                  "columns, named 'o.MEMBER' INVALID"},
        {"i,\xFF,s", "| decode.syntax the header is not UTF-8 INVALID"},
        {NULL, "| decode.syntax the file has no header INVALID"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct row_case row = {"1,2,3", cases[i].says, NULL};
        check_rows(&row_layout_open, &plain, cases[i].header, &row, 1);
    }
    static const struct row_case quoted[] = {{"1,x", "i=1 s=\"x\"", "{\"i\":1,\"s\":\"x\"}"}};
    CHECK_ROWS(&row_layout_open, &plain, "\"i\",\"s\"", quoted);
}

static void test_nested_and_unknown(void **state)
{
    (void)state;
    static const struct row_case open[] = {
        {"1,2,x,3,z", "i=1 o={\"x\":2,\"p\":{\"q\":3}} o.x=2 o.p={\"q\":3} o.p.q=3",
         "{\"i\":1,\"o\":{\"x\":2,\"p\":{\"q\":3}},\"new\":\"x\",\"a.b\":\"z\"}"},
        {"1,,,,", "i=1", "{\"i\":1}"},
        {"1,,,4,", "i=1 o={\"p\":{\"q\":4}} o.p={\"q\":4} o.p.q=4",
         "{\"i\":1,\"o\":{\"p\":{\"q\":4}}}"},
    };
    CHECK_ROWS(&row_layout_open, &plain, "i,o.x,new,o.p.q,a.b", open);
    /* `e` and `o.z` are known to the pipeline, but not to the schema. */
    static const struct row_case closed[] = {
        {"1,x,y,z,w", "i=1 o={\"new\":\"z\",\"z\":\"w\"} e=\"y\" o.z=\"w\" | schema.unknown_field n "
                      "| schema.unknown_field [10] e | schema.unknown_field o.new | "
                      "schema.unknown_field [11] o.z",
         "{\"i\":1,\"n\":\"x\",\"e\":\"y\",\"o\":{\"new\":\"z\",\"z\":\"w\"}}"},
        {"1,,,,", "i=1", "{\"i\":1}"},
    };
    CHECK_ROWS(&row_layout_closed, &plain, "i,n,e,o.new,o.z", closed);
}

static void test_nulls(void **state)
{
    (void)state;
    static const char *const words[] = {"NA", "-"};
    static const struct csv_options options = {.quote = '"', .nulls = words, .null_count = 2};
    static const struct row_case cases[] = {
        {"NA,-,NA,NA", "s=null j=null", "{\"i\":null,\"d\":null,\"s\":null,\"j\":null}"},
        {"\"NA\",\"-\",\"NA\",\"NA\"", "s=\"NA\" j=\"NA\"",
         "{\"i\":null,\"d\":null,\"s\":\"NA\",\"j\":\"NA\"}"},
        {"na,--,nA,", "i!type:\"na\" d!type:\"--\" s=\"nA\"",
         "{\"i\":\"na\",\"d\":\"--\",\"s\":\"nA\"}"},
    };
    CHECK_ROWS(&row_layout_open, &options, "i,d,s,j", cases);
    static const char *const empty[] = {""};
    static const struct csv_options with_empty = {.quote = '"', .nulls = empty, .null_count = 1};
    static const struct row_case nulls[] = {
        {",,,\"\"", "s=null j=\"\"", "{\"i\":null,\"d\":null,\"s\":null,\"j\":\"\"}"}};
    CHECK_ROWS(&row_layout_open, &with_empty, "i,d,s,j", nulls);
}

static void test_dialects(void **state)
{
    (void)state;
    static const char *const names[] = {"i", "d", "s"};
    static const struct csv_options german = {.delimiter = ';',
                                              .quote = '\'',
                                              .decimal = ',',
                                              .names = names,
                                              .name_count = 3};
    static const struct row_case cases[] = {
        {"1;2,5;'a;b''c'", "i=1 d=2.5 s=\"a;b'c\"", "{\"i\":1,\"d\":2.5,\"s\":\"a;b'c\"}"},
        {"1;-0,125;\"x", "i=1 d=-0.125 s=\"\"x\"", "{\"i\":1,\"d\":-0.125,\"s\":\"\\\"x\"}"},
        {"1;2.5;x", "i=1 d!type:\"2.5\" s=\"x\"", "{\"i\":1,\"d\":\"2.5\",\"s\":\"x\"}"},
        {"1;1.234,5;x", "i=1 d!type:\"1.234,5\" s=\"x\"",
         "{\"i\":1,\"d\":\"1.234,5\",\"s\":\"x\"}"},
        {"1;1,2,3;x", "i=1 d!type:\"1,2,3\" s=\"x\"", "{\"i\":1,\"d\":\"1,2,3\",\"s\":\"x\"}"},
        {"1;2", "| decode.syntax 2 cells, but the pipeline names 3 INVALID", NULL},
    };
    CHECK_ROWS(&row_layout_open, &german, NULL, cases);
    static const struct csv_options unquoted = {.delimiter = '\t'};
    static const struct row_case tabs[] = {
        {"1\t\"x\"", "i=1 s=\"\"x\"\"", "{\"i\":1,\"s\":\"\\\"x\\\"\"}"}};
    CHECK_ROWS(&row_layout_open, &unquoted, "i\ts", tabs);
}

/* --- where rows end --- */

/* The ends of the rows, each byte at a time. */
static size_t ends_by_byte(const struct csv_options *options, struct bytes text, size_t *ends)
{
    struct csv_scan scan = {0};
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        size_t at = i;
        if (csv_scan_record(options, &scan, bytes_of(text.data, i + 1), &at)) {
            ends[count++] = at;
        }
        assert_int_equal(at, i + 1);
    }
    return count;
}

static size_t ends_at_once(const struct csv_options *options, struct bytes text, size_t *ends)
{
    struct csv_scan scan = {0};
    size_t count = 0;
    for (size_t at = 0; at < text.size;) {
        if (csv_scan_record(options, &scan, text, &at)) {
            ends[count++] = at;
        }
    }
    return count;
}

static void test_ends(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        size_t ends[4];
    } cases[] = {
        {"a,b\nc,d\n", 2, {4, 8}},
        {"a,\"b\nc\",d\ne\n", 2, {10, 12}},
        {"\"a\"\"\nb\"\n", 1, {8}},
        {"a\"b\nc\n", 2, {4, 6}},          /* A quote within a cell has no meaning. */
        {"\"a\"x\"\nb\n", 2, {6, 8}},       /* Nor has one behind a quoted cell. */
        {"\"a\nb\n", 0, {0}},               /* No end at all. */
        {"\n\r\n", 2, {1, 3}},
        {"x,\"\"\n", 1, {5}},
        {"\"\"\n\"\n\"\n", 2, {3, 7}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t ends[16];
        struct bytes text = bytes_of_string(cases[i].text);
        assert_int_equal(ends_at_once(&plain, text, ends), cases[i].count);
        for (size_t k = 0; k < cases[i].count; k++) {
            assert_int_equal(ends[k], cases[i].ends[k]);
        }
        assert_int_equal(ends_by_byte(&plain, text, ends), cases[i].count);
    }
    static const struct csv_options one_line = {.quote = '"', .one_line = true};
    size_t ends[16];
    assert_int_equal(ends_at_once(&one_line, bytes_of_string("\"a\nb\"\n"), ends), 2);
}

/* Cut anywhere, a text has the same rows. */
static void test_ends_do_not_depend_on_cuts(void **state)
{
    (void)state;
    static const char letters[] = "ab,\"\"\"\n\n\r";
    struct prng prng;
    prng_init(&prng, 20261128);
    for (int trial = 0; trial < 4000; trial++) {
        uint8_t text[48];
        size_t size = prng_below(&prng, sizeof text) + 1;
        for (size_t i = 0; i < size; i++) {
            text[i] = (uint8_t)letters[prng_below(&prng, sizeof letters - 1)];
        }
        size_t once[sizeof text];
        size_t byte[sizeof text];
        size_t count = ends_at_once(&plain, bytes_of(text, size), once);
        assert_int_equal(ends_by_byte(&plain, bytes_of(text, size), byte), count);
        assert_memory_equal(once, byte, count * sizeof *once);
        for (size_t cut = 0; cut <= size; cut++) {
            struct csv_scan scan = {0};
            size_t found = 0;
            for (size_t at = 0; at < cut;) {
                found += csv_scan_record(&plain, &scan, bytes_of(text, cut), &at);
            }
            for (size_t at = cut; at < size;) {
                found += csv_scan_record(&plain, &scan, bytes_of(text, size), &at);
            }
            assert_int_equal(found, count);
        }
    }
}

/* --- writing --- */

static void test_write(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"", "\"\""},       {"a b", "a b"},           {"a,b", "\"a,b\""}, {"\"", "\"\"\"\""},
        {"a\nb", "\"a\nb\""}, {"a\rb", "\"a\rb\""}, {" ", " "},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buffer out = {0};
        csv_write_text(bytes_of_string(texts[i][0]), &out);
        assert_string_equal(buffer_string(&out), texts[i][1]);
        struct arena *arena = arena_new(256);
        struct csv_reader reader = csv_reader_of(&plain, bytes_of(out.data, out.size));
        struct csv_cell cell;
        assert_true(csv_reader_next(&reader, &cell));
        assert_true(bytes_equal_string(csv_cell_text(&plain, arena, &cell), texts[i][0]));
        assert_false(csv_reader_next(&reader, &cell));
        assert_null(reader.fault);
        arena_free(arena);
        buffer_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells_by_type),
        cmocka_unit_test(test_rows_that_are_none),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_nested_and_unknown),
        cmocka_unit_test(test_nulls),
        cmocka_unit_test(test_dialects),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_ends_do_not_depend_on_cuts),
        cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests_name("codec/csv", tests, NULL, NULL);
}
