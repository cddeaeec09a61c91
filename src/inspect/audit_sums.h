/*
 * Sums: what the ledger of each system says of its sinks, segment by segment, against the same
 * recomputed from the input: rows routed, written and rejected, and the sum of the hashes of those
 * written. Sinks of older plans count as well, as long as their system is there.
 */
#ifndef WEIR_INSPECT_AUDIT_SUMS_H
#define WEIR_INSPECT_AUDIT_SUMS_H

#include "inspect/audit_rejects.h"

struct audit_sums;

/* Reads the segments of all systems and partitions. `rejects` and `secret` outlive it. */
enum status audit_sums_new(const struct pipeline *pipeline, const struct audit_rejects *rejects,
                           const struct hash_secret *secret, struct audit_sums **out,
                           struct error *err) WEIR_MUST_USE;
void audit_sums_free(struct audit_sums *sums);

/* The system that a sink of any plan wrote to, which is the one whose ledger says so, whatever its
 * path was then; UINT32_MAX: none that is there now. */
uint32_t audit_sums_home(struct audit_sums *sums, const struct plan *plan,
                         const struct sink *sink);

/* A box for rows of a sink of any plan, whose hashes alone matter; the caller clears it. */
struct outbox *audit_sums_outbox(struct audit_sums *sums, struct sink *sink);

/* Rows that `plan` judged. Systems that had not begun, or have not come so far, do not count
 * them. */
void audit_sums_add(struct audit_sums *sums, const struct plan *plan, const struct batch *batch);

/* Tells every sink of every segment of a partition that differs. */
void audit_sums_compare(const struct audit_sums *sums, uint32_t partition,
                        void (*difference)(void *context, uint32_t system, uint32_t partition,
                                           const char *where, struct buffer *text),
                        void *context);

#endif
