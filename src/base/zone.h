/*
 * Zones: from local time to UTC. A zone is a fixed offset, or the history of a place: the moments at
 * which its clocks were changed, and the rule by which they will be.
 *
 * The databases of two machines may differ, and a verdict must not. So a zone has a text, which goes
 * into the plan; zone_of_tzif() makes it of a file of the IANA database, once, and nobody looks at
 * the database again:
 *
 *   "CET-1CEST,M3.5.0,M10.5.0/3;3208;-2422054408=3600,-1693706400=7200,…"
 *
 * The rule (POSIX TZ, may be empty), the offset before the first change in seconds east of UTC, and
 * every change: seconds since 1970 in UTC and the offset from then on. Changes that the rule makes
 * too are left out at the end, so that the text does not depend on how a file was packed.
 *
 * Local times that no clock showed (when clocks go forward) are taken as if they had not: an hour
 * later. Of two moments with one local time (when clocks go back) the first is taken.
 */
#ifndef WEIR_BASE_ZONE_H
#define WEIR_BASE_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"

struct zone_change {
    int64_t at_s; /* UTC */
    int32_t offset_s;
};

/* When a rule changes the clocks each year. */
struct zone_rule_day {
    enum { ZONE_JULIAN, ZONE_DAY, ZONE_WEEKDAY } kind; /* Jn, n, Mm.w.d */
    int32_t month, week, day;
    int32_t time_s; /* local, of the clocks as they stand before */
};

struct zone_rule {
    bool is_there;
    bool has_summer;
    int32_t standard_s, summer_s; /* east of UTC */
    struct zone_rule_day begin, end;
};

struct zone {
    int32_t first_offset_s;
    struct zone_change *changes;
    size_t count;
    struct zone_rule rule;
};

/* "UTC", "Z", "+01:00", "-0530", "+02". */
bool zone_parse_offset(const char *text, struct zone *out);
/* The form above; everything in `arena`. */
bool zone_parse_text(struct arena *arena, struct bytes text, struct zone *out);
/* Appends the text of a TZif file (RFC 8536); false when it is none. */
bool zone_of_tzif(struct bytes file, struct buffer *out);
/* East of UTC. */
int32_t zone_offset_s(const struct zone *zone, int64_t utc_s);
int64_t zone_to_utc_s(const struct zone *zone, int64_t local_s);

#endif
