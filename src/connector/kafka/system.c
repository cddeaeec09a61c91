/*
 * A Kafka cluster as a system: sessions, R, the first start, taking over.
 *
 * Where the source is a topic of this cluster, its consumer group says who may commit (member.h),
 * and R stands where the group's offsets say (position.c). Elsewhere the owner of a pipeline's
 * progress is whoever took over its transactional id last (init_transactions), which also ends what
 * a former owner had open. Taking over therefore comes first, and R is read behind it; a former
 * owner that is still there finds its producer fenced, takes a new one, reads R, sees another owner
 * in it, and stops.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "connector/kafka/private.h"
#include "os/clock.h"
#include "os/random.h"

#define BATCH_BYTES_MOST 1000000
#define TAKE_OVER_US (45 * TIME_US_PER_SECOND)
/* A call that is over is resumed by the next one. */
#define TAKE_OVER_STEP_MS 500
/* The brokers refuse a producer's next transaction until the end of the former one is written to all its
 * partitions, and librdkafka then waits 20 ms: an epoch has to last well longer than that. */
#define EPOCH_BYTES ((size_t)8 * 1024 * 1024)
/* Brokers forget ids that nothing was done with, but not so soon. */
#define FRESH_US (60 * TIME_US_PER_SECOND)

static const char *place_of(const struct system *system)
{
    return kafka_system(system)->place;
}

/* Brokers come and go; the cluster stays. */
static const char *identity(const struct system *system)
{
    return kafka_system(system)->cluster_id;
}

/* --- sessions --- */

static void close_session(struct system *system)
{
    struct kafka_system *s = kafka_system(system);
    kafka_drop_producer(s);
    kafka_positions_clear(s);
    memory_free(s->positions);
    s->positions = NULL;
    s->position_capacity = 0;
    kafka_reader_free(s->exact);
    kafka_client_close(s->exact_client);
    s->exact = NULL;
    s->exact_client = NULL;
    s->source = NULL;
    kafka_client_close(s->client);
    kafka_store_fini(&s->store);
    for (uint32_t i = 0; i < s->held_count; i++) {
        memory_free(s->held[i].topic);
        memory_free(s->held[i].label);
        kafka_segment_fini(&s->held[i].segment);
        buffer_fini(&s->held[i].record);
    }
    memory_free(s->held);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        kafka_sink(system->sinks[i])->topic_id[0] = '\0';
    }
    memory_free(s->pipeline);
    arena_free(s->arena);
    s->client = NULL;
    s->held = NULL;
    s->held_count = 0;
    s->pipeline = NULL;
    s->arena = NULL;
    s->is_loaded = s->is_claimed = s->in_doubt = false;
}

static enum status open_session(struct system *system, const char *pipeline, struct error *err)
{
    struct kafka_system *s = kafka_system(system);
    if (s->config == NULL) {
        return error_set(err, STATUS_CONFIG, "config.connection",
                         "an older plan wrote to a Kafka cluster that the pipeline file has no "
                         "connection to any more: put its connection back for this start");
    }
    s->arena = arena_new(1024);
    s->pipeline = memory_copy_string(pipeline);
    s->progress_topic = kafka_progress_topic(s->arena, pipeline);
    static const char *const quick[] = {KAFKA_ASK_QUICKLY, NULL};
    enum status status =
        kafka_client_open(s->config, s->folder, KAFKA_FETCH, pipeline, quick, &s->client, err);
    if (status == STATUS_OK) {
        char *cluster = NULL;
        status = kafka_cluster_id(s->client, &cluster, err);
        s->cluster_id = cluster == NULL ? "" : arena_copy_string(s->arena, cluster);
        memory_free(cluster);
    }
    if (status != STATUS_OK) {
        close_session(system);
    }
    return status;
}

/* By the identity of the cluster: lists of brokers may differ. */
static bool meet_source(struct system *system, struct source *source)
{
    struct kafka_system *s = kafka_system(system);
    struct kafka_source *met = (struct kafka_source *)source;
    if ((source->ops != &kafka_source_ops && source->ops != &event_hubs_source_ops) ||
        strcmp(met->cluster_id, s->cluster_id) != 0) {
        return false;
    }
    const char *instance = grammar_string(met->config, "instance_id", NULL);
    uint64_t number = random_u64();
    s->source = met;
    met->commits_offsets = true;
    (void)snprintf(s->instance, sizeof s->instance, instance == NULL ? "%s%016llx" : "%s",
                   instance == NULL ? "" : instance, (unsigned long long)number);
    return true;
}

