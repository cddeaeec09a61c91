#include "sql/sql_calendar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/memory.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Arguments as literals of SQL; those from `refused_from` on must always be refused, wherever an
 * argument is about time. */
static const char *const arguments[] = {
    "'2026-01-31 12:34:56.789'",
    "'2026-01-31T12:34:56Z'",
    "'2026-02-31'",
    "2461072.5",
    "1769860800",
    "NULL",
    "'nonsense'",
    "''",
    "x'323032362d30312d3331'",
    "'+1 month'",
    "'start of day'",
    "'weekday 1'",
    "'unixepoch'",
    "'auto'",
    "'subsec'",
    "'Subsecond'",
    "' now'",
    "'now '",
    "'localtime2'",
    "'%Y-%m-%d %H:%M:%f'",
    "'%s %J'",
    "'now'",
    "'NoW'",
    "x'6e6f77'",
    "CAST(x'6e6f7700ff' AS TEXT)",
    "'localtime'",
    "'LOCALTIME'",
    "'utc'",
    "'uTC'",
};

enum { REFUSED_FROM = 21 };

/* Whether the calendar's own rule, and not SQLite's, may refuse the argument at that place. */
static bool is_refused(size_t index, size_t position)
{
    bool is_subsec = index == 14 || index == 15;
    return index >= REFUSED_FROM || (is_subsec && position == 0);
}

struct outcome {
    bool failed;
    char text[128]; /* type and value, or the message */
};

static struct outcome evaluate(sqlite3 *db, const char *sql)
{
    struct outcome outcome = {0};
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    outcome.failed = sqlite3_step(statement) != SQLITE_ROW;
    if (outcome.failed) {
        sqlite3_snprintf(sizeof outcome.text, outcome.text, "%s", sqlite3_errmsg(db));
    } else {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        sqlite3_snprintf(sizeof outcome.text, outcome.text, "%d:%s",
                         sqlite3_column_type(statement, 0), text == NULL ? "" : text);
    }
    sqlite3_finalize(statement);
    return outcome;
}

/* What SQLite's own function gives in a generated column: there it refuses the clock and the
 * zone itself. */
static struct outcome evaluate_original(sqlite3 *db, const char *call)
{
    char *sql = sqlite3_mprintf("DROP TABLE IF EXISTS t;"
                                "CREATE TABLE t(a, r GENERATED ALWAYS AS (%s) VIRTUAL);"
                                "INSERT INTO t(a) VALUES (1);",
                                call);
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    if (code != SQLITE_OK) {
        struct outcome outcome = {.failed = true};
        sqlite3_snprintf(sizeof outcome.text, outcome.text, "%s", sqlite3_errmsg(db));
        return outcome;
    }
    return evaluate(db, "SELECT r FROM t");
}

struct pair {
    sqlite3 *ours;
    sqlite3 *original;
};

static void compare_call(const struct pair *pair, const char *call, bool must_refuse)
{
    char *sql = sqlite3_mprintf("SELECT %s", call);
    struct outcome ours = evaluate(pair->ours, sql);
    sqlite3_free(sql);
    struct outcome original = evaluate_original(pair->original, call);
    /* Ours may be the stricter one, never the other way round. */
    bool right = must_refuse
                     ? ours.failed
                     : !ours.failed && !original.failed && strcmp(ours.text, original.text) == 0;
    if (!right) {
        print_error("%s gives %s, SQLite %s\n", call, ours.text, original.text);
    }
    assert_true(right);
}

static struct pair open_pair(struct sql_calendar **out_calendar)
{
    struct pair pair = {0};
    struct error err = {0};
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    assert_int_equal(sqlite3_open(":memory:", &pair.ours), SQLITE_OK);
    assert_int_equal(sqlite3_open(":memory:", &pair.original), SQLITE_OK);
    assert_int_equal(sql_calendar_new(pair.ours, out_calendar, &err), STATUS_OK);
    return pair;
}

static void close_pair(struct pair *pair, struct sql_calendar *calendar)
{
    assert_int_equal(sqlite3_close(pair->ours), SQLITE_OK);
    assert_int_equal(sqlite3_close(pair->original), SQLITE_OK);
    sql_calendar_free(calendar);
}

