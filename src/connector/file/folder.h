/*
 * A folder of NDJSON files as a system: parts whose rows become visible exactly once. What
 * folder_system.c (sessions, R), folder_store.c (what lies in .weir), folder_commit.c and
 * folder_sink.c (rows) share. Not for other folders of src/.
 *
 *   <folder>/<label>-<first>-<next>.ndjson        a part (part_name.h): one output value a line, of
 *                                                 one source partition; never changed
 *   <folder>/.weir/lock                           held while a session is open
 *   <folder>/.weir/owner-<pipeline>               who may commit: a decimal number and a newline
 *   <folder>/.weir/plan-<hash>                    canonical text of a plan
 *   <folder>/.weir/part-<label>.first             R of epoch 0 (progress_write), which stays
 *   <folder>/.weir/part-<label>-<epoch>.progress  sidecar of an epoch: R and segments (sidecar.h);
 *                                                 the epoch has 20 digits
 *   <folder>/.weir/part-<label>.writing           a part being written
 *   <folder>/.weir/part-<label>-<epoch>.ready     a part that is whole, but not committed
 *   <folder>/.weir/part-<label>-<first>.segments  closed ledger segments, the first of which begins
 *                                                 at that offset (19 digits)
 *
 * Each partition is a transaction of its own. The commit of an epoch of one partition:
 *
 *   1  rows → .writing, fsync, renamed to .ready, fsync of .weir      folder_commit.c write_part()
 *   2  closed segments → .segments, when there are many               spill_segments()
 *   3  R of the epoch, the part's name → .progress, durably           folder_save_sidecar()
 *   4  .ready renamed to the part in <folder>, fsync of <folder>      publish_part()
 *   5  the sidecar of the epoch before the last is removed
 *
 * Step 4 is the commit; for an epoch without rows it is step 3. So these hold at every moment:
 *
 *   (a) A sidecar of epoch e is committed if it names no part, if its part is there, or if there is
 *       a sidecar of an epoch above. Otherwise its part still is .ready: not committed.
 *   (b) R is the newest committed sidecar. At most one sidecar is above it.
 *   (c) Segments of R are those in its sidecar and those in .segments files that begin before the
 *       first of them. A file that begins there or later is from an epoch that was not committed.
 *
 * A sidecar whose part is neither in the folder nor .ready was committed, and then somebody took
 * the part away: refused (progress.part_missing), for going one epoch back would double rows for
 * whoever has that part. So the newest part of each partition must stay where it is; older ones may
 * be moved or compressed by whoever consumes them, at the price that audit misses their rows. A
 * part beyond R means that R was set back (progress.behind): refused, too.
 *
 * What an interrupted commit leaves behind is removed when a session takes over, before anything is
 * written: what is above R first, then .ready, so that (a) holds on the way.
 *
 * A ready part has its epoch in its name so that no sidecar but its own is ever taken for one that
 * was not committed.
 *
 * With `format: csv` parts are "….csv" (folder_csv.h): their first line names the columns, and
 * belongs to no row; the hash of a row is that of its line plus that of the header.
 *
 * A folder belongs to one pipeline and one sink. Exclusion is by an OFD lock on .weir/lock; the
 * file owner-… is compared before each commit all the same, for file systems whose locks do not
 * hold. Names that begin with '.' are nobody's rows. Row hashes are of the line as stored, without
 * its newline.
 *
 * Threads: as sink.h says; outboxes are the worker's, all else is the committer's.
 */
#ifndef WEIR_CONNECTOR_FILE_FOLDER_H
#define WEIR_CONNECTOR_FILE_FOLDER_H

#include "connector/file/sidecar.h"
#include "connector/sink.h"
#include "os/lock.h"

/* What a session knows of a source partition, by its index in the source's list. */
struct folder_partition {
    char *label;              /* NULL: nothing is known */
    uint64_t epoch;           /* of `segments` */
    struct segments segments; /* of R */
};

struct folder_system {
    struct system system; /* first */
    char *place;
    char *name;
    char *hidden; /* <place>/.weir */
    /* while a session is open */
    char *pipeline;
    struct lock_file *lock;
    struct folder_partition *partitions;
    uint32_t partition_count;
};

struct folder_outbox {
    struct outbox outbox; /* first */
    struct buffer *lines; /* per source partition: rows as they will stand in the part */
    uint32_t partition_count;
};

