/*
 * How long a record takes from the moment that the broker has it to the moment that a read_committed
 * consumer of the output gets it. Records are taken from a topic and written to another at a given
 * rate. Weir keeps the timestamp of a record, so where the input is stamped by the broker
 * (LogAppendTime) and the output is not, a reader of the output needs nothing but its clock.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "kafka.h"
#include "os/clock.h"

#define BATCH_MESSAGES 1024
#define LONGEST_MS 60000
/* The first records meet a process that has only just started. */
#define WARM_UP_US (1 * TIME_US_PER_SECOND)
/* How long silence lasts until nothing else will come. */
#define SILENCE_US (3 * TIME_US_PER_SECOND)

struct pace {
    struct kafka_client *reader, *producer, *watcher;
    rd_kafka_topic_t *from, *in, *out;
    rd_kafka_queue_t *input, *output;
    rd_kafka_message_t *waiting[BATCH_MESSAGES];
    ssize_t waiting_count, waiting_at;
    uint64_t sent, seen;
    int64_t begin_us, last_us; /* of the wall clock; last: when something was seen */
    uint64_t by_ms[LONGEST_MS + 1];
};

static void open_pace(const struct kafka_bench *bench, const char *from, const char *in,
                      const char *out, struct pace *pace)
{
    /* The writer's own delay is not what is measured. */
    static const char *const quick[] = {"linger.ms", "0", "fetch.wait.max.ms", "10", NULL};
    const char *const produce[] = {"linger.ms", "0", NULL};
    pace->reader = kafka_bench_open(bench, KAFKA_FETCH, NULL, NULL);
    pace->watcher = kafka_bench_open(bench, KAFKA_FETCH, NULL, quick + 2);
    pace->producer = kafka_bench_open(bench, KAFKA_PRODUCE, NULL, produce);
    pace->in = rd_kafka_topic_new(pace->producer->rk, in, NULL);
    pace->input = kafka_bench_read(pace->reader, from, RD_KAFKA_OFFSET_BEGINNING, &pace->from);
    pace->output = kafka_bench_read(pace->watcher, out, RD_KAFKA_OFFSET_END, &pace->out);
}

static void note(struct pace *pace, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t came_us = rd_kafka_message_timestamp(message, &type) * 1000;
    int64_t now_us = clock_realtime_us();
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    pace->last_us = now_us;
    if (came_us - pace->begin_us < WARM_UP_US) {
        return;
    }
    int64_t took_ms = (now_us - came_us) / 1000;
    pace->by_ms[took_ms < 0 ? 0 : took_ms > LONGEST_MS ? LONGEST_MS : took_ms]++;
    pace->seen++;
}

static void watch(struct pace *pace, int timeout_ms)
{
    rd_kafka_message_t *messages[BATCH_MESSAGES];
    rd_kafka_message_t *first = rd_kafka_consume_queue(pace->output, timeout_ms);
    if (first == NULL) {
        return;
    }
    ssize_t count =
        rd_kafka_consume_batch_queue(pace->output, 0, messages + 1, BATCH_MESSAGES - 1);
    messages[0] = first;
    for (ssize_t i = 0; i <= (count > 0 ? count : 0); i++) {
        note(pace, messages[i]);
        rd_kafka_message_destroy(messages[i]);
    }
}

/* The next record of the topic that records are taken from. */
static rd_kafka_message_t *next_message(struct pace *pace)
{
    int64_t end_us = clock_monotonic_us() + SILENCE_US;
    for (;;) {
        while (pace->waiting_at < pace->waiting_count) {
            rd_kafka_message_t *message = pace->waiting[pace->waiting_at++];
            if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                return message;
            }
            rd_kafka_message_destroy(message);
        }
        pace->waiting_at = 0;
        pace->waiting_count =
            rd_kafka_consume_batch_queue(pace->input, 0, pace->waiting, BATCH_MESSAGES);
        if (pace->waiting_count <= 0 && clock_monotonic_us() > end_us) {
            kafka_bench_fail("read as many records as are to be sent", "there are no more");
        }
    }
}

