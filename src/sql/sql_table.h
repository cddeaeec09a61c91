/*
 * Table: the rows of a batch as a table that SQLite can read.
 *
 * One virtual table, readable under its module's name, whose columns are those fields that the
 * program's expressions mention, in the layout's order. A scan walks a list of row numbers. Cells
 * are handed over without copying: texts point into the batch, which lives longer than any
 * statement runs.
 *
 * Declared types decide the affinity of comparisons, so the scratch table on which expressions are
 * checked is declared by the same text (sql_table_declare).
 */
#ifndef WEIR_SQL_SQL_TABLE_H
#define WEIR_SQL_SQL_TABLE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "batch/batch.h"

#define SQL_TABLE_NAME "weir_batch"

struct sql_table_column {
    uint32_t field;
    const char *name; /* in SQLite */
    enum column_type type;
    bool is_time;
};

struct sql_table {
    struct sql_table_column *columns;
    uint32_t column_count;
    /* What the next scan reads; set before a statement starts. */
    const struct column *batch_columns;
    const uint32_t *rows;
    uint32_t row_count;
};

/* Appends `"name" TYPE, "name" TYPE, …`, never empty: SQLite has no table without columns. */
void sql_table_declare(const struct sql_table *table, struct buffer *out);
/* SQLite's result code. The table must outlive the connection. */
int sql_table_register(sqlite3 *db, struct sql_table *table);

#endif