struct folder_sink {
    struct sink sink; /* first */
    bool is_csv;
    struct buffer header; /* of CSV, with its newline */
};

static inline const struct folder_sink *folder_of_sink(const struct sink *sink)
{
    return (const struct folder_sink *)sink;
}

static inline struct folder_system *folder_of_system(const struct system *system)
{
    return (struct folder_system *)system;
}

/* folder_system.c */
extern const struct system_ops folder_system_ops;

/* folder_commit.c */
enum status folder_commit(struct system *system, const struct epoch *epoch,
                          struct progress *progresses, struct error *err) WEIR_MUST_USE;

/* folder_sink.c */
/* `header` has its newline, and is empty where rows have none. */
struct hash128 folder_hash_row(const struct hash_secret *secret, struct bytes header,
                               struct bytes line);
void folder_sink_free(struct sink *sink);

/* folder_scan.c: sink_ops.is_empty and .scan. */
enum status folder_is_empty(struct sink *sink, bool *out_empty, struct error *err) WEIR_MUST_USE;
enum status folder_scan(struct sink *sink, const struct hash_secret *secret,
                        stored_row_visitor *row, void *context, struct error *err) WEIR_MUST_USE;

/* folder_copy.c: system_ops.copy. */
enum status folder_copy(struct system *system, const char *to,
                        const struct copy_observer *observer, struct error *err) WEIR_MUST_USE;

/* folder_store.c: paths in .weir, in `arena`. */
const char *folder_sidecar_path(const struct folder_system *s, struct arena *arena,
                                const char *label, uint64_t epoch);
const char *folder_ready_path(const struct folder_system *s, struct arena *arena, const char *label,
                              uint64_t epoch);
const char *folder_writing_path(const struct folder_system *s, struct arena *arena,
                                const char *label);
const char *folder_segments_path(const struct folder_system *s, struct arena *arena,
                                 const char *label, int64_t first_offset);
const char *folder_part_path(const struct folder_system *s, struct arena *arena, const char *part);

/* R by rule (b), refusals included. `out` is empty before, also after a failure. */
enum status folder_find_newest(const struct folder_system *s, const char *label,
                               struct sidecar *out, bool *out_found,
                               struct error *err) WEIR_MUST_USE;
/* Durably; in place of what that epoch had. */
enum status folder_save_sidecar(const struct folder_system *s, const char *label,
                                const struct sidecar *sidecar, struct error *err) WEIR_MUST_USE;
/* R of epoch 0. `out` is zero-initialised. */
enum status folder_save_first(const struct folder_system *s, const char *label,
                              const struct progress *first, struct error *err) WEIR_MUST_USE;
enum status folder_load_first(const struct folder_system *s, const char *label,
                              struct progress *out, bool *out_found,
                              struct error *err) WEIR_MUST_USE;
/* How many labels have sidecars. */
enum status folder_count_labels(const struct folder_system *s, uint32_t *out_count,
                                struct error *err) WEIR_MUST_USE;
/* Removes what does not belong to R, which `newest` holds. */
enum status folder_sweep(const struct folder_system *s, const char *label,
                         const struct sidecar *newest, struct error *err) WEIR_MUST_USE;
/* Removes what durable writes of a process that was killed left behind. */
enum status folder_sweep_temporary(const struct folder_system *s, struct error *err) WEIR_MUST_USE;
/* All segments of R, ascending. */
enum status folder_visit_segments(const struct folder_system *s, const char *label,
                                  segment_visitor visit, void *context,
                                  struct error *err) WEIR_MUST_USE;
/* The session's pipeline is owned by `owner` from now on. */
enum status folder_save_owner(const struct folder_system *s, uint64_t owner,
                              struct error *err) WEIR_MUST_USE;
/* FENCED when somebody else took over. */
enum status folder_check_owner(const struct folder_system *s, uint64_t owner,
                               struct error *err) WEIR_MUST_USE;
/* CONFIG "folder.other_pipeline" when another pipeline has written here. */
enum status folder_check_pipeline(const struct folder_system *s, struct error *err) WEIR_MUST_USE;
/* Stores a plan's text if it is new. */
enum status folder_save_plan(const struct folder_system *s, struct bytes plan_text,
                             struct error *err) WEIR_MUST_USE;
enum status folder_load_plan(const struct folder_system *s, struct hash128 plan_hash,
                             struct buffer *out, bool *out_found, struct error *err) WEIR_MUST_USE;

#endif
