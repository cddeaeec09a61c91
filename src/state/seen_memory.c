#include "state/seen_memory.h"

#include <string.h>

#include "os/pages.h"
#include "state/store_private.h"

enum {
    DEPTH_MAX = 31,
    SPILL_FIRST = 16,
    BLOCKS_SMALL = 6, /* 36 MiB: a large page more is 6 % */
    LARGE_PAGE_CHUNKS = SEEN_BLOCK_CHUNKS / 3,
};

static enum status refuse(const struct seen_table *table, uint64_t bytes, struct error *err)
{
    return state_budget_refuse(table->budget, bytes, "dedup", "shorten the dedup window", err);
}

static enum status take_bytes(struct seen_table *table, uint64_t bytes, struct error *err)
{
    return state_budget_take(table->budget, bytes) ? STATUS_OK : refuse(table, bytes, err);
}

/* --- chunks --- */

/* Small blocks grow as the table does, to be no larger than it needs; later ones are whole from the
 * beginning and get their memory a large page at a time. */
static bool is_whole(uint32_t block)
{
    return block >= BLOCKS_SMALL;
}

static size_t block_bytes(const struct seen_table *table, uint32_t block)
{
    uint32_t chunks = table->chunk_size - block * SEEN_BLOCK_CHUNKS;
    return (is_whole(block) || chunks > SEEN_BLOCK_CHUNKS ? SEEN_BLOCK_CHUNKS : chunks) *
           sizeof(struct seen_chunk);
}

static void add_block(struct seen_table *table, uint32_t block, uint32_t chunks)
{
    if (block == table->block_size) {
        table->block_size = block < 8 ? 8 : block * 2;
        table->blocks =
            memory_realloc(table->blocks, size_mul(table->block_size, sizeof *table->blocks));
    }
    table->blocks[block] = is_whole(block)
                               ? pages_reserve(SEEN_BLOCK_CHUNKS * sizeof(struct seen_chunk))
                               : pages_alloc(chunks * sizeof(struct seen_chunk));
}

static void extend_block(struct seen_table *table, uint32_t block, uint32_t before, uint32_t after)
{
    if (before == 0) {
        add_block(table, block, after);
    } else if (!is_whole(block)) {
        table->blocks[block] =
            pages_grow(table->blocks[block], before * sizeof(struct seen_chunk),
                       after * sizeof(struct seen_chunk));
    }
    if (is_whole(block)) {
        pages_populate(table->blocks[block] + before,
                       (after - before) * sizeof(struct seen_chunk));
    }
}

/* The last block gets as large as it may, then the next one begins. */
static void add_chunks(struct seen_table *table, uint32_t count)
{
    while (count > 0) {
        uint32_t before = table->chunk_size % SEEN_BLOCK_CHUNKS;
        uint32_t after = SEEN_BLOCK_CHUNKS - before < count ? SEEN_BLOCK_CHUNKS : before + count;
        extend_block(table, table->chunk_size / SEEN_BLOCK_CHUNKS, before, after);
        table->chunk_size += after - before;
        count -= after - before;
    }
}

/* More than is asked for, so that memory comes in whole pages and seldom. */
static uint64_t step_for(const struct seen_table *table, uint64_t needed)
{
    uint64_t step = table->chunk_size / 32;
    step = step > needed ? step : needed;
    uint64_t size = table->chunk_size + step;
    if (is_whole(table->chunk_size / SEEN_BLOCK_CHUNKS)) {
        uint64_t left = SEEN_BLOCK_CHUNKS - table->chunk_size % SEEN_BLOCK_CHUNKS;
        uint64_t page = left < 2 * LARGE_PAGE_CHUNKS ? left : LARGE_PAGE_CHUNKS;
        return step > page ? step : page;
    }
    /* Four chunks are three pages. */
    return size <= 2 ? step : (size + 3) / 4 * 4 - table->chunk_size;
}

