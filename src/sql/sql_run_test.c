#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "sql/sql_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct sql_program *compile(struct arena *arena, const char *const *texts, uint32_t count)
{
    struct sql_expression *expressions = arena_alloc(arena, count * sizeof *expressions);
    for (uint32_t i = 0; i < count; i++) {
        expressions[i] = fixture_expression(texts[i]);
    }
    struct error err = {0};
    struct sql_program *program = NULL;
    enum status status = sql_program_compile(arena, &fixture_layout, fixture_is_time, expressions,
                                             count, &program, &err);
    if (status != STATUS_OK) {
        print_error("%s\n", err.message);
    }
    assert_int_equal(status, STATUS_OK);
    return program;
}

static struct sql_result *run(struct arena *arena, struct sql_program *program, struct batch *batch,
                              uint32_t expression_count, const uint32_t *rows, uint32_t row_count)
{
    struct error err = {0};
    struct sql_result *results =
        arena_alloc(arena, (size_t)expression_count * row_count * sizeof *results);
    assert_int_equal(sql_program_run(program, batch, rows, row_count, results, &err), STATUS_OK);
    return results;
}

struct expectation {
    const char *text;
    const char *shown;
};

/* Evaluates each expression in one row. */
static void expect_in_row(struct batch *batch, uint32_t row, const struct expectation *expected,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *arena = arena_new(4096);
        struct sql_program *program = compile(arena, &expected[i].text, 1);
        struct sql_result *results = run(arena, program, batch, 1, &row, 1);
        char *shown = fixture_show(arena, results);
        if (strcmp(shown, expected[i].shown) != 0) {
            print_error("%s\n  gives %.200s\n", expected[i].text, shown);
        }
        assert_string_equal(shown, expected[i].shown);
        assert_int_equal(results->failed, strncmp(shown, "failed", 6) == 0);
        sql_program_free(program);
        arena_free(arena);
    }
}

