/* The blocks repair, event_time, checks, dedup and transform, and the sinks' conditions, compiled
 * to a stage_plan. */
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "plan/plan_private.h"

static const struct doc empty_map = {.kind = DOC_MAP};

static const struct doc *block(const struct plan_maker *maker, const char *key)
{
    const struct doc *node = doc_get(maker->pipeline, key);
    return node == NULL || node->kind == DOC_NULL ? &empty_map : node;
}

/* The item of a STRINGS node: a list, or one string that stands for a list of one. */
static const struct doc *string_item(const struct doc *node, size_t index)
{
    return node->kind == DOC_LIST ? node->items[index] : node;
}

static size_t string_count(const struct doc *node)
{
    return node == NULL ? 0 : node->kind == DOC_LIST ? node->count : 1;
}

enum status plan_find_field(const struct plan_maker *maker, const struct doc *name,
                            const char *path, uint32_t *out, struct error *err)
{
    const struct layout *layout = maker->plan->stage.layout;
    *out = layout_find(layout, path);
    if (*out != FIELD_NONE && *out < layout->schema_field_count) {
        return STATUS_OK;
    }
    const char **paths = arena_alloc_zero(maker->arena, layout->schema_field_count + 1,
                                          sizeof *paths);
    for (uint32_t i = 0; i < layout->schema_field_count; i++) {
        paths[i] = layout->fields[i].path;
    }
    const char *nearest = string_nearest(path, paths, layout->schema_field_count);
    return doc_error(name, err, "config.unknown_field",
                     "the schema has no field '%s'%s%s%s", path,
                     nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                     nearest == NULL ? "" : "'?");
}

enum status plan_check_key_type(const struct plan_maker *maker, const struct doc *name,
                                enum column_type type, struct error *err)
{
    if (maker->is_stored || (type != COLUMN_JSON && type != COLUMN_OBJECT)) {
        return STATUS_OK;
    }
    return doc_error(name, err, "config.value",
                     "'%s' is %s, and such values are compared by how they are written: 1 would not "
                     "be 1.0. Give it one simple type in the schema, or name another field",
                     name->text, column_type_name(type));
}

/* Index of a new expression; of a condition its truth is asked. */
static uint32_t add_expression(struct plan_maker *maker, const struct doc *node, const char *what,
                               bool is_condition)
{
    if (maker->expression_count == maker->expression_capacity) {
        maker->expression_capacity = maker->expression_capacity * 2 + 8;
        maker->expressions = memory_realloc(
            maker->expressions, size_mul(maker->expression_capacity, sizeof *maker->expressions));
    }
    maker->expressions[maker->expression_count] = (struct sql_expression){
        .text = node->text,
        .what = what,
        .is_condition = is_condition && !maker->is_stored,
        .file = node->file,
        .line = node->line,
        .column = node->column,
    };
    return maker->expression_count++;
}

/* --- schema, with the names that only the pipeline mentions --- */

/* Control characters stand escaped in the path of a field, and paths are what set and drop name. */
static enum status check_path(const struct doc *name, const char *where, struct error *err)
{
    for (size_t i = 0; i < name->text_size; i++) {
        uint8_t byte = (uint8_t)name->text[i];
        if (byte < 0x20) {
            return doc_error(name, err, "config.value",
                             "a name in transform.%s holds the control character 0x%02x; a field "
                             "of the schema that has one is named with '\\u%04x' in its place",
                             where, byte, byte);
        }
    }
    return STATUS_OK;
}

static enum status check_transform_paths(const struct doc *set, const struct doc *drop,
                                         struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; set != NULL && i < set->count && status == STATUS_OK; i++) {
        status = check_path(set->keys[i], "set", err);
    }
    for (size_t i = 0; i < string_count(drop) && status == STATUS_OK; i++) {
        status = check_path(string_item(drop, i), "drop", err);
    }
    return status;
}

