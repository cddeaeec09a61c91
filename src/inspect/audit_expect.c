/* What should be there: rows and dead letters of a batch, as each place would store them. */
#include <string.h>

#include "run/accounting.h"
#include "inspect/audit_private.h"

static void expect(struct audit *audit, struct place *place, struct audit_row row)
{
    if (audit->collects) {
        if (place->differs && place->fold == NULL && audit_is_of_pass(audit, row.hash)) {
            audit_rows_add(&place->expected, row);
        }
        return;
    }
    place->expected_count++;
    place->expected_sum = hash_add(place->expected_sum, row.hash);
    place->expected_origins =
        hash_add(place->expected_origins, audit_hash_with_origin(audit, &row));
}

/* The row's hash as the sink computes it, out of an append into a box that is thrown away. */
static void expect_row(struct audit *audit, struct place *place, struct sink *judge_sink,
                       const struct output_row *out)
{
    struct ledger_sink one = {0};
    const struct batch *batch = out->batch;
    judge_sink->ops->append_row(judge_sink, place->outbox, out, &audit->secret, &one);
    struct audit_row row = {.hash = one.sum,
                            .offset = batch->records[out->row].offset,
                            .partition = batch->partition,
                            .rank = audit->ranks[batch->partition],
                            .deletes = batch_is_tombstone(batch, out->row)};
    if (place->fold == NULL) {
        expect(audit, place, row);
    } else if (!audit->collects) {
        struct hash128 key;
        struct value order = {.type = VALUE_NULL};
        judge_sink->ops->key_row(judge_sink, out, &audit->secret, batch->arena, &key, &order);
        audit_fold_put(place->fold, key, &order, row);
    }
}

static void expect_rows(struct audit *audit, struct place *place, const struct plan *plan,
                        uint32_t number, const struct batch *batch)
{
    struct output_row out = {.batch = batch,
                             .origin = audit->pipeline.partitions[batch->partition].source};
    if (place->sink->ops->look_through != NULL) {
        place->sink->ops->look_through(plan->sinks[number], place->sink);
    }
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if ((batch->routes[row] >> number & 1) == 0 ||
            audit_rejects_find(&audit->rejects, plan->sinks[number]->name, batch->partition,
                               batch->records[row].offset) != NULL) {
            continue;
        }
        out.row = row;
        out.value = batch->outputs[row];
        expect_row(audit, place, plan->sinks[number], &out);
    }
    place->sink->ops->outbox_clear(place->outbox);
}

static bool is_in_place(const struct audit *audit, const struct place *place,
                        const struct batch *batch)
{
    return batch->records[batch->row_count - 1].next_offset <=
           audit->pipeline.progresses[place->system][batch->partition].next_offset;
}

static void expect_reject_letter(struct audit *audit, struct place *dlq, const struct plan *plan,
                                 const struct batch *batch, uint32_t row,
                                 const struct audit_reject *reject)
{
    struct hash128 hash =
        audit_rejects_letter(reject, plan, audit->pipeline.partitions[batch->partition].source,
                             batch, row, dlq->outbox, &audit->secret);
    expect(audit, dlq,
           (struct audit_row){.hash = hash,
                              .offset = batch->records[row].offset,
                              .partition = batch->partition});
}

/* Whether R of a system says that the dead letter of a refused row was forwarded to it. */
static bool is_forwarded(const struct audit *audit, uint32_t system, const struct sink *sink,
                         const struct batch *batch, uint32_t row)
{
    const struct refused *taken = refused_find(
        &audit->pipeline.progresses[system][batch->partition].forwarded, sink->name);
    return taken != NULL && batch->records[row].offset < taken->next_offset;
}

/* Whether the place of dead letters has that of a row which sink `number` refused: in the sink's own
 * system with the row, else when R says that it was forwarded. */
static bool has_letter(const struct audit *audit, const struct place *dlq, const struct plan *plan,
                       uint32_t number, const struct batch *batch, uint32_t row)
{
    if (plan->dlq->system == plan->sinks[number]->system) {
        return is_in_place(audit, dlq, batch);
    }
    return is_forwarded(audit, dlq->system, plan->sinks[number], batch, row);
}

/* Of the rows that a sink refused. */
static void expect_reject_letters(struct audit *audit, struct place *dlq, const struct plan *plan,
                                  uint32_t number, const struct batch *batch)
{
    for (uint32_t row = 0; audit->rejects.count > 0 && row < batch->row_count; row++) {
        const struct audit_reject *reject =
            audit_rejects_of_row(&audit->rejects, plan, number, batch, row);
        if (reject != NULL && has_letter(audit, dlq, plan, number, batch, row)) {
            expect_reject_letter(audit, dlq, plan, batch, row, reject);
        }
    }
    dlq->sink->ops->outbox_clear(dlq->outbox);
}

static bool is_alike(const struct sink *a, const struct sink *b)
{
    return a->ops == b->ops && strcmp(a->ops->address(a), b->ops->address(b)) == 0 &&
           strcmp(a->ops->rule(a), b->ops->rule(b)) == 0;
}

/* The place that a sink of any plan wrote to, by what and where it is: names and paths may
 * change. */
static struct place *place_of(struct audit *audit, const struct plan *plan, const struct sink *sink)
{
    uint32_t home = audit_sums_home(audit->sums, plan, sink);
    for (uint32_t i = 0; i < audit->place_count; i++) {
        if (audit->places[i].system == home && is_alike(audit->places[i].sink, sink)) {
            return &audit->places[i];
        }
    }
    return NULL;
}