static void test_values(void **state)
{
    (void)state;
    struct batch *batch = batch_new(&fixture_layout);
    uint32_t row = fixture_add_row(batch);
    fixture_set_real(batch, FIELD_TEMPERATURE, row, 20.0);
    fixture_set_real(batch, FIELD_LATITUDE, row, 50.5);
    fixture_set_integer(batch, FIELD_TALLY, row, INT64_MAX);
    fixture_set_integer(batch, FIELD_MODE_LOWER, row, 3);
    fixture_set_boolean(batch, row, true);
    fixture_set_text(batch, FIELD_SITE, row, "Z\xc3\xbcrich");
    fixture_set_text(batch, FIELD_MODE_UPPER, row, "auto");
    fixture_set_text(batch, FIELD_TRUE, row, "yes");
    fixture_set_text(batch, FIELD_KEY, row, "k");
    fixture_set_text(batch, FIELD_QUOTED, row, "there");
    fixture_set_text(batch, FIELD_NOTE, row, "");
    fixture_set_text(batch, FIELD_TAGS, row, "[1, {\"a\": \"b\"}]");
    fixture_set_text(batch, FIELD_LOCATION, row, "{\"lat\": 50.5, \"n\": \"x\"}");
    fixture_set_text(batch, FIELD_EVENT_TIME, row, "2026-01-01t02:00:00.500+02:00");
    fixture_set_text(batch, FIELD_RECEIVED, row, "2026-01-01T00:00:01Z");
    static const struct expectation expected[] = {
        {"temperature", "r:20"},
        {"temperature / 3 > 6", "i:1"},
        {"typeof(temperature) || typeof(tally) || typeof(active) || typeof(site)",
         "t:realintegerintegertext"},
        {"tally", "i:9223372036854775807"},
        {"tally = 9223372036854775807", "i:1"},
        {"tally > 9223372036854775806.0", "i:0"},
        {"tally + 1", "failed: integer overflow"},
        {"-9223372036854775808", "i:-9223372036854775808"},
        {"7 / 2", "i:3"},
        {"temperature / 0", "null"},
        {"tally % 0", "null"},
        {"1e308 * 10", "failed: the result is not a finite number"},
        {"0.0 * -1e400", "null"},
        {"active", "i:1"},
        {"active IS TRUE AND active = true", "i:1"},
        {"site", "t:Z\xc3\xbcrich"},
        {"length(site)", "i:6"},
        {"octet_length(site)", "i:7"},
        {"site LIKE 'z_rich'", "i:1"},
        {"site || note || '!'", "t:Z\xc3\xbcrich!"},
        {"note", "t:"},
        {"note = '' AND note IS NOT NULL", "i:1"},
        {"location.lat", "r:50.5"},
        {"location", "t:{\"lat\": 50.5, \"n\": \"x\"}"},
        {"location ->> '$.n'", "t:x"},
        {"location -> 'n'", "t:\"x\""},
        {"tags ->> '$[1].a'", "t:b"},
        {"tags ->> 0 > 5", "i:0"},
        {"mode", "i:3"},
        {"Mode", "t:auto"},
        {"\"true\"", "t:yes"},
        {"true", "i:1"},
        {"key", "t:k"},
        {"\"say \"\"hi\"\"\"", "t:there"},
        {"x'00FF'", "t:00ff"},
        {"zeroblob(3)", "t:000000"},
        {"NULL", "null"},
        {"'it''s'", "t:it's"},
        {"event_time", "t:2026-01-01T00:00:00.5Z"},
        {"received", "t:2026-01-01T00:00:01Z"},
        {"event_time < received", "i:1"},
        {"event_time = '2026-01-01T01:30:00.5+01:30'", "i:1"},
        {"'2026-01-01T02:00:01+02:00' > event_time", "i:1"},
        {"event_time >= '2026-01-01' AND event_time < '2026-01-02'", "i:1"},
        {"event_time BETWEEN '2025-12-31T23:00:00-01:00' AND '2026-01-01T00:00:01Z'", "i:1"},
        {"event_time IN ('2026-01-01', '2026-01-01T00:00:00.500000Z')", "i:1"},
        {"event_time IN ('2026-01-01', '2026-01-02')", "i:0"},
        {"CASE received WHEN '2026-01-01T01:00:01+01:00' THEN 'same' END", "t:same"},
        {"event_time > datetime(received, '-1 second')", "i:1"},
        {"received > datetime(event_time)", "i:1"},
        {"max(received, event_time)", "t:2026-01-01T00:00:01Z"},
        {"date(event_time)", "t:2026-01-01"},
        {"unixepoch(event_time)", "i:1767225600"},
        {"strftime('%H:%M', event_time, '+90 minutes')", "t:01:30"},
        {"timediff(received, event_time)", "t:+0000-00-00 00:00:00.500"},
        {"julianday(received) - julianday(event_time) > 0", "i:1"},
        {"CAST(x'ff' AS TEXT)", "failed: the result is not valid UTF-8"},
        {"printf('%.2s', site)", "failed: the result is not valid UTF-8"},
        {"printf('%!.2s', site)", "t:Z\xc3\xbc"},
        {"length(CAST(x'ff' AS TEXT))", "i:1"},
        {"abs(-tally - 1)", "failed: integer overflow"},
        {"json('{bad')", "failed: malformed JSON"},
        {"length(zeroblob(1000000000))", "failed: string or blob too big"},
        {"length(printf('%1000000000d', 5))", "failed: string or blob too big"},
        {"site LIKE printf('%2000d', 5)", "failed: LIKE or GLOB pattern too complex"},
    };
    expect_in_row(batch, row, expected, COUNT(expected));
    batch_free(batch);
}

static void test_nulls(void **state)
{
    (void)state;
    struct batch *batch = batch_new(&fixture_layout);
    static const enum cell cells[] = {CELL_ABSENT, CELL_NULL, CELL_MISFIT};
    static const struct expectation expected[] = {
        {"temperature", "null"},
        {"temperature > 5", "null"},
        {"temperature IS NULL", "i:1"},
        {"NOT active", "null"},
        {"site || 'a'", "null"},
        {"event_time < '2026-01-01'", "null"},
        {"tally = NULL", "null"},
        {"tally IN (1, NULL)", "null"},
        {"coalesce(tally, -1)", "i:-1"},
        {"tally > 5 OR site IS NULL", "i:1"},
        {"tally > 5 AND 0", "i:0"},
        {"date(event_time)", "null"},
        {"tags ->> '$'", "null"},
        {"event_time IS NOT DISTINCT FROM received", "i:1"},
        {"date(event_time, NULL)", "null"},
    };
    for (size_t i = 0; i < COUNT(cells); i++) {
        uint32_t row = fixture_add_row(batch);
        for (uint32_t field = 0; field < FIXTURE_FIELD_COUNT; field++) {
            batch->columns[field].cells[row] = (uint8_t)cells[i];
        }
        expect_in_row(batch, row, expected, COUNT(expected));
    }
    batch_free(batch);
}

