/* R in the tables of a database, and the plans that it names: what stands there, who owns it, and how it
 * goes on. */
#include <stdio.h>

#include "connector/database/database.h"

#define TABLE_COUNT 5

/* --- tables --- */

static enum status count_tables(struct database *d, int64_t *out, struct error *err)
{
    struct database_answer *answer = NULL;
    enum status status = d->ops->ask(d, d->ops->statements->count_tables, NULL,
                                     "look for progress in", &answer, err);
    if (status == STATUS_OK) {
        *out = d->ops->integer(answer, 0, 0);
        d->ops->free(answer);
    }
    return status;
}

enum status database_make_tables(struct database *d, struct error *err)
{
    int64_t count = 0;
    enum status status = count_tables(d, &count, err);
    /* Whoever may not make tables can have them made. */
    return status != STATUS_OK || count == TABLE_COUNT
               ? status
               : d->ops->run(d, d->ops->statements->make_tables, "make the tables of weir in",
                             err);
}

enum status database_check_tables(struct database *d, struct error *err)
{
    int64_t count = 0;
    enum status status = count_tables(d, &count, err);
    if (status == STATUS_OK && count < TABLE_COUNT) {
        status = error_set(err, STATUS_CONFIG, "progress.none",
                           "pipeline '%s' has not run with %s yet; run it first: weir run",
                           d->pipeline, d->place);
    }
    return status;
}

/* --- R --- */

static enum status read_record(const struct database *d, const struct source_partition *partition,
                               struct bytes form, struct progress *progress, struct error *err)
{
    struct error detail = {0};
    enum status status = progress_read(progress, form, &detail);
    return status == STATUS_OK
               ? STATUS_OK
               : error_set(err, status, detail.code, "%s, '%s' [%s]: %s", d->place,
                           partition->topic, partition->label, detail.message);
}

