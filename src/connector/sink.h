/*
 * Sinks and systems: the port through which rows go out, exactly once.
 *
 * A SYSTEM is the scope of a transaction: one SQLite file (its log topics and its tables), one
 * folder of files. Each system keeps its own progress record R per source partition and commits
 * it together with its rows (progress/progress.h). A SINK is one place in a system: a topic, a
 * table, a folder.
 *
 * Two threads meet here (audit uses the same functions, on one thread):
 *   worker   sink->ops->append_*: copies rows of a batch into the sink's OUTBOX of the open epoch
 *            (plain data, no I/O, cannot fail)
 *   committer (one thread per system) system->ops->commit: writes the outboxes of a closed epoch
 *   and R in one transaction
 * An epoch and its outboxes belong to one of the two at a time (but for send_ahead()). The committer's calls
 * (open_session … close_session, load, take_over, commit) come from one thread.
 *
 * Life: connector opens the system and its sinks (open, from the pipeline file) → load R of
 * every partition → first start (begin) or take_over → commit … → close.
 */
#ifndef WEIR_CONNECTOR_SINK_H
#define WEIR_CONNECTOR_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/status.h"
#include "batch/batch.h"
#include "codec/record_key.h"
#include "doc/grammar.h"
#include "os/tree.h"
#include "progress/progress.h"

struct sink;
struct source;
struct system;

/* A column of a table sink: where its value comes from. Made by plan/ from the schema, `set` and
 * `drop`. */
struct output_column {
    const char *name;       /* path with '_' for '.' */
    const char *path;
    enum column_type type;
    /* a date-time text: stored as ISO 8601 in UTC (time_format) so that it sorts by time where
     * fractions agree */
    bool is_time;
    bool required;          /* never null */
    bool is_number;         /* COLUMN_JSON of `set`: its values are numbers all the same */
    uint32_t field;         /* index in the layout, FIELD_NONE when it comes from `set` */
    uint32_t set_index;     /* index in batch->set_values when field is FIELD_NONE */
};

/* Which fields the key of a record holds, in order. */
struct key_fields {
    uint32_t fields[RECORD_KEY_MEMBERS_MAX];
    uint32_t count;
};

/* What all sinks of a pipeline may know of it; lives in the plan. */
struct output_shape {
    const char *pipeline;
    const char *plan_hash;  /* 32 hexadecimal digits */
    const struct layout *layout;
    const struct reason_table *reasons;
    const struct output_column *columns;
    uint32_t column_count;
    bool takes_tombstones; /* rows without a value come too: batch_is_tombstone() */
    enum key_format key_format; /* of the records' keys, where there are tombstones */
};

/* A row on its way out. `value` is the record's value after repair, set and drop: JSON; the
 * original bytes where nothing changed; none of a tombstone, which deletes what its record's key
 * names. */
struct output_row {
    const struct batch *batch;
    uint32_t row;
    struct bytes value;
    const struct source_partition *origin;
};

/* A dead letter on its way out. All slices are the caller's and are copied. */
struct dead_letter {
    struct bytes key;
    struct bytes value;
    const struct record_header *headers; /* original ones */
    uint32_t header_count;
    const char *reason;
    const char *field;        /* "" where there is none */
    struct bytes detail;
    struct bytes violations;  /* JSON array of {"reason","field","detail"} */
    const char *topic;
    const char *partition;    /* label */
    int64_t offset;
    int64_t timestamp_us;     /* TIME_NEVER: none */
    const char *pipeline;
    const char *plan;
    uint32_t attempt;         /* 1 for the first failure */
    const char *sink;         /* "" unless a sink refused it */
};

