#include "connector/postgres/binary.h"

#include <endian.h>
#include <math.h>
#include <string.h>

#include "base/time.h"
#include "codec/json_decimal.h"

enum {
    SIZE_BYTES = 4,        /* of a field's size */
    FIELD_BYTES_MOST = 32, /* of a cell that is no text: a numeric, see write_numeric() */
    ORIGIN_COUNT = 3,
    EPOCH_DAYS = 10957,  /* 2000-01-01, since 1970-01-01 */
    TIME_TEXT_SIZE = 27, /* "2026-01-31T12:34:56.000000Z" */
};
#define EPOCH_US ((int64_t)EPOCH_DAYS * 86400 * 1000000)

enum binary_form binary_form_of(uint32_t type_oid, bool is_enum)
{
    static const struct {
        uint32_t oid;
        enum binary_form form;
    } forms[] = {
        {16, BINARY_BOOL},        {20, BINARY_INT8},        {21, BINARY_INT2},
        {23, BINARY_INT4},        {25, BINARY_TEXT},        {114, BINARY_TEXT},
        {701, BINARY_FLOAT8},     {1043, BINARY_TEXT},      {1082, BINARY_DATE},
        {1114, BINARY_TIMESTAMP}, {1184, BINARY_TIMESTAMP}, {1700, BINARY_NUMERIC},
        {2950, BINARY_UUID},      {3802, BINARY_JSONB},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0] && !is_enum; i++) {
        if (forms[i].oid == type_oid) {
            return forms[i].form;
        }
    }
    return is_enum ? BINARY_TEXT : BINARY_NONE;
}

/* --- bytes --- */

static uint8_t *put(uint8_t *at, const void *data, size_t size)
{
    memcpy(at, data, size);
    return at + size;
}

static uint8_t *put_16(uint8_t *at, uint16_t value)
{
    value = htobe16(value);
    return put(at, &value, sizeof value);
}

static uint8_t *put_32(uint8_t *at, uint32_t value)
{
    value = htobe32(value);
    return put(at, &value, sizeof value);
}

static uint8_t *put_64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    return put(at, &value, sizeof value);
}

static uint8_t *put_text(uint8_t *at, struct bytes text)
{
    at = put_32(at, (uint32_t)text.size);
    return text.size == 0 ? at : put(at, text.data, text.size);
}

void binary_write_header(struct buffer *out)
{
    static const char header[19] = "PGCOPY\n\377\r\n"; /* with flags and extension, both zero */
    buffer_append(out, header, sizeof header);
}

void binary_write_trailer(struct buffer *out)
{
    buffer_append(out, "\xff\xff", 2);
}

/* --- cells: each writes the field, size included, or gives NULL with the fault --- */

static uint8_t *refuse(struct binary_fault *fault, const char *sqlstate, const char *why)
{
    fault->sqlstate = sqlstate;
    fault->why = why;
    return NULL;
}

/* An integer of that form, and one byte for a boolean. */
static uint8_t *write_whole(enum binary_form form, int64_t value, uint8_t *at,
                            struct binary_fault *fault)
{
    switch (form) {
    case BINARY_BOOL:
        if (value != 0 && value != 1) {
            return refuse(fault, "22P02", "the integer is no boolean");
        }
        at = put_32(at, 1);
        *at = (uint8_t)value;
        return at + 1;
    case BINARY_INT2:
        if (value < INT16_MIN || value > INT16_MAX) {
            return refuse(fault, "22003", "the value is out of range for type smallint");
        }
        return put_16(put_32(at, 2), (uint16_t)value);
    case BINARY_INT4:
        if (value < INT32_MIN || value > INT32_MAX) {
            return refuse(fault, "22003", "the value is out of range for type integer");
        }
        return put_32(put_32(at, 4), (uint32_t)value);
    default:
        return put_64(put_32(at, 8), (uint64_t)value);
    }
}

static uint8_t *write_real(double value, uint8_t *at)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return put_64(put_32(at, sizeof bits), bits);
}

/* What stands before the digits of a numeric: their number, the power of 10,000 of the first one,
 * sign, decimal digits behind the point that are shown. */
static uint8_t *put_numeric_head(uint8_t *at, int count, int weight, uint16_t sign, int scale)
{
    at = put_32(at, (uint32_t)(8 + 2 * count));
    at = put_16(at, (uint16_t)count);
    at = put_16(at, (uint16_t)weight);
    at = put_16(at, sign);
    return put_16(at, (uint16_t)scale);
}

