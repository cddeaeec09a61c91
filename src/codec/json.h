/*
 * JSON records: bytes into columns, and edited rows back into bytes. RFC 8259 to the letter: UTF-8
 * validity, escapes, surrogate pairs, the number grammar, nothing after the value but white space;
 * no BOM, no comments, no trailing commas.
 *
 * Decoding fills all columns of a batch in one pass over each record, allocating nothing per record
 * (text with escapes is unescaped into the batch's arena). What it decides per row, as violations
 * with verdict INVALID:
 *   decode.null_value  the record has no value (a tombstone)
 *   decode.too_large   more than max_record_bytes
 *   decode.encoding    not UTF-8 (also a lone surrogate escape)
 *   decode.syntax      not JSON, nested deeper than max_depth, or a repeated key in any object
 *                      (unless repeated_key is LAST)
 *   schema.type        valid JSON whose top level is not an object (field none)
 * The detail names the byte position (from 0) and what was expected. And without deciding:
 * schema.unknown_field (ORDER_UNKNOWN_FIELD) for members of closed objects; misfits (see batch.h).
 * A null where the field is not nullable gives CELL_ABSENT. A row with a decode violation has all
 * cells absent.
 *
 * Numbers: COLUMN_INT64 takes every number whose value is an integer in int64 (1.0, 1e3 too),
 * others with an integral value are MISFIT_RANGE, a fraction is MISFIT_TYPE. COLUMN_DOUBLE is
 * correctly rounded; a number beyond double is MISFIT_RANGE. One that is not 0 and becomes 0 is a
 * value, and batch_find_underflow() finds its text.
 *
 * A decoder keeps what it learnt about the key order of the stream; it belongs to one thread.
 * Results never depend on it.
 */
#ifndef WEIR_CODEC_JSON_H
#define WEIR_CODEC_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "batch/batch.h"
#include "batch/value.h"

enum json_repeated_key { JSON_REPEATED_KEY_ERROR = 0, JSON_REPEATED_KEY_LAST };

struct json_options {
    uint32_t max_depth;      /* 0: 128 */
    size_t max_record_bytes; /* 0: 1 MiB */
    enum json_repeated_key repeated_key;
};

struct json_decoder;

struct json_decoder *json_decoder_new(const struct layout *layout,
                                      const struct json_options *options);
void json_decoder_free(struct json_decoder *decoder);
/* Fills columns of all rows of the batch. */
void json_decode(struct json_decoder *decoder, struct batch *batch);

/* True when `text` is one JSON value by RFC 8259 (any top-level type, repeated keys allowed).
 * max_depth 0: 128. */
bool json_is_valid(struct bytes text, uint32_t max_depth);

/* Whether a text is one JSON value of any type as json_decode() would take it (by the same options);
 * if not, why and where, in its words. A checker has scratch memory: one per thread. */
struct json_checker;
struct json_checker *json_checker_new(const struct json_options *options);
/* Takes NULL. */
void json_checker_free(struct json_checker *checker);
/* `*out_reason` is decode.too_large, decode.encoding or decode.syntax; the detail is appended. */
bool json_checker_check(struct json_checker *checker, struct bytes text, enum reason *out_reason,
                        struct buffer *detail);

/* One JSON value (raw, valid) as a value: true, 12, 1.5, "text" (unescaped into the arena), others
 * as VALUE_JSON. null gives VALUE_NULL. A number is VALUE_INT64 when it is written without fraction
 * and exponent and fits, VALUE_JSON when it is beyond double, else VALUE_DOUBLE. */
struct value json_value(struct arena *arena, struct bytes raw);

/* One change to a record's object. `replacement` none removes the member; a member that is not
 * there is added at the end of its object (the parent object must exist, else nothing is added). A
 * member that stands several times is edited each time; the edit of an object takes the edits of
 * its members with it. Fields are indexes of the layout. When all edits are of members known to be
 * absent from the top level, the record is not looked through at all. */
struct json_edit {
    uint32_t field;
    bool absent; /* the caller knows that the record has no such member: do not look for it */
    struct bytes replacement; /* JSON text */
};

/* Appends `record` (a valid object) to `out` with the edits applied, everything else byte for byte
 * as it was. Edits must name different fields. Without edits this is a plain copy. */
void json_apply_edits(const struct layout *layout, struct bytes record,
                      const struct json_edit *edits, uint32_t edit_count, struct buffer *out);

/* Writers. A double is the shortest text that reads back to the same double, and always looks like
 * a JSON number (1.0 → "1.0", NaN and infinities → null). */
void json_write_string(struct buffer *out, struct bytes utf8);
void json_write_int64(struct buffer *out, int64_t value);
void json_write_double(struct buffer *out, double value);
void json_write_value(struct buffer *out, const struct value *value);

#endif
