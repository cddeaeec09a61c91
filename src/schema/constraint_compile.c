#include <math.h>
#include <stdlib.h>

#include "schema/constraint.h"
#include "schema/keyword.h"
#include "schema/value_set.h"

static const struct {
    const char *name;
    enum json_kind kind;
} type_names[] = {
    {"null", JSON_KIND_NULL},     {"boolean", JSON_KIND_BOOL},  {"integer", JSON_KIND_NUMBER},
    {"number", JSON_KIND_NUMBER}, {"string", JSON_KIND_STRING}, {"array", JSON_KIND_ARRAY},
    {"object", JSON_KIND_OBJECT},
};
enum { TYPE_COUNT = sizeof type_names / sizeof type_names[0], TYPE_INTEGER = 2, TYPE_NUMBER = 3 };

/* Index in type_names. */
static enum status read_type_name(const struct doc *node, size_t *out_type, struct error *err)
{
    const char *names[TYPE_COUNT];
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        names[i] = type_names[i].name;
    }
    if (node->kind != DOC_STRING) {
        return doc_error(node, err, "schema.keyword_type", "a type is a string, not %s%s",
                         doc_kind_name(node->kind),
                         node->kind == DOC_NULL ? ": write it in quotes, \"null\"" : "");
    }
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (bytes_equal_string(bytes_of(node->text, node->text_size), names[i])) {
            *out_type = i;
            return STATUS_OK;
        }
    }
    const char *nearest = string_nearest(node->text, names, TYPE_COUNT);
    return doc_error(node, err, "schema.unknown_type", "`%s` is not a type: %s%s%s", node->text,
                     nearest != NULL ? "did you mean `" : "one of null, boolean, integer, number, ",
                     nearest != NULL ? nearest : "string, array, object",
                     nearest != NULL ? "`?" : "");
}

static enum status read_type_list(const struct doc *node, struct type_set *out, struct error *err)
{
    struct doc *const single[] = {(struct doc *)node};
    struct doc *const *items = node->kind == DOC_LIST ? node->items : single;
    size_t count = node->kind == DOC_LIST ? node->count : 1;
    bool seen[TYPE_COUNT] = {false};
    if (count == 0) {
        return doc_error(node, err, "schema.keyword_value", "`type` needs at least one type");
    }
    struct type_set types = {0, false};
    for (size_t i = 0; i < count; i++) {
        size_t type = 0;
        enum status status = read_type_name(items[i], &type, err);
        if (status != STATUS_OK) {
            return status;
        }
        if (seen[type]) {
            return doc_error(items[i], err, "schema.keyword_value", "`%s` stands twice in `type`",
                             items[i]->text);
        }
        seen[type] = true;
        types.kinds |= KIND_BIT(type_names[type].kind);
    }
    types.integer_only = seen[TYPE_INTEGER] && !seen[TYPE_NUMBER];
    *out = types;
    return STATUS_OK;
}

enum status constraint_read_types(const struct doc *map, struct type_set *out, struct error *err)
{
    const struct doc *type = doc_get(map, "type");
    if (type != NULL) {
        return read_type_list(type, out, err);
    }
    const struct doc *members = doc_get(map, "enum");
    const struct doc *constant = doc_get(map, "const");
    struct type_set types = {KINDS_ALL, false};
    enum status status = STATUS_OK;
    if (members != NULL || constant != NULL) {
        status =
            value_set_types(members != NULL ? members : constant, members == NULL, &types, err);
        uint32_t kinds = types.kinds & ~KIND_BIT(JSON_KIND_NULL);
        if ((kinds & (kinds - 1)) != 0) {
            types = (struct type_set){KINDS_ALL, false};
        }
    }
    if (status == STATUS_OK) {
        *out = types;
    }
    return status;
}

static const char *const bound_names[BOUND_COUNT] = {
    [BOUND_MINIMUM] = "minimum",
    [BOUND_EXCLUSIVE_MINIMUM] = "exclusiveMinimum",
    [BOUND_MAXIMUM] = "maximum",
    [BOUND_EXCLUSIVE_MAXIMUM] = "exclusiveMaximum",
};

static enum status read_limit(struct arena *arena, const struct doc *node, enum column_type column,
                              struct limit *out, struct error *err)
{
    struct number number;
    enum status status = keyword_number(node, &number, err);
    if (status == STATUS_OK) {
        /* Values of the column were rounded to doubles; a limit that was not would part equal
         * numbers. */
        out->number = column == COLUMN_DOUBLE ? number_of_double(number.real) : number;
        out->text = arena_copy(arena, node->text, node->text_size);
    }
    return status;
}

