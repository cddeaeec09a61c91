/*
 * A diff in the course of it: what diff.c (the log read and judged twice) and diff_rows.c (rows
 * compared, differences told) share. Not for other files.
 */
#ifndef WEIR_INSPECT_DIFF_PRIVATE_H
#define WEIR_INSPECT_DIFF_PRIVATE_H

#include "connector/source.h"
#include "inspect/diff.h"

/* One of the two files. */
struct side {
    struct plan *plan;
    struct stage_runner *runner;
    struct batch *batch;
    struct stage_state *state; /* of the partition that is being read */
    struct state_budget budget;
    struct outbox **outboxes;  /* per sink; emptied all the time */
};

struct diff {
    const struct diff_query *query;
    const struct run_observer *observer;
    struct diff_result *result;
    struct source *source;
    const struct source_partition *partitions;
    uint32_t partition_count;
    struct side old, new;
    struct hash_secret secret;
    uint32_t *counterparts; /* [sink of the old file]: index of the sink of that name in the new one */
    uint32_t kind_capacity;
};

#define SINK_NONE UINT32_MAX

/* diff_rows.c: the rows of a batch that both have judged. */
void diff_compare(struct diff *diff);
void diff_sort_kinds(struct diff_result *result);

#endif
