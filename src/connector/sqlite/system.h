/*
 * One SQLite file as a system: what system.c (transactions, R), log_sink.c and table_sink.c
 * share. Not for other folders.
 *
 * Tables of the system, beside those of the local log:
 *   weir_progress  R per pipeline, topic and partition; `record` is R (progress/progress.h) and
 *                  rules; the count columns are a copy for people
 *   weir_start     R of epoch 0, as it was when the system began
 *   weir_ledger    ledger segments (segment_write)
 *   weir_plan      canonical texts of plans by hash
 *   weir_rejects   rows that tables refused, numbered per pipeline
 *
 * A commit, in this order, in one transaction: rows of all sinks → refused rows → their dead
 * letters → segments → group offsets (advice) → R by compare-and-swap.
 */
#ifndef WEIR_CONNECTOR_SQLITE_SYSTEM_H
#define WEIR_CONNECTOR_SQLITE_SYSTEM_H

#include "connector/sink.h"
#include "connector/source.h"
#include "locallog/locallog.h"

struct sqlite3;
struct sqlite3_stmt;
struct sqlite_system;

/* A row that a table refused, on its way to weir_rejects and the dead letters. Slices point into
 * the table's outbox; `record.headers` is the attempt's. */
struct reject {
    const struct sink *sink;
    const struct source_partition *origin;
    uint32_t source_partition;
    struct record record; /* offset, timestamp, key, value and headers */
    uint32_t attempt;     /* of the dead letter */
    struct hash128 hash;  /* as it stands in the sink's sum */
    const char *code;     /* "sink.constraint_check", … */
    char message[200];
};

/* One attempt at one epoch: R and segments as they will be. */
struct attempt {
    const struct epoch *epoch;
    struct progress *next;          /* [part_count] */
    struct ledger **segments;       /* [part][segment of the step]: cumulative */
    struct reject *rejects;
    uint32_t reject_count, reject_capacity;
};

/* What system.c asks of a sink of the file. */
struct sqlite_sink_work {
    /* Topic or table made or checked; outside of a transaction. */
    enum status (*prepare)(struct sink *sink, struct locallog *log, struct error *err);
    /* What can be done without the write lock; may be called again for the same epoch. */
    void (*finish)(struct sink *sink, struct outbox *outbox);
    /* Within the transaction. *out_redo: the transaction is gone because of one row, which is
     * marked; roll back and begin again. */
    enum status (*write)(struct sink *sink, struct outbox *outbox, struct locallog *log,
                         struct attempt *attempt, bool *out_redo, struct error *err);
    /* Forgets marks of refused rows from an earlier attempt. May be NULL. */
    void (*unmark)(struct outbox *outbox);
    void (*close_session)(struct sink *sink);
    void (*free)(struct sink *sink);
};

struct sqlite_sink {
    struct sink sink; /* first */
    const struct sqlite_sink_work *work;
};

extern const struct system_ops sqlite_system_ops;
struct system *sqlite_system_new(const char *place);
enum status sqlite_system_place(struct arena *arena, const struct doc *config, const char *folder,
                                char **out_place, struct error *err);
/* Takes the sink over. */
void sqlite_system_add(struct system *system, struct sqlite_sink *sink);
/* NULL without an open session. */
struct locallog *sqlite_system_log(const struct system *system);

/* The output range of rows of one source partition, into R and the segments. */
void attempt_extend_range(struct attempt *attempt, const char *sink_name,
                          uint32_t source_partition, uint32_t output_partition,
                          int64_t first_offset, int64_t last_offset);
/* Takes the headers over. */
void attempt_add_reject(struct attempt *attempt, const struct reject *reject);

/* Runs one SQL text; the error names `doing`. */
enum status sqlite_run(struct locallog *log, const char *sql, const char *doing,
                       struct error *err) WEIR_MUST_USE;
enum status sqlite_prepare(struct locallog *log, const char *sql, const char *doing,
                           struct sqlite3_stmt **out, struct error *err) WEIR_MUST_USE;
/* "name" with quotes doubled, in `arena`. */
const char *sqlite_quote(struct arena *arena, const char *name);

#endif
