/*
 * Schema: JSON Schema (draft 2020-12) compiled to a layout and to column checks.
 *
 * What is built: at the top level and in nested objects `type` (a name or a list, with null),
 * `properties`, `required`, `additionalProperties` (true, false), `enum`, `const`,
 * `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`, `minLength`,
 * `maxLength` (code points), `pattern` (see pattern.h), `format` (asserting, see format.h):
 * date-time, date, time, uuid, email, ipv4, ipv6, hostname, uri. Annotations ($schema, $id,
 * $comment, title, description, default, examples, deprecated, readOnly, writeOnly) are accepted; a
 * $schema that names another draft is refused.
 * Every other keyword is an error with its place, never ignored. A keyword that speaks of another
 * type than the field's (`minimum` of a string) asks nothing, as JSON Schema has it.
 *
 * Columns: one type other than null gives that column type ("number" or ["integer","number"] a
 * DOUBLE, "integer" an INT64, "string" TEXT, "boolean" BOOL, "object" with `properties`, `required`
 * or `additionalProperties: false` OBJECT, "object" without and "array" JSON); several types, or
 * none, a JSON column, checked value by value. enum and const without type take the type of their
 * values if it is one. A name in `required` that `properties` lacks becomes a JSON column.
 *
 * A compiled schema is read-only: any thread. What matching needs of memory is per checker.
 */
#ifndef WEIR_SCHEMA_SCHEMA_H
#define WEIR_SCHEMA_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "batch/batch.h"
#include "doc/doc.h"

struct schema;

/* `extra_names`: names outside the schema that become extra fields of the layout (see layout.h);
 * those that are fields already are left out. A name may be a dotted path only if all before its
 * last dot is an object of the schema. Everything lives in `arena`; `document` is not needed
 * afterwards. At most 4,000 fields and 32 objects in each other. CONFIG with a code `schema.…` and
 * the place. */
enum status schema_compile(struct arena *arena, const struct doc *document,
                           const char *const *extra_names, uint32_t extra_count,
                           struct schema **out, struct error *err) WEIR_MUST_USE;

const struct layout *schema_layout(const struct schema *schema);
/* The field's `format`, or NULL. */
const char *schema_format(const struct schema *schema, uint32_t field);
bool schema_is_required(const struct schema *schema, uint32_t field);

/* Checks with scratch memory: one per thread. */
struct schema_checker;
struct schema_checker *schema_checker_new(const struct schema *schema);
void schema_checker_free(struct schema_checker *checker);

/* Constraints of all present cells of rows without a verdict: adds violations (schema.type, .range,
 * .length, .pattern, .enum, .format; ORDER_FIELD), turns cells that break one into CELL_INVALID
 * (misfits stay misfits, and a null that `enum` lacks stays a null). One violation per cell: the
 * first of type, enum and const, range (multipleOf too), length, pattern, format. MISFIT_RANGE
 * gives schema.range. Detail: the value (cut) and what was expected. Verdicts are not changed. */
void schema_check_values(struct schema_checker *checker, struct batch *batch);

/* Required: a required field whose cell is CELL_ABSENT adds schema.required, or repair.no_value
 * where `filled[field]` says that the pipeline fills it. A member of an object that is absent, null
 * or a misfit is not asked for. `filled` has field_count entries or is NULL. */
void schema_check_required(struct schema_checker *checker, struct batch *batch, const bool *filled);

/* Whether one value satisfies the field's own constraints (for constants of the pipeline file); of
 * an object only that it is one. The reason is appended to `detail` (may be NULL). */
bool schema_value_fits(struct schema_checker *checker, uint32_t field, const struct value *value,
                       struct buffer *detail);

#endif
