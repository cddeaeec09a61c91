#include "connector/table/rows.h"

#include <string.h>

#include "codec/json_string.h"
#include "connector/table/order.h"

enum { ROW_ALIGNMENT = 8 };

struct table_outbox *table_rows_new(const uint32_t *keys, uint32_t key_count)
{
    struct table_outbox *outbox = memory_alloc_zero(1, sizeof *outbox);
    outbox->keys = keys;
    outbox->key_count = key_count;
    return outbox;
}

void table_rows_clear(struct table_outbox *outbox)
{
    buffer_clear(&outbox->rows);
    buffer_clear(&outbox->records);
    outbox->mark_count = 0;
    outbox->deletion_count = 0;
    outbox->is_sorted = false;
    outbox->outbox = (struct outbox){0};
}

void table_rows_free(struct table_outbox *outbox)
{
    buffer_fini(&outbox->rows);
    buffer_fini(&outbox->records);
    memory_free(outbox->places);
    memory_free(outbox->scratch);
    memory_free(outbox->marks);
    memory_free(outbox);
}

/* --- appending --- */

static size_t text_bytes(const struct value *values, uint32_t count)
{
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        size = size_add(size, values[i].type == VALUE_TEXT ? values[i].text.size : 0);
    }
    return size;
}

static void write_cells(struct table_row *row, const struct value *values, uint32_t count)
{
    uint64_t at = sizeof *row + (uint64_t)count * sizeof *row->cells;
    for (uint32_t i = 0; i < count; i++) {
        const struct value *value = &values[i];
        struct table_cell *cell = &row->cells[i];
        *cell = (struct table_cell){.type = (uint32_t)value->type};
        switch (value->type) {
        case VALUE_NULL:
            break;
        case VALUE_INT64:
            cell->integer = value->integer;
            break;
        case VALUE_DOUBLE:
            cell->real = value->real;
            break;
        case VALUE_TEXT:
            cell->size_bytes = (uint32_t)value->text.size;
            cell->text_at = at;
            if (value->text.size > 0) {
                memcpy((uint8_t *)row + at, value->text.data, value->text.size);
            }
            at += value->text.size;
            break;
        case VALUE_BOOL:
        case VALUE_JSON:
            check(false);
        }
    }
}

static void append_bytes(struct buffer *out, struct bytes bytes)
{
    buffer_append_u8(out, bytes_is_none(bytes));
    buffer_append_sized(out, bytes.data, bytes.size);
}

static void append_record(struct buffer *out, const struct record *record)
{
    append_bytes(out, record->key);
    append_bytes(out, record->value);
    buffer_append_u32(out, record->header_count);
    for (uint32_t i = 0; i < record->header_count; i++) {
        append_bytes(out, record->headers[i].name);
        append_bytes(out, record->headers[i].value);
    }
}

void table_rows_append(struct table_outbox *outbox, const struct table_row *head,
                       const struct value *values, uint32_t count, const struct record *record)
{
    struct buffer *rows = &outbox->rows;
    size_t start = rows->size;
    size_t cells_end =
        size_add(sizeof *head + size_mul(count, sizeof *head->cells), text_bytes(values, count));
    size_t padding = -cells_end % ROW_ALIGNMENT;
    check(cells_end <= UINT32_MAX - ROW_ALIGNMENT);
    struct table_row *row =
        (struct table_row *)(void *)buffer_reserve(rows, cells_end + ROW_ALIGNMENT);
    *row = *head;
    row->cell_count = count;
    row->mark = TABLE_ROW_UNMARKED;
    row->record_at = record == NULL ? TABLE_ROW_NO_RECORD : outbox->records.size;
    row->size_bytes = (uint32_t)(cells_end + padding);
    write_cells(row, values, count);
    memset((uint8_t *)row + cells_end, 0, padding);
    rows->size += cells_end + padding;
    table_order_note(outbox, start);
    if (record != NULL) {
        append_record(&outbox->records, record);
    }
    outbox->outbox.size_bytes = rows->size + outbox->records.size;
    outbox->outbox.row_count++;
    outbox->deletion_count += head->deletes;
}

/* --- reading --- */

static struct bytes read_bytes(struct reader *in)
{
    bool is_none = reader_u8(in) != 0;
    struct bytes bytes = reader_sized(in);
    return is_none ? BYTES_NONE : bytes;
}

