/*
 * The local log, written and read: rows of 256 KiB, lz4, durable, 16 rows a transaction. Beside it
 * bare SQLite with the same pragmas: the same bytes, as they are, in rows of the same size, into a
 * table of one column.
 */
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "bare.h"
#include "locallog/locallog.h"
#include "measure.h"

#define ROWS_PER_TRANSACTION 16u

static void remove_log(const char *path)
{
    static const char *const endings[] = {"", "-wal", "-shm", "-lock"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        struct buffer name = {0};
        buffer_printf(&name, "%s%s", path, endings[i]);
        (void)unlink(buffer_string(&name)); /* Mostly it is not there. */
        buffer_fini(&name);
    }
}

/* Where rows go: weir's log, or a bare table. */
struct writer {
    struct locallog *log;
    struct locallog_topic topic;
    struct record_batch_builder builder;
    struct bare bare;
    struct buffer row;
    uint32_t rows;
};

static bool is_in_transaction(const struct writer *w)
{
    return w->rows % ROWS_PER_TRANSACTION != 0;
}

static enum status begin(struct writer *w, struct error *err)
{
    return w->log != NULL ? locallog_begin(w->log, err) : bare_run(&w->bare, "BEGIN", err);
}

static enum status commit(struct writer *w, struct error *err)
{
    return w->log != NULL ? locallog_commit(w->log, err) : bare_run(&w->bare, "COMMIT", err);
}

static enum status write_row(struct writer *w, struct error *err)
{
    enum status status = is_in_transaction(w) ? STATUS_OK : begin(w, err);
    if (status == STATUS_OK && w->log != NULL) {
        status = locallog_append(w->log, &w->topic, 0, &w->builder, NULL, err);
        record_batch_clear(&w->builder);
    } else if (status == STATUS_OK) {
        sqlite3_bind_blob64(w->bare.statement, 1, w->row.data, w->row.size, SQLITE_STATIC);
        status = bare_step(&w->bare, err);
        buffer_clear(&w->row);
    }
    w->rows++;
    return status != STATUS_OK || is_in_transaction(w) ? status : commit(w, err);
}

static enum status write_input(struct writer *w, const struct input *input, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < input->count && status == STATUS_OK; i++) {
        const struct record *record = &input->records[i];
        if (w->log != NULL) {
            record_batch_append(&w->builder, record->key, record->value, NULL, 0);
        } else {
            buffer_append(&w->row, record->key.data, record->key.size);
            buffer_append(&w->row, record->value.data, record->value.size);
        }
        size_t size = w->log != NULL ? w->builder.records.size : w->row.size;
        if (size >= LOCALLOG_ROW_BYTES) {
            status = write_row(w, err);
        }
    }
    return status;
}

static enum status write_all(struct writer *w, const struct arguments *arguments,
                             struct measurement *out, struct error *err)
{
    struct input input;
    enum status status = input_init(&input, arguments->records, true, err);
    if (status != STATUS_OK) {
        return status;
    }
    for (input_next(&input); input.count > 0 && status == STATUS_OK; input_next(&input)) {
        measure_begin(out);
        status = write_input(w, &input, err);
        measure_end(out);
        out->records += input.count;
        out->bytes += input.size_bytes;
    }
    measure_begin(out);
    if (status == STATUS_OK && (w->builder.count > 0 || w->row.size > 0)) {
        status = write_row(w, err);
    }
    if (status == STATUS_OK && is_in_transaction(w)) {
        status = commit(w, err);
    }
    measure_end(out);
    record_batch_fini(&w->builder);
    buffer_fini(&w->row);
    input_fini(&input);
    return status;
}

static enum status measure_log_write(const struct arguments *arguments, struct measurement *out,
                                     struct error *err)
{
    struct writer w = {0};
    remove_log(arguments->path);
    enum status status = locallog_open(arguments->path, LOCALLOG_CREATE, &w.log, err);
    if (status == STATUS_OK) {
        status = locallog_topic_create(w.log, "records", 1, &w.topic, err);
    }
    if (status == STATUS_OK) {
        status = write_all(&w, arguments, out, err);
    }
    locallog_close(w.log);
    return status;
}

static enum status measure_bare_write(const struct arguments *arguments, struct measurement *out,
                                      struct error *err)
{
    struct writer w = {0};
    remove_log(arguments->path);
    enum status status = bare_open(&w.bare, arguments->path, err);
    if (status == STATUS_OK) {
        status = bare_run(&w.bare, "CREATE TABLE rows (bytes BLOB)", err);
    }
    if (status == STATUS_OK) {
        status = bare_prepare(&w.bare, "INSERT INTO rows VALUES (?1)", err);
    }
    if (status == STATUS_OK) {
        status = write_all(&w, arguments, out, err);
    }
    bare_close(&w.bare);
    return status;
}

static enum status read_all(struct locallog *log, struct measurement *out, struct error *err)
{
    static const struct layout no_fields = {0};
    struct locallog_topic topic;
    struct locallog_reader *reader = NULL;
    bool found = false;
    enum status status = locallog_topic_find(log, "records", &topic, &found, err);
    if (status == STATUS_OK) {
        status = locallog_reader_open(log, &topic, 0, &reader, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct batch *batch = batch_new(&no_fields);
    measure_begin(out);
    do {
        batch_reset(batch, 0, 0);
        status = locallog_reader_read(reader, batch, INT64_MAX, err);
        for (uint32_t i = 0; i < batch->row_count; i++) {
            out->bytes += batch->records[i].value.size;
        }
        out->records += batch->row_count;
    } while (status == STATUS_OK && batch->row_count > 0);
    measure_end(out);
    batch_free(batch);
    locallog_reader_close(reader);
    return status;
}

static enum status measure_log_read(const struct arguments *arguments, struct measurement *out,
                                    struct error *err)
{
    struct locallog *log = NULL;
    enum status status = locallog_open(arguments->path, LOCALLOG_READ, &log, err);
    if (status == STATUS_OK) {
        status = read_all(log, out, err);
    }
    locallog_close(log);
    return status;
}

/* The rows' bytes are copied out, as a program would that does something with them. */
static enum status measure_bare_read(const struct arguments *arguments, struct measurement *out,
                                     struct error *err)
{
    struct bare bare;
    struct buffer row = {0};
    enum status status = bare_open(&bare, arguments->path, err);
    if (status == STATUS_OK) {
        status = bare_prepare(&bare, "SELECT bytes FROM rows", err);
    }
    int code = SQLITE_DONE;
    measure_begin(out);
    while (status == STATUS_OK && (code = sqlite3_step(bare.statement)) == SQLITE_ROW) {
        buffer_clear(&row);
        buffer_append(&row, sqlite3_column_blob(bare.statement, 0),
                      (size_t)sqlite3_column_bytes(bare.statement, 0));
        out->bytes += row.size;
    }
    measure_end(out);
    out->records = arguments->records; /* A bare row does not know how many it holds. */
    if (status == STATUS_OK && code != SQLITE_DONE) {
        status = bare_error(&bare, err);
    }
    buffer_fini(&row);
    bare_close(&bare);
    return status;
}

const struct thing log_things[] = {
    {"log-write", measure_log_write},
    {"log-write-bare", measure_bare_write},
    {"log-read", measure_log_read},
    {"log-read-bare", measure_bare_read},
    {0},
};
