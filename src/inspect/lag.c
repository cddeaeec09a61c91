#include "inspect/lag.h"

#include "base/time.h"
#include "os/clock.h"
#include "run/pipeline.h"

/* One look at one partition. */
struct look {
    int64_t slowest_offset;
    int64_t fastest_offset;
    int64_t end_offset;
    int64_t open_end_offset; /* with what may not be read yet */
    int64_t event_time_us;
    const char *slowest; /* the system's name; NULL when no system has R */
};

struct measure {
    struct pipeline pipeline;
    bool has_run;
    struct look *first, *second;
};

const char *lag_bound_name(enum lag_bound bound)
{
    static const char *const names[] = {
        [LAG_CAUGHT_UP] = "caught_up",
        [LAG_NEVER_RAN] = "never_ran",
        [LAG_NOT_RUNNING] = "not_running",
        [LAG_STANDS_STILL] = "stands_still",
        [LAG_ARRIVALS] = "arrivals",
        [LAG_SYSTEM] = "system",
        [LAG_PACE] = "pace",
        [LAG_EXPIRED] = "expired",
        [LAG_UNKNOWN] = "unknown",
    };
    return names[bound];
}

/* A pipeline whose places are not there yet has not run; what else is wrong is an error. */
static enum status open_pipeline(struct measure *measure, struct error *err)
{
    struct error failure = {0};
    enum status status = pipeline_open_reader(&measure->pipeline, &failure);
    measure->has_run = status == STATUS_OK;
    if (status == STATUS_OK) {
        return STATUS_OK;
    }
    if (measure->pipeline.partitions != NULL &&
        (strcmp(failure.code, "progress.none") == 0 || strcmp(failure.code, "log.missing") == 0)) {
        return STATUS_OK;
    }
    *err = failure;
    return status;
}

static enum status look_at_systems(struct measure *measure, uint32_t p, struct look *look,
                                   struct error *err)
{
    struct pipeline *pipeline = &measure->pipeline;
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < pipeline->sessions && status == STATUS_OK; s++) {
        struct system *system = pipeline->plan->systems[s];
        struct progress progress = {0};
        bool found = false;
        status = system->ops->load(system, pipeline->partitions[p].source, &progress, &found, err);
        if (status == STATUS_OK && found) {
            int64_t offset = progress.next_offset;
            if (look->slowest == NULL || offset < look->slowest_offset) {
                look->slowest_offset = offset;
                look->slowest = system->name;
                look->event_time_us = progress.greatest_us;
            }
            look->fastest_offset = offset > look->fastest_offset ? offset : look->fastest_offset;
        }
        progress_fini(&progress);
    }
    return status;
}

static enum status look_at_end(struct source *source, uint32_t p, struct look *look,
                               struct error *err)
{
    enum status status = STATUS_OK;
    /* First, so that what is committed meanwhile does not look hidden. */
    if (source->ops->open_end_offset != NULL) {
        status = source->ops->open_end_offset(source, p, &look->open_end_offset, err);
    }
    return status == STATUS_OK ? source->ops->end_offset(source, p, &look->end_offset, err)
                               : status;
}

static enum status look_at_all(struct measure *measure, struct look *looks, struct error *err)
{
    struct pipeline *pipeline = &measure->pipeline;
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK; p++) {
        struct look *look = &looks[p];
        *look = (struct look){.event_time_us = TIME_NEVER, .fastest_offset = -1};
        status = look_at_systems(measure, p, look, err);
        if (status == STATUS_OK) {
            /* After R, so that it is not behind it. */
            status = look_at_end(pipeline->source, p, look, err);
        }
        if (look->slowest == NULL) {
            look->slowest_offset = pipeline->partitions[p].source->first_offset;
        }
    }
    return status;
}

/* The timestamp of the first record that is not committed. Offsets may have gaps: where no record
 * is below the end, only the marks of transactions are, and nothing is behind. */
static enum status read_oldest(struct measure *measure, uint32_t p, struct lag_partition *out,
                               bool *out_expired, struct error *err)
{
    struct pipeline *pipeline = &measure->pipeline;
    struct source *source = pipeline->source;
    if (out->behind == 0 || source->ops->offsets_are_bytes) {
        return STATUS_OK;
    }
    struct error failure = {0};
    enum status status = source->ops->seek(source, p, out->committed_offset, &failure);
    struct batch *batch = batch_new(pipeline->plan->stage.layout);
    if (status == STATUS_OK) {
        status = source->ops->read(source, p, batch, out->end_offset, &failure);
    }
    if (status == STATUS_OK && batch->row_count > 0) {
        out->oldest_us = batch->records[0].timestamp_us;
    } else if (status == STATUS_OK) {
        out->behind = 0;
    }
    batch_free(batch);
    if (status == STATUS_CONFIG && strstr(failure.code, "expired") != NULL) {
        *out_expired = true;
        return STATUS_OK;
    }
    if (status != STATUS_OK) {
        *err = failure;
    }
    return status;
}

static enum lag_bound judge(const struct lag *lag, const struct lag_partition *partition,
                            const struct look *look)
{
    if (look->slowest == NULL) {
        return LAG_NEVER_RAN;
    }
    if (partition->behind == 0) {
        return LAG_CAUGHT_UP;
    }
    if (lag->owner == LAG_OWNER_NONE) {
        return LAG_NOT_RUNNING;
    }
    if (lag->seconds <= 0) {
        return LAG_UNKNOWN;
    }
    if (look->fastest_offset > look->slowest_offset) {
        return LAG_SYSTEM;
    }
    if (partition->committed <= 0) {
        return LAG_STANDS_STILL;
    }
    return partition->committed <= partition->arrived ? LAG_ARRIVALS : LAG_PACE;
}

