#include "cli/copy_progress.h"

#include "base/time.h"
#include "cli/cli.h"
#include "os/clock.h"

#define TERMINAL_INTERVAL_US (TIME_US_PER_SECOND / 10)
#define PLAIN_INTERVAL_US (5 * TIME_US_PER_SECOND)

static void copied(void *context, int64_t bytes)
{
    struct copy_progress *progress = context;
    int64_t now_us = clock_monotonic_us();
    progress->bytes += bytes;
    if (now_us - progress->shown_us <
        (progress->is_terminal ? TERMINAL_INTERVAL_US : PLAIN_INTERVAL_US)) {
        return;
    }
    double mib = (double)progress->bytes / (1024 * 1024);
    double seconds = (double)(now_us - progress->begin_us) / 1e6;
    progress->shown_us = now_us;
    fprintf(stderr, "%s%.0f MiB %s, %.0f MiB/s%s", progress->is_terminal ? "\r\x1b[K" : "", mib,
            progress->what, seconds > 0 ? mib / seconds : 0, progress->is_terminal ? "" : "\n");
    fflush(stderr);
}

void copy_progress_init(struct copy_progress *progress, const char *what)
{
    int64_t now_us = clock_monotonic_us();
    *progress = (struct copy_progress){
        .observer = {.copied = copied, .context = progress},
        .what = what,
        .is_terminal = cli_is_terminal(stderr),
        .begin_us = now_us,
        .shown_us = now_us,
    };
}

void copy_progress_end(struct copy_progress *progress)
{
    if (progress->is_terminal && progress->bytes > 0) {
        fputs("\r\x1b[K", stderr);
    }
}

void copy_progress_print(const struct backup_result *result, const char *how, const char *to)
{
    char files[27];
    printf("%s file%s, %.1f MiB %s %s\n", cli_count(result->files, files),
           result->files == 1 ? "" : "s", (double)result->bytes / (1024 * 1024), how, to);
}
