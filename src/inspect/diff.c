#include "inspect/diff.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "inspect/diff_private.h"

/* Rows that are read to see where event time stands. */
#define PROBE_ROWS 512

void diff_result_fini(struct diff_result *result)
{
    arena_free(result->arena);
}

static void note(struct diff *diff, const char *format, ...) WEIR_PRINTF(2, 3);
static void note(struct diff *diff, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    struct diff_result *result = diff->result;
    const char **notes =
        arena_alloc(result->arena, size_mul(result->note_count + 1, sizeof *notes));
    for (uint32_t i = 0; i < result->note_count; i++) {
        notes[i] = result->notes[i];
    }
    notes[result->note_count++] = arena_copy_string(result->arena, line);
    result->notes = notes;
}

/* --- where to begin --- */

/* Reads [offset, end) without judging; `see` is called for each batch until it says stop. */
static enum status read_plainly(struct diff *diff, uint32_t p, int64_t offset, int64_t end,
                                bool (*see)(void *context, const struct batch *batch),
                                void *context, struct error *err)
{
    struct batch *batch = diff->old.batch;
    const struct source_ops *ops = diff->source->ops;
    enum status status = ops->seek(diff->source, p, offset, err);
    do {
        batch_reset(batch, p, 0);
        if (status == STATUS_OK) {
            status = ops->read(diff->source, p, batch, end, err);
        }
    } while (status == STATUS_OK && batch->row_count > 0 && see(context, batch));
    return status;
}

struct count {
    uint64_t skip; /* records before the one whose offset is wanted */
    int64_t since_us;
    bool is_by_time;
    uint64_t count;
    int64_t offset;
    bool found;
};

static bool see_count(void *context, const struct batch *batch)
{
    struct count *count = context;
    count->count += batch->row_count;
    return true;
}

static bool see_begin(void *context, const struct batch *batch)
{
    struct count *count = context;
    for (uint32_t row = 0; row < batch->row_count && !count->found; row++, count->count++) {
        if (count->is_by_time ? batch->records[row].timestamp_us >= count->since_us
                              : count->count >= count->skip) {
            count->found = true;
            count->offset = batch->records[row].offset;
        }
    }
    return !count->found;
}

/* The first record of the window; `end` when it is empty. */
static enum status find_window(struct diff *diff, uint32_t p, int64_t end, int64_t *out,
                               struct error *err)
{
    const struct diff_query *query = diff->query;
    int64_t first = diff->partitions[p].first_offset;
    struct count count = {.since_us = query->since_us, .is_by_time = query->last == 0};
    enum status status = STATUS_OK;
    *out = end;
    if (!count.is_by_time && !diff->source->ops->offsets_are_bytes) {
        *out = end - first > query->last ? end - query->last : first;
        return STATUS_OK;
    }
    if (!count.is_by_time) {
        status = read_plainly(diff, p, first, end, see_count, &count, err);
        count.skip = count.count > (uint64_t)query->last ? count.count - (uint64_t)query->last : 0;
        count.count = 0;
    }
    if (status == STATUS_OK) {
        status = read_plainly(diff, p, first, end, see_begin, &count, err);
    }
    if (status == STATUS_OK && count.found) {
        *out = count.offset;
    }
    return status;
}

/* Greatest event time that PROBE_ROWS from `offset` on come to. */
static enum status probe(struct diff *diff, uint32_t p, int64_t offset, int64_t *out_us,
                         struct error *err)
{
    struct side *side = &diff->old;
    struct stage_state *state =
        stage_state_new(&side->plan->stage, &side->budget, offset);
    batch_reset(side->batch, p, 0);
    enum status status = diff->source->ops->seek(diff->source, p, offset, err);
    if (status == STATUS_OK) {
        status = diff->source->ops->read(diff->source, p, side->batch, offset + PROBE_ROWS, err);
    }
    if (status == STATUS_OK && side->batch->row_count > 0) {
        status = stage_run(side->runner, state, side->batch, STAGE_SILENT, err);
    }
    *out_us = state->greatest_us;
    stage_state_free(state);
    return status;
}

static int64_t horizon_of(const struct diff *diff)
{
    const struct stage_plan *old = &diff->old.plan->stage;
    const struct stage_plan *new = &diff->new.plan->stage;
    return old->horizon_us > new->horizon_us ? old->horizon_us : new->horizon_us;
}

static bool remembers_anything(const struct stage_plan *stage)
{
    return stage->event_time_field != FIELD_NONE || stage->dedup_field_count > 0 ||
           stage->last_store_count > 0;
}

