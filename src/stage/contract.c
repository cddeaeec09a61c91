/* The end of the contract: a row with any violation of decoding, event time or schema is INVALID.
 * */
#include <string.h>

#include "stage/stage_private.h"

void stage_close_contract(struct stage_runner *runner, struct batch *batch)
{
    memset(runner->has_violation, 0, batch->row_count);
    for (uint32_t i = 0; i < batch->violation_count; i++) {
        runner->has_violation[batch->violations[i].row] = true;
    }
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (runner->has_violation[row] && batch->verdicts[row] == VERDICT_NONE) {
            batch->verdicts[row] = VERDICT_INVALID;
        }
    }
}
