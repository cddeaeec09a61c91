/* R, plans, segments and refused rows in the tables of a database: what stands there, and how it is
 * written. */
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "connector/database/database.h"
#include "connector/reject.h"

#define TABLE_COUNT 5

/* --- parameters --- */

static struct parameter *next_parameter(struct parameters *parameters, enum parameter_kind kind)
{
    check(parameters->count < PARAMETERS_MAX);
    struct parameter *parameter = &parameters->list[parameters->count++];
    parameter->kind = kind;
    return parameter;
}

void parameters_text(struct parameters *parameters, const char *text)
{
    next_parameter(parameters, PARAMETER_TEXT)->bytes = bytes_of_string(text);
}

void parameters_integer(struct parameters *parameters, int64_t number)
{
    struct parameter *parameter = next_parameter(parameters, PARAMETER_INTEGER);
    parameter->integer = number;
    snprintf(parameter->digits, sizeof parameter->digits, "%lld", (long long)number);
}

void parameters_bytes(struct parameters *parameters, struct bytes bytes)
{
    check(bytes.size <= INT32_MAX);
    next_parameter(parameters, PARAMETER_BYTES)->bytes = bytes;
}

/* Parameters 1 to 3. */
static struct parameters of_partition(const char *pipeline, const char *topic,
                                      const char *partition)
{
    struct parameters parameters = {0};
    parameters_text(&parameters, pipeline);
    parameters_text(&parameters, topic);
    parameters_text(&parameters, partition);
    return parameters;
}

struct parameters database_of_progress(const struct database *d, const struct progress *progress)
{
    return of_partition(d->pipeline, progress->topic, progress->partition);
}

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
    struct parameters parameters = of_partition(d->pipeline, partition->topic, partition->label);
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
    struct parameters parameters = of_partition(d->pipeline, partition->topic, partition->label);
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

/* --- before the first commit --- */

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
    struct parameters parameters = database_of_progress(d, progress);
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
        struct parameters first = database_of_progress(d, progress);
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
    struct parameters parameters = database_of_progress(d, progress);
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

/* Why the owner could not be swapped. The last commit of a process that was killed may have arrived
 * since R was read: then there is more to go on from, and R is read again. */
static enum status overtaken(struct database *d, const struct progress *progress, struct error *err)
{
    struct parameters parameters = database_of_progress(d, progress);
    parameters_integer(&parameters, (int64_t)progress->owner);
    parameters_integer(&parameters, (int64_t)progress->epoch);
    struct database_answer *answer = NULL;
    enum status status = d->ops->ask(d,
                                     "SELECT epoch FROM weir_progress WHERE pipeline = $1"
                                     " AND topic = $2 AND \"partition\" = $3 AND owner = $4"
                                     " AND epoch > $5",
                                     &parameters, "look at the progress record in", &answer, err);
    if (status != STATUS_OK) {
        return status;
    }
    bool has_moved = d->ops->row_count(answer) == 1;
    d->ops->free(answer);
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
    struct parameters parameters = database_of_progress(d, progress);
    parameters_integer(&parameters, (int64_t)progress->owner);
    parameters_integer(&parameters, (int64_t)progress->epoch);
    struct database_answer *answer = NULL;
    enum status status = d->ops->ask(d,
                                     "SELECT epoch FROM weir_progress WHERE pipeline = $1"
                                     " AND topic = $2 AND \"partition\" = $3 AND owner = $4"
                                     " AND epoch = $5 FOR UPDATE",
                                     &parameters, "take over", &answer, err);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_mine = d->ops->row_count(answer) == 1;
    d->ops->free(answer);
    return is_mine ? STATUS_OK : overtaken(d, progress, err);
}

