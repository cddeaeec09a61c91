#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "codec/json_generate.h"
#include "codec/json_reference.h"

struct edit_case {
    const char *record;
    /* "path=json" sets, "path" removes, with "!" before it: known to be absent; blanks between. */
    const char *edits;
    const char *expected;
};

static uint32_t edits_parse(const char *text, char room[512], struct json_edit edits[16])
{
    uint32_t count = 0;
    snprintf(room, 512, "%s", text);
    char *rest = NULL;
    for (char *word = strtok_r(room, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        struct json_edit *edit = &edits[count++];
        *edit = (struct json_edit){.absent = *word == '!', .replacement = BYTES_NONE};
        word += edit->absent;
        char *equals = strchr(word, '=');
        if (equals != NULL) {
            *equals = '\0';
            edit->replacement = bytes_of_string(equals + 1);
        }
        edit->field = layout_find(&row_layout_open, word);
        assert_true(edit->field != FIELD_NONE);
    }
    return count;
}

static void expect_edits(const struct edit_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char room[512];
        struct json_edit edits[16];
        uint32_t edit_count = edits_parse(cases[i].edits, room, edits);
        struct buffer out = {0};
        buffer_append_string(&out, "before ");
        /* No memory behind the record belongs to it. */
        size_t size = strlen(cases[i].record);
        uint8_t *exact = memory_alloc(size);
        memcpy(exact, cases[i].record, size);
        json_apply_edits(&row_layout_open, bytes_of(exact, size), edits, edit_count, &out);
        memory_free(exact);
        assert_string_equal(buffer_string(&out) + 7, cases[i].expected);
        assert_memory_equal(out.data, "before ", 7);
        buffer_fini(&out);
    }
}

static void test_replace(void **state)
{
    (void)state;
    static const struct edit_case cases[] = {
        {"{\"i\":1}", "", "{\"i\":1}"},
        {" { \"i\" : 1 } \n", "", " { \"i\" : 1 } \n"},
        {"{\"i\":1}", "i=2", "{\"i\":2}"},
        {" { \"i\" : 1 , \"d\" : 2 } ", "i=\"x\"", " { \"i\" : \"x\" , \"d\" : 2 } "},
        {"{\"i\":1,\"d\":2,\"s\":\"t\"}", "d=null s=[1] i=0", "{\"i\":0,\"d\":null,\"s\":[1]}"},
        {"{\"\\u0069\":1}", "i=2", "{\"\\u0069\":2}"},
        {"{\"\\u0069x\":1,\"i\":3}", "i=2", "{\"\\u0069x\":1,\"i\":2}"},
        {"{\"s\":\"a\\\"}b\\\\\",\"i\":1}", "i=2", "{\"s\":\"a\\\"}b\\\\\",\"i\":2}"},
        {"{\"j\":{\"i\":1,\"x\":[\"}\"]},\"i\":true }", "i=2",
         "{\"j\":{\"i\":1,\"x\":[\"}\"]},\"i\":2 }"},
        {"{\"j\":[1,[2,{\"a\":\"]\"}]],\"i\":-1.5e+3}", "j=7 i=8", "{\"j\":7,\"i\":8}"},
        {"{\"o\":{\"x\":1,\"p\":{\"q\":2}},\"x\":3}", "o.x=9 o.p.q=8",
         "{\"o\":{\"x\":9,\"p\":{\"q\":8}},\"x\":3}"},
        {"{\"\\u006f\":{\"\\u0078\":1}}", "o.x=9", "{\"\\u006f\":{\"\\u0078\":9}}"},
        {"{\"o\":{\"x\":1}}", "o={}", "{\"o\":{}}"},
        {"{\"o\":{\"x\":1}}", "o.x=5 o={}", "{\"o\":{}}"},
        {"{\"i\":1,\"i\":2}", "i=3", "{\"i\":3,\"i\":3}"},
        {"{\"\":{\"i\":1},\"i\":2}", "i=3", "{\"\":{\"i\":1},\"i\":3}"},
    };
    expect_edits(cases, sizeof cases / sizeof cases[0]);
}

