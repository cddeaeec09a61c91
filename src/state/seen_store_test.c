#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "base/time.h"
#include "state/seen_table.h"
#include "state/store.h"

enum { MAP_MAX = 4096 };

/* What the store must be like: a list that forgets nothing and is searched from end to end. */
struct naive {
    struct hash128 keys[MAP_MAX];
    struct seen_entry entries[MAP_MAX];
    uint32_t count;
};

static struct seen_entry *naive_find(struct naive *naive, struct hash128 key)
{
    for (uint32_t i = 0; i < naive->count; i++) {
        if (hash_equal(naive->keys[i], key)) {
            return &naive->entries[i];
        }
    }
    return NULL;
}

static void naive_put(struct naive *naive, struct hash128 key, struct seen_entry entry)
{
    struct seen_entry *known = naive_find(naive, key);
    if (known == NULL) {
        assert_true(naive->count < MAP_MAX);
        naive->keys[naive->count] = key;
        known = &naive->entries[naive->count++];
    }
    *known = entry;
}

static bool is_remembered(const struct seen_entry *entry, int64_t horizon, int64_t watermark)
{
    return entry != NULL && watermark <= entry->event_time_us + horizon;
}

static struct hash128 hash_of(uint64_t low, uint64_t high)
{
    return (struct hash128){low, high};
}

static void insert(struct seen_store *store, struct hash128 key, int64_t time, int64_t offset,
                   int64_t watermark)
{
    struct error err = {0};
    struct seen_entry entry = {.event_time_us = time, .offset = offset};
    struct seen_entry known;
    bool is_known = true;
    enum status status = seen_store_see(store, key, entry, watermark, &is_known, &known, &err);
    assert_int_equal(status, STATUS_OK);
    assert_false(is_known);
}

#define UNKNOWN INT64_MIN

/* Of the latest sighting, or UNKNOWN. */
static int64_t offset_of(const struct seen_store *store, struct hash128 key, int64_t watermark)
{
    struct seen_entry found;
    return seen_store_find(store, key, watermark, &found) ? found.offset : UNKNOWN;
}

/* Keys that crowd on few homes, among them zero and the last one. */
static struct hash128 crowded_key(struct prng *prng, uint64_t key_count)
{
    uint64_t key = prng_below(prng, key_count);
    switch (key % 4) {
    case 0:
        return hash_of(0, key / 2);
    case 1:
        return hash_of(UINT64_MAX, key);
    case 2:
        return hash_of(UINT64_C(1) << 63 | 63, key);
    default:
        return hash_of(key * UINT64_C(0x9E3779B97F4A7C15), 0);
    }
}

/* What a whole copy has written, read into a new store. */
static struct seen_store *read_pieces(const struct state_pieces *pieces, uint64_t count,
                                      struct state_budget *budget, int64_t horizon)
{
    struct error err = {0};
    struct seen_store *copy = seen_store_new(budget, horizon);
    assert_int_equal(seen_store_reserve(copy, count, &err), STATUS_OK);
    struct reader in = reader_of(bytes_of(pieces->out.data, pieces->out.size));
    struct bytes piece;
    while (pieces_next(&in, &piece)) {
        struct reader entries = reader_of(piece);
        assert_int_equal(reader_u32(&entries), 7);
        assert_int_equal(seen_store_read(copy, &entries, &err), STATUS_OK);
    }
    assert_false(in.failed);
    assert_ptr_equal(in.at, in.end);
    return copy;
}

