#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* From the reference code of Blackman and Vigna. */
static void known_numbers(void **state)
{
    (void)state;
    struct prng prng = {{1, 2, 3, 4}};
    static const uint64_t wanted[] = {41943041, 58720359, UINT64_C(3588806011781223),
                                      UINT64_C(3591011842654386)};
    for (size_t i = 0; i < 4; i++) {
        assert_true(prng_next(&prng) == wanted[i]);
    }
    /* splitmix64 from seed 0. */
    prng_init(&prng, 0);
    assert_true(prng.state[0] == UINT64_C(0xE220A8397B1DCDAF));
    assert_true(prng.state[1] == UINT64_C(0x6E789E6AA1B965F4));
}

static void same_seed_same_numbers(void **state)
{
    (void)state;
    struct prng a;
    struct prng b;
    struct prng c;
    prng_init(&a, 7);
    prng_init(&b, 7);
    prng_init(&c, 8);
    unsigned same = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t value = prng_next(&a);
        assert_true(value == prng_next(&b));
        same += value == prng_next(&c);
    }
    assert_int_equal(same, 0);
}

static void below_is_in_bounds_and_even(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 3);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(prng_below(&prng, 1), 0);
    }
    unsigned counts[10] = {0};
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t value = prng_below(&prng, 10);
        assert_true(value < 10);
        counts[value]++;
    }
    for (unsigned i = 0; i < 10; i++) {
        /* Five standard deviations. */
        assert_true(counts[i] > 9500 && counts[i] < 10500);
    }
    /* The bound with the greatest bias of a plain remainder: a third of the range counts double. */
    uint64_t bound = UINT64_C(3) << 62;
    unsigned low = 0;
    for (unsigned i = 0; i < 30000; i++) {
        uint64_t value = prng_below(&prng, bound);
        assert_true(value < bound);
        low += value < bound / 3;
    }
    assert_true(low > 9500 && low < 10500);
}

static void unit_is_even(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 4);
    double sum = 0;
    for (unsigned i = 0; i < 100000; i++) {
        double value = prng_unit(&prng);
        assert_true(value >= 0 && value < 1);
        sum += value;
    }
    assert_true(sum > 49500 && sum < 50500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_numbers),
        cmocka_unit_test(same_seed_same_numbers),
        cmocka_unit_test(below_is_in_bounds_and_even),
        cmocka_unit_test(unit_is_even),
    };
    return cmocka_run_group_tests_name("base/prng", tests, NULL, NULL);
}
