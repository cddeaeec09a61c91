#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "codec/json_test_row.h"

struct row_case {
    const char *text;
    const char *expected;
};

/* The batch's rows, all of one text. */
static void expect_batch(struct batch *batch, const char *expected)
{
    batch_sort_violations(batch);
    for (uint32_t i = 0; i < batch->row_count; i++) {
        struct buffer line = {0};
        row_render(&line, batch, i);
        assert_string_equal(buffer_string(&line), expected);
        buffer_fini(&line);
    }
    for (uint32_t field = 0; field < batch->layout->field_count; field++) {
        bool misfit = batch->columns[field].cells[0] == CELL_MISFIT;
        assert_int_equal(batch->columns[field].misfit_count, misfit ? batch->row_count : 0);
    }
}

/* Decodes one text some times, so that the later ones meet a decoder that has learnt: its keys in the
 * first batch, its template in those behind. */
static void expect_rows(const struct layout *layout, const struct json_options *options,
                        struct bytes text, const char *expected)
{
    enum { BATCHES = 2, TIMES = 3 };
    for (size_t e = 0; e < row_engine_count(); e++) {
        struct json_decoder *decoder = json_decoder_new(layout, options);
        json_decoder_set_engine(decoder, row_engines[e]);
        struct batch *batch = batch_new(layout);
        for (uint32_t round = 0; round < BATCHES; round++) {
            batch_reset(batch, 0, 0);
            for (uint32_t i = 0; i < TIMES; i++) {
                batch_append_record(batch)->value = text;
            }
            json_decode(decoder, batch);
            expect_batch(batch, expected);
        }
        batch_free(batch);
        json_decoder_free(decoder);
    }
}

/* The text stands at the very end of its memory, so that a sanitizer sees every byte read behind
 * it. */
static void expect_cases(const struct layout *layout, const struct json_options *options,
                         const struct row_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(cases[i].text);
        uint8_t *exact = memory_alloc(size);
        memcpy(exact, cases[i].text, size);
        expect_rows(layout, options, bytes_of(exact, size), cases[i].expected);
        memory_free(exact);
    }
}

#define EXPECT(layout, options, cases) \
    expect_cases(layout, options, cases, sizeof(cases) / sizeof((cases)[0]))

static void test_values(void **state)
{
    (void)state;
    static const struct row_case cases[] = {
        {"{}", ""},
        {" \t\r\n{ \t\r\n} \t\r\n", ""},
        {"{\"b\":true}", "b=true"},
        {"{\"b\":false}", "b=false"},
        {"{\"b\":null}", ""},
        {"{\"s\":null}", "s=null"},
        {"{\"j\":null}", "j=null"},
        {"{\"e\":null}", ""},
        {"{\"i\":null,\"o\":null}", ""},
        {"{\"i\":0,\"d\":0}", "i=0 d=0"},
        {"{\"i\":-0,\"d\":-0}", "i=0 d=-0"},
        {"{\"i\":-12,\"d\":-12.5}", "i=-12 d=-12.5"},
        {"{\"s\":\"\"}", "s=\"\""},
        {"{\"s\":\"plain\"}", "s=\"plain\""},
        {"{\"s\":\"a\\\"b\\\\c\\/d\\b\\f\\n\\r\\t\"}", "s=\"a\"b\\c/d\b\f\n\r\t\""},
        {"{\"s\":\"\\u0041\\u00e4\\u20AC\\uD83D\\uDE00!\"}",
         "s=\"A\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80!\""},
        {"{\"s\":\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\x7F\"}",
         "s=\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\x7F\""},
        {"{\"s\":\"\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF\xC2\x80\xE0\xA0\x80\xF0\x90\x80\x80\"}",
         "s=\"\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF\xC2\x80\xE0\xA0\x80\xF0\x90\x80\x80\""},
        {"{\"j\":[1, {\"a\":[]}]}", "j=[1, {\"a\":[]}]"},
        {"{\"j\":{}}", "j={}"},
        {"{\"j\": \"x\" , \"e\" : 1.50 }", "j=\"x\" e=1.50"},
        {"{\"j\":true,\"e\":false}", "j=true e=false"},
        {"{\"j\":-0.0e-0}", "j=-0.0e-0"},
        {"{\"o\":{}}", "o={}"},
        {"{\"o\":{\"x\":null,\"y\":null,\"p\":null}}",
         "o={\"x\":null,\"y\":null,\"p\":null} o.x=null o.p=null"},
        {"{\"o\": {\"y\":\"t\", \"p\" : {\"q\":1.5,\"w\":[]} , \"x\":7} }",
         "o={\"y\":\"t\", \"p\" : {\"q\":1.5,\"w\":[]} , \"x\":7} o.x=7 o.y=\"t\" "
         "o.p={\"q\":1.5,\"w\":[]} o.p.q=1.5"},
        {"{\"\\u0069\":5,\"\\u006F\":{\"\\u0078\":6}}", "i=5 o={\"\\u0078\":6} o.x=6"},
        {"{\"\":1,\"unknown\":{\"i\":9},\"i\":3,\"x\":1}", "i=3"},
        {"{\"this key is longer than thirty-two bytes, much longer\":1,\"i\":3}", "i=3"},
        {"{\"this key is longer than all the glue that an entry can keep, which is a lot; so it is"
         " looked up every time\":1,\"i\":3}",
         "i=3"},
    };
    struct json_options options = {0};
    EXPECT(&row_layout_open, &options, cases);
}

