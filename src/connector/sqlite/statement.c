/* What every statement of this folder does the same way. */
#include "connector/sqlite/system.h"

#include <sqlite3.h>

enum status sqlite_run(struct locallog *log, const char *sql, const char *doing,
                       struct error *err)
{
    int code = sqlite3_exec(locallog_database(log), sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? STATUS_OK : locallog_error(log, code, doing, err);
}

enum status sqlite_prepare(struct locallog *log, const char *sql, const char *doing,
                           sqlite3_stmt **out, struct error *err)
{
    int code = sqlite3_prepare_v3(locallog_database(log), sql, -1, SQLITE_PREPARE_PERSISTENT, out,
                                  NULL);
    return code == SQLITE_OK ? STATUS_OK : locallog_error(log, code, doing, err);
}

const char *sqlite_quote(struct arena *arena, const char *name)
{
    struct buffer quoted = {0};
    buffer_append_byte(&quoted, '"');
    for (; *name != '\0'; name++) {
        if (*name == '"') {
            buffer_append_byte(&quoted, '"');
        }
        buffer_append_byte(&quoted, (uint8_t)*name);
    }
    buffer_append_byte(&quoted, '"');
    const char *copy = arena_copy(arena, quoted.data, quoted.size);
    buffer_fini(&quoted);
    return copy;
}

void sqlite_bind_string(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

void sqlite_bind_bytes(sqlite3_stmt *statement, int index, struct bytes bytes)
{
    if (bytes_is_none(bytes)) {
        sqlite3_bind_null(statement, index);
    } else {
        sqlite3_bind_blob64(statement, index, bytes.size == 0 ? (const uint8_t *)"" : bytes.data,
                            bytes.size, SQLITE_STATIC);
    }
}

/* Runs a statement to its end and makes it ready again. */
enum status sqlite_step_done(struct locallog *log, sqlite3_stmt *statement, const char *doing,
                             struct error *err)
{
    int code = sqlite3_step(statement);
    enum status status = code == SQLITE_DONE ? STATUS_OK : locallog_error(log, code, doing, err);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return status;
}
