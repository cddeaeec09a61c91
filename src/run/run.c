/*
 * The whole way of a run: source and systems opened, R read and claimed, state rebuilt,
 * committers started, the worker's loop, and everything closed in the opposite order.
 */
#include "run/run.h"

#include <stdio.h>

#include "os/clock.h"
#include "os/thread.h"
#include "run/patience.h"
#include "run/pipeline.h"
#include "run/replayer.h"
#include "run/telemetry.h"
#include "run/two_phase.h"

void run_result_fini(struct run_result *result)
{
    ledger_fini(&result->ledger);
    refused_fini(&result->forwarded);
}

/* R of the system that takes the dead letters of another's refused rows. */
static const struct progress *taken_of(const struct pipeline *pipeline,
                                       const struct system *system)
{
    return system->forwards_rejects ? pipeline_taken(pipeline, 0) : NULL;
}

/* The two systems whose rows become visible together; NULL: none. */
static struct two_phase *make_pair(const struct pipeline *pipeline)
{
    const struct plan *plan = pipeline->plan;
    if (plan->participant == NULL) {
        return NULL;
    }
    char prefix[PREPARED_ID_BYTES];
    two_phase_prefix(plan->name, pipeline->incarnation, plan->decision, prefix);
    struct two_phase *pair =
        two_phase_new(plan->decision, plan->participant, prefix, pipeline->owner);
    for (uint32_t s = 0; s < plan->system_count; s++) {
        if (plan->systems[s] == plan->decision || plan->systems[s] == plan->participant) {
            committer_set_pair(pipeline->committers[s], pair);
        }
    }
    return pair;
}

