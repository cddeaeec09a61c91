#include "base/time_form.h"

#include <string.h>

#include "base/time.h"

#define SECONDS_PER_DAY INT64_C(86400)

/* --- compiling --- */

static const struct {
    const char *name;
    int64_t per_second;
} epochs[] = {{"epoch_s", 1},
              {"epoch_ms", 1000},
              {"epoch_us", 1000000},
              {"epoch_ns", 1000000000}};

/* What a directive stands for in others; NULL: it is one. */
static const char *expansion_of(char directive)
{
    switch (directive) {
    case 'F':
        return "%Y-%m-%d";
    case 'T':
        return "%H:%M:%S";
    case 'R':
        return "%H:%M";
    case 'D':
        return "%m/%d/%y";
    default:
        return NULL;
    }
}

struct said {
    bool year, month, day, day_of_year, hour, half_hour, half, offset;
};

static const char *note_directives(const char *pattern, struct said *said)
{
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '%') {
            continue;
        }
        p++;
        const char *expansion = *p == '\0' ? NULL : expansion_of(*p);
        if (expansion != NULL) {
            (void)note_directives(expansion, said);
            continue;
        }
        if (*p == '\0' || strchr("YymdejbBhaAHIpMSfz%", *p) == NULL) {
            return "this version reads %Y %y %m %d %e %j %b %B %a %A %H %I %p %M %S %f %z %F %T %R "
                   "%D %%";
        }
        said->year |= *p == 'Y' || *p == 'y';
        said->month |= strchr("mbBh", *p) != NULL;
        said->day |= *p == 'd' || *p == 'e';
        said->day_of_year |= *p == 'j';
        said->hour |= *p == 'H';
        said->half_hour |= *p == 'I';
        said->half |= *p == 'p';
        said->offset |= *p == 'z';
    }
    return NULL;
}

static const char *compile_pattern(const char *text, struct time_form *out)
{
    struct said said = {0};
    const char *fault = note_directives(text, &said);
    if (fault != NULL) {
        return fault;
    }
    if (!said.year || !((said.month && said.day) || said.day_of_year)) {
        return "a pattern must say the year, and month and day or the day of the year";
    }
    if (said.half_hour != said.half) {
        return "%I (the hour from 1 to 12) and %p (AM or PM) belong together";
    }
    *out = (struct time_form){
        .kind = TIME_FORM_PATTERN, .pattern = text, .has_offset = said.offset};
    return NULL;
}

const char *time_form_compile(const char *text, struct time_form *out)
{
    if (strcmp(text, "rfc3339") == 0) {
        *out = (struct time_form){.kind = TIME_FORM_RFC3339};
        return NULL;
    }
    for (size_t i = 0; i < sizeof epochs / sizeof epochs[0]; i++) {
        if (strcmp(text, epochs[i].name) == 0) {
            *out = (struct time_form){.kind = TIME_FORM_EPOCH, .per_second = epochs[i].per_second};
            return NULL;
        }
    }
    return strchr(text, '%') != NULL
               ? compile_pattern(text, out)
               : "a form of time is rfc3339, epoch_s, epoch_ms, epoch_us, epoch_ns, or a pattern "
                 "such as '%Y-%m-%d %H:%M:%S'";
}

bool time_form_needs_zone(const struct time_form *form)
{
    return form->kind == TIME_FORM_PATTERN && !form->has_offset;
}

/* --- counts --- */

static bool scale(int64_t whole, int64_t per_second, int64_t *out_us)
{
    if (per_second <= TIME_US_PER_SECOND) {
        return !__builtin_mul_overflow(whole, TIME_US_PER_SECOND / per_second, out_us);
    }
    int64_t divisor = per_second / TIME_US_PER_SECOND;
    *out_us = whole / divisor - (whole % divisor < 0);
    return true;
}

/* "-12.5": a count with a fraction. What is beyond microseconds is cut, towards the past. */
static bool read_count(struct bytes text, int64_t per_second, int64_t *out_us)
{
    const uint8_t *p = text.data;
    const uint8_t *end = p + text.size;
    bool is_negative = p < end && *p == '-';
    p += is_negative;
    const uint8_t *first = p;
    int64_t whole = 0;
    for (; p < end && (unsigned)*p - '0' <= 9; p++) {
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, *p - '0', &whole)) {
            return false;
        }
    }
    if (p == first) {
        return false;
    }
    int64_t unit_us = per_second <= TIME_US_PER_SECOND ? TIME_US_PER_SECOND / per_second : 0;
    int64_t fraction_us = 0;
    bool has_rest = false;
    if (p < end && *p == '.') {
        const uint8_t *digits = ++p;
        for (; p < end && (unsigned)*p - '0' <= 9; p++) {
            unit_us /= 10;
            fraction_us += (*p - '0') * unit_us;
            has_rest |= unit_us == 0 && *p != '0';
        }
        if (p == digits) {
            return false;
        }
    }
    int64_t us;
    if (p != end || !scale(is_negative ? -whole : whole, per_second, &us)) {
        return false;
    }
    /* Below a unit that is finer than a microsecond a fraction changes nothing, but towards the past
     * of a negative count; `scale` has cut that already unless the count was whole there. */
    bool is_fine = per_second > TIME_US_PER_SECOND;
    int64_t divisor = is_fine ? per_second / TIME_US_PER_SECOND : 1;
    bool steps_back = is_negative && has_rest && (!is_fine || whole % divisor == 0);
    *out_us = is_negative ? us - fraction_us - steps_back : us + fraction_us;
    return true;
}

