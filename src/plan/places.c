/* The blocks source, sinks and dlq: which connector, which system. */
#include <string.h>

#include "os/place.h"
#include "plan/plan_private.h"

/* The one key of `map` that is a kind of connector; CONFIG when there is none, or two. */
static enum status find_kind(const struct doc *map, const char *what,
                             bool (*is_kind)(const char *key), const char *kinds, size_t *out,
                             struct error *err)
{
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < map->count; i++) {
        if (!is_kind(map->keys[i]->text)) {
            continue;
        }
        if (found != SIZE_MAX) {
            return doc_error(map->keys[i], err, "config.value",
                             "%s is one place, but '%s' and '%s' are both there", what,
                             map->keys[found]->text, map->keys[i]->text);
        }
        found = i;
    }
    if (found == SIZE_MAX) {
        return doc_error(map, err, "config.missing_key", "%s needs a place: one of %s", what,
                         kinds);
    }
    *out = found;
    return STATUS_OK;
}

static bool is_source_kind(const char *key)
{
    return registry_source(key) != NULL;
}

static bool is_sink_kind(const char *key)
{
    return registry_sink(key) != NULL;
}

static const char *source_kinds(struct arena *arena)
{
    const char *list = "";
    for (uint32_t i = 0; registry_sources[i] != NULL; i++) {
        list = arena_printf(arena, "%s%s%s", list, i == 0 ? "" : ", ", registry_sources[i]->kind);
    }
    return list;
}

static const char *sink_kinds(struct arena *arena)
{
    const char *list = "";
    for (uint32_t i = 0; registry_sinks[i] != NULL; i++) {
        list =
            arena_printf(arena, "%s%s%s", list, i == 0 ? "" : ", ", registry_sinks[i]->ops->kind);
    }
    return list;
}

/* A place needs its names: nothing is found under none. */
static enum status refuse_empty(const struct doc *config, struct error *err)
{
    static const char *const keys[] = {"path", "topic"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct doc *node = doc_get(config, keys[i]);
        size_t count = node == NULL ? 0 : node->kind == DOC_LIST ? node->count : 1;
        for (size_t k = 0; k < count; k++) {
            const struct doc *item = node->kind == DOC_LIST ? node->items[k] : node;
            if (item->text_size == 0) {
                return doc_error(item, err, "config.value", "the %s of the source is empty",
                                 keys[i]);
            }
        }
    }
    return STATUS_OK;
}

enum status plan_make_source(struct plan_maker *maker, struct error *err)
{
    const struct doc *source = doc_get(maker->pipeline, "source");
    size_t index = 0;
    enum status status = find_kind(source, "the source", is_source_kind,
                                   source_kinds(maker->arena), &index, err);
    if (status != STATUS_OK) {
        return status;
    }
    maker->plan->source_ops = registry_source(source->keys[index]->text);
    maker->plan->source_config = source->items[index];
    status = refuse_empty(source->items[index], err);
    if (status == STATUS_OK && maker->plan->source_ops->check_config != NULL &&
        !maker->is_stored) {
        status = maker->plan->source_ops->check_config(source->items[index], maker->plan->folder,
                                                       err);
    }
    return status;
}

static bool is_inside(const char *inner, const char *outer)
{
    size_t size = strlen(outer);
    return strncmp(inner, outer, size) == 0 && inner[size] == '/';
}

/* A system that is in `place` already must be of that kind. Two names of one file, hard links, are
 * refused: a SQLite file has its write-ahead log beside its name. */
