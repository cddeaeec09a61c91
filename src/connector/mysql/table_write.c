/*
 * Rows of an outbox into their table, and which of them the table refuses.
 *
 * Rows go in statements of 512 rows, then 256, … 1. A statement that fails leaves nothing of itself
 * (InnoDB), so what was written before it stays. If the server finds fault with a row and says which
 * (MariaDB 10.7 and newer), the rows before it are sent again, then that row alone, then those behind
 * it; where it does not say, the rows are halved. A row is to blame only for a statement of its own:
 * of a statement in a trigger, the server tells the number of a row in there. Statements are smaller
 * where faults are many.
 *
 * A warning leaves its statement done, so what it did must be taken back: everything since the
 * savepoint before the first statement, and then all again with a savepoint before each statement.
 *
 * Where there are tombstones, they go first, and then the rows that none of them undoes: that comes to
 * the same. If a deletion is refused, the rows that it had undone follow; those of its key that were
 * written meanwhile are newer, and stay.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/mysql/errors.h"
#include "connector/mysql/table.h"

/* What a statement has beside the rows' own bytes; of a row: its topic. */
#define PACKET_MARGIN_BYTES 4096u
#define ROW_MARGIN_BYTES 1100u
#define NUMBER_BYTES 32u
#define ROWS_LEAST 8u

/* The fault that the server found with a row. */
struct fault {
    bool found;
    bool is_warning;
    const char *code;
    char message[TABLE_MARK_MESSAGE_BYTES];
    size_t row; /* from 1, of the statement; 0: not known */
};

struct writer {
    struct mysqldb_table *t;
    struct mysqldb_system *s;
    struct table_outbox *outbox;
    struct table_row **rows; /* [count]: those that are not marked yet */
    size_t count;
    size_t chunk;            /* the most rows of a statement now */
};

/* --- statements --- */

static void close_statement(MYSQL_STMT **statement)
{
    if (*statement != NULL) {
        mysql_stmt_close(*statement);
    }
    *statement = NULL;
}

void mysqldb_table_forget(struct mysqldb_table *t)
{
    for (uint32_t i = 0; i < TABLE_LEVELS; i++) {
        close_statement(&t->inserts[i]);
        close_statement(&t->deletes[i]);
    }
    memory_free(t->binds);
    t->binds = NULL;
    t->is_careful = false;
}

static enum status statement_failed(struct writer *w, MYSQL_STMT *statement, struct error *err)
{
    return mysqldb_error(w->s, mysql_stmt_errno(statement), mysql_stmt_sqlstate(statement),
                         mysql_stmt_error(statement), "write rows to", err);
}

static void write_statement(const struct mysqldb_table *t, bool deletes, size_t count,
                            struct buffer *sql)
{
    buffer_append_string(sql, deletes ? t->delete : t->insert);
    for (size_t i = 0; i < count; i++) {
        buffer_append_string(sql, i == 0 ? "" : deletes ? " OR " : ",");
        buffer_append_string(sql, deletes ? t->doomed : t->values);
    }
    buffer_append_string(sql, deletes ? "" : t->update);
}

/* The statement for 2^level rows. */
static enum status prepare(struct writer *w, bool deletes, uint32_t level, struct error *err)
{
    MYSQL_STMT **prepared = &(deletes ? w->t->deletes : w->t->inserts)[level];
    if (*prepared != NULL) {
        return STATUS_OK;
    }
    struct buffer sql = {0};
    write_statement(w->t, deletes, (size_t)1 << level, &sql);
    MYSQL_STMT *statement = mysql_stmt_init(w->s->connection);
    check(statement != NULL);
    enum status status = STATUS_OK;
    if (mysql_stmt_prepare(statement, (const char *)sql.data, (unsigned long)sql.size) == 0) {
        *prepared = statement;
    } else {
        status = statement_failed(w, statement, err);
        mysql_stmt_close(statement);
    }
    buffer_fini(&sql);
    return status;
}

/* --- rows as parameters --- */

static void bind(MYSQL_BIND *out, enum enum_field_types type, const void *data, size_t size)
{
    *out = (MYSQL_BIND){.buffer_type = type,
                        .buffer = (void *)(uintptr_t)data,
                        .buffer_length = (unsigned long)size};
    out->length = &out->buffer_length;
}

