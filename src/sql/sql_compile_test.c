#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "sql/sql_fixture.h"
#include "sql/sql_refusal.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_accepted(void **state)
{
    (void)state;
    static const char *const accepted[] = {
        "temperature > -45 + tally / 5",
        "TEMPERATURE between -40 and 85.0",
        "\"temperature\" >= 10 AND [tally] < 5 OR `site` = 'x'",
        "site <> 'test'",
        "site = 'it''s -- no comment; (really'",
        "site IN ('a', 'b') and tally not in (1, 2, 3)",
        "site LIKE 'a%' ESCAPE '\\'",
        "site GLOB 'a*' OR site IS NULL OR site NOTNULL",
        "location.lat > 50",
        "\"location.lat\" > 50",
        "location . \"lat\" > 50",
        "location ->> '$.lon' > 8",
        "tags -> 0 = '\"x\"'",
        "tags = '[1,2]'",
        "CASE site WHEN 'a' THEN 1 WHEN 'b' THEN 2 ELSE 0 END = 1",
        "CASE (tally > 1) WHEN true THEN 1 END",
        "CAST(site AS INTEGER) > 5",
        "CAST(tally AS VARCHAR(20)) = '5'",
        "CAST(temperature AS key) > 5",
        "site COLLATE NOCASE = 'ABC'",
        "site COLLATE weir_time > '2026-01-01'",
        "event_time > '2026-01-01T00:00:00+02:00'",
        "event_time BETWEEN '2026-01-01' AND '2026-01-02t00:00:00z'",
        "event_time < received",
        "event_time > datetime(received, '-1 day')",
        "event_time > site",
        "strftime('now', event_time) = 'now'",
        "strftime('%H', event_time) < '12'",
        "unixepoch(event_time) > 1700000000",
        "active",
        "NOT active",
        "active = 1 OR active = 0 OR active IS TRUE OR active = false",
        "active = (tally > 5)",
        "active = tally",
        "site IS NOT TRUE",
        "key = 'a' AND \"key\" <> 'b'",
        "Mode = 'auto' AND mode = 3",
        "\"true\" = 'yes' AND true",
        "\"say \"\"hi\"\"\" = 'x'",
        "temperature = NULL",
        "(tally, site) = (1, 'a')",
        "coalesce(temperature, 0) > 1",
        "nullif(site, '') IS NOT NULL",
        "iif(tally > 5, 'big', 'small') = 'big'",
        "max(tally, 5) > 3",
        "printf('%05d', tally) = '00012'",
        "1e-3 < temperature AND 0x1F > tally AND .5 < 1.",
        "tally - -1 > 0",
        "x'00ff' = CAST(site AS BLOB)",
        "round(ln(temperature), 2) > sqrt(2)",
        "json_valid(tags) AND json_array_length(tags) < 5",
        "1",
        "'a' || site || tally",
        "((((((((((tally)))))))))) = 5",
    };
    for (size_t i = 0; i < COUNT(accepted); i++) {
        struct arena *arena = arena_new(4096);
        struct error err = {0};
        struct sql_program *program = NULL;
        enum status status = fixture_compile(arena, accepted[i], &program, &err);
        if (status != STATUS_OK) {
            print_error("refused: %s\n  %s\n", accepted[i], err.message);
        }
        assert_int_equal(status, STATUS_OK);
        sql_program_free(program);
        arena_free(arena);
    }
}

struct refusal {
    const char *text;
    const char *code;
    const char *part; /* of the message */
};

static void expect_refusals(const struct refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *arena = arena_new(4096);
        struct error err = {0};
        struct sql_program *program = NULL;
        enum status status = fixture_compile(arena, refusals[i].text, &program, &err);
        bool right = status == STATUS_CONFIG && strcmp(err.code, refusals[i].code) == 0 &&
                     strstr(err.message, refusals[i].part) != NULL &&
                     strncmp(err.message, "checks.it.expect: ", 18) == 0;
        if (!right) {
            print_error("%s\n  gave %s %s: %s\n", refusals[i].text, status_name(status), err.code,
                        err.message);
        }
        assert_true(right);
        assert_string_equal(err.file, "p.yaml");
        assert_int_equal(err.line, 7);
        assert_int_equal(err.column, 13);
        assert_null(program);
        arena_free(arena);
    }
}

