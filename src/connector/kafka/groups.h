/*
 * Consumer groups of a cluster: how far they have come, who is in them, and noting how far one has
 * come. Questions are asked by a KAFKA_FETCH client.
 *
 * All functions wait for an answer, at most KAFKA_TIMEOUT_MS; then RETRY, but for kafka_group_follow().
 */
#ifndef WEIR_CONNECTOR_KAFKA_GROUPS_H
#define WEIR_CONNECTOR_KAFKA_GROUPS_H

#include "connector/kafka/client.h"

/* How the names of topics begin that brokers keep for themselves. */
#define KAFKA_INTERNAL "__"

/* How far the client's own group has come, by its commits; `metadata` gets what stands beside the
 * offset, and may be NULL. RETRY while a transaction that commits it is being ended. */
enum status kafka_group_offset(struct kafka_client *client, const char *group, const char *topic,
                               uint32_t partition, int64_t *out_offset, struct buffer *metadata,
                               bool *out_found, struct error *err) WEIR_MUST_USE;
/* For verbs, as kafka_group_reads() is: librdkafka ends the process when the coordinator's connection
 * breaks just then (its pull request 5397), and no other request knows the members of both protocols.
 * A group that is not there has none. */
enum status kafka_group_members(struct kafka_client *client, const char *group, uint32_t *out,
                                struct error *err) WEIR_MUST_USE;
/* Of the client's own group, which must have no members. */
enum status kafka_group_note(struct kafka_client *client, const char *group, const char *topic,
                             const int64_t *offsets, uint32_t count, struct error *err)
    WEIR_MUST_USE;
/* The same of a client of that group, without waiting; whether it came to that nobody says. */
void kafka_group_follow(struct kafka_client *client, const char *topic, const int64_t *offsets,
                        uint32_t count);

/* All groups by name, in `arena`. */
enum status kafka_group_names(struct kafka_client *client, struct arena *arena, const char ***out,
                              uint32_t *out_count, struct error *err) WEIR_MUST_USE;
/* An offset that a group has committed; anything but OK ends the visit. */
typedef enum status kafka_offset_visitor(void *context, const rd_kafka_topic_partition_t *offset,
                                         struct error *err);
/* All that the client's own group has committed in a topic, or in any where that is NULL, in no order. */
enum status kafka_group_offsets(struct kafka_client *client, const char *group, const char *topic,
                                kafka_offset_visitor *visit, void *context,
                                struct error *err) WEIR_MUST_USE;
/* Whether a member of the group has partitions of the topic now. */
enum status kafka_group_reads(struct kafka_client *client, const char *group, const char *topic,
                              bool *out_reads, struct error *err) WEIR_MUST_USE;

#endif
