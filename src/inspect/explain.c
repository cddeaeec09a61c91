#include "inspect/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "os/clock.h"
#include "run/pipeline.h"
#include "run/replayer.h"
#include "run/two_phase.h"

/* Per key of dedup, as `lint` says: a slot of 24 bytes in a segment that is 0.7 to 0.9 full. */
#define KEY_BYTES_MOST 36u

struct explaining {
    struct pipeline pipeline;
    bool has_run; /* the systems could be opened */
    struct error not_opened;
    void (*line)(void *context, const struct explain_line *line);
    void *context;
    const char *weakest; /* about what; NULL: nothing is weak */
};

static void say(struct explaining *explaining, enum explain_level level, const char *about,
                const char *remedy, const char *format, ...) WEIR_PRINTF(5, 6);
static void say(struct explaining *explaining, enum explain_level level, const char *about,
                const char *remedy, const char *format, ...)
{
    char what[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    const struct explain_line line = {
        .level = level, .about = about, .what = what, .remedy = remedy};
    explaining->line(explaining->context, &line);
}

/* For sentences; `unlimited` too. */
static const char *duration_text(int64_t duration_us, char out[64])
{
    if (duration_us >= TIME_UNLIMITED) {
        return "unlimited";
    }
    duration_format(duration_us, out, 64);
    return out;
}

/* --- the source --- */

static void explain_source(struct explaining *explaining)
{
    const struct pipeline *pipeline = &explaining->pipeline;
    const struct source_ops *ops = pipeline->source->ops;
    const struct source_partition *first = pipeline->partitions[0].source;
    if (!ops->can_replay) {
        explaining->weakest = "source";
        say(explaining, EXPLAIN_WEAK, "source",
            "send the records to a local log first, which keeps them: weir produce "
            "local:FILE#topic",
            "%s: cannot be read again after a crash, so what is on its way then is lost or comes "
            "twice: at_least_once at best",
            ops->kind);
        return;
    }
    say(explaining, EXPLAIN_FINE, "source", "",
        "%s %s, %u partition%s: can be read again, so outputs are a function of it", ops->kind,
        first->topic, pipeline->partition_count, pipeline->partition_count == 1 ? "" : "s");
}

/* What has to be in the log for a start without snapshots, against what it keeps. */
static enum status explain_retention(struct explaining *explaining, struct error *err)
{
    const struct pipeline *pipeline = &explaining->pipeline;
    const struct source_ops *ops = pipeline->source->ops;
    int64_t horizon_us = pipeline->plan->stage.horizon_us;
    char horizon[64];
    char age[64];
    if (ops->retention == NULL) {
        if (ops->can_replay && horizon_us > 0) {
            say(explaining, EXPLAIN_NOTE, "retention", "",
                "what the source keeps is not known here; state reaches back %s of event time",
                duration_text(horizon_us, horizon));
        }
        return STATUS_OK;
    }
    struct source_retention retention = {0};
    enum status status = ops->retention(pipeline->source, &retention, err);
    if (status != STATUS_OK) {
        return status;
    }
    const char *reach =
        horizon_us >= TIME_UNLIMITED ? "to the beginning" : duration_text(horizon_us, horizon);
    if (retention.is_compacted && horizon_us > 0) {
        say(explaining, EXPLAIN_WEAK, "retention",
            "read a topic with cleanup.policy=delete, or take out what remembers: weir run refuses",
            "the source is compacted, and state reaches back %s: it could not be rebuilt as it was",
            reach);
    } else if (!retention.is_known) {
        say(explaining, EXPLAIN_NOTE, "retention", "",
            "what the source keeps is not told; state reaches back %s of event time", reach);
    } else if (retention.age_us == 0 && retention.bytes == 0) {
        say(explaining, EXPLAIN_FINE, "retention", "",
            "the source keeps everything: state, which reaches back %s, can always be rebuilt",
            reach);
    } else if (retention.age_us == 0) {
        say(explaining, EXPLAIN_NOTE, "retention", "",
            "the source keeps %lld bytes; whether that is enough for state, which reaches back %s, "
            "depends on the traffic",
            (long long)retention.bytes, reach);
    } else if (horizon_us > retention.age_us / 2) {
        say(explaining, EXPLAIN_WEAK, "retention",
            "keep the source longer, shorten the window, or keep the folder of snapshots as data: "
            "on a durable disk, in the backup",
            "the source keeps %s and state reaches back %s: more than half of it, so without its "
            "snapshots state may not be there to rebuild",
            duration_text(retention.age_us, age), reach);
    } else {
        say(explaining, EXPLAIN_FINE, "retention", "",
            "the source keeps %s, and state reaches back %s", duration_text(retention.age_us, age),
            reach);
    }
    return STATUS_OK;
}

/* --- stages --- */

static void explain_event_time(struct explaining *explaining)
{
    const struct stage_plan *stage = &explaining->pipeline.plan->stage;
    const struct source_ops *ops = explaining->pipeline.source->ops;
    char text[64];
    if (stage->event_time_field == FIELD_NONE) {
        say(explaining, EXPLAIN_NOTE, "event time", "",
            ops->timestamp_kind == TIMESTAMP_NONE
                ? "records have none, so nothing is late and dedup has no window"
                : "the record's timestamp, and nothing is late");
    } else if (stage->max_future_us != DURATION_NONE && ops->timestamp_kind != TIMESTAMP_NONE) {
        say(explaining, ops->timestamp_kind == TIMESTAMP_BROKER ? EXPLAIN_FINE : EXPLAIN_NOTE,
            "event time", "", "guarded by max_future: not more than %s ahead of the timestamp%s",
            duration_text(stage->max_future_us, text),
            ops->timestamp_kind == TIMESTAMP_BROKER
                ? " that the log sets"
                : ", in records whose timestamp the broker set; a producer's is not asked");
    } else if (stage->max_jump_us != DURATION_NONE) {
        say(explaining, EXPLAIN_FINE, "event time", "",
            "guarded by max_jump: a time more than %s ahead of the greatest is believed when three "
            "senders agree",
            duration_text(stage->max_jump_us, text));
    } else {
        say(explaining, EXPLAIN_WEAK, "event time",
            ops->timestamp_kind == TIMESTAMP_BROKER
                ? "set event_time.max_future"
                : "set event_time.max_jump (and jump_by where records have no key)",
            "nothing guards against times in the future: one wrong clock moves the watermark, and "
            "all that follows is late");
    }
}

/* What dedup can have to remember at most: every record that is there now, or the limit. */
static enum status explain_dedup(struct explaining *explaining, struct error *err)
{
    const struct pipeline *pipeline = &explaining->pipeline;
    const struct stage_plan *stage = &pipeline->plan->stage;
    char window[64];
    char apart[64];
    if (stage->dedup_field_count == 0) {
        say(explaining, EXPLAIN_NOTE, "dedup", "",
            "none: a record that is sent twice goes out twice");
        return STATUS_OK;
    }
    bool is_unlimited = stage->dedup_window_us >= TIME_UNLIMITED;
    duration_text(stage->dedup_window_us, window);
    duration_text(is_unlimited ? TIME_UNLIMITED : stage->dedup_window_us + stage->lateness_us,
                  apart);
    say(explaining, EXPLAIN_NOTE, "dedup",
        pipeline->partition_count > 1 ? "records with one dedup key must have one record key, so "
                                        "that they come to one partition"
                                      : "",
        "works per partition, and finds duplicates up to %s apart%s",
        is_unlimited ? "any time" : apart,
        is_unlimited ? "" : " in event time (window + lateness)");
    if (pipeline->source->ops->offsets_are_bytes) {
        return STATUS_OK;
    }
    uint64_t records = 0;
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        int64_t end_offset = 0;
        enum status status =
            pipeline->source->ops->end_offset(pipeline->source, p, &end_offset, err);
        if (status != STATUS_OK) {
            return status;
        }
        records += (uint64_t)(end_offset - pipeline->partitions[p].source->first_offset);
    }
    double most_mib = (double)records * KEY_BYTES_MOST / (1 << 20);
    double limit_mib = (double)pipeline->plan->state_memory_bytes / (1 << 20);
    say(explaining, most_mib > limit_mib ? EXPLAIN_NOTE : EXPLAIN_FINE, "state",
        most_mib > limit_mib ? "watch weir_state_bytes, and raise state.memory in time" : "",
        "%.1f MiB at most if all %llu records that are there now fell into one window; at %.1f MiB "
        "(state.memory) weir stops and says so",
        most_mib, (unsigned long long)records, limit_mib);
    return STATUS_OK;
}

