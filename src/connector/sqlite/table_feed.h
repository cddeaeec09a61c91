/*
 * The rows of an outbox as a table that SQLite reads (a virtual table), so that one statement,
 * `INSERT INTO readings (…) SELECT * FROM weir_feed_0`, writes a thousand of them. A row costs
 * half of what it does with a statement of its own: nothing is bound, reset or opened for each.
 *
 * https://www.sqlite.org/vtab.html ("eponymous-only": there is no CREATE VIRTUAL TABLE)
 */
#ifndef WEIR_CONNECTOR_SQLITE_TABLE_FEED_H
#define WEIR_CONNECTOR_SQLITE_TABLE_FEED_H

#include "connector/table/rows.h"

struct sqlite3;

/* What it reads now. The columns are the cells of a row, and with `has_origin` the topic, the
 * partition's number and the offset where the record came from. */
struct table_feed {
    uint32_t cell_count;
    bool has_origin;
    const struct table_outbox *outbox;
    const struct table_place *first;
    const struct table_place *end;
};

/* Registers it under that name; a code of SQLite. `feed` must outlive the database's use of it. */
int table_feed_register(struct sqlite3 *database, const char *name, struct table_feed *feed);

#endif
