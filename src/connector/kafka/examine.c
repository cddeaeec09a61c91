/*
 * What only the cluster can tell about how safely it keeps rows and R: for explain. Asks, and tries
 * a transaction that it takes back: it carries offsets of a group that nobody uses, and no records,
 * so that no reader ever sees or waits for anything of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/kafka/private.h"

enum topic_use { TOPIC_OF_PROGRESS, TOPIC_OF_ROWS, TOPIC_OF_LETTERS };

struct examination {
    struct kafka_system *s;
    system_finding_visitor *visit;
    void *context;
};

static void find(const struct examination *e, bool is_weak, const char *about, const char *what,
                 const char *remedy)
{
    const struct system_finding finding = {
        .is_weak = is_weak, .about = about, .what = what, .remedy = remedy};
    e->visit(e->context, &finding);
}

/* --- topics --- */

/* How many brokers have a row when its commit is answered, and how many may be away. */
static void examine_replicas(const struct examination *e, const char *about, const char *name,
                             const struct kafka_topic *topic)
{
    char what[400];
    char text[32];
    if (!kafka_topic_setting(e->s->client, name, "min.insync.replicas", text, sizeof text)) {
        return;
    }
    const uint32_t least = (uint32_t)strtoul(text, NULL, 10);
    (void)snprintf(what, sizeof what, "topic %s: %u replica%s, of which %u acknowledge a commit",
                   name, topic->replicas, topic->replicas == 1 ? "" : "s", least);
    const bool is_alone = topic->replicas < 2;
    const bool is_thin = !is_alone && least < 2;
    const bool is_stiff = !is_alone && least >= topic->replicas;
    find(e, is_alone || is_thin, about, what,
         is_alone  ? "with one replica a lost disk is lost rows: give the topic three, and "
                     "min.insync.replicas=2"
         : is_thin ? "set min.insync.replicas=2: a commit that one broker has alone is lost with it"
         : is_stiff ? "no broker may be away: have more replicas than min.insync.replicas"
                    : "");
}

static void examine_settings(const struct examination *e, const char *about, const char *name,
                             enum topic_use use)
{
    const bool is_progress = use == TOPIC_OF_PROGRESS;
    struct kafka_client *client = e->s->client;
    char what[400];
    char text[64];
    if (kafka_topic_setting(client, name, "cleanup.policy", text, sizeof text)) {
        const bool is_compacted = strstr(text, "compact") != NULL;
        const bool is_deleted = strstr(text, "delete") != NULL;
        (void)snprintf(what, sizeof what, "topic %s has cleanup.policy=%s", name, text);
        if (is_progress && (is_deleted || !is_compacted)) {
            find(e, true, about, what,
                 "set cleanup.policy=compact: the progress record would be deleted by its age");
        } else if (!is_progress && is_compacted) {
            find(e, use == TOPIC_OF_LETTERS, about, what,
                 use == TOPIC_OF_LETTERS
                     ? "set cleanup.policy=delete: of dead letters with one key only the last one "
                       "would stay"
                     : "of rows with one key the last one stays: audit names the others as missing");
        }
    }
    if (kafka_topic_setting(client, name, "unclean.leader.election.enable", text, sizeof text) &&
        strcmp(text, "true") == 0) {
        (void)snprintf(what, sizeof what,
                       "topic %s takes a leader that lacks committed rows when no other is there",
                       name);
        find(e, true, about, what, "set unclean.leader.election.enable=false");
    }
    if (!is_progress &&
        kafka_topic_setting(client, name, "message.timestamp.type", text, sizeof text) &&
        strcmp(text, "LogAppendTime") == 0) {
        (void)snprintf(what, sizeof what,
                       "topic %s stamps rows anew: their timestamp is when they were written", name);
        find(e, false, about, what, "set message.timestamp.type=CreateTime to keep the records' own");
    }
}

static enum status examine_topic(const struct examination *e, const char *about, const char *name,
                                 enum topic_use use, struct error *err)
{
    struct kafka_topic topic;
    bool found = false;
    enum status status = kafka_topic_find(e->s->client, name, &topic, &found, err);
    if (status != STATUS_OK || !found) {
        return status; /* The first start makes it. */
    }
    examine_replicas(e, about, name, &topic);
    examine_settings(e, about, name, use);
    return STATUS_OK;
}

/* --- a transaction --- */

/* Frees the error; true when there was none. */
static bool went_well(rd_kafka_error_t *error, char *why, size_t size)
{
    if (error == NULL) {
        return true;
    }
    (void)snprintf(why, size, "%s", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return false;
}

static bool try_transaction(struct kafka_client *producer, const char *group, const char *topic,
                            char *why, size_t size)
{
    rd_kafka_t *rk = producer->rk;
    if (!went_well(rd_kafka_init_transactions(rk, KAFKA_TIMEOUT_MS), why, size) ||
        !went_well(rd_kafka_begin_transaction(rk), why, size)) {
        return false;
    }
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(offsets, topic, 0)->offset = 0;
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata_new(group);
    bool is_fine = went_well(
        rd_kafka_send_offsets_to_transaction(rk, offsets, metadata, KAFKA_TIMEOUT_MS), why, size);
    rd_kafka_consumer_group_metadata_destroy(metadata);
    rd_kafka_topic_partition_list_destroy(offsets);
    char ignored[8];
    return went_well(rd_kafka_abort_transaction(rk, KAFKA_TIMEOUT_MS), is_fine ? why : ignored,
                     is_fine ? size : sizeof ignored) &&
           is_fine;
}

static enum status examine_transactions(const struct examination *e, struct error *err)
{
    struct kafka_system *s = e->s;
    struct kafka_client *producer = NULL;
    char what[600];
    char why[400] = "";
    char *id = arena_printf(s->arena, "weir.explain.%s", s->pipeline);
    enum status status = kafka_client_open(s->config, s->folder, KAFKA_PRODUCE, id, NULL, &producer,
                                           err);
    if (status != STATUS_OK) {
        return status;
    }
    const bool is_fine = try_transaction(producer, id, s->progress_topic, why, sizeof why);
    kafka_client_close(producer);
    (void)snprintf(what, sizeof what,
                   is_fine ? "transactions work: one was begun, given offsets and taken back"
                           : "a transaction was tried, and failed: %s",
                   why);
    find(e, !is_fine, "transactions", what,
         is_fine ? "" : "without transactions nothing is committed: see docs/kafka.md, rights");
    return STATUS_OK;
}

enum status kafka_examine(struct system *system, system_finding_visitor *visit, void *context,
                          struct error *err)
{
    const struct examination e = {
        .s = kafka_system(system), .visit = visit, .context = context};
    enum status status = examine_transactions(&e, err);
    if (status == STATUS_OK) {
        status = examine_topic(&e, "progress", e.s->progress_topic, TOPIC_OF_PROGRESS, err);
    }
    for (uint32_t i = 0; i < system->sink_count && status == STATUS_OK; i++) {
        const struct sink *sink = system->sinks[i];
        char about[256];
        (void)snprintf(about, sizeof about, sink->is_dlq ? "%s" : "sink %s", sink->name);
        status = examine_topic(&e, about, kafka_sink(sink)->topic_name,
                               sink->is_dlq ? TOPIC_OF_LETTERS : TOPIC_OF_ROWS, err);
    }
    return status;
}
