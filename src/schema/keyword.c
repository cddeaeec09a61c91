#include "schema/keyword.h"

#include <string.h>

enum keyword_form {
    ANY,
    STRING,
    BOOLEAN,
    NUMBER,
    COUNT,
    LIST,
    MAP,
    STRING_OR_LIST,
    SCHEMA, /* a map or true or false; what the holders take is checked by their readers */
    SCHEMA_LIST,
};

struct keyword {
    const char *name;
    enum keyword_form form;
    enum keyword_holds holds;
};

static const struct keyword keywords[] = {
    {"type", STRING_OR_LIST, HOLDS_NOTHING},
    {"properties", MAP, HOLDS_SCHEMA_MAP},
    {"required", LIST, HOLDS_NOTHING},
    {"additionalProperties", SCHEMA, HOLDS_SCHEMA},
    {"enum", LIST, HOLDS_NOTHING},
    {"const", ANY, HOLDS_NOTHING},
    {"minimum", NUMBER, HOLDS_NOTHING},
    {"maximum", NUMBER, HOLDS_NOTHING},
    {"exclusiveMinimum", NUMBER, HOLDS_NOTHING},
    {"exclusiveMaximum", NUMBER, HOLDS_NOTHING},
    {"multipleOf", NUMBER, HOLDS_NOTHING},
    {"minLength", COUNT, HOLDS_NOTHING},
    {"maxLength", COUNT, HOLDS_NOTHING},
    {"pattern", STRING, HOLDS_NOTHING},
    {"format", STRING, HOLDS_NOTHING},
    {"patternProperties", MAP, HOLDS_SCHEMA_MAP},
    {"propertyNames", SCHEMA, HOLDS_SCHEMA},
    {"minProperties", COUNT, HOLDS_NOTHING},
    {"maxProperties", COUNT, HOLDS_NOTHING},
    {"dependentRequired", MAP, HOLDS_NOTHING},
    {"dependentSchemas", MAP, HOLDS_SCHEMA_MAP},
    {"unevaluatedProperties", SCHEMA, HOLDS_SCHEMA},
    {"prefixItems", SCHEMA_LIST, HOLDS_SCHEMA_LIST},
    {"items", SCHEMA, HOLDS_SCHEMA},
    {"contains", SCHEMA, HOLDS_SCHEMA},
    {"minContains", COUNT, HOLDS_NOTHING},
    {"maxContains", COUNT, HOLDS_NOTHING},
    {"minItems", COUNT, HOLDS_NOTHING},
    {"maxItems", COUNT, HOLDS_NOTHING},
    {"uniqueItems", BOOLEAN, HOLDS_NOTHING},
    {"unevaluatedItems", SCHEMA, HOLDS_SCHEMA},
    {"allOf", SCHEMA_LIST, HOLDS_SCHEMA_LIST},
    {"anyOf", SCHEMA_LIST, HOLDS_SCHEMA_LIST},
    {"oneOf", SCHEMA_LIST, HOLDS_SCHEMA_LIST},
    {"not", SCHEMA, HOLDS_SCHEMA},
    {"if", SCHEMA, HOLDS_SCHEMA},
    {"then", SCHEMA, HOLDS_SCHEMA},
    {"else", SCHEMA, HOLDS_SCHEMA},
    {"$ref", STRING, HOLDS_NOTHING},
    {"$dynamicRef", STRING, HOLDS_NOTHING},
    {"$id", STRING, HOLDS_NOTHING},
    {"$anchor", STRING, HOLDS_NOTHING},
    {"$dynamicAnchor", STRING, HOLDS_NOTHING},
    {"$defs", MAP, HOLDS_SCHEMA_MAP},
    /* The older name of $defs, which 2020-12 keeps for what refers to it. */
    {"definitions", MAP, HOLDS_SCHEMA_MAP},
    {"$schema", STRING, HOLDS_NOTHING},
    {"$vocabulary", MAP, HOLDS_NOTHING},
    {"$comment", STRING, HOLDS_NOTHING},
    {"title", STRING, HOLDS_NOTHING},
    {"description", STRING, HOLDS_NOTHING},
    {"default", ANY, HOLDS_NOTHING},
    {"examples", LIST, HOLDS_NOTHING},
    {"deprecated", BOOLEAN, HOLDS_NOTHING},
    {"readOnly", BOOLEAN, HOLDS_NOTHING},
    {"writeOnly", BOOLEAN, HOLDS_NOTHING},
    {"contentEncoding", STRING, HOLDS_NOTHING},
    {"contentMediaType", STRING, HOLDS_NOTHING},
    {"contentSchema", SCHEMA, HOLDS_SCHEMA},
};
enum { KEYWORD_COUNT = sizeof keywords / sizeof keywords[0] };

