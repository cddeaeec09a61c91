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
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct sql_calendar;

/* Replaces the functions of `db`. The calendar must outlive the connection. */
enum status sql_calendar_new(sqlite3 *db, struct sql_calendar **out,
                             struct error *err) WEIR_MUST_USE;
/* Takes NULL. Close `db` first. */
void sql_calendar_free(struct sql_calendar *calendar);

/* Index of the first argument that is about time (strftime's first is its format), or -1 when
 * `name` is no function of the calendar. */
int sql_calendar_first_argument(const char *name);
/* Why a text is refused as the argument `position` places behind the first (0: the time itself),
 * or NULL. The text ends at its first NUL, as for SQLite. */
const char *sql_calendar_refusal(const char *text, size_t position);
/* Why a call without any time is refused. */
const char *sql_calendar_refusal_of_nothing(void);

#endif
