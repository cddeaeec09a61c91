#include "sql/sql_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "sql/sql_fixture.h"

static void test_rewrite(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *sql;
    } cases[] = {
        {"temperature > 5", "\"temperature\" > 5"},
        {"TEMPERATURE>site", "\"temperature\">\"site\""},
        {"location.lat + 1", "\"location.lat\" + 1"},
        {"\"location\" . `lat` + 1", "\"location.lat\" + 1"},
        {"\"location.LAT\"", "\"location.lat\""},
        {"\"location\" ->> '$.lat'", "\"location\" ->> '$.lat'"},
        {"key = 'site'", "key = 'site'"},
        {"mode = 1 AND Mode = 'a'", "\"\x01"
                                    "field 11\" = 1 AND \"\x01"
                                    "field 10\" = 'a'"},
        {"true AND \"true\" = 'x'", "true AND \"\x01"
                                    "field 12\" = 'x'"},
        {"CAST(tally AS site) + tally", "CAST(\"tally\" AS site) + \"tally\""},
        {"CAST(tally AS x(5, 6)) + tally", "CAST(\"tally\" AS x(5, 6)) + \"tally\""},
        {"note COLLATE site = site", "\"note\" COLLATE site = \"site\""},
        {"site(note)", "site(\"note\")"},
        {"\"say \"\"hi\"\"\" = 1", "\"say \"\"hi\"\"\" = 1"},
        {"tally IN(1)", "\"tally\" IN(1)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new(4096);
        struct sql_expression expression = fixture_expression(cases[i].text);
        struct sql_tokens tokens;
        struct error err = {0};
        assert_int_equal(sql_tokens_cut(arena, &expression, &tokens, &err), STATUS_OK);
        assert_int_equal(sql_names_resolve(arena, &fixture_layout, &expression, &tokens, &err),
                         STATUS_OK);
        assert_string_equal(sql_names_rewrite(arena, &fixture_layout, &tokens), cases[i].sql);
        arena_free(arena);
    }
}

/* Two fields of the same path: which one is meant cannot be said. */
static void test_same_path_twice(void **state)
{
    (void)state;
    struct field fields[] = {
        {.name = "a.b", .path = "a.b", .type = COLUMN_INT64, .parent = FIELD_NONE},
        {.name = "a", .path = "a", .type = COLUMN_OBJECT, .parent = FIELD_NONE},
        {.name = "b", .path = "a.b", .type = COLUMN_TEXT, .parent = 1},
    };
    struct layout layout = {.fields = fields, .field_count = 3};
    struct arena *arena = arena_new(4096);
    struct sql_expression expression = fixture_expression("a.b = 1");
    struct sql_tokens tokens;
    struct error err = {0};
    assert_int_equal(sql_tokens_cut(arena, &expression, &tokens, &err), STATUS_OK);
    assert_int_equal(sql_names_resolve(arena, &layout, &expression, &tokens, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "sql.unknown_column");
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewrite),
        cmocka_unit_test(test_same_path_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
