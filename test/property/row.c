#include "row.h"

#include <string.h>

#include "base/time.h"

#define EPOCH_US INT64_C(1767225600000000)

/* --- rows --- */

struct shape {
    int now_s;
    int keys, sensors;
    int future_percent;
    int leap_percent; /* all senders move on */
};

static int maybe(struct prng *prng, unsigned absent_percent, int value)
{
    return chance(prng, absent_percent) ? NONE : value;
}

static void random_time(struct row *row, struct prng *prng, const struct rule *rule,
                        struct shape *shape)
{
    shape->now_s += PICK(prng, 0, 1, 3, 8);
    if (below(prng, 1000) < shape->leap_percent * 10) {
        shape->now_s += 100 + below(prng, 500);
    }
    int behind_s = 0;
    switch (below(prng, 5)) {
    case 0:
        behind_s = 1 + below(prng, 2 * rule->lateness_s + 1);
        break;
    case 1:
        behind_s = 1 + below(prng, rule_reach_s(rule) + 1);
        break;
    default:
        break;
    }
    int ahead_s = 0;
    if (below(prng, 100) < shape->future_percent) {
        ahead_s = below(prng, rule_reach_s(rule) - rule->lateness_s + 1) +
                  (rule->max_jump_s > 0 && chance(prng, 50) ? rule->max_jump_s : 0);
    }
    row->arrival_s = shape->now_s;
    row->event_s = shape->now_s - behind_s + ahead_s;
    row->time = !chance(prng, 3) ? TIME_GIVEN : chance(prng, 50) ? TIME_MISSING : TIME_BROKEN;
}

static void random_row(struct row *row, struct prng *prng, const struct rule *rule,
                       struct shape *shape)
{
    memset(row, 0, sizeof *row);
    random_time(row, prng, rule, shape);
    row->damage = !chance(prng, rule->takes_tombstones ? 10 : 2) ? DAMAGE_NOT : chance(prng, 50) ? DAMAGE_TOMBSTONE : DAMAGE_CUT;
    row->key = maybe(prng, 5, below(prng, shape->keys));
    row->other = maybe(prng, 5, below(prng, OTHERS_MAX));
    row->sensor = maybe(prng, 3, below(prng, shape->sensors));
    row->value = maybe(prng, 50, below(prng, 100));
    row->mode = maybe(prng, 50, below(prng, 100));
    row->least = chance(prng, 33) ? below(prng, 80) : 0;
    row->is_test = chance(prng, 10);
    row->has_record_key = chance(prng, 70);
}

/* --- records --- */

static void write_digits(struct buffer *out, int number)
{
    char digits[12];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    buffer_append(out, digits + at, sizeof digits - at);
}

static void write_time(struct buffer *out, struct prng *prng, int second)
{
    static const char *const zones[] = {"", "+01:00", "+02:00", "+03:00", "+04:00"};
    char text[TIME_TEXT_BYTES];
    int zone_h = chance(prng, 80) ? 0 : 1 + below(prng, 4);
    size_t size =
        time_format(EPOCH_US + (int64_t)(second + zone_h * 3600) * TIME_US_PER_SECOND, text);
    buffer_append_byte(out, '"');
    buffer_append(out, text, size - 1);
    buffer_append_string(out, chance(prng, 80) ? "" : ".000");
    buffer_append_string(out, zone_h > 0 ? zones[zone_h] : chance(prng, 80) ? "Z" : "+00:00");
    buffer_append_byte(out, '"');
}

/* `coerced`: it may stand there as text. */
static void write_number(struct buffer *out, struct prng *prng, int number, bool coerced)
{
    static const char *const before[] = {"", "", "", "", "\"", "\""};
    static const char *const behind[] = {"", "", ".0", "e0", "\"", ".00\""};
    uint64_t form = prng_below(prng, coerced ? 6 : 4);
    buffer_append_string(out, before[form]);
    write_digits(out, number);
    buffer_append_string(out, behind[form]);
}

static void write_text(struct buffer *out, struct prng *prng, const char *letter,
                       const char *escaped, int number)
{
    buffer_append_byte(out, '"');
    buffer_append_string(out, chance(prng, 20) ? escaped : letter);
    write_digits(out, number);
    buffer_append_byte(out, '"');
}

enum member {
    MEMBER_AT,
    MEMBER_KEY,
    MEMBER_OTHER,
    MEMBER_SENSOR,
    MEMBER_VALUE,
    MEMBER_MODE,
    MEMBER_LEAST,
    MEMBER_SITE,
    MEMBER_MORE,
    MEMBER_COUNT,
};

/* How an absent value looks: not there, null, or one of the words for null. */
static const char *absent_text(struct prng *prng)
{
    static const char *const texts[] = {NULL, NULL, "null", "-999", "\"none\"", "\"\""};
    return texts[prng_below(prng, sizeof texts / sizeof texts[0])];
}

/* Text that does not depend on numbers: NULL for a member that is not there, "" for one with a
 * value of its own. */
