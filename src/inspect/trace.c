#include "inspect/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "codec/json.h"
#include "codec/json_items.h"
#include "inspect/trace_private.h"

/* A record leads to others that lead to others: replays of replays. Each round reads the source
 * again. */
#define ROUNDS_MAX 16u

enum sight { SIGHT_JUDGED, SIGHT_AHEAD, SIGHT_UNJUDGED };

void trace_result_fini(struct trace_result *result)
{
    arena_free(result->arena);
}

static void note(struct trace *trace, const char *format, ...) WEIR_PRINTF(2, 3);
static void note(struct trace *trace, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    struct trace_result *result = trace->result;
    const char **notes =
        arena_alloc(trace->arena, size_mul(result->note_count + 1, sizeof *notes));
    for (uint32_t i = 0; i < result->note_count; i++) {
        if (strcmp(result->notes[i], line) == 0) {
            return;
        }
        notes[i] = result->notes[i];
    }
    notes[result->note_count++] = arena_copy_string(trace->arena, line);
    result->notes = notes;
}

/* --- what is told of a record --- */

static struct bytes keep(struct trace *trace, struct bytes b)
{
    return bytes_is_none(b) ? b : bytes_of(arena_copy(trace->arena, b.data, b.size), b.size);
}

static const char *field_path(const struct batch *batch, uint32_t field)
{
    return field == FIELD_NONE ? "" : batch->layout->fields[field].path;
}

static void take_violations(struct trace *trace, const struct plan *plan,
                            const struct batch *batch, uint32_t row, struct trace_arrival *arrival)
{
    uint32_t count = 0;
    const struct violation *first = batch_violations(batch, row, &count);
    arrival->violations =
        arena_alloc_zero(trace->arena, size_add(count, batch->warning_count) + 1,
                         sizeof *arrival->violations);
    for (uint32_t i = 0; i < count; i++) {
        arrival->violations[arrival->violation_count++] = (struct trace_violation){
            .reason = arena_copy_string(trace->arena,
                                        reason_name(&plan->reasons, first[i].reason)),
            .field = arena_copy_string(trace->arena, field_path(batch, first[i].field)),
            .detail = keep(trace, first[i].detail),
        };
    }
    for (uint32_t i = 0; i < batch->warning_count; i++) {
        if (batch->warnings[i].row == row) {
            arrival->violations[arrival->violation_count++] = (struct trace_violation){
                .reason = arena_printf(trace->arena, "check.%s",
                                       plan->stage.checks[batch->warnings[i].check].name),
                .field = "",
                .detail = BYTES_NONE,
                .is_warning = true,
            };
        }
    }
}

/* The member of a field in the record as it came; none where there is no such member. */
static struct bytes find_member(const struct batch *batch, uint32_t field, uint32_t row)
{
    const struct field *wanted = &batch->layout->fields[field];
    struct bytes object = wanted->parent == FIELD_NONE ? batch->records[row].value
                                                       : find_member(batch, wanted->parent, row);
    struct json_items items;
    struct bytes name;
    struct bytes item;
    struct bytes found = BYTES_NONE;
    if (bytes_is_none(object) || !json_items_begin(&items, object) || !items.is_object) {
        return BYTES_NONE;
    }
    while (json_items_next(&items, &name, &item)) {
        struct bytes text = json_value(batch->arena, name).text;
        if (text.size == wanted->name_size && memcmp(text.data, wanted->name, text.size) == 0) {
            found = item;
        }
    }
    return found;
}

static struct bytes value_after(struct trace *trace, const struct batch *batch, uint32_t field,
                                uint32_t row)
{
    const struct misfit *misfit = batch->columns[field].cells[row] == CELL_MISFIT
                                      ? batch_find_misfit(batch, field, row)
                                      : NULL;
    if (misfit != NULL) {
        return keep(trace, misfit->raw);
    }
    struct value value = batch_value(batch, field, row);
    if (value.type == VALUE_NULL) {
        return BYTES_NONE;
    }
    struct buffer text = {0};
    json_write_value(&text, &value);
    struct bytes kept = keep(trace, bytes_of(text.data, text.size));
    buffer_fini(&text);
    return kept;
}

