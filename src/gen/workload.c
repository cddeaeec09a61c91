#include "gen/workload.h"

#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/prng.h"
#include "base/time.h"
#include "gen/draft.h"
#include "gen/reading.h"

/* What the pipeline of examples/iot.yaml calls late. */
#define LATENESS_US (600 * TIME_US_PER_SECOND)
#define MINUTE_US (60 * TIME_US_PER_SECOND)
#define DAY_US (86400 * TIME_US_PER_SECOND)
#define YEAR_2100_US (INT64_C(4102444800) * TIME_US_PER_SECOND)
#define YEAR_3000_US (INT64_C(32503680000) * TIME_US_PER_SECOND)

enum {
    RECENT_COUNT = 4,     /* readings remembered per sensor, to be sent again */
    ARCHIVE_COUNT = 1024, /* older readings of all sensors */
    /* An archived reading stays for about so many seconds of event time. */
    ARCHIVE_SECONDS = 1200,
};

struct sensor {
    uint32_t partition;
    int32_t temperature_centi;
    int32_t humidity_deci;
    int32_t pressure_centi;
    int32_t battery;
    enum reading_site site;
    uint32_t reading_count;
    struct reading recent[RECENT_COUNT];
};

struct workload {
    struct workload_options options;
    struct prng prng;
    struct reading_writer writer;
    double interval_us;
    uint64_t thresholds[WORKLOAD_KIND_COUNT]; /* of 53 random bits, cumulative */
    uint64_t number;
    int64_t now_us; /* the event time of a record that is on time */
    int64_t future_us;
    struct sensor *sensors;
    int64_t *greatest_us; /* per partition, of what was sent on time; TIME_NEVER before that */
    struct reading archive[ARCHIVE_COUNT];
    uint32_t archive_count;
    uint64_t archive_interval;
    char key[READING_SENSOR_ID_BYTES];
    char value[DRAFT_TEXT_BYTES];
    struct draft draft;
};

/* --- Changes of a reading. --- */

static uint64_t pick(struct workload *workload, uint64_t bound)
{
    return prng_below(&workload->prng, bound);
}

static int64_t greatest_of(const struct workload *workload, const struct reading *reading)
{
    int64_t greatest = workload->greatest_us[workload->sensors[reading->sensor].partition];
    return greatest == TIME_NEVER ? reading->event_time_us : greatest;
}

static void leave_range(struct workload *workload, struct reading *reading)
{
    bool far = pick(workload, 4) == 0;
    int32_t beyond = 1 + (int32_t)pick(workload, far ? 100000 : 300);
    switch (pick(workload, 8)) {
    case 0:
    case 1:
    case 2:
        reading->temperature_centi = 8500 + beyond;
        break;
    case 3: /* Never -999, which is a sentinel. */
        reading->temperature_centi = -6000 - (far ? beyond / 3 : beyond);
        break;
    case 4:
        reading->humidity_deci = 1000 + beyond;
        break;
    case 5:
        reading->humidity_deci = -(beyond % 500) - 1;
        break;
    case 6:
        reading->pressure_centi = far ? 110000 + beyond : 30000 - beyond;
        break;
    default:
        reading->battery = far ? 100 + beyond : -1 - beyond % 100;
    }
}

static void send_again(struct workload *workload, struct reading *reading)
{
    const struct sensor *sensor = &workload->sensors[reading->sensor];
    uint32_t known = sensor->reading_count < RECENT_COUNT ? sensor->reading_count : RECENT_COUNT;
    int64_t now_us = reading->event_time_us;
    bool old = workload->archive_count > 0 && pick(workload, 10) == 0;
    if (old) {
        *reading = workload->archive[pick(workload, workload->archive_count)];
    } else if (known > 0) {
        *reading = sensor->recent[pick(workload, known)];
    }
    if (pick(workload, 3) == 0) {
        reading->event_time_us = now_us;
    }
}

static void make_late(struct workload *workload, struct reading *reading)
{
    int64_t behind = 1; /* Now and then by no more than that. */
    if (pick(workload, 8) != 0) {
        behind += TIME_US_PER_SECOND + (int64_t)pick(workload, 20 * MINUTE_US);
    }
    reading->event_time_us = greatest_of(workload, reading) - LATENESS_US - behind;
}

