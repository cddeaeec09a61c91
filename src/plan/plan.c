/* Making a plan: read, check against the grammar, compile, hash. */
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "codec/json.h"
#include "os/file.h"
#include "plan/grammar.h"
#include "plan/plan_private.h"
#include "plan/schema_load.h"

/* ,"schema_files":[{"path":…,"schema":…}…]; nothing where there are none. */
static void write_schema_files(const struct schema_files *files, struct buffer *out)
{
    for (uint32_t i = 0; i < files->count; i++) {
        buffer_append_string(out, i == 0 ? ",\"schema_files\":[" : ",");
        buffer_append_string(out, "{\"path\":");
        json_write_string(out, bytes_of_string(files->items[i].path));
        buffer_append_string(out, ",\"schema\":");
        doc_write_canonical(files->items[i].document, out);
        buffer_append_byte(out, '}');
    }
    buffer_append_string(out, files->count > 0 ? "]" : "");
}

/* {"pipeline": …without knobs and schema…, "schema": …} in canonical JSON: in the order of the
 * file, which is that of columns, violations, fills and sinks. A time zone by name is there as what
 * this machine says of it ("zone"): another machine may say something else. */
static void write_text(const struct doc *pipeline, const struct doc *schema,
                       const struct schema_files *files, struct bytes zone, struct buffer *out)
{
    struct doc judged = *pipeline;
    judged.count = 0;
    judged.keys = memory_alloc_zero(pipeline->count + 1, sizeof *judged.keys);
    judged.items = memory_alloc_zero(pipeline->count + 1, sizeof *judged.items);
    for (size_t i = 0; i < pipeline->count; i++) {
        const char *key = pipeline->keys[i]->text;
        if (!plan_is_knob(key) && strcmp(key, "schema") != 0) {
            judged.keys[judged.count] = pipeline->keys[i];
            judged.items[judged.count++] = pipeline->items[i];
        }
    }
    buffer_append_string(out, "{\"pipeline\":");
    doc_write_canonical(&judged, out);
    buffer_append_string(out, ",\"schema\":");
    doc_write_canonical(schema, out);
    write_schema_files(files, out);
    if (!bytes_is_none(zone)) {
        buffer_append_string(out, ",\"zone\":");
        json_write_string(out, zone);
    }
    buffer_append_string(out, "}");
    memory_free(judged.keys);
    memory_free(judged.items);
}

static void set_text(struct plan_maker *maker)
{
    struct plan *plan = maker->plan;
    struct buffer text = {0};
    write_text(plan_without_connections(plan->arena, maker->pipeline), maker->schema,
               &maker->schema_files, maker->zone_text, &text);
    plan->text = bytes_of(arena_copy(plan->arena, text.data, text.size), text.size);
    plan->hash = hash_plain(text.data, text.size);
    hash_format(plan->hash, plan->hash_text);
    buffer_fini(&text);
}

const char *plan_join_path(struct arena *arena, const char *folder, const char *path)
{
    return path[0] == '/' ? path : arena_printf(arena, "%s%s", folder, path);
}

/* The schema's document: in place, or the file that is named; and the files that it refers to. */
static enum status load_schema(struct plan_maker *maker, const struct doc *node,
                               doc_environment environment, struct error *err)
{
    if (node->kind == DOC_MAP || node->kind == DOC_BOOL) {
        maker->schema = node;
        return schema_read_files(maker->arena, node, maker->plan->folder, environment,
                                 &maker->schema_files, err);
    }
    if (node->kind != DOC_STRING) {
        return doc_error(node, err, "config.type",
                         "schema must be the name of a file or a JSON Schema in place, not %s",
                         doc_kind_name(node->kind));
    }
    const char *path = plan_join_path(maker->arena, maker->plan->folder, node->text);
    if (!file_exists(path)) {
        return doc_error(node, err, "config.missing_file",
                         "the schema file %s is not there; name an existing file, relative to the "
                         "pipeline file, or write the schema in place",
                         path);
    }
    struct doc *schema = NULL;
    enum status status = schema_read_document(maker->arena, path, environment, &schema, err);
    maker->schema = schema;
    if (status != STATUS_OK) {
        return doc_locate_error(node, err);
    }
    return schema_read_files(maker->arena, schema, schema_folder_of(maker->arena, path),
                             environment, &maker->schema_files, err);
}

/* The files of a stored plan. False when the text is broken. */
static bool read_stored_files(struct plan_maker *maker, const struct doc *stored)
{
    const struct doc *list = doc_get(stored, "schema_files");
    if (list == NULL) {
        return true;
    }
    if (list->kind != DOC_LIST) {
        return false;
    }
    struct schema_files *files = &maker->schema_files;
    files->items = arena_alloc_zero(maker->arena, list->count, sizeof *files->items);
    for (size_t i = 0; i < list->count; i++) {
        const struct doc *item = list->items[i];
        const struct doc *path = item->kind == DOC_MAP ? doc_get(item, "path") : NULL;
        const struct doc *document = item->kind == DOC_MAP ? doc_get(item, "schema") : NULL;
        if (path == NULL || path->kind != DOC_STRING || document == NULL) {
            return false;
        }
        files->items[files->count++] = (struct schema_file){path->text, document};
    }
    return true;
}

static enum status check_version(const struct doc *pipeline, struct error *err)
{
    const struct doc *version = doc_get(pipeline, "version");
    if (version->integer != 1) {
        return doc_error(version, err, "config.version",
                         "this weir reads pipeline files of version 1, not %lld",
                         (long long)version->integer);
    }
    return STATUS_OK;
}

