/*
 * Route: what is left is VALID and goes to the sinks whose `when` holds; a row that no sink
 * wants is FILTERED, one on which a `when` fails at run time INVALID. Both keep their place
 * behind dedup and lateness, yet neither registers there, so a corrected resend counts. A tombstone
 * goes to all sinks.
 */
#include "stage/stage_private.h"

static uint64_t sink_bit(const struct stage_plan *plan, struct bytes name)
{
    for (uint32_t s = 0; s < plan->sink_count; s++) {
        if (bytes_equal_string(name, plan->sink_names[s])) {
            return UINT64_C(1) << s;
        }
    }
    return 0;
}

bool stage_has_route(const struct stage_runner *runner, const struct batch *batch, uint32_t row)
{
    return bytes_is_none(runner->route_failures[row]) &&
           (batch->routes[row] != 0 || runner->plan->sink_count == 0);
}

static void decide(const struct stage_runner *runner, struct batch *batch, uint32_t row)
{
    if (!bytes_is_none(runner->route_failures[row])) {
        batch_decide(batch, row, VERDICT_INVALID, ORDER_LATER + 4, runner->plan->route_reason,
                     FIELD_NONE, runner->route_failures[row]);
    } else if (!stage_has_route(runner, batch, row)) {
        batch_decide(batch, row, VERDICT_FILTERED, ORDER_LATER + 4, REASON_ROUTE_UNMATCHED,
                     FIELD_NONE, BYTES_NONE);
    } else {
        batch->verdicts[row] = VERDICT_VALID;
    }
}

/* To every sink; what is to be said of them beyond that is said as of other rows. */
static void route_tombstones(const struct stage_runner *runner, struct batch *batch)
{
    const uint32_t count = runner->plan->sink_count;
    const uint64_t all = count == SINKS_MAX ? UINT64_MAX : (UINT64_C(1) << count) - 1;
    for (uint32_t row = 0; runner->plan->takes_tombstones && row < batch->row_count; row++) {
        if (batch_is_tombstone(batch, row)) {
            batch->routes[row] = all;
            batch->verdicts[row] = VERDICT_NONE;
        }
    }
}

void stage_route(struct stage_runner *runner, struct batch *batch)
{
    const struct stage_plan *plan = runner->plan;
    route_tombstones(runner, batch);
    for (uint32_t i = 0; i < batch->replay_count; i++) {
        const struct replay_origin *replay = &batch->replays[i];
        if (!bytes_is_none(replay->sink)) {
            batch->routes[replay->row] = sink_bit(plan, replay->sink);
            runner->route_failures[replay->row] = BYTES_NONE;
        }
    }
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (batch->verdicts[row] == VERDICT_NONE) {
            decide(runner, batch, row);
        }
        if (batch->verdicts[row] != VERDICT_VALID) {
            batch->routes[row] = 0;
        }
    }
}