/* Repairs of one field are one change: from what came to what goes on. */
static void take_repairs(struct trace *trace, const struct batch *batch, uint32_t row,
                         struct trace_arrival *arrival)
{
    uint32_t *fields = arena_alloc_zero(trace->arena, batch->repair_count + 1u, sizeof *fields);
    arrival->repairs =
        arena_alloc_zero(trace->arena, batch->repair_count + 1u, sizeof *arrival->repairs);
    for (uint32_t i = 0; i < batch->repair_count; i++) {
        const struct repair *repair = &batch->repairs[i];
        if (repair->row != row) {
            continue;
        }
        uint32_t k = 0;
        while (k < arrival->repair_count && fields[k] != repair->field) {
            k++;
        }
        struct trace_repair *told = &arrival->repairs[k];
        if (k < arrival->repair_count) {
            told->kinds = arena_printf(trace->arena, "%s, %s", told->kinds,
                                       repair_name(repair->kind));
            continue;
        }
        fields[arrival->repair_count++] = repair->field;
        *told = (struct trace_repair){
            .field = arena_copy_string(trace->arena, field_path(batch, repair->field)),
            .kinds = repair_name(repair->kind),
            .before = keep(trace, find_member(batch, repair->field, row)),
            .after = value_after(trace, batch, repair->field, row),
        };
    }
}

static void take_replay(struct trace *trace, const struct batch *batch, uint32_t row,
                        struct trace_arrival *arrival)
{
    const struct replay_origin *replay = batch_replay(batch, row);
    if (replay != NULL) {
        arrival->replay_topic =
            arena_copy(trace->arena, replay->topic.data, replay->topic.size);
        arrival->replay_partition = replay->partition;
        arrival->replay_offset = replay->offset;
        arrival->replay_attempt = replay->attempt;
        arrival->replay_sink =
            bytes_is_none(replay->sink)
                ? ""
                : arena_copy(trace->arena, replay->sink.data, replay->sink.size);
        trace_want(trace, batch->partition, replay->offset);
    }
}

static void take_commits(struct trace *trace, uint32_t p, struct trace_arrival *arrival)
{
    const struct pipeline *pipeline = &trace->pipeline;
    uint32_t count = pipeline->plan->system_count;
    arrival->commits = arena_alloc_zero(trace->arena, count + 1, sizeof *arrival->commits);
    arrival->commit_count = count;
    for (uint32_t s = 0; s < count; s++) {
        const struct progress *progress = &pipeline->progresses[s][p];
        arrival->commits[s] = (struct trace_commit){
            .system = arena_copy_string(trace->arena, pipeline->plan->systems[s]->name),
            .next_offset = progress->next_offset,
            .epoch = progress->epoch,
            .is_in = progress->next_offset > arrival->offset,
        };
    }
}

static void take_verdict(struct trace *trace, const struct plan *plan, const struct batch *batch,
                         uint32_t row, enum sight sight, struct trace_arrival *arrival)
{
    arrival->is_judged = true;
    arrival->is_ahead = sight == SIGHT_AHEAD;
    arrival->plan = arena_copy_string(trace->arena, plan->hash_text);
    arrival->verdict = (enum verdict)batch->verdicts[row];
    arrival->event_time_us = batch->event_times_us[row];
    arrival->watermark_us = batch->watermarks_us[row];
    take_violations(trace, plan, batch, row, arrival);
    take_repairs(trace, batch, row, arrival);
}