/* Nothing is owned before claim(), and nothing is written before begin() or take_over(). */
static enum status open_reader(struct system *system, const char *pipeline, struct error *err)
{
    struct kafka_system *s = kafka_system(system);
    struct kafka_topic topic;
    bool found = false;
    enum status status = open_session(system, pipeline, err);
    if (status != STATUS_OK) {
        return status;
    }
    status = kafka_topic_find(s->client, s->progress_topic, &topic, &found, err);
    if (status == STATUS_OK && !found) {
        status = kafka_refuse_left_offsets(s->client, pipeline, s->progress_topic, err);
    }
    if (status == STATUS_OK && !found) {
        status = error_set(err, STATUS_CONFIG, "progress.none",
                           "pipeline '%s' has not run with %s yet: the cluster has no topic '%s'",
                           pipeline, s->place, s->progress_topic);
    }
    if (status != STATUS_OK) {
        close_session(system);
    }
    return status;
}

static void close_system(struct system *system)
{
    struct kafka_system *s = kafka_system(system);
    if (s->pipeline != NULL) {
        close_session(system);
    }
    for (uint32_t i = 0; i < system->sink_count; i++) {
        kafka_pool_free(kafka_sink(system->sinks[i])->pool);
        memory_free(kafka_sink(system->sinks[i])->topic_name);
        memory_free(system->sinks[i]);
    }
    memory_free(system->sinks);
    memory_free(s->place);
    memory_free(s);
}

/* --- the producer --- */

void kafka_drop_producer(struct kafka_system *s)
{
    for (uint32_t i = 0; i < s->system.sink_count; i++) {
        struct kafka_sink *sink = kafka_sink(s->system.sinks[i]);
        if (sink->handle != NULL) {
            rd_kafka_topic_destroy(sink->handle);
            sink->handle = NULL;
        }
    }
    if (s->progress_handle != NULL) {
        rd_kafka_topic_destroy(s->progress_handle);
        s->progress_handle = NULL;
    }
    kafka_client_close(s->producer);
    s->producer = NULL;
    s->is_producer_fresh = false;
}

/* A batch of the client must fit into every topic. */
static int64_t batch_bytes(const struct kafka_system *s)
{
    int64_t bytes = BATCH_BYTES_MOST;
    for (uint32_t i = 0; i < s->system.sink_count; i++) {
        int64_t limit = kafka_sink(s->system.sinks[i])->rules.record_limit;
        bytes = limit > 0 && limit < bytes ? limit : bytes;
    }
    return bytes;
}

static int64_t record_bytes(const struct kafka_system *s)
{
    int64_t bytes = BATCH_BYTES_MOST;
    for (uint32_t i = 0; i < s->system.sink_count; i++) {
        int64_t limit = kafka_sink(s->system.sinks[i])->rules.record_limit;
        bytes = limit > bytes ? limit : bytes;
    }
    return bytes > 1000000000 ? 1000000000 : bytes;
}

static enum status take_id_over(struct kafka_system *s, struct error *err)
{
    struct kafka_patience patience = kafka_patience_begin(TAKE_OVER_US);
    for (;;) {
        rd_kafka_error_t *error = rd_kafka_init_transactions(s->producer->rk, TAKE_OVER_STEP_MS);
        if (error == NULL) {
            return STATUS_OK;
        }
        rd_kafka_resp_err_t code = rd_kafka_error_code(error);
        const bool is_retriable = rd_kafka_error_is_retriable(error) != 0;
        rd_kafka_error_destroy(error);
        rd_kafka_poll(s->producer->rk, 0);
        if (!is_retriable || kafka_patience_is_over(&patience, s->producer)) {
            return kafka_error(s->producer, code, "take over the pipeline's transactions", err);
        }
    }
}

