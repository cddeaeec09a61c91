#include "schema/judge.h"

#include <string.h>

enum {
    ARENA_CHUNK_BYTES = 16 * 1024,
    ARENA_KEEP_BYTES = 256 * 1024,
    /* A step takes some tens of nanoseconds. */
    STEPS_BASE = 500000,
    STEPS_PER_BYTE = 64,
};

struct judge *schema_judge_new(void)
{
    struct judge *judge = memory_alloc_zero(1, sizeof *judge);
    judge->matcher = pattern_matcher_new();
    judge->arena = arena_new(ARENA_CHUNK_BYTES);
    return judge;
}

void schema_judge_free(struct judge *judge)
{
    if (judge == NULL) {
        return;
    }
    pattern_matcher_free(judge->matcher);
    arena_free(judge->arena);
    buffer_fini(&judge->stack);
    buffer_fini(&judge->text);
    memory_free(judge);
}

void judge_begin(struct judge *judge, size_t size_bytes)
{
    arena_reset(judge->arena, ARENA_KEEP_BYTES);
    buffer_clear(&judge->text);
    judge->steps_left = STEPS_BASE + STEPS_PER_BYTE * (uint64_t)size_bytes;
    judge->gave_up = false;
    (void)pattern_matcher_gave_up(judge->matcher);
}

bool judge_end(struct judge *judge, bool fits, struct complaints *complaints)
{
    if (judge->gave_up && complaints != NULL) {
        complaints->items[0] = judge->surrender;
        complaints->count = 1;
    }
    return fits && !judge->gave_up;
}

/* --- complaints --- */

static struct complaint make_complaint(struct judge *judge, const struct judge_where *where,
                                       enum reason reason)
{
    struct complaint complaint = {.reason = reason};
    for (const struct judge_place *p = where->place; p != NULL; p = p->outer) {
        complaint.step_count++;
    }
    struct schema_step *steps =
        arena_alloc_zero(judge->arena, complaint.step_count, sizeof *steps);
    uint32_t at = complaint.step_count;
    for (const struct judge_place *p = where->place; p != NULL; p = p->outer) {
        steps[--at] = p->step;
    }
    complaint.steps = steps;
    complaint.detail = bytes_of(arena_copy(judge->arena, judge->text.data, judge->text.size),
                                judge->text.size);
    return complaint;
}

static bool same_place(const struct complaint *complaint, const struct judge_where *where)
{
    uint32_t at = complaint->step_count;
    for (const struct judge_place *p = where->place; p != NULL; p = p->outer) {
        if (at == 0 || !bytes_equal(complaint->steps[at - 1].name, p->step.name) ||
            complaint->steps[at - 1].index != p->step.index) {
            return false;
        }
        at--;
    }
    return at == 0;
}

/* One complaint a place: the first. */
static bool is_wanted(const struct complaints *all, const struct judge_where *where)
{
    bool wanted = all != NULL && all->count < all->max;
    for (uint32_t i = 0; wanted && i < all->count; i++) {
        wanted = !same_place(&all->items[i], where);
    }
    return wanted;
}

bool judge_complain(struct judge *judge, const struct judge_where *where, enum reason reason)
{
    if (is_wanted(where->complaints, where)) {
        where->complaints->items[where->complaints->count++] =
            make_complaint(judge, where, reason);
    }
    buffer_clear(&judge->text);
    return false;
}

/* Whatever has been found so far counts no more. */
static void surrender(struct judge *judge, const struct judge_where *where, enum reason reason)
{
    if (!judge->gave_up) {
        judge->gave_up = true;
        judge->surrender = make_complaint(judge, where, reason);
    }
    buffer_clear(&judge->text);
}

bool judge_goes_on(const struct judge *judge, const struct judge_where *where)
{
    return !judge->gave_up && where->complaints != NULL &&
           where->complaints->count < where->complaints->max;
}

