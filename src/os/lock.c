#include "os/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

struct lock_file {
    int fd;
    char *path;
};

/* A name that cannot be is the user's; room and a medium that takes no writes are the system's. */
static enum status class_of(int reason)
{
    switch (reason) {
    case ENOSPC:
    case EDQUOT:
        return STATUS_RETRY;
    case EROFS:
    case EIO:
    case EMFILE:
    case ENFILE:
        return STATUS_FATAL;
    default:
        return STATUS_CONFIG;
    }
}

enum status lock_file_open(const char *path, struct lock_file **out, struct error *err)
{
    int fd;
    do {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return error_set(err, class_of(errno), "lock.unopenable",
                         "cannot open the lock file %s: %s. Its folder must exist and be writable "
                         "for this user.",
                         path, strerror(errno));
    }
    struct lock_file *lock = memory_alloc(sizeof *lock);
    *lock = (struct lock_file){fd, memory_copy_string(path)};
    *out = lock;
    return STATUS_OK;
}

void lock_file_close(struct lock_file *lock)
{
    if (lock == NULL) {
        return;
    }
    /* Locks go with the last descriptor of the open file, and this one is never duplicated. */
    close(lock->fd);
    memory_free(lock->path);
    memory_free(lock);
}

/* fcntl() over one byte; 0, or what errno said. */
static int lock_byte(struct lock_file *lock, int command, short type, uint64_t byte)
{
    check(byte < INT64_MAX);
    /* OFD locks want l_pid 0. */
    struct flock range = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1, .l_pid = 0};
    int result;
    do {
        result = fcntl(lock->fd, command, &range);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? errno : 0;
}

static enum status lock_failed(const struct lock_file *lock, uint64_t byte, int reason,
                               struct error *err)
{
    return error_set(err, STATUS_FATAL, "lock.failed",
                     "cannot lock byte %llu of %s: %s. The file must lie on a local file system "
                     "with locks.",
                     (unsigned long long)byte, lock->path, strerror(reason));
}

enum status lock_take(struct lock_file *lock, uint64_t byte, struct error *err)
{
    int reason = lock_byte(lock, F_OFD_SETLKW, F_WRLCK, byte);
    return reason == 0 ? STATUS_OK : lock_failed(lock, byte, reason, err);
}

enum status lock_try(struct lock_file *lock, uint64_t byte, bool *out_taken, struct error *err)
{
    int reason = lock_byte(lock, F_OFD_SETLK, F_WRLCK, byte);
    if (reason != 0 && reason != EAGAIN && reason != EACCES) {
        return lock_failed(lock, byte, reason, err);
    }
    *out_taken = reason == 0;
    return STATUS_OK;
}

bool lock_is_held(const char *path, uint64_t byte)
{
    check(byte < INT64_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return false;
    }
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1, .l_pid = 0};
    bool is_held = fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
    close(fd);
    return is_held;
}

void lock_release(struct lock_file *lock, uint64_t byte)
{
    /* Splitting a range may need memory in the kernel; a lock that stays would hang others for as
     * long as this process lives, so that is no state to go on in. */
    check(lock_byte(lock, F_OFD_SETLK, F_UNLCK, byte) == 0);
}
