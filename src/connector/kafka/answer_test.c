/* What is waited for, and how long, against librdkafka's mock cluster, whose brokers go away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/time.h"
#include "connector/kafka/private.h"
#include "os/clock.h"
#include "os/process.h"

/* Behind rdkafka.h, which it builds on. */
#include <librdkafka/rdkafka_mock.h>

struct bench {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *cluster;
    struct arena *arena;
    struct doc *config;
    struct kafka_client *producer;
};

/* Broker 1 leads the topic and coordinates the transaction, broker 2 the group. */
static void bench_init(struct bench *bench)
{
    char reason[128];
    struct error err = {0};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", reason, sizeof reason);
    bench->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    bench->cluster = rd_kafka_mock_cluster_new(bench->rk, 2);
    bench->arena = arena_new(4096);
    assert_int_equal(rd_kafka_mock_topic_create(bench->cluster, "t", 1, 1), 0);
    assert_int_equal(rd_kafka_mock_partition_set_leader(bench->cluster, "t", 0, 1), 0);
    assert_int_equal(rd_kafka_mock_coordinator_set(bench->cluster, "transaction", "me", 1), 0);
    assert_int_equal(rd_kafka_mock_coordinator_set(bench->cluster, "group", "g", 2), 0);
    const char *text = arena_printf(bench->arena, "{brokers: ['%s']}",
                                    rd_kafka_mock_cluster_bootstraps(bench->cluster));
    assert_int_equal(
        doc_parse(bench->arena, "p.yaml", bytes_of_string(text), NULL, &bench->config, &err), STATUS_OK);
    assert_int_equal(
        kafka_client_open(bench->config, "", KAFKA_PRODUCE, "me", NULL, &bench->producer, &err), STATUS_OK);
    assert_null(rd_kafka_init_transactions(bench->producer->rk, 10000));
    assert_null(rd_kafka_begin_transaction(bench->producer->rk));
    assert_int_equal(rd_kafka_producev(bench->producer->rk, RD_KAFKA_V_TOPIC("t"),
                                       RD_KAFKA_V_VALUE("v", 1), RD_KAFKA_V_END),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(bench->producer->rk, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void bench_fini(struct bench *bench)
{
    kafka_client_close(bench->producer);
    rd_kafka_mock_cluster_destroy(bench->cluster);
    rd_kafka_destroy(bench->rk);
    arena_free(bench->arena);
}

static struct kafka_offsets_call *send_offsets(struct bench *bench, int64_t most_us)
{
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(offsets, "t", 0)->offset = 1;
    return kafka_offsets_send(bench->producer, offsets, rd_kafka_consumer_group_metadata_new("g"),
                              most_us);
}

static void test_offsets_are_answered(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    struct kafka_offsets_call *call = send_offsets(&bench, 10 * TIME_US_PER_SECOND);
    assert_true(kafka_offsets_are_answered(call));
    assert_null(kafka_offsets_end(call));
    assert_null(rd_kafka_commit_transaction(bench.producer->rk, 10000));
    assert_false(thread_is_any_left());
    bench_fini(&bench);
}

/* The call itself waits for as long as the coordinator is away. */
static void test_a_coordinator_that_is_gone_is_not_waited_for(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    assert_int_equal(rd_kafka_mock_broker_set_down(bench.cluster, 2), RD_KAFKA_RESP_ERR_NO_ERROR);
    const int64_t begin_us = clock_monotonic_us();
    struct kafka_offsets_call *call = send_offsets(&bench, TIME_US_PER_SECOND);
    assert_false(kafka_offsets_are_answered(call));
    assert_true(clock_monotonic_us() - begin_us < 3 * TIME_US_PER_SECOND);
    kafka_offsets_leave(call);
    bench.producer = NULL;
    assert_true(thread_is_any_left());
    /* It ends when the coordinator answers it, and takes the producer with it. */
    assert_int_equal(rd_kafka_mock_broker_set_up(bench.cluster, 2), RD_KAFKA_RESP_ERR_NO_ERROR);
    bench_fini(&bench);
}

/* Not when its clock ticks next, once a second. The least of some: the machine may be slow. */
static void test_a_client_connects_when_it_is_asked(void **state)
{
    (void)state;
    struct bench bench;
    int64_t least_us = INT64_MAX;
    bench_init(&bench);
    for (int i = 0; i < 5; i++) {
        struct kafka_client *client = NULL;
        struct error err = {0};
        char *id = NULL;
        const int64_t begin_us = clock_monotonic_us();
        assert_int_equal(kafka_client_open(bench.config, "", KAFKA_FETCH, "g", NULL, &client, &err),
                         STATUS_OK);
        assert_int_equal(kafka_cluster_id(client, &id, &err), STATUS_OK);
        const int64_t took_us = clock_monotonic_us() - begin_us;
        least_us = took_us < least_us ? took_us : least_us;
        memory_free(id);
        kafka_client_close(client);
    }
    assert_true(least_us < TIME_US_PER_SECOND / 2);
    bench_fini(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_are_answered),
        cmocka_unit_test(test_a_client_connects_when_it_is_asked),
        cmocka_unit_test(test_a_coordinator_that_is_gone_is_not_waited_for),
    };
    return process_end(cmocka_run_group_tests(tests, NULL, NULL));
}