static int64_t catch_up_us(const struct lag *lag, const struct lag_partition *partition)
{
    if (partition->behind == 0) {
        return 0;
    }
    if (lag->seconds <= 0) {
        return LAG_TIME_UNKNOWN;
    }
    double gain = partition->committed - partition->arrived;
    return gain <= 0 ? LAG_TIME_NEVER : (int64_t)((double)partition->behind / gain * 1e6);
}

static enum status conclude(struct measure *measure, struct lag *lag, struct error *err)
{
    struct pipeline *pipeline = &measure->pipeline;
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK; p++) {
        const struct look *first = &measure->first[p];
        const struct look *last = lag->seconds > 0 ? &measure->second[p] : first;
        const struct source_partition *source = pipeline->partitions[p].source;
        struct lag_partition *out = &lag->partitions[p];
        int64_t behind = last->end_offset - last->slowest_offset;
        *out = (struct lag_partition){
            .topic = arena_copy_string(lag->arena, source->topic),
            .label = arena_copy_string(lag->arena, source->label),
            .committed_offset = last->slowest_offset,
            .end_offset = last->end_offset,
            .behind = behind < 0 ? 0 : behind,
            .hidden = last->open_end_offset > last->end_offset
                          ? last->open_end_offset - last->end_offset
                          : 0,
            .oldest_us = TIME_NEVER,
            .event_time_us = last->event_time_us,
            .arrived = -1,
            .committed = -1,
            .bound = LAG_UNKNOWN,
        };
        if (lag->seconds > 0) {
            out->arrived = (double)(last->end_offset - first->end_offset) / lag->seconds;
            out->committed = (double)(last->slowest_offset - first->slowest_offset) / lag->seconds;
        }
        bool is_expired = false;
        status = read_oldest(measure, p, out, &is_expired, err);
        out->catch_up_us = catch_up_us(lag, out);
        out->bound = is_expired ? LAG_EXPIRED : judge(lag, out, last);
        out->system =
            out->bound == LAG_SYSTEM ? arena_copy_string(lag->arena, last->slowest) : NULL;
        if (out->oldest_us > TIME_NEVER) {
            int64_t age_us = clock_realtime_us() - out->oldest_us;
            out->age_us = age_us < 0 ? 0 : age_us;
        }
    }
    return status;
}

/* As those that run do at this pace; more than partitions do not help. */
static uint32_t processes_wanted(const struct lag *lag)
{
    double arrived = 0;
    double committed = 0;
    for (uint32_t p = 0; p < lag->partition_count && lag->seconds > 0; p++) {
        arrived += lag->partitions[p].arrived;
        committed += lag->partitions[p].committed;
    }
    if (lag->processes == 0 || committed <= 0 || arrived <= committed) {
        return 0;
    }
    const double wanted = arrived / committed * lag->processes + 1;
    return wanted < lag->partition_count ? (uint32_t)wanted : lag->partition_count;
}

static enum status look_for_owner(const struct pipeline *pipeline, struct lag *lag,
                                  struct error *err)
{
    struct source *source = pipeline->source;
    if (source->ops->count_members != NULL) {
        enum status status =
            source->ops->count_members(source, pipeline->plan->name, &lag->processes, err);
        lag->owner = lag->processes > 0 ? LAG_OWNER_THERE : LAG_OWNER_NONE;
        return status;
    }
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        struct system *system = pipeline->plan->systems[s];
        if (system->ops->is_owned == NULL) {
            continue;
        }
        if (system->ops->is_owned(system, pipeline->plan->name)) {
            lag->owner = LAG_OWNER_THERE;
            return STATUS_OK;
        }
        lag->owner = LAG_OWNER_NONE;
    }
    return STATUS_OK;
}

enum status lag_measure(struct plan *plan, int64_t duration_us, struct lag *out, struct error *err)
{
    *out = (struct lag){.arena = arena_new(16 * 1024),
                        .in_bytes = plan->source_ops->offsets_are_bytes};
    const struct run_options options = {0};
    const struct run_observer observer = {0};
    struct measure measure = {0};
    pipeline_init(&measure.pipeline, plan, &options, &observer);
    enum status status = open_pipeline(&measure, err);
    if (status == STATUS_OK) {
        uint32_t count = measure.pipeline.partition_count;
        measure.first = arena_alloc_zero(out->arena, count, sizeof *measure.first);
        measure.second = arena_alloc_zero(out->arena, count, sizeof *measure.second);
        out->partitions = arena_alloc_zero(out->arena, count, sizeof *out->partitions);
        out->partition_count = count;
        status = look_at_all(&measure, measure.first, err);
    }
    if (status == STATUS_OK && duration_us > 0) {
        int64_t begin_us = clock_monotonic_us();
        clock_sleep_us(duration_us);
        status = look_at_all(&measure, measure.second, err);
        out->seconds = (double)(clock_monotonic_us() - begin_us) / 1e6;
    }
    if (status == STATUS_OK) {
        status = look_for_owner(&measure.pipeline, out, err);
    }
    if (status == STATUS_OK) {
        status = conclude(&measure, out, err);
        out->processes_wanted = processes_wanted(out);
    }
    pipeline_close(&measure.pipeline);
    return status;
}

void lag_fini(struct lag *lag)
{
    arena_free(lag->arena);
}
