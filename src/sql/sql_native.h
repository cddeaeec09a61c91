/*
 * Native: simple expressions evaluated by our own code, column at a time, instead of by SQLite.
 *
 * An expression is taken only where the result is SQLite's by its documented and tested rules: the
 * same type, the same bits. That is arithmetic, comparisons and logic over columns of integers,
 * numbers, booleans and plain texts, and a few functions; sql_native_compile.c says which, and
 * gives up at the first thing it does not know. SQLite has compiled and vetted the expression
 * before, and its statement stays: rows in which the native way might differ (an integer overflow
 * that SQLite calls an error, a text longer than SQLite takes or not UTF-8) are DEFERRED to it.
 *
 * The code is a list of operations over vectors of at most SQL_NATIVE_ROWS values. A vector has a
 * tag per row (what the value is, as it may differ from row to row) and the values. Columns are
 * read into vectors once for all expressions; constants stand in vectors that are filled once;
 * each operation has a vector of its own, used again by the next expression. Nothing is allocated
 * while running, but for texts that the results must own.
 *
 * Values of rows whose tag is NULL mean nothing, so every operation must be harmless for any value.
 */
#ifndef WEIR_SQL_SQL_NATIVE_H
#define WEIR_SQL_SQL_NATIVE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "batch/batch.h"
#include "sql/sql.h"
#include "sql/sql_tokens.h"

/* Rows of a vector: few enough that all vectors of usual expressions stay in the nearest cache. */
#define SQL_NATIVE_ROWS 256u

/* What a value is. Bits, so that the tags of two operands of one type can be joined by &. */
enum sql_tag { SQL_TAG_NULL = 0, SQL_TAG_INTEGER = 1, SQL_TAG_REAL = 2, SQL_TAG_TEXT = 4 };

/* What is known of a vector at compile time: its tags are NULL and … */
enum sql_vector_kind {
    SQL_VECTOR_INTEGER, /* SQL_TAG_INTEGER */
    SQL_VECTOR_REAL,    /* SQL_TAG_REAL */
    SQL_VECTOR_NUMBER,  /* either of the two */
    SQL_VECTOR_TEXT,    /* SQL_TAG_TEXT */
    SQL_VECTOR_CELL,    /* SQL_TAG_INTEGER for "not NULL"; no values */
};

union sql_number {
    int64_t integer;
    double real;
};

struct sql_vector {
    uint8_t *tags;
    union {
        int64_t *integers;         /* SQL_VECTOR_INTEGER */
        double *reals;             /* SQL_VECTOR_REAL */
        union sql_number *numbers; /* all kinds of numbers */
        struct bytes *texts;       /* SQL_VECTOR_TEXT */
    };
};

/* The suffix says what the operands are. A truth is an integer vector whose values are 0 or 1, in
 * rows that are NULL too. */
