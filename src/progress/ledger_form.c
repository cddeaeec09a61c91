/* The stored forms of a ledger: binary and JSON. docs/formats.md describes both. */
#include <string.h>

#include "progress/ledger.h"
#include "state/form.h"

/* The form has the counts one after the other: another number of them is another version. */
_Static_assert(VERDICT_COUNT == 6 && REPAIR_COUNT == 4, "version 1 has these counts");

enum {
    COUNT_FORM_MIN_BYTES = 4 + 8,
    SINK_FORM_MIN_BYTES = 4 + 3 * 8 + 16 + 4,
    RANGE_FORM_BYTES = 4 + 8 + 8,
};

static void write_string(const char *string, struct buffer *out)
{
    buffer_append_sized(out, string, strlen(string));
}

static void write_counts(const struct ledger_count *counts, uint32_t count, struct buffer *out)
{
    buffer_append_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        write_string(counts[i].name, out);
        buffer_append_u64(out, counts[i].count);
    }
}

static void write_sink(const struct ledger_sink *sink, struct buffer *out)
{
    write_string(sink->name, out);
    buffer_append_u64(out, sink->routed);
    buffer_append_u64(out, sink->written);
    buffer_append_u64(out, sink->rejected);
    form_write_hash(sink->sum, out);
    buffer_append_u32(out, sink->range_count);
    for (uint32_t i = 0; i < sink->range_count; i++) {
        buffer_append_u32(out, sink->ranges[i].partition);
        buffer_append_u64(out, (uint64_t)sink->ranges[i].first_offset);
        buffer_append_u64(out, (uint64_t)sink->ranges[i].last_offset);
    }
}

void ledger_write(const struct ledger *ledger, struct buffer *out)
{
    buffer_append_u64(out, ledger->in);
    buffer_append_u64(out, ledger->in_bytes);
    form_write_hash(ledger->in_sum, out);
    for (unsigned i = 0; i < VERDICT_COUNT; i++) {
        buffer_append_u64(out, ledger->verdicts[i]);
    }
    for (unsigned i = 0; i < REPAIR_COUNT; i++) {
        buffer_append_u64(out, ledger->repairs[i]);
    }
    buffer_append_u64(out, ledger->replayed);
    buffer_append_u64(out, ledger->lost);
    write_counts(ledger->reasons, ledger->reason_count, out);
    write_counts(ledger->warnings, ledger->warning_count, out);
    buffer_append_u32(out, ledger->sink_count);
    for (uint32_t i = 0; i < ledger->sink_count; i++) {
        write_sink(&ledger->sinks[i], out);
    }
}

/* A count of items that the rest of the form has room for, else 0 with `failed` set. */
static uint32_t read_count(struct reader *in, size_t item_bytes)
{
    uint32_t count = reader_u32(in);
    if (in->failed || count > (size_t)(in->end - in->at) / item_bytes) {
        in->failed = true;
        return 0;
    }
    return count;
}

/* A name without NUL that comes after `previous` (NULL: any), else NULL with `failed` set. */
static char *read_name(struct reader *in, const char *previous)
{
    struct bytes bytes = reader_sized(in);
    if (in->failed || (bytes.size > 0 && memchr(bytes.data, 0, bytes.size) != NULL)) {
        in->failed = true;
        return NULL;
    }
    char *name = memory_alloc(bytes.size + 1);
    memcpy(name, bytes.data, bytes.size);
    name[bytes.size] = '\0';
    if (previous != NULL && strcmp(previous, name) >= 0) {
        memory_free(name);
        in->failed = true;
        return NULL;
    }
    return name;
}

static struct ledger_count *read_counts(struct reader *in, uint32_t *out_count)
{
    uint32_t count = read_count(in, COUNT_FORM_MIN_BYTES);
    if (count == 0) {
        return NULL;
    }
    struct ledger_count *counts = memory_alloc_zero(count, sizeof *counts);
    for (uint32_t i = 0; i < count && !in->failed; i++) {
        counts[i].name = read_name(in, i == 0 ? NULL : counts[i - 1].name);
        counts[i].count = reader_u64(in);
        /* What was read so far belongs to the ledger, whose owner frees it. */
        *out_count = i + 1;
    }
    return counts;
}

static void read_sink(struct reader *in, const char *previous, struct ledger_sink *sink)
{
    sink->name = read_name(in, previous);
    sink->routed = reader_u64(in);
    sink->written = reader_u64(in);
    sink->rejected = reader_u64(in);
    sink->sum = form_read_hash(in);
    uint32_t count = read_count(in, RANGE_FORM_BYTES);
    if (count == 0) {
        return;
    }
    sink->ranges = memory_alloc_zero(count, sizeof *sink->ranges);
    sink->range_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct ledger_range *range = &sink->ranges[i];
        range->partition = reader_u32(in);
        range->first_offset = (int64_t)reader_u64(in);
        range->last_offset = (int64_t)reader_u64(in);
        if (range->first_offset > range->last_offset ||
            (i > 0 && range[-1].partition >= range->partition)) {
            in->failed = true;
        }
    }
}

