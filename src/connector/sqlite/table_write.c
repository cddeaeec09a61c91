#include "connector/sqlite/table.h"

#include <stdio.h>
#include <string.h>

#include "connector/table/order.h"

/* Rows of one statement: when it fails they are written one by one, and the pages that it changes
 * are copied before. */
#define ROWS_AT_ONCE 1000u

/* --- a row that the table refuses --- */

/* NULL when the failure is not the row's own fault. */
static const char *reject_code(int extended)
{
    switch (extended) {
    case SQLITE_CONSTRAINT_CHECK:
        return "sink.constraint_check";
    case SQLITE_CONSTRAINT_NOTNULL:
        return "sink.constraint_notnull";
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return "sink.constraint_unique";
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return "sink.constraint_foreignkey";
    case SQLITE_CONSTRAINT_TRIGGER:
        return "sink.trigger";
    case SQLITE_CONSTRAINT_DATATYPE:
        return "sink.datatype";
    default:
        break;
    }
    switch (extended & 0xff) {
    case SQLITE_CONSTRAINT:
        return "sink.constraint";
    case SQLITE_MISMATCH:
        return "sink.mismatch";
    case SQLITE_TOOBIG:
        return "sink.too_large";
    default:
        return NULL;
    }
}

/* Why a row cannot stay in the table. */
struct refusal {
    const char *code; /* NULL: it can, or the failure is not its fault */
    const char *message;
    bool is_in_table; /* or the transaction is gone: the epoch must be written without it */
};

static struct refusal judge_step(const struct table_sink *s, struct sqlite3 *database, int code)
{
    if (code != SQLITE_DONE) {
        /* RAISE(ROLLBACK) takes the transaction, RAISE(FAIL) leaves the row in it. */
        return (struct refusal){reject_code(sqlite3_extended_errcode(database)),
                                sqlite3_errmsg(database),
                                sqlite3_get_autocommit(database) != 0 ||
                                    sqlite3_changes(database) > 0};
    }
    /* A trigger may write into a table whose foreign keys are checked at COMMIT, where the whole
     * epoch would fail for this row. */
    int unfulfilled = 0;
    int highest = 0;
    if (sqlite3_db_status(database, SQLITE_DBSTATUS_DEFERRED_FKS, &unfulfilled, &highest, 0) ==
            SQLITE_OK &&
        unfulfilled != 0) {
        return (struct refusal){"sink.constraint_foreignkey",
                                "a foreign key that is checked at COMMIT has no parent", true};
    }
    /* RAISE(IGNORE) of a trigger, or ON CONFLICT IGNORE: an append that left nothing. */
    if (!s->base.keys.is_upsert && !s->is_view && sqlite3_changes(database) == 0) {
        return (struct refusal){"sink.ignored", "the table ignored the row",
                                sqlite3_get_autocommit(database) != 0};
    }
    return (struct refusal){0};
}

static enum status fail_letter(const struct table_sink *s, struct locallog *log, int code,
                               const struct refusal *refusal, struct error *err)
{
    if (code != SQLITE_DONE) {
        return locallog_error(log, sqlite3_extended_errcode(locallog_database(log)),
                              "write a dead letter to", err);
    }
    return error_set(err, STATUS_FATAL, refusal->code,
                     "table %s does not take a dead letter (%s): mend its triggers and "
                     "constraints, or dead letters would be lost",
                     s->quoted, refusal->message);
}

/* --- one row --- */

static void bind_cell(sqlite3_stmt *statement, int index, const struct table_row *row,
                      const struct table_cell *cell)
{
    switch (cell->type) {
    case VALUE_INT64:
        sqlite3_bind_int64(statement, index, cell->integer);
        break;
    case VALUE_DOUBLE:
        sqlite3_bind_double(statement, index, cell->real);
        break;
    case VALUE_TEXT:
        sqlite3_bind_text64(statement, index, (const char *)table_row_text(row, cell).data,
                            cell->size_bytes, SQLITE_STATIC, SQLITE_UTF8);
        break;
    default:
        sqlite3_bind_null(statement, index);
        break;
    }
}

/* Bindings stay over a reset, and rows of one origin come in runs. */
static void bind_row(struct table_sink *s, sqlite3_stmt *statement, const struct table_row *row)
{
    for (uint32_t i = 0; i < row->cell_count; i++) {
        bind_cell(statement, (int)i + 1, row, &row->cells[i]);
    }
    if (s->has_origin) {
        int next = (int)s->base.column_count + 1;
        if (statement != s->insert || s->bound != row->origin) {
            sqlite3_bind_text(statement, next, row->origin->topic, -1, SQLITE_STATIC);
            sqlite3_bind_int(statement, next + 1, row->origin->number);
        }
        s->bound = statement == s->insert ? row->origin : s->bound;
        sqlite3_bind_int64(statement, next + 2, row->offset);
    }
}

