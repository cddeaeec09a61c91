/*
 * Names: which tokens of an expression name columns, and what the columns are called in SQLite.
 *
 * A column is named by its field's path; where no path fits exactly, the case of ASCII letters does
 * not matter, as in SQL. SQLite would read location.lat as a table and a column, so such a chain of
 * names is merged into one token and written as "location.lat". Fields whose paths differ only in
 * case would clash in SQLite, and true and false are no column names to it: these get names of
 * their own.
 */
#ifndef WEIR_SQL_SQL_NAMES_H
#define WEIR_SQL_SQL_NAMES_H

#include "base/memory.h"
#include "base/status.h"
#include "batch/layout.h"
#include "sql/sql_tokens.h"

/* Sets the field of each token that names a column, merging chains. A name in the place of a
 * column that is no field is refused, unless it is one of SQLite's keywords: those are left to
 * SQLite. */
enum status sql_names_resolve(struct arena *arena, const struct layout *layout,
                              const struct sql_expression *expression, struct sql_tokens *tokens,
                              struct error *err) WEIR_MUST_USE;

/* The column's name in SQLite, without quotes. */
const char *sql_names_column(struct arena *arena, const struct layout *layout, uint32_t field);

/* The expression with its columns under the names of sql_names_column(). */
char *sql_names_rewrite(struct arena *arena, const struct layout *layout,
                        const struct sql_tokens *tokens);

/* Appends the name in double quotes. */
void sql_names_quote(struct buffer *out, const char *name);

/* Refuses `name` as unknown, with the nearest right one. */
enum status sql_names_refuse(const struct layout *layout, const struct sql_expression *expression,
                             const char *name, bool quoted, struct error *err) WEIR_MUST_USE;

#endif
