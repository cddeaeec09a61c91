/*
 * Rows of an outbox into their table, and which of them the table refuses.
 *
 * All rows are tried at once under a savepoint. If the server finds fault with a row, rows go in
 * chunks: COPY says which line it was, so the rows before it are sent again and then those behind it.
 * Where it does not say (foreign keys, the statement of an upsert) the chunk is halved until the row
 * stands alone. What is sent behind a faulty row is sent in vain, so chunks are smaller where there
 * are many.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/postgres/sqlstate.h"
#include "connector/postgres/table.h"

#define CHUNK_ROWS 2000u
#define CHUNK_ROWS_LEAST 64u
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
    struct buffer text;
    struct table_row **deletions; /* of the range that is tried; NULL where none can be */
    size_t deletion_count;
    uint64_t sent_rows;   /* of the last COPY */
    uint64_t copied_rows; /* as the server counts them */
};

static struct table_row *row_at(const struct writer *w, size_t index)
{
    return table_rows_at(w->outbox, w->outbox->places[index].at);
}

/* --- errors --- */

/* "COPY readings, line 17, column …"; the word is the server's language, which may be another. */
static uint64_t line_of(const PGresult *result)
{
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    const char *line = context == NULL || strncmp(context, "COPY ", 5) != 0
                           ? NULL
                           : strstr(context, ", line ");
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

/* The answers to a statement or a COPY, up to the last. */
static enum status take_answers(struct writer *w, struct fault *fault, struct error *err)
{
    enum status status = STATUS_OK;
    PGresult *result = NULL;
    while ((result = PQgetResult(w->s->connection)) != NULL) {
        ExecStatusType code = PQresultStatus(result);
        if (code != PGRES_COMMAND_OK && code != PGRES_TUPLES_OK && status == STATUS_OK &&
            !fault->found) {
            status = judge_error(w, result, fault, err);
        }
        w->copied_rows = strtoull(PQcmdTuples(result), NULL, 10);
        PQclear(result);
    }
    return status;
}

/* A trigger that returns NULL before an insert takes the row away: it would count as written. */
static enum status refuse_vanished(struct writer *w, struct error *err)
{
    const struct postgres_table *t = w->t;
    struct parameters parameters = {0};
    parameters_text(&parameters, t->table.quoted);
    PGresult *result = NULL;
    enum status status = postgres_ask(
        w->s,
        "SELECT string_agg(quote_ident(tgname), ', ' ORDER BY tgname) FROM pg_trigger WHERE"
        " tgrelid = to_regclass($1) AND NOT tgisinternal AND tgenabled <> 'D'"
        " AND (tgtype & 7 = 7 OR tgtype & 69 = 69)", /* before or instead of an insert, each row */
        &parameters, false, "look at the triggers of", &result, err);
    if (status == STATUS_OK) {
        bool is_known = !PQgetisnull(result, 0, 0);
        status = error_set(
            err, STATUS_FATAL, "sink.rows_vanish",
            "table %s took only %llu of %llu rows of sink '%s': %s%s returned NULL before an "
            "insert, which drops the row without an error; nothing of this was committed. Let it "
            "RETURN NEW, or RAISE EXCEPTION for a row to refuse, or drop it, and start again",
            t->table.quoted, (unsigned long long)w->copied_rows, (unsigned long long)w->sent_rows,
            t->table.base.sink.name, is_known ? "trigger " : "a trigger of one of its partitions",
            is_known ? PQgetvalue(result, 0, 0) : "");
    }
    PQclear(result);
    return status;
}

static enum status copy(struct writer *w, size_t first, size_t end, struct fault *fault,
                        struct error *err)
{
    PGresult *result = PQexec(w->s->connection, w->t->copy);
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
    if (status == STATUS_OK) {
        status = take_answers(w, fault, err);
    }
    return status == STATUS_OK && !fault->found && w->copied_rows < w->sent_rows
               ? refuse_vanished(w, err)
               : status;
}

/* TRUNCATE of a table that is not temporary makes and syncs a new file; so few rows are deleted. */
#define DELETE_ROWS_MOST 256u

static enum status take_stage(struct writer *w, size_t row_count, struct fault *fault,
                              struct error *err)
{
    PGresult *result = PQexec(w->s->connection, w->t->take_stage);
    enum status status = PQresultStatus(result) == PGRES_COMMAND_OK
                             ? STATUS_OK
                             : judge_error(w, result, fault, err);
    PQclear(result);
    if (status == STATUS_OK && !fault->found) {
        struct buffer sql = {0};
        bool do_delete = w->s->db.system.prepares && row_count <= DELETE_ROWS_MOST;
        buffer_printf(&sql, do_delete ? "DELETE FROM %s" : "TRUNCATE %s", w->t->stage);
        status = run(w, buffer_string(&sql), err);
        buffer_fini(&sql);
    }
    return status;
}

/* Before the rows: what is undone by a deletion is not copied. */
static enum status delete_rows(struct writer *w, size_t first, size_t end, struct fault *fault,
                               struct error *err)
{
    w->deletion_count = 0;
    if (table_rows_undo(w->outbox, first, end) == 0) {
        return STATUS_OK;
    }
    for (size_t i = first; i < end; i++) {
        struct table_row *row = row_at(w, i);
        if (row->deletes && row->mark == TABLE_ROW_UNMARKED) {
            w->deletions[w->deletion_count++] = row;
        }
    }
    PGresult *result =
        postgres_table_delete(w->t, w->s->connection, w->deletions, w->deletion_count);
    enum status status = PQresultStatus(result) == PGRES_COMMAND_OK
                             ? STATUS_OK
                             : judge_error(w, result, fault, err);
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

static enum status copy_rows(struct writer *w, size_t first, size_t end, struct fault *fault,
                             struct error *err)
{
    if (count_copied(w, first, end) == 0) {
        return STATUS_OK;
    }
    enum status status = copy(w, first, end, fault, err);
    if (status == STATUS_OK && !fault->found && w->t->stage != NULL) {
        status = take_stage(w, end - first, fault, err);
        fault->line = 0;
    }
    return status;
}

/* All rows of the range are in the table, or a fault was found and none is. */
static enum status try_rows(struct writer *w, size_t first, size_t end, struct fault *fault,
                            struct error *err)
{
    *fault = (struct fault){0};
    enum status status = run(w, "SAVEPOINT weir_rows", err);
    if (status == STATUS_OK) {
        status = delete_rows(w, first, end, fault, err);
    }
    if (status == STATUS_OK && !fault->found) {
        status = copy_rows(w, first, end, fault, err);
    }
    if (status == STATUS_OK && fault->found) {
        status = run(w, "ROLLBACK TO SAVEPOINT weir_rows", err);
    }
    return status == STATUS_OK ? run(w, "RELEASE SAVEPOINT weir_rows", err) : status;
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

static enum status write_halves(struct writer *w, size_t first, size_t end,
                                const struct fault *fault, struct error *err)
{
    if (end - first == 1) {
        mark(w, row_at(w, first), fault);
        return STATUS_OK;
    }
    size_t middle = first + (end - first) / 2;
    enum status status = write_range(w, first, middle, err);
    return status == STATUS_OK ? write_range(w, middle, end, err) : status;
}

/* Rows that no table takes are marked; all others are in the table. */
static enum status write_range(struct writer *w, size_t first, size_t end, struct error *err)
{
    while (count_unmarked(w, first, end) > 0) {
        struct fault fault;
        enum status status = try_rows(w, first, end, &fault, err);
        if (status != STATUS_OK || !fault.found) {
            return status;
        }
        size_t at = index_of_line(w, first, end, fault.line);
        if (at == end) {
            return write_halves(w, first, end, &fault, err);
        }
        mark(w, row_at(w, at), &fault);
        status = write_range(w, first, at, err);
        if (status != STATUS_OK) {
            return status;
        }
        first = at + 1;
    }
    return STATUS_OK;
}

/* In chunks that are smaller the more rows are refused. */
static enum status write_chunks(struct writer *w, size_t count, struct error *err)
{
    enum status status = STATUS_OK;
    size_t chunk = CHUNK_ROWS;
    for (size_t first = 0; first < count && status == STATUS_OK;) {
        size_t end = count - first > chunk ? first + chunk : count;
        uint32_t marked = w->outbox->mark_count;
        status = write_range(w, first, end, err);
        bool is_clean = w->outbox->mark_count == marked;
        chunk = is_clean ? chunk * 2 : chunk / 2;
        chunk = chunk > CHUNK_ROWS ? CHUNK_ROWS : chunk;
        chunk = chunk < CHUNK_ROWS_LEAST ? CHUNK_ROWS_LEAST : chunk;
        first = end;
    }
    return status;
}

static enum status write_all(struct writer *w, struct error *err)
{
    size_t count = w->outbox->outbox.row_count;
    if (count_unmarked(w, 0, count) == 0) {
        return STATUS_OK;
    }
    struct fault fault;
    enum status status = try_rows(w, 0, count, &fault, err);
    return status != STATUS_OK || !fault.found ? status : write_chunks(w, count, err);
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
    return status;
}
