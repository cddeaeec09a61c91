#include "inspect/backup.h"

#include <stdio.h>
#include <string.h>

#include "locallog/locallog.h"
#include "os/file.h"
#include "os/place.h"
#include "os/random.h"
#include "inspect/backup_private.h"
#include "run/pipeline.h"

struct backup {
    struct arena *arena;
    const struct copy_observer *observer;
    struct backup_result *result;
    const char *to;      /* the final name */
    const char *partial; /* where it is made */
    const char *home;    /* absolute, with a '/' at the end: paths below are kept */
    struct backup_manifest manifest;
    uint32_t unit_capacity;
    uint32_t outside_count;
};

/* --- names --- */

/* Where something of that place goes, below files/. */
static const char *path_within(struct backup *backup, const char *place)
{
    size_t size = strlen(backup->home);
    if (strncmp(place, backup->home, size) == 0 && place[size] != '\0') {
        return arena_copy_string(backup->arena, place + size);
    }
    const char *slash = strrchr(place, '/');
    return arena_printf(backup->arena, "outside/%u/%s", ++backup->outside_count,
                        slash == NULL ? place : slash + 1);
}

static const char *file_path(struct backup *backup, const char *path)
{
    return arena_printf(backup->arena, "%s/" BACKUP_FILES "/%s", backup->partial, path);
}

static enum status make_parent(struct backup *backup, const char *path, struct error *err)
{
    char *parent = arena_copy_string(backup->arena, path);
    *strrchr(parent, '/') = '\0';
    return folder_make(parent, err);
}

/* A new unit, and the folder that it goes into. */
static enum status add_unit(struct backup *backup, const char *place, bool is_database,
                            const char **out_path, struct error *err)
{
    struct backup_manifest *manifest = &backup->manifest;
    if (manifest->unit_count == backup->unit_capacity) {
        backup->unit_capacity = 2 * backup->unit_capacity + 16;
        struct backup_unit *old = manifest->units;
        manifest->units =
            arena_alloc_zero(backup->arena, backup->unit_capacity, sizeof *manifest->units);
        if (old != NULL) {
            memcpy(manifest->units, old, manifest->unit_count * sizeof *old);
        }
    }
    const char *path = path_within(backup, place);
    manifest->units[manifest->unit_count++] = (struct backup_unit){
        .path = path,
        .from = arena_copy_string(backup->arena, place),
        .is_database = is_database,
    };
    *out_path = file_path(backup, path);
    return make_parent(backup, *out_path, err);
}

static bool has_unit(const struct backup *backup, const char *place)
{
    for (uint32_t i = 0; i < backup->manifest.unit_count; i++) {
        if (strcmp(backup->manifest.units[i].from, place) == 0) {
            return true;
        }
    }
    return false;
}

/* --- copying --- */

static enum status copy_file(struct backup *backup, const char *place, struct error *err)
{
    const char *to = NULL;
    bool found = false;
    enum status status = add_unit(backup, place, false, &to, err);
    if (status == STATUS_OK) {
        status = file_copy(place, to, backup->observer, &found, err);
    }
    if (status == STATUS_OK && !found) {
        backup->manifest.unit_count--;
    }
    return status;
}

/* Snapshots come and go while this reads; whichever are there are good. */
static enum status copy_snapshots(struct backup *backup, const char *folder, struct error *err)
{
    const char **names = NULL;
    const char *to = NULL;
    size_t count = 0;
    bool found = false;
    char *real = place_real(backup->arena, folder);
    if (real == NULL || !folder_exists(real)) {
        return STATUS_OK;
    }
    enum status status = add_unit(backup, real, false, &to, err);
    if (status == STATUS_OK) {
        status = folder_make(to, err);
    }
    if (status == STATUS_OK) {
        status = folder_list(backup->arena, real, &names, &count, err);
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        size_t size = strlen(names[i]);
        if (size > 9 && strcmp(names[i] + size - 9, ".snapshot") == 0) {
            status = file_copy(arena_printf(backup->arena, "%s/%s", real, names[i]),
                               arena_printf(backup->arena, "%s/%s", to, names[i]), backup->observer,
                               &found, err);
        }
    }
    return status;
}

static void leave_out(struct backup *backup, const char *what)
{
    size_t size = strlen(backup->result->note);
    snprintf(backup->result->note + size, sizeof backup->result->note - size, "%s%s",
             size == 0 ? "" : ", ", what);
}

static enum status copy_system(struct backup *backup, struct system *system, struct error *err)
{
    const char *place = system->ops->place(system);
    const char *to = NULL;
    if (has_unit(backup, place)) {
        return STATUS_OK;
    }
    if (system->ops->copy == NULL || !file_exists(place)) {
        leave_out(backup, system->name);
        return STATUS_OK;
    }
    enum status status = add_unit(backup, place, !folder_exists(place), &to, err);
    return status == STATUS_OK ? system->ops->copy(system, to, backup->observer, err) : status;
}

static enum status copy_source(struct backup *backup, const struct plan *plan, const char *place,
                               struct error *err)
{
    const char *to = NULL;
    if (place == NULL || plan->source_ops->copy == NULL) {
        leave_out(backup, "the source");
        return STATUS_OK;
    }
    enum status status = add_unit(backup, place, true, &to, err);
    return status == STATUS_OK ? plan->source_ops->copy(place, to, backup->observer, err) : status;
}

/* --- beginning and end --- */

