/* allOf, anyOf, oneOf, not, if: keywords that ask further schemas of the same value. */
#include "schema/judge.h"

/* What the branches of an anyOf or oneOf said. */
struct branches {
    uint32_t fitting;
    uint32_t first_fitting;
    uint32_t second_fitting;
    uint32_t by_type; /* failed by the type of the value itself */
    struct complaint other; /* the complaint of the last one that failed otherwise */
};

static bool all_of(struct judge *judge, const struct subschema *schema,
                   const struct json_node *node, const struct judge_where *where)
{
    bool fits = true;
    for (uint32_t i = 0; i < schema->all_of.count; i++) {
        fits = judge_schema(judge, schema->all_of.items[i], node, where) && fits;
        if (!fits && !judge_goes_on(judge, where)) {
            return false;
        }
    }
    return fits;
}

/* Judges without complaining; takes over the branch's marks when it fits. */
static bool fits_quietly(struct judge *judge, const struct subschema *schema,
                         const struct json_node *node, const struct judge_where *where,
                         struct complaints *complaints)
{
    struct judge_where branch = *where;
    branch.complaints = complaints;
    branch.evaluated = judge_marks_new(node, where);
    bool fits = judge_spend(judge, where->evaluated == NULL ? 0 : node->count / 64, where) &&
                judge_schema(judge, schema, node, &branch);
    if (fits && branch.evaluated != NULL) {
        judge_marks_merge(node, branch.evaluated, where);
    }
    memory_free(branch.evaluated);
    return fits;
}

static uint32_t place_depth(const struct judge_where *where)
{
    uint32_t depth = 0;
    for (const struct judge_place *p = where->place; p != NULL; p = p->outer) {
        depth++;
    }
    return depth;
}

static void ask_branch(struct judge *judge, const struct subschema *schema, uint32_t index,
                       const struct json_node *node, const struct judge_where *where,
                       struct branches *branches)
{
    struct complaints complaints = {.count = 0, .max = 1};
    bool loud = where->complaints != NULL && branches->fitting == 0;
    if (fits_quietly(judge, schema, node, where, loud ? &complaints : NULL)) {
        branches->second_fitting = index;
        branches->first_fitting = branches->fitting == 0 ? index : branches->first_fitting;
        branches->fitting++;
    } else if (complaints.count > 0) {
        bool by_type = complaints.items[0].reason == REASON_SCHEMA_TYPE &&
                       complaints.items[0].step_count == place_depth(where);
        branches->by_type += by_type;
        if (!by_type) {
            branches->other = complaints.items[0];
        }
    }
}

static void add_complaint(const struct judge_where *where, const struct complaint *complaint)
{
    struct complaints *all = where->complaints;
    if (all != NULL && all->count < all->max) {
        all->items[all->count++] = *complaint;
    }
}

/* The best reason there is: see validator.h. */
static bool none_fits(struct judge *judge, const struct subschema_list *list, const char *keyword,
                      const struct json_node *node, const struct judge_where *where,
                      const struct branches *branches)
{
    if (where->complaints == NULL) {
        return false;
    }
    if (branches->by_type + 1 == list->count && branches->other.reason != REASON_NONE) {
        add_complaint(where, &branches->other);
        return false;
    }
    judge_show(judge, node);
    buffer_printf(&judge->text, " fits none of the %u schemas of `%s`", list->count, keyword);
    bool all_by_type = branches->by_type == list->count;
    if (!all_by_type && branches->other.reason != REASON_NONE) {
        const struct complaint *other = &branches->other;
        uint32_t depth = place_depth(where);
        buffer_append_string(&judge->text, "; of one of them: ");
        if (other->step_count > depth) {
            schema_steps_write(other->steps + depth, other->step_count - depth, &judge->text);
            buffer_append_string(&judge->text, ": ");
        }
        buffer_append(&judge->text, other->detail.data, other->detail.size);
    }
    return judge_complain(judge, where,
                          all_by_type ? REASON_SCHEMA_TYPE : REASON_SCHEMA_COMBINATION);
}

static bool any_of(struct judge *judge, const struct subschema *schema,
                   const struct json_node *node, const struct judge_where *where)
{
    const struct subschema_list *list = &schema->any_of;
    struct branches branches = {.fitting = 0};
    for (uint32_t i = 0; i < list->count && !judge->gave_up; i++) {
        ask_branch(judge, list->items[i], i, node, where, &branches);
        /* All that fit are asked where somebody wants to know what they evaluated. */
        if (branches.fitting > 0 && where->evaluated == NULL) {
            return true;
        }
    }
    return list->count == 0 || branches.fitting > 0 ||
           none_fits(judge, list, "anyOf", node, where, &branches);
}

static bool one_of(struct judge *judge, const struct subschema *schema,
                   const struct json_node *node, const struct judge_where *where)
{
    const struct subschema_list *list = &schema->one_of;
    struct branches branches = {.fitting = 0};
    for (uint32_t i = 0; i < list->count && branches.fitting < 2 && !judge->gave_up; i++) {
        ask_branch(judge, list->items[i], i, node, where, &branches);
    }
    if (list->count == 0 || branches.fitting == 1) {
        return true;
    }
    if (branches.fitting == 0) {
        return none_fits(judge, list, "oneOf", node, where, &branches);
    }
    judge_show(judge, node);
    buffer_printf(&judge->text, " fits more than one schema of `oneOf`: number %u and number %u",
                  branches.first_fitting + 1, branches.second_fitting + 1);
    return judge_complain(judge, where, REASON_SCHEMA_COMBINATION);
}

static bool not(struct judge *judge, const struct subschema *schema, const struct json_node *node,
                const struct judge_where *where)
{
    struct judge_where inner = *where;
    inner.complaints = NULL;
    inner.evaluated = NULL;
    if (schema->not_schema == NULL || !judge_schema(judge, schema->not_schema, node, &inner)) {
        return !judge->gave_up;
    }
    judge_show(judge, node);
    buffer_append_string(&judge->text, " fits what `not` rules out");
    return judge_complain(judge, where, REASON_SCHEMA_COMBINATION);
}

static bool condition(struct judge *judge, const struct subschema *schema,
                      const struct json_node *node, const struct judge_where *where)
{
    if (schema->if_schema == NULL) {
        return true;
    }
    bool holds = fits_quietly(judge, schema->if_schema, node, where, NULL);
    const struct subschema *next = holds ? schema->then_schema : schema->else_schema;
    return !judge->gave_up && (next == NULL || judge_schema(judge, next, node, where));
}

typedef bool (*judge_part)(struct judge *judge, const struct subschema *schema,
                           const struct json_node *node, const struct judge_where *where);

bool judge_logic(struct judge *judge, const struct subschema *schema,
                 const struct json_node *node, const struct judge_where *where)
{
    static const judge_part parts[] = {all_of, any_of, one_of, not, condition};
    bool fits = true;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        fits = parts[i](judge, schema, node, where) && fits;
        if (judge->gave_up || (!fits && !judge_goes_on(judge, where))) {
            return false;
        }
    }
    return fits;
}