static enum status check_transform_names(const struct doc *set, const struct doc *drop,
                                         struct error *err)
{
    if (set != NULL && set->kind != DOC_MAP) {
        return doc_error(set, err, "config.type",
                         "transform.set is a map of field: expression, not %s",
                         doc_kind_name(set->kind));
    }
    for (size_t i = 0; set != NULL && i < set->count; i++) {
        if (set->items[i]->kind != DOC_STRING) {
            return doc_error(set->items[i], err, "config.type",
                             "the value of a field in transform.set is an SQL expression in a "
                             "string, not %s; a text needs quotes inside: \"'text'\"",
                             doc_kind_name(set->items[i]->kind));
        }
        for (size_t k = 0; k < string_count(drop); k++) {
            if (strcmp(string_item(drop, k)->text, set->keys[i]->text) == 0) {
                return doc_error(string_item(drop, k), err, "config.value",
                                 "'%s' is both set and dropped; leave one out",
                                 set->keys[i]->text);
            }
        }
    }
    return STATUS_OK;
}

/* What is wrong with a name of `set` or `drop` is told without a place: the schema does not have
 * it. */
static enum status place_name_error(const struct doc *set, const struct doc *drop,
                                    struct error *err)
{
    const struct doc *node = drop != NULL ? drop : set;
    if (err == NULL || err->file[0] != '\0' || node == NULL) {
        return err == NULL ? STATUS_CONFIG : err->status;
    }
    snprintf(err->file, sizeof err->file, "%s", node->file);
    err->line = node->line;
    err->column = node->column;
    return err->status;
}

/* Whether one name may well be the other, mistyped. */
static bool resembles(const char *name, const char *other)
{
    size_t size = strlen(name);
    return string_distance(name, other) <= (size >= 5 ? 2u : size >= 3 ? 1u : 0u);
}

static const char *find_resembling(const struct layout *layout, const char *name)
{
    const char *nearest = NULL;
    for (uint32_t i = 0; i < layout->schema_field_count; i++) {
        const char *path = layout->fields[i].path;
        if (resembles(name, path) &&
            (nearest == NULL || string_distance(name, path) < string_distance(name, nearest))) {
            nearest = path;
        }
    }
    return nearest;
}

/* What is dropped need not be declared, where the schema lets other fields pass; but a name that
 * drops nothing is a field that goes out against the operator's will. */
static enum status check_drops(const struct plan_maker *maker, const struct doc *drop,
                               struct error *err)
{
    const struct layout *layout = maker->plan->stage.layout;
    for (size_t i = 0; i < string_count(drop) && !maker->is_stored; i++) {
        const struct doc *name = string_item(drop, i);
        uint32_t field = layout_find(layout, name->text);
        if (field < layout->schema_field_count) {
            continue;
        }
        uint32_t parent = layout->fields[field].parent;
        bool closed = parent == FIELD_NONE ? layout->closed : layout->fields[parent].closed;
        const char *nearest = find_resembling(layout, name->text);
        if (closed || nearest != NULL) {
            return doc_error(name, err, "config.unknown_field",
                             "the schema has no field '%s'%s%s%s%s%s", name->text,
                             closed ? ", and `additionalProperties: false` lets no other pass" : "",
                             nearest == NULL ? "" : "; did you mean '",
                             nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?",
                             closed ? "" : " If it is another one, declare it in the schema");
        }
    }
    return STATUS_OK;
}

/* The field that gets the event time must not be another's target. */
static enum status check_as(const struct plan_maker *maker, const struct doc *set,
                            const struct doc *drop, struct error *err)
{
    const struct doc *as = doc_get(block(maker, "event_time"), "as");
    bool is_taken = as != NULL && set != NULL && doc_get(set, as->text) != NULL;
    for (size_t i = 0; as != NULL && i < string_count(drop); i++) {
        is_taken |= strcmp(string_item(drop, i)->text, as->text) == 0;
    }
    return !is_taken ? STATUS_OK
                     : doc_error(as, err, "config.value",
                                 "'%s' is set or dropped by transform; call the event time "
                                 "something else",
                                 as->text);
}

