#include "doc/grammar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"

enum {
    NAME_MAX_BYTES = 200,
    WHERE_BYTES = 160, /* of the name of a place in the document, for messages */
};

const struct grammar_field *grammar_find(const struct grammar_field *fields, const char *key)
{
    for (; fields->key != NULL; fields++) {
        if (strcmp(fields->key, key) == 0) {
            return fields;
        }
    }
    return NULL;
}

/* What a value of the type looks like, for "must be …". */
static const char *type_text(enum grammar_type type)
{
    switch (type) {
    case GRAMMAR_STRING:
        return "a string";
    case GRAMMAR_NAME:
        return "a name (letters, digits, '_', '-', '.', at most 200 characters)";
    case GRAMMAR_BOOL:
        return "true or false";
    case GRAMMAR_INT:
        return "an integer";
    case GRAMMAR_NUMBER:
        return "a number";
    case GRAMMAR_DURATION:
        return "a duration with its unit, such as 250ms, 10m or 1h30m";
    case GRAMMAR_DURATION_OR_UNLIMITED:
        return "a duration with its unit, such as 250ms, 10m or 1h30m, or unlimited";
    case GRAMMAR_SIZE:
        return "a size with its unit, such as 64KiB or 1GB";
    case GRAMMAR_PERCENT:
        return "a percentage from 0% to 100%, such as 5%";
    case GRAMMAR_CHOICE:
        return "one of the words that are known";
    case GRAMMAR_STRINGS:
        return "a string or a list of strings";
    case GRAMMAR_SECRET:
        return "{file: PATH}, {env: NAME} or {credential: NAME}";
    case GRAMMAR_ANY:
        return "a value";
    case GRAMMAR_MAP:
    case GRAMMAR_MAP_OF:
        return "a map ('key: value' pairs)";
    case GRAMMAR_LIST_OF:
        return "a list of maps";
    }
    check(!"a grammar type");
    return NULL;
}

const char *grammar_type_name(enum grammar_type type)
{
    static const char *const names[] = {
        [GRAMMAR_STRING] = "text",
        [GRAMMAR_NAME] = "name",
        [GRAMMAR_BOOL] = "true or false",
        [GRAMMAR_INT] = "integer",
        [GRAMMAR_NUMBER] = "number",
        [GRAMMAR_DURATION] = "duration",
        [GRAMMAR_DURATION_OR_UNLIMITED] = "duration or unlimited",
        [GRAMMAR_SIZE] = "size",
        [GRAMMAR_PERCENT] = "percentage",
        [GRAMMAR_CHOICE] = "choice",
        [GRAMMAR_STRINGS] = "text or list of texts",
        [GRAMMAR_SECRET] = "secret",
        [GRAMMAR_ANY] = "value",
        [GRAMMAR_MAP] = "map",
        [GRAMMAR_MAP_OF] = "map of maps",
        [GRAMMAR_LIST_OF] = "list of maps",
    };
    return names[type];
}

static bool is_string_type(enum grammar_type type)
{
    return type == GRAMMAR_STRING || type == GRAMMAR_NAME || type == GRAMMAR_CHOICE ||
           type == GRAMMAR_STRINGS;
}

/* "found nothing", "found the string 'yes'", "found a list". */
static const char *found_text(const struct doc *value, char *out, size_t out_size)
{
    char excerpt[DOC_EXCERPT_BYTES];
    switch (value->kind) {
    case DOC_NULL:
        (void)snprintf(out, out_size, "%s", value->text_size > 0 ? "null" : "nothing");
        break;
    case DOC_BOOL:
        (void)snprintf(out, out_size, "%s", doc_excerpt(value, excerpt));
        break;
    case DOC_INT:
        (void)snprintf(out, out_size, "the integer %s", doc_excerpt(value, excerpt));
        break;
    case DOC_DOUBLE:
        (void)snprintf(out, out_size, "the number %s", doc_excerpt(value, excerpt));
        break;
    case DOC_STRING:
        (void)snprintf(out, out_size, "the string '%s'", doc_excerpt(value, excerpt));
        break;
    case DOC_LIST:
    case DOC_MAP:
        (void)snprintf(out, out_size, "%s", doc_kind_name(value->kind));
        break;
    }
    return out;
}

