/*
 * Layout: which parts of a schema become columns, and what is left for the judge.
 *
 * What holds of a record (or of an object in it) in any case is said by its own schema and by what
 * that leads to with `$ref` and `allOf`: its CLOSURE, a list of schema maps. Their `properties`
 * together are the fields, a name in several of them once; their `required` are the required ones.
 * A field's type is what all that is said of its value allows, `anyOf` and `oneOf` included.
 *
 * A field that one map describes with the keywords about single values has a column check and
 * nothing else: the fast path. Whatever else is said of a field is its REST, a schema for the judge;
 * what is said of objects as a whole stands in one schema for the whole record, in which what the
 * columns check is left out (subschema.h: residual).
 *
 * An object that contains itself ends at the field that begins it anew: that is a JSON column.
 */
#ifndef WEIR_SCHEMA_SCHEMA_LAYOUT_H
#define WEIR_SCHEMA_SCHEMA_LAYOUT_H

#include "schema/schema_internal.h"
#include "schema/subschema.h"

/* A field while it is made. */
struct layout_field {
    struct field field;
    struct constraints constraints;
    bool required;
    const struct subschema *rest;
    const struct subschema *object; /* the residual of an object, while its parent's is made */
    const struct doc *place;        /* its name in the document; NULL: an extra field */
};

struct layout_compiler {
    struct arena *arena;
    struct schema_index *index;
    struct error *err;
    struct layout_field *fields; /* grows */
    uint32_t count;
    uint32_t capacity;
    struct buffer open; /* the maps of the objects around the one that is being made */
};

/* The fields of `document`, whose subschemas are compiled. `*out_record` is NULL when the columns
 * say all; `*out_closed` when the record has no other members. */
enum status schema_layout_compile(struct layout_compiler *compiler, const struct doc *document,
                                  const struct subschema **out_record,
                                  bool *out_closed) WEIR_MUST_USE;
void schema_layout_fini(struct layout_compiler *compiler);

/* A field that anything fits. `place` may be NULL. CONFIG when there are too many. */
enum status schema_layout_add(struct layout_compiler *compiler, const struct layout_field *field,
                              uint32_t *out) WEIR_MUST_USE;

extern const struct constraints constraints_none;

#endif
