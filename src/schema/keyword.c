#include "schema/keyword.h"

#include <string.h>

enum keyword_state { BUILT, ANNOTATION, UNBUILT };

enum keyword_form {
    ANY,
    STRING,
    BOOLEAN,
    NUMBER,
    COUNT,
    LIST,
    MAP,
    STRING_OR_LIST,
    BOOLEAN_OR_MAP
};

struct keyword {
    const char *name;
    enum keyword_state state;
    enum keyword_form form;
};

static const struct keyword keywords[] = {
    {"type", BUILT, STRING_OR_LIST},
    {"properties", BUILT, MAP},
    {"required", BUILT, LIST},
    {"additionalProperties", BUILT, BOOLEAN_OR_MAP},
    {"enum", BUILT, LIST},
    {"const", BUILT, ANY},
    {"minimum", BUILT, NUMBER},
    {"maximum", BUILT, NUMBER},
    {"exclusiveMinimum", BUILT, NUMBER},
    {"exclusiveMaximum", BUILT, NUMBER},
    {"multipleOf", BUILT, NUMBER},
    {"minLength", BUILT, COUNT},
    {"maxLength", BUILT, COUNT},
    {"pattern", BUILT, STRING},
    {"format", BUILT, STRING},
    {"$schema", ANNOTATION, STRING},
    {"$id", ANNOTATION, STRING},
    {"$comment", ANNOTATION, STRING},
    {"title", ANNOTATION, STRING},
    {"description", ANNOTATION, STRING},
    {"default", ANNOTATION, ANY},
    {"examples", ANNOTATION, LIST},
    {"deprecated", ANNOTATION, BOOLEAN},
    {"readOnly", ANNOTATION, BOOLEAN},
    {"writeOnly", ANNOTATION, BOOLEAN},
    {"$anchor", UNBUILT, ANY},
    {"$defs", UNBUILT, ANY},
    {"$dynamicAnchor", UNBUILT, ANY},
    {"$dynamicRef", UNBUILT, ANY},
    {"$ref", UNBUILT, ANY},
    {"$vocabulary", UNBUILT, ANY},
    {"additionalItems", UNBUILT, ANY},
    {"allOf", UNBUILT, ANY},
    {"anyOf", UNBUILT, ANY},
    {"contains", UNBUILT, ANY},
    {"contentEncoding", UNBUILT, ANY},
    {"contentMediaType", UNBUILT, ANY},
    {"contentSchema", UNBUILT, ANY},
    {"definitions", UNBUILT, ANY},
    {"dependencies", UNBUILT, ANY},
    {"dependentRequired", UNBUILT, ANY},
    {"dependentSchemas", UNBUILT, ANY},
    {"else", UNBUILT, ANY},
    {"if", UNBUILT, ANY},
    {"items", UNBUILT, ANY},
    {"maxContains", UNBUILT, ANY},
    {"maxItems", UNBUILT, ANY},
    {"maxProperties", UNBUILT, ANY},
    {"minContains", UNBUILT, ANY},
    {"minItems", UNBUILT, ANY},
    {"minProperties", UNBUILT, ANY},
    {"not", UNBUILT, ANY},
    {"oneOf", UNBUILT, ANY},
    {"patternProperties", UNBUILT, ANY},
    {"prefixItems", UNBUILT, ANY},
    {"propertyNames", UNBUILT, ANY},
    {"then", UNBUILT, ANY},
    {"unevaluatedItems", UNBUILT, ANY},
    {"unevaluatedProperties", UNBUILT, ANY},
    {"uniqueItems", UNBUILT, ANY},
};
enum { KEYWORD_COUNT = sizeof keywords / sizeof keywords[0] };

static const struct keyword *keyword_find(const struct doc *key)
{
    for (size_t i = 0; i < KEYWORD_COUNT; i++) {
        if (bytes_equal_string(bytes_of(key->text, key->text_size), keywords[i].name)) {
            return &keywords[i];
        }
    }
    return NULL;
}

static const char *keyword_nearest(const char *name)
{
    const char *names[KEYWORD_COUNT];
    for (size_t i = 0; i < KEYWORD_COUNT; i++) {
        names[i] = keywords[i].name;
    }
    return string_nearest(name, names, KEYWORD_COUNT);
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
    case BOOLEAN_OR_MAP:
        *out_wanted = "true or false";
        return value->kind == DOC_BOOL || value->kind == DOC_MAP;
    }
    check(!"a known form");
}

static enum status check_value(const struct keyword *keyword, const struct doc *value,
                               struct error *err)
{
    const char *wanted = "";
    if (!form_matches(keyword->form, value, &wanted)) {
        bool null_type = keyword->form == STRING_OR_LIST && value->kind == DOC_NULL;
        return doc_error(value, err, "schema.keyword_type", "`%s` takes %s, not %s%s",
                         keyword->name, wanted, doc_kind_name(value->kind),
                         null_type ? "; write the type's name in quotes: \"null\"" : "");
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

static enum status check_key(const struct doc *key, const struct doc *value, struct error *err)
{
    const struct keyword *keyword = keyword_find(key);
    if (keyword == NULL) {
        const char *nearest = keyword_nearest(key->text);
        return doc_error(key, err, "schema.unknown_keyword",
                         "`%s` is not a keyword of JSON Schema 2020-12%s%s%s", key->text,
                         nearest != NULL ? ": did you mean `" : "", nearest != NULL ? nearest : "",
                         nearest != NULL ? "`?" : "");
    }
    if (keyword->state == UNBUILT) {
        return doc_error(key, err, "schema.unsupported_keyword", "`%s` is not built: leave it out",
                         keyword->name);
    }
    enum status status = check_value(keyword, value, err);
    return status == STATUS_OK && strcmp(keyword->name, "$schema") == 0 ? check_dialect(value, err)
                                                                        : status;
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
