/* The commit of an epoch: partition by partition, each by the steps that folder.h lists. */
#include <string.h>

#include "base/broken.h"
#include "connector/file/folder.h"
#include "connector/file/part_name.h"
#include "os/file.h"

/* One partition's part of an epoch on its way. */
struct commit {
    const struct folder_system *s;
    struct arena *arena;
    const char *label;
    struct bytes rows;
    struct sidecar next; /* R, segments and the part's name as they will be */
};

/* --- what the session knows of a partition --- */

static struct folder_partition *partition_at(struct folder_system *s, uint32_t index)
{
    if (index >= s->partition_count) {
        uint32_t count = index + 1;
        s->partitions = memory_realloc(s->partitions, size_mul(count, sizeof *s->partitions));
        memset(s->partitions + s->partition_count, 0,
               (count - s->partition_count) * sizeof *s->partitions);
        s->partition_count = count;
    }
    return &s->partitions[index];
}

/* R as the folder has it must be the one that the epoch follows. */
static enum status recall_partition(const struct folder_system *s, const struct progress *progress,
                                    struct folder_partition *partition, struct error *err)
{
    struct sidecar newest = {0};
    bool found = false;
    enum status status = folder_find_newest(s, partition->label, &newest, &found, err);
    if (status == STATUS_OK && (!found || newest.progress.epoch != progress->epoch)) {
        status = error_set(err, STATUS_FENCED, "progress.fenced",
                           "another process has written to %s: the progress record of '%s' is not "
                           "at epoch %llu",
                           s->place, progress->topic, (unsigned long long)progress->epoch);
    }
    if (status == STATUS_OK) {
        segments_copy(&partition->segments, &newest.segments);
        partition->epoch = progress->epoch;
    }
    sidecar_fini(&newest);
    return status;
}

static enum status find_partition(struct folder_system *s, uint32_t index,
                                  const struct progress *progress, struct arena *arena,
                                  struct folder_partition **out, struct error *err)
{
    struct folder_partition *partition = partition_at(s, index);
    *out = partition;
    bool is_known = partition->label != NULL;
    if (!is_known) {
        partition->label = memory_copy_string(
            part_label(arena, progress->topic, progress->topic_id, progress->partition));
    }
    if (!is_known || partition->epoch != progress->epoch) {
        return recall_partition(s, progress, partition, err);
    }
    if (!file_exists(folder_sidecar_path(s, arena, partition->label, progress->epoch))) {
        return error_set(err, STATUS_FENCED, "progress.fenced",
                         "the progress record of epoch %llu is no longer in %s: somebody else "
                         "writes to the folder, or restored it",
                         (unsigned long long)progress->epoch, s->hidden);
    }
    return STATUS_OK;
}

/* --- the steps --- */

static enum status write_part(const struct commit *commit, struct error *err)
{
    struct file_writer *writer = NULL;
    enum status status = file_writer_open(
        folder_writing_path(commit->s, commit->arena, commit->label), &writer, err);
    if (status != STATUS_OK) {
        return status;
    }
    const struct folder_sink *sink = folder_of_sink(commit->s->system.sinks[0]);
    if (sink->is_csv) {
        status = file_writer_append(writer, bytes_of(sink->header.data, sink->header.size), err);
    }
    if (status == STATUS_OK) {
        status = file_writer_append(writer, commit->rows, err);
    }
    if (status != STATUS_OK) {
        file_writer_abandon(writer);
        return status;
    }
    return file_writer_publish(
        writer,
        folder_ready_path(commit->s, commit->arena, commit->label, commit->next.progress.epoch),
        err);
}

static enum status spill_segments(struct commit *commit, struct error *err)
{
    struct segments *segments = &commit->next.segments;
    if (segments->closed_count < SEGMENTS_CLOSED_MAX) {
        return STATUS_OK;
    }
    struct buffer forms = {0};
    segments_write_closed(segments, &forms);
    enum status status =
        file_write_durably(folder_segments_path(commit->s, commit->arena, commit->label,
                                                segments_first_offset(segments)),
                           bytes_of(forms.data, forms.size), 0, err);
    buffer_fini(&forms);
    if (status == STATUS_OK) {
        segments_drop_closed(segments);
    }
    return status;
}

