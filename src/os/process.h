/* This process: what it uses, as the system counts it, and its end. */
#ifndef WEIR_OS_PROCESS_H
#define WEIR_OS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_usage {
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    int64_t cpu_us;       /* in user and kernel mode */
    uint32_t open_files;
    uint32_t thread_count;
};

/* False where the system does not tell (no /proc). */
bool process_usage_read(struct process_usage *out);

/* What main() returns. Where threads were left (os/thread.h) it ends the process at once, behind all that
 * was written to standard streams: what libraries clear up at an exit these threads may still use. */
int process_end(int status);

#endif
