/* Ledgers: against their own laws, their segments, each other, and what was recomputed. */
#include <stdio.h>
#include <string.h>

#include "inspect/audit_private.h"

void audit_differ(struct audit *audit, const char *system, uint32_t p, const char *what,
                  struct buffer *difference)
{
    const struct source_partition *source = audit->pipeline.partitions[p].source;
    audit->result->differences++;
    audit_find(audit, "ledger of %s, %s [%s]: %s: %s", system, source->topic, source->label, what,
               buffer_string(difference));
    buffer_clear(difference);
}

static bool are_ranges_equal(const struct ledger_sink *a, const struct ledger_sink *b,
                             struct buffer *difference)
{
    bool is_same = b != NULL && a->range_count == b->range_count;
    for (uint32_t i = 0; i < a->range_count && is_same; i++) {
        is_same = a->ranges[i].partition == b->ranges[i].partition &&
                  a->ranges[i].first_offset == b->ranges[i].first_offset &&
                  a->ranges[i].last_offset == b->ranges[i].last_offset;
    }
    if (!is_same) {
        buffer_printf(difference, "the output offsets of %s are not those of its segments",
                      a->name);
    }
    return is_same;
}

/* Within a segment a name is one place; where that has offsets, they have room for all rows. */
static bool have_ranges_room(const struct ledger_sink *sink, struct buffer *difference)
{
    uint64_t room = 0;
    for (uint32_t i = 0; i < sink->range_count; i++) {
        room += (uint64_t)(sink->ranges[i].last_offset - sink->ranges[i].first_offset) + 1;
    }
    if (sink->range_count > 0 && room < sink->written) {
        buffer_printf(difference, "%llu rows were written to %s, which has %llu offsets for them",
                      (unsigned long long)sink->written, sink->name, (unsigned long long)room);
        return false;
    }
    return true;
}

static void check_ranges(struct audit *audit, uint32_t s, uint32_t p,
                         const struct audit_segments *segments, const struct ledger *sum)
{
    const char *name = audit->pipeline.plan->systems[s]->name;
    const struct ledger *ledger = &audit->pipeline.progresses[s][p].ledger;
    struct buffer difference = {0};
    for (uint32_t i = 0; i < ledger->sink_count; i++) {
        const struct ledger_sink *sink = &ledger->sinks[i];
        if (!are_ranges_equal(sink, ledger_find_sink(sum, sink->name), &difference)) {
            audit_differ(audit, name, p, "where its rows are", &difference);
        }
    }
    for (uint32_t k = 0; k < segments->count; k++) {
        for (uint32_t i = 0; i < segments->items[k].ledger.sink_count; i++) {
            if (!have_ranges_room(&segments->items[k].ledger.sinks[i], &difference)) {
                audit_differ(audit, name, p, "where its rows are", &difference);
            }
        }
    }
    buffer_fini(&difference);
}

/* What the operator gave up: known, and never fine. */
static void tell_lost(struct audit *audit, uint32_t s, uint32_t p)
{
    const struct progress *progress = &audit->pipeline.progresses[s][p];
    for (uint32_t i = 0; i < progress->lost_count; i++) {
        const struct lost_range *range = &progress->lost[i];
        audit_find(audit,
                   "%s: offsets %lld to %lld of %s [%s] were deleted before they were read, and "
                   "given up",
                   audit->pipeline.plan->systems[s]->name, (long long)range->first_offset,
                   (long long)range->next_offset - 1, progress->topic, progress->partition);
    }
}

/* The lost range of any system that holds `offset` and reaches furthest, or else is the next behind
 * it; false when there is none. */
static bool next_lost(const struct pipeline *pipeline, uint32_t p, int64_t offset,
                      struct lost_range *out)
{
    bool found = false;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        const struct progress *progress = &pipeline->progresses[s][p];
        for (uint32_t i = 0; i < progress->lost_count; i++) {
            struct lost_range range = progress->lost[i];
            if (range.next_offset <= offset) {
                continue;
            }
            range.first_offset = range.first_offset > offset ? range.first_offset : offset;
            if (!found || range.first_offset < out->first_offset ||
                (range.first_offset == out->first_offset &&
                 range.next_offset > out->next_offset)) {
                *out = range;
                found = true;
            }
        }
    }
    return found;
}

/* An offset that several systems gave up is one record. */
static uint64_t count_lost(const struct pipeline *pipeline, uint32_t p)
{
    uint64_t count = 0;
    struct lost_range range = {.next_offset = INT64_MIN};
    while (next_lost(pipeline, p, range.next_offset, &range)) {
        count += (uint64_t)(range.next_offset - range.first_offset);
    }
    return count;
}

