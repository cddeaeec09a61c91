/* R, plans, segments and refused rows in the tables of a database: what stands there, and how it is
 * written. */
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "connector/postgres/system.h"

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS weir_progress ("
    " pipeline text NOT NULL, topic text NOT NULL, partition text NOT NULL,"
    " owner bigint NOT NULL, epoch bigint NOT NULL, next_offset bigint NOT NULL,"
    " records bigint NOT NULL, valid bigint NOT NULL, invalid bigint NOT NULL,"
    " duplicate bigint NOT NULL, late bigint NOT NULL, filtered bigint NOT NULL,"
    " record bytea NOT NULL, PRIMARY KEY (pipeline, topic, partition));"
    "CREATE TABLE IF NOT EXISTS weir_start ("
    " pipeline text NOT NULL, topic text NOT NULL, partition text NOT NULL, record bytea NOT NULL,"
    " PRIMARY KEY (pipeline, topic, partition));"
    "CREATE TABLE IF NOT EXISTS weir_ledger ("
    " pipeline text NOT NULL, topic text NOT NULL, partition text NOT NULL,"
    " first_offset bigint NOT NULL, next_offset bigint NOT NULL, segment bytea NOT NULL,"
    " PRIMARY KEY (pipeline, topic, partition, first_offset));"
    "CREATE TABLE IF NOT EXISTS weir_plan (hash text PRIMARY KEY, text text NOT NULL);"
    "CREATE TABLE IF NOT EXISTS weir_rejects ("
    " pipeline text NOT NULL, topic text NOT NULL, partition text NOT NULL, number bigint NOT NULL,"
    " sink text NOT NULL, \"offset\" bigint NOT NULL, \"timestamp\" timestamptz, code text NOT NULL,"
    " message text NOT NULL, attempt bigint NOT NULL, key bytea, value bytea, headers bytea,"
    " PRIMARY KEY (pipeline, topic, partition, number))";

static enum status count_tables(struct postgres_system *s, int64_t *out, struct error *err)
{
    PGresult *result = NULL;
    enum status status = postgres_ask(
        s,
        "SELECT count(*) FROM (VALUES ('weir_progress'), ('weir_start'), ('weir_ledger'),"
        " ('weir_plan'), ('weir_rejects')) AS name(name) WHERE to_regclass(name) IS NOT NULL",
        NULL, false, "look for progress in", &result, err);
    if (status == STATUS_OK) {
        *out = postgres_integer(result, 0, 0);
        PQclear(result);
    }
    return status;
}

enum status postgres_make_tables(struct postgres_system *s, struct error *err)
{
    int64_t count = 0;
    enum status status = count_tables(s, &count, err);
    /* Whoever may not make tables can have them made. */
    return status != STATUS_OK || count == 5
               ? status
               : postgres_run(s, tables, "make the tables of weir in", err);
}

enum status postgres_check_tables(struct postgres_system *s, struct error *err)
{
    int64_t count = 0;
    enum status status = count_tables(s, &count, err);
    if (status == STATUS_OK && count < 5) {
        status = error_set(err, STATUS_CONFIG, "progress.none",
                           "pipeline '%s' has not run with %s yet; run it first: weir run",
                           s->pipeline, s->place);
    }
    return status;
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

static struct parameters of_progress(const struct postgres_system *s,
                                     const struct progress *progress)
{
    return of_partition(s->pipeline, progress->topic, progress->partition);
}

static enum status read_record(const struct postgres_system *s,
                               const struct source_partition *partition, struct bytes form,
                               struct progress *progress, struct error *err)
{
    struct error detail = {0};
    enum status status = progress_read(progress, form, &detail);
    return status == STATUS_OK
               ? STATUS_OK
               : error_set(err, status, detail.code, "%s, '%s' [%s]: %s", s->place,
                           partition->topic, partition->label, detail.message);
}

/* A bigint of a binary result: big-endian. */
static uint64_t big_endian(struct bytes bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        value = value << 8 | bytes.data[i];
    }
    return value;
}

enum status postgres_load(struct system *system, const struct source_partition *partition,
                          struct progress *progress, bool *out_found, struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    struct parameters parameters = of_partition(s->pipeline, partition->topic, partition->label);
    PGresult *result = NULL;
    enum status status =
        postgres_ask(s,
                     "SELECT record, owner, epoch, next_offset FROM weir_progress"
                     " WHERE pipeline = $1 AND topic = $2 AND partition = $3",
                     &parameters, true, "read progress from", &result, err);
    if (status != STATUS_OK) {
        return status;
    }
    *out_found = PQntuples(result) == 1;
    if (*out_found) {
        status = read_record(s, partition, postgres_bytes(result, 0, 0), progress, err);
        /* The owner stands in its column only: taking over does not rewrite R. */
        progress->owner = big_endian(postgres_bytes(result, 0, 1));
        if (status == STATUS_OK &&
            (big_endian(postgres_bytes(result, 0, 2)) != progress->epoch ||
             (int64_t)big_endian(postgres_bytes(result, 0, 3)) != progress->next_offset)) {
            status = error_set(err, STATUS_FATAL, "progress.corrupt",
                               "%s: epoch or offset of the progress record of '%s' [%s] were "
                               "edited; restore the database from a backup",
                               s->place, partition->topic, partition->label);
        }
    }
    PQclear(result);
    return status;
}

enum status postgres_load_first(struct system *system, const struct source_partition *partition,
                                struct progress *progress, bool *out_found, struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    struct parameters parameters = of_partition(s->pipeline, partition->topic, partition->label);
    PGresult *result = NULL;
    enum status status = postgres_ask(
        s, "SELECT record FROM weir_start WHERE pipeline = $1 AND topic = $2 AND partition = $3",
        &parameters, true, "read the first progress from", &result, err);
    if (status != STATUS_OK) {
        return status;
    }
    *out_found = PQntuples(result) == 1;
    if (*out_found) {
        status = read_record(s, partition, postgres_bytes(result, 0, 0), progress, err);
    }
    PQclear(result);
    return status;
}

enum status postgres_count_partitions(struct system *system, uint32_t *out_count,
                                      struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    struct parameters parameters = {0};
    parameters_text(&parameters, s->pipeline);
    PGresult *result = NULL;
    enum status status =
        postgres_ask(s, "SELECT count(*) FROM weir_progress WHERE pipeline = $1", &parameters,
                     false, "count progress records in", &result, err);
    if (status == STATUS_OK) {
        *out_count = (uint32_t)postgres_integer(result, 0, 0);
        PQclear(result);
    }
    return status;
}

/* --- before the first commit --- */

static enum status store_plan(struct postgres_system *s, struct bytes text, struct error *err)
{
    char hash[33];
    hash_format(hash_plain(text.data, text.size), hash);
    struct parameters parameters = {0};
    parameters_text(&parameters, hash);
    parameters_bytes(&parameters, text);
    return postgres_change(s,
                           "INSERT INTO weir_plan VALUES ($1, convert_from($2::bytea, 'UTF8'))"
                           " ON CONFLICT DO NOTHING",
                           &parameters, "store the plan in", NULL, err);
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
static struct parameters of_columns(struct postgres_system *s, const struct progress *progress,
                                    struct buffer *form)
{
    progress_write(progress, form);
    struct parameters parameters = of_progress(s, progress);
    parameters_integer(&parameters, (int64_t)progress->owner);
    parameters_integer(&parameters, (int64_t)progress->epoch);
    parameters_integer(&parameters, progress->next_offset);
    add_counts(&parameters, &progress->ledger);
    parameters_bytes(&parameters, bytes_of(form->data, form->size));
    return parameters;
}

static enum status insert_progress(struct postgres_system *s, const struct progress *progress,
                                   struct error *err)
{
    struct buffer form = {0};
    struct parameters parameters = of_columns(s, progress, &form);
    int64_t changed = 0;
    enum status status =
        postgres_change(s,
                        "INSERT INTO weir_progress VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
                        " $10, $11, $12, $13) ON CONFLICT DO NOTHING",
                        &parameters, "store the first progress in", &changed, err);
    if (status == STATUS_OK && changed != 1) {
        status = error_set(err, STATUS_FENCED, "progress.exists",
                           "%s has a progress record of '%s' [%s] already: another process "
                           "started this pipeline at the same moment",
                           s->place, progress->topic, progress->partition);
    }
    if (status == STATUS_OK) {
        struct parameters first = of_progress(s, progress);
        parameters_bytes(&first, bytes_of(form.data, form.size));
        status = postgres_change(s,
                                 "INSERT INTO weir_start VALUES ($1, $2, $3, $4) ON CONFLICT"
                                 " (pipeline, topic, partition) DO UPDATE SET record = $4",
                                 &first, "keep the first progress in", NULL, err);
    }
    buffer_fini(&form);
    return status;
}

/* Ends the transaction that was begun: COMMIT if all went well. */
static enum status end_transaction(struct postgres_system *s, enum status status,
                                   struct error *err)
{
    if (status == STATUS_OK) {
        return postgres_run(s, "COMMIT", "commit to", err);
    }
    PQclear(PQexec(s->connection, "ROLLBACK"));
    return status;
}

enum status postgres_begin(struct system *system, const struct progress *progresses,
                           uint32_t count, const struct bytes *plan_texts, uint32_t plan_count,
                           struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    enum status status = postgres_run(s, "BEGIN", "begin a transaction of", err);
    for (uint32_t i = 0; i < plan_count && status == STATUS_OK; i++) {
        status = store_plan(s, plan_texts[i], err);
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = insert_progress(s, &progresses[i], err);
    }
    return end_transaction(s, status, err);
}

enum status postgres_fenced(const struct postgres_system *s, const struct progress *progress,
                            struct error *err)
{
    return error_set(err, STATUS_FENCED, "progress.fenced",
                     "%s: the progress record of '%s' [%s] is not at epoch %llu with this owner "
                     "any more: another process has taken over this pipeline",
                     s->place, progress->topic, progress->partition,
                     (unsigned long long)progress->epoch);
}

static enum status swap_owner(struct postgres_system *s, const struct progress *progress,
                              uint64_t owner, struct error *err)
{
    struct parameters parameters = of_progress(s, progress);
    parameters_integer(&parameters, (int64_t)owner);
    parameters_integer(&parameters, (int64_t)progress->owner);
    parameters_integer(&parameters, (int64_t)progress->epoch);
    int64_t changed = 0;
    enum status status =
        postgres_change(s,
                        "UPDATE weir_progress SET owner = $4 WHERE pipeline = $1 AND topic = $2"
                        " AND partition = $3 AND owner = $5 AND epoch = $6",
                        &parameters, "take over", &changed, err);
    return status == STATUS_OK && changed != 1 ? postgres_fenced(s, progress, err) : status;
}

enum status postgres_take_over(struct system *system, const struct progress *progresses,
                               uint32_t count, uint64_t owner, struct bytes plan_text,
                               struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    enum status status = postgres_run(s, "BEGIN", "begin a transaction of", err);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = swap_owner(s, &progresses[i], owner, err);
    }
    if (status == STATUS_OK) {
        status = store_plan(s, plan_text, err);
    }
    return end_transaction(s, status, err);
}

/* --- what a commit writes --- */

enum status postgres_write_progress(struct postgres_system *s, const struct progress *progress,
                                    struct error *err)
{
    struct buffer form = {0};
    struct parameters parameters = of_columns(s, progress, &form);
    int64_t changed = 0;
    enum status status =
        postgres_change(s,
                        "UPDATE weir_progress SET epoch = $5::bigint, next_offset = $6,"
                        " records = $7, valid = $8, invalid = $9, duplicate = $10, late = $11,"
                        " filtered = $12, record = $13 WHERE pipeline = $1 AND topic = $2"
                        " AND partition = $3 AND owner = $4 AND epoch = $5::bigint - 1",
                        &parameters, "commit progress to", &changed, err);
    buffer_fini(&form);
    return status == STATUS_OK && changed != 1 ? postgres_fenced(s, progress, err) : status;
}

/* Adds to the ledger what is stored of the segment. */
static enum status add_stored(struct postgres_system *s, const struct progress *progress,
                              int64_t first_offset, struct ledger *ledger, struct error *err)
{
    struct parameters parameters = of_progress(s, progress);
    parameters_integer(&parameters, first_offset);
    PGresult *result = NULL;
    enum status status =
        postgres_ask(s,
                     "SELECT segment FROM weir_ledger WHERE pipeline = $1 AND topic = $2"
                     " AND partition = $3 AND first_offset = $4",
                     &parameters, true, "read a ledger segment from", &result, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (PQntuples(result) == 1) {
        int64_t first = 0;
        int64_t next = 0;
        struct hash128 plan_hash;
        struct ledger stored = {0};
        status = segment_read(postgres_bytes(result, 0, 0), &first, &next, &plan_hash, &stored,
                              err);
        ledger_add(ledger, &stored);
        ledger_fini(&stored);
    }
    PQclear(result);
    return status;
}

enum status postgres_write_segment(struct postgres_system *s, const struct progress *progress,
                                   const struct progress_step *step, uint32_t index,
                                   struct ledger *ledger, struct error *err)
{
    const struct segment_delta *segment = &step->segments[index];
    int64_t next_offset = index + 1 < step->segment_count ? step->segments[index + 1].first_offset
                                                          : step->next_offset;
    enum status status = add_stored(s, progress, segment->first_offset, ledger, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct buffer form = {0};
    segment_write(segment->first_offset, next_offset, segment->plan_hash, ledger, &form);
    struct parameters parameters = of_progress(s, progress);
    parameters_integer(&parameters, segment->first_offset);
    parameters_integer(&parameters, next_offset);
    parameters_bytes(&parameters, bytes_of(form.data, form.size));
    status = postgres_change(s,
                             "INSERT INTO weir_ledger VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT"
                             " (pipeline, topic, partition, first_offset)"
                             " DO UPDATE SET next_offset = $5, segment = $6",
                             &parameters, "write a ledger segment to", NULL, err);
    buffer_fini(&form);
    return status;
}

static void write_headers(const struct record *record, struct buffer *out)
{
    buffer_append_u32(out, record->header_count);
    for (uint32_t i = 0; i < record->header_count; i++) {
        buffer_append_sized(out, record->headers[i].name.data, record->headers[i].name.size);
        buffer_append_u8(out, bytes_is_none(record->headers[i].value));
        buffer_append_sized(out, record->headers[i].value.data, record->headers[i].value.size);
    }
}

enum status postgres_write_reject(struct postgres_system *s, const struct reject *reject,
                                  const struct progress *progress, uint64_t number,
                                  struct error *err)
{
    struct buffer headers = {0};
    char timestamp[TIME_TEXT_BYTES] = "";
    write_headers(&reject->record, &headers);
    if (reject->record.timestamp_us != TIME_NEVER) {
        time_format(reject->record.timestamp_us, timestamp);
    }
    struct parameters parameters = of_progress(s, progress);
    parameters_integer(&parameters, (int64_t)number);
    parameters_text(&parameters, reject->sink->name);
    parameters_integer(&parameters, reject->record.offset);
    parameters_text(&parameters, timestamp);
    parameters_text(&parameters, reject->code);
    parameters_bytes(&parameters, bytes_of_string(reject->message));
    parameters_integer(&parameters, reject->attempt);
    parameters_bytes(&parameters, reject->record.key);
    parameters_bytes(&parameters, reject->record.value);
    parameters_bytes(&parameters, bytes_of(headers.data, headers.size));
    enum status status = postgres_change(
        s,
        "INSERT INTO weir_rejects VALUES ($1, $2, $3, $4, $5, $6, nullif($7, '')::timestamptz, $8,"
        " convert_from($9::bytea, 'UTF8'), $10, $11, $12, $13)",
        &parameters, "store a refused row in", NULL, err);
    buffer_fini(&headers);
    return status;
}

/* --- for audit and replay --- */

enum status postgres_load_plan(struct system *system, struct hash128 plan_hash, struct buffer *out,
                               bool *out_found, struct error *err)
{
    char hash[33];
    hash_format(plan_hash, hash);
    struct parameters parameters = {0};
    parameters_text(&parameters, hash);
    PGresult *result = NULL;
    enum status status =
        postgres_ask(postgres_system(system), "SELECT text FROM weir_plan WHERE hash = $1",
                     &parameters, true, "read a plan from", &result, err);
    if (status != STATUS_OK) {
        return status;
    }
    *out_found = PQntuples(result) == 1;
    if (*out_found) {
        struct bytes text = postgres_bytes(result, 0, 0);
        buffer_append(out, text.data, text.size);
    }
    PQclear(result);
    return STATUS_OK;
}

enum status postgres_load_segments(struct system *system, const char *pipeline,
                                   const struct source_partition *partition,
                                   enum status (*segment)(void *context, struct bytes form,
                                                          struct error *err),
                                   void *context, struct error *err)
{
    struct parameters parameters = of_partition(pipeline, partition->topic, partition->label);
    PGresult *result = NULL;
    enum status status =
        postgres_ask(postgres_system(system),
                     "SELECT segment FROM weir_ledger WHERE pipeline = $1 AND topic = $2"
                     " AND partition = $3 ORDER BY first_offset",
                     &parameters, true, "read ledger segments from", &result, err);
    for (int i = 0; status == STATUS_OK && i < PQntuples(result); i++) {
        status = segment(context, postgres_bytes(result, i, 0), err);
    }
    PQclear(result);
    return status;
}

enum status postgres_scan_rejects(struct system *system, const char *pipeline,
                                  enum status (*reject)(void *context, const char *sink,
                                                        const char *topic, const char *partition,
                                                        int64_t offset, const char *code,
                                                        const char *message, struct error *err),
                                  void *context, struct error *err)
{
    struct parameters parameters = {0};
    parameters_text(&parameters, pipeline);
    PGresult *result = NULL;
    enum status status = postgres_ask(
        postgres_system(system),
        "SELECT sink, topic, partition, \"offset\", code, message FROM weir_rejects"
        " WHERE pipeline = $1 ORDER BY topic, partition, number",
        &parameters, false, "read refused rows of", &result, err);
    for (int i = 0; status == STATUS_OK && i < PQntuples(result); i++) {
        status = reject(context, PQgetvalue(result, i, 0), PQgetvalue(result, i, 1),
                        PQgetvalue(result, i, 2), postgres_integer(result, i, 3),
                        PQgetvalue(result, i, 4), PQgetvalue(result, i, 5), err);
    }
    PQclear(result);
    return status;
}
