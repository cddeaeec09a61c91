/*
 * Transactions against librdkafka's own mock cluster, which answers with the errors that it is told
 * to: what becomes of the transaction, of the producer, and what the caller is told. The mock
 * cannot show what readers see: test/cluster does, on a real broker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/time.h"
#include "connector/kafka/private.h"

/* Behind rdkafka.h, which it builds on. */
#include <librdkafka/rdkafka_mock.h>

#define PRODUCE 0
#define ADD_PARTITIONS 24
#define END_TXN 26

struct bench {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *cluster;
    struct arena *arena;
    struct kafka_system system;
};

static void bench_init(struct bench *bench)
{
    char reason[128];
    struct error err = {0};
    struct doc *config = NULL;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", reason, sizeof reason);
    bench->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    bench->cluster = rd_kafka_mock_cluster_new(bench->rk, 1);
    bench->arena = arena_new(4096);
    assert_int_equal(rd_kafka_mock_topic_create(bench->cluster, "weir.progress.t", 1, 1), 0);
    const char *text = arena_printf(bench->arena, "{brokers: ['%s']}",
                                    rd_kafka_mock_cluster_bootstraps(bench->cluster));
    assert_int_equal(
        doc_parse(bench->arena, "p.yaml", bytes_of_string(text), NULL, &config, &err), STATUS_OK);
    bench->system = (struct kafka_system){
        .config = config, .folder = "", .pipeline = memory_copy_string("t"),
        .progress_topic = "weir.progress.t", .place = memory_copy_string("kafka://mock")};
    assert_int_equal(kafka_client_open(config, "", KAFKA_FETCH, NULL, NULL, &bench->system.client,
                                       &err),
                     STATUS_OK);
    assert_int_equal(kafka_make_producer(&bench->system, &err), STATUS_OK);
}

static void bench_fini(struct bench *bench)
{
    kafka_drop_producer(&bench->system);
    kafka_client_close(bench->system.client);
    kafka_positions_clear(&bench->system);
    memory_free(bench->system.pipeline);
    memory_free(bench->system.place);
    rd_kafka_mock_cluster_destroy(bench->cluster);
    rd_kafka_destroy(bench->rk);
    arena_free(bench->arena);
}

static enum status transact(struct bench *bench, struct error *err)
{
    struct kafka_system *s = &bench->system;
    enum status status = kafka_transaction_begin(s, err);
    if (status == STATUS_OK) {
        status = kafka_transaction_put(s, "k", bytes_of_string("v"), NULL, err);
    }
    return status == STATUS_OK ? kafka_transaction_end(s, err) : status;
}

static void test_one_after_the_other(void **state)
{
    (void)state;
    struct bench bench;
    struct error err = {0};
    bench_init(&bench);
    assert_int_equal(transact(&bench, &err), STATUS_OK);
    assert_int_equal(transact(&bench, &err), STATUS_OK);
    assert_false(bench.system.in_doubt);
    bench_fini(&bench);
}