static void test_syntax_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"", SQL_CODE_SYNTAX, "empty"},
        {"  \n ", SQL_CODE_SYNTAX, "empty"},
        {"temperature >", SQL_CODE_SYNTAX, "ends where SQLite expects more"},
        {"temperature > > 5", SQL_CODE_SYNTAX, "near \">\""},
        {"1) , (2", SQL_CODE_SYNTAX, "no opening one"},
        {"1) STORED, y AS (2", SQL_CODE_SYNTAX, "no opening one"},
        {"(1", SQL_CODE_SYNTAX, "never closed"},
        {"1, 2", SQL_CODE_SYNTAX, "not a list"},
        {"(1, 2)", SQL_CODE_SYNTAX, "row value"},
        {"1;", SQL_CODE_SYNTAX, "semicolon"},
        {"1; DROP TABLE weir_scratch", SQL_CODE_SYNTAX, "semicolon"},
        {"1 -- comment", SQL_CODE_SYNTAX, "comment"},
        {"tally--1 > 0", SQL_CODE_SYNTAX, "- -1"},
        {"1 /* comment */", SQL_CODE_SYNTAX, "comment"},
        {"site = 'a", SQL_CODE_SYNTAX, "position 8 is never closed"},
        {"site = \"a", SQL_CODE_SYNTAX, "never closed"},
        {"[site = 'a'", SQL_CODE_SYNTAX, "never closed"},
        {"5abc > 1", SQL_CODE_SYNTAX, "5abc"},
        {"tally > 1 AS x", SQL_CODE_SYNTAX, "AS"},
        {"tally ! 5", SQL_CODE_SYNTAX, "!"},
        {"length(site, 1, 2, 3)", SQL_CODE_SYNTAX, "wrong number of arguments"},
        {"site COLLATE klingon = 'a'", SQL_CODE_SYNTAX, "klingon"},
        {"\xff > 1", SQL_CODE_SYNTAX, "UTF-8"},
    };
    expect_refusals(refusals, COUNT(refusals));
}

static void test_unknown_columns_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"temprature > 5", SQL_CODE_UNKNOWN_COLUMN, "did you mean temperature?"},
        {"site = \"abc\"", SQL_CODE_UNKNOWN_COLUMN, "single quotes: 'abc'"},
        {"site = \"temperatur\"", SQL_CODE_UNKNOWN_COLUMN, "did you mean temperature?"},
        {"lat > 5", SQL_CODE_UNKNOWN_COLUMN, "did you mean location.lat?"},
        {"location.lon > 5", SQL_CODE_UNKNOWN_COLUMN, "location.lon"},
        {"location.lat.deep > 5", SQL_CODE_UNKNOWN_COLUMN, "location.lat.deep"},
        {"weir_batch.tally > 5", SQL_CODE_UNKNOWN_COLUMN, "weir_batch.tally"},
        {"weir_scratch.tally > 5", SQL_CODE_UNKNOWN_COLUMN, "weir_scratch.tally"},
        {"'weir_batch'.tally > 5", SQL_CODE_UNKNOWN_COLUMN, "tally"},
        {"'weir_scratch'.tally > 5", SQL_CODE_NOT_ALLOWED, "prohibited"},
        {"rowid > 5", SQL_CODE_UNKNOWN_COLUMN, "rowid"},
        {"\"_rowid_\" > 5", SQL_CODE_UNKNOWN_COLUMN, "_rowid_"},
        {"oid > 5", SQL_CODE_UNKNOWN_COLUMN, "oid"},
        {"temp > 5", SQL_CODE_UNKNOWN_COLUMN, "no column temp"},
        {"MODE = 5", SQL_CODE_UNKNOWN_COLUMN, "fits two fields of the schema, Mode and mode"},
        {"tally IN weir_batch", SQL_CODE_UNKNOWN_COLUMN, "weir_batch"},
        {"\"\x01result\" > 5", SQL_CODE_UNKNOWN_COLUMN, "result"},
    };
    expect_refusals(refusals, COUNT(refusals));
}

