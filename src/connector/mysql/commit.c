/* One epoch in one transaction; the order is in system.h. And how the shared code asks. */
#include <string.h>

#include "connector/mysql/table.h"

static void roll_back(struct database *d)
{
    struct mysqldb_system *s = mysqldb_system(&d->system);
    if (s->connection != NULL && mysql_query(s->connection, "ROLLBACK") != 0) {
        /* The server rolls back what hangs on the connection. */
        s->is_broken = true;
    }
}

/* COMMIT. Without the word that it is done nobody knows: the next try asks first, over a new
 * connection, when the old session is surely gone. */
static enum status send_commit(struct database *d, struct error *err)
{
    struct mysqldb_system *s = mysqldb_system(&d->system);
    enum status status = mysqldb_run(s, "COMMIT", "commit to", err);
    if (status != STATUS_OK) {
        s->db.is_in_doubt = true;
        s->is_broken = true;
    }
    return status == STATUS_FATAL ? STATUS_RETRY : status;
}

static enum status begin(struct database *d, const struct attempt *attempt, struct error *err)
{
    (void)attempt;
    return mysqldb_run(mysqldb_system(&d->system), "BEGIN", "begin a transaction of", err);
}

/* --- how the shared code asks --- */

/* Lengths are what InnoDB's 3,072 bytes of a key leave. */
#define PARTITION_KEY                                                                              \
    "pipeline varchar(128) NOT NULL, topic varchar(255) NOT NULL, \"partition\" varchar(255) NOT " \
    "NULL"
/* Names that differ in a space at the end are two: what each server calls that, in comments that only it
 * reads. */
#define TABLE_OPTIONS                                                                              \
    ") ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 /*M! COLLATE utf8mb4_nopad_bin */"            \
    " /*!50700 COLLATE utf8mb4_0900_bin */;"
#define NOTHING_TWICE " ON DUPLICATE KEY UPDATE "
/* datetime has the years 0 to 9999: a record may have any time, and then the column has none. */
#define REJECT_VALUES                                                                              \
    "$1, $2, $3, $4, $5, $6, CAST(if($7 LIKE '____-__-__T%', trim(TRAILING 'Z' FROM $7), NULL)"    \
    " AS datetime(6)), $8, CONVERT($9 USING utf8mb4), $10, $11, $12, $13"

