/*
 * What SQLite makes of a value when it is stored: a column's declared type is an affinity, which
 * turns a number into text or a text into a number. The hash of a row is taken over what was
 * written, so a cell that changes on its way would be called altered. Columns that would change
 * every cell are refused at the start, cells that would change in other columns one by one.
 *
 * https://www.sqlite.org/datatype3.html (3.1, determination of column affinity)
 */
#ifndef WEIR_CONNECTOR_SQLITE_TABLE_TYPES_H
#define WEIR_CONNECTOR_SQLITE_TABLE_TYPES_H

#include "base/bytes.h"
#include "connector/table/rows.h"

enum affinity {
    AFFINITY_NONE, /* BLOB, no type, ANY of a STRICT table: nothing changes */
    AFFINITY_TEXT,
    AFFINITY_NUMERIC, /* INTEGER too */
    AFFINITY_REAL,
};

/* What a sink writes into a column; null besides. */
enum cells {
    CELLS_BOOL,
    CELLS_INTEGER,
    CELLS_DOUBLE,
    CELLS_TEXT,
    CELLS_TIME, /* texts that are never a number's */
    CELLS_ANY,  /* an expression's values */
};

enum affinity table_types_affinity(const char *declared, bool is_strict);

/* Whether a column with that affinity can take such cells at all. */
bool table_types_fit(enum cells cells, enum affinity affinity);
/* Whether cells that fit may still be changed, one or the other. */
bool table_types_may_change(enum cells cells, enum affinity affinity);
/* Whether SQLite changes this cell. */
bool table_types_changes(const struct table_row *row, const struct table_cell *cell,
                         enum affinity affinity);

/* The type that keeps such cells as they are. */
const char *table_types_needed(enum cells cells, bool is_strict);
/* In the plural: "integers". */
const char *table_types_word(enum cells cells);

/* Whether the whole text reads as a number, spaces around it allowed. */
bool table_types_is_number(struct bytes text);

#endif
