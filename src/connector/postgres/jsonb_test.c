#include "connector/postgres/jsonb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Held against a real server by test/postgres/test_jsonb.py; here is what that server said. */
static const char *const pairs[][2] = {
    {"{}", "{}"},
    {" [ ] ", "[]"},
    {"[1,2 , \"a\"]", "[1, 2, \"a\"]"},
    {"{\"bb\":1,\"a\":{\"c\":[]},\"C\":null}", "{\"C\": null, \"a\": {\"c\": []}, \"bb\": 1}"},
    {"{\"a\":1,\"b\":2,\"a\":[3]}", "{\"a\": [3], \"b\": 2}"},
    {"{\"\":1}", "{\"\": 1}"},
    {"1.50e1", "15.0"},
    {"1e-3", "0.001"},
    {"12.5e-3", "0.0125"},
    {"-0", "0"},
    {"-0.00", "0.00"},
    {"0e200000", "0"},
    {"-1.0E+2", "-100"},
    {"0.00120", "0.00120"},
    {"\"\\u00e9\\/\\ud83d\\ude00\\u001f\\u0008\"", "\"\u00e9/\U0001f600\\u001f\\b\""},
    {"\"\x7f\"", "\"\x7f\""},
};

static void test_what_the_server_shows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct buffer out = {0};
        assert_true(jsonb_write(bytes_of_string(pairs[i][0]), &out));
        assert_string_equal(buffer_string(&out), pairs[i][1]);
        buffer_fini(&out);
    }
}

static void test_what_cannot_be_stored(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\"\\u0000\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "1e131072", "1e-16384",
        "0e-16384", "0e1073741824", "1e99999999999999999999", "", "[", "[1,]", "{\"a\"}", "\"", "\"\\",
        "\"\\u00", "1 2", "truE", "-", "1e", "{\"a\":1,}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buffer out = {0};
        buffer_append_string(&out, "as it was");
        assert_false(jsonb_write(bytes_of_string(texts[i]), &out));
        assert_string_equal(buffer_string(&out), "as it was");
        buffer_fini(&out);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    struct buffer text = {0};
    struct buffer out = {0};
    for (uint32_t i = 0; i <= JSONB_DEPTH_MOST; i++) {
        buffer_append_byte(&text, '[');
    }
    assert_false(jsonb_write(bytes_of(text.data, text.size), &out));
    buffer_clear(&text);
    for (int i = 0; i < 129; i++) {
        buffer_append_string(&text, i == 0 ? "[1e131071" : ",1e131071");
    }
    buffer_append_byte(&text, ']');
    assert_false(jsonb_write(bytes_of(text.data, text.size), &out));
    assert_true(jsonb_write(bytes_of_string("1e131071"), &out));
    assert_int_equal(out.size, 131072);
    buffer_fini(&text);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_server_shows),
        cmocka_unit_test(test_what_cannot_be_stored),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
