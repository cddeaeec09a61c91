/*
 * Beginnings: the first start of a pipeline, and of a system that joins it later.
 *
 * A first start is taken only if no system has R, the source knows of no group of that name, and
 * every output place is empty. A place that the last plan did not have must be empty too, and one
 * that it had keeps its rule. Epoch 0 goes to the systems in plan order; a start that finds it in
 * some of them finishes it. A system that joins gets the texts of all plans that its R names, for
 * one day it may be the only one.
 */
#include <string.h>

#include "base/time.h"
#include "os/random.h"
#include "run/pipeline.h"
#include "run/replayer.h"

/* --- R of epoch 0 --- */

static enum status start_offset(const struct pipeline *pipeline, uint32_t partition,
                                int64_t *out_offset, struct error *err)
{
    const char *start = grammar_string(pipeline->plan->source_config, "start", "earliest");
    const struct source_ops *ops = pipeline->source->ops;
    int64_t time_us = 0;
    if (strcmp(start, "latest") == 0) {
        return ops->end_offset(pipeline->source, partition, out_offset, err);
    }
    if (ops->offset_at != NULL && time_parse_rfc3339(bytes_of_string(start), &time_us)) {
        return ops->offset_at(pipeline->source, partition, time_us, out_offset, err);
    }
    *out_offset = pipeline->partitions[partition].source->first_offset;
    return STATUS_OK;
}

/* A system that is added later remembers with the others from the first moment on. */
static void take_history(struct progress *progress, const struct progress *known)
{
    progress->state_start = known->state_start;
    progress->greatest_us = known->greatest_us;
    progress->candidates = known->candidates;
    progress->last_record_hash = known->last_record_hash;
    progress->plan_count = known->plan_count;
    progress->plans = memory_realloc(progress->plans,
                                     size_mul(known->plan_count, sizeof *progress->plans));
    memcpy(progress->plans, known->plans, known->plan_count * sizeof *progress->plans);
}

static void make_first(const struct pipeline *pipeline, uint32_t partition, int64_t offset,
                       struct progress *out)
{
    const struct source_partition *source = pipeline->partitions[partition].source;
    const struct plan *plan = pipeline->plan;
    *out = (struct progress){
        .pipeline = memory_copy_string(plan->name),
        .topic = memory_copy_string(source->topic),
        .topic_id = memory_copy_string(source->topic_id),
        .partition = memory_copy_string(source->label),
        .partition_count = source->partition_count,
        .owner = pipeline->owner,
        .next_offset = offset,
        .state_start = {.offset = offset, .greatest_us = TIME_NEVER},
        .greatest_us = TIME_NEVER,
        .plans = memory_alloc(sizeof *out->plans),
        .plan_count = 1,
    };
    out->plans[0] = (struct plan_change){
        .offset = offset, .plan_hash = plan->hash, .horizon_us = plan->stage.horizon_us};
    memcpy(out->incarnation, pipeline->incarnation, sizeof out->incarnation);
    memcpy(out->hash_key, pipeline->hash_key, sizeof out->hash_key);
}

/* Makes epoch 0 for the partitions of a system that have no R yet. Returns how many: copies are in
 * `news`. */
static uint32_t make_missing(struct pipeline *pipeline, uint32_t s, const int64_t *offsets,
                             struct progress *news)
{
    uint32_t count = 0;
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        struct progress *progress = pipeline_progress(pipeline, s, p);
        bool is_ours = pipeline->partitions[p].is_mine || pipeline->is_beginning;
        if (!pipeline_is_found(progress) && is_ours) {
            const struct progress *known = pipeline_furthest(pipeline, p);
            make_first(pipeline, p, offsets[p], progress);
            if (known != NULL) {
                take_history(progress, known);
            }
            progress_copy(&news[count++], progress);
        }
    }
    return count;
}

/* The texts of the running plan and of all that R of a newcomer names, each once. */
struct texts {
    struct arena *arena;
    struct bytes *items;
    struct hash128 *hashes;
    uint32_t count;
};