static void put_out_of_order(struct workload *workload, struct reading *reading)
{
    int64_t behind = LATENESS_US; /* Now and then all that is allowed. */
    if (pick(workload, 16) != 0) {
        int64_t most = pick(workload, 3) ? 10 * TIME_US_PER_SECOND : LATENESS_US;
        behind = (int64_t)pick(workload, (uint64_t)most);
    }
    reading->event_time_us = greatest_of(workload, reading) - behind;
}

static void put_into_future(struct workload *workload, struct reading *reading)
{
    reading->event_time_us = workload->future_us + (int64_t)pick(workload, 3650 * DAY_US);
}

static void move_to_test_site(struct workload *workload, struct reading *reading)
{
    (void)workload;
    reading->site = SITE_TEST;
}

/* The least temperature is -45 + humidity / 5, itself not included. */
static void cross_dew_point(struct workload *workload, struct reading *reading)
{
    reading->humidity_deci = (int32_t)pick(workload, 101) * 10;
    int32_t least_centi = -4500 + 2 * reading->humidity_deci;
    switch (pick(workload, 8)) {
    case 0:
        reading->temperature_centi = least_centi;
        break;
    case 1: /* Just warm enough. */
        reading->temperature_centi = least_centi + 1 + (int32_t)pick(workload, 100);
        break;
    default:
        reading->temperature_centi = least_centi - (int32_t)pick(workload, 1000);
    }
}

static void drain_battery(struct workload *workload, struct reading *reading)
{
    reading->battery = (int32_t)pick(workload, 10);
}

static void make_several(struct workload *workload, struct reading *reading);
static void make_several_more(struct draft *draft);

/* --- The kinds. --- */

struct kind {
    const char *name;
    const char *text;
    double share;
    void (*change_reading)(struct workload *workload, struct reading *reading);
    void (*change_draft)(struct draft *draft);
};

static const struct kind kinds[WORKLOAD_KIND_COUNT] = {
    [WORKLOAD_CLEAN] = {"clean", "nothing wrong; gets the rest", 0, NULL, NULL},
    [WORKLOAD_UNPARSABLE] = {"unparsable", "cut, broken JSON, invalid UTF-8", 0.006, NULL,
                             draft_make_unparsable},
    [WORKLOAD_EMPTY] = {"empty", "a tombstone, or a value of no bytes", 0.0005, NULL, NULL},
    [WORKLOAD_REPEATED_KEY] = {"repeated_key", "one key twice in an object", 0.001, NULL,
                               draft_repeat_key},
    [WORKLOAD_WRONG_TYPE] = {"wrong_type", "\"hot\", or \"23.5\", which coerce repairs", 0.012,
                             NULL, draft_make_wrong_type},
    [WORKLOAD_OUT_OF_RANGE] = {"out_of_range", "a number outside its range", 0.010, leave_range,
                               NULL},
    [WORKLOAD_CONSTRAINT] = {"constraint", "breaks a length, a pattern or an enum", 0.0025, NULL,
                             draft_break_constraint},
    [WORKLOAD_EXTREME] = {"extreme", "numbers beyond int64 or double", 0.001, NULL,
                          draft_make_extreme},
    [WORKLOAD_MISSING] = {"missing", "a field left out, or null", 0.008, NULL, draft_lose_field},
    [WORKLOAD_SENTINEL] = {"sentinel", "-999, \"N/A\", \"\" or \"NaN\" instead of a value", 0.020,
                           NULL, draft_place_sentinel},
    [WORKLOAD_BAD_TIME] = {"bad_time", "an event_time that is none", 0.002, NULL, draft_break_time},
    [WORKLOAD_DUPLICATE] = {"duplicate", "an earlier message again", 0.020, send_again, NULL},
    [WORKLOAD_LATE] = {"late", "more than 10 minutes behind", 0.006, make_late, NULL},
    [WORKLOAD_FUTURE] = {"future", "years ahead of the moment of writing", 0.002, put_into_future,
                         NULL},
    [WORKLOAD_OUT_OF_ORDER] = {"out_of_order", "up to 10 minutes behind", 0.012, put_out_of_order,
                               NULL},
    [WORKLOAD_TEST_SITE] = {"test_site", "from the site test", 0.006, move_to_test_site, NULL},
    [WORKLOAD_DEW_POINT] = {"dew_point", "too cold for its humidity", 0.003, cross_dew_point,
                            draft_shorten_humidity},
    [WORKLOAD_LOW_BATTERY] = {"low_battery", "below 10, which only warns", 0.003, drain_battery,
                              NULL},
    [WORKLOAD_VARIANT] = {"variant", "right, but unusual JSON", 0.005, NULL, draft_vary},
    [WORKLOAD_SEVERAL] = {"several", "two or three of the others at once", 0.002, make_several,
                          make_several_more},
};

