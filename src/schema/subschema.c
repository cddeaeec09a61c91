#include "schema/subschema.h"

#include <stdlib.h>
#include <string.h>

#include "schema/json_node.h"
#include "schema/keyword.h"

struct subschema subschema_empty(const struct schema_resource *resource)
{
    return (struct subschema){
        .resource = resource,
        .min_contains = 1,
        .max_contains = UINT64_MAX,
        .max_properties = UINT64_MAX,
        .max_items = UINT64_MAX,
    };
}

/* A subschema whose reference is to be compiled once what holds it is. */
struct pending {
    struct subschema *holder;
    const struct doc *map;
};

/* Recursive over the keywords of one document, which doc/ bounds; references wait in a list. */
static enum status compile_node(struct subschema_compiler *c, const struct doc *node,
                                const struct subschema **out);

static enum status compile_optional(struct subschema_compiler *c, const struct doc *map,
                                    const char *keyword, const struct subschema **out)
{
    const struct doc *node = doc_get(map, keyword);
    return node == NULL ? STATUS_OK : compile_node(c, node, out);
}

static enum status compile_list(struct subschema_compiler *c, const struct doc *map,
                                const char *keyword, struct subschema_list *out)
{
    const struct doc *list = doc_get(map, keyword);
    enum status status = STATUS_OK;
    if (list == NULL) {
        return STATUS_OK;
    }
    out->items = arena_alloc_zero(c->arena, list->count, sizeof *out->items);
    for (size_t i = 0; i < list->count && status == STATUS_OK; i++) {
        status = compile_node(c, list->items[i], &out->items[i]);
    }
    out->count = (uint32_t)list->count;
    return status;
}

static struct bytes copy_name(struct arena *arena, const struct doc *name)
{
    return bytes_of(arena_copy(arena, name->text, name->text_size), name->text_size);
}

static enum status compile_named(struct subschema_compiler *c, const struct doc *map,
                                 const char *keyword, struct named_list *out)
{
    const struct doc *named = doc_get(map, keyword);
    enum status status = STATUS_OK;
    if (named == NULL) {
        return STATUS_OK;
    }
    out->items = arena_alloc_zero(c->arena, named->count, sizeof *out->items);
    for (size_t i = 0; i < named->count && status == STATUS_OK; i++) {
        out->items[i].name = copy_name(c->arena, named->keys[i]);
        status = compile_node(c, named->items[i], &out->items[i].schema);
    }
    out->count = (uint32_t)named->count;
    return status;
}

static enum status read_names(struct subschema_compiler *c, const struct doc *list,
                              const char *keyword, struct name_list *out)
{
    if (list == NULL) {
        return STATUS_OK;
    }
    if (list->kind != DOC_LIST) {
        return doc_error(list, c->err, "schema.keyword_type", "`%s` takes a list of names, not %s",
                         keyword, doc_kind_name(list->kind));
    }
    out->names = arena_alloc_zero(c->arena, list->count, sizeof *out->names);
    for (size_t i = 0; i < list->count; i++) {
        const struct doc *name = list->items[i];
        if (name->kind != DOC_STRING) {
            return doc_error(name, c->err, "schema.keyword_type",
                             "`%s` takes a list of names, not %s", keyword,
                             doc_kind_name(name->kind));
        }
        out->names[i] = copy_name(c->arena, name);
        for (size_t k = 0; k < i; k++) {
            if (bytes_equal(out->names[k], out->names[i])) {
                return doc_error(name, c->err, "schema.keyword_value",
                                 "`%s` stands twice in `%s`", name->text, keyword);
            }
        }
    }
    out->count = (uint32_t)list->count;
    return STATUS_OK;
}

/* A count beyond int64 is one that nothing reaches. */
static enum status read_count(struct subschema_compiler *c, const struct doc *map,
                              const char *keyword, uint64_t *out)
{
    const struct doc *node = doc_get(map, keyword);
    struct number number;
    if (node == NULL) {
        return STATUS_OK;
    }
    enum status status = keyword_number(node, &number, c->err);
    if (status == STATUS_OK) {
        *out = number.in_int64 ? (uint64_t)number.floor : (uint64_t)INT64_MAX;
    }
    return status;
}

