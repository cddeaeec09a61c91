/*
 * Constraints: what a schema says about one value. Compiled from the keywords of a field
 * (constraint_compile.c), held by a struct schema, and asked in two ways: schema_check.c sifts
 * whole columns for cells that may break something, fast and allowed to be wrong towards suspicion;
 * constraint_judge() (constraint_judge.c) decides one value, finds the reason and words the detail.
 * The judge is the only truth.
 */
#ifndef WEIR_SCHEMA_CONSTRAINT_H
#define WEIR_SCHEMA_CONSTRAINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "batch/layout.h"
#include "batch/reason.h"
#include "doc/doc.h"
#include "schema/format.h"
#include "schema/json_cell.h"
#include "schema/number.h"
#include "schema/pattern.h"
#include "schema/value_set.h"

enum bound_kind {
    BOUND_MINIMUM,
    BOUND_EXCLUSIVE_MINIMUM,
    BOUND_MAXIMUM,
    BOUND_EXCLUSIVE_MAXIMUM,
    BOUND_COUNT,
};

/* A number of the schema, with its spelling there for messages. `text` is NULL where the keyword
 * is absent. */
struct limit {
    struct number number;
    const char *text;
};

/* Whose constraints they are. Those of a column must leave some value of its type (else
 * "schema.contradiction"), and the column must be able to hold what they let pass. Pure ones are
 * JSON Schema to the letter. */
enum constraint_use { CONSTRAINT_COLUMN, CONSTRAINT_PURE };

struct constraints {
    enum constraint_use use;
    enum column_type column;
    struct type_set types;
    struct limit bounds[BOUND_COUNT];
    struct limit multiple_of;
    uint64_t min_length;
    uint64_t max_length; /* UINT64_MAX: none */
    const char *pattern_text;
    struct pattern *pattern;
    const struct format *format;
    struct value_set *enum_set;  /* or NULL */
    struct value_set *const_set; /* or NULL */

    /* For sifting: a value outside may break a bound, one inside does not. */
    bool has_bounds;
    int64_t integer_low, integer_high;
    double real_low, real_high;
};

/* One JSON value as the judge sees it. */
struct instance {
    enum json_kind kind;
    bool boolean;
    struct number number;
    struct bytes text; /* of a string, unescaped */
    struct bytes raw;  /* as in the record, for messages; may be none */
};

/* The types of a schema map: `type`, or where there is none those of the values of enum or const
 * if they are one (null aside), else all. */
enum status constraint_read_types(const struct doc *map, struct type_set *out,
                                  struct error *err) WEIR_MUST_USE;
/* The keywords of a schema map that speak of values. `column` is the field's; `types` are its
 * types. */
enum status constraint_compile(struct arena *arena, const struct doc *map, enum constraint_use use,
                               enum column_type column, struct type_set types,
                               struct constraints *out, struct error *err) WEIR_MUST_USE;

/* Whether the schema asks anything of a value that its column does not see to already. */
bool constraint_is_empty(const struct constraints *constraints);

/* True when `instance` satisfies all of it. Else the first reason in the order type, enum and
 * const, range, length, pattern, format; the detail is appended to `detail` unless that is NULL. */
bool constraint_judge(const struct constraints *constraints, struct pattern_matcher *matcher,
                      const struct instance *instance, enum reason *out_reason,
                      struct buffer *detail);
/* The value for messages, cut. */
void constraint_show_instance(const struct instance *instance, struct buffer *out);
/* For misfits: `instance` is not of the types; is a number that the column cannot hold. Only its
 * `raw` is read. */
void constraint_describe_type(const struct constraints *constraints,
                              const struct instance *instance, struct buffer *detail);
void constraint_describe_overflow(const struct constraints *constraints,
                                  const struct instance *instance, struct buffer *detail);

#endif