static const struct database_statements statements = {
    .count_tables =
        "SELECT count(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND"
        " TABLE_NAME IN ('weir_progress', 'weir_start', 'weir_ledger', 'weir_plan',"
        " 'weir_rejects')",
    .make_tables =
        "CREATE TABLE IF NOT EXISTS weir_progress (" PARTITION_KEY ","
        " owner bigint NOT NULL, epoch bigint NOT NULL, next_offset bigint NOT NULL,"
        " records bigint NOT NULL, valid bigint NOT NULL, invalid bigint NOT NULL,"
        " duplicate bigint NOT NULL, late bigint NOT NULL, filtered bigint NOT NULL,"
        " record longblob NOT NULL, PRIMARY KEY (pipeline, topic, \"partition\")" TABLE_OPTIONS
        "CREATE TABLE IF NOT EXISTS weir_start (" PARTITION_KEY ", record longblob NOT NULL,"
        " PRIMARY KEY (pipeline, topic, \"partition\")" TABLE_OPTIONS
        "CREATE TABLE IF NOT EXISTS weir_ledger (" PARTITION_KEY ","
        " first_offset bigint NOT NULL, next_offset bigint NOT NULL, segment longblob NOT NULL,"
        " PRIMARY KEY (pipeline, topic, \"partition\", first_offset)" TABLE_OPTIONS
        "CREATE TABLE IF NOT EXISTS weir_plan (hash varchar(32) PRIMARY KEY,"
        " text longtext NOT NULL" TABLE_OPTIONS
        "CREATE TABLE IF NOT EXISTS weir_rejects (" PARTITION_KEY ","
        " number bigint NOT NULL, sink varchar(100) NOT NULL, \"offset\" bigint NOT NULL,"
        " \"timestamp\" datetime(6), code varchar(255) NOT NULL, message longtext NOT NULL,"
        " attempt bigint NOT NULL, \"key\" longblob, \"value\" longblob, headers longblob,"
        " \"plan\" varchar(32), timestamp_us bigint, forward smallint NOT NULL DEFAULT 0,"
        " PRIMARY KEY (pipeline, topic, \"partition\", number),"
        " KEY weir_rejects_forward (pipeline, topic, \"partition\", sink, forward,"
        " \"offset\")" TABLE_OPTIONS,
    .insert_plan =
        "INSERT INTO weir_plan VALUES ($1, CONVERT($2 USING utf8mb4))" NOTHING_TWICE "hash = hash",
    .insert_progress = "INSERT INTO weir_progress VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
                       " $10, $11, $12, $13)" NOTHING_TWICE "epoch = epoch",
    .write_start = "REPLACE INTO weir_start VALUES ($1, $2, $3, $4)",
    .write_segment = "REPLACE INTO weir_ledger VALUES ($1, $2, $3, $4, $5, $6)",
    .insert_reject = "INSERT INTO weir_rejects (pipeline, topic, \"partition\", number, sink,"
                     " \"offset\", \"timestamp\", code, message, attempt, \"key\", \"value\","
                     " headers) VALUES (" REJECT_VALUES ")",
    .insert_forward = "INSERT INTO weir_rejects VALUES (" REJECT_VALUES ", $14, $15, $16)",
};

static enum status ask(struct database *d, const char *sql, const struct parameters *parameters,
                       const char *doing, struct database_answer **out, struct error *err)
{
    return mysqldb_ask(mysqldb_system(&d->system), sql, parameters, doing, out, err);
}

static enum status change(struct database *d, const char *sql, const struct parameters *parameters,
                          const char *doing, int64_t *out_changed, struct error *err)
{
    struct database_answer *answer = NULL;
    enum status status =
        mysqldb_ask(mysqldb_system(&d->system), sql, parameters, doing, &answer, err);
    if (status == STATUS_OK && out_changed != NULL) {
        *out_changed = mysqldb_row_count(answer);
    }
    mysqldb_free(answer);
    return status;
}

static enum status run(struct database *d, const char *sql, const char *doing, struct error *err)
{
    return mysqldb_run(mysqldb_system(&d->system), sql, doing, err);
}

static enum status prepare_sink(struct sink *sink, struct error *err)
{
    return mysqldb_table_prepare(mysqldb_table(sink), false, err);
}

static void fini_sink(struct sink *sink)
{
    buffer_fini(&mysqldb_table(sink)->numbers);
}

static enum status find_table(struct sink *sink, bool *out_there, struct error *err)
{
    return mysqldb_table_find(mysqldb_table(sink), out_there, err);
}

static enum status write_table(struct sink *sink, struct outbox *outbox, struct attempt *attempt,
                               struct error *err)
{
    return mysqldb_table_write(mysqldb_table(sink), outbox, attempt, err);
}

const struct database_ops mysqldb_database_ops = {
    .connect = mysqldb_connect,
    .reconnect = mysqldb_reconnect,
    .disconnect = mysqldb_disconnect,
    .name_session = mysqldb_name_session,
    .end_sessions = mysqldb_end_sessions,
    .prepare_sink = prepare_sink,
    .fini_sink = fini_sink,
    .find_table = find_table,
    .ask = ask,
    .change = change,
    .run = run,
    .row_count = mysqldb_row_count,
    .bytes = mysqldb_bytes,
    .integer = mysqldb_integer,
    .free = mysqldb_free,
    .begin = begin,
    .send_commit = send_commit,
    .roll_back = roll_back,
    .write_table = write_table,
    .statements = &statements,
};
