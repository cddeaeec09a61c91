/*
 * Memory: allocation that cannot fail, arenas, and growing byte buffers.
 *
 * All allocations of weir's own code go through here. When there is no memory the process prints
 * one line and exits with 3 (see status.h for why that is safe).
 *
 * An ARENA frees everything at once: one per batch, per plan, per epoch. Memory from arena_alloc()
 * lives until arena_reset() or arena_free(). A reset keeps up to `keep_bytes` of chunks for reuse;
 * sanitizer builds poison them. Foreign handles (a statement, a mapped file) register a release
 * hook that runs, newest first, at reset and free.
 *
 * A BUFFER is a growing array of bytes that owns its memory.
 *
 * Threads: an arena or buffer belongs to one thread at a time.
 */
#ifndef WEIR_BASE_MEMORY_H
#define WEIR_BASE_MEMORY_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

/* Never NULL. `size` may be 0. Free with memory_free(). */
void *memory_alloc(size_t size) __attribute__((malloc, returns_nonnull));
/* Zeroed; count * size is checked for overflow. */
void *memory_alloc_zero(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *memory_realloc(void *old, size_t size) __attribute__((returns_nonnull));
/* Takes NULL. */
void memory_free(void *pointer);
char *memory_copy_string(const char *string) __attribute__((returns_nonnull));

/* Ends the process: "out of memory" on stderr, exit status 3. */
_Noreturn void memory_exhausted(size_t size);
/* Up to `bytes` of what is freed stay with the process, per heap, and allocations up to that size come
 * from there: for who needs large buffers again and again, whose pages would else be fetched from the
 * system each time. To be called before there are threads. A hint. */
void memory_keep_freed(size_t bytes);

/* a * b and a + b, ending the process on overflow: for sizes only. */
static inline size_t size_mul(size_t a, size_t b)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product)) {
        memory_exhausted(SIZE_MAX);
    }
    return product;
}
static inline size_t size_add(size_t a, size_t b)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum)) {
        memory_exhausted(SIZE_MAX);
    }
    return sum;
}

struct arena;

/* `chunk_bytes` is the usual size of a chunk; larger requests get a chunk of their own. */
struct arena *arena_new(size_t chunk_bytes);
/* Takes NULL. Runs the release hooks. */
void arena_free(struct arena *arena);
/* Runs the release hooks, then forgets all memory; keeps at most keep_bytes for reuse. */
void arena_reset(struct arena *arena, size_t keep_bytes);

/* Aligned to 16 bytes; contents undefined. Never NULL. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));
/* Aligned to 64 bytes, with at least 64 readable bytes behind the end (vector loads). */
void *arena_alloc_wide(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));
void *arena_alloc_zero(struct arena *arena, size_t count, size_t size)
    __attribute__((malloc, returns_nonnull));
/* A copy with a NUL behind it. */
char *arena_copy(struct arena *arena, const void *data, size_t size)
    __attribute__((returns_nonnull));
char *arena_copy_string(struct arena *arena, const char *string) __attribute__((returns_nonnull));
char *arena_printf(struct arena *arena, const char *format, ...) WEIR_PRINTF(2, 3)
    __attribute__((returns_nonnull));
/* `release(context)` runs at the next reset or free. */
void arena_on_release(struct arena *arena, void (*release)(void *context), void *context);
/* Bytes held from the system. */
size_t arena_size(const struct arena *arena);

/* Zero-initialise: `struct buffer b = {0};`. `data` may move at every append. */
struct buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

void buffer_fini(struct buffer *buffer);
/* Keeps the memory, size becomes 0. */
void buffer_clear(struct buffer *buffer);
/* What buffer_reserve() does when there is no room. */
void buffer_grow(struct buffer *buffer, size_t extra);
/* Makes room for `extra` more bytes and returns the place behind the last byte; the caller writes
 * there and adds to size. This and the appends of few bytes are inline: rows on their way out are
 * written with them. */
static inline __attribute__((returns_nonnull)) uint8_t *buffer_reserve(struct buffer *buffer,
                                                                       size_t extra)
{
    if (buffer->data == NULL || buffer->capacity - buffer->size < extra) {
        buffer_grow(buffer, extra);
    }
    return buffer->data + buffer->size;
}
static inline void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    uint8_t *at = buffer_reserve(buffer, size);
    if (size > 0) {
        memcpy(at, data, size);
        buffer->size += size;
    }
}
static inline void buffer_append_byte(struct buffer *buffer, uint8_t byte)
{
    *buffer_reserve(buffer, 1) = byte;
    buffer->size++;
}
void buffer_append_string(struct buffer *buffer, const char *string);
void buffer_printf(struct buffer *buffer, const char *format, ...) WEIR_PRINTF(2, 3);
/* Writes a NUL behind the last byte (not counted in size) and returns data. */
char *buffer_string(struct buffer *buffer) __attribute__((returns_nonnull));

/* Little-endian fixed-width integers, for formats. */
static inline void buffer_append_u8(struct buffer *buffer, uint8_t value)
{
    buffer_append_byte(buffer, value);
}
static inline void buffer_append_u16(struct buffer *buffer, uint16_t value)
{
    uint16_t stored = htole16(value);
    buffer_append(buffer, &stored, sizeof stored);
}
static inline void buffer_append_u32(struct buffer *buffer, uint32_t value)
{
    uint32_t stored = htole32(value);
    buffer_append(buffer, &stored, sizeof stored);
}
static inline void buffer_append_u64(struct buffer *buffer, uint64_t value)
{
    uint64_t stored = htole64(value);
    buffer_append(buffer, &stored, sizeof stored);
}
/* u32 size, then the bytes. */
void buffer_append_sized(struct buffer *buffer, const void *data, size_t size);

#endif