static void test_misfits(void **state)
{
    (void)state;
    static const struct row_case cases[] = {
        {"{\"b\":\"true\"}", "b!type:\"true\""},
        {"{\"b\":1}", "b!type:1"},
        {"{\"b\":[]}", "b!type:[]"},
        {"{\"i\":\"1\"}", "i!type:\"1\""},
        {"{\"i\":1.5}", "i!type:1.5"},
        {"{\"i\":true,\"d\":false}", "i!type:true d!type:false"},
        {"{\"i\":{\"a\":1}}", "i!type:{\"a\":1}"},
        {"{\"d\":\"1\"}", "d!type:\"1\""},
        {"{\"d\":[1.5]}", "d!type:[1.5]"},
        {"{\"s\":1}", "s!type:1"},
        {"{\"s\":-1.5e3 }", "s!type:-1.5e3"},
        {"{\"s\":[\"x\"]}", "s!type:[\"x\"]"},
        {"{\"o\":[{}]}", "o!type:[{}]"},
        {"{\"o\":\"{}\"}", "o!type:\"{}\""},
        {"{\"o\":{\"p\":1,\"x\":\"\"}}", "o={\"p\":1,\"x\":\"\"} o.x!type:\"\" o.p!type:1"},
        {"{\"i\":9223372036854775808}", "i!range:9223372036854775808"},
        {"{\"d\":1e309}", "d!range:1e309"},
        {"{\"d\":-1e309}", "d!range:-1e309"},
    };
    struct json_options options = {0};
    EXPECT(&row_layout_open, &options, cases);
}

/* What is no 0 is told from it, also where the key came before. */
static void test_underflow(void **state)
{
    (void)state;
    static const struct {
        const char *json, *raw;
    } cases[] = {
        {"{\"d\":1e-400}", "1e-400"},
        {"{\"d\":-1e-400 }", "-1e-400"},
        {"{\"d\":0.0}", NULL},
        {"{\"d\":0e-400}", NULL},
        {"{\"d\":5e-324}", NULL},
        {"{\"d\":1e-400,\"d\":0}", NULL},
        {"{\"d\":0,\"d\":1e-400}", "1e-400"},
        {"{\"d\":1e-400,\"d\":\"x\"}", NULL},
    };
    struct json_options options = {.repeated_key = JSON_REPEATED_KEY_LAST};
    uint32_t field = layout_find(&row_layout_open, "d");
    struct batch *batch = batch_new(&row_layout_open);
    struct json_decoder *decoder = json_decoder_new(&row_layout_open, &options);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        batch_append_record(batch)->value = bytes_of_string(cases[i].json);
    }
    json_decode(decoder, batch);
    for (uint32_t row = 0; row < sizeof cases / sizeof cases[0]; row++) {
        const struct misfit *found = batch_find_underflow(batch, field, row);
        assert_int_equal(found != NULL, cases[row].raw != NULL);
        if (found != NULL) {
            assert_true(bytes_equal_string(found->raw, cases[row].raw));
            assert_int_equal(batch->columns[field].cells[row], CELL_VALUE);
        }
    }
    json_decoder_free(decoder);
    batch_free(batch);
}

