#include "sql/sql_calendar.h"

#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"

/* A prepared `SELECT name(?, ?, …)`. */
struct calendar_call {
    int argument_count;
    sqlite3_stmt *statement;
    struct calendar_call *next;
};

struct calendar_function {
    const char *name;
    int argument_count; /* as SQLite registers it, -1: any */
    int first_time;     /* index of the first argument that is a time, and of the last; */
    int last_time;      /* behind it stand modifiers */
    struct calendar_call *calls;
    sqlite3 *original; /* the connection with SQLite's own function */
};

static const struct calendar_function templates[] = {
    {"date", -1, 0, 0, NULL, NULL},      {"time", -1, 0, 0, NULL, NULL},
    {"datetime", -1, 0, 0, NULL, NULL},  {"julianday", -1, 0, 0, NULL, NULL},
    {"unixepoch", -1, 0, 0, NULL, NULL}, {"strftime", -1, 1, 1, NULL, NULL},
    {"timediff", 2, 0, 1, NULL, NULL},
};

#define FUNCTION_COUNT (sizeof templates / sizeof templates[0])

struct sql_calendar {
    sqlite3 *original;
    struct calendar_function functions[FUNCTION_COUNT];
};

static const char of_clock[] =
    "means the present moment, which differs at every replay; use a time of the record";
static const char of_zone[] = "means the time zone of the machine; times are in UTC";

static const struct calendar_function *find(const char *name)
{
    for (size_t i = 0; i < FUNCTION_COUNT; i++) {
        if (sqlite3_stricmp(templates[i].name, name) == 0) {
            return &templates[i];
        }
    }
    return NULL;
}

static const char *refusal_of(const struct calendar_function *function, int index, const char *text)
{
    if (index < function->first_time) {
        return NULL;
    }
    if (sqlite3_stricmp(text, "now") == 0) {
        return of_clock;
    }
    if (sqlite3_stricmp(text, "localtime") == 0 || sqlite3_stricmp(text, "utc") == 0) {
        return of_zone;
    }
    /* As a modifier they only ask for milliseconds; in the place of a time they stand for now. */
    if (index <= function->last_time &&
        (sqlite3_stricmp(text, "subsec") == 0 || sqlite3_stricmp(text, "subsecond") == 0)) {
        return of_clock;
    }
    return NULL;
}

const char *sql_calendar_refuses_argument(const char *name, int index, const char *text)
{
    const struct calendar_function *function = find(name);
    return function == NULL ? NULL : refusal_of(function, index, text);
}

const char *sql_calendar_refuses_count(const char *name, int argument_count)
{
    const struct calendar_function *function = find(name);
    bool has_time = function == NULL || argument_count > function->first_time;
    return has_time ? NULL : of_clock;
}

static void fail(sqlite3_context *context, const char *what, const char *why)
{
    char *message = sqlite3_mprintf("%s %s", what, why);
    if (message == NULL) {
        sqlite3_result_error_nomem(context);
        return;
    }
    sqlite3_result_error(context, message, -1);
    sqlite3_free(message);
}

/* False when the call asks for the clock or the zone; the error is then set. */
static bool allow(const struct calendar_function *function, sqlite3_context *context,
                  int argument_count, sqlite3_value **arguments)
{
    if (argument_count <= function->first_time) {
        char call[32];
        sqlite3_snprintf(sizeof call, call, "%s() without a time", function->name);
        fail(context, call, of_clock);
        return false;
    }
    for (int i = function->first_time; i < argument_count; i++) {
        int type = sqlite3_value_type(arguments[i]);
        if (type != SQLITE_TEXT && type != SQLITE_BLOB) {
            continue;
        }
        const char *text = (const char *)sqlite3_value_text(arguments[i]);
        const char *why = text == NULL ? NULL : refusal_of(function, i, text);
        if (why != NULL) {
            char word[32];
            sqlite3_snprintf(sizeof word, word, "'%s'", text);
            fail(context, word, why);
            return false;
        }
    }
    return true;
}

