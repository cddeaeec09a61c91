/*
 * A table as a sink, as far as it does not matter which database it stands in: rows into an outbox
 * with their hash, keys, and the view of another plan's columns.
 *
 * A connector's sink begins with a struct table_base, and its sink_ops name the functions below.
 *
 * Threads: as sink_ops (connector/sink.h).
 */
#ifndef WEIR_CONNECTOR_TABLE_SINK_H
#define WEIR_CONNECTOR_TABLE_SINK_H

#include "connector/attempt.h"
#include "connector/sink.h"
#include "connector/table/keys.h"
#include "connector/table/letter.h"
#include "connector/table/rows.h"

struct table_base {
    struct sink sink;    /* first */
    struct arena *arena; /* lives as long as the sink */
    struct table_keys keys;
    struct record_key record_key; /* where tombstones delete: the key columns as records' keys have them */
    const char *address; /* the table, as its database tells tables apart */
    const char *const *names; /* [column_count]: of the shape's columns, or a dead letter's */
    uint32_t column_count;
    struct value *values; /* scratch of append_row, [column_count] */
    /* Columns whose place stores a JSON text in a form of its own, which the rows get before they are
     * hashed; false: it cannot store it. NULL where texts stay as they are. */
    bool (*make_canonical)(struct bytes json, struct buffer *out);
    bool *is_canonical; /* [column_count] */

    /* look_through(): */
    const struct table_base *seen_by; /* whose columns are hashed; NULL: its own */
    const struct table_base *seen_of; /* whose columns `seen` is of */
    uint32_t *seen;       /* [columns of seen_of]: index of a column, FIELD_NONE: null */
    struct value *seen_values;
};

static inline struct table_base *table_base(const struct sink *sink)
{
    return (struct table_base *)(void *)(uintptr_t)sink;
}

static inline struct table_outbox *table_outbox(struct outbox *outbox)
{
    return (struct table_outbox *)outbox;
}

/* Everything but sink.ops and address, out of the checked configuration. CONFIG with its place. */
enum status table_base_init(struct table_base *base, const char *name, bool is_dlq,
                            const struct doc *config, const struct output_shape *shape,
                            struct error *err) WEIR_MUST_USE;
void table_base_fini(struct table_base *base);

/* A marked row becomes a reject of the attempt. */
void table_refuse_row(const struct sink *sink, const struct table_outbox *outbox,
                      const struct table_row *row, struct attempt *attempt);

/* sink_ops of these names. */
struct outbox *table_outbox_new(struct sink *sink);
void table_outbox_clear(struct outbox *outbox);
void table_outbox_free(struct outbox *outbox);
void table_append_row(struct sink *sink, struct outbox *outbox, const struct output_row *row,
                      const struct hash_secret *secret, struct ledger_sink *delta);
void table_append_dead_letter(struct sink *sink, struct outbox *outbox, uint32_t source_partition,
                              const struct dead_letter *letter, const struct hash_secret *secret,
                              struct ledger_sink *delta);
void table_key_row(struct sink *sink, const struct output_row *row,
                   const struct hash_secret *secret, struct arena *arena, struct hash128 *out_key,
                   struct value *out_order);
bool table_is_keyed(const struct sink *sink);
const char *table_address(const struct sink *sink);
const char *table_rule(const struct sink *sink);
enum status table_take_tombstones(const struct sink *sink, const struct doc *config,
                                  struct key_fields *out, struct error *err);
void table_look_through(struct sink *sink, const struct sink *now);
const char *table_guarantee(const struct sink *sink);

#endif