/* --- tombstones --- */

static bool has_keyed_sink(const struct plan *plan)
{
    bool has_one = false;
    for (uint32_t i = 0; i < plan->stage.sink_count; i++) {
        has_one |= plan->sinks[i]->ops->is_keyed(plan->sinks[i]);
    }
    return has_one;
}

static void explain_tombstones(struct explaining *explaining)
{
    const struct plan *plan = explaining->pipeline.plan;
    if (plan->stage.takes_tombstones) {
        bool has_partitions =
            plan->stage.keys_have_partitions && explaining->pipeline.partition_count > 1;
        struct buffer text = {0};
        plan_tell_tombstones(plan, &text);
        say(explaining, has_partitions ? EXPLAIN_NOTE : EXPLAIN_FINE, "tombstones",
            has_partitions ? "producers must go by murmur2, as Java's and Kafka Connect's do; of "
                             "librdkafka's set partitioner=murmur2_random"
                           : "",
            "%s", buffer_string(&text));
        buffer_fini(&text);
    } else if (plan->source_ops->has_keys && has_keyed_sink(plan)) {
        say(explaining, EXPLAIN_NOTE, "tombstones",
            "where the source is changes by key, 'source.tombstones: delete'",
            "a record without a value is INVALID (decode.null_value), so no row is ever deleted");
    }
}

