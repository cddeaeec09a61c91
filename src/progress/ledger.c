#include "progress/ledger.h"

#include <stdio.h>
#include <string.h>

void ledger_fini(struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->reason_count; i++) {
        memory_free(ledger->reasons[i].name);
    }
    for (uint32_t i = 0; i < ledger->warning_count; i++) {
        memory_free(ledger->warnings[i].name);
    }
    for (uint32_t i = 0; i < ledger->sink_count; i++) {
        memory_free(ledger->sinks[i].name);
        memory_free(ledger->sinks[i].ranges);
    }
    memory_free(ledger->reasons);
    memory_free(ledger->warnings);
    memory_free(ledger->sinks);
    *ledger = (struct ledger){0};
}

void ledger_clear(struct ledger *ledger)
{
    ledger_fini(ledger);
}

void ledger_copy(struct ledger *to, const struct ledger *from)
{
    struct ledger copy = {0};
    ledger_add(&copy, from);
    ledger_fini(to);
    *to = copy;
}

/* --- Lists that are sorted by name. --- */

/* Where `name` stands or would stand; `items` begin with their name. */
static uint32_t name_position(const void *items, size_t item_bytes, uint32_t count,
                              const char *name, bool *out_found)
{
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const char *const *found =
            (const void *)((const uint8_t *)items + (size_t)middle * item_bytes);
        int order = strcmp(*found, name);
        if (order == 0) {
            *out_found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *out_found = false;
    return low;
}

/* A zeroed item at `position`, those behind move up. Returns the list, which may have moved. */
static void *list_insert(void *items, size_t item_bytes, uint32_t *count, uint32_t position)
{
    check(*count < UINT32_MAX);
    items = memory_realloc(items, size_mul((size_t)*count + 1, item_bytes));
    uint8_t *place = (uint8_t *)items + (size_t)position * item_bytes;
    memmove(place + item_bytes, place, (size_t)(*count - position) * item_bytes);
    memset(place, 0, item_bytes);
    ++*count;
    return items;
}

_Static_assert(offsetof(struct ledger_count, name) == 0, "name_position() looks there");
_Static_assert(offsetof(struct ledger_sink, name) == 0, "name_position() looks there");

static void count_add(struct ledger_count **counts, uint32_t *count, const char *name, uint64_t add)
{
    bool found = false;
    uint32_t at = name_position(*counts, sizeof **counts, *count, name, &found);
    if (!found) {
        *counts = list_insert(*counts, sizeof **counts, count, at);
        (*counts)[at].name = memory_copy_string(name);
    }
    (*counts)[at].count += add;
}

void ledger_add_reason(struct ledger *ledger, const char *name, uint64_t count)
{
    count_add(&ledger->reasons, &ledger->reason_count, name, count);
}

void ledger_add_warning(struct ledger *ledger, const char *name, uint64_t count)
{
    count_add(&ledger->warnings, &ledger->warning_count, name, count);
}

struct ledger_sink *ledger_sink(struct ledger *ledger, const char *name)
{
    bool found = false;
    uint32_t at =
        name_position(ledger->sinks, sizeof *ledger->sinks, ledger->sink_count, name, &found);
    if (!found) {
        ledger->sinks = list_insert(ledger->sinks, sizeof *ledger->sinks, &ledger->sink_count, at);
        ledger->sinks[at].name = memory_copy_string(name);
    }
    return &ledger->sinks[at];
}

const struct ledger_sink *ledger_find_sink(const struct ledger *ledger, const char *name)
{
    bool found = false;
    uint32_t at =
        name_position(ledger->sinks, sizeof *ledger->sinks, ledger->sink_count, name, &found);
    return found ? &ledger->sinks[at] : NULL;
}

void ledger_sink_extend_range(struct ledger_sink *sink, uint32_t partition, int64_t first_offset,
                              int64_t last_offset)
{
    check(first_offset <= last_offset);
    uint32_t at = 0;
    while (at < sink->range_count && sink->ranges[at].partition < partition) {
        at++;
    }
    if (at == sink->range_count || sink->ranges[at].partition != partition) {
        sink->ranges = list_insert(sink->ranges, sizeof *sink->ranges, &sink->range_count, at);
        sink->ranges[at] = (struct ledger_range){partition, first_offset, last_offset};
        return;
    }
    struct ledger_range *range = &sink->ranges[at];
    if (first_offset < range->first_offset) {
        range->first_offset = first_offset;
    }
    if (last_offset > range->last_offset) {
        range->last_offset = last_offset;
    }
}

static void sink_add(struct ledger_sink *to, const struct ledger_sink *delta)
{
    to->routed += delta->routed;
    to->written += delta->written;
    to->rejected += delta->rejected;
    to->sum = hash_add(to->sum, delta->sum);
    for (uint32_t i = 0; i < delta->range_count; i++) {
        const struct ledger_range *range = &delta->ranges[i];
        ledger_sink_extend_range(to, range->partition, range->first_offset, range->last_offset);
    }
}

void ledger_add(struct ledger *to, const struct ledger *delta)
{
    check(to != delta);
    to->in += delta->in;
    to->in_bytes += delta->in_bytes;
    to->in_sum = hash_add(to->in_sum, delta->in_sum);
    for (unsigned i = 0; i < VERDICT_COUNT; i++) {
        to->verdicts[i] += delta->verdicts[i];
    }
    for (unsigned i = 0; i < REPAIR_COUNT; i++) {
        to->repairs[i] += delta->repairs[i];
    }
    to->replayed += delta->replayed;
    to->lost += delta->lost;
    for (uint32_t i = 0; i < delta->reason_count; i++) {
        ledger_add_reason(to, delta->reasons[i].name, delta->reasons[i].count);
    }
    for (uint32_t i = 0; i < delta->warning_count; i++) {
        ledger_add_warning(to, delta->warnings[i].name, delta->warnings[i].count);
    }
    for (uint32_t i = 0; i < delta->sink_count; i++) {
        sink_add(ledger_sink(to, delta->sinks[i].name), &delta->sinks[i]);
    }
}

/* --- The laws. --- */

static bool number_equal(const char *what, const char *name, uint64_t a, uint64_t b,
                         struct buffer *difference)
{
    if (a != b && difference != NULL) {
        buffer_printf(difference, "%s%s is %llu on one side and %llu on the other", what, name,
                      (unsigned long long)a, (unsigned long long)b);
    }
    return a == b;
}

static bool sum_equal(const char *what, const char *name, struct hash128 a, struct hash128 b,
                      struct buffer *difference)
{
    if (hash_equal(a, b)) {
        return true;
    }
    if (difference != NULL) {
        char texts[2][33];
        hash_format(a, texts[0]);
        hash_format(b, texts[1]);
        buffer_printf(difference, "%s%s is %s on one side and %s on the other", what, name,
                      texts[0], texts[1]);
    }
    return false;
}

/* Walks over the names of both lists; a name that only one has counts 0 in the other. */
static bool counts_equal(const char *what, const struct ledger_count *a, uint32_t a_count,
                         const struct ledger_count *b, uint32_t b_count, struct buffer *difference)
{
    uint32_t i = 0;
    uint32_t j = 0;
    while (i < a_count || j < b_count) {
        int order = i == a_count ? 1 : j == b_count ? -1 : strcmp(a[i].name, b[j].name);
        const char *name = order <= 0 ? a[i].name : b[j].name;
        uint64_t in_a = order <= 0 ? a[i++].count : 0;
        uint64_t in_b = order >= 0 ? b[j++].count : 0;
        if (!number_equal(what, name, in_a, in_b, difference)) {
            return false;
        }
    }
    return true;
}

static bool sink_equal(const struct ledger_sink *a, const struct ledger_sink *b, const char *name,
                       struct buffer *difference)
{
    static const struct ledger_sink none;
    a = a == NULL ? &none : a;
    b = b == NULL ? &none : b;
    return number_equal("rows routed to ", name, a->routed, b->routed, difference) &&
           number_equal("rows written to ", name, a->written, b->written, difference) &&
           number_equal("rows rejected by ", name, a->rejected, b->rejected, difference) &&
           sum_equal("the sum of rows written to ", name, a->sum, b->sum, difference);
}

static bool sinks_equal(const struct ledger *a, const struct ledger *b, struct buffer *difference)
{
    for (uint32_t i = 0; i < a->sink_count; i++) {
        const char *name = a->sinks[i].name;
        if (!sink_equal(&a->sinks[i], ledger_find_sink(b, name), name, difference)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < b->sink_count; i++) {
        const char *name = b->sinks[i].name;
        if (ledger_find_sink(a, name) == NULL &&
            !sink_equal(NULL, &b->sinks[i], name, difference)) {
            return false;
        }
    }
    return true;
}

bool ledger_equal(const struct ledger *a, const struct ledger *b, bool with_sinks,
                  struct buffer *difference)
{
    if (!number_equal("in", "", a->in, b->in, difference) ||
        !number_equal("bytes in", "", a->in_bytes, b->in_bytes, difference) ||
        !number_equal("replayed", "", a->replayed, b->replayed, difference) ||
        !number_equal("lost", "", a->lost, b->lost, difference)) {
        return false;
    }
    for (unsigned i = 0; i < VERDICT_COUNT; i++) {
        if (!number_equal("verdict ", verdict_name((enum verdict)i), a->verdicts[i], b->verdicts[i],
                          difference)) {
            return false;
        }
    }
    for (unsigned i = 0; i < REPAIR_COUNT; i++) {
        if (!number_equal("repair ", repair_name((enum repair_kind)i), a->repairs[i], b->repairs[i],
                          difference)) {
            return false;
        }
    }
    return sum_equal("the sum of inputs", "", a->in_sum, b->in_sum, difference) &&
           counts_equal("reason ", a->reasons, a->reason_count, b->reasons, b->reason_count,
                        difference) &&
           counts_equal("warning ", a->warnings, a->warning_count, b->warnings, b->warning_count,
                        difference) &&
           (!with_sinks || sinks_equal(a, b, difference));
}

bool ledger_is_balanced(const struct ledger *ledger, struct buffer *difference)
{
    uint64_t decided = 0;
    for (unsigned i = VERDICT_VALID; i < VERDICT_COUNT; i++) {
        decided += ledger->verdicts[i];
    }
    if (ledger->in != decided) {
        if (difference != NULL) {
            buffer_printf(difference, "%llu records came in and %llu have a verdict",
                          (unsigned long long)ledger->in, (unsigned long long)decided);
        }
        return false;
    }
    for (uint32_t i = 0; i < ledger->sink_count; i++) {
        const struct ledger_sink *sink = &ledger->sinks[i];
        if (sink->routed != sink->written + sink->rejected) {
            if (difference != NULL) {
                buffer_printf(
                    difference, "%llu rows were routed to %s, %llu were written and %llu rejected",
                    (unsigned long long)sink->routed, sink->name, (unsigned long long)sink->written,
                    (unsigned long long)sink->rejected);
            }
            return false;
        }
    }
    return true;
}
