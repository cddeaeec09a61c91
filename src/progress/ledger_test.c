#include "progress/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"

/* Counts, names and ranges that collide often, so that joining is what is tested. */
static void fill_random(struct prng *prng, struct ledger *ledger)
{
    static const char *const names[] = {"late", "", "check.a", "schema.range", "duplicate", "é"};
    uint64_t name_count = sizeof names / sizeof names[0];
    for (unsigned i = VERDICT_VALID; i < VERDICT_COUNT; i++) {
        ledger->verdicts[i] += prng_below(prng, 100);
        ledger->in += ledger->verdicts[i];
    }
    ledger->in_bytes = prng_next(prng);
    ledger->in_sum = (struct hash128){prng_next(prng), prng_next(prng)};
    for (unsigned i = 0; i < REPAIR_COUNT; i++) {
        ledger->repairs[i] = prng_below(prng, 5);
    }
    ledger->replayed = prng_below(prng, 3);
    ledger->lost = prng_below(prng, 3);
    for (uint64_t i = prng_below(prng, 8); i > 0; i--) {
        ledger_add_reason(ledger, names[prng_below(prng, name_count)], prng_below(prng, 9));
        ledger_add_warning(ledger, names[prng_below(prng, name_count)], prng_below(prng, 9));
    }
    for (uint64_t i = prng_below(prng, 5); i > 0; i--) {
        struct ledger_sink *sink = ledger_sink(ledger, names[prng_below(prng, name_count)]);
        sink->written += prng_below(prng, 50);
        sink->rejected += prng_below(prng, 3);
        sink->routed = sink->written + sink->rejected;
        sink->sum = hash_add(sink->sum, (struct hash128){prng_next(prng), prng_next(prng)});
        int64_t first = (int64_t)prng_below(prng, 1000) - 10;
        ledger_sink_extend_range(sink, (uint32_t)prng_below(prng, 4), first,
                                 first + (int64_t)prng_below(prng, 30));
    }
}

static void assert_forms_equal(const struct ledger *a, const struct ledger *b)
{
    struct buffer forms[2] = {{0}, {0}};
    ledger_write(a, &forms[0]);
    ledger_write(b, &forms[1]);
    assert_int_equal(forms[0].size, forms[1].size);
    assert_memory_equal(forms[0].data, forms[1].data, forms[0].size);
    buffer_fini(&forms[0]);
    buffer_fini(&forms[1]);
}

static void test_round_trips(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        struct ledger ledger = {0};
        fill_random(&prng, &ledger);
        struct buffer form = {0};
        ledger_write(&ledger, &form);
        buffer_append_byte(&form, 'x');
        struct ledger read = {0};
        struct reader in = reader_of(bytes_of(form.data, form.size));
        ledger_read(&read, &in);
        assert_false(in.failed);
        assert_int_equal(reader_u8(&in), 'x');
        assert_forms_equal(&ledger, &read);
        assert_true(ledger_equal(&ledger, &read, true, NULL));
        assert_true(ledger_is_balanced(&read, NULL));
        struct ledger copy = {0};
        ledger_add_reason(&copy, "to be replaced", 1);
        ledger_copy(&copy, &ledger);
        assert_forms_equal(&ledger, &copy);
        ledger_clear(&copy);
        struct ledger empty = {0};
        assert_forms_equal(&empty, &copy);
        buffer_fini(&form);
        ledger_fini(&ledger);
        ledger_fini(&read);
        ledger_fini(&copy);
    }
}

/* Adding is the same in any order and grouping. */
static void test_adding(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        struct ledger parts[3] = {{0}, {0}, {0}};
        struct ledger sums[2] = {{0}, {0}};
        for (int i = 0; i < 3; i++) {
            fill_random(&prng, &parts[i]);
        }
        ledger_add(&sums[0], &parts[0]);
        ledger_add(&sums[0], &parts[1]);
        ledger_add(&sums[0], &parts[2]);
        ledger_copy(&sums[1], &parts[2]);
        ledger_add(&parts[1], &parts[0]);
        ledger_add(&sums[1], &parts[1]);
        assert_forms_equal(&sums[0], &sums[1]);
        for (int i = 0; i < 3; i++) {
            ledger_fini(&parts[i]);
        }
        ledger_fini(&sums[0]);
        ledger_fini(&sums[1]);
    }
}

