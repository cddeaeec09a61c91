/* Keywords about objects. Members are walked in the order of their names (json_node.h), but those
 * of `properties` in the schema's order. */
#include <stdlib.h>

#include "schema/judge.h"

/* The members that `properties` or a pattern has named, for additionalProperties. */
struct members {
    struct judge *judge;
    const struct subschema *schema;
    const struct json_node *object;
    const struct judge_where *where;
};

static void mark(const struct members *members, const struct json_member *member)
{
    if (members->where->evaluated != NULL) {
        members->where->evaluated[member - members->object->members] = 1;
    }
}

static bool judge_member(const struct members *members, const struct json_member *member,
                         const struct subschema *schema)
{
    mark(members, member);
    struct schema_step step = {member->name, 0};
    return judge_child(members->judge, schema, &member->value, members->where, step,
                       REASON_SCHEMA_UNKNOWN_FIELD);
}

/* Complains of a member that is not there, at its place. */
static bool miss(const struct members *members, struct bytes name, struct bytes because)
{
    struct judge_place place = {members->where->place, {name, 0}};
    struct judge_where where = *members->where;
    struct buffer *text = &members->judge->text;
    where.place = &place;
    buffer_append_string(text, "required");
    if (!bytes_is_none(because)) {
        buffer_append_string(text, " where ");
        json_cell_quote(text, because, 60);
        buffer_append_string(text, " is");
    }
    buffer_append_string(text, ", but absent");
    return judge_complain(members->judge, &where, REASON_SCHEMA_REQUIRED);
}

static bool require(const struct members *members, const struct name_list *names,
                    struct bytes because)
{
    bool fits = true;
    for (uint32_t i = 0; i < names->count; i++) {
        if (!judge_spend(members->judge, 1, members->where)) {
            return false;
        }
        if (json_node_member(members->object, names->names[i]) == NULL) {
            fits = miss(members, names->names[i], because);
            if (!judge_goes_on(members->judge, members->where)) {
                return false;
            }
        }
    }
    return fits;
}

static bool required(const struct members *members)
{
    return require(members, &members->schema->required, BYTES_NONE);
}

static bool dependent_required(const struct members *members)
{
    const struct named_list *list = &members->schema->dependent_required;
    bool fits = true;
    for (uint32_t i = 0; i < list->count; i++) {
        const struct named_subschema *named = &list->items[i];
        if (json_node_member(members->object, named->name) != NULL) {
            fits = require(members, &named->required, named->name) && fits;
        }
        if (!fits && !judge_goes_on(members->judge, members->where)) {
            return false;
        }
    }
    return fits;
}

static bool dependent_schemas(const struct members *members)
{
    const struct named_list *list = &members->schema->dependent_schemas;
    bool fits = true;
    for (uint32_t i = 0; i < list->count; i++) {
        if (json_node_member(members->object, list->items[i].name) != NULL) {
            fits = judge_schema(members->judge, list->items[i].schema, members->object,
                                members->where) &&
                   fits;
        }
        if (!fits && !judge_goes_on(members->judge, members->where)) {
            return false;
        }
    }
    return fits;
}

static bool count_members(const struct members *members)
{
    const struct subschema *schema = members->schema;
    uint32_t count = members->object->count;
    bool too_few = count < schema->min_properties;
    if (!too_few && count <= schema->max_properties) {
        return true;
    }
    buffer_printf(&members->judge->text, "%u member%s, %s than %llu", count, count == 1 ? "" : "s",
                  too_few ? "fewer" : "more",
                  (unsigned long long)(too_few ? schema->min_properties : schema->max_properties));
    return judge_complain(members->judge, members->where, REASON_SCHEMA_LENGTH);
}

