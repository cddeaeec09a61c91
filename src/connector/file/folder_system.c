/* The folder as a system: sessions, the first start, ownership. */
#include "connector/file/folder.h"

#include <string.h>

#include "connector/file/file.h"
#include "connector/file/part_name.h"
#include "os/file.h"

#define OWNERSHIP_BYTE 0u
/* Commits of one partition are at least a sync apart, so that a few looks are enough. */
#define READER_LOOKS 8u

static const char *place_of(const struct system *system)
{
    return folder_of_system(system)->place;
}

/* --- sessions --- */

static void close_session(struct system *system)
{
    struct folder_system *s = folder_of_system(system);
    for (uint32_t i = 0; i < s->partition_count; i++) {
        memory_free(s->partitions[i].label);
        segments_fini(&s->partitions[i].segments);
    }
    memory_free(s->partitions);
    memory_free(s->pipeline);
    lock_file_close(s->lock);
    s->partitions = NULL;
    s->partition_count = 0;
    s->pipeline = NULL;
    s->lock = NULL;
}

static enum status take_lock(struct folder_system *s, struct error *err)
{
    struct arena *arena = arena_new(1024);
    bool taken = false;
    enum status status = lock_file_open(arena_printf(arena, "%s/lock", s->hidden), &s->lock, err);
    if (status == STATUS_OK) {
        status = lock_try(s->lock, OWNERSHIP_BYTE, &taken, err);
    }
    if (status == STATUS_OK && !taken) {
        status = error_set(err, STATUS_CONFIG, "group.owned",
                           "another process is at work on the folder %s for pipeline '%s': stop it "
                           "first",
                           s->place, s->pipeline);
    }
    arena_free(arena);
    return status;
}

static enum status open_session(struct system *system, const char *pipeline, struct error *err)
{
    struct folder_system *s = folder_of_system(system);
    check(s->lock == NULL);
    s->pipeline = memory_copy_string(pipeline);
    enum status status = folder_make(s->hidden, err);
    if (status == STATUS_OK) {
        status = take_lock(s, err);
    }
    if (status == STATUS_OK) {
        status = folder_check_pipeline(s, err);
    }
    if (status != STATUS_OK) {
        close_session(system);
    }
    return status;
}

static enum status open_reader(struct system *system, const char *pipeline, struct error *err)
{
    struct folder_system *s = folder_of_system(system);
    if (!folder_exists(s->hidden)) {
        return error_set(err, STATUS_CONFIG, "progress.none",
                         "pipeline '%s' has not run with the folder %s yet; run it first: weir run",
                         pipeline, s->place);
    }
    s->pipeline = memory_copy_string(pipeline);
    enum status status = folder_check_pipeline(s, err);
    if (status != STATUS_OK) {
        close_session(system);
    }
    return status;
}

/* --- R --- */

static enum status check_part(const struct folder_system *s, const char *name,
                              const struct progress *progress, bool is_found, struct error *err)
{
    if (!is_found) {
        return error_set(err, STATUS_FATAL, "progress.lost",
                         "%s holds the part %s, but no progress record of it in .weir: restore the "
                         "folder from a backup, or take its parts elsewhere and start afresh",
                         s->place, name);
    }
    return error_set(err, STATUS_FATAL, "progress.behind",
                     "%s holds the part %s, but the progress record ends at offset %lld: it was "
                     "restored from an older backup. Restore the newest one; or, if it shall stay "
                     "as it is, remove the parts behind that offset: they are written again",
                     s->place, name, (long long)progress->next_offset);
}

/* No part may lie beyond R. */
static enum status check_parts(const struct folder_system *s, const char *label,
                               const struct progress *progress, bool is_found, struct error *err)
{
    struct arena *arena = arena_new(64 * 1024);
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, s->place, &names, &count, err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct part_name part;
        if (part_name_parse(names[i], &part) && bytes_equal_string(part.label, label) &&
            (!is_found || part.next_offset > progress->next_offset)) {
            status = check_part(s, names[i], progress, is_found, err);
        }
    }
    arena_free(arena);
    return status;
}

static enum status check_identity(const struct folder_system *s,
                                  const struct source_partition *partition,
                                  const struct progress *progress, struct error *err)
{
    if (s->pipeline != NULL && strcmp(progress->pipeline, s->pipeline) != 0) {
        return error_set(err, STATUS_CONFIG, "folder.other_pipeline",
                         "the folder %s belongs to pipeline '%s'; give pipeline '%s' a folder of "
                         "its own",
                         s->place, progress->pipeline, s->pipeline);
    }
    if (strcmp(progress->topic, partition->topic) != 0) {
        return error_set(err, STATUS_CONFIG, "folder.other_source",
                         "the parts of the folder %s were made of '%s'; what is made of '%s' needs "
                         "a folder of its own",
                         s->place, progress->topic, partition->topic);
    }
    return STATUS_OK;
}

