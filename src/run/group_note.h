/*
 * What the source's place says about how far the pipeline has come, where the rows go elsewhere: the
 * offsets of the group in Kafka, for tools that show lag. Advice, never authority: a note that is late,
 * lost, or refused changes nothing, for R stands with the rows.
 *
 * At a start and at an end first_start_note_group() sees to it, and waits for the answer. In between the
 * worker calls group_note_follow() whenever it likes: it never waits.
 *
 * Threads: the worker's.
 */
#ifndef WEIR_RUN_GROUP_NOTE_H
#define WEIR_RUN_GROUP_NOTE_H

#include "run/pipeline.h"

/* Zero-initialise. */
struct group_note {
    int64_t due_us;    /* monotonic */
    int64_t *offsets;  /* [partition_count]: as they were told last; NULL until then */
};

/* Tells the source, at most every few seconds, to where all systems have committed every partition. */
void group_note_follow(const struct pipeline *pipeline, struct group_note *note);
void group_note_fini(struct group_note *note);

#endif
