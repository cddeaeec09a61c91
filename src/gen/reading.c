#include "gen/reading.h"

#include <string.h>

#define US_PER_SECOND INT64_C(1000000)
#define SECONDS_PER_DAY INT64_C(86400)

static const char *const site_texts[] = {"\"north\"", "\"south\"", "\"east\"", "\"west\"",
                                         "\"test\""};

void reading_writer_init(struct reading_writer *writer, uint64_t seed)
{
    *writer = (struct reading_writer){.seed = seed, .day = INT64_MIN, .second = INT64_MIN};
}

static void write_two_digits(char *at, uint32_t value)
{
    at[0] = (char)('0' + value / 10);
    at[1] = (char)('0' + value % 10);
}

static char *write_integer(char *at, int32_t value)
{
    uint32_t rest = value < 0 ? 0 - (uint32_t)value : (uint32_t)value;
    char digits[10];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        *at++ = '-';
    }
    while (count > 0) {
        *at++ = digits[--count];
    }
    return at;
}

static char *write_centi(char *at, int32_t value)
{
    uint32_t size = value < 0 ? 0 - (uint32_t)value : (uint32_t)value;
    if (value < 0) {
        *at++ = '-';
    }
    at = write_integer(at, (int32_t)(size / 100));
    *at = '.';
    write_two_digits(at + 1, size % 100);
    return at + 3;
}

static char *write_deci(char *at, int32_t value)
{
    uint32_t size = value < 0 ? 0 - (uint32_t)value : (uint32_t)value;
    if (value < 0) {
        *at++ = '-';
    }
    at = write_integer(at, (int32_t)(size / 10));
    at[0] = '.';
    at[1] = (char)('0' + size % 10);
    return at + 2;
}

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

