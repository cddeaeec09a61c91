#include "connector/kafka/topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/kafka/answer.h"
#include "connector/kafka/question.h"
#include "os/clock.h"

#define DEFAULT_RECORD_LIMIT 1048588
#define WATCH_US INT64_C(1000000)
/* How long the watch waits for an answer. While the controller, which is asked, is away librdkafka looks
 * for it without a pause, which takes a whole processor: so what failed is asked seldom, and not for long. */
#define REQUEST_MS 5000
#define FAILING_PAUSE_US INT64_C(5000000)
#define FAILING_MS 300
/* A broker that has just come back does not know all topics for some seconds. */
#define UNKNOWN_US INT64_C(15000000)
/* Those of weir live 10 s, and brokers look for old ones every 10 s. */
#define OPEN_TRANSACTION_US INT64_C(30000000)

/* --- finding --- */

static bool is_unknown(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
}

/* Of a partition. */
static bool is_unknown_there(rd_kafka_resp_err_t code)
{
    return is_unknown(code) || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

/* What a topic is; the answer comes. */
static void ask_what(struct kafka_client *client, const char *name, int timeout_ms,
                     struct kafka_question *question)
{
    char unused[64];
    kafka_ask(client, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, question);
    (void)rd_kafka_AdminOptions_set_request_timeout(question->options, timeout_ms, unused,
                                                    sizeof unused);
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(&name, 1);
    rd_kafka_DescribeTopics(client->rk, topics, question->options, question->queue);
    rd_kafka_TopicCollection_destroy(topics);
}

/* Of one topic; `use` gets its description. */
static rd_kafka_resp_err_t describe(struct kafka_client *client, const char *name,
                                    rd_kafka_resp_err_t (*use)(rd_kafka_event_t *answer,
                                                               void *context),
                                    void *context)
{
    struct kafka_question question;
    ask_what(client, name, KAFKA_TIMEOUT_MS, &question);
    rd_kafka_resp_err_t code = kafka_answer_of(client, &question);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = use(question.answer, context);
    }
    kafka_question_end(&question);
    return code;
}

/* The one topic that was asked for, and its partitions. */
static rd_kafka_resp_err_t open_description(rd_kafka_event_t *answer,
                                            const rd_kafka_TopicDescription_t **out_topic,
                                            const rd_kafka_TopicPartitionInfo_t ***out_partitions,
                                            size_t *out_count)
{
    size_t count = 0;
    const rd_kafka_TopicDescription_t **topics = rd_kafka_DescribeTopics_result_topics(
        rd_kafka_event_DescribeTopics_result(answer), &count);
    rd_kafka_resp_err_t code =
        rd_kafka_error_code(rd_kafka_TopicDescription_error(topics[0]));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        *out_topic = topics[0];
        *out_partitions = rd_kafka_TopicDescription_partitions(topics[0], out_count);
    }
    return code;
}

static rd_kafka_resp_err_t take_description(rd_kafka_event_t *answer, void *context)
{
    struct kafka_topic *out = context;
    size_t count = 0;
    const rd_kafka_TopicDescription_t *topic;
    const rd_kafka_TopicPartitionInfo_t **partitions;
    rd_kafka_resp_err_t code = open_description(answer, &topic, &partitions, &count);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return code;
    }
    out->partition_count = (uint32_t)count;
    out->replicas = count == 0 ? 0 : UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t replicas = 0;
        (void)rd_kafka_TopicPartitionInfo_replicas(partitions[i], &replicas);
        out->replicas = replicas < out->replicas ? (uint32_t)replicas : out->replicas;
    }
    const rd_kafka_Uuid_t *id = rd_kafka_TopicDescription_topic_id(topic);
    (void)snprintf(out->id, sizeof out->id, "%s",
                   id == NULL ? "" : rd_kafka_Uuid_base64str(id));
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

