#include "os/tree.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"
#include "os/host.h"
#include "os/stop.h"
#include "os/thread.h"

#define BLOCK_BYTES ((size_t)1 << 20)

enum status copy_observe(const struct copy_observer *observer, int64_t bytes, struct error *err)
{
    if (observer->copied != NULL) {
        observer->copied(observer->context, bytes);
    }
    return stop_requested() ? error_set(err, STATUS_RETRY, "stop.requested",
                                        "stopped before the end: nothing is kept of it")
                            : STATUS_OK;
}

static bool is_file(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISREG(info.st_mode);
}

enum status file_copy(const char *from, const char *to, const struct copy_observer *observer,
                      bool *out_found, struct error *err)
{
    struct file_reader *reader = NULL;
    struct file_writer *writer = NULL;
    struct buffer temporary = {0};
    *out_found = is_file(from);
    if (!*out_found) {
        return STATUS_OK;
    }
    buffer_printf(&temporary, "%s.copying", to);
    uint8_t *block = memory_alloc(BLOCK_BYTES);
    enum status status = file_reader_open(from, &reader, err);
    if (status == STATUS_OK) {
        status = file_writer_open(buffer_string(&temporary), &writer, err);
    }
    size_t got = 1;
    for (int64_t offset = 0; status == STATUS_OK && got > 0; offset += (int64_t)got) {
        status = file_reader_read_at(reader, offset, block, BLOCK_BYTES, &got, err);
        if (status == STATUS_OK) {
            status = file_writer_append(writer, bytes_of(block, got), err);
        }
        if (status == STATUS_OK) {
            status = copy_observe(observer, (int64_t)got, err);
        }
    }
    if (status == STATUS_OK) {
        status = file_writer_publish(writer, to, err);
    } else {
        file_writer_abandon(writer);
    }
    if (reader != NULL) {
        file_reader_close(reader);
    }
    memory_free(block);
    buffer_fini(&temporary);
    return status;
}

struct list {
    struct arena *arena;
    struct buffer paths; /* const char * */
    size_t count;
};

/* `prefix` is "" or ends with '/'. */
static enum status list_into(struct list *list, const char *folder, const char *prefix,
                             struct error *err)
{
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(
        list->arena, arena_printf(list->arena, "%s/%s", folder, prefix), &names, &count, err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct stat info;
        const char *path = arena_printf(list->arena, "%s%s", prefix, names[i]);
        const char *full = arena_printf(list->arena, "%s/%s", folder, path);
        if (lstat(full, &info) != 0) {
            continue; /* gone in the meantime */
        }
        if (S_ISDIR(info.st_mode)) {
            status = list_into(list, folder, arena_printf(list->arena, "%s/", path), err);
        } else {
            buffer_append(&list->paths, &path, sizeof path);
            list->count++;
        }
    }
    return status;
}

enum status tree_list(struct arena *arena, const char *folder, const char ***out_paths,
                      size_t *out_count, struct error *err)
{
    struct list list = {.arena = arena};
    enum status status = list_into(&list, folder, "", err);
    *out_paths = arena_alloc(arena, list.paths.size + sizeof(char *));
    *out_count = list.count;
    if (list.count > 0) {
        memcpy(*out_paths, list.paths.data, list.paths.size);
    }
    buffer_fini(&list.paths);
    return status;
}

static enum status remove_one(const char *path, bool is_folder, struct error *err)
{
    if ((is_folder ? rmdir(path) : os_host->unlink(path)) == 0 || errno == ENOENT) {
        return STATUS_OK;
    }
    return error_set(err, STATUS_FATAL, "file.remove_failed", "cannot remove %s: %s.", path,
                     strerror(errno));
}

enum status tree_remove(const char *path, struct error *err)
{
    struct stat info;
    if (lstat(path, &info) != 0) {
        return STATUS_OK;
    }
    if (!S_ISDIR(info.st_mode)) {
        return remove_one(path, false, err);
    }
    struct arena *arena = arena_new(16 * 1024);
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, path, &names, &count, err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = tree_remove(arena_printf(arena, "%s/%s", path, names[i]), err);
    }
    arena_free(arena);
    return status == STATUS_OK ? remove_one(path, true, err) : status;
}