static void bind_deletion(struct table_sink *s, sqlite3_stmt *statement,
                          const struct table_row *row)
{
    const struct table_keys *keys = &s->base.keys;
    sqlite3_bind_text(statement, 1, row->origin->topic, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 2, row->origin->number);
    sqlite3_bind_int64(statement, 3, row->offset);
    for (uint32_t i = 0; i < keys->count; i++) {
        bind_cell(statement, (int)i + 4, row, &row->cells[keys->columns[i]]);
    }
}

/* The table ignored a row, or the row was older than the one that stands there. */
static enum status judge_unchanged(struct table_sink *s, struct locallog *log,
                                   const struct table_row *row, struct refusal *out,
                                   struct error *err)
{
    bind_row(s, s->lookup, row);
    int code = sqlite3_step(s->lookup);
    enum status status = code == SQLITE_ROW
                             ? STATUS_OK
                             : locallog_error(log, code, "look for a row in", err);
    if (code == SQLITE_ROW && sqlite3_column_int(s->lookup, 0) == 0) {
        *out = (struct refusal){"sink.ignored", "the table ignored the row", false};
    }
    sqlite3_reset(s->lookup);
    sqlite3_clear_bindings(s->lookup);
    return status;
}

/* The column whose type would change the row's cell; NULL: none. */
static const struct column_out *find_changed(const struct table_sink *s,
                                             const struct table_row *row)
{
    for (uint32_t i = 0; s->may_change && i < row->cell_count; i++) {
        if (s->columns[i].may_change &&
            table_types_changes(row, &row->cells[i], s->columns[i].affinity)) {
            return &s->columns[i];
        }
    }
    return NULL;
}

/* A deletion that a trigger has ignored; the row stands there yet. */
static enum status judge_deletion(struct table_sink *s, struct locallog *log,
                                  const struct table_row *row, struct refusal *out,
                                  struct error *err)
{
    bind_deletion(s, s->survivor, row);
    int code = sqlite3_step(s->survivor);
    enum status status = code == SQLITE_ROW
                             ? STATUS_OK
                             : locallog_error(log, code, "look for a row in", err);
    if (code == SQLITE_ROW && sqlite3_column_int(s->survivor, 0) != 0) {
        *out = (struct refusal){"sink.ignored", "the table ignored the deletion", false};
    }
    sqlite3_reset(s->survivor);
    return status;
}

static enum status write_row(struct table_sink *s, struct table_outbox *o, struct locallog *log,
                             struct table_row *row, struct attempt *attempt, bool *out_redo,
                             struct error *err)
{
    const struct sink *sink = &s->base.sink;
    struct sqlite3 *database = locallog_database(log);
    const struct column_out *changed = find_changed(s, row);
    if (row->mark == TABLE_ROW_UNMARKED && changed != NULL) {
        char message[TABLE_MARK_MESSAGE_BYTES];
        snprintf(message, sizeof message, "column %s has a type that would change the value",
                 changed->quoted);
        table_rows_mark(o, row, "sink.datatype", message);
    }
    if (row->mark != TABLE_ROW_UNMARKED) {
        table_refuse_row(sink, o, row, attempt);
        return STATUS_OK;
    }
    sqlite3_stmt *statement = row->deletes ? s->delete : s->insert;
    if (row->deletes) {
        bind_deletion(s, statement, row);
    } else {
        bind_row(s, statement, row);
    }
    int code = sqlite3_step(statement);
    struct refusal refusal = judge_step(s, database, code);
    enum status status = STATUS_OK;
    if (code == SQLITE_DONE && refusal.code == NULL && s->lookup != NULL &&
        sqlite3_changes(database) == 0) {
        status = row->deletes ? judge_deletion(s, log, row, &refusal, err)
                              : judge_unchanged(s, log, row, &refusal, err);
    }
    if (status != STATUS_OK || (code == SQLITE_DONE && refusal.code == NULL)) {
        /* It stays. */
    } else if (sink->is_dlq) {
        status = fail_letter(s, log, code, &refusal, err);
    } else if (refusal.code == NULL) {
        status = locallog_error(log, sqlite3_extended_errcode(database), "write a row to", err);
    } else {
        table_rows_mark(o, row, refusal.code, refusal.message);
        *out_redo = refusal.is_in_table;
    }
    sqlite3_reset(statement);
    if (status == STATUS_OK && row->mark != TABLE_ROW_UNMARKED && !*out_redo) {
        table_refuse_row(sink, o, row, attempt);
    }
    return status;
}

