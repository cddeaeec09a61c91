/*
 * Each rule of the stages as a short log that one can follow with a finger. Times are seconds since
 * START; the lateness is 600, max_age 300, the window 1800, max_future 300 (examples/iot.yaml).
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "gen/truth.h"

#define START_US (INT64_C(1767225600) * TIME_US_PER_SECOND)
/* The moment of writing: ten days later. */
#define WRITTEN_US (START_US + 864000 * TIME_US_PER_SECOND)

#define REST "\"pressure\":1013.2,\"battery\":80,\"site\":\"north\""
#define WARM "\"temperature\":20.5,"
#define GOOD WARM "\"humidity\":50," REST
#define DRY WARM REST /* no humidity */

static int setup(void **state)
{
    *state = truth_new(&(struct truth_options){.partition_count = 2});
    return 0;
}

static int teardown(void **state)
{
    truth_free(*state);
    return 0;
}

static struct truth_result judge(struct truth *truth, uint32_t partition, const char *text)
{
    struct truth_result result;
    truth_judge(truth, partition, WRITTEN_US, bytes_of_string(text), &result);
    return result;
}

static void assert_result(const struct truth_result *result, const char *verdict,
                          const char *reason, const char *text)
{
    if (strcmp(truth_verdict_name(result->verdict), verdict) != 0 ||
        strcmp(result->reason, reason) != 0) {
        fail_msg("%s: %s %s instead of %s %s", text, truth_verdict_name(result->verdict),
                 result->reason, verdict, reason);
    }
}

/* The reason of a text; the verdict follows from it. */
static void expect_text(struct truth *truth, const char *text, const char *reason)
{
    struct truth_result result = judge(truth, 0, text);
    assert_result(&result, *reason == '\0' ? "VALID" : "INVALID", reason, text);
}

static void format_row(char text[1024], const char *id, const char *sensor, double seconds,
                       const char *rest)
{
    char time[TIME_TEXT_BYTES];
    time_format(START_US + (int64_t)(seconds * 1e6), time);
    snprintf(text, 1024, "{\"message_id\":\"%s\",\"sensor_id\":\"%s\",\"event_time\":\"%s\",%s}",
             id, sensor, time, rest);
}

static struct truth_result expect(struct truth *truth, const char *id, const char *sensor,
                                  double seconds, const char *rest, const char *verdict,
                                  const char *reason)
{
    char text[1024];
    format_row(text, id, sensor, seconds, rest);
    struct truth_result result = judge(truth, 0, text);
    assert_result(&result, verdict, reason, text);
    return result;
}

/* A good row that only moves the watermark to `seconds` - 600. */
static void move_to(struct truth *truth, double seconds)
{
    static unsigned number;
    char id[32];
    snprintf(id, sizeof id, "mover-%u", number++);
    expect(truth, id, "s-99999", seconds, GOOD, "VALID", "");
}

/* --- Decoding and the contract. --- */

static void decodes(void **state)
{
    struct truth *truth = *state;
    struct truth_result result;
    truth_judge(truth, 0, WRITTEN_US, BYTES_NONE, &result);
    assert_result(&result, "INVALID", "decode.null_value", "tombstone");
    assert_true(bytes_is_none(result.message_id));
    expect_text(truth, "", "decode.syntax");
    expect_text(truth, "{\"message_id\":\"a\"", "decode.syntax");
    expect_text(truth, "{\"message_id\":\"a\",}", "decode.syntax");
    expect_text(truth, "{\"message_id\":\"a\",\"message_id\":\"a\"}", "decode.syntax");
    expect_text(truth, "{\"x\":\"\xff\"}", "decode.encoding");
    expect_text(truth, "{\"x\":\"\\ud800\"}", "decode.encoding");
    expect_text(truth, "[1]", "schema.type");
    expect_text(truth, "null", "schema.type");
    expect_text(truth, "{}", "time.missing");
    static char large[1024 * 1024 + 1];
    memset(large, ' ', sizeof large);
    truth_judge(truth, 0, WRITTEN_US, bytes_of(large, sizeof large), &result);
    assert_result(&result, "INVALID", "decode.too_large", "1 MiB and a byte");
    truth_judge(truth, 0, WRITTEN_US, bytes_of(large, sizeof large - 1), &result);
    assert_result(&result, "INVALID", "decode.syntax", "1 MiB of spaces");
}

