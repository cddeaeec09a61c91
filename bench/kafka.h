/*
 * What the Kafka part of the bench shares: a program of its own, bench/kafka, so that the rest of the
 * bench needs no librdkafka.
 *
 *   kafka copy BROKERS FROM TO RECORDS        the reference: a bare transactional copy loop
 *   kafka pace BROKERS FROM IN OUT RATE SECONDS
 *                                             writes at a rate, and says how long records took
 *   kafka span BROKERS TOPIC [SINCE]          when the first and the last record were appended,
 *                                             since that time in ms
 *
 * Each prints one line of JSON. Clients are made by weir's own kafka_client_open(), so that copy
 * and weir have the same queue limits and the same settings, whatever these become.
 */
#ifndef WEIR_BENCH_KAFKA_H
#define WEIR_BENCH_KAFKA_H

#include "connector/kafka/client.h"

struct kafka_bench {
    struct arena *arena;
    const struct doc *connection;
};

/* Ends the process with status 3 and what went wrong. */
_Noreturn void kafka_bench_fail(const char *doing, const char *reason);
void kafka_bench_check(const char *doing, rd_kafka_resp_err_t code);

struct kafka_client *kafka_bench_open(const struct kafka_bench *bench, enum kafka_role role,
                                      const char *name, const char *const *settings);
/* Reads all partitions of a topic, from the offset on (RD_KAFKA_OFFSET_…), from one queue. */
rd_kafka_queue_t *kafka_bench_read(struct kafka_client *client, const char *topic, int64_t offset,
                                   rd_kafka_topic_t **out_handle);
uint32_t kafka_bench_partitions(struct kafka_client *client, const char *topic);
/* As it came: partition, key, value, headers; and with that timestamp, 0: now. Waits while
 * the queue is full. */
void kafka_bench_produce(struct kafka_client *client, rd_kafka_topic_t *topic,
                         const rd_kafka_message_t *message, int64_t timestamp_ms);

void kafka_bench_copy(const struct kafka_bench *bench, const char *from, const char *to,
                      uint64_t records);
void kafka_bench_pace(const struct kafka_bench *bench, const char *from, const char *in,
                      const char *out, uint64_t rate, uint64_t seconds);
void kafka_bench_span(const struct kafka_bench *bench, const char *topic, int64_t since_ms);

#endif