enum status kafka_topic_find(struct kafka_client *client, const char *name,
                             struct kafka_topic *out, bool *out_found, struct error *err)
{
    char doing[320];
    rd_kafka_resp_err_t code = describe(client, name, take_description, out);
    *out_found = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (*out_found || is_unknown(code)) {
        return STATUS_OK;
    }
    (void)snprintf(doing, sizeof doing, "ask what topic '%s' is", name);
    return kafka_error(client, code, doing, err);
}

/* --- watching --- */

struct kafka_topic_watch {
    struct kafka_client *client;
    char *name;
    struct kafka_question question; /* queue NULL: none is open */
    int64_t next_us;
    bool is_failing; /* brokers did not answer */
};

struct kafka_topic_watch *kafka_topic_watch_new(struct kafka_client *client, const char *name)
{
    struct kafka_topic_watch *watch = memory_alloc_zero(1, sizeof *watch);
    watch->client = client;
    watch->name = memory_copy_string(name);
    watch->next_us = clock_monotonic_us() + WATCH_US;
    return watch;
}

void kafka_topic_watch_free(struct kafka_topic_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    if (watch->question.queue != NULL) {
        kafka_question_end(&watch->question);
    }
    memory_free(watch->name);
    memory_free(watch);
}

bool kafka_topic_watch_look(struct kafka_topic_watch *watch, struct kafka_topic *out)
{
    struct kafka_question *question = &watch->question;
    if (question->queue == NULL) {
        if (clock_monotonic_us() >= watch->next_us) {
            ask_what(watch->client, watch->name, watch->is_failing ? FAILING_MS : REQUEST_MS,
                     question);
        }
        return false;
    }
    question->answer = rd_kafka_queue_poll(question->queue, 0);
    if (question->answer == NULL) {
        return false;
    }
    watch->is_failing = rd_kafka_event_error(question->answer) != RD_KAFKA_RESP_ERR_NO_ERROR;
    const bool is_told =
        !watch->is_failing &&
        take_description(question->answer, out) == RD_KAFKA_RESP_ERR_NO_ERROR;
    kafka_question_end(question);
    *question = (struct kafka_question){0};
    watch->next_us =
        clock_monotonic_us() + (watch->is_failing ? FAILING_PAUSE_US : WATCH_US);
    return is_told;
}

/* --- where they are kept --- */

struct replica_list {
    struct kafka_replicas *items;
    uint32_t count;
};

static rd_kafka_resp_err_t take_replicas(rd_kafka_event_t *answer, void *context)
{
    struct replica_list *list = context;
    size_t count = 0;
    const rd_kafka_TopicDescription_t *topic;
    const rd_kafka_TopicPartitionInfo_t **partitions;
    rd_kafka_resp_err_t code = open_description(answer, &topic, &partitions, &count);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return code;
    }
    list->items = memory_alloc_zero(count + 1, sizeof *list->items);
    list->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct kafka_replicas *item = &list->items[rd_kafka_TopicPartitionInfo_partition(
            partitions[i])];
        const rd_kafka_Node_t *leader = rd_kafka_TopicPartitionInfo_leader(partitions[i]);
        size_t replicas = 0;
        size_t in_sync = 0;
        (void)rd_kafka_TopicPartitionInfo_replicas(partitions[i], &replicas);
        (void)rd_kafka_TopicPartitionInfo_isr(partitions[i], &in_sync);
        *item = (struct kafka_replicas){.leader = leader == NULL ? -1 : rd_kafka_Node_id(leader),
                                        .replicas = (uint32_t)replicas,
                                        .in_sync = (uint32_t)in_sync};
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