/* Rows that an older plan sent to a place which nobody looks into now. */
static void note_gone(struct audit *audit, const struct sink *sink, uint64_t rows)
{
    if (audit->collects || rows == 0) {
        return;
    }
    for (uint32_t i = 0; i < audit->gone_count; i++) {
        const struct sink *other = audit->gone[i].sink;
        if (is_alike(other, sink) && strcmp(other->system->ops->place(other->system),
                                            sink->system->ops->place(sink->system)) == 0) {
            audit->gone[i].rows += rows;
            return;
        }
    }
    audit->gone = memory_realloc(audit->gone, size_mul(audit->gone_count + 1, sizeof *audit->gone));
    audit->gone[audit->gone_count++] = (struct gone){.sink = sink, .rows = rows};
}

void audit_tell_gone(struct audit *audit)
{
    for (uint32_t i = 0; i < audit->gone_count; i++) {
        const struct sink *sink = audit->gone[i].sink;
        audit->result->unverifiable++;
        audit_find(
            audit,
            "%s: %llu rows of an older plan went to %s %s, which is not what this file names: "
            "they "
            "cannot be verified",
            sink->name, (unsigned long long)audit->gone[i].rows,
            sink->system->ops->place(sink->system), sink->ops->address(sink));
    }
}

static uint64_t count_routed(const struct batch *batch, uint32_t number)
{
    uint64_t count = 0;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        count += batch->routes[row] >> number & 1;
    }
    return count;
}

static uint64_t count_letters(const struct plan *plan, const struct batch *batch)
{
    uint64_t count = 0;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        count += plan->dlq_includes[batch->verdicts[row]];
    }
    return count;
}

/* Dead letters one by one: each with a ledger of its own, whose sum is the row's hash. */
static void expect_letter(void *context, const struct batch *batch, uint32_t row,
                          struct hash128 hash)
{
    struct audit *audit = context;
    struct place *place = &audit->places[audit->place_count - 1];
    expect(audit, place,
           (struct audit_row){
               .hash = hash, .offset = batch->records[row].offset, .partition = batch->partition});
}

/* Whether the dead letters of rows that the sink refuses are another system's to write. */
static bool has_letters_elsewhere(const struct plan *plan, const struct sink *sink)
{
    return plan->dlq != NULL && plan->dlq->takes_rejects && plan->dlq->system != sink->system;
}

/* Rows that a sink refused, and whose dead letters were another system's to write. */
static void expect_due(struct audit *audit, const struct plan *plan, uint32_t number,
                       const struct batch *batch)
{
    const struct sink *sink = plan->sinks[number];
    if (audit->collects || !has_letters_elsewhere(plan, sink)) {
        return;
    }
    uint32_t home = audit_sums_home(audit->sums, plan, sink);
    for (uint32_t row = 0; home != UINT32_MAX && row < batch->row_count; row++) {
        if (audit_rejects_of_row(&audit->rejects, plan, number, batch, row) != NULL) {
            refused_add(&audit->due[(size_t)home * audit->pipeline.partition_count +
                                    batch->partition],
                        sink->name, batch->records[row].offset, (struct hash128){0, 0});
        }
    }
}

/* What R of the dead letters' system counts as forwarded, wherever in it an older plan put them. */
static void expect_forwarded(struct audit *audit, const struct plan *plan, uint32_t number,
                             const struct batch *batch)
{
    const struct sink *sink = plan->sinks[number];
    if (audit->collects || !has_letters_elsewhere(plan, sink)) {
        return;
    }
    const uint32_t home = audit_sums_home(audit->sums, plan, plan->dlq);
    for (uint32_t row = 0; home != UINT32_MAX && row < batch->row_count; row++) {
        const struct audit_reject *reject =
            audit_rejects_of_row(&audit->rejects, plan, number, batch, row);
        if (reject != NULL && is_forwarded(audit, home, sink, batch, row)) {
            struct outbox *outbox = audit_sums_outbox(audit->sums, plan->dlq);
            struct hash128 hash = audit_rejects_letter(
                reject, plan, audit->pipeline.partitions[batch->partition].source, batch, row,
                outbox, &audit->secret);
            plan->dlq->ops->outbox_clear(outbox);
            refused_add(audit_forwarded(audit, home, batch->partition), reject->sink,
                        batch->records[row].offset, hash);
        }
    }
}

void audit_expect_batch(struct audit *audit, const struct plan *plan, const struct batch *batch)
{
    for (uint32_t i = 0; i < plan->stage.sink_count; i++) {
        struct place *place = place_of(audit, plan, plan->sinks[i]);
        if (place == NULL) {
            note_gone(audit, plan->sinks[i], count_routed(batch, i));
        } else if (is_in_place(audit, place, batch)) {
            expect_rows(audit, place, plan, i, batch);
        }
    }
    struct place *dlq = plan->dlq == NULL ? NULL : place_of(audit, plan, plan->dlq);
    for (uint32_t i = 0; audit->rejects.count > 0 && i < plan->stage.sink_count; i++) {
        expect_due(audit, plan, i, batch);
        expect_forwarded(audit, plan, i, batch);
        if (dlq != NULL && plan->dlq->takes_rejects) {
            expect_reject_letters(audit, dlq, plan, i, batch);
        }
    }
    if (plan->dlq != NULL && dlq == NULL) {
        note_gone(audit, plan->dlq, count_letters(plan, batch));
    } else if (dlq != NULL && is_in_place(audit, dlq, batch)) {
        accounting_each_dead_letter(plan, dlq->outbox,
                                    audit->pipeline.partitions[batch->partition].source, batch,
                                    &audit->secret, expect_letter, audit);
        dlq->sink->ops->outbox_clear(dlq->outbox);
    }
}