static void test_a_retriable_error_is_repeated_within(void **state)
{
    (void)state;
    struct bench bench;
    struct error err = {0};
    bench_init(&bench);
    rd_kafka_mock_push_request_errors(bench.cluster, END_TXN, 2,
                                      RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                                      RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
    assert_int_equal(transact(&bench, &err), STATUS_OK);
    bench_fini(&bench);
}

static void test_a_failed_delivery_aborts(void **state)
{
    (void)state;
    struct bench bench;
    struct error err = {0};
    bench_init(&bench);
    rd_kafka_mock_push_request_errors(bench.cluster, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    assert_int_equal(transact(&bench, &err), STATUS_CONFIG);
    /* The same again, as a committer does it: by this producer, or by a new one. */
    enum status status = STATUS_ABORT;
    for (int tries = 0; tries < 10 && status != STATUS_OK; tries++) {
        error_clear(&err);
        assert_int_equal(bench.system.in_doubt, bench.system.producer == NULL);
        if (bench.system.in_doubt) {
            assert_int_equal(kafka_make_producer(&bench.system, &err), STATUS_OK);
            bench.system.in_doubt = false;
        }
        status = transact(&bench, &err);
        assert_true(status == STATUS_OK || status == STATUS_ABORT || status == STATUS_RETRY);
    }
    assert_int_equal(status, STATUS_OK);
    bench_fini(&bench);
}

/* No repetition mends it: it is said by its name, with what to do. */
static void test_what_a_topic_forbids_stops(void **state)
{
    (void)state;
    static const struct {
        rd_kafka_resp_err_t code;
        const char *name;
    } cases[] = {
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "kafka.too_large"},
        {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, "kafka.timestamp_refused"},
        {RD_KAFKA_RESP_ERR_INVALID_RECORD, "kafka.record_refused"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench bench;
        struct error err = {0};
        bench_init(&bench);
        rd_kafka_mock_push_request_errors(bench.cluster, PRODUCE, 1, cases[i].code);
        assert_int_equal(transact(&bench, &err), STATUS_CONFIG);
        assert_string_equal(err.code, cases[i].name);
        bench_fini(&bench);
    }
}

static void test_a_fatal_error_leaves_doubt(void **state)
{
    (void)state;
    struct bench bench;
    struct error err = {0};
    bench_init(&bench);
    rd_kafka_mock_push_request_errors(bench.cluster, END_TXN, 1,
                                      RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    enum status status = transact(&bench, &err);
    assert_true(status == STATUS_RETRY || status == STATUS_ABORT);
    assert_true(bench.system.in_doubt);
    assert_null(bench.system.producer);
    error_clear(&err);
    assert_int_equal(kafka_make_producer(&bench.system, &err), STATUS_OK);
    assert_int_equal(transact(&bench, &err), STATUS_OK);
    bench_fini(&bench);
}

/* What the table of docs/kafka.md says of an error within a transaction. */
struct injected {
    int request;
    rd_kafka_resp_err_t error;
    enum { WORKS, AGAIN, STOPS } end; /* within itself; the epoch is sent again; the run ends */
    const char *code;                 /* of the error; NULL: any */
};

static const struct injected table[] = {
    /* of no use any more */
    {END_TXN, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, AGAIN, NULL},
    {END_TXN, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, AGAIN, NULL},
    {END_TXN, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, AGAIN, NULL},
    {END_TXN, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, AGAIN, NULL},
    {ADD_PARTITIONS, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, AGAIN, NULL},
    {ADD_PARTITIONS, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, AGAIN, NULL},
    /* later */
    {END_TXN, RD_KAFKA_RESP_ERR_NOT_COORDINATOR, WORKS, NULL},
    {END_TXN, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, WORKS, NULL},
    {ADD_PARTITIONS, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, WORKS, NULL},
    {ADD_PARTITIONS, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, WORKS, NULL},
    {PRODUCE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, WORKS, NULL},
    {PRODUCE, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, WORKS, NULL},
    {PRODUCE, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, WORKS, NULL},
    /* the operator's */
    {PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, STOPS, "kafka.not_allowed"},
    {ADD_PARTITIONS, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, STOPS, "kafka.not_allowed"},
    {ADD_PARTITIONS, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, STOPS,
     "kafka.not_allowed"},
    {END_TXN, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, STOPS,
     "kafka.not_allowed"},
};

static void try_injected(const struct injected *injected)
{
    struct bench bench;
    struct error err = {0};
    bench_init(&bench);
    rd_kafka_mock_push_request_errors(bench.cluster, (int16_t)injected->request, 1,
                                      injected->error);
    enum status status = transact(&bench, &err);
    print_message("%s in %d: %s %s\n", rd_kafka_err2name(injected->error), injected->request,
                  status_name(status), err.code);
    if (injected->end == WORKS) {
        assert_int_equal(status, STATUS_OK);
    } else if (injected->end == STOPS) {
        assert_int_equal(status, STATUS_CONFIG);
        assert_string_equal(err.code, injected->code);
    } else {
        assert_true(status == STATUS_RETRY || status == STATUS_ABORT);
        assert_true(bench.system.in_doubt);
    }
    /* The next one works, by this producer, or by a new one: of this run, or of the next. */
    assert_int_equal(bench.system.in_doubt, bench.system.producer == NULL);
    error_clear(&err);
    if (bench.system.in_doubt || injected->end == STOPS) {
        assert_int_equal(kafka_make_producer(&bench.system, &err), STATUS_OK);
        bench.system.in_doubt = false;
    }
    assert_int_equal(transact(&bench, &err), STATUS_OK);
    bench_fini(&bench);
}

static void test_every_error_is_what_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        try_injected(&table[i]);
    }
}

/* --- rows that are sent before their epoch is closed --- */

/* A system with one sink, and an outbox that the worker fills. */
struct ahead {
    struct bench bench;
    struct kafka_sink sink;
    struct sink *sinks[1];
    struct outbox *outboxes[1];
    uint64_t rows;
};

static void ahead_init(struct ahead *ahead)
{
    *ahead = (struct ahead){0};
    bench_init(&ahead->bench);
    struct kafka_system *s = &ahead->bench.system;
    assert_int_equal(rd_kafka_mock_topic_create(ahead->bench.cluster, "out", 1, 1), 0);
    ahead->sink = (struct kafka_sink){.sink = {.name = "out", .system = &s->system},
                                      .topic_name = memory_copy_string("out"),
                                      .pool = kafka_pool_new(),
                                      .partitions = 1};
    ahead->sinks[0] = &ahead->sink.sink;
    s->system.sinks = ahead->sinks;
    s->system.sink_count = 1;
    ahead->sink.handle = rd_kafka_topic_new(s->producer->rk, "out", NULL);
    ahead->outboxes[0] = kafka_outbox_new(&ahead->sink.sink);
}

static void ahead_fini(struct ahead *ahead)
{
    kafka_take_back(&ahead->bench.system.system);
    kafka_outbox_free(ahead->outboxes[0]);
    kafka_drop_producer(&ahead->bench.system);
    ahead->bench.system.system.sink_count = 0;
    bench_fini(&ahead->bench);
    kafka_pool_free(ahead->sink.pool);
    memory_free(ahead->sink.topic_name);
}

/* 100 KiB each: two of them are a chunk, with a little left. */
static void add_rows(struct ahead *ahead, uint64_t count)
{
    static uint8_t value[100 * 1024];
    struct record_header header = {.name = bytes_of_string("h"), .value = BYTES_NONE};
    for (uint64_t i = 0; i < count; i++, ahead->rows++) {
        memset(value, (int)('a' + ahead->rows % 26), sizeof value);
        struct kafka_message message = {
            .key = ahead->rows % 2 == 0 ? BYTES_NONE : bytes_of("", 0),
            .value = ahead->rows % 3 == 0 ? BYTES_NONE : bytes_of(value, sizeof value),
            .headers = &header,
            .header_count = (uint32_t)(ahead->rows % 4 == 0),
            .timestamp_us = TIME_NEVER};
        kafka_outbox_add(kafka_outbox(ahead->outboxes[0]), 0, 0, &message);
    }
}

/* As a commit ends the transaction; `produced` are the rows that it had to send itself. */
static enum status end_epoch(struct ahead *ahead, uint64_t *produced, struct error *err)
{
    struct kafka_system *s = &ahead->bench.system;
    struct kafka_outbox *o = kafka_outbox(ahead->outboxes[0]);
    uint64_t before = s->ahead == AHEAD_BEGUN ? s->produced : 0;
    enum status status = STATUS_OK;
    if (s->ahead != AHEAD_BEGUN) {
        kafka_outbox_rewind(o);
        status = kafka_transaction_begin(s, err);
    }
    s->ahead = AHEAD_NONE;
    if (status == STATUS_OK) {
        status = kafka_produce(s, &ahead->sink.sink, ahead->outboxes[0], err);
        *produced = s->produced - before;
    }
    if (status == STATUS_OK) {
        status = kafka_transaction_end(s, err);
    }
    return status;
}

static void assert_range(const struct ahead *ahead, int64_t first, int64_t last)
{
    const struct kafka_range *range = kafka_outbox(ahead->outboxes[0])->ranges;
    assert_non_null(range);
    assert_null(range->next);
    assert_int_equal(range->landing.first, first);
    assert_int_equal(range->landing.last, last);
}

static void test_full_chunks_go_before_the_epoch_is_closed(void **state)
{
    (void)state;
    struct ahead ahead;
    struct error err = {0};
    uint64_t produced = 0;
    ahead_init(&ahead);
    struct kafka_system *s = &ahead.bench.system;
    add_rows(&ahead, 2);
    kafka_send_ahead(&s->system, ahead.outboxes);
    assert_int_equal(s->ahead, AHEAD_NONE); /* no chunk is full */
    add_rows(&ahead, 10);
    kafka_send_ahead(&s->system, ahead.outboxes);
    assert_int_equal(s->ahead, AHEAD_BEGUN);
    uint64_t first = s->produced;
    assert_true(first > 0 && first < ahead.rows);
    kafka_send_ahead(&s->system, ahead.outboxes);
    assert_int_equal(s->produced, first); /* nothing twice */
    add_rows(&ahead, 10);
    kafka_send_ahead(&s->system, ahead.outboxes);
    assert_true(s->produced > first && s->produced < ahead.rows);
    uint64_t sent = s->produced;
    assert_int_equal(end_epoch(&ahead, &produced, &err), STATUS_OK);
    assert_int_equal(produced, ahead.rows - sent);
    assert_int_equal(s->produced, ahead.rows);
    assert_range(&ahead, 0, (int64_t)ahead.rows - 1);
    /* The outbox serves again, from its first row. */
    kafka_outbox_clear(ahead.outboxes[0]);
    ahead.rows = 0;
    add_rows(&ahead, 1);
    assert_int_equal(end_epoch(&ahead, &produced, &err), STATUS_OK);
    assert_int_equal(produced, 1);
    ahead_fini(&ahead);
}

/* The rows behind a batch wait for its answer, and keep their order. */
static void test_a_partition_gets_one_batch_at_a_time(void **state)
{
    (void)state;
    struct ahead ahead;
    struct error err = {0};
    uint64_t produced = 0;
    bool is_rest = false;
    ahead_init(&ahead);
    struct kafka_system *s = &ahead.bench.system;
    struct kafka_outbox *o = kafka_outbox(ahead.outboxes[0]);
    add_rows(&ahead, 60);
    assert_int_equal(rd_kafka_mock_broker_set_rtt(ahead.bench.cluster, 1, 1000), 0);
    assert_int_equal(kafka_transaction_begin(s, &err), STATUS_OK);
    s->ahead = AHEAD_BEGUN;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kafka_outbox_produce(o, s->producer, ahead.sink.handle, true,
                                              &s->produced, &is_rest),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
        assert_true(is_rest);
        assert_in_range(s->produced, 10, 20); /* two of three have 100 KiB */
    }
    assert_int_equal(rd_kafka_mock_broker_set_rtt(ahead.bench.cluster, 1, 0), 0);
    assert_int_equal(end_epoch(&ahead, &produced, &err), STATUS_OK);
    assert_int_equal(s->produced, ahead.rows);
    assert_range(&ahead, 0, (int64_t)ahead.rows - 1);
    ahead_fini(&ahead);
}

