/*
 * What snapshot.c (reading) and snapshot_write.c (writing) share: names and heads. Not for other
 * folders.
 */
#ifndef WEIR_STATE_SNAPSHOT_PRIVATE_H
#define WEIR_STATE_SNAPSHOT_PRIVATE_H

#include "state/snapshot.h"

#define SNAPSHOT_MAGIC "WEIRSNAP"
#define SNAPSHOT_VERSION 3u
/* From here on a snapshot can be read: version 2 has all 128 bits of dedup's keys. */
#define SNAPSHOT_VERSION_FIRST 2u

/* The path of the snapshot at `offset`. */
const char *snapshot_path(struct arena *arena, const char *folder,
                          const struct snapshot_identity *identity, int64_t offset);
/* "<pipeline>-<partition>-". No '-' in the partition's part: so no two identities share a
 * prefix. */
const char *snapshot_prefix(struct arena *arena, const struct snapshot_identity *identity);
/* The offset in the name of a snapshot with that prefix, −1 when it is none. */
int64_t snapshot_offset(const char *name, const char *prefix);
/* What a crash in the middle of writing one below `before_offset` left. */
bool snapshot_is_leftover(const char *name, const char *prefix, int64_t before_offset);

void snapshot_identity_write(const struct snapshot_identity *identity, struct buffer *out);
/* True when the reader stands at this identity; it stands behind it then. */
bool snapshot_identity_read(struct reader *in, const struct snapshot_identity *identity);
/* Whether the file is ours, by its beginning. */
bool snapshot_is_ours(const char *path, const struct snapshot_identity *identity);

#endif
