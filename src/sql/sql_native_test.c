#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "sql/sql_fixture.h"
#include "sql/sql_program.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One row with a value of each kind, and one where nothing is. */
enum { ROW_FULL, ROW_EMPTY, ROW_HARD };

static void fill_rows(struct batch *batch)
{
    assert_int_equal(fixture_add_row(batch), ROW_FULL);
    fixture_set_real(batch, FIELD_TEMPERATURE, ROW_FULL, 20.5);
    fixture_set_real(batch, FIELD_LATITUDE, ROW_FULL, -0.0);
    fixture_set_integer(batch, FIELD_TALLY, ROW_FULL, 7);
    fixture_set_integer(batch, FIELD_MODE_LOWER, ROW_FULL, -2);
    fixture_set_boolean(batch, ROW_FULL, true);
    fixture_set_text(batch, FIELD_SITE, ROW_FULL, "test");
    fixture_set_text(batch, FIELD_NOTE, ROW_FULL, "");
    fixture_set_text(batch, FIELD_KEY, ROW_FULL, "k");
    fixture_set_bytes(batch, FIELD_MODE_UPPER, ROW_FULL, "test\0", 5);
    fixture_set_text(batch, FIELD_TAGS, ROW_FULL, "[1]");
    fixture_set_text(batch, FIELD_EVENT_TIME, ROW_FULL, "2026-01-01T00:00:00Z");
    assert_int_equal(fixture_add_row(batch), ROW_EMPTY);
    batch->columns[FIELD_TALLY].cells[ROW_EMPTY] = CELL_NULL;
    batch->columns[FIELD_SITE].cells[ROW_EMPTY] = CELL_MISFIT;
    assert_int_equal(fixture_add_row(batch), ROW_HARD);
    fixture_set_real(batch, FIELD_TEMPERATURE, ROW_HARD, 9007199254740992.0);
    fixture_set_real(batch, FIELD_LATITUDE, ROW_HARD, -__builtin_inf());
    fixture_set_integer(batch, FIELD_TALLY, ROW_HARD, INT64_MIN);
    fixture_set_integer(batch, FIELD_MODE_LOWER, ROW_HARD, INT64_C(9007199254740993));
    /* A value that breaks a constraint is a value. */
    batch->columns[FIELD_TALLY].cells[ROW_HARD] = CELL_INVALID;
    fixture_set_bytes(batch, FIELD_SITE, ROW_HARD, "tes\xff", 4);
}

#define OVERFLOWS "failed: integer overflow"
#define INFINITE "failed: the result is not a finite number"

struct rule {
    uint32_t row;
    const char *text;
    const char *shown;
};

