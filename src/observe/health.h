/*
 * Health: whether a run does its work, and if not, why and what to do. The run tells what it is
 * doing and how each of its systems answers; /ready and the page read it.
 *
 * Ready is: the run works (it is not starting, rebuilding state or stopping) and no system is away
 * or paused. Not ready is no failure; the process is alive as long as it answers.
 *
 * Threads: any.
 */
#ifndef WEIR_OBSERVE_HEALTH_H
#define WEIR_OBSERVE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"

enum health_phase { HEALTH_STARTING, HEALTH_RECOVERING, HEALTH_RUNNING, HEALTH_STOPPING };
enum health_system { HEALTH_SYSTEM_WORKS, HEALTH_SYSTEM_AWAY, HEALTH_SYSTEM_PAUSED };

struct health;

struct health *health_new(void);
/* Takes NULL. */
void health_free(struct health *health);

void health_set_phase(struct health *health, enum health_phase phase);
/* What a system's last answer was; `err` says what is wrong (NULL when it works). Since when is
 * kept from the first answer of that kind. */
void health_set_system(struct health *health, const char *system, enum health_system state,
                       uint32_t attempts, const struct error *err);

bool health_is_ready(struct health *health);
/* {"ready":false,"phase":"running","since":"…","causes":[{"cause":"paused","system":…,"since":…,
 * "code":…,"what":…,"do":…}]} and a line break. */
void health_write_json(struct health *health, struct buffer *out);
/* One line a cause, for people; nothing when it is ready. */
void health_write_lines(struct health *health, struct buffer *out);

/* An operator says that what was paused may go on: whoever is paused compares the count with the
 * one of before. */
void health_resume(struct health *health);
uint64_t health_resumes(const struct health *health);

#endif
