/*
 * Recovery: from what the systems say to a pipeline that can go on.
 *
 *   recovery_load     R of every system and partition
 *   recovery_claim    first start (first_start.c), or the refusals → ownership (compare-and-swap)
 *   recovery_rebuild  newest snapshot or state_start → silent replay → state at the position of the
 *                     slowest system
 *
 * What is refused here, each with the one way on: R that was lost, of a system or of one partition;
 * another incarnation (foreign R); a topic made anew; another number of partitions; an R beyond the
 * end of the log; an R behind a snapshot (it went back); a system that was left out for a while; a
 * log whose records are not those that were consumed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/broken.h"
#include "os/clock.h"
#include "os/random.h"
#include "os/thread.h"
#include "run/pipeline.h"
#include "run/replayer.h"
#include "state/snapshot.h"

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

/* --- rebuild --- */

/* R of the system that has come least far, and of the one that has come furthest. */
static void find_slowest(const struct pipeline *pipeline, uint32_t p,
                         const struct progress **out_slowest,
                         const struct progress **out_furthest)
{
    *out_slowest = *out_furthest = pipeline_progress(pipeline, 0, p);
    for (uint32_t s = 1; s < pipeline->plan->system_count; s++) {
        const struct progress *progress = pipeline_progress(pipeline, s, p);
        if (progress->next_offset < (*out_slowest)->next_offset) {
            *out_slowest = progress;
        }
        if (progress->next_offset > (*out_furthest)->next_offset) {
            *out_furthest = progress;
        }
    }
}

static struct snapshot_identity identity_of(const struct pipeline *pipeline, uint32_t p)
{
    const struct source_partition *source = pipeline->partitions[p].source;
    struct snapshot_identity identity = {
        .pipeline = pipeline->plan->name,
        .topic_id = source->topic_id,
        .partition = pipeline->partitions[p].snapshot_label,
    };
    memcpy(identity.incarnation, pipeline->incarnation, sizeof identity.incarnation);
    return identity;
}

static void warn_of_snapshot(void *context, const char *message)
{
    pipeline_warn(context, "%s; it is ignored, the state is rebuilt from the log", message);
}

/* The newest snapshot. One beyond every R is refused: R went back behind what was committed. */
static enum status load_newest(struct pipeline *pipeline, uint32_t p, int64_t furthest,
                               struct snapshot_reader **out, bool *out_found, struct error *err)
{
    struct snapshot_identity identity = identity_of(pipeline, p);
    enum status status = snapshot_load(pipeline->state_folder, &identity, INT64_MAX,
                                       warn_of_snapshot, pipeline, out, out_found, err);
    if (status != STATUS_OK || !*out_found) {
        return status;
    }
    int64_t next_offset = snapshot_reader_head(*out)->next_offset;
    if (next_offset > furthest) {
        status = error_set(err, STATUS_FATAL, "progress.behind",
                           "the progress record of '%s' [%s] stands at offset %lld, but offset "
                           "%lld had been committed: a system was restored from an older backup; "
                           "restore the newest one. If it shall stay as it is, remove the "
                           "snapshots in %s: what follows is then written again from there",
                           pipeline->partitions[p].source->topic,
                           pipeline->partitions[p].source->label, (long long)furthest,
                           (long long)next_offset, pipeline->state_folder);
    }
    return status;
}

