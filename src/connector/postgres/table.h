/*
 * A table of a database as a sink's place: what table_sink.c (configuration, audit), table_open.c
 * (the table and its statements) and table_write.c (rows into the table) share. Not for other files.
 *
 * Rows go in by COPY, in binary form, or in text form where a column's type has no binary form that
 * is known here; an upsert copies them into a temporary table first and takes them over in one
 * statement; tombstones among them delete first, and what they undo is not copied. What a column's type would change (a fraction that numeric(10,2) rounds) is a refused
 * row, so that audit finds in the table what was written.
 */
#ifndef WEIR_CONNECTOR_POSTGRES_TABLE_H
#define WEIR_CONNECTOR_POSTGRES_TABLE_H

#include "connector/database/table.h"
#include "connector/postgres/binary.h"
#include "connector/postgres/system.h"
#include "connector/registry.h"
#include "connector/table/sink.h"

extern const struct database_dialect postgres_dialect;

/* Of pg_trigger: it fires before each row of an insert or an update, and may drop it. */
#define POSTGRES_TRIGGER_MAY_KEEP "tgtype & 3 = 3 AND tgtype & 8 <> 0" /* what is to be deleted */
#define POSTGRES_TRIGGER_MAY_DROP "tgtype & 3 = 3 AND tgtype & 20 <> 0"

struct postgres_table {
    struct database_table table; /* first */

    /* Once the table was looked at: */
    bool is_binary;         /* the form of COPY; then in which form each column is: */
    enum binary_form *forms;        /* [table.base.column_count] */
    enum binary_form origin_forms[3];
    const char *copy;       /* COPY … FROM STDIN, into the table or the stage */
    const char *stage;      /* the temporary table of an upsert, quoted; NULL for append */
    const char *make_stage;
    const char *take_stage; /* INSERT … SELECT … ON CONFLICT */
    const char *key_types[TABLE_KEYS_MAX]; /* of the key's columns, without length; for casts */
    /* Where tombstones delete: DELETE … USING arrays of keys and of where each comes from; gives how
     * many rows a trigger has kept. NULL elsewhere. */
    const char *delete;
    const char *check_stage; /* SELECT: how many rows of the stage a trigger has kept out of the table */
    PGconn *staged_in;      /* the connection that has the stage */
};

static inline struct postgres_table *postgres_table(const struct sink *sink)
{
    return (struct postgres_table *)(void *)(uintptr_t)sink;
}

/* --- table_open.c --- */

/* Whether the table is there. */
enum status postgres_table_find(struct postgres_table *t, bool *out_there,
                                struct error *err) WEIR_MUST_USE;
/* Makes the table if it is not there and may be made, looks at what it is, writes the statements.
 * `is_reader`: nothing is made. CONFIG with the statement that would mend it. */
enum status postgres_table_prepare(struct postgres_table *t, bool is_reader,
                                   struct error *err) WEIR_MUST_USE;

/* --- table_check.c --- */

/* That the table is one whose rows are committed, seen and audited like those of others; for a writer,
 * that its columns and its key take what is written. CONFIG with what mends it. */
enum status postgres_table_check(const struct postgres_table *t, bool is_reader,
                                 struct error *err) WEIR_MUST_USE;

/* --- table_copy.c --- */

/* A row in the text form of COPY, line break included; see binary.h for the other one. */
void postgres_copy_row(const struct postgres_table *t, const struct table_row *row,
                       struct buffer *out);

/* --- table_delete.c --- */

/* In a transaction: the deletions among rows[0 … count − 1], in one statement. The caller judges the
 * result and frees it. */
PGresult *postgres_table_delete(const struct postgres_table *t, PGconn *connection,
                                struct table_row *const *rows, size_t count);

/* --- table_write.c --- */

/* In a transaction: the rows of the outbox; refused ones into the attempt. */
enum status postgres_table_write(struct postgres_table *t, struct outbox *outbox,
                                 struct attempt *attempt, struct error *err) WEIR_MUST_USE;

/* --- table_sink.c --- */

extern const struct sink_ops postgres_table_ops;
/* sink_kind.sink_add */
enum status postgres_sink_add(struct system *system, const char *name, bool is_dlq,
                              const struct doc *config, const struct output_shape *shape,
                              struct sink **out, struct error *err);

/* --- rows.c --- */

/* sink_kind.each_row */
enum status postgres_each_row(const struct doc *config, const char *folder,
                              place_row_visitor *visit, void *context, struct error *err);

/* --- system.c --- */

extern const struct sink_kind postgres_sink_kind;
extern const struct connection_kind postgres_connection_kind;

#endif
