#include "inspect/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "run/accounting.h"
#include "inspect/audit_private.h"

#define NAMED_MAX 20u
#define PASS_ROWS (UINT64_C(8) << 20) /* rows that one pass holds, expected and found together */

void audit_result_fini(struct audit_result *result)
{
    ledger_fini(&result->ledger);
    refused_fini(&result->forwarded);
}

void audit_find(struct audit *audit, const char *format, ...)
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

bool audit_is_of_pass(const struct audit *audit, struct hash128 hash)
{
    return audit->passes <= 1 || hash.high % audit->passes == audit->pass;
}

struct hash128 audit_hash_with_origin(const struct audit *audit, const struct audit_row *row)
{
    const uint64_t words[4] = {row->hash.high, row->hash.low, row->partition,
                               (uint64_t)row->offset};
    return hash_bytes(&audit->secret, words, sizeof words);
}

/* --- judging again --- */

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

static void differ_in_sums(void *context, uint32_t s, uint32_t p, const char *where,
                           struct buffer *text)
{
    struct audit *audit = context;
    audit_differ(audit, audit->pipeline.plan->systems[s]->name, p, where, text);
}

/* Judges a whole partition again. */
static enum status judge_partition(struct audit *audit, uint32_t p, const struct history *history,
                                   struct error *err)
{
    struct pipeline *pipeline = &audit->pipeline;
    const struct audit_segments *guide = &history->segments;
    const struct judge *judge = NULL;
    struct rejudging rejudging;
    struct ledger counted = {0};
    uint32_t segment = 0;
    int64_t begin = guide->items[0].first_offset;
    int64_t end = history->next_offset;
    enum status status = rejudge_begin(&rejudging, pipeline, audit->replayer, p, history, err);
    while (status == STATUS_OK && rejudging.state->next_offset < end) {
        bool is_before = rejudging.state->next_offset < begin;
        int64_t stop = is_before ? begin : next_stop(audit, p, rejudging.state->next_offset);
        status = rejudge_next(&rejudging, stop < end ? stop : end, &judge, err);
        if (status != STATUS_OK || judge->batch->row_count == 0) {
            break;
        }
        if (is_before) {
            continue;
        }
        while (segment + 1 < guide->count &&
               guide->items[segment + 1].first_offset <= judge->batch->records[0].offset) {
            if (!audit->collects) {
                audit_check_segment(audit, history->furthest, p, &guide->items[segment],
                                    &counted);
            }
            ledger_clear(&counted);
            segment++;
        }
        audit_expect_batch(audit, judge->plan, judge->batch);
        if (!audit->collects) {
            accounting_count(judge->plan, judge->runner, judge->batch, &counted);
            audit_sums_add(audit->sums, judge->plan, judge->batch);
            audit_check_remembered(audit, p, rejudging.state);
            audit->result->records += judge->batch->row_count;
            if (pipeline->observer->progress != NULL) {
                pipeline->observer->progress(pipeline->observer->context, audit->result->records,
                                             -1);
            }
        }
    }
    if (status == STATUS_OK && !audit->collects) {
        audit_check_segment(audit, history->furthest, p, &guide->items[segment], &counted);
        audit_sums_compare(audit->sums, p, differ_in_sums, audit);
        audit_check_forwarded(audit, p);
    }
    ledger_fini(&counted);
    rejudge_end(&rejudging);
    return status;
}

static void tell_expired(struct audit *audit, uint32_t p, int64_t anchor_offset)
{
    const struct source_partition *source = audit->pipeline.partitions[p].source;
    audit->is_unjudged[p] = audit->any_unjudged = true;
    if (!audit->collects) {
        audit->result->unverifiable++;
        audit_find(audit,
                   "%s [%s]: offsets %lld to %lld are gone from the source, so its records cannot be "
                   "judged again; the ledger's own laws were verified",
                   source->topic, source->label, (long long)anchor_offset,
                   (long long)source->first_offset - 1);
    }
}

static enum status judge_all(struct audit *audit, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < audit->pipeline.partition_count && status == STATUS_OK; p++) {
        struct history history = {0};
        status = history_load(&audit->pipeline, p, &history, err);
        if (status == STATUS_OK && history.segments.count > 0 &&
            !history_is_there(&history, &audit->pipeline, p)) {
            tell_expired(audit, p, history.anchor.offset);
        } else if (status == STATUS_OK && history.segments.count > 0) {
            status = judge_partition(audit, p, &history, err);
        }
        history_fini(&history);
    }
    return status;
}

/* --- what is there --- */