enum status database_load(struct system *system, const struct source_partition *partition,
                          struct progress *progress, bool *out_found, struct error *err)
{
    struct database *d = database_of(system);
    struct parameters parameters = parameters_of_partition(d->pipeline, partition);
    struct database_answer *answer = NULL;
    /* Partitions that come back to a run may find the session that an epoch was abandoned with. */
    enum status status = d->ops->reconnect(d, err);
    if (status == STATUS_OK) {
        status = d->ops->ask(d,
                             "SELECT record, owner, epoch, next_offset FROM weir_progress"
                             " WHERE pipeline = $1 AND topic = $2 AND \"partition\" = $3",
                             &parameters, "read progress from", &answer, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    *out_found = d->ops->row_count(answer) == 1;
    if (*out_found) {
        status = read_record(d, partition, d->ops->bytes(answer, 0, 0), progress, err);
        /* The owner stands in its column only: taking over does not rewrite R. */
        progress->owner = (uint64_t)d->ops->integer(answer, 0, 1);
        if (status == STATUS_OK &&
            ((uint64_t)d->ops->integer(answer, 0, 2) != progress->epoch ||
             d->ops->integer(answer, 0, 3) != progress->next_offset)) {
            status = error_set(err, STATUS_FATAL, "progress.corrupt",
                               "%s: epoch or offset of the progress record of '%s' [%s] were "
                               "edited; restore the database from a backup",
                               d->place, partition->topic, partition->label);
        }
    }
    d->ops->free(answer);
    return status;
}

enum status database_load_first(struct system *system, const struct source_partition *partition,
                                struct progress *progress, bool *out_found, struct error *err)
{
    struct database *d = database_of(system);
    struct parameters parameters = parameters_of_partition(d->pipeline, partition);
    struct database_answer *answer = NULL;
    enum status status = d->ops->ask(
        d, "SELECT record FROM weir_start WHERE pipeline = $1 AND topic = $2 AND \"partition\" = $3",
        &parameters, "read the first progress from", &answer, err);
    if (status != STATUS_OK) {
        return status;
    }
    *out_found = d->ops->row_count(answer) == 1;
    if (*out_found) {
        status = read_record(d, partition, d->ops->bytes(answer, 0, 0), progress, err);
    }
    d->ops->free(answer);
    return status;
}

enum status database_count_partitions(struct system *system, uint32_t *out_count,
                                      struct error *err)
{
    struct database *d = database_of(system);
    struct parameters parameters = {0};
    parameters_text(&parameters, d->pipeline);
    struct database_answer *answer = NULL;
    enum status status =
        d->ops->ask(d, "SELECT count(*) FROM weir_progress WHERE pipeline = $1", &parameters,
                    "count progress records in", &answer, err);
    if (status == STATUS_OK) {
        *out_count = (uint32_t)d->ops->integer(answer, 0, 0);
        d->ops->free(answer);
    }
    return status;
}

/* --- plans --- */

static enum status store_plan(struct database *d, struct bytes text, struct error *err)
{
    char hash[33];
    hash_format(hash_plain(text.data, text.size), hash);
    struct parameters parameters = {0};
    parameters_text(&parameters, hash);
    parameters_bytes(&parameters, text);
    return d->ops->change(d, d->ops->statements->insert_plan, &parameters, "store the plan in",
                          NULL, err);
}

enum status database_load_plan(struct system *system, struct hash128 plan_hash, struct buffer *out,
                               bool *out_found, struct error *err)
{
    struct database *d = database_of(system);
    char hash[33];
    hash_format(plan_hash, hash);
    struct parameters parameters = {0};
    parameters_text(&parameters, hash);
    struct database_answer *answer = NULL;
    enum status status = d->ops->ask(d, "SELECT text FROM weir_plan WHERE hash = $1", &parameters,
                                     "read a plan from", &answer, err);
    if (status != STATUS_OK) {
        return status;
    }
    *out_found = d->ops->row_count(answer) == 1;
    if (*out_found) {
        struct bytes text = d->ops->bytes(answer, 0, 0);
        buffer_append(out, text.data, text.size);
    }
    d->ops->free(answer);
    return STATUS_OK;
}

/* --- before the first commit --- */

static void add_counts(struct parameters *parameters, const struct ledger *ledger)
{
    static const enum verdict order[] = {VERDICT_VALID, VERDICT_INVALID, VERDICT_DUPLICATE,
                                         VERDICT_LATE, VERDICT_FILTERED};
    parameters_integer(parameters, (int64_t)ledger->in);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        parameters_integer(parameters, (int64_t)ledger->verdicts[order[i]]);
    }
}

/* All columns of weir_progress, in their order; `form` gets R, and lives as long as they do. */
static struct parameters of_columns(const struct database *d, const struct progress *progress,
                                    struct buffer *form)
{
    progress_write(progress, form);
    struct parameters parameters = parameters_of_progress(d->pipeline, progress);
    parameters_integer(&parameters, (int64_t)progress->owner);
    parameters_integer(&parameters, (int64_t)progress->epoch);
    parameters_integer(&parameters, progress->next_offset);
    add_counts(&parameters, &progress->ledger);
    parameters_bytes(&parameters, bytes_of(form->data, form->size));
    return parameters;
}

static enum status insert_progress(struct database *d, const struct progress *progress,
                                   struct error *err)
{
    struct buffer form = {0};
    struct parameters parameters = of_columns(d, progress, &form);
    int64_t changed = 0;
    enum status status = d->ops->change(d, d->ops->statements->insert_progress, &parameters,
                                        "store the first progress in", &changed, err);
    if (status == STATUS_OK && changed != 1) {
        status = error_set(err, STATUS_FENCED, "progress.exists",
                           "%s has a progress record of '%s' [%s] already: another process "
                           "started this pipeline at the same moment",
                           d->place, progress->topic, progress->partition);
    }
    if (status == STATUS_OK) {
        struct parameters first = parameters_of_progress(d->pipeline, progress);
        parameters_bytes(&first, bytes_of(form.data, form.size));
        status = d->ops->change(d, d->ops->statements->write_start, &first,
                                "keep the first progress in", NULL, err);
    }
    buffer_fini(&form);
    return status;
}

/* Ends the transaction that was begun: COMMIT if all went well. */
static enum status end_transaction(struct database *d, enum status status, struct error *err)
{
    if (status == STATUS_OK) {
        return d->ops->run(d, "COMMIT", "commit to", err);
    }
    d->ops->roll_back(d);
    return status;
}

enum status database_begin(struct system *system, const struct progress *progresses,
                           uint32_t count, const struct bytes *plan_texts, uint32_t plan_count,
                           struct error *err)
{
    struct database *d = database_of(system);
    enum status status = d->ops->run(d, "BEGIN", "begin a transaction of", err);
    for (uint32_t i = 0; i < plan_count && status == STATUS_OK; i++) {
        status = store_plan(d, plan_texts[i], err);
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = insert_progress(d, &progresses[i], err);
    }
    return end_transaction(d, status, err);
}

/* R went back: a standby that had not got everything was promoted, or a backup was restored. */
static enum status gone_back(const struct database *d, const struct progress *progress,
                             uint64_t epoch, int64_t stored_epoch, struct error *err)
{
    char stands[64];
    if (stored_epoch < 0) {
        snprintf(stands, sizeof stands, "is not there");
    } else {
        snprintf(stands, sizeof stands, "is at epoch %lld", (long long)stored_epoch);
    }
    return error_set(err, STATUS_FATAL, "progress.behind",
                     "%s has lost commits: the progress record of '%s' [%s] %s, and epoch %llu had "
                     "been committed; a standby that had not got everything was promoted, or an "
                     "older backup was restored. Bring the server back that has them; if it shall "
                     "stay as it is, start weir again: rows and record went back together, and "
                     "what was lost is written again from the source",
                     d->place, progress->topic, progress->partition, stands,
                     (unsigned long long)epoch);
}

enum status database_fenced(struct database *d, const struct progress *progress, uint64_t epoch,
                            struct error *err)
{
    struct parameters parameters = parameters_of_progress(d->pipeline, progress);
    struct database_answer *answer = NULL;
    enum status status = d->ops->ask(d,
                                     "SELECT epoch FROM weir_progress WHERE pipeline = $1"
                                     " AND topic = $2 AND \"partition\" = $3",
                                     &parameters, "look at the progress record in", &answer, err);
    if (status != STATUS_OK) {
        return status;
    }
    int64_t stored = d->ops->row_count(answer) == 1 ? d->ops->integer(answer, 0, 0) : -1;
    d->ops->free(answer);
    if (stored < 0 || (uint64_t)stored < epoch) {
        return gone_back(d, progress, epoch, stored, err);
    }
    return error_set(err, STATUS_FENCED, "progress.fenced",
                     "%s: the progress record of '%s' [%s] is not at epoch %llu with this owner "
                     "any more: another process has taken over this pipeline",
                     d->place, progress->topic, progress->partition, (unsigned long long)epoch);
}

/* Whether the question finds R; beside the partition it knows owner ($4) and epoch ($5) of `progress`. */
static enum status find_owned(struct database *d, const struct progress *progress, const char *sql,
                              const char *doing, bool *out_found, struct error *err)
{
    struct parameters parameters = parameters_of_progress(d->pipeline, progress);
    parameters_integer(&parameters, (int64_t)progress->owner);
    parameters_integer(&parameters, (int64_t)progress->epoch);
    struct database_answer *answer = NULL;
    enum status status = d->ops->ask(d, sql, &parameters, doing, &answer, err);
    if (status == STATUS_OK) {
        *out_found = d->ops->row_count(answer) == 1;
        d->ops->free(answer);
    }
    return status;
}

/* Why the owner could not be swapped. The last commit of a process that was killed may have arrived
 * since R was read: then there is more to go on from, and R is read again. */
static enum status overtaken(struct database *d, const struct progress *progress, struct error *err)
{
    bool has_moved = false;
    enum status status = find_owned(d, progress,
                                    "SELECT epoch FROM weir_progress WHERE pipeline = $1"
                                    " AND topic = $2 AND \"partition\" = $3 AND owner = $4"
                                    " AND epoch > $5",
                                    "look at the progress record in", &has_moved, err);
    if (status != STATUS_OK) {
        return status;
    }
    return has_moved ? error_set(err, STATUS_RETRY, "progress.moved",
                                 "%s: the process before committed once more while this one "
                                 "started; start again",
                                 d->place)
                     : database_fenced(d, progress, progress->epoch, err);
}

/* Of a partition that came to the source, R was made a moment ago, by this owner: nothing changes then,
 * and MySQL would count no row. */
static enum status keep_owner(struct database *d, const struct progress *progress,
                              struct error *err)
{
    bool is_mine = false;
    enum status status = find_owned(d, progress,
                                    "SELECT epoch FROM weir_progress WHERE pipeline = $1"
                                    " AND topic = $2 AND \"partition\" = $3 AND owner = $4"
                                    " AND epoch = $5 FOR UPDATE",
                                    "take over", &is_mine, err);
    return status != STATUS_OK || is_mine ? status : overtaken(d, progress, err);
}

static enum status swap_owner(struct database *d, const struct progress *progress, uint64_t owner,
                              struct error *err)
{
    if (owner == progress->owner) {
        return keep_owner(d, progress, err);
    }
    struct parameters parameters = parameters_of_progress(d->pipeline, progress);
    parameters_integer(&parameters, (int64_t)owner);
    parameters_integer(&parameters, (int64_t)progress->owner);
    parameters_integer(&parameters, (int64_t)progress->epoch);
    int64_t changed = 0;
    enum status status =
        d->ops->change(d,
                       "UPDATE weir_progress SET owner = $4 WHERE pipeline = $1 AND topic = $2"
                       " AND \"partition\" = $3 AND owner = $5 AND epoch = $6",
                       &parameters, "take over", &changed, err);
    return status == STATUS_OK && changed != 1 ? overtaken(d, progress, err) : status;
}

enum status database_take_over(struct system *system, const struct progress *progresses,
                               uint32_t count, uint64_t owner, struct bytes plan_text,
                               struct error *err)
{
    struct database *d = database_of(system);
    enum status status = d->ops->run(d, "BEGIN", "begin a transaction of", err);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = swap_owner(d, &progresses[i], owner, err);
    }
    if (status == STATUS_OK) {
        status = store_plan(d, plan_text, err);
    }
    return end_transaction(d, status, err);
}