/* A row as it stands in a place. Texts and slices live until the visitor returns. */
struct stored_row {
    struct hash128 hash;          /* as append_*() computed it */
    const char *origin_topic;     /* NULL or "" where the place does not say where it comes from */
    const char *origin_partition;
    int64_t origin_offset;        /* -1 then */
    struct bytes text;            /* short, for people */
    /* Where it stands: partition and offset of a topic; name of a part and number of the line, from
     * 1; "" and the rowid of a table, 0 where rows have none. */
    const char *part;
    int64_t position;
};
typedef enum status stored_row_visitor(void *context, const struct stored_row *row,
                                       struct error *err);

/* What one epoch holds for one sink; made by the sink's ops, which alone know what is inside. */
struct outbox {
    size_t size_bytes; /* memory it holds for rows; for the epoch's limit */
    uint64_t row_count;
};

struct sink_ops {
    const char *kind;                    /* "local", "sqlite", "file" */
    const struct grammar_field *grammar; /* of the map behind that key */
    bool can_reject;                     /* the place may refuse a row for the row's own fault */
    struct outbox *(*outbox_new)(struct sink *sink);
    void (*outbox_clear)(struct outbox *outbox); /* keeps some memory for the next epoch */
    void (*outbox_free)(struct outbox *outbox);
    /* Both add to `delta` (the ledger of the row's segment for this sink): written + 1 and the
     * row's hash to its sum; the caller counts routed. Rows of one source partition come in offset
     * order; partitions interleave. `source_partition` is the index in the source's list. */
    void (*append_row)(struct sink *sink, struct outbox *outbox, const struct output_row *row,
                       const struct hash_secret *secret, struct ledger_sink *delta);
    void (*append_dead_letter)(struct sink *sink, struct outbox *outbox,
                               uint32_t source_partition, const struct dead_letter *letter,
                               const struct hash_secret *secret, struct ledger_sink *delta);
    /* True when nothing has been written to the place yet (absent or empty): allows a first start.
     * Committer's session. */
    enum status (*is_empty)(struct sink *sink, bool *out_empty, struct error *err);
    /* Whether the place is there at all, empty or not. NULL where R stands in the place itself, so
     * that both are lost together. Committer's session. */
    enum status (*is_there)(struct sink *sink, bool *out_there, struct error *err);
    /* Every row that stands in the place now, in any order, for audit and trace. Any session. */
    enum status (*scan)(struct sink *sink, const struct hash_secret *secret,
                        stored_row_visitor *row, void *context, struct error *err);
    /* For places that keep one row per key (upserts), else NULL: the hash of the row's key, and the
     * value of `newest_by` as it orders (text slices live in `arena`; VALUE_NULL without one). Of
     * two rows with one key the place keeps the one with the greater (order, topic, partition
     * number, offset); without `newest_by` the greater (topic, partition number, offset). */
    void (*key_row)(struct sink *sink, const struct output_row *row,
                    const struct hash_secret *secret, struct arena *arena,
                    struct hash128 *out_key, struct value *out_order);
    bool (*is_keyed)(const struct sink *sink);
    /* Whether tombstones may come: CONFIG with its place and the way on where the place, as it is
     * configured, could not keep what they say. `out` are the fields that the record's key must be the
     * values of; none: any key will do. NULL where none may. */
    enum status (*take_tombstones)(const struct sink *sink, const struct doc *config,
                                   struct key_fields *out, struct error *err);
    /* Which place of its system: topic or table; "" where there is one only. Sinks of two plans
     * with the same ops, system and address are one place, whatever their names. */
    const char *(*address)(const struct sink *sink);
    /* What rows stand there, and which stay, in words: "rows", "dead letters", "one row per (id),
     * …". A place keeps its rule as long as it holds anything. */
    const char *(*rule)(const struct sink *sink);
    /* For audit: append_row() hashes from now on what a row looks like when it is read through
     * `now`, the sink of the same place in another plan: columns that only `now` has are null, and
     * those that it does not have are left out; its own again when `now` is the sink itself. NULL
     * where a row is one value. */
    void (*look_through)(struct sink *sink, const struct sink *now);
    /* "exactly once", "exactly once (upsert by key)": for lint. */
    const char *(*guarantee)(const struct sink *sink);
    /* Why that holds, or what weakens it: half a sentence, for explain. NULL: rows and R are committed
     * together, and there is no more to say. */
    const char *(*why)(const struct sink *sink);
};

