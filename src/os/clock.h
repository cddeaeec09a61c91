/*
 * Clocks. Wall-clock time never decides a verdict (see stage/); it stamps records that the local
 * log appends, and paces commits and progress lines. Units are microseconds.
 */
#ifndef WEIR_OS_CLOCK_H
#define WEIR_OS_CLOCK_H

#include <stdint.h>

/* Since 1970, may jump. */
int64_t clock_realtime_us(void);
/* Since some start, never goes back. */
int64_t clock_monotonic_us(void);
/* CPU time of this process so far. */
int64_t clock_cpu_us(void);
void clock_sleep_us(int64_t duration_us);

#endif
