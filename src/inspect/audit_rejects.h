/*
 * The rows that sinks refused, as the systems keep them, for audit.
 */
#ifndef WEIR_INSPECT_AUDIT_REJECTS_H
#define WEIR_INSPECT_AUDIT_REJECTS_H

#include "run/pipeline.h"

struct audit_reject {
    const char *sink;
    uint32_t partition; /* index in the source's list; UINT32_MAX: not there any more */
    int64_t offset;
    const char *code;
    const char *message;
};

/* By partition and offset. Zero-initialise. */
struct audit_rejects {
    struct audit_reject *items;
    uint32_t count;
};

/* Of all systems; texts are the pipeline's. */
enum status audit_rejects_load(struct pipeline *pipeline, struct audit_rejects *out,
                               struct error *err) WEIR_MUST_USE;
void audit_rejects_fini(struct audit_rejects *rejects);
/* NULL when that sink took the row. */
const struct audit_reject *audit_rejects_find(const struct audit_rejects *rejects,
                                              const char *sink, uint32_t partition,
                                              int64_t offset);
/* Of a row of a batch that `plan` judged, and its sink `number`: NULL also where the row was not routed
 * there. */
const struct audit_reject *audit_rejects_of_row(const struct audit_rejects *rejects,
                                                const struct plan *plan, uint32_t number,
                                                const struct batch *batch, uint32_t row);
/* The hash of the row's dead letter, as the plan's dlq stores it; the letter itself goes to the
 * outbox, which is the caller's to clear. */
struct hash128 audit_rejects_letter(const struct audit_reject *reject, const struct plan *plan,
                                    const struct source_partition *origin,
                                    const struct batch *batch, uint32_t row,
                                    struct outbox *outbox, const struct hash_secret *secret);

/* Index in the source's list; UINT32_MAX: it has none of that name. */
uint32_t audit_partition_of(const struct pipeline *pipeline, const char *topic, const char *label);

#endif
