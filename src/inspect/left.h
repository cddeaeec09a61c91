/*
 * What two-phase commits have left prepared (run/two_phase.h): what there is, what its decision says,
 * and ending it by hand, in accordance with the decision only.
 *
 * Nobody needs this where the pipeline starts again: the start ends what is left by the same rule. It is
 * for a pipeline that stays down, while what is prepared holds locks, and rows that nobody sees yet.
 *
 *   R of the decision names it      it was decided for: committing is right whoever runs, and aborting
 *                                   is refused
 *   R names it not                  it was not decided for, yet: committing is refused. Whoever runs could
 *                                   still decide, so aborting first takes the pipeline as a start does,
 *                                   and then reads R
 *   its decision cannot be read     of no system of this pipeline file, or of a pipeline of the same name
 *                                   that was begun anew: both are refused
 */
#ifndef WEIR_INSPECT_LEFT_H
#define WEIR_INSPECT_LEFT_H

#include "plan/plan.h"

enum left_fate { LEFT_DECIDED, LEFT_UNDECIDED, LEFT_UNKNOWN };

/* Texts live in the list's arena. */
struct left_transaction {
    const char *id;
    const char *system;     /* that holds it */
    const char *decision;   /* the system that decides; NULL where that cannot be told */
    const char *owner;      /* of the process that prepared it, as in R; "" where the name has none */
    const char *partitions; /* whose R it holds: "raw [0], raw [1]"; "" where that cannot be told */
    int64_t since_us;
    enum left_fate fate;
};

struct left_list {
    struct arena *arena;
    struct left_transaction *items; /* of each system the oldest first */
    uint32_t count;
};

/* "commit", "none yet", "unknown": what the decision says. */
const char *left_fate_name(enum left_fate fate);

/* Looks only, beside whoever runs: then what is listed may end, or be decided for, at any moment.
 * CONFIG "progress.none" where the pipeline has not run. left_fini() is due after a failure too. */
enum status left_find(struct plan *plan, struct left_list *out, struct error *err) WEIR_MUST_USE;
void left_fini(struct left_list *list);

/* Commits, or rolls back, the one of that name. CONFIG "atomic.none": there is none; "atomic.refused":
 * that is not what its decision says, or may come to say. To roll back takes the pipeline away from
 * whoever runs it where nothing else keeps that from deciding, or is refused ("group.owned"). */
enum status left_end(struct plan *plan, const char *id, bool do_commit,
                     struct error *err) WEIR_MUST_USE;

#endif
