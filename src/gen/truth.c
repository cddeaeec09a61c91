#include "gen/truth.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "gen/truth_memory.h"
#include "gen/truth_row.h"

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
/* Below every event time by more than any horizon. */
#define NEVER_US (INT64_MIN / 4)

/* The numbers of examples/iot.yaml. */
#define LATENESS_US (10 * MINUTE_US)
#define MAX_FUTURE_US (5 * MINUTE_US)
#define MAX_AGE_US (5 * MINUTE_US)
#define WINDOW_US (30 * MINUTE_US)
#define BATTERY_FILL 100.0
#define RECORD_BYTES_MAX (1024u * 1024u)

enum reason {
    NONE,
    DECODE_SYNTAX,
    DECODE_ENCODING,
    DECODE_TOO_LARGE,
    DECODE_NULL_VALUE,
    SCHEMA_REQUIRED,
    SCHEMA_TYPE,
    SCHEMA_RANGE,
    SCHEMA_LENGTH,
    SCHEMA_PATTERN,
    SCHEMA_ENUM,
    TIME_MISSING,
    TIME_UNPARSABLE,
    TIME_FUTURE,
    REPAIR_NO_VALUE,
    CHECK_DEW_POINT,
    DUPLICATE,
    LATE,
    FILTER_WHERE,
    REASON_COUNT,
};

static const char *const reason_names[REASON_COUNT] = {
    "",
    "decode.syntax",
    "decode.encoding",
    "decode.too_large",
    "decode.null_value",
    "schema.required",
    "schema.type",
    "schema.range",
    "schema.length",
    "schema.pattern",
    "schema.enum",
    "time.missing",
    "time.unparsable",
    "time.future",
    "repair.no_value",
    "check.dew_point",
    "duplicate",
    "late",
    "filter.where",
};

static const char *const verdict_names[TRUTH_VERDICT_COUNT] = {"VALID", "INVALID", "DUPLICATE",
                                                               "LATE", "FILTERED"};

enum repair { NULL_VALUE, COERCE, FILL_VALUE, FILL_LAST_BY, REPAIR_COUNT };

static const char *const repair_names[REPAIR_COUNT] = {"null_value", "coerce", "fill_value",
                                                       "fill_last_by"};

struct counts {
    uint64_t verdicts[TRUTH_VERDICT_COUNT];
    uint64_t reasons[REASON_COUNT];
    uint64_t repairs[REPAIR_COUNT];
    uint64_t battery_warnings;
};

struct partition {
    uint64_t next_offset;
    int64_t greatest_us;      /* greatest vetted event time so far */
    struct truth_memory seen; /* message_id → greatest event time of its sightings, latest offset */
    struct truth_memory humidities; /* sensor_id → event time and value of the latest humidity */
    struct counts counts;
};

struct truth {
    uint32_t partition_count;
    struct partition *partitions;
    struct truth_row row;
};

/* One record on its way. */
struct sight {
    struct partition *partition;
    struct truth_cell *cells;
    uint64_t offset;
    struct truth_key message; /* of message_id, if that is a text */
    bool vetted;
    int64_t event_time_us; /* if vetted */
    int64_t watermark_us;  /* after this row */
    bool late;
    double temperature; /* NAN: none */
    double humidity;
    double battery;
};

static void count_repair(struct sight *sight, enum repair repair)
{
    sight->partition->counts.repairs[repair]++;
}

/* --- Nulls. --- */

static bool text_is(struct bytes text, const char *string)
{
    return text.size == strlen(string) && memcmp(text.data, string, text.size) == 0;
}

static bool is_null_value(const struct truth_cell *cell)
{
    if (cell->kind == TRUTH_STRING) {
        return cell->text.size <= 3 && (text_is(cell->text, "") || text_is(cell->text, "N/A") ||
                                        text_is(cell->text, "NaN"));
    }
    double value;
    bool integral;
    return cell->kind == TRUTH_NUMBER && cell->text.data[0] == '-' &&
           truth_number(cell->text, &value, &integral) && value == -999.0;
}

/* No field's type lists null, so null and absent are the same. */
static void remove_nulls(struct sight *sight)
{
    for (unsigned field = 0; field < TRUTH_FIELD_COUNT; field++) {
        struct truth_cell *cell = &sight->cells[field];
        if (is_null_value(cell)) {
            count_repair(sight, NULL_VALUE);
            cell->kind = TRUTH_ABSENT;
        } else if (cell->kind == TRUTH_NULL) {
            cell->kind = TRUTH_ABSENT;
        }
    }
}

