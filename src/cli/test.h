/* The verb test: test.c runs cases and prints, test_update.c writes what is into the file. */
#ifndef WEIR_CLI_TEST_H
#define WEIR_CLI_TEST_H

#include "inspect/cases.h"

/* An outcome as an item of `expect`, on one line: "{verdict: VALID, output: {…}, sinks: [out]}". */
void test_write_outcome(const struct case_outcome *outcome, struct buffer *out);

/* Rewrites the `expect` of every case of the file by its outcomes; all other lines stay as they
 * are. CONFIG "test.layout" where a case does not have its keys on lines of their own. */
enum status test_update(const char *path, const struct cases *cases,
                        struct error *err) WEIR_MUST_USE;

#endif
