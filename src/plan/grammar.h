/* The grammar of a pipeline file: plan/grammar.c has the table; connectors bring theirs. */
#ifndef WEIR_PLAN_GRAMMAR_H
#define WEIR_PLAN_GRAMMAR_H

#include "base/memory.h"
#include "doc/grammar.h"

/* The whole table, with the parts of all connectors; made in `arena`. */
const struct grammar_field *plan_grammar(struct arena *arena);

#endif