/* A decimal is exact as a text only. */
static void bind_number(struct mysqldb_table *t, const struct table_cell *cell, MYSQL_BIND *out)
{
    size_t start = t->numbers.size;
    database_write_number(cell, &t->numbers);
    check(t->numbers.size - start <= NUMBER_BYTES);
    bind(out, MYSQL_TYPE_STRING, t->numbers.data + start, t->numbers.size - start);
}

static void bind_cell(struct mysqldb_table *t, uint32_t index, const struct table_row *row,
                      MYSQL_BIND *out)
{
    const struct table_cell *cell = &row->cells[index];
    enum storage storage = t->table.columns[index].storage;
    if (cell->type == VALUE_TEXT) {
        struct bytes text = table_row_text(row, cell);
        /* datetime takes "2026-01-31T12:34:56.000000" and calls the Z behind it garbage. */
        bind(out, MYSQL_TYPE_STRING, text.data, text.size - (storage == STORAGE_TIME));
    } else if (cell->type == VALUE_INT64) {
        bind(out, MYSQL_TYPE_LONGLONG, &cell->integer, sizeof cell->integer);
    } else if (cell->type == VALUE_DOUBLE && storage == STORAGE_NUMERIC) {
        bind_number(t, cell, out);
    } else if (cell->type == VALUE_DOUBLE) {
        bind(out, MYSQL_TYPE_DOUBLE, &cell->real, sizeof cell->real);
    } else {
        bind(out, MYSQL_TYPE_NULL, NULL, 0);
    }
}

static void bind_topic(const struct table_row *row, MYSQL_BIND *out)
{
    bind(out, MYSQL_TYPE_STRING, row->origin->topic, strlen(row->origin->topic));
}

/* See mysqldb_write_doomed(). */
static void bind_deletion(struct mysqldb_table *t, const struct table_row *row, MYSQL_BIND *at)
{
    const struct table_keys *keys = &t->table.base.keys;
    bind_topic(row, &at[0]);
    bind_topic(row, &at[1]);
    bind(&at[2], MYSQL_TYPE_LONG, &row->origin->number, sizeof row->origin->number);
    bind(&at[3], MYSQL_TYPE_LONG, &row->origin->number, sizeof row->origin->number);
    bind(&at[4], MYSQL_TYPE_LONGLONG, &row->offset, sizeof row->offset);
    for (uint32_t i = 0; i < keys->count; i++) {
        bind_cell(t, keys->columns[i], row, &at[5 + i]);
    }
}

static void bind_deletions(struct writer *w, size_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bind_deletion(w->t, w->rows[first + i], w->t->binds + i * mysqldb_doomed_parameters(w->t));
    }
}

static void bind_rows(struct writer *w, size_t first, size_t count)
{
    struct mysqldb_table *t = w->t;
    MYSQL_BIND *at = t->binds;
    /* Parameters point into it: it must not move. */
    buffer_clear(&t->numbers);
    (void)buffer_reserve(&t->numbers, size_mul(size_mul(count, t->table.base.column_count), NUMBER_BYTES));
    for (size_t i = first; i < first + count; i++) {
        const struct table_row *row = w->rows[i];
        for (uint32_t k = 0; k < t->table.base.column_count; k++) {
            bind_cell(t, k, row, at++);
        }
        if (t->table.has_origin) {
            bind_topic(row, at++);
            bind(at++, MYSQL_TYPE_LONG, &row->origin->number, sizeof row->origin->number);
            bind(at++, MYSQL_TYPE_LONGLONG, &row->offset, sizeof row->offset);
        }
    }
}

/* --- errors --- */

/* Which row of the statement it was. */
static enum status ask_row(struct writer *w, size_t *out_row, struct error *err)
{
    *out_row = 0;
    if (!w->s->has_row_number) {
        return STATUS_OK;
    }
    struct database_answer *answer = NULL;
    enum status status =
        mysqldb_run(w->s, "GET DIAGNOSTICS CONDITION 1 @weir_row = ROW_NUMBER", "write rows to", err);
    if (status == STATUS_OK) {
        status = mysqldb_ask(w->s, "SELECT coalesce(@weir_row, 0)", NULL, "write rows to", &answer,
                             err);
    }
    if (status == STATUS_OK) {
        *out_row = (size_t)mysqldb_integer(answer, 0, 0);
        mysqldb_free(answer);
    }
    return status;
}

