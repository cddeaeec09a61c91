#include "os/pages.h"

#include <stdint.h>
#include <sys/mman.h>

#define PAGE_BYTES ((uintptr_t)4096)

void pages_populate(void *data, size_t size_bytes)
{
    uintptr_t begin = ((uintptr_t)data + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
    uintptr_t end = ((uintptr_t)data + size_bytes) & ~(PAGE_BYTES - 1);
#ifdef MADV_POPULATE_WRITE
    if (begin < end) {
        int ignored = madvise((void *)begin, end - begin, MADV_POPULATE_WRITE);
        (void)ignored; /* Kernels before 5.14 do not know it. */
    }
#else
    (void)begin;
    (void)end;
#endif
}
