#include "gen/draft.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/time.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* A text that stands for a field's value. */
struct choice {
    uint32_t field;
    const char *text;
};

static uint64_t pick(struct draft *draft, uint64_t bound)
{
    return prng_below(draft->prng, bound);
}

static const struct choice *pick_choice(struct draft *draft, const struct choice *choices,
                                        size_t count)
{
    return &choices[pick(draft, count)];
}

static void set(struct draft *draft, const struct choice *choice)
{
    draft->values[choice->field] = bytes_of_string(choice->text);
}

/* Copies into the draft's scratch memory; what no longer fits is an error of this file. */
static struct bytes keep(struct draft *draft, const void *data, size_t size)
{
    check(size <= sizeof draft->scratch - draft->used);
    char *at = draft->scratch + draft->used;
    memcpy(at, data, size);
    draft->used += size;
    return bytes_of(at, size);
}

static struct bytes keep_joined(struct draft *draft, const char *before, struct bytes middle,
                                const char *after)
{
    struct bytes head = keep(draft, before, strlen(before));
    keep(draft, middle.data, middle.size);
    keep(draft, after, strlen(after));
    return bytes_of(head.data, strlen(before) + middle.size + strlen(after));
}

static struct bytes without_quotes(struct bytes text)
{
    return bytes_of(text.data + 1, text.size - 2);
}

static bool is_plain_string(struct bytes text)
{
    return !bytes_is_none(text) && text.size >= 2 && text.data[0] == '"' &&
           memchr(text.data, '\\', text.size) == NULL;
}

void draft_init(struct draft *draft, struct prng *prng, struct reading_writer *writer,
                const struct reading *reading)
{
    static const char *const keys[DRAFT_FIELD_COUNT] = {
        "\"message_id\"", "\"sensor_id\"", "\"event_time\"", "\"temperature\"",  "\"humidity\"",
        "\"pressure\"",   "\"battery\"",   "\"site\"",       "\"internal_note\""};
    draft->prng = prng;
    draft->writer = writer;
    draft->reading = reading;
    draft->extra = draft->whole = draft->rubbish = BYTES_NONE;
    draft->extra_place = DRAFT_FIELD_COUNT;
    draft->spaced = false;
    draft->damage = DRAFT_SOUND;
    draft->used = 0;
    for (uint32_t field = 0; field < DRAFT_FIELD_COUNT; field++) {
        draft->keys[field] = bytes_of_string(keys[field]);
        draft->values[field] = BYTES_NONE;
        draft->order[field] = (uint8_t)field;
    }
    for (uint32_t field = 0; field < READING_FIELD_COUNT; field++) {
        char text[READING_FIELD_BYTES];
        size_t size = reading_write_field(writer, reading, (enum reading_field)field, text);
        draft->values[field] = keep(draft, text, size);
    }
}

/* A JSON string with some of its characters as \u escapes; at least the first one. */
static struct bytes escape(struct draft *draft, struct bytes text)
{
    char out[READING_FIELD_BYTES * 6];
    size_t size = 0;
    out[size++] = '"';
    for (size_t i = 1; i + 1 < text.size; i++) {
        if (i == 1 || pick(draft, 4) == 0) {
            size += (size_t)snprintf(out + size, 7, pick(draft, 2) ? "\\u%04x" : "\\u%04X",
                                     (unsigned)text.data[i]);
        } else {
            out[size++] = (char)text.data[i];
        }
    }
    out[size++] = '"';
    return keep(draft, out, size);
}

/* --- Not JSON. --- */

