#include <stdlib.h>
#include <string.h>

#include "schema/keyword.h"
#include "schema/schema_internal.h"

struct compiler {
    struct arena *arena;
    struct field *fields;
    struct constraints *constraints;
    bool *required;
    const struct doc *
        *places; /* where a field's name stands in the document; NULL for extra fields */
    uint32_t count;
    uint32_t capacity;
    struct error *err;
};

static const struct constraints unconstrained = {
    .column = COLUMN_JSON,
    .types = {KINDS_ALL, false},
    .max_length = UINT64_MAX,
};

static void *grow(struct arena *arena, const void *old, uint32_t count, uint32_t capacity,
                  size_t size)
{
    void *grown = arena_alloc_zero(arena, capacity, size);
    if (count > 0) {
        memcpy(grown, old, count * size);
    }
    return grown;
}

static void make_room(struct compiler *c)
{
    if (c->count < c->capacity) {
        return;
    }
    uint32_t capacity = c->capacity == 0 ? 32 : c->capacity * 2;
    c->fields = grow(c->arena, c->fields, c->count, capacity, sizeof *c->fields);
    c->constraints = grow(c->arena, c->constraints, c->count, capacity, sizeof *c->constraints);
    c->required = grow(c->arena, c->required, c->count, capacity, sizeof *c->required);
    c->places = grow(c->arena, c->places, c->count, capacity, sizeof *c->places);
    c->capacity = capacity;
}

/* The parent's path, a dot, and the name with its control characters escaped: a path is a C
 * string for people. */
