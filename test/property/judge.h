/*
 * The engine under test: a rule as a real plan with its runner, and a partition of a log that is
 * judged under a history of plans, in whatever batches, with whatever restarts.
 */
#ifndef WEIR_TEST_PROPERTY_JUDGE_H
#define WEIR_TEST_PROPERTY_JUDGE_H

#include "plan/plan.h"
#include "row.h"
#include "rule.h"

/* A plan from its text, made ready to run. */
struct judge {
    struct plan *plan;
    struct stage_runner *runner;
    struct batch *batch;
};

/* Ends the process when the text is no plan: it is the test's own. */
struct judge judge_new(const char *pipeline, const char *schema);
void judge_free(struct judge *judge);

/* Plans that were asked for lately; making one costs more than judging a log. */
struct judges;
struct judges *judges_new(void);
void judges_free(struct judges *judges);
/* Valid until the next 32 calls for others. */
const struct judge *judges_get(struct judges *judges, const struct rule *rule);

/* From row `first` on the plan is this one. */
struct plan_span {
    int first;
    const struct judge *judge;
};
#define SPANS_MAX 4

/* One partition on its way through a log. */
struct partition {
    const struct record *records;
    int count;
    const struct plan_span *spans;
    int span_count;
    struct state_budget budget;
    struct stage_state *state;
    int next; /* the row that comes next */
    int span; /* whose plan the state is left under */
    /* Wrong rules, for tests of the tests. Anchors before a change need the longer of both reaches,
     * not their sum. */
    bool longer_of_horizons;
    /* Another: a restart goes on where it is and replays nothing. */
    bool replays_nothing;
};

void partition_open(struct partition *partition, const struct record *records, int count,
                    const struct plan_span *spans, int span_count);
void partition_close(struct partition *partition);

/* Called for each batch that was judged (judge->batch); its first row is row `first` of the log. */
typedef void (*batch_observer)(void *context, const struct judge *judge, int first);

/* Judges rows up to `end`, in batches as large as they can be, or cut at random where `prng` is
 * given. */
void partition_advance(struct partition *partition, int end, struct prng *prng,
                       enum stage_mode mode, batch_observer observer, void *context);

/* The plan of the row that comes next takes over at once, rather than when that row comes. */
void partition_take_over(struct partition *partition);

/* Both put a rebuilt state in the place of the old one, as a new process would: from its written
 * form; or by silent replay from the anchor. False when the two are not equal, with the difference
 * in `why`. */
bool partition_restart_from_snapshot(struct partition *partition, struct buffer *why);
bool partition_restart_by_replay(struct partition *partition, struct prng *prng,
                                 struct buffer *why);
struct hash128 partition_digest(const struct partition *partition);

#endif