static void test_not_allowed_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"SELECT 1", SQL_CODE_NOT_ALLOWED, "this is a query"},
        {"tally > (SELECT 1)", SQL_CODE_NOT_ALLOWED, "this is a query"},
        {"tally IN (SELECT 1)", SQL_CODE_NOT_ALLOWED, "this is a query"},
        {"EXISTS (SELECT 1)", SQL_CODE_NOT_ALLOWED, "this is a query"},
        {"(VALUES (1))", SQL_CODE_NOT_ALLOWED, "prohibited"},
        {"tally IN \"site\"", SQL_CODE_NOT_ALLOWED, "prohibited"},
        {"tally IN sqlite_schema", SQL_CODE_UNKNOWN_COLUMN, "sqlite_schema"},
        {"tally IN json_each(tags)", SQL_CODE_NOT_ALLOWED, "prohibited"},
        {"count(*) > 1", SQL_CODE_NOT_ALLOWED, "count is not allowed"},
        {"sum(tally) > 1", SQL_CODE_NOT_ALLOWED, "sum"},
        {"max(tally) > 1", SQL_CODE_NOT_ALLOWED, "aggregate"},
        {"row_number() OVER () > 1", SQL_CODE_NOT_ALLOWED, "row_number"},
        {"max(tally) OVER (ORDER BY tally) > 1", SQL_CODE_NOT_ALLOWED, ""},
        {"random() > 1", SQL_CODE_NOT_ALLOWED, "random"},
        {"RANDOM() > 1", SQL_CODE_NOT_ALLOWED, "random"},
        {"\"random\"() > 1", SQL_CODE_NOT_ALLOWED, "random"},
        {"length(randomblob(5)) > 1", SQL_CODE_NOT_ALLOWED, "randomblob"},
        {"current_timestamp > 'a'", SQL_CODE_NOT_ALLOWED, ""},
        {"CURRENT_DATE > 'a'", SQL_CODE_NOT_ALLOWED, ""},
        {"event_time < CURRENT_TIME", SQL_CODE_NOT_ALLOWED, ""},
        {"sqlite_version() = 'a'", SQL_CODE_NOT_ALLOWED, "sqlite_version"},
        {"sqlite_source_id() = 'a'", SQL_CODE_NOT_ALLOWED, "sqlite_source_id"},
        {"sqlite_compileoption_used('A')", SQL_CODE_NOT_ALLOWED, "sqlite_compileoption_used"},
        {"sqlite_compileoption_get(1) = 'a'", SQL_CODE_NOT_ALLOWED, "sqlite_compileoption_get"},
        {"changes() > 1", SQL_CODE_NOT_ALLOWED, "changes"},
        {"total_changes() > 1", SQL_CODE_NOT_ALLOWED, "total_changes"},
        {"last_insert_rowid() > 1", SQL_CODE_NOT_ALLOWED, "last_insert_rowid"},
        {"subtype(tags) > 1", SQL_CODE_NOT_ALLOWED, "subtype"},
        {"load_extension('x')", SQL_CODE_NOT_ALLOWED, "load_extension"},
        {"rond(temperature) > 1", SQL_CODE_NOT_ALLOWED, "did you mean round()?"},
        {"site REGEXP 'a'", SQL_CODE_NOT_ALLOWED, "REGEXP"},
        {"site MATCH 'a'", SQL_CODE_NOT_ALLOWED, ""},
        {"RAISE(ABORT, 'x')", SQL_CODE_NOT_ALLOWED, "RAISE"},
        {"tally > ?1", SQL_CODE_NOT_ALLOWED, "parameter"},
        {"tally > :tally", SQL_CODE_NOT_ALLOWED, "parameter"},
        {"tally > @tally", SQL_CODE_NOT_ALLOWED, "parameter"},
        {"tally > $tally", SQL_CODE_NOT_ALLOWED, "parameter"},
        {"event_time < date('now')", SQL_CODE_NOT_ALLOWED, "'now' means the present moment"},
        {"event_time < datetime('NOW', '-1 day')", SQL_CODE_NOT_ALLOWED, "present moment"},
        {"event_time < datetime()", SQL_CODE_NOT_ALLOWED, "datetime() without a time"},
        {"strftime('%s') > '5'", SQL_CODE_NOT_ALLOWED, "strftime() without a time"},
        {"date(event_time, 'localtime') = 'a'", SQL_CODE_NOT_ALLOWED, "time zone"},
        {"date(event_time, '+1 day', ('UTC')) = 'a'", SQL_CODE_NOT_ALLOWED, "time zone"},
        {"timediff(event_time, 'now') > 'a'", SQL_CODE_NOT_ALLOWED, "present moment"},
        {"unixepoch('subsec') > 5", SQL_CODE_NOT_ALLOWED, "present moment"},
    };
    expect_refusals(refusals, COUNT(refusals));
}