static void assert_written_equal(struct seen_store *store, struct state_budget *budget,
                                 int64_t horizon, int64_t watermark)
{
    struct state_pieces pieces = {0};
    seen_store_copy_begin(store, &pieces, 7, watermark);
    assert_true(seen_store_copy_continue(store, SIZE_MAX));
    seen_store_copy_end(store);
    pieces_end_all(&pieces);
    struct seen_store *copy = read_pieces(&pieces, seen_store_count(store), budget, horizon);
    buffer_fini(&pieces.out);
    assert_true(
        hash_equal(seen_store_digest(store, watermark), seen_store_digest(copy, watermark)));
    seen_store_purge(store, watermark);
    assert_int_equal(seen_store_count(store), seen_store_count(copy));
    seen_store_free(copy);
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
static void copy_a_little(struct copying *copying, struct seen_store *store, struct prng *prng,
                          struct state_budget *budget, int64_t horizon, int64_t watermark)
{
    if (!copying->is_begun) {
        copying->is_begun = true;
        copying->digest = seen_store_digest(store, watermark);
        copying->count = seen_store_count(store);
        copying->watermark = watermark;
        buffer_clear(&copying->pieces.out);
        seen_store_copy_begin(store, &copying->pieces, 7, watermark);
    } else if (prng_below(prng, 20) == 0) {
        copying->is_begun = false;
        seen_store_copy_end(store);
    } else if (seen_store_copy_continue(store, prng_below(prng, 200))) {
        copying->is_begun = false;
        seen_store_copy_end(store);
        pieces_end_all(&copying->pieces);
        struct seen_store *copy = read_pieces(&copying->pieces, copying->count, budget, horizon);
        assert_true(hash_equal(seen_store_digest(copy, copying->watermark), copying->digest));
        seen_store_free(copy);
    }
}

static void random_run(uint64_t seed, uint64_t key_count, int64_t horizon)
{
    struct prng prng;
    prng_init(&prng, seed);
    struct state_budget budget = {.limit_bytes = 1 << 24};
    struct seen_store *store = seen_store_new(&budget, horizon);
    static struct naive naive;
    naive.count = 0;
    struct copying copying = {0};
    int64_t watermark = 0;
    for (int64_t i = 0; i < 3000; i++) {
        watermark += (int64_t)prng_below(&prng, 3);
        struct hash128 key = crowded_key(&prng, key_count);
        seen_store_prefetch(store, key);
        seen_store_prefetch_slot(store, key);
        struct seen_entry found;
        bool is_found = seen_store_find(store, key, watermark, &found);
        struct seen_entry *expected = naive_find(&naive, key);
        assert_int_equal(is_found, is_remembered(expected, horizon, watermark));
        if (is_found) {
            assert_int_equal(found.event_time_us, expected->event_time_us);
            assert_int_equal(found.offset, expected->offset);
            /* An earlier sighting changes the offset only. */
            int64_t later = (int64_t)prng_below(&prng, 3) - 1;
            const struct seen_entry sighting = {expected->event_time_us + later, i};
            struct seen_entry known;
            struct error err = {0};
            bool is_known = false;
            assert_int_equal(
                seen_store_see(store, key, sighting, watermark, &is_known, &known, &err),
                STATUS_OK);
            assert_true(is_known);
            assert_int_equal(known.event_time_us, expected->event_time_us);
            assert_int_equal(known.offset, expected->offset);
            expected->event_time_us += later > 0 ? later : 0;
            expected->offset = i;
        } else if (prng_below(&prng, 4) > 0) {
            int64_t time = watermark + (int64_t)prng_below(&prng, 5);
            insert(store, key, time, i, watermark);
            naive_put(&naive, key, (struct seen_entry){time, i});
        }
        if (prng_below(&prng, 50) == 0) {
            seen_store_purge(store, watermark);
        }
        if (prng_below(&prng, 8) == 0) {
            copy_a_little(&copying, store, &prng, &budget, horizon, watermark);
        }
        if (!copying.is_begun && prng_below(&prng, 300) == 0) {
            assert_written_equal(store, &budget, horizon, watermark);
        }
    }
    seen_store_free(store);
    buffer_fini(&copying.pieces.out);
    assert_int_equal(budget.used_bytes, 0);
}

static void test_equals_a_naive_map(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        random_run(seed, 8, 5);
        random_run(seed, 200, 100);
        random_run(seed, 3000, 400);
        random_run(seed, 3000, INT64_C(1) << 60);
    }
}

