/*
 * The host: everything in weir that touches the operating system goes through this table, so that a
 * simulation can stand in its place. There is one host per process, the real one unless a test
 * installs another before any thread starts. SQLite gets its own seam (a VFS); libraries that open
 * sockets stand behind connector ports.
 *
 * The functions of the other headers in os/ (clock.h, random.h, file.h) call the current host;
 * callers include those headers, not this one. What does not vary between worlds (thread.h, lock.h,
 * watch.h) has no slot here.
 */
#ifndef WEIR_OS_HOST_H
#define WEIR_OS_HOST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct os_host {
    int64_t (*clock_realtime_us)(void);
    int64_t (*clock_monotonic_us)(void);
    void (*sleep_us)(int64_t duration_us);
    /* Fills all `size` bytes or ends the process. */
    void (*random_bytes)(void *out, size_t size);
    /* As the system calls of the same name: -1 and errno on failure. */
    int (*open)(const char *path, int flags, mode_t mode);
    int (*close)(int fd);
    ssize_t (*pread)(int fd, void *out, size_t size, off_t offset);
    ssize_t (*write)(int fd, const void *data, size_t size);
    int (*fsync)(int fd);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
};

/* The host of this process; never NULL. */
extern const struct os_host *os_host;
extern const struct os_host os_host_real;

#endif
