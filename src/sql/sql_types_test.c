#include "sql/sql_types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "sql/sql_fixture.h"
#include "sql/sql_names.h"
#include "sql/sql_refusal.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum status check_whole(struct arena *arena, const char *text, struct sql_part *out_whole,
                               struct error *err)
{
    struct sql_expression expression = fixture_expression(text);
    struct sql_tokens tokens;
    assert_int_equal(sql_tokens_cut(arena, &expression, &tokens, err), STATUS_OK);
    assert_int_equal(sql_names_resolve(arena, &fixture_layout, &expression, &tokens, err),
                     STATUS_OK);
    return sql_types_check(arena, &fixture_layout, fixture_is_time, &expression, &tokens, out_whole,
                           err);
}

static enum status check_types(struct arena *arena, const char *text, enum sql_kind *out_kind,
                               struct error *err)
{
    struct sql_part whole = {0};
    enum status status = check_whole(arena, text, &whole, err);
    if (out_kind != NULL) {
        *out_kind = whole.kind;
    }
    return status;
}

/* What is made of integers alone overflows when SQLite gives a real. */
static void test_integers(void **state)
{
    (void)state;
    static const char *const integers[] = {
        "tally",
        "(tally)",
        "-tally",
        "+tally",
        "~temperature",
        "tally + 9223372036854775807",
        "tally * 2 - mode / 3 % 4",
        "tally << 1",
        "temperature | 1",
        "tally > 5",
        "active + 1",
        "abs(tally)",
        "coalesce(tally, mode, 1)",
        "min(tally, 2) * 2",
        "nullif(tally, 0)",
        "iif(active, tally, 0)",
        "CASE WHEN active THEN tally ELSE mode END",
        "CASE tally WHEN 1 THEN tally END",
        "CAST(temperature AS INTEGER)",
    };
    static const char *const others[] = {
        "temperature",
        "tally + 1.0",
        "tally * 1e3",
        "tally + 9223372036854775808",
        "-9223372036854775808",
        "tally + temperature",
        "abs(temperature)",
        "coalesce(temperature, 1)",
        "coalesce(1, temperature)",
        "CASE WHEN active THEN temperature ELSE 1 END",
        "CASE WHEN active THEN 1 ELSE temperature END",
        "CAST(tally AS REAL)",
        "round(tally)",
        "site + 1",
        "tags + 1",
        "site || tally",
    };
    for (size_t i = 0; i < COUNT(integers) + COUNT(others); i++) {
        bool is_integer = i < COUNT(integers);
        const char *text = is_integer ? integers[i] : others[i - COUNT(integers)];
        struct arena *arena = arena_new(4096);
        struct error err = {0};
        struct sql_part whole = {0};
        assert_int_equal(check_whole(arena, text, &whole, &err), STATUS_OK);
        if (whole.is_integer != is_integer) {
            fail_msg("%s", text);
        }
        arena_free(arena);
    }
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum sql_kind kind;
    } cases[] = {
        {"tally", SQL_KIND_NUMBER},
        {"active", SQL_KIND_BOOL},
        {"site", SQL_KIND_TEXT},
        {"event_time", SQL_KIND_TIME},
        {"tags", SQL_KIND_JSON},
        {"location", SQL_KIND_JSON},
        {"location.lat", SQL_KIND_NUMBER},
        {"NULL", SQL_KIND_UNKNOWN},
        {"x'00'", SQL_KIND_BLOB},
        {"tally + 1 || 'a'", SQL_KIND_NUMBER},
        {"'a' || tally * 2", SQL_KIND_NUMBER},
        {"site || tally", SQL_KIND_TEXT},
        {"-site", SQL_KIND_NUMBER},
        {"+site", SQL_KIND_TEXT},
        {"- site || 'a'", SQL_KIND_TEXT},
        {"~ tally COLLATE nocase", SQL_KIND_NUMBER},
        {"NOT site || 'a'", SQL_KIND_BOOL},
        {"tally > 1 AND site || 'a'", SQL_KIND_BOOL},
        {"site LIKE 'a' ESCAPE 'b' OR 5", SQL_KIND_BOOL},
        {"site IS NOT NULL", SQL_KIND_BOOL},
        {"site NOT NULL", SQL_KIND_BOOL},
        {"tally BETWEEN 1 AND 2 AND site = 'a'", SQL_KIND_BOOL},
        {"tally NOT IN (1, 2) = active", SQL_KIND_BOOL},
        {"tags ->> '$' > 5", SQL_KIND_BOOL},
        {"tags ->> '$'", SQL_KIND_UNKNOWN},
        {"CASE WHEN active THEN 'a' ELSE site END", SQL_KIND_TEXT},
        {"CASE WHEN active THEN 'a' ELSE 5 END", SQL_KIND_UNKNOWN},
        {"CASE WHEN active THEN event_time END", SQL_KIND_TIME_TEXT},
        {"coalesce(event_time, NULL, '')", SQL_KIND_TIME_TEXT},
        {"coalesce(event_time, received) COLLATE weir_time", SQL_KIND_TIME},
        {"CASE (tally) WHEN 5 THEN active ELSE 5 END", SQL_KIND_NUMBER},
        {"CAST(site AS DECIMAL(10, 2))", SQL_KIND_NUMBER},
        {"CAST(tally AS varchar)", SQL_KIND_TEXT},
        {"CAST(tally AS BLOB)", SQL_KIND_BLOB},
        {"coalesce(temperature, tally, 0)", SQL_KIND_NUMBER},
        {"ifnull(site, 5)", SQL_KIND_UNKNOWN},
        {"iif(active, 'a', site)", SQL_KIND_TEXT},
        {"iif(active, 5, active, 7)", SQL_KIND_NUMBER},
        {"nullif(event_time, '2026-01-01')", SQL_KIND_TIME_TEXT},
        {"UPPER(site)", SQL_KIND_TEXT},
        {"event_time COLLATE binary", SQL_KIND_TEXT},
        {"site COLLATE WEIR_TIME", SQL_KIND_TIME},
        {"(tally)", SQL_KIND_NUMBER},
        {"(tally, site) = (1, 'a')", SQL_KIND_BOOL},
        {"tally <<", SQL_KIND_UNKNOWN},
        {"tally site", SQL_KIND_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena *arena = arena_new(4096);
        struct error err = {0};
        enum sql_kind kind = SQL_KIND_BLOB;
        enum status status = check_types(arena, cases[i].text, &kind, &err);
        if (status != STATUS_OK || kind != cases[i].kind) {
            print_error("%s: %s, kind %d\n", cases[i].text, err.message, (int)kind);
        }
        assert_int_equal(status, STATUS_OK);
        assert_int_equal(kind, cases[i].kind);
        arena_free(arena);
    }
}

