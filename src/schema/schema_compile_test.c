#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "schema/fixture.h"

/* Compiles, and gives the error as "code line:column message", or "fine". */
static void outcome(const char *schema, char *out, size_t size)
{
    struct fixture fixture;
    struct error err = {0};
    if (fixture_open(&fixture, schema, &err) == STATUS_OK) {
        (void)snprintf(out, size, "fine");
        fixture_close(&fixture);
        return;
    }
    assert_int_equal(err.status, STATUS_CONFIG);
    assert_string_equal(err.file, "s.yaml");
    (void)snprintf(out, size, "%s %u:%u %s", err.code, err.line, err.column, err.message);
}

static const struct {
    const char *schema;
    const char *outcome;
} mistakes[] = {
    {"- a", "schema.keyword_type 1:1 a schema is a map, or true or false, not a list"},
    {"type: array",
     "schema.root_type 1:7 a record is an object: the `type` of the whole is object"},
    {"title: x\nallOf: []", "schema.keyword_value 2:8 `allOf` needs at least one schema"},
    {"anyOf: {}", "schema.keyword_type 1:8 `anyOf` takes a list of schemas, not a map"},
    {"anyOf: [5]", "schema.keyword_type 1:9 a schema is a map, or true or false, not an integer"},
    {"not: 1",
     "schema.keyword_type 1:6 `not` takes a schema (a map, true or false), not an integer"},
    {"properties: {a: {items: [true]}}",
     "schema.keyword_type 1:25 `items` takes a schema (a map, true or false), not a list; a schema "
     "for each position stands in `prefixItems`"},
    {"dependencies: {}", "schema.unknown_keyword 1:1 `dependencies` is not a keyword of JSON Schema "
                         "2020-12: write `dependentRequired` or `dependentSchemas`"},
    {"dependentRequired: {a: b}",
     "schema.keyword_type 1:24 `dependentRequired` takes a list of names, not a string"},
    {"dependentRequired: {a: [b, b]}",
     "schema.keyword_value 1:28 `b` stands twice in `dependentRequired`"},
    {"patternProperties: {\"a(\": true}",
     "schema.bad_pattern 1:21 PCRE2 refuses this pattern at byte 2: missing closing parenthesis"},
    {"minItems: -1", "schema.keyword_value 1:11 `minItems` takes an integer of 0 or more, not -1"},
    {"$vocabulary: {\"https://example.com/mine\": true}",
     "schema.dialect 1:15 the vocabulary 'https://example.com/mine' is none of JSON Schema "
     "2020-12"},
    {"$defs: {a: {minimun: 1}}", "schema.unknown_keyword 1:13 `minimun` is not a keyword of JSON "
                                 "Schema 2020-12: did you mean `minimum`?"},
    {"$anchor: 5x", "schema.keyword_value 1:10 '5x' is no name for an anchor: a letter or _, then "
                    "letters, digits, -, _ and ."},
    {"$id: a#b", "schema.keyword_value 1:6 an `$id` has no fragment: name a place in a schema with "
                 "`$anchor`"},
    {"$defs: {a: {$anchor: x}, b: {$anchor: x}}",
     "schema.keyword_value 1:39 the anchor 'x' stands twice in one schema"},
    {"$defs: {a: {$id: u}, b: {$id: u}}",
     "schema.keyword_value 1:31 two schemas have the `$id` file:///u"},
    {"properties: {a: {$ref: \"#/$defs/b\"}}",
     "schema.unknown_reference 1:24 there is no '#/$defs/b' in s.yaml"},
    {"properties: {a: {$ref: \"#b\"}}",
     "schema.unknown_reference 1:24 there is no '#b' in s.yaml"},
    {"examples: [{a: 1}]\nproperties: {a: {$ref: \"#/examples/0\"}}",
     "schema.unknown_reference 2:24 what '#/examples/0' names is no schema; schemas to refer to "
     "stand in `$defs`"},
    {"properties: {a: {$ref: other.json}}",
     "schema.unknown_reference 1:24 there is no file other.json beside the schema, and nothing "
     "here is called 'other.json'"},
    {"properties: {a: {$ref: \"https://example.com/s.json\"}}",
     "schema.unknown_reference 1:24 nothing here is called 'https://example.com/s.json': a "
     "reference names a schema of this file (by `$id`), or a file beside it or below; nothing is "
     "fetched from the network"},
    {"properties: {a: {$ref: ../other.json}}",
     "schema.unknown_reference 1:24 '../other.json' is not a URI reference that stays in the "
     "schema's folder"},
    {"$ref: \"#\"", "schema.endless_reference 1:1 this schema leads back to itself without a step "
                    "into the value: it could never be answered"},
    {"$defs: {a: {allOf: [{$ref: \"#/$defs/b\"}]}, b: {not: {$ref: \"#/$defs/a\"}}}\n"
     "properties: {x: {$ref: \"#/$defs/a\"}}",
     "schema.endless_reference 1:12 this schema leads back to itself without a step into the "
     "value: it could never be answered"},
    {"properties:\n  a: {minimun: 3}",
     "schema.unknown_keyword 2:7 `minimun` is not a keyword of JSON Schema 2020-12: did you mean "
     "`minimum`?"},
    {"properties:\n  a: {zzzzzzzzzz: 3}",
     "schema.unknown_keyword 2:7 `zzzzzzzzzz` is not a keyword of JSON Schema 2020-12"},
    {"properties: []", "schema.keyword_type 1:13 `properties` takes a map, not a list"},
    {"properties:\n  a:", "schema.keyword_type 2:3 a schema is a map, or true or false, not null"},
    {"properties: {a: {minimum: \"3\"}}",
     "schema.keyword_type 1:27 `minimum` takes a number, not a string"},
    {"properties: {a: {exclusiveMinimum: true}}",
     "schema.keyword_type 1:36 `exclusiveMinimum` takes a number, not true or false"},
    {"properties: {a: {minLength: -1}}",
     "schema.keyword_value 1:29 `minLength` takes an integer of 0 or more, not -1"},
    {"properties: {a: {maxLength: 1.5}}",
     "schema.keyword_value 1:29 `maxLength` takes an integer of 0 or more, not 1.5"},
    {"properties: {a: {maxLength: x}}",
     "schema.keyword_type 1:29 `maxLength` takes an integer of 0 or more, not a string"},
    {"properties: {a: {multipleOf: 0}}",
     "schema.keyword_value 1:30 `multipleOf` takes a number above 0, not 0"},
    {"properties: {a: {multipleOf: -0.5}}",
     "schema.keyword_value 1:30 `multipleOf` takes a number above 0, not -0.5"},
    {"properties: {a: {type: interger}}",
     "schema.unknown_type 1:24 `interger` is not a type: did you mean `integer`?"},
    {"properties: {a: {type: [string, nope]}}",
     "schema.unknown_type 1:33 `nope` is not a type: one of null, boolean, integer, number, "
     "string, array, object"},
    {"properties: {a: {type: [string, null]}}",
     "schema.keyword_type 1:33 a type is a string, not null: write it in quotes, \"null\""},
    {"properties: {a: {type: null}}",
     "schema.keyword_type 1:24 `type` takes a string or a list of strings, not null; write the "
     "type's name in quotes: \"null\""},
    {"properties: {a: {type: []}}", "schema.keyword_value 1:24 `type` needs at least one type"},
    {"properties: {a: {type: [string, string]}}",
     "schema.keyword_value 1:33 `string` stands twice in `type`"},
    {"properties: {a: {pattern: \"a(b\"}}",
     "schema.bad_pattern 1:27 PCRE2 refuses this pattern at byte 3: missing closing parenthesis"},
    {"properties: {a: {pattern: 5}}",
     "schema.keyword_type 1:27 `pattern` takes a string, not an integer"},
    {"pattern: '['", "schema.bad_pattern 1:10 PCRE2 refuses this pattern at byte 1: missing "
                     "terminating ] for character class"},
    {"properties: {a: {format: date_time}}",
     "schema.unknown_format 1:26 `date_time` is not a format: did you mean `date-time`?"},
    {"properties: {a: {format: qqqqqq}}", "schema.unknown_format 1:26 `qqqqqq` is not a format"},
    {"properties: {a: {minimum: 5,\n maximum: 4}}",
     "schema.contradiction 2:11 no value of this type lies between `minimum` 5 and `maximum` 4"},
    {"properties: {a: {exclusiveMinimum: 5, maximum: 5}}",
     "schema.contradiction 1:48 no value of this type lies between `exclusiveMinimum` 5 and "
     "`maximum` 5"},
    {"properties: {a: {minimum: 5, exclusiveMaximum: 5.0}}",
     "schema.contradiction 1:48 no value of this type lies between `minimum` 5 and "
     "`exclusiveMaximum` 5.0"},
    {"properties: {a: {type: integer, minimum: 1.2, maximum: 1.8}}",
     "schema.contradiction 1:56 no value of this type lies between `minimum` 1.2 and `maximum` "
     "1.8"},
    {"properties: {a: {type: integer, exclusiveMinimum: 1, exclusiveMaximum: 2}}",
     "schema.contradiction 1:72 no value of this type lies between `exclusiveMinimum` 1 and "
     "`exclusiveMaximum` 2"},
    {"properties: {a: {minLength: 3, maxLength: 2}}",
     "schema.contradiction 1:43 `maxLength` 2 is below `minLength` 3"},
    {"properties: {a: {enum: []}}", "schema.keyword_value 1:24 `enum` needs at least one value"},
    {"properties: {a: {enum: 5}}", "schema.keyword_type 1:24 `enum` takes a list, not an integer"},
    {"properties: {a: {type: integer, const: [1]}}",
     "schema.contradiction 1:40 no value of `const` is of the field's type"},
    {"properties: {a: {type: integer, enum: [x, 1.5]}}",
     "schema.contradiction 1:39 no value of `enum` is of the field's type"},
    {"required: [a, b, a]", "schema.keyword_value 1:18 `a` stands twice in `required`"},
    {"required: [5]", "schema.keyword_type 1:12 `required` takes a list of names, not an integer"},
    {"required: a", "schema.keyword_type 1:11 `required` takes a list, not a string"},
    {"required: [a]\nadditionalProperties: false",
     "schema.contradiction 1:12 `a` is required, but not among `properties`, and "
     "`additionalProperties` is false"},
    {"additionalProperties: 1", "schema.keyword_type 1:23 `additionalProperties` takes a schema (a "
                                "map, true or false), not an integer"},
    {"properties:\n  a: {type: object, properties: {b: {type: strin}}}",
     "schema.unknown_type 2:44 `strin` is not a type: did you mean `string`?"},
    {"properties: {a.b: true, a: {type: object, properties: {b: true}}}",
     "schema.ambiguous_name 1:56 two fields have the path `a.b`"},
    {"title: 5", "schema.keyword_type 1:8 `title` takes a string, not an integer"},
    {"properties: {a: {readOnly: maybe}}",
     "schema.keyword_type 1:28 `readOnly` takes true or false, not a string"},
};