enum status kafka_topic_replicas(struct kafka_client *client, const char *name,
                                 struct kafka_replicas **out, uint32_t *out_count,
                                 struct error *err)
{
    struct replica_list list = {0};
    char doing[320];
    rd_kafka_resp_err_t code = describe(client, name, take_replicas, &list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        *out = list.items;
        *out_count = list.count;
        return STATUS_OK;
    }
    (void)snprintf(doing, sizeof doing, "ask where topic '%s' is kept", name);
    return kafka_error(client, code, doing, err);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum status kafka_topic_names(struct kafka_client *client, struct arena *arena, char ***out,
                              uint32_t *out_count, struct error *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(client->rk, 1, NULL, &metadata, kafka_timeout_ms());
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_poll(client->rk, 0);
        return kafka_error(client, code, "ask which topics there are", err);
    }
    const uint32_t count = (uint32_t)metadata->topic_cnt;
    char **names = arena_alloc(arena, size_mul(count + 1u, sizeof *names));
    for (uint32_t i = 0; i < count; i++) {
        names[i] = arena_copy_string(arena, metadata->topics[i].topic);
    }
    rd_kafka_metadata_destroy(metadata);
    if (count > 1) {
        qsort(names, count, sizeof *names, compare_names);
    }
    *out = names;
    *out_count = count;
    return STATUS_OK;
}

/* --- making --- */

static rd_kafka_resp_err_t create(struct kafka_client *client, const char *name,
                                  uint32_t partitions, uint32_t replication,
                                  const char *const *settings, char *reason, size_t reason_size)
{
    struct kafka_question question;
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(name, partitions == 0 ? -1 : (int)partitions,
                              replication == 0 ? -1 : (int)replication, reason, reason_size);
    if (topic == NULL) {
        return RD_KAFKA_RESP_ERR__INVALID_ARG;
    }
    for (; settings != NULL && *settings != NULL; settings += 2) {
        (void)rd_kafka_NewTopic_set_config(topic, settings[0], settings[1]);
    }
    kafka_ask(client, RD_KAFKA_ADMIN_OP_CREATETOPICS, &question);
    rd_kafka_CreateTopics(client->rk, &topic, 1, question.options, question.queue);
    rd_kafka_resp_err_t code = kafka_answer_of(client, &question);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        size_t count = 0;
        const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
            rd_kafka_event_CreateTopics_result(question.answer), &count);
        const char *text = rd_kafka_topic_result_error_string(results[0]);
        code = rd_kafka_topic_result_error(results[0]);
        (void)snprintf(reason, reason_size, "%s", text == NULL ? "" : text);
    }
    kafka_question_end(&question);
    rd_kafka_NewTopic_destroy(topic);
    return code;
}

/* Which the controller has made; the broker that is asked hears of it in a moment. */
static enum status await_topic(struct kafka_client *client, const char *name,
                               struct kafka_topic *out, struct error *err)
{
    const int64_t end_us = clock_monotonic_us() + KAFKA_TIMEOUT_MS * INT64_C(1000);
    bool found = false;
    enum status status = kafka_topic_find(client, name, out, &found, err);
    while (status == STATUS_OK && !found && clock_monotonic_us() < end_us && !stop_requested()) {
        clock_sleep_us(KAFKA_ASK_AGAIN_US);
        status = kafka_topic_find(client, name, out, &found, err);
    }
    return status != STATUS_OK || found
               ? status
               : error_set(err, STATUS_RETRY, "kafka.away",
                           "topic '%s' was made, but the brokers do not know it yet", name);
}

enum status kafka_topic_make(struct kafka_client *client, const char *name, uint32_t partitions,
                             uint32_t replication, const char *const *settings,
                             struct kafka_topic *out, struct error *err)
{
    char reason[256] = "";
    char doing[640];
    rd_kafka_resp_err_t code =
        create(client, name, partitions, replication, settings, reason, sizeof reason);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        (void)snprintf(doing, sizeof doing, "make topic '%s'%s%s%s", name,
                       reason[0] == '\0' ? "" : " (", reason, reason[0] == '\0' ? "" : ")");
        return kafka_error(client, code, doing, err);
    }
    return await_topic(client, name, out, err);
}

