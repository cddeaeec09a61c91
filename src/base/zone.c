#include "base/zone.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"

#define SECONDS_PER_DAY INT64_C(86400)
/* RFC 8536 allows that much in a rule; nobody uses nearly as much. */
#define OFFSET_MAX_S (167 * 3600)
#define CHANGES_MAX 100000u

/* --- rules --- */

static bool parse_number(const char **at, int32_t most, int32_t *out)
{
    int32_t number = 0;
    const char *p = *at;
    for (; *p >= '0' && *p <= '9'; p++) {
        number = number * 10 + (*p - '0');
        if (number > most) {
            return false;
        }
    }
    bool found = p > *at;
    *at = p;
    *out = number;
    return found;
}

/* "[+-]hh[:mm[:ss]]" */
static bool parse_time(const char **at, int32_t *out_s)
{
    int32_t parts[3] = {0};
    bool is_negative = **at == '-';
    *at += **at == '-' || **at == '+';
    for (size_t i = 0; i < 3; i++) {
        if (i > 0 && **at != ':') {
            break;
        }
        *at += i > 0;
        if (!parse_number(at, i == 0 ? 167 : 59, &parts[i])) {
            return false;
        }
    }
    int32_t seconds = parts[0] * 3600 + parts[1] * 60 + parts[2];
    *out_s = is_negative ? -seconds : seconds;
    return true;
}

/* "CET", "<+03>" */
static bool skip_name(const char **at)
{
    const char *p = *at;
    if (*p == '<') {
        p = strchr(p, '>');
        if (p == NULL) {
            return false;
        }
        *at = p + 1;
        return true;
    }
    while ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z')) {
        p++;
    }
    bool found = p - *at >= 3;
    *at = p;
    return found;
}

static bool parse_weekday(const char **at, struct zone_rule_day *out)
{
    out->kind = ZONE_WEEKDAY;
    return parse_number(at, 12, &out->month) && out->month > 0 && *(*at)++ == '.' &&
           parse_number(at, 5, &out->week) && out->week > 0 && *(*at)++ == '.' &&
           parse_number(at, 6, &out->day);
}

static bool parse_rule_day(const char **at, struct zone_rule_day *out)
{
    *out = (struct zone_rule_day){.kind = ZONE_DAY, .time_s = 2 * 3600};
    bool good;
    if (**at == 'M') {
        ++*at;
        good = parse_weekday(at, out);
    } else {
        out->kind = **at == 'J' ? ZONE_JULIAN : ZONE_DAY;
        *at += **at == 'J';
        good = parse_number(at, 365, &out->day) && (out->kind == ZONE_DAY || out->day > 0);
    }
    if (good && **at == '/') {
        ++*at;
        good = parse_time(at, &out->time_s);
    }
    return good;
}

static bool parse_rule(const char *text, struct zone_rule *out)
{
    const char *at = text;
    int32_t west_s = 0;
    *out = (struct zone_rule){.is_there = text[0] != '\0'};
    if (text[0] == '\0') {
        return true;
    }
    if (!skip_name(&at) || !parse_time(&at, &west_s)) {
        return false;
    }
    out->standard_s = -west_s;
    if (*at == '\0') {
        return true;
    }
    out->has_summer = true;
    out->summer_s = out->standard_s + 3600;
    if (!skip_name(&at)) {
        return false;
    }
    if (*at != ',') {
        if (!parse_time(&at, &west_s)) {
            return false;
        }
        out->summer_s = -west_s;
    }
    return *at++ == ',' && parse_rule_day(&at, &out->begin) && *at++ == ',' &&
           parse_rule_day(&at, &out->end) && *at == '\0';
}

static int64_t first_day(int year, unsigned month)
{
    int64_t days = 0;
    bool good = time_days_from_civil(year, month, 1, &days);
    check(good);
    return days;
}

/* The local second of the year at which the clocks change. */
static int64_t local_change_s(const struct zone_rule_day *day, int year)
{
    int64_t days = first_day(year, 1);
    if (day->kind == ZONE_JULIAN) {
        /* 29 February is never counted. */
        bool is_leap = first_day(year, 3) - days == 60;
        days += day->day - 1 + (is_leap && day->day > 59);
    } else if (day->kind == ZONE_DAY) {
        days += day->day;
    } else {
        unsigned month = (unsigned)day->month;
        days = first_day(year, month);
        int64_t next = month == 12 ? first_day(year + 1, 1) : first_day(year, month + 1);
        /* 1970-01-01 was a Thursday. */
        int64_t weekday = ((days + 4) % 7 + 7) % 7;
        days += (day->day - weekday + 7) % 7 + 7 * (int64_t)(day->week - 1);
        while (days >= next) {
            days -= 7;
        }
    }
    return days * SECONDS_PER_DAY + day->time_s;
}

