#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/time.h"
#include "gen/reading.h"
#include "gen/truth.h"
#include "gen/workload.h"

/* The start of FUTURE is beyond 2100, and the workloads here end before 2026-02-01. */
#define WRITTEN_US (INT64_C(1769904000) * TIME_US_PER_SECOND)

static struct workload *new_workload(const struct workload_options *options)
{
    struct workload *workload;
    struct error err = {0};
    assert_int_equal(workload_new(options, &workload, &err), STATUS_OK);
    return workload;
}

static struct workload_options options_of(uint64_t record_count)
{
    struct workload_options options;
    workload_options_init(&options);
    options.record_count = record_count;
    return options;
}

static struct workload_options clean_options_of(uint64_t record_count)
{
    struct workload_options options = options_of(record_count);
    memset(options.shares, 0, sizeof options.shares);
    return options;
}

/* Over everything that a record says. */
static struct hash128 hash_of(const struct workload_options *options)
{
    static const uint8_t key[HASH_KEY_BYTES] = {1, 2, 3};
    struct hash_secret secret;
    hash_secret_init(&secret, key);
    struct workload *workload = new_workload(options);
    struct workload_record record;
    struct buffer text = {0};
    struct hash128 sum = {0, 0};
    while (workload_next(workload, &record)) {
        buffer_clear(&text);
        buffer_append_u64(&text, record.number);
        buffer_append_u32(&text, record.partition);
        buffer_append_u8(&text, (uint8_t)record.kind);
        buffer_append_u8(&text, bytes_is_none(record.value));
        buffer_append_sized(&text, record.key.data, record.key.size);
        if (record.value.size > 0) {
            buffer_append(&text, record.value.data, record.value.size);
        }
        sum = hash_add(sum, hash_bytes(&secret, text.data, text.size));
    }
    buffer_fini(&text);
    workload_free(workload);
    return sum;
}

static void same_options_give_the_same_bytes(void **state)
{
    (void)state;
    struct workload_options options = options_of(50000);
    struct hash128 first = hash_of(&options);
    assert_true(hash_equal(first, hash_of(&options)));
    options.seed = 2;
    assert_false(hash_equal(first, hash_of(&options)));
}

/* The bytes are the same on every machine and from one version to the next: figures in demos and
 * benches depend on it. */
static void first_records_are_known(void **state)
{
    (void)state;
    struct workload_options options = clean_options_of(2);
    struct workload *workload = new_workload(&options);
    struct workload_record record;
    char text[1024];
    assert_true(workload_next(workload, &record));
    snprintf(text, sizeof text, "%.*s %u %.*s", (int)record.key.size, (const char *)record.key.data,
             record.partition, (int)record.value.size, (const char *)record.value.data);
    assert_string_equal(
        text,
        "s-00596 0 {\"message_id\":\"019b76da-a800-75b8-bc0d-5ef24fa6a992\","
        "\"sensor_id\":\"s-00596\","
        "\"event_time\":\"2026-01-01T00:00:00.000165Z\",\"temperature\":-4.69,\"humidity\":52.6,"
        "\"pressure\":981.14,\"battery\":54,\"site\":\"east\"}");
    assert_true(workload_next(workload, &record));
    assert_false(workload_next(workload, &record));
    assert_false(workload_next(workload, &record));
    workload_free(workload);
}

