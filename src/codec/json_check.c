/* What is wrong with a text that is no JSON value, for people. */
#include <string.h>

#include "codec/json.h"
#include "codec/json_engine.h"
#include "codec/json_string.h"

enum { DETAIL_KEY_BYTES = 200, ARENA_CHUNK_BYTES = 4 * 1024 };

struct json_checker {
    struct json_walk walk;
    size_t max_record_bytes;
};

static void describe_place(struct bytes text, size_t offset, const char *what,
                           struct buffer *detail)
{
    buffer_printf(detail, "byte %zu%s: %s", offset, offset == text.size ? ", the end" : "", what);
}

/* `offset` is that of the opening quote. */
static void describe_key(struct bytes text, size_t offset, struct buffer *detail)
{
    const uint8_t *key = text.data + offset + 1;
    const uint8_t *close = key;
    while (*close != '"') {
        close += *close == '\\' ? 2 : 1;
    }
    size_t size = (size_t)(close - key);
    buffer_printf(detail, "byte %zu: the key is repeated: ", offset);
    buffer_append(detail, key, size < DETAIL_KEY_BYTES ? size : DETAIL_KEY_BYTES);
}

enum reason json_walk_diagnose(struct json_walk *walk, const struct json_engine *engine,
                               struct bytes text, struct buffer *detail)
{
    size_t offset = json_utf8_prefix(text);
    if (offset < text.size) {
        describe_place(text, offset, "expected UTF-8", detail);
        return REASON_DECODE_ENCODING;
    }
    bool check_keys = walk->check_keys;
    walk->check_keys = false;
    bool valid = json_walk_text(walk, engine, text, &offset);
    walk->check_keys = check_keys;
    if (!valid) {
        describe_place(text, offset, walk->fault.what, detail);
        return (enum reason)walk->fault.reason;
    }
    if (check_keys && !json_walk_text(walk, engine, text, &offset)) {
        describe_key(text, offset, detail);
        return REASON_DECODE_SYNTAX;
    }
    return REASON_NONE;
}

void json_describe_size(size_t size_bytes, size_t most_bytes, struct buffer *detail)
{
    buffer_printf(detail, "%zu bytes, at most %zu are allowed", size_bytes, most_bytes);
}

struct json_checker *json_checker_new(const struct json_options *options)
{
    struct json_checker *checker = memory_alloc_zero(1, sizeof *checker);
    checker->walk.max_depth =
        options->max_depth == 0 ? JSON_MAX_DEPTH_DEFAULT : options->max_depth;
    checker->walk.check_keys = options->repeated_key == JSON_REPEATED_KEY_ERROR;
    checker->walk.scratch = arena_new(ARENA_CHUNK_BYTES);
    checker->max_record_bytes =
        options->max_record_bytes == 0 ? JSON_MAX_RECORD_BYTES_DEFAULT : options->max_record_bytes;
    return checker;
}

void json_checker_free(struct json_checker *checker)
{
    if (checker == NULL) {
        return;
    }
    arena_free(checker->walk.scratch);
    json_walk_fini(&checker->walk);
    memory_free(checker);
}

bool json_checker_check(struct json_checker *checker, struct bytes text, enum reason *out_reason,
                        struct buffer *detail)
{
    struct json_walk *walk = &checker->walk;
    size_t offset;
    *out_reason = REASON_NONE;
    if (text.size > checker->max_record_bytes) {
        json_describe_size(text.size, checker->max_record_bytes, detail);
        *out_reason = REASON_DECODE_TOO_LARGE;
    } else if (!json_walk_text(walk, json_engine_best(), text, &offset)) {
        *out_reason = json_walk_diagnose(walk, json_engine_best(), text, detail);
    }
    if (walk->scratch_used) {
        arena_reset(walk->scratch, JSON_SCRATCH_KEEP_BYTES);
        walk->scratch_used = false;
    }
    return *out_reason == REASON_NONE;
}