/* --- Event time. --- */

/* Vets the event time and moves the watermark. Lateness is judged by the watermark before this row.
 * */
static enum reason judge_time(struct sight *sight, int64_t timestamp_us)
{
    const struct truth_cell *cell = &sight->cells[TRUTH_EVENT_TIME];
    if (cell->kind == TRUTH_ABSENT) {
        return TIME_MISSING;
    }
    if (cell->kind != TRUTH_STRING || !truth_time(cell->text, &sight->event_time_us)) {
        return TIME_UNPARSABLE;
    }
    if (sight->event_time_us > timestamp_us + MAX_FUTURE_US) {
        return TIME_FUTURE;
    }
    struct partition *partition = sight->partition;
    sight->vetted = true;
    sight->late = sight->event_time_us < partition->greatest_us - LATENESS_US;
    if (sight->event_time_us > partition->greatest_us) {
        partition->greatest_us = sight->event_time_us;
    }
    sight->watermark_us = partition->greatest_us - LATENESS_US;
    return NONE;
}

/* --- The contract, field by field. --- */

static enum reason judge_message_id(struct sight *sight)
{
    const struct truth_cell *cell = &sight->cells[TRUTH_MESSAGE_ID];
    if (cell->kind == TRUTH_ABSENT) {
        return SCHEMA_REQUIRED;
    }
    if (cell->kind != TRUTH_STRING) {
        return SCHEMA_TYPE;
    }
    if (cell->text.size <= 64) { /* No fewer bytes than characters; "" is a null value. */
        return NONE;
    }
    size_t characters = 0;
    for (size_t i = 0; i < cell->text.size; i++) {
        characters += (cell->text.data[i] & 0xc0) != 0x80;
    }
    return characters > 64 ? SCHEMA_LENGTH : NONE;
}

static enum reason judge_sensor_id(struct sight *sight)
{
    const struct truth_cell *cell = &sight->cells[TRUTH_SENSOR_ID];
    if (cell->kind == TRUTH_ABSENT) {
        return SCHEMA_REQUIRED;
    }
    if (cell->kind != TRUTH_STRING) {
        return SCHEMA_TYPE;
    }
    if (cell->text.size != 7 || memcmp(cell->text.data, "s-", 2) != 0) {
        return SCHEMA_PATTERN;
    }
    for (size_t i = 2; i < 7; i++) {
        if (cell->text.data[i] < '0' || cell->text.data[i] > '9') {
            return SCHEMA_PATTERN;
        }
    }
    return NONE;
}

struct number_rule {
    enum truth_field field;
    bool integer;
    bool coerce; /* a text is taken too */
    double least;
    double greatest;
};

/* A number between its bounds; NAN where the cell is absent. */
static enum reason judge_number(struct sight *sight, const struct number_rule *rule, double *out)
{
    const struct truth_cell *cell = &sight->cells[rule->field];
    double value;
    bool integral;
    *out = NAN;
    if (cell->kind == TRUTH_ABSENT) {
        return NONE;
    }
    bool taken = cell->kind == TRUTH_NUMBER || (rule->coerce && cell->kind == TRUTH_STRING);
    if (!taken || !truth_number(cell->text, &value, &integral) || (rule->integer && !integral)) {
        return SCHEMA_TYPE;
    }
    if (cell->kind == TRUTH_STRING) {
        count_repair(sight, COERCE);
    }
    if (!(value >= rule->least && value <= rule->greatest)) {
        return SCHEMA_RANGE;
    }
    *out = value;
    return NONE;
}

static enum reason judge_temperature(struct sight *sight)
{
    static const struct number_rule rule = {TRUTH_TEMPERATURE, false, true, -60, 85};
    if (sight->cells[TRUTH_TEMPERATURE].kind == TRUTH_ABSENT) {
        return SCHEMA_REQUIRED;
    }
    return judge_number(sight, &rule, &sight->temperature);
}

