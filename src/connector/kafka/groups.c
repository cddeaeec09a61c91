#include "connector/kafka/groups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/kafka/answer.h"
#include "connector/kafka/question.h"
#include "os/clock.h"

#define GROUP_STEP_MS 1000

/* The group's coordinator is another one, or has just begun to be it. */
static bool is_settling(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR ||
           code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
           code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
}

/* By the consumer's own request. The admin client's one for it (ListConsumerGroupOffsets) ends the
 * process when the coordinator's connection breaks just then (librdkafka's pull request 5397).
 * `is_whole`: the error of every entry is that of the answer. */
static rd_kafka_resp_err_t ask_committed(struct kafka_client *client,
                                         rd_kafka_topic_partition_list_t *list, bool is_whole)
{
    int64_t end_us = clock_monotonic_us() + KAFKA_TIMEOUT_MS * INT64_C(1000);
    for (;;) {
        rd_kafka_resp_err_t code = rd_kafka_committed(client->rk, list, GROUP_STEP_MS);
        for (int i = 0; is_whole && i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
            code = list->elems[i].err;
        }
        rd_kafka_poll(client->rk, 0);
        if (!is_settling(code) || clock_monotonic_us() >= end_us || stop_requested()) {
            return code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND ? RD_KAFKA_RESP_ERR_NO_ERROR : code;
        }
        clock_sleep_us(code == RD_KAFKA_RESP_ERR__TIMED_OUT ? 0 : KAFKA_ASK_AGAIN_US);
    }
}

static enum status no_offsets(struct kafka_client *client, const char *group,
                              rd_kafka_resp_err_t code, struct error *err)
{
    char doing[320];
    (void)snprintf(doing, sizeof doing, "ask how far group '%s' has come", group);
    return kafka_error(client, code, doing, err);
}