static const struct choice syntax_choices[] = {
    {READING_MESSAGE_ID, "\"bad \\x41 escape\""},
    {READING_MESSAGE_ID, "\"\\u12G4\""},
    {READING_SENSOR_ID, "\"s-00001\\\""},
    {READING_SENSOR_ID, "s-00001"},
    {READING_EVENT_TIME, "2026-01-31T12:34:56Z"},
    {READING_EVENT_TIME, "\"\\u00\""},
    {READING_TEMPERATURE, "023.5"},
    {READING_TEMPERATURE, "+23.5"},
    {READING_TEMPERATURE, "23."},
    {READING_TEMPERATURE, ".5"},
    {READING_TEMPERATURE, "-"},
    {READING_TEMPERATURE, "2e"},
    {READING_TEMPERATURE, "NaN"},
    {READING_TEMPERATURE, "-Infinity"},
    {READING_TEMPERATURE, "0x17"},
    {READING_TEMPERATURE, "23,5"},
    {READING_HUMIDITY, "nul"},
    {READING_HUMIDITY, "True"},
    {READING_HUMIDITY, "5 5"},
    {READING_HUMIDITY, ""},
    {READING_PRESSURE, "[1013.25"},
    {READING_PRESSURE, "[1013.25,]"},
    {READING_PRESSURE, "{\"value\":1013.25"},
    {READING_BATTERY, "--1"},
    {READING_BATTERY, "87%"},
    {READING_SITE, "'north'"},
    {READING_SITE, "\"north"},
    {READING_SITE, "\"no\tth\""},
    {READING_SITE, "\"no\x01th\""},
    {DRAFT_NOTE, "[[[[}]]]]"},
    {DRAFT_NOTE, "\"\\\""},
};

/* Invalid UTF-8 inside strings: no continuation, a lone one, overlong, a surrogate, beyond
 * U+10FFFF, no such byte, and a lone surrogate as an escape. */
static const char *const encoding_texts[] = {
    "\"\xc3\"",         "\"a\x80z\"",           "\"\xc0\xaf\"",
    "\"\xe0\x80\xaf\"", "\"\xed\xa0\x80\"",     "\"\xe2\x82\"",
    "\"\xff\"",         "\"\xf4\x90\x80\x80\"", "\"\xf0\x9f\x98 end\"",
    "\"caf\xe9 noir\"", "\"\\ud83d\"",          "\"\\ude00\\ud83d\"",
};

static void break_encoding(struct draft *draft)
{
    static const uint32_t fields[] = {READING_MESSAGE_ID, READING_SITE, DRAFT_NOTE};
    struct bytes text = bytes_of_string(encoding_texts[pick(draft, COUNT_OF(encoding_texts))]);
    switch (pick(draft, 5)) {
    case 0: /* In a member that is no field. */
        draft->extra = keep_joined(draft, "\"operator\":", text, "");
        break;
    case 1: /* In a key. */
        draft->extra = keep_joined(draft, "", text, ":1");
        break;
    default:
        draft->values[fields[pick(draft, COUNT_OF(fields))]] = text;
    }
}

static void nest_deeply(struct draft *draft)
{
    enum { DEPTH = 300 };
    char text[2 * DEPTH];
    memset(text, '[', DEPTH);
    memset(text + DEPTH, ']', DEPTH);
    draft->extra = keep_joined(draft, "\"trace\":", bytes_of(text, sizeof text), "");
}

static void break_structure(struct draft *draft)
{
    static const char *const heads[] = {",", "\xef\xbb\xbf", "}", "x"};
    static const char *const tails[] = {"}", ",", "{}", "null", ";", "]"};
    switch (pick(draft, 10)) {
    case 0:
    case 1:
        draft->damage = DRAFT_TRAILING_COMMA;
        break;
    case 2:
        draft->damage = DRAFT_NO_COMMA;
        break;
    case 3:
        draft->damage = DRAFT_NO_COLON;
        break;
    case 4:
        draft->damage = DRAFT_BARE_KEY;
        break;
    case 5:
        draft->damage = DRAFT_SINGLE_QUOTES;
        break;
    case 6:
        draft->damage = DRAFT_COMMENT;
        break;
    case 7:
        draft->damage = DRAFT_HEAD;
        draft->rubbish = bytes_of_string(heads[pick(draft, COUNT_OF(heads))]);
        break;
    case 8:
        draft->damage = DRAFT_TAIL;
        draft->rubbish = pick(draft, 4) == 0 ? bytes_of("", 1) /* a NUL byte */
                                             : bytes_of_string(tails[pick(draft, COUNT_OF(tails))]);
        break;
    default:
        nest_deeply(draft);
    }
}