enum status kafka_make_producer(struct kafka_system *s, struct error *err)
{
    struct arena *arena = arena_new(1024);
    s->producer_batch_bytes = batch_bytes(s);
    s->producer_record_bytes = record_bytes(s);
    s->producer_made_us = clock_monotonic_us();
    const char *settings[] = {
        "batch.size", arena_printf(arena, "%lld", (long long)s->producer_batch_bytes),
        "message.max.bytes", arena_printf(arena, "%lld", (long long)s->producer_record_bytes),
        NULL};
    kafka_drop_producer(s);
    enum status status = kafka_client_open(s->config, s->folder, KAFKA_PRODUCE,
                                           arena_printf(arena, "weir.%s%s%s", s->pipeline,
                                                        s->source == NULL ? "" : ".",
                                                        s->source == NULL ? "" : s->instance),
                                           settings,
                                           &s->producer, err);
    /* A client that is not connected yet asks for its id half a second later. */
    char *cluster = NULL;
    if (status == STATUS_OK) {
        status = kafka_cluster_id(s->producer, &cluster, err);
        memory_free(cluster);
    }
    if (status == STATUS_OK) {
        status = take_id_over(s, err);
    }
    if (status == STATUS_OK) {
        s->progress_handle = rd_kafka_topic_new(s->producer->rk, s->progress_topic, NULL);
        for (uint32_t i = 0; i < s->system.sink_count; i++) {
            struct kafka_sink *sink = kafka_sink(s->system.sinks[i]);
            sink->handle = rd_kafka_topic_new(s->producer->rk, sink->topic_name, NULL);
        }
    } else {
        kafka_drop_producer(s);
    }
    arena_free(arena);
    return status;
}

/* --- what is stored --- */

enum status kafka_reload(struct kafka_system *s, struct error *err)
{
    enum status status = STATUS_OK;
    if (s->source == NULL && s->is_claimed) {
        /* R itself is read from there. */
        status = kafka_settle(s, err);
    }
    if (status == STATUS_OK) {
        status = kafka_store_load(&s->store, s->client, s->progress_topic, err);
    }
    s->is_loaded = status == STATUS_OK;
    return status;
}

/* Where the group's offsets say where R is: nobody's open transaction hides it. */
static enum status refresh(struct kafka_system *s, struct error *err)
{
    enum status status = kafka_store_refresh(&s->store, s->client, s->progress_topic, err);
    s->is_loaded = status == STATUS_OK;
    return status;
}

static enum status ensure_loaded(struct kafka_system *s, struct error *err)
{
    if (s->is_loaded) {
        return STATUS_OK;
    }
    enum status status = s->source == NULL ? kafka_reload(s, err) : refresh(s, err);
    for (uint32_t i = 0; i < s->system.sink_count && status == STATUS_OK; i++) {
        /* Known already: from the time when the group was being joined. Who takes over asks anew. */
        if (kafka_sink(s->system.sinks[i])->topic_id[0] == '\0') {
            status = kafka_sink_prepare(s, kafka_sink(s->system.sinks[i]), false, err);
        }
    }
    return status;
}

struct kafka_held *kafka_held(struct kafka_system *s, const char *topic, const char *label)
{
    for (uint32_t i = 0; i < s->held_count; i++) {
        if (strcmp(s->held[i].label, label) == 0 && strcmp(s->held[i].topic, topic) == 0) {
            return &s->held[i];
        }
    }
    s->held = memory_realloc(s->held, size_mul(s->held_count + 1, sizeof *s->held));
    struct kafka_held *held = &s->held[s->held_count++];
    *held = (struct kafka_held){.topic = memory_copy_string(topic),
                                .label = memory_copy_string(label)};
    return held;
}

enum status kafka_read_progress(struct kafka_system *s, const char *topic, const char *label,
                                struct progress *progress, struct kafka_segment *segment,
                                bool *out_found, struct error *err)
{
    struct buffer key = {0};
    struct buffer exact = {0};
    struct bytes value = BYTES_NONE;
    enum status status = STATUS_OK;
    *out_found = false;
    if (s->source != NULL) {
        status = kafka_position_read(s, topic, label, &exact, out_found, err);
        value = bytes_of(exact.data, exact.size);
    } else {
        value = kafka_store_find(&s->store, kafka_key_progress(&key, label, topic));
        *out_found = !bytes_is_none(value);
    }
    if (status == STATUS_OK && *out_found) {
        status = kafka_value_read(value, progress, segment, err);
    }
    buffer_fini(&key);
    buffer_fini(&exact);
    return status;
}

