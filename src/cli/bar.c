#include "cli/bar.h"

#include <stdio.h>

#include "cli/cli.h"
#include "os/clock.h"

#define WIDTH 30
#define INTERVAL_US 100000

void bar_init(struct bar *bar)
{
    int64_t now_us = clock_monotonic_us();
    *bar = (struct bar){
        .is_terminal = cli_is_terminal(stderr), .begin_us = now_us, .drawn_us = now_us};
}

double bar_rate(const struct bar *bar, uint64_t records)
{
    double seconds = (double)(clock_monotonic_us() - bar->begin_us) / 1e6;
    return seconds > 0 ? (double)records / seconds : 0;
}

static void draw_share(double share, double seconds)
{
    static const char full[] = "##############################";
    static const char empty[] = "..............................";
    int filled = (int)(share * WIDTH);
    double left_s = share > 0 ? seconds * (1 - share) / share : 0;
    fprintf(stderr, "  [%.*s%.*s] %3.0f %%  %.0f s left", filled, full, WIDTH - filled, empty,
            share * 100, left_s);
}

void bar_show(struct bar *bar, uint64_t records, double share)
{
    int64_t now_us = clock_monotonic_us();
    if (!bar->is_terminal || now_us - bar->drawn_us < INTERVAL_US) {
        return;
    }
    char count[27];
    char speed[27];
    bar->drawn_us = now_us;
    bar->is_shown = true;
    fprintf(stderr, "\r\x1b[K%s records, %s/s", cli_count(records, count),
            cli_count((uint64_t)bar_rate(bar, records), speed));
    if (share >= 0) {
        draw_share(share > 1 ? 1 : share, (double)(now_us - bar->begin_us) / 1e6);
    }
    fflush(stderr);
}

void bar_observe(void *context, uint64_t records, int64_t expected)
{
    (void)expected;
    bar_show(context, records, -1);
}

void bar_clear(struct bar *bar)
{
    if (bar->is_shown) {
        fputs("\r\x1b[K", stderr);
        bar->is_shown = false;
    }
}