static void test_integers(void **state)
{
    (void)state;
    static const struct row_case cases[] = {
        {"{\"i\":9223372036854775807}", "i=9223372036854775807"},
        {"{\"i\":-9223372036854775808}", "i=-9223372036854775808"},
        {"{\"i\":-9223372036854775809}", "i!range:-9223372036854775809"},
        {"{\"i\":999999999999999}", "i=999999999999999"},
        {"{\"i\":1000000000000000}", "i=1000000000000000"},
        {"{\"i\":12345678}", "i=12345678"},
        {"{\"i\":123456789}", "i=123456789"},
        {"{\"i\":1.0}", "i=1"},
        {"{\"i\":1e3}", "i=1000"},
        {"{\"i\":1E+3}", "i=1000"},
        {"{\"i\":-1.50e1}", "i=-15"},
        {"{\"i\":1200e-2}", "i=12"},
        {"{\"i\":1201e-2}", "i!type:1201e-2"},
        {"{\"i\":0.1}", "i!type:0.1"},
        {"{\"i\":0.0}", "i=0"},
        {"{\"i\":-0.0}", "i=0"},
        {"{\"i\":0e999999999999999999999}", "i=0"},
        {"{\"i\":1e-999999999999999999999}", "i!type:1e-999999999999999999999"},
        {"{\"i\":1e999999999999999999999}", "i!range:1e999999999999999999999"},
        {"{\"i\":0.001e3}", "i=1"},
        {"{\"i\":0.0010e3}", "i=1"},
        {"{\"i\":0.0011e3}", "i!type:0.0011e3"},
        {"{\"i\":9223372036854775807.0}", "i=9223372036854775807"},
        {"{\"i\":9223372036854775807.5}", "i!type:9223372036854775807.5"},
        {"{\"i\":9223372036854775808.5}", "i!type:9223372036854775808.5"},
        {"{\"i\":92233720368547758070e-1}", "i=9223372036854775807"},
        {"{\"i\":92233720368547758080e-1}", "i!range:92233720368547758080e-1"},
        {"{\"i\":92233720368547758071e-1}", "i!type:92233720368547758071e-1"},
        {"{\"i\":1000000000000000000000000e-20}", "i=10000"},
        {"{\"i\":123456789012345678901234567890}", "i!range:123456789012345678901234567890"},
        {"{\"i\":123456789012345678901234567890e-1}", "i!range:123456789012345678901234567890e-1"},
        {"{\"i\":123456789012345678901234567890e-2}", "i!type:123456789012345678901234567890e-2"},
        {"{\"i\":1e18}", "i=1000000000000000000"},
        {"{\"i\":1e19}", "i!range:1e19"},
        {"{\"i\":1.0000000000000000000000000}", "i=1"},
        {"{\"i\":1.0000000000000000000000001}", "i!type:1.0000000000000000000000001"},
    };
    struct json_options options = {0};
    EXPECT(&row_layout_open, &options, cases);
}

static void test_syntax(void **state)
{
    (void)state;
    static const struct row_case cases[] = {
        {"", "| decode.syntax byte 0, the end: expected a value INVALID"},
        {" \n", "| decode.syntax byte 2, the end: expected a value INVALID"},
        {"{", "| decode.syntax byte 1, the end: expected a key in quotes INVALID"},
        {"}", "| decode.syntax byte 0: expected a value INVALID"},
        {"{\"i\"", "| decode.syntax byte 4, the end: expected a colon INVALID"},
        {"{\"i\" 1}", "| decode.syntax byte 5: expected a colon INVALID"},
        {"{\"i\":", "| decode.syntax byte 5, the end: expected a value INVALID"},
        {"{\"i\":}", "| decode.syntax byte 5: expected a value INVALID"},
        {"{\"i\":1",
         "| decode.syntax byte 6, the end: expected a comma or a closing brace INVALID"},
        {"{\"i\":1]", "| decode.syntax byte 6: expected a comma or a closing brace INVALID"},
        {"{\"i\":1,}", "| decode.syntax byte 7: expected a key in quotes INVALID"},
        {"{,\"i\":1}", "| decode.syntax byte 1: expected a key in quotes INVALID"},
        {"{\"i\":1,,\"d\":1}", "| decode.syntax byte 7: expected a key in quotes INVALID"},
        {"{i:1}", "| decode.syntax byte 1: expected a key in quotes INVALID"},
        {"{\"i\":1}}", "| decode.syntax byte 7: expected nothing behind the value INVALID"},
        {"{\"i\":1}{}", "| decode.syntax byte 7: expected nothing behind the value INVALID"},
        {"{\"i\":01}",
         "| decode.syntax byte 5: expected a digit, and no zero before other digits INVALID"},
        {"{\"i\":-}",
         "| decode.syntax byte 6: expected a digit, and no zero before other digits INVALID"},
        {"{\"d\":1.}",
         "| decode.syntax byte 7: expected a digit, and no zero before other digits INVALID"},
        {"{\"d\":1.e1}",
         "| decode.syntax byte 7: expected a digit, and no zero before other digits INVALID"},
        {"{\"d\":1e}",
         "| decode.syntax byte 7: expected a digit, and no zero before other digits INVALID"},
        {"{\"d\":1e+}",
         "| decode.syntax byte 8: expected a digit, and no zero before other digits INVALID"},
        {"{\"d\":.5}", "| decode.syntax byte 5: expected a value INVALID"},
        {"{\"d\":+5}", "| decode.syntax byte 5: expected a value INVALID"},
        {"{\"d\":1.5.5}", "| decode.syntax byte 8: expected a comma or a closing brace INVALID"},
        {"{\"d\":NaN}", "| decode.syntax byte 5: expected a value INVALID"},
        {"{\"b\":tru}", "| decode.syntax byte 5: expected a value INVALID"},
        {"{\"b\":truE}", "| decode.syntax byte 5: expected a value INVALID"},
        {"{\"b\":t", "| decode.syntax byte 5: expected a value INVALID"},
        {"{\"b\":falsy}", "| decode.syntax byte 5: expected a value INVALID"},
        {"{\"b\":nul}", "| decode.syntax byte 5: expected a value INVALID"},
        {"{\"b\":truefalse}",
         "| decode.syntax byte 9: expected a comma or a closing brace INVALID"},
        {"{\"s\":\"x}", "| decode.syntax byte 8, the end: expected the end of a string INVALID"},
        {"{\"s\":\"\\\"}", "| decode.syntax byte 9, the end: expected the end of a string INVALID"},
        {"{\"s\":\"\\x\"}", "| decode.syntax byte 6: expected an escape of JSON INVALID"},
        {"{\"s\":\"\\u12G4\"}", "| decode.syntax byte 6: expected an escape of JSON INVALID"},
        {"{\"s\":\"\\u12", "| decode.syntax byte 6: expected an escape of JSON INVALID"},
        {"{\"s\":\"\\", "| decode.syntax byte 6: expected an escape of JSON INVALID"},
        {"{\"s\":\"a\tb\"}",
         "| decode.syntax byte 7: a control character in a string must be escaped INVALID"},
        {"{\"s\":'x'}", "| decode.syntax byte 5: expected a value INVALID"},
        {"{\"j\":[1,]}", "| decode.syntax byte 8: expected a value INVALID"},
        {"{\"j\":[1 2]}", "| decode.syntax byte 8: expected a comma or a closing bracket INVALID"},
        {"{\"j\":[1}", "| decode.syntax byte 7: expected a comma or a closing bracket INVALID"},
        {"{\"j\":[", "| decode.syntax byte 6, the end: expected a value INVALID"},
        {"{\"j\":{\"a\" 1}}", "| decode.syntax byte 10: expected a colon INVALID"},
        {"{\"j\":{1:1}}", "| decode.syntax byte 6: expected a key in quotes INVALID"},
        {"{\"i\":1 /* */}", "| decode.syntax byte 7: expected a comma or a closing brace INVALID"},
        {"\xEF\xBB\xBF{}", "| decode.syntax byte 0: expected a value INVALID"},
        {"{\"i\":1,\xC2\xA0\"d\":1}", "| decode.syntax byte 7: expected a key in quotes INVALID"},
        {"{\"s\":\"x\",\"b\":true,\"i\":7,\"d\":1,\"o\":{\"x\":1,\"y\":2},\"j\":0,\"e\":0,\"w\":0",
         "| decode.syntax byte 65, the end: expected a comma or a closing brace INVALID"},
    };
    struct json_options options = {0};
    EXPECT(&row_layout_open, &options, cases);
    EXPECT(&row_layout_closed, &options, cases);
}

