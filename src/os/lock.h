/*
 * Locks between processes: byte ranges of a lock file, held by the open file description (OFD
 * locks, fcntl F_OFD_SETLK), so that they vanish with the process, and threads of one process
 * exclude each other too when each opens its own handle. Never opens a database file: closing it
 * would drop SQLite's locks. The lock file is made with mode 0600 and never removed.
 */
#ifndef WEIR_OS_LOCK_H
#define WEIR_OS_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct lock_file;

enum status lock_file_open(const char *path, struct lock_file **out,
                           struct error *err) WEIR_MUST_USE;
/* Releases all ranges that this handle holds. Takes NULL. */
void lock_file_close(struct lock_file *lock);

/* Exclusive lock of one byte, waiting for as long as it takes. */
enum status lock_take(struct lock_file *lock, uint64_t byte, struct error *err) WEIR_MUST_USE;
/* Without waiting; *out_taken says whether it is held now. */
enum status lock_try(struct lock_file *lock, uint64_t byte, bool *out_taken,
                     struct error *err) WEIR_MUST_USE;
/* Whether anybody holds it, this process included. Takes nothing and makes no file. */
bool lock_is_held(const char *path, uint64_t byte);
void lock_release(struct lock_file *lock, uint64_t byte);

#endif
