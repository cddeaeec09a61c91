#include "codec/compression.h"

#include <lz4.h>
#include <lz4frame.h>
#include <string.h>
#include <zstd.h>

#include "codec/lz4_follow.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define LZ4_FRAME_MAGIC UINT32_C(0x184D2204)
#define LZ4_BLOCK_IS_PLAIN UINT32_C(0x80000000)

enum {
    ZSTD_LEVEL = 3,
    /* Of the frame descriptor's first byte. */
    LZ4_FLAG_DICTIONARY = 0x01,
    LZ4_FLAG_RESERVED = 0x02,
    LZ4_FLAG_CONTENT_CHECKSUM = 0x04,
    LZ4_FLAG_CONTENT_SIZE = 0x08,
    LZ4_FLAG_BLOCK_CHECKSUM = 0x10,
    LZ4_FLAG_INDEPENDENT = 0x20,
    LZ4_VERSION_MASK = 0xC0,
    LZ4_VERSION = 0x40,
    /* No byte of an lz4 block stands for more bytes than this. */
    LZ4_RATIO_MAX = 255,
    LZ4_RATIO_SLACK_BYTES = 64,
    /* Magic, flags, block size, content size, checksum of these; behind them the block's size. */
    LZ4_FRAME_HEAD_BYTES = 15,
    LZ4_BLOCK_HEAD_BYTES = 4,
    LZ4_END_MARK_BYTES = 4,
    /* Of fewer bytes LZ4's own packer makes less, and quickly. */
    LZ4_FOLLOW_MIN_BYTES = 32 * 1024,
};

static const char text_too_large[] = "it unpacks to more bytes than a batch may have";
static const char text_cut[] = "its compressed bytes end too early";
static const char text_broken[] = "its compressed bytes are broken";

/* --- Packing. --- */

/* Java's client reads only independent blocks; one block holds a usual batch whole. */
static LZ4F_preferences_t lz4_preferences(size_t raw_size)
{
    return (LZ4F_preferences_t){
        .frameInfo = {.blockSizeID = LZ4F_max4MB,
                      .blockMode = LZ4F_blockIndependent,
                      .contentSize = raw_size},
    };
}

static void store_u32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

/* As LZ4F_compressFrame() begins one, with the smallest block that holds the content. */
static void lz4_write_head(uint8_t *at, size_t raw_size)
{
    unsigned block_size_id = 4;
    while ((size_t)1 << (8 + 2 * block_size_id) < raw_size) {
        block_size_id++;
    }
    store_u32(at, LZ4_FRAME_MAGIC);
    at[4] = LZ4_VERSION | LZ4_FLAG_INDEPENDENT | LZ4_FLAG_CONTENT_SIZE;
    at[5] = (uint8_t)(block_size_id << 4);
    uint64_t content_size = htole64(raw_size);
    memcpy(at + 6, &content_size, sizeof content_size);
    at[14] = (uint8_t)(XXH32(at + 4, 10, 0) >> 8);
}

/* A frame of one block. 0 where the bytes are not of the kind that is packed so. */
static size_t lz4_follow_frame(struct bytes raw, uint8_t *at)
{
    if (raw.size < LZ4_FOLLOW_MIN_BYTES || raw.size > LZ4_FOLLOW_MAX_BYTES) {
        return 0;
    }
    uint8_t *block = at + LZ4_FRAME_HEAD_BYTES + LZ4_BLOCK_HEAD_BYTES;
    size_t size = lz4_follow_pack(raw, block);
    if (size == 0 || size >= raw.size) {
        return 0;
    }
    lz4_write_head(at, raw.size);
    store_u32(at + LZ4_FRAME_HEAD_BYTES, (uint32_t)size);
    store_u32(block + size, 0);
    return LZ4_FRAME_HEAD_BYTES + LZ4_BLOCK_HEAD_BYTES + size + LZ4_END_MARK_BYTES;
}

