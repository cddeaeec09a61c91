#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "schema/fixture.h"

static void open_schema(struct fixture *fixture, const char *schema)
{
    struct error err = {0};
    if (fixture_open(fixture, schema, &err) != STATUS_OK) {
        fail_msg("%s: %u:%u %s", schema, err.line, err.column, err.message);
    }
}

struct value_case {
    const char *schema; /* of the field v; NULL: the one above */
    const char *value;
    const char *complaint; /* without "v schema."; "" when the value is right */
};

static void assert_cases(const struct value_case *cases, size_t count)
{
    const char *schema = "";
    for (size_t i = 0; i < count; i++) {
        char text[1024];
        char record[1024];
        struct fixture fixture;
        schema = cases[i].schema != NULL ? cases[i].schema : schema;
        (void)snprintf(text, sizeof text, "{\"properties\": {\"v\": %s}}", schema);
        (void)snprintf(record, sizeof record, "{\"v\": %s}", cases[i].value);
        open_schema(&fixture, text);
        uint32_t row = fixture_add(&fixture, record);
        enum cell before = fixture_cell(&fixture, "v", row);
        fixture_check(&fixture);
        const char *found = fixture_complaints(&fixture, row);
        (void)snprintf(text, sizeof text, "%s%s", cases[i].complaint[0] != '\0' ? "v schema." : "",
                       cases[i].complaint);
        if (strcmp(found, text) != 0) {
            fail_msg("%s with %s\n  gives    %s\n  expected %s", schema, record, found, text);
        }
        enum cell after = fixture_cell(&fixture, "v", row);
        bool invalid = before == CELL_VALUE && found[0] != '\0';
        assert_int_equal(after, invalid ? CELL_INVALID : before);
        fixture_close(&fixture);
    }
}

static void test_types(void **state)
{
    (void)state;
    static const struct value_case cases[] = {
        {"{type: boolean}", "true", ""},
        {NULL, "0", "type: 0 is not a boolean"},
        {NULL, "\"true\"", "type: \"true\" is not a boolean"},
        {"{type: integer}", "1", ""},
        {NULL, "1.0", ""},
        {NULL, "1e3", ""},
        {NULL, "-9223372036854775808", ""},
        {NULL, "1.5", "type: 1.5 is not an integer"},
        {NULL, "\"1\"", "type: \"1\" is not an integer"},
        {NULL, "1e300", "range: 1e300 does not fit into a 64-bit integer"},
        {NULL, "[1]", "type: [1] is not an integer"},
        {"{type: number}", "1", ""},
        {NULL, "1.5", ""},
        {NULL, "\"hot\"", "type: \"hot\" is not a number"},
        {"{type: [number, integer, \"null\"]}", "1.5", ""},
        {NULL, "null", ""},
        {NULL, "true", "type: true is not a number or null"},
        {"{type: string}", "\"\"", ""},
        {NULL, "5", "type: 5 is not a string"},
        {NULL, "{\"a\": 1}", "type: {\"a\":1} is not a string"},
        {"{type: array}", "[1, \"x\"]", ""},
        {NULL, "{}", "type: {} is not an array"},
        {"{type: object}", "{\"a\": [1]}", ""},
        {NULL, "[]", "type: [] is not an object"},
        {"{type: object, properties: {}}", "{\"a\": 1}", ""},
        {NULL, "[]", "type: [] is not an object"},
        {"{type: [string, integer]}", "\"x\"", ""},
        {NULL, "7", ""},
        {NULL, "7.0", ""},
        {NULL, "7.5", "type: 7.5 is not an integer or a string"},
        {NULL, "true", "type: true is not an integer or a string"},
        {NULL, "{}", "type: {} is not an integer or a string"},
        {"{type: [boolean, array, object, \"null\"]}", "false", ""},
        {NULL, "null", ""},
        {NULL, "\"x\"", "type: \"x\" is not a boolean, an array, an object or null"},
        {"{type: \"null\"}", "null", ""},
        {NULL, "0", "type: 0 is not null"},
        {"{}", "[1]", ""},
        {"true", "\"x\"", ""},
    };
    assert_cases(cases, sizeof cases / sizeof cases[0]);
}

