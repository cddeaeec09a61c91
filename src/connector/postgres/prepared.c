/*
 * Transactions that outlive their session: a database as a participant of run/two_phase.h.
 *
 *   BEGIN → R's rows locked, if they are ours and at epoch − 1 → rows, refused rows, segments, R
 *   → PREPARE TRANSACTION id            nothing is seen yet; R stays locked whatever happens to us
 *   → COMMIT PREPARED id | ROLLBACK PREPARED id          as the other system has decided
 *
 * The lock is FOR NO KEY UPDATE, the very one that writing R takes later. With FOR SHARE two sessions
 * of one owner (the old one's server process is still there after a cut) could hold it together, and
 * then xmax of the row names both of them and no longer the transaction: which prepared transaction
 * holds which partition is found by xmax.
 *
 * An answer that is lost:
 *   to PREPARE           the old session is ended and waited for; then the id is there, or it is not
 *   to COMMIT PREPARED   sent again; that there is none of that name means that it was heard
 */
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "connector/postgres/table.h"
#include "os/clock.h"
#include "os/thread.h"

#define END_US (30 * TIME_US_PER_SECOND)
#define END_STEP_US 20000

/* "VERB 'id'"; the server takes no parameters there. */
static enum status run_of_id(struct postgres_system *s, const char *verb, const char *id,
                             const char *doing, bool *out_found, struct error *err)
{
    char *literal = PQescapeLiteral(s->connection, id, strlen(id));
    if (literal == NULL) {
        return postgres_error(s, NULL, doing, err);
    }
    struct buffer sql = {0};
    buffer_printf(&sql, "%s %s", verb, literal);
    PQfreemem(literal);
    PGresult *result = PQexec(s->connection, buffer_string(&sql));
    buffer_fini(&sql);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    enum status status = STATUS_OK;
    *out_found = true;
    if (sqlstate != NULL && strcmp(sqlstate, "42704") == 0) {
        *out_found = false;
    } else if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        status = postgres_error(s, result, doing, err);
    } else if (strncmp(PQcmdStatus(result), verb, strlen(verb)) != 0) {
        /* PREPARE of a transaction that had failed answers ROLLBACK. */
        status = error_set(err, STATUS_FATAL, "postgres.failed",
                           "cannot %s PostgreSQL (%s): the server answered %s to %s", doing,
                           s->db.place, PQcmdStatus(result), verb);
    }
    PQclear(result);
    return status;
}

enum status postgres_lock_owners(struct postgres_system *s, const struct attempt *attempt,
                                 struct error *err)
{
    static const char doing[] = "lock progress in";
    /* Somebody's prepared transaction may hold it, and that ends by no timeout of the server. */
    enum status status = postgres_run(s, "SET LOCAL lock_timeout = '10s'", doing, err);
    for (uint32_t i = 0; i < attempt->epoch->part_count && status == STATUS_OK; i++) {
        const struct progress *next = &attempt->next[i];
        struct parameters parameters = {0};
        parameters_text(&parameters, s->db.pipeline);
        parameters_text(&parameters, next->topic);
        parameters_text(&parameters, next->partition);
        parameters_integer(&parameters, (int64_t)next->owner);
        parameters_integer(&parameters, (int64_t)next->epoch);
        PGresult *result = NULL;
        status = postgres_ask(s,
                              "SELECT 1 FROM weir_progress WHERE pipeline = $1 AND topic = $2 AND"
                              " partition = $3 AND owner = $4 AND epoch = $5::bigint - 1"
                              " FOR NO KEY UPDATE",
                              &parameters, false, doing, &result, err);
        if (status == STATUS_OK) {
            if (PQntuples(result) != 1) {
                status = error_set(err, STATUS_FENCED, "progress.fenced",
                                   "%s: the progress record of '%s' [%s] is not at epoch %llu with "
                                   "this owner any more: another process has taken over this "
                                   "pipeline",
                                   s->db.place, next->topic, next->partition,
                                   (unsigned long long)next->epoch - 1);
            }
            PQclear(result);
        }
    }
    return status;
}

/* Our own session that lost its connection may still be preparing: it is ended, and waited for. */
static enum status wait_for_own_end(struct postgres_system *s, struct error *err)
{
    static const char doing[] = "look what became of a prepared transaction in";
    int64_t end_us = clock_monotonic_us() + END_US;
    for (;;) {
        PGresult *result = NULL;
        enum status status = postgres_end_sessions(&s->db, s->db.owner, err);
        if (status == STATUS_OK) {
            status = postgres_ask(s,
                                  "SELECT 1 FROM pg_stat_activity WHERE application_name ="
                                  " current_setting('application_name') AND datname ="
                                  " current_database() AND pid <> pg_backend_pid()",
                                  NULL, false, doing, &result, err);
        }
        if (status != STATUS_OK) {
            return status;
        }
        bool is_gone = PQntuples(result) == 0;
        PQclear(result);
        if (is_gone) {
            return STATUS_OK;
        }
        if (clock_monotonic_us() >= end_us || stop_requested()) {
            return error_set(err, STATUS_RETRY, "postgres.away",
                             "a session of this process that lost its connection does not end in "
                             "PostgreSQL (%s)",
                             s->db.place);
        }
        clock_sleep_us(END_STEP_US);
    }
}

