/*
 * Dead letters as rows of a table: the columns, and the values of one letter. The names are those of
 * the headers in a topic without "weir."; all databases have the same ones.
 * A key or value that is not UTF-8, or has a NUL in it, which not every database takes, stands in base64.
 */
#ifndef WEIR_CONNECTOR_TABLE_LETTER_H
#define WEIR_CONNECTOR_TABLE_LETTER_H

#include "batch/value.h"
#include "connector/sink.h"

enum table_letter_column {
    LETTER_KEY, LETTER_KEY_BASE64, LETTER_VALUE, LETTER_VALUE_BASE64, LETTER_HEADERS, LETTER_REASON,
    LETTER_FIELD, LETTER_DETAIL, LETTER_VIOLATIONS, LETTER_TOPIC, LETTER_PARTITION, LETTER_OFFSET,
    LETTER_TIMESTAMP, LETTER_PIPELINE, LETTER_PLAN, LETTER_ATTEMPT, LETTER_SINK, LETTER_COUNT,
};

enum table_letter_type { LETTER_TEXT, LETTER_INTEGER };

struct table_letter_kind {
    const char *name;
    enum table_letter_type type;
    bool required; /* never null */
};
extern const struct table_letter_kind table_letter_columns[LETTER_COUNT];

/* NULL, INT64 or TEXT each; slices of the letter, or in `arena`. */
void table_letter_values(struct arena *arena, const struct dead_letter *letter,
                         struct value *values);

#endif