bool judge_spend(struct judge *judge, uint64_t count, const struct judge_where *where)
{
    if (judge->gave_up) {
        return false;
    }
    if (count > judge->steps_left) {
        buffer_clear(&judge->text);
        buffer_append_string(&judge->text, "the schema asks for more steps than a value of this "
                                           "size gets");
        surrender(judge, where, REASON_SCHEMA_TOO_COMPLEX);
        return false;
    }
    judge->steps_left -= count;
    return true;
}

void judge_check_patterns(struct judge *judge, const struct judge_where *where)
{
    if (pattern_matcher_gave_up(judge->matcher)) {
        if (judge->text.size == 0) {
            buffer_append_string(&judge->text, "too expensive to match");
        }
        surrender(judge, where, REASON_SCHEMA_PATTERN);
    }
}

void judge_show(struct judge *judge, const struct json_node *node)
{
    struct instance instance = json_node_instance(node);
    constraint_show_instance(&instance, &judge->text);
}

void schema_steps_write(const struct schema_step *steps, uint32_t count, struct buffer *out)
{
    for (uint32_t i = 0; i < count; i++) {
        if (bytes_is_none(steps[i].name)) {
            buffer_printf(out, "[%llu]", (unsigned long long)steps[i].index);
            continue;
        }
        if (i > 0) {
            buffer_append_byte(out, '.');
        }
        for (size_t k = 0; k < steps[i].name.size; k++) {
            uint8_t byte = steps[i].name.data[k];
            if (byte < 0x20) {
                buffer_printf(out, "\\u%04x", byte);
            } else {
                buffer_append_byte(out, byte);
            }
        }
    }
}

/* --- marks of what was evaluated --- */

static bool has_parts(const struct json_node *node)
{
    return node->kind == JSON_KIND_ARRAY || node->kind == JSON_KIND_OBJECT;
}

uint8_t *judge_marks_new(const struct json_node *node, const struct judge_where *where)
{
    return where->evaluated == NULL ? NULL : memory_alloc_zero(size_add(node->count, 1), 1);
}

void judge_marks_merge(const struct json_node *node, const uint8_t *marks,
                       const struct judge_where *where)
{
    for (uint32_t i = 0; where->evaluated != NULL && i < node->count; i++) {
        where->evaluated[i] |= marks[i];
    }
}

/* --- the walk --- */

static bool judge_constraints(struct judge *judge, const struct subschema *schema,
                              const struct json_node *node, const struct judge_where *where)
{
    if (schema->constraints == NULL) {
        return true;
    }
    struct instance instance = json_node_instance(node);
    enum reason reason;
    struct buffer *detail = where->complaints == NULL ? NULL : &judge->text;
    bool fits =
        constraint_judge(schema->constraints, judge->matcher, &instance, &reason, detail);
    judge_check_patterns(judge, where);
    return fits || judge_complain(judge, where, reason);
}

/* Of all resources on the way, the outermost that has the anchor decides. */
static const struct subschema *dynamic_target(const struct subschema *schema,
                                              const struct judge_scope *scope)
{
    const struct subschema *target = schema->dynamic_reference;
    for (; schema->dynamic_name != NULL && scope != NULL; scope = scope->outer) {
        const struct schema_anchor *anchor =
            schema_resource_dynamic(scope->resource, schema->dynamic_name);
        target = anchor != NULL ? anchor->target : target;
    }
    return target;
}

static bool judge_references(struct judge *judge, const struct subschema *schema,
                             const struct json_node *node, const struct judge_where *where)
{
    bool fits = schema->reference == NULL || judge_schema(judge, schema->reference, node, where);
    if (schema->dynamic_reference == NULL || (!fits && !judge_goes_on(judge, where))) {
        return fits;
    }
    return judge_schema(judge, dynamic_target(schema, where->scope), node, where) && fits;
}

