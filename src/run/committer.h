/*
 * Committer: the commit thread of one system, and the epochs between it and the worker.
 *
 *          worker                                  commit thread
 *   open  ──(rows)──▶ open ──committer_close()──▶ closed ──system->ops->commit──▶ empty
 *
 * While epoch e commits, the worker fills e + 1. Closed epochs wait in line, committed one after the
 * other, until they hold max_behind_bytes together; closing another one then waits for answers: that
 * is the backpressure, and it is how far this system may stay behind the others. RETRY repeats the
 * same epoch as the retry policy says, with one warning and one notice when it works again; at the end
 * of its attempts the commit thread pauses, or the run ends. A stop that comes meanwhile gives the
 * epoch one more try. FENCED and FATAL end the run. An epoch's rows are kept until its commit is
 * answered.
 *
 * A commit thread that has nothing to commit sends rows of the open epoch ahead, where its system can
 * do that (system->ops->send_ahead): the commit then has less to wait for. The open epoch and those in
 * line then share max_behind_bytes: epochs are as large as memory allows when nothing waits.
 *
 * Threads: all functions from the worker's thread.
 */
#ifndef WEIR_RUN_COMMITTER_H
#define WEIR_RUN_COMMITTER_H

#include "connector/sink.h"
#include "run/forwarding.h"
#include "run/run.h"
#include "run/telemetry.h"

struct committer;
struct two_phase;

/* At this size of its outboxes an epoch is closed, whatever the interval says, unless its system has a
 * size of its own (system_ops.epoch_bytes), or may be behind by less. */
#define COMMITTER_EPOCH_BYTES ((size_t)4 * 1024 * 1024)

/* The system's session must be open and its ownership taken; `progresses` is R per partition of the
 * source and is the committer's until committer_stop(). `taken`: R of the dead letters' system, where
 * those of this system's refused rows are forwarded to it (forwarding.h), else NULL; it is looked at
 * here only. */
struct committer *committer_start(struct system *system, struct progress *progresses,
                                  uint32_t partition_count, const struct plan *plan,
                                  const struct progress *taken,
                                  const struct run_observer *observer,
                                  struct telemetry *telemetry, uint32_t system_number);
/* Before its first close: its commits are made in this pair (two_phase.h), which outlives it. */
void committer_set_pair(struct committer *committer, struct two_phase *pair);
/* Whether the open epochs are over the same offsets, and there are some. */
bool committer_is_joint(const struct committer *one, const struct committer *other);
/* Of the open epoch: it is committed together with the other one of the pair. */
void committer_set_joint(struct committer *committer, bool is_joint);
/* Called on the worker's thread, again and again, while a close or a drain waits. */
void committer_set_waiting(struct committer *committer, void (*waiting)(void *context),
                           void *context);
/* Whether that call is on the way because this one is waited for: its open epoch is being closed. */
bool committer_is_waited_for(const struct committer *committer);
/* Waits for the commit that is under way, but not for its repetition: where another system failed
 * this one may be away for ever. Ends the thread; rows that are not committed are dropped (see
 * committer_drain()). True when it has told of trouble that is not over. Takes NULL. */
bool committer_stop(struct committer *committer);

/* Where the open epoch ends in a partition: rows below are in this system, or on their way. */
int64_t committer_cursor(const struct committer *committer, uint32_t partition);
/* Rows below are committed in this system. */
int64_t committer_answered(struct committer *committer, uint32_t partition);
/* The open epoch's part of a partition: made when it is not there yet. The worker fills the step
 * and calls committer_extend(). */
struct progress_step *committer_step(struct committer *committer, uint32_t partition);
struct outbox *committer_outbox(struct committer *committer, const struct sink *sink);
/* Rows up to next_offset are in the open epoch. */
void committer_extend(struct committer *committer, uint32_t partition, int64_t next_offset);

/* The least time between two commits. */
int64_t committer_interval_us(const struct committer *committer);
bool committer_has_rows(const struct committer *committer);
/* The open epoch is as large as epochs of this system are to be. */
bool committer_is_full(const struct committer *committer);
size_t committer_size_bytes(const struct committer *committer);
/* Since the first row of the open epoch, or 0. */
int64_t committer_age_us(const struct committer *committer, int64_t now_us);

/* A commit that could be repeated was, as often as the policy allows. */
bool committer_has_given_up(struct committer *committer);
/* True when a close would not wait. */
bool committer_can_close(struct committer *committer);
/* True when no closed epoch waits for its answer, or none will come. */
bool committer_is_idle(struct committer *committer);
/* Hands the open epoch over; nothing happens when it is empty. Gives the error of an earlier
 * commit. */
enum status committer_close(struct committer *committer, struct error *err) WEIR_MUST_USE;
/* Waits while the open epoch may take no more rows, because with those in line it would hold more than
 * is allowed. Gives the error of an earlier commit. */
enum status committer_hold_back(struct committer *committer, struct error *err) WEIR_MUST_USE;
/* Waits until all closed epochs are answered. */
enum status committer_drain(struct committer *committer, struct error *err) WEIR_MUST_USE;

/* Between commits the commit thread reads back refused rows whose dead letters are another system's:
 * hands out those that it has, if any. True when there were some. */
bool committer_take_rejects(struct committer *committer,
                            void (*reject)(void *context, uint32_t partition, const char *sink,
                                           const struct kept_reject *reject),
                            void *context);
/* After a drain: waits until there are some to take. *out_any is false when there are no more. */
enum status committer_wait_rejects(struct committer *committer, bool *out_any,
                                   struct error *err) WEIR_MUST_USE;

#endif