static void test_unlike_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *part;
    } cases[] = {
        {"temperature > 'abc'", "temperature is a number and 'abc' is a text"},
        {"temperature > '5'", "write the number without quotes"},
        {"'abc' < temperature", "'abc' is a text and temperature is a number"},
        {"site = 5", "write the text '5'"},
        {"tally > 1 AND NOT (site) = -5", "(site) is a text and -5 is a number"},
        {"tally = site", "tally is a number and site is a text"},
        {"tally + 1 > site || 'a'", "tally + 1 is a number and site || 'a' is a text"},
        {"site == length(site)", "length(site) is a number"},
        {"site <> 5", "site"},
        {"site IS 5", "site"},
        {"site IS NOT 5", "site"},
        {"site IS NOT DISTINCT FROM 5", "site"},
        {"tally BETWEEN 1 AND 'b'", "'b'"},
        {"tally NOT BETWEEN 'a' AND 2", "'a'"},
        {"site IN ('a', 'b', 3)", "3 is a number"},
        {"tally NOT IN (1, 'b')", "'b' is a text"},
        {"CASE site WHEN 'a' THEN 1 WHEN 2 THEN 3 END > 0", "2 is a number"},
        {"nullif(temperature, 'N/A') > 5", "'N/A'"},
        {"abs(coalesce(temperature, site) = tally = 'a')", "a text"},
        {"iif(active, site = 5, 0)", "site"},
        {"upper(substr(site, 1, site = 5))", "site"},
        {"active = 2", "a boolean is true or false"},
        {"active > -1", "a boolean is true or false"},
        {"active = 'true'", "a boolean is true or false"},
        {"1 < tally < 5", "1 < tally is a boolean and 5 is a number"},
        {"event_time > 5", "a point in time"},
        {"unixepoch(received) > event_time", "a point in time"},
        {"event_time > 'yesterday'", "'yesterday' is compared with the point in time event_time"},
        {"'2026-13-01' < event_time", "is no timestamp"},
        {"event_time IN ('2026-01-01', '2026-01-01T10:00')", "'2026-01-01T10:00'"},
        {"event_time BETWEEN '2026-01-01' AND '2026-02-30'", "'2026-02-30'"},
        {"event_time = active", "a boolean"},
        {"coalesce(event_time, received) > '2026-01-01'", "COLLATE weir_time"},
        {"iif(active, event_time, NULL) = '2026-01-01'", "COLLATE weir_time"},
        {"'2026-01-01' < CASE WHEN active THEN event_time END", "COLLATE weir_time"},
        {"ifnull(event_time, '') BETWEEN '2026-01-01' AND '2026-01-02'", "COLLATE weir_time"},
        {"coalesce(event_time, received) IN ('2026-01-01')", "COLLATE weir_time"},
        {"site COLLATE weir_time > 'soon'", "is no timestamp"},
        {"tags = 'abc'", "->> '$'"},
        {"location.lat > '5'", "location.lat"},
        {"tags > 5", "JSON text"},
        {"location = active", "JSON text"},
        {"x'00' = site", "a blob"},
        {"temperature > 'abc' OR site = 5", "temperature"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena *arena = arena_new(4096);
        struct error err = {0};
        struct sql_program *program = NULL;
        enum status status = fixture_compile(arena, cases[i].text, &program, &err);
        bool right = status == STATUS_CONFIG && strcmp(err.code, SQL_CODE_TYPES) == 0 &&
                     strstr(err.message, cases[i].part) != NULL;
        if (!right) {
            print_error("%s\n  gave %s: %s\n", cases[i].text, err.code, err.message);
        }
        assert_true(right);
        arena_free(arena);
    }
}

