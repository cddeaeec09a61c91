/*
 * One database of a MariaDB or MySQL server as a system: what the files of this folder share. Not for
 * other folders. (Functions here begin with mysqldb_: those of the client's library with mysql_.)
 *
 * The tables of the system (connector/database/database.h) stand in the database of the connection.
 *
 * A session is strict: what a column would not keep is an error, never another value. That is set,
 * and read back; and a warning of a statement counts as an error of its number.
 *
 * A commit, in one transaction (commit.c):
 *
 *   BEGIN → rows of all sinks (table_write.c) → refused rows → their dead letters → segments
 *   → R by compare-and-swap → COMMIT
 *
 *      ┌────────┐ any statement fails     ┌───────┐
 *      │ open   │────────────────────────▶│ RETRY │  (class passing: the same epoch again, over a new
 *      └───┬────┘                         └───────┘   connection if this one broke)
 *   COMMIT │ failed, or no answer
 *      ┌───▼──────┐ a new connection; the old session is ended; database/epoch.c asks
 *      │ IN_DOUBT │──▶ epoch e: done │ e − 1 and mine: RETRY │ else FENCED
 *      └──────────┘
 *
 * A session holds the lock 'weir-OWNER' (GET_LOCK) as long as it lives, so that it can be found and
 * ended (KILL): by whoever takes over, for one that was frozen in an open transaction would hold the
 * locks on R and on its rows for as long as it is frozen; and by the same process after its connection
 * broke, for the server may not have noticed yet.
 *
 * Threads: one session, on the committer's thread.
 */
#ifndef WEIR_CONNECTOR_MYSQL_SYSTEM_H
#define WEIR_CONNECTOR_MYSQL_SYSTEM_H

#include <mysql.h>

#include "connector/database/database.h"

struct mysqldb_system {
    struct database db; /* first */
    MYSQL *connection;  /* while a session is open */
    bool is_broken;     /* it must be opened anew */
    /* Of the server: */
    bool is_mariadb;
    bool has_row_number;     /* GET DIAGNOSTICS tells which row of an INSERT it was */
    size_t packet_bytes;     /* the largest statement */
};

static inline struct mysqldb_system *mysqldb_system(const struct system *system)
{
    return (struct mysqldb_system *)(void *)(uintptr_t)system;
}

/* --- session.c --- */

/* A connection with the settings that commits need; RETRY when the server is away. */
enum status mysqldb_connect(struct database *d, struct error *err) WEIR_MUST_USE;
/* The same if the one that is there is broken. */
enum status mysqldb_reconnect(struct database *d, struct error *err) WEIR_MUST_USE;
/* Statements of all sinks too. */
void mysqldb_disconnect(struct database *d);

/* From now on the session holds the owner's lock, after a reconnection too. */
enum status mysqldb_name_session(struct database *d, uint64_t owner,
                                 struct error *err) WEIR_MUST_USE;
/* Ends the session that holds that owner's lock, and waits until it is gone. */
enum status mysqldb_end_sessions(struct database *d, uint64_t owner,
                                 struct error *err) WEIR_MUST_USE;

/* --- query.c --- */

/* What an error asks for, as a status: RETRY (passing), FATAL (stop). A row's own fault is FATAL here
 * too: only table_write.c asks whose fault it was. */
enum status mysqldb_error(struct mysqldb_system *s, unsigned number, const char *sqlstate,
                          const char *message, const char *doing, struct error *err);
/* The same of the connection's last statement. */
enum status mysqldb_failed(struct mysqldb_system *s, const char *doing, struct error *err);
/* The worst warning of the last statement, harmless ones aside; *out_number 0: there is none. The
 * message is `size` bytes. Row: from 1, or 0 when the server does not say. */
enum status mysqldb_warning(struct mysqldb_system *s, const char *doing, unsigned *out_number,
                            char *message, size_t size, struct error *err) WEIR_MUST_USE;
/* Writes a statement with its parameters in place: $1 … as literals that need no escaping. */
void mysqldb_write_sql(const char *sql, const struct parameters *parameters, struct buffer *out);
/* Statements that return no rows, with ';' between them. */
enum status mysqldb_run(struct mysqldb_system *s, const char *sql, const char *doing,
                        struct error *err) WEIR_MUST_USE;
/* One statement. *out is the caller's (mysqldb_database_ops.free); texts as text. */
enum status mysqldb_ask(struct mysqldb_system *s, const char *sql,
                        const struct parameters *parameters, const char *doing,
                        struct database_answer **out, struct error *err) WEIR_MUST_USE;
uint32_t mysqldb_row_count(const struct database_answer *answer);
struct bytes mysqldb_bytes(const struct database_answer *answer, uint32_t row, uint32_t column);
/* "" for null. */
const char *mysqldb_text(const struct database_answer *answer, uint32_t row, uint32_t column);
/* Not null. */
int64_t mysqldb_integer(const struct database_answer *answer, uint32_t row, uint32_t column);
void mysqldb_free(struct database_answer *answer);

/* --- commit.c --- */

/* How the shared code asks (database_ops). */
extern const struct database_ops mysqldb_database_ops;

/* --- system.c --- */

extern const struct system_ops mysqldb_system_ops;

#endif
