#include "inspect/reconcile_row.h"

#include <math.h>
#include <string.h>

#include "base/time.h"
#include "codec/json.h"
#include "codec/json_items.h"

#define DEPTH_MAX 128u
#define ROW_KEEP_BYTES ((size_t)64 * 1024)

static bool write_form(struct arena *arena, struct bytes raw, struct buffer *out);

/* --- values --- */

static bool has_only_digits(struct bytes raw)
{
    for (size_t i = 0; i < raw.size; i++) {
        if (raw.data[i] != '-' && (raw.data[i] < '0' || raw.data[i] > '9')) {
            return false;
        }
    }
    return true;
}

static void write_integer(int64_t integer, struct buffer *out)
{
    buffer_append_byte(out, 'i');
    buffer_append_u64(out, (uint64_t)integer);
}

/* A double that is a whole number is that number. */
static void write_double(double real, struct buffer *out)
{
    uint64_t bits = 0;
    if (real >= -9007199254740992.0 && real <= 9007199254740992.0 && trunc(real) == real) {
        write_integer((int64_t)real, out);
        return;
    }
    memcpy(&bits, &real, sizeof bits);
    buffer_append_byte(out, 'd');
    buffer_append_u64(out, bits);
}

static void write_raw(char kind, struct bytes raw, struct buffer *out)
{
    buffer_append_byte(out, (uint8_t)kind);
    buffer_append_sized(out, raw.data, raw.size);
}

static bool looks_nested(struct bytes text)
{
    return text.size > 1 && (text.data[0] == '[' || text.data[0] == '{') &&
           json_is_valid(text, DEPTH_MAX);
}

static void write_text(struct arena *arena, struct bytes text, struct buffer *out)
{
    int64_t time_us = 0;
    if (text.size >= 20 && text.data[0] >= '0' && text.data[0] <= '9' &&
        time_parse_rfc3339(text, &time_us)) {
        buffer_append_byte(out, 't');
        buffer_append_u64(out, (uint64_t)time_us);
    } else if (looks_nested(text)) {
        write_form(arena, text, out);
    } else {
        write_raw('s', text, out);
    }
}

/* Items in their order; members by the sum of their hashes, in whatever order. */
static void write_nested(struct arena *arena, struct json_items items, struct buffer *out)
{
    struct hash128 sum = {0, 0};
    struct buffer form = {0};
    struct bytes name;
    struct bytes item;
    uint32_t count = 0;
    bool is_object = items.is_object;
    buffer_append_byte(out, is_object ? 'o' : 'a');
    while (json_items_next(&items, &name, &item)) {
        buffer_clear(&form);
        if (is_object) {
            write_raw('s', json_value(arena, name).text, &form);
        }
        if (write_form(arena, item, &form) || !is_object) {
            count++;
            if (is_object) {
                sum = hash_add(sum, hash_plain(form.data, form.size));
            } else {
                buffer_append_sized(out, form.data, form.size);
            }
        }
    }
    buffer_append_u64(out, count);
    buffer_append_u64(out, sum.high);
    buffer_append_u64(out, sum.low);
    buffer_fini(&form);
}

/* False for null, which has no form. */
static bool write_form(struct arena *arena, struct bytes raw, struct buffer *out)
{
    struct json_items items;
    if (json_items_begin(&items, raw)) {
        write_nested(arena, items, out);
        return true;
    }
    struct value value = json_value(arena, raw);
    switch (value.type) {
    case VALUE_NULL:
        return false;
    case VALUE_BOOL:
        write_integer(value.boolean, out);
        break;
    case VALUE_INT64:
        write_integer(value.integer, out);
        break;
    case VALUE_DOUBLE:
        /* Of whole numbers beyond 64 bits every digit counts. */
        if (has_only_digits(raw)) {
            write_raw('n', raw, out);
        } else {
            write_double(value.real, out);
        }
        break;
    case VALUE_TEXT:
        write_text(arena, value.text, out);
        break;
    case VALUE_JSON:
        write_raw('n', raw, out);
        break;
    }
    return true;
}

/* --- rows --- */

static void add_column(struct flat_row *row, const char *name, struct bytes raw,
                       struct bytes form)
{
    if (row->count == row->capacity) {
        row->capacity = 2 * row->capacity + 16;
        row->columns =
            memory_realloc(row->columns, size_mul(row->capacity, sizeof *row->columns));
    }
    row->columns[row->count++] = (struct flat_column){.name = name, .raw = raw, .form = form};
}

