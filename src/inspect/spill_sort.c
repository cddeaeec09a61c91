#include "inspect/spill_sort.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "os/spill.h"

#define PAIR_BYTES sizeof(struct hash_pair)
#define READ_PAIRS_LEAST ((size_t)4096 / PAIR_BYTES)

_Static_assert(sizeof(struct hash_pair) == 32, "pairs stand in the file without padding");

/* A sorted stretch of the file, and what of it is in memory. */
struct run {
    int64_t offset, end_offset; /* of what was not read yet */
    struct hash_pair *pairs;
    size_t at, count;
};

struct spill_sort {
    const char *folder;
    size_t most; /* pairs in memory */
    struct hash_pair *pairs;
    size_t count, capacity, at;
    struct spill *spill; /* NULL: all is in memory */
    struct run *runs;
    uint32_t run_count;
    size_t read_pairs; /* of a run at once */
    uint32_t *heap;    /* runs that are not at their end, the least pair first */
    uint32_t heap_count;
};

int hash_pair_compare(const struct hash_pair *a, const struct hash_pair *b)
{
    const uint64_t left[] = {a->key.high, a->key.low, a->content.high, a->content.low};
    const uint64_t right[] = {b->key.high, b->key.low, b->content.high, b->content.low};
    for (int i = 0; i < 4; i++) {
        if (left[i] != right[i]) {
            return left[i] < right[i] ? -1 : 1;
        }
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    return hash_pair_compare(a, b);
}

struct spill_sort *spill_sort_new(size_t memory_bytes, const char *folder)
{
    struct spill_sort *sort = memory_alloc_zero(1, sizeof *sort);
    sort->folder = folder;
    sort->most = memory_bytes / PAIR_BYTES > 0 ? memory_bytes / PAIR_BYTES : 1;
    return sort;
}

void spill_sort_free(struct spill_sort *sort)
{
    if (sort == NULL) {
        return;
    }
    for (uint32_t i = 0; i < sort->run_count; i++) {
        memory_free(sort->runs[i].pairs);
    }
    memory_free(sort->runs);
    memory_free(sort->heap);
    memory_free(sort->pairs);
    spill_close(sort->spill);
    memory_free(sort);
}

static void sort_pairs(struct spill_sort *sort)
{
    if (sort->count > 0) {
        qsort(sort->pairs, sort->count, PAIR_BYTES, compare);
    }
}

static enum status spill_run(struct spill_sort *sort, struct error *err)
{
    enum status status =
        sort->spill == NULL ? spill_open(sort->folder, &sort->spill, err) : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    sort_pairs(sort);
    struct run run = {.offset = spill_size(sort->spill)};
    status = spill_append(sort->spill, bytes_of(sort->pairs, size_mul(sort->count, PAIR_BYTES)),
                          err);
    if (status == STATUS_OK) {
        run.end_offset = spill_size(sort->spill);
        sort->runs = memory_realloc(sort->runs, size_mul(sort->run_count + 1, sizeof run));
        sort->runs[sort->run_count++] = run;
        sort->count = 0;
    }
    return status;
}

enum status spill_sort_add(struct spill_sort *sort, const struct hash_pair *pair,
                           struct error *err)
{
    enum status status = STATUS_OK;
    if (sort->count == sort->most) {
        status = spill_run(sort, err);
    }
    if (sort->count == sort->capacity) {
        sort->capacity = sort->capacity == 0 ? 1024 : 2 * sort->capacity;
        sort->capacity = sort->capacity < sort->most ? sort->capacity : sort->most;
        sort->pairs = memory_realloc(sort->pairs, size_mul(sort->capacity, PAIR_BYTES));
    }
    if (status == STATUS_OK) {
        sort->pairs[sort->count++] = *pair;
    }
    return status;
}

/* --- merging --- */

/* The next stretch of a run into memory; none at its end. */
static enum status fill_run(struct spill_sort *sort, struct run *run, struct error *err)
{
    size_t left = (size_t)(run->end_offset - run->offset) / PAIR_BYTES;
    run->at = 0;
    run->count = left < sort->read_pairs ? left : sort->read_pairs;
    if (run->count == 0) {
        return STATUS_OK;
    }
    size_t size = run->count * PAIR_BYTES;
    enum status status = spill_read_at(sort->spill, run->offset, run->pairs, size, err);
    run->offset += (int64_t)size;
    return status;
}

static bool is_before(const struct spill_sort *sort, uint32_t a, uint32_t b)
{
    const struct run *left = &sort->runs[a];
    const struct run *right = &sort->runs[b];
    return hash_pair_compare(&left->pairs[left->at], &right->pairs[right->at]) < 0;
}

static void sink_down(struct spill_sort *sort, uint32_t at)
{
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < sort->heap_count;
             child++) {
            least = is_before(sort, sort->heap[child], sort->heap[least]) ? child : least;
        }
        if (least == at) {
            return;
        }
        uint32_t moved = sort->heap[at];
        sort->heap[at] = sort->heap[least];
        sort->heap[least] = moved;
        at = least;
    }
}

enum status spill_sort_begin(struct spill_sort *sort, struct error *err)
{
    if (sort->spill == NULL) {
        sort_pairs(sort);
        return STATUS_OK;
    }
    enum status status = sort->count > 0 ? spill_run(sort, err) : STATUS_OK;
    memory_free(sort->pairs);
    sort->pairs = NULL;
    sort->capacity = 0;
    size_t share = sort->most / sort->run_count;
    sort->read_pairs = share > READ_PAIRS_LEAST ? share : READ_PAIRS_LEAST;
    sort->heap = memory_alloc_zero(sort->run_count, sizeof *sort->heap);
    for (uint32_t i = 0; i < sort->run_count && status == STATUS_OK; i++) {
        sort->runs[i].pairs = memory_alloc(size_mul(sort->read_pairs, PAIR_BYTES));
        status = fill_run(sort, &sort->runs[i], err);
        sort->heap[sort->heap_count++] = i;
    }
    for (uint32_t i = sort->heap_count / 2; i > 0 && status == STATUS_OK; i--) {
        sink_down(sort, i - 1);
    }
    return status;
}

enum status spill_sort_next(struct spill_sort *sort, struct hash_pair *out, bool *out_found,
                            struct error *err)
{
    enum status status = STATUS_OK;
    if (sort->spill == NULL) {
        *out_found = sort->at < sort->count;
        if (*out_found) {
            *out = sort->pairs[sort->at++];
        }
        return STATUS_OK;
    }
    *out_found = sort->heap_count > 0;
    if (!*out_found) {
        return STATUS_OK;
    }
    struct run *run = &sort->runs[sort->heap[0]];
    *out = run->pairs[run->at++];
    if (run->at == run->count) {
        status = fill_run(sort, run, err);
    }
    if (run->count == 0) {
        sort->heap[0] = sort->heap[--sort->heap_count];
    }
    if (status == STATUS_OK && sort->heap_count > 0) {
        sink_down(sort, 0);
    }
    return status;
}