static void writes_readings(void **state)
{
    (void)state;
    struct reading_writer writer;
    reading_writer_init(&writer, 1);
    struct reading reading = {
        .number = 0,
        .event_time_us = INT64_C(1709164799999999),
        .sensor = 99999,
        .temperature_centi = -5,
        .humidity_deci = -12,
        .pressure_centi = 101325,
        .battery = -7,
        .site = SITE_TEST,
    };
    char text[READING_TEXT_BYTES + 1];
    text[reading_write(&writer, &reading, text)] = '\0';
    assert_non_null(
        strstr(text, ",\"sensor_id\":\"s-99999\",\"event_time\":\"2024-02-28T23:59:59.999999Z\","
                     "\"temperature\":-0.05,\"humidity\":-1.2,\"pressure\":1013.25,"
                     "\"battery\":-7,\"site\":\"test\"}"));
    static const int64_t times_us[] = {0,
                                       -1,
                                       INT64_C(1709164800000000),
                                       INT64_C(951868799000001),
                                       INT64_C(4107542400000000),
                                       INT64_C(253402300799999999)};
    static const char *const times[] = {
        "\"1970-01-01T00:00:00.000000Z\"", "\"1969-12-31T23:59:59.999999Z\"",
        "\"2024-02-29T00:00:00.000000Z\"", "\"2000-02-29T23:59:59.000001Z\"",
        "\"2100-03-01T00:00:00.000000Z\"", "\"9999-12-31T23:59:59.999999Z\""};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char field[READING_FIELD_BYTES];
        reading.event_time_us = times_us[i];
        size_t size = reading_write_field(&writer, &reading, READING_EVENT_TIME, field);
        assert_int_equal(size, strlen(times[i]));
        assert_memory_equal(field, times[i], size);
    }
    reading_write_sensor_id(12345, text);
    assert_memory_equal(text, "s-12345", READING_SENSOR_ID_BYTES);
}

static void shares_are_as_asked(void **state)
{
    (void)state;
    enum { COUNT = 200000 };
    struct workload_options options = options_of(COUNT);
    struct workload *workload = new_workload(&options);
    struct workload_record record;
    double counts[WORKLOAD_KIND_COUNT] = {0};
    double size = 0;
    while (workload_next(workload, &record)) {
        counts[record.kind]++;
        size += (double)record.value.size;
    }
    double dirty = 0;
    for (unsigned kind = WORKLOAD_CLEAN + 1; kind < WORKLOAD_KIND_COUNT; kind++) {
        double expected = options.shares[kind] * COUNT;
        dirty += options.shares[kind];
        if (fabs(counts[kind] - expected) > 5 * sqrt(expected)) {
            fail_msg("%s: %.0f instead of %.0f", workload_kind_name((enum workload_kind)kind),
                     counts[kind], expected);
        }
    }
    assert_true(dirty > 0.11 && dirty < 0.13);
    assert_true(size / COUNT > 195 && size / COUNT < 210);
    workload_free(workload);
}

/* Keys go where Kafka's default partitioner puts them, whatever the value says. */
static void keys_choose_the_partition(void **state)
{
    (void)state;
    struct workload_options options = options_of(20000);
    options.partition_count = 7;
    struct workload *workload = new_workload(&options);
    struct workload_record record;
    unsigned counts[7] = {0};
    while (workload_next(workload, &record)) {
        assert_int_equal(record.key.size, 7);
        assert_int_equal(record.partition, hash_partition(record.key, 7));
        counts[record.partition]++;
    }
    for (unsigned partition = 0; partition < 7; partition++) {
        assert_true(counts[partition] > 1000);
    }
    workload_free(workload);
}

static void no_record_breaks_the_line(void **state)
{
    (void)state;
    struct workload_options options = options_of(100000);
    for (unsigned kind = WORKLOAD_CLEAN + 1; kind < WORKLOAD_KIND_COUNT; kind++) {
        options.shares[kind] = 1.0 / (WORKLOAD_KIND_COUNT - 1);
    }
    struct workload *workload = new_workload(&options);
    struct workload_record record;
    while (workload_next(workload, &record)) {
        if (record.value.size > 0) {
            assert_null(memchr(record.value.data, '\n', record.value.size));
            assert_null(memchr(record.value.data, '\r', record.value.size));
        }
    }
    workload_free(workload);
}

struct tally {
    unsigned verdicts[TRUTH_VERDICT_COUNT];
    unsigned count;
};

/* Half of the records of that kind, half of them clean: what becomes of the former. The latter are
 * all VALID. */
