/*
 * Source: the port through which records come in. One folder per system implements it
 * (connector/sqlite for the local log, connector/file for files and standard input); run/ knows
 * nothing but this.
 *
 * A source has PARTITIONS, each an ordered sequence of records with growing offsets: a partition
 * of a topic, or a file. The list is fixed while the source is open. Reading appends to a batch;
 * memory that must outlive the call goes into the batch's arena.
 *
 * Threads: one call of a source at a time. All from one thread (the worker that owns it), but for
 * read() of a source that has `ahead_rows`: that moves between two threads, and what it read ahead may be
 * dropped and read again behind seek().
 */
#ifndef WEIR_CONNECTOR_SOURCE_H
#define WEIR_CONNECTOR_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "batch/batch.h"
#include "codec/csv.h"
#include "doc/grammar.h"
#include "os/tree.h"

struct source;
struct injector_ops; /* connector/injector.h */
struct topics_ops;   /* connector/topics.h */
struct writer_ops;   /* connector/writer.h */

struct source_partition {
    const char *topic;     /* topic name; path of a file; "-" for standard input */
    const char *topic_id;  /* changes when the topic or file is another one under the same name */
    const char *label;     /* "0", "1", … in a topic; "0" for files */
    int32_t number;        /* of the label */
    uint32_t partition_count; /* of its topic */
    int64_t first_offset;  /* the earliest that is there now */
};

/* What a source keeps; 0: no limit of that kind. */
struct source_retention {
    bool is_known; /* false: the system does not tell */
    bool is_compacted; /* of records with one key only the last one is sure to stay */
    int64_t age_us;
    int64_t bytes;
};

/* Partitions come to this process and go to others, where several share a source. */
enum assignment_event {
    ASSIGNMENT_SAME,
    ASSIGNMENT_GAINED,  /* these are ours once it is answered */
    ASSIGNMENT_REVOKED, /* others wait for these: finish what is open, then answer */
    ASSIGNMENT_LOST,    /* others have these already: abandon what is open, then answer */
};
struct source_assignment {
    enum assignment_event event;
    const uint32_t *partitions; /* indices in the source's list; until the next call */
    uint32_t count;
};

