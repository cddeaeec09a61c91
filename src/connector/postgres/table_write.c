/*
 * Rows of an outbox into their table, and which of them the table refuses.
 *
 * All rows are tried at once under a savepoint. If the server finds fault with a row, COPY says which
 * line it was: the rows before it are sent again, then those behind it, in pieces about as long as it
 * went well, for what is sent behind a faulty row is sent in vain. Where the server does not say which
 * row it was (foreign keys, the statement of an upsert), the piece is halved until the row stands
 * alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/postgres/sqlstate.h"
#include "connector/postgres/table.h"

#define PIECE_ROWS_LEAST 64u
/* More are not halved while the server does not say which row it was: all halves are sent again. */
#define HALVED_ROWS_MOST 2000u
#define COPY_BYTES (64u * 1024u)

/* The fault that the server found with a row. */
struct fault {
    bool found;
    const char *code;
    char message[TABLE_MARK_MESSAGE_BYTES];
    uint64_t line; /* from 1, of the COPY; 0: not known */
};

struct writer {
    struct postgres_table *t;
    struct postgres_system *s;
    struct table_outbox *outbox;
    struct buffer sql, text;
    struct table_row **deletions; /* of the range that is tried; NULL where none can be */
    size_t deletion_count;
    bool has_savepoint;     /* behind which the server found a fault */
    uint64_t sent_rows;     /* of the last try */
    uint64_t vanished_rows; /* those of them that the table did not take, without an error */
};

static struct table_row *row_at(const struct writer *w, size_t index)
{
    return table_rows_at(w->outbox, w->outbox->places[index].at);
}

/* --- errors --- */

/* "COPY readings, line 17, column …", the last line of the context: those before are a trigger's own.
 * The words are the server's language, which may be another. */
static uint64_t line_of(const PGresult *result)
{
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    const char *last = context == NULL ? NULL : strrchr(context, '\n');
    last = last == NULL ? context : last + 1;
    const char *line =
        last == NULL || strncmp(last, "COPY ", 5) != 0 ? NULL : strstr(last, ", line ");
    return line == NULL ? 0 : strtoull(line + 7, NULL, 10);
}

static const char *field_or(const PGresult *result, int code, const char *otherwise)
{
    const char *text = PQresultErrorField(result, code);
    return text == NULL ? otherwise : text;
}

/* OK with a fault when a row is to blame; else what the error asks for. */
static enum status judge_error(struct writer *w, const PGresult *result, struct fault *fault,
                               struct error *err)
{
    const char *sqlstate = field_or(result, PG_DIAG_SQLSTATE, "");
    if (PQstatus(w->s->connection) != CONNECTION_OK || sqlstate_class(sqlstate) != SQLSTATE_ROW) {
        return postgres_error(w->s, result, "write rows to", err);
    }
    const char *constraint = field_or(result, PG_DIAG_CONSTRAINT_NAME, "");
    const char *column = field_or(result, PG_DIAG_COLUMN_NAME, "");
    fault->found = true;
    fault->code = sqlstate_reason(sqlstate);
    fault->line = line_of(result);
    snprintf(fault->message, sizeof fault->message, "SQLSTATE %s%s%s%s%s: %s", sqlstate,
             constraint[0] == '\0' ? "" : ", constraint ", constraint,
             column[0] == '\0' ? "" : ", column ", column,
             field_or(result, PG_DIAG_MESSAGE_PRIMARY, ""));
    return STATUS_OK;
}

/* A statement between rows, which no row can be blamed for. */
static enum status run(struct writer *w, const char *sql, struct error *err)
{
    return postgres_run(w->s, sql, "write rows to", err);
}

/* --- one COPY --- */

/* "SQLSTATE 22003, column battery: …", as judge_error() says what the server finds. */
static void mark_fault(struct writer *w, struct table_row *row, const struct binary_fault *fault)
{
    static const char *const origins[] = {"_weir_topic", "_weir_partition", "_weir_offset"};
    uint32_t count = w->t->table.base.column_count;
    char message[TABLE_MARK_MESSAGE_BYTES];
    snprintf(message, sizeof message, "SQLSTATE %s, column %s: %s", fault->sqlstate,
             fault->column < count ? w->t->table.base.names[fault->column]
                                   : origins[fault->column - count],
             fault->why);
    table_rows_mark(w->outbox, row, sqlstate_reason(fault->sqlstate), message);
}

static void write_row(struct writer *w, struct table_row *row)
{
    const struct postgres_table *t = w->t;
    struct binary_fault fault;
    if (!t->is_binary) {
        postgres_copy_row(t, row, &w->text);
    } else if (!binary_write_row(t->forms, t->table.has_origin ? t->origin_forms : NULL, row, &w->text,
                                 &fault)) {
        mark_fault(w, row, &fault);
    }
}