static enum status add_text(const struct pipeline *pipeline, struct texts *texts,
                            struct hash128 plan_hash, struct error *err)
{
    for (uint32_t i = 0; i < texts->count; i++) {
        if (hash_equal(texts->hashes[i], plan_hash)) {
            return STATUS_OK;
        }
    }
    struct buffer text = {0};
    enum status status = replayer_load_text(pipeline->plan->systems, pipeline->plan->system_count,
                                            plan_hash, &text, err);
    if (status == STATUS_OK) {
        texts->hashes[texts->count] = plan_hash;
        texts->items[texts->count++] =
            bytes_of(arena_copy(texts->arena, text.data, text.size), text.size);
    }
    buffer_fini(&text);
    return status;
}

static enum status collect_texts(const struct pipeline *pipeline, const struct progress *news,
                                 uint32_t count, struct texts *texts, struct error *err)
{
    size_t most = 1;
    for (uint32_t i = 0; i < count; i++) {
        most += news[i].plan_count;
    }
    texts->items = arena_alloc_zero(texts->arena, most, sizeof *texts->items);
    texts->hashes = arena_alloc_zero(texts->arena, most, sizeof *texts->hashes);
    texts->hashes[0] = pipeline->plan->hash;
    texts->items[texts->count++] = pipeline->plan->text;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < news[i].plan_count && status == STATUS_OK; k++) {
            status = add_text(pipeline, texts, news[i].plans[k].plan_hash, err);
        }
    }
    return status;
}

static enum status begin_system(struct pipeline *pipeline, uint32_t s, const int64_t *offsets,
                                struct error *err)
{
    struct system *system = pipeline->plan->systems[s];
    struct progress *news = memory_alloc_zero(pipeline->partition_count, sizeof *news);
    struct texts texts = {.arena = arena_new(16 * 1024)};
    uint32_t count = make_missing(pipeline, s, offsets, news);
    enum status status =
        count == 0 ? STATUS_OK : collect_texts(pipeline, news, count, &texts, err);
    if (status == STATUS_OK && count > 0) {
        status = system->ops->begin(system, news, count, texts.items, texts.count, err);
    }
    for (uint32_t i = 0; i < count; i++) {
        progress_fini(&news[i]);
    }
    arena_free(texts.arena);
    memory_free(news);
    return status;
}

/* Where systems without R begin: where the others have come, else where the source begins. */
static enum status begin_missing(struct pipeline *pipeline, struct error *err)
{
    int64_t *offsets = memory_alloc_zero(pipeline->partition_count, sizeof *offsets);
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK; p++) {
        const struct progress *known = pipeline_furthest(pipeline, p);
        if (known != NULL) {
            offsets[p] = known->next_offset;
        } else {
            status = start_offset(pipeline, p, &offsets[p], err);
        }
    }
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        status = begin_system(pipeline, s, offsets, err);
    }
    memory_free(offsets);
    return status;
}

/* --- the first start --- */

static enum status refuse_full_places(const struct pipeline *pipeline, struct error *err)
{
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        struct system *system = pipeline->plan->systems[s];
        for (uint32_t i = 0; i < system->sink_count; i++) {
            struct sink *sink = system->sinks[i];
            bool empty = false;
            enum status status = sink->ops->is_empty(sink, &empty, err);
            if (status != STATUS_OK) {
                return status;
            }
            if (!empty) {
                return error_set(err, STATUS_CONFIG, "start.not_empty",
                                 "%s has no progress record of pipeline '%s', yet the place of "
                                 "sink '%s' is not empty: if it was filled by somebody else and "
                                 "shall be kept, start with --init; if this pipeline ran before, "
                                 "its progress record was lost: restore it from a backup",
                                 system->name, pipeline->plan->name, sink->name);
            }
        }
    }
    return STATUS_OK;
}

/* A group without R: the places were all moved at once, or what they held was lost. To begin anew
 * would write everything a second time, without a word. */