/* A refusal is only sure when the whole expression was understood. */
static void test_not_understood_is_accepted(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    struct error err = {0};
    assert_int_equal(check_types(arena, "site = 5 site", NULL, &err), STATUS_OK);
    assert_int_equal(check_types(arena, "site = 5 FILTER (1)", NULL, &err), STATUS_OK);
    assert_int_equal(check_types(arena, "site = 5 AND CASE 1 2", NULL, &err), STATUS_OK);
    assert_int_equal(check_types(arena, "site = 5 AND", NULL, &err), STATUS_OK);
    arena_free(arena);
}

/* --- Soundness: what the parser calls a number, SQLite must never give as a text --- */

static const char *pick(struct prng *prng, const char *const *texts, size_t count)
{
    return texts[prng_below(prng, count)];
}

/* Appends a random expression, mostly without parentheses, so that the precedence decides. */
static void append_random(struct prng *prng, struct buffer *out, int depth)
{
    static const char *const atoms[] = {
        "temperature", "tally", "active", "site", "note", "tags", "location.lat",
        "event_time",  "1",     "2.5",    "'a'",  "'7'",  "NULL", "true",
    };
    static const char *const prefixes[] = {"-", "+ ", "~", "NOT ", "- "};
    static const char *const infixes[] = {
        "+", "-",  "*",   "/",  "%",  "||",     "&",    "|",        "<<",  ">>", "=", "<>",
        "<", ">=", "AND", "OR", "IS", "IS NOT", "LIKE", "NOT GLOB", "->>", "==", ">", "||",
    };
    static const char *const suffixes[] = {" ISNULL",         " NOTNULL",   " NOT NULL",
                                           " COLLATE nocase", " IN (1, 2)", " NOT IN ('a')"};
    static const char *const calls[] = {"abs",    "upper", "coalesce", "length", "iif",
                                        "nullif", "max",   "quote",    "ifnull", "round"};
    uint64_t choice = prng_below(prng, depth > 0 ? 12 : 3);
    if (choice < 3) {
        buffer_append_string(out, pick(prng, atoms, COUNT(atoms)));
    } else if (choice < 4) {
        buffer_append_string(out, pick(prng, prefixes, COUNT(prefixes)));
        append_random(prng, out, depth - 1);
    } else if (choice < 8) {
        append_random(prng, out, depth - 1);
        buffer_printf(out, " %s ", pick(prng, infixes, COUNT(infixes)));
        append_random(prng, out, depth - 1);
    } else if (choice < 9) {
        append_random(prng, out, depth - 1);
        buffer_append_string(out, pick(prng, suffixes, COUNT(suffixes)));
    } else if (choice < 10) {
        buffer_printf(out, "%s(", pick(prng, calls, COUNT(calls)));
        for (uint64_t i = 0, count = 1 + prng_below(prng, 3); i < count; i++) {
            buffer_append_string(out, i == 0 ? "" : ", ");
            append_random(prng, out, depth - 1);
        }
        buffer_append_byte(out, ')');
    } else if (choice < 11) {
        buffer_append_string(out, "CASE WHEN ");
        append_random(prng, out, depth - 1);
        buffer_append_string(out, " THEN ");
        append_random(prng, out, depth - 1);
        buffer_append_string(out, " ELSE ");
        append_random(prng, out, depth - 1);
        buffer_append_string(out, " END");
    } else {
        append_random(prng, out, depth - 1);
        buffer_append_string(out, " BETWEEN ");
        append_random(prng, out, depth - 1);
        buffer_append_string(out, " AND ");
        append_random(prng, out, depth - 1);
    }
}

