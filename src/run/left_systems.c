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

#define NONE (-1)

/* Where a system stands in a partition, NONE without R; and the plan of its last record. */
static enum status load_position(struct system *system, const struct source_partition *source,
                                 int64_t *out_offset, struct hash128 *out_plan, struct error *err)
{
    struct progress progress = {0};
    bool found = false;
    enum status status = system->ops->load(system, source, &progress, &found, err);
    *out_offset = NONE;
    if (status == STATUS_OK && found) {
        *out_offset = progress.next_offset;
        *out_plan = progress.plans[progress.plan_count - 1].plan_hash;
    }
    progress_fini(&progress);
    return status;
}

struct positions {
    int64_t least, furthest; /* of this plan's systems that have R; NONE: none has */
    struct hash128 plan;     /* of the furthest */
};

static enum status find_positions(const struct pipeline *pipeline, uint32_t p,
                                  struct positions *out, struct error *err)
{
    *out = (struct positions){.least = NONE, .furthest = NONE};
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        int64_t offset;
        struct hash128 plan = {0};
        status = load_position(pipeline->plan->systems[s], pipeline->partitions[p].source, &offset,
                               &plan, err);
        if (status != STATUS_OK || offset == NONE) {
            continue;
        }
        out->least = out->least == NONE || offset < out->least ? offset : out->least;
        if (offset > out->furthest) {
            out->furthest = offset;
            out->plan = plan;
        }
    }
    return status;
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

/* Whether a system of the older plan that was left stands elsewhere than the ones that stay. */
static enum status is_apart(const struct pipeline *pipeline, uint32_t p,
                            const struct positions *positions, const struct plan *older,
                            bool *out_apart, struct error *err)
{
    for (uint32_t s = 0; s < older->system_count; s++) {
        struct system *system = older->systems[s];
        const char *place = system->ops->place(system);
        if (!is_left(pipeline->plan, system) || (!file_exists(place) && !folder_exists(place))) {
            continue;
        }
        int64_t offset = NONE;
        struct hash128 unused;
        enum status status = system->ops->open_session(system, older->name, err);
        if (status == STATUS_OK) {
            status = load_position(system, pipeline->partitions[p].source, &offset, &unused, err);
            system->ops->close_session(system);
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (offset != NONE && (offset != positions->least || offset != positions->furthest)) {
            pipeline_talk(pipeline,
                          "%s, which the file does not name any more, stands at offset %lld of "
                          "'%s' [%s], others at %lld; if it is given up, move it away",
                          place, (long long)offset, pipeline->partitions[p].source->topic,
                          pipeline->partitions[p].source->label, (long long)positions->furthest);
            *out_apart = true;
            return STATUS_OK;
        }
    }
    return STATUS_OK;
}

enum status left_systems_check(const struct pipeline *pipeline, struct buffer *out_text,
                               bool *out_apart, struct error *err)
{
    const struct plan *plan = pipeline->plan;
    struct plan *older = NULL;
    struct hash128 older_hash = plan->hash;
    enum status status = STATUS_OK;
    *out_apart = false;
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK && !*out_apart; p++) {
        struct positions positions;
        status = find_positions(pipeline, p, &positions, err);
        if (status != STATUS_OK || positions.furthest == NONE ||
            hash_equal(positions.plan, plan->hash)) {
            continue;
        }
        if (!hash_equal(positions.plan, older_hash)) {
            plan_free(older);
            older = NULL;
            older_hash = positions.plan;
            buffer_clear(out_text);
            status = replayer_load_text(plan->systems, plan->system_count, older_hash, out_text,
                                        err);
            if (status == STATUS_OK) {
                status = plan_from_text(bytes_of(out_text->data, out_text->size), plan->folder,
                                        &older, err);
            }
        }
        if (status == STATUS_OK) {
            status = is_apart(pipeline, p, &positions, older, out_apart, err);
        }
    }
    plan_free(older);
    return status;
}
