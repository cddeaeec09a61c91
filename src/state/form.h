/*
 * Sealed forms: what all stored forms of state and progress have in common. A form begins with 8
 * bytes that name it and a u32 version, and ends with the XXH3-64 (seed 0) of all bytes before,
 * as u64. All integers are little-endian. The frame is the same in every version, so that an
 * older weir knows a newer form from a broken one.
 */
#ifndef WEIR_STATE_FORM_H
#define WEIR_STATE_FORM_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"

#define FORM_MAGIC_BYTES 8u
#define FORM_SEAL_BYTES 8u

enum form_fault {
    FORM_GOOD,
    FORM_BROKEN, /* cut, changed, or something else altogether */
    FORM_NEWER,  /* whole, but of a later version */
};

/* Returns where the form begins, for form_seal(). `magic` has 8 characters. */
size_t form_begin(const char *magic, uint32_t version, struct buffer *out);
/* Appends the checksum of all since `begin`. */
void form_seal(size_t begin, struct buffer *out);
/* What it says of itself, unchecked; 0 when there is no room for it. */
uint32_t form_version(struct bytes form);
/* Checks frame and checksum; on FORM_GOOD `out` reads what stands between version and checksum. */
enum form_fault form_open(struct bytes form, const char *magic, uint32_t version,
                          struct reader *out);

/* A hash is its low, then its high u64. */
void form_write_hash(struct hash128 hash, struct buffer *out);
struct hash128 form_read_hash(struct reader *in);
/* A time that can be reckoned with, from TIME_NEVER to TIME_UNLIMITED; any other fails the reader. */
int64_t form_read_time(struct reader *in);

#endif
