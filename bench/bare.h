/* Bare SQLite to measure against: one connection with the pragmas of the local log and one
 * statement. */
#ifndef WEIR_BENCH_BARE_H
#define WEIR_BENCH_BARE_H

#include <sqlite3.h>

#include "base/status.h"

struct bare {
    sqlite3 *database;
    sqlite3_stmt *statement;
};

/* Made when it is not there. After a failure bare_close() is due, too. */
enum status bare_open(struct bare *bare, const char *path, struct error *err) WEIR_MUST_USE;
void bare_close(struct bare *bare);
enum status bare_run(struct bare *bare, const char *sql, struct error *err) WEIR_MUST_USE;
enum status bare_prepare(struct bare *bare, const char *sql, struct error *err) WEIR_MUST_USE;
/* Runs the statement, which gives no rows, and makes it ready again. */
enum status bare_step(struct bare *bare, struct error *err) WEIR_MUST_USE;
/* What SQLite said last. */
enum status bare_error(struct bare *bare, struct error *err);

#endif
