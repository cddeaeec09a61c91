#include "stage/stage_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"

static const uint8_t hash_key[HASH_KEY_BYTES] = {7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5, 2};

static void expect_ok(enum status status, const struct error *err)
{
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "%s: %s\n", err->code, err->message);
        abort();
    }
}

/* --- plans --- */

static void compile_schema(struct plan_fixture *plan, const char *text, const char *extras[2])
{
    struct error err = {0};
    struct doc *document = NULL;
    struct schema *schema = NULL;
    uint32_t extra_count = 0;
    while (extras != NULL && extra_count < 2 && extras[extra_count] != NULL) {
        extra_count++;
    }
    expect_ok(doc_parse(plan->arena, "schema.yaml", bytes_of_string(text), NULL, &document, &err),
              &err);
    expect_ok(schema_compile(plan->arena, document, NULL, extras, extra_count, &schema, &err), &err);
    plan->plan.schema = schema;
    plan->plan.layout = schema_layout(schema);
}

void plan_fixture_init_schema(struct plan_fixture *plan, const char *schema,
                              const char *extras[2])
{
    *plan = (struct plan_fixture){.arena = arena_new(16 * 1024)};
    reason_table_init(&plan->reasons);
    compile_schema(plan, schema, extras);
    struct stage_plan *stage = &plan->plan;
    const struct layout *layout = stage->layout;
    plan->is_time = arena_alloc_zero(plan->arena, layout->field_count + 1, sizeof(bool));
    plan->filled = arena_alloc_zero(plan->arena, layout->field_count + 1, sizeof(bool));
    for (uint32_t i = 0; i < layout->schema_field_count; i++) {
        const char *format = schema_format(stage->schema, i);
        plan->is_time[i] = format != NULL && strcmp(format, "date-time") == 0;
    }
    stage->reasons = &plan->reasons;
    stage->event_time_field = FIELD_NONE;
    stage->jump_span = 1000;
    stage->jump_field = FIELD_NONE;
    stage->max_future_us = DURATION_NONE;
    stage->max_jump_us = DURATION_NONE;
    stage->where_expression = EXPRESSION_NONE;
    stage->where_reason = reason_table_add(&plan->reasons, "transform.where");
    stage->route_reason = reason_table_add(&plan->reasons, "transform.route");
    stage->null_values = plan->null_values;
    stage->coerce_fields = plan->coerce_fields;
    stage->fills = plan->fills;
    stage->filled = plan->filled;
    stage->expressions = plan->expressions;
    stage->is_time = plan->is_time;
    stage->checks = plan->checks;
    stage->sets = plan->sets;
    stage->drop_fields = plan->drop_fields;
    stage->dedup_fields = plan->dedup_fields;
    stage->route_expressions = plan->routes;
    stage->sink_names = plan->sink_names;
}

void plan_fixture_init(struct plan_fixture *plan, const char *properties, const char *extras[2])
{
    struct buffer schema = {0};
    buffer_printf(&schema, "{\"type\": \"object\", \"properties\": %s}", properties);
    plan_fixture_init_schema(plan, buffer_string(&schema), extras);
    buffer_fini(&schema);
}

void plan_fixture_fini(struct plan_fixture *plan)
{
    reason_table_fini(&plan->reasons);
    arena_free(plan->arena);
}

uint32_t plan_field(const struct plan_fixture *plan, const char *path)
{
    uint32_t field = layout_find(plan->plan.layout, path);
    check(field != FIELD_NONE);
    return field;
}

void plan_event_time(struct plan_fixture *plan, const char *path, int lateness_s)
{
    plan->plan.event_time_field = plan_field(plan, path);
    plan->plan.lateness_us = SECONDS_US(lateness_s);
    plan->plan.horizon_us += SECONDS_US(lateness_s);
}

void plan_null_value(struct plan_fixture *plan, struct value value)
{
    check(plan->plan.null_value_count < FIXTURE_PARTS_MAX);
    plan->null_values[plan->plan.null_value_count++] = value;
}

void plan_coerce(struct plan_fixture *plan, const char *path)
{
    check(plan->plan.coerce_count < FIXTURE_PARTS_MAX);
    plan->coerce_fields[plan->plan.coerce_count++] = plan_field(plan, path);
}

static struct stage_fill *add_fill(struct plan_fixture *plan, const char *path)
{
    check(plan->plan.fill_count < FIXTURE_PARTS_MAX);
    struct stage_fill *fill = &plan->fills[plan->plan.fill_count++];
    fill->field = plan_field(plan, path);
    plan->filled[fill->field] = true;
    return fill;
}

void plan_fill_value(struct plan_fixture *plan, const char *path, struct value value)
{
    struct stage_fill *fill = add_fill(plan, path);
    fill->kind = FILL_VALUE;
    fill->value = value;
}

