/*
 * Refusals: how the check of an expression says no. Every refusal is a CONFIG error at the
 * expression's place in the pipeline file, and its message begins with what the expression is for
 * ("checks.dew_point.expect: …").
 */
#ifndef WEIR_SQL_SQL_REFUSAL_H
#define WEIR_SQL_SQL_REFUSAL_H

#include "base/status.h"
#include "sql/sql.h"

#define SQL_CODE_SYNTAX "sql.syntax"
#define SQL_CODE_UNKNOWN_COLUMN "sql.unknown_column"
#define SQL_CODE_NOT_ALLOWED "sql.not_allowed"
#define SQL_CODE_TYPES "sql.types"

enum status sql_refuse(const struct sql_expression *expression, struct error *err, const char *code,
                       const char *format, ...) WEIR_PRINTF(4, 5);

#endif
