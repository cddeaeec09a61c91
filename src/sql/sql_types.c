#include "sql/sql_types.h"

#include <sqlite3.h>
#include <string.h>

#include "base/bytes.h"
#include "sql/sql_calendar.h"
#include "sql/sql_collation.h"
#include "sql/sql_compare.h"
#include "sql/sql_functions.h"
#include "sql/sql_refusal.h"

/* How tightly an operator binds, as in SQLite's grammar. */
enum binding {
    BIND_NONE = 0,
    BIND_OR,
    BIND_AND,
    BIND_NOT,
    BIND_EQUAL, /* = <> IS LIKE GLOB BETWEEN IN ISNULL */
    BIND_LESS,  /* < <= > >= */
    BIND_ESCAPE,
    BIND_BITS, /* & | << >> */
    BIND_SUM,
    BIND_PRODUCT,
    BIND_CONCAT, /* || -> ->> */
    BIND_COLLATE,
    BIND_UNARY, /* ~ - + */
};

/* Deeper than SQLite's own limit for expressions, so that nothing it accepts is lost here. */
#define DEPTH_MAX 400u

struct parser {
    struct sql_comparer comparer;
    struct arena *arena;
    const struct layout *layout;
    const bool *is_time;
    const struct sql_tokens *tokens;
    uint32_t at;
    uint32_t depth;
    bool lost; /* something was not understood: nothing found is sure any more */
};

static struct sql_part parse(struct parser *parser, enum binding least);

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
        parser->lost = true;
    }
}

static struct sql_part part_of(const struct parser *parser, enum sql_kind kind, uint32_t first)
{
    return (struct sql_part){
        .kind = kind,
        .first = first,
        .last = parser->at == 0 ? 0 : parser->at - 1,
        .is_integer = kind == SQL_KIND_BOOL,
    };
}

static struct sql_part integer_if(struct sql_part part, bool is_integer)
{
    part.is_integer = part.is_integer || is_integer;
    return part;
}

/* --- Kinds --- */

/* What a place has that holds now one, now the other. */
static enum sql_kind unify(enum sql_kind a, enum sql_kind b)
{
    bool numeric = (a == SQL_KIND_NUMBER || a == SQL_KIND_BOOL) &&
                   (b == SQL_KIND_NUMBER || b == SQL_KIND_BOOL);
    if (numeric) {
        return a == b ? a : SQL_KIND_NUMBER;
    }
    if ((a == SQL_KIND_TIME_TEXT && b == SQL_KIND_TEXT) ||
        (a == SQL_KIND_TEXT && b == SQL_KIND_TIME_TEXT)) {
        return SQL_KIND_TIME_TEXT;
    }
    return a == b ? a : SQL_KIND_UNKNOWN;
}

/* A function or CASE does not hand on the collation of a column. */
static enum sql_kind result_kind(enum sql_kind kind)
{
    if (kind == SQL_KIND_TIME) {
        return SQL_KIND_TIME_TEXT;
    }
    return kind == SQL_KIND_JSON ? SQL_KIND_UNKNOWN : kind;
}

/* --- Primary expressions --- */

/* The results that a function or CASE chooses from. */
struct choice {
    enum sql_kind kind;
    bool is_integer;
    bool is_open; /* there is one */
};

static void add_result(const struct parser *parser, struct choice *choice,
                       const struct sql_part *next)
{
    if (next->first == next->last && sql_token_is(parser->tokens, next->first, "NULL")) {
        return; /* It says nothing of the others. */
    }
    enum sql_kind kind = result_kind(next->kind);
    choice->kind = choice->is_open ? unify(choice->kind, kind) : kind;
    choice->is_integer = next->is_integer && (choice->is_integer || !choice->is_open);
    choice->is_open = true;
}

