/*
 * The whole way of a run: source and systems opened, R read and claimed, state rebuilt,
 * committers started, the worker's loop, and everything closed in the opposite order.
 */
#include "run/run.h"

#include "os/clock.h"
#include "os/thread.h"
#include "run/pipeline.h"
#include "run/replayer.h"
#include "run/telemetry.h"

void run_result_fini(struct run_result *result)
{
    ledger_fini(&result->ledger);
}

static enum status work(struct pipeline *pipeline, uint64_t *out_records, struct error *err)
{
    struct plan *plan = pipeline->plan;
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK; p++) {
        status = pipeline->source->ops->seek(pipeline->source, p,
                                             pipeline->partitions[p].state->next_offset, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    telemetry_set_phase(pipeline->telemetry, HEALTH_RUNNING);
    for (uint32_t s = 0; s < plan->system_count; s++) {
        pipeline->committers[s] = committer_start(plan->systems[s], pipeline->progresses[s],
                                                  pipeline->partition_count, &plan->retry,
                                                  pipeline->observer, pipeline->telemetry, s);
    }
    status = worker_run(pipeline, out_records, err);
    for (uint32_t s = 0; s < plan->system_count; s++) {
        committer_stop(pipeline->committers[s]);
    }
    return status;
}

/* One pass with one plan. *out_align: systems are apart under that older plan, which must finish
 * first; when `is_last`, it has. */
static enum status run_once(struct plan *plan, bool is_last, const struct run_options *options,
                            const struct run_observer *observer, struct telemetry *telemetry,
                            struct run_result *result, struct hash128 *out_align, bool *out_needs_align,
                            struct buffer *out_plan_text, struct error *err)
{
    struct pipeline pipeline;
    pipeline_init(&pipeline, plan, options, observer);
    pipeline.telemetry = telemetry;
    enum status status = pipeline_open(&pipeline, err);
    if (status == STATUS_OK) {
        status = pipeline_claim(&pipeline, err);
    }
    if (status == STATUS_OK) {
        status = recovery_load(&pipeline, err);
    }
    if (status == STATUS_OK && !is_last) {
        status = left_systems_check(&pipeline, out_plan_text, out_needs_align, err);
    }
    if (*out_needs_align) {
        pipeline_close(&pipeline);
        return status;
    }
    if (status == STATUS_OK) {
        status = recovery_claim(&pipeline, err);
    }
    if (status == STATUS_OK) {
        status = loss_settle(&pipeline, err);
    }
    if (status == STATUS_OK && recovery_needs_alignment(&pipeline, out_align)) {
        if (is_last) {
            /* A stop signal may have cut the alignment short. */
            status = stop_requested() ? STATUS_OK : recovery_refuse_left_out(&pipeline, err);
            pipeline_close(&pipeline);
            return status;
        }
        *out_needs_align = true;
        buffer_clear(out_plan_text);
        status = replayer_load_text(plan->systems, plan->system_count, *out_align, out_plan_text,
                                    err);
        pipeline_close(&pipeline);
        return status;
    }
    if (status == STATUS_OK) {
        telemetry_attach(telemetry, &pipeline);
        telemetry_set_phase(telemetry, HEALTH_RECOVERING);
        status = recovery_rebuild(&pipeline, err);
    }
    /* After a stop signal too: the worker then only brings all systems to one position. */
    if (status == STATUS_OK && pipeline.is_rebuilt) {
        status = work(&pipeline, &result->records, err);
        if (status == STATUS_OK) {
            first_start_note_group(&pipeline);
        }
    }
    if (status == STATUS_OK) {
        pipeline_sum_up(&pipeline, &result->ledger);
        result->state_bytes = atomic_load(&pipeline.budget.used_bytes);
    }
    pipeline_close(&pipeline);
    return status;
}

/* Lets the older plan bring all systems to one position. */
static enum status align(const struct plan *plan, struct bytes text,
                         const struct run_options *asked, const struct run_observer *observer,
                         struct telemetry *telemetry, struct error *err)
{
    struct plan *older = NULL;
    enum status status = plan_from_text(text, plan, &older, err);
    if (status != STATUS_OK) {
        return status;
    }
    /* Its text has no knobs: those of today hold. */
    older->commit_interval_us = plan->commit_interval_us;
    older->state_memory_bytes = plan->state_memory_bytes;
    older->snapshot_interval_us = plan->snapshot_interval_us;
    older->state_folder = plan->state_folder;
    older->retry = plan->retry;
    struct run_options options = {.align_only = true,
                                  .accept_loss = asked->accept_loss,
                                  .accept_incomplete_state = asked->accept_incomplete_state};
    struct run_result result = {0};
    struct hash128 unused;
    bool again = false;
    struct buffer unused_text = {0};
    if (observer->talk != NULL) {
        observer->talk(observer->context,
                       "the plan has changed: open epochs are finished under the old one first");
    }
    status = run_once(older, true, &options, observer, telemetry, &result, &unused, &again, &unused_text, err);
    buffer_fini(&unused_text);
    run_result_fini(&result);
    plan_free(older);
    return status;
}

static enum status run_all(struct plan *plan, const struct run_options *options,
                           const struct run_observer *observer, struct telemetry *telemetry,
                           struct run_result *result, struct error *err)
{
    struct hash128 older;
    bool needs_align = false;
    struct buffer text = {0};
    enum status status = run_once(plan, false, options, observer, telemetry, result, &older,
                                  &needs_align, &text, err);
    if (status == STATUS_OK && needs_align) {
        status = align(plan, bytes_of(text.data, text.size), options, observer, telemetry, err);
        needs_align = false;
        if (status == STATUS_OK) {
            buffer_clear(&text);
            status = run_once(plan, true, options, observer, telemetry, result, &older,
                              &needs_align, &text, err);
        }
    }
    buffer_fini(&text);
    return status;
}

enum status run_pipeline(struct plan *plan, const struct run_options *options,
                         const struct run_observer *observer, struct run_result *result,
                         struct error *err)
{
    int64_t begin_us = clock_monotonic_us();
    struct telemetry *telemetry = NULL;
    enum status status = telemetry_new(plan, options, observer, &telemetry, err);
    if (status == STATUS_OK) {
        status = run_all(plan, options, observer, telemetry, result, err);
    }
    telemetry_free(telemetry);
    result->duration_us = clock_monotonic_us() - begin_us;
    return status;
}