static const char *fixed_text(enum member member, struct prng *prng, const struct row *row)
{
    switch (member) {
    case MEMBER_AT:
        return row->time == TIME_GIVEN     ? ""
               : row->time == TIME_MISSING ? absent_text(prng)
               : chance(prng, 50)          ? "\"yesterday\""
                                           : "1767225600";
    case MEMBER_KEY:
        return row->key == NONE ? absent_text(prng) : "";
    case MEMBER_OTHER:
        return row->other == NONE ? absent_text(prng) : "";
    case MEMBER_SENSOR:
        return row->sensor == NONE ? absent_text(prng) : "";
    case MEMBER_VALUE:
        return row->value == NONE ? absent_text(prng) : "";
    case MEMBER_MODE:
        return row->mode == NONE ? absent_text(prng) : "";
    case MEMBER_SITE:
        return row->is_test ? "\"test\"" : chance(prng, 50) ? "\"north\"" : NULL;
    case MEMBER_MORE:
        return chance(prng, 10) ? "{\"value\": [1, \"}\"]}" : NULL;
    case MEMBER_LEAST:
    case MEMBER_COUNT:
        break;
    }
    return "";
}

static void write_value(struct buffer *out, enum member member, struct prng *prng,
                        const struct row *row)
{
    switch (member) {
    case MEMBER_AT:
        write_time(out, prng, row->event_s);
        break;
    case MEMBER_KEY:
        write_text(out, prng, "k", "\\u006b", row->key);
        break;
    case MEMBER_OTHER:
        write_number(out, prng, row->other, false);
        break;
    case MEMBER_SENSOR:
        write_number(out, prng, row->sensor, false);
        break;
    case MEMBER_VALUE:
        write_number(out, prng, row->value, true);
        break;
    case MEMBER_MODE:
        write_text(out, prng, "m", "\\u006D", row->mode);
        break;
    case MEMBER_LEAST:
        write_number(out, prng, row->least, false);
        break;
    case MEMBER_SITE:
    case MEMBER_MORE:
    case MEMBER_COUNT:
        break;
    }
}

static bool write_member(struct buffer *out, enum member member, bool is_first,
                         struct prng *prng, const struct row *row)
{
    static const char *const names[] = {
        "\"at\"",   "\"key\"",   "\"other\"", "\"sensor\"", "\"value\"",
        "\"mode\"", "\"least\"", "\"site\"",  "\"more\"",
    };
    const char *text = fixed_text(member, prng, row);
    if (text == NULL) {
        return false;
    }
    uint64_t spaces = prng_below(prng, 64);
    buffer_append_string(out, is_first ? "" : ",");
    buffer_append_string(out, spaces == 0 ? "\n" : "");
    buffer_append_string(out, names[member]);
    buffer_append_string(out, spaces == 1 ? " :" : spaces < 32 ? ": " : ":");
    buffer_append_string(out, text);
    if (text[0] == '\0') {
        write_value(out, member, prng, row);
    }
    return true;
}

static void write_record(struct buffer *out, struct prng *prng, const struct row *row)
{
    enum member order[MEMBER_COUNT];
    bool shuffles = chance(prng, 40);
    for (int i = 0; i < MEMBER_COUNT; i++) {
        int from = shuffles ? below(prng, i + 1) : i;
        order[i] = from < i ? order[from] : (enum member)i;
        order[from] = (enum member)i;
    }
    bool is_first = true;
    buffer_append_byte(out, '{');
    for (int i = 0; i < MEMBER_COUNT; i++) {
        is_first &= !write_member(out, order[i], is_first, prng, row);
    }
    buffer_append_string(out, chance(prng, 5) ? " }" : "}");
    if (row->damage == DAMAGE_CUT) {
        out->size -= 1 + prng_below(prng, out->size - 1);
    }
}

static void make_record(struct record *record, struct prng *prng, const struct row *row,
                        const struct rule *rule, int64_t offset)
{
    *record = (struct record){.offset = offset, .timestamp_us = TIME_NEVER};
    if (row->damage == DAMAGE_TOMBSTONE) {
        record->key = row->has_record_key ? bytes_of_string("k") : BYTES_NONE;
    } else {
        struct buffer text = {0};
        write_record(&text, prng, row);
        uint8_t *exact = memory_alloc(text.size);
        memcpy(exact, text.data, text.size);
        record->value = bytes_of(exact, text.size);
        buffer_fini(&text);
    }
    if (rule->max_jump_s == NONE) {
        record->timestamp_kind = TIMESTAMP_BROKER;
        record->timestamp_us = EPOCH_US + row->arrival_s * TIME_US_PER_SECOND;
        record->next_offset = offset + 1;
    } else {
        record->next_offset = offset + (int64_t)record->value.size + 1;
    }
}

void log_random(struct log *log, struct prng *prng, const struct rule *rule, int count)
{
    check(count <= LOG_ROWS_MAX);
    log->count = count;
    struct shape shape = {
        .now_s = 1000,
        .keys = PICK(prng, 3, 8, KEYS_MAX),
        .sensors = rule->max_jump_s == NONE ? PICK(prng, 1, 3) : PICK(prng, 3, SENSORS_MAX),
        .future_percent = rule->max_jump_s == NONE ? PICK(prng, 0, 0, 3) : PICK(prng, 0, 3, 20),
        .leap_percent = rule->max_jump_s == NONE ? 0 : PICK(prng, 0, 1, 2),
    };
    int64_t offset = chance(prng, 50) ? 0 : below(prng, 5000);
    for (int i = 0; i < count; i++) {
        random_row(&log->rows[i], prng, rule, &shape);
        if (rule->max_jump_s != NONE && log->rows[i].damage == DAMAGE_TOMBSTONE) {
            log->rows[i].damage = DAMAGE_CUT; /* A line of a file is there. */
        }
        make_record(&log->records[i], prng, &log->rows[i], rule, offset);
        offset = log->records[i].next_offset;
    }
}

void log_fini(struct log *log)
{
    for (int i = 0; i < log->count; i++) {
        memory_free((void *)(uintptr_t)log->records[i].value.data);
    }
}
