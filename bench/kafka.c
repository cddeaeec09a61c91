#include "kafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kafka_bench_fail(const char *doing, const char *reason)
{
    fprintf(stderr, "could not %s: %s\n", doing, reason);
    exit(3);
}

void kafka_bench_check(const char *doing, rd_kafka_resp_err_t code)
{
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_bench_fail(doing, rd_kafka_err2str(code));
    }
}

struct kafka_client *kafka_bench_open(const struct kafka_bench *bench, enum kafka_role role,
                                      const char *name, const char *const *settings)
{
    struct kafka_client *client = NULL;
    struct error err = {0};
    if (kafka_client_open(bench->connection, "", role, name, settings, &client, &err) !=
        STATUS_OK) {
        kafka_bench_fail("make a client", err.message);
    }
    return client;
}

uint32_t kafka_bench_partitions(struct kafka_client *client, const char *topic)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client->rk, topic, NULL);
    kafka_bench_check("ask for partitions",
                      rd_kafka_metadata(client->rk, 0, handle, &metadata, KAFKA_TIMEOUT_MS));
    kafka_bench_check("ask for partitions", metadata->topics[0].err);
    uint32_t count = (uint32_t)metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return count;
}

rd_kafka_queue_t *kafka_bench_read(struct kafka_client *client, const char *topic, int64_t offset,
                                   rd_kafka_topic_t **out_handle)
{
    uint32_t count = kafka_bench_partitions(client, topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client->rk);
    *out_handle = rd_kafka_topic_new(client->rk, topic, NULL);
    for (uint32_t p = 0; p < count; p++) {
        if (rd_kafka_consume_start_queue(*out_handle, (int32_t)p, offset, queue) != 0) {
            kafka_bench_check("begin to read", rd_kafka_last_error());
        }
    }
    return queue;
}

static rd_kafka_resp_err_t try_produce(struct kafka_client *client, rd_kafka_topic_t *topic,
                                       const rd_kafka_message_t *message, int64_t timestamp_ms)
{
    rd_kafka_headers_t *headers = NULL;
    rd_kafka_headers_t *copy = NULL;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        copy = rd_kafka_headers_copy(headers);
    }
    rd_kafka_vu_t units[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = message->partition},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {message->key, message->key_len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {message->payload, message->len}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = timestamp_ms},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = copy},
    };
    size_t count = sizeof units / sizeof units[0] - (copy == NULL ? 1 : 0);
    rd_kafka_error_t *error = rd_kafka_produceva(client->rk, units, count);
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    if (error != NULL) {
        rd_kafka_error_destroy(error);
        if (copy != NULL) {
            rd_kafka_headers_destroy(copy);
        }
    }
    return code;
}

void kafka_bench_produce(struct kafka_client *client, rd_kafka_topic_t *topic,
                         const rd_kafka_message_t *message, int64_t timestamp_ms)
{
    rd_kafka_resp_err_t code = try_produce(client, topic, message, timestamp_ms);
    while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && client->failed == 0) {
        rd_kafka_poll(client->rk, 50);
        code = try_produce(client, topic, message, timestamp_ms);
    }
    kafka_bench_check("produce", client->failed > 0 ? client->failure : code);
}

static const struct doc *parse_connection(struct arena *arena, const char *brokers)
{
    struct error err = {0};
    struct doc *doc = NULL;
    const char *text = arena_printf(arena, "{brokers: ['%s']}", brokers);
    if (doc_parse(arena, "brokers", bytes_of_string(text), NULL, &doc, &err) != STATUS_OK) {
        kafka_bench_fail("read the brokers", err.message);
    }
    return doc;
}

static int usage(void)
{
    fputs("usage: kafka copy BROKERS FROM TO RECORDS\n"
          "       kafka pace BROKERS FROM IN OUT RATE SECONDS\n"
          "       kafka span BROKERS TOPIC [SINCE]\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    struct kafka_bench bench = {.arena = arena_new(4096)};
    struct error err = {0};
    if (argc < 4) {
        return usage();
    }
    if (kafka_check_library(&err) != STATUS_OK) {
        kafka_bench_fail("use librdkafka", err.message);
    }
    bench.connection = parse_connection(bench.arena, argv[2]);
    if (strcmp(argv[1], "copy") == 0 && argc == 6) {
        kafka_bench_copy(&bench, argv[3], argv[4], strtoull(argv[5], NULL, 10));
    } else if (strcmp(argv[1], "pace") == 0 && argc == 8) {
        kafka_bench_pace(&bench, argv[3], argv[4], argv[5], strtoull(argv[6], NULL, 10),
                         strtoull(argv[7], NULL, 10));
    } else if (strcmp(argv[1], "span") == 0 && argc <= 5) {
        kafka_bench_span(&bench, argv[3], argc == 5 ? strtoll(argv[4], NULL, 10) : 0);
    } else {
        return usage();
    }
    arena_free(bench.arena);
    return 0;
}
