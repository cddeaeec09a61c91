/*
 * A table as a sink's place: what table_sink.c (configuration, rows, audit), table_open.c (the
 * table and its statements) and table_write.c (rows into the table) share. Not for other files.
 */
#ifndef WEIR_CONNECTOR_SQLITE_TABLE_H
#define WEIR_CONNECTOR_SQLITE_TABLE_H

#include <sqlite3.h>

#include "connector/sqlite/system.h"
#include "connector/sqlite/table_feed.h"
#include "connector/sqlite/table_types.h"
#include "connector/table/sink.h"

/* A column as it stands in the table. */
struct column_out {
    const char *name;
    const char *quoted;
    const char *declared; /* type and constraint in CREATE TABLE */
    enum cells cells;
    enum affinity affinity; /* of the table that is there */
    bool may_change;        /* that affinity may change a cell */
};

struct table_sink {
    struct table_base base; /* first */
    const char *table;
    const char *quoted;
    struct column_out *columns; /* [base.column_count] */

    /* What table_prepare() found: */
    bool has_origin;         /* the table has the _weir_ columns */
    bool is_view;            /* with a trigger that writes: nothing counts its rows */
    bool may_change;         /* one of its columns: the table may change a cell */
    bool has_trigger;
    /* No trigger, no foreign key: rows written by one statement end as if they were written one by
     * one. */
    bool is_plain;
    bool is_unordered;       /* and in whatever order */
    sqlite3_stmt *insert;    /* one row, its values bound; while a session is open */
    sqlite3_stmt *insert_all; /* the rows of the feed; NULL unless is_plain */
    /* Bound like `insert`: whether a row of the same key stands there that need not give way. NULL
     * unless an upsert that changes nothing may have been a trigger's doing. */
    sqlite3_stmt *lookup;
    /* Where tombstones delete: that of a key, the row's origin bound behind it; and whether a row is
     * still there that it should have deleted. */
    sqlite3_stmt *delete;
    sqlite3_stmt *survivor;
    const struct source_partition *bound; /* the origin that is bound to insert; NULL: none yet */
    int schema_version;      /* of the file, when the table was looked at */
    struct table_feed feed;
};

static inline struct table_sink *table_sink(const struct sink *sink)
{
    return (struct table_sink *)(void *)(uintptr_t)sink;
}

/* --- table_open.c --- */

/* Makes the table if it is not there, looks at what it is, and prepares the statements. */
enum status table_prepare(struct sink *sink, struct locallog *log, struct error *err);
void table_close_session(struct sink *sink);
/* What SQLite says of a statement itself (code SQLITE_ERROR) is about the table and the operator's
 * to mend: CONFIG, naming the sink. Else as locallog_error(). */
enum status table_cannot_write(const struct table_sink *s, struct locallog *log, int code,
                               const char *doing, struct error *err) WEIR_MUST_USE;
/* In a transaction: the same without making it, if somebody has changed the file's schema since. */
enum status table_look_again(struct table_sink *s, struct locallog *log,
                             struct error *err) WEIR_MUST_USE;
/* Whether the table has the sink's columns; sets has_origin. */
enum status table_check_columns(struct table_sink *s, struct locallog *log,
                                struct error *err) WEIR_MUST_USE;
/* Names of the columns for INSERT and SELECT. */
void table_write_columns(const struct table_sink *s, bool with_origin, struct buffer *out);

/* --- table_write.c --- */

/* sqlite_sink_work.write */
enum status table_write(struct sink *sink, struct outbox *outbox, struct locallog *log,
                        struct attempt *attempt, bool *out_redo, struct error *err);

#endif