static void test_mistakes(void **state)
{
    (void)state;
    bool wrong = false;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        char text[1024];
        outcome(mistakes[i].schema, text, sizeof text);
        if (strcmp(text, mistakes[i].outcome) != 0) {
            print_error("%s\n  gives    %s\n  expected %s\n", mistakes[i].schema, text,
                        mistakes[i].outcome);
            wrong = true;
        }
    }
    assert_false(wrong);
}

static void test_accepted(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "{}",
        "type: [object]",
        "true",
        "false",
        "type: [object, \"null\"]",
        "const: 5",
        "properties: {a: false}",
        "additionalProperties: {type: string}",
        "properties: {a: {$ref: \"#\"}}",
        "properties: {a: {type: [object, string], required: [b]}}",
        "{contentEncoding: base64, contentMediaType: text/plain, contentSchema: {type: array}}",
        "$vocabulary: {\"https://json-schema.org/draft/2020-12/vocab/core\": true, x:y: false}",
        "{$schema: https://json-schema.org/draft/2020-12/schema, $id: x, $comment: c, title: t,"
        " description: d, default: {}, examples: [1], deprecated: false, readOnly: true,"
        " writeOnly: false, type: object}",
        "properties: {a: {type: integer, minimum: 5, maximum: 5}}",
        "properties: {a: {type: integer, minimum: 1e30}}",
        "properties: {a: {type: integer, maximum: -1e30, minimum: -1e31}}",
        "properties: {a: {minLength: 2.0, maxLength: 1e30}}",
        "properties: {a: {type: string, minimum: 5}}",
        "properties: {a: {additionalProperties: true, required: []}}",
        "properties: {a: {enum: [1, x, null, true]}, b: {const: null}}",
        "minimum: 3",
        "properties: {\"\": true, \"a.b\": true}",
    };
    for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++) {
        char text[1024];
        outcome(schemas[i], text, sizeof text);
        if (strcmp(text, "fine") != 0) {
            fail_msg("%s gives %s", schemas[i], text);
        }
    }
}