static enum status contradiction(const struct doc *map, enum bound_kind low, enum bound_kind high,
                                 const struct constraints *constraints, struct error *err)
{
    return doc_error(doc_get(map, bound_names[high]), err, "schema.contradiction",
                     "no value of this type lies between `%s` %s and `%s` %s", bound_names[low],
                     constraints->bounds[low].text, bound_names[high],
                     constraints->bounds[high].text);
}

static enum status check_bound_pairs(const struct doc *map, const struct constraints *constraints,
                                     struct error *err)
{
    static const enum bound_kind lows[] = {BOUND_MINIMUM, BOUND_EXCLUSIVE_MINIMUM};
    static const enum bound_kind highs[] = {BOUND_MAXIMUM, BOUND_EXCLUSIVE_MAXIMUM};
    for (size_t i = 0; i < 4; i++) {
        enum bound_kind low = lows[i / 2];
        enum bound_kind high = highs[i % 2];
        const struct limit *bounds = constraints->bounds;
        if (bounds[low].text == NULL || bounds[high].text == NULL) {
            continue;
        }
        int order = number_compare(&bounds[low].number, &bounds[high].number);
        if (order > 0 || (order == 0 && i != 0)) {
            return contradiction(map, low, high, constraints, err);
        }
    }
    return STATUS_OK;
}

/* The least (or greatest) integer that the bound allows; one beyond int64 where it allows none. */
static __int128 integer_bound(enum bound_kind kind, const struct limit *bound)
{
    const struct number *number = &bound->number;
    bool is_low = kind == BOUND_MINIMUM || kind == BOUND_EXCLUSIVE_MINIMUM;
    if (bound->text == NULL || !number->in_int64) {
        bool allows_all = bound->text == NULL || number->negative == is_low;
        __int128 widest = is_low ? INT64_MIN : INT64_MAX;
        __int128 none = is_low ? (__int128)INT64_MAX + 1 : (__int128)INT64_MIN - 1;
        return allows_all ? widest : none;
    }
    switch (kind) {
    case BOUND_MINIMUM:
        return (__int128)number->floor + !number->integral;
    case BOUND_EXCLUSIVE_MINIMUM:
        return (__int128)number->floor + 1;
    case BOUND_MAXIMUM:
        return number->floor;
    default:
        return (__int128)number->floor - number->integral;
    }
}

static enum status set_integer_range(const struct doc *map, struct constraints *constraints,
                                     struct error *err)
{
    __int128 ends[BOUND_COUNT];
    for (int i = 0; i < BOUND_COUNT; i++) {
        ends[i] = integer_bound((enum bound_kind)i, &constraints->bounds[i]);
    }
    enum bound_kind low = ends[BOUND_MINIMUM] >= ends[BOUND_EXCLUSIVE_MINIMUM]
                              ? BOUND_MINIMUM
                              : BOUND_EXCLUSIVE_MINIMUM;
    enum bound_kind high = ends[BOUND_MAXIMUM] <= ends[BOUND_EXCLUSIVE_MAXIMUM]
                               ? BOUND_MAXIMUM
                               : BOUND_EXCLUSIVE_MAXIMUM;
    if (ends[low] > INT64_MAX || ends[high] < INT64_MIN) {
        /* There are integers that fit, though none of the column: every value is suspicious. */
        constraints->integer_low = INT64_MAX;
        constraints->integer_high = INT64_MIN;
    } else if (ends[low] > ends[high]) {
        return contradiction(map, low, high, constraints, err);
    } else {
        constraints->integer_low = (int64_t)ends[low];
        constraints->integer_high = (int64_t)ends[high];
    }
    return STATUS_OK;
}

static void set_real_range(struct constraints *constraints)
{
    const struct limit *bounds = constraints->bounds;
    double low = -INFINITY;
    double high = INFINITY;
    if (bounds[BOUND_MINIMUM].text != NULL) {
        low = bounds[BOUND_MINIMUM].number.real;
    }
    if (bounds[BOUND_EXCLUSIVE_MINIMUM].text != NULL) {
        low = fmax(low, nextafter(bounds[BOUND_EXCLUSIVE_MINIMUM].number.real, INFINITY));
    }
    if (bounds[BOUND_MAXIMUM].text != NULL) {
        high = bounds[BOUND_MAXIMUM].number.real;
    }
    if (bounds[BOUND_EXCLUSIVE_MAXIMUM].text != NULL) {
        high = fmin(high, nextafter(bounds[BOUND_EXCLUSIVE_MAXIMUM].number.real, -INFINITY));
    }
    constraints->real_low = low;
    constraints->real_high = high;
}

