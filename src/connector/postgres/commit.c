/* One epoch in one transaction, and what becomes of it when the answer is lost; the order is in
 * system.h. */
#include <string.h>

#include "connector/postgres/table.h"

/* Number of the first reject of a part in this epoch: rejects of a partition are numbered through. */
static uint64_t rejects_before(const struct progress *progress)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < progress->ledger.sink_count; i++) {
        count += progress->ledger.sinks[i].rejected;
    }
    return count;
}

/* Refused rows: booked, stored, and sent to the dead letters that stand in this database. */
static enum status write_rejects(struct postgres_system *s, struct attempt *attempt,
                                 struct error *err)
{
    if (attempt->reject_count == 0) {
        return STATUS_OK;
    }
    uint64_t *numbers = memory_alloc_zero(attempt->epoch->part_count, sizeof *numbers);
    for (uint32_t i = 0; i < attempt->epoch->part_count; i++) {
        numbers[i] = rejects_before(&attempt->next[i]);
    }
    attempt_book_rejects(attempt);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < attempt->reject_count && status == STATUS_OK; i++) {
        const struct reject *reject = &attempt->rejects[i];
        uint32_t part = attempt_part(attempt, reject->source_partition);
        status = postgres_write_reject(s, reject, &attempt->next[part], ++numbers[part], err);
    }
    memory_free(numbers);
    struct sink *dlq = attempt_dlq(&s->system);
    if (dlq == NULL || status != STATUS_OK) {
        return status;
    }
    struct outbox *outbox = dlq->ops->outbox_new(dlq);
    attempt_append_letters(attempt, dlq, outbox, s->pipeline);
    status = postgres_table_write(postgres_table(dlq), outbox, attempt, err);
    dlq->ops->outbox_free(outbox);
    return status;
}

static enum status write_ledgers(struct postgres_system *s, struct attempt *attempt,
                                 struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < attempt->epoch->part_count; i++) {
        const struct progress_step *step = &attempt->epoch->parts[i].step;
        for (uint32_t k = 0; k < step->segment_count && status == STATUS_OK; k++) {
            status = postgres_write_segment(s, &attempt->next[i], step, k,
                                            &attempt->segments[i][k], err);
        }
    }
    for (uint32_t i = 0; i < attempt->epoch->part_count && status == STATUS_OK; i++) {
        status = postgres_write_progress(s, &attempt->next[i], err);
    }
    return status;
}

static enum status write_epoch(struct postgres_system *s, struct attempt *attempt,
                               struct error *err)
{
    enum status status =
        postgres_run(s, "BEGIN; SET CONSTRAINTS ALL IMMEDIATE", "begin a transaction of", err);
    for (uint32_t i = 0; i < s->system.sink_count && status == STATUS_OK; i++) {
        status = postgres_table_write(postgres_table(s->system.sinks[i]),
                                      attempt->epoch->outboxes[i], attempt, err);
    }
    if (status == STATUS_OK) {
        status = write_rejects(s, attempt, err);
    }
    return status == STATUS_OK ? write_ledgers(s, attempt, err) : status;
}

/* A stage that was made in a transaction that is gone is gone too. */
static void forget_stages(struct postgres_system *s)
{
    for (uint32_t i = 0; i < s->system.sink_count; i++) {
        postgres_table(s->system.sinks[i])->staged_in = NULL;
    }
}

static void roll_back(struct postgres_system *s)
{
    forget_stages(s);
    PQclear(PQexec(s->connection, "ROLLBACK"));
    if (PQtransactionStatus(s->connection) != PQTRANS_IDLE) {
        /* In the middle of a COPY, say: the server rolls back what hangs on the connection. */
        PQfinish(s->connection);
        s->connection = NULL;
    }
}

