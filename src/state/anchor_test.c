#include "state/anchor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "base/time.h"

/* Offers row `offset`; the greatest event time before it is `greatest`. */
static void offer(struct anchors *anchors, int64_t offset, int64_t greatest)
{
    struct anchor anchor = {.offset = offset, .greatest_us = greatest};
    anchors_offer(anchors, &anchor);
}

static void test_first_stays_until_one_qualifies(void **state)
{
    (void)state;
    struct anchors anchors;
    anchors_init(&anchors, 160);
    offer(&anchors, 0, TIME_NEVER);
    offer(&anchors, 1, TIME_NEVER);
    assert_int_equal(anchors.count, 1);
    offer(&anchors, 2, 1000);
    assert_int_equal(anchors.count, 2);
    anchors_advance(&anchors, 1160);
    assert_int_equal(anchors_start(&anchors)->offset, 0);
    /* More than the horizon, not as much. */
    anchors_advance(&anchors, 1161);
    assert_int_equal(anchors_start(&anchors)->offset, 2);
    assert_int_equal(anchors.count, 1);
    anchors_fini(&anchors);
}

static void test_sixteenth_of_the_horizon(void **state)
{
    (void)state;
    struct anchors anchors;
    anchors_init(&anchors, 160);
    offer(&anchors, 0, 1000);
    assert_false(anchors_wants(&anchors, 1000));
    assert_false(anchors_wants(&anchors, 1010));
    assert_true(anchors_wants(&anchors, 1011));
    assert_false(anchors_wants(&anchors, 999));
    assert_false(anchors_wants(&anchors, TIME_NEVER));
    offer(&anchors, 1, 1010);
    assert_int_equal(anchors.count, 1);
    offer(&anchors, 2, 1011);
    assert_int_equal(anchors.count, 2);
    anchors_fini(&anchors);
}

/* The newest that qualifies becomes the start; the newer ones stay behind it. */
static void test_advance(void **state)
{
    (void)state;
    struct anchors anchors;
    anchors_init(&anchors, 100);
    for (int64_t i = 0; i < 10; i++) {
        offer(&anchors, i, 1000 + 10 * i);
    }
    assert_int_equal(anchors.count, 10);
    anchors_advance(&anchors, 1131);
    assert_int_equal(anchors_start(&anchors)->offset, 3);
    assert_int_equal(anchors.count, 7);
    assert_int_equal(anchors.items[6].offset, 9);
    anchors_advance(&anchors, 1131);
    assert_int_equal(anchors.count, 7);
    anchors_advance(&anchors, 100000);
    assert_int_equal(anchors.count, 1);
    assert_int_equal(anchors_start(&anchors)->offset, 9);
    anchors_fini(&anchors);
}

/* Whether it advances once a row or once at the end changes nothing. */
static void test_batch_cuts_do_not_matter(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        int64_t horizon = (int64_t)prng_below(&prng, 300);
        struct anchors often;
        struct anchors seldom;
        anchors_init(&often, horizon);
        anchors_init(&seldom, horizon);
        int64_t greatest = TIME_NEVER;
        for (int64_t i = 0; i < 500; i++) {
            offer(&often, i, greatest);
            offer(&seldom, i, greatest);
            greatest = greatest == TIME_NEVER ? 0 : greatest + (int64_t)prng_below(&prng, 9);
            anchors_advance(&often, greatest);
            if (i == 250) {
                anchors_change_horizon(&often, i + 1, horizon / 2);
                anchors_change_horizon(&seldom, i + 1, horizon / 2);
            }
        }
        anchors_advance(&seldom, greatest);
        struct buffer a = {0};
        struct buffer b = {0};
        anchors_write(&often, &a);
        anchors_write(&seldom, &b);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.data, b.data, a.size);
        assert_true(often.count <= 2 * 16 + 4);
        buffer_fini(&a);
        buffer_fini(&b);
        anchors_fini(&often);
        anchors_fini(&seldom);
    }
}

