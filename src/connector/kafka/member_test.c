/*
 * Membership of a group, against librdkafka's own mock cluster, which answers with the errors that it
 * is told to: what the worker is told of each, and whether the group is joined in the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "connector/kafka/private.h"
#include "os/clock.h"

/* Behind rdkafka.h, which it builds on. */
#include <librdkafka/rdkafka_mock.h>

#define JOIN_GROUP 11
#define PATIENCE_US (30 * TIME_US_PER_SECOND)

struct bench {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *cluster;
    struct arena *arena;
    struct doc *config;
    struct kafka_member *member;
};

static void no_wake(rd_kafka_t *rk, void *context)
{
    (void)rk;
    (void)context;
}

static void bench_init(struct bench *bench)
{
    char reason[128];
    struct error err = {0};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", reason, sizeof reason);
    bench->member = NULL;
    bench->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    bench->cluster = rd_kafka_mock_cluster_new(bench->rk, 1);
    bench->arena = arena_new(4096);
    assert_int_equal(rd_kafka_mock_topic_create(bench->cluster, "t", 2, 1), 0);
    const char *text = arena_printf(bench->arena, "{brokers: ['%s'], instance_id: one}",
                                    rd_kafka_mock_cluster_bootstraps(bench->cluster));
    assert_int_equal(
        doc_parse(bench->arena, "p.yaml", bytes_of_string(text), NULL, &bench->config, &err),
        STATUS_OK);
}

static void bench_join(struct bench *bench)
{
    struct error err = {0};
    assert_int_equal(
        kafka_member_open(bench->config, "", "g", "t", 2, no_wake, NULL, &bench->member, &err),
        STATUS_OK);
}

static void bench_fini(struct bench *bench)
{
    kafka_member_close(bench->member);
    rd_kafka_mock_cluster_destroy(bench->cluster);
    rd_kafka_destroy(bench->rk);
    arena_free(bench->arena);
}

/* Until there is something to answer; that is answered. */
static enum status answer_next(struct bench *bench, struct source_assignment *out,
                               struct error *err)
{
    const int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    do {
        assert_true(clock_monotonic_us() < end_us);
        clock_sleep_us(10000);
        kafka_member_poll(bench->member);
        kafka_member_event(bench->member, out);
    } while (out->event == ASSIGNMENT_SAME);
    return kafka_member_answer(bench->member, err);
}

static void test_partitions_come(void **state)
{
    (void)state;
    struct bench bench;
    struct source_assignment assignment;
    struct error err = {0};
    bench_init(&bench);
    bench_join(&bench);
    assert_int_equal(answer_next(&bench, &assignment, &err), STATUS_OK);
    assert_int_equal(assignment.event, ASSIGNMENT_GAINED);
    assert_int_equal(assignment.count, 2);
    assert_false(kafka_member_is_lost(bench.member));
    bench_fini(&bench);
}

