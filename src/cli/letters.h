/*
 * Dead letters, read back from where a pipeline puts them: a topic, a table of a SQLite file,
 * or files of JSON lines. What a place holds besides (records that somebody else
 * wrote there) is counted and passed over.
 */
#ifndef WEIR_CLI_LETTERS_H
#define WEIR_CLI_LETTERS_H

#include <stdbool.h>

#include "cli/place.h"
#include "connector/sink.h"

/* Slices and strings of the letter live until the visitor returns; its headers are the original
 * ones. *out_done ends the reading. */
typedef enum status letters_visitor(void *context, const struct dead_letter *letter,
                                    bool *out_done, struct error *err);

/* Every dead letter that is there at this moment; one that is added while this goes on may be left
 * out. CONFIG when there is no such place. */
enum status letters_each(const struct place *place, letters_visitor *visit, void *context,
                         uint64_t *out_foreign_count, struct error *err) WEIR_MUST_USE;

#endif