static struct sql_part parse_case(struct parser *parser, uint32_t start)
{
    struct sql_part base = {.first = start, .last = start};
    bool has_base = !is_next(parser, "WHEN");
    if (has_base) {
        base = parse(parser, BIND_OR);
    }
    struct choice choice = {0};
    while (!parser->lost && take(parser, "WHEN")) {
        struct sql_part when = parse(parser, BIND_OR);
        if (has_base) {
            sql_compare(&parser->comparer, &base, &when);
        }
        expect(parser, "THEN");
        struct sql_part result = parse(parser, BIND_OR);
        add_result(parser, &choice, &result);
    }
    if (take(parser, "ELSE")) {
        struct sql_part result = parse(parser, BIND_OR);
        add_result(parser, &choice, &result);
    }
    expect(parser, "END");
    return integer_if(part_of(parser, choice.kind, start), choice.is_integer);
}

static bool contains_folded(const char *text, const char *part)
{
    size_t part_size = strlen(part);
    for (; *text != '\0'; text++) {
        if (sqlite3_strnicmp(text, part, (int)part_size) == 0) {
            return true;
        }
    }
    return false;
}

/* SQLite's rules for the affinity of a type's name, in their order. */
static enum sql_kind cast_kind(const char *type)
{
    if (contains_folded(type, "INT")) {
        return SQL_KIND_NUMBER;
    }
    if (contains_folded(type, "CHAR") || contains_folded(type, "CLOB") ||
        contains_folded(type, "TEXT")) {
        return SQL_KIND_TEXT;
    }
    if (type[0] == '\0' || contains_folded(type, "BLOB")) {
        return SQL_KIND_BLOB;
    }
    return SQL_KIND_NUMBER;
}

static struct sql_part parse_cast(struct parser *parser, uint32_t start)
{
    expect(parser, "(");
    (void)parse(parser, BIND_OR);
    expect(parser, "AS");
    uint32_t depth = 1;
    uint32_t type_start = parser->tokens->items[parser->at].start;
    uint32_t type_end = type_start;
    while (!parser->lost && depth > 0) {
        if (parser->tokens->items[parser->at].kind == SQL_TOKEN_END) {
            parser->lost = true;
            break;
        }
        depth += is_next(parser, "(") ? 1u : 0u;
        depth -= is_next(parser, ")") ? 1u : 0u;
        type_end = parser->tokens->items[parser->at].start;
        parser->at++;
    }
    const char *type =
        arena_copy(parser->arena, parser->tokens->text + type_start, type_end - type_start);
    return integer_if(part_of(parser, cast_kind(type), start), contains_folded(type, "INT"));
}

/* Refuses what the calendar would refuse at every row. */
static void check_calendar_call(struct parser *parser, const char *name,
                                const struct sql_part *arguments, uint32_t argument_count)
{
    struct sql_comparer *comparer = &parser->comparer;
    const char *why = sql_calendar_refuses_count(name, (int)argument_count);
    if (why != NULL) {
        (void)sql_refuse(comparer->expression, &comparer->refusal, SQL_CODE_NOT_ALLOWED,
                         "%s() without a time %s", name, why);
    }
    for (uint32_t i = 0; i < argument_count; i++) {
        if (!arguments[i].is_literal || arguments[i].kind != SQL_KIND_TEXT) {
            continue;
        }
        const char *text = sql_part_literal(comparer, &arguments[i]);
        why = sql_calendar_refuses_argument(name, (int)i, text);
        if (why != NULL) {
            (void)sql_refuse(comparer->expression, &comparer->refusal, SQL_CODE_NOT_ALLOWED,
                             "'%s' %s", text, why);
        }
    }
}

