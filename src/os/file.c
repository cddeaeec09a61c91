#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/broken.h"
#include "os/host.h"
#include "os/random.h"
#include "os/stop.h"

enum {
    READ_STEP_BYTES = 64 * 1024,
    WRITER_BUFFER_BYTES = 256 * 1024,
    MODE_PRIVATE = 0600,
};

/* --- Errors. --- */

/* What the operator can put right in the files or the pipeline, as against a failing machine. */
static bool reason_is_config(int reason)
{
    switch (reason) {
    case EACCES:
    case EPERM:
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EEXIST:
    case ENOTEMPTY:
    case ELOOP:
    case ENAMETOOLONG:
    case EXDEV:
    case EINVAL:
    case ENXIO:
        return true;
    default:
        return false;
    }
}

static bool reason_is_full(int reason)
{
    return reason == ENOSPC || reason == EDQUOT;
}

static enum status disk_is_full(const char *what, const char *path, int reason, struct error *err)
{
    return error_set(err, STATUS_RETRY, "file.disk_full",
                     "cannot %s %s: %s. Free space.", what, path, strerror(reason));
}

/* A name could not be opened for writing, made, renamed or removed. */
static enum status name_failed(const char *what, const char *path, int reason, struct error *err)
{
    if (reason_is_full(reason)) {
        return disk_is_full(what, path, reason, err);
    }
    if (reason_is_config(reason)) {
        return error_set(err, STATUS_CONFIG, "file.unwritable",
                         "cannot %s %s: %s. Its folder must exist and be writable for this user.",
                         what, path, strerror(reason));
    }
    return error_set(err, STATUS_FATAL, "file.failed", "cannot %s %s: %s.", what, path,
                     strerror(reason));
}

static enum status write_failed(const char *path, int reason, struct error *err)
{
    if (reason_is_full(reason)) {
        return disk_is_full("write", path, reason, err);
    }
    return error_set(err, STATUS_FATAL, "file.write_failed",
                     "cannot write %s: %s. Check the disk, then start again: what was committed is "
                     "kept.",
                     path, strerror(reason));
}

static enum status sync_failed(const char *path, int reason, struct error *err)
{
    return error_set(
        err, STATUS_FATAL, "file.sync_failed",
        "cannot fsync %s: %s. Written data may be lost, so nothing is taken as stored: "
        "check the disk, then start again.",
        path, strerror(reason));
}

static enum status unreadable(const char *path, int reason, struct error *err)
{
    return error_set(err, STATUS_CONFIG, "file.unreadable", "cannot read %s: %s.", path,
                     strerror(reason));
}

/* --- Whole files. --- */

/* pread() where the file has positions, read() where it is a pipe. */
static ssize_t read_some(int fd, void *out, size_t size, off_t offset)
{
    ssize_t got = os_host->pread(fd, out, size, offset);
    if (got < 0 && errno == ESPIPE) {
        do {
            got = read(fd, out, size);
        } while (got < 0 && errno == EINTR);
    }
    return got;
}

enum status file_read(const char *path, size_t limit_bytes, struct buffer *out, struct error *err)
{
    int fd = os_host->open(path, O_RDONLY, 0);
    if (fd < 0) {
        return unreadable(path, errno, err);
    }
    enum status status = STATUS_OK;
    size_t size_before = out->size;
    for (;;) {
        size_t have = out->size - size_before;
        uint8_t *at = buffer_reserve(out, READ_STEP_BYTES);
        ssize_t got = read_some(fd, at, READ_STEP_BYTES, (off_t)have);
        if (got < 0) {
            status = unreadable(path, errno, err);
            break;
        }
        if (got == 0) {
            break;
        }
        if ((size_t)got > limit_bytes - have) {
            status =
                error_set(err, STATUS_CONFIG, "file.too_large",
                          "%s is larger than the %zu bytes that it may have.", path, limit_bytes);
            break;
        }
        out->size += (size_t)got;
    }
    os_host->close(fd); /* Nothing was written: a failing close loses nothing. */
    if (status != STATUS_OK) {
        out->size = size_before;
    }
    return status;
}

enum status file_read_stdin(void *out, size_t size, size_t *out_size, struct error *err)
{
    for (;;) {
        if (stop_wait_us(STDIN_FILENO, -1) == STOP_WAIT_STOP) {
            return error_set(err, STATUS_RETRY, "stop.requested",
                             "a stop was asked for while standard input had nothing to read.");
        }
        ssize_t got = read(STDIN_FILENO, out, size);
        if (got >= 0) {
            *out_size = (size_t)got;
            return STATUS_OK;
        }
        /* A terminal or pipe that somebody made non-blocking may take back what poll() said. */
        if (errno != EINTR && errno != EAGAIN) {
            return unreadable("standard input", errno, err);
        }
    }
}

bool file_wait_stdin(int64_t timeout_us)
{
    return stop_wait_us(STDIN_FILENO, timeout_us) == STOP_WAIT_READABLE;
}

