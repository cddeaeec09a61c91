#include "rule.h"

#include <string.h>

struct rule rule_random(struct prng *prng)
{
    struct rule rule;
    memset(&rule, 0, sizeof rule);
    rule.lateness_s = PICK(prng, 0, 5, 20, 60);
    rule.window_s = PICK(prng, 5, 40, 100);
    rule.max_age_s = PICK(prng, 5, 20, 100, 200);
    rule.mode_age_s = NONE;
    rule.max_future_s = NONE;
    rule.max_jump_s = NONE;
    rule.jump_span = JUMP_SPAN_FILE;
    rule.maximum = 95;
    rule.dedup = DEDUP_KEY;
    rule.fill = FILL_BY_SENSOR;
    return rule;
}

int rule_reach_s(const struct rule *rule)
{
    int reach_s = rule->lateness_s;
    reach_s += rule->dedup != DEDUP_NOT && rule->window_s > 0 ? rule->window_s : 0;
    reach_s += rule->fill != FILL_NOT ? rule->max_age_s : 0;
    reach_s += rule->mode_age_s > 0 ? rule->mode_age_s : 0;
    return reach_s;
}