static size_t lz4_pack(struct bytes raw, struct buffer *out)
{
    LZ4F_preferences_t preferences = lz4_preferences(raw.size);
    size_t bound = LZ4F_compressFrameBound(raw.size, &preferences);
    if (raw.size <= LZ4_FOLLOW_MAX_BYTES) {
        /* A block may become larger than what it holds, before that is seen. */
        size_t block_bound = (size_t)LZ4_compressBound((int)raw.size) + LZ4_FRAME_HEAD_BYTES +
                             LZ4_BLOCK_HEAD_BYTES + LZ4_END_MARK_BYTES + LZ4_FOLLOW_SLACK_BYTES;
        bound = bound > block_bound ? bound : block_bound;
    }
    uint8_t *at = buffer_reserve(out, bound);
    size_t size = lz4_follow_frame(raw, at);
    if (size == 0) {
        size = LZ4F_compressFrame(at, bound, raw.data, raw.size, &preferences);
        check(!LZ4F_isError(size));
    }
    return size;
}

bool compression_pack(enum compression compression, struct bytes raw, struct buffer *out)
{
    if (compression == COMPRESSION_NONE) {
        return false;
    }
    size_t size;
    if (compression == COMPRESSION_LZ4) {
        size = lz4_pack(raw, out);
    } else {
        check(compression == COMPRESSION_ZSTD);
        size_t bound = ZSTD_compressBound(raw.size);
        size = ZSTD_compress(buffer_reserve(out, bound), bound, raw.data, raw.size, ZSTD_LEVEL);
        /* The bound is enough, so only memory can be short. */
        if (ZSTD_isError(size)) {
            memory_exhausted(bound);
        }
    }
    if (size >= raw.size) {
        return false;
    }
    out->size += size;
    return true;
}

/* --- Unpacking lz4. --- */

struct lz4_frame {
    struct bytes blocks; /* from the first block's size on */
    size_t block_max_bytes;
    bool linked; /* a block may refer to the 64 KiB before it */
    bool has_block_checksum;
    bool has_content_checksum;
    bool has_content_size;
    uint64_t content_size;
};

static uint32_t load_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static const char *lz4_read_head(struct bytes packed, struct lz4_frame *frame)
{
    enum { HEAD_MIN_BYTES = 7, CONTENT_SIZE_BYTES = 8 };
    if (packed.size < HEAD_MIN_BYTES) {
        return text_cut;
    }
    uint8_t flags = packed.data[4];
    unsigned block_size_id = packed.data[5] >> 4 & 7u;
    if (load_u32(packed.data) != LZ4_FRAME_MAGIC || (flags & LZ4_VERSION_MASK) != LZ4_VERSION ||
        (flags & (LZ4_FLAG_DICTIONARY | LZ4_FLAG_RESERVED)) != 0 || block_size_id < 4) {
        return "its compressed bytes are no lz4 frame";
    }
    *frame = (struct lz4_frame){
        .block_max_bytes = (size_t)1 << (8 + 2 * block_size_id),
        .linked = (flags & LZ4_FLAG_INDEPENDENT) == 0,
        .has_block_checksum = (flags & LZ4_FLAG_BLOCK_CHECKSUM) != 0,
        .has_content_checksum = (flags & LZ4_FLAG_CONTENT_CHECKSUM) != 0,
        .has_content_size = (flags & LZ4_FLAG_CONTENT_SIZE) != 0,
    };
    size_t head_bytes = HEAD_MIN_BYTES;
    if (frame->has_content_size) {
        head_bytes += CONTENT_SIZE_BYTES;
        if (packed.size < head_bytes) {
            return text_cut;
        }
        frame->content_size = load_u32(packed.data + 6) | (uint64_t)load_u32(packed.data + 10)
                                                              << 32;
    }
    frame->blocks = bytes_of(packed.data + head_bytes, packed.size - head_bytes);
    return NULL;
}