/* --- in an epoch's transaction --- */

enum status database_write_progress(struct database *d, const struct attempt *attempt,
                                    struct error *err)
{
    uint32_t count = attempt->epoch->part_count;
    struct changes changes = changes_new();
    int64_t *changed = memory_alloc_zero(count + 1, sizeof *changed);
    for (uint32_t i = 0; i < count; i++) {
        struct buffer form = {0};
        struct parameters *parameters = changes_next(&changes);
        *parameters = of_columns(d, &attempt->next[i], &form);
        parameters->list[parameters->count - 1].bytes = changes_keep(&changes, &form);
        parameters_integer(parameters, (int64_t)attempt->next[i].epoch - 1);
    }
    enum status status =
        database_change_all(d,
                   "UPDATE weir_progress SET epoch = $5, next_offset = $6,"
                   " records = $7, valid = $8, invalid = $9, duplicate = $10, late = $11,"
                   " filtered = $12, record = $13 WHERE pipeline = $1 AND topic = $2"
                   " AND \"partition\" = $3 AND owner = $4 AND epoch = $14",
                   &changes, "commit progress to", changed, err);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        const struct progress *progress = &attempt->next[i];
        status = changed[i] == 1 ? STATUS_OK
                                 : database_fenced(d, progress, progress->epoch - 1, err);
    }
    memory_free(changed);
    changes_fini(&changes);
    return status;
}
