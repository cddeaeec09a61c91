#include "state/form.h"

#include <string.h>

#include "base/broken.h"
#include "base/status.h"
#include "base/time.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

size_t form_begin(const char *magic, uint32_t version, struct buffer *out)
{
    check(strlen(magic) == FORM_MAGIC_BYTES);
    size_t begin = out->size;
    buffer_append_string(out, magic);
    buffer_append_u32(out, version);
    return begin;
}

void form_seal(size_t begin, struct buffer *out)
{
    check(begin < out->size);
    buffer_append_u64(out, XXH3_64bits(out->data + begin, out->size - begin));
}

uint32_t form_version(struct bytes form)
{
    struct reader in = reader_of(form);
    (void)reader_bytes(&in, FORM_MAGIC_BYTES);
    uint32_t version = reader_u32(&in);
    return in.failed ? 0 : version;
}

enum form_fault form_open(struct bytes form, const char *magic, uint32_t version,
                          struct reader *out)
{
    if (form.size < FORM_MAGIC_BYTES + 4 + FORM_SEAL_BYTES ||
        memcmp(form.data, magic, FORM_MAGIC_BYTES) != 0) {
        return FORM_BROKEN;
    }
    size_t sealed = form.size - FORM_SEAL_BYTES;
    struct reader seal = reader_of(bytes_of(form.data + sealed, FORM_SEAL_BYTES));
    if (reader_u64(&seal) != XXH3_64bits(form.data, sealed) && !BROKEN("seal-ignored")) {
        return FORM_BROKEN;
    }
    struct reader in = reader_of(bytes_of(form.data + FORM_MAGIC_BYTES, sealed - FORM_MAGIC_BYTES));
    uint32_t found = reader_u32(&in);
    if (found != version) {
        return found > version ? FORM_NEWER : FORM_BROKEN;
    }
    *out = in;
    return FORM_GOOD;
}

void form_write_hash(struct hash128 hash, struct buffer *out)
{
    buffer_append_u64(out, hash.low);
    buffer_append_u64(out, hash.high);
}

struct hash128 form_read_hash(struct reader *in)
{
    struct hash128 hash;
    hash.low = reader_u64(in);
    hash.high = reader_u64(in);
    return hash;
}

int64_t form_read_time(struct reader *in)
{
    int64_t time_us = (int64_t)reader_u64(in);
    if (time_us < TIME_NEVER || time_us > TIME_UNLIMITED) {
        in->failed = true;
        return TIME_NEVER;
    }
    return time_us;
}
