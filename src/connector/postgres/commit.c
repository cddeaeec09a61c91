/* One epoch in one transaction; the order is in system.h. And how the shared code asks. */
#include <string.h>

#include "connector/postgres/table.h"

static void roll_back(struct database *d)
{
    struct postgres_system *s = postgres_system(&d->system);
    postgres_forget_stages(s);
    PQclear(PQexec(s->connection, "ROLLBACK"));
    if (PQtransactionStatus(s->connection) != PQTRANS_IDLE) {
        /* In the middle of a COPY, say: the server rolls back what hangs on the connection. */
        PQfinish(s->connection);
        s->connection = NULL;
    }
}

/* COMMIT. Without an answer nobody knows: the next try asks first. */
static enum status send_commit(struct database *d, struct error *err)
{
    struct postgres_system *s = postgres_system(&d->system);
    PGresult *result = PQexec(s->connection, "COMMIT");
    bool is_committed = PQresultStatus(result) == PGRES_COMMAND_OK &&
                        strcmp(PQcmdStatus(result), "COMMIT") == 0;
    enum status status = STATUS_OK;
    if (!is_committed) {
        s->db.is_in_doubt = PQstatus(s->connection) != CONNECTION_OK;
        status = postgres_error(s, result, "commit to", err);
        postgres_forget_stages(s);
    }
    PQclear(result);
    return status;
}

static enum status begin(struct database *d, const struct attempt *attempt, struct error *err)
{
    struct postgres_system *s = postgres_system(&d->system);
    enum status status =
        postgres_run(s, "BEGIN; SET CONSTRAINTS ALL IMMEDIATE", "begin a transaction of", err);
    return status == STATUS_OK && d->system.prepares ? postgres_lock_owners(s, attempt, err)
                                                     : status;
}

/* --- how the shared code asks --- */

/* What the server does not take as a time, years before Christ and beyond four digits, is null there;
 * timestamp_us has it. */
#define REJECT_TIME \
    "CASE WHEN $7::text ~ '^[0-9]{4}-' AND $7::text !~ '^0000' THEN ($7::text)::timestamptz END"

static const struct database_statements statements = {
    .count_tables =
        "SELECT count(*) FROM (VALUES ('weir_progress'), ('weir_start'), ('weir_ledger'),"
        " ('weir_plan'), ('weir_rejects')) AS name(name) WHERE to_regclass(name) IS NOT NULL"
        " AND (name <> 'weir_rejects' OR EXISTS (SELECT FROM pg_attribute"
        " WHERE attrelid = to_regclass(name) AND attname = 'forward'))",
    .make_tables =
        POSTGRES_ONE_BY_ONE
        "CREATE TABLE IF NOT EXISTS weir_progress ("
        " pipeline text NOT NULL, topic text NOT NULL, partition text NOT NULL,"
        " owner bigint NOT NULL, epoch bigint NOT NULL, next_offset bigint NOT NULL,"
        " records bigint NOT NULL, valid bigint NOT NULL, invalid bigint NOT NULL,"
        " duplicate bigint NOT NULL, late bigint NOT NULL, filtered bigint NOT NULL,"
        " record bytea NOT NULL, PRIMARY KEY (pipeline, topic, partition));"
        "CREATE TABLE IF NOT EXISTS weir_start ("
        " pipeline text NOT NULL, topic text NOT NULL, partition text NOT NULL,"
        " record bytea NOT NULL, PRIMARY KEY (pipeline, topic, partition));"
        "CREATE TABLE IF NOT EXISTS weir_ledger ("
        " pipeline text NOT NULL, topic text NOT NULL, partition text NOT NULL,"
        " first_offset bigint NOT NULL, next_offset bigint NOT NULL, segment bytea NOT NULL,"
        " PRIMARY KEY (pipeline, topic, partition, first_offset));"
        "CREATE TABLE IF NOT EXISTS weir_plan (hash text PRIMARY KEY, text text NOT NULL);"
        "CREATE TABLE IF NOT EXISTS weir_rejects ("
        " pipeline text NOT NULL, topic text NOT NULL, partition text NOT NULL,"
        " number bigint NOT NULL, sink text NOT NULL, \"offset\" bigint NOT NULL,"
        " \"timestamp\" timestamptz, code text NOT NULL, message text NOT NULL,"
        " attempt bigint NOT NULL, key bytea, value bytea, headers bytea,"
        " PRIMARY KEY (pipeline, topic, partition, number));"
        "ALTER TABLE weir_rejects ADD COLUMN IF NOT EXISTS plan text,"
        " ADD COLUMN IF NOT EXISTS timestamp_us bigint,"
        " ADD COLUMN IF NOT EXISTS forward smallint NOT NULL DEFAULT 0;"
        "CREATE INDEX IF NOT EXISTS weir_rejects_forward ON weir_rejects"
        " (pipeline, topic, partition, sink, \"offset\") WHERE forward = 1",
    .insert_plan = "INSERT INTO weir_plan VALUES ($1, convert_from($2::bytea, 'UTF8'))"
                   " ON CONFLICT DO NOTHING",
    .insert_progress = "INSERT INTO weir_progress VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
                       " $10, $11, $12, $13) ON CONFLICT DO NOTHING",
    .write_start = "INSERT INTO weir_start VALUES ($1, $2, $3, $4) ON CONFLICT"
                   " (pipeline, topic, partition) DO UPDATE SET record = $4",
    .write_segment = "INSERT INTO weir_ledger VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT"
                     " (pipeline, topic, partition, first_offset)"
                     " DO UPDATE SET next_offset = $5, segment = $6",
    .insert_reject = "INSERT INTO weir_rejects VALUES ($1, $2, $3, $4, $5, $6,"
                     " " REJECT_TIME ", $8, convert_from($9::bytea, 'UTF8'), $10, $11,"
                     " $12, $13)",
    .insert_forward = "INSERT INTO weir_rejects VALUES ($1, $2, $3, $4, $5, $6,"
                      " " REJECT_TIME ", $8, convert_from($9::bytea, 'UTF8'), $10,"
                      " $11, $12, $13, $14, $15, $16)",
};

