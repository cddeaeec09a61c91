#include "connector/table/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "connector/table/order.h"

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

static const uint32_t first_cell[] = {0};

static void append(struct table_outbox *outbox, int64_t offset, struct value key)
{
    struct table_row head = {.offset = offset};
    table_rows_append(outbox, &head, &key, 1, NULL);
}

static void test_rows_come_back(void **state)
{
    (void)state;
    struct table_outbox *outbox = table_rows_new(first_cell, 1);
    struct record_header headers[] = {
        {.name = bytes_of_string("trace"), .value = bytes_of("\x00\xff", 2)},
        {.name = bytes_of_string("none"), .value = BYTES_NONE},
    };
    struct record record = {
        .key = BYTES_NONE,
        .value = bytes_of_string("{}"),
        .headers = headers,
        .header_count = 2,
    };
    struct value values[] = {text("abc"), (struct value){.type = VALUE_NULL}, integer(-1),
                             real(0.5), text("")};
    struct table_row head = {.offset = 7, .timestamp_us = 9, .attempt = 2};
    table_rows_append(outbox, &head, values, 5, &record);
    append(outbox, 8, text("second"));

    struct table_row *first = table_rows_at(outbox, 0);
    assert_int_equal(first->cell_count, 5);
    assert_true(bytes_equal(table_row_text(first, &first->cells[0]), bytes_of_string("abc")));
    assert_int_equal(first->cells[1].type, VALUE_NULL);
    assert_int_equal(first->cells[2].integer, -1);
    assert_true(first->cells[3].real == 0.5);
    assert_int_equal(first->cells[4].type, VALUE_TEXT);
    assert_int_equal(first->cells[4].size_bytes, 0);

    struct record back;
    table_row_record(outbox, first, &back);
    assert_int_equal(back.offset, 7);
    assert_int_equal(back.timestamp_us, 9);
    assert_true(bytes_is_none(back.key));
    assert_true(bytes_equal(back.value, record.value));
    assert_int_equal(back.header_count, 2);
    assert_true(bytes_equal(back.headers[0].value, headers[0].value));
    assert_true(bytes_is_none(back.headers[1].value));
    memory_free((void *)(uintptr_t)back.headers);

    struct table_row *second = table_rows_at(outbox, first->size_bytes);
    assert_int_equal(second->offset, 8);
    assert_int_equal(first->size_bytes + second->size_bytes, outbox->rows.size);
    assert_int_equal(outbox->outbox.row_count, 2);
    table_rows_free(outbox);
}

static void test_messages_end_with_a_whole_character(void **state)
{
    (void)state;
    struct table_outbox *outbox = table_rows_new(first_cell, 1);
    append(outbox, 1, integer(1));
    char message[TABLE_MARK_MESSAGE_BYTES + 2];
    memset(message, 'x', sizeof message);
    memcpy(message + TABLE_MARK_MESSAGE_BYTES - 2, "\xc3\xa4\xc3", 4);
    struct table_row *row = table_rows_at(outbox, 0);
    table_rows_mark(outbox, row, "sink.trigger", message);
    assert_int_equal(row->mark, 0);
    assert_int_equal(strlen(outbox->marks[0].message), TABLE_MARK_MESSAGE_BYTES - 2);
    table_rows_unmark(outbox);
    assert_int_equal(row->mark, TABLE_ROW_UNMARKED);
    table_rows_free(outbox);
}

static void test_messages_cut_by_their_makers_end_with_a_whole_character(void **state)
{
    (void)state;
    struct table_outbox *outbox = table_rows_new(first_cell, 1);
    append(outbox, 1, integer(1));
    char message[TABLE_MARK_MESSAGE_BYTES];
    memset(message, 'x', sizeof message);
    message[TABLE_MARK_MESSAGE_BYTES - 2] = '\xc3';
    message[TABLE_MARK_MESSAGE_BYTES - 1] = '\0';
    table_rows_mark(outbox, table_rows_at(outbox, 0), "sink.trigger", message);
    assert_int_equal(strlen(outbox->marks[0].message), TABLE_MARK_MESSAGE_BYTES - 2);
    assert_null(strchr(outbox->marks[0].message, '\xc3'));
    table_rows_free(outbox);
}

static int64_t offset_at(const struct table_outbox *outbox, size_t index)
{
    return table_rows_at(outbox, outbox->places[index].at)->offset;
}

static void expect_order(const struct value *keys, size_t count)
{
    struct table_outbox *outbox = table_rows_new(first_cell, 1);
    for (size_t i = count; i > 0; i--) {
        append(outbox, (int64_t)i - 1, keys[i - 1]);
    }
    table_order_by_key(outbox);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(offset_at(outbox, i), i);
    }
    table_rows_free(outbox);
}