static enum status read_pieces(struct snapshot_reader *reader, struct stage_state *state,
                               struct error *err)
{
    struct stage_reading reading = {.state = state};
    for (;;) {
        struct bytes piece;
        bool is_end = false;
        enum status status = snapshot_reader_next(reader, &piece, &is_end, err);
        if (status == STATUS_OK && !is_end) {
            status = stage_reading_piece(&reading, piece, err);
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (is_end) {
            return stage_reading_end(&reading, err);
        }
    }
}

/* State out of a snapshot; *out_found false when it does not fit. */
static enum status read_snapshot(struct pipeline *pipeline, struct replayer *replayer, uint32_t p,
                                 const struct progress *slowest, struct snapshot_reader *reader,
                                 uint32_t *current, bool *out_found, struct error *err)
{
    struct partition *partition = &pipeline->partitions[p];
    const struct snapshot_head *head = snapshot_reader_head(reader);
    if (head->next_offset < slowest->state_start.offset) {
        return STATUS_OK;
    }
    int64_t before = head->next_offset - (head->next_offset > slowest->plans[0].offset);
    *current = replayer_plan_at(partition->plans, partition->plan_count, before);
    const struct judge *judge = NULL;
    enum status status =
        replayer_judge(replayer, partition->plans[*current].plan_hash, &judge, err);
    if (status != STATUS_OK || !hash_equal(judge->plan->hash, head->plan_hash)) {
        return status;
    }
    struct error broken = {0};
    partition->state = stage_state_new(&judge->plan->stage, &pipeline->budget, 0);
    if (read_pieces(reader, partition->state, &broken) == STATUS_OK &&
        partition->state->next_offset == head->next_offset) {
        *out_found = true;
        partition->snapshot_offset = head->next_offset;
    } else {
        stage_state_free(partition->state);
        partition->state = NULL;
        warn_of_snapshot(pipeline, broken.message);
    }
    return STATUS_OK;
}

/* The newest snapshot tells whether R went back, and mostly it is the one to begin with. *out_found
 * false when there is none that fits. */
static enum status restore_snapshot(struct pipeline *pipeline, struct replayer *replayer,
                                    uint32_t p, const struct progress *slowest, int64_t furthest,
                                    uint32_t *current, bool *out_found, struct error *err)
{
    struct snapshot_reader *reader = NULL;
    bool found = false;
    *out_found = false;
    enum status status = load_newest(pipeline, p, furthest, &reader, &found, err);
    if (status == STATUS_OK && found &&
        snapshot_reader_head(reader)->next_offset > slowest->next_offset) {
        snapshot_reader_close(reader);
        reader = NULL;
        struct snapshot_identity identity = identity_of(pipeline, p);
        status = snapshot_load(pipeline->state_folder, &identity, slowest->next_offset,
                               warn_of_snapshot, pipeline, &reader, &found, err);
    }
    if (status == STATUS_OK && found && pipeline->plan->source_ops->can_replay) {
        status = read_snapshot(pipeline, replayer, p, slowest, reader, current, out_found, err);
    }
    snapshot_reader_close(reader);
    return status;
}

/* A source that cannot be read again: what was remembered is gone, and the guarantee is
 * at_least_once. */
static void start_afresh(struct pipeline *pipeline, uint32_t p, const struct progress *slowest)
{
    struct partition *partition = &pipeline->partitions[p];
    partition->plan_count = 1;
    partition->state = stage_state_new(&pipeline->plan->stage, &pipeline->budget,
                                       slowest->next_offset);
    partition->state->greatest_us = slowest->greatest_us;
    partition->plans[0] = (struct plan_change){.offset = slowest->next_offset,
                                               .plan_hash = pipeline->plan->hash,
                                               .horizon_us = pipeline->plan->stage.horizon_us};
}

/* No snapshot, and what state is rebuilt from is gone. OK: it shall begin with nothing. */
static enum status state_expired(const struct pipeline *pipeline, uint32_t p,
                                 const struct progress *slowest, struct error *err)
{
    const struct source_partition *source = pipeline->partitions[p].source;
    if (!pipeline->options->accept_incomplete_state) {
        return error_set(err, STATUS_CONFIG, "source.offset_expired",
                         "the state of '%s' [%s] must be rebuilt from offset %lld, but the source "
                         "begins at %lld now, and there is no snapshot: restore the snapshots of "
                         "%s; or start with --accept-incomplete-state, which goes on at %lld with "
                         "nothing remembered: duplicates of earlier records are not found, and "
                         "nothing is filled from them",
                         source->topic, source->label, (long long)slowest->state_start.offset,
                         (long long)source->first_offset, pipeline->state_folder,
                         (long long)slowest->next_offset);
    }
    pipeline_warn(pipeline,
                  "'%s' [%s]: nothing is remembered of what stood before offset %lld; duplicates "
                  "of it are not found, and nothing is filled from it, until the horizon has "
                  "passed from there on",
                  source->topic, source->label, (long long)slowest->next_offset);
    return STATUS_OK;
}

static enum status start_from_anchor(struct pipeline *pipeline, struct replayer *replayer,
                                     uint32_t p, const struct progress *slowest,
                                     uint32_t *current, struct error *err)
{
    struct partition *partition = &pipeline->partitions[p];
    struct anchor begin = slowest->state_start;
    const struct anchor *anchor = &begin;
    if (begin.offset < partition->source->first_offset) {
        enum status expired = state_expired(pipeline, p, slowest, err);
        if (expired != STATUS_OK) {
            return expired;
        }
        /* A state that depended on what is gone could not be rebuilt a second time. */
        begin = (struct anchor){.offset = slowest->next_offset,
                                .greatest_us = slowest->greatest_us,
                                .candidates = slowest->candidates};
    }
    *current = replayer_plan_at(partition->plans, partition->plan_count, anchor->offset);
    const struct judge *judge = NULL;
    enum status status =
        replayer_judge(replayer, partition->plans[*current].plan_hash, &judge, err);
    if (status == STATUS_OK) {
        partition->state = stage_state_new(&judge->plan->stage, &pipeline->budget,
                                           anchor->offset);
        stage_state_start_at(partition->state, anchor);
    }
    return status;
}

static enum status log_is_another(const struct partition *partition, int64_t offset,
                                  struct error *err)
{
    return error_set(err, STATUS_CONFIG, "source.changed",
                     "the record of '%s' [%s] before offset %lld is not the one that was consumed: "
                     "the source was replaced or edited; restore it, or give the pipeline another "
                     "name to start afresh",
                     partition->source->topic, partition->source->label, (long long)offset);
}

/* Reads up to `target` without output. */
static enum status replay_to(struct pipeline *pipeline, struct replayer *replayer, uint32_t p,
                             int64_t target, uint32_t *current, uint64_t *out_rows,
                             struct error *err)
{
    struct partition *partition = &pipeline->partitions[p];
    struct source *source = pipeline->source;
    enum status status = source->ops->seek(source, p, partition->state->next_offset, err);
    while (status == STATUS_OK && partition->state->next_offset < target) {
        const struct judge *judge = NULL;
        status = replayer_next(replayer, source, p, partition->plans, partition->plan_count,
                               current, partition->state, target, STAGE_SILENT, &judge, err);
        if (status == STATUS_OK && judge->batch->row_count == 0) {
            return pipeline->is_compacted ? STATUS_OK : log_is_another(partition, target, err);
        }
        *out_rows += status == STATUS_OK ? judge->batch->row_count : 0;
        if (status == STATUS_OK && (stop_requested() || assignment_has_changed(pipeline))) {
            return STATUS_OK;
        }
    }
    return status;
}

static bool is_zero(struct hash128 hash)
{
    return hash.low == 0 && hash.high == 0;
}

/* The record at `offset`, read again, must be the one that was consumed. What has expired, or was
 * never known, cannot be verified. */
static enum status verify_record(struct pipeline *pipeline, const struct judge *judge, uint32_t p,
                                 int64_t offset, struct hash128 hash, struct error *err)
{
    struct partition *partition = &pipeline->partitions[p];
    const struct source_ops *ops = pipeline->source->ops;
    if (is_zero(hash) || offset < partition->source->first_offset) {
        return STATUS_OK;
    }
    batch_reset(judge->batch, p, 0);
    enum status status = ops->seek(pipeline->source, p, offset, err);
    if (status == STATUS_OK) {
        status = ops->read(pipeline->source, p, judge->batch, offset + 1, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (judge->batch->row_count == 0 && stop_requested()) {
        /* A source that waits for its records waits no longer: nothing was seen. */
        return error_set(err, STATUS_RETRY, "stop.requested", "a stop was asked for");
    }
    bool is_there = judge->batch->row_count > 0 && judge->batch->records[0].offset == offset;
    if (!is_there && pipeline->is_compacted) {
        return STATUS_OK; /* a missing one cannot be verified */
    }
    bool is_same = is_there &&
                   hash_equal(record_hash(stage_runner_secret(judge->runner),
                                          &judge->batch->records[0]),
                              hash);
    return is_same ? STATUS_OK : log_is_another(partition, offset + 1, err);
}

/* Whether the log is still the one that was consumed: its last record and that of the anchor, also
 * where a snapshot spared reading them. */
static enum status verify_log(struct pipeline *pipeline, struct replayer *replayer, uint32_t p,
                              const struct progress *slowest, struct error *err)
{
    const struct partition *partition = &pipeline->partitions[p];
    const struct stage_state *state = partition->state;
    if (!is_zero(state->last_record_hash) && !is_zero(slowest->last_record_hash) &&
        !hash_equal(state->last_record_hash, slowest->last_record_hash)) {
        return log_is_another(partition, slowest->next_offset, err);
    }
    const struct judge *judge = NULL;
    enum status status = replayer_judge(replayer, pipeline->plan->hash, &judge, err);
    if (status == STATUS_OK) {
        status = verify_record(pipeline, judge, p, slowest->state_start.offset,
                               slowest->state_start.record_hash, err);
    }
    if (status == STATUS_OK) {
        status = verify_record(pipeline, judge, p, state->last_record_offset,
                               state->last_record_hash, err);
    }
    return status;
}

/* The history from the slowest system's state_start on: its own, which reaches back far enough, and
 * what came behind. */
static void take_plans(struct partition *partition, const struct progress *slowest,
                       const struct progress *furthest)
{
    size_t most = (size_t)slowest->plan_count + furthest->plan_count + 1;
    partition->plans = memory_alloc(size_mul(most, sizeof *partition->plans));
    memcpy(partition->plans, slowest->plans, slowest->plan_count * sizeof *partition->plans);
    partition->plan_count = slowest->plan_count;
    for (uint32_t i = 0; i < furthest->plan_count; i++) {
        const struct plan_change *last = &partition->plans[partition->plan_count - 1];
        const struct plan_change *next = &furthest->plans[i];
        if (next->offset > last->offset ||
            (next->offset == last->offset && !hash_equal(next->plan_hash, last->plan_hash))) {
            partition->plans[partition->plan_count++] = *next;
        }
    }
}

/* Whether the plan remembers something that the one before did not, or by another key. */
static bool remembers_anew(const struct stage_plan *from, const struct stage_plan *to)
{
    if (to->dedup_field_count > 0 &&
        (from->dedup_field_count == 0 || !hash_equal(from->dedup_identity, to->dedup_identity))) {
        return true;
    }
    for (uint32_t i = 0; i < to->fill_count; i++) {
        bool is_known = to->fills[i].kind != FILL_LAST_BY;
        for (uint32_t k = 0; k < from->fill_count && !is_known; k++) {
            is_known = from->fills[k].kind == FILL_LAST_BY &&
                       hash_equal(from->fills[k].identity, to->fills[i].identity);
        }
        if (!is_known) {
            return true;
        }
    }
    return false;
}

static void tell_of_memory(const struct pipeline *pipeline, const struct partition *partition,
                           const struct stage_plan *from, const struct stage_plan *to)
{
    const char *how = remembers_anew(from, to)
                          ? "remembers by other fields, of which nothing is known yet"
                      : to->horizon_us > from->horizon_us ? "remembers longer"
                                                          : NULL;
    if (how != NULL) {
        pipeline_talk(pipeline, "'%s' [%s]: the changed plan %s; that is complete only after its "
                                "horizon has passed from offset %lld on",
                      partition->source->topic, partition->source->label, how,
                      (long long)partition->state->next_offset);
    }
}

/* From here on the running plan judges. */
static enum status switch_plan(struct pipeline *pipeline, struct replayer *replayer, uint32_t p,
                               uint32_t current, struct error *err)
{
    struct partition *partition = &pipeline->partitions[p];
    const struct plan *plan = pipeline->plan;
    const struct judge *judge = NULL;
    if (hash_equal(partition->plans[partition->plan_count - 1].plan_hash, plan->hash)) {
        return STATUS_OK;
    }
    enum status status =
        replayer_judge(replayer, partition->plans[current].plan_hash, &judge, err);
    if (status != STATUS_OK) {
        return status;
    }
    int64_t offset = partition->state->next_offset;
    stage_state_change_plan(partition->state, &judge->plan->stage, &plan->stage);
    tell_of_memory(pipeline, partition, &judge->plan->stage, &plan->stage);
    partition->plans[partition->plan_count++] = (struct plan_change){
        .offset = offset, .plan_hash = plan->hash, .horizon_us = plan->stage.horizon_us};
    return STATUS_OK;
}

/* False when a stop signal cut its replay short. */
static bool is_partition_rebuilt(const struct pipeline *pipeline, uint32_t p)
{
    const struct progress *slowest = NULL;
    const struct progress *furthest = NULL;
    find_slowest(pipeline, p, &slowest, &furthest);
    return pipeline->partitions[p].state->next_offset >= slowest->next_offset;
}

static enum status rebuild_partition(struct pipeline *pipeline, struct replayer *replayer,
                                     uint32_t p, uint64_t *out_rows, struct error *err)
{
    struct partition *partition = &pipeline->partitions[p];
    const struct progress *slowest = NULL;
    const struct progress *furthest = NULL;
    find_slowest(pipeline, p, &slowest, &furthest);
    take_plans(partition, slowest, furthest);
    uint32_t current = 0;
    bool found = false;
    enum status status = restore_snapshot(pipeline, replayer, p, slowest,
                                          furthest->next_offset, &current, &found, err);
    if (status == STATUS_OK && !pipeline->plan->source_ops->can_replay) {
        start_afresh(pipeline, p, slowest);
        return STATUS_OK;
    }
    if (status == STATUS_OK && !found) {
        status = start_from_anchor(pipeline, replayer, p, slowest, &current, err);
    }
    if (status == STATUS_OK && BROKEN("no-replay")) {
        stage_state_free(partition->state);
        partition->state = stage_state_new(&pipeline->plan->stage, &pipeline->budget,
                                           slowest->next_offset);
        return pipeline->source->ops->seek(pipeline->source, p, slowest->next_offset, err);
    }
    if (status != STATUS_OK ||
        (status = replay_to(pipeline, replayer, p, slowest->next_offset, &current, out_rows,
                            err)) != STATUS_OK ||
        !is_partition_rebuilt(pipeline, p) ||
        (status = replayer_carry_over(replayer, partition->plans, partition->plan_count, &current,
                                      partition->state, err)) != STATUS_OK ||
        (status = verify_log(pipeline, replayer, p, slowest, err)) != STATUS_OK) {
        return status;
    }
    /* Under unequal cursors the running plan is the last one already (run.c aligns first). */
    return slowest->next_offset == furthest->next_offset
               ? switch_plan(pipeline, replayer, p, current, err)
               : STATUS_OK;
}

static bool is_first_start(const struct pipeline *pipeline)
{
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        const struct progress *slowest = NULL;
        const struct progress *furthest = NULL;
        find_slowest(pipeline, p, &slowest, &furthest);
        if (furthest->epoch > 0 || pipeline->is_shared) {
            return false;
        }
    }
    return true;
}

static void drop_state(struct partition *partition)
{
    stage_state_free(partition->state);
    memory_free(partition->plans);
    partition->state = NULL;
    partition->plans = NULL;
    partition->plan_count = 0;
}

/* State that stands where R of every system does: the partition never left, or came back before anybody
 * went on with it. What stands elsewhere is dropped. */
static bool is_partition_kept(struct pipeline *pipeline, uint32_t p)
{
    struct partition *partition = &pipeline->partitions[p];
    if (partition->state == NULL) {
        return false;
    }
    bool is_there = true;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        is_there = is_there && pipeline_progress(pipeline, s, p)->next_offset ==
                                   partition->state->next_offset;
    }
    if (!is_there && !BROKEN("lost-kept")) {
        drop_state(partition);
    }
    return is_there || BROKEN("lost-kept");
}

enum status recovery_rebuild(struct pipeline *pipeline, struct error *err)
{
    bool quiet = is_first_start(pipeline);
    int64_t begin_us = clock_monotonic_us();
    if (!quiet) {
        pipeline_talk(pipeline, "recovering");
    }
    struct replayer *replayer =
        replayer_new(pipeline->plan, pipeline->plan->systems, pipeline->plan->system_count,
                     pipeline->hash_key);
    uint64_t rows = 0;
    enum status status = STATUS_OK;
    bool is_cut = false;
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK && !is_cut; p++) {
        if (!pipeline->partitions[p].is_mine || is_partition_kept(pipeline, p)) {
            continue;
        }
        status = rebuild_partition(pipeline, replayer, p, &rows, err);
        if (status != STATUS_OK) {
            drop_state(&pipeline->partitions[p]); /* not whole, wherever it stands */
        }
        is_cut = status == STATUS_OK && !is_partition_rebuilt(pipeline, p);
    }
    replayer_free(replayer);
    pipeline->is_rebuilt = status == STATUS_OK && !is_cut;
    if (pipeline->is_rebuilt && !quiet) {
        pipeline_talk(pipeline, "recovered: %llu records replayed without output in %lld ms",
                      (unsigned long long)rows,
                      (long long)((clock_monotonic_us() - begin_us) / 1000));
    }
    return status;
}
