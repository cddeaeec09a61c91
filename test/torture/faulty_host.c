/* The host of os/ on the failing disk. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/status.h"
#include "disk.h"
#include "os/host.h"

enum { DESCRIPTORS_MAX = 256 };

/* Of descriptors that were opened here: the absolute path, and how much was written. */
static struct {
    char path[PATH_MAX];
    bool is_folder;
    int64_t position;
} opened[DESCRIPTORS_MAX];

static void absolute(const char *path, char out[PATH_MAX])
{
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    const char *name = path;
    if (slash == NULL) {
        strcpy(folder, ".");
    } else {
        name = path + (slash - folder) + 1;
        slash[slash == folder] = '\0';
    }
    char real[PATH_MAX];
    if (realpath(folder, real) == NULL) {
        out[0] = '\0';
        return;
    }
    int size = snprintf(out, PATH_MAX, "%s/%s", real, name);
    check(size > 0 && size < PATH_MAX);
    while (size > 1 && out[size - 1] == '/') {
        out[--size] = '\0';
    }
}

static bool fails(enum disk_call call)
{
    errno = disk_enter(call);
    return errno != 0;
}

static int disk_open(const char *path, int flags, mode_t mode)
{
    bool is_write = (flags & O_ACCMODE) != O_RDONLY;
    int fd = fails(is_write ? DISK_NAME : DISK_READ) ? -1 : os_host_real.open(path, flags, mode);
    int reason = errno;
    if (fd >= 0) {
        check(fd < DESCRIPTORS_MAX);
        absolute(path, opened[fd].path);
        opened[fd].is_folder = (flags & O_DIRECTORY) != 0;
        opened[fd].position = 0;
        if (is_write) {
            disk_note_made(opened[fd].path);
            if ((flags & O_TRUNC) != 0) {
                disk_note_size(opened[fd].path, 0);
            }
        }
    }
    disk_leave();
    errno = reason;
    return fd;
}

static int disk_close(int fd)
{
    bool is_bad = fails(DISK_NAME);
    int reason = errno;
    int result = os_host_real.close(fd);
    disk_leave();
    errno = is_bad ? reason : errno;
    return is_bad ? -1 : result;
}

static ssize_t disk_pread(int fd, void *out, size_t size, off_t offset)
{
    ssize_t got = fails(DISK_READ) ? -1 : os_host_real.pread(fd, out, size, offset);
    disk_leave();
    return got;
}

/* A write that fails has written half before: a full disk takes what fits. */
static ssize_t disk_write(int fd, const void *data, size_t size)
{
    bool is_bad = fails(DISK_WRITE);
    int reason = errno;
    ssize_t written = os_host_real.write(fd, data, is_bad ? size / 2 : size);
    if (written > 0) {
        disk_note_write(opened[fd].path, opened[fd].position, data, (size_t)written);
        opened[fd].position += written;
    }
    disk_leave();
    errno = is_bad ? reason : errno;
    return is_bad && size / 2 == 0 ? -1 : written;
}

static int disk_fsync(int fd)
{
    int result = fails(DISK_SYNC) ? -1 : 0;
    int reason = errno;
    if (result == 0 && opened[fd].is_folder) {
        disk_note_folder_sync(opened[fd].path);
    } else if (result != 0) {
        disk_note_failed_sync(opened[fd].path);
    } else if (result == 0) {
        disk_note_sync(opened[fd].path);
    }
    disk_leave();
    errno = reason;
    return result;
}

static int disk_rename(const char *from, const char *to)
{
    char old[PATH_MAX];
    char name[PATH_MAX];
    absolute(from, old);
    absolute(to, name);
    int result = fails(DISK_NAME) ? -1 : os_host_real.rename(from, to);
    int reason = errno;
    if (result == 0) {
        disk_note_rename(old, name);
    }
    disk_leave();
    errno = reason;
    return result;
}

static int disk_unlink(const char *path)
{
    char name[PATH_MAX];
    absolute(path, name);
    int result = fails(DISK_NAME) ? -1 : os_host_real.unlink(path);
    int reason = errno;
    if (result == 0) {
        disk_note_removed(name);
    }
    disk_leave();
    errno = reason;
    return result;
}

static int64_t disk_realtime_us(void)
{
    return os_host_real.clock_realtime_us();
}
static int64_t disk_monotonic_us(void)
{
    return os_host_real.clock_monotonic_us();
}
static void disk_sleep_us(int64_t duration_us)
{
    os_host_real.sleep_us(duration_us);
}
static void disk_random_bytes(void *out, size_t size)
{
    os_host_real.random_bytes(out, size);
}

const struct os_host disk_host = {
    .clock_realtime_us = disk_realtime_us,
    .clock_monotonic_us = disk_monotonic_us,
    .sleep_us = disk_sleep_us,
    .random_bytes = disk_random_bytes,
    .open = disk_open,
    .close = disk_close,
    .pread = disk_pread,
    .write = disk_write,
    .fsync = disk_fsync,
    .rename = disk_rename,
    .unlink = disk_unlink,
};
