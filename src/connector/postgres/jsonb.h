/*
 * jsonb: a JSON text as PostgreSQL shows it once it was stored in a column of that type. Keys stand by
 * length and then by bytes, of repeated ones the last; a number is what numeric makes of it, digits
 * behind the point kept ("1.50e1" is 15.0); strings are without escapes that they do not need. What is
 * written so comes back to the byte, so the sum of a table can be over it.
 *
 * Of a database whose encoding is UTF8: in another one keys have another order.
 *
 * Threads: pure.
 */
#ifndef WEIR_CONNECTOR_POSTGRES_JSONB_H
#define WEIR_CONNECTOR_POSTGRES_JSONB_H

#include "base/bytes.h"
#include "base/memory.h"
#include "base/status.h"

/* Containers within each other, and bytes of numbers and strings: what has more is refused. Some bytes
 * can be a number of 131,072 digits. */
#define JSONB_DEPTH_MOST 1000u
#define JSONB_BYTES_MOST ((size_t)16 * 1024 * 1024)

/* Appends it to `out`. False, and `out` is as it was, for what jsonb cannot store: \u0000, half of a
 * surrogate pair, a number out of numeric's range; for more than the bounds above; and for what is no
 * JSON. */
bool jsonb_write(struct bytes json, struct buffer *out) WEIR_MUST_USE;

#endif
