#include "inspect/audit_sums.h"

#include <stdio.h>

#include "run/accounting.h"
#include "inspect/audit_segments.h"

/* A system's segments of a partition, and what they should say. */
struct checked {
    struct audit_segments stored;
    struct ledger *counted; /* [stored.count] */
};

struct audit_sums {
    const struct pipeline *pipeline;
    const struct audit_rejects *rejects;
    const struct hash_secret *secret;
    struct checked *all; /* [system * partitions + partition] */
    /* append_* needs somewhere to write; emptied after each batch */
    struct box {
        struct sink *sink;
        struct outbox *outbox;
    } *boxes;
    uint32_t box_count;
    struct home {
        const struct sink *sink;
        uint32_t system;
    } *homes;
    uint32_t home_count;
};

static struct checked *checked_of(const struct audit_sums *sums, uint32_t s, uint32_t p)
{
    return &sums->all[(size_t)s * sums->pipeline->partition_count + p];
}

enum status audit_sums_new(const struct pipeline *pipeline, const struct audit_rejects *rejects,
                           const struct hash_secret *secret, struct audit_sums **out,
                           struct error *err)
{
    struct audit_sums *sums = memory_alloc_zero(1, sizeof *sums);
    uint32_t systems = pipeline->plan->system_count;
    *sums = (struct audit_sums){.pipeline = pipeline, .rejects = rejects, .secret = secret};
    sums->all = memory_alloc_zero(size_mul(systems, pipeline->partition_count) + 1,
                                  sizeof *sums->all);
    enum status status = STATUS_OK;
    for (uint32_t s = 0; s < systems; s++) {
        for (uint32_t p = 0; p < pipeline->partition_count && status == STATUS_OK; p++) {
            struct checked *checked = checked_of(sums, s, p);
            status = audit_segments_load(pipeline, s, p, &checked->stored, err);
            checked->counted =
                memory_alloc_zero(checked->stored.count + 1, sizeof *checked->counted);
        }
    }
    *out = sums;
    return status;
}

void audit_sums_free(struct audit_sums *sums)
{
    if (sums == NULL) {
        return;
    }
    size_t count = (size_t)sums->pipeline->plan->system_count * sums->pipeline->partition_count;
    for (size_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < sums->all[i].stored.count; k++) {
            ledger_fini(&sums->all[i].counted[k]);
        }
        memory_free(sums->all[i].counted);
        audit_segments_fini(&sums->all[i].stored);
    }
    for (uint32_t i = 0; i < sums->box_count; i++) {
        sums->boxes[i].sink->ops->outbox_free(sums->boxes[i].outbox);
    }
    memory_free(sums->boxes);
    memory_free(sums->homes);
    memory_free(sums->all);
    memory_free(sums);
}

static bool has_written(const struct audit_segments *segments, const struct plan *plan,
                        const struct sink *sink)
{
    for (uint32_t i = 0; i < segments->count; i++) {
        if (hash_equal(segments->items[i].plan_hash, plan->hash) &&
            ledger_find_sink(&segments->items[i].ledger, sink->name) != NULL) {
            return true;
        }
    }
    return false;
}

static uint32_t find_home(const struct audit_sums *sums, const struct plan *plan,
                          const struct sink *sink)
{
    for (uint32_t s = 0; s < sums->pipeline->plan->system_count; s++) {
        for (uint32_t p = 0; p < sums->pipeline->partition_count; p++) {
            if (has_written(&checked_of(sums, s, p)->stored, plan, sink)) {
                return s;
            }
        }
    }
    return UINT32_MAX;
}

uint32_t audit_sums_home(struct audit_sums *sums, const struct plan *plan, const struct sink *sink)
{
    for (uint32_t i = 0; i < sums->home_count; i++) {
        if (sums->homes[i].sink == sink) {
            return sums->homes[i].system;
        }
    }
    sums->homes =
        memory_realloc(sums->homes, size_mul(sums->home_count + 1, sizeof *sums->homes));
    sums->homes[sums->home_count] =
        (struct home){.sink = sink, .system = find_home(sums, plan, sink)};
    return sums->homes[sums->home_count++].system;
}

struct outbox *audit_sums_outbox(struct audit_sums *sums, struct sink *sink)
{
    for (uint32_t i = 0; i < sums->box_count; i++) {
        if (sums->boxes[i].sink == sink) {
            return sums->boxes[i].outbox;
        }
    }
    sums->boxes =
        memory_realloc(sums->boxes, size_mul(sums->box_count + 1, sizeof *sums->boxes));
    sums->boxes[sums->box_count] =
        (struct box){.sink = sink, .outbox = sink->ops->outbox_new(sink)};
    return sums->boxes[sums->box_count++].outbox;
}

/* Where the system counts the batch; NULL when it does not have it. Batches are cut where segments
 * and systems end. */
static struct ledger *counted_of(const struct audit_sums *sums, uint32_t s,
                                 const struct batch *batch)
{
    const struct checked *checked = checked_of(sums, s, batch->partition);
    const struct progress *progress =
        pipeline_progress(sums->pipeline, s, batch->partition);
    uint32_t after = 0;
    while (after < checked->stored.count &&
           checked->stored.items[after].first_offset <= batch->records[0].offset) {
        after++;
    }
    return after == 0 || batch->records[batch->row_count - 1].next_offset > progress->next_offset
               ? NULL
               : &checked->counted[after - 1];
}