/* --- many rows --- */

static enum status step_all(struct table_sink *s, struct locallog *log, uint64_t count,
                            bool *out_done, struct error *err)
{
    struct sqlite3 *database = locallog_database(log);
    enum status status = STATUS_OK;
    *out_done = sqlite3_step(s->insert_all) == SQLITE_DONE;
    check(!*out_done || s->base.keys.is_upsert || (uint64_t)sqlite3_changes64(database) == count);
    if (sqlite3_get_autocommit(database) != 0) {
        /* A full disk, no memory: outside of the transaction nothing must be written. */
        status = locallog_error(log, sqlite3_extended_errcode(database), "write rows to", err);
    }
    sqlite3_reset(s->insert_all);
    return status;
}

/* *out_done: all of them are in the table; if not, none is. The savepoint is needed: a statement
 * that fails at a type of a STRICT table leaves the rows before. */
static enum status write_at_once(struct table_sink *s, struct table_outbox *o,
                                 struct locallog *log, const struct table_place *first,
                                 const struct table_place *end, bool *out_done,
                                 struct error *err)
{
    static const char doing[] = "write rows to";
    *out_done = false;
    for (const struct table_place *place = first; s->may_change && place < end; place++) {
        if (find_changed(s, table_rows_at(o, place->at)) != NULL) {
            return STATUS_OK;
        }
    }
    s->feed.outbox = o;
    s->feed.first = first;
    s->feed.end = end;
    enum status status = sqlite_run(log, "SAVEPOINT weir_rows", doing, err);
    if (status == STATUS_OK) {
        status = step_all(s, log, (uint64_t)(end - first), out_done, err);
    }
    if (status == STATUS_OK && !*out_done) {
        status = sqlite_run(log, "ROLLBACK TO weir_rows", doing, err);
    }
    return status == STATUS_OK ? sqlite_run(log, "RELEASE weir_rows", doing, err) : status;
}

static enum status write_one_by_one(struct table_sink *s, struct table_outbox *o,
                                    struct locallog *log, const struct table_place *first,
                                    const struct table_place *end, struct attempt *attempt,
                                    bool *out_redo, struct error *err)
{
    enum status status = STATUS_OK;
    for (const struct table_place *place = first;
         place < end && status == STATUS_OK && !*out_redo; place++) {
        status = write_row(s, o, log, table_rows_at(o, place->at), attempt, out_redo, err);
    }
    return status;
}

/* The rows of one statement: as many of the next as do not delete; or one that does. */
static const struct table_place *end_of_run(const struct table_outbox *o,
                                            const struct table_place *first,
                                            const struct table_place *end)
{
    const struct table_place *next = end - first > ROWS_AT_ONCE ? first + ROWS_AT_ONCE : end;
    if (o->deletion_count == 0) {
        return next;
    }
    const struct table_place *place = first;
    while (place < next && !table_rows_at(o, place->at)->deletes) {
        place++;
    }
    return place == first ? first + 1 : place;
}

enum status table_write(struct sink *sink, struct outbox *outbox, struct locallog *log,
                        struct attempt *attempt, bool *out_redo, struct error *err)
{
    struct table_sink *s = table_sink(sink);
    struct table_outbox *o = table_outbox(outbox);
    bool was_unordered = s->is_unordered;
    enum status status = table_look_again(s, log, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (was_unordered && !s->is_unordered) {
        table_order_of_arrival(o);
    }
    s->bound = NULL;
    const struct table_place *end = o->places + outbox->row_count;
    for (const struct table_place *place = o->places;
         place < end && status == STATUS_OK && !*out_redo;) {
        const struct table_place *next = end_of_run(o, place, end);
        bool is_done = false;
        if (s->is_plain && !table_rows_at(o, place->at)->deletes) {
            status = write_at_once(s, o, log, place, next, &is_done, err);
        }
        if (status == STATUS_OK && !is_done) {
            status = write_one_by_one(s, o, log, place, next, attempt, out_redo, err);
        }
        place = next;
    }
    sqlite3_clear_bindings(s->insert);
    if (s->delete != NULL) {
        sqlite3_clear_bindings(s->delete);
        sqlite3_clear_bindings(s->survivor);
    }
    return status;
}
