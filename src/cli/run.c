/* weir run: a pipeline at work, with a progress bar on a terminal and plain lines elsewhere. */
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "cli/bar.h"
#include "cli/ledger_print.h"
#include "cli/verbs.h"
#include "os/clock.h"
#include "run/run.h"

#define PLAIN_INTERVAL_US (5 * TIME_US_PER_SECOND)

struct screen {
    struct bar bar;
    int64_t plain_us; /* when the last plain line was printed */
};

static void talk(void *context, const char *line)
{
    struct screen *screen = context;
    bar_clear(&screen->bar);
    fprintf(stderr, "%s\n", line);
    fflush(stderr);
}

/* May come from a commit thread; stdio locks the stream, and the bar is drawn again soon. */
static void warning(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "warning: %s\n", line);
}

static void notice(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "%s\n", line);
}

static void progress(void *context, uint64_t records, int64_t expected)
{
    struct screen *screen = context;
    int64_t now_us = clock_monotonic_us();
    if (screen->bar.is_terminal) {
        bar_show(&screen->bar, records, expected > 0 ? (double)records / (double)expected : -1);
    } else if (now_us - screen->plain_us >= PLAIN_INTERVAL_US) {
        char count[27];
        char speed[27];
        screen->plain_us = now_us;
        fprintf(stderr, "%s records, %s/s\n", cli_count(records, count),
                cli_count((uint64_t)bar_rate(&screen->bar, records), speed));
    }
}

static void print_result(const struct run_result *result, bool json)
{
    if (json) {
        struct buffer out = {0};
        ledger_print_json(&result->ledger, &result->forwarded, &out);
        printf("%s\n", buffer_string(&out));
        buffer_fini(&out);
        return;
    }
    char count[27];
    char speed[27];
    double seconds = (double)result->duration_us / 1e6;
    fprintf(stderr, "%s records in %.2f s (%s/s)\n", cli_count(result->records, count), seconds,
            cli_count(seconds > 0 ? (uint64_t)((double)result->records / seconds) : 0, speed));
    fprintf(stderr, "state: %s bytes in memory\n", cli_count(result->state_bytes, count));
    ledger_print(&result->ledger, &result->forwarded, stdout);
}

/* Rows of a log, and what SQLite makes of them. */
#define KEEP_FREED_BYTES ((size_t)4 * 1024 * 1024)

static enum status run(const struct cli_arguments *arguments, struct error *err)
{
    memory_keep_freed(KEEP_FREED_BYTES);
    struct plan *plan = NULL;
    enum status status = plan_load(arguments->positional[0], cli_environment, &plan, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct screen screen = {.plain_us = clock_monotonic_us()};
    bar_init(&screen.bar);
    struct run_observer observer = {.context = &screen,
                                    .talk = talk,
                                    .warning = warning,
                                    .notice = notice,
                                    .progress = progress};
    struct run_options options = {
        .init = cli_given(arguments, "init"),
        .until_end = cli_given(arguments, "until-end"),
        .version = WEIR_VERSION,
        .accept_loss = cli_given(arguments, "accept-loss"),
        .accept_incomplete_state = cli_given(arguments, "accept-incomplete-state"),
    };
    struct run_result result = {0};
    status = run_pipeline(plan, &options, &observer, &result, err);
    bar_clear(&screen.bar);
    if (status == STATUS_OK) {
        print_result(&result, cli_given(arguments, "json"));
    }
    run_result_fini(&result);
    plan_free(plan);
    return status;
}

static const struct cli_option options[] = {
    {"until-end", NULL, "stop at the end of what is there now"},
    {"init", NULL, "take a first start although output places are not empty"},
    {"accept-loss", NULL, "go on behind what the source deleted before it was read, and book it "
                          "as lost"},
    {"accept-incomplete-state", NULL, "go on although what was remembered cannot be rebuilt"},
    {"json", NULL, "print the ledger as JSON"},
    {0},
};

const struct cli_verb verb_run = {
    .name = "run",
    .arguments = "P.yaml [--until-end] [--init] [--json]",
    .summary = "run a pipeline",
    .details =
        "Reads the source, gives every record one verdict, writes rows, dead letters and the\n"
        "ledger, exactly once. SIGTERM or Ctrl-C: finishes what is open, and exits with 0.\n"
        "After a crash the same command goes on where it was.",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