static void fill_rows(struct batch *batch, uint32_t *rows, uint32_t count)
{
    static const char *const texts[] = {"a", "7", "", "zebra"};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows[i] = fixture_add_row(batch);
        if (i == 0) {
            continue;
        }
        fixture_set_real(batch, FIELD_TEMPERATURE, row, 1.5 * i - 2.0);
        fixture_set_real(batch, FIELD_LATITUDE, row, 50.0 + i);
        fixture_set_integer(batch, FIELD_TALLY, row, (int64_t)i - 2);
        fixture_set_boolean(batch, row, i % 2 == 1);
        fixture_set_text(batch, FIELD_SITE, row, texts[i % 4]);
        fixture_set_text(batch, FIELD_NOTE, row, texts[(i + 1) % 4]);
        fixture_set_text(batch, FIELD_TAGS, row, i % 2 == 1 ? "[1,\"b\"]" : "\"x\"");
        fixture_set_text(batch, FIELD_EVENT_TIME, row, "2026-01-01T01:00:00+01:00");
    }
}

/* True when a result of that type may come from an expression of that kind. */
static bool may_give(enum sql_kind kind, const struct sql_result *result)
{
    if (result->failed || result->value.type == VALUE_NULL) {
        return true;
    }
    bool is_text = result->value.type == VALUE_TEXT;
    switch (kind) {
    case SQL_KIND_NUMBER:
        return !is_text;
    case SQL_KIND_BOOL:
        return result->value.type == VALUE_INT64 &&
               (result->value.integer == 0 || result->value.integer == 1);
    case SQL_KIND_TEXT:
    case SQL_KIND_TIME:
    case SQL_KIND_TIME_TEXT:
    case SQL_KIND_JSON:
        return is_text;
    case SQL_KIND_BLOB:
    case SQL_KIND_UNKNOWN:
        break;
    }
    return true;
}

static void test_kinds_are_sound(void **state)
{
    (void)state;
    enum { ROWS = 6, TRIES = 2500 };
    struct prng prng;
    prng_init(&prng, 20260131);
    struct batch *batch = batch_new(&fixture_layout);
    uint32_t rows[ROWS];
    fill_rows(batch, rows, ROWS);
    uint32_t known = 0;
    for (uint32_t i = 0; i < TRIES; i++) {
        struct arena *arena = arena_new(4096);
        struct buffer text = {0};
        struct error err = {0};
        struct sql_program *program = NULL;
        append_random(&prng, &text, 3);
        enum status status = fixture_compile(arena, buffer_string(&text), &program, &err);
        enum sql_kind kind = SQL_KIND_UNKNOWN;
        if (status == STATUS_OK) {
            assert_int_equal(check_types(arena, buffer_string(&text), &kind, &err), STATUS_OK);
            struct sql_result results[ROWS];
            assert_int_equal(sql_program_run(program, batch, rows, ROWS, results, &err), STATUS_OK);
            for (uint32_t r = 0; r < ROWS; r++) {
                if (!may_give(kind, &results[r])) {
                    print_error("%s: row %u gives %s, but its kind is %d\n", buffer_string(&text),
                                r, fixture_show(arena, &results[r]), (int)kind);
                }
                assert_true(may_give(kind, &results[r]));
            }
        }
        known += kind == SQL_KIND_UNKNOWN ? 0 : 1;
        sql_program_free(program);
        buffer_fini(&text);
        arena_free(arena);
    }
    /* Otherwise the generator writes nothing that says anything. */
    assert_true(known > TRIES / 4);
    batch_free(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_unlike_refused),
        cmocka_unit_test(test_not_understood_is_accepted),
        cmocka_unit_test(test_kinds_are_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