static void test_remove(void **state)
{
    (void)state;
    static const struct edit_case cases[] = {
        {"{\"i\":1}", "i", "{}"},
        {"{ \"i\":1 }", "i", "{  }"},
        {"{\"i\":1,\"d\":2}", "i", "{\"d\":2}"},
        {"{\"i\":1,\"d\":2}", "d", "{\"i\":1}"},
        {"{ \"i\":1 , \"d\":2 , \"s\":\"\" }", "i", "{ \"d\":2 , \"s\":\"\" }"},
        {"{ \"i\":1 , \"d\":2 , \"s\":\"\" }", "d", "{ \"i\":1 , \"s\":\"\" }"},
        {"{ \"i\":1 , \"d\":2 , \"s\":\"\" }", "s", "{ \"i\":1 , \"d\":2 }"},
        {"{\"i\":1,\"d\":2,\"s\":3}", "i d", "{\"s\":3}"},
        {"{\"i\":1,\"d\":2,\"s\":3}", "d s", "{\"i\":1}"},
        {"{\"i\":1,\"d\":2,\"s\":3}", "i s", "{\"d\":2}"},
        {"{\"i\":1,\"d\":2,\"s\":3}", "i d s", "{}"},
        {"{\"i\":1,\"d\":2,\"s\":3}", "s=4 i", "{\"d\":2,\"s\":4}"},
        {"{\"i\":1,\"d\":2,\"i\":3}", "i", "{\"d\":2}"},
        {"{\"i\":1,\"i\":3}", "i", "{}"},
        {"{\"d\":2}", "i", "{\"d\":2}"},
        {"{\"d\":2}", "!i", "{\"d\":2}"},
        {"{\"o\":{\"x\":1,\"y\":2}}", "o.x", "{\"o\":{\"y\":2}}"},
        {"{\"o\":{\"x\":1}}", "o.x", "{\"o\":{}}"},
        {"{\"o\":{\"p\":{\"q\":1}},\"i\":1}", "o.p.q i", "{\"o\":{\"p\":{}}}"},
        {"{\"o\":{\"p\":{\"q\":1}},\"i\":1}", "o", "{\"i\":1}"},
        {"{\"o\":[{\"x\":1}]}", "o.x", "{\"o\":[{\"x\":1}]}"},
    };
    expect_edits(cases, sizeof cases / sizeof cases[0]);
}

static void test_add(void **state)
{
    (void)state;
    static const struct edit_case cases[] = {
        {"{}", "i=1", "{\"i\":1}"},
        {"{}", "!i=1", "{\"i\":1}"},
        {" { } ", "i=1 d=2", " { \"i\":1,\"d\":2} "},
        {" { } ", "!i=1 !d=2", " { \"i\":1,\"d\":2} "},
        {"{\"s\":\"{\"}", "i=1", "{\"s\":\"{\",\"i\":1}"},
        {"{\"s\":\"{\"}", "!i=1", "{\"s\":\"{\",\"i\":1}"},
        {"{\"s\":\"\" }\n", "i=1 d=2", "{\"s\":\"\" ,\"i\":1,\"d\":2}\n"},
        {"{\"s\":\"\" }\n", "!i=1 !d=2 !b", "{\"s\":\"\" ,\"i\":1,\"d\":2}\n"},
        {"{\"j\":{}}", "!i=1", "{\"j\":{},\"i\":1}"},
        {"{\"j\":{ } }", "!i=1", "{\"j\":{ } ,\"i\":1}"},
        {"{\"i\":1}", "i=2 !d=3", "{\"i\":2,\"d\":3}"},
        {"{\"i\":1}", "i !d=3", "{\"d\":3}"},
        {"{\"i\":1,\"s\":2}", "s d=3", "{\"i\":1,\"d\":3}"},
        {"{\"o\":{}}", "o.x=1", "{\"o\":{\"x\":1}}"},
        {"{\"o\":{}}", "!o.x=1", "{\"o\":{\"x\":1}}"},
        {"{\"o\":{\"y\":2}}", "o.x=1 i=5", "{\"o\":{\"y\":2,\"x\":1},\"i\":5}"},
        {"{\"o\":{\"y\":2}}", "!o.x=1 !i=5", "{\"o\":{\"y\":2,\"x\":1},\"i\":5}"},
        {"{\"o\":{\"y\":2}}", "o.p.q=1", "{\"o\":{\"y\":2}}"},
        {"{}", "o.x=1", "{}"},
        {"{\"o\":null}", "o.x=1", "{\"o\":null}"},
        {"{\"o\":{},\"o\":{}}", "o.x=1", "{\"o\":{\"x\":1},\"o\":{\"x\":1}}"},
    };
    expect_edits(cases, sizeof cases / sizeof cases[0]);
}

/* A name that needs escapes is written with them. */
static void test_names_are_escaped(void **state)
{
    (void)state;
    static struct field fields[] = {
        {.name = "a\"\0b", .name_size = 4, .path = "?", .type = COLUMN_JSON, .parent = FIELD_NONE},
    };
    static const struct layout layout = {.fields = fields, .field_count = 1};
    struct json_edit edit = {.field = 0, .replacement = bytes_of_string("1")};
    struct buffer out = {0};
    json_apply_edits(&layout, bytes_of_string("{\"a\\u0022\\u0000b\":0}"), &edit, 1, &out);
    buffer_append_byte(&out, ' ');
    json_apply_edits(&layout, bytes_of_string("{}"), &edit, 1, &out);
    assert_string_equal(buffer_string(&out), "{\"a\\u0022\\u0000b\":1} {\"a\\\"\\u0000b\":1}");
    buffer_fini(&out);
}

