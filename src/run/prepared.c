/*
 * What a process that was killed has left prepared is ended as R of the decision says, before anything
 * else is judged. Whether the pipeline file still asks for delivery.atomic does not matter: the name of
 * what is prepared says which system decides.
 */
#include <stdio.h>
#include <string.h>

#include "run/pipeline.h"
#include "run/two_phase.h"

static const struct progress *any_progress(const struct pipeline *pipeline, uint32_t s)
{
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        if (pipeline_is_found(pipeline_progress(pipeline, s, p))) {
            return pipeline_progress(pipeline, s, p);
        }
    }
    return NULL;
}

struct undecided {
    const struct pipeline *pipeline;
    const struct system *system;
};

/* One that no system of the plan decides holds R of a partition that must be taken over. */
static enum status refuse_undecided(void *context, const struct prepared *prepared,
                                    struct error *err)
{
    const struct undecided *undecided = context;
    const struct pipeline *pipeline = undecided->pipeline;
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        const struct source_partition *source = pipeline->partitions[p].source;
        if (pipeline->partitions[p].is_mine && strcmp(source->topic, prepared->topic) == 0 &&
            strcmp(source->label, prepared->partition) == 0) {
            return error_set(err, STATUS_CONFIG, "atomic.undecided",
                             "%s holds the prepared transaction %s, and the system that decides "
                             "what becomes of it is none of this pipeline file any more, or was "
                             "moved: start once with the sink that was named in delivery.atomic "
                             "beside it, at its old place",
                             undecided->system->name, prepared->id);
        }
    }
    return STATUS_OK;
}

static enum status settle_system(struct pipeline *pipeline, uint32_t s,
                                 struct two_phase_settled *all, struct error *err)
{
    const struct plan *plan = pipeline->plan;
    struct system *system = plan->systems[s];
    const struct progress *own = any_progress(pipeline, s);
    char prefix[PREPARED_ID_BYTES];
    enum status status = STATUS_OK;
    for (uint32_t d = 0; d < plan->system_count && status == STATUS_OK; d++) {
        struct two_phase_settled settled = {0};
        const struct progress *any = any_progress(pipeline, d);
        if (!plan->systems[d]->ops->can_decide || any == NULL) {
            continue;
        }
        two_phase_prefix(plan->name, any->incarnation, plan->systems[d], prefix);
        status = two_phase_settle(system, prefix, pipeline_progress(pipeline, d, 0),
                                  pipeline->partition_count, &settled, err);
        all->committed += settled.committed;
        all->rolled_back += settled.rolled_back;
    }
    if (status == STATUS_OK && own != NULL) {
        struct undecided undecided = {.pipeline = pipeline, .system = system};
        two_phase_prefix(plan->name, own->incarnation, NULL, prefix);
        status = system->ops->list_prepared(system, prefix, refuse_undecided, &undecided, err);
    }
    return status;
}

enum status prepared_settle(struct pipeline *pipeline, bool *out_reload, struct error *err)
{
    struct two_phase_settled all = {0};
    enum status status = STATUS_OK;
    bool may_prepare = false;
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        if (pipeline->plan->systems[s]->ops->list_prepared != NULL) {
            may_prepare = true;
            status = settle_system(pipeline, s, &all, err);
        }
    }
    bool any = all.committed + all.rolled_back > 0;
    /* One transaction may hold partitions of several processes: another one may have ended it since R
     * was loaded. */
    *out_reload = any || (may_prepare && pipeline->is_shared);
    if (any) {
        pipeline_talk(pipeline,
                      "prepared transactions that were left: %u committed, as it was decided, %u "
                      "rolled back",
                      all.committed, all.rolled_back);
    }
    return status;
}
