#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/prng.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

/* Runs `run` in a child and gives what it wrote to stderr and its wait status. */
static int child_run(void (*run)(void), char *text, size_t text_size)
{
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_fds[1], STDERR_FILENO);
        run();
        _exit(0);
    }
    close(pipe_fds[1]);
    size_t size = 0;
    ssize_t got;
    while ((got = read(pipe_fds[0], text + size, text_size - 1 - size)) > 0) {
        size += (size_t)got;
    }
    text[size] = '\0';
    close(pipe_fds[0]);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static volatile size_t huge = SIZE_MAX / 2 + 10;

static void alloc_too_much(void)
{
    memory_free(memory_alloc(huge));
}
static void realloc_too_much(void)
{
    memory_free(memory_realloc(NULL, huge));
}
static void alloc_zero_overflow(void)
{
    memory_free(memory_alloc_zero(huge, 4));
}
static void add_overflow(void)
{
    size_add(huge, huge);
}
static void mul_overflow(void)
{
    size_mul(huge, 3);
}
static void arena_too_much(void)
{
    arena_alloc(arena_new(1000), huge);
}
static void arena_zero_overflow(void)
{
    arena_alloc_zero(arena_new(1000), huge, 16);
}
static void buffer_too_much(void)
{
    struct buffer buffer = {0};
    buffer_append_u8(&buffer, 1);
    buffer_reserve(&buffer, SIZE_MAX - 1 + (huge == 0));
}

static void exhaustion_ends_with_3(void **state)
{
    (void)state;
    void (*const runs[])(void) = {alloc_too_much,      realloc_too_much, alloc_zero_overflow,
                                  add_overflow,        mul_overflow,     arena_too_much,
                                  arena_zero_overflow, buffer_too_much};
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        char text[512];
        int status = child_run(runs[i], text, sizeof text);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 3);
        assert_non_null(strstr(text, "weir: out of memory"));
        assert_true(text[strlen(text) - 1] == '\n');
    }
}

static void plain_allocations(void **state)
{
    (void)state;
    void *none = memory_alloc(0);
    assert_non_null(none);
    memory_free(none);
    memory_free(NULL);
    uint8_t *zero = memory_alloc_zero(100, 7);
    for (size_t i = 0; i < 700; i++) {
        assert_int_equal(zero[i], 0);
    }
    zero[699] = 9;
    zero = memory_realloc(zero, 100000);
    assert_int_equal(zero[699], 9);
    memory_free(zero);
    char *copy = memory_copy_string("abc");
    assert_string_equal(copy, "abc");
    memory_free(copy);
    assert_int_equal(size_add(3, 4), 7);
    assert_int_equal(size_mul(3, 4), 12);
}

enum { ITEM_COUNT = 3000 };

/* Random sizes, each filled with a value of its own: all keep their contents, so none overlap. */
static void arena_items_do_not_overlap(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 1);
    struct arena *arena = arena_new(4096);
    static uint8_t *items[ITEM_COUNT];
    static size_t sizes[ITEM_COUNT];
    for (unsigned round = 0; round < 4; round++) {
        for (size_t i = 0; i < ITEM_COUNT; i++) {
            sizes[i] = prng_below(&prng, prng_below(&prng, 50) == 0 ? 20000 : 200);
            bool wide = prng_below(&prng, 3) == 0;
            items[i] = wide ? arena_alloc_wide(arena, sizes[i]) : arena_alloc(arena, sizes[i]);
            assert_int_equal((uintptr_t)items[i] % (wide ? 64 : 16), 0);
            memset(items[i], (int)(i & 0xFF), sizes[i] + (wide ? 64 : 0));
        }
        for (size_t i = 0; i < ITEM_COUNT; i++) {
            for (size_t at = 0; at < sizes[i]; at++) {
                assert_int_equal(items[i][at], i & 0xFF);
            }
            assert_true(i == 0 || items[i] != items[i - 1]);
        }
        arena_reset(arena, round * 100000);
        assert_true(arena_size(arena) <= round * 100000);
    }
    arena_free(arena);
    arena_free(NULL);
}

static void arena_reuses_what_it_keeps(void **state)
{
    (void)state;
    struct arena *arena = arena_new(10000);
    assert_int_equal(arena_size(arena), 0);
    size_t held = 0;
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 100; i++) {
            memset(arena_alloc(arena, 999), 1, 999);
        }
        memset(arena_alloc(arena, 500000), 1, 500000);
        if (round == 0) {
            held = arena_size(arena);
            assert_true(held >= 100 * 999 + 500000 && held < 2 * (100 * 999 + 500000));
        }
        assert_true(arena_size(arena) <= held + 10064);
        arena_reset(arena, SIZE_MAX);
    }
    arena_reset(arena, 50000);
    assert_true(arena_size(arena) <= 50000 && arena_size(arena) >= 30000);
    arena_reset(arena, 0);
    assert_int_equal(arena_size(arena), 0);
    assert_non_null(arena_alloc(arena, 1));
    arena_free(arena);
}

/* A large request must not end the use of a chunk that is nearly empty. */
static void arena_keeps_filling_after_large_requests(void **state)
{
    (void)state;
    struct arena *arena = arena_new(65536);
    for (unsigned i = 0; i < 100; i++) {
        arena_alloc(arena, 100);
        arena_alloc(arena, 100000);
    }
    assert_true(arena_size(arena) < 100 * (100000 + 200) + 2 * 66000);
    arena_free(arena);
}

