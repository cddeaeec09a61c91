/* Rows of a SQLite table as JSON objects, in the order in which they stand there: for tail. */
#ifndef WEIR_CLI_TABLE_ROWS_H
#define WEIR_CLI_TABLE_ROWS_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/status.h"

/* `row` gets one object per row, without a line break; *out_done ends it early. */
enum status table_rows_each(const char *path, const char *table,
                            enum status (*row)(void *context, struct bytes json, bool *out_done,
                                               struct error *err),
                            void *context, struct error *err) WEIR_MUST_USE;

#endif
