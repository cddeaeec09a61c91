/* What should have come of a record, and where it stands. */
#include <stdio.h>
#include <string.h>

#include "run/accounting.h"
#include "inspect/audit_rows.h"
#include "inspect/trace_private.h"

const char *trace_state_name(enum trace_state state)
{
    static const char *const names[TRACE_STATES] = {
        [TRACE_STANDS] = "stands",     [TRACE_ALTERED] = "altered",
        [TRACE_REFUSED] = "refused",   [TRACE_REPLACED] = "replaced",
        [TRACE_DELETED] = "deleted",
        [TRACE_WAITING] = "waiting",   [TRACE_MISSING] = "missing",
        [TRACE_UNKNOWN] = "unknown",
    };
    return names[state];
}

/* --- what should be there --- */

static uint32_t sink_count(const struct trace *trace)
{
    const struct plan *plan = trace->pipeline.plan;
    return plan->stage.sink_count + (plan->dlq != NULL);
}

static struct sink *sink_at(const struct trace *trace, uint32_t index)
{
    const struct plan *plan = trace->pipeline.plan;
    return index < plan->stage.sink_count ? plan->sinks[index] : plan->dlq;
}

/* The sink of the running plan whose place a sink of any plan wrote to; NULL: there is none. */
static struct sink *place_of(const struct trace *trace, const struct sink *sink,
                             uint32_t *out_index)
{
    for (uint32_t i = 0; i < sink_count(trace); i++) {
        struct sink *other = sink_at(trace, i);
        if (other->ops == sink->ops &&
            strcmp(other->ops->address(other), sink->ops->address(sink)) == 0 &&
            strcmp(other->ops->rule(other), sink->ops->rule(sink)) == 0 &&
            strcmp(other->system->ops->place(other->system),
                   sink->system->ops->place(sink->system)) == 0) {
            *out_index = i;
            return other;
        }
    }
    return NULL;
}

static bool is_in(const struct trace *trace, const struct sink *place, uint32_t partition,
                  int64_t offset)
{
    const struct pipeline *pipeline = &trace->pipeline;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        if (pipeline->plan->systems[s] == place->system) {
            return pipeline->progresses[s][partition].next_offset > offset;
        }
    }
    return false;
}

/* A row of the arrival, with what is known before anybody looked. */
static struct trace_row *add_row(struct trace *trace, const struct sink *sink,
                                 struct trace_arrival *arrival, struct found_record *record,
                                 struct sink *place)
{
    struct arena *arena = trace->arena;
    struct trace_row *row = &arrival->rows[arrival->row_count];
    record->sought[arrival->row_count++] = (struct sought){.place = place};
    *row = (struct trace_row){
        .sink = arena_copy_string(arena, sink->name),
        .is_letter = sink->is_dlq,
        .system = arena_copy_string(arena, sink->system->ops->place(sink->system)),
        .address = arena_copy_string(arena, sink->ops->address(sink)),
        .part = "",
        .note = "",
    };
    if (place == NULL) {
        row->state = TRACE_UNKNOWN;
        row->note = "an older plan wrote it to a place that this file does not name";
    } else {
        row->state = is_in(trace, place, record->partition, arrival->offset) ? TRACE_MISSING
                                                                             : TRACE_WAITING;
    }
    return row;
}

static void expect_row(struct trace *trace, const struct plan *plan, uint32_t number,
                       const struct batch *batch, uint32_t row, struct trace_arrival *arrival,
                       struct found_record *record)
{
    struct sink *sink = plan->sinks[number];
    uint32_t index = 0;
    struct sink *place = place_of(trace, sink, &index);
    struct trace_row *expected = add_row(trace, sink, arrival, record, place);
    struct sought *sought = &record->sought[arrival->row_count - 1];
    const struct audit_reject *reject =
        audit_rejects_find(&trace->rejects, sink->name, record->partition, arrival->offset);
    if (reject != NULL && expected->state == TRACE_MISSING) {
        expected->state = TRACE_REFUSED;
        expected->note = arena_printf(trace->arena, "%s: %s", reject->code, reject->message);
    }
    if (place == NULL) {
        return;
    }
    struct output_row out = {
        .batch = batch,
        .row = row,
        .value = batch->outputs[row],
        .origin = trace->pipeline.partitions[record->partition].source,
    };
    struct ledger_sink one = {0};
    if (place->ops->look_through != NULL) {
        place->ops->look_through(sink, place);
    }
    sink->ops->append_row(sink, trace->outboxes[index], &out, &trace->secret, &one);
    place->ops->outbox_clear(trace->outboxes[index]);
    sought->hash = one.sum;
    if (place->ops->is_keyed(place)) {
        struct value order = {.type = VALUE_NULL};
        sought->is_keyed = true;
        sought->deletes = batch_is_tombstone(batch, row);
        sink->ops->key_row(sink, &out, &trace->secret, batch->arena, &sought->key, &order);
    }
    if (reject != NULL && plan->dlq != NULL && plan->dlq->takes_rejects) {
        struct sink *dlq = place_of(trace, plan->dlq, &index);
        add_row(trace, plan->dlq, arrival, record, dlq);
        if (dlq != NULL) {
            record->sought[arrival->row_count - 1].hash =
                audit_rejects_letter(reject, plan, out.origin, batch, row,
                                     trace->outboxes[index], &trace->secret);
            dlq->ops->outbox_clear(trace->outboxes[index]);
        }
    }
}