/* --- Folders. --- */

/* The folder that `path` lies in; free with memory_free(). */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return memory_copy_string(".");
    }
    char *folder = memory_copy_string(path);
    folder[slash == path ? 1 : slash - path] = '\0';
    return folder;
}

enum status folder_sync(const char *path, struct error *err)
{
    int fd = os_host->open(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        return name_failed("open the folder", path, errno, err);
    }
    enum status status = STATUS_OK;
    /* EINVAL: this file system has no fsync for folders; it keeps names by itself or not at all. */
    if (os_host->fsync(fd) != 0 && errno != EINVAL) {
        status = sync_failed(path, errno, err);
    }
    os_host->close(fd);
    return status;
}

static enum status folder_of_sync(const char *path, struct error *err)
{
    char *folder = folder_of(path);
    enum status status = folder_sync(folder, err);
    memory_free(folder);
    return status;
}

static enum status folder_make_one(const char *path, struct error *err)
{
    if (mkdir(path, 0777) == 0) {
        return folder_of_sync(path, err);
    }
    int reason = errno;
    struct stat info;
    /* EEXIST is not the only answer for a folder that is there: "/" gives EISDIR elsewhere, a
     * read-only file system EROFS. */
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode)) {
            return STATUS_OK;
        }
        reason = ENOTDIR;
    }
    return name_failed("make the folder", path, reason, err);
}

enum status folder_make(const char *path, struct error *err)
{
    char *part = memory_copy_string(path);
    size_t size = strlen(part);
    while (size > 1 && part[size - 1] == '/') {
        part[--size] = '\0';
    }
    enum status status = STATUS_OK;
    for (size_t i = 1; i < size && status == STATUS_OK; i++) {
        if (part[i] == '/' && part[i - 1] != '/') {
            part[i] = '\0';
            status = folder_make_one(part, err);
            part[i] = '/';
        }
    }
    if (status == STATUS_OK) {
        status = folder_make_one(part, err);
    }
    memory_free(part);
    return status;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum status folder_list(struct arena *arena, const char *path, const char ***out_names,
                        size_t *out_count, struct error *err)
{
    struct buffer names = {0};
    size_t count = 0;
    int reason = 0;
    DIR *folder = opendir(path);
    if (folder == NULL) {
        reason = errno == ENOENT ? 0 : errno;
    } else {
        struct dirent *entry;
        for (errno = 0; (entry = readdir(folder)) != NULL; errno = 0) {
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
                const char *name = arena_copy_string(arena, entry->d_name);
                buffer_append(&names, &name, sizeof name);
                count++;
            }
        }
        reason = errno;
        closedir(folder);
    }
    enum status status = STATUS_OK;
    if (reason != 0) {
        status = unreadable(path, reason, err);
    } else {
        const char **array = arena_alloc(arena, names.size);
        if (count > 0) {
            memcpy(array, names.data, names.size);
            qsort(array, count, sizeof *array, name_compare);
        }
        *out_names = array;
        *out_count = count;
    }
    buffer_fini(&names);
    return status;
}

/* --- Names and sizes. --- */

enum status file_rename_durably(const char *from, const char *to, struct error *err)
{
    if (os_host->rename(from, to) != 0) {
        return name_failed("rename a finished file to", to, errno, err);
    }
    return folder_of_sync(to, err);
}

bool file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool folder_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int64_t file_size(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) ? (int64_t)info.st_size : -1;
}

enum status file_remove(const char *path, struct error *err)
{
    if (os_host->unlink(path) != 0 && errno != ENOENT) {
        return name_failed("remove", path, errno, err);
    }
    return STATUS_OK;
}

/* --- Writing. --- */

struct file_writer {
    int fd;
    char *path;            /* of the temporary file */
    struct buffer pending; /* not written yet */
    bool broken;           /* a write failed for good */
};

static enum status writer_open(const char *path, int flags, mode_t mode, struct file_writer **out,
                               struct error *err)
{
    int fd = os_host->open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | flags, mode);
    if (fd < 0) {
        return name_failed("write", path, errno, err);
    }
    struct file_writer *writer = memory_alloc_zero(1, sizeof *writer);
    writer->fd = fd;
    writer->path = memory_copy_string(path);
    *out = writer;
    return STATUS_OK;
}

enum status file_writer_open(const char *temporary_path, struct file_writer **out,
                             struct error *err)
{
    return writer_open(temporary_path, O_TRUNC, MODE_PRIVATE, out, err);
}

