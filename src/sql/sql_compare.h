/*
 * Comparing: which types may stand on the two sides of a comparison, and what to say when they may
 * not. sql_types.c finds the comparisons.
 */
#ifndef WEIR_SQL_SQL_COMPARE_H
#define WEIR_SQL_SQL_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "sql/sql_tokens.h"

enum sql_kind {
    SQL_KIND_UNKNOWN, /* NULL too: it may stand beside everything */
    SQL_KIND_NUMBER,
    SQL_KIND_BOOL,
    SQL_KIND_TEXT,
    SQL_KIND_TIME, /* a date-time column */
    /* A date-time that a function or CASE handed on, without the column's collation: as texts two of
     * one moment may differ. */
    SQL_KIND_TIME_TEXT,
    SQL_KIND_JSON, /* a column with raw JSON */
    SQL_KIND_BLOB,
};

/* A part of the expression: what is known of it, and the tokens first…last that it is made of. */
struct sql_part {
    enum sql_kind kind;
    bool is_literal;
    uint32_t first;
    uint32_t last;
    /* Made of integers alone: it is an integer or NULL, unless it overflows. */
    bool is_integer;
};

/* Collects the first refusal of one expression. */
struct sql_comparer {
    struct arena *arena;
    const struct sql_expression *expression;
    const struct sql_tokens *tokens;
    struct error refusal;
};

/* Refuses, into `refusal`, two sides that can never be alike. */
void sql_compare(struct sql_comparer *comparer, const struct sql_part *a, const struct sql_part *b);
/* The text of a literal, without its quotes; in the arena. */
const char *sql_part_literal(const struct sql_comparer *comparer, const struct sql_part *part);

#endif
