#include "connector/postgres/binary.h"

#include <endian.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"

static struct value integer(int64_t number)
{
    return (struct value){.type = VALUE_INT64, .integer = number};
}

static struct value real(double number)
{
    return (struct value){.type = VALUE_DOUBLE, .real = number};
}

static struct value text(const char *string)
{
    return (struct value){.type = VALUE_TEXT, .text = bytes_of_string(string)};
}

/* A row of one cell in binary form; false with the fault. */
static bool write_one(enum binary_form form, struct value value, struct buffer *out,
                      struct binary_fault *fault)
{
    struct table_outbox *outbox = table_rows_new(NULL, 0);
    struct table_row head = {.offset = 1};
    table_rows_append(outbox, &head, &value, 1, NULL);
    bool is_written = binary_write_row(&form, NULL, table_rows_at(outbox, 0), out, fault);
    table_rows_free(outbox);
    return is_written;
}

static void assert_field(enum binary_form form, struct value value, const char *hex)
{
    struct buffer out = {0};
    struct binary_fault fault;
    assert_true(write_one(form, value, &out, &fault));
    char written[256];
    assert_true(out.size * 2 < sizeof written);
    hex_encode(bytes_of(out.data, out.size), written);
    assert_memory_equal(written, "0001", 4);
    assert_string_equal(written + 4, hex);
    buffer_fini(&out);
}

static void test_fields(void **state)
{
    (void)state;
    assert_field(BINARY_BOOL, integer(1), "0000000101");
    assert_field(BINARY_INT2, integer(-2), "00000002fffe");
    assert_field(BINARY_INT4, integer(258), "0000000400000102");
    assert_field(BINARY_INT8, integer(INT64_MIN), "000000088000000000000000");
    assert_field(BINARY_FLOAT8, real(-0.0), "000000088000000000000000");
    assert_field(BINARY_FLOAT8, real(INFINITY), "000000087ff0000000000000");
    assert_field(BINARY_FLOAT8, integer(3), "000000084008000000000000");
    assert_field(BINARY_TEXT, text("a\xc3\xa4"), "0000000361c3a4");
    assert_field(BINARY_TEXT, text(""), "00000000");
    assert_field(BINARY_TEXT, (struct value){.type = VALUE_NULL}, "ffffffff");
    assert_field(BINARY_JSONB, text("{}"), "00000003017b7d");
    assert_field(BINARY_UUID, text("00112233-4455-6677-8899-aabbccddeeff"),
                 "0000001000112233445566778899aabbccddeeff");
    assert_field(BINARY_DATE, text("2000-01-02"), "0000000400000001");
    assert_field(BINARY_DATE, text("1999-12-31"), "00000004ffffffff");
    assert_field(BINARY_TIMESTAMP, text("2000-01-01T00:00:01.000002Z"), "0000000800000000000f4242");
}

static void test_what_a_form_cannot_say(void **state)
{
    (void)state;
    static const struct {
        enum binary_form form;
        const char *text; /* NULL: the integer */
        int64_t integer;
        const char *sqlstate;
    } cases[] = {
        {BINARY_INT2, NULL, 32768, "22003"},
        {BINARY_INT4, NULL, -2147483649, "22003"},
        {BINARY_BOOL, NULL, 2, "22P02"},
        {BINARY_TEXT, NULL, 2, "22P02"},
        {BINARY_INT8, "7", 0, "22P02"},
        {BINARY_DATE, "2026-02-30", 0, "22008"},
        {BINARY_DATE, "0000-01-01", 0, "22008"},
        {BINARY_DATE, "2026-2-3", 0, "22008"},
        {BINARY_TIMESTAMP, "2026-01-01T24:00:00.000000Z", 0, "22008"},
        {BINARY_TIMESTAMP, "2026-01-01T00:00:60.000000Z", 0, "22008"},
        {BINARY_TIMESTAMP, "no time", 0, "22008"},
        {BINARY_UUID, "00112233-4455-6677-8899-AABBCCDDEEFF", 0, "22P02"},
        {BINARY_UUID, "00112233445566778899aabbccddeeff", 0, "22P02"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer out = {0};
        struct binary_fault fault;
        struct value value =
            cases[i].text == NULL ? integer(cases[i].integer) : text(cases[i].text);
        assert_false(write_one(cases[i].form, value, &out, &fault));
        assert_string_equal(fault.sqlstate, cases[i].sqlstate);
        assert_int_equal(fault.column, 0);
        assert_int_equal(out.size, 0);
        buffer_fini(&out);
    }
}

/* --- numerics: read back by another way than they were written --- */

static uint16_t word_at(const struct buffer *row, size_t index)
{
    uint16_t word = 0;
    memcpy(&word, row->data + 6 + index * sizeof word, sizeof word);
    return be16toh(word);
}

/* As the decimal digits with an exponent, which strtod() reads exactly. */
static void decimal_of(const struct buffer *row, struct buffer *out)
{
    int count = word_at(row, 0);
    int weight = (int16_t)word_at(row, 1);
    buffer_clear(out);
    buffer_append_string(out, word_at(row, 2) == 0x4000 ? "-0" : "0");
    for (int i = 0; i < count; i++) {
        uint16_t group = word_at(row, 4 + (size_t)i);
        assert_true(group < 10000);
        buffer_printf(out, "%04u", group);
    }
    /* No group of zeros at either end: the server's own form has none. */
    assert_true(count == 0 || (word_at(row, 4) != 0 && word_at(row, 3 + (size_t)count) != 0));
    buffer_printf(out, "e%d", 4 * (weight + 1 - count));
    assert_int_equal(row->size, 2 + 4 + 8 + 2 * (size_t)count);
}

static void assert_numeric(double number, struct buffer *row, struct buffer *decimal)
{
    struct binary_fault fault;
    buffer_clear(row);
    assert_true(write_one(BINARY_NUMERIC, real(number), row, &fault));
    decimal_of(row, decimal);
    assert_true(strtod(buffer_string(decimal), NULL) == number);
}

static void test_numerics_are_exact(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 20260131);
    struct buffer row = {0};
    struct buffer decimal = {0};
    struct binary_fault fault;
    static const double notable[] = {0.0,
                                     1.0,
                                     10.0,
                                     9999.0,
                                     10000.0,
                                     12345678.9,
                                     0.0001,
                                     0.001,
                                     1e-5,
                                     5e-324,
                                     1e16,
                                     1e22,
                                     1.5e300,
                                     -0.1,
                                     0.1,
                                     1e15,
                                     99999999999999.98,
                                     1.7976931348623157e308};
    for (size_t i = 0; i < sizeof notable / sizeof notable[0]; i++) {
        assert_numeric(notable[i], &row, &decimal);
    }
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = prng_next(&prng);
        double number = 0;
        memcpy(&number, &bits, sizeof number);
        if (isfinite(number)) {
            assert_numeric(number, &row, &decimal);
        }
        int64_t whole = (int64_t)(bits >> (bits % 64));
        buffer_clear(&row);
        assert_true(write_one(BINARY_NUMERIC, integer(whole), &row, &fault));
        decimal_of(&row, &decimal);
        assert_true(strtold(buffer_string(&decimal), NULL) == (long double)whole);
    }
    buffer_fini(&row);
    buffer_fini(&decimal);
}