static enum status ask(struct database *d, const char *sql, const struct parameters *parameters,
                       const char *doing, struct database_answer **out, struct error *err)
{
    PGresult *result = NULL;
    enum status status =
        postgres_ask(postgres_system(&d->system), sql, parameters, true, doing, &result, err);
    if (status == STATUS_OK) {
        *out = (struct database_answer *)result;
    }
    return status;
}

static enum status change(struct database *d, const char *sql, const struct parameters *parameters,
                          const char *doing, int64_t *out_changed, struct error *err)
{
    return postgres_change(postgres_system(&d->system), sql, parameters, doing, out_changed, err);
}

static enum status change_all(struct database *d, const char *sql, const struct parameters *lists,
                              uint32_t count, const char *doing, int64_t *out_changed,
                              struct error *err)
{
    return postgres_change_all(postgres_system(&d->system), sql, lists, count, doing, out_changed,
                               err);
}

static enum status run(struct database *d, const char *sql, const char *doing, struct error *err)
{
    return postgres_run(postgres_system(&d->system), sql, doing, err);
}

static uint32_t row_count(const struct database_answer *answer)
{
    return (uint32_t)PQntuples((const PGresult *)answer);
}

static struct bytes answer_bytes(const struct database_answer *answer, uint32_t row,
                                 uint32_t column)
{
    return postgres_bytes((const PGresult *)answer, (int)row, (int)column);
}

/* Big-endian. */
static int64_t answer_integer(const struct database_answer *answer, uint32_t row, uint32_t column)
{
    struct bytes bytes = answer_bytes(answer, row, column);
    uint64_t value = 0;
    check(bytes.size == sizeof value);
    for (size_t i = 0; i < bytes.size; i++) {
        value = value << 8 | bytes.data[i];
    }
    return (int64_t)value;
}

static void answer_free(struct database_answer *answer)
{
    PQclear((PGresult *)answer);
}

static enum status prepare_sink(struct sink *sink, struct error *err)
{
    return postgres_table_prepare(postgres_table(sink), false, err);
}

static enum status find_table(struct sink *sink, bool *out_there, struct error *err)
{
    return postgres_table_find(postgres_table(sink), out_there, err);
}

static enum status write_table(struct sink *sink, struct outbox *outbox, struct attempt *attempt,
                               struct error *err)
{
    return postgres_table_write(postgres_table(sink), outbox, attempt, err);
}

const struct database_ops postgres_database_ops = {
    .connect = postgres_connect,
    .reconnect = postgres_reconnect,
    .disconnect = postgres_disconnect,
    .name_session = postgres_name_session,
    .end_sessions = postgres_end_sessions,
    .prepare_sink = prepare_sink,
    .find_table = find_table,
    .ask = ask,
    .change = change,
    .change_all = change_all,
    .run = run,
    .row_count = row_count,
    .bytes = answer_bytes,
    .integer = answer_integer,
    .free = answer_free,
    .begin = begin,
    .send_commit = send_commit,
    .roll_back = roll_back,
    .write_table = write_table,
    .statements = &statements,
};
