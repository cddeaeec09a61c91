/*
 * Store: what the topic weir.progress.NAME holds, read into memory. The topic has one partition and
 * is compacted; the last record of a key counts:
 *
 *   r/LABEL/TOPIC         R of a source partition, and the ledger segment that it ended in
 *   0/LABEL/TOPIC         R as it was at epoch 0
 *   s/LABEL/FIRST/TOPIC   a ledger segment that is complete
 *   p/HASH                the canonical text of a plan
 *   t/TOPIC               the id of the topic that a sink writes to
 *   x/SINK/LABEL/OFFSET/TOPIC   a row that a sink refused: code, NUL, message
 *
 * The value of r/ is: u32 version (1), the sized form of R, the sized form of the segment (empty
 * when there is none), integers little-endian. docs/formats.md has both forms.
 */
#ifndef WEIR_CONNECTOR_KAFKA_STORE_H
#define WEIR_CONNECTOR_KAFKA_STORE_H

#include "connector/kafka/client.h"
#include "connector/source.h"
#include "progress/progress.h"

#define KAFKA_STORE_VERSION 1u

struct kafka_store_item {
    struct bytes key;
    struct bytes value; /* none: deleted */
};

struct kafka_store {
    struct arena *arena;
    struct kafka_store_item *items; /* open addressing; a free one has no key */
    uint32_t count, capacity;
    /* of the topic, when it was read; empty: it was not there */
    char topic_id[32];
    int64_t end;
};

/* A ledger segment in the course of being filled. */
struct kafka_segment {
    bool is_there;
    int64_t first_offset, next_offset;
    struct hash128 plan_hash;
    struct ledger ledger;
};
void kafka_segment_fini(struct kafka_segment *segment);

/* "weir.progress.NAME" in `arena`. */
char *kafka_progress_topic(struct arena *arena, const char *pipeline);

/* Reads the topic anew, as far as it is committed; a topic that is not there is empty. */
enum status kafka_store_load(struct kafka_store *store, struct kafka_client *client,
                             const char *topic, struct error *err) WEIR_MUST_USE;
/* The same, but nothing is read where the topic ends where it did. */
enum status kafka_store_refresh(struct kafka_store *store, struct kafka_client *client,
                                const char *topic, struct error *err) WEIR_MUST_USE;
/* Waits until all that stands in the topic now can be read as committed or is aborted: behind an open
 * transaction, be it another program's, there may be a newer R. `exact` sees that end. RETRY
 * "progress.open_transaction" when it stays open. */
enum status kafka_store_settle(struct kafka_client *client, struct kafka_client *exact,
                               const char *topic, struct error *err) WEIR_MUST_USE;
/* The text of a plan, also behind an open transaction: its hash proves it, committed or not. Appends
 * to `out`. */
enum status kafka_store_find_plan(struct kafka_client *exact, const char *topic,
                                  struct hash128 plan_hash, struct buffer *out, bool *out_found,
                                  struct error *err) WEIR_MUST_USE;
void kafka_store_fini(struct kafka_store *store);
/* None when there is none of that key. */
struct bytes kafka_store_find(const struct kafka_store *store, const char *key);
/* Copies; what was there under that key is replaced. */
void kafka_store_put(struct kafka_store *store, struct bytes key, struct bytes value);
/* Calls `item` for every key that begins with `prefix`, in any order. */
enum status kafka_store_each(const struct kafka_store *store, const char *prefix,
                             enum status (*item)(void *context, struct bytes key,
                                                 struct bytes value, struct error *err),
                             void *context, struct error *err) WEIR_MUST_USE;

/* Keys; `out` is overwritten. */
const char *kafka_key_progress(struct buffer *out, const char *label, const char *topic);
const char *kafka_key_first(struct buffer *out, const char *label, const char *topic);
const char *kafka_key_segment(struct buffer *out, const char *label, int64_t first_offset,
                              const char *topic);
const char *kafka_key_plan(struct buffer *out, struct hash128 plan_hash);
const char *kafka_key_reject(struct buffer *out, const char *sink, const char *label,
                             int64_t offset, const char *topic);

/* The value of r/. */
void kafka_value_write(const struct progress *progress, const struct kafka_segment *segment,
                       struct buffer *out);
/* FATAL "progress.corrupt". `progress` and `segment` are zero-initialised; `segment` may be NULL.
 * */
enum status kafka_value_read(struct bytes value, struct progress *progress,
                             struct kafka_segment *segment, struct error *err) WEIR_MUST_USE;

#endif
