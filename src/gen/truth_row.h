/*
 * Row: one JSON message as the cells of the fields of examples/sensor.schema.json, for the truth.
 *
 * A plain, strict reader of RFC 8259: UTF-8 and escapes are checked everywhere, and no object may
 * have a key twice. It is written for being right and easy to follow, and on purpose shares no code
 * with the decoder whose answers it judges, nor with the base library's functions for the same
 * ends.
 *
 * Broken messages: the first thing wrong, in the order of the bytes, decides between syntax and
 * encoding. Cells are slices of the message or of the row's own memory; they are valid until the
 * next truth_row_read(). One thread at a time.
 */
#ifndef WEIR_GEN_TRUTH_ROW_H
#define WEIR_GEN_TRUTH_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"

/* In the schema's order. */
enum truth_field {
    TRUTH_MESSAGE_ID,
    TRUTH_SENSOR_ID,
    TRUTH_EVENT_TIME,
    TRUTH_TEMPERATURE,
    TRUTH_HUMIDITY,
    TRUTH_PRESSURE,
    TRUTH_BATTERY,
    TRUTH_SITE,
    TRUTH_INTERNAL_NOTE,
};
#define TRUTH_FIELD_COUNT 9

enum truth_kind {
    TRUTH_ABSENT = 0,
    TRUTH_NULL,
    TRUTH_BOOL,
    TRUTH_NUMBER,
    TRUTH_STRING,
    TRUTH_NESTED
};

struct truth_cell {
    enum truth_kind kind;
    struct bytes text; /* numbers as written; strings without quotes and escapes */
};

enum truth_answer {
    TRUTH_OBJECT,     /* the cells are filled */
    TRUTH_NOT_OBJECT, /* JSON, but no object */
    TRUTH_SYNTAX,     /* not JSON, deeper than 128, or a key twice in an object */
    TRUTH_ENCODING,   /* not UTF-8, or a lone surrogate */
};

/* Zero-initialise. */
struct truth_row {
    struct truth_cell cells[TRUTH_FIELD_COUNT];
    struct buffer strings; /* strings that had escapes */
    struct bytes *keys; /* of the objects that are being read, innermost last; without the fields */
    size_t key_count;
    size_t key_capacity;
};

void truth_row_fini(struct truth_row *row);
enum truth_answer truth_row_read(struct truth_row *row, struct bytes message);

/* The number that a text by the grammar of JSON stands for; false when it is not such a text.
 * Infinite where it is beyond double. `out_integral` says whether its exact value is an integer, of
 * any size. */
bool truth_number(struct bytes text, double *out_value, bool *out_integral);
/* RFC 3339 date-time to microseconds since 1970, more digits are cut; false when it is none. */
bool truth_time(struct bytes text, int64_t *out_us);

#endif