static const struct rule rules[] = {
    /* Integers stay integers while they fit. */
    {ROW_FULL, "tally + 1", "i:8"},
    {ROW_FULL, "tally - 10", "i:-3"},
    {ROW_FULL, "tally * mode", "i:-14"},
    {ROW_FULL, "tally / mode", "i:-3"},
    {ROW_FULL, "mode / tally", "i:0"},
    {ROW_FULL, "tally % 4", "i:3"},
    {ROW_FULL, "mode % 4 % -1", "i:0"},
    {ROW_HARD, "tally - 1", OVERFLOWS},
    {ROW_HARD, "tally + -1 + 1", OVERFLOWS},
    {ROW_HARD, "tally * 2", OVERFLOWS},
    {ROW_HARD, "tally / -1", OVERFLOWS},
    {ROW_HARD, "tally % -1", "i:0"},
    {ROW_HARD, "-tally", OVERFLOWS},
    {ROW_HARD, "coalesce(tally, 0) - 1", OVERFLOWS},
    {ROW_HARD, "max(tally - 1, 3)", "i:3"},
    {ROW_HARD, "min(tally - 1, 3)", OVERFLOWS},
    {ROW_HARD, "tally - 1 + 0.0", "r:-9.2233720368547758e+18"},
    {ROW_HARD, "(tally - 1) * temperature < 0", "i:1"},
    {ROW_HARD, "-tally - 1 < 0 OR -mode = -9007199254740993", "i:1"},
    {ROW_FULL, "tally / 0", "null"},
    {ROW_FULL, "tally % 0", "null"},
    {ROW_FULL, "2 * (tally + 1)", "i:16"},
    /* One real makes all real. */
    {ROW_FULL, "temperature * 1.8 + 32", "r:68.900000000000006"},
    {ROW_FULL, "temperature * 2", "r:41"},
    {ROW_FULL, "tally / 2.0", "r:3.5"},
    {ROW_FULL, "tally * 2 + 0.5", "r:14.5"},
    {ROW_FULL, "temperature / 0", "null"},
    {ROW_FULL, "temperature / location.lat", "null"},
    {ROW_FULL, "temperature % 6", "r:2"},
    {ROW_FULL, "temperature % 0.5", "null"},
    {ROW_FULL, "tally % 4.9", "r:3"},
    {ROW_HARD, "location.lat % 10", "r:-8"},
    {ROW_FULL, "1e308 * 10", INFINITE},
    {ROW_HARD, "location.lat - location.lat", "null"},
    {ROW_HARD, "location.lat * 0", "null"},
    {ROW_HARD, "location.lat + 1", INFINITE},
    /* The sign of 0. */
    {ROW_FULL, "location.lat", "r:-0"},
    {ROW_FULL, "location.lat * 1", "r:-0"},
    {ROW_FULL, "location.lat + 0", "r:0"},
    {ROW_FULL, "-location.lat", "r:0"},
    {ROW_FULL, "-0.0", "r:-0"},
    {ROW_FULL, "-(0.0)", "r:-0"},
    {ROW_FULL, "- -0.0", "r:0"},
    {ROW_FULL, "+0.0", "r:0"},
    {ROW_FULL, "-9223372036854775808", "i:-9223372036854775808"},
    {ROW_FULL, "- -9223372036854775808", "r:9.2233720368547758e+18"},
    {ROW_FULL, "9223372036854775808", "r:9.2233720368547758e+18"},
    {ROW_FULL, "0xff", "i:255"},
    /* Comparing is exact. */
    {ROW_HARD, "temperature = 9007199254740993", "i:0"},
    {ROW_HARD, "temperature < mode", "i:1"},
    {ROW_HARD, "mode > temperature", "i:1"},
    {ROW_HARD, "temperature = mode", "i:0"},
    {ROW_HARD, "tally = -9223372036854775808.0", "i:1"},
    {ROW_HARD, "location.lat < tally", "i:1"},
    {ROW_FULL, "location.lat = 0 AND location.lat >= 0.0", "i:1"},
    {ROW_FULL, "tally <= 7 AND tally >= 7.0 AND tally <> 7.5 AND NOT tally != 7", "i:1"},
    {ROW_FULL, "tally < 7 OR tally > 7", "i:0"},
    {ROW_FULL, "temperature BETWEEN 20 AND 20.5", "i:1"},
    {ROW_FULL, "temperature NOT BETWEEN 21 AND 20", "i:1"},
    {ROW_FULL, "temperature BETWEEN 21 AND NULL", "i:0"},
    {ROW_FULL, "temperature BETWEEN 20 AND NULL", "null"},
    {ROW_FULL, "tally BETWEEN 1 AND 10 = 1", "i:1"},
    {ROW_FULL, "active = (tally > 5)", "i:1"},
    {ROW_FULL, "active AND active = true", "i:1"},
    /* Texts are compared by their bytes. */
    {ROW_FULL, "site = 'test'", "i:1"},
    {ROW_FULL, "site <> 'TEST'", "i:1"},
    {ROW_FULL, "'tess' < site", "i:1"},
    {ROW_FULL, "site < Mode", "i:1"},
    {ROW_FULL, "site <= 'test' AND site >= 'tes' AND site > note", "i:1"},
    {ROW_FULL, "note = ''", "i:1"},
    {ROW_FULL, "note < ''", "i:0"},
    {ROW_FULL, "\"key\" BETWEEN 'a' AND 'm'", "i:1"},
    {ROW_FULL, "site IN ('a', 'test')", "i:1"},
    {ROW_FULL, "site NOT IN ('a', NULL)", "null"},
    {ROW_FULL, "tally IN (1, 7.0, -1)", "i:1"},
    {ROW_FULL, "tally NOT IN (1, 2)", "i:1"},
    {ROW_FULL, "tally IN (1, NULL)", "null"},
    {ROW_EMPTY, "tally IN (1, 2)", "null"},
    /* NULL. */
    {ROW_EMPTY, "tally", "null"},
    {ROW_EMPTY, "site", "null"},
    {ROW_EMPTY, "tally + 1", "null"},
    {ROW_EMPTY, "tally = NULL", "null"},
    {ROW_EMPTY, "site = 'a'", "null"},
    {ROW_EMPTY, "tally IS NULL AND site ISNULL AND tags IS NULL AND event_time IS NULL", "i:1"},
    {ROW_FULL, "tally IS NOT NULL AND site NOTNULL AND tags NOT NULL AND event_time NOTNULL",
     "i:1"},
    {ROW_EMPTY, "tally IS temperature", "i:1"},
    {ROW_EMPTY, "tally IS 5", "i:0"},
    {ROW_EMPTY, "tally IS NOT 5", "i:1"},
    {ROW_FULL, "tally IS 7.0", "i:1"},
    {ROW_FULL, "site IS 'test'", "i:1"},
    {ROW_EMPTY, "site IS note", "i:1"},
    {ROW_EMPTY, "tally > 5 AND 0", "i:0"},
    {ROW_EMPTY, "tally > 5 AND 1", "null"},
    {ROW_EMPTY, "tally > 5 OR 0.5", "i:1"},
    {ROW_EMPTY, "tally > 5 OR 0.0", "null"},
    {ROW_EMPTY, "NOT tally", "null"},
    {ROW_EMPTY, "NULL AND NULL", "null"},
    {ROW_FULL, "NOT NULL IS NULL", "i:0"},
    {ROW_EMPTY, "(tally > 5) IS NOT TRUE", "i:1"},
    {ROW_EMPTY, "(tally > 5) IS FALSE", "i:0"},
    {ROW_FULL, "tally IS TRUE AND NOT tally IS 1", "i:1"},
    {ROW_FULL, "TRUE IS tally", "i:0"},
    {ROW_FULL, "tally IS (TRUE)", "i:1"},
    {ROW_FULL, "tally IS +TRUE", "i:0"},
    {ROW_FULL, "location.lat IS FALSE", "i:1"},
    /* Precedence. */
    {ROW_FULL, "1 + 2 * 3 - 4 / 2", "i:5"},
    {ROW_FULL, "NOT tally = 7", "i:0"},
    {ROW_FULL, "1 = 1 = 0 OR 3 > 2 > 1", "i:0"},
    {ROW_FULL, "0 = NOT 1 = 1", "i:1"},
    {ROW_FULL, "- tally * 2 < 0 = 1", "i:1"},
    {ROW_FULL, "1 OR 1 AND 0", "i:1"},
    {ROW_FULL, "tally = 2 < 3", "i:0"},
    {ROW_FULL, "tally = 2 <= 3", "i:0"},
    {ROW_FULL, "tally <> 3 > 2", "i:1"},
    {ROW_FULL, "tally <> 3 >= 2", "i:1"},
    {ROW_HARD, "mode % location.lat", "r:9007199254740992"},
    /* Functions. */
    {ROW_EMPTY, "coalesce(tally, temperature, 2)", "i:2"},
    {ROW_FULL, "coalesce(NULL, temperature, tally)", "r:20.5"},
    {ROW_EMPTY, "ifnull(site, 'none')", "t:none"},
    {ROW_FULL, "coalesce(site, note)", "t:test"},
    {ROW_FULL, "abs(mode)", "i:2"},
    {ROW_HARD, "abs(location.lat)", INFINITE},
    {ROW_HARD, "location.lat < -1e308", "i:1"},
    {ROW_FULL, "abs(location.lat)", "r:-0"},
    {ROW_EMPTY, "abs(tally)", "null"},
    {ROW_FULL, "min(tally, 7.0)", "r:7"},
    {ROW_FULL, "max(tally, 7.0)", "i:7"},
    {ROW_FULL, "max(tally, temperature, mode)", "r:20.5"},
    {ROW_EMPTY, "max(tally, 5)", "null"},
    /* Values. */
    {ROW_FULL, "active", "i:1"},
    {ROW_FULL, "site", "t:test"},
    {ROW_FULL, "note", "t:"},
    {ROW_FULL, "'it''s'", "t:it's"},
    {ROW_FULL, "TRUE", "i:1"},
    {ROW_FULL, "NULL", "null"},
    {ROW_FULL, "1e400", INFINITE},
    /* Left to SQLite, row by row. */
    {ROW_HARD, "abs(tally)", "failed: integer overflow"},
    {ROW_HARD, "abs(tally) IS NULL", "failed: integer overflow"},
    {ROW_HARD, "coalesce(mode, abs(tally))", "i:9007199254740993"},
    {ROW_HARD, "site", "failed: the result is not valid UTF-8"},
    {ROW_HARD, "site > 'tes'", "i:1"},
};

