/*
 * Tokens: the text of an expression cut the way SQLite cuts it.
 *
 * The text will be put between parentheses inside larger statements, so this is also where
 * everything is refused that could reach out of them: a parenthesis too many, a quote without its
 * end, a semicolon, a comment (it would swallow what follows; and `a--1` is a comment to SQLite), a
 * list where one expression is expected. What SQLite itself refuses is left to SQLite.
 */
#ifndef WEIR_SQL_SQL_TOKENS_H
#define WEIR_SQL_SQL_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/status.h"
#include "sql/sql.h"

/* The longest expression that is taken. */
#define SQL_EXPRESSION_BYTES_MAX (64u * 1024u)

enum sql_token_kind {
    SQL_TOKEN_NAME,   /* a bare word: a column, a function, a keyword */
    SQL_TOKEN_QUOTED, /* "name", [name] or `name` */
    SQL_TOKEN_STRING, /* 'text' */
    SQL_TOKEN_BLOB,   /* x'0f' */
    SQL_TOKEN_NUMBER,
    SQL_TOKEN_SIGN, /* operators, parentheses, commas, and what SQLite will not know either */
    SQL_TOKEN_END,
};

struct sql_token {
    enum sql_token_kind kind;
    uint32_t start; /* in the expression's text */
    uint32_t size;
    uint32_t field; /* the column it names, FIELD_NONE otherwise; set by sql_names_resolve() */
};

struct sql_tokens {
    const char *text;
    struct sql_token *items; /* the last one is SQL_TOKEN_END */
    uint32_t count;          /* without the end */
};

enum status sql_tokens_cut(struct arena *arena, const struct sql_expression *expression,
                           struct sql_tokens *out, struct error *err) WEIR_MUST_USE;

/* True when the token is that sign, or that bare word in any case. */
bool sql_token_is(const struct sql_tokens *tokens, uint32_t index, const char *text);
/* True when a bare word is one of SQLite's keywords (some of which may still name a column). */
bool sql_token_is_keyword(const struct sql_tokens *tokens, uint32_t index);
/* The name without its quotes, the string without its quotes; NUL-terminated, in the arena. */
char *sql_token_unquote(struct arena *arena, const struct sql_tokens *tokens, uint32_t index);
/* The token as it stands in the text. */
struct bytes sql_token_bytes(const struct sql_tokens *tokens, uint32_t index);

#endif
