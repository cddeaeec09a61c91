/*
 * Waiting that a stop signal ends early: what clock_sleep_us(), watch_wait() and file_read_stdin()
 * have in common. For the files of os/ only; thread.h has what the others call.
 */
#ifndef WEIR_OS_STOP_H
#define WEIR_OS_STOP_H

#include <stdbool.h>
#include <stdint.h>

enum stop_wait {
    STOP_WAIT_READABLE,
    STOP_WAIT_STOP,
    STOP_WAIT_TIMEOUT,
};

/* Waits until `fd` can be read (or is at its end, or broken), a stop was asked for, or the time ran
 * out; a negative `timeout_us` waits for ever. `fd` may be -1. What can be read comes before a
 * stop. */
enum stop_wait stop_wait_us(int fd, int64_t timeout_us);

/* Waits for the whole time, unless this thread learns of a stop in it. A thread is woken once: a
 * thread that knows of the stop already (from here, or from stop_requested()) still has to pace
 * what it repeats while it comes to its end. */
void stop_sleep_us(int64_t duration_us);

#endif
