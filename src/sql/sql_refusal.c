#include "sql/sql_refusal.h"

#include <stdarg.h>
#include <stdio.h>

enum status sql_refuse(const struct sql_expression *expression, struct error *err, const char *code,
                       const char *format, ...)
{
    char message[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return error_set_at(err, STATUS_CONFIG, code, expression->file, expression->line,
                        expression->column, "%s: %s", expression->what, message);
}
