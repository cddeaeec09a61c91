/*
 * Progress on a terminal, for what takes long: how much, how fast, how much longer. Without a
 * terminal nothing is shown. At most ten times a second, on stderr.
 */
#ifndef WEIR_CLI_BAR_H
#define WEIR_CLI_BAR_H

#include <stdbool.h>
#include <stdint.h>

struct bar {
    bool is_terminal;
    bool is_shown;
    int64_t begin_us;
    int64_t drawn_us;
};

void bar_init(struct bar *bar);
/* `share` of the work is done, 0 to 1; below 0: nobody knows. */
void bar_show(struct bar *bar, uint64_t records, double share);
/* The same for a struct run_observer whose context is the bar, where nobody knows the share. */
void bar_observe(void *context, uint64_t records, int64_t expected);
/* Takes it away, for a line of text or at the end. */
void bar_clear(struct bar *bar);
/* Records a second since bar_init(). */
double bar_rate(const struct bar *bar, uint64_t records);

#endif
