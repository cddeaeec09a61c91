/*
 * Emitting: with what the parser of native expressions (sql_native_compile.c) writes operations.
 *
 * An OPERAND is a part of the expression and what is known of it. Each function takes operands and
 * gives the operand of the result, with SQLite's types and rules; what it cannot surely give as
 * SQLite would makes the expression LOST, and it is left to SQLite.
 */
#ifndef WEIR_SQL_SQL_NATIVE_EMIT_H
#define WEIR_SQL_SQL_NATIVE_EMIT_H

#include "sql/sql_native.h"

/* Constants get a vector when they are used, since the use decides whether as an integer or as a
 * real. */
struct sql_operand {
    enum sql_vector_kind kind;
    bool is_null;     /* it can be nothing else; a constant of any kind */
    bool is_truth;    /* integers that are 0, 1 or NULL */
    bool is_constant; /* `number` or `text` is its value */
    bool is_word;     /* TRUE or FALSE as it stands */
    bool is_token;    /* a number as it stands, in `token` */
    bool is_signed;   /* the same behind a plus */
    uint32_t token;
    uint16_t vector; /* unless constant */
    union sql_number number;
    struct bytes text;
};

struct sql_native_compiler {
    struct arena *arena;
    const struct layout *layout;
    const bool *is_time;
    sqlite3 *db;
    struct buffer fixed;       /* vectors that no operation makes */
    struct buffer operations;  /* of struct sql_native_operation */
    struct buffer expressions; /* of struct sql_native_expression */
    uint32_t temporary_count;  /* the most that an expression has */

    /* Of the expression at hand: */
    size_t fixed_before, operations_before;
    uint32_t used; /* operations */
    bool lost;
};

extern const struct sql_operand sql_null_operand;

void sql_emit_begin(struct sql_native_compiler *compiler);
/* False, with all that was emitted forgotten, when it is lost. */
bool sql_emit_end(struct sql_native_compiler *compiler, uint32_t expression,
                  const struct sql_operand *whole);

struct sql_operand sql_emit_lose(struct sql_native_compiler *compiler);
struct sql_operand sql_emit_column(struct sql_native_compiler *compiler, uint32_t field,
                                   enum sql_vector_kind kind);

/* In the order of the operations' codes. */
enum sql_arithmetic { SQL_ADD, SQL_SUBTRACT, SQL_MULTIPLY, SQL_DIVIDE, SQL_REMAINDER };
struct sql_operand sql_emit_arithmetic(struct sql_native_compiler *compiler,
                                       enum sql_arithmetic arithmetic, const struct sql_operand *a,
                                       const struct sql_operand *b);

enum sql_comparison {
    SQL_EQUAL,
    SQL_UNEQUAL,
    SQL_LESS,
    SQL_LESS_EQUAL,
    SQL_GREATER,
    SQL_GREATER_EQUAL,
};
struct sql_operand sql_emit_comparison(struct sql_native_compiler *compiler,
                                       enum sql_comparison comparison, const struct sql_operand *a,
                                       const struct sql_operand *b);
/* Whether it is an integer constant that a double holds. */
bool sql_operand_is_exact(const struct sql_operand *operand);
struct sql_operand sql_emit_is_null(struct sql_native_compiler *compiler,
                                    const struct sql_operand *operand, bool negate);
struct sql_operand sql_emit_is(struct sql_native_compiler *compiler, const struct sql_operand *a,
                               const struct sql_operand *b, bool negate);

/* SQL_NATIVE_AND, SQL_NATIVE_OR */
struct sql_operand sql_emit_logic(struct sql_native_compiler *compiler, enum sql_native_code code,
                                  const struct sql_operand *a, const struct sql_operand *b);
struct sql_operand sql_emit_not(struct sql_native_compiler *compiler, const struct sql_operand *a);

/* coalesce(a, b) */
struct sql_operand sql_emit_first(struct sql_native_compiler *compiler, const struct sql_operand *a,
                                  const struct sql_operand *b);
/* SQL_NATIVE_LEAST_NUMBER, SQL_NATIVE_GREATEST_NUMBER */
struct sql_operand sql_emit_extreme(struct sql_native_compiler *compiler, enum sql_native_code code,
                                    const struct sql_operand *a, const struct sql_operand *b);
struct sql_operand sql_emit_absolute(struct sql_native_compiler *compiler,
                                     const struct sql_operand *a);

#endif
