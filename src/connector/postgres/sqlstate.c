#include "connector/postgres/sqlstate.h"

#include <stddef.h>
#include <string.h>

static int has_class(const char *sqlstate, const char *class)
{
    return strncmp(sqlstate, class, 2) == 0;
}

enum sqlstate_class sqlstate_class(const char *sqlstate)
{
    static const char *const row_classes[] = {"22", "23", "44"};
    static const char *const row_states[] = {"P0001", "54000"};
    static const char *const passing_classes[] = {"08", "40", "53", "55", "57"};
    if (sqlstate == NULL || sqlstate[0] == '\0') {
        return SQLSTATE_PASSING;
    }
    for (size_t i = 0; i < sizeof row_classes / sizeof row_classes[0]; i++) {
        if (has_class(sqlstate, row_classes[i])) {
            return SQLSTATE_ROW;
        }
    }
    for (size_t i = 0; i < sizeof row_states / sizeof row_states[0]; i++) {
        if (strcmp(sqlstate, row_states[i]) == 0) {
            return SQLSTATE_ROW;
        }
    }
    /* "object not in prerequisite state" is how something was made: it does not pass. */
    if (strcmp(sqlstate, "55000") == 0) {
        return SQLSTATE_STOP;
    }
    for (size_t i = 0; i < sizeof passing_classes / sizeof passing_classes[0]; i++) {
        if (has_class(sqlstate, passing_classes[i])) {
            return SQLSTATE_PASSING;
        }
    }
    return SQLSTATE_STOP;
}

const char *sqlstate_reason(const char *sqlstate)
{
    static const struct {
        const char *sqlstate;
        const char *reason;
    } reasons[] = {
        {"23502", "sink.constraint_notnull"},    {"23503", "sink.constraint_foreignkey"},
        {"23505", "sink.constraint_unique"},     {"23514", "sink.constraint_check"},
        {"23P01", "sink.constraint_exclusion"},  {"22001", "sink.too_long"},
        {"22003", "sink.out_of_range"},          {"22021", "sink.encoding"},
        {"54000", "sink.too_large"},             {"P0001", "sink.trigger"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (strcmp(sqlstate, reasons[i].sqlstate) == 0) {
            return reasons[i].reason;
        }
    }
    return has_class(sqlstate, "23") ? "sink.constraint" : "sink.datatype";
}

const char *sqlstate_advice(const char *sqlstate)
{
    if (has_class(sqlstate, "28")) {
        return "check user and password of the connection";
    }
    if (strcmp(sqlstate, "42501") == 0) {
        return "grant the right, then start again";
    }
    if (strcmp(sqlstate, "42P01") == 0) {
        return "bring the table back as it was, then start again";
    }
    if (strcmp(sqlstate, "42P10") == 0) {
        return "make a unique index on the key columns of the sink";
    }
    if (strcmp(sqlstate, "25006") == 0) {
        return "the server is a standby or read-only: name the primary in the connection";
    }
    if (strcmp(sqlstate, "3D000") == 0 || strcmp(sqlstate, "3F000") == 0) {
        return "make the database or the schema";
    }
    return "mend it, then start again; nothing is lost";
}