static enum status compile_constraints(struct subschema_compiler *c, const struct doc *map,
                                       struct subschema *out)
{
    struct constraints constraints;
    struct type_set types = {KINDS_ALL, false};
    enum status status = STATUS_OK;
    if (doc_get(map, "type") != NULL) {
        status = constraint_read_types(map, &types, c->err);
    }
    if (status == STATUS_OK) {
        status = constraint_compile(c->arena, map, CONSTRAINT_PURE, COLUMN_JSON, types,
                                    &constraints, c->err);
    }
    if (status == STATUS_OK && !constraint_is_empty(&constraints)) {
        struct constraints *kept = arena_alloc_zero(c->arena, 1, sizeof *kept);
        *kept = constraints;
        out->constraints = kept;
    }
    return status;
}

static enum status compile_patterns(struct subschema_compiler *c, const struct doc *map,
                                    struct subschema *out)
{
    const struct doc *named = doc_get(map, "patternProperties");
    enum status status = STATUS_OK;
    if (named == NULL) {
        return STATUS_OK;
    }
    out->pattern_properties =
        arena_alloc_zero(c->arena, named->count, sizeof *out->pattern_properties);
    for (size_t i = 0; i < named->count && status == STATUS_OK; i++) {
        struct pattern_subschema *pattern = &out->pattern_properties[i];
        char why[320];
        struct bytes text = copy_name(c->arena, named->keys[i]);
        pattern->text = (const char *)text.data;
        pattern->pattern = pattern_compile(c->arena, text, why, sizeof why);
        status = pattern->pattern == NULL
                     ? doc_error(named->keys[i], c->err, "schema.bad_pattern",
                                 "PCRE2 refuses this pattern %s", why)
                     : compile_node(c, named->items[i], &pattern->schema);
    }
    out->pattern_count = (uint32_t)named->count;
    return status;
}

static enum status compile_dependent_names(struct subschema_compiler *c, const struct doc *map,
                                           struct subschema *out)
{
    const struct doc *named = doc_get(map, "dependentRequired");
    enum status status = STATUS_OK;
    if (named == NULL) {
        return STATUS_OK;
    }
    struct named_list *list = &out->dependent_required;
    list->items = arena_alloc_zero(c->arena, named->count, sizeof *list->items);
    for (size_t i = 0; i < named->count && status == STATUS_OK; i++) {
        list->items[i].name = copy_name(c->arena, named->keys[i]);
        status = read_names(c, named->items[i], "dependentRequired", &list->items[i].required);
    }
    list->count = (uint32_t)named->count;
    return status;
}

static int compare_indexes(const void *a, const void *b, void *context)
{
    const struct named_subschema *items = context;
    return json_name_compare(items[*(const uint32_t *)a].name, items[*(const uint32_t *)b].name);
}

static void sort_properties(struct subschema_compiler *c, struct subschema *out)
{
    struct named_list *list = &out->properties;
    out->properties_by_name =
        arena_alloc_zero(c->arena, list->count, sizeof *out->properties_by_name);
    for (uint32_t i = 0; i < list->count; i++) {
        out->properties_by_name[i] = i;
    }
    if (list->count > 0) {
        qsort_r(out->properties_by_name, list->count, sizeof *out->properties_by_name,
                compare_indexes, list->items);
    }
}

static enum status compile_object(struct subschema_compiler *c, const struct doc *map,
                                  struct subschema *out)
{
    enum status status;
    if ((status = compile_named(c, map, "properties", &out->properties)) != STATUS_OK ||
        (status = compile_patterns(c, map, out)) != STATUS_OK ||
        (status = compile_optional(c, map, "additionalProperties",
                                   &out->additional_properties)) != STATUS_OK ||
        (status = compile_optional(c, map, "unevaluatedProperties",
                                   &out->unevaluated_properties)) != STATUS_OK ||
        (status = compile_optional(c, map, "propertyNames", &out->property_names)) != STATUS_OK ||
        (status = read_names(c, doc_get(map, "required"), "required", &out->required)) !=
            STATUS_OK ||
        (status = compile_dependent_names(c, map, out)) != STATUS_OK ||
        (status = compile_named(c, map, "dependentSchemas", &out->dependent_schemas)) !=
            STATUS_OK ||
        (status = read_count(c, map, "minProperties", &out->min_properties)) != STATUS_OK) {
        return status;
    }
    sort_properties(c, out);
    return read_count(c, map, "maxProperties", &out->max_properties);
}