enum status kafka_group_offset(struct kafka_client *client, const char *group, const char *topic,
                               uint32_t partition, int64_t *out_offset, struct buffer *metadata,
                               bool *out_found, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *entry =
        rd_kafka_topic_partition_list_add(list, topic, (int32_t)partition);
    rd_kafka_resp_err_t code = ask_committed(client, list, true);
    *out_found = code == RD_KAFKA_RESP_ERR_NO_ERROR && entry->offset >= 0;
    *out_offset = entry->offset;
    if (*out_found && metadata != NULL && entry->metadata != NULL) {
        buffer_append(metadata, entry->metadata, entry->metadata_size);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? STATUS_OK : no_offsets(client, group, code, err);
}

/* By the consumer's own request too: the admin client's one for it (AlterConsumerGroupOffsets) finds
 * the coordinator in the same way that ends the process. */
enum status kafka_group_note(struct kafka_client *client, const char *group, const char *topic,
                             const int64_t *offsets, uint32_t count, struct error *err)
{
    char doing[320];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client->rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (uint32_t p = 0; p < count; p++) {
        rd_kafka_topic_partition_list_add(list, topic, (int32_t)p)->offset = offsets[p];
    }
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(client->rk, list, queue, NULL, NULL);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_event_t *answer = rd_kafka_queue_poll(queue, KAFKA_TIMEOUT_MS);
        rd_kafka_poll(client->rk, 0);
        code = answer == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(answer);
        if (answer != NULL) {
            rd_kafka_event_destroy(answer);
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(queue);
    (void)snprintf(doing, sizeof doing, "note how far group '%s' has come", group);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? STATUS_OK : kafka_error(client, code, doing, err);
}

void kafka_group_follow(struct kafka_client *client, const char *topic, const int64_t *offsets,
                        uint32_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (uint32_t p = 0; p < count; p++) {
        rd_kafka_topic_partition_list_add(list, topic, (int32_t)p)->offset = offsets[p];
    }
    /* What goes wrong is told by the next note that is waited for. */
    (void)rd_kafka_commit(client->rk, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_poll(client->rk, 0);
}

/* One try; `use` gets the description. */
static rd_kafka_resp_err_t describe_once(struct kafka_client *client, const char *group,
                                         void (*use)(void *context,
                                                     const rd_kafka_ConsumerGroupDescription_t *it),
                                         void *context)
{
    struct kafka_question question;
    kafka_ask(client, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, &question);
    rd_kafka_DescribeConsumerGroups(client->rk, &group, 1, question.options, question.queue);
    rd_kafka_resp_err_t code = kafka_answer_of(client, &question);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        size_t count = 0;
        const rd_kafka_ConsumerGroupDescription_t **groups =
            rd_kafka_DescribeConsumerGroups_result_groups(
                rd_kafka_event_DescribeConsumerGroups_result(question.answer), &count);
        code = rd_kafka_error_code(rd_kafka_ConsumerGroupDescription_error(groups[0]));
        use(context, groups[0]);
    }
    kafka_question_end(&question);
    return code;
}

/* A group that is not there is not described. */
static enum status describe_group(struct kafka_client *client, const char *group,
                                  void (*use)(void *context,
                                              const rd_kafka_ConsumerGroupDescription_t *it),
                                  void *context, struct error *err)
{
    char doing[320];
    const int64_t end_us = clock_monotonic_us() + KAFKA_TIMEOUT_MS * INT64_C(1000);
    rd_kafka_resp_err_t code = describe_once(client, group, use, context);
    while (is_settling(code) && clock_monotonic_us() < end_us && !stop_requested()) {
        clock_sleep_us(KAFKA_ASK_AGAIN_US);
        code = describe_once(client, group, use, context);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) {
        return STATUS_OK;
    }
    (void)snprintf(doing, sizeof doing, "ask who is in group '%s'", group);
    return kafka_error(client, code, doing, err);
}

static void count_members(void *context, const rd_kafka_ConsumerGroupDescription_t *group)
{
    *(uint32_t *)context = (uint32_t)rd_kafka_ConsumerGroupDescription_member_count(group);
}

enum status kafka_group_members(struct kafka_client *client, const char *group, uint32_t *out,
                                struct error *err)
{
    *out = 0;
    return describe_group(client, group, count_members, out, err);
}

struct reading {
    const char *topic;
    bool is_read;
};

static void look_for_topic(void *context, const rd_kafka_ConsumerGroupDescription_t *group)
{
    struct reading *reading = context;
    const size_t count = rd_kafka_ConsumerGroupDescription_member_count(group);
    reading->is_read = false;
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_topic_partition_list_t *assigned = rd_kafka_MemberAssignment_partitions(
            rd_kafka_MemberDescription_assignment(rd_kafka_ConsumerGroupDescription_member(group, i)));
        for (int k = 0; assigned != NULL && k < assigned->cnt; k++) {
            reading->is_read |= strcmp(assigned->elems[k].topic, reading->topic) == 0;
        }
    }
}

enum status kafka_group_reads(struct kafka_client *client, const char *group, const char *topic,
                              bool *out_reads, struct error *err)
{
    struct reading reading = {.topic = topic};
    enum status status = describe_group(client, group, look_for_topic, &reading, err);
    *out_reads = reading.is_read;
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum status kafka_group_names(struct kafka_client *client, struct arena *arena, const char ***out,
                              uint32_t *out_count, struct error *err)
{
    struct kafka_question question;
    size_t count = 0;
    const char **names = NULL;
    kafka_ask(client, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, &question);
    rd_kafka_ListConsumerGroups(client->rk, question.options, question.queue);
    rd_kafka_resp_err_t code = kafka_answer_of(client, &question);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const rd_kafka_ConsumerGroupListing_t **found = rd_kafka_ListConsumerGroups_result_valid(
            rd_kafka_event_ListConsumerGroups_result(question.answer), &count);
        names = arena_alloc(arena, size_mul(count + 1, sizeof *names));
        for (size_t i = 0; i < count; i++) {
            names[i] =
                arena_copy_string(arena, rd_kafka_ConsumerGroupListing_group_id(found[i]));
        }
    }
    kafka_question_end(&question);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_error(client, code, "ask which groups there are", err);
    }
    if (count > 1) {
        qsort(names, count, sizeof *names, compare_names);
    }
    *out = names;
    *out_count = (uint32_t)count;
    return STATUS_OK;
}

/* All partitions of a topic, or of all topics but the brokers' own. */
static rd_kafka_resp_err_t list_partitions(struct kafka_client *client, const char *topic,
                                           rd_kafka_topic_partition_list_t *list)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(client->rk, 1, NULL, &metadata, kafka_timeout_ms());
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return code;
    }
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *found = &metadata->topics[i];
        const bool is_internal =
            strncmp(found->topic, KAFKA_INTERNAL, strlen(KAFKA_INTERNAL)) == 0;
        const bool is_meant = topic == NULL ? !is_internal : strcmp(found->topic, topic) == 0;
        for (int k = 0; is_meant && k < found->partition_cnt; k++) {
            rd_kafka_topic_partition_list_add(list, found->topic, found->partitions[k].id);
        }
    }
    rd_kafka_metadata_destroy(metadata);
    return code;
}

enum status kafka_group_offsets(struct kafka_client *client, const char *group, const char *topic,
                                kafka_offset_visitor *visit, void *context, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    rd_kafka_resp_err_t code = list_partitions(client, topic, list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && list->cnt > 0) {
        code = ask_committed(client, list, false);
    }
    enum status status =
        code == RD_KAFKA_RESP_ERR_NO_ERROR ? STATUS_OK : no_offsets(client, group, code, err);
    for (int i = 0; i < list->cnt && status == STATUS_OK; i++) {
        const rd_kafka_topic_partition_t *entry = &list->elems[i];
        if (entry->err == RD_KAFKA_RESP_ERR_NO_ERROR && entry->offset >= 0) {
            status = visit(context, entry, err);
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}
