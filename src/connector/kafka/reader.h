/*
 * Reader: the records of one partition, committed ones only, from any offset on. By librdkafka's
 * consumer without a group, so that it can be set anywhere at any time and nobody takes the
 * partition away; who may read what is decided elsewhere.
 *
 * Offsets have gaps (control records, aborted rows, compaction), so the record before an offset may
 * not be there at all. A reader therefore knows how far it was asked to look (`known_end`, the end
 * of what was committed at the last seek), and waits for records, or for the news that there are
 * none, until it has come there; behind that it takes what comes.
 *
 * Messages own memory of librdkafka's: they are handed to the caller, who destroys them.
 *
 * Threads: as its client.
 */
#ifndef WEIR_CONNECTOR_KAFKA_READER_H
#define WEIR_CONNECTOR_KAFKA_READER_H

#include "connector/kafka/client.h"

struct kafka_reader;

/* Told when messages arrive for somebody who waits; may be NULL. */
struct kafka_signal {
    struct mutex mutex;
    struct condition changed;
    bool raised;
};
void kafka_signal_init(struct kafka_signal *signal);
void kafka_signal_fini(struct kafka_signal *signal);
/* As a callback of librdkafka's, on a thread of its own; `context` is the signal. */
void kafka_signal_raise(rd_kafka_t *rk, void *context);
/* Until it is raised, or the time ran out. */
void kafka_signal_wait(struct kafka_signal *signal, int64_t timeout_us);

struct kafka_reader *kafka_reader_new(struct kafka_client *client, const char *topic,
                                      uint32_t partition, struct kafka_signal *signal);
void kafka_reader_free(struct kafka_reader *reader);
/* Another client than the reader's own asks where the partition ends: one whose connection has no
 * fetches that wait for records, and that the answers would wait behind. */
void kafka_reader_ask_by(struct kafka_reader *reader, struct kafka_client *asker);

/* CONFIG "source.offset_expired" when `offset` lies before what is there, "source.truncated" behind
 * it. Nothing is fetched before the first read. */
enum status kafka_reader_seek(struct kafka_reader *reader, int64_t offset, struct error *err)
    WEIR_MUST_USE;
/* Up to `most` messages below `limit_offset`, in order. 0: none is there now, and where the reader
 * has not come to known_end yet, none will come, or a stop was asked for. `while_waiting` (may be
 * NULL) is called about ten times a second while it waits; anything but OK ends the wait. */
enum status kafka_reader_take(struct kafka_reader *reader, int64_t limit_offset,
                              rd_kafka_message_t **out, uint32_t most, uint32_t *out_count,
                              enum status (*while_waiting)(void *context, struct error *err),
                              void *context, struct error *err) WEIR_MUST_USE;

/* True when nothing is being fetched, and the next record would be the one at `offset` or behind it. */
bool kafka_reader_rests_at(const struct kafka_reader *reader, int64_t offset);
/* Of a reader that rests: goes where `other`, of the same partition, is, which was asked to look there. */
void kafka_reader_go_where(struct kafka_reader *reader, const struct kafka_reader *other);

/* Fetches nothing more until the next read, and forgets what it has not handed out: before that, seek
 * again. */
void kafka_reader_rest(struct kafka_reader *reader);

/* Calls `message` for every committed record of a partition that is there now, in order; anything
 * but OK ends it. A message is valid during the call. */
enum status kafka_scan(struct kafka_client *client, const char *topic, uint32_t partition,
                       enum status (*message)(void *context, const rd_kafka_message_t *message,
                                              struct error *err),
                       void *context, struct error *err) WEIR_MUST_USE;

#endif
