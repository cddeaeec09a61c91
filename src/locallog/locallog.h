/*
 * The local log: topics, partitions, offsets, groups and idempotent producers in one SQLite file,
 * used by several processes at once, without a server. It is to Kafka what SQLite is to a database
 * server.
 *
 * Tables (STRICT; page size 16 KiB, WAL, synchronous=FULL, auto_vacuum=INCREMENTAL):
 *   weir_format    (format) -- 1
 *   weir_topic     (topic INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, id TEXT, partitions,
 *                   created_us)  id: a UUID; a topic made anew has another, and another number
 *   weir_partition (number INTEGER PRIMARY KEY AUTOINCREMENT, topic, partition, first_offset,
 *                   next_offset, max_timestamp_ms, UNIQUE (topic, partition))
 *   weir_batch     (position INTEGER PRIMARY KEY, topic, partition, base_offset, count,
 *                   max_timestamp_ms, bytes BLOB)
 *                   position: partition's number << 40 | base_offset;
 *                   bytes: a Kafka RecordBatch v2 (codec/record_batch.h)
 *   weir_group     ("group" TEXT, topic, partition, next_offset, metadata TEXT,
 *                   PRIMARY KEY ("group", topic, partition))
 *   weir_producer  (producer TEXT, topic, sequence, digest BLOB, PRIMARY KEY (producer, topic))
 *                   how far an idempotent producer has come; digest: low, high, little-endian
 *   weir_retention (topic INTEGER PRIMARY KEY, age_us, bytes) -- only where a topic has had limits
 *   weir_merge     (number INTEGER PRIMARY KEY, next_offset) -- only where rows were merged
 *                   how far the small rows of a partition are merged
 * and a view for people: weir_topics (name, partition, first_offset, next_offset, records, bytes).
 * `topic` is weir_topic.topic everywhere. A file that weir made has application_id 0x57454952
 * ("WEIR") and user_version 1; a database that was there before keeps its own, and its page size.
 * Beside the file lies `<path>-lock`, which holds nothing but locks.
 *
 * A handle (struct locallog) is one SQLite connection and belongs to one thread at a time. Reading
 * never blocks writing. Writing: locallog_begin() takes the fair ticket (waiting for as long as
 * others write) and BEGIN IMMEDIATE; other tables of the same file may be written through
 * locallog_database() in between; locallog_commit() makes all visible together, durably. Statuses:
 * RETRY for a full disk or a busy file (the transaction is rolled back, send it again), FATAL for
 * corruption and I/O errors, naming the path. After any other failure in a transaction call
 * locallog_rollback(). No process may fork while it has a handle.
 *
 * Timestamps: a record gets the time of its append (LogAppendTime), never below that of the record
 * before it in its partition.
 *
 * Reading needs no right to write as long as somebody with that right has the file open. Where nobody
 * has, the files that SQLite shares memory through are not there, and a reader who may not make them
 * reads the file as one that does not change (SQLite's "immutable"), after a clean end of all
 * writers only. Should a writer begin meanwhile, it makes the -wal file first: then what was read is
 * thrown away, RETRY "log.changed".
 *
 * A file that was deleted or replaced under its handles is FATAL "log.moved": at a commit, and for
 * who reads at the end.
 *
 * A row whose bytes do not check (CRC, counts, offsets that do not join on) or that is missing is
 * FATAL "log.corrupt", naming topic, partition and offset; it is never skipped.
 */
#ifndef WEIR_LOCALLOG_LOCALLOG_H
#define WEIR_LOCALLOG_LOCALLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/status.h"
#include "batch/batch.h"
#include "codec/record_batch.h"
#include "os/tree.h"

struct sqlite3;
struct locallog;

enum locallog_mode {
    LOCALLOG_PEEK,   /* as READ, of any SQLite database: there need be no log in it */
    LOCALLOG_READ,   /* must exist; nothing can be written */
    LOCALLOG_WRITE,  /* must exist */
    LOCALLOG_CREATE, /* made at first use */
};