/* "path:type" of all fields, with ? where null is a value, ! where required, = where the object
 * is closed, and the parent's path behind <. */
static void describe(const struct schema *schema, struct buffer *out)
{
    static const char *const types[] = {"bool", "int64", "double", "text", "json", "object"};
    const struct layout *layout = schema_layout(schema);
    buffer_clear(out);
    buffer_append_string(out, layout->closed ? "=" : "");
    for (uint32_t i = 0; i < layout->field_count; i++) {
        const struct field *field = &layout->fields[i];
        const char *parent = field->parent == FIELD_NONE ? "" : layout->fields[field->parent].path;
        buffer_printf(out, "%s%s%s:%s%s%s%s%s%s", i == 0 ? "" : " ",
                      i == layout->schema_field_count ? "+ " : "", field->path, types[field->type],
                      field->nullable ? "?" : "", schema_is_required(schema, i) ? "!" : "",
                      field->closed ? "=" : "", parent[0] != '\0' ? "<" : "", parent);
    }
}

static void assert_layout(const char *text, const char *const *extra, uint32_t extra_count,
                          const char *expected)
{
    struct arena *arena = arena_new(4096);
    struct error err = {0};
    struct doc *document = NULL;
    struct schema *schema = NULL;
    struct buffer found = {0};
    assert_int_equal(doc_parse(arena, "s.yaml", bytes_of_string(text), NULL, &document, &err), 0);
    if (schema_compile(arena, document, NULL, extra, extra_count, &schema, &err) != STATUS_OK) {
        fail_msg("%s: %s", err.code, err.message);
    }
    describe(schema, &found);
    assert_string_equal(buffer_string(&found), expected);
    buffer_fini(&found);
    arena_free(arena);
}