void table_row_record(const struct table_outbox *outbox, const struct table_row *row,
                      struct record *out)
{
    check(row->record_at < outbox->records.size);
    struct reader in = reader_of(bytes_of(outbox->records.data + row->record_at,
                                          outbox->records.size - row->record_at));
    *out = (struct record){.offset = row->offset, .timestamp_us = row->timestamp_us};
    out->key = read_bytes(&in);
    out->value = read_bytes(&in);
    out->header_count = reader_u32(&in);
    struct record_header *headers =
        memory_alloc(size_mul(out->header_count + 1, sizeof *headers));
    for (uint32_t i = 0; i < out->header_count; i++) {
        headers[i].name = read_bytes(&in);
        headers[i].value = read_bytes(&in);
    }
    out->headers = headers;
    check(!in.failed);
}

/* --- marks --- */

/* Who made the text may have cut it within a character, which no table of refused rows takes. */
static void copy_message(const char *text, char *out)
{
    size_t size = json_utf8_prefix(bytes_of(text, strnlen(text, TABLE_MARK_MESSAGE_BYTES - 1)));
    memcpy(out, text, size);
    out[size] = '\0';
}

void table_rows_mark(struct table_outbox *outbox, struct table_row *row, const char *code,
                     const char *message)
{
    outbox->marks =
        memory_realloc(outbox->marks, size_mul(outbox->mark_count + 1, sizeof *outbox->marks));
    struct table_mark *mark = &outbox->marks[outbox->mark_count];
    mark->code = code;
    copy_message(message, mark->message);
    row->mark = outbox->mark_count++;
}

void table_rows_unmark(struct table_outbox *outbox)
{
    if (outbox->mark_count == 0) {
        return;
    }
    for (size_t at = 0; at < outbox->rows.size;) {
        struct table_row *row = table_rows_at(outbox, at);
        row->mark = TABLE_ROW_UNMARKED;
        at += row->size_bytes;
    }
    outbox->mark_count = 0;
}

/* --- deletions --- */

/* Keys that are deleted, by open addressing. */
struct deleted_keys {
    const struct table_outbox *outbox;
    const struct table_row **rows; /* NULL: free */
    size_t capacity;               /* a power of two */
};

static struct bytes cell_bytes(const struct table_row *row, const struct table_cell *cell)
{
    return cell->type == VALUE_TEXT ? table_row_text(row, cell)
                                    : bytes_of(&cell->integer, sizeof cell->integer);
}

static bool is_same_key(const struct table_outbox *outbox, const struct table_row *a,
                        const struct table_row *b)
{
    bool is_same = true;
    for (uint32_t i = 0; i < outbox->key_count && is_same; i++) {
        const struct table_cell *x = &a->cells[outbox->keys[i]];
        const struct table_cell *y = &b->cells[outbox->keys[i]];
        is_same = x->type == y->type && bytes_equal(cell_bytes(a, x), cell_bytes(b, y));
    }
    return is_same;
}

static uint64_t hash_key(const struct table_outbox *outbox, const struct table_row *row)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < outbox->key_count; i++) {
        struct bytes bytes = cell_bytes(row, &row->cells[outbox->keys[i]]);
        hash = hash * 31 + hash_plain(bytes.data, bytes.size).low;
    }
    return hash;
}

/* Where the row's key stands, or would. */
static const struct table_row **find_deleted(const struct deleted_keys *keys,
                                             const struct table_row *row)
{
    size_t at = hash_key(keys->outbox, row) & (keys->capacity - 1);
    while (keys->rows[at] != NULL && !is_same_key(keys->outbox, keys->rows[at], row)) {
        at = (at + 1) & (keys->capacity - 1);
    }
    return &keys->rows[at];
}

size_t table_rows_undo(struct table_outbox *outbox, size_t first, size_t end)
{
    if (outbox->deletion_count == 0) {
        return 0;
    }
    struct deleted_keys keys = {.outbox = outbox, .capacity = 16};
    while (keys.capacity < size_mul(2, outbox->deletion_count)) {
        keys.capacity *= 2;
    }
    keys.rows = memory_alloc_zero(keys.capacity, sizeof *keys.rows);
    size_t count = 0;
    for (size_t i = end; i-- > first;) {
        struct table_row *row = table_rows_at(outbox, outbox->places[i].at);
        if (row->mark != TABLE_ROW_UNMARKED) {
            continue;
        }
        const struct table_row **deleted = find_deleted(&keys, row);
        row->is_undone = !row->deletes && *deleted != NULL;
        if (row->deletes) {
            *deleted = row;
            count++;
        }
    }
    memory_free(keys.rows);
    return count;
}
