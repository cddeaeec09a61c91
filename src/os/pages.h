/*
 * Pages: large memory straight from the system. It can grow without its content being copied, and
 * is given back whole.
 *
 * Where the system has large pages to give, large memory gets them: a table in which every access
 * goes to another page then costs no walk through the page tables. That is advice; where the system
 * does not take it, all is as before, only slower.
 *
 * As with all memory, there is no failure to handle: without any the process ends (base/memory.h).
 */
#ifndef WEIR_OS_PAGES_H
#define WEIR_OS_PAGES_H

#include <stddef.h>

/* Zeros, at the beginning of a page; all of it is there at once, not by a fault for each page when
 * it is first touched. `size_bytes` is not 0. Free with pages_free() and the same size. */
void *pages_alloc(size_t size_bytes) __attribute__((malloc, returns_nonnull));
/* Addresses for large pages, without memory: that comes with pages_populate(), or with the first touch.
 * Zeros. Free with pages_free(). */
void *pages_reserve(size_t size_bytes) __attribute__((malloc, returns_nonnull));
/* The same content at what may be another address, and zeros behind it: `new_bytes` is more than
 * `old_bytes`, and what stood between the two was never written to. */
void *pages_grow(void *data, size_t old_bytes, size_t new_bytes) __attribute__((returns_nonnull));
/* Takes NULL. */
void pages_free(void *data, size_t size_bytes);

/* Memory that was just allocated and will be written wholly gets its pages at once. */
void pages_populate(void *data, size_t size_bytes);

#endif