static bool property_names(const struct members *members)
{
    const struct subschema *schema = members->schema->property_names;
    bool fits = true;
    for (uint32_t i = 0; schema != NULL && i < members->object->count; i++) {
        const struct json_member *member = &members->object->members[i];
        const struct instance name = {.kind = JSON_KIND_STRING, .text = member->name};
        struct json_node node = json_node_of_scalar(&name);
        struct complaints complaints = {.count = 0, .max = 1};
        struct judge_where inner = *members->where;
        inner.complaints = inner.complaints == NULL ? NULL : &complaints;
        inner.evaluated = NULL;
        if (judge_schema(members->judge, schema, &node, &inner)) {
            continue;
        }
        struct judge_place place = {members->where->place, {member->name, 0}};
        struct judge_where outer = *members->where;
        outer.place = &place;
        buffer_append_string(&members->judge->text, "the name does not fit `propertyNames`");
        if (complaints.count > 0) {
            struct bytes detail = complaints.items[0].detail;
            buffer_append_string(&members->judge->text, ": ");
            buffer_append(&members->judge->text, detail.data, detail.size);
        }
        fits = judge_complain(members->judge, &outer, REASON_SCHEMA_UNKNOWN_FIELD);
        if (!judge_goes_on(members->judge, members->where)) {
            return false;
        }
    }
    return fits;
}

static bool properties(const struct members *members)
{
    const struct named_list *list = &members->schema->properties;
    bool fits = true;
    if (!judge_spend(members->judge, list->count, members->where)) {
        return false;
    }
    for (uint32_t i = 0; i < list->count; i++) {
        const struct json_member *member =
            json_node_member(members->object, list->items[i].name);
        if (member == NULL) {
            continue;
        }
        if (list->items[i].schema == NULL) {
            mark(members, member);
            continue;
        }
        fits = judge_member(members, member, list->items[i].schema) && fits;
        if (!fits && !judge_goes_on(members->judge, members->where)) {
            return false;
        }
    }
    return fits;
}

static bool is_property(const struct subschema *schema, struct bytes name)
{
    uint32_t low = 0;
    uint32_t high = schema->properties.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct named_subschema *named =
            &schema->properties.items[schema->properties_by_name[middle]];
        int order = json_name_compare(named->name, name);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

/* The patterns that the member's name matches; the others fall to additionalProperties. */
static bool judge_by_patterns(const struct members *members, const struct json_member *member,
                              bool *inout_known)
{
    const struct subschema *schema = members->schema;
    bool fits = true;
    for (uint32_t i = 0; i < schema->pattern_count; i++) {
        const struct pattern_subschema *pattern = &schema->pattern_properties[i];
        if (!judge_spend(members->judge, 1, members->where)) {
            return false;
        }
        enum pattern_result result =
            pattern_match(members->judge->matcher, pattern->pattern, member->name);
        judge_check_patterns(members->judge, members->where);
        if (result == PATTERN_MATCHES) {
            *inout_known = true;
            fits = judge_member(members, member, pattern->schema) && fits;
        }
        if (members->judge->gave_up || (!fits && !judge_goes_on(members->judge, members->where))) {
            return false;
        }
    }
    return fits;
}

static bool other_members(const struct members *members)
{
    const struct subschema *schema = members->schema;
    bool fits = true;
    if (schema->pattern_count == 0 && schema->additional_properties == NULL) {
        return true;
    }
    for (uint32_t i = 0; i < members->object->count; i++) {
        const struct json_member *member = &members->object->members[i];
        bool known = is_property(schema, member->name);
        fits = judge_by_patterns(members, member, &known) && fits;
        if (!known && schema->additional_properties != NULL && !members->judge->gave_up) {
            fits = judge_member(members, member, schema->additional_properties) && fits;
        }
        if (!judge_spend(members->judge, 1, members->where) ||
            (!fits && !judge_goes_on(members->judge, members->where))) {
            return false;
        }
    }
    return fits;
}

bool judge_object(struct judge *judge, const struct subschema *schema,
                  const struct json_node *node, const struct judge_where *where)
{
    static bool (*const parts[])(const struct members *members) = {
        required,       dependent_required, count_members,     property_names,
        properties,     other_members,      dependent_schemas,
    };
    if (node->kind != JSON_KIND_OBJECT) {
        return true;
    }
    struct members members = {judge, schema, node, where};
    bool fits = true;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        fits = parts[i](&members) && fits;
        if (judge->gave_up || (!fits && !judge_goes_on(judge, where))) {
            return false;
        }
    }
    return fits;
}