/* Gives the value to later rows of the sensor, or takes theirs: fill last_by. */
static void feed_or_fill_humidity(struct sight *sight)
{
    const struct truth_cell *sensor = &sight->cells[TRUTH_SENSOR_ID];
    struct truth_memory *humidities = &sight->partition->humidities;
    if (!sight->vetted || sensor->kind != TRUTH_STRING) {
        return;
    }
    struct truth_key key = truth_key_of(sensor->text);
    struct truth_entry *latest = truth_memory_find(humidities, key);
    if (isnan(sight->humidity)) {
        if (latest != NULL && latest->event_time_us <= sight->event_time_us &&
            sight->event_time_us - latest->event_time_us <= MAX_AGE_US &&
            sight->watermark_us <= latest->event_time_us + MAX_AGE_US) {
            sight->humidity = latest->value;
            count_repair(sight, FILL_LAST_BY);
        }
    } else if (latest == NULL || sight->event_time_us >= latest->event_time_us) {
        latest = truth_memory_put(humidities, key, sight->watermark_us - MAX_AGE_US);
        latest->event_time_us = sight->event_time_us;
        latest->value = sight->humidity;
    }
}

static enum reason judge_humidity(struct sight *sight)
{
    static const struct number_rule rule = {TRUTH_HUMIDITY, false, true, 0, 100};
    enum reason reason = judge_number(sight, &rule, &sight->humidity);
    if (reason != NONE) {
        return reason;
    }
    feed_or_fill_humidity(sight);
    return isnan(sight->humidity) ? REPAIR_NO_VALUE : NONE;
}

static enum reason judge_pressure(struct sight *sight)
{
    static const struct number_rule rule = {TRUTH_PRESSURE, false, false, 300, 1100};
    double pressure;
    return judge_number(sight, &rule, &pressure);
}

static enum reason judge_battery(struct sight *sight)
{
    static const struct number_rule rule = {TRUTH_BATTERY, true, false, 0, 100};
    if (sight->cells[TRUTH_BATTERY].kind == TRUTH_ABSENT) {
        count_repair(sight, FILL_VALUE);
        sight->battery = BATTERY_FILL;
        return NONE;
    }
    return judge_number(sight, &rule, &sight->battery);
}

static enum reason judge_site(struct sight *sight)
{
    static const char *const sites[] = {"north", "south", "east", "west", "test"};
    const struct truth_cell *cell = &sight->cells[TRUTH_SITE];
    if (cell->kind == TRUTH_ABSENT) {
        return NONE;
    }
    if (cell->kind != TRUTH_STRING) {
        return SCHEMA_TYPE;
    }
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        if (text_is(cell->text, sites[i])) {
            return NONE;
        }
    }
    return SCHEMA_ENUM;
}

static enum reason judge_internal_note(struct sight *sight)
{
    enum truth_kind kind = sight->cells[TRUTH_INTERNAL_NOTE].kind;
    return kind == TRUTH_ABSENT || kind == TRUTH_STRING ? NONE : SCHEMA_TYPE;
}

/* The first violation in the schema's order. All fields are looked at, because each may repair or
 * feed. What the contract has against event_time, judge_time() has said before. */
static enum reason judge_contract(struct sight *sight)
{
    static enum reason (*const judges[])(struct sight * sight) = {
        judge_message_id, judge_sensor_id, judge_temperature, judge_humidity,
        judge_pressure,   judge_battery,   judge_site,        judge_internal_note};
    enum reason first = NONE;
    for (size_t i = 0; i < sizeof judges / sizeof judges[0]; i++) {
        enum reason reason = judges[i](sight);
        first = first == NONE ? reason : first;
    }
    return first;
}

/* --- The later stages. --- */

static enum reason judge_checks(const struct sight *sight)
{
    return sight->temperature > -45 + sight->humidity / 5 ? NONE : CHECK_DEW_POINT;
}

static enum reason judge_where(const struct sight *sight)
{
    const struct truth_cell *site = &sight->cells[TRUTH_SITE];
    return site->kind == TRUTH_STRING && !text_is(site->text, "test") ? NONE : FILTER_WHERE;
}

static enum reason judge_dedup(struct sight *sight, uint64_t *out_witness)
{
    struct truth_memory *seen = &sight->partition->seen;
    struct truth_entry *sighting = truth_memory_find(seen, sight->message);
    if (sighting != NULL && sight->watermark_us <= sighting->event_time_us + WINDOW_US) {
        *out_witness = sighting->offset;
        if (!sight->late) {
            sighting->offset = sight->offset;
            if (sight->event_time_us > sighting->event_time_us) {
                sighting->event_time_us = sight->event_time_us;
            }
        }
        return DUPLICATE;
    }
    if (!sight->late) {
        sighting = truth_memory_put(seen, sight->message, sight->watermark_us - WINDOW_US);
        sighting->event_time_us = sight->event_time_us;
        sighting->offset = sight->offset;
    }
    return NONE;
}

