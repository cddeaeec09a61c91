/* Route: what is left is VALID and goes to the sinks whose `when` holds; a row that no sink wants is FILTERED. */
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

void stage_route(struct stage_runner *runner, struct batch *batch)
{
    const struct stage_plan *plan = runner->plan;
    for (uint32_t i = 0; i < batch->replay_count; i++) {
        const struct replay_origin *replay = &batch->replays[i];
        if (!bytes_is_none(replay->sink)) {
            batch->routes[replay->row] = sink_bit(plan, replay->sink);
        }
    }
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (batch->verdicts[row] != VERDICT_NONE) {
            batch->routes[row] = 0;
        } else if (batch->routes[row] == 0 && plan->sink_count > 0) {
            batch_decide(batch, row, VERDICT_FILTERED, ORDER_LATER + 4, REASON_ROUTE_UNMATCHED,
                         FIELD_NONE, BYTES_NONE);
        } else {
            batch->verdicts[row] = VERDICT_VALID;
        }
    }
}
