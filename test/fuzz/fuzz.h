/*
 * Fuzz targets: every parser of bytes that others wrote, with what must hold whatever they are:
 * nothing is read or written out of bounds (sanitizers), two ways to the same answer agree, and what
 * was read can be written and is then the same. Test code only.
 *
 * A target is run by libFuzzer (script/fuzz, where clang has it) or by the plain mutating driver
 * (driver.c), which is what script/test uses.
 */
#ifndef WEIR_TEST_FUZZ_H
#define WEIR_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"

struct fuzz_target {
    const char *name;
    /* `data` is in memory of exactly its size. Aborts when something does not hold. */
    void (*run)(const uint8_t *data, size_t size);
    /* What cannot stand in a text file, appended to `out` as one seed; false when there is no more. NULL:
     * the corpus says all. */
    bool (*seed)(unsigned number, struct buffer *out);
};

/* The last has no name. */
extern const struct fuzz_target fuzz_targets[];
const struct fuzz_target *fuzz_find(const char *name);

#endif
