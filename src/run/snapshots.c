#include "run/snapshots.h"

#include "base/broken.h"
#include "base/time.h"
#include "os/clock.h"
#include "run/telemetry.h"
#include "state/snapshot.h"

#define WAIT_US (5 * INT64_C(1000))

enum {
    /* Of about 32 bytes each, a step is done in some milliseconds. */
    SLOTS_PER_STEP = 64 * 1024,
    /* The writer takes so much at a time. */
    HAND_OVER_BYTES = 1024 * 1024,
    /* While it is busy changes may add to that up to here; then they wait. */
    PENDING_MAX_BYTES = 16 * 1024 * 1024,
};

struct snapshots {
    struct pipeline *pipeline;
    int64_t round_us;   /* when the last round ended */
    bool in_round;
    uint32_t partition; /* the one whose turn it is */
    /* A snapshot is under way: */
    struct snapshot_writer *writer; /* NULL: none is */
    struct stage_copy copy;
    bool is_copying;
    bool is_published;  /* asked to be */
    int64_t offset;     /* what it is a snapshot of */
};

/* What the snapshots of a partition are found by. */
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

struct snapshots *snapshots_new(struct pipeline *pipeline)
{
    struct snapshots *snapshots = memory_alloc_zero(1, sizeof *snapshots);
    snapshots->pipeline = pipeline;
    snapshots->round_us = clock_monotonic_us();
    return snapshots;
}

/* --- one snapshot --- */

static void hand_over(void *context, struct buffer *out)
{
    struct snapshots *snapshots = context;
    if (out->size >= PENDING_MAX_BYTES || snapshot_writer_is_idle(snapshots->writer)) {
        snapshot_writer_append(snapshots->writer, out);
    }
}

static bool is_wanted(const struct pipeline *pipeline, uint32_t p)
{
    const struct partition *partition = &pipeline->partitions[p];
    return pipeline->plan->stage.horizon_us != 0 && partition->is_mine &&
           partition->state != NULL &&
           partition->state->next_offset != partition->snapshot_offset;
}

static enum status begin(struct snapshots *snapshots, struct error *err)
{
    struct pipeline *pipeline = snapshots->pipeline;
    const struct partition *partition = &pipeline->partitions[snapshots->partition];
    struct snapshot_identity identity = identity_of(pipeline, snapshots->partition);
    struct snapshot_head head = {
        .next_offset = partition->state->next_offset,
        .plan_hash = pipeline->plan->hash,
        .last_record_hash = partition->state->last_record_hash,
    };
    enum status status = snapshot_writer_open(pipeline->state_folder, &identity, &head,
                                              &snapshots->writer, err);
    if (status == STATUS_OK) {
        snapshots->offset = head.next_offset;
        snapshots->is_copying = true;
        snapshots->is_published = false;
        stage_copy_begin(&snapshots->copy, partition->state, &pipeline->plan->stage, hand_over,
                         snapshots, HAND_OVER_BYTES);
    }
    return status;
}

static void end_copy(struct snapshots *snapshots)
{
    if (snapshots->is_copying) {
        stage_copy_end(&snapshots->copy);
        snapshots->is_copying = false;
    }
}

static void end_snapshot(struct snapshots *snapshots)
{
    end_copy(snapshots);
    snapshot_writer_close(snapshots->writer);
    snapshots->writer = NULL;
}

static void warn(const struct snapshots *snapshots, const struct error *err)
{
    pipeline_warn(snapshots->pipeline, "no snapshot: %s (%s)", err->message, err->code);
}

/* What is in the copy's buffer. May wait, if the writer is not idle. */
static void write_pending(struct snapshots *snapshots)
{
    if (snapshots->copy.pieces.out.size > 0) {
        snapshot_writer_append(snapshots->writer, &snapshots->copy.pieces.out);
    }
}

static bool is_committed(const struct snapshots *snapshots)
{
    const struct pipeline *pipeline = snapshots->pipeline;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        if (committer_answered(pipeline->committers[s], snapshots->partition) <
            snapshots->offset) {
            return false;
        }
    }
    return true;
}

/* --- rounds --- */

static void end_round(struct snapshots *snapshots)
{
    snapshots->in_round = false;
    snapshots->round_us = clock_monotonic_us();
}

static void next_snapshot(struct snapshots *snapshots)
{
    struct pipeline *pipeline = snapshots->pipeline;
    while (snapshots->partition < pipeline->partition_count &&
           !is_wanted(pipeline, snapshots->partition)) {
        snapshots->partition++;
    }
    struct error err = {0};
    if (snapshots->partition == pipeline->partition_count) {
        telemetry_snapshot(pipeline->telemetry);
        end_round(snapshots);
    } else if (begin(snapshots, &err) != STATUS_OK) {
        warn(snapshots, &err);
        end_round(snapshots);
    }
}

static void look_at_outcome(struct snapshots *snapshots)
{
    struct error err = {0};
    enum snapshot_outcome outcome = snapshot_writer_outcome(snapshots->writer, &err);
    if (outcome == SNAPSHOT_UNDER_WAY) {
        return;
    }
    end_snapshot(snapshots);
    if (outcome == SNAPSHOT_PUBLISHED) {
        snapshots->pipeline->partitions[snapshots->partition].snapshot_offset = snapshots->offset;
        snapshots->partition++;
    } else {
        warn(snapshots, &err);
        end_round(snapshots);
    }
}

