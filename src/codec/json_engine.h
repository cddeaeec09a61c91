/*
 * The engines of the JSON codec: the same code (json_engine.inc) compiled once for every machine,
 * once for processors with AVX2 and once for those with AVX-512. They give the same answers; the tests
 * run all. That with AVX-512 looks first whether records are like those before (json_alike.inc).
 *
 * A WALK checks JSON: one value at a time, without recursion, whatever its depth. It says what is
 * wrong and where (the fault). The decoder walks over what has no columns and decodes the rest
 * itself; on the way it does not care what is wrong. When a record fails it is walked over once
 * more from its start to find that out, so that the fault never depends on what the decoder learnt.
 *
 * Texts must have JSON_LEAD_BYTES readable bytes before their end (see json_scan.h).
 */
#ifndef WEIR_CODEC_JSON_ENGINE_H
#define WEIR_CODEC_JSON_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "batch/batch.h"
#include "codec/json.h"
#include "codec/json_keys.h"
#include "codec/json_shape.h"
#include "codec/json_template.h"

struct json_fault {
    reason_id reason;
    const uint8_t *at;
    const char *what;
};

/* An open object or array. */
struct json_frame {
    uint32_t key_base;
    bool object;
};

/* Zero-initialise, then set max_depth, check_keys and (with check_keys) scratch. */
struct json_walk {
    uint32_t max_depth;
    bool check_keys; /* a repeated key is a fault */
    struct json_keys keys;
    struct arena *scratch; /* for keys with escapes; the caller empties it between texts */
    bool scratch_used;
    struct json_frame *frames;
    uint32_t frame_capacity;
    struct json_fault fault;
};

/* A member that a closed object does not declare. */
struct json_stranger {
    const struct json_shape *shape;
    struct bytes name;
    uint32_t field;
};

struct json_decoder {
    struct json_walk walk;
    size_t max_record_bytes;
    bool last_wins;
    const struct json_engine *engine;
    const struct layout *layout;
    struct arena *arena; /* shapes */
    struct json_shape *shapes;
    uint32_t shape_count;
    struct json_templates templates; /* of engines with decode_alike */
    struct batch *batch;             /* the one being decoded */
    struct json_stranger *strangers; /* of the record being decoded, in its order */
    uint32_t stranger_count;
    uint32_t stranger_capacity;
};

struct json_engine {
    const char *name;
    /* Behind the value at `p` (white space before it allowed), or NULL with walk->fault set.
     * `depth`: open objects and arrays around it. */
    const uint8_t *(*walk_value)(struct json_walk *walk, const uint8_t *p, const uint8_t *end,
                                 uint32_t depth);
    /* Decodes the object at `p` into the row; behind it, or NULL when something is wrong with
     * it. */
    const uint8_t *(*decode_record)(struct json_decoder *decoder, uint32_t row, const uint8_t *p,
                                    const uint8_t *end);
    /* Decodes the rows of a block that match a template: writes the templates' of_rows of the block,
     * and the cells of all its rows (absent where none matched). NULL: the engine has none. */
    void (*decode_alike)(struct json_decoder *decoder, uint32_t first, uint32_t row_count);
};

extern const struct json_engine json_engine_portable;
#ifdef __x86_64__
extern const struct json_engine json_engine_avx2;
extern const struct json_engine json_engine_avx512;
#endif
/* The fastest one that this processor runs. */
const struct json_engine *json_engine_best(void);
/* For tests: the engine of a decoder. */
void json_decoder_set_engine(struct json_decoder *decoder, const struct json_engine *engine);

/* Checks that the text is one JSON value with white space around it. The fault's place is given as
 * an offset from its start, as the text may be copied. */
bool json_walk_text(struct json_walk *walk, const struct json_engine *engine, struct bytes text,
                    size_t *out_fault_offset);
void json_walk_fini(struct json_walk *walk);
/* Why the text is not a JSON value: not UTF-8, then not JSON, then a repeated key (where
 * walk->check_keys says so). REASON_NONE when it is one. The detail is appended. */
enum reason json_walk_diagnose(struct json_walk *walk, const struct json_engine *engine,
                               struct bytes text, struct buffer *detail);
/* What is too much for max_record_bytes. */
void json_describe_size(size_t size_bytes, size_t most_bytes, struct buffer *detail);

enum {
    JSON_MAX_DEPTH_DEFAULT = 128,
    JSON_MAX_RECORD_BYTES_DEFAULT = 1024 * 1024,
    JSON_SCRATCH_KEEP_BYTES = 64 * 1024,
};

/* --- What engines call when something rare happens. --- */

/* Sets the fault; always NULL. */
const uint8_t *json_walk_fail(struct json_walk *walk, reason_id reason, const uint8_t *at,
                              const char *what);
/* The escape at `p` checked: behind it, or NULL. */
const uint8_t *json_walk_escape(struct json_walk *walk, const uint8_t *p, const uint8_t *end);
/* A key as it reads without escapes; in the scratch arena when it has some. */
struct bytes json_walk_key(struct json_walk *walk, struct bytes raw, bool escaped);
/* Makes room for frame number `level`. */
void json_walk_grow(struct json_walk *walk, uint32_t level);
/* A text with escapes, resolved in the batch's arena. */
struct bytes json_decoder_unescape(struct json_decoder *decoder, struct bytes raw);
/* Notes a member that its closed object does not declare. */
void json_decoder_note_stranger(struct json_decoder *decoder, const struct json_shape *shape,
                                struct bytes name, uint32_t field);
/* The key stands again and the last one wins: forgets what the earlier one gave. */
void json_decoder_forget(struct json_decoder *decoder, const struct json_entry *entry,
                         uint32_t row);

#endif