static enum status refuse_group(const struct pipeline *pipeline, struct error *err)
{
    const struct source_ops *ops = pipeline->source->ops;
    for (uint32_t p = 0; ops->read_group != NULL && p < pipeline->partition_count; p++) {
        const struct source_partition *partition = pipeline->partitions[p].source;
        int64_t offset = 0;
        bool found = false;
        enum status status =
            ops->read_group(pipeline->source, pipeline->plan->name, p, &offset, &found, err);
        if (status != STATUS_OK) {
            return status;
        }
        if (found) {
            return error_set(err, STATUS_CONFIG, "start.group_exists",
                             "pipeline '%s' has read '%s' [%s] up to offset %lld, yet none of the "
                             "places that its file names has a progress record. If they are new, "
                             "name the old ones beside them for one run; if they are the old "
                             "ones, restore them from a backup; to read everything again into "
                             "new places, give the pipeline another name",
                             pipeline->plan->name, partition->topic, partition->label,
                             (long long)offset);
        }
    }
    return STATUS_OK;
}

enum status first_start_check(const struct pipeline *pipeline, struct error *err)
{
    enum status status =
        pipeline->options->init ? STATUS_OK : refuse_full_places(pipeline, err);
    return status == STATUS_OK ? refuse_group(pipeline, err) : status;
}

enum status first_start(struct pipeline *pipeline, struct error *err)
{
    enum status status = first_start_check(pipeline, err);
    if (status != STATUS_OK) {
        return status;
    }
    random_bytes(pipeline->incarnation, sizeof pipeline->incarnation);
    random_bytes(pipeline->hash_key, sizeof pipeline->hash_key);
    pipeline_talk(pipeline, "first start of pipeline '%s'", pipeline->plan->name);
    pipeline->is_beginning = true;
    status = begin_missing(pipeline, err);
    pipeline->is_beginning = false;
    return status;
}

/* --- systems and sinks that join --- */

static bool all_at_epoch_zero(const struct pipeline *pipeline)
{
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        for (uint32_t p = 0; p < pipeline->partition_count; p++) {
            if (pipeline_progress(pipeline, s, p)->epoch > 0) {
                return false;
            }
        }
    }
    return true;
}

static bool has_system(const struct plan *plan, const struct system *system)
{
    for (uint32_t s = 0; s < plan->system_count; s++) {
        if (strcmp(plan->systems[s]->ops->place(plan->systems[s]), system->ops->place(system)) ==
            0) {
            return true;
        }
    }
    return false;
}

static struct hash128 last_plan(const struct progress *progress)
{
    return progress->plans[progress->plan_count - 1].plan_hash;
}

/* A system without R of a partition is new only if no plan that ran last had it. */
static enum status refuse_lost_partition(const struct pipeline *pipeline,
                                         struct replayer *replayer, const struct system *system,
                                         uint32_t p, struct error *err)
{
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        const struct progress *progress = pipeline_progress(pipeline, s, p);
        const struct judge *judge = NULL;
        if (!pipeline_is_found(progress)) {
            continue;
        }
        enum status status = replayer_judge(replayer, last_plan(progress), &judge, err);
        if (status != STATUS_OK) {
            return status;
        }
        if (has_system(judge->plan, system)) {
            return error_set(err, STATUS_FATAL, "progress.lost",
                             "%s has no progress record of pipeline '%s', but others have "
                             "come further with it: it was replaced or lost; restore it from "
                             "a backup, or give its sinks another place",
                             system->name, pipeline->plan->name);
        }
    }
    return STATUS_OK;
}

/* Partitions in which nothing came since a plan changed have an older one. Where they are shared, the
 * system may have R of some already, and those that are at epoch 0 may still have to be begun. */
static enum status refuse_lost(const struct pipeline *pipeline, struct replayer *replayer,
                               uint32_t s, struct error *err)
{
    bool has_none = pipeline_has_none(pipeline, s);
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK; p++) {
        const struct progress *furthest = pipeline_furthest(pipeline, p);
        bool is_missing = pipeline->is_shared && furthest != NULL && furthest->epoch > 0 &&
                          !pipeline_is_found(pipeline_progress(pipeline, s, p));
        if (has_none || is_missing) {
            status =
                refuse_lost_partition(pipeline, replayer, pipeline->plan->systems[s], p, err);
        }
    }
    return status;
}

/* The sink of a plan that wrote to the same place of this system, which its ledger says: paths may
 * have changed since, and names. */
