#include "connector/kafka/member.h"

#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "os/clock.h"

/* A process that others fence so often within that time has a rival of the same name. */
#define FENCES_MOST 3
#define FENCES_US (60 * TIME_US_PER_SECOND)

struct kafka_member {
    const struct doc *config;
    const char *folder, *group, *topic;
    void (*wake)(rd_kafka_t *rk, void *context);
    void *context;
    struct kafka_client *client;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event; /* waits for its answer */
    uint32_t *partitions;    /* of the event */
    uint32_t partition_count;
    bool has_partitions;
    struct error failure; /* that ended the membership; OK: none did */
    bool is_fatal;        /* to the client alone: a new one can be a member */
    uint32_t fence_count;
    int64_t fenced_us; /* the first of these */
};

/* --- joining and leaving --- */

/* What the group has just said is answered before the client closes: an assignment that it meets then
 * is given back to a group that it has left already, and it waits for that for ever. */
static void answer_all(struct kafka_member *member)
{
    kafka_member_poll(member);
    while (member->event != NULL) {
        struct error ignored = {0};
        (void)!kafka_member_answer(member, &ignored);
        kafka_member_poll(member);
    }
}

static void leave(struct kafka_member *member)
{
    if (member->queue != NULL) {
        answer_all(member);
    }
    if (member->queue != NULL) {
        rd_kafka_queue_cb_event_enable(member->queue, NULL, NULL);
        rd_kafka_queue_destroy(member->queue);
        member->queue = NULL;
        (void)rd_kafka_consumer_close(member->client->rk);
    }
    kafka_client_close(member->client);
    member->client = NULL;
    member->has_partitions = false;
}

static enum status join(struct kafka_member *member, struct error *err)
{
    const char *assignment = grammar_string(member->config, "assignment", "cooperative-sticky");
    const char *instance = grammar_string(member->config, "instance_id", NULL);
    /* Nothing is fetched by it. */
    const char *settings[] = {"queued.min.messages", "1", "queued.max.messages.kbytes", "1",
                              "partition.assignment.strategy", assignment,
                              instance == NULL ? NULL : "group.instance.id", instance, NULL};
    enum status status = kafka_client_open(member->config, member->folder, KAFKA_MEMBER,
                                           member->group, settings, &member->client, err);
    if (status != STATUS_OK) {
        return status;
    }
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, member->topic, RD_KAFKA_PARTITION_UA);
    member->queue = rd_kafka_queue_get_consumer(member->client->rk);
    rd_kafka_queue_cb_event_enable(member->queue, member->wake, member->context);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(member->client->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? STATUS_OK
               : kafka_error(member->client, code, "join the consumer group", err);
}

enum status kafka_member_open(const struct doc *config, const char *folder, const char *group,
                              const char *topic, uint32_t partition_count,
                              void (*wake)(rd_kafka_t *rk, void *context), void *context,
                              struct kafka_member **out, struct error *err)
{
    struct kafka_member *member = memory_alloc_zero(1, sizeof *member);
    *member = (struct kafka_member){
        .config = config,
        .folder = folder,
        .group = group,
        .topic = topic,
        .wake = wake,
        .context = context,
        .partitions = memory_alloc_zero(partition_count, sizeof *member->partitions),
        .partition_count = partition_count,
    };
    enum status status = join(member, err);
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
    leave(member);
    memory_free(member->partitions);
    memory_free(member);
}

/* --- what the group says --- */

/* What weir waits for, and the client goes on with by itself, ends nothing. */
static void take_failure(struct kafka_member *member, rd_kafka_event_t *event)
{
    char doing[400];
    const rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const bool is_fatal = rd_kafka_event_error_is_fatal(event) != 0;
    if (member->failure.status != STATUS_OK ||
        (!is_fatal && kafka_status(code) != STATUS_CONFIG)) {
        return;
    }
    (void)snprintf(doing, sizeof doing,
                   "be a member of group '%s' for topic '%s', which needs the right Read on both",
                   member->group, member->topic);
    member->is_fatal = is_fatal;
    (void)kafka_error(member->client, code, doing, &member->failure);
}