static struct tally tally_of(enum workload_kind kind, const char *reason)
{
    struct workload_options options = clean_options_of(20000);
    options.shares[kind] = 0.5;
    struct workload *workload = new_workload(&options);
    struct truth *truth = truth_new(&(struct truth_options){options.partition_count, NULL});
    struct workload_record record;
    struct truth_result result;
    struct tally tally = {0};
    unsigned reason_count = 0;
    while (workload_next(workload, &record)) {
        truth_judge(truth, record.partition, WRITTEN_US, record.value, &result);
        if (record.kind == kind) {
            tally.verdicts[result.verdict]++;
            tally.count++;
            reason_count += strcmp(result.reason, reason) == 0;
        } else if (result.verdict != TRUTH_VALID) {
            fail_msg("a clean record is %s", result.reason);
        }
    }
    if (reason_count == 0) {
        fail_msg("%s is never %s", workload_kind_name(kind), reason);
    }
    truth_free(truth);
    workload_free(workload);
    return tally;
}

static double share(struct tally tally, enum truth_verdict verdict)
{
    return (double)tally.verdicts[verdict] / tally.count;
}

static void kinds_do_what_they_say(void **state)
{
    (void)state;
    static const struct {
        enum workload_kind kind;
        enum truth_verdict verdict;
        double least; /* share of that verdict */
        const char *reason;
    } cases[] = {
        {WORKLOAD_UNPARSABLE, TRUTH_INVALID, 1, "decode.encoding"},
        {WORKLOAD_EMPTY, TRUTH_INVALID, 1, "decode.null_value"},
        {WORKLOAD_REPEATED_KEY, TRUTH_INVALID, 1, "decode.syntax"},
        {WORKLOAD_WRONG_TYPE, TRUTH_INVALID, 0.45, "schema.type"},
        {WORKLOAD_WRONG_TYPE, TRUTH_VALID, 0.45, ""},
        {WORKLOAD_OUT_OF_RANGE, TRUTH_INVALID, 1, "schema.range"},
        {WORKLOAD_CONSTRAINT, TRUTH_INVALID, 1, "schema.enum"},
        {WORKLOAD_EXTREME, TRUTH_INVALID, 1, "schema.range"},
        {WORKLOAD_MISSING, TRUTH_INVALID, 0.4, "schema.required"},
        {WORKLOAD_SENTINEL, TRUTH_VALID, 0.5, ""},
        {WORKLOAD_SENTINEL, TRUTH_INVALID, 0.1, "repair.no_value"},
        {WORKLOAD_BAD_TIME, TRUTH_INVALID, 1, "time.unparsable"},
        {WORKLOAD_DUPLICATE, TRUTH_DUPLICATE, 0.95, "duplicate"},
        {WORKLOAD_LATE, TRUTH_LATE, 0.95, "late"},
        {WORKLOAD_FUTURE, TRUTH_INVALID, 1, "time.future"},
        {WORKLOAD_OUT_OF_ORDER, TRUTH_VALID, 0.95, ""},
        {WORKLOAD_TEST_SITE, TRUTH_FILTERED, 1, "filter.where"},
        {WORKLOAD_DEW_POINT, TRUTH_INVALID, 0.8, "check.dew_point"},
        {WORKLOAD_DEW_POINT, TRUTH_VALID, 0.05, ""},
        {WORKLOAD_LOW_BATTERY, TRUTH_VALID, 1, ""},
        {WORKLOAD_VARIANT, TRUTH_VALID, 1, ""},
        {WORKLOAD_SEVERAL, TRUTH_INVALID, 0.5, "schema.required"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tally tally = tally_of(cases[i].kind, cases[i].reason);
        assert_true(tally.count > 9000);
        if (share(tally, cases[i].verdict) < cases[i].least) {
            fail_msg("%s: %.3f of them %s", workload_kind_name(cases[i].kind),
                     share(tally, cases[i].verdict), truth_verdict_name(cases[i].verdict));
        }
    }
}

/* With the default shares every reason of the pipeline occurs, and the answers do not depend on the
 * moment of writing. */
static void every_reason_occurs(void **state)
{
    (void)state;
    static const char *const reasons[] = {
        "decode.syntax",   "decode.encoding", "decode.null_value", "schema.required",
        "schema.type",     "schema.range",    "schema.length",     "schema.pattern",
        "schema.enum",     "time.missing",    "time.unparsable",   "time.future",
        "repair.no_value", "check.dew_point", "duplicate",         "late",
        "filter.where"};
    struct workload_options options = options_of(100000);
    struct workload *workload = new_workload(&options);
    struct truth_options truth_options = {options.partition_count, NULL};
    struct truth *truth = truth_new(&truth_options);
    struct truth *another_day = truth_new(&truth_options);
    struct workload_record record;
    struct truth_result result;
    while (workload_next(workload, &record)) {
        truth_judge(truth, record.partition, workload_last_event_time_us(&options), record.value,
                    &result);
        truth_judge(another_day, record.partition, INT64_C(4102444800) * TIME_US_PER_SECOND,
                    record.value, &result);
    }
    struct buffer out = {0};
    struct buffer other = {0};
    truth_write_summary(truth, &out);
    truth_write_summary(another_day, &other);
    assert_string_equal(buffer_string(&out), buffer_string(&other));
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        char member[64];
        snprintf(member, sizeof member, "\"%s\":", reasons[i]);
        if (strstr(buffer_string(&out), member) == NULL) {
            fail_msg("%s", reasons[i]);
        }
    }
    buffer_fini(&out);
    buffer_fini(&other);
    truth_free(truth);
    truth_free(another_day);
    workload_free(workload);
}

