/* A pipeline at work: source, partitions and systems opened and closed, and what it says. */
#include "run/pipeline.h"

#include <stdarg.h>
#include <stdio.h>

#include "os/file.h"

/* --- opening and closing --- */

/* Several files are partitions with one label each, "0": their topics tell them apart. */
static const char *snapshot_label(const struct pipeline *pipeline,
                                  const struct source_partition *partition)
{
    if (!pipeline->plan->source_ops->offsets_are_bytes || pipeline->partition_count == 1) {
        return partition->label;
    }
    char digits[33];
    hash_format(hash_plain(partition->topic, strlen(partition->topic)), digits);
    return arena_printf(pipeline->arena, "%.16s", digits);
}

static enum status open_source(struct pipeline *pipeline, struct error *err)
{
    const struct plan *plan = pipeline->plan;
    enum status status =
        plan->source_ops->open(plan->source_config, plan->folder, plan_csv(plan),
                               &pipeline->source, err);
    if (status != STATUS_OK) {
        return status;
    }
    const struct source_partition *partitions =
        plan->source_ops->partitions(pipeline->source, &pipeline->partition_count);
    pipeline->partitions =
        arena_alloc_zero(pipeline->arena, pipeline->partition_count, sizeof *pipeline->partitions);
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK; p++) {
        pipeline->partitions[p].source = &partitions[p];
        pipeline->partitions[p].snapshot_label = snapshot_label(pipeline, &partitions[p]);
        pipeline->partitions[p].is_mine = true;
        pipeline->partitions[p].snapshot_offset = -1;
        status = plan->source_ops->end_offset(pipeline->source, p,
                                              &pipeline->partitions[p].end_offset, err);
        if (status == STATUS_OK && pipeline->options->until_end &&
            plan->source_ops->settle != NULL) {
            plan->source_ops->settle(pipeline->source, p, pipeline->partitions[p].end_offset);
        }
    }
    return status;
}

static enum status open_systems(struct pipeline *pipeline, bool do_own, struct error *err)
{
    struct plan *plan = pipeline->plan;
    pipeline->progresses =
        arena_alloc_zero(pipeline->arena, plan->system_count, sizeof *pipeline->progresses);
    pipeline->committers =
        arena_alloc_zero(pipeline->arena, plan->system_count, sizeof *pipeline->committers);
    for (uint32_t s = 0; s < plan->system_count; s++) {
        pipeline->progresses[s] = arena_alloc_zero(pipeline->arena, pipeline->partition_count,
                                                   sizeof **pipeline->progresses);
    }
    for (uint32_t s = 0; s < plan->system_count; s++) {
        const struct system_ops *ops = plan->systems[s]->ops;
        enum status status = (do_own ? ops->open_session : ops->open_reader)(plan->systems[s],
                                                                             plan->name, err);
        if (status != STATUS_OK) {
            return status;
        }
        pipeline->sessions++;
        pipeline->is_shared |=
            ops->meet_source != NULL && ops->meet_source(plan->systems[s], pipeline->source);
    }
    return STATUS_OK;
}

/* Beside the first system that is a file or folder; else beside the pipeline file. */
static const char *default_state_folder(const struct pipeline *pipeline)
{
    const struct plan *plan = pipeline->plan;
    if (plan->state_folder != NULL) {
        return plan->state_folder;
    }
    for (uint32_t s = 0; s < plan->system_count; s++) {
        if (!plan->systems[s]->ops->is_remote) {
            return arena_printf(pipeline->arena, "%s.state",
                                plan->systems[s]->ops->place(plan->systems[s]));
        }
    }
    return arena_printf(pipeline->arena, "%s%s.state", plan->folder, plan->name);
}

void pipeline_init(struct pipeline *pipeline, struct plan *plan,
                   const struct run_options *options, const struct run_observer *observer)
{
    *pipeline = (struct pipeline){
        .plan = plan, .options = options, .observer = observer, .arena = arena_new(16 * 1024)};
    pipeline->state_folder = default_state_folder(pipeline);
    pipeline->budget.limit_bytes = plan->state_memory_bytes;
}

static enum status check_state_folder(const struct pipeline *pipeline, struct error *err)
{
    const char *path = pipeline->state_folder;
    if (!file_exists(path) || folder_exists(path)) {
        return STATUS_OK;
    }
    return error_set(err, STATUS_CONFIG, "config.value",
                     "snapshots are kept in the folder %s, but there is a file of that name; name "
                     "another folder: 'state: {path: …}'",
                     path);
}