/* Keywords of other drafts, and what says the same today. */
static const struct {
    const char *name;
    const char *instead;
} former[] = {
    {"additionalItems", "`items` beside `prefixItems`"},
    {"dependencies", "`dependentRequired` or `dependentSchemas`"},
    {"id", "`$id`"},
    {"$recursiveRef", "`$dynamicRef`"},
    {"$recursiveAnchor", "`$dynamicAnchor`"},
};

static const struct keyword *keyword_find(const struct doc *key)
{
    for (size_t i = 0; i < KEYWORD_COUNT; i++) {
        if (bytes_equal_string(bytes_of(key->text, key->text_size), keywords[i].name)) {
            return &keywords[i];
        }
    }
    return NULL;
}

enum keyword_holds keyword_holds(const struct doc *key)
{
    const struct keyword *keyword = keyword_find(key);
    return keyword == NULL ? HOLDS_NOTHING : keyword->holds;
}

static enum status unknown_keyword(const struct doc *key, struct error *err)
{
    const char *names[KEYWORD_COUNT];
    for (size_t i = 0; i < KEYWORD_COUNT; i++) {
        names[i] = keywords[i].name;
    }
    for (size_t i = 0; i < sizeof former / sizeof former[0]; i++) {
        if (strcmp(former[i].name, key->text) == 0) {
            return doc_error(key, err, "schema.unknown_keyword",
                             "`%s` is not a keyword of JSON Schema 2020-12: write %s", key->text,
                             former[i].instead);
        }
    }
    const char *nearest = string_nearest(key->text, names, KEYWORD_COUNT);
    return doc_error(key, err, "schema.unknown_keyword",
                     "`%s` is not a keyword of JSON Schema 2020-12%s%s%s", key->text,
                     nearest != NULL ? ": did you mean `" : "", nearest != NULL ? nearest : "",
                     nearest != NULL ? "`?" : "");
}

enum status keyword_number(const struct doc *node, struct number *out, struct error *err)
{
    /* An integer may be spelled 0x1F in YAML; all else is read from its digits. */
    if (node->kind == DOC_INT) {
        *out = number_of_int64(node->integer);
    } else if (!number_parse(bytes_of(node->text, node->text_size), out)) {
        return doc_error(node, err, "schema.keyword_value", "`%s` is not a number of JSON",
                         node->text);
    }
    return STATUS_OK;
}

static bool is_number(const struct doc *node)
{
    return node->kind == DOC_INT || node->kind == DOC_DOUBLE;
}

/* Whether the value looks right, and how it should look. */
static bool form_matches(enum keyword_form form, const struct doc *value, const char **out_wanted)
{
    switch (form) {
    case ANY:
        return true;
    case STRING:
        *out_wanted = "a string";
        return value->kind == DOC_STRING;
    case BOOLEAN:
        *out_wanted = "true or false";
        return value->kind == DOC_BOOL;
    case NUMBER:
    case COUNT:
        *out_wanted = form == NUMBER ? "a number" : "an integer of 0 or more";
        return is_number(value);
    case LIST:
        *out_wanted = "a list";
        return value->kind == DOC_LIST;
    case MAP:
        *out_wanted = "a map";
        return value->kind == DOC_MAP;
    case STRING_OR_LIST:
        *out_wanted = "a string or a list of strings";
        return value->kind == DOC_STRING || value->kind == DOC_LIST;
    case SCHEMA:
        *out_wanted = "a schema (a map, true or false)";
        return value->kind == DOC_BOOL || value->kind == DOC_MAP;
    case SCHEMA_LIST:
        *out_wanted = "a list of schemas";
        return value->kind == DOC_LIST;
    }
    check(!"a known form");
}

