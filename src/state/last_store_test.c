#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "base/time.h"
#include "state/store.h"

enum { KEYS = 300, TEXT_MAX = 40 };

static struct value text_of(const char *text)
{
    return (struct value){.type = VALUE_TEXT, .text = bytes_of_string(text)};
}

static struct value integer_of(int64_t integer)
{
    return (struct value){.type = VALUE_INT64, .integer = integer};
}

static struct hash128 hash_of(uint64_t low, uint64_t high)
{
    return (struct hash128){low, high};
}

static void put(struct last_store *store, struct hash128 key, int64_t time, int64_t offset,
                struct value value, int64_t watermark)
{
    struct error err = {0};
    struct last_entry entry = {.event_time_us = time, .offset = offset, .value = value};
    assert_int_equal(last_store_put(store, key, entry, watermark, &err), STATUS_OK);
}

struct naive_entry {
    bool known;
    int64_t time;
    int64_t offset;
    char text[TEXT_MAX]; /* of the value; numbers in digits */
    enum value_type type;
};

static void value_text(const struct value *value, char out[TEXT_MAX])
{
    if (value->type == VALUE_TEXT || value->type == VALUE_JSON) {
        snprintf(out, TEXT_MAX, "%.*s", (int)value->text.size, (const char *)value->text.data);
    } else if (value->type == VALUE_DOUBLE) {
        snprintf(out, TEXT_MAX, "%.17g", value->real);
    } else {
        snprintf(out, TEXT_MAX, "%lld", (long long)value->integer);
    }
}

/* A value whose text stands in `storage`, which the store must not keep. */
static struct value random_value(struct prng *prng, char storage[TEXT_MAX])
{
    switch (prng_below(prng, 4)) {
    case 0:
        return integer_of((int64_t)prng_next(prng));
    case 1:
        return (struct value){.type = VALUE_DOUBLE, .real = prng_unit(prng)};
    default:
        memset(storage, 'a' + (int)prng_below(prng, 26), TEXT_MAX);
        return (struct value){.type = prng_below(prng, 2) == 0 ? VALUE_TEXT : VALUE_JSON,
                              .text = bytes_of(storage, prng_below(prng, TEXT_MAX - 1))};
    }
}

static struct hash128 key_of(uint64_t index)
{
    return index % 3 == 0 ? hash_of(0, index) : hash_of(index * 0x9E3779B97F4A7C15u, index);
}

/* What a whole copy has written, read into a new store. */
static struct last_store *read_pieces(const struct state_pieces *pieces, uint64_t count,
                                      struct state_budget *budget, int64_t horizon)
{
    struct error err = {0};
    struct last_store *copy = last_store_new(budget, horizon);
    assert_int_equal(last_store_reserve(copy, count, &err), STATUS_OK);
    struct reader in = reader_of(bytes_of(pieces->out.data, pieces->out.size));
    struct bytes piece;
    while (pieces_next(&in, &piece)) {
        struct reader entries = reader_of(piece);
        assert_int_equal(reader_u32(&entries), 7);
        assert_int_equal(last_store_read(copy, &entries, &err), STATUS_OK);
    }
    assert_false(in.failed);
    assert_ptr_equal(in.at, in.end);
    return copy;
}

static void assert_written_equal(struct last_store *store, struct state_budget *budget,
                                 int64_t horizon, int64_t watermark)
{
    struct state_pieces pieces = {0};
    last_store_copy_begin(store, &pieces, 7, watermark);
    assert_true(last_store_copy_continue(store, SIZE_MAX));
    last_store_copy_end(store);
    pieces_end_all(&pieces);
    struct last_store *copy =
        read_pieces(&pieces, last_store_count(store), budget, horizon);
    buffer_fini(&pieces.out);
    assert_true(
        hash_equal(last_store_digest(store, watermark), last_store_digest(copy, watermark)));
    last_store_purge(store, watermark);
    assert_int_equal(last_store_count(store), last_store_count(copy));
    last_store_free(copy);
}

/* A copy under way, and what it must hold in the end. */
struct copying {
    bool is_begun;
    struct state_pieces pieces;
    struct hash128 digest;
    uint64_t count;
    int64_t watermark;
};

/* Begins a copy, goes on with it, ends it or gives it up. */
static void copy_a_little(struct copying *copying, struct last_store *store, struct prng *prng,
                          struct state_budget *budget, int64_t horizon, int64_t watermark)
{
    if (!copying->is_begun) {
        copying->is_begun = true;
        copying->digest = last_store_digest(store, watermark);
        copying->count = last_store_count(store);
        copying->watermark = watermark;
        buffer_clear(&copying->pieces.out);
        last_store_copy_begin(store, &copying->pieces, 7, watermark);
    } else if (prng_below(prng, 20) == 0) {
        copying->is_begun = false;
        last_store_copy_end(store);
    } else if (last_store_copy_continue(store, prng_below(prng, 200))) {
        copying->is_begun = false;
        last_store_copy_end(store);
        pieces_end_all(&copying->pieces);
        struct last_store *copy =
            read_pieces(&copying->pieces, copying->count, budget, horizon);
        assert_true(
            hash_equal(last_store_digest(copy, copying->watermark), copying->digest));
        last_store_free(copy);
    }
}

