/* Rows of a table, read without a pipeline. */
#include <sqlite3.h>
#include <stdio.h>

#include "base/memory.h"
#include "codec/json.h"
#include "codec/record_json.h"
#include "connector/sqlite/sqlite.h"
#include "locallog/locallog.h"

static struct bytes column_bytes(sqlite3_stmt *statement, int column)
{
    const void *data = sqlite3_column_blob(statement, column);
    int size = sqlite3_column_bytes(statement, column);
    return bytes_of(data == NULL ? "" : data, (size_t)size);
}

static void write_column(struct buffer *out, sqlite3_stmt *statement, int column)
{
    const char *name = sqlite3_column_name(statement, column);
    int type = sqlite3_column_type(statement, column);
    if (type == SQLITE_TEXT || type == SQLITE_BLOB || type == SQLITE_NULL) {
        record_json_member(out, name,
                           type == SQLITE_NULL ? BYTES_NONE : column_bytes(statement, column));
        return;
    }
    json_write_string(out, bytes_of_string(name));
    buffer_append_byte(out, ':');
    if (type == SQLITE_INTEGER) {
        json_write_int64(out, sqlite3_column_int64(statement, column));
    } else {
        json_write_double(out, sqlite3_column_double(statement, column));
    }
}

static void write_row(struct buffer *out, sqlite3_stmt *statement)
{
    buffer_clear(out);
    int count = sqlite3_column_count(statement);
    for (int i = 0; i < count; i++) {
        buffer_append_byte(out, i == 0 ? '{' : ',');
        write_column(out, statement, i);
    }
    buffer_append_string(out, count == 0 ? "{}" : "}");
}

static enum status step_rows(struct locallog *log, sqlite3_stmt *statement,
                             place_row_visitor *visit, void *context, struct error *err)
{
    struct buffer json = {0};
    struct place_row row = {.key = BYTES_NONE, .part = ""};
    enum status status = STATUS_OK;
    bool done = false;
    while (status == STATUS_OK && !done) {
        int answer = sqlite3_step(statement);
        if (answer != SQLITE_ROW) {
            status = answer == SQLITE_DONE ? STATUS_OK
                                           : locallog_error(log, answer, "read", err);
            break;
        }
        write_row(&json, statement);
        row.value = bytes_of(json.data, json.size);
        row.position++;
        status = visit(context, &row, &done, err);
    }
    buffer_fini(&json);
    return status;
}

static enum status each_of_table(const char *path, const char *name, place_row_visitor *visit,
                                 void *context, struct error *err)
{
    struct locallog *log = NULL;
    enum status status = locallog_open(path, LOCALLOG_PEEK, &log, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_stmt *statement = NULL;
    char *sql = sqlite3_mprintf("SELECT * FROM \"%w\"", name);
    if (sql == NULL) {
        memory_exhausted(0);
    }
    int answer = sqlite3_prepare_v2(locallog_database(log), sql, -1, &statement, NULL);
    sqlite3_free(sql);
    if (answer == SQLITE_ERROR) {
        status = error_set(err, STATUS_CONFIG, "table.missing",
                           "%s has no table '%s'; a pipeline makes it when it first runs", path,
                           name);
    } else if (answer != SQLITE_OK) {
        status = locallog_error(log, answer, "read", err);
    } else {
        status = step_rows(log, statement, visit, context, err);
    }
    if (status == STATUS_OK) {
        status = locallog_check_unchanged(log, err);
    }
    sqlite3_finalize(statement);
    locallog_close(log);
    return status;
}

const struct rows_ops sqlite_rows_ops = {.kind = "sqlite", .each = each_of_table};
