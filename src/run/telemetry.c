#include "run/telemetry.h"

#include <stdio.h>

#include "base/time.h"
#include "observe/server.h"
#include "os/clock.h"
#include "os/process.h"
#include "run/pipeline.h"
#include "run/telemetry_metrics.h"

#define TICK_US (500 * INT64_C(1000))

struct partition_numbers {
    const char *topic;
    const char *label;
    struct ledger ledger; /* of the system that has come furthest; under the registry's lock */
    int64_t *committed;   /* [system]: next offset; under the lock */
    int64_t greatest_us;  /* committed; under the lock */
    int64_t end_offset;   /* −1: not known yet; under the lock */
    struct metric *read;
};

struct system_numbers {
    const char *label;
    struct metric *duration;
    struct metric *retries;
};

struct telemetry {
    const struct run_observer *observer;
    struct metrics *metrics;
    struct health *health;
    struct server *server;
    struct metric *resident, *virtual_memory, *cpu, *files;
    int64_t tick_us;

    /* of the pipeline that is attached */
    struct arena *arena;
    const struct plan *plan;
    struct partition_numbers *partitions;
    int64_t *ends; /* [partition]: how far they reach, as the last tick found it */
    uint32_t partition_count;
    struct system_numbers *systems;
    uint32_t system_count;
};

/* --- life --- */

/* From the server's thread, before a scrape. */
static void refresh_process(void *context)
{
    const struct telemetry *telemetry = context;
    struct process_usage usage;
    if (process_usage_read(&usage)) {
        metric_set(telemetry->resident, (double)usage.resident_bytes);
        metric_set(telemetry->virtual_memory, (double)usage.virtual_bytes);
        metric_set(telemetry->cpu, (double)usage.cpu_us / 1e6);
        metric_set(telemetry->files, usage.open_files);
    }
}

static void show_process(struct telemetry *telemetry, const struct plan *plan, const char *version)
{
    struct metrics *metrics = telemetry->metrics;
    metrics_begin(metrics);
    telemetry->resident = metrics_of(metrics, PROCESS_RESIDENT, NULL, NULL, NULL);
    telemetry->virtual_memory = metrics_of(metrics, PROCESS_VIRTUAL, NULL, NULL, NULL);
    telemetry->cpu = metrics_of(metrics, PROCESS_CPU, NULL, NULL, NULL);
    telemetry->files = metrics_of(metrics, PROCESS_FILES, NULL, NULL, NULL);
    metric_set(metrics_of(metrics, PROCESS_START, NULL, NULL, NULL),
               (double)clock_realtime_us() / 1e6);
    metric_set(metrics_of(metrics, BUILD_INFO, version, NULL, NULL), 1);
    metric_set(metrics_of(metrics, PLAN_INFO, plan->hash_text, NULL, NULL), 1);
    metrics_end(metrics);
}

static void say_where(const struct telemetry *telemetry, const struct plan *plan)
{
    const struct run_observer *observer = telemetry->observer;
    const char *host = plan->http.host;
    bool is_v6 = strchr(host, ':') != NULL;
    char line[256];
    snprintf(line, sizeof line, "http: listening on http://%s%s%s:%u/", is_v6 ? "[" : "", host,
             is_v6 ? "]" : "", server_port(telemetry->server));
    if (observer->talk != NULL) {
        observer->talk(observer->context, line);
    }
    if (!plan->http.is_loopback && observer->warning != NULL) {
        snprintf(line, sizeof line,
                 "http.listen is %s: whoever reaches that address sees the metrics and may POST "
                 "/resume, without a password",
                 host);
        observer->warning(observer->context, line);
    }
}

enum status telemetry_new(const struct plan *plan, const struct run_options *options,
                          const struct run_observer *observer, struct telemetry **out,
                          struct error *err)
{
    if (!plan->has_http) {
        *out = NULL;
        return STATUS_OK;
    }
    struct telemetry *telemetry = memory_alloc_zero(1, sizeof *telemetry);
    telemetry->observer = observer;
    telemetry->metrics = metrics_new(telemetry_metrics, TELEMETRY_METRIC_COUNT, plan->name);
    telemetry->health = health_new();
    show_process(telemetry, plan, options->version == NULL ? "" : options->version);
    struct buffer title = {0};
    buffer_printf(&title, "weir: %s", plan->name);
    enum status status =
        server_start(&plan->http, buffer_string(&title), telemetry->metrics, telemetry->health,
                     refresh_process, telemetry, &telemetry->server, err);
    buffer_fini(&title);
    if (status != STATUS_OK) {
        telemetry_free(telemetry);
        return status;
    }
    say_where(telemetry, plan);
    *out = telemetry;
    return STATUS_OK;
}

