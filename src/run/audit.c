#include "run/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "os/clock.h"
#include "run/accounting.h"
#include "run/audit_rejects.h"
#include "run/audit_rows.h"
#include "run/audit_segments.h"
#include "run/audit_sums.h"
#include "run/pipeline.h"
#include "run/replayer.h"

#define NAMED_MAX 20u
#define PASS_ROWS (UINT64_C(8) << 20) /* rows that one pass holds, expected and found together */

/* One place of the running plan. */
struct place {
    struct sink *sink;
    uint32_t system;
    struct outbox *outbox;      /* append_* needs somewhere to write; emptied all the time */
    struct hash128 expected_sum;
    struct hash128 expected_origins; /* sum over rows with where they come from */
    uint64_t expected_count;
    struct hash128 actual_sum;
    struct hash128 actual_origins;   /* the same of rows that say it */
    uint64_t actual_count;
    uint64_t origin_count;           /* rows that say it */
    uint64_t unjudged;          /* rows of partitions whose input is not there any more */
    struct audit_fold *fold;    /* keyed places */
    bool differs;
    struct audit_rows expected; /* of the pass */
    struct audit_rows actual;
    uint64_t named[AUDIT_KINDS];
};

/* A sink of an older plan whose place the running plan does not have. */
struct gone {
    const struct sink *sink;
    uint64_t rows;
};

struct audit {
    struct pipeline pipeline;
    uint32_t *ranks;   /* [partition]: among all, by topic and number */
    bool *is_unjudged; /* [partition]: its input has expired */
    bool any_unjudged;
    struct gone *gone;
    uint32_t gone_count;
    struct replayer *replayer;
    struct place *places; /* the plan's sinks, then the dlq */
    uint32_t place_count;
    struct audit_rejects rejects;
    struct audit_sums *sums;
    struct hash_secret secret;
    struct audit_result *result;
    void (*finding)(void *context, const char *line);
    void *context;
    /* the pass over rows: only hashes with high % passes == pass, only places that differ */
    bool collects;
    uint64_t passes, pass;
    struct place *scanned;   /* while a place is read */
};

void audit_result_fini(struct audit_result *result)
{
    ledger_fini(&result->ledger);
}

static void find(struct audit *audit, const char *format, ...) WEIR_PRINTF(2, 3);
static void find(struct audit *audit, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    audit->finding(audit->context, line);
}

static const char *origin_text(const struct audit *audit, uint32_t partition, int64_t offset,
                               char *out, size_t size)
{
    if (partition == UINT32_MAX || offset < 0) {
        snprintf(out, size, "of unknown origin");
    } else {
        const struct source_partition *source = audit->pipeline.partitions[partition].source;
        snprintf(out, size, "of %s [%s] offset %lld", source->topic, source->label,
                 (long long)offset);
    }
    return out;
}

/* --- ledgers --- */

static void differ(struct audit *audit, const char *system, uint32_t p, const char *what,
                   struct buffer *difference)
{
    const struct source_partition *source = audit->pipeline.partitions[p].source;
    audit->result->differences++;
    find(audit, "ledger of %s, %s [%s]: %s: %s", system, source->topic, source->label, what,
         buffer_string(difference));
    buffer_clear(difference);
}

static bool are_ranges_equal(const struct ledger_sink *a, const struct ledger_sink *b,
                             struct buffer *difference)
{
    bool is_same = b != NULL && a->range_count == b->range_count;
    for (uint32_t i = 0; i < a->range_count && is_same; i++) {
        is_same = a->ranges[i].partition == b->ranges[i].partition &&
                  a->ranges[i].first_offset == b->ranges[i].first_offset &&
                  a->ranges[i].last_offset == b->ranges[i].last_offset;
    }
    if (!is_same) {
        buffer_printf(difference, "the output offsets of %s are not those of its segments",
                      a->name);
    }
    return is_same;
}

/* Within a segment a name is one place; where that has offsets, they have room for all rows. */
static bool have_ranges_room(const struct ledger_sink *sink, struct buffer *difference)
{
    uint64_t room = 0;
    for (uint32_t i = 0; i < sink->range_count; i++) {
        room += (uint64_t)(sink->ranges[i].last_offset - sink->ranges[i].first_offset) + 1;
    }
    if (sink->range_count > 0 && room < sink->written) {
        buffer_printf(difference, "%llu rows were written to %s, which has %llu offsets for them",
                      (unsigned long long)sink->written, sink->name, (unsigned long long)room);
        return false;
    }
    return true;
}

