/* The topics of a cluster (connector/topics.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "connector/kafka/private.h"

/* Groups are asked for their offsets by a client of each, so many at a time: they connect side by side. */
#define GROUPS_AT_ONCE 8

struct kafka_topics {
    struct topics topics; /* first */
    struct arena *arena;
    const struct doc *config;
    const char *folder;
    struct kafka_client *client;
    struct kafka_topic topic; /* that was asked for last */
};

static struct kafka_topics *self(struct topics *topics)
{
    return (struct kafka_topics *)topics;
}

static void close_topics(struct topics *topics)
{
    if (topics == NULL) {
        return;
    }
    kafka_client_close(self(topics)->client);
    arena_free(self(topics)->arena);
    memory_free(topics);
}

static enum status open_topics(const struct doc *config, const char *folder, enum topics_mode mode,
                               struct topics **out, struct error *err)
{
    static const char *const quick[] = {KAFKA_ASK_QUICKLY, NULL};
    struct kafka_topics *s = memory_alloc_zero(1, sizeof *s);
    char *cluster = NULL;
    (void)mode;
    s->topics.ops = &kafka_topics_ops;
    s->config = config;
    s->folder = folder;
    s->arena = arena_new(1024);
    enum status status = kafka_check_connection(config, err);
    if (status == STATUS_OK) {
        status = kafka_client_open(config, folder, KAFKA_FETCH, NULL, quick, &s->client, err);
    }
    if (status == STATUS_OK) {
        status = kafka_cluster_id(s->client, &cluster, err);
    }
    memory_free(cluster);
    if (status != STATUS_OK) {
        close_topics(&s->topics);
        return status;
    }
    *out = &s->topics;
    return STATUS_OK;
}

/* --- what there is --- */

const char *const kafka_timestamps[] = {"broker", "producer", NULL};

/* A limit that is not there is negative. */
static int64_t read_limit(const char *text)
{
    int64_t limit = strtoll(text, NULL, 10);
    return limit > 0 ? limit : 0;
}

struct settings {
    struct topic_state *state;
    bool is_deleted; /* for its age or its size; else retention says nothing */
};

static void take_setting(void *context, const char *setting, const char *text)
{
    struct settings *settings = context;
    struct topic_state *state = settings->state;
    if (strcmp(setting, "retention.ms") == 0) {
        const int64_t limit_ms = read_limit(text);
        state->retention.is_known = true;
        state->retention.age_us = limit_ms > INT64_MAX / 1000 ? 0 : limit_ms * 1000;
    } else if (strcmp(setting, "retention.bytes") == 0) {
        state->retention.bytes = read_limit(text);
    } else if (strcmp(setting, "cleanup.policy") == 0) {
        state->is_compacted = strstr(text, "compact") != NULL;
        settings->is_deleted = strstr(text, "delete") != NULL;
    } else if (strcmp(setting, "message.timestamp.type") == 0) {
        state->timestamps = kafka_timestamps[strcmp(text, "LogAppendTime") == 0 ? 0 : 1];
    } else if (strcmp(setting, "min.insync.replicas") == 0) {
        state->acknowledged = (uint32_t)strtoul(text, NULL, 10);
    }
}

static enum status count_offsets(struct kafka_topics *s, struct topic_state *state,
                                 struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < state->partitions && status == STATUS_OK; p++) {
        int64_t first = 0;
        int64_t end = 0;
        status = kafka_bounds(s->client, state->name, p, &first, &end, err);
        state->offsets += end - first;
    }
    return status;
}

/* `is_new`: its partitions have just been made, and may have no leader yet to ask. */
static enum status read_state(struct kafka_topics *s, const char *name, bool is_new,
                              struct topic_state *out, struct error *err)
{
    arena_reset(s->arena, 1024);
    struct topic_state state = {
        .created_us = TIME_NEVER,
        .name = arena_copy_string(s->arena, name),
        .id = s->topic.id,
        .partitions = s->topic.partition_count,
        .replication = s->topic.replicas,
        .records = TOPICS_UNTOLD,
        .bytes = TOPICS_UNTOLD,
    };
    struct settings settings = {.state = &state, .is_deleted = true};
    enum status status = kafka_topic_settings(s->client, state.name, take_setting, &settings, err);
    if (!settings.is_deleted) {
        state.retention.age_us = state.retention.bytes = 0;
    }
    if (status == STATUS_OK && !is_new) {
        status = count_offsets(s, &state, err);
    }
    if (status == STATUS_OK) {
        *out = state;
    }
    return status;
}

static enum status find(struct topics *topics, const char *name, struct topic_state *out,
                        bool *out_found, struct error *err)
{
    struct kafka_topics *s = self(topics);
    enum status status = kafka_topic_find(s->client, name, &s->topic, out_found, err);
    return status == STATUS_OK && *out_found ? read_state(s, name, false, out, err) : status;
}

