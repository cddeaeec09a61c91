/*
 * What the files of run/ share: a pipeline in the course of a run. inspect/ looks at one too; not for
 * other folders.
 */
#ifndef WEIR_RUN_PIPELINE_H
#define WEIR_RUN_PIPELINE_H

#include "run/committer.h"
#include "run/run.h"

/* One partition of the source. */
struct partition {
    const struct source_partition *source;
    const char *snapshot_label; /* what its snapshots are called: its own among the partitions */
    bool is_mine;              /* always, where the source is not shared (assignment.c) */
    struct stage_state *state;
    struct plan_change *plans; /* history back to state_start, the running plan last */
    uint32_t plan_count;
    int64_t end_offset;        /* --until-end: where to stop */
    int64_t snapshot_offset;   /* of the newest snapshot */
};

struct pipeline {
    struct plan *plan;
    const struct run_options *options;
    const struct run_observer *observer;
    struct telemetry *telemetry;      /* NULL: nobody looks */
    struct patience *patience;        /* NULL where nothing is waited for */
    struct arena *arena;

    struct source *source;
    struct partition *partitions;
    uint32_t partition_count;

    uint8_t incarnation[16];
    uint8_t hash_key[HASH_KEY_BYTES];
    uint64_t owner;
    const char *state_folder;
    struct state_budget budget;
    bool is_beginning;                /* R of all partitions is made, whoever has them */
    bool is_shared;                   /* partitions come and go */
    bool is_compacted;                /* records that were consumed may be missing */
    enum assignment_event reassigned; /* what has ended the worker's loop; SAME: nothing has */
    bool is_working;                  /* the worker runs, or its failure left rows open */
    bool has_given_up;                /* what failed is not to be tried again any more */
    bool is_rebuilt;                  /* every partition's state stands at its slowest system */

    /* per system of the plan */
    struct progress **progresses;     /* [system][partition]: R */
    struct committer **committers;    /* while the worker runs */
    uint32_t sessions;                /* systems with an open session: the first so many */
};

void pipeline_talk(const struct pipeline *pipeline, const char *format, ...) WEIR_PRINTF(2, 3);
void pipeline_warn(const struct pipeline *pipeline, const char *format, ...) WEIR_PRINTF(2, 3);

/* Nothing is opened by init; open gives source, partitions and sessions; close undoes both,
 * also after a failure. */
void pipeline_init(struct pipeline *pipeline, struct plan *plan,
                   const struct run_options *options, const struct run_observer *observer);
enum status pipeline_open(struct pipeline *pipeline, struct error *err) WEIR_MUST_USE;
/* The same to look only, beside whoever runs: owns nothing, writes nothing. */
enum status pipeline_open_reader(struct pipeline *pipeline, struct error *err) WEIR_MUST_USE;
/* Nobody else can commit for this pipeline any more, before R is loaded. */
enum status pipeline_claim(struct pipeline *pipeline, struct error *err) WEIR_MUST_USE;
void pipeline_close(struct pipeline *pipeline);
/* Adds up R's ledgers: verdicts once, sinks of every system; and forwarded dead letters, by the sink
 * that refused their rows. */
void pipeline_sum_up(const struct pipeline *pipeline, struct ledger *out,
                     struct refused_list *out_forwarded);

static inline struct progress *pipeline_progress(const struct pipeline *pipeline, uint32_t system,
                                                 uint32_t partition)
{
    return &pipeline->progresses[system][partition];
}
/* A record that was loaded has a topic. */
static inline bool pipeline_is_found(const struct progress *progress)
{
    return progress->topic != NULL;
}
/* R of the system that has come furthest in a partition; NULL when none has any. */
const struct progress *pipeline_furthest(const struct pipeline *pipeline, uint32_t p);
/* R of the dead letters' system, which there is. */
const struct progress *pipeline_taken(const struct pipeline *pipeline, uint32_t p);
/* Whether a system has R of no partition. */
bool pipeline_has_none(const struct pipeline *pipeline, uint32_t s);

