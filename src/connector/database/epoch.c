/* One epoch in one transaction, and what became of it when the answer is lost. */
#include "connector/database/database.h"

static enum status change_one_by_one(struct database *d, const char *sql,
                                     const struct changes *changes, const char *doing,
                                     int64_t *out_changed, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < changes->count && status == STATUS_OK; i++) {
        status = d->ops->change(d, sql, &changes->lists[i], doing,
                                out_changed == NULL ? NULL : &out_changed[i], err);
    }
    return status;
}

enum status database_change_all(struct database *d, const char *sql, const struct changes *changes,
                                const char *doing, int64_t *out_changed, struct error *err)
{
    return d->ops->change_all == NULL || changes->count < 2
               ? change_one_by_one(d, sql, changes, doing, out_changed, err)
               : d->ops->change_all(d, sql, changes->lists, changes->count, doing, out_changed,
                                    err);
}

/* Number of the first reject of a part in this epoch: rejects of a partition are numbered through. */
static uint64_t rejects_before(const struct progress *progress)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < progress->ledger.sink_count; i++) {
        count += progress->ledger.sinks[i].rejected;
    }
    return count;
}

static enum status store_rejects(struct database *d, struct attempt *attempt, struct error *err)
{
    uint64_t *numbers = memory_alloc_zero(attempt->epoch->part_count, sizeof *numbers);
    for (uint32_t i = 0; i < attempt->epoch->part_count; i++) {
        numbers[i] = rejects_before(&attempt->next[i]);
    }
    attempt_book_rejects(attempt);
    enum status status = database_write_rejects(d, attempt, numbers, err);
    memory_free(numbers);
    return status;
}

/* Refused rows: booked, stored, and sent to the dead letters that stand in this database. */
static enum status write_rejects(struct database *d, struct attempt *attempt, struct error *err)
{
    if (attempt->reject_count == 0) {
        return STATUS_OK;
    }
    enum status status = store_rejects(d, attempt, err);
    struct sink *dlq = attempt_dlq(&d->system);
    if (dlq == NULL || status != STATUS_OK) {
        return status;
    }
    struct outbox *outbox = dlq->ops->outbox_new(dlq);
    attempt_append_letters(attempt, dlq, outbox, d->pipeline);
    status = d->ops->write_table(dlq, outbox, attempt, err);
    dlq->ops->outbox_free(outbox);
    return status;
}

static enum status write_all(struct database *d, struct attempt *attempt, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < d->system.sink_count && status == STATUS_OK; i++) {
        status = d->ops->write_table(d->system.sinks[i], attempt->epoch->outboxes[i], attempt, err);
    }
    if (status == STATUS_OK) {
        status = write_rejects(d, attempt, err);
    }
    if (status == STATUS_OK) {
        status = database_write_segments(d, attempt, err);
    }
    return status == STATUS_OK ? database_write_progress(d, attempt, err) : status;
}

enum status database_write_epoch(struct database *d, struct attempt *attempt, struct error *err)
{
    enum status status = d->ops->begin(d, attempt, err);
    if (status == STATUS_OK) {
        status = write_all(d, attempt, err);
    }
    if (status != STATUS_OK) {
        d->ops->roll_back(d);
    }
    return status;
}

/* --- in doubt --- */

/* Epoch and owner of a part as they stand, once the old session has ended its transaction. */
static enum status ask_epoch(struct database *d, const struct progress *progress,
                             uint64_t *out_epoch, bool *out_mine, struct error *err)
{
    struct parameters parameters = parameters_of_progress(d->pipeline, progress);
    struct database_answer *answer = NULL;
    enum status status = d->ops->ask(d,
                                     "SELECT epoch, owner FROM weir_progress WHERE pipeline = $1"
                                     " AND topic = $2 AND \"partition\" = $3 FOR UPDATE",
                                     &parameters, "look what became of a commit in", &answer, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (d->ops->row_count(answer) == 1) {
        *out_epoch = (uint64_t)d->ops->integer(answer, 0, 0);
        *out_mine = (uint64_t)d->ops->integer(answer, 0, 1) == progress->owner;
    } else {
        status = database_fenced(d, progress, progress->epoch, err);
    }
    d->ops->free(answer);
    return status;
}

/* Whether an epoch in doubt was committed: epoch and owner of R as they stand, once whoever had
 * that COMMIT has ended. FENCED for somebody else's. In a transaction of its own. */
static enum status resolve(struct database *d, const struct epoch *epoch,
                           const struct progress *progresses, bool *out_done, struct error *err)
{
    uint32_t done = 0;
    enum status status = d->ops->run(d, "BEGIN", "begin a transaction of", err);
    for (uint32_t i = 0; i < epoch->part_count && status == STATUS_OK; i++) {
        const struct progress *progress = &progresses[epoch->parts[i].partition];
        uint64_t stored_epoch = 0;
        bool is_mine = false;
        status = ask_epoch(d, progress, &stored_epoch, &is_mine, err);
        if (status == STATUS_OK && is_mine && stored_epoch == progress->epoch + 1) {
            done++;
        } else if (status == STATUS_OK && (!is_mine || stored_epoch != progress->epoch)) {
            status = database_fenced(d, progress, progress->epoch, err);
        }
    }
    d->ops->roll_back(d);
    if (status == STATUS_OK) {
        check(done == 0 || done == epoch->part_count);
        *out_done = done > 0;
        /* Else there is R to be read first: should that fail, it is asked again. */
        d->is_in_doubt = *out_done;
    }
    return status;
}

static enum status judge_stored(void *context, const struct progress *known,
                                const struct progress *stored, bool found, struct error *err)
{
    (void)stored; /* resolve() has looked at its epoch. */
    return found ? STATUS_OK : database_fenced(context, known, known->epoch, err);
}

static enum status reload(struct database *d, const struct epoch *epoch,
                          struct progress *progresses, struct error *err)
{
    enum status status = attempt_read_back(&d->system, epoch, progresses, judge_stored, d, err);
    d->is_in_doubt = d->is_in_doubt && status != STATUS_OK;
    return status;
}

/* --- the whole --- */

enum status database_commit(struct system *system, const struct epoch *epoch,
                            struct progress *progresses, struct error *err)
{
    struct database *d = database_of(system);
    enum status status = d->ops->reconnect(d, err);
    if (status == STATUS_OK && d->is_in_doubt) {
        bool is_done = false;
        status = resolve(d, epoch, progresses, &is_done, err);
        if (status == STATUS_OK && is_done) {
            return reload(d, epoch, progresses, err);
        }
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct attempt attempt;
    attempt_init(&attempt, epoch, progresses);
    status = database_write_epoch(d, &attempt, err);
    if (status == STATUS_OK) {
        status = d->ops->send_commit(d, err);
    }
    if (status == STATUS_OK) {
        attempt_take(&attempt, progresses);
    }
    attempt_fini(&attempt);
    return status;
}
