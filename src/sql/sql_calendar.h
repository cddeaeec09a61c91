/*
 * Calendar: SQLite's date and time functions without the clock and the time zone of the machine.
 *
 * date(), time(), datetime(), julianday(), unixepoch(), strftime() and timediff() are replaced.
 * Each call looks at its arguments, which may come from the data, and raises an error when they
 * mean the present moment ('now', a leading 'subsec', no time at all) or the machine's time zone
 * ('localtime', 'utc'); everything else goes to SQLite's own function on a second connection, so
 * the results are SQLite's.
 */
#ifndef WEIR_SQL_SQL_CALENDAR_H
#define WEIR_SQL_SQL_CALENDAR_H

#include <sqlite3.h>

#include "base/status.h"

struct sql_calendar;

/* Replaces the functions of `db`. The calendar must outlive the connection. */
enum status sql_calendar_new(sqlite3 *db, struct sql_calendar **out,
                             struct error *err) WEIR_MUST_USE;
/* Takes NULL. Close `db` first. */
void sql_calendar_free(struct sql_calendar *calendar);

/* Why a text is refused as the argument `index` (from 0) of that function, or NULL. The text
 * ends at its first NUL, as for SQLite. Functions that are not of the calendar refuse nothing. */
const char *sql_calendar_refuses_argument(const char *name, int index, const char *text);
/* Why a call with so few arguments is refused (none of them is a time), or NULL. */
const char *sql_calendar_refuses_count(const char *name, int argument_count);

#endif