static enum status compile_array(struct subschema_compiler *c, const struct doc *map,
                                 struct subschema *out)
{
    const struct doc *unique = doc_get(map, "uniqueItems");
    out->unique_items = unique != NULL && unique->boolean;
    enum status status;
    if ((status = compile_list(c, map, "prefixItems", &out->prefix_items)) != STATUS_OK ||
        (status = compile_optional(c, map, "items", &out->items)) != STATUS_OK ||
        (status = compile_optional(c, map, "contains", &out->contains)) != STATUS_OK ||
        (status = read_count(c, map, "minContains", &out->min_contains)) != STATUS_OK ||
        (status = read_count(c, map, "maxContains", &out->max_contains)) != STATUS_OK ||
        (status = compile_optional(c, map, "unevaluatedItems", &out->unevaluated_items)) !=
            STATUS_OK ||
        (status = read_count(c, map, "minItems", &out->min_items)) != STATUS_OK) {
        return status;
    }
    return read_count(c, map, "maxItems", &out->max_items);
}

static enum status compile_logic(struct subschema_compiler *c, const struct doc *map,
                                 struct subschema *out)
{
    enum status status;
    if ((status = compile_list(c, map, "allOf", &out->all_of)) != STATUS_OK ||
        (status = compile_list(c, map, "anyOf", &out->any_of)) != STATUS_OK ||
        (status = compile_list(c, map, "oneOf", &out->one_of)) != STATUS_OK ||
        (status = compile_optional(c, map, "not", &out->not_schema)) != STATUS_OK ||
        (status = compile_optional(c, map, "if", &out->if_schema)) != STATUS_OK ||
        (status = compile_optional(c, map, "then", &out->then_schema)) != STATUS_OK) {
        return status;
    }
    return compile_optional(c, map, "else", &out->else_schema);
}

static enum status compile_node(struct subschema_compiler *c, const struct doc *node,
                                const struct subschema **out)
{
    struct schema_place *place = schema_index_find(c->index, node);
    check(place != NULL);
    if (place->compiled != NULL) {
        *out = place->compiled;
        return STATUS_OK;
    }
    struct subschema *schema = arena_alloc_zero(c->arena, 1, sizeof *schema);
    *schema = subschema_empty(place->resource);
    schema->source = node;
    place->compiled = schema;
    buffer_append(&c->made, &schema, sizeof schema);
    *out = schema;
    if (node->kind == DOC_BOOL) {
        schema->kind = node->boolean ? SUBSCHEMA_TRUE : SUBSCHEMA_FALSE;
        schema->is_needed = !node->boolean;
        return STATUS_OK;
    }
    if (doc_get(node, "$ref") != NULL || doc_get(node, "$dynamicRef") != NULL) {
        struct pending pending = {.holder = schema, .map = node};
        buffer_append(&c->pending, &pending, sizeof pending);
    }
    enum status status;
    if ((status = compile_constraints(c, node, schema)) != STATUS_OK ||
        (status = compile_logic(c, node, schema)) != STATUS_OK ||
        (status = compile_object(c, node, schema)) != STATUS_OK) {
        return status;
    }
    return compile_array(c, node, schema);
}

/* --- references --- */

static enum status compile_reference(struct subschema_compiler *c, const struct pending *pending)
{
    const struct doc *reference = doc_get(pending->map, "$ref");
    const struct doc *dynamic = doc_get(pending->map, "$dynamicRef");
    struct schema_place *place = NULL;
    struct schema_anchor *anchor = NULL;
    const struct schema_resource *resource = pending->holder->resource;
    enum status status = STATUS_OK;
    if (reference != NULL) {
        status = schema_index_resolve(c->index, resource, reference, &place, NULL, c->err);
        if (status == STATUS_OK) {
            status = compile_node(c, place->node, &pending->holder->reference);
        }
    }
    if (dynamic != NULL && status == STATUS_OK) {
        status = schema_index_resolve(c->index, resource, dynamic, &place, &anchor, c->err);
        if (status == STATUS_OK) {
            pending->holder->dynamic_name = anchor == NULL ? NULL : anchor->name;
            status = compile_node(c, place->node, &pending->holder->dynamic_reference);
        }
    }
    return status;
}

