/* Records whose shape changes from one to the next: what a decoder that expects the shape of before
 * must not collapse on. */
#ifndef WEIR_BENCH_RESHAPE_H
#define WEIR_BENCH_RESHAPE_H

#include "measure.h"

enum reshape {
    RESHAPE_THREE,  /* three orders of the members, one after the other */
    RESHAPE_RANDOM, /* the members of each record in an order of its own */
    RESHAPE_RICH,   /* besides: a text with escapes, a long one, and nested values */
};

/* Rewrites the values of the input in place of its own; the meaning of the members stays. They must be
 * flat objects without white space, and without commas in their texts. */
void input_reshape(struct input *input, enum reshape how);

#endif
