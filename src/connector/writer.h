/*
 * Writer: records into a topic in transactions, with a memory. What is remembered becomes visible
 * with the records or not at all, so whoever writes knows afterwards how far he came: that is how
 * dead letters are replayed once (connector/injector.h), and how a producer goes on after kill -9.
 *
 * The memory is a map of texts to bytes, kept in a compacted topic of the same place. A writer has an
 * ID; whoever opens it anew ends what the one before had open, whose next commit is FENCED.
 *
 * Life: open → (begin → append, remember … → commit … | rollback)… → close. commit() says RETRY when
 * nothing happened or the answer was lost: what was written is still there, and the next commit()
 * finds out first whether it is in. For that the value that is remembered under the first key must
 * differ from what stood there before. A dry writer only recalls.
 *
 * Threads: one at a time.
 */
#ifndef WEIR_CONNECTOR_WRITER_H
#define WEIR_CONNECTOR_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "batch/batch.h"
#include "connector/topics.h"

struct writer;

struct writer_identity {
    const char *id;     /* of transactions, behind "weir." */
    const char *memory; /* name of the topic; made when it is missing. NULL: nothing is remembered,
                         * and an answer that is lost stays unknown: commit() says IN_DOUBT */
    bool is_dry;
    /* The topic itself is made, so, when it is missing; NULL: then CONFIG "topic.missing". */
    const struct topic_wish *wish;
};

struct writer_record {
    struct bytes key, value;
    const struct record_header *headers;
    uint32_t header_count;
    int64_t timestamp_us; /* TIME_NEVER: when it is written */
    int64_t partition;    /* -1: by its key as Java's clients do it; without one wherever it fits */
};

struct writer_ops {
    /* `config` is the map of a topic as source_ops.open() gets it; both outlive the writer. */
    enum status (*open)(const struct doc *config, const char *folder,
                        const struct writer_identity *identity, struct writer **out,
                        struct error *err);
    void (*close)(struct writer *writer); /* takes NULL; what is not committed is forgotten */
    enum status (*begin)(struct writer *writer, struct error *err);
    /* What is remembered under that key, in this transaction too; none when nothing is. A slice that
     * lives until the next call. */
    struct bytes (*recall)(struct writer *writer, const char *key);
    void (*remember)(struct writer *writer, const char *key, struct bytes value); /* copies */
    /* CONFIG for a record that the topic does not take, as far as its settings were known at the opening:
     * "topic.too_large", "topic.no_key", "topic.timestamp". */
    enum status (*judge)(struct writer *writer, const struct writer_record *record,
                         struct error *err);
    /* Copies. Judges first. */
    enum status (*append)(struct writer *writer, const struct writer_record *record,
                          struct error *err);
    enum status (*commit)(struct writer *writer, struct error *err);
    void (*rollback)(struct writer *writer);
};

struct writer {
    const struct writer_ops *ops;
    const char *topic, *topic_id; /* these live as long as the writer */
    uint32_t partitions;
    int64_t most_bytes; /* that a record may take; 0: no limit is known */
};

#endif