static void test_long_expression_refused(void **state)
{
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i < 40000; i++) {
        buffer_append_string(&text, "1 ");
    }
    struct refusal refusal = {buffer_string(&text), SQL_CODE_SYNTAX, "longer than"};
    expect_refusals(&refusal, 1);
    buffer_clear(&text);
    for (int i = 0; i < 300; i++) {
        buffer_append_string(&text, "- ");
    }
    buffer_append_string(&text, "tally");
    refusal = (struct refusal){buffer_string(&text), SQL_CODE_SYNTAX, "too large"};
    expect_refusals(&refusal, 1);
    buffer_fini(&text);
}

static void test_uses(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    struct error err = {0};
    struct sql_program *program = NULL;
    struct sql_expression expressions[] = {
        fixture_expression("temperature > 5 AND Location.LAT < mode"),
        fixture_expression("1"),
        fixture_expression("key = 'a' AND \"true\" = 'b'"),
    };
    assert_int_equal(sql_program_compile(arena, &fixture_layout, fixture_is_time, expressions, 3,
                                         &program, &err),
                     STATUS_OK);
    static const bool used[3][FIXTURE_FIELD_COUNT] = {
        {[FIELD_TEMPERATURE] = true, [FIELD_LATITUDE] = true, [FIELD_MODE_LOWER] = true},
        {false},
        {[FIELD_KEY] = true, [FIELD_TRUE] = true},
    };
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t field = 0; field < FIXTURE_FIELD_COUNT; field++) {
            assert_int_equal(sql_program_uses(program, i, field), used[i][field]);
        }
    }
    sql_program_free(program);
    arena_free(arena);
}

/* SQLite bounds the columns of a table and of a result; a plan may have more fields and more
 * expressions. */
static void test_many_fields_and_expressions(void **state)
{
    (void)state;
    enum { FIELDS = 5000, EXPRESSIONS = 1203 };
    struct arena *arena = arena_new(4096);
    struct field *fields = arena_alloc_zero(arena, FIELDS, sizeof *fields);
    struct sql_expression *expressions = arena_alloc_zero(arena, EXPRESSIONS, sizeof *expressions);
    for (uint32_t i = 0; i < FIELDS; i++) {
        char *name = arena_printf(arena, "f%u", i);
        fields[i] = (struct field){.name = name,
                                   .name_size = (uint32_t)strlen(name),
                                   .path = name,
                                   .type = COLUMN_INT64,
                                   .parent = FIELD_NONE};
    }
    struct layout layout = {.fields = fields, .field_count = FIELDS};
    for (uint32_t i = 0; i < EXPRESSIONS; i++) {
        expressions[i] = fixture_expression(arena_printf(arena, "f%u + %u", 4000 + i % 7, i));
    }
    struct error err = {0};
    struct sql_program *program = NULL;
    assert_int_equal(
        sql_program_compile(arena, &layout, NULL, expressions, EXPRESSIONS, &program, &err),
        STATUS_OK);
    struct batch *batch = batch_new(&layout);
    uint32_t rows[2];
    for (uint32_t r = 0; r < 2; r++) {
        rows[r] = fixture_add_row(batch);
        for (uint32_t i = 0; i < 7; i++) {
            fixture_set_integer(batch, 4000 + i, rows[r], 100000 * (int64_t)(r + 1) + 10000 * i);
        }
    }
    struct sql_result *results = arena_alloc(arena, 2 * EXPRESSIONS * sizeof *results);
    assert_int_equal(sql_program_run(program, batch, rows, 2, results, &err), STATUS_OK);
    for (uint32_t i = 0; i < EXPRESSIONS; i++) {
        for (uint32_t r = 0; r < 2; r++) {
            assert_int_equal(results[i * 2 + r].value.integer,
                             100000 * (r + 1) + 10000 * (i % 7) + i);
        }
    }
    batch_free(batch);
    sql_program_free(program);
    arena_free(arena);
}

static void test_nothing_to_do(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    struct error err = {0};
    struct sql_program *program = NULL;
    assert_int_equal(sql_program_compile(arena, &fixture_layout, NULL, NULL, 0, &program, &err),
                     STATUS_OK);
    struct batch *batch = batch_new(&fixture_layout);
    uint32_t row = fixture_add_row(batch);
    assert_int_equal(sql_program_run(program, batch, &row, 1, NULL, &err), STATUS_OK);
    batch_free(batch);
    sql_program_free(program);
    sql_program_free(NULL);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_syntax_refused),
        cmocka_unit_test(test_unknown_columns_refused),
        cmocka_unit_test(test_not_allowed_refused),
        cmocka_unit_test(test_long_expression_refused),
        cmocka_unit_test(test_uses),
        cmocka_unit_test(test_many_fields_and_expressions),
        cmocka_unit_test(test_nothing_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