static void test_notable_numerics(void **state)
{
    (void)state;
    /* count, weight, sign, scale, groups: as numeric_send() gives them for the texts. */
    assert_field(BINARY_NUMERIC, real(1.0),
                 "0000000a"
                 "0001"
                 "0000"
                 "0000"
                 "0001"
                 "0001");
    assert_field(BINARY_NUMERIC, real(-12345.678),
                 "0000000e"
                 "0003"
                 "0001"
                 "4000"
                 "0003"
                 "0001"
                 "0929"
                 "1a7c");
    assert_field(BINARY_NUMERIC, real(0.00012),
                 "0000000c"
                 "0002"
                 "ffff"
                 "0000"
                 "0005"
                 "0001"
                 "07d0");
    assert_field(BINARY_NUMERIC, real(0.0),
                 "00000008"
                 "0000"
                 "0000"
                 "0000"
                 "0001");
    assert_field(BINARY_NUMERIC, real(1e16),
                 "0000000a"
                 "0001"
                 "0004"
                 "0000"
                 "0000"
                 "0001");
    assert_field(BINARY_NUMERIC, real(-INFINITY),
                 "00000008"
                 "0000"
                 "0000"
                 "f000"
                 "0000");
    assert_field(BINARY_NUMERIC, integer(INT64_MIN),
                 "00000012"
                 "0005"
                 "0004"
                 "4000"
                 "0000"
                 "039a"
                 "0d2c"
                 "0170"
                 "1565"
                 "16b0");
}

static void test_origin_and_frame(void **state)
{
    (void)state;
    struct table_outbox *outbox = table_rows_new(NULL, 0);
    struct source_partition origin = {.topic = "raw", .number = 7};
    struct table_row head = {.offset = 9, .origin = &origin};
    struct value values[] = {text("x"), integer(70000)};
    table_rows_append(outbox, &head, values, 2, NULL);
    static const enum binary_form forms[] = {BINARY_TEXT, BINARY_INT4};
    static const enum binary_form origins[] = {BINARY_TEXT, BINARY_INT4, BINARY_INT8};
    static const enum binary_form narrow[] = {BINARY_TEXT, BINARY_INT4, BINARY_UUID};
    struct buffer out = {0};
    struct binary_fault fault;
    binary_write_header(&out);
    assert_int_equal(out.size, 19);
    assert_memory_equal(out.data, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
    assert_false(binary_write_row(forms, narrow, table_rows_at(outbox, 0), &out, &fault));
    assert_int_equal(fault.column, 4);
    assert_int_equal(out.size, 19);
    assert_true(binary_write_row(forms, origins, table_rows_at(outbox, 0), &out, &fault));
    binary_write_trailer(&out);
    static const uint8_t row[] = {0, 5, 0, 0, 0,   1,   'x', 0, 0, 0, 4, 0, 1,    0x11, 0x70,
                                  0, 0, 0, 3, 'r', 'a', 'w', 0, 0, 0, 4, 0, 0,    0,    7,
                                  0, 0, 0, 8, 0,   0,   0,   0, 0, 0, 0, 9, 0xff, 0xff};
    assert_int_equal(out.size, 19 + sizeof row);
    assert_memory_equal(out.data + 19, row, sizeof row);
    buffer_fini(&out);
    table_rows_free(outbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_what_a_form_cannot_say),
        cmocka_unit_test(test_numerics_are_exact),
        cmocka_unit_test(test_notable_numerics),
        cmocka_unit_test(test_origin_and_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
