/*
 * Systems that the last plan wrote to and this one does not. After a crash one of them may stand
 * apart from the others: what passed between them was judged under the last plan, which must finish
 * it, or the rows would be in neither, or judged twice. So it must where dead letters of refused rows
 * have yet to be forwarded as it said (forwarding.h). A place that is not there any more was given up
 * by its owner.
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

/* R of every system of the last plan. */
struct older {
    struct plan *plan;
    struct hash128 hash;
    struct progress *progresses; /* [system * partitions + partition]; without a topic: none found */
    bool *is_left;               /* [system]: this plan does not have it */
};

static struct progress *older_progress(const struct pipeline *pipeline, const struct older *older,
                                       uint32_t s, uint32_t p)
{
    return &older->progresses[(size_t)s * pipeline->partition_count + p];
}

/* Which system of this plan it is; UINT32_MAX: none. */
static uint32_t find_system(const struct plan *plan, const struct system *system)
{
    const char *place = system->ops->place(system);
    for (uint32_t s = 0; s < plan->system_count; s++) {
        const struct system *other = plan->systems[s];
        if (other->ops == system->ops && strcmp(other->ops->place(other), place) == 0) {
            return s;
        }
    }
    return UINT32_MAX;
}

static enum status load_left(const struct pipeline *pipeline, struct older *older, uint32_t s,
                             struct error *err)
{
    struct system *system = older->plan->systems[s];
    const char *place = system->ops->place(system);
    if (!system->ops->is_remote && !file_exists(place) && !folder_exists(place)) {
        return STATUS_OK;
    }
    enum status status = system->ops->open_session(system, older->plan->name, err);
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK; p++) {
        bool found = false;
        status = system->ops->load(system, pipeline->partitions[p].source,
                                   older_progress(pipeline, older, s, p), &found, err);
    }
    system->ops->close_session(system);
    return status;
}

static enum status load_older(const struct pipeline *pipeline, struct older *older,
                              struct error *err)
{
    uint32_t count = older->plan->system_count;
    enum status status = STATUS_OK;
    older->is_left = memory_alloc_zero(count + 1, sizeof *older->is_left);
    older->progresses = memory_alloc_zero(size_mul(count, pipeline->partition_count) + 1,
                                          sizeof *older->progresses);
    for (uint32_t s = 0; s < count && status == STATUS_OK; s++) {
        uint32_t now = find_system(pipeline->plan, older->plan->systems[s]);
        older->is_left[s] = now == UINT32_MAX;
        if (older->is_left[s]) {
            status = load_left(pipeline, older, s, err);
        }
        for (uint32_t p = 0; p < pipeline->partition_count && !older->is_left[s]; p++) {
            if (pipeline_is_found(pipeline_progress(pipeline, now, p))) {
                progress_copy(older_progress(pipeline, older, s, p),
                              pipeline_progress(pipeline, now, p));
            }
        }
    }
    return status;
}

static void older_fini(const struct pipeline *pipeline, struct older *older)
{
    size_t count = older->progresses == NULL
                       ? 0
                       : (size_t)older->plan->system_count * pipeline->partition_count;
    for (size_t i = 0; i < count; i++) {
        progress_fini(&older->progresses[i]);
    }
    memory_free(older->progresses);
    memory_free(older->is_left);
    plan_free(older->plan);
    *older = (struct older){0};
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

static bool is_apart(const struct pipeline *pipeline, const struct older *older, uint32_t p)
{
    for (uint32_t s = 0; s < older->plan->system_count; s++) {
        const struct progress *progress = older_progress(pipeline, older, s, p);
        if (older->is_left[s] && pipeline_is_found(progress) &&
            is_elsewhere(pipeline, p, progress->next_offset)) {
            pipeline_talk(pipeline,
                          "%s, which the file does not name any more, stands at offset %lld of "
                          "'%s' [%s], others at %lld; if it is given up, move it away",
                          older->plan->systems[s]->ops->place(older->plan->systems[s]),
                          (long long)progress->next_offset, progress->topic, progress->partition,
                          (long long)pipeline_furthest(pipeline, p)->next_offset);
            return true;
        }
    }
    return false;
}

/* Whether the dead letters of refused rows have yet to be written, where that plan wanted them. */
static bool owes_letters(const struct pipeline *pipeline, const struct older *older, uint32_t p)
{
    const struct plan *plan = older->plan;
    uint32_t taking = 0;
    while (plan->dlq != NULL && plan->systems[taking] != plan->dlq->system) {
        taking++;
    }
    for (uint32_t s = 0; s < plan->system_count; s++) {
        const struct progress *progress = older_progress(pipeline, older, s, p);
        const struct progress *taken = older_progress(pipeline, older, taking, p);
        if (plan->systems[s]->forwards_rejects && pipeline_is_found(progress) &&
            pipeline_is_found(taken) && !forwarding_is_done(progress, taken)) {
            pipeline_talk(pipeline,
                          "rows of '%s' [%s] that %s refused have no dead letters in %s yet",
                          progress->topic, progress->partition, plan->systems[s]->name,
                          plan->systems[taking]->name);
            return true;
        }
    }
    return false;
}

/* In the partitions whose last plan that was. */
static enum status compare_older(const struct pipeline *pipeline, struct older *older,
                                 bool *out_apart, struct error *err)
{
    enum status status = load_older(pipeline, older, err);
    for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK && !*out_apart; p++) {
        struct hash128 plan;
        if (find_last_plan(pipeline, p, &plan) && hash_equal(plan, older->hash)) {
            *out_apart = is_apart(pipeline, older, p) || owes_letters(pipeline, older, p);
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
        struct older older = {.hash = last};
        buffer_clear(out_text);
        status = replayer_load_text(plan->systems, plan->system_count, last, out_text, err);
        if (status == STATUS_OK) {
            status = plan_from_text(bytes_of(out_text->data, out_text->size), plan, &older.plan,
                                    err);
        }
        if (status == STATUS_OK) {
            status = compare_older(pipeline, &older, out_apart, err);
        }
        older_fini(pipeline, &older);
    }
    return status;
}