/* --- systems --- */

static void say_finding(void *context, const struct system_finding *finding)
{
    struct explaining *explaining = context;
    say(explaining,
        finding->is_weak             ? EXPLAIN_WEAK
        : finding->remedy[0] != '\0' ? EXPLAIN_NOTE
                                     : EXPLAIN_FINE,
        finding->about, finding->remedy, "%s", finding->what);
}

static enum status explain_systems(struct explaining *explaining, struct error *err)
{
    const struct plan *plan = explaining->pipeline.plan;
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < plan->system_count && status == STATUS_OK && explaining->has_run; s++) {
        struct system *system = plan->systems[s];
        if (system->ops->examine != NULL) {
            status = system->ops->examine(system, say_finding, explaining, err);
        }
    }
    return status;
}

/* --- delivery.atomic --- */

#define LEFT_LONG_US (10 * TIME_US_PER_SECOND)

/* Transactions that have been prepared for longer than a commit takes. */
struct old_ones {
    uint32_t count;
    int64_t since_us; /* the oldest */
    char last_id[PREPARED_ID_BYTES];
};

static enum status note_old(void *context, const struct prepared *prepared, struct error *err)
{
    struct old_ones *old = context;
    (void)err;
    if (strcmp(prepared->id, old->last_id) != 0 &&
        clock_realtime_us() - prepared->since_us > LEFT_LONG_US) {
        old->since_us = old->count++ == 0 ? prepared->since_us : old->since_us;
        (void)snprintf(old->last_id, sizeof old->last_id, "%s", prepared->id);
    }
    return STATUS_OK;
}

static enum status explain_left(struct explaining *explaining, struct system *system,
                                struct error *err)
{
    struct old_ones old = {0};
    char prefix[PREPARED_ID_BYTES];
    char since[TIME_TEXT_BYTES];
    two_phase_prefix(explaining->pipeline.plan->name, NULL, NULL, prefix);
    enum status status = system->ops->list_prepared(system, prefix, note_old, &old, err);
    if (status == STATUS_OK && old.count > 0) {
        time_format(old.since_us, since);
        say(explaining, EXPLAIN_WEAK, "prepared",
            "start the pipeline, which ends it as it was decided; 'weir txn ls' shows it, 'weir txn "
            "commit' and 'abort' end it without a start",
            "%u transaction%s left prepared in %s, since %s: rows that nobody sees yet, and locks",
            old.count, old.count == 1 ? " is" : "s are", system->name, since);
    }
    return status;
}

static enum status explain_atomic(struct explaining *explaining, struct error *err)
{
    const struct plan *plan = explaining->pipeline.plan;
    enum status status = STATUS_OK;
    if (plan->participant != NULL) {
        struct error problem = {0};
        status = plan->participant->ops->check_prepares(plan->participant, &problem);
        if (status == STATUS_OK) {
            say(explaining, EXPLAIN_FINE, "atomic", "",
                "rows of %s and %s become visible together: %s prepares them, and the transaction "
                "of %s decides",
                plan->decision->name, plan->participant->name, plan->participant->name,
                plan->decision->name);
        } else if (status == STATUS_CONFIG) {
            explaining->weakest = "delivery.atomic";
            say(explaining, EXPLAIN_WEAK, "atomic", "", "%s", problem.message);
            status = STATUS_OK;
        } else {
            *err = problem;
        }
    }
    for (uint32_t s = 0; s < plan->system_count && status == STATUS_OK && explaining->has_run; s++) {
        if (plan->systems[s]->ops->list_prepared != NULL) {
            status = explain_left(explaining, plan->systems[s], err);
        }
    }
    return status;
}

/* --- sinks --- */