/* digits × 10^exponent. At most 6 groups: 8 + 12 bytes, and the size. */
static uint8_t *write_numeric(uint64_t digits, int exponent, bool is_negative, int scale,
                              uint8_t *at)
{
    static const uint32_t powers[] = {10000, 1000, 100, 10};
    static const uint16_t factors[] = {1, 10, 100, 1000};
    int shift = ((exponent % 4) + 4) % 4; /* the lowest group holds 4 − shift digits */
    int weight = (exponent - shift) / 4;
    uint16_t groups[8]; /* the lowest first */
    int count = 0;
    groups[count++] = (uint16_t)(digits % powers[shift] * factors[shift]);
    for (digits /= powers[shift]; digits > 0; digits /= 10000) {
        groups[count++] = (uint16_t)(digits % 10000);
    }
    int lowest = 0;
    while (lowest < count && groups[lowest] == 0) {
        lowest++;
    }
    if (lowest == count) {
        return put_numeric_head(at, 0, 0, 0, scale);
    }
    at = put_numeric_head(at, count - lowest, weight + count - 1, is_negative ? 0x4000 : 0, scale);
    for (int i = count; i > lowest; i--) {
        at = put_16(at, groups[i - 1]);
    }
    return at;
}

static uint8_t *write_integer_numeric(int64_t value, uint8_t *at)
{
    uint64_t digits = value < 0 ? -(uint64_t)value : (uint64_t)value;
    return write_numeric(digits, 0, value < 0, 0, at);
}

/* With the scale that its shortest text has: "1.0", "74.2208", "1e16". */
static uint8_t *write_real_numeric(double value, uint8_t *at)
{
    if (!isfinite(value)) {
        return put_numeric_head(at, 0, 0, isnan(value) ? 0xC000 : value > 0 ? 0xD000 : 0xF000, 0);
    }
    if (value == 0) {
        return write_numeric(0, 0, false, 1, at);
    }
    struct json_decimal decimal = json_decimal_shortest(fabs(value));
    int scale = decimal.exponent < 0 ? -decimal.exponent : fabs(value) < 1e16;
    return write_numeric(decimal.digits, decimal.exponent, value < 0, scale, at);
}

static uint8_t *write_double(enum binary_form form, double value, uint8_t *at,
                             struct binary_fault *fault)
{
    switch (form) {
    case BINARY_FLOAT8:
        return write_real(value, at);
    case BINARY_NUMERIC:
        return write_real_numeric(value, at);
    default:
        return refuse(fault, "22P02", "its type takes no fractions");
    }
}

static uint8_t *write_integer(enum binary_form form, int64_t value, uint8_t *at,
                              struct binary_fault *fault)
{
    switch (form) {
    case BINARY_BOOL:
    case BINARY_INT2:
    case BINARY_INT4:
    case BINARY_INT8:
        return write_whole(form, value, at, fault);
    case BINARY_FLOAT8:
        return write_real((double)value, at);
    case BINARY_NUMERIC:
        return write_integer_numeric(value, at);
    default:
        return refuse(fault, "22P02", "its type takes no numbers");
    }
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* In small letters, with dashes, as the server writes it. */
static uint8_t *write_uuid(struct bytes text, uint8_t *at, struct binary_fault *fault)
{
    static const uint8_t places[] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
    bool is_uuid = text.size == 36 && text.data[8] == '-' && text.data[13] == '-' &&
                   text.data[18] == '-' && text.data[23] == '-';
    at = put_32(at, sizeof places);
    for (size_t i = 0; i < sizeof places && is_uuid; i++) {
        int high = hex_digit(text.data[places[i]]);
        int low = hex_digit(text.data[places[i] + 1]);
        is_uuid = high >= 0 && low >= 0;
        *at++ = (uint8_t)(high * 16 + low);
    }
    return is_uuid ? at : refuse(fault, "22P02", "the text is no UUID as the server writes one");
}

/* -1 where there is something else than digits. */
static int read_digits(const uint8_t *at, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9') {
            return -1;
        }
        value = value * 10 + at[i] - '0';
    }
    return value;
}

/* "2026-01-31". A year 0 is not the server's: it would be shown as one before Christ. */
static bool read_days(const uint8_t *text, int64_t *out_days)
{
    int year = read_digits(text, 4);
    int month = read_digits(text + 5, 2);
    int day = read_digits(text + 8, 2);
    return year > 0 && month > 0 && day > 0 && text[4] == '-' && text[7] == '-' &&
           time_days_from_civil(year, (unsigned)month, (unsigned)day, out_days);
}