static enum status load_once(const struct folder_system *s,
                             const struct source_partition *partition, struct progress *progress,
                             bool *out_found, struct error *err)
{
    struct arena *arena = arena_new(1024);
    const char *label = part_label(arena, partition->topic, partition->topic_id, partition->label);
    struct sidecar newest = {0};
    bool found = false;
    enum status status = folder_find_newest(s, label, &newest, &found, err);
    if (status == STATUS_OK && found) {
        status = check_identity(s, partition, &newest.progress, err);
    }
    if (status == STATUS_OK) {
        status = check_parts(s, label, &newest.progress, found, err);
    }
    if (status == STATUS_OK) {
        *out_found = found;
    }
    if (status == STATUS_OK && found) {
        *progress = newest.progress; /* moved */
        newest.progress = (struct progress){0};
    }
    sidecar_fini(&newest);
    arena_free(arena);
    return status;
}

/* Who does not own the folder may look at it in the middle of a commit, and see a sidecar before its
 * part, or a part before its sidecar: then a later look sees both. */
static enum status load(struct system *system, const struct source_partition *partition,
                        struct progress *progress, bool *out_found, struct error *err)
{
    const struct folder_system *s = folder_of_system(system);
    uint32_t looks = s->lock != NULL ? 1 : READER_LOOKS;
    struct error problem = {0};
    enum status status = load_once(s, partition, progress, out_found, &problem);
    for (uint32_t look = 1; status == STATUS_FATAL && look < looks; look++) {
        error_clear(&problem);
        status = load_once(s, partition, progress, out_found, &problem);
    }
    if (status != STATUS_OK && err != NULL && err->status == STATUS_OK) {
        *err = problem;
    }
    return status;
}

static enum status load_first(struct system *system, const struct source_partition *partition,
                              struct progress *progress, bool *out_found, struct error *err)
{
    struct arena *arena = arena_new(1024);
    const char *label = part_label(arena, partition->topic, partition->topic_id, partition->label);
    enum status status =
        folder_load_first(folder_of_system(system), label, progress, out_found, err);
    arena_free(arena);
    return status;
}

static enum status count_partitions(struct system *system, uint32_t *out_count, struct error *err)
{
    return folder_count_labels(folder_of_system(system), out_count, err);
}

static const char *label_of(struct arena *arena, const struct progress *progress)
{
    return part_label(arena, progress->topic, progress->topic_id, progress->partition);
}

static enum status save_plans_and_owner(const struct folder_system *s, uint64_t owner,
                                        const struct bytes *plan_texts, uint32_t plan_count,
                                        struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < plan_count && status == STATUS_OK; i++) {
        status = folder_save_plan(s, plan_texts[i], err);
    }
    return status == STATUS_OK ? folder_save_owner(s, owner, err) : status;
}

/* --- first start --- */

/* The same R again is fine: begin was interrupted, and is repeated. */
static enum status check_absent(const struct folder_system *s, const char *label,
                                const struct sidecar *first, struct error *err)
{
    struct sidecar there = {0};
    bool found = false;
    enum status status = folder_find_newest(s, label, &there, &found, err);
    if (status == STATUS_OK && found) {
        struct buffer a = {0};
        struct buffer b = {0};
        sidecar_write(first, &a);
        sidecar_write(&there, &b);
        if (!bytes_equal(bytes_of(a.data, a.size), bytes_of(b.data, b.size))) {
            status = error_set(err, STATUS_FENCED, "progress.fenced",
                               "another process was faster: %s has a progress record of '%s'",
                               s->place, first->progress.topic);
        }
        buffer_fini(&a);
        buffer_fini(&b);
    }
    sidecar_fini(&there);
    return status;
}

static enum status begin_partition(const struct folder_system *s, const struct progress *progress,
                                   bool is_dry, struct error *err)
{
    struct arena *arena = arena_new(1024);
    const char *label = label_of(arena, progress);
    struct sidecar first = {.part = memory_copy_string("")};
    progress_copy(&first.progress, progress);
    enum status status = check_absent(s, label, &first, err);
    if (status == STATUS_OK && !is_dry) {
        status = folder_save_first(s, label, progress, err);
    }
    if (status == STATUS_OK && !is_dry) {
        status = folder_save_sidecar(s, label, &first, err);
    }
    sidecar_fini(&first);
    arena_free(arena);
    return status;
}

