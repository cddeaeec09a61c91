#include <string.h>

#include "codec/json_engine.h"
#include "codec/json_scan.h"
#include "codec/json_string.h"

const uint8_t *json_walk_fail(struct json_walk *walk, reason_id reason, const uint8_t *at,
                              const char *what)
{
    walk->fault = (struct json_fault){.reason = reason, .at = at, .what = what};
    return NULL;
}

const uint8_t *json_walk_escape(struct json_walk *walk, const uint8_t *p, const uint8_t *end)
{
    size_t size;
    uint32_t code;
    switch (json_escape_read(p, end, &size, &code)) {
    case JSON_ESCAPE_OK:
        return p + size;
    case JSON_ESCAPE_SURROGATE:
        return json_walk_fail(walk, REASON_DECODE_ENCODING, p,
                              "the escape is half of a surrogate pair");
    case JSON_ESCAPE_BAD:
        break;
    }
    return json_walk_fail(walk, REASON_DECODE_SYNTAX, p, "expected an escape of JSON");
}

struct bytes json_walk_key(struct json_walk *walk, struct bytes raw, bool escaped)
{
    if (!escaped) {
        return raw;
    }
    walk->scratch_used = true;
    uint8_t *room = arena_alloc(walk->scratch, raw.size);
    return bytes_of(room, json_unescape(raw, room));
}

void json_walk_grow(struct json_walk *walk, uint32_t level)
{
    uint32_t capacity = walk->frame_capacity == 0 ? 16 : walk->frame_capacity;
    while (capacity <= level) {
        check(capacity <= UINT32_MAX / 2);
        capacity *= 2;
    }
    walk->frames = memory_realloc(walk->frames, size_mul(capacity, sizeof *walk->frames));
    walk->frame_capacity = capacity;
}

void json_walk_fini(struct json_walk *walk)
{
    json_keys_fini(&walk->keys);
    memory_free(walk->frames);
    *walk = (struct json_walk){0};
}

const struct json_engine *json_engine_best(void)
{
#ifdef __x86_64__
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                          __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
    /* Those with VBMI2 have lzcnt. */
    const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                            __builtin_cpu_supports("avx512vbmi2");
    if (has_avx512) {
        return &json_engine_avx512;
    }
    if (has_avx2) {
        return &json_engine_avx2;
    }
#endif
    return &json_engine_portable;
}

bool json_walk_text(struct json_walk *walk, const struct json_engine *engine, struct bytes text,
                    size_t *out_fault_offset)
{
    uint8_t room[2 * JSON_LEAD_BYTES] = {0};
    const uint8_t *start = text.data;
    if (text.size < JSON_LEAD_BYTES) {
        start = room + JSON_LEAD_BYTES;
        if (text.size > 0) {
            memcpy(room + JSON_LEAD_BYTES, text.data, text.size);
        }
    }
    const uint8_t *end = start + text.size;
    walk->keys.count = 0;
    const uint8_t *after = engine->walk_value(walk, start, end, 0);
    if (after != NULL) {
        after = json_skip_space(after, end);
        if (after == end) {
            return true;
        }
        json_walk_fail(walk, REASON_DECODE_SYNTAX, after, "expected nothing behind the value");
    }
    *out_fault_offset = (size_t)(walk->fault.at - start);
    return false;
}

bool json_is_valid(struct bytes text, uint32_t max_depth)
{
    struct json_walk walk = {.max_depth = max_depth == 0 ? JSON_MAX_DEPTH_DEFAULT : max_depth};
    size_t offset;
    bool valid = json_walk_text(&walk, json_engine_best(), text, &offset);
    json_walk_fini(&walk);
    return valid;
}