/* The statement for that many arguments; NULL when SQLite refuses it. */
static sqlite3_stmt *prepare_call(struct calendar_function *function, int argument_count)
{
    for (struct calendar_call *call = function->calls; call != NULL; call = call->next) {
        if (call->argument_count == argument_count) {
            return call->statement;
        }
    }
    struct buffer sql = {0};
    buffer_printf(&sql, "SELECT %s(", function->name);
    for (int i = 0; i < argument_count; i++) {
        buffer_append_string(&sql, i == 0 ? "?" : ",?");
    }
    buffer_append_byte(&sql, ')');
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v3(function->original, buffer_string(&sql), -1,
                                  SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    buffer_fini(&sql);
    if (code != SQLITE_OK) {
        return NULL;
    }
    struct calendar_call *call = memory_alloc(sizeof *call);
    *call = (struct calendar_call){argument_count, statement, function->calls};
    function->calls = call;
    return statement;
}

static void bind_argument(sqlite3_stmt *statement, int index, sqlite3_value *value, int *code)
{
    if (*code == SQLITE_OK) {
        *code = sqlite3_bind_value(statement, index, value);
    }
}

static void give_result(sqlite3_context *context, sqlite3_stmt *statement)
{
    switch (sqlite3_column_type(statement, 0)) {
    case SQLITE_INTEGER:
        sqlite3_result_int64(context, sqlite3_column_int64(statement, 0));
        break;
    case SQLITE_FLOAT:
        sqlite3_result_double(context, sqlite3_column_double(statement, 0));
        break;
    case SQLITE_TEXT: {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        sqlite3_result_text64(context, text, (sqlite3_uint64)sqlite3_column_bytes(statement, 0),
                              SQLITE_TRANSIENT, SQLITE_UTF8);
        break;
    }
    default:
        sqlite3_result_null(context);
        break;
    }
}

static void call_original(sqlite3_context *context, int argument_count, sqlite3_value **arguments)
{
    struct calendar_function *function = sqlite3_user_data(context);
    if (!allow(function, context, argument_count, arguments)) {
        return;
    }
    sqlite3_stmt *statement = prepare_call(function, argument_count);
    if (statement == NULL) {
        sqlite3_result_error(context, sqlite3_errmsg(function->original), -1);
        return;
    }
    int code = SQLITE_OK;
    for (int i = 0; i < argument_count; i++) {
        bind_argument(statement, i + 1, arguments[i], &code);
    }
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW) {
        give_result(context, statement);
    } else {
        sqlite3_result_error(context, sqlite3_errmsg(function->original), -1);
        sqlite3_result_error_code(context, code);
    }
    /* What went wrong is in the result already. */
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
}

enum status sql_calendar_new(sqlite3 *db, struct sql_calendar **out, struct error *err)
{
    struct sql_calendar *calendar = memory_alloc_zero(1, sizeof *calendar);
    int code =
        sqlite3_open_v2(":memory:", &calendar->original,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_limit(calendar->original, SQLITE_LIMIT_LENGTH,
                            sqlite3_limit(db, SQLITE_LIMIT_LENGTH, -1));
    }
    for (size_t i = 0; i < FUNCTION_COUNT && code == SQLITE_OK; i++) {
        struct calendar_function *function = &calendar->functions[i];
        *function = templates[i];
        function->original = calendar->original;
        code = sqlite3_create_function_v2(db, function->name, function->argument_count,
                                          SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                                          function, call_original, NULL, NULL, NULL);
    }
    if (code != SQLITE_OK) {
        sql_calendar_free(calendar);
        return error_set(err, STATUS_FATAL, "sql.engine",
                         "SQLite cannot take the functions of the calendar: %s",
                         sqlite3_errstr(code));
    }
    *out = calendar;
    return STATUS_OK;
}

void sql_calendar_free(struct sql_calendar *calendar)
{
    if (calendar == NULL) {
        return;
    }
    for (size_t i = 0; i < FUNCTION_COUNT; i++) {
        struct calendar_call *call = calendar->functions[i].calls;
        while (call != NULL) {
            struct calendar_call *next = call->next;
            (void)sqlite3_finalize(call->statement);
            memory_free(call);
            call = next;
        }
    }
    (void)sqlite3_close(calendar->original);
    memory_free(calendar);
}
