/* A session with the server: connecting, asking, and what errors mean. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/postgres/sqlstate.h"
#include "connector/postgres/table.h"
#include "connector/secret.h"
#include "os/secret.h"

/* A server that is gone is noticed within half a minute, unless the dsn says otherwise. */
static const char *const defaults[][2] = {
    {"application_name", "weir"},  {"client_encoding", "UTF8"},    {"connect_timeout", "10"},
    {"keepalives_idle", "10"},     {"keepalives_interval", "5"},   {"keepalives_count", "3"},
    {"tcp_user_timeout", "30000"}, {"target_session_attrs", "any"},
};
enum { DEFAULT_COUNT = sizeof defaults / sizeof defaults[0] };

static const char settings[] =
    "SET client_min_messages = warning; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD';"
    " SET IntervalStyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex';"
    " SET standard_conforming_strings = on; SET idle_in_transaction_session_timeout = 0;"
    " SET default_transaction_isolation = 'read committed'; SET row_security = on;"
    " SET synchronous_commit = ";

/* What the server says goes into errors, never onto the terminal. */
static void ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

/* libpq's messages end with a line break, and may have several lines. */
static void tidy(const char *message, char *out, size_t size)
{
    snprintf(out, size, "%s", message);
    size_t length = strlen(out);
    while (length > 0 && out[length - 1] == '\n') {
        out[--length] = '\0';
    }
    for (char *at = out; *at != '\0'; at++) {
        *at = *at == '\n' || *at == '\t' ? ' ' : *at;
    }
}

/* A wrong password or a database that is not there do not pass by waiting. What the server says of a
 * refused start carries no SQLSTATE in libpq, only its words. */
