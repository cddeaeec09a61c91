/*
 * JSON cells: the little that schema/ has to read of raw JSON in a COLUMN_JSON. The text is known
 * to be one valid value (codec/ has seen to that); nothing is validated here, but nothing is read
 * out of bounds either.
 */
#ifndef WEIR_SCHEMA_JSON_CELL_H
#define WEIR_SCHEMA_JSON_CELL_H

#include "base/bytes.h"
#include "base/memory.h"

/* The types of JSON; "integer" is a number without a fraction. */
enum json_kind {
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_NUMBER,
    JSON_KIND_STRING,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT,
};

/* By the first byte. */
enum json_kind json_cell_kind(struct bytes raw);

/* The text of a raw string, quotes included: a slice of it, or, where it has escapes, of
 * `scratch`, which is overwritten. */
struct bytes json_cell_text(struct bytes raw, struct buffer *scratch);

/* Appends `text` (UTF-8) as a JSON string for people, cut behind at most `size_max` bytes on a
 * character boundary, with "…" when cut. */
void json_cell_quote(struct buffer *out, struct bytes text, size_t size_max);
/* Appends raw text for people: on one line, cut like that. */
void json_cell_show(struct buffer *out, struct bytes raw, size_t size_max);

#endif