static void describe(struct fault *fault, unsigned number, const char *sqlstate,
                     const char *message)
{
    mysqldb_describe(sqlstate, message, fault->message, sizeof fault->message);
    fault->found = true;
    fault->code = mysqldb_reason(number);
}

/* "Illegal mix of collations": a key has a character that the column's character set has not, so the
 * server does not compare them. Of rows it says 1366. */
#define NOT_COMPARED 1267u

/* OK with a fault when a row is to blame; else what the error asks for. */
static enum status judge_error(struct writer *w, MYSQL_STMT *statement, bool deletes,
                               struct fault *fault, struct error *err)
{
    unsigned number = mysql_stmt_errno(statement);
    bool is_encoding = deletes && number == NOT_COMPARED;
    if (!is_encoding && mysqldb_class(number) != MYSQLDB_ROW) {
        return statement_failed(w, statement, err);
    }
    describe(fault, number, mysql_stmt_sqlstate(statement), mysql_stmt_error(statement));
    if (is_encoding) {
        fault->code = "sink.encoding";
    }
    return ask_row(w, &fault->row, err);
}

static enum status judge_warning(struct writer *w, struct fault *fault, struct error *err)
{
    unsigned number = 0;
    char message[256];
    size_t row = 0;
    enum status status = ask_row(w, &row, err);
    if (status == STATUS_OK) {
        status = mysqldb_warning(w->s, "write rows to", &number, message, sizeof message, err);
    }
    if (status != STATUS_OK || number == 0) {
        return status;
    }
    if (mysqldb_class(number) != MYSQLDB_ROW) {
        return mysqldb_error(w->s, number, "01000", message, "write rows to", err);
    }
    describe(fault, number, "01000", message);
    fault->is_warning = true;
    fault->row = row;
    return STATUS_OK;
}

/* --- one statement --- */

static enum status execute(struct writer *w, size_t first, uint32_t level, struct fault *fault,
                           struct error *err)
{
    bool deletes = w->rows[first]->deletes;
    enum status status = prepare(w, deletes, level, err);
    if (status != STATUS_OK) {
        return status;
    }
    MYSQL_STMT *statement = (deletes ? w->t->deletes : w->t->inserts)[level];
    if (deletes) {
        bind_deletions(w, first, (size_t)1 << level);
    } else {
        bind_rows(w, first, (size_t)1 << level);
    }
    if (mysql_stmt_bind_param(statement, w->t->binds) != 0) {
        return statement_failed(w, statement, err);
    }
    if (mysql_stmt_execute(statement) != 0) {
        return judge_error(w, statement, deletes, fault, err);
    }
    return mysql_stmt_warning_count(statement) > 0 ? judge_warning(w, fault, err) : STATUS_OK;
}

/* All rows of the statement are in the table, or a fault was found; then none is, unless it was a
 * warning where there is no savepoint. */
static enum status try_rows(struct writer *w, size_t first, uint32_t level, struct fault *fault,
                            struct error *err)
{
    *fault = (struct fault){0};
    enum status status = STATUS_OK;
    if (w->t->is_careful) {
        status = mysqldb_run(w->s, "SAVEPOINT weir_statement", "write rows to", err);
    }
    if (status == STATUS_OK) {
        status = execute(w, first, level, fault, err);
    }
    return status == STATUS_OK && fault->is_warning && w->t->is_careful
               ? mysqldb_run(w->s, "ROLLBACK TO SAVEPOINT weir_statement", "write rows to", err)
               : status;
}

/* How many of the rows go into one statement, which writes or deletes: a power of two. */
static uint32_t level_of(const struct writer *w, size_t first, size_t end)
{
    size_t bytes = PACKET_MARGIN_BYTES;
    size_t fitting = 0;
    while (first + fitting < end && fitting < w->chunk &&
           w->rows[first + fitting]->deletes == w->rows[first]->deletes) {
        bytes += w->rows[first + fitting]->size_bytes + ROW_MARGIN_BYTES;
        if (bytes > w->s->packet_bytes && fitting > 0) {
            break;
        }
        fitting++;
    }
    uint32_t level = 0;
    while ((size_t)2 << level <= fitting) {
        level++;
    }
    return level;
}

