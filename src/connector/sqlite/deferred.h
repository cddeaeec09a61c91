/*
 * Whether a table has a foreign key that is checked at COMMIT only. No pragma tells, so the words
 * of its CREATE TABLE are read as SQLite reads them: DEFERRABLE is a word that names nothing unless
 * it is quoted, so outside of comments, texts and quoted names it is the clause.
 */
#ifndef WEIR_CONNECTOR_SQLITE_DEFERRED_H
#define WEIR_CONNECTOR_SQLITE_DEFERRED_H

#include <stdbool.h>

/* `sql` is the statement as it stands in sqlite_schema. True for DEFERRABLE INITIALLY DEFERRED
 * without NOT; all other forms are checked at once. */
bool deferred_in_sql(const char *sql);

#endif