static int32_t rule_offset_s(const struct zone_rule *rule, int64_t utc_s)
{
    if (!rule->has_summer) {
        return rule->standard_s;
    }
    int64_t local_s = utc_s + rule->standard_s;
    int64_t days = local_s / SECONDS_PER_DAY - (local_s % SECONDS_PER_DAY < 0);
    int64_t year;
    unsigned month;
    unsigned day;
    time_civil_from_days(days, &year, &month, &day);
    int64_t begin_s = local_change_s(&rule->begin, (int)year) - rule->standard_s;
    int64_t end_s = local_change_s(&rule->end, (int)year) - rule->summer_s;
    bool is_summer = begin_s < end_s ? utc_s >= begin_s && utc_s < end_s
                                     : utc_s >= begin_s || utc_s < end_s;
    return is_summer ? rule->summer_s : rule->standard_s;
}

/* --- from local time to UTC --- */

int32_t zone_offset_s(const struct zone *zone, int64_t utc_s)
{
    size_t low = 0;
    size_t high = zone->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->changes[middle].at_s <= utc_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == zone->count && zone->rule.is_there) {
        return rule_offset_s(&zone->rule, utc_s);
    }
    return low == 0 ? zone->first_offset_s : zone->changes[low - 1].offset_s;
}

int64_t zone_to_utc_s(const struct zone *zone, int64_t local_s)
{
    if (zone->count == 0 && !zone->rule.has_summer) {
        return local_s - zone_offset_s(zone, 0);
    }
    /* The offsets a day before and after; where clocks went back both may fit, and the first is the
     * earlier moment. */
    int32_t before_s = zone_offset_s(zone, local_s - SECONDS_PER_DAY);
    int32_t after_s = zone_offset_s(zone, local_s + SECONDS_PER_DAY);
    if (zone_offset_s(zone, local_s - before_s) != before_s &&
        zone_offset_s(zone, local_s - after_s) == after_s) {
        return local_s - after_s;
    }
    return local_s - before_s;
}

/* --- offsets --- */

bool zone_parse_offset(const char *text, struct zone *out)
{
    *out = (struct zone){0};
    if (strcmp(text, "UTC") == 0 || strcmp(text, "Z") == 0) {
        return true;
    }
    size_t size = strlen(text);
    bool has_colon = size == 6 && text[3] == ':';
    if ((text[0] != '+' && text[0] != '-') || (size != 3 && size != 5 && !has_colon)) {
        return false;
    }
    int32_t digits[4] = {0};
    size_t count = 0;
    for (size_t i = 1; i < size; i++) {
        if (i == 3 && has_colon) {
            continue;
        }
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        digits[count++] = text[i] - '0';
    }
    int32_t hours = digits[0] * 10 + digits[1];
    int32_t minutes = digits[2] * 10 + digits[3];
    if (hours > 23 || minutes > 59) {
        return false;
    }
    int32_t seconds = hours * 3600 + minutes * 60;
    out->first_offset_s = text[0] == '-' ? -seconds : seconds;
    return true;
}

/* --- texts --- */

static bool parse_int64(const char **at, char until, int64_t *out)
{
    char *end = NULL;
    *out = strtoll(*at, &end, 10);
    bool good = end != *at && *end == until;
    *at = end + (good && until != '\0');
    return good;
}

static bool parse_changes(struct arena *arena, const char *at, struct zone *zone)
{
    size_t count = at[0] == '\0' ? 0 : 1;
    for (const char *p = at; *p != '\0'; p++) {
        count += *p == ',';
    }
    if (count > CHANGES_MAX) {
        return false;
    }
    zone->changes = arena_alloc_zero(arena, count + 1, sizeof *zone->changes);
    for (size_t i = 0; i < count; i++) {
        int64_t offset_s = 0;
        struct zone_change *change = &zone->changes[i];
        if (!parse_int64(&at, '=', &change->at_s) ||
            !parse_int64(&at, i + 1 < count ? ',' : '\0', &offset_s) || offset_s < -OFFSET_MAX_S ||
            offset_s > OFFSET_MAX_S || (i > 0 && change->at_s <= change[-1].at_s)) {
            return false;
        }
        change->offset_s = (int32_t)offset_s;
        zone->count++;
    }
    return true;
}

bool zone_parse_text(struct arena *arena, struct bytes text, struct zone *out)
{
    char *copy = arena_copy(arena, text.data, text.size);
    char *semicolon = strchr(copy, ';');
    int64_t first_s = 0;
    *out = (struct zone){0};
    if (semicolon == NULL || strlen(copy) != text.size) {
        return false;
    }
    *semicolon = '\0';
    const char *at = semicolon + 1;
    if (!parse_rule(copy, &out->rule) || !parse_int64(&at, ';', &first_s) ||
        first_s < -OFFSET_MAX_S || first_s > OFFSET_MAX_S) {
        return false;
    }
    out->first_offset_s = (int32_t)first_s;
    return parse_changes(arena, at, out);
}

/* --- TZif --- */

struct tzif {
    uint8_t version;
    uint32_t utc_count, standard_count, leap_count, change_count, type_count, name_count;
};

static uint32_t read_u32(struct reader *in)
{
    return __builtin_bswap32(reader_u32(in));
}

