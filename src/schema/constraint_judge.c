#include "schema/constraint.h"

#include <math.h>

/* Of a value in a message. */
enum { VALUE_BYTES_MAX = 60, PATTERN_BYTES_MAX = 60 };

void constraint_show_instance(const struct instance *instance, struct buffer *out)
{
    char text[NUMBER_TEXT_BYTES];
    if (!bytes_is_none(instance->raw)) {
        json_cell_show(out, instance->raw, VALUE_BYTES_MAX);
        return;
    }
    switch (instance->kind) {
    case JSON_KIND_NULL:
        buffer_append_string(out, "null");
        break;
    case JSON_KIND_BOOL:
        buffer_append_string(out, instance->boolean ? "true" : "false");
        break;
    case JSON_KIND_NUMBER:
        if (instance->number.in_int64 && instance->number.integral) {
            buffer_printf(out, "%lld", (long long)instance->number.floor);
        } else {
            buffer_append(out, text, number_write_double(instance->number.real, text));
        }
        break;
    case JSON_KIND_STRING:
        json_cell_quote(out, instance->text, VALUE_BYTES_MAX);
        break;
    case JSON_KIND_ARRAY:
        buffer_append_string(out, "[…]");
        break;
    case JSON_KIND_OBJECT:
        buffer_append_string(out, "{…}");
        break;
    }
}

static const char *kind_name(enum json_kind kind, bool integer_only)
{
    switch (kind) {
    case JSON_KIND_NULL:
        return "null";
    case JSON_KIND_BOOL:
        return "a boolean";
    case JSON_KIND_NUMBER:
        return integer_only ? "an integer" : "a number";
    case JSON_KIND_STRING:
        return "a string";
    case JSON_KIND_ARRAY:
        return "an array";
    case JSON_KIND_OBJECT:
        return "an object";
    }
    check(!"a known kind");
}

/* "an integer, a string or null" */
static void show_types(struct type_set types, struct buffer *out)
{
    static const enum json_kind order[] = {JSON_KIND_BOOL,  JSON_KIND_NUMBER, JSON_KIND_STRING,
                                           JSON_KIND_ARRAY, JSON_KIND_OBJECT, JSON_KIND_NULL};
    uint32_t left = types.kinds;
    bool first = true;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        uint32_t bit = KIND_BIT(order[i]);
        if ((left & bit) != 0) {
            left &= ~bit;
            buffer_append_string(out, first ? "" : left == 0 ? " or " : ", ");
            buffer_append_string(out, kind_name(order[i], types.integer_only));
            first = false;
        }
    }
}

void constraint_describe_type(const struct constraints *constraints,
                              const struct instance *instance, struct buffer *detail)
{
    constraint_show_instance(instance, detail);
    buffer_append_string(detail, " is not ");
    show_types(constraints->types, detail);
}

void constraint_describe_overflow(const struct constraints *constraints,
                                  const struct instance *instance, struct buffer *detail)
{
    constraint_show_instance(instance, detail);
    buffer_append_string(detail, constraints->types.integer_only
                                     ? " does not fit into a 64-bit integer"
                                     : " is beyond the range of a double");
}

static bool type_matches(const struct constraints *constraints, const struct instance *instance,
                         enum reason *out_reason, struct buffer *detail)
{
    struct type_set types = constraints->types;
    bool is_number = instance->kind == JSON_KIND_NUMBER;
    if ((types.kinds & KIND_BIT(instance->kind)) == 0 ||
        (is_number && types.integer_only && !instance->number.integral)) {
        *out_reason = REASON_SCHEMA_TYPE;
        if (detail != NULL) {
            constraint_describe_type(constraints, instance, detail);
        }
        return false;
    }
    /* In a list of types with "number" in it a number is only handed on, as it is written. */
    bool is_double = constraints->column == COLUMN_DOUBLE;
    if (is_number && constraints->use == CONSTRAINT_COLUMN &&
        ((types.integer_only && !instance->number.in_int64) ||
         (is_double && !isfinite(instance->number.real)))) {
        *out_reason = REASON_SCHEMA_RANGE;
        if (detail != NULL) {
            constraint_describe_overflow(constraints, instance, detail);
        }
        return false;
    }
    return true;
}

static bool set_matches(const struct value_set *set, const struct instance *instance,
                        struct buffer *detail)
{
    bool found = false;
    if (set == NULL) {
        return true;
    }
    switch (instance->kind) {
    case JSON_KIND_NULL:
        found = set->has_null;
        break;
    case JSON_KIND_BOOL:
        found = set->has_boolean[instance->boolean];
        break;
    case JSON_KIND_NUMBER:
        found = value_set_has_number(set, &instance->number);
        break;
    case JSON_KIND_STRING:
        found = value_set_has_text(set, instance->text);
        break;
    case JSON_KIND_ARRAY:
    case JSON_KIND_OBJECT:
        found = value_set_has_nested(set, instance->raw);
        break;
    }
    if (!found && detail != NULL) {
        constraint_show_instance(instance, detail);
        buffer_printf(detail, " is not %s%s", set->is_const ? "" : "one of ", set->shown);
    }
    return found;
}