/* One row with the given members instead of a good row's. */
static void expect_members(struct truth *truth, const char *id, const char *sensor,
                           const char *others, const char *reason)
{
    char text[2048];
    snprintf(text, sizeof text,
             "{\"message_id\":%s,\"sensor_id\":%s,\"event_time\":\"2026-01-01T00:00:00Z\",%s}", id,
             sensor, others);
    expect_text(truth, text, reason);
}

static void judges_texts(void **state)
{
    struct truth *truth = *state;
    expect_members(truth, "\"\"", "\"s-00001\"", GOOD, "schema.required");
    expect_members(truth, "null", "\"s-00001\"", GOOD, "schema.required");
    expect_members(truth, "-999", "\"s-00001\"", GOOD, "schema.required");
    expect_members(truth, "12", "\"s-00001\"", GOOD, "schema.type");
    expect_members(truth, "{}", "\"s-00001\"", GOOD, "schema.type");
    /* 64 characters, then 65; each of two bytes. */
    char id[256] = "\"";
    for (int i = 0; i < 64; i++) {
        strcat(id, "\xc3\xa9");
    }
    strcat(id, "\"");
    expect_members(truth, id, "\"s-00001\"", GOOD, "");
    id[strlen(id) - 1] = '\0';
    strcat(id, "x\"");
    expect_members(truth, id, "\"s-00001\"", GOOD, "schema.length");
    expect_members(truth, "\"a\"", "\"N/A\"", GOOD, "schema.required");
    expect_members(truth, "\"b\"", "17", GOOD, "schema.type");
    expect_members(truth, "\"c\"", "\"s-0001\"", GOOD, "schema.pattern");
    expect_members(truth, "\"d\"", "\"s-000001\"", GOOD, "schema.pattern");
    expect_members(truth, "\"e\"", "\"S-00001\"", GOOD, "schema.pattern");
    expect_members(truth, "\"f\"", "\"s-0000a\"", GOOD, "schema.pattern");
    expect_members(truth, "\"g\"", "\"s-00001\\n\"", GOOD, "schema.pattern");
    expect_members(truth, "\"h\"", "\"s\\u002d00001\"", GOOD, "");
}