struct one_letter {
    uint32_t row;
    struct hash128 hash;
};

static void take_letter(void *context, const struct batch *batch, uint32_t row,
                        struct hash128 hash)
{
    (void)batch;
    struct one_letter *one = context;
    if (row == one->row) {
        one->hash = hash;
    }
}

static void expect_letter(struct trace *trace, const struct plan *plan, const struct batch *batch,
                          uint32_t row, struct trace_arrival *arrival,
                          struct found_record *record)
{
    uint32_t index = 0;
    struct sink *dlq = place_of(trace, plan->dlq, &index);
    add_row(trace, plan->dlq, arrival, record, dlq);
    if (dlq != NULL) {
        struct one_letter one = {.row = row};
        accounting_each_dead_letter(plan, trace->outboxes[index],
                                    trace->pipeline.partitions[record->partition].source, batch,
                                    &trace->secret, take_letter, &one);
        dlq->ops->outbox_clear(trace->outboxes[index]);
        record->sought[arrival->row_count - 1].hash = one.hash;
    }
}

void trace_expect(struct trace *trace, const struct plan *plan, const struct batch *batch,
                  uint32_t row, struct trace_arrival *arrival, struct found_record *record)
{
    uint32_t most = 2 * plan->stage.sink_count + 1;
    arrival->rows = arena_alloc_zero(trace->arena, most, sizeof *arrival->rows);
    record->sought = arena_alloc_zero(trace->arena, most, sizeof *record->sought);
    for (uint32_t i = 0; i < plan->stage.sink_count; i++) {
        if ((batch->routes[row] >> i & 1) != 0) {
            expect_row(trace, plan, i, batch, row, arrival, record);
        }
    }
    if (plan->dlq != NULL && plan->dlq_includes[batch->verdicts[row]]) {
        expect_letter(trace, plan, batch, row, arrival, record);
    }
}

/* --- what is there --- */

/* Rows of an unjudged record that are told, in all places. */
#define UNJUDGED_ROWS (2 * SINKS_MAX + 2)

struct looking {
    struct trace *trace;
    struct sink *place;
};

static void take_place(struct trace *trace, struct trace_row *row, enum trace_state state,
                       const struct stored_row *stored)
{
    row->state = state;
    row->part = arena_copy_string(trace->arena, stored->part);
    row->position = stored->position;
    row->times = 1;
}

/* Of a record that cannot be judged again nobody knows what should be there; but rows that say that
 * they come from it do. */
static void take_by_origin(struct trace *trace, uint32_t index, struct sink *place,
                           const struct stored_row *stored)
{
    struct trace_arrival *arrival = &trace->result->arrivals[index];
    struct found_record *record = &trace->records[index];
    if (arrival->rows == NULL) {
        arrival->rows = arena_alloc_zero(trace->arena, UNJUDGED_ROWS, sizeof *arrival->rows);
        record->sought = arena_alloc_zero(trace->arena, UNJUDGED_ROWS, sizeof *record->sought);
    }
    if (arrival->row_count < UNJUDGED_ROWS) {
        take_place(trace, add_row(trace, place, arrival, record, place), TRACE_STANDS, stored);
    }
}

/* Of rows with the same content and no origin, the first in the place is that of the first record.
 * What is left over then stands there more than once. */
static enum status take_stored(void *context, const struct stored_row *stored, struct error *err)
{
    (void)err;
    struct looking *looking = context;
    struct trace *trace = looking->trace;
    bool has_origin = stored->origin_topic != NULL && stored->origin_topic[0] != '\0';
    uint32_t partition =
        has_origin ? audit_partition_of(&trace->pipeline, stored->origin_topic,
                                        stored->origin_partition)
                   : UINT32_MAX;
    struct trace_row *same = NULL;
    for (uint32_t i = 0; i < trace->result->arrival_count; i++) {
        const struct trace_arrival *arrival = &trace->result->arrivals[i];
        const struct found_record *record = &trace->records[i];
        if (has_origin &&
            (partition != record->partition || stored->origin_offset != arrival->offset)) {
            continue;
        }
        if (!arrival->is_judged && has_origin) {
            take_by_origin(trace, i, looking->place, stored);
            return STATUS_OK;
        }
        for (uint32_t k = 0; k < arrival->row_count; k++) {
            struct trace_row *row = &arrival->rows[k];
            if (record->sought[k].place != looking->place) {
                continue;
            }
            bool is_same = hash_equal(record->sought[k].hash, stored->hash);
            if (is_same && (row->state == TRACE_MISSING || row->state == TRACE_ALTERED ||
                            row->state == TRACE_WAITING)) {
                take_place(trace, row, TRACE_STANDS, stored);
                return STATUS_OK;
            }
            if (is_same && row->state == TRACE_STANDS) {
                same = row;
            } else if (has_origin && !is_same && row->state == TRACE_MISSING) {
                take_place(trace, row, TRACE_ALTERED, stored);
            }
        }
    }
    if (same != NULL) {
        same->times++;
    }
    return STATUS_OK;
}