static void test_ranges(void **state)
{
    (void)state;
    static const struct value_case cases[] = {
        {"{type: number, minimum: 0, maximum: 100}", "0", ""},
        {NULL, "100", ""},
        {NULL, "-0.0", ""},
        {NULL, "101.5", "range: 101.5 is above the maximum 100"},
        {NULL, "100.00000000000001", "range: 100.00000000000001 is above the maximum 100"},
        {NULL, "-1e-300", "range: -1e-300 is below the minimum 0"},
        {"{type: number, exclusiveMinimum: 0, exclusiveMaximum: 1e2}", "1", ""},
        {NULL, "5e-324", ""},
        {NULL, "0", "range: 0 is not above the exclusive minimum 0"},
        {NULL, "100", "range: 100 is not below the exclusive maximum 1e2"},
        {NULL, "99.99999999999999", ""},
        {"{type: number, minimum: 9007199254740993}", "9007199254740993", ""},
        {"{type: number, minimum: 0.1}", "0.1", ""},
        {"{type: number, maximum: 1, exclusiveMaximum: 1}", "1",
         "range: 1 is not below the exclusive maximum 1"},
        {"{type: integer, minimum: 1.5, maximum: 1e3}", "2", ""},
        {NULL, "1", "range: 1 is below the minimum 1.5"},
        {NULL, "1000", ""},
        {NULL, "1001", "range: 1001 is above the maximum 1e3"},
        {"{type: integer, exclusiveMinimum: 1.5, exclusiveMaximum: 3.5}", "2", ""},
        {NULL, "3", ""},
        {NULL, "1", "range: 1 is not above the exclusive minimum 1.5"},
        {NULL, "4", "range: 4 is not below the exclusive maximum 3.5"},
        {"{type: integer, exclusiveMinimum: 1, exclusiveMaximum: 3}", "2", ""},
        {NULL, "1", "range: 1 is not above the exclusive minimum 1"},
        {NULL, "3", "range: 3 is not below the exclusive maximum 3"},
        {"{type: integer, minimum: -1.5, maximum: -0.5}", "-1", ""},
        {NULL, "-2", "range: -2 is below the minimum -1.5"},
        {NULL, "0", "range: 0 is above the maximum -0.5"},
        {"{type: integer, minimum: 9007199254740993}", "9007199254740993", ""},
        {NULL, "9007199254740992", "range: 9007199254740992 is below the minimum 9007199254740993"},
        {"{type: integer, minimum: 9223372036854775807, maximum: 1e30}", "9223372036854775807", ""},
        {NULL, "9223372036854775806",
         "range: 9223372036854775806 is below the minimum 9223372036854775807"},
        {"{type: integer, exclusiveMinimum: 9223372036854775807}", "9223372036854775807",
         "range: 9223372036854775807 is not above the exclusive minimum 9223372036854775807"},
        {"{type: integer, exclusiveMaximum: -9223372036854775808}", "-9223372036854775808",
         "range: -9223372036854775808 is not below the exclusive maximum -9223372036854775808"},
        {"{type: integer, minimum: 1e30}", "5", "range: 5 is below the minimum 1e30"},
        {NULL, "9223372036854775807", "range: 9223372036854775807 is below the minimum 1e30"},
        {"{type: integer, maximum: -1e30}", "-9223372036854775808",
         "range: -9223372036854775808 is above the maximum -1e30"},
        {"{type: integer, minimum: -1e30, maximum: 1e30}", "5", ""},
        {"{type: integer, maximum: 9223372036854775807.5}", "9223372036854775807", ""},
        {"{type: integer, multipleOf: 3}", "-9", ""},
        {NULL, "10", "range: 10 is not a multiple of 3"},
        {"{type: integer, multipleOf: 2.5}", "5", ""},
        {NULL, "6", "range: 6 is not a multiple of 2.5"},
        {"{type: number, multipleOf: 0.01}", "19.99", ""},
        {NULL, "19.995", "range: 19.995 is not a multiple of 0.01"},
        {"{minimum: 5}", "4", "range: 4 is below the minimum 5"},
        {NULL, "4.99", "range: 4.99 is below the minimum 5"},
        {NULL, "5.0", ""},
        {NULL, "\"x\"", ""},
        {NULL, "[]", ""},
        {NULL, "null", ""},
        {"{type: [integer, string], maximum: 9007199254740992}", "9007199254740993",
         "range: 9007199254740993 is above the maximum 9007199254740992"},
        {"{type: [number, string], multipleOf: 0.5}", "1.25",
         "range: 1.25 is not a multiple of 0.5"},
        {"{type: string, minimum: 5}", "\"1\"", ""},
        /* Integers of 64 bits, also in a list of types; elsewhere any number is handed on. */
        {"{type: [integer, string, boolean]}", "9223372036854775807", ""},
        {NULL, "1e30", "range: 1e30 does not fit into a 64-bit integer"},
        {NULL, "9.223372036854775808e18",
         "range: 9.223372036854775808e18 does not fit into a 64-bit integer"},
        {NULL, "1.5", "type: 1.5 is not a boolean, an integer or a string"},
        {"{type: [number, string]}", "1e30", ""},
        {"{}", "1e30", ""},
    };
    assert_cases(cases, sizeof cases / sizeof cases[0]);
}

