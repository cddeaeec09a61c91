/*
 * Compiles simple expressions: a parser by SQLite's grammar and precedence that writes operations
 * as it goes. What SQLite does that is not obvious, and holds here:
 *
 * - Integers stay integers while they fit in 64 bits; a sum, difference, product or quotient that
 *   does not is real. A quotient of integers is cut; dividing by 0 is NULL.
 * - A minus before a number's token makes one literal of both; elsewhere -x is 0 - x, so -(x) of a
 *   real 0 is 0.0, not -0.0. Parentheses leave no trace.
 * - Integers and reals are compared exactly. Affinity converts texts only, and texts are compared
 *   here with texts only; but a list behind IN goes through an index in which a REAL column's
 *   affinity makes reals of integers, so integers that no double holds are not taken there.
 * - What differs between SQLite's versions, or is too odd to be worth it, is not taken: a minus
 *   before a plus before a number, an empty list behind IN.
 * - IS TRUE and IS FALSE ask for the truth of the left side when the word itself stands there.
 * - coalesce() and ifnull() hand a value on as it is; min() and max() are NULL when any argument
 *   is.
 */
#include "sql/sql_native_emit.h"

#define DEPTH_MAX 100u

enum binding {
    BIND_NONE = 0,
    BIND_OR,
    BIND_AND,
    BIND_NOT,
    BIND_EQUAL, /* = <> IS BETWEEN IN ISNULL */
    BIND_LESS,  /* < <= > >= */
    BIND_SUM,
    BIND_PRODUCT,
    BIND_UNARY,
};

struct parser {
    struct sql_native_compiler *compiler;
    const struct sql_tokens *tokens;
    uint32_t at;
    uint32_t depth;
};

static struct sql_operand parse(struct parser *parser, enum binding least);

/* --- Primary expressions --- */

static bool is_next(const struct parser *parser, const char *text)
{
    return sql_token_is(parser->tokens, parser->at, text);
}

static bool take(struct parser *parser, const char *text)
{
    if (!is_next(parser, text)) {
        return false;
    }
    parser->at++;
    return true;
}

static void expect(struct parser *parser, const char *text)
{
    if (!take(parser, text)) {
        parser->compiler->lost = true;
    }
}

/* Asks SQLite what the number's token is, with a minus where `negative`. */
static struct sql_operand number_of(struct parser *parser, uint32_t token, bool negative)
{
    struct bytes text = sql_token_bytes(parser->tokens, token);
    struct buffer sql = {0};
    buffer_append_string(&sql, negative ? "SELECT -" : "SELECT ");
    buffer_append(&sql, text.data, text.size);
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(parser->compiler->db, buffer_string(&sql), -1, &statement, NULL);
    struct sql_operand result = {.is_constant = true, .is_token = !negative, .token = token};
    if (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW &&
        sqlite3_column_type(statement, 0) == SQLITE_INTEGER) {
        result.kind = SQL_VECTOR_INTEGER;
        result.number.integer = sqlite3_column_int64(statement, 0);
    } else if (code == SQLITE_OK && sqlite3_column_type(statement, 0) == SQLITE_FLOAT) {
        result.kind = SQL_VECTOR_REAL;
        result.number.real = sqlite3_column_double(statement, 0);
    } else {
        parser->compiler->lost = true;
    }
    /* Repeats the error of the step. */
    (void)sqlite3_finalize(statement);
    buffer_fini(&sql);
    return result;
}

static struct sql_operand parse_column(struct parser *parser, uint32_t field)
{
    const struct sql_native_compiler *compiler = parser->compiler;
    enum sql_vector_kind kind = SQL_VECTOR_CELL;
    if (compiler->is_time == NULL || !compiler->is_time[field]) {
        switch (compiler->layout->fields[field].type) {
        case COLUMN_BOOL:
        case COLUMN_INT64:
            kind = SQL_VECTOR_INTEGER;
            break;
        case COLUMN_DOUBLE:
            kind = SQL_VECTOR_REAL;
            break;
        case COLUMN_TEXT:
            kind = SQL_VECTOR_TEXT;
            break;
        case COLUMN_JSON:
        case COLUMN_OBJECT:
            break;
        }
    }
    return sql_emit_column(parser->compiler, field, kind);
}