static enum status read_numeric(struct arena *arena, const struct doc *map, struct constraints *out,
                                struct error *err)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < BOUND_COUNT && status == STATUS_OK; i++) {
        const struct doc *node = doc_get(map, bound_names[i]);
        if (node != NULL) {
            status = read_limit(arena, node, out->column, &out->bounds[i], err);
            out->has_bounds = true;
        }
    }
    const struct doc *multiple = doc_get(map, "multipleOf");
    if (multiple != NULL && status == STATUS_OK) {
        /* Not rounded for a double column: exact division uses the decimal. */
        status = read_limit(arena, multiple, COLUMN_JSON, &out->multiple_of, err);
        if (status == STATUS_OK && !(out->multiple_of.number.real > 0)) {
            status = doc_error(multiple, err, "schema.keyword_value",
                               "`multipleOf` takes a number above 0, not %s", multiple->text);
        }
    }
    if (status == STATUS_OK && out->use == CONSTRAINT_COLUMN) {
        status = check_bound_pairs(map, out, err);
    }
    if (status == STATUS_OK && out->column == COLUMN_INT64) {
        status = set_integer_range(map, out, err);
    }
    set_real_range(out);
    return status;
}

/* A length beyond int64 is one that no text has. */
static enum status read_length(const struct doc *node, uint64_t *out, struct error *err)
{
    if (node == NULL) {
        return STATUS_OK;
    }
    struct number number;
    enum status status = keyword_number(node, &number, err);
    if (status == STATUS_OK) {
        *out = number.in_int64 ? (uint64_t)number.floor : (uint64_t)INT64_MAX;
    }
    return status;
}

static enum status read_pattern(struct arena *arena, const struct doc *node,
                                struct constraints *out, struct error *err)
{
    if (node == NULL) {
        return STATUS_OK;
    }
    char why[320];
    out->pattern_text = arena_copy(arena, node->text, node->text_size);
    out->pattern = pattern_compile(arena, bytes_of(node->text, node->text_size), why, sizeof why);
    if (out->pattern == NULL) {
        return doc_error(node, err, "schema.bad_pattern", "PCRE2 refuses this pattern %s", why);
    }
    return STATUS_OK;
}

static enum status read_format(const struct doc *node, struct constraints *out, struct error *err)
{
    if (node == NULL) {
        return STATUS_OK;
    }
    out->format = format_find(node->text);
    if (out->format != NULL) {
        return STATUS_OK;
    }
    const char *nearest = format_nearest(node->text);
    return doc_error(node, err, "schema.unknown_format", "`%s` is not a format%s%s%s", node->text,
                     nearest != NULL ? ": did you mean `" : "", nearest != NULL ? nearest : "",
                     nearest != NULL ? "`?" : "");
}

static enum status read_text(struct arena *arena, const struct doc *map, struct constraints *out,
                             struct error *err)
{
    const struct doc *max_length = doc_get(map, "maxLength");
    enum status status = read_length(doc_get(map, "minLength"), &out->min_length, err);
    if (status == STATUS_OK) {
        status = read_length(max_length, &out->max_length, err);
    }
    if (status == STATUS_OK && out->use == CONSTRAINT_COLUMN &&
        out->min_length > out->max_length) {
        status = doc_error(max_length, err, "schema.contradiction",
                           "`maxLength` %s is below `minLength` %s", max_length->text,
                           doc_get(map, "minLength")->text);
    }
    if (status == STATUS_OK) {
        status = read_pattern(arena, doc_get(map, "pattern"), out, err);
    }
    if (status == STATUS_OK) {
        status = read_format(doc_get(map, "format"), out, err);
    }
    return status;
}

static enum status read_set(struct arena *arena, const struct doc *node, bool is_const,
                            const struct constraints *constraints, struct value_set **out,
                            struct error *err)
{
    if (node == NULL) {
        return STATUS_OK;
    }
    return value_set_compile(arena, node, is_const, constraints->column,
                             constraints->use == CONSTRAINT_COLUMN ? &constraints->types : NULL, out,
                             err);
}

enum status constraint_compile(struct arena *arena, const struct doc *map, enum constraint_use use,
                               enum column_type column, struct type_set types,
                               struct constraints *out, struct error *err)
{
    struct constraints constraints = {
        .use = use,
        .column = column,
        .types = types,
        .max_length = UINT64_MAX,
    };
    enum status status = read_numeric(arena, map, &constraints, err);
    if (status == STATUS_OK) {
        status = read_text(arena, map, &constraints, err);
    }
    if (status == STATUS_OK) {
        status =
            read_set(arena, doc_get(map, "enum"), false, &constraints, &constraints.enum_set, err);
    }
    if (status == STATUS_OK) {
        status =
            read_set(arena, doc_get(map, "const"), true, &constraints, &constraints.const_set, err);
    }
    if (status == STATUS_OK) {
        *out = constraints;
    }
    return status;
}
