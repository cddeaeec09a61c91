/*
 * The simulated outside: a source of partitions whose records come little by little, and sink
 * systems, each with R under compare-and-swap, rows and ledger segments, which fail, answer late or
 * not at all, but never break their promises (connector/sink.h). What they hold outlives the
 * processes. Every commit is held against the oracle at once: the rows of a step are exactly those
 * that the whole log in one piece gives, in order. Test code only.
 */
#ifndef WEIR_TEST_SIMULATION_WORLD_H
#define WEIR_TEST_SIMULATION_WORLD_H

#include "plan/plan.h"

/* How a process ends that found something wrong. */
enum { WORLD_EXIT_WRONG = 91 };

enum { WORLD_SYSTEMS = 3, WORLD_SINKS = 3, WORLD_PARTITIONS_MAX = 3, WORLD_ROWS_MAX = 96 };

/* A plan whose source and systems are simulated; for one process at a time. */
struct plan *world_plan_new(void);

/* A new world: log, empty systems, and what must come of them. */
void world_begin(const struct plan *plan);
/* Whether several processes share the source. */
bool world_is_shared(void);
/* For a test of the oracle: systems take what former owners send. */
void world_give_up_fencing(void);
/* The plan of a process that starts: sessions of one that was killed are forgotten. */
void world_prepare(struct plan *plan);

/* From now on nothing fails and all records are there. */
void world_calm(void);
/* After a run to the end: everything is everywhere, once. Ends the process when not. */
void world_check(void);

/* Says what is wrong, and ends the process. */
_Noreturn void world_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct world_tally {
    uint64_t commits, sent_ahead, lost_answers, refusals, fenced, kills, freezes, stops;
    uint64_t shared, rebalances, gained, revoked, lost; /* the last three: partitions */
};
extern struct world_tally world_tally;

#endif
