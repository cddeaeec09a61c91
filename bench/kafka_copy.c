/*
 * The reference: what a transactional copy from topic to topic costs with librdkafka and nothing
 * else. A member of a consumer group takes what comes, produces it unchanged, and every commit
 * interval sends its offsets and commits. It checks nothing, counts nothing, and has no state.
 */
#include <stdio.h>
#include <string.h>

#include "kafka.h"
#include "os/clock.h"

/* examples/kafka.yaml's. */
#define COMMIT_INTERVAL_US 100000
#define BATCH_MESSAGES 4096

struct copy {
    struct kafka_client *consumer, *producer;
    rd_kafka_topic_t *to;
    const char *from;
    int64_t *next_offsets; /* [partition]; −1: nothing of it in this transaction */
    uint32_t partition_count;
    uint64_t produced, commits;
};

static void check_error(const char *doing, rd_kafka_error_t *error)
{
    if (error != NULL) {
        kafka_bench_fail(doing, rd_kafka_error_string(error));
    }
}

static void begin(struct copy *copy)
{
    check_error("begin", rd_kafka_begin_transaction(copy->producer->rk));
    for (uint32_t p = 0; p < copy->partition_count; p++) {
        copy->next_offsets[p] = -1;
    }
}

static void send_offsets(struct copy *copy)
{
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(4);
    for (uint32_t p = 0; p < copy->partition_count; p++) {
        if (copy->next_offsets[p] >= 0) {
            rd_kafka_topic_partition_list_add(offsets, copy->from, (int32_t)p)->offset =
                copy->next_offsets[p];
        }
    }
    rd_kafka_consumer_group_metadata_t *group =
        rd_kafka_consumer_group_metadata(copy->consumer->rk);
    check_error("send offsets", rd_kafka_send_offsets_to_transaction(copy->producer->rk, offsets,
                                                                     group, KAFKA_TIMEOUT_MS));
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(offsets);
}

static void commit(struct copy *copy)
{
    send_offsets(copy);
    check_error("commit", rd_kafka_commit_transaction(copy->producer->rk, -1));
    copy->commits++;
    kafka_bench_check("deliver", copy->producer->failed > 0 ? copy->producer->failure
                                                            : RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void take(struct copy *copy, rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_bench_produce(copy->producer, copy->to, message,
                            rd_kafka_message_timestamp(message, &type));
        copy->next_offsets[message->partition] = message->offset + 1;
        copy->produced++;
    }
    rd_kafka_message_destroy(message);
}

static void open_copy(const struct kafka_bench *bench, const char *from, const char *to,
                      struct copy *copy)
{
    const char *id = arena_printf(bench->arena, "bare-copy-%s", to);
    const char *const group[] = {"group.id", id, "auto.offset.reset", "earliest", NULL};
    copy->from = from;
    copy->consumer = kafka_bench_open(bench, KAFKA_FETCH, NULL, group);
    copy->producer = kafka_bench_open(bench, KAFKA_PRODUCE, id, NULL);
    copy->to = rd_kafka_topic_new(copy->producer->rk, to, NULL);
    copy->partition_count = kafka_bench_partitions(copy->consumer, from);
    copy->next_offsets =
        memory_alloc_zero(copy->partition_count, sizeof *copy->next_offsets);
    check_error("take the transactional id",
                rd_kafka_init_transactions(copy->producer->rk, KAFKA_TIMEOUT_MS));
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, from, RD_KAFKA_PARTITION_UA);
    kafka_bench_check("subscribe", rd_kafka_subscribe(copy->consumer->rk, topics));
    rd_kafka_topic_partition_list_destroy(topics);
}

static void close_copy(struct copy *copy)
{
    rd_kafka_topic_destroy(copy->to);
    kafka_client_close(copy->producer);
    (void)rd_kafka_consumer_close(copy->consumer->rk);
    kafka_client_close(copy->consumer);
    memory_free(copy->next_offsets);
}

static void run(struct copy *copy, rd_kafka_queue_t *queue, uint64_t records)
{
    rd_kafka_message_t *messages[BATCH_MESSAGES];
    int64_t begun_us = clock_monotonic_us();
    begin(copy);
    while (copy->produced < records) {
        uint64_t before = copy->produced;
        ssize_t count = rd_kafka_consume_batch_queue(queue, 0, messages, BATCH_MESSAGES);
        for (ssize_t i = 0; i < count; i++) {
            take(copy, messages[i]);
        }
        if (copy->produced == before) {
            rd_kafka_message_t *message = rd_kafka_consumer_poll(copy->consumer->rk, 10);
            if (message != NULL) {
                take(copy, message);
            }
        }
        rd_kafka_poll(copy->producer->rk, 0);
        if (copy->produced > 0 && (clock_monotonic_us() - begun_us >= COMMIT_INTERVAL_US ||
                                   copy->produced >= records)) {
            commit(copy);
            begin(copy);
            begun_us = clock_monotonic_us();
        }
    }
    check_error("abort", rd_kafka_abort_transaction(copy->producer->rk, -1));
}

void kafka_bench_copy(const struct kafka_bench *bench, const char *from, const char *to,
                      uint64_t records)
{
    struct copy copy = {0};
    open_copy(bench, from, to, &copy);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(copy.consumer->rk);
    run(&copy, queue, records);
    rd_kafka_queue_destroy(queue);
    close_copy(&copy);
    printf("{\"records\": %llu, \"commits\": %llu}\n", (unsigned long long)copy.produced,
           (unsigned long long)copy.commits);
}