/* Refuses SQLite < 3.51.3 (but takes 3.50.7+ in 3.50 and 3.44.6+ in 3.44), files that are no weir
 * file and newer formats (CONFIG). A plain SQLite database that has other tables is taken with
 * LOCALLOG_CREATE: weir's tables are added, and it gets a write-ahead log. Several processes may
 * make the same file at once. */
enum status locallog_open(const char *path, enum locallog_mode mode, struct locallog **out,
                          struct error *err) WEIR_MUST_USE;
/* Rolls back what is open. Statements made on locallog_database() are finalized before. Takes
 * NULL. */
void locallog_close(struct locallog *log);
struct sqlite3 *locallog_database(struct locallog *log);
/* For who reads by statements of his own, behind the last of them: RETRY "log.changed" when a file
 * that was taken for one that does not change has changed, see above. */
enum status locallog_check_unchanged(const struct locallog *log, struct error *err) WEIR_MUST_USE;
/* The file as it is at one moment, into a file of another name that is not there yet and whose end is
 * on disk when this returns; writers go on meanwhile. What a failure leaves is the caller's to remove.
 * RETRY "file.disk_full", "stop.requested". */
enum status locallog_copy(const char *path, const char *to, const struct copy_observer *observer,
                          struct error *err) WEIR_MUST_USE;
/* Absolute, without symbolic links: the same for every name of the file. */
const char *locallog_path(const struct locallog *log);

/* Maps an SQLite result of this file to a status and sets `err` ("log.full", "log.busy",
 * "log.corrupt", "log.io", "log.readonly", "log.sql"), for everyone who runs statements on it:
 * "cannot <doing> <path>: …". When SQLite has ended the transaction by itself, so has the handle.
 * Not for OK, ROW and DONE. */
enum status locallog_error(struct locallog *log, int sqlite_code, const char *doing,
                           struct error *err);

struct locallog_topic {
    int64_t topic; /* its number in this file */
    char id[37];   /* UUID */
    char name[250];
    uint32_t partitions;
};
#define LOCALLOG_PARTITIONS_MAX 1024u

/* Names as Kafka allows: [a-zA-Z0-9._-]{1,249}, not "." or ".." (CONFIG "topic.name"). CONFIG
 * "topic.exists" when it is there with another number of partitions (the same is fine). In a
 * transaction of its own where the handle has none open. */
enum status locallog_topic_create(struct locallog *log, const char *name, uint32_t partitions,
                                  struct locallog_topic *out, struct error *err) WEIR_MUST_USE;
enum status locallog_topic_find(struct locallog *log, const char *name, struct locallog_topic *out,
                                bool *out_found, struct error *err) WEIR_MUST_USE;
/* With its records, groups' offsets and producers. CONFIG "topic.missing". What others hold of it
 * (struct locallog_topic, readers) is answered with CONFIG "topic.missing" from then on. */
enum status locallog_topic_delete(struct locallog *log, const char *name,
                                  struct error *err) WEIR_MUST_USE;
/* What a topic keeps; 0 is no limit. Rows whose records are all older than `age_us` go, and the
 * oldest of the topic while its rows, of all partitions together, have more bytes than `bytes`.
 * How far groups have come is not asked. */
struct locallog_retention {
    int64_t age_us;
    int64_t bytes;
};
enum status locallog_retention_read(struct locallog *log, const struct locallog_topic *topic,
                                    struct locallog_retention *out,
                                    struct error *err) WEIR_MUST_USE;
/* In a transaction of its own where the handle has none open. */
enum status locallog_retention_write(struct locallog *log, const struct locallog_topic *topic,
                                     const struct locallog_retention *retention,
                                     struct error *err) WEIR_MUST_USE;

/* What housekeeping has done. */
struct locallog_trimmed {
    uint64_t rows; /* deleted, with so many */
    uint64_t records;
    uint64_t bytes;
    uint64_t merged_rows;  /* rows that became fewer, and how many they are now */
    uint64_t written_rows;
    uint64_t freed_bytes;  /* given back to the file system */
};
/* All housekeeping that is due, in short transactions, until nothing is left or a stop was asked
 * for: retention, merging small rows, giving free pages back. The checkpointer does the same bit by
 * bit. *out is set after a failure too. */