void draft_make_unparsable(struct draft *draft)
{
    uint64_t share = pick(draft, 100);
    if (share < 30) {
        draft->damage = DRAFT_CUT;
    } else if (share < 55) {
        break_structure(draft);
    } else if (share < 80) {
        set(draft, pick_choice(draft, syntax_choices, COUNT_OF(syntax_choices)));
    } else {
        break_encoding(draft);
    }
}

void draft_repeat_key(struct draft *draft)
{
    if (pick(draft, 5) == 0) { /* Deep inside, or a member that is no field. */
        draft->extra = bytes_of_string(pick(draft, 2) ? "\"firmware\":{\"v\":1,\"w\":2,\"v\":1}"
                                                      : "\"a\":1,\"\\u0061\":1");
        return;
    }
    uint32_t field = (uint32_t)pick(draft, READING_FIELD_COUNT);
    struct bytes key = pick(draft, 3) ? draft->keys[field] : escape(draft, draft->keys[field]);
    struct bytes value = draft->values[pick(draft, 3) ? field : READING_HUMIDITY];
    struct bytes joined = keep_joined(draft, "", key, ":");
    struct bytes tail =
        bytes_is_none(value) ? bytes_of_string("null") : bytes_of(value.data, value.size);
    keep(draft, tail.data, tail.size);
    draft->extra = bytes_of(joined.data, joined.size + tail.size);
    draft->extra_place = (uint32_t)pick(draft, DRAFT_FIELD_COUNT + 1);
}

/* --- JSON, but not as the schema says. --- */

static const struct choice type_choices[] = {
    {READING_MESSAGE_ID, "12345"},
    {READING_MESSAGE_ID, "{\"id\":\"m-1\"}"},
    {READING_SENSOR_ID, "17"},
    {READING_SENSOR_ID, "[\"s-00001\"]"},
    {READING_EVENT_TIME, "1769862896000"},
    {READING_EVENT_TIME, "false"},
    {READING_TEMPERATURE, "\"hot\""},
    {READING_TEMPERATURE, "\"hot\""},
    {READING_TEMPERATURE, "\"23,5\""},
    {READING_TEMPERATURE, "\" 23.5\""},
    {READING_TEMPERATURE, "\"23.5 \""},
    {READING_TEMPERATURE, "\"+23.5\""},
    {READING_TEMPERATURE, "\"023.5\""},
    {READING_TEMPERATURE, "\"23.\""},
    {READING_TEMPERATURE, "\"0x17\""},
    {READING_TEMPERATURE, "\"23.5C\""},
    {READING_TEMPERATURE, "\"null\""},
    {READING_TEMPERATURE, "\"true\""},
    {READING_TEMPERATURE, "\"Infinity\""},
    {READING_TEMPERATURE, "true"},
    {READING_TEMPERATURE, "[23.5]"},
    {READING_TEMPERATURE, "{\"value\":23.5,\"unit\":\"C\"}"},
    {READING_HUMIDITY, "\"wet\""},
    {READING_HUMIDITY, "\"55 %\""},
    {READING_HUMIDITY, "false"},
    {READING_HUMIDITY, "[]"},
    {READING_PRESSURE, "\"1013.25\""},
    {READING_PRESSURE, "{}"},
    {READING_BATTERY, "\"87\""},
    {READING_BATTERY, "87.5"},
    {READING_BATTERY, "true"},
    {READING_SITE, "3"},
    {READING_SITE, "[\"north\"]"},
    {READING_SITE, "true"},
    {DRAFT_NOTE, "42"},
    {DRAFT_NOTE, "[\"see\",\"below\"]"},
};

static void quote_number(struct draft *draft)
{
    static const char *const suffixes[] = {"", "", "", "0", "e0", "E+0"};
    uint32_t field = pick(draft, 2) ? READING_TEMPERATURE : READING_HUMIDITY;
    struct bytes number = draft->values[field];
    if (number.size > 0 &&
        (number.data[0] == '-' || (number.data[0] >= '0' && number.data[0] <= '9'))) {
        const char *suffix = suffixes[pick(draft, COUNT_OF(suffixes))];
        struct bytes text = keep_joined(draft, "\"", number, suffix);
        keep(draft, "\"", 1);
        draft->values[field] = bytes_of(text.data, text.size + 1);
    }
}