static void check_ranges(struct audit *audit, uint32_t s, uint32_t p,
                         const struct audit_segments *segments, const struct ledger *sum)
{
    const char *name = audit->pipeline.plan->systems[s]->name;
    const struct ledger *ledger = &audit->pipeline.progresses[s][p].ledger;
    struct buffer difference = {0};
    for (uint32_t i = 0; i < ledger->sink_count; i++) {
        const struct ledger_sink *sink = &ledger->sinks[i];
        if (!are_ranges_equal(sink, ledger_find_sink(sum, sink->name), &difference)) {
            differ(audit, name, p, "where its rows are", &difference);
        }
    }
    for (uint32_t k = 0; k < segments->count; k++) {
        for (uint32_t i = 0; i < segments->items[k].ledger.sink_count; i++) {
            if (!have_ranges_room(&segments->items[k].ledger.sinks[i], &difference)) {
                differ(audit, name, p, "where its rows are", &difference);
            }
        }
    }
    buffer_fini(&difference);
}

/* R against its own laws and its segments. */
static void check_own_ledger(struct audit *audit, uint32_t s, uint32_t p,
                             const struct audit_segments *segments)
{
    const char *name = audit->pipeline.plan->systems[s]->name;
    const struct progress *progress = &audit->pipeline.progresses[s][p];
    struct buffer difference = {0};
    if (!ledger_is_balanced(&progress->ledger, &difference)) {
        differ(audit, name, p, "does not add up", &difference);
    }
    struct ledger sum = {0};
    for (uint32_t i = 0; i < segments->count; i++) {
        ledger_add(&sum, &segments->items[i].ledger);
    }
    if (!ledger_equal(&progress->ledger, &sum, true, &difference)) {
        differ(audit, name, p, "is not the sum of its segments", &difference);
    }
    check_ranges(audit, s, p, segments, &sum);
    ledger_fini(&sum);
    buffer_fini(&difference);
}

/* Segments with one beginning say the same; a system that was added later has none of before. */
static void compare_segments(struct audit *audit, uint32_t s, uint32_t p,
                             const struct audit_segments *a, const struct audit_segments *b)
{
    struct buffer difference = {0};
    for (uint32_t i = 0, k = 0; i < a->count && k < b->count;) {
        int64_t left = a->items[i].first_offset;
        int64_t right = b->items[k].first_offset;
        if (left == right &&
            !ledger_equal(&a->items[i].ledger, &b->items[k].ledger, false, &difference)) {
            differ(audit, audit->pipeline.plan->systems[s]->name, p,
                   "differs from the other systems", &difference);
        }
        i += left <= right;
        k += right <= left;
    }
    buffer_fini(&difference);
}

/* At equal offsets what came in and its verdicts are equal in all systems. */
static enum status check_systems_agree(struct audit *audit, uint32_t p, struct error *err)
{
    const struct pipeline *pipeline = &audit->pipeline;
    enum status status = STATUS_OK;
    for (uint32_t s = 1; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        for (uint32_t k = 0; k < s && status == STATUS_OK; k++) {
            if (pipeline->progresses[s][p].next_offset != pipeline->progresses[k][p].next_offset) {
                continue;
            }
            struct audit_segments ours = {0};
            struct audit_segments theirs = {0};
            status = audit_segments_load(&audit->pipeline, s, p, &ours, err);
            if (status == STATUS_OK) {
                status = audit_segments_load(&audit->pipeline, k, p, &theirs, err);
            }
            if (status == STATUS_OK) {
                compare_segments(audit, s, p, &ours, &theirs);
            }
            audit_segments_fini(&ours);
            audit_segments_fini(&theirs);
        }
    }
    return status;
}

/* --- what should be there --- */

static bool is_of_pass(const struct audit *audit, struct hash128 hash)
{
    return audit->passes <= 1 || hash.high % audit->passes == audit->pass;
}

static struct hash128 hash_with_origin(const struct audit *audit, const struct audit_row *row)
{
    const uint64_t words[4] = {row->hash.high, row->hash.low, row->partition,
                               (uint64_t)row->offset};
    return hash_bytes(&audit->secret, words, sizeof words);
}

static void expect(struct audit *audit, struct place *place, struct audit_row row)
{
    if (audit->collects) {
        if (place->differs && place->fold == NULL && is_of_pass(audit, row.hash)) {
            audit_rows_add(&place->expected, row);
        }
        return;
    }
    place->expected_count++;
    place->expected_sum = hash_add(place->expected_sum, row.hash);
    place->expected_origins = hash_add(place->expected_origins, hash_with_origin(audit, &row));
}

/* The row's hash as the sink computes it, out of an append into a box that is thrown away. */
static void expect_row(struct audit *audit, struct place *place, struct sink *judge_sink,
                       const struct output_row *out)
{
    struct ledger_sink one = {0};
    const struct batch *batch = out->batch;
    judge_sink->ops->append_row(judge_sink, place->outbox, out, &audit->secret, &one);
    struct audit_row row = {.hash = one.sum,
                            .offset = batch->records[out->row].offset,
                            .partition = batch->partition,
                            .rank = audit->ranks[batch->partition]};
    if (place->fold == NULL) {
        expect(audit, place, row);
    } else if (!audit->collects) {
        struct hash128 key;
        struct value order = {.type = VALUE_NULL};
        judge_sink->ops->key_row(judge_sink, out, &audit->secret, batch->arena, &key, &order);
        audit_fold_put(place->fold, key, &order, row);
    }
}

