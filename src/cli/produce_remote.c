#include "cli/produce_remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "connector/registry.h"
#include "connector/writer.h"
#include "os/clock.h"
#include "os/random.h"
#include "os/thread.h"

#define PAUSE_FIRST_US (50 * INT64_C(1000))
#define PAUSE_MOST_US (2 * INT64_C(1000000))
#define VERSION "1"

struct produce_remote {
    struct writer *writer;
    struct arena *arena;
    struct produce_patience patience;
    const char *key; /* of the position in the writer's memory; NULL without an id */
    bool has_begun;
    struct error failure; /* of an append */
    uint64_t count;
    size_t bytes;
};

/* --- waiting for brokers that are away --- */

struct waiting {
    const struct produce_patience *patience;
    int64_t pause_us;
    bool is_said;
};

/* Whether to try again what failed so; pauses, and says so once. */
static bool wait_on(struct waiting *waiting, enum status status, const struct error *failure)
{
    if (status != STATUS_RETRY || stop_requested()) {
        return false;
    }
    if (!waiting->is_said) {
        fprintf(stderr, "warning: %s (%s); %s\n", failure->message, failure->code,
                waiting->patience->meanwhile);
        waiting->is_said = true;
        waiting->pause_us = PAUSE_FIRST_US;
    }
    if (waiting->patience->is_over != NULL &&
        waiting->patience->is_over(waiting->patience->context)) {
        return false;
    }
    clock_sleep_us(waiting->pause_us);
    waiting->pause_us =
        waiting->pause_us * 2 < PAUSE_MOST_US ? waiting->pause_us * 2 : PAUSE_MOST_US;
    return true;
}

static enum status wait_end(const struct waiting *waiting, const char *topic, enum status status,
                            const struct error *failure, struct error *err)
{
    if (status == STATUS_OK && waiting->is_said) {
        fprintf(stderr, "topic %s: it works again\n", topic);
    }
    return status == STATUS_OK ? STATUS_OK
                               : error_set(err, status, failure->code, "%s", failure->message);
}

static enum status open_patiently(const struct writer_ops *ops, const struct place *place,
                                  const struct writer_identity *identity,
                                  const struct produce_patience *patience, struct writer **out,
                                  struct error *err)
{
    struct waiting waiting = {.patience = patience};
    struct error failure;
    enum status status;
    do {
        failure = (struct error){0};
        status = ops->open(place->config, place->folder, identity, out, &failure);
    } while (wait_on(&waiting, status, &failure));
    return wait_end(&waiting, place->name, status, &failure, err);
}

static enum status commit_patiently(struct produce_remote *remote, struct error *err)
{
    struct waiting waiting = {.patience = &remote->patience};
    struct error failure;
    enum status status;
    do {
        failure = (struct error){0};
        status = remote->writer->ops->commit(remote->writer, &failure);
    } while (wait_on(&waiting, status, &failure));
    return wait_end(&waiting, remote->writer->topic, status, &failure, err);
}

/* --- the writer --- */

void produce_remote_close(struct produce_remote *remote)
{
    if (remote == NULL) {
        return;
    }
    if (remote->writer != NULL) {
        remote->writer->ops->close(remote->writer);
    }
    arena_free(remote->arena);
    memory_free(remote);
}

enum status produce_remote_open(const struct place *place, const char *id, uint32_t partitions,
                                const struct produce_patience *patience,
                                struct produce_remote **out, struct error *err)
{
    const struct writer_ops *ops = registry_source(place->connector)->writer;
    struct produce_remote *remote = memory_alloc_zero(1, sizeof *remote);
    struct topic_wish wish = topic_wish_read(place->config);
    remote->arena = arena_new(1024);
    remote->patience = *patience;
    wish.partitions = partitions == 0 ? wish.partitions : partitions;
    struct writer_identity identity = {
        .id = id == NULL
                  ? arena_printf(remote->arena, "produce/%016llx", (unsigned long long)random_u64())
                  : arena_printf(remote->arena, "produce/%s/%s", place->name, id),
        .memory = id == NULL ? NULL : arena_printf(remote->arena, "weir.produced.%s", place->name),
        .wish = &wish,
    };
    enum status status =
        ops == NULL
            ? error_set(err, STATUS_CONFIG, "use.place", "weir does not write to '%s'", place->text)
            : open_patiently(ops, place, &identity, patience, &remote->writer, err);
    if (status == STATUS_OK && partitions != 0 && remote->writer->partitions != partitions) {
        status = error_set(err, STATUS_CONFIG, "topic.exists",
                           "topic '%s' is there already with %u partitions, not %u", place->name,
                           remote->writer->partitions, partitions);
    }
    if (status != STATUS_OK) {
        produce_remote_close(remote);
        return status;
    }
    if (id != NULL) {
        remote->key = arena_printf(remote->arena, "position/%s/%s", remote->writer->topic_id, id);
    }
    *out = remote;
    return STATUS_OK;
}

