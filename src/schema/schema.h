/*
 * Schema: JSON Schema (draft 2020-12) compiled to a layout and to column checks.
 *
 * All keywords of the draft are built, and all its formats assert (format.h). Annotations are
 * accepted, contentEncoding, contentMediaType and contentSchema among them, as the draft has it. A
 * $schema or $vocabulary of another dialect is refused; so is every keyword that is not the draft's,
 * with its place: nothing is ignored. A keyword that speaks of another type than the field's
 * (`minimum` of a string) asks nothing. References lead to schemas of the same document and of files
 * beside it (schema_index.h); what cannot end is refused or gives up (validator.h).
 *
 * Columns: schema_layout.h says which fields there are. One type other than null gives that column
 * type ("number" or ["integer","number"] a DOUBLE, "integer" an INT64, "string" TEXT, "boolean"
 * BOOL, "object" with `properties`, `required` or `additionalProperties: false` OBJECT, "object"
 * without and "array" JSON); several types, or none, a JSON column, checked value by value. enum
 * and const without type take the type of their values if it is one; anyOf and oneOf that of their
 * schemas. A name in `required` that `properties` lacks becomes a JSON column.
 *
 * A schema is FLAT as far as its keywords speak of single fields: those are checked column by
 * column. Whatever else it asks is judged value by value, or record by record, which is slower:
 * schema_check_record().
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

/* A file that a schema refers to: its path from the schema's folder on, and what stands in it. */
struct schema_file {
    const char *path;
    const struct doc *document;
};
struct schema_files {
    struct schema_file *items;
    uint32_t count;
};

/* Reads a file beside the schema. `text` is the reference that names it, for errors. */
typedef enum status (*schema_read)(void *context, const char *path, const struct doc *text,
                                   const struct doc **out, struct error *err);

/* All files that the schema refers to, and those that they refer to, in the order in which they are
 * met; in the arena. CONFIG as schema_compile() does. */
enum status schema_gather(struct arena *arena, const struct doc *document, schema_read read,
                          void *context, struct schema_files *out, struct error *err) WEIR_MUST_USE;

/* `files`: what schema_gather() found, or NULL for a schema without other files. `extra_names`: names outside the schema that become extra fields of the layout (see layout.h);
 * those that are fields already are left out. A name may be a dotted path only if all before its
 * last dot is an object of the schema. Everything lives in `arena`; `document` is not needed
 * afterwards. At most 4,000 fields and 32 objects in each other. CONFIG with a code `schema.…` and
 * the place. */
enum status schema_compile(struct arena *arena, const struct doc *document,
                           const struct schema_files *files, const char *const *extra_names, uint32_t extra_count,
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
 * first of type, enum and const, range (multipleOf too), length, pattern, format, then what else is
 * asked of the field (validator.h has the reasons). MISFIT_RANGE gives schema.range. Detail: the
 * value (cut) and what was expected. Verdicts are not changed. */
void schema_check_values(struct schema_checker *checker, struct batch *batch);

/* Required: a required field whose cell is CELL_ABSENT adds schema.required, or repair.no_value
 * where `filled[field]` says that the pipeline fills it. A member of an object that is absent, null
 * or a misfit is not asked for. `filled` has field_count entries or is NULL. */
void schema_check_required(struct schema_checker *checker, struct batch *batch, const bool *filled);

/* Whether the schema says something of records as a whole, which schema_check_record() judges. */
bool schema_judges_records(const struct schema *schema);

/* What is left: keywords that speak of several fields, or of members that are no fields. `text` is
 * the row's record as the repairs left it, without members that count as absent. A complaint about
 * something within a field is that field's (ORDER_FIELD), one about a member that is no field is
 * schema.unknown_field (ORDER_UNKNOWN_FIELD), and what is about the whole has no field
 * (ORDER_RECORD); the detail begins with the place within the field. What was found wrong with a
 * field's own value before is not said again. */
void schema_check_record(struct schema_checker *checker, struct batch *batch, uint32_t row,
                         struct bytes text);

/* Whether one value satisfies the field's own constraints (for constants of the pipeline file); of
 * an object only that it is one. The reason is appended to `detail` (may be NULL). */
bool schema_value_fits(struct schema_checker *checker, uint32_t field, const struct value *value,
                       struct buffer *detail);

#endif