void draft_make_wrong_type(struct draft *draft)
{
    static const char *const others[] = {"[1,2,3]", "42", "\"text\"", "null", "true", "[]", "[{}]"};
    if (pick(draft, 2)) {
        quote_number(draft);
    } else if (pick(draft, 40) == 0) {
        draft->whole = bytes_of_string(others[pick(draft, COUNT_OF(others))]);
    } else {
        set(draft, pick_choice(draft, type_choices, COUNT_OF(type_choices)));
    }
}

/* The message id with `count` characters of two bytes behind it. */
static struct bytes lengthen_message_id(struct draft *draft, unsigned count)
{
    char text[64] = "";
    for (unsigned i = 0; i < count; i++) {
        memcpy(text + 2 * i, "\xc3\xa9", 2);
    }
    char id[READING_FIELD_BYTES];
    size_t size = reading_write_field(draft->writer, draft->reading, READING_MESSAGE_ID, id);
    struct bytes head = keep(draft, id, size - 1);
    keep(draft, text, 2 * (size_t)count);
    keep(draft, "\"", 1);
    return bytes_of(head.data, size + 2 * (size_t)count);
}

void draft_break_constraint(struct draft *draft)
{
    static const struct choice choices[] = {
        {READING_SENSOR_ID, "\"S-00001\""},
        {READING_SENSOR_ID, "\"s-0001\""},
        {READING_SENSOR_ID, "\"s-000001\""},
        {READING_SENSOR_ID, "\"s-0000a\""},
        {READING_SENSOR_ID, "\" s-00001\""},
        {READING_SENSOR_ID, "\"s-00001\\n\""},
        {READING_SENSOR_ID, "\"s-00001\\u0000\""},
        {READING_SENSOR_ID, "\"unknown\""},
        {READING_SITE, "\"North\""},
        {READING_SITE, "\"north \""},
        {READING_SITE, "\"tes\""},
        {READING_SITE, "\"north\\u0000\""},
        {READING_SITE, "\"nord\""},
        {READING_SITE, "\"tests\""},
    };
    if (pick(draft, 4) == 0) { /* 36 characters and 29 more: one too many. */
        draft->values[READING_MESSAGE_ID] = lengthen_message_id(draft, 29);
    } else {
        set(draft, pick_choice(draft, choices, COUNT_OF(choices)));
    }
}

void draft_make_extreme(struct draft *draft)
{
    static const struct choice choices[] = {
        {READING_BATTERY, "9223372036854775807"},
        {READING_BATTERY, "9223372036854775808"},
        {READING_BATTERY, "-9223372036854775809"},
        {READING_BATTERY, "18446744073709551616"},
        {READING_BATTERY, "99999999999999999999999999999999"},
        {READING_BATTERY, "1e19"},
        {READING_BATTERY, "1e400"},
        {READING_TEMPERATURE, "1e400"},
        {READING_TEMPERATURE, "-1e400"},
        {READING_TEMPERATURE, "123456789012345678901234567890"},
        {READING_TEMPERATURE, "-9223372036854775809"},
        {READING_HUMIDITY, "1e999999999999999999999"},
        {READING_HUMIDITY, "18446744073709551671"},
        {READING_PRESSURE, "1.8e308"},
        {READING_PRESSURE, "-1E+309"},
    };
    set(draft, pick_choice(draft, choices, COUNT_OF(choices)));
}

void draft_lose_field(struct draft *draft)
{
    static const uint8_t fields[] = {
        READING_TEMPERATURE, READING_TEMPERATURE, READING_TEMPERATURE, READING_TEMPERATURE,
        READING_TEMPERATURE, READING_HUMIDITY,    READING_HUMIDITY,    READING_HUMIDITY,
        READING_HUMIDITY,    READING_HUMIDITY,    READING_EVENT_TIME,  READING_EVENT_TIME,
        READING_MESSAGE_ID,  READING_MESSAGE_ID,  READING_SENSOR_ID,   READING_SENSOR_ID,
        READING_BATTERY,     READING_PRESSURE,    READING_SITE};
    uint8_t field = fields[pick(draft, sizeof fields)];
    draft->values[field] = pick(draft, 3) ? BYTES_NONE : bytes_of_string("null");
}