/* A source that cannot be read again cannot be accounted exactly once. */
static enum status check_guarantee(const struct plan_maker *maker, struct error *err)
{
    const struct plan *plan = maker->plan;
    if (maker->is_stored || plan->guarantee == GUARANTEE_AT_LEAST_ONCE ||
        plan->source_ops->can_replay) {
        return STATUS_OK;
    }
    const struct doc *delivery = doc_get(maker->pipeline, "delivery");
    const struct doc *place = delivery != NULL ? delivery : doc_get(maker->pipeline, "source");
    return doc_error(place, err, "config.guarantee",
                     "a %s source cannot be read again after a crash, so exactly_once cannot be "
                     "kept; write 'delivery: {guarantee: at_least_once}', or send the records to "
                     "a local log first: weir produce local:FILE#topic",
                     plan->source_ops->kind);
}

static enum status make(struct plan_maker *maker, struct error *err)
{
    struct plan *plan = maker->plan;
    enum status status = check_version(maker->pipeline, err);
    if (status == STATUS_OK) {
        status = plan_read_knobs(maker, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    plan->name = grammar_string(maker->pipeline, "name", "");
    set_text(maker);
    if ((status = plan_join_connections(maker, err)) != STATUS_OK ||
        (status = plan_make_source(maker, err)) != STATUS_OK ||
        (status = check_guarantee(maker, err)) != STATUS_OK ||
        (status = plan_make_stages(maker, err)) != STATUS_OK) {
        return status;
    }
    plan_make_columns(maker);
    plan->shape.pipeline = plan->name;
    plan->shape.plan_hash = plan->hash_text;
    plan->shape.layout = plan->stage.layout;
    plan->shape.reasons = &plan->reasons;
    plan->shape.takes_tombstones = plan_takes_tombstones(maker);
    plan->shape.key_format = plan_key_format(maker);
    status = plan_make_sinks(maker, err);
    if (status == STATUS_OK) {
        status = plan_make_tombstones(maker, err);
    }
    return status == STATUS_OK ? plan_read_atomic(maker, err) : status;
}

static struct plan *plan_new(const char *folder)
{
    struct arena *arena = arena_new(64 * 1024);
    struct plan *plan = arena_alloc_zero(arena, 1, sizeof *plan);
    plan->arena = arena;
    plan->folder = arena_copy_string(arena, folder);
    reason_table_init(&plan->reasons);
    return plan;
}

void plan_free(struct plan *plan)
{
    if (plan == NULL) {
        return;
    }
    for (uint32_t i = 0; i < plan->system_count; i++) {
        plan->systems[i]->ops->close(plan->systems[i]);
    }
    reason_table_fini(&plan->reasons);
    arena_free(plan->arena);
}

static enum status finish(struct plan_maker *maker, enum status status, struct plan **out,
                          struct error *err)
{
    if (status == STATUS_OK) {
        status = make(maker, err);
    }
    memory_free(maker->expressions);
    if (status != STATUS_OK) {
        plan_free(maker->plan);
        return status;
    }
    *out = maker->plan;
    return STATUS_OK;
}

enum status plan_load(const char *path, doc_environment environment, struct plan **out,
                      struct error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = memory_copy_string(path);
    folder[slash == NULL ? 0 : slash - path + 1] = '\0';
    struct plan_maker maker = {.plan = plan_new(folder)};
    memory_free(folder);
    maker.arena = maker.plan->arena;
    struct doc *pipeline = NULL;
    enum status status = schema_read_document(maker.arena, path, environment, &pipeline, err);
    if (status == STATUS_OK && pipeline->kind != DOC_MAP) {
        status = doc_error(pipeline, err, "config.type",
                           "a pipeline file is a map with the keys version, name, source, schema, "
                           "sinks …, not %s",
                           doc_kind_name(pipeline->kind));
    }
    if (status == STATUS_OK) {
        status = plan_load_modules(pipeline, err);
    }
    if (status == STATUS_OK) {
        status = grammar_check(plan_grammar(maker.arena), pipeline, "the pipeline file", err);
    }
    maker.pipeline = pipeline;
    if (status == STATUS_OK) {
        status = load_schema(&maker, doc_get(pipeline, "schema"), environment, err);
    }
    if (status == STATUS_OK) {
        status = plan_load_zone(&maker, NULL, err);
    }
    return finish(&maker, status, out, err);
}

enum status plan_from_text(struct bytes text, const struct plan *running, struct plan **out,
                           struct error *err)
{
    struct plan_maker maker = {.plan = plan_new(running == NULL ? "" : running->folder),
                               .running = running,
                               .is_stored = true};
    maker.arena = maker.plan->arena;
    struct doc *stored = NULL;
    enum status status = doc_parse(maker.arena, "(stored plan)", text, NULL, &stored, err);
    if (status == STATUS_OK) {
        maker.pipeline = stored->kind == DOC_MAP ? doc_get(stored, "pipeline") : NULL;
        maker.schema = maker.pipeline == NULL ? NULL : doc_get(stored, "schema");
        if (maker.schema == NULL || !read_stored_files(&maker, stored)) {
            status = error_set(err, STATUS_FATAL, "plan.corrupt",
                               "the stored text of a plan is broken; restore the system from a "
                               "backup");
        } else {
            status = plan_load_zone(&maker, doc_get(stored, "zone"), err);
        }
    }
    if (status == STATUS_OK) {
        status = plan_load_modules(maker.pipeline, err);
    }
    return finish(&maker, status, out, err);
}