/* `where` names the value: "'lateness' in event_time". */
static enum status type_error(const struct doc *value, const char *where, enum grammar_type type,
                              struct error *err)
{
    char found[DOC_EXCERPT_BYTES + 32];
    bool quotes_help = is_string_type(type) && (value->kind == DOC_BOOL || value->kind == DOC_INT ||
                                                value->kind == DOC_DOUBLE);
    return doc_error(value, err, "config.type", "%s must be %s; found %s%s", where, type_text(type),
                     found_text(value, found, sizeof found),
                     quotes_help ? "; put quotes around it" : "");
}

static enum status value_error(const struct doc *value, const char *where, enum grammar_type type,
                               struct error *err)
{
    char found[DOC_EXCERPT_BYTES + 32];
    return doc_error(value, err, "config.value", "%s must be %s; found %s", where, type_text(type),
                     found_text(value, found, sizeof found));
}

/* Texts go on as NUL-terminated strings, so one with a NUL inside would be cut without a word. */
static bool has_nul(const struct doc *value)
{
    return strlen(value->text) != value->text_size;
}

static bool is_name(const struct doc *value)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789_-.";
    return value->text_size > 0 && value->text_size <= NAME_MAX_BYTES &&
           strspn(value->text, letters) == value->text_size;
}

static enum status string_check(const struct doc *value, const char *where, enum grammar_type type,
                                struct error *err)
{
    if (value->kind != DOC_STRING) {
        return type_error(value, where, type, err);
    }
    if (has_nul(value)) {
        return doc_error(value, err, "config.value", "%s holds a NUL character", where);
    }
    if (type == GRAMMAR_NAME && !is_name(value)) {
        return value_error(value, where, type, err);
    }
    return STATUS_OK;
}