/* So far before `window` that nothing from before it can matter. */
static enum status find_warm_up(struct diff *diff, uint32_t p, int64_t window, int64_t *out,
                                struct error *err)
{
    int64_t first = diff->partitions[p].first_offset;
    int64_t horizon_us = horizon_of(diff);
    *out = first;
    if (!remembers_anything(&diff->old.plan->stage) &&
        !remembers_anything(&diff->new.plan->stage)) {
        *out = window;
        return STATUS_OK;
    }
    if (diff->source->ops->offsets_are_bytes || horizon_us >= TIME_UNLIMITED) {
        return STATUS_OK;
    }
    int64_t window_us = TIME_NEVER;
    int64_t before = window - PROBE_ROWS > first ? window - PROBE_ROWS : first;
    enum status status = probe(diff, p, before, &window_us, err);
    for (int64_t back = 4 * PROBE_ROWS; status == STATUS_OK && window - back > first; back *= 2) {
        int64_t there_us = TIME_NEVER;
        status = probe(diff, p, window - back, &there_us, err);
        if (status == STATUS_OK && there_us != TIME_NEVER && window_us != TIME_NEVER &&
            window_us - there_us > horizon_us) {
            *out = window - back;
            return STATUS_OK;
        }
    }
    return status;
}

/* --- judging twice --- */

/* The same records, for the other file's columns. */
static void copy_records(const struct batch *from, struct batch *to)
{
    batch_reset(to, from->partition, 0);
    to->header = from->header;
    to->partition_number = from->partition_number;
    to->partition_count = from->partition_count;
    for (uint32_t row = 0; row < from->row_count; row++) {
        *batch_append_record(to) = from->records[row];
    }
}

static enum status judge(struct diff *diff, uint32_t p, int64_t limit, enum stage_mode mode,
                         struct error *err)
{
    batch_reset(diff->old.batch, p, 0);
    enum status status =
        diff->source->ops->read(diff->source, p, diff->old.batch, limit, err);
    if (status != STATUS_OK || diff->old.batch->row_count == 0) {
        return status;
    }
    copy_records(diff->old.batch, diff->new.batch);
    status = stage_run(diff->old.runner, diff->old.state, diff->old.batch, mode, err);
    return status == STATUS_OK
               ? stage_run(diff->new.runner, diff->new.state, diff->new.batch, mode, err)
               : status;
}

static void show_progress(const struct diff *diff)
{
    if (diff->observer->progress != NULL) {
        diff->observer->progress(diff->observer->context,
                                 diff->result->records + diff->result->warm_up, -1);
    }
}

static enum status judge_from(struct diff *diff, uint32_t p, int64_t begin, int64_t window,
                              int64_t end, struct error *err)
{
    struct side *sides[] = {&diff->old, &diff->new};
    for (uint32_t i = 0; i < 2; i++) {
        sides[i]->state = stage_state_new(&sides[i]->plan->stage, &sides[i]->budget, begin);
    }
    enum status status = diff->source->ops->seek(diff->source, p, begin, err);
    while (status == STATUS_OK && diff->old.state->next_offset < end) {
        bool is_warm = diff->old.state->next_offset >= window;
        status = judge(diff, p, is_warm ? end : window, is_warm ? STAGE_FULL : STAGE_SILENT, err);
        if (status == STATUS_OK && !is_warm && diff->old.batch->row_count == 0) {
            /* A header stands before the window, and no record. */
            diff->old.state->next_offset = window;
            continue;
        }
        if (status != STATUS_OK || diff->old.batch->row_count == 0) {
            break;
        }
        if (is_warm) {
            diff_compare(diff);
        } else {
            diff->result->warm_up += diff->old.batch->row_count;
        }
        show_progress(diff);
    }
    for (uint32_t i = 0; i < 2; i++) {
        stage_state_free(sides[i]->state);
        sides[i]->state = NULL;
    }
    return status;
}

static enum status diff_partition(struct diff *diff, uint32_t p, struct error *err)
{
    const struct source_partition *source = &diff->partitions[p];
    int64_t end = 0;
    int64_t window = 0;
    int64_t begin = 0;
    enum status status = diff->source->ops->end_offset(diff->source, p, &end, err);
    if (status == STATUS_OK) {
        status = find_window(diff, p, end, &window, err);
    }
    if (status != STATUS_OK || window >= end) {
        return status;
    }
    status = find_warm_up(diff, p, window, &begin, err);
    if (status == STATUS_OK && begin == source->first_offset && begin > 0 &&
        horizon_of(diff) > 0) {
        note(diff,
             "%s [%s] begins at offset %lld now: what came before is unknown to both, so rows near "
             "there may be judged otherwise than they were",
             source->topic, source->label, (long long)begin);
    }
    return status == STATUS_OK ? judge_from(diff, p, begin, window, end, err) : status;
}

/* --- the whole --- */

