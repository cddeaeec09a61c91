/*
 * The ledger segments of one system and partition as they are stored, for audit.
 */
#ifndef WEIR_INSPECT_AUDIT_SEGMENTS_H
#define WEIR_INSPECT_AUDIT_SEGMENTS_H

#include "run/pipeline.h"

struct audit_segment {
    int64_t first_offset, next_offset;
    struct hash128 plan_hash;
    struct ledger ledger;
};

/* Ascending. Zero-initialise. */
struct audit_segments {
    struct audit_segment *items;
    uint32_t count;
};

enum status audit_segments_load(const struct pipeline *pipeline, uint32_t system,
                                uint32_t partition, struct audit_segments *out,
                                struct error *err) WEIR_MUST_USE;
void audit_segments_fini(struct audit_segments *segments);
/* Moves the segments of `more` that begin before those of `segments` to its front. */
void audit_segments_prepend(struct audit_segments *segments, struct audit_segments *more);

#endif