static struct sql_operand parse_call(struct parser *parser, uint32_t name)
{
    bool absolute = sql_token_is(parser->tokens, name, "abs");
    bool least = sql_token_is(parser->tokens, name, "min");
    bool greatest = sql_token_is(parser->tokens, name, "max");
    if (!absolute && !least && !greatest && !sql_token_is(parser->tokens, name, "coalesce") &&
        !sql_token_is(parser->tokens, name, "ifnull")) {
        return sql_emit_lose(parser->compiler);
    }
    expect(parser, "(");
    struct sql_operand result = parse(parser, BIND_OR);
    if (absolute) {
        result = sql_emit_absolute(parser->compiler, &result);
    }
    while (!parser->compiler->lost && take(parser, ",")) {
        struct sql_operand next = parse(parser, BIND_OR);
        if (least || greatest) {
            result = sql_emit_extreme(parser->compiler,
                                      least ? SQL_NATIVE_LEAST_NUMBER : SQL_NATIVE_GREATEST_NUMBER,
                                      &result, &next);
        } else {
            result = sql_emit_first(parser->compiler, &result, &next);
        }
    }
    expect(parser, ")");
    return result;
}

static struct sql_operand parse_word(struct parser *parser, uint32_t start)
{
    const struct sql_tokens *tokens = parser->tokens;
    const struct sql_token *token = &tokens->items[start];
    if (token->kind == SQL_TOKEN_NAME) {
        bool is_true = sql_token_is(tokens, start, "TRUE");
        if (is_true || sql_token_is(tokens, start, "FALSE")) {
            return (struct sql_operand){
                .kind = SQL_VECTOR_INTEGER,
                .is_truth = true,
                .is_constant = true,
                .is_word = true,
                .number.integer = is_true,
            };
        }
        if (sql_token_is(tokens, start, "NULL")) {
            return sql_null_operand;
        }
        /* What a keyword means in this place is SQLite's business, also where a field has its
         * name. */
        if (sql_token_is_keyword(tokens, start)) {
            return sql_emit_lose(parser->compiler);
        }
        if (is_next(parser, "(")) {
            return parse_call(parser, start);
        }
    }
    return token->field == FIELD_NONE ? sql_emit_lose(parser->compiler)
                                      : parse_column(parser, token->field);
}

static struct sql_operand parse_sign(struct parser *parser, uint32_t start)
{
    if (sql_token_is(parser->tokens, start, "(")) {
        struct sql_operand inner = parse(parser, BIND_OR);
        expect(parser, ")");
        return inner;
    }
    bool minus = sql_token_is(parser->tokens, start, "-");
    if (!minus && !sql_token_is(parser->tokens, start, "+")) {
        return sql_emit_lose(parser->compiler);
    }
    struct sql_operand operand = parse(parser, BIND_UNARY);
    if (minus && operand.is_token) {
        return number_of(parser, operand.token, true);
    }
    operand.is_word = false;
    if (!minus) {
        operand.is_signed = operand.is_signed || operand.is_token;
        operand.is_token = false;
        return operand;
    }
    /* Whether - +0.0 is a literal depends on SQLite's version. */
    if (operand.is_signed) {
        return sql_emit_lose(parser->compiler);
    }
    struct sql_operand zero = {.kind = SQL_VECTOR_INTEGER, .is_constant = true};
    return sql_emit_arithmetic(parser->compiler, SQL_SUBTRACT, &zero, &operand);
}

