/*
 * The inside of a program: what compiling makes (sql_compile.c) and running uses (sql_run.c).
 *
 * A program has a private SQLite in memory, on which the batch's table, the calendar and the
 * collation are registered. Simple expressions are evaluated without it (sql_native.h). The others
 * are put into statements by groups, `SELECT (e1), (e2), … FROM weir_batch`, because SQLite bounds
 * the columns of a result. Beside that every expression has a statement of its own, for rows in
 * which a group failed, and for rows that the native way leaves to SQLite.
 *
 * No time limit is needed: without subqueries an expression has no loop, its work is bounded by its
 * own size and the sizes of the values, and those are bounded by SQLite's limits (see set_limits in
 * sql_compile.c).
 */
#ifndef WEIR_SQL_SQL_PROGRAM_H
#define WEIR_SQL_SQL_PROGRAM_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "sql/sql.h"
#include "sql/sql_calendar.h"
#include "sql/sql_native.h"
#include "sql/sql_table.h"

#define SQL_GROUP_SIZE 500u

struct sql_group {
    const uint32_t *expressions;
    uint32_t count;
    sqlite3_stmt *statement;
};

/* What the text of an expression says of its results. */
struct sql_promise {
    uint32_t column; /* as in struct sql_outcome */
    bool is_truth;
    bool is_number;
    bool is_integer;
    bool may_be_real;
};

struct sql_program {
    const struct layout *layout;
    sqlite3 *db;
    struct sql_calendar *calendar;
    struct sql_table table;
    uint32_t expression_count;
    sqlite3_stmt **singles; /* [expression] */
    struct sql_group *groups;
    uint32_t group_count;
    struct sql_native *native; /* NULL: no expression is simple enough */
    bool *uses;                /* [expression * field_count + field] */
    struct sql_promise *promises; /* [expression] */
    bool *now_used;            /* the row of `uses` that preparing fills; NULL: none */
    const char *refused; /* the function that was not allowed in the statement prepared last */
};

/* As sql_program_compile(), but every expression is left to SQLite: what native results are held
 * against. */
enum status sql_program_compile_foreign(struct arena *arena, const struct layout *layout,
                                        const bool *is_time,
                                        const struct sql_expression *expressions,
                                        uint32_t expression_count, struct sql_program **out,
                                        struct error *err) WEIR_MUST_USE;
bool sql_program_is_native(const struct sql_program *program, uint32_t expression);

#endif
