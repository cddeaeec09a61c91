#include "schema/schema_layout.h"

#include <string.h>

const struct constraints constraints_none = {
    .column = COLUMN_JSON,
    .types = {KINDS_ALL, false},
    .max_length = UINT64_MAX,
};

/* What a schema asks, beside what it leads to with $ref and allOf. */
enum {
    ASKS_VALUE = 1,   /* constraints */
    ASKS_LOGIC = 2,   /* further schemas for the same value */
    ASKS_MEMBERS = 4, /* of an object, by columns: properties, required, additionalProperties */
    ASKS_OBJECT = 8,  /* all else of an object */
    ASKS_ARRAY = 16,
};

/* Of one field, while its type is found. */
enum { TYPES_SCHEMAS_MAX = 1000 };

/* The maps that hold of a value in any case. */
struct closure {
    struct buffer seen; /* const struct doc *: all schemas on the way */
    struct buffer maps; /* const struct doc *: those of them that ask something themselves */
    bool never;         /* one of them is false */
};

/* A name of an object, with all schemas of its closure for it. */
struct member {
    const struct doc *name;
    struct buffer schemas; /* const struct doc * */
};

static void closure_fini(struct closure *closure)
{
    buffer_fini(&closure->seen);
    buffer_fini(&closure->maps);
}

static uint32_t doc_count(const struct buffer *list)
{
    return (uint32_t)(list->size / sizeof(const struct doc *));
}

static const struct doc *doc_at(const struct buffer *list, uint32_t index)
{
    const struct doc *node;
    memcpy(&node, list->data + index * sizeof node, sizeof node);
    return node;
}

static bool doc_is_in(const struct buffer *list, const struct doc *node)
{
    for (uint32_t i = 0; i < doc_count(list); i++) {
        if (doc_at(list, i) == node) {
            return true;
        }
    }
    return false;
}

static void doc_push(struct buffer *list, const struct doc *node)
{
    buffer_append(list, &node, sizeof node);
}

static const struct subschema *compiled(const struct layout_compiler *c, const struct doc *node)
{
    return schema_index_find(c->index, node)->compiled;
}

static bool asks_of_objects(const struct subschema *s)
{
    const struct subschema *additional = s->additional_properties;
    return s->pattern_count > 0 || s->property_names != NULL || s->dependent_required.count > 0 ||
           s->dependent_schemas.count > 0 || s->unevaluated_properties != NULL ||
           s->min_properties > 0 || s->max_properties != UINT64_MAX ||
           (additional != NULL && additional->kind == SUBSCHEMA_KEYWORDS);
}

static bool asks_of_arrays(const struct subschema *s)
{
    return s->prefix_items.count > 0 || s->items != NULL || s->contains != NULL ||
           s->unevaluated_items != NULL || s->min_items > 0 || s->max_items != UINT64_MAX ||
           s->unique_items;
}

static unsigned asks(const struct subschema *s)
{
    unsigned what = 0;
    if (s->kind == SUBSCHEMA_FALSE || s->dynamic_reference != NULL || s->any_of.count > 0 ||
        s->one_of.count > 0 || s->not_schema != NULL || s->if_schema != NULL) {
        what |= ASKS_LOGIC;
    }
    if (s->properties.items != NULL || s->required.count > 0 ||
        (s->additional_properties != NULL && s->additional_properties->kind == SUBSCHEMA_FALSE)) {
        what |= ASKS_MEMBERS;
    }
    what |= s->constraints != NULL ? ASKS_VALUE : 0;
    what |= asks_of_objects(s) ? ASKS_OBJECT : 0;
    what |= asks_of_arrays(s) ? ASKS_ARRAY : 0;
    return what;
}

/* --- closures --- */

/* Recursive along $ref and allOf, which subschema.c has found to end, and to be bounded. */
static void closure_add(const struct layout_compiler *c, const struct subschema *schema,
                        struct closure *out)
{
    if (schema->kind != SUBSCHEMA_KEYWORDS) {
        out->never |= schema->kind == SUBSCHEMA_FALSE;
        return;
    }
    if (doc_is_in(&out->seen, schema->source)) {
        return;
    }
    doc_push(&out->seen, schema->source);
    if (asks(schema) != 0) {
        doc_push(&out->maps, schema->source);
    }
    if (schema->reference != NULL) {
        closure_add(c, schema->reference, out);
    }
    for (uint32_t i = 0; i < schema->all_of.count; i++) {
        closure_add(c, schema->all_of.items[i], out);
    }
}

