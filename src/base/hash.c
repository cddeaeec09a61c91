#include "base/hash.h"

#include "base/status.h"

#define XXH_INLINE_ALL
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#endif

_Static_assert(HASH_SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "XXH3 takes this size of secret");

static struct hash128 hash_from_xxh(XXH128_hash_t hash)
{
    return (struct hash128){hash.low64, hash.high64};
}

void hash_secret_init(struct hash_secret *secret, const uint8_t key[HASH_KEY_BYTES])
{
    memcpy(secret->key, key, HASH_KEY_BYTES);
    XXH_errorcode code =
        XXH3_generateSecret(secret->secret, HASH_SECRET_BYTES, secret->key, HASH_KEY_BYTES);
    check(code == XXH_OK);
}

struct hash128 hash_bytes(const struct hash_secret *secret, const void *data, size_t size)
{
    return hash_from_xxh(XXH3_128bits_withSecret(data, size, secret->secret, HASH_SECRET_BYTES));
}

struct hash128 hash_plain(const void *data, size_t size)
{
    return hash_from_xxh(XXH3_128bits(data, size));
}

void hash_format(struct hash128 hash, char out[33])
{
    uint8_t big_endian[16];
    for (unsigned i = 0; i < 8; i++) {
        big_endian[i] = (uint8_t)(hash.high >> (56 - 8 * i));
        big_endian[8 + i] = (uint8_t)(hash.low >> (56 - 8 * i));
    }
    hex_encode(bytes_of(big_endian, sizeof big_endian), out);
}

/* Little-endian whatever the machine; compilers make one load of it. */
static uint32_t load_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint32_t hash_murmur2(const void *data, size_t size)
{
    const uint32_t multiplier = 0x5bd1e995;
    const uint8_t *at = data;
    uint32_t hash = 0x9747b28c ^ (uint32_t)size;
    size_t rest = size;
    for (; rest >= 4; rest -= 4, at += 4) {
        uint32_t word = load_u32(at) * multiplier;
        word ^= word >> 24;
        hash = (hash * multiplier) ^ (word * multiplier);
    }
    if (rest == 3) {
        hash ^= (uint32_t)at[2] << 16;
    }
    if (rest >= 2) {
        hash ^= (uint32_t)at[1] << 8;
    }
    if (rest >= 1) {
        hash = (hash ^ at[0]) * multiplier;
    }
    hash ^= hash >> 13;
    hash *= multiplier;
    return hash ^ hash >> 15;
}

uint32_t hash_partition(struct bytes key, uint32_t partition_count)
{
    check(partition_count > 0);
    return (hash_murmur2(key.data, key.size) & UINT32_C(0x7fffffff)) % partition_count;
}

/*
 * CRC-32C, slicing by 8. A CRC table is linear: its entry for a byte is the XOR of the entries for
 * the byte's bits. So eight constants a table are written down and the preprocessor makes 256 of
 * them. Table k is the CRC of a byte with k zero bytes behind it.
 */
#define CRC_ENTRY(n, b0, b1, b2, b3, b4, b5, b6, b7) \
    (((n)&1 ? UINT32_C(b0) : 0) ^ ((n)&2 ? UINT32_C(b1) : 0) ^ ((n)&4 ? UINT32_C(b2) : 0) ^ \
     ((n)&8 ? UINT32_C(b3) : 0) ^ ((n)&16 ? UINT32_C(b4) : 0) ^ ((n)&32 ? UINT32_C(b5) : 0) ^ \
     ((n)&64 ? UINT32_C(b6) : 0) ^ ((n)&128 ? UINT32_C(b7) : 0))
#define CRC_4(n, ...) \
    CRC_ENTRY(n, __VA_ARGS__), CRC_ENTRY((n) + 1, __VA_ARGS__), CRC_ENTRY((n) + 2, __VA_ARGS__), \
        CRC_ENTRY((n) + 3, __VA_ARGS__)
#define CRC_16(n, ...) \
    CRC_4(n, __VA_ARGS__), CRC_4((n) + 4, __VA_ARGS__), CRC_4((n) + 8, __VA_ARGS__), \
        CRC_4((n) + 12, __VA_ARGS__)
#define CRC_64(n, ...) \
    CRC_16(n, __VA_ARGS__), CRC_16((n) + 16, __VA_ARGS__), CRC_16((n) + 32, __VA_ARGS__), \
        CRC_16((n) + 48, __VA_ARGS__)
#define CRC_256(...) \
    { \
        CRC_64(0, __VA_ARGS__), CRC_64(64, __VA_ARGS__), CRC_64(128, __VA_ARGS__), \
            CRC_64(192, __VA_ARGS__) \
    }