static struct choice call_result(struct parser *parser, const char *name,
                                 const struct sql_part *arguments, uint32_t argument_count)
{
    const struct sql_function *function = sql_functions_find(name);
    struct choice result = {.kind = SQL_KIND_UNKNOWN};
    if (function == NULL || argument_count == 0) {
        return result;
    }
    switch (function->returns) {
    case SQL_RETURNS_NUMBER:
        result.kind = SQL_KIND_NUMBER;
        result.is_integer = strcmp(function->name, "abs") == 0 && arguments[0].is_integer;
        break;
    case SQL_RETURNS_TEXT:
        result.kind = SQL_KIND_TEXT;
        break;
    case SQL_RETURNS_BLOB:
        result.kind = SQL_KIND_BLOB;
        break;
    case SQL_RETURNS_FIRST:
        if (argument_count == 2 && strcmp(function->name, "nullif") == 0) {
            sql_compare(&parser->comparer, &arguments[0], &arguments[1]);
        }
        add_result(parser, &result, &arguments[0]);
        break;
    case SQL_RETURNS_ARGUMENTS:
        for (uint32_t i = 0; i < argument_count; i++) {
            add_result(parser, &result, &arguments[i]);
        }
        break;
    case SQL_RETURNS_CHOICE:
        for (uint32_t i = 0; i < argument_count; i++) {
            if (i % 2 == 1 || i + 1 == argument_count) {
                add_result(parser, &result, &arguments[i]);
            }
        }
        break;
    case SQL_RETURNS_UNKNOWN:
        break;
    }
    return result;
}

static struct sql_part parse_call(struct parser *parser, uint32_t start)
{
    const char *name = sql_token_unquote(parser->arena, parser->tokens, start);
    expect(parser, "(");
    struct buffer arguments = {0};
    uint32_t argument_count = 0;
    while (!parser->lost && !is_next(parser, ")")) {
        if (argument_count > 0) {
            expect(parser, ",");
        }
        struct sql_part argument = parse(parser, BIND_OR);
        buffer_append(&arguments, &argument, sizeof argument);
        argument_count++;
    }
    expect(parser, ")");
    struct choice result = {.kind = SQL_KIND_UNKNOWN};
    if (!parser->lost) {
        const struct sql_part *items = (const struct sql_part *)(const void *)arguments.data;
        check_calendar_call(parser, name, items, argument_count);
        result = call_result(parser, name, items, argument_count);
    }
    buffer_fini(&arguments);
    return integer_if(part_of(parser, result.kind, start), result.is_integer);
}

static enum sql_kind column_kind(const struct parser *parser, uint32_t field)
{
    if (parser->is_time != NULL && parser->is_time[field]) {
        return SQL_KIND_TIME;
    }
    switch (parser->layout->fields[field].type) {
    case COLUMN_BOOL:
        return SQL_KIND_BOOL;
    case COLUMN_INT64:
    case COLUMN_DOUBLE:
        return SQL_KIND_NUMBER;
    case COLUMN_TEXT:
        return SQL_KIND_TEXT;
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        break;
    }
    return SQL_KIND_JSON;
}

/* Behind an opening parenthesis. A list (a row value) is of unknown type. */
static struct sql_part parse_parenthesis(struct parser *parser, uint32_t start)
{
    struct sql_part inner = parse(parser, BIND_OR);
    bool is_list = false;
    while (!parser->lost && take(parser, ",")) {
        (void)parse(parser, BIND_OR);
        is_list = true;
    }
    expect(parser, ")");
    if (is_list) {
        return part_of(parser, SQL_KIND_UNKNOWN, start);
    }
    /* A literal stays one; it keeps its own tokens because they are read later. */
    if (!inner.is_literal) {
        inner.first = start;
        inner.last = parser->at - 1;
    }
    return inner;
}

static struct sql_part literal_of(uint32_t index, enum sql_kind kind)
{
    return (struct sql_part){.kind = kind, .is_literal = true, .first = index, .last = index};
}

/* A number's token without fraction and exponent; beyond 64 bits SQLite reads it as a real. */
static bool is_integer_token(const struct sql_tokens *tokens, uint32_t index)
{
    struct bytes text = sql_token_bytes(tokens, index);
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    return value <= INT64_MAX;
}

