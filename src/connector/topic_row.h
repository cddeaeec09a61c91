/*
 * Rows as records of a topic: what local logs and Kafka have in common, so that a row, its dead
 * letter and their hashes are the same in both.
 *
 * A row goes out with its key field's text as key, or with the record's own key, and with the
 * record's headers but for `weir.replay`. The hash of a row, for sums and audit, is the keyed hash
 * over (hash of key, hash of value, hash of headers), none as zeros.
 *
 * A dead letter has the original key, value and headers, and `weir.*` headers that say why.
 *
 * Threads: none of its own.
 */
#ifndef WEIR_CONNECTOR_TOPIC_ROW_H
#define WEIR_CONNECTOR_TOPIC_ROW_H

#include "connector/sink.h"
#include "connector/source.h"

struct hash128 topic_row_hash(const struct hash_secret *secret, struct bytes key,
                              struct bytes value, const struct record_header *headers,
                              uint32_t header_count, struct buffer *scratch);
/* The same for a row of a batch: what goes out as it came is not hashed again, where the inputs were
 * counted. */
struct hash128 topic_row_hash_in(const struct hash_secret *secret, const struct batch *batch,
                                 uint32_t row, struct bytes key, struct bytes value,
                                 const struct record_header *headers, uint32_t header_count,
                                 struct buffer *scratch);

/* The field that `key` of a sink's configuration names, FIELD_NONE without; CONFIG when the schema
 * has none of that name. */
enum status topic_row_find_key(const struct doc *config, const struct output_shape *shape,
                               uint32_t *out, struct error *err) WEIR_MUST_USE;
/* The text of the key field: strings as they are, others as JSON; FIELD_NONE, and of a tombstone: the
 * record's own. A slice that lives as long as the batch. */
struct bytes topic_row_key(const struct batch *batch, uint32_t row, uint32_t key_field);
/* Of the record, without `weir.replay`; lives as long as the batch. */
const struct record_header *topic_row_headers(const struct batch *batch, uint32_t row,
                                              uint32_t *out_count);

/* The headers of a dead letter; they point into the letter and into this. */
struct topic_letter {
    struct record_header *headers;
    uint32_t header_count;
    uint32_t original_count; /* the first so many are the record's own */
    char offset[24];
    char attempt[12];
    char timestamp[40];
};
void topic_letter_init(struct topic_letter *form, const struct dead_letter *letter);
void topic_letter_fini(struct topic_letter *form);
/* Where the record of a dead letter came from; −1 when its headers do not say. Texts in `arena`. */
int64_t topic_letter_origin(const struct record *record, struct arena *arena,
                            const char **out_topic, const char **out_partition);

#endif