enum status kafka_topic_change(struct kafka_client *client, const char *name,
                               const char *const *settings, struct error *err)
{
    struct kafka_question question;
    char doing[320];
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    for (; *settings != NULL; settings += 2) {
        rd_kafka_error_t *refused = rd_kafka_ConfigResource_add_incremental_config(
            resource, settings[0], RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, settings[1]);
        check(refused == NULL);
    }
    kafka_ask(client, RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS, &question);
    rd_kafka_IncrementalAlterConfigs(client->rk, &resource, 1, question.options, question.queue);
    rd_kafka_resp_err_t code = kafka_answer_of(client, &question);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        size_t count = 0;
        const rd_kafka_ConfigResource_t **results =
            rd_kafka_IncrementalAlterConfigs_result_resources(
                rd_kafka_event_IncrementalAlterConfigs_result(question.answer), &count);
        code = rd_kafka_ConfigResource_error(results[0]);
    }
    kafka_question_end(&question);
    rd_kafka_ConfigResource_destroy(resource);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return STATUS_OK;
    }
    (void)snprintf(doing, sizeof doing, "change what topic '%s' keeps", name);
    return kafka_error(client, code, doing, err);
}

enum status kafka_topic_delete(struct kafka_client *client, const char *name, struct error *err)
{
    struct kafka_question question;
    struct kafka_topic topic;
    char doing[320];
    rd_kafka_DeleteTopic_t *request = rd_kafka_DeleteTopic_new(name);
    kafka_ask(client, RD_KAFKA_ADMIN_OP_DELETETOPICS, &question);
    rd_kafka_DeleteTopics(client->rk, &request, 1, question.options, question.queue);
    rd_kafka_resp_err_t code = kafka_answer_of(client, &question);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        size_t count = 0;
        const rd_kafka_topic_result_t **results = rd_kafka_DeleteTopics_result_topics(
            rd_kafka_event_DeleteTopics_result(question.answer), &count);
        code = rd_kafka_topic_result_error(results[0]);
    }
    kafka_question_end(&question);
    rd_kafka_DeleteTopic_destroy(request);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && !is_unknown(code)) {
        (void)snprintf(doing, sizeof doing, "delete topic '%s'", name);
        return kafka_error(client, code, doing, err);
    }
    const int64_t end_us = clock_monotonic_us() + KAFKA_TIMEOUT_MS * INT64_C(1000);
    bool found = true;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && found && clock_monotonic_us() < end_us) {
        status = kafka_topic_find(client, name, &topic, &found, err);
        if (found) {
            clock_sleep_us(KAFKA_ASK_AGAIN_US);
        }
    }
    return status;
}

/* --- settings --- */

enum status kafka_topic_settings(struct kafka_client *client, const char *name,
                                 void (*visit)(void *context, const char *setting,
                                               const char *text),
                                 void *context, struct error *err)
{
    struct kafka_question question;
    char doing[320];
    size_t count = 0;
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    kafka_ask(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, &question);
    rd_kafka_DescribeConfigs(client->rk, &resource, 1, question.options, question.queue);
    rd_kafka_resp_err_t code = kafka_answer_of(client, &question);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const rd_kafka_ConfigResource_t **results = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(question.answer), &count);
        const rd_kafka_ConfigEntry_t **entries =
            rd_kafka_ConfigResource_configs(results[0], &count);
        code = rd_kafka_ConfigResource_error(results[0]);
        for (size_t i = 0; i < count; i++) {
            const char *value = rd_kafka_ConfigEntry_value(entries[i]);
            if (value != NULL) {
                visit(context, rd_kafka_ConfigEntry_name(entries[i]), value);
            }
        }
    }
    kafka_question_end(&question);
    rd_kafka_ConfigResource_destroy(resource);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return STATUS_OK;
    }
    (void)snprintf(doing, sizeof doing, "ask for the settings of topic '%s'", name);
    return kafka_error(client, code, doing, err);
}

struct found_rules {
    struct kafka_topic_rules rules;
    bool is_broker_time;
};

static void lower(int64_t *limit_ms, const char *text)
{
    const int64_t found_ms = strtoll(text, NULL, 10);
    *limit_ms = found_ms >= 0 && found_ms < *limit_ms ? found_ms : *limit_ms;
}