static enum status load(struct system *system, const struct source_partition *partition,
                        struct progress *progress, bool *out_found, struct error *err)
{
    struct kafka_system *s = kafka_system(system);
    struct kafka_segment segment = {0};
    enum status status = ensure_loaded(s, err);
    if (status == STATUS_OK) {
        status = kafka_read_progress(s, partition->topic, partition->label, progress, &segment,
                                     out_found, err);
    }
    if (status == STATUS_OK && *out_found) {
        struct kafka_held *held = kafka_held(s, partition->topic, partition->label);
        kafka_segment_fini(&held->segment);
        held->segment = segment;
    }
    return status;
}

static enum status load_first(struct system *system, const struct source_partition *partition,
                              struct progress *progress, bool *out_found, struct error *err)
{
    struct kafka_system *s = kafka_system(system);
    struct buffer key = {0};
    enum status status = ensure_loaded(s, err);
    *out_found = false;
    if (status == STATUS_OK) {
        struct bytes value = kafka_store_find(
            &s->store, kafka_key_first(&key, partition->label, partition->topic));
        *out_found = !bytes_is_none(value);
        status = *out_found ? kafka_value_read(value, progress, NULL, err) : STATUS_OK;
    }
    buffer_fini(&key);
    return status;
}

static enum status count_item(void *context, struct bytes key, struct bytes value,
                              struct error *err)
{
    (void)key;
    (void)value;
    (void)err;
    ++*(uint32_t *)context;
    return STATUS_OK;
}

static enum status count_partitions(struct system *system, uint32_t *out_count, struct error *err)
{
    struct kafka_system *s = kafka_system(system);
    *out_count = 0;
    enum status status = ensure_loaded(s, err);
    return status == STATUS_OK ? kafka_store_each(&s->store, "r/", count_item, out_count, err)
                               : status;
}

static enum status load_plan(struct system *system, struct hash128 plan_hash, struct buffer *out,
                             bool *out_found, struct error *err)
{
    struct kafka_system *s = kafka_system(system);
    struct buffer key = {0};
    enum status status = ensure_loaded(s, err);
    struct bytes text = status == STATUS_OK
                            ? kafka_store_find(&s->store, kafka_key_plan(&key, plan_hash))
                            : BYTES_NONE;
    buffer_fini(&key);
    *out_found = !bytes_is_none(text);
    if (*out_found) {
        buffer_append(out, text.data, text.size);
    } else if (status == STATUS_OK) {
        status = kafka_find_plan(s, plan_hash, out, out_found, err);
    }
    return status;
}

/* --- segments --- */

struct segment_list {
    const char *label;
    const char *topic;
    struct bytes *forms;
    uint32_t count, capacity;
};

static int64_t first_offset_of(struct bytes form)
{
    /* "WEIRSEGM" and the version come before it; segment_read() checks all. */
    struct reader reader = reader_of(form);
    (void)reader_take(&reader, 12);
    return (int64_t)reader_u64(&reader);
}

static void add_form(struct segment_list *list, struct bytes form)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 16;
        list->forms = memory_realloc(list->forms, size_mul(list->capacity, sizeof *list->forms));
    }
    uint32_t at = list->count++;
    for (; at > 0 && first_offset_of(list->forms[at - 1]) > first_offset_of(form); at--) {
        list->forms[at] = list->forms[at - 1];
    }
    list->forms[at] = form;
}

/* "s/LABEL/FIRST/TOPIC" */
static enum status collect_segment(void *context, struct bytes key, struct bytes value,
                                   struct error *err)
{
    struct segment_list *list = context;
    struct buffer expected = {0};
    (void)err;
    (void)kafka_key_segment(&expected, list->label, first_offset_of(value), list->topic);
    if (bytes_equal(key, bytes_of(expected.data, expected.size))) {
        add_form(list, value);
    }
    buffer_fini(&expected);
    return STATUS_OK;
}

/* The form of the segment beside R. */
static enum status last_segment(struct kafka_system *s, const struct source_partition *partition,
                                struct buffer *out, struct error *err)
{
    struct progress progress = {0};
    struct kafka_segment segment = {0};
    bool found = false;
    enum status status = kafka_read_progress(s, partition->topic, partition->label, &progress,
                                             &segment, &found, err);
    if (segment.is_there) {
        segment_write(segment.first_offset, segment.next_offset, segment.plan_hash,
                      &segment.ledger, out);
    }
    kafka_segment_fini(&segment);
    progress_fini(&progress);
    return status;
}

