#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "gen/truth_memory.h"

static struct truth_key key_of(unsigned number)
{
    char text[32];
    return truth_key_of(bytes_of(text, (size_t)snprintf(text, sizeof text, "key-%u", number)));
}

static void put(struct truth_memory *memory, unsigned number, int64_t oldest_us)
{
    struct truth_entry *entry = truth_memory_put(memory, key_of(number), oldest_us);
    entry->event_time_us = number;
    entry->offset = 7 * (uint64_t)number;
}

static void finds_what_was_put(void **state)
{
    (void)state;
    struct truth_memory memory = {0};
    assert_null(truth_memory_find(&memory, key_of(1)));
    for (unsigned i = 0; i < 100000; i++) {
        put(&memory, i, INT64_MIN);
    }
    assert_int_equal(memory.used, 100000);
    for (unsigned i = 0; i < 100000; i++) {
        struct truth_entry *entry = truth_memory_find(&memory, key_of(i));
        assert_non_null(entry);
        assert_int_equal(entry->event_time_us, i);
        assert_int_equal(entry->offset, 7 * (uint64_t)i);
    }
    assert_null(truth_memory_find(&memory, key_of(100000)));
    truth_memory_fini(&memory);
}

static void keeps_one_entry_per_key(void **state)
{
    (void)state;
    struct truth_memory memory = {0};
    put(&memory, 5, 0);
    put(&memory, 5, 0);
    assert_int_equal(memory.used, 1);
    truth_memory_fini(&memory);
}

static void tells_like_keys_apart(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
    } keys[] = {{"", 0},    {"\0", 1},       {"\0\0", 2},      {"a", 1},
                {"a\0", 2}, {"12345678", 8}, {"12345678\0", 9}};
    struct truth_memory memory = {0};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct truth_key key = truth_key_of(bytes_of(keys[i].data, keys[i].size));
        assert_null(truth_memory_find(&memory, key));
        truth_memory_put(&memory, key, 0)->event_time_us = 1;
    }
    truth_memory_fini(&memory);
}

/* A long log with a short window needs the memory of the window. */
static void memory_follows_the_window(void **state)
{
    (void)state;
    struct truth_memory memory = {0};
    for (unsigned i = 0; i < 1000000; i++) {
        put(&memory, i, (int64_t)i - 1000);
        if (i >= 1000 && i % 997 == 0) {
            assert_non_null(truth_memory_find(&memory, key_of(i - 1000)));
        }
    }
    assert_true(memory.capacity <= 8192);
    truth_memory_fini(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put),
        cmocka_unit_test(keeps_one_entry_per_key),
        cmocka_unit_test(tells_like_keys_apart),
        cmocka_unit_test(memory_follows_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