/* Any of them may be what a `$dynamicRef` leads to. */
static enum status compile_anchors(struct subschema_compiler *c)
{
    enum status status = STATUS_OK;
    for (struct schema_resource *r = c->index->resources; r != NULL; r = r->next) {
        for (struct schema_anchor *a = r->anchors; a != NULL && status == STATUS_OK; a = a->next) {
            if (a->dynamic) {
                const struct subschema *target;
                status = compile_node(c, a->node, &target);
                a->target = (struct subschema *)target;
            }
        }
    }
    return status;
}

static enum status compile_pending(struct subschema_compiler *c)
{
    enum status status = STATUS_OK;
    while (c->pending.size > 0 && status == STATUS_OK) {
        struct pending pending;
        c->pending.size -= sizeof pending;
        memcpy(&pending, c->pending.data + c->pending.size, sizeof pending);
        status = compile_reference(c, &pending);
    }
    return status;
}

/* --- endless references --- */

static enum status walk(struct subschema_compiler *c, const struct subschema *const_schema,
                        uint32_t depth);

static enum status walk_list(struct subschema_compiler *c, const struct subschema_list *list,
                             uint32_t depth)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < list->count && status == STATUS_OK; i++) {
        status = walk(c, list->items[i], depth);
    }
    return status;
}

/* All that is asked of the same instance. */
static enum status walk_in_place(struct subschema_compiler *c, const struct subschema *schema,
                                 uint32_t depth)
{
    const struct subschema *single[] = {
        schema->reference, schema->dynamic_reference, schema->not_schema,
        schema->if_schema, schema->then_schema,       schema->else_schema,
    };
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof single / sizeof single[0] && status == STATUS_OK; i++) {
        status = walk(c, single[i], depth);
    }
    for (uint32_t i = 0; i < schema->dependent_schemas.count && status == STATUS_OK; i++) {
        status = walk(c, schema->dependent_schemas.items[i].schema, depth);
    }
    if (status == STATUS_OK) {
        status = walk_list(c, &schema->all_of, depth);
    }
    if (status == STATUS_OK) {
        status = walk_list(c, &schema->any_of, depth);
    }
    return status == STATUS_OK ? walk_list(c, &schema->one_of, depth) : status;
}

static enum status walk(struct subschema_compiler *c, const struct subschema *const_schema,
                        uint32_t depth)
{
    struct subschema *schema = (struct subschema *)const_schema;
    if (schema == NULL || schema->walk == CLOSED) {
        return STATUS_OK;
    }
    if (schema->walk == OPEN) {
        return doc_error(schema->source, c->err, "schema.endless_reference",
                         "this schema leads back to itself without a step into the value: it could "
                         "never be answered");
    }
    if (depth == SUBSCHEMA_DEPTH_MAX) {
        return doc_error(schema->source, c->err, "schema.too_deep",
                         "schemas lead to one another for the same value, more than %u in a row",
                         SUBSCHEMA_DEPTH_MAX);
    }
    schema->walk = OPEN;
    enum status status = walk_in_place(c, schema, depth + 1);
    schema->walk = CLOSED;
    return status;
}

/* In the order of the documents, so that the same place is named every time. */
static enum status check_endless(struct subschema_compiler *c)
{
    enum status status = STATUS_OK;
    for (size_t at = 0; at < c->made.size && status == STATUS_OK;) {
        const struct subschema *schema;
        memcpy(&schema, c->made.data + at, sizeof schema);
        status = walk(c, schema, 0);
        at += sizeof schema;
    }
    return status;
}

enum status subschema_compile(struct subschema_compiler *compiler, const struct doc *node,
                              const struct subschema **out)
{
    enum status status = compile_node(compiler, node, out);
    if (status == STATUS_OK && compiler->index->is_dynamic) {
        status = compile_anchors(compiler);
    }
    if (status == STATUS_OK) {
        status = compile_pending(compiler);
    }
    return status == STATUS_OK ? check_endless(compiler) : status;
}

void subschema_compiler_fini(struct subschema_compiler *compiler)
{
    buffer_fini(&compiler->pending);
    buffer_fini(&compiler->made);
}
