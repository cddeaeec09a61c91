/*
 * The collation weir_time: texts compared as points in time.
 *
 * Taken as a point in time: an RFC 3339 date-time with its offset; a date ("2026-01-31", its first
 * instant in UTC); and a date-time without offset, which is how SQLite's own datetime() writes UTC.
 * Texts that are none of these stand behind all points in time, in the order of their bytes, so the
 * order is total.
 */
#ifndef WEIR_SQL_SQL_COLLATION_H
#define WEIR_SQL_SQL_COLLATION_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define SQL_TIME_COLLATION "weir_time"

/* SQLite's result code. */
int sql_collation_register(sqlite3 *db);

int sql_collation_compare(struct bytes a, struct bytes b);

/* What people may write as a point in time: an RFC 3339 date-time or a date. */
bool sql_collation_parse_literal(struct bytes text, int64_t *out_us);

#endif