static void expect_rows(struct audit *audit, struct place *place, const struct plan *plan,
                        uint32_t number, const struct batch *batch)
{
    struct output_row out = {
        .batch = batch, .origin = audit->pipeline.partitions[batch->partition].source};
    if (place->sink->ops->look_through != NULL) {
        place->sink->ops->look_through(plan->sinks[number], place->sink);
    }
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if ((batch->routes[row] >> number & 1) == 0 ||
            audit_rejects_find(&audit->rejects, plan->sinks[number]->name, batch->partition,
                        batch->records[row].offset) != NULL) {
            continue;
        }
        out.row = row;
        out.value = batch->outputs[row];
        expect_row(audit, place, plan->sinks[number], &out);
    }
    place->sink->ops->outbox_clear(place->outbox);
}

static void expect_reject_letter(struct audit *audit, struct place *dlq, const struct plan *plan,
                                 const struct batch *batch, uint32_t row,
                                 const struct audit_reject *reject)
{
    struct hash128 hash = audit_rejects_letter(
        reject, plan, audit->pipeline.partitions[batch->partition].source, batch, row, dlq->outbox,
        &audit->secret);
    expect(audit, dlq,
           (struct audit_row){.hash = hash,
                              .offset = batch->records[row].offset,
                              .partition = batch->partition});
}

/* Of the rows that a sink refused. */
static void expect_reject_letters(struct audit *audit, struct place *dlq, const struct plan *plan,
                                  uint32_t number, const struct batch *batch)
{
    for (uint32_t row = 0; audit->rejects.count > 0 && row < batch->row_count; row++) {
        const struct audit_reject *reject =
            (batch->routes[row] >> number & 1) == 0
                ? NULL
                : audit_rejects_find(&audit->rejects, plan->sinks[number]->name, batch->partition,
                              batch->records[row].offset);
        if (reject != NULL) {
            expect_reject_letter(audit, dlq, plan, batch, row, reject);
        }
    }
    dlq->sink->ops->outbox_clear(dlq->outbox);
}

static bool is_alike(const struct sink *a, const struct sink *b)
{
    return a->ops == b->ops && strcmp(a->ops->address(a), b->ops->address(b)) == 0 &&
           strcmp(a->ops->rule(a), b->ops->rule(b)) == 0;
}

/* The place that a sink of any plan wrote to, by what and where it is: names and paths may
 * change. */
static struct place *place_of(struct audit *audit, const struct plan *plan,
                              const struct sink *sink)
{
    uint32_t home = audit_sums_home(audit->sums, plan, sink);
    for (uint32_t i = 0; i < audit->place_count; i++) {
        if (audit->places[i].system == home && is_alike(audit->places[i].sink, sink)) {
            return &audit->places[i];
        }
    }
    return NULL;
}

/* Rows that an older plan sent to a place which nobody looks into now. */
static void note_gone(struct audit *audit, const struct sink *sink, uint64_t rows)
{
    if (audit->collects || rows == 0) {
        return;
    }
    for (uint32_t i = 0; i < audit->gone_count; i++) {
        const struct sink *other = audit->gone[i].sink;
        if (is_alike(other, sink) && strcmp(other->system->ops->place(other->system),
                                            sink->system->ops->place(sink->system)) == 0) {
            audit->gone[i].rows += rows;
            return;
        }
    }
    audit->gone = memory_realloc(audit->gone, size_mul(audit->gone_count + 1,
                                                       sizeof *audit->gone));
    audit->gone[audit->gone_count++] = (struct gone){.sink = sink, .rows = rows};
}

static void tell_gone(struct audit *audit)
{
    for (uint32_t i = 0; i < audit->gone_count; i++) {
        const struct sink *sink = audit->gone[i].sink;
        audit->result->unverifiable++;
        find(audit,
             "%s: %llu rows of an older plan went to %s %s, which is not what this file names: "
             "they "
             "cannot be verified",
             sink->name, (unsigned long long)audit->gone[i].rows,
             sink->system->ops->place(sink->system), sink->ops->address(sink));
    }
}

static uint64_t count_routed(const struct batch *batch, uint32_t number)
{
    uint64_t count = 0;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        count += batch->routes[row] >> number & 1;
    }
    return count;
}

static uint64_t count_letters(const struct plan *plan, const struct batch *batch)
{
    uint64_t count = 0;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        count += plan->dlq_includes[batch->verdicts[row]];
    }
    return count;
}

/* Dead letters one by one: each with a ledger of its own, whose sum is the row's hash. */
static void expect_letter(void *context, const struct batch *batch, uint32_t row,
                          struct hash128 hash)
{
    struct audit *audit = context;
    struct place *place = &audit->places[audit->place_count - 1];
    expect(audit, place,
           (struct audit_row){.hash = hash,
                              .offset = batch->records[row].offset,
                              .partition = batch->partition});
}