static void explain_sink(struct explaining *explaining, const struct sink *sink)
{
    char about[256];
    const char *guarantee = sink->ops->guarantee(sink);
    const char *why = sink->ops->why != NULL
                          ? sink->ops->why(sink)
                          : "rows and the progress record are committed together";
    bool is_weak = strncmp(guarantee, "exactly once", 12) != 0;
    bool is_source_weak = !explaining->pipeline.source->ops->can_replay;
    snprintf(about, sizeof about, sink->is_dlq ? "%s" : "sink %s", sink->name);
    if (is_weak && explaining->weakest == NULL) {
        explaining->weakest = sink->name;
    }
    bool takes_tombstones = !sink->is_dlq && explaining->pipeline.plan->stage.takes_tombstones;
    say(explaining, is_weak || is_source_weak ? EXPLAIN_WEAK : EXPLAIN_FINE, about, "",
        "%s, %s: %s%s%s%s", sink->ops->kind, guarantee, why, takes_tombstones ? "; " : "",
        takes_tombstones ? plan_tombstone_effect(sink) : "",
        is_source_weak ? "; as far as the source comes again, which it does not" : "");
}

static void explain_sinks(struct explaining *explaining)
{
    const struct plan *plan = explaining->pipeline.plan;
    for (uint32_t i = 0; i < plan->stage.sink_count; i++) {
        explain_sink(explaining, plan->sinks[i]);
    }
    if (plan->dlq != NULL) {
        explain_sink(explaining, plan->dlq);
    } else {
        say(explaining, EXPLAIN_WEAK, "dlq", "name a place: dlq: {local: {path: …, topic: …}}",
            "none: what is not valid is counted with its reason, and not kept");
    }
    if (plan->system_count > (plan->participant == NULL ? 1u : 2u)) {
        say(explaining, EXPLAIN_NOTE, "systems", "",
            "%u, each with a progress record of its own: they commit one after the other%s, so a "
            "reader of two sees them apart for a moment, and after a crash until the next start",
            plan->system_count,
            plan->participant == NULL ? "" : ", but for the two of delivery.atomic");
    }
}

/* --- the next start --- */

/* Top keys of two plans' pipelines that differ, and "schema". */
static void write_changes(const struct doc *was, const struct doc *is, struct buffer *out)
{
    for (size_t side = 0; side < 2; side++) {
        const struct doc *map = side == 0 ? is : was;
        const struct doc *other = side == 0 ? was : is;
        for (size_t i = 0; i < map->count; i++) {
            const struct doc *there = doc_get(other, map->keys[i]->text);
            struct buffer a = {0};
            struct buffer b = {0};
            doc_write_canonical(map->items[i], &a);
            if (there != NULL) {
                doc_write_canonical(there, &b);
            }
            /* What both have was told from the first side. */
            bool differs = there == NULL ||
                           (side == 0 && (a.size != b.size || memcmp(a.data, b.data, a.size) != 0));
            if (differs) {
                buffer_printf(out, "%s%s", out->size > 0 ? ", " : "", map->keys[i]->text);
            }
            buffer_fini(&a);
            buffer_fini(&b);
        }
    }
}

static enum status find_changes(const struct pipeline *pipeline, struct hash128 hash,
                                struct buffer *out, struct error *err)
{
    struct plan *plan = pipeline->plan;
    struct arena *arena = arena_new(16 * 1024);
    struct buffer text = {0};
    struct doc *was = NULL;
    struct doc *is = NULL;
    enum status status = replayer_load_text(plan->systems, plan->system_count, hash, &text, err);
    if (status == STATUS_OK) {
        status = doc_parse(arena, "(stored plan)", bytes_of(text.data, text.size), NULL, &was, err);
    }
    if (status == STATUS_OK) {
        status = doc_parse(arena, "(plan)", plan->text, NULL, &is, err);
    }
    if (status == STATUS_OK) {
        write_changes(doc_get(was, "pipeline"), doc_get(is, "pipeline"), out);
        struct buffer a = {0};
        struct buffer b = {0};
        doc_write_canonical(doc_get(was, "schema"), &a);
        doc_write_canonical(doc_get(is, "schema"), &b);
        if (a.size != b.size || memcmp(a.data, b.data, a.size) != 0) {
            buffer_printf(out, "%sschema", out->size > 0 ? ", " : "");
        }
        buffer_fini(&a);
        buffer_fini(&b);
    }
    buffer_fini(&text);
    arena_free(arena);
    return status;
}