/* --- looking for the rows to blame --- */

/* Of a row of any statement. */
static size_t parameters_most(const struct mysqldb_table *t)
{
    size_t count = mysqldb_parameter_count(t);
    size_t doomed = t->delete == NULL ? 0 : mysqldb_doomed_parameters(t);
    return doomed > count ? doomed : count;
}

static size_t rows_most(const struct mysqldb_table *t)
{
    size_t fitting = TABLE_PARAMETERS_MOST / parameters_most(t);
    size_t most = 1;
    while (most < TABLE_ROWS_MOST && most * 2 <= fitting) {
        most *= 2;
    }
    return most;
}

static enum status write_range(struct writer *w, size_t first, size_t end, bool *out_again,
                               struct error *err);

/* A statement of the rows from `first` found a fault: all of them are tried again in smaller ones, and
 * a row that was alone is marked. */
static enum status write_around(struct writer *w, size_t first, size_t count,
                                const struct fault *fault, bool *out_again, struct error *err)
{
    if (count == 1) {
        table_rows_mark(w->outbox, w->rows[first], fault->code, fault->message);
        return STATUS_OK;
    }
    bool is_known = fault->row >= 1 && fault->row <= count;
    size_t middle = is_known ? first + fault->row - 1 : first + count / 2;
    enum status status = write_range(w, first, middle, out_again, err);
    /* By itself: the number may be of the rows that a trigger wrote. */
    if (status == STATUS_OK && !*out_again && is_known) {
        status = write_range(w, middle, middle + 1, out_again, err);
    }
    return status == STATUS_OK && !*out_again
               ? write_range(w, middle + is_known, first + count, out_again, err)
               : status;
}

/* Rows that no table takes are marked; all others are in the table. *out_again: a statement went
 * through with a warning, and there was no savepoint before it. */
static enum status write_range(struct writer *w, size_t first, size_t end, bool *out_again,
                               struct error *err)
{
    enum status status = STATUS_OK;
    while (first < end && status == STATUS_OK && !*out_again) {
        struct fault fault;
        uint32_t level = level_of(w, first, end);
        size_t count = (size_t)1 << level;
        status = try_rows(w, first, level, &fault, err);
        if (status == STATUS_OK && fault.is_warning && !w->t->is_careful) {
            *out_again = true;
        } else if (status == STATUS_OK && fault.found) {
            if (count > 1) {
                w->chunk = w->chunk / 2 < ROWS_LEAST ? ROWS_LEAST : w->chunk / 2;
            }
            status = write_around(w, first, count, &fault, out_again, err);
        } else if (w->chunk < rows_most(w->t) && count == w->chunk) {
            w->chunk *= 2;
        }
        first += count;
    }
    return status;
}

/* --- the outbox --- */

static struct table_row *row_at(const struct writer *w, size_t index)
{
    return table_rows_at(w->outbox, w->outbox->places[index].at);
}

/* The server reads no statement that is larger: it is its setting that must be mended, for as a
 * refused row it would be just as large. */
static enum status check_sizes(const struct writer *w, struct error *err)
{
    for (size_t i = 0; i < w->outbox->outbox.row_count; i++) {
        const struct table_row *row = row_at(w, i);
        size_t bytes = row->size_bytes + PACKET_MARGIN_BYTES + ROW_MARGIN_BYTES;
        if (row->mark == TABLE_ROW_UNMARKED && bytes > w->s->packet_bytes) {
            return error_set(err, STATUS_FATAL, "mysql.packet",
                             "a row of table %s (%s) is larger than the server's max_allowed_packet "
                             "of %zu bytes; SET GLOBAL max_allowed_packet = %zu (and in its file of "
                             "settings), then start again; nothing is lost",
                             w->t->table.quoted, w->s->db.place, w->s->packet_bytes,
                             (bytes / 1048576 + 1) * 4 * 1048576);
        }
    }
    return STATUS_OK;
}

