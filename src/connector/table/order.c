#include "connector/table/order.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define SIGN_BIT (UINT64_C(1) << 63)

enum { RUN_LENGTH = 8 };

/* --- prefixes of a key --- */

static uint64_t read_word(const uint8_t *text, size_t size)
{
    uint64_t word = 0;
    if (size > 0) {
        memcpy(&word, text, size < sizeof word ? size : sizeof word);
    }
    return be64toh(word);
}

/* Words whose unsigned order is that of the values: of one type exactly, of several about. */
static void write_prefix(const struct table_row *row, const struct table_cell *cell,
                         uint64_t out[2])
{
    out[0] = 0;
    out[1] = 0;
    if (cell->type == VALUE_TEXT) {
        struct bytes text = table_row_text(row, cell);
        out[0] = read_word(text.data, text.size);
        out[1] = text.size > 8 ? read_word(text.data + 8, text.size - 8) : 0;
    } else if (cell->type == VALUE_INT64) {
        out[0] = (uint64_t)cell->integer ^ SIGN_BIT;
    } else if (cell->type == VALUE_DOUBLE) {
        uint64_t bits;
        memcpy(&bits, &cell->real, sizeof bits);
        out[0] = bits & SIGN_BIT ? ~bits : bits | SIGN_BIT;
    }
}

/* --- merge sort: stable, and one pass over what is in order already --- */

static inline bool is_after(const struct table_place *a, const struct table_place *b)
{
    return a->prefix[0] > b->prefix[0] ||
           (a->prefix[0] == b->prefix[0] && a->prefix[1] > b->prefix[1]);
}

static void sort_run(struct table_place *places, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct table_place place = places[i];
        size_t to = i;
        for (; to > 0 && is_after(&places[to - 1], &place); to--) {
            places[to] = places[to - 1];
        }
        places[to] = place;
    }
}

/* `places` is two sorted parts. */
static void merge(struct table_place *places, size_t first_count, size_t count,
                  struct table_place *scratch)
{
    if (!is_after(&places[first_count - 1], &places[first_count])) {
        return;
    }
    memcpy(scratch, places, first_count * sizeof *places);
    size_t a = 0;
    size_t b = first_count;
    size_t to = 0;
    while (a < first_count && b < count) {
        places[to++] = is_after(&scratch[a], &places[b]) ? places[b++] : scratch[a++];
    }
    memcpy(places + to, scratch + a, (first_count - a) * sizeof *places);
}

static void sort_places(struct table_place *places, size_t count, struct table_place *scratch)
{
    for (size_t at = 0; at < count; at += RUN_LENGTH) {
        sort_run(places + at, count - at < RUN_LENGTH ? count - at : RUN_LENGTH);
    }
    for (size_t length = RUN_LENGTH; length < count; length *= 2) {
        for (size_t at = 0; count - at > length; at += 2 * length) {
            size_t both = count - at < 2 * length ? count - at : 2 * length;
            merge(places + at, length, both, scratch);
            if (both < 2 * length) {
                break;
            }
        }
    }
}

/* --- the orders --- */

static void make_room(struct table_outbox *outbox, size_t count)
{
    if (count <= outbox->place_capacity) {
        return;
    }
    size_t capacity = size_add(size_mul(outbox->place_capacity, 2), 1024);
    outbox->places = memory_realloc(outbox->places, size_mul(capacity, sizeof *outbox->places));
    outbox->scratch = memory_realloc(outbox->scratch, size_mul(capacity, sizeof *outbox->scratch));
    outbox->place_capacity = capacity;
}

/* While the row is still in the processor's cache. */
void table_order_note(struct table_outbox *outbox, size_t at)
{
    check(!outbox->is_sorted);
    size_t number = (size_t)outbox->outbox.row_count;
    make_room(outbox, number + 1);
    struct table_place *place = &outbox->places[number];
    *place = (struct table_place){.at = at};
    if (outbox->key_count > 0) {
        const struct table_row *row = table_rows_at(outbox, at);
        write_prefix(row, &row->cells[outbox->keys[0]], place->prefix);
    }
}

static int compare_arrival(const void *a, const void *b)
{
    size_t first = ((const struct table_place *)a)->at;
    size_t second = ((const struct table_place *)b)->at;
    return (first > second) - (first < second);
}

void table_order_of_arrival(struct table_outbox *outbox)
{
    if (outbox->is_sorted && outbox->outbox.row_count > 0) {
        qsort(outbox->places, (size_t)outbox->outbox.row_count, sizeof *outbox->places,
              compare_arrival);
    }
    outbox->is_sorted = false;
}

void table_order_by_key(struct table_outbox *outbox)
{
    check(outbox->key_count > 0);
    if (!outbox->is_sorted && outbox->outbox.row_count > 0) {
        sort_places(outbox->places, (size_t)outbox->outbox.row_count, outbox->scratch);
    }
    outbox->is_sorted = outbox->outbox.row_count > 0;
}