static void judges_temperature(void **state)
{
    struct truth *truth = *state;
    static const struct {
        const char *temperature;
        const char *reason;
    } cases[] = {
        {"-60", "check.dew_point"},
        {"-60.01", "schema.range"},
        {"85", ""},
        {"85.0000000001", "schema.range"},
        {"1e400", "schema.range"},
        {"-1e400", "schema.range"},
        {"99999999999999999999", "schema.range"},
        {"2.05e1", ""},
        {"\"20.5\"", ""},
        {"\"2.05e1\"", ""},
        {"\"-0\"", ""},
        {"\"86\"", "schema.range"},
        {"\"hot\"", "schema.type"},
        {"\" 20.5\"", "schema.type"},
        {"\"20.5 \"", "schema.type"},
        {"\"+20.5\"", "schema.type"},
        {"\"020.5\"", "schema.type"},
        {"\"20,5\"", "schema.type"},
        {"\"true\"", "schema.type"},
        {"\"null\"", "schema.type"},
        {"\"0x14\"", "schema.type"},
        {"true", "schema.type"},
        {"[20.5]", "schema.type"},
        {"{}", "schema.type"},
        {"null", "schema.required"},
        {"\"\"", "schema.required"},
        {"\"N/A\"", "schema.required"},
        {"\"\\u004e\\/A\"", "schema.required"},
        {"\"NaN\"", "schema.required"},
        {"-999", "schema.required"},
        {"-999.0", "schema.required"},
        {"-9.99e2", "schema.required"},
        {"\"-999\"", "schema.range"},
        {"999", "schema.range"},
        {"\"nan\"", "schema.type"},
        {"\"n/a\"", "schema.type"},
        {"\" \"", "schema.type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char id[16];
        char others[512];
        snprintf(id, sizeof id, "\"m%zu\"", i);
        snprintf(others, sizeof others, "\"temperature\":%s,\"humidity\":50," REST,
                 cases[i].temperature);
        expect_members(truth, id, "\"s-00001\"", others, cases[i].reason);
    }
    expect_members(truth, "\"n\"", "\"s-00001\"", "\"humidity\":50," REST, "schema.required");
}

static void judges_other_fields(void **state)
{
    struct truth *truth = *state;
    static const struct {
        const char *others;
        const char *reason;
    } cases[] = {
        {"\"humidity\":0", ""},
        {"\"humidity\":100.0", ""},
        {"\"humidity\":-0.1", "schema.range"},
        {"\"humidity\":\"55.5\"", ""},
        {"\"humidity\":\"wet\"", "schema.type"},
        {"\"humidity\":false", "schema.type"},
        {"\"humidity\":50,\"pressure\":300", ""},
        {"\"humidity\":50,\"pressure\":299.99", "schema.range"},
        {"\"humidity\":50,\"pressure\":1100.01", "schema.range"},
        {"\"humidity\":50,\"pressure\":\"1013\"", "schema.type"},
        {"\"humidity\":50,\"pressure\":-999", ""},
        {"\"humidity\":50,\"pressure\":null", ""},
        {"\"humidity\":50,\"battery\":0", ""},
        {"\"humidity\":50,\"battery\":100", ""},
        {"\"humidity\":50,\"battery\":101", "schema.range"},
        {"\"humidity\":50,\"battery\":-1", "schema.range"},
        {"\"humidity\":50,\"battery\":87.0", ""},
        {"\"humidity\":50,\"battery\":8.7e1", ""},
        {"\"humidity\":50,\"battery\":87.5", "schema.type"},
        {"\"humidity\":50,\"battery\":1e400", "schema.range"},
        {"\"humidity\":50,\"battery\":9223372036854775808", "schema.range"},
        {"\"humidity\":50,\"battery\":\"87\"", "schema.type"},
        {"\"humidity\":50,\"battery\":true", "schema.type"},
        {"\"humidity\":50,\"battery\":\"N/A\"", ""},
        {"\"humidity\":50,\"internal_note\":\"n\"", ""},
        {"\"humidity\":50,\"internal_note\":1", "schema.type"},
        {"\"humidity\":50,\"internal_note\":null", ""},
        {"\"humidity\":50,\"other\":{\"site\":\"test\"}", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char id[16];
        char others[512];
        snprintf(id, sizeof id, "\"m%zu\"", i);
        snprintf(others, sizeof others, WARM "\"site\":\"south\",%s", cases[i].others);
        expect_members(truth, id, "\"s-00001\"", others, cases[i].reason);
    }
    expect_members(truth, "\"a\"", "\"s-00001\"", WARM "\"humidity\":50,\"site\":\"North\"",
                   "schema.enum");
    expect_members(truth, "\"b\"", "\"s-00001\"", WARM "\"humidity\":50,\"site\":3", "schema.type");
}

/* The order of the schema decides, not that of the record; event time comes before all fields. */
static void takes_the_first_violation(void **state)
{
    struct truth *truth = *state;
    expect_members(truth, "\"a\"", "\"x\"",
                   "\"site\":\"x\",\"battery\":101,\"temperature\":\"hot\"", "schema.pattern");
    expect_members(truth, "\"a\"", "\"s-00001\"",
                   "\"site\":\"x\",\"battery\":101,\"temperature\":\"hot\"", "schema.type");
    expect_members(truth, "\"a\"", "\"s-00001\"",
                   "\"site\":\"x\",\"battery\":101," WARM "\"pressure\":1", "repair.no_value");
    expect_members(truth, "\"a\"", "\"s-00001\"",
                   "\"site\":\"x\",\"battery\":101,\"humidity\":1," WARM "\"pressure\":1",
                   "schema.range");
    expect_members(truth, "\"a\"", "\"s-00001\"",
                   "\"site\":\"x\",\"battery\":1.5,\"humidity\":1," WARM "\"pressure\":900",
                   "schema.type");
    expect_members(truth, "7", "\"x\"", GOOD, "schema.type");
    expect_members(truth, "\"a\"", "\"s-00001\"",
                   WARM "\"humidity\":1,\"battery\":1.5,\"pressure\":1", "schema.range");
    expect_text(truth, "{\"message_id\":1,\"temperature\":\"hot\"}", "time.missing");
    expect_text(truth, "{\"message_id\":1,\"event_time\":\"now\"}", "time.unparsable");
    expect(truth, "a", "x", 865000, GOOD, "INVALID", "time.future");
}

/* --- Event time and lateness. --- */

static void vets_event_time(void **state)
{
    struct truth *truth = *state;
    static const struct {
        const char *time;
        const char *reason;
    } cases[] = {
        {"null", "time.missing"},
        {"\"\"", "time.missing"},
        {"\"N/A\"", "time.missing"},
        {"-999", "time.missing"},
        {"1767225600", "time.unparsable"},
        {"true", "time.unparsable"},
        {"\"2026-01-01\"", "time.unparsable"},
        {"\"2026-02-30T00:00:00Z\"", "time.unparsable"},
        {"\"2026-01-01T00:00:00\"", "time.unparsable"},
        {"\"2026-01-01T00:00:00+01:00\"", ""},
        {"\"2026-01-01t00:00:00.5z\"", ""},
        {"\"2026-01-11T00:05:00Z\"", ""},
        {"\"2026-01-11T00:05:00.000001Z\"", "time.future"},
        {"\"2126-01-01T00:00:00Z\"", "time.future"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{\"message_id\":\"m%zu\",\"sensor_id\":\"s-00001\",\"event_time\":%s," GOOD "}",
                 i, cases[i].time);
        expect_text(truth, text, cases[i].reason);
    }
}

static void judges_lateness_before_the_row(void **state)
{
    struct truth *truth = *state;
    expect(truth, "a", "s-00001", 1000, GOOD, "VALID", "");
    expect(truth, "b", "s-00001", 400, GOOD, "VALID", "");
    expect(truth, "c", "s-00001", 399.999999, GOOD, "LATE", "late");
    /* Far ahead: not late itself, but what is behind it then is. */
    expect(truth, "d", "s-00001", 5000, GOOD, "VALID", "");
    expect(truth, "e", "s-00001", 4399, GOOD, "LATE", "late");
    expect(truth, "f", "s-00001", 4400, GOOD, "VALID", "");
}

static void moves_the_watermark_by_vetted_rows_only(void **state)
{
    struct truth *truth = *state;
    move_to(truth, 1000);
    expect(truth, "a", "s-00001", 864301, GOOD, "INVALID", "time.future");
    expect_text(truth, "{\"event_time\":\"2026-01-01T01:00:00\"}", "time.unparsable");
    expect_text(truth, "{\"event_time\":\"2026-01-01T01:00:00Z\",}", "decode.syntax");
    expect(truth, "b", "s-00001", 400, GOOD, "VALID", "");
    /* Whatever becomes of the row. */
    expect(truth, "c", "x", 1100, GOOD, "INVALID", "schema.pattern");
    expect(truth, "d", "s-00001", 499, GOOD, "LATE", "late");
    expect(truth, "e", "s-00001", 1200, WARM "\"humidity\":50,\"site\":\"test\"", "FILTERED",
           "filter.where");
    expect(truth, "f", "s-00001", 599, GOOD, "LATE", "late");
    expect(truth, "f", "s-00001", 600, GOOD, "VALID", "");
    expect(truth, "f", "s-00001", 1300, GOOD, "DUPLICATE", "duplicate");
    expect(truth, "g", "s-00001", 699, GOOD, "LATE", "late");
}

static void keeps_partitions_apart(void **state)
{
    struct truth *truth = *state;
    char text[1024];
    move_to(truth, 10000);
    format_row(text, "a", "s-00001", 0, GOOD);
    struct truth_result result = judge(truth, 1, text);
    assert_result(&result, "VALID", "", text);
    result = judge(truth, 0, text);
    assert_result(&result, "LATE", "late", text);
    format_row(text, "b", "s-00001", 0, DRY);
    result = judge(truth, 1, text);
    assert_result(&result, "VALID", "", text);
    format_row(text, "c", "s-00001", 10000, DRY);
    result = judge(truth, 0, text);
    assert_result(&result, "INVALID", "repair.no_value", text);
}

/* --- Fill. --- */

static void fills_by_the_latest_value(void **state)
{
    struct truth *truth = *state;
    expect(truth, "a", "s-00001", 0, DRY, "INVALID", "repair.no_value");
    expect(truth, "b", "s-00001", 100, WARM "\"humidity\":90," REST, "VALID", "");
    expect(truth, "c", "s-00002", 100, DRY, "INVALID", "repair.no_value");
    expect(truth, "d", "s-00001", 100, DRY, "VALID", "");
    expect(truth, "e", "s-00001", 99.999999, DRY, "INVALID", "repair.no_value");
    expect(truth, "f", "s-00001", 400, DRY, "VALID", "");
    expect(truth, "g", "s-00001", 400.000001, DRY, "INVALID", "repair.no_value");
}

/* Which value it was shows at the dew point: at -30 °C the humidity must be below 75. */
#define COLD "\"temperature\":-30," REST
#define COLD_AT(humidity) "\"temperature\":-30,\"humidity\":" humidity "," REST

static void prefers_the_latest_event_time_then_the_later_offset(void **state)
{
    struct truth *truth = *state;
    expect(truth, "a", "s-00001", 100, WARM "\"humidity\":90," REST, "VALID", "");
    expect(truth, "b", "s-00001", 50, WARM "\"humidity\":10," REST, "VALID", "");
    expect(truth, "c", "s-00001", 110, COLD, "INVALID", "check.dew_point");
    expect(truth, "d", "s-00001", 100, WARM "\"humidity\":10," REST, "VALID", "");
    expect(truth, "e", "s-00001", 110, COLD, "VALID", "");
}

static void feeds_by_what_the_record_says(void **state)
{
    struct truth *truth = *state;
    /* A filled value is none that fills: after b, a's value is still of 100. */
    expect(truth, "a", "s-00001", 100, GOOD, "VALID", "");
    expect(truth, "b", "s-00001", 300, DRY, "VALID", "");
    expect(truth, "c", "s-00001", 401, DRY, "INVALID", "repair.no_value");
    /* A value outside its constraints does not feed; neither does null nor a sentinel. */
    expect(truth, "d", "s-00002", 100, WARM "\"humidity\":101," REST, "INVALID", "schema.range");
    expect(truth, "e", "s-00002", 100, WARM "\"humidity\":\"x\"," REST, "INVALID", "schema.type");
    expect(truth, "f", "s-00002", 100, WARM "\"humidity\":-999," REST, "INVALID",
           "repair.no_value");
    expect(truth, "g", "s-00002", 100, DRY, "INVALID", "repair.no_value");
    /* Whatever its row's verdict: INVALID elsewhere, FILTERED, DUPLICATE. A coerced value is the
     * record's own. */
    expect(truth, "h", "s-00003", 100, "\"temperature\":\"hot\",\"humidity\":50," REST, "INVALID",
           "schema.type");
    expect(truth, "i", "s-00003", 101, DRY, "VALID", "");
    expect(truth, "j", "s-00004", 100, WARM "\"humidity\":\"50\",\"site\":\"test\"", "FILTERED",
           "filter.where");
    expect(truth, "k", "s-00004", 101, DRY, "VALID", "");
    expect(truth, "a", "s-00005", 100, GOOD, "DUPLICATE", "duplicate");
    expect(truth, "l", "s-00005", 101, DRY, "VALID", "");
    /* Without vetted event time it neither feeds nor is filled. */
    expect(truth, "m", "s-00006", 865000, GOOD, "INVALID", "time.future");
    expect(truth, "n", "s-00006", 400, DRY, "INVALID", "repair.no_value");
    expect_text(truth, "{\"message_id\":\"o\",\"sensor_id\":\"s-00006\"," GOOD "}", "time.missing");
    expect(truth, "p", "s-00006", 400, DRY, "INVALID", "repair.no_value");
    /* Nor does a row from the future stand in the way of those that follow. */
    expect(truth, "q", "s-00006", 400, GOOD, "VALID", "");
    expect(truth, "r", "s-00006", 401, DRY, "VALID", "");
}

/* Late rows feed and are filled, as long as the watermark after the row has not left the value
 * behind. */
static void expires_fills_by_the_watermark(void **state)
{
    struct truth *truth = *state;
    expect(truth, "a", "s-00001", 1000, GOOD, "VALID", "");
    move_to(truth, 1900); /* watermark 1300 = 1000 + max_age */
    expect(truth, "b", "s-00001", 1200, DRY, "LATE", "late");
    move_to(truth, 1900.000001);
    expect(truth, "c", "s-00001", 1200, DRY, "INVALID", "repair.no_value");
    expect(truth, "d", "s-00001", 1301, GOOD, "VALID", "");
    move_to(truth, 2000);
    expect(truth, "e", "s-00001", 1380, GOOD, "LATE", "late");
    expect(truth, "f", "s-00001", 1390, DRY, "LATE", "late");
    /* Near enough to e, but the watermark of 1700 is beyond 1380 + max_age. */
    move_to(truth, 2300);
    expect(truth, "g", "s-00001", 1600, DRY, "INVALID", "repair.no_value");
}

static void fills_the_battery(void **state)
{
    struct truth *truth = *state;
    expect(truth, "a", "s-00001", 0, WARM "\"humidity\":50,\"site\":\"east\"", "VALID", "");
    expect(truth, "b", "s-00001", 0, WARM "\"humidity\":50,\"battery\":\"\",\"site\":\"east\"",
           "VALID", "");
    struct buffer out = {0};
    truth_write_summary(truth, &out);
    assert_non_null(strstr(buffer_string(&out), "\"repaired\":{\"null_value\":1,\"coerce\":0,"
                                                "\"fill_value\":2,\"fill_last_by\":0},"
                                                "\"warned\":{\"check.battery_low\":0}"));
    buffer_fini(&out);
}

/* --- Checks and where. --- */

static void checks_the_dew_point(void **state)
{
    struct truth *truth = *state;
    expect(truth, "a", "s-00001", 0, COLD_AT("74.9"), "VALID", "");
    expect(truth, "b", "s-00001", 0, COLD_AT("75"), "INVALID", "check.dew_point");
    expect(truth, "c", "s-00001", 0, COLD_AT("75.1"), "INVALID", "check.dew_point");
    /* 54 / 5 is 10.8, not 10: an integer in the text is still a number. */
    expect(truth, "d", "s-00001", 0, "\"temperature\":-34.5,\"humidity\":54," REST, "INVALID",
           "check.dew_point");
    expect(truth, "e", "s-00001", 0, "\"temperature\":-34.1,\"humidity\":54," REST, "VALID", "");
}

static void only_warns_of_a_low_battery(void **state)
{
    struct truth *truth = *state;
    expect(truth, "a", "s-00001", 0, WARM "\"humidity\":50,\"battery\":9,\"site\":\"east\"",
           "VALID", "");
    expect(truth, "b", "s-00001", 0, WARM "\"humidity\":50,\"battery\":10,\"site\":\"east\"",
           "VALID", "");
    expect(truth, "c", "s-00001", 0, WARM "\"humidity\":500,\"battery\":9,\"site\":\"east\"",
           "INVALID", "schema.range");
    expect(truth, "a", "s-00001", 0, WARM "\"humidity\":50,\"battery\":9,\"site\":\"east\"",
           "DUPLICATE", "duplicate");
    expect(truth, "d", "s-00001", 0, WARM "\"humidity\":50,\"battery\":9,\"site\":\"test\"",
           "FILTERED", "filter.where");
    struct buffer out = {0};
    truth_write_summary(truth, &out);
    assert_non_null(strstr(buffer_string(&out), "\"warned\":{\"check.battery_low\":1}"));
    buffer_fini(&out);
}

static void filters(void **state)
{
    struct truth *truth = *state;
    const char *test = WARM "\"humidity\":50,\"site\":\"test\"";
    expect(truth, "a", "s-00001", 0, test, "FILTERED", "filter.where");
    expect(truth, "b", "s-00001", 0, WARM "\"humidity\":50", "FILTERED", "filter.where");
    expect(truth, "c", "s-00001", 0, WARM "\"humidity\":50,\"site\":\"N/A\"", "FILTERED",
           "filter.where");
    /* Checks come before it, dedup and lateness after it. */
    expect(truth, "d", "s-00001", 0, "\"temperature\":-50,\"humidity\":50,\"site\":\"test\"",
           "INVALID", "check.dew_point");
    expect(truth, "e", "s-00001", 0, GOOD, "VALID", "");
    expect(truth, "e", "s-00001", 0, test, "FILTERED", "filter.where");
    move_to(truth, 1000);
    expect(truth, "f", "s-00001", 0, test, "FILTERED", "filter.where");
}

/* --- Dedup. --- */

static void finds_duplicates(void **state)
{
    struct truth *truth = *state;
    struct truth_result result;
    expect(truth, "a", "s-00001", 0, GOOD, "VALID", "");
    result = expect(truth, "a", "s-00001", 0, GOOD, "DUPLICATE", "duplicate");
    assert_int_equal(result.witness_offset, 0);
    result = expect(truth, "a", "s-00002", 60, GOOD, "DUPLICATE", "duplicate");
    assert_int_equal(result.witness_offset, 1);
    expect(truth, "b", "s-00001", 0, GOOD, "VALID", "");
    /* The id is compared as it is meant, not as it is written. */
    result = expect(truth, "\\u0062", "s-00001", 0, GOOD, "DUPLICATE", "duplicate");
    assert_int_equal(result.witness_offset, 3);
}

/* What is INVALID or FILTERED does not register: the corrected resend counts. */
static void registers_good_rows_only(void **state)
{
    struct truth *truth = *state;
    expect(truth, "a", "s-00001", 0, "\"temperature\":\"hot\",\"humidity\":50," REST, "INVALID",
           "schema.type");
    expect(truth, "a", "s-00001", 0, GOOD, "VALID", "");
    expect(truth, "b", "s-00001", 0, COLD_AT("90"), "INVALID", "check.dew_point");
    expect(truth, "b", "s-00001", 0, GOOD, "VALID", "");
    expect(truth, "c", "s-00001", 0, WARM "\"humidity\":50,\"site\":\"test\"", "FILTERED",
           "filter.where");
    expect(truth, "c", "s-00001", 0, GOOD, "VALID", "");
    /* And a broken resend is INVALID, not DUPLICATE. */
    expect(truth, "c", "s-00001", 0, COLD_AT("90"), "INVALID", "check.dew_point");
}

static void late_rows_are_only_looked_up(void **state)
{
    struct truth *truth = *state;
    struct truth_result result;
    expect(truth, "a", "s-00001", 0, GOOD, "VALID", "");
    move_to(truth, 1000);
    result = expect(truth, "a", "s-00001", 0, GOOD, "DUPLICATE", "duplicate");
    assert_int_equal(result.witness_offset, 0);
    /* It did not become the witness. */
    result = expect(truth, "a", "s-00001", 900, GOOD, "DUPLICATE", "duplicate");
    assert_int_equal(result.witness_offset, 0);
    expect(truth, "b", "s-00001", 100, GOOD, "LATE", "late");
    expect(truth, "b", "s-00001", 100, GOOD, "LATE", "late");
    expect(truth, "b", "s-00001", 1000, GOOD, "VALID", "");
    expect(truth, "b", "s-00001", 100, GOOD, "DUPLICATE", "duplicate");
}

static void forgets_after_the_window(void **state)
{
    struct truth *truth = *state;
    expect(truth, "a", "s-00001", 0, GOOD, "VALID", "");
    move_to(truth, 2400); /* watermark 1800 = 0 + window */
    expect(truth, "a", "s-00001", 0, GOOD, "DUPLICATE", "duplicate");
    move_to(truth, 2400.000001);
    expect(truth, "a", "s-00001", 0, GOOD, "LATE", "late");
    expect(truth, "a", "s-00001", 2400, GOOD, "VALID", "");
    expect(truth, "a", "s-00001", 2400, GOOD, "DUPLICATE", "duplicate");
}

/* A sighting that is not late moves the end of the memory; an earlier event time does not move it
 * back. */
static void refreshes(void **state)
{
    struct truth *truth = *state;
    expect(truth, "a", "s-00001", 0, GOOD, "VALID", "");
    expect(truth, "a", "s-00001", 1000, GOOD, "DUPLICATE", "duplicate");
    expect(truth, "a", "s-00001", 500, GOOD, "DUPLICATE", "duplicate");
    move_to(truth, 3400); /* watermark 2800 = 1000 + window */
    struct truth_result result = expect(truth, "a", "s-00001", 0, GOOD, "DUPLICATE", "duplicate");
    assert_int_equal(result.witness_offset, 2);
    move_to(truth, 3401);
    expect(truth, "a", "s-00001", 0, GOOD, "LATE", "late");
}

/* The row's own event time moves the watermark before its key is looked up. */
static void looks_up_by_the_watermark_after_the_row(void **state)
{
    struct truth *truth = *state;
    expect(truth, "a", "s-00001", 0, GOOD, "VALID", "");
    expect(truth, "a", "s-00001", 2401, GOOD, "VALID", "");
    expect(truth, "b", "s-00001", 2401, GOOD, "VALID", "");
    expect(truth, "b", "s-00001", 4801, GOOD, "DUPLICATE", "duplicate");
}

/* --- Results. --- */

static void writes_lines(void **state)
{
    (void)state;
    const uint64_t first_offsets[] = {0, 1000};
    struct truth *truth =
        truth_new(&(struct truth_options){.partition_count = 2, .first_offsets = first_offsets});
    struct buffer out = {0};
    char text[1024];
    format_row(text, "a\\\"\\\\\\n\xc3\xa9", "s-00001", 0, GOOD);
    struct truth_result result = judge(truth, 1, text);
    truth_write_line(&result, &out);
    result = judge(truth, 1, text);
    truth_write_line(&result, &out);
    result = judge(truth, 0, "{");
    truth_write_line(&result, &out);
    result = judge(truth, 0, "{\"message_id\":7}");
    truth_write_line(&result, &out);
    assert_string_equal(
        buffer_string(&out),
        "{\"id\":\"1-1000\",\"message_id\":\"a\\\"\\\\\\u000a\xc3\xa9\",\"verdict\":\"VALID\","
        "\"reason\":\"\"}\n"
        "{\"id\":\"1-1001\",\"message_id\":\"a\\\"\\\\\\u000a\xc3\xa9\","
        "\"verdict\":\"DUPLICATE\",\"reason\":\"duplicate\"}\n"
        "{\"id\":\"0-0\",\"message_id\":null,\"verdict\":\"INVALID\","
        "\"reason\":\"decode.syntax\"}\n"
        "{\"id\":\"0-1\",\"message_id\":null,\"verdict\":\"INVALID\","
        "\"reason\":\"time.missing\"}\n");
    buffer_clear(&out);
    truth_write_summary(truth, &out);
    assert_string_equal(
        buffer_string(&out),
        "{\"in\":4,\"verdicts\":{\"VALID\":1,\"INVALID\":2,\"DUPLICATE\":1,\"LATE\":0,"
        "\"FILTERED\":0},"
        "\"reasons\":{\"decode.syntax\":1,\"time.missing\":1,\"duplicate\":1},"
        "\"repaired\":{\"null_value\":0,\"coerce\":0,\"fill_value\":1,\"fill_last_by\":0},"
        "\"warned\":{\"check.battery_low\":0},\"partitions\":["
        "{\"partition\":0,\"in\":2,\"verdicts\":{\"VALID\":0,\"INVALID\":2,\"DUPLICATE\":0,"
        "\"LATE\":0,\"FILTERED\":0},"
        "\"reasons\":{\"decode.syntax\":1,\"time.missing\":1},"
        "\"repaired\":{\"null_value\":0,\"coerce\":0,\"fill_value\":1,\"fill_last_by\":0},"
        "\"warned\":{\"check.battery_low\":0}},"
        "{\"partition\":1,\"in\":2,\"verdicts\":{\"VALID\":1,\"INVALID\":0,\"DUPLICATE\":1,"
        "\"LATE\":0,\"FILTERED\":0},"
        "\"reasons\":{\"duplicate\":1},"
        "\"repaired\":{\"null_value\":0,\"coerce\":0,\"fill_value\":0,\"fill_last_by\":0},"
        "\"warned\":{\"check.battery_low\":0}}]}\n");
    buffer_fini(&out);
    truth_free(truth);
}

static void counts_repairs(void **state)
{
    struct truth *truth = *state;
    expect(truth, "a", "s-00001", 0,
           "\"temperature\":\"20\",\"humidity\":\"50\",\"pressure\":-999,"
           "\"battery\":\"N/A\",\"site\":\"east\",\"internal_note\":\"\"",
           "VALID", "");
    expect(truth, "b", "s-00001", 0, WARM "\"humidity\":\"NaN\"," REST, "VALID", "");
    expect(truth, "c", "s-00001", 0, WARM "\"humidity\":null," REST, "VALID", "");
    /* Also in rows that are INVALID: a coerced number out of range, a row without event time. */
    expect(truth, "d", "s-00001", 0, "\"temperature\":\"86\",\"humidity\":50," REST, "INVALID",
           "schema.range");
    expect_text(truth, "{\"event_time\":\"\",\"sensor_id\":\"s-00001\"}", "time.missing");
    struct buffer out = {0};
    truth_write_summary(truth, &out);
    assert_non_null(strstr(buffer_string(&out), "\"repaired\":{\"null_value\":5,\"coerce\":3,"
                                                "\"fill_value\":2,\"fill_last_by\":2}"));
    buffer_fini(&out);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(decodes),
        TEST(judges_texts),
        TEST(judges_temperature),
        TEST(judges_other_fields),
        TEST(takes_the_first_violation),
        TEST(vets_event_time),
        TEST(judges_lateness_before_the_row),
        TEST(moves_the_watermark_by_vetted_rows_only),
        TEST(keeps_partitions_apart),
        TEST(fills_by_the_latest_value),
        TEST(prefers_the_latest_event_time_then_the_later_offset),
        TEST(feeds_by_what_the_record_says),
        TEST(expires_fills_by_the_watermark),
        TEST(fills_the_battery),
        TEST(checks_the_dew_point),
        TEST(only_warns_of_a_low_battery),
        TEST(filters),
        TEST(finds_duplicates),
        TEST(registers_good_rows_only),
        TEST(late_rows_are_only_looked_up),
        TEST(forgets_after_the_window),
        TEST(refreshes),
        TEST(looks_up_by_the_watermark_after_the_row),
        TEST(writes_lines),
        TEST(counts_repairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
