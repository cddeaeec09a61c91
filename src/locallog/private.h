/*
 * What the files of this folder share: the handle, its prepared statements, the packing of keys,
 * the ticket. Nothing outside the folder includes this.
 *
 * Keys of weir_batch. Every partition that was ever made has a number of its own (never used again,
 * also not after its topic was deleted). The key of a row is
 *
 *     position = number << 40 | base offset
 *
 * so that one partition is one range of the table, in the order of its offsets. That leaves 2^40
 * offsets for a partition and 2^23 partitions for a file; both are checked where they are given
 * out.
 *
 * Bytes of the lock file: 0 and 1 are the ticket (ticket.c), 2 is held by the checkpointer that is
 * at work, those from 16 on are groups, by hash of the name.
 */
#ifndef WEIR_LOCALLOG_PRIVATE_H
#define WEIR_LOCALLOG_PRIVATE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "locallog/locallog.h"
#include "os/lock.h"
#include "os/watch.h"

#define POSITION_OFFSET_BITS 40
#define PARTITION_OFFSETS_MAX (INT64_C(1) << POSITION_OFFSET_BITS)
#define PARTITION_NUMBER_MAX ((INT64_C(1) << (63 - POSITION_OFFSET_BITS)) - 1)

static inline int64_t position_of(int64_t number, int64_t offset)
{
    return number << POSITION_OFFSET_BITS | offset;
}

/* Of one row's records, uncompressed. */
#define ROW_RECORDS_MAX_BYTES ((size_t)512 * 1024 * 1024)

enum lock_bytes {
    LOCK_NEXT = 0,
    LOCK_NOW = 1,
    LOCK_CHECKPOINTER = 2,
    LOCK_GROUPS = 16,
};

/* A backstop against programs that do not know the ticket. */
enum { BUSY_TIMEOUT_MS = 5000 };

/* Prepared when they are first used; statement.c has their texts. */
enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_DATA_VERSION,
    STATEMENT_TOPIC_INSERT,
    STATEMENT_TOPIC_FIND,
    STATEMENT_TOPIC_LIST,
    STATEMENT_TOPIC_DELETE,
    STATEMENT_TOPIC_DELETE_BATCHES,
    STATEMENT_TOPIC_DELETE_PARTITIONS,
    STATEMENT_TOPIC_DELETE_GROUPS,
    STATEMENT_TOPIC_DELETE_PRODUCERS,
    STATEMENT_PARTITION_INSERT,
    STATEMENT_PARTITION_FIND,
    STATEMENT_PARTITION_EXTEND,
    STATEMENT_PARTITION_BOUNDS,
    STATEMENT_BATCH_INSERT,
    STATEMENT_BATCH_READ,
    STATEMENT_BATCH_SIZES,
    STATEMENT_BATCH_BYTES,
    STATEMENT_BATCH_ALL,
    STATEMENT_BATCH_BEHIND,
    STATEMENT_BATCH_DELETE,
    STATEMENT_PARTITION_FIRST,
    STATEMENT_RETENTION_READ,
    STATEMENT_RETENTION_WRITE,
    STATEMENT_RETENTION_DELETE,
    STATEMENT_RETENTION_LIST,
    STATEMENT_PARTITION_LIST,
    STATEMENT_MERGE_READ,
    STATEMENT_MERGE_WRITE,
    STATEMENT_VACUUM,
    STATEMENT_GROUP_READ,
    STATEMENT_GROUP_WRITE,
    STATEMENT_PRODUCER_READ,
    STATEMENT_PRODUCER_WRITE,
    STATEMENT_COUNT,
};

struct locallog {
    sqlite3 *db;
    char *path; /* as path_resolve() gives it */
    enum locallog_mode mode;
    bool is_frozen; /* taken for a file that does not change */
    int64_t page_bytes;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    struct lock_file *locks; /* NULL until something is written */
    bool is_checkpointer;    /* holds LOCK_CHECKPOINTER for longer than a commit */
    bool in_transaction;
    int wal_pages;          /* in the WAL after the last commit of this connection */
    int64_t wal_most_bytes; /* nothing is begun above that while a reader pins the WAL */
    struct error postponed; /* of a checkpoint behind a commit that had succeeded */
    struct buffer scratch;  /* the row that is being appended */
    struct watch *watch;    /* NULL until locallog_wait() */
    int64_t seen_version;   /* what locallog_wait() last saw of the file */
};

