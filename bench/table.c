/*
 * What SQLite alone needs for the rows of the job's table: they are read from the file that a job
 * has filled (--path), held in memory, and upserted into a new file of the same definition with the
 * statement that weir uses, 8,192 rows a transaction.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bare.h"
#include "measure.h"

#define ROWS_PER_TRANSACTION 8192u
#define ROWS_HELD 65536u

/* Rows in the order in which they came into the job's table, some at a time. */
struct rows {
    sqlite3_value **values; /* [ROWS_HELD * column_count] */
    int column_count;
    uint32_t count;
    bool at_end;
};

static void rows_clear(struct rows *rows)
{
    for (size_t i = 0; i < (size_t)rows->count * (size_t)rows->column_count; i++) {
        sqlite3_value_free(rows->values[i]);
    }
    rows->count = 0;
}

static enum status rows_read(struct rows *rows, struct bare *from, struct error *err)
{
    rows_clear(rows);
    while (!rows->at_end && rows->count < ROWS_HELD) {
        int code = sqlite3_step(from->statement);
        if (code == SQLITE_DONE) {
            rows->at_end = true; /* A further step would begin again at the first row. */
            break;
        }
        if (code != SQLITE_ROW) {
            return bare_error(from, err);
        }
        sqlite3_value **row = rows->values + (size_t)rows->count * (size_t)rows->column_count;
        for (int i = 0; i < rows->column_count; i++) {
            row[i] = sqlite3_value_dup(sqlite3_column_value(from->statement, i));
        }
        rows->count++;
    }
    return STATUS_OK;
}

static enum status rows_write(const struct rows *rows, struct bare *to, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t r = 0; r < rows->count && status == STATUS_OK; r++) {
        if (r % ROWS_PER_TRANSACTION == 0) {
            status = bare_run(to, "BEGIN", err);
        }
        sqlite3_value **row = rows->values + (size_t)r * (size_t)rows->column_count;
        for (int i = 0; i < rows->column_count; i++) {
            sqlite3_bind_value(to->statement, i + 1, row[i]);
        }
        if (status == STATUS_OK) {
            status = bare_step(to, err);
        }
        bool is_last = (r + 1) % ROWS_PER_TRANSACTION == 0 || r + 1 == rows->count;
        if (is_last && status == STATUS_OK) {
            status = bare_run(to, "COMMIT", err);
        }
    }
    return status;
}

/* The upsert of table_sink.c for this table: the later event wins, then the later place. */
static void write_upsert(struct bare *from, int column_count, struct buffer *sql)
{
    buffer_append_string(sql, "INSERT INTO readings AS t VALUES (?");
    for (int i = 1; i < column_count; i++) {
        buffer_append_string(sql, ",?");
    }
    buffer_append_string(sql, ") ON CONFLICT (message_id) DO UPDATE SET ");
    for (int i = 0; i < column_count; i++) {
        const char *name = sqlite3_column_name(from->statement, i);
        buffer_printf(sql, "%s%s = excluded.%s", i == 0 ? "" : ", ", name, name);
    }
    buffer_append_string(
        sql, " WHERE excluded.event_time > t.event_time OR (excluded.event_time IS t.event_time AND"
             " (excluded._weir_topic, excluded._weir_partition, excluded._weir_offset) >"
             " (t._weir_topic, t._weir_partition, t._weir_offset))");
}

/* Makes the table in `to` as it stands in `from`, and the two statements. */
static enum status prepare(struct bare *from, struct bare *to, struct error *err)
{
    enum status status =
        bare_prepare(from, "SELECT sql FROM sqlite_schema WHERE name = 'readings'", err);
    if (status != STATUS_OK) {
        return status;
    }
    if (sqlite3_step(from->statement) != SQLITE_ROW) {
        return error_set(err, STATUS_CONFIG, "bench.no_job", "the file has no table 'readings'.");
    }
    status = bare_run(to, (const char *)sqlite3_column_text(from->statement, 0), err);
    sqlite3_finalize(from->statement);
    from->statement = NULL;
    if (status == STATUS_OK) {
        status = bare_prepare(from, "SELECT * FROM readings ORDER BY rowid", err);
    }
    if (status == STATUS_OK) {
        struct buffer sql = {0};
        write_upsert(from, sqlite3_column_count(from->statement), &sql);
        status = bare_prepare(to, buffer_string(&sql), err);
        buffer_fini(&sql);
    }
    return status;
}

static enum status upsert_all(struct bare *from, struct bare *to, struct measurement *out,
                              struct error *err)
{
    struct rows rows = {.column_count = sqlite3_column_count(from->statement)};
    rows.values = memory_alloc_zero(size_mul(ROWS_HELD, (size_t)rows.column_count),
                                    sizeof *rows.values);
    enum status status = rows_read(&rows, from, err);
    while (status == STATUS_OK && rows.count > 0) {
        measure_begin(out);
        status = rows_write(&rows, to, err);
        measure_end(out);
        out->records += rows.count;
        if (status == STATUS_OK) {
            status = rows_read(&rows, from, err);
        }
    }
    rows_clear(&rows);
    memory_free(rows.values);
    return status;
}

static enum status measure_upsert(const struct arguments *arguments, struct measurement *out,
                                  struct error *err)
{
    struct bare from;
    struct bare to = {0};
    struct buffer path = {0};
    buffer_printf(&path, "%s.upsert", arguments->path);
    (void)unlink(buffer_string(&path)); /* Mostly it is not there. */
    enum status status = bare_open(&from, arguments->path, err);
    if (status == STATUS_OK) {
        status = bare_open(&to, buffer_string(&path), err);
    }
    if (status == STATUS_OK) {
        status = prepare(&from, &to, err);
    }
    if (status == STATUS_OK) {
        status = upsert_all(&from, &to, out, err);
    }
    bare_close(&to);
    bare_close(&from);
    (void)unlink(buffer_string(&path));
    buffer_fini(&path);
    return status;
}

const struct thing table_things[] = {
    {"table-upsert-bare", measure_upsert},
    {0},
};
