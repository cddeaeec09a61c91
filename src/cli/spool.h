/*
 * The spool of produce: lines on their way to a topic of brokers go into a topic of a local log first,
 * one partition in the order of the input, and a thread of the spool's own hands them on from there.
 * So lines are taken in while brokers are away, and nothing overtakes what waits.
 *
 * A line's offset in the spool is its place in the input. How far the brokers have it is committed
 * with the lines there (cli/produce_remote.h); what they have is then deleted here, in the transaction
 * that writes the same position under the producer "weir.drained". After kill -9 the brokers' word
 * decides, so a line is handed on once. A line that the topic does not take is set aside here, once those
 * before it are handed on. With a producer's id the brokers' position is that of a
 * produce without a spool, and either goes on where the other stopped.
 *
 * Of one topic and id only one process has the spool at a time.
 *
 * Threads: one at a time; the spool's own is started by the opening and ends in spool_finish().
 */
#ifndef WEIR_CLI_SPOOL_H
#define WEIR_CLI_SPOOL_H

#include "cli/place.h"
#include "cli/topic_writer.h"

struct spool;

/* Makes the file at `path` when it is missing, and begins to hand on what is in it; brokers that are
 * away are no failure. `id` may be NULL; `partitions` as for produce_remote_open(). `place` and `id`
 * outlive it. CONFIG "produce.two_at_once". */
enum status spool_open(const char *path, const struct place *place, const char *id,
                       uint32_t partitions, struct spool **out, struct error *err) WEIR_MUST_USE;
/* Takes NULL. */
void spool_close(struct spool *spool);

/* Where lines are put, its partition 0. */
struct topic_writer *spool_writer(struct spool *spool);
/* After a commit of the writer: there is more to hand on. What stopped the handing on, other than
 * brokers that are away. */
enum status spool_notify(struct spool *spool, struct error *err) WEIR_MUST_USE;

struct spool_result {
    uint64_t drained; /* lines handed on by this process */
    uint64_t refused; /* that the topic does not take: set aside by this process (cli/set_aside.h) */
    uint64_t left;    /* that wait in the file */
};
/* The input has ended: hands on what is left while brokers answer, or, once a stop is asked for, for
 * some seconds. Tells why it ended, RETRY for brokers that are away. *out is set in any case. */
enum status spool_finish(struct spool *spool, struct spool_result *out,
                         struct error *err) WEIR_MUST_USE;

#endif