static enum status load_segments(struct system *system, const char *pipeline,
                                 const struct source_partition *partition,
                                 enum status (*segment)(void *context, struct bytes form,
                                                        struct error *err),
                                 void *context, struct error *err)
{
    struct kafka_system *s = kafka_system(system);
    struct segment_list list = {.label = partition->label, .topic = partition->topic};
    struct buffer last = {0};
    (void)pipeline; /* the session's */
    enum status status = ensure_loaded(s, err);
    if (status == STATUS_OK) {
        status = kafka_store_each(&s->store, "s/", collect_segment, &list, err);
    }
    if (status == STATUS_OK) {
        status = last_segment(s, partition, &last, err);
    }
    if (last.size > 0) {
        add_form(&list, bytes_of(last.data, last.size));
    }
    for (uint32_t i = 0; i < list.count && status == STATUS_OK; i++) {
        status = segment(context, list.forms[i], err);
    }
    memory_free(list.forms);
    buffer_fini(&last);
    return status;
}

/* --- refused rows --- */

struct reject_scan {
    enum status (*reject)(void *context, const char *sink, const char *topic,
                          const char *partition, int64_t offset, const char *code,
                          const char *message, struct error *err);
    void *context;
};

/* The part of a key up to the next '/', which becomes a NUL. */
static char *next_part(char **at)
{
    char *part = *at;
    char *slash = strchr(part, '/');
    if (slash != NULL) {
        *slash = '\0';
        *at = slash + 1;
    }
    return part;
}

/* "x/SINK/LABEL/OFFSET/TOPIC": code, NUL, message, NUL */
static enum status tell_reject(void *context, struct bytes key, struct bytes value,
                               struct error *err)
{
    const struct reject_scan *scan = context;
    char *copy = memory_alloc(key.size + 1);
    memcpy(copy, key.data, key.size);
    copy[key.size] = '\0';
    char *at = copy + 2;
    const char *sink = next_part(&at);
    const char *label = next_part(&at);
    int64_t offset = strtoll(next_part(&at), NULL, 10);
    const char *code = (const char *)value.data;
    enum status status = STATUS_OK;
    if (value.size > 1 && value.data[value.size - 1] == '\0' &&
        memchr(value.data, '\0', value.size - 1) != NULL) {
        status = scan->reject(scan->context, sink, at, label, offset, code,
                              code + strlen(code) + 1, err);
    }
    memory_free(copy);
    return status;
}

static enum status scan_rejects(struct system *system, const char *pipeline,
                                enum status (*reject)(void *context, const char *sink,
                                                      const char *topic, const char *partition,
                                                      int64_t offset, const char *code,
                                                      const char *message, struct error *err),
                                void *context, struct error *err)
{
    struct kafka_system *s = kafka_system(system);
    struct reject_scan scan = {.reject = reject, .context = context};
    (void)pipeline;
    enum status status = ensure_loaded(s, err);
    return status == STATUS_OK ? kafka_store_each(&s->store, "x/", tell_reject, &scan, err)
                               : status;
}

/* --- first start and taking over --- */

static enum status prepare(struct kafka_system *s, struct error *err)
{
    struct kafka_topic topic;
    uint32_t replication = 0;
    bool found = false;
    enum status status = kafka_topic_find(s->client, s->progress_topic, &topic, &found, err);
    if (status == STATUS_OK && !found) {
        for (uint32_t i = 0; i < s->system.sink_count; i++) {
            uint32_t asked = kafka_sink(s->system.sinks[i])->wish.replication;
            replication = asked > replication ? asked : replication;
        }
        status = kafka_make_compacted(s->client, s->progress_topic, replication, &topic, err);
    } else if (status == STATUS_OK && topic.partition_count != 1) {
        status = error_set(err, STATUS_CONFIG, "progress.topic",
                           "topic '%s' has %u partitions; it must have one, and cleanup.policy="
                           "compact: leave making it to weir",
                           s->progress_topic, topic.partition_count);
    }
    for (uint32_t i = 0; i < s->system.sink_count && status == STATUS_OK; i++) {
        status = kafka_sink_prepare(s, kafka_sink(s->system.sinks[i]), true, err);
    }
    s->takes_less &= status != STATUS_OK;
    return status;
}

