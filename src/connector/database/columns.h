/*
 * The columns of a sink's table, as far as it does not matter which server has it: what a sink
 * writes into each, what the table makes of it, and which rows it would therefore change. A change
 * is a refused row, so that audit finds in the table what was written.
 *
 * A module says what differs in a struct database_dialect. It looks at its server's own catalog for
 * the storage of a column, and sets `storage`, `scale` and `length`.
 *
 * Names stand in SQL quoted or not at all.
 *
 * Threads: none of its own; as sink_ops (connector/sink.h).
 */
#ifndef WEIR_CONNECTOR_DATABASE_COLUMNS_H
#define WEIR_CONNECTOR_DATABASE_COLUMNS_H

#include "connector/attempt.h"
#include "connector/table/sink.h"

/* What a sink writes into a column; null besides. */
enum content {
    CONTENT_BOOL,
    CONTENT_INTEGER,
    CONTENT_NUMBER,
    CONTENT_TEXT,
    CONTENT_TIME,
    CONTENT_JSON,
    CONTENT_COUNT,
};

/* What a column of the table makes of it. */
enum storage {
    STORAGE_NONE,      /* a type that changes values, or that is not known here */
    STORAGE_BOOL,
    STORAGE_INTEGER,
    STORAGE_DOUBLE,
    STORAGE_NUMERIC,   /* with `scale` digits behind the point; negative: as many as there are */
    STORAGE_TEXT,      /* text, varchar, enum */
    STORAGE_UUID,
    STORAGE_DATE,
    STORAGE_TIME,      /* microseconds in UTC */
    STORAGE_JSON,
    STORAGE_CANONICAL_JSON, /* in a form of its own: table_base.make_canonical */
};

struct database_column {
    const char *quoted;
    const char *declared; /* for CREATE TABLE and ADD COLUMN; without NOT NULL */
    bool required;
    bool is_canonical; /* declared to be of the dialect's canonical_json */
    enum content content;
    enum storage storage; /* of the table that is there */
    int scale;
    size_t length; /* of a text, in characters, spaces at the end cut to it; 0: as many as there are */
};

struct database_dialect {
    const char *server;   /* "PostgreSQL", for people */
    char quote;           /* around names */
    size_t name_bytes;    /* the longest name of a column */
    const char *long_names; /* what becomes of a longer one: "cuts names at 63 bytes" */
    bool takes_nul;       /* in a text */
    /* The type that stores JSON in a form of its own; NULL: there is none. */
    const char *canonical_json;
    bool (*make_canonical)(struct bytes json, struct buffer *out); /* table_base.make_canonical */
    const char *declared[CONTENT_COUNT];
    const char *null;           /* behind the type of a column that may be null; "" or " NULL" */
    const char *origin_columns; /* of CREATE TABLE: _weir_topic, _weir_partition, _weir_offset */
    const char *table_options;  /* behind its brackets */
    /* In front of a statement that makes a table or adds a column, so that processes which start at one
     * time do it one after the other; "" where the server sees to it. */
    const char *one_by_one;
    const char *add_column;     /* "ADD COLUMN", with IF NOT EXISTS where the server knows it */
};

/* The keys of a table sink: table, mode, key, newest_by, create, evolve, types. */
extern const struct grammar_field database_table_fields[];

/* "name" with quotes doubled, in `arena`. */
const char *database_quote(struct arena *arena, char quote, const char *name);
/* "schema.table" as somebody writes it, each part quoted. */
const char *database_quote_table(struct arena *arena, char quote, const char *name);

/* That a name of a table can be, and is no other sink's place; that columns can be told apart.
 * CONFIG with its place. */
enum status database_check_table(const struct database_dialect *dialect, const struct doc *config,
                                 const struct system *system, bool is_dlq,
                                 const struct output_shape *shape, struct error *err) WEIR_MUST_USE;
/* The columns [base->column_count] of a sink, in its arena, with the types that `config` names.
 * CONFIG with its place. */
enum status database_take_columns(const struct database_dialect *dialect,
                                  const struct table_base *base, const struct doc *config,
                                  struct database_column **out, struct error *err) WEIR_MUST_USE;
/* Whether a column of that storage keeps what is written into it as it is, row by row refused values
 * aside. */
bool database_fits(const struct database_column *column, enum storage storage);

/* Marks all rows of which the table would store something else. */
void database_mark_changes(const struct database_dialect *dialect,
                           const struct database_column *columns, struct table_outbox *outbox);

/* A number of a row as JSON writes it. */
void database_write_number(const struct table_cell *cell, struct buffer *out);
/* A number as the server writes it, an integer unless there is a point or an exponent, as it was when it
 * was written into that column: a decimal column shows the shortest digits of a large double, which are
 * those of another integer. */
struct value database_stored_number(const struct database_column *column, const char *text);

/* The marked rows of an outbox become rejects of the attempt; a dead letter that is marked is
 * FATAL. `quoted`: the table. */
enum status database_refuse_marked(const struct sink *sink, const char *quoted,
                                   struct table_outbox *outbox, struct attempt *attempt,
                                   struct error *err) WEIR_MUST_USE;

#endif