static void add_arrival(struct trace *trace, const struct plan *plan, const struct batch *batch,
                        uint32_t row, enum sight sight)
{
    struct trace_result *result = trace->result;
    if (result->arrival_count == trace->query->most) {
        result->left_out++;
        if (!trace_is_wanted(trace, batch->partition, batch->records[row].offset)) {
            return;
        }
        result->arrival_count--; /* what was asked for is told in any case */
    }
    const struct record *record = &batch->records[row];
    const struct source_partition *source = trace->pipeline.partitions[batch->partition].source;
    struct trace_arrival *arrival = &result->arrivals[result->arrival_count];
    struct found_record *found = &trace->records[result->arrival_count++];
    *found = (struct found_record){.partition = batch->partition};
    *arrival = (struct trace_arrival){
        .topic = arena_copy_string(trace->arena, source->topic),
        .partition = arena_copy_string(trace->arena, source->label),
        .offset = record->offset,
        .timestamp_us = record->timestamp_us,
        .key = keep(trace, record->key),
        .value = keep(trace, record->value),
        .plan = "",
        .event_time_us = TIME_NEVER,
        .watermark_us = TIME_NEVER,
        .replay_sink = "",
    };
    take_replay(trace, batch, row, arrival);
    take_commits(trace, batch->partition, arrival);
    if (sight != SIGHT_UNJUDGED) {
        take_verdict(trace, plan, batch, row, sight, arrival);
        trace_expect(trace, plan, batch, row, arrival, found);
    }
    struct hash128 key;
    bool is_by_position = trace->query->key == NULL || arrival->replay_topic != NULL;
    if (is_by_position && trace_dedup_key(trace, plan, batch, row, &key)) {
        trace_add_dedup_key(trace, key);
    }
}

/* --- reading the source --- */

static void see_batch(struct trace *trace, const struct plan *plan, const struct batch *batch,
                      enum sight sight)
{
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (trace_is_match(trace, plan, batch, row)) {
            add_arrival(trace, plan, batch, row, sight);
        }
    }
    trace->rows_read += batch->row_count;
    const struct run_observer *observer = trace->pipeline.observer;
    if (observer->progress != NULL) {
        observer->progress(observer->context, trace->rows_read, -1);
    }
}

/* Decodes what lies in between, to find keys; its verdicts depend on what is not there. */
static enum status read_unjudged(struct trace *trace, uint32_t p, int64_t offset, int64_t end,
                                 struct error *err)
{
    struct pipeline *pipeline = &trace->pipeline;
    const struct judge *judge = NULL;
    enum status status =
        replayer_judge(trace->replayer, pipeline->plan->hash, &judge, err);
    if (status == STATUS_OK && offset < end) {
        status = pipeline->source->ops->seek(pipeline->source, p, offset, err);
    }
    while (status == STATUS_OK && offset < end) {
        struct stage_state *state =
            stage_state_new(&pipeline->plan->stage, &pipeline->budget, offset);
        batch_reset(judge->batch, p, 0);
        status = pipeline->source->ops->read(pipeline->source, p, judge->batch, end, err);
        if (status == STATUS_OK && judge->batch->row_count > 0) {
            status = stage_run(judge->runner, state, judge->batch, STAGE_SILENT, err);
        }
        if (status == STATUS_OK) {
            see_batch(trace, judge->plan, judge->batch, SIGHT_UNJUDGED);
        }
        stage_state_free(state);
        if (judge->batch->row_count == 0) {
            break;
        }
        offset = judge->batch->records[judge->batch->row_count - 1].next_offset;
    }
    return status;
}

/* Judging begins at R's own anchor: where the log's beginning has expired, and where nothing was
 * committed yet. */
static void begin_at_anchor(const struct trace *trace, uint32_t p, struct history *history)
{
    const struct progress *progress = &trace->pipeline.progresses[history->furthest][p];
    memory_free(history->plans);
    history->plans = memory_alloc_zero(progress->plan_count + 1u, sizeof *history->plans);
    history->plan_count = progress->plan_count;
    if (progress->plan_count > 0) {
        memcpy(history->plans, progress->plans, progress->plan_count * sizeof *history->plans);
    }
    history->anchor = progress->state_start;
}

