/*
 * LZ4 blocks of records that look alike: a quicker packer for what usually goes into topics.
 *
 * LZ4's own packer looks for a match at every place, through a table of hashes. Where records have
 * the same form, the match is known before it is looked for: what stands one record back. So this
 * packer compares 64 bytes at a time with those at the distance of the last match and takes all that
 * is equal from the bits of one comparison. Where the distance is lost, because a value got longer or
 * shorter, the next quote or comma on either side is where the two meet again. Only then a small
 * table is asked. The result is an LZ4 block like any other, about a sixth larger than LZ4's own,
 * packed in less than half the time, and read in less time, for it has fewer matches.
 *
 * It gives up on bytes that are not of that kind (0): then LZ4's own packer is the better one. That
 * depends on the bytes alone. No state, any thread.
 */
#ifndef WEIR_CODEC_LZ4_FOLLOW_H
#define WEIR_CODEC_LZ4_FOLLOW_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* What `out` needs to have room for, beside LZ4_compressBound(). */
#define LZ4_FOLLOW_SLACK_BYTES 64u
/* Offsets into a block are kept in 32 bits; a frame's block has 4 MiB at most anyway. */
#define LZ4_FOLLOW_MAX_BYTES (4u * 1024u * 1024u)

/* The size of the block in `out`, 0 where it gave up. `raw` has at most LZ4_FOLLOW_MAX_BYTES. */
size_t lz4_follow_pack(struct bytes raw, uint8_t *out);
/* The same bytes without special instructions. */
size_t lz4_follow_pack_portable(struct bytes raw, uint8_t *out);

#endif