static struct sql_operand parse_primary(struct parser *parser)
{
    uint32_t start = parser->at;
    const struct sql_token *token = &parser->tokens->items[start];
    if (token->kind == SQL_TOKEN_END || parser->depth >= DEPTH_MAX) {
        return sql_emit_lose(parser->compiler);
    }
    if (take(parser, "NOT")) {
        struct sql_operand operand = parse(parser, BIND_NOT);
        return sql_emit_not(parser->compiler, &operand);
    }
    parser->at++;
    switch (token->kind) {
    case SQL_TOKEN_NUMBER:
        return number_of(parser, start, false);
    case SQL_TOKEN_STRING:
        return (struct sql_operand){
            .kind = SQL_VECTOR_TEXT,
            .is_constant = true,
            .text =
                bytes_of_string(sql_token_unquote(parser->compiler->arena, parser->tokens, start)),
        };
    case SQL_TOKEN_NAME:
    case SQL_TOKEN_QUOTED:
        return parse_word(parser, start);
    case SQL_TOKEN_SIGN:
        return parse_sign(parser, start);
    case SQL_TOKEN_BLOB:
    case SQL_TOKEN_END:
        break;
    }
    return sql_emit_lose(parser->compiler);
}

/* --- Operators --- */

static struct sql_operand parse_between(struct parser *parser, const struct sql_operand *left)
{
    struct sql_operand low = parse(parser, BIND_EQUAL + 1);
    expect(parser, "AND");
    struct sql_operand high = parse(parser, BIND_EQUAL + 1);
    struct sql_operand above = sql_emit_comparison(parser->compiler, SQL_GREATER_EQUAL, left, &low);
    struct sql_operand below = sql_emit_comparison(parser->compiler, SQL_LESS_EQUAL, left, &high);
    return sql_emit_logic(parser->compiler, SQL_NATIVE_AND, &above, &below);
}

static struct sql_operand parse_in(struct parser *parser, const struct sql_operand *left)
{
    expect(parser, "(");
    struct sql_operand result = sql_null_operand;
    bool first = true;
    /* An empty list makes the whole the word FALSE, or TRUE behind NOT: too odd to be taken. */
    while (!parser->compiler->lost && (first || !is_next(parser, ")"))) {
        if (!first) {
            expect(parser, ",");
        }
        struct sql_operand member = parse(parser, BIND_OR);
        bool exact = member.kind != SQL_VECTOR_INTEGER || sql_operand_is_exact(&member);
        if (left->is_null || !member.is_constant || (!member.is_null && !exact)) {
            return sql_emit_lose(parser->compiler);
        }
        struct sql_operand found = sql_emit_comparison(parser->compiler, SQL_EQUAL, left, &member);
        result = first ? found : sql_emit_logic(parser->compiler, SQL_NATIVE_OR, &result, &found);
        first = false;
    }
    expect(parser, ")");
    return result;
}

static struct sql_operand parse_is(struct parser *parser, const struct sql_operand *left)
{
    bool negate = take(parser, "NOT");
    struct sql_operand right = parse(parser, BIND_EQUAL + 1);
    return sql_emit_is(parser->compiler, left, &right, negate);
}

/* The operators of BIND_EQUAL that are not = or <>. */
static struct sql_operand parse_test(struct parser *parser, const struct sql_operand *left)
{
    if (take(parser, "ISNULL")) {
        return sql_emit_is_null(parser->compiler, left, false);
    }
    if (take(parser, "NOTNULL")) {
        return sql_emit_is_null(parser->compiler, left, true);
    }
    if (take(parser, "IS")) {
        return parse_is(parser, left);
    }
    bool negate = take(parser, "NOT");
    if (negate && take(parser, "NULL")) {
        return sql_emit_is_null(parser->compiler, left, true);
    }
    struct sql_operand result;
    if (take(parser, "BETWEEN")) {
        result = parse_between(parser, left);
    } else if (take(parser, "IN")) {
        result = parse_in(parser, left);
    } else {
        return sql_emit_lose(parser->compiler);
    }
    return negate ? sql_emit_not(parser->compiler, &result) : result;
}

struct infix {
    const char *text;
    enum binding binding;
    enum { DOES_LOGIC, DOES_COMPARISON, DOES_ARITHMETIC, DOES_TEST } does;
    unsigned what; /* enum sql_native_code, enum sql_comparison, enum sql_arithmetic */
};

