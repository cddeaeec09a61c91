/*
 * SQL: SQLite expressions over the columns of a batch.
 *
 * An expression is accepted only if SQLite takes it as a generated column of a scratch table with
 * the layout's columns: that refuses subqueries, aggregates, window functions, rowid and functions
 * that are not deterministic. On top of that: only functions of a list are taken (none that reads
 * the machine or the library: sqlite_version, changes, random, …); comparing unlike types (a number
 * column with a text literal) is refused at check time, and so is a name that is no column (with
 * the nearest right one). The date functions refuse 'now', 'localtime' and 'utc': at check time as
 * literals, at run time, for that row, where they come from the data.
 *
 * Column names are the fields' paths, in any case of ASCII letters where that is clear; a nested
 * field is written location.lat or "location.lat"; strings are in single quotes (double-quoted
 * strings are off). Types seen: BOOL as 0/1, INT64, DOUBLE, TEXT, JSON and OBJECT as JSON text;
 * absent and null are NULL; fields with format date-time appear as ISO 8601 text in UTC
 * (time_format) with the collation weir_time, which compares points in time, so that comparing with
 * any RFC 3339 literal, with a date ('2026-01-31') and with the results of date() and datetime()
 * works. Functions do not hand a column's collation on: coalesce(event_time, …) is plain text.
 *
 * A PROGRAM is all expressions of one plan over one layout, compiled into one statement over a
 * virtual table whose rows are the batch's; it belongs to one thread. Simple expressions, which
 * SQLite has checked like the others, are evaluated without it, with the same results to the bit.
 * Results depend on the row alone. No value may be longer than 16 MiB on the way: that is an error
 * of its row.
 */
#ifndef WEIR_SQL_SQL_H
#define WEIR_SQL_SQL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "batch/batch.h"

struct sql_expression {
    const char *text;
    const char *what; /* for messages: "checks.dew_point.expect" */
    const char *file; /* place in the pipeline file */
    uint32_t line, column;
    bool is_condition; /* its truth is asked: a text, which has none, is refused */
};

struct sql_program;

/* `is_time[field]` marks date-time fields (NULL: none). CONFIG errors: sql.syntax,
 * sql.unknown_column, sql.not_allowed, sql.types, each with the expression's place; FATAL when
 * SQLite cannot be opened. The program's memory is in `arena`, but sql_program_free() must be
 * called before the arena goes. `layout` must outlive the program. */
enum status sql_program_compile(struct arena *arena, const struct layout *layout,
                                const bool *is_time, const struct sql_expression *expressions,
                                uint32_t expression_count, struct sql_program **out,
                                struct error *err) WEIR_MUST_USE;
/* Whether the expression reads the field. */
bool sql_program_uses(const struct sql_program *program, uint32_t expression, uint32_t field);
/* What can be told of an expression's results before it runs. */
struct sql_outcome {
    uint32_t column; /* the field, where the expression is nothing but a column; or FIELD_NONE */
    bool is_truth;   /* true or false (1 or 0) or NULL */
    bool is_number;  /* a number or NULL */
};
struct sql_outcome sql_program_outcome(const struct sql_program *program, uint32_t expression);
/* Takes NULL. */
void sql_program_free(struct sql_program *program);

/* A result; `failed` results carry SQLite's message as text. Texts live as long as the batch's. */
struct sql_result {
    struct value value; /* NULL, INT64, DOUBLE or TEXT (a BLOB comes as hexadecimal text) */
    bool failed;
};

/* Evaluates every expression for the rows named in `rows` (ascending): results[expression *
 * row_count + i] for rows[i]. A run-time error fails only the expression that raised it in that
 * row; so do a text that is not UTF-8, a number that is not finite, and an integer that
 * overflowed: where an expression is made of integers alone, SQLite hands on a DOUBLE. FATAL only
 * when SQLite itself breaks (corrupt, misuse). */
enum status sql_program_run(struct sql_program *program, struct batch *batch, const uint32_t *rows,
                            uint32_t row_count, struct sql_result *results,
                            struct error *err) WEIR_MUST_USE;

/* SQL truth of a result: NULL → *out_null, numbers ≠ 0, texts by their numeric prefix. */
bool sql_is_true(const struct value *value, bool *out_null);

#endif