/* first_start.c: no system has R. */
enum status first_start(struct pipeline *pipeline, struct error *err) WEIR_MUST_USE;
/* Some have: those that have none begin where the others are, or are refused. */
enum status first_start_join(struct pipeline *pipeline, struct error *err) WEIR_MUST_USE;
/* What these two would refuse, without beginning anything. */
enum status first_start_check(const struct pipeline *pipeline, struct error *err) WEIR_MUST_USE;
enum status first_start_check_join(const struct pipeline *pipeline,
                                   struct error *err) WEIR_MUST_USE;
/* Tells the source how far the slowest system has come, where it keeps such notes. What cannot be
 * noted is only warned of: it is advice. */
void first_start_note_group(const struct pipeline *pipeline);

/* recovery.c: R of all systems, as it is stored; nothing is judged of it. */
enum status recovery_load(struct pipeline *pipeline, struct error *err) WEIR_MUST_USE;
/* recovery.c: recovery_load() without claiming anything: what a start would refuse, and CONFIG
 * "progress.none" where it would begin. */
enum status recovery_inspect(struct pipeline *pipeline, struct error *err) WEIR_MUST_USE;
/* recovery.c: after recovery_load(): first start or refusals, ownership. */
enum status recovery_claim(struct pipeline *pipeline, struct error *err) WEIR_MUST_USE;
/* True when systems stand at different positions under another plan than this one; *out_plan_hash
 * is that plan. */
bool recovery_needs_alignment(const struct pipeline *pipeline, struct hash128 *out_plan_hash);
/* recovery.c: what alignment left apart: CONFIG "progress.left_out". */
enum status recovery_refuse_left_out(const struct pipeline *pipeline,
                                     struct error *err) WEIR_MUST_USE;

/* rebuild.c: after recovery_claim(): state of every partition at the position of its slowest system;
 * then is_rebuilt is set. A stop signal cuts it short. */
enum status rebuild_state(struct pipeline *pipeline, struct error *err) WEIR_MUST_USE;

/* left_systems.c: after recovery_load(): *out_apart when a system that only the last plan names stands
 * elsewhere than this plan's, or dead letters of refused rows are owed by that plan; *out_text is then
 * that plan's, which must finish first. Nothing is claimed. */
enum status left_systems_check(const struct pipeline *pipeline, struct buffer *out_text,
                               bool *out_apart, struct error *err) WEIR_MUST_USE;

/* prepared.c: after recovery_load(): what was left prepared for partitions that are ours is ended as R of
 * its decision says. *out_reload: R must be loaded again. CONFIG "atomic.undecided". */
enum status prepared_settle(struct pipeline *pipeline, bool *out_reload,
                            struct error *err) WEIR_MUST_USE;

/* loss.c: after recovery_claim(): systems that stand before the source's beginning go on behind the
 * gap, which is booked as lost; without accept_loss CONFIG "source.offset_expired". */
enum status loss_settle(struct pipeline *pipeline, struct error *err) WEIR_MUST_USE;

/* assignment.c: where the source can be shared, becomes a member of the group: no partition is ours
 * then. Else all are. */
enum status assignment_join(struct pipeline *pipeline, struct error *err) WEIR_MUST_USE;
/* Takes what the group gives and gives back what it wants, until nothing is left to answer, and, where
 * the first partition must be ours to begin, that too. *out_ready is false when a stop was asked for,
 * or there is nothing here to do. */
enum status assignment_settle(struct pipeline *pipeline, bool *out_ready,
                              struct error *err) WEIR_MUST_USE;
/* Whether nobody has begun, and another process must: then `reassigned` says look again, after a
 * while. */
bool assignment_must_wait(struct pipeline *pipeline);
/* A commit that was refused because others have the partitions is no failure: OK, and `reassigned` is
 * LOST. Nor is a first start that another member was faster with (GAINED: look again), nor what a
 * stop signal cut short. Else the failure's status. */
enum status assignment_forgive(struct pipeline *pipeline, struct error *failure) WEIR_MUST_USE;
/* Whether the worker must come to an end of its epochs: sets `reassigned`. */
bool assignment_has_changed(struct pipeline *pipeline);

/* worker.c */
enum status worker_run(struct pipeline *pipeline, uint64_t *out_records, struct error *err)
    WEIR_MUST_USE;

#endif
