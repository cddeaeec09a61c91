#include "base/time.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#define SECONDS_PER_DAY INT64_C(86400)
#define US_PER_DAY (SECONDS_PER_DAY * TIME_US_PER_SECOND)

/* 0000-01-01T00:00:00Z and 10000-01-01T00:00:00Z. */
#define TIME_FIRST_US (INT64_C(-719528) * US_PER_DAY)
#define TIME_END_US (INT64_C(2932897) * US_PER_DAY)

static bool year_is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Whole cycles of 400 years (146,097 days) that make any year of an int positive, because unsigned
 * numbers divide faster. */
#define CYCLE_COUNT 10737418

/* The year is taken to start in March, so that the leap day is its last day. 719,468 days lie
 * between 0000-03-01 and 1970-01-01. */
static inline int64_t days_of_date(int64_t year, unsigned month, unsigned day)
{
    uint64_t march_year = (uint64_t)(year + INT64_C(400) * CYCLE_COUNT) - (month <= 2);
    unsigned march_month = month > 2 ? month - 3 : month + 9;
    uint64_t days = march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400 +
                    (153 * march_month + 2) / 5 + day - 1;
    return (int64_t)days - INT64_C(146097) * CYCLE_COUNT - 719468;
}

static inline bool date_is_there(int year, unsigned month, unsigned day)
{
    static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month - 1 > 11 || day - 1 > 30) {
        return false;
    }
    return day <= month_days[month - 1] || (month == 2 && day == 29 && year_is_leap(year));
}

bool time_days_from_civil(int year, unsigned month, unsigned day, int64_t *out_days)
{
    if (!date_is_there(year, month, day)) {
        return false;
    }
    *out_days = days_of_date(year, month, day);
    return true;
}

/* Two digits; adds to *wrong when one of them is none. */
static inline unsigned two_digits(const uint8_t *at, unsigned *wrong)
{
    unsigned tens = (unsigned)at[0] - '0';
    unsigned ones = (unsigned)at[1] - '0';
    *wrong |= (unsigned)(tens > 9) | (unsigned)(ones > 9);
    return tens * 10 + ones;
}

/* Six digits as a number; adds to *wrong when one of them is none. */
static inline unsigned six_digits(const uint8_t *at, unsigned *wrong)
{
    return (two_digits(at, wrong) * 100 + two_digits(at + 2, wrong)) * 100 +
           two_digits(at + 4, wrong);
}

/* ".digits" at *at, if a dot is there: microseconds, the rest cut. */
static bool fraction_parse(const uint8_t **at, const uint8_t *end, unsigned *out_us)
{
    const uint8_t *p = *at;
    unsigned us = 0;
    if (p < end && *p == '.') {
        const uint8_t *first = ++p;
        unsigned scale = 100000;
        unsigned wrong = 0;
        /* Microseconds are what most clocks write. */
        const unsigned six = end - p >= 6 ? six_digits(p, &wrong) : 0;
        if (end - p >= 6 && wrong == 0) {
            us = six;
            p += 6;
            scale = 0;
        }
        for (; p < end && (unsigned)*p - '0' <= 9; p++) {
            us += ((unsigned)*p - '0') * scale;
            scale /= 10;
        }
        if (p == first) {
            return false;
        }
    }
    *at = p;
    *out_us = us;
    return true;
}

/* "Z" or "±hh:mm", and nothing behind it. */
static bool offset_parse(const uint8_t *at, const uint8_t *end, int64_t *out_seconds)
{
    if (end - at == 1 && (*at | 0x20) == 'z') {
        *out_seconds = 0;
        return true;
    }
    if (end - at != 6 || (at[0] != '+' && at[0] != '-') || at[3] != ':') {
        return false;
    }
    unsigned wrong = 0;
    unsigned hours = two_digits(at + 1, &wrong);
    unsigned minutes = two_digits(at + 4, &wrong);
    if (wrong || hours > 23 || minutes > 59) {
        return false;
    }
    int64_t seconds = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    *out_seconds = at[0] == '-' ? -seconds : seconds;
    return true;
}

#define EACH_BYTE UINT64_C(0x0101010101010101)
#define BYTE_AT(value, index) ((uint64_t)(value) << (8 * (index)))

/* Reads eight characters of which those of `separators` (0xFF in their places) are no digits. Each
 * byte of the result is ten times its own digit plus the next one; adds to *wrong when a digit is
 * none. */
static inline uint64_t digit_pairs(const uint8_t *at, uint64_t separators, uint64_t *wrong)
{
    uint64_t text;
    memcpy(&text, at, sizeof text);
    uint64_t digits = (le64toh(text) ^ '0' * EACH_BYTE) & ~separators;
    /* A byte above 9 gets its top bit by the sum or has it already; a carry only ever comes out of
     * the latter. */
    *wrong |= ((digits + (0x80 - 10) * EACH_BYTE) | digits) & 0x80 * EACH_BYTE;
    return digits * 10 + (digits >> 8);
}

