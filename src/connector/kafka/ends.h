/*
 * Ends: how far the partitions of a topic reach, for who watches a run and must not be held up by
 * brokers that are away. One request for all partitions is under way at a time; its answer is taken
 * when somebody looks the next time. What was told too long ago is not known any more.
 *
 * Threads: one at a time, that of the client.
 */
#ifndef WEIR_CONNECTOR_KAFKA_ENDS_H
#define WEIR_CONNECTOR_KAFKA_ENDS_H

#include "connector/kafka/client.h"

struct kafka_ends;

/* `topic` and the client live longer. */
struct kafka_ends *kafka_ends_new(struct kafka_client *client, const char *topic, uint32_t count);
/* Takes NULL. */
void kafka_ends_free(struct kafka_ends *ends);

/* Of each partition, the offset behind its last committed record as it was told last; −1: not known.
 * Asks again, and never waits. */
void kafka_ends_look(struct kafka_ends *ends, int64_t *out_offsets);
/* Whether brokers have answered nothing of what was asked for some seconds; asks as
 * kafka_ends_look() does. `err` says why. */
bool kafka_ends_are_away(struct kafka_ends *ends, struct error *err);

#endif