/* A number whose nearest double is 0 is none the less not 0. */
static void test_underflow(void **state)
{
    (void)state;
    static const struct value_case cases[] = {
        {"{type: number, multipleOf: 0.1}", "1e-400",
         "range: 1e-400 is not a multiple of 0.1"},
        {NULL, "-1e-400", "range: -1e-400 is not a multiple of 0.1"},
        {NULL, "0e-400", ""},
        {"{type: number}", "1e-400", ""},
        {"{type: number, exclusiveMinimum: 0}", "1e-400", ""},
        {NULL, "0.0", "range: 0 is not above the exclusive minimum 0"},
        {"{type: number, minimum: 0}", "1e-400", ""},
        {NULL, "-1e-400", "range: -1e-400 is below the minimum 0"},
        {"{type: number, enum: [0, 5]}", "1e-400", "enum: 1e-400 is not one of 0, 5"},
        {"{type: number, enum: [1e-400]}", "1e-400", ""},
        {NULL, "0", "enum: 0 is not one of 1e-400"},
        {NULL, "-1e-400", "enum: -1e-400 is not one of 1e-400"},
        {"{type: [number, string], multipleOf: 0.1}", "1e-400",
         "range: 1e-400 is not a multiple of 0.1"},
    };
    assert_cases(cases, sizeof cases / sizeof cases[0]);
}

static void test_texts(void **state)
{
    (void)state;
    static const struct value_case cases[] = {
        {"{type: string, minLength: 2, maxLength: 3}", "\"ab\"", ""},
        {NULL, "\"a\"", "length: \"a\" has 1 character, fewer than 2"},
        {NULL, "\"\"", "length: \"\" has 0 characters, fewer than 2"},
        {NULL, "\"abcd\"", "length: \"abcd\" has 4 characters, more than 3"},
        {NULL, "\"äöü\"", ""},
        {NULL, "\"😀😀😀\"", ""},
        {NULL, "\"😀\"", "length: \"😀\" has 1 character, fewer than 2"},
        {NULL, "\"\\ud83d\\ude00a\"", ""},
        {"{type: string, minLength: 1e30}", "\"x\"",
         "length: \"x\" has 1 character, fewer than 9223372036854775807"},
        {"{type: string, maxLength: 0}", "\"\"", ""},
        {NULL, "\"x\"", "length: \"x\" has 1 character, more than 0"},
        {"{type: string, maxLength: 1e30}", "\"x\"", ""},
        {"{minLength: 2}", "\"\\n\"", "length: \"\\n\" has 1 character, fewer than 2"},
        {NULL, "\"\\ud83d\\ude00\"", "length: \"😀\" has 1 character, fewer than 2"},
        {NULL, "\"ab\"", ""},
        {NULL, "1", ""},
        {"{type: string, pattern: \"^[a-z]+[0-9]$\"}", "\"ab1\"", ""},
        {NULL, "\"ab12\"", "pattern: \"ab12\" does not match ^[a-z]+[0-9]$"},
        {"{type: string, pattern: b}", "\"abc\"", ""},
        {NULL, "\"acc\"", "pattern: \"acc\" does not match b"},
        {"{pattern: b}", "\"\\u0062\"", ""},
        {NULL, "\"c\"", "pattern: \"c\" does not match b"},
        {NULL, "7", ""},
        {"{type: string, pattern: \"^(a+)+$\"}", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"",
         "pattern: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\" is too expensive to match "
         "with ^(a+)+$"},
        {"{type: string, format: date-time}", "\"2024-01-01T00:00:00Z\"", ""},
        {NULL, "\"2024-01-01 00:00:00Z\"", "format: \"2024-01-01 00:00:00Z\" is not a date-time"},
        {"{type: string, format: date}", "\"2024-02-30\"", "format: \"2024-02-30\" is not a date"},
        {"{type: string, format: time}", "\"12:00:00\"",
         "format: \"12:00:00\" is not a time with an offset"},
        {"{type: string, format: uuid}", "\"x\"", "format: \"x\" is not a UUID"},
        {"{type: string, format: email}", "\"x\"", "format: \"x\" is not an e-mail address"},
        {"{type: string, format: ipv4}", "\"1.2.3\"", "format: \"1.2.3\" is not an IPv4 address"},
        {"{type: string, format: ipv6}", "\"::g\"", "format: \"::g\" is not an IPv6 address"},
        {"{type: string, format: hostname}", "\"a_b\"", "format: \"a_b\" is not a host name"},
        {"{type: string, format: uri}", "\"/x\"", "format: \"/x\" is not a URI"},
        {"{format: ipv4}", "\"1.2.3.4\"", ""},
        {NULL, "\"1.2.3\"", "format: \"1.2.3\" is not an IPv4 address"},
        {NULL, "12", ""},
    };
    assert_cases(cases, sizeof cases / sizeof cases[0]);
}