static bool is_sought(const struct trace *trace, const struct sink *place)
{
    for (uint32_t i = 0; i < trace->result->arrival_count; i++) {
        const struct trace_arrival *arrival = &trace->result->arrivals[i];
        if (!arrival->is_judged) {
            return true;
        }
        for (uint32_t k = 0; k < arrival->row_count; k++) {
            if (trace->records[i].sought[k].place == place &&
                arrival->rows[k].state != TRACE_REFUSED) {
                return true;
            }
        }
    }
    return false;
}

/* Another record of the trace for the same key in the same place: the first that is in `state`, and
 * lies behind `offset` in its partition. NULL: none. */
static const struct trace_arrival *find_other(const struct trace *trace,
                                              const struct sought *sought, enum trace_state state,
                                              bool deletes, int64_t offset)
{
    const struct trace_result *result = trace->result;
    for (uint32_t i = 0; i < result->arrival_count; i++) {
        const struct trace_arrival *other = &result->arrivals[i];
        for (uint32_t k = 0; k < other->row_count; k++) {
            const struct sought *theirs = &trace->records[i].sought[k];
            if (theirs->is_keyed && theirs->place == sought->place &&
                theirs->deletes == deletes && hash_equal(theirs->key, sought->key) &&
                other->rows[k].state == state && other->offset > offset) {
                return other;
            }
        }
    }
    return NULL;
}

/* A keyed place keeps one row per key: another record of the trace may stand there, or have deleted
 * it. */
static void find_replacing(struct trace *trace, struct trace_row *row, const struct sought *sought,
                           int64_t offset)
{
    const struct trace_arrival *other =
        find_other(trace, sought, TRACE_STANDS, false, INT64_MIN);
    if (other == NULL) {
        other = find_other(trace, sought, TRACE_DELETED, true, offset);
        row->state = other == NULL ? TRACE_MISSING : TRACE_DELETED;
    } else {
        row->state = TRACE_REPLACED;
    }
    row->note = other == NULL
                    ? "one row per key is kept here: another one of that key may stand in its place"
                    : arena_printf(trace->arena, "by %s [%s] offset %lld, %s", other->topic,
                                   other->partition, (long long)other->offset,
                                   row->state == TRACE_DELETED ? "a tombstone of its key"
                                                               : "of the same key");
}

/* All of a tombstone's key stands in one partition: what it deleted lies before it. */
static void explain_deletion(const struct trace *trace, struct trace_row *row,
                             const struct sought *sought, int64_t offset)
{
    const struct trace_arrival *any = find_other(trace, sought, TRACE_STANDS, false, INT64_MIN);
    if (any == NULL || any->offset > offset) {
        row->state = TRACE_DELETED;
        row->note = any == NULL ? "a tombstone: no row of its key is there"
                                : "a tombstone: the row of its key came later";
    } else {
        row->note = "a row of its key stands there that it should have deleted";
    }
}

static void explain_deletions(struct trace *trace)
{
    for (uint32_t i = 0; i < trace->result->arrival_count; i++) {
        struct trace_arrival *arrival = &trace->result->arrivals[i];
        for (uint32_t k = 0; k < arrival->row_count; k++) {
            const struct sought *sought = &trace->records[i].sought[k];
            if (arrival->rows[k].state == TRACE_MISSING && sought->deletes) {
                explain_deletion(trace, &arrival->rows[k], sought, arrival->offset);
            }
        }
    }
}

static void explain_missing(struct trace *trace)
{
    for (uint32_t i = 0; i < trace->result->arrival_count; i++) {
        struct trace_arrival *arrival = &trace->result->arrivals[i];
        for (uint32_t k = 0; k < arrival->row_count; k++) {
            struct trace_row *row = &arrival->rows[k];
            const struct sought *sought = &trace->records[i].sought[k];
            if (row->state == TRACE_MISSING && sought->deletes) {
                continue;
            }
            if (row->state == TRACE_MISSING && sought->is_keyed) {
                find_replacing(trace, row, sought, arrival->offset);
            } else if (row->state == TRACE_MISSING) {
                row->note = "it was committed, and has been removed or has expired since";
            }
        }
    }
}

enum status trace_look(struct trace *trace, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < sink_count(trace) && status == STATUS_OK; i++) {
        struct sink *place = sink_at(trace, i);
        struct looking looking = {trace, place};
        if (is_sought(trace, place)) {
            status = place->ops->scan(place, &trace->secret, take_stored, &looking, err);
        }
    }
    if (status == STATUS_OK) {
        explain_deletions(trace);
        explain_missing(trace);
    }
    return status;
}
