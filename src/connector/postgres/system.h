/*
 * One PostgreSQL database as a system: what the files of this folder share. Not for other folders.
 *
 * Tables of the system, in the first schema of the connection's search_path, beside the sinks'
 * tables:
 *   weir_progress  R per pipeline, topic and partition; `record` is R (progress/progress.h) and
 *                  rules; the count columns are a copy for people
 *   weir_start     R of epoch 0, as it was when the system began
 *   weir_ledger    ledger segments (segment_write)
 *   weir_plan      canonical texts of plans by hash
 *   weir_rejects   rows that tables refused, numbered per pipeline and partition
 *
 * A commit, in one transaction (commit.c):
 *
 *   BEGIN; SET CONSTRAINTS ALL IMMEDIATE → rows of all sinks (table_write.c) → refused rows → their
 *   dead letters → segments → R by compare-and-swap → COMMIT
 *
 *      ┌────────┐ any statement fails     ┌───────┐
 *      │ open   │────────────────────────▶│ RETRY │  (class passing: the same epoch again, over a new
 *      └───┬────┘                         └───────┘   connection if this one broke)
 *   COMMIT │ sent, no answer
 *      ┌───▼──────┐ postgres_resolve(): SELECT epoch, owner … FOR UPDATE waits for the old backend
 *      │ IN_DOUBT │──▶ epoch e: done │ e − 1 and mine: RETRY │ else FENCED
 *      └──────────┘
 *
 * Taking over first ends the sessions of the former owner: one that was frozen in an open transaction
 * would hold the locks on R and on its rows for as long as it is frozen.
 *
 * Threads: one session, on the committer's thread.
 */
#ifndef WEIR_CONNECTOR_POSTGRES_SYSTEM_H
#define WEIR_CONNECTOR_POSTGRES_SYSTEM_H

#include <libpq-fe.h>

#include "connector/attempt.h"
#include "connector/sink.h"
#include "connector/source.h"

struct postgres_system {
    struct system system; /* first */
    char *place;          /* the identity of the database, without secrets */
    char *name;
    const struct doc *config; /* of the connection */
    char *folder;         /* of the pipeline file */
    char *pipeline;       /* while a session is open */
    PGconn *connection;   /* while a session is open; may be broken */
    uint64_t owner;       /* of this process, once it has begun or taken over; sessions bear it as a name */
    bool is_reader;
    bool is_in_doubt;     /* COMMIT of the epoch was sent, and its answer did not come */
};

static inline struct postgres_system *postgres_system(const struct system *system)
{
    return (struct postgres_system *)(void *)(uintptr_t)system;
}

/* --- session.c --- */

/* A connection with the settings that commits need; RETRY when the server is away. */
enum status postgres_connect(struct postgres_system *s, struct error *err) WEIR_MUST_USE;
/* The same if the one that is there is broken. */
enum status postgres_reconnect(struct postgres_system *s, struct error *err) WEIR_MUST_USE;

/* From now on the session bears the owner's name, after a reconnection too. */
enum status postgres_name_session(struct postgres_system *s, uint64_t owner,
                                  struct error *err) WEIR_MUST_USE;
/* Ends the sessions that bear that owner's name. */
enum status postgres_end_sessions(struct postgres_system *s, uint64_t owner,
                                  struct error *err) WEIR_MUST_USE;

/* What an answer that is an error asks for, as a status: RETRY (passing), FATAL (stop). A row's own
 * fault is FATAL here too: only table_write.c asks whose fault it was. NULL `result`: the
 * connection's own error. */
enum status postgres_error(struct postgres_system *s, const PGresult *result, const char *doing,
                           struct error *err) WEIR_MUST_USE;
/* Runs statements that return no rows. */
enum status postgres_run(struct postgres_system *s, const char *sql, const char *doing,
                         struct error *err) WEIR_MUST_USE;

