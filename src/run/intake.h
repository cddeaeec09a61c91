/*
 * Intake: batches from the source to the worker. While the worker judges one, the next one is read,
 * unpacked, decoded and hashed on a thread of the intake's own: all that is a function of the
 * records alone.
 *
 * The thread works between intake_begin() and intake_end() only; outside of them the worker may call
 * the source as it likes. Batches are the same, and come in the same order, as without the thread.
 *
 * Life: intake_new → intake_take, intake_begin, intake_end for each batch → intake_free. The thread is
 * started by the first intake_begin(). All calls from the worker.
 */
#ifndef WEIR_RUN_INTAKE_H
#define WEIR_RUN_INTAKE_H

#include "connector/source.h"
#include "stage/stage.h"

struct intake;

/* Which records: those of `partition` that stand at `offset` and below `limit_offset`. */
struct intake_span {
    uint32_t partition;
    int64_t offset;
    int64_t limit_offset;
};

/* Source and runner must outlive it. */
struct intake *intake_new(struct source *source, struct stage_runner *runner);
/* Takes NULL. */
void intake_free(struct intake *intake);

/* The next batch of the span, which the source stands at: what was read ahead where that is it, else
 * read now. *out is the intake's, valid until the next call; without rows: nothing is there now. Fails
 * as source_ops.read does. */
enum status intake_take(struct intake *intake, const struct intake_span *span, struct batch **out,
                        struct error *err) WEIR_MUST_USE;

/* Begins to read that span ahead, of a source that allows it (source_ops.ahead_rows). Does nothing while
 * something that was read ahead has not been taken yet. */
void intake_begin(struct intake *intake, const struct intake_span *span);
/* Waits until what was begun is done; what the thread has not come to yet is not done at all, and read by
 * intake_take(). Also where nothing was begun. */
void intake_end(struct intake *intake);

#endif