static void test_horizon_zero(void **state)
{
    (void)state;
    struct anchors anchors;
    anchors_init(&anchors, 0);
    for (int64_t i = 0; i < 1000; i++) {
        offer(&anchors, i, i == 0 ? TIME_NEVER : 1000 + i / 2);
        assert_true(anchors.count <= 2);
    }
    /* Rows at the greatest event time itself can still be seen: a window of 0 remembers them. */
    anchors_advance(&anchors, 1499);
    assert_int_equal(anchors_start(&anchors)->greatest_us, 1498);
    assert_int_equal(anchors_start(&anchors)->offset, 996);
    anchors_advance(&anchors, 1500);
    assert_int_equal(anchors.count, 1);
    assert_int_equal(anchors_start(&anchors)->greatest_us, 1499);
    anchors_fini(&anchors);
}

static void test_unlimited_horizon(void **state)
{
    (void)state;
    struct anchors anchors;
    anchors_init(&anchors, TIME_UNLIMITED);
    offer(&anchors, 0, TIME_NEVER);
    offer(&anchors, 1, INT64_C(-62135596800000000));
    offer(&anchors, 2, INT64_C(253402300799000000));
    anchors_advance(&anchors, INT64_C(253402300799999999));
    assert_int_equal(anchors_start(&anchors)->offset, 0);
    anchors_fini(&anchors);

    /* A log that is entered in the middle. */
    anchors_init(&anchors, INT64_MAX);
    assert_int_equal(anchors.horizon_us, TIME_UNLIMITED);
    offer(&anchors, 7, 5);
    offer(&anchors, 8, TIME_UNLIMITED);
    offer(&anchors, 9, INT64_MAX);
    anchors_advance(&anchors, INT64_MAX);
    assert_int_equal(anchors_start(&anchors)->offset, 7);
    anchors_fini(&anchors);
}

static void test_ends_of_time(void **state)
{
    (void)state;
    struct anchors anchors;
    anchors_init(&anchors, TIME_UNLIMITED - 1);
    offer(&anchors, 0, TIME_NEVER);
    assert_true(anchors_wants(&anchors, INT64_MAX));
    offer(&anchors, 1, INT64_MAX - 10);
    anchors_advance(&anchors, INT64_MAX);
    assert_int_equal(anchors_start(&anchors)->offset, 0);
    anchors_fini(&anchors);
}

static void test_plan_change(void **state)
{
    (void)state;
    struct anchors anchors;
    anchors_init(&anchors, 100);
    offer(&anchors, 0, TIME_NEVER);
    offer(&anchors, 10, 1000);
    offer(&anchors, 20, 1020);
    anchors_change_horizon(&anchors, 30, 40);
    offer(&anchors, 30, 1030);
    /* Behind the change the new horizon counts, before it both, one after the other. */
    anchors_advance(&anchors, 1070);
    assert_int_equal(anchors_start(&anchors)->offset, 0);
    anchors_advance(&anchors, 1071);
    assert_int_equal(anchors_start(&anchors)->offset, 30);
    anchors_fini(&anchors);

    anchors_init(&anchors, 40);
    offer(&anchors, 0, TIME_NEVER);
    offer(&anchors, 10, 1000);
    anchors_change_horizon(&anchors, 30, 100);
    anchors_advance(&anchors, 1140);
    assert_int_equal(anchors_start(&anchors)->offset, 0);
    anchors_advance(&anchors, 1141);
    assert_int_equal(anchors_start(&anchors)->offset, 10);
    anchors_fini(&anchors);
}

static void test_several_plan_changes(void **state)
{
    (void)state;
    struct anchors anchors;
    anchors_init(&anchors, TIME_UNLIMITED);
    offer(&anchors, 0, 0);
    offer(&anchors, 10, INT64_C(200000000000000000));
    anchors_change_horizon(&anchors, 30, 100);
    assert_int_equal(anchors.horizon_us, 100);
    anchors_change_horizon(&anchors, 30, 10);
    anchors_advance(&anchors, INT64_C(253402300799999999));
    assert_int_equal(anchors_start(&anchors)->offset, 0);
    offer(&anchors, 30, INT64_C(200000000000000100));
    anchors_advance(&anchors, INT64_C(200000000000000111));
    assert_int_equal(anchors_start(&anchors)->offset, 30);
    /* The unlimited plan has nothing to say any more: no anchor lies in it. */
    anchors_change_horizon(&anchors, 40, 20);
    assert_int_equal(anchors.changed_horizon_us, 30);
    anchors_change_horizon(&anchors, 50, 5);
    assert_int_equal(anchors.changed_horizon_us, 35);
    anchors_fini(&anchors);
}