/* Parameters of a statement, in text or binary. At most PARAMETERS_MAX. */
#define PARAMETERS_MAX 16
struct parameters {
    int count;
    const char *values[PARAMETERS_MAX];
    int lengths[PARAMETERS_MAX];
    int formats[PARAMETERS_MAX];
    char numbers[PARAMETERS_MAX][24];
};
void parameters_text(struct parameters *parameters, const char *text);
void parameters_integer(struct parameters *parameters, int64_t number);
/* A bytea; none: null. */
void parameters_bytes(struct parameters *parameters, struct bytes bytes);

/* Runs one statement; with `binary` the result's columns come in binary. *out is the caller's
 * (PQclear). */
enum status postgres_ask(struct postgres_system *s, const char *sql,
                         const struct parameters *parameters, bool binary, const char *doing,
                         PGresult **out, struct error *err) WEIR_MUST_USE;
/* Runs one statement whose rows nobody wants. *out_changed: how many it changed; may be NULL. */
enum status postgres_change(struct postgres_system *s, const char *sql,
                            const struct parameters *parameters, const char *doing,
                            int64_t *out_changed, struct error *err) WEIR_MUST_USE;
/* "name" with quotes doubled, in `arena`. */
const char *postgres_quote(struct arena *arena, const char *name);
/* "schema.table" as somebody writes it, each part quoted. */
const char *postgres_quote_table(struct arena *arena, const char *name);
/* A bytea or text column of a binary result. */
struct bytes postgres_bytes(const PGresult *result, int row, int column);
/* A bigint column of a text result. */
int64_t postgres_integer(const PGresult *result, int row, int column);

/* --- progress_store.c: system_ops of these names --- */

enum status postgres_make_tables(struct postgres_system *s, struct error *err) WEIR_MUST_USE;
/* CONFIG "progress.none" when they are not there. */
enum status postgres_check_tables(struct postgres_system *s, struct error *err) WEIR_MUST_USE;
enum status postgres_load(struct system *system, const struct source_partition *partition,
                          struct progress *progress, bool *out_found, struct error *err);
enum status postgres_load_first(struct system *system, const struct source_partition *partition,
                                struct progress *progress, bool *out_found, struct error *err);
enum status postgres_count_partitions(struct system *system, uint32_t *out_count,
                                      struct error *err);
enum status postgres_begin(struct system *system, const struct progress *progresses,
                           uint32_t count, const struct bytes *plan_texts, uint32_t plan_count,
                           struct error *err);
enum status postgres_take_over(struct system *system, const struct progress *progresses,
                               uint32_t count, uint64_t owner, struct bytes plan_text,
                               struct error *err);
enum status postgres_load_plan(struct system *system, struct hash128 plan_hash, struct buffer *out,
                               bool *out_found, struct error *err);
enum status postgres_load_segments(struct system *system, const char *pipeline,
                                   const struct source_partition *partition,
                                   enum status (*segment)(void *context, struct bytes form,
                                                          struct error *err),
                                   void *context, struct error *err);
enum status postgres_scan_rejects(struct system *system, const char *pipeline,
                                  enum status (*reject)(void *context, const char *sink,
                                                        const char *topic, const char *partition,
                                                        int64_t offset, const char *code,
                                                        const char *message, struct error *err),
                                  void *context, struct error *err);
/* In a transaction: R by compare-and-swap, from epoch − 1. */
enum status postgres_write_progress(struct postgres_system *s, const struct progress *progress,
                                    struct error *err) WEIR_MUST_USE;
enum status postgres_write_segment(struct postgres_system *s, const struct progress *progress,
                                   const struct progress_step *step, uint32_t index,
                                   struct ledger *ledger, struct error *err) WEIR_MUST_USE;
enum status postgres_write_reject(struct postgres_system *s, const struct reject *reject,
                                  const struct progress *progress, uint64_t number,
                                  struct error *err) WEIR_MUST_USE;
enum status postgres_fenced(const struct postgres_system *s, const struct progress *progress,
                            struct error *err) WEIR_MUST_USE;

/* --- commit.c --- */

enum status postgres_commit(struct system *system, const struct epoch *epoch,
                            struct progress *progresses, struct error *err);

/* --- system.c --- */

extern const struct system_ops postgres_system_ops;

#endif