struct sink {
    const struct sink_ops *ops;
    const char *name;      /* of the pipeline file, or "dlq" */
    struct system *system;
    bool is_dlq;
    /* the dlq: rows that sinks of its system refuse go here too (set by plan/) */
    bool takes_rejects;
    /* A pace of its own (set by plan/): the least time between commits, and after how many of its
     * rows one comes earlier; 0: as the pipeline. A system goes by the quickest of its sinks. */
    int64_t batch_interval_us;
    uint64_t batch_max_records;
    const struct output_shape *shape;
    uint32_t index;        /* in the system's list */
};

/* One epoch of one system. */
struct epoch_part {
    uint32_t partition; /* index in the source's list */
    struct progress_step step;
};
struct epoch {
    uint64_t number;              /* counts the closes of this process; for logs */
    struct epoch_part *parts;     /* at most one per partition */
    uint32_t part_count;
    struct outbox **outboxes;     /* per sink of the system, by sink->index */
    /* The name of another system's prepared transaction that this commit decides for: it goes into R
     * of all parts, in the same transaction. NULL: none. */
    const char *decides;
};

#define PREPARED_ID_BYTES 200u

/* A transaction that a system has prepared and not ended yet. Texts live until the visitor returns. */
struct prepared {
    const char *id;
    int64_t since_us;
    /* R of this partition is held by it, until it has ended; "" where that cannot be told. Told once
     * for each partition. */
    const char *topic;
    const char *partition;
};
typedef enum status prepared_visitor(void *context, const struct prepared *prepared,
                                     struct error *err);

/* A refused row as its system keeps it, for the dead letter that another system writes. Slices and
 * texts live until the visitor returns. */
struct kept_reject {
    struct record record;  /* offset, timestamp, key, value and headers */
    uint32_t attempt;      /* of the dead letter */
    const char *code;
    const char *message;
    const char *plan_hash; /* of the plan that sent the row there */
};
typedef void kept_reject_visitor(void *context, const struct kept_reject *reject);
/* About how much one load_rejects() hands out. */
#define KEPT_REJECT_BYTES (1u << 20)
#define KEPT_REJECT_ROWS 1000u

/* One sentence about a system; texts live until the visitor returns. */
struct system_finding {
    bool is_weak;       /* less is kept safe than could be */
    const char *about;  /* "sink readings", "transactions" */
    const char *what;
    const char *remedy; /* "" where there is nothing to do */
};
typedef void system_finding_visitor(void *context, const struct system_finding *finding);

