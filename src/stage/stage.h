/*
 * The stages: what happens to a record between decoding and a sink. Pure: results are a function
 * of the log and the plan; no clock, no batch boundary, no sink's answer enters.
 *
 *   decode → event time → contract (repair, constraints, fill, required) → checks → transform
 *   (where, set, drop) → dedup → lateness → route
 *
 * One file per stage; each takes the whole batch, row by row where it has state and column by
 * column where it has none. Stage k at row i sees rows ≤ i and stages ≤ k only, so "whole batch,
 * stage after stage" gives what "row after row" would give; test/property holds that against
 * random cuts. Each piece of state is touched by one stage only: event time by event_time.c,
 * last values by fill.c, seen keys by dedup.c.
 *
 * Three objects:
 *   stage_plan    what the pipeline file says, compiled (plan/ makes it); read-only, shared by all
 *                 threads
 *   stage_runner  decoder, checker, expressions and scratch memory of one thread for one plan
 *   stage_state   what is remembered about one source partition; survives plan changes
 *                 (stage_state_change_plan)
 */
#ifndef WEIR_STAGE_STAGE_H
#define WEIR_STAGE_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/status.h"
#include "base/time_form.h"
#include "batch/batch.h"
#include "codec/decoder.h"
#include "codec/record_key.h"
#include "schema/schema.h"
#include "sql/sql.h"
#include "state/anchor.h"
#include "state/store.h"

#define SINKS_MAX 64u

enum fill_kind { FILL_VALUE, FILL_LAST_BY };

struct stage_fill {
    enum fill_kind kind;
    uint32_t field;
    struct value value;     /* FILL_VALUE: of the column's type */
    uint32_t key_field;     /* FILL_LAST_BY */
    int64_t max_age_us;     /* FILL_LAST_BY */
    uint32_t store;         /* FILL_LAST_BY: index in stage_state.last */
    /* FILL_LAST_BY: of (field, key field): which store survives a plan change */
    struct hash128 identity;
};

struct stage_check {
    const char *name;
    reason_id reason;
    bool warn;              /* severity: warn */
    uint32_t expression;    /* index in the expressions */
};

struct stage_set {
    uint32_t field;         /* the target in the layout */
    reason_id reason;       /* transform.<field> */
    uint32_t expression;    /* EXPRESSION_NONE: the event time, as RFC 3339 in UTC */
};

#define EXPRESSION_NONE UINT32_MAX
#define DURATION_NONE INT64_C(-1)

struct stage_plan {
    /* tombstones (tombstone.c); without them a record without a value is decode.null_value */
    bool takes_tombstones;
    struct record_key key;      /* what a record's key is; no members: nothing asks for that */
    uint32_t key_fields[RECORD_KEY_MEMBERS_MAX]; /* [key.count]: whose values it is */
    bool keys_have_partitions;  /* a record whose key belongs into another partition is INVALID */

    const struct schema *schema;
    const struct layout *layout;
    const struct reason_table *reasons;
    struct decoder_options decoder;

    /* event time; without a field the record's timestamp is the event time and nothing is LATE */
    uint32_t event_time_field;  /* FIELD_NONE: no event_time block */
    /* where it stands and how it is written; without forms an RFC 3339 text in that field */
    const uint32_t *time_fields;
    uint32_t time_field_count;
    const struct time_form *time_forms;
    uint32_t time_form_count;
    const struct zone *time_zone; /* NULL: no form needs one */
    int64_t lateness_us;
    int64_t max_future_us;      /* DURATION_NONE: off. Against timestamps that the broker set. */
    int64_t max_jump_us;        /* DURATION_NONE: off. Where the timestamp is not the broker's. */
    /* Offsets within which three candidates must stand to be believed. */
    int64_t jump_span;
    /* the field that tells candidates apart; FIELD_NONE: the record's key */
    uint32_t jump_field;

    /* contract */
    const struct value *null_values;
    uint32_t null_value_count;
    const uint32_t *coerce_fields;
    uint32_t coerce_count;
    const struct stage_fill *fills;
    uint32_t fill_count;
    uint32_t last_store_count;
    const bool *filled;         /* [field]: some fill names it */

    /* expressions: all compiled into one program */
    const struct sql_expression *expressions;
    uint32_t expression_count;
    const bool *is_time;        /* [field]: format date-time */
    const struct stage_check *checks;
    uint32_t check_count;
    uint32_t where_expression;  /* EXPRESSION_NONE */
    reason_id where_reason;     /* transform.where: the expression failed on the row */
    const struct stage_set *sets;
    uint32_t set_count;
    const uint32_t *drop_fields;
    uint32_t drop_count;

    /* dedup */
    const uint32_t *dedup_fields;
    uint32_t dedup_field_count; /* 0: no dedup */
    int64_t dedup_window_us;
    struct hash128 dedup_identity;

    /* route */
    const uint32_t *route_expressions; /* [sink]: EXPRESSION_NONE takes all */
    const char *const *sink_names;     /* [sink] */
    uint32_t sink_count;
    reason_id route_reason;     /* transform.route: a `when` failed on the row */

    /* How far back a row can reach: lateness + the sum of all horizons, and lateness once more
     * where there are dedup and last_by (plan/stages.c says why); TIME_UNLIMITED when one of them
     * is. */
    int64_t horizon_us;
};

