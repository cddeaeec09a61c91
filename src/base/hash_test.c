#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/prng.h"

static void random_fill(struct prng *prng, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)prng_next(prng);
    }
}

/* These values lie in progress records and on disk: they may never change. */
static void stored_hashes_stay(void **state)
{
    (void)state;
    struct hash_secret secret;
    uint8_t key[HASH_KEY_BYTES];
    for (uint8_t i = 0; i < HASH_KEY_BYTES; i++) {
        key[i] = i;
    }
    hash_secret_init(&secret, key);
    static uint8_t data[1000];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7);
    }
    static const struct {
        size_t size;
        const char *keyed;
        const char *plain;
    } wanted[] = {
        {0, "4241c049e5a628afa3dc3eabf1cd982d", "99aa06d3014798d86001c324468d497f"},
        {1, "488f19d95173b64ae4776094e2a07950", "a6cd5e9392000f6ac44bdff4074eecdb"},
        {7, "098e4ef7e35a49be1eaa7cc2fbe85841", "db0172c49725ff06572ab15ffe6cbd8a"},
        {13, "7e033e95299a9159c1791a75f1be20e2", "99c251fd5fad98bdac1f61328e67e387"},
        {100, "d2f5833bdc33afc8e8dc51d2ba0f5585", "858be3b5082c7eb73dc31a0ba04530cd"},
        {200, "6146642f277d8faa579b1fc81d9fc748", "dbfff5e13c798ab90497bdb3d145ccd6"},
        {1000, "365efb5c74fa481b40d20a0201c43df9", "abee229cdadad76d10ad30264426c830"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        char text[33];
        hash_format(hash_bytes(&secret, data, wanted[i].size), text);
        assert_string_equal(text, wanted[i].keyed);
        hash_format(hash_plain(data, wanted[i].size), text);
        assert_string_equal(text, wanted[i].plain);
    }
}

static void keyed_hash_depends_on_every_bit(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 1);
    uint8_t key[HASH_KEY_BYTES];
    random_fill(&prng, key, sizeof key);
    struct hash_secret secret;
    hash_secret_init(&secret, key);
    assert_memory_equal(secret.key, key, sizeof key);
    static const size_t sizes[] = {1, 3, 4, 8, 9, 16, 17, 128, 129, 240, 241, 1025};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *data = memory_alloc(sizes[i]);
        random_fill(&prng, data, sizes[i]);
        struct hash128 hash = hash_bytes(&secret, data, sizes[i]);
        assert_true(hash_equal(hash, hash_bytes(&secret, data, sizes[i])));
        for (size_t bit = 0; bit < 8 * sizes[i]; bit++) {
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_false(hash_equal(hash, hash_bytes(&secret, data, sizes[i])));
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t bit = 0; bit < 8 * sizeof key; bit++) {
            key[bit / 8] ^= (uint8_t)(1u << bit % 8);
            struct hash_secret other;
            hash_secret_init(&other, key);
            assert_false(hash_equal(hash, hash_bytes(&other, data, sizes[i])));
            key[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        memory_free(data);
    }
    /* Nothing at all hashes too, and none like empty: callers hash the type with the value. */
    assert_true(hash_equal(hash_bytes(&secret, NULL, 0), hash_bytes(&secret, "", 0)));
}

