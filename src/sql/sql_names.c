#include "sql/sql_names.h"

#include <sqlite3.h>
#include <string.h>

#include "base/bytes.h"
#include "sql/sql_refusal.h"

/* What was found for a name. */
struct match {
    uint32_t field; /* FIELD_NONE: nothing */
    uint32_t other; /* a second field that fits as well, FIELD_NONE: none */
};

static struct match find_field(const struct layout *layout, const char *name)
{
    struct match exact = {FIELD_NONE, FIELD_NONE};
    struct match folded = {FIELD_NONE, FIELD_NONE};
    for (uint32_t i = 0; i < layout->field_count; i++) {
        const char *path = layout->fields[i].path;
        if (sqlite3_stricmp(path, name) != 0) {
            continue;
        }
        struct match *match = strcmp(path, name) == 0 ? &exact : &folded;
        if (match->field == FIELD_NONE) {
            match->field = i;
        } else {
            match->other = i;
        }
    }
    return exact.field != FIELD_NONE ? exact : folded;
}

static bool is_name(const struct sql_tokens *tokens, uint32_t index)
{
    enum sql_token_kind kind = tokens->items[index].kind;
    return kind == SQL_TOKEN_NAME || kind == SQL_TOKEN_QUOTED;
}

static bool is_boolean_word(const struct sql_tokens *tokens, uint32_t index)
{
    return sql_token_is(tokens, index, "true") || sql_token_is(tokens, index, "false");
}

/* Index of the last name of the chain a.b.c that begins at `index`. */
static uint32_t chain_end(const struct sql_tokens *tokens, uint32_t index)
{
    while (sql_token_is(tokens, index + 1, ".") && is_name(tokens, index + 2)) {
        index += 2;
    }
    return index;
}

static char *chain_path(struct arena *arena, const struct sql_tokens *tokens, uint32_t first,
                        uint32_t last)
{
    char *path = sql_token_unquote(arena, tokens, first);
    for (uint32_t i = first + 2; i <= last; i += 2) {
        path = arena_printf(arena, "%s.%s", path, sql_token_unquote(arena, tokens, i));
    }
    return path;
}

/* The field whose path ends in ".name", when there is exactly one. */
static const char *find_member(const struct layout *layout, const char *name)
{
    const char *found = NULL;
    size_t name_size = strlen(name);
    for (uint32_t i = 0; i < layout->field_count; i++) {
        const char *path = layout->fields[i].path;
        size_t size = strlen(path);
        if (size > name_size + 1 && path[size - name_size - 1] == '.' &&
            sqlite3_stricmp(path + size - name_size, name) == 0) {
            if (found != NULL) {
                return NULL;
            }
            found = path;
        }
    }
    return found;
}

static const char *find_nearest(const struct layout *layout, const char *name)
{
    const char *member = find_member(layout, name);
    if (member != NULL) {
        return member;
    }
    const char **paths =
        memory_alloc(size_mul(size_add(layout->field_count, 1), sizeof(const char *)));
    for (uint32_t i = 0; i < layout->field_count; i++) {
        paths[i] = layout->fields[i].path;
    }
    const char *nearest = string_nearest(name, paths, layout->field_count);
    memory_free(paths);
    return nearest;
}

enum status sql_names_refuse(const struct layout *layout, const struct sql_expression *expression,
                             const char *name, bool quoted, struct error *err)
{
    const char *nearest = find_nearest(layout, name);
    if (nearest != NULL && strcmp(nearest, name) == 0) {
        return sql_refuse(expression, err, SQL_CODE_UNKNOWN_COLUMN,
                          "%.80s is a word of SQL too, and there is another field of that name in "
                          "other capitals: write \"%.80s\"",
                          name, name);
    }
    if (nearest != NULL) {
        return sql_refuse(expression, err, SQL_CODE_UNKNOWN_COLUMN,
                          "there is no column %.80s; did you mean %.80s?", name, nearest);
    }
    if (quoted) {
        return sql_refuse(expression, err, SQL_CODE_UNKNOWN_COLUMN,
                          "there is no column %.80s; strings stand in single quotes: '%.80s'", name,
                          name);
    }
    return sql_refuse(expression, err, SQL_CODE_UNKNOWN_COLUMN,
                      "there is no column %.80s in the schema", name);
}

/* Follows CAST(… AS type): names of types are no columns. `type_depth` counts the parentheses
 * open since the AS, 0 where no type stands. */
static void follow_cast(uint32_t *type_depth, const struct sql_tokens *tokens, uint32_t index)
{
    if (*type_depth == 0) {
        if (sql_token_is(tokens, index, "AS")) {
            *type_depth = 1;
        }
    } else if (sql_token_is(tokens, index, "(")) {
        (*type_depth)++;
    } else if (sql_token_is(tokens, index, ")")) {
        (*type_depth)--;
    }
}