static enum status take_row(void *context, const struct stored_row *stored, struct error *err)
{
    (void)err;
    struct audit *audit = context;
    struct place *place = audit->scanned;
    uint32_t partition =
        audit_partition_of(&audit->pipeline, stored->origin_topic, stored->origin_partition);
    bool is_known = stored->origin_topic != NULL && stored->origin_topic[0] != '\0';
    if (is_known && (partition == UINT32_MAX || audit->is_unjudged[partition])) {
        if (!audit->collects) {
            place->unjudged++;
            place->unjudged_sum = hash_add(place->unjudged_sum, stored->hash);
        }
        return STATUS_OK;
    }
    struct audit_row row = {
        .hash = stored->hash, .offset = stored->origin_offset, .partition = partition};
    if (audit->collects) {
        if (place->fold != NULL || audit_is_of_pass(audit, row.hash)) {
            audit_rows_add(&place->actual, row);
        }
        return STATUS_OK;
    }
    place->actual_count++;
    place->actual_sum = hash_add(place->actual_sum, row.hash);
    if (is_known) {
        place->origin_count++;
        place->actual_origins = hash_add(place->actual_origins, audit_hash_with_origin(audit, &row));
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
    if (kind == AUDIT_MISSING && naming->place->outdone > 0) {
        return;
    }
    ++*totals[kind];
    if (++naming->place->named[kind] <= NAMED_MAX) {
        char origin[512];
        char hash[33];
        hash_format(row->hash, hash);
        audit_find(audit, "%s: %s: the row %s (hash %s)", naming->place->sink->name, words[kind],
             origin_text(audit, row->partition, row->offset, origin, sizeof origin), hash);
    }
}

static void count_missing(void *context, enum audit_kind kind, const struct audit_row *row)
{
    uint64_t *count = context;
    (void)row;
    *count += kind == AUDIT_MISSING;
}

/* Where a key may stand in several partitions, a row of one whose input is gone may have replaced what is
 * expected of another: as many as are there, and nobody can say which. */
static uint64_t count_outdone(const struct audit *audit, struct place *place)
{
    uint64_t missing = 0;
    if (place->fold == NULL || !audit->any_unjudged ||
        audit->pipeline.plan->stage.keys_have_partitions) {
        return 0;
    }
    audit_rows_compare(&place->expected, &place->actual, true, count_missing, &missing);
    return missing <= place->unjudged ? missing : 0;
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
        place->outdone = count_outdone(audit, place);
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

/* What R counts of a place: rows written, and dead letters of rows that other systems refused. */
static void add_recorded(const struct progress *progress, struct place *place, struct hash128 *sum)
{
    const struct ledger_sink *sink = ledger_find_sink(&progress->ledger, place->sink->name);
    if (sink != NULL) {
        place->recorded += sink->written;
        *sum = hash_add(*sum, sink->sum);
    }
    for (uint32_t i = 0; place->sink->is_dlq && i < progress->forwarded.count; i++) {
        place->recorded += progress->forwarded.items[i].count;
        *sum = hash_add(*sum, progress->forwarded.items[i].sum);
    }
}

/* What cannot be judged again can still be held against what R says was written of it: in one sum with
 * what is expected of the other partitions, for not all rows say where they come from. Keyed places have
 * replaced some of what was written. */
static void compare_with_ledger(const struct audit *audit, struct place *place)
{
    if (place->fold != NULL || !audit->any_unjudged) {
        return;
    }
    struct hash128 sum = place->expected_sum;
    for (uint32_t p = 0; p < audit->pipeline.partition_count; p++) {
        if (audit->is_unjudged[p]) {
            add_recorded(&audit->pipeline.progresses[place->system][p], place, &sum);
        }
    }
    place->is_as_recorded =
        place->expected_count + place->recorded == place->actual_count + place->unjudged &&
        hash_equal(sum, hash_add(place->actual_sum, place->unjudged_sum));
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
                                                   audit_hash_with_origin(audit, &rows.items[k]));
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
        compare_with_ledger(audit, place);
        if (place->is_as_recorded) {
            audit->result->rows += place->unjudged;
            place->differs = false;
            place->unjudged = 0;
        }
        any |= place->differs;
    }
    return any;
}

static void tell_unjudged(struct audit *audit)
{
    for (uint32_t i = 0; i < audit->place_count; i++) {
        const struct place *place = &audit->places[i];
        if (place->is_as_recorded && place->recorded > 0) {
            audit_find(audit,
                       "%s: %llu rows are what the ledger says was written; their input is not there "
                       "any more",
                       place->sink->name, (unsigned long long)place->recorded);
        }
        if (place->unjudged > 0) {
            audit->result->unverifiable++;
            audit_find(audit, "%s: %llu rows cannot be verified: their input is not there any more%s",
                       place->sink->name, (unsigned long long)place->unjudged,
                       place->fold == NULL ? ", and they are not all that the ledger says was written"
                                           : "");
        }
        if (place->outdone > 0) {
            audit->result->unverifiable++;
            audit_find(audit,
                       "%s: %llu rows are not there, and may have been replaced by rows whose input "
                       "is gone: that cannot be verified",
                       place->sink->name, (unsigned long long)place->outdone);
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
                audit_find(audit, "%s: and %llu more of that kind", audit->places[i].sink->name,
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
    audit->forwarded = arena_alloc_zero(
        audit->pipeline.arena, size_mul(plan->system_count, audit->pipeline.partition_count) + 1,
        sizeof *audit->forwarded);
    audit->due = arena_alloc_zero(
        audit->pipeline.arena, size_mul(plan->system_count, audit->pipeline.partition_count) + 1,
        sizeof *audit->due);
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
    uint32_t lists = audit->pipeline.plan->system_count * audit->pipeline.partition_count;
    for (uint32_t i = 0; i < lists && audit->forwarded != NULL; i++) {
        refused_fini(&audit->forwarded[i]);
        refused_fini(&audit->due[i]);
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
        status = audit_check_ledgers(&audit, err);
    }
    if (status == STATUS_OK) {
        status = judge_all(&audit, err);
    }
    for (uint32_t i = 0; i < audit.place_count && status == STATUS_OK; i++) {
        status = scan_place(&audit, &audit.places[i], err);
    }
    if (status == STATUS_OK) {
        pipeline_sum_up(&audit.pipeline, &result->ledger, &result->forwarded);
        audit_check_reject_counts(&audit);
        if (compare_sums(&audit)) {
            status = compare_rows_in_passes(&audit, err);
        }
        audit_tell_gone(&audit);
        tell_unjudged(&audit);
    }
    finish(&audit);
    return status;
}
