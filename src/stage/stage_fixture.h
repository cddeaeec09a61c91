/*
 * For the unit tests of this folder: plans put together by hand, and runs over rows that are
 * written as JSON.
 *
 * A PLAN FIXTURE is a stage_plan under construction: each call adds what one line of a pipeline
 * file would say. A RUN FIXTURE is one partition under such a plan: rows are added, judged as
 * one batch, and asked what became of them.
 *
 * Times are whole seconds: second 0 is 2026-01-01T00:00:00Z.
 */
#ifndef WEIR_STAGE_STAGE_FIXTURE_H
#define WEIR_STAGE_STAGE_FIXTURE_H

#include "stage/stage.h"

#define FIXTURE_PARTS_MAX 8u
#define FIXTURE_EPOCH_US INT64_C(1767225600000000)
#define SECONDS_US(seconds) ((int64_t)(seconds) * 1000000)

struct plan_fixture {
    struct arena *arena;
    struct reason_table reasons;
    struct stage_plan plan;
    struct value null_values[FIXTURE_PARTS_MAX];
    uint32_t coerce_fields[FIXTURE_PARTS_MAX];
    struct stage_fill fills[FIXTURE_PARTS_MAX];
    struct stage_check checks[FIXTURE_PARTS_MAX];
    struct stage_set sets[FIXTURE_PARTS_MAX];
    uint32_t drop_fields[FIXTURE_PARTS_MAX];
    uint32_t dedup_fields[FIXTURE_PARTS_MAX];
    uint32_t routes[FIXTURE_PARTS_MAX];
    const char *sink_names[FIXTURE_PARTS_MAX];
    struct sql_expression expressions[4 * FIXTURE_PARTS_MAX];
    bool *is_time;
    bool *filled;
};

/* `properties`: the schema's properties as YAML or JSON; `extras`: names outside the schema, NULL
 * for none. A plan of nothing but the schema. */
void plan_fixture_init(struct plan_fixture *plan, const char *properties, const char *extras[2]);
/* The same for a whole schema. */
void plan_fixture_init_schema(struct plan_fixture *plan, const char *schema,
                              const char *extras[2]);
void plan_fixture_fini(struct plan_fixture *plan);

uint32_t plan_field(const struct plan_fixture *plan, const char *path);
void plan_event_time(struct plan_fixture *plan, const char *path, int lateness_s);
void plan_null_value(struct plan_fixture *plan, struct value value);
void plan_coerce(struct plan_fixture *plan, const char *path);
void plan_fill_value(struct plan_fixture *plan, const char *path, struct value value);
void plan_fill_last_by(struct plan_fixture *plan, const char *path, const char *key,
                       int max_age_s);
void plan_check(struct plan_fixture *plan, const char *name, const char *expression, bool warn);
void plan_where(struct plan_fixture *plan, const char *expression);
void plan_set(struct plan_fixture *plan, const char *path, const char *expression);
void plan_drop(struct plan_fixture *plan, const char *path);
/* The first call sets the window; each adds a field to the key. */
void plan_dedup(struct plan_fixture *plan, const char *path, int window_s);
/* `when` may be NULL. */
void plan_sink(struct plan_fixture *plan, const char *name, const char *when);

struct value value_of_text(const char *text);
struct value value_of_integer(int64_t integer);
struct value value_of_real(double real);

struct run_fixture {
    struct plan_fixture *plan;
    struct state_budget budget;
    struct stage_runner *runner;
    struct stage_state *state;
    struct batch *batch;
    struct arena *arena; /* of the rows, and of what is said about them */
    bool judged;         /* the batch has been run */
    int64_t next_offset;
    /* of the rows that come next */
    enum timestamp_kind timestamp_kind;
    int timestamp_s;
    const char *key; /* NULL: none */
};

/* The plan is complete, and outlives the run. */
void run_open(struct run_fixture *run, struct plan_fixture *plan);
void run_close(struct run_fixture *run);
/* The rows that come next are judged by `to`. */
void run_change_plan(struct run_fixture *run, struct plan_fixture *to);

/* Appends a row to the next batch; '@12@' in the text becomes the time of second 12. Its row number
 * in its batch. */
uint32_t run_add(struct run_fixture *run, const char *json);
/* The same for bytes that are no C string, BYTES_NONE too. */
uint32_t run_add_bytes(struct run_fixture *run, struct bytes value);
/* A row with the header `weir.replay`. */
uint32_t run_add_replay(struct run_fixture *run, const char *json, const char *header);
/* Judges the rows that were added. */
void run_judge(struct run_fixture *run);
enum status run_try(struct run_fixture *run, struct error *err);
/* One row as a batch of its own: what run_says() says of it. */
const char *run_one(struct run_fixture *run, const char *json);

/* What became of a row, in words: "VALID", or "INVALID schema.range(temperature) check.hot"; texts
 * live until run_close(). */
const char *run_says(struct run_fixture *run, uint32_t row);
/* The detail of the first violation; "" when there is none. */
const char *run_detail(struct run_fixture *run, uint32_t row);
/* "null_value(battery) coerce(temperature)" */
const char *run_repairs(struct run_fixture *run, uint32_t row);
/* What goes out; "none" for rows that do not. */
const char *run_output(struct run_fixture *run, uint32_t row);
/* A digit for each sink that gets the row: "02". */
const char *run_routes(struct run_fixture *run, uint32_t row);
/* Second of a time; INT64_MIN for TIME_NEVER. */
int64_t run_second(int64_t time_us);

#endif