void ledger_read(struct ledger *ledger, struct reader *in)
{
    ledger->in = reader_u64(in);
    ledger->in_bytes = reader_u64(in);
    ledger->in_sum = form_read_hash(in);
    for (unsigned i = 0; i < VERDICT_COUNT; i++) {
        ledger->verdicts[i] = reader_u64(in);
    }
    for (unsigned i = 0; i < REPAIR_COUNT; i++) {
        ledger->repairs[i] = reader_u64(in);
    }
    ledger->replayed = reader_u64(in);
    ledger->lost = reader_u64(in);
    ledger->reasons = read_counts(in, &ledger->reason_count);
    ledger->warnings = read_counts(in, &ledger->warning_count);
    uint32_t count = read_count(in, SINK_FORM_MIN_BYTES);
    if (count == 0) {
        return;
    }
    ledger->sinks = memory_alloc_zero(count, sizeof *ledger->sinks);
    for (uint32_t i = 0; i < count && !in->failed; i++) {
        read_sink(in, i == 0 ? NULL : ledger->sinks[i - 1].name, &ledger->sinks[i]);
        ledger->sink_count = i + 1;
    }
}

/* --- JSON. --- */

static void json_string(const char *string, struct buffer *out)
{
    buffer_append_byte(out, '"');
    for (const char *at = string; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, (uint8_t)*at);
        } else if ((uint8_t)*at < 0x20) {
            buffer_printf(out, "\\u%04x", (unsigned)*at);
        } else {
            buffer_append_byte(out, (uint8_t)*at);
        }
    }
    buffer_append_byte(out, '"');
}

/* `"name":number`, after a comma unless it is the first. */
static void json_number(const char *name, uint64_t number, bool is_first, struct buffer *out)
{
    if (!is_first) {
        buffer_append_byte(out, ',');
    }
    json_string(name, out);
    buffer_printf(out, ":%llu", (unsigned long long)number);
}

static void json_sum(const char *name, struct hash128 sum, struct buffer *out)
{
    char digits[33];
    hash_format(sum, digits);
    buffer_printf(out, ",\"%s\":\"%s\"", name, digits);
}

static void json_counts(const char *name, const struct ledger_count *counts, uint32_t count,
                        struct buffer *out)
{
    buffer_printf(out, ",\"%s\":{", name);
    for (uint32_t i = 0; i < count; i++) {
        json_number(counts[i].name, counts[i].count, i == 0, out);
    }
    buffer_append_byte(out, '}');
}

static void json_sink(const struct ledger_sink *sink, struct buffer *out)
{
    json_string(sink->name, out);
    buffer_append_string(out, ":{");
    json_number("routed", sink->routed, true, out);
    json_number("written", sink->written, false, out);
    json_number("rejected", sink->rejected, false, out);
    json_sum("sum", sink->sum, out);
    buffer_append_string(out, ",\"ranges\":[");
    for (uint32_t i = 0; i < sink->range_count; i++) {
        const struct ledger_range *range = &sink->ranges[i];
        buffer_printf(out, "%s{\"partition\":%u,\"first_offset\":%lld,\"last_offset\":%lld}",
                      i == 0 ? "" : ",", range->partition, (long long)range->first_offset,
                      (long long)range->last_offset);
    }
    buffer_append_string(out, "]}");
}

void ledger_write_json(const struct ledger *ledger, struct buffer *out)
{
    static const char *const verdicts[VERDICT_COUNT] = {
        [VERDICT_VALID] = "valid",         [VERDICT_INVALID] = "invalid",
        [VERDICT_DUPLICATE] = "duplicate", [VERDICT_LATE] = "late",
        [VERDICT_FILTERED] = "filtered",
    };
    buffer_append_byte(out, '{');
    json_number("in", ledger->in, true, out);
    json_number("in_bytes", ledger->in_bytes, false, out);
    json_sum("in_sum", ledger->in_sum, out);
    buffer_append_string(out, ",\"verdicts\":{");
    for (unsigned i = VERDICT_VALID; i < VERDICT_COUNT; i++) {
        json_number(verdicts[i], ledger->verdicts[i], i == VERDICT_VALID, out);
    }
    buffer_append_string(out, "},\"repairs\":{");
    for (unsigned i = 0; i < REPAIR_COUNT; i++) {
        json_number(repair_name((enum repair_kind)i), ledger->repairs[i], i == 0, out);
    }
    buffer_append_byte(out, '}');
    json_number("replayed", ledger->replayed, false, out);
    json_number("lost", ledger->lost, false, out);
    json_counts("reasons", ledger->reasons, ledger->reason_count, out);
    json_counts("warnings", ledger->warnings, ledger->warning_count, out);
    buffer_append_string(out, ",\"sinks\":{");
    for (uint32_t i = 0; i < ledger->sink_count; i++) {
        if (i > 0) {
            buffer_append_byte(out, ',');
        }
        json_sink(&ledger->sinks[i], out);
    }
    buffer_append_string(out, "}}");
}