static struct sql_part parse_word(struct parser *parser, uint32_t start)
{
    const struct sql_token *token = &parser->tokens->items[start];
    if (sql_token_is(parser->tokens, start, "CASE")) {
        return parse_case(parser, start);
    }
    if (sql_token_is(parser->tokens, start, "CAST")) {
        return parse_cast(parser, start);
    }
    if (is_next(parser, "(")) {
        return parse_call(parser, start);
    }
    if (token->field != FIELD_NONE) {
        bool is_integer = parser->layout->fields[token->field].type == COLUMN_INT64;
        return integer_if(part_of(parser, column_kind(parser, token->field), start), is_integer);
    }
    if (sql_token_is(parser->tokens, start, "NULL")) {
        return part_of(parser, SQL_KIND_UNKNOWN, start);
    }
    if (sql_token_is(parser->tokens, start, "TRUE") ||
        sql_token_is(parser->tokens, start, "FALSE")) {
        return part_of(parser, SQL_KIND_BOOL, start);
    }
    parser->lost = true;
    return part_of(parser, SQL_KIND_UNKNOWN, start);
}

/* SQLite asks for the number that a text begins with, so that nearly all texts are false. */
static void check_truth(struct parser *parser, const struct sql_part *part)
{
    const struct sql_expression *expression = parser->comparer.expression;
    struct error *refusal = &parser->comparer.refusal;
    bool is_text = part->kind == SQL_KIND_TEXT || part->kind == SQL_KIND_TIME ||
                   part->kind == SQL_KIND_TIME_TEXT;
    if (is_text && expression->is_condition && refusal->status == STATUS_OK) {
        (void)sql_refuse(expression, refusal, "sql.types",
                         "a text is no condition: it is neither true nor false. Compare it, or "
                         "ask whether it is there: … IS NOT NULL");
    }
}

static struct sql_part parse_unary(struct parser *parser, uint32_t start)
{
    bool is_plus = sql_token_is(parser->tokens, start, "+");
    bool is_minus = sql_token_is(parser->tokens, start, "-");
    if (!is_plus && !is_minus && !sql_token_is(parser->tokens, start, "~")) {
        parser->lost = true;
        return part_of(parser, SQL_KIND_UNKNOWN, start);
    }
    struct sql_part operand = parse(parser, BIND_UNARY);
    struct sql_part result = part_of(parser, is_plus ? operand.kind : SQL_KIND_NUMBER, start);
    result.is_integer = operand.is_integer || (!is_plus && !is_minus);
    /* -1 is a literal too, but +'a' is none: its first token must be the text. */
    result.is_literal = is_minus && operand.is_literal && operand.kind == SQL_KIND_NUMBER;
    return result;
}

static struct sql_part parse_primary(struct parser *parser)
{
    uint32_t start = parser->at;
    const struct sql_token *token = &parser->tokens->items[start];
    if (token->kind == SQL_TOKEN_END || parser->depth >= DEPTH_MAX) {
        parser->lost = true;
        return part_of(parser, SQL_KIND_UNKNOWN, start);
    }
    bool is_not = take(parser, "NOT");
    if (is_not) {
        struct sql_part operand = parse(parser, BIND_NOT);
        check_truth(parser, &operand);
        return part_of(parser, SQL_KIND_BOOL, start);
    }
    parser->at++;
    switch (token->kind) {
    case SQL_TOKEN_NUMBER:
        return integer_if(literal_of(start, SQL_KIND_NUMBER),
                          is_integer_token(parser->tokens, start));
    case SQL_TOKEN_STRING:
        return literal_of(start, SQL_KIND_TEXT);
    case SQL_TOKEN_BLOB:
        return literal_of(start, SQL_KIND_BLOB);
    case SQL_TOKEN_NAME:
    case SQL_TOKEN_QUOTED:
        return parse_word(parser, start);
    case SQL_TOKEN_SIGN:
    case SQL_TOKEN_END:
        break;
    }
    if (sql_token_is(parser->tokens, start, "(")) {
        return parse_parenthesis(parser, start);
    }
    return parse_unary(parser, start);
}

/* --- Operators --- */