static enum status check_place(const struct plan_maker *maker, const struct sink_kind *kind,
                               const struct doc *config, const char *place, struct error *err)
{
    const struct plan *plan = maker->plan;
    for (uint32_t i = 0; i < plan->system_count; i++) {
        const struct system *system = plan->systems[i];
        const char *other = system->ops->place(system);
        bool is_same = strcmp(other, place) == 0;
        if (is_same && system->ops != kind->system_ops) {
            return doc_error(doc_get(config, "path"), err, "config.value",
                             "%s is the place of '%s' already, which is of another kind: a file "
                             "of topics and tables here, a folder of lines there; name another "
                             "path",
                             place, system->sinks[0]->name);
        }
        if (!is_same && place_is_same(other, place)) {
            return doc_error(doc_get(config, "path"), err, "config.value",
                             "%s and %s are two names of one file, which cannot be used by both "
                             "at once; write one of them everywhere",
                             other, place);
        }
        if (system->ops == kind->system_ops &&
            (is_inside(place, other) || is_inside(other, place))) {
            return doc_error(doc_get(config, "path"), err, "config.value",
                             "%s is where sink '%s' is, and one of the two would be inside the "
                             "other; give each a place of its own",
                             other, system->sinks[0]->name);
        }
    }
    return STATUS_OK;
}

/* The system of that kind and place, made when it is the first sink of it. */
static enum status system_for(struct plan_maker *maker, const struct sink_kind *kind,
                              const struct doc *config, const char *place, struct system **out,
                              struct error *err)
{
    struct plan *plan = maker->plan;
    for (uint32_t i = 0; i < plan->system_count; i++) {
        struct system *system = plan->systems[i];
        if (system->ops == kind->system_ops && strcmp(system->ops->place(system), place) == 0) {
            *out = system;
            return STATUS_OK;
        }
    }
    *out = kind->system_new(place);
    plan->systems[plan->system_count++] = *out;
    return kind->system_connect == NULL
               ? STATUS_OK
               : kind->system_connect(*out, config, plan->folder, err);
}

/* A stored plan is made also when its places are gone: their names alone tell them apart then. */
static enum status find_place(struct plan_maker *maker, const struct sink_kind *kind,
                              const struct doc *config, char **out_place, struct error *err)
{
    struct error ignored = {0};
    if (!maker->is_stored) {
        enum status status =
            kind->system_place(maker->arena, config, maker->plan->folder, out_place, err);
        return status == STATUS_OK ? check_place(maker, kind, config, *out_place, err) : status;
    }
    if (kind->system_place(maker->arena, config, maker->plan->folder, out_place, &ignored) !=
        STATUS_OK) {
        *out_place = arena_printf(maker->arena, "%s", grammar_string(config, "path", ""));
    }
    return STATUS_OK;
}

/* A topic that is both source and sink would never end. */
static enum status refuse_loop(struct plan_maker *maker, const struct sink_kind *kind,
                               const struct doc *config, const char *place, struct error *err)
{
    const struct doc *source = maker->plan->source_config;
    const struct doc *topic = doc_get(config, "topic");
    const char *source_topic = grammar_string(source, "topic", "");
    if (maker->is_stored || topic == NULL ||
        strcmp(kind->ops->kind, maker->plan->source_ops->kind) != 0 ||
        strcmp(topic->text, source_topic) != 0) {
        return STATUS_OK;
    }
    char *source_place = NULL;
    enum status status =
        kind->system_place(maker->arena, source, maker->plan->folder, &source_place, err);
    if (status == STATUS_OK && strcmp(source_place, place) == 0) {
        status = doc_error(topic, err, "config.value",
                           "topic '%s' is the source; its own output would come in again, without "
                           "end: name another topic",
                           topic->text);
    }
    return status;
}

/* What rows of an upsert are told apart and ordered by has one type. Columns that are not there are
 * the connector's to refuse. */
