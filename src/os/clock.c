#include "os/clock.h"

#include <time.h>

#include "base/status.h"
#include "os/host.h"

int64_t clock_realtime_us(void)
{
    return os_host->clock_realtime_us();
}

int64_t clock_monotonic_us(void)
{
    return os_host->clock_monotonic_us();
}

int64_t clock_cpu_us(void)
{
    struct timespec used;
    check(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0);
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

void clock_sleep_us(int64_t duration_us)
{
    if (duration_us > 0) {
        os_host->sleep_us(duration_us);
    }
}