static bool is_in_place(const struct audit *audit, const struct place *place,
                        const struct batch *batch)
{
    return batch->records[batch->row_count - 1].next_offset <=
           audit->pipeline.progresses[place->system][batch->partition].next_offset;
}

static void expect_batch(struct audit *audit, const struct plan *plan, const struct batch *batch)
{
    for (uint32_t i = 0; i < plan->stage.sink_count; i++) {
        struct place *place = place_of(audit, plan, plan->sinks[i]);
        if (place == NULL) {
            note_gone(audit, plan->sinks[i], count_routed(batch, i));
        } else if (is_in_place(audit, place, batch)) {
            expect_rows(audit, place, plan, i, batch);
        }
    }
    struct place *dlq = plan->dlq == NULL ? NULL : place_of(audit, plan, plan->dlq);
    for (uint32_t i = 0; i < plan->stage.sink_count; i++) {
        if (dlq != NULL && plan->dlq->takes_rejects && is_in_place(audit, dlq, batch)) {
            expect_reject_letters(audit, dlq, plan, i, batch);
        }
    }
    if (plan->dlq != NULL && dlq == NULL) {
        note_gone(audit, plan->dlq, count_letters(plan, batch));
    } else if (dlq != NULL && is_in_place(audit, dlq, batch)) {
        accounting_each_dead_letter(plan, dlq->outbox,
                                    audit->pipeline.partitions[batch->partition].source, batch,
                                    &audit->secret, expect_letter, audit);
        dlq->sink->ops->outbox_clear(dlq->outbox);
    }
}

/* The end that lies nearest behind `offset`: systems may stand at different offsets. */
static int64_t next_stop(const struct audit *audit, uint32_t p, int64_t offset)
{
    int64_t stop = INT64_MAX;
    for (uint32_t s = 0; s < audit->pipeline.plan->system_count; s++) {
        int64_t end = audit->pipeline.progresses[s][p].next_offset;
        if (end > offset && end < stop) {
            stop = end;
        }
    }
    return stop;
}

/* Where judging begins: where the first of the systems began, or further back where that one joined
 * others that are not there any more, and took over what they remembered. */
struct beginning {
    struct progress first; /* of that system; empty when it is not known */
    struct anchor anchor;
};

static enum status find_beginning(const struct audit *audit, uint32_t p, int64_t guide_offset,
                                  struct beginning *out, struct error *err)
{
    const struct pipeline *pipeline = &audit->pipeline;
    enum status status = STATUS_OK;
    out->anchor = (struct anchor){.offset = guide_offset, .greatest_us = TIME_NEVER};
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        struct system *system = pipeline->plan->systems[s];
        struct progress first = {0};
        bool found = false;
        status = system->ops->load_first(system, pipeline->partitions[p].source, &first, &found,
                                         err);
        if (status == STATUS_OK && found && first.next_offset <= guide_offset &&
            (!pipeline_is_found(&out->first) || first.next_offset < out->first.next_offset)) {
            progress_copy(&out->first, &first);
            out->anchor = first.state_start;
        }
        progress_fini(&first);
    }
    return status;
}

/* The plans of the time before the segments, then theirs. */
static struct plan_change *history_of(const struct progress *first,
                                      const struct audit_segments *segments, uint32_t *out_count)
{
    struct plan_change *plans =
        memory_alloc_zero(size_add(first->plan_count, segments->count) + 1, sizeof *plans);
    uint32_t count = 0;
    while (count < first->plan_count && first->plans[count].offset <
                                            segments->items[0].first_offset) {
        plans[count] = first->plans[count];
        count++;
    }
    for (uint32_t i = 0; i < segments->count; i++) {
        if (count == 0 ||
            !hash_equal(plans[count - 1].plan_hash, segments->items[i].plan_hash)) {
            plans[count++] = (struct plan_change){.offset = segments->items[i].first_offset,
                                                  .plan_hash = segments->items[i].plan_hash};
        }
    }
    *out_count = count;
    return plans;
}

static void differ_in_sums(void *context, uint32_t s, uint32_t p, const char *where,
                           struct buffer *text)
{
    struct audit *audit = context;
    differ(audit, audit->pipeline.plan->systems[s]->name, p, where, text);
}

static void check_segment(struct audit *audit, uint32_t s, uint32_t p,
                          const struct audit_segment *stored, const struct ledger *counted)
{
    struct buffer difference = {0};
    if (!ledger_equal(&stored->ledger, counted, false, &difference)) {
        char what[128];
        snprintf(what, sizeof what, "offsets %lld to %lld, recomputed from the input",
                 (long long)stored->first_offset, (long long)stored->next_offset - 1);
        differ(audit, audit->pipeline.plan->systems[s]->name, p, what, &difference);
    }
    buffer_fini(&difference);
}

