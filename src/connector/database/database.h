/*
 * A database behind a connection as a system: what is the same whichever server it is. A module
 * (postgres) brings the session, struct database_ops; here are R, plans, segments and refused
 * rows in its tables, and how an epoch is committed. Where the servers' SQL differs, the module has
 * the statement (struct database_statements).
 *
 * Tables of the system, beside the sinks' tables:
 *   weir_progress  R per pipeline, topic and partition; `record` is R (progress/progress.h) and
 *                  rules; the count columns are a copy for people
 *   weir_start     R of epoch 0, as it was when the system began
 *   weir_ledger    ledger segments (segment_write)
 *   weir_plan      canonical texts of plans by hash
 *   weir_rejects   rows that tables refused, numbered per pipeline and partition
 *
 * SQL here has parameters $1 to $16 and names in double quotes; a module whose server wants it
 * otherwise rewrites it.
 *
 * Threads: one session, on the committer's thread.
 */
#ifndef WEIR_CONNECTOR_DATABASE_DATABASE_H
#define WEIR_CONNECTOR_DATABASE_DATABASE_H

#include "connector/attempt.h"
#include "connector/sink.h"
#include "connector/source.h"

/* Parameters of a statement. Texts and bytes are slices of the caller's. */
#define PARAMETERS_MAX 16
enum parameter_kind { PARAMETER_TEXT, PARAMETER_INTEGER, PARAMETER_BYTES };
struct parameter {
    enum parameter_kind kind;
    struct bytes bytes;  /* none: null; an integer's as digits, in `digits` */
    int64_t integer;
    char digits[24];
};
struct parameters {
    int count;
    struct parameter list[PARAMETERS_MAX];
};
void parameters_text(struct parameters *parameters, const char *text);
void parameters_integer(struct parameters *parameters, int64_t number);
/* None: null. */
void parameters_bytes(struct parameters *parameters, struct bytes bytes);

struct database;
/* Rows that a statement gave: the module's own form. */
struct database_answer;

/* Statements that every server words in its own way. */
struct database_statements {
    const char *count_tables;    /* how many of the tables above are there */
    const char *make_tables;     /* those that are not */
    const char *insert_plan;     /* hash, text; nothing where the hash is there */
    const char *insert_progress; /* the columns in their order; nothing where the partition is there */
    const char *write_start;     /* pipeline, topic, partition, record */
    const char *write_segment;   /* pipeline, topic, partition, first and next offset, segment */
    const char *insert_reject;   /* the columns in their order; a timestamp as text, "" for none */
    /* The same and, as $14 to $16, what a dead letter in another system needs: the hash of the plan, the
     * timestamp in microseconds, and 1 ("forward"). NULL where refused rows are not forwarded. */
    const char *insert_forward;
};

struct database_ops {
    /* Runs one statement. *out is the caller's (free). */
    enum status (*ask)(struct database *database, const char *sql,
                       const struct parameters *parameters, const char *doing,
                       struct database_answer **out, struct error *err);
    /* The same for one whose rows nobody wants. *out_changed: how many rows it changed; may be
     * NULL. */
    enum status (*change)(struct database *database, const char *sql,
                          const struct parameters *parameters, const char *doing,
                          int64_t *out_changed, struct error *err);
    /* Statements without parameters, with ';' between them. */
    enum status (*run)(struct database *database, const char *sql, const char *doing,
                       struct error *err);
    uint32_t (*row_count)(const struct database_answer *answer);
    /* A text or bytea column: a NUL stands behind it, which does not count. None for null. */
    struct bytes (*bytes)(const struct database_answer *answer, uint32_t row, uint32_t column);
    /* A bigint column, not null. */
    int64_t (*integer)(const struct database_answer *answer, uint32_t row, uint32_t column);
    void (*free)(struct database_answer *answer); /* NULL is fine */
    /* Ends the open transaction, whatever state the session is in. */
    void (*roll_back)(struct database *database);
    /* In the open transaction: an outbox into the table of a sink; refused rows into the attempt. */
    enum status (*write_table)(struct sink *sink, struct outbox *outbox, struct attempt *attempt,
                               struct error *err);
    const struct database_statements *statements;
};

