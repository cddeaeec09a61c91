/*
 * Connections: what a pipeline file says of a system once and places name, or what stands in the
 * place itself. A connector gets one map either way.
 */
#include <string.h>

#include "plan/grammar.h"
#include "plan/plan_private.h"

/* --- every place of a pipeline --- */

/* Calls `map_place` for source, dlq and every sink, and gives a copy of the pipeline that holds
 * what it returned. `role` is "source", "dlq" or "sinks.NAME". */
struct place_mapper {
    struct arena *arena;
    const struct doc *(*map_place)(struct place_mapper *mapper, const struct doc *place,
                                   const char *role);
    struct plan_maker *maker;
    struct error *err;
};

static struct doc *copy_map(struct arena *arena, const struct doc *map, size_t extra)
{
    struct doc *copy = arena_alloc(arena, sizeof *copy);
    *copy = *map;
    copy->keys = arena_alloc_zero(arena, map->count + extra + 1, sizeof *copy->keys);
    copy->items = arena_alloc_zero(arena, map->count + extra + 1, sizeof *copy->items);
    if (map->count > 0) {
        memcpy(copy->keys, map->keys, map->count * sizeof *copy->keys);
        memcpy(copy->items, map->items, map->count * sizeof *copy->items);
    }
    return copy;
}

static struct doc *as_item(const struct doc *node)
{
    return (struct doc *)(uintptr_t)node;
}

static const struct doc *map_places(struct place_mapper *mapper, const struct doc *pipeline)
{
    struct doc *mapped = copy_map(mapper->arena, pipeline, 0);
    for (size_t i = 0; i < mapped->count; i++) {
        const char *key = mapped->keys[i]->text;
        const struct doc *item = mapped->items[i];
        if (item->kind != DOC_MAP) {
            continue;
        }
        if (strcmp(key, "source") == 0 || strcmp(key, "dlq") == 0) {
            mapped->items[i] = as_item(mapper->map_place(mapper, item, key));
        } else if (strcmp(key, "sinks") == 0) {
            struct doc *sinks = copy_map(mapper->arena, item, 0);
            for (size_t k = 0; k < sinks->count; k++) {
                const char *role =
                    arena_printf(mapper->arena, "sinks.%s", sinks->keys[k]->text);
                if (sinks->items[k]->kind == DOC_MAP) {
                    sinks->items[k] =
                        as_item(mapper->map_place(mapper, sinks->items[k], role));
                }
            }
            mapped->items[i] = sinks;
        }
    }
    return mapped;
}

/* --- modules --- */

static enum status require_kinds(const struct doc *map, struct error *err)
{
    for (size_t i = 0; map->kind == DOC_MAP && i < map->count; i++) {
        enum status status = registry_require(map->keys[i]->text, err);
        if (status != STATUS_OK) {
            return doc_locate_error(map->keys[i], err);
        }
    }
    return STATUS_OK;
}

enum status plan_load_modules(const struct doc *pipeline, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; pipeline->kind == DOC_MAP && i < pipeline->count && status == STATUS_OK;
         i++) {
        const char *key = pipeline->keys[i]->text;
        const struct doc *item = pipeline->items[i];
        if (strcmp(key, "source") == 0 || strcmp(key, "dlq") == 0) {
            status = require_kinds(item, err);
        }
        bool is_named = strcmp(key, "sinks") == 0 || strcmp(key, "connections") == 0;
        for (size_t k = 0;
             is_named && item->kind == DOC_MAP && k < item->count && status == STATUS_OK; k++) {
            status = require_kinds(item->items[k], err);
        }
    }
    return status;
}

/* --- the canonical text --- */

/* Nor is a pace: a change of it makes no other plan. */
static void drop_batch(struct doc *place)
{
    size_t kept = 0;
    for (size_t i = 0; i < place->count; i++) {
        if (strcmp(place->keys[i]->text, "batch") != 0) {
            place->keys[kept] = place->keys[i];
            place->items[kept++] = place->items[i];
        }
    }
    place->count = kept;
}