static uint8_t *write_date(struct bytes text, uint8_t *at, struct binary_fault *fault)
{
    int64_t days = 0;
    if (text.size != 10 || !read_days(text.data, &days)) {
        return refuse(fault, "22008", "the text is no date");
    }
    return put_32(put_32(at, 4), (uint32_t)(days - EPOCH_DAYS));
}

/* "2026-01-31T12:34:56.000000Z", as table_value() makes them. */
static bool read_time(struct bytes text, int64_t *out_us)
{
    const uint8_t *at = text.data;
    int64_t days = 0;
    if (text.size != TIME_TEXT_SIZE || at[10] != 'T' || at[13] != ':' || at[16] != ':' ||
        at[19] != '.' || at[26] != 'Z' || !read_days(at, &days)) {
        return false;
    }
    int hour = read_digits(at + 11, 2);
    int minute = read_digits(at + 14, 2);
    int second = read_digits(at + 17, 2);
    int fraction_us = read_digits(at + 20, 6);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 ||
        fraction_us < 0) {
        return false;
    }
    *out_us = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000000 + fraction_us;
    return true;
}

static uint8_t *write_time(struct bytes text, uint8_t *at, struct binary_fault *fault)
{
    int64_t time_us = 0;
    if (!read_time(text, &time_us)) {
        return refuse(fault, "22008", "the text is no date-time");
    }
    return put_64(put_32(at, 8), (uint64_t)(time_us - EPOCH_US));
}

static uint8_t *write_text(enum binary_form form, struct bytes text, uint8_t *at,
                           struct binary_fault *fault)
{
    switch (form) {
    case BINARY_TEXT:
        return put_text(at, text);
    case BINARY_JSONB:
        at = put_32(at, (uint32_t)text.size + 1);
        *at++ = 1;
        return text.size == 0 ? at : put(at, text.data, text.size);
    case BINARY_UUID:
        return write_uuid(text, at, fault);
    case BINARY_DATE:
        return write_date(text, at, fault);
    case BINARY_TIMESTAMP:
        return write_time(text, at, fault);
    default:
        return refuse(fault, "22P02", "its type takes no text");
    }
}

static uint8_t *write_cell(enum binary_form form, const struct table_row *row,
                           const struct table_cell *cell, uint8_t *at, struct binary_fault *fault)
{
    switch (cell->type) {
    case VALUE_INT64:
        return write_integer(form, cell->integer, at, fault);
    case VALUE_DOUBLE:
        return write_double(form, cell->real, at, fault);
    case VALUE_TEXT:
        return write_text(form, table_row_text(row, cell), at, fault);
    default:
        return put_32(at, UINT32_MAX);
    }
}

/* --- rows --- */

/* Enough for all of it. */
static size_t row_bytes_most(const struct table_row *row, size_t field_count)
{
    size_t size = 2 + (size_t)row->size_bytes + field_count * (SIZE_BYTES + FIELD_BYTES_MOST);
    return row->origin == NULL ? size : size + strlen(row->origin->topic);
}

static uint8_t *write_origin(const enum binary_form *forms, const struct table_row *row,
                             uint8_t *at, struct binary_fault *fault)
{
    fault->column = row->cell_count;
    at = write_text(forms[0], bytes_of_string(row->origin->topic), at, fault);
    if (at != NULL) {
        fault->column++;
        at = write_integer(forms[1], row->origin->number, at, fault);
    }
    if (at != NULL) {
        fault->column++;
        at = write_integer(forms[2], row->offset, at, fault);
    }
    return at;
}

bool binary_write_row(const enum binary_form *forms, const enum binary_form *origin_forms,
                      const struct table_row *row, struct buffer *out,
                      struct binary_fault *out_fault)
{
    struct binary_fault fault = {0};
    size_t field_count = row->cell_count + (origin_forms == NULL ? 0u : ORIGIN_COUNT);
    uint8_t *start = buffer_reserve(out, row_bytes_most(row, field_count));
    uint8_t *at = put_16(start, (uint16_t)field_count);
    for (uint32_t i = 0; i < row->cell_count && at != NULL; i++) {
        fault.column = i;
        at = write_cell(forms[i], row, &row->cells[i], at, &fault);
    }
    if (at != NULL && origin_forms != NULL) {
        at = write_origin(origin_forms, row, at, &fault);
    }
    if (at == NULL) {
        *out_fault = fault;
        return false;
    }
    out->size += (size_t)(at - start);
    return true;
}