static enum status work(struct pipeline *pipeline, uint64_t *out_records, struct error *err)
{
    struct plan *plan = pipeline->plan;
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK; p++) {
        if (!pipeline->partitions[p].is_mine) {
            continue;
        }
        status = pipeline->source->ops->seek(pipeline->source, p,
                                             pipeline->partitions[p].state->next_offset, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    telemetry_set_phase(pipeline->telemetry, HEALTH_RUNNING);
    patience_end(pipeline->patience);
    for (uint32_t s = 0; s < plan->system_count; s++) {
        pipeline->committers[s] = committer_start(plan->systems[s], pipeline->progresses[s],
                                                  pipeline->partition_count, plan,
                                                  taken_of(pipeline, plan->systems[s]),
                                                  pipeline->observer, pipeline->telemetry, s);
    }
    struct two_phase *pair = make_pair(pipeline);
    pipeline->is_working = true;
    status = worker_run(pipeline, out_records, err);
    pipeline->is_working = status != STATUS_OK;
    if (pair != NULL) {
        two_phase_stop(pair);
    }
    for (uint32_t s = 0; s < plan->system_count; s++) {
        pipeline->has_given_up |= committer_has_given_up(pipeline->committers[s]);
        pipeline->patience->is_spoken_of |= committer_stop(pipeline->committers[s]);
    }
    two_phase_free(pair);
    return status;
}

/* What run_once() comes to beside its status. */
struct outcome {
    bool was_working;          /* when it failed: rows may be open that a stop was to finish */
    bool needs_align;          /* systems are apart under an older plan, which must finish first */
    struct buffer plan_text;   /* of that plan */
};

/* From R to the worker's loop and its end, with the partitions that are ours now. `is_last`: an
 * older plan that had to finish first has. */
static enum status run_assignment(struct pipeline *pipeline, bool is_last,
                                  struct run_result *result, struct outcome *outcome,
                                  struct error *err)
{
    struct plan *plan = pipeline->plan;
    struct hash128 older;
    enum status status = recovery_load(pipeline, err);
    if (status == STATUS_OK) {
        bool is_stale = false;
        status = prepared_settle(pipeline, &is_stale, err);
        status = status == STATUS_OK && is_stale ? recovery_load(pipeline, err) : status;
    }
    if (status == STATUS_OK && !is_last) {
        status = left_systems_check(pipeline, &outcome->plan_text, &outcome->needs_align, err);
    }
    if (status == STATUS_OK && !outcome->needs_align) {
        status = recovery_claim(pipeline, err);
    }
    if (status != STATUS_OK || outcome->needs_align || assignment_must_wait(pipeline)) {
        return status;
    }
    status = loss_settle(pipeline, err);
    if (status == STATUS_OK && recovery_needs_alignment(pipeline, &older)) {
        if (is_last) {
            /* A stop signal may have cut the alignment short. */
            return stop_requested() ? STATUS_OK : recovery_refuse_left_out(pipeline, err);
        }
        outcome->needs_align = true;
        buffer_clear(&outcome->plan_text);
        return replayer_load_text(plan->systems, plan->system_count, older, &outcome->plan_text,
                                  err);
    }
    if (status == STATUS_OK) {
        telemetry_attach(pipeline->telemetry, pipeline);
        telemetry_set_phase(pipeline->telemetry, HEALTH_RECOVERING);
        status = rebuild_state(pipeline, err);
    }
    /* After a stop signal too: the worker then only brings all systems to one position. */
    if (status == STATUS_OK && pipeline->is_rebuilt) {
        status = work(pipeline, &result->records, err);
        if (status == STATUS_OK && pipeline->reassigned == ASSIGNMENT_SAME) {
            first_start_note_group(pipeline);
        }
    }
    return status;
}

/* After run_assignment(): what is no failure at all, and what is waited for, with the state that is
 * there. */
static enum status forgive(struct pipeline *pipeline, struct error *failure)
{
    enum status status = assignment_forgive(pipeline, failure);
    bool renews = pipeline->is_shared && patience_renews(pipeline->patience, pipeline, failure);
    if (!renews && (!pipeline->is_shared || !patience_has_sense(pipeline, status))) {
        return status;
    }
    if (!renews && !patience_wait(pipeline->patience, pipeline, failure)) {
        pipeline->has_given_up = true;
        pipeline->is_working &= !stop_requested(); /* what was open is given up, and was told of */
        return status;
    }
    pipeline->is_working = false;
    pipeline->reassigned = ASSIGNMENT_GAINED; /* look at all again */
    return STATUS_OK;
}

/* One pass with one plan. Partitions that are shared with other processes come and go meanwhile.
 * *out_again: it failed, and can be tried again from the beginning. */
static enum status run_once(struct plan *plan, bool is_last, const struct run_options *options,
                            struct patience *patience, struct run_result *result,
                            struct outcome *outcome, bool *out_again, struct error *err)
{
    struct pipeline pipeline;
    bool is_ready = true;
    pipeline_init(&pipeline, plan, options, patience->observer);
    pipeline.telemetry = patience->telemetry;
    pipeline.patience = patience;
    enum status status = pipeline_open(&pipeline, err);
    if (status == STATUS_OK) {
        status = assignment_join(&pipeline, err);
    }
    if (status == STATUS_OK) {
        status = pipeline_claim(&pipeline, err);
    }
    do {
        if (status == STATUS_OK) {
            status = assignment_settle(&pipeline, &is_ready, err);
        }
        if (status == STATUS_OK && is_ready) {
            struct error failure = {0};
            status = run_assignment(&pipeline, is_last, result, outcome, &failure);
            status = status == STATUS_OK ? STATUS_OK : forgive(&pipeline, &failure);
            if (status != STATUS_OK && err->status == STATUS_OK) {
                *err = failure;
            }
        }
    } while (status == STATUS_OK && is_ready && !outcome->needs_align &&
             pipeline.reassigned != ASSIGNMENT_SAME);
    if (status == STATUS_OK && !outcome->needs_align) {
        pipeline_sum_up(&pipeline, &result->ledger, &result->forwarded);
        result->state_bytes = atomic_load(&pipeline.budget.used_bytes);
    }
    *out_again = patience_has_sense(&pipeline, status);
    outcome->was_working = pipeline.is_working;
    pipeline_close(&pipeline);
    return status;
}

/* A stop while nothing but something that is away was waited for: nothing is open. */
static bool is_stopped_in_vain(const struct outcome *outcome, enum status status,
                               const struct patience *patience, const struct error *failure)
{
    char text[900];
    if ((status != STATUS_RETRY && status != STATUS_ABORT) || !stop_requested() ||
        outcome->was_working) {
        return false;
    }
    (void)snprintf(text, sizeof text, "stopped before it could begin: %s (%s)", failure->message,
                   failure->code);
    if (patience->observer->notice != NULL) {
        patience->observer->notice(patience->observer->context, text);
    }
    return true;
}

/* A stop could not wait for what was open. */
static void say_unanswered(const struct outcome *outcome, struct error *failure)
{
    if ((failure->status == STATUS_RETRY || failure->status == STATUS_ABORT) && stop_requested() &&
        outcome->was_working) {
        const struct error why = *failure;
        error_clear(failure);
        (void)error_set(failure, why.status, why.code,
                        "stopped with a commit that was not answered: %s. Nothing is lost by it: the "
                        "next start finds out whether it is in, and goes on from there",
                        why.message);
    }
}

/* Again, as long as what is away is waited for. */
static enum status run_patiently(struct plan *plan, bool is_last,
                                 const struct run_options *options, struct patience *patience,
                                 struct run_result *result, struct outcome *outcome,
                                 struct error *err)
{
    for (;;) {
        struct error failure = {0};
        bool again = false;
        enum status status =
            run_once(plan, is_last, options, patience, result, outcome, &again, &failure);
        if (status == STATUS_OK || !again || !patience_wait(patience, NULL, &failure)) {
            if (is_stopped_in_vain(outcome, status, patience, &failure)) {
                outcome->needs_align = false;
                return STATUS_OK;
            }
            if (status != STATUS_OK && err != NULL && err->status == STATUS_OK) {
                say_unanswered(outcome, &failure);
                *err = failure;
            }
            return status;
        }
        outcome->needs_align = false;
    }
}

/* Lets the older plan bring all systems to one position. */
static enum status align(const struct plan *plan, struct bytes text,
                         const struct run_options *asked, struct patience *patience,
                         struct error *err)
{
    struct plan *older = NULL;
    enum status status = plan_from_text(text, plan, &older, err);
    if (status != STATUS_OK) {
        return status;
    }
    /* Its text has no knobs: those of today hold. */
    older->commit_interval_us = plan->commit_interval_us;
    older->max_behind_bytes = plan->max_behind_bytes;
    older->state_memory_bytes = plan->state_memory_bytes;
    older->snapshot_interval_us = plan->snapshot_interval_us;
    older->state_folder = plan->state_folder;
    older->retry = plan->retry;
    struct run_options options = {.align_only = true,
                                  .accept_loss = asked->accept_loss,
                                  .accept_incomplete_state = asked->accept_incomplete_state};
    struct run_result result = {0};
    struct outcome outcome = {0};
    if (patience->observer->talk != NULL) {
        patience->observer->talk(
            patience->observer->context,
            "the plan has changed: open epochs are finished under the old one first");
    }
    status = run_patiently(older, true, &options, patience, &result, &outcome, err);
    buffer_fini(&outcome.plan_text);
    run_result_fini(&result);
    plan_free(older);
    return status;
}

static enum status run_all(struct plan *plan, const struct run_options *options,
                           struct patience *patience, struct run_result *result,
                           struct error *err)
{
    struct outcome outcome = {0};
    enum status status = run_patiently(plan, false, options, patience, result, &outcome, err);
    if (status == STATUS_OK && outcome.needs_align) {
        status = align(plan, bytes_of(outcome.plan_text.data, outcome.plan_text.size), options,
                       patience, err);
        outcome.needs_align = false;
        if (status == STATUS_OK) {
            status = run_patiently(plan, true, options, patience, result, &outcome, err);
        }
    }
    buffer_fini(&outcome.plan_text);
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
        struct patience patience = {
            .policy = &plan->retry, .observer = observer, .telemetry = telemetry};
        status = run_all(plan, options, &patience, result, err);
    }
    telemetry_free(telemetry);
    result->duration_us = clock_monotonic_us() - begin_us;
    return status;
}
