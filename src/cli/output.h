/* A file that a person names for output, or standard output ("-"): written in large pieces; every
 * failure is told. */
#ifndef WEIR_CLI_OUTPUT_H
#define WEIR_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/status.h"

/* Zero-initialise. */
struct output {
    FILE *stream;
    const char *path;
    bool is_unwanted; /* standard output's reader has gone (`| head`): no failure, only the end */
};

/* What was in the file is gone. CONFIG "output.failed" when it cannot be opened. `path` is kept. */
enum status output_open(struct output *output, const char *path,
                        struct error *err) WEIR_MUST_USE;
/* FATAL "output.failed"; RETRY for a full disk. */
enum status output_write(struct output *output, struct bytes data,
                         struct error *err) WEIR_MUST_USE;
/* What was written so far leaves the process. */
enum status output_flush(struct output *output, struct error *err) WEIR_MUST_USE;
/* Flushes and closes. Fine when it is not open. */
enum status output_close(struct output *output, struct error *err) WEIR_MUST_USE;

#endif