static void test_layout(void **state)
{
    (void)state;
    assert_layout("{}", NULL, 0, "");
    assert_layout("additionalProperties: false", NULL, 0, "=");
    assert_layout(
        "{properties: {b: {type: boolean}, i: {type: integer}, d: {type: number},"
        " m: {type: [integer, number]}, s: {type: string}, a: {type: array},"
        " o: {type: object}, n: {type: \"null\"}, any: {}, t: true}}",
        NULL, 0, "b:bool i:int64 d:double m:double s:text a:json o:json n:json? any:json? t:json?");
    assert_layout("{properties: {s: {type: [string, \"null\"]}, u: {type: [string, integer]},"
                  " v: {type: [\"null\", string, integer]}, w: {type: [integer]}}}",
                  NULL, 0, "s:text? u:json v:json? w:int64");
    assert_layout(
        "{properties: {a: {enum: [1, 2.0, 1e3]}, b: {enum: [1, 2.5]}, c: {enum: [x, null]},"
        " d: {const: true}, e: {enum: [1, x]}, f: {const: null}, g: {const: 1e30}}}",
        NULL, 0, "a:int64 b:double c:text? d:bool e:json? f:json? g:double");
    assert_layout(
        "type: object\n"
        "required: [x, l]\n"
        "properties:\n"
        "  l:\n"
        "    type: object\n"
        "    additionalProperties: false\n"
        "    required: [lat]\n"
        "    properties:\n"
        "      lat: {type: number}\n"
        "      in: {type: [object, \"null\"], required: [y]}\n"
        "  z: {type: object, additionalProperties: false}\n",
        NULL, 0, "l:object!= l.lat:double!<l l.in:object?<l l.in.y:json?!<l.in z:object= x:json?!");
}

