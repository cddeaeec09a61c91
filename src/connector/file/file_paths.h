/*
 * Paths: which files a path of the pipeline file names, and in which order.
 *
 *   a file      itself
 *   a folder    the files in it, but hidden ones (".…") and folders, by the bytes of their names
 *   a pattern   what fits `*`, `?` and `[…]` in one of its components, by the bytes of the paths; no
 *               component begins with a '.' unless the pattern has it. A path that is there as it is
 *               written is no pattern.
 *
 * The list is that of the moment: files that come later are there at the next start.
 */
#ifndef WEIR_CONNECTOR_FILE_FILE_PATHS_H
#define WEIR_CONNECTOR_FILE_FILE_PATHS_H

#include <stddef.h>

#include "base/memory.h"
#include "base/status.h"

/* The full name of a path that is relative to `folder` (of the pipeline file; "" for none). */
const char *file_path_full(struct arena *arena, const char *folder, const char *path);
/* The files as the path spells them (relative where it is), in `arena`; none when nothing is there.
 */
enum status file_paths_list(struct arena *arena, const char *folder, const char *path,
                            const char ***out_paths, size_t *out_count,
                            struct error *err) WEIR_MUST_USE;

#endif
