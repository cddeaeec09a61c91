/*
 * The table of a sink, as far as it does not matter which server has it: its place in the system, making
 * it, adding a column, whether it is there and empty. A module's own struct begins with a struct
 * database_table; it looks at its server's catalog, and writes the rows.
 *
 * Threads: as sink_ops (connector/sink.h).
 */
#ifndef WEIR_CONNECTOR_DATABASE_TABLE_H
#define WEIR_CONNECTOR_DATABASE_TABLE_H

#include "connector/database/columns.h"
#include "connector/database/database.h"

struct database_table {
    struct table_base base; /* first */
    const struct database_dialect *dialect;
    const char *quoted;
    struct database_column *columns; /* [base.column_count] */
    bool may_create;
    bool may_add_columns;

    /* Once the table was looked at: */
    bool is_prepared;
    bool has_origin; /* the table has the _weir_ columns */
};

static inline struct database_table *database_table(const struct sink *sink)
{
    return (struct database_table *)(void *)(uintptr_t)sink;
}

/* For sink_kind.sink_add: a struct of `size` bytes that begins with a struct database_table and is zero
 * behind it; it has joined the system, which frees it. CONFIG with its place. */
enum status database_table_new(size_t size, const struct database_dialect *dialect,
                               const struct sink_ops *ops, struct system *system,
                               const char *name, bool is_dlq, const struct doc *config,
                               const struct output_shape *shape, struct database_table **out,
                               struct error *err) WEIR_MUST_USE;
void database_table_free(struct database_table *t);

/* sink_ops of these names. */
enum status database_table_is_there(struct sink *sink, bool *out_there, struct error *err);
enum status database_table_is_empty(struct sink *sink, bool *out_empty, struct error *err);

/* Runs statements that make or change the table: what the server refuses is the operator's to mend,
 * CONFIG. */
enum status database_table_change(struct database_table *t, struct buffer *sql,
                                  struct error *err) WEIR_MUST_USE;
/* CREATE TABLE, or CONFIG where it is not to be made. */
enum status database_table_make(struct database_table *t, struct error *err) WEIR_MUST_USE;
/* A column that is not there: added, or CONFIG with the statement that adds it. */
enum status database_table_add_column(struct database_table *t,
                                      const struct database_column *column, bool is_reader,
                                      struct error *err) WEIR_MUST_USE;

#endif