static enum status publish_part(const struct commit *commit, struct error *err)
{
    return file_rename_durably(
        folder_ready_path(commit->s, commit->arena, commit->label, commit->next.progress.epoch),
        folder_part_path(commit->s, commit->arena, commit->next.part), err);
}

/* The sidecar that nobody needs any more. One that cannot be removed now is swept by the next
 * session: the epoch is committed, and no failure here may say otherwise. */
static void remove_old_sidecar(const struct commit *commit)
{
    uint64_t epoch = commit->next.progress.epoch;
    struct error unused = {0};
    if (epoch >= 2) {
        const char *path = folder_sidecar_path(commit->s, commit->arena, commit->label, epoch - 2);
        enum status status = file_remove(path, &unused);
        (void)status;
    }
}

/* All steps. May be made again after RETRY: each one replaces what it left behind. */
static enum status run_commit(struct commit *commit, struct error *err)
{
    bool has_part = commit->rows.size > 0;
    enum status status = has_part ? write_part(commit, err) : STATUS_OK;
    const bool ready_first = BROKEN("ready-first");
    if (status == STATUS_OK && has_part && ready_first) {
        status = publish_part(commit, err);
    }
    if (status == STATUS_OK) {
        status = spill_segments(commit, err);
    }
    if (status == STATUS_OK) {
        status = folder_save_sidecar(commit->s, commit->label, &commit->next, err);
    }
    if (status == STATUS_OK && has_part && !ready_first) {
        status = publish_part(commit, err);
    }
    return status;
}

static struct bytes rows_of(const struct outbox *outbox, uint32_t partition)
{
    const struct folder_outbox *box = (const struct folder_outbox *)outbox;
    if (partition >= box->partition_count) {
        return BYTES_NONE;
    }
    return bytes_of(box->lines[partition].data, box->lines[partition].size);
}

static enum status commit_partition(struct folder_system *s, const struct epoch_part *part,
                                    struct bytes rows, struct progress *progress,
                                    struct arena *arena, struct error *err)
{
    struct folder_partition *partition = NULL;
    enum status status = find_partition(s, part->partition, progress, arena, &partition, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct commit commit = {.s = s, .arena = arena, .label = partition->label, .rows = rows};
    commit.next.part = memory_copy_string(
        rows.size == 0 ? ""
                       : part_name_format(arena, partition->label, part->step.first_offset,
                                          part->step.next_offset,
                                          folder_of_sink(s->system.sinks[0])->is_csv
                                              ? PART_SUFFIX_CSV
                                              : PART_SUFFIX));
    progress_copy(&commit.next.progress, progress);
    progress_apply(&commit.next.progress, &part->step);
    segments_copy(&commit.next.segments, &partition->segments);
    segments_apply(&commit.next.segments, &part->step);
    status = run_commit(&commit, err);
    if (status == STATUS_OK) {
        remove_old_sidecar(&commit);
        progress_copy(progress, &commit.next.progress);
        segments_copy(&partition->segments, &commit.next.segments);
        partition->epoch = progress->epoch;
    }
    sidecar_fini(&commit.next);
    return status;
}

/* Partitions that were committed before another one failed are past their step when the same epoch
 * is sent again. */
static bool is_done(const struct epoch_part *part, const struct progress *progress)
{
    check(part->step.first_offset < part->step.next_offset);
    return progress->next_offset >= part->step.next_offset;
}

enum status folder_commit(struct system *system, const struct epoch *epoch,
                          struct progress *progresses, struct error *err)
{
    struct folder_system *s = folder_of_system(system);
    check(s->lock != NULL && system->sink_count == 1);
    struct arena *arena = arena_new(4 * 1024);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < epoch->part_count && status == STATUS_OK; i++) {
        const struct epoch_part *part = &epoch->parts[i];
        struct progress *progress = &progresses[part->partition];
        if (is_done(part, progress)) {
            continue;
        }
        status = folder_check_owner(s, progress->owner, err);
        if (status == STATUS_OK) {
            struct bytes rows = rows_of(epoch->outboxes[0], part->partition);
            status = commit_partition(s, part, rows, progress, arena, err);
        }
    }
    arena_free(arena);
    return status;
}
