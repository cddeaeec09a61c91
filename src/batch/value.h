/*
 * Value: one typed value on its own, for what does not stand in a column: results of expressions,
 * remembered fills, cells on their way to a table.
 */
#ifndef WEIR_BATCH_VALUE_H
#define WEIR_BATCH_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"

enum value_type {
    VALUE_NULL = 0,
    VALUE_BOOL,
    VALUE_INT64,
    VALUE_DOUBLE,
    VALUE_TEXT, /* UTF-8 */
    VALUE_JSON, /* raw JSON text */
};

struct value {
    enum value_type type;
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct bytes text; /* TEXT and JSON: a slice, owned elsewhere */
    };
};

/* Over type and value: 1, 1.0, "1" and true are four different keys; but an integral double equals
 * the integer of the same value (JSON has one number type). -0.0 equals 0. */
struct hash128 value_hash(const struct hash_secret *secret, const struct value *values,
                          uint32_t count);
/* That of the one text alone. */
struct hash128 value_hash_text(const struct hash_secret *secret, struct bytes text);
bool value_equal(const struct value *a, const struct value *b);
/* Total order: null < booleans < numbers (by value, integers exactly) < texts (bytes) < JSON. */
int value_compare(const struct value *a, const struct value *b);

/* Binary form: u8 type, then u8 | i64 | f64 bits | u32 size + bytes; for snapshots, epochs and
 * hashes. */
void value_write(const struct value *value, struct buffer *out);
/* Texts are slices of what the reader reads. A broken form sets reader->failed. */
struct value value_read(struct reader *reader);

#endif