static void make_several(struct workload *workload, struct reading *reading)
{
    static const enum workload_kind parts[] = {
        WORKLOAD_OUT_OF_RANGE, WORKLOAD_DUPLICATE, WORKLOAD_LATE,      WORKLOAD_FUTURE,
        WORKLOAD_OUT_OF_ORDER, WORKLOAD_TEST_SITE, WORKLOAD_DEW_POINT, WORKLOAD_LOW_BATTERY};
    for (uint64_t count = 1 + pick(workload, 2); count > 0; count--) {
        kinds[parts[pick(workload, sizeof parts / sizeof parts[0])]].change_reading(workload,
                                                                                    reading);
    }
}

static void make_several_more(struct draft *draft)
{
    static const enum workload_kind parts[] = {
        WORKLOAD_WRONG_TYPE, WORKLOAD_CONSTRAINT, WORKLOAD_EXTREME,
        WORKLOAD_MISSING,    WORKLOAD_MISSING,    WORKLOAD_SENTINEL,
        WORKLOAD_SENTINEL,   WORKLOAD_BAD_TIME,   WORKLOAD_VARIANT};
    for (uint64_t count = 1 + prng_below(draft->prng, 2); count > 0; count--) {
        uint64_t part = prng_below(draft->prng, sizeof parts / sizeof parts[0]);
        kinds[parts[part]].change_draft(draft);
    }
}

const char *workload_kind_name(enum workload_kind kind)
{
    return kinds[kind].name;
}

const char *workload_kind_text(enum workload_kind kind)
{
    return kinds[kind].text;
}

bool workload_kind_find(const char *name, enum workload_kind *out)
{
    for (unsigned kind = 0; kind < WORKLOAD_KIND_COUNT; kind++) {
        if (strcmp(kinds[kind].name, name) == 0) {
            *out = (enum workload_kind)kind;
            return true;
        }
    }
    return false;
}

/* --- Options. --- */

void workload_options_init(struct workload_options *options)
{
    *options = (struct workload_options){
        .seed = 1,
        .record_count = 1000000,
        .partition_count = 3,
        .sensor_count = 1000,
        .rate_per_second = 1000,
        .first_event_time_us = INT64_C(1767225600) * TIME_US_PER_SECOND,
    };
    for (unsigned kind = 0; kind < WORKLOAD_KIND_COUNT; kind++) {
        options->shares[kind] = kinds[kind].share;
    }
}

/* Options that are not checked yet may ask for any span; longer than that is refused later. */
static double span_us(const struct workload_options *options)
{
    double span =
        (double)options->record_count / options->rate_per_second * (double)TIME_US_PER_SECOND;
    return span < (double)YEAR_3000_US ? span : (double)YEAR_3000_US;
}

int64_t workload_default_first_event_time_us(const struct workload_options *options, int64_t now_us)
{
    int64_t first = now_us - (int64_t)span_us(options) - 60 * MINUTE_US;
    return first - first % TIME_US_PER_SECOND;
}

int64_t workload_last_event_time_us(const struct workload_options *options)
{
    return options->first_event_time_us + (int64_t)span_us(options);
}

