#include "connector/kafka/member.h"

#include <string.h>

struct kafka_member {
    struct kafka_client *client;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event; /* waits for its answer */
    uint32_t *partitions;    /* of the event */
    uint32_t partition_count;
};

enum status kafka_member_open(const struct doc *config, const char *folder, const char *group,
                              const char *topic, uint32_t partition_count,
                              void (*wake)(rd_kafka_t *rk, void *context), void *context,
                              struct kafka_member **out, struct error *err)
{
    const char *assignment = grammar_string(config, "assignment", "cooperative-sticky");
    const char *instance = grammar_string(config, "instance_id", NULL);
    /* Nothing is fetched by it. */
    const char *settings[] = {"queued.min.messages", "1", "queued.max.messages.kbytes", "1",
                              "partition.assignment.strategy", assignment,
                              instance == NULL ? NULL : "group.instance.id", instance, NULL};
    struct kafka_member *member = memory_alloc_zero(1, sizeof *member);
    member->partitions = memory_alloc_zero(partition_count, sizeof *member->partitions);
    member->partition_count = partition_count;
    enum status status = kafka_client_open(config, folder, KAFKA_MEMBER, group, settings,
                                           &member->client, err);
    if (status == STATUS_OK) {
        rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
        member->queue = rd_kafka_queue_get_consumer(member->client->rk);
        rd_kafka_queue_cb_event_enable(member->queue, wake, context);
        rd_kafka_resp_err_t code = rd_kafka_subscribe(member->client->rk, topics);
        rd_kafka_topic_partition_list_destroy(topics);
        status = code == RD_KAFKA_RESP_ERR_NO_ERROR
                     ? STATUS_OK
                     : kafka_error(member->client, code, "join the consumer group", err);
    }
    if (status != STATUS_OK) {
        kafka_member_close(member);
        return status;
    }
    *out = member;
    return STATUS_OK;
}

void kafka_member_close(struct kafka_member *member)
{
    if (member == NULL) {
        return;
    }
    if (member->event != NULL) {
        struct error ignored = {0};
        (void)!kafka_member_answer(member, &ignored);
    }
    if (member->queue != NULL) {
        rd_kafka_queue_cb_event_enable(member->queue, NULL, NULL);
        rd_kafka_queue_destroy(member->queue);
        (void)rd_kafka_consumer_close(member->client->rk);
    }
    kafka_client_close(member->client);
    memory_free(member->partitions);
    memory_free(member);
}

void kafka_member_poll(struct kafka_member *member)
{
    for (;;) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(member->queue, 0);
        if (event == NULL) {
            return;
        }
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) {
            check(member->event == NULL); /* the group waits for an answer before it goes on */
            member->event = event;
            return;
        }
        rd_kafka_event_destroy(event);
    }
}

void kafka_member_event(struct kafka_member *member, struct source_assignment *out)
{
    *out = (struct source_assignment){.event = ASSIGNMENT_SAME};
    if (member->event == NULL) {
        return;
    }
    const rd_kafka_topic_partition_list_t *list =
        rd_kafka_event_topic_partition_list(member->event);
    bool is_gain =
        rd_kafka_event_error(member->event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    out->event = is_gain                        ? ASSIGNMENT_GAINED
                 : kafka_member_is_lost(member) ? ASSIGNMENT_LOST
                                                : ASSIGNMENT_REVOKED;
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        uint32_t partition = (uint32_t)list->elems[i].partition;
        /* A partition that was added: the list was made when the source was opened. */
        if (partition < member->partition_count) {
            member->partitions[out->count++] = partition;
        }
    }
    out->partitions = member->partitions;
}

static rd_kafka_resp_err_t code_of(rd_kafka_error_t *error)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    if (error != NULL) {
        rd_kafka_error_destroy(error);
    }
    return code;
}

/* Paused at once: readers do the reading. */
static rd_kafka_resp_err_t take_partitions(struct kafka_member *member, bool is_cooperative,
                                           rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_t *rk = member->client->rk;
    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].offset = RD_KAFKA_OFFSET_END;
    }
    rd_kafka_resp_err_t code = is_cooperative ? code_of(rd_kafka_incremental_assign(rk, list))
                                              : rd_kafka_assign(rk, list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && list->cnt > 0) {
        code = rd_kafka_pause_partitions(rk, list);
    }
    return code;
}

enum status kafka_member_answer(struct kafka_member *member, struct error *err)
{
    struct source_assignment assignment;
    rd_kafka_t *rk = member->client->rk;
    bool is_cooperative = strcmp(rd_kafka_rebalance_protocol(rk), "COOPERATIVE") == 0;
    kafka_member_event(member, &assignment);
    check(member->event != NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_copy(
        rd_kafka_event_topic_partition_list(member->event));
    rd_kafka_resp_err_t code = assignment.event == ASSIGNMENT_GAINED
                                   ? take_partitions(member, is_cooperative, list)
                               : is_cooperative ? code_of(rd_kafka_incremental_unassign(rk, list))
                                                : rd_kafka_assign(rk, NULL);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_event_destroy(member->event);
    member->event = NULL;
    /* While it closes, the group takes the partitions by itself. */
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__STATE
               ? STATUS_OK
               : kafka_error(member->client, code, "answer the group", err);
}

bool kafka_member_is_lost(const struct kafka_member *member)
{
    return rd_kafka_assignment_lost(member->client->rk) != 0;
}

rd_kafka_consumer_group_metadata_t *kafka_member_metadata(const struct kafka_member *member)
{
    return rd_kafka_consumer_group_metadata(member->client->rk);
}