bool time_form_read_int64(const struct time_form *form, int64_t number, int64_t *out_us)
{
    int64_t us;
    if (form->kind != TIME_FORM_EPOCH || !scale(number, form->per_second, &us) ||
        !time_is_in_range(us)) {
        return false;
    }
    *out_us = us;
    return true;
}

bool time_form_read_double(const struct time_form *form, double number, int64_t *out_us)
{
    if (form->kind != TIME_FORM_EPOCH) {
        return false;
    }
    double us = form->per_second <= TIME_US_PER_SECOND
                    ? number * (double)(TIME_US_PER_SECOND / form->per_second)
                    : number / (double)(form->per_second / TIME_US_PER_SECOND);
    /* NaN fails this too. */
    if (!(us > -1e18 && us < 1e18)) {
        return false;
    }
    int64_t rounded = (int64_t)(us < 0 ? us - 0.5 : us + 0.5);
    if (!time_is_in_range(rounded)) {
        return false;
    }
    *out_us = rounded;
    return true;
}

/* --- patterns --- */

struct parts {
    int year;
    unsigned month, day, day_of_year;
    unsigned hour, minute, second, fraction_us;
    int weekday; /* from Sunday; −1: not said */
    bool is_afternoon, has_half;
    int32_t offset_s;
};

/* Up to `most` digits, at least `least`. */
static bool read_digits(const uint8_t **at, const uint8_t *end, unsigned least, unsigned most,
                        unsigned *out)
{
    unsigned number = 0;
    unsigned count = 0;
    for (; count < most && *at < end && (unsigned)**at - '0' <= 9; count++, ++*at) {
        number = number * 10 + ((unsigned)**at - '0');
    }
    *out = number;
    return count >= least;
}

static bool read_fraction(const uint8_t **at, const uint8_t *end, unsigned *out_us)
{
    unsigned unit = 100000;
    unsigned us = 0;
    unsigned count = 0;
    for (; count < 9 && *at < end && (unsigned)**at - '0' <= 9; count++, ++*at) {
        us += ((unsigned)**at - '0') * unit;
        unit /= 10;
    }
    *out_us = us;
    return count > 0;
}

static bool starts_with_name(const uint8_t *at, const uint8_t *end, const char *name, size_t size)
{
    if ((size_t)(end - at) < size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        unsigned lower = at[i] >= 'A' && at[i] <= 'Z' ? at[i] + 32u : at[i];
        unsigned wanted =
            name[i] >= 'A' && name[i] <= 'Z' ? (unsigned)name[i] + 32u : (unsigned)name[i];
        if (lower != wanted) {
            return false;
        }
    }
    return true;
}

/* The whole name if it is there, else its first three letters. */
static bool read_name(const uint8_t **at, const uint8_t *end, const char *const *names,
                      unsigned count, unsigned *out)
{
    for (unsigned i = 0; i < count; i++) {
        size_t size = strlen(names[i]);
        size = starts_with_name(*at, end, names[i], size) ? size : 3;
        if (starts_with_name(*at, end, names[i], size)) {
            *at += size;
            *out = i;
            return true;
        }
    }
    return false;
}

static bool read_offset(const uint8_t **at, const uint8_t *end, int32_t *out_s)
{
    char text[8] = {0};
    size_t size = 0;
    const uint8_t *p = *at;
    if (p < end && (*p == 'Z' || *p == 'z')) {
        *at = p + 1;
        *out_s = 0;
        return true;
    }
    while (p + size < end && size < 6 &&
           ((unsigned)p[size] - '0' <= 9 || p[size] == ':' ||
            (size == 0 && (p[size] == '+' || p[size] == '-')))) {
        text[size] = (char)p[size];
        size++;
    }
    if (size > 5 && text[3] != ':') {
        text[--size] = '\0';
    }
    struct zone zone;
    if (size == 0 || !zone_parse_offset(text, &zone)) {
        return false;
    }
    *at = p + size;
    *out_s = zone.first_offset_s;
    return true;
}

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
static const char *const halves[] = {"AM ", "PM "};

static bool read_year(char directive, const uint8_t **at, const uint8_t *end, struct parts *parts)
{
    unsigned number = 0;
    if (directive == 'Y') {
        bool good = read_digits(at, end, 4, 4, &number);
        parts->year = (int)number;
        return good;
    }
    bool good = read_digits(at, end, 2, 2, &number);
    parts->year = (int)number + (number >= 69 ? 1900 : 2000);
    return good;
}