static enum status open_side(struct side *side, struct plan *plan, struct error *err)
{
    static const uint8_t hash_key[HASH_KEY_BYTES] = {0};
    side->plan = plan;
    side->budget.limit_bytes = plan->state_memory_bytes;
    enum status status = stage_runner_new(&plan->stage, hash_key, &side->runner, err);
    if (status == STATUS_OK) {
        side->batch = stage_runner_batch(side->runner);
        side->outboxes =
            memory_alloc_zero(plan->stage.sink_count + 1u, sizeof(struct outbox *));
        for (uint32_t i = 0; i < plan->stage.sink_count; i++) {
            side->outboxes[i] = plan->sinks[i]->ops->outbox_new(plan->sinks[i]);
        }
    }
    return status;
}

static void close_side(struct side *side)
{
    for (uint32_t i = 0; side->outboxes != NULL && i < side->plan->stage.sink_count; i++) {
        side->plan->sinks[i]->ops->outbox_free(side->outboxes[i]);
    }
    memory_free(side->outboxes);
    batch_free(side->batch);
    stage_runner_free(side->runner);
}

static enum status refuse_source(const struct plan *new_plan, struct error *err)
{
    return error_set(err, STATUS_CONFIG, "diff.source",
                     "the new file of '%s' does not read the same source as the old one: there is "
                     "no log on which both could be compared",
                     new_plan->name);
}

/* Both must read the same log. */
static enum status check_source(const struct diff *diff, struct plan *new_plan, struct error *err)
{
    struct source *other = NULL;
    if (new_plan->source_ops != diff->source->ops) {
        return refuse_source(new_plan, err);
    }
    enum status status = new_plan->source_ops->open(new_plan->source_config, new_plan->folder,
                                                    plan_csv(new_plan), &other, err);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t count = 0;
    const struct source_partition *partitions = other->ops->partitions(other, &count);
    bool is_same = count == diff->partition_count;
    for (uint32_t p = 0; p < count && is_same; p++) {
        is_same = strcmp(partitions[p].topic, diff->partitions[p].topic) == 0 &&
                  strcmp(partitions[p].topic_id, diff->partitions[p].topic_id) == 0 &&
                  strcmp(partitions[p].label, diff->partitions[p].label) == 0;
    }
    other->ops->close(other);
    return is_same ? STATUS_OK : refuse_source(new_plan, err);
}

static enum status open_source(struct diff *diff, struct plan *old_plan, struct plan *new_plan,
                               struct error *err)
{
    if (!old_plan->source_ops->can_replay) {
        return error_set(err, STATUS_CONFIG, "diff.source",
                         "a %s source cannot be read again, so there is nothing to compare on",
                         old_plan->source_ops->kind);
    }
    enum status status = old_plan->source_ops->open(old_plan->source_config, old_plan->folder,
                                                    plan_csv(old_plan), &diff->source, err);
    if (status != STATUS_OK) {
        return status;
    }
    diff->partitions = diff->source->ops->partitions(diff->source, &diff->partition_count);
    if (diff->query->last == 0 && diff->source->ops->timestamp_kind == TIMESTAMP_NONE) {
        return error_set(err, STATUS_CONFIG, "diff.since",
                         "records of a %s source have no timestamps; use --last N",
                         old_plan->source_ops->kind);
    }
    return check_source(diff, new_plan, err);
}

static void pair_sinks(struct diff *diff)
{
    const struct plan *old = diff->old.plan;
    const struct plan *new = diff->new.plan;
    diff->counterparts = memory_alloc_zero(old->stage.sink_count + 1u, sizeof(uint32_t));
    for (uint32_t i = 0; i < old->stage.sink_count; i++) {
        diff->counterparts[i] = SINK_NONE;
        for (uint32_t k = 0; k < new->stage.sink_count; k++) {
            if (strcmp(old->sinks[i]->name, new->sinks[k]->name) == 0 &&
                old->sinks[i]->ops == new->sinks[k]->ops) {
                diff->counterparts[i] = k;
            }
        }
    }
}

enum status diff_plans(struct plan *old_plan, struct plan *new_plan,
                       const struct diff_query *query, const struct run_observer *observer,
                       struct diff_result *result, struct error *err)
{
    static const uint8_t hash_key[HASH_KEY_BYTES] = {0};
    struct diff diff = {.query = query, .observer = observer, .result = result};
    result->arena = arena_new(64 * 1024);
    hash_secret_init(&diff.secret, hash_key);
    enum status status = open_source(&diff, old_plan, new_plan, err);
    if (status == STATUS_OK) {
        status = open_side(&diff.old, old_plan, err);
    }
    if (status == STATUS_OK) {
        status = open_side(&diff.new, new_plan, err);
    }
    if (status == STATUS_OK) {
        pair_sinks(&diff);
    }
    for (uint32_t p = 0; p < diff.partition_count && status == STATUS_OK; p++) {
        status = diff_partition(&diff, p, err);
    }
    diff_sort_kinds(result);
    memory_free(diff.counterparts);
    close_side(&diff.old);
    close_side(&diff.new);
    if (diff.source != NULL) {
        diff.source->ops->close(diff.source);
    }
    return status;
}