static bool range_matches(const struct constraints *constraints, const struct instance *instance,
                          struct buffer *detail)
{
    static const char *const complaints[BOUND_COUNT] = {
        [BOUND_MINIMUM] = "is below the minimum",
        [BOUND_EXCLUSIVE_MINIMUM] = "is not above the exclusive minimum",
        [BOUND_MAXIMUM] = "is above the maximum",
        [BOUND_EXCLUSIVE_MAXIMUM] = "is not below the exclusive maximum",
    };
    const char *complaint = NULL;
    const struct limit *limit = NULL;
    for (int i = 0; i < BOUND_COUNT && complaint == NULL; i++) {
        limit = &constraints->bounds[i];
        if (limit->text == NULL) {
            continue;
        }
        int order = number_compare(&instance->number, &limit->number);
        bool fits = i == BOUND_MINIMUM             ? order >= 0
                    : i == BOUND_EXCLUSIVE_MINIMUM ? order > 0
                    : i == BOUND_MAXIMUM           ? order <= 0
                                                   : order < 0;
        complaint = fits ? NULL : complaints[i];
    }
    if (complaint == NULL && constraints->multiple_of.text != NULL &&
        !number_is_multiple(&instance->number, &constraints->multiple_of.number)) {
        limit = &constraints->multiple_of;
        complaint = "is not a multiple of";
    }
    if (complaint != NULL && detail != NULL) {
        constraint_show_instance(instance, detail);
        buffer_printf(detail, " %s %s", complaint, limit->text);
    }
    return complaint == NULL;
}

static bool length_matches(const struct constraints *constraints, const struct instance *instance,
                           struct buffer *detail)
{
    if (constraints->min_length == 0 && constraints->max_length == UINT64_MAX) {
        return true;
    }
    uint64_t length = bytes_utf8_length(instance->text);
    bool too_short = length < constraints->min_length;
    bool too_long = length > constraints->max_length;
    if ((too_short || too_long) && detail != NULL) {
        uint64_t limit = too_short ? constraints->min_length : constraints->max_length;
        constraint_show_instance(instance, detail);
        buffer_printf(detail, " has %llu character%s, %s than %llu", (unsigned long long)length,
                      length == 1 ? "" : "s", too_short ? "fewer" : "more",
                      (unsigned long long)limit);
    }
    return !too_short && !too_long;
}

static bool pattern_matches(const struct constraints *constraints, struct pattern_matcher *matcher,
                            const struct instance *instance, struct buffer *detail)
{
    if (constraints->pattern == NULL) {
        return true;
    }
    enum pattern_result result = pattern_match(matcher, constraints->pattern, instance->text);
    if (result != PATTERN_MATCHES && detail != NULL) {
        constraint_show_instance(instance, detail);
        buffer_append_string(detail, result == PATTERN_TOO_EXPENSIVE
                                         ? " is too expensive to match with "
                                         : " does not match ");
        json_cell_show(detail, bytes_of_string(constraints->pattern_text), PATTERN_BYTES_MAX);
    }
    return result == PATTERN_MATCHES;
}

static bool format_matches(const struct constraints *constraints, const struct instance *instance,
                           struct buffer *detail)
{
    const struct format *format = constraints->format;
    if (format == NULL || format->matches(instance->text)) {
        return true;
    }
    if (detail != NULL) {
        constraint_show_instance(instance, detail);
        buffer_printf(detail, " is not %s", format->what);
    }
    return false;
}

static bool text_matches(const struct constraints *constraints, struct pattern_matcher *matcher,
                         const struct instance *instance, enum reason *out_reason,
                         struct buffer *detail)
{
    if (!length_matches(constraints, instance, detail)) {
        *out_reason = REASON_SCHEMA_LENGTH;
    } else if (!pattern_matches(constraints, matcher, instance, detail)) {
        *out_reason = REASON_SCHEMA_PATTERN;
    } else if (!format_matches(constraints, instance, detail)) {
        *out_reason = REASON_SCHEMA_FORMAT;
    } else {
        return true;
    }
    return false;
}

bool constraint_is_empty(const struct constraints *constraints)
{
    return constraints->types.kinds == KINDS_ALL && !constraints->has_bounds &&
           constraints->multiple_of.text == NULL && constraints->min_length == 0 &&
           constraints->max_length == UINT64_MAX && constraints->pattern == NULL &&
           constraints->format == NULL && constraints->enum_set == NULL &&
           constraints->const_set == NULL;
}

bool constraint_judge(const struct constraints *constraints, struct pattern_matcher *matcher,
                      const struct instance *instance, enum reason *out_reason,
                      struct buffer *detail)
{
    if (!type_matches(constraints, instance, out_reason, detail)) {
        return false;
    }
    if (!set_matches(constraints->enum_set, instance, detail) ||
        !set_matches(constraints->const_set, instance, detail)) {
        *out_reason = REASON_SCHEMA_ENUM;
        return false;
    }
    if (instance->kind == JSON_KIND_NUMBER && !range_matches(constraints, instance, detail)) {
        *out_reason = REASON_SCHEMA_RANGE;
        return false;
    }
    return instance->kind != JSON_KIND_STRING ||
           text_matches(constraints, matcher, instance, out_reason, detail);
}