static bool takes_less(const struct system *system)
{
    return kafka_system(system)->takes_less;
}

/* While the group is being joined there is time to ask for all that is needed then, and to connect.
 * What cannot be had now is asked for again, and told. */
static bool warm_up(struct kafka_system *s)
{
    struct error ignored = {0};
    bool is_whole = ensure_loaded(s, &ignored) == STATUS_OK && s->store.topic_id[0] != '\0' &&
                    kafka_position_warm_up(s, &ignored) == STATUS_OK;
    for (uint32_t i = 0; i < s->system.sink_count; i++) {
        is_whole &= kafka_sink(s->system.sinks[i])->topic_id[0] != '\0';
    }
    return is_whole;
}

/* Before R is read: nobody else can commit behind this. */
static enum status claim(struct system *system, struct error *err)
{
    struct kafka_system *s = kafka_system(system);
    bool is_whole = s->source != NULL && warm_up(s);
    enum status status = kafka_make_producer(s, err);
    s->is_claimed = status == STATUS_OK;
    s->is_producer_fresh = is_whole && s->is_claimed;
    s->is_loaded = false;
    return status;
}

/* That of claim() is as good as a new one, as long as nothing was done with it: where the group guards
 * the commits, its id is this process's own. */
static enum status take_producer(struct kafka_system *s, struct error *err)
{
    char reason[128];
    bool is_good = s->is_producer_fresh && !s->in_doubt &&
                   s->producer_batch_bytes == batch_bytes(s) &&
                   s->producer_record_bytes == record_bytes(s) &&
                   clock_monotonic_us() - s->producer_made_us < FRESH_US &&
                   rd_kafka_fatal_error(s->producer->rk, reason, sizeof reason) ==
                       RD_KAFKA_RESP_ERR_NO_ERROR;
    return is_good ? STATUS_OK : kafka_make_producer(s, err);
}

enum status kafka_fenced(const struct kafka_system *s, const struct progress *progress,
                         struct error *err)
{
    if (s->source != NULL) {
        return error_set(err, STATUS_FENCED, "assignment.lost",
                         "the group has given '%s' [%s] to another process", progress->topic,
                         progress->partition);
    }
    return error_set(err, STATUS_FENCED, "progress.fenced",
                     "%s: the progress record of '%s' [%s] is not at epoch %llu with this owner "
                     "any more: another process has taken over this pipeline",
                     s->place, progress->topic, progress->partition,
                     (unsigned long long)progress->epoch);
}

static enum status put_plan(struct kafka_system *s, struct bytes text, struct error *err)
{
    struct buffer key = {0};
    (void)kafka_key_plan(&key, hash_plain(text.data, text.size));
    bool is_known = !bytes_is_none(kafka_store_find(&s->store, buffer_string(&key)));
    enum status status =
        is_known ? STATUS_OK : kafka_transaction_put(s, buffer_string(&key), text, NULL, err);
    buffer_fini(&key);
    return status;
}

static enum status put_first(struct kafka_system *s, const struct progress *progress,
                             struct error *err)
{
    struct buffer key = {0};
    struct buffer value = {0};
    kafka_value_write(progress, NULL, &value);
    enum status status = kafka_transaction_put(
        s, kafka_key_first(&key, progress->partition, progress->topic),
        bytes_of(value.data, value.size), NULL, err);
    if (status == STATUS_OK) {
        status = kafka_transaction_put_progress(s, progress, NULL, err);
    }
    buffer_fini(&key);
    buffer_fini(&value);
    return status;
}

static enum status refuse_existing(struct kafka_system *s, const struct progress *progress,
                                   struct error *err)
{
    struct buffer key = {0};
    bool is_there = !bytes_is_none(kafka_store_find(
        &s->store, kafka_key_progress(&key, progress->partition, progress->topic)));
    buffer_fini(&key);
    return is_there ? error_set(err, STATUS_FENCED, "progress.exists",
                                "%s has a progress record of '%s' [%s] already: another process "
                                "started this pipeline at the same moment",
                                s->place, progress->topic, progress->partition)
                    : STATUS_OK;
}

