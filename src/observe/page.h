/* The page: the registry as tables for people, one table for each set of labels, with what is in
 * the way at its head. Plain HTML without scripts; it reloads itself. */
#ifndef WEIR_OBSERVE_PAGE_H
#define WEIR_OBSERVE_PAGE_H

#include "observe/health.h"
#include "observe/metrics.h"

void page_write(const char *title, struct metrics *metrics, struct health *health,
                struct buffer *out);

#endif