static void test_encoding(void **state)
{
    (void)state;
    static const struct row_case cases[] = {
        {"{\"s\":\"a\xFF\"}", "| decode.encoding byte 7: expected UTF-8 INVALID"},
        {"{\"s\":\"\xC3\"}", "| decode.encoding byte 6: expected UTF-8 INVALID"},
        {"{\"s\":\"\xC0\x80\"}", "| decode.encoding byte 6: expected UTF-8 INVALID"},
        {"{\"s\":\"\xC1\xBF\"}", "| decode.encoding byte 6: expected UTF-8 INVALID"},
        {"{\"s\":\"\xE0\x9F\xBF\"}", "| decode.encoding byte 6: expected UTF-8 INVALID"},
        {"{\"s\":\"\xED\xA0\x80\"}", "| decode.encoding byte 6: expected UTF-8 INVALID"},
        {"{\"s\":\"\xF0\x8F\xBF\xBF\"}", "| decode.encoding byte 6: expected UTF-8 INVALID"},
        {"{\"s\":\"\xF4\x90\x80\x80\"}", "| decode.encoding byte 6: expected UTF-8 INVALID"},
        {"{\"s\":\"\xF5\x80\x80\x80\"}", "| decode.encoding byte 6: expected UTF-8 INVALID"},
        {"{\"s\":\"\x80\"}", "| decode.encoding byte 6: expected UTF-8 INVALID"},
        {"{\"s\":\"\xE2\x82", "| decode.encoding byte 6: expected UTF-8 INVALID"},
        {"{\"\xFF\":1}", "| decode.encoding byte 2: expected UTF-8 INVALID"},
        {"{\"w\":{\"\xFF\":1}}", "| decode.encoding byte 7: expected UTF-8 INVALID"},
        {"{\"j\":[\"\xFF\"]}", "| decode.encoding byte 7: expected UTF-8 INVALID"},
        /* Not UTF-8 comes before not JSON, wherever it stands. */
        {"{,\xFF", "| decode.encoding byte 2: expected UTF-8 INVALID"},
        {"{}\xFF", "| decode.encoding byte 2: expected UTF-8 INVALID"},
        {"{\"s\":\"\\uD800\"}",
         "| decode.encoding byte 6: the escape is half of a surrogate pair INVALID"},
        {"{\"s\":\"\\uDC00\"}",
         "| decode.encoding byte 6: the escape is half of a surrogate pair INVALID"},
        {"{\"s\":\"\\uD800\\u0041\"}",
         "| decode.encoding byte 6: the escape is half of a surrogate pair INVALID"},
        {"{\"s\":\"\\uD83D\\n\"}",
         "| decode.encoding byte 6: the escape is half of a surrogate pair INVALID"},
        {"{\"w\":\"x\\uD83D\"}",
         "| decode.encoding byte 7: the escape is half of a surrogate pair INVALID"},
        {"{\"\\uDFFF\":1}",
         "| decode.encoding byte 2: the escape is half of a surrogate pair INVALID"},
    };
    struct json_options options = {0};
    EXPECT(&row_layout_open, &options, cases);
}

