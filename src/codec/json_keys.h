/*
 * Keys: finds repeated keys among the members of one object, for objects that no layout describes.
 * One stack serves all open objects: an object remembers how many keys stood on it when it opened
 * (its base) and closes back to that.
 *
 * Up to JSON_KEYS_LINEAR members a new key is compared with all before it, by a 32-bit tag first.
 * Beyond that the object is only sorted when it closes: n log n for any keys that anybody can think
 * of, where a hash table could be aimed at.
 */
#ifndef WEIR_CODEC_JSON_KEYS_H
#define WEIR_CODEC_JSON_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define JSON_KEYS_LINEAR 64u

struct json_key {
    struct bytes name; /* unescaped */
    const uint8_t *at; /* its opening quote */
};

/* Zero-initialise. */
struct json_keys {
    struct json_key *list;
    uint32_t *tags;
    uint32_t count;
    uint32_t capacity;
    const uint8_t *repeated_at; /* written by the calls that answer false */
};

void json_keys_fini(struct json_keys *keys);
/* False when the object has that key already. The name must live until the object is closed. */
bool json_keys_add(struct json_keys *keys, uint32_t base, struct bytes name, const uint8_t *at);
/* False when the object has a key twice. Forgets its keys. */
bool json_keys_close(struct json_keys *keys, uint32_t base);

#endif
