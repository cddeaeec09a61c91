#include "cli/topic_writer.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "os/clock.h"
#include "os/thread.h"

#define PARTITIONS_OTHERWISE 3
#define PAUSE_FIRST_US (50 * INT64_C(1000))
#define PAUSE_MOST_US (2 * INT64_C(1000000))

/* A compressed batch that waits for the commit. */
struct finished {
    uint32_t partition;
    uint32_t count;
    struct buffer bytes;
};

struct topic_writer {
    struct locallog *log;
    struct locallog_checkpointer *checkpointer;
    struct locallog_topic topic;
    struct record_batch_builder *builders; /* [partitions] */
    struct topic_span *spans;              /* [partitions], committed */
    struct topic_span *flushed;            /* [partitions], with what the open transaction adds */
    struct finished *finished;             /* those in use first; the rest keep their memory */
    uint32_t finished_count, finished_capacity;
    size_t pending_bytes;
    uint64_t pending_count;
};

static enum status find_topic(struct topic_writer *writer, const char *name, uint32_t partitions,
                              struct error *err)
{
    bool found = false;
    enum status status = locallog_topic_find(writer->log, name, &writer->topic, &found, err);
    if (status != STATUS_OK || (found && partitions == 0)) {
        return status;
    }
    return locallog_topic_create(writer->log, name,
                                 partitions == 0 ? PARTITIONS_OTHERWISE : partitions,
                                 &writer->topic, err);
}

enum status topic_writer_create(const char *path, const char *topic, uint32_t partitions,
                                struct topic_writer **out, struct error *err)
{
    struct topic_writer *writer = memory_alloc_zero(1, sizeof *writer);
    enum status status = locallog_open(path, LOCALLOG_CREATE, &writer->log, err);
    if (status == STATUS_OK) {
        status = find_topic(writer, topic, partitions, err);
    }
    if (status == STATUS_OK) {
        status = locallog_checkpointer_start(path, &writer->checkpointer, err);
    }
    if (status != STATUS_OK) {
        topic_writer_close(writer);
        return status;
    }
    uint32_t count = writer->topic.partitions;
    writer->builders = memory_alloc_zero(count, sizeof *writer->builders);
    writer->spans = memory_alloc_zero(count, sizeof *writer->spans);
    writer->flushed = memory_alloc_zero(count, sizeof *writer->flushed);
    for (uint32_t i = 0; i < count; i++) {
        writer->spans[i].first_offset = -1;
        writer->flushed[i].first_offset = -1;
    }
    *out = writer;
    return STATUS_OK;
}

void topic_writer_close(struct topic_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    if (writer->log != NULL) {
        locallog_rollback(writer->log);
    }
    locallog_checkpointer_stop(writer->checkpointer);
    locallog_close(writer->log);
    for (uint32_t i = 0; writer->builders != NULL && i < writer->topic.partitions; i++) {
        record_batch_fini(&writer->builders[i]);
    }
    for (uint32_t i = 0; i < writer->finished_capacity; i++) {
        buffer_fini(&writer->finished[i].bytes);
    }
    memory_free(writer->builders);
    memory_free(writer->spans);
    memory_free(writer->flushed);
    memory_free(writer->finished);
    memory_free(writer);
}

struct locallog *topic_writer_log(struct topic_writer *writer)
{
    return writer->log;
}

const struct locallog_topic *topic_writer_topic(const struct topic_writer *writer)
{
    return &writer->topic;
}

static void finish_partition(struct topic_writer *writer, uint32_t partition)
{
    struct record_batch_builder *builder = &writer->builders[partition];
    if (builder->count == 0) {
        return;
    }
    if (writer->finished_count == writer->finished_capacity) {
        uint32_t capacity = writer->finished_capacity * 2 + 16;
        writer->finished =
            memory_realloc(writer->finished, size_mul(capacity, sizeof *writer->finished));
        memset(writer->finished + writer->finished_capacity, 0,
               (capacity - writer->finished_capacity) * sizeof *writer->finished);
        writer->finished_capacity = capacity;
    }
    struct finished *finished = &writer->finished[writer->finished_count++];
    finished->partition = partition;
    finished->count = builder->count;
    buffer_clear(&finished->bytes);
    locallog_compress(builder, &finished->bytes);
    record_batch_clear(builder);
}

bool topic_writer_append(struct topic_writer *writer, uint32_t partition, struct bytes key,
                         struct bytes value, const struct record_header *headers,
                         uint32_t header_count)
{
    struct record_batch_builder *builder = &writer->builders[partition];
    size_t before = builder->records.size;
    record_batch_append(builder, key, value, headers, header_count);
    writer->pending_bytes += builder->records.size - before;
    writer->pending_count++;
    bool is_full =
        builder->records.size >= LOCALLOG_ROW_BYTES || builder->count >= LOCALLOG_ROW_RECORDS;
    if (is_full) {
        finish_partition(writer, partition);
    }
    return is_full;
}