static enum status make_schema(struct plan_maker *maker, struct error *err)
{
    const struct doc *set = doc_get(block(maker, "transform"), "set");
    const struct doc *drop = doc_get(block(maker, "transform"), "drop");
    enum status status = check_transform_names(set, drop, err);
    if (status == STATUS_OK) {
        status = check_as(maker, set, drop, err);
    }
    if (status == STATUS_OK) {
        status = check_transform_paths(set, drop, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    size_t set_count = set == NULL ? 0 : set->count;
    size_t drop_count = string_count(drop);
    const char *as = grammar_string(block(maker, "event_time"), "as", NULL);
    const char **names =
        arena_alloc_zero(maker->arena, set_count + drop_count + 2, sizeof *names);
    uint32_t count = 0;
    for (size_t i = 0; i < set_count; i++) {
        names[count++] = set->keys[i]->text;
    }
    for (size_t i = 0; i < drop_count; i++) {
        names[count++] = string_item(drop, i)->text;
    }
    if (as != NULL) {
        names[count++] = as;
    }
    struct schema *schema = NULL;
    status = schema_compile(maker->arena, maker->schema, &maker->schema_files, names, count, &schema,
                            err);
    if (status != STATUS_OK) {
        return place_name_error(set, drop, err);
    }
    struct stage_plan *stage = &maker->plan->stage;
    stage->schema = schema;
    stage->layout = schema_layout(schema);
    bool *is_time =
        arena_alloc_zero(maker->arena, stage->layout->field_count + 1, sizeof *is_time);
    for (uint32_t i = 0; i < stage->layout->schema_field_count; i++) {
        const char *format = schema_format(schema, i);
        is_time[i] = format != NULL && strcmp(format, "date-time") == 0;
    }
    stage->is_time = is_time;
    return check_drops(maker, drop, err);
}

/* --- time --- */

/* Whether rows have a time at all, for what is remembered for a while. */
static bool has_time(const struct plan_maker *maker)
{
    return maker->plan->stage.event_time_field != FIELD_NONE ||
           maker->plan->source_ops->timestamp_kind != TIMESTAMP_NONE;
}

/* --- repair --- */

static enum status make_value(const struct doc *node, struct value *out, struct error *err)
{
    switch (node->kind) {
    case DOC_BOOL:
        *out = (struct value){.type = VALUE_BOOL, .boolean = node->boolean};
        return STATUS_OK;
    case DOC_INT:
        *out = (struct value){.type = VALUE_INT64, .integer = node->integer};
        return STATUS_OK;
    case DOC_DOUBLE:
        *out = (struct value){.type = VALUE_DOUBLE, .real = node->real};
        return STATUS_OK;
    case DOC_STRING:
        *out = (struct value){.type = VALUE_TEXT,
                              .text = bytes_of(node->text, node->text_size)};
        return STATUS_OK;
    case DOC_NULL:
    case DOC_LIST:
    case DOC_MAP:
        break;
    }
    return doc_error(node, err, "config.type", "expected a string, a number, true or false, not %s",
                     doc_kind_name(node->kind));
}

static enum status make_null_values(struct plan_maker *maker, const struct doc *node,
                                    struct error *err)
{
    if (node == NULL) {
        return STATUS_OK;
    }
    size_t count = string_count(node);
    struct value *values = arena_alloc_zero(maker->arena, count + 1, sizeof *values);
    for (size_t i = 0; i < count; i++) {
        enum status status = make_value(string_item(node, i), &values[i], err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    maker->plan->stage.null_values = values;
    maker->plan->stage.null_value_count = (uint32_t)count;
    return STATUS_OK;
}

static enum status make_coerce(struct plan_maker *maker, const struct doc *node,
                               struct error *err)
{
    struct stage_plan *stage = &maker->plan->stage;
    size_t count = string_count(node);
    uint32_t *fields = arena_alloc_zero(maker->arena, count + 1, sizeof *fields);
    for (size_t i = 0; i < count; i++) {
        const struct doc *name = string_item(node, i);
        enum status status = plan_find_field(maker, name, name->text, &fields[i], err);
        if (status != STATUS_OK) {
            return status;
        }
        enum column_type type = stage->layout->fields[fields[i]].type;
        if (type != COLUMN_INT64 && type != COLUMN_DOUBLE && type != COLUMN_BOOL) {
            return doc_error(name, err, "config.value",
                             "coerce turns text into numbers and booleans, but the schema says "
                             "that '%s' is %s; leave it out",
                             name->text, column_type_name(type));
        }
    }
    stage->coerce_fields = fields;
    stage->coerce_count = (uint32_t)count;
    return STATUS_OK;
}

/* The constant in the type of the column. */
static bool fit_value(enum column_type type, struct value *value)
{
    if (type == COLUMN_DOUBLE && value->type == VALUE_INT64) {
        *value = (struct value){.type = VALUE_DOUBLE, .real = (double)value->integer};
    }
    return (type == COLUMN_BOOL && value->type == VALUE_BOOL) ||
           (type == COLUMN_INT64 && value->type == VALUE_INT64) ||
           (type == COLUMN_DOUBLE && value->type == VALUE_DOUBLE) ||
           (type == COLUMN_TEXT && value->type == VALUE_TEXT);
}

static enum status make_constant(struct plan_maker *maker, const struct doc *node,
                                 struct stage_fill *fill, struct error *err)
{
    const struct field *field = &maker->plan->stage.layout->fields[fill->field];
    enum status status = make_value(node, &fill->value, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (!fit_value(field->type, &fill->value)) {
        return doc_error(node, err, "config.value", "'%s' is %s; the value to fill must be one too",
                         field->path, column_type_name(field->type));
    }
    struct buffer detail = {0};
    struct schema_checker *checker = schema_checker_new(maker->plan->stage.schema);
    if (!schema_value_fits(checker, fill->field, &fill->value, &detail)) {
        status = doc_error(node, err, "config.value",
                           "the value to fill breaks the schema of '%s': %s", field->path,
                           buffer_string(&detail));
    }
    schema_checker_free(checker);
    buffer_fini(&detail);
    return status;
}

static struct hash128 identity_of(const struct plan_maker *maker, const char *what,
                                  const uint32_t *fields, uint32_t count)
{
    struct buffer text = {0};
    buffer_append_string(&text, what);
    for (uint32_t i = 0; i < count; i++) {
        const struct field *field = &maker->plan->stage.layout->fields[fields[i]];
        buffer_printf(&text, "|%s:%d", field->path, (int)field->type);
    }
    struct hash128 hash = hash_plain(text.data, text.size);
    buffer_fini(&text);
    return hash;
}

static enum status make_last_by(struct plan_maker *maker, const struct doc *node,
                                struct stage_fill *fill, struct error *err)
{
    struct stage_plan *stage = &maker->plan->stage;
    const struct doc *key = doc_get(node, "last_by");
    enum status status = plan_find_field(maker, key, key->text, &fill->key_field, err);
    if (status != STATUS_OK) {
        return status;
    }
    status = plan_check_key_type(maker, key, stage->layout->fields[fill->key_field].type, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (fill->key_field == fill->field) {
        return doc_error(key, err, "config.value", "a field cannot be its own key");
    }
    if (doc_get(node, "max_age") == NULL) {
        return doc_error(node, err, "config.missing_key",
                         "last_by needs max_age: how old may a value be, in event time?");
    }
    if (!has_time(maker)) {
        return doc_error(key, err, "config.value",
                         "last_by needs to know when records happened: add an event_time block");
    }
    fill->kind = FILL_LAST_BY;
    fill->max_age_us = grammar_duration_us(node, "max_age", 0);
    fill->store = stage->last_store_count++;
    fill->identity =
        identity_of(maker, "last", (uint32_t[]){fill->field, fill->key_field}, 2);
    return STATUS_OK;
}

static enum status make_fill(struct plan_maker *maker, const struct doc *name,
                             const struct doc *node, struct stage_fill *fill, struct error *err)
{
    enum status status = plan_find_field(maker, name, name->text, &fill->field, err);
    if (status != STATUS_OK) {
        return status;
    }
    enum column_type type = maker->plan->stage.layout->fields[fill->field].type;
    if (type == COLUMN_OBJECT || type == COLUMN_JSON) {
        return doc_error(name, err, "config.value",
                         "only fields of one simple type can be filled, and '%s' is %s", name->text,
                         column_type_name(type));
    }
    const struct doc *value = doc_get(node, "value");
    const struct doc *last_by = doc_get(node, "last_by");
    if ((value == NULL) == (last_by == NULL)) {
        return doc_error(node, err, "config.value",
                         "say either 'value: …' or 'last_by: …, max_age: …'");
    }
    return value != NULL ? make_constant(maker, value, fill, err)
                         : make_last_by(maker, node, fill, err);
}

static enum status make_fills(struct plan_maker *maker, const struct doc *node, struct error *err)
{
    struct stage_plan *stage = &maker->plan->stage;
    bool *filled =
        arena_alloc_zero(maker->arena, stage->layout->field_count + 1, sizeof *filled);
    stage->filled = filled;
    if (node == NULL) {
        return STATUS_OK;
    }
    struct stage_fill *fills = arena_alloc_zero(maker->arena, node->count + 1, sizeof *fills);
    for (size_t i = 0; i < node->count; i++) {
        enum status status = make_fill(maker, node->keys[i], node->items[i], &fills[i], err);
        if (status != STATUS_OK) {
            return status;
        }
        filled[fills[i].field] = true;
    }
    stage->fills = fills;
    stage->fill_count = (uint32_t)node->count;
    return STATUS_OK;
}

static enum status make_repair(struct plan_maker *maker, struct error *err)
{
    const struct doc *node = block(maker, "repair");
    enum status status = make_null_values(maker, doc_get(node, "null_values"), err);
    if (status == STATUS_OK) {
        status = make_coerce(maker, doc_get(node, "coerce"), err);
    }
    return status == STATUS_OK ? make_fills(maker, doc_get(node, "fill"), err) : status;
}

/* --- checks and transform --- */

static enum status make_checks(struct plan_maker *maker, struct error *err)
{
    struct plan *plan = maker->plan;
    const struct doc *list = doc_get(maker->pipeline, "checks");
    size_t count = list == NULL ? 0 : list->count;
    struct stage_check *checks = arena_alloc_zero(maker->arena, count + 1, sizeof *checks);
    for (size_t i = 0; i < count; i++) {
        const struct doc *node = list->items[i];
        const char *name = grammar_string(node, "name", "");
        for (size_t k = 0; k < i; k++) {
            if (strcmp(checks[k].name, name) == 0) {
                return doc_error(doc_get(node, "name"), err, "config.value",
                                 "there are two checks with the name '%s'", name);
            }
        }
        checks[i].name = name;
        checks[i].reason =
            reason_table_add(&plan->reasons, arena_printf(maker->arena, "check.%s", name));
        checks[i].warn = strcmp(grammar_string(node, "severity", "error"), "warn") == 0;
        checks[i].expression = add_expression(
            maker, doc_get(node, "expect"), arena_printf(maker->arena, "check %s", name), true);
    }
    plan->stage.checks = checks;
    plan->stage.check_count = (uint32_t)count;
    return STATUS_OK;
}

/* The event time under a name of its own is a set without an expression. */
static void make_event_time_set(struct plan_maker *maker, struct stage_set *set)
{
    struct plan *plan = maker->plan;
    const char *name = grammar_string(block(maker, "event_time"), "as", NULL);
    set->field = layout_find(plan->stage.layout, name);
    check(set->field != FIELD_NONE);
    set->reason =
        reason_table_add(&plan->reasons, arena_printf(maker->arena, "transform.%s", name));
    set->expression = EXPRESSION_NONE;
}

static void make_sets(struct plan_maker *maker, const struct doc *set)
{
    struct plan *plan = maker->plan;
    size_t count = set == NULL ? 0 : set->count;
    struct stage_set *sets = arena_alloc_zero(maker->arena, count + 2, sizeof *sets);
    for (size_t i = 0; i < count; i++) {
        const char *name = set->keys[i]->text;
        sets[i].field = layout_find(plan->stage.layout, name);
        check(sets[i].field != FIELD_NONE);
        sets[i].reason =
            reason_table_add(&plan->reasons, arena_printf(maker->arena, "transform.%s", name));
        sets[i].expression = add_expression(
            maker, set->items[i], arena_printf(maker->arena, "transform.set.%s", name),
            false);
    }
    if (doc_get(block(maker, "event_time"), "as") != NULL) {
        make_event_time_set(maker, &sets[count++]);
    }
    plan->stage.sets = sets;
    plan->stage.set_count = (uint32_t)count;
}

static void make_transform(struct plan_maker *maker)
{
    struct plan *plan = maker->plan;
    const struct doc *node = block(maker, "transform");
    const struct doc *where = doc_get(node, "where");
    plan->stage.where_reason = reason_table_add(&plan->reasons, "transform.where");
    plan->stage.where_expression =
        where == NULL ? EXPRESSION_NONE
                      : add_expression(maker, where, "transform.where", true);
    make_sets(maker, doc_get(node, "set"));
    const struct doc *drop = doc_get(node, "drop");
    size_t count = string_count(drop);
    uint32_t *fields = arena_alloc_zero(maker->arena, count + 1, sizeof *fields);
    for (size_t i = 0; i < count; i++) {
        fields[i] = layout_find(plan->stage.layout, string_item(drop, i)->text);
        check(fields[i] != FIELD_NONE);
    }
    plan->stage.drop_fields = fields;
    plan->stage.drop_count = (uint32_t)count;
}

/* --- dedup --- */

#define DEDUP_FIELDS_MAX 16

static enum status make_dedup(struct plan_maker *maker, struct error *err)
{
    struct stage_plan *stage = &maker->plan->stage;
    const struct doc *node = doc_get(maker->pipeline, "dedup");
    if (node == NULL) {
        return STATUS_OK;
    }
    const struct doc *key = doc_get(node, "key");
    size_t count = string_count(key);
    if (count == 0 || count > DEDUP_FIELDS_MAX) {
        return doc_error(key, err, "config.value", "dedup.key names 1 to %d fields",
                         DEDUP_FIELDS_MAX);
    }
    uint32_t *fields = arena_alloc_zero(maker->arena, count, sizeof *fields);
    for (size_t i = 0; i < count; i++) {
        const struct doc *name = string_item(key, i);
        enum status status = plan_find_field(maker, name, name->text, &fields[i], err);
        if (status == STATUS_OK) {
            status = plan_check_key_type(maker, name, stage->layout->fields[fields[i]].type, err);
        }
        if (status != STATUS_OK) {
            return status;
        }
        for (size_t k = 0; k < i && !maker->is_stored; k++) {
            if (fields[k] == fields[i]) {
                return doc_error(name, err, "config.value",
                                 "dedup.key names '%s' twice; leave one out", name->text);
            }
        }
    }
    stage->dedup_window_us = grammar_duration_us(node, "window", 0);
    if (stage->dedup_window_us != TIME_UNLIMITED && !has_time(maker)) {
        return doc_error(doc_get(node, "window"), err, "config.value",
                         "records of a %s source have no time to forget by: add an event_time "
                         "block, or write 'window: unlimited'",
                         maker->plan->source_ops->kind);
    }
    stage->dedup_fields = fields;
    stage->dedup_field_count = (uint32_t)count;
    stage->dedup_identity = identity_of(maker, "dedup", fields, (uint32_t)count);
    return STATUS_OK;
}

/* --- the sinks' conditions --- */

static enum status make_routes(struct plan_maker *maker, struct error *err)
{
    struct plan *plan = maker->plan;
    const struct doc *sinks = doc_get(maker->pipeline, "sinks");
    if (sinks->count == 0 || sinks->count > SINKS_MAX) {
        return doc_error(sinks, err, "config.value", "a pipeline has 1 to %u sinks", SINKS_MAX);
    }
    uint32_t *expressions =
        arena_alloc_zero(maker->arena, sinks->count, sizeof *expressions);
    const char **names = arena_alloc_zero(maker->arena, sinks->count, sizeof *names);
    for (size_t i = 0; i < sinks->count; i++) {
        names[i] = sinks->keys[i]->text;
        const struct doc *when = doc_get(sinks->items[i], "when");
        expressions[i] =
            when == NULL ? EXPRESSION_NONE
                         : add_expression(maker, when,
                                               arena_printf(maker->arena, "sinks.%s.when",
                                                            names[i]),
                                               true);
    }
    plan->stage.route_expressions = expressions;
    plan->stage.sink_names = names;
    plan->stage.sink_count = (uint32_t)sinks->count;
    plan->stage.route_reason = reason_table_add(&plan->reasons, "transform.route");
    return STATUS_OK;
}

/* --- all together --- */

static int64_t add_horizon(int64_t sum_us, int64_t part_us)
{
    return sum_us >= TIME_UNLIMITED || part_us >= TIME_UNLIMITED - sum_us ? TIME_UNLIMITED
                                                                        : sum_us + part_us;
}

/*
 * How far back a row can reach: lateness, and for everything that is remembered its horizon and
 * lateness once more. One reach may follow the other (a value makes a row VALID, whose key is then
 * remembered), and each time the row in between may lie `lateness` behind the rows around it. Too
 * long only means that replay begins earlier.
 */
static void sum_horizons(struct stage_plan *stage)
{
    int64_t sum_us = stage->lateness_us;
    for (uint32_t i = 0; i < stage->fill_count; i++) {
        if (stage->fills[i].kind == FILL_LAST_BY) {
            sum_us = add_horizon(sum_us, stage->fills[i].max_age_us);
            sum_us = add_horizon(sum_us, stage->lateness_us);
        }
    }
    if (stage->dedup_field_count > 0) {
        sum_us = add_horizon(sum_us, stage->dedup_window_us);
        sum_us = add_horizon(sum_us, stage->lateness_us);
    }
    stage->horizon_us = sum_us;
}

/* The expressions are compiled once here, so that their errors have their place; each runner
 * compiles its own. */
static enum status check_expressions(struct plan_maker *maker, struct error *err)
{
    struct stage_plan *stage = &maker->plan->stage;
    struct sql_outcome *outcomes =
        arena_alloc_zero(maker->arena, stage->set_count + 1, sizeof *outcomes);
    maker->set_outcomes = outcomes;
    for (uint32_t i = 0; i < stage->set_count; i++) {
        outcomes[i].column = FIELD_NONE;
    }
    if (maker->expression_count == 0) {
        return STATUS_OK;
    }
    size_t size = maker->expression_count * sizeof *maker->expressions;
    stage->expressions = memcpy(arena_alloc(maker->arena, size), maker->expressions, size);
    stage->expression_count = maker->expression_count;
    struct sql_program *program = NULL;
    enum status status =
        sql_program_compile(maker->arena, stage->layout, stage->is_time, stage->expressions,
                            stage->expression_count, &program, err);
    if (status == STATUS_OK) {
        for (uint32_t i = 0; i < stage->set_count; i++) {
            if (stage->sets[i].expression != EXPRESSION_NONE) {
                outcomes[i] = sql_program_outcome(program, stage->sets[i].expression);
            }
        }
        sql_program_free(program);
    }
    return status;
}

enum status plan_make_stages(struct plan_maker *maker, struct error *err)
{
    enum status status;
    if ((status = plan_make_format(maker, err)) != STATUS_OK ||
        (status = make_schema(maker, err)) != STATUS_OK ||
        (status = plan_make_event_time(maker, err)) != STATUS_OK ||
        (status = make_repair(maker, err)) != STATUS_OK ||
        (status = make_checks(maker, err)) != STATUS_OK ||
        (status = make_dedup(maker, err)) != STATUS_OK) {
        return status;
    }
    make_transform(maker);
    status = make_routes(maker, err);
    if (status != STATUS_OK) {
        return status;
    }
    maker->plan->stage.reasons = &maker->plan->reasons;
    sum_horizons(&maker->plan->stage);
    return check_expressions(maker, err);
}