void draft_place_sentinel(struct draft *draft)
{
    static const char *const texts[] = {"-999",      "-999",          "-999",         "-999.0",
                                        "-9.99e2",   "-99900e-2",     "\"N/A\"",      "\"N/A\"",
                                        "\"N\\/A\"", "\"\\u004e/A\"", "\"\"",         "\"\"",
                                        "\"NaN\"",   "\"NaN\"",       "\"\\u004EaN\""};
    static const uint8_t fields[] = {
        READING_HUMIDITY,    READING_HUMIDITY,    READING_HUMIDITY,    READING_HUMIDITY,
        READING_HUMIDITY,    READING_HUMIDITY,    READING_HUMIDITY,    READING_HUMIDITY,
        READING_BATTERY,     READING_BATTERY,     READING_BATTERY,     READING_BATTERY,
        READING_TEMPERATURE, READING_TEMPERATURE, READING_TEMPERATURE, READING_PRESSURE,
        READING_PRESSURE,    READING_SITE,        READING_EVENT_TIME,  READING_SENSOR_ID,
        READING_MESSAGE_ID,  DRAFT_NOTE};
    uint8_t field = fields[pick(draft, sizeof fields)];
    draft->values[field] = bytes_of_string(texts[pick(draft, COUNT_OF(texts))]);
}

void draft_break_time(struct draft *draft)
{
    static const char *const texts[] = {
        "\"yesterday\"",
        "\"2026-13-01T00:00:00Z\"",
        "\"2026-00-01T00:00:00Z\"",
        "\"2026-02-30T00:00:00Z\"",
        "\"2025-02-29T00:00:00Z\"",
        "\"2026-04-31T00:00:00Z\"",
        "\"2026-01-31T24:00:00Z\"",
        "\"2026-01-31T12:60:00Z\"",
        "\"2026-01-31T12:34:61Z\"",
        "\"2026-01-31\"",
        "\"2026-01-31T12:34:56\"",
        "\"2026-01-31T12:34Z\"",
        "\"2026-01-31T12:34:56.Z\"",
        "\"2026-01-31T12:34:56+0200\"",
        "\"2026-01-31T12:34:56+24:00\"",
        "\"2026-01-31T12:34:56+02:60\"",
        "\"2026-1-31T12:34:56Z\"",
        "\"26-01-31T12:34:56Z\"",
        "\"2026-01-31T12:34:56Z \"",
        "\" 2026-01-31T12:34:56Z\"",
        "\"2026/01/31T12:34:56Z\"",
        "\"31.01.2026 12:34\"",
        "\"1769862896\"",
        "\"+2026-01-31T12:34:56Z\"",
        "\"2026-01-31T12:34:56ZZ\"",
        "\"2026-01-31T12:34:5xZ\"",
        "1769862896",
        "1769862896.123",
        "[2026,1,31]",
    };
    draft->values[READING_EVENT_TIME] = bytes_of_string(texts[pick(draft, COUNT_OF(texts))]);
}

/* --- Right, but unusual. --- */

void draft_shorten_humidity(struct draft *draft)
{
    int32_t humidity_deci = draft->reading->humidity_deci;
    if (humidity_deci % 10 == 0) {
        char text[16];
        int size = snprintf(text, sizeof text, "%d", (int)(humidity_deci / 10));
        draft->values[READING_HUMIDITY] = keep(draft, text, (size_t)size);
    }
}

static void shuffle_keys(struct draft *draft)
{
    for (uint32_t i = DRAFT_FIELD_COUNT - 1; i > 0; i--) {
        uint32_t other = (uint32_t)pick(draft, i + 1);
        uint8_t field = draft->order[i];
        draft->order[i] = draft->order[other];
        draft->order[other] = field;
    }
}

static void escape_value(struct draft *draft)
{
    static const uint8_t fields[] = {READING_MESSAGE_ID, READING_SENSOR_ID, READING_EVENT_TIME,
                                     READING_SITE};
    uint8_t field = fields[pick(draft, sizeof fields)];
    if (is_plain_string(draft->values[field]) && draft->values[field].size <= READING_FIELD_BYTES) {
        draft->values[field] = escape(draft, draft->values[field]);
    }
}