static void fill_anchors(struct anchors *anchors)
{
    anchors_init(anchors, 160);
    for (int64_t i = 0; i < 3; i++) {
        struct anchor anchor = {
            .offset = 5 + i,
            .greatest_us = 1000 * (i + 1),
            .candidates = {.count = (uint32_t)i},
            .record_hash = {(uint64_t)i, 7},
        };
        for (uint32_t k = 0; k < anchor.candidates.count; k++) {
            anchor.candidates.items[k] =
                (struct candidate){.key = {k, 3}, .offset = k, .event_time_us = -9};
        }
        struct anchor *items = memory_realloc(anchors->items, (size_t)(i + 1) * sizeof *items);
        items[i] = anchor;
        anchors->items = items;
        anchors->count = anchors->capacity = (uint32_t)(i + 1);
    }
    anchors->changed_offset = 6;
    anchors->changed_horizon_us = 300;
}

static void test_written_and_read(void **state)
{
    (void)state;
    struct anchors anchors;
    fill_anchors(&anchors);
    struct buffer form = {0};
    anchors_write(&anchors, &form);
    struct anchors copy;
    anchors_init(&copy, 1);
    offer(&copy, 3, 3);
    struct reader in = reader_of(bytes_of(form.data, form.size));
    struct error err = {0};
    assert_int_equal(anchors_read(&copy, &in, &err), STATUS_OK);
    assert_ptr_equal(in.at, in.end);
    assert_int_equal(copy.horizon_us, 160);
    assert_int_equal(copy.changed_offset, 6);
    assert_int_equal(copy.changed_horizon_us, 300);
    assert_int_equal(copy.count, 3);
    assert_int_equal(copy.items[2].candidates.count, 2);
    assert_int_equal(copy.items[2].candidates.items[1].event_time_us, -9);
    struct buffer again = {0};
    anchors_write(&copy, &again);
    assert_int_equal(again.size, form.size);
    assert_memory_equal(again.data, form.data, form.size);
    buffer_fini(&form);
    buffer_fini(&again);
    anchors_fini(&anchors);
    anchors_fini(&copy);
}

static void assert_refused(const uint8_t *data, size_t size)
{
    struct anchors copy;
    anchors_init(&copy, 1);
    struct reader in = reader_of(bytes_of(data, size));
    struct error err = {0};
    assert_int_equal(anchors_read(&copy, &in, &err), STATUS_FATAL);
    assert_string_equal(err.code, "snapshot.corrupt");
    assert_int_equal(copy.horizon_us, 1);
    anchors_fini(&copy);
}

static void test_broken_forms(void **state)
{
    (void)state;
    struct anchors anchors;
    fill_anchors(&anchors);
    struct buffer form = {0};
    anchors_write(&anchors, &form);
    for (size_t size = 0; size < form.size; size++) {
        assert_refused(form.data, size);
    }
    /* Out of order, an impossible count, a negative horizon. */
    form.data[28] = 99;
    assert_refused(form.data, form.size);
    form.data[28] = 5;
    form.data[24 + 3] = 0xFF;
    assert_refused(form.data, form.size);
    form.data[24 + 3] = 0;
    form.data[7] = 0x80;
    assert_refused(form.data, form.size);
    buffer_fini(&form);
    anchors_fini(&anchors);

    struct buffer many = {0};
    buffer_append_u32(&many, CANDIDATES_MAX + 1);
    for (int i = 0; i < 40; i++) {
        buffer_append_u64(&many, 0);
    }
    struct reader in = reader_of(bytes_of(many.data, many.size));
    struct candidates candidates;
    candidates_read(&candidates, &in);
    assert_true(in.failed);
    assert_int_equal(candidates.count, 0);
    buffer_fini(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_stays_until_one_qualifies),
        cmocka_unit_test(test_sixteenth_of_the_horizon),
        cmocka_unit_test(test_advance),
        cmocka_unit_test(test_batch_cuts_do_not_matter),
        cmocka_unit_test(test_horizon_zero),
        cmocka_unit_test(test_unlimited_horizon),
        cmocka_unit_test(test_ends_of_time),
        cmocka_unit_test(test_plan_change),
        cmocka_unit_test(test_several_plan_changes),
        cmocka_unit_test(test_written_and_read),
        cmocka_unit_test(test_broken_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
