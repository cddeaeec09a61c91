#include "base/memory.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_HAS_ASAN 1
#endif
#endif

#ifdef MEMORY_HAS_ASAN
#include <sanitizer/asan_interface.h>
/* Poisoned bytes between two allocations, so that a small overrun is seen. */
enum { ARENA_GAP_BYTES = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
enum { ARENA_GAP_BYTES = 0 };
#endif

enum {
    ARENA_ALIGN_BYTES = 16,
    ARENA_WIDE_ALIGN_BYTES = 64,
    ARENA_WIDE_TAIL_BYTES = 64,
    CHUNK_HEAD_BYTES = 64,
    CHUNK_MIN_BYTES = 256,
    BUFFER_MIN_BYTES = 64,
};

/* Stands at the head of its own memory, which is aligned to 64 bytes. */
struct chunk {
    struct chunk *next;
    size_t capacity; /* of the bytes behind the head */
    size_t used;
};

_Static_assert(sizeof(struct chunk) <= CHUNK_HEAD_BYTES, "the head of a chunk has its room");

struct release_hook {
    struct release_hook *next;
    void (*release)(void *context);
    void *context;
};

struct arena {
    struct chunk *chunks;       /* in use; allocations come from the first */
    struct chunk *spare;        /* kept by a reset */
    struct release_hook *hooks; /* newest first; they live in the arena */
    size_t chunk_bytes;
    size_t held_bytes;
};

void memory_exhausted(size_t size)
{
    /* No stdio: it may allocate. */
    char text[96] = "weir: out of memory (an allocation of ";
    size_t length = strlen(text);
    char digits[24];
    size_t digit_count = 0;
    do {
        digits[digit_count++] = (char)('0' + size % 10);
        size /= 10;
    } while (size > 0);
    while (digit_count > 0) {
        text[length++] = digits[--digit_count];
    }
    static const char tail[] = " bytes failed)\n";
    memcpy(text + length, tail, sizeof tail - 1);
    length += sizeof tail - 1;
    ssize_t written = write(STDERR_FILENO, text, length);
    (void)written; /* The exit status says it as well. */
    _exit(3);
}

void memory_keep_freed(size_t bytes)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, (int)bytes);
    (void)mallopt(M_TRIM_THRESHOLD, (int)bytes);
#else
    (void)bytes;
#endif
}

void *memory_alloc(size_t size)
{
    void *memory = size <= PTRDIFF_MAX ? malloc(size == 0 ? 1 : size) : NULL;
    if (memory == NULL) {
        memory_exhausted(size);
    }
    return memory;
}

void *memory_alloc_zero(size_t count, size_t size)
{
    size_t total = size_mul(count, size);
    void *memory = total <= PTRDIFF_MAX ? calloc(1, total == 0 ? 1 : total) : NULL;
    if (memory == NULL) {
        memory_exhausted(total);
    }
    return memory;
}

void *memory_realloc(void *old, size_t size)
{
    void *memory = size <= PTRDIFF_MAX ? realloc(old, size == 0 ? 1 : size) : NULL;
    if (memory == NULL) {
        memory_exhausted(size);
    }
    return memory;
}

void memory_free(void *pointer)
{
    free(pointer);
}

char *memory_copy_string(const char *string)
{
    size_t size = strlen(string) + 1;
    return memcpy(memory_alloc(size), string, size);
}

static size_t format_length(const char *format, va_list arguments)
{
    check(format != NULL);
    int length = vsnprintf(NULL, 0, format, arguments);
    check(length >= 0);
    return (size_t)length;
}

static uint8_t *chunk_data(struct chunk *chunk)
{
    return (uint8_t *)chunk + CHUNK_HEAD_BYTES;
}

static size_t size_round_up(size_t size, size_t align)
{
    return size_add(size, align - 1) & ~(align - 1);
}

static struct chunk *chunk_new(size_t capacity)
{
    size_t total = size_round_up(size_add(capacity, CHUNK_HEAD_BYTES), CHUNK_HEAD_BYTES);
    struct chunk *chunk =
        total <= PTRDIFF_MAX ? aligned_alloc(ARENA_WIDE_ALIGN_BYTES, total) : NULL;
    if (chunk == NULL) {
        memory_exhausted(total);
    }
    chunk->next = NULL;
    chunk->capacity = total - CHUNK_HEAD_BYTES;
    chunk->used = 0;
    ASAN_POISON_MEMORY_REGION(chunk_data(chunk), chunk->capacity);
    return chunk;
}