/* Writes what is pending. After RETRY the rest is still pending, and nothing is written twice. */
static enum status writer_flush(struct file_writer *writer, struct error *err)
{
    if (writer->broken) {
        return error_set(err, STATUS_FATAL, "file.write_failed",
                         "an earlier write to %s failed; the file is not used.", writer->path);
    }
    size_t done = 0;
    int reason = 0;
    while (done < writer->pending.size && reason == 0) {
        ssize_t written =
            os_host->write(writer->fd, writer->pending.data + done, writer->pending.size - done);
        if (written > 0) {
            done += (size_t)written;
        } else {
            reason = written < 0 ? errno : EIO;
        }
    }
    if (done > 0) {
        writer->pending.size -= done;
        memmove(writer->pending.data, writer->pending.data + done, writer->pending.size);
    }
    if (reason == 0) {
        return STATUS_OK;
    }
    writer->broken = !reason_is_full(reason);
    return write_failed(writer->path, reason, err);
}

enum status file_writer_append(struct file_writer *writer, struct bytes data, struct error *err)
{
    /* The flush comes first: when it must be repeated, `data` was not taken yet and is not doubled
     * by the repetition. */
    if (writer->broken || writer->pending.size >= WRITER_BUFFER_BYTES) {
        enum status status = writer_flush(writer, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    buffer_append(&writer->pending, data.data, data.size);
    return STATUS_OK;
}

static void writer_free(struct file_writer *writer)
{
    buffer_fini(&writer->pending);
    memory_free(writer->path);
    memory_free(writer);
}

void file_writer_abandon(struct file_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    /* The file is not wanted, so nothing that fails here loses anything. */
    if (writer->fd >= 0) {
        os_host->close(writer->fd);
    }
    os_host->unlink(writer->path);
    writer_free(writer);
}

/* Everything down to the disk, and closed. */
static enum status writer_finish(struct file_writer *writer, struct error *err)
{
    enum status status = writer_flush(writer, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (!BROKEN("no-part-fsync") && os_host->fsync(writer->fd) != 0) {
        return sync_failed(writer->path, errno, err);
    }
    int fd = writer->fd;
    writer->fd = -1;
    if (os_host->close(fd) != 0) {
        return write_failed(writer->path, errno, err);
    }
    return STATUS_OK;
}

enum status file_writer_publish(struct file_writer *writer, const char *path, struct error *err)
{
    enum status status = writer_finish(writer, err);
    if (status == STATUS_OK && os_host->rename(writer->path, path) != 0) {
        status = name_failed("rename a finished file to", path, errno, err);
    }
    if (status != STATUS_OK) {
        file_writer_abandon(writer);
        return status;
    }
    writer_free(writer);
    return folder_of_sync(path, err);
}

enum status file_write_durably(const char *path, struct bytes content, uint32_t mode,
                               struct error *err)
{
    /* A name that no other process takes: two that write the same path at once must not write into
     * one temporary file. */
    struct buffer temporary = {0};
    buffer_printf(&temporary, "%s.tmp-%016llx", path, (unsigned long long)random_u64());
    struct file_writer *writer = NULL;
    enum status status = writer_open(buffer_string(&temporary), O_EXCL,
                                     mode == 0 ? MODE_PRIVATE : (mode_t)mode, &writer, err);
    buffer_fini(&temporary);
    if (status != STATUS_OK) {
        return status;
    }
    status = file_writer_append(writer, content, err);
    if (status != STATUS_OK) {
        file_writer_abandon(writer);
        return status;
    }
    return file_writer_publish(writer, path, err);
}

/* --- Random-access reading. --- */

struct file_reader {
    int fd;
    char *path;
};

enum status file_reader_open(const char *path, struct file_reader **out, struct error *err)
{
    int fd = os_host->open(path, O_RDONLY, 0);
    if (fd < 0) {
        return unreadable(path, errno, err);
    }
    struct file_reader *reader = memory_alloc(sizeof *reader);
    *reader = (struct file_reader){fd, memory_copy_string(path)};
    *out = reader;
    return STATUS_OK;
}

enum status file_reader_read_at(struct file_reader *reader, int64_t offset, void *out, size_t size,
                                size_t *out_size, struct error *err)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = os_host->pread(reader->fd, (uint8_t *)out + done, size - done,
                                     (off_t)(offset + (int64_t)done));
        if (got < 0 && reason_is_config(errno)) {
            return unreadable(reader->path, errno, err);
        }
        if (got < 0) {
            return error_set(err, STATUS_FATAL, "file.read_failed",
                             "cannot read %s at byte %lld: %s. Check the disk.", reader->path,
                             (long long)offset + (long long)done, strerror(errno));
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    *out_size = done;
    return STATUS_OK;
}

int64_t file_reader_size(struct file_reader *reader)
{
    struct stat info;
    return fstat(reader->fd, &info) == 0 ? (int64_t)info.st_size : -1;
}

bool file_reader_is_replaced(const struct file_reader *reader)
{
    struct stat opened;
    struct stat named;
    return fstat(reader->fd, &opened) == 0 && stat(reader->path, &named) == 0 &&
           (opened.st_dev != named.st_dev || opened.st_ino != named.st_ino);
}

void file_reader_close(struct file_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    os_host->close(reader->fd);
    memory_free(reader->path);
    memory_free(reader);
}
