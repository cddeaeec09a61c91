/*
 * Recovery: from what the systems say to a pipeline that is ours.
 *
 *   recovery_load     R of every system and partition
 *   recovery_claim    first start (first_start.c), or the refusals → ownership (compare-and-swap)
 *   recovery_inspect  the same refusals, and nothing claimed
 *
 * What is refused here, each with the one way on: R that was lost, of a system or of one partition;
 * another incarnation (foreign R); a topic made anew; another number of partitions; an R beyond the
 * end of the log; a system that was left out for a while. What only reading the log again can tell
 * is refused where state is rebuilt (rebuild.c).
 */
#include <string.h>

#include "os/random.h"
#include "os/thread.h"
#include "run/pipeline.h"

/* Of a takeover where transactions are prepared. */
#define PARTICIPANT_ATTEMPTS 5u

/* --- load --- */

enum status recovery_load(struct pipeline *pipeline, struct error *err)
{
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        struct system *system = pipeline->plan->systems[s];
        for (uint32_t p = 0; p < pipeline->partition_count; p++) {
            bool found = false;
            /* Again, where partitions have come or gone. */
            progress_fini(pipeline_progress(pipeline, s, p));
            *pipeline_progress(pipeline, s, p) = (struct progress){0};
            if (!pipeline->partitions[p].is_mine) {
                continue; /* somebody may be committing it just now */
            }
            enum status status =
                system->ops->load(system, pipeline->partitions[p].source,
                                  pipeline_progress(pipeline, s, p), &found, err);
            if (status != STATUS_OK) {
                return status;
            }
            if (found && pipeline->source->ops->settle != NULL) {
                pipeline->source->ops->settle(pipeline->source, p,
                                              pipeline->progresses[s][p].next_offset);
            }
        }
    }
    return STATUS_OK;
}

static const struct progress *any_found(const struct pipeline *pipeline)
{
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        for (uint32_t p = 0; p < pipeline->partition_count; p++) {
            if (pipeline_is_found(pipeline_progress(pipeline, s, p))) {
                return pipeline_progress(pipeline, s, p);
            }
        }
    }
    return NULL;
}

/* --- what R must be like --- */

/* The id of a file whose first line was not there yet ends with the '-' behind which the hash of
 * that line comes. */
static void complete_topic_id(const struct source_partition *source, struct progress *progress)
{
    size_t size = strlen(progress->topic_id);
    if (size > 0 && progress->topic_id[size - 1] == '-' &&
        strncmp(source->topic_id, progress->topic_id, size) == 0) {
        memory_free(progress->topic_id);
        progress->topic_id = memory_copy_string(source->topic_id);
    }
}

static enum status check_identity(const struct pipeline *pipeline, const struct system *system,
                                  const struct partition *partition,
                                  const struct progress *progress, struct error *err)
{
    const struct source_partition *source = partition->source;
    if (memcmp(progress->incarnation, pipeline->incarnation, sizeof progress->incarnation) != 0) {
        return error_set(err, STATUS_CONFIG, "progress.foreign",
                         "%s holds the progress of another pipeline that is also called '%s'; "
                         "give this one another name",
                         system->name, pipeline->plan->name);
    }
    if (strcmp(progress->topic_id, source->topic_id) != 0) {
        return error_set(err, STATUS_CONFIG, "source.recreated",
                         "'%s' is not what pipeline '%s' read before: it was deleted and made "
                         "anew (its id was %s and is %s); to read the new one from its start, give "
                         "the pipeline another name",
                         source->topic, pipeline->plan->name, progress->topic_id,
                         source->topic_id);
    }
    if (progress->partition_count != source->partition_count) {
        return error_set(err, STATUS_CONFIG, "source.partitions",
                         "'%s' had %u partitions and has %u now: keys have moved between "
                         "partitions, so duplicates could pass; give the pipeline another name to "
                         "start afresh",
                         source->topic, progress->partition_count, source->partition_count);
    }
    return STATUS_OK;
}