static enum status list(struct topics *topics, topic_visitor *visit, void *context,
                        struct error *err)
{
    struct kafka_topics *s = self(topics);
    struct arena *arena = arena_new(4096);
    char **names = NULL;
    uint32_t count = 0;
    enum status status = kafka_topic_names(s->client, arena, &names, &count, err);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        struct topic_state state = {0};
        bool found = false;
        if (strncmp(names[i], KAFKA_INTERNAL, strlen(KAFKA_INTERNAL)) == 0) {
            continue;
        }
        status = find(topics, names[i], &state, &found, err);
        if (status == STATUS_OK && found) {
            status = visit(context, &state, err);
        }
    }
    arena_free(arena);
    return status;
}

static enum status partitions(struct topics *topics, const char *name,
                              topic_partition_visitor *visit, void *context, struct error *err)
{
    struct kafka_topics *s = self(topics);
    struct kafka_replicas *replicas = NULL;
    uint32_t count = 0;
    enum status status = kafka_topic_replicas(s->client, name, &replicas, &count, err);
    for (uint32_t p = 0; p < count && status == STATUS_OK; p++) {
        struct topic_partition partition = {
            .partition = p,
            .records = TOPICS_UNTOLD,
            .batches = TOPICS_UNTOLD,
            .bytes = TOPICS_UNTOLD,
            .uncompressed_bytes = TOPICS_UNTOLD,
            .oldest_ms = TOPICS_UNTOLD,
            .newest_ms = TOPICS_UNTOLD,
            .leader = replicas[p].leader,
            .replicas = replicas[p].replicas,
            .in_sync = replicas[p].in_sync,
        };
        int64_t high = 0;
        status =
            kafka_bounds(s->client, name, p, &partition.first_offset, &partition.next_offset, err);
        if (status == STATUS_OK) {
            status = kafka_high_watermark(s->client, name, p, &high, err);
        }
        if (status == STATUS_OK) {
            partition.hidden = high > partition.next_offset ? high - partition.next_offset : 0;
            status = visit(context, &partition, err);
        }
    }
    memory_free(replicas);
    return status;
}

/* --- groups --- */

struct group_visit {
    struct kafka_topics *s;
    const char *topic;
    const char *group;
    topic_group_visitor *visit;
    void *context;
};

static enum status visit_offset(void *context, const rd_kafka_topic_partition_t *offset,
                                struct error *err)
{
    const struct group_visit *v = context;
    int64_t first = 0;
    int64_t end = 0;
    enum status status = kafka_bounds(v->s->client, v->topic, (uint32_t)offset->partition, &first,
                                      &end, err);
    const struct topic_group group = {.group = v->group,
                                      .partition = (uint32_t)offset->partition,
                                      .next_offset = offset->offset,
                                      .lag = end > offset->offset ? end - offset->offset : 0};
    return status == STATUS_OK ? v->visit(v->context, &group, err) : status;
}

/* What a transaction is committing just now is not waited for. */
static enum status open_group(struct kafka_topics *s, const char *group, struct kafka_client **out,
                              struct error *err)
{
    static const char *const settings[] = {"isolation.level", "read_uncommitted",
                                           KAFKA_ASK_QUICKLY, NULL};
    return kafka_client_open(s->config, s->folder, KAFKA_FETCH, group, settings, out, err);
}

/* Some groups side by side. */
static enum status visit_groups(struct group_visit *v, const char *const *names, uint32_t count,
                                struct error *err)
{
    struct kafka_client *clients[GROUPS_AT_ONCE] = {NULL};
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = open_group(v->s, names[i], &clients[i], err);
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        v->group = names[i];
        status = kafka_group_offsets(clients[i], names[i], v->topic, visit_offset, v, err);
    }
    for (uint32_t i = 0; i < count; i++) {
        kafka_client_close(clients[i]);
    }
    return status;
}

static enum status groups(struct topics *topics, const char *name, topic_group_visitor *visit,
                          void *context, struct error *err)
{
    struct group_visit v = {.s = self(topics), .topic = name, .visit = visit, .context = context};
    struct arena *arena = arena_new(4096);
    const char **names = NULL;
    uint32_t count = 0;
    enum status status = kafka_group_names(v.s->client, arena, &names, &count, err);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i += GROUPS_AT_ONCE) {
        const uint32_t left = count - i;
        status = visit_groups(&v, names + i, left < GROUPS_AT_ONCE ? left : GROUPS_AT_ONCE, err);
    }
    arena_free(arena);
    return status;
}

struct user_visit {
    struct kafka_topics *s;
    const char *topic;
    topic_user_visitor *visit;
    void *context;
};

static enum status visit_user(const struct user_visit *v, const char *group, struct error *err)
{
    bool reads = false;
    enum status status = kafka_group_reads(v->s->client, group, v->topic, &reads, err);
    return status == STATUS_OK && reads ? v->visit(v->context, group, err) : status;
}

