/*
 * Housekeeping of a log: old rows deleted (retention.c), small rows merged (merge.c), free pages
 * given back to the file system (keeper.c). Private to the folder.
 *
 * Whoever is the checkpointer of the file does it (checkpoint.c), step by step between its looks at
 * the write-ahead log; and `weir topic trim`, to the end. A step is at most one short transaction,
 * so that nobody waits for it longer than SLICE_US and the commit itself. Killed in between, it has
 * done some of the steps.
 *
 * One thread at a time.
 */
#ifndef WEIR_LOCALLOG_KEEPER_H
#define WEIR_LOCALLOG_KEEPER_H

#include "locallog/private.h"

/* Of the work in one transaction, without its commit. */
#define SLICE_US (10 * INT64_C(1000))

struct keeper;
/* The handle outlives it. `may_merge`: this is the file's checkpointer, and no other process merges
 * at the same time. */
struct keeper *keeper_new(struct locallog *log, bool may_merge);
/* Takes NULL. */
void keeper_free(struct keeper *keeper);
/* One step, when there is something to do; *out_more says that the next one should follow soon.
 * `thoroughly` merges and gives back whatever can be; else some is kept for what will come. */
enum status keeper_step(struct keeper *keeper, bool thoroughly, bool *out_more,
                        struct error *err) WEIR_MUST_USE;

/* --- retention.c --- */

struct retention;
struct retention *retention_new(void);
void retention_free(struct retention *retention);
enum status retention_slice(struct locallog *log, struct retention *retention,
                            struct locallog_trimmed *trimmed, bool *out_more,
                            struct error *err) WEIR_MUST_USE;
/* The rows of a range became one, with so many bytes more than they had. */
void retention_adjust(struct retention *retention, int64_t number, int64_t base_offset,
                      int64_t end_offset, int64_t bytes);
/* The limits of a topic that is being deleted, in its transaction. */
enum status retention_forget(struct locallog *log, int64_t topic, struct error *err) WEIR_MUST_USE;
/* Some rows from the front of a partition, whatever its topic keeps. */
enum status partition_empty_slice(struct locallog *log, const struct locallog_topic *topic,
                                  uint32_t partition, bool *out_more,
                                  struct error *err) WEIR_MUST_USE;

/* --- merge.c --- */

struct merger;
struct merger *merger_new(void);
void merger_free(struct merger *merger);
/* `thoroughly`: small rows at the end of a partition are merged too, though there are few. */
enum status merger_slice(struct locallog *log, struct merger *merger, bool thoroughly,
                         struct retention *retention, struct locallog_trimmed *trimmed,
                         bool *out_more, struct error *err) WEIR_MUST_USE;

#endif