void plan_fill_last_by(struct plan_fixture *plan, const char *path, const char *key, int max_age_s)
{
    struct stage_fill *fill = add_fill(plan, path);
    fill->kind = FILL_LAST_BY;
    fill->key_field = plan_field(plan, key);
    fill->max_age_us = SECONDS_US(max_age_s);
    fill->store = plan->plan.last_store_count++;
    const char *identity = arena_printf(plan->arena, "%s by %s", path, key);
    fill->identity = hash_plain(identity, strlen(identity));
    plan->plan.horizon_us += fill->max_age_us;
}

static uint32_t add_expression(struct plan_fixture *plan, const char *text)
{
    check(plan->plan.expression_count < 4 * FIXTURE_PARTS_MAX);
    plan->expressions[plan->plan.expression_count] =
        (struct sql_expression){.text = text, .what = text, .file = "pipeline.yaml"};
    return plan->plan.expression_count++;
}

void plan_check(struct plan_fixture *plan, const char *name, const char *expression, bool warn)
{
    check(plan->plan.check_count < FIXTURE_PARTS_MAX);
    plan->checks[plan->plan.check_count++] = (struct stage_check){
        .name = name,
        .reason = reason_table_add(&plan->reasons, arena_printf(plan->arena, "check.%s", name)),
        .warn = warn,
        .expression = add_expression(plan, expression),
    };
}

void plan_where(struct plan_fixture *plan, const char *expression)
{
    plan->plan.where_expression = add_expression(plan, expression);
}

void plan_set(struct plan_fixture *plan, const char *path, const char *expression)
{
    check(plan->plan.set_count < FIXTURE_PARTS_MAX);
    plan->sets[plan->plan.set_count++] = (struct stage_set){
        .field = plan_field(plan, path),
        .reason =
            reason_table_add(&plan->reasons, arena_printf(plan->arena, "transform.%s", path)),
        .expression = add_expression(plan, expression),
    };
}

void plan_drop(struct plan_fixture *plan, const char *path)
{
    check(plan->plan.drop_count < FIXTURE_PARTS_MAX);
    plan->drop_fields[plan->plan.drop_count++] = plan_field(plan, path);
}

void plan_dedup(struct plan_fixture *plan, const char *path, int window_s)
{
    struct stage_plan *stage = &plan->plan;
    check(stage->dedup_field_count < FIXTURE_PARTS_MAX);
    if (stage->dedup_field_count == 0) {
        stage->dedup_window_us = SECONDS_US(window_s);
        stage->horizon_us += stage->dedup_window_us;
    }
    plan->dedup_fields[stage->dedup_field_count++] = plan_field(plan, path);
    stage->dedup_identity =
        hash_plain(plan->dedup_fields, stage->dedup_field_count * sizeof *plan->dedup_fields);
}

void plan_sink(struct plan_fixture *plan, const char *name, const char *when)
{
    check(plan->plan.sink_count < FIXTURE_PARTS_MAX);
    uint32_t sink = plan->plan.sink_count++;
    plan->sink_names[sink] = name;
    plan->routes[sink] = when == NULL ? EXPRESSION_NONE : add_expression(plan, when);
}

struct value value_of_text(const char *text)
{
    return (struct value){.type = VALUE_TEXT, .text = bytes_of_string(text)};
}

struct value value_of_integer(int64_t integer)
{
    return (struct value){.type = VALUE_INT64, .integer = integer};
}

struct value value_of_real(double real)
{
    return (struct value){.type = VALUE_DOUBLE, .real = real};
}

/* --- runs --- */

static void make_runner(struct run_fixture *run)
{
    struct error err = {0};
    expect_ok(stage_runner_new(&run->plan->plan, hash_key, &run->runner, &err), &err);
    run->batch = stage_runner_batch(run->runner);
    batch_reset(run->batch, 0, 0);
    run->judged = false;
}

void run_open(struct run_fixture *run, struct plan_fixture *plan)
{
    *run = (struct run_fixture){
        .plan = plan,
        .budget = {.limit_bytes = 64 * 1024 * 1024},
        .arena = arena_new(16 * 1024),
        .timestamp_kind = TIMESTAMP_BROKER,
    };
    make_runner(run);
    run->state = stage_state_new(&plan->plan, &run->budget, 0);
}

void run_close(struct run_fixture *run)
{
    batch_free(run->batch);
    stage_runner_free(run->runner);
    stage_state_free(run->state);
    check(run->budget.used_bytes == 0);
    arena_free(run->arena);
}

void run_change_plan(struct run_fixture *run, struct plan_fixture *to)
{
    check(run->judged || run->batch->row_count == 0);
    stage_state_change_plan(run->state, &run->plan->plan, &to->plan);
    batch_free(run->batch);
    stage_runner_free(run->runner);
    run->plan = to;
    make_runner(run);
}

