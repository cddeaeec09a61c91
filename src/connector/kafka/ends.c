#include "connector/kafka/ends.h"

#include <stdio.h>

#include "base/time.h"
#include "os/clock.h"

#define OLD_US (5 * TIME_US_PER_SECOND)
#define AWAY_US (5 * TIME_US_PER_SECOND)
/* After that it is asked anew; the client gives up by itself, whatever the brokers do. */
#define REQUEST_MS 2000
/* While the broker that is asked is away librdkafka looks for it without a pause, which takes a whole
 * processor: so what failed is asked seldom, and not for long. */
#define FAILING_PAUSE_US (5 * TIME_US_PER_SECOND)
#define FAILING_MS 300

struct kafka_ends {
    struct kafka_client *client;
    const char *topic;
    uint32_t count;
    rd_kafka_queue_t *queue;
    bool is_asked; /* an answer will come */
    int64_t asked_us;
    int64_t
        failing_us; /* when what failed was asked for, and all since; 0: the last did not fail */
    rd_kafka_resp_err_t failure;
    struct {
        int64_t offset;
        int64_t told_us;
    } * known;
};

struct kafka_ends *kafka_ends_new(struct kafka_client *client, const char *topic, uint32_t count)
{
    struct kafka_ends *ends = memory_alloc_zero(1, sizeof *ends);
    ends->client = client;
    ends->topic = topic;
    ends->count = count;
    ends->queue = rd_kafka_queue_new(client->rk);
    ends->known = memory_alloc_zero(count, sizeof *ends->known);
    for (uint32_t p = 0; p < count; p++) {
        ends->known[p].offset = -1;
    }
    return ends;
}

void kafka_ends_free(struct kafka_ends *ends)
{
    if (ends == NULL) {
        return;
    }
    rd_kafka_queue_destroy(ends->queue);
    memory_free(ends->known);
    memory_free(ends);
}

static void ask(struct kafka_ends *ends)
{
    char unused[64];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(ends->client->rk, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)ends->count);
    (void)rd_kafka_AdminOptions_set_request_timeout(
        options, ends->failing_us == 0 ? REQUEST_MS : FAILING_MS, unused, sizeof unused);
    rd_kafka_error_t *refused =
        rd_kafka_AdminOptions_set_isolation_level(options, RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED);
    check(refused == NULL);
    for (uint32_t p = 0; p < ends->count; p++) {
        rd_kafka_topic_partition_list_add(list, ends->topic, (int32_t)p)->offset =
            RD_KAFKA_OFFSET_SPEC_LATEST;
    }
    rd_kafka_ListOffsets(ends->client->rk, list, options, ends->queue);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_AdminOptions_destroy(options);
    ends->is_asked = true;
    ends->asked_us = clock_monotonic_us();
}

/* The first error of an answer that tells of no partition at all. */
static rd_kafka_resp_err_t take_results(struct kafka_ends *ends, rd_kafka_event_t *answer,
                                        int64_t now_us)
{
    size_t count = 0;
    rd_kafka_resp_err_t failure = rd_kafka_event_error(answer);
    if (failure != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return failure;
    }
    const rd_kafka_ListOffsetsResultInfo_t **results =
        rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(answer), &count);
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_topic_partition_t *entry =
            rd_kafka_ListOffsetsResultInfo_topic_partition(results[i]);
        /* Who was asked in vain has no offset, and no error either. */
        if (entry->offset >= 0 && (uint32_t)entry->partition < ends->count) {
            any = true;
            ends->known[entry->partition].offset = entry->offset;
            ends->known[entry->partition].told_us = now_us;
        } else if (failure == RD_KAFKA_RESP_ERR_NO_ERROR) {
            failure = entry->err;
        }
    }
    return any                                     ? RD_KAFKA_RESP_ERR_NO_ERROR
           : failure == RD_KAFKA_RESP_ERR_NO_ERROR ? RD_KAFKA_RESP_ERR__TIMED_OUT
                                                   : failure;
}

/* What failed stays as it was known, until that is too old. */
static void take(struct kafka_ends *ends, rd_kafka_event_t *answer, int64_t now_us)
{
    ends->is_asked = false;
    ends->failure = take_results(ends, answer, now_us);
    if (ends->failure == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ends->failing_us = 0;
    } else if (ends->failing_us == 0) {
        ends->failing_us = ends->asked_us;
    }
}

static void go_on(struct kafka_ends *ends, int64_t now_us)
{
    rd_kafka_event_t *answer = ends->is_asked ? rd_kafka_queue_poll(ends->queue, 0) : NULL;
    rd_kafka_poll(ends->client->rk, 0); /* complaints */
    if (answer != NULL) {
        take(ends, answer, now_us);
        rd_kafka_event_destroy(answer);
    }
    if (!ends->is_asked &&
        (ends->failing_us == 0 || now_us - ends->asked_us >= FAILING_PAUSE_US)) {
        ask(ends);
    }
}

void kafka_ends_look(struct kafka_ends *ends, int64_t *out_offsets)
{
    const int64_t now_us = clock_monotonic_us();
    go_on(ends, now_us);
    for (uint32_t p = 0; p < ends->count; p++) {
        out_offsets[p] = now_us - ends->known[p].told_us > OLD_US ? -1 : ends->known[p].offset;
    }
}

bool kafka_ends_are_away(struct kafka_ends *ends, struct error *err)
{
    const int64_t now_us = clock_monotonic_us();
    char doing[320];
    go_on(ends, now_us);
    if (ends->failing_us == 0 || now_us - ends->failing_us < AWAY_US) {
        return false;
    }
    (void)snprintf(doing, sizeof doing, "ask where '%s' ends", ends->topic);
    return kafka_error(ends->client, ends->failure, doing, err) == STATUS_RETRY;
}