static enum status check_position(const struct pipeline *pipeline, const struct system *system,
                                  uint32_t partition, const struct progress *progress,
                                  struct error *err)
{
    int64_t end_offset = 0;
    enum status status = pipeline->source->ops->end_offset(pipeline->source, partition,
                                                           &end_offset, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (progress->next_offset > end_offset) {
        return error_set(err, STATUS_CONFIG, "source.behind",
                         "%s has taken '%s' [%s] up to offset %lld, but the source ends at %lld: "
                         "it was truncated or restored from an older backup; restore it to at "
                         "least that offset",
                         system->name, progress->topic, progress->partition,
                         (long long)progress->next_offset, (long long)end_offset);
    }
    return STATUS_OK;
}

static enum status check_found(struct pipeline *pipeline, struct error *err)
{
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        for (uint32_t p = 0; p < pipeline->partition_count; p++) {
            struct progress *progress = pipeline_progress(pipeline, s, p);
            if (!pipeline_is_found(progress)) {
                continue;
            }
            complete_topic_id(pipeline->partitions[p].source, progress);
            const struct system *system = pipeline->plan->systems[s];
            enum status status =
                check_identity(pipeline, system, &pipeline->partitions[p], progress, err);
            if (status == STATUS_OK) {
                status = check_position(pipeline, system, p, progress, err);
            }
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
    return STATUS_OK;
}

static enum status note_segment(void *context, struct bytes form, struct error *err)
{
    (void)form;
    (void)err;
    *(bool *)context = true;
    return STATUS_OK;
}

/* R of all partitions of a topic is stored at once. So where one is missing, and its ledger or R of
 * another is there, it was lost; to begin anew would double its rows. Where partitions are shared each
 * process finishes for its own what another has begun in the first systems only: then what R of that
 * partition says elsewhere decides (first_start.c). */
static enum status check_partition_lost(const struct pipeline *pipeline, uint32_t s, uint32_t p,
                                        struct error *err)
{
    struct system *system = pipeline->plan->systems[s];
    const struct source_partition *source = pipeline->partitions[p].source;
    bool was_there = false;
    bool may_join = pipeline->is_shared && pipeline_furthest(pipeline, p) != NULL;
    enum status status = system->ops->load_segments(system, pipeline->plan->name, source,
                                                    note_segment, &was_there, err);
    for (uint32_t other = 0; other < pipeline->partition_count && !may_join; other++) {
        const struct progress *progress = pipeline_progress(pipeline, s, other);
        was_there |= pipeline_is_found(progress) && progress->epoch > 0 &&
                     strcmp(progress->topic, source->topic) == 0;
    }
    if (status == STATUS_OK && was_there) {
        status = error_set(err, STATUS_FATAL, "progress.lost",
                           "the progress record of '%s' [%s] is gone from %s, which holds rows and "
                           "ledgers of pipeline '%s': restore it from a backup",
                           source->topic, source->label, system->name, pipeline->plan->name);
    }
    return status;
}

static enum status check_none_lost(const struct pipeline *pipeline, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK; p++) {
            if (pipeline->partitions[p].is_mine &&
                !pipeline_is_found(pipeline_progress(pipeline, s, p))) {
                status = check_partition_lost(pipeline, s, p, err);
            }
        }
    }
    return status;
}

static enum status take_over(struct pipeline *pipeline, uint32_t s, struct error *err)
{
    struct progress *mine = memory_alloc_zero(pipeline->partition_count, sizeof *mine);
    struct system *system = pipeline->plan->systems[s];
    uint32_t count = 0;
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        if (pipeline->partitions[p].is_mine) {
            mine[count++] = *pipeline_progress(pipeline, s, p); /* borrowed */
        }
    }
    enum status status = system->ops->take_over(system, mine, count, pipeline->owner,
                                                pipeline->plan->text, err);
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK; p++) {
        if (pipeline->partitions[p].is_mine) {
            pipeline_progress(pipeline, s, p)->owner = pipeline->owner;
        }
    }
    memory_free(mine);
    return status;
}

/* A former owner that still lives may prepare once more between the look at what is left and the swap,
 * which then waits for R in vain. It cannot decide for that any more, so looking again ends it; and once
 * its session has been ended it prepares nothing. */
static enum status take_over_participant(struct pipeline *pipeline, uint32_t s, struct error *err)
{
    for (uint32_t attempt = 1;; attempt++) {
        struct error failure = {0};
        bool is_stale = false; /* nothing can have been decided for since R was loaded */
        enum status status = prepared_settle(pipeline, &is_stale, &failure);
        if (status == STATUS_OK) {
            status = take_over(pipeline, s, &failure);
        }
        if (status != STATUS_RETRY || attempt == PARTICIPANT_ATTEMPTS || stop_requested()) {
            if (status != STATUS_OK) {
                *err = failure;
            }
            return status;
        }
    }
}

/* Who prepares comes last: behind the others nothing more can be decided for. */
static enum status take_over_all(struct pipeline *pipeline, struct error *err)
{
    const struct plan *plan = pipeline->plan;
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < plan->system_count && status == STATUS_OK; s++) {
        if (plan->systems[s]->ops->list_prepared == NULL) {
            status = take_over(pipeline, s, err);
        }
    }
    for (uint32_t s = 0; s < plan->system_count && status == STATUS_OK; s++) {
        if (plan->systems[s]->ops->list_prepared != NULL) {
            status = take_over_participant(pipeline, s, err);
        }
    }
    return status;
}

enum status recovery_claim(struct pipeline *pipeline, struct error *err)
{
    enum status status = STATUS_OK;
    const struct progress *known = any_found(pipeline);
    pipeline->owner = random_u64() >> 1; /* fits SQL's signed integers */
    if (known == NULL && !pipeline->partitions[0].is_mine) {
        /* Whoever has the first partition begins for all; then there is R. */
        return STATUS_OK;
    }
    if (known == NULL) {
        status = check_none_lost(pipeline, err);
        status = status == STATUS_OK ? first_start(pipeline, err) : status;
        if (status == STATUS_OK) {
            first_start_note_group(pipeline);
        }
        return status;
    }
    memcpy(pipeline->incarnation, known->incarnation, sizeof pipeline->incarnation);
    memcpy(pipeline->hash_key, known->hash_key, sizeof pipeline->hash_key);
    if ((status = check_found(pipeline, err)) != STATUS_OK ||
        (status = check_none_lost(pipeline, err)) != STATUS_OK ||
        (status = first_start_join(pipeline, err)) != STATUS_OK ||
        (status = take_over_all(pipeline, err)) != STATUS_OK) {
        return status;
    }
    first_start_note_group(pipeline);
    return STATUS_OK;
}

