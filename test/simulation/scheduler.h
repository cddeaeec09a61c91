/*
 * One scheduler for all threads of a simulation: exactly one runs at a time, and a seed decides
 * which, so that the same seed gives the same run. Test code only.
 *
 * The threads, mutexes and conditions of os/thread.h, its stop_requested(), and clock and entropy of
 * os/host.h lead here (the linker wraps the first, see meson.build). Time is virtual: it goes on
 * when everybody waits.
 *
 * A PROCESS is a group of threads that starts, is killed, freezes and goes on together. Threads of a
 * killed one never run again; what they held is not given back, so a simulation belongs into an
 * operating system's process of its own that ends.
 */
#ifndef WEIR_TEST_SIMULATION_SCHEDULER_H
#define WEIR_TEST_SIMULATION_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"

struct process;

/* The calling thread becomes the first one, of no process. */
void scheduler_begin(uint64_t seed);
/* Of the seed: for everything else that is random in a run. */
struct prng *scheduler_prng(void);
int64_t scheduler_now_us(void);

/* Starts a process with one thread. Processes are kept until the end. */
struct process *process_start(void (*run)(void *context), void *context);
bool process_is_over(const struct process *process);
void process_kill(struct process *process);
void process_freeze(struct process *process, bool is_frozen);
/* stop_requested() is true in it from now on. */
void process_ask_to_stop(struct process *process);

/* Others may run; somebody may be killed here. */
void scheduler_pause(void);
void scheduler_sleep_us(int64_t duration_us);
/* How often the thread that runs was chosen: the length of a run. */
uint64_t scheduler_steps(void);

#endif
