/*
 * Templates: what records that look alike have in common. A record is read as
 *
 *   glue value glue value … glue        {"id":" … ","t": … ,"on": … }
 *
 * where a GLUE is all that stands between two values: quotes, keys, colons, commas, blanks. A TEMPLATE
 * is the glues of a record that was decoded, and what becomes of the values between them. Where an
 * engine finds the same glues at once in another record (json_alike.inc), that record is decoded: its
 * keys are known, known to be different ones, and its values stand where no glue does. Every other
 * record is decoded member by member. What a record means never depends on which way it went.
 *
 * Only flat records of texts without escapes, numbers and booleans make a template: what else there is
 * (null, arrays, objects, members that a closed object does not declare, values that do not fit their
 * column) goes the other way.
 *
 * Which templates are kept is a guess from the records so far: those that match too few are dropped,
 * and where hardly any record matches, none are tried for a while.
 */
#ifndef WEIR_CODEC_JSON_TEMPLATE_H
#define WEIR_CODEC_JSON_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "batch/batch.h"
#include "codec/json_shape.h"

/* Rows are looked at in blocks of so many. */
#define JSON_BLOCK_ROWS 64u
_Static_assert(BATCH_ROWS_MAX % JSON_BLOCK_ROWS == 0, "a batch is a whole number of blocks");

#define JSON_TEMPLATES_MAX 15u       /* with 0 for "none", what four bits number */
#define JSON_TEMPLATE_VALUES_MAX 63u
#define JSON_TEMPLATE_GLUE_MAX 64u
#define JSON_TEMPLATE_BYTES_MAX 2048u /* longer records are decoded member by member */
#define JSON_WORD_BYTES 8u

struct json_glue {
    uint8_t bytes[JSON_TEMPLATE_GLUE_MAX]; /* zeros behind its end */
    uint64_t mask;                         /* a bit for each of its bytes */
    uint32_t size;
    uint32_t quote; /* which of the record's quotes its first one is; the last glue may have none */
    uint32_t lead;  /* its bytes before that quote, at most `quote` */
};

/* The value between glues[glue] and glues[glue + 1]. */
struct json_slot {
    uint32_t glue;
    uint32_t field;       /* FIELD_NONE: the layout has no column for it */
    enum column_type type; /* of the field; COLUMN_DOUBLE where there is none */
    union {                /* of the batch that is being decoded; NULL where there is no column */
        uint8_t *booleans;
        int64_t *integers;
        double *reals;
        struct bytes *texts;
    };
};

struct json_slots {
    struct json_slot items[JSON_TEMPLATE_VALUES_MAX];
    uint32_t count;
};

struct json_template {
    struct json_glue glues[JSON_TEMPLATE_VALUES_MAX + 1]; /* the last one ends the record */
    uint32_t glue_count;
    uint32_t glue_bytes;
    uint32_t quote_count;
    struct json_slots texts; /* those with a column */
    /* Numbers with a column of at most JSON_WORD_BYTES, of which at least as many bytes stand before
     * their end: put into the column as they are written, and converted many at a time. */
    struct json_slots words;
    struct json_slots numbers; /* all others */
    struct json_slots booleans;
    uint32_t hits; /* since the templates were last weighed */
    uint32_t next; /* the number of the one that came next the last time; 0: not known */
};

struct json_templates {
    struct json_template *items; /* [JSON_TEMPLATES_MAX]; number n is items[n - 1] */
    uint32_t count;
    uint32_t last; /* the number of the last match; 0: there was none */
    bool has_words;
    /* Per row of the batch, its template's number; 0 where it matched none. */
    uint8_t *of_rows;
    /* Per field of the layout and template number: the cell that it makes (enum cell), and whether
     * it leaves a word in the column (0xFF). */
    uint8_t (*cells)[JSON_TEMPLATES_MAX + 1];
    uint8_t (*words)[JSON_TEMPLATES_MAX + 1];
    uint32_t field_count;
    /* Weighing. */
    uint32_t tried, hits;      /* rows since the last time */
    uint32_t paused;           /* rows for which none is tried */
    uint32_t pause;            /* how long the last pause was, 0: none */
    uint32_t lessons;          /* records that may still be learnt from in this batch */
    bool has_learnt;           /* something new in this batch */
};

/* They live in the arena. */
void json_templates_init(struct json_templates *templates, struct arena *arena,
                         const struct layout *layout);
/* Before a batch. */
void json_templates_begin(struct json_templates *templates, const struct batch *batch);
/* Whether to try the next block of rows; `row_count` of them. */
bool json_templates_try(struct json_templates *templates, uint32_t row_count);
/* Behind a batch. */
void json_templates_weigh(struct json_templates *templates);

/* From a record that matched none, and that was decoded without a complaint by the shape of the top
 * level. */
void json_templates_learn(struct json_templates *templates, const struct json_shape *shape,
                          const struct batch *batch, struct bytes text);

#endif