static enum status explain_plan(struct explaining *explaining, const struct progress *furthest,
                                struct error *err)
{
    const struct plan *plan = explaining->pipeline.plan;
    const struct plan_change *last = &furthest->plans[furthest->plan_count - 1];
    if (hash_equal(last->plan_hash, plan->hash)) {
        say(explaining, EXPLAIN_FINE, "plan", "", "%s, the same as in the progress record",
            plan->hash_text);
        return STATUS_OK;
    }
    struct buffer changes = {0};
    enum status status = find_changes(&explaining->pipeline, last->plan_hash, &changes, err);
    if (status == STATUS_OK) {
        say(explaining, EXPLAIN_NOTE, "plan",
            "'weir diff OLD.yaml NEW.yaml' tells what it would have decided differently",
            "changed since the last run (%s): holds for records from the next one on; those of "
            "before are judged by the old plan in every replay%s",
            buffer_string(&changes),
            plan->stage.horizon_us > last->horizon_us
                ? "; it remembers longer, which is complete only when that time has passed"
                : "");
    }
    buffer_fini(&changes);
    return status;
}

static enum status explain_start(struct explaining *explaining, struct error *err)
{
    struct pipeline *pipeline = &explaining->pipeline;
    const struct progress *furthest = NULL;
    bool is_apart = false;
    for (uint32_t p = 0; p < pipeline->partition_count && explaining->has_run; p++) {
        const struct progress *one = pipeline_furthest(pipeline, p);
        furthest = furthest == NULL ? one : furthest;
        for (uint32_t s = 0; s < pipeline->plan->system_count && one != NULL; s++) {
            const struct progress *progress = pipeline_progress(pipeline, s, p);
            is_apart |= pipeline_is_found(progress) && progress->next_offset != one->next_offset;
        }
    }
    if (furthest == NULL) {
        say(explaining, EXPLAIN_NOTE, "plan", "", "%s; it has not run yet%s%s",
            pipeline->plan->hash_text, explaining->not_opened.status == STATUS_OK ? "" : ": ",
            explaining->not_opened.message);
        return STATUS_OK;
    }
    if (is_apart) {
        say(explaining, EXPLAIN_NOTE, "systems", "",
            "stand at different offsets now: the next start first brings all to the furthest");
    }
    return explain_plan(explaining, furthest, err);
}

static void conclude(struct explaining *explaining)
{
    const struct plan *plan = explaining->pipeline.plan;
    if (explaining->weakest != NULL) {
        say(explaining, EXPLAIN_WEAK, "in all", "",
            "the weakest hop is %s: no more than that can be promised from end to end",
            explaining->weakest);
    } else if (plan->guarantee == GUARANTEE_AT_LEAST_ONCE) {
        say(explaining, EXPLAIN_NOTE, "in all", "",
            "exactly once from end to end, though the file asks for at_least_once only");
    } else {
        say(explaining, EXPLAIN_FINE, "in all", "", "exactly once from end to end");
    }
}

/* Systems that are not there yet are no failure: nobody has run. */
static enum status open_all(struct explaining *explaining, struct error *err)
{
    struct pipeline *pipeline = &explaining->pipeline;
    struct error failure = {0};
    enum status status = pipeline_open_reader(pipeline, &failure);
    explaining->has_run = status == STATUS_OK;
    if (status == STATUS_OK) {
        return recovery_load(pipeline, err);
    }
    if (pipeline->partitions == NULL ||
        (strcmp(failure.code, "progress.none") != 0 && strcmp(failure.code, "log.missing") != 0)) {
        *err = failure;
        return status;
    }
    explaining->not_opened = failure;
    return STATUS_OK;
}

enum status explain_pipeline(struct plan *plan,
                             void (*line)(void *context, const struct explain_line *line),
                             void *context, struct error *err)
{
    const struct run_options options = {0};
    const struct run_observer observer = {0};
    struct explaining explaining = {.line = line, .context = context};
    pipeline_init(&explaining.pipeline, plan, &options, &observer);
    enum status status = open_all(&explaining, err);
    if (status == STATUS_OK && explaining.pipeline.partition_count > 0) {
        explain_source(&explaining);
        status = explain_retention(&explaining, err);
    }
    if (status == STATUS_OK) {
        explain_event_time(&explaining);
        status = explain_dedup(&explaining, err);
    }
    if (status == STATUS_OK) {
        explain_tombstones(&explaining);
        explain_sinks(&explaining);
        status = explain_systems(&explaining, err);
    }
    if (status == STATUS_OK) {
        status = explain_atomic(&explaining, err);
    }
    if (status == STATUS_OK) {
        status = explain_start(&explaining, err);
    }
    if (status == STATUS_OK) {
        conclude(&explaining);
    }
    pipeline_close(&explaining.pipeline);
    return status;
}