static void compare_one_argument(const struct pair *pair, const char *name, const char *format)
{
    for (size_t a = 0; a < COUNT(arguments); a++) {
        char *call = sqlite3_mprintf("%s(%s%s)", name, format, arguments[a]);
        compare_call(pair, call, is_refused(a, 0));
        sqlite3_free(call);
    }
}

static void compare_more_arguments(const struct pair *pair, const char *name, const char *format,
                                   bool three)
{
    for (size_t a = 0; a < COUNT(arguments); a++) {
        for (size_t b = 0; b < COUNT(arguments); b++) {
            char *call = sqlite3_mprintf("%s(%s%s, %s)", name, format, arguments[a], arguments[b]);
            size_t position = strcmp(name, "timediff") == 0 ? 0 : 1;
            compare_call(pair, call, is_refused(a, 0) || is_refused(b, position));
            sqlite3_free(call);
            if (three) {
                call = sqlite3_mprintf("%s(%s%s, '+1 day', %s)", name, format, arguments[a],
                                       arguments[b]);
                compare_call(pair, call, is_refused(a, 0) || is_refused(b, 2));
                sqlite3_free(call);
            }
        }
    }
}

static void test_as_sqlite_or_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"date", "TIME", "datetime", "julianday", "unixepoch"};
    static const char *const formats[] = {"'%Y-%m-%d %H:%M:%f %w %j', ", "'now', ", "NULL, "};
    struct sql_calendar *calendar = NULL;
    struct pair pair = open_pair(&calendar);
    for (size_t i = 0; i < COUNT(names); i++) {
        compare_one_argument(&pair, names[i], "");
        compare_more_arguments(&pair, names[i], "", true);
    }
    for (size_t i = 0; i < COUNT(formats) - 1; i++) {
        compare_one_argument(&pair, "strftime", formats[i]);
        compare_more_arguments(&pair, "strftime", formats[i], false);
    }
    close_pair(&pair, calendar);
}

static void test_timediff(void **state)
{
    (void)state;
    struct sql_calendar *calendar = NULL;
    struct pair pair = open_pair(&calendar);
    for (size_t a = 0; a < COUNT(arguments); a++) {
        for (size_t b = 0; b < COUNT(arguments); b++) {
            char *call = sqlite3_mprintf("timediff(%s, %s)", arguments[a], arguments[b]);
            compare_call(&pair, call, is_refused(a, 0) || is_refused(b, 0));
            sqlite3_free(call);
        }
    }
    close_pair(&pair, calendar);
}

static void test_no_time_means_now(void **state)
{
    (void)state;
    static const char *const calls[] = {"date()",      "time()",         "datetime()",
                                        "julianday()", "unixepoch()",    "strftime('%s')",
                                        "strftime()",  "strftime(NULL)", "DATE()"};
    struct sql_calendar *calendar = NULL;
    struct pair pair = open_pair(&calendar);
    for (size_t i = 0; i < COUNT(calls); i++) {
        compare_call(&pair, calls[i], true);
    }
    close_pair(&pair, calendar);
}

static void test_literals(void **state)
{
    (void)state;
    assert_non_null(sql_calendar_refuses_argument("DateTime", 0, "Now"));
    assert_non_null(sql_calendar_refuses_argument("date", 3, "utc"));
    assert_non_null(sql_calendar_refuses_argument("date", 0, "subsec"));
    assert_null(sql_calendar_refuses_argument("date", 1, "subsec"));
    assert_non_null(sql_calendar_refuses_argument("timediff", 1, "subsec"));
    assert_null(sql_calendar_refuses_argument("strftime", 0, "now"));
    assert_non_null(sql_calendar_refuses_argument("strftime", 1, "now"));
    assert_null(sql_calendar_refuses_argument("upper", 0, "now"));
    assert_non_null(sql_calendar_refuses_count("date", 0));
    assert_null(sql_calendar_refuses_count("date", 1));
    assert_non_null(sql_calendar_refuses_count("StrFTime", 1));
    assert_null(sql_calendar_refuses_count("strftime", 2));
    assert_null(sql_calendar_refuses_count("pi", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_sqlite_or_refused),
        cmocka_unit_test(test_timediff),
        cmocka_unit_test(test_no_time_means_now),
        cmocka_unit_test(test_literals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
