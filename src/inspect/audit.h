/*
 * Audit: the proof that nothing was lost and nothing doubled, from the outside in. Reads the
 * input again, judges every record under the plan that judged it first, and compares
 *   - the ledgers of all systems with each other, with their segments, and with the counts and sums
 *   recomputed from the input: of what came in, of every sink of every segment, and of what R
 *   carries on (event time, candidates, the last record)
 *   - what should stand in every place with what stands there, row by row where the sums differ:
 *   each missing, doubled, altered or foreign row is named
 *
 * Where the input has expired, what stands in a place is held against the sum that the ledger has of it;
 * keyed places cannot be.
 *
 * Rows are compared by the hash of the bytes as the place stores them. Keyed places (upserts)
 * are compared with the last row per key. Memory is bounded: sums are compared first; rows only
 * where sums differ, in passes over ranges of hashes; keyed places take about 64 bytes a key.
 *
 * Needs the pipeline to be at rest: it takes the group's ownership, so a running one refuses it.
 * Changes nothing.
 */
#ifndef WEIR_INSPECT_AUDIT_H
#define WEIR_INSPECT_AUDIT_H

#include "run/run.h"

struct audit_result {
    uint64_t records;       /* of the input, judged again */
    uint64_t rows;          /* found in all places */
    uint64_t missing;       /* should be there and are not */
    uint64_t doubled;       /* are there more often than they should */
    uint64_t altered;       /* are there with other content */
    uint64_t foreign;       /* nobody knows where they come from */
    uint64_t differences;   /* of ledgers */
    uint64_t lost;          /* of the input, deleted before it was read, in some system */
    uint64_t unverifiable;  /* things that cannot be checked any more: each is named */
    struct ledger ledger;   /* as committed */
    /* dead letters of rows that sinks of other systems refused, by sink, as committed */
    struct refused_list forwarded;
};
void audit_result_fini(struct audit_result *result);

/* `finding` gets a sentence per finding (the first 20 of a kind and place, then a count). OK also
 * when there are findings. */
enum status audit_pipeline(struct plan *plan, const struct run_observer *observer,
                           void (*finding)(void *context, const char *line), void *context,
                           struct audit_result *result, struct error *err) WEIR_MUST_USE;

#endif
