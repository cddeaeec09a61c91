/*
 * Forwarding: the dead letters of rows that a table refused, on their way to a dead-letter place in
 * another system.
 *
 *   table's system                         worker                          dead letters' system
 *   epoch: rows, refused rows kept,
 *   R.due ─────commit─────▶ load_rejects() ──▶ chunk ──▶ open epoch ──────commit─────▶ dead letters,
 *                           (commit thread)                                            R.forwarded
 *
 * What is not forwarded yet is what stands in R.due of the one and not in R.forwarded of the other
 * (progress/refused.h); it is always read back from where the refused rows are kept, so a restart
 * needs nothing else. Each plan forwards what was refused under it, before another one begins
 * (left_systems.c): where its dead letters go is its own. Memory holds one chunk.
 *
 * Threads: wants and load from the commit thread of the table's system, take from the worker's, while
 * no load runs; the committer sees to that.
 */
#ifndef WEIR_RUN_FORWARDING_H
#define WEIR_RUN_FORWARDING_H

#include "connector/sink.h"

struct forwarding;

/* Of the refused rows of `system`, whose R per partition is `progresses` and outlives it; `taken` is R
 * of the dead letters' system as it is now. `plan_hash` is the plan's that runs. */
struct forwarding *forwarding_new(struct system *system, const struct progress *progresses,
                                  const struct progress *taken, uint32_t partition_count,
                                  struct hash128 plan_hash);
/* Takes NULL. */
void forwarding_free(struct forwarding *forwarding);

/* Whether refused rows are due that were not loaded yet. */
bool forwarding_wants(const struct forwarding *forwarding);
/* The next of them, of one sink and partition, into the chunk, which is empty. Errors as
 * load_rejects(); after one the chunk is empty still. */
enum status forwarding_load(struct forwarding *forwarding, struct error *err) WEIR_MUST_USE;
/* Hands out the chunk, in the order of offsets, and empties it. */
void forwarding_take(struct forwarding *forwarding,
                     void (*reject)(void *context, uint32_t partition, const char *sink,
                                    const struct kept_reject *reject),
                     void *context);

/* Whether all that R of a sink's system has due is taken, as R of the dead letters' says. */
bool forwarding_is_done(const struct progress *progress, const struct progress *taken);

#endif
