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

/* The headers of a record as they are kept with a refused row: u32 count, then for each the sized
 * name, u8 1 where the value is null, and the sized value. */
void reject_write_headers(const struct record *record, struct buffer *out);
/* Of such a form, or of none: record->headers is new and the caller's, its slices are the form's.
 * False when the form is broken; there are no headers then. */
bool reject_read_headers(struct bytes form, struct record *record);

#endif
