/*
 * Rows of a folder as CSV (RFC 4180, but lines end with "\n" alone): a column for each field of the
 * schema and of `set`, in the order of the columns of a table, named by its path ("location.lat").
 *
 * Absent and null are an empty cell, the empty text is "". Numbers stand as JSON writes them; lists
 * and values of several types as the JSON text they are, texts among the latter in quotes (a text that
 * is itself a JSON list cannot be told from one when it is read back). Members
 * that the schema does not have are not written.
 */
#ifndef WEIR_CONNECTOR_FILE_FOLDER_CSV_H
#define WEIR_CONNECTOR_FILE_FOLDER_CSV_H

#include "connector/sink.h"

/* The header, with its newline. */
void folder_csv_header(const struct output_shape *shape, struct buffer *out);
/* A row, without its newline. */
void folder_csv_row(const struct output_shape *shape, const struct output_row *row,
                    struct buffer *out);

#endif