static enum status check_upsert(const struct plan_maker *maker, const struct doc *config,
                                struct error *err)
{
    static const char *const keys[] = {"key", "newest_by"};
    const struct output_shape *shape = &maker->plan->shape;
    const struct doc *mode = doc_get(config, "mode");
    enum status status = STATUS_OK;
    if (mode == NULL || strcmp(mode->text, "upsert") != 0) {
        return STATUS_OK;
    }
    for (uint32_t k = 0; k < 2; k++) {
        const struct doc *node = doc_get(config, keys[k]);
        size_t count = node == NULL ? 0 : node->kind == DOC_LIST ? node->count : 1;
        for (size_t i = 0; i < count && status == STATUS_OK; i++) {
            const struct doc *name = node->kind == DOC_LIST ? node->items[i] : node;
            for (uint32_t c = 0; c < shape->column_count && status == STATUS_OK; c++) {
                if (strcmp(shape->columns[c].name, name->text) == 0) {
                    status = plan_check_key_type(maker, name, shape->columns[c].type, err);
                }
            }
        }
    }
    return status;
}

/* The pace of a sink's system, as far as the sink says it. */
static enum status read_batch(const struct doc *node, struct sink *sink, struct error *err)
{
    const struct doc *batch = doc_get(node, "batch");
    if (batch == NULL) {
        return STATUS_OK;
    }
    const struct doc *interval = doc_get(batch, "interval");
    sink->batch_interval_us = grammar_duration_us(batch, "interval", 0);
    sink->batch_max_records = (uint64_t)grammar_int(batch, "max_records", 0);
    if (interval != NULL && sink->batch_interval_us < 1000) {
        return doc_error(interval, err, "config.value",
                         "batch.interval must be at least 1ms; without it delivery.commit_interval "
                         "holds");
    }
    return STATUS_OK;
}

