/*
 * Checks and transform: the SQL expressions of the pipeline, for rows that the contract let
 * pass. All expressions of the plan are evaluated in one scan; their results are then looked at
 * in the order of the stages. They see the columns after repair and before `set`.
 *
 * NULL passes a check, as in SQL CHECK; NULL does not pass `where`. An expression that fails at
 * run time on a row makes that row INVALID, with the expression's own reason.
 */
#include "stage/stage_private.h"

static const struct sql_result *result_of(const struct stage_runner *runner, uint32_t expression,
                                          uint32_t row_count, uint32_t index)
{
    return &runner->results[(size_t)expression * row_count + index];
}

static void judge_checks(struct stage_runner *runner, struct batch *batch, uint32_t row_count)
{
    for (uint32_t c = 0; c < runner->plan->check_count; c++) {
        const struct stage_check *stage_check = &runner->plan->checks[c];
        for (uint32_t i = 0; i < row_count; i++) {
            uint32_t row = runner->rows[i];
            const struct sql_result *result =
                result_of(runner, stage_check->expression, row_count, i);
            bool is_null = false;
            bool holds = !result->failed && sql_is_true(&result->value, &is_null);
            if (holds || (is_null && !result->failed)) {
                continue;
            }
            if (stage_check->warn) {
                batch_add_warning(batch, row, c);
                continue;
            }
            batch_add_violation(batch, row, ORDER_CHECK + c, stage_check->reason, FIELD_NONE,
                                result->failed ? result->value.text : BYTES_NONE);
            batch->verdicts[row] = VERDICT_INVALID;
        }
    }
}

static void judge_where(struct stage_runner *runner, struct batch *batch, uint32_t row_count)
{
    const struct stage_plan *plan = runner->plan;
    if (plan->where_expression == EXPRESSION_NONE) {
        return;
    }
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t row = runner->rows[i];
        if (batch->verdicts[row] != VERDICT_NONE) {
            continue;
        }
        const struct sql_result *result = result_of(runner, plan->where_expression, row_count, i);
        bool is_null = false;
        if (result->failed) {
            batch_decide(batch, row, VERDICT_INVALID, ORDER_LATER, plan->where_reason, FIELD_NONE,
                         result->value.text);
        } else if (!sql_is_true(&result->value, &is_null)) {
            batch_decide(batch, row, VERDICT_FILTERED, ORDER_LATER, REASON_FILTER_WHERE,
                         FIELD_NONE, BYTES_NONE);
        }
    }
}

static void apply_sets(struct stage_runner *runner, struct batch *batch, uint32_t row_count)
{
    const struct stage_plan *plan = runner->plan;
    batch->set_count = plan->set_count;
    batch->set_values =
        arena_alloc(batch->arena, size_mul(plan->set_count, sizeof *batch->set_values));
    for (uint32_t s = 0; s < plan->set_count; s++) {
        const struct stage_set *set = &plan->sets[s];
        struct value *values =
            arena_alloc(batch->arena, size_mul(batch->row_count, sizeof *values));
        batch->set_values[s] = values;
        for (uint32_t i = 0; i < row_count; i++) {
            uint32_t row = runner->rows[i];
            const struct sql_result *result = result_of(runner, set->expression, row_count, i);
            values[row] = result->value;
            if (result->failed && batch->verdicts[row] == VERDICT_NONE) {
                batch_decide(batch, row, VERDICT_INVALID, ORDER_LATER, set->reason, set->field,
                             result->value.text);
            }
        }
    }
}

/* The routes' conditions are pure, so they are evaluated here with the rest; what they decide is
 * decided in its place (route.c). */
static void find_routes(struct stage_runner *runner, struct batch *batch, uint32_t row_count)
{
    const struct stage_plan *plan = runner->plan;
    for (uint32_t s = 0; s < plan->sink_count; s++) {
        uint32_t expression = plan->route_expressions[s];
        if (expression == EXPRESSION_NONE) {
            continue;
        }
        for (uint32_t i = 0; i < row_count; i++) {
            uint32_t row = runner->rows[i];
            const struct sql_result *result = result_of(runner, expression, row_count, i);
            bool is_null = false;
            if (result->failed) {
                runner->route_failures[row] = result->value.text;
            } else if (sql_is_true(&result->value, &is_null)) {
                batch->routes[row] |= UINT64_C(1) << s;
            }
        }
    }
}

static void take_unconditional_routes(struct stage_runner *runner, struct batch *batch)
{
    const struct stage_plan *plan = runner->plan;
    uint64_t always = 0;
    for (uint32_t s = 0; s < plan->sink_count; s++) {
        if (plan->route_expressions[s] == EXPRESSION_NONE) {
            always |= UINT64_C(1) << s;
        }
    }
    for (uint32_t row = 0; row < batch->row_count; row++) {
        batch->routes[row] = always;
        runner->route_failures[row] = BYTES_NONE;
    }
}

enum status stage_expressions(struct stage_runner *runner, struct batch *batch, struct error *err)
{
    take_unconditional_routes(runner, batch);
    if (runner->program == NULL) {
        return STATUS_OK;
    }
    uint32_t row_count = 0;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (batch->verdicts[row] == VERDICT_NONE) {
            runner->rows[row_count++] = row;
        }
    }
    enum status status =
        sql_program_run(runner->program, batch, runner->rows, row_count, runner->results, err);
    if (status != STATUS_OK) {
        return status;
    }
    judge_checks(runner, batch, row_count);
    judge_where(runner, batch, row_count);
    apply_sets(runner, batch, row_count);
    find_routes(runner, batch, row_count);
    return STATUS_OK;
}