static void sums_carry_and_come_back(void **state)
{
    (void)state;
    struct hash128 sum = hash_add((struct hash128){UINT64_MAX, 5}, (struct hash128){1, 7});
    assert_true(sum.low == 0 && sum.high == 13);
    sum = hash_sub((struct hash128){0, 0}, (struct hash128){1, 0});
    assert_true(sum.low == UINT64_MAX && sum.high == UINT64_MAX);

    struct prng prng;
    prng_init(&prng, 2);
    struct hash128 members[64];
    struct hash128 forward = {0};
    struct hash128 backward = {0};
    for (size_t i = 0; i < 64; i++) {
        members[i] = (struct hash128){prng_next(&prng), prng_next(&prng)};
        forward = hash_add(forward, members[i]);
    }
    for (size_t i = 64; i-- > 0;) {
        backward = hash_add(backward, members[i]);
    }
    assert_true(hash_equal(forward, backward));
    struct hash128 twice = hash_add(forward, members[9]);
    assert_false(hash_equal(hash_add(twice, members[9]), forward));
    assert_true(hash_equal(hash_sub(twice, members[9]), forward));
    for (size_t i = 0; i < 64; i++) {
        forward = hash_sub(forward, members[i]);
    }
    assert_true(forward.low == 0 && forward.high == 0);
}

static void format_is_high_first(void **state)
{
    (void)state;
    char text[33];
    hash_format((struct hash128){UINT64_C(0x0123456789abcdef), 0xF}, text);
    assert_string_equal(text, "000000000000000f0123456789abcdef");
}

/* From the tests of org.apache.kafka.common.utils.Utils. */
static void murmur2_is_kafkas(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t hash;
    } wanted[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        uint32_t hash = hash_murmur2(wanted[i].text, strlen(wanted[i].text));
        assert_int_equal((int32_t)hash, wanted[i].hash);
        for (uint32_t count = 1; count < 50; count += 7) {
            assert_int_equal(hash_partition(bytes_of_string(wanted[i].text), count),
                             ((uint32_t)wanted[i].hash & 0x7fffffff) % count);
        }
    }
    assert_true(hash_murmur2(NULL, 0) == hash_murmur2("", 0));
}

static uint32_t naive_crc32c(const uint8_t *at, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= at[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? UINT32_C(0x82F63B78) : 0);
        }
    }
    return ~crc;
}

static void crc32c_known(void **state)
{
    (void)state;
    assert_int_equal(hash_crc32c(0, "123456789", 9), 0xE3069283);
    assert_int_equal(hash_crc32c_portable(0, "123456789", 9), 0xE3069283);
    /* RFC 3720, B.4. */
    uint8_t data[32] = {0};
    assert_int_equal(hash_crc32c(0, data, 32), 0x8A9136AA);
    memset(data, 0xFF, 32);
    assert_int_equal(hash_crc32c(0, data, 32), 0x62A8AB43);
    assert_int_equal(hash_crc32c(0, NULL, 0), 0);
    assert_int_equal(hash_crc32c(17, NULL, 0), 17);
}

static void crc32c_ways_agree(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 3);
    enum { MOST = 9000 };
    uint8_t *data = memory_alloc(MOST);
    random_fill(&prng, data, MOST);
    for (unsigned round = 0; round < 2500; round++) {
        size_t size = round < 1000 ? round : prng_below(&prng, MOST);
        size_t start = prng_below(&prng, MOST - size);
        uint32_t wanted = hash_crc32c_portable(0, data + start, size);
        if (round % 10 == 0) {
            assert_int_equal(naive_crc32c(data + start, size), wanted);
        }
        assert_int_equal(hash_crc32c(0, data + start, size), wanted);
        /* In two pieces. */
        size_t cut = prng_below(&prng, size + 1);
        uint32_t first = hash_crc32c(0, data + start, cut);
        assert_int_equal(hash_crc32c(first, data + start + cut, size - cut), wanted);
        assert_int_equal(hash_crc32c_portable(first, data + start + cut, size - cut), wanted);
    }
    memory_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_hashes_stay),
        cmocka_unit_test(keyed_hash_depends_on_every_bit),
        cmocka_unit_test(sums_carry_and_come_back),
        cmocka_unit_test(format_is_high_first),
        cmocka_unit_test(murmur2_is_kafkas),
        cmocka_unit_test(crc32c_known),
        cmocka_unit_test(crc32c_ways_agree),
    };
    return cmocka_run_group_tests_name("base/hash", tests, NULL, NULL);
}