static void closure_init(const struct layout_compiler *c, const struct buffer *schemas,
                         struct closure *out)
{
    *out = (struct closure){.never = false};
    for (uint32_t i = 0; i < doc_count(schemas); i++) {
        closure_add(c, compiled(c, doc_at(schemas, i)), out);
    }
}

/* --- types --- */

struct types_walk {
    uint32_t left; /* schemas that are looked at at most: alternatives may multiply */
};

static struct type_set types_of(struct types_walk *walk, const struct subschema *schema);

static void types_meet(struct type_set *types, struct type_set other)
{
    bool both_numbers = (types->kinds & other.kinds & KIND_BIT(JSON_KIND_NUMBER)) != 0;
    types->kinds &= other.kinds;
    types->integer_only = both_numbers && (types->integer_only || other.integer_only);
}

static void types_meet_any(struct types_walk *walk, struct type_set *types,
                           const struct subschema_list *list)
{
    struct type_set joined = {0, true};
    bool numbers = false;
    for (uint32_t i = 0; i < list->count; i++) {
        struct type_set branch = types_of(walk, list->items[i]);
        bool has_numbers = (branch.kinds & KIND_BIT(JSON_KIND_NUMBER)) != 0;
        joined.kinds |= branch.kinds;
        joined.integer_only &= !has_numbers || branch.integer_only;
        numbers |= has_numbers;
    }
    joined.integer_only &= numbers;
    if (list->count > 0) {
        types_meet(types, joined);
    }
}

/* What may fit; at least all that does. */
static struct type_set types_of(struct types_walk *walk, const struct subschema *schema)
{
    struct type_set types = {KINDS_ALL, false};
    if (schema->kind == SUBSCHEMA_FALSE) {
        return (struct type_set){0, false};
    }
    if (walk->left == 0) {
        return types;
    }
    walk->left--;
    if (schema->constraints != NULL) {
        types_meet(&types, schema->constraints->types);
        const struct value_set *sets[] = {schema->constraints->enum_set,
                                          schema->constraints->const_set};
        for (size_t i = 0; i < 2; i++) {
            if (sets[i] != NULL) {
                types_meet(&types, value_set_kinds(sets[i]));
            }
        }
    }
    if (schema->reference != NULL) {
        types_meet(&types, types_of(walk, schema->reference));
    }
    for (uint32_t i = 0; i < schema->all_of.count; i++) {
        types_meet(&types, types_of(walk, schema->all_of.items[i]));
    }
    types_meet_any(walk, &types, &schema->any_of);
    types_meet_any(walk, &types, &schema->one_of);
    return types;
}

/* --- fields --- */

enum status schema_layout_add(struct layout_compiler *c, const struct layout_field *field,
                              uint32_t *out)
{
    if (c->count == SCHEMA_FIELDS_MAX) {
        return field->place == NULL
                   ? error_set(c->err, STATUS_CONFIG, "schema.too_many_fields",
                               "`%s`: schema and pipeline together have at most %u fields",
                               field->field.path, SCHEMA_FIELDS_MAX)
                   : doc_error(field->place, c->err, "schema.too_many_fields",
                               "a schema has at most %u fields, this is one more",
                               SCHEMA_FIELDS_MAX);
    }
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 32 : c->capacity * 2;
        c->fields = memory_realloc(c->fields, size_mul(c->capacity, sizeof *c->fields));
    }
    *out = c->count;
    c->fields[c->count++] = *field;
    return STATUS_OK;
}

void schema_layout_fini(struct layout_compiler *compiler)
{
    memory_free(compiler->fields);
    buffer_fini(&compiler->open);
}

/* The parent's path, a dot, and the name with its control characters escaped: a path is a C
 * string for people. */
static const char *make_path(struct layout_compiler *c, uint32_t parent, const struct doc *name)
{
    struct buffer path = {0};
    if (parent != FIELD_NONE) {
        buffer_printf(&path, "%s.", c->fields[parent].field.path);
    }
    for (size_t i = 0; i < name->text_size; i++) {
        uint8_t byte = (uint8_t)name->text[i];
        if (byte < 0x20) {
            buffer_printf(&path, "\\u%04x", byte);
        } else {
            buffer_append_byte(&path, byte);
        }
    }
    const char *copy = arena_copy(c->arena, buffer_string(&path), path.size);
    buffer_fini(&path);
    return copy;
}

