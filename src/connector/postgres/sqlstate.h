/*
 * SQLSTATE: what an error of PostgreSQL asks of us. The classes are those of the SQL standard and of
 * PostgreSQL's appendix A (https://www.postgresql.org/docs/current/errcodes-appendix.html).
 *
 *   the row's own fault   22 data exception, 23 integrity constraint, 44 WITH CHECK OPTION,
 *                         P0001 RAISE of a trigger, 54000 program limit (an index row too large …)
 *   passing               08 connection, 40 serialization and deadlock, 53 resources (disk full,
 *                         too many connections), 55 object in use, 57 shutdown and cancel
 *   everything else       somebody must mend something: a missing table, a right, a read-only server
 */
#ifndef WEIR_CONNECTOR_POSTGRES_SQLSTATE_H
#define WEIR_CONNECTOR_POSTGRES_SQLSTATE_H

enum sqlstate_class { SQLSTATE_ROW, SQLSTATE_PASSING, SQLSTATE_STOP };

/* `sqlstate` are five characters; NULL or "": the connection broke, which passes. */
enum sqlstate_class sqlstate_class(const char *sqlstate);

/* "sink.constraint_check", …: the reason code of a row's own fault. */
const char *sqlstate_reason(const char *sqlstate);

/* What to do about an error of class SQLSTATE_STOP, as half a sentence. */
const char *sqlstate_advice(const char *sqlstate);

#endif