static void test_sets(void **state)
{
    (void)state;
    static const struct value_case cases[] = {
        {"{type: string, enum: [b, a, ccc]}", "\"a\"", ""},
        {NULL, "\"ccc\"", ""},
        {NULL, "\"c\"", "enum: \"c\" is not one of \"b\", \"a\", \"ccc\""},
        {NULL, "\"\"", "enum: \"\" is not one of \"b\", \"a\", \"ccc\""},
        {"{enum: [abcd, abcdef, abcdefgh, x, longer than a word]}", "\"abcd\"", ""},
        {NULL, "\"abcdabcd\"",
         "enum: \"abcdabcd\" is not one of \"abcd\", \"abcdef\", \"abcdefgh\", \"x\", \"longer than a word\""},
        {NULL, "\"abcdef\"", ""},
        {NULL, "\"abcdefgh\"", ""},
        {NULL, "\"longer than a word\"", ""},
        {NULL, "\"x\"", ""},
        {NULL, "\"abcdxefgh\"",
         "enum: \"abcdxefgh\" is not one of \"abcd\", \"abcdef\", \"abcdefgh\", \"x\", \"longer than a word\""},
        {"{enum: [b, a]}", "1", "type: 1 is not a string"},
        {"{type: integer, enum: [3, 1.0, 2e0]}", "1", ""},
        {NULL, "2.0", ""},
        {NULL, "4", "enum: 4 is not one of 3, 1.0, 2e0"},
        {"{type: number, enum: [0.1, 9007199254740993, 5]}", "0.1", ""},
        {NULL, "1e-1", ""},
        {NULL, "9007199254740993", ""},
        {NULL, "5.0", ""},
        {NULL, "0.2", "enum: 0.2 is not one of 0.1, 9007199254740993, 5"},
        {"{type: boolean, const: true}", "true", ""},
        {NULL, "false", "enum: false is not true"},
        {"{enum: [false]}", "false", ""},
        {NULL, "true", "enum: true is not one of false"},
        {"{const: 5}", "5.0", ""},
        {NULL, "6", "enum: 6 is not 5"},
        {"{const: null}", "null", ""},
        {NULL, "0", "type: 0 is not null"},
        {"{enum: [1, x, null, true]}", "1.0", ""},
        {NULL, "\"\\u0078\"", ""},
        {NULL, "null", ""},
        {NULL, "true", ""},
        {NULL, "false", "enum: false is not one of 1, \"x\", null, true"},
        {NULL, "\"1\"", "enum: \"1\" is not one of 1, \"x\", null, true"},
        {NULL, "[1]", "enum: [1] is not one of 1, \"x\", null, true"},
        {NULL, "{}", "enum: {} is not one of 1, \"x\", null, true"},
        {"{type: [string, integer], enum: [1, x]}", "2", "enum: 2 is not one of 1, \"x\""},
        {"{type: [string, \"null\"], enum: [a]}", "null", "enum: null is not one of \"a\""},
        {"{type: [string, \"null\"], enum: [a, null]}", "null", ""},
        {"{type: [string, \"null\"], const: a}", "null", "enum: null is not \"a\""},
        {"{enum: [1, x]}", "null", "enum: null is not one of 1, \"x\""},
        {"{enum: [[1, 2], {a: 1, b: [x]}, 5]}", "[1.0, 2]", ""},
        {NULL, "[2,1]", "enum: [2,1] is not one of [1,2], {\"a\":1,\"b\":[\"x\"]}, 5"},
        {NULL, "{\"b\": [\"x\"], \"a\": 1.0}", ""},
        {NULL, "{\"a\":1}", "enum: {\"a\":1} is not one of [1,2], {\"a\":1,\"b\":[\"x\"]}, 5"},
        {NULL, "5", ""},
        {NULL, "\"5\"", "enum: \"5\" is not one of [1,2], {\"a\":1,\"b\":[\"x\"]}, 5"},
        {"{const: []}", "[ ]", ""},
        {NULL, "[[]]", "enum: [[]] is not []"},
        {NULL, "{}", "type: {} is not an array"},
        {"{type: [object, string], const: {}}", "{}", ""},
        {NULL, "\"\"", "enum: \"\" is not {}"},
        {"{type: object, properties: {a: true}, const: {a: 1}}", "{\"a\":1}", ""},
        {NULL, "{\"a\":2}", "enum: {\"a\":2} is not {\"a\":1}"},
        {"{type: integer, enum: [[1], 2]}", "2", ""},
        {NULL, "1", "enum: 1 is not one of [1], 2"},
        {"{type: integer, enum: [1, 9], const: 9}", "9", ""},
        {NULL, "1", "enum: 1 is not 9"},
        {"{enum: [1e30, 5]}", "1e30", ""},
        {NULL, "5", ""},
        {"{type: [number, string], enum: [9007199254740993]}", "9007199254740993", ""},
        {NULL, "9007199254740992", "enum: 9007199254740992 is not one of 9007199254740993"},
    };
    assert_cases(cases, sizeof cases / sizeof cases[0]);
}

/* One complaint a cell: the first of type, enum and const, range, length, pattern, format. */
static void test_order(void **state)
{
    (void)state;
    static const struct value_case cases[] = {
        {"{type: string, enum: [a], minLength: 5, pattern: z, format: uuid}", "\"b\"",
         "enum: \"b\" is not one of \"a\""},
        {"{type: string, minLength: 5, pattern: z, format: uuid}", "\"b\"",
         "length: \"b\" has 1 character, fewer than 5"},
        {"{type: string, pattern: z, format: uuid}", "\"b\"", "pattern: \"b\" does not match z"},
        {"{type: integer, enum: [1], minimum: 0}", "-5", "enum: -5 is not one of 1"},
        {"{type: integer, minimum: 0, multipleOf: 2}", "-5", "range: -5 is below the minimum 0"},
    };
    assert_cases(cases, sizeof cases / sizeof cases[0]);
}