size_t topic_writer_pending_bytes(const struct topic_writer *writer)
{
    return writer->pending_bytes;
}

uint64_t topic_writer_pending_count(const struct topic_writer *writer)
{
    return writer->pending_count;
}

/* Before a transaction, so that it is short: compresses the batches in the making. */
static void finish(struct topic_writer *writer)
{
    for (uint32_t i = 0; i < writer->topic.partitions; i++) {
        finish_partition(writer, i);
    }
}

static void extend_span(struct topic_span *span, int64_t base_offset, uint32_t count)
{
    if (span->first_offset < 0) {
        span->first_offset = base_offset;
    }
    span->last_offset = base_offset + count - 1;
    span->record_count += count;
}

/* Within the transaction; what was pending still is. */
static enum status flush(struct topic_writer *writer, struct error *err)
{
    finish(writer);
    memcpy(writer->flushed, writer->spans,
           size_mul(writer->topic.partitions, sizeof *writer->spans));
    for (uint32_t i = 0; i < writer->finished_count; i++) {
        struct finished *finished = &writer->finished[i];
        int64_t base_offset = 0;
        enum status status = locallog_append_finished(
            writer->log, &writer->topic, finished->partition, &finished->bytes, &base_offset, err);
        if (status != STATUS_OK) {
            return status;
        }
        extend_span(&writer->flushed[finished->partition], base_offset, finished->count);
    }
    return STATUS_OK;
}

/* After the commit: nothing is pending, and the spans know of it. */
static void take_flushed(struct topic_writer *writer)
{
    memcpy(writer->spans, writer->flushed,
           size_mul(writer->topic.partitions, sizeof *writer->spans));
    writer->finished_count = 0;
    writer->pending_bytes = 0;
    writer->pending_count = 0;
}

static enum status commit_once(struct topic_writer *writer,
                               enum status (*more)(void *context, struct error *err),
                               void *context, struct error *err)
{
    enum status status = locallog_begin(writer->log, err);
    if (status == STATUS_OK) {
        status = flush(writer, err);
    }
    if (status == STATUS_OK && more != NULL) {
        status = more(context, err);
    }
    if (status == STATUS_OK) {
        status = locallog_commit(writer->log, err);
    }
    if (status == STATUS_OK) {
        take_flushed(writer);
    } else {
        locallog_rollback(writer->log);
    }
    return status;
}

enum status topic_writer_commit(struct topic_writer *writer,
                                enum status (*more)(void *context, struct error *err),
                                void *context, struct error *err)
{
    int64_t pause_us = PAUSE_FIRST_US;
    int64_t begin_us = clock_monotonic_us();
    bool is_waiting = false;
    finish(writer);
    for (;;) {
        struct error failure = {0};
        enum status status = commit_once(writer, more, context, &failure);
        if (status == STATUS_OK && is_waiting) {
            fprintf(stderr, "%s: it works again after %.1f s\n", locallog_path(writer->log),
                    (double)(clock_monotonic_us() - begin_us) / 1e6);
        }
        if (status != STATUS_RETRY || stop_requested()) {
            return status == STATUS_OK ? STATUS_OK
                                       : error_set(err, status, failure.code, "%s",
                                                   failure.message);
        }
        if (!is_waiting) {
            fprintf(stderr, "warning: %s (%s); repeating until it works\n", failure.message,
                    failure.code);
            is_waiting = true;
        }
        clock_sleep_us(pause_us);
        pause_us = pause_us * 2 < PAUSE_MOST_US ? pause_us * 2 : PAUSE_MOST_US;
    }
}

const struct topic_span *topic_writer_span(const struct topic_writer *writer, uint32_t partition)
{
    return &writer->spans[partition];
}

void topic_writer_describe(const struct topic_writer *writer, struct buffer *out)
{
    const char *before = " (";
    buffer_append_string(out, writer->topic.name);
    for (uint32_t i = 0; i < writer->topic.partitions; i++) {
        const struct topic_span *span = &writer->spans[i];
        if (span->record_count == 0) {
            continue;
        }
        buffer_printf(out, "%s%u: offset", before, i);
        before = ", ";
        if (span->first_offset == span->last_offset) {
            buffer_printf(out, " %lld", (long long)span->first_offset);
        } else {
            buffer_printf(out, "s %lld–%lld", (long long)span->first_offset,
                          (long long)span->last_offset);
        }
    }
    if (before[0] == ',') {
        buffer_append_byte(out, ')');
    }
}