/* Takes one block off the front of `blocks`; an empty one is the end mark. */
static const char *lz4_next_block(const struct lz4_frame *frame, struct bytes *blocks,
                                  struct bytes *out_block, bool *out_plain)
{
    if (blocks->size < 4) {
        return text_cut;
    }
    uint32_t head = load_u32(blocks->data);
    size_t size = head & ~LZ4_BLOCK_IS_PLAIN;
    size_t tail = head != 0 && frame->has_block_checksum ? 4 : 0;
    if (size > blocks->size - 4 || tail > blocks->size - 4 - size) {
        return text_cut;
    }
    *out_block = bytes_of(blocks->data + 4, size);
    *out_plain = (head & LZ4_BLOCK_IS_PLAIN) != 0;
    *blocks = bytes_of(blocks->data + 4 + size + tail, blocks->size - 4 - size - tail);
    return head != 0 && size == 0 ? text_broken : NULL;
}

/* How much room the content needs at most: what the frame says, or as many whole blocks as it
 * has. */
static const char *lz4_bound(const struct lz4_frame *frame, size_t max_bytes, size_t *out_bytes)
{
    /* A claim that so few bytes cannot keep gets no memory. */
    uint64_t possible = (uint64_t)frame->blocks.size * LZ4_RATIO_MAX + LZ4_RATIO_SLACK_BYTES;
    uint64_t bound = frame->content_size;
    if (frame->has_content_size && bound > possible) {
        return bound > max_bytes ? text_too_large : text_broken;
    }
    if (!frame->has_content_size) {
        struct bytes blocks = frame->blocks;
        struct bytes block = BYTES_NONE;
        bool plain;
        do {
            const char *problem = lz4_next_block(frame, &blocks, &block, &plain);
            if (problem != NULL) {
                return problem;
            }
            bound += block.size > 0 ? frame->block_max_bytes : 0;
        } while (block.size > 0);
        bound = bound < possible ? bound : possible;
        bound = bound < max_bytes ? bound : max_bytes;
    }
    if (bound > max_bytes || bound > LZ4_MAX_INPUT_SIZE) {
        return text_too_large;
    }
    *out_bytes = (size_t)bound;
    return NULL;
}

/* Writes one block behind the `done` bytes of the blocks before it. Returns its size, or −1 when it
 * is broken or does not fit. */
static int lz4_unpack_block(const struct lz4_frame *frame, struct bytes block, bool plain,
                            uint8_t *content, size_t done, size_t capacity)
{
    size_t room = capacity - done;
    if (room > frame->block_max_bytes) {
        room = frame->block_max_bytes;
    }
    if (plain) {
        if (block.size > room) {
            return -1;
        }
        memcpy(content + done, block.data, block.size);
        return (int)block.size;
    }
    if (block.size > LZ4_MAX_INPUT_SIZE) {
        return -1;
    }
    const char *from = (const char *)block.data;
    char *to = (char *)content + done;
    if (!frame->linked || done == 0) {
        return LZ4_decompress_safe(from, to, (int)block.size, (int)room);
    }
    const int window_max = 64 * 1024;
    int window = done < (size_t)window_max ? (int)done : window_max;
    return LZ4_decompress_safe_usingDict(from, to, (int)block.size, (int)room, to - window, window);
}

static const char *lz4_unpack(struct bytes packed, size_t max_bytes, struct arena *arena,
                              struct bytes *out)
{
    struct lz4_frame frame;
    size_t capacity = 0;
    const char *problem = lz4_read_head(packed, &frame);
    if (problem == NULL) {
        problem = lz4_bound(&frame, max_bytes, &capacity);
    }
    if (problem != NULL) {
        return problem;
    }
    uint8_t *content = arena_alloc_wide(arena, capacity);
    size_t done = 0;
    struct bytes blocks = frame.blocks;
    for (;;) {
        struct bytes block;
        bool plain;
        problem = lz4_next_block(&frame, &blocks, &block, &plain);
        if (problem != NULL) {
            return problem;
        }
        if (block.size == 0) {
            break;
        }
        int size = lz4_unpack_block(&frame, block, plain, content, done, capacity);
        if (size < 0) {
            return frame.has_content_size || capacity < max_bytes ? text_broken : text_too_large;
        }
        done += (size_t)size;
    }
    if (blocks.size != (frame.has_content_checksum ? 4u : 0u) ||
        (frame.has_content_size && done != frame.content_size)) {
        return text_broken;
    }
    *out = bytes_of(content, done);
    return NULL;
}