static void take_rule(void *context, const char *setting, const char *text)
{
    struct found_rules *found = context;
    struct kafka_topic_rules *rules = &found->rules;
    if (strcmp(setting, "max.message.bytes") == 0) {
        int64_t limit = strtoll(text, NULL, 10);
        rules->record_limit = limit > 0 ? limit : DEFAULT_RECORD_LIMIT;
    } else if (strcmp(setting, "cleanup.policy") == 0) {
        rules->is_compacted = strstr(text, "compact") != NULL;
    } else if (strcmp(setting, "message.timestamp.type") == 0) {
        found->is_broker_time = strcmp(text, "LogAppendTime") == 0;
    } else if (strcmp(setting, "message.timestamp.before.max.ms") == 0) {
        lower(&rules->before_ms, text);
    } else if (strcmp(setting, "message.timestamp.after.max.ms") == 0) {
        lower(&rules->after_ms, text);
    } else if (strcmp(setting, "message.timestamp.difference.max.ms") == 0) {
        /* of brokers before 3.6; later ones take the stricter of the two */
        lower(&rules->before_ms, text);
        lower(&rules->after_ms, text);
    }
}

/* One try. */
static void ask_rules(struct kafka_client *client, const char *name, struct kafka_topic_rules *out,
                      struct error *failure)
{
    struct found_rules found = {.rules = {.record_limit = DEFAULT_RECORD_LIMIT,
                                          .before_ms = INT64_MAX,
                                          .after_ms = INT64_MAX}};
    error_clear(failure);
    (void)!kafka_topic_settings(client, name, take_rule, &found, failure);
    if (found.is_broker_time) {
        found.rules.before_ms = found.rules.after_ms = INT64_MAX;
    }
    *out = found.rules;
}

enum status kafka_topic_rules(struct kafka_client *client, const char *name,
                              struct kafka_topic_rules *out, struct error *err)
{
    const int64_t end_us = clock_monotonic_us() + UNKNOWN_US;
    struct error failure = {0};
    struct kafka_topic topic;
    bool is_there = false;
    for (;;) {
        ask_rules(client, name, out, &failure);
        /* A topic that was just made: that broker has not heard of it. */
        const bool is_early = strcmp(failure.code, "kafka.no_topic") == 0;
        if ((!is_early && failure.status != STATUS_RETRY) || clock_monotonic_us() >= end_us ||
            stop_requested()) {
            break;
        }
        clock_sleep_us(KAFKA_ASK_AGAIN_US);
    }
    /* Who answers, but not that, does not tell. */
    return failure.status == STATUS_RETRY ? kafka_topic_find(client, name, &topic, &is_there, err)
                                          : STATUS_OK;
}

/* --- offsets --- */

static enum status not_bounded(struct kafka_client *client, const char *topic, uint32_t partition,
                               rd_kafka_resp_err_t code, struct error *err)
{
    char doing[320];
    struct kafka_topic there;
    struct error ignored = {0};
    bool found = false;
    (void)snprintf(doing, sizeof doing, "ask where '%s' [%u] begins and ends", topic, partition);
    /* While brokers come back, a client may know less of a topic than they do. */
    if (is_unknown_there(code) &&
        kafka_topic_find(client, topic, &there, &found, &ignored) == STATUS_OK && found &&
        partition < there.partition_count) {
        return error_set(err, STATUS_RETRY, "kafka.away",
                         "could not %s: it is there, but no broker leads it yet", doing);
    }
    return kafka_error(client, code, doing, err);
}

