/*
 * All that becomes of the rows of a log: per row one text with everything that the stages say of it
 * and the bytes that go out; and the ledger with the sums of real sinks and a real dead-letter
 * place.
 */
#ifndef WEIR_TEST_PROPERTY_OUTCOME_H
#define WEIR_TEST_PROPERTY_OUTCOME_H

#include "judge.h"
#include "progress/ledger.h"
#include "row.h"

#define DESKS_MAX 4
#define OUTCOME_SINKS_MAX 4

/* Where the rows of one plan are put. */
struct desk {
    const struct judge *judge;
    struct outbox *sinks[OUTCOME_SINKS_MAX];
    struct outbox *dlq;
};

struct outcome {
    struct buffer text;
    size_t ends[LOG_ROWS_MAX]; /* where the row's text ends */
    int count;
    struct ledger ledger;
    struct desk desks[DESKS_MAX];
    int desk_count;
};

void outcome_clear(struct outcome *outcome);
/* `outcome` is zero-initialised. */
void outcome_fini(struct outcome *outcome);
/* A batch_observer; `context` is an outcome. Rows come in order. */
void outcome_observe(void *context, const struct judge *judge, int first);
/* The first difference between the two, rows and ledgers; empty when there is none. */
void outcome_compare(const struct outcome *a, const struct outcome *b, struct buffer *why);

#endif