static enum status begin(struct backup *backup, struct error *err)
{
    size_t size = strlen(backup->to);
    char *to = arena_copy_string(backup->arena, backup->to);
    while (size > 1 && to[size - 1] == '/') {
        to[--size] = '\0';
    }
    backup->to = to;
    if (file_exists(to)) {
        return error_set(err, STATUS_CONFIG, "backup.exists",
                         "there is something at %s already; name another place", to);
    }
    backup->partial = arena_printf(backup->arena, "%s.partial-%08llx", to,
                                   (unsigned long long)(random_u64() & UINT64_C(0xFFFFFFFF)));
    return folder_make(arena_printf(backup->arena, "%s/" BACKUP_FILES, backup->partial), err);
}

static enum status take_digests(struct backup *backup, struct error *err)
{
    struct backup_manifest *manifest = &backup->manifest;
    const char *folder = arena_printf(backup->arena, "%s/" BACKUP_FILES, backup->partial);
    const char **paths = NULL;
    size_t count = 0;
    enum status status = tree_list(backup->arena, folder, &paths, &count, err);
    manifest->files = arena_alloc_zero(backup->arena, count + 1, sizeof *manifest->files);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct backup_file *file = &manifest->files[manifest->file_count++];
        file->path = paths[i];
        status = backup_digest(arena_printf(backup->arena, "%s/%s", folder, paths[i]),
                               backup->observer, &file->digest, &file->bytes, err);
        backup->result->files++;
        backup->result->bytes += (uint64_t)file->bytes;
    }
    return status;
}

static enum status finish(struct backup *backup, const char *pipeline, struct error *err)
{
    struct buffer manifest = {0};
    enum status status = take_digests(backup, err);
    if (status == STATUS_OK) {
        backup_manifest_write(&backup->manifest, pipeline, &manifest);
        status =
            file_write_durably(arena_printf(backup->arena, "%s/" BACKUP_MANIFEST, backup->partial),
                               bytes_of(manifest.data, manifest.size), 0, err);
    }
    if (status == STATUS_OK) {
        status = file_rename_durably(backup->partial, backup->to, err);
    }
    buffer_fini(&manifest);
    return status;
}

/* What was made of it goes; the first error counts. */
static void give_up(struct backup *backup)
{
    struct error unused = {0};
    if (backup->partial != NULL && tree_remove(backup->partial, &unused) != STATUS_OK) {
        leave_out(backup, backup->partial);
    }
}

static void init(struct backup *backup, const char *to, const struct copy_observer *observer,
                 struct backup_result *result)
{
    *backup = (struct backup){
        .arena = arena_new(64 * 1024), .observer = observer, .result = result, .to = to};
    *result = (struct backup_result){0};
}

static enum status copy_pipeline(struct backup *backup, struct plan *plan, const char *state_folder,
                                 const char *const *extra, uint32_t extra_count, struct error *err)
{
    char *source = plan->source_ops->place == NULL
                       ? NULL
                       : plan->source_ops->place(backup->arena, plan->source_config, plan->folder);
    enum status status = copy_snapshots(backup, state_folder, err);
    for (uint32_t i = 0; i < extra_count && status == STATUS_OK; i++) {
        char *real =
            place_real(backup->arena, arena_printf(backup->arena, "%s%s", plan->folder, extra[i]));
        if (real != NULL) {
            status = copy_file(backup, real, err);
        }
    }
    for (uint32_t s = 0; s < plan->system_count && status == STATUS_OK; s++) {
        const char *place = plan->systems[s]->ops->place(plan->systems[s]);
        if (source == NULL || strcmp(place, source) != 0) {
            status = copy_system(backup, plan->systems[s], err);
        }
    }
    /* The log that is read comes last: no R that was copied is beyond its end. */
    return status == STATUS_OK ? copy_source(backup, plan, source, err) : status;
}

enum status backup_pipeline(struct plan *plan, const char *const *extra, uint32_t extra_count,
                            const char *to, const struct copy_observer *observer,
                            struct backup_result *result, struct error *err)
{
    struct backup backup;
    struct pipeline pipeline;
    struct run_options options = {0};
    struct run_observer nobody = {0};
    init(&backup, to, observer, result);
    pipeline_init(&pipeline, plan, &options, &nobody);
    const char *home =
        place_real(backup.arena,
                   plan->folder[0] == '\0' ? "." : arena_printf(backup.arena, "%s.", plan->folder));
    backup.home = arena_printf(backup.arena, "%s/", home == NULL ? "" : home);
    enum status status = begin(&backup, err);
    if (status == STATUS_OK) {
        status = copy_pipeline(&backup, plan, pipeline.state_folder, extra, extra_count, err);
    }
    if (status == STATUS_OK) {
        status = finish(&backup, plan->name, err);
    }
    if (status != STATUS_OK) {
        give_up(&backup);
    }
    pipeline_close(&pipeline);
    arena_free(backup.arena);
    return status;
}

enum status backup_log(const char *path, const char *to, const struct copy_observer *observer,
                       struct backup_result *result, struct error *err)
{
    struct backup backup;
    const char *copy = NULL;
    init(&backup, to, observer, result);
    char *real = place_real(backup.arena, path);
    if (real == NULL || !file_exists(real)) {
        arena_free(backup.arena);
        return error_set(err, STATUS_CONFIG, "log.missing", "there is no log at %s", path);
    }
    backup.home = arena_copy(backup.arena, real, (size_t)(strrchr(real, '/') - real) + 1);
    enum status status = begin(&backup, err);
    if (status == STATUS_OK) {
        status = add_unit(&backup, real, true, &copy, err);
    }
    if (status == STATUS_OK) {
        status = locallog_copy(real, copy, observer, err);
    }
    if (status == STATUS_OK) {
        status = finish(&backup, "", err);
    }
    if (status != STATUS_OK) {
        give_up(&backup);
    }
    arena_free(backup.arena);
    return status;
}