static void test_who_is_not_allowed_is_told(void **state)
{
    (void)state;
    struct bench bench;
    struct source_assignment assignment;
    struct error err = {0};
    bench_init(&bench);
    rd_kafka_mock_push_request_errors(bench.cluster, JOIN_GROUP, 1,
                                      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    bench_join(&bench);
    assert_int_equal(answer_next(&bench, &assignment, &err), STATUS_CONFIG);
    assert_int_equal(assignment.event, ASSIGNMENT_LOST);
    assert_int_equal(assignment.count, 2);
    assert_string_equal(err.code, "kafka.not_allowed");
    assert_non_null(strstr(err.message, "group 'g'"));
    assert_non_null(strstr(err.message, "right Read"));
    bench_fini(&bench);
}

static void test_a_setting_that_the_group_refuses_is_told(void **state)
{
    (void)state;
    struct bench bench;
    struct source_assignment assignment;
    struct error err = {0};
    bench_init(&bench);
    rd_kafka_mock_push_request_errors(bench.cluster, JOIN_GROUP, 1,
                                      RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT);
    bench_join(&bench);
    assert_int_equal(answer_next(&bench, &assignment, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "kafka.error");
    bench_fini(&bench);
}

/* Events until partitions are gained, or an answer says that it is over. */
static enum status answer_until_gained(struct bench *bench, struct error *err)
{
    struct source_assignment assignment = {0};
    enum status status = STATUS_OK;
    while (status == STATUS_OK && assignment.event != ASSIGNMENT_GAINED) {
        status = answer_next(bench, &assignment, err);
    }
    return status;
}

static void test_who_is_fenced_joins_anew(void **state)
{
    (void)state;
    struct bench bench;
    struct error err = {0};
    bench_init(&bench);
    rd_kafka_mock_push_request_errors(bench.cluster, JOIN_GROUP, 1,
                                      RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
    bench_join(&bench);
    assert_int_equal(answer_until_gained(&bench, &err), STATUS_OK);
    assert_false(kafka_member_is_lost(bench.member));
    bench_fini(&bench);
}

static void test_who_is_fenced_again_and_again_stops(void **state)
{
    (void)state;
    struct bench bench;
    struct error err = {0};
    bench_init(&bench);
    rd_kafka_mock_push_request_errors(
        bench.cluster, JOIN_GROUP, 3, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
        RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
    bench_join(&bench);
    assert_int_equal(answer_until_gained(&bench, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "source.instance_taken");
    assert_non_null(strstr(err.message, "'one'"));
    bench_fini(&bench);
}

static void test_brokers_that_are_all_away_are_told(void **state)
{
    (void)state;
    struct bench bench;
    struct source_assignment assignment;
    struct error err = {0};
    bench_init(&bench);
    rd_kafka_mock_broker_set_down(bench.cluster, 1);
    bench_join(&bench);
    assert_int_equal(answer_next(&bench, &assignment, &err), STATUS_RETRY);
    assert_string_equal(err.code, "kafka.away");
    bench_fini(&bench);
}

static void test_an_offset_is_noted(void **state)
{
    (void)state;
    struct bench bench;
    struct error err = {0};
    struct kafka_client *client = NULL;
    const int64_t offsets[] = {7, 9};
    bench_init(&bench);
    assert_int_equal(kafka_client_open(bench.config, "", KAFKA_FETCH, "g", NULL, &client, &err),
                     STATUS_OK);
    assert_int_equal(kafka_group_note(client, "g", "t", offsets, 2, &err), STATUS_OK);
    for (uint32_t p = 0; p < 2; p++) {
        int64_t noted = -1;
        bool found = false;
        assert_int_equal(kafka_group_offset(client, "g", "t", p, &noted, NULL, &found, &err),
                         STATUS_OK);
        assert_true(found);
        assert_int_equal(noted, offsets[p]);
    }
    kafka_client_close(client);
    bench_fini(&bench);
}

static void test_who_watches_never_waits(void **state)
{
    (void)state;
    struct bench bench;
    struct error err = {0};
    struct kafka_client *client = NULL;
    int64_t offsets[2] = {-1, -1};
    bench_init(&bench);
    assert_int_equal(kafka_client_open(bench.config, "", KAFKA_FETCH, NULL, NULL, &client, &err),
                     STATUS_OK);
    struct kafka_ends *ends = kafka_ends_new(client, "t", 2);
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    while (offsets[0] < 0 || offsets[1] < 0) {
        assert_true(clock_monotonic_us() < end_us);
        clock_sleep_us(10000);
        kafka_ends_look(ends, offsets);
    }
    assert_int_equal(offsets[0], 0);
    assert_false(kafka_ends_are_away(ends, &err));
    /* Away: looked at all the while, what was known becomes too old. */
    rd_kafka_mock_broker_set_down(bench.cluster, 1);
    end_us = clock_monotonic_us() + PATIENCE_US;
    while (offsets[0] >= 0 || offsets[1] >= 0) {
        const int64_t begin_us = clock_monotonic_us();
        assert_true(begin_us < end_us);
        kafka_ends_look(ends, offsets);
        assert_true(clock_monotonic_us() - begin_us < TIME_US_PER_SECOND);
        clock_sleep_us(10000);
    }
    while (!kafka_ends_are_away(ends, &err)) {
        assert_true(clock_monotonic_us() < end_us);
        clock_sleep_us(10000);
    }
    assert_string_equal(err.code, "kafka.away");
    rd_kafka_mock_broker_set_up(bench.cluster, 1);
    end_us = clock_monotonic_us() + PATIENCE_US;
    while (kafka_ends_are_away(ends, &err)) {
        assert_true(clock_monotonic_us() < end_us);
        clock_sleep_us(10000);
    }
    kafka_ends_free(ends);
    kafka_client_close(client);
    bench_fini(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_partitions_come),
        cmocka_unit_test(test_who_is_not_allowed_is_told),
        cmocka_unit_test(test_a_setting_that_the_group_refuses_is_told),
        cmocka_unit_test(test_who_is_fenced_joins_anew),
        cmocka_unit_test(test_who_is_fenced_again_and_again_stops),
        cmocka_unit_test(test_brokers_that_are_all_away_are_told),
        cmocka_unit_test(test_an_offset_is_noted),
        cmocka_unit_test(test_who_watches_never_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