static void test_joins_by_name(void **state)
{
    (void)state;
    struct ledger a = {.in = 5, .in_bytes = 50, .in_sum = {UINT64_MAX, 0}};
    struct ledger b = {.in = 2, .in_bytes = 20, .in_sum = {1, 0}};
    a.verdicts[VERDICT_LATE] = 5;
    b.verdicts[VERDICT_LATE] = 2;
    b.repairs[REPAIR_COERCE] = 3;
    ledger_add_reason(&a, "late", 5);
    ledger_add_reason(&b, "late", 2);
    ledger_add_reason(&b, "duplicate", 1);
    ledger_add_warning(&b, "battery_low", 4);
    ledger_sink(&a, "readings")->written = 3;
    ledger_sink_extend_range(ledger_sink(&a, "readings"), 2, 10, 19);
    ledger_sink(&b, "dlq")->routed = 1;
    ledger_sink(&b, "readings")->written = 4;
    ledger_sink_extend_range(ledger_sink(&b, "readings"), 2, 25, 30);
    ledger_sink_extend_range(ledger_sink(&b, "readings"), 0, 7, 7);
    ledger_add(&a, &b);
    assert_int_equal(a.in, 7);
    assert_int_equal(a.in_bytes, 70);
    assert_true(hash_equal(a.in_sum, (struct hash128){0, 1}));
    assert_int_equal(a.verdicts[VERDICT_LATE], 7);
    assert_int_equal(a.repairs[REPAIR_COERCE], 3);
    assert_int_equal(a.reason_count, 2);
    assert_string_equal(a.reasons[0].name, "duplicate");
    assert_int_equal(a.reasons[1].count, 7);
    assert_int_equal(a.warning_count, 1);
    assert_int_equal(a.sink_count, 2);
    const struct ledger_sink *sink = ledger_find_sink(&a, "readings");
    assert_int_equal(sink->written, 7);
    assert_int_equal(sink->range_count, 2);
    assert_int_equal(sink->ranges[0].partition, 0);
    assert_int_equal(sink->ranges[0].first_offset, 7);
    assert_int_equal(sink->ranges[1].first_offset, 10);
    assert_int_equal(sink->ranges[1].last_offset, 30);
    assert_int_equal(ledger_find_sink(&a, "dlq")->routed, 1);
    assert_null(ledger_find_sink(&a, "archive"));
    ledger_fini(&a);
    ledger_fini(&b);
}

/* Each change of one thing is found and told. */
static void assert_differs(const struct ledger *a, const struct ledger *b, bool with_sinks,
                           const char *expected)
{
    struct buffer difference = {0};
    assert_false(ledger_equal(a, b, with_sinks, &difference));
    assert_string_equal(buffer_string(&difference), expected);
    assert_false(ledger_equal(a, b, with_sinks, NULL));
    assert_false(ledger_equal(b, a, with_sinks, NULL));
    buffer_fini(&difference);
}

static void test_equal(void **state)
{
    (void)state;
    struct ledger a = {0};
    struct ledger b = {0};
    assert_true(ledger_equal(&a, &b, true, NULL));
    b.in = 1;
    assert_differs(&a, &b, false, "in is 0 on one side and 1 on the other");
    a.in = 1;
    b.verdicts[VERDICT_LATE] = 2;
    assert_differs(&a, &b, false, "verdict LATE is 0 on one side and 2 on the other");
    a.verdicts[VERDICT_LATE] = 2;
    a.repairs[REPAIR_COERCE] = 1;
    assert_differs(&a, &b, false, "repair coerce is 1 on one side and 0 on the other");
    b.repairs[REPAIR_COERCE] = 1;
    a.in_bytes = 9;
    assert_differs(&a, &b, false, "bytes in is 9 on one side and 0 on the other");
    b.in_bytes = 9;
    a.replayed = 4;
    assert_differs(&a, &b, false, "replayed is 4 on one side and 0 on the other");
    b.replayed = 4;
    a.lost = 4;
    assert_differs(&a, &b, false, "lost is 4 on one side and 0 on the other");
    b.lost = 4;
    a.in_sum.high = 255;
    assert_differs(&a, &b, false,
                   "the sum of inputs is 00000000000000ff0000000000000000 on one side and "
                   "00000000000000000000000000000000 on the other");
    b.in_sum.high = 255;
    ledger_add_reason(&a, "b", 1);
    ledger_add_reason(&b, "a", 0);
    ledger_add_reason(&b, "b", 1);
    assert_true(ledger_equal(&a, &b, true, NULL));
    ledger_add_reason(&a, "c", 3);
    assert_differs(&a, &b, false, "reason c is 3 on one side and 0 on the other");
    ledger_add_reason(&b, "c", 3);
    ledger_add_warning(&b, "w", 3);
    assert_differs(&a, &b, false, "warning w is 0 on one side and 3 on the other");
    ledger_fini(&a);
    ledger_fini(&b);
}