/* What $ref and allOf lead to are fields; what only may hold is none. */
static void test_layout_of_references(void **state)
{
    (void)state;
    assert_layout("{allOf: [{$ref: \"#/$defs/base\"}, {required: [z], properties: {b: {type: string}}}],"
                  " properties: {a: {$ref: \"#/$defs/t\"}, b: {minLength: 2}},"
                  " anyOf: [{properties: {no: true}}], then: {properties: {no: true}},"
                  " $defs: {t: {type: number}, base: {type: object, required: [id],"
                  " properties: {id: {type: integer}, o: {$ref: \"#/$defs/o\"}}},"
                  " o: {type: object, properties: {x: {type: boolean}}}}}",
                  NULL, 0, "a:double b:text id:int64! o:object o.x:bool<o z:json?!");
    assert_layout("{properties: {n: {anyOf: [{type: integer}, {type: \"null\"}]},"
                  " m: {oneOf: [{const: a}, {type: string, minLength: 3}]},"
                  " s: {allOf: [{type: [string, integer]}, {type: [integer, boolean]}]},"
                  " f: false, e: {not: {type: string}}, j: {type: object, items: true}}}",
                  NULL, 0, "n:int64? m:text s:int64 f:json e:json? j:json");
    /* A tree ends where it begins anew. */
    assert_layout("{type: object, properties: {v: {type: integer}, next: {$ref: \"#\"}}}", NULL, 0,
                  "v:int64 next:json");
    assert_layout("{$ref: \"#/$defs/n\", $defs: {n: {type: object, additionalProperties: false,"
                  " properties: {v: true, l: {type: object, properties: {r: {$ref: \"#/$defs/n\"}}}}}}}",
                  NULL, 0, "=v:json? l:object l.r:json<l");
}

/* Schemas that are flat need no judge; the others do. */
static void test_flat(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        bool judges;
    } cases[] = {
        {"{type: object, required: [a], properties: {a: {type: integer, minimum: 1}},"
         " additionalProperties: false}",
         false},
        {"{allOf: [{$ref: \"#/$defs/b\"}, {type: object, properties: {c: true}}],"
         " $defs: {b: {type: object, required: [d]}}}",
         false},
        {"{properties: {a: {anyOf: [true]}, o: {type: object, properties: {x: {not: false}}}}}",
         false},
        {"{minProperties: 1}", true},
        {"{properties: {o: {type: object, properties: {x: true}, minProperties: 1}}}", true},
        {"{allOf: [{properties: {a: true}, additionalProperties: false}, {required: [a]}]}", true},
        {"{if: true, then: {required: [a]}}", true},
        {"false", true},
        {"true", false},
        {"{enum: [{}]}", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture fixture;
        struct error err = {0};
        if (fixture_open(&fixture, cases[i].schema, &err) != STATUS_OK) {
            fail_msg("%s: %s", cases[i].schema, err.message);
        }
        if (schema_judges_records(fixture.schema) != cases[i].judges) {
            fail_msg("%s", cases[i].schema);
        }
        fixture_close(&fixture);
    }
}

