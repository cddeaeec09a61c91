#include "gen/truth_row.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 128 };

static const struct {
    const char *text;
    size_t size;
} names[TRUTH_FIELD_COUNT] = {
    {"message_id", 10},  {"sensor_id", 9}, {"event_time", 10},
    {"temperature", 11}, {"humidity", 8},  {"pressure", 8},
    {"battery", 7},      {"site", 4},      {"internal_note", 13},
};

struct parser {
    struct truth_row *row;
    const uint8_t *at;
    const uint8_t *end;
    unsigned depth;
    unsigned next_field;       /* where the next key is looked for first */
    enum truth_answer failure; /* meaningful once a function gave false */
};

static bool fail(struct parser *parser, enum truth_answer failure)
{
    parser->failure = failure;
    return false;
}

static void skip_space(struct parser *parser)
{
    while (parser->at < parser->end && (*parser->at == ' ' || *parser->at == '\t' ||
                                        *parser->at == '\n' || *parser->at == '\r')) {
        parser->at++;
    }
}

/* Takes `byte` if it is next. */
static bool take(struct parser *parser, uint8_t byte)
{
    if (parser->at < parser->end && *parser->at == byte) {
        parser->at++;
        return true;
    }
    return false;
}

static bool take_word(struct parser *parser, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(parser->end - parser->at) < size || memcmp(parser->at, word, size) != 0) {
        return fail(parser, TRUTH_SYNTAX);
    }
    parser->at += size;
    return true;
}

/* --- Numbers. --- */

static bool is_digit(const uint8_t *at, const uint8_t *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* The place behind the number that begins at `at`, or NULL when there is none. */
static const uint8_t *number_end(const uint8_t *at, const uint8_t *end)
{
    if (at < end && *at == '-') {
        at++;
    }
    if (!is_digit(at, end)) {
        return NULL;
    }
    if (*at == '0') {
        at++;
    } else {
        while (is_digit(at, end)) {
            at++;
        }
    }
    if (at < end && *at == '.') {
        at++;
        if (!is_digit(at, end)) {
            return NULL;
        }
        while (is_digit(at, end)) {
            at++;
        }
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) {
            at++;
        }
        if (!is_digit(at, end)) {
            return NULL;
        }
        while (is_digit(at, end)) {
            at++;
        }
    }
    return at;
}

static double number_slowly(struct bytes text)
{
    char *copy = memory_alloc(text.size + 1);
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    double value = strtod(copy, NULL);
    memory_free(copy);
    return value;
}

/* A number by JSON's grammar as digits × 10^scale, the digits without zeros at their end. */
struct decimal {
    uint64_t digits; /* not 0 for a number that is not 0 */
    int64_t scale;
    bool exact; /* false: there are more digits than `digits` holds */
};

static void add_digit(struct decimal *decimal, uint8_t digit)
{
    /* 15 digits: such an integer is exact as a double too. */
    decimal->exact = decimal->exact && decimal->digits < UINT64_C(100000000000000);
    if (decimal->exact) {
        decimal->digits = decimal->digits * 10 + digit;
    }
}

/* The number behind the 'e'; far beyond what any double needs it is cut. */
static int64_t read_exponent(const uint8_t *at, const uint8_t *end)
{
    bool negative = *at == '-';
    int64_t exponent = 0;
    for (at += *at == '-' || *at == '+'; at < end; at++) {
        exponent = exponent > INT64_C(1000000000000) ? exponent : exponent * 10 + (*at - '0');
    }
    return negative ? -exponent : exponent;
}

static struct decimal read_decimal(struct bytes text)
{
    struct decimal decimal = {0, 0, true};
    const uint8_t *end = text.data + text.size;
    const uint8_t *at = text.data + (*text.data == '-');
    int64_t zeros = 0; /* not yet among the digits */
    bool fraction = false;
    for (; at < end && (*at | 0x20) != 'e'; at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        decimal.scale -= fraction;
        if (*at == '0') {
            zeros++;
            continue;
        }
        for (; zeros > 0 && decimal.digits != 0; zeros--) {
            add_digit(&decimal, 0);
        }
        zeros = 0;
        add_digit(&decimal, (uint8_t)(*at - '0'));
    }
    decimal.scale += zeros;
    if (at < end) {
        decimal.scale += read_exponent(at + 1, end);
    }
    return decimal;
}