static enum status send_text(struct writer *w, struct error *err)
{
    if (PQputCopyData(w->s->connection, (const char *)w->text.data, (int)w->text.size) != 1) {
        return postgres_error(w->s, NULL, "send rows to", err);
    }
    buffer_clear(&w->text);
    return STATUS_OK;
}

/* Those that go by COPY. */
static bool is_copied(const struct table_row *row)
{
    return row->mark == TABLE_ROW_UNMARKED && !row->deletes && !row->is_undone;
}

/* The copied rows of first … end − 1; one that cannot be said in binary form is marked. */
static enum status send_rows(struct writer *w, size_t first, size_t end, struct error *err)
{
    enum status status = STATUS_OK;
    buffer_clear(&w->text);
    w->sent_rows = 0;
    if (w->t->is_binary) {
        binary_write_header(&w->text);
    }
    for (size_t i = first; i < end && status == STATUS_OK; i++) {
        struct table_row *row = row_at(w, i);
        if (is_copied(row)) {
            write_row(w, row);
            w->sent_rows += row->mark == TABLE_ROW_UNMARKED;
        }
        if (w->text.size >= COPY_BYTES) {
            status = send_text(w, err);
        }
    }
    if (w->t->is_binary) {
        binary_write_trailer(&w->text);
    }
    return status == STATUS_OK && w->text.size > 0 ? send_text(w, err) : status;
}

/* Of a result that is an answer to COPY. */
static bool is_of_copy(const PGresult *result)
{
    return strncmp(PQcmdStatus((PGresult *)(uintptr_t)result), "COPY ", 5) == 0;
}

/* The answers to all of try_rows()'s query behind the rows, up to the last. */
static enum status take_answers(struct writer *w, struct fault *fault, struct error *err)
{
    enum status status = STATUS_OK;
    bool is_copied = false;
    PGresult *result = NULL;
    while ((result = PQgetResult(w->s->connection)) != NULL) {
        ExecStatusType code = PQresultStatus(result);
        if (code == PGRES_TUPLES_OK) {
            w->vanished_rows = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
        } else if (code != PGRES_COMMAND_OK && status == STATUS_OK && !fault->found) {
            status = judge_error(w, result, fault, err);
            fault->line = is_copied ? 0 : fault->line;
        } else if (is_of_copy(result)) {
            is_copied = true;
            uint64_t copied_rows = strtoull(PQcmdTuples(result), NULL, 10);
            w->vanished_rows = copied_rows < w->sent_rows ? w->sent_rows - copied_rows : 0;
        }
        PQclear(result);
    }
    return status;
}

/* A trigger that returns NULL before an insert or an update takes the row away: it would count as
 * written. */
static enum status refuse_vanished(struct writer *w, struct error *err)
{
    const struct postgres_table *t = w->t;
    struct parameters parameters = {0};
    parameters_text(&parameters, t->table.quoted);
    PGresult *result = NULL;
    enum status status = postgres_ask(
        w->s,
        t->stage == NULL
            ? "SELECT string_agg(quote_ident(tgname), ', ' ORDER BY tgname) FROM pg_trigger WHERE"
              " tgrelid = to_regclass($1) AND NOT tgisinternal AND tgenabled <> 'D'"
              " AND (tgtype & 7 = 7 OR tgtype & 69 = 69)" /* before or instead of an insert, each row */
            : "SELECT string_agg(quote_ident(tgname), ', ' ORDER BY tgname) FROM pg_trigger WHERE"
              " tgrelid = to_regclass($1) AND NOT tgisinternal AND tgenabled <> 'D'"
              " AND " POSTGRES_TRIGGER_MAY_DROP,
        &parameters, false, "look at the triggers of", &result, err);
    if (status == STATUS_OK) {
        bool is_known = !PQgetisnull(result, 0, 0);
        status = error_set(
            err, STATUS_FATAL, "sink.rows_vanish",
            "table %s took only %llu of %llu rows of sink '%s': %s%s returned NULL before an "
            "insert%s, which drops the row without an error; nothing of this was committed. Let it "
            "RETURN NEW, or RAISE EXCEPTION for a row to refuse, or drop it, and start again",
            t->table.quoted, (unsigned long long)(w->sent_rows - w->vanished_rows),
            (unsigned long long)w->sent_rows, t->table.base.sink.name,
            is_known ? "trigger " : "a trigger of one of its partitions",
            is_known ? PQgetvalue(result, 0, 0) : "", t->stage == NULL ? "" : " or an update");
    }
    PQclear(result);
    return status;
}

/* TRUNCATE of a table that is not temporary makes and syncs a new file; so few rows are deleted. */
#define DELETE_ROWS_MOST 256u

