/*
 * Guarantees that are given up on purpose, for tests of the tests: a check that has never failed
 * proves nothing. Where the code keeps a guarantee, it says what giving it up would be:
 *
 *     if (BROKEN("purge-early")) { … }
 *
 * In every build but one that is constant and false, and nothing of it is in the program. In the
 * one that `script/build break` makes, the environment variable WEIR_BREAK names the one guarantee
 * that the process breaks; broken.c lists the names. test/broken has a test for each that passes
 * when a checker catches it.
 */
#ifndef WEIR_BASE_BROKEN_H
#define WEIR_BASE_BROKEN_H

#include <stdbool.h>

#ifdef WEIR_BREAK
/* Whether WEIR_BREAK is that name; one that is in no list ends the process with 2. */
bool broken(const char *name);
/* "nothing" unless one is broken. */
const char *broken_name(void);
#define BROKEN(name) broken(name)
#else
#define BROKEN(name) false
#endif

#endif