/* What R carries on, where a system has come to: a wrong watermark would judge what comes. */
static void check_remembered(struct audit *audit, uint32_t p, const struct stage_state *state)
{
    for (uint32_t s = 0; s < audit->pipeline.plan->system_count; s++) {
        const struct progress *progress = &audit->pipeline.progresses[s][p];
        if (progress->next_offset != state->next_offset) {
            continue;
        }
        struct buffer ours = {0};
        struct buffer theirs = {0};
        struct buffer difference = {0};
        candidates_write(&progress->candidates, &ours);
        candidates_write(&state->candidates, &theirs);
        if (progress->greatest_us != state->greatest_us) {
            buffer_printf(&difference, "the greatest event time is %lld us and should be %lld",
                          (long long)progress->greatest_us, (long long)state->greatest_us);
        } else if (!bytes_equal(bytes_of(ours.data, ours.size),
                                bytes_of(theirs.data, theirs.size))) {
            buffer_append_string(&difference, "the candidates for it are others");
        } else if (!hash_equal(progress->last_record_hash, state->last_record_hash)) {
            buffer_append_string(&difference, "the last record is another one");
        }
        if (difference.size > 0) {
            differ(audit, audit->pipeline.plan->systems[s]->name, p,
                   "what it remembers, recomputed from the input", &difference);
        }
        buffer_fini(&ours);
        buffer_fini(&theirs);
        buffer_fini(&difference);
    }
}

/* State as it was where judging begins. */
static enum status begin_state(struct audit *audit, uint32_t p, const struct plan_change *plans,
                               uint32_t plan_count, const struct anchor *anchor,
                               uint32_t *out_current, struct stage_state **out, struct error *err)
{
    struct pipeline *pipeline = &audit->pipeline;
    const struct judge *judge = NULL;
    *out_current = replayer_plan_at(plans, plan_count, anchor->offset);
    enum status status =
        replayer_judge(audit->replayer, plans[*out_current].plan_hash, &judge, err);
    if (status == STATUS_OK) {
        *out = stage_state_new(&judge->plan->stage, &pipeline->budget, anchor->offset);
        stage_state_start_at(*out, anchor);
        status = pipeline->source->ops->seek(pipeline->source, p, anchor->offset, err);
    }
    return status;
}

/* Judges a whole partition again. `guide`: the segments of the system that has come furthest. */
static enum status judge_partition(struct audit *audit, uint32_t p, uint32_t s,
                                   const struct audit_segments *guide,
                                   const struct beginning *beginning, struct error *err)
{
    struct pipeline *pipeline = &audit->pipeline;
    uint32_t plan_count = 0;
    uint32_t current = 0;
    struct plan_change *plans = history_of(&beginning->first, guide, &plan_count);
    const struct judge *judge = NULL;
    struct stage_state *state = NULL;
    struct ledger counted = {0};
    uint32_t segment = 0;
    int64_t begin = guide->items[0].first_offset;
    int64_t end = pipeline->progresses[s][p].next_offset;
    enum status status = begin_state(audit, p, plans, plan_count, &beginning->anchor, &current,
                                     &state, err);
    while (status == STATUS_OK && state->next_offset < end) {
        bool is_before = state->next_offset < begin;
        int64_t stop = is_before ? begin : next_stop(audit, p, state->next_offset);
        status = replayer_next(audit->replayer, pipeline->source, p, plans, plan_count, &current,
                               state, stop < end ? stop : end, STAGE_FULL, &judge, err);
        if (status != STATUS_OK || judge->batch->row_count == 0) {
            break;
        }
        if (is_before) {
            continue;
        }
        while (segment + 1 < guide->count &&
               guide->items[segment + 1].first_offset <= judge->batch->records[0].offset) {
            if (!audit->collects) {
                check_segment(audit, s, p, &guide->items[segment], &counted);
            }
            ledger_clear(&counted);
            segment++;
        }
        expect_batch(audit, judge->plan, judge->batch);
        if (!audit->collects) {
            accounting_count(judge->plan, judge->runner, judge->batch, &counted);
            audit_sums_add(audit->sums, judge->plan, judge->batch);
            check_remembered(audit, p, state);
            audit->result->records += judge->batch->row_count;
            if (pipeline->observer->progress != NULL) {
                pipeline->observer->progress(pipeline->observer->context, audit->result->records,
                                             -1);
            }
        }
    }
    if (status == STATUS_OK && !audit->collects) {
        check_segment(audit, s, p, &guide->items[segment], &counted);
        audit_sums_compare(audit->sums, p, differ_in_sums, audit);
    }
    ledger_fini(&counted);
    stage_state_free(state);
    memory_free(plans);
    return status;
}

static uint32_t furthest_system(const struct pipeline *pipeline, uint32_t p)
{
    uint32_t furthest = 0;
    for (uint32_t s = 1; s < pipeline->plan->system_count; s++) {
        if (pipeline->progresses[s][p].next_offset >
            pipeline->progresses[furthest][p].next_offset) {
            furthest = s;
        }
    }
    return furthest;
}