static void chunk_free(struct arena *arena, struct chunk *chunk)
{
    arena->held_bytes -= CHUNK_HEAD_BYTES + chunk->capacity;
    ASAN_UNPOISON_MEMORY_REGION(chunk_data(chunk), chunk->capacity);
    free(chunk);
}

static void chunks_free(struct arena *arena, struct chunk **list)
{
    while (*list != NULL) {
        struct chunk *chunk = *list;
        *list = chunk->next;
        chunk_free(arena, chunk);
    }
}

struct arena *arena_new(size_t chunk_bytes)
{
    struct arena *arena = memory_alloc_zero(1, sizeof *arena);
    arena->chunk_bytes = size_round_up(
        chunk_bytes < CHUNK_MIN_BYTES ? CHUNK_MIN_BYTES : chunk_bytes, CHUNK_HEAD_BYTES);
    return arena;
}

static void hooks_run(struct arena *arena)
{
    while (arena->hooks != NULL) {
        struct release_hook hook = *arena->hooks;
        arena->hooks = hook.next;
        hook.release(hook.context);
    }
}

void arena_free(struct arena *arena)
{
    if (arena == NULL) {
        return;
    }
    hooks_run(arena);
    chunks_free(arena, &arena->chunks);
    chunks_free(arena, &arena->spare);
    memory_free(arena);
}

void arena_reset(struct arena *arena, size_t keep_bytes)
{
    hooks_run(arena);
    struct chunk *lists[] = {arena->chunks, arena->spare};
    arena->chunks = NULL;
    arena->spare = NULL;
    size_t kept_bytes = 0;
    for (size_t i = 0; i < 2; i++) {
        for (struct chunk *chunk = lists[i], *next; chunk != NULL; chunk = next) {
            next = chunk->next;
            size_t chunk_bytes = CHUNK_HEAD_BYTES + chunk->capacity;
            if (chunk_bytes > keep_bytes - kept_bytes) {
                chunk_free(arena, chunk);
                continue;
            }
            kept_bytes += chunk_bytes;
            chunk->used = 0;
            ASAN_POISON_MEMORY_REGION(chunk_data(chunk), chunk->capacity);
            chunk->next = arena->spare;
            arena->spare = chunk;
        }
    }
}

/* Takes the smallest spare chunk that is large enough, or NULL. */
static struct chunk *spare_take(struct arena *arena, size_t size)
{
    struct chunk **best = NULL;
    for (struct chunk **link = &arena->spare; *link != NULL; link = &(*link)->next) {
        if ((*link)->capacity < size || (best != NULL && (*link)->capacity >= (*best)->capacity)) {
            continue;
        }
        best = link;
        if ((*link)->capacity == arena->chunk_bytes) {
            break; /* The usual size: good enough, and no long walks. */
        }
    }
    if (best == NULL) {
        return NULL;
    }
    struct chunk *chunk = *best;
    *best = chunk->next;
    return chunk;
}

/* A chunk with `size` free bytes at its start, in the list of the arena. */
static struct chunk *chunk_get(struct arena *arena, size_t size)
{
    struct chunk *chunk = spare_take(arena, size);
    if (chunk == NULL) {
        chunk = chunk_new(size > arena->chunk_bytes ? size : arena->chunk_bytes);
        arena->held_bytes += CHUNK_HEAD_BYTES + chunk->capacity;
    }
    struct chunk *first = arena->chunks;
    /* The chunk with more room left stays first, so that a large request does not end the use of
     * a chunk that is half empty. */
    if (first != NULL && first->capacity - first->used > chunk->capacity - size) {
        chunk->next = first->next;
        first->next = chunk;
    } else {
        chunk->next = first;
        arena->chunks = chunk;
    }
    return chunk;
}

