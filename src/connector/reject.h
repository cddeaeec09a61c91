/*
 * A row that a sink refused, as a dead letter. The connector that writes it and the audit that
 * expects it make it here, so that they cannot differ.
 */
#ifndef WEIR_CONNECTOR_REJECT_H
#define WEIR_CONNECTOR_REJECT_H

#include "base/memory.h"
#include "connector/sink.h"
#include "connector/source.h"

struct refused_row {
    const struct record *record;
    const struct source_partition *origin;
    uint32_t attempt;      /* of the dead letter: 1 for the first failure */
    const char *sink;
    const char *code;      /* "sink.constraint_check", … */
    const char *message;
    const char *pipeline;
    const char *plan_hash;
};

/* The letter's slices are those of the row, and of `violations`, which is overwritten. */
void reject_letter(const struct refused_row *row, struct buffer *violations,
                   struct dead_letter *out);

#endif