static const char *make_path(struct compiler *c, uint32_t parent, const struct doc *name)
{
    struct buffer path = {0};
    if (parent != FIELD_NONE) {
        buffer_printf(&path, "%s.", c->fields[parent].path);
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

static enum status add_field(struct compiler *c, const struct doc *name, uint32_t parent,
                             const struct constraints *constraints)
{
    if (c->count == SCHEMA_FIELDS_MAX) {
        return doc_error(name, c->err, "schema.too_many_fields",
                         "a schema has at most %u fields, this is one more", SCHEMA_FIELDS_MAX);
    }
    make_room(c);
    c->fields[c->count] = (struct field){
        .name = arena_copy(c->arena, name->text, name->text_size),
        .name_size = (uint32_t)name->text_size,
        .path = make_path(c, parent, name),
        .type = constraints->column,
        .nullable = (constraints->types.kinds & KIND_BIT(JSON_KIND_NULL)) != 0,
        .parent = parent,
    };
    c->constraints[c->count] = *constraints;
    c->places[c->count] = name;
    c->count++;
    return STATUS_OK;
}

/* The keyword of that name which asks for something only a column of its members can give, or
 * NULL. */
static const struct doc *object_keyword(const struct doc *map)
{
    for (size_t i = 0; i < map->count; i++) {
        const char *name = map->keys[i]->text;
        const struct doc *value = map->items[i];
        if (strcmp(name, "properties") == 0 ||
            (strcmp(name, "required") == 0 && value->count > 0) ||
            (strcmp(name, "additionalProperties") == 0 && !value->boolean)) {
            return map->keys[i];
        }
    }
    return NULL;
}

static enum status choose_column(struct compiler *c, const struct doc *map, struct type_set types,
                                 enum column_type *out)
{
    const struct doc *object = object_keyword(map);
    uint32_t kinds = types.kinds & ~KIND_BIT(JSON_KIND_NULL);
    *out = COLUMN_JSON;
    if (kinds == KIND_BIT(JSON_KIND_BOOL)) {
        *out = COLUMN_BOOL;
    } else if (kinds == KIND_BIT(JSON_KIND_NUMBER)) {
        *out = types.integer_only ? COLUMN_INT64 : COLUMN_DOUBLE;
    } else if (kinds == KIND_BIT(JSON_KIND_STRING)) {
        *out = COLUMN_TEXT;
    } else if (kinds == KIND_BIT(JSON_KIND_OBJECT) && object != NULL) {
        *out = COLUMN_OBJECT;
    }
    if (object != NULL && *out != COLUMN_OBJECT) {
        return doc_error(object, c->err, "schema.unsupported_keyword",
                         "`%s` is built only beside `type: object`, alone or with null",
                         object->text);
    }
    return STATUS_OK;
}

/* After keyword_check_map(): the one form of a built keyword that is not built. */
static enum status check_additional(struct compiler *c, const struct doc *map, bool *out_closed)
{
    const struct doc *additional = doc_get(map, "additionalProperties");
    if (additional != NULL && additional->kind == DOC_MAP) {
        return doc_error(additional, c->err, "schema.unsupported_keyword",
                         "`additionalProperties` with a schema is not built: use true or false");
    }
    *out_closed = additional != NULL && !additional->boolean;
    return STATUS_OK;
}

static enum status compile_members(struct compiler *c, const struct doc *map, uint32_t parent,
                                   uint32_t depth, bool closed);

static enum status compile_property(struct compiler *c, const struct doc *name,
                                    const struct doc *node, uint32_t parent, uint32_t depth)
{
    if (node->kind == DOC_BOOL && node->boolean) {
        return add_field(c, name, parent, &unconstrained);
    }
    if (node->kind == DOC_BOOL) {
        return doc_error(node, c->err, "schema.unsupported_keyword",
                         "`false` as a schema is not built: leave the property out");
    }
    if (node->kind != DOC_MAP) {
        return doc_error(node, c->err, "schema.keyword_type", "a schema is a map or true, not %s",
                         doc_kind_name(node->kind));
    }
    struct type_set types;
    enum column_type column;
    struct constraints constraints;
    bool closed = false;
    enum status status = keyword_check_map(node, c->err);
    if (status == STATUS_OK) {
        status = check_additional(c, node, &closed);
    }
    if (status == STATUS_OK) {
        status = constraint_read_types(node, &types, c->err);
    }
    if (status == STATUS_OK) {
        status = choose_column(c, node, types, &column);
    }
    if (status == STATUS_OK) {
        status = constraint_compile(c->arena, node, column, types, &constraints, c->err);
    }
    if (status == STATUS_OK) {
        status = add_field(c, name, parent, &constraints);
    }
    if (status != STATUS_OK || column != COLUMN_OBJECT) {
        return status;
    }
    uint32_t self = c->count - 1;
    c->fields[self].closed = closed;
    return compile_members(c, node, self, depth + 1, closed);
}

/* The field of that name among the members from `first` on, or FIELD_NONE. */
static uint32_t find_member(const struct compiler *c, uint32_t first, uint32_t parent,
                            const struct doc *name)
{
    for (uint32_t i = first; i < c->count; i++) {
        if (c->fields[i].parent == parent && c->fields[i].name_size == name->text_size &&
            memcmp(c->fields[i].name, name->text, name->text_size) == 0) {
            return i;
        }
    }
    return FIELD_NONE;
}

static enum status compile_required(struct compiler *c, const struct doc *name, uint32_t first,
                                    uint32_t parent, bool closed)
{
    if (name->kind != DOC_STRING) {
        return doc_error(name, c->err, "schema.keyword_type",
                         "`required` takes a list of names, not %s", doc_kind_name(name->kind));
    }
    uint32_t field = find_member(c, first, parent, name);
    if (field == FIELD_NONE) {
        if (closed) {
            return doc_error(name, c->err, "schema.contradiction",
                             "`%s` is required, but not among `properties`, and "
                             "`additionalProperties` is false",
                             name->text);
        }
        /* A column of its own, so that its absence is seen. */
        enum status status = add_field(c, name, parent, &unconstrained);
        if (status != STATUS_OK) {
            return status;
        }
        field = c->count - 1;
    }
    if (c->required[field]) {
        return doc_error(name, c->err, "schema.keyword_value", "`%s` stands twice in `required`",
                         name->text);
    }
    c->required[field] = true;
    return STATUS_OK;
}

static enum status compile_members(struct compiler *c, const struct doc *map, uint32_t parent,
                                   uint32_t depth, bool closed)
{
    if (depth > SCHEMA_DEPTH_MAX) {
        return doc_error(map, c->err, "schema.too_deep", "objects are nested deeper than %u",
                         SCHEMA_DEPTH_MAX);
    }
    const struct doc *properties = doc_get(map, "properties");
    const struct doc *required = doc_get(map, "required");
    uint32_t first = c->count;
    enum status status = STATUS_OK;
    for (size_t i = 0; properties != NULL && i < properties->count && status == STATUS_OK; i++) {
        status = compile_property(c, properties->keys[i], properties->items[i], parent, depth);
    }
    for (size_t i = 0; required != NULL && i < required->count && status == STATUS_OK; i++) {
        status = compile_required(c, required->items[i], first, parent, closed);
    }
    return status;
}

static enum status compile_root(struct compiler *c, const struct doc *document,
                                struct layout *layout)
{
    if (document->kind != DOC_MAP) {
        return doc_error(document, c->err, "schema.keyword_type", "a schema is a map, not %s",
                         doc_kind_name(document->kind));
    }
    enum status status = keyword_check_map(document, c->err);
    if (status == STATUS_OK) {
        status = check_additional(c, document, &layout->closed);
    }
    for (size_t i = 0; i < document->count && status == STATUS_OK; i++) {
        const struct doc *key = document->keys[i];
        if (strcmp(key->text, "enum") == 0 || strcmp(key->text, "const") == 0) {
            status = doc_error(key, c->err, "schema.unsupported_keyword",
                               "`%s` for the whole record is not built: leave it out", key->text);
        }
    }
    struct type_set types;
    if (status == STATUS_OK) {
        status = constraint_read_types(document, &types, c->err);
    }
    const struct doc *type = doc_get(document, "type");
    if (status == STATUS_OK && type != NULL && types.kinds != KIND_BIT(JSON_KIND_OBJECT)) {
        status = doc_error(type, c->err, "schema.root_type",
                           "a record is an object: the `type` of the whole is object");
    }
    if (status == STATUS_OK) {
        /* Keywords about numbers and strings ask nothing of an object, but must be right. */
        struct constraints unused;
        status = constraint_compile(c->arena, document, COLUMN_JSON, types, &unused, c->err);
    }
    if (status == STATUS_OK) {
        status = compile_members(c, document, FIELD_NONE, 1, layout->closed);
    }
    return status;
}

struct path_entry {
    const char *path;
    uint32_t field;
};

static int compare_paths(const void *a, const void *b)
{
    const struct path_entry *x = a;
    const struct path_entry *y = b;
    int order = strcmp(x->path, y->path);
    return order != 0 ? order : (x->field > y->field) - (x->field < y->field);
}

/* A member named "a.b" and a member b of an object a would have the same path. */
static enum status check_paths(struct compiler *c)
{
    struct path_entry *entries = memory_alloc(size_mul(c->count, sizeof *entries));
    for (uint32_t i = 0; i < c->count; i++) {
        entries[i] = (struct path_entry){c->fields[i].path, i};
    }
    qsort(entries, c->count, sizeof *entries, compare_paths);
    enum status status = STATUS_OK;
    for (uint32_t i = 1; i < c->count && status == STATUS_OK; i++) {
        if (strcmp(entries[i - 1].path, entries[i].path) == 0) {
            status = doc_error(c->places[entries[i].field], c->err, "schema.ambiguous_name",
                               "two fields have the path `%s`", entries[i].path);
        }
    }
    memory_free(entries);
    return status;
}

static uint32_t find_path(const struct compiler *c, const char *path, size_t size)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (strncmp(c->fields[i].path, path, size) == 0 && c->fields[i].path[size] == '\0') {
            return i;
        }
    }
    return FIELD_NONE;
}

