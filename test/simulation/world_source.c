/* The simulated source, whose partitions a group shares out where its systems know it. */
#include "group.h"
#include "scheduler.h"
#include "world_private.h"

struct sim_source {
    struct source source; /* first */
    int64_t position[WORLD_PARTITIONS_MAX];
};

static enum status source_open(const struct doc *config, const char *folder,
                               const struct csv_options *csv, struct source **out,
                               struct error *err)
{
    (void)config;
    (void)folder;
    (void)csv;
    scheduler_pause();
    if (world_happens(20)) {
        return error_set(err, STATUS_RETRY, "sim.away", "the source is away");
    }
    struct sim_source *source = memory_alloc_zero(1, sizeof *source);
    source->source.ops = &world_source_ops;
    *out = &source->source;
    return STATUS_OK;
}

static void source_close(struct source *source)
{
    group_leave(source);
    memory_free(source);
}

static const struct source_partition *source_partitions(struct source *source, uint32_t *out_count)
{
    (void)source;
    *out_count = world.partition_count;
    return world.partitions;
}

static enum status source_end_offset(struct source *source, uint32_t partition, int64_t *out_offset,
                                     struct error *err)
{
    (void)source;
    (void)err;
    *out_offset = world_visible(partition);
    return STATUS_OK;
}

static enum status source_seek(struct source *source, uint32_t partition, int64_t offset,
                               struct error *err)
{
    (void)err;
    ((struct sim_source *)source)->position[partition] = offset;
    return STATUS_OK;
}

/* As many as it likes. */
static enum status source_read(struct source *source, uint32_t partition, struct batch *batch,
                               int64_t limit_offset, struct error *err)
{
    scheduler_pause();
    if (world_happens(2)) {
        return error_set(err, STATUS_FATAL, "sim.read", "the source cannot be read");
    }
    int64_t *position = &((struct sim_source *)source)->position[partition];
    int64_t end = *position + 1 + (int64_t)prng_below(scheduler_prng(), 14);
    end = end < limit_offset ? end : limit_offset;
    end = end < world_visible(partition) ? end : world_visible(partition);
    for (; *position < end; ++*position) {
        *batch_append_record(batch) = world.logs[partition].records[*position];
    }
    return STATUS_OK;
}

static enum status source_join(struct source *source, const char *name, struct error *err)
{
    (void)name;
    (void)err;
    group_join(source);
    return STATUS_OK;
}

static void source_poll_assignment(struct source *source, struct source_assignment *out)
{
    scheduler_pause();
    group_poll(source, out);
}

static enum status source_answer_assignment(struct source *source, struct error *err)
{
    (void)err;
    group_answer(source);
    scheduler_pause();
    return STATUS_OK;
}

static bool source_is_finished(struct source *source)
{
    (void)source;
    return false;
}

static void source_wait(struct source *source, int64_t timeout_us)
{
    (void)source;
    scheduler_sleep_us(1 + (int64_t)prng_below(scheduler_prng(), (uint64_t)timeout_us));
}

const struct source_ops world_source_ops = {
    .kind = "local",
    .can_replay = true,
    .ahead_rows = 4,
    .has_keys = true,
    .timestamp_kind = TIMESTAMP_BROKER,
    .open = source_open,
    .close = source_close,
    .partitions = source_partitions,
    .end_offset = source_end_offset,
    .seek = source_seek,
    .read = source_read,
    .join = source_join,
    .poll_assignment = source_poll_assignment,
    .answer_assignment = source_answer_assignment,
    .is_finished = source_is_finished,
    .wait = source_wait,
};
