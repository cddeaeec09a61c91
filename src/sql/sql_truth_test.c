#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sqlite3.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "sql/sql.h"

static struct value text_value(const void *data, size_t size)
{
    return (struct value){.type = VALUE_TEXT, .text = bytes_of(data, size)};
}

static void test_types(void **state)
{
    (void)state;
    static const struct {
        struct value value;
        bool is_true;
        bool is_null;
    } cases[] = {
        {{.type = VALUE_NULL}, false, true},
        {{.type = VALUE_BOOL, .boolean = true}, true, false},
        {{.type = VALUE_BOOL, .boolean = false}, false, false},
        {{.type = VALUE_INT64, .integer = 0}, false, false},
        {{.type = VALUE_INT64, .integer = INT64_MIN}, true, false},
        {{.type = VALUE_DOUBLE, .real = -0.0}, false, false},
        {{.type = VALUE_DOUBLE, .real = 5e-324}, true, false},
        {{.type = VALUE_DOUBLE, .real = -1.5}, true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_null = !cases[i].is_null;
        assert_int_equal(sql_is_true(&cases[i].value, &is_null), cases[i].is_true);
        assert_int_equal(is_null, cases[i].is_null);
    }
}

static void compare_text(sqlite3_stmt *statement, const char *text, size_t size)
{
    struct value value = text_value(text, size);
    bool is_null = true;
    assert_int_equal(sqlite3_bind_text(statement, 1, text, (int)size, SQLITE_STATIC), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    bool expected = sqlite3_column_int(statement, 0) != 0;
    bool found = sql_is_true(&value, &is_null);
    if (found != expected) {
        print_error("'%.*s': SQLite says %d\n", (int)size, text, expected);
    }
    assert_int_equal(found, expected);
    assert_false(is_null);
    assert_int_equal(sqlite3_reset(statement), SQLITE_OK);
}

/* A text is true exactly when SQLite finds it so. */
static void test_texts_as_sqlite(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "abc",
        "1abc",
        "0",
        "0.0",
        "-0",
        " \t\n 5",
        "+5",
        "-",
        "--5",
        ".5",
        ".",
        "5.",
        ".e5",
        "0e5",
        "1e",
        "1e-400",
        "1e400",
        "0x10",
        "inf",
        "nan",
        "1e-320",
        "1e-323",
        "0.00000001",
        "0.0.1",
        "1e99999999999",
        "1e-99999999999",
        "000000000000000000000000000000000000000000000001",
        "0.000000000000000000000000000000000000000000000000000000000001",
    };
    static const char alphabet[] = "0010 .+-eE59x\t";
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT CASE WHEN ? THEN 1 ELSE 0 END", -1, &statement, NULL),
        SQLITE_OK);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        compare_text(statement, texts[i], strlen(texts[i]));
    }
    struct prng prng;
    prng_init(&prng, 1);
    for (int i = 0; i < 20000; i++) {
        char text[8];
        size_t size = prng_below(&prng, sizeof text + 1);
        for (size_t c = 0; c < size; c++) {
            /* With the NUL behind the alphabet. */
            text[c] = alphabet[prng_below(&prng, sizeof alphabet)];
        }
        compare_text(statement, text, size);
    }
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_texts_as_sqlite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