enum sql_native_code {
    SQL_NATIVE_TO_REAL, /* a number, as SQLite does before it calculates with reals */
    SQL_NATIVE_ADD_REAL,
    SQL_NATIVE_SUBTRACT_REAL,
    SQL_NATIVE_MULTIPLY_REAL,
    SQL_NATIVE_DIVIDE_REAL,
    SQL_NATIVE_ADD_INTEGER, /* gives numbers: what overflows becomes real; so do the next three */
    SQL_NATIVE_SUBTRACT_INTEGER,
    SQL_NATIVE_MULTIPLY_INTEGER,
    SQL_NATIVE_DIVIDE_INTEGER,
    SQL_NATIVE_ADD_NUMBER,
    SQL_NATIVE_SUBTRACT_NUMBER,
    SQL_NATIVE_MULTIPLY_NUMBER,
    SQL_NATIVE_DIVIDE_NUMBER,
    SQL_NATIVE_REMAINDER_NUMBER,
    SQL_NATIVE_LESS_INTEGER, /* from here on truths */
    SQL_NATIVE_LESS_REAL,
    SQL_NATIVE_LESS_NUMBER,
    SQL_NATIVE_LESS_TEXT,
    SQL_NATIVE_EQUAL_INTEGER,
    SQL_NATIVE_EQUAL_REAL,
    SQL_NATIVE_EQUAL_NUMBER,
    SQL_NATIVE_EQUAL_TEXT,
    SQL_NATIVE_SAME, /* IS: a and b with NULL equal to NULL, where c is a = b */
    SQL_NATIVE_IS_NULL,
    SQL_NATIVE_TRUTH_INTEGER,
    SQL_NATIVE_TRUTH_REAL,
    SQL_NATIVE_TRUTH_NUMBER,
    SQL_NATIVE_NOT,
    SQL_NATIVE_AND,
    SQL_NATIVE_OR,
    SQL_NATIVE_IS_TRUE, /* a is a truth */
    SQL_NATIVE_IS_FALSE,
    SQL_NATIVE_FIRST_NUMBER, /* coalesce(a, b) */
    SQL_NATIVE_FIRST_TEXT,
    SQL_NATIVE_ABSOLUTE_NUMBER, /* defers rows that overflow */
    SQL_NATIVE_LEAST_NUMBER,
    SQL_NATIVE_GREATEST_NUMBER,
};

/* Fields that a code does not use are 0. */
struct sql_native_operation {
    uint8_t code;    /* enum sql_native_code */
    bool negate;     /* of a truth: the opposite */
    uint16_t result; /* vectors */
    uint16_t a, b, c;
};

struct sql_native_expression {
    uint32_t index; /* in the program */
    uint32_t first; /* operation */
    uint32_t count;
    uint16_t result;
    bool owns_texts; /* texts of results are copied: they may be the program's own literals */
    enum sql_vector_kind kind;
};

/* A vector that is filled from the batch. */
struct sql_native_column {
    uint32_t field;
    uint16_t vector;
    enum column_type type;
    enum sql_vector_kind kind;
};

/* A row of an expression that is left to SQLite. */
struct sql_native_deferral {
    uint32_t expression; /* in the program */
    uint32_t row;        /* index in the list of rows */
};

struct sql_native {
    struct sql_native_expression *expressions;
    uint32_t expression_count;
    struct sql_native_operation *operations;
    struct sql_native_column *columns;
    uint32_t column_count;
    struct sql_vector *vectors;

    /* While it runs: */
    uint8_t *deferred;       /* [SQL_NATIVE_ROWS] of the expression at hand */
    uint8_t *unfit;          /* [SQL_NATIVE_ROWS] rows in which some text is too long */
    struct buffer deferrals; /* of struct sql_native_deferral */
};

/* --- Compiling --- */

struct sql_native_compiler;

/* `db` evaluates literals. */
struct sql_native_compiler *sql_native_compiler_new(struct arena *arena,
                                                    const struct layout *layout,
                                                    const bool *is_time, sqlite3 *db);
/* Takes the expression, which SQLite has accepted and whose tokens are resolved; false: it is not
 * simple enough. */
bool sql_native_compile(struct sql_native_compiler *compiler, uint32_t expression,
                        const struct sql_tokens *tokens);
/* All that was taken, in the arena; NULL when nothing was. Ends the compiler. */
struct sql_native *sql_native_compiler_finish(struct sql_native_compiler *compiler);

/* --- Running --- */

/* Evaluates its expressions for the rows named; other results are left alone. Fills
 * native->deferrals with the results that it leaves to SQLite. */
void sql_native_run(struct sql_native *native, const struct batch *batch, const uint32_t *rows,
                    uint32_t row_count, struct sql_result *results);
/* One operation over the first `count` rows. Sets deferred[row] for rows that SQLite must do. */
void sql_native_operate(const struct sql_native_operation *operation, struct sql_vector *vectors,
                        uint32_t count, uint8_t *deferred);
/* Takes NULL. */
void sql_native_fini(struct sql_native *native);

#endif