static void detach(struct telemetry *telemetry)
{
    for (uint32_t p = 0; p < telemetry->partition_count; p++) {
        ledger_fini(&telemetry->partitions[p].ledger);
    }
    arena_free(telemetry->arena);
    telemetry->arena = NULL;
    telemetry->partition_count = 0;
    telemetry->system_count = 0;
}

void telemetry_free(struct telemetry *telemetry)
{
    if (telemetry == NULL) {
        return;
    }
    server_stop(telemetry->server);
    if (telemetry->arena != NULL) {
        detach(telemetry);
    }
    metrics_free(telemetry->metrics);
    health_free(telemetry->health);
    memory_free(telemetry);
}

void telemetry_set_phase(struct telemetry *telemetry, enum health_phase phase)
{
    if (telemetry != NULL) {
        health_set_phase(telemetry->health, phase);
    }
}

uint64_t telemetry_resumes(const struct telemetry *telemetry)
{
    return telemetry == NULL ? 0 : health_resumes(telemetry->health);
}

/* --- what is committed; all with the registry's lock --- */

static struct metric *of_partition(const struct telemetry *telemetry, enum telemetry_metric metric,
                                   const struct partition_numbers *numbers)
{
    return metrics_of(telemetry->metrics, metric, numbers->topic, numbers->label, NULL);
}

static void show_ledger(const struct telemetry *telemetry, const struct partition_numbers *numbers)
{
    static const char *const verdicts[VERDICT_COUNT] = {
        [VERDICT_VALID] = "valid",         [VERDICT_INVALID] = "invalid",
        [VERDICT_DUPLICATE] = "duplicate", [VERDICT_LATE] = "late",
        [VERDICT_FILTERED] = "filtered",
    };
    const struct ledger *ledger = &numbers->ledger;
    metric_set_count(of_partition(telemetry, RECORDS, numbers), ledger->in);
    metric_set_count(of_partition(telemetry, RECORD_BYTES, numbers), ledger->in_bytes);
    for (unsigned verdict = VERDICT_VALID; verdict < VERDICT_COUNT; verdict++) {
        metric_set_count(metrics_of(telemetry->metrics, VERDICTS, numbers->topic, numbers->label,
                                    verdicts[verdict]),
                         ledger->verdicts[verdict]);
    }
}

/* Reasons, warnings and repairs are told of all partitions together: with partitions they would be
 * too many series. */
static void show_sums(const struct telemetry *telemetry)
{
    struct metrics *metrics = telemetry->metrics;
    struct ledger sum = {0};
    for (uint32_t p = 0; p < telemetry->partition_count; p++) {
        ledger_add(&sum, &telemetry->partitions[p].ledger);
    }
    for (uint32_t i = 0; i < sum.reason_count; i++) {
        metric_set_count(metrics_of(metrics, REASONS, sum.reasons[i].name, NULL, NULL),
                         sum.reasons[i].count);
    }
    for (uint32_t i = 0; i < sum.warning_count; i++) {
        metric_set_count(metrics_of(metrics, WARNINGS, sum.warnings[i].name, NULL, NULL),
                         sum.warnings[i].count);
    }
    for (unsigned kind = 0; kind < REPAIR_COUNT; kind++) {
        metric_set_count(
            metrics_of(metrics, REPAIRS, repair_name((enum repair_kind)kind), NULL, NULL),
            sum.repairs[kind]);
    }
    metric_set_count(metrics_of(metrics, REPLAYED, NULL, NULL, NULL), sum.replayed);
    ledger_fini(&sum);
}