static bool judge_unevaluated(struct judge *judge, const struct subschema *schema,
                              const struct json_node *node, const struct judge_where *where)
{
    bool is_object = node->kind == JSON_KIND_OBJECT;
    const struct subschema *rest =
        is_object ? schema->unevaluated_properties : schema->unevaluated_items;
    bool fits = true;
    for (uint32_t i = 0; rest != NULL && i < node->count; i++) {
        if (where->evaluated[i] != 0) {
            continue;
        }
        struct schema_step step = {BYTES_NONE, i};
        const struct json_node *child = is_object ? &node->members[i].value : &node->items[i];
        if (is_object) {
            step = (struct schema_step){node->members[i].name, 0};
        }
        where->evaluated[i] = 1;
        fits = judge_child(judge, rest, child, where, step,
                           is_object ? REASON_SCHEMA_UNKNOWN_FIELD : REASON_SCHEMA_ITEMS) &&
               fits;
        if (!fits && !judge_goes_on(judge, where)) {
            return false;
        }
    }
    return fits;
}

typedef bool (*judge_part)(struct judge *judge, const struct subschema *schema,
                           const struct json_node *node, const struct judge_where *where);

static bool judge_keywords(struct judge *judge, const struct subschema *schema,
                           const struct json_node *node, const struct judge_where *where)
{
    static const judge_part parts[] = {judge_constraints, judge_references, judge_logic,
                                       judge_object, judge_array};
    bool fits = true;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        fits = parts[i](judge, schema, node, where) && fits;
        if (judge->gave_up || (!fits && !judge_goes_on(judge, where))) {
            return false;
        }
    }
    /* Where a branch did not fit, what it would have evaluated is not known. */
    return fits && judge_unevaluated(judge, schema, node, where);
}

static bool wants_marks(const struct subschema *schema, const struct json_node *node)
{
    return (node->kind == JSON_KIND_OBJECT && schema->unevaluated_properties != NULL) ||
           (node->kind == JSON_KIND_ARRAY && schema->unevaluated_items != NULL);
}

static bool is_too_deep(struct judge *judge, const struct judge_where *where)
{
    if (where->depth <= SUBSCHEMA_DEPTH_MAX) {
        return false;
    }
    buffer_clear(&judge->text);
    buffer_printf(&judge->text, "the schema leads through more than %u schemas in each other",
                  SUBSCHEMA_DEPTH_MAX);
    surrender(judge, where, REASON_SCHEMA_TOO_COMPLEX);
    return true;
}

bool judge_schema(struct judge *judge, const struct subschema *schema,
                  const struct json_node *node, const struct judge_where *where)
{
    if (!judge_spend(judge, 1, where)) {
        return false;
    }
    if (schema->kind == SUBSCHEMA_TRUE) {
        return true;
    }
    if (schema->kind == SUBSCHEMA_FALSE) {
        buffer_append_string(&judge->text, "the schema `false` lets nothing pass");
        return judge_complain(judge, where, REASON_SCHEMA_COMBINATION);
    }
    if (is_too_deep(judge, where)) {
        return false;
    }
    struct judge_where inner = *where;
    struct judge_scope scope = {where->scope, schema->resource};
    inner.depth++;
    if (where->scope == NULL || where->scope->resource != schema->resource) {
        inner.scope = &scope;
    }
    if (!has_parts(node)) {
        inner.evaluated = NULL;
    }
    if (!wants_marks(schema, node)) {
        return judge_keywords(judge, schema, node, &inner);
    }
    inner.evaluated = memory_alloc_zero(size_add(node->count, 1), 1);
    bool fits = judge_spend(judge, node->count / 64, where) &&
                judge_keywords(judge, schema, node, &inner);
    if (fits) {
        judge_marks_merge(node, inner.evaluated, where);
    }
    memory_free(inner.evaluated);
    return fits;
}

bool judge_child(struct judge *judge, const struct subschema *schema, const struct json_node *node,
                 const struct judge_where *parent, struct schema_step step, enum reason reason)
{
    struct judge_place place = {parent->place, step};
    struct judge_where where = *parent;
    where.place = &place;
    where.evaluated = NULL;
    if (schema->kind == SUBSCHEMA_FALSE) {
        buffer_append_string(&judge->text, reason == REASON_SCHEMA_ITEMS
                                               ? "the schema lets no item stand here"
                                               : "the schema lets no such member pass");
        return judge_complain(judge, &where, reason);
    }
    return judge_schema(judge, schema, node, &where);
}
