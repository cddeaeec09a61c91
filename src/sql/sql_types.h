/*
 * Types: refuses comparisons whose sides can never be alike, such as temperature > 'abc'.
 *
 * SQLite compares a number with a text without complaint: the text is always the greater one, which
 * is never what was meant. Here the expression is parsed again, by SQLite's grammar and precedence,
 * far enough to know the types of both sides where they can be known at all: columns, literals,
 * operators, most functions. What this parser does not understand is accepted, since SQLite has
 * accepted it before.
 *
 * It is also where it is found out what can be told of an expression's results before it runs.
 *
 * Arguments of the date functions that are refused at run time are refused here already where they
 * are literals.
 */
#ifndef WEIR_SQL_SQL_TYPES_H
#define WEIR_SQL_SQL_TYPES_H

#include "base/memory.h"
#include "base/status.h"
#include "batch/layout.h"
#include "sql/sql_compare.h"
#include "sql/sql_tokens.h"

/* `tokens` are resolved (sql_names.h) and SQLite has accepted the expression. `out_whole` (may be
 * NULL) gets what is known of the whole expression. */
enum status sql_types_check(struct arena *arena, const struct layout *layout, const bool *is_time,
                            const struct sql_expression *expression,
                            const struct sql_tokens *tokens, struct sql_part *out_whole,
                            struct error *err) WEIR_MUST_USE;

#endif
