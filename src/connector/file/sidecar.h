/*
 * Sidecar: what lies beside a part: the progress record R after it, and the ledger segments that
 * have no file of their own. Version 1, little-endian:
 *
 *   "WEIRPART" | u32 version | sized name of the part, empty for none | sized R (progress_write)
 *   | segments (segments_write) | u64 low half of the XXH3-128 of all bytes before
 */
#ifndef WEIR_CONNECTOR_FILE_SIDECAR_H
#define WEIR_CONNECTOR_FILE_SIDECAR_H

#include "connector/file/segments.h"
#include "progress/progress.h"

#define SIDECAR_VERSION 1u

struct sidecar {
    char *part; /* "" when the epoch had no rows */
    struct progress progress;
    struct segments segments;
};

/* Zero-initialise before use. */
void sidecar_fini(struct sidecar *sidecar);
void sidecar_write(const struct sidecar *sidecar, struct buffer *out);
/* Into an empty sidecar. FATAL "progress.corrupt" and CONFIG "progress.version" name `path`. */
enum status sidecar_read(struct sidecar *sidecar, struct bytes form, const char *path,
                         struct error *err) WEIR_MUST_USE;
/* The file `path`, likewise. */
enum status sidecar_load(const char *path, struct sidecar *out, struct error *err) WEIR_MUST_USE;

#endif