/* Who writes to a topic no broker tells. */
static enum status users(struct topics *topics, const char *name, topic_user_visitor *visit,
                         void *context, struct error *err)
{
    struct user_visit v = {.s = self(topics), .topic = name, .visit = visit, .context = context};
    struct arena *arena = arena_new(4096);
    const char **names = NULL;
    uint32_t count = 0;
    enum status status = kafka_group_names(v.s->client, arena, &names, &count, err);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = visit_user(&v, names[i], err);
    }
    arena_free(arena);
    return status;
}

/* --- making and changing --- */

#define LIMIT_CHARACTERS 24

/* As settings of a topic, in pairs; milliseconds, and not 0, which would be nothing at all. */
struct limits {
    const char *pairs[7];
    char age[LIMIT_CHARACTERS], bytes[LIMIT_CHARACTERS];
};

static uint32_t write_limits(struct limits *limits, int64_t age_us, int64_t bytes)
{
    uint32_t count = 0;
    memset(limits, 0, sizeof *limits);
    if (age_us != TOPICS_UNTOLD) {
        int64_t age_ms = age_us == 0 ? -1 : age_us < 1000 ? 1 : age_us / 1000;
        (void)snprintf(limits->age, sizeof limits->age, "%lld", (long long)age_ms);
        limits->pairs[count++] = "retention.ms";
        limits->pairs[count++] = limits->age;
    }
    if (bytes != TOPICS_UNTOLD) {
        (void)snprintf(limits->bytes, sizeof limits->bytes, "%lld",
                       bytes == 0 ? -1LL : (long long)bytes);
        limits->pairs[count++] = "retention.bytes";
        limits->pairs[count++] = limits->bytes;
    }
    return count;
}

enum status kafka_make_compacted(struct kafka_client *client, const char *name,
                                 uint32_t replication, struct kafka_topic *out,
                                 struct error *err)
{
    static const char *const settings[] = {"cleanup.policy",
                                           "compact",
                                           "min.cleanable.dirty.ratio",
                                           "0.1",
                                           "segment.bytes",
                                           "16777216",
                                           "segment.ms",
                                           "3600000",
                                           NULL};
    return kafka_topic_make(client, name, 1, replication, settings, out, err);
}

enum status kafka_make_wished(struct kafka_client *client, const struct topic_wish *wish,
                              struct kafka_topic *out, struct error *err)
{
    struct limits limits;
    if (wish->is_compacted) {
        return kafka_make_compacted(client, wish->name, wish->replication, out, err);
    }
    uint32_t count = write_limits(&limits, wish->age_us, wish->bytes);
    if (wish->timestamps != NULL) {
        limits.pairs[count++] = "message.timestamp.type";
        limits.pairs[count] =
            strcmp(wish->timestamps, "broker") == 0 ? "LogAppendTime" : "CreateTime";
    }
    return kafka_topic_make(client, wish->name, wish->partitions, wish->replication, limits.pairs,
                            out, err);
}

static enum status make(struct topics *topics, const struct topic_wish *wish,
                        struct topic_state *out, bool *out_was_there, struct error *err)
{
    struct kafka_topics *s = self(topics);
    enum status status = find(topics, wish->name, out, out_was_there, err);
    if (status != STATUS_OK || *out_was_there) {
        return status;
    }
    status = kafka_make_wished(s->client, wish, &s->topic, err);
    return status == STATUS_OK ? read_state(s, wish->name, true, out, err) : status;
}

static enum status keep(struct topics *topics, const char *name, int64_t age_us, int64_t bytes,
                        struct error *err)
{
    struct limits limits;
    (void)write_limits(&limits, age_us, bytes);
    return kafka_topic_change(self(topics)->client, name, limits.pairs, err);
}

static enum status remove_topic(struct topics *topics, const char *name, struct error *err)
{
    return kafka_topic_delete(self(topics)->client, name, err);
}

static void wish_progress(struct arena *arena, const char *pipeline, struct topic_wish *out)
{
    *out = (struct topic_wish){.name = kafka_progress_topic(arena, pipeline),
                               .partitions = 1,
                               .age_us = TOPICS_UNTOLD,
                               .bytes = TOPICS_UNTOLD,
                               .is_compacted = true};
}

static enum status check_lost_progress(struct topics *topics, const char *pipeline,
                                       struct error *err)
{
    struct arena *arena = arena_new(1024);
    struct kafka_client *client = NULL;
    enum status status = open_group(self(topics), pipeline, &client, err);
    if (status == STATUS_OK) {
        status = kafka_refuse_left_offsets(client, pipeline, kafka_progress_topic(arena, pipeline),
                                           err);
    }
    kafka_client_close(client);
    arena_free(arena);
    return status;
}

const struct topics_ops kafka_topics_ops = {
    .has_replicas = true,
    .open = open_topics,
    .close = close_topics,
    .list = list,
    .find = find,
    .partitions = partitions,
    .groups = groups,
    .users = users,
    .make = make,
    .keep = keep,
    .remove = remove_topic,
    .wish_progress = wish_progress,
    .check_lost_progress = check_lost_progress,
};
