#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "codec/record_key.h"

static struct record_key shape_of(enum key_format format, const char *const *names)
{
    struct record_key shape = {.format = format};
    for (; *names != NULL; names++) {
        struct field field = {.name = *names,
                              .name_size = (uint32_t)strlen(*names),
                              .type = **names == 'n' ? COLUMN_INT64 : COLUMN_TEXT};
        record_key_add(&shape, &field);
    }
    return shape;
}

/* The key as its values would be written; "none". */
static const char *reads(const struct record_key *shape, const char *key)
{
    static char text[128];
    struct arena *arena = arena_new(1024);
    struct value values[RECORD_KEY_MEMBERS_MAX];
    struct buffer out = {0};
    struct bytes bytes = key == NULL ? BYTES_NONE : bytes_of_string(key);
    strcpy(text, "none");
    if (record_key_read(shape, bytes, arena, values)) {
        record_key_write(shape, values, &out);
        strcpy(text, buffer_string(&out));
    }
    buffer_fini(&out);
    arena_free(arena);
    return text;
}

static void test_texts(void **state)
{
    (void)state;
    struct record_key text = shape_of(KEY_TEXT, (const char *const[]){"id", NULL});
    struct record_key number = shape_of(KEY_TEXT, (const char *const[]){"n", NULL});
    assert_string_equal(reads(&text, "a b"), "a b");
    assert_string_equal(reads(&text, "{\"id\":\"a\"}"), "{\"id\":\"a\"}");
    assert_string_equal(reads(&text, "\xff"), "none");
    assert_string_equal(reads(&number, "-7"), "-7");
    assert_string_equal(reads(&number, "07"), "none");
    assert_string_equal(reads(&number, NULL), "none");
}

static void test_objects(void **state)
{
    (void)state;
    static const struct {
        const char *key, *reads;
    } cases[] = {
        {"{\"n\":7,\"id\":\"x\"}", "{\"n\":7,\"id\":\"x\"}"},
        {" { \"id\" : \"x\", \"n\" : 7 }\n", "{\"n\":7,\"id\":\"x\"}"},
        {"{\"\\u006e\":7,\"id\":\"\\u00e9\\n\\u0001\"}", "{\"n\":7,\"id\":\"é\\n\\u0001\"}"},
        {"{\"n\":7,\"id\":\"\"}", "{\"n\":7,\"id\":\"\"}"},
        {"{\"n\":-9223372036854775808,\"id\":\"x\"}", "{\"n\":-9223372036854775808,\"id\":\"x\"}"},
        {"{\"n\":9223372036854775808,\"id\":\"x\"}", "none"},
        {"{\"n\":7.0,\"id\":\"x\"}", "none"},
        {"{\"n\":7e0,\"id\":\"x\"}", "none"},
        {"{\"n\":07,\"id\":\"x\"}", "none"},
        {"{\"n\":\"7\",\"id\":\"x\"}", "none"},
        {"{\"n\":7,\"id\":7}", "none"},
        {"{\"n\":7,\"id\":null}", "none"},
        {"{\"n\":7,\"id\":{\"id\":\"x\"}}", "none"},
        {"{\"n\":7,\"id\":[]}", "none"},
        {"{\"n\":7,\"id\":\"\xff\"}", "none"},
        {"{\"n\":7,\"id\":\"\\ud800\"}", "none"},
        {"{\"n\":7}", "none"},
        {"{\"n\":7,\"id\":\"x\",\"more\":1}", "none"},
        {"{\"n\":7,\"n\":7}", "none"},
        {"{\"n\":7,\"id\":\"x\",\"id\":\"x\"}", "none"},
        {"{\"n\":7,\"id\":\"x\"}}", "none"},
        {"{\"n\":7,\"id\":\"x\"", "none"},
        {"[7,\"x\"]", "none"},
        {"7", "none"},
        {"null", "none"},
        {"", "none"},
        {NULL, "none"},
    };
    struct record_key shape = shape_of(KEY_JSON, (const char *const[]){"n", "id", NULL});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(reads(&shape, cases[i].key), cases[i].reads);
    }
    struct record_key one = shape_of(KEY_JSON, (const char *const[]){"id", NULL});
    assert_string_equal(reads(&one, "{\"id\":\"x\"}"), "{\"id\":\"x\"}");
    assert_string_equal(reads(&one, "x"), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
