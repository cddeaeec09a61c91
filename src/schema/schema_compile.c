#include <stdlib.h>
#include <string.h>

#include "schema/schema_files.h"
#include "schema/schema_internal.h"
#include "schema/schema_layout.h"

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
static enum status check_paths(struct layout_compiler *c)
{
    struct path_entry *entries = memory_alloc(size_mul(c->count, sizeof *entries));
    for (uint32_t i = 0; i < c->count; i++) {
        entries[i] = (struct path_entry){c->fields[i].field.path, i};
    }
    qsort(entries, c->count, sizeof *entries, compare_paths);
    enum status status = STATUS_OK;
    for (uint32_t i = 1; i < c->count && status == STATUS_OK; i++) {
        if (strcmp(entries[i - 1].path, entries[i].path) == 0) {
            status = doc_error(c->fields[entries[i].field].place, c->err, "schema.ambiguous_name",
                               "two fields have the path `%s`", entries[i].path);
        }
    }
    memory_free(entries);
    return status;
}

static uint32_t find_path(const struct layout_compiler *c, const char *path, size_t size)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (strncmp(c->fields[i].field.path, path, size) == 0 && c->fields[i].field.path[size] == '\0') {
            return i;
        }
    }
    return FIELD_NONE;
}

/* The object that the path names a member of: FIELD_NONE for a name without a dot. */
static enum status find_parent(const struct layout_compiler *c, const char *path, uint32_t *out)
{
    const char *dot = strrchr(path, '.');
    *out = FIELD_NONE;
    if (dot == NULL) {
        return STATUS_OK;
    }
    uint32_t object = find_path(c, path, (size_t)(dot - path));
    if (object == FIELD_NONE || c->fields[object].field.type != COLUMN_OBJECT) {
        return error_set(c->err, STATUS_CONFIG, "schema.no_such_object",
                         "`%s`: the schema has no object `%.*s` with `properties`", path,
                         (int)(dot - path), path);
    }
    *out = object;
    return STATUS_OK;
}

static enum status add_extra(struct layout_compiler *c, const char *path)
{
    if (find_path(c, path, strlen(path)) != FIELD_NONE) {
        return STATUS_OK;
    }
    uint32_t parent;
    enum status status = find_parent(c, path, &parent);
    if (status != STATUS_OK) {
        return status;
    }
    const char *name = parent == FIELD_NONE ? path : strrchr(path, '.') + 1;
    struct layout_field field = {
        .field =
            {
                .name = arena_copy_string(c->arena, name),
                .name_size = (uint32_t)strlen(name),
                .path = arena_copy_string(c->arena, path),
                .type = COLUMN_JSON,
                .nullable = true,
                .parent = parent,
            },
        .constraints = constraints_none,
    };
    uint32_t self;
    return schema_layout_add(c, &field, &self);
}

/* Fields of the schema, then the extra ones. */
static enum status compile_layout(struct layout_compiler *c, const struct doc *document,
                                  const char *const *extra_names, uint32_t extra_count,
                                  struct schema *schema)
{
    enum status status =
        schema_layout_compile(c, document, &schema->record, &schema->layout.closed);
    if (status == STATUS_OK) {
        status = check_paths(c);
    }
    schema->layout.schema_field_count = c->count;
    for (uint32_t i = 0; i < extra_count && status == STATUS_OK; i++) {
        status = add_extra(c, extra_names[i]);
    }
    return status;
}

static void keep_fields(const struct layout_compiler *c, struct schema *schema)
{
    uint32_t count = c->count;
    schema->layout.fields = arena_alloc_zero(c->arena, count, sizeof *schema->layout.fields);
    schema->layout.field_count = count;
    schema->constraints = arena_alloc_zero(c->arena, count, sizeof *schema->constraints);
    schema->required = arena_alloc_zero(c->arena, count, sizeof *schema->required);
    schema->rests = arena_alloc_zero(c->arena, count, sizeof *schema->rests);
    for (uint32_t i = 0; i < count; i++) {
        schema->layout.fields[i] = c->fields[i].field;
        schema->constraints[i] = c->fields[i].constraints;
        schema->required[i] = c->fields[i].required;
        schema->rests[i] = c->fields[i].rest;
    }
}

enum status schema_compile(struct arena *arena, const struct doc *document,
                           const struct schema_files *files, const char *const *extra_names,
                           uint32_t extra_count, struct schema **out, struct error *err)
{
    struct schema_index index;
    struct subschema_compiler subschemas = {.arena = arena, .index = &index, .err = err};
    struct layout_compiler layout = {.arena = arena, .index = &index, .err = err};
    struct schema *schema = arena_alloc_zero(arena, 1, sizeof *schema);
    const struct subschema *root;
    enum status status =
        schema_index_init(&index, arena, document, schema_files_find, (void *)files, err);
    if (status == STATUS_OK) {
        status = subschema_compile(&subschemas, document, &root);
    }
    if (status == STATUS_OK) {
        status = compile_layout(&layout, document, extra_names, extra_count, schema);
    }
    if (status == STATUS_OK) {
        keep_fields(&layout, schema);
        *out = schema;
    }
    schema_layout_fini(&layout);
    subschema_compiler_fini(&subschemas);
    schema_index_fini(&index);
    return status;
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

bool schema_judges_records(const struct schema *schema)
{
    return schema->record != NULL;
}