static enum status add_field(struct layout_compiler *c, const struct doc *name, uint32_t parent,
                             const struct constraints *constraints, uint32_t *out)
{
    struct layout_field field = {
        .field =
            {
                .name = arena_copy(c->arena, name->text, name->text_size),
                .name_size = (uint32_t)name->text_size,
                .path = make_path(c, parent, name),
                .type = constraints->column,
                .nullable = (constraints->types.kinds & KIND_BIT(JSON_KIND_NULL)) != 0,
                .parent = parent,
            },
        .constraints = *constraints,
        .place = name,
    };
    return schema_layout_add(c, &field, out);
}

/* Whether some map asks for something that only columns of its members can give. */
static bool has_members(const struct layout_compiler *c, const struct closure *closure)
{
    bool found = false;
    for (uint32_t i = 0; i < doc_count(&closure->maps); i++) {
        found |= (asks(compiled(c, doc_at(&closure->maps, i))) & ASKS_MEMBERS) != 0;
    }
    return found;
}

static bool is_open(const struct layout_compiler *c, const struct closure *closure)
{
    bool found = false;
    for (uint32_t i = 0; i < doc_count(&closure->maps); i++) {
        found |= doc_is_in(&c->open, doc_at(&closure->maps, i));
    }
    return found;
}

static enum column_type choose_column(const struct layout_compiler *c,
                                      const struct closure *closure, struct type_set types)
{
    switch (types.kinds & ~KIND_BIT(JSON_KIND_NULL)) {
    case KIND_BIT(JSON_KIND_BOOL):
        return COLUMN_BOOL;
    case KIND_BIT(JSON_KIND_NUMBER):
        return types.integer_only ? COLUMN_INT64 : COLUMN_DOUBLE;
    case KIND_BIT(JSON_KIND_STRING):
        return COLUMN_TEXT;
    case KIND_BIT(JSON_KIND_OBJECT):
        return has_members(c, closure) && !is_open(c, closure) ? COLUMN_OBJECT : COLUMN_JSON;
    default:
        return COLUMN_JSON;
    }
}

/* Constraints of a field that several maps, or none, describe: its type; all else is its rest. */
static struct constraints only_types(const struct layout_compiler *c,
                                     const struct closure *closure, enum column_type column,
                                     struct type_set types)
{
    struct constraints constraints = constraints_none;
    constraints.column = column;
    constraints.types = types;
    for (uint32_t i = 0; i < doc_count(&closure->maps) && column == COLUMN_TEXT; i++) {
        const struct subschema *schema = compiled(c, doc_at(&closure->maps, i));
        if (schema->constraints != NULL && constraints.format == NULL) {
            constraints.format = schema->constraints->format;
        }
    }
    return constraints;
}

/* The types of a field: one map without alternatives says them as ever, with those of its enum. */
static enum status field_types(const struct layout_compiler *c, const struct buffer *schemas,
                               const struct closure *closure, struct type_set *out)
{
    bool single = doc_count(&closure->maps) == 1 && !closure->never;
    if (single && (asks(compiled(c, doc_at(&closure->maps, 0))) & ASKS_LOGIC) == 0) {
        return constraint_read_types(doc_at(&closure->maps, 0), out, c->err);
    }
    struct type_set types = {KINDS_ALL, false};
    struct types_walk walk = {TYPES_SCHEMAS_MAX};
    for (uint32_t i = 0; i < doc_count(schemas); i++) {
        types_meet(&types, types_of(&walk, compiled(c, doc_at(schemas, i))));
    }
    *out = types;
    return STATUS_OK;
}

static enum status field_constraints(const struct layout_compiler *c,
                                     const struct closure *closure, enum column_type column,
                                     struct type_set types, struct constraints *out)
{
    bool single = doc_count(&closure->maps) == 1 && !closure->never;
    if (single) {
        return constraint_compile(c->arena, doc_at(&closure->maps, 0), CONSTRAINT_COLUMN, column,
                                  types, out, c->err);
    }
    /* Where nothing fits, the judge says why. */
    *out = only_types(c, closure, column,
                      types.kinds == 0 ? (struct type_set){KINDS_ALL, false} : types);
    return STATUS_OK;
}