static char *evaluate(struct arena *arena, struct sql_program *program, struct batch *batch,
                      uint32_t row)
{
    struct sql_result result;
    struct error err = {0};
    assert_int_equal(sql_program_run(program, batch, &row, 1, &result, &err), STATUS_OK);
    return fixture_show(arena, &result);
}

static void test_rules(void **state)
{
    (void)state;
    struct batch *batch = batch_new(&fixture_layout);
    fill_rows(batch);
    for (size_t i = 0; i < COUNT(rules); i++) {
        struct arena *arena = arena_new(4096);
        struct error err = {0};
        struct sql_program *program = NULL;
        struct sql_program *foreign = NULL;
        struct sql_expression expression = fixture_expression(rules[i].text);
        assert_int_equal(sql_program_compile(arena, &fixture_layout, fixture_is_time, &expression,
                                             1, &program, &err),
                         STATUS_OK);
        assert_int_equal(sql_program_compile_foreign(arena, &fixture_layout, fixture_is_time,
                                                     &expression, 1, &foreign, &err),
                         STATUS_OK);
        char *shown = evaluate(arena, program, batch, rules[i].row);
        if (strcmp(shown, rules[i].shown) != 0 || !sql_program_is_native(program, 0)) {
            fail_msg("%s gives %s instead of %s%s", rules[i].text, shown, rules[i].shown,
                     sql_program_is_native(program, 0) ? "" : ", by SQLite");
        }
        assert_string_equal(evaluate(arena, foreign, batch, rules[i].row), shown);
        sql_program_free(program);
        sql_program_free(foreign);
        arena_free(arena);
    }
    batch_free(batch);
}

