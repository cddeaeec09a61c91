/*
 * Writing records into a topic of a local log: for produce and gen.
 *
 * topic_writer_append() puts a record into the batch of its partition; a batch that is full is
 * compressed at once. What is pending becomes visible with topic_writer_commit(), in one
 * transaction. After a failure nothing of what was pending is in, and the writer is of no more use.
 *
 * On a full disk, and while another program holds the file, topic_writer_commit() waits: it says so
 * once on stderr, tries again until it works, and says that too. A stop ends the waiting.
 *
 * One thread at a time. The log's checkpointer runs as long as the writer is open.
 */
#ifndef WEIR_CLI_TOPIC_WRITER_H
#define WEIR_CLI_TOPIC_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "locallog/locallog.h"

/* Commit when so much is pending. */
#define TOPIC_WRITER_BYTES ((size_t)4 << 20)

/* What was written to a partition by this writer, and is committed. */
struct topic_span {
    int64_t first_offset; /* -1: nothing */
    int64_t last_offset;
    uint64_t record_count;
};

struct topic_writer;

/* Opens the log and the topic, and makes them where they are missing with `partitions` (0: 3).
 * CONFIG "topic.exists" when the topic has another number of partitions than those. */
enum status topic_writer_create(const char *path, const char *topic, uint32_t partitions,
                                struct topic_writer **out, struct error *err) WEIR_MUST_USE;
/* Forgets what is pending. Takes NULL. */
void topic_writer_close(struct topic_writer *writer);

struct locallog *topic_writer_log(struct topic_writer *writer);
const struct locallog_topic *topic_writer_topic(const struct topic_writer *writer);

/* Copies all. True when this filled the partition's batch: the next record begins another one. */
bool topic_writer_append(struct topic_writer *writer, uint32_t partition, struct bytes key,
                         struct bytes value, const struct record_header *headers,
                         uint32_t header_count);
/* Of records that are not committed yet. */
size_t topic_writer_pending_bytes(const struct topic_writer *writer);
uint64_t topic_writer_pending_count(const struct topic_writer *writer);
/* One transaction of what is pending and of what `more` writes (may be NULL; called again with every
 * attempt). */
enum status topic_writer_commit(struct topic_writer *writer,
                                enum status (*more)(void *context, struct error *err),
                                void *context, struct error *err) WEIR_MUST_USE;

const struct topic_span *topic_writer_span(const struct topic_writer *writer, uint32_t partition);
/* "raw (0: offsets 0–4, 2: offset 7)" */
void topic_writer_describe(const struct topic_writer *writer, struct buffer *out);

#endif