static const struct doc *drop_connection(struct place_mapper *mapper, const struct doc *place,
                                         const char *role)
{
    struct doc *stripped = copy_map(mapper->arena, place, 0);
    if (strcmp(role, "source") != 0) {
        drop_batch(stripped);
    }
    for (size_t i = 0; i < stripped->count; i++) {
        const struct connection_kind *kind = registry_connection(stripped->keys[i]->text);
        const struct doc *config = stripped->items[i];
        if (kind == NULL || config->kind != DOC_MAP) {
            continue;
        }
        struct doc *kept = copy_map(mapper->arena, config, 0);
        kept->count = 0;
        for (size_t k = 0; k < config->count; k++) {
            if (grammar_find(kind->grammar, config->keys[k]->text) == NULL) {
                kept->keys[kept->count] = config->keys[k];
                kept->items[kept->count++] = config->items[k];
            }
        }
        stripped->items[i] = kept;
    }
    return stripped;
}

const struct doc *plan_without_connections(struct arena *arena, const struct doc *pipeline)
{
    struct place_mapper mapper = {.arena = arena, .map_place = drop_connection};
    return map_places(&mapper, pipeline);
}

/* --- joining --- */

static const struct plan_connection *find_connection(const struct plan *plan, const char *name,
                                                     const char *kind)
{
    for (uint32_t i = 0; plan != NULL && i < plan->connection_count; i++) {
        const struct plan_connection *connection = &plan->connections[i];
        if ((name == NULL || strcmp(connection->name, name) == 0) &&
            strcmp(connection->kind, kind) == 0) {
            return connection;
        }
    }
    return NULL;
}

static void add_connection(struct plan_maker *maker, const char *name, const char *kind,
                           const struct doc *config)
{
    struct plan *plan = maker->plan;
    struct plan_connection *grown =
        arena_alloc_zero(maker->arena, plan->connection_count + 1, sizeof *grown);
    if (plan->connection_count > 0) {
        memcpy(grown, plan->connections, plan->connection_count * sizeof *grown);
    }
    grown[plan->connection_count++] =
        (struct plan_connection){.name = name, .kind = kind, .config = config};
    plan->connections = grown;
}

/* Keys of the connection `more` behind those of `map`, which win. Where a connection stands in place
 * there are others beside them, which are the place's. */
static const struct doc *join(struct arena *arena, const struct connection_kind *kind,
                              const struct doc *map, const struct doc *more)
{
    struct doc *joined = copy_map(arena, map, more->count);
    for (size_t i = 0; i < more->count; i++) {
        if (doc_get(map, more->keys[i]->text) == NULL &&
            grammar_find(kind->grammar, more->keys[i]->text) != NULL) {
            joined->keys[joined->count] = more->keys[i];
            joined->items[joined->count++] = more->items[i];
        }
    }
    return joined;
}

static enum status no_such_connection(const struct plan *plan, const struct doc *name,
                                      const char *kind, struct error *err)
{
    const char *names[32];
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->connection_count && count < 32; i++) {
        if (strcmp(plan->connections[i].kind, kind) == 0) {
            names[count++] = plan->connections[i].name;
        }
    }
    const char *nearest = string_nearest(name->text, names, count);
    return doc_error(name, err, "config.connection",
                     "there is no connection '%s' to %s%s%s%s; write it once: 'connections: {%s: "
                     "{%s: {…}}}'",
                     name->text, kind, nearest == NULL ? "" : "; did you mean '",
                     nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?", name->text,
                     kind);
}