static enum status wrong_form(const struct keyword *keyword, const struct doc *value,
                              const char *wanted, struct error *err)
{
    const char *hint = "";
    if (keyword->form == STRING_OR_LIST && value->kind == DOC_NULL) {
        hint = "; write the type's name in quotes: \"null\"";
    } else if (strcmp(keyword->name, "items") == 0 && value->kind == DOC_LIST) {
        hint = "; a schema for each position stands in `prefixItems`";
    }
    return doc_error(value, err, "schema.keyword_type", "`%s` takes %s, not %s%s", keyword->name,
                     wanted, doc_kind_name(value->kind), hint);
}

static enum status check_value(const struct keyword *keyword, const struct doc *value,
                               struct error *err)
{
    const char *wanted = "";
    if (!form_matches(keyword->form, value, &wanted)) {
        return wrong_form(keyword, value, wanted, err);
    }
    if (keyword->form == SCHEMA_LIST && value->count == 0) {
        return doc_error(value, err, "schema.keyword_value", "`%s` needs at least one schema",
                         keyword->name);
    }
    if (keyword->form != NUMBER && keyword->form != COUNT) {
        return STATUS_OK;
    }
    struct number number;
    enum status status = keyword_number(value, &number, err);
    if (status == STATUS_OK && keyword->form == COUNT && (!number.integral || number.real < 0)) {
        return doc_error(value, err, "schema.keyword_value", "`%s` takes %s, not %s", keyword->name,
                         wanted, value->text);
    }
    return status;
}

/* Another draft gives keywords another meaning: `items`, `$ref` and `exclusiveMinimum` had. */
static enum status check_dialect(const struct doc *value, struct error *err)
{
    static const char ours[] = "://json-schema.org/draft/2020-12/schema";
    const char *text = value->text;
    text += strncmp(text, "http", 4) == 0 ? 4 : 0;
    text += *text == 's' ? 1 : 0;
    size_t size = sizeof ours - 1;
    bool is_ours = strncmp(text, ours, size) == 0 &&
                   (text[size] == '\0' || strcmp(text + size, "#") == 0);
    return is_ours ? STATUS_OK
                   : doc_error(value, err, "schema.dialect",
                               "schemas are read as JSON Schema 2020-12, and this one is another: "
                               "'%s'; see that it means the same, and write "
                               "'https://json-schema.org/draft/2020-12/schema', or leave "
                               "`$schema` out",
                               value->text);
}

/* A vocabulary that must be understood and is none of the draft's. */
static enum status check_vocabulary(const struct doc *value, struct error *err)
{
    static const char ours[] = "https://json-schema.org/draft/2020-12/vocab/";
    for (size_t i = 0; i < value->count; i++) {
        const struct doc *is_needed = value->items[i];
        if (is_needed->kind != DOC_BOOL) {
            return doc_error(is_needed, err, "schema.keyword_type",
                             "`$vocabulary` takes true or false for each vocabulary, not %s",
                             doc_kind_name(is_needed->kind));
        }
        if (is_needed->boolean && strncmp(value->keys[i]->text, ours, sizeof ours - 1) != 0) {
            return doc_error(value->keys[i], err, "schema.dialect",
                             "the vocabulary '%s' is none of JSON Schema 2020-12",
                             value->keys[i]->text);
        }
    }
    return STATUS_OK;
}

static enum status check_key(const struct doc *key, const struct doc *value, struct error *err)
{
    const struct keyword *keyword = keyword_find(key);
    if (keyword == NULL) {
        return unknown_keyword(key, err);
    }
    enum status status = check_value(keyword, value, err);
    if (status == STATUS_OK && strcmp(keyword->name, "$schema") == 0) {
        status = check_dialect(value, err);
    } else if (status == STATUS_OK && strcmp(keyword->name, "$vocabulary") == 0) {
        status = check_vocabulary(value, err);
    }
    return status;
}

enum status keyword_check_map(const struct doc *map, struct error *err)
{
    for (size_t i = 0; i < map->count; i++) {
        enum status status = check_key(map->keys[i], map->items[i], err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}
