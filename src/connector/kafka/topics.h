/*
 * Topics of a cluster: what they are, how large a record may be, where their partitions begin and
 * end, and making them. Questions are asked by a KAFKA_FETCH client.
 *
 * All functions wait for an answer, at most KAFKA_TIMEOUT_MS; then RETRY. Not to have topics is no
 * error (found = false).
 */
#ifndef WEIR_CONNECTOR_KAFKA_TOPICS_H
#define WEIR_CONNECTOR_KAFKA_TOPICS_H

#include "connector/kafka/client.h"

struct kafka_topic {
    char id[32]; /* KIP-516, base64; another one after the topic was deleted and made anew */
    uint32_t partition_count;
    uint32_t replicas; /* of the partition that has the fewest */
};

enum status kafka_topic_find(struct kafka_client *client, const char *name,
                             struct kafka_topic *out, bool *out_found, struct error *err)
    WEIR_MUST_USE;
/* The same without waiting: asked every second, looked at whenever it suits. */
struct kafka_topic_watch;
struct kafka_topic_watch *kafka_topic_watch_new(struct kafka_client *client, const char *name);
/* True when there is an answer that was not seen yet; brokers that are away give none, and neither
 * does a topic that is not there, as it seems for a moment when leaders move. */
bool kafka_topic_watch_look(struct kafka_topic_watch *watch, struct kafka_topic *out);
void kafka_topic_watch_free(struct kafka_topic_watch *watch); /* takes NULL */
/* Where a partition is kept; the leader is -1 when there is none. */
struct kafka_replicas {
    int32_t leader;
    uint32_t replicas, in_sync;
};
/* Of every partition of a topic that is there, in memory of the caller's to free. */
enum status kafka_topic_replicas(struct kafka_client *client, const char *name,
                                 struct kafka_replicas **out, uint32_t *out_count,
                                 struct error *err) WEIR_MUST_USE;
/* `settings` are pairs, NULL-terminated; partitions and replication 0: as the brokers make them.
 * Waits until the topic is known; another broker than the one that says so may not know it yet. Fine when
 * it is there. */
enum status kafka_topic_make(struct kafka_client *client, const char *name, uint32_t partitions,
                             uint32_t replication, const char *const *settings,
                             struct kafka_topic *out, struct error *err) WEIR_MUST_USE;
/* Pairs as above: what they name changes, all else stays. */
enum status kafka_topic_change(struct kafka_client *client, const char *name,
                               const char *const *settings, struct error *err) WEIR_MUST_USE;
/* The names of all topics that this client may see, ascending, in `arena`. */
enum status kafka_topic_names(struct kafka_client *client, struct arena *arena, char ***out,
                              uint32_t *out_count, struct error *err) WEIR_MUST_USE;
/* Every setting of a topic that the brokers tell. */
enum status kafka_topic_settings(struct kafka_client *client, const char *name,
                                 void (*visit)(void *context, const char *setting,
                                               const char *text),
                                 void *context, struct error *err) WEIR_MUST_USE;
/* What a topic takes and keeps of rows; the brokers' defaults where they do not tell. */
struct kafka_topic_rules {
    int64_t record_limit; /* max.message.bytes */
    bool is_compacted;    /* cleanup.policy */
    /* How far a record's timestamp may lie before and behind the broker's clock; INT64_MAX: no limit, as
     * where the broker sets it (message.timestamp.type, .before.max.ms, .after.max.ms). */
    int64_t before_ms, after_ms;
};
/* Of a topic that is there. RETRY while the brokers are away. */
enum status kafka_topic_rules(struct kafka_client *client, const char *name,
                              struct kafka_topic_rules *out, struct error *err) WEIR_MUST_USE;
/* It is gone when this returns. */
enum status kafka_topic_delete(struct kafka_client *client, const char *name,
                               struct error *err) WEIR_MUST_USE;
/* Of the records that can be read: the first that is there, and the end of what is committed. */
enum status kafka_bounds(struct kafka_client *client, const char *topic, uint32_t partition,
                         int64_t *out_first, int64_t *out_end, struct error *err) WEIR_MUST_USE;
/* The end with the records of open transactions: the high watermark. */
enum status kafka_high_watermark(struct kafka_client *client, const char *topic,
                                 uint32_t partition, int64_t *out, struct error *err)
    WEIR_MUST_USE;
/* Waits until all that is there now is committed or aborted: what a process that was killed had open
 * hides what others wrote behind it, until it is ended for its age. RETRY "kafka.open_transaction"
 * when that takes long. */
enum status kafka_await_committed(struct kafka_client *client, const char *topic,
                                  uint32_t partition, struct error *err) WEIR_MUST_USE;
/* The first committed record whose timestamp is not before `time_ms`, if there is one. */
enum status kafka_offset_at(struct kafka_client *client, const char *topic, uint32_t partition,
                            int64_t time_ms, int64_t *out_offset, bool *out_found,
                            struct error *err) WEIR_MUST_USE;

#endif
