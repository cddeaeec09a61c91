/*
 * A trace in the course of it: what trace.c (the whole way), trace_match.c (which records belong to
 * it) and trace_places.c (what should stand where, and what does) share. Not for other files.
 */
#ifndef WEIR_INSPECT_TRACE_PRIVATE_H
#define WEIR_INSPECT_TRACE_PRIVATE_H

#include "batch/value.h"
#include "inspect/audit_rejects.h"
#include "run/pipeline.h"
#include "inspect/rejudge.h"
#include "inspect/trace.h"

/* Beside a trace_row: what to look for, and where. */
struct sought {
    struct hash128 hash;
    bool is_keyed;
    struct hash128 key; /* keyed places */
    bool deletes;       /* in a keyed place: a tombstone */
    struct sink *place; /* of the running plan; NULL: it names none */
};

/* Beside a trace_arrival. */
struct found_record {
    uint32_t partition; /* index in the source's list */
    bool has_dedup_key;
    struct hash128 dedup_key;
    struct sought *sought; /* [row_count] */
};

/* A record that belongs to the trace by position: the one asked for, and the origins of replays. */
struct wanted {
    uint32_t partition;
    int64_t offset;
};

struct trace {
    struct pipeline pipeline;
    const struct trace_query *query;
    struct trace_result *result;
    struct arena *arena; /* the result's */
    struct replayer *replayer;
    struct hash_secret secret;
    struct audit_rejects rejects;
    struct outbox **outboxes; /* per sink of the running plan, then the dlq; emptied all the time */
    struct found_record *records; /* [result->arrival_count] */
    struct wanted *wanted;
    uint32_t wanted_count, wanted_capacity;
    struct hash128 *dedup_keys; /* what records of the trace are deduplicated by */
    uint32_t dedup_key_count;
    uint64_t rows_read;
};

/* --- trace_match.c --- */

/* CONFIG "trace.field". */
enum status trace_check_fields(const struct trace *trace, struct error *err) WEIR_MUST_USE;
/* Whether the row belongs to the trace. */
bool trace_is_match(struct trace *trace, const struct plan *plan, const struct batch *batch,
                    uint32_t row);
void trace_want(struct trace *trace, uint32_t partition, int64_t offset);
bool trace_is_wanted(const struct trace *trace, uint32_t partition, int64_t offset);
/* False when the plan has no dedup, or the row no key. */
bool trace_dedup_key(const struct trace *trace, const struct plan *plan,
                     const struct batch *batch, uint32_t row, struct hash128 *out);
/* Records of that key belong to the trace. True when that is new. */
bool trace_add_dedup_key(struct trace *trace, struct hash128 key);

/* --- trace_places.c --- */

/* What should have come of a row that `plan` judged, into the arrival. */
void trace_expect(struct trace *trace, const struct plan *plan, const struct batch *batch,
                  uint32_t row, struct trace_arrival *arrival, struct found_record *record);
/* Looks into all places where something should stand. */
enum status trace_look(struct trace *trace, struct error *err) WEIR_MUST_USE;

#endif