enum status kafka_bounds(struct kafka_client *client, const char *topic, uint32_t partition,
                         int64_t *out_first, int64_t *out_end, struct error *err)
{
    const int64_t end_us = clock_monotonic_us() + UNKNOWN_US;
    rd_kafka_resp_err_t code;
    for (;;) {
        code = rd_kafka_query_watermark_offsets(client->rk, topic, (int32_t)partition, out_first,
                                                out_end, kafka_timeout_ms());
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            return STATUS_OK;
        }
        if (!is_unknown_there(code) || clock_monotonic_us() >= end_us || stop_requested()) {
            break;
        }
        clock_sleep_us(KAFKA_ASK_AGAIN_US);
    }
    rd_kafka_poll(client->rk, 0);
    return not_bounded(client, topic, partition, code, err);
}

enum status kafka_high_watermark(struct kafka_client *client, const char *topic,
                                 uint32_t partition, int64_t *out, struct error *err)
{
    struct kafka_question question;
    char doing[320];
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, (int32_t)partition)->offset =
        RD_KAFKA_OFFSET_SPEC_LATEST;
    kafka_ask(client, RD_KAFKA_ADMIN_OP_LISTOFFSETS, &question);
    rd_kafka_error_t *refused = rd_kafka_AdminOptions_set_isolation_level(
        question.options, RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED);
    check(refused == NULL);
    rd_kafka_ListOffsets(client->rk, list, question.options, question.queue);
    rd_kafka_resp_err_t code = kafka_answer_of(client, &question);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        size_t count = 0;
        const rd_kafka_ListOffsetsResultInfo_t **results = rd_kafka_ListOffsets_result_infos(
            rd_kafka_event_ListOffsets_result(question.answer), &count);
        const rd_kafka_topic_partition_t *entry =
            rd_kafka_ListOffsetsResultInfo_topic_partition(results[0]);
        code = entry->err;
        *out = entry->offset;
        /* Who was asked in vain has no offset, and no error either. */
        code = code == RD_KAFKA_RESP_ERR_NO_ERROR && entry->offset < 0
                   ? RD_KAFKA_RESP_ERR__TIMED_OUT
                   : code;
    }
    kafka_question_end(&question);
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return STATUS_OK;
    }
    (void)snprintf(doing, sizeof doing, "ask where '%s' [%u] ends", topic, partition);
    return kafka_error(client, code, doing, err);
}

enum status kafka_await_committed(struct kafka_client *client, const char *topic,
                                  uint32_t partition, struct error *err)
{
    int64_t aim = 0;
    int64_t first = 0;
    int64_t end = -1;
    const int64_t until_us = clock_monotonic_us() + OPEN_TRANSACTION_US;
    enum status status = kafka_high_watermark(client, topic, partition, &aim, err);
    while (status == STATUS_OK && end < aim) {
        status = kafka_bounds(client, topic, partition, &first, &end, err);
        if (status != STATUS_OK || end >= aim) {
            break;
        }
        if (stop_requested() || clock_monotonic_us() > until_us) {
            return error_set(err, STATUS_RETRY, "kafka.open_transaction",
                             "a transaction on '%s' [%u] is open, and hides what stands behind it: "
                             "wait until it times out, or end it (kafka-transactions.sh), and ask "
                             "again",
                             topic, partition);
        }
        clock_sleep_us(KAFKA_ASK_AGAIN_US);
    }
    return status;
}

enum status kafka_offset_at(struct kafka_client *client, const char *topic, uint32_t partition,
                            int64_t time_ms, int64_t *out_offset, bool *out_found,
                            struct error *err)
{
    char doing[320];
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *entry =
        rd_kafka_topic_partition_list_add(list, topic, (int32_t)partition);
    entry->offset = time_ms;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(client->rk, list, kafka_timeout_ms());
    code = code == RD_KAFKA_RESP_ERR_NO_ERROR ? entry->err : code;
    *out_found = code == RD_KAFKA_RESP_ERR_NO_ERROR && entry->offset >= 0;
    *out_offset = entry->offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return STATUS_OK;
    }
    rd_kafka_poll(client->rk, 0);
    (void)snprintf(doing, sizeof doing, "ask which record of '%s' [%u] was there at a time", topic,
                   partition);
    return kafka_error(client, code, doing, err);
}