static bool is_next_one_of(const struct parser *parser, const char *const *texts)
{
    for (size_t i = 0; texts[i] != NULL; i++) {
        if (is_next(parser, texts[i])) {
            return true;
        }
    }
    return false;
}

static enum binding next_binding(const struct parser *parser)
{
    static const char *const equal[] = {"=",    "==",   "<>",     "!=",      "IS",
                                        "LIKE", "GLOB", "REGEXP", "MATCH",   "BETWEEN",
                                        "IN",   "NOT",  "ISNULL", "NOTNULL", NULL};
    static const char *const less[] = {"<", "<=", ">", ">=", NULL};
    static const char *const bits[] = {"&", "|", "<<", ">>", NULL};
    static const char *const sum[] = {"+", "-", NULL};
    static const char *const product[] = {"*", "/", "%", NULL};
    static const char *const concat[] = {"||", "->", "->>", NULL};
    static const struct {
        const char *const *texts;
        enum binding binding;
    } groups[] = {
        {equal, BIND_EQUAL}, {less, BIND_LESS},       {bits, BIND_BITS},
        {sum, BIND_SUM},     {product, BIND_PRODUCT}, {concat, BIND_CONCAT},
    };
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        if (is_next_one_of(parser, groups[i].texts)) {
            return groups[i].binding;
        }
    }
    if (is_next(parser, "AND")) {
        return BIND_AND;
    }
    if (is_next(parser, "OR")) {
        return BIND_OR;
    }
    return is_next(parser, "COLLATE") ? BIND_COLLATE : BIND_NONE;
}

/* Behind IS. `x IS TRUE` asks for the truth of x, of whatever type. */
static void parse_is(struct parser *parser, const struct sql_part *left)
{
    (void)take(parser, "NOT");
    if (take(parser, "DISTINCT")) {
        expect(parser, "FROM");
    }
    uint32_t start = parser->at;
    struct sql_part right = parse(parser, BIND_EQUAL + 1);
    bool asks_for_truth = right.first == right.last && right.first == start &&
                          (sql_token_is(parser->tokens, start, "TRUE") ||
                           sql_token_is(parser->tokens, start, "FALSE"));
    if (!asks_for_truth) {
        sql_compare(&parser->comparer, left, &right);
    }
}

static void parse_between(struct parser *parser, const struct sql_part *left)
{
    struct sql_part low = parse(parser, BIND_NOT);
    expect(parser, "AND");
    struct sql_part high = parse(parser, BIND_EQUAL + 1);
    sql_compare(&parser->comparer, left, &low);
    sql_compare(&parser->comparer, left, &high);
}

static void parse_in(struct parser *parser, const struct sql_part *left)
{
    expect(parser, "(");
    bool first = true;
    while (!parser->lost && !is_next(parser, ")")) {
        if (!first) {
            expect(parser, ",");
        }
        struct sql_part member = parse(parser, BIND_OR);
        sql_compare(&parser->comparer, left, &member);
        first = false;
    }
    expect(parser, ")");
}

static void parse_like(struct parser *parser)
{
    (void)parse(parser, BIND_EQUAL + 1);
    if (take(parser, "ESCAPE")) {
        (void)parse(parser, BIND_EQUAL + 1);
    }
}

/* The operators of BIND_EQUAL; all of them give a boolean. */
static struct sql_part parse_equal(struct parser *parser, const struct sql_part *left)
{
    if (take(parser, "ISNULL") || take(parser, "NOTNULL")) {
        return part_of(parser, SQL_KIND_BOOL, left->first);
    }
    if (take(parser, "=") || take(parser, "==") || take(parser, "<>") || take(parser, "!=")) {
        struct sql_part right = parse(parser, BIND_EQUAL + 1);
        sql_compare(&parser->comparer, left, &right);
    } else if (take(parser, "IS")) {
        parse_is(parser, left);
    } else {
        bool negated = take(parser, "NOT");
        if (take(parser, "BETWEEN")) {
            parse_between(parser, left);
        } else if (take(parser, "IN")) {
            parse_in(parser, left);
        } else if (take(parser, "LIKE") || take(parser, "GLOB") || take(parser, "REGEXP") ||
                   take(parser, "MATCH")) {
            parse_like(parser);
        } else if (!negated || !take(parser, "NULL")) {
            parser->lost = true;
        }
    }
    return part_of(parser, SQL_KIND_BOOL, left->first);
}