struct system_ops {
    const char *kind;
    /* Commits an epoch that has dead letters of other systems' refused rows, and no offsets. */
    bool takes_forwarded;
    /* Its R can name what another system has prepared (run/two_phase.h). */
    bool can_decide;
    /* Its place is no path: nothing can be looked for or kept beside it. */
    bool is_remote;
    /* A commit is waited for so long that larger epochs gain: their size; 0: as others have. */
    size_t epoch_bytes;
    /* Where the texts of plans stand in it, for people; NULL: in the place itself. */
    const char *plans_place;
    /* The identity of the place (a real path), so that sinks of one place share one system. */
    const char *(*place)(const struct system *system);
    /* What stays the same however the place is written, while a session is open; NULL: the place. */
    const char *(*identity)(const struct system *system);
    /* Opens what commits need, on the calling thread, which becomes the committer's. Takes the
     * group's ownership (CONFIG "group.owned" at once when another process has it). */
    enum status (*open_session)(struct system *system, const char *pipeline, struct error *err);
    /* Opens what looking needs, beside whoever runs: load, load_first, count_partitions, load_plan,
     * load_segments, scan_rejects, and the sinks' is_there and scan. Owns nothing and writes
     * nothing. CONFIG "progress.none" where no pipeline has run yet. close_session() ends it. */
    enum status (*open_reader)(struct system *system, const char *pipeline, struct error *err);
    void (*close_session)(struct system *system);
    /* Whether somebody runs the pipeline now, as far as can be seen without taking anything. NULL
     * where nobody can tell. Needs no session. */
    bool (*is_owned)(struct system *system, const char *pipeline);
    /* Told before R is asked for: where the source is of the same place, R and the source's own note of
     * the group's offsets are one, and the group's members may share the work, each commit being
     * guarded by the group: then true. A commit for partitions that the group has given to others is
     * FENCED "assignment.lost". NULL: false. */
    bool (*meet_source)(struct system *system, struct source *source);
    /* Whoever may still be at work with this pipeline can commit nothing behind this: called before R
     * is loaded by those who will take over. NULL where open_session() has seen to it. */
    enum status (*claim)(struct system *system, struct error *err);
    /* R of a partition, or *out_found = false. `progress` is zero-initialised. */
    enum status (*load)(struct system *system, const struct source_partition *partition,
                        struct progress *progress, bool *out_found, struct error *err);
    /* R of a partition as begin() got it: what audit needs to judge the first rows again, where a
     * system joined later. *out_found is false where an older weir began. */
    enum status (*load_first)(struct system *system, const struct source_partition *partition,
                              struct progress *progress, bool *out_found, struct error *err);
    /* Of how many partitions there is R, those that the source does not have any more included. */
    enum status (*count_partitions)(struct system *system, uint32_t *out_count, struct error *err);
    /* Epoch 0: R is stored as it is given (owner included), and once more for load_first(), the
     * texts of all plans that it names too, in one transaction for all partitions. Makes topics and
     * tables. FENCED when R is there already. */
    enum status (*begin)(struct system *system, const struct progress *progresses, uint32_t count,
                         const struct bytes *plan_texts, uint32_t plan_count, struct error *err);
    /* Compare-and-swap of the owner of all partitions: FENCED when epoch or owner in the system are
     * not those of `progresses`. Stores the plan's text if it is new; makes topics and tables that
     * are not there yet. `progresses[i].owner` are the old ones; the new owner is `owner`. */
    enum status (*take_over)(struct system *system, const struct progress *progresses,
                             uint32_t count, uint64_t owner, struct bytes plan_text,
                             struct error *err);
    /* Rows, dead letters, rejects, segments, R: together or not at all. On OK every
     * progresses[part.partition] has become R after the step (progress_apply, rejects booked).
     * RETRY: nothing happened, send the same epoch again. FENCED: somebody else's R. */
    enum status (*commit)(struct system *system, const struct epoch *epoch,
                          struct progress *progresses, struct error *err);
    /* The five of a participant (run/two_phase.h), all NULL where a transaction cannot outlive its
     * session. `id` is the name of a transaction, PREPARED_ID_BYTES at most, NUL included.
     *
     * prepare: what commit() would do, but left prepared under `id`: nothing of it can be seen, it
     * survives a crash of either side, and it holds R of its partitions, so that taking over waits.
     * `progresses` stay as they were: R is loaded when it is committed. RETRY: send the same epoch
     * again under the same id, which finds what was prepared if only the answer was lost. */
    enum status (*prepare)(struct system *system, const struct epoch *epoch,
                           const struct progress *progresses, const char *id, struct error *err);
    /* End it one way or the other. *out_found is false when there is none of that name: it has ended
     * already. May be repeated. */
    enum status (*commit_prepared)(struct system *system, const char *id, bool *out_found,
                                   struct error *err);
    enum status (*rollback_prepared)(struct system *system, const char *id, bool *out_found,
                                     struct error *err);
    /* Those whose names begin with `prefix`, oldest first. In a reader's session too. */
    enum status (*list_prepared)(struct system *system, const char *prefix,
                                 prepared_visitor *prepared, void *context, struct error *err);
    /* CONFIG, with what to do, when the system as it is set up now prepares nothing. Needs no session. */
    enum status (*check_prepares)(struct system *system, struct error *err);
    /* Rows of the epoch that is open may go out already, in the transaction that its commit() ends:
     * called again and again on the committer's thread while no closed epoch waits. The worker adds
     * rows meanwhile, so only what append_*() has handed over for this may be looked at. What goes
     * wrong is told by the commit, which then sends all again. NULL: rows go when the epoch is closed. */
    void (*send_ahead)(struct system *system, struct outbox **outboxes);
    /* The open epoch will not be committed: what was sent of it is taken back, and its outboxes are not
     * looked at any more. Same thread. NULL where send_ahead is. */
    void (*take_back)(struct system *system);
    /* After a commit that ended with CONFIG: whether it was refused because the system takes less of rows
     * than when it was taken over. Taking over again asks anew; the rows are then judged by what it takes
     * now. NULL: never. */
    bool (*takes_less)(const struct system *system);
    /* The stored text of a plan by its hash. */
    enum status (*load_plan)(struct system *system, struct hash128 plan_hash, struct buffer *out,
                             bool *out_found, struct error *err);
    /* The segments of a partition, ascending: calls `segment` with the stored form
     * (progress/progress.h segment_read). */
    enum status (*load_segments)(struct system *system, const char *pipeline,
                                 const struct source_partition *partition,
                                 enum status (*segment)(void *context, struct bytes form,
                                                        struct error *err),
                                 void *context, struct error *err);
    /* The rows that sinks of this system refused, in any order, for audit; NULL where nothing can
     * be refused. */
    enum status (*scan_rejects)(struct system *system, const char *pipeline,
                                enum status (*reject)(void *context, const char *sink,
                                                      const char *topic, const char *partition,
                                                      int64_t offset, const char *code,
                                                      const char *message, struct error *err),
                                void *context, struct error *err);
    /* Of the rows that a sink refused while system->forwards_rejects was set, those from `from_offset`
     * on and below `before_offset`, in that order: all of them, or KEPT_REJECT_ROWS, or
     * KEPT_REJECT_BYTES and one more. On the committer's thread. RETRY: call again, from the start;
     * then a row may have been handed out already. NULL where the dead letters of refused rows cannot
     * be in another system. */
    enum status (*load_rejects)(struct system *system, const struct source_partition *partition,
                                const char *sink, int64_t from_offset, int64_t before_offset,
                                kept_reject_visitor *reject, void *context, struct error *err);
    /* A copy of the whole system as it stood between two commits, while another process may commit:
     * into `to`, a file or a folder that is not there yet. What a failure leaves there is the caller's
     * to remove. No session is needed. NULL where the place has backups of its own. RETRY for a full
     * disk and for "stop.requested". */
    enum status (*copy)(struct system *system, const char *to,
                        const struct copy_observer *observer, struct error *err);
    /* For explain: what only the system can tell about how safely it keeps rows and R. A session must
     * be open. NULL: there is no more to say. */
    enum status (*examine)(struct system *system, system_finding_visitor *visit, void *context,
                           struct error *err);
    void (*close)(struct system *system); /* frees system and sinks */
};

struct system {
    const struct system_ops *ops;
    const char *name;      /* for people: "iot.db" */
    /* The dead letters of rows that its sinks refuse are another system's (set by plan/): they are
     * counted as due in R, and kept so that load_rejects() finds them. */
    bool forwards_rejects;
    /* Its transactions are to be prepared (set by plan/, delivery.atomic). */
    bool prepares;
    struct sink **sinks;
    uint32_t sink_count;
};

#endif