static void test_details_are_cut(void **state)
{
    (void)state;
    struct fixture fixture;
    open_schema(&fixture,
                "{properties: {v: {type: string, maxLength: 5}, j: {type: [array, string],"
                " maxLength: 5}, n: {type: number}}}");
    uint32_t row = fixture_add(&fixture, "{}");
    size_t size = 10000000;
    uint8_t *text = memory_alloc(size);
    memset(text, 'x', size);
    memcpy(text + 59, "ä", 2);
    text[0] = '"';
    text[size - 1] = '"';
    fixture_set_text(&fixture, "v", row, bytes_of(text, size));
    fixture_set_raw(&fixture, "j", row, bytes_of(text, size));
    fixture_set_misfit(&fixture, "n", row, MISFIT_TYPE, bytes_of(text, size));
    fixture_check(&fixture);
    char expected[1024];
    char xs[59];
    memset(xs, 'x', 58);
    xs[58] = '\0';
    (void)snprintf(expected, sizeof expected,
                   "v schema.length: \"\\\"%s…\" has 9999999 characters, more than 5; "
                   "j schema.length: \"%s… has 9999997 characters, more than 5; "
                   "n schema.type: \"%s… is not a number",
                   xs, xs, xs);
    assert_string_equal(fixture_complaints(&fixture, row), expected);
    memory_free(text);
    fixture_close(&fixture);
}

static void test_misfits(void **state)
{
    (void)state;
    struct fixture fixture;
    open_schema(&fixture, "{properties: {i: {type: integer}, d: {type: number}, o: {type: object,"
                          " properties: {}}}}");
    for (int i = 0; i < 3; i++) {
        (void)fixture_add(&fixture, "{}");
    }
    fixture_set_misfit(&fixture, "i", 0, MISFIT_RANGE, bytes_of_string("9223372036854775808"));
    fixture_set_misfit(&fixture, "d", 0, MISFIT_RANGE, bytes_of_string("1e400"));
    fixture_set_misfit(&fixture, "o", 0, MISFIT_TYPE, bytes_of_string("[1,\n2]"));
    /* Repaired since. */
    fixture_set_misfit(&fixture, "i", 1, MISFIT_TYPE, bytes_of_string("\"5\""));
    fixture.batch->columns[0].cells[1] = CELL_VALUE;
    /* Decided already. */
    fixture_set_misfit(&fixture, "i", 2, MISFIT_TYPE, bytes_of_string("\"5\""));
    fixture.batch->verdicts[2] = VERDICT_LATE;
    fixture_check(&fixture);
    assert_string_equal(fixture_complaints(&fixture, 0),
                        "i schema.range: 9223372036854775808 does not fit into a 64-bit integer; "
                        "d schema.range: 1e400 is beyond the range of a double; "
                        "o schema.type: [1, 2] is not an object");
    assert_string_equal(fixture_complaints(&fixture, 1), "");
    assert_string_equal(fixture_complaints(&fixture, 2), "");
    assert_int_equal(fixture_cell(&fixture, "i", 0), CELL_MISFIT);
    fixture_close(&fixture);
}

static void test_required(void **state)
{
    (void)state;
    struct fixture fixture;
    open_schema(
        &fixture,
        "{required: [a, o], properties: {a: {type: integer}, n: {type: [integer, \"null\"]},"
        " o: {type: [object, \"null\"], required: [x, p], properties: {p: {type: object,"
        " required: [q]}, x: {type: string}}}}}");
    static const struct {
        const char *record;
        const char *complaints;
    } cases[] = {
        {"{\"a\": 1, \"o\": {\"x\": \"\", \"p\": {\"q\": null}}}", ""},
        {"{}", "a schema.required: required, but absent; o schema.required: required, but absent"},
        {"{\"a\": null, \"o\": null}", "a schema.required: required, but absent"},
        {"{\"a\": \"x\", \"o\": 5}",
         "a schema.type: \"x\" is not an integer; o schema.type: 5 is not an object or null"},
        {"{\"a\": 1, \"o\": {}}", "o.p schema.required: required, but absent; o.x schema.required: "
                                  "required, but absent"},
        {"{\"a\": 1, \"o\": {\"x\": null, \"p\": {}}}",
         "o.p.q schema.required: required, but absent; o.x schema.required: required, but absent"},
        {"{\"a\": 1, \"o\": {\"x\": \"\", \"p\": []}}", "o.p schema.type: [] is not an object"},
    };
    size_t count = sizeof cases / sizeof cases[0];
    for (size_t i = 0; i < count; i++) {
        (void)fixture_add(&fixture, cases[i].record);
    }
    uint32_t decided = fixture_add(&fixture, "{}");
    fixture.batch->verdicts[decided] = VERDICT_INVALID;
    fixture_check(&fixture);
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(fixture_complaints(&fixture, i), cases[i].complaints);
    }
    assert_string_equal(fixture_complaints(&fixture, decided), "");
    fixture_close(&fixture);
}

