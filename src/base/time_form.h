/*
 * Time forms: how a time is written, as an operator says it. No clock and no locale is asked.
 *
 *   rfc3339              base/time.h
 *   epoch_s, epoch_ms, epoch_us, epoch_ns
 *                        a count since 1970-01-01T00:00:00Z: digits, with a sign or a fraction; what
 *                        is beyond microseconds is cut (of a double it is rounded)
 *   a pattern            text that must stand there, and
 *     %Y four digits        %y two (69 to 99 are 1969 to 1999)   %m %d one or two   %e %d, or a
 *     space and a digit     %j day of the year    %b %B %h month by its English name, short or long
 *     %a %A weekday by its English name; it must be the right one
 *     %H %M %S one or two digits    %I with %p (AM, PM)    %f one to nine digits of a fraction
 *     %z Z, +01:00, +0100 or +01    %F %Y-%m-%d    %T %H:%M:%S    %R %H:%M    %D %m/%d/%y    %% %
 *
 * A pattern says year, month and day (or day of the year); what it does not say of the time of day
 * is 0. Without %z the time is one of the given zone. The second 60 is the first of the next minute.
 * All of a text must be read, and the time must lie in the years 0000 to 9999 in UTC.
 */
#ifndef WEIR_BASE_TIME_FORM_H
#define WEIR_BASE_TIME_FORM_H

#include "base/zone.h"

struct time_form {
    enum { TIME_FORM_RFC3339, TIME_FORM_EPOCH, TIME_FORM_PATTERN } kind;
    int64_t per_second;  /* EPOCH: 1, 1000, … */
    const char *pattern; /* PATTERN */
    bool has_offset;     /* PATTERN: it says the zone itself */
};

/* NULL, or a static text that says what is wrong. `text` must outlive the form. */
const char *time_form_compile(const char *text, struct time_form *out);
/* Whether times of that form need a zone. */
bool time_form_needs_zone(const struct time_form *form);
/* `zone` may be NULL where none is needed. */
bool time_form_read(const struct time_form *form, const struct zone *zone, struct bytes text,
                    int64_t *out_us);
/* The same of numbers: a count of an EPOCH form. False for other forms. */
bool time_form_read_int64(const struct time_form *form, int64_t number, int64_t *out_us);
bool time_form_read_double(const struct time_form *form, double number, int64_t *out_us);

#endif
