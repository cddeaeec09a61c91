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

struct plain_item {
    uint32_t characters; /* its bit in `sets` */
    uint32_t min, max;   /* max UINT32_MAX: no end */
};

struct plain_pattern {
    struct plain_item items[PLAIN_PATTERN_ITEMS_MAX];
    uint32_t item_count;
    /* Of an expression all of whose texts have one size: the bit of the item at each place. */
    uint32_t size; /* PLAIN_PATTERN_VARIES: they have not, or it is larger than `places` */
    uint32_t places[PLAIN_PATTERN_PLACES_MAX];
    uint32_t sets[256]; /* of each byte: the items that take it, a bit each */
};

/* False when the expression is not plain. It must be one that PCRE2 takes. */
bool plain_pattern_compile(struct bytes text, struct plain_pattern *out);
bool plain_pattern_matches(const struct plain_pattern *pattern, struct bytes text);

#endif
