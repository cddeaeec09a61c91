/*
 * The values of a row as tables store them: NULL, integers, doubles and texts. Booleans are 0 and
 * 1; nested values are JSON text; times are ISO 8601 in UTC with six digits of fraction, so that the
 * order of texts is the order of times. The hash of a row, for sums and audit, is value_hash() over
 * these in the order of the columns, whatever types a database has for them.
 */
#ifndef WEIR_CONNECTOR_TABLE_VALUE_H
#define WEIR_CONNECTOR_TABLE_VALUE_H

#include "batch/value.h"
#include "connector/sink.h"

/* NULL, INT64, DOUBLE or TEXT; texts live as long as the batch. */
struct value table_value(const struct output_column *column, const struct batch *batch,
                         uint32_t row);

/* What people see of a row: its first values. Replaces what is in `out`. */
void table_value_text(const struct value *values, uint32_t count, struct buffer *out);

#endif