static enum status is_prepared(struct postgres_system *s, const char *id, bool *out_found,
                               struct error *err)
{
    struct parameters parameters = {0};
    parameters_text(&parameters, id);
    PGresult *result = NULL;
    enum status status =
        postgres_ask(s,
                     "SELECT 1 FROM pg_prepared_xacts WHERE gid = $1 AND database ="
                     " current_database()",
                     &parameters, false, "look for a prepared transaction in", &result, err);
    if (status == STATUS_OK) {
        *out_found = PQntuples(result) == 1;
        PQclear(result);
    }
    return status;
}

/* What the last try has left. */
static enum status find_prepared(struct postgres_system *s, const char *id, bool *out_found,
                                 struct error *err)
{
    *out_found = false;
    if (!s->is_prepare_in_doubt) {
        return STATUS_OK;
    }
    enum status status = wait_for_own_end(s, err);
    if (status == STATUS_OK) {
        status = is_prepared(s, id, out_found, err);
    }
    s->is_prepare_in_doubt = status != STATUS_OK;
    return status;
}

static enum status check_setting(struct postgres_system *s, struct error *err)
{
    PGresult *result = NULL;
    enum status status =
        postgres_ask(s, "SELECT current_setting('max_prepared_transactions')::bigint", NULL, false,
                     "look at the settings of", &result, err);
    if (status == STATUS_OK) {
        if (postgres_integer(result, 0, 0) == 0) {
            status = error_set(err, STATUS_CONFIG, "postgres.prepares_nothing",
                               "delivery.atomic needs prepared transactions, and PostgreSQL (%s) "
                               "has max_prepared_transactions = 0: run 'ALTER SYSTEM SET "
                               "max_prepared_transactions = 10' as a superuser and restart the "
                               "server, or leave delivery.atomic out",
                               s->db.place);
        }
        PQclear(result);
    }
    return status;
}

enum status postgres_check_prepares(struct system *system, struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    if (s->connection != NULL) {
        return check_setting(s, err);
    }
    bool was_reader = s->db.is_reader;
    s->db.is_reader = true;
    enum status status = postgres_connect(&s->db, err);
    if (status == STATUS_OK) {
        status = check_setting(s, err);
    }
    PQfinish(s->connection);
    s->connection = NULL;
    s->db.is_reader = was_reader;
    return status;
}

enum status postgres_prepare(struct system *system, const struct epoch *epoch,
                             const struct progress *progresses, const char *id,
                             struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    bool found = false;
    enum status status = postgres_reconnect(&s->db, err);
    if (status == STATUS_OK) {
        status = find_prepared(s, id, &found, err);
    }
    if (status != STATUS_OK || found) {
        return status;
    }
    struct attempt attempt;
    attempt_init(&attempt, epoch, progresses);
    status = database_write_epoch(&s->db, &attempt, err);
    if (status == STATUS_OK) {
        bool is_known = true;
        status = run_of_id(s, "PREPARE TRANSACTION", id, "prepare a transaction in", &is_known, err);
        s->is_prepare_in_doubt =
            status != STATUS_OK && PQstatus(s->connection) != CONNECTION_OK;
        if (status != STATUS_OK) {
            s->db.ops->roll_back(&s->db);
        }
    }
    attempt_fini(&attempt);
    return status;
}

static enum status end_prepared(struct system *system, const char *verb, const char *id,
                                const char *doing, bool *out_found, struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    enum status status = postgres_reconnect(&s->db, err);
    return status == STATUS_OK ? run_of_id(s, verb, id, doing, out_found, err) : status;
}

enum status postgres_commit_prepared(struct system *system, const char *id, bool *out_found,
                                     struct error *err)
{
    return end_prepared(system, "COMMIT PREPARED", id, "commit a prepared transaction in",
                        out_found, err);
}

enum status postgres_rollback_prepared(struct system *system, const char *id, bool *out_found,
                                       struct error *err)
{
    return end_prepared(system, "ROLLBACK PREPARED", id, "roll back a prepared transaction in",
                        out_found, err);
}

enum status postgres_list_prepared(struct system *system, const char *prefix,
                                   prepared_visitor *prepared, void *context, struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    struct parameters parameters = {0};
    parameters_text(&parameters, s->db.pipeline);
    parameters_text(&parameters, prefix);
    PGresult *result = NULL;
    enum status status = postgres_ask(
        s,
        "SELECT x.gid, (extract(epoch FROM x.prepared) * 1000000)::bigint,"
        " coalesce(w.topic, ''), coalesce(w.partition, '') FROM pg_prepared_xacts x"
        " LEFT JOIN weir_progress w ON w.xmax = x.transaction AND w.pipeline = $1"
        " WHERE x.database = current_database() AND starts_with(x.gid, $2)"
        " ORDER BY x.prepared, x.gid, w.topic, w.partition",
        &parameters, false, "list prepared transactions of", &result, err);
    for (int i = 0; status == STATUS_OK && i < PQntuples(result); i++) {
        struct prepared one = {
            .id = PQgetvalue(result, i, 0),
            .since_us = postgres_integer(result, i, 1),
            .topic = PQgetvalue(result, i, 2),
            .partition = PQgetvalue(result, i, 3),
        };
        status = prepared(context, &one, err);
    }
    PQclear(result);
    return status;
}