/* What was sent ahead is gone: the commit sends every row again, and says where they are then. */
static void test_what_failed_ahead_is_sent_again(void **state)
{
    (void)state;
    struct ahead ahead;
    struct error err = {0};
    uint64_t produced = 0;
    ahead_init(&ahead);
    struct kafka_system *s = &ahead.bench.system;
    add_rows(&ahead, 10);
    rd_kafka_mock_push_request_errors(ahead.bench.cluster, ADD_PARTITIONS, 1,
                                      RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    kafka_send_ahead(&s->system, ahead.outboxes);
    char reason[128];
    for (int i = 0; i < 200 && rd_kafka_fatal_error(s->producer->rk, reason, sizeof reason) == 0;
         i++) {
        rd_kafka_poll(s->producer->rk, 10);
    }
    add_rows(&ahead, 10);
    kafka_send_ahead(&s->system, ahead.outboxes);
    assert_int_equal(s->ahead, AHEAD_FAILED);
    assert_true(s->in_doubt);
    add_rows(&ahead, 10);
    kafka_send_ahead(&s->system, ahead.outboxes); /* not before the epoch is closed */
    assert_int_equal(s->ahead, AHEAD_FAILED);
    assert_int_equal(kafka_make_producer(s, &err), STATUS_OK);
    s->in_doubt = false;
    assert_int_equal(end_epoch(&ahead, &produced, &err), STATUS_OK);
    assert_int_equal(produced, ahead.rows);
    const struct kafka_range *range = kafka_outbox(ahead.outboxes[0])->ranges;
    assert_int_equal(range->landing.last - range->landing.first + 1, ahead.rows);
    ahead_fini(&ahead);
}

static void test_what_is_taken_back_leaves_the_producer_as_it_was(void **state)
{
    (void)state;
    struct ahead ahead;
    struct error err = {0};
    ahead_init(&ahead);
    struct kafka_system *s = &ahead.bench.system;
    add_rows(&ahead, 10);
    kafka_send_ahead(&s->system, ahead.outboxes);
    assert_int_equal(s->ahead, AHEAD_BEGUN);
    kafka_take_back(&s->system);
    assert_int_equal(s->ahead, AHEAD_NONE);
    kafka_outbox_free(ahead.outboxes[0]);
    ahead.outboxes[0] = kafka_outbox_new(&ahead.sink.sink);
    assert_false(s->in_doubt);
    assert_int_equal(transact(&ahead.bench, &err), STATUS_OK);
    ahead_fini(&ahead);
}

static void test_a_value_comes_back_and_damage_is_seen(void **state)
{
    (void)state;
    struct progress progress = {
        .pipeline = memory_copy_string("p"), .topic = memory_copy_string("t"),
        .topic_id = memory_copy_string("i"), .partition = memory_copy_string("0"),
        .partition_count = 1, .epoch = 7, .next_offset = 42, .plan_count = 1,
        .plans = memory_alloc_zero(1, sizeof *progress.plans)};
    struct kafka_segment segment = {.is_there = true, .first_offset = 3, .next_offset = 42};
    struct progress back = {0};
    struct kafka_segment segment_back = {0};
    struct buffer form = {0};
    struct error err = {0};
    kafka_value_write(&progress, &segment, &form);
    assert_int_equal(kafka_value_read(bytes_of(form.data, form.size), &back, &segment_back, &err),
                     STATUS_OK);
    assert_int_equal(back.epoch, 7);
    assert_int_equal(segment_back.first_offset, 3);
    progress_fini(&back);
    kafka_segment_fini(&segment_back);
    for (size_t size = 0; size < form.size; size += 7) {
        struct progress broken = {0};
        struct error said = {0};
        assert_int_equal(kafka_value_read(bytes_of(form.data, size), &broken, NULL, &said),
                         STATUS_FATAL);
    }
    progress_fini(&progress);
    buffer_fini(&form);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_a_retriable_error_is_repeated_within),
        cmocka_unit_test(test_a_failed_delivery_aborts),
        cmocka_unit_test(test_what_a_topic_forbids_stops),
        cmocka_unit_test(test_a_fatal_error_leaves_doubt),
        cmocka_unit_test(test_every_error_is_what_the_table_says),
        cmocka_unit_test(test_full_chunks_go_before_the_epoch_is_closed),
        cmocka_unit_test(test_a_partition_gets_one_batch_at_a_time),
        cmocka_unit_test(test_what_failed_ahead_is_sent_again),
        cmocka_unit_test(test_what_is_taken_back_leaves_the_producer_as_it_was),
        cmocka_unit_test(test_a_value_comes_back_and_damage_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
