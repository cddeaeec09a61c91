#include "run/replayer.h"

#include "run/accounting.h"

#define JUDGES_MAX 64u

struct replayer {
    struct plan *running;
    struct system **systems;
    uint32_t system_count;
    uint8_t hash_key[HASH_KEY_BYTES];
    struct judge judges[JUDGES_MAX];
    bool owned[JUDGES_MAX]; /* the plan was made from its stored text */
    uint32_t judge_count;
};

struct replayer *replayer_new(struct plan *running, struct system **systems,
                              uint32_t system_count, const uint8_t hash_key[HASH_KEY_BYTES])
{
    struct replayer *replayer = memory_alloc_zero(1, sizeof *replayer);
    replayer->running = running;
    replayer->systems = systems;
    replayer->system_count = system_count;
    memcpy(replayer->hash_key, hash_key, HASH_KEY_BYTES);
    return replayer;
}

static void judge_free(struct replayer *replayer, uint32_t index)
{
    batch_free(replayer->judges[index].batch);
    stage_runner_free(replayer->judges[index].runner);
    if (replayer->owned[index]) {
        plan_free(replayer->judges[index].plan);
    }
}

void replayer_free(struct replayer *replayer)
{
    if (replayer == NULL) {
        return;
    }
    for (uint32_t i = 0; i < replayer->judge_count; i++) {
        judge_free(replayer, i);
    }
    memory_free(replayer);
}

/* Says where it should be. */
static enum status refuse_missing(struct system *const *systems, uint32_t system_count,
                                  struct hash128 plan_hash, struct error *err)
{
    char hash[33];
    struct buffer places = {0};
    hash_format(plan_hash, hash);
    for (uint32_t i = 0; i < system_count; i++) {
        const char *within = systems[i]->ops->plans_place;
        buffer_printf(&places, "%s%s%s%s%s", i == 0 ? "" : ", or ", systems[i]->name,
                      within == NULL ? "" : " (", within == NULL ? "" : within,
                      within == NULL ? "" : ")");
    }
    enum status status =
        error_set(err, STATUS_FATAL, "plan.missing",
                  "records were judged by plan %s, whose text no system has; it stood in %s: "
                  "restore that from a backup. Where there is none, give the pipeline another name "
                  "and its sinks new places, and it reads everything again",
                  hash, buffer_string(&places));
    buffer_fini(&places);
    return status;
}

enum status replayer_load_text(struct system **systems, uint32_t system_count,
                               struct hash128 plan_hash, struct buffer *out, struct error *err)
{
    for (uint32_t i = 0; i < system_count; i++) {
        bool found = false;
        enum status status = systems[i]->ops->load_plan(systems[i], plan_hash, out, &found, err);
        if (status == STATUS_OK && found && !hash_equal(hash_plain(out->data, out->size),
                                                        plan_hash)) {
            status = error_set(err, STATUS_FATAL, "plan.corrupt",
                               "%s: the stored text of a plan is not what it was; restore the "
                               "system from a backup",
                               systems[i]->name);
        }
        if (status != STATUS_OK || found) {
            return status;
        }
    }
    return refuse_missing(systems, system_count, plan_hash, err);
}

static enum status load_plan(struct replayer *replayer, struct hash128 plan_hash,
                             struct plan **out, struct error *err)
{
    struct buffer stored = {0};
    enum status status = replayer_load_text(replayer->systems, replayer->system_count, plan_hash,
                                            &stored, err);
    if (status == STATUS_OK) {
        status = plan_from_text(bytes_of(stored.data, stored.size), replayer->running, out,
                                err);
    }
    if (status == STATUS_OK && !hash_equal((*out)->hash, plan_hash)) {
        plan_free(*out);
        status = error_set(err, STATUS_FATAL, "plan.corrupt",
                           "the stored text of a plan is not in the form that this weir writes; "
                           "use the weir that wrote it");
    }
    buffer_fini(&stored);
    return status;
}

enum status replayer_judge(struct replayer *replayer, struct hash128 plan_hash,
                           const struct judge **out, struct error *err)
{
    for (uint32_t i = 0; i < replayer->judge_count; i++) {
        if (hash_equal(replayer->judges[i].plan->hash, plan_hash)) {
            *out = &replayer->judges[i];
            return STATUS_OK;
        }
    }
    if (replayer->judge_count == JUDGES_MAX) {
        return error_set(err, STATUS_FATAL, "plan.too_many",
                         "the log since the start of the state was judged by more than %u plans",
                         JUDGES_MAX);
    }
    struct judge judge = {.plan = replayer->running};
    bool owned = !hash_equal(replayer->running->hash, plan_hash);
    enum status status = owned ? load_plan(replayer, plan_hash, &judge.plan, err) : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    status = stage_runner_new(&judge.plan->stage, replayer->hash_key, &judge.runner, err);
    if (status != STATUS_OK) {
        if (owned) {
            plan_free(judge.plan);
        }
        return status;
    }
    judge.batch = stage_runner_batch(judge.runner);
    replayer->owned[replayer->judge_count] = owned;
    replayer->judges[replayer->judge_count] = judge;
    *out = &replayer->judges[replayer->judge_count++];
    return STATUS_OK;
}

uint32_t replayer_plan_at(const struct plan_change *plans, uint32_t plan_count, int64_t offset)
{
    uint32_t index = 0;
    while (index + 1 < plan_count && plans[index + 1].offset <= offset) {
        index++;
    }
    return index;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

enum status replayer_carry_over(struct replayer *replayer, const struct plan_change *plans,
                                uint32_t plan_count, uint32_t *current, struct stage_state *state,
                                struct error *err)
{
    uint32_t wanted = replayer_plan_at(plans, plan_count, state->next_offset);
    while (*current < wanted) {
        const struct judge *from = NULL;
        const struct judge *to = NULL;
        enum status status = replayer_judge(replayer, plans[*current].plan_hash, &from, err);
        if (status == STATUS_OK) {
            status = replayer_judge(replayer, plans[*current + 1].plan_hash, &to, err);
        }
        if (status != STATUS_OK) {
            return status;
        }
        stage_state_change_plan(state, &from->plan->stage, &to->plan->stage);
        ++*current;
    }
    return STATUS_OK;
}

enum status replayer_next(struct replayer *replayer, struct source *source, uint32_t partition,
                          const struct plan_change *plans, uint32_t plan_count, uint32_t *current,
                          struct stage_state *state, int64_t limit_offset, enum stage_mode mode,
                          const struct judge **out_judge, struct error *err)
{
    enum status status =
        replayer_carry_over(replayer, plans, plan_count, current, state, err);
    if (status == STATUS_OK) {
        status = replayer_judge(replayer, plans[*current].plan_hash, out_judge, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    limit_offset = least(limit_offset, accounting_segment_end(state->next_offset));
    if (*current + 1 < plan_count) {
        limit_offset = least(limit_offset, plans[*current + 1].offset);
    }
    struct batch *batch = (*out_judge)->batch;
    batch_reset(batch, partition, 0);
    status = source->ops->read(source, partition, batch, limit_offset, err);
    if (status != STATUS_OK || batch->row_count == 0) {
        return status;
    }
    return stage_run((*out_judge)->runner, state, batch, mode, err);
}
