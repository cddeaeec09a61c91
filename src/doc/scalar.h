/*
 * What an unquoted scalar means: the core schema of YAML 1.2.2 (section 10.3.2), of which the
 * literals of JSON are a subset. Private to doc/.
 */
#ifndef WEIR_DOC_SCALAR_H
#define WEIR_DOC_SCALAR_H

#include <stddef.h>
#include <stdint.h>

#include "doc/doc.h"

enum scalar_outcome {
    SCALAR_FITS,
    SCALAR_INTEGER_TOO_LARGE, /* beyond int64 */
    SCALAR_NUMBER_TOO_LARGE,  /* beyond double */
    SCALAR_NOT_FINITE,        /* .inf and .nan */
};

struct scalar {
    enum doc_kind kind; /* never a list or a map */
    union {
        bool boolean;
        int64_t integer;
        double real;
    };
};

/* `text` has a NUL behind its `size` bytes. `*out` is written only when it fits. */
enum scalar_outcome scalar_resolve(const char *text, size_t size, struct scalar *out);

#endif