bool truth_number(struct bytes text, double *out_value, bool *out_integral)
{
    static const double powers[] = {1,    1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const uint8_t *end = text.data + text.size;
    if (number_end(text.data, end) != end) {
        return false;
    }
    struct decimal decimal = read_decimal(text);
    *out_integral = decimal.digits == 0 || decimal.scale >= 0;
    if (!decimal.exact || decimal.scale < -22 || decimal.scale > 22) {
        *out_value = number_slowly(text);
        return true;
    }
    /* Both are exact as doubles, so one operation rounds correctly. */
    double value = (double)decimal.digits;
    value = decimal.scale < 0 ? value / powers[-decimal.scale] : value * powers[decimal.scale];
    *out_value = *text.data == '-' ? -value : value;
    return true;
}

/* --- Strings. --- */

/* Takes one character of more than one byte; the bytes of RFC 3629's table and no others. */
static bool take_character(struct parser *parser)
{
    const uint8_t *at = parser->at;
    size_t left = (size_t)(parser->end - at);
    uint8_t least = 0x80;
    uint8_t most = 0xbf;
    size_t size;
    if (*at >= 0xc2 && *at <= 0xdf) {
        size = 2;
    } else if (*at >= 0xe0 && *at <= 0xef) {
        size = 3;
        least = *at == 0xe0 ? 0xa0 : least;
        most = *at == 0xed ? 0x9f : most;
    } else if (*at >= 0xf0 && *at <= 0xf4) {
        size = 4;
        least = *at == 0xf0 ? 0x90 : least;
        most = *at == 0xf4 ? 0x8f : most;
    } else {
        return fail(parser, TRUTH_ENCODING);
    }
    if (left < size || at[1] < least || at[1] > most) {
        return fail(parser, TRUTH_ENCODING);
    }
    for (size_t i = 2; i < size; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf) {
            return fail(parser, TRUTH_ENCODING);
        }
    }
    parser->at += size;
    return true;
}

static bool take_hex(struct parser *parser, uint32_t *out)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        if (parser->at == parser->end) {
            return fail(parser, TRUTH_SYNTAX);
        }
        uint8_t byte = *parser->at++;
        uint8_t lower = byte | 0x20;
        if (byte >= '0' && byte <= '9') {
            value = value * 16 + (uint32_t)(byte - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            value = value * 16 + (uint32_t)(lower - 'a' + 10);
        } else {
            return fail(parser, TRUTH_SYNTAX);
        }
    }
    *out = value;
    return true;
}