static inline unsigned byte_of(uint64_t value, unsigned index)
{
    return (unsigned)(value >> (8 * index)) & 0xFF;
}

/* days_of_date() of the years 0 to 9999, which fits in 32 bits. */
static inline int64_t days_of_short_date(unsigned year, unsigned month, unsigned day)
{
    uint32_t march_year = year + 400 - (month <= 2);
    uint32_t march_month = month > 2 ? month - 3 : month + 9;
    uint32_t days = march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400 +
                    (153 * march_month + 2) / 5 + day - 1;
    return (int64_t)days - 146097 - 719468;
}

/* ".123456Z", which is what most clocks write, at once. False, and nothing done, for all else. */
static inline bool six_digits_utc_parse(const uint8_t *at, const uint8_t *end, unsigned *out_us)
{
    if (end - at != 8 || at[0] != '.' || at[7] != 'Z') {
        return false;
    }
    uint64_t wrong = 0;
    uint64_t pairs = digit_pairs(at, BYTE_AT(0xFF, 0) | BYTE_AT(0xFF, 7), &wrong);
    if (wrong != 0) {
        return false;
    }
    *out_us = byte_of(pairs, 1) * 10000 + byte_of(pairs, 3) * 100 + byte_of(pairs, 5);
    return true;
}

bool time_parse_any_rfc3339(struct bytes text, int64_t *out_us)
{
    if (text.size < 20) {
        return false;
    }
    const uint8_t *p = text.data;
    const uint8_t *end = p + text.size;
    uint64_t wrong = 0;
    unsigned wrong_second = 0;
    uint64_t date = digit_pairs(p, BYTE_AT(0xFF, 4) | BYTE_AT(0xFF, 7), &wrong);
    uint64_t hours = digit_pairs(p + 8, BYTE_AT(0xFF, 2) | BYTE_AT(0xFF, 5), &wrong);
    unsigned year = byte_of(date, 0) * 100 + byte_of(date, 2);
    unsigned month = byte_of(date, 5);
    unsigned day = byte_of(hours, 0);
    unsigned hour = byte_of(hours, 3);
    unsigned minute = byte_of(hours, 6);
    unsigned second = two_digits(p + 17, &wrong_second);
    wrong |= (unsigned)(p[4] != '-') | (unsigned)(p[7] != '-') | (unsigned)(p[13] != ':') |
             (unsigned)(p[16] != ':') | (unsigned)((p[10] | 0x20) != 't' && p[10] != ' ') |
             (unsigned)(hour > 23) | (unsigned)(minute > 59) | (unsigned)(second > 60) |
             wrong_second;
    unsigned fraction_us = 0;
    int64_t offset_seconds = 0;
    p += 19;
    if (wrong || !date_is_there((int)year, month, day) ||
        (!six_digits_utc_parse(p, end, &fraction_us) &&
         (!fraction_parse(&p, end, &fraction_us) || !offset_parse(p, end, &offset_seconds)))) {
        return false;
    }
    if (second == 60) {
        fraction_us = 0;
    }
    int64_t days = days_of_short_date(year, month, day);
    int64_t seconds = days * SECONDS_PER_DAY + (int64_t)(hour * 3600 + minute * 60 + second);
    *out_us = (seconds - offset_seconds) * TIME_US_PER_SECOND + fraction_us;
    return true;
}

/* A time of the reader's minute, in UTC; false, and nothing done, for all else. */
static inline bool read_in_minute(const struct time_reader *reader, struct bytes text,
                                  int64_t *out_us)
{
    if (!reader->known || text.size < 20 ||
        memcmp(text.data, reader->minute, sizeof reader->minute) != 0) {
        return false;
    }
    const uint8_t *p = text.data + 19;
    const uint8_t *end = text.data + text.size;
    unsigned wrong = (unsigned)(text.data[16] != ':');
    const unsigned second = two_digits(text.data + 17, &wrong);
    unsigned fraction_us = 0;
    if (wrong != 0 || second > 59 ||
        (!six_digits_utc_parse(p, end, &fraction_us) &&
         (!fraction_parse(&p, end, &fraction_us) || end - p != 1 || *p != 'Z'))) {
        return false;
    }
    *out_us = reader->minute_us + (int64_t)second * TIME_US_PER_SECOND + fraction_us;
    return true;
}