/* The object that the path names a member of: FIELD_NONE for a name without a dot. */
static enum status find_parent(const struct compiler *c, const char *path, uint32_t *out)
{
    const char *dot = strrchr(path, '.');
    *out = FIELD_NONE;
    if (dot == NULL) {
        return STATUS_OK;
    }
    uint32_t object = find_path(c, path, (size_t)(dot - path));
    if (object == FIELD_NONE || c->fields[object].type != COLUMN_OBJECT) {
        return error_set(c->err, STATUS_CONFIG, "schema.no_such_object",
                         "`%s`: the schema has no object `%.*s` with `properties`", path,
                         (int)(dot - path), path);
    }
    *out = object;
    return STATUS_OK;
}

static enum status add_extra(struct compiler *c, const char *path)
{
    if (find_path(c, path, strlen(path)) != FIELD_NONE) {
        return STATUS_OK;
    }
    uint32_t parent;
    enum status status = find_parent(c, path, &parent);
    if (status != STATUS_OK) {
        return status;
    }
    if (c->count == SCHEMA_FIELDS_MAX) {
        return error_set(c->err, STATUS_CONFIG, "schema.too_many_fields",
                         "`%s`: schema and pipeline together have at most %u fields", path,
                         SCHEMA_FIELDS_MAX);
    }
    const char *name = parent == FIELD_NONE ? path : strrchr(path, '.') + 1;
    make_room(c);
    c->fields[c->count] = (struct field){
        .name = arena_copy_string(c->arena, name),
        .name_size = (uint32_t)strlen(name),
        .path = arena_copy_string(c->arena, path),
        .type = COLUMN_JSON,
        .nullable = true,
        .parent = parent,
    };
    c->constraints[c->count] = unconstrained;
    c->count++;
    return STATUS_OK;
}

enum status schema_compile(struct arena *arena, const struct doc *document,
                           const char *const *extra_names, uint32_t extra_count,
                           struct schema **out, struct error *err)
{
    struct compiler c = {.arena = arena, .err = err};
    struct schema *schema = arena_alloc_zero(arena, 1, sizeof *schema);
    make_room(&c);
    enum status status = compile_root(&c, document, &schema->layout);
    if (status == STATUS_OK) {
        status = check_paths(&c);
    }
    schema->layout.schema_field_count = c.count;
    for (uint32_t i = 0; i < extra_count && status == STATUS_OK; i++) {
        status = add_extra(&c, extra_names[i]);
    }
    if (status != STATUS_OK) {
        return status;
    }
    schema->layout.fields = c.fields;
    schema->layout.field_count = c.count;
    schema->constraints = c.constraints;
    schema->required = c.required;
    *out = schema;
    return STATUS_OK;
}

const struct layout *schema_layout(const struct schema *schema)
{
    return &schema->layout;
}

const char *schema_format(const struct schema *schema, uint32_t field)
{
    check(field < schema->layout.field_count);
    const struct format *format = schema->constraints[field].format;
    return format != NULL ? format->name : NULL;
}

bool schema_is_required(const struct schema *schema, uint32_t field)
{
    check(field < schema->layout.field_count);
    return schema->required[field];
}