static void show_sinks(const struct telemetry *telemetry, const struct progress *progresses)
{
    struct metrics *metrics = telemetry->metrics;
    struct ledger sum = {0};
    for (uint32_t p = 0; p < telemetry->partition_count; p++) {
        const struct ledger sinks_only = {.sinks = progresses[p].ledger.sinks,
                                          .sink_count = progresses[p].ledger.sink_count};
        ledger_add(&sum, &sinks_only);
    }
    for (uint32_t i = 0; i < sum.sink_count; i++) {
        const struct ledger_sink *sink = &sum.sinks[i];
        metric_set_count(metrics_of(metrics, SINK_ROUTED, sink->name, NULL, NULL), sink->routed);
        metric_set_count(metrics_of(metrics, SINK_WRITTEN, sink->name, NULL, NULL), sink->written);
        metric_set_count(metrics_of(metrics, SINK_REJECTED, sink->name, NULL, NULL),
                         sink->rejected);
    }
    ledger_fini(&sum);
}

static int64_t slowest_offset(const struct telemetry *telemetry,
                              const struct partition_numbers *numbers)
{
    int64_t slowest = numbers->committed[0];
    for (uint32_t s = 1; s < telemetry->system_count; s++) {
        slowest = numbers->committed[s] < slowest ? numbers->committed[s] : slowest;
    }
    return slowest;
}

static void show_lag(const struct telemetry *telemetry, const struct partition_numbers *numbers)
{
    if (numbers->end_offset < 0) {
        return;
    }
    bool in_bytes = telemetry->plan->source_ops->offsets_are_bytes;
    int64_t behind = numbers->end_offset - slowest_offset(telemetry, numbers);
    metric_set(of_partition(telemetry, END_OFFSET, numbers), (double)numbers->end_offset);
    metric_set(of_partition(telemetry, in_bytes ? LAG_BYTES : LAG_RECORDS, numbers),
               (double)(behind < 0 ? 0 : behind));
    struct metric *seconds = of_partition(telemetry, LAG_SECONDS, numbers);
    if (behind <= 0) {
        metric_set(seconds, 0);
    } else if (numbers->greatest_us > TIME_NEVER) {
        int64_t age_us = clock_realtime_us() - numbers->greatest_us;
        metric_set(seconds, age_us < 0 ? 0 : (double)age_us / 1e6);
    } else {
        metric_hide(seconds);
    }
}

/* One system's R of one partition. */
static void take_progress(struct telemetry *telemetry, uint32_t s, uint32_t p,
                          const struct progress *progress)
{
    struct partition_numbers *numbers = &telemetry->partitions[p];
    numbers->committed[s] = progress->next_offset;
    metric_set(metrics_of(telemetry->metrics, COMMITTED_OFFSET, telemetry->systems[s].label,
                          numbers->topic, numbers->label),
               (double)progress->next_offset);
    if (progress->ledger.in >= numbers->ledger.in) {
        ledger_copy(&numbers->ledger, &progress->ledger);
        numbers->greatest_us = progress->greatest_us;
        show_ledger(telemetry, numbers);
    }
    if (numbers->greatest_us > TIME_NEVER) {
        metric_set(of_partition(telemetry, EVENT_TIME, numbers),
                   (double)numbers->greatest_us / 1e6);
        metric_set(of_partition(telemetry, WATERMARK, numbers),
                   (double)(numbers->greatest_us - telemetry->plan->stage.lateness_us) / 1e6);
    }
    show_lag(telemetry, numbers);
}

void telemetry_committed(struct telemetry *telemetry, uint32_t s, const struct epoch *epoch,
                         const struct progress *progresses, int64_t duration_us)
{
    if (telemetry == NULL) {
        return;
    }
    struct metrics *metrics = telemetry->metrics;
    const struct system_numbers *system = &telemetry->systems[s];
    metrics_begin(metrics);
    for (uint32_t i = 0; i < epoch->part_count; i++) {
        uint32_t p = epoch->parts[i].partition;
        take_progress(telemetry, s, p, &progresses[p]);
    }
    show_sums(telemetry);
    show_sinks(telemetry, progresses);
    metric_observe(system->duration, (double)duration_us / 1e6);
    metric_set(metrics_of(metrics, SYSTEM_UP, system->label, NULL, NULL), 1);
    metric_set(metrics_of(metrics, SYSTEM_PAUSED, system->label, NULL, NULL), 0);
    metrics_end(metrics);
    health_set_system(telemetry->health, system->label, HEALTH_SYSTEM_WORKS, 0, NULL);
}

