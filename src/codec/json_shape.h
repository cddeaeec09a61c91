/*
 * Shapes: what a decoder knows of one object of the layout (the top level, or a COLUMN_OBJECT): the
 * members it may meet, and in which order and with which white space the last records wrote them.
 *
 * An ENTRY is a known key: a field of the layout, or a name beside it that the stream keeps using.
 * It remembers its GLUE, the bytes `"name":` with the white space that the stream writes in it, and
 * which entries came next. So a member is recognised by one comparison; equal bytes mean equal
 * keys, and whatever was learnt wrongly only costs the longer way: finding the entry by its name.
 * What a record means never depends on it.
 *
 * Repeated keys: each entry carries the number of the object in which it was seen last. Names that
 * have no entry (more than JSON_LEARNT_MAX of them) are kept per object by json_keys.h.
 */
#ifndef WEIR_CODEC_JSON_SHAPE_H
#define WEIR_CODEC_JSON_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "batch/batch.h"
#include "batch/layout.h"

#define JSON_GLUE_MAX 96u
#define JSON_GLUE_NONE SIZE_MAX
#define JSON_LEARNT_MAX 64u
#define JSON_LEARNT_NAME_MAX 64u
#define JSON_KIND_UNKNOWN 255u

struct json_entry;

/* Which entries to expect; the last one first. Never NULL: json_shape_none stands for no entry. */
struct json_hint {
    struct json_entry *entries[2];
};

struct json_entry {
    uint8_t glue[JSON_GLUE_MAX]; /* zeros behind its end */
    size_t glue_size;            /* JSON_GLUE_NONE: not known yet, equals nothing */
    uint32_t glue_ignore;        /* of 16 bits, those behind its end; and all above */
    uint8_t kind;                /* enum column_type, or JSON_KIND_UNKNOWN */
    uint8_t null_cell;           /* what a null makes of the cell */
    bool undeclared;             /* no field of the schema, and the object is closed */
    uint32_t field;              /* FIELD_NONE for JSON_KIND_UNKNOWN */
    uint64_t seen;               /* the object it was seen in last */
    uint8_t *cells;              /* of the batch that is being decoded */
    union {
        uint8_t *booleans;
        int64_t *integers;
        double *reals;
        struct bytes *texts;
    };
    struct json_hint next;
    struct json_shape *shape; /* COLUMN_OBJECT: its members */
    struct bytes name;        /* unescaped */
};

struct json_shape {
    uint32_t field; /* the object; FIELD_NONE for the top level */
    bool closed;
    uint64_t object_count; /* numbers the objects decoded so far */
    struct json_hint first;
    struct json_hint none;      /* what to expect behind a member without an entry */
    struct json_entry *members; /* of the layout */
    uint32_t member_count;
    struct json_entry *learnt; /* [JSON_LEARNT_MAX] once one is needed */
    uint32_t learnt_count;
    uint32_t stray_count;      /* members that found no place among the learnt */
    struct json_entry **table; /* open addressing by name */
    uint32_t table_mask;
    struct arena *arena; /* where it all lives */
};

/* All shapes of a layout, the top level first. They live in the arena; so does the array. */
struct json_shape *json_shapes_new(struct arena *arena, const struct layout *layout,
                                   uint32_t *out_count);
/* Before a batch: where its columns are. Forgets learnt names when they are not those the stream
 * uses. */
void json_shape_begin(struct json_shape *shape, const struct batch *batch);

/* The entry of a name; NULL when there is none. */
const struct json_entry *json_shape_find(const struct json_shape *shape, struct bytes name);
/* The same, learning a new one where there is room. */
struct json_entry *json_shape_entry(struct json_shape *shape, struct bytes name);
/* `glue` is what stood between the key's first quote and the value. */
void json_entry_learn_glue(struct json_entry *entry, struct bytes glue);
void json_hint_learn(struct json_hint *hint, struct json_entry *entry);

#endif
