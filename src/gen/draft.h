/*
 * Draft: a record of the generated workload while it is being made dirty, field by field, before it
 * becomes text.
 *
 * draft_init() takes a reading's plain fields; the functions in the middle each put one kind of
 * dirt (or of unusual but right JSON) into it, and may follow one another; draft_write() makes the
 * bytes. All choices come from the given random numbers, so that the same seed gives the same
 * bytes. A draft never makes a raw line break, so that every text but the broken ones can stand on
 * a line of its own.
 *
 * Nothing here knows the pipeline's rules: what becomes of such a record is for truth.h to say.
 */
#ifndef WEIR_GEN_DRAFT_H
#define WEIR_GEN_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/prng.h"
#include "gen/reading.h"

/* The reading's fields, and internal_note, which plain records do not have. */
#define DRAFT_NOTE READING_FIELD_COUNT
#define DRAFT_FIELD_COUNT (READING_FIELD_COUNT + 1)
#define DRAFT_SCRATCH_BYTES 2048
/* Room for every text. */
#define DRAFT_TEXT_BYTES 8192

/* What is broken about the text as a whole. */
enum draft_damage {
    DRAFT_SOUND,
    DRAFT_CUT,
    DRAFT_TRAILING_COMMA,
    DRAFT_NO_COMMA,
    DRAFT_NO_COLON,
    DRAFT_BARE_KEY,
    DRAFT_SINGLE_QUOTES,
    DRAFT_COMMENT,
    DRAFT_HEAD,
    DRAFT_TAIL,
};

struct draft {
    struct prng *prng;
    struct reading_writer *writer;
    const struct reading *reading;
    struct bytes keys[DRAFT_FIELD_COUNT];   /* JSON text, with its quotes */
    struct bytes values[DRAFT_FIELD_COUNT]; /* JSON text; none: the field is left out */
    uint8_t order[DRAFT_FIELD_COUNT];
    struct bytes extra;   /* one more member, `"key":value`; none: no such member */
    uint32_t extra_place; /* before which place of `order` */
    struct bytes whole;   /* stands for the whole record; none: the record is its members */
    struct bytes rubbish; /* for DRAFT_HEAD and DRAFT_TAIL */
    bool spaced;
    enum draft_damage damage;
    size_t used;
    char scratch[DRAFT_SCRATCH_BYTES];
};

/* `prng`, `writer` and `reading` must outlive the draft. */
void draft_init(struct draft *draft, struct prng *prng, struct reading_writer *writer,
                const struct reading *reading);

/* Not JSON, or not UTF-8. */
void draft_make_unparsable(struct draft *draft);
/* A key stands twice; sometimes one of the two is written with an escape. */
void draft_repeat_key(struct draft *draft);
/* Half: a number as text that coerce repairs. Else: another type, or the record is no object. */
void draft_make_wrong_type(struct draft *draft);
/* Breaks a length, a pattern or an enum. */
void draft_break_constraint(struct draft *draft);
/* Numbers beyond int64 or double. */
void draft_make_extreme(struct draft *draft);
/* Leaves a field out, or makes it null. */
void draft_lose_field(struct draft *draft);
/* -999, "N/A", "", "NaN". */
void draft_place_sentinel(struct draft *draft);
/* An event_time that is none. */
void draft_break_time(struct draft *draft);
/* Right, but unusual: order of keys, white space, escapes, forms of numbers and times, more
 * members. */
void draft_vary(struct draft *draft);
/* The humidity as an integer where it is one: 54, not 54.0. */
void draft_shorten_humidity(struct draft *draft);

/* Returns the size, no NUL. */
size_t draft_write(struct draft *draft, char out[DRAFT_TEXT_BYTES]);

#endif
