/* What weir owns, places, the classes of errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>

#include <cmocka.h>

#include "connector/kafka/client.h"

static struct doc *parse(struct arena *arena, const char *text)
{
    struct error err = {0};
    struct doc *doc = NULL;
    assert_int_equal(doc_parse(arena, "p.yaml", bytes_of_string(text), NULL, &doc, &err),
                     STATUS_OK);
    return doc;
}

static void expect_code(const char *text, const char *code)
{
    struct arena *arena = arena_new(4096);
    struct error err = {0};
    assert_int_equal(kafka_check_connection(parse(arena, text), &err), STATUS_CONFIG);
    assert_string_equal(err.code, code);
    assert_null(strstr(err.message, "canary"));
    arena_free(arena);
}

static void test_what_weir_owns_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "enable.auto.commit", "isolation.level",  "transactional.id", "group.id",
        "enable.idempotence", "acks",             "auto.offset.reset", "bootstrap.servers",
        "sasl.password",      "ssl.key.password", "partitioner",       "error_cb"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[160];
        (void)snprintf(text, sizeof text, "{brokers: b, properties: {%s: canary}}", names[i]);
        expect_code(text, "config.owned");
    }
    assert_null(kafka_refused_property("fetch.min.bytes"));
}

static void test_properties_are_those_of_librdkafka(void **state)
{
    (void)state;
    expect_code("{brokers: b, properties: {fetch.min.byte: 1}}", "config.unknown_key");
    expect_code("{brokers: b, properties: {fetch.min.bytes: many}}", "config.value");
    expect_code("{brokers: b, properties: {fetch.min.bytes: [1]}}", "config.type");
    expect_code("{brokers: b, properties: 7}", "config.type");
    expect_code("{brokers: b, sasl: {mechanism: PLAIN, username: u}}", "config.missing_key");
    expect_code("{brokers: b, sasl: {mechanism: OAUTHBEARER}}", "config.missing_key");
    struct arena *arena = arena_new(4096);
    struct error err = {0};
    assert_int_equal(
        kafka_check_connection(
            parse(arena, "{brokers: b, properties: {fetch.min.bytes: 1, linger.ms: 0}}"), &err),
        STATUS_OK);
    arena_free(arena);
}

static void test_a_cluster_has_one_place(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    assert_string_equal(kafka_place(arena, parse(arena, "{brokers: ['b:2', 'a:1']}")),
                        kafka_place(arena, parse(arena, "{brokers: ['a:1', 'b:2']}")));
    assert_string_equal(kafka_place(arena, parse(arena, "{namespace: n}")),
                        "kafka://n.servicebus.windows.net:9093");
    assert_string_equal(kafka_place(arena, parse(arena, "{namespace: 'localhost:9'}")),
                        "kafka://localhost:9");
    arena_free(arena);
}

static void test_an_error_says_what_to_do(void **state)
{
    (void)state;
    assert_int_equal(kafka_status(RD_KAFKA_RESP_ERR__TRANSPORT), STATUS_RETRY);
    assert_int_equal(kafka_status(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS), STATUS_RETRY);
    assert_int_equal(kafka_status(RD_KAFKA_RESP_ERR__TIMED_OUT), STATUS_RETRY);
    assert_int_equal(kafka_status(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION), STATUS_ABORT);
    assert_int_equal(kafka_status(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID), STATUS_ABORT);
    assert_int_equal(kafka_status(RD_KAFKA_RESP_ERR__FENCED), STATUS_IN_DOUBT);
    assert_int_equal(kafka_status(RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH), STATUS_IN_DOUBT);
    assert_int_equal(kafka_status(RD_KAFKA_RESP_ERR__AUTHENTICATION), STATUS_CONFIG);
    assert_int_equal(kafka_status(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), STATUS_CONFIG);
}

static void test_the_library_is_new_enough(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(kafka_check_library(&err), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_weir_owns_is_refused),
        cmocka_unit_test(test_properties_are_those_of_librdkafka),
        cmocka_unit_test(test_a_cluster_has_one_place),
        cmocka_unit_test(test_an_error_says_what_to_do),
        cmocka_unit_test(test_the_library_is_new_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
