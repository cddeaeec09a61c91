/*
 * Accounting: what a judged batch means for one system: its ledger, its rows, its dead letters,
 * added to the system's open epoch.
 */
#ifndef WEIR_RUN_ACCOUNTING_H
#define WEIR_RUN_ACCOUNTING_H

#include "run/committer.h"

/* The part of the ledger that is the same in all systems: records, verdicts, reasons, repairs,
 * warnings. Added to `ledger`. */
void accounting_count(const struct plan *plan, const struct stage_runner *runner,
                      struct batch *batch, struct ledger *ledger);

/* The first offset of the ledger segment that `offset` belongs to. */
int64_t accounting_segment(const struct plan_change *plans, uint32_t plan_count, int64_t offset);
/* The next offset behind `offset` at which a batch must be cut: a segment's end. */
int64_t accounting_segment_end(int64_t offset);

/* Calls the sink's append for every row that is routed to it. */
void accounting_append_rows(struct sink *sink, uint32_t sink_number, struct outbox *outbox,
                            const struct source_partition *origin, const struct batch *batch,
                            const struct hash_secret *secret, struct ledger_sink *delta);
/* Dead letters for the rows whose verdict the plan sends there. */
void accounting_append_dead_letters(const struct plan *plan, struct outbox *outbox,
                                    const struct source_partition *origin,
                                    const struct batch *batch, const struct hash_secret *secret,
                                    struct ledger_sink *delta);
/* The same rows one by one, with the hash of each, for audit; what lands in the outbox is the
 * caller's to clear. */
void accounting_each_dead_letter(const struct plan *plan, struct outbox *outbox,
                                 const struct source_partition *origin, const struct batch *batch,
                                 const struct hash_secret *secret,
                                 void (*letter)(void *context, const struct batch *batch,
                                                uint32_t row, struct hash128 hash),
                                 void *context);
/* The ledger delta of a segment within a step, found or made. */
struct ledger *accounting_delta(struct progress_step *step, int64_t segment_first,
                                struct hash128 plan_hash);

/* The dead letter of a row that a sink of another system refused, into an outbox of the dlq; counted
 * apart, in `forwarded`. */
void accounting_forward(const struct plan *plan, struct outbox *outbox,
                        const struct source_partition *origin, uint32_t partition,
                        const char *sink, const struct kept_reject *reject,
                        const struct hash_secret *secret, struct refused_list *forwarded);

#endif