/* COMMIT. Without an answer nobody knows: the next try asks first. */
static enum status send_commit(struct postgres_system *s, struct error *err)
{
    PGresult *result = PQexec(s->connection, "COMMIT");
    bool is_committed = PQresultStatus(result) == PGRES_COMMAND_OK &&
                        strcmp(PQcmdStatus(result), "COMMIT") == 0;
    enum status status = STATUS_OK;
    if (!is_committed) {
        s->is_in_doubt = PQstatus(s->connection) != CONNECTION_OK;
        status = postgres_error(s, result, "commit to", err);
    }
    PQclear(result);
    return status;
}

/* --- in doubt --- */

/* Epoch and owner of a part as they stand, once the old backend has ended its transaction. */
static enum status ask_epoch(struct postgres_system *s, const struct progress *progress,
                             uint64_t *out_epoch, bool *out_mine, struct error *err)
{
    struct parameters parameters = {0};
    parameters_text(&parameters, s->pipeline);
    parameters_text(&parameters, progress->topic);
    parameters_text(&parameters, progress->partition);
    parameters_integer(&parameters, (int64_t)progress->owner);
    PGresult *result = NULL;
    enum status status =
        postgres_ask(s,
                     "SELECT epoch, owner = $4 FROM weir_progress WHERE pipeline = $1 AND"
                     " topic = $2 AND partition = $3 FOR UPDATE",
                     &parameters, false, "look what became of a commit in", &result, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (PQntuples(result) == 1) {
        *out_epoch = (uint64_t)postgres_integer(result, 0, 0);
        *out_mine = PQgetvalue(result, 0, 1)[0] == 't';
    } else {
        status = postgres_fenced(s, progress, err);
    }
    PQclear(result);
    return status;
}

/* R as it was committed: which rows were refused is known to it alone. */
static enum status reload(struct postgres_system *s, const struct epoch *epoch,
                          struct progress *progresses, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < epoch->part_count && status == STATUS_OK; i++) {
        struct progress *progress = &progresses[epoch->parts[i].partition];
        struct source_partition partition = {.topic = progress->topic,
                                             .label = progress->partition};
        struct progress stored = {0};
        bool found = false;
        status = postgres_load(&s->system, &partition, &stored, &found, err);
        if (status == STATUS_OK && found) {
            progress_fini(progress);
            *progress = stored;
        }
    }
    return status;
}

/* *out_done: the transaction was committed. */
static enum status resolve(struct postgres_system *s, const struct epoch *epoch,
                           const struct progress *progresses, bool *out_done, struct error *err)
{
    enum status status = postgres_run(s, "BEGIN", "begin a transaction of", err);
    uint32_t done = 0;
    for (uint32_t i = 0; i < epoch->part_count && status == STATUS_OK; i++) {
        const struct progress *progress = &progresses[epoch->parts[i].partition];
        uint64_t stored_epoch = 0;
        bool is_mine = false;
        status = ask_epoch(s, progress, &stored_epoch, &is_mine, err);
        if (status == STATUS_OK && is_mine && stored_epoch == progress->epoch + 1) {
            done++;
        } else if (status == STATUS_OK && (!is_mine || stored_epoch != progress->epoch)) {
            status = postgres_fenced(s, progress, err);
        }
    }
    roll_back(s);
    if (status == STATUS_OK) {
        check(done == 0 || done == epoch->part_count);
        *out_done = done > 0;
        s->is_in_doubt = false;
    }
    return status;
}

enum status postgres_commit(struct system *system, const struct epoch *epoch,
                            struct progress *progresses, struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    enum status status = postgres_reconnect(s, err);
    if (status == STATUS_OK && s->is_in_doubt) {
        bool is_done = false;
        status = resolve(s, epoch, progresses, &is_done, err);
        if (status == STATUS_OK && is_done) {
            return reload(s, epoch, progresses, err);
        }
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct attempt attempt;
    attempt_init(&attempt, epoch, progresses);
    status = write_epoch(s, &attempt, err);
    if (status == STATUS_OK) {
        status = send_commit(s, err);
    } else {
        roll_back(s);
    }
    if (status == STATUS_OK) {
        attempt_take(&attempt, progresses);
    } else {
        forget_stages(s);
    }
    attempt_fini(&attempt);
    return status;
}
