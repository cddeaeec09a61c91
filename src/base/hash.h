/*
 * Hashes: the keyed 128-bit hash of keys, rows and sums; murmur2 for partitions; CRC-32C for
 * formats.
 *
 * The keyed hash is XXH3-128 (xxhash.h) over a secret of 192 bytes that is stretched from a 16-byte
 * hash key. It is made to find accidents and to keep senders from aiming at collisions; it is not
 * a signature.
 *
 * A multiset hash is the sum mod 2^128 of the hashes of its members: order does not matter, members
 * can be added and taken away, and a member that stands twice counts twice (an XOR would lose it).
 */
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define HASH_KEY_BYTES 16
#define HASH_SECRET_BYTES 192

struct hash128 {
    uint64_t low;
    uint64_t high;
};

/* Ready to hash: init once from the key, then read-only (any thread). */
struct hash_secret {
    uint8_t key[HASH_KEY_BYTES];
    uint8_t secret[HASH_SECRET_BYTES];
};

void hash_secret_init(struct hash_secret *secret, const uint8_t key[HASH_KEY_BYTES]);

struct hash128 hash_bytes(const struct hash_secret *secret, const void *data, size_t size);

/* Sums mod 2^128. */
static inline struct hash128 hash_add(struct hash128 a, struct hash128 b)
{
    struct hash128 sum = {a.low + b.low, a.high + b.high};
    sum.high += (uint64_t)(sum.low < a.low);
    return sum;
}
static inline struct hash128 hash_sub(struct hash128 a, struct hash128 b)
{
    struct hash128 difference = {a.low - b.low, a.high - b.high};
    difference.high -= (uint64_t)(a.low < b.low);
    return difference;
}
static inline bool hash_equal(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}
/* `out` gets 32 hexadecimal digits (high first) and a NUL. */
void hash_format(struct hash128 hash, char out[33]);

/* A plain XXH3-128 of a text (plan hashes and the like; no key). */
struct hash128 hash_plain(const void *data, size_t size);

/* Murmur2 with Kafka's seed 0x9747b28c, bit for bit like org.apache.kafka.common.utils.Utils. */
uint32_t hash_murmur2(const void *data, size_t size);
/* Kafka's default partition of a key: (murmur2 & 0x7fffffff) % partition_count. */
uint32_t hash_partition(struct bytes key, uint32_t partition_count);

/* CRC-32C (Castagnoli), as Kafka's RecordBatch v2 uses it; `crc` is 0 at the start, or the value of
 * the bytes before. SSE 4.2 where the processor has it. */
uint32_t hash_crc32c(uint32_t crc, const void *data, size_t size);
/* The same value without special instructions. */
uint32_t hash_crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