/* The savepoint, and nothing behind it. */
static const char *savepoint_of(const struct writer *w)
{
    return w->has_savepoint ? "ROLLBACK TO SAVEPOINT weir_rows" : "SAVEPOINT weir_rows";
}

/* Before the rows: what is undone by a deletion is not copied. *out_any: the savepoint is made. */
static enum status delete_rows(struct writer *w, size_t first, size_t end, bool *out_any,
                               struct fault *fault, struct error *err)
{
    w->deletion_count = 0;
    *out_any = table_rows_undo(w->outbox, first, end) > 0;
    if (!*out_any) {
        return STATUS_OK;
    }
    for (size_t i = first; i < end; i++) {
        struct table_row *row = row_at(w, i);
        if (row->deletes && row->mark == TABLE_ROW_UNMARKED) {
            w->deletions[w->deletion_count++] = row;
        }
    }
    enum status status = run(w, savepoint_of(w), err);
    if (status != STATUS_OK) {
        return status;
    }
    PGresult *result =
        postgres_table_delete(w->t, w->s->connection, w->deletions, w->deletion_count);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        status = judge_error(w, result, fault, err);
    } else if (strcmp(PQgetvalue(result, 0, 0), "0") != 0) {
        *fault = (struct fault){.found = true, .code = "sink.ignored"};
        snprintf(fault->message, sizeof fault->message, "a trigger of the table ignored the deletion");
    }
    PQclear(result);
    fault->line = 0;
    return status;
}

static size_t count_copied(const struct writer *w, size_t first, size_t end)
{
    size_t count = 0;
    for (size_t i = first; i < end; i++) {
        count += is_copied(row_at(w, i));
    }
    return count;
}

/* All that rows ask of the server, in one query: it goes on behind the COPY by itself, and stops at the
 * first error. `is_begun`: the savepoint was made for deletions. */
static void write_query(struct writer *w, size_t row_count, bool is_begun)
{
    const struct postgres_table *t = w->t;
    buffer_clear(&w->sql);
    buffer_printf(&w->sql, "%s%s%s", is_begun ? "" : savepoint_of(w), is_begun ? "" : "; ",
                  t->copy);
    if (t->stage != NULL) {
        bool do_delete = w->s->db.system.prepares && row_count <= DELETE_ROWS_MOST;
        buffer_printf(&w->sql, "; %s; %s; %s %s", t->take_stage, t->check_stage,
                      do_delete ? "DELETE FROM" : "TRUNCATE", t->stage);
    }
    buffer_append_string(&w->sql, "; RELEASE SAVEPOINT weir_rows");
}

static enum status copy_rows(struct writer *w, size_t first, size_t end, bool is_begun,
                             struct fault *fault, struct error *err)
{
    write_query(w, end - first, is_begun);
    PGresult *result = PQexec(w->s->connection, buffer_string(&w->sql));
    ExecStatusType code = PQresultStatus(result);
    enum status status = code == PGRES_COPY_IN ? STATUS_OK : judge_error(w, result, fault, err);
    PQclear(result);
    if (status != STATUS_OK || fault->found) {
        return status;
    }
    status = send_rows(w, first, end, err);
    if (status == STATUS_OK && PQputCopyEnd(w->s->connection, NULL) != 1) {
        status = postgres_error(w->s, NULL, "send rows to", err);
    }
    return status == STATUS_OK ? take_answers(w, fault, err) : status;
}

/* All rows of the range are in the table, or a fault was found and none will be: the savepoint is
 * still there then. */
static enum status try_rows(struct writer *w, size_t first, size_t end, struct fault *fault,
                            struct error *err)
{
    bool is_begun = false;
    *fault = (struct fault){0};
    w->vanished_rows = 0;
    enum status status = delete_rows(w, first, end, &is_begun, fault, err);
    bool any = count_copied(w, first, end) > 0;
    if (!any && !is_begun) {
        return status;
    }
    if (status == STATUS_OK && !fault->found) {
        status = any ? copy_rows(w, first, end, is_begun, fault, err)
                     : run(w, "RELEASE SAVEPOINT weir_rows", err);
    }
    w->has_savepoint = fault->found;
    return status == STATUS_OK && !fault->found && w->vanished_rows > 0 ? refuse_vanished(w, err)
                                                                        : status;
}

/* --- looking for the rows to blame --- */

/* The index of the row of a COPY's line; `end` when there is none. */
static size_t index_of_line(const struct writer *w, size_t first, size_t end, uint64_t line)
{
    for (size_t i = first; i < end && line > 0; i++) {
        if (is_copied(row_at(w, i)) && --line == 0) {
            return i;
        }
    }
    return end;
}

static size_t count_unmarked(const struct writer *w, size_t first, size_t end)
{
    size_t count = 0;
    for (size_t i = first; i < end; i++) {
        count += row_at(w, i)->mark == TABLE_ROW_UNMARKED;
    }
    return count;
}

