#include "os/pages.h"

#include <stdint.h>
#include <sys/mman.h>

#include "base/memory.h"
#include "base/status.h"

#define PAGE_BYTES ((uintptr_t)4096)
/* From here on there is something to gain by large pages, and little to lose at the end. */
#define LARGE_BYTES ((size_t)4 * 1024 * 1024)

static void advise(void *data, size_t size_bytes, int advice)
{
    int ignored = madvise(data, size_bytes, advice);
    (void)ignored; /* Old kernels do not know it, or are built without it. */
}

void pages_populate(void *data, size_t size_bytes)
{
    uintptr_t begin = ((uintptr_t)data + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
    uintptr_t end = ((uintptr_t)data + size_bytes) & ~(PAGE_BYTES - 1);
#ifdef MADV_POPULATE_WRITE
    if (begin < end) {
        advise((void *)begin, end - begin, MADV_POPULATE_WRITE);
    }
#else
    (void)begin;
    (void)end;
#endif
}

/* What was just mapped of `data`, behind its first `old_bytes`. */
static void *prepare(void *data, size_t old_bytes, size_t new_bytes)
{
#ifdef MADV_HUGEPAGE
    if (new_bytes >= LARGE_BYTES) {
        advise(data, new_bytes, MADV_HUGEPAGE);
    }
#endif
    pages_populate((uint8_t *)data + old_bytes, new_bytes - old_bytes);
    return data;
}

static void *map(size_t size_bytes)
{
    check(size_bytes > 0);
    void *data =
        mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        memory_exhausted(size_bytes);
    }
    return data;
}

void *pages_alloc(size_t size_bytes)
{
    return prepare(map(size_bytes), 0, size_bytes);
}

void *pages_reserve(size_t size_bytes)
{
    void *data = map(size_bytes);
#ifdef MADV_HUGEPAGE
    advise(data, size_bytes, MADV_HUGEPAGE);
#endif
    return data;
}

void *pages_grow(void *data, size_t old_bytes, size_t new_bytes)
{
    check(old_bytes < new_bytes);
    void *grown = mremap(data, old_bytes, new_bytes, MREMAP_MAYMOVE);
    if (grown == MAP_FAILED) {
        memory_exhausted(new_bytes);
    }
    return prepare(grown, old_bytes, new_bytes);
}

void pages_free(void *data, size_t size_bytes)
{
    if (data != NULL) {
        check(munmap(data, size_bytes) == 0);
    }
}