/* A cell that breaks a constraint still has its value, and a time that is none keeps its text. */
static void test_odd_cells(void **state)
{
    (void)state;
    struct batch *batch = batch_new(&fixture_layout);
    uint32_t row = fixture_add_row(batch);
    fixture_set_integer(batch, FIELD_TALLY, row, 12);
    batch->columns[FIELD_TALLY].cells[row] = CELL_INVALID;
    fixture_set_text(batch, FIELD_EVENT_TIME, row, "soon");
    static const struct expectation expected[] = {
        {"tally", "i:12"},
        {"event_time", "t:soon"},
        {"event_time > '2026-01-01'", "i:1"},
    };
    expect_in_row(batch, row, expected, COUNT(expected));
    batch_free(batch);
}

static void test_nul_bytes_and_large_texts(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    struct batch *batch = batch_new(&fixture_layout);
    uint32_t rows[3];
    size_t large = 10u * 1024 * 1024;
    size_t too_large = 17u * 1024 * 1024;
    char *text = memory_alloc(too_large);
    memset(text, 'a', too_large);
    for (uint32_t i = 0; i < 3; i++) {
        rows[i] = fixture_add_row(batch);
    }
    fixture_set_bytes(batch, FIELD_SITE, rows[0], "a\0b\0", 4);
    fixture_set_bytes(batch, FIELD_SITE, rows[1], text, large);
    fixture_set_bytes(batch, FIELD_SITE, rows[2], text, too_large);
    static const char *const texts[] = {"site", "site || 'c'", "octet_length(site)", "site = 'a'",
                                        "5"};
    struct sql_program *program = compile(arena, texts, COUNT(texts));
    struct sql_result *results = run(arena, program, batch, COUNT(texts), rows, 3);
    assert_int_equal(results[0].value.text.size, 4);
    assert_memory_equal(results[0].value.text.data, "a\0b\0", 4);
    assert_int_equal(results[3].value.text.size, 5);
    assert_memory_equal(results[3].value.text.data, "a\0b\0c", 5);
    assert_int_equal(results[6].value.integer, 4);
    assert_int_equal(results[9].value.integer, 0);
    assert_int_equal(results[1].value.text.size, large);
    assert_memory_equal(results[1].value.text.data, text, large);
    assert_int_equal(results[4].value.text.size, large + 1);
    assert_int_equal(results[7].value.integer, (int64_t)large);
    for (size_t i = 0; i < 4; i++) {
        assert_true(results[i * 3 + 2].failed);
        assert_string_equal(fixture_show(arena, &results[i * 3 + 2]),
                            "failed: string or blob too big");
        assert_false(results[i * 3].failed);
        assert_false(results[i * 3 + 1].failed);
    }
    assert_int_equal(results[14].value.integer, 5);
    assert_false(results[14].failed);
    memory_free(text);
    sql_program_free(program);
    batch_free(batch);
    arena_free(arena);
}

