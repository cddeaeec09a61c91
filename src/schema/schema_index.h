/*
 * Index: which schemas a document holds, under which URIs and anchors they are known, and what a
 * reference means. Built before anything is compiled, because a `$ref` may name what stands further
 * below, or in another file.
 *
 * A RESOURCE is a document, or a schema in it with an `$id` of its own; references in it are
 * resolved against its URI. A relative reference names a file beside the document that came first;
 * where that has an `$id`, a URI in the `$id`'s folder does. Files beside it are read through the
 * caller's function, once each; whatever else a reference names is an error: there is no network.
 * The name of the first document's own file is no part of its meaning, so that a stored plan means
 * the same: what refers to it by that name reads it once more.
 *
 * A reference that climbs out of the folder with ".." is refused; so is one to something that is no
 * schema (a member of `examples`).
 */
#ifndef WEIR_SCHEMA_SCHEMA_INDEX_H
#define WEIR_SCHEMA_SCHEMA_INDEX_H

#include "base/memory.h"
#include "base/status.h"
#include "doc/doc.h"
#include "schema/schema.h"

struct subschema;

struct schema_anchor {
    const char *name;
    const struct doc *node;
    bool dynamic;
    struct subschema *target; /* of a dynamic one, once it is compiled */
    struct schema_anchor *next;
};

struct schema_resource {
    const char *uri;   /* by its `$id`, or where it was found */
    const char *alias; /* where it was found; of a document only, else NULL */
    const struct doc *root;
    struct schema_anchor *anchors;
    struct schema_resource *next;
};

/* A schema in a document. */
struct schema_place {
    const struct doc *node; /* a map, or true or false; NULL: a free slot of the table */
    struct schema_resource *resource;
    struct subschema *compiled; /* NULL until somebody asks for it */
};

/* Where a `$ref` or `$dynamicRef` stands. */
struct schema_reference {
    const struct doc *text;
    struct schema_resource *resource;
    struct schema_reference *next;
};

struct schema_index {
    struct arena *arena;
    struct schema_resource *resources; /* the first document's own is the first */
    struct schema_resource **last_resource;
    struct schema_reference *references;
    struct schema_reference **last_reference;
    struct schema_place *table; /* open addressing by node */
    size_t place_count;
    size_t table_size;
    struct schema_files files; /* read so far */
    uint32_t file_capacity;
    bool is_dynamic; /* some $dynamicRef is there */
};

/* Checks every schema of the document and of the files that it refers to (keyword.h), and that all
 * references lead somewhere. `read` may be NULL: then other files are errors. Lives in the arena,
 * but for the table: schema_index_fini(), also after a failure. */
enum status schema_index_init(struct schema_index *index, struct arena *arena,
                              const struct doc *document, schema_read read, void *context,
                              struct error *err) WEIR_MUST_USE;
void schema_index_fini(struct schema_index *index);

/* NULL when `node` is no schema of the index. */
struct schema_place *schema_index_find(const struct schema_index *index, const struct doc *node);

/* What the reference `text` in `resource` names. `*out_anchor` is the dynamic anchor that its
 * fragment names, else NULL; may be NULL itself. */
enum status schema_index_resolve(struct schema_index *index, const struct schema_resource *resource,
                                 const struct doc *text, struct schema_place **out,
                                 struct schema_anchor **out_anchor,
                                 struct error *err) WEIR_MUST_USE;

/* The dynamic anchor of that name in the resource, or NULL. */
struct schema_anchor *schema_resource_dynamic(const struct schema_resource *resource,
                                              const char *name);

#endif