/* What is not surely the same is not taken. */
static void test_left_to_sqlite(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "event_time",
        "event_time > '2026-01-01'",
        "event_time IS received",
        "tags",
        "location IS NOT '{}'",
        "coalesce(tags, location)",
        "coalesce(event_time, 'x') COLLATE binary = 'x'",
        "site COLLATE NOCASE = 'a'",
        "site || 'a' = 'b'",
        "site LIKE 'a%'",
        "NOT site",
        "site AND 1",
        "site + 1",
        "-site",
        "site IS TRUE",
        "abs(site)",
        "max(site, note)",
        "coalesce(site, tally)",
        "tally & 1",
        "~tally",
        "tally << 1",
        "round(temperature)",
        "length(site)",
        "CAST(tally AS TEXT)",
        "CASE WHEN tally THEN 1 END",
        /* A keyword, which may mean anything. */
        "key > 'a'",
        "tally IN ()",
        "tally IN (mode, 1)",
        "temperature IN (9007199254740993, 1, 2)",
        "(tally, mode) = (1, 2)",
        "tally IS DISTINCT FROM 5",
        "- +0.0",
        "x'00'",
        "tally BETWEEN mode = 1 AND 2",
        "coalesce(DISTINCT tally, 1)",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct arena *arena = arena_new(4096);
        struct error err = {0};
        struct sql_program *program = NULL;
        enum status status = fixture_compile(arena, texts[i], &program, &err);
        if (status == STATUS_OK && sql_program_is_native(program, 0)) {
            fail_msg("%s is evaluated without SQLite", texts[i]);
        }
        if (status == STATUS_OK) {
            assert_int_equal(program->group_count, 1);
            sql_program_free(program);
        } else if (strstr(texts[i], "DISTINCT tally") == NULL) {
            fail_msg("%s: %s", texts[i], err.message);
        }
        arena_free(arena);
    }
}

/* A program of simple expressions has no statement that would be stepped; in a mixed one only the
 * others are in it. */
static void test_groups(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    struct batch *batch = batch_new(&fixture_layout);
    fill_rows(batch);
    const struct sql_expression expressions[] = {
        fixture_expression("length(site)"),
        fixture_expression("tally + 1"),
        fixture_expression("site LIKE 't%'"),
        fixture_expression("temperature > 20"),
    };
    struct error err = {0};
    struct sql_program *program = NULL;
    assert_int_equal(sql_program_compile(arena, &fixture_layout, fixture_is_time, expressions, 4,
                                         &program, &err),
                     STATUS_OK);
    assert_int_equal(program->group_count, 1);
    assert_int_equal(program->groups[0].count, 2);
    assert_int_equal(program->native->expression_count, 2);
    uint32_t rows[] = {ROW_FULL, ROW_EMPTY};
    struct sql_result results[8];
    assert_int_equal(sql_program_run(program, batch, rows, 2, results, &err), STATUS_OK);
    static const char *const shown[] = {"i:4", "null", "i:8", "null", "i:1", "null", "i:1", "null"};
    for (size_t i = 0; i < 8; i++) {
        assert_string_equal(fixture_show(arena, &results[i]), shown[i]);
    }
    assert_true(sql_program_uses(program, 1, FIELD_TALLY));
    assert_false(sql_program_uses(program, 1, FIELD_SITE));
    sql_program_free(program);
    assert_int_equal(fixture_compile(arena, "tally > 1", &program, &err), STATUS_OK);
    assert_int_equal(program->group_count, 0);
    sql_program_free(program);
    batch_free(batch);
    arena_free(arena);
}