/* What the data say decides which rows fail, and nothing else fails with them. */
static void test_error_costs_its_row_and_expression(void **state)
{
    (void)state;
    enum { ROWS = 40 };
    struct arena *arena = arena_new(4096);
    struct batch *batch = batch_new(&fixture_layout);
    uint32_t rows[ROWS];
    for (uint32_t i = 0; i < ROWS; i++) {
        rows[i] = fixture_add_row(batch);
        fixture_set_integer(batch, FIELD_TALLY, rows[i], i);
        bool bad = i == 0 || i == 7 || i == 8 || i == ROWS - 1;
        fixture_set_text(batch, FIELD_NOTE, rows[i], bad ? "{" : "{}");
    }
    static const char *const texts[] = {
        "tally",
        "json(note)",
        "tally * 2",
        /* Only constants, which SQLite evaluates once for all rows: but only when a row asks. */
        "CASE WHEN tally % 5 = 3 THEN json('{') ELSE 'fine' END",
        "tally > 3 OR json_valid(note)",
    };
    struct sql_program *program = compile(arena, texts, COUNT(texts));
    struct sql_result *results = run(arena, program, batch, COUNT(texts), rows, ROWS);
    for (uint32_t i = 0; i < ROWS; i++) {
        bool bad = i == 0 || i == 7 || i == 8 || i == ROWS - 1;
        assert_int_equal(results[i].value.integer, i);
        assert_int_equal(results[ROWS + i].failed, bad);
        assert_int_equal(results[2 * ROWS + i].value.integer, 2 * i);
        assert_int_equal(results[3 * ROWS + i].failed, i % 5 == 3);
        assert_int_equal(results[4 * ROWS + i].value.integer, i > 3 || !bad);
        for (uint32_t e = 0; e < COUNT(texts); e++) {
            assert_true(results[e * ROWS + i].failed == false || e == 1 || e == 3);
        }
    }
    sql_program_free(program);
    batch_free(batch);
    arena_free(arena);
}

/* The clock and the zone are refused when the data name them, in any case and any place. */
static void test_now_from_the_data(void **state)
{
    (void)state;
    struct batch *batch = batch_new(&fixture_layout);
    static const struct {
        const char *note;
        const char *site;
        bool fails[4];
    } cases[] = {
        {"now", "+1 day", {true, true, true, true}},
        {"NoW", "+1 day", {true, true, true, true}},
        {"subsec", "subsec", {true, true, true, true}},
        {"2026-01-01", "subsec", {false, false, false, false}},
        {"2026-01-01", "LocalTime", {false, true, true, false}},
        {"2026-01-01", "utc", {false, true, true, false}},
        {"2026-01-01", "now", {false, true, true, false}},
        {" now", "nothing", {false, false, false, false}},
    };
    static const char *const texts[] = {"date(note)", "datetime(note, '+1 day', site)",
                                        "strftime('now', note, site)",
                                        "timediff('2026-01-01', note)"};
    struct arena *arena = arena_new(4096);
    uint32_t rows[COUNT(cases)];
    for (size_t i = 0; i < COUNT(cases); i++) {
        rows[i] = fixture_add_row(batch);
        fixture_set_text(batch, FIELD_NOTE, rows[i], cases[i].note);
        fixture_set_text(batch, FIELD_SITE, rows[i], cases[i].site);
    }
    struct sql_program *program = compile(arena, texts, COUNT(texts));
    struct sql_result *results =
        run(arena, program, batch, COUNT(texts), rows, (uint32_t)COUNT(cases));
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t e = 0; e < COUNT(texts); e++) {
            const struct sql_result *result = &results[e * COUNT(cases) + i];
            if (result->failed != cases[i].fails[e]) {
                print_error("%s of %s, %s: %s\n", texts[e], cases[i].note, cases[i].site,
                            fixture_show(arena, result));
            }
            assert_int_equal(result->failed, cases[i].fails[e]);
        }
    }
    sql_program_free(program);
    batch_free(batch);
    arena_free(arena);
}

static void fill_random_row(struct batch *batch, uint32_t row, struct prng *prng)
{
    static const char *const notes[] = {"now",
                                        "{",
                                        "{}",
                                        "[1]",
                                        "2026-01-01",
                                        "\xc3\xa4"
                                        "bc",
                                        "",
                                        "12 monkeys",
                                        "%a%"};
    static const char *const times[] = {"2026-01-01T00:00:00Z", "2026-01-01T00:30:00+01:00",
                                        "2025-06-01t12:00:00.25z", "soon"};
    if (prng_below(prng, 8) > 0) {
        fixture_set_text(batch, FIELD_NOTE, row, notes[prng_below(prng, COUNT(notes))]);
    }
    if (prng_below(prng, 8) > 0) {
        fixture_set_text(batch, FIELD_SITE, row, notes[prng_below(prng, COUNT(notes))]);
    }
    if (prng_below(prng, 8) > 0) {
        fixture_set_text(batch, FIELD_EVENT_TIME, row, times[prng_below(prng, COUNT(times))]);
    }
    if (prng_below(prng, 8) > 0) {
        int64_t extreme = prng_below(prng, 2) == 0 ? INT64_MIN : INT64_MAX;
        int64_t small = (int64_t)prng_below(prng, 5) - 2;
        fixture_set_integer(batch, FIELD_TALLY, row, prng_below(prng, 3) == 0 ? extreme : small);
    }
    if (prng_below(prng, 8) > 0) {
        fixture_set_real(batch, FIELD_TEMPERATURE, row, prng_unit(prng) * 100.0 - 30.0);
    }
}

