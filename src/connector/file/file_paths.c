#include "connector/file/file_paths.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"

struct listing {
    struct arena *arena;
    const char *folder;
    const char **paths;
    size_t count, capacity;
};

const char *file_path_full(struct arena *arena, const char *folder, const char *path)
{
    const char *gap = folder[0] == '\0' || folder[strlen(folder) - 1] == '/' ? "" : "/";
    return path[0] == '/' ? arena_copy_string(arena, path)
                          : arena_printf(arena, "%s%s%s", folder, gap, path);
}

static void add(struct listing *listing, const char *path)
{
    if (listing->count == listing->capacity) {
        listing->capacity = listing->capacity * 2 + 16;
        listing->paths = memory_realloc(listing->paths,
                                        size_mul(listing->capacity, sizeof *listing->paths));
    }
    listing->paths[listing->count++] = path;
}

/* "" stands for the folder that relative paths begin in. */
static const char *full_folder(const struct listing *listing, const char *path)
{
    const char *full = file_path_full(listing->arena, listing->folder, path);
    return full[0] == '\0' ? "." : full;
}

static enum status list_folder(struct listing *listing, const char *path, struct error *err)
{
    const char **names = NULL;
    size_t count = 0;
    enum status status =
        folder_list(listing->arena, full_folder(listing, path), &names, &count, err);
    const char *gap = path[strlen(path) - 1] == '/' ? "" : "/";
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const char *file = arena_printf(listing->arena, "%s%s%s", path, gap, names[i]);
        if (names[i][0] != '.' &&
            file_size(file_path_full(listing->arena, listing->folder, file)) >= 0) {
            add(listing, file);
        }
    }
    return status;
}

/* What fits `rest` below `begun`, which is spelled out and ends with a '/' (or is empty). */
static enum status match(struct listing *listing, const char *begun, const char *rest,
                         struct error *err)
{
    size_t size = strcspn(rest, "/");
    const char *component = arena_copy(listing->arena, rest, size);
    bool is_last = rest[size] == '\0';
    if (strpbrk(component, "*?[") == NULL) {
        const char *path = arena_printf(listing->arena, "%s%s", begun, component);
        const char *full = file_path_full(listing->arena, listing->folder, path);
        if (is_last) {
            if (file_size(full) >= 0) {
                add(listing, path);
            }
            return STATUS_OK;
        }
        return match(listing, arena_printf(listing->arena, "%s/", path), rest + size + 1, err);
    }
    const char **names = NULL;
    size_t count = 0;
    enum status status =
        folder_list(listing->arena, full_folder(listing, begun), &names, &count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (fnmatch(component, names[i], FNM_PERIOD) != 0) {
            continue;
        }
        const char *path = arena_printf(listing->arena, "%s%s", begun, names[i]);
        const char *full = file_path_full(listing->arena, listing->folder, path);
        if (is_last && file_size(full) >= 0) {
            add(listing, path);
        } else if (!is_last && folder_exists(full)) {
            status =
                match(listing, arena_printf(listing->arena, "%s/", path), rest + size + 1, err);
        }
    }
    return status;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum status file_paths_list(struct arena *arena, const char *folder, const char *path,
                            const char ***out_paths, size_t *out_count, struct error *err)
{
    struct listing listing = {.arena = arena, .folder = folder};
    const char *full = file_path_full(arena, folder, path);
    enum status status = STATUS_OK;
    if (folder_exists(full)) {
        status = list_folder(&listing, path, err);
    } else if (!file_exists(full) && strpbrk(path, "*?[") != NULL) {
        status = match(&listing, "", path, err);
        if (listing.count > 0) {
            qsort(listing.paths, listing.count, sizeof *listing.paths, compare);
        }
    } else if (file_exists(full)) {
        add(&listing, path);
    }
    if (status == STATUS_OK) {
        *out_count = listing.count;
        *out_paths = arena_alloc_zero(arena, listing.count + 1, sizeof **out_paths);
        if (listing.count > 0) {
            memcpy(*out_paths, listing.paths, listing.count * sizeof **out_paths);
        }
    }
    memory_free(listing.paths);
    return status;
}