static void test_required_with_fill(void **state)
{
    (void)state;
    struct fixture fixture;
    open_schema(&fixture,
                "{required: [a, b], properties: {a: {type: integer}, b: {type: integer}}}");
    uint32_t row = fixture_add(&fixture, "{}");
    const bool filled[] = {false, true};
    schema_check_required(fixture.checker, fixture.batch, filled);
    batch_sort_violations(fixture.batch);
    assert_string_equal(fixture_complaints(&fixture, row),
                        "a schema.required: required, but absent; "
                        "b repair.no_value: absent, and nothing was found to fill it");
    assert_int_equal(fixture.batch->verdicts[row], VERDICT_NONE);
    fixture_close(&fixture);
}

/* The sieves work in blocks: every row of a batch must be judged as if it stood alone, whatever
 * stands in cells without a value. */
static void test_whole_columns(void **state)
{
    (void)state;
    static const char schema[] =
        "{properties: {i: {type: integer, minimum: 10, maximum: 90}, d: {type: number, minimum: 10,"
        " maximum: 90}, t: {type: string, minLength: 2, maxLength: 4}, e: {type: integer, enum: [1,"
        " 2]}, j: {type: [integer, string], minimum: 10}}}";
    struct prng prng;
    prng_init(&prng, 11);
    struct fixture fixture;
    open_schema(&fixture, schema);
    static const uint32_t row_counts[] = {0, 1, 63, 64, 65, 4095, 4096};
    for (size_t round = 0; round < sizeof row_counts / sizeof row_counts[0]; round++) {
        struct batch *batch = fixture.batch;
        static uint8_t wrong[5][BATCH_ROWS_MAX];
        static char raw[BATCH_ROWS_MAX][8];
        batch_reset(batch, 0, 1);
        for (uint32_t row = 0; row < row_counts[round]; row++) {
            assert_non_null(batch_append_record(batch));
            batch->verdicts[row] = prng_below(&prng, 10) == 0 ? VERDICT_INVALID : VERDICT_NONE;
            for (uint32_t field = 0; field < 5; field++) {
                struct column *column = &batch->columns[field];
                int64_t value = (int64_t)prng_below(&prng, 100) * (prng_below(&prng, 2) == 0);
                value = prng_below(&prng, 8) == 0 ? value : 50;
                bool right = value >= 10 && value <= 90;
                if (field == 0) {
                    column->integers[row] = value;
                } else if (field == 1) {
                    column->reals[row] = (double)value;
                } else if (field == 2) {
                    size_t size = (size_t)value / 10;
                    column->texts[row] = bytes_of("abcdefghij", size);
                    right = size >= 2 && size <= 4;
                } else if (field == 3) {
                    column->integers[row] = value % 4;
                    right = value % 4 == 1 || value % 4 == 2;
                } else {
                    (void)snprintf(raw[row], sizeof raw[row], "%d", (int)value);
                    column->texts[row] = bytes_of_string(raw[row]);
                    right = value >= 10;
                }
                bool present = prng_below(&prng, 4) != 0;
                column->cells[row] = present ? CELL_VALUE : CELL_ABSENT;
                wrong[field][row] = present && !right && batch->verdicts[row] == VERDICT_NONE;
            }
        }
        fixture_check(&fixture);
        uint32_t expected = 0;
        for (uint32_t row = 0; row < row_counts[round]; row++) {
            for (uint32_t field = 0; field < 5; field++) {
                expected += wrong[field][row];
                assert_int_equal(batch->columns[field].cells[row] == CELL_INVALID,
                                 wrong[field][row]);
            }
        }
        assert_int_equal(batch->violation_count, expected);
        assert_true(row_counts[round] < 1000 || expected > 100);
    }
    fixture_close(&fixture);
}