/* One schema for all that is said of a value. */
static const struct subschema *whole(const struct layout_compiler *c, const struct buffer *schemas)
{
    if (doc_count(schemas) == 1) {
        return compiled(c, doc_at(schemas, 0));
    }
    struct subschema *all = arena_alloc_zero(c->arena, 1, sizeof *all);
    *all = subschema_empty(compiled(c, doc_at(schemas, 0))->resource);
    all->all_of.items = arena_alloc_zero(c->arena, doc_count(schemas), sizeof *all->all_of.items);
    for (uint32_t i = 0; i < doc_count(schemas); i++) {
        all->all_of.items[all->all_of.count++] = compiled(c, doc_at(schemas, i));
    }
    return all;
}

/* What the column cannot say of the field, or NULL. */
static const struct subschema *rest_of(const struct layout_compiler *c,
                                       const struct buffer *schemas,
                                       const struct closure *closure, enum column_type column)
{
    uint32_t count = doc_count(&closure->maps);
    if (count == 0 && !closure->never) {
        return NULL;
    }
    unsigned what = count == 1 && !closure->never ? asks(compiled(c, doc_at(&closure->maps, 0)))
                                                  : ASKS_LOGIC;
    unsigned beyond =
        column == COLUMN_JSON ? ASKS_LOGIC | ASKS_MEMBERS | ASKS_OBJECT | ASKS_ARRAY : ASKS_LOGIC;
    return (what & beyond) != 0 ? whole(c, schemas) : NULL;
}

static enum status compile_object(struct layout_compiler *c, const struct buffer *schemas,
                                  const struct closure *closure, uint32_t parent, uint32_t depth,
                                  const struct subschema **out_residual, bool *out_closed);

static enum status compile_field(struct layout_compiler *c, const struct member *member,
                                 const struct closure *closure, uint32_t parent, uint32_t depth)
{
    struct type_set types;
    struct constraints constraints;
    uint32_t self;
    enum status status = field_types(c, &member->schemas, closure, &types);
    if (status != STATUS_OK) {
        return status;
    }
    enum column_type column = choose_column(c, closure, types);
    if ((status = field_constraints(c, closure, column, types, &constraints)) != STATUS_OK) {
        return status;
    }
    bool nullable = (types.kinds & KIND_BIT(JSON_KIND_NULL)) != 0;
    if ((status = add_field(c, member->name, parent, &constraints, &self)) != STATUS_OK) {
        return status;
    }
    c->fields[self].field.nullable = nullable;
    if (column != COLUMN_OBJECT) {
        const struct subschema *rest = rest_of(c, &member->schemas, closure, column);
        /* What a $dynamicRef leads to depends on the schemas around: judged from the record on. */
        c->fields[self].rest = c->index->is_dynamic ? NULL : rest;
        c->fields[self].object = c->index->is_dynamic ? rest : NULL;
        return STATUS_OK;
    }
    const struct subschema *residual = NULL;
    bool closed = false;
    status = compile_object(c, &member->schemas, closure, self, depth + 1, &residual, &closed);
    c->fields[self].field.closed = closed;
    c->fields[self].object = residual;
    return status;
}

/* The field of that name among the members from `first` on, or FIELD_NONE. */
static uint32_t find_member(const struct layout_compiler *c, uint32_t first, uint32_t parent,
                            struct bytes name)
{
    for (uint32_t i = first; i < c->count; i++) {
        const struct field *field = &c->fields[i].field;
        if (field->parent == parent && bytes_equal(bytes_of(field->name, field->name_size), name)) {
            return i;
        }
    }
    return FIELD_NONE;
}

/* --- residuals --- */

struct residuals {
    struct layout_compiler *c;
    uint32_t first; /* of the object's fields */
    uint32_t parent;
    bool single; /* one map, whose constraints the column of the object checks */
    bool closed; /* the decoder looks out for members that are not declared */
    struct buffer made; /* struct made */
};

struct made {
    const struct subschema *of;
    const struct subschema *residual;
};

static const struct subschema *residual_of(struct residuals *r, const struct subschema *schema);

/* Of the schemas that one member has, the first stands for all. */
static struct named_list residual_members(struct residuals *r, const struct subschema *schema)
{
    struct named_list list = schema->properties;
    list.items = arena_alloc_zero(r->c->arena, list.count, sizeof *list.items);
    for (uint32_t i = 0; i < list.count; i++) {
        list.items[i].name = schema->properties.items[i].name;
        uint32_t field = find_member(r->c, r->first, r->parent, list.items[i].name);
        check(field != FIELD_NONE);
        list.items[i].schema = r->c->fields[field].object;
        r->c->fields[field].object = NULL;
    }
    return list;
}