/* From the cells to the reason. */
static enum reason judge_row(struct sight *sight, int64_t timestamp_us, uint64_t *out_witness)
{
    remove_nulls(sight);
    if (sight->cells[TRUTH_MESSAGE_ID].kind == TRUTH_STRING) {
        sight->message = truth_key_of(sight->cells[TRUTH_MESSAGE_ID].text);
        truth_memory_prefetch(&sight->partition->seen, sight->message);
    }
    enum reason time = judge_time(sight, timestamp_us);
    enum reason contract = judge_contract(sight);
    enum reason reason = time != NONE ? time : contract;
    if (reason == NONE) {
        reason = judge_checks(sight);
    }
    if (reason == NONE) {
        reason = judge_where(sight);
    }
    if (reason == NONE) {
        reason = judge_dedup(sight, out_witness);
    }
    reason = reason == NONE && sight->late ? LATE : reason;
    if (reason == NONE && sight->battery < 10) {
        sight->partition->counts.battery_warnings++;
    }
    return reason;
}

/* NONE when it is an object. */
static enum reason read_record(struct truth_row *row, struct bytes value)
{
    if (bytes_is_none(value)) {
        return DECODE_NULL_VALUE;
    }
    if (value.size > RECORD_BYTES_MAX) {
        return DECODE_TOO_LARGE;
    }
    switch (truth_row_read(row, value)) {
    case TRUTH_OBJECT:
        return NONE;
    case TRUTH_NOT_OBJECT:
        return SCHEMA_TYPE;
    case TRUTH_ENCODING:
        return DECODE_ENCODING;
    case TRUTH_SYNTAX:
        break;
    }
    return DECODE_SYNTAX;
}

static enum truth_verdict verdict_of(enum reason reason)
{
    switch (reason) {
    case NONE:
        return TRUTH_VALID;
    case DUPLICATE:
        return TRUTH_DUPLICATE;
    case LATE:
        return TRUTH_LATE;
    case FILTER_WHERE:
        return TRUTH_FILTERED;
    default:
        return TRUTH_INVALID;
    }
}

void truth_judge(struct truth *truth, uint32_t partition, int64_t timestamp_us, struct bytes value,
                 struct truth_result *out)
{
    check(partition < truth->partition_count);
    struct sight sight = {
        .partition = &truth->partitions[partition],
        .cells = truth->row.cells,
        .temperature = NAN,
        .humidity = NAN,
        .battery = NAN,
    };
    sight.offset = sight.partition->next_offset++;
    *out = (struct truth_result){.partition = partition, .offset = sight.offset};
    enum reason reason = read_record(&truth->row, value);
    if (reason == NONE) {
        reason = judge_row(&sight, timestamp_us, &out->witness_offset);
        const struct truth_cell *id = &sight.cells[TRUTH_MESSAGE_ID];
        out->message_id = id->kind == TRUTH_STRING ? id->text : BYTES_NONE;
    }
    out->reason = reason_names[reason];
    out->verdict = verdict_of(reason);
    sight.partition->counts.reasons[reason]++;
    sight.partition->counts.verdicts[out->verdict]++;
}

struct truth *truth_new(const struct truth_options *options)
{
    struct truth *truth = memory_alloc_zero(1, sizeof *truth);
    truth->partition_count = options->partition_count;
    truth->partitions = memory_alloc_zero(options->partition_count, sizeof *truth->partitions);
    for (uint32_t i = 0; i < options->partition_count; i++) {
        truth->partitions[i].greatest_us = NEVER_US;
        if (options->first_offsets != NULL) {
            truth->partitions[i].next_offset = options->first_offsets[i];
        }
    }
    return truth;
}

void truth_free(struct truth *truth)
{
    if (truth == NULL) {
        return;
    }
    for (uint32_t i = 0; i < truth->partition_count; i++) {
        truth_memory_fini(&truth->partitions[i].seen);
        truth_memory_fini(&truth->partitions[i].humidities);
    }
    truth_row_fini(&truth->row);
    memory_free(truth->partitions);
    memory_free(truth);
}

/* --- What comes out. --- */

const char *truth_verdict_name(enum truth_verdict verdict)
{
    return verdict_names[verdict];
}