static void arena_copies(void **state)
{
    (void)state;
    struct arena *arena = arena_new(256);
    char *copy = arena_copy(arena, "a\0b", 3);
    assert_memory_equal(copy, "a\0b\0", 4);
    assert_string_equal(arena_copy(arena, NULL, 0), "");
    assert_string_equal(arena_copy_string(arena, "hello"), "hello");
    char *text = arena_printf(arena, "%s-%0*d", "x", 1000, 7);
    assert_int_equal(strlen(text), 1002);
    assert_true(text[0] == 'x' && text[1001] == '7');
    uint32_t *zero = arena_alloc_zero(arena, 1000, 4);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(zero[i], 0);
    }
    arena_free(arena);
}

static char release_order[16];

static void release_note(void *context)
{
    strcat(release_order, context);
}

static void arena_releases_newest_first_and_once(void **state)
{
    (void)state;
    struct arena *arena = arena_new(256);
    release_order[0] = '\0';
    arena_on_release(arena, release_note, "a");
    arena_on_release(arena, release_note, "b");
    arena_alloc(arena, 10000);
    arena_on_release(arena, release_note, "c");
    arena_reset(arena, SIZE_MAX);
    assert_string_equal(release_order, "cba");
    arena_reset(arena, SIZE_MAX);
    assert_string_equal(release_order, "cba");
    arena_on_release(arena, release_note, "d");
    arena_free(arena);
    assert_string_equal(release_order, "cbad");
}

#ifdef __SANITIZE_ADDRESS__
static void arena_poisons_what_is_free(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    char *a = arena_alloc(arena, 30);
    char *b = arena_alloc(arena, 30);
    char *whole = arena_alloc(arena, 32);
    arena_alloc(arena, 16);
    char *wide = arena_alloc_wide(arena, 30);
    assert_null(__asan_region_is_poisoned(a, 30));
    assert_true(__asan_address_is_poisoned(a + 30));
    assert_true(__asan_address_is_poisoned(b - 1));
    assert_true(__asan_address_is_poisoned(whole + 32));
    assert_null(__asan_region_is_poisoned(wide, 30 + 64));
    arena_reset(arena, SIZE_MAX);
    assert_true(__asan_address_is_poisoned(a));
    assert_true(__asan_address_is_poisoned(b + 29));
    char *again = arena_alloc(arena, 8);
    assert_ptr_equal(again, a);
    assert_null(__asan_region_is_poisoned(again, 8));
    assert_true(__asan_address_is_poisoned(again + 8));
    arena_free(arena);
}
#endif

static void buffer_grows_and_reads_back(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 2);
    struct buffer buffer = {0};
    assert_string_equal(buffer_string(&buffer), "");
    assert_int_equal(buffer.size, 0);
    for (unsigned round = 0; round < 3; round++) {
        buffer_clear(&buffer);
        uint64_t values[500];
        char text[600];
        memset(text, 'q', sizeof text);
        for (size_t i = 0; i < 500; i++) {
            values[i] = prng_next(&prng);
            buffer_append_u8(&buffer, (uint8_t)values[i]);
            buffer_append_u16(&buffer, (uint16_t)values[i]);
            buffer_append_u32(&buffer, (uint32_t)values[i]);
            buffer_append_u64(&buffer, values[i]);
            buffer_append_sized(&buffer, text, i);
        }
        struct reader reader = reader_of(bytes_of(buffer.data, buffer.size));
        for (size_t i = 0; i < 500; i++) {
            assert_int_equal(reader_u8(&reader), (uint8_t)values[i]);
            assert_int_equal(reader_u16(&reader), (uint16_t)values[i]);
            assert_int_equal(reader_u32(&reader), (uint32_t)values[i]);
            assert_true(reader_u64(&reader) == values[i]);
            struct bytes sized = reader_sized(&reader);
            assert_true(bytes_equal(sized, bytes_of(text, i)));
        }
        assert_false(reader.failed);
        assert_ptr_equal(reader.at, reader.end);
    }
    buffer_fini(&buffer);
    assert_null(buffer.data);
}

static void buffer_texts(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_append(&buffer, NULL, 0);
    buffer_append_string(&buffer, "ab");
    buffer_append_byte(&buffer, 'c');
    buffer_printf(&buffer, "%d%s", 12, "");
    assert_int_equal(buffer.size, 5);
    assert_string_equal(buffer_string(&buffer), "abc12");
    assert_int_equal(buffer.size, 5);
    /* A text that exactly fills what is there. */
    buffer_clear(&buffer);
    size_t room = buffer.capacity;
    buffer_printf(&buffer, "%0*d", (int)room, 5);
    assert_int_equal(buffer.size, room);
    assert_int_equal(strlen(buffer_string(&buffer)), room);
    /* The little end comes first. */
    buffer_clear(&buffer);
    buffer_append_u32(&buffer, 0x01020304);
    assert_memory_equal(buffer.data, "\x04\x03\x02\x01", 4);
    uint8_t *place = buffer_reserve(&buffer, 1000000);
    assert_ptr_equal(place, buffer.data + 4);
    assert_true(buffer.capacity >= 1000004);
    buffer_fini(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exhaustion_ends_with_3),
        cmocka_unit_test(plain_allocations),
        cmocka_unit_test(arena_items_do_not_overlap),
        cmocka_unit_test(arena_reuses_what_it_keeps),
        cmocka_unit_test(arena_keeps_filling_after_large_requests),
        cmocka_unit_test(arena_copies),
        cmocka_unit_test(arena_releases_newest_first_and_once),
#ifdef __SANITIZE_ADDRESS__
        cmocka_unit_test(arena_poisons_what_is_free),
#endif
        cmocka_unit_test(buffer_grows_and_reads_back),
        cmocka_unit_test(buffer_texts),
    };
    return cmocka_run_group_tests_name("base/memory", tests, NULL, NULL);
}
