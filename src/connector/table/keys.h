/*
 * How rows of a table are told apart: the keys `mode`, `key` and `newest_by` of a table sink, the
 * same for all databases. Append keeps every row; upsert keeps of the rows with one key the one
 * with the greater (newest_by, topic, partition, offset), whatever the order of arrival; null is
 * the least newest_by. A tombstone is such a row too: where it is the greater one it deletes, and since
 * all that is said of a key is said in one partition, in order, nothing comes behind it that would have
 * been less.
 */
#ifndef WEIR_CONNECTOR_TABLE_KEYS_H
#define WEIR_CONNECTOR_TABLE_KEYS_H

#include "connector/sink.h"

#define TABLE_KEYS_MAX RECORD_KEY_MEMBERS_MAX

struct table_keys {
    bool is_upsert;
    uint32_t columns[TABLE_KEYS_MAX]; /* indexes in the shape's columns */
    uint32_t count;
    uint32_t newest_by; /* index of a column, FIELD_NONE */
    bool takes_tombstones; /* a row without a value deletes that of its key */
    const char *rule;   /* in words, for sink_ops.rule */
};

/* For the grammar of `mode`. */
extern const char *const table_keys_modes[];

/* From a sink's checked configuration. CONFIG with its place. */
enum status table_keys_read(struct arena *arena, const struct doc *config, bool is_dlq,
                            const struct output_shape *shape, struct table_keys *out,
                            struct error *err) WEIR_MUST_USE;

/* sink_ops.take_tombstones: of an upsert whose key columns are fields of the record as they are; one
 * column where records' keys are KEY_TEXT. */
enum status table_keys_take_tombstones(const struct table_keys *keys, const struct doc *config,
                                       const struct output_shape *shape, struct key_fields *out,
                                       struct error *err) WEIR_MUST_USE;

#endif
