/*
 * Kills its own process at a chosen point of writing: preload it (killer.py does) and set
 *   WEIR_KILL_AT    n: at the n-th call, counted over all threads and files
 *   WEIR_KILL_WHEN  "before" or "after" a sync; "torn": in the middle of a write, half of it done
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;

static int is_mode(char first_letter)
{
    const char *when = getenv("WEIR_KILL_WHEN");
    return when != NULL && when[0] == first_letter;
}

/* Whether this is the call. */
static int is_the_one(void)
{
    const char *at = getenv("WEIR_KILL_AT");
    return at != NULL && atomic_fetch_add(&calls, 1) + 1 == atol(at);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;) {
        pause();
    }
}

static int sync_or_die(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int is_end = !is_mode('t') && is_the_one();
    if (is_end && is_mode('b')) {
        die();
    }
    int result = real(fd);
    if (is_end) {
        die();
    }
    return result;
}

int fsync(int fd)
{
    return sync_or_die("fsync", fd);
}

int fdatasync(int fd)
{
    return sync_or_die("fdatasync", fd);
}

static ssize_t write_or_die(const char *name, int fd, const void *data, size_t size, off64_t offset)
{
    ssize_t (*real)(int, const void *, size_t, off64_t) =
        (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, name);
    if (is_mode('t') && is_the_one()) {
        ssize_t half = real(fd, data, size / 2, offset);
        (void)half;
        die();
    }
    return real(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return write_or_die("pwrite", fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    return write_or_die("pwrite64", fd, data, size, offset);
}