/* Every entry of a table under churn is found, and nothing that expired counts after a purge. */
static void test_purge_keeps_the_rest(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 1 << 24};
    struct seen_store *store = seen_store_new(&budget, 0);
    for (uint64_t i = 0; i < 1000; i++) {
        insert(store, hash_of(i % 7 == 0 ? UINT64_MAX - i % 5 : i, i), (int64_t)i, (int64_t)i, 0);
    }
    for (int64_t watermark = 0; watermark <= 1000; watermark += 13) {
        seen_store_purge(store, watermark);
        assert_int_equal(seen_store_count(store), 1000 - watermark);
        for (uint64_t i = (uint64_t)watermark; i < 1000; i++) {
            struct hash128 key = hash_of(i % 7 == 0 ? UINT64_MAX - i % 5 : i, i);
            assert_int_equal(offset_of(store, key, watermark), i);
        }
    }
    seen_store_free(store);
}

static void test_zero_key(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 1 << 20};
    struct seen_store *store = seen_store_new(&budget, 10);
    struct hash128 zero = hash_of(0, 0);
    assert_int_equal(offset_of(store, zero, 0), UNKNOWN);
    insert(store, hash_of(64, 0), 0, 1, 0);
    assert_int_equal(offset_of(store, zero, 0), UNKNOWN);
    /* All of the entry is zero. */
    insert(store, zero, 0, 0, 0);
    assert_int_not_equal(offset_of(store, zero, 10), UNKNOWN);
    assert_int_equal(offset_of(store, zero, 11), UNKNOWN);
    for (uint64_t i = 1; i < 500; i++) {
        insert(store, hash_of(i << 32, i), 5, (int64_t)i, 0);
    }
    assert_int_equal(offset_of(store, zero, 0), 0);
    assert_int_equal(seen_store_count(store), 501);
    assert_written_equal(store, &budget, 10, 0);
    seen_store_purge(store, 11);
    assert_int_equal(offset_of(store, zero, 0), UNKNOWN);
    assert_int_equal(seen_store_count(store), 499);
    insert(store, zero, 20, 7, 15);
    assert_int_equal(offset_of(store, zero, 15), 7);
    seen_store_free(store);
}

static void test_ends_of_time(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 1 << 20};
    struct seen_store *store = seen_store_new(&budget, TIME_UNLIMITED);
    insert(store, hash_of(1, 1), TIME_NEVER, 1, TIME_NEVER);
    insert(store, hash_of(2, 2), 0, 2, TIME_NEVER);
    seen_store_purge(store, INT64_MAX);
    /* Unlimited is for ever, also for a key that came before any event time. */
    assert_int_not_equal(offset_of(store, hash_of(1, 1), INT64_C(1700000000000000)), UNKNOWN);
    assert_int_not_equal(offset_of(store, hash_of(2, 2), INT64_MAX), UNKNOWN);
    seen_store_free(store);

    store = seen_store_new(&budget, TIME_UNLIMITED - 1);
    insert(store, hash_of(1, 1), INT64_MAX - 1, 1, 0);
    assert_int_not_equal(offset_of(store, hash_of(1, 1), INT64_MAX), UNKNOWN);
    insert(store, hash_of(2, 2), INT64_MIN, 1, INT64_MIN);
    assert_int_not_equal(offset_of(store, hash_of(2, 2), INT64_MIN + TIME_UNLIMITED - 1), UNKNOWN);
    assert_int_equal(offset_of(store, hash_of(2, 2), INT64_MIN + TIME_UNLIMITED), UNKNOWN);
    seen_store_purge(store, 0);
    assert_int_equal(seen_store_count(store), 1);
    seen_store_free(store);
}

