#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "schema/json_cell.h"

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        enum json_kind kind;
    } cases[] = {
        {"null", JSON_KIND_NULL},    {"true", JSON_KIND_BOOL},  {"false", JSON_KIND_BOOL},
        {"-1", JSON_KIND_NUMBER},    {"0.5", JSON_KIND_NUMBER}, {"\"null\"", JSON_KIND_STRING},
        {"[null]", JSON_KIND_ARRAY}, {"{}", JSON_KIND_OBJECT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(json_cell_kind(bytes_of_string(cases[i].raw)), cases[i].kind);
    }
}

static void test_text(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        struct bytes text;
    } cases[] = {
#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}
        {"\"\"", TEXT("")},
        {"\"plain ä\"", TEXT("plain ä")},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", TEXT("\"\\/\b\f\n\r\t")},
        {"\"a\\u0000b\"", TEXT("a\0b")},
        {"\"\\u00e4\\u20AC\\uD83D\\uDE00x\"", TEXT("ä€😀x")},
        {"\"\\uFFFF\\uD800\\uDC00\"", TEXT("\uFFFF\U00010000")},
        /* Not valid, and still neither crash nor wrong UTF-8. */
        {"\"\\ud83d\\u0041\"", TEXT("\uFFFDA")},
        {"\"\\ude00\"", TEXT("\uFFFD")},
        {"\"\\u12\"", TEXT("")},
        {"\"\\\"", TEXT("\\")},
        {"\"", TEXT("")},
#undef TEXT
    };
    struct buffer scratch = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size = strlen(cases[i].raw);
        uint8_t *copy = memory_alloc(size);
        memcpy(copy, cases[i].raw, size);
        struct bytes text = json_cell_text(bytes_of(copy, size), &scratch);
        assert_int_equal(text.size, cases[i].text.size);
        assert_memory_equal(text.data, cases[i].text.data, text.size);
        assert_true(bytes_is_utf8(text));
        memory_free(copy);
    }
    buffer_fini(&scratch);
}

static void test_for_people(void **state)
{
    (void)state;
    struct buffer out = {0};
    json_cell_quote(&out, bytes_of("a\"\\\n\0ä", 7), 60);
    assert_string_equal(buffer_string(&out), "\"a\\\"\\\\\\u000a\\u0000ä\"");
    buffer_clear(&out);
    json_cell_quote(&out, bytes_of_string("aä€"), 4);
    assert_string_equal(buffer_string(&out), "\"aä…\"");
    buffer_clear(&out);
    json_cell_show(&out, bytes_of_string("[1,\n 2]"), 6);
    assert_string_equal(buffer_string(&out), "[1,  2…");
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