static void random_run(uint64_t seed, uint64_t key_count, int64_t horizon)
{
    struct prng prng;
    prng_init(&prng, seed);
    struct state_budget budget = {.limit_bytes = 1 << 24};
    struct last_store *store = last_store_new(&budget, horizon);
    struct naive_entry naive[KEYS] = {0};
    struct copying copying = {0};
    int64_t watermark = 0;
    for (int64_t i = 0; i < 4000; i++) {
        watermark += (int64_t)prng_below(&prng, 3);
        uint64_t key = prng_below(&prng, key_count);
        struct naive_entry *expected = &naive[key];
        const struct last_entry *found = last_store_find(store, key_of(key), watermark);
        bool remembered = expected->known && watermark <= expected->time + horizon;
        assert_int_equal(found != NULL, remembered);
        if (found != NULL) {
            char text[TEXT_MAX];
            value_text(&found->value, text);
            assert_string_equal(text, expected->text);
            assert_int_equal(found->value.type, expected->type);
            assert_int_equal(found->event_time_us, expected->time);
            assert_int_equal(found->offset, expected->offset);
        }
        if (prng_below(&prng, 2) == 0) {
            char storage[TEXT_MAX];
            struct value value = random_value(&prng, storage);
            int64_t time = watermark + 4 - (int64_t)prng_below(&prng, 10);
            put(store, key_of(key), time, i, value, watermark);
            if (!expected->known || time >= expected->time) {
                *expected = (struct naive_entry){
                    .known = true, .time = time, .offset = i, .type = value.type};
                value_text(&value, expected->text);
            }
            memset(storage, '!', sizeof storage);
        }
        if (prng_below(&prng, 40) == 0) {
            last_store_purge(store, watermark);
        }
        if (prng_below(&prng, 8) == 0) {
            copy_a_little(&copying, store, &prng, &budget, horizon, watermark);
        }
        if (!copying.is_begun && prng_below(&prng, 400) == 0) {
            assert_written_equal(store, &budget, horizon, watermark);
        }
    }
    last_store_free(store);
    buffer_fini(&copying.pieces.out);
    assert_int_equal(budget.used_bytes, 0);
}

static void test_equals_a_naive_map(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        random_run(seed, 3, 5);
        random_run(seed, KEYS, 60);
        random_run(seed, KEYS, INT64_C(1) << 60);
    }
}

static void test_latest_wins(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 1 << 20};
    struct last_store *store = last_store_new(&budget, 100);
    struct hash128 key = hash_of(0, 0);
    put(store, key, 50, 1, text_of("first"), 0);
    put(store, key, 49, 2, text_of("earlier"), 0);
    assert_true(bytes_equal_string(last_store_find(store, key, 0)->value.text, "first"));
    put(store, key, 50, 3, text_of("equal, later call"), 0);
    assert_true(
        bytes_equal_string(last_store_find(store, key, 0)->value.text, "equal, later call"));
    assert_int_equal(last_store_find(store, key, 0)->offset, 3);
    /* Its own text, which goes away at the put. */
    put(store, key, 60, 4, last_store_find(store, key, 0)->value, 0);
    assert_true(
        bytes_equal_string(last_store_find(store, key, 0)->value.text, "equal, later call"));
    put(store, key, 60, 5, integer_of(7), 0);
    assert_int_equal(last_store_find(store, key, 0)->value.integer, 7);
    assert_int_equal(last_store_count(store), 1);
    last_store_free(store);
    assert_int_equal(budget.used_bytes, 0);
}

static void test_texts_of_any_size(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = UINT64_C(64) << 20};
    struct last_store *store = last_store_new(&budget, 100);
    size_t size = 10 << 20;
    uint8_t *large = memory_alloc(size);
    memset(large, 0, size);
    put(store, hash_of(1, 0), 0, 1,
        (struct value){.type = VALUE_JSON, .text = bytes_of(large, size)}, 0);
    memory_free(large);
    put(store, hash_of(2, 0), 0, 2, text_of(""), 0);
    put(store, hash_of(3, 0), 0, 3, (struct value){.type = VALUE_NULL}, 0);
    assert_true(budget.used_bytes > size);
    assert_int_equal(last_store_find(store, hash_of(1, 0), 0)->value.text.size, size);
    struct bytes empty = last_store_find(store, hash_of(2, 0), 0)->value.text;
    assert_true(empty.size == 0 && !bytes_is_none(empty));
    assert_written_equal(store, &budget, 100, 0);
    put(store, hash_of(1, 0), 1, 4, integer_of(1), 0);
    assert_true(budget.used_bytes < size);
    last_store_free(store);
    assert_int_equal(budget.used_bytes, 0);
}

