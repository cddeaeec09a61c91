#include "os/stop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/status.h"
#include "os/thread.h"

/* Signals belong to the process, so their state does too. */
static atomic_bool stop_flag;
/* Readable from the first stop signal on; never read, so that every waiting thread sees it. */
static atomic_int stop_fd = -1;
static _Thread_local bool stop_is_known;

_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "a signal handler may touch these");

static void stop_on_signal(int signal_number)
{
    (void)signal_number;
    int errno_before = errno;
    if (!atomic_exchange(&stop_flag, true)) {
        const uint64_t one = 1;
        ssize_t written = write(atomic_load(&stop_fd), &one, sizeof one);
        (void)written; /* The first write to an eventfd always fits; the flag is set in any case. */
    }
    errno = errno_before;
}

void stop_signals_install(void)
{
    if (atomic_load(&stop_fd) < 0) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        check(fd >= 0);
        atomic_store(&stop_fd, fd);
    }
    /* With SA_RESTART a signal does not cut short calls in libraries that do not expect it. */
    struct sigaction action = {.sa_handler = stop_on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    check(sigaction(SIGINT, &action, NULL) == 0);
    check(sigaction(SIGTERM, &action, NULL) == 0);
    struct sigaction before;
    check(sigaction(SIGHUP, NULL, &before) == 0);
    if (before.sa_handler != SIG_IGN) {
        check(sigaction(SIGHUP, &action, NULL) == 0);
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&ignore.sa_mask);
    check(sigaction(SIGPIPE, &ignore, NULL) == 0);
    check(sigaction(SIGXFSZ, &ignore, NULL) == 0);
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGHUP);
    check(pthread_sigmask(SIG_UNBLOCK, &stops, NULL) == 0);
}

bool stop_requested(void)
{
    bool stop = atomic_load_explicit(&stop_flag, memory_order_acquire);
    if (stop) {
        stop_is_known = true;
    }
    return stop;
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    check(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* poll() until a descriptor is ready or the time ran out, through signals. Returns the number of
 * ready ones. */
static int poll_all(struct pollfd *fds, nfds_t count, int64_t timeout_us)
{
    int64_t start_ns = monotonic_ns();
    int64_t end_ns;
    if (__builtin_mul_overflow(timeout_us, 1000, &end_ns) ||
        __builtin_add_overflow(end_ns, start_ns, &end_ns)) {
        end_ns = INT64_MAX;
    }
    int64_t now_ns = start_ns;
    for (;;) {
        int64_t left_ns = end_ns > now_ns ? end_ns - now_ns : 0;
        struct timespec left = {left_ns / 1000000000, left_ns % 1000000000};
        int ready = ppoll(fds, count, timeout_us < 0 ? NULL : &left, NULL);
        if (ready >= 0) {
            return ready;
        }
        /* ENOMEM passes; anything else is a mistake of the caller. */
        check(errno == EINTR || errno == ENOMEM || errno == EAGAIN);
        now_ns = monotonic_ns();
    }
}

enum stop_wait stop_wait_us(int fd, int64_t timeout_us)
{
    /* poll() passes over negative descriptors. */
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
                            {.fd = atomic_load(&stop_fd), .events = POLLIN}};
    poll_all(fds, 2, timeout_us);
    if (fds[0].revents != 0) {
        return STOP_WAIT_READABLE;
    }
    if (fds[1].revents != 0) {
        stop_is_known = true;
        return STOP_WAIT_STOP;
    }
    return STOP_WAIT_TIMEOUT;
}

void stop_sleep_us(int64_t duration_us)
{
    if (duration_us <= 0) {
        return;
    }
    if (stop_is_known) {
        poll_all(NULL, 0, duration_us);
    } else {
        stop_wait_us(-1, duration_us);
    }
}
