/*
 * Plan: a pipeline file, read, checked and compiled. Making a plan opens no source and no sink:
 * it reads the pipeline file and its schema, and nothing else.
 *
 * The canonical text of a plan (what judges records: everything but the knobs of plan/knobs.c and
 * connections, by name or in place; the schema inside it) is hashed; systems store the text under
 * that hash
 * beside R, so that replay, recovery and audit judge each row under the plan that judged it
 * first (plan_from_text).
 *
 * A plan owns its systems and sinks (connector/sink.h), which are closed objects until run/
 * opens sessions. Stage parts are read-only and may be used by any thread.
 */
#ifndef WEIR_PLAN_PLAN_H
#define WEIR_PLAN_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/status.h"
#include "connector/registry.h"
#include "doc/doc.h"
#include "os/socket.h"
#include "stage/stage.h"

/* What a place needs to reach its system, by its name in `connections`, or by the place that it stands
 * in ("source", "dlq", "sinks.NAME"). */
struct plan_connection {
    const char *name;
    const char *kind;
    const struct doc *config;
};

enum guarantee { GUARANTEE_EXACTLY_ONCE, GUARANTEE_AT_LEAST_ONCE };

/* What is done when a system is away: try again after `initial_us`, each pause `factor` times the
 * one before up to `longest_us`, all of them longer or shorter by up to `jitter`. */
enum retry_end { RETRY_PAUSE, RETRY_STOP };
#define RETRY_FOR_EVER 0u
struct retry_policy {
    int64_t initial_us;
    double factor;
    int64_t longest_us;
    double jitter;          /* a share */
    uint32_t attempts;      /* tries in all before `end`; RETRY_FOR_EVER */
    enum retry_end end;
};

struct plan {
    struct arena *arena;
    const char *name;
    /* of the pipeline file, "" or with a '/' at the end; relative paths start there */
    const char *folder;
    struct bytes text;              /* canonical */
    struct hash128 hash;            /* of the text */
    char hash_text[33];

    struct reason_table reasons;
    struct stage_plan stage;

    const struct source_ops *source_ops;
    const struct doc *source_config;

    struct plan_connection *connections;
    uint32_t connection_count;

    /* in the order in which they are named; the source's own (if it is one) last */
    struct system **systems;
    uint32_t system_count;
    struct sink **sinks;            /* in the file's order, [stage.sink_count] */
    struct sink *dlq;               /* NULL: dead letters are counted and dropped, lint says so */
    bool dlq_includes[VERDICT_COUNT];
    bool dlq_includes_rejected;
    struct output_shape shape;

    /* What delivery.atomic makes visible together: NULL, or the two of run/two_phase.h. */
    struct system *decision;
    struct system *participant;

    enum guarantee guarantee;
    int64_t commit_interval_us;     /* of systems whose sinks say nothing else (sink.h) */
    /* Of closed epochs that a system has not committed; 0: as it needs. */
    uint64_t max_behind_bytes;
    uint64_t state_memory_bytes;
    int64_t snapshot_interval_us;   /* 0: only at a clean stop */
    const char *state_folder;       /* for snapshots; NULL: none are kept */
    struct retry_policy retry;
    bool has_http;
    struct socket_address http;
};

/* CONFIG with file:line:column for every mistake. `environment` gives the values of ${NAME}
 * (getenv, usually). */
enum status plan_load(const char *path, doc_environment environment, struct plan **out,
                      struct error *err) WEIR_MUST_USE;
/* From a stored canonical text, which has no connections: those of `running`, the plan that the
 * operator's file gives, which outlives it, and so has its folder. Without one (NULL) places that need
 * connections can only be named. */
enum status plan_from_text(struct bytes text, const struct plan *running, struct plan **out,
                           struct error *err) WEIR_MUST_USE;
/* Closes its systems. Takes NULL. */
void plan_free(struct plan *plan);

/* For people, where the source's tombstones delete: what one does in a sink; and what they ask of every
 * record. */
const char *plan_tombstone_effect(const struct sink *sink);
void plan_tell_tombstones(const struct plan *plan, struct buffer *out);

/* How rows of its source are told apart; NULL unless the format is CSV. */
const struct csv_options *plan_csv(const struct plan *plan);

#endif