enum status locallog_trim(struct locallog *log, struct locallog_trimmed *out,
                          struct error *err) WEIR_MUST_USE;

/* What Kafka calls DeleteRecords: the rows of a partition whose records all stand before `offset` go,
 * and it begins behind them. Of a row that reaches to `offset` or beyond nothing goes. Inside a
 * transaction. */
enum status locallog_delete_before(struct locallog *log, const struct locallog_topic *topic,
                                   uint32_t partition, int64_t offset,
                                   struct error *err) WEIR_MUST_USE;

/* All topics by name, in `arena`. */
enum status locallog_topic_list(struct locallog *log, struct arena *arena,
                                struct locallog_topic **out, uint32_t *out_count,
                                struct error *err) WEIR_MUST_USE;

/* [first_offset, next_offset) is there. */
enum status locallog_bounds(struct locallog *log, const struct locallog_topic *topic,
                            uint32_t partition, int64_t *out_first, int64_t *out_next,
                            struct error *err) WEIR_MUST_USE;

/* What a partition holds. */
struct locallog_sizes {
    int64_t first_offset;
    int64_t next_offset;
    uint64_t rows;               /* batches */
    uint64_t bytes;              /* of them, as stored */
    uint64_t uncompressed_bytes; /* of their records */
    int64_t oldest_ms;           /* times of the first and the last record; -1: there is none */
    int64_t newest_ms;
};
/* In short reads, so not of one moment while others write. */
enum status locallog_sizes(struct locallog *log, const struct locallog_topic *topic,
                           uint32_t partition, struct locallog_sizes *out,
                           struct error *err) WEIR_MUST_USE;

/* Reads all there is, and SQLite's own check of the whole file: `problem` is called for each place
 * that is damaged, with half a sentence; topic "" stands for the file as a whole. Reading goes on
 * behind it. A stop cuts it short. */
struct locallog_verified {
    uint64_t rows;
    uint64_t records;
    uint64_t problems;
};
enum status locallog_verify(struct locallog *log,
                            void (*problem)(void *context, const char *topic, uint32_t partition,
                                            int64_t offset, const char *what),
                            void *context, struct locallog_verified *out,
                            struct error *err) WEIR_MUST_USE;

/* --- writing --- */

/* Blocks until all who waited before have written. Also tells of a background failure since the
 * last commit. RETRY "log.wal_full": a reader of another program that does not end keeps the
 * write-ahead log from beginning anew, and it has 512 MiB. */
enum status locallog_begin(struct locallog *log, struct error *err) WEIR_MUST_USE;
enum status locallog_commit(struct locallog *log, struct error *err) WEIR_MUST_USE;
/* Never fails; fine without a transaction. */
void locallog_rollback(struct locallog *log);
bool locallog_in_transaction(const struct locallog *log);

/* A builder is closed by its owner at about this size, so that a row fits a batch: */
#define LOCALLOG_ROW_BYTES (256u * 1024u)
#define LOCALLOG_ROW_RECORDS BATCH_ROWS_MAX

/* Appends the builder's records (at least one) as one row, in a transaction. *out_base_offset gets
 * the offset of the first (may be NULL). Any failure rolls the transaction back. */
enum status locallog_append(struct locallog *log, const struct locallog_topic *topic,
                            uint32_t partition, const struct record_batch_builder *builder,
                            int64_t *out_base_offset, struct error *err) WEIR_MUST_USE;
/* The same in two steps, for the commit thread: the compressed bytes are made beforehand, without
 * the lock (and without a handle, on any thread); offsets and time are put into them at the append, which
 * may be tried again. */
void locallog_compress(const struct record_batch_builder *builder, struct buffer *out);
enum status locallog_append_finished(struct locallog *log, const struct locallog_topic *topic,
                                     uint32_t partition, struct buffer *record_batch,
                                     int64_t *out_base_offset, struct error *err) WEIR_MUST_USE;

/* --- reading --- */

