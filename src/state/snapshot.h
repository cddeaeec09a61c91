/*
 * Snapshots: immutable files with the state of one source partition at one position, so that
 * recovery need not replay the whole horizon. Losing them costs time only.
 *
 * File `<folder>/<pipeline>-<partition>-<next offset, 19 digits>.snapshot`. In the names only
 * A-Z a-z 0-9 _ . (and - in the pipeline's) stand for themselves, other bytes are %XX; a name that
 * takes more than 96 bytes so is ~ and the 32 digits of its hash_plain().
 *
 * All integers are little-endian; a hash is its low, then its high u64; "sized" is a u32 size and
 * that many bytes:
 *   8 B "WEIRSNAP" | u32 version 3 | sized pipeline | 16 B incarnation | sized topic id |
 *   sized partition label | i64 next offset | hash of the plan | hash of the last consumed record |
 *   pieces (state/store.h) | u64 XXH3-64 (seed 0) of all before
 *
 * A snapshot is written and read in bounded memory. It becomes visible whole or not at all: a
 * temporary file is renamed when all of it is on disk. The newest two per partition are kept; files
 * of other identities are never touched.
 *
 * Threads: one at a time per folder and identity. A writer has a thread of its own for everything
 * that may wait for a disk.
 */
#ifndef WEIR_STATE_SNAPSHOT_H
#define WEIR_STATE_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/status.h"

struct snapshot_identity {
    const char *pipeline;
    uint8_t incarnation[16];
    const char *topic_id;
    const char *partition; /* label: digits for logs, a name for files */
};

/* What it is a snapshot of. */
struct snapshot_head {
    int64_t next_offset;
    struct hash128 plan_hash;
    struct hash128 last_record_hash;
};

/* --- writing: open → append… → publish → close --- */

struct snapshot_writer;
/* Makes the folder if need be. The errors of os/file.h. */
enum status snapshot_writer_open(const char *folder, const struct snapshot_identity *identity,
                                 const struct snapshot_head *head, struct snapshot_writer **out,
                                 struct error *err) WEIR_MUST_USE;
/* Whether an append would not wait. */
bool snapshot_writer_is_idle(struct snapshot_writer *writer);
/* Takes whole pieces and leaves an empty buffer. Waits while those before are being written. */
void snapshot_writer_append(struct snapshot_writer *writer, struct buffer *pieces);
/* The end of the pieces was appended: it becomes visible as soon as it is on disk, and our
 * snapshots below this one but the newest of them are removed, and what a crash in an earlier write
 * left. Does not wait. */
void snapshot_writer_publish(struct snapshot_writer *writer);

enum snapshot_outcome {
    SNAPSHOT_UNDER_WAY,
    SNAPSHOT_PUBLISHED,
    SNAPSHOT_FAILED, /* nothing is to be seen of it */
};
/* `err` on SNAPSHOT_FAILED: the errors of os/file.h. Does not wait. */
enum snapshot_outcome snapshot_writer_outcome(struct snapshot_writer *writer, struct error *err);
/* After publish: waits for the outcome. */
enum status snapshot_writer_wait(struct snapshot_writer *writer, struct error *err) WEIR_MUST_USE;
/* What was not published leaves nothing behind. Takes NULL. */
void snapshot_writer_close(struct snapshot_writer *writer);

/* --- reading: load → next… → close --- */

struct snapshot_reader;
/* The newest good snapshot with next_offset ≤ max_offset, its checksum verified; *out_found false
 * when there is none. Files that are broken or belong to another identity are passed over and told
 * to `warn(context, message)`, which may be NULL; so only an unreadable folder is an error. */
enum status snapshot_load(const char *folder, const struct snapshot_identity *identity,
                          int64_t max_offset, void (*warn)(void *context, const char *message),
                          void *context, struct snapshot_reader **out, bool *out_found,
                          struct error *err) WEIR_MUST_USE;
const struct snapshot_head *snapshot_reader_head(const struct snapshot_reader *reader);
/* The next piece, valid until the next call; *out_end true behind the last. FATAL
 * "snapshot.corrupt", and the errors of os/file.h. */
enum status snapshot_reader_next(struct snapshot_reader *reader, struct bytes *out, bool *out_end,
                                 struct error *err) WEIR_MUST_USE;
/* Takes NULL. */
void snapshot_reader_close(struct snapshot_reader *reader);

#endif