/* Many edits: more than fit on the stack. */
static void test_many_edits(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    struct field fields[COUNT];
    char names[COUNT][8];
    struct json_edit edits[COUNT];
    struct buffer record = {0};
    struct buffer expected = {0};
    buffer_append_byte(&record, '{');
    buffer_append_byte(&expected, '{');
    for (uint32_t i = 0; i < COUNT; i++) {
        int size = snprintf(names[i], sizeof names[i], "n%u", i);
        fields[i] = (struct field){.name = names[i],
                                   .name_size = (uint32_t)size,
                                   .path = names[i],
                                   .type = COLUMN_JSON,
                                   .parent = FIELD_NONE};
        edits[i] = (struct json_edit){.field = i, .replacement = bytes_of_string("7")};
        buffer_printf(&record, "%s\"n%u\":%u", i == 0 ? "" : ",", i, i);
        buffer_printf(&expected, "%s\"n%u\":7", i == 0 ? "" : ",", i);
    }
    buffer_append_byte(&record, '}');
    buffer_append_byte(&expected, '}');
    struct layout layout = {.fields = fields, .field_count = COUNT};
    struct buffer out = {0};
    json_apply_edits(&layout, bytes_of(record.data, record.size), edits, COUNT, &out);
    assert_string_equal(buffer_string(&out), buffer_string(&expected));
    buffer_fini(&record);
    buffer_fini(&expected);
    buffer_fini(&out);
}

static bool is_edited(uint32_t field, const struct json_edit *edits, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t f = field; f != FIELD_NONE; f = row_layout_open.fields[f].parent) {
            if (edits[i].field == f) {
                return true;
            }
        }
    }
    return false;
}

/* After random edits the record decodes to the edited cells, and to what it was everywhere else.
 * Objects hold their members' text, so only the leaves are compared. */
static void check_edited(struct bytes before, struct bytes after, const struct json_edit *edits,
                         uint32_t count)
{
    struct json_options options = {.repeated_key = JSON_REPEATED_KEY_LAST};
    struct json_decoder *decoder = json_decoder_new(&row_layout_open, &options);
    struct batch *batch = batch_new(&row_layout_open);
    batch_append_record(batch)->value = before;
    batch_append_record(batch)->value = after;
    json_decode(decoder, batch);
    assert_int_equal(batch->verdicts[0], VERDICT_NONE);
    assert_int_equal(batch->verdicts[1], VERDICT_NONE);
    for (uint32_t i = 0; i < row_layout_open.field_count; i++) {
        if (row_fields[i].type == COLUMN_OBJECT || is_edited(i, edits, count)) {
            continue;
        }
        const struct misfit *was = batch_find_misfit(batch, i, 0);
        const struct misfit *is = batch_find_misfit(batch, i, 1);
        assert_int_equal(batch->columns[i].cells[0], batch->columns[i].cells[1]);
        if (was == NULL) {
            struct value a = batch_value(batch, i, 0);
            struct value b = batch_value(batch, i, 1);
            assert_true(value_equal(&a, &b));
        } else {
            assert_true(bytes_equal(was->raw, is->raw));
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t field = edits[i].field;
        uint32_t parent = row_fields[field].parent;
        if (parent != FIELD_NONE && is_edited(parent, edits, count)) {
            continue; /* The object's own edit counts. */
        }
        bool has_object = parent == FIELD_NONE || batch->columns[parent].cells[1] == CELL_VALUE;
        if (!has_object || bytes_is_none(edits[i].replacement)) {
            assert_int_equal(batch->columns[field].cells[1], CELL_ABSENT);
        } else if (row_fields[field].type == COLUMN_JSON) {
            struct value value = batch_value(batch, field, 1);
            assert_true(bytes_equal(value.text, edits[i].replacement));
        } else {
            assert_int_not_equal(batch->columns[field].cells[1], CELL_ABSENT);
        }
    }
    batch_free(batch);
    json_decoder_free(decoder);
}

static void test_random_edits(void **state)
{
    (void)state;
    static const char *const values[] = {"1", "\"x\"", "{\"x\":2}", "[true]", "-0.5e1", "false"};
    struct prng prng;
    prng_init(&prng, 77);
    struct generator g = {.repeats = true};
    for (uint64_t round = 0; round < 1500; round++) {
        prng_init(&g.shape, round);
        prng_init(&g.values, round);
        struct bytes before = generate_record(&g, 0);
        struct json_edit edits[12];
        uint32_t count = 0;
        for (uint32_t field = 0; field < row_layout_open.field_count; field++) {
            if (chance(&prng, 25)) {
                edits[count++] = (struct json_edit){
                    .field = field,
                    .replacement = chance(&prng, 40)
                                       ? BYTES_NONE
                                       : bytes_of_string(values[prng_below(&prng, 6)]),
                };
            }
        }
        struct buffer out = {0};
        json_apply_edits(&row_layout_open, before, edits, count, &out);
        assert_true(json_is_valid(bytes_of(out.data, out.size), 0));
        check_edited(before, bytes_of(out.data, out.size), edits, count);
        buffer_fini(&out);
    }
    buffer_fini(&g.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace),    cmocka_unit_test(test_remove),
        cmocka_unit_test(test_add),        cmocka_unit_test(test_names_are_escaped),
        cmocka_unit_test(test_many_edits), cmocka_unit_test(test_random_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