/* What nobody has taken yet is judged by the file as it is. */
static void add_running_plan(const struct trace *trace, struct history *history)
{
    struct hash128 running = trace->pipeline.plan->hash;
    if (hash_equal(history->plans[history->plan_count - 1].plan_hash, running)) {
        return;
    }
    history->plans = memory_realloc(
        history->plans, size_mul(history->plan_count + 1, sizeof *history->plans));
    history->plans[history->plan_count++] = (struct plan_change){
        .offset = history->next_offset,
        .plan_hash = running,
        .horizon_us = trace->pipeline.plan->stage.horizon_us,
    };
}

static enum status judge_partition(struct trace *trace, uint32_t p, const struct history *history,
                                   struct error *err)
{
    struct pipeline *pipeline = &trace->pipeline;
    struct rejudging rejudging;
    const struct judge *judge = NULL;
    int64_t end = pipeline->partitions[p].end_offset;
    enum status status =
        rejudge_begin(&rejudging, pipeline, trace->replayer, p, history, err);
    while (status == STATUS_OK && rejudging.state->next_offset < end) {
        bool is_ahead = rejudging.state->next_offset >= history->next_offset;
        status = rejudge_next(&rejudging, is_ahead ? end : history->next_offset, &judge, err);
        if (status != STATUS_OK || judge->batch->row_count == 0) {
            break;
        }
        see_batch(trace, judge->plan, judge->batch, is_ahead ? SIGHT_AHEAD : SIGHT_JUDGED);
    }
    rejudge_end(&rejudging);
    return status;
}

static enum status read_partition(struct trace *trace, uint32_t p, struct error *err)
{
    struct pipeline *pipeline = &trace->pipeline;
    const struct source_partition *source = pipeline->partitions[p].source;
    struct history history = {0};
    enum status status = history_load(pipeline, p, &history, err);
    if (status == STATUS_OK && (history.segments.count == 0 ||
                                !history_is_there(&history, pipeline, p))) {
        begin_at_anchor(trace, p, &history);
    }
    if (status == STATUS_OK && source->first_offset > 0) {
        note(trace,
             "%s [%s] begins at offset %lld now: what arrived before is gone and was not looked at",
             source->topic, source->label, (long long)source->first_offset);
    }
    bool can_judge = history.plan_count > 0 && history_is_there(&history, pipeline, p);
    int64_t judged_from =
        can_judge ? history.anchor.offset : pipeline->partitions[p].end_offset;
    if (status == STATUS_OK && source->first_offset < judged_from) {
        status = read_unjudged(trace, p, source->first_offset, judged_from, err);
        note(trace,
             "%s [%s]: records before offset %lld cannot be judged again, since what came before "
             "them is gone",
             source->topic, source->label, (long long)judged_from);
    }
    if (status == STATUS_OK && can_judge) {
        add_running_plan(trace, &history);
        status = judge_partition(trace, p, &history, err);
    }
    history_fini(&history);
    return status;
}

static enum status read_source(struct trace *trace, struct error *err)
{
    enum status status = STATUS_OK;
    trace->result->arrival_count = 0;
    trace->result->left_out = 0;
    for (uint32_t p = 0; p < trace->pipeline.partition_count && status == STATUS_OK; p++) {
        status = read_partition(trace, p, err);
    }
    return status;
}

/* Until nothing new is found that leads to more. */
static enum status find_all(struct trace *trace, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t round = 0; round < ROUNDS_MAX && status == STATUS_OK; round++) {
        uint32_t wanted = trace->wanted_count;
        uint32_t keys = trace->dedup_key_count;
        status = read_source(trace, err);
        if (trace->wanted_count == wanted && trace->dedup_key_count == keys) {
            break;
        }
    }
    return status;
}

/* --- the whole --- */

static bool is_partition(const struct trace_query *query, const struct source_partition *source)
{
    return (query->topic == NULL || strcmp(query->topic, source->topic) == 0) &&
           strcmp(query->partition, source->label) == 0;
}

