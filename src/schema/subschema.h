/*
 * Subschema: one schema with all its keywords, compiled; a graph, for `$ref` may lead back. What a
 * column check cannot answer is judged by walking it (judge.h).
 *
 * A field of the struct is NULL, 0 or empty where the keyword is absent. `constraints` are the
 * keywords about single values (type, enum, const, bounds, lengths, pattern, format).
 *
 * A RESIDUAL is what is left of an object's schema when its columns have been checked: without
 * `required`, without what speaks of the object alone, and with members whose schema is NULL: the
 * column has judged them, and here they only count as evaluated (schema_layout.c).
 *
 * Read-only once compiled: any thread.
 */
#ifndef WEIR_SCHEMA_SUBSCHEMA_H
#define WEIR_SCHEMA_SUBSCHEMA_H

#include "base/memory.h"
#include "base/status.h"
#include "schema/constraint.h"
#include "schema/schema_index.h"

/* Schemas on the way from an instance to what it is judged by, without a step into the instance. */
#define SUBSCHEMA_DEPTH_MAX 1024u

struct subschema_list {
    const struct subschema **items;
    uint32_t count;
};

struct name_list {
    struct bytes *names;
    uint32_t count;
};

/* A name of `properties`, `dependentSchemas` or `dependentRequired`. */
struct named_subschema {
    struct bytes name;
    const struct subschema *schema; /* NULL: judged elsewhere */
    struct name_list required;      /* of dependentRequired */
};

struct named_list {
    struct named_subschema *items;
    uint32_t count;
};

struct pattern_subschema {
    const char *text;
    struct pattern *pattern;
    const struct subschema *schema;
};

enum subschema_kind { SUBSCHEMA_KEYWORDS, SUBSCHEMA_TRUE, SUBSCHEMA_FALSE };

struct subschema {
    enum subschema_kind kind;
    const struct schema_resource *resource;
    const struct constraints *constraints;

    const struct subschema *reference;
    const struct subschema *dynamic_reference; /* where it leads if no outer schema overrides it */
    const char *dynamic_name;                  /* of its anchor; NULL: nothing can */

    struct subschema_list all_of, any_of, one_of;
    const struct subschema *not_schema;
    const struct subschema *if_schema, *then_schema, *else_schema;

    struct named_list properties; /* in the schema's order */
    uint32_t *properties_by_name; /* indexes, sorted by json_name_compare() */
    struct pattern_subschema *pattern_properties;
    uint32_t pattern_count;
    const struct subschema *additional_properties;
    const struct subschema *unevaluated_properties;
    const struct subschema *property_names;
    struct name_list required;
    struct named_list dependent_required;
    struct named_list dependent_schemas;
    uint64_t min_properties, max_properties; /* UINT64_MAX: none */

    struct subschema_list prefix_items;
    const struct subschema *items;
    const struct subschema *contains;
    uint64_t min_contains, max_contains;
    const struct subschema *unevaluated_items;
    uint64_t min_items, max_items;
    bool unique_items;

    bool is_needed; /* of a residual: it asks something; FALSE asks */

    /* While it is compiled; the document is gone afterwards. */
    const struct doc *source;
    enum { UNSEEN, OPEN, CLOSED } walk; /* of the search for endless references */
};

struct subschema_compiler {
    struct arena *arena;
    struct schema_index *index;
    struct error *err;
    struct buffer pending; /* references whose targets are to be compiled */
    struct buffer made;    /* struct subschema *, in the order in which they were made */
};

/* Compiles `node`, a schema of the index, and what it refers to. CONFIG "schema.endless_reference"
 * when a schema leads back to itself without a step into the instance. */
enum status subschema_compile(struct subschema_compiler *compiler, const struct doc *node,
                              const struct subschema **out) WEIR_MUST_USE;
void subschema_compiler_fini(struct subschema_compiler *compiler);

/* One that asks nothing, to be filled. */
struct subschema subschema_empty(const struct schema_resource *resource);

#endif