struct source_ops {
    /* the key in the pipeline file: "local", "file", "stdin" */
    const char *kind;
    const struct grammar_field *grammar; /* of the map behind that key */
    bool can_replay;                     /* records can be read again: needed for exactly_once */
    /* Where a batch has so many rows, the next one is read ahead on another thread; 0: never */
    uint32_t ahead_rows;
    bool is_remote;                      /* on another machine, so it can be away for a while */
    bool has_keys;                       /* records can have keys */
    /* what its records' timestamps are; PRODUCER where some may be, each record says */
    enum timestamp_kind timestamp_kind;
    bool offsets_are_bytes;              /* positions in a file; else they count records */
    bool can_inject;                     /* dead letters can be replayed into it */
    const struct injector_ops *injector; /* by these; NULL unless can_inject */
    /* The topics of its place. NULL where there are none, or they are made elsewhere. */
    const struct topics_ops *topics;
    /* Records into its topics, with a memory. NULL where verbs write otherwise, or not at all. */
    const struct writer_ops *writer;
    /* What the grammar cannot say of the configuration; nothing is opened. NULL: it says all. */
    enum status (*check_config)(const struct doc *config, const char *folder, struct error *err);
    /* `config` is the checked map behind the kind's key; it outlives the source. Paths are relative
     * to `folder` (of the pipeline file; "" for none). `csv` says how rows are told apart, and that
     * the first one may be a header (which goes to batch->header); it outlives the source; NULL:
     * records are lines, or have borders of their own. RETRY when the system is away; CONFIG when
     * the place does not exist. */
    enum status (*open)(const struct doc *config, const char *folder,
                        const struct csv_options *csv, struct source **out, struct error *err);
    void (*close)(struct source *source); /* takes NULL */
    /* The array lives until close. */
    const struct source_partition *(*partitions)(struct source *source, uint32_t *out_count);
    /* The offset behind the last record that is there now. */
    enum status (*end_offset)(struct source *source, uint32_t partition, int64_t *out_offset,
                              struct error *err);
    /* The same of all partitions for who watches a run, as it is known, and never waits: −1 where it is
     * not known now. To be called again and again, as it may ask meanwhile. NULL where end_offset()
     * waits for nobody. */
    void (*watch_ends)(struct source *source, int64_t *out_offsets);
    /* Whether it has answered nothing for some seconds, and why; never waits. To be called again and
     * again, as it asks meanwhile. NULL where it is on this machine. */
    bool (*is_away)(struct source *source, struct error *err);
    /* The same as end_offset() with what is there and may not be read yet: records of open transactions, and behind
     * them. NULL where there is no such thing. */
    enum status (*open_end_offset)(struct source *source, uint32_t partition, int64_t *out_offset,
                                   struct error *err);
    /* The first record whose timestamp is not before `time_us`; the end where there is none. NULL where
     * a start cannot be given as a time. */
    enum status (*offset_at)(struct source *source, uint32_t partition, int64_t time_us,
                             int64_t *out_offset, struct error *err);
    /* The next read of that partition begins with the first record at or behind `offset`. CONFIG
     * "source.offset_expired" when records from there on were deleted; CONFIG "source.truncated"
     * when the partition is shorter than `offset`. */
    enum status (*seek)(struct source *source, uint32_t partition, int64_t offset,
                        struct error *err);
    /* What begins before `offset` is a whole record even where its end is not marked: it was taken
     * as one, or is the end of what a run is to take. Never goes back. NULL where records are
     * always whole. */
    void (*settle)(struct source *source, uint32_t partition, int64_t offset);
    /* Appends what is there now to the batch, without waiting, up to `limit_offset` (not included).
     * Nothing appended: no more for now. FATAL "log.corrupt" names topic, partition and offset. */
    enum status (*read)(struct source *source, uint32_t partition, struct batch *batch,
                        int64_t limit_offset, struct error *err);
    /* Notes in the place of the source how far a group, that is a pipeline, has come; both NULL
     * where there is no such place. Advice, never authority: but a group that is there has read. */
    enum status (*read_group)(struct source *source, const char *group, uint32_t partition,
                              int64_t *out_offset, bool *out_found, struct error *err);
    /* `offsets`: of every partition. */
    enum status (*write_group)(struct source *source, const char *group, const int64_t *offsets,
                               struct error *err);
    /* The same again and again while a run goes on, behind read_group(): never waits, and may be lost.
     * NULL where the note is made with the rows, or at the end only. */
    void (*follow_group)(struct source *source, const char *group, const int64_t *offsets);
    /* The identity of the file that the records are in, as system_ops.place gives it, in `arena`, and
     * a copy of it as system_ops.copy makes it. Both NULL where the records are not weir's to keep. */
    char *(*place)(struct arena *arena, const struct doc *config, const char *folder);
    enum status (*copy)(const char *place, const char *to, const struct copy_observer *observer,
                        struct error *err);
    /* Whether the system still has what was opened: CONFIG "source.partitions" when partitions were
     * added, "source.recreated" when the topic is another one, "source.replaced" when a file is. Never
     * waits: what it goes by can be some seconds old. NULL where that cannot happen, or the next start tells. */
    enum status (*check_place)(struct source *source, struct error *err);
    /* NULL: not known. */
    enum status (*retention)(struct source *source, struct source_retention *out,
                             struct error *err);
    /* Shares the partitions with all who join that group: from now on none is ours until it is gained.
     * NULL where all are always ours. What guards commits then is a system that knows the source
     * (system_ops.meet_source). */
    enum status (*join)(struct source *source, const char *group, struct error *err);
    /* How many processes share it now. NULL where `join` is. */
    enum status (*count_members)(struct source *source, const char *group, uint32_t *out,
                                 struct error *err);
    /* What has changed, and waits for an answer; never waits itself. To be called again and again:
     * the group takes who is silent for dead. */
    void (*poll_assignment)(struct source *source, struct source_assignment *out);
    /* Where membership has ended, and cannot go on: why. */
    enum status (*answer_assignment)(struct source *source, struct error *err);
    /* True when no record can ever come (a closed pipe). */
    bool (*is_finished)(struct source *source);
    /* Waits for more, at most that long; spurious returns are fine. */
    void (*wait)(struct source *source, int64_t timeout_us);
};

struct source {
    const struct source_ops *ops;
};

#endif