/* prefix_name, with '_' for what a table's column cannot be called. */
static const char *column_name(struct flat_row *row, const char *prefix, struct bytes name)
{
    struct bytes text = json_value(row->arena, name).text;
    char *full = prefix[0] == '\0'
                     ? arena_copy(row->arena, text.data, text.size)
                     : arena_printf(row->arena, "%s_%.*s", prefix, (int)text.size,
                                    (const char *)text.data);
    for (char *at = full; *at != '\0'; at++) {
        *at = *at == '.' ? '_' : *at;
    }
    return full;
}

static void flatten(struct flat_row *row, const char *prefix, struct json_items items,
                    uint32_t depth)
{
    struct bytes name;
    struct bytes item;
    struct buffer form = {0};
    while (json_items_next(&items, &name, &item)) {
        const char *full = column_name(row, prefix, name);
        struct bytes nested = item;
        if (item.data[0] == '"' && item.size > 3 && (item.data[1] == '{')) {
            struct bytes text = json_value(row->arena, item).text;
            nested = looks_nested(text) ? text : item;
        }
        struct json_items members;
        if (nested.data[0] == '{' && depth < DEPTH_MAX && json_items_begin(&members, nested)) {
            flatten(row, full, members, depth + 1);
            continue;
        }
        buffer_clear(&form);
        if (write_form(row->arena, item, &form)) {
            add_column(row, full, item,
                       bytes_of(arena_copy(row->arena, form.data, form.size), form.size));
        }
    }
    buffer_fini(&form);
}

void flat_row_clear(struct flat_row *row)
{
    arena_reset(row->arena, ROW_KEEP_BYTES);
    row->count = 0;
}

bool flat_row_read(struct flat_row *row, struct bytes value)
{
    struct json_items items;
    flat_row_clear(row);
    if (bytes_is_none(value) || !json_is_valid(value, DEPTH_MAX) ||
        !json_items_begin(&items, value) || !items.is_object) {
        return false;
    }
    flatten(row, "", items, 0);
    return true;
}

void flat_row_add_text(struct flat_row *row, const char *name, struct bytes text)
{
    struct buffer form = {0};
    struct buffer raw = {0};
    if (!bytes_is_none(text)) {
        write_text(row->arena, text, &form);
        if (bytes_is_utf8(text)) {
            json_write_string(&raw, text);
        } else {
            buffer_append_string(&raw, "\"(not UTF-8)\"");
        }
        add_column(row, name, bytes_of(arena_copy(row->arena, raw.data, raw.size), raw.size),
                   bytes_of(arena_copy(row->arena, form.data, form.size), form.size));
    }
    buffer_fini(&form);
    buffer_fini(&raw);
}

void flat_row_fini(struct flat_row *row)
{
    memory_free(row->columns);
    arena_free(row->arena);
}

const struct flat_column *flat_row_find(const struct flat_row *row, const char *name)
{
    for (uint32_t i = 0; i < row->count; i++) {
        if (strcmp(row->columns[i].name, name) == 0) {
            return &row->columns[i];
        }
    }
    return NULL;
}

/* --- hashes --- */

static bool is_in(const char *const *names, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool flat_row_is_compared(const struct flat_column *column, const struct reconcile_query *query)
{
    if (strcmp(column->name, RECONCILE_RECORD_KEY) == 0 ||
        is_in(query->ignored, query->ignored_count, column->name)) {
        return false;
    }
    return strcmp(column->name, RECONCILE_DELETED) == 0   ? true
           : query->column_count > 0 ? is_in(query->columns, query->column_count, column->name)
                                   : strncmp(column->name, "_weir_", 6) != 0;
}

struct hash128 flat_row_hash_key(const struct flat_row *row, const char *const *names,
                                 uint32_t count, const struct hash_secret *secret)
{
    struct buffer form = {0};
    for (uint32_t i = 0; i < count; i++) {
        const struct flat_column *column = flat_row_find(row, names[i]);
        if (column == NULL) {
            buffer_append_byte(&form, '0');
        } else {
            write_raw('k', column->form, &form);
        }
    }
    struct hash128 hash = hash_bytes(secret, form.data, form.size);
    buffer_fini(&form);
    return hash;
}

struct hash128 flat_row_hash_content(const struct flat_row *row,
                                     const struct reconcile_query *query,
                                     const struct hash_secret *secret)
{
    struct hash128 sum = {0, 0};
    struct buffer form = {0};
    for (uint32_t i = 0; i < row->count; i++) {
        const struct flat_column *column = &row->columns[i];
        if (flat_row_is_compared(column, query)) {
            buffer_clear(&form);
            write_raw('c', bytes_of_string(column->name), &form);
            buffer_append(&form, column->form.data, column->form.size);
            sum = hash_add(sum, hash_bytes(secret, form.data, form.size));
        }
    }
    buffer_fini(&form);
    return sum;
}