static void test_set_horizon(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 1 << 20};
    struct seen_store *store = seen_store_new(&budget, 10);
    insert(store, hash_of(1, 1), 100, 1, 100);
    insert(store, hash_of(2, 2), 105, 2, 105);
    seen_store_purge(store, 111);
    seen_store_set_horizon(store, 50);
    assert_int_equal(offset_of(store, hash_of(1, 1), 111), UNKNOWN);
    assert_int_not_equal(offset_of(store, hash_of(2, 2), 155), UNKNOWN);
    assert_int_equal(offset_of(store, hash_of(2, 2), 156), UNKNOWN);
    seen_store_set_horizon(store, 3);
    assert_int_equal(offset_of(store, hash_of(2, 2), 111), UNKNOWN);
    seen_store_free(store);
}

/* A stream whose live keys fit never makes the table larger than it must be. */
static void test_purges_before_it_grows(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 1 << 24};
    struct seen_store *store = seen_store_new(&budget, 700);
    for (uint64_t i = 0; i < 100000; i++) {
        insert(store, hash_of(i * UINT64_C(0x9E3779B97F4A7C15), i), (int64_t)i, (int64_t)i,
               (int64_t)i);
    }
    /* 701 keys are remembered, and as many again as pay for looking which ones. */
    assert_true(budget.used_bytes <= 1024 * 24 + 128);
    assert_true(seen_store_count(store) <= 7 * 116);
    seen_store_free(store);
    assert_int_equal(budget.used_bytes, 0);
}

static void test_budget(void **state)
{
    (void)state;
    /* A byte less than the second chunk of 128 slots needs, beside the directory and a segment. */
    struct state_budget budget = {.limit_bytes = 2 * 128 * 24 + 4 + 64 - 1};
    struct seen_store *store = seen_store_new(&budget, 1000);
    struct error err = {0};
    uint64_t taken = 0;
    bool is_known;
    struct seen_entry known;
    while (seen_store_see(store, hash_of(taken, 1), (struct seen_entry){0, (int64_t)taken}, 0,
                          &is_known, &known, &err) == STATUS_OK) {
        assert_false(is_known);
        taken++;
        assert_true(budget.used_bytes <= budget.limit_bytes);
        assert_true(taken < 1000);
    }
    assert_int_equal(taken, 116);
    assert_int_equal(err.status, STATUS_FATAL);
    assert_string_equal(err.code, "state.memory");
    assert_non_null(strstr(err.message, "3072"));
    assert_non_null(strstr(err.message, "6211"));
    assert_non_null(strstr(err.message, "Raise state.memory"));
    assert_non_null(strstr(err.message, "shorten the dedup window"));
    /* The refused key left nothing behind, and time makes room. */
    assert_int_equal(seen_store_count(store), 116);
    assert_int_equal(offset_of(store, hash_of(taken, 1), 0), UNKNOWN);
    error_clear(&err);
    assert_int_equal(seen_store_see(store, hash_of(taken, 1), (struct seen_entry){1001, 1}, 1001,
                                    &is_known, &known, &err),
                     STATUS_OK);
    assert_false(is_known);
    assert_int_equal(seen_store_count(store), 1);
    seen_store_free(store);
    assert_int_equal(budget.used_bytes, 0);
}

/* A third has the last homes, a third the first ones. */
static struct hash128 edge_key(uint64_t crowd, uint64_t i)
{
    const uint64_t homes[] = {UINT64_MAX - crowd, i, (i << 6) - 1 - crowd};
    return hash_of(homes[i % 3], i + 1);
}