static void test_keys_are_ordered(void **state)
{
    (void)state;
    struct value integers[] = {integer(INT64_MIN), integer(-1), integer(0), integer(INT64_MAX)};
    expect_order(integers, 4);
    struct value reals[] = {real(-1e300), real(-0.5), real(0), real(1e-300), real(7)};
    expect_order(reals, 5);
    struct value texts[] = {text(""),          text("a"),         text("a\x01"),
                            text("abcdefgh"),  text("abcdefghi"), text("abcdefghijklmnop"),
                            text("b"),         text("\xc3\xa4")};
    expect_order(texts, 8);
}

static void test_equal_keys_stay_as_they_came(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 42);
    for (size_t count = 0; count < 400; count += 1 + count / 7) {
        struct table_outbox *outbox = table_rows_new(first_cell, 1);
        for (size_t i = 0; i < count; i++) {
            append(outbox, (int64_t)i, integer((int64_t)prng_below(&prng, 1 + count / 4)));
        }
        table_order_by_key(outbox);
        for (size_t i = 1; i < count; i++) {
            const struct table_row *before = table_rows_at(outbox, outbox->places[i - 1].at);
            const struct table_row *row = table_rows_at(outbox, outbox->places[i].at);
            assert_true(before->cells[0].integer <= row->cells[0].integer);
            if (before->cells[0].integer == row->cells[0].integer) {
                assert_true(before->offset < row->offset);
            }
        }
        table_order_of_arrival(outbox);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(offset_at(outbox, i), i);
        }
        table_rows_free(outbox);
    }
}

static void add(struct table_outbox *outbox, const char *key, bool deletes)
{
    struct value value = text(key);
    struct table_row head = {.deletes = deletes};
    table_rows_append(outbox, &head, &value, 1, NULL);
}

/* A digit for each place: 1 is undone. */
static const char *undone(const struct table_outbox *outbox)
{
    static char digits[16];
    size_t count = (size_t)outbox->outbox.row_count;
    for (size_t i = 0; i < count; i++) {
        digits[i] = table_rows_at(outbox, outbox->places[i].at)->is_undone ? '1' : '0';
    }
    digits[count] = '\0';
    return digits;
}

static void test_what_a_later_deletion_undoes(void **state)
{
    (void)state;
    struct table_outbox *outbox = table_rows_new(first_cell, 1);
    assert_int_equal(table_rows_undo(outbox, 0, 0), 0);
    add(outbox, "a", false);
    add(outbox, "b", false);
    add(outbox, "a", true);
    add(outbox, "a", false);
    add(outbox, "c", true);
    add(outbox, "a", true);
    add(outbox, "b", false);
    assert_int_equal(table_rows_undo(outbox, 0, 7), 3);
    assert_string_equal(undone(outbox), "1001000");
    /* What lies behind the range does not count. */
    assert_int_equal(table_rows_undo(outbox, 0, 5), 2);
    assert_string_equal(undone(outbox), "1000000");
    /* One that was refused deletes nothing. */
    table_rows_mark(outbox, table_rows_at(outbox, outbox->places[5].at), "sink.trigger", "");
    assert_int_equal(table_rows_undo(outbox, 0, 7), 2);
    assert_string_equal(undone(outbox), "1000000");
    table_rows_clear(outbox);
    add(outbox, "a", false);
    assert_int_equal(table_rows_undo(outbox, 0, 1), 0);
    assert_string_equal(undone(outbox), "0");
    table_rows_free(outbox);
}

/* Deletions and then what is not undone, against all one by one. */
static void test_undone_rows_make_no_difference(void **state)
{
    (void)state;
    enum { KEYS = 5, ROWS = 40 };
    struct prng prng;
    prng_init(&prng, 7);
    for (int trial = 0; trial < 500; trial++) {
        struct table_outbox *outbox = table_rows_new(first_cell, 1);
        int64_t one_by_one[KEYS] = {-1, -1, -1, -1, -1};
        int64_t in_two[KEYS] = {-1, -1, -1, -1, -1};
        for (int64_t i = 0; i < ROWS; i++) {
            uint64_t key = prng_below(&prng, KEYS);
            struct value value = integer((int64_t)key);
            struct table_row head = {.offset = i, .deletes = prng_below(&prng, 2) == 0};
            table_rows_append(outbox, &head, &value, 1, NULL);
            one_by_one[key] = head.deletes ? -1 : i;
        }
        (void)table_rows_undo(outbox, 0, ROWS);
        for (size_t i = 0; i < ROWS; i++) {
            const struct table_row *row = table_rows_at(outbox, outbox->places[i].at);
            if (!row->deletes && !row->is_undone) {
                in_two[row->cells[0].integer] = row->offset;
            }
        }
        assert_memory_equal(one_by_one, in_two, sizeof in_two);
        table_rows_free(outbox);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_come_back),
        cmocka_unit_test(test_messages_end_with_a_whole_character),
        cmocka_unit_test(test_messages_cut_by_their_makers_end_with_a_whole_character),
        cmocka_unit_test(test_keys_are_ordered),
        cmocka_unit_test(test_equal_keys_stay_as_they_came),
        cmocka_unit_test(test_what_a_later_deletion_undoes),
        cmocka_unit_test(test_undone_rows_make_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