enum status produce_remote_position(struct produce_remote *remote, int64_t *out_sequence,
                                    struct hash128 *out_digest, struct error *err)
{
    struct bytes stored =
        remote->key == NULL ? BYTES_NONE : remote->writer->ops->recall(remote->writer, remote->key);
    char text[80] = "";
    long long sequence = 0;
    unsigned long long low = 0;
    unsigned long long high = 0;
    if (bytes_is_none(stored)) {
        return STATUS_OK;
    }
    (void)snprintf(text, sizeof text, "%.*s", (int)stored.size, (const char *)stored.data);
    if (sscanf(text, VERSION " %lld %16llx%16llx", &sequence, &high, &low) != 3) {
        return error_set(err, STATUS_FATAL, "produce.corrupt",
                         "what the memory of topic '%s' says of this producer cannot be read",
                         remote->writer->topic);
    }
    *out_sequence = sequence;
    *out_digest = (struct hash128){.low = low, .high = high};
    return STATUS_OK;
}

static void begin(struct produce_remote *remote)
{
    struct error failure = {0};
    if (!remote->has_begun && remote->failure.status == STATUS_OK) {
        remote->has_begun = true;
        if (remote->writer->ops->begin(remote->writer, &failure) != STATUS_OK) {
            remote->failure = failure;
        }
    }
}

/* Its partition follows from its key. */
static struct writer_record record_of(struct bytes key, struct bytes value, int64_t timestamp_us)
{
    return (struct writer_record){
        .key = key, .value = value, .timestamp_us = timestamp_us, .partition = -1};
}

enum status produce_remote_judge(const struct produce_remote *remote, struct bytes key,
                                 struct bytes value, int64_t timestamp_us, struct error *err)
{
    const struct writer_record record = record_of(key, value, timestamp_us);
    return remote->writer->ops->judge(remote->writer, &record, err);
}

void produce_remote_append(struct produce_remote *remote, struct bytes key, struct bytes value,
                           int64_t timestamp_us)
{
    struct error failure = {0};
    const struct writer_record record = record_of(key, value, timestamp_us);
    begin(remote);
    remote->count++;
    remote->bytes += key.size + value.size;
    if (remote->failure.status == STATUS_OK &&
        remote->writer->ops->append(remote->writer, &record, &failure) != STATUS_OK) {
        remote->failure = failure;
    }
}

uint64_t produce_remote_count(const struct produce_remote *remote)
{
    return remote->count;
}

size_t produce_remote_bytes(const struct produce_remote *remote)
{
    return remote->bytes;
}

enum status produce_remote_commit(struct produce_remote *remote, int64_t sequence,
                                  struct hash128 digest, struct error *err)
{
    char position[80];
    if (remote->failure.status != STATUS_OK) {
        return error_set(err, remote->failure.status, remote->failure.code, "%s",
                         remote->failure.message);
    }
    if (remote->key != NULL) {
        (void)snprintf(position, sizeof position, VERSION " %lld %016llx%016llx",
                       (long long)sequence, (unsigned long long)digest.high,
                       (unsigned long long)digest.low);
        remote->writer->ops->remember(remote->writer, remote->key, bytes_of_string(position));
    }
    enum status status = commit_patiently(remote, err);
    if (status == STATUS_OK) {
        remote->count = 0;
        remote->bytes = 0;
        remote->has_begun = false;
    }
    return status;
}