/* Whether anything is left to ask of an object. */
static bool is_needed(const struct subschema *residual)
{
    bool needed = residual->kind == SUBSCHEMA_FALSE || residual->constraints != NULL ||
                  (asks(residual) & (ASKS_LOGIC | ASKS_OBJECT)) != 0 ||
                  /* True says which members are evaluated, and asks nothing itself. */
                  (residual->additional_properties != NULL &&
                   residual->additional_properties->kind != SUBSCHEMA_TRUE);
    for (uint32_t i = 0; i < residual->properties.count && !needed; i++) {
        needed = residual->properties.items[i].schema != NULL;
    }
    needed |= residual->reference != NULL && residual->reference->is_needed;
    for (uint32_t i = 0; i < residual->all_of.count && !needed; i++) {
        needed = residual->all_of.items[i]->is_needed;
    }
    return needed;
}

static bool concerns_objects(const struct constraints *constraints)
{
    return constraints != NULL &&
           (constraints->enum_set != NULL || constraints->const_set != NULL ||
            (constraints->types.kinds & KIND_BIT(JSON_KIND_OBJECT)) == 0);
}

static const struct subschema *residual_make(struct residuals *r, const struct subschema *schema)
{
    struct subschema *residual = arena_alloc_zero(r->c->arena, 1, sizeof *residual);
    *residual = *schema;
    bool has_column = r->single && r->parent != FIELD_NONE;
    if (has_column || !concerns_objects(schema->constraints)) {
        residual->constraints = NULL;
    }
    residual->required = (struct name_list){NULL, 0};
    if (r->closed) {
        residual->additional_properties = NULL;
    }
    residual->properties = residual_members(r, schema);
    if (schema->reference != NULL) {
        residual->reference = residual_of(r, schema->reference);
    }
    residual->all_of.items =
        arena_alloc_zero(r->c->arena, schema->all_of.count, sizeof *residual->all_of.items);
    for (uint32_t i = 0; i < schema->all_of.count; i++) {
        residual->all_of.items[i] = residual_of(r, schema->all_of.items[i]);
    }
    residual->is_needed = is_needed(residual);
    return residual;
}

static const struct subschema *residual_of(struct residuals *r, const struct subschema *schema)
{
    if (schema->kind != SUBSCHEMA_KEYWORDS) {
        return schema;
    }
    for (size_t i = 0; i < r->made.size / sizeof(struct made); i++) {
        struct made made;
        memcpy(&made, r->made.data + i * sizeof made, sizeof made);
        if (made.of == schema) {
            return made.residual;
        }
    }
    struct made made = {.of = schema, .residual = residual_make(r, schema)};
    buffer_append(&r->made, &made, sizeof made);
    return made.residual;
}

/* --- objects --- */

static void add_schema_of(struct buffer *members, const struct doc *name, const struct doc *schema)
{
    size_t count = members->size / sizeof(struct member);
    struct member *all = (struct member *)(void *)members->data;
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(bytes_of(all[i].name->text, all[i].name->text_size),
                        bytes_of(name->text, name->text_size))) {
            doc_push(&all[i].schemas, schema);
            return;
        }
    }
    struct member member = {.name = name};
    doc_push(&member.schemas, schema);
    buffer_append(members, &member, sizeof member);
}

static enum status compile_fields(struct layout_compiler *c, const struct buffer *members,
                                  uint32_t parent, uint32_t depth)
{
    const struct member *all = (const struct member *)(const void *)members->data;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < members->size / sizeof *all && status == STATUS_OK; i++) {
        struct closure closure;
        closure_init(c, &all[i].schemas, &closure);
        status = compile_field(c, &all[i], &closure, parent, depth);
        closure_fini(&closure);
    }
    return status;
}

static enum status compile_properties(struct layout_compiler *c, const struct closure *closure,
                                      uint32_t parent, uint32_t depth)
{
    struct buffer members = {0};
    for (uint32_t i = 0; i < doc_count(&closure->maps); i++) {
        const struct doc *properties = doc_get(doc_at(&closure->maps, i), "properties");
        for (size_t k = 0; properties != NULL && k < properties->count; k++) {
            add_schema_of(&members, properties->keys[k], properties->items[k]);
        }
    }
    enum status status = compile_fields(c, &members, parent, depth);
    struct member *all = (struct member *)(void *)members.data;
    for (size_t i = 0; i < members.size / sizeof *all; i++) {
        buffer_fini(&all[i].schemas);
    }
    buffer_fini(&members);
    return status;
}

