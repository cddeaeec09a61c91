/*
 * Compression of the records of a RecordBatch: lz4 frames and zstd frames, as Kafka's clients
 * write and read them.
 *
 * Compressed bytes come from disk or wire and are not trusted: whatever they claim, no more than
 * the given limit is allocated or written. Checksums inside the frames are not looked at: the
 * batch around them has its own.
 */
#ifndef WEIR_CODEC_COMPRESSION_H
#define WEIR_CODEC_COMPRESSION_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "codec/record_batch.h"

/* Appends `raw`, compressed as one frame with its content size, to `out`. False, and nothing
 * appended, when that would not be smaller than `raw`. */
bool compression_pack(enum compression compression, struct bytes raw, struct buffer *out);

/* Unpacks `packed` into `arena` (memory with 64 readable bytes behind it). NULL when it worked,
 * else a static text that says what is wrong. */
const char *compression_unpack(enum compression compression, struct bytes packed, size_t max_bytes,
                               struct arena *arena, struct bytes *out) WEIR_MUST_USE;

/* What the frame that begins with `head` (32 bytes of it, or all) says that it unpacks to. False
 * where it does not say. */
bool compression_content_size(enum compression compression, struct bytes head, uint64_t *out);

#endif
