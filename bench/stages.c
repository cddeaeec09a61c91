/* The stages alone: stage_run() on dirty records in memory, outputs and state included. */
#include "measure.h"
#include "plan/plan.h"

static enum status run_input(struct stage_runner *runner, struct stage_state *state,
                             struct batch *batch, const struct input *input, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t at = 0; at < input->count && status == STATUS_OK;) {
        batch_reset(batch, 0, 0);
        at += input_fill_batch(input, at, batch);
        status = stage_run(runner, state, batch, STAGE_FULL, err);
    }
    return status;
}

static enum status run_all(const struct plan *plan, struct stage_runner *runner,
                           const struct arguments *arguments, struct measurement *out,
                           struct error *err)
{
    struct input input;
    enum status status = input_init(&input, arguments->records, false, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct state_budget budget = {.limit_bytes = plan->state_memory_bytes};
    struct stage_state *state = stage_state_new(&plan->stage, &budget, 0);
    struct batch *batch = stage_runner_batch(runner);
    for (input_next(&input); input.count > 0 && status == STATUS_OK; input_next(&input)) {
        measure_begin(out);
        status = run_input(runner, state, batch, &input, err);
        measure_end(out);
        out->records += input.count;
        out->bytes += input.size_bytes;
    }
    batch_free(batch);
    stage_state_free(state);
    input_fini(&input);
    return status;
}

static enum status measure_stages(const struct arguments *arguments, struct measurement *out,
                                  struct error *err)
{
    static const uint8_t hash_key[HASH_KEY_BYTES] = {1, 2, 3};
    struct plan *plan = NULL;
    struct stage_runner *runner = NULL;
    enum status status = plan_load(arguments->pipeline, NULL, &plan, err);
    if (status == STATUS_OK) {
        status = stage_runner_new(&plan->stage, hash_key, &runner, err);
    }
    if (status == STATUS_OK) {
        status = run_all(plan, runner, arguments, out, err);
    }
    stage_runner_free(runner);
    plan_free(plan);
    return status;
}

const struct thing stage_things[] = {
    {"stages", measure_stages},
    {0},
};