/* A text that SQLite cannot take fails where SQLite would read it, and only there. */
static void test_too_long(void **state)
{
    (void)state;
    enum { SIZE = 17 * 1024 * 1024 };
    struct batch *batch = batch_new(&fixture_layout);
    fill_rows(batch);
    char *large = memory_alloc(SIZE);
    memset(large, 'x', SIZE);
    batch->columns[FIELD_SITE].texts[ROW_FULL] = bytes_of(large, SIZE);
    batch->columns[FIELD_TAGS].texts[ROW_FULL] = bytes_of(large, SIZE);
    static const struct rule long_rules[] = {
        {ROW_FULL, "site = 'x'", "failed: string or blob too big"},
        {ROW_FULL, "tags IS NULL", "failed: string or blob too big"},
        {ROW_FULL, "tally > 5", "i:1"},
        {ROW_FULL, "coalesce(note, site)", "t:"},
        {ROW_EMPTY, "site = 'x'", "null"},
    };
    struct arena *arena = arena_new(4096);
    struct sql_expression expressions[COUNT(long_rules)];
    for (size_t i = 0; i < COUNT(long_rules); i++) {
        expressions[i] = fixture_expression(long_rules[i].text);
    }
    struct error err = {0};
    struct sql_program *program = NULL;
    assert_int_equal(sql_program_compile(arena, &fixture_layout, fixture_is_time, expressions,
                                         COUNT(long_rules), &program, &err),
                     STATUS_OK);
    assert_int_equal(program->group_count, 0);
    uint32_t rows[] = {ROW_FULL, ROW_EMPTY};
    struct sql_result results[2 * COUNT(long_rules)];
    assert_int_equal(sql_program_run(program, batch, rows, 2, results, &err), STATUS_OK);
    for (size_t i = 0; i < COUNT(long_rules); i++) {
        assert_string_equal(fixture_show(arena, &results[2 * i + long_rules[i].row]),
                            long_rules[i].shown);
    }
    sql_program_free(program);
    arena_free(arena);
    memory_free(large);
    batch_free(batch);
}

/* Expressions that are too large, and programs with too many constants, are left to SQLite. */
static void test_bounds(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    struct error err = {0};
    struct buffer text = {0};
    buffer_append_string(&text, "tally IN (0");
    for (int i = 1; i < 400; i++) {
        buffer_printf(&text, ", %d", i);
    }
    buffer_append_string(&text, ")");
    struct sql_program *program = NULL;
    assert_int_equal(fixture_compile(arena, buffer_string(&text), &program, &err), STATUS_OK);
    assert_false(sql_program_is_native(program, 0));
    sql_program_free(program);
    buffer_fini(&text);
    struct sql_expression expressions[600];
    for (uint32_t i = 0; i < COUNT(expressions); i++) {
        expressions[i] = fixture_expression(arena_printf(arena, "tally + %u > %u", i, i + 1000));
    }
    assert_int_equal(sql_program_compile(arena, &fixture_layout, fixture_is_time, expressions,
                                         COUNT(expressions), &program, &err),
                     STATUS_OK);
    assert_true(sql_program_is_native(program, 0));
    assert_false(sql_program_is_native(program, COUNT(expressions) - 1));
    struct batch *batch = batch_new(&fixture_layout);
    fill_rows(batch);
    uint32_t row = ROW_FULL;
    struct sql_result results[COUNT(expressions)];
    assert_int_equal(sql_program_run(program, batch, &row, 1, results, &err), STATUS_OK);
    for (uint32_t i = 0; i < COUNT(expressions); i++) {
        assert_string_equal(fixture_show(arena, &results[i]), "i:0");
    }
    batch_free(batch);
    sql_program_free(program);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),  cmocka_unit_test(test_left_to_sqlite),
        cmocka_unit_test(test_groups), cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