static bool read_head(struct reader *in, struct tzif *out)
{
    const uint8_t *head = reader_take(in, 20);
    if (head == NULL || memcmp(head, "TZif", 4) != 0) {
        return false;
    }
    out->version = head[4];
    out->utc_count = read_u32(in);
    out->standard_count = read_u32(in);
    out->leap_count = read_u32(in);
    out->change_count = read_u32(in);
    out->type_count = read_u32(in);
    out->name_count = read_u32(in);
    return !in->failed && out->change_count <= CHANGES_MAX && out->type_count > 0 &&
           out->type_count <= 256 && out->name_count <= 4096 && out->leap_count <= 4096 &&
           out->utc_count <= 256 && out->standard_count <= 256;
}

static size_t body_size(const struct tzif *head, size_t time_size)
{
    return head->change_count * (time_size + 1) + head->type_count * 6 + head->name_count +
           head->leap_count * (time_size + 4) + head->standard_count + head->utc_count;
}

/* The changes of offset in a body; others (of a name) are none. */
static bool read_changes(struct reader *in, const struct tzif *head, size_t time_size,
                         struct arena *arena, struct zone *out)
{
    const uint8_t *times = reader_take(in, head->change_count * time_size);
    const uint8_t *types = reader_take(in, head->change_count);
    const uint8_t *offsets = reader_take(in, head->type_count * (size_t)6);
    if (in->failed) {
        return false;
    }
    int32_t type_offsets[256] = {0};
    for (uint32_t i = 0; i < head->type_count; i++) {
        uint32_t offset;
        memcpy(&offset, offsets + i * (size_t)6, sizeof offset);
        type_offsets[i] = (int32_t)be32toh(offset);
    }
    out->first_offset_s = type_offsets[0];
    out->changes = arena_alloc_zero(arena, head->change_count + 1, sizeof *out->changes);
    int32_t last_s = out->first_offset_s;
    for (uint32_t i = 0; i < head->change_count; i++) {
        uint64_t at = 0;
        uint32_t short_at = 0;
        memcpy(time_size == 8 ? (void *)&at : (void *)&short_at, times + i * time_size, time_size);
        int64_t at_s = time_size == 8 ? (int64_t)be64toh(at) : (int32_t)be32toh(short_at);
        if (types[i] >= head->type_count ||
            (out->count > 0 && at_s <= out->changes[out->count - 1].at_s)) {
            return false;
        }
        if (type_offsets[types[i]] != last_s) {
            last_s = type_offsets[types[i]];
            out->changes[out->count++] = (struct zone_change){at_s, last_s};
        }
    }
    return true;
}

/* Whether the rule alone says what the last change and the time before it say. */
static bool rule_makes_last(const struct zone *zone)
{
    const int64_t step_s = 14 * SECONDS_PER_DAY;
    const struct zone_change *last = &zone->changes[zone->count - 1];
    if (!zone->rule.is_there || zone->count < 2 ||
        rule_offset_s(&zone->rule, last->at_s) != last->offset_s ||
        rule_offset_s(&zone->rule, last->at_s - 1) != last[-1].offset_s) {
        return false;
    }
    for (int64_t at_s = last[-1].at_s; at_s < last->at_s; at_s += step_s) {
        if (rule_offset_s(&zone->rule, at_s) != last[-1].offset_s) {
            return false;
        }
    }
    return true;
}

static void write_text(const struct zone *zone, const char *rule, struct buffer *out)
{
    buffer_printf(out, "%s;%d;", rule, (int)zone->first_offset_s);
    for (size_t i = 0; i < zone->count; i++) {
        buffer_printf(out, "%s%lld=%d", i == 0 ? "" : ",", (long long)zone->changes[i].at_s,
                      (int)zone->changes[i].offset_s);
    }
}

static const char *read_footer(struct reader *in, struct arena *arena)
{
    const uint8_t *begin = in->at + 1;
    const uint8_t *end =
        in->at < in->end && *in->at == '\n' ? memchr(begin, '\n', (size_t)(in->end - begin)) : NULL;
    return end == NULL || memchr(begin, ';', (size_t)(end - begin)) != NULL
               ? NULL
               : arena_copy(arena, begin, (size_t)(end - begin));
}

bool zone_of_tzif(struct bytes file, struct buffer *out)
{
    struct reader in = reader_of(file);
    struct tzif head;
    struct zone zone = {0};
    if (!read_head(&in, &head)) {
        return false;
    }
    struct arena *arena = arena_new(16 * 1024);
    const char *rule = "";
    size_t time_size = 4;
    bool good = true;
    if (head.version >= '2') {
        (void)reader_take(&in, body_size(&head, 4));
        time_size = 8;
        good = read_head(&in, &head);
    }
    struct reader body = in;
    good = good && read_changes(&body, &head, time_size, arena, &zone);
    if (good && time_size == 8) {
        (void)reader_take(&in, body_size(&head, 8));
        rule = in.failed ? NULL : read_footer(&in, arena);
        good = rule != NULL && parse_rule(rule, &zone.rule);
    }
    if (good) {
        while (zone.count > 1 && rule_makes_last(&zone)) {
            zone.count--;
        }
        write_text(&zone, rule, out);
    }
    arena_free(arena);
    return good;
}