static enum status make_sink(struct plan_maker *maker, const char *name, const struct doc *node,
                             bool is_dlq, struct sink **out, struct error *err)
{
    struct plan *plan = maker->plan;
    size_t index = 0;
    const char *what = arena_printf(maker->arena, is_dlq ? "dlq" : "sink '%s'", name);
    enum status status =
        find_kind(node, what, is_sink_kind, sink_kinds(maker->arena), &index, err);
    if (status != STATUS_OK) {
        return status;
    }
    const struct sink_kind *kind = registry_sink(node->keys[index]->text);
    const struct doc *config = node->items[index];
    char *place = NULL;
    status = find_place(maker, kind, config, &place, err);
    if (status != STATUS_OK) {
        return status;
    }
    status = refuse_loop(maker, kind, config, place, err);
    if (status == STATUS_OK) {
        status = check_upsert(maker, config, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct system *system = NULL;
    status = system_for(maker, kind, config, place, &system, err);
    if (status == STATUS_OK) {
        status = kind->sink_add(system, name, is_dlq, config, &plan->shape, out, err);
    }
    return status == STATUS_OK ? read_batch(node, *out, err) : status;
}

static enum status read_includes(struct plan_maker *maker, const struct doc *dlq,
                                 struct error *err)
{
    struct plan *plan = maker->plan;
    static const struct {
        const char *name;
        enum verdict verdict; /* VERDICT_NONE: rejected by a sink */
    } words[] = {{"invalid", VERDICT_INVALID},
                 {"late", VERDICT_LATE},
                 {"rejected", VERDICT_NONE},
                 {"duplicate", VERDICT_DUPLICATE},
                 {"filtered", VERDICT_FILTERED}};
    const struct doc *include = doc_get(dlq, "include");
    if (include == NULL) {
        plan->dlq_includes[VERDICT_INVALID] = plan->dlq_includes[VERDICT_LATE] = true;
        plan->dlq_includes_rejected = true;
        return STATUS_OK;
    }
    size_t count = include->kind == DOC_LIST ? include->count : 1;
    for (size_t i = 0; i < count; i++) {
        const struct doc *item = include->kind == DOC_LIST ? include->items[i] : include;
        bool found = false;
        for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
            if (strcmp(item->text, words[k].name) == 0) {
                found = true;
                if (words[k].verdict == VERDICT_NONE) {
                    plan->dlq_includes_rejected = true;
                } else {
                    plan->dlq_includes[words[k].verdict] = true;
                }
            }
        }
        if (!found) {
            return doc_error(item, err, "config.value",
                             "dlq.include takes invalid, late, rejected, duplicate and filtered, "
                             "not '%s'",
                             item->text);
        }
    }
    return STATUS_OK;
}

/* Rejects of a table reach a dead-letter place of its own system in the table's own transaction; to
 * that of another system they are forwarded (run/forwarding.h), where both can do it. */
static enum status plan_rejects(const struct plan_maker *maker, const struct doc *dlq,
                                 struct error *err)
{
    const struct plan *plan = maker->plan;
    for (uint32_t i = 0; i < plan->stage.sink_count && plan->dlq_includes_rejected; i++) {
        const struct sink *sink = plan->sinks[i];
        if (!sink->ops->can_reject || sink->system == plan->dlq->system) {
            continue;
        }
        const struct doc *include = doc_get(dlq, "include");
        if (sink->system->ops->load_rejects == NULL) {
            return doc_error(include != NULL ? include : dlq, err, "config.unsupported",
                             "of rows that sink '%s' (%s) refuses only the reason is kept, so their "
                             "dead letters are written in the rows' own transaction or never: name "
                             "a topic of the same cluster as dlq, or leave 'rejected' out of "
                             "dlq.include (they are counted, and 'weir audit' knows them)",
                             sink->name, sink->ops->kind);
        }
        if (!plan->dlq->system->ops->takes_forwarded) {
            return doc_error(include != NULL ? include : dlq, err, "config.unsupported",
                             "dead letters of rows that sink '%s' (%s) refuses come later than "
                             "others of their offsets, and a folder has each range of offsets once, "
                             "as a finished part: name a topic or a table as dlq (%s of the same "
                             "system, or local, kafka, sqlite), or leave 'rejected' out of "
                             "dlq.include (refused rows stay in weir_rejects, which "
                             "'weir audit' compares)",
                             sink->name, sink->ops->kind, sink->ops->kind);
        }
        sink->system->forwards_rejects = true;
    }
    return STATUS_OK;
}

static enum status check_names(const struct plan_maker *maker, const struct doc *sinks,
                               struct error *err)
{
    for (size_t i = 0; i < sinks->count; i++) {
        const char *name = sinks->keys[i]->text;
        if (strcmp(name, "dlq") == 0) {
            return doc_error(sinks->keys[i], err, "config.value",
                             "'dlq' is the name of the dead-letter place; call the sink something "
                             "else");
        }
        if (strcmp(name, "source") == 0 && !maker->is_stored) {
            return doc_error(sinks->keys[i], err, "config.value",
                             "'source' is the name of the place where records come from; call the "
                             "sink something else");
        }
    }
    return STATUS_OK;
}

enum status plan_make_sinks(struct plan_maker *maker, struct error *err)
{
    struct plan *plan = maker->plan;
    const struct doc *sinks = doc_get(maker->pipeline, "sinks");
    plan->systems = arena_alloc_zero(maker->arena, sinks->count + 1, sizeof *plan->systems);
    plan->sinks = arena_alloc_zero(maker->arena, sinks->count + 1, sizeof *plan->sinks);
    for (uint32_t i = 0; i < sinks->count; i++) {
        enum status status = make_sink(maker, sinks->keys[i]->text, sinks->items[i], false,
                                       &plan->sinks[i], err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    enum status status = check_names(maker, sinks, err);
    const struct doc *dlq = doc_get(maker->pipeline, "dlq");
    if (status != STATUS_OK || dlq == NULL) {
        return status;
    }
    if ((status = make_sink(maker, "dlq", dlq, true, &plan->dlq, err)) != STATUS_OK ||
        (status = read_includes(maker, dlq, err)) != STATUS_OK) {
        return status;
    }
    plan->dlq->takes_rejects = plan->dlq_includes_rejected;
    return plan_rejects(maker, dlq, err);
}