static void test_value_fits(void **state)
{
    (void)state;
    struct fixture fixture;
    open_schema(&fixture,
                "{properties: {i: {type: integer, maximum: 10}, d: {type: [number, \"null\"],"
                " minimum: 9007199254740993}, t: {type: string, format: date}, j: {type: [string,"
                " array], maxLength: 2}, b: {type: boolean}, o: {type: object, properties: {}}}}");
    static const struct {
        uint32_t field;
        struct value value;
        const char *complaint;
    } cases[] = {
        {0, {VALUE_INT64, .integer = 10}, ""},
        {0, {VALUE_INT64, .integer = 11}, "11 is above the maximum 10"},
        {0, {VALUE_DOUBLE, .real = 3.0}, ""},
        {0, {VALUE_DOUBLE, .real = 3.5}, "3.5 is not an integer"},
        {0, {VALUE_DOUBLE, .real = -1e30}, "-1e+30 does not fit into a 64-bit integer"},
        {0, {VALUE_NULL, .integer = 0}, "null is not an integer"},
        {0, {VALUE_TEXT, .text = {(const uint8_t *)"x", 1}}, "\"x\" is not an integer"},
        {0, {VALUE_JSON, .text = {(const uint8_t *)"7", 1}}, ""},
        {1, {VALUE_INT64, .integer = INT64_C(9007199254740993)}, ""},
        {1, {VALUE_NULL, .integer = 0}, ""},
        {1,
         {VALUE_JSON, .text = {(const uint8_t *)"1e400", 5}},
         "1e400 is beyond the range of a double"},
        {2, {VALUE_TEXT, .text = {(const uint8_t *)"2024-01-01", 10}}, ""},
        {2, {VALUE_TEXT, .text = {(const uint8_t *)"2024", 4}}, "\"2024\" is not a date"},
        {3,
         {VALUE_TEXT, .text = {(const uint8_t *)"abc", 3}},
         "\"abc\" has 3 characters, more than 2"},
        {3, {VALUE_JSON, .text = {(const uint8_t *)"[1,2,3]", 7}}, ""},
        {3, {VALUE_BOOL, .boolean = true}, "true is not a string or an array"},
        {4, {VALUE_BOOL, .boolean = true}, ""},
        {4, {VALUE_INT64, .integer = 1}, "1 is not a boolean"},
        {5, {VALUE_JSON, .text = {(const uint8_t *)"{}", 2}}, ""},
        {5, {VALUE_JSON, .text = {(const uint8_t *)"[]", 2}}, "[] is not an object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer detail = {0};
        bool fits = schema_value_fits(fixture.checker, cases[i].field, &cases[i].value, &detail);
        assert_string_equal(buffer_string(&detail), cases[i].complaint);
        assert_int_equal(fits, cases[i].complaint[0] == '\0');
        assert_int_equal(schema_value_fits(fixture.checker, cases[i].field, &cases[i].value, NULL),
                         fits);
        buffer_fini(&detail);
    }
    fixture_close(&fixture);
}

/* A second reading of every record costs as much as all the rest: only where it is asked for. */
static void test_what_columns_say_is_not_read_again(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        bool judges;
    } cases[] = {
        {"{\"properties\": {\"a\": {\"type\": \"integer\"}}, \"required\": [\"a\"]}", false},
        {"{\"properties\": {\"a\": {}}, \"additionalProperties\": true}", false},
        {"{\"properties\": {\"a\": {}}, \"additionalProperties\": false}", false},
        {"{\"properties\": {\"a\": {\"properties\": {\"b\": {\"type\": \"integer\"}},"
         " \"additionalProperties\": true}}}",
         false},
        {"{\"properties\": {\"a\": {}}, \"additionalProperties\": {\"type\": \"integer\"}}", true},
        {"{\"properties\": {\"a\": {}}, \"maxProperties\": 3}", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture fixture;
        struct error err = {0};
        assert_int_equal(fixture_open(&fixture, cases[i].schema, &err), STATUS_OK);
        assert_int_equal(schema_judges_records(fixture.schema), cases[i].judges);
        fixture_close(&fixture);
    }
}

/* Whom nothing is asked of has said something to the one around it. */
static void test_true_evaluates_members(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = {0};
    assert_int_equal(
        fixture_open(&fixture,
                     "{\"properties\": {\"a\": {}}, \"allOf\": [{\"additionalProperties\": true}],"
                     " \"unevaluatedProperties\": false}",
                     &err),
        STATUS_OK);
    uint32_t row = fixture_add(&fixture, "{\"a\": 1, \"b\": 2}");
    fixture_check(&fixture);
    assert_string_equal(fixture_complaints(&fixture, row), "");
    fixture_close(&fixture);
}

/* What no column check can answer, by the reason of each keyword. */
static void test_rests(void **state)
{
    (void)state;
    static const struct value_case cases[] = {
        {"{type: array, minItems: 1, maxItems: 2, items: {type: integer}}", "[1, 2]", ""},
        {NULL, "[]", "length: 0 items, fewer than 1"},
        {NULL, "[1, 2, 3]", "length: 3 items, more than 2"},
        {NULL, "[1, \"x\"]", "type: [1]: \"x\" is not an integer"},
        {"{prefixItems: [true], items: false}", "[1, 2]",
         "items: [1]: the schema lets no item stand here"},
        {"{uniqueItems: true}", "[{\"a\": 1.0}, 2, {\"a\": 1}]", "items: items 0 and 2 are equal"},
        {"{contains: {const: 1}, maxContains: 1}", "[1, 2]", ""},
        {NULL, "[2]", "items: 0 items as `contains` asks for, fewer than 1"},
        {NULL, "[1, 1.0]", "items: 2 items as `contains` asks for, more than 1"},
        {"{anyOf: [{type: string, maxLength: 2}, {type: \"null\"}]}", "\"ab\"", ""},
        {NULL, "null", ""},
        {NULL, "\"abc\"", "length: \"abc\" has 3 characters, more than 2"},
        {NULL, "5", "type: 5 is not a string or null"},
        {"{oneOf: [{type: array, maxItems: 0}, {const: 6}, {const: 7}]}", "5",
         "combination: 5 fits none of the 3 schemas of `oneOf`; of one of them: 5 is not 7"},
        {"{oneOf: [{minimum: 1}, {maximum: 3}]}", "2",
         "combination: 2 fits more than one schema of `oneOf`: number 1 and number 2"},
        {"{not: {type: string}}", "\"x\"", "combination: \"x\" fits what `not` rules out"},
        {NULL, "null", ""},
        {"{not: {type: \"null\"}}", "null", "combination: null fits what `not` rules out"},
        {"false", "1", "unknown_field: the schema lets no such member pass"},
        {"{$ref: \"#/properties/v/$defs/t\", maximum: 5, $defs: {t: {type: integer, minimum: 3}}}",
         "4", ""},
        {NULL, "6", "range: 6 is above the maximum 5"},
        {NULL, "2", "range: 2 is below the minimum 3"},
        {NULL, "\"x\"", "type: \"x\" is not an integer"},
        {"{type: integer, not: {const: 3}}", "3", "combination: 3 fits what `not` rules out"},
        {"{type: [object, string], properties: {a: {type: integer}}, required: [b]}",
         "{\"a\": 1.5, \"b\": 1}", "type: a: 1.5 is not an integer"},
        {NULL, "{\"a\": 1}", "required: b: required, but absent"},
        {NULL, "\"x\"", ""},
        {"{type: object, minProperties: 2, propertyNames: {maxLength: 2}}", "{\"a\": 1}",
         "length: 1 member, fewer than 2"},
        {NULL, "{\"abc\": 1, \"b\": 1}",
         "unknown_field: abc: the name does not fit `propertyNames`: \"abc\" has 3 characters, more "
         "than 2"},
    };
    assert_cases(cases, sizeof cases / sizeof cases[0]);
}

static void assert_record(const char *schema, const char *record, const char *expected)
{
    struct fixture fixture;
    open_schema(&fixture, schema);
    uint32_t row = fixture_add(&fixture, record);
    fixture_check(&fixture);
    const char *found = fixture_complaints(&fixture, row);
    if (strcmp(found, expected) != 0) {
        fail_msg("%s with %s\n  gives    %s\n  expected %s", schema, record, found, expected);
    }
    fixture_close(&fixture);
}

static void test_records(void **state)
{
    (void)state;
    static const char schema[] =
        "{properties: {k: {enum: [a, b]}, t: {type: integer}, o: {type: object,"
        " properties: {x: {type: integer}}, patternProperties: {\"^p\": {type: integer}},"
        " additionalProperties: false}},"
        " if: {properties: {k: {const: a}}, required: [k]}, then: {required: [t]},"
        " dependentRequired: {t: [u]}, unevaluatedProperties: {type: string}}";
    assert_record(schema, "{\"k\": \"b\", \"z\": \"y\", \"o\": {\"x\": 1, \"p\": 2}}", "");
    assert_record(schema, "{\"k\": \"a\"}", "t schema.required: required, but absent");
    assert_record(schema, "{\"t\": 1}", "- schema.required: u: required where \"t\" is, but absent");
    assert_record(schema, "{\"z\": 1}", "- schema.type: z: 1 is not a string");
    assert_record(schema, "{\"o\": {\"p\": \"q\", \"z\": 1}}",
                  "o schema.type: p: \"q\" is not an integer; - schema.unknown_field: o.z");
    /* What a column has said is not said again. */
    assert_record(schema, "{\"k\": \"c\", \"t\": true, \"u\": \"v\"}",
                  "k schema.enum: \"c\" is not one of \"a\", \"b\"; t schema.type: true is not an "
                  "integer");
    assert_record("false", "{}", "- schema.combination: the schema `false` lets nothing pass");
    assert_record("{allOf: [{properties: {a: {minimum: 1}}}, {properties: {a: {maximum: 3}}}]}",
                  "{\"a\": 5}", "a schema.range: 5 is above the maximum 3");
    assert_record("{$id: u, $dynamicAnchor: n, properties: {v: {type: integer}, c: {items:"
                  " {$dynamicRef: \"#n\"}}}, unevaluatedProperties: false}",
                  "{\"v\": 1, \"c\": [{\"v\": \"x\"}, {\"w\": 1}]}",
                  "c schema.type: [0].v: \"x\" is not an integer; - schema.unknown_field: c[1].w");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_columns_say_is_not_read_again),
        cmocka_unit_test(test_true_evaluates_members),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_rests),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_underflow),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_details_are_cut),
        cmocka_unit_test(test_misfits),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_required_with_fill),
        cmocka_unit_test(test_whole_columns),
        cmocka_unit_test(test_value_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
