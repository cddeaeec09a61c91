/* What backup and restore show while they copy: bytes and speed on a terminal, and a line every few
 * seconds elsewhere; on stderr. */
#ifndef WEIR_CLI_COPY_PROGRESS_H
#define WEIR_CLI_COPY_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "inspect/backup.h"

struct copy_progress {
    struct copy_observer observer; /* its context is the struct, which must not move */
    const char *what;
    bool is_terminal;
    int64_t begin_us, shown_us;
    int64_t bytes;
};

void copy_progress_init(struct copy_progress *progress, const char *what);
void copy_progress_end(struct copy_progress *progress);
/* "12 files, 3.4 MiB copied to …", on stdout. */
void copy_progress_print(const struct backup_result *result, const char *how, const char *to);

#endif
