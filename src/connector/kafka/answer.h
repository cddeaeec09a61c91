/*
 * Answers that brokers owe: how long they are waited for, and what is left behind that never got one.
 *
 * librdkafka's calls within a transaction keep to the time that they are given, but for one:
 * rd_kafka_send_offsets_to_transaction() waits for the group's coordinator as long as that is away, for
 * ever if need be (its issues 5456 and 5511). So it is made on a thread of its own. What takes too long
 * there is left behind with the producer, which is of no use any more: both end when the call does, or
 * with the process. What was sent is in doubt then, as with any answer that is lost.
 *
 * Threads: those of the producer.
 */
#ifndef WEIR_CONNECTOR_KAFKA_ANSWER_H
#define WEIR_CONNECTOR_KAFKA_ANSWER_H

#include "connector/kafka/client.h"

/* How long the brokers have for an answer. Not much longer once a stop is asked for, and where all of
 * them are away: whoever waits is to hear of it soon, and what is tried later does as well. */
struct kafka_patience {
    int64_t away_us, end_us;
    bool is_stopping;
};

struct kafka_patience kafka_patience_begin(int64_t most_us);
/* Looks at what the client has heard of brokers. */
bool kafka_patience_is_over(struct kafka_patience *patience, struct kafka_client *client);
/* For a call that cannot be cut short: KAFKA_TIMEOUT_MS, or less once a stop is asked for. */
int kafka_timeout_ms(void);

/* The call, until kafka_offsets_end() or kafka_offsets_leave(). */
struct kafka_offsets_call;

/* Takes the offsets and the metadata. Waits no longer than `most_us`. */
struct kafka_offsets_call *kafka_offsets_send(struct kafka_client *producer,
                                              rd_kafka_topic_partition_list_t *offsets,
                                              rd_kafka_consumer_group_metadata_t *metadata,
                                              int64_t most_us);
bool kafka_offsets_are_answered(const struct kafka_offsets_call *call);
/* Of a call that is answered: with what, which is the caller's. */
rd_kafka_error_t *kafka_offsets_end(struct kafka_offsets_call *call);
/* Of one that is not: the producer is closed at the end of the call. Nothing of it may be in use. */
void kafka_offsets_leave(struct kafka_offsets_call *call);

#endif