bool time_read_any_rfc3339(struct time_reader *reader, struct bytes text, int64_t *out_us)
{
    if (read_in_minute(reader, text, out_us)) {
        return true;
    }
    if (!time_parse_any_rfc3339(text, out_us)) {
        return false;
    }
    const int64_t minute_us = 60 * TIME_US_PER_SECOND;
    /* Elsewhere the time is not that of the minute as it is written, or of the next. */
    reader->known = text.data[text.size - 1] == 'Z' && memcmp(text.data + 17, "60", 2) != 0;
    memcpy(reader->minute, text.data, sizeof reader->minute);
    reader->minute_us = *out_us - ((*out_us % minute_us) + minute_us) % minute_us;
    return true;
}

bool time_parse_rfc3339(struct bytes text, int64_t *out_us)
{
    int64_t time_us;
    if (!time_parse_any_rfc3339(text, &time_us) || time_us < TIME_FIRST_US ||
        time_us >= TIME_END_US) {
        return false;
    }
    *out_us = time_us;
    return true;
}

static inline char *write_digits(char *at, uint64_t value, unsigned count)
{
    for (unsigned i = count; i > 0; i--) {
        at[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + count;
}

static inline char *write_two_digits(char *at, unsigned value)
{
    at[0] = (char)('0' + value / 10);
    at[1] = (char)('0' + value % 10);
    return at + 2;
}

static char *write_year(char *at, int64_t year)
{
    /* Years outside 0000–9999 are no RFC 3339; they are shown, not lost. */
    if (year < 0) {
        *at++ = '-';
        year = -year;
    }
    if (year > 9999) {
        return write_digits(at, (uint64_t)year, year > 99999 ? 6 : 5);
    }
    at = write_two_digits(at, (unsigned)year / 100);
    return write_two_digits(at, (unsigned)year % 100);
}

static char *write_fraction(char *at, uint64_t value, unsigned count)
{
    if (value == 0) {
        return at;
    }
    *at++ = '.';
    at = write_digits(at, value, count);
    while (at[-1] == '0') {
        at--;
    }
    return at;
}

/* The way back of days_of_date(). */
static inline void civil_from_days(int64_t days, int64_t *out_year, unsigned *out_month,
                                   unsigned *out_day)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned day_of_era = (unsigned)(shifted - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned march_month = (5 * day_of_year + 2) / 153;
    *out_day = day_of_year - (153 * march_month + 2) / 5 + 1;
    *out_month = march_month < 10 ? march_month + 3 : march_month - 9;
    *out_year = (int64_t)year_of_era + era * 400 + (*out_month <= 2);
}

void time_civil_from_days(int64_t days, int64_t *out_year, unsigned *out_month, unsigned *out_day)
{
    civil_from_days(days, out_year, out_month, out_day);
}

bool time_is_in_range(int64_t time_us)
{
    return time_us >= TIME_FIRST_US && time_us < TIME_END_US;
}

size_t time_format(int64_t time_us, char out[TIME_TEXT_BYTES])
{
    int64_t days = time_us / US_PER_DAY;
    int64_t day_us = time_us % US_PER_DAY;
    if (day_us < 0) {
        day_us += US_PER_DAY;
        days--;
    }
    int64_t year;
    unsigned month;
    unsigned day;
    civil_from_days(days, &year, &month, &day);

    unsigned second_of_day = (unsigned)(day_us / TIME_US_PER_SECOND);
    char *at = write_year(out, year);
    *at++ = '-';
    at = write_two_digits(at, month);
    *at++ = '-';
    at = write_two_digits(at, day);
    *at++ = 'T';
    at = write_two_digits(at, second_of_day / 3600);
    *at++ = ':';
    at = write_two_digits(at, second_of_day / 60 % 60);
    *at++ = ':';
    at = write_two_digits(at, second_of_day % 60);
    at = write_fraction(at, (uint64_t)(day_us % TIME_US_PER_SECOND), 6);
    *at++ = 'Z';
    *at = '\0';
    return (size_t)(at - out);
}

/* A decimal number, digits / 10^fraction_count. */
struct decimal {
    uint64_t digits;
    uint64_t power; /* 10^(digits behind the dot) */
};

/* "12" or "1.5", exact or refused. Moves *at behind it. */
static bool decimal_parse(const char **at, struct decimal *out)
{
    struct decimal number = {0, 1};
    bool dot = false;
    const char *p = *at;
    for (;; p++) {
        unsigned digit = (unsigned)(unsigned char)*p - '0';
        if (digit <= 9) {
            if (__builtin_mul_overflow(number.digits, 10, &number.digits) ||
                __builtin_add_overflow(number.digits, digit, &number.digits) ||
                (dot && __builtin_mul_overflow(number.power, 10, &number.power))) {
                return false;
            }
        } else if (*p == '.' && !dot && p != *at && (unsigned)(unsigned char)p[1] - '0' <= 9) {
            dot = true;
        } else {
            break;
        }
    }
    if (p == *at) {
        return false;
    }
    *at = p;
    *out = number;
    return true;
}

/* number * unit, when that is a whole number that fits. */
static bool decimal_scale(struct decimal number, uint64_t unit, uint64_t *out)
{
    uint64_t whole;
    uint64_t rest;
    if (__builtin_mul_overflow(number.digits / number.power, unit, &whole) ||
        __builtin_mul_overflow(number.digits % number.power, unit, &rest)) {
        return false;
    }
    return rest % number.power == 0 && !__builtin_add_overflow(whole, rest / number.power, out);
}

struct unit {
    char name[4];
    uint64_t value;
};

/* Longest first where one is the head of another; from large to small. */
static const struct unit duration_units[] = {
    {"d", UINT64_C(86400000000)}, {"h", UINT64_C(3600000000)}, {"ms", 1000},
    {"m", UINT64_C(60000000)},    {"s", UINT64_C(1000000)},    {"us", 1},
};

static const struct unit size_units[] = {
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
};

static const struct unit *unit_match(const char *text, const struct unit *units, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strncmp(text, units[i].name, strlen(units[i].name)) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

bool duration_parse(const char *text, int64_t *out_us)
{
    if (strcmp(text, "0") == 0) {
        *out_us = 0;
        return true;
    }
    uint64_t total_us = 0;
    uint64_t unit_before = UINT64_MAX;
    const char *at = text;
    do {
        struct decimal number;
        uint64_t part_us;
        if (!decimal_parse(&at, &number)) {
            return false;
        }
        const struct unit *unit =
            unit_match(at, duration_units, sizeof duration_units / sizeof *duration_units);
        /* From large to small, each once: "5m5m" is a slip of the pen. */
        if (unit == NULL || unit->value >= unit_before ||
            !decimal_scale(number, unit->value, &part_us) ||
            __builtin_add_overflow(total_us, part_us, &total_us)) {
            return false;
        }
        unit_before = unit->value;
        at += strlen(unit->name);
    } while (*at != '\0');
    if (total_us >= (uint64_t)TIME_UNLIMITED) {
        return false;
    }
    *out_us = (int64_t)total_us;
    return true;
}

static char *write_number(char *at, uint64_t value)
{
    unsigned count = 1;
    for (uint64_t rest = value / 10; rest > 0; rest /= 10) {
        count++;
    }
    return write_digits(at, value, count);
}

/* value / 10^count with its unit: "1.5s". */
static char *write_quantity(char *at, uint64_t value, unsigned count, const char *unit)
{
    uint64_t power = 1;
    for (unsigned i = 0; i < count; i++) {
        power *= 10;
    }
    at = write_number(at, value / power);
    at = write_fraction(at, value % power, count);
    return stpcpy(at, unit);
}

void duration_format(int64_t duration_us, char *out, size_t out_size)
{
    char text[64];
    char *at = text;
    if (duration_us == TIME_UNLIMITED) {
        snprintf(out, out_size, "unlimited");
        return;
    }
    uint64_t rest = (uint64_t)duration_us;
    if (duration_us < 0) {
        *at++ = '-';
        rest = 0 - rest;
    }
    if (rest == 0) {
        at = stpcpy(at, "0");
    }
    static const struct unit large[] = {
        {"d", UINT64_C(86400000000)}, {"h", UINT64_C(3600000000)}, {"m", UINT64_C(60000000)}};
    for (size_t i = 0; i < 3; i++) {
        if (rest >= large[i].value) {
            at = write_quantity(at, rest / large[i].value, 0, large[i].name);
            rest %= large[i].value;
        }
    }
    if (rest >= 1000000) {
        write_quantity(at, rest, 6, "s");
    } else if (rest >= 1000) {
        write_quantity(at, rest, 3, "ms");
    } else if (rest > 0) {
        write_quantity(at, rest, 0, "us");
    }
    snprintf(out, out_size, "%s", text);
}

bool size_parse(const char *text, uint64_t *out_bytes)
{
    struct decimal number;
    uint64_t bytes;
    if (!decimal_parse(&text, &number)) {
        return false;
    }
    const struct unit *unit = unit_match(text, size_units, sizeof size_units / sizeof *size_units);
    if (unit == NULL || text[strlen(unit->name)] != '\0' ||
        !decimal_scale(number, unit->value, &bytes)) {
        return false;
    }
    *out_bytes = bytes;
    return true;
}

bool percent_parse(const char *text, double *out_share)
{
    struct decimal number;
    if (!decimal_parse(&text, &number) || strcmp(text, "%") != 0) {
        return false;
    }
    /* Both are exact as doubles, so the one division gives the nearest double to the text. */
    if (number.digits >= UINT64_C(1) << 53 || number.power > UINT64_C(1000000000000000000)) {
        return false;
    }
    if (number.digits / number.power > 100 ||
        (number.digits / number.power == 100 && number.digits % number.power != 0)) {
        return false;
    }
    *out_share = (double)number.digits / ((double)number.power * 100.0);
    return true;
}