/* `align` is 16 or 64; `tail` bytes behind the size stay readable. */
static inline void *arena_take(struct arena *arena, size_t size, size_t align, size_t tail)
{
    if (size > PTRDIFF_MAX / 2) {
        memory_exhausted(size);
    }
    size_t readable = size + tail;
    /* Nothing is given twice, also when its size is 0. */
    size_t need = (readable == 0 ? 1 : readable) + ARENA_GAP_BYTES;
    need = (need + ARENA_ALIGN_BYTES - 1) & ~(size_t)(ARENA_ALIGN_BYTES - 1);
    struct chunk *chunk = arena->chunks;
    size_t start = 0;
    if (chunk != NULL) {
        start = (chunk->used + align - 1) & ~(align - 1);
    }
    if (chunk == NULL || start > chunk->capacity || chunk->capacity - start < need) {
        chunk = chunk_get(arena, need);
        start = 0;
    }
    chunk->used = start + need;
    uint8_t *memory = chunk_data(chunk) + start;
    ASAN_UNPOISON_MEMORY_REGION(memory, readable);
    return memory;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    return arena_take(arena, size, ARENA_ALIGN_BYTES, 0);
}

void *arena_alloc_wide(struct arena *arena, size_t size)
{
    return arena_take(arena, size, ARENA_WIDE_ALIGN_BYTES, ARENA_WIDE_TAIL_BYTES);
}

void *arena_alloc_zero(struct arena *arena, size_t count, size_t size)
{
    size_t total = size_mul(count, size);
    return memset(arena_alloc(arena, total), 0, total);
}

char *arena_copy(struct arena *arena, const void *data, size_t size)
{
    char *copy = arena_alloc(arena, size_add(size, 1));
    if (size > 0) {
        memcpy(copy, data, size);
    }
    copy[size] = '\0';
    return copy;
}

char *arena_copy_string(struct arena *arena, const char *string)
{
    return arena_copy(arena, string, strlen(string));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t length = format_length(format, arguments);
    va_end(arguments);
    char *text = arena_alloc(arena, length + 1);
    va_start(arguments, format);
    vsnprintf(text, length + 1, format, arguments);
    va_end(arguments);
    return text;
}

void arena_on_release(struct arena *arena, void (*release)(void *context), void *context)
{
    struct release_hook *hook = arena_alloc(arena, sizeof *hook);
    *hook = (struct release_hook){arena->hooks, release, context};
    arena->hooks = hook;
}

size_t arena_size(const struct arena *arena)
{
    return arena->held_bytes;
}

void buffer_fini(struct buffer *buffer)
{
    memory_free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}

void buffer_grow(struct buffer *buffer, size_t extra)
{
    size_t need = size_add(buffer->size, extra);
    size_t capacity = buffer->capacity > SIZE_MAX / 2 ? SIZE_MAX : buffer->capacity * 2;
    if (capacity < need) {
        capacity = need;
    }
    if (capacity < BUFFER_MIN_BYTES) {
        capacity = BUFFER_MIN_BYTES;
    }
    buffer->data = memory_realloc(buffer->data, capacity);
    buffer->capacity = capacity;
}

void buffer_append_string(struct buffer *buffer, const char *string)
{
    buffer_append(buffer, string, strlen(string));
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    /* Mostly it fits at once. */
    enum { USUAL_BYTES = 64 };
    va_list arguments;
    char *at = (char *)buffer_reserve(buffer, USUAL_BYTES);
    size_t room = buffer->capacity - buffer->size;
    va_start(arguments, format);
    int length = vsnprintf(at, room, format, arguments);
    va_end(arguments);
    check(length >= 0);
    if ((size_t)length >= room) {
        at = (char *)buffer_reserve(buffer, size_add((size_t)length, 1));
        va_start(arguments, format);
        vsnprintf(at, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    buffer->size += (size_t)length;
}

char *buffer_string(struct buffer *buffer)
{
    *buffer_reserve(buffer, 1) = '\0';
    return (char *)buffer->data;
}

void buffer_append_sized(struct buffer *buffer, const void *data, size_t size)
{
    /* A format cannot say more than 32 bits; the limits of the callers are far below. */
    check(size <= UINT32_MAX);
    buffer_reserve(buffer, size_add(size, 4));
    buffer_append_u32(buffer, (uint32_t)size);
    buffer_append(buffer, data, size);
}
