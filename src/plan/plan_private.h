/* What the files of plan/ share. Not for other folders. */
#ifndef WEIR_PLAN_PLAN_PRIVATE_H
#define WEIR_PLAN_PLAN_PRIVATE_H

#include "plan/plan.h"

/* Shorthand while a plan is being made. */
struct plan_maker {
    struct plan *plan;
    struct arena *arena;
    const struct doc *pipeline; /* checked against the grammar */
    const struct doc *schema;
    const struct plan *running; /* of a stored plan: the one whose connections it uses, or NULL */
    struct schema_files schema_files; /* that the schema refers to */
    bool is_stored;             /* made from a stored text, which has no knobs */
    /* expressions collected so far */
    struct sql_expression *expressions;
    uint32_t expression_count, expression_capacity;
    const struct sql_outcome *set_outcomes; /* [set] */
    struct bytes zone_text; /* of a zone by name (base/zone.h), which is part of the plan */
};

/* connections.c: `pipeline` as it judges records: without the keys of connections that stand in place. */
const struct doc *plan_without_connections(struct arena *arena, const struct doc *pipeline);
/* Every place of maker->pipeline gets the keys of its connection. */
enum status plan_join_connections(struct plan_maker *maker, struct error *err) WEIR_MUST_USE;

/* places.c: source first, then (stages), then sinks and dlq, which need the stages' columns. */
enum status plan_make_source(struct plan_maker *maker, struct error *err) WEIR_MUST_USE;
enum status plan_make_sinks(struct plan_maker *maker, struct error *err) WEIR_MUST_USE;
/* event_time.c: a zone by name, of this machine or as it was stored with the plan; before the plan
 * has its text. */
enum status plan_load_zone(struct plan_maker *maker, const struct doc *stored_zone,
                           struct error *err) WEIR_MUST_USE;
enum status plan_make_event_time(struct plan_maker *maker, struct error *err) WEIR_MUST_USE;
/* tombstones.c: what the source says of records without a value; then, behind the sinks, whether they
 * can take them. */
bool plan_takes_tombstones(const struct plan_maker *maker);
enum key_format plan_key_format(const struct plan_maker *maker);
enum status plan_make_tombstones(struct plan_maker *maker, struct error *err) WEIR_MUST_USE;
/* format.c */
enum status plan_make_format(struct plan_maker *maker, struct error *err) WEIR_MUST_USE;
/* stages.c */
enum status plan_make_stages(struct plan_maker *maker, struct error *err) WEIR_MUST_USE;
/* knobs.c: what paces and watches a run and judges no record; such a key may change without making
 * another plan. */
bool plan_is_knob(const char *key);
enum status plan_read_knobs(struct plan_maker *maker, struct error *err) WEIR_MUST_USE;
/* atomic.c: after the sinks */
enum status plan_read_atomic(struct plan_maker *maker, struct error *err) WEIR_MUST_USE;
/* columns.c */
void plan_make_columns(struct plan_maker *maker);
/* Whether every record that fits the schema has a value there. */
bool plan_is_required(const struct stage_plan *stage, uint32_t field);

/* A path of the pipeline file; relative ones begin at its folder. */
const char *plan_join_path(struct arena *arena, const char *folder, const char *path);

/* The field that a node of the pipeline file names; CONFIG "config.unknown_field" with the nearest
 * right spelling. */
enum status plan_find_field(const struct plan_maker *maker, const struct doc *name,
                            const char *path, uint32_t *out, struct error *err) WEIR_MUST_USE;
/* Refuses a field or column of several types where values are compared: how they are written would
 * count. Not in stored plans. */
enum status plan_check_key_type(const struct plan_maker *maker, const struct doc *name,
                                enum column_type type, struct error *err) WEIR_MUST_USE;

#endif
