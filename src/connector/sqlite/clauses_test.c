#include "connector/sqlite/clauses.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <sqlite3.h>

/* What stands behind REFERENCES p(a) in a table's SQL, and whether SQLite defers the check: it is
 * asked for each, so that the table is right about SQLite and not only about us. */
static const struct {
    const char *clause;
    bool deferred;
} clauses[] = {
    {"", false},
    {"DEFERRABLE", false},
    {"DEFERRABLE INITIALLY IMMEDIATE", false},
    {"NOT DEFERRABLE", false},
    {"NOT DEFERRABLE INITIALLY DEFERRED", false},
    {"NOT/**/DEFERRABLE --x\n INITIALLY DEFERRED", false},
    {"DEFERRABLE INITIALLY DEFERRED", true},
    {"ON DELETE CASCADE deferrable initially deferred", true},
    {"DEFERRABLE\n INITIALLY/**/DEFERRED", true},
    {"DEFERRABLE\tINITIALLY -- IMMEDIATE\n\f DEFERRED", true},
    {"DEFERRABLE/* 'quote */INITIALLY/* \" */DEFERRED", true},
    {"DEFERRABLE INITIALLY DEFERRED NOT NULL", true},
    {"DEFERRABLE INITIALLY DEFERRED, c TEXT DEFAULT 'it''s'", true},
    {"/* DEFERRABLE INITIALLY DEFERRED */", false},
    {"-- DEFERRABLE INITIALLY DEFERRED\n", false},
    {", c TEXT DEFAULT 'DEFERRABLE INITIALLY DEFERRED'", false},
    {", c TEXT DEFAULT 'a'' DEFERRABLE INITIALLY DEFERRED'", false},
    {", \"DEFERRABLE INITIALLY DEFERRED\" TEXT", false},
    {", \"DEFERRABLE\" INITIALLY DEFERRED", false},
    {", `a``DEFERRABLE` TEXT, [DEFERRABLE INITIALLY DEFERRED] TEXT", false},
    {", INITIALLY DEFERRED", false},
    {", xDEFERRABLE INITIALLY, DEFERRED", false},
};

static bool sqlite_defers(const char *table)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA foreign_keys=1; CREATE TABLE p(a PRIMARY KEY)", NULL,
                                  NULL, NULL),
                     SQLITE_OK);
    if (sqlite3_exec(db, table, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", table, sqlite3_errmsg(db));
    }
    assert_int_equal(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    int code = sqlite3_exec(db, "INSERT INTO t(b) VALUES (1)", NULL, NULL, NULL);
    assert_true(code == SQLITE_OK || code == SQLITE_CONSTRAINT);
    sqlite3_close(db);
    return code == SQLITE_OK;
}

static void test_clauses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof clauses / sizeof clauses[0]; i++) {
        char sql[256];
        snprintf(sql, sizeof sql, "CREATE TABLE t(b INTEGER REFERENCES p(a) %s)",
                 clauses[i].clause);
        assert_int_equal(sqlite_defers(sql), clauses[i].deferred);
        if (clauses_defer(sql) != clauses[i].deferred) {
            fail_msg("%s", sql);
        }
    }
}

/* What never stands in sqlite_schema must end too. */
static void test_open_ends(void **state)
{
    (void)state;
    assert_false(clauses_defer(""));
    assert_false(clauses_defer("'DEFERRABLE INITIALLY DEFERRED"));
    assert_false(clauses_defer("/* DEFERRABLE INITIALLY DEFERRED"));
    assert_false(clauses_defer("/*/ DEFERRABLE INITIALLY DEFERRED"));
    assert_false(clauses_defer("-- DEFERRABLE INITIALLY DEFERRED"));
    assert_false(clauses_defer("["));
    assert_true(clauses_defer("\xff\xfe DEFERRABLE INITIALLY DEFERRED"));
}

static void test_replace(void **state)
{
    (void)state;
    assert_true(clauses_replace("CREATE TABLE t (a UNIQUE ON CONFLICT REPLACE)"));
    assert_true(clauses_replace("CREATE TABLE t (a, UNIQUE (a) on/**/conflict --x\n replace)"));
    assert_false(clauses_replace("CREATE TABLE t (a UNIQUE ON CONFLICT IGNORE)"));
    assert_false(clauses_replace("CREATE TABLE t (a DEFAULT 'ON CONFLICT REPLACE')"));
    assert_false(clauses_replace("CREATE TABLE t (a UNIQUE ON CONFLICT/* REPLACE */FAIL)"));
    assert_false(clauses_replace("CREATE TABLE t (a DEFAULT (replace('x', 'y', 'z')))"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clauses),
        cmocka_unit_test(test_open_ends),
        cmocka_unit_test(test_replace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