/* Where homes are full, also over the end of a segment, all are found. */
static void test_growth_finds_all(void **state)
{
    (void)state;
    for (uint64_t crowd = 0; crowd < 40; crowd++) {
        struct state_budget budget = {.limit_bytes = 1 << 24};
        struct seen_store *store = seen_store_new(&budget, TIME_UNLIMITED);
        uint64_t used = 0;
        for (uint64_t i = 0; i < 1600; i++) {
            insert(store, edge_key(crowd, i), 0, (int64_t)i, 0);
            bool grew = budget.used_bytes != used;
            used = budget.used_bytes;
            for (uint64_t k = 0; grew && k <= i; k++) {
                assert_int_equal(offset_of(store, edge_key(crowd, k), 0), k);
            }
        }
        assert_int_equal(seen_store_count(store), 1600);
        seen_store_free(store);
        assert_int_equal(budget.used_bytes, 0);
    }
}

static struct hash128 good_key(uint64_t i)
{
    uint64_t mixed = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    mixed = (mixed ^ mixed >> 31) * UINT64_C(0xD6E8FEB86659FD93);
    return hash_of(mixed ^ mixed >> 32, mixed * 31);
}

/* Through many splits; a key never takes more than what is promised. */
static void test_memory_follows_the_keys(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 1 << 27};
    struct seen_store *store = seen_store_new(&budget, TIME_UNLIMITED);
    const uint64_t count = 1300000; /* so many that later blocks are whole */
    for (uint64_t i = 0; i < count; i++) {
        insert(store, good_key(i), 0, (int64_t)i, 0);
        if (i >= 5000) {
            assert_true(budget.used_bytes <= (i + 1) * 32);
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(offset_of(store, good_key(i), 0), i);
    }
    assert_int_equal(offset_of(store, good_key(count), 0), UNKNOWN);
    assert_written_equal(store, &budget, TIME_UNLIMITED, 0);
    seen_store_free(store);
    assert_int_equal(budget.used_bytes, 0);
}

/* No two keys are taken for each other that differ in one of the bits that are kept. */
static void test_keeps_96_bits(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 1 << 20};
    struct seen_store *store = seen_store_new(&budget, TIME_UNLIMITED);
    struct hash128 key = good_key(7);
    for (int bit = 0; bit < 96; bit++) {
        uint64_t low = bit < 64 ? UINT64_C(1) << bit : 0;
        uint64_t high = bit < 64 ? 0 : UINT64_C(1) << (bit - 64);
        insert(store, hash_of(key.low ^ low, key.high ^ high), 0, bit, 0);
    }
    assert_int_equal(offset_of(store, key, 0), UNKNOWN);
    seen_store_free(store);
}

/* A snapshot of former times has all 128 bits of a hash: the key is found all the same. */
static void test_reads_whole_hashes(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 1 << 20};
    struct seen_store *store = seen_store_new(&budget, 10);
    struct error err = {0};
    const struct hash128 hash = hash_of(UINT64_C(0x123456789ABCDEF0), UINT64_MAX - 5);
    struct buffer form = {0};
    buffer_append_u64(&form, hash.low);
    buffer_append_u64(&form, hash.high);
    buffer_append_u64(&form, 3);
    buffer_append_u64(&form, 44);
    assert_int_equal(seen_store_reserve(store, 1, &err), STATUS_OK);
    struct reader in = reader_of(bytes_of(form.data, form.size));
    assert_int_equal(seen_store_read(store, &in, &err), STATUS_OK);
    assert_int_equal(offset_of(store, hash, 0), 44);
    buffer_fini(&form);
    seen_store_free(store);
}

/* Anything from one end of time to the other, but mostly near each other; where `spread` is odd most
 * of the early ones are outliers. */
static int64_t far_time(struct prng *prng, uint64_t spread, uint64_t i)
{
    bool is_outlier = spread % 2 == 1 && i < 700 ? prng_below(prng, 4) > 0
                                                 : prng_below(prng, 10) == 0;
    if (!is_outlier) {
        return (int64_t)prng_below(prng, 1000);
    }
    const int64_t far[] = {TIME_NEVER, TIME_UNLIMITED, -(INT64_C(1) << 47), INT64_C(1) << 47,
                           (INT64_C(1) << 50) + (int64_t)prng_below(prng, 1000)};
    return far[prng_below(prng, sizeof far / sizeof far[0])];
}

