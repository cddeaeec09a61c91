/*
 * Explain: what a pipeline promises, why, what is its weakest hop and how to mend it, and what the
 * next start would do. Opens everything to look, and changes nothing.
 *
 * It says lines: about what ("source", "sink readings", "dedup"), how good that is, a sentence, and
 * what to do. Connectors bring what only they know through their ports (sink_ops.why,
 * source_ops.retention, system_ops.examine).
 */
#ifndef WEIR_INSPECT_EXPLAIN_H
#define WEIR_INSPECT_EXPLAIN_H

#include "plan/plan.h"

enum explain_level {
    EXPLAIN_FINE, /* it is as it should be */
    EXPLAIN_NOTE, /* good to know */
    EXPLAIN_WEAK, /* less than it could be: there is something to do */
};

struct explain_line {
    enum explain_level level;
    const char *about;
    const char *what;
    const char *remedy; /* "" where there is nothing to do */
};

/* Calls `line` in the order of the pipeline; texts live until it returns. Fails only where the source
 * cannot be opened at all. */
enum status explain_pipeline(struct plan *plan,
                             void (*line)(void *context, const struct explain_line *line),
                             void *context, struct error *err) WEIR_MUST_USE;

#endif