static const struct sink *find_writer(const struct plan *plan, const struct ledger *ledger,
                                      const struct sink *sink)
{
    for (uint32_t i = 0; i <= plan->stage.sink_count; i++) {
        const struct sink *old = i < plan->stage.sink_count ? plan->sinks[i] : plan->dlq;
        if (old != NULL && old->ops == sink->ops &&
            strcmp(old->ops->address(old), sink->ops->address(sink)) == 0 &&
            ledger_find_sink(ledger, old->name) != NULL) {
            return old;
        }
    }
    return NULL;
}

/* Who wrote last to the place of a sink; NULL: nobody, or the running plan (then *out_runs). */
static enum status find_last_writer(const struct pipeline *pipeline, struct replayer *replayer,
                                    uint32_t s, const struct sink *sink, const struct sink **out,
                                    bool *out_runs, struct error *err)
{
    *out = NULL;
    *out_runs = false;
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        const struct progress *progress = pipeline_progress(pipeline, s, p);
        const struct judge *judge = NULL;
        if (!pipeline_is_found(progress)) {
            continue;
        }
        if (hash_equal(last_plan(progress), pipeline->plan->hash)) {
            *out_runs = true;
            return STATUS_OK;
        }
        enum status status = replayer_judge(replayer, last_plan(progress), &judge, err);
        if (status != STATUS_OK) {
            return status;
        }
        const struct sink *writer = find_writer(judge->plan, &progress->ledger, sink);
        *out = writer != NULL ? writer : *out;
    }
    return STATUS_OK;
}

/* Rows that were there before could not be told from those of the pipeline, or were left standing
 * by another rule. */
static enum status check_sink(const struct pipeline *pipeline, struct replayer *replayer,
                              uint32_t s, struct sink *sink, struct error *err)
{
    const struct sink *writer = NULL;
    bool runs = false;
    bool empty = false;
    enum status status = find_last_writer(pipeline, replayer, s, sink, &writer, &runs, err);
    if (status != STATUS_OK || runs ||
        (writer != NULL && strcmp(writer->ops->rule(writer), sink->ops->rule(sink)) == 0)) {
        return status;
    }
    status = sink->ops->is_empty(sink, &empty, err);
    if (status != STATUS_OK || empty) {
        return status;
    }
    if (writer != NULL) {
        return error_set(err, STATUS_CONFIG, "sink.other_rule",
                         "the place of sink '%s' in %s holds %s so far and would hold %s: give "
                         "the sink a new place",
                         sink->name, sink->system->name, writer->ops->rule(writer),
                         sink->ops->rule(sink));
    }
    return pipeline->options->init
               ? STATUS_OK
               : error_set(err, STATUS_CONFIG, "start.not_empty",
                           "the place of sink '%s' in %s is new to pipeline '%s', yet it is not "
                           "empty: if what it holds shall be kept, start with --init; else name "
                           "another place",
                           sink->name, sink->system->name, pipeline->plan->name);
}

/* How many rows the pipeline wrote to the place of a sink, as far as its last plan knows it. */
static enum status count_written(const struct pipeline *pipeline, struct replayer *replayer,
                                 uint32_t s, const struct sink *sink, uint64_t *out,
                                 struct error *err)
{
    *out = 0;
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        const struct progress *progress = pipeline_progress(pipeline, s, p);
        const struct plan *plan = pipeline->plan;
        if (!pipeline_is_found(progress)) {
            continue;
        }
        if (!hash_equal(last_plan(progress), plan->hash)) {
            const struct judge *judge = NULL;
            enum status status = replayer_judge(replayer, last_plan(progress), &judge, err);
            if (status != STATUS_OK) {
                return status;
            }
            plan = judge->plan;
        }
        const struct sink *writer = find_writer(plan, &progress->ledger, sink);
        *out += writer == NULL ? 0 : ledger_find_sink(&progress->ledger, writer->name)->written;
    }
    return STATUS_OK;
}