struct database {
    struct system system; /* first */
    const struct database_ops *ops;
    char *place;          /* the identity of the database, without secrets */
    char *name;
    const struct doc *config; /* of the connection */
    char *folder;         /* of the pipeline file */
    char *pipeline;       /* while a session is open */
    uint64_t owner;       /* of this process, once it has begun or taken over; sessions bear it as a name */
    bool is_reader;
    bool is_in_doubt;     /* COMMIT of the epoch was sent, and its answer did not come */
};

static inline struct database *database_of(const struct system *system)
{
    return (struct database *)(void *)(uintptr_t)system;
}

/* --- progress_store.c: system_ops of these names --- */

enum status database_make_tables(struct database *d, struct error *err) WEIR_MUST_USE;
/* CONFIG "progress.none" when they are not there. */
enum status database_check_tables(struct database *d, struct error *err) WEIR_MUST_USE;
enum status database_load(struct system *system, const struct source_partition *partition,
                          struct progress *progress, bool *out_found, struct error *err);
enum status database_load_first(struct system *system, const struct source_partition *partition,
                                struct progress *progress, bool *out_found, struct error *err);
enum status database_count_partitions(struct system *system, uint32_t *out_count,
                                      struct error *err);
enum status database_begin(struct system *system, const struct progress *progresses,
                           uint32_t count, const struct bytes *plan_texts, uint32_t plan_count,
                           struct error *err);
enum status database_take_over(struct system *system, const struct progress *progresses,
                               uint32_t count, uint64_t owner, struct bytes plan_text,
                               struct error *err);
enum status database_load_plan(struct system *system, struct hash128 plan_hash, struct buffer *out,
                               bool *out_found, struct error *err);
enum status database_load_segments(struct system *system, const char *pipeline,
                                   const struct source_partition *partition,
                                   enum status (*segment)(void *context, struct bytes form,
                                                          struct error *err),
                                   void *context, struct error *err);
enum status database_scan_rejects(struct system *system, const char *pipeline,
                                  enum status (*reject)(void *context, const char *sink,
                                                        const char *topic, const char *partition,
                                                        int64_t offset, const char *code,
                                                        const char *message, struct error *err),
                                  void *context, struct error *err);
/* The session is there. */
enum status database_load_rejects(struct system *system, const struct source_partition *partition,
                                  const char *sink, int64_t from_offset, int64_t before_offset,
                                  kept_reject_visitor *reject, void *context, struct error *err);
/* In a transaction: R by compare-and-swap, from epoch − 1. */
enum status database_write_progress(struct database *d, const struct progress *progress,
                                    struct error *err) WEIR_MUST_USE;
enum status database_write_segment(struct database *d, const struct progress *progress,
                                   const struct progress_step *step, uint32_t index,
                                   struct ledger *ledger, struct error *err) WEIR_MUST_USE;
enum status database_write_reject(struct database *d, const struct reject *reject,
                                  const struct progress *progress, uint64_t number,
                                  struct error *err) WEIR_MUST_USE;
/* R was not found at `epoch` with this owner: FENCED where another process has taken over, FATAL
 * "progress.behind" where the database itself has gone back. */
enum status database_fenced(struct database *d, const struct progress *progress, uint64_t epoch,
                            struct error *err) WEIR_MUST_USE;
/* Parameters 1 to 3: the pipeline that is open, and the partition. */
struct parameters database_of_progress(const struct database *d, const struct progress *progress);

/* --- epoch.c: one epoch in the open transaction, and what became of it --- */

/* Rows of all sinks, refused rows, their dead letters, segments, and R as the last. */
enum status database_write_epoch(struct database *d, struct attempt *attempt,
                                 struct error *err) WEIR_MUST_USE;
/* Whether an epoch in doubt was committed: epoch and owner of R as they stand, once whoever had
 * that COMMIT has ended. FENCED for somebody else's. In a transaction of its own. */
enum status database_resolve(struct database *d, const struct epoch *epoch,
                             const struct progress *progresses, bool *out_done,
                             struct error *err) WEIR_MUST_USE;
/* R as it was committed: which rows were refused is known to it alone. */
enum status database_reload(struct database *d, const struct epoch *epoch,
                            struct progress *progresses, struct error *err) WEIR_MUST_USE;

#endif