/* What the column would keep without its last spaces. */
static void mark_spaces(struct writer *w)
{
    for (size_t i = 0; i < w->outbox->outbox.row_count; i++) {
        struct table_row *row = row_at(w, i);
        char message[TABLE_MARK_MESSAGE_BYTES];
        if (row->mark != TABLE_ROW_UNMARKED) {
            continue;
        }
        for (uint32_t k = 0; k < row->cell_count; k++) {
            struct bytes text = row->cells[k].type == VALUE_TEXT && w->t->cuts_spaces[k]
                                    ? table_row_text(row, &row->cells[k])
                                    : BYTES_NONE;
            if (text.size > 0 && text.data[text.size - 1] == ' ') {
                snprintf(message, sizeof message,
                         "column %s: its type or collation makes nothing of a space at the end",
                         w->t->table.columns[k].quoted);
                table_rows_mark(w->outbox, row, "sink.datatype", message);
                break;
            }
        }
    }
}

/* What is to be written: deletions, then the rows that none of them undoes. */
static void list_unmarked(struct writer *w)
{
    size_t count = w->outbox->outbox.row_count;
    w->count = 0;
    size_t deletions = table_rows_undo(w->outbox, 0, count);
    for (size_t i = 0; i < count && w->count < deletions; i++) {
        struct table_row *row = row_at(w, i);
        if (row->mark == TABLE_ROW_UNMARKED && row->deletes) {
            w->rows[w->count++] = row;
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct table_row *row = row_at(w, i);
        if (row->mark == TABLE_ROW_UNMARKED && !row->deletes && !row->is_undone) {
            w->rows[w->count++] = row;
        }
    }
}

/* Deletions were refused: what only they had undone. */
static void list_restored(struct writer *w)
{
    size_t count = w->outbox->outbox.row_count;
    w->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct table_row *row = row_at(w, i);
        if (row->mark == TABLE_ROW_UNMARKED && row->is_undone) {
            w->rows[w->count++] = row;
        }
    }
    size_t kept = 0;
    (void)table_rows_undo(w->outbox, 0, count);
    for (size_t i = 0; i < w->count; i++) {
        if (!w->rows[i]->is_undone) {
            w->rows[kept++] = w->rows[i];
        }
    }
    w->count = kept;
}

static bool has_marked_deletion(const struct writer *w)
{
    bool found = false;
    for (size_t i = 0; i < w->count && !found; i++) {
        found = w->rows[i]->deletes && w->rows[i]->mark != TABLE_ROW_UNMARKED;
    }
    return found;
}

static enum status write_listed(struct writer *w, bool *out_again, struct error *err)
{
    list_unmarked(w);
    enum status status = write_range(w, 0, w->count, out_again, err);
    if (status == STATUS_OK && !*out_again && has_marked_deletion(w)) {
        list_restored(w);
        status = write_range(w, 0, w->count, out_again, err);
    }
    return status;
}

static enum status write_all(struct writer *w, struct error *err)
{
    bool again = false;
    w->chunk = rows_most(w->t);
    enum status status = check_sizes(w, err);
    if (status == STATUS_OK) {
        status = mysqldb_run(w->s, "SAVEPOINT weir_rows", "write rows to", err);
    }
    if (status == STATUS_OK) {
        status = write_listed(w, &again, err);
    }
    if (status == STATUS_OK && again) {
        w->t->is_careful = true;
        again = false;
        status = mysqldb_run(w->s, "ROLLBACK TO SAVEPOINT weir_rows", "write rows to", err);
        status = status == STATUS_OK ? write_listed(w, &again, err) : status;
    }
    return status;
}

enum status mysqldb_table_write(struct mysqldb_table *t, struct outbox *outbox,
                                struct attempt *attempt, struct error *err)
{
    struct writer w = {.t = t,
                       .s = mysqldb_system(t->table.base.sink.system),
                       .outbox = table_outbox(outbox)};
    if (outbox->row_count == 0) {
        return STATUS_OK;
    }
    if (t->binds == NULL) {
        t->binds = memory_alloc_zero(size_mul(rows_most(t), parameters_most(t)),
                                     sizeof *t->binds);
    }
    table_rows_unmark(w.outbox);
    database_mark_changes(&mysqldb_dialect, t->table.columns, w.outbox);
    mark_spaces(&w);
    w.rows = memory_alloc(size_mul(outbox->row_count, sizeof(struct table_row *)));
    enum status status = write_all(&w, err);
    memory_free(w.rows);
    return status == STATUS_OK
               ? database_refuse_marked(&t->table.base.sink, t->table.quoted, w.outbox, attempt, err)
               : status;
}
