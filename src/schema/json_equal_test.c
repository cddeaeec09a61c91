#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "schema/json_equal.h"

static bool equal(const char *a, const char *b)
{
    struct buffer forms[2] = {{0}, {0}};
    json_equal_form(bytes_of_string(a), &forms[0]);
    json_equal_form(bytes_of_string(b), &forms[1]);
    bool same = forms[0].size == forms[1].size &&
                memcmp(forms[0].data, forms[1].data, forms[0].size) == 0;
    buffer_fini(&forms[0]);
    buffer_fini(&forms[1]);
    return same;
}

/* `a` as the schema file has it. */
static bool equal_doc(const char *a, const char *b)
{
    struct arena *arena = arena_new(4096);
    struct error err = {0};
    struct doc *node = NULL;
    struct buffer forms[2] = {{0}, {0}};
    assert_int_equal(doc_parse(arena, "s", bytes_of_string(a), NULL, &node, &err), STATUS_OK);
    assert_int_equal(json_equal_form_of_doc(node, &forms[0], &err), STATUS_OK);
    json_equal_form(bytes_of_string(b), &forms[1]);
    bool same = forms[0].size == forms[1].size &&
                memcmp(forms[0].data, forms[1].data, forms[0].size) == 0;
    buffer_fini(&forms[0]);
    buffer_fini(&forms[1]);
    arena_free(arena);
    return same;
}

static const char *const same[][2] = {
    {"[]", " [ ] "},
    {"{}", "{ }"},
    {"[1,2.5,\"a\"]", "[ 1.0 , 25e-1,\t\"\\u0061\" ]"},
    {"[-0.0, 1e400]", "[0, 2e400]"},
    {"[9007199254740993]", "[9007199254740993.0]"},
    {"{\"a\":1,\"b\":{\"c\":[null,true,false]}}", "{\"b\":{\"c\":[null,true,false]},\"a\":1e0}"},
    {"{\"bb\":1,\"a\":2}", "{\"a\":2,\"bb\":1}"},
    {"{\"\":1,\"\\\"\":2}", "{\"\\u0022\":2,\"\":1}"},
    {"{\"a\":[],\"a\":1}", "{\"a\":1}"},
    {"[\"]\",\"}\\\\\",\"\\\"\"]", "[\"\\u005d\",\"\\u007d\\u005c\",\"\\u0022\"]"},
};

static const char *const different[][2] = {
    {"[]", "{}"},
    {"[]", "[[]]"},
    {"[1]", "[1,1]"},
    {"[1,2]", "[2,1]"},
    {"[1]", "[\"1\"]"},
    {"[1]", "[true]"},
    {"[0]", "[false]"},
    {"[null]", "[false]"},
    {"[null]", "[]"},
    {"[[1],2]", "[[1,2]]"},
    {"[9007199254740993]", "[9007199254740992]"},
    {"[1.5]", "[1.25]"},
    {"{\"a\":1}", "{\"a\":2}"},
    {"{\"a\":1}", "{\"b\":1}"},
    {"{\"a\":1}", "{\"a\":1,\"b\":1}"},
    {"{\"a\":{\"b\":1}}", "{\"a\":{},\"b\":1}"},
    {"[\"\"]", "[\"\\u0000\"]"},
    {"{\"a\":1,\"a\":2}", "{\"a\":1}"},
};

static void test_equal(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        print_message("%s\n", same[i][0]);
        assert_true(equal(same[i][0], same[i][1]));
        assert_true(equal(same[i][1], same[i][0]));
    }
    for (size_t i = 0; i < sizeof different / sizeof different[0]; i++) {
        print_message("%s\n", different[i][0]);
        assert_false(equal(different[i][0], different[i][1]));
    }
}

static void test_documents(void **state)
{
    (void)state;
    assert_true(equal_doc("{b: [1, 2.5, ~, true, x], a: {}}",
                          "{\"a\":{},\"b\":[1.0,2.5,null,true,\"x\"]}"));
    assert_true(equal_doc("[0x1F, \"1\"]", "[31, \"1\"]"));
    assert_false(equal_doc("[1]", "[\"1\"]"));
}

/* As deep as a pipeline may allow records to be. */
static void test_deep(void **state)
{
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i < 1000; i++) {
        buffer_append_string(&text, i % 2 == 0 ? "[" : "{\"a\":");
    }
    for (int i = 999; i >= 0; i--) {
        buffer_append_string(&text, i % 2 == 0 ? "]" : i == 999 ? "1}" : "}");
    }
    assert_true(equal(buffer_string(&text), buffer_string(&text)));
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
