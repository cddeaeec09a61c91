/*
 * Waiting until a file grows or changes (inotify), with a time limit; where inotify is not to be
 * had it degrades to polling every 20 ms. Spurious wake-ups are allowed: callers look again.
 */
#ifndef WEIR_OS_WATCH_H
#define WEIR_OS_WATCH_H

#include <stdint.h>

#include "base/status.h"

struct watch;

/* Watches `path_count` files; one that does not exist yet is watched through its folder. */
enum status watch_open(const char *const *paths, uint32_t path_count, struct watch **out,
                       struct error *err) WEIR_MUST_USE;
/* Returns after a change since the last call, after `timeout_us`, or when a stop was asked for. */
void watch_wait(struct watch *watch, int64_t timeout_us);
void watch_close(struct watch *watch);

#endif
