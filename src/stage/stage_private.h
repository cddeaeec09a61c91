/* What the files of stage/ share. Not for other folders. */
#ifndef WEIR_STAGE_STAGE_PRIVATE_H
#define WEIR_STAGE_STAGE_PRIVATE_H

#include "base/time.h"
#include "stage/stage.h"

/* What rows are prepared with: each thread that does so has its own. */
struct preparer {
    struct decoder *decoder;
    struct schema_checker *checker;
    struct time_reader time_reader;
    struct buffer time_text; /* of one row, by event_time.c */
};

struct stage_runner {
    const struct stage_plan *plan;
    struct hash_secret secret;
    struct preparer own;
    struct preparer ahead; /* of stage_prepare(); zeros before it was called */
    struct sql_program *program;   /* NULL without expressions */
    struct arena *arena;           /* of the program */

    /* scratch, [BATCH_ROWS_MAX] unless said otherwise */
    uint8_t *late;                 /* event time below the watermark before the row */
    uint8_t *has_violation;
    uint32_t *rows;                /* row numbers that go on */
    struct sql_result *results;    /* [expression][BATCH_ROWS_MAX] */
    /* why a `when` could not be evaluated on the row; none: all could */
    struct bytes *route_failures;
    struct hash128 *key_hashes;    /* dedup */
    uint8_t *key_known;            /* dedup: the row has a key */
    struct repair *repairs_by_row; /* grows */
    uint32_t repairs_by_row_capacity;
    struct json_edit *edits;       /* of one row */
    uint32_t edit_count, edit_capacity;
    struct buffer edit_texts;
    struct buffer object;          /* a record that is no JSON, as the object that goes out */
    struct buffer rendered;
    /* where the row's text ends in `rendered`; 0: the record's own bytes */
    size_t *rendered_ends;
};

/* key.c: the cell as a key of dedup, last_by and max_jump: equal JSON values are equal keys. Not
 * for misfits. */
struct value stage_key(struct batch *batch, uint32_t field, uint32_t row);
/* Texts whose hashes as keys will be asked for are hashed ahead. No later stage changes such a cell. */
void stage_hash_keys(const struct stage_runner *runner, struct batch *batch);
/* value_hash() of that key alone. */
struct hash128 stage_key_hash(const struct stage_runner *runner, struct batch *batch,
                              uint32_t field, uint32_t row);
/* replay.c: reads the `weir.replay` headers into batch->replays. */
void stage_read_replay_headers(struct batch *batch);
/* tombstone.c: before the records are decoded, records without a value get their verdict. */
void stage_tombstones(const struct stage_runner *runner, struct batch *batch);
/* Violations of rows whose records' keys are not theirs. */
void stage_check_keys(struct stage_runner *runner, struct batch *batch);
/* event_time.c: what the rows claim, and violations of those that claim no time; and then the vetting. */
void stage_claim_times(const struct stage_runner *runner, struct preparer *preparer,
                       struct batch *batch);
void stage_event_time(struct stage_runner *runner, struct stage_state *state, struct batch *batch);
/* repair.c */
void stage_null_values(const struct stage_plan *plan, struct batch *batch);
void stage_coerce(const struct stage_plan *plan, struct batch *batch);
/* fill.c */
enum status stage_fill(struct stage_runner *runner, struct stage_state *state, struct batch *batch,
                       struct error *err) WEIR_MUST_USE;
/* contract.c: rows with violations become INVALID. */
void stage_close_contract(struct stage_runner *runner, struct batch *batch);
/* expressions.c: checks, where, set, and the routes' conditions. */
enum status stage_expressions(struct stage_runner *runner, struct batch *batch, struct error *err)
    WEIR_MUST_USE;
/* dedup.c: dedup, and lateness behind it. */
enum status stage_dedup(struct stage_runner *runner, struct stage_state *state,
                        struct batch *batch, struct error *err) WEIR_MUST_USE;
/* route.c */
/* Whether some sink takes the row, should it come that far. */
bool stage_has_route(const struct stage_runner *runner, const struct batch *batch, uint32_t row);
/* VALID or FILTERED for all that is left; INVALID where a `when` failed. */
void stage_route(struct stage_runner *runner, struct batch *batch);
/* render.c */
/* What the schema says of records as a whole, asked of them as the repairs left them. */
void stage_check_records(struct stage_runner *runner, struct batch *batch);
void stage_render(struct stage_runner *runner, struct batch *batch);

#endif