static bool stands_for_column(const struct sql_tokens *tokens, uint32_t first, uint32_t last)
{
    if (!is_name(tokens, first)) {
        return false;
    }
    if (first > 0 && sql_token_is(tokens, first - 1, "COLLATE")) {
        return false;
    }
    /* A name before a parenthesis is a function's. */
    return !sql_token_is(tokens, last + 1, "(");
}

/* Resolves the chain first…last; *out_field stays FIELD_NONE for what is left to SQLite. */
static enum status resolve_chain(struct arena *arena, const struct layout *layout,
                                 const struct sql_expression *expression,
                                 const struct sql_tokens *tokens, uint32_t first, uint32_t last,
                                 uint32_t *out_field, struct error *err)
{
    if (first == last && is_boolean_word(tokens, first)) {
        return STATUS_OK;
    }
    const char *path = chain_path(arena, tokens, first, last);
    struct match match = find_field(layout, path);
    bool keyword = first == last && sql_token_is_keyword(tokens, first);
    if (keyword && (match.field == FIELD_NONE || match.other != FIELD_NONE)) {
        return STATUS_OK;
    }
    if (match.other != FIELD_NONE) {
        return sql_refuse(expression, err, SQL_CODE_UNKNOWN_COLUMN,
                          "the name %.80s fits two fields of the schema, %.80s and %.80s", path,
                          layout->fields[match.field].path, layout->fields[match.other].path);
    }
    if (match.field == FIELD_NONE) {
        bool quoted = first == last && tokens->items[first].kind == SQL_TOKEN_QUOTED;
        return sql_names_refuse(layout, expression, path, quoted, err);
    }
    *out_field = match.field;
    return STATUS_OK;
}

enum status sql_names_resolve(struct arena *arena, const struct layout *layout,
                              const struct sql_expression *expression, struct sql_tokens *tokens,
                              struct error *err)
{
    uint32_t type_depth = 0;
    uint32_t kept = 0;
    uint32_t last = 0;
    for (uint32_t i = 0; i < tokens->count; i = last + 1) {
        follow_cast(&type_depth, tokens, i);
        last = is_name(tokens, i) ? chain_end(tokens, i) : i;
        struct sql_token token = tokens->items[i];
        if (type_depth == 0 && stands_for_column(tokens, i, last)) {
            enum status status =
                resolve_chain(arena, layout, expression, tokens, i, last, &token.field, err);
            if (status != STATUS_OK) {
                return status;
            }
        }
        const struct sql_token *end = &tokens->items[last];
        if (last > i) {
            token.kind = SQL_TOKEN_QUOTED;
            token.size = end->start + end->size - token.start;
        }
        tokens->items[kept++] = token;
    }
    tokens->items[kept] = tokens->items[tokens->count];
    tokens->count = kept;
    return STATUS_OK;
}

/* True when SQLite could take the path of `field` for something else. */
static bool needs_own_name(const struct layout *layout, uint32_t field)
{
    const char *path = layout->fields[field].path;
    if (sqlite3_stricmp(path, "true") == 0 || sqlite3_stricmp(path, "false") == 0) {
        return true;
    }
    for (uint32_t i = 0; i < layout->field_count; i++) {
        if (i != field && sqlite3_stricmp(layout->fields[i].path, path) == 0) {
            return true;
        }
    }
    return false;
}

const char *sql_names_column(struct arena *arena, const struct layout *layout, uint32_t field)
{
    if (needs_own_name(layout, field)) {
        /* No path that a person writes begins with this character. */
        return arena_printf(arena,
                            "\x01"
                            "field %u",
                            field);
    }
    return layout->fields[field].path;
}

void sql_names_quote(struct buffer *out, const char *name)
{
    buffer_append_byte(out, '"');
    for (const char *at = name; *at != '\0'; at++) {
        if (*at == '"') {
            buffer_append_byte(out, '"');
        }
        buffer_append_byte(out, (uint8_t)*at);
    }
    buffer_append_byte(out, '"');
}

char *sql_names_rewrite(struct arena *arena, const struct layout *layout,
                        const struct sql_tokens *tokens)
{
    struct buffer out = {0};
    size_t done = 0;
    for (uint32_t i = 0; i < tokens->count; i++) {
        const struct sql_token *token = &tokens->items[i];
        /* A keyword that is also a field's name may stand here as the keyword. */
        if (token->field == FIELD_NONE || sql_token_is_keyword(tokens, i)) {
            continue;
        }
        buffer_append(&out, tokens->text + done, token->start - done);
        sql_names_quote(&out, sql_names_column(arena, layout, token->field));
        done = (size_t)token->start + token->size;
    }
    buffer_append_string(&out, tokens->text + done);
    char *text = arena_copy(arena, out.data, out.size);
    buffer_fini(&out);
    return text;
}
