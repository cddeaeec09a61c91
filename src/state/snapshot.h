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
 *   8 B "WEIRSNAP" | u32 version 1 | sized pipeline | 16 B incarnation | sized topic id |
 *   sized partition label | i64 next offset | hash of the plan | hash of the last consumed record |
 *   u64 size of the body | body | u64 XXH3-64 (seed 0) of all before
 *
 * Written with file_write_durably(): whole or not at all. The newest two per partition are kept;
 * files of other identities are never touched.
 *
 * Threads: one at a time per folder and identity.
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

struct snapshot {
    int64_t next_offset;
    struct hash128 plan_hash;
    struct hash128 last_record_hash;
    struct bytes body; /* in the arena given to snapshot_load() */
};

/* Makes the folder if need be. Removes our snapshots below this one but the newest of them, and
 * what a crash in an earlier write left. The errors of os/file.h. */
enum status snapshot_save(const char *folder, const struct snapshot_identity *identity,
                          const struct snapshot *snapshot, struct error *err) WEIR_MUST_USE;

/* The newest good snapshot with next_offset ≤ max_offset; *out_found false when there is none.
 * Files that are broken or belong to another identity are passed over and told to
 * `warn(context, message)`, which may be NULL; so only an unreadable folder is an error. */
enum status snapshot_load(struct arena *arena, const char *folder,
                          const struct snapshot_identity *identity, int64_t max_offset,
                          void (*warn)(void *context, const char *message), void *context,
                          struct snapshot *out, bool *out_found, struct error *err) WEIR_MUST_USE;

#endif