void telemetry_failed(struct telemetry *telemetry, uint32_t s, enum health_system state,
                      uint32_t attempts, const struct error *failure)
{
    if (telemetry == NULL) {
        return;
    }
    struct metrics *metrics = telemetry->metrics;
    const struct system_numbers *system = &telemetry->systems[s];
    bool is_paused = state == HEALTH_SYSTEM_PAUSED;
    metrics_begin(metrics);
    metric_add_count(system->retries, is_paused ? 0 : 1);
    metric_set(metrics_of(metrics, SYSTEM_UP, system->label, NULL, NULL), 0);
    metric_set(metrics_of(metrics, SYSTEM_PAUSED, system->label, NULL, NULL), is_paused);
    metric_set(metrics_of(metrics, SYSTEM_ERROR, system->label, failure->code, NULL),
               (double)clock_realtime_us() / 1e6);
    metrics_end(metrics);
    health_set_system(telemetry->health, system->label, state, attempts, failure);
}

void telemetry_waits(struct telemetry *telemetry, const char *for_what, enum health_system state,
                     uint32_t attempts, const struct error *failure)
{
    if (telemetry != NULL) {
        health_set_system(telemetry->health, for_what, state, attempts, failure);
    }
}

/* --- what the worker tells --- */

void telemetry_read(struct telemetry *telemetry, uint32_t partition, uint32_t row_count)
{
    if (telemetry != NULL) {
        metric_add_count(telemetry->partitions[partition].read, row_count);
    }
}

/* What cannot be asked now is not known; whatever is wrong shows when records are read. */
static void find_ends(const struct telemetry *telemetry, struct source *source, int64_t *out_offsets)
{
    if (source->ops->watch_ends != NULL) {
        source->ops->watch_ends(source, out_offsets);
        return;
    }
    for (uint32_t p = 0; p < telemetry->partition_count; p++) {
        struct error ignored = {0};
        if (source->ops->end_offset(source, p, &out_offsets[p], &ignored) != STATUS_OK) {
            out_offsets[p] = -1;
        }
    }
}

static void tick_partition(struct telemetry *telemetry, const struct pipeline *pipeline, uint32_t p,
                           int64_t end_offset)
{
    struct partition_numbers *numbers = &telemetry->partitions[p];
    const struct stage_state *state = pipeline->partitions[p].state;
    uint64_t values = 0;
    for (uint32_t i = 0; state != NULL && i < state->last_count; i++) {
        values += last_store_count(state->last[i]);
    }
    metrics_begin(telemetry->metrics);
    numbers->end_offset = end_offset;
    show_lag(telemetry, numbers);
    if (state != NULL) {
        metric_set(of_partition(telemetry, STATE_KEYS, numbers),
                   state->seen == NULL ? 0 : (double)seen_store_count(state->seen));
        metric_set(of_partition(telemetry, STATE_VALUES, numbers), (double)values);
    }
    metrics_end(telemetry->metrics);
}

void telemetry_tick(struct telemetry *telemetry, const struct pipeline *pipeline)
{
    if (telemetry == NULL) {
        return;
    }
    int64_t now_us = clock_monotonic_us();
    if (telemetry->tick_us != 0 && now_us - telemetry->tick_us < TICK_US) {
        return;
    }
    telemetry->tick_us = now_us;
    if (telemetry->partition_count > 0) {
        find_ends(telemetry, pipeline->source, telemetry->ends);
    }
    for (uint32_t p = 0; p < telemetry->partition_count; p++) {
        tick_partition(telemetry, pipeline, p, telemetry->ends[p]);
    }
    metrics_begin(telemetry->metrics);
    metric_set(metrics_of(telemetry->metrics, STATE_BYTES, NULL, NULL, NULL),
               (double)atomic_load(&pipeline->budget.used_bytes));
    metric_set(metrics_of(telemetry->metrics, STATE_LIMIT, NULL, NULL, NULL),
               (double)pipeline->budget.limit_bytes);
    metrics_end(telemetry->metrics);
}

void telemetry_snapshot(struct telemetry *telemetry)
{
    if (telemetry != NULL) {
        metrics_begin(telemetry->metrics);
        metric_set(metrics_of(telemetry->metrics, SNAPSHOT, NULL, NULL, NULL),
                   (double)clock_realtime_us() / 1e6);
        metrics_end(telemetry->metrics);
    }
}

/* --- attaching --- */