static void mark(struct writer *w, struct table_row *row, const struct fault *fault)
{
    table_rows_mark(w->outbox, row, fault->code, fault->message);
}

static enum status write_range(struct writer *w, size_t first, size_t end, struct error *err);

/* The server has refused these rows together: it has to be some of them. */
static enum status write_halves(struct writer *w, size_t first, size_t end,
                                const struct fault *fault, struct error *err)
{
    if (end - first == 1) {
        mark(w, row_at(w, first), fault);
        return STATUS_OK;
    }
    size_t middle = first + (end - first) / 2;
    uint32_t marked = w->outbox->mark_count;
    enum status status = write_range(w, first, middle, err);
    if (status != STATUS_OK) {
        return status;
    }
    /* Where it was none of the first half the second need not be tried as a whole. */
    bool is_second = w->outbox->mark_count == marked && end - middle > 1;
    return is_second ? write_halves(w, middle, end, fault, err) : write_range(w, middle, end, err);
}

/* How many rows are tried next: as many as went well, or stood before the last refused one. */
static size_t next_piece(size_t rows)
{
    return rows < PIECE_ROWS_LEAST ? PIECE_ROWS_LEAST : rows;
}

/* Rows that no table takes are marked; all others are in the table. */
static enum status write_range(struct writer *w, size_t first, size_t end, struct error *err)
{
    enum status status = STATUS_OK;
    size_t piece = end - first;
    size_t piece_most = piece;
    while (status == STATUS_OK && count_unmarked(w, first, end) > 0) {
        struct fault fault;
        size_t until = end - first > piece ? first + piece : end;
        status = try_rows(w, first, until, &fault, err);
        if (status != STATUS_OK) {
            return status;
        }
        size_t at = fault.found ? index_of_line(w, first, until, fault.line) : until;
        if (!fault.found) {
            piece = piece > piece_most / 2 ? piece_most : piece * 2;
            first = until;
        } else if (at < until) {
            mark(w, row_at(w, at), &fault);
            status = write_range(w, first, at, err);
            piece = next_piece(at - first);
            first = at + 1;
        } else if (until - first > HALVED_ROWS_MOST) {
            piece = piece_most = HALVED_ROWS_MOST;
        } else {
            status = write_halves(w, first, until, &fault, err);
            piece = next_piece((until - first) / 2);
            first = until;
        }
    }
    return status;
}

static enum status write_all(struct writer *w, struct error *err)
{
    enum status status = write_range(w, 0, w->outbox->outbox.row_count, err);
    return status == STATUS_OK && w->has_savepoint
               ? run(w, "ROLLBACK TO SAVEPOINT weir_rows; RELEASE SAVEPOINT weir_rows", err)
               : status;
}

/* --- the outbox --- */

static enum status make_stage(struct writer *w, struct error *err)
{
    if (w->t->stage == NULL || w->t->staged_in == w->s->connection) {
        return STATUS_OK;
    }
    enum status status = run(w, w->t->make_stage, err);
    if (status == STATUS_OK) {
        w->t->staged_in = w->s->connection;
    }
    return status;
}

/* Where the transaction is to be prepared: nothing of the stage may be left. */
static enum status drop_stage(struct writer *w, struct error *err)
{
    if (w->t->stage == NULL || !w->s->db.system.prepares) {
        return STATUS_OK;
    }
    struct buffer sql = {0};
    buffer_printf(&sql, "DROP TABLE %s", w->t->stage);
    enum status status = run(w, buffer_string(&sql), err);
    buffer_fini(&sql);
    w->t->staged_in = NULL;
    return status;
}

enum status postgres_table_write(struct postgres_table *t, struct outbox *outbox,
                                 struct attempt *attempt, struct error *err)
{
    struct writer w = {.t = t,
                       .s = postgres_system(t->table.base.sink.system),
                       .outbox = table_outbox(outbox)};
    if (outbox->row_count == 0) {
        return STATUS_OK;
    }
    table_rows_unmark(w.outbox);
    database_mark_changes(&postgres_dialect, t->table.columns, w.outbox);
    if (w.outbox->deletion_count > 0) {
        w.deletions = memory_alloc(
            size_mul((size_t)w.outbox->deletion_count, sizeof(struct table_row *)));
    }
    enum status status = make_stage(&w, err);
    if (status == STATUS_OK) {
        status = write_all(&w, err);
    }
    if (status == STATUS_OK) {
        status = drop_stage(&w, err);
    }
    if (status == STATUS_OK) {
        status = database_refuse_marked(&t->table.base.sink, t->table.quoted, w.outbox, attempt, err);
    }
    memory_free(w.deletions);
    buffer_fini(&w.text);
    buffer_fini(&w.sql);
    return status;
}
