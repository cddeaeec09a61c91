#include "sql/sql_compare.h"

#include <string.h>

#include "base/bytes.h"
#include "sql/sql_collation.h"
#include "sql/sql_refusal.h"

static const char *kind_name(enum sql_kind kind)
{
    switch (kind) {
    case SQL_KIND_NUMBER:
        return "a number";
    case SQL_KIND_BOOL:
        return "a boolean";
    case SQL_KIND_TEXT:
        return "a text";
    case SQL_KIND_TIME:
        return "a point in time";
    case SQL_KIND_TIME_TEXT:
        return "a point in time as text";
    case SQL_KIND_JSON:
        return "JSON text";
    case SQL_KIND_BLOB:
        return "a blob";
    case SQL_KIND_UNKNOWN:
        break;
    }
    return "of unknown type";
}

/* The part of the expression as it was written, shortened for a message. */
static const char *part_text(const struct sql_comparer *comparer, const struct sql_part *part)
{
    const struct sql_token *first = &comparer->tokens->items[part->first];
    const struct sql_token *last = &comparer->tokens->items[part->last];
    size_t size = last->start + last->size - first->start;
    const char *text = comparer->tokens->text + first->start;
    if (size <= 60) {
        return arena_copy(comparer->arena, text, size);
    }
    size_t cut = 60;
    while (cut > 0 && ((uint8_t)text[cut] & 0xC0u) == 0x80u) {
        cut--;
    }
    return arena_printf(comparer->arena, "%.*s…", (int)cut, text);
}

const char *sql_part_literal(const struct sql_comparer *comparer, const struct sql_part *part)
{
    return sql_token_unquote(comparer->arena, comparer->tokens, part->first);
}

static bool is_numeric(const char *text)
{
    size_t digits = strspn(text, "+-0123456789.eE");
    return digits > 0 && text[digits] == '\0' && strpbrk(text, "0123456789") != NULL;
}

static const char *unlike_hint(const struct sql_comparer *comparer, const struct sql_part *a,
                               const struct sql_part *b)
{
    if (a->kind == SQL_KIND_JSON || b->kind == SQL_KIND_JSON) {
        return "; take the value out of the JSON with ->> '$'";
    }
    if (a->kind == SQL_KIND_TIME || b->kind == SQL_KIND_TIME) {
        return "; write a point in time as '2026-01-31T12:00:00Z'";
    }
    if (a->kind == SQL_KIND_BOOL || b->kind == SQL_KIND_BOOL) {
        return "; a boolean is true or false, 1 or 0";
    }
    if (a->kind == SQL_KIND_NUMBER && b->is_literal && is_numeric(sql_part_literal(comparer, b))) {
        return "; write the number without quotes";
    }
    if (b->is_literal && b->kind == SQL_KIND_NUMBER) {
        return arena_printf(comparer->arena, "; write the text '%s'", part_text(comparer, b));
    }
    return "";
}

static void refuse_unlike(struct sql_comparer *comparer, const struct sql_part *a,
                          const struct sql_part *b)
{
    /* The first refusal is the one that is reported; a later one changes nothing. */
    (void)sql_refuse(comparer->expression, &comparer->refusal, SQL_CODE_TYPES,
                     "%s is %s and %s is %s: they cannot be compared%s", part_text(comparer, a),
                     kind_name(a->kind), part_text(comparer, b), kind_name(b->kind),
                     unlike_hint(comparer, a, b));
}

static void compare_time(struct sql_comparer *comparer, const struct sql_part *time,
                         const struct sql_part *other)
{
    int64_t time_us = 0;
    if (other->kind != SQL_KIND_TEXT) {
        refuse_unlike(comparer, time, other);
    } else if (other->is_literal &&
               !sql_collation_parse_literal(bytes_of_string(sql_part_literal(comparer, other)),
                                            &time_us)) {
        (void)sql_refuse(comparer->expression, &comparer->refusal, SQL_CODE_TYPES,
                         "%s is compared with the point in time %s, but it is no timestamp; "
                         "write '2026-01-31T12:00:00Z' or '2026-01-31'",
                         part_text(comparer, other), part_text(comparer, time));
    }
}

/* Raw JSON of a string has its quotes, so a literal that could be no JSON is a mistake. */
static void compare_json(struct sql_comparer *comparer, const struct sql_part *json,
                         const struct sql_part *other)
{
    if (other->kind != SQL_KIND_TEXT) {
        refuse_unlike(comparer, json, other);
    } else if (other->is_literal) {
        const char *text = sql_part_literal(comparer, other);
        bool may_be_json = (text[0] != '\0' && strchr("{[\"-0123456789", text[0]) != NULL) ||
                           strcmp(text, "true") == 0 || strcmp(text, "false") == 0 ||
                           strcmp(text, "null") == 0;
        if (!may_be_json) {
            refuse_unlike(comparer, json, other);
        }
    }
}

static void compare_bool(struct sql_comparer *comparer, const struct sql_part *boolean,
                         const struct sql_part *other)
{
    if (other->kind != SQL_KIND_NUMBER) {
        refuse_unlike(comparer, boolean, other);
    } else if (other->is_literal) {
        const char *text = part_text(comparer, other);
        if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0) {
            refuse_unlike(comparer, boolean, other);
        }
    }
}

/* A column on the other side brings its collation. */
static void compare_time_text(struct sql_comparer *comparer, const struct sql_part *text,
                              const struct sql_part *other)
{
    if (other->kind != SQL_KIND_TIME) {
        (void)sql_refuse(comparer->expression, &comparer->refusal, SQL_CODE_TYPES,
                         "%s is a point in time out of a function or CASE, which would compare as "
                         "text: '…00.5Z' before '…00Z'; compare the field itself, or write COLLATE "
                         SQL_TIME_COLLATION " behind it",
                         part_text(comparer, text));
    }
}

void sql_compare(struct sql_comparer *comparer, const struct sql_part *a, const struct sql_part *b)
{
    if (a->kind == SQL_KIND_TIME_TEXT && b->kind != SQL_KIND_UNKNOWN) {
        compare_time_text(comparer, a, b);
        return;
    }
    if (b->kind == SQL_KIND_TIME_TEXT && a->kind != SQL_KIND_UNKNOWN) {
        compare_time_text(comparer, b, a);
        return;
    }
    if (a->kind == SQL_KIND_UNKNOWN || b->kind == SQL_KIND_UNKNOWN || a->kind == b->kind) {
        return;
    }
    if (a->kind == SQL_KIND_TIME) {
        compare_time(comparer, a, b);
    } else if (b->kind == SQL_KIND_TIME) {
        compare_time(comparer, b, a);
    } else if (a->kind == SQL_KIND_JSON) {
        compare_json(comparer, a, b);
    } else if (b->kind == SQL_KIND_JSON) {
        compare_json(comparer, b, a);
    } else if (a->kind == SQL_KIND_BOOL) {
        compare_bool(comparer, a, b);
    } else if (b->kind == SQL_KIND_BOOL) {
        compare_bool(comparer, b, a);
    } else {
        refuse_unlike(comparer, a, b);
    }
}
