#include "os/random.h"

#include "base/bytes.h"
#include "os/host.h"

void random_bytes(void *out, size_t size)
{
    os_host->random_bytes(out, size);
}

uint64_t random_u64(void)
{
    uint64_t value;
    random_bytes(&value, sizeof value);
    return value;
}

void random_uuid(char out[37])
{
    uint8_t bits[16];
    random_bytes(bits, sizeof bits);
    bits[6] = (uint8_t)((bits[6] & 0x0F) | 0x40); /* version 4: random */
    bits[8] = (uint8_t)((bits[8] & 0x3F) | 0x80); /* the variant of RFC 9562 */
    static const uint8_t group_bytes[] = {4, 2, 2, 2, 6};
    const uint8_t *at = bits;
    for (size_t i = 0; i < sizeof group_bytes; i++) {
        hex_encode(bytes_of(at, group_bytes[i]), out);
        at += group_bytes[i];
        out += 2 * group_bytes[i];
        *out++ = '-';
    }
    out[-1] = '\0';
}
