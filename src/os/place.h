/*
 * Places: whether two paths lead to the same file.
 *
 * Threads: any; nothing is kept.
 */
#ifndef WEIR_OS_PLACE_H
#define WEIR_OS_PLACE_H

#include <stdbool.h>

#include "base/memory.h"

/* The one absolute path of a file, links followed, in `arena`. The file need not be there, nor what
 * a link leads to, but the folder must: NULL when it is not, when the path ends in a '/', or when
 * links lead round in a circle. */
char *place_real(struct arena *arena, const char *path);
/* Both are there and are one file: equal paths, or hard links. */
bool place_is_same(const char *a, const char *b);

#endif
