#include "schema/schema_index.h"

#include <string.h>

#include "schema/ascii.h"
#include "schema/keyword.h"
#include "schema/uri.h"

enum { FILES_MAX = 100, TABLE_START = 256 };

/* Of the first document: a name in its folder that no file has. */
#define FIRST_URI "file:///%00"

/* --- the table of schemas --- */

static size_t slot_of(const struct schema_index *index, const struct doc *node)
{
    /* Nodes come from an arena: their low bits say nothing. */
    size_t slot = (size_t)(((uintptr_t)node >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20);
    slot &= index->table_size - 1;
    while (index->table[slot].node != NULL && index->table[slot].node != node) {
        slot = (slot + 1) & (index->table_size - 1);
    }
    return slot;
}

struct schema_place *schema_index_find(const struct schema_index *index, const struct doc *node)
{
    struct schema_place *place = &index->table[slot_of(index, node)];
    return place->node == NULL ? NULL : place;
}

static void add_place(struct schema_index *index, const struct doc *node,
                      struct schema_resource *resource)
{
    if (index->place_count * 2 >= index->table_size) {
        struct schema_place *old = index->table;
        size_t old_size = index->table_size;
        index->table_size *= 2;
        index->table = memory_alloc_zero(index->table_size, sizeof *index->table);
        for (size_t i = 0; i < old_size; i++) {
            if (old[i].node != NULL) {
                index->table[slot_of(index, old[i].node)] = old[i];
            }
        }
        memory_free(old);
    }
    index->table[slot_of(index, node)] = (struct schema_place){.node = node, .resource = resource};
    index->place_count++;
}

/* --- resources and anchors --- */

static struct schema_resource *find_resource(const struct schema_index *index, const char *uri)
{
    for (struct schema_resource *r = index->resources; r != NULL; r = r->next) {
        if (strcmp(r->uri, uri) == 0 || (r->alias != NULL && strcmp(r->alias, uri) == 0)) {
            return r;
        }
    }
    return NULL;
}

static struct schema_resource *add_resource(struct schema_index *index, const char *uri,
                                            const char *alias, const struct doc *root)
{
    struct schema_resource *resource = arena_alloc_zero(index->arena, 1, sizeof *resource);
    *resource = (struct schema_resource){.uri = uri, .alias = alias, .root = root};
    *index->last_resource = resource;
    index->last_resource = &resource->next;
    return resource;
}

static bool is_anchor_name(const char *name)
{
    if (!ascii_is_alpha((uint8_t)name[0]) && name[0] != '_') {
        return false;
    }
    for (const char *at = name; *at != '\0'; at++) {
        if (!ascii_is_alnum((uint8_t)*at) && strchr("-_.", *at) == NULL) {
            return false;
        }
    }
    return true;
}

static enum status add_anchor(struct schema_index *index, struct schema_resource *resource,
                              const struct doc *map, const struct doc *name, bool dynamic,
                              struct error *err)
{
    if (name == NULL) {
        return STATUS_OK;
    }
    if (!is_anchor_name(name->text)) {
        return doc_error(name, err, "schema.keyword_value",
                         "'%s' is no name for an anchor: a letter or _, then letters, digits, "
                         "-, _ and .",
                         name->text);
    }
    for (const struct schema_anchor *a = resource->anchors; a != NULL; a = a->next) {
        if (strcmp(a->name, name->text) == 0 && a->node != map) {
            return doc_error(name, err, "schema.keyword_value",
                             "the anchor '%s' stands twice in one schema", name->text);
        }
    }
    struct schema_anchor *anchor = arena_alloc_zero(index->arena, 1, sizeof *anchor);
    *anchor = (struct schema_anchor){.name = arena_copy_string(index->arena, name->text),
                                     .node = map,
                                     .dynamic = dynamic,
                                     .next = resource->anchors};
    resource->anchors = anchor;
    return STATUS_OK;
}

/* The resource of a schema map: one of its own where it has an `$id`. */
static enum status open_resource(struct schema_index *index, const struct doc *map,
                                 struct schema_resource **inout, struct error *err)
{
    const struct doc *id = doc_get(map, "$id");
    const char *uri;
    const char *fragment;
    if (id == NULL) {
        return STATUS_OK;
    }
    if (!uri_resolve(index->arena, (*inout)->uri, id->text, &uri, &fragment)) {
        return doc_error(id, err, "schema.keyword_value", "'%s' is not a URI reference", id->text);
    }
    if (fragment[0] != '\0') {
        return doc_error(id, err, "schema.keyword_value",
                         "an `$id` has no fragment: name a place in a schema with `$anchor`");
    }
    struct schema_resource *known = find_resource(index, uri);
    if (known != NULL && known->root != map) {
        return doc_error(id, err, "schema.keyword_value", "two schemas have the `$id` %s", uri);
    }
    if ((*inout)->root == map) {
        (*inout)->uri = uri;
    } else {
        *inout = add_resource(index, uri, NULL, map);
    }
    return STATUS_OK;
}

static void add_reference(struct schema_index *index, struct schema_resource *resource,
                          const struct doc *text)
{
    if (text == NULL) {
        return;
    }
    struct schema_reference *reference = arena_alloc_zero(index->arena, 1, sizeof *reference);
    *reference = (struct schema_reference){.text = text, .resource = resource};
    *index->last_reference = reference;
    index->last_reference = &reference->next;
}

/* --- documents --- */

/* Recursive: as deep as doc/ lets documents be. */
static enum status add_schema(struct schema_index *index, const struct doc *node,
                              struct schema_resource *resource, struct error *err);

static enum status add_held(struct schema_index *index, enum keyword_holds holds,
                            const struct doc *value, struct schema_resource *resource,
                            struct error *err)
{
    if (holds == HOLDS_SCHEMA) {
        return add_schema(index, value, resource, err);
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; holds != HOLDS_NOTHING && i < value->count && status == STATUS_OK; i++) {
        status = add_schema(index, value->items[i], resource, err);
    }
    return status;
}

static enum status add_map(struct schema_index *index, const struct doc *map,
                           struct schema_resource *resource, struct error *err)
{
    enum status status = keyword_check_map(map, err);
    if (status == STATUS_OK) {
        status = open_resource(index, map, &resource, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    add_place(index, map, resource);
    if ((status = add_anchor(index, resource, map, doc_get(map, "$anchor"), false, err)) !=
            STATUS_OK ||
        (status = add_anchor(index, resource, map, doc_get(map, "$dynamicAnchor"), true, err)) !=
            STATUS_OK) {
        return status;
    }
    add_reference(index, resource, doc_get(map, "$ref"));
    add_reference(index, resource, doc_get(map, "$dynamicRef"));
    index->is_dynamic |= doc_get(map, "$dynamicRef") != NULL;
    for (size_t i = 0; i < map->count && status == STATUS_OK; i++) {
        status = add_held(index, keyword_holds(map->keys[i]), map->items[i], resource, err);
    }
    return status;
}

static enum status add_schema(struct schema_index *index, const struct doc *node,
                              struct schema_resource *resource, struct error *err)
{
    if (node->kind != DOC_MAP && node->kind != DOC_BOOL) {
        return doc_error(node, err, "schema.keyword_type",
                         "a schema is a map, or true or false, not %s", doc_kind_name(node->kind));
    }
    /* An alias of YAML is the node of its anchor. */
    if (schema_index_find(index, node) != NULL) {
        return STATUS_OK;
    }
    if (node->kind == DOC_MAP) {
        return add_map(index, node, resource, err);
    }
    add_place(index, node, resource);
    return STATUS_OK;
}

/* --- files --- */

/* The path, from the first document's folder on, of the file that `uri` names; NULL for none. */
static const char *path_of(const struct schema_index *index, const char *uri)
{
    const struct schema_resource *first = index->resources;
    const char *folders[] = {first->alias, first->uri};
    for (size_t i = 0; i < 2; i++) {
        const char *slash = strrchr(folders[i], '/');
        size_t size = slash == NULL ? 0 : (size_t)(slash - folders[i]) + 1;
        if (size > 0 && strncmp(uri, folders[i], size) == 0 && uri[size] != '\0' &&
            uri[size] != '/') {
            return uri_decode(index->arena, bytes_of_string(uri + size));
        }
    }
    return NULL;
}

static void keep_file(struct schema_index *index, const char *path, const struct doc *document)
{
    struct schema_files *files = &index->files;
    if (files->count == index->file_capacity) {
        index->file_capacity = index->file_capacity == 0 ? 8 : index->file_capacity * 2;
        struct schema_file *grown =
            arena_alloc_zero(index->arena, index->file_capacity, sizeof *grown);
        if (files->count > 0) {
            memcpy(grown, files->items, files->count * sizeof *grown);
        }
        files->items = grown;
    }
    files->items[files->count++] = (struct schema_file){.path = path, .document = document};
}

static enum status add_file(struct schema_index *index, const struct schema_reference *reference,
                            const char *uri, schema_read read, void *context, struct error *err)
{
    const char *path = path_of(index, uri);
    if (path == NULL || read == NULL) {
        return doc_error(reference->text, err, "schema.unknown_reference",
                         "nothing here is called '%s': a reference names a schema of this file "
                         "(by `$id`), or a file beside it or below; nothing is fetched from the "
                         "network",
                         uri);
    }
    if (index->files.count == FILES_MAX) {
        return doc_error(reference->text, err, "schema.too_many_files",
                         "a schema refers to at most %d files, this is one more", FILES_MAX);
    }
    const struct doc *document = NULL;
    enum status status = read(context, path, reference->text, &document, err);
    if (status != STATUS_OK) {
        return status;
    }
    keep_file(index, path, document);
    return add_schema(index, document, add_resource(index, uri, uri, document), err);
}

/* References that files bring along are appended while the list is walked. */
static enum status add_files(struct schema_index *index, schema_read read, void *context,
                             struct error *err)
{
    enum status status = STATUS_OK;
    for (const struct schema_reference *reference = index->references;
         reference != NULL && status == STATUS_OK; reference = reference->next) {
        const char *uri;
        const char *fragment;
        if (!uri_resolve(index->arena, reference->resource->uri, reference->text->text, &uri,
                         &fragment)) {
            status = doc_error(reference->text, err, "schema.unknown_reference",
                               "'%s' is not a URI reference that stays in the schema's folder",
                               reference->text->text);
        } else if (find_resource(index, uri) == NULL) {
            status = add_file(index, reference, uri, read, context, err);
        }
    }
    return status;
}

static enum status check_references(struct schema_index *index, struct error *err)
{
    enum status status = STATUS_OK;
    for (const struct schema_reference *reference = index->references;
         reference != NULL && status == STATUS_OK; reference = reference->next) {
        struct schema_place *place;
        status = schema_index_resolve(index, reference->resource, reference->text, &place, NULL,
                                      err);
    }
    return status;
}

enum status schema_index_init(struct schema_index *index, struct arena *arena,
                              const struct doc *document, schema_read read, void *context,
                              struct error *err)
{
    *index = (struct schema_index){.arena = arena, .table_size = TABLE_START};
    index->last_resource = &index->resources;
    index->last_reference = &index->references;
    index->table = memory_alloc_zero(index->table_size, sizeof *index->table);
    enum status status =
        add_schema(index, document, add_resource(index, FIRST_URI, FIRST_URI, document), err);
    if (status == STATUS_OK) {
        status = add_files(index, read, context, err);
    }
    return status == STATUS_OK ? check_references(index, err) : status;
}

void schema_index_fini(struct schema_index *index)
{
    memory_free(index->table);
    index->table = NULL;
}

/* --- references --- */

struct schema_anchor *schema_resource_dynamic(const struct schema_resource *resource,
                                              const char *name)
{
    struct schema_anchor *anchor = resource->anchors;
    while (anchor != NULL && (!anchor->dynamic || strcmp(anchor->name, name) != 0)) {
        anchor = anchor->next;
    }
    return anchor;
}

/* One reference token of a JSON pointer (RFC 6901) at *pointer, which moves behind it. */
static bool next_token(const char **pointer, struct buffer *out)
{
    const char *at = *pointer + 1;
    buffer_clear(out);
    for (; *at != '\0' && *at != '/'; at++) {
        if (*at == '~' && at[1] != '0' && at[1] != '1') {
            return false;
        }
        if (*at == '~') {
            buffer_append_byte(out, *++at == '0' ? '~' : '/');
        } else {
            buffer_append_byte(out, (uint8_t)*at);
        }
    }
    *pointer = at;
    return true;
}

static const struct doc *step_into(const struct doc *node, struct bytes token)
{
    if (node->kind == DOC_MAP) {
        for (size_t i = 0; i < node->count; i++) {
            if (bytes_equal(bytes_of(node->keys[i]->text, node->keys[i]->text_size), token)) {
                return node->items[i];
            }
        }
        return NULL;
    }
    size_t index = 0;
    if (node->kind != DOC_LIST || token.size == 0 || token.size > 6 ||
        (token.size > 1 && token.data[0] == '0')) {
        return NULL;
    }
    for (size_t i = 0; i < token.size; i++) {
        if (!ascii_is_digit(token.data[i])) {
            return NULL;
        }
        index = index * 10 + (size_t)(token.data[i] - '0');
    }
    return index < node->count ? node->items[index] : NULL;
}

static const struct doc *follow_pointer(const struct doc *root, const char *pointer)
{
    struct buffer token = {0};
    const struct doc *node = root;
    while (*pointer != '\0' && node != NULL) {
        bool right = next_token(&pointer, &token);
        node = right ? step_into(node, bytes_of(buffer_string(&token), token.size)) : NULL;
    }
    buffer_fini(&token);
    return node;
}

static const struct doc *find_fragment(const struct schema_resource *resource,
                                       const char *fragment, struct schema_anchor **out_anchor)
{
    *out_anchor = NULL;
    if (fragment[0] == '\0' || fragment[0] == '/') {
        return follow_pointer(resource->root, fragment);
    }
    for (struct schema_anchor *anchor = resource->anchors; anchor != NULL; anchor = anchor->next) {
        if (strcmp(anchor->name, fragment) == 0) {
            *out_anchor = anchor->dynamic ? anchor : schema_resource_dynamic(resource, fragment);
            return anchor->node;
        }
    }
    return NULL;
}

enum status schema_index_resolve(struct schema_index *index, const struct schema_resource *resource,
                                 const struct doc *text, struct schema_place **out,
                                 struct schema_anchor **out_anchor, struct error *err)
{
    const char *uri;
    const char *fragment;
    check(uri_resolve(index->arena, resource->uri, text->text, &uri, &fragment));
    const struct schema_resource *target = find_resource(index, uri);
    check(target != NULL);
    struct schema_anchor *anchor;
    const struct doc *node = find_fragment(target, fragment, &anchor);
    if (node == NULL) {
        return doc_error(text, err, "schema.unknown_reference", "there is no '%s' in %s", text->text,
                         target->root->file);
    }
    struct schema_place *place = schema_index_find(index, node);
    if (place == NULL) {
        return doc_error(text, err, "schema.unknown_reference",
                         "what '%s' names is no schema; schemas to refer to stand in `$defs`",
                         text->text);
    }
    *out = place;
    if (out_anchor != NULL) {
        *out_anchor = anchor;
    }
    return STATUS_OK;
}