/* A place that is made anew would look as if nothing had been lost. */
static enum status refuse_missing_place(const struct pipeline *pipeline,
                                        struct replayer *replayer, uint32_t s, struct sink *sink,
                                        struct error *err)
{
    bool is_there = true;
    uint64_t written = 0;
    enum status status = sink->ops->is_there == NULL
                             ? STATUS_OK
                             : sink->ops->is_there(sink, &is_there, err);
    if (status == STATUS_OK && !is_there) {
        status = count_written(pipeline, replayer, s, sink, &written, err);
    }
    if (status != STATUS_OK || is_there || written == 0) {
        return status;
    }
    return error_set(err, STATUS_FATAL, "sink.missing_place",
                     "pipeline '%s' has written %llu rows to '%s' in %s, the place of sink '%s', "
                     "which is not there any more: bring it back from a backup, or name another "
                     "place, which gets the rows that come from now on",
                     pipeline->plan->name, (unsigned long long)written,
                     sink->ops->address(sink), sink->system->name, sink->name);
}

static enum status refuse_missing_places(const struct pipeline *pipeline,
                                         struct replayer *replayer, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        const struct system *system = pipeline->plan->systems[s];
        for (uint32_t i = 0; i < system->sink_count && status == STATUS_OK; i++) {
            status = refuse_missing_place(pipeline, replayer, s, system->sinks[i], err);
        }
    }
    return status;
}

static enum status check_newcomers(const struct pipeline *pipeline, struct replayer *replayer,
                                   struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        struct system *system = pipeline->plan->systems[s];
        status = refuse_lost(pipeline, replayer, s, err);
        for (uint32_t i = 0; i < system->sink_count && status == STATUS_OK; i++) {
            status = check_sink(pipeline, replayer, s, system->sinks[i], err);
        }
    }
    return status;
}

enum status first_start_check_join(const struct pipeline *pipeline, struct error *err)
{
    struct replayer *replayer =
        replayer_new(pipeline->plan, pipeline->plan->systems, pipeline->plan->system_count,
                     pipeline->hash_key);
    enum status status = all_at_epoch_zero(pipeline)
                             ? STATUS_OK
                             : check_newcomers(pipeline, replayer, err);
    replayer_free(replayer);
    return status;
}

enum status first_start_join(struct pipeline *pipeline, struct error *err)
{
    struct replayer *replayer =
        replayer_new(pipeline->plan, pipeline->plan->systems, pipeline->plan->system_count,
                     pipeline->hash_key);
    enum status status = first_start_check_join(pipeline, err);
    if (status == STATUS_OK) {
        status = refuse_missing_places(pipeline, replayer, err);
    }
    replayer_free(replayer);
    return status == STATUS_OK ? begin_missing(pipeline, err) : status;
}

/* --- the source's note --- */

static int64_t slowest_offset(const struct pipeline *pipeline, uint32_t p)
{
    int64_t slowest = INT64_MAX;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        int64_t offset = pipeline_progress(pipeline, s, p)->next_offset;
        slowest = offset < slowest ? offset : slowest;
    }
    return slowest;
}

static enum status note_group(const struct pipeline *pipeline, int64_t *offsets,
                              struct error *err)
{
    const struct source_ops *ops = pipeline->source->ops;
    bool differs = false;
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        int64_t noted = 0;
        bool found = false;
        offsets[p] = slowest_offset(pipeline, p);
        enum status status =
            ops->read_group(pipeline->source, pipeline->plan->name, p, &noted, &found, err);
        if (status != STATUS_OK) {
            return status;
        }
        differs |= !found || noted != offsets[p];
    }
    return differs ? ops->write_group(pipeline->source, pipeline->plan->name, offsets, err)
                   : STATUS_OK;
}

void first_start_note_group(const struct pipeline *pipeline)
{
    struct error err = {0};
    /* Where processes share the source, its offsets are committed with the rows. */
    if (pipeline->source->ops->write_group == NULL || pipeline->is_shared) {
        return;
    }
    int64_t *offsets = memory_alloc_zero(pipeline->partition_count, sizeof *offsets);
    if (note_group(pipeline, offsets, &err) != STATUS_OK) {
        pipeline_warn(pipeline, "the source was not told how far '%s' has come: %s (%s)",
                      pipeline->plan->name, err.message, err.code);
    }
    memory_free(offsets);
}
