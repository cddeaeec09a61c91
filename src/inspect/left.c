#include "inspect/left.h"

#include <stdio.h>
#include <string.h>

#include "run/pipeline.h"
#include "run/two_phase.h"

struct finding {
    struct pipeline *pipeline;
    struct left_list *list;
    const struct system *system;
};

const char *left_fate_name(enum left_fate fate)
{
    static const char *const names[] = {
        [LEFT_DECIDED] = "commit", [LEFT_UNDECIDED] = "none yet", [LEFT_UNKNOWN] = "unknown"};
    return names[fate];
}

/* --- finding them --- */

/* "PREFIX:OWNER:NUMBER" */
static const char *owner_of(struct arena *arena, const char *id)
{
    const char *end = strrchr(id, ':');
    const char *begin = end;
    while (begin != NULL && begin > id && begin[-1] != ':') {
        begin--;
    }
    return begin == NULL || begin == end
               ? ""
               : arena_printf(arena, "%.*s", (int)(end - begin), begin);
}

/* Whether R of that system decides about it, and for it. */
static bool is_decided_by(const struct pipeline *pipeline, uint32_t s, const char *id,
                          bool *out_named)
{
    char prefix[PREPARED_ID_BYTES];
    bool is_its = false;
    *out_named = false;
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        const struct progress *progress = pipeline_progress(pipeline, s, p);
        if (!pipeline_is_found(progress)) {
            continue;
        }
        two_phase_prefix(pipeline->plan->name, progress->incarnation, pipeline->plan->systems[s],
                         prefix);
        is_its |= strncmp(id, prefix, strlen(prefix)) == 0;
        *out_named |= progress->decides != NULL && strcmp(progress->decides, id) == 0;
    }
    return is_its;
}

static void judge(const struct pipeline *pipeline, struct arena *arena,
                  struct left_transaction *left)
{
    const struct plan *plan = pipeline->plan;
    left->fate = LEFT_UNKNOWN;
    for (uint32_t s = 0; s < plan->system_count && left->fate == LEFT_UNKNOWN; s++) {
        bool is_named = false;
        if (plan->systems[s]->ops->can_decide &&
            is_decided_by(pipeline, s, left->id, &is_named)) {
            left->decision = arena_copy_string(arena, plan->systems[s]->name);
            left->fate = is_named ? LEFT_DECIDED : LEFT_UNDECIDED;
        }
    }
}

/* Told once for each partition. */
static enum status note(void *context, const struct prepared *prepared, struct error *err)
{
    struct finding *finding = context;
    struct left_list *list = finding->list;
    (void)err;
    struct left_transaction *last = list->count == 0 ? NULL : &list->items[list->count - 1];
    if (last == NULL || strcmp(last->id, prepared->id) != 0) {
        list->items = memory_realloc(list->items, size_mul(list->count + 1, sizeof *list->items));
        last = &list->items[list->count++];
        *last = (struct left_transaction){
            .id = arena_copy_string(list->arena, prepared->id),
            .system = arena_copy_string(list->arena, finding->system->name),
            .owner = owner_of(list->arena, prepared->id),
            .partitions = "",
            .since_us = prepared->since_us,
        };
        judge(finding->pipeline, list->arena, last);
    }
    if (prepared->topic[0] != '\0') {
        last->partitions = arena_printf(list->arena, "%s%s%s [%s]", last->partitions,
                                        last->partitions[0] == '\0' ? "" : ", ", prepared->topic,
                                        prepared->partition);
    }
    return STATUS_OK;
}

/* All that any process of this pipeline prepared, whoever was to decide. */
static enum status find_all(struct pipeline *pipeline, struct left_list *list, struct error *err)
{
    const struct plan *plan = pipeline->plan;
    char prefix[PREPARED_ID_BYTES];
    enum status status = recovery_load(pipeline, err);
    two_phase_prefix(plan->name, NULL, NULL, prefix);
    for (uint32_t s = 0; s < plan->system_count && status == STATUS_OK; s++) {
        struct system *system = plan->systems[s];
        struct finding finding = {.pipeline = pipeline, .list = list, .system = system};
        if (system->ops->list_prepared != NULL) {
            status = system->ops->list_prepared(system, prefix, note, &finding, err);
        }
    }
    return status;
}