/* Rows that were refused are not written; their dead letters are. */
static void count_rejects(struct audit_sums *sums, const struct plan *plan, uint32_t number,
                          const struct batch *batch, struct ledger *ledger)
{
    struct sink *sink = plan->sinks[number];
    const struct source_partition *origin =
        sums->pipeline->partitions[batch->partition].source;
    struct output_row out = {.batch = batch, .origin = origin};
    for (uint32_t row = 0; sums->rejects->count > 0 && row < batch->row_count; row++) {
        const struct audit_reject *reject =
            audit_rejects_of_row(sums->rejects, plan, number, batch, row);
        if (reject == NULL) {
            continue;
        }
        struct ledger_sink one = {0};
        out.row = row;
        out.value = batch->outputs[row];
        sink->ops->append_row(sink, audit_sums_outbox(sums, sink), &out, sums->secret, &one);
        struct ledger_sink *of = ledger_sink(ledger, sink->name);
        of->written--;
        of->rejected++;
        of->sum = hash_sub(of->sum, one.sum);
        if (plan->dlq != NULL && plan->dlq->takes_rejects && plan->dlq->system == sink->system) {
            struct hash128 letter =
                audit_rejects_letter(reject, plan, origin, batch, row,
                                     audit_sums_outbox(sums, plan->dlq), sums->secret);
            of = ledger_sink(ledger, plan->dlq->name);
            of->routed++;
            of->written++;
            of->sum = hash_add(of->sum, letter);
        }
    }
}

static void count_system(struct audit_sums *sums, uint32_t system,
                         const struct plan *plan, const struct batch *batch,
                         struct ledger *ledger)
{
    const struct source_partition *origin =
        sums->pipeline->partitions[batch->partition].source;
    for (uint32_t i = 0; i < plan->stage.sink_count; i++) {
        struct sink *sink = plan->sinks[i];
        if (audit_sums_home(sums, plan, sink) != system) {
            continue;
        }
        if (sink->ops->look_through != NULL) {
            sink->ops->look_through(sink, sink);
        }
        accounting_append_rows(sink, i, audit_sums_outbox(sums, sink), origin, batch, sums->secret,
                               ledger_sink(ledger, sink->name));
        count_rejects(sums, plan, i, batch, ledger);
    }
    if (plan->dlq != NULL && audit_sums_home(sums, plan, plan->dlq) == system) {
        accounting_append_dead_letters(plan, audit_sums_outbox(sums, plan->dlq), origin, batch,
                                       sums->secret, ledger_sink(ledger, plan->dlq->name));
    }
}

void audit_sums_add(struct audit_sums *sums, const struct plan *plan, const struct batch *batch)
{
    const struct plan *running = sums->pipeline->plan;
    for (uint32_t s = 0; s < running->system_count; s++) {
        struct ledger *ledger = counted_of(sums, s, batch);
        if (ledger != NULL) {
            count_system(sums, s, plan, batch, ledger);
        }
    }
    for (uint32_t i = 0; i < sums->box_count; i++) {
        sums->boxes[i].sink->ops->outbox_clear(sums->boxes[i].outbox);
    }
}

/* One sink of both ledgers. */
static bool is_sink_equal(const struct ledger *a, const struct ledger *b, const char *name,
                          struct buffer *text)
{
    struct ledger_sink *x = (struct ledger_sink *)(uintptr_t)ledger_find_sink(a, name);
    struct ledger_sink *y = (struct ledger_sink *)(uintptr_t)ledger_find_sink(b, name);
    struct ledger only_x = {.sinks = x, .sink_count = x != NULL};
    struct ledger only_y = {.sinks = y, .sink_count = y != NULL};
    return ledger_equal(&only_x, &only_y, true, text);
}

void audit_sums_compare(const struct audit_sums *sums, uint32_t partition,
                        void (*difference)(void *context, uint32_t system, uint32_t partition,
                                           const char *where, struct buffer *text),
                        void *context)
{
    struct buffer text = {0};
    for (uint32_t s = 0; s < sums->pipeline->plan->system_count; s++) {
        const struct checked *checked = checked_of(sums, s, partition);
        for (uint32_t i = 0; i < checked->stored.count; i++) {
            const struct audit_segment *stored = &checked->stored.items[i];
            struct ledger names = {0};
            char where[128];
            ledger_add(&names, &stored->ledger);
            ledger_add(&names, &checked->counted[i]);
            snprintf(where, sizeof where, "offsets %lld to %lld, recomputed from the input",
                     (long long)stored->first_offset, (long long)stored->next_offset - 1);
            for (uint32_t k = 0; k < names.sink_count; k++) {
                if (!is_sink_equal(&stored->ledger, &checked->counted[i], names.sinks[k].name,
                                   &text)) {
                    difference(context, s, partition, where, &text);
                }
            }
            ledger_fini(&names);
        }
    }
    buffer_fini(&text);
}
