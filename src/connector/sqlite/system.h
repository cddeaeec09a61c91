/*
 * One SQLite file as a system: what system.c, progress_store.c, commit.c and the sinks of the file
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

#include "connector/attempt.h"
#include "connector/sink.h"
#include "connector/source.h"
#include "locallog/locallog.h"

struct sqlite3;
struct sqlite3_stmt;
struct sqlite_sink_work;

struct sqlite_system {
    struct system system; /* first */
    char *place;
    char *name;
    char *pipeline;       /* while a session is open */
    struct locallog *log;
    struct locallog_group_lock *group_lock;
    struct locallog_checkpointer *checkpointer;
    const struct sqlite_sink_work **works; /* of its sinks, by their index */
    uint64_t owner;
    struct sqlite3_stmt *update_progress;
    struct sqlite3_stmt *read_segment;
    struct sqlite3_stmt *write_segment;
    struct sqlite3_stmt *write_reject;
};

/* What system.c and commit.c ask of a sink of the file. */
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

static inline struct sqlite_system *sqlite_system(const struct system *system)
{
    return (struct sqlite_system *)(void *)(uintptr_t)system;
}

static inline const struct sqlite_sink_work *sqlite_sink_work(const struct sink *sink)
{
    return sqlite_system(sink->system)->works[sink->index];
}

/* --- system.c --- */

extern const struct system_ops sqlite_system_ops;

struct system *sqlite_system_new(const char *place);
enum status sqlite_system_place(struct arena *arena, const struct doc *config, const char *folder,
                                char **out_place, struct error *err);
/* Takes the sink over. */
void sqlite_system_add(struct system *system, struct sink *sink,
                       const struct sqlite_sink_work *work);
/* NULL without an open session. */
struct locallog *sqlite_system_log(const struct system *system);

/* --- commit.c --- */

/* system_ops.commit */
enum status sqlite_commit(struct system *system, const struct epoch *epoch,
                          struct progress *progresses, struct error *err);

/* --- progress_store.c: system_ops of these names --- */

enum status sqlite_load(struct system *system, const struct source_partition *partition,
                        struct progress *progress, bool *out_found, struct error *err);
enum status sqlite_load_first(struct system *system, const struct source_partition *partition,
                              struct progress *progress, bool *out_found, struct error *err);
enum status sqlite_count_partitions(struct system *system, uint32_t *out_count, struct error *err);
enum status sqlite_begin(struct system *system, const struct progress *progresses, uint32_t count,
                         const struct bytes *plan_texts, uint32_t plan_count, struct error *err);
enum status sqlite_take_over(struct system *system, const struct progress *progresses,
                             uint32_t count, uint64_t owner, struct bytes plan_text,
                             struct error *err);
enum status sqlite_load_plan(struct system *system, struct hash128 plan_hash, struct buffer *out,
                             bool *out_found, struct error *err);
enum status sqlite_load_segments(struct system *system, const char *pipeline,
                                 const struct source_partition *partition,
                                 enum status (*segment)(void *context, struct bytes form,
                                                        struct error *err),
                                 void *context, struct error *err);
enum status sqlite_scan_rejects(struct system *system, const char *pipeline,
                                enum status (*reject)(void *context, const char *sink,
                                                      const char *topic, const char *partition,
                                                      int64_t offset, const char *code,
                                                      const char *message, struct error *err),
                                void *context, struct error *err);
enum status sqlite_load_rejects(struct system *system, const struct source_partition *partition,
                                const char *sink, int64_t from_offset, int64_t before_offset,
                                kept_reject_visitor *reject, void *context, struct error *err);
/* The count columns of weir_progress, from parameter `first` on. */
void sqlite_bind_counts(struct sqlite3_stmt *statement, int first, const struct ledger *ledger);
/* FENCED: another owner has R. */
enum status sqlite_fenced(const struct sqlite_system *s, const struct progress *progress,
                          struct error *err);

/* --- statement.c --- */

/* Runs one SQL text; the error names `doing`. */
enum status sqlite_run(struct locallog *log, const char *sql, const char *doing,
                       struct error *err) WEIR_MUST_USE;
enum status sqlite_prepare(struct locallog *log, const char *sql, const char *doing,
                           struct sqlite3_stmt **out, struct error *err) WEIR_MUST_USE;
/* "name" with quotes doubled, in `arena`. */
const char *sqlite_quote(struct arena *arena, const char *name);

void sqlite_bind_string(struct sqlite3_stmt *statement, int index, const char *text);
void sqlite_bind_bytes(struct sqlite3_stmt *statement, int index, struct bytes bytes);
/* Runs a statement to its end and makes it ready again. */
enum status sqlite_step_done(struct locallog *log, struct sqlite3_stmt *statement,
                             const char *doing, struct error *err);

#endif
