#include <string.h>

#include "batch/batch.h"

/* Hashes are stored: they must not depend on the machine. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the form below is hashed as it stands in memory");

static struct hash128 hash_or_zero(const struct hash_secret *secret, struct bytes b)
{
    return bytes_is_none(b) ? (struct hash128){0, 0} : hash_bytes(secret, b.data, b.size);
}

struct hash128 record_hash_of(const struct hash_secret *secret, const struct record *record,
                              struct hash128 value_hash)
{
    struct {
        uint64_t offset;
        struct hash128 key;
        struct hash128 value;
    } form = {
        .offset = (uint64_t)record->offset,
        .key = hash_or_zero(secret, record->key),
        .value = value_hash,
    };
    _Static_assert(sizeof form == 40, "the form has no padding");
    return hash_bytes(secret, &form, sizeof form);
}

struct hash128 record_value_hash(const struct hash_secret *secret, const struct record *record)
{
    return hash_or_zero(secret, record->value);
}

struct hash128 record_hash(const struct hash_secret *secret, const struct record *record)
{
    return record_hash_of(secret, record, record_value_hash(secret, record));
}