static const uint32_t crc_tables[8][256] = {
    CRC_256(0xF26B8303, 0xE13B70F7, 0xC79A971F, 0x8AD958CF, 0x105EC76F, 0x20BD8EDE, 0x417B1DBC,
            0x82F63B78),
    CRC_256(0x13A29877, 0x274530EE, 0x4E8A61DC, 0x9D14C3B8, 0x3FC5F181, 0x7F8BE302, 0xFF17C604,
            0xFBC3FAF9),
    CRC_256(0xA541927E, 0x4F6F520D, 0x9EDEA41A, 0x38513EC5, 0x70A27D8A, 0xE144FB14, 0xC76580D9,
            0x8B277743),
    CRC_256(0xDD45AAB8, 0xBF672381, 0x7B2231F3, 0xF64463E6, 0xE964B13D, 0xD725148B, 0xABA65FE7,
            0x52A0C93F),
    CRC_256(0x38116FAC, 0x7022DF58, 0xE045BEB0, 0xC5670B91, 0x8F2261D3, 0x1BA8B557, 0x37516AAE,
            0x6EA2D55C),
    CRC_256(0xEF306B19, 0xDB8CA0C3, 0xB2F53777, 0x6006181F, 0xC00C303E, 0x85F4168D, 0x0E045BEB,
            0x1C08B7D6),
    CRC_256(0x68032CC8, 0xD0065990, 0xA5E0C5D1, 0x4E2DFD53, 0x9C5BFAA6, 0x3D5B83BD, 0x7AB7077A,
            0xF56E0EF4),
    CRC_256(0x493C7D27, 0x9278FA4E, 0x211D826D, 0x423B04DA, 0x847609B4, 0x0D006599, 0x1A00CB32,
            0x34019664),
};

uint32_t hash_crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *at = data;
    crc = ~crc;
    for (; size >= 8; size -= 8, at += 8) {
        uint32_t low = crc ^ load_u32(at);
        uint32_t high = load_u32(at + 4);
        crc = crc_tables[7][low & 0xFF] ^ crc_tables[6][low >> 8 & 0xFF] ^
              crc_tables[5][low >> 16 & 0xFF] ^ crc_tables[4][low >> 24] ^
              crc_tables[3][high & 0xFF] ^ crc_tables[2][high >> 8 & 0xFF] ^
              crc_tables[1][high >> 16 & 0xFF] ^ crc_tables[0][high >> 24];
    }
    for (; size > 0; size--, at++) {
        crc = crc >> 8 ^ crc_tables[0][(crc ^ *at) & 0xFF];
    }
    return ~crc;
}

#if defined(__x86_64__)

#define TARGET_CRC __attribute__((target("sse4.2,pclmul")))

/* The crc32 instruction takes three cycles but one can start in every cycle, so three streams of
 * `stream_bytes` run side by side. */
enum { CRC_LONG_BYTES = 1024, CRC_SHORT_BYTES = 128 };

static uint64_t load_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The CRC state after `stream_bytes` more zero bytes is the state times x^(8 * stream_bytes). The
 * carry-less product with x^(8 * stream_bytes - 33) has 64 bits, and the crc32 instruction reduces
 * it while it multiplies by the x^33 that is left. */
TARGET_CRC static inline uint64_t crc_shift(uint32_t state, uint32_t factor)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)state), _mm_cvtsi32_si128((int)factor), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

TARGET_CRC static inline uint32_t crc_three_streams(uint32_t state, const uint8_t *at,
                                                    size_t stream_bytes, uint32_t once,
                                                    uint32_t twice)
{
    uint64_t a = state;
    uint64_t b = 0;
    uint64_t c = 0;
    for (size_t i = 0; i < stream_bytes; i += 8) {
        a = _mm_crc32_u64(a, load_u64(at + i));
        b = _mm_crc32_u64(b, load_u64(at + stream_bytes + i));
        c = _mm_crc32_u64(c, load_u64(at + 2 * stream_bytes + i));
    }
    uint64_t shifted = crc_shift((uint32_t)a, twice) ^ crc_shift((uint32_t)b, once);
    return (uint32_t)_mm_crc32_u64(0, shifted) ^ (uint32_t)c;
}

TARGET_CRC static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *at, size_t size)
{
    uint32_t state = ~crc;
    for (; size >= 3 * CRC_LONG_BYTES; size -= 3 * CRC_LONG_BYTES, at += 3 * CRC_LONG_BYTES) {
        state = crc_three_streams(state, at, CRC_LONG_BYTES, 0x170076FA, 0xA51B6135);
    }
    for (; size >= 3 * CRC_SHORT_BYTES; size -= 3 * CRC_SHORT_BYTES, at += 3 * CRC_SHORT_BYTES) {
        state = crc_three_streams(state, at, CRC_SHORT_BYTES, 0x0D3B6092, 0xB9E02B86);
    }
    uint64_t wide = state;
    for (; size >= 8; size -= 8, at += 8) {
        wide = _mm_crc32_u64(wide, load_u64(at));
    }
    state = (uint32_t)wide;
    for (; size > 0; size--, at++) {
        state = _mm_crc32_u8(state, *at);
    }
    return ~state;
}

uint32_t hash_crc32c(uint32_t crc, const void *data, size_t size)
{
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul")) {
        return crc32c_sse42(crc, data, size);
    }
    return hash_crc32c_portable(crc, data, size);
}

#else

uint32_t hash_crc32c(uint32_t crc, const void *data, size_t size)
{
    return hash_crc32c_portable(crc, data, size);
}

#endif
