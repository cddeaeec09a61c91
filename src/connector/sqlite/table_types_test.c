#include "connector/sqlite/table_types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

/* SQLite is asked for each, so that the tables are right about SQLite and not only about us. */
static const char *type_in_column(sqlite3 *database, const char *declared, const char *text,
                                  size_t size, char *out)
{
    char sql[200];
    sqlite3_stmt *statement = NULL;
    snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS t; CREATE TABLE t (c %s);", declared);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, "INSERT INTO t VALUES (?) RETURNING typeof(c)",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    if (text == NULL) {
        sqlite3_bind_int64(statement, 1, 7);
    } else {
        sqlite3_bind_text(statement, 1, text, (int)size, SQLITE_STATIC);
    }
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    strcpy(out, (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return out;
}

static sqlite3 *open_memory(void)
{
    sqlite3 *database = NULL;
    assert_int_equal(sqlite3_open(":memory:", &database), SQLITE_OK);
    return database;
}

static void test_affinities(void **state)
{
    (void)state;
    static const char *const types[] = {
        "", "INTEGER", "int", "BIGINT UNSIGNED", "TEXT", "varchar(20)", "NCLOB", "STRING", "UUID",
        "DATETIME", "BOOLEAN", "DECIMAL(10,2)", "NUMERIC", "REAL", "double precision", "FLOAT",
        "BLOB", "CHARINT", "FLOATING POINT", "REAL BLOB", "BLOBTEXT", "ANY",
    };
    sqlite3 *database = open_memory();
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char of_integer[20];
        char of_text[20];
        type_in_column(database, types[i], NULL, 0, of_integer);
        type_in_column(database, types[i], "7", 1, of_text);
        enum affinity expected = strcmp(of_integer, "text") == 0   ? AFFINITY_TEXT
                                 : strcmp(of_integer, "real") == 0 ? AFFINITY_REAL
                                 : strcmp(of_text, "text") == 0    ? AFFINITY_NONE
                                                                   : AFFINITY_NUMERIC;
        if (table_types_affinity(types[i], false) != expected) {
            fail_msg("%s", types[i]);
        }
    }
    assert_int_equal(table_types_affinity("any", true), AFFINITY_NONE);
    sqlite3_close(database);
}

static void test_numbers_in_texts(void **state)
{
    (void)state;
    static const struct bytes texts[] = {
#define TEXT(text) {(const uint8_t *)(text), sizeof(text) - 1}
        TEXT("7"), TEXT("007"), TEXT(" 7 "), TEXT("\t-7.5\n"), TEXT("+.5"), TEXT("5."), TEXT("."),
        TEXT(""), TEXT("-"), TEXT("1e5"), TEXT("1E+05"), TEXT("1e"), TEXT("1e+"), TEXT("e5"),
        TEXT("0x10"), TEXT("1_000"), TEXT("12a"), TEXT("7\0"), TEXT("7\0a"), TEXT("7 \0"),
        TEXT("\0" "7"), TEXT("1 2"), TEXT("Infinity"), TEXT("NaN"),
        TEXT("9223372036854775808"), TEXT("1e999"), TEXT("2024-05-01"), TEXT("- 7"),
        TEXT("\v\f\r7"), TEXT("7\xc2\xa0"), TEXT(" "), TEXT("1.2.3"), TEXT("--7"),
#undef TEXT
    };
    sqlite3 *database = open_memory();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char type[20];
        type_in_column(database, "NUMERIC", (const char *)texts[i].data, texts[i].size, type);
        if (table_types_is_number(texts[i]) != (strcmp(type, "text") != 0)) {
            fail_msg("text %zu becomes %s", i, type);
        }
    }
    sqlite3_close(database);
}

static void test_integers_in_a_column_of_reals(void **state)
{
    (void)state;
    static const struct {
        int64_t integer;
        bool changes;
    } cases[] = {
        {0, false}, {-7, false}, {INT64_C(1) << 53, false}, {(INT64_C(1) << 53) + 1, true},
        {INT64_MAX, true}, {INT64_MIN, false}, {INT64_MAX - 1023, false},
    };
    struct table_row row = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct table_cell cell = {.type = VALUE_INT64, .integer = cases[i].integer};
        assert_int_equal(table_types_changes(&row, &cell, AFFINITY_REAL), cases[i].changes);
        assert_false(table_types_changes(&row, &cell, AFFINITY_NUMERIC));
        assert_true(table_types_changes(&row, &cell, AFFINITY_TEXT));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_affinities),
        cmocka_unit_test(test_numbers_in_texts),
        cmocka_unit_test(test_integers_in_a_column_of_reals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
