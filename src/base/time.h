/*
 * Time as data: timestamps, durations and other quantities with units, as text and as integers. No
 * clock is read here (os/clock.h does that).
 *
 * A timestamp is int64 microseconds since 1970-01-01T00:00:00Z (no leap seconds; a :60 second is
 * taken as the first microsecond of the next minute). Range: years 0000 to 9999.
 */
#ifndef WEIR_BASE_TIME_H
#define WEIR_BASE_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define TIME_US_PER_SECOND INT64_C(1000000)
/* Stands for "no event time yet"; below every real timestamp by more than any horizon. */
#define TIME_NEVER (INT64_MIN / 4)
/* A horizon that never ends (`window: unlimited`). */
#define TIME_UNLIMITED (INT64_MAX / 4)
/* Room for the longest text of time_format(), with its NUL. */
#define TIME_TEXT_BYTES 32

/* RFC 3339 date-time: "2026-01-31T12:34:56[.fraction](Z|±hh:mm)", 'T' and 'Z' in either case, a
 * space allowed for 'T' as RFC 3339 section 5.6 notes. Digits beyond microseconds are cut. False
 * when it is anything else, and when the offset takes it out of the range. */
bool time_parse_rfc3339(struct bytes text, int64_t *out_us);
/* The same, but any date-time of the form is taken: its offset may lead up to a day beyond the
 * range of timestamps ("9999-12-31T23:59:59-01:00" is in the year 10000). */
bool time_parse_any_rfc3339(struct bytes text, int64_t *out_us);
/* Reads many times of which most lie in the minute of the one before: then only what stands behind the
 * minute is read. Zero-initialise; the answers are those of time_parse_any_rfc3339(). */
struct time_reader {
    bool known;
    uint8_t minute[16]; /* how the last one begins: "2026-01-31T12:34" */
    int64_t minute_us;
};
bool time_read_any_rfc3339(struct time_reader *reader, struct bytes text, int64_t *out_us);
/* "2026-01-31T12:34:56Z", with .ffffff (trailing zeros cut) only where not a whole second. Returns
 * the length; a NUL follows. */
size_t time_format(int64_t time_us, char out[TIME_TEXT_BYTES]);

/* Days since 1970-01-01 of a proleptic Gregorian date; false when there is no such day. */
bool time_days_from_civil(int year, unsigned month, unsigned day, int64_t *out_days);

/* The way back. */
void time_civil_from_days(int64_t days, int64_t *out_year, unsigned *out_month, unsigned *out_day);
/* Whether the time lies in the years 0000 to 9999. */
bool time_is_in_range(int64_t time_us);

/* "250us", "100ms", "1.5s", "10m", "2h", "7d", and sums such as "1h30m". A number without a unit is
 * refused, 0 is not. Negative is refused. */
bool duration_parse(const char *text, int64_t *out_us);
/* The shortest exact text: "10m", "1h30m", "250ms". */
void duration_format(int64_t duration_us, char *out, size_t out_size);
/* "512B", "64KiB", "4MiB", "1GiB", "10KB", "1MB", "1GB". */
bool size_parse(const char *text, uint64_t *out_bytes);
/* "5%" gives 0.05; 0–100 %. */
bool percent_parse(const char *text, double *out_share);

#endif