/* The segments of the system that has come furthest, and what others have of the time before that
 * one was added. */
static enum status load_guide(struct audit *audit, uint32_t p, uint32_t furthest,
                              struct audit_segments *guide, struct error *err)
{
    enum status status = audit_segments_load(&audit->pipeline, furthest, p, guide, err);
    for (uint32_t s = 0; s < audit->pipeline.plan->system_count && status == STATUS_OK; s++) {
        struct audit_segments more = {0};
        if (s != furthest) {
            status = audit_segments_load(&audit->pipeline, s, p, &more, err);
        }
        if (status == STATUS_OK) {
            audit_segments_prepend(guide, &more);
        }
        audit_segments_fini(&more);
    }
    return status;
}

static void tell_expired(struct audit *audit, uint32_t p, int64_t guide_offset,
                         int64_t first_offset)
{
    audit->is_unjudged[p] = audit->any_unjudged = true;
    if (!audit->collects) {
        audit->result->unverifiable++;
        find(audit,
             "%s [%s]: offsets %lld to %lld are gone from the source, so its rows cannot be "
             "verified; the ledger's own laws were",
             audit->pipeline.partitions[p].source->topic,
             audit->pipeline.partitions[p].source->label, (long long)guide_offset,
             (long long)first_offset - 1);
    }
}

static enum status judge_all(struct audit *audit, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < audit->pipeline.partition_count && status == STATUS_OK; p++) {
        uint32_t furthest = furthest_system(&audit->pipeline, p);
        struct audit_segments guide = {0};
        status = load_guide(audit, p, furthest, &guide, err);
        int64_t first_offset = audit->pipeline.partitions[p].source->first_offset;
        struct beginning beginning = {0};
        if (status == STATUS_OK && guide.count > 0) {
            status = find_beginning(audit, p, guide.items[0].first_offset, &beginning, err);
        }
        if (status == STATUS_OK && guide.count > 0 && first_offset > beginning.anchor.offset) {
            tell_expired(audit, p, beginning.anchor.offset, first_offset);
        } else if (status == STATUS_OK && guide.count > 0) {
            status = judge_partition(audit, p, furthest, &guide, &beginning, err);
        }
        progress_fini(&beginning.first);
        audit_segments_fini(&guide);
    }
    return status;
}

/* --- what is there --- */

static enum status take_row(void *context, struct hash128 hash, const char *origin_topic,
                            const char *origin_partition, int64_t origin_offset,
                            struct bytes text, struct error *err)
{
    (void)text;
    (void)err;
    struct audit *audit = context;
    struct place *place = audit->scanned;
    uint32_t partition = audit_partition_of(&audit->pipeline, origin_topic, origin_partition);
    bool is_known = origin_topic != NULL && origin_topic[0] != '\0';
    if (is_known && (partition == UINT32_MAX || audit->is_unjudged[partition])) {
        place->unjudged += !audit->collects;
        return STATUS_OK;
    }
    struct audit_row row = {.hash = hash, .offset = origin_offset, .partition = partition};
    if (audit->collects) {
        if (place->fold != NULL || is_of_pass(audit, hash)) {
            audit_rows_add(&place->actual, row);
        }
        return STATUS_OK;
    }
    place->actual_count++;
    place->actual_sum = hash_add(place->actual_sum, hash);
    if (is_known) {
        place->origin_count++;
        place->actual_origins = hash_add(place->actual_origins, hash_with_origin(audit, &row));
    }
    return STATUS_OK;
}

static enum status scan_place(struct audit *audit, struct place *place, struct error *err)
{
    audit->scanned = place;
    return place->sink->ops->scan(place->sink, &audit->secret, take_row, audit, err);
}

/* --- comparing --- */

struct naming {
    struct audit *audit;
    struct place *place;
};

static void name_difference(void *context, enum audit_kind kind, const struct audit_row *row)
{
    const struct naming *naming = context;
    struct audit *audit = naming->audit;
    static const char *const words[AUDIT_KINDS] = {"missing", "doubled", "altered",
                                                   "not written by this pipeline, or altered"};
    uint64_t *totals[AUDIT_KINDS] = {&audit->result->missing, &audit->result->doubled,
                                     &audit->result->altered, &audit->result->foreign};
    if (kind == AUDIT_FOREIGN && row->partition == UINT32_MAX && audit->any_unjudged) {
        naming->place->unjudged++; /* it may be of the input that has expired */
        return;
    }
    ++*totals[kind];
    if (++naming->place->named[kind] <= NAMED_MAX) {
        char origin[512];
        char hash[33];
        hash_format(row->hash, hash);
        find(audit, "%s: %s: the row %s (hash %s)", naming->place->sink->name, words[kind],
             origin_text(audit, row->partition, row->offset, origin, sizeof origin), hash);
    }
}

