#include "sql/sql_tokens.h"

#include <sqlite3.h>
#include <string.h>

#include "batch/layout.h"
#include "sql/sql_refusal.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (uint8_t)c >= 0x80;
}

static bool is_word(char c)
{
    return is_word_start(c) || is_digit(c) || c == '$';
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Size of a quoted run that begins at `at` and ends with `quote` (doubled inside where
 * `doubles`); 0 when it has no end. */
static size_t quoted_size(const char *at, char quote, bool doubles)
{
    for (size_t i = 1; at[i] != '\0'; i++) {
        if (at[i] != quote) {
            continue;
        }
        if (!doubles || at[i + 1] != quote) {
            return i + 1;
        }
        i++;
    }
    return 0;
}

/* Takes more than a number may have (5abc): then SQLite sees it whole and refuses it. */
static size_t number_size(const char *at)
{
    size_t i = 0;
    bool hexadecimal = at[0] == '0' && (at[1] == 'x' || at[1] == 'X');
    for (;; i++) {
        bool exponent_sign = !hexadecimal && (at[i] == '+' || at[i] == '-') && i > 0 &&
                             (at[i - 1] == 'e' || at[i - 1] == 'E') && is_digit(at[i + 1]);
        if (!is_word(at[i]) && at[i] != '.' && !exponent_sign) {
            return i;
        }
    }
}

static size_t sign_size(const char *at)
{
    static const char *const signs[] = {
        "->>", "->", "||", "<<", ">>", "<=", ">=", "<>", "!=", "==", NULL};
    for (size_t i = 0; signs[i] != NULL; i++) {
        size_t size = strlen(signs[i]);
        if (strncmp(at, signs[i], size) == 0) {
            return size;
        }
    }
    return 1;
}

/* Kind and size of the token at `at`; size 0 when its quote has no end. */
static enum sql_token_kind next_token(const char *at, size_t *out_size)
{
    if (at[0] == '\'') {
        *out_size = quoted_size(at, '\'', true);
        return SQL_TOKEN_STRING;
    }
    if ((at[0] == 'x' || at[0] == 'X') && at[1] == '\'') {
        size_t size = quoted_size(at + 1, '\'', true);
        *out_size = size == 0 ? 0 : size + 1;
        return SQL_TOKEN_BLOB;
    }
    if (at[0] == '"' || at[0] == '`') {
        *out_size = quoted_size(at, at[0], true);
        return SQL_TOKEN_QUOTED;
    }
    if (at[0] == '[') {
        *out_size = quoted_size(at, ']', false);
        return SQL_TOKEN_QUOTED;
    }
    if (is_digit(at[0]) || (at[0] == '.' && is_digit(at[1]))) {
        *out_size = number_size(at);
        return SQL_TOKEN_NUMBER;
    }
    if (is_word_start(at[0])) {
        size_t size = 1;
        while (is_word(at[size])) {
            size++;
        }
        *out_size = size;
        return SQL_TOKEN_NAME;
    }
    *out_size = sign_size(at);
    return SQL_TOKEN_SIGN;
}

static enum status check_text(const struct sql_expression *expression, struct error *err)
{
    struct bytes text = bytes_of_string(expression->text);
    if (text.size > SQL_EXPRESSION_BYTES_MAX) {
        return sql_refuse(expression, err, SQL_CODE_SYNTAX,
                          "the expression is longer than %u bytes", SQL_EXPRESSION_BYTES_MAX);
    }
    if (!bytes_is_utf8(text)) {
        return sql_refuse(expression, err, SQL_CODE_SYNTAX, "the expression is not UTF-8");
    }
    return STATUS_OK;
}

/* Refuses what may not begin a token at all. */
static enum status check_start(const struct sql_expression *expression, const char *at,
                               struct error *err)
{
    if (at[0] == ';') {
        return sql_refuse(expression, err, SQL_CODE_SYNTAX,
                          "one expression is expected, without a semicolon");
    }
    if (at[0] == '-' && at[1] == '-') {
        return sql_refuse(expression, err, SQL_CODE_SYNTAX,
                          "-- begins a comment, and comments are not taken here; to subtract a "
                          "negative number write a space between: - -1");
    }
    if (at[0] == '/' && at[1] == '*') {
        return sql_refuse(expression, err, SQL_CODE_SYNTAX,
                          "/* begins a comment, and comments are not taken here");
    }
    if (at[0] != '\0' && strchr("?:@#$", at[0]) != NULL) {
        return sql_refuse(expression, err, SQL_CODE_NOT_ALLOWED,
                          "%c begins a parameter, and an expression has none", at[0]);
    }
    return STATUS_OK;
}

/* Follows the parentheses. */
static enum status check_depth(const struct sql_expression *expression, char sign, uint32_t *depth,
                               struct error *err)
{
    if (sign == '(') {
        (*depth)++;
    } else if (sign == ')' && *depth == 0) {
        return sql_refuse(expression, err, SQL_CODE_SYNTAX,
                          "a closing parenthesis has no opening one");
    } else if (sign == ')') {
        (*depth)--;
    } else if (sign == ',' && *depth == 0) {
        return sql_refuse(expression, err, SQL_CODE_SYNTAX,
                          "one expression is expected, not a list");
    }
    return STATUS_OK;
}

static enum status check_whole(const struct sql_expression *expression,
                               const struct sql_tokens *tokens, uint32_t depth, struct error *err)
{
    if (tokens->count == 0) {
        return sql_refuse(expression, err, SQL_CODE_SYNTAX, "the expression is empty");
    }
    if (depth > 0) {
        return sql_refuse(expression, err, SQL_CODE_SYNTAX,
                          "a parenthesis is opened and never closed");
    }
    for (uint32_t i = 0; i < tokens->count; i++) {
        if (sql_token_is(tokens, i, "SELECT")) {
            return sql_refuse(expression, err, SQL_CODE_NOT_ALLOWED,
                              "this is a query; an expression over the columns of one record is "
                              "expected, such as temperature > 0");
        }
    }
    return STATUS_OK;
}

enum status sql_tokens_cut(struct arena *arena, const struct sql_expression *expression,
                           struct sql_tokens *out, struct error *err)
{
    enum status status = check_text(expression, err);
    if (status != STATUS_OK) {
        return status;
    }
    const char *text = expression->text;
    size_t text_size = strlen(text);
    struct sql_tokens tokens = {
        .text = text,
        .items = arena_alloc(arena, size_mul(text_size + 1, sizeof(struct sql_token))),
    };
    uint32_t depth = 0;
    size_t at = 0;
    while (at < text_size) {
        if (is_space(text[at])) {
            at++;
            continue;
        }
        status = check_start(expression, text + at, err);
        if (status != STATUS_OK) {
            return status;
        }
        size_t size = 0;
        enum sql_token_kind kind = next_token(text + at, &size);
        if (size == 0) {
            return sql_refuse(expression, err, SQL_CODE_SYNTAX,
                              "the quote at position %zu is never closed", at + 1);
        }
        if (kind == SQL_TOKEN_SIGN) {
            status = check_depth(expression, text[at], &depth, err);
            if (status != STATUS_OK) {
                return status;
            }
        }
        tokens.items[tokens.count++] =
            (struct sql_token){kind, (uint32_t)at, (uint32_t)size, FIELD_NONE};
        at += size;
    }
    tokens.items[tokens.count] =
        (struct sql_token){SQL_TOKEN_END, (uint32_t)text_size, 0, FIELD_NONE};
    status = check_whole(expression, &tokens, depth, err);
    if (status == STATUS_OK) {
        *out = tokens;
    }
    return status;
}

bool sql_token_is(const struct sql_tokens *tokens, uint32_t index, const char *text)
{
    const struct sql_token *token = &tokens->items[index];
    return (token->kind == SQL_TOKEN_NAME || token->kind == SQL_TOKEN_SIGN) &&
           token->size == strlen(text) &&
           sqlite3_strnicmp(tokens->text + token->start, text, (int)token->size) == 0;
}

bool sql_token_is_keyword(const struct sql_tokens *tokens, uint32_t index)
{
    const struct sql_token *token = &tokens->items[index];
    return token->kind == SQL_TOKEN_NAME &&
           sqlite3_keyword_check(tokens->text + token->start, (int)token->size) != 0;
}

char *sql_token_unquote(struct arena *arena, const struct sql_tokens *tokens, uint32_t index)
{
    const struct sql_token *token = &tokens->items[index];
    const char *text = tokens->text + token->start;
    if (token->kind != SQL_TOKEN_QUOTED && token->kind != SQL_TOKEN_STRING) {
        return arena_copy(arena, text, token->size);
    }
    char quote = text[0];
    char *out = arena_alloc(arena, (size_t)token->size + 1);
    size_t size = 0;
    for (uint32_t i = 1; i + 1 < token->size; i++) {
        out[size++] = text[i];
        if (quote != '[' && text[i] == quote) {
            i++;
        }
    }
    out[size] = '\0';
    return out;
}

struct bytes sql_token_bytes(const struct sql_tokens *tokens, uint32_t index)
{
    return bytes_of(tokens->text + tokens->items[index].start, tokens->items[index].size);
}