static const struct infix *next_infix(const struct parser *parser)
{
    static const struct infix infixes[] = {
        {"OR", BIND_OR, DOES_LOGIC, SQL_NATIVE_OR},
        {"AND", BIND_AND, DOES_LOGIC, SQL_NATIVE_AND},
        {"=", BIND_EQUAL, DOES_COMPARISON, SQL_EQUAL},
        {"==", BIND_EQUAL, DOES_COMPARISON, SQL_EQUAL},
        {"<>", BIND_EQUAL, DOES_COMPARISON, SQL_UNEQUAL},
        {"!=", BIND_EQUAL, DOES_COMPARISON, SQL_UNEQUAL},
        {"IS", BIND_EQUAL, DOES_TEST, 0},
        {"ISNULL", BIND_EQUAL, DOES_TEST, 0},
        {"NOTNULL", BIND_EQUAL, DOES_TEST, 0},
        {"NOT", BIND_EQUAL, DOES_TEST, 0},
        {"BETWEEN", BIND_EQUAL, DOES_TEST, 0},
        {"IN", BIND_EQUAL, DOES_TEST, 0},
        {"<", BIND_LESS, DOES_COMPARISON, SQL_LESS},
        {"<=", BIND_LESS, DOES_COMPARISON, SQL_LESS_EQUAL},
        {">", BIND_LESS, DOES_COMPARISON, SQL_GREATER},
        {">=", BIND_LESS, DOES_COMPARISON, SQL_GREATER_EQUAL},
        {"+", BIND_SUM, DOES_ARITHMETIC, SQL_ADD},
        {"-", BIND_SUM, DOES_ARITHMETIC, SQL_SUBTRACT},
        {"*", BIND_PRODUCT, DOES_ARITHMETIC, SQL_MULTIPLY},
        {"/", BIND_PRODUCT, DOES_ARITHMETIC, SQL_DIVIDE},
        {"%", BIND_PRODUCT, DOES_ARITHMETIC, SQL_REMAINDER},
    };
    for (size_t i = 0; i < sizeof infixes / sizeof infixes[0]; i++) {
        if (is_next(parser, infixes[i].text)) {
            return &infixes[i];
        }
    }
    return NULL;
}

static struct sql_operand parse_infix(struct parser *parser, const struct sql_operand *left,
                                      const struct infix *infix)
{
    if (infix->does == DOES_TEST) {
        return parse_test(parser, left);
    }
    parser->at++;
    struct sql_operand right = parse(parser, infix->binding + 1);
    switch (infix->does) {
    case DOES_LOGIC:
        return sql_emit_logic(parser->compiler, (enum sql_native_code)infix->what, left, &right);
    case DOES_COMPARISON:
        return sql_emit_comparison(parser->compiler, (enum sql_comparison)infix->what, left,
                                   &right);
    case DOES_ARITHMETIC:
        return sql_emit_arithmetic(parser->compiler, (enum sql_arithmetic)infix->what, left,
                                   &right);
    case DOES_TEST:
        break;
    }
    return sql_emit_lose(parser->compiler);
}

static struct sql_operand parse(struct parser *parser, enum binding least)
{
    parser->depth++;
    struct sql_operand left = parse_primary(parser);
    while (!parser->compiler->lost) {
        const struct infix *infix = next_infix(parser);
        if (infix == NULL || infix->binding < least) {
            break;
        }
        left = parse_infix(parser, &left, infix);
    }
    parser->depth--;
    return left;
}

bool sql_native_compile(struct sql_native_compiler *compiler, uint32_t expression,
                        const struct sql_tokens *tokens)
{
    struct parser parser = {.compiler = compiler, .tokens = tokens};
    sql_emit_begin(compiler);
    struct sql_operand whole = parse(&parser, BIND_OR);
    if (tokens->items[parser.at].kind != SQL_TOKEN_END) {
        whole = sql_emit_lose(compiler);
    }
    return sql_emit_end(compiler, expression, &whole);
}