/* R against its own laws and its segments. */
static void check_own_ledger(struct audit *audit, uint32_t s, uint32_t p,
                             const struct audit_segments *segments)
{
    const char *name = audit->pipeline.plan->systems[s]->name;
    const struct progress *progress = &audit->pipeline.progresses[s][p];
    struct buffer difference = {0};
    if (!ledger_is_balanced(&progress->ledger, &difference)) {
        audit_differ(audit, name, p, "does not add up", &difference);
    }
    struct ledger sum = {0};
    for (uint32_t i = 0; i < segments->count; i++) {
        ledger_add(&sum, &segments->items[i].ledger);
    }
    if (!ledger_equal(&progress->ledger, &sum, true, &difference)) {
        audit_differ(audit, name, p, "is not the sum of its segments", &difference);
    }
    check_ranges(audit, s, p, segments, &sum);
    tell_lost(audit, s, p);
    ledger_fini(&sum);
    buffer_fini(&difference);
}

/* Segments with one beginning say the same; a system that was added later has none of before. */
static void compare_segments(struct audit *audit, uint32_t s, uint32_t p,
                             const struct audit_segments *a, const struct audit_segments *b)
{
    struct buffer difference = {0};
    for (uint32_t i = 0, k = 0; i < a->count && k < b->count;) {
        int64_t left = a->items[i].first_offset;
        int64_t right = b->items[k].first_offset;
        if (left == right &&
            !ledger_equal(&a->items[i].ledger, &b->items[k].ledger, false, &difference)) {
            audit_differ(audit, audit->pipeline.plan->systems[s]->name, p,
                         "differs from the other systems", &difference);
        }
        i += left <= right;
        k += right <= left;
    }
    buffer_fini(&difference);
}

/* At equal offsets what came in and its verdicts are equal in all systems. */
static enum status check_systems_agree(struct audit *audit, uint32_t p, struct error *err)
{
    const struct pipeline *pipeline = &audit->pipeline;
    enum status status = STATUS_OK;
    for (uint32_t s = 1; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
        for (uint32_t k = 0; k < s && status == STATUS_OK; k++) {
            if (pipeline->progresses[s][p].next_offset != pipeline->progresses[k][p].next_offset) {
                continue;
            }
            struct audit_segments ours = {0};
            struct audit_segments theirs = {0};
            status = audit_segments_load(&audit->pipeline, s, p, &ours, err);
            if (status == STATUS_OK) {
                status = audit_segments_load(&audit->pipeline, k, p, &theirs, err);
            }
            if (status == STATUS_OK) {
                compare_segments(audit, s, p, &ours, &theirs);
            }
            audit_segments_fini(&ours);
            audit_segments_fini(&theirs);
        }
    }
    return status;
}

void audit_check_segment(struct audit *audit, uint32_t s, uint32_t p,
                         const struct audit_segment *stored, const struct ledger *counted)
{
    struct buffer difference = {0};
    if (!ledger_equal(&stored->ledger, counted, false, &difference)) {
        char what[128];
        snprintf(what, sizeof what, "offsets %lld to %lld, recomputed from the input",
                 (long long)stored->first_offset, (long long)stored->next_offset - 1);
        audit_differ(audit, audit->pipeline.plan->systems[s]->name, p, what, &difference);
    }
    buffer_fini(&difference);
}

/* What R carries on, where a system has come to: a wrong watermark would judge what comes. */
void audit_check_remembered(struct audit *audit, uint32_t p, const struct stage_state *state)
{
    for (uint32_t s = 0; s < audit->pipeline.plan->system_count; s++) {
        const struct progress *progress = &audit->pipeline.progresses[s][p];
        if (progress->next_offset != state->next_offset) {
            continue;
        }
        struct buffer ours = {0};
        struct buffer theirs = {0};
        struct buffer difference = {0};
        candidates_write(&progress->candidates, &ours);
        candidates_write(&state->candidates, &theirs);
        if (progress->greatest_us != state->greatest_us) {
            buffer_printf(&difference, "the greatest event time is %lld us and should be %lld",
                          (long long)progress->greatest_us, (long long)state->greatest_us);
        } else if (!bytes_equal(bytes_of(ours.data, ours.size),
                                bytes_of(theirs.data, theirs.size))) {
            buffer_append_string(&difference, "the candidates for it are others");
        } else if (!hash_equal(progress->last_record_hash, state->last_record_hash)) {
            buffer_append_string(&difference, "the last record is another one");
        }
        if (difference.size > 0) {
            audit_differ(audit, audit->pipeline.plan->systems[s]->name, p,
                         "what it remembers, recomputed from the input", &difference);
        }
        buffer_fini(&ours);
        buffer_fini(&theirs);
        buffer_fini(&difference);
    }
}