/* Other texts of the same numbers. */
static void vary_numbers(struct draft *draft)
{
    static const char *const fraction_suffixes[] = {
        "0", "e0", "E+00", "e-0", "000000000000000000000", "0000000000000000000000000001"};
    static const char *const integer_suffixes[] = {".0", "e0", ".00E+0", "0e-1", "00E-02"};
    static const uint8_t fields[] = {READING_TEMPERATURE, READING_HUMIDITY, READING_PRESSURE};
    if (draft->reading->battery != 0 && pick(draft, 2)) {
        char text[READING_FIELD_BYTES];
        size_t size = reading_write_field(draft->writer, draft->reading, READING_BATTERY, text);
        const char *suffix = integer_suffixes[pick(draft, COUNT_OF(integer_suffixes))];
        draft->values[READING_BATTERY] = keep_joined(draft, "", bytes_of(text, size), suffix);
        return;
    }
    uint8_t field = fields[pick(draft, sizeof fields)];
    char text[READING_FIELD_BYTES];
    size_t size =
        reading_write_field(draft->writer, draft->reading, (enum reading_field)field, text);
    const char *suffix = fraction_suffixes[pick(draft, COUNT_OF(fraction_suffixes))];
    draft->values[field] = keep_joined(draft, "", bytes_of(text, size), suffix);
}

/* Other texts of the same time, or of the same time cut to seconds or milliseconds. */
static void vary_time(struct draft *draft)
{
    static const struct {
        int minutes;
        const char *text;
    } zones[] = {{120, "+02:00"}, {-330, "-05:30"}, {0, "+00:00"}, {0, "-00:00"}, {1439, "+23:59"}};
    int64_t time_us = draft->reading->event_time_us;
    char text[TIME_TEXT_BYTES + 8];
    size_t size;
    switch (pick(draft, 5)) {
    case 0:
        size = time_format(time_us - time_us % TIME_US_PER_SECOND, text);
        break;
    case 1:
        size = time_format(time_us - time_us % 1000, text);
        break;
    case 2: /* Below a microsecond: cut by whoever reads it. */
        size = time_format(time_us | 1, text);
        memcpy(text + size - 1, "789Z", 4);
        size += 3;
        break;
    case 3: {
        size_t zone = pick(draft, COUNT_OF(zones));
        size = time_format(time_us + zones[zone].minutes * 60 * TIME_US_PER_SECOND, text);
        memcpy(text + size - 1, zones[zone].text, 6);
        size += 5;
        break;
    }
    default:
        size = time_format(time_us, text);
        text[10] = 't';
        text[size - 1] = 'z';
    }
    draft->values[READING_EVENT_TIME] = keep_joined(draft, "\"", bytes_of(text, size), "\"");
}

static void add_note(struct draft *draft)
{
    static const char *const notes[] = {
        "\"calibrated\"",
        "\"\\u0041 \\ud83d\\ude00 \\u00e9\"",
        "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\"",
        "\"tab\\t quote\\\" slash\\/ back\\\\ line\\n nul\\u0000\"",
        "\"{\\\"humidity\\\":-999}\"",
        "\"a note that is longer than one would like it to be, with , and : and } and ] in it, "
        "as they come from people who were told to write down what they saw\"",
        "null",
    };
    draft->values[DRAFT_NOTE] = bytes_of_string(notes[pick(draft, COUNT_OF(notes))]);
}

static void add_member(struct draft *draft)
{
    static const char *const members[] = {
        "\"firmware\":{\"version\":\"1.4.2\",\"flags\":[1,2.5e-3,null,true,{\"a\":{}}]}",
        "\"rssi\":-71",
        "\"tags\":[]",
        "\"Temperature\":\"hot\"",
        "\"\":\"no name\"",
        "\"temperature \":-999",
        "\"serial\":123456789012345678901234567890",
        "\"energy\":1e400",
        "\"h\\u00fcmidity\":\"\\\"},{\\\"\"",
    };
    draft->extra = bytes_of_string(members[pick(draft, COUNT_OF(members))]);
    draft->extra_place = (uint32_t)pick(draft, DRAFT_FIELD_COUNT + 1);
}