static void append_character(struct buffer *out, uint32_t code)
{
    if (code < 0x80) {
        buffer_append_byte(out, (uint8_t)code);
    } else if (code < 0x800) {
        buffer_append_byte(out, (uint8_t)(0xc0 | code >> 6));
        buffer_append_byte(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        buffer_append_byte(out, (uint8_t)(0xe0 | code >> 12));
        buffer_append_byte(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        buffer_append_byte(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else {
        buffer_append_byte(out, (uint8_t)(0xf0 | code >> 18));
        buffer_append_byte(out, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
        buffer_append_byte(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        buffer_append_byte(out, (uint8_t)(0x80 | (code & 0x3f)));
    }
}

/* Behind "\u". */
static bool take_unicode_escape(struct parser *parser, struct buffer *out)
{
    uint32_t code;
    if (!take_hex(parser, &code)) {
        return false;
    }
    if (code >= 0xdc00 && code <= 0xdfff) {
        return fail(parser, TRUTH_ENCODING);
    }
    if (code >= 0xd800 && code <= 0xdbff) {
        uint32_t low;
        if (parser->end - parser->at < 2 || parser->at[0] != '\\' || parser->at[1] != 'u') {
            return fail(parser, TRUTH_ENCODING);
        }
        parser->at += 2;
        if (!take_hex(parser, &low)) {
            return false;
        }
        if (low < 0xdc00 || low > 0xdfff) {
            return fail(parser, TRUTH_ENCODING);
        }
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    append_character(out, code);
    return true;
}

/* Behind a backslash. */
static bool take_escape(struct parser *parser, struct buffer *out)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (parser->at == parser->end) {
        return fail(parser, TRUTH_SYNTAX);
    }
    uint8_t byte = *parser->at++;
    if (byte == 'u') {
        return take_unicode_escape(parser, out);
    }
    const char *place = byte == 0 ? NULL : strchr(from, byte);
    if (place == NULL) {
        return fail(parser, TRUTH_SYNTAX);
    }
    buffer_append_byte(out, (uint8_t)to[place - from]);
    return true;
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Of eight bytes: whether one is zero. Never wrong about that, though bytes above the zero may
 * count too. */
static uint64_t zero_bytes(uint64_t word)
{
    return (word - EACH_BYTE(0x01)) & ~word & EACH_BYTE(0x80);
}

/* Behind the ASCII that stands for itself in a string. */
static const uint8_t *plain_end(const uint8_t *at, const uint8_t *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t special = zero_bytes(word ^ EACH_BYTE('"')) | zero_bytes(word ^ EACH_BYTE('\\')) |
                           ((word - EACH_BYTE(0x20)) & EACH_BYTE(0x80)) | (word & EACH_BYTE(0x80));
        if (special != 0) {
            break;
        }
    }
    while (at < end && *at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

/* Up to the next byte that ends the string or begins an escape. */
static bool take_plain_part(struct parser *parser)
{
    for (;;) {
        parser->at = plain_end(parser->at, parser->end);
        if (parser->at == parser->end || *parser->at < 0x20) {
            return fail(parser, TRUTH_SYNTAX);
        }
        if (*parser->at < 0x80) {
            return true;
        }
        if (!take_character(parser)) {
            return false;
        }
    }
}

static bool parse_string(struct parser *parser, struct bytes *out)
{
    if (!take(parser, '"')) {
        return fail(parser, TRUTH_SYNTAX);
    }
    const uint8_t *part = parser->at;
    if (!take_plain_part(parser)) {
        return false;
    }
    if (take(parser, '"')) {
        *out = bytes_of(part, (size_t)(parser->at - part) - 1);
        return true;
    }
    /* Escapes never make a string longer, so what truth_row_read() reserved is enough and slices
     * stay where they are. */
    struct buffer *strings = &parser->row->strings;
    size_t start = strings->size;
    for (;;) {
        buffer_append(strings, part, (size_t)(parser->at - part));
        if (take(parser, '"')) {
            *out = bytes_of(strings->data + start, strings->size - start);
            return true;
        }
        parser->at++;
        if (!take_escape(parser, strings)) {
            return false;
        }
        part = parser->at;
        if (!take_plain_part(parser)) {
            return false;
        }
    }
}

/* --- Objects and arrays. --- */

static bool parse_value(struct parser *parser, struct truth_cell *out);

/* For keys that are no fields. False when the object, whose keys begin at `first`, has it
 * already. */
static bool remember_key(struct truth_row *row, size_t first, struct bytes key)
{
    for (size_t i = first; i < row->key_count; i++) {
        if (row->keys[i].size == key.size && memcmp(row->keys[i].data, key.data, key.size) == 0) {
            return false;
        }
    }
    if (row->key_count == row->key_capacity) {
        row->key_capacity = row->key_capacity == 0 ? 64 : size_mul(row->key_capacity, 2);
        row->keys = memory_realloc(row->keys, size_mul(row->key_capacity, sizeof *row->keys));
    }
    row->keys[row->key_count++] = key;
    return true;
}

/* The cell of a key of the outermost object, NULL where it is no field. The search begins behind
 * the field that was found last, because most records have the schema's order. */
static struct truth_cell *find_cell(struct parser *parser, struct bytes key)
{
    for (unsigned i = 0; i < TRUTH_FIELD_COUNT; i++) {
        unsigned field = (parser->next_field + i) % TRUTH_FIELD_COUNT;
        if (names[field].size == key.size && memcmp(names[field].text, key.data, key.size) == 0) {
            parser->next_field = field + 1;
            return &parser->row->cells[field];
        }
    }
    return NULL;
}

/* One `"key": value`. The cells are those of the outermost object; a cell that is not absent any
 * more is a key that comes again. */
static bool parse_member(struct parser *parser, size_t first_key)
{
    struct bytes key;
    skip_space(parser);
    if (!parse_string(parser, &key)) {
        return false;
    }
    struct truth_cell *cell = parser->depth == 1 ? find_cell(parser, key) : NULL;
    bool is_new =
        cell != NULL ? cell->kind == TRUTH_ABSENT : remember_key(parser->row, first_key, key);
    if (!is_new) {
        return fail(parser, TRUTH_SYNTAX);
    }
    skip_space(parser);
    if (!take(parser, ':')) {
        return fail(parser, TRUTH_SYNTAX);
    }
    struct truth_cell ignored;
    return parse_value(parser, cell != NULL ? cell : &ignored);
}

/* Behind '{'. */
static bool parse_object(struct parser *parser)
{
    size_t first_key = parser->row->key_count;
    skip_space(parser);
    if (!take(parser, '}')) {
        do {
            if (!parse_member(parser, first_key)) {
                return false;
            }
            skip_space(parser);
        } while (take(parser, ','));
        if (!take(parser, '}')) {
            return fail(parser, TRUTH_SYNTAX);
        }
    }
    parser->row->key_count = first_key;
    return true;
}

/* Behind '['. */
static bool parse_array(struct parser *parser)
{
    skip_space(parser);
    if (take(parser, ']')) {
        return true;
    }
    do {
        struct truth_cell ignored;
        if (!parse_value(parser, &ignored)) {
            return false;
        }
        skip_space(parser);
    } while (take(parser, ','));
    return take(parser, ']') || fail(parser, TRUTH_SYNTAX);
}

static bool parse_nested(struct parser *parser)
{
    if (parser->depth == DEPTH_MAX) {
        return fail(parser, TRUTH_SYNTAX);
    }
    parser->depth++;
    bool good = *parser->at++ == '{' ? parse_object(parser) : parse_array(parser);
    parser->depth--;
    return good;
}

static bool parse_value(struct parser *parser, struct truth_cell *out)
{
    skip_space(parser);
    if (parser->at == parser->end) {
        return fail(parser, TRUTH_SYNTAX);
    }
    const uint8_t *start = parser->at;
    switch (*start) {
    case '{':
    case '[':
        out->kind = TRUTH_NESTED;
        return parse_nested(parser);
    case '"':
        out->kind = TRUTH_STRING;
        return parse_string(parser, &out->text);
    case 't':
        out->kind = TRUTH_BOOL;
        return take_word(parser, "true");
    case 'f':
        out->kind = TRUTH_BOOL;
        return take_word(parser, "false");
    case 'n':
        out->kind = TRUTH_NULL;
        return take_word(parser, "null");
    default:
        parser->at = number_end(start, parser->end);
        if (parser->at == NULL) {
            return fail(parser, TRUTH_SYNTAX);
        }
        out->kind = TRUTH_NUMBER;
        out->text = bytes_of(start, (size_t)(parser->at - start));
        return true;
    }
}

void truth_row_fini(struct truth_row *row)
{
    buffer_fini(&row->strings);
    memory_free(row->keys);
    *row = (struct truth_row){0};
}

enum truth_answer truth_row_read(struct truth_row *row, struct bytes message)
{
    struct parser parser = {.row = row,
                            .at = message.data,
                            .end = message.data + message.size,
                            .failure = TRUTH_SYNTAX};
    memset(row->cells, 0, sizeof row->cells);
    row->key_count = 0;
    buffer_clear(&row->strings);
    buffer_reserve(&row->strings, message.size);
    skip_space(&parser);
    bool is_object = parser.at < parser.end && *parser.at == '{';
    struct truth_cell outermost;
    if (!parse_value(&parser, &outermost)) {
        return parser.failure;
    }
    skip_space(&parser);
    if (parser.at != parser.end) {
        return TRUTH_SYNTAX;
    }
    return is_object ? TRUTH_OBJECT : TRUTH_NOT_OBJECT;
}

/* --- Times. --- */

/* Takes `count` digits. */
static bool take_digits(const uint8_t **at, const uint8_t *end, int count, int *out)
{
    *out = 0;
    for (; count > 0; count--) {
        if (!is_digit(*at, end)) {
            return false;
        }
        *out = *out * 10 + (*(*at)++ - '0');
    }
    return true;
}

static bool take_one_of(const uint8_t **at, const uint8_t *end, const char *bytes)
{
    for (; *at < end && *bytes != '\0'; bytes++) {
        if (**at == (uint8_t)*bytes) {
            (*at)++;
            return true;
        }
    }
    return false;
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 0000-01-01 to the first of January of `year`. */
static int64_t days_before_year(int year)
{
    int before = year - 1; /* Year 0 is a leap year too: it has the extra day. */
    return year == 0 ? 0 : (int64_t)year * 365 + before / 4 - before / 100 + before / 400 + 1;
}

static bool take_date(const uint8_t **at, const uint8_t *end, int64_t *out_days)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year;
    int month;
    int day;
    if (!take_digits(at, end, 4, &year) || !take_one_of(at, end, "-") ||
        !take_digits(at, end, 2, &month) || !take_one_of(at, end, "-") ||
        !take_digits(at, end, 2, &day)) {
        return false;
    }
    if (month < 1 || month > 12 || day < 1 ||
        day > month_days[month - 1] + (month == 2 && is_leap(year))) {
        return false;
    }
    int64_t days = days_before_year(year) - days_before_year(1970) + day - 1;
    for (int before = 1; before < month; before++) {
        days += month_days[before - 1] + (before == 2 && is_leap(year));
    }
    *out_days = days;
    return true;
}

static bool take_fraction(const uint8_t **at, const uint8_t *end, int64_t *out_us)
{
    *out_us = 0;
    if (*at == end || **at != '.') {
        return true;
    }
    (*at)++;
    if (!is_digit(*at, end)) {
        return false;
    }
    for (int64_t unit_us = 100000; is_digit(*at, end); unit_us /= 10) {
        *out_us += unit_us * (*(*at)++ - '0');
    }
    return true;
}

static bool take_zone(const uint8_t **at, const uint8_t *end, int64_t *out_seconds)
{
    *out_seconds = 0;
    if (take_one_of(at, end, "Zz")) {
        return true;
    }
    bool west = *at < end && **at == '-';
    int hours;
    int minutes;
    if (!take_one_of(at, end, "+-") || !take_digits(at, end, 2, &hours) ||
        !take_one_of(at, end, ":") || !take_digits(at, end, 2, &minutes) || hours > 23 ||
        minutes > 59) {
        return false;
    }
    *out_seconds = (hours * 60 + minutes) * (west ? -60 : 60);
    return true;
}

bool truth_time(struct bytes text, int64_t *out_us)
{
    const uint8_t *at = text.data;
    const uint8_t *end = text.data + text.size;
    int64_t days;
    int hour;
    int minute;
    int second;
    int64_t fraction_us;
    int64_t zone_seconds;
    if (!take_date(&at, end, &days) || !take_one_of(&at, end, "Tt ") ||
        !take_digits(&at, end, 2, &hour) || !take_one_of(&at, end, ":") ||
        !take_digits(&at, end, 2, &minute) || !take_one_of(&at, end, ":") ||
        !take_digits(&at, end, 2, &second) || !take_fraction(&at, end, &fraction_us) ||
        !take_zone(&at, end, &zone_seconds) || at != end) {
        return false;
    }
    if (hour > 23 || minute > 59 || second > 60) {
        return false;
    }
    if (second == 60) { /* A leap second is the first moment of the next minute. */
        fraction_us = 0;
    }
    int64_t seconds = days * 86400 + hour * 3600 + minute * 60 + second - zone_seconds;
    if (seconds < -days_before_year(1970) * 86400 ||
        seconds >= (days_before_year(10000) - days_before_year(1970)) * 86400) {
        return false;
    }
    *out_us = seconds * 1000000 + fraction_us;
    return true;
}
