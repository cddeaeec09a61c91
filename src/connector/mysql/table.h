/*
 * A table of a database as a sink's place: what table_sink.c (configuration, audit), table_open.c
 * (the table and its statements) and table_write.c (rows into the table) share. Not for other files.
 *
 * Rows go in by INSERT of up to TABLE_ROWS_MOST rows, prepared once for each power of two. (LOAD DATA
 * LOCAL would be quicker, but it implies IGNORE: it stores what is too long cut.) An upsert is the
 * same with ON DUPLICATE KEY UPDATE, and replaces a row only by a newer one. Tombstones go first, by
 * DELETE of as many, and what they undo is not written.
 *
 * What cannot be relied on is refused when the table is looked at: another engine than InnoDB, which
 * rolls nothing back; a second unique index of an upsert's table, which would make another row its
 * duplicate; a key whose collation takes different texts for one.
 */
#ifndef WEIR_CONNECTOR_MYSQL_TABLE_H
#define WEIR_CONNECTOR_MYSQL_TABLE_H

#include "connector/database/table.h"
#include "connector/mysql/system.h"
#include "connector/registry.h"

extern const struct database_dialect mysqldb_dialect;

/* Prepared: for 1, 2, 4, … rows. */
#define TABLE_LEVELS 10u
#define TABLE_ROWS_MOST (1u << (TABLE_LEVELS - 1))
/* Of a prepared statement, as the protocol has it. */
#define TABLE_PARAMETERS_MOST 65535u

struct mysqldb_table {
    struct database_table table; /* first */
    const char *schema; /* NULL: the connection's database */
    const char *name;

    /* Once the table was looked at: */
    bool *cuts_spaces;   /* [table.base.column_count]: a space at the end would be lost, or make no
                            difference to a key */
    const char *insert;  /* "INSERT INTO … VALUES " */
    const char *values;  /* "(?, …)" of one row */
    const char *update;  /* " ON DUPLICATE KEY UPDATE …", or "" */
    const char *delete;  /* "DELETE FROM … WHERE " */
    const char *doomed;  /* "(…)": the condition of one deletion */

    /* While a session is open: */
    MYSQL_STMT *inserts[TABLE_LEVELS]; /* NULL: not prepared yet */
    MYSQL_STMT *deletes[TABLE_LEVELS]; /* where tombstones delete; the same */
    MYSQL_BIND *binds;                    /* [rows_most * parameter_count], of any of them */
    struct buffer numbers;                /* texts that decimals are sent as */
    bool is_careful; /* a statement gave a warning: from now on each has a savepoint */
};

static inline struct mysqldb_table *mysqldb_table(const struct sink *sink)
{
    return (struct mysqldb_table *)(void *)(uintptr_t)sink;
}

static inline uint32_t mysqldb_parameter_count(const struct mysqldb_table *t)
{
    return t->table.base.column_count + (t->table.has_origin ? 3 : 0);
}

/* --- table_open.c --- */

/* Whether the table is there. */
enum status mysqldb_table_find(struct mysqldb_table *t, bool *out_there,
                               struct error *err) WEIR_MUST_USE;
/* Makes the table if it is not there and may be made, looks at what it is, writes the statements.
 * `is_reader`: nothing is made. CONFIG with the statement that would mend it. */
enum status mysqldb_table_prepare(struct mysqldb_table *t, bool is_reader,
                                  struct error *err) WEIR_MUST_USE;

/* --- table_keys.c --- */

/* That the table has the one unique index that the upsert needs, and that it tells keys apart. */
enum status mysqldb_table_check_key(struct mysqldb_table *t, struct error *err) WEIR_MUST_USE;
/* The condition of a deletion; parameters: topic, topic, partition, partition, offset, and the key. */
void mysqldb_write_doomed(const struct mysqldb_table *t, struct buffer *sql);
static inline uint32_t mysqldb_doomed_parameters(const struct mysqldb_table *t)
{
    return 5 + t->table.base.keys.count;
}
/* ON DUPLICATE KEY UPDATE … of an upsert. */
void mysqldb_write_update(const struct mysqldb_table *t, struct buffer *sql);

/* --- table_write.c --- */

/* In a transaction: the rows of the outbox; refused ones into the attempt. */
enum status mysqldb_table_write(struct mysqldb_table *t, struct outbox *outbox,
                                struct attempt *attempt, struct error *err) WEIR_MUST_USE;
/* The connection is about to be closed. */
void mysqldb_table_forget(struct mysqldb_table *t);

/* --- table_sink.c --- */

extern const struct sink_ops mysqldb_table_ops;
/* sink_kind.sink_add */
enum status mysqldb_sink_add(struct system *system, const char *name, bool is_dlq,
                             const struct doc *config, const struct output_shape *shape,
                             struct sink **out, struct error *err);

/* --- rows.c --- */

/* sink_kind.each_row */
enum status mysqldb_each_row(const struct doc *config, const char *folder,
                             place_row_visitor *visit, void *context, struct error *err);

/* --- system.c --- */

extern const struct sink_kind mysqldb_sink_kind;
extern const struct connection_kind mysqldb_connection_kind;

#endif