static void test_repeated_keys(void **state)
{
    (void)state;
    static const struct row_case cases[] = {
        {"{\"i\":1,\"i\":2}", "| decode.syntax byte 7: the key is repeated: i INVALID"},
        {"{\"i\":1,\"\\u0069\":2}", "| decode.syntax byte 7: the key is repeated: \\u0069 INVALID"},
        {"{\"w\":1,\"w\":2}", "| decode.syntax byte 7: the key is repeated: w INVALID"},
        {"{\"w\\n\":1,\"w\\u000a\":2}",
         "| decode.syntax byte 9: the key is repeated: w\\u000a INVALID"},
        {"{\"o\":{\"x\":1,\"x\":2}}", "| decode.syntax byte 12: the key is repeated: x INVALID"},
        {"{\"o\":{\"k\":1,\"k\":2}}", "| decode.syntax byte 12: the key is repeated: k INVALID"},
        {"{\"j\":{\"k\":1,\"k\":2}}", "| decode.syntax byte 12: the key is repeated: k INVALID"},
        {"{\"j\":[{\"k\":1},{\"k\":1,\"l\":{\"k\":1,\"k\":2}}]}",
         "| decode.syntax byte 32: the key is repeated: k INVALID"},
        {"{\"w\":{\"\":1,\"\":2}}", "| decode.syntax byte 11: the key is repeated:  INVALID"},
        {"{\"i\":{\"k\":1,\"k\":2}}", "| decode.syntax byte 12: the key is repeated: k INVALID"},
        /* Broken JSON is said first. */
        {"{\"i\":1,\"i\":2", "| decode.syntax byte 12, the end: expected a comma or a closing brace"
                             " INVALID"},
        {"[{\"a\":1,\"a\":1}]", "| decode.syntax byte 8: the key is repeated: a INVALID"},
    };
    struct json_options options = {0};
    EXPECT(&row_layout_open, &options, cases);
    EXPECT(&row_layout_closed, &options, cases);
}

static void test_last_key_wins(void **state)
{
    (void)state;
    static const struct row_case cases[] = {
        {"{\"i\":1,\"i\":2}", "i=2"},
        {"{\"i\":1,\"\\u0069\":null}", ""},
        {"{\"i\":\"x\",\"i\":2}", "i=2"},
        {"{\"i\":2,\"i\":\"x\"}", "i!type:\"x\""},
        {"{\"i\":\"x\",\"i\":1.5}", "i!type:1.5"},
        {"{\"s\":\"x\",\"s\":null}", "s=null"},
        {"{\"w\":1,\"w\":2,\"j\":{\"k\":1,\"k\":1}}", "j={\"k\":1,\"k\":1}"},
        {"{\"o\":{\"x\":1,\"p\":{\"q\":1},\"y\":3},\"o\":{\"y\":\"t\"}}",
         "o={\"y\":\"t\"} o.y=\"t\""},
        {"{\"o\":{\"x\":1,\"k\":1},\"o\":null}", ""},
        {"{\"o\":{\"k\":1,\"l\":1},\"o\":{\"m\":1}}", "o={\"m\":1} | schema.unknown_field o.m"},
        {"{\"o\":{\"k\":1,\"k\":1,\"k\":2}}",
         "o={\"k\":1,\"k\":1,\"k\":2} | schema.unknown_field o.k"},
        {"{\"o\":{\"p\":{\"q\":1},\"p\":{\"q\":\"\"}}}",
         "o={\"p\":{\"q\":1},\"p\":{\"q\":\"\"}} o.p={\"q\":\"\"} o.p.q!type:\"\""},
    };
    struct json_options options = {.repeated_key = JSON_REPEATED_KEY_LAST};
    EXPECT(&row_layout_open, &options, cases);
}

