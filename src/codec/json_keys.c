#include "codec/json_keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

struct hashed_key {
    struct hash128 hash;
    const struct json_key *key;
};

void json_keys_fini(struct json_keys *keys)
{
    memory_free(keys->list);
    memory_free(keys->tags);
    *keys = (struct json_keys){0};
}

/* Tells most keys apart: size, first and last bytes. */
static uint32_t key_tag(struct bytes name)
{
    uint64_t first = 0;
    uint64_t last = 0;
    if (name.size >= 8) {
        memcpy(&first, name.data, 8);
        memcpy(&last, name.data + name.size - 8, 8);
    } else if (name.size > 0) {
        memcpy(&first, name.data, name.size);
    }
    uint64_t mixed = first * UINT64_C(0x9E3779B97F4A7C15) ^ last * UINT64_C(0xC2B2AE3D27D4EB4F);
    return (uint32_t)(mixed >> 32) + (uint32_t)name.size;
}

static bool name_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool json_keys_add(struct json_keys *keys, uint32_t base, struct bytes name, const uint8_t *at)
{
    uint32_t tag = key_tag(name);
    if (keys->count - base < JSON_KEYS_LINEAR) {
        for (uint32_t i = base; i < keys->count; i++) {
            if (keys->tags[i] == tag && name_equal(keys->list[i].name, name)) {
                keys->repeated_at = at;
                return false;
            }
        }
    }
    if (keys->count == keys->capacity) {
        check(keys->capacity <= UINT32_MAX / 2);
        keys->capacity = keys->capacity == 0 ? 64 : keys->capacity * 2;
        keys->list = memory_realloc(keys->list, size_mul(keys->capacity, sizeof *keys->list));
        keys->tags = memory_realloc(keys->tags, size_mul(keys->capacity, sizeof *keys->tags));
    }
    keys->list[keys->count] = (struct json_key){.name = name, .at = at};
    keys->tags[keys->count] = tag;
    keys->count++;
    return true;
}

/* Equal names stand together, in the order of the record. */
static int hashed_compare(const void *left, const void *right)
{
    const struct hashed_key *a = left;
    const struct hashed_key *b = right;
    if (a->hash.low != b->hash.low) {
        return a->hash.low < b->hash.low ? -1 : 1;
    }
    int order = bytes_compare(a->key->name, b->key->name);
    if (order != 0) {
        return order;
    }
    return (a->key->at > b->key->at) - (a->key->at < b->key->at);
}

/* The first place where a key stands again, or NULL. */
static const uint8_t *repeated_find(const struct json_key *list, uint32_t count)
{
    struct hashed_key *hashed = memory_alloc(size_mul(count, sizeof *hashed));
    for (uint32_t i = 0; i < count; i++) {
        hashed[i].hash = hash_plain(list[i].name.data, list[i].name.size);
        hashed[i].key = &list[i];
    }
    qsort(hashed, count, sizeof *hashed, hashed_compare);
    const uint8_t *found = NULL;
    for (uint32_t i = 1; i < count; i++) {
        const struct json_key *key = hashed[i].key;
        if (hashed[i].hash.low == hashed[i - 1].hash.low &&
            name_equal(key->name, hashed[i - 1].key->name) && (found == NULL || key->at < found)) {
            found = key->at;
        }
    }
    memory_free(hashed);
    return found;
}

bool json_keys_close(struct json_keys *keys, uint32_t base)
{
    uint32_t count = keys->count - base;
    keys->count = base;
    if (count <= JSON_KEYS_LINEAR) {
        return true;
    }
    const uint8_t *found = repeated_find(&keys->list[base], count);
    if (found != NULL) {
        keys->repeated_at = found;
    }
    return found == NULL;
}