static void test_ends_of_time(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 1 << 20};
    struct last_store *store = last_store_new(&budget, TIME_UNLIMITED);
    put(store, hash_of(1, 1), TIME_NEVER, 1, integer_of(1), TIME_NEVER);
    last_store_purge(store, INT64_MAX);
    assert_non_null(last_store_find(store, hash_of(1, 1), INT64_MAX));
    last_store_set_horizon(store, 5);
    assert_null(last_store_find(store, hash_of(1, 1), 0));
    put(store, hash_of(2, 2), INT64_MAX - 2, 1, integer_of(1), 0);
    assert_non_null(last_store_find(store, hash_of(2, 2), INT64_MAX));
    last_store_purge(store, INT64_MAX);
    assert_int_equal(last_store_count(store), 1);
    last_store_free(store);
}

static void test_budget(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 8192};
    struct last_store *store = last_store_new(&budget, 100);
    struct error err = {0};
    struct last_entry entry = {.value = integer_of(1)};
    uint64_t taken = 0;
    while (last_store_put(store, hash_of(taken, 1), entry, 0, &err) == STATUS_OK) {
        taken++;
        assert_true(taken < 1000 && budget.used_bytes <= budget.limit_bytes);
    }
    assert_int_equal(err.status, STATUS_FATAL);
    assert_string_equal(err.code, "state.memory");
    assert_non_null(strstr(err.message, "8192"));
    assert_non_null(strstr(err.message, "shorten max_age"));
    assert_int_equal(last_store_count(store), taken);

    /* A text that does not fit leaves the old value. */
    static char large[8192];
    entry = (struct last_entry){.event_time_us = 1,
                                .value = {.type = VALUE_TEXT, .text = {(uint8_t *)large, 8192}}};
    error_clear(&err);
    assert_int_equal(last_store_put(store, hash_of(0, 1), entry, 0, &err), STATUS_FATAL);
    assert_string_equal(err.code, "state.memory");
    assert_int_equal(last_store_find(store, hash_of(0, 1), 0)->value.integer, 1);

    /* So does a text whose slot does not fit: the text is given back. */
    entry.value.text.size = 10;
    uint64_t used = budget.used_bytes;
    error_clear(&err);
    assert_int_equal(last_store_put(store, hash_of(taken, 1), entry, 0, &err), STATUS_FATAL);
    assert_int_equal(budget.used_bytes, used);
    last_store_free(store);
    assert_int_equal(budget.used_bytes, 0);
}

static void expect_corrupt(struct bytes form, uint64_t count)
{
    struct state_budget budget = {.limit_bytes = 1 << 20};
    struct last_store *store = last_store_new(&budget, 100);
    struct error err = {0};
    assert_int_equal(last_store_reserve(store, count, &err), STATUS_OK);
    struct reader in = reader_of(form);
    assert_int_equal(last_store_read(store, &in, &err), STATUS_FATAL);
    assert_string_equal(err.code, "snapshot.corrupt");
    last_store_free(store);
    assert_int_equal(budget.used_bytes, 0);
}

static void test_broken_forms(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 1 << 20};
    struct last_store *store = last_store_new(&budget, 100);
    put(store, hash_of(0, 0), 0, 1, text_of("abc"), 0);
    put(store, hash_of(1, 0), 0, 2, text_of("abc"), 0);
    struct state_pieces pieces = {0};
    last_store_copy_begin(store, &pieces, 0, 0);
    assert_true(last_store_copy_continue(store, SIZE_MAX));
    last_store_free(store);
    pieces_end_all(&pieces);
    struct buffer form = {0};
    struct reader in = reader_of(bytes_of(pieces.out.data, pieces.out.size));
    struct bytes piece;
    while (pieces_next(&in, &piece)) {
        buffer_append(&form, piece.data + 4, piece.size - 4);
    }
    buffer_fini(&pieces.out);
    size_t entry_size = form.size / 2;
    for (size_t size = 1; size < form.size; size++) {
        if (size % entry_size != 0) {
            expect_corrupt(bytes_of(form.data, size), 2);
        }
    }
    memcpy(form.data + entry_size, form.data, entry_size);
    expect_corrupt(bytes_of(form.data, form.size), 2);
    buffer_fini(&form);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_a_naive_map),
        cmocka_unit_test(test_latest_wins),
        cmocka_unit_test(test_texts_of_any_size),
        cmocka_unit_test(test_ends_of_time),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_broken_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
