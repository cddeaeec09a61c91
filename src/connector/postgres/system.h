/*
 * One PostgreSQL database as a system: what the files of this folder share. Not for other folders.
 *
 * The tables of the system (connector/database/database.h) stand in the first schema of the
 * connection's search_path.
 *
 * A commit, in one transaction (commit.c):
 *
 *   BEGIN; SET CONSTRAINTS ALL IMMEDIATE → rows of all sinks (table_write.c) → refused rows → their
 *   dead letters → segments → R by compare-and-swap → COMMIT
 *
 *      ┌────────┐ any statement fails     ┌───────┐
 *      │ open   │────────────────────────▶│ RETRY │  (class passing: the same epoch again, over a new
 *      └───┬────┘                         └───────┘   connection if this one broke)
 *   COMMIT │ sent, no answer
 *      ┌───▼──────┐ SELECT epoch, owner … FOR UPDATE waits for the old backend
 *      │ IN_DOUBT │──▶ epoch e: done │ e − 1 and mine: RETRY │ else FENCED
 *      └──────────┘
 *
 * Taking over first ends the sessions of the former owner: one that was frozen in an open transaction
 * would hold the locks on R and on its rows for as long as it is frozen.
 *
 * Threads: one session, on the committer's thread.
 */
#ifndef WEIR_CONNECTOR_POSTGRES_SYSTEM_H
#define WEIR_CONNECTOR_POSTGRES_SYSTEM_H

#include <libpq-fe.h>

#include "connector/database/database.h"

struct postgres_system {
    struct database db; /* first */
    PGconn *connection; /* while a session is open; may be broken */
    /* PREPARE TRANSACTION was sent, and its answer did not come */
    bool is_prepare_in_doubt;
};

static inline struct postgres_system *postgres_system(const struct system *system)
{
    return (struct postgres_system *)(void *)(uintptr_t)system;
}

/* --- session.c --- */

/* A connection with the settings that commits need; RETRY when the server is away. */
enum status postgres_connect(struct database *d, struct error *err) WEIR_MUST_USE;
/* The same if the one that is there is broken. */
enum status postgres_reconnect(struct database *d, struct error *err) WEIR_MUST_USE;

void postgres_disconnect(struct database *d); /* fine when there is none */
/* A stage that was made in a transaction that is gone is gone too; one of an earlier transaction is
 * still there, and made only if it is not. */
void postgres_forget_stages(struct postgres_system *s);

/* From now on the session bears the owner's name, after a reconnection too. */
enum status postgres_name_session(struct database *d, uint64_t owner,
                                  struct error *err) WEIR_MUST_USE;
/* Ends the sessions that bear that owner's name. */
enum status postgres_end_sessions(struct database *d, uint64_t owner,
                                  struct error *err) WEIR_MUST_USE;

/* What an answer that is an error asks for, as a status: RETRY (passing), FATAL (stop). A row's own
 * fault is FATAL here too: only table_write.c asks whose fault it was. NULL `result`: the
 * connection's own error. */
enum status postgres_error(struct postgres_system *s, const PGresult *result, const char *doing,
                           struct error *err) WEIR_MUST_USE;
/* In front of statements that make or change tables, in one string with them: CREATE … IF NOT EXISTS of
 * two sessions at once fails in one of them. 'weir' and 1 are the lock's name. */
#define POSTGRES_ONE_BY_ONE "SELECT pg_advisory_xact_lock(2003134834, 1); "

/* Runs statements that return no rows. */
enum status postgres_run(struct postgres_system *s, const char *sql, const char *doing,
                         struct error *err) WEIR_MUST_USE;

/* Runs one statement; with `binary` the result's columns come in binary. *out is the caller's
 * (PQclear). */
enum status postgres_ask(struct postgres_system *s, const char *sql,
                         const struct parameters *parameters, bool binary, const char *doing,
                         PGresult **out, struct error *err) WEIR_MUST_USE;
/* Runs one statement whose rows nobody wants. *out_changed: how many it changed; may be NULL. */
enum status postgres_change(struct postgres_system *s, const char *sql,
                            const struct parameters *parameters, const char *doing,
                            int64_t *out_changed, struct error *err) WEIR_MUST_USE;
/* Runs one statement many times, once with each of lists[count]; out_changed[count] may be NULL. After
 * a failure only a ROLLBACK, or another connection, is of use. */
enum status postgres_change_all(struct postgres_system *s, const char *sql,
                                const struct parameters *lists, uint32_t count, const char *doing,
                                int64_t *out_changed, struct error *err) WEIR_MUST_USE;
/* How the shared code asks (database_ops); bigint, text and bytea columns come in binary. */
extern const struct database_ops postgres_database_ops;
/* A bytea or text column of a binary result. */
struct bytes postgres_bytes(const PGresult *result, int row, int column);
/* A bigint column of a text result. */
int64_t postgres_integer(const PGresult *result, int row, int column);

/* --- examine.c --- */

/* system_ops.examine */
enum status postgres_examine(struct system *system, system_finding_visitor *visit, void *context,
                             struct error *err);

/* --- prepared.c: system_ops of these names, and postgres_lock_owners() --- */

/* In a transaction: R of the attempt's parts is held, or FENCED: it is not this owner's, or at
 * another epoch. */
enum status postgres_lock_owners(struct postgres_system *s, const struct attempt *attempt,
                                 struct error *err) WEIR_MUST_USE;

enum status postgres_check_prepares(struct system *system, struct error *err) WEIR_MUST_USE;
enum status postgres_prepare(struct system *system, const struct epoch *epoch,
                             const struct progress *progresses, const char *id,
                             struct error *err);
enum status postgres_commit_prepared(struct system *system, const char *id, bool *out_found,
                                     struct error *err);
enum status postgres_rollback_prepared(struct system *system, const char *id, bool *out_found,
                                       struct error *err);
enum status postgres_list_prepared(struct system *system, const char *prefix,
                                   prepared_visitor *prepared, void *context, struct error *err);

/* --- system.c --- */

extern const struct system_ops postgres_system_ops;

#endif
