/*
 * Trees: whole folders of files, copied, listed and removed; for backups.
 *
 * Threads: any; nothing is kept.
 */
#ifndef WEIR_OS_TREE_H
#define WEIR_OS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"

/* Who waits for something to be copied. `copied` gets how many bytes more there are; may be NULL. */
struct copy_observer {
    void (*copied)(void *context, int64_t bytes);
    void *context;
};
/* Tells of more bytes; RETRY "stop.requested" when a stop was asked for. */
enum status copy_observe(const struct copy_observer *observer, int64_t bytes,
                         struct error *err) WEIR_MUST_USE;

/* Durably, as a name that appears when all is written; `to` must not be a file that anybody uses.
 * *out_found is false when there is no such file (any more), which is no error. */
enum status file_copy(const char *from, const char *to, const struct copy_observer *observer,
                      bool *out_found, struct error *err) WEIR_MUST_USE;

/* All files in a folder and the folders within, by their paths from there, in the order of names;
 * in `arena`. Links are not followed. */
enum status tree_list(struct arena *arena, const char *folder, const char ***out_paths,
                      size_t *out_count, struct error *err) WEIR_MUST_USE;
/* A file, or a folder with all that is in it. Fine when there is none. */
enum status tree_remove(const char *path, struct error *err) WEIR_MUST_USE;

#endif