static void compare_pass(struct audit *audit)
{
    for (uint32_t i = 0; i < audit->place_count; i++) {
        struct place *place = &audit->places[i];
        if (!place->differs) {
            continue;
        }
        if (place->fold != NULL) {
            audit_fold_rows(place->fold, &place->expected);
        }
        struct naming naming = {audit, place};
        audit_rows_compare(&place->expected, &place->actual, place->fold != NULL, name_difference,
                           &naming);
        audit_rows_fini(&place->expected);
        audit_rows_fini(&place->actual);
        if (place->fold != NULL) {
            place->differs = false; /* done in one pass */
        }
    }
}

/* Sums first; true when rows must be looked at. */
static bool compare_sums(struct audit *audit)
{
    bool any = false;
    for (uint32_t i = 0; i < audit->place_count; i++) {
        struct place *place = &audit->places[i];
        if (place->fold != NULL) {
            struct audit_rows rows = {0};
            audit_fold_rows(place->fold, &rows);
            for (uint64_t k = 0; k < rows.count; k++) {
                place->expected_sum = hash_add(place->expected_sum, rows.items[k].hash);
                place->expected_origins = hash_add(place->expected_origins,
                                                   hash_with_origin(audit, &rows.items[k]));
            }
            place->expected_count = rows.count;
            audit_rows_fini(&rows);
        }
        /* Where some rows say where they come from and some do not, no sum tells. All rows of a
         * keyed place say it. */
        bool do_all = place->origin_count == place->actual_count;
        bool do_none = place->origin_count == 0 && place->fold == NULL;
        place->differs =
            place->expected_count != place->actual_count ||
            !hash_equal(place->expected_sum, place->actual_sum) || (!do_all && !do_none) ||
            (do_all && !hash_equal(place->expected_origins, place->actual_origins));
        audit->result->rows += place->actual_count;
        any |= place->differs;
    }
    return any;
}

static void tell_unjudged(struct audit *audit)
{
    for (uint32_t i = 0; i < audit->place_count; i++) {
        const struct place *place = &audit->places[i];
        if (place->unjudged > 0) {
            audit->result->unverifiable++;
            find(audit, "%s: %llu rows cannot be verified: their input is not there any more",
                 place->sink->name, (unsigned long long)place->unjudged);
        }
    }
}

/* What R counts as refused, against the rows that are kept of it. */
static void check_reject_counts(struct audit *audit)
{
    const struct ledger *ledger = &audit->result->ledger;
    for (uint32_t i = 0; i < ledger->sink_count; i++) {
        uint64_t kept = 0;
        for (uint32_t r = 0; r < audit->rejects.count; r++) {
            kept += strcmp(audit->rejects.items[r].sink, ledger->sinks[i].name) == 0;
        }
        if (kept != ledger->sinks[i].rejected) {
            audit->result->differences++;
            find(audit, "%s: the ledger counts %llu refused rows, and weir_rejects has %llu",
                 ledger->sinks[i].name, (unsigned long long)ledger->sinks[i].rejected,
                 (unsigned long long)kept);
        }
    }
}

static enum status compare_rows_in_passes(struct audit *audit, struct error *err)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < audit->place_count; i++) {
        rows += audit->places[i].expected_count + audit->places[i].actual_count;
    }
    audit->collects = true;
    audit->passes = rows / PASS_ROWS + 1;
    enum status status = STATUS_OK;
    for (audit->pass = 0; audit->pass < audit->passes && status == STATUS_OK; audit->pass++) {
        status = judge_all(audit, err);
        for (uint32_t i = 0; i < audit->place_count && status == STATUS_OK; i++) {
            if (audit->places[i].differs) {
                status = scan_place(audit, &audit->places[i], err);
            }
        }
        if (status == STATUS_OK) {
            compare_pass(audit);
        }
    }
    for (uint32_t i = 0; i < audit->place_count; i++) {
        for (uint32_t kind = 0; kind < AUDIT_KINDS; kind++) {
            if (audit->places[i].named[kind] > NAMED_MAX) {
                find(audit, "%s: and %llu more of that kind", audit->places[i].sink->name,
                     (unsigned long long)audit->places[i].named[kind] - NAMED_MAX);
            }
        }
    }
    return status;
}

/* --- opening --- */

static void add_place(struct audit *audit, struct sink *sink)
{
    struct place *place = &audit->places[audit->place_count++];
    place->sink = sink;
    for (uint32_t s = 0; s < audit->pipeline.plan->system_count; s++) {
        if (audit->pipeline.plan->systems[s] == sink->system) {
            place->system = s;
        }
    }
    place->outbox = sink->ops->outbox_new(sink);
    place->fold = sink->ops->is_keyed(sink) && !sink->is_dlq ? audit_fold_new() : NULL;
}

static enum status check_ledgers(struct audit *audit, struct error *err)
{
    const struct pipeline *pipeline = &audit->pipeline;
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
            struct audit_segments segments = {0};
            status = audit_segments_load(&audit->pipeline, s, p, &segments, err);
            if (status == STATUS_OK) {
                check_own_ledger(audit, s, p, &segments);
            }
            audit_segments_fini(&segments);
        }
        if (status == STATUS_OK) {
            status = check_systems_agree(audit, p, err);
        }
    }
    return status;
}

