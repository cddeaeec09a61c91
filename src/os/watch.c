/*
 * Each path has up to two inotify watches: the file (it grew) and its folder (it was made, or
 * another file was renamed to its name). The folder is watched before the file, so that a file made
 * in between is not missed. A path with neither (no inotify, no folder yet, no watches left) is
 * polled.
 */
#include "os/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "os/stop.h"

enum { POLL_STEP_US = 20000 };

#define FILE_EVENTS (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
#define FOLDER_EVENTS (IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)

/* What polling compares. */
struct look {
    bool exists;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
};

struct watched {
    char *path;
    char *folder;
    const char *name; /* the end of `path` */
    int file_watch;   /* -1: none */
    int folder_watch; /* -1: none */
    struct look seen;
};

struct watch {
    int fd; /* -1: no inotify */
    uint32_t count;
    struct watched *paths;
};

static struct look look_at(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        return (struct look){0};
    }
    return (struct look){true, info.st_dev, info.st_ino, info.st_size, info.st_mtim};
}

static bool look_equal(const struct look *a, const struct look *b)
{
    return a->exists == b->exists && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && a->modified.tv_sec == b->modified.tv_sec &&
           a->modified.tv_nsec == b->modified.tv_nsec;
}

/* Sets the watches that are missing and can be had. */
static void watched_arm(struct watch *watch, struct watched *path)
{
    if (watch->fd < 0) {
        return;
    }
    if (path->folder_watch < 0) {
        path->folder_watch =
            inotify_add_watch(watch->fd, path->folder, FOLDER_EVENTS | IN_ONLYDIR | IN_MASK_ADD);
    }
    if (path->file_watch < 0) {
        path->file_watch = inotify_add_watch(watch->fd, path->path, FILE_EVENTS | IN_MASK_ADD);
    }
}

/* True when inotify tells of all that may happen to the path. */
static bool watched_is_armed(const struct watched *path)
{
    return path->folder_watch >= 0 && (path->file_watch >= 0 || !path->seen.exists);
}

static void watched_init(struct watched *path, const char *text)
{
    path->path = memory_copy_string(text);
    const char *slash = strrchr(path->path, '/');
    path->name = slash == NULL ? path->path : slash + 1;
    if (slash == NULL) {
        path->folder = memory_copy_string(".");
    } else {
        path->folder = memory_copy_string(path->path);
        path->folder[slash == path->path ? 1 : slash - path->path] = '\0';
    }
    path->file_watch = -1;
    path->folder_watch = -1;
}

enum status watch_open(const char *const *paths, uint32_t path_count, struct watch **out,
                       struct error *err)
{
    (void)err; /* Whatever inotify refuses is polled. */
    struct watch *watch = memory_alloc(sizeof *watch);
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    watch->count = path_count;
    watch->paths = memory_alloc_zero(path_count, sizeof *watch->paths);
    for (uint32_t i = 0; i < path_count; i++) {
        watched_init(&watch->paths[i], paths[i]);
        watched_arm(watch, &watch->paths[i]);
        watch->paths[i].seen = look_at(paths[i]);
    }
    *out = watch;
    return STATUS_OK;
}

/* True when the event is about one of the paths. Forgets watches that the kernel has ended. */
static bool event_take(struct watch *watch, const struct inotify_event *event)
{
    /* After an overflow nobody knows what was missed: set all watches anew. */
    bool ours = (event->mask & IN_Q_OVERFLOW) != 0;
    for (uint32_t i = 0; i < watch->count; i++) {
        struct watched *path = &watch->paths[i];
        if ((event->mask & IN_Q_OVERFLOW) != 0) {
            path->file_watch = -1;
            path->folder_watch = -1;
            continue;
        }
        if (event->wd == path->file_watch) {
            ours = true;
            /* The name may now lead to another file: look it up anew. The old watch may outlive
             * that when the file was only renamed; its events are then nobody's. */
            if ((event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB)) != 0) {
                path->file_watch = -1;
            }
        }
        if (event->wd == path->folder_watch) {
            if (event->len > 0 && strcmp(event->name, path->name) == 0) {
                ours = true;
                path->file_watch = -1;
            }
            if ((event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
                ours = true;
                path->folder_watch = -1;
                path->file_watch = -1;
            }
        }
    }
    return ours;
}

/* Takes all events that wait; true when one is about our paths. */
static bool events_drain(struct watch *watch)
{
    _Alignas(struct inotify_event) char events[4096];
    bool changed = false;
    while (watch->fd >= 0) {
        ssize_t size = read(watch->fd, events, sizeof events);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size <= 0) {
            break;
        }
        for (char *at = events; at < events + size;) {
            /* The kernel pads names so that each event is aligned. */
            const struct inotify_event *event = (const void *)at;
            changed |= event_take(watch, event);
            at += sizeof *event + event->len;
        }
    }
    return changed;
}

/* Looks at the paths that inotify does not cover; true when one has changed. */
static bool paths_look(struct watch *watch, bool *out_all_armed)
{
    bool changed = false;
    bool all_armed = true;
    for (uint32_t i = 0; i < watch->count; i++) {
        struct watched *path = &watch->paths[i];
        bool armed_before = path->file_watch >= 0 && path->folder_watch >= 0;
        if (!armed_before) {
            watched_arm(watch, path);
            struct look now = look_at(path->path);
            changed |= !look_equal(&now, &path->seen);
            path->seen = now;
            all_armed &= watched_is_armed(path);
        }
    }
    *out_all_armed = all_armed;
    return changed;
}

static int64_t monotonic_us(void)
{
    struct timespec now;
    check(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void watch_wait(struct watch *watch, int64_t timeout_us)
{
    int64_t end_us;
    if (__builtin_add_overflow(monotonic_us(), timeout_us < 0 ? 0 : timeout_us, &end_us)) {
        end_us = INT64_MAX;
    }
    for (;;) {
        bool all_armed;
        bool changed = events_drain(watch);
        changed |= paths_look(watch, &all_armed);
        int64_t left_us = end_us - monotonic_us();
        if (changed || left_us <= 0) {
            return;
        }
        int64_t step_us = all_armed || left_us < POLL_STEP_US ? left_us : POLL_STEP_US;
        if (stop_wait_us(watch->fd, step_us) == STOP_WAIT_STOP) {
            return;
        }
    }
}

void watch_close(struct watch *watch)
{
    if (watch == NULL) {
        return;
    }
    if (watch->fd >= 0) {
        close(watch->fd);
    }
    for (uint32_t i = 0; i < watch->count; i++) {
        memory_free(watch->paths[i].path);
        memory_free(watch->paths[i].folder);
    }
    memory_free(watch->paths);
    memory_free(watch);
}