static enum status check_options(const struct workload_options *options, struct error *err)
{
    double sum = 0;
    for (unsigned kind = WORKLOAD_CLEAN + 1; kind < WORKLOAD_KIND_COUNT; kind++) {
        double share = options->shares[kind];
        if (!(share >= 0 && share <= 1)) {
            return error_set(err, STATUS_CONFIG, "gen.option",
                             "The share of %s must be between 0%% and 100%%.", kinds[kind].name);
        }
        sum += share;
    }
    if (sum > 1 + 1e-9) {
        return error_set(err, STATUS_CONFIG, "gen.option",
                         "The shares are %.4g%% together; at most 100%% are possible.", sum * 100);
    }
    if (options->partition_count < 1 || options->partition_count > WORKLOAD_PARTITIONS_MAX) {
        return error_set(err, STATUS_CONFIG, "gen.option",
                         "The number of partitions must be between 1 and %u.",
                         WORKLOAD_PARTITIONS_MAX);
    }
    if (options->sensor_count < 1 || options->sensor_count > WORKLOAD_SENSORS_MAX) {
        return error_set(err, STATUS_CONFIG, "gen.option",
                         "The number of sensors must be between 1 and %u.", WORKLOAD_SENSORS_MAX);
    }
    if (!(options->rate_per_second >= 0.001 && options->rate_per_second <= 1e9)) {
        return error_set(err, STATUS_CONFIG, "gen.option",
                         "The rate must be between 0.001 and 1000000000 records per second of "
                         "event time.");
    }
    if (options->first_event_time_us < 31 * DAY_US ||
        (double)options->first_event_time_us + span_us(options) >= (double)YEAR_3000_US) {
        return error_set(err, STATUS_CONFIG, "gen.option",
                         "All event times must lie between 1970-02-01 and the year 3000: so many "
                         "records at that rate from that first event time do not.");
    }
    return STATUS_OK;
}

/* --- The stream. --- */

static void sensor_init(struct workload *workload, uint32_t number)
{
    struct sensor *sensor = &workload->sensors[number];
    char key[READING_SENSOR_ID_BYTES];
    reading_write_sensor_id(number, key);
    sensor->partition =
        hash_partition(bytes_of(key, sizeof key), workload->options.partition_count);
    sensor->temperature_centi = (int32_t)pick(workload, 5000) - 1000;
    sensor->humidity_deci = 200 + (int32_t)pick(workload, 700);
    sensor->pressure_centi = 98000 + (int32_t)pick(workload, 5000);
    sensor->battery = 15 + (int32_t)pick(workload, 86);
    sensor->site = (enum reading_site)pick(workload, SITE_TEST);
}

static void thresholds_init(struct workload *workload)
{
    double sum = 0;
    for (unsigned kind = WORKLOAD_CLEAN + 1; kind < WORKLOAD_KIND_COUNT; kind++) {
        sum += workload->options.shares[kind];
        workload->thresholds[kind] = (uint64_t)((sum < 1 ? sum : 1) * 0x1p53);
    }
}

