#include "sql/sql_functions.h"

#include <sqlite3.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"

#define UNKNOWN SQL_RETURNS_UNKNOWN
#define NUMBER SQL_RETURNS_NUMBER
#define TEXT SQL_RETURNS_TEXT
#define BLOB SQL_RETURNS_BLOB

/* Not here although SQLite calls them deterministic: sqlite_version() and its kin and subtype(),
 * which tell about the library; soundex() and others that only some builds have. */
static const struct sql_function functions[] = {
    /* How the operators -> and ->> are called. */
    {"->", UNKNOWN},
    {"->>", UNKNOWN},
    {"abs", NUMBER},
    {"acos", NUMBER},
    {"acosh", NUMBER},
    {"asin", NUMBER},
    {"asinh", NUMBER},
    {"atan", NUMBER},
    {"atan2", NUMBER},
    {"atanh", NUMBER},
    {"ceil", NUMBER},
    {"ceiling", NUMBER},
    {"char", TEXT},
    {"coalesce", SQL_RETURNS_ARGUMENTS},
    {"concat", TEXT},
    {"concat_ws", TEXT},
    {"cos", NUMBER},
    {"cosh", NUMBER},
    {"date", TEXT},
    {"datetime", TEXT},
    {"degrees", NUMBER},
    {"exp", NUMBER},
    {"floor", NUMBER},
    {"format", TEXT},
    {"glob", NUMBER},
    {"hex", TEXT},
    {"if", SQL_RETURNS_CHOICE},
    {"ifnull", SQL_RETURNS_ARGUMENTS},
    {"iif", SQL_RETURNS_CHOICE},
    {"instr", NUMBER},
    {"json", TEXT},
    {"json_array", TEXT},
    {"json_array_insert", TEXT},
    {"json_array_length", NUMBER},
    {"json_error_position", NUMBER},
    {"json_extract", UNKNOWN},
    {"json_insert", TEXT},
    {"json_object", TEXT},
    {"json_patch", TEXT},
    {"json_pretty", TEXT},
    {"json_quote", TEXT},
    {"json_remove", TEXT},
    {"json_replace", TEXT},
    {"json_set", TEXT},
    {"json_type", TEXT},
    {"json_valid", NUMBER},
    {"jsonb", BLOB},
    {"jsonb_array", BLOB},
    {"jsonb_array_insert", BLOB},
    {"jsonb_extract", UNKNOWN},
    {"jsonb_insert", BLOB},
    {"jsonb_object", BLOB},
    {"jsonb_patch", BLOB},
    {"jsonb_remove", BLOB},
    {"jsonb_replace", BLOB},
    {"jsonb_set", BLOB},
    {"julianday", NUMBER},
    {"length", NUMBER},
    {"like", NUMBER},
    {"likelihood", SQL_RETURNS_FIRST},
    {"likely", SQL_RETURNS_FIRST},
    {"ln", NUMBER},
    {"log", NUMBER},
    {"log10", NUMBER},
    {"log2", NUMBER},
    {"lower", TEXT},
    {"ltrim", TEXT},
    {"max", SQL_RETURNS_ARGUMENTS},
    {"min", SQL_RETURNS_ARGUMENTS},
    {"mod", NUMBER},
    {"nullif", SQL_RETURNS_FIRST},
    {"octet_length", NUMBER},
    {"pi", NUMBER},
    {"pow", NUMBER},
    {"power", NUMBER},
    {"printf", TEXT},
    {"quote", TEXT},
    {"radians", NUMBER},
    {"replace", TEXT},
    {"round", NUMBER},
    {"rtrim", TEXT},
    {"sign", NUMBER},
    {"sin", NUMBER},
    {"sinh", NUMBER},
    {"sqrt", NUMBER},
    {"strftime", TEXT},
    {"substr", UNKNOWN},
    {"substring", UNKNOWN},
    {"tan", NUMBER},
    {"tanh", NUMBER},
    {"time", TEXT},
    {"timediff", TEXT},
    {"trim", TEXT},
    {"trunc", NUMBER},
    {"typeof", TEXT},
    {"unhex", BLOB},
    {"unicode", NUMBER},
    {"unistr", TEXT},
    {"unistr_quote", TEXT},
    {"unixepoch", NUMBER},
    {"unlikely", SQL_RETURNS_FIRST},
    {"upper", TEXT},
    {"zeroblob", BLOB},
};

#define FUNCTION_COUNT (sizeof functions / sizeof functions[0])

const struct sql_function *sql_functions_list(unsigned index)
{
    return index < sizeof functions / sizeof functions[0] ? &functions[index] : NULL;
}

const struct sql_function *sql_functions_find(const char *name)
{
    for (size_t i = 0; i < FUNCTION_COUNT; i++) {
        if (sqlite3_stricmp(functions[i].name, name) == 0) {
            return &functions[i];
        }
    }
    return NULL;
}

const char *sql_functions_nearest(const char *name)
{
    const char *names[FUNCTION_COUNT];
    for (size_t i = 0; i < FUNCTION_COUNT; i++) {
        names[i] = functions[i].name;
    }
    return string_nearest(name, names, FUNCTION_COUNT);
}