/* As keyed places order rows of different origin: by topic, then number. */
static void rank_partitions(struct audit *audit)
{
    const struct pipeline *pipeline = &audit->pipeline;
    uint32_t count = pipeline->partition_count;
    audit->ranks = arena_alloc_zero(pipeline->arena, count + 1, sizeof *audit->ranks);
    audit->is_unjudged = arena_alloc_zero(pipeline->arena, count + 1, sizeof *audit->is_unjudged);
    for (uint32_t p = 0; p < count; p++) {
        const struct source_partition *one = pipeline->partitions[p].source;
        for (uint32_t k = 0; k < count; k++) {
            const struct source_partition *other = pipeline->partitions[k].source;
            int order = strcmp(other->topic, one->topic);
            audit->ranks[p] += order < 0 || (order == 0 && other->number < one->number);
        }
    }
}

/* Partitions that the source had once: where rows do not say where they come from, nobody can say
 * which were theirs. */
static enum status look_for_left_partitions(struct audit *audit, struct error *err)
{
    const struct pipeline *pipeline = &audit->pipeline;
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        struct system *system = pipeline->plan->systems[s];
        uint32_t count = 0;
        status = system->ops->count_partitions(system, &count, err);
        audit->any_unjudged |= status == STATUS_OK && count > pipeline->partition_count;
    }
    return status;
}

static enum status prepare(struct audit *audit, struct error *err)
{
    struct plan *plan = audit->pipeline.plan;
    enum status status = pipeline_open(&audit->pipeline, err);
    if (status == STATUS_OK) {
        status = recovery_inspect(&audit->pipeline, err);
    }
    /* Whoever runs cannot go on from here; whoever asks has his answer: these rows are gone. */
    if (status == STATUS_FATAL && err != NULL && strcmp(err->code, "progress.part_missing") == 0) {
        err->status = STATUS_DATA;
    }
    if (status != STATUS_OK) {
        return err == NULL ? status : err->status;
    }
    if (!plan->source_ops->can_replay) {
        return error_set(err, STATUS_CONFIG, "audit.source",
                         "a %s source cannot be read again, so there is nothing to audit against",
                         plan->source_ops->kind);
    }
    hash_secret_init(&audit->secret, audit->pipeline.hash_key);
    audit->replayer = replayer_new(plan, plan->systems, plan->system_count,
                                   audit->pipeline.hash_key);
    audit->places = arena_alloc_zero(audit->pipeline.arena, plan->stage.sink_count + 1,
                                     sizeof *audit->places);
    for (uint32_t i = 0; i < plan->stage.sink_count; i++) {
        add_place(audit, plan->sinks[i]);
    }
    if (plan->dlq != NULL) {
        add_place(audit, plan->dlq);
    }
    rank_partitions(audit);
    status = look_for_left_partitions(audit, err);
    if (status != STATUS_OK) {
        return status;
    }
    status = audit_rejects_load(&audit->pipeline, &audit->rejects, err);
    return status == STATUS_OK ? audit_sums_new(&audit->pipeline, &audit->rejects, &audit->secret,
                                                &audit->sums, err)
                               : status;
}

static void finish(struct audit *audit)
{
    for (uint32_t i = 0; i < audit->place_count; i++) {
        audit->places[i].sink->ops->outbox_free(audit->places[i].outbox);
        audit_fold_free(audit->places[i].fold);
        audit_rows_fini(&audit->places[i].expected);
        audit_rows_fini(&audit->places[i].actual);
    }
    audit_rejects_fini(&audit->rejects);
    audit_sums_free(audit->sums);
    memory_free(audit->gone);
    replayer_free(audit->replayer);
    pipeline_close(&audit->pipeline);
}

enum status audit_pipeline(struct plan *plan, const struct run_observer *observer,
                           void (*finding)(void *context, const char *line), void *context,
                           struct audit_result *result, struct error *err)
{
    struct run_options options = {0};
    struct audit audit = {.finding = finding, .context = context, .result = result};
    pipeline_init(&audit.pipeline, plan, &options, observer);
    enum status status = prepare(&audit, err);
    if (status == STATUS_OK) {
        status = check_ledgers(&audit, err);
    }
    if (status == STATUS_OK) {
        status = judge_all(&audit, err);
    }
    for (uint32_t i = 0; i < audit.place_count && status == STATUS_OK; i++) {
        status = scan_place(&audit, &audit.places[i], err);
    }
    if (status == STATUS_OK) {
        pipeline_sum_up(&audit.pipeline, &result->ledger);
        check_reject_counts(&audit);
        if (compare_sums(&audit)) {
            status = compare_rows_in_passes(&audit, err);
        }
        tell_gone(&audit);
        tell_unjudged(&audit);
    }
    finish(&audit);
    return status;
}
