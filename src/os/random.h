/* Entropy from the system, for keys and identities. Seeded generators are in base/prng.h. */
#ifndef WEIR_OS_RANDOM_H
#define WEIR_OS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills `out` or ends the process: there is no second-best entropy. */
void random_bytes(void *out, size_t size);
uint64_t random_u64(void);
/* A random UUID (version 4) as 36 characters and a NUL. */
void random_uuid(char out[37]);

#endif