static char *put_string(char *at, const char *string)
{
    size_t size = strlen(string);
    memcpy(at, string, size);
    return at + size;
}

static char *put_number(char *at, uint64_t value)
{
    char digits[20];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0) {
        *at++ = digits[--count];
    }
    return at;
}

static bool is_escaped(uint8_t byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\';
}

/* Room for six times the size of the text, and its quotes. */
static char *put_json_string(char *at, struct bytes text)
{
    *at++ = '"';
    for (size_t i = 0; i < text.size; i++) {
        size_t plain = i;
        while (plain < text.size && !is_escaped(text.data[plain])) {
            plain++;
        }
        memcpy(at, text.data + i, plain - i);
        at += plain - i;
        i = plain;
        if (i == text.size) {
            break;
        }
        uint8_t byte = text.data[i];
        if (byte < 0x20) {
            at = put_string(at, "\\u00");
            *at++ = (char)('0' + (byte >> 4));
            *at++ = "0123456789abcdef"[byte & 15];
        } else {
            *at++ = '\\';
            *at++ = (char)byte;
        }
    }
    *at++ = '"';
    return at;
}

void truth_write_line(const struct truth_result *result, struct buffer *out)
{
    size_t room = size_add(256, size_mul(result->message_id.size, 6));
    char *start = (char *)buffer_reserve(out, room);
    char *at = put_string(start, "{\"id\":\"");
    at = put_number(at, result->partition);
    *at++ = '-';
    at = put_number(at, result->offset);
    at = put_string(at, "\",\"message_id\":");
    at = bytes_is_none(result->message_id) ? put_string(at, "null")
                                           : put_json_string(at, result->message_id);
    at = put_string(at, ",\"verdict\":\"");
    at = put_string(at, verdict_names[result->verdict]);
    at = put_string(at, "\",\"reason\":\"");
    at = put_string(at, result->reason);
    at = put_string(at, "\"}\n");
    out->size += (size_t)(at - start);
}

static void add_counts(struct counts *sum, const struct counts *counts)
{
    for (unsigned i = 0; i < TRUTH_VERDICT_COUNT; i++) {
        sum->verdicts[i] += counts->verdicts[i];
    }
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        sum->reasons[i] += counts->reasons[i];
    }
    for (unsigned i = 0; i < REPAIR_COUNT; i++) {
        sum->repairs[i] += counts->repairs[i];
    }
    sum->battery_warnings += counts->battery_warnings;
}

/* Without the closing brace. */
static void write_counts(const struct counts *counts, struct buffer *out)
{
    uint64_t in = 0;
    for (unsigned i = 0; i < TRUTH_VERDICT_COUNT; i++) {
        in += counts->verdicts[i];
    }
    buffer_printf(out, "\"in\":%" PRIu64 ",\"verdicts\":{", in);
    for (unsigned i = 0; i < TRUTH_VERDICT_COUNT; i++) {
        buffer_printf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", verdict_names[i],
                      counts->verdicts[i]);
    }
    buffer_append_string(out, "},\"reasons\":{");
    const char *comma = "";
    for (unsigned i = NONE + 1; i < REASON_COUNT; i++) {
        if (counts->reasons[i] > 0) {
            buffer_printf(out, "%s\"%s\":%" PRIu64, comma, reason_names[i], counts->reasons[i]);
            comma = ",";
        }
    }
    buffer_append_string(out, "},\"repaired\":{");
    for (unsigned i = 0; i < REPAIR_COUNT; i++) {
        buffer_printf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", repair_names[i],
                      counts->repairs[i]);
    }
    buffer_printf(out, "},\"warned\":{\"check.battery_low\":%" PRIu64 "}",
                  counts->battery_warnings);
}

void truth_write_summary(const struct truth *truth, struct buffer *out)
{
    struct counts sum = {0};
    for (uint32_t i = 0; i < truth->partition_count; i++) {
        add_counts(&sum, &truth->partitions[i].counts);
    }
    buffer_append_byte(out, '{');
    write_counts(&sum, out);
    buffer_append_string(out, ",\"partitions\":[");
    for (uint32_t i = 0; i < truth->partition_count; i++) {
        buffer_printf(out, "%s{\"partition\":%" PRIu32 ",", i > 0 ? "," : "", i);
        write_counts(&truth->partitions[i].counts, out);
        buffer_append_byte(out, '}');
    }
    buffer_append_string(out, "]}\n");
}
