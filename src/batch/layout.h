/*
 * Layout: which fields of a record become columns. Compiled once from the schema (schema/ makes
 * it), read-only afterwards, shared by all threads.
 *
 * Fields stand in the schema's order, depth first, an object before its members; that order is also
 * the order of violations. Behind the schema's fields stand EXTRA fields: names that only the
 * pipeline file mentions (a `drop`, a target of `set`), as COLUMN_JSON, so that the decoder tells
 * whether a record has them.
 */
#ifndef WEIR_BATCH_LAYOUT_H
#define WEIR_BATCH_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"

enum column_type {
    COLUMN_BOOL,   /* uint8_t, 0 or 1 */
    COLUMN_INT64,  /* int64_t */
    COLUMN_DOUBLE, /* double */
    COLUMN_TEXT,   /* struct bytes: decoded UTF-8, escapes resolved */
    COLUMN_JSON,   /* struct bytes: the raw JSON (arrays, lists of types, extra fields) */
    COLUMN_OBJECT, /* struct bytes: the raw JSON; the object's members are columns of their own */
};

#define FIELD_NONE UINT32_MAX

struct field {
    const char *name;   /* the member's name in its object, NUL-terminated UTF-8 */
    uint32_t name_size; /* in bytes (a name may hold NUL bytes) */
    const char *path;   /* for people and reasons: "location.lat" */
    enum column_type type;
    bool nullable;   /* the type lists null: a null is a value of its own, not absence */
    bool closed;     /* COLUMN_OBJECT: additionalProperties is false */
    uint32_t parent; /* index of the object that holds it, FIELD_NONE for the top level */
};

struct layout {
    struct field *fields;
    uint32_t field_count;        /* all columns */
    uint32_t schema_field_count; /* the schema's own, before the extra ones */
    bool closed;                 /* additionalProperties of the top level is false */
};

/* Index of the field with that path ("location.lat"), or FIELD_NONE. */
uint32_t layout_find(const struct layout *layout, const char *path);
/* "an integer", "a number", … for messages. */
const char *column_type_name(enum column_type type);

#endif
