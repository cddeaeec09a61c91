/*
 * A database behind a connection as a system: what is the same whichever server it is. A module
 * (postgres, mysql) brings the connection, struct database_ops; here are the life of a session, R, plans,
 * segments and refused rows in its tables, and how an epoch is committed. Where the servers' SQL
 * differs, the module has the statement (struct database_statements).
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
#include "connector/database/parameters.h"
#include "connector/registry.h"
#include "connector/sink.h"
#include "connector/source.h"

/* Between two epochs the server waits for its disk and then for us. */
#define DATABASE_EPOCH_BYTES ((size_t)8 * 1024 * 1024)

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
    /* A connection with the settings that commits need, which bears the owner's name if there is one;
     * RETRY when the server is away. */
    enum status (*connect)(struct database *database, struct error *err);
    /* The same if the one that is there is broken. */
    enum status (*reconnect)(struct database *database, struct error *err);
    void (*disconnect)(struct database *database); /* fine when there is none */
    /* From now on the session bears that owner's name, after a reconnection too. */
    enum status (*name_session)(struct database *database, uint64_t owner, struct error *err);
    /* Ends the sessions that bear that owner's name. */
    enum status (*end_sessions)(struct database *database, uint64_t owner, struct error *err);
    /* Makes the table of a sink, or looks at what it is, for rows to come. */
    enum status (*prepare_sink)(struct sink *sink, struct error *err);
    void (*fini_sink)(struct sink *sink); /* what it has beside a struct database_table; may be NULL */
    /* Whether the table of a sink is there. */
    enum status (*find_table)(struct sink *sink, bool *out_there, struct error *err);
    /* Runs one statement. *out is the caller's (free). */
    enum status (*ask)(struct database *database, const char *sql,
                       const struct parameters *parameters, const char *doing,
                       struct database_answer **out, struct error *err);
    /* The same for one whose rows nobody wants. *out_changed: how many rows it changed; may be
     * NULL. */
    enum status (*change)(struct database *database, const char *sql,
                          const struct parameters *parameters, const char *doing,
                          int64_t *out_changed, struct error *err);
    /* The same again and again, once with each of lists[count], without waiting for one answer after
     * the other. out_changed[count]; may be NULL. NULL where a server cannot do it. */
    enum status (*change_all)(struct database *database, const char *sql,
                              const struct parameters *lists, uint32_t count, const char *doing,
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
    /* Begins the transaction of an epoch. */
    enum status (*begin)(struct database *database, const struct attempt *attempt,
                         struct error *err);
    /* COMMIT; sets is_in_doubt where nobody knows whether it is done. */
    enum status (*send_commit)(struct database *database, struct error *err);
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

/* --- session.c --- */

/* For sink_kind.system_new: `d` is zero, the first part of the module's own. */
void database_init(struct database *d, const char *place, const struct database_ops *ops,
                   const struct system_ops *system_ops);
/* sink_kind.system_connect */
enum status database_configure(struct system *system, const struct doc *config, const char *folder,
                               struct error *err);
/* system_ops of these names, but for start: that is begin. */
const char *database_place(const struct system *system);
enum status database_open_session(struct system *system, const char *pipeline, struct error *err);
enum status database_open_reader(struct system *system, const char *pipeline, struct error *err);
void database_close_session(struct system *system);
enum status database_start(struct system *system, const struct progress *progresses,
                           uint32_t count, const struct bytes *plan_texts, uint32_t plan_count,
                           struct error *err);
void database_close(struct system *system);
/* For sink_kind.each_row: `read` visits all rows of a table, `name` as it is written in the
 * configuration, over a connection that reads only. */
enum status database_each_row(const struct sink_kind *kind, const struct doc *config,
                              const char *folder,
                              enum status (*read)(struct database *d, const char *name,
                                                  place_row_visitor *visit, void *context,
                                                  struct error *err),
                              place_row_visitor *visit, void *context, struct error *err);
/* The first half of take_over: the former owner's sessions are ended, the sinks' tables are there,
 * and the session bears the new owner's name. database_take_over() is the second. */
enum status database_enter(struct system *system, const struct progress *progresses,
                           uint32_t count, uint64_t owner, struct error *err) WEIR_MUST_USE;

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
/* In an epoch's transaction, of all parts of the attempt: R by compare-and-swap, from epoch − 1. */
enum status database_write_progress(struct database *d, const struct attempt *attempt,
                                    struct error *err) WEIR_MUST_USE;
/* R was not found at `epoch` with this owner: FENCED where another process has taken over, FATAL
 * "progress.behind" where the database itself has gone back. */
enum status database_fenced(struct database *d, const struct progress *progress, uint64_t epoch,
                            struct error *err) WEIR_MUST_USE;

/* --- ledger_store.c: system_ops.load_segments --- */

enum status database_load_segments(struct system *system, const char *pipeline,
                                   const struct source_partition *partition,
                                   enum status (*segment)(void *context, struct bytes form,
                                                          struct error *err),
                                   void *context, struct error *err);
/* In an epoch's transaction: the segments of all parts of the attempt, to which what is stored of them
 * is added. */
enum status database_write_segments(struct database *d, struct attempt *attempt,
                                    struct error *err) WEIR_MUST_USE;

/* --- reject_store.c: system_ops of these names --- */

enum status database_scan_rejects(struct system *system, const char *pipeline,
                                  enum status (*reject)(void *context, const char *sink,
                                                        const char *topic, const char *partition,
                                                        int64_t offset, const char *code,
                                                        const char *message, struct error *err),
                                  void *context, struct error *err);
enum status database_load_rejects(struct system *system, const struct source_partition *partition,
                                  const char *sink, int64_t from_offset, int64_t before_offset,
                                  kept_reject_visitor *reject, void *context, struct error *err);
/* In an epoch's transaction: the refused rows of the attempt, once they are booked, from
 * numbers[part] + 1 on. */
enum status database_write_rejects(struct database *d, const struct attempt *attempt,
                                   uint64_t *numbers, struct error *err) WEIR_MUST_USE;

/* --- epoch.c: one epoch in the open transaction, and what became of it --- */

/* system_ops.commit */
enum status database_commit(struct system *system, const struct epoch *epoch,
                            struct progress *progresses, struct error *err);
/* Rows of all sinks, refused rows, their dead letters, segments, and R as the last, in a transaction
 * that stays open; after a failure it is rolled back. */
enum status database_write_epoch(struct database *d, struct attempt *attempt,
                                 struct error *err) WEIR_MUST_USE;
/* The statement once with each of the changes, sent together where the server can.
 * out_changed[changes->count]: how many rows each changed; may be NULL. */
enum status database_change_all(struct database *d, const char *sql, const struct changes *changes,
                                const char *doing, int64_t *out_changed,
                                struct error *err) WEIR_MUST_USE;

#endif