/* Who has no partitions any more, as all brokers are away, has nothing to go on with. */
static void look_for_brokers(struct kafka_member *member)
{
    rd_kafka_poll(member->client->rk, 0); /* complaints */
    mutex_lock(&member->client->mutex);
    const bool are_all_down = member->client->are_all_down;
    mutex_unlock(&member->client->mutex);
    if (are_all_down && !member->has_partitions && member->event == NULL &&
        member->failure.status == STATUS_OK) {
        (void)kafka_error(member->client, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
                          "join the consumer group", &member->failure);
    }
}

static void take_rebalance(struct kafka_member *member, rd_kafka_event_t *event)
{
    check(member->event == NULL); /* the group waits for an answer before it goes on */
    member->event = event;
    mutex_lock(&member->client->mutex);
    member->client->are_all_down = false;
    mutex_unlock(&member->client->mutex);
}

void kafka_member_poll(struct kafka_member *member)
{
    look_for_brokers(member);
    for (;;) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(member->queue, 0);
        if (event == NULL) {
            return;
        }
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) {
            take_rebalance(member, event);
            return;
        }
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR) {
            take_failure(member, event);
        }
        rd_kafka_event_destroy(event);
    }
}

void kafka_member_event(struct kafka_member *member, struct source_assignment *out)
{
    *out = (struct source_assignment){.event = ASSIGNMENT_SAME,
                                      .partitions = member->partitions};
    if (member->event == NULL) {
        if (member->failure.status != STATUS_OK) {
            out->event = ASSIGNMENT_LOST;
            for (; out->count < member->partition_count; out->count++) {
                member->partitions[out->count] = out->count;
            }
        }
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

/* A static member whose place another took is fenced: by a process that was started in its stead, or
 * by itself, when it asked to join again and the answer was lost. So it asks anew, but not for ever. */
static enum status answer_failure(struct kafka_member *member, struct error *err)
{
    const int64_t now_us = clock_monotonic_us();
    if (!member->is_fatal) {
        *err = member->failure;
        return err->status;
    }
    if (member->fence_count == 0 || now_us - member->fenced_us > FENCES_US) {
        member->fence_count = 0;
        member->fenced_us = now_us;
    }
    if (++member->fence_count >= FENCES_MOST) {
        return error_set(err, STATUS_CONFIG, "source.instance_taken",
                         "another process takes the place of instance_id '%s' in group '%s' again "
                         "and again: give every process an instance_id of its own (%s)",
                         grammar_string(member->config, "instance_id", ""), member->group,
                         member->failure.message);
    }
    leave(member);
    error_clear(&member->failure);
    member->is_fatal = false;
    return join(member, err);
}

enum status kafka_member_answer(struct kafka_member *member, struct error *err)
{
    struct source_assignment assignment;
    if (member->event == NULL && member->failure.status != STATUS_OK) {
        return answer_failure(member, err);
    }
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
    list = NULL;
    if (rd_kafka_assignment(rk, &list) == RD_KAFKA_RESP_ERR_NO_ERROR && list != NULL) {
        member->has_partitions = list->cnt > 0;
        rd_kafka_topic_partition_list_destroy(list);
    }
    /* While it closes, the group takes the partitions by itself. */
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__STATE
               ? STATUS_OK
               : kafka_error(member->client, code, "answer the group", err);
}

bool kafka_member_is_lost(const struct kafka_member *member)
{
    char unused[8];
    rd_kafka_t *rk = member->client->rk;
    return rd_kafka_assignment_lost(rk) != 0 ||
           rd_kafka_fatal_error(rk, unused, sizeof unused) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_consumer_group_metadata_t *kafka_member_metadata(const struct kafka_member *member)
{
    return rd_kafka_consumer_group_metadata(member->client->rk);
}
