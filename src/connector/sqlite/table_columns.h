/*
 * The names of a table's columns: whether a table of SQLite can have a pipeline's columns at all.
 * Two fields may be two names in JSON and one column in a table: members of nested objects take
 * '_' for '.', and SQLite does not tell capitals. Checked when a plan is made, before anything is
 * opened.
 */
#ifndef WEIR_CONNECTOR_SQLITE_TABLE_COLUMNS_H
#define WEIR_CONNECTOR_SQLITE_TABLE_COLUMNS_H

#include "connector/sink.h"

/* CONFIG at `table` (the node with the table's name) when two columns of the shape have one name,
 * one has the name of a column that weir adds, or there are none or too many. */
enum status table_columns_check(const struct doc *table, const struct output_shape *shape,
                                struct error *err) WEIR_MUST_USE;

#endif