/* Takes the record that is asked for by position, and the key by which others belong to it, so that
 * one reading finds all. */
static enum status want_position(struct trace *trace, struct error *err)
{
    const struct trace_query *query = trace->query;
    const struct pipeline *pipeline = &trace->pipeline;
    enum status status = STATUS_OK;
    bool found = false;
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK; p++) {
        const struct source_partition *source = pipeline->partitions[p].source;
        if (!is_partition(query, source)) {
            continue;
        }
        found = true;
        trace_want(trace, p, query->offset);
        if (query->offset >= source->first_offset &&
            query->offset < pipeline->partitions[p].end_offset) {
            status = read_unjudged(trace, p, query->offset, query->offset + 1, err);
        }
    }
    if (status == STATUS_OK && !found) {
        status = error_set(err, STATUS_CONFIG, "trace.position",
                           "the source has no partition %s%s[%s]",
                           query->topic == NULL ? "" : query->topic,
                           query->topic == NULL ? "" : " ", query->partition);
    }
    return status;
}

static enum status prepare(struct trace *trace, struct error *err)
{
    struct pipeline *pipeline = &trace->pipeline;
    struct plan *plan = pipeline->plan;
    enum status status = pipeline_open_reader(pipeline, err);
    if (status == STATUS_OK) {
        status = recovery_inspect(pipeline, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (!plan->source_ops->can_replay) {
        return error_set(err, STATUS_CONFIG, "trace.source",
                         "a %s source cannot be read again, so there is nothing to trace in",
                         plan->source_ops->kind);
    }
    hash_secret_init(&trace->secret, pipeline->hash_key);
    trace->replayer = replayer_new(plan, plan->systems, plan->system_count, pipeline->hash_key);
    uint32_t sinks = plan->stage.sink_count;
    trace->outboxes = arena_alloc_zero(pipeline->arena, sinks + 2, sizeof(struct outbox *));
    for (uint32_t i = 0; i < sinks; i++) {
        trace->outboxes[i] = plan->sinks[i]->ops->outbox_new(plan->sinks[i]);
    }
    if (plan->dlq != NULL) {
        trace->outboxes[sinks] = plan->dlq->ops->outbox_new(plan->dlq);
    }
    trace->records =
        arena_alloc_zero(pipeline->arena, trace->query->most, sizeof *trace->records);
    trace->result->arrivals =
        arena_alloc_zero(trace->arena, trace->query->most, sizeof *trace->result->arrivals);
    status = audit_rejects_load(pipeline, &trace->rejects, err);
    return status == STATUS_OK ? trace_check_fields(trace, err) : status;
}

static void finish(struct trace *trace)
{
    const struct plan *plan = trace->pipeline.plan;
    for (uint32_t i = 0; trace->outboxes != NULL && i <= plan->stage.sink_count; i++) {
        const struct sink *sink = i < plan->stage.sink_count ? plan->sinks[i] : plan->dlq;
        if (trace->outboxes[i] != NULL) {
            sink->ops->outbox_free(trace->outboxes[i]);
        }
    }
    audit_rejects_fini(&trace->rejects);
    replayer_free(trace->replayer);
    memory_free(trace->wanted);
    memory_free(trace->dedup_keys);
    pipeline_close(&trace->pipeline);
}

enum status trace_pipeline(struct plan *plan, const struct trace_query *query,
                           const struct run_observer *observer, struct trace_result *result,
                           struct error *err)
{
    struct run_options options = {0};
    result->arena = arena_new(64 * 1024);
    struct trace trace = {.query = query, .result = result, .arena = result->arena};
    pipeline_init(&trace.pipeline, plan, &options, observer);
    enum status status = prepare(&trace, err);
    if (status == STATUS_OK && query->key == NULL) {
        status = want_position(&trace, err);
    }
    if (status == STATUS_OK) {
        status = find_all(&trace, err);
    }
    if (status == STATUS_OK) {
        status = trace_look(&trace, err);
    }
    finish(&trace);
    return status;
}