/* The short name, unless another system has the same. */
static const char *system_label(const struct plan *plan, uint32_t s)
{
    const struct system *system = plan->systems[s];
    for (uint32_t i = 0; i < plan->system_count; i++) {
        if (i != s && strcmp(plan->systems[i]->name, system->name) == 0) {
            return system->ops->place(system);
        }
    }
    return system->name;
}

static void attach_systems(struct telemetry *telemetry, const struct plan *plan)
{
    struct metrics *metrics = telemetry->metrics;
    telemetry->system_count = plan->system_count;
    telemetry->systems =
        arena_alloc_zero(telemetry->arena, plan->system_count, sizeof *telemetry->systems);
    for (uint32_t s = 0; s < plan->system_count; s++) {
        struct system_numbers *system = &telemetry->systems[s];
        system->label = arena_copy_string(telemetry->arena, system_label(plan, s));
        system->duration = metrics_of(metrics, COMMIT_DURATION, system->label, NULL, NULL);
        system->retries = metrics_of(metrics, COMMIT_RETRIES, system->label, NULL, NULL);
        metric_set(metrics_of(metrics, SYSTEM_UP, system->label, NULL, NULL), 1);
        metric_set(metrics_of(metrics, SYSTEM_PAUSED, system->label, NULL, NULL), 0);
    }
}

static void attach_partitions(struct telemetry *telemetry, const struct pipeline *pipeline)
{
    struct arena *arena = telemetry->arena;
    telemetry->partition_count = pipeline->partition_count;
    telemetry->partitions =
        arena_alloc_zero(arena, pipeline->partition_count, sizeof *telemetry->partitions);
    telemetry->ends = arena_alloc_zero(arena, pipeline->partition_count, sizeof *telemetry->ends);
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        const struct source_partition *source = pipeline->partitions[p].source;
        struct partition_numbers *numbers = &telemetry->partitions[p];
        numbers->topic = arena_copy_string(arena, source->topic);
        numbers->label = arena_copy_string(arena, source->label);
        numbers->committed =
            arena_alloc_zero(arena, telemetry->system_count, sizeof *numbers->committed);
        numbers->greatest_us = TIME_NEVER;
        numbers->end_offset = -1;
        numbers->read = of_partition(telemetry, RECORDS_READ, numbers);
        show_ledger(telemetry, numbers);
        for (uint32_t s = 0; s < telemetry->system_count; s++) {
            const struct progress *progress = pipeline_progress(pipeline, s, p);
            if (pipeline_is_found(progress)) {
                take_progress(telemetry, s, p, progress);
            }
        }
    }
}

/* What is known beforehand is there from the start: a rate needs the 0 before the first count. */
static void attach_names(const struct telemetry *telemetry, const struct plan *plan)
{
    struct metrics *metrics = telemetry->metrics;
    for (uint32_t i = REASON_NONE + 1; i < plan->reasons.count; i++) {
        metrics_of(metrics, REASONS, plan->reasons.names[i], NULL, NULL);
    }
    for (uint32_t i = 0; i < plan->stage.check_count; i++) {
        if (plan->stage.checks[i].warn) {
            metrics_of(metrics, WARNINGS, plan->stage.checks[i].name, NULL, NULL);
        }
    }
    for (uint32_t i = 0; i < plan->stage.sink_count + (plan->dlq != NULL); i++) {
        const char *name = i < plan->stage.sink_count ? plan->sinks[i]->name : "dlq";
        metrics_of(metrics, SINK_ROUTED, name, NULL, NULL);
        metrics_of(metrics, SINK_WRITTEN, name, NULL, NULL);
        metrics_of(metrics, SINK_REJECTED, name, NULL, NULL);
    }
}

void telemetry_attach(struct telemetry *telemetry, const struct pipeline *pipeline)
{
    if (telemetry == NULL) {
        return;
    }
    if (telemetry->arena != NULL) {
        detach(telemetry);
    }
    telemetry->arena = arena_new(16 * 1024);
    telemetry->plan = pipeline->plan;
    telemetry->tick_us = 0;
    metrics_begin(telemetry->metrics);
    attach_systems(telemetry, pipeline->plan);
    attach_partitions(telemetry, pipeline);
    attach_names(telemetry, pipeline->plan);
    show_sums(telemetry);
    for (uint32_t s = 0; s < telemetry->system_count; s++) {
        show_sinks(telemetry, pipeline->progresses[s]);
    }
    metrics_end(telemetry->metrics);
}
