/*
 * Who holds a lock: the processes with POSIX locks on a range of a file, as the kernel lists them
 * (/proc/locks), for messages to people. Never opens the file: closing it would drop the locks that
 * this process has on it.
 *
 * Best effort: where the list is not to be had, or the process belongs to another namespace, nobody
 * is named.
 */
#ifndef WEIR_OS_HOLDERS_H
#define WEIR_OS_HOLDERS_H

#include <stdint.h>

#include "base/memory.h"

/* Appends "process 12 (sqlite3) and process 34 (python3)" for all but this process, at most a few;
 * returns how many there are. Bytes `first` to `last`, both included. */
uint32_t holders_name(const char *path, uint64_t first, uint64_t last, struct buffer *out);

#endif