/* The first place without R. */
static bool find_missing(const struct pipeline *pipeline, uint32_t *out_s, uint32_t *out_p)
{
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        for (uint32_t p = 0; p < pipeline->partition_count; p++) {
            if (!pipeline_is_found(pipeline_progress(pipeline, s, p))) {
                *out_s = s;
                *out_p = p;
                return true;
            }
        }
    }
    return false;
}

/* What a start would refuse is refused by who only looks, in the same words. */
static enum status inspect_missing(struct pipeline *pipeline, bool is_none_found,
                                   struct error *err)
{
    uint32_t s = 0;
    uint32_t p = 0;
    if (!find_missing(pipeline, &s, &p)) {
        return STATUS_OK;
    }
    enum status status = check_none_lost(pipeline, err);
    if (status == STATUS_OK) {
        status = is_none_found ? first_start_check(pipeline, err)
                               : first_start_check_join(pipeline, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (is_none_found) {
        return error_set(err, STATUS_CONFIG, "progress.none",
                         "pipeline '%s' has not run here yet; run it first: weir run",
                         pipeline->plan->name);
    }
    const struct system *system = pipeline->plan->systems[s];
    return error_set(err, STATUS_CONFIG, "progress.none",
                     "pipeline '%s' has not run yet with '%s' [%s] of its source and %s, where "
                     "sink '%s' is; run it first: weir run",
                     pipeline->plan->name, pipeline->partitions[p].source->topic,
                     pipeline->partitions[p].source->label, system->name,
                     system->sinks[0]->name);
}

/* Reading could go on where each system stands. What is behind there may have expired: that is told
 * by whoever needs it. */
static enum status check_ends_of_records(struct pipeline *pipeline, struct error *err)
{
    const struct source_ops *ops = pipeline->source->ops;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        for (uint32_t p = 0; p < pipeline->partition_count; p++) {
            const struct progress *progress = pipeline_progress(pipeline, s, p);
            struct error problem = {0};
            if (pipeline_is_found(progress) && ops->offsets_are_bytes &&
                ops->seek(pipeline->source, p, progress->next_offset, &problem) != STATUS_OK) {
                return error_set(err, problem.status, problem.code, "%s", problem.message);
            }
        }
    }
    return STATUS_OK;
}

enum status recovery_inspect(struct pipeline *pipeline, struct error *err)
{
    enum status status = recovery_load(pipeline, err);
    if (status != STATUS_OK) {
        return status;
    }
    const struct progress *known = any_found(pipeline);
    if (known != NULL) {
        memcpy(pipeline->incarnation, known->incarnation, sizeof pipeline->incarnation);
        memcpy(pipeline->hash_key, known->hash_key, sizeof pipeline->hash_key);
        status = check_found(pipeline, err);
        if (status == STATUS_OK) {
            status = check_ends_of_records(pipeline, err);
        }
    }
    return status == STATUS_OK ? inspect_missing(pipeline, known == NULL, err) : status;
}

/* --- alignment --- */

bool recovery_needs_alignment(const struct pipeline *pipeline, struct hash128 *out_plan_hash)
{
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        const struct progress *first = pipeline_progress(pipeline, 0, p);
        if (!pipeline->partitions[p].is_mine) {
            continue;
        }
        for (uint32_t s = 1; s < pipeline->plan->system_count; s++) {
            const struct progress *other = pipeline_progress(pipeline, s, p);
            const struct progress *ahead =
                other->next_offset > first->next_offset ? other : first;
            struct hash128 last = ahead->plans[ahead->plan_count - 1].plan_hash;
            if (other->next_offset != first->next_offset &&
                !hash_equal(last, pipeline->plan->hash)) {
                *out_plan_hash = last;
                return true;
            }
        }
    }
    return false;
}

enum status recovery_refuse_left_out(const struct pipeline *pipeline, struct error *err)
{
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        const struct progress *furthest = pipeline_furthest(pipeline, p);
        for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
            const struct progress *progress = pipeline_progress(pipeline, s, p);
            if (progress->next_offset < furthest->next_offset) {
                return error_set(err, STATUS_CONFIG, "progress.left_out",
                                 "%s has come to offset %lld of '%s' [%s], and the pipeline went "
                                 "on to %lld without it while its file did not name it: what "
                                 "passed meanwhile would be missing there; give its sinks a new "
                                 "place",
                                 pipeline->plan->systems[s]->name,
                                 (long long)progress->next_offset, progress->topic,
                                 progress->partition, (long long)furthest->next_offset);
            }
        }
    }
    check(!"all systems stand at one position");
    return STATUS_FATAL;
}