static int64_t far_offset(struct prng *prng, uint64_t i)
{
    return prng_below(prng, 10) == 0 ? INT64_MAX - (int64_t)i : (int64_t)(i | i << 47);
}

/* Times and offsets that do not fit into slots, remembered, refreshed, forgotten, copied. */
static void far_run(uint64_t seed, int64_t horizon)
{
    struct prng prng;
    prng_init(&prng, seed);
    struct state_budget budget = {.limit_bytes = 1 << 24};
    struct seen_store *store = seen_store_new(&budget, horizon);
    static struct naive naive;
    naive.count = 0;
    struct copying copying = {0};
    int64_t watermark = TIME_NEVER;
    for (uint64_t i = 0; i < 6000; i++) {
        if (i % 1000 == 999) {
            watermark += INT64_C(1) << 50;
            seen_store_purge(store, i % 2000 == 1999 ? watermark : TIME_NEVER);
        }
        struct hash128 key = good_key(prng_below(&prng, 3500));
        const struct seen_entry sighting = {far_time(&prng, seed, i), far_offset(&prng, i)};
        struct seen_entry *expected = naive_find(&naive, key);
        bool was_known =
            expected != NULL && (horizon >= TIME_UNLIMITED ||
                                 is_remembered(expected, horizon, watermark));
        struct seen_entry known;
        struct error err = {0};
        bool is_known = false;
        assert_int_equal(seen_store_see(store, key, sighting, watermark, &is_known, &known, &err),
                         STATUS_OK);
        assert_int_equal(is_known, was_known);
        if (is_known) {
            assert_int_equal(known.event_time_us, expected->event_time_us);
            assert_int_equal(known.offset, expected->offset);
            expected->offset = sighting.offset;
            if (sighting.event_time_us > expected->event_time_us) {
                expected->event_time_us = sighting.event_time_us;
            }
        } else {
            naive_put(&naive, key, sighting);
        }
        if (prng_below(&prng, 8) == 0) {
            copy_a_little(&copying, store, &prng, &budget, horizon, watermark);
        }
    }
    seen_store_copy_end(store);
    assert_written_equal(store, &budget, horizon, watermark);
    seen_store_free(store);
    buffer_fini(&copying.pieces.out);
    assert_int_equal(budget.used_bytes, 0);
}

static void test_far_times_and_offsets(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        far_run(seed, TIME_UNLIMITED);
        far_run(seed, INT64_C(1) << 50);
        far_run(seed, 500);
    }
}

/* Entries go back into their slots when their like are the most. */
static void test_new_base(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 1 << 24};
    struct seen_store *store = seen_store_new(&budget, TIME_UNLIMITED);
    insert(store, good_key(0), 0, 0, 0);
    for (uint64_t i = 1; i < 20000; i++) {
        insert(store, good_key(i), INT64_C(1) << 50, (int64_t)i, 0);
    }
    /* 16 bytes each is what the spilled ones take, and none but a few of the first are. */
    assert_true(budget.used_bytes <= 20000 * 32 + 16 * 1024);
    seen_store_free(store);
    assert_int_equal(budget.used_bytes, 0);
}

static void test_reading_respects_the_budget(void **state)
{
    (void)state;
    struct state_budget small = {.limit_bytes = 4096};
    struct seen_store *store = seen_store_new(&small, 1000);
    struct error err = {0};
    assert_int_equal(seen_store_reserve(store, 200, &err), STATUS_FATAL);
    assert_string_equal(err.code, "state.memory");
    seen_store_free(store);
    assert_int_equal(small.used_bytes, 0);
}