enum status seen_room_for_chunks(struct seen_table *table, uint64_t count, struct error *err)
{
    uint64_t there = table->chunk_size - table->chunk_count;
    if (count <= there) {
        return STATUS_OK;
    }
    uint64_t needed = count - there;
    uint64_t step = step_for(table, needed);
    if (step > UINT32_MAX - table->chunk_size) {
        return refuse(table, step > UINT64_MAX / sizeof(struct seen_chunk)
                                 ? UINT64_MAX
                                 : step * sizeof(struct seen_chunk), err);
    }
    if (!state_budget_take(table->budget, step * sizeof(struct seen_chunk))) {
        step = needed;
        enum status status = take_bytes(table, step * sizeof(struct seen_chunk), err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    add_chunks(table, (uint32_t)step);
    return STATUS_OK;
}

uint32_t seen_take_chunk(struct seen_table *table)
{
    check(table->chunk_count < table->chunk_size);
    return table->chunk_count++;
}

/* --- segments and their directory --- */

enum status seen_room_for_segments(struct seen_table *table, uint64_t count, struct error *err)
{
    if (count <= table->segment_size - table->segment_count) {
        return STATUS_OK;
    }
    uint64_t size = table->segment_count + count;
    size = size > table->segment_size / 4 * 5 ? size : table->segment_size / 4 * 5;
    uint64_t old_bytes = table->segment_size * sizeof *table->segments;
    uint64_t bytes = size * sizeof *table->segments;
    enum status status =
        size > UINT32_MAX ? refuse(table, bytes, err) : take_bytes(table, bytes - old_bytes, err);
    if (status == STATUS_OK) {
        table->segments = table->segments == NULL
                              ? pages_alloc(bytes)
                              : pages_grow(table->segments, old_bytes, bytes);
        table->segment_size = (uint32_t)size;
    }
    return status;
}

struct seen_segment *seen_take_segment(struct seen_table *table)
{
    check(table->segment_count < table->segment_size);
    return &table->segments[table->segment_count++];
}

static uint64_t directory_bytes(uint32_t depth)
{
    return (UINT64_C(1) << depth) * sizeof(uint32_t);
}

enum status seen_directory_deepen(struct seen_table *table, uint32_t depth, struct error *err)
{
    uint64_t old_bytes = table->directory == NULL ? 0 : directory_bytes(table->depth);
    if (depth > DEPTH_MAX) {
        return refuse(table, directory_bytes(DEPTH_MAX + 1), err);
    }
    enum status status = take_bytes(table, directory_bytes(depth) - old_bytes, err);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t *directory = memory_alloc_zero(UINT64_C(1) << depth, sizeof *directory);
    for (size_t i = 0; table->directory != NULL && i < (size_t)1 << depth; i++) {
        directory[i] = table->directory[i >> (depth - table->depth)];
    }
    memory_free(table->directory);
    table->directory = directory;
    table->depth = depth;
    return STATUS_OK;
}

/* --- spilled entries --- */

enum status seen_room_for_spilled(struct seen_table *table, uint64_t count, struct error *err)
{
    struct seen_spill *spill = &table->spill;
    size_t there = spill->size - spill->used + spill->free_count;
    if (count <= there) {
        return STATUS_OK;
    }
    uint64_t step = count - there;
    step = step > spill->size / 2 ? step : spill->size / 2;
    step = step > SPILL_FIRST ? step : SPILL_FIRST;
    enum status status = take_bytes(table, step * sizeof *spill->entries, err);
    if (status == STATUS_OK) {
        spill->size += step;
        spill->entries =
            memory_realloc(spill->entries, size_mul(spill->size, sizeof *spill->entries));
    }
    return status;
}

size_t seen_take_spilled(struct seen_table *table)
{
    struct seen_spill *spill = &table->spill;
    if (spill->free_count == 0) {
        check(spill->used < spill->size);
        return spill->used++;
    }
    size_t place = spill->free;
    spill->free = (size_t)spill->entries[place].offset;
    spill->free_count--;
    return place;
}

void seen_give_spilled(struct seen_table *table, size_t place)
{
    struct seen_spill *spill = &table->spill;
    spill->entries[place].offset = (int64_t)spill->free;
    spill->free = place;
    spill->free_count++;
}

void seen_memory_fini(struct seen_table *table)
{
    for (uint32_t block = 0; (uint64_t)block * SEEN_BLOCK_CHUNKS < table->chunk_size; block++) {
        pages_free(table->blocks[block], block_bytes(table, block));
    }
    uint64_t bytes = table->chunk_size * sizeof(struct seen_chunk) +
                     table->segment_size * sizeof *table->segments +
                     table->spill.size * sizeof *table->spill.entries;
    if (table->directory != NULL) {
        bytes += directory_bytes(table->depth);
    }
    pages_free(table->segments, table->segment_size * sizeof *table->segments);
    memory_free(table->blocks);
    memory_free(table->directory);
    memory_free(table->spill.entries);
    state_budget_give(table->budget, bytes);
}