static char *write_hex(char *at, uint64_t value, unsigned digit_count)
{
    for (unsigned i = digit_count; i > 0; i--) {
        at[i - 1] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
    return at + digit_count;
}

/* Where the ids of a workload begin: 2026-01-01 in milliseconds. */
#define ID_EPOCH_MS UINT64_C(1767225600000)

/* In the shape of a time-ordered UUID (version 7, RFC 9562), as devices make them today: the first
 * 48 bits grow with the number, so within a seed no two numbers share an id. */
static char *write_message_id(char *at, uint64_t seed, uint64_t number)
{
    uint64_t time = ID_EPOCH_MS + number;
    uint64_t rest = mix(number + mix(seed + UINT64_C(0x9E3779B97F4A7C15)));
    *at++ = '"';
    at = write_hex(at, time >> 16, 8);
    *at++ = '-';
    at = write_hex(at, time, 4);
    *at++ = '-';
    *at++ = '7';
    at = write_hex(at, rest, 3);
    *at++ = '-';
    *at++ = "89ab"[rest >> 62];
    at = write_hex(at, rest >> 12, 3);
    *at++ = '-';
    at = write_hex(at, mix(rest), 12);
    *at++ = '"';
    return at;
}

void reading_write_sensor_id(uint32_t sensor, char out[READING_SENSOR_ID_BYTES])
{
    out[0] = 's';
    out[1] = '-';
    write_two_digits(out + 2, sensor / 1000 % 100);
    out[4] = (char)('0' + sensor / 100 % 10);
    write_two_digits(out + 5, sensor % 100);
}

static char *write_sensor_id(char *at, uint32_t sensor)
{
    at[0] = '"';
    reading_write_sensor_id(sensor, at + 1);
    at[1 + READING_SENSOR_ID_BYTES] = '"';
    return at + 2 + READING_SENSOR_ID_BYTES;
}

/* "2026-01-31" of a day since 1970; Howard Hinnant's arithmetic over years that begin in March. */
static void write_date(char *at, int64_t day)
{
    int64_t shifted = day + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    uint32_t day_of_era = (uint32_t)(shifted - era * 146097);
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t month_from_march = (5 * day_of_year + 2) / 153;
    uint32_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    uint32_t year = (uint32_t)(era * 400 + year_of_era + (month <= 2));
    write_two_digits(at, year / 100);
    write_two_digits(at + 2, year % 100);
    at[4] = '-';
    write_two_digits(at + 5, month);
    at[7] = '-';
    write_two_digits(at + 8, day_of_year - (153 * month_from_march + 2) / 5 + 1);
}

static void remember_second(struct reading_writer *writer, int64_t second)
{
    int64_t day = second / SECONDS_PER_DAY;
    int64_t in_day = second % SECONDS_PER_DAY;
    if (in_day < 0) {
        in_day += SECONDS_PER_DAY;
        day--;
    }
    char *at = writer->second_text;
    if (day != writer->day) {
        write_date(at, day);
        writer->day = day;
    }
    at[10] = 'T';
    write_two_digits(at + 11, (uint32_t)(in_day / 3600));
    at[13] = ':';
    write_two_digits(at + 14, (uint32_t)(in_day / 60 % 60));
    at[16] = ':';
    write_two_digits(at + 17, (uint32_t)(in_day % 60));
    writer->second = second;
}

static char *write_event_time(struct reading_writer *writer, char *at, int64_t time_us)
{
    int64_t second = time_us / US_PER_SECOND;
    int64_t fraction = time_us % US_PER_SECOND;
    if (fraction < 0) {
        fraction += US_PER_SECOND;
        second--;
    }
    if (second != writer->second) {
        remember_second(writer, second);
    }
    uint32_t us = (uint32_t)fraction;
    at[0] = '"';
    memcpy(at + 1, writer->second_text, sizeof writer->second_text);
    at[20] = '.';
    write_two_digits(at + 21, us / 10000);
    write_two_digits(at + 23, us / 100 % 100);
    write_two_digits(at + 25, us % 100);
    at[27] = 'Z';
    at[28] = '"';
    return at + 29;
}

static char *write_site(char *at, enum reading_site site)
{
    size_t size = strlen(site_texts[site]);
    memcpy(at, site_texts[site], size);
    return at + size;
}

#define WRITE_LITERAL(at, literal) \
    (memcpy((at), (literal), sizeof(literal) - 1), (at) + sizeof(literal) - 1)

size_t reading_write(struct reading_writer *writer, const struct reading *reading,
                     char out[READING_TEXT_BYTES])
{
    char *at = WRITE_LITERAL(out, "{\"message_id\":");
    at = write_message_id(at, writer->seed, reading->number);
    at = WRITE_LITERAL(at, ",\"sensor_id\":");
    at = write_sensor_id(at, reading->sensor);
    at = WRITE_LITERAL(at, ",\"event_time\":");
    at = write_event_time(writer, at, reading->event_time_us);
    at = WRITE_LITERAL(at, ",\"temperature\":");
    at = write_centi(at, reading->temperature_centi);
    at = WRITE_LITERAL(at, ",\"humidity\":");
    at = write_deci(at, reading->humidity_deci);
    at = WRITE_LITERAL(at, ",\"pressure\":");
    at = write_centi(at, reading->pressure_centi);
    at = WRITE_LITERAL(at, ",\"battery\":");
    at = write_integer(at, reading->battery);
    at = WRITE_LITERAL(at, ",\"site\":");
    at = write_site(at, reading->site);
    *at++ = '}';
    return (size_t)(at - out);
}

size_t reading_write_field(struct reading_writer *writer, const struct reading *reading,
                           enum reading_field field, char out[READING_FIELD_BYTES])
{
    char *end = out;
    switch (field) {
    case READING_MESSAGE_ID:
        end = write_message_id(out, writer->seed, reading->number);
        break;
    case READING_SENSOR_ID:
        end = write_sensor_id(out, reading->sensor);
        break;
    case READING_EVENT_TIME:
        end = write_event_time(writer, out, reading->event_time_us);
        break;
    case READING_TEMPERATURE:
        end = write_centi(out, reading->temperature_centi);
        break;
    case READING_HUMIDITY:
        end = write_deci(out, reading->humidity_deci);
        break;
    case READING_PRESSURE:
        end = write_centi(out, reading->pressure_centi);
        break;
    case READING_BATTERY:
        end = write_integer(out, reading->battery);
        break;
    case READING_SITE:
        end = write_site(out, reading->site);
        break;
    }
    return (size_t)(end - out);
}
