/* Refused rows in weir_rejects: stored with the epoch that refused them, read back for dead letters in
 * another system, and all of them for who audits. */
#include "base/time.h"
#include "connector/database/database.h"
#include "connector/reject.h"

/* Refused rows that are stored together. */
#define REJECTS_TOGETHER 256u

static void prepare_reject(const struct database *d, const struct reject *reject,
                           const struct progress *progress, uint64_t number,
                           struct changes *changes)
{
    struct buffer headers = {0};
    char timestamp[TIME_TEXT_BYTES] = "";
    reject_write_headers(&reject->record, &headers);
    if (reject->record.timestamp_us != TIME_NEVER) {
        time_format(reject->record.timestamp_us, timestamp);
    }
    struct parameters *parameters = changes_next(changes);
    *parameters = parameters_of_progress(d->pipeline, progress);
    parameters_integer(parameters, (int64_t)number);
    parameters_text(parameters, reject->sink->name);
    parameters_integer(parameters, reject->record.offset);
    parameters_text(parameters, arena_copy_string(changes->arena, timestamp));
    parameters_text(parameters, reject->code);
    parameters_bytes(parameters, bytes_of_string(reject->message));
    parameters_integer(parameters, reject->attempt);
    parameters_bytes(parameters, reject->record.key);
    parameters_bytes(parameters, reject->record.value);
    parameters_bytes(parameters, changes_keep(changes, &headers));
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
    struct changes changes = changes_new();
    for (uint32_t i = 0; i < attempt->reject_count && status == STATUS_OK; i++) {
        const struct reject *reject = &attempt->rejects[i];
        uint32_t part = attempt_part(attempt, reject->source_partition);
        prepare_reject(d, reject, &attempt->next[part], ++numbers[part], &changes);
        if (changes.count == REJECTS_TOGETHER || i + 1 == attempt->reject_count) {
            status = database_change_all(d,
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
    struct parameters parameters = parameters_of_partition(d->pipeline, partition);
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

/* --- for audit --- */

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