static void test_equal_sinks(void **state)
{
    (void)state;
    struct ledger a = {0};
    struct ledger b = {0};
    ledger_sink(&a, "idle");
    ledger_sink_extend_range(ledger_sink(&a, "idle"), 1, 2, 3);
    assert_true(ledger_equal(&a, &b, true, NULL));
    ledger_sink(&b, "t")->routed = 2;
    assert_true(ledger_equal(&a, &b, false, NULL));
    assert_differs(&a, &b, true, "rows routed to t is 0 on one side and 2 on the other");
    ledger_sink(&a, "t")->routed = 2;
    ledger_sink(&a, "t")->written = 2;
    assert_differs(&a, &b, true, "rows written to t is 2 on one side and 0 on the other");
    ledger_sink(&b, "t")->written = 2;
    ledger_sink(&b, "t")->rejected = 1;
    assert_differs(&a, &b, true, "rows rejected by t is 0 on one side and 1 on the other");
    ledger_sink(&a, "t")->rejected = 1;
    ledger_sink(&a, "t")->sum.low = 1;
    assert_differs(&a, &b, true,
                   "the sum of rows written to t is 00000000000000000000000000000001 on one side "
                   "and 00000000000000000000000000000000 on the other");
    ledger_fini(&a);
    ledger_fini(&b);
}

static void test_balance(void **state)
{
    (void)state;
    struct ledger ledger = {.in = 3};
    struct buffer difference = {0};
    ledger.verdicts[VERDICT_VALID] = 2;
    assert_false(ledger_is_balanced(&ledger, &difference));
    assert_string_equal(buffer_string(&difference), "3 records came in and 2 have a verdict");
    /* A row that was never decided does not count. */
    ledger.verdicts[VERDICT_NONE] = 1;
    assert_false(ledger_is_balanced(&ledger, NULL));
    ledger.verdicts[VERDICT_NONE] = 0;
    ledger.verdicts[VERDICT_FILTERED] = 1;
    assert_true(ledger_is_balanced(&ledger, NULL));
    ledger_sink(&ledger, "t")->routed = 3;
    ledger_sink(&ledger, "t")->written = 1;
    ledger_sink(&ledger, "t")->rejected = 1;
    buffer_clear(&difference);
    assert_false(ledger_is_balanced(&ledger, &difference));
    assert_string_equal(buffer_string(&difference),
                        "3 rows were routed to t, 1 were written and 1 rejected");
    ledger_sink(&ledger, "t")->rejected = 2;
    assert_true(ledger_is_balanced(&ledger, NULL));
    buffer_fini(&difference);
    ledger_fini(&ledger);
}