struct stage_state {
    int64_t greatest_us; /* greatest vetted event time */
    struct candidates candidates;
    struct anchors anchors;
    struct seen_store *seen;    /* NULL without dedup */
    struct last_store **last;   /* [last_store_count] */
    struct hash128 *last_identities;
    uint32_t last_count;
    struct hash128 seen_identity;
    int64_t next_offset;        /* behind the last row that was applied */
    struct hash128 last_record_hash; /* of the record before next_offset; zero: none yet */
    int64_t last_record_offset;
    struct state_budget *budget;
};

/* State before the first row; `start_offset` is where the log begins for this pipeline. */
struct stage_state *stage_state_new(const struct stage_plan *plan, struct state_budget *budget,
                                    int64_t start_offset);
void stage_state_free(struct stage_state *state);
/* State for replay from an anchor: nothing remembered but what the anchor says. */
void stage_state_start_at(struct stage_state *state, const struct anchor *anchor);
/* From state->next_offset on rows are judged by `to`. What both plans remember under the same
 * definition stays, purged by the old rule, so that replay comes to the same. */
void stage_state_change_plan(struct stage_state *state, const struct stage_plan *from,
                             const struct stage_plan *to);
/* The watermark now. */
int64_t stage_state_watermark(const struct stage_state *state, const struct stage_plan *plan);

/* For snapshots: a copy of the state as it is when it begins, as pieces (state/store.h), written bit
 * by bit while the state goes on: a head, then what the stores remember. It ends before the state
 * does. Owns what is in `pieces.out` and not taken by `pieces.full`. */
struct stage_copy {
    struct stage_state *state;
    struct state_pieces pieces;
    uint32_t next_store; /* those below are written */
    bool is_done;
};
/* `full`, `context` and `full_bytes` as in struct state_pieces; they are called from here on by
 * everything that changes the state. */
void stage_copy_begin(struct stage_copy *copy, struct stage_state *state,
                      const struct stage_plan *plan,
                      void (*full)(void *context, struct buffer *out), void *context,
                      size_t full_bytes);
/* Writes what about `slot_count` slots hold; true when the copy is whole. */
bool stage_copy_continue(struct stage_copy *copy, size_t slot_count);
/* Also before it is whole. */
void stage_copy_end(struct stage_copy *copy);
/* All of it at once, appended to `out`. */
void stage_state_write(struct stage_state *state, const struct stage_plan *plan,
                       struct buffer *out);

/* Reads a copy piece by piece into a state made by stage_state_new() under the same plan. */
struct stage_reading {
    struct stage_state *state;
    bool has_head;
};
/* FATAL "snapshot.corrupt", "state.memory". */
enum status stage_reading_piece(struct stage_reading *reading, struct bytes piece,
                                struct error *err) WEIR_MUST_USE;
/* Behind the last piece. */
enum status stage_reading_end(const struct stage_reading *reading,
                              struct error *err) WEIR_MUST_USE;
/* All pieces, and nothing behind them. */
enum status stage_state_read(struct stage_state *state, struct bytes form, struct error *err)
    WEIR_MUST_USE;
/* Equal states have equal digests; what is no longer remembered does not count. */
struct hash128 stage_state_digest(const struct stage_state *state, const struct stage_plan *plan);

/* What a set of the plan gives, as the type of a column: that of the column it copies, BOOL for a
 * truth (INT64 where the target is declared a number), JSON where only each result can tell. */
enum column_type stage_set_type(const struct stage_plan *plan, const struct stage_set *set,
                                const struct sql_outcome *outcome);

/* The stages in their order, for people; NULL behind the last. */
struct stage_info {
    const char *name;
    const char *key;  /* of the pipeline file */
    const char *what;
};
const struct stage_info *stage_list(uint32_t index);

struct stage_runner;
/* `hash_key` is the pipeline's (from R). */
enum status stage_runner_new(const struct stage_plan *plan, const uint8_t hash_key[HASH_KEY_BYTES],
                             struct stage_runner **out, struct error *err) WEIR_MUST_USE;
void stage_runner_free(struct stage_runner *runner);
const struct hash_secret *stage_runner_secret(const struct stage_runner *runner);
/* A batch for this plan's layout. */
struct batch *stage_runner_batch(struct stage_runner *runner);

/* What stage_run() does first, and asks no state: columns out of records, the repairs and the values'
 * contract that look at one cell alone, the event times that rows claim; and hashes of the records. May be
 * called on another thread, one at a time, while stage_run() judges another batch; a batch that it has not
 * been called for is prepared by stage_run(). */
void stage_prepare(struct stage_runner *runner, struct batch *batch);

enum stage_mode {
    STAGE_FULL,   /* verdicts, state, routes and outputs */
    STAGE_SILENT, /* replay: verdicts and state, no outputs */
};

/* All stages over a batch of records that stand at state->next_offset. Afterwards every row has a
 * verdict, violations are sorted, VALID rows have routes, and (FULL) outputs, which live until the
 * next run. FATAL: "state.memory" (the budget is used up), "state.witness" (state from behind the
 * row: the log or the state is not what it was). */
enum status stage_run(struct stage_runner *runner, struct stage_state *state, struct batch *batch,
                      enum stage_mode mode, struct error *err) WEIR_MUST_USE;

#endif
