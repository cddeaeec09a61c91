/* What a struct schema holds, for the files of this folder. */
#ifndef WEIR_SCHEMA_SCHEMA_INTERNAL_H
#define WEIR_SCHEMA_SCHEMA_INTERNAL_H

#include "schema/constraint.h"
#include "schema/schema.h"
#include "schema/subschema.h"

#define SCHEMA_FIELDS_MAX 4000u
/* Of objects in objects; the members of the record's own object stand at depth 1. */
#define SCHEMA_DEPTH_MAX 32u

struct schema {
    struct layout layout;
    struct constraints *constraints; /* per field of the layout; extra fields have empty ones */
    bool *required;                  /* per field of the layout */
    /* per field: what its column cannot say of it, for the judge; NULL where it says all */
    const struct subschema **rests;
    const struct subschema *record; /* the same of the record as a whole */
};

#endif
