#include "os/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/status.h"
#include "os/stop.h"

static int64_t real_clock_us(clockid_t clock)
{
    struct timespec now;
    check(clock_gettime(clock, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t real_clock_realtime_us(void)
{
    return real_clock_us(CLOCK_REALTIME);
}

static int64_t real_clock_monotonic_us(void)
{
    return real_clock_us(CLOCK_MONOTONIC);
}

static void real_random_bytes(void *out, size_t size)
{
    uint8_t *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            fprintf(stderr, "weir: the system gives no random bytes: %s\n", strerror(errno));
            _exit(3);
        }
        at += got;
        size -= (size_t)got;
    }
}

/* Signals do not show: a call that one interrupts is made again. */

static int real_open(const char *path, int flags, mode_t mode)
{
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static int real_close(int fd)
{
    /* After EINTR the descriptor is closed all the same, and may be somebody else's by now. */
    return close(fd) == 0 || errno == EINTR ? 0 : -1;
}

static ssize_t real_pread(int fd, void *out, size_t size, off_t offset)
{
    ssize_t got;
    do {
        got = pread(fd, out, size, offset);
    } while (got < 0 && errno == EINTR);
    return got;
}

static ssize_t real_write(int fd, const void *data, size_t size)
{
    ssize_t written;
    do {
        written = write(fd, data, size);
    } while (written < 0 && errno == EINTR);
    return written;
}

static int real_fsync(int fd)
{
    int result;
    do {
        result = fsync(fd);
    } while (result < 0 && errno == EINTR);
    return result;
}

const struct os_host os_host_real = {
    .clock_realtime_us = real_clock_realtime_us,
    .clock_monotonic_us = real_clock_monotonic_us,
    .sleep_us = stop_sleep_us,
    .random_bytes = real_random_bytes,
    .open = real_open,
    .close = real_close,
    .pread = real_pread,
    .write = real_write,
    .fsync = real_fsync,
    .rename = rename,
    .unlink = unlink,
};

const struct os_host *os_host = &os_host_real;
