/*
 * Snapshots of a run: of every partition in turn, every `state.snapshot_interval` and at the end.
 *
 *   due ──▶ a copy of the partition's state begins, between two batches, at their boundary P
 *       ──▶ a little of it is written after each batch, and what a batch is about to change before
 *           it changes (state/seen_table.h)
 *       ──▶ all is written and every system has committed P: the file becomes visible
 *       ──▶ the next partition
 *
 * So the flow is never stopped for it: no epoch is closed early, and no more of the state is written
 * at one time than a few milliseconds take. What may wait for a disk is done in the writer's thread
 * (state/snapshot.h). Memory is a few MiB, whatever the state.
 *
 * A snapshot that cannot be written, or read back, costs time at the next start and is warned of,
 * nothing else.
 *
 * Threads: the worker's.
 */
#ifndef WEIR_RUN_SNAPSHOTS_H
#define WEIR_RUN_SNAPSHOTS_H

#include "run/pipeline.h"
#include "run/replayer.h"

struct snapshots;
/* The pipeline must be running, with its committers. */
struct snapshots *snapshots_new(struct pipeline *pipeline);
/* To be called between two batches. Does not wait. */
void snapshots_step(struct snapshots *snapshots);
/* How long nobody need call snapshots_step(). */
int64_t snapshots_patience_us(const struct snapshots *snapshots);
/* Whole ones, of all partitions. Everything must be committed everywhere; waits for the disk. */
void snapshots_take_all(struct snapshots *snapshots);
/* What is under way leaves nothing behind. */
void snapshots_free(struct snapshots *snapshots);

/* State of a partition out of its newest snapshot at or below R of its slowest system, `slowest`;
 * *out_found is false when there is none that fits. *out_current: the index in the partition's plans of
 * the one that the state was left under. FATAL "progress.behind" where the newest one is beyond
 * `furthest`, the offset that the furthest system has come to. */
enum status snapshots_restore(struct pipeline *pipeline, struct replayer *replayer, uint32_t p,
                              const struct progress *slowest, int64_t furthest,
                              uint32_t *out_current, bool *out_found,
                              struct error *err) WEIR_MUST_USE;

#endif