void draft_vary(struct draft *draft)
{
    enum { WAYS = 9 };
    uint64_t ways = UINT64_C(1) << pick(draft, WAYS);
    if (pick(draft, 4) == 0) {
        ways |= pick(draft, 1 << WAYS);
    }
    if (ways & 1) {
        shuffle_keys(draft);
    }
    if (ways & 2) {
        draft->spaced = true;
    }
    if (ways & 4) {
        vary_numbers(draft);
    }
    if (ways & 8) {
        vary_time(draft);
    }
    if (ways & 16) {
        add_note(draft);
    }
    if (ways & 32) {
        add_member(draft);
    }
    if (ways & 64) { /* 36 characters and 28 more: as many as are allowed. */
        draft->values[READING_MESSAGE_ID] = lengthen_message_id(draft, 28);
    }
    if (ways & 128) {
        escape_value(draft);
    }
    if (ways & 256) {
        uint64_t field = pick(draft, READING_FIELD_COUNT);
        draft->keys[field] = escape(draft, draft->keys[field]);
    }
}

/* --- The text. --- */

struct text {
    struct draft *draft;
    char *at;
    uint32_t member_count;
};

static void put(struct text *text, struct bytes bytes)
{
    memcpy(text->at, bytes.data, bytes.size);
    text->at += bytes.size;
}

static void put_space(struct text *text)
{
    if (text->draft->spaced) {
        for (uint64_t count = pick(text->draft, 3); count > 0; count--) {
            *text->at++ = pick(text->draft, 4) ? ' ' : '\t';
        }
    }
}

static void put_key(struct text *text, struct bytes key, enum draft_damage damage)
{
    if (damage == DRAFT_BARE_KEY) {
        put(text, without_quotes(key));
    } else if (damage == DRAFT_SINGLE_QUOTES) {
        *text->at++ = '\'';
        put(text, without_quotes(key));
        *text->at++ = '\'';
    } else {
        put(text, key);
    }
}

/* Between members; the damage shows at the third one. */
static void put_separator(struct text *text, enum draft_damage damage)
{
    put_space(text);
    if (text->member_count++ > 0) {
        *text->at++ = damage == DRAFT_NO_COMMA ? ' ' : ',';
        put_space(text);
    }
    if (damage == DRAFT_COMMENT) {
        put(text, bytes_of_string("/* as measured */"));
    }
}

static void put_members(struct text *text)
{
    struct draft *draft = text->draft;
    for (uint32_t place = 0; place <= DRAFT_FIELD_COUNT; place++) {
        if (place == draft->extra_place && !bytes_is_none(draft->extra)) {
            put_separator(text, DRAFT_SOUND);
            put(text, draft->extra);
        }
        if (place == DRAFT_FIELD_COUNT || bytes_is_none(draft->values[draft->order[place]])) {
            continue;
        }
        enum draft_damage damage = text->member_count == 2 ? draft->damage : DRAFT_SOUND;
        put_separator(text, damage);
        put_key(text, draft->keys[draft->order[place]], damage);
        put_space(text);
        *text->at++ = damage == DRAFT_NO_COLON ? ' ' : ':';
        put_space(text);
        put(text, draft->values[draft->order[place]]);
    }
}

size_t draft_write(struct draft *draft, char out[DRAFT_TEXT_BYTES])
{
    if (!bytes_is_none(draft->whole)) {
        memcpy(out, draft->whole.data, draft->whole.size);
        return draft->whole.size;
    }
    struct text text = {draft, out, 0};
    if (draft->damage == DRAFT_HEAD) {
        put(&text, draft->rubbish);
    }
    put_space(&text);
    *text.at++ = '{';
    put_members(&text);
    put_space(&text);
    if (draft->damage == DRAFT_TRAILING_COMMA) {
        *text.at++ = ',';
    }
    *text.at++ = '}';
    put_space(&text);
    if (draft->damage == DRAFT_TAIL) {
        put(&text, draft->rubbish);
    }
    size_t size = (size_t)(text.at - out);
    check(size <= DRAFT_TEXT_BYTES);
    return draft->damage == DRAFT_CUT ? 1 + pick(draft, size - 1) : size;
}