static enum status require(struct layout_compiler *c, const struct doc *name, uint32_t first,
                           uint32_t parent, bool closed)
{
    uint32_t field = find_member(c, first, parent, bytes_of(name->text, name->text_size));
    enum status status = STATUS_OK;
    if (field == FIELD_NONE && closed) {
        return doc_error(name, c->err, "schema.contradiction",
                         "`%s` is required, but not among `properties`, and "
                         "`additionalProperties` is false",
                         name->text);
    }
    if (field == FIELD_NONE) {
        /* A column of its own, so that its absence is seen. */
        status = add_field(c, name, parent, &constraints_none, &field);
    }
    if (status == STATUS_OK) {
        c->fields[field].required = true;
    }
    return status;
}

static enum status compile_required(struct layout_compiler *c, const struct closure *closure,
                                    uint32_t first, uint32_t parent, bool closed)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < doc_count(&closure->maps); i++) {
        const struct doc *required = doc_get(doc_at(&closure->maps, i), "required");
        for (size_t k = 0; required != NULL && k < required->count && status == STATUS_OK; k++) {
            status = require(c, required->items[k], first, parent, closed);
        }
    }
    return status;
}

/* Other members are refused by the decoder where one map says so, and says all. */
static bool is_closed(const struct layout_compiler *c, const struct closure *closure)
{
    if (doc_count(&closure->maps) != 1) {
        return false;
    }
    const struct subschema *schema = compiled(c, doc_at(&closure->maps, 0));
    return schema->additional_properties != NULL &&
           schema->additional_properties->kind == SUBSCHEMA_FALSE && schema->pattern_count == 0;
}

static enum status compile_object(struct layout_compiler *c, const struct buffer *schemas,
                                  const struct closure *closure, uint32_t parent, uint32_t depth,
                                  const struct subschema **out_residual, bool *out_closed)
{
    if (depth > SCHEMA_DEPTH_MAX) {
        return doc_error(doc_at(schemas, 0), c->err, "schema.too_deep",
                         "objects are nested deeper than %u", SCHEMA_DEPTH_MAX);
    }
    size_t open_before = c->open.size;
    uint32_t first = c->count;
    bool closed = is_closed(c, closure);
    buffer_append(&c->open, closure->maps.data, closure->maps.size);
    enum status status = compile_properties(c, closure, parent, depth);
    c->open.size = open_before;
    if (status == STATUS_OK) {
        status = compile_required(c, closure, first, parent, closed);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct residuals residuals = {
        .c = c,
        .first = first,
        .parent = parent,
        .single = doc_count(&closure->maps) == 1 && !closure->never,
        .closed = closed,
    };
    const struct subschema *residual = residual_of(&residuals, whole(c, schemas));
    buffer_fini(&residuals.made);
    *out_residual = residual->is_needed ? residual : NULL;
    *out_closed = closed;
    return STATUS_OK;
}

static enum status check_root(const struct layout_compiler *c, const struct doc *document)
{
    struct type_set types = {KINDS_ALL, false};
    const struct doc *type = document->kind == DOC_MAP ? doc_get(document, "type") : NULL;
    enum status status = STATUS_OK;
    if (type != NULL) {
        status = constraint_read_types(document, &types, c->err);
    }
    if (status == STATUS_OK && (types.kinds & KIND_BIT(JSON_KIND_OBJECT)) == 0) {
        status = doc_error(type, c->err, "schema.root_type",
                           "a record is an object: the `type` of the whole is object");
    }
    return status;
}

enum status schema_layout_compile(struct layout_compiler *compiler, const struct doc *document,
                                  const struct subschema **out_record, bool *out_closed)
{
    struct buffer root = {0};
    struct closure closure;
    enum status status = check_root(compiler, document);
    if (status != STATUS_OK) {
        return status;
    }
    doc_push(&root, document);
    closure_init(compiler, &root, &closure);
    status = compile_object(compiler, &root, &closure, FIELD_NONE, 1, out_record, out_closed);
    closure_fini(&closure);
    buffer_fini(&root);
    return status;
}