/* --- locallog.c --- */

/* The absolute path without symbolic links, so that all names of one file lead to the same locks.
 * Free with memory_free(). */
enum status path_resolve(const char *path, char **out, struct error *err) WEIR_MUST_USE;
/* `path`-lock; the path is a resolved one. */
enum status path_open_locks(const char *path, struct lock_file **out,
                            struct error *err) WEIR_MUST_USE;
/* Opens the handle's lock file when it is not open yet. */
enum status locallog_open_locks(struct locallog *log, struct error *err) WEIR_MUST_USE;

static inline bool mode_writes(enum locallog_mode mode)
{
    return mode == LOCALLOG_WRITE || mode == LOCALLOG_CREATE;
}

/* Whether there is a -wal file beside it. */
bool locallog_has_wal(const struct locallog *log);

/* FATAL "log.moved" when another file, or none, has the path now: what is written to this one is
 * lost with it. */
enum status check_in_place(struct locallog *log, struct error *err) WEIR_MUST_USE;

/* --- schema.c --- */

/* Makes weir's tables (LOCALLOG_CREATE) or checks that they are there, and their format. */
enum status schema_open(struct locallog *log, struct error *err) WEIR_MUST_USE;

/* --- statement.c --- */

/* Ready to bind; the values bound before are gone. */
enum status statement_get(struct locallog *log, enum statement statement, sqlite3_stmt **out,
                          struct error *err) WEIR_MUST_USE;
/* Steps once. *out_row says whether there is a row; `doing` goes into the error. A statement
 * without a row is reset. */
enum status statement_step(struct locallog *log, sqlite3_stmt *statement, const char *doing,
                           bool *out_row, struct error *err) WEIR_MUST_USE;
/* Steps a statement that gives no rows, and resets it. */
enum status statement_run(struct locallog *log, sqlite3_stmt *statement, const char *doing,
                          struct error *err) WEIR_MUST_USE;
/* Runs SQL text without results. */
enum status sql_run(struct locallog *log, const char *sql, const char *doing,
                    struct error *err) WEIR_MUST_USE;
/* The integer in the first column of the first row; `otherwise` where there is no row. */
enum status sql_integer(struct locallog *log, const char *sql, int64_t otherwise, int64_t *out,
                        struct error *err) WEIR_MUST_USE;
/* Ends all statements of the handle. */
void statements_finalize(struct locallog *log);

/* --- topic.c --- */

/* The number and the bounds of a partition; CONFIG "topic.missing". */
enum status partition_find(struct locallog *log, const struct locallog_topic *topic,
                           uint32_t partition, int64_t *out_number, int64_t *out_first,
                           int64_t *out_next, struct error *err) WEIR_MUST_USE;
/* The error for a partition that is not there. */
enum status partition_missing(const struct locallog *log, const struct locallog_topic *topic,
                              uint32_t partition, struct error *err);

/* --- ticket.c --- */

/* Waits for the right to write. */
enum status ticket_take(struct lock_file *locks, struct error *err) WEIR_MUST_USE;
/* Gives it back and lets those who waited go first. */
void ticket_give_back(struct lock_file *locks);

/* --- checkpoint.c --- */

/* Behind a commit: when the WAL has grown and no checkpointer is at work in any process, this
 * connection does it. A failure is kept for the next locallog_begin(). */
void checkpoint_after_commit(struct locallog *log);
/* Under the ticket, before a transaction: where the WAL has grown to the most that it may have, it
 * must begin anew first. RETRY "log.wal_full" names who is in the way. */
enum status checkpoint_before_begin(struct locallog *log, struct error *err) WEIR_MUST_USE;
/* As much as can be moved now, so that the file shrinks where its end was given back. The caller
 * has LOCK_CHECKPOINTER, or may find somebody at it, which is fine. */
void checkpoint_all(struct locallog *log);

#endif