struct locallog_reader;
/* Stands at the first offset that is there. CONFIG "topic.missing". The handle outlives it. */
enum status locallog_reader_open(struct locallog *log, const struct locallog_topic *topic,
                                 uint32_t partition, struct locallog_reader **out,
                                 struct error *err) WEIR_MUST_USE;
/* Takes NULL. */
void locallog_reader_close(struct locallog_reader *reader);
/* The next record to be read is the first with offset ≥ `offset`. */
void locallog_reader_seek(struct locallog_reader *reader, int64_t offset);
int64_t locallog_reader_position(const struct locallog_reader *reader);
/* Appends records to the batch (memory in its arena) until it is full, `limit_offset` is reached
 * (not included; INT64_MAX none), the call has brought some MiB, or the log ends. Appending nothing
 * to a batch that was empty means the end of what is there now, or of what the limit lets through.
 * A batch that holds rows takes no row of the log in part; an empty one does. Below the retained
 * offsets: CONFIG "log.offset_expired". After a failure the batch may hold rows of before it; the
 * position is the old one. */
enum status locallog_reader_read(struct locallog_reader *reader, struct batch *batch,
                                 int64_t limit_offset, struct error *err) WEIR_MUST_USE;

/* Waits until another handle, of any process, has committed something to the file since the last
 * look, or the time is over, or a stop was asked for. Spurious returns are fine. */
void locallog_wait(struct locallog *log, int64_t timeout_us);

/* --- groups and producers: inside a transaction for writes --- */

enum status locallog_group_read(struct locallog *log, const char *group,
                                const struct locallog_topic *topic, uint32_t partition,
                                int64_t *out_next_offset, bool *out_found,
                                struct error *err) WEIR_MUST_USE;
/* `metadata` may be NULL. */
enum status locallog_group_write(struct locallog *log, const char *group,
                                 const struct locallog_topic *topic, uint32_t partition,
                                 int64_t next_offset, const char *metadata,
                                 struct error *err) WEIR_MUST_USE;
/* How far a producer has come: `sequence` records of its input are in, and `digest` is over them.
 * 0 and zeros for one that has not begun. */
enum status locallog_producer_read(struct locallog *log, const char *producer,
                                   const struct locallog_topic *topic, int64_t *out_sequence,
                                   struct hash128 *out_digest, struct error *err) WEIR_MUST_USE;
enum status locallog_producer_write(struct locallog *log, const char *producer,
                                    const struct locallog_topic *topic, int64_t sequence,
                                    struct hash128 digest, struct error *err) WEIR_MUST_USE;

/* One owner per group: an OFD lock of `<path>-lock` that vanishes with the process. CONFIG
 * "group.owned" at once when another process, or another lock of this one, has it. The lock lives
 * until locallog_group_release(). The log need not exist yet. */
struct locallog_group_lock;
enum status locallog_group_acquire(const char *path, const char *group,
                                   struct locallog_group_lock **out,
                                   struct error *err) WEIR_MUST_USE;
/* Whether a process has it now; takes nothing. */
bool locallog_group_is_owned(const char *path, const char *group);
/* Takes NULL. */
void locallog_group_release(struct locallog_group_lock *lock);

/* The background checkpointer of this process for one file: keeps the WAL below a cap (64 MiB)
 * without making writers wait, and does the housekeeping (locallog_trim()) bit by bit. Its own
 * thread and connection. The log must exist. Without one in any process the writers move the WAL
 * behind their commits. */
struct locallog_checkpointer;
enum status locallog_checkpointer_start(const char *path, struct locallog_checkpointer **out,
                                        struct error *err) WEIR_MUST_USE;
/* OK, or why its last round failed (it goes on trying); any thread. */
enum status locallog_checkpointer_status(struct locallog_checkpointer *checkpointer,
                                         struct error *err) WEIR_MUST_USE;
/* Stops the thread; takes NULL. Not in a transaction of the same thread: the checkpointer may be
 * waiting for its ticket. */
void locallog_checkpointer_stop(struct locallog_checkpointer *checkpointer);

#endif
