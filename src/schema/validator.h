/*
 * Validator: pure JSON Schema 2020-12 for any JSON value. What `weir validate` asks, and what stands
 * behind the column checks of a pipeline for all that no column can answer (schema.h).
 *
 * Pure: null is null, nothing is repaired, integers have any size. `format` asserts. Numbers are
 * compared by value (number.h).
 *
 * A judgement ends, whatever schema and value are: schemas on the way to one value are bounded
 * (SUBSCHEMA_DEPTH_MAX), and so are the steps, by a budget that grows with the text; matching a
 * pattern has its own (pattern.h). What exceeds one of them does not fit, also under a `not`: the
 * complaint is schema.too_complex, or schema.pattern, and it is the only one. It depends on the
 * schema and the value alone.
 *
 * Which reason a complaint has, by the keyword that failed:
 *   schema.type, schema.enum (const too), schema.range (multipleOf too), schema.pattern,
 *   schema.format
 *   schema.length         minLength, maxLength; minItems, maxItems; minProperties, maxProperties
 *   schema.required       required, dependentRequired; the place is that of what is missing
 *   schema.unknown_field  a member whose schema is false (of properties, patternProperties,
 *                         additionalProperties, unevaluatedProperties), or whose name breaks
 *                         propertyNames
 *   schema.items          uniqueItems, contains with its bounds; an item whose schema is false
 *   schema.combination    not; oneOf when several fit; anyOf and oneOf when none does. But where all
 *                         of their schemas but one fail by the type of the value, as in "a string
 *                         like this, or null", that one's complaint; and where all do, schema.type
 * Complaints of allOf, $ref, then, else and dependentSchemas are those of the schemas in them.
 *
 * A validator is read-only: any thread. A judge has the scratch memory: one per thread.
 */
#ifndef WEIR_SCHEMA_VALIDATOR_H
#define WEIR_SCHEMA_VALIDATOR_H

#include "base/memory.h"
#include "base/status.h"
#include "batch/batch.h"
#include "doc/doc.h"
#include "schema/schema.h"

struct validator;
struct judge;

/* A step from a value to a member or an item of it. */
struct schema_step {
    struct bytes name; /* of a member; none for an item */
    uint64_t index;    /* of an item */
};

struct complaint {
    enum reason reason;
    const struct schema_step *steps; /* from the whole value on */
    uint32_t step_count;
    struct bytes detail; /* for people, UTF-8 */
};

struct complaints {
    struct complaint items[VIOLATIONS_PER_ROW];
    uint32_t count;
    uint32_t max; /* at most VIOLATIONS_PER_ROW */
};

/* `files`: as for schema_compile(). Everything lives in `arena`. */
enum status validator_compile(struct arena *arena, const struct doc *document,
                              const struct schema_files *files, struct validator **out,
                              struct error *err) WEIR_MUST_USE;

struct judge *schema_judge_new(void);
/* Takes NULL. */
void schema_judge_free(struct judge *judge);

/* Whether `text`, one valid JSON value (json_is_valid()), fits. `out` gets what it breaks, one
 * complaint a place, at most VIOLATIONS_PER_ROW; they live until the next call. NULL: nobody asks
 * why. */
bool validator_fits(const struct validator *validator, struct judge *judge, struct bytes text,
                    struct complaints *out);

/* "items[3].x", for people. */
void schema_steps_write(const struct schema_step *steps, uint32_t count, struct buffer *out);

#endif