static void test_unknown_fields(void **state)
{
    (void)state;
    static const struct row_case cases[] = {
        {"{\"i\":1}", "i=1"},
        {"{\"w\":1,\"i\":1}", "i=1 | schema.unknown_field w"},
        {"{\"e\":1}", "e=1 | schema.unknown_field [10] e"},
        {"{\"o\":{\"z\":0,\"v\":0,\"p\":{\"free\":1}}}",
         "o={\"z\":0,\"v\":0,\"p\":{\"free\":1}} o.p={\"free\":1} o.z=0 "
         "| schema.unknown_field [11] o.z | schema.unknown_field o.v"},
        {"{\"\\u0077\":{\"i\":1}}", "| schema.unknown_field w"},
        {"{\"9\":0,\"1\":0,\"2\":0,\"3\":0,\"4\":0,\"5\":0,\"6\":0,\"7\":0,\"8\":0,\"0\":0}",
         "| schema.unknown_field 9 | schema.unknown_field 1 | schema.unknown_field 2 "
         "| schema.unknown_field 3 | schema.unknown_field 4 | schema.unknown_field 5 "
         "| schema.unknown_field 6 | schema.unknown_field 7"},
        /* Nothing stays of a record that breaks later. */
        {"{\"w\":1,\"i\":\"x\",\"s\":\"t\",\"o\":{\"k\":1,\"x\":\"\"},",
         "| decode.syntax byte 42, the end: expected a key in quotes INVALID"},
    };
    struct json_options options = {0};
    EXPECT(&row_layout_closed, &options, cases);
    options.repeated_key = JSON_REPEATED_KEY_LAST;
    EXPECT(&row_layout_closed, &options, cases);
}

static void test_top_level_type(void **state)
{
    (void)state;
    static const struct row_case cases[] = {
        {"[]", "| schema.type byte 0: expected an object, the record is an array INVALID"},
        {" \"{}\"", "| schema.type byte 1: expected an object, the record is a string INVALID"},
        {"1.5", "| schema.type byte 0: expected an object, the record is a number INVALID"},
        {"-0", "| schema.type byte 0: expected an object, the record is a number INVALID"},
        {"true", "| schema.type byte 0: expected an object, the record is a boolean INVALID"},
        {"false\n", "| schema.type byte 0: expected an object, the record is a boolean INVALID"},
        {"null", "| schema.type byte 0: expected an object, the record is null INVALID"},
        {"nullx", "| decode.syntax byte 4: expected nothing behind the value INVALID"},
        {"[", "| decode.syntax byte 1, the end: expected a value INVALID"},
    };
    struct json_options options = {0};
    EXPECT(&row_layout_open, &options, cases);
}

static void test_no_value_and_too_large(void **state)
{
    (void)state;
    struct json_options options = {.max_record_bytes = 10};
    expect_rows(&row_layout_open, &options, BYTES_NONE,
                "| decode.null_value the record has no value INVALID");
    static const struct row_case cases[] = {
        {"{\"i\":1234}", "i=1234"},
        {"{\"i\":12345}", "| decode.too_large 11 bytes, at most 10 are allowed INVALID"},
    };
    EXPECT(&row_layout_open, &options, cases);
}

/* `opens` opened, then closed, around a 1 in the member "j" or "o.p.…". */
static char *nested(const char *head, char open, uint32_t depth, const char *tail)
{
    struct buffer text = {0};
    buffer_append_string(&text, head);
    for (uint32_t i = 0; i < depth; i++) {
        buffer_append_string(&text, open == '[' ? "[" : "{\"k\":");
    }
    buffer_append_byte(&text, '1');
    for (uint32_t i = 0; i < depth; i++) {
        buffer_append_byte(&text, open == '[' ? ']' : '}');
    }
    buffer_append_string(&text, tail);
    return buffer_string(&text);
}

static bool decodes(const struct json_options *options, const char *text)
{
    bool all = true;
    for (size_t e = 0; e < row_engine_count(); e++) {
        struct json_decoder *decoder = json_decoder_new(&row_layout_open, options);
        json_decoder_set_engine(decoder, row_engines[e]);
        struct batch *batch = batch_new(&row_layout_open);
        batch_append_record(batch)->value = bytes_of_string(text);
        json_decode(decoder, batch);
        bool decoded = batch->violation_count == 0;
        assert_true(e == 0 || decoded == all);
        all = decoded;
        batch_free(batch);
        json_decoder_free(decoder);
    }
    return all;
}

