/* weir version: this program and the libraries in it. */
#include <lz4.h>
#include <sqlite3.h>
#include <zstd.h>

#include "base/broken.h"
#include "cli/verbs.h"
#include "progress/progress.h"

static enum status version(const struct cli_arguments *arguments, struct error *err)
{
    (void)arguments;
    (void)err;
    printf("weir %s\nprogress record format %u\nSQLite %s, lz4 %s, zstd %s\n", WEIR_VERSION,
           PROGRESS_VERSION, sqlite3_libversion(), LZ4_versionString(), ZSTD_versionString());
#ifdef WEIR_BREAK
    printf("BROKEN ON PURPOSE: %s\n", broken_name());
#endif
    return STATUS_OK;
}

static const struct cli_option options[] = {{0}};

const struct cli_verb verb_version = {
    .name = "version",
    .arguments = "",
    .summary = "print the version",
    .options = options,
    .run = version,
};
