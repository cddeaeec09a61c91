/* A backup verified, and put back. */
#include <stdio.h>
#include <string.h>

#include "os/file.h"
#include "inspect/backup_private.h"

struct restoring {
    struct arena *arena;
    const char *from;
    const char *to;
    const struct copy_observer *observer;
    struct backup_manifest manifest;
};

static const char *backup_path(const struct restoring *r, const char *path)
{
    return arena_printf(r->arena, "%s/" BACKUP_FILES "/%s", r->from, path);
}

static const char *target_path(const struct restoring *r, const char *path)
{
    return arena_printf(r->arena, "%s/%s", r->to, path);
}

/* Where a unit is built before it gets its name. */
static const char *building_path(const struct restoring *r, const char *path)
{
    return arena_printf(r->arena, "%s/%s.restoring", r->to, path);
}

static enum status verify(const struct restoring *r, struct backup_result *result,
                          struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < r->manifest.file_count && status == STATUS_OK; i++) {
        const struct backup_file *file = &r->manifest.files[i];
        const char *path = backup_path(r, file->path);
        struct hash128 digest;
        int64_t bytes = 0;
        if (file_size(path) != file->bytes) {
            return error_set(err, STATUS_DATA, "backup.damaged",
                             "%s is not there, or has another size than it had: nothing was "
                             "restored; use another backup",
                             path);
        }
        status = backup_digest(path, r->observer, &digest, &bytes, err);
        if (status == STATUS_OK && !hash_equal(digest, file->digest)) {
            status = error_set(err, STATUS_DATA, "backup.damaged",
                               "%s is not what it was when it was copied: nothing was restored; "
                               "use another backup",
                               path);
        }
        result->files++;
        result->bytes += (uint64_t)bytes;
    }
    return status;
}

/* What is beside a SQLite file belongs to it: an old write-ahead log would be taken for one of the
 * restored file. */
static enum status check_free(const struct restoring *r, struct error *err)
{
    static const char *const beside[] = {"", "-wal", "-shm", "-journal"};
    for (uint32_t i = 0; i < r->manifest.unit_count; i++) {
        const struct backup_unit *unit = &r->manifest.units[i];
        for (uint32_t k = 0; k < (unit->is_database ? 4u : 1u); k++) {
            const char *path =
                arena_printf(r->arena, "%s%s", target_path(r, unit->path), beside[k]);
            if (file_exists(path)) {
                return error_set(err, STATUS_CONFIG, "restore.exists",
                                 "%s is there already, and nothing is overwritten: move it away, "
                                 "or restore to another folder",
                                 path);
            }
        }
    }
    return STATUS_OK;
}

/* The unit that a file belongs to; NULL for one that no unit names. */
static const struct backup_unit *unit_of(const struct restoring *r, const char *path)
{
    for (uint32_t i = 0; i < r->manifest.unit_count; i++) {
        const char *unit = r->manifest.units[i].path;
        size_t size = strlen(unit);
        if (strncmp(path, unit, size) == 0 && (path[size] == '/' || path[size] == '\0')) {
            return &r->manifest.units[i];
        }
    }
    return NULL;
}

static enum status make_parent(const struct restoring *r, const char *path, struct error *err)
{
    char *parent = arena_copy_string(r->arena, path);
    *strrchr(parent, '/') = '\0';
    return folder_make(parent, err);
}

static enum status build(const struct restoring *r, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < r->manifest.file_count && status == STATUS_OK; i++) {
        const char *path = r->manifest.files[i].path;
        const struct backup_unit *unit = unit_of(r, path);
        bool found = true;
        if (unit == NULL) {
            continue;
        }
        const char *to =
            arena_printf(r->arena, "%s%s", building_path(r, unit->path), path + strlen(unit->path));
        status = make_parent(r, to, err);
        if (status == STATUS_OK) {
            status = file_copy(backup_path(r, path), to, r->observer, &found, err);
        }
        if (status == STATUS_OK && !found) {
            status = error_set(err, STATUS_DATA, "backup.damaged", "%s vanished while it was read",
                               backup_path(r, path));
        }
    }
    return status;
}

static enum status publish(const struct restoring *r, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < r->manifest.unit_count && status == STATUS_OK; i++) {
        const char *path = r->manifest.units[i].path;
        const char *building = building_path(r, path);
        if (file_exists(building)) { /* an empty folder is not in the backup */
            status = file_rename_durably(building, target_path(r, path), err);
        }
    }
    return status;
}

/* What an earlier restore, or this one, left half built. */
static enum status sweep(const struct restoring *r, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < r->manifest.unit_count && status == STATUS_OK; i++) {
        status = tree_remove(building_path(r, r->manifest.units[i].path), err);
    }
    return status;
}

enum status backup_restore(const char *from, const char *to, const struct copy_observer *observer,
                           struct backup_result *result, struct error *err)
{
    struct restoring r = {
        .arena = arena_new(64 * 1024), .from = from, .to = to, .observer = observer};
    *result = (struct backup_result){0};
    enum status status = backup_manifest_read(r.arena, from, &r.manifest, err);
    if (status == STATUS_OK) {
        status = check_free(&r, err);
    }
    if (status == STATUS_OK) {
        status = verify(&r, result, err);
    }
    if (status == STATUS_OK) {
        status = folder_make(to, err);
    }
    if (status == STATUS_OK) {
        status = sweep(&r, err);
    }
    if (status == STATUS_OK) {
        status = build(&r, err);
        if (status != STATUS_OK) {
            struct error unused = {0};
            (void)!sweep(&r, &unused); /* The first error counts. */
        }
    }
    if (status == STATUS_OK) {
        status = publish(&r, err);
    }
    for (uint32_t i = 0; i < r.manifest.unit_count && status == STATUS_OK; i++) {
        const struct backup_unit *unit = &r.manifest.units[i];
        if (strncmp(unit->path, "outside/", 8) == 0) {
            size_t size = strlen(result->note);
            snprintf(result->note + size, sizeof result->note - size, "%s%s came from %s",
                     size == 0 ? "" : ", ", target_path(&r, unit->path), unit->from);
        }
    }
    arena_free(r.arena);
    return status;
}