static void test_depth(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        uint32_t outside; /* containers that the head opens */
        const char *tail;
    } places[] = {
        {"{\"j\":", 1, "}"},
        {"{\"w\":", 1, "}"},
        {"{\"i\":", 1, "}"},
        {"{\"o\":{\"p\":{\"q\":", 3, "}}}"},
        {"{\"o\":{\"p\":{\"w\":", 3, "}}}"},
    };
    static const uint32_t limits[] = {0, 3, 5, 10000};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        for (size_t j = 0; j < sizeof limits / sizeof limits[0]; j++) {
            struct json_options options = {.max_depth = limits[j]};
            uint32_t limit = limits[j] == 0 ? 128 : limits[j];
            for (int open = 0; open < 2; open++) {
                char *fits = nested(places[i].head, open ? '{' : '[', limit - places[i].outside,
                                    places[i].tail);
                char *deeper = nested(places[i].head, open ? '{' : '[',
                                      limit - places[i].outside + 1, places[i].tail);
                assert_true(decodes(&options, fits));
                assert_false(decodes(&options, deeper));
                assert_true(json_is_valid(bytes_of_string(fits), limits[j]));
                assert_false(json_is_valid(bytes_of_string(deeper), limits[j]));
                memory_free(fits);
                memory_free(deeper);
            }
        }
    }
    struct json_options options = {.max_depth = 2};
    assert_true(decodes(&options, "{\"o\":{\"x\":1}}"));
    assert_false(decodes(&options, "{\"o\":{\"p\":{}}}"));
    options.max_depth = 1;
    assert_true(decodes(&options, "{\"i\":1}"));
    assert_false(decodes(&options, "{\"o\":{}}"));
    assert_false(decodes(&options, "{\"j\":[]}"));
}

/* Many members: at the top level, in a layout object and in a value without columns; all different,
 * then one repeated. */
static void test_many_members(void **state)
{
    (void)state;
    static const char *const heads[] = {"{", "{\"o\":{", "{\"j\":{", "{\"w\":[0,{"};
    static const char *const tails[] = {"}", "}}", "}}", "}]}"};
    static const uint32_t counts[] = {16, 63, 64, 65, 66, 128, 129, 30000};
    struct json_options error = {.max_record_bytes = 10000000};
    struct json_options last = {.max_record_bytes = 10000000,
                                .repeated_key = JSON_REPEATED_KEY_LAST};
    for (size_t place = 0; place < 4; place++) {
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            struct buffer text = {0};
            buffer_append_string(&text, heads[place]);
            for (uint32_t k = 0; k < counts[i]; k++) {
                buffer_printf(&text, "%s\"key%u\":%u", k == 0 ? "" : ",", k, k);
            }
            size_t size = text.size;
            buffer_append_string(&text, tails[place]);
            bool closed = place == 1; /* "o" is closed: violations, but decoded */
            assert_int_equal(decodes(&error, buffer_string(&text)), !closed);
            const uint32_t again[] = {0, counts[i] / 2, counts[i] - 1};
            for (size_t j = 0; j < 3; j++) {
                text.size = size;
                buffer_printf(&text, ",\"\\u006bey%u\":0%s", again[j], tails[place]);
                assert_false(decodes(&error, buffer_string(&text)));
                assert_int_equal(decodes(&last, buffer_string(&text)), !closed);
            }
            buffer_fini(&text);
        }
    }
}

/* Names that the decoder has no more room to learn mean the same as those it has learnt, and are
 * given up at last. */
static void test_learning_does_not_show(void **state)
{
    (void)state;
    struct json_options options = {0};
    struct json_decoder *decoder = json_decoder_new(&row_layout_closed, &options);
    struct batch *batch = batch_new(&row_layout_closed);
    for (uint32_t round = 0; round < 3; round++) {
        struct buffer texts[BATCH_ROWS_MAX];
        batch_reset(batch, 0, 0);
        for (uint32_t i = 0; i < BATCH_ROWS_MAX; i++) {
            texts[i] = (struct buffer){0};
            buffer_printf(&texts[i], "{\"i\":%u,\"n%u\":1,\"d\":2.5,\"m%u\":{},\"s\":\"x\"%s}", i,
                          round * BATCH_ROWS_MAX + i, i % 3, i % 2 == 0 ? ",\"m0 \":1" : "");
            batch_append_record(batch)->value = bytes_of(texts[i].data, texts[i].size);
        }
        json_decode(decoder, batch);
        batch_sort_violations(batch);
        for (uint32_t i = 0; i < BATCH_ROWS_MAX; i++) {
            struct buffer line = {0};
            struct buffer expected = {0};
            row_render(&line, batch, i);
            buffer_printf(&expected,
                          "i=%u d=2.5 s=\"x\" | schema.unknown_field n%u | schema.unknown_field "
                          "m%u%s",
                          i, round * BATCH_ROWS_MAX + i, i % 3,
                          i % 2 == 0 ? " | schema.unknown_field m0 " : "");
            assert_string_equal(buffer_string(&line), buffer_string(&expected));
            buffer_fini(&line);
            buffer_fini(&expected);
            buffer_fini(&texts[i]);
        }
    }
    batch_free(batch);
    json_decoder_free(decoder);
}