/* A connection is named or stands in place, never both: which of the two would hold? */
static enum status check_in_place(const struct connection_kind *kind, const struct doc *config,
                                  bool *out_in_place, struct error *err)
{
    const struct doc *name = doc_get(config, "connection");
    for (const struct grammar_field *field = kind->grammar; field->key != NULL; field++) {
        bool is_there = doc_get(config, field->key) != NULL;
        if (is_there && name != NULL) {
            return doc_error(doc_get(config, field->key), err, "config.value",
                             "'%s' belongs to the connection: write it in 'connections: {%s: …}', "
                             "or leave 'connection' out here",
                             field->key, name->text);
        }
        *out_in_place = *out_in_place || is_there;
        if (field->required && !is_there && name == NULL) {
            return doc_error(config, err, "config.missing_key",
                             "%s needs 'connection: NAME' of a connection that is described in "
                             "'connections', or '%s' in place: %s",
                             kind->kind, field->key, field->help);
        }
    }
    return STATUS_OK;
}

static const struct doc *join_config(struct place_mapper *mapper,
                                     const struct connection_kind *kind,
                                     const struct doc *config, const char *role)
{
    struct plan_maker *maker = mapper->maker;
    const struct doc *name = doc_get(config, "connection");
    const char *name_text = name == NULL ? NULL : name->text;
    const struct plan_connection *found = NULL;
    if (maker->is_stored) {
        /* In place then: where it stands in place now, else wherever that kind is reached. */
        found = find_connection(maker->running, name_text == NULL ? role : name_text, kind->kind);
        found = found == NULL && name == NULL ? find_connection(maker->running, NULL, kind->kind)
                                              : found;
        return found == NULL ? config : join(maker->arena, kind, config, found->config);
    }
    bool in_place = false;
    if (check_in_place(kind, config, &in_place, mapper->err) != STATUS_OK) {
        return config;
    }
    if (name == NULL) {
        add_connection(maker, role, kind->kind, config);
        return config;
    }
    found = find_connection(maker->plan, name->text, kind->kind);
    if (found == NULL) {
        (void)no_such_connection(maker->plan, name, kind->kind, mapper->err);
        return config;
    }
    return join(maker->arena, kind, config, found->config);
}

static const struct doc *join_place(struct place_mapper *mapper, const struct doc *place,
                                    const char *role)
{
    struct doc *joined = copy_map(mapper->arena, place, 0);
    for (size_t i = 0; i < joined->count && mapper->err->status == STATUS_OK; i++) {
        const struct connection_kind *kind = registry_connection(joined->keys[i]->text);
        if (kind != NULL && joined->items[i]->kind == DOC_MAP) {
            joined->items[i] = as_item(join_config(mapper, kind, joined->items[i], role));
        }
    }
    return joined;
}

static enum status take_named(struct plan_maker *maker, struct error *err)
{
    const struct doc *connections = doc_get(maker->pipeline, "connections");
    for (size_t i = 0; connections != NULL && i < connections->count; i++) {
        const struct doc *map = connections->items[i];
        if (map->count != 1) {
            return doc_error(connections->keys[i], err, "config.value",
                             "a connection is one map of one kind, such as '%s: {kafka: {brokers: "
                             "[…]}}'",
                             connections->keys[i]->text);
        }
        add_connection(maker, connections->keys[i]->text, map->keys[0]->text, map->items[0]);
    }
    return STATUS_OK;
}

enum status plan_join_connections(struct plan_maker *maker, struct error *err)
{
    struct error failure = {0};
    struct place_mapper mapper = {
        .arena = maker->arena, .map_place = join_place, .maker = maker, .err = &failure};
    enum status status = take_named(maker, err);
    if (status != STATUS_OK) {
        return status;
    }
    maker->pipeline = map_places(&mapper, maker->pipeline);
    if (failure.status != STATUS_OK && err != NULL && err->status == STATUS_OK) {
        *err = failure;
    }
    if (maker->running != NULL) {
        maker->plan->connections = maker->running->connections;
        maker->plan->connection_count = maker->running->connection_count;
    }
    return failure.status;
}

enum status plan_join_places(struct arena *arena, const struct doc *pipeline,
                             const struct doc **out, struct error *err)
{
    struct plan names = {.arena = arena};
    struct plan_maker maker = {.plan = &names, .arena = arena, .pipeline = pipeline};
    enum status status = plan_join_connections(&maker, err);
    *out = maker.pipeline;
    return status;
}
