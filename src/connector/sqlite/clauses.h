/*
 * What a table's CREATE TABLE says and no pragma tells: the words of the statement are read as
 * SQLite reads them. DEFERRABLE and REPLACE in these places are words that name nothing unless they
 * are quoted, so outside of comments, texts and quoted names they are the clause.
 */
#ifndef WEIR_CONNECTOR_SQLITE_CLAUSES_H
#define WEIR_CONNECTOR_SQLITE_CLAUSES_H

#include <stdbool.h>

/* `sql` is the statement as it stands in sqlite_schema. */

/* A foreign key that is checked at COMMIT only: DEFERRABLE INITIALLY DEFERRED without NOT; all
 * other forms are checked at once. */
bool clauses_defer(const char *sql);

/* A constraint with ON CONFLICT REPLACE. */
bool clauses_replace(const char *sql);

#endif