/* All that is due by now. */
static void send_due(struct pace *pace, uint64_t rate, uint64_t total)
{
    uint64_t due = (uint64_t)(clock_realtime_us() - pace->begin_us) * rate / TIME_US_PER_SECOND;
    for (; pace->sent < due && pace->sent < total; pace->sent++) {
        rd_kafka_message_t *message = next_message(pace);
        kafka_bench_produce(pace->producer, pace->in, message, 0);
        rd_kafka_message_destroy(message);
    }
    rd_kafka_poll(pace->producer->rk, 0);
}

static uint64_t percentile(const struct pace *pace, uint64_t per_mille)
{
    uint64_t below = 0;
    for (uint32_t ms = 0; ms <= LONGEST_MS; ms++) {
        below += pace->by_ms[ms];
        if (below * 1000 >= pace->seen * per_mille) {
            return ms;
        }
    }
    return LONGEST_MS;
}

static void close_pace(struct pace *pace)
{
    rd_kafka_queue_destroy(pace->input);
    rd_kafka_queue_destroy(pace->output);
    rd_kafka_topic_destroy(pace->from);
    rd_kafka_topic_destroy(pace->in);
    rd_kafka_topic_destroy(pace->out);
    kafka_client_close(pace->reader);
    kafka_client_close(pace->watcher);
    kafka_client_close(pace->producer);
}

void kafka_bench_pace(const struct kafka_bench *bench, const char *from, const char *in,
                      const char *out, uint64_t rate, uint64_t seconds)
{
    struct pace *pace = memory_alloc_zero(1, sizeof *pace);
    uint64_t total = rate * seconds;
    open_pace(bench, from, in, out, pace);
    (void)next_message(pace); /* so that it is there when the clock starts */
    pace->waiting_at--;
    pace->begin_us = pace->last_us = clock_realtime_us();
    while (pace->sent < total) {
        send_due(pace, rate, total);
        watch(pace, 1);
    }
    kafka_bench_check("deliver", rd_kafka_flush(pace->producer->rk, KAFKA_TIMEOUT_MS));
    while (clock_realtime_us() - pace->last_us < SILENCE_US) {
        watch(pace, 100);
    }
    if (pace->seen == 0) {
        kafka_bench_fail("see any record come out", out);
    }
    for (; pace->waiting_at < pace->waiting_count; pace->waiting_at++) {
        rd_kafka_message_destroy(pace->waiting[pace->waiting_at]);
    }
    printf("{\"records\": %llu, \"p50_ms\": %llu, \"p99_ms\": %llu, \"most_ms\": %llu}\n",
           (unsigned long long)pace->seen, (unsigned long long)percentile(pace, 500),
           (unsigned long long)percentile(pace, 990), (unsigned long long)percentile(pace, 1000));
    close_pace(pace);
    memory_free(pace);
}

/* --- span --- */

void kafka_bench_span(const struct kafka_bench *bench, const char *topic, int64_t since_ms)
{
    rd_kafka_topic_t *handle = NULL;
    struct kafka_client *client = kafka_bench_open(bench, KAFKA_FETCH, NULL, NULL);
    uint32_t left = kafka_bench_partitions(client, topic);
    rd_kafka_queue_t *queue =
        kafka_bench_read(client, topic, RD_KAFKA_OFFSET_BEGINNING, &handle);
    int64_t first_ms = INT64_MAX;
    int64_t last_ms = 0;
    uint64_t count = 0;
    while (left > 0) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(queue, KAFKA_TIMEOUT_MS);
        rd_kafka_timestamp_type_t type;
        if (message == NULL) {
            kafka_bench_fail("read to the end of the topic", topic);
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            left--;
        } else {
            kafka_bench_check("read", message->err);
            int64_t at_ms = rd_kafka_message_timestamp(message, &type);
            if (at_ms >= since_ms) {
                first_ms = at_ms < first_ms ? at_ms : first_ms;
                last_ms = at_ms > last_ms ? at_ms : last_ms;
                count++;
            }
        }
        rd_kafka_message_destroy(message);
    }
    printf("{\"records\": %llu, \"milliseconds\": %lld, \"first_ms\": %lld}\n",
           (unsigned long long)count, (long long)(count == 0 ? 0 : last_ms - first_ms),
           (long long)(count == 0 ? 0 : first_ms));
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_destroy(handle);
    kafka_client_close(client);
}