static void assert_refused(const struct workload_options *options, const char *message)
{
    struct workload *workload = NULL;
    struct error err = {0};
    assert_int_equal(workload_new(options, &workload, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "gen.option");
    assert_non_null(strstr(err.message, message));
    assert_null(workload);
}

static void refuses_wrong_options(void **state)
{
    (void)state;
    struct workload_options options = options_of(10);
    options.shares[WORKLOAD_LATE] = -0.1;
    assert_refused(&options, "late");
    options.shares[WORKLOAD_LATE] = (double)NAN;
    assert_refused(&options, "late");
    options.shares[WORKLOAD_LATE] = 0.99;
    assert_refused(&options, "together");
    options = options_of(10);
    options.partition_count = 0;
    assert_refused(&options, "partitions");
    options = options_of(10);
    options.sensor_count = WORKLOAD_SENSORS_MAX + 1;
    assert_refused(&options, "sensors");
    options = options_of(10);
    options.rate_per_second = 0;
    assert_refused(&options, "rate");
    assert_true(workload_default_first_event_time_us(&options, WRITTEN_US) < 0);
    options = options_of(10);
    options.first_event_time_us = 0;
    assert_refused(&options, "event times");
    options = options_of(UINT64_MAX);
    assert_refused(&options, "event times");
}

static void default_times_end_an_hour_ago(void **state)
{
    (void)state;
    struct workload_options options = options_of(5000000);
    options.first_event_time_us = workload_default_first_event_time_us(&options, WRITTEN_US);
    assert_int_equal(options.first_event_time_us, WRITTEN_US - 8600 * TIME_US_PER_SECOND);
    assert_int_equal(workload_last_event_time_us(&options), WRITTEN_US - 3600 * TIME_US_PER_SECOND);
}

static void finds_kinds_by_name(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < WORKLOAD_KIND_COUNT; kind++) {
        enum workload_kind found;
        assert_true(workload_kind_find(workload_kind_name((enum workload_kind)kind), &found));
        assert_int_equal(found, kind);
        assert_true(strlen(workload_kind_text(found)) > 0);
    }
    enum workload_kind found;
    assert_false(workload_kind_find("lates", &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_options_give_the_same_bytes),
        cmocka_unit_test(first_records_are_known),
        cmocka_unit_test(writes_readings),
        cmocka_unit_test(shares_are_as_asked),
        cmocka_unit_test(keys_choose_the_partition),
        cmocka_unit_test(no_record_breaks_the_line),
        cmocka_unit_test(kinds_do_what_they_say),
        cmocka_unit_test(every_reason_occurs),
        cmocka_unit_test(refuses_wrong_options),
        cmocka_unit_test(default_times_end_an_hour_ago),
        cmocka_unit_test(finds_kinds_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