/* An explicit collation decides how texts compare, whatever the column had. */
static struct sql_part parse_collate(struct parser *parser, const struct sql_part *left)
{
    parser->at++;
    if (parser->tokens->items[parser->at].kind == SQL_TOKEN_END) {
        parser->lost = true;
        return *left;
    }
    const char *name = sql_token_unquote(parser->arena, parser->tokens, parser->at);
    parser->at++;
    struct sql_part result = *left;
    if (left->kind == SQL_KIND_TIME || left->kind == SQL_KIND_TEXT ||
        left->kind == SQL_KIND_TIME_TEXT) {
        bool by_time = sqlite3_stricmp(name, SQL_TIME_COLLATION) == 0;
        result.kind = by_time ? SQL_KIND_TIME : SQL_KIND_TEXT;
    }
    result.is_literal = false;
    result.last = parser->at - 1;
    return result;
}

static struct sql_part parse_operator(struct parser *parser, const struct sql_part *left,
                                      enum binding binding)
{
    if (binding == BIND_EQUAL) {
        return parse_equal(parser, left);
    }
    if (binding == BIND_COLLATE) {
        return parse_collate(parser, left);
    }
    bool is_text = is_next(parser, "||");
    parser->at++;
    struct sql_part right = parse(parser, binding + 1);
    enum sql_kind kind = SQL_KIND_NUMBER;
    if (binding == BIND_LESS) {
        sql_compare(&parser->comparer, left, &right);
        kind = SQL_KIND_BOOL;
    } else if (binding == BIND_CONCAT) {
        kind = is_text ? SQL_KIND_TEXT : SQL_KIND_UNKNOWN;
    } else if (binding == BIND_AND || binding == BIND_OR) {
        check_truth(parser, left);
        check_truth(parser, &right);
        kind = SQL_KIND_BOOL;
    }
    bool calculates = binding == BIND_SUM || binding == BIND_PRODUCT;
    return integer_if(part_of(parser, kind, left->first),
                      binding == BIND_BITS ||
                          (calculates && left->is_integer && right.is_integer));
}

static struct sql_part parse(struct parser *parser, enum binding least)
{
    parser->depth++;
    struct sql_part left = parse_primary(parser);
    while (!parser->lost) {
        enum binding binding = next_binding(parser);
        if (binding == BIND_NONE || binding < least) {
            break;
        }
        left = parse_operator(parser, &left, binding);
    }
    parser->depth--;
    return left;
}

enum status sql_types_check(struct arena *arena, const struct layout *layout, const bool *is_time,
                            const struct sql_expression *expression,
                            const struct sql_tokens *tokens, struct sql_part *out_whole,
                            struct error *err)
{
    struct parser parser = {
        .comparer = {.arena = arena, .expression = expression, .tokens = tokens},
        .arena = arena,
        .layout = layout,
        .is_time = is_time,
        .tokens = tokens,
    };
    struct sql_part whole = parse(&parser, BIND_OR);
    check_truth(&parser, &whole);
    bool understood = !parser.lost && tokens->items[parser.at].kind == SQL_TOKEN_END;
    const struct error *refusal = &parser.comparer.refusal;
    if (understood && refusal->status != STATUS_OK) {
        return error_set_at(err, refusal->status, refusal->code, refusal->file, refusal->line,
                            refusal->column, "%s", refusal->message);
    }
    if (out_whole != NULL) {
        *out_whole = understood ? whole : (struct sql_part){.kind = SQL_KIND_UNKNOWN};
    }
    return STATUS_OK;
}
