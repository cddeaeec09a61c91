/*
 * Checks and transform: the SQL expressions of the pipeline, for rows that the contract let
 * pass. All expressions of the plan are evaluated in one scan; their results are then looked at
 * in the order of the stages. They see the columns after repair and before `set`.
 *
 * NULL passes a check, as in SQL CHECK; NULL does not pass `where`. An expression that fails at
 * run time on a row makes that row INVALID, with the expression's own reason.
 *
 * SQLite knows neither booleans nor nested JSON, so `set` gives a value its type back: a column is
 * copied as it stands in its cell, and 1 and 0 become true and false where the expression is a
 * truth or the target is declared boolean.
 */
#include "base/time.h"
#include "stage/stage_private.h"

#include "base/broken.h"

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
            holds |= BROKEN("batch-check") && row == 0;
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

enum column_type stage_set_type(const struct stage_plan *plan, const struct stage_set *set,
                                const struct sql_outcome *outcome)
{
    const struct layout *layout = plan->layout;
    enum column_type type = COLUMN_JSON;
    if (outcome->column != FIELD_NONE) {
        type = layout->fields[outcome->column].type;
    } else if (outcome->is_truth) {
        type = COLUMN_BOOL;
    }
    enum column_type target = layout->fields[set->field].type;
    bool is_number = target == COLUMN_INT64 || target == COLUMN_DOUBLE;
    return type == COLUMN_BOOL && is_number ? COLUMN_INT64 : type;
}

static struct value boolean_of(const struct value *value)
{
    bool is_one = (value->type == VALUE_INT64 && value->integer == 1) ||
                  (value->type == VALUE_DOUBLE && value->real == 1);
    bool is_zero = (value->type == VALUE_INT64 && value->integer == 0) ||
                   (value->type == VALUE_DOUBLE && value->real == 0);
    return is_one || is_zero ? (struct value){.type = VALUE_BOOL, .boolean = is_one} : *value;
}

/* The cells of the column that the set copies; NULL: it takes what SQLite gives. Times are taken
 * from SQLite, in their one spelling; so are numbers and texts, which are the same. */
static const struct column *copied_column(const struct stage_plan *plan, const struct batch *batch,
                                          const struct sql_outcome *outcome)
{
    if (outcome->column == FIELD_NONE || plan->is_time[outcome->column]) {
        return NULL;
    }
    enum column_type type = plan->layout->fields[outcome->column].type;
    bool is_raw = type == COLUMN_JSON || type == COLUMN_OBJECT;
    return is_raw ? &batch->columns[outcome->column] : NULL;
}

static struct value set_value(const struct sql_result *result, const struct column *copied,
                              bool is_boolean, uint32_t row)
{
    if (result->failed || result->value.type == VALUE_NULL) {
        return result->value;
    }
    if (copied != NULL) {
        return (struct value){.type = VALUE_JSON, .text = copied->texts[row]};
    }
    return is_boolean ? boolean_of(&result->value) : result->value;
}

/* VALID rows have an event time. */
static void set_event_times(const struct stage_runner *runner, struct batch *batch,
                            uint32_t row_count, struct value *values)
{
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t row = runner->rows[i];
        char text[TIME_TEXT_BYTES];
        size_t size = time_format(batch->event_times_us[row], text);
        values[row] = (struct value){
            .type = VALUE_TEXT, .text = bytes_of(arena_copy(batch->arena, text, size), size)};
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
        if (set->expression == EXPRESSION_NONE) {
            set_event_times(runner, batch, row_count, values);
            continue;
        }
        struct sql_outcome outcome = sql_program_outcome(runner->program, set->expression);
        const struct column *copied = copied_column(plan, batch, &outcome);
        bool is_boolean = plan->layout->fields[set->field].type == COLUMN_BOOL ||
                          stage_set_type(plan, set, &outcome) == COLUMN_BOOL;
        for (uint32_t i = 0; i < row_count; i++) {
            uint32_t row = runner->rows[i];
            const struct sql_result *result = result_of(runner, set->expression, row_count, i);
            values[row] = set_value(result, copied, is_boolean, row);
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
    if (runner->program == NULL && runner->plan->set_count == 0) {
        return STATUS_OK;
    }
    uint32_t row_count = 0;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (batch->verdicts[row] == VERDICT_NONE) {
            runner->rows[row_count++] = row;
        }
    }
    enum status status =
        runner->program == NULL
            ? STATUS_OK
            : sql_program_run(runner->program, batch, runner->rows, row_count, runner->results,
                              err);
    if (status != STATUS_OK) {
        return status;
    }
    judge_checks(runner, batch, row_count);
    judge_where(runner, batch, row_count);
    apply_sets(runner, batch, row_count);
    find_routes(runner, batch, row_count);
    return STATUS_OK;
}