static bool read_half(const uint8_t **at, const uint8_t *end, struct parts *parts)
{
    for (unsigned i = 0; i < 2; i++) {
        if (starts_with_name(*at, end, halves[i], 2)) {
            *at += 2;
            parts->is_afternoon = i == 1;
            parts->has_half = true;
            return true;
        }
    }
    return false;
}

static bool read_directive(char directive, const uint8_t **at, const uint8_t *end,
                           struct parts *parts)
{
    unsigned number = 0;
    switch (directive) {
    case 'Y':
    case 'y':
        return read_year(directive, at, end, parts);
    case 'm':
        return read_digits(at, end, 1, 2, &parts->month);
    case 'e':
        *at += *at < end && **at == ' ';
        return read_digits(at, end, 1, 2, &parts->day);
    case 'd':
        return read_digits(at, end, 1, 2, &parts->day);
    case 'j':
        return read_digits(at, end, 1, 3, &parts->day_of_year) && parts->day_of_year > 0;
    case 'b':
    case 'B':
    case 'h':
        if (!read_name(at, end, months, 12, &number)) {
            return false;
        }
        parts->month = number + 1;
        return true;
    case 'a':
    case 'A':
        if (!read_name(at, end, weekdays, 7, &number)) {
            return false;
        }
        parts->weekday = (int)number;
        return true;
    case 'H':
        return read_digits(at, end, 1, 2, &parts->hour) && parts->hour <= 23;
    case 'I':
        return read_digits(at, end, 1, 2, &parts->hour) && parts->hour - 1 <= 11;
    case 'p':
        return read_half(at, end, parts);
    case 'M':
        return read_digits(at, end, 1, 2, &parts->minute) && parts->minute <= 59;
    case 'S':
        return read_digits(at, end, 1, 2, &parts->second) && parts->second <= 60;
    case 'f':
        return read_fraction(at, end, &parts->fraction_us);
    case 'z':
        return read_offset(at, end, &parts->offset_s);
    default: /* %% */
        if (*at == end || **at != '%') {
            return false;
        }
        ++*at;
        return true;
    }
}

static bool read_parts(const char *pattern, const uint8_t **at, const uint8_t *end,
                       struct parts *parts)
{
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '%') {
            if (*at == end || **at != (uint8_t)*p) {
                return false;
            }
            ++*at;
            continue;
        }
        p++;
        const char *expansion = expansion_of(*p);
        if (expansion != NULL ? !read_parts(expansion, at, end, parts)
                              : !read_directive(*p, at, end, parts)) {
            return false;
        }
    }
    return true;
}

static bool days_of_parts(const struct parts *parts, int64_t *out_days)
{
    if (parts->day_of_year == 0) {
        if (!time_days_from_civil(parts->year, parts->month, parts->day, out_days)) {
            return false;
        }
    } else {
        int64_t next = 0;
        if (!time_days_from_civil(parts->year, 1, 1, out_days) ||
            !time_days_from_civil(parts->year + 1, 1, 1, &next)) {
            return false;
        }
        *out_days += parts->day_of_year - 1;
        if (*out_days >= next) {
            return false;
        }
    }
    /* 1970-01-01 was a Thursday. */
    int64_t weekday = ((*out_days + 4) % 7 + 7) % 7;
    return parts->weekday < 0 || parts->weekday == weekday;
}

static bool read_pattern(const struct time_form *form, const struct zone *zone, struct bytes text,
                         int64_t *out_us)
{
    struct parts parts = {.weekday = -1};
    const uint8_t *at = text.data;
    const uint8_t *end = at + text.size;
    int64_t days;
    if (!read_parts(form->pattern, &at, end, &parts) || at != end ||
        !days_of_parts(&parts, &days)) {
        return false;
    }
    unsigned hour = parts.has_half ? parts.hour % 12 + 12 * parts.is_afternoon : parts.hour;
    int64_t local_s =
        days * SECONDS_PER_DAY + (int64_t)(hour * 3600 + parts.minute * 60 + parts.second);
    int64_t utc_s =
        form->has_offset ? local_s - parts.offset_s : zone_to_utc_s(zone, local_s);
    *out_us = utc_s * TIME_US_PER_SECOND + (parts.second == 60 ? 0 : parts.fraction_us);
    return true;
}

bool time_form_read(const struct time_form *form, const struct zone *zone, struct bytes text,
                    int64_t *out_us)
{
    int64_t us = 0;
    bool good = false;
    switch (form->kind) {
    case TIME_FORM_RFC3339:
        return time_parse_rfc3339(text, out_us);
    case TIME_FORM_EPOCH:
        good = read_count(text, form->per_second, &us);
        break;
    case TIME_FORM_PATTERN:
        good = read_pattern(form, zone, text, &us);
        break;
    }
    if (!good || !time_is_in_range(us)) {
        return false;
    }
    *out_us = us;
    return true;
}
