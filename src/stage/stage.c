/* The runner, and the order of the stages. */
#include "stage/stage.h"

#include <string.h>

#include "stage/stage_private.h"

static enum status compile_expressions(struct stage_runner *runner, struct error *err)
{
    const struct stage_plan *plan = runner->plan;
    if (plan->expression_count == 0) {
        return STATUS_OK;
    }
    runner->results = memory_alloc(size_mul(size_mul(plan->expression_count, BATCH_ROWS_MAX),
                                            sizeof *runner->results));
    return sql_program_compile(runner->arena, plan->layout, plan->is_time, plan->expressions,
                               plan->expression_count, &runner->program, err);
}

static void preparer_init(struct preparer *preparer, const struct stage_plan *plan)
{
    preparer->decoder = decoder_new(plan->layout, &plan->decoder);
    preparer->checker = schema_checker_new(plan->schema);
}

static void preparer_fini(struct preparer *preparer)
{
    decoder_free(preparer->decoder);
    schema_checker_free(preparer->checker);
    buffer_fini(&preparer->time_text);
}

enum status stage_runner_new(const struct stage_plan *plan, const uint8_t hash_key[HASH_KEY_BYTES],
                             struct stage_runner **out, struct error *err)
{
    struct stage_runner *runner = memory_alloc_zero(1, sizeof *runner);
    runner->plan = plan;
    hash_secret_init(&runner->secret, hash_key);
    runner->arena = arena_new(16 * 1024);
    preparer_init(&runner->own, plan);
    runner->late = memory_alloc(BATCH_ROWS_MAX);
    runner->has_violation = memory_alloc(BATCH_ROWS_MAX);
    runner->rows = memory_alloc(BATCH_ROWS_MAX * sizeof *runner->rows);
    runner->route_failures = memory_alloc(BATCH_ROWS_MAX * sizeof *runner->route_failures);
    runner->key_hashes = memory_alloc(BATCH_ROWS_MAX * sizeof *runner->key_hashes);
    runner->key_known = memory_alloc(BATCH_ROWS_MAX);
    runner->rendered_ends = memory_alloc(BATCH_ROWS_MAX * sizeof *runner->rendered_ends);
    enum status status = compile_expressions(runner, err);
    if (status != STATUS_OK) {
        stage_runner_free(runner);
        return status;
    }
    *out = runner;
    return STATUS_OK;
}

void stage_runner_free(struct stage_runner *runner)
{
    if (runner == NULL) {
        return;
    }
    sql_program_free(runner->program);
    preparer_fini(&runner->own);
    preparer_fini(&runner->ahead);
    memory_free(runner->late);
    memory_free(runner->has_violation);
    memory_free(runner->rows);
    memory_free(runner->results);
    memory_free(runner->route_failures);
    memory_free(runner->key_hashes);
    memory_free(runner->key_known);
    memory_free(runner->repairs_by_row);
    memory_free(runner->rendered_ends);
    memory_free(runner->edits);
    buffer_fini(&runner->edit_texts);
    buffer_fini(&runner->object);
    buffer_fini(&runner->rendered);
    arena_free(runner->arena);
    memory_free(runner);
}

const struct hash_secret *stage_runner_secret(const struct stage_runner *runner)
{
    return &runner->secret;
}

struct batch *stage_runner_batch(struct stage_runner *runner)
{
    return batch_new(runner->plan->layout);
}

static const struct stage_info stages[] = {
    {"decode", "source", "bytes become columns: decode.*"},
    {"event time", "event_time", "when it happened, vetted; moves the watermark: time.*"},
    {"repair", "repair", "null_values and coerce change cells, and are counted"},
    {"contract", "schema", "every field against its constraints: schema.*"},
    {"fill", "repair", "absent fields get a constant, or the last value: repair.no_value"},
    {"checks", "checks", "rules over several fields: check.NAME, or a warning"},
    {"transform", "transform", "where, set, drop: filter.where, transform.FIELD"},
    {"dedup", "dedup", "keys that were seen before: duplicate"},
    {"lateness", "event_time", "what lies below the watermark: late"},
    {"route", "sinks", "which sinks take the row: route.unmatched"},
};

const struct stage_info *stage_list(uint32_t index)
{
    return index < sizeof stages / sizeof stages[0] ? &stages[index] : NULL;
}

static void check_values(const struct stage_runner *runner, struct preparer *preparer,
                         struct batch *batch)
{
    stage_coerce(runner->plan, batch);
    schema_check_values(preparer->checker, batch);
}

/* A candidate for a jump is told by a cell as it was before its contract: that then waits for the
 * vetting. */
static bool checks_values_early(const struct stage_plan *plan)
{
    return plan->max_jump_us == DURATION_NONE;
}

/* `preparer` is one of the runner's. */
static void prepare(const struct stage_runner *runner, struct preparer *preparer,
                    struct batch *batch)
{
    stage_read_replay_headers(batch);
    stage_tombstones(runner, batch);
    preparer->decoder->ops->decode(preparer->decoder, batch);
    stage_null_values(runner->plan, batch);
    stage_claim_times(runner, preparer, batch);
    if (checks_values_early(runner->plan)) {
        check_values(runner, preparer, batch);
    }
    batch->is_prepared = true;
}

void stage_prepare(struct stage_runner *runner, struct batch *batch)
{
    if (runner->ahead.decoder == NULL) {
        preparer_init(&runner->ahead, runner->plan);
    }
    prepare(runner, &runner->ahead, batch);
    stage_hash_keys(runner, batch);
    batch_hash_records(batch, &runner->secret);
}

enum status stage_run(struct stage_runner *runner, struct stage_state *state, struct batch *batch,
                      enum stage_mode mode, struct error *err)
{
    if (batch->row_count == 0) {
        return STATUS_OK;
    }
    check(batch->records[0].offset >= state->next_offset);
    if (!batch->is_prepared) {
        prepare(runner, &runner->own, batch);
    }
    stage_event_time(runner, state, batch);
    if (!checks_values_early(runner->plan)) {
        check_values(runner, &runner->own, batch);
    }
    enum status status = stage_fill(runner, state, batch, err);
    if (status != STATUS_OK) {
        return status;
    }
    schema_check_required(runner->own.checker, batch, runner->plan->filled);
    stage_check_records(runner, batch);
    stage_check_keys(runner, batch);
    stage_close_contract(runner, batch);
    if ((status = stage_expressions(runner, batch, err)) != STATUS_OK ||
        (status = stage_dedup(runner, state, batch, err)) != STATUS_OK) {
        return status;
    }
    stage_route(runner, batch);
    batch_sort_violations(batch);
    if (mode == STAGE_FULL) {
        stage_render(runner, batch);
    }
    const struct record *last = &batch->records[batch->row_count - 1];
    state->next_offset = last->next_offset;
    state->last_record_hash = record_hash(&runner->secret, last);
    state->last_record_offset = last->offset;
    return STATUS_OK;
}