static void test_large_values(void **state)
{
    (void)state;
    enum { SIZE = 10 * 1024 * 1024 };
    struct json_options options = {.max_record_bytes = SIZE + 100};
    struct json_decoder *decoder = json_decoder_new(&row_layout_open, &options);
    struct batch *batch = batch_new(&row_layout_open);
    struct buffer plain = {0};
    struct buffer escaped = {0};
    struct buffer number = {0};
    buffer_append_string(&plain, "{\"s\":\"");
    memset(buffer_reserve(&plain, SIZE), 'x', SIZE);
    plain.size += SIZE;
    buffer_append_string(&plain, "\"}");
    buffer_append_string(&escaped, "{\"s\":\"");
    for (size_t i = 0; i < SIZE; i += 6) {
        buffer_append_string(&escaped, "\\u00e4");
    }
    buffer_append_string(&escaped, "\"}");
    buffer_append_string(&number, "{\"i\":1");
    memset(buffer_reserve(&number, SIZE), '0', SIZE);
    number.size += SIZE;
    buffer_printf(&number, "e-%u}", (unsigned)SIZE);
    batch_append_record(batch)->value = bytes_of(plain.data, plain.size);
    batch_append_record(batch)->value = bytes_of(escaped.data, escaped.size);
    batch_append_record(batch)->value = bytes_of(number.data, number.size);
    json_decode(decoder, batch);
    assert_int_equal(batch->violation_count, 0);
    assert_int_equal(batch->columns[ROW_S].texts[0].size, SIZE);
    assert_int_equal(batch->columns[ROW_S].texts[1].size, (SIZE + 5) / 6 * 2);
    assert_int_equal(batch->columns[ROW_I].cells[2], CELL_VALUE);
    assert_int_equal(batch->columns[ROW_I].integers[2], 1);
    buffer_fini(&plain);
    buffer_fini(&escaped);
    buffer_fini(&number);
    batch_free(batch);
    json_decoder_free(decoder);
}

/* Text without escapes is a slice of the record: decoding copies nothing. */
static void test_texts_are_slices(void **state)
{
    (void)state;
    static const char text[] = "{\"s\":\"not escaped at all\",\"j\":[1,2,3]}";
    struct json_options options = {0};
    struct json_decoder *decoder = json_decoder_new(&row_layout_open, &options);
    struct batch *batch = batch_new(&row_layout_open);
    batch_append_record(batch)->value = bytes_of_string(text);
    json_decode(decoder, batch);
    assert_ptr_equal(batch->columns[ROW_S].texts[0].data, text + 6);
    assert_ptr_equal(batch->columns[ROW_J].texts[0].data, strstr(text, "[1"));
    batch_free(batch);
    json_decoder_free(decoder);
    json_decoder_free(NULL);
}

/* A name with a NUL, which a layout may hold. */
static void test_nul_bytes(void **state)
{
    (void)state;
    static struct field fields[] = {
        {.name = "a\0b", .name_size = 3, .path = "a?b", .type = COLUMN_TEXT, .parent = FIELD_NONE},
    };
    static const struct layout layout = {
        .fields = fields, .field_count = 1, .schema_field_count = 1};
    struct json_options options = {0};
    struct json_decoder *decoder = json_decoder_new(&layout, &options);
    struct batch *batch = batch_new(&layout);
    batch_append_record(batch)->value = bytes_of_string("{\"a\\u0000b\":\"x\\u0000y\",\"a\":1}");
    batch_append_record(batch)->value = bytes_of("{\0\"a\":1}", 8);
    batch_append_record(batch)->value = bytes_of("{\"a\":1}\0", 8);
    batch_append_record(batch)->value = bytes_of("{\"a\0\":1}", 8);
    json_decode(decoder, batch);
    assert_int_equal(batch->columns[0].texts[0].size, 3);
    assert_memory_equal(batch->columns[0].texts[0].data, "x\0y", 3);
    assert_int_equal(batch->verdicts[0], VERDICT_NONE);
    for (uint32_t row = 1; row < 4; row++) {
        assert_int_equal(batch->verdicts[row], VERDICT_INVALID);
    }
    batch_free(batch);
    json_decoder_free(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_misfits),
        cmocka_unit_test(test_underflow),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_repeated_keys),
        cmocka_unit_test(test_last_key_wins),
        cmocka_unit_test(test_unknown_fields),
        cmocka_unit_test(test_top_level_type),
        cmocka_unit_test(test_no_value_and_too_large),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_members),
        cmocka_unit_test(test_learning_does_not_show),
        cmocka_unit_test(test_large_values),
        cmocka_unit_test(test_texts_are_slices),
        cmocka_unit_test(test_nul_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