/* State is what the records before say; where some of them are gone it cannot be rebuilt. */
static enum status check_compaction(struct pipeline *pipeline, struct error *err)
{
    const struct plan *plan = pipeline->plan;
    struct source_retention retention = {0};
    enum status status = plan->source_ops->retention == NULL
                             ? STATUS_OK
                             : plan->source_ops->retention(pipeline->source, &retention, err);
    pipeline->is_compacted = status == STATUS_OK && retention.is_compacted;
    if (!pipeline->is_compacted || plan->stage.horizon_us == 0 ||
        plan->guarantee != GUARANTEE_EXACTLY_ONCE) {
        return status;
    }
    return error_set(err, STATUS_CONFIG, "source.compacted",
                     "'%s' is compacted: records that others with the same key have replaced are "
                     "taken out of it, so what this pipeline remembers (dedup, last_by, event time) "
                     "could not be rebuilt as it was. Read a topic with cleanup.policy=delete, take "
                     "out what remembers, or set 'delivery: {guarantee: at_least_once}'",
                     pipeline->partitions[0].source->topic);
}

enum status pipeline_open(struct pipeline *pipeline, struct error *err)
{
    enum status status = check_state_folder(pipeline, err);
    if (status == STATUS_OK) {
        status = open_source(pipeline, err);
    }
    if (status == STATUS_OK) {
        status = check_compaction(pipeline, err);
    }
    return status == STATUS_OK ? open_systems(pipeline, true, err) : status;
}

enum status pipeline_open_reader(struct pipeline *pipeline, struct error *err)
{
    enum status status = open_source(pipeline, err);
    return status == STATUS_OK ? open_systems(pipeline, false, err) : status;
}

enum status pipeline_claim(struct pipeline *pipeline, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        struct system *system = pipeline->plan->systems[s];
        status = system->ops->claim == NULL ? STATUS_OK : system->ops->claim(system, err);
    }
    return status;
}

void pipeline_close(struct pipeline *pipeline)
{
    for (uint32_t s = 0; s < pipeline->sessions; s++) {
        pipeline->plan->systems[s]->ops->close_session(pipeline->plan->systems[s]);
    }
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        stage_state_free(pipeline->partitions[p].state);
        memory_free(pipeline->partitions[p].plans);
        for (uint32_t s = 0; pipeline->progresses != NULL && s < pipeline->plan->system_count;
             s++) {
            progress_fini(&pipeline->progresses[s][p]);
        }
    }
    pipeline->plan->source_ops->close(pipeline->source);
    arena_free(pipeline->arena);
}

/* --- looking at R --- */

const struct progress *pipeline_furthest(const struct pipeline *pipeline, uint32_t p)
{
    const struct progress *furthest = NULL;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        const struct progress *progress = pipeline_progress(pipeline, s, p);
        if (pipeline_is_found(progress) &&
            (furthest == NULL || progress->next_offset > furthest->next_offset)) {
            furthest = progress;
        }
    }
    return furthest;
}

bool pipeline_has_none(const struct pipeline *pipeline, uint32_t s)
{
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        if (pipeline_is_found(pipeline_progress(pipeline, s, p))) {
            return false;
        }
    }
    return true;
}

const struct progress *pipeline_taken(const struct pipeline *pipeline, uint32_t p)
{
    uint32_t s = 0;
    while (pipeline->plan->systems[s] != pipeline->plan->dlq->system) {
        s++;
    }
    return pipeline_progress(pipeline, s, p);
}

void pipeline_sum_up(const struct pipeline *pipeline, struct ledger *out,
                     struct refused_list *out_forwarded)
{
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        if (!pipeline->partitions[p].is_mine) {
            continue; /* others know better */
        }
        /* A system that was added later, or is behind, has counted less. */
        uint32_t most = 0;
        for (uint32_t s = 1; s < pipeline->plan->system_count; s++) {
            if (pipeline->progresses[s][p].ledger.in > pipeline->progresses[most][p].ledger.in) {
                most = s;
            }
        }
        for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
            const struct ledger *ledger = &pipeline->progresses[s][p].ledger;
            struct ledger sinks_only = {.sinks = ledger->sinks, .sink_count = ledger->sink_count};
            ledger_add(out, s == most ? ledger : &sinks_only);
            refused_count(out_forwarded, &pipeline->progresses[s][p].forwarded);
        }
    }
}

/* --- what it says --- */

static void tell(void (*line_out)(void *context, const char *line), void *context,
                 const char *format, va_list arguments)
{
    if (line_out != NULL) {
        char line[1024];
        vsnprintf(line, sizeof line, format, arguments);
        line_out(context, line);
    }
}

void pipeline_talk(const struct pipeline *pipeline, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tell(pipeline->observer->talk, pipeline->observer->context, format, arguments);
    va_end(arguments);
}

void pipeline_warn(const struct pipeline *pipeline, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tell(pipeline->observer->warning, pipeline->observer->context, format, arguments);
    va_end(arguments);
}
