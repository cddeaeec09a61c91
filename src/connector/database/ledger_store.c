/* Ledger segments in weir_ledger: what an epoch adds to them, and all of them for who audits. */
#include "connector/database/database.h"

/* Adds to the ledger what is stored of the segment. */
static enum status add_stored(struct database *d, const struct progress *progress,
                              int64_t first_offset, struct ledger *ledger, struct error *err)
{
    struct parameters parameters = parameters_of_progress(d->pipeline, progress);
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
                                   struct ledger *ledger, struct changes *changes,
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
    struct parameters *parameters = changes_next(changes);
    *parameters = parameters_of_progress(d->pipeline, progress);
    parameters_integer(parameters, segment->first_offset);
    parameters_integer(parameters, next_offset);
    parameters_bytes(parameters, changes_keep(changes, &form));
    return STATUS_OK;
}

enum status database_write_segments(struct database *d, struct attempt *attempt,
                                    struct error *err)
{
    enum status status = STATUS_OK;
    struct changes changes = changes_new();
    for (uint32_t i = 0; i < attempt->epoch->part_count; i++) {
        const struct progress_step *step = &attempt->epoch->parts[i].step;
        for (uint32_t k = 0; k < step->segment_count && status == STATUS_OK; k++) {
            status = prepare_segment(d, &attempt->next[i], step, k, &attempt->segments[i][k],
                                     &changes, err);
        }
    }
    if (status == STATUS_OK) {
        status = database_change_all(d, d->ops->statements->write_segment, &changes,
                            "write a ledger segment to", NULL, err);
    }
    changes_fini(&changes);
    return status;
}

enum status database_load_segments(struct system *system, const char *pipeline,
                                   const struct source_partition *partition,
                                   enum status (*segment)(void *context, struct bytes form,
                                                          struct error *err),
                                   void *context, struct error *err)
{
    struct database *d = database_of(system);
    struct parameters parameters = parameters_of_partition(pipeline, partition);
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
