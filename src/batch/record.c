#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/batch.h"

/* Hashes are stored: they must not depend on the machine. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the form below is hashed as it stands in memory");

struct hash128 slice_hash(const struct hash_secret *secret, struct bytes b)
{
    return bytes_is_none(b) ? (struct hash128){0, 0} : hash_bytes(secret, b.data, b.size);
}

struct hash128 record_hash_of(const struct hash_secret *secret, int64_t offset,
                              struct hash128 key_hash, struct hash128 value_hash)
{
    struct {
        uint64_t offset;
        struct hash128 key;
        struct hash128 value;
    } form = {
        .offset = (uint64_t)offset,
        .key = key_hash,
        .value = value_hash,
    };
    _Static_assert(sizeof form == 40, "the form has no padding");
    return hash_bytes(secret, &form, sizeof form);
}

struct hash128 record_hash(const struct hash_secret *secret, const struct record *record)
{
    return record_hash_of(secret, record->offset, slice_hash(secret, record->key),
                          slice_hash(secret, record->value));
}

/* A number is what it is written as: the text of the value must be the key again. */
static bool read_integer(struct bytes key, int64_t *out)
{
    char text[24];
    char again[24];
    if (key.size == 0 || key.size >= sizeof text) {
        return false;
    }
    memcpy(text, key.data, key.size);
    text[key.size] = '\0';
    *out = strtoll(text, NULL, 10);
    int size = snprintf(again, sizeof again, "%" PRId64, *out);
    return (size_t)size == key.size && memcmp(again, key.data, key.size) == 0;
}

bool record_key_value(struct bytes key, enum column_type type, struct value *out)
{
    if (bytes_is_none(key)) {
        return false;
    }
    if (type == COLUMN_INT64) {
        *out = (struct value){.type = VALUE_INT64};
        return read_integer(key, &out->integer);
    }
    *out = (struct value){.type = VALUE_TEXT, .text = key};
    return type == COLUMN_TEXT && bytes_is_utf8(key);
}

void batch_hash_records(struct batch *batch, const struct hash_secret *secret)
{
    if (batch->has_hashes) {
        return;
    }
    struct hash128 sum = {0, 0};
    for (uint32_t row = 0; row < batch->row_count; row++) {
        const struct record *record = &batch->records[row];
        struct hash128 key_hash = slice_hash(secret, record->key);
        struct hash128 value_hash = slice_hash(secret, record->value);
        batch->key_hashes[row] = key_hash;
        batch->value_hashes[row] = value_hash;
        sum = hash_add(sum, record_hash_of(secret, record->offset, key_hash, value_hash));
    }
    batch->records_sum = sum;
    batch->has_hashes = true;
}
