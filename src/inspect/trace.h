/*
 * Trace: where is my record. Finds every arrival of a record in the source, judges it again as the
 * pipeline did, and looks into every place for what came of it.
 *
 * A record is named by a text (the record's key, its dedup key, or fields of the caller's choice)
 * or by its position. Whatever belongs to it is found as well: records of the same dedup key (the
 * witness, the resends), the dead letter that it is a replay of, and replays of its own dead
 * letters.
 *
 * Reads only, beside a pipeline that runs. Costs a reading of the source from its beginning, and of
 * every place where something should stand. What it could not look at is said, never passed over.
 */
#ifndef WEIR_INSPECT_TRACE_H
#define WEIR_INSPECT_TRACE_H

#include "run/run.h"

struct trace_query {
    const char *key;         /* NULL: by position */
    const char *const *by;   /* paths of fields that make up the key; NULL: as above */
    uint32_t by_count;
    const char *topic;       /* by position; NULL: whatever the topic is called */
    const char *partition;   /* label */
    int64_t offset;
    uint32_t most;           /* arrivals that are told, at least 1 */
};

struct trace_violation {
    const char *reason;
    const char *field; /* "" where there is none */
    struct bytes detail;
    bool is_warning;
};

struct trace_repair {
    const char *field;
    const char *kinds;   /* "null_value, fill_last_by" */
    struct bytes before; /* raw JSON as it came; none: there was no such member */
    struct bytes after;  /* JSON; none: it has no value now */
};

enum trace_state {
    TRACE_STANDS,
    TRACE_ALTERED,  /* a row of that origin stands there with other content */
    TRACE_REFUSED,  /* the place did not take it; `note` says why */
    TRACE_REPLACED, /* one of the same key that is newer stands in its place */
    TRACE_DELETED,  /* by a tombstone; of that itself: the row of its key is not there */
    TRACE_WAITING,  /* not committed yet */
    TRACE_MISSING,  /* committed, and not there any more */
    TRACE_UNKNOWN,  /* an older plan wrote it to a place that this file does not name */
};
#define TRACE_STATES 8
/* "stands", "altered", … */
const char *trace_state_name(enum trace_state state);

/* What should stand somewhere. */
struct trace_row {
    const char *sink;   /* name at that time, "dlq" for dead letters */
    bool is_letter;
    const char *system; /* where it is, and what there */
    const char *address;
    enum trace_state state;
    const char *part;   /* partition, part or ""; STANDS and ALTERED */
    int64_t position;   /* offset, line or rowid; 0: none */
    uint64_t times;     /* how many rows of the same content stand there */
    const char *note;   /* "" or more to say */
};

struct trace_commit {
    const char *system;
    int64_t next_offset; /* this system has taken all before it */
    uint64_t epoch;
    bool is_in;
};

struct trace_arrival {
    const char *topic;
    const char *partition;
    int64_t offset;
    int64_t timestamp_us; /* TIME_NEVER: none */
    struct bytes key;
    struct bytes value;
    /* False: the log before it, which its verdict depends on, is gone. All below is empty then, but
     * what says in its place that it comes from this record is among `rows`. */
    bool is_judged;
    bool is_ahead; /* nobody has taken it yet: judged under the file as it is now */
    const char *plan; /* hash */
    enum verdict verdict;
    int64_t event_time_us; /* TIME_NEVER: none */
    int64_t watermark_us;
    struct trace_violation *violations; /* the first is the reason */
    uint32_t violation_count;
    struct trace_repair *repairs;
    uint32_t repair_count;
    /* The dead letter that was re-injected; replay_topic NULL: it is none. */
    const char *replay_topic;
    int32_t replay_partition;
    int64_t replay_offset;
    uint32_t replay_attempt;
    const char *replay_sink; /* "" unless one had refused it */
    struct trace_commit *commits;
    uint32_t commit_count;
    struct trace_row *rows;
    uint32_t row_count;
};

struct trace_result {
    struct arena *arena;
    struct trace_arrival *arrivals; /* by partition and offset */
    uint32_t arrival_count;
    uint64_t left_out;              /* more of them than `most` */
    const char **notes;             /* what could not be looked at */
    uint32_t note_count;
};
void trace_result_fini(struct trace_result *result);

/* OK also when nothing is found. CONFIG "trace.field" for a field that the schema does not have,
 * "trace.position" for a partition that the source does not have. */
enum status trace_pipeline(struct plan *plan, const struct trace_query *query,
                           const struct run_observer *observer, struct trace_result *result,
                           struct error *err) WEIR_MUST_USE;

#endif
