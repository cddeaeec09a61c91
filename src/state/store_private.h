/*
 * What both keyed stores share: how long an entry is remembered, and the budget. Not for other
 * folders.
 */
#ifndef WEIR_STATE_STORE_PRIVATE_H
#define WEIR_STATE_STORE_PRIVATE_H

#include "base/broken.h"
#include "base/time.h"
#include "state/store.h"

/* Takes `bytes` out of the budget; false (and nothing taken) when they are not there. */
bool state_budget_take(struct state_budget *budget, uint64_t bytes);
void state_budget_give(struct state_budget *budget, uint64_t bytes);
/* FATAL "state.memory". */
enum status state_budget_refuse(const struct state_budget *budget, uint64_t bytes, const char *what,
                                const char *remedy, struct error *err);

/* watermark ≤ event time + horizon, without overflow at the ends of time. */
static inline bool state_is_remembered(int64_t event_time_us, int64_t horizon_us,
                                       int64_t watermark_us)
{
    int64_t until_us;
    if (BROKEN("purge-early") && horizon_us < TIME_UNLIMITED) {
        horizon_us /= 2;
    }
    if (horizon_us >= TIME_UNLIMITED ||
        __builtin_add_overflow(event_time_us, horizon_us, &until_us)) {
        return true;
    }
    return watermark_us <= until_us;
}

#endif
