/*
 * Places in the text of a document: walking from a known place to a byte offset, and finding the
 * indicators that the event parser does not report. Private to doc/.
 *
 * Lines end with \n: doc_parse() has made \r\n and \r into it. Columns count code points, so that
 * an editor shows the same number.
 */
#ifndef WEIR_DOC_PLACE_H
#define WEIR_DOC_PLACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct place {
    size_t offset;   /* bytes from the start */
    uint32_t line;   /* from 1 */
    uint32_t column; /* from 1 */
};

#define PLACE_START ((struct place){0, 1, 1})

/* The place of byte `offset`, walked to from `from`, which must not lie behind it. Stops at the end
 * of the content. */
struct place place_at(struct bytes content, struct place from, size_t offset);

/* The first of the characters `indicators` that stands at the start of a word, outside comments, in
 * [from, end); '-' must be a word of its own. Gives `otherwise` when there is none. */
struct place place_of_indicator(struct bytes content, struct place from, size_t end,
                                const char *indicators, struct place otherwise);

/* The first character from `from` on that is not white space, or the end. */
struct place place_behind_blanks(struct bytes content, struct place from);

/* The first character from `from` on that is neither white space nor in a comment, or the end. */
struct place place_of_next_word(struct bytes content, struct place from);

#endif
