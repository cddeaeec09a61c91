#include "connector/topic_row.h"

#include <stdlib.h>

#include "base/time.h"
#include "codec/json.h"

#define LETTER_HEADERS 13

/* --- hashes --- */

static void append_sized(struct buffer *out, struct bytes b)
{
    buffer_append_u8(out, bytes_is_none(b));
    buffer_append_sized(out, b.data, b.size);
}

static struct hash128 hash_headers(const struct hash_secret *secret,
                                   const struct record_header *headers, uint32_t count,
                                   struct buffer *scratch)
{
    if (count == 0) {
        return (struct hash128){0, 0};
    }
    buffer_clear(scratch);
    for (uint32_t i = 0; i < count; i++) {
        append_sized(scratch, headers[i].name);
        append_sized(scratch, headers[i].value);
    }
    return hash_bytes(secret, scratch->data, scratch->size);
}

static struct hash128 hash_row(const struct hash_secret *secret, struct hash128 key_hash,
                               struct hash128 value_hash, const struct record_header *headers,
                               uint32_t header_count, struct buffer *scratch)
{
    struct hash128 form[3] = {
        key_hash,
        value_hash,
        hash_headers(secret, headers, header_count, scratch),
    };
    return hash_bytes(secret, form, sizeof form);
}

struct hash128 topic_row_hash_in(const struct hash_secret *secret, const struct batch *batch,
                                 uint32_t row, struct bytes key, struct bytes value,
                                 const struct record_header *headers, uint32_t header_count,
                                 struct buffer *scratch)
{
    const struct record *record = &batch->records[row];
    bool is_same_key = batch->has_hashes && bytes_equal(key, record->key);
    bool is_same_value = batch->has_hashes && value.data == record->value.data &&
                         value.size == record->value.size;
    return hash_row(secret,
                    is_same_key ? batch->key_hashes[row] : slice_hash(secret, key),
                    is_same_value ? batch->value_hashes[row] : slice_hash(secret, value), headers,
                    header_count, scratch);
}

struct hash128 topic_row_hash(const struct hash_secret *secret, struct bytes key,
                              struct bytes value, const struct record_header *headers,
                              uint32_t header_count, struct buffer *scratch)
{
    return hash_row(secret, slice_hash(secret, key), slice_hash(secret, value), headers,
                    header_count, scratch);
}

/* --- rows --- */

enum status topic_row_find_key(const struct doc *config, const struct output_shape *shape,
                               uint32_t *out, struct error *err)
{
    const struct doc *key = doc_get(config, "key");
    *out = FIELD_NONE;
    if (key == NULL) {
        return STATUS_OK;
    }
    *out = layout_find(shape->layout, key->text);
    if (*out == FIELD_NONE || *out >= shape->layout->schema_field_count) {
        return doc_error(key, err, "config.unknown_field",
                         "the schema has no field '%s' to take as key", key->text);
    }
    return STATUS_OK;
}

struct bytes topic_row_key(const struct batch *batch, uint32_t row, uint32_t key_field)
{
    if (key_field == FIELD_NONE || batch_is_tombstone(batch, row)) {
        return batch->records[row].key;
    }
    struct value value = batch_value(batch, key_field, row);
    if (value.type == VALUE_NULL) {
        return BYTES_NONE;
    }
    if (value.type == VALUE_TEXT || value.type == VALUE_JSON) {
        return value.text;
    }
    struct buffer text = {0};
    json_write_value(&text, &value);
    struct bytes copy = bytes_of(arena_copy(batch->arena, text.data, text.size), text.size);
    buffer_fini(&text);
    return copy;
}

/* Returns how many are left. */
static uint32_t without_replay(const struct record_header *headers, uint32_t count,
                               struct record_header *out)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!bytes_equal_string(headers[i].name, "weir.replay")) {
            out[kept++] = headers[i];
        }
    }
    return kept;
}

const struct record_header *topic_row_headers(const struct batch *batch, uint32_t row,
                                              uint32_t *out_count)
{
    const struct record *record = &batch->records[row];
    *out_count = record->header_count;
    if (batch_replay(batch, row) == NULL) {
        return record->headers;
    }
    struct record_header *cleaned =
        arena_alloc(batch->arena, size_mul(record->header_count, sizeof *cleaned));
    *out_count = without_replay(record->headers, record->header_count, cleaned);
    return cleaned;
}

/* --- dead letters --- */

static void add_header(struct topic_letter *form, const char *name, struct bytes value)
{
    form->headers[form->header_count++] =
        (struct record_header){.name = bytes_of_string(name), .value = value};
}

/* The digits of a number, with a NUL. There are many letters where data is dirty, and snprintf() is
 * half of what one costs. */
static void write_number(int64_t number, char *out)
{
    char reversed[24];
    size_t count = 0;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do {
        reversed[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) {
        *out++ = '-';
    }
    while (count > 0) {
        *out++ = reversed[--count];
    }
    *out = '\0';
}

void topic_letter_init(struct topic_letter *form, const struct dead_letter *letter)
{
    *form = (struct topic_letter){
        .headers = memory_alloc(
            size_mul((size_t)letter->header_count + LETTER_HEADERS, sizeof *form->headers))};
    write_number(letter->offset, form->offset);
    write_number(letter->attempt, form->attempt);
    form->header_count = without_replay(letter->headers, letter->header_count, form->headers);
    form->original_count = form->header_count;
    add_header(form, "weir.reason", bytes_of_string(letter->reason));
    add_header(form, "weir.field", bytes_of_string(letter->field));
    add_header(form, "weir.detail",
               bytes_is_none(letter->detail) ? bytes_of_string("") : letter->detail);
    add_header(form, "weir.violations", letter->violations);
    add_header(form, "weir.topic", bytes_of_string(letter->topic));
    add_header(form, "weir.partition", bytes_of_string(letter->partition));
    add_header(form, "weir.offset", bytes_of_string(form->offset));
    if (letter->timestamp_us != TIME_NEVER) {
        _Static_assert(sizeof form->timestamp >= TIME_TEXT_BYTES, "room for a time");
        size_t size = time_format(letter->timestamp_us, form->timestamp);
        add_header(form, "weir.timestamp", bytes_of(form->timestamp, size));
    }
    add_header(form, "weir.pipeline", bytes_of_string(letter->pipeline));
    add_header(form, "weir.plan", bytes_of_string(letter->plan));
    add_header(form, "weir.attempt", bytes_of_string(form->attempt));
    if (letter->sink[0] != '\0') {
        add_header(form, "weir.sink", bytes_of_string(letter->sink));
    }
}

void topic_letter_fini(struct topic_letter *form)
{
    memory_free(form->headers);
    form->headers = NULL;
}

static const char *header_text(const struct record *record, const char *name, struct arena *arena)
{
    for (uint32_t i = record->header_count; i > 0; i--) {
        const struct record_header *header = &record->headers[i - 1];
        if (bytes_equal_string(header->name, name)) {
            return bytes_is_none(header->value)
                       ? NULL
                       : arena_copy(arena, header->value.data, header->value.size);
        }
    }
    return NULL;
}

int64_t topic_letter_origin(const struct record *record, struct arena *arena,
                            const char **out_topic, const char **out_partition)
{
    const char *offset = header_text(record, "weir.offset", arena);
    const char *topic = header_text(record, "weir.topic", arena);
    const char *partition = header_text(record, "weir.partition", arena);
    int64_t value = topic == NULL || partition == NULL || offset == NULL ? -1 : atoll(offset);
    if (value >= 0) {
        *out_topic = topic;
        *out_partition = partition;
    }
    return value;
}