/* A run that stayed within its memory can be taken up again. */
static void test_what_fitted_fits_again(void **state)
{
    (void)state;
    for (uint64_t count = 100; count < 100000; count += count / 8) {
        struct state_budget budget = {.limit_bytes = 1 << 24};
        struct seen_store *store = seen_store_new(&budget, TIME_UNLIMITED);
        for (uint64_t i = 0; i < count; i++) {
            insert(store, good_key(i), (int64_t)i, (int64_t)i, 0);
        }
        const uint64_t bytes = budget.used_bytes + budget.used_bytes / 32;
        struct state_budget again = {.limit_bytes = bytes + 4 * sizeof(struct seen_chunk)};
        assert_written_equal(store, &again, TIME_UNLIMITED, 0);
        assert_int_equal(again.used_bytes, 0);
        seen_store_free(store);
    }
}

static void expect_corrupt(struct bytes form, uint64_t count)
{
    struct state_budget budget = {.limit_bytes = 1 << 20};
    struct seen_store *store = seen_store_new(&budget, 1000);
    struct error err = {0};
    assert_int_equal(seen_store_reserve(store, count, &err), STATUS_OK);
    struct reader in = reader_of(form);
    assert_int_equal(seen_store_read(store, &in, &err), STATUS_FATAL);
    assert_string_equal(err.code, "snapshot.corrupt");
    seen_store_free(store);
}

static void test_broken_forms(void **state)
{
    (void)state;
    struct buffer form = {0};
    for (uint64_t i = 0; i < 100; i++) {
        buffer_append_u64(&form, i); /* The first one is the zero key. */
        buffer_append_u64(&form, 0);
        buffer_append_u64(&form, 3);
        buffer_append_u64(&form, i);
    }
    for (size_t size = 1; size < 4 * 32; size++) {
        if (size % 32 != 0) {
            expect_corrupt(bytes_of(form.data, size), 4);
        }
    }
    /* More than were said to come; the room is for 48. */
    expect_corrupt(bytes_of(form.data, form.size), 4);
    /* The same key twice. */
    memcpy(form.data + 2 * 32, form.data + 32, 32);
    expect_corrupt(bytes_of(form.data, 4 * 32), 4);
    memcpy(form.data + 2 * 32, form.data, 32);
    expect_corrupt(bytes_of(form.data, 4 * 32), 4);
    buffer_fini(&form);
}

static void test_digest_tells_states_apart(void **state)
{
    (void)state;
    struct state_budget budget = {.limit_bytes = 1 << 20};
    struct hash128 digests[5];
    for (int variant = 0; variant < 5; variant++) {
        struct seen_store *store = seen_store_new(&budget, 10);
        insert(store, hash_of(1, variant == 1 ? 9 : 1), variant == 2 ? 6 : 5, variant == 3 ? 8 : 7,
               0);
        if (variant == 4) {
            /* An expired one does not count. */
            insert(store, hash_of(7, 7), -6, 3, 0);
        }
        digests[variant] = seen_store_digest(store, 5);
        seen_store_free(store);
    }
    assert_false(hash_equal(digests[0], digests[1]));
    assert_false(hash_equal(digests[0], digests[2]));
    assert_false(hash_equal(digests[0], digests[3]));
    assert_true(hash_equal(digests[0], digests[4]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_a_naive_map),
        cmocka_unit_test(test_purge_keeps_the_rest),
        cmocka_unit_test(test_zero_key),
        cmocka_unit_test(test_ends_of_time),
        cmocka_unit_test(test_set_horizon),
        cmocka_unit_test(test_purges_before_it_grows),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_growth_finds_all),
        cmocka_unit_test(test_memory_follows_the_keys),
        cmocka_unit_test(test_keeps_96_bits),
        cmocka_unit_test(test_reads_whole_hashes),
        cmocka_unit_test(test_far_times_and_offsets),
        cmocka_unit_test(test_new_base),
        cmocka_unit_test(test_reading_respects_the_budget),
        cmocka_unit_test(test_what_fitted_fits_again),
        cmocka_unit_test(test_broken_forms),
        cmocka_unit_test(test_digest_tells_states_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
