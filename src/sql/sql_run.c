#include <math.h>
#include <sqlite3.h>
#include <string.h>

#include "sql/sql_program.h"

/* One call of sql_program_run(). */
struct run {
    struct sql_program *program;
    struct arena *arena;
    const uint32_t *rows;
    uint32_t row_count;
    struct sql_result *results;
};

static struct sql_result *result_at(const struct run *run, uint32_t expression, uint32_t row)
{
    return &run->results[(size_t)expression * run->row_count + row];
}

static void set_text(struct value *value, struct arena *arena, const void *data, size_t size)
{
    *value = (struct value){
        .type = VALUE_TEXT,
        .text = bytes_of(arena_copy(arena, size > 0 ? data : "", size), size),
    };
}

static void set_failed(struct sql_result *result, struct arena *arena, const char *message)
{
    result->failed = true;
    set_text(&result->value, arena, message, strlen(message));
}

/* Casts and the precision of printf() can cut a character in two, and such a text is none. */
static void take_text(sqlite3_stmt *statement, int column, struct arena *arena,
                      struct sql_result *result)
{
    /* Asked as a blob it comes without a copy that only adds a NUL. */
    const void *data = sqlite3_column_blob(statement, column);
    size_t size = (size_t)sqlite3_column_bytes(statement, column);
    if (size > 0 && !bytes_is_utf8(bytes_of(data, size))) {
        set_failed(result, arena, "the result is not valid UTF-8");
        return;
    }
    set_text(&result->value, arena, data, size);
}

static void take_blob(sqlite3_stmt *statement, int column, struct arena *arena,
                      struct sql_result *result)
{
    const void *data = sqlite3_column_blob(statement, column);
    size_t size = (size_t)sqlite3_column_bytes(statement, column);
    char *hexadecimal = arena_alloc(arena, size_add(size_mul(size, 2), 1));
    hex_encode(bytes_of(data, size), hexadecimal);
    result->value = (struct value){
        .type = VALUE_TEXT,
        .text = bytes_of(hexadecimal, size * 2),
    };
}

static void take_result(sqlite3_stmt *statement, int column, struct arena *arena,
                        struct sql_result *result)
{
    result->failed = false;
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        result->value = (struct value){
            .type = VALUE_INT64,
            .integer = sqlite3_column_int64(statement, column),
        };
        break;
    case SQLITE_FLOAT:
        result->value = (struct value){
            .type = VALUE_DOUBLE,
            .real = sqlite3_column_double(statement, column),
        };
        break;
    case SQLITE_TEXT:
        take_text(statement, column, arena, result);
        break;
    case SQLITE_BLOB:
        take_blob(statement, column, arena, result);
        break;
    default:
        result->value = (struct value){.type = VALUE_NULL};
        break;
    }
}

/* True for what an expression may raise; the rest means that SQLite itself is broken. */
static bool is_row_error(int code)
{
    switch (code & 0xff) {
    case SQLITE_ERROR:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
        return true;
    case SQLITE_NOMEM:
        memory_exhausted(0);
    default:
        return false;
    }
}

static enum status fail_engine(const struct run *run, struct error *err)
{
    return error_set(err, STATUS_FATAL, "sql.engine", "SQLite failed while it evaluated: %s",
                     sqlite3_errmsg(run->program->db));
}

static void aim(const struct run *run, uint32_t first, uint32_t count)
{
    run->program->table.rows = run->rows + first;
    run->program->table.row_count = count;
}

/* Evaluates one expression in one row, which may fail. */
static enum status run_single(const struct run *run, uint32_t expression, uint32_t row,
                              struct error *err)
{
    sqlite3_stmt *statement = run->program->singles[expression];
    struct sql_result *result = result_at(run, expression, row);
    enum status status = STATUS_OK;
    aim(run, row, 1);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        take_result(statement, 0, run->arena, result);
    } else if (is_row_error(code)) {
        set_failed(result, run->arena, sqlite3_errmsg(run->program->db));
    } else {
        status = fail_engine(run, err);
    }
    /* Repeats the error of the step. */
    (void)sqlite3_reset(statement);
    return status;
}

/* Goes through the rows from `row` on until the end or an error; *out_row is the row it stopped
 * at. */
static int run_rows(const struct run *run, const struct sql_group *group, uint32_t row,
                    uint32_t *out_row)
{
    aim(run, row, run->row_count - row);
    int code;
    while ((code = sqlite3_step(group->statement)) == SQLITE_ROW) {
        for (uint32_t i = 0; i < group->count; i++) {
            take_result(group->statement, (int)i, run->arena,
                        result_at(run, group->expressions[i], row));
        }
        row++;
    }
    *out_row = row;
    return code;
}

static enum status run_group(const struct run *run, const struct sql_group *group,
                             struct error *err)
{
    uint32_t row = 0;
    enum status status = STATUS_OK;
    while (row < run->row_count && status == STATUS_OK) {
        int code = run_rows(run, group, row, &row);
        if (code != SQLITE_DONE && !is_row_error(code)) {
            status = fail_engine(run, err);
        }
        /* Repeats the error of the step. */
        (void)sqlite3_reset(group->statement);
        if (code == SQLITE_DONE) {
            check(row == run->row_count);
            break;
        }
        /* Some expression failed in this row: find out which, and go on behind it. */
        for (uint32_t i = 0; i < group->count && status == STATUS_OK; i++) {
            status = run_single(run, group->expressions[i], row, err);
        }
        row++;
    }
    return status;
}

/* The simple expressions, and by SQLite the rows that they leave to it. */
static enum status run_native(const struct run *run, const struct batch *batch, struct error *err)
{
    struct sql_native *native = run->program->native;
    if (native == NULL) {
        return STATUS_OK;
    }
    sql_native_run(native, batch, run->rows, run->row_count, run->results);
    const struct sql_native_deferral *deferrals =
        (const struct sql_native_deferral *)(const void *)native->deferrals.data;
    size_t count = native->deferrals.size / sizeof *deferrals;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = run_single(run, deferrals[i].expression, deferrals[i].row, err);
    }
    return status;
}

/* Whoever evaluated it. SQLite makes a real of an integer that overflows, and reads 1e999 as
 * infinite; no record can hold such a number. */
static void fail_odd_reals(const struct run *run)
{
    for (uint32_t e = 0; e < run->program->expression_count; e++) {
        const struct sql_promise *promise = &run->program->promises[e];
        for (uint32_t row = 0; promise->may_be_real && row < run->row_count; row++) {
            struct sql_result *result = result_at(run, e, row);
            if (result->failed || result->value.type != VALUE_DOUBLE) {
                continue;
            }
            if (promise->is_integer) {
                set_failed(result, run->arena, "integer overflow");
            } else if (!isfinite(result->value.real)) {
                set_failed(result, run->arena, "the result is not a finite number");
            }
        }
    }
}

enum status sql_program_run(struct sql_program *program, struct batch *batch, const uint32_t *rows,
                            uint32_t row_count, struct sql_result *results, struct error *err)
{
    check(batch->layout == program->layout);
    if (row_count == 0) {
        return STATUS_OK;
    }
    struct run run = {program, batch->arena, rows, row_count, results};
    program->table.batch_columns = batch->columns;
    enum status status = run_native(&run, batch, err);
    for (uint32_t i = 0; i < program->group_count && status == STATUS_OK; i++) {
        status = run_group(&run, &program->groups[i], err);
    }
    program->table.batch_columns = NULL;
    if (status == STATUS_OK) {
        fail_odd_reals(&run);
    }
    return status;
}
