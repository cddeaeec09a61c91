/*
 * Telemetry: what a run shows of itself while it works, where the pipeline file asks for it
 * (`http`): metrics, health, and the server for both. It only looks: no verdict, no commit and no
 * pause depends on it, but for POST /resume, which an operator sends.
 *
 * Two kinds of numbers, and the help of each metric says which it is:
 *   committed   out of R: published by the commit threads after each commit, all numbers of a
 *               ledger together, so that they balance at every scrape. They go on over restarts.
 *   in flight   what the worker has read and judged since the process started
 *
 * All functions take a NULL telemetry, and then do nothing.
 *
 * Threads: new, free, attach, phase, read, tick and snapshot from the worker's; committed and
 * failed from the commit thread of that system; resumes from any.
 */
#ifndef WEIR_RUN_TELEMETRY_H
#define WEIR_RUN_TELEMETRY_H

#include "connector/sink.h"
#include "observe/health.h"
#include "run/run.h"

struct pipeline;
struct telemetry;

/* NULL in *out where the plan asks for none. Errors of server_start(). */
enum status telemetry_new(const struct plan *plan, const struct run_options *options,
                          const struct run_observer *observer, struct telemetry **out,
                          struct error *err) WEIR_MUST_USE;
void telemetry_free(struct telemetry *telemetry);

/* The pipeline is open and its R is loaded: shows what is committed. Again for another plan of the
 * same run. No commit thread runs. */
void telemetry_attach(struct telemetry *telemetry, const struct pipeline *pipeline);
void telemetry_set_phase(struct telemetry *telemetry, enum health_phase phase);

/* Rows of a batch were judged. */
void telemetry_read(struct telemetry *telemetry, uint32_t partition, uint32_t row_count);
/* Now and then: asks the source how much is there, and the state how large it is. */
void telemetry_tick(struct telemetry *telemetry, const struct pipeline *pipeline);
void telemetry_snapshot(struct telemetry *telemetry);

/* `progresses`: the system's R after the commit. */
void telemetry_committed(struct telemetry *telemetry, uint32_t system, const struct epoch *epoch,
                         const struct progress *progresses, int64_t duration_us);
/* A try of a commit failed, or (PAUSED) none is made for now. */
void telemetry_failed(struct telemetry *telemetry, uint32_t system, enum health_system state,
                      uint32_t attempts, const struct error *failure);
/* What a run needs before it can work ("start"), or its source ("source"), is away, or (PAUSED) not
 * asked for any more, or (WORKS) there; `failure` is NULL then. */
void telemetry_waits(struct telemetry *telemetry, const char *for_what, enum health_system state,
                     uint32_t attempts, const struct error *failure);
/* How often an operator has asked to go on. */
uint64_t telemetry_resumes(const struct telemetry *telemetry);

#endif
