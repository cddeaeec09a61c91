/*
 * Systems that the last plan wrote to and this one does not. After a crash one of them may stand
 * apart from the others: what passed between them was judged under the last plan, which must finish
 * it, or the rows would be in neither, or judged twice. A place that is not there any more was given
 * up by its owner.
 */
#include <string.h>

#include "os/file.h"
#include "run/pipeline.h"
#include "run/replayer.h"

/* The plan of the last record; false without R. */
static bool find_last_plan(const struct pipeline *pipeline, uint32_t p, struct hash128 *out)
{
    const struct progress *furthest = pipeline_furthest(pipeline, p);
    if (furthest != NULL) {
        *out = furthest->plans[furthest->plan_count - 1].plan_hash;
    }
    return furthest != NULL;
}

static bool is_left(const struct plan *plan, const struct system *system)
{
    const char *place = system->ops->place(system);
    for (uint32_t s = 0; s < plan->system_count; s++) {
        const struct system *other = plan->systems[s];
        if (other->ops == system->ops && strcmp(other->ops->place(other), place) == 0) {
            return false;
        }
    }
    return true;
}

/* Whether a system that has come to `offset` stands elsewhere than one of this plan's. */
static bool is_elsewhere(const struct pipeline *pipeline, uint32_t p, int64_t offset)
{
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        const struct progress *progress = pipeline_progress(pipeline, s, p);
        if (pipeline_is_found(progress) && progress->next_offset != offset) {
            return true;
        }
    }
    return false;
}

/* In the partitions whose last plan that was. */
static enum status compare_system(const struct pipeline *pipeline, struct system *system,
                                  struct hash128 last_plan, bool *out_apart, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK && !*out_apart; p++) {
        struct hash128 plan;
        if (!find_last_plan(pipeline, p, &plan) || !hash_equal(plan, last_plan)) {
            continue;
        }
        const struct source_partition *source = pipeline->partitions[p].source;
        struct progress progress = {0};
        bool found = false;
        status = system->ops->load(system, source, &progress, &found, err);
        if (status == STATUS_OK && found && is_elsewhere(pipeline, p, progress.next_offset)) {
            pipeline_talk(pipeline,
                          "%s, which the file does not name any more, stands at offset %lld of "
                          "'%s' [%s], others at %lld; if it is given up, move it away",
                          system->ops->place(system), (long long)progress.next_offset,
                          source->topic, source->label,
                          (long long)pipeline_furthest(pipeline, p)->next_offset);
            *out_apart = true;
        }
        progress_fini(&progress);
    }
    return status;
}

static enum status compare_left(const struct pipeline *pipeline, const struct plan *older,
                                struct hash128 hash, bool *out_apart, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < older->system_count && status == STATUS_OK && !*out_apart; s++) {
        struct system *system = older->systems[s];
        const char *place = system->ops->place(system);
        if (!is_left(pipeline->plan, system) ||
            (!system->ops->is_remote && !file_exists(place) && !folder_exists(place))) {
            continue;
        }
        status = system->ops->open_session(system, older->name, err);
        if (status == STATUS_OK) {
            status = compare_system(pipeline, system, hash, out_apart, err);
            system->ops->close_session(system);
        }
    }
    return status;
}

enum status left_systems_check(const struct pipeline *pipeline, struct buffer *out_text,
                               bool *out_apart, struct error *err)
{
    const struct plan *plan = pipeline->plan;
    struct hash128 checked = plan->hash;
    enum status status = STATUS_OK;
    *out_apart = false;
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK && !*out_apart; p++) {
        struct hash128 last;
        if (!find_last_plan(pipeline, p, &last) || hash_equal(last, plan->hash) ||
            hash_equal(last, checked)) {
            continue;
        }
        checked = last;
        struct plan *older = NULL;
        buffer_clear(out_text);
        status = replayer_load_text(plan->systems, plan->system_count, last, out_text, err);
        if (status == STATUS_OK) {
            status = plan_from_text(bytes_of(out_text->data, out_text->size), plan, &older,
                                    err);
        }
        if (status == STATUS_OK) {
            status = compare_left(pipeline, older, last, out_apart, err);
        }
        plan_free(older);
    }
    return status;
}