static enum status begin(struct system *system, const struct progress *progresses, uint32_t count,
                         const struct bytes *plan_texts, uint32_t plan_count, struct error *err)
{
    const struct folder_system *s = folder_of_system(system);
    check(s->lock != NULL);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = begin_partition(s, &progresses[i], true, err);
    }
    if (status == STATUS_OK && count > 0) {
        status = save_plans_and_owner(s, progresses[0].owner, plan_texts, plan_count, err);
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = begin_partition(s, &progresses[i], false, err);
    }
    return status == STATUS_OK ? folder_sweep_temporary(s, err) : status;
}

/* --- taking over --- */

static enum status find_same(const struct folder_system *s, const char *label,
                             const struct progress *progress, struct sidecar *out,
                             struct error *err)
{
    bool found = false;
    enum status status = folder_find_newest(s, label, out, &found, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (!found || out->progress.epoch != progress->epoch ||
        out->progress.owner != progress->owner) {
        return error_set(err, STATUS_FENCED, "progress.fenced",
                         "another process has taken over the folder %s since its progress record "
                         "was read",
                         s->place);
    }
    return STATUS_OK;
}

/* The comparison alone when `is_dry`. */
static enum status take_over_partition(const struct folder_system *s,
                                       const struct progress *progress, uint64_t owner, bool is_dry,
                                       struct error *err)
{
    struct arena *arena = arena_new(1024);
    const char *label = label_of(arena, progress);
    struct sidecar newest = {0};
    enum status status = find_same(s, label, progress, &newest, err);
    if (status == STATUS_OK && !is_dry) {
        status = folder_sweep(s, label, &newest, err);
    }
    if (status == STATUS_OK && !is_dry) {
        newest.progress.owner = owner;
        status = folder_save_sidecar(s, label, &newest, err);
    }
    sidecar_fini(&newest);
    arena_free(arena);
    return status;
}

static enum status take_over(struct system *system, const struct progress *progresses,
                             uint32_t count, uint64_t owner, struct bytes plan_text,
                             struct error *err)
{
    const struct folder_system *s = folder_of_system(system);
    check(s->lock != NULL);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = take_over_partition(s, &progresses[i], owner, true, err);
    }
    /* What R was found by must last before anything is built on it: a process that was killed
     * between a rename and its fsync may have left names that only memory knows. */
    if (status == STATUS_OK) {
        status = folder_sync(s->place, err);
    }
    if (status == STATUS_OK) {
        status = folder_sync(s->hidden, err);
    }
    if (status == STATUS_OK) {
        status = save_plans_and_owner(s, owner, &plan_text, 1, err);
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = take_over_partition(s, &progresses[i], owner, false, err);
    }
    return status == STATUS_OK ? folder_sweep_temporary(s, err) : status;
}

/* --- reading back --- */

static enum status load_plan(struct system *system, struct hash128 plan_hash, struct buffer *out,
                             bool *out_found, struct error *err)
{
    return folder_load_plan(folder_of_system(system), plan_hash, out, out_found, err);
}

static enum status load_segments(struct system *system, const char *pipeline,
                                 const struct source_partition *partition,
                                 enum status (*segment)(void *context, struct bytes form,
                                                        struct error *err),
                                 void *context, struct error *err)
{
    (void)pipeline; /* a folder has one */
    struct arena *arena = arena_new(1024);
    const char *label = part_label(arena, partition->topic, partition->topic_id, partition->label);
    enum status status =
        folder_visit_segments(folder_of_system(system), label, segment, context, err);
    arena_free(arena);
    return status;
}

static void close_system(struct system *system)
{
    struct folder_system *s = folder_of_system(system);
    close_session(system);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        folder_sink_free(system->sinks[i]);
    }
    memory_free(system->sinks);
    memory_free(s->place);
    memory_free(s->name);
    memory_free(s->hidden);
    memory_free(s);
}

/* A folder has one pipeline. */
static bool is_owned(struct system *system, const char *pipeline)
{
    (void)pipeline;
    struct buffer name = {0};
    buffer_printf(&name, "%s/lock", folder_of_system(system)->hidden);
    bool is_held = lock_is_held(buffer_string(&name), OWNERSHIP_BYTE);
    buffer_fini(&name);
    return is_held;
}

const struct system_ops folder_system_ops = {
    .kind = "file",
    .place = place_of,
    .open_session = open_session,
    .open_reader = open_reader,
    .close_session = close_session,
    .is_owned = is_owned,
    .load = load,
    .load_first = load_first,
    .count_partitions = count_partitions,
    .begin = begin,
    .take_over = take_over,
    .commit = folder_commit,
    .load_plan = load_plan,
    .load_segments = load_segments,
    .scan_rejects = NULL,
    .copy = folder_copy,
    .close = close_system,
};