static bool is_refusal(const char *message)
{
    static const char *const words[] = {"password authentication failed", "no password supplied",
                                        "does not exist", "pg_hba.conf",
                                        "invalid connection option", "certificate",
                                        "root.crt", "permission denied"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strstr(message, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static enum status cannot_connect(const struct postgres_system *s, struct error *err)
{
    char message[512];
    tidy(PQerrorMessage(s->connection), message, sizeof message);
    bool refused = is_refusal(message);
    return error_set(err, refused ? STATUS_CONFIG : STATUS_RETRY,
                     refused ? "postgres.refused" : "postgres.away",
                     "no connection to PostgreSQL (%s): %s", s->db.place, message);
}

/* The dsn first, so that it may say otherwise; a later option of the same name wins in libpq, so
 * defaults stand before. */
static PGconn *open_connection(const char *dsn, const char *password)
{
    const char *names[DEFAULT_COUNT + 3];
    const char *values[DEFAULT_COUNT + 3];
    int count = 0;
    for (; count < DEFAULT_COUNT; count++) {
        names[count] = defaults[count][0];
        values[count] = defaults[count][1];
    }
    if (password != NULL) {
        names[count] = "password";
        values[count++] = password;
    }
    names[count] = "dbname";
    values[count++] = dsn;
    names[count] = NULL;
    values[count] = NULL;
    return PQconnectdbParams(names, values, 1);
}

static enum status read_password(const struct postgres_system *s, struct buffer *out,
                                 struct error *err)
{
    const struct doc *password = doc_get(s->db.config, "password");
    return password == NULL ? STATUS_OK : secret_read(password, s->db.folder, out, err);
}

enum status postgres_connect(struct database *d, struct error *err)
{
    struct postgres_system *s = postgres_system(&d->system);
    struct buffer password = {0};
    enum status status = read_password(s, &password, err);
    if (status == STATUS_OK) {
        PQfinish(s->connection);
        s->connection = open_connection(grammar_string(s->db.config, "dsn", ""),
                                        password.size == 0 ? NULL : buffer_string(&password));
        if (PQstatus(s->connection) != CONNECTION_OK) {
            status = cannot_connect(s, err);
        }
    }
    secret_forget(&password);
    if (status != STATUS_OK) {
        return status;
    }
    PQsetNoticeReceiver(s->connection, ignore_notice, NULL);
    struct buffer sql = {0};
    bool waits = strcmp(grammar_string(s->db.config, "synchronous_commit", "on"), "remote_apply") == 0;
    buffer_printf(&sql, "%s%s%s", settings, waits ? "remote_apply" : "on",
                  s->db.is_reader ? "; SET default_transaction_read_only = on" : "");
    status = postgres_run(s, buffer_string(&sql), "prepare a session with", err);
    buffer_fini(&sql);
    return status == STATUS_OK && s->db.owner != 0 ? postgres_name_session(d, d->owner, err) : status;
}

enum status postgres_reconnect(struct database *d, struct error *err)
{
    const PGconn *connection = postgres_system(&d->system)->connection;
    return connection != NULL && PQstatus(connection) == CONNECTION_OK ? STATUS_OK
                                                                      : postgres_connect(d, err);
}

void postgres_forget_stages(struct postgres_system *s)
{
    for (uint32_t i = 0; i < s->db.system.sink_count; i++) {
        postgres_table(s->db.system.sinks[i])->staged_in = NULL;
    }
}

void postgres_disconnect(struct database *d)
{
    struct postgres_system *s = postgres_system(&d->system);
    postgres_forget_stages(s);
    PQfinish(s->connection);
    s->connection = NULL;
}

static void session_name(uint64_t owner, char out[32])
{
    snprintf(out, 32, "weir-%016llx", (unsigned long long)owner);
}

enum status postgres_name_session(struct database *d, uint64_t owner, struct error *err)
{
    struct postgres_system *s = postgres_system(&d->system);
    char name[32];
    session_name(owner, name);
    s->db.owner = owner;
    struct parameters parameters = {0};
    parameters_text(&parameters, name);
    return postgres_change(s, "SELECT set_config('application_name', $1, false)", &parameters,
                           "name a session of", NULL, err);
}

enum status postgres_end_sessions(struct database *d, uint64_t owner, struct error *err)
{
    struct postgres_system *s = postgres_system(&d->system);
    char name[32];
    session_name(owner, name);
    struct parameters parameters = {0};
    parameters_text(&parameters, name);
    return postgres_change(s,
                           "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                           " application_name = $1 AND datname = current_database()"
                           " AND usename = current_user AND pid <> pg_backend_pid()",
                           &parameters, "end sessions of the former owner in", NULL, err);
}

/* --- errors --- */

static const char *field(const PGresult *result, int code)
{
    const char *text = result == NULL ? NULL : PQresultErrorField(result, code);
    return text == NULL ? "" : text;
}

enum status postgres_error(struct postgres_system *s, const PGresult *result, const char *doing,
                           struct error *err)
{
    char message[512];
    const char *primary = field(result, PG_DIAG_MESSAGE_PRIMARY);
    tidy(primary[0] != '\0' ? primary : PQerrorMessage(s->connection), message, sizeof message);
    const char *sqlstate = field(result, PG_DIAG_SQLSTATE);
    bool is_broken = PQstatus(s->connection) != CONNECTION_OK;
    if (is_broken || sqlstate_class(sqlstate) == SQLSTATE_PASSING) {
        return error_set(err, STATUS_RETRY, "postgres.away", "cannot %s PostgreSQL (%s): %s%s%s",
                         doing, s->db.place, message, sqlstate[0] == '\0' ? "" : ", SQLSTATE ",
                         sqlstate);
    }
    return error_set(err, STATUS_FATAL, "postgres.failed",
                     "cannot %s PostgreSQL (%s): %s, SQLSTATE %s; %s", doing, s->db.place, message,
                     sqlstate, sqlstate_advice(sqlstate));
}

enum status postgres_run(struct postgres_system *s, const char *sql, const char *doing,
                         struct error *err)
{
    PGresult *result = PQexec(s->connection, sql);
    ExecStatusType code = PQresultStatus(result);
    enum status status = code == PGRES_COMMAND_OK || code == PGRES_TUPLES_OK
                             ? STATUS_OK
                             : postgres_error(s, result, doing, err);
    PQclear(result);
    return status;
}

/* --- statements with parameters --- */

/* libpq takes text and digits up to their NUL. */
static const char *value_of(const struct parameter *parameter)
{
    if (parameter->kind == PARAMETER_INTEGER) {
        return parameter->digits;
    }
    if (bytes_is_none(parameter->bytes)) {
        return NULL;
    }
    return parameter->bytes.size == 0 ? "" : (const char *)parameter->bytes.data;
}

/* As libpq takes them. */
struct pq_values {
    const char *values[PARAMETERS_MAX];
    int lengths[PARAMETERS_MAX];
    int formats[PARAMETERS_MAX];
};

static int values_of(const struct parameters *parameters, struct pq_values *out)
{
    int count = parameters == NULL ? 0 : parameters->count;
    for (int i = 0; i < count; i++) {
        const struct parameter *parameter = &parameters->list[i];
        out->values[i] = value_of(parameter);
        out->lengths[i] = (int)parameter->bytes.size;
        out->formats[i] = parameter->kind == PARAMETER_BYTES;
    }
    return count;
}

enum status postgres_ask(struct postgres_system *s, const char *sql,
                         const struct parameters *parameters, bool binary, const char *doing,
                         PGresult **out, struct error *err)
{
    struct pq_values pq;
    int count = values_of(parameters, &pq);
    PGresult *result = PQexecParams(s->connection, sql, count, NULL, pq.values, pq.lengths,
                                    pq.formats, binary ? 1 : 0);
    ExecStatusType code = PQresultStatus(result);
    if (code != PGRES_TUPLES_OK && code != PGRES_COMMAND_OK) {
        enum status status = postgres_error(s, result, doing, err);
        PQclear(result);
        return status;
    }
    *out = result;
    return STATUS_OK;
}

enum status postgres_change(struct postgres_system *s, const char *sql,
                            const struct parameters *parameters, const char *doing,
                            int64_t *out_changed, struct error *err)
{
    PGresult *result = NULL;
    enum status status = postgres_ask(s, sql, parameters, false, doing, &result, err);
    if (status == STATUS_OK) {
        if (out_changed != NULL) {
            *out_changed = strtoll(PQcmdTuples(result), NULL, 10);
        }
        PQclear(result);
    }
    return status;
}

/* --- one statement many times --- */

/* Prepares it, runs it once for each list, all without waiting. */
static bool send_all(PGconn *connection, const char *sql, const struct parameters *lists,
                     uint32_t count)
{
    bool is_sent = PQsendPrepare(connection, "", sql, 0, NULL) == 1;
    for (uint32_t i = 0; i < count && is_sent; i++) {
        struct pq_values pq;
        int value_count = values_of(&lists[i], &pq);
        is_sent = PQsendQueryPrepared(connection, "", value_count, pq.values, pq.lengths,
                                      pq.formats, 0) == 1;
    }
    return is_sent && PQpipelineSync(connection) == 1;
}

/* The answer to one of them. The error is that of the first that failed; the others are aborted. */
static enum status take_answer(struct postgres_system *s, const char *doing, int64_t *out_changed,
                               struct error *err)
{
    enum status status = STATUS_OK;
    PGresult *result = NULL;
    while ((result = PQgetResult(s->connection)) != NULL) {
        ExecStatusType code = PQresultStatus(result);
        if (code != PGRES_COMMAND_OK && code != PGRES_TUPLES_OK && status == STATUS_OK) {
            status = postgres_error(s, result, doing, err);
        } else if (out_changed != NULL) {
            *out_changed = strtoll(PQcmdTuples(result), NULL, 10);
        }
        PQclear(result);
    }
    return status;
}

enum status postgres_change_all(struct postgres_system *s, const char *sql,
                                const struct parameters *lists, uint32_t count, const char *doing,
                                int64_t *out_changed, struct error *err)
{
    if (PQenterPipelineMode(s->connection) != 1 || !send_all(s->connection, sql, lists, count)) {
        return postgres_error(s, NULL, doing, err);
    }
    enum status status = take_answer(s, doing, NULL, err);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = take_answer(s, doing, out_changed == NULL ? NULL : &out_changed[i], err);
    }
    /* Up to the end of the pipeline, whatever came of it. */
    PGresult *result = NULL;
    bool is_end = false;
    while (!is_end && PQstatus(s->connection) == CONNECTION_OK) {
        result = PQgetResult(s->connection);
        is_end = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        PQclear(result);
    }
    if (PQexitPipelineMode(s->connection) != 1 && status == STATUS_OK) {
        status = postgres_error(s, NULL, doing, err);
    }
    return status;
}

struct bytes postgres_bytes(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column)) {
        return BYTES_NONE;
    }
    return bytes_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

int64_t postgres_integer(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}