static void advance(struct snapshots *snapshots)
{
    if (snapshots->is_copying && snapshot_writer_is_idle(snapshots->writer) &&
        stage_copy_continue(&snapshots->copy, SLOTS_PER_STEP) &&
        snapshot_writer_is_idle(snapshots->writer)) {
        write_pending(snapshots);
        end_copy(snapshots);
    }
    if (!snapshots->is_copying && !snapshots->is_published &&
        (is_committed(snapshots) || BROKEN("snapshot-early"))) {
        snapshots->is_published = true;
        snapshot_writer_publish(snapshots->writer);
    }
    look_at_outcome(snapshots);
}

static bool is_due(const struct snapshots *snapshots)
{
    int64_t interval_us = snapshots->pipeline->plan->snapshot_interval_us;
    return interval_us != 0 && clock_monotonic_us() - snapshots->round_us >= interval_us;
}

void snapshots_step(struct snapshots *snapshots)
{
    if (!snapshots->in_round) {
        if (!is_due(snapshots)) {
            return;
        }
        snapshots->in_round = true;
        snapshots->partition = 0;
    }
    if (snapshots->writer == NULL) {
        next_snapshot(snapshots);
    } else {
        advance(snapshots);
    }
}

int64_t snapshots_patience_us(const struct snapshots *snapshots)
{
    return snapshots->in_round ? WAIT_US : INT64_MAX;
}

static enum status take_now(struct snapshots *snapshots, struct error *err)
{
    enum status status = begin(snapshots, err);
    if (status != STATUS_OK) {
        return status;
    }
    while (!stage_copy_continue(&snapshots->copy, SLOTS_PER_STEP)) {
        write_pending(snapshots); /* What was left because the writer was busy does not pile up. */
    }
    write_pending(snapshots);
    end_copy(snapshots);
    check(is_committed(snapshots));
    snapshot_writer_publish(snapshots->writer);
    status = snapshot_writer_wait(snapshots->writer, err);
    if (status == STATUS_OK) {
        snapshots->pipeline->partitions[snapshots->partition].snapshot_offset = snapshots->offset;
    }
    end_snapshot(snapshots);
    return status;
}

void snapshots_take_all(struct snapshots *snapshots)
{
    struct pipeline *pipeline = snapshots->pipeline;
    /* One that is under way is of an earlier position. */
    end_snapshot(snapshots);
    struct error err = {0};
    for (uint32_t p = 0; p < pipeline->partition_count && err.status == STATUS_OK; p++) {
        snapshots->partition = p;
        if (is_wanted(pipeline, p) && take_now(snapshots, &err) != STATUS_OK) {
            warn(snapshots, &err);
        }
    }
    if (err.status == STATUS_OK) {
        telemetry_snapshot(pipeline->telemetry);
    }
    end_round(snapshots);
}

void snapshots_free(struct snapshots *snapshots)
{
    end_snapshot(snapshots);
    memory_free(snapshots);
}

/* --- reading one back --- */

static void warn_of_unfit(void *context, const char *message)
{
    pipeline_warn(context, "%s; it is ignored, the state is rebuilt from the log", message);
}

/* The newest snapshot. One beyond every R is refused: R went back behind what was committed. */
static enum status load_newest(struct pipeline *pipeline, uint32_t p, int64_t furthest,
                               struct snapshot_reader **out, bool *out_found, struct error *err)
{
    struct snapshot_identity identity = identity_of(pipeline, p);
    enum status status = snapshot_load(pipeline->state_folder, &identity, INT64_MAX,
                                       warn_of_unfit, pipeline, out, out_found, err);
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
                                 uint32_t *out_current, bool *out_found, struct error *err)
{
    struct partition *partition = &pipeline->partitions[p];
    const struct snapshot_head *head = snapshot_reader_head(reader);
    if (head->next_offset < slowest->state_start.offset) {
        return STATUS_OK;
    }
    int64_t before = head->next_offset - (head->next_offset > slowest->plans[0].offset);
    *out_current = replayer_plan_at(partition->plans, partition->plan_count, before);
    const struct judge *judge = NULL;
    enum status status =
        replayer_judge(replayer, partition->plans[*out_current].plan_hash, &judge, err);
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
        warn_of_unfit(pipeline, broken.message);
    }
    return STATUS_OK;
}

/* The newest snapshot tells whether R went back, and mostly it is the one to begin with. */
enum status snapshots_restore(struct pipeline *pipeline, struct replayer *replayer, uint32_t p,
                              const struct progress *slowest, int64_t furthest,
                              uint32_t *out_current, bool *out_found, struct error *err)
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
                               warn_of_unfit, pipeline, &reader, &found, err);
    }
    if (status == STATUS_OK && found && pipeline->plan->source_ops->can_replay) {
        status = read_snapshot(pipeline, replayer, p, slowest, reader, out_current, out_found,
                               err);
    }
    snapshot_reader_close(reader);
    return status;
}
