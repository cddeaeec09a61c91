/* date-time, date, time: RFC 3339 section 5.6. */
#include <string.h>

#include "base/time.h"
#include "schema/ascii.h"
#include "schema/format.h"

#define US_PER_DAY (INT64_C(86400) * TIME_US_PER_SECOND)

bool format_is_date_time_read(struct bytes text, int64_t time_us)
{
    /* time_parse_any_rfc3339() also takes the space that the RFC allows applications to use. */
    if (text.data[10] == ' ') {
        return false;
    }
    /* It gives a leap second as the first microsecond of the next minute, which must be that of
     * a day. */
    return memcmp(text.data + 17, "60", 2) != 0 || time_us % US_PER_DAY == 0;
}

bool format_is_date_time(struct bytes text)
{
    int64_t time_us;
    return time_parse_any_rfc3339(text, &time_us) && format_is_date_time_read(text, time_us);
}

bool format_is_date(struct bytes text)
{
    if (text.size != 10 || text.data[4] != '-' || text.data[7] != '-') {
        return false;
    }
    unsigned parts[3] = {0, 0, 0};
    static const uint8_t part_of[10] = {0, 0, 0, 0, 3, 1, 1, 3, 2, 2};
    for (size_t i = 0; i < text.size; i++) {
        if (part_of[i] == 3) {
            continue;
        }
        if (!ascii_is_digit(text.data[i])) {
            return false;
        }
        parts[part_of[i]] = parts[part_of[i]] * 10 + (text.data[i] - '0');
    }
    int64_t days;
    return time_days_from_civil((int)parts[0], parts[1], parts[2], &days);
}

/* Read as the time of some day, without the fraction, which may have any number of digits. */
bool format_is_time(struct bytes text)
{
    static const char day[] = "2000-01-01T";
    enum { DAY_BYTES = sizeof day - 1, CLOCK_BYTES = 8, OFFSET_BYTES_MAX = 6 };
    if (text.size < CLOCK_BYTES + 1) {
        return false;
    }
    size_t at = CLOCK_BYTES;
    if (text.data[at] == '.') {
        size_t first = ++at;
        while (at < text.size && ascii_is_digit(text.data[at])) {
            at++;
        }
        if (at == first) {
            return false;
        }
    }
    size_t rest = text.size - at;
    if (rest > OFFSET_BYTES_MAX) {
        return false;
    }
    uint8_t date_time[DAY_BYTES + CLOCK_BYTES + OFFSET_BYTES_MAX];
    memcpy(date_time, day, DAY_BYTES);
    memcpy(date_time + DAY_BYTES, text.data, CLOCK_BYTES);
    memcpy(date_time + DAY_BYTES + CLOCK_BYTES, text.data + at, rest);
    return format_is_date_time(bytes_of(date_time, DAY_BYTES + CLOCK_BYTES + rest));
}
