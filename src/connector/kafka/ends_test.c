/* Against librdkafka's mock cluster, whose broker goes away when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/time.h"
#include "connector/kafka/ends.h"
#include "connector/kafka/topics.h"
#include "os/clock.h"

/* Behind rdkafka.h, which it builds on. */
#include <librdkafka/rdkafka_mock.h>

#define STEP_US (50 * INT64_C(1000))

/* With the watch that a run has beside it. */
static int64_t look_until(struct kafka_ends *ends, struct kafka_topic_watch *watch, bool is_known,
                          int64_t most_us)
{
    struct kafka_topic ignored;
    const int64_t end_us = clock_monotonic_us() + most_us;
    int64_t offset = -1;
    do {
        kafka_ends_look(ends, &offset);
        (void)kafka_topic_watch_look(watch, &ignored);
        clock_sleep_us(STEP_US);
    } while ((offset >= 0) != is_known && clock_monotonic_us() < end_us);
    return offset;
}

/* They are heard of when they are back, and looking for them costs little meanwhile. */
static void test_brokers_that_are_away(void **state)
{
    (void)state;
    char reason[128];
    struct error err = {0};
    struct doc *config = NULL;
    struct kafka_client *client = NULL;
    struct arena *arena = arena_new(4096);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", reason, sizeof reason);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(rk, 1);
    assert_int_equal(rd_kafka_mock_topic_create(cluster, "t", 1, 1), 0);
    const char *text =
        arena_printf(arena, "{brokers: ['%s']}", rd_kafka_mock_cluster_bootstraps(cluster));
    assert_int_equal(doc_parse(arena, "p.yaml", bytes_of_string(text), NULL, &config, &err),
                     STATUS_OK);
    assert_int_equal(kafka_client_open(config, "", KAFKA_FETCH, NULL, NULL, &client, &err),
                     STATUS_OK);
    struct kafka_ends *ends = kafka_ends_new(client, "t", 1);
    struct kafka_topic_watch *watch = kafka_topic_watch_new(client, "t");
    assert_int_equal(look_until(ends, watch, true, 10 * TIME_US_PER_SECOND), 0);
    assert_false(kafka_ends_are_away(ends, &err));
    assert_int_equal(rd_kafka_mock_broker_set_down(cluster, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(look_until(ends, watch, false, 20 * TIME_US_PER_SECOND), -1);
    (void)look_until(ends, watch, true, 4 * TIME_US_PER_SECOND); /* what was asked before */
    const int64_t begin_us = clock_monotonic_us();
    const int64_t cpu_us = clock_cpu_us();
    (void)look_until(ends, watch, true, 4 * TIME_US_PER_SECOND);
    const int64_t share = (clock_cpu_us() - cpu_us) * 100 / (clock_monotonic_us() - begin_us);
    assert_true(kafka_ends_are_away(ends, &err));
    print_message("%lld %% of a processor\n", (long long)share);
    assert_true(share < 25);
    assert_int_equal(rd_kafka_mock_broker_set_up(cluster, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(look_until(ends, watch, true, 20 * TIME_US_PER_SECOND), 0);
    kafka_topic_watch_free(watch);
    kafka_ends_free(ends);
    kafka_client_close(client);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(rk);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_brokers_that_are_away)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