/* '@12@' → the time of second 12. */
static struct bytes put_times(struct arena *arena, const char *json)
{
    struct buffer text = {0};
    const char *at;
    while ((at = strchr(json, '@')) != NULL) {
        char *end = NULL;
        long second = strtol(at + 1, &end, 10);
        check(*end == '@');
        char time[TIME_TEXT_BYTES];
        time_format(FIXTURE_EPOCH_US + SECONDS_US(second), time);
        buffer_append(&text, json, (size_t)(at - json));
        buffer_append_string(&text, time);
        json = end + 1;
    }
    buffer_append_string(&text, json);
    struct bytes copy = bytes_of(arena_copy(arena, text.data, text.size), text.size);
    buffer_fini(&text);
    return copy;
}

uint32_t run_add_bytes(struct run_fixture *run, struct bytes value)
{
    if (run->judged) {
        batch_reset(run->batch, 0, 0);
        run->judged = false;
    }
    uint32_t row = run->batch->row_count;
    struct record *record = batch_append_record(run->batch);
    check(record != NULL);
    record->offset = run->next_offset++;
    record->next_offset = run->next_offset;
    record->timestamp_kind = run->timestamp_kind;
    if (run->timestamp_kind != TIMESTAMP_NONE) {
        record->timestamp_us = FIXTURE_EPOCH_US + SECONDS_US(run->timestamp_s);
    }
    record->key = run->key == NULL ? BYTES_NONE : bytes_of_string(run->key);
    record->value = value;
    return row;
}

uint32_t run_add(struct run_fixture *run, const char *json)
{
    return run_add_bytes(run, put_times(run->arena, json));
}

uint32_t run_add_replay(struct run_fixture *run, const char *json, const char *header)
{
    uint32_t row = run_add(run, json);
    struct record_header *headers = arena_alloc_zero(run->arena, 2, sizeof *headers);
    headers[0] = (struct record_header){bytes_of_string("other"), bytes_of_string("0 0 0 0")};
    headers[1] = (struct record_header){bytes_of_string("weir.replay"), bytes_of_string(header)};
    run->batch->records[row].headers = headers;
    run->batch->records[row].header_count = 2;
    return row;
}

enum status run_try(struct run_fixture *run, struct error *err)
{
    run->judged = true;
    return stage_run(run->runner, run->state, run->batch, STAGE_FULL, err);
}

void run_judge(struct run_fixture *run)
{
    struct error err = {0};
    expect_ok(run_try(run, &err), &err);
}

const char *run_one(struct run_fixture *run, const char *json)
{
    check(run->judged || run->batch->row_count == 0);
    uint32_t row = run_add(run, json);
    run_judge(run);
    return run_says(run, row);
}

static const char *keep(struct run_fixture *run, struct buffer *text)
{
    const char *copy = arena_copy_string(run->arena, buffer_string(text));
    buffer_fini(text);
    return copy;
}

const char *run_says(struct run_fixture *run, uint32_t row)
{
    check(run->judged);
    struct buffer text = {0};
    buffer_append_string(&text, verdict_name((enum verdict)run->batch->verdicts[row]));
    uint32_t count = 0;
    const struct violation *violations = batch_violations(run->batch, row, &count);
    for (uint32_t i = 0; i < count; i++) {
        buffer_printf(&text, " %s", reason_name(&run->plan->reasons, violations[i].reason));
        if (violations[i].field != FIELD_NONE) {
            buffer_printf(&text, "(%s)", run->batch->layout->fields[violations[i].field].path);
        }
    }
    return keep(run, &text);
}

const char *run_detail(struct run_fixture *run, uint32_t row)
{
    uint32_t count = 0;
    const struct violation *first = batch_violations(run->batch, row, &count);
    return count == 0 || bytes_is_none(first->detail)
               ? ""
               : arena_copy(run->arena, first->detail.data, first->detail.size);
}

const char *run_repairs(struct run_fixture *run, uint32_t row)
{
    struct buffer text = {0};
    for (uint32_t i = 0; i < run->batch->repair_count; i++) {
        const struct repair *repair = &run->batch->repairs[i];
        if (repair->row == row) {
            buffer_printf(&text, "%s%s(%s)", text.size == 0 ? "" : " ", repair_name(repair->kind),
                          run->batch->layout->fields[repair->field].path);
        }
    }
    return keep(run, &text);
}

const char *run_output(struct run_fixture *run, uint32_t row)
{
    struct bytes output = run->batch->outputs[row];
    return bytes_is_none(output) ? "none" : arena_copy(run->arena, output.data, output.size);
}

const char *run_routes(struct run_fixture *run, uint32_t row)
{
    struct buffer text = {0};
    for (uint32_t sink = 0; sink < FIXTURE_PARTS_MAX; sink++) {
        if ((run->batch->routes[row] >> sink & 1) != 0) {
            buffer_printf(&text, "%u", sink);
        }
    }
    return keep(run, &text);
}

int64_t run_second(int64_t time_us)
{
    return time_us == TIME_NEVER ? INT64_MIN : (time_us - FIXTURE_EPOCH_US) / 1000000;
}
