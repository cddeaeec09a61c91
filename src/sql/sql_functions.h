/*
 * Functions: which of SQLite's functions an expression may call. A list of those that are allowed,
 * because a new version of SQLite may bring others: each gives a result that depends on its
 * arguments alone.
 */
#ifndef WEIR_SQL_SQL_FUNCTIONS_H
#define WEIR_SQL_SQL_FUNCTIONS_H

#include <stdbool.h>

/* What a call gives, as far as the types of comparisons care. */
enum sql_returns {
    SQL_RETURNS_UNKNOWN,
    SQL_RETURNS_NUMBER,
    SQL_RETURNS_TEXT,
    SQL_RETURNS_BLOB,
    SQL_RETURNS_ARGUMENTS, /* one of its arguments: coalesce(), min() */
    SQL_RETURNS_CHOICE,    /* its arguments are condition, result, …, otherwise: iif() */
    SQL_RETURNS_FIRST,     /* its first argument: nullif(), likely() */
};

struct sql_function {
    const char *name;
    enum sql_returns returns;
};

/* All of them by name; NULL behind the last. */
const struct sql_function *sql_functions_list(unsigned index);
/* NULL when it is not allowed; the case of `name` does not matter. */
const struct sql_function *sql_functions_find(const char *name);
/* The nearest name that is allowed, or NULL. */
const char *sql_functions_nearest(const char *name);

#endif
