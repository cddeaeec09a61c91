/*
 * Error numbers of MariaDB and MySQL: what an error, or a warning, asks of us. They are classed by
 * number, in the table of errors.c, for SQLSTATE says too little here: most are HY000.
 *
 *   the row's own fault   a constraint, a value that its column does not take, a trigger's SIGNAL
 *   passing               the connection, locks and deadlocks, resources (a full disk, too many
 *                         connections), a server that stops
 *   harmless              notes of statements that found done what they would do
 *   everything else       somebody must mend something: a missing table, a right, a read-only server
 *
 * What became of a COMMIT that failed is never told by its number: it is asked (database/epoch.c).
 */
#ifndef WEIR_CONNECTOR_MYSQL_ERRORS_H
#define WEIR_CONNECTOR_MYSQL_ERRORS_H

#include <stdbool.h>
#include <stddef.h>

enum mysqldb_class { MYSQLDB_STOP, MYSQLDB_ROW, MYSQLDB_PASSING, MYSQLDB_HARMLESS };

enum mysqldb_class mysqldb_class(unsigned number);

/* "sink.constraint_check", …: the reason code of a row's own fault. */
const char *mysqldb_reason(unsigned number);

/* What to do about an error of class MYSQLDB_STOP, as half a sentence. */
const char *mysqldb_advice(unsigned number);

/* Whether it is the connection that is lost with it, the server's errors aside. */
bool mysqldb_is_connection(unsigned number);
/* Whether a refused connection would be refused again: user, password, database, certificate. */
bool mysqldb_is_refusal(unsigned number);

/* What an error says of a row, in `out`: "SQLSTATE STATE, constraint NAME, column NAME: MESSAGE" as far
 * as it names them, without the number of the row in its statement, which is none of the row's own. */
void mysqldb_describe(const char *sqlstate, const char *message, char *out, size_t size);

#endif