/* After the topics are there, for a producer's batches must fit into them. */
static enum status begin(struct system *system, const struct progress *progresses, uint32_t count,
                         const struct bytes *plan_texts, uint32_t plan_count, struct error *err)
{
    struct kafka_system *s = kafka_system(system);
    enum status status = prepare(s, err);
    if (status == STATUS_OK) {
        status = kafka_make_producer(s, err);
    }
    if (status == STATUS_OK) {
        status = kafka_reload(s, err);
    }
    for (uint32_t i = 0; i < s->system.sink_count && status == STATUS_OK; i++) {
        status = kafka_sink_check_topic(s, kafka_sink(s->system.sinks[i]), err);
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = refuse_existing(s, &progresses[i], err);
    }
    if (status == STATUS_OK) {
        status = kafka_transaction_begin(s, err);
    }
    for (uint32_t i = 0; i < plan_count && status == STATUS_OK; i++) {
        status = put_plan(s, plan_texts[i], err);
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = put_first(s, &progresses[i], err);
        s->owner = progresses[i].owner;
    }
    if (status == STATUS_OK) {
        status = kafka_sinks_put_topics(s, err);
    }
    if (status == STATUS_OK) {
        status = kafka_transaction_end(s, err);
    } else {
        kafka_transaction_abandon(s);
    }
    return status;
}

/* `is_read`: load() has read just what the group's offset names. */
static enum status swap_owner(struct kafka_system *s, const struct progress *progress,
                              bool is_read, uint64_t owner, struct error *err)
{
    struct progress stored = {0};
    struct kafka_segment segment = {0};
    bool found = is_read;
    const struct buffer *record = &kafka_held(s, progress->topic, progress->partition)->record;
    enum status status =
        is_read ? kafka_value_read(bytes_of(record->data, record->size), &stored, &segment, err)
                : kafka_read_progress(s, progress->topic, progress->partition, &stored, &segment,
                                      &found, err);
    if (status == STATUS_OK &&
        (!found || stored.owner != progress->owner || stored.epoch != progress->epoch)) {
        status = kafka_fenced(s, progress, err);
    }
    if (status == STATUS_OK) {
        stored.owner = owner;
        status = kafka_transaction_put_progress(s, &stored, &segment, err);
    }
    kafka_segment_fini(&segment);
    progress_fini(&stored);
    return status;
}

static enum status take_over(struct system *system, const struct progress *progresses,
                             uint32_t count, uint64_t owner, struct bytes plan_text,
                             struct error *err)
{
    struct kafka_system *s = kafka_system(system);
    enum status status = prepare(s, err);
    if (status == STATUS_OK) {
        status = take_producer(s, err);
    }
    if (status == STATUS_OK) {
        status = s->source == NULL ? kafka_reload(s, err) : refresh(s, err);
    }
    for (uint32_t i = 0; i < s->system.sink_count && status == STATUS_OK; i++) {
        status = kafka_sink_check_topic(s, kafka_sink(s->system.sinks[i]), err);
    }
    if (status == STATUS_OK) {
        status = kafka_transaction_begin(s, err);
    }
    bool is_read = status == STATUS_OK && s->source != NULL &&
                   kafka_positions_stand(s, progresses, count);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = swap_owner(s, &progresses[i], is_read, owner, err);
    }
    if (status == STATUS_OK) {
        status = put_plan(s, plan_text, err);
    }
    if (status == STATUS_OK) {
        status = kafka_sinks_put_topics(s, err);
    }
    if (status == STATUS_OK) {
        status = kafka_transaction_end(s, err);
    } else {
        kafka_transaction_abandon(s);
    }
    s->owner = owner;
    return status;
}

const struct system_ops kafka_system_ops = {
    .kind = "kafka",
    .can_decide = true,
    .takes_forwarded = true,
    .is_remote = true,
    .epoch_bytes = EPOCH_BYTES,
    .plans_place = "topic weir.progress.NAME",
    .place = place_of,
    .identity = identity,
    .open_session = open_session,
    .open_reader = open_reader,
    .close_session = close_session,
    .meet_source = meet_source,
    .claim = claim,
    .load = load,
    .load_first = load_first,
    .count_partitions = count_partitions,
    .begin = begin,
    .take_over = take_over,
    .send_ahead = kafka_send_ahead,
    .take_back = kafka_take_back,
    .takes_less = takes_less,
    .commit = kafka_commit,
    .load_plan = load_plan,
    .load_segments = load_segments,
    .scan_rejects = scan_rejects,
    .examine = kafka_examine,
    .close = close_system,
};
