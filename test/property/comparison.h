/*
 * What the engine said about a row beside what the model expects.
 */
#ifndef WEIR_TEST_PROPERTY_COMPARISON_H
#define WEIR_TEST_PROPERTY_COMPARISON_H

#include "judge.h"
#include "model.h"
#include "row.h"

struct comparison {
    const struct log *log;
    const struct expected *expected; /* [log->count] */
    struct buffer why;               /* the first difference; empty: none */
};

/* A batch_observer; `context` is a comparison. */
void comparison_observe(void *context, const struct judge *judge, int first);

/* The rules of a log: from row `first` on. */
struct rule_span {
    int first;
    struct rule rule;
};
/* Steps a model through the whole log. */
void expect_log(const struct log *log, const struct rule_span *spans, int span_count,
                struct model_faults faults, struct expected *expected);

#endif
