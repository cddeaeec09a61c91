/*
 * What only the cluster can tell about how safely it keeps rows and R: for explain. Asks, and tries
 * a transaction that it takes back: it carries offsets of a group that nobody uses, and no records,
 * so that no reader ever sees or waits for anything of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/kafka/private.h"

/* Of a large cluster some are enough. */
#define BROKERS_ASKED 12

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

/* Of a topic, as brokers tell them; "" what they do not. */
struct settings {
    char min_in_sync[16], cleanup_policy[32], unclean_election[8], timestamp_type[24];
};

static void take_setting(void *context, const char *setting, const char *text)
{
    struct settings *settings = context;
    const struct {
        const char *name;
        char *out;
        size_t size;
    } wanted[] = {
        {"min.insync.replicas", settings->min_in_sync, sizeof settings->min_in_sync},
        {"cleanup.policy", settings->cleanup_policy, sizeof settings->cleanup_policy},
        {"unclean.leader.election.enable", settings->unclean_election,
         sizeof settings->unclean_election},
        {"message.timestamp.type", settings->timestamp_type, sizeof settings->timestamp_type},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (strcmp(setting, wanted[i].name) == 0) {
            (void)snprintf(wanted[i].out, wanted[i].size, "%s", text);
        }
    }
}

/* How many brokers have a row when its commit is answered, and how many may be away. */
static void examine_replicas(const struct examination *e, const char *about, const char *name,
                             const struct kafka_topic *topic, const char *min_in_sync)
{
    char what[400];
    if (min_in_sync[0] == '\0') {
        return;
    }
    const uint32_t least = (uint32_t)strtoul(min_in_sync, NULL, 10);
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
                             enum topic_use use, const struct settings *settings)
{
    const bool is_progress = use == TOPIC_OF_PROGRESS;
    const char *policy = settings->cleanup_policy;
    char what[400];
    if (policy[0] != '\0') {
        const bool is_compacted = strstr(policy, "compact") != NULL;
        const bool is_deleted = strstr(policy, "delete") != NULL;
        (void)snprintf(what, sizeof what, "topic %s has cleanup.policy=%s", name, policy);
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
    if (strcmp(settings->unclean_election, "true") == 0) {
        (void)snprintf(what, sizeof what,
                       "topic %s takes a leader that lacks committed rows when no other is there",
                       name);
        find(e, true, about, what, "set unclean.leader.election.enable=false");
    }
    if (!is_progress && strcmp(settings->timestamp_type, "LogAppendTime") == 0) {
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
    struct settings settings = {0};
    struct error ignored = {0}; /* Who may not ask for them is told by the lack. */
    (void)!kafka_topic_settings(e->s->client, name, take_setting, &settings, &ignored);
    examine_replicas(e, about, name, &topic, settings.min_in_sync);
    examine_settings(e, about, name, use, &settings);
    return STATUS_OK;
}

/* --- brokers --- */

/* Brokers do not tell their version, but which versions of each request they take: the lowest of Kafka
 * that takes this one of Fetch. */
static const char *release_of(int16_t fetch_version)
{
    static const struct {
        int16_t fetch_version;
        const char *release;
    } known[] = {{18, "4.1"}, {17, "3.9"}, {16, "3.7"}, {15, "3.5"}, {13, "3.1"},
                 {12, "2.7"}, {11, "2.3"}, {10, "2.1"}, {0, "before 2.1"}};
    size_t i = 0;
    while (fetch_version < known[i].fetch_version) {
        i++;
    }
    return known[i].release;
}

/* By a client of that broker alone, for one that knows many asks few. */
static int16_t ask_fetch_version(const struct kafka_system *s, const char *address)
{
    const char *settings[] = {"bootstrap.servers", address, "debug", "feature", NULL};
    struct kafka_client *client = NULL;
    struct error ignored = {0};
    char *cluster = NULL;
    int16_t version = -1;
    if (kafka_client_open(s->config, s->folder, KAFKA_FETCH, NULL, settings, &client, &ignored) ==
            STATUS_OK &&
        kafka_cluster_id(client, &cluster, &ignored) == STATUS_OK) {
        version = kafka_fetch_version(client);
    }
    memory_free(cluster);
    kafka_client_close(client);
    return version;
}

static void examine_brokers(const struct examination *e)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(e->s->client->rk, 0, NULL, &metadata, KAFKA_TIMEOUT_MS) !=
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    for (int i = 0; i < metadata->broker_cnt && i < BROKERS_ASKED; i++) {
        const struct rd_kafka_metadata_broker *broker = &metadata->brokers[i];
        char address[300];
        char what[400];
        (void)snprintf(address, sizeof address, "%s:%d", broker->host, broker->port);
        const int16_t version = ask_fetch_version(e->s, address);
        if (version < 0) {
            (void)snprintf(what, sizeof what, "broker %d at %s does not answer", broker->id, address);
        } else {
            (void)snprintf(what, sizeof what,
                           "broker %d at %s takes the requests of Kafka %s (Fetch up to version %d)",
                           broker->id, address, release_of(version), version);
        }
        find(e, version < 0, "brokers", what,
             version < 0 ? "start it: what it leads is led by others meanwhile, or not at all" : "");
    }
    rd_kafka_metadata_destroy(metadata);
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

/* *producer becomes NULL when it is of no use any more. */
static bool try_transaction(struct kafka_client **producer, const char *group, const char *topic,
                            char *why, size_t size)
{
    rd_kafka_t *rk = (*producer)->rk;
    if (!went_well(rd_kafka_init_transactions(rk, KAFKA_TIMEOUT_MS), why, size) ||
        !went_well(rd_kafka_begin_transaction(rk), why, size)) {
        return false;
    }
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(offsets, topic, 0)->offset = 0;
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata_new(group);
    struct kafka_offsets_call *call =
        kafka_offsets_send(*producer, offsets, metadata, KAFKA_TIMEOUT_MS * INT64_C(1000));
    if (!kafka_offsets_are_answered(call)) {
        (void)snprintf(why, size, "the coordinator of group '%s' does not answer", group);
        kafka_offsets_leave(call);
        *producer = NULL;
        return false;
    }
    bool is_fine = went_well(kafka_offsets_end(call), why, size);
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
    const bool is_fine = try_transaction(&producer, id, s->progress_topic, why, sizeof why);
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
    examine_brokers(&e);
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