static enum status strings_check(const struct doc *value, const char *where, struct error *err)
{
    if (value->kind != DOC_LIST) {
        return string_check(value, where, GRAMMAR_STRINGS, err);
    }
    for (size_t i = 0; i < value->count; i++) {
        char item_where[WHERE_BYTES + 32];
        (void)snprintf(item_where, sizeof item_where, "item %zu of %s", i + 1, where);
        enum status status = string_check(value->items[i], item_where, GRAMMAR_STRING, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static size_t choice_count(const char *const *choices)
{
    size_t count = 0;
    while (choices[count] != NULL) {
        count++;
    }
    return count;
}

static enum status choice_check(const struct doc *value, const char *where,
                                const char *const *choices, struct error *err)
{
    enum status status = string_check(value, where, GRAMMAR_CHOICE, NULL);
    size_t count = choice_count(choices);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (strcmp(value->text, choices[i]) == 0) {
            return STATUS_OK;
        }
    }
    struct buffer known = {0};
    for (size_t i = 0; i < count; i++) {
        buffer_printf(&known, "%s%s", i > 0 ? ", " : "", choices[i]);
    }
    const char *nearest =
        value->kind == DOC_STRING ? string_nearest(value->text, choices, count) : NULL;
    char found[DOC_EXCERPT_BYTES + 32];
    status =
        doc_error(value, err, value->kind == DOC_STRING ? "config.value" : "config.type",
                  "%s must be one of %s; found %s%s%s%s", where, buffer_string(&known),
                  found_text(value, found, sizeof found), nearest != NULL ? "; did you mean '" : "",
                  nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
    buffer_fini(&known);
    return status;
}

static enum status int_check(const struct doc *value, const char *where,
                             const struct grammar_field *field, struct error *err)
{
    int64_t integer;
    if (!doc_to_integer(value, &integer)) {
        return type_error(value, where, field->type, err);
    }
    if (field->maximum > field->minimum && (integer < field->minimum || integer > field->maximum)) {
        return doc_error(value, err, "config.value",
                         "%s must be from %" PRId64 " to %" PRId64 "; found %" PRId64, where,
                         field->minimum, field->maximum, integer);
    }
    return STATUS_OK;
}

/* Durations, sizes and percentages: scalars that base/time.h reads. A number without a unit is an
 * integer for the parser of the document, so it comes here to be told that it needs one. */
static enum status quantity_check(const struct doc *value, const char *where,
                                  enum grammar_type type, struct error *err)
{
    if (value->kind != DOC_STRING && value->kind != DOC_INT && value->kind != DOC_DOUBLE) {
        return type_error(value, where, type, err);
    }
    int64_t duration_us;
    uint64_t size_bytes;
    double share;
    bool good;
    if (type == GRAMMAR_SIZE) {
        good = size_parse(value->text, &size_bytes);
    } else if (type == GRAMMAR_PERCENT) {
        good = percent_parse(value->text, &share);
    } else {
        good = duration_parse(value->text, &duration_us) ||
               (type == GRAMMAR_DURATION_OR_UNLIMITED && strcmp(value->text, "unlimited") == 0);
    }
    return good && !has_nul(value) ? STATUS_OK : value_error(value, where, type, err);
}

static enum status map_of_check(const struct grammar_field *fields, const struct doc *map,
                                const char *name, const char *where, struct error *err)
{
    if (map->kind != DOC_MAP) {
        return type_error(map, where, GRAMMAR_MAP_OF, err);
    }
    for (size_t i = 0; fields != NULL && i < map->count; i++) {
        char excerpt[DOC_EXCERPT_BYTES];
        char item_what[WHERE_BYTES];
        if (has_nul(map->keys[i])) {
            return doc_error(map->keys[i], err, "config.value", "a key in %s holds a NUL character",
                             name);
        }
        (void)snprintf(item_what, sizeof item_what, "%s.%s", name,
                       doc_excerpt(map->keys[i], excerpt));
        enum status status = grammar_check(fields, map->items[i], item_what, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static enum status list_of_check(const struct grammar_field *fields, const struct doc *list,
                                 const char *name, const char *where, struct error *err)
{
    if (list->kind != DOC_LIST) {
        return type_error(list, where, GRAMMAR_LIST_OF, err);
    }
    for (size_t i = 0; fields != NULL && i < list->count; i++) {
        char item_what[WHERE_BYTES];
        (void)snprintf(item_what, sizeof item_what, "item %zu of %s", i + 1, name);
        enum status status = grammar_check(fields, list->items[i], item_what, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* What was written instead may be the secret itself: it is not repeated. */
static enum status secret_check(const struct doc *value, const char *where, struct error *err)
{
    static const char *const ways[] = {"file", "env", "credential"};
    bool is_known = false;
    if (value->kind == DOC_MAP && value->count == 1) {
        for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
            is_known = is_known || strcmp(value->keys[0]->text, ways[i]) == 0;
        }
    }
    if (!is_known) {
        return doc_error(value, err, "config.secret",
                         "%s must be %s: a secret does not stand in the pipeline file", where,
                         type_text(GRAMMAR_SECRET));
    }
    return string_check(value->items[0], where, GRAMMAR_STRING, err);
}

static enum status field_check(const struct grammar_field *field, const struct doc *value,
                               const char *what, struct error *err)
{
    char where[WHERE_BYTES];
    (void)snprintf(where, sizeof where, "'%s' in %s", field->key, what);
    switch (field->type) {
    case GRAMMAR_STRING:
    case GRAMMAR_NAME:
        return string_check(value, where, field->type, err);
    case GRAMMAR_BOOL: {
        bool boolean;
        return doc_to_bool(value, &boolean) ? STATUS_OK
                                            : type_error(value, where, field->type, err);
    }
    case GRAMMAR_INT:
        return int_check(value, where, field, err);
    case GRAMMAR_NUMBER: {
        double number;
        return doc_to_number(value, &number) ? STATUS_OK
                                             : type_error(value, where, field->type, err);
    }
    case GRAMMAR_DURATION:
    case GRAMMAR_DURATION_OR_UNLIMITED:
    case GRAMMAR_SIZE:
    case GRAMMAR_PERCENT:
        return quantity_check(value, where, field->type, err);
    case GRAMMAR_CHOICE:
        return choice_check(value, where, field->choices, err);
    case GRAMMAR_STRINGS:
        return strings_check(value, where, err);
    case GRAMMAR_SECRET:
        return secret_check(value, where, err);
    case GRAMMAR_ANY:
        return STATUS_OK;
    case GRAMMAR_MAP:
        if (value->kind != DOC_MAP) {
            return type_error(value, where, field->type, err);
        }
        return field->fields != NULL ? grammar_check(field->fields, value, field->key, err)
                                     : STATUS_OK;
    case GRAMMAR_MAP_OF:
        return map_of_check(field->fields, value, field->key, where, err);
    case GRAMMAR_LIST_OF:
        return list_of_check(field->fields, value, field->key, where, err);
    }
    check(!"a grammar type");
    return STATUS_FATAL;
}

/* The key of the table that is nearest to what was written, or NULL. */
static const char *nearest_key(const struct grammar_field *fields, const char *written)
{
    size_t count = 0;
    while (fields[count].key != NULL) {
        count++;
    }
    const char **names = memory_alloc(size_mul(count, sizeof *names));
    for (size_t i = 0; i < count; i++) {
        names[i] = fields[i].key;
    }
    const char *nearest = string_nearest(written, names, count);
    memory_free(names);
    return nearest;
}

static enum status unknown_key_error(const struct grammar_field *fields, const struct doc *key,
                                     const char *what, struct error *err)
{
    struct buffer known = {0};
    for (const struct grammar_field *field = fields; field->key != NULL; field++) {
        if (field->unsupported == NULL) {
            buffer_printf(&known, "%s%s", known.size > 0 ? ", " : "", field->key);
        }
    }
    char excerpt[DOC_EXCERPT_BYTES];
    struct buffer advice = {0};
    const char *nearest = nearest_key(fields, key->text);
    if (!key->quoted && strchr(key->text, ':') != NULL) {
        /* {lateness:10m} is one key without a value. */
        buffer_append_string(&advice, "; a space must follow the ':'.");
    } else if (nearest != NULL) {
        buffer_printf(&advice, "; did you mean '%s'?", nearest);
    } else {
        buffer_append_byte(&advice, '.');
    }
    enum status status =
        doc_error(key, err, "config.unknown_key", "unknown key '%s' in %s%s Known keys: %s",
                  doc_excerpt(key, excerpt), what, buffer_string(&advice), buffer_string(&known));
    buffer_fini(&advice);
    buffer_fini(&known);
    return status;
}

static enum status missing_key_check(const struct grammar_field *fields, const struct doc *map,
                                     const char *what, struct error *err)
{
    for (; fields->key != NULL; fields++) {
        if (fields->required && fields->unsupported == NULL && doc_get(map, fields->key) == NULL) {
            return doc_error(map, err, "config.missing_key", "the key '%s' is missing in %s%s%s",
                             fields->key, what, fields->help != NULL ? ": " : "",
                             fields->help != NULL ? fields->help : "");
        }
    }
    return STATUS_OK;
}

/* The recursion is as deep as the document nests, which doc_parse() bounds. */
enum status grammar_check(const struct grammar_field *fields, const struct doc *map,
                          const char *what, struct error *err)
{
    if (map->kind != DOC_MAP) {
        return type_error(map, what, GRAMMAR_MAP, err);
    }
    for (size_t i = 0; i < map->count; i++) {
        const struct doc *key = map->keys[i];
        const struct grammar_field *field = has_nul(key) ? NULL : grammar_find(fields, key->text);
        enum status status;
        if (field == NULL) {
            status = unknown_key_error(fields, key, what, err);
        } else if (field->unsupported != NULL) {
            status = doc_error(key, err, "config.unsupported",
                               "'%s' in %s is not supported in this version: %s", key->text, what,
                               field->unsupported);
        } else {
            status = field_check(field, map->items[i], what, err);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return missing_key_check(fields, map, what, err);
}
