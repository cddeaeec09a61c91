/* Rows of a topic or a table, read without a pipeline. */
#include <sqlite3.h>
#include <stdio.h>

#include "base/memory.h"
#include "codec/json.h"
#include "codec/record_json.h"
#include "connector/sqlite/sqlite.h"
#include "locallog/locallog.h"

/* --- tables --- */

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

/* --- topics --- */

static enum status each_of_partition(struct locallog *log, const struct locallog_topic *topic,
                                     uint32_t partition, place_row_visitor *visit, void *context,
                                     bool *out_done, struct error *err)
{
    static const struct layout no_columns = {0};
    struct locallog_reader *reader = NULL;
    char label[16];
    int64_t first_offset = 0;
    int64_t next_offset = 0;
    snprintf(label, sizeof label, "%u", partition);
    enum status status =
        locallog_bounds(log, topic, partition, &first_offset, &next_offset, err);
    if (status == STATUS_OK) {
        status = locallog_reader_open(log, topic, partition, &reader, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct batch *batch = batch_new(&no_columns);
    do {
        batch_reset(batch, partition, 0);
        status = locallog_reader_read(reader, batch, next_offset, err);
        for (uint32_t row = 0; row < batch->row_count && status == STATUS_OK && !*out_done;
             row++) {
            const struct record *record = &batch->records[row];
            struct place_row one = {.key = record->key,
                                    .value = record->value,
                                    .part = label,
                                    .position = record->offset};
            status = visit(context, &one, out_done, err);
        }
    } while (status == STATUS_OK && batch->row_count > 0 && !*out_done);
    batch_free(batch);
    locallog_reader_close(reader);
    return status;
}

static enum status each_of_topic(const char *path, const char *name, place_row_visitor *visit,
                                 void *context, struct error *err)
{
    struct locallog *log = NULL;
    struct locallog_topic topic = {0};
    bool found = false;
    bool done = false;
    enum status status = locallog_open(path, LOCALLOG_READ, &log, err);
    if (status == STATUS_OK) {
        status = locallog_topic_find(log, name, &topic, &found, err);
    }
    if (status == STATUS_OK && !found) {
        status = error_set(err, STATUS_CONFIG, "topic.missing",
                           "%s has no topic '%s'; 'weir topic list local:%s' lists them", path,
                           name, path);
    }
    for (uint32_t p = 0; status == STATUS_OK && p < topic.partitions && !done; p++) {
        status = each_of_partition(log, &topic, p, visit, context, &done, err);
    }
    locallog_close(log);
    return status;
}

const struct rows_ops local_rows_ops = {.kind = "local", .each = each_of_topic};
const struct rows_ops sqlite_rows_ops = {.kind = "sqlite", .each = each_of_table};