enum status left_find(struct plan *plan, struct left_list *out, struct error *err)
{
    const struct run_options options = {0};
    const struct run_observer observer = {0};
    struct pipeline pipeline;
    *out = (struct left_list){.arena = arena_new(4096)};
    pipeline_init(&pipeline, plan, &options, &observer);
    enum status status = pipeline_open_reader(&pipeline, err);
    if (status == STATUS_OK) {
        status = find_all(&pipeline, out, err);
    }
    pipeline_close(&pipeline);
    return status;
}

void left_fini(struct left_list *list)
{
    memory_free(list->items);
    arena_free(list->arena);
}

/* --- ending one --- */

static const struct left_transaction *find_id(const struct left_list *list, const char *id)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].id, id) == 0) {
            return &list->items[i];
        }
    }
    return NULL;
}

static enum status may_end(const struct left_transaction *left, bool do_commit, struct error *err)
{
    if (left->fate == LEFT_UNKNOWN) {
        return error_set(err, STATUS_CONFIG, "atomic.refused",
                         "what becomes of %s is decided by a system that is none of this pipeline "
                         "file, or by a pipeline of that name that was begun anew since: use the "
                         "file with the sink that was named in delivery.atomic beside it",
                         left->id);
    }
    if (do_commit && left->fate == LEFT_UNDECIDED) {
        return error_set(err, STATUS_CONFIG, "atomic.refused",
                         "%s has not decided for %s, so rows would be seen in %s alone: 'weir txn "
                         "abort' rolls it back, and the next run sends them to both",
                         left->decision, left->id, left->system);
    }
    if (!do_commit && left->fate == LEFT_DECIDED) {
        return error_set(err, STATUS_CONFIG, "atomic.refused",
                         "%s has decided for %s, and its rows are seen there: without those in %s "
                         "the two would differ; 'weir txn commit' is the way",
                         left->decision, left->id, left->system);
    }
    return STATUS_OK;
}

/* Nobody else may decide any more before R is read. */
static enum status take_pipeline(struct pipeline *pipeline, struct error *err)
{
    struct source *source = pipeline->source;
    uint32_t members = 0;
    if (!pipeline->is_shared || source->ops->count_members == NULL) {
        return pipeline_claim(pipeline, err);
    }
    enum status status =
        source->ops->count_members(source, pipeline->plan->name, &members, err);
    if (status == STATUS_OK && members > 0) {
        status = error_set(err, STATUS_CONFIG, "group.owned",
                           "%u process%s of pipeline '%s' run%s, and may still decide: they end "
                           "what is left themselves; stop them first",
                           members, members == 1 ? "" : "es", pipeline->plan->name,
                           members == 1 ? "s" : "");
    }
    return status;
}

static enum status end_found(struct pipeline *pipeline, const struct left_transaction *left,
                             bool do_commit, struct error *err)
{
    const struct plan *plan = pipeline->plan;
    bool found = false;
    enum status status = may_end(left, do_commit, err);
    for (uint32_t s = 0; s < plan->system_count && status == STATUS_OK; s++) {
        struct system *system = plan->systems[s];
        if (strcmp(system->name, left->system) == 0 && system->ops->list_prepared != NULL) {
            /* Not found: whoever runs has ended it meanwhile, as its decision said. */
            status = (do_commit ? system->ops->commit_prepared : system->ops->rollback_prepared)(
                system, left->id, &found, err);
        }
    }
    return status;
}

enum status left_end(struct plan *plan, const char *id, bool do_commit, struct error *err)
{
    const struct run_options options = {0};
    const struct run_observer observer = {0};
    struct pipeline pipeline;
    struct left_list list = {.arena = arena_new(4096)};
    pipeline_init(&pipeline, plan, &options, &observer);
    enum status status =
        do_commit ? pipeline_open_reader(&pipeline, err) : pipeline_open(&pipeline, err);
    if (status == STATUS_OK && !do_commit) {
        status = take_pipeline(&pipeline, err);
    }
    if (status == STATUS_OK) {
        status = find_all(&pipeline, &list, err);
    }
    const struct left_transaction *left = find_id(&list, id);
    if (status == STATUS_OK) {
        status = left != NULL
                     ? end_found(&pipeline, left, do_commit, err)
                     : error_set(err, STATUS_CONFIG, "atomic.none",
                                 "no transaction '%s' of pipeline '%s' is prepared: 'weir txn ls' "
                                 "shows those that are",
                                 id, plan->name);
    }
    pipeline_close(&pipeline);
    left_fini(&list);
    return status;
}