static const char *const varied[] = {
    "abs(tally)",
    "json(note)",
    "date(note)",
    "temperature * 1.8 + 32",
    "tally + 1",
    "event_time > '2026-01-01' AND site <> 'x'",
    "event_time",
    "site LIKE note",
    "CASE WHEN tally > 0 THEN json('{') WHEN tally < 0 THEN abs(-9223372036854775807 - 1) END",
    "printf('%.1s|%s', site, note)",
    "tally IN (1, 2, length(note))",
    "tally IN (1, 2, length(json('{}')))",
    "note || json_quote(tally)",
};

/* The same rows give the same results, however they are cut. */
static void test_rows_are_independent(void **state)
{
    (void)state;
    enum { ROWS = 300, ROUNDS = 30 };
    struct prng prng;
    prng_init(&prng, 4);
    struct arena *arena = arena_new(4096);
    struct batch *batch = batch_new(&fixture_layout);
    uint32_t rows[ROWS];
    for (uint32_t i = 0; i < ROWS; i++) {
        rows[i] = fixture_add_row(batch);
        fill_random_row(batch, rows[i], &prng);
    }
    struct sql_program *program = compile(arena, varied, COUNT(varied));
    struct sql_result *whole = run(arena, program, batch, COUNT(varied), rows, ROWS);
    uint32_t failed = 0;
    for (uint32_t i = 0; i < COUNT(varied) * ROWS; i++) {
        failed += whole[i].failed ? 1 : 0;
    }
    assert_true(failed > ROWS && failed < ROWS * COUNT(varied) / 2);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t first = 0; first < ROWS;) {
            uint32_t count = 1 + (uint32_t)prng_below(&prng, round + 1);
            count = count > ROWS - first ? ROWS - first : count;
            struct sql_result *part =
                run(arena, program, batch, COUNT(varied), rows + first, count);
            for (uint32_t e = 0; e < COUNT(varied); e++) {
                for (uint32_t i = 0; i < count; i++) {
                    assert_string_equal(fixture_show(arena, &part[e * count + i]),
                                        fixture_show(arena, &whole[e * ROWS + first + i]));
                }
            }
            first += count;
        }
    }
    sql_program_free(program);
    batch_free(batch);
    arena_free(arena);
}

/* Expressions give the same alone and beside others; a list of rows may leave rows out. */
static void test_expressions_are_independent(void **state)
{
    (void)state;
    enum { ROWS = 200, PICKED = 50 };
    struct prng prng;
    prng_init(&prng, 5);
    struct arena *arena = arena_new(4096);
    struct batch *batch = batch_new(&fixture_layout);
    uint32_t picked[PICKED];
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t row = fixture_add_row(batch);
        fill_random_row(batch, row, &prng);
        if (i % 4 == 1) {
            picked[i / 4] = row;
        }
    }
    struct sql_program *together = compile(arena, varied, COUNT(varied));
    struct sql_result *whole = run(arena, together, batch, COUNT(varied), picked, PICKED);
    for (uint32_t e = 0; e < COUNT(varied); e++) {
        struct sql_program *alone = compile(arena, &varied[e], 1);
        struct sql_result *results = run(arena, alone, batch, 1, picked, PICKED);
        for (uint32_t i = 0; i < PICKED; i++) {
            assert_string_equal(fixture_show(arena, &results[i]),
                                fixture_show(arena, &whole[e * PICKED + i]));
        }
        sql_program_free(alone);
    }
    sql_program_free(together);
    batch_free(batch);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_nulls),
        cmocka_unit_test(test_odd_cells),
        cmocka_unit_test(test_nul_bytes_and_large_texts),
        cmocka_unit_test(test_error_costs_its_row_and_expression),
        cmocka_unit_test(test_now_from_the_data),
        cmocka_unit_test(test_rows_are_independent),
        cmocka_unit_test(test_expressions_are_independent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
