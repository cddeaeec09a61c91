/*
 * Plain patterns: those of the regular expressions that a loop over the text decides, as nearly all
 * of a contract do: "^s-[0-9]{5}$", "^[A-Z]{2}\\d+$". For them the answer is that of PCRE2 (see
 * pattern.h), some times sooner.
 *
 * A plain pattern begins with "^", ends with "$", and has between them items: an ASCII character, \d,
 * \w, an escaped punctuation mark or a class of these with ranges, each with {n}, {n,m}, {n,}, "+",
 * "*" or "?". An item that may repeat a varying number of times must share no character with those
 * behind it: then taking as many as there are is the only way to match.
 *
 * Read-only once compiled: any thread.
 */
#ifndef WEIR_SCHEMA_PLAIN_PATTERN_H
#define WEIR_SCHEMA_PLAIN_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define PLAIN_PATTERN_ITEMS_MAX 32u
#define PLAIN_PATTERN_PLACES_MAX 64u
#define PLAIN_PATTERN_VARIES UINT32_MAX
#define PLAIN_PATTERN_RANGES_MAX 4u

struct plain_item {
    uint32_t characters; /* its bit in `sets` */
    uint32_t min, max;   /* max UINT32_MAX: no end */
};

/* Eight places, a byte each: whether each byte of a text lies in one of the ranges of its place is asked
 * of all at once. Bytes are ASCII here; `beyond` is 0x7F less the last byte of the range. */
struct plain_word {
    uint32_t first; /* place */
    uint64_t low[PLAIN_PATTERN_RANGES_MAX];
    uint64_t beyond[PLAIN_PATTERN_RANGES_MAX];
};

struct plain_pattern {
    struct plain_item items[PLAIN_PATTERN_ITEMS_MAX];
    uint32_t item_count;
    /* Of an expression all of whose texts have one size: the bit of the item at each place. */
    uint32_t size; /* PLAIN_PATTERN_VARIES: they have not, or it is larger than `places` */
    uint32_t places[PLAIN_PATTERN_PLACES_MAX];
    /* Of four places or more, all of them of few ranges; the last word may ask some places once more. */
    struct plain_word words[PLAIN_PATTERN_PLACES_MAX / 8];
    uint32_t word_count;  /* 0: each place is asked by itself */
    uint32_t range_count; /* of the place with most ranges */
    uint32_t sets[256]; /* of each byte: the items that take it, a bit each */
};

/* False when the expression is not plain. It must be one that PCRE2 takes. */
bool plain_pattern_compile(struct bytes text, struct plain_pattern *out);
bool plain_pattern_matches(const struct plain_pattern *pattern, struct bytes text);

#endif