static void test_extra_names(void **state)
{
    (void)state;
    static const char schema[] =
        "{properties: {l: {type: object, properties: {lat: {type: number}}}}}";
    static const char *const names[] = {"note", "l.lat", "l.note", "l", "note"};
    assert_layout(schema, names, 5, "l:object l.lat:double<l + note:json? l.note:json?<l");
    struct arena *arena = arena_new(4096);
    struct error err = {0};
    struct doc *document = NULL;
    struct schema *compiled = NULL;
    assert_int_equal(doc_parse(arena, "s", bytes_of_string(schema), NULL, &document, &err), 0);
    static const char *const refused[] = {"k.x", "l.lat.x", "l.a.b", ".x"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        error_clear(&err);
        assert_int_equal(schema_compile(arena, document, NULL, &refused[i], 1, &compiled, &err),
                         STATUS_CONFIG);
        assert_string_equal(err.code, "schema.no_such_object");
    }
    assert_null(compiled);
    arena_free(arena);
}

static void test_formats(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = {0};
    assert_int_equal(
        fixture_open(&fixture, "{properties: {t: {type: string, format: date-time}, u: {}}}", &err),
        STATUS_OK);
    assert_string_equal(schema_format(fixture.schema, 0), "date-time");
    assert_null(schema_format(fixture.schema, 1));
    fixture_close(&fixture);
}

/* A name may hold NUL bytes; its path is for people. */
static void test_names_with_nul(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = {0};
    assert_int_equal(fixture_open(&fixture,
                                  "{\"properties\": {\"a\\u0000b\": true, \"a\\u0000c\": true}}",
                                  &err),
                     STATUS_OK);
    const struct field *field = &schema_layout(fixture.schema)->fields[1];
    assert_int_equal(field->name_size, 3);
    assert_memory_equal(field->name, "a\0c", 3);
    assert_string_equal(field->path, "a\\u0000c");
    fixture_close(&fixture);
}

/* {"properties": {"o": {"type": "object", "properties": …}}} to that depth of objects. */
static struct doc *nested(struct arena *arena, uint32_t depth)
{
    struct doc *inner = NULL;
    struct error err = {0};
    assert_int_equal(doc_parse(arena, "s", bytes_of_string("{type: object, properties: {}}"), NULL,
                               &inner, &err),
                     0);
    for (uint32_t i = 0; i < depth; i++) {
        struct doc *outer = NULL;
        assert_int_equal(doc_parse(arena, "s",
                                   bytes_of_string("{type: object, properties: {o: true}}"), NULL,
                                   &outer, &err),
                         0);
        outer->items[1]->items[0] = inner;
        inner = outer;
    }
    return inner;
}

static void test_limits(void **state)
{
    (void)state;
    struct arena *arena = arena_new(64 * 1024);
    struct error err = {0};
    struct schema *schema = NULL;
    assert_int_equal(schema_compile(arena, nested(arena, 31), NULL, NULL, 0, &schema, &err), STATUS_OK);
    assert_int_equal(schema_compile(arena, nested(arena, 32), NULL, NULL, 0, &schema, &err),
                     STATUS_CONFIG);
    assert_string_equal(err.code, "schema.too_deep");
    for (uint32_t count = 4000; count <= 4001; count++) {
        struct buffer text = {0};
        struct doc *document = NULL;
        error_clear(&err);
        buffer_append_string(&text, "{\"properties\": {");
        for (uint32_t i = 0; i < count; i++) {
            buffer_printf(&text, "%s\n\"f%u\": {\"type\": \"integer\"}", i == 0 ? "" : ",", i);
        }
        buffer_append_string(&text, "}}");
        assert_int_equal(
            doc_parse(arena, "s", bytes_of(text.data, text.size), NULL, &document, &err),
            STATUS_OK);
        enum status status = schema_compile(arena, document, NULL, NULL, 0, &schema, &err);
        assert_int_equal(status, count == 4000 ? STATUS_OK : STATUS_CONFIG);
        buffer_fini(&text);
    }
    assert_string_equal(err.code, "schema.too_many_fields");
    assert_int_equal(err.line, 4002);
    assert_int_equal(err.column, 1);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_layout),   cmocka_unit_test(test_extra_names),
        cmocka_unit_test(test_layout_of_references), cmocka_unit_test(test_flat),
        cmocka_unit_test(test_formats),  cmocka_unit_test(test_names_with_nul),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