/* One sink's, of the system that takes the dead letters. */
static void check_forwarded(struct audit *audit, uint32_t s, uint32_t p,
                            const struct refused *stored)
{
    static const struct refused none;
    const struct refused *counted = refused_find(audit_forwarded(audit, s, p), stored->sink);
    counted = counted == NULL ? &none : counted;
    if (counted->count != stored->count || !hash_equal(counted->sum, stored->sum)) {
        struct buffer difference = {0};
        buffer_printf(&difference,
                      "%llu dead letters of rows that %s refused were forwarded, and %llu are kept "
                      "in weir_rejects, or their sums differ",
                      (unsigned long long)stored->count, stored->sink,
                      (unsigned long long)counted->count);
        audit_differ(audit, audit->pipeline.plan->systems[s]->name, p, "forwarded", &difference);
        buffer_fini(&difference);
    }
}

/* Rows that R counts as due, against those that are kept. */
static void check_due(struct audit *audit, uint32_t s, uint32_t p, const char *sink)
{
    const struct progress *progress = &audit->pipeline.progresses[s][p];
    const struct refused *stored = refused_find(&progress->due, sink);
    const struct refused *kept = refused_find(
        &audit->due[(size_t)s * audit->pipeline.partition_count + p], sink);
    uint64_t counts[2] = {stored == NULL ? 0 : stored->count, kept == NULL ? 0 : kept->count};
    if (counts[0] != counts[1]) {
        struct buffer difference = {0};
        buffer_printf(&difference,
                      "%llu rows that %s refused are counted for dead letters elsewhere, and %llu "
                      "are kept in weir_rejects",
                      (unsigned long long)counts[0], sink, (unsigned long long)counts[1]);
        audit_differ(audit, audit->pipeline.plan->systems[s]->name, p, "due", &difference);
        buffer_fini(&difference);
    }
}

static void check_all_due(struct audit *audit, uint32_t s, uint32_t p)
{
    const struct refused_list *stored = &audit->pipeline.progresses[s][p].due;
    const struct refused_list *kept =
        &audit->due[(size_t)s * audit->pipeline.partition_count + p];
    for (uint32_t i = 0; i < stored->count; i++) {
        check_due(audit, s, p, stored->items[i].sink);
    }
    for (uint32_t i = 0; i < kept->count; i++) {
        if (refused_find(stored, kept->items[i].sink) == NULL) {
            check_due(audit, s, p, kept->items[i].sink);
        }
    }
}

void audit_check_forwarded(struct audit *audit, uint32_t p)
{
    const struct pipeline *pipeline = &audit->pipeline;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        const struct progress *progress = &pipeline->progresses[s][p];
        check_all_due(audit, s, p);
        for (uint32_t i = 0; i < progress->forwarded.count; i++) {
            check_forwarded(audit, s, p, &progress->forwarded.items[i]);
        }
        if (pipeline->plan->systems[s]->forwards_rejects &&
            !forwarding_is_done(progress, pipeline_taken(pipeline, p))) {
            audit_find(audit,
                       "%s: some refused rows of %s [%s] have no dead letters yet; the next run "
                       "writes them",
                       pipeline->plan->systems[s]->name, progress->topic, progress->partition);
        }
    }
}

/* What R counts as refused, against the rows that are kept of it. */
void audit_check_reject_counts(struct audit *audit)
{
    const struct ledger *ledger = &audit->result->ledger;
    for (uint32_t i = 0; i < ledger->sink_count; i++) {
        uint64_t kept = 0;
        for (uint32_t r = 0; r < audit->rejects.count; r++) {
            kept += strcmp(audit->rejects.items[r].sink, ledger->sinks[i].name) == 0;
        }
        if (kept != ledger->sinks[i].rejected) {
            audit->result->differences++;
            audit_find(audit, "%s: the ledger counts %llu refused rows, and weir_rejects has %llu",
                       ledger->sinks[i].name, (unsigned long long)ledger->sinks[i].rejected,
                       (unsigned long long)kept);
        }
    }
}

enum status audit_check_ledgers(struct audit *audit, struct error *err)
{
    const struct pipeline *pipeline = &audit->pipeline;
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < pipeline->partition_count; p++) {
        for (uint32_t s = 0; s < pipeline->plan->system_count && status == STATUS_OK; s++) {
            struct audit_segments segments = {0};
            status = audit_segments_load(&audit->pipeline, s, p, &segments, err);
            if (status == STATUS_OK) {
                check_own_ledger(audit, s, p, &segments);
            }
            audit_segments_fini(&segments);
        }
        audit->result->lost += count_lost(pipeline, p);
        if (status == STATUS_OK) {
            status = check_systems_agree(audit, p, err);
        }
    }
    return status;
}