static enum status swap_owner(struct database *d, const struct progress *progress, uint64_t owner,
                              struct error *err)
{
    if (owner == progress->owner) {
        return keep_owner(d, progress, err);
    }
    struct parameters parameters = database_of_progress(d, progress);
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

/* --- what a commit writes --- */

/* Refused rows that are stored together. */
#define REJECTS_TOGETHER 256u

/* The parameters of one statement for one thing after the other; forms and texts live in `arena`. */
struct batch_of_changes {
    struct arena *arena;
    struct parameters *lists;
    uint32_t count, capacity;
};

static struct parameters *next_change(struct batch_of_changes *changes)
{
    if (changes->count == changes->capacity) {
        changes->capacity = changes->capacity == 0 ? 16 : changes->capacity * 2;
        changes->lists = memory_realloc(changes->lists,
                                        size_mul(changes->capacity, sizeof *changes->lists));
    }
    return &changes->lists[changes->count++];
}

static struct batch_of_changes changes_new(void)
{
    return (struct batch_of_changes){.arena = arena_new(16384)};
}

static void changes_clear(struct batch_of_changes *changes)
{
    arena_reset(changes->arena, 65536);
    changes->count = 0;
}

static void changes_fini(struct batch_of_changes *changes)
{
    arena_free(changes->arena);
    memory_free(changes->lists);
}

/* Moves the form into the arena. */
static struct bytes keep_form(struct batch_of_changes *changes, struct buffer *form)
{
    struct bytes kept = bytes_of(arena_copy(changes->arena, form->data, form->size), form->size);
    buffer_fini(form);
    return kept;
}

static enum status change_one_by_one(struct database *d, const char *sql,
                                     const struct batch_of_changes *changes, const char *doing,
                                     int64_t *out_changed, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < changes->count && status == STATUS_OK; i++) {
        status = d->ops->change(d, sql, &changes->lists[i], doing,
                                out_changed == NULL ? NULL : &out_changed[i], err);
    }
    return status;
}

/* out_changed[changes->count]; may be NULL. */
static enum status change_all(struct database *d, const char *sql,
                              const struct batch_of_changes *changes, const char *doing,
                              int64_t *out_changed, struct error *err)
{
    return d->ops->change_all == NULL || changes->count < 2
               ? change_one_by_one(d, sql, changes, doing, out_changed, err)
               : d->ops->change_all(d, sql, changes->lists, changes->count, doing, out_changed,
                                    err);
}

