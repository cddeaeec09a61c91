/* Every line of a file, one after the other: for whoever reads a whole file as it is now. */
#ifndef WEIR_CONNECTOR_FILE_EACH_LINE_H
#define WEIR_CONNECTOR_FILE_EACH_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

/* `line` is without its newline and lives until the visitor returns; numbers count from 1. What
 * stands behind the last newline is a line too. *out_done ends the reading. */
typedef enum status line_visitor(void *context, struct bytes line, int64_t number, bool *out_done,
                                 struct error *err);
enum status each_line(const char *path, line_visitor *visit, void *context,
                      struct error *err) WEIR_MUST_USE;
/* The same for rows of CSV as weir writes it, the first of which is the header. */
enum status each_csv_row(const char *path, line_visitor *visit, void *context,
                         struct error *err) WEIR_MUST_USE;

/* Whether a name in a folder is that of a file of rows: "….ndjson", and not hidden. */
bool each_line_is_of_rows(const char *name);
/* "….csv" */
bool each_line_is_of_csv(const char *name);

#endif
