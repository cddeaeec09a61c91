/* The grammar of a pipeline file: plan/grammar.c has the table; connectors bring theirs. */
#ifndef WEIR_PLAN_GRAMMAR_H
#define WEIR_PLAN_GRAMMAR_H

#include "base/memory.h"
#include "doc/grammar.h"

/* connections.c: loads the modules of the kinds that a pipeline file names; before the table is asked
 * for. `pipeline` may be any document. */
enum status plan_load_modules(const struct doc *pipeline, struct error *err) WEIR_MUST_USE;

/* connections.c: the pipeline with the keys of its connection in every place, as connectors get
 * them. `pipeline` has passed the grammar. */
enum status plan_join_places(struct arena *arena, const struct doc *pipeline,
                             const struct doc **out, struct error *err) WEIR_MUST_USE;

/* The whole table, with the parts of all connectors; made in `arena`. */
const struct grammar_field *plan_grammar(struct arena *arena);

#endif