enum status database_write_progress(struct database *d, const struct attempt *attempt,
                                    struct error *err)
{
    uint32_t count = attempt->epoch->part_count;
    struct batch_of_changes changes = changes_new();
    int64_t *changed = memory_alloc_zero(count + 1, sizeof *changed);
    for (uint32_t i = 0; i < count; i++) {
        struct buffer form = {0};
        struct parameters *parameters = next_change(&changes);
        *parameters = of_columns(d, &attempt->next[i], &form);
        parameters->list[parameters->count - 1].bytes = keep_form(&changes, &form);
        parameters_integer(parameters, (int64_t)attempt->next[i].epoch - 1);
    }
    enum status status =
        change_all(d,
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

/* Adds to the ledger what is stored of the segment. */
static enum status add_stored(struct database *d, const struct progress *progress,
                              int64_t first_offset, struct ledger *ledger, struct error *err)
{
    struct parameters parameters = database_of_progress(d, progress);
    parameters_integer(&parameters, first_offset);
    struct database_answer *answer = NULL;
    enum status status =
        d->ops->ask(d,
                    "SELECT segment FROM weir_ledger WHERE pipeline = $1 AND topic = $2"
                    " AND \"partition\" = $3 AND first_offset = $4",
                    &parameters, "read a ledger segment from", &answer, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (d->ops->row_count(answer) == 1) {
        int64_t first = 0;
        int64_t next = 0;
        struct hash128 plan_hash;
        struct ledger stored = {0};
        status = segment_read(d->ops->bytes(answer, 0, 0), &first, &next, &plan_hash, &stored,
                              err);
        ledger_add(ledger, &stored);
        ledger_fini(&stored);
    }
    d->ops->free(answer);
    return status;
}

static enum status prepare_segment(struct database *d, const struct progress *progress,
                                   const struct progress_step *step, uint32_t index,
                                   struct ledger *ledger, struct batch_of_changes *changes,
                                   struct error *err)
{
    const struct segment_delta *segment = &step->segments[index];
    int64_t next_offset = index + 1 < step->segment_count ? step->segments[index + 1].first_offset
                                                          : step->next_offset;
    enum status status = add_stored(d, progress, segment->first_offset, ledger, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct buffer form = {0};
    segment_write(segment->first_offset, next_offset, segment->plan_hash, ledger, &form);
    struct parameters *parameters = next_change(changes);
    *parameters = database_of_progress(d, progress);
    parameters_integer(parameters, segment->first_offset);
    parameters_integer(parameters, next_offset);
    parameters_bytes(parameters, keep_form(changes, &form));
    return STATUS_OK;
}

enum status database_write_segments(struct database *d, struct attempt *attempt,
                                    struct error *err)
{
    enum status status = STATUS_OK;
    struct batch_of_changes changes = changes_new();
    for (uint32_t i = 0; i < attempt->epoch->part_count; i++) {
        const struct progress_step *step = &attempt->epoch->parts[i].step;
        for (uint32_t k = 0; k < step->segment_count && status == STATUS_OK; k++) {
            status = prepare_segment(d, &attempt->next[i], step, k, &attempt->segments[i][k],
                                     &changes, err);
        }
    }
    if (status == STATUS_OK) {
        status = change_all(d, d->ops->statements->write_segment, &changes,
                            "write a ledger segment to", NULL, err);
    }
    changes_fini(&changes);
    return status;
}

static void prepare_reject(const struct database *d, const struct reject *reject,
                           const struct progress *progress, uint64_t number,
                           struct batch_of_changes *changes)
{
    struct buffer headers = {0};
    char timestamp[TIME_TEXT_BYTES] = "";
    reject_write_headers(&reject->record, &headers);
    if (reject->record.timestamp_us != TIME_NEVER) {
        time_format(reject->record.timestamp_us, timestamp);
    }
    struct parameters *parameters = next_change(changes);
    *parameters = database_of_progress(d, progress);
    parameters_integer(parameters, (int64_t)number);
    parameters_text(parameters, reject->sink->name);
    parameters_integer(parameters, reject->record.offset);
    parameters_text(parameters, arena_copy_string(changes->arena, timestamp));
    parameters_text(parameters, reject->code);
    parameters_bytes(parameters, bytes_of_string(reject->message));
    parameters_integer(parameters, reject->attempt);
    parameters_bytes(parameters, reject->record.key);
    parameters_bytes(parameters, reject->record.value);
    parameters_bytes(parameters, keep_form(changes, &headers));
    if (d->system.forwards_rejects) {
        parameters_text(parameters, reject->sink->shape->plan_hash);
        parameters_integer(parameters, reject->record.timestamp_us);
        parameters_integer(parameters, 1);
    }
}

enum status database_write_rejects(struct database *d, const struct attempt *attempt,
                                   uint64_t *numbers, struct error *err)
{
    const struct database_statements *statements = d->ops->statements;
    enum status status = STATUS_OK;
    struct batch_of_changes changes = changes_new();
    for (uint32_t i = 0; i < attempt->reject_count && status == STATUS_OK; i++) {
        const struct reject *reject = &attempt->rejects[i];
        uint32_t part = attempt_part(attempt, reject->source_partition);
        prepare_reject(d, reject, &attempt->next[part], ++numbers[part], &changes);
        if (changes.count == REJECTS_TOGETHER || i + 1 == attempt->reject_count) {
            status = change_all(d,
                                d->system.forwards_rejects ? statements->insert_forward
                                                           : statements->insert_reject,
                                &changes, "store a refused row in", NULL, err);
            changes_clear(&changes);
        }
    }
    changes_fini(&changes);
    return status;
}

/* --- what another system's dead letters are made of --- */

static enum status hand_out(const struct database *d, const struct database_answer *answer,
                            uint32_t row, kept_reject_visitor *reject, void *context,
                            struct error *err)
{
    const struct database_ops *ops = d->ops;
    struct kept_reject kept = {
        .record = {.offset = ops->integer(answer, row, 0),
                   .timestamp_us = ops->integer(answer, row, 1),
                   .key = ops->bytes(answer, row, 5),
                   .value = ops->bytes(answer, row, 6)},
        .attempt = (uint32_t)ops->integer(answer, row, 2),
        .code = (const char *)ops->bytes(answer, row, 3).data,
        .message = (const char *)ops->bytes(answer, row, 4).data,
        .plan_hash = (const char *)ops->bytes(answer, row, 8).data,
    };
    if (kept.plan_hash == NULL || !reject_read_headers(ops->bytes(answer, row, 7), &kept.record)) {
        return error_set(err, STATUS_FATAL, "progress.corrupt",
                         "%s: a refused row in weir_rejects was edited, and no dead letter can be "
                         "made of it; restore the database from a backup",
                         d->place);
    }
    reject(context, &kept);
    memory_free((void *)(uintptr_t)kept.record.headers);
    return STATUS_OK;
}

enum status database_load_rejects(struct system *system, const struct source_partition *partition,
                                  const char *sink, int64_t from_offset, int64_t before_offset,
                                  kept_reject_visitor *reject, void *context, struct error *err)
{
    struct database *d = database_of(system);
    struct parameters parameters = of_partition(d->pipeline, partition->topic, partition->label);
    parameters_text(&parameters, sink);
    parameters_integer(&parameters, from_offset);
    parameters_integer(&parameters, before_offset);
    parameters_integer(&parameters, KEPT_REJECT_ROWS);
    parameters_integer(&parameters, KEPT_REJECT_BYTES);
    struct database_answer *answer = NULL;
    enum status status = d->ops->reconnect(d, err);
    if (status != STATUS_OK) {
        return status;
    }
    /* `before` is how much stands before the row: the first has none and always comes. */
    status = d->ops->ask(
        d,
        "SELECT \"offset\", timestamp_us, attempt, code, message, \"key\", \"value\", headers,"
        " \"plan\" FROM (SELECT chosen.*, sum(coalesce(octet_length(\"value\"), 0)) OVER"
        " (ORDER BY \"offset\" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before"
        " FROM (SELECT * FROM weir_rejects WHERE pipeline = $1 AND topic = $2 AND"
        " \"partition\" = $3 AND sink = $4 AND forward = 1 AND \"offset\" >= $5 AND"
        " \"offset\" < $6 ORDER BY \"offset\" LIMIT $7) AS chosen) AS measured"
        " WHERE coalesce(bytes_before, 0) <= $8 ORDER BY \"offset\"",
        &parameters, "read refused rows of", &answer, err);
    uint32_t count = status == STATUS_OK ? d->ops->row_count(answer) : 0;
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        status = hand_out(d, answer, i, reject, context, err);
    }
    d->ops->free(answer);
    return status;
}

/* --- for audit and replay --- */

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

enum status database_load_segments(struct system *system, const char *pipeline,
                                   const struct source_partition *partition,
                                   enum status (*segment)(void *context, struct bytes form,
                                                          struct error *err),
                                   void *context, struct error *err)
{
    struct database *d = database_of(system);
    struct parameters parameters = of_partition(pipeline, partition->topic, partition->label);
    struct database_answer *answer = NULL;
    enum status status =
        d->ops->ask(d,
                    "SELECT segment FROM weir_ledger WHERE pipeline = $1 AND topic = $2"
                    " AND \"partition\" = $3 ORDER BY first_offset",
                    &parameters, "read ledger segments from", &answer, err);
    uint32_t count = status == STATUS_OK ? d->ops->row_count(answer) : 0;
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        status = segment(context, d->ops->bytes(answer, i, 0), err);
    }
    d->ops->free(answer);
    return status;
}

enum status database_scan_rejects(struct system *system, const char *pipeline,
                                  enum status (*reject)(void *context, const char *sink,
                                                        const char *topic, const char *partition,
                                                        int64_t offset, const char *code,
                                                        const char *message, struct error *err),
                                  void *context, struct error *err)
{
    struct database *d = database_of(system);
    struct parameters parameters = {0};
    parameters_text(&parameters, pipeline);
    struct database_answer *answer = NULL;
    enum status status =
        d->ops->ask(d,
                    "SELECT sink, topic, \"partition\", \"offset\", code, message FROM"
                    " weir_rejects WHERE pipeline = $1 ORDER BY topic, \"partition\", number",
                    &parameters, "read refused rows of", &answer, err);
    uint32_t count = status == STATUS_OK ? d->ops->row_count(answer) : 0;
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        const char *texts[6] = {NULL};
        for (uint32_t k = 0; k < 6; k++) {
            texts[k] = k == 3 ? NULL : (const char *)d->ops->bytes(answer, i, k).data;
        }
        status = reject(context, texts[0], texts[1], texts[2], d->ops->integer(answer, i, 3),
                        texts[4], texts[5], err);
    }
    d->ops->free(answer);
    return status;
}