enum status workload_new(const struct workload_options *options, struct workload **out,
                         struct error *err)
{
    enum status status = check_options(options, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct workload *workload = memory_alloc_zero(1, sizeof *workload);
    workload->options = *options;
    prng_init(&workload->prng, options->seed);
    reading_writer_init(&workload->writer, options->seed);
    thresholds_init(workload);
    workload->interval_us = (double)TIME_US_PER_SECOND / options->rate_per_second;
    int64_t last_us = workload_last_event_time_us(options);
    workload->future_us = (last_us > YEAR_2100_US ? last_us : YEAR_2100_US) + 3660 * DAY_US;
    double archive_interval = options->rate_per_second * ARCHIVE_SECONDS / ARCHIVE_COUNT;
    workload->archive_interval = archive_interval < 1 ? 1 : (uint64_t)archive_interval;
    workload->sensors = memory_alloc_zero(options->sensor_count, sizeof *workload->sensors);
    for (uint32_t sensor = 0; sensor < options->sensor_count; sensor++) {
        sensor_init(workload, sensor);
    }
    workload->greatest_us =
        memory_alloc_zero(options->partition_count, sizeof *workload->greatest_us);
    for (uint32_t partition = 0; partition < options->partition_count; partition++) {
        workload->greatest_us[partition] = TIME_NEVER;
    }
    *out = workload;
    return STATUS_OK;
}

void workload_free(struct workload *workload)
{
    if (workload != NULL) {
        memory_free(workload->sensors);
        memory_free(workload->greatest_us);
        memory_free(workload);
    }
}

static enum workload_kind pick_kind(struct workload *workload)
{
    uint64_t bits = prng_next(&workload->prng) >> 11;
    if (bits >= workload->thresholds[WORKLOAD_KIND_COUNT - 1]) {
        return WORKLOAD_CLEAN;
    }
    unsigned kind = WORKLOAD_CLEAN + 1;
    while (bits >= workload->thresholds[kind]) {
        kind++;
    }
    return (enum workload_kind)kind;
}

/* One step of a walk, up or down by at most `step`, kept between its bounds. */
static int32_t walk(int32_t value, uint64_t bits, int32_t step, int32_t least, int32_t greatest)
{
    value += ((int32_t)(bits & 0xff) * (2 * step + 1) >> 8) - step;
    return value < least ? least : value > greatest ? greatest : value;
}

/* A sensor's next reading, clean and on time: never near the dew point, the battery never low. */
static struct reading next_reading(struct workload *workload)
{
    uint64_t bits = prng_next(&workload->prng);
    uint64_t which = prng_next(&workload->prng);
    uint32_t number = (uint32_t)(((which >> 32) * workload->options.sensor_count) >> 32);
    struct sensor *sensor = &workload->sensors[number];
    sensor->temperature_centi = walk(sensor->temperature_centi, bits, 40, -1500, 4500);
    sensor->humidity_deci = walk(sensor->humidity_deci, bits >> 8, 12, 50, 980);
    sensor->pressure_centi = walk(sensor->pressure_centi, bits >> 16, 60, 95000, 106000);
    if ((bits >> 24 & 0xff) == 0) {
        sensor->battery = sensor->battery > 11 ? sensor->battery - 1 : 100;
    }
    int64_t jitter_us = (int64_t)((double)(which & 0xffff) * workload->interval_us / 65536);
    int64_t since_us = (int64_t)((double)workload->number * workload->interval_us);
    workload->now_us = workload->options.first_event_time_us + since_us + jitter_us;
    return (struct reading){
        .number = workload->number,
        .event_time_us = workload->now_us,
        .sensor = number,
        .temperature_centi = sensor->temperature_centi,
        .humidity_deci = sensor->humidity_deci,
        .pressure_centi = sensor->pressure_centi,
        .battery = sensor->battery,
        .site = sensor->site,
    };
}

static void remember(struct workload *workload, const struct reading *reading)
{
    struct sensor *sensor = &workload->sensors[reading->sensor];
    sensor->recent[sensor->reading_count++ % RECENT_COUNT] = *reading;
    if (reading->number % workload->archive_interval != 0) {
        return;
    }
    uint64_t place = workload->archive_count < ARCHIVE_COUNT ? workload->archive_count++
                                                             : pick(workload, ARCHIVE_COUNT);
    workload->archive[place] = *reading;
}

static struct bytes write_value(struct workload *workload, enum workload_kind kind,
                                const struct reading *reading)
{
    if (kind == WORKLOAD_EMPTY) {
        return pick(workload, 2) ? BYTES_NONE : bytes_of(workload->value, 0);
    }
    if (kinds[kind].change_draft == NULL) {
        return bytes_of(workload->value,
                        reading_write(&workload->writer, reading, workload->value));
    }
    draft_init(&workload->draft, &workload->prng, &workload->writer, reading);
    kinds[kind].change_draft(&workload->draft);
    return bytes_of(workload->value, draft_write(&workload->draft, workload->value));
}

bool workload_next(struct workload *workload, struct workload_record *out)
{
    if (workload->number == workload->options.record_count) {
        return false;
    }
    enum workload_kind kind = pick_kind(workload);
    struct reading reading = next_reading(workload);
    if (kinds[kind].change_reading != NULL) {
        kinds[kind].change_reading(workload, &reading);
    }
    uint32_t partition = workload->sensors[reading.sensor].partition;
    reading_write_sensor_id(reading.sensor, workload->key);
    *out = (struct workload_record){
        .number = workload->number,
        .key = bytes_of(workload->key, sizeof workload->key),
        .value = write_value(workload, kind, &reading),
        .partition = partition,
        .kind = kind,
    };
    if (kind == WORKLOAD_CLEAN && workload->now_us > workload->greatest_us[partition]) {
        workload->greatest_us[partition] = workload->now_us;
    }
    if (reading.number == workload->number) { /* Resends are not remembered. */
        remember(workload, &reading);
    }
    workload->number++;
    return true;
}