/* --- Unpacking zstd. --- */

/* The first room to try: what the frame says, or a guess where it was written as a stream. */
static size_t zstd_first_capacity(struct bytes packed, size_t max_bytes)
{
    unsigned long long said = ZSTD_getFrameContentSize(packed.data, packed.size);
    unsigned long long guess = (unsigned long long)packed.size * 8;
    /* One byte more than it takes, so that a full buffer always means that there is more. */
    unsigned long long capacity =
        said == ZSTD_CONTENTSIZE_UNKNOWN || said == ZSTD_CONTENTSIZE_ERROR ? guess : said + 1;
    /* A claim gets little memory before there is anything behind it. */
    const unsigned long long believed = guess > 1024 * 1024 ? guess : 1024 * 1024;
    capacity = capacity < believed ? capacity : believed;
    return capacity <= max_bytes ? (size_t)capacity : max_bytes + 1;
}

static const char *zstd_unpack(struct bytes packed, size_t max_bytes, struct arena *arena,
                               struct bytes *out)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (context == NULL) {
        memory_exhausted(sizeof context);
    }
    const char *problem = NULL;
    size_t capacity = zstd_first_capacity(packed, max_bytes);
    ZSTD_outBuffer content = {arena_alloc_wide(arena, capacity), capacity, 0};
    ZSTD_inBuffer from = {packed.data, packed.size, 0};
    size_t left = 1;
    while (problem == NULL && left != 0) {
        left = ZSTD_decompressStream(context, &content, &from);
        if (ZSTD_isError(left)) {
            problem = text_broken;
        } else if (content.pos > max_bytes) {
            problem = text_too_large;
        } else if (left != 0 && content.pos == content.size) {
            size_t grown = content.size > max_bytes / 2 ? max_bytes + 1 : content.size * 2 + 1;
            void *moved = arena_alloc_wide(arena, grown);
            memcpy(moved, content.dst, content.pos);
            content.dst = moved;
            content.size = grown;
        } else if (left != 0 && from.pos == from.size) {
            problem = text_cut;
        }
    }
    if (problem == NULL && from.pos != from.size) {
        problem = text_broken;
    }
    ZSTD_freeDCtx(context);
    *out = bytes_of(content.dst, content.pos);
    return problem;
}

const char *compression_unpack(enum compression compression, struct bytes packed, size_t max_bytes,
                               struct arena *arena, struct bytes *out)
{
    check(compression == COMPRESSION_LZ4 || compression == COMPRESSION_ZSTD);
    return compression == COMPRESSION_LZ4 ? lz4_unpack(packed, max_bytes, arena, out)
                                          : zstd_unpack(packed, max_bytes, arena, out);
}

bool compression_content_size(enum compression compression, struct bytes head, uint64_t *out)
{
    if (compression == COMPRESSION_ZSTD) {
        unsigned long long size = ZSTD_getFrameContentSize(head.data, head.size);
        *out = size;
        return size != ZSTD_CONTENTSIZE_UNKNOWN && size != ZSTD_CONTENTSIZE_ERROR;
    }
    /* An lz4 frame: magic, flags (bit 3: with content size), block descriptor, u64 size. */
    enum { AT_FLAGS = 4, AT_SIZE = 6, HAS_SIZE = 8 };
    if (compression != COMPRESSION_LZ4 || head.size < AT_SIZE + sizeof *out ||
        (head.data[AT_FLAGS] & HAS_SIZE) == 0) {
        return false;
    }
    memcpy(out, head.data + AT_SIZE, sizeof *out);
    return true;
}
