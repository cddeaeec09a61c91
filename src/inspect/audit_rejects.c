#include "inspect/audit_rejects.h"

#include <stdlib.h>

#include "connector/reject.h"

uint32_t audit_partition_of(const struct pipeline *pipeline, const char *topic, const char *label)
{
    for (uint32_t p = 0; topic != NULL && p < pipeline->partition_count; p++) {
        const struct source_partition *source = pipeline->partitions[p].source;
        if (strcmp(source->topic, topic) == 0 && strcmp(source->label, label) == 0) {
            return p;
        }
    }
    return UINT32_MAX;
}

struct taking {
    const struct pipeline *pipeline;
    struct audit_rejects *rejects;
};

static enum status take_reject(void *context, const char *sink, const char *topic,
                               const char *partition, int64_t offset, const char *code,
                               const char *message, struct error *err)
{
    (void)err;
    const struct taking *taking = context;
    struct audit_rejects *rejects = taking->rejects;
    struct arena *arena = taking->pipeline->arena;
    rejects->items =
        memory_realloc(rejects->items, size_mul(rejects->count + 1, sizeof *rejects->items));
    rejects->items[rejects->count++] =
        (struct audit_reject){.sink = arena_copy_string(arena, sink),
                              .partition = audit_partition_of(taking->pipeline, topic, partition),
                              .offset = offset,
                              .code = arena_copy_string(arena, code),
                              .message = arena_copy_string(arena, message)};
    return STATUS_OK;
}

static int compare_rejects(const void *a, const void *b)
{
    const struct audit_reject *x = a;
    const struct audit_reject *y = b;
    if (x->partition != y->partition) {
        return x->partition < y->partition ? -1 : 1;
    }
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

enum status audit_rejects_load(struct pipeline *pipeline, struct audit_rejects *out,
                               struct error *err)
{
    const struct plan *plan = pipeline->plan;
    struct taking taking = {.pipeline = pipeline, .rejects = out};
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < plan->system_count && status == STATUS_OK; s++) {
        if (plan->systems[s]->ops->scan_rejects != NULL) {
            status = plan->systems[s]->ops->scan_rejects(plan->systems[s], plan->name, take_reject,
                                                         &taking, err);
        }
    }
    if (out->count > 1) {
        qsort(out->items, out->count, sizeof *out->items, compare_rejects);
    }
    return status;
}

void audit_rejects_fini(struct audit_rejects *rejects)
{
    memory_free(rejects->items);
    *rejects = (struct audit_rejects){0};
}

const struct audit_reject *audit_rejects_find(const struct audit_rejects *rejects,
                                              const char *sink, uint32_t partition, int64_t offset)
{
    struct audit_reject key = {.partition = partition, .offset = offset};
    const struct audit_reject *end = rejects->items + rejects->count;
    const struct audit_reject *found =
        rejects->count == 0
            ? NULL
            : bsearch(&key, rejects->items, rejects->count, sizeof key, compare_rejects);
    if (found == NULL) {
        return NULL;
    }
    while (found > rejects->items && compare_rejects(found - 1, &key) == 0) {
        found--;
    }
    for (; found < end && compare_rejects(found, &key) == 0; found++) {
        if (strcmp(found->sink, sink) == 0) {
            return found;
        }
    }
    return NULL;
}

const struct audit_reject *audit_rejects_of_row(const struct audit_rejects *rejects,
                                                const struct plan *plan, uint32_t number,
                                                const struct batch *batch, uint32_t row)
{
    return (batch->routes[row] >> number & 1) == 0
               ? NULL
               : audit_rejects_find(rejects, plan->sinks[number]->name, batch->partition,
                                    batch->records[row].offset);
}

struct hash128 audit_rejects_letter(const struct audit_reject *reject, const struct plan *plan,
                                    const struct source_partition *origin,
                                    const struct batch *batch, uint32_t row,
                                    struct outbox *outbox, const struct hash_secret *secret)
{
    const struct replay_origin *replay = batch_replay(batch, row);
    struct refused_row refused = {
        .record = &batch->records[row],
        .origin = origin,
        .attempt = replay == NULL ? 1 : replay->attempt + 1,
        .sink = reject->sink,
        .code = reject->code,
        .message = reject->message,
        .pipeline = plan->name,
        .plan_hash = plan->hash_text,
    };
    struct buffer violations = {0};
    struct dead_letter letter;
    struct ledger_sink one = {0};
    reject_letter(&refused, &violations, &letter);
    plan->dlq->ops->append_dead_letter(plan->dlq, outbox, batch->partition, &letter, secret, &one);
    buffer_fini(&violations);
    return one.sum;
}
