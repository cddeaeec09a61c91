/* libFuzzer's way in: WEIR_FUZZ_TARGET names the target. */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_target *target;
    if (target == NULL) {
        const char *name = getenv("WEIR_FUZZ_TARGET");
        target = fuzz_find(name == NULL ? "" : name);
        if (target == NULL) {
            (void)fprintf(stderr, "WEIR_FUZZ_TARGET names no target\n");
            exit(2);
        }
    }
    target->run(data, size);
    return 0;
}