static void test_json(void **state)
{
    (void)state;
    struct ledger ledger = {.in = UINT64_MAX, .in_bytes = 2, .in_sum = {1, 2}};
    for (unsigned i = VERDICT_VALID; i < VERDICT_COUNT; i++) {
        ledger.verdicts[i] = i;
    }
    ledger.repairs[REPAIR_FILL_LAST_BY] = 6;
    ledger.replayed = 7;
    ledger.lost = 8;
    ledger_add_reason(&ledger, "late", 4);
    ledger_add_reason(&ledger, "check.a", 1);
    ledger_add_warning(&ledger, "a \"b\"\\\n", 1);
    struct ledger_sink *sink = ledger_sink(&ledger, "dlq");
    sink->routed = 9;
    sink->written = 8;
    sink->rejected = 1;
    sink->sum.high = 3;
    ledger_sink_extend_range(sink, 1, 5, 6);
    ledger_sink_extend_range(sink, 0, 0, INT64_MAX);
    ledger_sink(&ledger, "t");
    struct buffer json = {0};
    ledger_write_json(&ledger, &json);
    assert_string_equal(
        buffer_string(&json),
        "{\"in\":18446744073709551615,\"in_bytes\":2,"
        "\"in_sum\":\"00000000000000020000000000000001\","
        "\"verdicts\":{\"valid\":1,\"invalid\":2,\"duplicate\":3,\"late\":4,\"filtered\":5},"
        "\"repairs\":{\"null_value\":0,\"coerce\":0,\"fill_value\":0,\"fill_last_by\":6},"
        "\"replayed\":7,\"lost\":8,"
        "\"reasons\":{\"check.a\":1,\"late\":4},"
        "\"warnings\":{\"a \\\"b\\\"\\\\\\u000a\":1},"
        "\"sinks\":{\"dlq\":{\"routed\":9,\"written\":8,\"rejected\":1,"
        "\"sum\":\"00000000000000030000000000000000\","
        "\"ranges\":[{\"partition\":0,\"first_offset\":0,\"last_offset\":9223372036854775807},"
        "{\"partition\":1,\"first_offset\":5,\"last_offset\":6}]},"
        "\"t\":{\"routed\":0,\"written\":0,\"rejected\":0,"
        "\"sum\":\"00000000000000000000000000000000\",\"ranges\":[]}}}");
    buffer_clear(&json);
    struct ledger empty = {0};
    ledger_write_json(&empty, &json);
    assert_non_null(strstr(buffer_string(&json), "\"reasons\":{},\"warnings\":{},\"sinks\":{}}"));
    buffer_fini(&json);
    ledger_fini(&ledger);
}

static void assert_refused(const uint8_t *data, size_t size)
{
    struct ledger read = {0};
    struct reader in = reader_of(bytes_of(data, size));
    ledger_read(&read, &in);
    assert_true(in.failed);
    ledger_fini(&read);
}

static void test_broken_forms(void **state)
{
    (void)state;
    struct prng prng;
    struct ledger ledger = {0};
    prng_init(&prng, 3);
    while (ledger.sink_count < 3 || ledger.reason_count < 3) {
        fill_random(&prng, &ledger);
    }
    struct buffer form = {0};
    ledger_write(&ledger, &form);
    for (size_t size = 0; size < form.size; size++) {
        assert_refused(form.data, size);
    }
    buffer_fini(&form);
    ledger_fini(&ledger);
}

/* Names out of order, twice, or with a NUL; ranges the wrong way round: no ledger writes such. */
static void test_impossible_forms(void **state)
{
    (void)state;
    struct ledger ledger = {0};
    ledger_add_reason(&ledger, "aa", 1);
    ledger_add_reason(&ledger, "bb", 1);
    ledger_sink_extend_range(ledger_sink(&ledger, "t"), 1, 5, 5);
    ledger_sink_extend_range(ledger_sink(&ledger, "t"), 2, 5, 5);
    struct buffer form = {0};
    ledger_write(&ledger, &form);
    size_t first_reason = 8 + 8 + 16 + 10 * 8 + 2 * 8 + 4;
    assert_memory_equal(form.data + first_reason, "\2\0\0\0aa", 6);
    const uint8_t names[][2] = {{'b', 'b'}, {'c', 'a'}, {'a', 0}};
    for (size_t i = 0; i < 3; i++) {
        memcpy(form.data + first_reason + 4, names[i], 2);
        assert_refused(form.data, form.size);
    }
    memcpy(form.data + first_reason + 4, "aa", 2);
    size_t range = form.size - 20;
    form.data[range] = 1; /* the partition of the range before */
    assert_refused(form.data, form.size);
    form.data[range] = 2;
    form.data[range + 4] = 6; /* first after last */
    assert_refused(form.data, form.size);
    form.data[range + 4] = 5;
    struct ledger read = {0};
    struct reader in = reader_of(bytes_of(form.data, form.size));
    ledger_read(&read, &in);
    assert_false(in.failed);
    ledger_fini(&read);
    buffer_fini(&form);
    ledger_fini(&ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_adding),
        cmocka_unit_test(test_joins_by_name),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_equal_sinks),
        cmocka_unit_test(test_balance),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_broken_forms),
        cmocka_unit_test(test_impossible_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
