/* The columns of a row as it goes out, for table sinks: the schema's fields without what is
 * dropped, with what is set in its place, and the new fields behind them. Members of nested objects
 * are columns of their own; '.' becomes '_'. */
#include <string.h>

#include "plan/plan_private.h"

static bool is_dropped(const struct stage_plan *stage, uint32_t field)
{
    for (; field != FIELD_NONE; field = stage->layout->fields[field].parent) {
        for (uint32_t i = 0; i < stage->drop_count; i++) {
            if (stage->drop_fields[i] == field) {
                return true;
            }
        }
    }
    return false;
}

static uint32_t find_set(const struct stage_plan *stage, uint32_t field)
{
    for (uint32_t i = 0; i < stage->set_count; i++) {
        if (stage->sets[i].field == field) {
            return i;
        }
    }
    return FIELD_NONE;
}

static const char *column_name(struct arena *arena, const char *path)
{
    char *name = arena_copy_string(arena, path);
    for (char *c = name; *c != '\0'; c++) {
        *c = *c == '.' ? '_' : *c;
    }
    return name;
}

bool plan_is_required(const struct stage_plan *stage, uint32_t field)
{
    const struct field *f = &stage->layout->fields[field];
    return f->parent == FIELD_NONE && !f->nullable && schema_is_required(stage->schema, field);
}

void plan_make_columns(struct plan_maker *maker)
{
    const struct stage_plan *stage = &maker->plan->stage;
    const struct layout *layout = stage->layout;
    struct output_column *columns =
        arena_alloc_zero(maker->arena, layout->field_count + 1, sizeof *columns);
    uint32_t count = 0;
    for (uint32_t field = 0; field < layout->field_count; field++) {
        const struct field *f = &layout->fields[field];
        uint32_t set = find_set(stage, field);
        bool is_extra = field >= layout->schema_field_count;
        if (f->type == COLUMN_OBJECT || is_dropped(stage, field) ||
            (is_extra && set == FIELD_NONE)) {
            continue;
        }
        enum column_type type = f->type;
        bool is_time = stage->is_time[field];
        bool is_number = false;
        if (set != FIELD_NONE) {
            const struct sql_outcome *outcome = &maker->set_outcomes[set];
            type = stage_set_type(stage, &stage->sets[set], outcome);
            is_number = outcome->is_number;
            is_time = outcome->column != FIELD_NONE && stage->is_time[outcome->column];
            if (stage->sets[set].expression == EXPRESSION_NONE) {
                type = COLUMN_TEXT;
                is_time = true;
            }
        }
        columns[count++] = (struct output_column){
            .name = column_name(maker->arena, f->path),
            .path = f->path,
            .type = type,
            .is_time = is_time,
            .is_number = is_number,
            .required = set == FIELD_NONE && plan_is_required(stage, field),
            .field = set == FIELD_NONE ? field : FIELD_NONE,
            .set_index = set,
        };
    }
    maker->plan->shape.columns = columns;
    maker->plan->shape.column_count = count;
}
